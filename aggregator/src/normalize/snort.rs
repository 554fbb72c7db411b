//! Alerts of Snort and Suricata in one line: `fast.log`, and the same in syslog (2004).
//!
//! `11/03/2026-10:00:00.123456  [Drop] [**] [1:2013028:7] NAME [**] [Classification: C] [Priority: 2] {TCP} A:p -> B:p`, Snort
//! without the year; in syslog from `[1:2013028:7]` on, without the stars. The time is the sensor's own, without a zone.
//! Source: Suricata, `alert-fastlog.c`, `alert-syslog.c`; Snort 2, `spo_alert_fast.c`, `spo_alert_syslog.c`.

use shared::time::Timestamp;

use super::endpoint;
use super::outcome::{Control, controlled};
use super::syslog::Header;
use super::text::{between, cut, port, word};
use super::timestamp::{self, Stamp};
use super::{Context, text};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// The months as a time without a year names them.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Whether a day of these sensors begins the line, and the stars follow.
pub(super) fn looks(text: &str) -> bool {
    let [a, b, b'/', c, d, b'/' | b'-', rest @ ..] = text.as_bytes() else { return false };
    [a, b, c, d].iter().all(|byte| byte.is_ascii_digit())
        && rest.first().is_some_and(u8::is_ascii_digit)
        && cut(text::head(text, 80), "[**] ").is_some()
}

/// Reads a line of `fast.log`.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let (when, rest) = word(text);
    let Some((stamp, dated)) = stamp(when, context) else { return false };
    let Some((before, rest)) = cut(rest, "[**] ") else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "snort_fast");
    event.push(Attribute::MetadataLogProvider, if dated { "suricata" } else { "snort" });
    event.push(Attribute::Message, rest);
    let control = match before.trim() {
        "[Drop]" | "[drop]" | "[block]" => Control::Dropped,
        "[Reject]" | "[reject]" => Control::Rejected,
        "[Pass]" | "[allow]" => Control::Allowed,
        _ => Control::Alerted,
    };
    alert(rest, control, dated, event)
}

/// Reads what a sensor sends to syslog.
pub(super) fn parse_message<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (control, rest) = match message.strip_prefix("[Drop] ") {
        Some(rest) => (Control::Dropped, rest),
        None => (Control::Alerted, message),
    };
    alert(rest, control, false, event)
}

/// The moment that a time of these sensors names, and the offset that was assumed.
pub(super) fn moment(when: &str, context: &Context<'_>) -> Option<(Timestamp, Option<i32>)> {
    stamp(when, context).map(|(stamp, _)| (stamp.time, stamp.assumed_offset))
}

