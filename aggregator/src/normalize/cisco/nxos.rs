//! NX-OS and IOS XR where they differ from IOS: access lists as keys and values, and what their programs say.
//!
//! Source: Cisco Nexus 9000 Series NX-OS System Messages Reference, ACLLOG and SYSTEM_MSG; Cisco IOS XR System Error
//! Message Reference Guide, SECURITY-SSHD.

use super::super::endpoint::{push_destination, push_source};
use super::super::program;
use super::super::syslog::Header;
use super::super::text::{between, cut, number, port};
use super::super::{Context, outcome};
use super::flow::{push_protocol, verdicted};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `Src IP: A, Dst IP: B, Src Port: 5, Dst Port: 22, Src Intf: I, Protocol: "TCP"(6), ACL Name: L, ACE Action: Deny, … Hit-count: 1`;
/// older: `Source IP: A, Destination IP: B, … Hit-count = 1`.
pub(super) fn access_log<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let find = |names: [&str; 2]| {
        let value = names.into_iter().find_map(|name| cut(message, name))?.1;
        Some(value.split(',').next().unwrap_or(value).trim()).filter(|value| !value.is_empty())
    };
    let ports = |names| find(names).and_then(port);
    let Some(source) = find(["Src IP: ", "Source IP: "]) else { return false };
    event.class = Class::NetworkActivity;
    if !push_source(event, source, ports(["Src Port: ", "Source Port: "])) {
        return false;
    }
    if let Some(destination) = find(["Dst IP: ", "Destination IP: "]) {
        push_destination(event, destination, ports(["Dst Port: ", "Destination Port: "]));
    }
    if let Some((protocol, _)) = between(message, "Protocol: \"", "\"") {
        push_protocol(event, protocol);
    }
    for (attribute, names) in [
        (Attribute::SrcEndpointInterfaceName, ["Src Intf: ", "Source Interface: "]),
        (Attribute::FirewallRuleName, ["ACL Name: ", "ACL Name: "]),
    ] {
        if let Some(value) = find(names) {
            event.push(attribute, value);
        }
    }
    if let Some(hits) = find(["Hit-count: ", "Hit-count = "]).and_then(number) {
        event.push(Attribute::TrafficPackets, hits);
    }
    match find(["ACE Action: ", "ACE Action: "]) {
        Some(action) => verdicted(!action.starts_with("Den"), event),
        None => {
            event.activity_id = 6;
            outcome::controlled(event, outcome::Control::Observed);
        }
    }
    true
}

/// `MESSAGE - PROGRAM[PID]`: what a program of the system said, read as that program's.
pub(super) fn system_message<'a>(message: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((text, said_by)) = message.trim_end().rsplit_once(" - ") else { return false };
    let program = said_by.split('[').next().unwrap_or(said_by);
    let program = program.strip_prefix("dcos_").unwrap_or(program);
    let header = Header { host: None, program, module: None, context: *context };
    program::parse(text, &header, event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn access_lists_of_nexus_are_traffic() {
        let event = normalized(
            "<189>: 2026 Mar 16 10:00:00 UTC: %ACLLOG-6-ACLLOG_FLOW_INTERVAL: Src IP: 192.0.2.1, Dst IP: 198.51.100.9, Src Port: 5, Dst Port: 22, Src Intf: Ethernet1/1, Protocol: \"TCP\"(6), ACL Name: L, ACE Action: Deny, Appl Intf: Ethernet1/1, Hit-count: 3",
        );
        assert_eq!(event["type_uid"], 400_105);
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5, "interface_name": "Ethernet1/1"}));
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.9", "port": 22}));
        assert_eq!(event["traffic"]["packets"], 3);
        assert_eq!(event["firewall_rule"]["name"], "L");
    }

    #[test]
    fn programs_of_the_system_speak_for_themselves() {
        let event = normalized(
            "<189>: 2026 Mar 16 10:00:00 UTC: %AUTHPRIV-6-SYSTEM_MSG: pam_unix(sshd:session): session opened for user bob by (uid=0) - dcos_sshd[123]",
        );
        assert_eq!((event["type_uid"].as_i64(), event["user"]["name"].as_str()), (Some(300_201), Some("bob")));
    }
}
