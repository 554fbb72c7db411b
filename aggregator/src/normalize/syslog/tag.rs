//! What stands between the time of a syslog line and its message: host, facility and severity, program, process.
//!
//! In: `host program[pid]: message`, with any part missing and the deviations named at each function. Out: the parts and
//! the message. Sources: RFC 3164 §4.1.3; syslogd of FreeBSD (`-v`), of AIX and of BusyBox; OpenWrt's logread; macOS's asl.

use super::super::text::{between, cut, cut_at, level, number, unspaced, word};
use super::{FACILITIES, SEVERITIES, program};

/// Longest program name that is taken for one.
const PROGRAM_LEN_MAX: usize = 64;

/// Host, program and process before a message.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Tag<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) program: &'a str,
    pub(super) module: Option<&'a str>,
    pub(super) pid: Option<&'a str>,
    /// A severity in words where the host would stand (`INFO`), or after the tag (`<Notice>`).
    pub(super) level: Option<&'a str>,
    /// Facility and severity that stand before the tag.
    pub(super) stated: Option<Stated>,
    /// The tag ended with a colon.
    pub(super) colon: bool,
}

/// `host program[pid]: message` with the host, the process or the whole tag missing.
pub(super) fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    usual(text).or_else(|| other(text))
}

/// `host program[7]: message` and `host program: message` as nearly all lines have them, in a fifth of the time: what begins like
/// no word of another header, and has no single point as a facility and its severity have.
fn usual(text: &str) -> Option<(Tag<'_>, &str)> {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (mut end, mut points) = (0, 0);
    for byte in text.bytes().take_while(|byte| is_program(*byte)) {
        end += 1;
        points += usize::from(byte == b'.');
    }
    let (host, rest) = text.split_at_checked(end).filter(|(host, _)| host.as_bytes().first().is_some_and(plain))?;
    let rest = rest.strip_prefix(' ').filter(|rest| !rest.starts_with(' ') && points != 1 && host != "last")?;
    let end = rest.bytes().position(|byte| !is_program(byte) || byte == b'.')?;
    let (program, rest) = rest.split_at_checked(end).filter(|(program, _)| !program.is_empty())?;
    let (pid, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            let digits = rest.bytes().position(|byte| !byte.is_ascii_digit()).filter(|digits| *digits > 0)?;
            let (pid, rest) = rest.split_at_checked(digits)?;
            (Some(pid), rest.strip_prefix(']')?)
        }
        None => (None, rest),
    };
    let message = rest.strip_prefix(": ")?;
    let short = program.len().max(pid.map_or(0, str::len)) <= PROGRAM_LEN_MAX;
    short.then(|| (Tag { host: Some(host), program, pid, colon: true, ..Tag::default() }, unspaced(message)))
}

fn other(text: &str) -> Option<(Tag<'_>, &str)> {
    if text.is_empty() || text.starts_with("---") || text.starts_with("last message repeated") {
        return None;
    }
    let (before, text) = stated(text);
    if let Some((tag, message)) = program_tag(text) {
        let (tag, message) = colon_host(tag, message).unwrap_or((tag, message));
        return Some((Tag { stated: before, ..tag }, message));
    }
    // AIX: Message forwarded from web-1: sshd[7]: …
    let forwarded = text.strip_prefix("Message forwarded from ").and_then(|rest| cut(rest, ": "));
    let (first, rest) = forwarded.unwrap_or_else(|| word(text));
    let severity = first.bytes().all(|b| b.is_ascii_uppercase()) && level(first).is_some();
    let (host, level) = if severity { (None, Some(first)) } else { (Some(first), None) };
    let (behind, rest) = stated(rest);
    let (tag, message) = program_tag(rest).or_else(|| spaced_tag(rest)).unwrap_or((Tag::default(), rest));
    Some((Tag { host, level: tag.level.or(level), stated: before.or(behind), ..tag }, message))
}

/// A host with a colon behind it, where a known program follows: `fw1: sshd[7]: …`.
fn colon_host<'a>(tag: Tag<'a>, message: &'a str) -> Option<(Tag<'a>, &'a str)> {
    if !tag.colon || tag.pid.is_some() || program::is_known(tag.program) {
        return None;
    }
    let (found, message) = program_tag(message)?;
    let known = found.pid.is_some() && found.colon && program::is_known(found.program);
    known.then_some((Tag { host: Some(tag.program), ..found }, message))
}

