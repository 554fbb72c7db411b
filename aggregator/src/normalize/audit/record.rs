//! The grammar of audit records: where they stand in a text, their fields, and what the fields' values mean as text.
//!
//! In: one or more records, each on its own line or behind one another: `node=h type=X msg=audit(T.mmm:SERIAL): k=v …`, the
//! kernel's own `audit: type=1400 audit(…): …`, both behind a syslog header or not; an enriched half after 0x1d with its
//! keys in upper case; `msg='…'` of programs, whose fields are the record's own. Out: [`Records`]: their fields, in order.
//!
//! Format: `audit_log_format` and `audit_log_untrustedstring` of kernel/audit.c, `audit_log_user_message` of libaudit,
//! auditd's `auditd-event.c` (enrichment).

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use shared::time::Timestamp;

use super::super::text::cut;
use super::kinds;
use crate::normalize::join::{LINES_MAX, Mark, Turn};
use crate::normalize::timestamp::{self, Reference};

/// Most records of a text that are read; the rest is in `raw_data`.
pub(super) const RECORDS_MAX: usize = LINES_MAX;
/// The head of a record stands in so many bytes of its line, or the line is read on its own.
const HEAD_BYTES_MAX: usize = 512;
/// Longest `node=… type=… msg=` that is looked at.
const LEAD_BYTES_MAX: usize = 400;
/// What the head of every record has; each line of every log is asked for it.
static HEAD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("audit("));
/// Most fields of a text that are read.
const FIELDS_MAX: usize = 1024;

/// One field of a record.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) key: &'a str,
    pub(super) value: Cow<'a, str>,
    /// It stood in quotes, or was decoded already: it is text as it is.
    pub(super) is_text: bool,
    /// It has found its place in the event.
    pub(super) taken: bool,
}

/// One record.
#[derive(Clone, Debug)]
pub(super) struct Record<'a> {
    /// Its type by name; one that nobody knows is its number.
    pub(super) kind: &'a str,
    /// What follows its time, without the enriched half.
    pub(super) body: &'a str,
    /// Its fields: from here …
    pub(super) from: usize,
    /// … to here.
    pub(super) to: usize,
}

/// The records of one audit event, as far as they are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Records<'a> {
    pub(super) records: Vec<Record<'a>>,
    pub(super) fields: Vec<Field<'a>>,
    /// The host that the records name.
    pub(super) node: Option<&'a str>,
}

/// Time and serial number of an audit event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp<'a> {
    /// `T.mmm:SERIAL` as it stands.
    pub(super) text: &'a str,
    pub(super) time: Timestamp,
    pub(super) serial: u64,
}

/// The head of a record: what stands before its fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head<'a> {
    pub(super) node: Option<&'a str>,
    /// As it stands: a name, a number, or nothing (kernels before 2.6.17).
    pub(super) kind: &'a str,
    pub(super) stamp: Stamp<'a>,
    /// Where the head begins in the text.
    pub(super) start: usize,
    /// Where the fields begin.
    pub(super) end: usize,
}

/// `T.mmm:SERIAL` up to the closing parenthesis; as `ausearch --interpret` shows it, `MM/DD/YYYY hh:mm:ss.mmm:SERIAL` and what
/// other locales have for the date (`16/03/26`, `16.03.2026`, `2026-03-16`), read as UTC.
fn stamp(text: &str) -> Option<Stamp<'_>> {
    let text = super::super::text::head(text, 48);
    let (inside, _) = text.split_once(')')?;
    let (time, serial) = inside.rsplit_once(':')?;
    if let Some((day, clock)) = time.split_once(' ') {
        let mut parts = day.split(['/', '.', '-']);
        let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
        // Behind a slash the day stands first only where no month can.
        let day_first = day.contains('.') || first.parse::<u8>().is_ok_and(|first| first > 12);
        let (year, month, day) = match (first.len() == 4, day_first) {
            (true, _) => (first, second, third),
            (false, true) => (third, second, first),
            (false, false) => (third, first, second),
        };
        let century = if year.len() == 2 { "20" } else { "" };
        let utc = Reference { read_at: Timestamp(0), utc_offset_minutes: 0 };
        let time = timestamp::iso(&format!("{century}{year}-{month}-{day} {clock}"), utc)?.0.time;
        return Some(Stamp { text: inside, time, serial: serial.parse().ok()? });
    }
    let (seconds, millis) = time.split_once('.')?;
    let whole = |digits: &str| -> Option<i64> {
        (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
    };
    let millis = whole(millis).filter(|millis| *millis < 1000)?;
    let nanos = whole(seconds)?.checked_mul(1000)?.checked_add(millis)?.checked_mul(1_000_000)?;
    let serial = u64::try_from(whole(serial)?).ok()?;
    Some(Stamp { text: inside, time: Timestamp(nanos), serial })
}

