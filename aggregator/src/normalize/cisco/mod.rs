//! Cisco: what ASA, FTD, PIX and IOS devices send, in each of their framings.
//!
//! In: a line that holds `%FACILITY-[CLASS-]SEVERITY-MNEMONIC`, with any of `<PRI>`, a relay's time and host, a sequence
//! number, the device's own time (`*Mar  1 00:01:02.123 UTC:`, `Apr 30 2013 09:22:33 EDT:`) and a tag before it. Out: time,
//! host, `metadata.event_code` (`106023`, `SEC-6-IPACCESSLOGP`) and severity; the text behind the mnemonic goes to [`asa`]
//! or [`ios`]. A time that the device itself marks as not synchronized (`*`) yields to a relay's.
//! Source: Cisco Secure Firewall ASA Series Syslog Messages; Cisco IOS System Message Guide.

mod access;
mod asa;
mod flow;
mod ftd;
mod ios;
mod ios_access;
mod nxos;
mod rest;
mod vpn;

use std::borrow::Cow;

use shared::time::Timestamp;

use super::endpoint;
use super::formats::MARK_LEN_MAX;
use super::outcome::failure;
use super::remark::report;
use super::text::{cut, head, number, severity_of};
use super::timestamp::{self, Reference, Stamp};
use super::{Context, attempt, program, syslog, zones};
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

/// How far into a line its mnemonic may stand.
const PREFIX_LEN_MAX: usize = MARK_LEN_MAX;

/// Most words before the mnemonic.
const PREFIX_WORDS_MAX: usize = 12;

/// The mnemonic of a message.
#[derive(Clone, Copy)]
struct Mnemonic<'a> {
    /// `ASA`, `SEC_LOGIN`.
    facility: &'a str,
    severity: u8,
    /// `302013`, `LOGIN_FAILED`.
    name: &'a str,
    /// The whole of it without `%`: `SEC_LOGIN-4-LOGIN_FAILED`.
    code: &'a str,
}

/// Whether a line holds a mnemonic where one may stand.
pub(super) fn looks(text: &str) -> bool {
    split(text).is_some()
}

/// Reads a line; false where what stands before the mnemonic is no header that these devices and their relays write.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((before, mnemonic, message)) = split(text) else { return false };
    let Some(mut prefix) = prefix(before, context) else { return false };
    prefix.stamp = prefix.stamp.map(|stamp| dated(stamp, message, context.reference));
    prefix.apply(context, event);
    event.severity_id = severity_of(mnemonic.severity);
    let firewall = matches!(mnemonic.facility, "ASA" | "FTD" | "PIX" | "FWSM");
    let code = if firewall { mnemonic.name } else { mnemonic.code };
    event.push(Attribute::MetadataEventCode, code);
    if context.wrappers > 0 {
        relayed_host(event);
    }
    event.push(Attribute::MetadataLogProvider, if firewall { mnemonic.facility } else { "IOS" });
    event.push(Attribute::MetadataLogFormat, if firewall { "cisco_asa" } else { "cisco_ios" });
    event.push(Attribute::Message, message);
    let (message, repeated) = program::repeated(message).map_or((message, None), |(one, times)| (one, Some(times)));
    if firewall {
        let id = number(mnemonic.name).unwrap_or_default();
        let understood = attempt(|message, id, event| asa::parse(message, *id, event), message, &id, event)
            || attempt(|message, device, event| rest::parse(message, device, event), message, &"ASA", event);
        own(understood, "ASA", &mnemonic, event);
    } else {
        let understood =
            attempt(|message, mnemonic, event| ios::parse(message, mnemonic, event), message, &mnemonic, event)
                || (mnemonic.name == "SYSTEM_MSG" && attempt(nxos::system_message, message, context, event))
                || attempt(|message, device, event| rest::parse(message, device, event), message, &"IOS", event);
        own(understood, "IOS", &mnemonic, event);
    }
    if let Some(times) = repeated {
        event.set(Attribute::Count, times);
    }
    true
}