/// `11/03/2026-10:00:00.123456`, `11/03-10:00:00.123456`, `11/03/26-…`; and whether it has a year of four digits.
fn stamp<'a>(when: &'a str, context: &Context<'a>) -> Option<(Stamp<'a>, bool)> {
    let (date, clock) = when.split_once('-')?;
    let mut parts = date.split('/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next());
    let found = match year {
        Some(year) => {
            let century = if year.len() == 2 { "20" } else { "" };
            let date = format!("{century}{year}-{month}-{day}");
            timestamp::parts(&date, clock, None, context.reference).map(|stamp| (stamp.time, stamp.assumed_offset))
        }
        None => {
            let name = MONTHS.get(usize::try_from(text::number(month)?.checked_sub(1)?).ok()?)?;
            let date = format!("{name} {day} {clock}");
            timestamp::bsd(&date, context.reference).map(|(stamp, _)| (stamp.time, stamp.assumed_offset))
        }
    };
    let (time, assumed_offset) = found?;
    Some((Stamp { time, text: when, assumed_offset }, year.is_some_and(|year| year.len() == 4)))
}

/// `[GID:SID:REV] NAME [**] [Classification: C] [Priority: N] {PROTO} A:p -> B:p`.
fn alert<'a>(text: &'a str, control: Control, dated: bool, event: &mut Event<'a>) -> bool {
    let Some((ids, rest)) = text.strip_prefix('[').and_then(|rest| cut(rest, "] ")) else { return false };
    let mut ids = ids.split(':');
    let (Some(generator), Some(rule), Some(revision)) = (ids.next(), ids.next(), ids.next()) else { return false };
    if [generator, rule, revision].iter().any(|id| text::number(id).is_none()) {
        return false;
    }
    let marks = [" [**]", " [Classification: ", " [Priority: ", " {"];
    let end = marks.iter().filter_map(|mark| cut(rest, mark).map(|(name, _)| name.len())).min().unwrap_or(rest.len());
    let (name, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let name = name.trim_matches(['"', ' ']);
    let Some((protocol, ends)) = between(rest, "{", "} ") else { return false };
    let Some((source, destination)) = cut(ends, " -> ") else { return false };
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.push(Attribute::FindingUid, format!("{generator}:{rule}:{ends}"));
    event.push(Attribute::FindingTitle, name);
    event.push(Attribute::FindingAnalyticName, name);
    event.push(Attribute::FindingAnalyticUid, rule);
    event.push(Attribute::FindingAnalyticVersion, revision);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    if let Some((class, _)) = between(rest, "[Classification: ", "]").filter(|(class, _)| *class != "(null)") {
        event.push(Attribute::FindingAnalyticCategory, class);
        event.push(Attribute::FindingTypes, class);
    }
    event.severity_id = match between(rest, "[Priority: ", "]").map(|(priority, _)| priority) {
        Some("1") => 4,
        Some("2") => 3,
        Some("3") => 2,
        _ => 1,
    };
    event.push(Attribute::EvidencesConnectionProtocolName, protocol.to_ascii_lowercase());
    event.push(Attribute::EvidencesConnectionDirectionId, 0);
    let ported = matches!(protocol, "TCP" | "UDP" | "SCTP");
    for (end, address, number) in [
        (source, Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointPort),
        (word(destination).0, Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointPort),
    ] {
        let (host, tail) = end_of(end, ported || dated);
        let Some(host) = endpoint::ip(host) else { continue };
        event.push(address, host);
        if let Some(port) = tail.filter(|_| ported).and_then(port) {
            event.push(number, port);
        }
    }
    controlled(event, control);
    event.value(Attribute::EvidencesSrcEndpointIp).is_some()
}

/// An address and what follows its last colon: Suricata writes a number behind each, a type and code of ICMP too, Snort only
/// behind those that have ports.
fn end_of(text: &str, numbered: bool) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, tail)) if numbered || !host.contains(':') => (host, Some(tail)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    const ALERT: &str = "[1:2013028:7] NAME of it";

    #[test]
    fn alerts_name_rule_ends_and_verdict() {
        let event = normalized(&format!(
            "11/03/2025-10:00:00.123456  [Drop] [**] {ALERT} [**] [Classification: Leak] [Priority: 2] {{TCP}} 192.0.2.1:5000 -> 198.51.100.9:80"
        ));
        assert_eq!((event["type_uid"].as_i64(), event["severity_id"].as_i64()), (Some(200_401), Some(3)));
        assert_eq!(event["finding_info"]["title"], "NAME of it");
        assert_eq!(event["finding_info"]["analytic"]["uid"], "2013028");
        assert_eq!(event["evidences"][0]["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5000}));
        assert_eq!(event["evidences"][0]["dst_endpoint"], json!({"ip": "198.51.100.9", "port": 80}));
        assert_eq!(event["disposition_id"], 6);
        assert_eq!(event["metadata"]["original_time"], "11/03/2025-10:00:00.123456");
    }

    #[test]
    fn ends_without_ports_and_lines_without_a_year_are_read() {
        for (line, source) in [
            (
                format!("11/03-10:00:00.1 [**] {ALERT} [**] [Priority: 3] {{ICMP}} 192.0.2.1 -> 198.51.100.9"),
                "192.0.2.1",
            ),
            (
                format!("11/03/2025-10:00:00.1 [**] {ALERT} [**] [Priority: 3] {{IPv6-ICMP}} fe80::1:135 -> ff02::1:0"),
                "fe80::1",
            ),
            (
                format!(
                    "11/03/2025-10:00:00.1 [**] {ALERT} [**] [Priority: 3] {{UDP}} 2001:db8::1:53 -> 2001:db8::9:5"
                ),
                "2001:db8::1",
            ),
            (
                format!(
                    "Nov  3 10:00:00 ids snort[9]: {ALERT} [Classification: c] [Priority: 1]: {{TCP}} 192.0.2.1:5 -> 198.51.100.9:80"
                ),
                "192.0.2.1",
            ),
        ] {
            let event = normalized(&line);
            assert_eq!(event["class_uid"], 2004, "{line}");
            assert_eq!(event["evidences"][0]["src_endpoint"]["ip"], source, "{line}");
            assert_eq!(event["finding_info"]["title"], "NAME of it", "{line}");
        }
        for line in ["11/03/2025-10:00:00.1 [**] no rule [**]", "11/03/2025-10:00:00.1 x"] {
            assert_eq!(normalized(line)["class_uid"], 0, "{line}");
        }
    }
}
