//! Lines that begin with an ISO time and are nothing else that we know: the time is the event's, and a level
//! among the next words its severity; columns of Exchange are connections (4001) and logons
//! (3002), and so are a packet of RouterOS's and a sentence that tells of a logon; else it is from a warning on an error of a
//! program (6008), or a report (6002) of a part that is named behind the level.

use std::borrow::Cow;

use super::remark::spoken;
use super::text::{level, word};
use super::{Context, exchange, logon_words, program, timestamp};
use crate::event::Event;
use crate::schema::Attribute;

/// How many words after the time may be the level (thread and process ids stand before it).
const LEVEL_WORDS_MAX: usize = 4;

/// Reads a line; false where it does not begin with a time.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text.trim_start_matches('['), context.reference) else { return false };
    if !rest.is_empty() && !rest.starts_with([' ', ']', ',', '\t', '|', ':']) {
        return false;
    }
    stamp.apply(event);
    let message = rest.trim_start_matches([' ', ']', ',', '\t', '|', ':']);
    let (mut after, mut named) = (message, None);
    for _ in 0..LEVEL_WORDS_MAX {
        // zap's console encoder sets tabs between its columns.
        let (first, rest) = after.split_once([' ', '\t']).unwrap_or((after, ""));
        let bare = first.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if let Some(severity) = level(bare) {
            event.push(Attribute::MetadataLogLevel, bare);
            event.severity_id = severity;
            named = part(first, rest.trim_start());
            break;
        }
        after = rest.trim_start_matches([' ', '\t']);
    }
    event.push(Attribute::MetadataLogFormat, "plain");
    event.push(Attribute::Message, message);
    let understood = (rest.starts_with(',') && exchange::parse(message, event))
        || logon_words::parse(message, "", event)
        || program::routeros_packet(message, event);
    if !understood {
        spoken(named.map(Cow::Borrowed), None, event);
    }
    true
}

/// The part of the program that a word with a colon names behind a level in brackets: `[INFO]  core.mount: mounted`, as
/// HashiCorp's hclog and its kin write it.
fn part<'t>(bracketed: &str, rest: &'t str) -> Option<&'t str> {
    let level = bracketed.strip_prefix('[').and_then(|level| level.strip_suffix(']'))?;
    let name = word(rest).0.strip_suffix(':').filter(|_| level.bytes().all(|byte| byte.is_ascii_uppercase()))?;
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    (name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic()) && name.bytes().all(named)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn a_leading_time_and_level_are_the_events() {
        let event = normalized("2026-03-16 10:00:00,978 INFO [main] example.Main: up");
        assert_eq!(event["time"], 1_773_651_600_978_i64);
        assert_eq!(event["metadata"]["original_time"], "2026-03-16 10:00:00,978");
        assert_eq!(event["metadata"]["log_level"], "INFO");
        assert_eq!(event["message"], "INFO [main] example.Main: up");
        let event = normalized("2026-03-16 10:00:00,5 - ERROR  [x] - y");
        assert_eq!((&event["severity_id"], &event["class_uid"]), (&3.into(), &6008.into()));
        let event = normalized("2026-03-16 10:00:00.5+00:00 [warning] <0.7.0> closing connection");
        assert_eq!(
            (&event["metadata"]["log_format"], &event["metadata"]["log_level"]),
            (&"plain".into(), &"warning".into())
        );
        let event = normalized("2026-03-16T10:00:00.5+0100\terror\tmain.go:7\tbroke\t{\"a\": 1}");
        assert_eq!((&event["metadata"]["log_level"], &event["class_uid"]), (&"error".into(), &6008.into()));
        for (line, kind) in [
            ("2026-03-16T10:00:00.123Z [INFO]  core.mount: mounted: path=x/", 600_299),
            ("2026-03-16T10:00:00.123Z [WARN]  agent: no node", 600_801),
            ("2026-03-16T10:00:00.123Z [INFO]  It is up: yes", 0),
            ("2026-03-16T10:00:00.123Z [info] auth: ann is in", 0),
        ] {
            assert_eq!(normalized(line)["type_uid"], kind, "{line}");
        }
        assert_eq!(normalized("2026-03-16 is a day")["metadata"]["log_format"], "raw");
    }
}
