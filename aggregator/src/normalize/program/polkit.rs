//! polkit: who was allowed to do what (3002, account switch), commands by pkexec (1007), agents that come and go (6002).
//!
//! Source: `pkexec.c`, `polkitbackendinteractiveauthority.c`, `polkitagenthelper-pam.c`.

use super::super::outcome::{failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, word};
use super::run::{Run, launched, refused};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message of polkitd, pkexec or the helper.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    // Old versions write their process id before what they say.
    let message = match message.trim_end() {
        text if text.starts_with("polkitd(") => cut(text, "): ").map_or(text, |(_, rest)| rest),
        text => text,
    };
    executed(message, event)
        || authenticated(message, event)
        || agent(message, event)
        || (base_name(header.program) == "polkitd" && remark("polkitd", message, event))
}

/// `bob: Executing command [USER=root] [TTY=/dev/pts/0] [CWD=/home/bob] [COMMAND=/bin/ls]`,
/// `bob: Error executing command as another user: Not authorized [USER=root] …`.
fn executed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((caller, rest)) = cut(message, ": ") else { return false };
    let Some((what, _)) = cut(rest, " [USER=") else { return false };
    let field = |open: &str, close: &str| between(rest, open, close).map(|(value, _)| value).unwrap_or_default();
    let command = cut(rest, "[COMMAND=").map(|(_, command)| command.strip_suffix(']').unwrap_or(command));
    let run = Run {
        caller,
        user: field("[USER=", "]"),
        terminal: field("[TTY=", "]"),
        directory: field("[CWD=", "] [COMMAND="),
        command: command.unwrap_or_default(),
        ..Run::default()
    };
    if caller.is_empty() || caller.contains(' ') || run.command.is_empty() {
        return false;
    }
    match what {
        "Executing command" => launched(&run, event),
        _ => refused(&run, "pkexec", what, event),
    }
    true
}

/// `Operator of unix-session:2 successfully authenticated as unix-user:bob to gain ONE-SHOT authorization for action
/// org.example.x for system-bus-name::1.5 [pkexec ls] (owned by unix-user:eve)`, `… FAILED to authenticate to gain …`.
fn authenticated<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((session, rest)) = message.strip_prefix("Operator of ").map(word) else { return false };
    let Some((_, action)) = cut(rest, "authorization for action ") else { return false };
    let user = cut(rest, "successfully authenticated as unix-user:").map(|(_, rest)| word(rest).0);
    let owner = between(action, "(owned by unix-user:", ")").map(|(owner, _)| owner);
    event.class = Class::Authentication;
    event.activity_id = 7;
    event.push(Attribute::AccountSwitchTypeId, 1);
    event.push(Attribute::ServiceName, "polkit");
    event.push(Attribute::UserName, user.unwrap_or_default());
    event.push(Attribute::SessionUid, session.rsplit(':').next().unwrap_or(session));
    if let Some(owner) = owner {
        event.push(Attribute::ActorUserName, owner);
    }
    event.unmap("action", word(action).0);
    if let Some((command, _)) = between(action, " [", "]") {
        event.unmap("command", command);
    }
    if user.is_some() {
        success(event);
    } else {
        failure(event, "authentication failure");
    }
    true
}

/// `Registered Authentication Agent for unix-session:2 (system bus name :1.60 [/usr/bin/shell], object path …)`.
fn agent<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (activity, rest) = match message.strip_prefix("Registered ") {
        Some(rest) => (3, rest),
        None => match message.strip_prefix("Unregistered ") {
            Some(rest) => (4, rest),
            None => return false,
        },
    };
    let Some(rest) = rest.strip_prefix("Authentication Agent for ") else { return false };
    let (session, rest) = word(rest);
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    event.push(Attribute::AppName, between(rest, "[", "]").map_or("polkit authentication agent", |(name, _)| name));
    event.unmap("session", session.trim_end_matches(','));
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn commands_and_authorizations_name_both_users() {
        let fields = "[USER=root] [TTY=/dev/pts/0] [CWD=/home/bob] [COMMAND=/bin/ls -l]";
        let event = normalized(&format!("Mar 16 10:00:00 h pkexec[9]: bob: Executing command {fields}"));
        assert_eq!(event["type_uid"], 100_701);
        assert_eq!(event["process"]["cmd_line"], "/bin/ls -l");
        assert_eq!(event["actor"]["user"]["name"], "bob");
        let event = normalized(&format!(
            "Mar 16 10:00:00 h pkexec[9]: bob: Error executing command as another user: Not authorized {fields}"
        ));
        assert_eq!(event["type_uid"], 300_207);
        assert_eq!(event["user"]["name"], "root");
        let gain = "to gain ONE-SHOT authorization for action org.example.x for system-bus-name::1.5 [pkexec ls]";
        let event = normalized(&format!(
            "Mar 16 10:00:00 h polkitd[9]: Operator of unix-session:2 successfully authenticated as unix-user:root {gain} (owned by unix-user:bob)"
        ));
        assert_eq!(event["type_uid"], 300_207);
        assert_eq!(event["status_id"], 1);
        assert_eq!(event["user"]["name"], "root");
        assert_eq!(event["actor"]["user"]["name"], "bob");
        assert_eq!(event["unmapped"]["action"], "org.example.x");
        let agent =
            "Registered Authentication Agent for unix-session:2 (system bus name :1.60 [shell], object path /x)";
        let event = normalized(&format!("Mar 16 10:00:00 h polkitd(authority=local): {agent}"));
        assert_eq!(event["type_uid"], 600_203);
    }
}
