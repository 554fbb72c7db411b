//! Syslog headers: RFC 5424, RFC 3164 and what daemons write to files in their name.
//!
//! In: a line with or without PRI; a time in either form, or none where a `program[pid]:` follows; a host,
//! or none. Out: time, program, process id, facility and severity, and the message, which is handed to the
//! program's own parser. A line that merely begins with a time is not taken: an ISO time alone does not
//! make it syslog.

use super::text::{between, cut, level, number, severity_of, word};
use super::timestamp::{self, Stamp};
use super::{Context, Origin, program};
use crate::event::Event;
use crate::schema::Attribute;

/// What the header of a line says about its message.
pub(super) struct Header<'a> {
    /// The host that the line names.
    pub(super) host: Option<&'a str>,
    /// The program as written, with its path; empty where the line names none.
    pub(super) program: &'a str,
    /// `pam_unix` of `sshd(pam_unix)[7]`.
    pub(super) module: Option<&'a str>,
    pub(super) origin: &'a Origin,
}

impl<'a> Header<'a> {
    /// The host that wrote the line: as the line says, else as its frame says; may be empty.
    pub(super) fn this_host(&self) -> &'a str {
        self.host.unwrap_or(&self.origin.hostname)
    }
}

/// RFC 5424 §6.2.1, by number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// RFC 5424 §6.2.1, by number.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Longest program name that is taken for one.
const PROGRAM_LEN_MAX: usize = 64;

/// Reads a line; false where it has none of the headers above.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let (priority, rest) = match priority(text) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, text),
    };
    if let Some(priority) = priority {
        if let Some(rest) = versioned(rest) {
            let mark = event.fields.len();
            if rfc5424(rest, priority, context, event) {
                return true;
            }
            event.fields.truncate(mark);
            event.unmapped.clear();
        }
        apply_priority(priority, event);
    }
    if let Some((stamp, rest)) = timestamp::bsd(rest, context.reference) {
        let rest = rest.trim_start_matches([' ', ':']);
        let (tag, message) = tag(rest).unwrap_or((Tag { host: None, ..Tag::default() }, rest));
        return finish(Some(stamp), &tag, message, "syslog3164", context, event);
    }
    if let Some((stamp, rest)) = timestamp::iso(rest, context.reference) {
        let zoned = stamp.assumed_offset.is_none();
        let tag = tag(rest.trim_start_matches(' '));
        let Some((tag, message)) = tag.filter(|(tag, _)| tag.pid.is_some() || (zoned && !tag.program.is_empty()))
        else {
            return false;
        };
        return finish(Some(stamp), &tag, message, "syslog", context, event);
    }
    // Neither time nor PRI: only `host program[pid]:` is unmistakable.
    let found = tag(rest).filter(|(tag, _)| priority.is_some() || (tag.pid.is_some() && tag.colon));
    match found {
        Some((tag, message)) => finish(None, &tag, message, "syslog", context, event),
        None if priority.is_some() => finish(None, &Tag::default(), rest, "syslog", context, event),
        None => false,
    }
}

/// `<0>` to `<191>`.
fn priority(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>').filter(|(digits, _)| digits.len() <= 3)?;
    let priority = number(digits).and_then(|n| u8::try_from(n).ok()).filter(|n| *n < 192)?;
    Some((priority, rest))
}

/// What follows the version of RFC 5424 (`1 `).
fn versioned(text: &str) -> Option<&str> {
    let (version, rest) = text.split_once(' ')?;
    (version.len() <= 2 && version.as_bytes().first() != Some(&b'0')).then_some(())?;
    number(version).map(|_| rest)
}

fn apply_priority(priority: u8, event: &mut Event<'_>) {
    if let Some(facility) = FACILITIES.get(usize::from(priority / 8)) {
        event.unmap("facility", *facility);
    }
    if let Some(severity) = SEVERITIES.get(usize::from(priority % 8)) {
        event.unmap("severity", *severity);
    }
    event.severity_id = severity_of(priority % 8);
}

