//! cron, anacron, at and crontab: jobs that start, and tables that change (1006).

use super::super::outcome::success;
use super::super::syslog::Header;
use super::super::text::{between, cut, unquoted, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// OCSF activities of Scheduled Job Activity (1006).
#[derive(Clone, Copy)]
enum Activity {
    Update = 2,
    Delete = 3,
    Start = 6,
    /// With the word for it in `activity_name`.
    Other = 99,
}

/// Reads a message of cron and its kin.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some((user, rest)) = message.strip_prefix('(').and_then(|rest| cut(rest, ") ")) {
        return by_user(user, rest, event);
    }
    // anacron: Job `cron.daily' started · Job `cron.daily' terminated (mailing output)
    if let Some((name, rest)) = message.strip_prefix("Job `").and_then(|rest| cut(rest, "' ")) {
        return match word(rest).0 {
            "started" => job(Activity::Start, "", name, event),
            "terminated" => job(Activity::Other, "End", name, event),
            _ => false,
        };
    }
    // atd: Starting job 12 (a0000c01a2b3c) for user 'root' (0)
    if let Some((name, rest)) = message.strip_prefix("Starting job ").map(word) {
        if let Some((user, _)) = between(rest, "for user '", "'") {
            event.push(Attribute::JobUserName, user);
        }
        return job(Activity::Start, "", name, event);
    }
    false
}

/// `(root) CMD (command)`, `(bob) REPLACE (bob)`, `(root) RELOAD (crontabs/root)`.
fn by_user<'a>(user: &'a str, rest: &'a str, event: &mut Event<'a>) -> bool {
    let Some((verb, argument)) = cut(rest, " (") else { return false };
    let argument = argument.trim_end();
    let argument = argument.strip_suffix(')').unwrap_or(argument);
    match verb {
        "CMD" | "CMDEND" => {
            // Some crons write their process id before the command: `[31051] command`.
            let command = match argument.strip_prefix('[').and_then(|rest| cut(rest, "] ")) {
                Some((pid, command)) if pid.bytes().all(|b| b.is_ascii_digit()) => command,
                _ => argument.trim_start(),
            };
            let name = word(command).0;
            if name.is_empty() {
                return false;
            }
            event.push(Attribute::JobCmdLine, command);
            event.push(Attribute::JobUserName, user);
            if verb == "CMD" { job(Activity::Start, "", name, event) } else { job(Activity::Other, "End", name, event) }
        }
        "REPLACE" => table(Activity::Update, "", user, argument, event),
        "DELETE" => table(Activity::Delete, "", user, argument, event),
        "LIST" => table(Activity::Other, "List", user, argument, event),
        "BEGIN EDIT" => table(Activity::Other, "Begin Edit", user, argument, event),
        "END EDIT" => table(Activity::Other, "End Edit", user, argument, event),
        "RELOAD" => job(Activity::Update, "", argument, event),
        _ => false,
    }
}

/// Somebody looked at or changed the crontab of `owner`.
fn table<'a>(activity: Activity, word: &'static str, caller: &'a str, owner: &'a str, event: &mut Event<'a>) -> bool {
    event.push(Attribute::ActorUserName, caller);
    event.push(Attribute::JobUserName, unquoted(owner));
    job(activity, word, "crontab", event)
}

fn job<'a>(activity: Activity, word: &'static str, name: &'a str, event: &mut Event<'a>) -> bool {
    if name.is_empty() {
        return false;
    }
    event.class = Class::ScheduledJobActivity;
    event.activity_id = activity as u8;
    if !word.is_empty() {
        event.push(Attribute::ActivityName, word);
    }
    event.push(Attribute::JobName, name);
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    fn cron(message: &str) -> serde_json::Value {
        normalized(&format!("Mar 16 10:00:00 h CRON[9]: {message}"))
    }

    #[test]
    fn a_command_starts_a_job() {
        let event = cron("(root) CMD (   cd / && run-parts --report /etc/cron.hourly)");
        assert_eq!(event["type_uid"], 100_606);
        assert_eq!(event["job"]["name"], "cd");
        assert_eq!(event["job"]["cmd_line"], "cd / && run-parts --report /etc/cron.hourly");
        assert_eq!(event["job"]["user"]["name"], "root");
        assert_eq!(cron("(bob) CMD ([31051] /bin/true)")["job"]["name"], "/bin/true");
        assert_eq!(cron("Job `cron.daily' started")["job"]["name"], "cron.daily");
        assert_eq!(cron("Starting job 12 (a0000c01a) for user 'bob' (1000)")["job"]["user"]["name"], "bob");
    }

    #[test]
    fn a_changed_table_names_its_caller_and_its_owner() {
        for (verb, activity) in [("REPLACE", 2), ("DELETE", 3), ("LIST", 99), ("BEGIN EDIT", 99), ("END EDIT", 99)] {
            let event = cron(&format!("(root) {verb} (bob)"));
            assert_eq!(event["type_uid"], 100_600 + activity, "{verb}");
            assert_eq!(event["actor"]["user"]["name"], "root", "{verb}");
            assert_eq!(event["job"]["user"]["name"], "bob", "{verb}");
        }
    }

    #[test]
    fn other_messages_stay_base_events() {
        for message in ["(CRON) INFO (pidfile fd = 3)", "(root) CMD ()", "(root", "Normal exit (1 job run)"] {
            assert_eq!(cron(message)["class_uid"], 0, "{message}");
        }
    }
}
