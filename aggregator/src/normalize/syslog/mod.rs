//! Syslog headers: RFC 5424, RFC 3164 and what daemons write to files in their name.
//!
//! In: a line with or without PRI; a time in either form, or none where a `program[pid]:` follows; a host,
//! or none. Out: time, program, process id, facility and severity, and the message, which is handed to the
//! program's own parser. A line that merely begins with a time is not taken: an ISO time alone does not
//! make it syslog.

mod rfc5424;
mod structured;
mod tag;

use shared::time::Timestamp;

use super::text::{cut, head, level, number, severity_of, unspaced, word};
use super::timestamp::{self, Reference, Stamp};
use super::{Context, attempt, endpoint, panos, program, zones};
use crate::event::Event;
use crate::schema::Attribute;
use tag::{Stated, Tag, program_tag, tabbed, tag};

/// What the header of a line says about its message.
pub(super) struct Header<'a> {
    /// The host that the line names.
    pub(super) host: Option<&'a str>,
    /// The program as written, with its path; empty where the line names none.
    pub(super) program: &'a str,
    /// `pam_unix` of `sshd(pam_unix)[7]`.
    pub(super) module: Option<&'a str>,
    /// What is known beside the line.
    pub(super) context: Context<'a>,
}

impl<'a> Header<'a> {
    /// The host that wrote the line: as the line says, else as its frame says; may be empty.
    pub(super) fn this_host(&self) -> &'a str {
        self.host.unwrap_or(&self.context.origin.hostname)
    }
}

/// RFC 5424 §6.2.1, by number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// RFC 5424 §6.2.1, by number.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// The name of a facility.
pub(super) fn facility_name(number: i64) -> Option<&'static str> {
    FACILITIES.get(usize::try_from(number).ok()?).copied()
}

/// The name of a severity.
pub(super) fn severity_name(number: u8) -> Option<&'static str> {
    SEVERITIES.get(usize::from(number)).copied()
}

/// Whether a line begins with a PRI, or with the month, day and hour of RFC 3164: what most lines of most hosts begin with.
pub(super) fn headed(text: &str) -> bool {
    match text.as_bytes() {
        [b'<', b'0'..=b'9', rest @ ..] => rest.iter().take(3).any(|byte| *byte == b'>'),
        [b'A'..=b'Z', b'a'..=b'z', b'a'..=b'z', b' ', b'0'..=b'9' | b' ', b'0'..=b'9', b' ', _, _, b':', ..] => true,
        _ => false,
    }
}

