//! The kernel's messages without a header of syslog, as dmesg prints them and `/dev/kmsg` holds them.
//!
//! In: `[   12.345678] text`, `[Mon Mar 16 10:00:00 2026] text` (`-T`), `2026-03-16T10:00:00,123456+01:00 text` (`--time-format
//! iso`), either of them behind `kern  :warn  : ` (`-x`), and `4,1234,12345678,-;text` (Documentation/ABI/testing/dev-kmsg). Out:
//! the text, with time, facility and severity set where the line says them; syslog reads `<4>[   12.345678] text` (`-r`).

use super::super::super::text::{cut_at, level, severity_of};
use super::super::super::{Context, syslog, timestamp};
use super::{firewall, uptime};
use crate::event::Event;

/// The longest head of a record of `/dev/kmsg`.
const RECORD_HEAD_MAX: usize = 64;
/// `kern  :warn  : `.
const LABEL_LEN: usize = 15;

/// The first look: a form that nothing but the kernel's buffer has.
pub(super) fn looks(text: &str) -> bool {
    match text.as_bytes() {
        // What a packet filter's rule is named has been looked for already.
        [b'[', b'A'..=b'Z', _, _, b' ', ..] => {
            text.get(25..27) == Some("] ")
                && !text.get(27..).is_some_and(|rest| rest.starts_with('['))
                && dated(text).is_some()
        }
        [b'0'..=b'9', ..] => recorded(text).is_some() || iso_timed(text),
        [b'a'..=b'z', ..] => labeled(text).is_some(),
        _ => false,
    }
}

/// The message behind what stands before it, with what that says.
pub(super) fn head<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    if let Some((facility, word, rest)) = labeled(text) {
        event.unmap("facility", facility);
        event.unmap("severity", word);
        event.severity_id = level(word).unwrap_or(event.severity_id);
        return Some(head(rest, context, event).unwrap_or(rest));
    }
    if let Some((priority, micros, message)) = recorded(text) {
        syslog::apply_priority(priority, event);
        event.severity_id = severity_of(priority % 8);
        event.unmap("uptime", format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000));
        return Some(message);
    }
    if let Some((time, message)) = dated(text) {
        timestamp::bsd(time.get(4..)?, context.reference)?.0.apply(event);
        return Some(message);
    }
    let (stamp, message) = iso_timed(text).then(|| timestamp::iso(text, context.reference))??;
    stamp.apply(event);
    Some(message.trim_start_matches(' '))
}

/// Whether a message begins with the seconds since boot as printk writes them: with six digits behind the point. Other programs
/// count seconds too.
pub(in crate::normalize) fn is_timed(message: &str) -> bool {
    matches!(message.as_bytes(), [b'[', b' ' | b'0'..=b'9', ..])
        && uptime(message).0.and_then(|at| cut_at(b'.', at)).is_some_and(|(_, micros)| micros.len() == 6)
}

/// What stands behind the seconds since boot, where a line begins with them.
pub(in crate::normalize) fn behind_uptime(text: &str) -> Option<&str> {
    is_timed(text).then(|| uptime(text).1)
}

/// `[Mon Mar 16 10:00:00 2026] ` and the message behind it. Web servers write the same time, and go on with a bracket, which the
/// kernel does only where a packet filter's rule is named so; so do scripts, which go on with their name.
fn dated(text: &str) -> Option<(&str, &str)> {
    let (time, message) = text.strip_prefix('[')?.split_once("] ")?;
    if time.len() != 24 || time.get(13..14) != Some(":") {
        return None;
    }
    if message.starts_with('[') {
        return firewall::looks(message).then_some((time, message));
    }
    let name = message.split(' ').next().unwrap_or_default();
    let is_script = [".pl:", ".cgi:", ".fcgi:", ".py:"].iter().any(|end| name.ends_with(end));
    (!is_script).then_some((time, message))
}

