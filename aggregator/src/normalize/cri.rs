//! CRI: what the container runtimes of Kubernetes write around each line of a container.
//!
//! In: `2026-03-16T09:00:00.123456789Z stdout F text`. Out: the event of the inner line, with the wrapper's time where the
//! inner line has none; `unmapped.partial` where the line goes on in the next (tag `P`). Source: Kubernetes CRI, "Log
//! format"; containerd, `internal/cri/io/logger.go`; CRI-O, conmon's `ctr_logging.c`.

use std::borrow::Cow;

use super::json_lines::inner;
use super::text::word;
use super::{Context, timestamp};
use crate::event::Event;
use crate::schema::Attribute;

/// Whether a stream stands behind the first word.
pub(super) fn looks(text: &str) -> bool {
    let (_, rest) = word(text);
    text.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && (rest.starts_with("stdout ") || rest.starts_with("stderr "))
}

/// Reads a line; false where it is no CRI line.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let Some(rest) = rest.strip_prefix(' ') else { return false };
    let Some((stream, rest)) = rest.split_once(' ').filter(|(stream, _)| matches!(*stream, "stdout" | "stderr")) else {
        return false;
    };
    // Before tags there were none.
    let (tags, line) = rest.split_once(' ').unwrap_or((rest, ""));
    let tagged = !tags.is_empty() && tags.split(':').all(|tag| matches!(tag, "F" | "P"));
    let line = if tagged { line } else { rest };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "cri");
    event.unmap("stream", stream);
    if tagged && tags.starts_with('P') {
        event.unmap("partial", true);
    }
    inner(Cow::Borrowed(line), context, event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

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
    fn a_part_is_marked() {
        let event = normalized("2026-03-16T09:00:00.5Z stderr P half of");
        assert_eq!(event["message"], "half of");
        assert_eq!(event["unmapped"]["partial"], true);
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(normalized("2026-03-16T09:00:00.5Z stdout it is")["message"], "it is");
    }
}
