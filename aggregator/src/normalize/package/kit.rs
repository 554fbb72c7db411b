//! PackageKit's transactions and the packages that rpm's own plugin reports in syslog (6002).
//!
//! In: `install transaction /1_abc from uid 1000 finished with success after 1000ms` of PackageKit (`pk-transaction.c`); `install
//! bash-5.2-1.fc40.x86_64: success` of the program `[RPM]` (`plugins/syslog.c` of rpm).

use super::super::outcome::failure;
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{cut, word};
use super::rpm::split;
use super::{Activity, Change};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message of PackageKit.
pub(in super::super) fn parse_message<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    let found =
        cut(text, " transaction /").and_then(|(what, rest)| Some((what, rest, cut(rest, " finished with ")?.1)));
    let Some((what, rest, result)) = found.filter(|(what, ..)| !what.contains(' ')) else {
        return remark("PackageKit", text, event);
    };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = match what {
        "install" | "install-packages" | "install-files" => 1,
        "remove" | "remove-packages" => 2,
        "update" | "update-packages" | "upgrade-system" => 8,
        _ => 99,
    };
    event.push(Attribute::ActivityName, what);
    event.push(Attribute::AppName, "PackageKit");
    if let Some((_, uid)) = cut(rest, "from uid ") {
        event.push(Attribute::ActorUserUid, word(uid).0);
    }
    match word(result).0 {
        "success" => super::success(event),
        reason => failure(event, reason),
    }
    true
}

/// Reads a message of rpm's plugin.
pub(in super::super) fn parse_plugin<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    let (verb, rest) = word(text);
    let activity = match verb {
        "install" => Activity::Install,
        "erase" => Activity::Remove,
        "update" | "upgrade" => Activity::Update,
        _ => return remark("rpm", text, event),
    };
    let Some((package, result)) = rest.rsplit_once(": ") else { return false };
    let (name, version, architecture) = split(package);
    if !(Change { version, architecture, ..Change::new(activity, name) }).apply("rpm", event) {
        return false;
    }
    if result != "success" {
        event.fields.retain(|field| !matches!(field.attribute, Attribute::Status | Attribute::StatusId));
        failure(event, result);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn transactions_and_packages_have_their_activity_and_outcome() {
        for (message, kind, status, name) in [
            ("[RPM][9]: install a-b-1.2-1.fc40.x86_64: success", 600_201, 1, "a-b"),
            ("[RPM][9]: erase a-b-1.2-1.fc40.x86_64: failure", 600_202, 2, "a-b"),
            (
                "PackageKit: update-packages transaction /1_a from uid 1000 finished with success after 9ms",
                600_208,
                1,
                "PackageKit",
            ),
            (
                "PackageKit: install transaction /1_a from uid 1000 finished with failed after 9ms",
                600_201,
                2,
                "PackageKit",
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&kind.into(), &status.into()), "{message}");
            assert_eq!(event["app"]["name"], name, "{message}");
        }
    }
}
