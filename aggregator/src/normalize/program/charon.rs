//! strongSwan's charon: security associations that came and went (4014), peers and users that proved who they are or did not
//! (3002), packets (4001), the service itself (6002, 6008).
//!
//! `05[IKE] <rw|1> text`: thread, group, and the association's name. Source: strongSwan, `src/libcharon/sa`, `bus_logger`;
//! libipsec's and charon-systemd's names of the program.

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{between, cut, port, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((group, text)) = grouped(message) else { return remark("charon", message, event) };
    event.unmap("group", group);
    let text = match text.strip_prefix('<').and_then(|rest| rest.split_once("> ")) {
        Some((association, rest)) => {
            event.unmap("association", association);
            rest
        }
        None => text,
    };
    logon(text, event) || association(text, event) || packet(text, event) || remark("charon", text, event)
}

/// `05[IKE] text`: the group and the text.
fn grouped(message: &str) -> Option<(&str, &str)> {
    let (thread, rest) = message.split_once('[')?;
    let (group, text) = rest.split_once("] ")?;
    let is = thread.len() == 2 && thread.bytes().all(|b| b.is_ascii_digit()) && group.len() <= 4;
    is.then_some((group, text))
}

/// `A[p]`: an address and its port, or who it says it is.
fn peer(text: &str) -> Option<(&str, &str)> {
    let (address, rest) = text.split_once('[')?;
    Some((ip(address)?, rest.split_once(']')?.0))
}

/// What was proved, and by whom.
fn logon<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let by = |rest: &'a str| between(rest, "'", "'").map(|(user, _)| user);
    let own = text.contains("(myself)");
    let (user, passed) = if let Some(rest) = text.strip_prefix("authentication of ").filter(|_| !own) {
        (by(rest), !text.contains(" failed"))
    } else if let Some(rest) = text.strip_prefix("XAuth authentication of ").filter(|_| !own) {
        (by(rest), !text.contains(" failed"))
    } else if let Some((_, rest)) = cut(text, " failed for peer ") {
        (Some(rest), false)
    } else if text.starts_with("tried ") && text.contains("MAC mismatched")
        || text.starts_with("no shared key found for ")
    {
        // The peer's name is the second of the two.
        (text.rsplit_once(" - ").and_then(|(_, rest)| by(rest)), false)
    } else {
        return false;
    };
    let Some(user) = user.filter(|user| !user.is_empty()) else { return false };
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "charon");
    event.push(Attribute::IsRemote, true);
    if let Some((_, method)) = cut(text, "' with ") {
        event.push(Attribute::AuthProtocol, method.rsplit_once(' ').map_or(method, |(method, _)| method));
        event.push(Attribute::AuthProtocolId, 99);
    }
    if passed {
        success(event);
    } else {
        failure(event, text);
    }
    true
}

/// `IKE_SA rw[1] established between L[NAME]...R[NAME]`, `deleting IKE_SA rw[1] between L[NAME]...R[NAME]`, `R is initiating an
/// IKE_SA`, `assigning virtual IP A to peer 'NAME'`.
fn association<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let mut open = |activity: u8| {
        event.class = Class::TunnelActivity;
        event.activity_id = activity;
        event.push(Attribute::TunnelTypeId, 0);
        event.push(Attribute::EmailProtocolName, "IPsec");
        success(event);
    };
    if let Some((_, ends)) = cut(text, " between ").filter(|_| text.contains("IKE_SA ")) {
        let Some(((local, local_name), (remote, name))) =
            ends.split_once("...").and_then(|(local, remote)| Some((peer(local)?, peer(remote)?)))
        else {
            return false;
        };
        open(if text.starts_with("deleting ") { 2 } else { 1 });
        push_source(event, remote, None);
        push_destination(event, local, None);
        event.push(Attribute::UserName, name);
        event.unmap("local_name", local_name);
        if let Some((_, rest)) = cut(text, "IKE_SA ") {
            event.push(Attribute::SessionUid, word(rest).0);
        }
        return true;
    }
    if let Some((remote, _)) = cut(text, " is initiating a") {
        let Some(remote) = ip(remote) else { return false };
        open(1);
        return push_source(event, remote, None);
    }
    if let Some((assigned, rest)) = text.strip_prefix("assigning virtual IP ").map(word) {
        let (Some(assigned), Some((user, _))) = (ip(assigned), between(rest, "'", "'")) else { return false };
        open(1);
        event.push(Attribute::TunnelInterfaceIp, assigned);
        event.push(Attribute::UserName, user);
        return true;
    }
    false
}