/// RFC 5424 §6, from the timestamp on.
fn rfc5424<'a>(text: &'a str, priority: u8, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let (stamp, rest) = match text.strip_prefix("- ") {
        Some(rest) => (None, rest),
        None => match timestamp::iso(text, context.reference) {
            Some((stamp, rest)) if rest.starts_with(' ') => (Some(stamp), rest.trim_start_matches(' ')),
            _ => return false,
        },
    };
    let mut fields = rest.splitn(5, ' ');
    let (Some(host), Some(program), Some(procid), Some(msgid), Some(rest)) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    let named = |text: &'a str| (text != "-" && !text.is_empty()).then_some(text);
    let Some((data, message)) = structured_data(rest) else { return false };
    apply_priority(priority, event);
    if let Some(msgid) = named(msgid) {
        event.push(Attribute::MetadataEventCode, msgid);
    }
    if let Some(data) = named(data) {
        event.unmap("structured_data", data);
    }
    let tag = Tag {
        host: named(host),
        program: named(program).unwrap_or_default(),
        pid: named(procid),
        module: None,
        level: None,
        colon: true,
    };
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    finish(stamp, &tag, message, "syslog5424", context, event)
}

/// STRUCTURED-DATA (RFC 5424 §6.3) and the message; none where it does not end as it must.
fn structured_data(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('[') {
        let (mut quoted, mut escaped, mut inside) = (false, false, false);
        let mut end = text.len();
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if inside => quoted = !quoted,
                b'[' if !quoted && !inside => inside = true,
                b']' if !quoted && inside => inside = false,
                _ if !inside => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        (!inside).then_some(end)?
    } else {
        text.starts_with('-').then_some(1)?
    };
    let (data, rest) = text.split_at_checked(end)?;
    match rest.strip_prefix(' ') {
        Some(message) => Some((data, message)),
        None => rest.is_empty().then_some((data, rest)),
    }
}

/// Host, program and process before a message.
#[derive(Clone, Copy, Default)]
struct Tag<'a> {
    host: Option<&'a str>,
    program: &'a str,
    module: Option<&'a str>,
    pid: Option<&'a str>,
    /// A severity in words where the host would stand (`INFO`), or after the tag (`<Notice>`).
    level: Option<&'a str>,
    /// The tag ended with a colon.
    colon: bool,
}

/// `host program[pid]: message` with the host, the process or the whole tag missing.
fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    if text.is_empty() || text.starts_with("---") || text.starts_with("last message repeated") {
        return None;
    }
    if let Some((tag, message)) = program_tag(text) {
        return Some((tag, message));
    }
    let (first, rest) = word(text);
    let severity = first.bytes().all(|b| b.is_ascii_uppercase()) && level(first).is_some();
    let (host, level) = if severity { (None, Some(first)) } else { (Some(first), None) };
    let (tag, message) = program_tag(rest).unwrap_or((Tag::default(), rest));
    Some((Tag { host, level: tag.level.or(level), ..tag }, message))
}

/// `program:`, `program[pid]:`, `program(module)[pid]:`, `[program]:`, `program[pid] (detail):`,
/// `program[pid] <Level>:`.
fn program_tag(text: &str) -> Option<(Tag<'_>, &str)> {
    if let Some((name, rest)) = text.strip_prefix('[').and_then(|rest| cut(rest, "]")) {
        let plain = !name.is_empty() && name.len() <= PROGRAM_LEN_MAX && name.bytes().all(is_program);
        let rest = plain.then(|| rest.strip_prefix(':').unwrap_or(rest))?;
        let tag = Tag { program: name, colon: true, ..Tag::default() };
        return rest.starts_with(' ').then_some((tag, rest.trim_start_matches(' ')));
    }
    let end = text.bytes().take(PROGRAM_LEN_MAX + 1).position(|b| !is_program(b))?;
    let (program, mut rest) = text.split_at_checked(end).filter(|(program, _)| !program.is_empty())?;
    let mut tag = Tag { program, ..Tag::default() };
    if let Some((module, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        tag.module = Some(module).filter(|module| module.bytes().all(is_program));
        rest = tag.module.map(|_| after)?;
    }
    if let Some((pid, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        tag.pid = (!pid.is_empty() && pid.len() <= PROGRAM_LEN_MAX && !pid.contains(' ')).then_some(pid);
        rest = tag.pid.map(|_| after)?;
    }
    if let Some(after) = rest.strip_prefix(':') {
        tag.colon = true;
        let ends = after.is_empty() || after.starts_with(' ') || tag.pid.is_some();
        return ends.then(|| (tag, after.trim_start_matches(' ')));
    }
    // Without a colon only a process id makes it a tag; macOS puts a level or a detail in between.
    let after = tag.pid.and_then(|_| rest.strip_prefix(' '))?;
    if let Some((level, message)) = after.strip_prefix('<').and_then(|after| cut(after, ">: ")) {
        tag.level = Some(level);
        return Some((tag, message));
    }
    let detailed = after.starts_with('(').then(|| between(after, "(", "): ")).flatten();
    Some((tag, detailed.map_or(after, |(_, message)| message)))
}

/// Bytes of program names, by number: every line is read up to the end of its program's.
static PROGRAM_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        let named = matches!(byte, b'_' | b'-' | b'.' | b'/' | b'@' | b'+' | b'#');
        if let Some(slot) = table.split_at_mut(byte as usize).1.first_mut() {
            *slot = byte.is_ascii_alphanumeric() || named;
        }
        byte += 1;
    }
    table
};

