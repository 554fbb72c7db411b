//! Fingerprints of a TLS handshake, as network monitors name them.
//!
//! In: the keys that a monitor has for them. Out: `ja4_fingerprint_list[]`, and `tls.ja3_hash` and `tls.ja3s_hash`, which
//! stand only where there is a `tls`.

use super::fields::Fields;
use crate::event::Event;
use crate::schema::Attribute;

/// `fingerprint.algorithm_id` and `ja4_fingerprint.type_id` of MD5 and of JA4.
const FIRST: i64 = 1;

/// The client's JA4.
pub(super) fn push_ja4<'a>(fields: &mut Fields<'a>, key: &str, event: &mut Event<'a>) {
    if let Some(print) = fields.text(key) {
        event.push(Attribute::Ja4Type, "JA4");
        event.push(Attribute::Ja4TypeId, FIRST);
        event.push(Attribute::Ja4Value, print);
    }
}

/// JA3 of the client and of the server.
pub(super) fn push_ja3<'a>(fields: &mut Fields<'a>, [client, server]: [&str; 2], event: &mut Event<'a>) {
    let prints = [
        (client, Attribute::TlsJa3Algorithm, Attribute::TlsJa3AlgorithmId, Attribute::TlsJa3Value),
        (server, Attribute::TlsJa3sAlgorithm, Attribute::TlsJa3sAlgorithmId, Attribute::TlsJa3sValue),
    ];
    for (key, name, id, value) in prints {
        if fields.push(event, value, key) {
            event.push(name, "MD5");
            event.push(id, FIRST);
        }
    }
}