/// The first head at or after `from`; the mark of each is `audit(`.
pub(super) fn head(text: &str, from: usize) -> Option<Head<'_>> {
    let mut at = from;
    loop {
        let found = at + cut(text.get(at..)?, "audit(")?.0.len();
        at = found + "audit(".len();
        let Some(stamp) = stamp(text.get(at..)?) else { continue };
        let end = at + stamp.text.len() + 1;
        let gap = usize::from(text.get(end..).is_some_and(|rest| rest.starts_with(' ')));
        let colon = text.get(end + gap..).is_some_and(|rest| rest.starts_with(':'));
        let mut lookback = found.saturating_sub(LEAD_BYTES_MAX).max(from);
        while !text.is_char_boundary(lookback) {
            lookback += 1;
        }
        let before = text.get(lookback..found)?;
        let before = before.strip_suffix("msg=").unwrap_or(before);
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        let words = before.get(line..)?;
        let Some((kind, node, start)) = lead(words) else { continue };
        // What auditd says of itself was long without one: `msg=audit(T.mmm:SERIAL) config changed, auid=0 …`.
        let of_daemon = || gap == 1 && kinds::name(kind).unwrap_or(kind).starts_with("DAEMON_");
        if colon || of_daemon() {
            let start = lookback + line + start;
            return Some(Head { node, kind, stamp, start, end: end + gap + usize::from(colon) });
        }
    }
}

/// Type and node from what stands before `audit(` on its line, and where they begin.
fn lead(words: &str) -> Option<(&str, Option<&str>, usize)> {
    let bare = words.strip_suffix(' ').unwrap_or(words);
    let start = bare.rfind(' ').map_or(0, |space| space + 1);
    let Some(kind) = bare.get(start..)?.strip_prefix("type=") else {
        // The kernel of old: `audit(…)` alone, behind a syslog header or time since boot.
        let alone = bare.is_empty() || bare.ends_with(':') || bare.ends_with(']');
        return (alone && bare.len() == words.len() || words.ends_with(": ") || words.ends_with("] ")).then_some((
            "",
            None,
            words.len(),
        ));
    };
    let known = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'[' | b']');
    if kind.is_empty() || kind.len() > 40 || !kind.bytes().all(known) {
        return None;
    }
    let before = bare.get(..start)?.trim_end_matches(' ');
    let node_start = before.rfind(' ').map_or(0, |space| space + 1);
    match before.get(node_start..)?.strip_prefix("node=") {
        Some(node) => Some((kind, Some(node), node_start)),
        None => Some((kind, None, start)),
    }
}

/// Where in its event a record of this type stands; none of a type that is a whole event.
pub(in crate::normalize) fn turn(kind: &str) -> Option<Turn> {
    Some(match kinds::name(kind).unwrap_or(kind) {
        "EOE" => Turn::End,
        "PROCTITLE" => Turn::Title,
        kind if kind.is_empty() || kinds::stands_alone(kind) => return None,
        _ => Turn::More,
    })
}

/// What auditd would have written of a record that systemd-journald took from the kernel and handed on: `SERVICE_START pid=1 …`,
/// before systemd 229 `<audit-1130> pid=1 …`.
pub(in crate::normalize) fn record_of(message: &str, time: Timestamp, serial: i64) -> Option<String> {
    let (kind, fields) = message.split_once(' ')?;
    let numbered =
        kind.strip_prefix("<audit-").and_then(|rest| rest.strip_suffix('>')).or_else(|| kind.strip_prefix("AUDIT"));
    let kind = numbered.unwrap_or(kind);
    let known = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_');
    if kind.is_empty() || !kind.bytes().all(known) || !fields.contains('=') {
        return None;
    }
    let ms = time.as_ms();
    Some(format!("type={kind} msg=audit({}.{:03}:{serial}): {fields}", ms.div_euclid(1000), ms.rem_euclid(1000)))
}

