//! Promise: whatever the line, normalize makes a valid OCSF event of it, and of the lines of security that
//! it knows an event of their own class.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing on the spot"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aggregator::event::loss::RECORDS;
use aggregator::event::{Event, json};
use aggregator::normalize::record::{self, Loss};
use aggregator::normalize::{Line, Origin, Understood, line};
use picket_tests::harness::corpus;
use picket_tests::ocsf::Schema;
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::record::{LossReason, Value};
use shared::time::Timestamp;

/// When every line of these tests is read: 2026-03-16T09:30:00Z.
const READ_AT: Timestamp = Timestamp::from_seconds(1_773_653_400);

struct Bench {
    schema: Schema,
    corpus: PathBuf,
    origin: Origin,
}

impl Bench {
    fn new() -> Option<Self> {
        let corpus = corpus("")?;
        let schema = corpus.join("schema/ocsf/ocsf-1.8.0.compiled.json.zst");
        let origin = Origin {
            hostname: "web-1".to_owned(),
            utc_offset_minutes: 120,
            log_name: Some("/var/log/test.log".to_owned()),
            ..Origin::default()
        };
        Some(Self { schema: Schema::load(&schema).unwrap(), corpus, origin })
    }

    /// Normalizes lines; panics on the first event that is not valid OCSF or lost its line.
    fn run<'l>(&self, name: &str, lines: impl IntoIterator<Item = &'l [u8]>) -> Coverage {
        let fields = self.origin.fields();
        let mut coverage = Coverage::default();
        for (number, raw) in (1..).zip(lines) {
            let mut event = Event::new(id(number), READ_AT, READ_AT);
            event.shared = &fields;
            let input = Line { raw, read_at: READ_AT, received_at: READ_AT, full_size: None };
            let understood = line(&input, &self.origin, READ_AT, &mut event);
            let place = format!("{name}:{number}: {}", String::from_utf8_lossy(raw));

            let mut text = String::new();
            json::write(&event, &mut text);
            let json: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{place}\n{e}: {text}"));
            let problems = self.schema.problems(&json);
            assert!(problems.is_empty(), "{place}\n{}\n{text}", problems.join("\n"));
            assert_eq!(json["raw_data"].as_str(), Some(&*String::from_utf8_lossy(raw)), "{place}");
            assert_eq!(json["raw_data_size"].as_u64(), Some(raw.len() as u64), "{place}");
            for field in &event.fields {
                assert!(event.class.carries(field.attribute), "{place}\n{} is no column", field.attribute.path());
            }
            unique(&event, &place);
            coverage.count(event.class.name(), understood);
        }
        println!("{name}: {coverage}");
        coverage
    }

    /// The event of one line, as JSON.
    fn event(&self, raw: &[u8]) -> serde_json::Value {
        let fields = self.origin.fields();
        let mut event = Event::new(id(1), READ_AT, READ_AT);
        event.shared = &fields;
        let input = Line { raw, read_at: READ_AT, received_at: READ_AT, full_size: None };
        line(&input, &self.origin, READ_AT, &mut event);
        let mut text = String::new();
        json::write(&event, &mut text);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    fn file(&self, path: &Path) -> Coverage {
        let bytes = std::fs::read(path).unwrap();
        let shown = path.strip_prefix(&self.corpus).unwrap_or(path).display().to_string();
        // In fail2ban's files lines that start with '#' say what is expected of the next; in wazuh's the line
        // stands behind `log 1 pass = `.
        let lines = lines(&bytes).filter(|line| !line.starts_with(b"#") && !line.is_empty());
        self.run(
            &shown,
            lines.map(|line| match line.windows(8).position(|part| part == b" pass = ") {
                Some(at) if line.starts_with(b"log ") => &line[at + 8..],
                _ => line,
            }),
        )
    }
}

fn id(record: u64) -> EventId {
    EventId { chain: ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) }, record, part: 0 }
}

/// An attribute outside lists stands once in an event, and so does every element's.
fn unique(event: &Event<'_>, place: &str) {
    let mut seen: Vec<_> = event.shared.iter().chain(&event.fields).map(|f| (f.attribute, f.index)).collect();
    seen.sort_unstable();
    for pair in seen.windows(2) {
        assert_ne!(pair[0], pair[1], "{place}");
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|b| *b == b'\n')
}

#[derive(Default)]
struct Coverage {
    lines: usize,
    class: usize,
    nothing: usize,
    classes: BTreeMap<&'static str, usize>,
}

