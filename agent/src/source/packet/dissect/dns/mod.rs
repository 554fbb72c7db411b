//! DNS over UDP and TCP, mDNS and LLMNR: a record per question and its answer.
//!
//! A response is paired with its query by transaction id and question; a query that nobody answers is told when its
//! flow ends. Names are in lower case (RFC 4343). At most [`QUERIES_MAX`] queries of a flow wait; the oldest is told
//! unanswered where there are more.
//!
//! Activities: 1 Query, unanswered or multicast; 2 Response whose query was not seen, or multicast; 6 both.

mod message;
mod name;
mod rdata;

use std::collections::VecDeque;

use shared::record::Value;
use shared::time::Timestamp;

use self::message::{Message, class_name, is_plausible, rcode_name};
use self::rdata::kind_name;
use super::{Carrier, Dissector, Entry, Fields, First, NetworkClass, Recognized, Side, Tell, Told, Want};

/// Queries of a flow that wait for their answer.
pub const QUERIES_MAX: usize = 32;
/// Largest message over a stream that is read; larger ones are passed over and flagged.
const MESSAGE_BYTES_MAX: usize = 32 << 10;
const DNS: u16 = 53;
const MULTICAST: [u16; 2] = [5353, 5355];

/// This dissector.
pub const ENTRY: Entry = Entry { protocol: "dns", recognize, make };

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// It ends too early.
    Truncated,
    /// Compressed names lead in circles.
    CompressionLoop,
    /// A name leads to what stands behind it (RFC 1035 §4.1.4 allows what stands before).
    ForwardPointer,
    /// A name of more than 255 octets; it is told as far as that.
    NameTooLong,
    /// A label that cannot be.
    BadLabel,
    /// An answer that is not of its type.
    BadData,
}

impl Flaw {
    fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::CompressionLoop => "compression_loop",
            Self::ForwardPointer => "forward_pointer",
            Self::NameTooLong => "name_too_long",
            Self::BadLabel => "bad_label",
            Self::BadData => "bad_data",
        }
    }
}

fn recognize(first: &First<'_>) -> Recognized {
    let by_port = [DNS, MULTICAST[0], MULTICAST[1]].contains(&first.server_port);
    let message = match first.carrier {
        Carrier::Datagram => first.bytes,
        Carrier::Stream => {
            let Some((length, rest)) = first.bytes.split_first_chunk::<2>() else { return Recognized::Perhaps };
            let length = usize::from(u16::from_be_bytes(*length));
            if length < 12 {
                return Recognized::No;
            }
            match rest.get(..length) {
                Some(message) => message,
                // Long answers come in pieces: on its own port the header is enough.
                None if first.server_port == DNS => {
                    return if rest.len() >= 12 { Recognized::Yes } else { Recognized::Perhaps };
                }
                None if length <= 512 => return Recognized::Perhaps,
                None => return Recognized::No,
            }
        }
    };
    let at_home = |message: Message| message.opcode() <= 6 && message.questions <= 64;
    if is_plausible(message) || by_port && Message::read(message).is_some_and(at_home) {
        Recognized::Yes
    } else {
        Recognized::No
    }
}

fn make(carrier: Carrier) -> Box<dyn Dissector> {
    Box::new(Dns {
        carrier,
        waiting: VecDeque::new(),
        partial: [Vec::new(), Vec::new()],
        skip: [0; 2],
        lost: [false; 2],
    })
}

/// Whether a whole message begins here, its length before it: for finding the next one behind a hole.
fn begins_message(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return false };
    rest.get(..usize::from(u16::from_be_bytes(*length))).is_some_and(is_plausible)
}

struct Query {
    message: Message,
    at: Timestamp,
}

struct Dns {
    carrier: Carrier,
    waiting: VecDeque<Query>,
    /// Of a stream: what is not a whole message yet, by side.
    partial: [Vec<u8>; 2],
    /// Of a stream: bytes of a message too large, still to come.
    skip: [usize; 2],
    /// Of a stream: bytes are missing; a piece that begins with a message is waited for.
    lost: [bool; 2],
}