/// The mark of a line that is a record of an audit event of several.
pub(in crate::normalize) fn mark(raw: &[u8]) -> Option<Mark<'_>> {
    let beginning = raw.get(..raw.len().min(HEAD_BYTES_MAX))?;
    HEAD.find(beginning)?;
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(beginning.get(..error.valid_up_to())?).ok()?,
    };
    let head = head(text, 0)?;
    let turn = turn(head.kind)?;
    let stamp = Some((head.stamp.time, head.stamp.serial));
    Some(match head.node {
        Some(node) => Mark { turn, name: node, name_at: head.start + "node=".len(), stamp },
        None => Mark { turn, name: "", name_at: 0, stamp },
    })
}

impl<'a> Records<'a> {
    /// Reads a text: the records of the audit event that its first record belongs to.
    pub(super) fn parse(text: &'a str) -> Option<(Self, Stamp<'a>)> {
        let first = head(text, 0)?;
        let mut all = Records { node: first.node, ..Records::default() };
        let mut next = Some(first);
        while let Some(head) = next.take().filter(|_| all.records.len() < RECORDS_MAX) {
            let rest = text.get(head.end..)?;
            let line = rest.find('\n').map_or(rest, |end| rest.get(..end).unwrap_or(rest));
            // Another record of the same event may follow on the same line, or on the next.
            let follower = self::head(text, head.end).filter(|next| next.stamp.text == first.stamp.text);
            let body = match &follower {
                Some(next) if next.start < head.end + line.len() => text.get(head.end..next.start)?,
                _ => line,
            };
            all.record(head.kind, body.trim_end_matches(['\r', ' ']));
            next = follower;
        }
        Some((all, first.stamp))
    }

    /// Reads a record's fields.
    fn record(&mut self, kind: &'a str, body: &'a str) {
        let (body, enriched) = body.split_once('\u{1d}').unwrap_or((body, ""));
        let body = body.trim();
        let kind = match kind {
            "" if body.starts_with("avc:") => "AVC",
            "" if body.contains(" prom=") => "ANOM_PROMISCUOUS",
            "" => "KERNEL",
            // Ubuntu's kernels with stacked security modules numbered them 1420 and 1421 before those were IPE's.
            _ if body.starts_with("subj_") => "MAC_TASK_CONTEXTS",
            _ if body.starts_with("obj_") => "MAC_OBJ_CONTEXTS",
            kind => kinds::name(kind).unwrap_or(kind),
        };
        let from = self.fields.len();
        // `ausearch --interpret` writes a title as text without quotes, up to the end of the line.
        let title = body.strip_prefix("proctitle=").filter(|title| !title.starts_with('"') && title.contains(' '));
        match title.filter(|_| kind == "PROCTITLE") {
            Some(title) => self.push("proctitle", Cow::Borrowed(title), true),
            None => self.words(body, 0),
        }
        self.words(enriched, 1);
        self.records.push(Record { kind, body, from, to: self.fields.len() });
    }

    /// The fields of a text; what `msg='…'` holds are fields too.
    fn words(&mut self, text: &'a str, depth: u8) {
        let mut rest = text;
        while self.fields.len() < FIELDS_MAX {
            rest = rest.trim_start_matches([' ', ',', '(', ')', '{', '}']);
            if rest.is_empty() {
                return;
            }
            let end = memchr::memchr2(b'=', b' ', rest.as_bytes()).unwrap_or(rest.len());
            let Some((key, after)) = rest.split_at_checked(end) else { return };
            let Some(value) = after.strip_prefix('=') else {
                rest = after;
                continue;
            };
            // `ausearch --interpret` and the enriched half: `saddr={ saddr_fam=inet laddr=192.0.2.1 lport=443 }`.
            if value.starts_with("{ ") {
                rest = value;
                continue;
            }
            if let Some(inner) = value.strip_prefix('\'').filter(|_| depth == 0) {
                let (inside, after) = inner.rsplit_once('\'').unwrap_or((inner, ""));
                self.words(inside, 1);
                rest = after;
                continue;
            }
            let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
            let (value, after) = match quote {
                Some(quote) => {
                    let inner = value.get(1..).unwrap_or_default();
                    inner.split_once(quote).unwrap_or((inner, ""))
                }
                None => {
                    let end = memchr::memchr(b' ', value.as_bytes()).unwrap_or(value.len());
                    let end = if key == "op" { several_words(value).unwrap_or(end) } else { end };
                    let end = value.get(..end).and_then(unmarked_half).unwrap_or(end);
                    let (value, after) = value.split_at_checked(end).unwrap_or((value, ""));
                    let closed = value.starts_with('(');
                    (value.trim_end_matches(|c| c == ',' || (c == ')' && !closed)), after)
                }
            };
            rest = after;
            self.push(key, Cow::Borrowed(value), quote.is_some());
        }
    }