fn is_program(byte: u8) -> bool {
    PROGRAM_BYTES.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Sets what the header says and hands the message on.
fn finish<'a>(
    stamp: Option<Stamp<'a>>,
    tag: &Tag<'a>,
    message: &'a str,
    format: &'static str,
    context: &Context<'a>,
    event: &mut Event<'a>,
) -> bool {
    if let Some(stamp) = stamp {
        stamp.apply(event);
    }
    event.push(Attribute::MetadataLogFormat, format);
    if !tag.program.is_empty() {
        event.push(Attribute::MetadataLogProvider, tag.program);
    }
    match (tag.pid, tag.pid.and_then(number)) {
        (_, Some(pid)) => {
            event.push(Attribute::ActorProcessPid, pid);
            if !tag.program.is_empty() {
                event.push(Attribute::ActorProcessName, tag.program);
            }
        }
        (Some(procid), None) => event.unmap("procid", procid),
        (None, None) => {}
    }
    if let Some(host) = tag.host.filter(|host| *host != context.origin.hostname) {
        event.unmap("hostname", host);
    }
    if let Some(word) = tag.level {
        event.push(Attribute::MetadataLogLevel, word);
        event.severity_id = level(word).unwrap_or(event.severity_id);
    }
    let message = solaris(message, event);
    event.push(Attribute::Message, message);
    let header = Header { host: tag.host, program: tag.program, module: tag.module, origin: context.origin };
    program::parse(message, &header, event);
    true
}

