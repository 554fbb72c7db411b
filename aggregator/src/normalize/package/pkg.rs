//! FreeBSD's pkg in syslog: `nginx-1.24.0 installed`, `nginx-1.24.0,1 deinstalled`, `nginx upgraded: 1.22.1 -> 1.24.0`.
//!
//! Source: `libpkg/pkg_add.c`, `pkg_delete.c`, `src/event.c` of pkg 1.

use super::super::syslog::Header;
use super::super::text::{cut, word};
use super::{Activity, Change};
use crate::event::Event;

/// Reads a message of pkg.
pub(in super::super) fn parse_message<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (package, what) = word(message.trim_end());
    let activity = match word(what).0 {
        "installed" => Activity::Install,
        "deinstalled" => Activity::Remove,
        "upgraded:" | "downgraded:" | "reinstalled:" => {
            let (previous, version) = cut(word(what).1, " -> ").unwrap_or_default();
            return Change { version, previous, ..Change::new(Activity::Update, package) }.apply("pkg", event);
        }
        _ => return false,
    };
    let (name, version) = package.rsplit_once('-').unwrap_or((package, ""));
    Change { version, ..Change::new(activity, name) }.apply("pkg", event)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn packages_come_go_and_change() {
        for (message, activity, version) in [
            ("a-b-1.2,1 installed", 1, "1.2,1"),
            ("a-b-1.2 deinstalled", 2, "1.2"),
            ("a-b upgraded: 1.2 -> 1.3", 8, "1.3"),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h pkg[9]: {message}"));
            assert_eq!(event["type_uid"], 600_200 + activity, "{message}");
            assert_eq!(
                (&event["app"]["name"], &event["app"]["version"]),
                (&"a-b".into(), &version.into()),
                "{message}"
            );
        }
        assert_eq!(normalized("Mar 16 10:00:00 h pkg[9]: something else")["class_uid"], 0);
    }
}
