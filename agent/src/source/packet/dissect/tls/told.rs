//! A handshake as fields of a record, by OCSF 1.8 `network_activity` and its `tls` object.
//!
//! `tls.version` is required inside `tls`: without a `ServerHello` it is the highest version that the client offered.

use shared::record::Value;
use shared::time::Timestamp;

use super::super::Fields;
use super::certificate::{Certificate, Chain};
use super::ciphers;
use super::handshake::{Answer, Ending, Handshake, Offer};
use super::names::{self, is_ocsf_extension};

/// `fingerprint.algorithm_id`.
const MD5: (u64, &str) = (1, "MD5");
const SHA1: (u64, &str) = (2, "SHA-1");
const SHA256: (u64, &str) = (3, "SHA-256");

/// The fields of a handshake that ended so.
#[must_use]
pub fn fields(handshake: &Handshake, ending: &Ending, at: Timestamp) -> Fields {
    let mut fields = Vec::with_capacity(32);
    let offered = handshake.offer.as_ref().map(|offer| offer.version);
    if let Some(version) = handshake.answer.as_ref().map(|answer| answer.version).or(offered) {
        put(&mut fields, "tls.version", names::version(version).into_owned());
        tls(&mut fields, handshake, ending, at);
    }
    if let Some(offer) = &handshake.offer {
        client(&mut fields, offer);
    }
    if let Some(answer) = &handshake.answer {
        server(&mut fields, answer);
    }
    if handshake.retried {
        fields.push(("unmapped.hello_retry".to_owned(), Value::Bool(true)));
    }
    if let Some(group) = handshake.group {
        put(&mut fields, "unmapped.curve", names::group(group).into_owned());
    }
    if let Some(chain) = &handshake.client_chain {
        fields.push(("unmapped.client_certificate".to_owned(), client_certificate(chain)));
    }
    fields.push(("unmapped.established".to_owned(), Value::Bool(*ending == Ending::Established)));
    match ending {
        Ending::Established => fields.push(("status_id".to_owned(), Value::U64(1))),
        Ending::Incomplete => {}
        Ending::Failed(why) => {
            fields.push(("status_id".to_owned(), Value::U64(2)));
            put(&mut fields, "status_detail", why.clone());
        }
    }
    fields
}

fn put(fields: &mut Fields, path: &str, text: String) {
    fields.push((path.to_owned(), Value::String(text)));
}

fn texts(texts: impl Iterator<Item = String>) -> Value {
    Value::List(texts.map(Value::String).collect())
}

/// What stands in the `tls` object, but for its version.
fn tls(fields: &mut Fields, handshake: &Handshake, ending: &Ending, at: Timestamp) {
    if let Some(offer) = &handshake.offer {
        if let Some(sni) = &offer.sni {
            put(fields, "tls.sni", sni.clone());
        }
        let suites = offer.ciphers.iter().map(|suite| ciphers::name(*suite).into_owned());
        fields.push(("tls.client_ciphers".to_owned(), texts(suites)));
        if !offer.extensions.is_empty() {
            let extensions = offer.extensions.iter().map(|number| extension(*number)).collect();
            fields.push(("tls.tls_extension_list".to_owned(), Value::List(extensions)));
        }
        if let Some((ja3, _)) = &offer.fingerprints {
            hash(fields, "tls.ja3_hash", ja3);
        }
    }
    if let Some(answer) = &handshake.answer {
        if answer.version > 0x0002 {
            put(fields, "tls.cipher", ciphers::name(answer.cipher).into_owned());
        }
        if let Some(ja3s) = &answer.ja3s {
            hash(fields, "tls.ja3s_hash", ja3s);
        }
    }
    if let Some(chain) = &handshake.server_chain {
        certificates(fields, chain);
    }
    if let Some(alert) = handshake.alert {
        fields.push(("tls.alert".to_owned(), Value::U64(alert.into())));
    }
    if let (Ending::Established, Some(started)) = (ending, handshake.started) {
        let duration = u64::try_from(at.since(started).as_millis()).unwrap_or(u64::MAX);
        fields.push(("tls.handshake_dur".to_owned(), Value::U64(duration)));
    }
}

