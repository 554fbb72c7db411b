//! Services that let a peer in, older than sshd or beside it: xinetd, TCP wrappers, rshd, rlogind, klogind, telnetd, ftpd of
//! inetd; macOS's screensharingd; Proxmox.
//!
//! A connection is network activity (4001), a logon authentication (3002). Source: `log.c`, `access.c` of xinetd;
//! `refuse.c` of TCP wrappers; `rshd.c`, `rlogind.c`, `krlogind.c`, `ftpd.c` of the BSD, inetutils and MIT sources;
//! `PVE/AccessControl.pm`, `PVE/APIServer/AnyEvent.pm`.

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, number, port, unquoted, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Network Activity (4001).
const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const REFUSE: u8 = 5;
/// `logon_type_id` 3: network.
const NETWORK: i64 = 3;

/// Reads a message of xinetd: `START: telnet pid=7 from=192.0.2.1`, `EXIT: telnet status=0 pid=7 duration=5(sec)`, `FAIL: telnet
/// libwrap from=192.0.2.1`, `xinetd Version 2.3.15 started …`.
pub(super) fn parse_xinetd<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (verb, rest) = word(message.trim_end());
    let activity = match verb {
        "START:" => OPEN,
        "EXIT:" => CLOSE,
        "FAIL:" => REFUSE,
        _ if message.contains(" started with ") || message.starts_with("Exiting") => {
            event.class = Class::ApplicationLifecycle;
            event.activity_id = if verb == "Exiting" { 4 } else { 3 };
            event.push(Attribute::AppName, "xinetd");
            success(event);
            return true;
        }
        _ => return wrapped(message, header, event),
    };
    let (service, rest) = word(rest);
    let value = |key: &str| rest.split(' ').find_map(|field| field.strip_prefix(key));
    let reason = word(rest).0;
    if !connection(activity, service, value("from="), header, event) {
        return false;
    }
    if let Some(pid) = value("pid=").and_then(number) {
        event.unmap("pid", pid);
    }
    if let Some((seconds, _)) = value("duration=").and_then(|text| cut(text, "(")) {
        event.push(Attribute::Duration, number(seconds).unwrap_or_default() * 1000);
    }
    match activity {
        REFUSE => {
            failure(event, reason);
            controlled(event, Control::Rejected);
        }
        _ => success(event),
    }
    true
}

/// Reads a message of a service behind inetd.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    wrapped(message, header, event)
        || kerberos(message, header, event)
        || shell(message, header, event)
        || ftp(message, header, event)
}

/// Reads a message of rpc.mountd: `authenticated mount request from 192.0.2.1:900 for /srv (/srv)`, `refused mount request from a for
/// /srv (/): not exported`.
pub(super) fn parse_mountd<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let (verdict, rest) = word(message);
    let Some((from, path)) = cut(rest, "mount request from ").and_then(|(_, rest)| cut(rest, " for ")) else {
        return remark("mountd", message, event);
    };
    let (host, number) = from.rsplit_once(':').filter(|_| ip(from).is_none()).unwrap_or((from, ""));
    let refused = verdict != "authenticated";
    if !connection(if refused { REFUSE } else { OPEN }, "nfs", Some(host), header, event) {
        return false;
    }
    if let Some(port) = port(number) {
        event.push(Attribute::SrcEndpointPort, port);
    }
    event.unmap("path", word(path).0);
    if refused {
        failure(event, cut(path, ": ").map_or(message, |(_, reason)| reason));
        controlled(event, Control::Rejected);
    } else {
        success(event);
    }
    true
}

/// Sets class and ends; false where neither end is known.
fn connection<'a>(
    activity: u8,
    service: &'a str,
    from: Option<&'a str>,
    header: &Header<'a>,
    event: &mut Event<'a>,
) -> bool {
    let source = from.is_some_and(|host| push_source(event, host, None));
    if !push_destination(event, header.this_host(), None) && !source {
        return false;
    }
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(Attribute::AppProtocolName, service.strip_prefix("in.").unwrap_or(service));
    true
}

