//! fluentd's files: `TIME<tab>TAG<tab>{…}`, one event a line.
//!
//! In: a time in ISO 8601, the tag, and the event as JSON. Out: the event of the object, as if it stood alone; its time is the
//! wrapper's where the object has none. Source: fluentd, `out_file` formatter (`lib/fluent/plugin/formatter_out_file.rb`).

use std::borrow::Cow;

use super::{Context, carried, timestamp};
use crate::event::Event;

/// Whether a tag and an object may stand behind a time.
pub(super) fn looks(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_digit) && parts(text).is_some()
}

/// The time, the tag and the object.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    // No time is longer.
    const TIME_LEN_MAX: usize = 40;
    let near = text.as_bytes().get(..TIME_LEN_MAX).unwrap_or(text.as_bytes());
    let end = memchr::memchr(b'\t', near)?;
    let (time, rest) = (text.get(..end)?, text.get(end + 1..)?);
    let (tag, object) = rest.split_once('\t').filter(|(tag, object)| !tag.is_empty() && object.starts_with('{'))?;
    Some((time, tag, object))
}

/// Reads a line; false where it is not one.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((time, tag, object)) = parts(text) else { return false };
    let Some((stamp, "")) = timestamp::iso(time, context.reference) else { return false };
    stamp.apply(event);
    if !carried(Cow::Borrowed(object), context, event) {
        return false;
    }
    event.unmap("tag", tag);
    true
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn the_object_is_the_event() {
        for (object, kind) in [
            (
                r#"{"log":"192.0.2.7 - - [16/Mar/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 200 5","container_id":"c1","container_name":"/web","source":"stdout"}"#,
                400_203,
            ),
            (
                r#"{"host":"h","ident":"sshd","pid":"7","message":"Failed password for bob from 192.0.2.1 port 5 ssh2"}"#,
                300_201,
            ),
            (r#"{"level":"error","msg":"it broke"}"#, 600_801),
        ] {
            let event = normalized(&format!("2026-03-16T10:00:00+01:00\tapp.web\t{object}"));
            assert_eq!((&event["type_uid"], &event["time"]), (&kind.into(), &1_773_651_600_000_i64.into()), "{object}");
            assert_eq!(event["unmapped"]["tag"], "app.web");
        }
        assert_eq!(normalized("2026-03-16T10:00:00+01:00\tx\t{")["metadata"]["log_format"], "plain");
    }
}
