//! glog and klog, the log of Kubernetes' programs: `I0316 10:00:00.123456 1234 file.go:12] message "key"="value"`.
//!
//! In: a letter for the level, month and day, time, thread, file and line. Out: an error (6008) for `E` and `F`, a report
//! (6002) for `I` where syslog names the program, else a base event; all with time, level, thread and place. Source:
//! google/glog `logging.cc`; k8s.io/klog `klog.go`.

use super::remark::report;
use super::text::{cut, number, word};
use super::{Context, outcome, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether a letter and four digits are the first word.
pub(super) fn looks(text: &str) -> bool {
    match text.as_bytes() {
        [b'I' | b'W' | b'E' | b'F', day @ ..] => {
            matches!(day, [a, b, c, d, b' ', ..] if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()))
        }
        _ => false,
    }
}

/// Reads a line; false where no place in the source ends the head.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let (letter, rest) = match text.split_at_checked(1) {
        Some(split) if looks(text) => split,
        _ => return false,
    };
    let Some(stamp) = timestamp::month_day(rest, context.reference) else { return false };
    let Some((clock, rest)) = rest.get(5..).map(word) else { return false };
    if clock.len() < 8 {
        return false;
    }
    let Some((thread, (place, message))) = Some(word(rest)).and_then(|(thread, rest)| Some((thread, cut(rest, "]")?)))
    else {
        return false;
    };
    let Some(line) = place.rsplit_once(':').filter(|_| number(thread).is_some()).map(|(_, line)| line) else {
        return false;
    };
    if number(line).is_none() || place.contains(' ') {
        return false;
    }
    stamp.apply(event);
    let message = message.trim_start();
    let (severity, level) = match letter {
        "F" => (4, "fatal"),
        "E" => (3, "error"),
        "W" => (2, "warning"),
        _ => (1, "info"),
    };
    event.severity_id = severity;
    event.push(Attribute::MetadataLogFormat, "glog");
    event.push(Attribute::MetadataLogLevel, level);
    event.push(Attribute::Message, message);
    event.unmap("thread", thread);
    event.unmap("source", place);
    if severity >= 3 {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        outcome::failure(event, message);
    } else if severity < outcome::LOW
        && let Some(program) = event.text(Attribute::ActorProcessName).map(str::to_owned)
    {
        report(program, event);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn level_time_and_place_are_read() {
        let event = normalized(r#"E0316 10:00:00.123456   1234 kubelet.go:2183] "Failed" err="no node""#);
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(600_801), &json!(1_773_651_600_123_i64)));
        assert_eq!((&event["severity_id"], &event["unmapped"]["source"]), (&json!(3), &json!("kubelet.go:2183")));
        assert_eq!(normalized("I0316 10:00:00.123456 1 a.cc:1] up")["metadata"]["log_format"], "glog");
        assert_eq!(normalized("E0316 is a part")["metadata"]["log_format"], "raw");
    }
}
