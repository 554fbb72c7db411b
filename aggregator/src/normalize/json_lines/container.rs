//! Docker: the wrapper of its `json-file` driver around what a container wrote, and the events of its daemon.
//!
//! In: `{"log":"…\n","stream":"stdout","time":"…"}`, or `log` as fluentd's driver and Fluent Bit hand it on (`container_id` and
//! `source`, `kubernetes`, `date`); the parts into which a line beyond 16 KiB is cut, all but the last
//! without its line end, as lines that the [`Joiner`](super::super::join::Joiner) brought together. Out: the event of the
//! inner line, where a format understands it; its time is the wrapper's where the inner line has none; `unmapped.partial`
//! where its end is missing. Source: moby, `daemon/logger/jsonfilelog/jsonlog`, `daemon/logger/copier.go`, `api/types/events`.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::join::{Mark, Turn};
use super::super::{Context, contained, json};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is a wrapper: keys that nothing else has together, of the driver or of a collector that names the container.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    matches!(fields.leaf("log"), Some(Leaf::Text(_)))
        && (fields.has("stream")
            || (fields.has("container_id") && fields.has("source"))
            || fields.has("kubernetes.pod_name")
            || (fields.has("date") && !fields.has("level")))
}

/// Keys of a container's id and of its name, as collectors write them.
const IDS: [&str; 5] = ["container_id", "kubernetes.docker_id", "docker.container_id", "container.id", "_container_id"];
const NAMES: [&str; 5] =
    ["container_name", "kubernetes.container_name", "kubernetes.container.name", "container.name", "_container_name"];

/// Names the container, where the line's source does not.
pub(super) fn name<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let uid = IDS.into_iter().find(|key| matches!(fields.leaf(key), Some(Leaf::Text(text)) if !text.is_empty()));
    let named = NAMES.into_iter().find(|key| matches!(fields.leaf(key), Some(Leaf::Text(text)) if !text.is_empty()));
    if context.origin.container.is_some() || (uid.is_none() && named.is_none()) {
        return;
    }
    event.profile("container");
    if let Some(uid) = uid {
        fields.push(event, Attribute::DeviceContainerUid, uid);
    }
    if let Some(Leaf::Text(text)) = named.and_then(|key| fields.take(key)) {
        // Docker writes its containers' names as paths.
        let name = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_start_matches('/')),
            Cow::Owned(text) => Cow::Owned(text.trim_start_matches('/').to_owned()),
        };
        event.push(Attribute::DeviceContainerName, name);
    }
}

/// What every line of the driver begins with.
const BEGINNING: &[u8] = b"{\"log\":\"";
/// What follows the text, and as much of a line's end as it is looked for in: attributes may stand behind it.
const BEHIND: &[u8] = b"\",\"stream\":\"";
const TAIL_BYTES_MAX: usize = 4 << 10;
/// Bytes of every part but the last. A shorter text without a line end is what other collectors make of a whole line.
const PART_BYTES: usize = 16 << 10;

/// The mark of a line that is a part of one, or may end one.
pub(in super::super) fn part(raw: &[u8]) -> Option<Mark<'_>> {
    raw.starts_with(BEGINNING).then_some(())?;
    let tail_at = raw.len().saturating_sub(TAIL_BYTES_MAX);
    let behind = tail_at + memchr::memmem::rfind(raw.get(tail_at..)?, BEHIND)?;
    let name_at = behind + BEHIND.len();
    let rest = raw.get(name_at..)?;
    let name = ["stdout", "stderr"].into_iter().find(|name| rest.starts_with(name.as_bytes()))?;
    let text = raw.get(BEGINNING.len()..behind)?;
    let escapes = text.strip_suffix(b"n").map_or(0, |text| text.iter().rev().take_while(|b| **b == b'\\').count());
    let turn = if escapes % 2 == 1 || text.len() < PART_BYTES { Turn::End } else { Turn::More };
    Some(Mark { turn, name, name_at, stamp: None })
}

/// Reads what the container wrote.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let _ = ["time", "@timestamp", "date"].iter().any(|key| fields.push_time(event, key, context.reference));
    if let Some(Leaf::Text(line)) = fields.take("log") {
        if goes_on(&line) {
            event.unmap("partial", true);
        }
        inner(line, context, event);
        name(fields, context, event);
    }
}

fn goes_on(text: &str) -> bool {
    text.len() >= PART_BYTES && !text.ends_with('\n')
}

/// Reads the parts of a line; false where they are none.
pub(super) fn parse_parts<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let mut parts = text.lines();
    let Some(mut first) = parts.next().and_then(json::read).filter(looks) else { return false };
    let mut line = match first.take("log") {
        Some(Leaf::Text(line)) => line.into_owned(),
        _ => return false,
    };
    let mut is_partial = goes_on(&line);
    for part in parts {
        let Some(mut part) = json::read(part).filter(looks) else { return false };
        if let Some(Leaf::Text(text)) = part.take("log") {
            line.push_str(&text);
            is_partial = goes_on(&text);
        }
    }
    if is_partial {
        event.unmap("partial", true);
    }
    event.push(Attribute::MetadataLogFormat, "docker_json");
    first.push_time(event, "time", context.reference);
    inner(Cow::Owned(line), context, event);
    first.finish(event);
    true
}

