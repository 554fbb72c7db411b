//! Who speaks and which piece of it: agent, lane, epoch, sequence, frame, event.
//!
//! A frame is named by `(agent, epoch, lane, sequence)`, an event by `(agent, epoch, lane, record
//! number)`. Event ids are structured and not hashed: 3,600 of them cost 3 KB in Parquet instead of
//! 123 KB, and they lead from a hit in a SIEM back to the raw line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Identity of an agent (or of an aggregator, for what it says itself): a UUIDv7 issued by the
/// certificate authority and carried in the certificate, kept over renewals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AgentId(pub [u8; 16]);

impl AgentId {
    /// A new UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, version, variant, 74 random bits.
    #[must_use]
    pub fn v7(unix_ms: u64, random: [u8; 10]) -> Self {
        let [_, _, t0, t1, t2, t3, t4, t5] = unix_ms.to_be_bytes();
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
        let (version, variant) = (0x70 | (r0 & 0x0f), 0x80 | (r2 & 0x3f));
        Self([t0, t1, t2, t3, t4, t5, version, r1, variant, r3, r4, r5, r6, r7, r8, r9])
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'-'; 36];
        let places = text.iter_mut().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        for ((_, place), nibble) in places.zip(nibbles) {
            *place = hex_digit(nibble);
        }
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fills `bytes` from the system's random number generator.
///
/// # Panics
/// When the system has none, which no supported kernel does after boot.
pub fn fill_random(bytes: &mut [u8]) {
    use ring::rand::SecureRandom;
    ring::rand::SystemRandom::new().fill(bytes).expect("the system's random number generator answers");
}

/// What was wrong with an id in text form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' is not {expected}")]
pub struct BadId {
    text: String,
    expected: &'static str,
}

impl FromStr for AgentId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId {
            text: text.to_owned(),
            expected: "an agent id (a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057)",
        };
        let mut out = [0u8; 16];
        let mut digits = text.bytes().enumerate().filter(|&(i, b)| !(b == b'-' && matches!(i, 8 | 13 | 18 | 23)));
        for byte in &mut out {
            let mut nibble = || digits.next().and_then(|(_, b)| char::from(b).to_digit(16)).ok_or_else(bad);
            *byte = u8::try_from((nibble()? << 4) | nibble()?).map_err(|_| bad())?;
        }
        if text.len() == 36 && digits.next().is_none() { Ok(Self(out)) } else { Err(bad()) }
    }
}

impl Serialize for AgentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AgentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Priority class of records. Each lane has its own log, chain and stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Lane {
    /// Integrity, processes, security logs: sealed after 250 ms, never dropped by default.
    High = 0,
    /// Log files, journald, syslog: sealed after 500 ms.
    Normal = 1,
    /// Packets, metrics, inventory: sealed after 5 s, drops its oldest by default.
    Bulk = 2,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Bulk];

    /// The lane with this number on disk and on the wire.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| *lane as u8 == number)
    }

    /// Position in [`Lane::ALL`], for tables with one row a lane.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self as u8)
    }

    /// `high`, `normal`, `bulk`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Lane {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::ALL
            .into_iter()
            .find(|lane| lane.name() == text)
            .ok_or_else(|| BadId { text: text.to_owned(), expected: "a lane (high, normal, bulk)" })
    }
}

/// One unbroken run of sequences of a lane: 64 random bits, drawn with a new spool, when continuity
/// cannot be proven, on another machine-id and on a fork.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// A new epoch.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        fill_random(&mut bytes);
        Self(u64::from_le_bytes(bytes))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Epoch {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { text: text.to_owned(), expected: "an epoch (16 hexadecimal digits)" };
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| bad())
    }
}

/// BLAKE3 of a frame's header and body: the link of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FrameHash(pub [u8; 32]);

impl FrameHash {
    /// `prev` of a genesis frame.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for FrameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FrameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for FrameHash {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { text: text.to_owned(), expected: "a frame hash (64 hexadecimal digits)" };
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut out = [0u8; 32];
        for (byte, i) in out.iter_mut().zip((0..).step_by(2)) {
            *byte = text.get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(bad)?;
        }
        Ok(Self(out))
    }
}

impl Serialize for FrameHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FrameHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One chain of frames: everything that an agent said on one lane since the epoch began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChainId {
    /// Who said it.
    pub agent: AgentId,
    /// On which lane.
    pub lane: Lane,
    /// In which unbroken run.
    pub epoch: Epoch,
}

/// Name of an event: `<agent>-<epoch>-<lane>-<record number>[.k]`. A record that becomes several
/// events numbers them with `k` from 1; a merged event takes the id of its first record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventId {
    /// The chain that the record stands in.
    pub chain: ChainId,
    /// Number of the record in that chain, from 1.
    pub record: u64,
    /// Which of several events of one record; 0 for the only one.
    pub part: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChainId { agent, lane, epoch } = self.chain;
        // Piece by piece: events are many, and a format of all pieces at once takes five times as long.
        fmt::Display::fmt(&agent, f)?;
        f.write_str("-")?;
        let mut digits = [0; 16];
        let nibbles = epoch.0.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        for (digit, nibble) in digits.iter_mut().zip(nibbles) {
            *digit = hex_digit(nibble);
        }
        f.write_str(str::from_utf8(&digits).unwrap_or_default())?;
        f.write_str("-")?;
        f.write_str(lane.name())?;
        f.write_str("-")?;
        fmt::Display::fmt(&self.record, f)?;
        if self.part > 0 { write!(f, ".{}", self.part) } else { Ok(()) }
    }
}

/// The hexadecimal digit of a number below 16.
const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
}

impl FromStr for EventId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { text: text.to_owned(), expected: "an event id (<agent>-<epoch>-<lane>-<record>[.k])" };
        let agent = text.get(..36).ok_or_else(bad)?.parse().map_err(|_| bad())?;
        let mut rest = text.get(36..).and_then(|rest| rest.strip_prefix('-')).ok_or_else(bad)?.splitn(3, '-');
        let epoch = rest.next().ok_or_else(bad)?.parse().map_err(|_| bad())?;
        let lane = rest.next().ok_or_else(bad)?.parse().map_err(|_| bad())?;
        let number = rest.next().ok_or_else(bad)?;
        let (record, part) = number.split_once('.').unwrap_or((number, "0"));
        let id = Self {
            chain: ChainId { agent, lane, epoch },
            record: record.parse().map_err(|_| bad())?,
            part: part.parse().map_err(|_| bad())?,
        };
        if id.to_string() == text { Ok(id) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let agent = AgentId::v7(1_700_000_000_000, [0xab; 10]);
        assert_eq!(agent.to_string().parse(), Ok(agent));
        assert_eq!(agent.to_string().as_bytes()[14], b'7');
        let chain = ChainId { agent, lane: Lane::Bulk, epoch: Epoch(0x00ff) };
        for part in [0, 3] {
            let id = EventId { chain, record: 42, part };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let hash = FrameHash([0x5a; 32]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in
            ["", "x", "01890a5d-ac96-774b-bcce-b302099a805", "01890a5dac96774bbcceb302099a80570000", "0189\u{e9}"]
        {
            assert!(text.parse::<AgentId>().is_err(), "{text}");
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
        let agent = AgentId::default();
        for tail in ["-0-high-1", "-0000000000000000-top-1", "-0000000000000000-high-01", "-0000000000000000-high-1.0"]
        {
            assert!(format!("{agent}{tail}").parse::<EventId>().is_err(), "{tail}");
        }
    }
}
