//! Objects that a collector made around a line of a file or container: Filebeat, Logstash, Fluent Bit, fluentd and Vector
//! before anybody parsed it.
//!
//! In: the line in `message` beside `@timestamp` and what says where it was read (`log.file.path`, `input.type`, `path`), or in
//! `message` beside `stream` (a container's) or `source_type` (Vector), and no category; `short_message` of GELF; a message that
//! begins as lines of syslog do. Out: the event of the line, where a format understands it; the
//! collector's time where the line has none. A line that no format understands leaves the object to the next kind.

use super::super::fields::{Fields, Leaf};
use super::super::{Context, contained, syslog};
use super::{access, bare, container, ecs};
use crate::event::Event;
use crate::schema::Attribute;

/// Where collectors say that they read a line.
const READ_FROM: [&str; 9] = [
    "log.file.path",
    "log.offset",
    "input.type",
    "@version",
    "path",
    "source",
    "kubernetes.pod_name",
    "kubernetes.pod.name",
    "container.id",
];

/// Whether it is a line with nothing but its way here.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    let Some(Leaf::Text(line)) = fields.leaf(key(fields)) else { return false };
    let collected =
        fields.has("@timestamp") && !fields.has("event.category") && READ_FROM.iter().any(|key| fields.has(key));
    collected
        || fields.has("source_type")
        || (fields.has("short_message") && fields.has("host"))
        || syslog::headed(line)
        || (fields.has("stream") && ["logtag", "time", "timestamp", "@timestamp"].iter().any(|key| fields.has(key)))
}

/// Where the line stands; GELF calls it short.
fn key(fields: &Fields<'_>) -> &'static str {
    if fields.has("short_message") { "short_message" } else { "message" }
}

/// Reads the line.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let key = key(fields);
    let Some(Leaf::Text(line)) = fields.take(key) else { return };
    let text = line.trim_end_matches(['\r', '\n']).len();
    let whole = text == line.len();
    if whole && contained(line.clone(), context, event) {
        if event.value(Attribute::MetadataOriginalTime).is_none() {
            let times = ["@timestamp", "timestamp", "time"];
            let _ = times.iter().any(|key| fields.push_time(event, key, context.reference));
        }
        container::name(fields, context, event);
        if event.value(Attribute::Message).is_none() {
            event.push(Attribute::Message, line);
        }
        return;
    }
    fields.put_back(key, Leaf::Text(line));
    container::name(fields, context, event);
    otherwise(fields, context, event);
}

/// Reads an object whose message no format understood as what it is without it.
pub(super) fn otherwise<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    if ecs::looks(fields) {
        ecs::parse(fields, context, event);
    } else if access::looks(fields) {
        access::parse(fields, context, event);
    } else {
        bare::parse_any(fields, context, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn the_line_inside_is_read() {
        const LINE: &str = "Mar 16 09:59:00 web-2 sshd[7]: Failed password for bob from 192.0.2.1 port 5 ssh2";
        for object in [
            format!(
                r#"{{"@timestamp":"2026-03-16T09:00:00.500Z","message":"{LINE}","log":{{"offset":7,"file":{{"path":"/a"}}}},"ecs":{{"version":"8.0.0"}}}}"#
            ),
            format!(r#"{{"message":"{LINE}","@version":"1","@timestamp":"2026-03-16T09:00:00.500Z","path":"/a"}}"#),
        ] {
            let event = normalized(&object);
            assert_eq!((&event["type_uid"], &event["user"]["name"]), (&300_201.into(), &"bob".into()), "{object}");
            assert_eq!(event["time"], 1_773_651_540_000_i64, "{object}");
            assert_eq!(event["message"], "Failed password for bob from 192.0.2.1 port 5 ssh2", "{object}");
        }
        let request = r#"192.0.2.1 - - [16/Mar/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 200 5"#;
        let event = normalized(&format!(
            r#"{{"time":"2026-03-16T09:00:00Z","stream":"stdout","logtag":"F","message":"{request}"}}"#
        ));
        assert_eq!(event["class_uid"], 4002);
    }

    #[test]
    fn gelf_and_other_objects_may_hold_whole_lines() {
        let request = r#"192.0.2.1 - - [16/Mar/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 200 5"#;
        let event = normalized(&format!(
            r#"{{"version":"1.1","host":"h","short_message":"{request}","timestamp":1773651600.5,"level":6,"_container_id":"c1","_container_name":"web"}}"#
        ));
        assert_eq!((&event["class_uid"], &event["device"]["container"]["name"]), (&4002.into(), &"web".into()));
        let event = normalized(
            r#"{"version":"1.1","host":"h","short_message":"it is up","timestamp":1773651600.5,"level":6,"_container_name":"web"}"#,
        );
        assert_eq!((&event["type_uid"], &event["app"]["name"]), (&600_299.into(), &"web".into()));
        let event = normalized(
            r#"{"level":"info","message":"<38>Mar 16 10:00:00 h sshd[7]: Failed password for bob from 192.0.2.1 port 5 ssh2"}"#,
        );
        assert_eq!((&event["type_uid"], &event["user"]["name"]), (&300_201.into(), &"bob".into()));
    }

    #[test]
    fn words_of_nobody_stay_the_message() {
        let event = normalized(
            r#"{"@timestamp":"2026-03-16T09:00:00.500Z","message":"words","log":{"level":"error","offset":7},"ecs":{"version":"8.0.0"}}"#,
        );
        assert_eq!((&event["message"], &event["time"]), (&"words".into(), &1_773_651_600_500_i64.into()));
        assert_eq!((&event["metadata"]["log_format"], &event["type_uid"]), (&"ecs".into(), &600_801.into()));
    }
}
