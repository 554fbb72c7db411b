//! Typed records: any tree of values becomes a valid event.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aggregator::event::Event;
use aggregator::normalize::Origin;
use aggregator::normalize::record;
use aggregator::schema::Attribute;
use shared::identity::EventId;
use shared::limits::VALUE_DEPTH_MAX;
use shared::record::Value;
use shared::time::Timestamp;

use super::Input;
use super::frames::{AGENT, NOW, chain};
use super::lines::assert_valid;

/// Keys that mean something, among those that do not.
const KEYS: &[&str] = &[
    "class_uid",
    "activity_id",
    "activity_name",
    "severity_id",
    "time",
    "message",
    "count",
    "picket.record",
    "status_id",
    "raw_data",
    "metadata.log_name",
    "device.hostname",
    "src_endpoint.ip",
    "user.name",
    "unmapped",
    "a.b.c",
    "a.b",
    "",
    ".",
    "observables",
];

/// Fields from any bytes as a typed record.
pub fn record(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut fields = Vec::new();
    while !input.is_empty() && fields.len() < 64 {
        let key = key(&mut input);
        fields.push((key, value(&mut input, VALUE_DEPTH_MAX)));
    }
    let origin = Origin { agent: AGENT, source_type: "health".to_owned(), ..Origin::default() };
    let shared = origin.fields();
    let mut event = Event::new(EventId { chain: chain(), record: 1, part: 0 }, NOW, NOW);
    event.shared = &shared;
    record::record(&fields, NOW, NOW, &origin, NOW, &mut event);
    assert_valid(&event);
}

fn key(input: &mut Input<'_>) -> String {
    match input.u8() {
        0 => String::from_utf8_lossy(input.piece()).into_owned(),
        // An attribute, or the list that it stands in.
        254 => {
            let number = usize::from(input.u16()) % Attribute::ALL.len();
            let path = Attribute::ALL.get(number).map_or("", |attribute| attribute.path());
            path.split("[]").next().unwrap_or(path).to_owned()
        }
        // The same within an element.
        255 => {
            let number = usize::from(input.u16()) % Attribute::ALL.len();
            let path = Attribute::ALL.get(number).map_or("", |attribute| attribute.path());
            path.rsplit('.').next().unwrap_or(path).to_owned()
        }
        known => KEYS.get(usize::from(known) % KEYS.len()).copied().unwrap_or_default().to_owned(),
    }
}

fn value(input: &mut Input<'_>, depth: usize) -> Value {
    match input.u8() % 12 {
        0 => Value::Null,
        1 => Value::Bool(input.u8() & 1 == 1),
        2 => Value::I64(input.count().cast_signed()),
        3 => Value::U64(input.count()),
        4 => Value::F64(f64::from_bits(input.u64())),
        5 => Value::String(String::from_utf8_lossy(input.piece()).into_owned()),
        6 => Value::Bytes(input.piece().to_vec()),
        7 => Value::Ip(IpAddr::V4(Ipv4Addr::from_bits(u32::from(input.u16()) << 16))),
        8 => Value::Ip(IpAddr::V6(Ipv6Addr::from_bits(u128::from(input.u64()) << 64))),
        9 => Value::Time(Timestamp(input.count().cast_signed())),
        10 if depth > 0 => Value::List((0..input.u8() % 4).map(|_| value(input, depth - 1)).collect()),
        11 if depth > 0 => Value::Map((0..input.u8() % 4).map(|_| (key(input), value(input, depth - 1))).collect()),
        _ => Value::Null,
    }
}

/// A few records.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        [&[1, 3, 255][..], &1008u64.to_le_bytes(), &[2, 3, 6, 4, 3, 2, 6, 5, 2, 0, b'h', b'i']].concat(),
        vec![15, 11, 2, 6, 3, 7, 16, 5, 1, 0, b'x', 12, 10, 3, 0, 1, 1, 8, 1],
        [&[5, 9, 255][..], &NOW.0.to_le_bytes(), &[13, 7, 192, 0]].concat(),
    ]
}
