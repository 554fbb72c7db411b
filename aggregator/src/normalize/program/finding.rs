//! Programs that watch the host and tell what they found (2004): ClamAV, rkhunter, AIDE, setroubleshoot, OSSEC,
//! sshguard, DenyHosts.
//!
//! Source: `clamd/scanner.c`, `clamd/session.c` and the man pages of ClamAV; `rkhunter`; `src/report.c` of AIDE;
//! `os_csyslogd/alert.c` of OSSEC; `blocker.c` of sshguard; `denyhosts` 2 and 3.

use super::super::endpoint::ip;
use super::super::outcome::{Control, controlled, failure, success};
use super::super::remark::{life, remark};
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, number, unquoted, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Detection Finding (2004).
const CREATE: u8 = 1;
const CLOSE: u8 = 3;
/// `analytic.type_id` 1: a rule.
const RULE: i64 = 1;
/// `severity_id`.
const MEDIUM: u8 = 3;
const HIGH: u8 = 4;

/// Class and what every finding has.
fn finding<'a>(activity: u8, uid: String, title: &'a str, analytic: &'a str, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = activity;
    event.push(Attribute::IsAlert, activity != CLOSE);
    event.push(Attribute::FindingUid, uid);
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingAnalyticName, analytic);
    event.push(Attribute::FindingAnalyticTypeId, RULE);
}

/// The address that a finding is about.
fn about<'a>(host: &'a str, event: &mut Event<'a>) {
    match ip(host) {
        Some(ip) => event.push(Attribute::EvidencesSrcEndpointIp, ip),
        None if !host.is_empty() => event.push(Attribute::EvidencesSrcEndpointHostname, host),
        None => {}
    }
}

/// Reads a message of clamd, clamonacc or freshclam: `/srv/a: Eicar-Signature FOUND`, with the digest and the size behind the
/// name where `ExtendedDetectionInfo` is set; `daily.cvd updated (version: 27000, …)`.
pub(super) fn parse_clamav<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    if let Some((path, name)) = message.strip_suffix(" FOUND").and_then(|rest| rest.rsplit_once(": ")) {
        let (name, digest) = name.split_once('(').map_or((name, ""), |(name, rest)| (name, rest.trim_end_matches(')')));
        finding(CREATE, format!("clamav/{name}/{path}"), name, name, event);
        event.push(Attribute::FindingTypes, "Malware");
        event.push(Attribute::EvidencesFileName, base_name(path));
        event.push(Attribute::EvidencesFilePath, path);
        event.push(Attribute::EvidencesFileTypeId, 1);
        if let Some((digest, size)) = digest.split_once(':') {
            event.unmap("digest", digest);
            event.unmap("size", size);
        }
        controlled(event, Control::Alerted);
        event.severity_id = event.severity_id.max(HIGH);
        return true;
    }
    let program = base_name(header.program);
    let updated = cut(message, " updated (version: ").filter(|(name, _)| !name.contains(' '));
    if let Some((name, rest)) = updated {
        event.class = Class::ApplicationLifecycle;
        event.activity_id = 8;
        event.push(Attribute::AppName, name);
        event.push(Attribute::AppVersion, rest.split([',', ')']).next().unwrap_or(rest));
        success(event);
        return true;
    }
    let fault = message.starts_with("ERROR: ") || message.starts_with("WARNING: ") || message.starts_with('^');
    spoken(program, fault, message, event)
}

/// A fault of the program's own, else a report.
fn spoken<'a>(program: &'a str, fault: bool, message: &'a str, event: &mut Event<'a>) -> bool {
    if !fault {
        return remark(program, message, event);
    }
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.push(Attribute::ActorAppName, program);
    failure(event, message);
    true
}

/// Reads a message of rkhunter or AIDE: `Please inspect this machine, because it may be infected.`, `AIDE found differences
/// between database and filesystem!!`.
pub(super) fn parse_checker<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let program = base_name(header.program);
    let found = ["may be infected", "found differences", "INFECTED", "Possible rootkit", "Warning: "];
    if found.iter().any(|mark| message.contains(mark)) {
        finding(CREATE, format!("{program}/{}", event.id), message, program, event);
        controlled(event, Control::Alerted);
        event.severity_id = event.severity_id.max(if message.contains("infected") { HIGH } else { MEDIUM });
        return true;
    }
    match message {
        text if text.starts_with("Rootkit hunter check started") => life(program, 3, event),
        _ => remark(program, message, event),
    }
}

