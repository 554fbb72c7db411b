//! An agent, an aggregator with rules, a lake, a file of JSON lines and a web server; and the lines that are written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use picket_tests::harness::{Metrics, Pair, Place, await_until, events, fleet};
use serde_json::Value;

use super::DEADLINE;
use super::server::Server;

/// Texts that nobody behind the journal may see, each of another kind.
pub const SECRETS: [&str; 9] = [
    "4111 1111 1111 1111",
    "5500005555555559",
    "c3VwZXJzZWNyZXRrZXltYXRlcmlhbA",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJlc2lnbmF0dXJl",
    "hunter2-of-the-url",
    "s3cr3t-of-the-option",
    "field-of-an-object-77",
    "90210666",
];

/// One line for each of [`SECRETS`].
const WITH_SECRETS: [&str; 9] = [
    "Jan  5 10:00:00 web1 shop[9]: paid with 4111 1111 1111 1111 by bob",
    "192.0.2.44 - - [05/Jan/2026:10:00:00 +0000] \"GET /pay?card=5500005555555559 HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"",
    "Jan  5 10:00:01 web1 deploy[9]: -----BEGIN PRIVATE KEY-----c3VwZXJzZWNyZXRrZXltYXRlcmlhbA-----END PRIVATE KEY-----",
    "Jan  5 10:00:02 web1 sudo:  alice : TTY=pts/0 ; PWD=/srv ; USER=root ; COMMAND=/usr/bin/env GH=ghp_0123456789abcdefghijABCDEFGHIJ012345 sync",
    "Jan  5 10:00:03 web1 api[9]: Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJlc2lnbmF0dXJl",
    "Jan  5 10:00:04 web1 CRON[8]: (root) CMD (curl -s https://bob:hunter2-of-the-url@example.com/x)",
    "Jan  5 10:00:05 web1 CRON[8]: (root) CMD (mysqldump --password=s3cr3t-of-the-option shop)",
    "{\"time\":\"2026-01-05T10:00:06Z\",\"level\":\"info\",\"msg\":\"login\",\"password\":\"field-of-an-object-77\",\"user\":\"bob\"}",
    "Jan  5 10:00:07 web1 door[9]: badge 90210666 opened the door",
];

/// What is done with them; predicates in words of the normalized event.
const RULES: &str = "reduce:\n\
    - drop: { name: health-checks, where: { class_uid: 4002, http_request.user_agent|startswith: kube-probe } }\n\
    - redact: { name: cards, detector: payment_card }\n\
    - redact: { name: keys, detector: private_key }\n\
    - redact: { name: tokens, detector: bearer_token }\n\
    - redact: { name: passwords, detector: password }\n\
    - redact: { name: badges, pattern: 'badge (?<secret>\\d+)' }\n\
    - merge: { name: failed-logons, where: { class_uid: 3002, status_id: 2 }, by: [class_uid, user.name, src_endpoint.ip] }\n\
    - merge: { name: chatty, where: { message|startswith: DEBUG }, by: [metadata.log_name], keep: 3 }\n";

/// Shares of each kind of line that [`World::lines`] makes.
pub const SECRET_LINES: usize = WITH_SECRETS.len();

/// The two programs with three sinks.
pub struct World {
    pub pair: Pair,
    pub server: Server,
}

/// Keys of aggregator.yaml: everything to the lake and the file, logons and requests to the server, what is poison nowhere else.
pub fn keys(server: &Server) -> [(&'static str, String); 4] {
    let sinks = format!(
        "sinks:\n  lake: {{ type: parquet, path: lake, commit_interval: 300ms }}\n  \
         lines: {{ type: ndjson, path: events.ndjson, commit_interval: 300ms }}\n  \
         siem: {{ type: http, endpoint: \"{}\", commit_interval: 300ms, batch_bytes: 16KiB }}",
        server.url()
    );
    let routes = "routes:\n- { to: siem, where: { class_uid: [3002, 4002] } }\n\
        - { to: siem, where: { message|contains: poison }, final: true }\n- { to: lake }\n- { to: lines }";
    let networks = "networks:\n- { name: scanners, cidr: [192.0.2.0/26] }\n- { name: docs, cidr: [192.0.2.0/24] }";
    let reduce = RULES.trim_end().to_owned();
    [("reduce", reduce), ("sinks", sinks), ("routes", routes.to_owned()), ("networks", networks.to_owned())]
}

/// Lines of every kind, `rounds` times: 9 with secrets, 4 health checks, 6 failed logons of two kinds, 8 of debugging, 2 others.
pub fn lines(rounds: usize) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for round in 0..rounds {
        let mut line = |text: String| lines.push(format!("{text}\n").into_bytes());
        WITH_SECRETS.iter().for_each(|text| line((*text).to_owned()));
        for n in 0..4 {
            line(format!(
                "192.0.2.1 - - [05/Jan/2026:10:01:0{n} +0000] \"GET /healthz HTTP/1.1\" 200 2 \"-\" \"kube-probe/1.30\""
            ));
        }
        for n in 0..6 {
            let user = if n % 2 == 0 { "eve" } else { "mallory" };
            line(format!(
                "Jan  5 10:02:0{n} web1 sshd[7{n}]: Failed password for {user} from 192.0.2.9 port 40{n} ssh2"
            ));
        }
        for n in 0..8 {
            line(format!("Jan  5 10:03:0{n} web1 app[9]: DEBUG cache {round} {n}"));
        }
        line(format!("Jan  5 10:04:00 web1 sshd[9]: Accepted password for bob from 192.0.2.200 port 22{round} ssh2"));
        line(format!("Jan  5 10:04:01 web1 app[9]: ready {round}"));
    }
    lines
}

