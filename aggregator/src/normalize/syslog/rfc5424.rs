//! RFC 5424, and what senders write that follow it only nearly.
//!
//! In: a line from its timestamp on. Out: as every header; MSGID as the event's code, structured data in `unmapped`. Source: RFC
//! 5424 §6; senders that leave out structured data, or write RFC 3164's tag in the program's place.

use super::super::{Context, timestamp};
use super::tag::Tag;
use super::{apply_priority, finish, structured};
use crate::event::Event;
use crate::schema::Attribute;

/// Whether host, program, process, message id and structured data stand behind the time of a line without PRI and version, as files of
/// syslog-ng hold it (OPNsense's): the process is a number, and structured data stands there, or the mark that there is none.
pub(super) fn is_bare(rest: &str) -> bool {
    let mut fields = rest.splitn(5, ' ').skip(2);
    let (Some(procid), Some(msgid), Some(data)) = (fields.next(), fields.next(), fields.next()) else { return false };
    let numbered = !procid.is_empty() && procid.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = !msgid.is_empty() && !msgid.starts_with(['-', '[']) || msgid == "-";
    numbered && is_id && ((data.starts_with('[') && structured::split(data).is_some()) || data.starts_with("- "))
}

/// RFC 5424 §6, from the timestamp on.
pub(super) fn parse<'a>(text: &'a str, priority: Option<u8>, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let (stamp, rest) = match text.strip_prefix("- ") {
        Some(rest) => (None, rest),
        None => match timestamp::iso(text, context.reference) {
            Some((stamp, rest)) if rest.starts_with(' ') => (Some(stamp), rest.trim_start_matches(' ')),
            _ => return false,
        },
    };
    let mut fields = rest.splitn(4, ' ');
    let (Some(host), Some(program), Some(procid), Some(tail)) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    let Some((msgid, rest)) = tail.split_once(' ') else { return false };
    let named = |text: &'a str| (text != "-" && !text.is_empty()).then_some(text);
    let (msgid, data, message) = match structured::split(rest) {
        // Check Point's fields stand in brackets, but no name of an element has a quote (§6.3.2).
        Some((data, "")) if structured::is_quoted(data) => (msgid, "-", data),
        Some((data, message)) => (msgid, data, message),
        None if rest.starts_with('[') => return false,
        // Senders that know no structured data leave its place out, and that of the message's id.
        None => ("-", "-", if msgid == "-" { rest } else { tail }),
    };
    if let Some(priority) = priority {
        apply_priority(priority, event);
    }
    if let Some(msgid) = named(msgid) {
        event.push(Attribute::MetadataEventCode, msgid);
    }
    if let Some(data) = named(data) {
        structured::unmap(data, event);
    }
    // Others write the whole tag of RFC 3164 in the program's place.
    let program = program.strip_suffix(':').unwrap_or(program);
    let (program, pid) = match program.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((program, pid)) if !program.is_empty() => (program, named(procid).or(Some(pid))),
        _ => (program, named(procid)),
    };
    let tag =
        Tag { host: named(host), program: named(program).unwrap_or_default(), pid, colon: true, ..Tag::default() };
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    finish(stamp, &tag, message, "syslog5424", context, event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn headers_that_only_nearly_follow_rfc_5424_are_read() {
        for header in [
            "<38>1 2026-03-16T09:59:59Z web-2 sshd 7 - ",
            "<38>1 2026-03-16T09:59:59Z web-2 sshd 7 ",
            "<38>1 2026-03-16T09:59:59Z web-2 sshd[7] - - - ",
            "<38>1 2026-03-16T09:59:59Z web-2 sshd: 7 - - ",
            "1 2026-03-16T09:59:59Z web-2 sshd 7 - - ",
            "2026-03-16T09:59:59Z web-2 sshd 7 - - ",
            "2026-03-16T09:59:59+00:00 web-2 sshd 7 - [meta sequenceId=\"9\"] ",
        ] {
            let event = normalized(&format!("{header}Accepted password for bob from 192.0.2.1 port 5 ssh2"));
            assert_eq!(event["user"]["name"], "bob", "{header}");
            assert_eq!(event["actor"]["process"]["pid"], 7, "{header}");
            assert_eq!(event["time"], 1_773_655_199_000_i64, "{header}");
        }
        for header in ["<38> Mar 16 10:00:00 web-2 sshd[7]: ", "<38>: Mar 16 10:00:00 web-2 sshd[7]: "] {
            let event = normalized(&format!("{header}Accepted password for bob from 192.0.2.1 port 5 ssh2"));
            assert_eq!(
                (&event["user"]["name"], &event["unmapped"]["hostname"]),
                (&json!("bob"), &json!("web-2")),
                "{header}"
            );
        }
    }
}
