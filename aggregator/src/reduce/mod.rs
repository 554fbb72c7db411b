//! Reduce: fewer events, and none with a secret in it, before any sink.
//!
//! In: the events of a block, each with what the deployment's predicates say of it, and the block's cut. Out: what is left,
//! each with its weight: how many events it stands for. In this order, whatever the file's:
//! 1. **drop**: the first rule that takes an event ends it;
//! 2. **redact**: every rule that takes it removes secrets from its strings (`redact`);
//! 3. **merge**: the first rule that takes it folds it into the first of its kind in this block (`merge`).
//!
//! Pure: the same events and cuts give the same output, so that a crash, a replay and a sink that lags change nothing. What is
//! held back is bounded and leaves at the cut. Predicates see the event as it was made, before redaction.
//!
//! Invariants: `in = dropped + folded + out`, counted per rule where it happens; the weights of what comes out sum up to the
//! events that were not dropped.

mod field;
mod merge;
mod redact;
#[cfg(test)]
mod tests;

use crate::event::Event;
pub use field::{FieldRef, UnknownField};
pub use merge::{KEYS_MAX, Merge};
pub use redact::{Redact, What};

/// The number of a predicate in the deployment's matcher.
pub type PredicateId = usize;

/// The rules of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// In order of the file.
    pub drops: Vec<Drop>,
    /// In order of the file.
    pub redacts: Vec<Redact>,
    /// In order of the file.
    pub merges: Vec<Merge>,
}

/// Events that nobody wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drop {
    /// Its name in metrics and reports.
    pub name: String,
    /// Which events: those that this predicate holds for.
    pub predicate: PredicateId,
}

/// A stage of [`Rules`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Events that are dropped.
    Drop,
    /// Events that lost a secret.
    Redact,
    /// Events that were folded into another.
    Merge,
}

impl Stage {
    /// Its name in configuration and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Redact => "redact",
            Self::Merge => "merge",
        }
    }
}

/// What one rule did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RuleCount {
    /// Events that it took.
    pub taken: u64,
    /// Of these, events that did not go on by themselves (dropped, folded), or that a secret was removed from.
    pub reduced: u64,
    /// Events that went on unmerged because the block already held as many kinds as it may.
    pub overflowed: u64,
}

/// What went in and out, and what each rule did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Events that came in: those that were dropped, and those that were taken behind that.
    pub events_in: u64,
    /// Events that went out.
    pub events_out: u64,
    /// By rule, in the order of [`Rules`]: drops, redacts, merges.
    pub rules: Vec<RuleCount>,
}

/// Reduces the events of one sink's blocks.
pub struct Reducer {
    rules: Rules,
    /// What each redaction knows to be clean.
    clean: Vec<redact::Clean>,
    held: merge::Held,
    counts: Counts,
}

impl Reducer {
    /// For the events of one configuration.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let count = rules.drops.len() + rules.redacts.len() + rules.merges.len();
        let counts = Counts { rules: vec![RuleCount::default(); count], ..Counts::default() };
        let clean = vec![redact::Clean::default(); rules.redacts.len()];
        Self { held: merge::Held::default(), clean, rules, counts }
    }

    /// The rules with what they did, in order.
    pub fn report(&self) -> impl Iterator<Item = (Stage, &str, RuleCount)> {
        let drops = self.rules.drops.iter().map(|rule| (Stage::Drop, rule.name.as_str()));
        let redacts = self.rules.redacts.iter().map(|rule| (Stage::Redact, rule.name.as_str()));
        let merges = self.rules.merges.iter().map(|rule| (Stage::Merge, rule.name.as_str()));
        drops.chain(redacts).chain(merges).zip(&self.counts.rules).map(|((stage, name), count)| (stage, name, *count))
    }

    /// Takes what was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        let fresh = Counts { rules: vec![RuleCount::default(); self.counts.rules.len()], ..Counts::default() };
        std::mem::replace(&mut self.counts, fresh)
    }

    /// Whether a rule drops an event, of which `holds` says which predicates take it. Asked once for each event; one that goes
    /// elsewhere is not shown to [`event`](Self::event), and is none that came in.
    pub fn drops(&mut self, holds: impl Fn(PredicateId) -> bool) -> bool {
        for (rule, count) in self.rules.drops.iter().zip(&mut self.counts.rules) {
            if holds(rule.predicate) {
                self.counts.events_in += 1;
                count.taken += 1;
                count.reduced += 1;
                return true;
            }
        }
        false
    }

    /// Takes an event that no rule dropped: it is redacted, and shown to `emit` unless it waits for others of its kind.
    /// Returns whether it waits.
    ///
    /// # Errors
    /// What `emit` refuses with.
    pub fn event<E>(
        &mut self,
        event: &mut Event<'_>,
        holds: impl Fn(PredicateId) -> bool,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.counts.events_in += 1;
        if self.holds_back(event, holds) {
            return Ok(true);
        }
        self.counts.events_out += 1;
        emit(event).map(|()| false)
    }

    fn holds_back(&mut self, event: &mut Event<'_>, holds: impl Fn(PredicateId) -> bool) -> bool {
        let mut counts = self.counts.rules.iter_mut().skip(self.rules.drops.len());
        let redacts = self.rules.redacts.iter().zip(&mut self.clean);
        for ((rule, clean), count) in redacts.zip(counts.by_ref().take(self.rules.redacts.len())) {
            if rule.predicate.is_none_or(&holds) {
                count.taken += 1;
                count.reduced += u64::from(rule.apply(event, clean));
            }
        }
        for (number, (rule, count)) in self.rules.merges.iter().zip(counts).enumerate() {
            if !rule.predicate.is_none_or(&holds) {
                continue;
            }
            count.taken += 1;
            match self.held.take(number, rule, event) {
                merge::Taken::Passes => return false,
                merge::Taken::First => return true,
                merge::Taken::Folded => {
                    count.reduced += 1;
                    return true;
                }
                merge::Taken::Full => {
                    count.overflowed += 1;
                    return false;
                }
            }
        }
        false
    }

    /// The block ends: shows `emit` what was held back, in the order in which the first of each kind came.
    ///
    /// # Errors
    /// What `emit` refuses with; what was held is gone then, and comes again from the journal.
    pub fn cut<E>(&mut self, emit: &mut dyn FnMut(&Event<'_>) -> Result<(), E>) -> Result<(), E> {
        let events_out = &mut self.counts.events_out;
        self.held.leave(&self.rules.merges, &mut |event| {
            *events_out += 1;
            emit(event)
        })
    }

    /// Forgets what is held back: the block is read again from its begin.
    pub fn forget(&mut self) {
        self.held.clear();
    }
}