    /// Adds a field.
    pub(super) fn push(&mut self, key: &'a str, value: Cow<'a, str>, is_text: bool) {
        if self.fields.len() < FIELDS_MAX {
            self.fields.push(Field { key, value, is_text, taken: false });
        }
    }

    /// The first record of a type.
    pub(super) fn find(&self, kind: &str) -> Option<usize> {
        self.records.iter().position(|record| record.kind == kind)
    }

    /// A record's field with this key that has a value: the first that was not taken yet.
    pub(super) fn peek(&self, record: usize, key: &str) -> Option<&Field<'a>> {
        let record = self.records.get(record)?;
        let fields = self.fields.get(record.from..record.to)?;
        fields.iter().find(|field| field.key == key && !field.taken && says(&field.value))
    }

    /// Takes a record's field as it stands.
    pub(super) fn take(&mut self, record: usize, key: &str) -> Option<Cow<'a, str>> {
        let record = self.records.get(record)?;
        let fields = self.fields.get_mut(record.from..record.to)?;
        let field = fields.iter_mut().find(|field| field.key == key && !field.taken && says(&field.value))?;
        field.taken = true;
        Some(field.value.clone())
    }

    /// Takes a record's field as text: hexadecimal where the kernel did not trust its bytes.
    pub(super) fn take_text(&mut self, record: usize, key: &str) -> Option<Cow<'a, str>> {
        let is_text = self.peek(record, key)?.is_text;
        let value = self.take(record, key)?;
        if is_text { Some(value) } else { Some(decoded(value)) }
    }
}

/// Where the enriched half begins in `(null)ARCH=x86_64`: on some ways here 0x1d gets lost.
fn unmarked_half(value: &str) -> Option<usize> {
    const FIRST: [&str; 6] = ["ARCH", "UID", "AUID", "OUID", "SADDR", "OLD-AUID"];
    let (before, _) = value.split_once('=')?;
    let key = before.len() - before.bytes().rev().take_while(|b| b.is_ascii_uppercase() || *b == b'-').count();
    let key = key.max(1);
    before.get(key..).filter(|name| FIRST.contains(name)).map(|_| key)
}

/// Where `op=adding group to /etc/group id=1004` ends, which no quotes enclose: before the next word that is a field.
fn several_words(value: &str) -> Option<usize> {
    let mut spaces = memchr::memchr_iter(b' ', value.as_bytes());
    spaces.find(|at| {
        let rest = value.get(at + 1..).unwrap_or_default();
        rest.split(' ').next().is_some_and(|word| word.contains('='))
    })
}

/// Whether a value says anything: `?`, `(null)`, `(none)`, the unset id and nothing do not.
pub(super) fn says(value: &str) -> bool {
    !matches!(value, "" | "?" | "(null)" | "(none)" | "4294967295" | "unset")
}

/// The bytes of a hexadecimal text; none if it is not all of it. Programs write it with capitals only.
pub(super) fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    let pairs = hex.as_bytes().chunks_exact(2);
    if hex.is_empty() || !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// The text of a value that was not in quotes; what is not hexadecimal is text as it is. NULs stand between arguments and