/// `4,1234,12345678,-;`: facility and level, sequence, microseconds since boot; and the message behind it.
fn recorded(text: &str) -> Option<(u8, u64, &str)> {
    let bytes = text.as_bytes();
    // A number below 192 and a comma: few other lines begin so.
    if !matches!(bytes, [_, b',', ..] | [_, _, b',', ..] | [_, _, _, b',', ..]) {
        return None;
    }
    let semicolon = memchr::memchr(b';', bytes.get(..RECORD_HEAD_MAX).unwrap_or(bytes))?;
    let mut parts = text.get(..semicolon)?.split(',');
    let mut counted = || parts.next().and_then(|part| part.parse::<u64>().ok());
    let (priority, _sequence, micros) = (counted()?, counted()?, counted()?);
    parts.next().filter(|flag| matches!(*flag, "-" | "c" | "+"))?;
    let priority = u8::try_from(priority).ok().filter(|priority| *priority < 192)?;
    Some((priority, micros, text.get(semicolon + 1..)?))
}

/// `2026-03-16T10:00:00,123456+01:00 `: nothing else puts a comma and an offset there.
pub(in crate::normalize) fn iso_timed(text: &str) -> bool {
    let at = |at: usize| text.as_bytes().get(at);
    at(19) == Some(&b',') && matches!(at(26), Some(b'+' | b'-')) && at(32) == Some(&b' ')
}

/// `kern  :warn  : `: facility, level, and what stands behind them.
fn labeled(text: &str) -> Option<(&str, &str, &str)> {
    let (facility, word) = cut_at(b':', text.get(..LABEL_LEN)?)?;
    let (facility, word) = (facility.trim_end(), word.strip_suffix(": ")?.trim_end());
    let known =
        matches!(facility, "kern" | "user" | "daemon" | "syslog" | "auth" | "authpriv") && level(word).is_some();
    known.then_some((facility, word, text.get(LABEL_LEN..)?))
}

#[cfg(test)]
mod tests {
    use super::super::super::super::testing::normalized;

    #[test]
    fn every_form_of_dmesg_is_the_kernels() {
        const TEXT: &str = "usb 1-1: USB disconnect, device number 5";
        for (head, time) in [
            ("[   12.345678] ", None),
            ("[Mon Mar 16 10:00:00 2026] ", Some(1_773_655_200_000_i64 - 3_600_000)),
            ("2026-03-16T10:00:00,123456+01:00 ", Some(1_773_651_600_123)),
            ("kern  :info  : [   12.345678] ", None),
            ("kern  :info  : [Mon Mar 16 10:00:00 2026] ", Some(1_773_651_600_000)),
            ("<6>[   12.345678] ", None),
            ("6,1234,12345678,-;", None),
        ] {
            let event = normalized(&format!("{head}{TEXT}"));
            assert_eq!(event["type_uid"], 101_002, "{head}");
            assert_eq!(event["severity_id"], 1, "{head}");
            if let Some(time) = time {
                assert_eq!(event["time"], time, "{head}");
            }
        }
        let event = normalized(&format!("4,1234,12345678,-;{TEXT}"));
        assert_eq!((&event["severity_id"], &event["unmapped"]["uptime"]), (&2.into(), &"12.345678".into()));
    }

    #[test]
    fn the_journal_shows_seconds_since_boot_too() {
        let event = normalized("[   12.345678] web-2 sshd[7]: Failed password for bob from 192.0.2.1 port 5 ssh2");
        assert_eq!((&event["type_uid"], &event["unmapped"]["hostname"]), (&300_201.into(), &"web-2".into()));
        let event = normalized("[   12.345678] systemd[1]: Detected virtualization kvm.");
        assert_eq!((&event["type_uid"], &event["app"]["name"]), (&600_299.into(), &"systemd".into()));
        assert_eq!(normalized("[   12.345678] traps: a[7] trap int3 ip:1 sp:2 error:0")["class_uid"], 6008);
    }

    #[test]
    fn other_programs_with_such_times_are_not_the_kernel() {
        for line in [
            "[    12.345] (II) LoadModule: \"glx\"",
            "[Mon Mar 16 10:00:00 2026] count.cgi: Use of uninitialized value at count.cgi line 7.",
            "1,2,3;x",
            "2026-03-16T10:00:00,123 x",
        ] {
            assert_eq!(normalized(line)["class_uid"], 0, "{line}");
        }
        let event = normalized("[Mon Mar 16 10:00:00 2026] [error] [client 192.0.2.1] File does not exist: /srv/x");
        assert_ne!(event["metadata"]["log_format"], "kernel");
    }
}