/// `received packet: from A[500] to B[500] (464 bytes)`, `sending packet: from …`.
fn packet<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((verb, rest)) = cut(text, " packet: from ") else { return false };
    let (from, rest) = word(rest);
    let (Some((source, from)), Some((destination, to))) = (peer(from), rest.strip_prefix("to ").and_then(peer)) else {
        return false;
    };
    event.class = Class::NetworkActivity;
    event.activity_id = 6;
    push_source(event, source, port(from));
    push_destination(event, destination, port(to));
    event.push(Attribute::ConnectionDirectionId, if verb == "received" { 1 } else { 2 });
    event.push(Attribute::ConnectionProtocolName, "udp");
    event.push(Attribute::ConnectionProtocolNum, 17);
    event.push(Attribute::AppProtocolName, "ike");
    if let Some(bytes) = between(rest, "(", " bytes").and_then(|(bytes, _)| bytes.parse::<u32>().ok()) {
        event.push(Attribute::TrafficBytes, bytes);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn associations_proofs_and_packets_have_their_class() {
        for (text, kind, status, user) in [
            ("05[IKE] IKE_SA rw[1] established between 198.51.100.1[gw]...192.0.2.7[ann]", 401_401, 1, json!("ann")),
            (
                "05[IKE] <rw|1> deleting IKE_SA rw[1] between 198.51.100.1[gw]...192.0.2.7[ann]",
                401_402,
                1,
                json!("ann"),
            ),
            ("05[IKE] 192.0.2.7 is initiating an IKE_SA", 401_401, 1, json!(null)),
            ("05[IKE] assigning virtual IP 10.0.0.1 to peer 'ann'", 401_401, 1, json!("ann")),
            ("05[IKE] authentication of 'ann' with EAP successful", 300_201, 1, json!("ann")),
            ("05[IKE] EAP method EAP_MSCHAPV2 failed for peer ann", 300_201, 2, json!("ann")),
            ("05[IKE] tried 1 shared key for 'gw' - 'ann', but MAC mismatched", 300_201, 2, json!("ann")),
            ("05[IKE] authentication of 'gw' (myself) with pre-shared key", 600_299, 1, json!(null)),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw charon[7]: {text}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{text}");
            assert_eq!(event["user"]["name"], user, "{text}");
            if kind / 100 == 4014 && !text.contains("virtual") {
                assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7", "{text}");
            }
        }
        let event = normalized(
            "Mar 16 10:00:00 gw charon: 05[NET] received packet: from 192.0.2.7[500] to 198.51.100.1[4500] (464 bytes)",
        );
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 500}));
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.1", "port": 4500}));
        assert_eq!((&event["type_uid"], &event["traffic"]["bytes"]), (&json!(400_106), &json!(464)));
    }

    #[test]
    fn tunnels_name_both_ends_and_the_peer() {
        for (message, kind) in [
            ("05[IKE] IKE_SA vpn[1] established between 198.51.100.1[gw.example]...192.0.2.1[bob]", 401_401),
            ("05[IKE] deleting IKE_SA vpn[1] between 198.51.100.1[gw.example]...192.0.2.1[bob]", 401_402),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw charon[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["user"]["name"]), (&kind.into(), &"bob".into()), "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
            assert_eq!(event["dst_endpoint"]["ip"], "198.51.100.1", "{message}");
        }
    }

    #[test]
    fn peers_prove_who_they_are_or_do_not() {
        for (message, status) in [
            ("07[IKE] EAP method EAP_MSCHAPV2 failed for peer bob", 2),
            ("07[IKE] authentication of 'bob' with EAP successful", 1),
            ("07[IKE] XAuth authentication of 'bob' failed", 2),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw charon[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &status.into()), "{message}");
            assert_eq!(event["user"]["name"], "bob", "{message}");
        }
        let own = "07[IKE] authentication of 'gw.example' (myself) with RSA signature successful";
        assert_eq!(normalized(&format!("Mar 16 10:00:00 gw charon[9]: {own}"))["type_uid"], 600_299);
    }
}