/// Reads a line; false where it has none of the headers above.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let text = counted(text);
    let (priority, rest) = match priority(text) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, text),
    };
    if priority.is_none() && rest.starts_with(|c: char| c.is_ascii_digit()) {
        // dmesg's, with a comma in its time; RFC 5424 without its PRI, as some files and relays hold it.
        if program::iso_timed(rest) {
            return false;
        }
        if let Some(rest) = rest.strip_prefix("1 ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            return rfc5424::parse(rest, None, context, event);
        }
    }
    if let Some(priority) = priority {
        if let Some(rest) = versioned(rest) {
            let mark = event.fields.len();
            if rfc5424::parse(rest, Some(priority), context, event) {
                return true;
            }
            event.fields.truncate(mark);
            event.unmapped.clear();
        }
        apply_priority(priority, event);
    }
    // Some senders leave a space or a colon between the two.
    let rest = if priority.is_some() { rest.trim_start_matches([' ', ':']) } else { rest };
    let usual = timestamp::bsd(rest, context.reference).or_else(|| timestamp::year_first(rest, context.reference));
    if let Some((stamp, rest)) = usual {
        let (stamp, rest) = universal(stamp, rest, context.reference);
        // sudo's own file names neither host nor program.
        if let Some(message) = rest.strip_prefix(" : ").filter(|rest| cut(rest, " : ").is_some()) {
            let tag = Tag { program: "sudo", ..Tag::default() };
            return finish(Some(stamp), &tag, message, "syslog3164", context, event);
        }
        let marks = rest.bytes().take_while(|byte| matches!(byte, b' ' | b':')).count();
        let rest = rest.get(marks..).unwrap_or(rest);
        // Relays leave the host out before a line that has none of its own.
        if rest.starts_with(|c: char| c.is_ascii_digit()) && panos::looks(rest) {
            return finish(Some(stamp), &Tag::default(), rest, "syslog3164", context, event);
        }
        let (tag, message) = tag(rest).unwrap_or((Tag { host: None, ..Tag::default() }, rest));
        if let Some(host) = tag.host.filter(|_| tag.program.is_empty()) {
            return relayed(host, message, context, event) || {
                let (stamp, tag, message) = second_host(stamp, host, tag, message, event);
                finish(Some(stamp), &tag, message, "syslog3164", context, event)
            };
        }
        return finish(Some(stamp), &tag, message, "syslog3164", context, event);
    }
    let timed = rest;
    if let Some((stamp, rest)) = timestamp::iso(timed, context.reference) {
        if let Some((tag, message)) = tabbed(rest) {
            return tag.host.is_some_and(|host| relayed(host, message, context, event))
                || finish(Some(stamp), &tag, message, "syslog", context, event);
        }
        if let Some(message) = rest.strip_prefix(' ').filter(|rest| program::is_userlog(rest)) {
            let tag = Tag { program: "pw", ..Tag::default() };
            return finish(Some(stamp), &tag, message, "syslog", context, event);
        }
        let zoned = stamp.assumed_offset.is_none();
        if zoned && rest.strip_prefix(' ').is_some_and(rfc5424::is_bare) {
            return rfc5424::parse(timed, None, context, event);
        }
        let tag = tag(rest.trim_start_matches(' '));
        if let Some((Tag { host: Some(host), program: "", .. }, message)) = tag
            && relayed(host, message, context, event)
        {
            return true;
        }
        // What stands in brackets is a level or a part of a program.
        let bracketed = rest.trim_start_matches(' ').starts_with('[');
        // Without a zone only a known program behind a host tells it from a line of a program's own.
        let stamped = stamp.text.as_bytes().get(10) == Some(&b'T');
        let told =
            |tag: &Tag<'_>| zoned || (stamped && tag.colon && tag.host.is_some() && program::is_known(tag.program));
        let named = |tag: &Tag<'_>| {
            tag.pid.is_some() || (!bracketed && !tag.program.is_empty() && (priority.is_some() || told(tag)))
        };
        let (tag, message) = match tag {
            Some((tag, message)) if named(&tag) => (tag, message),
            // A PRI is syslog's alone: what follows the host, or the time, is the message.
            Some((tag, message)) if !bracketed && priority.is_some() => (tag, message),
            _ if priority.is_some() => (Tag::default(), rest.trim_start_matches(' ')),
            _ => return false,
        };
        return finish(Some(stamp), &tag, message, "syslog", context, event);
    }
    if let Some((stamp, rest)) = uncommon_time(rest, context.reference) {
        // What a collector put before the line's own time says enough.
        let collected = text.starts_with("- ");
        let found = tag(rest.trim_start_matches(' '))
            .filter(|(tag, _)| tag.pid.is_some() || tag.stated.is_some() || (collected && !tag.program.is_empty()));
        let Some((tag, message)) = found else { return false };
        return finish(Some(stamp), &tag, message, "syslog", context, event);
    }
    // `dmesg -r`: the kernel's own time, and no name.
    if priority.is_some() && program::is_timed(rest) {
        return finish(None, &Tag { program: "kernel", ..Tag::default() }, rest, "syslog", context, event);
    }
    // `journalctl -o short-monotonic`, and what systemd writes to the kernel's buffer.
    if let Some((tag, message)) = program::behind_uptime(rest).and_then(tag)
        && tag.pid.is_some()
        && tag.colon
        && (tag.program.starts_with("systemd") || tag.host.is_some_and(|host| !host.ends_with(':')))
    {
        return finish(None, &tag, message, "syslog", context, event);
    }
    // Neither time nor PRI: only `host program[pid]:` is unmistakable.
    let found = tag(rest).filter(|(tag, _)| priority.is_some() || (tag.pid.is_some() && tag.colon));
    match found {
        Some((tag, message)) => finish(None, &tag, message, "syslog", context, event),
        None if priority.is_some() => finish(None, &Tag::default(), rest, "syslog", context, event),
        None => false,
    }
}

/// Most headers of relays before a line's own.
const RELAYS_MAX: u8 = 3;