/// Reads a message of setroubleshoot: `SELinux is preventing /usr/sbin/httpd from name_connect access on the tcp_socket port 8080.
/// For complete SELinux messages run: sealert -l …`.
pub(super) fn parse_setroubleshoot<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = message.strip_prefix("SELinux is preventing ") else {
        return remark("setroubleshoot", message, event);
    };
    let (title, more) = cut(message, ". For complete ").unwrap_or((message, ""));
    let (path, what) = cut(rest, " from ").unwrap_or((word(rest).0, ""));
    let path = unquoted(path);
    let what = cut(what, ". For complete ").map_or(what, |(what, _)| what);
    let uid = match more.rsplit_once("sealert -l ") {
        Some((_, id)) => format!("selinux/{}", word(id).0),
        None => format!("selinux/{path}/{what}"),
    };
    finding(CREATE, uid, title, "SELinux", event);
    event.push(Attribute::EvidencesFileName, base_name(path));
    event.push(Attribute::EvidencesFilePath, path);
    event.push(Attribute::EvidencesFileTypeId, 1);
    event.unmap("access", what);
    controlled(event, Control::Blocked);
    event.severity_id = event.severity_id.max(MEDIUM);
    true
}

/// Reads an alert that OSSEC or Wazuh forwards: `Alert Level: 5; Rule: 5716 - Title.; Location: (web) 192.0.2.9->/var/log/auth.log;
/// srcip: 192.0.2.1; user: bob; line`.
pub(super) fn parse_ossec<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((weight, rest)) = message.strip_prefix("Alert Level: ").and_then(|rest| cut(rest, "; ")) else {
        return remark(base_name(header.program), message, event);
    };
    let Some((rule, rest)) = rest.strip_prefix("Rule: ").and_then(|rest| cut(rest, "; ")) else { return false };
    let (number_of_rule, title) = cut(rule, " - ").unwrap_or((rule, rule));
    finding(CREATE, format!("{number_of_rule}:{}", event.id), title, title, event);
    event.push(Attribute::FindingAnalyticUid, number_of_rule);
    event.push(Attribute::MetadataEventCode, number_of_rule);
    // Levels are 0 to 15: "Rules classification" of the manual.
    event.severity_id = match number(weight) {
        Some(15..) => 5,
        Some(12..=14) => HIGH,
        Some(7..=11) => MEDIUM,
        Some(4..=6) => 2,
        _ => 1,
    };
    let field = |key: &str| cut(rest, key).map(|(_, rest)| cut(rest, ";").map_or(rest, |(value, _)| value).trim());
    about(field("srcip: ").unwrap_or_default(), event);
    if let Some(user) = field("user: ") {
        event.push(Attribute::EvidencesUserName, user);
    }
    if let Some(location) = field("Location: ") {
        event.unmap("location", location);
    }
    true
}

/// Reads a message of sshguard: `Attack from "192.0.2.1" on service SSH with danger 10.`, `Blocking "192.0.2.1/32" for 120 secs (3
/// attacks in 1 secs, …)`, `192.0.2.1: unblocking after 124 secs`.
pub(super) fn parse_sshguard<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let (host, title, control) = if let Some(rest) = message.strip_prefix("Attack from ") {
        (word(rest).0, "Attack found", Control::Observed)
    } else if let Some(rest) = message.strip_prefix("Blocking ") {
        (word(rest).0, "Address blocked", Control::Blocked)
    } else if let Some((host, _)) = cut(message, ": unblocking after ") {
        (host, "Address unblocked", Control::Allowed)
    } else if let Some((host, _)) = cut(message, " has already been blocked") {
        (host, "Address blocked", Control::Blocked)
    } else {
        return remark("sshguard", message, event);
    };
    let host = unquoted(host).split('/').next().unwrap_or(host);
    finding(
        if title.ends_with("unblocked") { CLOSE } else { CREATE },
        format!("sshguard/{host}"),
        title,
        "sshguard",
        event,
    );
    about(host, event);
    if let Some((service, _)) = between(message, "on service ", " with ") {
        event.unmap("service", service);
    }
    if let Some((_, danger)) = cut(message, "with danger ") {
        event.unmap("danger", danger.trim_end_matches('.'));
    }
    controlled(event, control);
    if control == Control::Blocked {
        event.severity_id = event.severity_id.max(MEDIUM);
    }
    true
}

