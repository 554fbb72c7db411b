//! An object that is none of the kinds that we know: the keys that many programs share have their meaning.
//!
//! In: fields. Out: time, level, message and correlation id, the first key of each that stands there; where a level and a
//! message stand there the class that logfmt's lines have, else a base event.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::remark::spoken;
use super::super::text::{level, severity_of};
use super::super::{Context, logon_pairs};
use super::flow;
use crate::event::Event;
use crate::schema::Attribute;

const TIMES: [&str; 25] = [
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "datetime",
    "date",
    "eventTime",
    "asctime",
    "start_time",
    "t",
    "Timestamp",
    "@t",
    "Time",
    "timeStamp",
    "time_iso8601",
    "time_local",
    "created_at",
    "published",
    "event_time",
    "eventTimestamp",
    "instant.epochSecond",
    "TimeStamp",
    "timeUnixNano",
    "observedTimeUnixNano",
    "SessionStartTime",
];
const LEVELS: [&str; 17] = [
    "level",
    "severity",
    "lvl",
    "loglevel",
    "log_level",
    "log.level",
    "levelname",
    "severity_text",
    "PRIORITY",
    "Level",
    "@l",
    "level_name",
    "logLevel",
    "LogLevel",
    "severityText",
    "@level",
    "levelName",
];
const MESSAGES: [&str; 20] = [
    "message",
    "msg",
    "log",
    "MESSAGE",
    "short_message",
    "body",
    "event",
    "Message",
    "@m",
    "RenderedMessage",
    "@mt",
    "MessageTemplate",
    "fields.message",
    "textPayload",
    "jsonPayload.message",
    "text",
    "@message",
    "body.stringValue",
    "description",
    "error",
];
const CORRELATIONS: [&str; 12] = [
    "trace_id",
    "traceId",
    "trace.id",
    "traceid",
    "request_id",
    "requestId",
    "correlation_id",
    "correlationId",
    "traceID",
    "TraceId",
    "@tr",
    "logging.googleapis.com/trace",
];

/// Takes what has a shared meaning.
pub(in super::super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    push_time(fields, context, event);
    push_level(fields, event);
    push_message(fields, event);
    let _ = CORRELATIONS.iter().any(|key| fields.push(event, Attribute::MetadataCorrelationUid, key));
}

/// Keys that name the program's part that speaks.
const PARTS: [&str; 32] = [
    "app",
    "service",
    "program",
    "logger",
    "logger_name",
    "loggerName",
    "component",
    "module",
    "name",
    "SourceContext",
    "Properties.SourceContext",
    "Properties.Application",
    "target",
    "appname",
    "app_name",
    "appName",
    "application",
    "service.name",
    "service_name",
    "serviceName",
    "logger.name",
    "log.logger",
    "Category",
    "system",
    "subsystem",
    "channel",
    "facility",
    "caller",
    "@module",
    "resource.service.name",
    "attributes.service.name",
    "_tag",
];

/// The program or its part that speaks: as the object says, or who wrote the line that holds it, or its container.
fn part<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &Event<'a>) -> Option<Cow<'a, str>> {
    let key = PARTS.iter().find(|key| matches!(fields.leaf(key), Some(Leaf::Text(text)) if !text.is_empty()));
    if let Some(key) = key {
        let text = fields.text(key)?;
        // A place in the source: `server/raft.go:17`.
        let end = text.rfind(':').filter(|_| *key == "caller").unwrap_or(text.len());
        return Some(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or(text)),
            Cow::Owned(text) => Cow::Owned(text.get(..end).unwrap_or(&text).to_owned()),
        });
    }
    let around = [Attribute::ActorProcessName, Attribute::DeviceContainerName];
    let name = around.into_iter().find_map(|attribute| event.text(attribute)).map(str::to_owned);
    let container = || context.origin.container.as_ref().and_then(|container| container.name.clone());
    name.or_else(container).map(Cow::Owned)
}

/// Takes an object of no kind: a logon (3002) where its message says so, a connection (4001) where
/// both ends stand there, a warning or an error of the program (6008), a report
/// (6002) where the program or its part is named beside a level.
pub(super) fn parse_any<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let classed = logon_pairs::parse(fields, event) || flow::parse(fields, event);
    let weight = event.severity_id;
    parse(fields, context, event);
    if classed {
        event.severity_id = event.severity_id.max(weight);
    } else if event.value(Attribute::MetadataLogLevel).is_some() && event.value(Attribute::Message).is_some() {
        let part = part(fields, context, event);
        let reason = ["error", "err"].iter().find_map(|key| fields.text(key));
        spoken(part, reason, event);
    }
}

/// The time, of the first key that holds one.
pub(super) fn push_time<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let _ = TIMES.iter().any(|key| fields.push_time(event, key, context.reference));
}

/// The level and the severity that it stands for.
pub(super) fn push_level<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    // GELF writes the severities of syslog.
    let gelf = fields.has("short_message").then(|| fields.leaf("level").and_then(Leaf::as_number)).flatten();
    if let Some(severity) = gelf.and_then(|level| u8::try_from(level).ok()).filter(|level| *level < 8) {
        event.severity_id = severity_of(severity);
        fields.push(event, Attribute::MetadataLogLevel, "level");
        return;
    }
    for key in LEVELS {
        let Some((word, severity)) = fields.leaf(key).and_then(severity) else { continue };
        event.severity_id = severity;
        event.push(Attribute::MetadataLogLevel, word);
        fields.take(key);
        return;
    }
}

