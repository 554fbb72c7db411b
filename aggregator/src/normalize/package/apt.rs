//! apt's history.log and term.log.
//!
//! In: a line, or a whole entry whose lines were joined: `Start-Date: 2026-03-16  10:00:00`, `Commandline: apt install bash`,
//! `Requested-By: bob (1000)`, `Install: bash:amd64 (5.2-1), libc6:amd64 (2.39, automatic)`, `Upgrade: bash:amd64 (5.1-1,
//! 5.2-1)`, `End-Date: …`; of term.log what dpkg printed: `Unpacking bash (5.2-1) over (5.1-1) ...`. Source:
//! `apt-pkg/deb/dpkgpm.cc` (`OpenLog`, `WriteHistoryTag`).

use super::super::outcome::LOW;
use super::super::remark::remark;
use super::super::text::{between, cut, word};
use super::super::{Context, timestamp};
use super::{Activity, Change};
use crate::event::Event;
use crate::schema::Attribute;

/// What a line of either log begins with.
const STARTS: [&str; 21] = [
    "Start-Date: ",
    "End-Date: ",
    "Commandline: ",
    "Requested-By: ",
    "Install: ",
    "Upgrade: ",
    "Remove: ",
    "Purge: ",
    "Downgrade: ",
    "Reinstall: ",
    "Error: ",
    "Log started: ",
    "Log ended: ",
    "Selecting previously unselected package ",
    "Preparing to unpack ",
    "Unpacking ",
    "Setting up ",
    "Processing triggers for ",
    "Removing ",
    "Purging configuration files for ",
    "Installing new version of config file ",
];

/// What dpkg prints of its own work in term.log.
const REMARKS: [&str; 5] = [
    "(Reading database ... ",
    "dpkg: warning: ",
    "dpkg: error ",
    "Errors were encountered while processing:",
    "Created symlink /etc/systemd/",
];

fn is_remark(text: &str) -> bool {
    matches!(text.as_bytes().first(), Some(b'(' | b'd' | b'E' | b'C'))
        && REMARKS.iter().any(|start| text.starts_with(start))
}

/// The first look.
pub(in super::super) fn looks(text: &str) -> bool {
    // A month would have its space here.
    is_remark(text)
        || text.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
            && (text.as_bytes().get(3) != Some(&b' ') || text.starts_with("Log "))
            && STARTS.iter().any(|start| text.starts_with(start))
}

/// What an entry says.
#[derive(Default)]
struct Entry<'a> {
    change: Option<Change<'a>>,
    packages: &'a str,
    timed: bool,
    error: &'a str,
}

/// Reads a line, or lines that belong together.
pub(in super::super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    event.push(Attribute::MetadataLogFormat, "apt");
    event.push(Attribute::MetadataLogProvider, "apt");
    event.push(Attribute::Message, text);
    if is_remark(text) {
        if text.starts_with("dpkg: ") || text.starts_with('E') {
            event.severity_id = event.severity_id.max(LOW);
        }
        return remark("dpkg", text, event);
    }
    let mut entry = Entry::default();
    for line in text.lines() {
        if let Some((tag, value)) = cut(line, ": ") {
            tagged(tag, value.trim(), context, &mut entry, event);
        }
        if entry.change.is_none() {
            entry.change = printed(line);
        }
    }
    let Some(change) = entry.change else { return false };
    if !change.apply("apt", event) {
        return false;
    }
    if !entry.packages.is_empty() {
        event.unmap("packages", entry.packages);
    }
    if !entry.error.is_empty() {
        event.set(Attribute::Status, "Failure");
        event.set(Attribute::StatusId, 2);
        event.set(Attribute::StatusDetail, entry.error);
    }
    true
}

/// A line of history.log.
fn tagged<'a>(tag: &str, value: &'a str, context: &Context<'a>, entry: &mut Entry<'a>, event: &mut Event<'a>) {
    let remark = |word, entry: &mut Entry<'a>| {
        if entry.change.is_none_or(|change| change.activity == Activity::Other) {
            entry.change = Some(Change::other(word, "apt"));
        }
    };
    let activity = match tag {
        "Install" | "Reinstall" => Activity::Install,
        "Upgrade" | "Downgrade" => Activity::Update,
        "Remove" | "Purge" => Activity::Remove,
        "Start-Date" | "Log started" | "End-Date" | "Log ended" => {
            let whole = timestamp::spaced(value, context.reference).filter(|_| !entry.timed);
            if let Some(stamp) = whole {
                stamp.apply(event);
                entry.timed = true;
            }
            remark(if tag.contains("nd") { "Transaction End" } else { "Transaction Start" }, entry);
            return;
        }
        "Commandline" => {
            event.unmap("command", value);
            remark("Command", entry);
            return;
        }
        "Requested-By" => {
            let (user, uid) = cut(value, " (").unwrap_or((value, ""));
            event.push(Attribute::ActorUserName, user);
            if let Some(uid) = uid.strip_suffix(')') {
                event.push(Attribute::ActorUserUid, uid);
            }
            remark("Request", entry);
            return;
        }
        "Error" => {
            entry.error = value;
            remark("Error", entry);
            return;
        }
        _ => return,
    };
    // bash:amd64 (5.1-1, 5.2-1), …
    let Some((package, rest)) = cut(value, " (") else { return };
    let (name, architecture) = package.split_once(':').unwrap_or((package, ""));
    let versions = cut(rest, ")").map_or(rest, |(versions, _)| versions);
    let (first, second) = cut(versions, ", ").unwrap_or((versions, ""));
    let (version, previous) = match activity {
        Activity::Update => (second, first),
        _ => (first, ""),
    };
    if entry.packages.is_empty() {
        entry.packages = value;
        entry.change = Some(Change { version, previous, architecture, ..Change::new(activity, name) });
    }
}