/// Facility and severity in words or numbers, and what follows: `<4.3> ` (FreeBSD), `authpriv.info ` (BusyBox, OpenWrt),
/// `auth|security:info ` (AIX).
fn stated(text: &str) -> (Option<Stated>, &str) {
    // Most words here are a host's name or a tag: no point and no colon in them, or only at their end.
    let mark = text.bytes().position(|byte| matches!(byte, b' ' | b'.' | b':'));
    let behind = mark.and_then(|at| text.as_bytes().get(at..)?.first_chunk());
    if !matches!(behind, Some([b'.' | b':', behind]) if *behind != b' ') {
        return (None, text);
    }
    let (first, rest) = word(text);
    let bare = first.strip_prefix('<').and_then(|first| first.strip_suffix('>')).unwrap_or(first);
    let mark = memchr::memchr2(b'.', b':', bare.as_bytes()).and_then(|at| bare.split_at_checked(at));
    let found = mark.and_then(|(facility, severity)| Stated::read(facility, severity.get(1..)?));
    found.map_or((None, text), |stated| (Some(stated), rest))
}

/// Facility and severity, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stated {
    pub(super) facility: u8,
    pub(super) severity: u8,
}

/// The longest name of a severity.
const SEVERITY_LEN_MAX: usize = "emergency".len();

impl Stated {
    /// `Local7.Notice`, in any case.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        let (facility, severity) = word.split_once('.').filter(|_| word.len() < 24)?;
        Self::read(&facility.to_ascii_lowercase(), &severity.to_ascii_lowercase())
    }

    fn read(facility: &str, severity: &str) -> Option<Self> {
        let numbered = |text: &str, below: u8| number(text).and_then(|n| u8::try_from(n).ok()).filter(|n| *n < below);
        let named = |names: &[&str], text: &str| {
            let at = names.iter().position(|name| *name == text)?;
            u8::try_from(at).ok()
        };
        // A tag ends with a colon, and most host names have a point: severities are fewer than facilities.
        let severity = match severity {
            "" => return None,
            other if other.len() > SEVERITY_LEN_MAX => return None,
            "warn" => 4,
            "error" => 3,
            "critical" => 2,
            "panic" | "emergency" => 0,
            _ => numbered(severity, 8).or_else(|| named(&SEVERITIES, severity))?,
        };
        let facility = match facility {
            "auth|security" | "security" => 4,
            _ => numbered(facility, 24).or_else(|| named(&FACILITIES, facility))?,
        };
        Some(Self { facility, severity })
    }
}

/// Kiwi's log files: `Local7.Notice TAB host TAB message`, behind a tab.
pub(super) fn tabbed(text: &str) -> Option<(Tag<'_>, &str)> {
    let (stated, rest) = text.strip_prefix('\t')?.split_once('\t')?;
    let stated = Stated::of_word(stated)?;
    let (host, message) = rest.split_once('\t')?;
    let (tag, message) = program_tag(message).unwrap_or((Tag::default(), message));
    Some((Tag { host: Some(host), stated: Some(stated), ..tag }, message))
}

/// A program whose name has a space, as macOS has them (`Example Tool[7]: `): two capitalized words and a process id.
fn spaced_tag(text: &str) -> Option<(Tag<'_>, &str)> {
    if let Some((pid, message)) = text.strip_prefix("-- ").and_then(|rest| between(rest, "[", "]: ")) {
        // login, which says on whose behalf: `-- root[7]: `.
        return Some((Tag { program: "login", pid: Some(pid), colon: true, ..Tag::default() }, message));
    }
    let (first, rest) = word(text);
    let capital = |word: &str| word.starts_with(|c: char| c.is_ascii_uppercase());
    let (second, after) = rest.split_once('[').filter(|(second, _)| second.bytes().all(is_program))?;
    let (pid, message) = after.split_once("]: ").filter(|(pid, _)| number(pid).is_some())?;
    let named = capital(first) && capital(second) && first.bytes().all(is_program);
    let program = text.get(..first.len() + 1 + second.len()).filter(|_| named)?;
    Some((Tag { program, pid: Some(pid), colon: true, ..Tag::default() }, message))
}

