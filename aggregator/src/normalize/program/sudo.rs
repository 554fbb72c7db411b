//! sudo: a command that was run is a process launch (1007), one that was refused a failed account switch
//! (3002), a fault of sudo an application error (6008).
//!
//! `bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/ls -l`; a refusal stands before the fields:
//! `bob : command not allowed ; TTY=…`. sudo's own file (`logfile=`) has the same behind `Mar 16 10:00:00 : `. `COMMAND` takes the rest, up to `SIGNAL` and `EXIT`, which come once the command
//! ended. Source: `logging.c`, `eventlog.c` of sudo 1.6 to 1.9.

use std::borrow::Cow;

use super::super::carried;
use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{cut, last_cut, number, word};
use super::run::{Run, launched, refused};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What a line of sudo says.
#[derive(Default)]
struct Entry<'a> {
    run: Run<'a>,
    reason: &'a str,
    environment: &'a str,
    /// Id of the recorded session, for sudoreplay.
    recording: &'a str,
    host: &'a str,
    chroot: &'a str,
    /// Fields were found: it is an entry, not a remark.
    structured: bool,
}

/// Reads a message of sudo.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if message.starts_with("@cee:") || message.starts_with('{') {
        // `log_format = json`
        return carried(Cow::Borrowed(message), &header.context, event);
    }
    if message.contains("\n    ") {
        return unfolded(message, header, event);
    }
    let Some((caller, rest)) = cut(message, " : ") else { return fault(message, event) };
    let caller = caller.trim();
    if let Some(rest) = rest.strip_prefix("(command continued) ").filter(|_| !caller.contains(' ')) {
        continued(caller, rest, event);
        return true;
    }
    // sudo's own file names the host before the fields: `HOST=web-1 : TTY=…`.
    let (host, rest) = rest
        .strip_prefix("HOST=")
        .and_then(|rest| cut(rest, " : "))
        .filter(|(host, _)| !host.contains(' '))
        .map_or(("", rest), |(host, rest)| (host, rest));
    let mut entry = fields(rest);
    if entry.host.is_empty() {
        entry.host = host;
    }
    if caller.is_empty() || caller.contains(' ') || !entry.structured {
        return false;
    }
    entry.run.caller = caller;
    if entry.run.command.is_empty() && !refuses(entry.reason) {
        if entry.reason.is_empty() {
            return false;
        }
        event.push(Attribute::ActorUserName, caller);
        error(entry.reason, event);
        return true;
    }
    if entry.reason.is_empty() {
        ended(&mut entry.run, event);
        launched(&entry.run, event);
    } else {
        let (times, what) = word(entry.reason);
        if let Some(times) = number(times).filter(|_| what.starts_with("incorrect password attempt")) {
            event.push(Attribute::Count, times);
        }
        refused(&entry.run, "sudo", entry.reason, event);
    }
    let rest =
        [("environment", entry.environment), ("tsid", entry.recording), ("host", entry.host), ("chroot", entry.chroot)];
    for (key, value) in rest {
        if !value.is_empty() {
            event.unmap(key, value);
        }
    }
    true
}

/// An entry of sudo's own file, which folds its lines.
fn unfolded<'a>(message: &str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    let text = lines.join(" ");
    let mut draft = Event::new(event.id, event.time, event.received_at);
    (draft.shared, draft.severity_id) = (event.shared, event.severity_id);
    let understood = parse(&text, header, &mut draft);
    if understood {
        event.adopt(draft);
    }
    understood
}

/// The rest of a command that one line of syslog did not hold: the launch stands in the line before.
fn continued<'a>(caller: &'a str, rest: &'a str, event: &mut Event<'a>) {
    event.class = Class::ProcessActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, "Command Continued");
    event.push(Attribute::ActorUserName, caller);
    event.push(Attribute::ProcessUid, event.id.to_string());
    event.push(Attribute::ProcessCmdLine, rest);
    success(event);
}

/// Whether a reason without a command is a refusal.
fn refuses(reason: &str) -> bool {
    const SAYS: [&str; 10] = [
        "password",
        "unknown ",
        "NOT ",
        "not allowed",
        "sorry",
        "tty",
        "authentication",
        "conversation failed",
        "account",
        "rejected",
    ];
    SAYS.iter().any(|word| reason.contains(word))
}

