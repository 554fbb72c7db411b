//! What the daemons of a device with Junos say: who came and was turned away (3002), what was typed (1007), changes (5019), tunnels
//! (4014), links (4001); else a report or an error of the daemon.
//!
//! In: `UI_LOGIN_EVENT: User 'ann' login, class 'j-super-user' [7], ssh-connection '192.0.2.7 4711 198.51.100.9 22', …`, or the same as
//! parameters of the structured data, with or without the text behind them. Source: Juniper, "System Log Explorer", `UI_*`,
//! `SSHD_*`, `LOGIN_*`, `KMD_*`, `DOT1XD_*`, `SNMPD_*`, `SNMP_TRAP_LINK_*`; the messages of `kmd` that have no name.

use std::borrow::Cow;

use super::super::super::endpoint::{ip, push_source};
use super::super::super::outcome::{failure, success};
use super::super::super::remark::remark;
use super::super::super::syslog::Header;
use super::super::super::text::{base_name, between, cut, port, unquoted, word};
use super::value;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message of a daemon that is Juniper's by its name; `snmpd` is also others'.
pub(in super::super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let program = base_name(header.program);
    let message = message.trim_end();
    let code = match event.text(Attribute::MetadataEventCode) {
        Some(code) => Some(code.to_owned()),
        None => cut(message, ": ").map(|(code, _)| code.to_owned()).filter(|code| is_code(code)),
    };
    match code {
        Some(code) => named(&code, message, event) || remark(program, message, event),
        None if program == "snmpd" => net_snmp(message, event),
        None => negotiation(message, event) || remark(program, message, event),
    }
}

/// What Net-SNMP's daemon of that name says of who asks it: `Connection from UDP: [A]:p->[B]:161`, `Received SNMP packet(s) from A`.
/// Source: Net-SNMP, `snmp_agent.c`.
fn net_snmp<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let peer =
        ["Connection from ", "Received SNMP packet(s) from "].iter().find_map(|start| message.strip_prefix(start));
    let Some(peer) = peer.map(|peer| cut(peer, ": ").map_or(peer, |(_, peer)| peer)) else { return false };
    let peer = word(peer.trim_end()).0;
    let peer = cut(peer, "->").map_or(peer, |(peer, _)| peer);
    let (host, number) = match peer.rsplit_once(':').and_then(|(host, number)| Some((host, port(number)?))) {
        Some((host, number)) => (host, Some(number)),
        None => (peer, None),
    };
    let Some(address) = ip(host) else { return false };
    event.class = Class::NetworkActivity;
    event.activity_id = 1;
    push_source(event, address, number);
    event.push(Attribute::ConnectionDirectionId, 1);
    event.push(Attribute::ConnectionProtocolNum, 17);
    event.push(Attribute::ConnectionProtocolName, "udp");
    event.push(Attribute::AppProtocolName, "snmp");
    success(event);
    true
}

/// Reads a message that is nothing but parameters, of whatever program.
pub(in super::super) fn parse_structured<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(code) = event.text(Attribute::MetadataEventCode).map(str::to_owned) else { return false };
    named(&code, message, event)
}

/// `UI_LOGIN_EVENT`: capitals, digits and at least one line below.
fn is_code(text: &str) -> bool {
    text.contains('_') && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A parameter, else what stands in the text in quotes behind a word.
fn said<'a>(event: &Event<'a>, name: &str, message: &'a str, open: &str, close: &str) -> Option<Cow<'a, str>> {
    value(event, name).or_else(|| between(message, open, close).map(|(text, _)| Cow::Borrowed(text)))
}

/// What a message means by its name; false for a name that says nothing more.
fn named<'a>(code: &str, message: &'a str, event: &mut Event<'a>) -> bool {
    match code {
        "SSHD_LOGIN_FAILED" | "LOGIN_FAILED" | "LOGIN_INFORMATION" | "LOGIN_ROOT" | "SSHD_LOGIN_ATTEMPTS_THRESHOLD" => {
            logon(code, message, event)
        }
        "UI_LOGIN_EVENT" | "UI_LOGOUT_EVENT" | "UI_AUTH_EVENT" => session(code, message, event),
        "UI_CMDLINE_READ_LINE" => typed(message, event),
        "UI_COMMIT" | "UI_CFG_AUDIT_SET" | "UI_CFG_AUDIT_OTHER" | "UI_CFG_AUDIT_NEW" => changed(message, event),
        "DOT1XD_USR_AUTHENTICATED" | "DOT1XD_USR_SESSION_DISCONNECTED" => port_access(code, event),
        "SNMPD_AUTH_FAILURE" => stranger(event),
        "SNMP_TRAP_LINK_UP" | "SNMP_TRAP_LINK_DOWN" => link(code, event),
        _ if code.starts_with("KMD_") => tunnel(code, event),
        _ => false,
    }
}