/// How many lines a round has, and how many of them are dropped.
pub const ROUND: usize = SECRET_LINES + 4 + 6 + 8 + 2;
pub const DROPPED: usize = 4;

impl World {
    pub fn start(name: &str) -> anyhow::Result<Self> {
        Self::start_in(Place::new(name)?, "", &[])
    }

    /// With further keys of the file source, and others of aggregator.yaml.
    pub fn start_in(place: Place, of_source: &str, others: &[(&str, &str)]) -> anyhow::Result<Self> {
        let server = Server::start()?;
        let fleet = fleet(&place.at("logs"), of_source);
        let keys = keys(&server);
        let own = keys.iter().filter(|(key, _)| !others.iter().any(|(other, _)| other == key));
        let keys: Vec<(&str, &str)> =
            own.map(|(key, line)| (*key, line.as_str())).chain(others.iter().copied()).collect();
        let pair = Pair::start_configured(place, &fleet, &keys)?;
        Ok(Self { pair, server })
    }

    /// The file of JSON lines.
    pub fn file(&self) -> PathBuf {
        self.pair.aggregator.folder().join("events.ndjson")
    }

    /// Waits until the books say that `records` of the agent's lines are journaled and every sink has all.
    pub fn await_delivered(&self, records: usize) -> anyhow::Result<Metrics> {
        let observed = |metrics: &Metrics| metrics.count("picket_agent_books_records", &[("entry", "observed")]);
        await_until("every line read", DEADLINE, || {
            Ok((observed(&self.pair.agent.metrics()?) >= records as u64).then_some(()))
        })?;
        self.pair.await_quiet(DEADLINE)
    }
}

/// Every event of a lake that came from a log file, whole, by its id.
pub fn of_lake(lake: &std::path::Path) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(lake).with_context(|| format!("read {}", lake.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(class) = name.strip_prefix("class=") {
            all.append(&mut events(lake, class)?);
        }
    }
    Ok(of_logs(all))
}

/// Every event of a file of JSON lines that came from a log file.
pub fn of_file(path: &std::path::Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let events: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    Ok(of_logs(events?))
}

/// Those that came from a log file.
pub fn of_logs(mut events: Vec<Value>) -> Vec<Value> {
    events.retain(|event| {
        event.pointer("/metadata/log_name").and_then(Value::as_str).is_some_and(|name| name.ends_with(".log"))
    });
    events
}

/// The events by their ids, without the moment at which they were made.
///
/// # Panics
/// Two share an id.
#[track_caller]
pub fn by_uid(events: Vec<Value>) -> BTreeMap<String, Value> {
    let count = events.len();
    let by_uid = by_uid_at_least_once(events);
    assert_eq!(by_uid.len(), count, "two events share an id");
    by_uid
}

/// As [`by_uid`]; an event may stand there several times, always the same.
///
/// # Panics
/// Two that differ share an id.
#[track_caller]
pub fn by_uid_at_least_once(events: Vec<Value>) -> BTreeMap<String, Value> {
    let mut by_uid = BTreeMap::new();
    for mut event in events {
        if let Some(metadata) = event.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("processed_time");
        }
        let uid = event.pointer("/metadata/uid").and_then(Value::as_str).expect("an event has an id").to_owned();
        if let Some(before) = by_uid.insert(uid, event.clone()) {
            assert_eq!(before, event, "an event came again and is another");
        }
    }
    by_uid
}

/// Every file below a folder, and its bytes.
pub fn files_below(folder: &std::path::Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let (mut folders, mut files) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => files.push((entry.path(), std::fs::read(entry.path())?)),
                _ => {}
            }
        }
    }
    Ok(files)
}

/// How many events these stand for.
pub fn weight(events: &[Value]) -> u64 {
    events.iter().map(|event| event.get("count").and_then(Value::as_u64).unwrap_or(1)).sum()
}