/// Reads an ASA's message without its mnemonic, where its words say what it is: `AAA user authentication Rejected : …`.
pub(super) fn nameless<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    const AAA_REJECTED: i64 = 113_005;
    asa::parse(message.trim_start_matches([':', ' ']), AAA_REJECTED, event)
}

/// Severity of messages from which one that means nothing else is an error of the device: 4, warning.
const ERROR: u8 = 4;

/// A message that nothing else was read from is an error of the device's own (6008), or a report on its life (6002).
fn own(understood: bool, device: &'static str, mnemonic: &Mnemonic<'_>, event: &mut Event<'_>) {
    if !understood && mnemonic.severity <= ERROR {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        failure(event, "");
    } else if !understood {
        report(device, event);
    }
}

/// What stands before the mnemonic, the mnemonic, and the message.
fn split(text: &str) -> Option<(&str, Mnemonic<'_>, &str)> {
    let mut from = 0;
    loop {
        let window = text.as_bytes().get(from..text.len().min(PREFIX_LEN_MAX))?;
        let at = from + memchr::memchr(b'%', window)?;
        if let Some((mnemonic, message)) = mnemonic(text.get(at + 1..)?) {
            return Some((text.get(..at)?, mnemonic, message));
        }
        from = at + 1;
    }
}

/// Longest remark in angle brackets behind a facility.
const REMARK_LEN_MAX: usize = 16;

/// `ASA-6-302013: `, `ASA-session-5-106100: `, `SEC_LOGIN-SW1-4-LOGIN_FAILED: `, `FTD<Up>-4-313005: `.
fn mnemonic(text: &str) -> Option<(Mnemonic<'_>, &str)> {
    let named_byte = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let word_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let (facility, tail) = text.split_at_checked(text.bytes().take_while(|b| named_byte(*b)).count())?;
    let marked = tail.strip_prefix('<').and_then(|mark| head(mark, REMARK_LEN_MAX).find('>'));
    let tail = marked.map_or(Some(tail), |end| tail.get(end + 2..))?.strip_prefix('-')?;
    let end = tail.bytes().take(PREFIX_LEN_MAX).position(|b| !word_byte(b)).unwrap_or(tail.len());
    let (tail, rest) = tail.split_at_checked(end)?;
    let code = text.get(..text.len() - rest.len())?;
    let message = rest.strip_prefix(':').or_else(|| rest.strip_prefix(' ')).or(rest.is_empty().then_some(""))?;
    let named = facility.len() > 1;
    let mut parts = tail.split('-');
    let mut severity = parts.next()?;
    let mut name = tail.strip_prefix(severity)?.strip_prefix('-')?;
    if severity_number(severity).is_none() {
        severity = parts.next()?;
        name = name.strip_prefix(severity)?.strip_prefix('-')?;
    }
    let severity = severity_number(severity)?;
    (named && !name.is_empty())
        .then_some((Mnemonic { facility, severity, name, code }, message.trim_start_matches([':', ' '])))
}

/// A time without a year, completed by the one that the message ends with where both are of the same day:
/// `… at 10:00:00 UTC Mon Mar 16 2026`.
fn dated<'a>(stamp: Stamp<'a>, message: &str, reference: Reference) -> Stamp<'a> {
    let found = || {
        let mut words = message.trim_end().rsplitn(5, ' ');
        let (year, day, month) = (words.next()?, words.next()?, words.next()?);
        let mut stated = stamp.text.split_whitespace();
        number(year).filter(|number| year.len() == 4 && (1970..2100).contains(number))?;
        (stated.next() == Some(month) && stated.next() == Some(day)).then_some(())?;
        let (guessed, _) = timestamp::bsd(stamp.text, reference)?;
        let whole = format!("{} {year}", stamp.text);
        let (meant, _) = timestamp::bsd(&whole, reference)?;
        Some(Timestamp(stamp.time.0.checked_add(meant.time.0.checked_sub(guessed.time.0)?)?))
    };
    Stamp { time: found().unwrap_or(stamp.time), ..stamp }
}

