//! yum.log, dnf.log, dnf.rpm.log, and yum and dnf in syslog.
//!
//! `Mar 16 10:00:00 Installed: bash-5.2-1.el7.x86_64`, `2026-03-16T10:00:00+0100 SUBDEBUG Upgrade: bash-0:5.2-1.fc40.x86_64`,
//! `2026-03-16T10:00:00+0100 DEBUG Command: dnf install bash`. A package is `NAME-[EPOCH:]VERSION-RELEASE.ARCH`, or
//! `EPOCH:NAME-…`. Source: `yum/rpmtrans.py`, `dnf/yum/rpmtrans.py`, `dnf/logging.py`.

use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{between, cut, level, word};
use super::super::{Context, timestamp};
use super::{Activity, Change};
use crate::event::Event;
use crate::schema::Attribute;

/// What a package went through, in the words of yum and dnf.
const VERBS: [(&str, Activity, &str); 26] = [
    ("install: ", Activity::Install, ""),
    ("upgrade: ", Activity::Update, ""),
    ("downgrade: ", Activity::Update, ""),
    ("erase: ", Activity::Remove, ""),
    ("Installed: ", Activity::Install, ""),
    ("Install: ", Activity::Install, ""),
    ("Dep-Installed: ", Activity::Install, ""),
    ("Dep-Install: ", Activity::Install, ""),
    ("Reinstalled: ", Activity::Install, ""),
    ("Reinstall: ", Activity::Install, ""),
    ("Updated: ", Activity::Update, ""),
    ("Update: ", Activity::Update, ""),
    ("Upgrade: ", Activity::Update, ""),
    ("Downgrade: ", Activity::Update, ""),
    // The old half of an upgrade.
    ("Upgraded: ", Activity::Other, "Replace"),
    ("Downgraded: ", Activity::Other, "Replace"),
    ("Cleanup: ", Activity::Other, "Replace"),
    ("Obsoleted: ", Activity::Remove, ""),
    ("Obsoletes: ", Activity::Remove, ""),
    ("Erased: ", Activity::Remove, ""),
    ("Erase: ", Activity::Remove, ""),
    ("Removed: ", Activity::Remove, ""),
    ("Remove: ", Activity::Remove, ""),
    ("Dep-Removed: ", Activity::Remove, ""),
    ("Verified: ", Activity::Other, "Verify"),
    ("Verifying: ", Activity::Other, "Verify"),
];

/// The first look at yum.log: the time has no year, and a verb stands where the host would.
pub(in super::super) fn looks_yum(text: &str) -> bool {
    let month = text.as_bytes().get(3) == Some(&b' ');
    let verb = text.get(16..).filter(|rest| month && rest.starts_with(|c: char| c.is_ascii_uppercase()));
    verb.is_some_and(|rest| VERBS.iter().any(|(verb, ..)| rest.starts_with(verb)))
}

/// Reads a line of yum.log.
pub(in super::super) fn parse_yum<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::bsd(text, context.reference) else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "yum");
    event.push(Attribute::MetadataLogProvider, "yum");
    let message = rest.trim_start();
    event.push(Attribute::Message, message);
    changed(message, "yum", event)
}

/// The first look at dnf.log and dnf.rpm.log: a time with a `T`.
pub(in super::super) fn looks_dnf(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T') && {
        let leveled = without_process(word(text).1);
        LEVELS.iter().any(|(level, _)| word(leveled).0 == *level)
    }
}

/// dnf5 names its process before the level: `[9] INFO …`.
fn without_process(text: &str) -> &str {
    let rest = text.strip_prefix('[').and_then(|rest| cut(rest, "] "));
    rest.filter(|(pid, _)| pid.bytes().all(|b| b.is_ascii_digit())).map_or(text, |(_, rest)| rest)
}

/// Whether time and level are as only dnf writes them: `2026-03-16T10:00:00+0100`, or a level of its own.
fn own_time(time: &str, level: &str) -> bool {
    let zone = time.as_bytes().get(19..).unwrap_or_default();
    matches!(level, "SUBDEBUG" | "DDEBUG")
        || (zone.len() == 5 && matches!(zone.first(), Some(b'+' | b'-')) && !zone.contains(&b':'))
}

