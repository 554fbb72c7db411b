//! ASA, FTD, PIX: what each message id means.
//!
//! In: the text behind `%ASA-6-302013: `. Out: connections and what was denied (4001), logons (3002), accounts (3001), tunnels
//! (4014), commands (1007), URLs (4002), files (4008), threats (2004), changes of configuration (5019). An id that is not
//! listed and still names two ends of refused traffic is read as such.

use super::super::endpoint::push_source;
use super::super::outcome::{Control, controlled, failure, success};
use super::super::text::{between, cut, unquoted, word};
use super::flow::{self, End};
use super::{access, after, ftd, ios, vpn};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message by its id; false where it says nothing that has a class.
pub(super) fn parse<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    match id {
        106_100 | 106_102 | 106_103 => flow::access_list(message, event),
        302_003..=302_036 | 302_303 | 302_304 | 305_009..=305_012 | 609_001 | 609_002 => {
            flow::connection(message, event)
        }
        id if refused(id) => shunned(message, id, event) || flow::controlled_flow(message, Control::Blocked, event),
        710_005 => flow::controlled_flow(message, Control::Dropped, event),
        710_001 | 710_002 | 421_002 | 421_007 | 434_004 => flow::controlled_flow(message, Control::Allowed, event),
        400_000..=400_051 => signature(message, id, event),
        604_101..=604_105 => lease(message, event),
        733_100..=733_105 | 733_201..=733_203 => threat(message, id, event),
        338_001..=338_204 => dynamic_filter(message, event),
        411_001..=411_004 => ios::link(message, event),
        304_001 | 304_002 => url(message, event),
        303_002 => file_transfer(message, event),
        109_001..=109_012
        | 109_025
        | 109_201..=109_213
        | 113_003..=113_018
        | 113_020
        | 113_021
        | 308_001
        | 502_101..=502_103
        | 605_004
        | 605_005
        | 606_001..=606_004
        | 611_101..=611_103
        | 315_011
        | 716_038
        | 716_039
        | 746_012
        | 746_013 => access::parse(message, id, event),
        111_001..=111_007 => configuration(message, event),
        111_008..=111_010 => command(message, event),
        725_001..=725_016 => vpn::tls(message, id, event),
        430_001..=430_005 => ftd::parse(message, id, event),
        113_019
        | 113_029..=113_040
        | 402_101..=402_149
        | 602_303..=603_110
        | 702_305
        | 702_307
        | 713_001..=716_999
        | 721_016
        | 721_018
        | 722_001..=722_999
        | 734_001..=734_004
        | 737_001..=737_999
        | 750_001..=753_999 => vpn::parse(message, id, event),
        _ => false,
    }
}

/// Messages of what the device refused.
fn refused(id: i64) -> bool {
    matches!(id, 106_001..=106_029 | 201_002..=202_011 | 209_003..=209_006 | 305_005..=305_008 | 313_001..=313_009)
        || matches!(id, 402_114..=402_123 | 405_001..=405_002 | 406_001..=407_003 | 410_001..=410_004)
        || matches!(id, 415_001..=415_020 | 419_001..=419_003 | 500_001..=500_005 | 507_001..=507_003)
        || matches!(
            id,
            108_004 | 302_302 | 303_005 | 305_013 | 322_001 | 401_004 | 416_001 | 418_001 | 420_002 | 420_003
        )
        || matches!(id, 421_001 | 421_005 | 421_006 | 424_001 | 424_002 | 431_001 | 431_002 | 434_002)
        || matches!(id, 446_001 | 446_003 | 710_003 | 710_004 | 710_006)
}