/// A severity as a digit, or as the letter that small switches write: `%SNMP-W-SNMPAUTHFAIL`.
fn severity_number(text: &str) -> Option<u8> {
    let [byte] = text.as_bytes() else { return None };
    match byte {
        b'0'..=b'8' => Some(byte - b'0'),
        _ => b"FACEWNID".iter().zip(0..).find_map(|(letter, number)| (letter == byte).then_some(number)),
    }
}

/// What a header says.
#[derive(Default)]
struct Prefix<'a> {
    priority: Option<u8>,
    stamp: Option<Stamp<'a>>,
    /// The stamp is the device's own and not synchronized.
    unsynchronized: bool,
    host: Option<&'a str>,
    sequence: Option<&'a str>,
    process: Option<(&'a str, i64)>,
    /// IOS XR: which of its nodes speaks.
    node: Option<&'a str>,
    /// Of a device that does not know the time.
    uptime: Option<&'a str>,
}

/// Whether a word is how long the device is up: `1w2d`, `00:00:46`, `3d04h`.
fn uptime(text: &str) -> bool {
    let letters = text.bytes().filter(|b| matches!(b, b'y' | b'w' | b'd' | b'h')).count();
    let rest = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'y' | b'w' | b'd' | b'h' | b':' | b'.'));
    rest && (letters > 1 || text.contains(':')) && text.starts_with(|c: char| c.is_ascii_digit())
}

/// Reads the words before the mnemonic; none where there are too many, or it is a header of RFC 5424.
fn prefix<'a>(text: &'a str, context: &Context<'a>) -> Option<Prefix<'a>> {
    let mut prefix = Prefix::default();
    let mut rest = text;
    if let Some((digits, after)) = text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        prefix.priority = Some(number(digits).filter(|n| *n < 192).and_then(|n| u8::try_from(n).ok())?);
        rest = after;
        if rest.starts_with("1 ") {
            return None;
        }
    }
    for _ in 0..PREFIX_WORDS_MAX {
        rest = rest.trim_start_matches([' ', ':', ',', '\t']);
        if rest.is_empty() {
            return Some(prefix);
        }
        let unsynchronized = rest.starts_with('*');
        let timed = rest.trim_start_matches(['*', '.']);
        // IOS XR writes its node before the time, without a space: `RP/0/RSP0/CPU0:Mar 16 10:00:00`.
        let node = timed.split_once(':').filter(|(node, _)| node.contains('/') && !node.contains(' '));
        if let Some((node, after)) = node {
            prefix.node = Some(node);
            rest = after;
            // The host may follow, as close.
            if let Some((host, after)) = after.split_once(':').filter(|(host, _)| !host.contains(' ')) {
                prefix.host = prefix.host.or(Some(host));
                rest = after;
            }
            continue;
        }
        let stamp = timestamp::bsd(timed, context.reference).or_else(|| timestamp::iso(timed, context.reference));
        let stamp = stamp.or_else(|| timestamp::year_first(timed, context.reference));
        if let Some((stamp, after)) = stamp {
            if prefix.stamp.is_none() || prefix.unsynchronized || !unsynchronized {
                prefix.stamp = Some(stamp);
                prefix.unsynchronized = unsynchronized;
            }
            rest = after;
            continue;
        }
        let (first, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        rest = after;
        // Kiwi's log files say facility and level between tabs.
        if !syslog::is_stated(first) {
            prefix.word(first);
        }
    }
    None
}

/// Whether a word is a zone by its ending, as `clock timezone` and `clock summer-time` name them: `DST`, `AEST`, `BRDT`.
fn summer_or_standard(word: &str) -> bool {
    (3..=5).contains(&word.len())
        && (word.ends_with("ST") || word.ends_with("DT"))
        && word.bytes().all(|b| b.is_ascii_uppercase())
}

