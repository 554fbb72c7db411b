//! zypper's history: `2026-03-16 10:00:00|install|bash|5.2-1|x86_64|root@web-1|repo-oss|checksum|`.
//!
//! Source: `zypp/HistoryLogData.cc` of libzypp, which names the columns of each action.

use super::super::{Context, timestamp};
use super::{Activity, Change};
use crate::event::Event;
use crate::schema::Attribute;

/// The first look.
pub(in super::super) fn looks(text: &str) -> bool {
    text.as_bytes().get(19) == Some(&b'|') && text.as_bytes().get(4) == Some(&b'-')
}

/// Reads a line.
pub(in super::super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let mut columns = rest.split('|').skip(1);
    let action = columns.next().unwrap_or_default().trim();
    let mut next = || columns.next().unwrap_or_default();
    let (change, caller) = match action {
        "install" => {
            let (name, version, architecture, caller, repository) = (next(), next(), next(), next(), next());
            event.unmap("repository", repository);
            (Change { version, architecture, ..Change::new(Activity::Install, name) }, caller)
        }
        "remove" => {
            let (name, version, architecture, caller) = (next(), next(), next(), next());
            (Change { version, architecture, ..Change::new(Activity::Remove, name) }, caller)
        }
        "patch" => {
            let (name, version, architecture) = (next(), next(), next());
            (Change { version, architecture, ..Change::new(Activity::Update, name) }, "")
        }
        "command" => {
            let (caller, command) = (next(), next());
            event.unmap("command", command);
            (Change::other("Command", "zypper"), caller)
        }
        "radd" | "rremove" | "ralias" | "rurl" => {
            let (alias, url) = (next(), next());
            event.unmap("repository", alias);
            event.unmap("url", url);
            (Change::other("Repository Change", "zypper"), "")
        }
        _ => return false,
    };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "zypper");
    event.push(Attribute::MetadataLogProvider, "zypper");
    event.push(Attribute::Message, rest);
    if let Some((user, _)) = caller.split_once('@').filter(|(user, _)| !user.is_empty()) {
        event.push(Attribute::ActorUserName, user);
    }
    change.apply("zypper", event)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn packages_and_commands_name_who_did_it() {
        for (line, activity, name) in [
            ("2026-03-16 10:00:00|install|bash|5.2-1|x86_64|root@web-1|repo-oss|abc|", 1, "bash"),
            ("2026-03-16 10:00:00|remove |bash|5.2-1|x86_64|root@web-1|", 2, "bash"),
            ("2026-03-16 10:00:00|command|root@web-1|'zypper' 'in' 'bash'|", 99, "zypper"),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 600_200 + activity, "{line}");
            assert_eq!(event["app"]["name"], name, "{line}");
            assert_eq!(event["actor"]["user"]["name"], "root", "{line}");
        }
        assert_eq!(normalized("2026-03-16 10:00:00|x|y")["metadata"]["log_format"], "plain");
    }
}
