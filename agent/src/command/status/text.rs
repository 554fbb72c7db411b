//! The report as one screen for a person.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;
use shared::identity::Lane;
use shared::printable::Printable;
use shared::remark;
use shared::table::{Output, Table};
use shared::time::Timestamp;

use crate::admin::{StatusReport, span};
use crate::spool::SpoolStatus;

/// Bytes in the largest unit of which there is one, with one decimal.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    let unit = UNITS.iter().rfind(|(_, unit)| bytes >= *unit);
    match unit {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

/// A duration of seconds as milliseconds.
fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

fn ago(moment: Timestamp, at: Timestamp) -> String {
    span(at.since(moment).as_secs())
}

/// Prints all of it.
///
/// # Errors
/// The writer's.
pub(super) fn print(report: &StatusReport, out: &mut impl Write) -> io::Result<()> {
    remark::print(&report.remarks(), out)?;
    writeln!(out)?;
    facts(report, out)?;
    if let Some(spool) = &report.spool {
        writeln!(out)?;
        lanes(spool, out)?;
    }
    if !report.sources.is_empty() {
        writeln!(out)?;
        sources(report, out)?;
    }
    if report.captures().next().is_some() {
        writeln!(out)?;
        captures(report, out)?;
    }
    if report.integrities().next().is_some() {
        writeln!(out)?;
        integrities(report, out)?;
    }
    Ok(())
}

fn facts(report: &StatusReport, out: &mut impl Write) -> io::Result<()> {
    let (uplink, at) = (report.uplink(), report.at);
    let mut fact = |name: &str, value: &str| writeln!(out, "{name:<13}{}", Printable(value));
    fact("agent", &format!("{} on {}", report.agent, report.hostname))?;
    fact("version", &format!("{}, up {}", report.version, span(report.uptime_seconds)))?;
    let end = report.certificate_end.map_or("none".to_owned(), |end| match end.0.saturating_sub(at.0) {
        0.. => format!("ends {end} (in {})", span(end.since(at).as_secs())),
        _ => format!("ended {end}"),
    });
    fact("certificate", &end)?;
    let mut line = match (&uplink.aggregator, uplink.connected) {
        (Some(aggregator), true) => format!("connected to {aggregator} for {}", ago(uplink.since, at)),
        _ => "not connected".to_owned(),
    };
    let (sent, acked): (u64, u64) = (uplink.sent_frames.iter().sum(), uplink.acked_frames.iter().sum());
    let _ = write!(line, "; {sent} frames sent, {acked} acked, {}", size(uplink.sent_bytes));
    if let (Some(p50), Some(p99)) = (uplink.ack_latency_p50, uplink.ack_latency_p99) {
        let _ = write!(line, "; ack {} p50, {} p99", milliseconds(p50), milliseconds(p99));
    }
    fact("uplink", &line)?;
    if let Some(spool) = &report.spool {
        fact("spool", &format!("{} of {}", size(spool.bytes), size(spool.max_bytes)))?;
    }
    fact("limits", &report.limits.words())
}

fn lanes(spool: &SpoolStatus, out: &mut impl Write) -> io::Result<()> {
    let columns =
        ["lane", "bytes", "unacked frames", "observed", "excluded", "held", "spooled", "acked", "lost", "full"];
    let mut table = Table::new(out, Output::Table, &columns);
    for (name, lane) in Lane::ALL.iter().filter_map(|lane| spool.lanes.get_key_value(lane.name())) {
        table.row([
            name.as_str().into(),
            lane.bytes.into(),
            lane.unacked_frames.into(),
            lane.observed.into(),
            lane.excluded.into(),
            lane.held.into(),
            lane.spooled.into(),
            lane.acked.into(),
            lane.lost.values().sum::<u64>().into(),
            lane.blocked.into(),
        ])?;
    }
    table.finish()
}

fn sources(report: &StatusReport, out: &mut impl Write) -> io::Result<()> {
    let columns = ["source", "type", "lane", "records", "bytes", "last", "lag bytes", "files", "open"];
    let mut table = Table::new(out, Output::Table, &columns);
    for source in &report.sources {
        let health = &source.health;
        table.row([
            source.name.as_str().into(),
            source.kind.as_str().into(),
            source.lane.name().into(),
            health.lines.into(),
            health.bytes.into(),
            health.last_event.map_or(Value::Null, |last| format!("{} ago", ago(last, report.at)).into()),
            health.lag_bytes.into(),
            health.files.into(),
            health.files_open.into(),
        ])?;
    }
    table.finish()
}

fn captures(report: &StatusReport, out: &mut impl Write) -> io::Result<()> {
    let columns = [
        "capture",
        "interface",
        "open",
        "packets",
        "kernel drops",
        "interface drops",
        "flows",
        "evicted",
        "untold",
        "records lost",
    ];
    let mut table = Table::new(out, Output::Table, &columns);
    for (name, capture) in report.captures() {
        table.row([
            name.into(),
            capture.interface.as_str().into(),
            capture.open.into(),
            capture.packets.into(),
            capture.kernel_drops.into(),
            capture.interface_drops.into(),
            capture.flows.into(),
            capture.evicted_flows.into(),
            capture.untold_flows.into(),
            capture.records_lost.into(),
        ])?;
    }
    table.finish()
}

fn integrities(report: &StatusReport, out: &mut impl Write) -> io::Result<()> {
    let columns =
        ["integrity", "paths", "watched", "scanned only", "scans", "last", "took ms", "changes", "unreadable"];
    let mut table = Table::new(out, Output::Table, &columns);
    for (name, integrity) in report.integrities() {
        table.row([
            name.into(),
            integrity.paths.into(),
            integrity.folders_watched.into(),
            integrity.folders_scanned_only.into(),
            integrity.scans.into(),
            integrity.scanned_at.map_or(Value::Null, |last| format!("{} ago", ago(last, report.at)).into()),
            integrity.scan_ms.into(),
            integrity.changes.into(),
            integrity.unreadable.into(),
        ])?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::report;
    use crate::source::health::CaptureSnapshot;

    fn printed(report: &StatusReport) -> String {
        let mut out = Vec::new();
        print(report, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn first_line_says_whether_it_is_well() {
        let text = printed(&report());
        assert!(text.starts_with("well\n\nagent        07070707-0707-0707-0707-070707070707 on web-1\n"), "{text}");
        assert!(
            text.contains("connected to agg1:7443 (192.0.2.1:7443) for 50s; 6 frames sent, 6 acked, 2.0 KiB"),
            "{text}"
        );
        assert!(text.contains("ack 1.2 ms p50, 250.0 ms p99"), "{text}");
        assert!(text.contains("(in 60d)") && text.contains("4.0 MiB of 1.0 GiB"), "{text}");
        assert!(text.lines().count() < 24, "one screen: {text}");
    }

    #[test]
    fn what_is_wrong_comes_before_the_facts_with_what_to_do() {
        let mut report = report();
        report.uplink = serde_json::json!({ "connected": false, "last_error": "refused\u{1b}[31m" });
        let text = printed(&report);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "degraded: one thing needs a person");
        assert!(lines[1].starts_with("  ! no session") && lines[1].ends_with("refused\\u{1b}[31m"), "{text}");
        assert!(lines[2].contains("kept on this host"), "{text}");
    }

    #[test]
    fn capture_shows_what_it_saw_and_what_it_did_not() {
        let mut report = report();
        report.sources[0].health.capture = Some(CaptureSnapshot {
            interface: "eth0".into(),
            open: true,
            packets: 7_000,
            kernel_drops: 12,
            untold_flows: 3,
            ..CaptureSnapshot::default()
        });
        let text = printed(&report);
        let row: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(row, ["auth", "eth0", "yes", "7000", "12", "0", "0", "0", "3", "0"], "{text}");
    }

    #[test]
    fn report_of_an_unknown_form_still_prints() {
        let report = StatusReport { uplink: "later".into(), ..StatusReport::default() };
        assert!(printed(&report).starts_with("degraded: "));
    }

    #[test]
    fn sizes_are_short() {
        let shown = [0, 1_023, 1_024, 1_536, 5 << 20, (1 << 30) - 1, u64::MAX].map(size);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "1023.9 MiB", "16777215.9 TiB"]);
    }
}