/// `Shunned packet: A ==> B on interface I`; `Received ARP … collision from A/MAC on interface I`.
fn shunned<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    let (source, rest) = match id {
        401_004 => match message.strip_prefix("Shunned packet: ").map(word) {
            Some(found) => found,
            None => return false,
        },
        405_001 => match cut(message, "collision from ").map(|(_, rest)| word(rest)) {
            Some((source, rest)) => (source.split('/').next().unwrap_or(source), rest),
            None => return false,
        },
        _ => return false,
    };
    let Some((source, _)) = End::parse(source) else { return false };
    let to = rest.trim_start_matches(['=', '>', ' ']);
    let destination = (id == 401_004).then(|| End::parse(to)).flatten().map(|(end, _)| end);
    flow::push_ends(event, Some(&source), destination.as_ref());
    if let Some(interface) = after(message, "on interface ") {
        event.push(Attribute::SrcEndpointInterfaceName, interface);
    }
    event.activity_id = if id == 401_004 { 5 } else { 6 };
    controlled(event, if id == 401_004 { Control::Dropped } else { Control::Observed });
    failure(event, "");
    true
}

/// `DHCP client interface I: Allocated ip = A, …`, `DHCP daemon interface I: address granted MAC (A)`, `… released …`.
fn lease<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let address = after(message, "ip = ").or_else(|| between(message, "(", ")").map(|(address, _)| address));
    let mac = after(message, "granted ").or_else(|| after(message, "released ")).and_then(ios::colons);
    event.class = Class::DhcpActivity;
    event.activity_id = if cut(message, "eleased").is_some() { 7 } else { 5 };
    if let Some(interface) = after(message, "interface ") {
        event.push(Attribute::SrcEndpointInterfaceName, interface.trim_end_matches(':'));
    }
    if let Some(mac) = mac {
        event.push(Attribute::SrcEndpointMac, mac);
    }
    success(event);
    address.is_some_and(|address| push_source(event, address, None))
}

/// `IDS:2000 signature from A to B on interface I`: a finding.
fn signature<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    let Some((sid, rest)) = message.strip_prefix("IDS:").map(word) else { return false };
    let Some((name, rest)) = cut(rest, " from ") else { return false };
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    finding(event, format!("asa-{id}-{sid}"), name);
    event.push(Attribute::FindingAnalyticUid, sid);
    event.push(Attribute::FindingAnalyticName, name);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    if let Some((source, rest)) = End::parse(rest) {
        evidence(event, source.host, Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointHostname);
        if let Some((destination, _)) = cut(rest, "to ").and_then(|(_, rest)| End::parse(rest)) {
            evidence(
                event,
                destination.host,
                Attribute::EvidencesDstEndpointIp,
                Attribute::EvidencesDstEndpointHostname,
            );
        }
    }
    controlled(event, Control::Alerted);
    true
}

fn finding<'a>(event: &mut Event<'a>, uid: String, title: &'a str) {
    event.push(Attribute::FindingUid, uid);
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::IsAlert, true);
}

fn evidence<'a>(event: &mut Event<'a>, host: &'a str, ip: Attribute, name: Attribute) {
    match super::super::endpoint::ip(host) {
        Some(address) => event.push(ip, address),
        None => event.push(name, host),
    }
}

/// `[ Scanning] drop rate-1 exceeded. …`, `Host A is attacking. …`, `Threat-detection adds host A to shun list`.
fn threat<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    event.class = Class::DetectionFinding;
    event.activity_id = if id == 733_103 { 3 } else { 1 };
    let title = cut(message, ". ").map_or(message, |(title, _)| title);
    let object = between(message, "[", "]").map(|(object, _)| object.trim()).or_else(|| after(message, "Object "));
    let host = after(message, "ost ").map(|host| host.trim_end_matches('.'));
    let host = host.or_else(|| between(message, "Peer[", "]").map(|(peer, _)| peer));
    finding(event, format!("asa-{id}-{}", host.or(object).unwrap_or("threat")), title);
    event.push(Attribute::FindingAnalyticName, "threat-detection");
    event.push(Attribute::FindingAnalyticTypeId, 2);
    if let Some(host) = host.and_then(super::super::endpoint::ip) {
        event.push(Attribute::EvidencesSrcEndpointIp, host);
    }
    for (key, mark) in [
        ("burst_rate", "urrent burst rate is "),
        ("average_rate", "urrent average rate is "),
        ("total_count", "otal count is "),
    ] {
        if let Some(value) = after(message, mark) {
            event.unmap(key, value);
        }
    }
    controlled(event, if matches!(id, 733_102 | 733_201..=733_203) { Control::Blocked } else { Control::Alerted });
    true
}