/// A user, a service, and from where, as far as it is known.
fn enter<'a>(user: Cow<'a, str>, service: &'static str, from: Option<Cow<'a, str>>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, service);
    if let Some(from) = from.filter(|from| ip(from).is_some()) {
        event.push(Attribute::SrcEndpointIp, from);
        event.push(Attribute::IsRemote, true);
    }
}

/// `Login failed for user 'ann' from host '192.0.2.7'`, `User ann logged in from host [unknown] on device ttyu0`.
fn logon<'a>(code: &str, message: &'a str, event: &mut Event<'a>) -> bool {
    let word_behind = |mark: &str| {
        let (_, rest) = cut(message, mark)?;
        Some(Cow::Borrowed(unquoted(word(rest).0).trim_matches(['\'', '[', ']'])))
    };
    let user = value(event, "username").or_else(|| word_behind("ser "));
    let Some(user) = user.filter(|user| !user.is_empty()) else { return false };
    let from =
        value(event, "source-address").or_else(|| value(event, "hostname")).or_else(|| word_behind("from host "));
    enter(user, if code.starts_with("SSHD_") { "sshd" } else { "login" }, from, event);
    if matches!(code, "LOGIN_INFORMATION" | "LOGIN_ROOT") {
        success(event);
    } else {
        failure(event, if message.is_empty() { "login failed" } else { message });
    }
    true
}

/// `User 'ann' login, class 'c' [7], ssh-connection 'A p B q', client-mode 'cli'`, `User 'ann' logout`, `Authenticated user 'ann'
/// assigned to class 'c'`.
fn session<'a>(code: &str, message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(user) = said(event, "username", message, "ser '", "'") else { return false };
    let connection = said(event, "ssh-connection", message, "ssh-connection '", "'").unwrap_or_default();
    let mut words = connection.split(' ');
    let from = words.next().filter(|from| !from.is_empty()).map(|from| Cow::Owned(from.to_owned()));
    let number = words.next().and_then(port);
    enter(user, "mgd", from, event);
    if let Some(number) = number.filter(|_| event.value(Attribute::SrcEndpointIp).is_some()) {
        event.push(Attribute::SrcEndpointPort, number);
    }
    if code == "UI_LOGOUT_EVENT" {
        event.activity_id = 2;
    }
    success(event);
    true
}

/// `User 'ann', command 'show version '`.
fn typed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(user) = said(event, "username", message, "ser '", "'") else { return false };
    let Some(command) = value(event, "command").or_else(|| {
        let (_, rest) = cut(message, "command '")?;
        Some(Cow::Borrowed(rest.rsplit_once('\'').map_or(rest, |(command, _)| command)))
    }) else {
        return false;
    };
    let command = command.trim().to_owned();
    event.class = Class::ProcessActivity;
    event.activity_id = 1;
    event.push(Attribute::ActorUserName, user.clone());
    event.push(Attribute::ProcessUid, event.id.to_string());
    event.push(Attribute::ProcessName, word(&command).0.to_owned());
    event.push(Attribute::ProcessCmdLine, command);
    event.push(Attribute::ProcessUserName, user);
    event.push(Attribute::LaunchTypeId, 3);
    success(event);
    true
}

/// `User 'ann' requested 'commit' operation (comment: none)`, `User 'ann' set: [system host-name] "a" -> "b"`.
fn changed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(user) = said(event, "username", message, "ser '", "'") else { return false };
    event.class = Class::DeviceConfigStateChange;
    event.activity_id = 1;
    event.push(Attribute::ActorUserName, user);
    success(event);
    true
}

/// Who was let in through a port of a switch, or whose session there ended.
fn port_access(code: &str, event: &mut Event<'_>) -> bool {
    let Some(user) = value(event, "username") else { return false };
    enter(user, "dot1x", None, event);
    if code.ends_with("DISCONNECTED") {
        event.activity_id = 2;
    }
    for (attribute, name) in
        [(Attribute::SrcEndpointMac, "mac-address"), (Attribute::SrcEndpointInterfaceName, "interface-name")]
    {
        if let Some(value) = value(event, name) {
            event.push(attribute, value);
        }
    }
    success(event);
    true
}

