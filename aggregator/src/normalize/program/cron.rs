//! cron, anacron, at and crontab: jobs that start, and tables that change (1006); what cron would not run (1006, failed), and
//! its own life (6002).
//!
//! Source: `log_it` calls of Vixie cron, ISC cron and cronie (`do_command.c`, `database.c`, `crontab.c`, `cron.c`); `log.c` and
//! `runjob.c` of anacron; `atd.c`; BusyBox's `crond.c`; dcron; fcron; run-parts of cronie.

use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, number, unquoted, word};
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
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    // BusyBox's crond names itself where it logs to a file, too.
    let message = message.strip_prefix("crond: ").unwrap_or(message);
    if let Some((user, rest)) = message.strip_prefix('(').and_then(|rest| cut(rest, ") ")) {
        return by_user(user, rest, base_name(header.program), event);
    }
    anacron(message, event) || at(message, event) || others(message, event) || trouble(message, event)
}

/// Reads a message of run-parts: `run-parts(/etc/cron.daily)[7]: starting logrotate`, `(/etc/cron.daily) finished logrotate`.
pub(super) fn parse_parts<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (folder, rest) = match message.strip_prefix('(').and_then(|rest| cut(rest, ") ")) {
        Some((folder, rest)) => (folder, rest),
        None => (header.module.unwrap_or_default(), message),
    };
    let (verb, name) = word(rest.trim_end());
    if !folder.is_empty() {
        event.unmap("folder", folder);
    }
    match verb {
        "starting" => job(Activity::Start, "", name, event),
        "finished" => job(Activity::Other, "End", name, event),
        _ => false,
    }
}

/// ``Job `cron.daily' started``, ``Job `cron.daily' terminated (exit status: 1) (mailing output)``, ``Will run job `cron.daily'
/// in 5 min.``, ``Updated timestamp for job `cron.daily' to 2026-03-16``, `Anacron 2.3 started on 2026-03-16`, `Normal exit
/// (1 job run)`.
fn anacron<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((name, rest)) = message.strip_prefix("Job `").and_then(|rest| cut(rest, "' ")) {
        return match word(rest).0 {
            "started" => job(Activity::Start, "", name, event),
            "terminated" | "completed" => match between(rest, "exit status: ", ")") {
                Some((code, _)) if code != "0" => {
                    event.push(Attribute::StatusCode, code);
                    failed(Activity::Other, "End", name, rest, event)
                }
                _ => job(Activity::Other, "End", name, event),
            },
            "locked" => failed(Activity::Other, "Skip", name, rest, event),
            _ => false,
        };
    }
    if let Some((name, rest)) = message.strip_prefix("Will run job `").and_then(|rest| cut(rest, "' ")) {
        event.push(Attribute::StatusDetail, rest);
        return job(Activity::Other, "Schedule", name, event);
    }
    if let Some((name, rest)) = message.strip_prefix("Updated timestamp for job `").and_then(|rest| cut(rest, "' ")) {
        event.push(Attribute::StatusDetail, rest);
        return job(Activity::Other, "Timestamp", name, event);
    }
    let (start, rest) = word(message);
    match start {
        "Anacron" if rest.contains("started on ") => {
            if let Some(version) = Some(word(rest).0).filter(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
                event.push(Attribute::AppVersion, version);
            }
            life(START, "anacron", "", event)
        }
        "Normal" if rest.starts_with("exit") => life(STOP, "anacron", message, event),
        _ => false,
    }
}

/// `Starting job 12 (a0000c01a2b3c) for user 'root' (0)`.
fn at<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((name, rest)) = message.strip_prefix("Starting job ").map(word) else { return false };
    if let Some((user, _)) = between(rest, "for user '", "'") {
        event.push(Attribute::JobUserName, user);
    }
    if let Some((file, _)) = between(rest, "(", ")") {
        event.unmap("file", file);
    }
    job(Activity::Start, "", name, event)
}

/// BusyBox: `USER root pid 123 cmd /bin/x`; dcron: `FILE /var/spool/cron/root USER root PID 123 /bin/x`; fcron: `Job /bin/x
/// started for user root (pid 7)`, `Job /bin/x completed`.
fn others<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let busybox =
        message.strip_prefix("USER ").and_then(|rest| Some((word(rest).0, cut(rest, " cmd ")?.1))).or_else(|| {
            let (_, rest) = cut(message.strip_prefix("FILE ")?, " USER ")?;
            let (user, rest) = word(rest);
            Some((user, word(rest.strip_prefix("PID ").or_else(|| rest.strip_prefix("pid "))?).1))
        });
    if let Some((user, command)) = busybox {
        event.push(Attribute::JobCmdLine, command);
        event.push(Attribute::JobUserName, user);
        return job(Activity::Start, "", word(command).0, event);
    }
    let Some(rest) = message.strip_prefix("Job ") else { return false };
    if let Some((command, rest)) = cut(rest, " started for user ") {
        event.push(Attribute::JobCmdLine, command);
        event.push(Attribute::JobUserName, word(rest).0);
        return job(Activity::Start, "", word(command).0, event);
    }
    let Some((command, rest)) = cut(rest, " completed").or_else(|| cut(rest, " terminated")) else { return false };
    event.push(Attribute::JobCmdLine, command);
    match rest.contains("exit status") {
        true => failed(Activity::Other, "End", word(command).0, rest.trim(), event),
        false => job(Activity::Other, "End", word(command).0, event),
    }
}