/// A relay's time and host before a whole line of another host: that line's header counts.
fn relayed<'a>(relay: &'a str, message: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let versioned = message.strip_prefix("1 ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if context.wrappers >= RELAYS_MAX || (versioned.is_none() && !headed(message)) {
        return false;
    }
    let inner = Context { wrappers: context.wrappers + 1, ..*context };
    let read = |text: &'a str, context: &Context<'a>, event: &mut Event<'a>| match versioned {
        Some(rest) => rfc5424::parse(rest, None, context, event),
        None => parse(text, context, event),
    };
    let found = attempt(read, message, &inner, event);
    if found {
        event.unmap("relay", relay);
    }
    found
}

/// What stands between a time and the host: a zone (`CET`, `+01:00`), which the time is then in, or a relay.
fn second_host<'a>(
    stamp: Stamp<'a>,
    first: &'a str,
    tag: Tag<'a>,
    message: &'a str,
    event: &mut Event<'a>,
) -> (Stamp<'a>, Tag<'a>, &'a str) {
    // AIX, behind the relay's own name: Message forwarded from web-1: sshd[7]: …
    let forwarded = message.strip_prefix("Message forwarded from ").and_then(|rest| cut(rest, ": "));
    let (host, rest) = forwarded.unwrap_or_else(|| word(message));
    let zone = zones::minutes(first);
    let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if !host.bytes().all(named) || level(host).is_some() {
        return (stamp, tag, message);
    }
    // A relay before a host's address needs a program that is known.
    let addressed = |tag: &Tag<'_>| tag.colon && endpoint::ip(host).is_some() && program::is_known(tag.program);
    let told = |tag: &Tag<'_>| tag.pid.is_some() || (zone.is_some() && tag.colon) || addressed(tag);
    let found = program_tag(rest).filter(|(tag, _)| told(tag));
    match (found, zone) {
        (Some((found, message)), Some(minutes)) => (stamp.in_zone(minutes), Tag { host: Some(host), ..found }, message),
        (Some((found, message)), None) => {
            event.unmap("relay", first);
            (stamp, Tag { host: Some(host), ..found }, message)
        }
        (None, _) => (stamp, tag, message),
    }
}

/// Without the octet count of a framed stream (RFC 6587 §3.4.1): `123 <13>…`.
fn counted(text: &str) -> &str {
    let digits = text.bytes().take(7).take_while(u8::is_ascii_digit).count();
    let rest = text.get(digits..).filter(|_| digits > 0).and_then(|rest| rest.strip_prefix(' '));
    rest.filter(|rest| rest.starts_with('<')).unwrap_or(text)
}

/// A time that `UTC` or `GMT` follows is that zone's, not the host's.
fn universal<'a>(stamp: Stamp<'a>, rest: &'a str, reference: Reference) -> (Stamp<'a>, &'a str) {
    match rest.strip_prefix(" UTC").or_else(|| rest.strip_prefix(" GMT")).filter(|rest| rest.starts_with([' ', ':'])) {
        Some(rest) => {
            let offset = i64::from(reference.utc_offset_minutes) * 60_000_000_000;
            let time = Timestamp(stamp.time.0.saturating_add(offset));
            (Stamp { time, assumed_offset: None, ..stamp }, rest)
        }
        None => (stamp, rest),
    }
}

