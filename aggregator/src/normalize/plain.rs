//! Lines that begin with an ISO time and are nothing else that we know: the time is the event's, and a level
//! among the next words its severity; columns of Exchange are connections (4001) and logons
//! (3002), and so are a packet of RouterOS's and a sentence that tells of a logon; else it is from a warning on an error of a
//! program (6008).

use super::remark::spoken;
use super::text::level;
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
    let mut after = message;
    for _ in 0..LEVEL_WORDS_MAX {
        // zap's console encoder sets tabs between its columns.
        let (first, rest) = after.split_once([' ', '\t']).unwrap_or((after, ""));
        let bare = first.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if let Some(severity) = level(bare) {
            event.push(Attribute::MetadataLogLevel, bare);
            event.severity_id = severity;
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
        spoken(None, None, event);
    }
    true
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
        assert_eq!(normalized("2026-03-16 is a day")["metadata"]["log_format"], "raw");
    }
}
