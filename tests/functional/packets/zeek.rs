//! Zeek's own tests: captures, and the logs that Zeek writes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use picket_tests::harness::corpus;

use super::{Agreement, Record, ends, records, text, texts};

/// A row of a log: values by field.
type Row = BTreeMap<String, String>;

/// A log that is the baseline of a test.
struct Baseline {
    test: String,
    capture: PathBuf,
    rows: Vec<Row>,
}

/// Tunnels that are not followed, as captures and tests are called.
const NOT_FOLLOWED: &[&str] = &["ayiya", "gtp", "gre-over-udp", "vntag"];

/// Tests that bring an analyzer, a packet filter or the keys of the session.
const OF_THEIR_OWN: &[&str] = &["spicy.", "netcontrol.packetfilter", "ssl.decryption"];

/// How answers begin or what they contain that Zeek does not write as zone files do.
const OWN_WORDS: &[&str] = &["RRSIG", "NSEC3PARAM", "BIND9 signing", "pre: "];

/// Captures of which Zeek tells something else on purpose: the test, its fields (all where there are none), and why.
const OTHER_VIEW: &[(&str, &[&str], &str)] = &[
    ("dns.dynamic-update", &["query"], "names of records to be updated: here the zone is the question"),
    ("teredo_bubble", &["response_body_len"], "lengths of bodies after decompression"),
    ("http-pipelining", &["response_body_len"], "lengths of bodies after decompression"),
    ("missing-zlib-header", &["response_body_len"], "lengths of bodies after decompression"),
    ("x-gzip", &["response_body_len"], "lengths of bodies after decompression"),
];

/// Why a field of a row is not compared.
fn other_view(test: &str, field: &str, row: &Row) -> Option<&'static str> {
    // Of a request without a version Zeek reads the answer as all body, here its head is read.
    let no_head = get(row, "version") == Some("0.9") && ["status_code", "response_body_len"].contains(&field);
    let of = |(name, fields, _): &&(&str, &[&str], &'static str)| {
        test.contains(name) && (fields.is_empty() || fields.contains(&field))
    };
    let listed = OTHER_VIEW.iter().find(of).map(|(.., reason)| *reason);
    listed.or(no_head.then_some("answers to requests without a version, read as all body"))
}

/// Services as Zeek calls them, and their names here.
const SERVICES: &[(&str, &str)] = &[
    ("dns", "dns"),
    ("http", "http"),
    ("ssh", "ssh"),
    ("ssl", "tls"),
    ("dhcp", "dhcp"),
    ("quic", "quic"),
    ("ntp", "ntp"),
    ("smb", "smb"),
    ("smtp", "smtp"),
    ("ftp", "ftp"),
    ("irc", "irc"),
    ("xmpp", "xmpp"),
    ("redis", "redis"),
    ("mysql", "mysql"),
    ("postgresql", "postgresql"),
    ("ldap_tcp", "ldap"),
    ("ldap_udp", "ldap"),
    ("krb", "kerberos"),
    ("krb_tcp", "kerberos"),
    ("dce_rpc", "dce_rpc"),
    ("rdp", "rdp"),
    ("snmp", "snmp"),
    ("sip", "sip"),
];

/// A value; none where the log lacks the field or says `-`.
fn get<'r>(row: &'r Row, field: &str) -> Option<&'r str> {
    row.get(field).map(String::as_str).filter(|value| *value != "-")
}

/// The rows of a log; a part of one (`zeek-cut -m`) has its fields on the first line, without a word before them.
fn rows(log: &Path) -> Vec<Row> {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let (mut names, mut rows): (Vec<String>, Vec<Row>) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let values = line.split('\t').map(str::to_owned);
        if let Some(fields) = line.strip_prefix("#fields\t") {
            names = fields.split('\t').map(str::to_owned).collect();
        } else if line.starts_with('#') {
        } else if names.is_empty() {
            names = values.collect();
        } else {
            rows.push(names.iter().cloned().zip(values).collect());
        }
    }
    rows
}