/// What only dnf says, where its time is as others write it too: `2026-03-16T10:00:00Z`, until dnf 4.2.
fn speaks(message: &str) -> bool {
    const STARTS: [&str; 26] = [
        "Loaded plugins: ",
        "DNF version: ",
        "Cachedir: ",
        "cachedir: ",
        "timer: ",
        "Metadata cache ",
        "Last metadata expiration check",
        "repo: ",
        "reviving: ",
        "Making cache files ",
        "metadata ",
        "Completion plugin: ",
        "User-Agent: constructed: ",
        "Base command: ",
        "Extra commands: ",
        "Dependencies resolved",
        "Total download size",
        "Transaction Summary",
        "Running transaction",
        "Transaction check succeeded",
        "Transaction test succeeded",
        "Downloading Packages",
        "Errors during downloading metadata",
        "Failed to synchronize cache",
        "Ignoring repositories: ",
        "Nothing to do",
    ];
    message.starts_with("--> ")
        || message.starts_with("---> Package ")
        || STARTS.iter().any(|start| message.starts_with(start))
        || cut(message, ": using metadata from ").is_some()
}

/// Levels of dnf's loggers, and the common one that each stands for.
const LEVELS: [(&str, &str); 7] = [
    ("SUBDEBUG", "DEBUG"),
    ("DDEBUG", "DEBUG"),
    ("DEBUG", "DEBUG"),
    ("INFO", "INFO"),
    ("WARNING", "WARNING"),
    ("ERROR", "ERROR"),
    ("CRITICAL", "CRITICAL"),
];

/// Reads a line of dnf.log or dnf.rpm.log.
pub(in super::super) fn parse_dnf<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let (word_level, message) = word(without_process(rest.trim_start()));
    let Some((_, severity)) = LEVELS.iter().find(|(level, _)| *level == word_level) else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "dnf");
    event.push(Attribute::MetadataLogProvider, "dnf");
    event.push(Attribute::MetadataLogLevel, *severity);
    event.severity_id = level(severity).unwrap_or(event.severity_id);
    event.push(Attribute::Message, message);
    // dnf5: `[rpm] install: bash-…`, `RPM callback start install "bash-…" total 1`.
    if changed(message.strip_prefix("[rpm] ").unwrap_or(message), "dnf", event) || called_back(message, event) {
        return true;
    }
    if let Some(command) = message.strip_prefix("Command: ") {
        event.unmap("command", command);
        return Change::other("Command", "dnf").apply("dnf", event);
    }
    if message.starts_with("--- logging initialized ---") || message.starts_with("DNF5 start") {
        return Change::new(Activity::Start, "dnf").apply("dnf", event);
    }
    match message.strip_prefix("DNF version: ") {
        Some(version) => Change { version, ..Change::new(Activity::Start, "dnf") }.apply("dnf", event),
        None => {
            let own = || own_time(stamp.text, word_level) && !word(message).0.ends_with("]:");
            (own() || speaks(message)) && remark("dnf", message, event)
        }
    }
}

/// `RPM callback start install "bash-5.2-1.fc40.x86_64" total 1` of dnf5.
fn called_back<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((verb, rest)) = message.strip_prefix("RPM callback start ").map(word) else { return false };
    let activity = match verb {
        "install" => Activity::Install,
        "upgrade" | "downgrade" | "reinstall" => Activity::Update,
        "uninstall" | "erase" | "remove" => Activity::Remove,
        _ => return false,
    };
    let Some((package, _)) = between(rest, "\"", "\"") else { return false };
    let (name, version, architecture) = split(package);
    Change { version, architecture, ..Change::new(activity, name) }.apply("dnf", event)
}

/// Reads a message of yum or dnf in syslog.
pub(in super::super) fn parse_message<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    changed(message, "yum", event) || remark("yum", message, event)
}

fn changed<'a>(message: &'a str, manager: &'static str, event: &mut Event<'a>) -> bool {
    let found = VERBS.iter().find_map(|verb| message.strip_prefix(verb.0).map(|rest| (verb, rest)));
    let Some(((_, activity, word), package)) = found else { return false };
    let package = package.trim();
    let (name, version, architecture) = spaced(package).unwrap_or_else(|| split(package));
    Change { word, version, architecture, ..Change::new(*activity, name) }.apply(manager, event)
}

