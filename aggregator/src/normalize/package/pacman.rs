//! pacman.log: `[2026-03-16T10:00:00+0100] [ALPM] upgraded bash (5.1-1 -> 5.2-1)`.
//!
//! Source: `alpm_logaction` calls of libalpm and pacman; versions before 5.2 write the time without seconds and zone, before 4.1
//! not who speaks.

use super::super::syslog::Header;
use super::super::text::{between, cut, word};
use super::super::timestamp::Stamp;
use super::super::{Context, timestamp};
use super::{Activity, Change};
use crate::event::Event;
use crate::schema::Attribute;

/// What becomes of a package.
const VERBS: [&str; 5] = ["installed", "reinstalled", "upgraded", "downgraded", "removed"];

/// The first look.
pub(in super::super) fn looks(text: &str) -> bool {
    let dated = text.starts_with('[') && text.as_bytes().get(5) == Some(&b'-');
    let behind = |rest: &str| {
        let rest = rest.trim_start();
        rest.starts_with("[ALPM") || rest.starts_with("[PACMAN") || VERBS.contains(&word(rest).0)
    };
    dated && cut(text, "]").is_some_and(|(_, rest)| behind(rest))
}

/// Reads a line.
pub(in super::super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((time, rest)) = text.strip_prefix('[').and_then(|rest| cut(rest, "]")) else { return false };
    let stamp = match timestamp::iso(time, context.reference) {
        Some((stamp, "")) => stamp,
        _ => {
            let whole = format!("{time}:00");
            match timestamp::iso(&whole, context.reference) {
                Some((stamp, "")) => Stamp { time: stamp.time, text: time, assumed_offset: stamp.assumed_offset },
                _ => return false,
            }
        }
    };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "pacman");
    event.push(Attribute::MetadataLogProvider, "pacman");
    let message = rest.trim_start();
    event.push(Attribute::Message, message);
    let by = message.strip_prefix('[').and_then(|rest| cut(rest, "] ")).map(|(by, _)| by);
    if let Some(by) = by {
        event.unmap("logger", by);
    }
    // What a script or a hook printed is a base event.
    changed(message, event);
    true
}

/// Reads a message of pacman in syslog.
pub(in super::super) fn parse_message<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    changed(message.trim_end(), event)
}

fn changed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let message = match message.strip_prefix('[').and_then(|rest| cut(rest, "] ")) {
        Some((by, rest)) if by != "ALPM-SCRIPTLET" => rest,
        Some(_) => return false,
        None => message,
    };
    let (verb, rest) = word(message);
    let activity = match verb {
        "installed" | "reinstalled" => Activity::Install,
        "upgraded" | "downgraded" => Activity::Update,
        "removed" => Activity::Remove,
        "Running" | "running" => {
            event.unmap("command", between(rest, "'", "'").map_or(rest, |(command, _)| command));
            return Change::other(if verb == "Running" { "Command" } else { "Hook" }, "pacman").apply("pacman", event);
        }
        "transaction" => {
            let word = match rest {
                "started" => "Transaction Start",
                "completed" => "Transaction End",
                _ => "Transaction",
            };
            return Change::other(word, "pacman").apply("pacman", event);
        }
        "synchronizing" | "starting" => return Change::other("Synchronize", "pacman").apply("pacman", event),
        _ => return false,
    };
    let (name, rest) = word(rest);
    let versions = between(rest, "(", ")").map_or("", |(versions, _)| versions);
    let (previous, version) = cut(versions, " -> ").unwrap_or(("", versions));
    Change { version, previous, ..Change::new(activity, name) }.apply("pacman", event)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn packages_come_change_and_go() {
        for (line, activity, name, version) in [
            ("[2026-03-16T10:00:00+0100] [ALPM] installed bash (5.2-1)", 1, "bash", Some("5.2-1")),
            ("[2026-03-16T10:00:00+0100] [ALPM] upgraded bash (5.1-1 -> 5.2-1)", 8, "bash", Some("5.2-1")),
            ("[2026-03-16 10:00] [ALPM] removed bash (5.2-1)", 2, "bash", Some("5.2-1")),
            ("[2026-03-16 10:00] installed bash (5.2-1)", 1, "bash", Some("5.2-1")),
            ("Mar 16 10:00:00 h pacman[9]: [ALPM] upgraded bash (5.1-1 -> 5.2-1)", 8, "bash", Some("5.2-1")),
            ("[2026-03-16T10:00:00+0100] [PACMAN] Running 'pacman -S bash'", 99, "pacman", None),
            ("[2026-03-16T10:00:00+0100] [ALPM] transaction started", 99, "pacman", None),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 600_200 + activity, "{line}");
            assert_eq!(event["app"]["name"], name, "{line}");
            assert_eq!(event["app"]["version"].as_str(), version, "{line}");
            assert_eq!(event["time"], 1_773_651_600_000_i64, "{line}");
        }
        let event = normalized("[2026-03-16T10:00:00+0100] [ALPM-SCRIPTLET] ==> done");
        assert_eq!(event["metadata"]["log_format"], "pacman");
    }
}