/// Reads a line that a wrapper held; where no format understands it, it is the message.
pub(in super::super) fn inner<'a>(line: Cow<'a, str>, context: &Context<'a>, event: &mut Event<'a>) {
    let line = match line {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(['\r', '\n'])),
        Cow::Owned(mut text) => {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
            Cow::Owned(text)
        }
    };
    if !contained(line.clone(), context, event) || event.value(Attribute::Message).is_none() {
        event.push(Attribute::Message, line);
    }
}

/// Whether it is an event of the daemon, as `docker events` or a collector prints it.
pub(super) fn looks_event(fields: &Fields<'_>) -> bool {
    let all = |keys: [&str; 3]| keys.into_iter().all(|key| fields.has(key));
    all(["Type", "Action", "Actor.ID"]) || all(["docker.Type", "docker.Action", "docker.Actor.ID"])
}

/// A container's life is that of an application (6002).
pub(super) fn parse_event<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let prefix = if fields.has("docker.Action") { "docker." } else { "" };
    let key = |name: &str| format!("{prefix}{name}");
    event.push(Attribute::MetadataLogProvider, "docker");
    let _ = ["timeNano", "time"].into_iter().any(|name| fields.push_time(event, &key(name), context.reference));
    let action = fields.text(&key("Action")).unwrap_or_default();
    let verb = action.split([':', ' ']).next().unwrap_or_default();
    event.class = Class::ApplicationLifecycle;
    event.activity_id = match verb {
        "create" | "pull" | "import" | "load" | "tag" => 1,
        "destroy" | "delete" | "remove" | "untag" => 2,
        "start" | "unpause" | "connect" | "mount" => 3,
        "stop" | "die" | "kill" | "pause" | "oom" | "disconnect" | "unmount" => 4,
        "restart" => 5,
        "update" | "rename" => 8,
        _ => 99,
    };
    if event.activity_id == 99 {
        event.push(Attribute::ActivityName, action.clone());
    }
    if !fields.push(event, Attribute::AppName, &key("Actor.Attributes.name")) {
        fields.push(event, Attribute::AppName, &key("Actor.Attributes.image"));
    }
    fields.push(event, Attribute::AppUid, &key("Actor.ID"));
    event.push(Attribute::MetadataEventCode, action);
    if let Some(code) = fields.text(&key("Actor.Attributes.exitCode")) {
        if code == "0" {
            super::super::outcome::success(event);
        } else {
            super::super::outcome::failure(event, "");
        }
        event.push(Attribute::StatusCode, code);
    }
    let about = event.text(Attribute::AppName).unwrap_or_default();
    let message = format!("{} {about}", event.text(Attribute::MetadataEventCode).unwrap_or_default());
    event.push(Attribute::Message, message);
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;
    use super::PART_BYTES;

    #[test]
    fn the_inner_line_has_the_event_and_the_wrapper_its_time() {
        let event = normalized(
            r#"{"log":"192.0.2.7 - - [16/Mar/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 404 5\n","stream":"stdout","time":"2026-03-16T09:00:07.5Z"}"#,
        );
        assert_eq!(event["class_uid"], 4002);
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        let event = normalized(r#"{"log":"it is up\r\n","stream":"stderr","time":"2026-03-16T09:00:07.5Z"}"#);
        assert_eq!(event["message"], "it is up");
        assert_eq!(event["time"], 1_773_651_607_500_i64);
        assert_eq!(event["unmapped"]["stream"], "stderr");
        assert_eq!(event["metadata"]["log_format"], "docker_json");
    }

    #[test]
    fn parts_are_one_line() {
        let part = |text: &str| format!(r#"{{"log":"{text}","stream":"stdout","time":"2026-03-16T09:00:07.5Z"}}"#);
        let (head, tail) =
            (part(r#"192.0.2.7 - - [16/Mar/2026:10:00:00 +0100] \"GET /"#), part(r#" HTTP/1.1\" 404 5\n"#));
        let event = normalized(&[head.as_str(), &part("x"), &tail].join("\n"));
        assert_eq!((&event["type_uid"], &event["http_request"]["url"]["path"]), (&400_203.into(), &"/x".into()));
        assert_eq!(event["unmapped"], serde_json::json!({"stream": "stdout"}));
        let event = normalized(&[head.as_str(), &part(&"x".repeat(PART_BYTES))].join("\n"));
        assert_eq!(event["unmapped"]["partial"], true);
        assert_eq!(event["metadata"]["log_format"], "docker_json");
        assert_ne!(normalized(&[head.as_str(), "{}"].join("\n"))["metadata"]["log_format"], "docker_json");
    }

    #[test]
    fn a_container_that_dies_is_an_application_that_stops() {
        let event = normalized(
            r#"{"Type":"container","Action":"die","Actor":{"ID":"ab12","Attributes":{"exitCode":"137","name":"web"}},"time":1773651600,"timeNano":1773651600500000000}"#,
        );
        assert_eq!(event["type_uid"], 600_204);
        assert_eq!(event["app"]["name"], "web");
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(event["status_id"], 2);
    }
}
