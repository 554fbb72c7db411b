//! Configuration files: any bytes are a configuration or a list of problems, each with its place.

use std::path::Path;

use aggregator::normalize::custom;
use shared::fleet::{Fleet, HostFacts};
use shared::yaml::Problems;

/// What YAML and our files are made of.
pub const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b": ",
    b"- ",
    b"? ",
    b"&a ",
    b"*a",
    b"!t ",
    b"|\n",
    b">-\n",
    b"'",
    b"\"",
    b"\\",
    b"#",
    b"%",
    b"---\n",
    b"...\n",
    b"\t",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\n",
    b"  ",
    b"~",
    b"<<: ",
    b"null",
    b"true",
    b"version: 1\n",
    b"include: ",
    b"**/*",
    b"[!a",
    b"16EiB",
    b"99999999999999999999",
    b"-1",
    b"0x",
    b"1e9",
    b"10s",
    b"180d",
    b"5%",
    b"enabled: false",
    b"match: ",
    b"groups:\n",
    b"sources:\n",
    b"trusted: true",
    b"type: file",
    b"parquet",
];

#[track_caller]
fn assert_said(problems: &Problems) {
    assert!(!problems.listed().is_empty(), "what is refused has a reason");
    for problem in problems.listed() {
        assert!(!problem.to_string().is_empty() && !problem.to_string().contains('\n'), "{problem}");
    }
}

/// `fleet.yaml`.
pub fn fleet(bytes: &[u8]) {
    match Fleet::parse("fleet.yaml", bytes) {
        Err(problems) => assert_said(&problems),
        Ok(fleet) => {
            let pair = |key: &str, value: &str| std::iter::once((key.to_owned(), value.to_owned())).collect();
            for hostname in ["web-1", "", "DB"] {
                let hostname = hostname.to_owned();
                let facts = HostFacts { hostname, claimed: pair("role", "web"), granted: pair("group", "web") };
                if let Err(problems) = fleet.resolve(&facts) {
                    assert_said(&problems);
                }
            }
        }
    }
}

/// `agent.yaml`.
pub fn agent(bytes: &[u8]) {
    match agent::config::parse(Path::new("/etc/picket/agent.yaml"), bytes, "web-1") {
        Err(problems) => assert_said(&problems),
        Ok(loaded) => assert!(loaded.config.state_dir.is_absolute(), "{:?}", loaded.config.state_dir),
    }
}

/// `aggregator.yaml`.
pub fn aggregator(bytes: &[u8]) {
    match aggregator::config::parse(Path::new("/etc/picket/aggregator.yaml"), bytes) {
        Err(problems) => assert_said(&problems),
        Ok(loaded) => assert!(loaded.config.state_dir.is_absolute(), "{:?}", loaded.config.state_dir),
    }
}

/// A file of users' parsers; those that are right read the file's own lines.
pub fn parsers(bytes: &[u8]) {
    match custom::file(Path::new("/etc/picket/parsers.yaml"), bytes) {
        Err(problems) => assert_said(&problems),
        Ok(read) => {
            let mut parsers = custom::Parsers::default();
            parsers.add(read);
            let (problems, _) = parsers.trials();
            assert!(problems.iter().all(|problem| !problem.to_string().contains('\n')), "{problems:?}");
        }
    }
}

/// A fleet with groups.
#[must_use]
pub fn fleet_seeds() -> Vec<Vec<u8>> {
    vec![
        b"version: 1
defaults:
  spool: { max_bytes: 1GiB, lanes: { bulk: { on_full: drop_oldest } } }
  limits: { memory: 64MiB, cpu_percent: 10, bandwidth: 10MiB/s }
  sources:
    system-logs: { type: file, include: [/var/log/auth.log, /var/log/syslog], format: syslog, lane: high }
    host:        { type: host, interval: 60s }
groups:
  - name: web
    match: { hostname: \"web-*\", labels: { role: web } }
    sources:
      nginx-access: { type: file, include: [\"/var/log/nginx/*access*.log\"], exclude: [\"*.gz\"], format: combined, lane: normal }
      app:          { type: file, include: [\"/srv/app/logs/*.log\"], format: json, max_line_bytes: 256KiB, from: end }
      system-logs:  { enabled: false }
  - name: db
    trusted: true
    match: [{ labels: { group: db } }, { hostname: \"DB?\" }]
    sources: { host: null }
"
        .to_vec(),
        b"version: 1\ndefaults: { sources: { a: { type: file, include: [/a/*] } } }\n".to_vec(),
    ]
}

/// A full agent.yaml.
#[must_use]
pub fn agent_seeds() -> Vec<Vec<u8>> {
    vec![
        b"version: 1
aggregators: [agg1.example.net:7443, \"[2001:db8::1]:7443\"]
state_dir: /var/lib/picket-agent
socket: agent.sock
labels: { role: web }
fleet: /etc/picket/fleet.yaml
hostname: web-1
"
        .to_vec(),
    ]
}

/// A file of parsers that uses every key.
#[must_use]
pub fn parsers_seeds() -> Vec<Vec<u8>> {
    vec![
        b"patterns: { ORDER: '[A-Z]{2}-[0-9]+' }
parsers:
  - name: shop
    grok: '^%{NOTSPACE:at} %{WORD:level} login %{WORD:how} user=%{USER:who}( order=%{ORDER:order})?$'
    regex: ['^logout (?<who>\\S+)$']
    class: authentication
    activity: Logon
    static: { service.name: shop, is_remote: true }
    fields:
      at: { path: time, type: timestamp, format: '%Y-%m-%dT%H:%M:%S.%f%z' }
      level: severity_id
      who: user.name
      how: { path: status_id, values: { ok: 1, failed: 2 } }
    tests:
      - { line: '2026-03-16T09:00:00.5Z WARN login failed user=bob order=AB-7', expect: { user.name: bob, status_id: 2 } }
      - { line: x, matches: false }
"
        .to_vec(),
    ]
}

/// A full aggregator.yaml.
#[must_use]
pub fn aggregator_seeds() -> Vec<Vec<u8>> {
    vec![
        b"version: 1
listen: 0.0.0.0:7443
state_dir: /var/lib/picket-aggregator
http: 127.0.0.1:7480
fleet: /etc/picket/fleet.yaml
journal: { max_bytes: 20GiB, retain: 180d, block_interval: 5s }
routes:
  - { to: lake }
sinks:
  lake: { type: parquet, path: lake, commit_interval: 60s }
"
        .to_vec(),
    ]
}