/// `Error: bad minute; while reading /etc/crontab`, `Authentication failure for user 'bob'`, `wakeup …` (no).
fn trouble<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    // What PAM's account check says, in Debian's cron without anything before it.
    const BEGINS: [&str; 5] = ["Error: ", "cron: ", "Authentication ", "Permission denied", "User account has expired"];
    if !BEGINS.iter().any(|start| message.starts_with(start)) && !message.contains("cannot ") {
        return false;
    }
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    failure(event, message);
    true
}

/// `(root) CMD (command)`, `(bob) REPLACE (bob)`, `(root) RELOAD (crontabs/root)`.
fn by_user<'a>(user: &'a str, rest: &'a str, program: &'a str, event: &mut Event<'a>) -> bool {
    let Some((verb, argument)) = cut(rest, "(") else { return false };
    let verb = verb.trim_end();
    let (argument, detail) = cut(argument, "): ").unwrap_or((argument, ""));
    let argument = argument.strip_suffix(')').unwrap_or(argument);
    match verb {
        "CMD" | "CMDEND" | "CMDOUT" | "EXIT" | "RUN" => {
            // Some crons write their process id before the command: `[31051] command`.
            let command = match argument.strip_prefix('[').and_then(|rest| cut(rest, "] ")) {
                Some((pid, command)) if pid.bytes().all(|b| b.is_ascii_digit()) => {
                    event.unmap("pid", number(pid).unwrap_or_default());
                    command
                }
                _ => argument.trim_start(),
            };
            let name = word(command).0;
            if name.is_empty() {
                return false;
            }
            event.push(Attribute::JobCmdLine, command);
            event.push(Attribute::JobUserName, user);
            match verb {
                "CMD" | "RUN" => job(Activity::Start, "", name, event),
                "CMDOUT" => job(Activity::Other, "Output", name, event),
                _ => job(Activity::Other, "End", name, event),
            }
        }
        "REPLACE" => table(Activity::Update, "", user, argument, event),
        "DELETE" => table(Activity::Delete, "", user, argument, event),
        "LIST" => table(Activity::Other, "List", user, argument, event),
        "BEGIN EDIT" => table(Activity::Other, "Begin Edit", user, argument, event),
        "END EDIT" => table(Activity::Other, "End Edit", user, argument, event),
        "RELOAD" => job(Activity::Update, "", argument, event),
        "AUTH" => {
            event.push(Attribute::ActorUserName, user);
            failed(Activity::Update, "", "crontab", argument, event)
        }
        "STARTUP" => life(START, program, argument, event),
        "SHUTDOWN" | "DEATH" => life(STOP, program, argument, event),
        "INFO" if argument == "Shutting down" => life(STOP, program, argument, event),
        "INFO" | "info" => {
            event.push(Attribute::ActivityName, "Information");
            life(99, program, argument, event)
        }
        _ => refused(user, verb, argument, detail, event),
    }
}

/// What cron would not do, or could not: `(bob) FAILED to authorize user with PAM (Permission denied)`, `(root) ORPHAN (no
/// passwd entry)`, `(root) BAD FILE MODE (/etc/cron.d/x)`, `(root) MAIL (mailed 33 bytes of output …)`, `(CRON) error (…)`.
fn refused<'a>(user: &'a str, verb: &'a str, argument: &'a str, detail: &'a str, event: &mut Event<'a>) -> bool {
    const FAILS: [&str; 22] = [
        "EXEC FAILED",
        "FAILED",
        "FAILED to authorize user with PAM",
        "FAILED to open PAM security session",
        "PAM ERROR",
        "ORPHAN",
        "BAD FILE MODE",
        "BAD LINK COUNT",
        "NOT A REGULAR FILE",
        "INSECURE MODE",
        "WRONG FILE OWNER",
        "WRONG INODE INFO",
        "UNSAFE",
        "CAN'T OPEN",
        "CAN'T FSTAT",
        "SYMLINK",
        "bad command",
        "bad username",
        "bad minute",
        "ERROR",
        "error",
        "Unauthorized SELinux context",
    ];
    let fails = FAILS.iter().any(|start| verb.starts_with(start));
    if !fails && verb != "MAIL" {
        return false;
    }
    let path = Some(argument).filter(|argument| argument.starts_with('/'));
    if !matches!(user, "CRON" | "system") && !user.starts_with('*') {
        event.push(Attribute::JobUserName, user);
    }
    if let Some((_, code)) = cut(argument, " failed with exit status ").filter(|_| verb == "error") {
        // What ran is not said: `grandchild #4567 failed with exit status 1`.
        if let Some(pid) = between(argument, "#", " ").and_then(|(pid, _)| number(pid)) {
            event.unmap("pid", pid);
        }
        event.push(Attribute::StatusCode, word(code).0);
        return failed(Activity::Other, "End", "crontab", argument, event);
    }
    if fails {
        event.unmap("problem", verb);
        let reason = if detail.is_empty() { argument } else { detail };
        return failed(Activity::Other, "Refuse", path.unwrap_or("crontab"), reason, event);
    }
    if let Some((_, status)) = cut(argument, " but got status ") {
        event.push(Attribute::StatusCode, word(status).0);
        return failed(Activity::Other, "Mail", "crontab", argument, event);
    }
    event.push(Attribute::StatusDetail, argument);
    job(Activity::Other, "Mail", "crontab", event)
}