/// `connect from 192.0.2.1`, `refused connect from a.example (192.0.2.1)`, `connection from 192.0.2.1 (a.example) at …`,
/// `Connection from 192.0.2.1 on illegal port`.
fn wrapped<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let refused = message.strip_prefix("refused ");
    let rest = refused.unwrap_or(message);
    let Some(who) = ["connect from ", "connection from ", "Connection from ", "connect: "]
        .into_iter()
        .find_map(|start| rest.strip_prefix(start))
    else {
        return false;
    };
    let (first, rest) = word(who);
    // The address stands in parentheses behind the name, or the name behind the address.
    let second = between(rest, "(", ")").map(|(inner, _)| inner).filter(|inner| !inner.is_empty());
    let (address, name) = match (ip(first), second) {
        (Some(ip), name) => (ip, name),
        (None, Some(second)) if ip(second).is_some() => (second, Some(first)),
        _ => (first, None),
    };
    let illegal = rest.contains("illegal port");
    let activity = if refused.is_some() || illegal { REFUSE } else { OPEN };
    if !connection(activity, base_name(header.program), Some(address), header, event) {
        return false;
    }
    if let Some(name) = name.filter(|name| ip(name).is_none() && event.value(Attribute::SrcEndpointHostname).is_none())
    {
        event.push(Attribute::SrcEndpointHostname, name);
    }
    match activity {
        OPEN => success(event),
        _ => failure(event, if illegal { "illegal port" } else { "refused" }),
    }
    true
}

fn logon<'a>(user: &'a str, from: &'a str, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, base_name(header.program));
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, NETWORK);
    push_source(event, from, None);
}

/// klogind: `Authentication failed from 192.0.2.1 (a.example): reason`, `Kerberos authentication failed`.
fn kerberos<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (host, reason) = match message.strip_prefix("Authentication failed from ") {
        Some(rest) => (word(rest).0, cut(rest, "): ").map_or("authentication failed", |(_, reason)| reason)),
        None if message.starts_with("Kerberos authentication failed") => ("", "authentication failed"),
        None => return false,
    };
    logon("", host, header, event);
    event.push(Attribute::AuthProtocolId, 2);
    event.push(Attribute::AuthProtocol, "Kerberos");
    failure(event, reason);
    true
}

/// rshd, rlogind: `eve@192.0.2.1 as bob: cmd='ls'`, `eve@192.0.2.1 as bob: permission denied (…). cmd='ls'`.
fn shell<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((who, rest)) = cut(message, " as ") else { return false };
    let Some((caller, host)) = who.split_once('@').filter(|(caller, _)| !caller.contains(' ')) else { return false };
    let Some((user, rest)) = cut(rest, ": ") else { return false };
    logon(user, host, header, event);
    event.push(Attribute::ActorUserName, caller);
    if let Some((_, command)) = cut(rest, "cmd='") {
        event.unmap("command", command.strip_suffix('\'').unwrap_or(command));
    }
    if rest.starts_with("permission denied") {
        failure(event, "permission denied");
    } else {
        success(event);
    }
    true
}

/// ftpd: `FTP LOGIN FROM a.example [192.0.2.1], bob`, `FTP LOGIN FROM 192.0.2.1 as bob`, `FTP LOGIN REFUSED FROM …`, `FTP LOGIN FAILED FROM …`, `ANONYMOUS FTP LOGIN
/// FROM …, id`, `failed login from a.example [192.0.2.1]`, `User bob timed out after 900 seconds at …`.
fn ftp<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some((user, rest)) = message.strip_prefix("User ").and_then(|rest| cut(rest, " timed out after ")) {
        logon(if user == "unknown" { "" } else { user }, "", header, event);
        event.activity_id = 2;
        event.push(Attribute::StatusDetail, "timed out");
        event.unmap("seconds", word(rest).0);
        return true;
    }
    let (rest, went_well) = if let Some(rest) =
        message.strip_prefix("failed login from ").or_else(|| message.strip_prefix("repeated login failures from "))
    {
        (rest, false)
    } else {
        let Some((what, rest)) = cut(message, " FROM ").filter(|(what, _)| what.contains("FTP LOGIN")) else {
            return false;
        };
        (rest, !what.contains("REFUSED") && !what.contains("FAILED"))
    };
    let (host, user) = cut(rest, ", ").or_else(|| cut(rest, " as ")).unwrap_or((rest, ""));
    let address = between(host, "[", "]").map_or_else(|| word(host).0, |(address, _)| address);
    logon(if message.starts_with("ANONYMOUS") { "anonymous" } else { user }, address, header, event);
    if went_well {
        success(event);
    } else {
        failure(event, "login failed");
    }
    true
}

