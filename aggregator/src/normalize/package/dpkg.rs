//! dpkg.log: `2026-03-16 10:00:00 upgrade bash:amd64 5.1-1 5.2-1`.
//!
//! Source: dpkg(1), `--log`; `log_message` calls of dpkg's `src/main`.

use super::super::text::word;
use super::super::{Context, timestamp};
use super::{Activity, Change};
use crate::event::Event;
use crate::schema::Attribute;

/// What may follow the time.
const VERBS: [&str; 10] =
    ["install", "upgrade", "remove", "purge", "configure", "trigproc", "disappear", "status", "startup", "conffile"];

/// The first look.
pub(in super::super) fn looks(text: &str) -> bool {
    text.as_bytes().get(4) == Some(&b'-') && text.get(20..).is_some_and(|rest| VERBS.contains(&word(rest).0))
}

/// Reads a line.
pub(in super::super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "dpkg");
    event.push(Attribute::MetadataLogProvider, "dpkg");
    let message = rest.trim_start();
    event.push(Attribute::Message, message);
    let (verb, rest) = word(message);
    match verb {
        "startup" => {
            event.push(Attribute::StatusDetail, rest);
            return Change::new(Activity::Start, "dpkg").apply("dpkg", event);
        }
        "conffile" => {
            let (path, decision) = word(rest);
            event.unmap("path", path);
            event.unmap("decision", decision);
            return Change::other("Configuration File", "dpkg").apply("dpkg", event);
        }
        "status" => {
            let (state, rest) = word(rest);
            let (package, version) = word(rest);
            let (name, architecture) = package.split_once(':').unwrap_or((package, ""));
            event.unmap("state", state);
            return Change { version: said(version), architecture, ..Change::other("Status", name) }
                .apply("dpkg", event);
        }
        _ => {}
    }
    let (package, versions) = word(rest);
    let (name, architecture) = package.split_once(':').unwrap_or((package, ""));
    let (first, second) = word(versions);
    let change = match verb {
        "install" => Change { version: said(second), previous: said(first), ..Change::new(Activity::Install, name) },
        "upgrade" => Change { version: said(second), previous: said(first), ..Change::new(Activity::Update, name) },
        "remove" | "purge" | "disappear" => Change { version: said(first), ..Change::new(Activity::Remove, name) },
        "configure" => Change { version: said(first), ..Change::other("Configure", name) },
        "trigproc" => Change { version: said(first), ..Change::other("Trigger", name) },
        _ => return false,
    };
    Change { architecture, ..change }.apply("dpkg", event)
}

/// A version; `<none>` is none.
fn said(version: &str) -> &str {
    if version == "<none>" { "" } else { version.trim() }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn packages_come_change_and_go() {
        for (line, activity, version, previous) in [
            ("install bash:amd64 <none> 5.1-1", 1, "5.1-1", None),
            ("upgrade bash:amd64 5.1-1 5.2-1", 8, "5.2-1", Some("5.1-1")),
            ("remove bash:amd64 5.2-1 <none>", 2, "5.2-1", None),
            ("purge bash:amd64 5.2-1 <none>", 2, "5.2-1", None),
            ("configure bash:amd64 5.2-1 <none>", 99, "5.2-1", None),
            ("status half-installed bash:amd64 5.2-1", 99, "5.2-1", None),
        ] {
            let event = normalized(&format!("2026-03-16 10:00:00 {line}"));
            assert_eq!(event["type_uid"], 600_200 + activity, "{line}");
            assert_eq!(event["app"], serde_json::json!({"name": "bash", "version": version}), "{line}");
            assert_eq!(event["unmapped"]["previous_version"].as_str(), previous, "{line}");
            assert_eq!(event["unmapped"]["architecture"], "amd64", "{line}");
            assert_eq!(event["time"], 1_773_651_600_000_i64);
        }
        assert_eq!(normalized("2026-03-16 10:00:00 startup archives unpack")["type_uid"], 600_203);
        assert_eq!(normalized("2026-03-16 10:00:00 hello world")["metadata"]["log_format"], "plain");
    }
}