/// Somebody looked at or changed the crontab of `owner`.
fn table<'a>(activity: Activity, word: &'static str, caller: &'a str, owner: &'a str, event: &mut Event<'a>) -> bool {
    event.push(Attribute::ActorUserName, caller);
    event.push(Attribute::JobUserName, unquoted(owner));
    job(activity, word, "crontab", event)
}

fn job<'a>(activity: Activity, word: &'static str, name: &'a str, event: &mut Event<'a>) -> bool {
    if !named(activity, word, name, event) {
        return false;
    }
    success(event);
    true
}

fn failed<'a>(activity: Activity, word: &'static str, name: &'a str, reason: &'a str, event: &mut Event<'a>) -> bool {
    if !named(activity, word, name, event) {
        return false;
    }
    failure(event, reason);
    true
}

fn named<'a>(activity: Activity, word: &'static str, name: &'a str, event: &mut Event<'a>) -> bool {
    if name.is_empty() {
        return false;
    }
    event.class = Class::ScheduledJobActivity;
    event.activity_id = activity as u8;
    if !word.is_empty() {
        event.push(Attribute::ActivityName, word);
    }
    event.push(Attribute::JobName, name);
    true
}

/// Activities of Application Lifecycle (6002).
const START: u8 = 3;
const STOP: u8 = 4;

/// The service itself.
fn life<'a>(activity: u8, program: &'a str, detail: &'a str, event: &mut Event<'a>) -> bool {
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    event.push(Attribute::AppName, program);
    if !detail.is_empty() {
        event.push(Attribute::StatusDetail, detail);
    }
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
    fn what_is_refused_and_the_service_itself_are_read() {
        for (message, kind, status) in [
            ("(CRON) INFO (pidfile fd = 3)", 600_299, 1),
            ("(CRON) STARTUP (fork ok)", 600_203, 1),
            ("(CRON) INFO (Shutting down)", 600_204, 1),
            ("Anacron started on 2026-03-16", 600_203, 1),
            ("(bob) AUTH (crontab command not allowed)", 100_602, 2),
            ("(bob) FAILED to authorize user with PAM (Permission denied)", 100_699, 2),
            ("(root) BAD FILE MODE (/etc/cron.d/x)", 100_699, 2),
            ("(root) MAIL (mailed 33 bytes of output but got status 0x00ff)", 100_699, 2),
            ("(root) MAIL (mailed 33 bytes of output)", 100_699, 1),
            ("Anacron 2.3 started on 2026-03-16", 600_203, 1),
            ("Normal exit (1 job run)", 600_204, 1),
            ("Job `cron.daily' terminated (exit status: 1) (mailing output)", 100_699, 2),
            ("USER root pid 7 cmd /bin/x", 100_606, 1),
            ("Error: bad minute; while reading /etc/crontab", 600_801, 2),
        ] {
            let event = cron(message);
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event["status_id"], status, "{message}");
        }
        assert_eq!(cron("Anacron started on 2026-03-16")["app"], serde_json::json!({"name": "anacron"}));
        let event = normalized("Mar 16 10:00:00 h run-parts(/etc/cron.daily)[7]: starting logrotate");
        assert_eq!(event["job"]["name"], "logrotate");
        assert_eq!(event["unmapped"]["folder"], "/etc/cron.daily");
    }

    #[test]
    fn other_messages_are_reports() {
        for message in ["(root) CMD ()", "(root", "(root) UNHEARD OF (x)"] {
            assert_eq!(cron(message)["type_uid"], 600_299, "{message}");
        }
    }

    #[test]
    fn what_cron_could_not_do_names_no_user_that_is_none() {
        let event = cron("(*system*x) WRONG INODE INFO (/etc/cron.d/x)");
        assert_eq!(event["job"], serde_json::json!({"name": "/etc/cron.d/x"}));
        let event = cron("(CRON) CAN'T OPEN (/etc/crontab): No such file or directory");
        assert_eq!(event["job"]["name"], "/etc/crontab");
        assert_eq!(event["status_detail"], "No such file or directory");
        let event = cron("(CRON) error (grandchild #77 failed with exit status 3)");
        assert_eq!((&event["activity_name"], &event["status_id"]), (&"End".into(), &2.into()));
        assert_eq!((&event["status_code"], &event["unmapped"]["pid"]), (&"3".into(), &77.into()));
        assert_eq!(cron("crond: USER root pid 12 cmd run-parts /etc/periodic/15min")["type_uid"], 100_606);
        assert_eq!(cron("Job `cron.daily' locked by another anacron - skipping")["activity_name"], "Skip");
    }
}
