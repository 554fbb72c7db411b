//! What follows from the findings for a person: what is wrong, and what to do.

use std::time::Duration;

use shared::remark::{self, Remark};
use shared::time::Timestamp;

use super::Findings;
use crate::command::agents::config_word;
use crate::command::bytes_text;

/// A certificate of 90 days is renewed at two thirds; with less than this left that has not happened for ten days.
const RENEWAL_OVERDUE: Duration = Duration::from_secs(20 * 86_400);
/// The server's certificate of a year is made anew at two thirds; with less than this left that has not happened for a month.
const SERVER_OVERDUE: Duration = Duration::from_secs(90 * 86_400);
/// With less than this left a disk is as good as full: a segment of the journal takes as much.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Frames that a sink may be behind without a word.
const LAG_FRAMES_MAX: u64 = 10_000;
/// A clock that is further off than this gives times that mislead.
const CLOCK_OFFSET_MS_MAX: u64 = 60_000;
/// Names that a remark lists.
const NAMED_MAX: usize = 5;

/// Whether an agent's certificate has ended, or should have been renewed.
pub(super) fn is_overdue(end: Timestamp, now: Timestamp) -> bool {
    end.since(now) < RENEWAL_OVERDUE
}

/// The first names of a list, and how many more there are.
fn named(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("one {one}") } else { format!("{count} {one}s") }
}