/// Every test with this log as a baseline that other settings than the stock ones do not change.
fn baselines(log: &str, agreement: &mut Agreement) -> Vec<Baseline> {
    let Some(folder) = corpus("pcap/zeek") else { return Vec::new() };
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let mut found = Vec::new();
    for line in index.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [test, trace, logs, _, command] = columns.as_slice() else { continue };
        if !logs.split(',').any(|known| known == log) {
            continue;
        }
        if NOT_FOLLOWED.iter().any(|tunnel| trace.contains(tunnel) || test.contains(tunnel)) {
            agreement.skip("logs of tunnels that are not followed (AYIYA, GTP, GRE in UDP, VN-Tag)");
            continue;
        }
        if OF_THEIR_OWN.iter().any(|own| test.contains(own)) {
            agreement.skip("logs of an analyzer, a packet filter or keys of the test's own");
            continue;
        }
        if command.contains("-f ") || command.contains("::") {
            agreement.skip("logs of a filter or a setting of the test's own");
            continue;
        }
        let rows = rows(&folder.join("baseline").join(test).join(log));
        let capture = folder.join("traces").join(trace);
        found.push(Baseline { test: (*test).to_owned(), capture, rows });
    }
    found
}

/// Client and server of a row; none where they were cut from it.
fn row_ends(row: &Row) -> Option<String> {
    let mut ends = Vec::new();
    for key in ["id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"] {
        ends.push(get(row, key)?);
    }
    Some(ends.join(" "))
}

/// Why a row of conn.log is not compared.
fn unlike(row: &Row) -> Option<&'static str> {
    let service = get(row, "service").unwrap_or_default();
    let nothing = get(row, "orig_pkts") == Some("0") && get(row, "resp_pkts") == Some("0");
    if nothing && get(row, "history").is_some_and(|history| history.contains('C')) {
        return Some("flows of packets with wrong checksums, which are not counted there");
    }
    if row_ends(row).is_none() {
        return Some("flows whose ends were cut from the log");
    }
    if ["ayiya", "gtpv1"].iter().any(|tunnel| service.split(',').any(|one| one == *tunnel)) {
        return Some("flows of tunnels that are not followed");
    }
    None
}

#[test]
fn flows_are_those_of_zeek() {
    let mut agreement = Agreement::default();
    for Baseline { test, capture, rows } in baselines("conn.log", &mut agreement) {
        let Some(records) = records(&capture) else { continue };
        // There GRE and IP in IP have a row in tunnel.log and none here.
        let of_tunnel = |record: &Record| ["gre", "erspan", "ipip"].contains(&&*text(record, "app_protocol_name"));
        let mut flows: Vec<&Record> =
            records.iter().filter(|record| record.contains_key("unmapped.end_reason") && !of_tunnel(record)).collect();
        if rows.iter().all(|row| unlike(row).is_none()) && !rows.is_empty() {
            agreement.compare("flows", &test, &rows.len().to_string(), &flows.len().to_string());
        }
        for row in &rows {
            match unlike(row) {
                Some(reason) => agreement.skip(reason),
                None => flow(&mut agreement, &test, row, &mut flows),
            }
        }
    }
    agreement.hold(
        "zeek conn",
        &[
            ("flows", 100.0),
            ("ends", 100.0),
            ("orig_pkts", 99.0),
            ("resp_pkts", 99.0),
            ("orig_ip_bytes", 97.0),
            ("resp_ip_bytes", 99.0),
            ("conn_state", 100.0),
            ("service dns", 100.0),
            ("service http", 100.0),
            ("service ssh", 100.0),
            ("service ssl", 100.0),
            ("service dhcp", 100.0),
        ],
    );
}

