//! Fingerprints of TLS and SSH handshakes, as network monitors name them.
//!
//! In: the keys that a monitor has for them. Out: `ja4_fingerprint_list[]`; `tls.ja3_hash` and `tls.ja3s_hash`, which
//! stand only where there is a `tls`; `client_hassh` and `server_hassh`.

use super::fields::Fields;
use crate::event::Event;
use crate::schema::Attribute;

/// `fingerprint.algorithm_id` and `ja4_fingerprint.type_id` of MD5 and of JA4.
const FIRST: i64 = 1;

/// `fingerprint.algorithm_id` of HASSH.
const HASSH: i64 = 20;

/// The client's JA4.
pub(super) fn push_ja4<'a>(fields: &mut Fields<'a>, key: &str, event: &mut Event<'a>) {
    if let Some(print) = fields.text(key) {
        event.push(Attribute::Ja4Type, "JA4");
        event.push(Attribute::Ja4TypeId, FIRST);
        event.push(Attribute::Ja4Value, print);
    }
}

/// The version of a `tls`, and whether there is one. OCSF requires it: where only these other keys tell of a handshake, which
/// got no further than its first message, it is unknown.
pub(super) fn push_version<'a>(
    fields: &mut Fields<'a>,
    version: (Attribute, &str),
    others: &[&str],
    event: &mut Event<'a>,
) -> bool {
    if fields.push(event, version.0, version.1) {
        return true;
    }
    let told = others.iter().any(|key| fields.peek(key).is_some());
    if told {
        event.push(version.0, "Unknown");
    }
    told
}

/// Where a JA3 goes: the name of its algorithm, that one's id, the hash.
type Ja3 = [Attribute; 3];

const CLIENT: Ja3 = [Attribute::TlsJa3Algorithm, Attribute::TlsJa3AlgorithmId, Attribute::TlsJa3Value];
const SERVER: Ja3 = [Attribute::TlsJa3sAlgorithm, Attribute::TlsJa3sAlgorithmId, Attribute::TlsJa3sValue];
const EVIDENCE_CLIENT: Ja3 =
    [Attribute::EvidencesTlsJa3Algorithm, Attribute::EvidencesTlsJa3AlgorithmId, Attribute::EvidencesTlsJa3Value];
const EVIDENCE_SERVER: Ja3 =
    [Attribute::EvidencesTlsJa3sAlgorithm, Attribute::EvidencesTlsJa3sAlgorithmId, Attribute::EvidencesTlsJa3sValue];

fn push_md5<'a>(fields: &mut Fields<'a>, prints: [(&str, Ja3); 2], event: &mut Event<'a>) {
    for (key, [name, id, value]) in prints {
        if fields.push(event, value, key) {
            event.push(name, "MD5");
            event.push(id, FIRST);
        }
    }
}

/// JA3 of the client and of the server.
pub(super) fn push_ja3<'a>(fields: &mut Fields<'a>, [client, server]: [&str; 2], event: &mut Event<'a>) {
    push_md5(fields, [(client, CLIENT), (server, SERVER)], event);
}

/// JA3 of the client and of the server, as evidence of a finding.
pub(super) fn push_evidence_ja3<'a>(fields: &mut Fields<'a>, [client, server]: [&str; 2], event: &mut Event<'a>) {
    push_md5(fields, [(client, EVIDENCE_CLIENT), (server, EVIDENCE_SERVER)], event);
}

/// HASSH of the client and of the server: keys of the hash and of the algorithms that it is made of.
pub(super) fn push_hassh<'a>(fields: &mut Fields<'a>, [client, server]: [(&str, &str); 2], event: &mut Event<'a>) {
    let prints = [
        (
            client,
            Attribute::ClientHasshAlgorithm,
            Attribute::ClientHasshFingerprintAlgorithmId,
            Attribute::ClientHasshFingerprintValue,
        ),
        (
            server,
            Attribute::ServerHasshAlgorithm,
            Attribute::ServerHasshFingerprintAlgorithmId,
            Attribute::ServerHasshFingerprintValue,
        ),
    ];
    for ((hash, algorithms), text, id, value) in prints {
        if fields.push(event, value, hash) {
            event.push(id, HASSH);
            fields.push(event, text, algorithms);
        }
    }
}
