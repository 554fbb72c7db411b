//! A DNS message (RFC 1035 §4): header, the question, answers, EDNS (RFC 6891).
//!
//! Bounds: [`ANSWERS_MAX`] answers are kept; the others are counted. Names are read of what is kept, others are passed over:
//! the time that a message takes is linear in its length.

use super::rdata::{self, kind_name};
use super::{Flaw, name};

/// Answers that a record keeps.
pub const ANSWERS_MAX: usize = 64;
/// Octets of a header.
const HEADER_LEN: usize = 12;
/// Record type of EDNS.
const OPT: u16 = 41;

/// A question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The name, in lower case.
    pub name: String,
    /// Its record type.
    pub kind: u16,
    /// Its class, without the bit that mDNS asks for a unicast answer with.
    pub class: u16,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Whose.
    pub name: String,
    /// Its record type.
    pub kind: u16,
    /// Its class.
    pub class: u16,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// What it says, as zone files write it.
    pub data: String,
}

/// EDNS of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edns {
    /// Largest datagram that its sender takes.
    pub udp_size: u16,
    /// Version.
    pub version: u8,
    /// Its sender wants DNSSEC records.
    pub dnssec_ok: bool,
    /// High bits of the response code.
    pub rcode_high: u8,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Message {
    /// Transaction id.
    pub id: u16,
    /// QR, opcode, AA, TC, RD, RA, Z, AD, CD, rcode as on the wire.
    pub bits: u16,
    /// The first question.
    pub question: Option<Question>,
    /// Questions by the header.
    pub questions: u16,
    /// Answers, as many as are kept.
    pub answers: Vec<Answer>,
    /// Answers by the header.
    pub answers_told: u16,
    /// EDNS.
    pub edns: Option<Edns>,
    /// Where reading stopped, when not at the end.
    pub flaw: Option<Flaw>,
    /// All of it was read and nothing is left over.
    pub whole: bool,
}

impl Message {
    /// It answers.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.bits & 0x8000 != 0
    }

    /// Opcode.
    #[must_use]
    pub fn opcode(&self) -> u8 {
        u8::try_from(self.bits >> 11 & 0xf).unwrap_or(0)
    }

    /// Response code, with what EDNS adds.
    #[must_use]
    pub fn rcode(&self) -> u16 {
        self.bits & 0xf | self.edns.map_or(0, |edns| u16::from(edns.rcode_high) << 4)
    }

    /// Reads a message; none where there is no header. What does not read ends it, with a flaw.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let word =
            |at: usize| header.get(at..at + 2).map_or(0, |pair| pair.iter().fold(0, |sum, b| sum << 8 | u16::from(*b)));
        let mut message =
            Self { id: word(0), bits: word(2), questions: word(4), answers_told: word(6), ..Self::default() };
        let counts = [word(6), word(8), word(10)];
        match message.sections(bytes, counts) {
            Ok(end) => message.whole = end == bytes.len(),
            Err(flaw) => message.flaw = Some(flaw),
        }
        Some(message)
    }

    fn sections(&mut self, bytes: &[u8], counts: [u16; 3]) -> Result<usize, Flaw> {
        let mut at = HEADER_LEN;
        for number in 0..self.questions {
            let (name, end) = if number == 0 { self.name(bytes, at)? } else { (String::new(), name::end(bytes, at)?) };
            let (kind, class) = (word(bytes, end)?, word(bytes, end + 2)?);
            at = end + 4;
            if number == 0 {
                // mDNS: the top bit of the class is no part of it (RFC 6762 §5.4).
                let class = if class & 0x7fff == 1 { 1 } else { class };
                self.question = Some(Question { name, kind, class });
            }
        }
        let sections = counts.into_iter().zip([true, false, false]);
        for (in_answer, _) in sections.flat_map(|(count, is_answer)| (0..count).map(move |number| (is_answer, number)))
        {
            at = self.record(bytes, at, in_answer)?;
        }
        Ok(at)
    }

    /// The name at `at`; what is wrong with it, though it reads, is a flaw of the message.
    fn name(&mut self, bytes: &[u8], at: usize) -> Result<(String, usize), Flaw> {
        let name = name::lenient(bytes, at)?;
        self.flaw = self.flaw.or(name.flaw);
        Ok((name.text, name.end))
    }

    fn record(&mut self, bytes: &[u8], at: usize, in_answer: bool) -> Result<usize, Flaw> {
        let kept = in_answer && self.answers.len() < ANSWERS_MAX;
        let (name, end) = if kept { self.name(bytes, at)? } else { (String::new(), name::end(bytes, at)?) };
        let (kind, class) = (word(bytes, end)?, word(bytes, end + 2)?);
        let (ttl_high, ttl_low, length) = (word(bytes, end + 4)?, word(bytes, end + 6)?, word(bytes, end + 8)?);
        let (begin, end) = (end + 10, end + 10 + usize::from(length));
        if end > bytes.len() {
            return Err(Flaw::Truncated);
        }
        if kind == OPT {
            let [rcode_high, version] = ttl_high.to_be_bytes();
            self.edns = Some(Edns { udp_size: class, version, dnssec_ok: ttl_low & 0x8000 != 0, rcode_high });
        } else if kept {
            let class = if class & 0x7fff == 1 { 1 } else { class };
            let ttl = u32::from(ttl_high) << 16 | u32::from(ttl_low);
            let data = rdata::text(bytes, begin, end, kind).unwrap_or_else(|flaw| {
                self.flaw.get_or_insert(flaw);
                rdata::unknown(bytes.get(begin..end).unwrap_or_default())
            });
            self.answers.push(Answer { name, kind, class, ttl, data });
        }
        Ok(end)
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> Result<u16, Flaw> {
    let pair = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>).ok_or(Flaw::Truncated)?;
    Ok(u16::from_be_bytes(*pair))
}

/// `IN`, `CH`, …
#[must_use]
pub fn class_name(class: u16) -> String {
    match class {
        1 => "IN".to_owned(),
        3 => "CH".to_owned(),
        4 => "HS".to_owned(),
        254 => "NONE".to_owned(),
        255 => "ANY".to_owned(),
        other => format!("CLASS{other}"),
    }
}

/// The word for a response code (IANA, "DNS RCODEs").
#[must_use]
pub fn rcode_name(rcode: u16) -> String {
    let known = [
        "NoError",
        "FormErr",
        "ServFail",
        "NXDomain",
        "NotImp",
        "Refused",
        "YXDomain",
        "YXRRSet",
        "NXRRSet",
        "NotAuth",
        "NotZone",
        "DSOTYPENI",
    ];
    match known.get(usize::from(rcode)) {
        Some(name) => (*name).to_owned(),
        None if rcode == 16 => "BADVERS".to_owned(),
        None => format!("RCODE{rcode}"),
    }
}

/// Whether bytes can be a message: for recognizing it where the port says nothing.
#[must_use]
pub fn is_plausible(bytes: &[u8]) -> bool {
    let Some(message) = Message::read(bytes) else { return false };
    let known = |question: &Question| {
        matches!(question.class, 1 | 3 | 4 | 254 | 255) && !kind_name(question.kind).starts_with("TYPE")
    };
    message.whole
        && message.flaw.is_none()
        && message.opcode() <= 6
        && message.bits & 0x40 == 0
        && message.questions == 1
        && message.question.as_ref().is_some_and(known)
        && (message.is_response() || message.answers_told == 0)
}