/// Compares a row with the flow of the same ends that agrees best, which is used up.
fn flow(agreement: &mut Agreement, test: &str, row: &Row, flows: &mut Vec<&Record>) {
    const COUNTS: [(&str, &str); 4] = [
        ("orig_pkts", "traffic.packets_out"),
        ("resp_pkts", "traffic.packets_in"),
        ("orig_ip_bytes", "traffic.bytes_out"),
        ("resp_ip_bytes", "traffic.bytes_in"),
    ];
    let protocol = get(row, "proto").unwrap_or_default();
    // ICMP has types and codes for ports there, and other protocols have none here.
    let ported = ["tcp", "udp", ""].contains(&protocol);
    let ends =
        |all: &str| if ported { all.to_owned() } else { all.split(' ').step_by(2).collect::<Vec<_>>().join(" ") };
    let wanted = ends(&row_ends(row).unwrap_or_default());
    let whence = format!("{test} {protocol} {wanted}");
    let same = |flow: &Record| COUNTS.iter().filter(|(zeek, ours)| get(row, zeek) == Some(&*text(flow, ours))).count();
    let protocol_agrees = |flow: &Record| {
        let ours = text(flow, "connection_info.protocol_name");
        if ported { protocol.is_empty() || ours == protocol } else { !["tcp", "udp"].contains(&&*ours) }
    };
    let candidates =
        (0..flows.len()).filter(|at| protocol_agrees(flows[*at]) && ends(&super::ends(flows[*at])) == wanted);
    let best = candidates.max_by_key(|at| (same(flows[*at]), usize::MAX - *at)).map(|at| flows.remove(at));
    agreement.compare("ends", &whence, &wanted, best.map_or("", |_| &wanted));
    let Some(found) = best else { return };
    for (field, key) in COUNTS {
        if let Some(expected) = get(row, field) {
            agreement.compare(field, &whence, expected, &text(found, key));
        }
    }
    if protocol == "tcp"
        && let Some(state) = get(row, "conn_state")
    {
        let whence = format!("{whence} {}", get(row, "history").unwrap_or("-"));
        agreement.compare("conn_state", &whence, state, &text(found, "unmapped.conn_state"));
    }
    let services: Vec<&str> = get(row, "service").unwrap_or_default().split(',').collect();
    for (known, ours) in SERVICES {
        if services.contains(known) {
            // Of a tunnel by CONNECT it names both, here the one that asked for it stands.
            let named = text(found, "app_protocol_name");
            let one = SERVICES.iter().any(|(theirs, name)| services.contains(theirs) && named == *name);
            agreement.compare(&format!("service {known}"), &whence, ours, if one { ours } else { &named });
        }
    }
}

/// A value without what only the way of writing it differs in.
fn plain(field: &str, value: &str) -> String {
    match field {
        // The header field's value there, the name alone here.
        "host" => value.rsplit_once(':').map_or(value, |(name, _)| name).to_owned(),
        // Without percent signs there.
        "uri" if value == "(empty)" => String::new(),
        "uri" => unescaped(value),
        "qtype_name" => value.replace("query-", "TYPE"),
        // `TXT 3 abc` there, `"abc"` here.
        "answers" => {
            let words: Vec<&str> = value.split([' ', ',']).collect();
            let length = |at: usize| words.get(at).is_some_and(|word| word.parse::<u16>().is_ok());
            let kind = |at: usize| ["TXT", "SPF"].contains(&words[at]) && length(at + 1);
            let kept = (0..words.len()).filter(|at| !kind(*at) && (*at == 0 || !kind(*at - 1)));
            kept.map(|at| words[at].replace('"', "")).collect::<Vec<_>>().join(" ")
        }
        // 0 there where nothing answered.
        "request_body_len" | "response_body_len" if value.is_empty() => "0".to_owned(),
        _ => value.to_owned(),
    }
}

