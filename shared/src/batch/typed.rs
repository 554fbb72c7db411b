//! Typed records as bytes: `count, (key, value)*`, keys as positions in the frame's key table.
//!
//! A value is a tag byte and its data: 0 null, 1 false, 2 true, 3 i64 (zigzag), 4 u64, 5 f64 (8 bytes),
//! 6 string, 7 bytes, 8 IPv4 (4), 9 IPv6 (16), 10 time (zigzag ns), 11 list, 12 map. Lengths and counts are
//! LEB128; nesting is bounded.

use std::net::IpAddr;

use super::varint::{put_signed, put_unsigned, signed, unsigned};
use crate::limits::VALUE_DEPTH_MAX;
use crate::record::Value;
use crate::time::Timestamp;

/// Most distinct keys in one frame.
const KEYS_MAX: usize = 4_096;

/// Appends a record; false when it is nested too deeply or brings too many keys.
pub(super) fn encode(out: &mut Vec<u8>, keys: &mut Vec<String>, fields: &[(String, Value)]) -> bool {
    map(out, keys, fields, VALUE_DEPTH_MAX)
}

fn map(out: &mut Vec<u8>, keys: &mut Vec<String>, fields: &[(String, Value)], depth: usize) -> bool {
    put_unsigned(out, fields.len() as u64);
    fields.iter().all(|(key, field)| {
        let index = keys.iter().position(|known| known == key).unwrap_or_else(|| {
            keys.push(key.clone());
            keys.len() - 1
        });
        put_unsigned(out, index as u64);
        index < KEYS_MAX && value(out, keys, field, depth)
    })
}

fn value(out: &mut Vec<u8>, keys: &mut Vec<String>, value_: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else { return false };
    match value_ {
        Value::Null => out.push(0),
        Value::Bool(truth) => out.push(1 + u8::from(*truth)),
        Value::I64(number) => {
            out.push(3);
            put_signed(out, *number);
        }
        Value::U64(number) => {
            out.push(4);
            put_unsigned(out, *number);
        }
        Value::F64(number) => {
            out.push(5);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::String(text) => blob(out, 6, text.as_bytes()),
        Value::Bytes(bytes) => blob(out, 7, bytes),
        Value::Ip(IpAddr::V4(ip)) => {
            out.push(8);
            out.extend_from_slice(&ip.octets());
        }
        Value::Ip(IpAddr::V6(ip)) => {
            out.push(9);
            out.extend_from_slice(&ip.octets());
        }
        Value::Time(at) => {
            out.push(10);
            put_signed(out, at.0);
        }
        Value::List(items) => {
            out.push(11);
            put_unsigned(out, items.len() as u64);
            return items.iter().all(|item| value(out, keys, item, below));
        }
        Value::Map(fields) => {
            out.push(12);
            return map(out, keys, fields, below);
        }
    }
    true
}

fn blob(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_unsigned(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a whole record; `None` when anything does not fit.
pub(super) fn decode<'a>(mut input: &[u8], keys: &'a [String]) -> Option<Vec<(&'a str, Value)>> {
    let fields = read_map(&mut input, keys, VALUE_DEPTH_MAX)?;
    input.is_empty().then_some(fields)
}

/// A count of things that take at least one byte each.
fn count(input: &mut &[u8]) -> Option<usize> {
    usize::try_from(unsigned(input)?).ok().filter(|&count| count <= input.len())
}

fn read_map<'a>(input: &mut &[u8], keys: &'a [String], depth: usize) -> Option<Vec<(&'a str, Value)>> {
    let count = count(input)?;
    (0..count)
        .map(|_| {
            let key = keys.get(usize::try_from(unsigned(input)?).ok()?)?;
            Some((key.as_str(), read_value(input, keys, depth)?))
        })
        .collect()
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*chunk)
}

fn read_value(input: &mut &[u8], keys: &[String], depth: usize) -> Option<Value> {
    let below = depth.checked_sub(1)?;
    let [tag] = take(input)?;
    Some(match tag {
        0 => Value::Null,
        1 => Value::Bool(false),
        2 => Value::Bool(true),
        3 => Value::I64(signed(input)?),
        4 => Value::U64(unsigned(input)?),
        5 => Value::F64(f64::from_le_bytes(take(input)?)),
        6 | 7 => {
            let len = count(input)?;
            let (bytes, rest) = input.split_at_checked(len)?;
            *input = rest;
            match tag {
                6 => Value::String(str::from_utf8(bytes).ok()?.to_owned()),
                _ => Value::Bytes(bytes.to_vec()),
            }
        }
        8 => Value::Ip(take::<4>(input)?.into()),
        9 => Value::Ip(take::<16>(input)?.into()),
        10 => Value::Time(Timestamp(signed(input)?)),
        11 => {
            let count = count(input)?;
            Value::List((0..count).map(|_| read_value(input, keys, below)).collect::<Option<_>>()?)
        }
        12 => {
            let fields = read_map(input, keys, below)?;
            Value::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        }
        _ => return None,
    })
}
