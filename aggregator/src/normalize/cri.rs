//! CRI: what the container runtimes of Kubernetes write around each line of a container.
//!
//! In: `2026-03-16T09:00:00.123456789Z stdout F text`; the parts of a long line (tag `P`) as lines that the
//! [`Joiner`](super::join::Joiner) brought together; what `kubectl logs --timestamps` and `docker logs -t` print of it, the same
//! without stream and tag. Out: the event of the inner line, with the wrapper's time where the
//! inner line has none; `unmapped.partial` where its end is missing. Source: Kubernetes CRI, "Log format"; containerd,
//! `internal/cri/io/logger.go`; CRI-O, conmon's `ctr_logging.c`.

use std::borrow::Cow;

use super::join::{Mark, Turn};
use super::json_lines::inner;
use super::text::word;
use super::{Context, contained, timestamp};
use crate::event::Event;
use crate::schema::Attribute;

/// Whether a stream stands behind the first word, or the first word is a time as `docker logs` prints it.
pub(super) fn looks(text: &str) -> bool {
    if !text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let (_, rest) = word(text);
    rest.starts_with("stdout ") || rest.starts_with("stderr ") || stamped(text).is_some()
}

/// What stands behind a time in nanoseconds: `2026-03-16T09:00:00.123456789Z`.
fn stamped(text: &str) -> Option<&str> {
    let (stamp, rest) = text.split_at_checked("2026-03-16T09:00:00.123456789Z".len())?;
    let is_nano = stamp.ends_with('Z') && stamp.as_bytes().get(19) == Some(&b'.');
    rest.strip_prefix(' ').filter(|_| is_nano)
}

/// The longest time that stands before the stream.
const STAMP_BYTES_MAX: usize = 40;

/// The mark of a line that is a part of one, or may end one.
pub(super) fn part(raw: &[u8]) -> Option<Mark<'_>> {
    raw.first().filter(|byte| byte.is_ascii_digit())?;
    let beginning = raw.get(..raw.len().min(STAMP_BYTES_MAX))?;
    let name_at = memchr::memchr(b' ', beginning)? + 1;
    let rest = raw.get(name_at..)?;
    let name = ["stdout", "stderr"].into_iter().find(|name| rest.starts_with(name.as_bytes()))?;
    let turn = match rest.get(name.len()..)? {
        [b' ', b'P', b' ' | b':', ..] => Turn::More,
        [b' ', b'F', b' ' | b':', ..] | [b' ', b'F'] => Turn::End,
        _ => return None,
    };
    Some(Mark { turn, name, name_at, stamp: None })
}

/// Stream, whether another part follows, and the text; before tags there were none.
fn content(rest: &str) -> Option<(&str, bool, &str)> {
    let (stream, rest) = rest.split_once(' ').filter(|(stream, _)| matches!(*stream, "stdout" | "stderr"))?;
    let (tags, line) = rest.split_once(' ').unwrap_or((rest, ""));
    let tagged = !tags.is_empty() && tags.split(':').all(|tag| matches!(tag, "F" | "P"));
    Some((stream, tagged && tags.starts_with('P'), if tagged { line } else { rest }))
}