impl Coverage {
    fn count(&mut self, class: &'static str, understood: Understood) {
        self.lines += 1;
        self.class += usize::from(understood == Understood::Class);
        self.nothing += usize::from(understood == Understood::Nothing);
        *self.classes.entry(class).or_default() += 1;
    }

    /// Percent of lines with a class of their own.
    fn share(&self) -> f64 {
        100.0 * self.class as f64 / self.lines.max(1) as f64
    }

    /// Percent of lines of which the time or more was read.
    fn read(&self) -> f64 {
        100.0 * (self.lines - self.nothing) as f64 / self.lines.max(1) as f64
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lines, {:.1} % classed, {:.1} % read, {:?}", self.lines, self.share(), self.read(), self.classes)
    }
}

/// Every file below a folder, in name order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn every_line_of_sixteen_systems_becomes_a_valid_event() {
    let Some(bench) = Bench::new() else { return };
    let mut sets = 0;
    for path in files(&bench.corpus.join("logs/loghub")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with("_2k.log") {
            continue;
        }
        sets += 1;
        let coverage = bench.file(&path);
        assert!(coverage.lines >= 1_000, "{name}");
        match name.as_str() {
            "OpenSSH_2k.log" => assert!(coverage.share() >= 98.0, "{coverage}"),
            // Most of the rest are connections to an FTP server.
            "Linux_2k.log" => {
                assert!(coverage.share() >= 50.0, "{coverage}");
                assert!(coverage.read() >= 100.0, "{coverage}");
            }
            // Three of ten lines are errors, the others notices.
            "Apache_2k.log" => {
                assert!(coverage.share() >= 25.0, "{coverage}");
                assert!(coverage.read() >= 100.0, "{coverage}");
            }
            _ => {}
        }
    }
    assert_eq!(sets, 16);
}

#[test]
fn every_line_that_attack_detectors_are_tested_with_becomes_a_valid_event() {
    let Some(bench) = Bench::new() else { return };
    for folder in
        ["logs/fail2ban", "logs/crowdsec-hub-tests", "logs/plaso", "logs/syslog-rfc", "logs/wazuh-ruleset-tests"]
    {
        for path in files(&bench.corpus.join(folder)) {
            bench.file(&path);
        }
    }
}

#[test]
fn logons_that_attack_detectors_are_tested_with_have_a_class() {
    let Some(bench) = Bench::new() else { return };
    for (file, least) in [
        ("fail2ban/sshd", 90.0),
        ("fail2ban/pam-generic", 100.0),
        ("crowdsec-hub-tests/sshd-logs/sshd-logs.log", 90.0),
        ("crowdsec-hub-tests/sshd-success-logs/sshd-success-logs.log", 100.0),
        ("crowdsec-hub-tests/pam-logs/pam-logs.log", 90.0),
        ("crowdsec-hub-tests/ssh-bf/ssh-bf.log", 100.0),
    ] {
        let coverage = bench.file(&bench.corpus.join("logs").join(file));
        assert!(coverage.share() >= least, "{file}: {coverage}");
    }
}

#[test]
fn access_logs_become_http_activity() {
    let Some(bench) = Bench::new() else { return };
    for (file, least) in [
        ("plaso/apache_access.log", 100.0),
        ("elastic-package-tests/nginx/access/test-nginx.log", 60.0),
        ("crowdsec-hub-tests/nginx-http-malformed/nginx_http-logs.log", 100.0),
        ("crowdsec-hub-tests/nginx-http-sqli-probing/nginx-http-sqli-probing.log", 100.0),
        ("crowdsec-hub-tests/apache2-logs/apache2-logs.log", 85.0),
        ("fail2ban/apache-badbots", 100.0),
        ("fail2ban/nginx-botsearch", 100.0),
    ] {
        let coverage = bench.file(&bench.corpus.join("logs").join(file));
        assert!(coverage.share() >= least, "{file}: {coverage}");
    }
}

