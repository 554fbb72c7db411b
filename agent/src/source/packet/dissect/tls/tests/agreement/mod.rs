//! Agreement with `FoxIO`, Arkime, Zeek and Suricata on their own captures, field by field.

mod suricata;
mod zeek;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::capture;
use super::replay::{Seen, replay};

#[test]
fn agrees_with_foxio_arkime_zeek_and_suricata() {
    let Some(corpus) = corpus() else { return println!("skipped: no corpus") };
    let mut table = Table::default();
    foxio(&corpus.join("ja4"), &mut table);
    arkime(&corpus.join("arkime"), &mut table);
    zeek::compare(&corpus.join("zeek"), &mut table);
    suricata::compare(&corpus.join("suricata-verify"), &mut table);
    table.print();
    assert!(table.unexplained.is_empty(), "{:#?}", table.unexplained);
    for field in ["ja4", "sni"] {
        let (same, all) = table.total(field);
        assert!(all > 100 && same * 100 >= all * 99, "{field}: {same} of {all}");
    }
}

/// Why this differs from other tools: a capture or test, the field (empty: all of them), and the reason.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "tls-non-ascii-alpn.pcapng",
        "ja4",
        "FoxIO's programs say 99, its document the digits of the first and last octet",
    ),
    ("arkime_synthetic.pcap [49900, 443]", "", "DTLS"),
    ("cloudshark-dtls1.pcap", "", "DTLS"),
    ("openvpn_synthetic.pcap", "", "TLS inside of OpenVPN's packets"),
    ("arkime_synthetic.pcap [59000, 443]", "notBefore", "its time has a zone, which RFC 5280 forbids"),
    ("arkime_synthetic.pcap [59000, 443]", "notAfter", "its time has a zone, which RFC 5280 forbids"),
    ("protocols.quic.", "established", "Zeek says so of no connection of QUIC"),
    ("quic.vector-max-size-crash", "quic.version", "a version that nobody has been given: not recognized"),
    ("rdp.rdp-x509", "", "certificates of RDP's own security layer, not of TLS"),
    ("ssl.tls-1.2-handshake-failure", "resumed", "without ServerHello nothing is known of it"),
    ("tls__tls13-draft14", "version", "drafts below 16 name themselves 1.3"),
];

#[test]
fn no_capture_of_any_corpus_breaks_an_invariant() {
    let Some(corpus) = corpus() else { return println!("skipped: no corpus") };
    let mut folders = vec![corpus];
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for path in files(&folder, "") {
            let ending = path.extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if matches!(ending, Some("pcap" | "pcapng" | "cap")) {
                seen(&path).iter().for_each(|one| *counts.entry(one.protocol).or_default() += 1);
            }
        }
    }
    println!("{counts:?}");
    assert!(counts["tls"] > 200 && counts["quic"] > 80, "{counts:?}");
}

fn corpus() -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let root = std::env::var_os("PICKET_CORPUS").map_or(shared, PathBuf::from);
    Some(root.join("pcap")).filter(|pcap| pcap.is_dir())
}

/// Counts of agreement, and what differs.
#[derive(Default)]
struct Table {
    /// By corpus and field: the same, explained, all.
    counts: BTreeMap<(&'static str, String), [usize; 3]>,
    explained: Vec<String>,
    unexplained: Vec<String>,
}

impl Table {
    fn compare(&mut self, corpus: &'static str, file: &str, field: &str, expected: &str, got: Option<String>) {
        let [same, explained, all] = self.counts.entry((corpus, field.to_owned())).or_default();
        *all += 1;
        if got.as_deref() == Some(expected) {
            *same += 1;
            return;
        }
        let difference = format!("{corpus} {file} {field}: expected {expected:?}, got {got:?}");
        match EXPLAINED.iter().find(|(of, name, _)| file.contains(of) && (name.is_empty() || *name == field)) {
            Some((.., why)) => {
                *explained += 1;
                self.explained.push(format!("{difference}: {why}"));
            }
            None => self.unexplained.push(difference),
        }
    }

    /// Of a field in all corpora, without what is no TLS over TCP or QUIC: the same and all.
    fn total(&self, field: &str) -> (usize, usize) {
        let other = |line: &&String| {
            line.contains(&format!(" {field}: ")) && (line.ends_with("DTLS") || line.contains("OpenVPN"))
        };
        let counts = self
            .counts
            .iter()
            .filter(|((_, name), _)| name == field || (field, name.as_str()) == ("sni", "server_name"));
        let (same, all) = counts.fold((0, 0), |(same, all), (_, counts)| (same + counts[0], all + counts[2]));
        (same, all - self.explained.iter().filter(other).count())
    }