/// Times that stand before a tag in few places: after the day's name (`Fri Oct  4 16:24:47 2019`, OpenWrt's logread; `Mon
/// 2026-03-16 10:00:00 UTC`, `journalctl -o short-full`), as seconds (`1773653400.123456`, `journalctl -o short-unix`), and
/// behind the label, seconds, day and node of a cluster's collector (`- 1131566461 2005.11.09 n1 Nov 9 12:01:01 n1/n1 …`).
fn uncommon_time(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let (first, rest) = word(text);
    if first.len() == 3 && matches!(first, "Mon" | "Tue" | "Wed" | "Thu" | "Fri" | "Sat" | "Sun") {
        let (stamp, rest) = timestamp::bsd(rest, reference).or_else(|| timestamp::iso(rest, reference))?;
        let (stamp, rest) = universal(stamp, rest, reference);
        // A zone by name; one that stands for several is the host's own.
        let (zone, after) = word(rest.trim_start());
        let named = stamp.assumed_offset.is_some()
            && (3..=4).contains(&zone.len())
            && zone.bytes().all(|b| b.is_ascii_uppercase())
            && level(zone).is_none();
        if !named {
            return Some((stamp, rest));
        }
        let certain = zones::minutes(zone).filter(|_| !matches!(zone, "CST" | "BST"));
        return Some((certain.map_or(stamp, |minutes| stamp.in_zone(minutes)), after));
    }
    let seconds = |text: &str| {
        let (whole, micros) = text.split_once('.').unwrap_or((text, "0"));
        let whole = (whole.len() == 10).then(|| whole.parse::<i64>().ok())??;
        let micros = micros.get(..6).unwrap_or(micros);
        let scale = 10_i64.pow(6_u32.checked_sub(u32::try_from(micros.len()).ok()?)?);
        let nanos = whole.checked_mul(1_000_000_000)?.checked_add(number(micros)? * scale * 1_000)?;
        Some(Timestamp(nanos))
    };
    if let Some(time) = first.contains('.').then(|| seconds(first)).flatten() {
        return Some((Stamp { time, text: first, assumed_offset: None }, rest));
    }
    let (epoch, rest) = word(rest);
    let time = seconds(epoch)?;
    let (day, rest) = word(rest);
    let date = day.len() == 10 && day.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let (_, rest) = date.then(|| word(rest))?;
    let (stamp, rest) = timestamp::bsd(rest, Reference { read_at: time, ..reference })?;
    Some((Stamp { time, assumed_offset: None, ..stamp }, rest))
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
    (version.len() <= 3 && version.as_bytes().first() != Some(&b'0')).then_some(())?;
    number(version).map(|_| rest)
}

/// What stands before a line of another format: `[<PRI>[1 ]]TIME HOST `. Facility, severity and a host that is not its own are
/// set; the time is the caller's, who may know a better one.
pub(super) fn lead<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> Option<Stamp<'a>> {
    let text = counted(text);
    let rest = match priority(text) {
        Some((priority, rest)) => {
            apply_priority(priority, event);
            versioned(rest).unwrap_or(rest)
        }
        None => text,
    };
    let reference = context.reference;
    let (stamp, rest) = timestamp::bsd(rest, reference)
        .or_else(|| timestamp::year_first(rest, reference))
        .or_else(|| timestamp::iso(rest, reference))?;
    let (stamp, rest) = universal(stamp, rest, reference);
    let host = word(rest.trim_start_matches([' ', ':'])).0;
    if !host.is_empty() && host != context.origin.hostname && !host.ends_with(':') {
        event.unmap("hostname", host);
    }
    Some(stamp)
}

/// Whether a word is a facility and a severity: `Local7.Notice`.
pub(super) fn is_stated(word: &str) -> bool {
    Stated::of_word(word).is_some()
}

/// Facility and severity of a PRI.
pub(super) fn apply_priority(priority: u8, event: &mut Event<'_>) {
    if let Some(facility) = FACILITIES.get(usize::from(priority / 8)) {
        event.unmap("facility", *facility);
    }
    if let Some(severity) = SEVERITIES.get(usize::from(priority % 8)) {
        event.unmap("severity", *severity);
    }
    event.severity_id = severity_of(priority % 8);
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
    if let Some(procid) = tag.pid {
        // Apple's programs name the thread behind the process: `[21412/0x7000]`.
        let threaded = || {
            let (process, thread) = procid.split_once('/')?;
            Some((number(process)?, Some(thread)))
        };
        match number(procid).map(|pid| (pid, None)).or_else(threaded) {
            Some((pid, thread)) => {
                event.push(Attribute::ActorProcessPid, pid);
                if !tag.program.is_empty() {
                    event.push(Attribute::ActorProcessName, tag.program);
                }
                if let Some(thread) = thread {
                    event.unmap("thread", thread);
                }
            }
            None => event.unmap("procid", procid),
        }
    }
    if let Some(host) = tag.host.filter(|host| *host != context.origin.hostname) {
        event.unmap("hostname", host);
    }
    if let Some(stated) = tag.stated.filter(|_| !event.unmapped.iter().any(|(key, _)| key == "facility")) {
        apply_priority(stated.facility * 8 + stated.severity, event);
    }
    if let Some(word) = tag.level {
        event.push(Attribute::MetadataLogLevel, word);
        event.severity_id = level(word).unwrap_or(event.severity_id);
    }
    let message = solaris(message, event);
    event.push(Attribute::Message, message);
    let header = Header { host: tag.host, program: tag.program, module: tag.module, context: *context };
    // rsyslog's templates leave the space that RFC 3164 has before a message.
    program::parse(unspaced(message), &header, event);
    true
}

