//! How an agent is, as it says itself: [`StatusReport`], and what follows from it for a person ([`Remark`]).
//!
//! A field that another version does not send is empty; one that this version does not know is ignored.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::fleet::UNTYPED;
use shared::identity::{AgentId, Lane};
use shared::remark::{self, Remark};
use shared::time::Timestamp;

use crate::limits::{LimitsReport, Step};
use crate::source::health::{CaptureSnapshot, HealthSnapshot, IntegritySnapshot, Trouble};
use crate::spool::{LaneStatus, SpoolStatus};
use crate::steering::ConfigStatus;

/// A thread that has not come round for this long hangs or waits; nanoseconds.
const SILENCE_NS: i64 = 30 * SECOND_NS;
/// A certificate of 90 days is renewed at two thirds; with less than this left that has not happened for ten days.
const RENEWAL_OVERDUE_NS: i64 = 20 * DAY_NS;
const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;

/// What a running agent says of itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReport {
    /// Version of the program that runs, with its commit.
    pub version: String,
    /// Its id.
    pub agent: AgentId,
    /// Its name for the host.
    pub hostname: String,
    /// When it said this, by its clock.
    pub at: Timestamp,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// `UplinkStatus::snapshot`, see [`UplinkView`].
    pub uplink: Value,
    /// The sources that run, in the order of their table.
    pub sources: Vec<SourceStatus>,
    /// The sources that are asked for and cannot be run.
    pub unavailable: Vec<UnavailableSource>,
    /// What is in force by the fleet.
    pub config: ConfigStatus,
    /// Configurations that came since the start and were not taken: nobody trusted signed them, or for another session or host.
    pub configurations_refused: u64,
    /// The spool; none while it cannot be opened, and when it has ended.
    pub spool: Option<SpoolStatus>,
    /// What the agent may use, what it uses, and how far it gives way.
    pub limits: LimitsReport,
    /// When the certificate ends.
    pub certificate_end: Option<Timestamp>,
}

/// A source that runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its name in the fleet file.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where its records go.
    pub lane: Lane,
    /// How it is.
    pub health: HealthSnapshot,
}

/// A source that does not run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnavailableSource {
    /// Its name in the fleet file.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What is shown of the uplink's snapshot.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UplinkView {
    /// Whether a session is open.
    pub connected: bool,
    /// Name and address of the aggregator.
    pub aggregator: Option<String>,
    /// Since when the session is open, or there is none.
    pub since: Timestamp,
    /// Why the last session or attempt ended.
    pub last_error: Option<String>,
    /// Sessions since the start.
    pub sessions: u64,
    /// Frames sent: high, normal, bulk.
    pub sent_frames: [u64; 3],
    /// Frames acked: high, normal, bulk.
    pub acked_frames: [u64; 3],
    /// Bytes of frames sent.
    pub sent_bytes: u64,
    /// Seconds from a frame to its ack that half of them did not exceed.
    pub ack_latency_p50: Option<f64>,
    /// The same for 99 of 100.
    pub ack_latency_p99: Option<f64>,
    /// Acks that took no longer than so many seconds, counts rising.
    pub ack_latency_buckets: Vec<(f64, u64)>,
    /// Seconds that all of them took.
    pub ack_latency_sum: f64,
}

/// A time span in its two largest units at most: `45s`, `3h12m`, `60d`.
#[must_use]
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

impl StatusReport {
    /// The uplink; empty where it is of another form.
    #[must_use]
    pub fn uplink(&self) -> UplinkView {
        serde_json::from_value(self.uplink.clone()).unwrap_or_default()
    }

    /// The sources that capture packets, and how it goes.
    pub fn captures(&self) -> impl Iterator<Item = (&str, &CaptureSnapshot)> {
        self.sources.iter().filter_map(|source| Some((source.name.as_str(), source.health.capture.as_ref()?)))
    }

    /// The sources of file integrity, and how it goes.
    pub fn integrities(&self) -> impl Iterator<Item = (&str, &IntegritySnapshot)> {
        self.sources.iter().filter_map(|source| Some((source.name.as_str(), source.health.integrity.as_ref()?)))
    }

