//! Who logged on to an ASA, through it, or was refused; accounts, privilege, and addresses that a user holds.
//!
//! Source: Cisco Secure Firewall ASA Series Syslog Messages, 109001 to 113021, 308001, 315011, 502101 to 502103, 605004 to 611103,
//! 746012 and 746013.

use super::super::endpoint::{push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::text::{between, cut, unquoted, word};
use super::flow::{End, bare_user, service_port};
use super::{after, asa, vpn};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message about who came and went.
pub(super) fn parse<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    match id {
        502_101 | 502_102 => account(message, if id == 502_101 { 1 } else { 6 }, event),
        113_006 => account(message, 9, event),
        113_007 => account(message, 12, event),
        605_004 | 605_005 => login(message, id == 605_005, event),
        315_011 => ssh_ended(message, event),
        716_038 | 716_039 => web_vpn(message, id == 716_038, event),
        606_001..=606_004 => match after(message, " from ") {
            Some(source) => asa::management(source, message.contains("start"), "https", event),
            None => false,
        },
        746_012 | 746_013 => mapping(message, id == 746_012, event),
        308_001 => {
            let Some((_, source)) = cut(message, "(from ") else { return false };
            logon(event, "enable", "console", 1);
            failure(event, "password incorrect");
            push_source(event, source.trim_end_matches(')'), None)
        }
        _ => named(message, id, event),
    }
}

fn logon<'a>(event: &mut Event<'a>, user: &'a str, service: &'a str, activity: u8) {
    event.class = Class::Authentication;
    event.activity_id = activity;
    let (domain, name) = user.rsplit_once('\\').map_or((None, user), |(domain, name)| (Some(domain), name));
    event.push(Attribute::UserName, name);
    if let Some(domain) = domain {
        event.push(Attribute::UserDomain, domain);
    }
    event.push(Attribute::ServiceName, service);
}

/// `New user added to local dbase: Uname: u Priv: n …`, `User u locked out on …`.
fn account<'a>(message: &'a str, activity: u8, event: &mut Event<'a>) -> bool {
    let Some(user) = after(message, "Uname: ").or_else(|| after(message, "User ")) else { return false };
    event.class = Class::AccountChange;
    event.activity_id = activity;
    event.push(Attribute::UserName, unquoted(user));
    success(event);
    if let Some(level) = after(message, "Priv: ") {
        event.unmap("privilege", level);
    }
    true
}

/// `Login denied|permitted from A/p to [interface:]B/service for user "u"`.
fn login<'a>(message: &'a str, permitted: bool, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, " from ") else { return false };
    let Some((source, rest)) = End::parse(rest) else { return false };
    let Some((target, rest)) = cut(rest, "to ").map(|(_, rest)| word(rest)) else { return false };
    let (host, service) = target.rsplit_once('/').unwrap_or((target, "login"));
    let Some((_, user)) = cut(rest, "user ") else { return false };
    logon(event, unquoted(user.trim_end()), service, 1);
    push_source(event, source.host, source.port);
    let (interface, host) =
        host.split_once(':').filter(|_| super::super::endpoint::ip(host).is_none()).unwrap_or(("", host));
    push_destination(event, host, service_port(service));
    if !interface.is_empty() {
        event.unmap("interface", interface);
    }
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, 10);
    if permitted {
        success(event)
    } else {
        failure(event, "denied")
    }
    true
}

/// `SSH session from A on interface I for user "u" disconnected by SSH server, reason: "…"`.
fn ssh_ended<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, "for user ") else { return false };
    let (user, rest) = match rest.strip_prefix('"') {
        Some(quoted) => cut(quoted, "\"").unwrap_or((quoted, "")),
        None => word(rest),
    };
    event.class = Class::SshActivity;
    event.activity_id = 2;
    // The address may be missing: `SSH session from on interface …`.
    if let Some(source) = after(message, " from ").filter(|source| *source != "on") {
        push_source(event, source, None);
    }
    event.push(Attribute::ActorUserName, user);
    if let Some(interface) = after(message, "on interface ") {
        event.push(Attribute::SrcEndpointInterfaceName, interface);
    }
    event.push(Attribute::AppProtocolName, "ssh");
    success(event);
    if let Some((_, reason)) = cut(rest, "reason: ") {
        let quoted = between(reason, "\"", "\"").map(|(reason, _)| reason);
        event.push(Attribute::StatusDetail, quoted.unwrap_or_else(|| reason.trim_end_matches('.')));
    }
    true
}