fn fields(text: &str) -> Entry<'_> {
    let mut entry = Entry::default();
    let mut rest = text;
    loop {
        let segment = rest.trim_start();
        if let Some(command) = segment.strip_prefix("COMMAND=") {
            entry.run.command = command.trim_end();
            entry.structured = true;
            return entry;
        }
        let (field, after) = parted(segment).map_or((segment, None), |(field, after)| (field, Some(after)));
        match field.split_once('=') {
            Some(("TTY", value)) => entry.run.terminal = value,
            Some(("PWD" | "CWD", value)) => entry.run.directory = value,
            Some(("USER", value)) => entry.run.user = value.trim_end_matches([' ', ';']),
            Some(("GROUP", value)) => entry.run.group = value,
            Some(("ENV", value)) => entry.environment = value,
            Some(("TSID", value)) => entry.recording = value,
            Some(("HOST", value)) => entry.host = value,
            Some(("CHROOT", value)) => entry.chroot = value,
            Some((key, _)) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_uppercase()) => {}
            _ if !field.trim_end_matches([' ', ';']).is_empty() => {
                entry.reason = field.trim_end_matches([' ', ';']);
                entry.structured |= after.is_some() || field.starts_with("unknown ");
            }
            _ => {}
        }
        entry.structured |= field.contains('=');
        match after {
            Some(after) => rest = after,
            None => return entry,
        }
    }
}

/// The next field and those behind it: in sudo's own file a semicolon may end its line.
fn parted(text: &str) -> Option<(&str, &str)> {
    cut(text, " ; ").or_else(|| cut(text, " ;\n"))
}

/// Takes `; SIGNAL=TERM ; EXIT=143` off the end of a command that is reported once it ended.
fn ended<'a>(run: &mut Run<'a>, event: &mut Event<'a>) {
    let trailing = |command: &'a str, key: &str| {
        let (at, value) = last_cut(command, " ; ").filter(|(_, field)| field.starts_with(key))?;
        value.get(key.len()..).filter(|value| !value.is_empty() && !value.contains(' ')).map(|value| (at, value))
    };
    if let Some((command, code)) = trailing(run.command, "EXIT=").and_then(|(at, code)| Some((at, number(code)?))) {
        event.push(Attribute::ExitCode, code);
        run.command = command;
    }
    if let Some((command, signal)) = trailing(run.command, "SIGNAL=") {
        event.unmap("signal", signal);
        run.command = command;
    }
}

/// Trouble that sudo has with itself: `unable to open /etc/sudoers: Permission denied`, `parse error in …`.
fn fault<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    const STARTS: [&str; 7] =
        ["unable to ", "parse error ", "/etc/sudoers", "no valid sudoers", "error ", "timestamp ", "fatal error"];
    if !STARTS.iter().any(|start| message.starts_with(start)) {
        return false;
    }
    error(message, event);
    true
}

