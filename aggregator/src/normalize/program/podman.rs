//! Podman's events in syslog: containers, images, pods and volumes that come and go (6002).
//!
//! In: `2026-03-16 10:00:00.1 +0000 UTC m=+0.1 container create abc123 (image=docker.io/library/x:latest, name=web)`. Source:
//! `libpod/events/events.go`, `ToHumanReadable`, of Podman 3 to 5.

use super::super::outcome::success;
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{cut, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message of podman.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let Some((_, rest)) = cut(message, " m=") else { return remark("podman", message, event) };
    let (kind, rest) = word(word(rest).1);
    let (verb, rest) = word(rest);
    let (uid, rest) = word(rest);
    if !matches!(kind, "container" | "image" | "pod" | "volume" | "network") || uid.is_empty() {
        return remark("podman", message, event);
    }
    let fields = rest.strip_prefix('(').map_or(rest, |rest| rest.trim_end_matches(')'));
    let value = |key: &str| fields.split(", ").find_map(|field| field.strip_prefix(key));
    event.class = Class::ApplicationLifecycle;
    event.activity_id = match verb {
        "create" | "pull" | "build" => 1,
        "remove" | "prune" | "untag" => 2,
        "init" | "start" | "unpause" => 3,
        "died" | "stop" | "kill" | "pause" => 4,
        "restart" => 5,
        _ => 99,
    };
    event.push(Attribute::ActivityName, verb);
    event.push(Attribute::AppName, value("name=").or_else(|| value("image=")).unwrap_or(uid));
    event.push(Attribute::AppUid, uid);
    event.unmap("kind", kind);
    if let Some(image) = value("image=") {
        event.unmap("image", image);
    }
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn containers_come_and_go() {
        for (verb, activity) in [("create", 1), ("start", 3), ("died", 4), ("remove", 2)] {
            let event = normalized(&format!(
                "Mar 16 10:00:00 h podman[9]: 2026-03-16 10:00:00.1 +0000 UTC m=+0.1 container {verb} abc (image=x:1, name=web)"
            ));
            assert_eq!(
                (&event["type_uid"], &event["app"]["name"]),
                (&(600_200 + activity).into(), &"web".into()),
                "{verb}"
            );
            assert_eq!((&event["app"]["uid"], &event["unmapped"]["image"]), (&"abc".into(), &"x:1".into()), "{verb}");
        }
    }
}
