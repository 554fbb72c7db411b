//! systemd-logind: sessions that begin and end (3002).

use super::super::outcome::success;
use super::super::syslog::Header;
use super::super::text::{between, cut, unquoted};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `New session 12 of user root.`, `New session '12' of user 'root' with class 'user' and type 'tty'.`,
/// `Removed session 12.` (which names no user: `user.name` is empty).
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end().trim_end_matches('.');
    let (activity, session, user) = if let Some(rest) = message.strip_prefix("New session ") {
        let Some((session, rest)) = cut(rest, " of user ") else { return false };
        let user = between(rest, "'", "'").map_or_else(|| rest.split(' ').next().unwrap_or_default(), |(user, _)| user);
        (1, session, user)
    } else if let Some(session) = message.strip_prefix("Removed session ") {
        (2, session, "")
    } else {
        return false;
    };
    event.class = Class::Authentication;
    event.activity_id = activity;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "systemd-logind");
    event.push(Attribute::SessionUid, unquoted(session));
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn sessions_begin_and_end() {
        for (message, activity, session, user) in [
            ("New session 12 of user bob.", 1, "12", "bob"),
            ("New session 'c2' of user 'bob' with class 'user' and type 'tty'.", 1, "c2", "bob"),
            ("Removed session 12.", 2, "12", ""),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h systemd-logind[9]: {message}"));
            assert_eq!(event["type_uid"], 300_200 + activity, "{message}");
            assert_eq!(event["session"]["uid"], session, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
        }
        assert_eq!(normalized("Mar 16 10:00:00 h systemd-logind[9]: Session 12 logged out.")["class_uid"], 0);
    }
}