/// `program:`, `program[pid]:`, `program(module)[pid]:`, `[program]:`, `program[pid] (detail):`,
/// `program[pid] <Level>:`, systemd's `(program)[pid]:` for what it is about to execute, gdm's `program][pid]:`.
pub(super) fn program_tag(text: &str) -> Option<(Tag<'_>, &str)> {
    // sssd's children: `[sssd[krb5_child[7]]]: `.
    if let Some((program, rest)) = text.strip_prefix("[sssd[").and_then(|rest| rest.split_once('[')) {
        let (pid, message) = cut(rest, "]]]: ").filter(|(pid, _)| number(pid).is_some())?;
        let tag = Tag { program, pid: Some(pid), colon: true, ..Tag::default() };
        return program.bytes().all(is_program).then_some((tag, message));
    }
    if let Some((name, rest)) = text.strip_prefix('[').and_then(|rest| cut(rest, "]")) {
        let plain = !name.is_empty() && name.len() <= PROGRAM_LEN_MAX && name.bytes().all(is_program);
        // rpm's plugin calls itself so: `[RPM][7]: `.
        let process = rest.strip_prefix('[').and_then(|rest| cut(rest, "]:"));
        let (pid, rest) =
            process.filter(|(pid, _)| number(pid).is_some()).map_or((None, rest), |(pid, rest)| (Some(pid), rest));
        let rest = plain.then(|| rest.strip_prefix(':').unwrap_or(rest))?;
        let tag = Tag { program: name, pid, colon: true, ..Tag::default() };
        return rest.starts_with(' ').then_some((tag, rest.trim_start_matches(' ')));
    }
    if let Some((program, rest)) = text.strip_prefix('(').and_then(|rest| rest.split_once(")[")) {
        let (pid, message) = rest.split_once("]:").filter(|(pid, _)| number(pid).is_some())?;
        let tag = Tag { program, pid: Some(pid), colon: true, ..Tag::default() };
        return program.bytes().all(is_program).then_some((tag, message.trim_start_matches(' ')));
    }
    let near = text.as_bytes().get(..=PROGRAM_LEN_MAX).unwrap_or(text.as_bytes());
    let end = near.iter().position(|b| !is_program(*b))?;
    let (program, mut rest) = text.split_at_checked(end).filter(|(program, _)| !program.is_empty())?;
    // A space stands behind a host's name: most of the words that are asked here.
    if !rest.starts_with(['[', ':', '(', ']']) {
        return None;
    }
    let mut tag = Tag { program, ..Tag::default() };
    if let Some(after) = rest.strip_prefix(']').filter(|after| after.starts_with([':', '['])) {
        rest = after;
    }
    if let Some((module, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        tag.module =
            Some(module).filter(|module| module.bytes().all(|b| is_program(b) || matches!(b, b'=' | b':' | b',')));
        rest = tag.module.map(|_| after)?;
    }
    if let Some((pid, after)) = rest.strip_prefix('[').and_then(|rest| cut_at(b']', rest)) {
        tag.pid = (!pid.is_empty() && pid.len() <= PROGRAM_LEN_MAX && !pid.as_bytes().contains(&b' ')).then_some(pid);
        // Some leave the brackets empty: `httpd[]: `.
        rest = tag.pid.or(Some(pid).filter(|pid| pid.is_empty())).map(|_| after)?;
        // krb5kdc writes the level behind it: `krb5kdc[7](info): `.
        if let Some((level, after)) = rest.strip_prefix('(').and_then(|rest| cut(rest, "): ")) {
            tag.level = level.bytes().all(|byte| byte.is_ascii_alphabetic()).then_some(level);
            tag.colon = tag.level.is_some();
            return tag.colon.then_some((tag, unspaced(after)));
        }
        // sssd's backends: `sssd[be[example.com]]: `.
        rest = rest.strip_prefix(']').unwrap_or(rest);
    }
    if let Some(after) = rest.strip_prefix(':') {
        tag.colon = true;
        let ends = after.is_empty() || after.starts_with(' ') || tag.pid.is_some();
        return ends.then(|| (tag, unspaced(after)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_read_as_anything_else_is() {
        let hosts = [
            "web-1",
            "h",
            "192.0.2.7",
            "a.b.example.com",
            "example.com",
            "auth.info",
            "last",
            "Web",
            "INFO",
            "7",
            "",
            "a:",
        ];
        let programs =
            ["sshd", "CRON", "postfix/smtpd", "a.b", "auth.info", "-- root", "[x]", "(x)", "kernel", "", "message"];
        let processes = ["[7]", "[]", "[7/8]", "[a]", "[123456789012]", "(m)[7]", "[7](info)", "[7]]", "]", ""];
        let mut seen = 0;
        for host in hosts {
            for program in programs {
                for process in processes {
                    for mark in [": text", ":  text", ":text", " text", ":", ": ", " <Notice>: text", ": repeated"] {
                        for space in [" ", "  ", ""] {
                            let text = format!("{host}{space}{program}{process}{mark}");
                            let found = usual(&text);
                            assert!(found.is_none() || found == other(&text), "{text}");
                            seen += usize::from(found.is_some());
                        }
                    }
                }
            }
        }
        assert!(seen > 100, "{seen}");
        assert!(usual("web-1 sshd[7]: Accepted").is_some() && usual("192.0.2.7 CRON: x").is_some());
    }
}
