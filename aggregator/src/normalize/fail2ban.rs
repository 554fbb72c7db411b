//! fail2ban.log, and fail2ban in syslog: bans are findings (2004, blocked), an unban closes its finding, jails start and stop
//! (6002).
//!
//! `2026-03-16 10:00:00,123 fail2ban.actions [7]: NOTICE [sshd] Ban 192.0.2.1`. A finding's uid is jail and address, so that ban
//! and unban are about the same one. Source: `server/actions.py`, `filter.py`, `jail.py`, `server.py` of fail2ban 0.8 to 1.1.

use super::outcome::{Control, controlled, success};
use super::remark::remark;
use super::syslog::Header;
use super::text::{between, cut, level, number, word};
use super::{Context, endpoint, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Detection Finding (2004).
#[derive(Clone, Copy)]
enum Finding {
    Create = 1,
    Update = 2,
    Close = 3,
}

/// `severity_id` 3: somebody was caught at it.
const MEDIUM: u8 = 3;
/// `analytic.type_id` 1: a rule.
const RULE: i64 = 1;

/// The first look: the module's name follows the time.
pub(super) fn looks(text: &str) -> bool {
    text.as_bytes().get(4) == Some(&b'-') && text.get(19..40).unwrap_or_default().contains(" fail2ban")
}

/// Reads a line of fail2ban.log.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, message)) = timestamp::iso(text, context.reference) else { return false };
    let message = message.trim_start();
    let (module, rest) = module(message);
    let pid = between(module, "[", "]").and_then(|(pid, _)| number(pid));
    // Its loops log under names of Python's own.
    let is_own = module.starts_with("fail2ban") || (pid.is_some() && level(word(rest).0).is_some());
    if !is_own {
        return false;
    }
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "fail2ban");
    event.push(Attribute::MetadataLogProvider, "fail2ban");
    event.push(Attribute::Message, message);
    if let Some(pid) = pid {
        event.push(Attribute::ActorProcessPid, pid);
        event.push(Attribute::ActorProcessName, "fail2ban-server");
    }
    understood(module, rest, event);
    true
}

/// Reads a message of fail2ban in syslog, whose program is the module or the server.
pub(super) fn parse_message<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (named, rest) = if message.starts_with("fail2ban.") { module(message) } else { (header.program, message) };
    understood(named, rest, event)
}

/// `fail2ban.actions        [7]: ` and what follows.
fn module(text: &str) -> (&str, &str) {
    cut(text, ": ").map_or(("", text), |(module, rest)| (module, rest.trim_start()))
}

fn understood<'a>(module: &'a str, text: &'a str, event: &mut Event<'a>) -> bool {
    let (first, rest) = word(text);
    let message = match level(first) {
        Some(severity) => {
            event.push(Attribute::MetadataLogLevel, first);
            event.severity_id = severity;
            rest
        }
        None => text,
    };
    let jail = message.strip_prefix('[').and_then(|rest| cut(rest, "] "));
    jail.is_some_and(|(jail, what)| banned(jail, what, event)) || lifecycle(message, event) || {
        event.unmap("module", word(module).0);
        remark("fail2ban", message, event)
    }
}

/// `Ban 192.0.2.1`, `Unban …`, `Restore Ban …`, `Increase Ban 192.0.2.1 (3 # 1:00:00 -> …)`, `Found 192.0.2.1 - 2026-03-16
/// 10:00:00`, `192.0.2.1 already banned`, `Ignore 192.0.2.1 by ip`.
fn banned<'a>(jail: &'a str, what: &'a str, event: &mut Event<'a>) -> bool {
    let (verb, rest) = word(what.trim_start());
    let (finding, control, address) = match verb {
        "Ban" => (Finding::Create, Control::Blocked, word(rest).0),
        "Restore" | "Increase" if rest.starts_with("Ban ") => (Finding::Update, Control::Blocked, word(word(rest).1).0),
        "Unban" => (Finding::Close, Control::Allowed, word(rest).0),
        "Found" => (Finding::Create, Control::Observed, word(rest).0),
        "Ignore" => (Finding::Create, Control::Allowed, word(rest).0),
        address if rest.starts_with("already banned") => (Finding::Update, Control::Blocked, address),
        _ => return false,
    };
    let address = address.trim_end_matches([',', ';']);
    let host = address.split_once('/').map_or(address, |(host, _)| host);
    event.class = Class::DetectionFinding;
    event.activity_id = finding as u8;
    let (title, stage) = match verb {
        "Found" => ("Failure found", "/found"),
        "Ignore" => ("Failure ignored", "/ignored"),
        "Unban" => ("Address unbanned", ""),
        _ => ("Address banned", ""),
    };
    event.push(Attribute::IsAlert, stage.is_empty() && verb != "Unban");
    event.push(Attribute::FindingUid, format!("fail2ban/{jail}/{address}{stage}"));
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingAnalyticName, jail);
    event.push(Attribute::FindingAnalyticTypeId, RULE);
    match endpoint::ip(host) {
        Some(ip) => event.push(Attribute::EvidencesSrcEndpointIp, ip),
        None => event.push(Attribute::EvidencesSrcEndpointHostname, host),
    }
    controlled(event, control);
    if matches!(control, Control::Blocked) {
        event.severity_id = event.severity_id.max(MEDIUM);
    }
    if let Some((_, when)) = cut(rest, " - ") {
        event.unmap("found_time", when);
    }
    true
}

