//! Suricata's own tests: how many events with which fields a capture gives.
//!
//! A filter whose every field has its like here must find as many records, another at least as many: what it asks for
//! beside that (rules, states of the engine) is Suricata's own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use picket_tests::harness::corpus;

use shared::record::Value;

use super::{Agreement, Record, records, text, texts};

/// What a filter asks for, by field.
type Fields = BTreeMap<String, String>;

/// What a test asks for that is another view on purpose: its name, the kind of event, which of its filters, and why.
type OtherView = (&'static str, &'static str, fn(&Fields) -> bool, &'static str);

const OTHER_VIEW: &[OtherView] = &[
    (
        "decode-erspan-typeI",
        "flow",
        |fields| !fields.contains_key("src_ip"),
        "filters that count flows whose two ways have different VLANs, which are two there",
    ),
    (
        "vxlan-decoder-03",
        "flow",
        |fields| is_value(fields, "dest_port", "4789"),
        "filters that count UDP which was silent for 30 s, which is two flows there",
    ),
    (
        "decode-teredo-01",
        "flow",
        |fields| fields.contains_key("icmp_type"),
        "filters of a flow whose answer came through Teredo on a relay's own port, which is not followed there",
    ),
    ("dns-over-http2", "dns", |_| true, "filters of DNS in HTTP/2, which is not read"),
    ("dns-truncated-rname", "dns", |_| true, "filters of DNS on a port that only a setting of the test names"),
];
/// Tests that set a seed for Community IDs: their ids cannot be ours.
const SEEDED: &[&str] = &["community-id-ipv6"];
/// How long a connection that is over still takes packets there (`flow-timeouts.tcp.closed` of the stock settings).
const CLOSED_MS: u64 = 60_000;

/// One filter of a test: how many events with these fields.
struct Filter {
    count: usize,
    fields: Fields,
}

fn filters(yaml: &str) -> Vec<Filter> {
    let one = |part: &str| {
        let mut filter = Filter { count: 1, fields: BTreeMap::new() };
        let mut last = String::new();
        for line in part.lines().take_while(|line| !line.trim_start().starts_with("- ")) {
            let line = line.trim();
            let Some((key, value)) = line.split_once(": ") else {
                // A value that goes on in the next line.
                let goes_on = !line.is_empty() && !line.ends_with(':') && !line.starts_with('#');
                filter.fields.get_mut(&last).filter(|_| goes_on).into_iter().for_each(|value| {
                    value.push(' ');
                    value.push_str(line);
                });
                continue;
            };
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            key.clone_into(&mut last);
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
            let same = |one: &String| {
                one == value || ip(one).is_some() && ip(one) == ip(value) || bytes(one) == escaped(value)
            };
            texts(record, "answers", "rdata").iter().any(same)
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

fn is_value(fields: &Fields, key: &str, value: &str) -> bool {
    fields.get(key).is_some_and(|one| one == value)
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Data of an unknown type, `\\# 2 6100`, as bytes.
fn bytes(rdata: &str) -> Option<Vec<u8>> {
    let digits = rdata.strip_prefix("\\# ")?.split_once(' ')?.1;
    let pairs = digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect()
}

/// The same as events write it there: `a\\u0000`, `\\\\xff`.
fn escaped(value: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::new(), value);
    while let Some(first) = rest.chars().next() {
        let code = rest.strip_prefix("\\u00").or(rest.strip_prefix("\\\\x")).and_then(|code| code.split_at_checked(2));
        match code {
            Some((digits, behind)) => {
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = behind;
            }
            None => {
                bytes.push(u8::try_from(first).ok()?);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    Some(bytes)
}

/// Flows with what came after their end, within the time in which it still belongs to them there; where nothing was said
/// before the end, with what came in the other direction.
fn with_stragglers(records: &[Record]) -> Vec<Record> {
    let time = |record: &Record, key: &str| match record.get(key) {
        Some(Value::Time(at)) => u64::try_from(at.0 / 1_000_000).unwrap_or(0),
        _ => 0,
    };
    let mut flows: Vec<Record> = Vec::new();
    for record in records.iter().filter(|record| is_kind(record, "flow")) {
        let id = text(record, "connection_info.community_uid");
        let before = flows.iter_mut().find(|flow| {
            let silence = time(record, "start_time").saturating_sub(time(flow, "end_time"));
            let begins = text(record, "connection_info.flag_history").to_lowercase().contains('s');
            text(flow, "connection_info.community_uid") == id && !begins && silence <= CLOSED_MS
        });
        let Some(before) = before else {
            flows.push(record.clone());
            continue;
        };
        let turned = text(before, "src_endpoint.ip") != text(record, "src_endpoint.ip");
        for (ours, its) in
            [("traffic.packets_out", "traffic.packets_in"), ("traffic.packets_in", "traffic.packets_out")]
        {
            let count = |record: &Record, key| text(record, key).parse::<u64>().unwrap_or(0);
            let sum = count(before, ours) + count(record, if turned { its } else { ours });
            before.insert(ours.to_owned(), Value::U64(sum));
        }
        before.insert("end_time".to_owned(), record["end_time"].clone());
    }
    flows
}

/// The record as seen from the end that sends there.
fn as_sent(record: &Record, fields: &Fields) -> Record {
    let mut record = record.clone();
    let ours = text(&record, "src_endpoint.ip");
    let (from, port) = (fields.get("src_ip"), fields.get("src_port"));
    let other = from.is_some_and(|from| ip(from) != ip(&ours))
        || port.is_some_and(|port| *port != text(&record, "src_endpoint.port"));
    if other
        && let (Some(out), Some(back)) = (record.remove("traffic.packets_out"), record.remove("traffic.packets_in"))
    {
        record.insert("traffic.packets_out".to_owned(), back);
        record.insert("traffic.packets_in".to_owned(), out);
    }
    record
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
    let (name, flows) = (entry.file_name().unwrap().to_string_lossy().into_owned(), with_stragglers(&records));
    for Filter { count, mut fields } in filters {
        let kind = fields["event_type"].clone();
        if let Some((.., reason)) =
            OTHER_VIEW.iter().find(|(test, of, which, _)| name.contains(test) && kind == *of && which(&fields))
        {
            agreement.skip(reason);
            continue;
        }
        if fields.contains_key("lt-version") {
            agreement.skip("filters of an older version beside those of the newest");
            continue;
        }
        if SEEDED.contains(&&*name) && fields.remove("community_id").is_some() {
            agreement.skip("Community IDs of another seed, whose flows are compared without them");
        }
        if fields.keys().any(|key| key.contains("http2")) || fields.values().any(|value| value == "HTTP/2") {
            agreement.skip("filters of HTTP/2");
            continue;
        }
        if count == 0 {
            agreement.skip("filters of events that a setting keeps away");
            continue;
        }
        let mut own = false;
        let all = if kind == "flow" { &flows } else { &records };
        let found = all
            .iter()
            .filter(|record| is_kind(record, &kind))
            .map(|record| as_sent(record, &fields))
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
        let whence = format!("{name} {fields:?}");
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
    agreement.hold(
        "suricata",
        &[("dns events", 100.0), ("flow events", 100.0), ("http events", 100.0), ("ssh events", 100.0)],
    );
}