impl Dns {
    fn message(&mut self, at: Timestamp, bytes: &[u8], multicast: bool, tell: Tell<'_>) {
        let Some(message) = Message::read(bytes) else { return };
        if multicast {
            let activity = if message.is_response() { 2 } else { 1 };
            return tell(told(activity, &message, None, at));
        }
        if !message.is_response() {
            // The same question again: its first time counts.
            let again = |query: &Query| query.message.id == message.id && query.message.question == message.question;
            if self.waiting.iter().any(again) {
                return;
            }
            if self.waiting.len() >= QUERIES_MAX
                && let Some(oldest) = self.waiting.pop_front()
            {
                tell(told(1, &oldest.message, None, oldest.at));
            }
            return self.waiting.push_back(Query { message, at });
        }
        let asked = |query: &Query| {
            let same = message.question.is_none() || query.message.question == message.question;
            query.message.id == message.id && same
        };
        match self.waiting.iter().position(asked).and_then(|place| self.waiting.remove(place)) {
            Some(query) => tell(told(6, &message, Some(&query), at)),
            None => tell(told(2, &message, None, at)),
        }
    }

    fn stream(&mut self, side: usize, at: Timestamp, mut bytes: &[u8], tell: Tell<'_>) -> Want {
        if let Some(lost) = self.lost.get_mut(side) {
            *lost &= !begins_message(bytes);
            if *lost {
                return Want::More;
            }
        }
        let Some(skip) = self.skip.get_mut(side) else { return Want::Enough };
        let passed = (*skip).min(bytes.len());
        *skip -= passed;
        bytes = bytes.get(passed..).unwrap_or_default();
        let Some(partial) = self.partial.get_mut(side) else { return Want::Enough };
        partial.extend_from_slice(bytes);
        let mut partial = std::mem::take(partial);
        let mut begin = 0;
        while let Some((length, rest)) = partial.get(begin..).and_then(<[u8]>::split_first_chunk::<2>) {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MESSAGE_BYTES_MAX {
                // A transfer of a zone: its header tells what there is to tell.
                if rest.len() < 512.min(length) {
                    break;
                }
                let have = rest.len().min(length);
                self.message(at, rest.get(..have).unwrap_or_default(), false, tell);
                if let Some(skip) = self.skip.get_mut(side) {
                    *skip = length - have;
                }
                begin += 2 + have;
                continue;
            }
            let Some(message) = rest.get(..length) else { break };
            self.message(at, message, false, tell);
            begin += 2 + length;
        }
        partial.drain(..begin.min(partial.len()));
        partial.shrink_to(4096);
        if let Some(place) = self.partial.get_mut(side) {
            *place = partial;
        }
        Want::More
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Dissector for Dns {
    fn protocol(&self) -> &'static str {
        "dns"
    }

    fn data(&mut self, side: Side, at: Timestamp, bytes: &[u8], tell: Tell<'_>) -> Want {
        match self.carrier {
            Carrier::Datagram => {
                // Multicast: whoever answers, answers all, and from another address.
                let multicast =
                    Message::read(bytes).is_some_and(|message| message.id == 0 && message.bits & 0x0100 == 0);
                self.message(at, bytes, multicast, tell);
                Want::More
            }
            Carrier::Stream => self.stream(index(side), at, bytes, tell),
        }
    }

    fn gap(&mut self, side: Side, bytes: u64, _: Tell<'_>) -> Want {
        let side = index(side);
        let skip = self.skip.get(side).copied().unwrap_or(0);
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= skip => self.skip.iter_mut().skip(side).take(1).for_each(|skip| *skip -= bytes),
            _ => {
                self.partial.iter_mut().skip(side).take(1).for_each(|partial| *partial = Vec::new());
                self.lost.iter_mut().skip(side).take(1).for_each(|lost| *lost = true);
                self.skip.iter_mut().skip(side).take(1).for_each(|skip| *skip = 0);
            }
        }
        Want::More
    }

    fn end(&mut self, _: Timestamp, tell: Tell<'_>) {
        for query in self.waiting.drain(..) {
            tell(told(1, &query.message, None, query.at));
        }
    }

    fn held_bytes(&self) -> usize {
        self.partial.iter().map(Vec::capacity).sum::<usize>() + self.waiting.len() * 256
    }
}

fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// OCSF `flag_ids` of an answer: 1 AA, 2 TC, 3 RD, 4 RA, 5 AD, 6 CD.
fn flags(bits: u16) -> Vec<(u64, &'static str)> {
    let all =
        [(0x0400, 1, "AA"), (0x0200, 2, "TC"), (0x0100, 3, "RD"), (0x80, 4, "RA"), (0x20, 5, "AD"), (0x10, 6, "CD")];
    all.into_iter().filter(|(bit, ..)| bits & bit != 0).map(|(_, id, name)| (id, name)).collect()
}

