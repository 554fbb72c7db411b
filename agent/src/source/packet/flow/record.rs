//! A flow as a record: OCSF `network_activity` (4001), by attribute paths.
//!
//! `traffic.bytes*` are bytes of network packets, header included; payload is in `unmapped.payload_bytes_*`. `in` is
//! what the server sent. Activities: 1 Open is not told (the end tells all), 2 Close, 3 Reset, 4 Fail (no answer),
//! 5 Refuse, 6 Traffic for a flow that lasts or had no end of its own.

use std::net::IpAddr;

use shared::record::Value;

use super::super::dissect::{Fields, NetworkClass, Side, Told};
use super::super::process::Unknown;
use super::Why;
use super::entry::{Asked, Entry, Kind};
use super::key::{ICMP, ICMP_V6, Path, TCP, UDP};
use super::tcp::{Connection, SYN, State};

fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

fn put(fields: &mut Fields, key: &str, value: Value) {
    fields.push((key.to_owned(), value));
}

fn protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        ICMP => "icmp",
        2 => "igmp",
        TCP => "tcp",
        UDP => "udp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        ICMP_V6 => "ipv6-icmp",
        89 => "ospf",
        103 => "pim",
        112 => "vrrp",
        132 => "sctp",
        _ => return None,
    })
}

/// OCSF `connection_info.direction_id`: 1 inbound, 2 outbound, 4 local (both ends are this host), 0 unknown.
fn direction(path: &Path, local: &[IpAddr]) -> u64 {
    let is_local = |ip: IpAddr| ip.is_loopback() || local.contains(&ip);
    match (is_local(path.source.ip), is_local(path.destination.ip)) {
        (true, true) => 4,
        (true, false) => 2,
        (false, true) => 1,
        (false, false) => 0,
    }
}

/// Adds who speaks to whom.
pub(super) fn address(told: &mut Told, entry: &Entry, local: &[IpAddr]) {
    let (fields, path, vlan) = (&mut told.fields, &entry.path, entry.vlan);
    let ports = matches!(path.protocol, TCP | UDP | 132);
    put(fields, "src_endpoint.ip", Value::Ip(path.source.ip));
    put(fields, "dst_endpoint.ip", Value::Ip(path.destination.ip));
    if ports {
        put(fields, "src_endpoint.port", Value::U64(path.source.port.into()));
        put(fields, "dst_endpoint.port", Value::U64(path.destination.port.into()));
    }
    if vlan != 0 {
        put(fields, "src_endpoint.vlan_uid", text(vlan.to_string()));
    }
    put(fields, "connection_info.direction_id", Value::U64(direction(path, local)));
    put(fields, "connection_info.protocol_num", Value::U64(path.protocol.into()));
    if let Some(name) = protocol_name(path.protocol) {
        put(fields, "connection_info.protocol_name", text(name));
    }
    let version = if path.source.ip.is_ipv4() { 4 } else { 6 };
    put(fields, "connection_info.protocol_ver_id", Value::U64(version));
    put(fields, "connection_info.community_uid", text(path.community_id()));
    owner(fields, entry);
}

/// Adds the process and the user, or why there is none.
fn owner(fields: &mut Fields, entry: &Entry) {
    let unknown = match (&entry.owner, entry.asked) {
        (Some(owner), _) => {
            if let Some(user) = &owner.user {
                put(fields, "actor.user.uid", text(user.uid.to_string()));
                user.name.iter().for_each(|name| put(fields, "actor.user.name", text(name.as_ref())));
            }
            match &owner.process {
                Ok(process) => {
                    put(fields, "actor.process.pid", Value::U64(process.pid.into()));
                    put(fields, "actor.process.uid", text(process.uid.as_str()));
                    put(fields, "actor.process.name", text(process.name.as_str()));
                    process.path.iter().for_each(|path| put(fields, "actor.process.file.path", text(path.as_str())));
                    return;
                }
                Err(unknown) => *unknown,
            }
        }
        (None, Asked::Never) => return,
        (None, Asked::Waits | Asked::Was) => Unknown::NotAsked,
    };
    put(fields, "unmapped.process_unknown", text(unknown.name()));
}

