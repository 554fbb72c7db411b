//! NTP (RFC 5905 §7.3, control messages of RFC 9327): a record per message; its mode is the activity.

use shared::record::Value;
use shared::time::Timestamp;

use super::{Carrier, Dissector, Entry, Fields, First, NetworkClass, Recognized, Side, Tell, Told, Want};

/// Octets of a header.
const HEADER_LEN: usize = 48;
const PORT: u16 = 123;
/// Messages of a flow that are told: two ends that keep their clocks alike for days say nothing new.
const MESSAGES_MAX: u32 = 64;

/// This dissector.
pub const ENTRY: Entry = Entry { protocol: "ntp", recognize, make };

fn recognize(first: &First<'_>) -> Recognized {
    let on_port = first.client_port == PORT || first.server_port == PORT;
    let is = first.carrier == Carrier::Datagram && has_shape(first.bytes, on_port);
    if is { Recognized::Yes } else { Recognized::No }
}

/// Whether bytes are a message: anywhere one of the usual kinds with a header that has sense; a control message only
/// where one is expected, as it has too little of its own.
fn has_shape(bytes: &[u8], on_port: bool) -> bool {
    let &[first, stratum, poll, precision, ..] = bytes else { return false };
    let (version, mode) = (first >> 3 & 7, first & 7);
    match mode {
        1..=5 if (1..=4).contains(&version) && bytes.len() >= HEADER_LEN && bytes.len().is_multiple_of(4) => {
            let word = |at: usize| {
                bytes.get(at..at + 2).and_then(<[u8]>::first_chunk).map_or(0, |word| u16::from_be_bytes(*word))
            };
            // Seconds of delay and dispersion; more than 16 are no clock's.
            let sound = stratum <= 16 && poll.wrapping_add(6) <= 24 && (precision == 0 || precision >= 0xe0);
            sound && (on_port || bytes.len() == HEADER_LEN && word(4) <= 16 && word(8) <= 16)
        }
        6 => on_port && (1..=4).contains(&version) && bytes.len() >= 12,
        7 => on_port && bytes.len() >= 8,
        _ => false,
    }
}

fn make(_: Carrier) -> Box<dyn Dissector> {
    Box::new(Ntp { messages: 0 })
}

struct Ntp {
    messages: u32,
}

impl Dissector for Ntp {
    fn protocol(&self) -> &'static str {
        ENTRY.protocol
    }

    fn data(&mut self, _: Side, at: Timestamp, bytes: &[u8], tell: Tell<'_>) -> Want {
        if has_shape(bytes, true) {
            tell(message(at, bytes));
            self.messages += 1;
        }
        if self.messages < MESSAGES_MAX { Want::More } else { Want::Enough }
    }

    fn gap(&mut self, _: Side, _: u64, _: Tell<'_>) -> Want {
        Want::More
    }

    fn end(&mut self, _: Timestamp, _: Tell<'_>) {}

    fn held_bytes(&self) -> usize {
        0
    }
}

/// The message as a record: `activity_id` of 4013 is the mode's number.
fn message(at: Timestamp, bytes: &[u8]) -> Told {
    let first = bytes.first().copied().unwrap_or(0);
    let mut fields: Fields = Vec::with_capacity(16);
    let mut put = |key: &str, value: Value| fields.push((key.to_owned(), value));
    put("version", Value::String((first >> 3 & 7).to_string()));
    if let (1..=5, Some(header)) = (first & 7, bytes.first_chunk::<HEADER_LEN>()) {
        let [_, stratum, poll, precision, a, b, c, d, e, f, g, h, reference @ ..] = *header;
        put("unmapped.leap", Value::U64((first >> 6).into()));
        // OCSF `stratum_id`: 1 primary, 2 to 15 secondary, 16 unsynchronized, 0 unspecified: the number's own groups.
        put(
            "stratum_id",
            Value::U64(match stratum {
                0 => 0,
                1 => 1,
                2..=15 => 2,
                16 => 16,
                _ => 17,
            }),
        );
        put("unmapped.stratum_level", Value::U64(stratum.into()));
        put("unmapped.poll", Value::I64(i64::from(poll.cast_signed())));
        put("precision", Value::I64(i64::from(precision.cast_signed())));
        // In units of 2^-16 seconds there, whole milliseconds here.
        let ms = |bytes: [u8; 4]| (u64::from(u32::from_be_bytes(bytes)) * 1000) >> 16;
        put("delay", Value::U64(ms([a, b, c, d])));
        put("dispersion", Value::U64(ms([e, f, g, h])));
        let [r0, r1, r2, r3, ..] = reference;
        let id = [r0, r1, r2, r3];
        let word = id.split(|byte| *byte == 0).next().unwrap_or_default();
        if stratum <= 1 && !word.is_empty() && word.iter().all(u8::is_ascii_graphic) {
            put("unmapped.reference", Value::String(String::from_utf8_lossy(word).into_owned()));
        }
    }
    let flaws = Vec::new();
    Told { class: NetworkClass::NtpActivity, activity: first & 7, at, fields, flaws }
}

/// What a fuzz target calls: a flow of one message.
pub fn fuzz(input: &[u8]) {
    let mut told = 0;
    let want = make(Carrier::Datagram).data(Side::Client, Timestamp(0), input, &mut |_| told += 1);
    assert!(want == Want::More && told <= 1, "one message, one record");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(bytes: &[u8], port: u16) -> Recognized {
        recognize(&First {
            carrier: Carrier::Datagram,
            side: Side::Client,
            client_port: 40_000,
            server_port: port,
            bytes,
        })
    }

    #[test]
    fn question_is_known_on_any_port_and_says_its_version() {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&[0x23, 0, 6, 0xec]);
        assert_eq!((asked(&bytes, 123), asked(&bytes, 9999)), (Recognized::Yes, Recognized::Yes));
        let told = message(Timestamp(0), &bytes);
        assert_eq!((told.class.uid(), told.activity), (4013, 3));
        assert!(told.fields.contains(&("version".to_owned(), Value::String("4".to_owned()))));
    }

    #[test]
    fn answer_says_its_stratum_and_reference() {
        let mut bytes = [0; HEADER_LEN];
        bytes[..16].copy_from_slice(&[0x24, 1, 3, 0xe9, 0, 0, 0x80, 0, 0, 1, 0, 0, b'G', b'P', b'S', 0]);
        let told = message(Timestamp(0), &bytes);
        for (key, value) in [
            ("stratum_id", Value::U64(1)),
            ("precision", Value::I64(-23)),
            ("delay", Value::U64(500)),
            ("dispersion", Value::U64(1000)),
            ("unmapped.reference", Value::String("GPS".to_owned())),
        ] {
            assert!(told.fields.contains(&(key.to_owned(), value)), "{key}: {told:?}");
        }
    }

    #[test]
    fn other_datagrams_are_not_taken_for_it() {
        assert_eq!(asked(&[0x23; HEADER_LEN], 9999), Recognized::No);
        assert_eq!(asked(&[0x16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 9999), Recognized::No);
        assert_eq!(asked(&[0x23, 0, 6], 123), Recognized::No);
    }
}