/// `bash.i386 3.0-19.3` and `bash - 3.0-19.3.i386`, as yum 2 wrote them.
fn spaced(package: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = package.split_once(' ')?;
    match rest.strip_prefix("- ") {
        Some(rest) => {
            let (version, architecture) = rest.rsplit_once('.')?;
            Some((name, version, architecture))
        }
        None => {
            let (name, architecture) = name.rsplit_once('.')?;
            Some((name, rest, architecture))
        }
    }
}

/// `[EPOCH:]NAME-[EPOCH:]VERSION-RELEASE.ARCH` as name, version with release, architecture; old yums write the name alone.
pub(in super::super) fn split(package: &str) -> (&str, &str, &str) {
    const ARCHITECTURES: [&str; 12] = [
        "x86_64", "noarch", "i686", "i586", "i386", "aarch64", "ppc64le", "ppc64", "s390x", "armv7hl", "src", "riscv64",
    ];
    let package = match cut(package, ":") {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => package,
    };
    let (rest, architecture) = match package.rsplit_once('.') {
        Some((rest, architecture)) if ARCHITECTURES.contains(&architecture) => (rest, architecture),
        _ => (package, ""),
    };
    let Some((before, _)) = rest.rsplit_once('-') else { return (rest, "", architecture) };
    let name = before.rsplit_once('-').map_or("", |(name, _)| name);
    match rest.get(name.len() + 1..) {
        Some(version) if !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()) => {
            (name, version, architecture)
        }
        _ => (rest, "", architecture),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn older_logs_of_yum_and_dnf_are_read() {
        for line in ["Mar 16 10:00:00 Updated: bash.i386 3.0-19.3", "Mar 16 10:00:00 Updated: bash - 3.0-19.3.i386"] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 600_208, "{line}");
            assert_eq!(
                (&event["app"]["name"], &event["app"]["version"]),
                (&"bash".into(), &"3.0-19.3".into()),
                "{line}"
            );
            assert_eq!(event["unmapped"]["architecture"], "i386", "{line}");
        }
        for (message, format) in [("Loaded plugins: builddep", "dnf"), ("Loaded dice", "plain")] {
            let event = normalized(&format!("2026-03-16T10:00:00Z DEBUG {message}"));
            assert_eq!(event["metadata"]["log_format"], format, "{message}");
        }
    }

    #[test]
    fn packages_are_split_into_name_version_and_architecture() {
        for (line, activity, name, version) in [
            ("Mar 16 10:00:00 Installed: bash-5.2-1.el7.x86_64", 1, "bash", Some("5.2-1.el7")),
            ("Mar 16 10:00:00 Updated: 32:bind-libs-9.8-1.el6.x86_64", 8, "bind-libs", Some("9.8-1.el6")),
            ("Mar 16 10:00:00 Erased: bash", 2, "bash", None),
            ("2026-03-16T10:00:00+0100 SUBDEBUG Upgrade: bash-0:5.2-1.fc40.x86_64", 8, "bash", Some("0:5.2-1.fc40")),
            ("2026-03-16T10:00:00Z SUBDEBUG Installed: bash-5.2-1.fc40.noarch", 1, "bash", Some("5.2-1.fc40")),
            ("2026-03-16T10:00:00+0100 DEBUG Command: dnf install bash", 99, "dnf", None),
            ("2026-03-16T10:00:00+0100 INFO --- logging initialized ---", 3, "dnf", None),
            ("2026-03-16T10:00:00+0100 [9] INFO DNF5 start", 3, "dnf", None),
            ("2026-03-16T10:00:00+0100 [9] DEBUG Command: dnf5 install bash", 99, "dnf", None),
            ("Mar 16 10:00:00 h yum[9]: Installed: bash-5.2-1.el7.x86_64", 1, "bash", Some("5.2-1.el7")),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 600_200 + activity, "{line}");
            assert_eq!(event["app"]["name"], name, "{line}");
            assert_eq!(event["app"]["version"].as_str(), version, "{line}");
            assert_eq!(
                event["time"],
                1_773_651_600_000_i64 + if line.contains("Z ") { 3_600_000 } else { 0 },
                "{line}"
            );
        }
    }
}
