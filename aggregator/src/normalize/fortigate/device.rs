//! What a FortiGate says of itself: tunnels (4014), logons (3002), changes of configuration (5019), leases (4004), neighbors of
//! its routers (4001), requests to its API (4002), its own life (6002) and faults (6008).
//!
//! In: the keys of a line of `type="event"`. Source: Fortinet, FortiOS Log Message Reference 7.4, "Event".

use super::super::combined::{push_code, push_method};
use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::record::is_mac;
use super::super::text::{cut, number, port};
use super::{Keys, ends};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// A tunnel of IPsec or TLS, or who logged on through it.
pub(super) fn tunnel<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let action = keys.find("action").unwrap_or_default();
    if action.contains("login") {
        return logon(keys, event);
    }
    event.class = Class::TunnelActivity;
    let bad = action.contains("fail")
        || keys.find("status").is_some_and(|status| status.contains("fail") || status.contains("error"));
    event.activity_id = match action {
        _ if bad => 99,
        "tunnel-up" | "install_sa" | "phase2-up" | "ssl-new-con" => 1,
        "tunnel-down" | "delete_phase1_sa" | "phase2-down" | "delete_ipsec_sa" | "ssl-exit" => 2,
        "negotiate" | "tunnel-stats" | "dpd" => 99,
        _ => 99,
    };
    if event.activity_id == 99 {
        event.push(Attribute::ActivityName, if action.is_empty() { "Status" } else { action });
    }
    if let Some(user) = keys.any(&["user", "xauthuser"]) {
        event.push(Attribute::UserName, user);
    }
    if let Some(session) = keys.any(&["tunnelid", "cookies"]) {
        event.push(Attribute::SessionUid, session);
    }
    event.push(Attribute::TunnelTypeId, 0);
    if let Some(kind) = keys.find("tunneltype") {
        event.push(Attribute::TunnelType, kind);
    }
    if let Some(name) = keys.any(&["vpntunnel", "vpn_tunnel"]) {
        event.push(Attribute::TunnelInterfaceName, name);
    }
    if let Some(ip) = keys.any(&["tunnelip", "assignip"]).and_then(endpoint::ip) {
        event.push(Attribute::TunnelInterfaceIp, ip);
    }
    for (attribute, key) in [(Attribute::TrafficBytesOut, "sentbyte"), (Attribute::TrafficBytesIn, "rcvdbyte")] {
        if let Some(bytes) = keys.find(key).and_then(|bytes| bytes.parse::<i64>().ok()) {
            event.push(attribute, bytes);
        }
    }
    if let Some(seconds) = keys.find("duration").and_then(number) {
        event.push(Attribute::Duration, seconds * 1000);
    }
    if keys.find("init") == Some("local") || keys.find("role") == Some("initiator") {
        begun_here(keys, event);
    } else {
        ends(keys, event);
    }
    if bad {
        failure(event, keys.any(&["reason", "msg"]).unwrap_or_default())
    } else {
        success(event)
    }
    true
}

/// The ends of a tunnel that the device itself began: from it to the peer.
fn begun_here<'a>(keys: &Keys<'a>, event: &mut Event<'a>) {
    let ports = |names: &[&str]| keys.any(names).and_then(port);
    if let Some(local) = keys.any(&["locip", "loc_ip"]) {
        push_source(event, local, ports(&["locport", "loc_port"]));
    }
    if let Some(peer) = keys.any(&["remip", "rem_ip"]) {
        push_destination(event, peer, ports(&["remport", "rem_port"]));
    }
}

/// A FortiClient that came or went: `action="add|close" connection_type="sslvpn" user="u" ip=A name="HOST"`.
fn client<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let Some(address) = keys.find("ip").and_then(endpoint::ip) else { return false };
    event.class = Class::TunnelActivity;
    event.activity_id = if keys.find("action") == Some("add") { 1 } else { 2 };
    event.push(Attribute::TunnelTypeId, 0);
    event.push(Attribute::SrcEndpointIp, address);
    for (attribute, key) in [
        (Attribute::TunnelType, "connection_type"),
        (Attribute::SrcEndpointHostname, "name"),
        (Attribute::UserName, "user"),
    ] {
        if let Some(value) = keys.find(key) {
            event.push(attribute, value);
        }
    }
    if keys.find("status").is_some_and(|status| status != "success") {
        failure(event, keys.find("msg").unwrap_or_default());
    } else {
        success(event);
    }
    true
}

/// A request to the device's API: `user="u" ui="GUI(A)" method="GET" status="200" url="/api/…"`.
fn request<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let (Some(method), Some(url), Some(address)) = (keys.find("method"), keys.find("url"), way_in(keys).1) else {
        return false;
    };
    event.class = Class::HttpActivity;
    push_method(method, url, event);
    push_source(event, address, None);
    if let Some(user) = keys.find("user") {
        event.push(Attribute::ActorUserName, user);
    }
    if let Some(code) = keys.find("status").and_then(number) {
        push_code(code, event);
    }
    true
}

/// `ui="https(192.0.2.1)"`: the way in and the address.
fn way_in<'a>(keys: &Keys<'a>) -> (&'a str, Option<&'a str>) {
    let ui = keys.any(&["ui", "method"]).unwrap_or("FortiGate");
    match cut(ui, "(") {
        Some((way, address)) => (way, endpoint::ip(address.trim_end_matches(')'))),
        None => (ui, None),
    }
}