/// What a client offered and has no place in `tls`.
fn client(fields: &mut Fields, offer: &Offer) {
    if let Some((_, ja4)) = &offer.fingerprints {
        let print = vec![
            ("type_id".to_owned(), Value::U64(1)),
            ("type".to_owned(), Value::String("JA4".to_owned())),
            ("value".to_owned(), Value::String(ja4.clone())),
        ];
        fields.push(("ja4_fingerprint_list".to_owned(), Value::List(vec![Value::Map(print)])));
    }
    if !offer.alpn.is_empty() {
        fields.push(("unmapped.client_alpn".to_owned(), texts(offer.alpn.iter().cloned())));
    }
    put(fields, "unmapped.client_version", names::version(offer.version).into_owned());
    if offer.early_data {
        fields.push(("unmapped.early_data".to_owned(), Value::Bool(true)));
    }
}

/// What a server chose and has no place in `tls`.
fn server(fields: &mut Fields, answer: &Answer) {
    if let Some(alpn) = &answer.alpn {
        put(fields, "unmapped.alpn", alpn.clone());
    }
    fields.push(("unmapped.resumed".to_owned(), Value::Bool(answer.resumed)));
}

fn hash(fields: &mut Fields, path: &str, value: &str) {
    fields.push((format!("{path}.algorithm_id"), Value::U64(MD5.0)));
    put(fields, &format!("{path}.algorithm"), MD5.1.to_owned());
    put(fields, &format!("{path}.value"), value.to_owned());
}

fn extension(number: u16) -> Value {
    if is_ocsf_extension(number) {
        return Value::Map(vec![("type_id".to_owned(), Value::U64(number.into()))]);
    }
    // 99: other, and then the sibling holds what it is.
    let name = Value::String(format!("{number:#06x}"));
    Value::Map(vec![("type_id".to_owned(), Value::U64(99)), ("type".to_owned(), name)])
}

fn certificates(fields: &mut Fields, chain: &Chain) {
    fields.push(("unmapped.certificate_sha256".to_owned(), texts(chain.sha256.iter().cloned())));
    if !chain.serials.is_empty() {
        fields.push(("tls.certificate_chain".to_owned(), texts(chain.serials.iter().cloned())));
    }
    let Some(leaf) = &chain.leaf else { return };
    for (name, value) in facts(leaf) {
        fields.push((format!("tls.certificate.{name}"), value));
    }
    let sha1 = chain.leaf_sha1.iter().map(|value| fingerprint(SHA1, value));
    let prints = sha1.chain(chain.sha256.first().map(|value| fingerprint(SHA256, value))).collect();
    fields.push(("tls.certificate.fingerprints".to_owned(), Value::List(prints)));
}

fn fingerprint((id, name): (u64, &str), value: &str) -> Value {
    Value::Map(vec![
        ("algorithm_id".to_owned(), Value::U64(id)),
        ("algorithm".to_owned(), Value::String(name.to_owned())),
        ("value".to_owned(), Value::String(value.to_owned())),
    ])
}

fn facts(certificate: &Certificate) -> Vec<(&'static str, Value)> {
    let mut facts = vec![
        ("serial_number", Value::String(certificate.serial.clone())),
        ("subject", Value::String(certificate.subject.clone())),
        ("issuer", Value::String(certificate.issuer.clone())),
        ("is_self_signed", Value::Bool(certificate.self_signed)),
    ];
    if let Some(version) = certificate.version {
        facts.push(("version", Value::String(version.to_string())));
    }
    if let Some((from, until)) = certificate.valid_ms {
        // Not `Value::Time`, which ends in 2262: authorities and appliances sign until 9999.
        facts.push(("created_time", Value::I64(from)));
        facts.push(("expiration_time", Value::I64(until)));
    }
    if !certificate.sans.is_empty() {
        let san = |(kind, name): &(&str, String)| {
            Value::Map(vec![
                ("name".to_owned(), Value::String(name.clone())),
                ("type".to_owned(), Value::String((*kind).to_owned())),
            ])
        };
        facts.push(("sans", Value::List(certificate.sans.iter().map(san).collect())));
    }
    facts
}

fn client_certificate(chain: &Chain) -> Value {
    let mut fields = Vec::new();
    if let Some(leaf) = &chain.leaf {
        fields.extend(facts(leaf).into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    if let Some(sha256) = chain.sha256.first() {
        fields.push(("sha256".to_owned(), Value::String(sha256.clone())));
    }
    Value::Map(fields)
}