/// A line of term.log.
fn printed(line: &str) -> Option<Change<'_>> {
    let line = line.trim_end().trim_end_matches('.').trim_end();
    let versioned = |rest: &'_ str| -> Option<(_, _)> {
        let (package, rest) = word(rest);
        Some((package.split_once(':').map_or(package, |(name, _)| name).len(), between(rest, "(", ")")?.0.len()))
    };
    for (start, activity, name) in [
        ("Unpacking ", Activity::Install, ""),
        ("Removing ", Activity::Remove, ""),
        ("Purging configuration files for ", Activity::Remove, ""),
        ("Setting up ", Activity::Other, "Configure"),
        ("Processing triggers for ", Activity::Other, "Trigger"),
    ] {
        let Some(rest) = line.strip_prefix(start) else { continue };
        let (name_len, version_len) = versioned(rest)?;
        let (package, version) = (rest.get(..name_len)?, cut(rest, "(")?.1.get(..version_len)?);
        let previous = between(rest, "over (", ")").map_or("", |(previous, _)| previous);
        let activity = if previous.is_empty() { activity } else { Activity::Update };
        return Some(Change { word: name, version, previous, ..Change::new(activity, package) });
    }
    if let Some(name) = line.strip_prefix("Selecting previously unselected package ") {
        return Some(Change::other("Select", name.split(':').next().unwrap_or(name)));
    }
    let file = line.strip_prefix("Preparing to unpack ")?;
    let name = file.rsplit('/').next().and_then(|file| file.split_once('_')).map(|(name, _)| name)?;
    Some(Change::other("Unpack", name))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn an_entry_of_the_history_is_read_whole_or_line_by_line() {
        let event = normalized("Upgrade: bash:amd64 (5.1-1, 5.2-1), libc6:amd64 (2.38, 2.39)");
        assert_eq!(event["type_uid"], 600_208);
        assert_eq!(event["app"], serde_json::json!({"name": "bash", "version": "5.2-1"}));
        assert_eq!(event["unmapped"]["previous_version"], "5.1-1");
        let event = normalized(
            "Start-Date: 2026-03-16  10:00:00\nCommandline: apt install bash\nRequested-By: bob (1000)\nInstall: bash:amd64 (5.2-1)\nEnd-Date: 2026-03-16  10:00:05",
        );
        assert_eq!(event["type_uid"], 600_201);
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        assert_eq!(event["actor"]["user"], serde_json::json!({"name": "bob", "uid": "1000"}));
        assert_eq!(event["unmapped"]["command"], "apt install bash");
        assert_eq!(normalized("Commandline: apt install bash")["activity_name"], "Command");
    }

    #[test]
    fn what_dpkg_says_of_its_own_work_is_a_report_or_an_error() {
        assert_eq!(
            normalized("(Reading database ... 12 files and directories currently installed.)")["type_uid"],
            600_299
        );
        let event = normalized("dpkg: error processing package bash (--configure):");
        assert_eq!((&event["type_uid"], &event["actor"]["app_name"]), (&600_801.into(), &"dpkg".into()));
    }

    #[test]
    fn what_dpkg_printed_is_read() {
        for (line, activity, version) in [
            ("Unpacking bash (5.2-1) ...", 1, Some("5.2-1")),
            ("Unpacking bash:amd64 (5.2-1) over (5.1-1) ...", 8, Some("5.2-1")),
            ("Removing bash (5.2-1) ...", 2, Some("5.2-1")),
            ("Setting up bash (5.2-1) ...", 99, Some("5.2-1")),
            ("Selecting previously unselected package bash.", 99, None),
            ("Preparing to unpack .../bash_5.2-1_amd64.deb ...", 99, None),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 600_200 + activity, "{line}");
            assert_eq!(event["app"]["name"], "bash", "{line}");
            assert_eq!(event["app"]["version"].as_str(), version, "{line}");
        }
        assert_eq!(normalized("Removing the old thing")["metadata"]["log_format"], "raw");
    }
}