/// at the end of names of sockets: they become spaces, or go. 0x01 stands between the keys of several rules.
pub(super) fn decoded(value: Cow<'_, str>) -> Cow<'_, str> {
    let Some(mut bytes) = bytes(&value) else { return value };
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    for byte in &mut bytes {
        match byte {
            0 => *byte = b' ',
            1 => *byte = b',',
            _ => {}
        }
    }
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, Vec<String>)> {
        let Some((records, _)) = Records::parse(text) else { return Vec::new() };
        let field = |field: &Field<'_>| format!("{}={}", field.key, field.value);
        let fields = |r: &Record<'_>| records.fields[r.from..r.to].iter().map(field).collect();
        records.records.iter().map(|record| (record.kind.to_owned(), fields(record))).collect()
    }

    #[test]
    fn heads_are_found_wherever_they_stand() {
        for (text, kind, node) in [
            ("type=CWD msg=audit(1.002:3): cwd=\"/\"", "CWD", None),
            ("node=h.example.com type=CWD msg=audit(1.002:3): cwd=\"/\"", "CWD", Some("h.example.com")),
            ("Mar 16 10:00:00 h audispd: node=h type=CWD msg=audit(1.002:3): cwd=\"/\"", "CWD", Some("h")),
            ("[   11.10] audit: type=1400 audit(1.002:3): apparmor=\"STATUS\"", "1400", None),
            ("[   11.10] type=1400 audit(1.002:3): apparmor=\"STATUS\"", "1400", None),
            ("kernel: audit(1.002:3): avc:  denied", "", None),
            ("audit(1.002:3): initialized", "", None),
            ("type=UNKNOWN[1334] msg=audit(1.002:3): prog-id=5", "UNKNOWN[1334]", None),
            ("type=DAEMON_ROTATE msg=audit(1.002:3) auditd rotates, auid=0", "DAEMON_ROTATE", None),
            ("type=1203 msg=audit(1.002:3) config changed, auid=0", "1203", None),
        ] {
            let head = head(text, 0).unwrap();
            assert_eq!((head.kind, head.node, head.stamp.text), (kind, node, "1.002:3"), "{text}");
            assert_eq!((head.stamp.time, head.stamp.serial), (Timestamp(1_002_000_000), 3));
        }
        for text in [
            "",
            "audit(",
            "type=X msg=audit(1:2): ",
            "type=X msg=audit(1.002:3) x=1",
            "type=x msg=audit(1.002:3): ",
            "my audit(1.002:3): x",
        ] {
            assert_eq!(head(text, 0), None, "{text}");
        }
    }

    #[test]
    fn records_of_one_event_are_read_from_lines_and_from_one_line() {
        let line = "type=CWD msg=audit(1.002:3): cwd=\"/a b\" type=PATH msg=audit(1.002:3): item=0 name=2F61";
        let expected = [("CWD", vec!["cwd=/a b"]), ("PATH", vec!["item=0", "name=2F61"])];
        let expected =
            expected.map(|(kind, fields)| (kind.to_owned(), fields.into_iter().map(str::to_owned).collect()));
        assert_eq!(shown(line), expected);
        let lines = "h audispd: type=CWD msg=audit(1.002:3): cwd=\"/a b\"\nh audispd: type=PATH msg=audit(1.002:3): \
                     item=0 name=2F61\nh audispd: type=PATH msg=audit(1.002:4): item=1";
        assert_eq!(shown(lines), expected);
    }

    #[test]
    fn messages_of_programs_and_enriched_halves_are_fields_of_their_record() {
        let text = "type=USER_END msg=audit(1.002:3): user pid=9 uid=0 msg='PAM: session close acct=root : \
                    exe=\"/usr/sbin/crond\" (hostname=?, addr=192.0.2.1, terminal=(none) res=success)'\u{1d}UID=\"root\"";
        let fields =
            "pid=9 uid=0 acct=root exe=/usr/sbin/crond hostname=? addr=192.0.2.1 terminal=(none) res=success UID=root";
        assert_eq!(shown(text)[0].1, fields.split(' ').collect::<Vec<_>>());
        let text = "type=SOCKADDR msg=audit(1.002:3): saddr=10\u{1d}SADDR={ saddr_fam=inet laddr=192.0.2.1 lport=53 }";
        assert_eq!(shown(text)[0].1, ["saddr=10", "saddr_fam=inet", "laddr=192.0.2.1", "lport=53"]);
        let text = "type=SYSCALL msg=audit(1.002:3): subj==a key=(null)ARCH=x86_64 SYSCALL=read";
        assert_eq!(shown(text)[0].1, ["subj==a", "key=(null)", "ARCH=x86_64", "SYSCALL=read"]);
        let text = "type=ADD_GROUP msg=audit(1.002:3): pid=9 msg='op=adding group to /etc/group id=48 res=success'";
        assert_eq!(shown(text)[0].1, ["pid=9", "op=adding group to /etc/group", "id=48", "res=success"]);
        let text = "type=USER_LOGIN msg=audit(1.002:3): op=login and on";
        assert_eq!(shown(text)[0].1, ["op=login"]);
        let open = "type=SERVICE_START msg=audit(1.002:3): pid=1 msg='unit=a res=success";
        assert_eq!(shown(open)[0].1, ["pid=1", "unit=a", "res=success"]);
    }

    #[test]
    fn values_are_decoded_where_the_kernel_encoded_them() {
        for (value, expected) in [
            ("2F612062", "/a b"),
            ("6C73002D6C00", "ls -l"),
            ("6101620A", "a,b\n"),
            ("root", "root"),
            ("2f61", "2f61"),
            ("ABC", "ABC"),
            ("FF41", "\u{fffd}A"),
        ] {
            assert_eq!(decoded(Cow::Borrowed(value)), expected, "{value}");
        }
    }
}