/// `Dynamic Filter ACTION blacklisted TCP traffic from A (m) to B (m), source|destination D resolved from L list: X, threat-level: T, category: C`.
fn dynamic_filter<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((action, _)) =
        message.strip_prefix("Dynamic Filter ").or_else(|| message.strip_prefix("Dynamic filter ")).map(word)
    else {
        return false;
    };
    let control = match action {
        "dropped" => Control::Dropped,
        "permitted" => Control::Allowed,
        _ => Control::Observed,
    };
    if !flow::controlled_flow(message, control, event) {
        return false;
    }
    event.unmap(
        "threat_list",
        if cut(message, "greylist").is_some() {
            "greylist"
        } else if cut(message, "whitelist").is_some() {
            "whitelist"
        } else {
            "blacklist"
        },
    );
    if let Some(list) = after(message, "resolved from ") {
        event.push(Attribute::FirewallRuleName, list);
    }
    for (key, mark) in [("threat_domain", " list: "), ("threat_level", "threat-level: ")] {
        if let Some(value) = after(message, mark) {
            event.unmap(key, value);
        }
    }
    if let Some((_, category)) = cut(message, "category: ") {
        event.unmap("threat_category", category);
    }
    true
}

/// `[user@]A Accessed URL B:/path`, `Access denied URL U SRC A DEST B on interface I`.
fn url<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (url, source, destination, denied) = if let Some(rest) = message.strip_prefix("Access denied URL ") {
        let Some((url, ends)) = cut(rest, " SRC ") else { return false };
        let Some((source, rest)) = End::parse(ends) else { return false };
        (url, source, cut(rest, "DEST ").and_then(|(_, rest)| End::parse(rest)).map(|(end, _)| end), true)
    } else {
        let Some((source, target)) = cut(message, " Accessed ") else { return false };
        let target = target.strip_prefix("JAVA ").unwrap_or(target);
        let Some((_, target)) = cut(target, "URL ") else { return false };
        let Some((source, _)) = End::parse(source) else { return false };
        let bracket = target.starts_with('[').then(|| cut(target, "]:")).flatten();
        let Some((host, url)) = bracket.or_else(|| cut(target, ":")) else { return false };
        (url, source, End::parse(host.trim_start_matches('[')).map(|(end, _)| end), false)
    };
    flow::push_ends(event, Some(&source), destination.as_ref());
    event.class = Class::HttpActivity;
    super::super::combined::push_url(url, event);
    if let Some(interface) = after(message, " on interface ").filter(|_| denied) {
        event.set(Attribute::SrcEndpointInterfaceName, interface);
    }
    if denied {
        controlled(event, Control::Blocked);
        failure(event, "");
    } else {
        controlled(event, Control::Allowed);
        success(event);
    }
    true
}

/// `FTP connection from A to B, user U Stored|Retrieved file F`.
fn file_transfer<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((ends, rest)) = cut(message, ", user ") else { return false };
    let Some((source, tail)) = cut(ends, " from ").and_then(|(_, rest)| End::parse(rest)) else { return false };
    let Some((destination, _)) = cut(tail, "to ").and_then(|(_, rest)| End::parse(rest)) else { return false };
    let (user, rest) = word(rest);
    let (verb, rest) = word(rest);
    flow::push_ends(event, Some(&source), Some(&destination));
    event.class = Class::FtpActivity;
    event.activity_id = if verb == "Stored" { 1 } else { 2 };
    if source.user.is_none() {
        event.push(Attribute::ActorUserName, flow::bare_user(user));
    }
    event.push(Attribute::FtpCommand, if verb == "Stored" { "STOR" } else { "RETR" });
    event.unmap("file", rest.strip_prefix("file ").unwrap_or(rest));
    success(event);
    true
}

/// `Begin configuration: A reading from console`, `A end configuration: OK`, `A Erase configuration`.
fn configuration<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    event.class = Class::DeviceConfigStateChange;
    event.activity_id = 1;
    if let Some(address) = message.split([' ', ',']).find_map(super::super::endpoint::ip) {
        event.unmap("src_ip", address);
    }
    if message.contains("FAILED") {
        failure(event, "")
    } else {
        success(event)
    }
    true
}

