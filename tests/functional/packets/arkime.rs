//! Arkime's own tests: captures, and the sessions that it makes of them.

use std::collections::BTreeSet;

use picket_tests::harness::corpus;
use serde_json::Value as Json;

use super::{Agreement, Record, records, text, texts};

fn strings(list: &Json) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// Everything that records say under a key, or under a key of a list.
fn all(records: &[Record], key: &str, inner: &str) -> BTreeSet<String> {
    let of = |record| texts(record, key, inner).into_iter().chain([text(record, key)]);
    records.iter().flat_map(of).map(|value| value.to_lowercase()).filter(|value| !value.is_empty()).collect()
}

/// Why a session is not compared.
fn unlike(protocols: &BTreeSet<&str>, number: Option<u64>) -> Option<&'static str> {
    let any = |of: &[&str]| of.iter().any(|one| protocols.contains(one));
    if any(&["gtp"]) {
        return Some("sessions inside of a tunnel that is not followed (GTP)");
    }
    if any(&["dtls", "openvpn", "adb"]) {
        return Some("sessions of DTLS and of TLS inside of OpenVPN and ADB");
    }
    if matches!(number, Some(50 | 51)) {
        return Some("sessions of ESP and AH: ids there have ports of 0, those of the specification none");
    }
    None
}

#[test]
fn sessions_are_those_of_arkime() {
    let Some(folder) = corpus("pcap/arkime") else { return };
    let mut agreement = Agreement::default();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let Ok(expected) = serde_json::from_slice::<Json>(&std::fs::read(&path).unwrap()) else { continue };
        let Some(records) = records(&path.with_extension("pcap")) else { continue };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let ids = all(&records, "connection_info.community_uid", "");
        let mut hosts = all(&records, "query.hostname", "");
        hosts.extend(all(&records, "answers", "rdata"));
        let known = [
            ("tls.ja4", "tls", "ja4", all(&records, "ja4_fingerprint_list", "value")),
            ("tls.ja3", "tls", "ja3", all(&records, "tls.ja3_hash.value", "")),
            ("http.method", "http", "method", all(&records, "http_request.http_method", "")),
            ("http.useragent", "http", "useragent", all(&records, "http_request.user_agent", "")),
            ("dns.host", "dns", "host", hosts),
        ];
        for session in expected["sessions3"].as_array().into_iter().flatten() {
            let body = &session["body"];
            let protocols: BTreeSet<&str> = strings(&body["protocol"]).collect();
            if let Some(reason) = unlike(&protocols, body["ipProtocol"].as_u64()) {
                agreement.skip(reason);
                continue;
            }
            if let Some(id) = body["network"]["community_id"].as_str() {
                let found = if ids.contains(&id.to_lowercase()) { id } else { "" };
                let whence = format!("{name} {} {}", body["ipProtocol"], body["protocol"]);
                agreement.compare("community_id", &whence, id, found);
            }
            for (field, part, key, found) in &known {
                let parts = body[part].as_array().map_or(std::slice::from_ref(&body[part]), Vec::as_slice);
                for value in parts.iter().flat_map(|part| strings(&part[key])) {
                    let other_view = match *field {
                        "dns.host" if !value.is_ascii() => {
                            Some("names in their own script: here as they were sent, xn--…")
                        }
                        "http.method" if value == "PRI" => Some("methods that are the begin of HTTP/2"),
                        _ => None,
                    };
                    if let Some(reason) = other_view {
                        agreement.skip(reason);
                        continue;
                    }
                    let found = if found.contains(&value.to_lowercase()) { value } else { "" };
                    agreement.compare(field, &name, value, found);
                }
            }
        }
    }
    agreement.hold(
        "arkime",
        &[
            ("community_id", 99.5),
            ("tls.ja3", 100.0),
            ("tls.ja4", 100.0),
            ("http.method", 100.0),
            ("dns.host", 100.0),
            ("http.useragent", 100.0),
        ],
    );
}
