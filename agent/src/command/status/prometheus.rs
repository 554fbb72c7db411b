//! The report as metrics: Prometheus text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write as _};
use std::time::Duration;

use shared::identity::Lane;
use shared::printable::Printable;
use shared::record::LossReason;

use crate::admin::{StatusReport, UplinkView};
use crate::source::health::IntegritySnapshot;

/// Longest value of a label, in characters; names in a fleet file have at most 64.
const LABEL_CHARS_MAX: usize = 64;

struct Page(String);

/// A value of a label: cut, without control characters, quotes and backslashes escaped.
fn label(value: &str) -> String {
    let cut = value.char_indices().nth(LABEL_CHARS_MAX).map_or(value, |(end, _)| value.get(..end).unwrap_or_default());
    Printable(cut).to_string().replace('\\', "\\\\").replace('"', "\\\"")
}

impl Page {
    /// Begins the metric `picket_agent_<name>`.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let _ = writeln!(self.0, "# HELP picket_agent_{name} {help}\n# TYPE picket_agent_{name} {kind}");
        Family { page: self, name }
    }
}

struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Family<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", label(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.page.0, "picket_agent_{}{labels} {value}", self.name);
    }
}

/// All metrics.
pub(super) fn page(report: &StatusReport) -> String {
    let mut page = Page(String::new());
    page.family("uptime_seconds", "gauge", "Time since the agent started.").sample(&[], report.uptime_seconds);
    page.family(
        "configurations_refused_total",
        "counter",
        "Configurations that were not taken: signed by a stranger, or for another session or host.",
    )
    .sample(&[], report.configurations_refused);
    sources(report, &mut page);
    captures(report, &mut page);
    integrities(report, &mut page);
    spool(report, &mut page);
    uplink(report, &mut page);
    limits(report, &mut page);
    page.0
}

fn sources(report: &StatusReport, page: &mut Page) {
    let mut records = page.family("source_records_total", "counter", "Records that a source handed over.");
    for source in &report.sources {
        records.sample(&[("source", &source.name)], source.health.lines);
    }
    let mut bytes = page.family("source_bytes_total", "counter", "Bytes of the records that a source handed over.");
    for source in &report.sources {
        bytes.sample(&[("source", &source.name)], source.health.bytes);
    }
    let mut lag = page.family("source_lag_bytes", "gauge", "Bytes seen and not yet handed over.");
    for source in &report.sources {
        lag.sample(&[("source", &source.name)], source.health.lag_bytes);
    }
    let mut troubles =
        page.family("source_troubles_total", "counter", "What went wrong where a source reads, by kind.");
    for source in &report.sources {
        for (trouble, count) in &source.health.troubles {
            troubles.sample(&[("source", &source.name), ("trouble", trouble.name())], count);
        }
    }
}

fn captures(report: &StatusReport, page: &mut Page) {
    if report.captures().next().is_none() {
        return;
    }
    let mut open = page.family("capture_open", "gauge", "1 while packets are being captured.");
    for (source, capture) in report.captures() {
        open.sample(&[("source", source)], u8::from(capture.open));
    }
    let mut packets = page.family("capture_packets_total", "counter", "Packets that were looked at.");
    for (source, capture) in report.captures() {
        packets.sample(&[("source", source)], capture.packets);
    }
    let help = "Packets that were not seen: no room in the kernel's ring, or dropped by the interface.";
    let mut dropped = page.family("capture_dropped_packets_total", "counter", help);
    for (source, capture) in report.captures() {
        let drops =
            [(LossReason::CaptureDrop, capture.kernel_drops), (LossReason::InterfaceDrop, capture.interface_drops)];
        for (reason, count) in drops {
            dropped.sample(&[("source", source), ("reason", reason.name())], count);
        }
    }
    let mut flows = page.family("capture_flows", "gauge", "Flows that last.");
    for (source, capture) in report.captures() {
        flows.sample(&[("source", source)], capture.flows);
    }
    let help = "Flows forgotten before their end to make room; untold ones are in no record.";
    let mut evicted = page.family("capture_evicted_flows_total", "counter", help);
    for (source, capture) in report.captures() {
        let told = capture.evicted_flows.saturating_sub(capture.untold_flows);
        evicted.sample(&[("source", source), ("told", "true")], told);
        evicted.sample(&[("source", source), ("told", "false")], capture.untold_flows);
    }
    let help = "Conversations given up because all of them held too much.";
    let mut given_up = page.family("capture_conversations_given_up_total", "counter", help);
    for (source, capture) in report.captures() {
        given_up.sample(&[("source", source)], capture.conversations_given_up);
    }
    let mut lost = page.family("capture_lost_records_total", "counter", "Records that found no room in the spool.");
    for (source, capture) in report.captures() {
        lost.sample(&[("source", source)], capture.records_lost);
    }
}