/// `User 'u' executed the 'show run' command.`, `User 'u', running 'CLI' from IP A, executed 'cmd'`.
fn command<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((user, rest)) = between(message, "ser '", "'") else { return false };
    let (address, rest) = match cut(rest, " from IP ") {
        Some((_, rest)) => cut(rest, ",").map_or((None, rest), |(ip, rest)| (Some(ip), rest)),
        None => (None, rest),
    };
    let Some((_, command)) = cut(rest, "executed ") else { return false };
    let command = command.strip_prefix("the ").or_else(|| command.strip_prefix("cmd: ")).unwrap_or(command);
    let command = command.trim_end().trim_end_matches('.');
    let command = unquoted(command.strip_suffix(" command").unwrap_or(command));
    executed(event, user, command);
    if let Some(address) = address.and_then(super::super::endpoint::ip) {
        event.unmap("src_ip", address);
    }
    success(event);
    true
}

/// A command that somebody gave to the device: a process of its command line.
pub(super) fn executed<'a>(event: &mut Event<'a>, user: &'a str, command: &'a str) {
    event.class = Class::ProcessActivity;
    event.activity_id = 1;
    event.push(Attribute::ActorUserName, user);
    event.push(Attribute::ProcessUid, event.id.to_string());
    event.push(Attribute::ProcessName, word(command).0);
    event.push(Attribute::ProcessCmdLine, command);
    event.push(Attribute::ProcessUserName, user);
    event.push(Attribute::LaunchTypeId, 3);
}