/// A community that is none: a connection that was refused.
fn stranger(event: &mut Event<'_>) -> bool {
    let Some(from) = value(event, "source-address").filter(|from| ip(from).is_some()) else { return false };
    event.class = Class::NetworkActivity;
    event.activity_id = 5;
    event.push(Attribute::SrcEndpointIp, from);
    if let Some(to) = value(event, "destination-address").filter(|to| ip(to).is_some()) {
        event.push(Attribute::DstEndpointIp, to);
    }
    event.push(Attribute::ConnectionDirectionId, 1);
    event.push(Attribute::AppProtocolName, "snmp");
    let reason = value(event, "message").unwrap_or_default();
    failure(event, reason);
    true
}

fn link(code: &str, event: &mut Event<'_>) -> bool {
    let Some(interface) = value(event, "interface-name") else { return false };
    let up = code.ends_with("_UP");
    event.class = Class::NetworkActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, if up { "Link Up" } else { "Link Down" });
    event.push(Attribute::SrcEndpointInterfaceName, interface);
    if up {
        success(event);
    } else {
        failure(event, "down");
    }
    true
}

/// A tunnel with its two ends.
fn tunnelled<'a>(activity: u8, local: Cow<'a, str>, remote: Cow<'a, str>, event: &mut Event<'a>) {
    event.class = Class::TunnelActivity;
    event.activity_id = activity;
    event.push(Attribute::TunnelTypeId, 0);
    event.push(Attribute::EmailProtocolName, "IPsec");
    for (attribute, address) in [(Attribute::SrcEndpointIp, remote), (Attribute::DstEndpointIp, local)] {
        if ip(&address).is_some() {
            event.push(attribute, address);
        }
    }
}

/// `KMD_PM_SA_ESTABLISHED`, `KMD_VPN_UP_ALARM_USER`, `KMD_VPN_DOWN_ALARM_USER`.
fn tunnel(code: &str, event: &mut Event<'_>) -> bool {
    let Some(remote) = value(event, "remote-address") else { return false };
    let activity = match code {
        _ if code.ends_with("_ESTABLISHED") || code.contains("_UP_") => 1,
        _ if code.contains("_DOWN_") => 2,
        _ => return false,
    };
    let local = value(event, "local-address").unwrap_or_default();
    tunnelled(activity, local, remote, event);
    if let Some(name) = value(event, "vpn-name") {
        event.push(Attribute::SessionUid, name);
    }
    success(event);
    true
}

