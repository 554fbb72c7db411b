//! What is said of limits: for `status` and metrics, and as a record when the agent begins to give way, gives way further, or
//! stops to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::record::Value;
use shared::time::Timestamp;

use super::Resource;
use super::ladder::Step;

/// One limit and how it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitReport {
    /// What may be used: per mille of a core, bytes, bytes a second; none: no limit.
    pub allowed: Option<u64>,
    /// What is used, in the same unit; over the last ten seconds where it is a rate.
    pub used: Option<u64>,
    /// How far the agent gives way for it.
    pub step: Step,
    /// Milliseconds for which what goes to a lane waited, since the start.
    pub waited_ms: BTreeMap<String, u64>,
}

impl LimitReport {
    fn words(&self, resource: Resource) -> String {
        let used = self.used.map_or_else(|| "?".to_owned(), |used| amount(resource, used));
        let allowed = self.allowed.map_or_else(|| "no limit".to_owned(), |allowed| amount(resource, allowed));
        format!("{used} of {allowed}")
    }
}

/// All limits and how they stand.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsReport {
    /// How far the agent gives way.
    pub step: Step,
    /// Since when it does.
    pub since: Option<Timestamp>,
    /// By name of the resource.
    pub resources: BTreeMap<String, LimitReport>,
    /// What was left for later or out since the start, by name.
    pub deferred: BTreeMap<String, u64>,
}

/// Use as people read it.
fn amount(resource: Resource, amount: u64) -> String {
    let (mib, tenth) = (amount >> 20, (amount >> 10) % 1_024 * 10 / 1_024);
    match resource {
        Resource::Cpu => format!("{}.{} % of a core", amount / 10, amount % 10),
        Resource::Memory => format!("{mib}.{tenth} MiB"),
        Resource::Bandwidth if mib == 0 => format!("{} KiB/s", amount >> 10),
        Resource::Bandwidth => format!("{mib}.{tenth} MiB/s"),
    }
}

impl LimitsReport {
    /// Every limit, what is used of it, and how far the agent gives way, in a line.
    #[must_use]
    pub fn words(&self) -> String {
        let one = |resource: Resource| {
            let report = self.resources.get(resource.name())?;
            Some(format!("{} {}", resource.name(), report.words(resource)))
        };
        let all = Resource::ALL.into_iter().filter_map(one).chain([self.step.words().to_owned()]);
        all.collect::<Vec<_>>().join("; ")
    }

    /// The resources for which the agent gives way, what is used of each and what may be.
    #[must_use]
    pub fn causes(&self) -> String {
        let cause = |resource: Resource| {
            let report = self.resources.get(resource.name()).filter(|report| report.step > Step::None)?;
            Some(format!("{} ({})", resource.name(), report.words(resource)))
        };
        Resource::ALL.into_iter().filter_map(cause).collect::<Vec<_>>().join(", ")
    }
}

/// A change that a person should know of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// What was said last.
    pub from: Step,
    /// What is so now.
    pub to: Step,
    /// Since when the agent gives way, or did.
    pub since: Timestamp,
    /// When it changed.
    pub at: Timestamp,
    /// How everything stands.
    pub report: LimitsReport,
}

impl Change {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self.to {
            Step::None => {
                let seconds = self.at.since(self.since).as_secs();
                format!("limits: nothing is held back any more, after {seconds} s")
            }
            step => format!("limits: {} for want of {}", step.words(), self.report.causes()),
        }
    }

    /// The fields of its record.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, Value)> {
        let text = |text: &str| Value::String(text.to_owned());
        // OCSF: 2 low, 3 medium.
        let severity = if self.to == Step::None { 2 } else { 3 };
        let mut fields = vec![
            ("picket.record".to_owned(), text("limits")),
            ("severity_id".to_owned(), Value::U64(severity)),
            ("time".to_owned(), Value::Time(self.at)),
            ("message".to_owned(), Value::String(self.words())),
            ("start_time".to_owned(), Value::Time(self.since)),
            ("unmapped.step".to_owned(), Value::U64(self.to.number().into())),
            ("unmapped.step_before".to_owned(), Value::U64(self.from.number().into())),
        ];
        for (name, report) in &self.report.resources {
            let known =
                [("step", Some(report.step.number().into())), ("used", report.used), ("allowed", report.allowed)];
            let known = known
                .into_iter()
                .filter_map(|(what, value)| Some((format!("unmapped.{name}.{what}"), Value::U64(value?))));
            fields.extend(known);
        }
        let deferred = self.report.deferred.iter().filter(|(_, count)| **count > 0);
        fields.extend(deferred.map(|(what, count)| (format!("unmapped.deferred.{what}"), Value::U64(*count))));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_says_what_is_held_back_and_why() {
        let cpu = LimitReport { allowed: Some(100), used: Some(98), step: Step::AllSlowed, ..LimitReport::default() };
        let memory = LimitReport { allowed: Some(64 << 20), used: Some(1 << 20), ..LimitReport::default() };
        let report = LimitsReport {
            step: Step::AllSlowed,
            resources: [("cpu".to_owned(), cpu), ("memory".to_owned(), memory)].into(),
            deferred: [("flow_updates".to_owned(), 7), ("inventories".to_owned(), 0)].into(),
            ..LimitsReport::default()
        };
        let (since, at) = (Timestamp::from_seconds(100), Timestamp::from_seconds(160));
        let begins = Change { from: Step::None, to: Step::AllSlowed, since, at, report };
        let words = "limits: all reading is slowed, updates of flows are sampled, inventory and scans of files are paused \
                     for want of cpu (9.8 % of a core of 10.0 % of a core)";
        assert_eq!(begins.words(), words);
        let fields = begins.fields();
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        assert_eq!(field("unmapped.cpu.step"), Some(Value::U64(4)));
        assert_eq!(field("unmapped.deferred.flow_updates"), Some(Value::U64(7)));
        assert_eq!((field("unmapped.deferred.inventories"), field("unmapped.bandwidth.used")), (None, None));
        let ends = Change { from: Step::AllSlowed, to: Step::None, ..begins };
        assert_eq!(ends.words(), "limits: nothing is held back any more, after 60 s");
        assert_eq!(ends.fields()[1].1, Value::U64(2));
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!(amount(Resource::Memory, (52 << 20) + (512 << 10)), "52.5 MiB");
        assert_eq!(amount(Resource::Bandwidth, 1 << 10), "1 KiB/s");
        assert_eq!(amount(Resource::Bandwidth, 10 << 20), "10.0 MiB/s");
        assert_eq!(amount(Resource::Cpu, 1_024), "102.4 % of a core");
    }
}
