//! The log services themselves: what starts, stops, rotates, drops and deletes logs (1008).
//!
//! Source: `rsyslogd.c` and `ratelimit.c` of rsyslog; `journald-server.c` of systemd; `main.c` of syslog-ng; sysklogd; logrotate;
//! newsyslog.

use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, number, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Event Log Activity (1008).
#[derive(Clone, Copy)]
enum Log {
    Delete = 2,
    Rotate = 5,
    Start = 6,
    Stop = 7,
    Restart = 8,
    /// With its word in `activity_name`.
    Other = 99,
}

/// Reads a message of a log service.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let provider = match base_name(header.program) {
        _ if repeated(message, event) => "syslogd",
        "" => word(message).0,
        // Before version 8 rsyslog wrote the number of a message behind its own name.
        program if program.starts_with("rsyslogd-") => "rsyslogd",
        program => program,
    };
    let found = event.class == Class::EventLogActivity
        || journald(message, event)
        || lost(message, event)
        || rotated(message, provider, event)
        || lifecycle(message, event)
        || inside(message, event);
    if found {
        event.push(Attribute::LogProvider, provider);
    }
    found
}

/// `last message repeated 3 times`, which syslogd writes in place of another program's message.
fn repeated(message: &str, event: &mut Event<'_>) -> bool {
    let times = message.strip_prefix("last message repeated ").and_then(|rest| number(word(rest).0));
    let Some(times) = times else { return false };
    log(Log::Other, "Repeat", event);
    event.push(Attribute::Count, times);
    event.push(Attribute::LogName, "syslog");
    success(event);
    true
}

fn log(activity: Log, word: &'static str, event: &mut Event<'_>) {
    event.class = Class::EventLogActivity;
    event.activity_id = activity as u8;
    if !word.is_empty() {
        event.push(Attribute::ActivityName, word);
    }
}

/// `Journal started`, `Journal stopped`, `Deleted archived journal /var/log/… (8.0M).`, `Vacuuming done, freed 16.0M of
/// archived journals from /var/log/journal/….`, `System journal (/var/log/journal/…) is 8.0M, max …`, `File … corrupted or
/// uncleanly shut down, renaming and replacing.`
fn journald<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some(rest) = message.strip_prefix("Deleted archived journal ") {
        log(Log::Delete, "", event);
        event.push(Attribute::LogName, word(rest).0);
    } else if let Some(rest) = message.strip_prefix("Vacuuming done, freed ") {
        log(Log::Delete, "", event);
        event.unmap("freed", word(rest).0);
        if let Some((_, path)) = cut(rest, " from ") {
            event.push(Attribute::LogName, path.trim_end_matches('.'));
        }
    } else if let Some((path, rest)) =
        ["System Journal (", "System journal (", "Runtime Journal (", "Runtime journal (", "Permanent journal ("]
            .into_iter()
            .find_map(|start| message.strip_prefix(start))
            .and_then(|rest| cut(rest, ") is "))
    {
        log(Log::Other, "Usage", event);
        event.push(Attribute::LogName, path);
        event.push(Attribute::StatusDetail, rest.trim_end_matches('.'));
    } else if let Some((path, rest)) = message.strip_prefix("File ").and_then(|rest| cut(rest, " corrupted ")) {
        log(Log::Rotate, "", event);
        event.push(Attribute::LogName, path);
        failure(event, rest);
        return true;
    } else if message.contains(", suggesting rotation") || message.starts_with("Received client request to rotate") {
        log(Log::Rotate, "", event);
        event.push(Attribute::LogName, message.split_once(" of /").map_or("journal", |(_, rest)| word(rest).0));
    } else if message.starts_with("Received client request to flush") {
        log(Log::Other, "Flush", event);
        event.push(Attribute::LogName, "journal");
    } else {
        return false;
    }
    success(event);
    true
}

/// `Suppressed 12 messages from a.service`, `imuxsock lost 12 messages from pid 7 due to rate-limiting`, `imuxsock begins to
/// drop messages from pid 7 due to rate-limiting`, `imjournal: 12 messages lost due to rate-limiting`, `Missed 12 kernel
/// messages`, `Forwarding to syslog missed 3 messages.`
fn lost<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    const LOSES: [&str; 7] = [
        "Suppressed ",
        "Missed ",
        "Forwarding to syslog missed ",
        " lost due to rate-limiting",
        " due to rate-limiting",
        "messages discarded",
        "message lost",
    ];
    if !LOSES.iter().any(|word| message.contains(word)) {
        return false;
    }
    log(Log::Other, "Loss", event);
    let (before, pid) = cut(message, " from pid ").unwrap_or((message, ""));
    if let Some(count) = before.split(' ').find_map(number) {
        event.push(Attribute::Count, count);
    }
    if let Some(pid) = number(word(pid).0) {
        event.unmap("pid", pid);
    }
    failure(event, message);
    true
}

/// `[origin software="rsyslogd" …] rsyslogd was HUPed`, `logfile turned over`, `ALERT exited abnormally with [1]`.
fn rotated<'a>(message: &'a str, provider: &str, event: &mut Event<'a>) -> bool {
    if provider == "logrotate" {
        log(Log::Rotate, "", event);
        match message.contains("ALERT") || message.starts_with("error") {
            true => failure(event, message),
            false => success(event),
        }
        return true;
    }
    let turned = message.contains("logfile turned over");
    if !turned && !message.ends_with(" was HUPed") && !message.ends_with(" was HUPed, type 'lightweight'.") {
        return false;
    }
    // A service is told to open its files anew when they have been rotated.
    log(Log::Rotate, "", event);
    software(message, event);
    success(event);
    true
}

