//! Zeek's logs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::replay::Seen;
use super::{Table, of, seen};

/// Rows of a Zeek log, by column.
fn rows(log: &str) -> Vec<BTreeMap<&str, &str>> {
    let Some(columns) = log.lines().find_map(|line| line.strip_prefix("#fields\t")) else { return Vec::new() };
    let lines = log.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| columns.split('\t').zip(line.split('\t')).collect()).collect()
}

/// Logs of TLS, certificates and QUIC.
pub fn compare(folder: &Path, table: &mut Table) {
    for line in fs::read_to_string(folder.join("INDEX.tsv")).unwrap().lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let capture = folder.join("traces").join(columns[1]);
        if !["ssl", "x509", "quic"].iter().any(|log| columns[2].contains(log)) {
            continue;
        }
        if !capture.is_file() {
            println!("zeek {}: {} is not in the corpus", columns[0], columns[1]);
            continue;
        }
        let seen = seen(&capture);
        for log in columns[2].split(',') {
            let path = folder.join("baseline").join(columns[0]).join(log);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let rows = rows(&text);
            if log.starts_with("ssl") {
                rows.iter().for_each(|row| ssl(columns[0], row, &seen, table));
            } else if log.starts_with("x509") {
                rows.iter().for_each(|row| x509(columns[0], row, &seen, table));
            } else if log.starts_with("quic") {
                rows.iter().for_each(|row| quic(columns[0], row, &seen, table));
            }
        }
    }
}

fn ssl(test: &str, row: &BTreeMap<&str, &str>, seen: &[Seen], table: &mut Table) {
    let Some(ports) = row.get("id.orig_p").zip(row.get("id.resp_p")) else { return };
    let ports = [ports.0.parse().unwrap(), ports.1.parse().unwrap()];
    let of = of(seen, ports, |_| true);
    let file = format!("{test} {ports:?}");
    let fields = [
        ("version", "tls.version"),
        ("cipher", "tls.cipher"),
        ("curve", "unmapped.curve"),
        ("server_name", "tls.sni"),
        ("next_protocol", "unmapped.alpn"),
        ("resumed", "unmapped.resumed"),
        ("established", "unmapped.established"),
        ("cert_chain_fps", "unmapped.certificate_sha256"),
    ];
    for (field, path) in fields {
        let Some(expected) = row.get(field).filter(|value| !matches!(**value, "-" | "(empty)")) else { continue };
        let expected = match *expected {
            "T" => "true".to_owned(),
            "F" => "false".to_owned(),
            version if field == "version" => match version.strip_prefix("TLSv") {
                Some(digits) if digits.len() == 2 => format!("{}.{}", &digits[..1], &digits[1..]),
                Some(draft) => draft.replace("13-", "1.3-"),
                None => version.to_owned(),
            },
            other => other.to_owned(),
        };
        table.compare("zeek", &file, field, &expected, of.map(|seen| seen.text(path)));
    }
}

fn quic(test: &str, row: &BTreeMap<&str, &str>, seen: &[Seen], table: &mut Table) {
    let Some(ports) = row.get("id.orig_p").zip(row.get("id.resp_p")) else { return };
    let ports = [ports.0.parse().unwrap(), ports.1.parse().unwrap()];
    let of = of(seen, ports, |_| true);
    let fields =
        [("version", "unmapped.quic_version"), ("server_name", "tls.sni"), ("client_protocol", "unmapped.client_alpn")];
    for (field, path) in fields {
        let Some(expected) = row.get(field).filter(|value| !matches!(**value, "-" | "(empty)")) else { continue };
        let expected = expected.strip_prefix("quicv").unwrap_or(expected);
        let got = of.map(|seen| seen.text(path).split(',').next().unwrap().to_owned());
        table.compare("zeek", &format!("{test} {ports:?}"), &format!("quic.{field}"), expected, got);
    }
}

fn x509(test: &str, row: &BTreeMap<&str, &str>, seen: &[Seen], table: &mut Table) {
    let Some(fingerprint) = row.get("fingerprint") else { return };
    if row.get("host_cert") != Some(&"T") {
        return;
    }
    let prints = |seen: &Seen| seen.text("tls.certificate.fingerprints").ends_with(fingerprint);
    let leaf = seen.iter().find(|seen| prints(seen));
    table.compare("zeek", test, "x509.fingerprint", fingerprint, leaf.map(|_| (*fingerprint).to_owned()));
    let Some(leaf) = leaf else { return };
    for (field, path) in
        [("serial", "serial_number"), ("subject", "subject"), ("issuer", "issuer"), ("version", "version")]
    {
        let expected = row[&*format!("certificate.{field}")].replace("\\x", "\\");
        let got = leaf.text(&format!("tls.certificate.{path}"));
        table.compare("zeek", test, &format!("x509.{field}"), &expected, Some(got));
    }
    for (field, path) in [("before", "created_time"), ("after", "expiration_time")] {
        let expected = row[&*format!("certificate.not_valid_{field}")].replace(".000000", "000");
        let got = leaf.text(&format!("tls.certificate.{path}"));
        table.compare("zeek", test, &format!("x509.not_{field}"), &expected, Some(got));
    }
    if let Some(expected) = row.get("san.dns").filter(|names| **names != "-") {
        table.compare("zeek", test, "x509.san", expected, Some(leaf.text("tls.certificate.sans")));
    }
}