/// Reads a message of macOS's screensharingd: `Authentication: FAILED :: User Name: bob :: Viewer Address: 192.0.2.1 :: Type: DH`.
pub(super) fn parse_screen_sharing<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(verdict) = message.strip_prefix("Authentication: ") else { return false };
    let field = |key: &str| verdict.split(" :: ").find_map(|field| field.strip_prefix(key)).unwrap_or_default().trim();
    logon(field("User Name: "), field("Viewer Address: "), header, event);
    if verdict.starts_with("SUCCEEDED") {
        success(event);
    } else {
        failure(event, "authentication failed");
    }
    event.push(Attribute::AuthProtocolId, 99);
    event.push(Attribute::AuthProtocol, field("Type: "));
    true
}

/// Reads a message of Proxmox's daemons: `authentication failure; rhost=192.0.2.1 user=bob@pam msg=reason`, `<root@pam>
/// successful auth for user 'bob@pam'`.
pub(super) fn parse_proxmox<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let realm = |user: &'a str, event: &mut Event<'a>| {
        if let Some((name, domain)) = user.rsplit_once('@') {
            event.push(Attribute::UserDomain, domain);
            return name;
        }
        user
    };
    if let Some((_, user)) = cut(message, "successful auth for user ") {
        let user = realm(unquoted(user.trim_end()), event);
        logon(user, "", header, event);
        success(event);
        return true;
    }
    let Some(fields) = message.strip_prefix("authentication failure; ") else {
        return remark(base_name(header.program), message, event);
    };
    let Some((fields, reason)) = cut(fields, " msg=") else { return false };
    let Some((host, user)) = fields.strip_prefix("rhost=").and_then(|rest| cut(rest, " user=")) else { return false };
    let user = realm(user, event);
    logon(user, host, header, event);
    failure(event, reason);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn connections_are_let_in_or_refused() {
        for (message, activity) in [
            ("xinetd[9]: START: telnet pid=7 from=192.0.2.1", 1),
            ("xinetd[9]: FAIL: telnet libwrap from=192.0.2.1", 5),
            ("in.telnetd[9]: connect from 192.0.2.1", 1),
            ("in.telnetd[9]: refused connect from a.example (192.0.2.1)", 5),
            ("ftpd[9]: connection from 192.0.2.1 (a.example) at Sat Jun 18 02:08:10 2005", 1),
            ("rshd[9]: Connection from 192.0.2.1 on illegal port", 5),
            ("rpc.mountd[9]: authenticated mount request from 192.0.2.1:900 for /srv (/srv)", 1),
            ("rpc.mountd[9]: refused mount request from 192.0.2.1 for /srv (/): not exported", 5),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!(event["type_uid"], 400_100 + activity, "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
        }
    }

    #[test]
    fn logons_of_other_services_are_read() {
        for (message, user, status) in [
            ("rshd[9]: eve@192.0.2.1 as bob: cmd='ls'", "bob", 1),
            ("klogind[9]: Authentication failed from 192.0.2.1 (a.example): Permission denied", "", 2),
            ("ftpd[9]: FTP LOGIN FROM a.example [192.0.2.1], bob", "bob", 1),
            ("ftpd[9]: FTP LOGIN FROM 192.0.2.1 as bob", "bob", 1),
            (
                "screensharingd[9]: Authentication: FAILED :: User Name: bob :: Viewer Address: 192.0.2.1 :: Type: DH",
                "bob",
                2,
            ),
            (
                "pvedaemon[9]: authentication failure; rhost=::ffff:192.0.2.1 user=bob@pam msg=no such user ('x')",
                "bob",
                2,
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["status_id"], status, "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
        }
        let event =
            normalized("Mar 16 10:00:00 h pvedaemon[9]: <root@pam> end task UPID:h:1:2:3:qmstart:100:root@pam: OK");
        assert_eq!((&event["type_uid"], &event["app"]["name"]), (&600_299.into(), &"pvedaemon".into()));
        let event = normalized("Mar 16 10:00:00 h pvedaemon[9]: <root@pam> successful auth for user 'root@pam'");
        assert_eq!(event["user"], serde_json::json!({"name": "root", "domain": "pam"}));
    }
}
