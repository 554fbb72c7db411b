//! Captures without expectations: each protocol that tshark names in one, and that is ours, has a record.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use picket_tests::harness::corpus;

use super::{Agreement, Record, records, text};

/// Whether a record is of a protocol.
type Is = fn(&Record) -> bool;

fn named(record: &Record, name: &str) -> bool {
    text(record, "app_protocol_name") == name
}

fn carried(record: &Record, name: &str) -> bool {
    text(record, "connection_info.protocol_name") == name
}

/// Protocols as tshark calls them.
const OURS: &[(&str, Is)] = &[
    ("tcp", |record| carried(record, "tcp")),
    ("udp", |record| carried(record, "udp")),
    ("icmp", |record| carried(record, "icmp")),
    ("icmpv6", |record| carried(record, "ipv6-icmp")),
    ("arp", |record| record.contains_key("unmapped.arp_operation") || named(record, "arp")),
    ("dns", |record| text(record, "class_uid") == "4003"),
    ("mdns", |record| text(record, "class_uid") == "4003"),
    ("llmnr", |record| text(record, "class_uid") == "4003"),
    ("http", |record| text(record, "class_uid") == "4002"),
    ("dhcp", |record| text(record, "class_uid") == "4004"),
    ("ssh", |record| text(record, "class_uid") == "4007"),
    ("ntp", |record| text(record, "class_uid") == "4013"),
    ("tls", |record| named(record, "tls") || record.contains_key("tls.version")),
    ("quic", |record| named(record, "quic")),
    ("smb", |record| named(record, "smb")),
    ("smb2", |record| named(record, "smb")),
    ("isakmp", |record| named(record, "ike")),
    ("sip", |record| named(record, "sip")),
    ("mqtt", |record| named(record, "mqtt")),
];

/// Captures that no other test here compares.
fn captures() -> Vec<PathBuf> {
    let Some(root) = corpus("pcap") else { return Vec::new() };
    let index = std::fs::read_to_string(root.join("zeek/INDEX.tsv")).unwrap();
    let compared = ["conn.log", "dns.log", "http.log", "ssl.log", "ssh.log"];
    let with_log = |trace: &str| {
        index.lines().any(|line| {
            let mut columns = line.split('\t').skip(1);
            columns.next() == Some(trace)
                && columns.next().is_some_and(|logs| logs.split(',').any(|log| compared.contains(&log)))
        })
    };
    let (mut found, mut folders) = (Vec::new(), vec![root.join("tcpdump"), root.join("zeek/traces")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let of_zeek = path.strip_prefix(root.join("zeek/traces")).ok().and_then(Path::to_str);
            if path.is_dir() {
                folders.push(path);
            } else if of_zeek.is_none_or(|trace| !with_log(trace)) {
                found.push(path);
            }
        }
    }
    found.sort();
    // tshark takes a quarter of a second to begin: one in eight, unless all are asked for.
    let step = if std::env::var_os("PICKET_TSHARK_ALL").is_some() { 1 } else { 8 };
    found.into_iter().step_by(step).collect()
}

#[test]
fn each_protocol_that_tshark_names_has_a_record() {
    if !Command::new("tshark")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|is| is.success())
    {
        return println!("skipped: no tshark");
    }
    let mut agreement = Agreement::default();
    let captures = captures();
    for capture in &captures {
        let Some(records) = records(capture) else { continue };
        let mut command = Command::new("tshark");
        command.args(["-n", "-r"]).arg(capture).args(["-T", "fields", "-e", "frame.protocols"]);
        let out = command.stderr(Stdio::null()).output().unwrap();
        let whence = capture.file_name().unwrap().to_string_lossy().into_owned();
        for (theirs, is) in OURS {
            let names = |line: &str| line.split(':').any(|name| name == *theirs);
            // What an ICMP error quotes is of no flow here.
            let whole = |line: &str| names(line) && !line.contains("icmp:ip") && !line.contains("icmpv6:ip");
            if String::from_utf8_lossy(&out.stdout)
                .lines()
                .any(|line| whole(line) || names(line) && theirs.starts_with("icmp"))
            {
                let found = records.iter().any(is);
                agreement.compare(theirs, &whence, theirs, if found { theirs } else { "" });
            }
        }
    }
    // Of a mixed set of captures the carriers are always there.
    let floors: &[(&str, f64)] = if captures.is_empty() { &[] } else { &[("tcp", 99.0), ("udp", 94.0)] };
    agreement.hold("tshark", floors);
}