/// `user-identity: Add IP-User mapping A - DOMAIN\u Succeeded - reason`.
fn mapping<'a>(message: &'a str, added: bool, event: &mut Event<'a>) -> bool {
    let Some((address, rest)) = cut(message, "mapping ").map(|(_, rest)| word(rest)) else { return false };
    let (user, rest) = word(rest.trim_start_matches(['-', ' ']));
    logon(event, user, "user-identity", if added { 1 } else { 2 });
    push_source(event, address, None);
    let (result, reason) = rest.split_once(" - ").unwrap_or((rest, ""));
    if result.trim().eq_ignore_ascii_case("failed") {
        failure(event, reason);
    } else {
        success(event);
        if !reason.is_empty() {
            event.push(Attribute::StatusDetail, reason);
        }
    }
    true
}

/// `Group <g> User <u> IP <a> Authentication: successful, Session Type: WebVPN.`, and before version 8.3 `Authentication:
/// rejected, group = g user = u , Session Type: WebVPN`.
fn web_vpn<'a>(message: &'a str, permitted: bool, event: &mut Event<'a>) -> bool {
    let peer = vpn::peer(message);
    let older = |mark, end| between(message, mark, end).map(|(value, _)| value.trim());
    let Some(user) = peer.user.or_else(|| older("user = ", ",")) else { return false };
    logon(event, user, "WebVPN", 1);
    if let Some(address) = peer.address {
        push_source(event, address, None);
    }
    if let Some(group) = peer.group.or_else(|| older("group = ", " user = ")) {
        event.unmap("group", group);
    }
    if let Some(kind) = after(message, "Session Type: ") {
        event.unmap("session_type", kind.trim_end_matches('.'));
    }
    event.push(Attribute::IsRemote, true);
    if permitted {
        success(event)
    } else {
        failure(event, "rejected")
    }
    true
}

/// Messages of authentication, authorization and accounting: `user = u`, `Uname: u`, `User=u`, `for user u`, `user 'u'`.
fn named<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    // What follows ends at a colon with a space on one side or the other; it may be empty.
    let stated = |mark| {
        cut(text, mark).map(|(_, rest)| {
            let end = [" :", ": ", " ,", ", "].iter().filter_map(|end| rest.find(end)).min();
            rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest)
        })
    };
    let called = || {
        ["Uname: ", "User=", "for user ", "user ", "User "].iter().find_map(|mark| {
            let (_, rest) = cut(text, mark)?;
            let rest = rest.strip_prefix(['\'', '"']).unwrap_or(rest);
            let end = rest.find([' ', ',', '\'', '"']).unwrap_or(rest.len());
            rest.get(..end).filter(|user| !user.is_empty() && *user != ":")
        })
    };
    let Some(user) = stated("user = ").or_else(|| stated("User = ")).or_else(called) else { return false };
    let switched = id == 502_103;
    let ended = matches!(id, 109_012 | 611_103 | 109_210);
    logon(
        event,
        user,
        "AAA",
        if switched {
            7
        } else if ended {
            2
        } else {
            1
        },
    );
    let source = text
        .rfind("user IP = ")
        .and_then(|at| after(text.get(at..)?, "user IP = "))
        .or_else(|| after(text, "IP address: "))
        .or_else(|| after(text, "Assigned IP="));
    match source {
        Some("None") => {}
        Some(source) => {
            push_source(event, source, None);
        }
        None => ends(text, event),
    }
    for (key, mark) in [
        ("server", "server = "),
        ("policy", "policy ("),
        ("session", "Session="),
        ("from_level", "From: "),
        ("to_level", "To: "),
    ] {
        if let Some(value) = after(text, mark) {
            event.unmap(key, value.trim_end_matches(')'));
        }
    }
    let lower = |needle: &str| cut(text, needle).is_some();
    let bad = ["ejected", "ailed", "enied", "ERROR", "FAIL", "REJECT", "unable", "not accessible", "did NOT"];
    if matches!(id, 109_025) || bad.iter().any(|word| lower(word)) {
        failure(event, stated("reason = ").unwrap_or_default());
    } else {
        success(event);
    }
    true
}

/// `… from A/p to B/p on interface I`, as 109005 and its kin have it.
fn ends<'a>(text: &'a str, event: &mut Event<'a>) {
    let Some((source, rest)) = cut(text, " from ").and_then(|(_, rest)| End::parse(rest)) else { return };
    push_source(event, source.host, source.port);
    if let Some((destination, _)) = cut(rest, "to ").and_then(|(_, rest)| End::parse(rest)) {
        push_destination(event, destination.host, destination.port);
    }
    if let Some(user) = source.user {
        event.unmap("src_user", bare_user(user));
    }
}