fn logon<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let action = keys.find("action").unwrap_or_default();
    event.class = Class::Authentication;
    event.activity_id = if action.contains("logout") || action.contains("logoff") { 2 } else { 1 };
    event.push(Attribute::UserName, keys.find("user").unwrap_or_default());
    let (way, address) = way_in(keys);
    event.push(Attribute::ServiceName, if action.starts_with("ssl") { "sslvpn" } else { way });
    if let Some(source) = keys.any(&["srcip", "remip", "rem_ip", "src"]).or(address) {
        push_source(event, source, None);
    }
    if let Some(destination) = keys.any(&["dstip", "dst"]) {
        push_destination(event, destination, None);
    }
    event.push(Attribute::IsRemote, way != "console");
    if let Some(session) = keys.find("sn") {
        event.push(Attribute::SessionUid, session);
    }
    let status = keys.any(&["status", "result"]).unwrap_or_default();
    if action.contains("fail") || action == "auth-lockout" || status.contains("fail") || status.contains("denied") {
        failure(event, keys.any(&["reason", "msg"]).unwrap_or_default());
    } else {
        success(event);
    }
    true
}

/// Any other event.
pub(super) fn occurrence<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let action = keys.find("action").unwrap_or_default();
    let user = keys.find("user");
    let asked = keys.find("subtype") == Some("rest-api");
    let tunneled =
        matches!(action, "add" | "close") && matches!(keys.find("connection_type"), Some("sslvpn" | "ipsec"));
    if (asked && request(keys, event)) || (tunneled && client(keys, event)) {
        return true;
    }
    if user.is_some()
        && [
            "login",
            "logout",
            "authentication",
            "auth-logon",
            "auth-logout",
            "FSSO-logon",
            "FSSO-logoff",
            "auth-lockout",
            "client-authentication",
        ]
        .contains(&action)
    {
        return logon(keys, event);
    }
    let description = keys.find("logdesc").unwrap_or_default();
    if keys.find("cfgpath").is_some() || description.contains("onfigur") {
        event.class = Class::DeviceConfigStateChange;
        event.activity_id = 1;
        if let Some(user) = user {
            event.push(Attribute::ActorUserName, user);
        }
        if let Some(address) = way_in(keys).1 {
            event.unmap("src_ip", address);
        }
        success(event);
        return true;
    }
    if let (Some(mac), true) = (keys.find("mac").filter(|mac| is_mac(mac)), description.starts_with("DHCP")) {
        event.class = Class::DhcpActivity;
        event.activity_id = match keys.find("dhcp_msg") {
            Some("Discover") => 1,
            Some("Offer") => 2,
            Some("Request") => 3,
            Some("Decline") => 4,
            Some("Ack") => 5,
            Some("Nak") => 6,
            Some("Release") => 7,
            _ => 0,
        };
        event.push(Attribute::SrcEndpointMac, mac);
        if let Some(lease) = keys.find("lease").and_then(number) {
            event.push(Attribute::LeaseDur, lease);
        }
        if let Some(name) = keys.find("hostname") {
            event.push(Attribute::SrcEndpointHostname, name);
        }
        success(event);
        return keys
            .find("ip")
            .is_some_and(|ip| endpoint::ip(ip).map(|ip| event.push(Attribute::SrcEndpointIp, ip)).is_some());
    }
    system(keys, event)
}

/// What the device says of itself, its neighbors and its parts.
fn system<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let description = keys.any(&["logdesc", "msg"]).unwrap_or_default();
    let text = keys.find("msg").unwrap_or(description);
    // Its proxy speaks of somebody's connection.
    if keys.find("subtype") == Some("wad") && keys.find("srcip").is_some() && keys.find("dstip").is_some() {
        event.class = Class::NetworkActivity;
        event.activity_id = if event.severity_id >= 3 { 4 } else { 6 };
        ends(keys, event);
        if event.severity_id >= 3 {
            failure(event, keys.find("desc").unwrap_or(text));
        } else {
            success(event);
        }
        return true;
    }
    if event.severity_id >= 3 {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        failure(event, text);
        return true;
    }
    let status = keys.any(&["status", "result"]).unwrap_or_default();
    let mut bad =
        status.contains("fail") || status == "DOWN" || description.contains("ailed") || text.contains(" Down");
    let neighbor = text.split([' ', ',', '(', ')']).take(24).find_map(endpoint::ip);
    if let Some(address) = neighbor.filter(|_| keys.find("subtype") == Some("router")) {
        event.class = Class::NetworkActivity;
        let wrong = ["nvalid", "rror", "ismatch", "ailed"].iter().any(|word| cut(text, word).is_some());
        event.activity_id = match (bad, wrong) {
            (true, _) => 2,
            (false, true) => 4,
            (false, false) => 1,
        };
        bad |= wrong;
        push_source(event, address, None);
    } else {
        event.class = Class::ApplicationLifecycle;
        event.activity_id = match description {
            text if text.contains("reboot") || text.contains("restart") => 5,
            text if text.contains("started") => 3,
            text if text.contains("shutdown") || text.contains("stopped") => 4,
            text if text.contains("update") || text.contains("pgrade") => 8,
            _ => 99,
        };
        if event.activity_id == 99 {
            event.push(Attribute::ActivityName, description);
        }
        event.push(Attribute::AppName, "FortiOS");
        event.push(Attribute::AppVendorName, "Fortinet");
        if let Some(user) = keys.find("user") {
            event.push(Attribute::ActorUserName, user);
        }
        if let Some(address) = way_in(keys).1 {
            event.unmap("src_ip", address);
        }
    }
    if bad {
        failure(event, text);
    } else {
        success(event);
    }
    !description.is_empty()
}