fn told(activity: u8, message: &Message, query: Option<&Query>, at: Timestamp) -> Told {
    let mut fields: Fields = Vec::with_capacity(24);
    let mut put = |key: &str, value| fields.push((key.to_owned(), value));
    let question = message.question.as_ref().or(query.and_then(|query| query.message.question.as_ref()));
    if let Some(question) = question {
        put("query.hostname", text(question.name.as_str()));
        put("query.type", text(kind_name(question.kind)));
        put("query.class", text(class_name(question.class)));
    }
    put("query.opcode_id", Value::U64(message.opcode().into()));
    put("query.packet_uid", Value::U64(message.id.into()));
    let asked_at = query.map(|query| query.at).or((!message.is_response()).then_some(at));
    if let Some(asked_at) = asked_at {
        put("query_time", Value::Time(asked_at));
    }
    let flags = flags(message.bits);
    if message.is_response() {
        put("response_time", Value::Time(at));
        let rcode = message.rcode();
        // OCSF ends its list at 24 and calls the rest other.
        put("rcode_id", Value::U64(if rcode <= 24 && !(12..=15).contains(&rcode) { rcode.into() } else { 99 }));
        put("rcode", text(rcode_name(rcode)));
        let ids: Vec<Value> = flags.iter().map(|(id, _)| Value::U64(*id)).collect();
        let answers = message.answers.iter().map(|answer| {
            let mut fields = vec![
                ("type".to_owned(), text(kind_name(answer.kind))),
                ("rdata".to_owned(), text(answer.data.as_str())),
                ("class".to_owned(), text(class_name(answer.class))),
                ("ttl".to_owned(), Value::U64(answer.ttl.into())),
            ];
            if !ids.is_empty() {
                fields.push(("flag_ids".to_owned(), Value::List(ids.clone())));
            }
            Value::Map(fields)
        });
        let answers: Vec<Value> = answers.collect();
        if !answers.is_empty() {
            put("answers", Value::List(answers));
        }
        put("unmapped.answer_count", Value::U64(message.answers_told.into()));
    }
    if let Some(query) = query {
        let latency = u64::try_from(at.since(query.at).as_micros()).unwrap_or(u64::MAX);
        put("unmapped.latency_us", Value::U64(latency));
    }
    if !flags.is_empty() {
        put("unmapped.dns_flags", text(flags.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" ")));
    }
    if let Some(edns) = message.edns {
        put("unmapped.edns_udp_size", Value::U64(edns.udp_size.into()));
        put("unmapped.edns_dnssec_ok", Value::Bool(edns.dnssec_ok));
    }
    let mut flaws: Vec<&'static str> = message.flaw.into_iter().map(Flaw::name).collect();
    if message.questions > 1 {
        flaws.push("several_questions");
    }
    Told { class: NetworkClass::DnsActivity, activity, at, fields, flaws }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03Www\x07example\x00\x00\x01\x00\x01";
    const ANSWER: &[u8] = b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x01\x03www\x07example\x00\x00\x01\x00\x01\
        \xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01\
        \x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00";

    fn value<'a>(told: &'a Told, key: &str) -> Option<&'a Value> {
        told.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    fn first(carrier: Carrier, port: u16, bytes: &[u8]) -> First<'_> {
        First { carrier, side: Side::Client, client_port: 40_000, server_port: port, bytes }
    }

    #[test]
    fn question_and_answer_are_one_record_with_the_time_between() {
        let (mut dns, mut all) = (make(Carrier::Datagram), Vec::new());
        dns.data(Side::Client, Timestamp(1_000_000), QUERY, &mut |told| all.push(told));
        dns.data(Side::Client, Timestamp(2_000_000), QUERY, &mut |told| all.push(told));
        assert!(all.is_empty());
        dns.data(Side::Server, Timestamp(3_000_000), ANSWER, &mut |told| all.push(told));
        let [told] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((told.activity, value(told, "query.hostname")), (6, Some(&text("www.example"))));
        assert_eq!(value(told, "unmapped.latency_us"), Some(&Value::U64(2000)));
        assert_eq!(value(told, "unmapped.edns_dnssec_ok"), Some(&Value::Bool(true)));
        let Some(Value::List(answers)) = value(told, "answers") else { panic!("{told:?}") };
        let Value::Map(answer) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!(answer[1], ("rdata".to_owned(), text("192.0.2.1")));
    }

    #[test]
    fn query_that_nobody_answers_is_told_at_the_end_and_an_unasked_answer_at_once() {
        let (mut dns, mut all) = (make(Carrier::Datagram), Vec::new());
        dns.data(Side::Server, Timestamp(1), ANSWER, &mut |told| all.push(told));
        dns.data(Side::Client, Timestamp(2), QUERY, &mut |told| all.push(told));
        dns.end(Timestamp(3), &mut |told| all.push(told));
        assert_eq!(all.iter().map(|told| told.activity).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn messages_of_a_stream_are_found_however_they_are_cut() {
        let stream = [&[0, 29][..], QUERY, &[0, 29], &[0, 0], &QUERY[2..]].concat();
        for size in 1..stream.len() {
            let (mut dns, mut all) = (make(Carrier::Stream), Vec::new());
            for piece in stream.chunks(size) {
                assert_eq!(dns.data(Side::Client, Timestamp(1), piece, &mut |told| all.push(told)), Want::More);
            }
            dns.end(Timestamp(1), &mut |told| all.push(told));
            assert_eq!(all.len(), 2, "pieces of {size}");
        }
    }

    #[test]
    fn next_message_behind_a_hole_is_read() {
        let whole = [&[0, 29][..], QUERY].concat();
        let (mut dns, mut all) = (make(Carrier::Stream), Vec::new());
        dns.data(Side::Client, Timestamp(1), &whole[..9], &mut |told| all.push(told));
        dns.gap(Side::Client, 40, &mut |told| all.push(told));
        dns.data(Side::Client, Timestamp(2), &whole[3..], &mut |told| all.push(told));
        dns.data(Side::Client, Timestamp(3), &whole, &mut |told| all.push(told));
        dns.end(Timestamp(4), &mut |told| all.push(told));
        assert_eq!(all.iter().map(|told| (told.activity, told.at.0)).collect::<Vec<_>>(), [(1, 3)]);
    }

    #[test]
    fn question_that_points_ahead_has_its_name_and_a_flaw() {
        let ahead = b"\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\xc0\x12\x00\x01\x00\x01\x01a\x07example\x00\x00\x01\x00\x01";
        let (mut dns, mut all) = (make(Carrier::Datagram), Vec::new());
        dns.data(Side::Client, Timestamp(1), ahead, &mut |told| all.push(told));
        dns.end(Timestamp(4), &mut |told| all.push(told));
        assert_eq!(value(&all[0], "query.hostname"), Some(&text("a.example")));
        assert_eq!(all[0].flaws, ["forward_pointer", "several_questions"]);
    }

    #[test]
    fn names_that_nobody_keeps_are_passed_over_in_linear_time() {
        // 64 KiB of questions that each lead to one long name.
        let name = [&[63; 64][..]; 3].concat();
        let mut bytes = b"\x12\x34\x01\x00\x28\x00\x00\x00\x00\x00\x00\x00".to_vec();
        bytes.extend([&name[..], &[0, 0, 1, 0, 1]].concat());
        (1..0x2800).for_each(|_| bytes.extend(b"\xc0\x0c\x00\x01\x00\x01"));
        let message = Message::read(&bytes).unwrap();
        assert_eq!((message.questions, message.whole, message.flaw), (0x2800, true, None));
    }

    #[test]
    fn it_is_recognized_by_its_content() {
        assert_eq!(recognize(&first(Carrier::Datagram, 9999, QUERY)), Recognized::Yes);
        assert_eq!(recognize(&first(Carrier::Datagram, 9999, b"GET / HTTP/1.1\r\n\r\n")), Recognized::No);
        assert_eq!(recognize(&first(Carrier::Datagram, 53, &[0; 11])), Recognized::No);
        assert_eq!(recognize(&first(Carrier::Stream, 9999, &[&[0, 29][..], QUERY].concat())), Recognized::Yes);
        assert_eq!(recognize(&first(Carrier::Stream, 9999, b"SSH-2.0-x\r\n")), Recognized::No);
    }

    #[test]
    fn mutated_messages_never_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..20_000_u32 {
            let mut bytes = if round % 2 == 0 { QUERY.to_vec() } else { ANSWER.to_vec() };
            for _ in 0..1 + round % 5 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = usize::try_from(state >> 16).unwrap() % bytes.len();
                bytes[at] = u8::try_from(state & 0xff).unwrap();
            }
            let mut dns = make(Carrier::Datagram);
            dns.data(Side::Client, Timestamp(1), &bytes, &mut |_| {});
            dns.end(Timestamp(2), &mut |_| {});
        }
    }
}