/// Reads a message of DenyHosts: `Added the following hosts to /etc/hosts.deny - 192.0.2.1`.
pub(super) fn parse_denyhosts<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let Some((_, host)) = message.strip_prefix("Added the following hosts to ").and_then(|rest| cut(rest, " - "))
    else {
        return remark("denyhosts", message, event);
    };
    let host = word(host).0.trim_end_matches(',');
    finding(CREATE, format!("denyhosts/{host}"), "Address blocked", "denyhosts", event);
    about(host, event);
    controlled(event, Control::Blocked);
    event.severity_id = event.severity_id.max(MEDIUM);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn findings_name_what_was_found_and_where() {
        for (message, title, key, value) in [
            (
                "clamd[9]: /srv/a b.com: Eicar-Signature FOUND",
                "Eicar-Signature",
                "/evidences/0/file/path",
                "/srv/a b.com",
            ),
            ("clamd[9]: /srv/x: Eicar-Signature(44d8:68) FOUND", "Eicar-Signature", "/unmapped/size", "68"),
            (
                "ossec: Alert Level: 10; Rule: 5716 - SSHD authentication failed.; Location: (web) 192.0.2.9->/var/log/auth.log; srcip: 192.0.2.1; user: bob; x",
                "SSHD authentication failed.",
                "/evidences/0/src_endpoint/ip",
                "192.0.2.1",
            ),
            (
                "setroubleshoot[9]: SELinux is preventing /usr/sbin/x from read access on the file y. For complete SELinux messages run: sealert -l 1-2",
                "SELinux is preventing /usr/sbin/x from read access on the file y",
                "/evidences/0/file/path",
                "/usr/sbin/x",
            ),
            (
                "sshguard[9]: Blocking \"192.0.2.1/32\" for 120 secs (3 attacks in 1 secs)",
                "Address blocked",
                "/evidences/0/src_endpoint/ip",
                "192.0.2.1",
            ),
            (
                "denyhosts: Added the following hosts to /etc/hosts.deny - 192.0.2.1",
                "Address blocked",
                "/evidences/0/src_endpoint/ip",
                "192.0.2.1",
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!(event["type_uid"], 200_401, "{message}");
            assert_eq!(event["finding_info"]["title"], title, "{message}");
            assert_eq!(event.pointer(key).and_then(|found| found.as_str()), Some(value), "{message}");
            assert!(event["severity_id"].as_i64() >= Some(3), "{message}");
        }
        let event = normalized("Mar 16 10:00:00 h sshguard[9]: 192.0.2.1: unblocking after 124 secs");
        assert_eq!(event["type_uid"], 200_403);
        let event = normalized("Mar 16 10:00:00 h rkhunter: Please inspect this machine, because it may be infected.");
        assert_eq!((&event["type_uid"], &event["severity_id"]), (&200_401.into(), &4.into()));
    }

    #[test]
    fn what_scanners_say_of_themselves_is_no_finding() {
        for (message, kind) in [
            ("clamd[9]: SelfCheck: Database status OK.", 600_299),
            ("freshclam[9]: daily.cvd updated (version: 27000, sigs: 2, f-level: 90, builder: x)", 600_208),
            ("freshclam[9]: ERROR: Can't download daily.cvd", 600_801),
            ("rkhunter: Scanning took 2 minutes and 3 seconds", 600_299),
        ] {
            assert_eq!(normalized(&format!("Mar 16 10:00:00 h {message}"))["type_uid"], kind, "{message}");
        }
    }
}
