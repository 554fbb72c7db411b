//! Normalizers: any line becomes a valid event that holds the line.

use std::sync::LazyLock;

use aggregator::event::{Event, json as event_json};
use aggregator::normalize::{Line, Origin, line};
use serde_json::Value;
use shared::identity::EventId;
use xtask::corpus::Corpus;

use super::frames::{AGENT, NOW, chain};
use crate::ocsf::Schema;

/// The compiled schema, where the corpus is there.
static SCHEMA: LazyLock<Option<Schema>> = LazyLock::new(|| {
    let path = crate::corpus()?.join("schema/ocsf/ocsf-1.8.0.compiled.json.zst");
    Some(Schema::load(&path).expect("the schema of the corpus reads"))
});

/// What formats are made of.
pub const WORDS: &[&[u8]] = &[
    b"<34>",
    b"<34>1 ",
    b"Mar 16 09:30:00 ",
    b"2026-03-16T09:30:00.123456+01:00 ",
    b"2026-02-30T25:61:61Z",
    b"[16/Mar/2026:09:30:00 +0000]",
    b"[Mon Mar 16 09:30:00.000001 2026] ",
    b" sshd[7]: ",
    b" sudo: ",
    b" su[1]: ",
    b" CRON[9]: (root) CMD (",
    b"pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
    b"Accepted publickey for root from 192.0.2.7 port 4711 ssh2: ED25519 SHA256:abc",
    b"Failed password for invalid user admin from 2001:db8::1 port 65536 ssh2",
    b"new user: name=a, UID=1001, GID=1001, home=/home/a, shell=/bin/sh",
    b" TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=",
    b"[a b=\"c\\\"d\"]",
    b"\"GET / HTTP/1.1\" 200 12 \"-\" \"-\"",
    b"{\"time\":\"2026-03-16T09:30:00Z\",\"level\":\"error\",\"msg\":\"x\"}",
    b"type=SYSCALL msg=audit(1773653400.123:4): ",
    b" msg='op=PAM:session_open acct=\"root\" res=success'",
    b"CEF:0|a|b|1|c|d|5|",
    b"%ASA-6-302013: ",
    b"date=2026-03-16 time=10:00:00 devid=a type=traffic ",
    b" src=192.0.2.7 spt=4711",
    b" from 192.0.2.66 port 22",
    b"16-Mar-2026 10:00:00.123 ",
    b"\t",
    b"=",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"-",
    b"\"",
    b"\\",
    b"\xff",
    b"\0",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
];

/// Panics unless the event is JSON and, where the schema is there, valid OCSF.
#[track_caller]
pub(super) fn assert_valid(event: &Event<'_>) -> Value {
    let mut text = String::new();
    event_json::write(event, &mut text);
    let value = serde_json::from_str(&text);
    assert!(value.is_ok(), "not JSON: {text}");
    let value: Value = value.unwrap_or_default();
    if let Some(schema) = SCHEMA.as_ref() {
        let problems = schema.problems(&value);
        assert!(problems.is_empty(), "{problems:?} in {text}");
    }
    value
}

/// Panics unless the line, read by this format, becomes a valid event that holds it.
pub(super) fn normalize(format: &str, raw: &[u8]) {
    let origin = Origin {
        agent: AGENT,
        hostname: "web-1".to_owned(),
        utc_offset_minutes: 120,
        log_name: Some("/var/log/fuzz.log".to_owned()),
        format: format.parse().expect("it is a format"),
        ..Origin::default()
    };
    let fields = origin.fields();
    let mut event = Event::new(EventId { chain: chain(), record: 1, part: 0 }, NOW, NOW);
    event.shared = &fields;
    let _ = line(&Line { raw, read_at: NOW, received_at: NOW, full_size: None }, &origin, NOW, &mut event);
    let value = assert_valid(&event);
    assert_eq!(value.get("raw_data").and_then(Value::as_str), Some(&*String::from_utf8_lossy(raw)), "the line is kept");
    assert_eq!(value.get("raw_data_size").and_then(Value::as_u64), Some(raw.len() as u64));
    let exact = value.get("unmapped").and_then(|unmapped| unmapped.get("raw_data_base64")).is_some();
    assert!(exact || std::str::from_utf8(raw).is_ok(), "the bytes of a line that is no text are kept");
}

/// Format `auto`.
pub fn auto(bytes: &[u8]) {
    normalize("auto", bytes);
}

/// Format `json`.
pub fn json(bytes: &[u8]) {
    normalize("json", bytes);
}

/// Format `syslog`.
pub fn syslog(bytes: &[u8]) {
    normalize("syslog", bytes);
}

/// Format `combined`.
pub fn combined(bytes: &[u8]) {
    normalize("combined", bytes);
}

/// Format `web_error`.
pub fn web_error(bytes: &[u8]) {
    normalize("web_error", bytes);
}

/// Format `plain`.
pub fn plain(bytes: &[u8]) {
    normalize("plain", bytes);
}

/// Lines of real shapes, and one for every word.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut text = Vec::new();
    Corpus::new(1).fill(&mut text, 32 << 10);
    let drawn = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec);
    let framed = |word: &&[u8]| [b"Mar 16 09:30:00 web-1 sshd[7]: ", *word].concat();
    drawn.chain(WORDS.iter().map(|word| word.to_vec())).chain(WORDS.iter().map(framed)).collect()
}