    /// What a person should know, the urgent first. None: all is well.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        let mut remarks = self.remarks_in_session();
        self.uplink_remarks(&mut remarks);
        remark::sort(&mut remarks);
        remarks
    }

    /// The same for who hears it from the agent in a session, and so knows that there is one.
    #[must_use]
    pub fn remarks_in_session(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        self.spool_remarks(&mut remarks);
        self.config_remarks(&mut remarks);
        self.certificate_remarks(&mut remarks);
        self.source_remarks(&mut remarks);
        self.limit_remarks(&mut remarks);
        self.captures().for_each(|(name, capture)| capture_remarks(name, capture, &mut remarks));
        self.integrities().for_each(|(name, integrity)| integrity_remarks(name, integrity, &mut remarks));
        remark::sort(&mut remarks);
        remarks
    }

    fn lane(&self, lane: Lane) -> Option<&LaneStatus> {
        self.spool.as_ref()?.lanes.get(lane.name())
    }

    fn spool_remarks(&self, remarks: &mut Vec<Remark>) {
        let Some(spool) = &self.spool else {
            let advice =
                "its log says why (`journalctl -u picket-agent`): the disk is full, or the folder may not be written";
            return remarks.push(Remark::urgent("the spool is not open: nothing is read", advice));
        };
        if let Some(error) = &spool.error {
            let what = format!("the disk of the spool refuses: {error}");
            remarks.push(Remark::urgent(
                what,
                "make room on the disk of state_dir, or mend it; records wait in their files",
            ));
        }
        for (name, lane) in &spool.lanes {
            if lane.blocked {
                let what =
                    format!("lane {name} is full: its sources wait ({} frames are not acked)", lane.unacked_frames);
                let advice =
                    "it goes on when an aggregator takes frames; spool.max_bytes in the fleet file is the bound";
                remarks.push(Remark::urgent(what, advice));
            }
            for (reason, count) in lane.lost.iter().filter(|(_, count)| **count > 0) {
                let what = format!("lane {name} lost {count} records ({reason}) since the spool was made");
                remarks.push(Remark::note(what, "`picket-agent spool stat` shows which"));
            }
        }
    }

    fn config_remarks(&self, remarks: &mut Vec<Remark>) {
        if let Some(refused) = &self.config.refused {
            let what = format!("what the fleet asks for is not run ({}): {}", refused.hash, refused.reason);
            let advice = "what worked before runs on; mend the fleet file at the aggregator: its next change is tried";
            remarks.push(Remark::urgent(what, advice));
        }
        if self.configurations_refused > 0 {
            let what = format!("{} configurations were not taken since the start", self.configurations_refused);
            let advice = "its log says why: one that is played again, or signed by a stranger, means that somebody \
                          speaks for an aggregator; see SECURITY.md";
            remarks.push(Remark::note(what, advice));
        }
        for UnavailableSource { name, reason } in &self.unavailable {
            let what = format!("source {name} does not run as it should: {reason}");
            let advice =
                "mend it in the fleet file, or switch it off for this host with `enabled: false`; the others run";
            let remark = if reason == UNTYPED { Remark::note } else { Remark::urgent };
            remarks.push(remark(what, advice));
        }
    }

    fn uplink_remarks(&self, remarks: &mut Vec<Remark>) {
        let uplink = self.uplink();
        if !uplink.connected {
            let since = span(self.at.since(uplink.since).as_secs());
            let why = uplink.last_error.as_deref().unwrap_or("none has answered yet");
            let what = format!("no session with an aggregator for {since}: {why}");
            let advice =
                "records are kept on this host meanwhile; `picket-agent validate` looks at names and certificate";
            remarks.push(Remark::urgent(what, advice));
        }
    }

    fn certificate_remarks(&self, remarks: &mut Vec<Remark>) {
        match self.certificate_end.map(|end| (end, end.0.saturating_sub(self.at.0))) {
            Some((end, left)) if left <= 0 => {
                let advice = "a session may still renew it within a year; if the aggregator refuses, enroll again with a new token";
                remarks.push(Remark::urgent(format!("the certificate ended at {end}"), advice));
            }
            Some((end, left)) if left < RENEWAL_OVERDUE_NS => {
                let advice = "it is renewed in a session: see to it that an aggregator is reachable";
                remarks.push(Remark::urgent(format!("the certificate ends at {end} and has not been renewed"), advice));
            }
            _ => {}
        }
    }

    fn limit_remarks(&self, remarks: &mut Vec<Remark>) {
        let limits = &self.limits;
        if limits.step == Step::None {
            return;
        }
        let since = span(self.at.since(limits.since.unwrap_or(self.at)).as_secs());
        let what = format!("for {since} {}, for want of {}", limits.step.words(), limits.causes());
        let advice = "nothing is lost by it; `limits` in the fleet file is the bound, docs/fleet.md has the order";
        let is_urgent = limits.step >= Step::InventoryPaused;
        remarks.push(if is_urgent { Remark::urgent(what, advice) } else { Remark::note(what, advice) });
    }

    fn source_remarks(&self, remarks: &mut Vec<Remark>) {
        if self.sources.is_empty() {
            remarks.push(Remark::urgent("no source is configured: nothing is read", "name sources in the fleet file"));
        }
        for SourceStatus { name, lane, health, .. } in &self.sources {
            let is_waiting = self.lane(*lane).is_some_and(|lane| lane.blocked);
            let last_turn = health.last_turn.filter(|turn| self.at.0.saturating_sub(turn.0) > SILENCE_NS);
            if let Some(turn) = last_turn.filter(|_| !is_waiting) {
                let what = format!("source {name} has not come round for {}", span(self.at.since(turn).as_secs()));
                let advice =
                    "it hangs in a call of the system (a network filesystem?); a restart of the agent lets go of it";
                remarks.push(Remark::urgent(what, advice));
            }
            let troubles: Vec<String> = health
                .troubles
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(trouble, count)| format!("{} {count}", trouble.name()))
                .collect();
            if !troubles.is_empty() || health.restarts > 0 {
                let restarts = (health.restarts > 0).then(|| format!("restarts {}", health.restarts));
                let troubles: Vec<String> = troubles.into_iter().chain(restarts).collect();
                let last = health.last_error.as_deref().unwrap_or("its log says more");
                let what =
                    format!("source {name} met troubles since the start ({}); the last: {last}", troubles.join(", "));
                let first = health.troubles.iter().find(|(_, count)| *count > 0);
                let advice = first.map_or("it was started again by itself", |(trouble, _)| trouble_advice(*trouble));
                remarks.push(Remark::note(what, advice));
            }
            for missing in &health.missing {
                let what = format!("source {name} runs without {}: {}", missing.capability, missing.cost);
                remarks.push(Remark::note(what, "`AmbientCapabilities` of its unit gives it"));
            }
            if let Some(shadowed) = health.shadowed.first() {
                let (count, path, by) = (health.shadowed_total, &shadowed.path, &shadowed.by);
                let what = format!("source {name} leaves {count} paths to others, e.g. {path} to {by}");
                remarks.push(Remark::note(what, "narrow its globs if that is not meant"));
            }
        }
    }
}