/// A metric of each integrity source: its name, kind, help and value.
type OfIntegrity = (&'static str, &'static str, &'static str, fn(&IntegritySnapshot) -> u64);

const INTEGRITY: [OfIntegrity; 8] = [
    ("integrity_paths", "gauge", "Paths that the baseline has.", |it| it.paths),
    ("integrity_watched_folders", "gauge", "Folders that the kernel watches.", |it| it.folders_watched),
    ("integrity_scanned_only_folders", "gauge", "Folders that only scans look at.", |it| it.folders_scanned_only),
    ("integrity_scans_total", "counter", "Looks at everything that came to their end.", |it| it.scans),
    ("integrity_changes_total", "counter", "Changes that were told.", |it| it.changes),
    ("integrity_changing_files_total", "counter", "Files that changed while they were read.", |it| it.changing),
    ("integrity_watch_overflows_total", "counter", "Times that the kernel lost word of changes.", |it| it.overflows),
    ("integrity_baselines_lost_total", "counter", "Times that no baseline could be used.", |it| it.baselines_lost),
];

fn integrities(report: &StatusReport, page: &mut Page) {
    if report.integrities().next().is_none() {
        return;
    }
    for (name, kind, help, value) in INTEGRITY {
        let mut family = page.family(name, kind, help);
        for (source, integrity) in report.integrities() {
            family.sample(&[("source", source)], value(integrity));
        }
    }
    let mut took = page.family("integrity_scan_seconds", "gauge", "How long the last look at everything took.");
    for (source, integrity) in report.integrities() {
        took.sample(&[("source", source)], Duration::from_millis(integrity.scan_ms).as_secs_f64());
    }
    let help = "Paths that the last look at everything skipped: not permitted or not readable, or beyond its bounds.";
    let mut skipped = page.family("integrity_skipped_paths", "gauge", help);
    for (source, integrity) in report.integrities() {
        for (reason, count) in [("unreadable", integrity.unreadable), ("out_of_bounds", integrity.out_of_bounds)] {
            skipped.sample(&[("source", source), ("reason", reason)], count);
        }
    }
}

fn spool(report: &StatusReport, page: &mut Page) {
    let Some(spool) = &report.spool else { return };
    let lanes = || Lane::ALL.iter().filter_map(|lane| spool.lanes.get_key_value(lane.name()));
    page.family("spool_max_bytes", "gauge", "Bytes that the spool may take.").sample(&[], spool.max_bytes);
    let mut bytes = page.family("spool_bytes", "gauge", "Bytes of a lane's log, room set aside included.");
    for (name, lane) in lanes() {
        bytes.sample(&[("lane", name)], lane.bytes);
    }
    let mut blocked = page.family("spool_blocked", "gauge", "1 while a lane is full and its sources wait.");
    for (name, lane) in lanes() {
        blocked.sample(&[("lane", name)], u8::from(lane.blocked));
    }
    let mut dropped = page.family("spool_dropped_records_total", "counter", "Records lost, by reason.");
    for (name, lane) in lanes() {
        for (reason, count) in &lane.lost {
            dropped.sample(&[("lane", name), ("reason", reason)], count);
        }
    }
    let help = "The books since the spool was made: observed = excluded + held + spooled + acked + lost.";
    let mut books = page.family("books_records", "gauge", help);
    for (name, lane) in lanes() {
        let lost = lane.lost.values().sum();
        for (entry, count) in [
            ("observed", lane.observed),
            ("excluded", lane.excluded),
            ("held", lane.held),
            ("spooled", lane.spooled),
            ("acked", lane.acked),
            ("lost", lost),
        ] {
            books.sample(&[("lane", name), ("entry", entry)], count);
        }
    }
}

/// A histogram whose buckets end at powers of two of microseconds.
fn latency(uplink: &UplinkView, page: &mut Page) {
    const NAME: &str = "uplink_ack_latency_seconds";
    let count = uplink.ack_latency_buckets.last().map_or(0, |(_, count)| *count);
    let Family { page, name } = page.family(NAME, "histogram", "Time from a frame's sending to its ack.");
    for (end, below) in &uplink.ack_latency_buckets {
        let _ = writeln!(page.0, "picket_agent_{name}_bucket{{le=\"{end}\"}} {below}");
    }
    let _ = writeln!(page.0, "picket_agent_{name}_bucket{{le=\"+Inf\"}} {count}");
    let _ = writeln!(page.0, "picket_agent_{name}_sum {}", uplink.ack_latency_sum);
    let _ = writeln!(page.0, "picket_agent_{name}_count {count}");
}

fn uplink(report: &StatusReport, page: &mut Page) {
    let uplink = report.uplink();
    page.family("uplink_connected", "gauge", "1 while a session is open.").sample(&[], u8::from(uplink.connected));
    page.family("uplink_sessions_total", "counter", "Sessions that were opened.").sample(&[], uplink.sessions);
    page.family("uplink_sent_bytes_total", "counter", "Bytes of frames sent.").sample(&[], uplink.sent_bytes);
    let mut acked = page.family("uplink_acked_frames_total", "counter", "Frames that were sent and acked.");
    for (lane, count) in Lane::ALL.iter().zip(uplink.acked_frames) {
        acked.sample(&[("lane", lane.name())], count);
    }
    latency(&uplink, page);
    if let Some(end) = report.certificate_end {
        let mut certificate = page.family("certificate_end_timestamp_seconds", "gauge", "When the certificate ends.");
        certificate.sample(&[], end.as_seconds());
    }
}

/// Of each resource: how far the agent gives way, what may be used (no sample: no limit), what is used, who waited.
fn limits(report: &StatusReport, page: &mut Page) {
    let resources = || report.limits.resources.iter().map(|(name, report)| (name.as_str(), report));
    let mut step = page.family("limits_step", "gauge", "How far the agent gives way, 0 to 4, by what it is short of.");
    for (resource, report) in resources() {
        step.sample(&[("resource", resource)], report.step.number());
    }
    let unit = "per mille of a core, bytes, bytes a second";
    let mut allowed = page.family("limits_allowed", "gauge", &format!("What may be used: {unit}."));
    for (resource, report) in resources() {
        report.allowed.into_iter().for_each(|value| allowed.sample(&[("resource", resource)], value));
    }
    let mut used = page.family("limits_used", "gauge", &format!("What is used: {unit}."));
    for (resource, report) in resources() {
        report.used.into_iter().for_each(|value| used.sample(&[("resource", resource)], value));
    }
    let mut waited = page.family("limits_waited_seconds_total", "counter", "How long what goes to a lane waited.");
    for (resource, report) in resources() {
        for (lane, milliseconds) in &report.waited_ms {
            waited
                .sample(&[("resource", resource), ("lane", lane)], Duration::from_millis(*milliseconds).as_secs_f64());
        }
    }
    let mut deferred =
        page.family("limits_deferred_total", "counter", "What was left for later, or out, within limits.");
    for (what, count) in &report.limits.deferred {
        deferred.sample(&[("what", what)], count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::report;
    use crate::limits::{LimitReport, Step};
    use crate::source::health::CaptureSnapshot;

    #[test]
    fn metrics_of_the_interface_are_there() {
        let mut report = report();
        report.spool.as_mut().unwrap().lanes.get_mut("bulk").unwrap().lost.insert("drop_oldest".into(), 4);
        let page = page(&report);
        for line in [
            "picket_agent_configurations_refused_total 0",
            "picket_agent_source_records_total{source=\"auth\"} 10",
            "picket_agent_source_lag_bytes{source=\"auth\"} 0",
            "picket_agent_spool_bytes{lane=\"high\"} 1048576",
            "picket_agent_spool_dropped_records_total{lane=\"bulk\",reason=\"drop_oldest\"} 4",
            "picket_agent_uplink_acked_frames_total{lane=\"normal\"} 2",
            "picket_agent_uplink_ack_latency_seconds_bucket{le=\"+Inf\"} 0",
            "picket_agent_books_records{lane=\"high\",entry=\"observed\"} 10",
            "picket_agent_books_records{lane=\"bulk\",entry=\"lost\"} 4",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in:\n{page}");
        }
    }

    #[test]
    fn what_a_capture_did_not_see_is_a_metric() {
        let mut report = report();
        let capture =
            CaptureSnapshot { kernel_drops: 5, evicted_flows: 9, untold_flows: 4, ..CaptureSnapshot::default() };
        report.sources[0].health.capture = Some(capture);
        let page = page(&report);
        for line in [
            "picket_agent_capture_open{source=\"auth\"} 0",
            "picket_agent_capture_dropped_packets_total{source=\"auth\",reason=\"capture_drop\"} 5",
            "picket_agent_capture_dropped_packets_total{source=\"auth\",reason=\"interface_drop\"} 0",
            "picket_agent_capture_evicted_flows_total{source=\"auth\",told=\"true\"} 5",
            "picket_agent_capture_evicted_flows_total{source=\"auth\",told=\"false\"} 4",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in:\n{page}");
        }
    }

    #[test]
    fn limits_and_what_they_cost_are_metrics() {
        let mut report = report();
        let memory = LimitReport {
            allowed: Some(64),
            used: Some(70),
            step: Step::AllSlowed,
            waited_ms: [("bulk".to_owned(), 1_500)].into(),
        };
        report.limits.resources = [("memory".to_owned(), memory), ("cpu".to_owned(), LimitReport::default())].into();
        report.limits.deferred = [("inventories".to_owned(), 3)].into();
        let page = page(&report);
        for line in [
            "picket_agent_limits_step{resource=\"memory\"} 4",
            "picket_agent_limits_step{resource=\"cpu\"} 0",
            "picket_agent_limits_allowed{resource=\"memory\"} 64",
            "picket_agent_limits_used{resource=\"memory\"} 70",
            "picket_agent_limits_waited_seconds_total{resource=\"memory\",lane=\"bulk\"} 1.5",
            "picket_agent_limits_deferred_total{what=\"inventories\"} 3",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in:\n{page}");
        }
        assert!(!page.contains("limits_allowed{resource=\"cpu\"}"), "no limit, no sample");
    }

    #[test]
    fn what_integrity_looked_at_and_skipped_is_a_metric() {
        let mut report = report();
        assert!(!page(&report).contains("integrity"), "where there is no such source");
        let integrity =
            IntegritySnapshot { paths: 7, scans: 2, changes: 3, unreadable: 1, scan_ms: 1500, ..Default::default() };
        report.sources[0].health.integrity = Some(integrity);
        let page = page(&report);
        for line in [
            "picket_agent_integrity_paths{source=\"auth\"} 7",
            "picket_agent_integrity_scans_total{source=\"auth\"} 2",
            "picket_agent_integrity_changes_total{source=\"auth\"} 3",
            "picket_agent_integrity_scan_seconds{source=\"auth\"} 1.5",
            "picket_agent_integrity_skipped_paths{source=\"auth\",reason=\"unreadable\"} 1",
            "picket_agent_integrity_skipped_paths{source=\"auth\",reason=\"out_of_bounds\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in:\n{page}");
        }
    }

    #[test]
    fn every_sample_follows_its_help_and_type() {
        let text = page(&report());
        let mut family = "";
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(declared) => family = declared.split(' ').next().unwrap(),
                None if line.starts_with("# HELP ") => {}
                None => {
                    assert!(line.starts_with(family) && !family.is_empty(), "{line}");
                    assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
                }
            }
        }
    }

    #[test]
    fn label_values_are_escaped_and_bounded() {
        assert_eq!(label("a\"b\\c\nd\u{1b}"), "a\\\"b\\\\c\\\\nd\\\\u{1b}");
        assert_eq!(label(&"é".repeat(500)), "é".repeat(LABEL_CHARS_MAX));
    }
}