fn activity(entry: &Entry, why: Why) -> u8 {
    const CLOSE: u8 = 2;
    const RESET: u8 = 3;
    const FAIL: u8 = 4;
    const REFUSE: u8 = 5;
    const TRAFFIC: u8 = 6;
    match (why, &entry.kind) {
        (Why::Update, _) | (_, Kind::Other) => TRAFFIC,
        (_, Kind::Tcp(connection)) => match connection.state() {
            // One that was seen from its middle on did not fail for want of an answer to its begin.
            State::RstOS0 if connection.half(Side::Client).flags & SYN == 0 => RESET,
            State::SH | State::ShR if connection.half(Side::Client).flags & SYN == 0 => CLOSE,
            State::S0 | State::SH | State::RstOS0 => FAIL,
            State::Rej => REFUSE,
            State::RstO | State::RstR | State::RstRH => RESET,
            State::SF | State::S2 | State::S3 => CLOSE,
            State::S1 | State::ShR | State::Oth if why == Why::Closed => CLOSE,
            State::S1 | State::ShR | State::Oth => TRAFFIC,
        },
    }
}

/// The record of a flow.
pub(super) fn flow(entry: &mut Entry, why: Why, local: &[IpAddr]) -> Told {
    let mut told = Told {
        class: NetworkClass::NetworkActivity,
        activity: activity(entry, why),
        at: entry.last_at,
        fields: Vec::with_capacity(32),
        flaws: flaws(entry),
    };
    address(&mut told, entry, local);
    let fields = &mut told.fields;
    put(fields, "start_time", Value::Time(entry.began_at));
    put(fields, "end_time", Value::Time(entry.last_at));
    let ms = u64::try_from(entry.last_at.since(entry.began_at).as_millis()).unwrap_or(u64::MAX);
    put(fields, "duration", Value::U64(ms));
    let [client, server] = entry.sent;
    put(fields, "traffic.packets_out", Value::U64(client.packets));
    put(fields, "traffic.packets_in", Value::U64(server.packets));
    put(fields, "traffic.packets", Value::U64(client.packets + server.packets));
    put(fields, "traffic.bytes_out", Value::U64(client.bytes));
    put(fields, "traffic.bytes_in", Value::U64(server.bytes));
    put(fields, "traffic.bytes", Value::U64(client.bytes + server.bytes));
    if let Some(protocol) = entry.protocol {
        put(fields, "app_protocol_name", text(protocol));
    }
    if let Some(macs) = entry.macs {
        // As the first packet had them; it may have been sent by either end.
        put(fields, "unmapped.first_source_mac", text(mac(macs.source)));
        put(fields, "unmapped.first_destination_mac", text(mac(macs.destination)));
    }
    let (mut payload_out, mut payload_in) = (client.payload_bytes, server.payload_bytes);
    if let Kind::Tcp(connection) = &entry.kind {
        (payload_out, payload_in) = (connection.half(Side::Client).bytes, connection.half(Side::Server).bytes);
        connection_fields(fields, connection);
    }
    put(fields, "unmapped.payload_bytes_out", Value::U64(payload_out));
    put(fields, "unmapped.payload_bytes_in", Value::U64(payload_in));
    let reason = match why {
        Why::Update => {
            put(fields, "unmapped.update", Value::U64(entry.updates.into()));
            return told;
        }
        Why::Closed => "closed",
        Why::Silent => "timeout",
        Why::Evicted => "evicted",
        Why::Finished => "capture_end",
    };
    put(fields, "unmapped.end_reason", text(reason));
    told
}

fn connection_fields(fields: &mut Fields, connection: &Connection) {
    let flags = connection.half(Side::Client).flags | connection.half(Side::Server).flags;
    put(fields, "connection_info.tcp_flags", Value::U64(flags.into()));
    put(fields, "connection_info.flag_history", text(connection.history()));
    put(fields, "unmapped.conn_state", text(connection.state().name()));
    let again = [Side::Client, Side::Server].map(|side| u64::from(connection.half(side).retransmitted));
    for (key, count) in ["unmapped.retransmissions_out", "unmapped.retransmissions_in"].into_iter().zip(again) {
        if count > 0 {
            put(fields, key, Value::U64(count));
        }
    }
    for (key, rtt) in
        [("unmapped.rtt_us_server", connection.server_rtt), ("unmapped.rtt_us_client", connection.client_rtt)]
    {
        if let Some(rtt) = rtt {
            put(fields, key, Value::U64(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)));
        }
    }
}

fn mac(bytes: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = bytes;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn flaws(entry: &Entry) -> Vec<&'static str> {
    use super::super::Flaws;
    let names = [
        (Flaws::CAPTURE_CUT, "capture_cut"),
        (Flaws::BAD_LENGTH, "bad_length"),
        (Flaws::BAD_HEADER, "bad_header"),
        (Flaws::FRAGMENT, "fragment"),
        (Flaws::FRAGMENT_OVERLAP, "fragment_overlap"),
        (Flaws::TOO_DEEP, "too_deep"),
        (Flaws::UNKNOWN, "unknown_protocol"),
    ];
    names.into_iter().filter(|(flaw, _)| entry.flaws.has(*flaw)).map(|(_, name)| name).collect()
}
