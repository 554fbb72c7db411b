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
    ("vxlan", |record| named(record, "vxlan")),
    ("geneve", |record| named(record, "geneve")),
    ("gre", |record| named(record, "gre") || named(record, "erspan") || carried(record, "gre")),
];

/// Captures of which tshark tells something else: their names, the protocols (all where there are none), and why.
const OTHER_VIEW: &[(&[&str], &[&str], &str)] = &[
    (
        &["arcnet-rfc1051-arp-icmp-http.pcap", "e1000g.pcap", "icmp-icmp_print-oobr-2.pcap"],
        &[],
        "protocols behind a link type that is not read (ARCNET, IPNET of Solaris, Frame Relay)",
    ),
    (&["LINKTYPE_IPV4_invalid.pcap"], &[], "protocols in IPv6 where the link type says IPv4"),
    (&["gtp9_unknown_or_too_short_payload.pcap"], &["tcp", "http"], "protocols in GTP, which is not followed"),
    (&["of13_ericsson.pcapng"], &["udp"], "protocols of packets that messages of OpenFlow quote"),
    (
        &["dns-badlabel.pcap", "dns_fwdptr.pcap", "someip1.pcap", "vector-max-size-crash.pcap"],
        &["dns"],
        "DNS by its port or a guess: opcode 9 or 15, tens of thousands of questions, SOME/IP, QUIC",
    ),
    (&["bootp_asan-2.pcap"], &["dhcp"], "DHCP by its port: neither a request nor a reply"),
    (&["isakmp-delete-segfault.pcap"], &["isakmp"], "ISAKMP by its port: of version 11.14"),
    (&["http-inner-transfer-encoding-ossfuzz.pcap"], &["http"], "HTTP by its port: of version `!.4`"),
    (
        &["nfs-write-verf-cookie.pcapng", "contentline-irc-5k-line.pcap"],
        &["tls"],
        "TLS by a guess: continued data of NFS and IRC",
    ),
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
                let of = |(captures, protocols, _): &&(&[&str], &[&str], &str)| {
                    captures.contains(&&*whence) && (protocols.is_empty() || protocols.contains(theirs))
                };
                if let Some((.., reason)) = OTHER_VIEW.iter().find(of) {
                    agreement.skip(reason);
                    continue;
                }
                let found = records.iter().any(is);
                agreement.compare(theirs, &whence, theirs, if found { theirs } else { "" });
            }
        }
    }
    let floors: Vec<(&str, f64)> = agreement.fields.keys().map(|protocol| (protocol.as_str(), 100.0)).collect();
    agreement.hold("tshark", &floors);
}
