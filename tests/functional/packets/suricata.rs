//! Suricata's own tests: how many events with which fields a capture gives.
//!
//! A filter whose every field has its like here must find as many records, another at least as many: what it asks for
//! beside that (rules, states of the engine) is Suricata's own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use picket_tests::harness::corpus;

use super::{Agreement, Record, records, text, texts};

/// One filter of a test: how many events with these fields.
struct Filter {
    count: usize,
    fields: BTreeMap<String, String>,
}

fn filters(yaml: &str) -> Vec<Filter> {
    let one = |part: &str| {
        let mut filter = Filter { count: 1, fields: BTreeMap::new() };
        for line in part.lines().take_while(|line| !line.trim_start().starts_with("- ")) {
            let Some((key, value)) = line.trim().split_once(": ") else { continue };
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            match key {
                "count" => filter.count = value.parse().unwrap_or(1),
                _ => drop(filter.fields.insert(key.to_owned(), value)),
            }
        }
        filter
    };
    yaml.split("- filter:").skip(1).map(one).collect()
}

/// Whether a record agrees with a field of an event; none where there is nothing like it here.
fn agrees(record: &Record, key: &str, value: &str) -> Option<bool> {
    let is = |path: &str| {
        let ours = text(record, path);
        let same_ip = || Some(value.parse::<IpAddr>().ok()? == ours.parse::<IpAddr>().ok()?);
        ours.eq_ignore_ascii_case(value) || same_ip().unwrap_or(false)
    };
    Some(match key {
        "src_ip" => is("src_endpoint.ip") || is("dst_endpoint.ip"),
        "dest_ip" => is("dst_endpoint.ip") || is("src_endpoint.ip"),
        // Answers of DNS are events of their own there, from the server.
        "src_port" => is("src_endpoint.port") || is("dst_endpoint.port"),
        "dest_port" => is("dst_endpoint.port") || is("src_endpoint.port"),
        "proto" => value.to_lowercase() == text(record, "connection_info.protocol_name"),
        "app_proto" if ["http", "dns", "ssh", "tls", "dhcp", "quic", "ntp", "smb", "ftp", "smtp"].contains(&value) => {
            is("app_protocol_name")
        }
        "flow.pkts_toserver" => is("traffic.packets_out"),
        "flow.pkts_toclient" => is("traffic.packets_in"),
        "community_id" => is("connection_info.community_uid"),
        // An answer that nobody asked for is activity 2, a question without one activity 1.
        "dns.type" if ["query", "request"].contains(&value) => !is_activity(record, "2"),
        "dns.type" => !is_activity(record, "1"),
        "dns.id" => is("query.packet_uid"),
        "dns.rrname" | "dns.queries[0].rrname" => is("query.hostname"),
        "dns.rrtype" | "dns.queries[0].rrtype" => is("query.type"),
        "dns.rcode" => is("rcode"),
        _ if key.starts_with("dns.answers[") && key.ends_with("rdata") => {
            texts(record, "answers", "rdata").iter().any(|one| one == value)
        }
        "http.http_method" => is("http_request.http_method"),
        "http.url" => is("http_request.url.url_string") || text(record, "http_request.url.path") == value,
        "http.hostname" => is("http_request.url.hostname"),
        "http.http_user_agent" => is("http_request.user_agent"),
        "http.status" => is("http_response.code"),
        "http.protocol" => {
            is("http_request.version") || format!("HTTP/{}", text(record, "http_request.version")) == value
        }
        "ssh.client.software_version" => text(record, "unmapped.client_banner").contains(value),
        "ssh.server.software_version" => text(record, "unmapped.server_banner").contains(value),
        "ssh.client.hassh.hash" => is("client_hassh.fingerprint.value"),
        "ssh.server.hassh.hash" => is("server_hassh.fingerprint.value"),
        _ => return None,
    })
}

fn is_activity(record: &Record, activity: &str) -> bool {
    text(record, "activity_id") == activity
}

/// Fields that say what kind of event it is and nothing else.
const OF_THE_EVENT: &[&str] = &["event_type", "dns.version", "version", "min-version", "lt-version"];

fn is_kind(record: &Record, kind: &str) -> bool {
    match kind {
        "dns" => text(record, "class_uid") == "4003",
        "http" => text(record, "class_uid") == "4002",
        "ssh" => text(record, "class_uid") == "4007",
        _ => record.contains_key("unmapped.end_reason"),
    }
}

fn compare(agreement: &mut Agreement, entry: &Path) {
    let Ok(yaml) = std::fs::read_to_string(entry.join("test.yaml")) else { return };
    let other = yaml.lines().find_map(|line| line.strip_prefix("pcap: "));
    let capture = other.map_or_else(|| entry.join("input.pcap"), |path| entry.join(path.trim()));
    let filters: Vec<Filter> = filters(&yaml)
        .into_iter()
        .filter(|filter| {
            filter.fields.get("event_type").is_some_and(|kind| ["dns", "http", "ssh", "flow"].contains(&&**kind))
        })
        .collect();
    if filters.is_empty() {
        return;
    }
    let Some(records) = records(&capture) else { return };
    for Filter { count, fields } in filters {
        let kind = fields["event_type"].clone();
        if fields.keys().any(|key| key.contains("http2")) || fields.values().any(|value| value == "HTTP/2") {
            agreement.skip("filters of HTTP/2");
            continue;
        }
        if count == 0 {
            agreement.skip("filters of events that a setting keeps away");
            continue;
        }
        let mut own = false;
        let of_all = records.iter().filter(|record| is_kind(record, &kind));
        let found = of_all
            .filter(|record| {
                fields.iter().filter(|(key, _)| !OF_THE_EVENT.contains(&key.as_str())).all(|(key, value)| {
                    let agrees = agrees(record, key, value);
                    own |= agrees.is_none();
                    agrees.unwrap_or(true)
                })
            })
            .count();
        // A question and its answer are one record here.
        let both = kind == "dns" && !fields.contains_key("dns.type") && found <= count && count <= 2 * found;
        let found = if own { found.min(count) } else { found };
        let found = if both { count } else { found };
        let whence = format!("{} {fields:?}", entry.file_name().unwrap().to_string_lossy());
        agreement.compare(&format!("{kind} events"), &whence, &count.to_string(), &found.to_string());
    }
}

#[test]
fn events_are_those_of_suricata() {
    let Some(folder) = corpus("pcap/suricata-verify") else { return };
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let mut agreement = Agreement::default();
    entries.iter().for_each(|entry| compare(&mut agreement, entry));
    agreement
        .hold("suricata", &[("dns events", 82.0), ("flow events", 84.0), ("http events", 86.0), ("ssh events", 100.0)]);
}