/// What to do about what a source met.
fn trouble_advice(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::NotAFile => "narrow `include`, or name it in `exclude`",
        Trouble::Unreadable => "let the agent's user read it: CAP_DAC_READ_SEARCH in its unit, or the file's rights",
        Trouble::ReadFailed => "look at its disk (`dmesg`); it is read again by itself",
        Trouble::Truncated => "what was cut off before it was read is lost: rotate by renaming instead of copytruncate",
        Trouble::TooMany => "narrow `include`, or `exclude` what is not meant: what is beyond the bound is not read",
        Trouble::LostTail => "delete rotated files later: the agent had not read all of it",
        Trouble::CaptureFailed => "the row of its capture says how it is now; it is tried again by itself",
        Trouble::Baseline => "changes before this one are not told: docs/integrity.md",
    }
}

fn capture_remarks(name: &str, capture: &CaptureSnapshot, remarks: &mut Vec<Remark>) {
    let interface = &capture.interface;
    if let Some(problem) = &capture.problem {
        let what = format!("source {name} captures nothing on {interface}: {problem}");
        remarks.push(Remark::urgent(what, capture.advice.as_str()));
    }
    for missing in capture.missing.iter().filter(|_| capture.problem.is_none()) {
        let what = format!("source {name} runs without {}: {}", missing.capability, missing.cost);
        remarks.push(Remark::note(what, "`AmbientCapabilities` of its unit gives it"));
    }
    if capture.kernel_drops > 0 {
        let (drops, packets) = (capture.kernel_drops, capture.packets);
        let what = format!("source {name} missed {drops} packets on {interface} beside {packets}: the ring was full");
        remarks.push(Remark::note(what, "a larger `buffer_bytes`, or a `filter` that leaves bulk traffic out"));
    }
    if capture.evicted_flows > 0 {
        let (flows, untold) = (capture.evicted_flows, capture.untold_flows);
        let what = format!("source {name} forgot {flows} flows before their end, {untold} of them untold");
        remarks.push(Remark::note(what, "a larger `flows_max`; a flood or a scan does it, too"));
    }
}

