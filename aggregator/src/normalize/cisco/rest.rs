//! Messages of ASA and IOS that have no reader of their own: what can be said of each by its words.
//!
//! In: the text behind the mnemonic. Out: traffic between two ends (4001), somebody who logged on (3002) or changed something
//! (5019), what befell a peer or an interface (4001), the device's own life (6002). Nothing where none of these is named.
//! Source: Cisco Secure Firewall ASA Series Syslog Messages; Cisco IOS System Message Guide.

use super::super::endpoint::push_source;
use super::super::outcome::{Control, failure, success};
use super::super::text::{between, cut, unquoted, word};
use super::{after, flow, ios, ios_access};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most words of a message that are looked at.
const WORDS_MAX: usize = 48;

/// What a message says of something that went wrong.
const BAD: [&str; 17] = [
    "ail", "rror", "own", "enied", "Deny", "rop", "ismatch", "nable", "not ", "onflict", "exceed", "lost", "invalid",
    "dead", "nvalid", "removed", "REMOVED",
];

/// What a message says of traffic that did not pass.
const STOPPED: [&str; 8] = ["Deny", "enied", "rop", "terminat", "iscard", "lock", "ailed", "exceed"];

fn says(message: &str, words: &[&str]) -> bool {
    words.iter().any(|word| cut(message, word).is_some())
}

/// Reads a message; `device` is what sent it.
pub(super) fn parse<'a>(message: &'a str, device: &'static str, event: &mut Event<'a>) -> bool {
    traffic(message, event) || somebody(message, event) || befell(message, event) || life(message, device, event)
}

/// `… from outside:A/p to inside:B/p …`.
fn traffic<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let control = if says(message, &STOPPED) { Control::Blocked } else { Control::Observed };
    flow::between_ends(message) && flow::controlled_flow(message, control, event)
}

/// `User 'u'`, `user u`, `Uname: u`, `by u on vty0 (A)`.
fn named(message: &str) -> Option<&str> {
    let quoted = between(message, "ser '", "'").or_else(|| between(message, "ser \"", "\"")).map(|(user, _)| user);
    let user = quoted.or_else(|| {
        ["Uname: ", "ser = ", "ser: ", "for user ", "by user ", "user ", "User "]
            .iter()
            .find_map(|mark| after(message, mark))
    })?;
    let user = unquoted(user.trim_end_matches(['.', ';', ':']));
    (!user.is_empty() && !matches!(user, "is" | "has" | "authentication" | "=" | ":")).then_some(user)
}

/// Somebody who logged on or off, was refused, or changed something.
fn somebody<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let logs = says(message, &["ogin", "ogged ", "ogout", "uthentic", "assword"]);
    if let Some(user) = named(message).filter(|_| logs) {
        event.class = Class::Authentication;
        event.activity_id = if says(message, &["ogged out", "ogout"]) { 2 } else { 1 };
        event.push(Attribute::UserName, flow::bare_user(user));
        let service = ["netconf", "nginx", "ssh", "SSH", "ASDM", "console"].into_iter();
        event.push(Attribute::ServiceName, service.clone().find(|name| says(message, &[name])).unwrap_or("AAA"));
        let from = ["from host ", "from IP ", "from '", "from ", "host ", "IP "];
        let host = from.iter().find_map(|mark| after(message, mark)).map(|host| host.trim_matches('\''));
        if let Some((host, port)) = host.and_then(super::vpn::address) {
            push_source(event, host, port);
        }
        if says(message, &["ail", "enied", "ejected", "ncorrect", "nvalid", "nreachable", "locked", "expired"]) {
            failure(event, message);
        } else {
            success(event);
        }
        return true;
    }
    if let Some(user) = named(message).filter(|_| says(message, &["onfiguration committed"])) {
        event.class = Class::DeviceConfigStateChange;
        event.activity_id = 1;
        event.push(Attribute::ActorUserName, user);
        success(event);
        return true;
    }
    let changed = says(message, &[" on vty", " on con", " on tty", "onfigured from "]);
    changed && says(message, &[" by "]) && ios_access::configured(message, event)
}