/// `Starting Fail2ban v1.0.2`, `Exiting Fail2ban`, `Jail 'sshd' started`, `Jail sshd stopped`, `Creating new jail 'sshd'`.
fn lifecycle<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (activity, name) = if let Some(rest) = cut(message, "tarting Fail2ban").map(|(_, rest)| rest) {
        if let Some((_, version)) = cut(rest, " v") {
            event.push(Attribute::AppVersion, word(version).0);
        }
        (3, "fail2ban")
    } else if message.starts_with("Exiting Fail2ban") || message.starts_with("Shutdown in progress") {
        (4, "fail2ban")
    } else if message.starts_with("Reload ") {
        (5, "fail2ban")
    } else if let Some(rest) = message.strip_prefix("Jail ").or_else(|| message.strip_prefix("Creating new jail ")) {
        let (jail, what) = word(rest);
        let activity = match what {
            "started" => 3,
            "stopped" => 4,
            "" => 1,
            _ => return false,
        };
        (activity, jail.trim_matches('\''))
    } else {
        return false;
    };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    event.push(Attribute::AppName, name);
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::super::testing::{normalized, normalized_from, origin};

    #[test]
    fn bans_are_findings_that_an_unban_closes() {
        for (line, activity, action) in [
            ("2026-03-16 10:00:00,123 fail2ban.actions        [7]: NOTICE  [sshd] Ban 192.0.2.1", 1, 2),
            ("2026-03-16 10:00:00,123 fail2ban.actions: WARNING [sshd] Ban 192.0.2.1", 1, 2),
            ("2026-03-16 10:00:00,123 fail2ban.actions        [7]: NOTICE  [sshd] Unban 192.0.2.1", 3, 1),
            ("2026-03-16 10:00:00,123 fail2ban.actions        [7]: NOTICE  [sshd] Restore Ban 192.0.2.1", 2, 2),
            ("2026-03-16 10:00:00,123 fail2ban.actions        [7]: WARNING [sshd] 192.0.2.1 already banned", 2, 2),
            ("Mar 16 10:00:00 h fail2ban.actions[7]: NOTICE [sshd] Ban 192.0.2.1", 1, 2),
            ("Mar 16 10:00:00 h fail2ban-server[7]: fail2ban.actions [7]: NOTICE [sshd] Ban 192.0.2.1", 1, 2),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 200_400 + activity, "{line}");
            assert_eq!(event["finding_info"]["uid"], "fail2ban/sshd/192.0.2.1", "{line}");
            assert_eq!(event["evidences"][0]["src_endpoint"]["ip"], "192.0.2.1", "{line}");
            assert_eq!(event["action_id"], action, "{line}");
            assert_eq!(event["metadata"]["profiles"], serde_json::json!(["host", "security_control"]));
        }
        let found = "2026-03-16 10:00:00,123 fail2ban.filter [7]: INFO [sshd] Found 192.0.2.1 - 2026-03-16 09:59:59";
        let event = normalized(found);
        assert_eq!(event["is_alert"], false);
        assert_eq!(event["finding_info"]["uid"], "fail2ban/sshd/192.0.2.1/found");
    }

    #[test]
    fn what_another_program_wrote_is_not_its() {
        let origin = Origin { format: "fail2ban".parse().unwrap(), ..origin() };
        for (line, format) in [
            ("2026-03-16 10:00:00,123 asyncore [7]: ERROR uncaptured python exception", "fail2ban"),
            ("2026-03-16 10:00:00,123 backup: done", "raw"),
            ("2026-03-16 10:00:00 INFO something [7] else", "raw"),
        ] {
            let event = normalized_from(&origin, line.as_bytes(), None);
            assert_eq!(event["metadata"]["log_format"], format, "{line}");
        }
    }

    #[test]
    fn jails_start_and_fail() {
        for (line, kind) in [
            ("2026-03-16 10:00:00,123 fail2ban.server [7]: INFO    Starting Fail2ban v1.0.2", 600_203),
            ("2026-03-16 10:00:00,123 fail2ban.jail [7]: INFO    Jail 'sshd' started", 600_203),
            ("2026-03-16 10:00:00,123 fail2ban.actions [7]: ERROR   Failed to execute ban jail 'sshd'", 600_801),
            ("2026-03-16 10:00:00,123 fail2ban.jail [7]: INFO    Jail 'sshd' uses systemd {}", 600_299),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], kind, "{line}");
            assert_eq!(event["metadata"]["log_format"], "fail2ban", "{line}");
        }
    }
}
