//! Suricata EVE: one JSON object for each thing that the sensor saw.
//!
//! In: fields with `event_type`. Out: `alert` a detection finding (2004), `flow`, `netflow`, `drop`, `anomaly` and every
//! application protocol without a class of its own network activity (4001), the others the class of their protocol;
//! `stats` and `engine` are reports of the sensor (6002); what else has no addresses is a base event. Source: Suricata 3 to 8, `output-json*.c`, `etc/schema.json`.

mod alert;
mod protocol;
mod transport;

pub(in super::super) use protocol::{push_ftp_code, push_ftp_command, push_rcode};

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::record::is_mac;
use super::super::remark::report;
use super::super::transport as ip;
use super::super::{Context, json};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is an EVE record.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("event_type")
        && (fields.has("flow_id") || fields.has("pcap_cnt") || fields.has("proto") || fields.has("stats"))
        || (fields.is("event_type", "stats") && fields.has("timestamp"))
        || (fields.is("event_type", "engine") && fields.has("engine"))
        || (fields.is("event_type", "arp") && fields.has("arp"))
}

/// The class of what an event type shows, where two ends are known.
fn class(fields: &Fields<'_>, kind: &str) -> Class {
    match kind {
        "alert" => Class::DetectionFinding,
        "http" | "http2" => Class::HttpActivity,
        "dns" | "mdns" | "doh2" => Class::DnsActivity,
        "ssh" => Class::SshActivity,
        "smtp" => Class::EmailActivity,
        "ftp" | "ftp_data" => Class::FtpActivity,
        "smb" => Class::SmbActivity,
        "rdp" => Class::RdpActivity,
        "dhcp" => Class::DhcpActivity,
        "krb5" if fields.peek("krb5.cname").is_some_and(|name| name != "<empty>") => Class::Authentication,
        "fileinfo" => match fields.peek("app_proto") {
            Some("http" | "http2") => Class::HttpActivity,
            Some("smb") => Class::SmbActivity,
            Some("ftp" | "ftp-data") => Class::FtpActivity,
            _ => Class::NetworkActivity,
        },
        _ => Class::NetworkActivity,
    }
}

/// Takes what the record says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let kind = fields.text("event_type").unwrap_or_default();
    event.push(Attribute::MetadataLogProvider, "suricata");
    fields.push_time(event, "timestamp", context.reference);
    if let Some(flow) = fields.peek("flow_id").map(str::to_owned) {
        // Also in the finding's uid.
        fields.take("flow_id");
        event.push(Attribute::MetadataCorrelationUid, flow);
    }
    let class = class(fields, &kind);
    event.class = class;
    let ends = match class {
        Class::DetectionFinding => alert::ends(fields, event),
        _ => ends(fields, event, kind == "fileinfo" && class == Class::HttpActivity && is_answer(fields)),
    };
    if !ends && class != Class::DetectionFinding {
        event.class = Class::BaseEvent;
        event.fields.retain(|field| Class::BaseEvent.carries(field.attribute));
    } else {
        let protocol = fields.text("proto");
        if !ip::push(event, protocol.as_deref())
            && let Some(protocol) = protocol
        {
            event.unmap("proto", protocol);
        }
        transport::push(fields, event, context.reference);
    }
    match event.class {
        Class::BaseEvent if matches!(&*kind, "stats" | "engine") => {
            report("suricata", event);
        }
        Class::BaseEvent => {}
        Class::DetectionFinding => alert::parse(fields, event),
        _ => protocol::parse(&kind, fields, context.reference, event),
    }
    let message = message(&kind, event);
    event.push(Attribute::Message, message);
    event.push(Attribute::MetadataEventCode, kind);
}

/// Ports that servers of HTTP listen on beside those below 1024.
const HTTP_PORTS: [i64; 6] = [3128, 8000, 8008, 8080, 8081, 8888];

/// Whether a file over HTTP was sent by the server, which the record then calls the source.
fn is_answer(fields: &Fields<'_>) -> bool {
    let port = |key: &str| fields.leaf(key).and_then(Leaf::as_number).unwrap_or_default();
    let (from, to) = (port("src_port"), port("dest_port"));
    let is_served = |port: i64| port < 1024 || HTTP_PORTS.contains(&port);
    // An answer to GET brings what was asked for.
    let was_asked = fields.is("http.http_method", "GET") && fields.has("http.status");
    from != 0 && !is_served(to) && (is_served(from) || (was_asked && from < to))
}

/// Both ends, their cards and the network that they talk in; `swapped` where the source is the server.
fn ends<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>, swapped: bool) -> bool {
    let (client, server) = (("src_ip", "src_port", "ether.src_mac"), ("dest_ip", "dest_port", "ether.dest_mac"));
    let (client, server) = if swapped { (server, client) } else { (client, server) };
    let from = fields.push_source(event, client.0, client.1) || fields.push_source(event, "arp.src_ip", "");
    let to = fields.push_destination(event, server.0, server.1) || fields.push_destination(event, "arp.dest_ip", "");
    let table = [
        (Attribute::SrcEndpointMac, client.2),
        (Attribute::DstEndpointMac, server.2),
        (Attribute::SrcEndpointInterfaceName, "in_iface"),
        (Attribute::ConnectionCommunityUid, "community_id"),
    ];
    fields.push_all(event, &table);
    for (attribute, key) in [(Attribute::SrcEndpointMac, "arp.src_mac"), (Attribute::DstEndpointMac, "arp.dest_mac")] {
        if fields.peek(key).is_some_and(is_mac) {
            fields.push_new(event, &[(attribute, key)]);
        }
    }
    if event.class.carries(Attribute::SrcEndpointVlanUid)
        && let Some(Leaf::Json(list)) = fields.leaf("vlan")
        && let Some(Leaf::Number(vlan)) = json::elements(list).next()
    {
        event.push(Attribute::SrcEndpointVlanUid, vlan);
    }
    if !matches!(fields.peek("app_proto"), None | Some("failed")) {
        fields.push(event, Attribute::AppProtocolName, "app_proto");
    }
    from || to
}

/// What a person reads: the rule, the request, the name, or the kind alone.
fn message<'a>(kind: &Cow<'a, str>, event: &Event<'a>) -> Cow<'a, str> {
    let said = [
        Attribute::FindingTitle,
        Attribute::HttpRequestUrlString,
        Attribute::QueryHostname,
        Attribute::TlsSni,
        Attribute::EmailSubject,
    ];
    let found = said.into_iter().find_map(|attribute| event.text(attribute));
    match (found, event.class) {
        (Some(title), Class::DetectionFinding) => Cow::Owned(title.to_owned()),
        (Some(text), _) => Cow::Owned(format!("{kind} {text}")),
        (None, _) => kind.clone(),
    }
}

#[cfg(test)]
mod tests;
