//! Syslog headers: RFC 5424, RFC 3164 and what daemons write to files in their name.
//!
//! In: a line with or without PRI; a time in either form, or none where a `program[pid]:` follows; a host,
//! or none. Out: time, program, process id, facility and severity, and the message, which is handed to the
//! program's own parser. A line that merely begins with a time is not taken: an ISO time alone does not
//! make it syslog.

mod rfc5424;
mod structured;
mod tag;
#[cfg(test)]
mod tests;

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
        [b'A'..=b'Z' | b'a'..=b'z', b, c, b' ', b'0'..=b'9' | b' ', b'0'..=b'9', b' ', _, _, b':', ..] => {
            b.is_ascii_alphabetic() && c.is_ascii_alphabetic()
        }
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
    if let Some(found) = timestamp::iso(rest, context.reference) {
        return iso_headed(rest, found, priority.is_some(), context, event);
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

/// A line whose header begins with an ISO time; `timed` is that time and what follows it.
fn iso_headed<'a>(
    timed: &'a str,
    (stamp, rest): (Stamp<'a>, &'a str),
    prioritized: bool,
    context: &Context<'a>,
    event: &mut Event<'a>,
) -> bool {
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
    let told = |tag: &Tag<'_>| zoned || (stamped && tag.colon && tag.host.is_some() && program::is_known(tag.program));
    let named =
        |tag: &Tag<'_>| tag.pid.is_some() || (!bracketed && !tag.program.is_empty() && (prioritized || told(tag)));
    let (tag, message) = match tag {
        Some((tag, message)) if named(&tag) => (tag, message),
        // A PRI is syslog's alone: what follows the host, or the time, is the message.
        Some((tag, message)) if !bracketed && prioritized => (tag, message),
        _ if prioritized => (Tag::default(), rest.trim_start_matches(' ')),
        _ => return false,
    };
    finish(Some(stamp), &tag, message, "syslog", context, event)
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