/// A peer, a host or an interface, and what became of it.
fn befell<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let words = || {
        let bare = |word: &'a str| word.trim_matches(['.', ':', '\'', '"', '>', '<']);
        message.split([' ', ',', '(', ')', '[', ']', '/', ';', '=']).take(WORDS_MAX).map(bare)
    };
    // No address stands for none.
    let known = |text| super::vpn::address(text).map(|(ip, _)| ip).filter(|ip| !matches!(*ip, "0.0.0.0" | "::"));
    let sender = cut(message, "Join from ").and_then(|(_, rest)| known(word(rest).0));
    let address = sender.or_else(|| words().find_map(known));
    let mac = words().find_map(ios::colons);
    let port = |word: &&str| {
        let digit = word.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        let named = digit >= 2 && word.starts_with(|c: char| c.is_ascii_uppercase());
        named && (word.contains('/') || word.starts_with("Vlan"))
    };
    let interface =
        after(message, "nterface ").or_else(|| message.split([' ', ',', '(', ')']).take(WORDS_MAX).find(port));
    let interface = interface.filter(|name| !matches!(*name, "failed" | "is" | "has" | "status"));
    if address.is_none() && interface.is_none() {
        return false;
    }
    event.class = Class::NetworkActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, "Status");
    if let Some(address) = address {
        event.push(Attribute::SrcEndpointIp, address);
    }
    if let Some(mac) = mac {
        event.push(Attribute::SrcEndpointMac, mac);
    }
    if let Some(interface) = interface {
        event.push(Attribute::SrcEndpointInterfaceName, interface.trim_end_matches(['.', ':', ';']));
    }
    if says(message, &BAD) {
        failure(event, message);
    } else {
        success(event);
    }
    true
}

/// The device, a module or a program of it that starts, stops, or takes over.
fn life<'a>(message: &'a str, device: &'static str, event: &mut Event<'a>) -> bool {
    let activity = if says(message, &["eload", "estart", "eboot"]) {
        5
    } else if says(message, &["tartup", "booted", "cold start", "warm start", "started", "ACTIVE"]) {
        3
    } else if says(message, &["shutdown", "hutting down", "stopped", "STANDBY"]) {
        4
    } else {
        return false;
    };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    let module = message.strip_prefix("Module ").or_else(|| message.strip_prefix("Process ")).map(|rest| word(rest).0);
    event.push(Attribute::AppName, module.unwrap_or(device));
    event.push(Attribute::AppVendorName, "Cisco");
    event.push(Attribute::StatusDetail, message);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn messages_without_a_reader_say_what_their_words_say() {
        for (message, kind, at, value) in [
            (
                "%ASA-6-110003: Routing failed to locate next hop for TCP from inside:192.0.2.1/5 to outside:198.51.100.9/22",
                400_105,
                "/src_endpoint/ip",
                "192.0.2.1",
            ),
            (
                "%ASA-6-607001: Pre-allocate SIP Via UDP secondary channel for outside:192.0.2.1/5060 to inside:198.51.100.9 from INVITE message",
                400_106,
                "/dst_endpoint/ip",
                "198.51.100.9",
            ),
            (
                "%ASA-6-772002: PASSWORD: console login warning, user bob, cause: password expired",
                300_201,
                "/user/name",
                "bob",
            ),
            ("%ASA-5-505016: Module sfr Application reloading \"a\", version \"b\"", 600_205, "/app/name", "sfr"),
            (
                "%HSRP-5-STATECHANGE: GigabitEthernet0/1 Grp 1 state Standby -> Active",
                400_199,
                "/src_endpoint/interface_name",
                "GigabitEthernet0/1",
            ),
            (
                "%ARP-4-INVAL_IP:  arp [3303]  Received packet with invalid destination IP address (0.0.0.0) from 0011.2233.4455 on Vlan5",
                400_199,
                "/src_endpoint/mac",
                "00:11:22:33:44:55",
            ),
            (
                "%PIM-SW1-6-INVALID_RP_JOIN: Received (198.51.100.5, 203.0.113.7) Join from 192.0.2.6 for invalid RP 198.51.100.3",
                400_199,
                "/src_endpoint/ip",
                "192.0.2.6",
            ),
            (
                "%RADIUS-4-RADIUS_DEAD: RADIUS server 192.0.2.5:1812,1813 is not responding.",
                400_199,
                "/status",
                "Failure",
            ),
            (
                "%CLEAR-5-COUNTERS: Clear counter on all interfaces by bob on vty0 (192.0.2.1)",
                501_901,
                "/actor/user/name",
                "bob",
            ),
            (
                "%WEBSERVER-5-LOGIN_PASSED: Chassis 1 R0/0: nginx: Login Successful from host 192.0.2.1 by user 'bob' using crypto cipher 'x'",
                300_201,
                "/src_endpoint/ip",
                "192.0.2.1",
            ),
        ] {
            let event = normalized(&format!("<166>Mar 16 2026 10:00:00 fw-1: {message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event.pointer(at).and_then(|found| found.as_str()), Some(value), "{message}");
        }
        assert_eq!(normalized("<166>Mar 16 2026 10:00:00 fw-1: %ASA-6-199018: x")["type_uid"], 600_299);
        let event = normalized("<188>%ARP-4-INVAL_IP: Received packet with invalid address (0.0.0.0) on Vlan5");
        assert!(event["src_endpoint"].get("ip").is_none());
    }
}