/// Version and process of `[origin software="rsyslogd" swVersion="8.33" x-pid="7" …]`.
fn software<'a>(message: &'a str, event: &mut Event<'a>) {
    if let Some((version, _)) = between(message, "swVersion=\"", "\"") {
        event.unmap("version", version);
    }
    if let Some((pid, _)) = between(message, "x-pid=\"", "\"") {
        event.unmap("pid", pid);
    }
}

/// `[origin …] start`, `exiting on signal 15.`, `syslog-ng starting up; version='3.35.1'`, `syslogd 1.4.1: restart.`, `Journal
/// started`, `Kernel logging (proc) stopped.`
fn lifecycle<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let text = message.trim_end_matches('.');
    let activity = match text {
        _ if text.ends_with("] start") || text.contains("starting up") || text.ends_with("Journal started") => {
            Log::Start
        }
        _ if text.ends_with("restart") || text.ends_with("(re)start") => Log::Restart,
        _ if text.starts_with("Configuration reload request") || text.starts_with("Reloading configuration") => {
            Log::Restart
        }
        _ if text.contains("exiting on signal")
            || text.contains("shutting down")
            || text.ends_with("Journal stopped") =>
        {
            Log::Stop
        }
        _ if text.starts_with("Exiting on signal") || text.contains("terminating") => Log::Stop,
        _ if text.starts_with("Received SIG") => Log::Stop,
        // auditd: `Init complete, auditd 3.0 listening for events`, `The audit daemon is exiting.`, `Audit daemon rotating log files`.
        _ if text.starts_with("Init complete, auditd") => Log::Start,
        _ if text.starts_with("The audit daemon is exiting") => Log::Stop,
        _ if text.starts_with("Audit daemon rotating") => Log::Rotate,
        _ if text.ends_with(" stopped") => Log::Stop,
        _ if text.ends_with(" started") => Log::Start,
        _ => return false,
    };
    log(activity, "", event);
    software(message, event);
    if let Some((version, _)) = between(message, "version='", "'") {
        event.unmap("version", version);
    }
    if let Some((_, signal)) = cut(text, "on signal ") {
        event.push(Attribute::StatusDetail, signal);
    }
    success(event);
    true
}

/// What else they say of themselves: `rsyslogd's groupid changed to 104`, `action 'x' suspended`, `-- MARK --`, `Log
/// statistics; …`.
fn inside<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    const MARKS: [(&str, &str); 15] = [
        ("-- MARK --", "Mark"),
        ("Log statistics", "Statistics"),
        ("ASL Sender Statistics", "Statistics"),
        ("Configuration Notice", "Configuration"),
        ("groupid changed", "Configuration"),
        ("userid changed", "Configuration"),
        ("Acquired UNIX socket", "Configuration"),
        ("imklog ", "Configuration"),
        ("suspended", "Forwarding"),
        ("resumed", "Forwarding"),
        ("Syslog connection ", "Forwarding"),
        ("cannot connect to ", "Forwarding"),
        ("Audit daemon is low on disk space", "Disk Space"),
        ("Audit daemon has no space left", "Disk Space"),
        ("The audit daemon is now ", "State Change"),
    ];
    let Some((_, word)) = MARKS.iter().find(|(mark, _)| message.contains(mark)) else { return false };
    log(Log::Other, word, event);
    const FAILS: [&str; 6] = ["cannot connect", "suspended", "broken", "failed", "no space left", "low on disk space"];
    if FAILS.iter().any(|mark| message.contains(mark)) {
        failure(event, message);
    } else {
        event.push(Attribute::StatusDetail, message);
        success(event);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn log_services_have_a_life() {
        for (message, activity) in [
            (
                r#"rsyslogd:  [origin software="rsyslogd" swVersion="8.33.1" x-pid="7" x-info="x"] rsyslogd was HUPed"#,
                5,
            ),
            (r#"rsyslogd: [origin software="rsyslogd" swVersion="8.33.1" x-pid="7" x-info="x"] start"#, 6),
            (r#"rsyslogd: [origin software="rsyslogd" swVersion="8.33.1" x-pid="7"] exiting on signal 15."#, 7),
            ("rsyslogd: cannot connect to 192.0.2.9:514: Connection refused [v8.2302.0]", 99),
            ("auditd[9]: Audit daemon is low on disk space for logging", 99),
            ("rsyslogd: imjournal: 12 messages lost due to rate-limiting", 99),
            ("systemd-journald[9]: Journal started", 6),
            ("systemd-journald[9]: Deleted archived journal /var/log/journal/a/b.journal (8.0M).", 2),
            ("systemd-journald[9]: Suppressed 12 messages from a.service", 99),
            ("systemd-journal[9]: Runtime Journal (/run/log/journal/a) is 8.0M, max 76.0M, 68.0M free.", 99),
            ("syslog-ng[9]: syslog-ng starting up; version='3.35.1'", 6),
            ("syslogd 1.4.1: restart.", 8),
            ("logrotate: ALERT exited abnormally with [1]", 5),
            ("newsyslog[9]: logfile turned over", 5),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!(event["type_uid"], 100_800 + activity, "{message}");
            assert!(event["log_provider"].is_string(), "{message}");
        }
        for program in ["rsyslogd", "rsyslogd-2177"] {
            let event = normalized(&format!(
                "Mar 16 10:00:00 h {program}: imuxsock begins to drop messages from pid 77 due to rate-limiting"
            ));
            assert_eq!(
                (&event["type_uid"], &event["log_provider"]),
                (&100_899.into(), &"rsyslogd".into()),
                "{program}"
            );
            assert_eq!((event.get("count"), &event["unmapped"]["pid"]), (None, &77.into()), "{program}");
        }
        assert_eq!(normalized("Mar 16 10:00:00 h rsyslogd: x")["class_uid"], 0);
    }
}
