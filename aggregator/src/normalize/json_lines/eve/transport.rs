//! What was counted: `flow`, `netflow`, `tcp`.
//!
//! Bytes and packets to the server are out of the source, those to the client in.

use super::super::super::fields::Fields;
use super::super::super::timestamp::Reference;
use crate::event::Event;
use crate::schema::Attribute;

/// Sets traffic, times and flags; a class that has no such attributes leaves them unmapped.
pub(super) fn push<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>, reference: Reference) {
    let sum = |a: Option<i64>, b: Option<i64>| a.and_then(|a| a.checked_add(b.unwrap_or(0)));
    let peek = |fields: &Fields<'_>, key: &str| fields.peek(key).and_then(|text| text.parse::<i64>().ok());
    if event.class.carries(Attribute::TrafficBytes) {
        let bytes = sum(peek(fields, "flow.bytes_toserver"), peek(fields, "flow.bytes_toclient"));
        let packets = sum(peek(fields, "flow.pkts_toserver"), peek(fields, "flow.pkts_toclient"));
        for (attribute, total) in [(Attribute::TrafficBytes, bytes), (Attribute::TrafficPackets, packets)] {
            if let Some(total) = total {
                event.push(attribute, total);
            }
        }
        fields.push_all(
            event,
            &[
                (Attribute::TrafficBytesOut, "flow.bytes_toserver"),
                (Attribute::TrafficBytesIn, "flow.bytes_toclient"),
                (Attribute::TrafficPacketsOut, "flow.pkts_toserver"),
                (Attribute::TrafficPacketsIn, "flow.pkts_toclient"),
            ],
        );
        // One way only: from the source.
        if event.value(Attribute::TrafficBytesOut).is_none() {
            if let Some(bytes) = peek(fields, "netflow.bytes") {
                event.push(Attribute::TrafficBytes, bytes);
            }
            if let Some(packets) = peek(fields, "netflow.pkts") {
                event.push(Attribute::TrafficPackets, packets);
            }
            fields.push_all(
                event,
                &[(Attribute::TrafficBytesOut, "netflow.bytes"), (Attribute::TrafficPacketsOut, "netflow.pkts")],
            );
        }
    }
    for (start, end) in [("flow.start", "flow.end"), ("netflow.start", "netflow.end")] {
        if !fields.has(start) {
            continue;
        }
        fields.push_moment(event, Attribute::StartTime, start, reference);
        fields.push_moment(event, Attribute::EndTime, end, reference);
        if let (Some(&crate::event::Value::Int(from)), Some(&crate::event::Value::Int(to))) =
            (event.value(Attribute::StartTime), event.value(Attribute::EndTime))
            && event.class.carries(Attribute::Duration)
        {
            event.push(Attribute::Duration, to.saturating_sub(from).max(0));
        }
        break;
    }
    if event.class.carries(Attribute::ConnectionTcpFlags)
        && let Some(flags) = fields.peek("tcp.tcp_flags").and_then(|flags| i64::from_str_radix(flags, 16).ok())
    {
        fields.take("tcp.tcp_flags");
        event.push(Attribute::ConnectionTcpFlags, flags & 0xff);
    }
}