fn error<'a>(reason: &'a str, event: &mut Event<'a>) {
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    failure(event, reason);
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn a_folded_entry_of_its_own_file_is_read_whole() {
        let event = normalized(
            "Mar 16 10:00:00 : bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ;\n    TSID=1 ; COMMAND=/bin/ls a\n    b",
        );
        assert_eq!((&event["type_uid"], &event["process"]["cmd_line"]), (&100_701.into(), &"/bin/ls a b".into()));
        assert_eq!(
            (&event["actor"]["user"]["name"], &event["process"]["user"]["name"]),
            (&"bob".into(), &"root".into())
        );
        let event =
            normalized("Mar 16 10:00:00 : bob : command not allowed ; TTY=pts/0 ;\n    USER=root ; COMMAND=/bin/ls");
        assert_eq!((&event["type_uid"], &event["session"]["terminal"]), (&300_207.into(), &"pts/0".into()));
    }

    #[test]
    fn a_command_is_a_process_launch() {
        let line =
            "Mar 16 10:00:00 h sudo:   bob : TTY=pts/1 ; PWD=/srv/bob ; USER=root ; COMMAND=/usr/bin/head -n 5 a ; b";
        let event = normalized(line);
        assert_eq!(event["type_uid"], 100_701);
        assert_eq!(event["actor"]["user"]["name"], "bob");
        assert_eq!(event["actor"]["session"]["terminal"], "pts/1");
        assert_eq!(
            event["process"],
            serde_json::json!({
                "uid": event["metadata"]["uid"], "name": "head", "cmd_line": "/usr/bin/head -n 5 a ; b",
                "working_directory": "/srv/bob", "file": {"name": "head", "path": "/usr/bin/head", "type_id": 8},
                "user": {"name": "root"}
            })
        );
        assert_eq!(event["launch_type_id"], 3);
        assert_eq!(event["status_id"], 1);
    }

    #[test]
    fn the_rest_of_a_command_and_who_nobody_is_are_read() {
        let event = normalized("Mar 16 10:00:00 h sudo:   bob : (command continued) -l --all");
        assert_eq!((&event["type_uid"], &event["process"]["cmd_line"]), (&100_799.into(), &"-l --all".into()));
        assert_eq!(event["actor"]["user"]["name"], "bob");
        let event = normalized("Mar 16 10:00:00 h sudo:   bob : unknown user: nobodyy");
        assert_eq!((&event["type_uid"], &event["status_detail"]), (&300_207.into(), &"unknown user: nobodyy".into()));
    }

    #[test]
    fn a_refusal_is_a_failed_account_switch() {
        for (reason, count) in
            [("command not allowed", None), ("3 incorrect password attempts", Some(3)), ("user NOT in sudoers", None)]
        {
            let fields = "TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/ls";
            let event = normalized(&format!("Mar 16 10:00:00 h sudo: eve : {reason} ; {fields}"));
            assert_eq!(event["type_uid"], 300_207, "{reason}");
            assert_eq!(event["status_id"], 2, "{reason}");
            assert_eq!(event["status_detail"], reason);
            assert_eq!(event["count"].as_u64(), count);
            assert_eq!(event["user"]["name"], "root");
            assert_eq!(event["actor"]["user"]["name"], "eve");
            assert_eq!(event["unmapped"]["command"], "/bin/ls");
        }
    }

    #[test]
    fn refusals_need_no_command_and_faults_are_errors() {
        for (message, kind) in [
            ("bob : a password is required ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls", 300_207),
            ("bob : no tty present and no askpass program specified ; TTY=unknown ; PWD=/ ; USER=root ;", 300_207),
            ("bob : user NOT authorized on host ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=list", 300_207),
            ("bob : problem with defaults entries ; TTY=pts/0 ; PWD=/ ; USER=root ; ", 600_801),
            ("unable to open /etc/sudoers: Permission denied", 600_801),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h sudo[9]: {message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event["status_id"], 2, "{message}");
        }
    }

    #[test]
    fn environment_recording_and_exit_code_are_kept() {
        let fields = "TTY=pts/0 ; PWD=/ ; USER=root ; GROUP=web ; TSID=00000A ; ENV=A=1 B=2";
        let event = normalized(&format!(
            "Mar 16 10:00:00 h sudo: bob : {fields} ; COMMAND=/bin/ls -l ; SIGNAL=TERM ; EXIT=143"
        ));
        assert_eq!(event["process"]["cmd_line"], "/bin/ls -l");
        assert_eq!(event["process"]["user"]["groups"][0]["name"], "web");
        assert_eq!(event["exit_code"], 143);
        assert_eq!(event["unmapped"]["environment"], "A=1 B=2");
        assert_eq!(event["unmapped"]["tsid"], "00000A");
    }

    #[test]
    fn sudos_own_file_is_read() {
        for head in ["Mar 16 10:00:00 : bob : ", "Mar 16 10:00:00 2026 : bob : HOST=web-2 : "] {
            let event = normalized(&format!("{head}TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id -u"));
            assert_eq!(
                (&event["type_uid"], &event["time"]),
                (&100_701.into(), &1_773_651_600_000_i64.into()),
                "{head}"
            );
            assert_eq!(event["actor"]["user"]["name"], "bob", "{head}");
            let event =
                normalized(&format!("{head}command not allowed ; TTY=pts/1 ; PWD=/ ; USER=root ;\n    COMMAND=x"));
            assert_eq!((&event["type_uid"], &event["user"]["name"]), (&300_207.into(), &"root".into()), "{head}");
            assert_eq!(event["unmapped"]["command"], "x", "{head}");
        }
    }

    #[test]
    fn other_messages_are_reports() {
        for message in ["bob : problem with defaults entries", "a b : TTY=x ; COMMAND=y", " : COMMAND="] {
            assert_eq!(normalized(&format!("Mar 16 10:00:00 h sudo: {message}"))["type_uid"], 600_299, "{message}");
        }
    }
}