/// The message, where it is text.
pub(super) fn push_message<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    for key in MESSAGES {
        match fields.leaf(key) {
            Some(Leaf::Text(text)) if !text.is_empty() => {
                fields.push(event, Attribute::Message, key);
                return;
            }
            _ => {}
        }
    }
}

/// The level as written and its severity: words, or the tens of bunyan and pino.
fn severity<'a>(leaf: &Leaf<'a>) -> Option<(Cow<'a, str>, u8)> {
    match leaf {
        Leaf::Text(word) => Some((word.clone(), level(word)?)),
        Leaf::Number(number) => {
            let severity = match *number {
                "10" | "20" | "30" => 1,
                "40" => 2,
                "50" => 3,
                "60" => 6,
                _ => return None,
            };
            Some((Cow::Borrowed(*number), severity))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn shared_keys_have_their_meaning_and_the_rest_is_kept() {
        let event = normalized(
            r#"{"ts":"2026-03-16T09:30:00.5Z","level":"error","msg":"it \"broke\"\n\u00e9\ud83d\ude00","trace_id":"abc","http":{"status":500,"ok":false},"tags":["a",{"b":1}],"pi":3.5,"big":18446744073709551615,"none":null}"#,
        );
        assert_eq!(event["class_uid"], 6008);
        assert_eq!(event["time"], 1_773_653_400_500_i64);
        assert_eq!(event["severity_id"], 3);
        assert_eq!(event["message"], "it \"broke\"\n\u{e9}\u{1f600}");
        assert_eq!(event["metadata"]["correlation_uid"], "abc");
        assert_eq!(event["metadata"]["log_format"], "json");
        assert_eq!(
            event["unmapped"],
            serde_json::json!({
                "http": {"status": 500, "ok": false}, "tags": r#"["a",{"b":1}]"#, "pi": 3.5,
                "big": "18446744073709551615"
            })
        );
    }

    #[test]
    fn what_a_program_says_has_the_class_that_it_has_as_pairs() {
        for (line, kind) in [
            (r#"{"level":"info","logger":"tls.obtain","msg":"obtained"}"#, 600_299),
            (r#"{"level":"info","msg":"obtained"}"#, 0),
            (r#"{"level":"warn","msg":"x","err":"y"}"#, 600_801),
            (r#"{"version":"1.1","host":"h","short_message":"x","level":3}"#, 600_801),
            (r#"{"@level":"info","@message":"x","@module":"core","@timestamp":"2026-03-16T09:30:00Z"}"#, 600_299),
            (r#"{"@t":"2026-03-16T09:30:00Z","@mt":"x {y}","@l":"Error","SourceContext":"a.B"}"#, 600_801),
            (r#"{"level":"info","caller":"a/b.go:7","msg":"x"}"#, 600_299),
            (r#"{"msg":"x","name":"y"}"#, 0),
            (
                r#"{"level":"error","msg":"Unsuccessful 1FA authentication attempt by user 'ann'","remote_ip":"192.0.2.7"}"#,
                300_201,
            ),
        ] {
            assert_eq!(normalized(line)["type_uid"], kind, "{line}");
        }
    }

    #[test]
    fn an_error_is_the_message_only_where_no_other_is() {
        let event = normalized(r#"{"@level":"error","@message":"it broke","@module":"core","error":"no node"}"#);
        assert_eq!((&event["message"], &event["status_detail"]), (&"it broke".into(), &"no node".into()));
        assert_eq!(normalized(r#"{"level":"error","error":"no node"}"#)["message"], "no node");
    }

    #[test]
    fn what_is_not_one_object_stays_raw() {
        for text in [
            "{",
            "{}x",
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{"a":"\q"}"#,
            r#"{"a":[}"#,
            "{'a':1}",
            r#"{"a":1"#,
        ] {
            let event = normalized(text);
            assert_eq!(event["metadata"]["log_format"], "raw", "{text}");
            assert_eq!(event["message"], text);
            assert!(event.get("unmapped").is_none(), "{text}");
        }
    }

    #[test]
    fn of_a_key_that_occurs_twice_the_last_counts() {
        assert_eq!(
            normalized(r#"{"a":1,"a":2,"b":{"c":1},"b.c":3}"#)["unmapped"],
            serde_json::json!({"a": 2, "b": {"c": 3}})
        );
    }

    #[test]
    fn deep_and_wide_objects_are_bounded() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
        assert_eq!(normalized(&deep)["metadata"]["log_format"], "json");
        let keys: Vec<String> = (0..1_000).map(|n| format!("\"k{n}\":{n}")).collect();
        let event = normalized(&format!("{{{}}}", keys.join(",")));
        assert_eq!(event["unmapped"]["keys_dropped"], 744);
        assert_eq!(event["unmapped"]["k255"], 255);
    }

    #[test]
    fn an_object_behind_its_mark_in_syslog_is_read() {
        let event = normalized(r#"Mar 16 10:00:00 h app[7]: @cee:{"msg":"up","level":"warn","x":1}"#);
        assert_eq!(event["message"], "up");
        assert_eq!(event["unmapped"]["x"], 1);
        assert_eq!(event["severity_id"], 2);
    }
}