/// Reads a line, or the parts of one; false where it is no CRI line.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let (first, parts) = rest.split_once('\n').unwrap_or((rest, ""));
    let Some((stream, mut goes_on, line)) = first.strip_prefix(' ').and_then(content) else {
        let Some(line) = stamped(text).filter(|_| parts.is_empty()) else { return false };
        stamp.apply(event);
        event.push(Attribute::MetadataLogFormat, "cri");
        // Programs write such times too: what stands behind it must be a line of its own.
        if !contained(Cow::Borrowed(line), context, event) {
            return false;
        }
        if event.value(Attribute::Message).is_none() {
            event.push(Attribute::Message, line);
        }
        return true;
    };
    let mut line = Cow::Borrowed(line);
    for part in parts.lines() {
        let Some((_, more, text)) = part.split_once(' ').and_then(|(_, rest)| content(rest)) else { return false };
        line.to_mut().push_str(text);
        goes_on = more;
    }
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "cri");
    event.unmap("stream", stream);
    if goes_on {
        event.unmap("partial", true);
    }
    inner(line, context, event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn any_format_of_a_file_may_stand_inside() {
        for (line, kind) in [
            (
                "16-Mar-2026 10:00:00.123 client @0x7 192.0.2.1#5 (a.example): query: a.example IN A + (192.0.2.53)",
                400_301,
            ),
            ("2026-03-16 10:00:00,123 fail2ban.actions [7]: NOTICE  [sshd] Ban 192.0.2.1", 200_401),
            ("Mar 16 10:00:00 mx postfix/smtpd[9]: connect from unknown[192.0.2.1]", 400_101),
            ("Mon Mar 16 10:00:00 2026 [pid 9] [ann] OK LOGIN: Client \"192.0.2.1\"", 300_201),
            ("2026-03-16 10:00:00 and a word", 0),
        ] {
            let event = normalized(&format!("2026-03-16T09:00:00.123456789Z stdout F {line}"));
            assert_eq!(event["type_uid"], kind, "{line}");
            assert_eq!(event["unmapped"]["stream"], "stdout", "{line}");
            let docker =
                serde_json::json!({"log": format!("{line}\n"), "stream": "stdout", "time": "2026-03-16T09:00:00.5Z"});
            assert_eq!(normalized(&docker.to_string())["type_uid"], kind, "{docker}");
        }
    }

    #[test]
    fn the_inner_line_has_the_event() {
        let event = normalized(
            r#"2026-03-16T09:00:00.123456789Z stdout F 192.0.2.7 - - [16/Mar/2026:09:59:59 +0100] "GET /x HTTP/1.1" 200 13 "-" "curl""#,
        );
        assert_eq!(event["class_uid"], 4002);
        assert_eq!(event["time"], 1_773_651_599_000_i64);
        assert_eq!(event["unmapped"]["stream"], "stdout");
    }

    #[test]
    fn a_time_alone_may_stand_before_a_line() {
        for (line, kind) in [
            (r#"192.0.2.7 - - [16/Mar/2026:10:00:00 +0100] "GET /x HTTP/1.1" 200 13"#, 400_203),
            (r#"{"level":"error","msg":"it broke"}"#, 600_801),
            ("E0316 10:00:00.123456       1 a.go:7] it broke", 600_801),
            ("words of nobody", 0),
        ] {
            let event = normalized(&format!("2026-03-16T09:00:00.123456789Z {line}"));
            assert_eq!(event["type_uid"], kind, "{line}");
            assert_ne!(event["dst_endpoint"]["hostname"], "2026-03-16T09:00:00.123456789Z", "{line}");
            assert_eq!(event["metadata"]["log_format"] == "plain", kind == 0, "{line}");
        }
    }

    #[test]
    fn parts_are_one_line() {
        let lines = [
            r#"2026-03-16T09:00:00.5Z stdout P 192.0.2.7 - - [16/Mar/2026:09:59:59 +0100] "GE"#,
            r#"2026-03-16T09:00:00.5Z stdout P T /x HTTP/1.1" 404 13 "-" "#,
            r#"2026-03-16T09:00:00.5Z stdout F "curl""#,
        ];
        let event = normalized(&lines.join("\n"));
        assert_eq!((&event["type_uid"], &event["http_response"]["code"]), (&400_203.into(), &404.into()));
        assert_eq!(event["unmapped"]["partial"], serde_json::Value::Null);
        let event = normalized(&lines[..2].join("\n"));
        assert_eq!(event["unmapped"]["partial"], true);
        let event = normalized(&[lines[0], "2026-03-16T09:00:00.5Z text"].join("\n"));
        assert_ne!(event["metadata"]["log_format"], "cri");
    }

    #[test]
    fn a_part_is_marked() {
        let event = normalized("2026-03-16T09:00:00.5Z stderr P half of");
        assert_eq!(event["message"], "half of");
        assert_eq!(event["unmapped"]["partial"], true);
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(normalized("2026-03-16T09:00:00.5Z stdout it is")["message"], "it is");
    }
}