/// `%41` and `\x41` as the character.
fn unescaped(value: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let [first, behind @ ..] = rest {
        let digits = match (first, behind) {
            (b'%', digits) | (b'\\', [b'x', digits @ ..]) => digits.get(..2),
            _ => None,
        };
        let number = digits.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(number.unwrap_or(*first));
        rest = if number.is_none() {
            behind
        } else if *first == b'%' {
            &behind[2..]
        } else {
            &behind[3..]
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Compares the rows of a log with the records of a class, by the fields that `ours` makes of a record.
fn compare(log: &str, class: &str, fields: &[&str], ours: fn(&Record) -> Row) -> Agreement {
    let mut agreement = Agreement::default();
    for Baseline { test, capture, rows } in baselines(log, &mut agreement) {
        let Some(records) = records(&capture) else { continue };
        let mut told: Vec<(String, Row)> = records
            .iter()
            .filter(|record| text(record, "class_uid") == class)
            .map(|record| (ends(record), ours(record)))
            .filter(|(_, row)| !row.is_empty())
            .collect();
        for row in &rows {
            if log == "http.log"
                && row.contains_key("method")
                && get(row, "method").is_none()
                && get(row, "status_code").is_none_or(|code| code == "0")
            {
                agreement.skip("rows of HTTP with neither a request nor a status");
                continue;
            }
            let wanted = row_ends(row);
            let whence = format!("{test} {}", wanted.as_deref().unwrap_or("-"));
            let score = |one: &Row| {
                fields
                    .iter()
                    .filter(|field| {
                        get(row, field).is_some_and(|value| {
                            one.get(**field).is_some_and(|ours| plain(field, ours) == plain(field, value))
                        })
                    })
                    .count()
            };
            let candidates = (0..told.len()).filter(|at| wanted.as_ref().is_none_or(|wanted| told[*at].0 == *wanted));
            let best = candidates.max_by_key(|at| (score(&told[*at].1), usize::MAX - *at)).map(|at| told.remove(at).1);
            for field in fields {
                if let Some(expected) = get(row, field) {
                    if let Some(reason) = other_view(&test, field, row) {
                        agreement.skip(reason);
                        continue;
                    }
                    if *field == "answers" && OWN_WORDS.iter().any(|word| expected.contains(word)) {
                        agreement.skip("answers in words of Zeek's own (RRSIG, NSEC3PARAM, updates)");
                        continue;
                    }
                    let found = best.as_ref().and_then(|one| one.get(*field)).map_or("", String::as_str);
                    agreement.compare(field, &whence, &plain(field, expected), &plain(field, found));
                }
            }
        }
    }
    agreement
}

fn row<const N: usize>(values: [(&str, String); N]) -> Row {
    values.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

#[test]
fn dns_is_that_of_zeek() {
    let fields = ["query", "qtype_name", "rcode_name", "trans_id", "answers"];
    let agreement = compare("dns.log", "4003", &fields, |record| {
        row([
            ("query", text(record, "query.hostname")),
            ("qtype_name", text(record, "query.type")),
            ("rcode_name", text(record, "rcode").to_uppercase()),
            ("trans_id", text(record, "query.packet_uid")),
            ("answers", texts(record, "answers", "rdata").join(",")),
        ])
    });
    agreement.hold(
        "zeek dns",
        &[("query", 100.0), ("qtype_name", 100.0), ("rcode_name", 100.0), ("trans_id", 100.0), ("answers", 100.0)],
    );
}

#[test]
fn http_is_that_of_zeek() {
    let fields = ["method", "host", "uri", "status_code", "user_agent", "request_body_len", "response_body_len"];
    let agreement = compare("http.log", "4002", &fields, |record| {
        row([
            ("method", text(record, "http_request.http_method")),
            ("host", text(record, "http_request.url.hostname")),
            ("uri", text(record, "http_request.url.url_string")),
            ("status_code", text(record, "http_response.code")),
            ("user_agent", text(record, "http_request.user_agent")),
            ("request_body_len", text(record, "http_request.body_length")),
            ("response_body_len", text(record, "http_response.body_length")),
        ])
    });
    agreement.hold(
        "zeek http",
        &[
            ("method", 100.0),
            ("host", 100.0),
            ("uri", 100.0),
            ("status_code", 100.0),
            ("user_agent", 100.0),
            ("request_body_len", 100.0),
            ("response_body_len", 98.0),
        ],
    );
}

#[test]
fn ssh_is_that_of_zeek() {
    let fields = ["client", "server", "cipher_alg", "kex_alg", "host_key_alg", "mac_alg"];
    let agreement = compare("ssh.log", "4007", &fields, |record| {
        row([
            ("client", text(record, "unmapped.client_banner")),
            ("server", text(record, "unmapped.server_banner")),
            ("cipher_alg", text(record, "unmapped.cipher")),
            ("kex_alg", text(record, "unmapped.kex")),
            ("host_key_alg", text(record, "unmapped.host_key")),
            ("mac_alg", text(record, "unmapped.mac")),
        ])
    });
    agreement.hold(
        "zeek ssh",
        &[
            ("client", 100.0),
            ("server", 100.0),
            ("cipher_alg", 100.0),
            ("kex_alg", 100.0),
            ("host_key_alg", 100.0),
            ("mac_alg", 100.0),
        ],
    );
}

#[test]
fn tls_is_that_of_zeek() {
    let agreement = compare("ssl.log", "4001", &["server_name", "version", "cipher"], |record| {
        let version = text(record, "tls.version");
        if version.is_empty() {
            return Row::new();
        }
        let version = if version.starts_with('1') { format!("TLSv{}", version.replace('.', "")) } else { version };
        row([("server_name", text(record, "tls.sni")), ("version", version), ("cipher", text(record, "tls.cipher"))])
    });
    agreement.hold("zeek ssl", &[("server_name", 100.0), ("version", 100.0), ("cipher", 100.0)]);
}