/// Without Solaris's `[ID 12345 auth.info] `, which says facility and severity.
fn solaris<'a>(message: &'a str, event: &mut Event<'a>) -> &'a str {
    let Some((id, rest)) = message.strip_prefix("[ID ").and_then(|rest| cut(rest, "] ")) else { return message };
    let Some((id, (facility, severity))) = id.split_once(' ').and_then(|(id, at)| Some((id, at.split_once('.')?)))
    else {
        return message;
    };
    event.push(Attribute::MetadataEventCode, id);
    event.unmap("facility", facility);
    event.unmap("severity", severity);
    event.severity_id = level(severity).unwrap_or(event.severity_id);
    rest
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::normalized;

    /// `[program, pid, host, message]` as the event has them.
    fn header(line: &str) -> Value {
        let event = normalized(line);
        let pid = &event["actor"]["process"]["pid"];
        json!([event["metadata"]["log_provider"], pid, event["unmapped"]["hostname"], event["message"]])
    }

    #[test]
    fn headers_deviate_and_are_read() {
        for (line, expected) in [
            ("Jun 14 10:00:00 other app[7]: text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 web-1 app: text", json!(["app", null, null, "text"])),
            ("Jun 14 10:00:00 app[7]: text", json!(["app", 7, null, "text"])),
            ("Jun 14 10:00:00 app: text", json!(["app", null, null, "text"])),
            ("Jun 14 10:00:00 other /sbin/anacron[7]: text", json!(["/sbin/anacron", 7, "other", "text"])),
            ("Jun 14 10:00:00 other app(pam_x)[7]: text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 [app]: text", json!(["app", null, null, "text"])),
            ("Jun 14 10:00:00 [app] text", json!(["app", null, null, "text"])),
            ("Jun 14 10:00:00 other some text", json!([null, null, "other", "some text"])),
            ("Jun 14 10:00:00 --- last message", json!([null, null, null, "--- last message"])),
            ("Jun 14 10:00:00 mac com.apple.xpc[1] (com.apple.x): text", json!(["com.apple.xpc", 1, "mac", "text"])),
            ("Jun 14 10:00:00 mac fw[7] <Info>: text", json!(["fw", 7, "mac", "text"])),
            ("Jun 14 10:00:00 fe80::1 app[7]: text", json!(["app", 7, "fe80::1", "text"])),
            ("<13>app[7]: text", json!(["app", 7, null, "text"])),
            ("<13>Jun 14 10:00:00 other app[7]: text", json!(["app", 7, "other", "text"])),
            ("<13>2026-03-16T09:00:00Z other app[7]: text", json!(["app", 7, "other", "text"])),
            ("2026-03-16T09:00:00.123+01:00 other app: text", json!(["app", null, "other", "text"])),
            ("2026-03-16 09:00:00.123-0700  other app[7]: text", json!(["app", 7, "other", "text"])),
            ("2026-03-16T09:00:00Z WARNING app[7]: text", json!(["app", 7, null, "text"])),
            ("srv app[7]: text", json!(["app", 7, "srv", "text"])),
            ("<13>1 2026-03-16T09:00:00Z other app 7 - - text", json!(["app", 7, "other", "text"])),
            ("<13>1 - - - - - -", json!([null, null, null, ""])),
        ] {
            assert_eq!(header(line), expected, "{line}");
        }
    }

    #[test]
    fn what_has_no_header_is_not_syslog() {
        for line in ["", "text", "<999>text", "<>", "key: value", "2026-03-16 09:00:00 worker: text", "10.0.0.1 - - x"]
        {
            let format = &normalized(line)["metadata"]["log_format"];
            assert!(format == "raw" || format == "plain", "{line}: {format}");
        }
    }

    #[test]
    fn priority_sets_facility_and_severity() {
        let event = normalized("<34>Oct 11 22:14:15 h app: text");
        assert_eq!(event["unmapped"], json!({"facility": "auth", "severity": "crit", "hostname": "h"}));
        assert_eq!(event["severity_id"], 4);
        let message = "Failed none for root from 192.0.2.1 port 5 ssh2";
        let event = normalized(&format!("Mar 16 10:00:00 h sshd[9]: [ID 12345 auth.notice] {message}"));
        assert_eq!(event["metadata"]["event_code"], "12345");
        assert_eq!(event["unmapped"]["facility"], "auth");
        assert_eq!(event["message"], message);
        assert_eq!(event["class_uid"], 3002);
    }

    #[test]
    fn structured_data_ends_where_it_must() {
        let data = r#"[a@1 b="c\"]" d="e"][f@2]"#;
        let event = normalized(&format!("<165>1 2003-10-11T22:14:15.003Z h app 7 ID47 {data} \u{feff}text"));
        assert_eq!(event["unmapped"]["structured_data"], data);
        assert_eq!(event["message"], "text");
        assert_eq!(event["metadata"]["event_code"], "ID47");
        assert_eq!(event["time"], 1_065_910_455_003_i64);
        assert!(event.get("timezone_offset").is_none());
        let event = normalized(r#"<165>1 2003-10-11T22:14:15.003Z h app 7 ID47 [a@1 b="c text"#);
        assert!(event["unmapped"].get("structured_data").is_none());
        assert_eq!(event["metadata"]["log_format"], "syslog");
    }

    #[test]
    fn times_without_a_zone_are_the_hosts() {
        let event = normalized("Mar 16 10:00:00 h app: text");
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        assert_eq!(event["timezone_offset"], 60);
        assert_eq!(event["metadata"]["original_time"], "Mar 16 10:00:00");
    }

    #[test]
    fn an_access_log_line_inside_syslog_is_http_activity() {
        let line = r#"192.0.2.1 - - [16/Mar/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "curl""#;
        let event = normalized(&format!("<190>Mar 16 10:00:00 h nginx: {line}"));
        assert_eq!(event["class_uid"], 4002);
        assert_eq!(event["metadata"]["log_format"], "syslog3164");
        assert_eq!(event["http_request"]["user_agent"], "curl");
    }
}
