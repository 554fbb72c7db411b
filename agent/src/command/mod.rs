//! One module per command. Each takes the options, its arguments and a writer for what it prints, and ends
//! with a [`shared::exit::Exit`] that carries its exit code.

pub mod completion;
pub mod config;
pub mod enroll;
pub mod host;
pub mod pcap;
pub mod read;
pub mod spool;
pub mod status;
pub mod validate;

#[cfg(test)]
mod scratch;

use serde_json::{Value, json};
use shared::record::Value as Recorded;

/// A field of a typed record as JSON; bytes as base64, moments as RFC 3339.
fn plain(value: &Recorded) -> Value {
    match value {
        Recorded::Null => Value::Null,
        Recorded::Bool(value) => (*value).into(),
        Recorded::I64(value) => (*value).into(),
        Recorded::U64(value) => (*value).into(),
        Recorded::F64(value) => (*value).into(),
        Recorded::String(value) => value.as_str().into(),
        Recorded::Bytes(value) => json!({ "base64": data_encoding::BASE64.encode(value) }),
        Recorded::Ip(value) => value.to_string().into(),
        Recorded::Time(value) => value.to_string().into(),
        Recorded::List(values) => values.iter().map(plain).collect(),
        Recorded::Map(values) => Value::Object(values.iter().map(|(key, value)| (key.clone(), plain(value))).collect()),
    }
}