fn integrity_remarks(name: &str, integrity: &IntegritySnapshot, remarks: &mut Vec<Remark>) {
    for missing in &integrity.missing {
        let what = format!("source {name} runs without {}: {}", missing.capability, missing.cost);
        remarks.push(Remark::note(what, "`AmbientCapabilities` of its unit gives it"));
    }
    if integrity.folders_scanned_only > 0 {
        let (scanned, watched) = (integrity.folders_scanned_only, integrity.folders_watched);
        let what = format!("source {name} only scans {scanned} folders and watches {watched}");
        remarks.push(Remark::note(what, "a larger `watch_max` and fs.inotify.max_user_watches, or narrower `paths`"));
    }
    if integrity.unreadable + integrity.out_of_bounds > 0 {
        let (unreadable, beyond) = (integrity.unreadable, integrity.out_of_bounds);
        let what = format!("source {name} could not look at {unreadable} paths, and {beyond} were beyond its bounds");
        remarks.push(Remark::note(what, "give it CAP_DAC_READ_SEARCH, or name them in `exclude`"));
    }
    if integrity.overflows > 0 {
        let what = format!("source {name} missed changes {} times: the kernel's queue was full", integrity.overflows);
        remarks.push(Remark::note(what, "raise fs.inotify.max_queued_events, or exclude what is busy"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;
    use crate::source::health::{Missing, Shadowed};
    use crate::steering::Refused;

    fn whats(report: &StatusReport) -> Vec<(bool, String)> {
        report.remarks().into_iter().map(|remark| (remark.is_urgent, remark.what)).collect()
    }

    #[test]
    fn agent_that_is_well_has_nothing_to_remark() {
        assert_eq!(whats(&report()), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_said_and_what_to_do() {
        type Spoil = fn(&mut StatusReport);
        let cases: [(Spoil, &str); 11] = [
            (|r| r.limits.step = Step::AllSlowed, "for 0s all reading is slowed, "),
            (|r| r.spool = None, "the spool is not open"),
            (
                |r| r.spool.as_mut().unwrap().error = Some("No space left".into()),
                "the disk of the spool refuses: No space",
            ),
            (|r| r.spool.as_mut().unwrap().lanes.get_mut("high").unwrap().blocked = true, "lane high is full"),
            (|r| r.uplink["connected"] = false.into(), "no session with an aggregator for 50s: none has answered"),
            (|r| r.certificate_end = Some(Timestamp(r.at.0 - 1)), "the certificate ended at "),
            (|r| r.certificate_end = Some(Timestamp(r.at.0 + 19 * DAY_NS)), "the certificate ends at "),
            (|r| r.sources.clear(), "no source is configured"),
            (
                |r| r.sources[0].health.last_turn = Some(Timestamp(r.at.0 - 31 * SECOND_NS)),
                "source auth has not come round for 31s",
            ),
            (
                |r| r.unavailable.push(UnavailableSource { name: "net".into(), reason: "no such type".into() }),
                "source net does not run as it should: no such type",
            ),
            (
                |r| r.config.refused = Some(Refused { hash: "ab".into(), reason: "the agent ended twice".into() }),
                "what the fleet asks for is not run (ab): the agent ended twice",
            ),
        ];
        for (spoil, begin) in cases {
            let mut report = report();
            spoil(&mut report);
            let remarks = report.remarks();
            assert_eq!(remarks.len(), 1, "{remarks:?}");
            assert!(remarks[0].is_urgent && remarks[0].what.starts_with(begin), "{begin}: {remarks:?}");
            assert!(!remarks[0].advice.is_empty());
        }
    }

    #[test]
    fn what_is_past_or_meant_is_a_note_and_comes_last() {
        let mut report = report();
        report.spool.as_mut().unwrap().lanes.get_mut("bulk").unwrap().lost.insert("drop_oldest".into(), 7);
        report.unavailable.push(UnavailableSource { name: "net".into(), reason: UNTYPED.into() });
        let health = &mut report.sources[0].health;
        health.troubles = vec![(Trouble::Unreadable, 2), (Trouble::TooMany, 0)];
        health.last_error = Some("/var/log/x: permission denied".into());
        health.shadowed = vec![Shadowed { path: "/var/log/y".into(), by: "app".into() }];
        health.shadowed_total = 3;
        report.uplink["connected"] = false.into();
        let whats = whats(&report);
        assert_eq!(whats.iter().map(|(urgent, _)| *urgent).collect::<Vec<_>>(), [true, false, false, false, false]);
        assert_eq!(whats[1].1, "lane bulk lost 7 records (drop_oldest) since the spool was made");
        assert!(whats[3].1.contains("(unreadable 2); the last: /var/log/x"), "{whats:?}");
        assert!(whats[4].1.ends_with("leaves 3 paths to others, e.g. /var/log/y to app"), "{whats:?}");
    }

    #[test]
    fn capture_that_is_not_permitted_is_urgent_and_what_it_lacks_a_note() {
        let mut report = report();
        let missing = vec![Missing { capability: "CAP_SYS_PTRACE".into(), cost: "no processes".into() }];
        let mut capture =
            CaptureSnapshot { interface: "any".into(), open: true, missing, ..CaptureSnapshot::default() };
        report.sources[0].health.capture = Some(capture.clone());
        assert_eq!(whats(&report), [(false, "source auth runs without CAP_SYS_PTRACE: no processes".to_owned())]);
        (capture.problem, capture.advice, capture.kernel_drops) = (Some("no".into()), "give it".into(), 3);
        report.sources[0].health.capture = Some(capture);
        let remarks = report.remarks();
        assert_eq!((remarks[0].is_urgent, remarks[0].advice.as_str()), (true, "give it"));
        assert_eq!(remarks[0].what, "source auth captures nothing on any: no");
        assert!(remarks[1].what.starts_with("source auth missed 3 packets on any"), "{remarks:?}");
    }

    #[test]
    fn source_that_waits_for_room_is_not_said_to_hang() {
        let mut report = report();
        report.spool.as_mut().unwrap().lanes.get_mut("high").unwrap().blocked = true;
        report.sources[0].health.last_turn = Some(Timestamp(report.at.0 - DAY_NS));
        assert_eq!(report.remarks().len(), 1);
    }

    #[test]
    fn spans_are_short() {
        let shown = [0, 59, 60, 3_599, 3_600, 11_520, 86_400, 8_640_000].map(span);
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "1h00m", "3h12m", "1d", "100d"]);
    }

    #[test]
    fn report_of_another_version_is_still_read() {
        let text = r#"{"hostname":"h","later":{"x":1},"spool":{"lanes":{"high":{"acked":3}},"news":true}}"#;
        let report: StatusReport = serde_json::from_str(text).unwrap();
        assert_eq!(report.lane(Lane::High).unwrap().acked, 3);
        assert_eq!(report.uplink(), UplinkView::default());
    }
}