/// Most bytes of `authpriv.emergency]: `.
const STATED_LEN_MAX: usize = 24;

/// Without Solaris's `[ID 12345 auth.info] `, or the `[authpriv.notice]: ` of others, which say facility and severity.
fn solaris<'a>(message: &'a str, event: &mut Event<'a>) -> &'a str {
    let Some(inner) = message.strip_prefix('[') else { return message };
    let Some((id, rest)) = inner.strip_prefix("ID ").and_then(|rest| cut(rest, "] ")) else {
        let stated = cut(head(inner, STATED_LEN_MAX), "]: ").map(|(word, _)| word);
        let Some((word, found)) = stated.and_then(|word| Some((word, Stated::of_word(word)?))) else { return message };
        if !event.unmapped.iter().any(|(key, _)| key == "facility") {
            apply_priority(found.facility * 8 + found.severity, event);
        }
        return inner.get(word.len() + "]: ".len()..).unwrap_or(message);
    };
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

    #[test]
    fn relays_zones_and_years_may_stand_before_the_host() {
        for (header, time) in [
            ("Mar 16 10:00:00 relay Mar 16 09:59:59 web-2 sshd[7]: ", 1_773_651_599),
            ("Mar 16 10:00:00 relay <86>Mar 16 09:59:59 web-2 sshd[7]: ", 1_773_651_599),
            ("Mar 16 10:00:00 relay 1 2026-03-16T09:59:59Z web-2 sshd 7 - - ", 1_773_655_199),
            ("2026-03-16T10:00:00Z relay <86>Mar 16 09:59:59 web-2 sshd[7]: ", 1_773_651_599),
            ("Mar 16 10:00:00 relay web-2 sshd[7]: ", 1_773_651_600),
            ("Mar 16 10:00:00 EET web-2 sshd[7]: ", 1_773_648_000),
            ("<86>Mar 16 10:00:00 +02:00 web-2 sshd[7]: ", 1_773_648_000),
            ("<86>2026 Mar 16 10:00:00 web-2 sshd[7]: ", 1_773_651_600),
            ("2026-03-16 10:00:00\tAuth.Info\tweb-2\tsshd[7]: ", 1_773_651_600),
            ("2026-03-16 10:00:00\tAuth.Info\t192.0.2.9\tMar 16 10:00:00 web-2 sshd[7]: ", 1_773_651_600),
            ("Mar 16 10:00:00 relay Message forwarded from web-2: sshd[7]: ", 1_773_651_600),
        ] {
            let event = normalized(&format!("{header}Accepted password for bob from 192.0.2.1 port 5 ssh2"));
            assert_eq!(event["user"]["name"], "bob", "{header}");
            assert_eq!(event["unmapped"]["hostname"], "web-2", "{header}");
            assert_eq!(event["time"].as_i64().map(|ms| ms / 1000), Some(time), "{header}");
        }
    }

    #[test]
    fn a_thread_may_stand_behind_the_process() {
        let event = normalized("Mar 16 10:00:00 h someone[21/0x7f]: something");
        assert_eq!(event["actor"]["process"], json!({"name": "someone", "pid": 21}));
        assert_eq!(event["unmapped"]["thread"], "0x7f");
    }

    #[test]
    fn what_syslogd_says_of_itself_is_its_own() {
        for (line, count) in [
            ("Mar 16 10:00:00 web-2 last message repeated 3 times", Some(3)),
            ("Mar 16 10:00:00 web-2 sshd[7]: last message repeated 4 times", Some(4)),
            ("Mar 16 10:00:00 web-2 -- MARK --", None),
        ] {
            let event = normalized(line);
            assert_eq!((event["class_uid"].as_i64(), event["count"].as_i64()), (Some(1008), count), "{line}");
        }
    }

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
            ("Jun 14 10:00:00 other app[]: text", json!(["app", null, "other", "text"])),
            ("2026-03-16T09:00:00.123 other sudo: text", json!(["sudo", null, "other", "text"])),
            ("Jun 14 10:00:00 relay 192.0.2.9 sudo: text", json!(["sudo", null, "192.0.2.9", "text"])),
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
            ("67 <13>1 2026-03-16T09:00:00Z other app 7 - - text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 <4.6> other app[7]: text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 <auth.info> other app[7]: text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 other auth|security:info app[7]: text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 other authpriv.info app[7]: text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 Message forwarded from other: app[7]: text", json!(["app", 7, "other", "text"])),
            ("Fri Jun 14 10:00:00 2019 authpriv.info app[7]: text", json!(["app", 7, null, "text"])),
            ("Mon 2026-03-16 10:00:00 CET other app[7]: text", json!(["app", 7, "other", "text"])),
            ("1773653400.123456 other app[7]: text", json!(["app", 7, "other", "text"])),
            ("- 1131566461 2005.11.09 n1 Nov 9 12:01:01 n1/n1 app[7]: text", json!(["app", 7, "n1/n1", "text"])),
            ("Jun 14 10:00:00 other (app)[7]: text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 other app][7]: text", json!(["app", 7, "other", "text"])),
            ("Jun 14 10:00:00 other app]: text", json!(["app", null, "other", "text"])),
            ("Jun 14 10:00:00 other Some App[7]: text", json!(["Some App", 7, "other", "text"])),
            ("Jun 14 10:00:00 other  -- root[7]: text", json!(["login", 7, "other", "text"])),
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
        let event = normalized(&format!("Mar 16 10:00:00 h sshd[9]: [authpriv.notice]: {message}"));
        assert_eq!((&event["message"], &event["class_uid"]), (&json!(message), &json!(3002)));
        assert_eq!(event["unmapped"]["facility"], "authpriv");
    }

    #[test]
    fn a_priority_before_an_iso_time_is_enough() {
        let event = normalized("<86>2026-03-16T10:00:00.5 web-2 su: 'su root' failed for bob on /dev/pts/8");
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(300_207), &json!(1_773_651_600_500_i64)));
        let event = normalized("<13>2026-03-16T10:00:00+01:00 web-2 the door is open");
        assert_eq!((&event["time"], &event["message"]), (&json!(1_773_651_600_000_i64), &json!("the door is open")));
        assert_eq!((&event["unmapped"]["hostname"], &event["unmapped"]["facility"]), (&json!("web-2"), &json!("user")));
    }

    #[test]
    fn a_full_time_of_the_journal_is_in_its_zone() {
        let event = normalized("Mon 2026-03-16 10:00:00 EDT web-2 systemd[1]: Started Foo.");
        assert_eq!(event["time"], 1_773_651_600_000_i64 + 5 * 3_600_000);
        let event = normalized("Mon 2026-03-16 10:00:00 QQT web-2 systemd[1]: Started Foo.");
        assert_eq!((&event["time"], &event["class_uid"]), (&json!(1_773_651_600_000_i64), &json!(6002)));
    }

    #[test]
    fn structured_data_ends_where_it_must() {
        let data = r#"[a@1 b="c\"]" d="e"][f@2]"#;
        let event = normalized(&format!("<165>1 2003-10-11T22:14:15.003Z h app 7 ID47 {data} \u{feff}text"));
        assert_eq!(event["unmapped"]["a@1"]["b"], "c\"]");
        assert_eq!((&event["unmapped"]["a@1"]["d"], &event["unmapped"]["f@2"]), (&json!("e"), &json!("")));
        assert_eq!(event["message"], "text");
        assert_eq!(event["metadata"]["event_code"], "ID47");
        assert_eq!(event["time"], 1_065_910_455_003_i64);
        assert!(event.get("timezone_offset").is_none());
        let event = normalized(r#"<165>1 2003-10-11T22:14:15.003Z h app 7 ID47 [a@1 b="c text"#);
        assert!(event["unmapped"].get("a@1").is_none());
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
    fn uncommon_times_are_read_with_their_zone() {
        for (line, seconds) in [
            ("Mar 16 10:00:00 UTC h app[7]: text", 1_773_655_200),
            ("Mon 2026-03-16 10:00:00 UTC h app[7]: text", 1_773_655_200),
            ("Mon 2026-03-16 10:00:00 CET h app[7]: text", 1_773_651_600),
            ("1773653400.5 h app[7]: text", 1_773_653_400),
            ("- 1131566461 2005.11.09 n1 Nov 9 12:01:01 n1/n1 app[7]: text", 1_131_566_461),
        ] {
            assert_eq!(normalized(line)["time"].as_i64().map(|ms| ms / 1000), Some(seconds), "{line}");
        }
        let event = normalized("Jun 14 10:00:00 <4.3> other app[7]: text");
        assert_eq!(event["severity_id"], 3);
        assert_eq!(event["unmapped"]["facility"], "auth");
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