/// A connection of management without a user: its source, and whether it began or ended.
pub(super) fn management<'a>(source: &'a str, opened: bool, protocol: &'static str, event: &mut Event<'a>) -> bool {
    event.class = Class::NetworkActivity;
    event.activity_id = if opened { 1 } else { 2 };
    event.push(Attribute::AppProtocolName, protocol);
    success(event);
    push_source(event, source, None)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::testing::normalized;

    fn asa(message: &str) -> Value {
        normalized(&format!("<166>Mar 16 2026 10:00:00 fw-1 : %ASA-6-{message}"))
    }

    fn ends(event: &Value) -> Value {
        let end = |of: &str| json!([event[of]["interface_name"], event[of]["ip"], event[of]["port"]]);
        json!([end("src_endpoint"), end("dst_endpoint")])
    }

    #[test]
    fn connections_have_their_ends_users_size_and_duration() {
        let event = asa(
            r"302013: Built outbound TCP connection 9 for outside:192.0.2.1/443 (192.0.2.1/443) to inside:198.51.100.7/5000 (203.0.113.9/6000)(LOCAL\bob) (bob)",
        );
        assert_eq!(event["type_uid"], 400_101);
        assert_eq!(ends(&event), json!([["inside", "198.51.100.7", 5000], ["outside", "192.0.2.1", 443]]));
        assert_eq!(
            event["connection_info"],
            json!({"direction_id": 2, "protocol_num": 6, "protocol_name": "tcp", "uid": "9"})
        );
        assert_eq!(event["unmapped"]["mapped_src_ip"], "203.0.113.9");
        assert_eq!(event["unmapped"]["hostname"], "fw-1");
        assert_eq!(event["actor"]["user"]["name"], "bob");
        let event = asa(
            "302014: Teardown TCP connection 9 for outside:192.0.2.1/443 to inside:198.51.100.7/5000 duration 0:01:08 bytes 99 TCP FINs",
        );
        assert_eq!(event["type_uid"], 400_102);
        assert_eq!((event["duration"].as_i64(), event["traffic"]["bytes"].as_i64()), (Some(68_000), Some(99)));
        assert_eq!(event["status_detail"], "TCP FINs");
    }

    #[test]
    fn refused_traffic_names_rule_and_control() {
        for (message, src, dst, rule) in [
            (
                r#"106023: Deny tcp src dmz:192.0.2.3/1 dst outside:198.51.100.5/53 by access-group "acl" [0x0, 0x0]"#,
                json!(["dmz", "192.0.2.3", 1]),
                json!(["outside", "198.51.100.5", 53]),
                json!("acl"),
            ),
            (
                "106001: Inbound TCP connection denied from 192.0.2.3/1 to 198.51.100.5/53 flags SYN on interface outside",
                json!(["outside", "192.0.2.3", 1]),
                json!([null, "198.51.100.5", 53]),
                json!(null),
            ),
            (
                "106100: access-list in denied udp dmz/192.0.2.3(1) -> inside/2001:db8::5(53) hit-cnt 1 first hit [0x0, 0x0]",
                json!(["dmz", "192.0.2.3", 1]),
                json!(["inside", "2001:db8::5", 53]),
                json!("in"),
            ),
            (
                "407002: Embryonic limit 9/9 for through connections exceeded.192.0.2.3/1 to 198.51.100.5(198.51.100.5)/80 on interface in",
                json!(["in", "192.0.2.3", 1]),
                json!([null, "198.51.100.5", null]),
                json!(null),
            ),
            (
                "313004: Denied ICMP type=0, from laddr 192.0.2.3 on interface in to 198.51.100.5: no matching session",
                json!(["in", "192.0.2.3", null]),
                json!([null, "198.51.100.5", null]),
                json!(null),
            ),
        ] {
            let event = asa(message);
            assert_eq!(event["type_uid"], 400_105, "{message}");
            assert_eq!(ends(&event), json!([src, dst]), "{message}");
            assert_eq!(event["firewall_rule"]["name"], rule, "{message}");
            assert_eq!(
                (event["action_id"].as_i64(), event["disposition_id"].as_i64()),
                (Some(2), Some(2)),
                "{message}"
            );
            assert_eq!(event["status_id"], 2);
        }
    }

    #[test]
    fn people_tunnels_and_commands_have_their_classes() {
        for (message, kind, user, status) in [
            (
                r#"605004: Login denied from 192.0.2.1/5 to outside:198.51.100.2/ssh for user "bob""#,
                300_201,
                "/user/name",
                2,
            ),
            (
                r#"605005: Login permitted from 192.0.2.1/5 to outside:198.51.100.2/ssh for user "bob""#,
                300_201,
                "/user/name",
                1,
            ),
            (
                "113005: AAA user authentication Rejected : reason = AAA failure : server = 198.51.100.2 : user = bob : user IP = 192.0.2.1",
                300_201,
                "/user/name",
                2,
            ),
            ("611103: User logged out: Uname: bob", 300_202, "/user/name", 1),
            ("502103: User priv level changed: Uname: bob From: 1 To: 15", 300_207, "/user/name", 1),
            (
                "111010: User 'bob', running 'CLI' from IP 192.0.2.1, executed 'show run'",
                100_701,
                "/actor/user/name",
                1,
            ),
            (
                "113019: Group = g, Username = bob, IP = 192.0.2.1, Session disconnected. Session Type: SSL, Duration: 2h:00m:00s, Bytes xmt: 1, Bytes rcv: 2, Reason: Idle Timeout",
                401_402,
                "/user/name",
                1,
            ),
            (
                "722051: Group <g> User <bob> IP <192.0.2.1> IPv4 Address <198.51.100.3> IPv6 address <::> assigned to session",
                401_401,
                "/user/name",
                1,
            ),
            (
                "602303: IPSEC: An inbound remote access SA (SPI= 0x1) between 192.0.2.1 and 198.51.100.1 (user= bob) has been created.",
                401_401,
                "/user/name",
                1,
            ),
            (
                "303002: FTP connection from inside:192.0.2.1/5 to outside:198.51.100.2/21, user bob Stored file a.txt",
                400_801,
                "/actor/user/name",
                1,
            ),
        ] {
            let event = asa(message);
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event.pointer(user), Some(&json!("bob")), "{message}");
            assert_eq!(event["status_id"], status, "{message}");
        }
        assert_eq!(asa("733102: Threat-detection adds host 192.0.2.1 to shun list")["class_uid"], 2004);
        assert_eq!(
            asa("304001: 192.0.2.1 Accessed URL 198.51.100.2:http://example.com/a?b")["http_request"]["url"]["path"],
            "/a"
        );
        let event = asa("604103: DHCP daemon interface in: address granted 0011.2233.4455 (192.0.2.7)");
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["mac"]), (&json!(400_405), &json!("00:11:22:33:44:55")));
        let event = asa("721016: (device) WebVPN session for client user bob, IP 192.0.2.1 has been created.");
        assert_eq!((&event["type_uid"], &event["user"]["name"]), (&json!(401_401), &json!("bob")));
        assert_eq!(asa("752012: IKEv2 was unsuccessful at setting up a tunnel.  Map Tag = x.")["status_id"], 2);
        assert_eq!(asa("999999: nothing known")["type_uid"], 600_299);
    }

    #[test]
    fn what_relays_do_to_messages_does_not_hide_what_they_say() {
        let event = asa(
            "106006: message repeated 3 times: [ Deny inbound UDP from 192.0.2.1/137 to 198.51.100.2/137 on interface in]",
        );
        assert_eq!((&event["type_uid"], &event["count"]), (&json!(400_105), &json!(3)));
        assert_eq!(event["src_endpoint"]["interface_name"], "in");
        let event = normalized(
            "Mar 16 10:00:00 192.0.2.9 : AAA user authentication Rejected : reason = AAA failure : server = 198.51.100.2 : user = bob : user IP = 192.0.2.1",
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&json!("bob"), &json!("192.0.2.1")));
    }

    #[test]
    fn users_of_logons_end_where_the_device_ends_them() {
        for (message, kind, user, detail, source) in [
            (
                "113005: AAA user authentication Rejected: reason = AAA failure: server = 198.51.100.2 : user = bob: user IP = 192.0.2.1",
                300_201,
                "bob",
                "AAA failure",
                Some("192.0.2.1"),
            ),
            (
                "113005: AAA user authentication Rejected : reason = Unspecified : server = 198.51.100.2 : user = : user IP = 192.0.2.1",
                300_201,
                "",
                "Unspecified",
                Some("192.0.2.1"),
            ),
            (
                "113015: AAA user authentication Rejected : reason = Invalid password : local database : user = bob (of it) : user IP = None",
                300_201,
                "bob (of it)",
                "Invalid password",
                None,
            ),
            (
                "716039: Authentication: rejected, group = staff user = bob , Session Type: WebVPN",
                300_201,
                "bob",
                "rejected",
                None,
            ),
            (
                "716039: Group <our staff> User <bob> IP <192.0.2.1> Authentication: rejected, Session Type: WebVPN.",
                300_201,
                "bob",
                "rejected",
                Some("192.0.2.1"),
            ),
        ] {
            let event = asa(message);
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(2)), "{message}");
            assert_eq!((&event["user"]["name"], &event["status_detail"]), (&json!(user), &json!(detail)), "{message}");
            assert_eq!(event["src_endpoint"]["ip"].as_str(), source, "{message}");
            assert_eq!(event["src_endpoint"]["hostname"], json!(null), "{message}");
        }
        let event = asa(
            "315011: SSH session from on interface in for user \"bob\" disconnected by SSH server, reason: \"Internal error\" (0x00)",
        );
        assert_eq!(
            (&event["actor"]["user"]["name"], &event["status_detail"]),
            (&json!("bob"), &json!("Internal error"))
        );
        assert_eq!(event["src_endpoint"], json!({"interface_name": "in"}));
        for message in [
            "737016: IPAA: Freeing local pool P address 192.0.2.7",
            "737026: IPAA: Client assigned from local pool 192.0.2.7",
        ] {
            assert_eq!(asa(message)["tunnel_interface"]["ip"], "192.0.2.7", "{message}");
        }
    }

    #[test]
    fn a_translated_address_without_a_port_is_no_user() {
        let event = asa(
            "302026: Built director stub ICMP connection for a:192.0.2.1/32004 (203.0.113.9) to b:198.51.100.2/0 (203.0.113.8)",
        );
        assert_eq!((&event["actor"], &event["unmapped"]["session_user"]), (&json!(null), &json!(null)), "{event}");
        assert_eq!(event["unmapped"]["mapped_src_ip"], "203.0.113.9");
        assert_eq!(event["unmapped"]["mapped_dst_ip"], "203.0.113.8");
    }
}