/// What fail2ban's own tests expect: the address to ban, on the line before each log line.
#[test]
fn the_peer_of_a_failed_logon_is_the_one_that_fail2ban_would_ban() {
    let Some(bench) = Bench::new() else { return };
    let text = std::fs::read_to_string(bench.corpus.join("logs/fail2ban/sshd")).unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    let mut expected = None;
    for text in text.lines() {
        if let Some(json) = text.strip_prefix("# failJSON:") {
            expected = serde_json::from_str::<serde_json::Value>(json).ok().filter(|json| json["match"] == true);
            continue;
        }
        let Some(expected) = expected.take() else { continue };
        let Some(host) = expected["host"].as_str() else { continue };
        let event = bench.event(text.as_bytes());
        let source = &event["src_endpoint"];
        // fail2ban matches some failures on the last of several lines; the others of them name no peer.
        if source.is_null() {
            continue;
        }
        // sshd has no words of a peer behind the protocol: what looks like them is the end of the name, and
        // there fail2ban takes the address that the peer wrote into it.
        if text.contains(" ssh2: from ") {
            continue;
        }
        compared += 1;
        if source["ip"] != host && source["hostname"] != host {
            wrong.push(format!("{host} is not {source}: {text}"));
        }
    }
    println!("{compared} peers compared");
    assert!(compared >= 55, "only {compared} peers compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn losses_and_typed_records_become_valid_events() {
    let Some(bench) = Bench::new() else { return };
    let fields = bench.origin.fields();
    let check = |event: &Event<'_>| {
        let mut text = String::new();
        json::write(event, &mut text);
        let problems = bench.schema.problems(&serde_json::from_str(&text).unwrap());
        assert!(problems.is_empty(), "{}\n{text}", problems.join("\n"));
        unique(event, &text);
    };
    for reason in LossReason::ALL {
        for records in [None, Some(1), Some(u64::MAX)] {
            let loss = Loss {
                reason: reason.name(),
                unit: RECORDS,
                count: records,
                first_record: records,
                lane: Lane::Bulk,
                first_at: Timestamp::from_seconds(1),
                last_at: READ_AT,
            };
            let mut event = Event::new(id(1), READ_AT, READ_AT);
            event.shared = &fields;
            record::loss(&loss, READ_AT, &bench.origin, READ_AT, &mut event);
            check(&event);
        }
    }
    for (class, activity) in [(0, 0), (0, 99), (0, 7), (1008, 5), (1008, 99), (1008, 11), (3002, 1), (9999, 300)] {
        let said = [
            ("class_uid", Value::U64(class)),
            ("activity_id", Value::U64(activity)),
            ("severity_id", Value::I64(-1)),
            ("message", Value::String("spool is blocked".to_owned())),
            ("user.name", Value::String("nobody".to_owned())),
            ("metadata.version", Value::String("9.9".to_owned())),
            ("spool.bytes", Value::U64(1)),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        let mut event = Event::new(id(1), READ_AT, READ_AT);
        event.shared = &fields;
        record::record(&said, READ_AT, READ_AT, &bench.origin, READ_AT, &mut event);
        check(&event);
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to choose bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Bytes that parsers look for.
const MARKS: &[u8] = b" :[](){}\"'\\=;,<>-/.\0\n\r\t\xff\xc3\x80";

/// A line with a few bytes changed, a piece cut out, or a piece of another line put in.
fn mutated(line: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut line = line.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(line.len() + 1);
        match random.below(6) {
            0 if at < line.len() => line[at] = random.next() as u8,
            1 if at < line.len() => line[at] = MARKS[random.below(MARKS.len())],
            2 => line.truncate(at),
            3 => line.insert(at, MARKS[random.below(MARKS.len())]),
            4 => _ = line.drain(at..(at + random.below(20)).min(line.len())),
            _ => {
                let from = random.below(other.len());
                let piece = &other[from..(from + random.below(40)).min(other.len())];
                line.splice(at..at, piece.iter().copied());
            }
        }
    }
    line
}

#[test]
fn damaged_lines_are_still_valid_events() {
    let Some(bench) = Bench::new() else { return };
    let seed = match std::env::var("PICKET_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => 1,
    };
    println!("PICKET_SEED={seed}");
    let mut random = Random(seed);
    let mut originals: Vec<Vec<u8>> = Vec::new();
    for file in [
        "loghub/OpenSSH/OpenSSH_2k.log",
        "loghub/Linux/Linux_2k.log",
        "fail2ban/sshd",
        "fail2ban/pam-generic",
        "fail2ban/apache-auth",
        "crowdsec-hub-tests/sshd-logs/sshd-logs.log",
        "crowdsec-hub-tests/nginx-http-malformed/nginx_http-logs.log",
        "crowdsec-hub-tests/traefik_json/traefik_json.log",
        "plaso/apache_access.log",
        "plaso/syslog/syslog",
        "plaso/syslog/syslog_rsyslog_SyslogProtocol23Format",
        "wazuh-ruleset-tests/sudo.ini",
        "wazuh-ruleset-tests/su.ini",
        "syslog-rfc/go-syslog-rfc5424.jsonl",
    ] {
        let Ok(bytes) = std::fs::read(bench.corpus.join("logs").join(file)) else { continue };
        let strip = |line: &[u8]| match line.windows(8).position(|part| part == b" pass = ") {
            Some(at) => line[at + 8..].to_vec(),
            None => line.to_vec(),
        };
        originals.extend(lines(&bytes).filter(|line| !line.is_empty() && !line.starts_with(b"#")).map(strip));
    }
    originals.extend(INVENTED.iter().map(|line| line.as_bytes().to_vec()));
    assert!(originals.len() > 2_000);
    let damaged: Vec<Vec<u8>> = (0..20_000)
        .map(|_| {
            let line = &originals[random.below(originals.len())];
            mutated(line, &originals[random.below(originals.len())], &mut random)
        })
        .collect();
    bench.run(&format!("seed {seed}"), damaged.iter().map(Vec::as_slice));
}

/// Messages that the corpus lacks, in the words of the programs' sources.
const INVENTED: &[&str] = &[
    "Mar 16 10:00:00 h sudo:   bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; GROUP=wheel ; COMMAND=/bin/ls -l",
    "Mar 16 10:00:00 h sudo:   bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
    "Mar 16 10:00:00 h su[9]: (to root) bob on pts/0",
    "Mar 16 10:00:00 h su[9]: FAILED SU (to root) bob on pts/0",
    "Mar 16 10:00:00 h useradd[9]: new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/sh, from=/dev/pts/0",
    "Mar 16 10:00:00 h usermod[9]: add 'bob' to group 'sudo'",
    "Mar 16 10:00:00 h usermod[9]: change user 'bob' shell from '/bin/sh' to '/bin/bash'",
    "Mar 16 10:00:00 h gpasswd[9]: user bob added by root to group docker",
    "Mar 16 10:00:00 h userdel[9]: delete user 'bob'",
    "Mar 16 10:00:00 h groupadd[9]: group added to /etc/group: name=web, GID=1002",
    "Mar 16 10:00:00 h passwd[9]: pam_unix(passwd:chauthtok): password changed for bob",
    "Mar 16 10:00:00 h crontab[9]: (bob) REPLACE (bob)",
    "Mar 16 10:00:00 h CRON[9]: (root) CMD (/usr/bin/backup --all)",
    "Mar 16 10:00:00 h systemd-logind[9]: New session 12 of user bob.",
    "<38>1 2026-03-16T09:00:00.123Z h sshd 9 ID47 [a@1 b=\"c\\\"]\"] Accepted publickey for bob from 192.0.2.1 port 5 ssh2: RSA SHA256:x",
    "{\"time\":\"2026-03-16T09:00:00Z\",\"level\":\"warn\",\"msg\":\"a\\u00e9\",\"a\":{\"b\":[1,{\"c\":null}]}}",
    "2026-03-16 09:00:00,123 ERROR [main] c.e.Main - failed",
];

#[test]
#[ignore = "a measurement: cargo test --release -p picket-tests --test functional -- --ignored --nocapture cost"]
fn cost_of_a_line() {
    const ROUNDS: u32 = 200;
    let Some(bench) = Bench::new() else { return };
    let fields = bench.origin.fields();
    for file in [
        "loghub/OpenSSH/OpenSSH_2k.log",
        "loghub/Linux/Linux_2k.log",
        "loghub/Apache/Apache_2k.log",
        "loghub/Zookeeper/Zookeeper_2k.log",
        "crowdsec-hub-tests/apache-http-probing/apache-http-probing.log",
        "crowdsec-hub-tests/traefik_json/traefik_json.log",
    ] {
        let Ok(bytes) = std::fs::read(bench.corpus.join("logs").join(file)) else { continue };
        let count = u32::try_from(lines(&bytes).count()).unwrap();
        let mut event = Event::new(id(1), READ_AT, READ_AT);
        event.shared = &fields;
        let mut set = 0;
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            for raw in lines(&bytes) {
                let input = Line { raw, read_at: READ_AT, received_at: READ_AT, full_size: None };
                line(&input, &bench.origin, READ_AT, &mut event);
                set += event.fields.len();
            }
        }
        let per_line = start.elapsed() / (ROUNDS * count);
        let width = bytes.len() / count as usize;
        println!(
            "{file}: {} ns a line of {width} bytes, {} fields",
            per_line.as_nanos(),
            set / (ROUNDS * count) as usize
        );
    }
}
