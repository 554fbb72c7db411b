//! Suricata's tests: how many events with which fields.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Table, files, name, seen};

/// One filter of a test: how many events with these fields.
fn filters(yaml: &str) -> Vec<(usize, BTreeMap<String, String>)> {
    let mut filters = Vec::new();
    for part in yaml.split("- filter:").skip(1) {
        let mut count = 1;
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last = String::new();
        for line in part.lines().take_while(|line| !line.trim_start().starts_with("- ")) {
            let Some((key, value)) =
                line.trim().split_once(": ").or_else(|| Some((line.trim().strip_suffix(':')?, "")))
            else {
                if let Some(value) = fields.get_mut(&last) {
                    // A folded value.
                    *value = format!("{value} {}", line.trim()).trim().trim_matches(['"', '\'']).to_owned();
                }
                continue;
            };
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            match key {
                "count" => count = value.parse().unwrap_or(1),
                _ if !value.is_empty() => {
                    fields.insert(key.to_owned(), value);
                    key.clone_into(&mut last);
                }
                _ => {}
            }
        }
        filters.push((count, fields));
    }
    filters
}

/// Filters of events of TLS and QUIC.
pub fn compare(folder: &Path, table: &mut Table) {
    for entry in files(folder, "") {
        let Ok(yaml) = fs::read_to_string(entry.join("test.yaml")) else { continue };
        let other = yaml.lines().find_map(|line| line.strip_prefix("pcap: "));
        let capture = other.map_or_else(|| entry.join("input.pcap"), |path| entry.join(path.trim()));
        if !capture.is_file() {
            continue;
        }
        let filters = filters(&yaml);
        let ours = |fields: &BTreeMap<String, String>| {
            let other = fields.keys().any(|key| key.starts_with("ether."));
            fields.get("event_type").filter(|kind| !other && matches!(kind.as_str(), "tls" | "quic")).cloned()
        };
        if !filters.iter().any(|(_, fields)| ours(fields).is_some()) {
            continue;
        }
        let seen = seen(&capture);
        for (count, fields) in filters {
            let Some(kind) = ours(&fields) else { continue };
            let paths: Vec<_> = fields.iter().filter_map(|(key, value)| Some((path_of(key)?, value))).collect();
            let found = seen
                .iter()
                .filter(|one| one.protocol == kind)
                .filter(|one| paths.iter().all(|(path, value)| same(path, &one.text(path)) == same(path, value)));
            let found = found.count();
            // Several events of a connection are one record here.
            let expected = if kind == "quic" { count.min(1) } else { count };
            let found = if kind == "quic" { found.min(1) } else { found };
            let mut keys: Vec<&str> = paths.iter().map(|(path, _)| path.rsplit("tls.").next().unwrap()).collect();
            if keys.is_empty() {
                keys.push("events");
            }
            for key in keys {
                let file = format!("{} {fields:?}", name(&entry));
                table.compare("suricata", &file, key, &expected.to_string(), Some(found.to_string()));
            }
        }
    }
}

fn path_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "tls.sni" | "quic.sni" => "tls.sni",
        "tls.session_resumed" => "unmapped.resumed",
        "tls.version" => "tls.version",
        "tls.subject" => "tls.certificate.subject",
        "tls.issuerdn" => "tls.certificate.issuer",
        "tls.serial" => "tls.certificate.serial_number",
        "tls.fingerprint" => "tls.certificate.fingerprints",
        "tls.ja3.hash" | "quic.ja3.hash" => "tls.ja3_hash.value",
        "tls.ja3s.hash" | "quic.ja3s.hash" => "tls.ja3s_hash.value",
        "tls.ja4" | "quic.ja4" => "ja4_fingerprint_list",
        "quic.version" => "unmapped.quic_version",
        _ => return None,
    })
}

/// Both tools' writing, made the same.
fn same(path: &str, text: &str) -> String {
    match path {
        "tls.certificate.serial_number" => text.replace(':', "").trim_start_matches("00").to_owned(),
        "tls.certificate.fingerprints" => text.replace(':', "").split(',').next().unwrap().to_owned(),
        "tls.version" if text == "TLSv1" => "1.0".to_owned(),
        "tls.version" => text.trim_start_matches("TLSv").trim_start_matches("TLS ").replace(" draft-", "-draft"),
        "tls.certificate.subject" | "tls.certificate.issuer" => {
            let text = text.replace("\\,", "\u{1}").replace("emailAddress=", "Email=").replace(", ", ",");
            let text = text.replace('\u{1}', ",");
            let mut parts: Vec<&str> = text.split(',').map(str::trim).collect();
            parts.sort_unstable();
            parts.concat().replace(' ', "")
        }
        _ => text.to_owned(),
    }
}