impl<'a> Prefix<'a> {
    /// A word that is no time: a sequence number, a zone, a tag with a process, a host.
    fn word(&mut self, word: &'a str) {
        let bare = word.trim_end_matches(':');
        if number(bare).is_some() {
            self.sequence = Some(bare);
        } else if uptime(bare) && endpoint::ip(bare).is_none() {
            self.uptime = Some(bare);
        } else if let Some(stamp) = self.stamp.filter(|stamp| stamp.assumed_offset.is_some())
            && let Some(minutes) = zones::minutes(bare)
        {
            self.stamp = Some(stamp.in_zone(minutes));
        } else if let Some((program, pid)) = bare.strip_suffix(']').and_then(|bare| bare.split_once('[')) {
            self.process = number(pid).map(|pid| (program, pid)).or(self.process);
        } else if word.ends_with(':') && self.stamp.is_some() && summer_or_standard(bare) {
            // A zone of the device's own naming: its time is the host's.
        } else if self.host.is_none() && bare.bytes().any(|b| b.is_ascii_alphanumeric()) {
            self.host = Some(bare.trim_matches(['<', '>']));
        }
    }

    fn apply(self, context: &Context<'a>, event: &mut Event<'a>) {
        if let Some(stamp) = self.stamp {
            stamp.apply(event);
        }
        if let Some(priority) = self.priority {
            syslog::apply_priority(priority, event);
        }
        if let Some(host) = self.host.filter(|host| *host != context.origin.hostname) {
            event.unmap("hostname", host);
        }
        for (key, value) in [("sequence", self.sequence), ("node", self.node), ("uptime", self.uptime)] {
            if let Some(value) = value {
                event.unmap(key, value);
            }
        }
        if let Some((program, pid)) = self.process {
            event.push(Attribute::ActorProcessPid, pid);
            event.push(Attribute::ActorProcessName, program);
        }
    }
}

/// The tag that a syslog header found is the device's name, where it is no process.
fn relayed_host(event: &mut Event<'_>) {
    if event.value(Attribute::ActorProcessPid).is_some() || event.unmapped.iter().any(|(key, _)| key == "hostname") {
        return;
    }
    let provider = event.fields.iter().find(|field| field.attribute == Attribute::MetadataLogProvider);
    if let Some(Value::Text(Cow::Borrowed(name))) = provider.map(|field| field.value.clone()) {
        event.unmap("hostname", name);
    }
}

/// Says that the other end is the device that speaks: of one that is known by its hardware address alone.
fn at_device(event: &mut Event<'_>) -> bool {
    let device = event.unmapped.iter().find(|(key, _)| key == "hostname").map(|(_, value)| value.clone());
    let Some(Value::Text(name)) = device else { return false };
    event.push(Attribute::DstEndpointHostname, name);
    true
}

/// `h:mm:ss` or `2h:27m:34s` in milliseconds.
fn duration_ms(text: &str) -> Option<i64> {
    let parts: [&str; 3] = {
        let mut parts = text.split(':').map(|part| part.trim_end_matches(|c: char| c.is_ascii_alphabetic()));
        let three = [parts.next()?, parts.next()?, parts.next()?];
        parts.next().is_none().then_some(three)?
    };
    let [hours, minutes, seconds] = parts.map(number);
    Some((hours? * 3600 + minutes? * 60 + seconds?) * 1000)
}

/// Says how long it took: `duration`, and `start_time` before the event's own.
fn lasted(event: &mut Event<'_>, ms: i64) {
    event.push(Attribute::Duration, ms);
    event.push(Attribute::StartTime, Timestamp(event.time.0.saturating_sub(ms.saturating_mul(1_000_000))).as_ms());
    event.push(Attribute::EndTime, event.time.as_ms());
}

/// What stands between the first `mark` and the next space, comma or end.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = cut(text, mark)?;
    let end = rest.find([' ', ',']).unwrap_or(rest.len());
    rest.get(..end).filter(|found| !found.is_empty())
}