    fn print(&self) {
        for difference in self.explained.iter().chain(&self.unexplained) {
            println!("{difference}");
        }
        println!("{:<12} {:<24} {:>6} {:>10} {:>6} {:>8}", "corpus", "field", "same", "explained", "of", "percent");
        for ((corpus, field), [same, explained, all]) in &self.counts {
            println!("{corpus:<12} {field:<24} {same:>6} {explained:>10} {all:>6} {:>8.1}", percent(*same, *all));
        }
    }
}

fn percent(same: usize, all: usize) -> f64 {
    100.0 * f64::from(u32::try_from(same).unwrap()) / f64::from(u32::try_from(all).unwrap())
}

fn seen(file: &Path) -> Vec<Seen> {
    replay(&capture::read(file))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_str().is_some_and(|path| path.ends_with(ending)));
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn port(json: &Json) -> u16 {
    json.as_u64().or_else(|| json.as_str()?.parse().ok()).and_then(|port| port.try_into().ok()).unwrap_or(0)
}

/// The JSON that `FoxIO`'s Python says, and the YAML of its Rust.
fn foxio(folder: &Path, table: &mut Table) {
    for path in files(folder, ".expected.python.json") {
        let capture = PathBuf::from(path.to_str().unwrap().replace(".expected.python.json", ""));
        let seen = seen(&capture);
        let Ok(Json::Array(expected)) = serde_json::from_str(&fs::read_to_string(&path).unwrap()) else { continue };
        for flow in expected {
            let Some(ja4) = flow["JA4.1"].as_str().or_else(|| flow["JA4"].as_str()) else { continue };
            let ports = [port(&flow["srcport"]), port(&flow["dstport"])];
            let of = of(&seen, ports, |one| one.text("ja4_fingerprint_list") == ja4);
            table.compare("ja4-python", &name(&capture), "ja4", ja4, of.map(|one| one.text("ja4_fingerprint_list")));
            if let Some(domain) = flow["domain"].as_str() {
                table.compare("ja4-python", &name(&capture), "sni", domain, of.map(|one| one.text("tls.sni")));
            }
        }
    }
    for path in files(folder, ".expected.rust.snap.yaml") {
        let capture = PathBuf::from(path.to_str().unwrap().replace(".expected.rust.snap.yaml", ""));
        let seen = seen(&capture);
        for flow in fs::read_to_string(&path).unwrap().split("\n- stream:").skip(1) {
            let field = |name: &str| flow.lines().find_map(|line| line.strip_prefix(&format!("  {name}: ")));
            let Some(ja4) = field("ja4") else { continue };
            let ports = ["src_port", "dst_port"].map(|name| field(name).unwrap().parse().unwrap());
            let of = of(&seen, ports, |one| one.text("ja4_fingerprint_list") == ja4);
            table.compare("ja4-rust", &name(&capture), "ja4", ja4, of.map(|one| one.text("ja4_fingerprint_list")));
            if let Some(domain) = field("tls_server_name") {
                table.compare("ja4-rust", &name(&capture), "sni", domain, of.map(|one| one.text("tls.sni")));
            }
        }
    }
}

/// The record of a flow with these ports: the best, when there are several.
fn of(seen: &[Seen], ports: [u16; 2], best: impl Fn(&Seen) -> bool) -> Option<&Seen> {
    let all = || {
        seen.iter().filter(|one| {
            let own = [one.client.port(), one.server.port()];
            own == ports || own == [ports[1], ports[0]]
        })
    };
    all().find(|one| best(one)).or_else(|| all().next())
}

fn arkime(folder: &Path, table: &mut Table) {
    for path in files(folder, ".test") {
        let capture = path.with_extension("pcap");
        let seen = seen(&capture);
        let json: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for session in json["sessions3"].as_array().unwrap() {
            let body = &session["body"];
            let tls = &body["tls"];
            if tls.is_null() {
                continue;
            }
            let ports = [port(&body["source"]["port"]), port(&body["destination"]["port"])];
            let one = |field: &str| tls[field].as_array().filter(|all| all.len() == 1).and_then(|all| all[0].as_str());
            let of = of(&seen, ports, |seen| one("ja3").is_none_or(|ja3| seen.text("tls.ja3_hash.value") == ja3));
            let fields = [
                ("ja3", "tls.ja3_hash.value"),
                ("ja3s", "tls.ja3s_hash.value"),
                ("ja4", "ja4_fingerprint_list"),
                ("cipher", "tls.cipher"),
                ("version", "tls.version"),
            ];
            let file = format!("{} {ports:?}", name(&capture));
            for (field, path) in fields {
                let Some(expected) = one(field) else { continue };
                let expected = expected.strip_prefix("TLSv").unwrap_or(expected).replace("draft-", "draft");
                let expected = if expected == "1" { "1.0".to_owned() } else { expected };
                table.compare("arkime", &file, field, &expected, of.map(|seen| seen.text(path)));
            }
            let Some(certificates) = body["cert"].as_array() else { continue };
            for certificate in certificates {
                let sha1 = certificate["hash"].as_str().unwrap().replace(':', "");
                let leaf = of.filter(|seen| seen.text("tls.certificate.fingerprints").starts_with(&sha1));
                if leaf.is_none() && certificates.len() > 1 {
                    // Only the first certificate's facts are told; Arkime sorts by nothing.
                    continue;
                }
                table.compare("arkime", &file, "certificate", &sha1, leaf.map(|_| sha1.clone()));
                let Some(leaf) = leaf else { continue };
                let serial = certificate["serial"].as_str().unwrap().to_uppercase();
                let serial = serial.strip_prefix("00").unwrap_or(&serial);
                table.compare("arkime", &file, "serial", serial, Some(leaf.text("tls.certificate.serial_number")));
                for (field, path) in [("notBefore", "created_time"), ("notAfter", "expiration_time")] {
                    let expected = certificate[field].as_i64().unwrap().to_string();
                    table.compare(
                        "arkime",
                        &file,
                        field,
                        &expected,
                        Some(leaf.text(&format!("tls.certificate.{path}"))),
                    );
                }
                for (field, path) in [("subjectCN", "subject"), ("issuerCN", "issuer")] {
                    let Some(expected) = certificate[field][0].as_str() else { continue };
                    let got = leaf.text(&format!("tls.certificate.{path}")).to_lowercase();
                    let got = got.split(',').find_map(|part| part.strip_prefix("cn=")).unwrap_or("").to_owned();
                    table.compare("arkime", &file, field, expected, Some(got));
                }
            }
        }
    }
}
