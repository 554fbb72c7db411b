//! The message bus: services that it starts (6002), and messages that its policy rejects (6008, blocked).
//!
//! `[system] Successfully activated service 'org.example'`, `[system] Rejected send message, 1 matched rules; type="…"
//! sender=":1.5" (uid=1000 pid=7 comm="x") …`. Source: `activation.c`, `bus.c` of dbus-daemon; `launcher.c` of dbus-broker.

use super::super::outcome::{Control, controlled, failure, success};
use super::super::syslog::Header;
use super::super::text::{between, cut};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message of the bus.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    const START: u8 = 3;
    const RESTART: u8 = 5;
    let (bus, rest) = match message.strip_prefix('[').and_then(|rest| cut(rest, "] ")) {
        Some((bus, rest)) => (cut(bus, " ").map_or(bus, |(bus, _)| bus), rest),
        None => ("", message),
    };
    if rest.starts_with("Rejected send message") {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        controlled(event, Control::Blocked);
        for (key, open) in [
            ("sender", "sender=\""),
            ("interface", "interface=\""),
            ("member", "member=\""),
            ("destination", "destination=\""),
        ] {
            if let Some((value, _)) = between(rest, open, "\"") {
                event.unmap(key, value);
            }
        }
        requested(rest, event);
        failure(event, cut(rest, "; ").map_or(rest, |(reason, _)| reason));
        return true;
    }
    if rest.starts_with("Reloaded configuration") {
        event.class = Class::ApplicationLifecycle;
        event.activity_id = RESTART;
        event.push(Attribute::AppName, "dbus-daemon");
        success(event);
        return true;
    }
    let (name, reason) = if let Some(rest) = rest.strip_prefix("Successfully activated service ") {
        (between(rest, "'", "'").map(|(name, _)| name), "")
    } else if let Some(rest) = rest.strip_prefix("Failed to activate service ") {
        (between(rest, "'", "'").map(|(name, _)| name), cut(rest, "': ").map_or(rest, |(_, reason)| reason))
    } else if let Some(rest) = rest.strip_prefix("Activation of service ") {
        (between(rest, "'", "'").map(|(name, _)| name), rest)
    } else if rest.starts_with("Activating ") {
        event.push(Attribute::ActivityName, "Starting");
        (between(rest, "name='", "'").map(|(name, _)| name), "")
    } else {
        return false;
    };
    let Some(name) = name else { return false };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = if rest.starts_with("Activating ") { 99 } else { START };
    event.push(Attribute::AppName, name);
    if !bus.is_empty() {
        event.unmap("bus", bus);
    }
    if let Some((unit, _)) = between(rest, "unit='", "'") {
        event.unmap("unit", unit);
    }
    requested(rest, event);
    match reason {
        "" => success(event),
        _ => failure(event, reason.trim_end_matches('.')),
    }
    true
}

/// Who asked: the first `(uid=1000 pid=7 comm="x" …)`.
fn requested<'a>(text: &'a str, event: &mut Event<'a>) {
    let Some((who, _)) = between(text, "(uid=", ")") else { return };
    let (uid, rest) = cut(who, " ").unwrap_or((who, ""));
    event.push(Attribute::ActorUserUid, uid);
    if let Some((comm, _)) = between(rest, "comm=\"", "\"") {
        event.unmap("comm", comm);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn services_start_and_messages_are_rejected() {
        let event =
            normalized("Mar 16 10:00:00 h dbus-daemon[9]: [system] Successfully activated service 'org.example.A'");
        assert_eq!(event["type_uid"], 600_203);
        assert_eq!(event["app"]["name"], "org.example.A");
        let by = "requested by ':1.5' (uid=1000 pid=7 comm=\"x\" label=\"unconfined\")";
        let event = normalized(&format!(
            "Mar 16 10:00:00 h dbus[9]: [system] Activating via systemd: service name='org.a' unit='a.service' {by}"
        ));
        assert_eq!(event["type_uid"], 600_299);
        assert_eq!(event["actor"]["user"]["uid"], "1000");
        let rejected = "Rejected send message, 1 matched rules; type=\"method_call\", sender=\":1.5\" (uid=1000 pid=7)";
        let event = normalized(&format!("Mar 16 10:00:00 h dbus-daemon[9]: [system] {rejected} interface=\"org.x\""));
        assert_eq!(event["type_uid"], 600_801);
        assert_eq!(event["disposition_id"], 2);
        assert_eq!(event["unmapped"]["interface"], "org.x");
    }
}