impl Findings {
    /// What a person should know, the urgent first. None: all is well.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        self.journal_remarks(&mut remarks);
        self.sink_remarks(&mut remarks);
        self.file_remarks(&mut remarks);
        self.agent_remarks(&mut remarks);
        remark::sort(&mut remarks);
        remarks
    }

    fn journal_remarks(&self, remarks: &mut Vec<Remark>) {
        let journal = &self.report.journal;
        if let Some(error) = &journal.error {
            let advice = "agents keep what they see until it does; make room on its disk, raise journal.max_bytes, or mend \
                          the sink that it waits for: it goes on by itself";
            remarks.push(Remark::urgent(format!("the journal takes nothing: {error}"), advice));
        }
        for note in &journal.notes {
            let advice =
                "`picket-aggregator journal stat` shows what it holds, `picket-aggregator gaps` what is missing";
            remarks.push(Remark::urgent(note.as_str(), advice));
        }
        for disk in &self.disks {
            let (path, free) = (disk.path.display(), bytes_text(disk.free));
            let wanted = if disk.is_of_journal { self.journal_bytes_max.saturating_sub(journal.bytes) } else { 0 };
            if disk.free < FREE_BYTES_MIN {
                let what = format!("the disk of {path} is nearly full: {free} left");
                remarks.push(Remark::urgent(what, "make room: nothing is taken any more when it is full"));
            } else if disk.free < wanted {
                let what = format!("the journal may grow by {}, and {path} has {free} left", bytes_text(wanted));
                remarks.push(Remark::note(what, "make room, or lower journal.max_bytes in aggregator.yaml"));
            }
        }
        match self.certificate_end.map(|end| end.since(self.at)) {
            None => {
                let advice = "`picket-aggregator validate` says why";
                remarks.push(Remark::urgent("the server's certificate cannot be read", advice));
            }
            Some(left) if left < SERVER_OVERDUE => {
                let what =
                    if left.is_zero() { "has ended: no agent connects" } else { "ends soon and was not made anew" };
                let advice = "its log says why (`journalctl -u picket-aggregator`); a restart makes it anew";
                remarks.push(Remark::urgent(format!("the server's certificate {what}"), advice));
            }
            Some(_) => {}
        }
    }

    fn sink_remarks(&self, remarks: &mut Vec<Remark>) {
        if self.report.sinks.is_empty() {
            let advice = "name one below `sinks` in aggregator.yaml: docs/reducing.md";
            remarks.push(Remark::urgent("there is no sink: events go nowhere", advice));
        }
        for sink in &self.report.sinks {
            let name = &sink.name;
            if let Some(error) = &sink.last_error {
                let advice = "mend its store (room, rights, address); it is tried again by itself, and the journal keeps what \
                              it has not got";
                remarks.push(Remark::urgent(format!("sink {name} fails: {error}"), advice));
            } else if sink.lag_frames > LAG_FRAMES_MAX {
                let what = format!("sink {name} is {} frames behind the journal", sink.lag_frames);
                remarks.push(Remark::note(what, "it catches up, or its store is slower than what comes: look again"));
            }
            if sink.rejected > 0 {
                let what = format!("the store of sink {name} refused {} events since the start", sink.rejected);
                let advice = format!(
                    "`picket-aggregator dlq list` says why, `picket-aggregator dlq replay {name}` offers them again"
                );
                remarks.push(Remark::note(what, advice));
            }
        }
        if let Some(unrouted) = self.report.sinks.iter().map(|sink| sink.unrouted).max().filter(|count| *count > 0) {
            let advice = "end `routes` in aggregator.yaml with one that takes everything, or mean it";
            remarks.push(Remark::note(format!("no route took {unrouted} events since the start"), advice));
        }
    }

    fn file_remarks(&self, remarks: &mut Vec<Remark>) {
        if let Some(reason) = &self.report.config.refused {
            let what = format!("aggregator.yaml was changed and is refused, what was in force stays: {reason}");
            remarks.push(Remark::urgent(what, "`picket-aggregator validate` says every mistake with its line"));
        }
        let Some(fleet) = &self.report.fleet else { return };
        let path = fleet.path.display();
        if let Some(reason) = &fleet.refused {
            let what = format!("the fleet file is refused, agents keep what they have: {reason}");
            let advice = format!("`picket-aggregator validate --fleet {path}` says every mistake with its line");
            remarks.push(Remark::urgent(what, advice));
        }
        for warning in &fleet.warnings {
            let advice = "agents of another version may know it; else take it out of the fleet file";
            remarks.push(Remark::note(warning.as_str(), advice));
        }
    }

    fn agent_remarks(&self, remarks: &mut Vec<Remark>) {
        if self.enrolled == 0 {
            let advice = "`picket-aggregator token create` makes a token, `picket-agent enroll` on the host uses it";
            return remarks.push(Remark::note("no agent is enrolled yet", advice));
        }
        if !self.away.is_empty() {
            let count = counted(self.away.len(), "agent");
            let what = format!("{count} of {} not connected: {}", self.enrolled, named(&self.away));
            let advice = "on the host `picket-agent status` says why; `picket-aggregator gaps` since when; one that is gone for good: \
                          `picket-aggregator agents revoke NAME`";
            let all = self.away.len() == self.enrolled;
            remarks.push(if all { Remark::urgent(what, advice) } else { Remark::note(what, advice) });
        }
        if !self.overdue.is_empty() {
            let what = format!("certificates that have ended or are not renewed: {}", named(&self.overdue));
            let advice =
                "they are renewed in a session; after a year on the host: `picket-agent enroll` with a new token";
            remarks.push(Remark::note(what, advice));
        }
        let names = |which: &dyn Fn(&crate::admin::http::AgentState) -> bool| -> Vec<String> {
            self.said.iter().filter(|state| which(state)).map(|state| state.hostname.clone()).collect()
        };
        let refusing = names(&|state| config_word(Some(state)) == Some("refused"));
        if !refusing.is_empty() {
            let what = format!(
                "{} went back from what the fleet file gives: {}",
                counted(refusing.len(), "agent"),
                named(&refusing)
            );
            remarks.push(Remark::urgent(
                what,
                "`picket-aggregator agents show NAME` says why; the next change of the file is tried",
            ));
        }
        let unwell = names(&|state| state.remarks().iter().any(|remark| remark.is_urgent));
        if !unwell.is_empty() {
            let what = format!("{} not well: {}", counted(unwell.len(), "agent"), named(&unwell));
            remarks
                .push(Remark::urgent(what, "`picket-aggregator agents show NAME` says what it lacks, and what to do"));
        }
        let off = |offset: i64| offset.unsigned_abs() > CLOCK_OFFSET_MS_MAX;
        let wrong = names(&|state| state.clock_offset_ms.is_some_and(off));
        if !wrong.is_empty() {
            let what = format!(
                "the clocks of {} are more than a minute off: {}",
                counted(wrong.len(), "agent"),
                named(&wrong)
            );
            remarks.push(Remark::note(
                what,
                "set them by NTP; event times of files come from the lines, other times from the host",
            ));
        }
    }
}