/// `IKE negotiation failed with error: E. IKE Version: 1, VPN: V Gateway: G, Local: A/500, Remote: B/500, …`.
fn negotiation<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, " negotiation ").filter(|(kind, _)| matches!(*kind, "IKE" | "IPSec")) else {
        return false;
    };
    let end = |mark: &str| {
        let (_, rest) = cut(rest, mark)?;
        let (host, number) = rest.split([',', ' ']).next()?.split_once('/')?;
        Some((ip(host)?, port(number)))
    };
    let Some((remote, from)) = end("Remote: ") else { return false };
    let (local, to) = end("Local: ").unwrap_or_default();
    let failed = rest.strip_prefix("failed with error: ");
    tunnelled(if failed.is_some() { 99 } else { 1 }, Cow::Borrowed(local), Cow::Borrowed(remote), event);
    for (attribute, number) in [(Attribute::SrcEndpointPort, from), (Attribute::DstEndpointPort, to)] {
        if let Some(number) = number {
            event.push(attribute, number);
        }
    }
    match failed {
        Some(error) => {
            event.push(Attribute::ActivityName, "Fail");
            failure(event, cut(error, ". IKE Version").map_or(error, |(error, _)| error));
        }
        None => success(event),
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn who_came_and_what_was_typed_is_read_from_text_and_parameters() {
        for (line, kind, at, value) in [
            (
                "<37>1 2026-03-16T09:00:00.5Z fw sshd - SSHD_LOGIN_FAILED [junos@2636.1.1.1.2.26 username=\"ann\" source-address=\"192.0.2.7\"]",
                300_201,
                "/src_endpoint/ip",
                json!("192.0.2.7"),
            ),
            (
                "Mar 16 10:00:00 fw mgd[7]: UI_LOGIN_EVENT: User 'ann' login, class 'j-super-user' [7], ssh-connection '192.0.2.7 4711 198.51.100.9 22', client-mode 'cli'",
                300_201,
                "/src_endpoint",
                json!({"ip": "192.0.2.7", "port": 4711}),
            ),
            ("Mar 16 10:00:00 fw mgd[7]: UI_LOGOUT_EVENT: User 'ann' logout", 300_202, "/user/name", json!("ann")),
            (
                "Mar 16 10:00:00 fw mgd[7]: UI_CMDLINE_READ_LINE: User 'ann', command 'show | match 'x' '",
                100_701,
                "/process/cmd_line",
                json!("show | match 'x'"),
            ),
            (
                "<189>1 2026-03-16T09:00:00.5Z fw mgd 7 UI_CMDLINE_READ_LINE [junos@2636.1.1.1.2.26 username=\"ann\" command=\"show version \"] User 'ann', command 'show version '",
                100_701,
                "/actor/user/name",
                json!("ann"),
            ),
            (
                "Mar 16 10:00:00 fw mgd[7]: UI_COMMIT: User 'ann' requested 'commit' operation (comment: none)",
                501_901,
                "/actor/user/name",
                json!("ann"),
            ),
            (
                "<30>1 2026-03-16T09:00:00.5Z sw dot1xd 7 DOT1XD_USR_AUTHENTICATED [junos@2636.1.1.1.2.26 username=\"ann\" mac-address=\"00:00:5E:00:53:01\" interface-name=\"ge-0/0/1.0\"] said",
                300_201,
                "/src_endpoint/mac",
                json!("00:00:5E:00:53:01"),
            ),
        ] {
            let event = normalized(line);
            assert_eq!((&event["type_uid"], event.pointer(at)), (&json!(kind), Some(&value)), "{line}");
        }
    }

    #[test]
    fn tunnels_links_and_strangers_have_their_class() {
        let behind = "VPN: v Gateway: g, Local: 198.51.100.9/500, Remote: 192.0.2.7/4500, Local IKE-ID: x";
        for (line, kind, status) in [
            (
                format!(
                    "<27>1 2026-03-16T09:00:00.5Z fw kmd 7 - - IKE negotiation failed with error: Timed out. IKE Version: 1, {behind}"
                ),
                401_499,
                2,
            ),
            (
                format!(
                    "<30>1 2026-03-16T09:00:00.5Z fw kmd 7 - - IKE negotiation successfully completed. IKE Version: 1, {behind}"
                ),
                401_401,
                1,
            ),
            (
                "<30>1 2026-03-16T09:00:00.5Z fw kmd 7 KMD_PM_SA_ESTABLISHED [junos@2636.1.1.1.2.26 local-address=\"198.51.100.9\" remote-address=\"192.0.2.7\"]"
                    .to_owned(),
                401_401,
                1,
            ),
            (
                "<37>1 2026-03-16T09:00:00.5Z fw snmpd 7 SNMPD_AUTH_FAILURE [junos@2636.1.1.1.2.26 message=\"unauthorized\" source-address=\"192.0.2.7\"]"
                    .to_owned(),
                400_105,
                2,
            ),
        ] {
            let event = normalized(&line);
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{line}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7", "{line}");
        }
        let event = normalized(
            "<28>1 2026-03-16T09:00:00.5Z fw mib2d 7 SNMP_TRAP_LINK_DOWN [junos@2636.1.1.1.2.26 interface-name=\"st0.6\"]",
        );
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["interface_name"]), (&json!(400_199), &json!("st0.6")));
        for (peer, source) in [
            ("Connection from UDP: [192.0.2.7]:46->[192.0.2.9]:161", json!({"ip": "192.0.2.7", "port": 46})),
            ("Received SNMP packet(s) from UDP: [192.0.2.7]:46", json!({"ip": "192.0.2.7", "port": 46})),
            ("Received SNMP packet(s) from 192.0.2.7", json!({"ip": "192.0.2.7"})),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h snmpd[7]: {peer}"));
            assert_eq!((&event["type_uid"], &event["src_endpoint"]), (&json!(400_101), &source), "{peer}");
        }
        assert_eq!(normalized("Mar 16 10:00:00 h snmpd[7]: NET-SNMP version 5.9")["class_uid"], 0);
        assert_eq!(normalized("Mar 16 10:00:00 fw kmd[7]: something else")["type_uid"], 600_299);
    }
}
