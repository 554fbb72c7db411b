//! How far one resource has the agent give way: measurements in, a [`Step`] out. Pure: time is an argument.
//!
//! Up at once and as far as is asked for, down one step at a time, each only when less was asked for all through a hold.
//! Who has to go up again soon after a step down holds on twice as long the next time, [`HOLD_MAX`] at most: a load that
//! comes and goes leaves the agent where it is instead of swinging.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What the agent does less of, each with all before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing.
    #[default]
    None,
    /// What goes to lane bulk waits, and the load of the host is told seldom.
    BulkSlowed,
    /// Of flows that last, few updates are told; their begin and their end always are.
    UpdatesSampled,
    /// No inventory of the host and no scan of files begins.
    InventoryPaused,
    /// Everything that can be read later is read slower.
    AllSlowed,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 5] =
        [Self::None, Self::BulkSlowed, Self::UpdatesSampled, Self::InventoryPaused, Self::AllSlowed];

    /// Its number, 0 to 4.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The step of a number; what is more than all is all.
    #[must_use]
    pub fn of_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|step| step.number() == number).unwrap_or(Self::AllSlowed)
    }

    /// In words, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "nothing is held back",
            Self::BulkSlowed => "lane bulk is slowed",
            Self::UpdatesSampled => "lane bulk is slowed, updates of flows are sampled",
            Self::InventoryPaused => {
                "lane bulk is slowed, updates of flows are sampled, inventory and scans of files are paused"
            }
            Self::AllSlowed => {
                "all reading is slowed, updates of flows are sampled, inventory and scans of files are paused"
            }
        }
    }
}

/// What a measurement asks for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Asked {
    /// At least this step is taken.
    pub take: Step,
    /// Down to this step it is not yet left; never below `take`.
    pub keep: Step,
}

impl Asked {
    /// Without a margin.
    #[must_use]
    pub fn just(step: Step) -> Self {
        Self { take: step, keep: step }
    }
}

/// A step is left after this long at the soonest.
pub const HOLD_MIN: Duration = Duration::from_secs(5);
/// A step that is asked for no more is left after this long at the latest.
pub const HOLD_MAX: Duration = Duration::from_secs(60);
/// Who goes up within this after a step down went down too early.
const RELAPSE: Duration = Duration::from_secs(120);

/// Where one resource stands.
#[derive(Clone, Debug)]
pub struct Ladder {
    step: Step,
    hold: Duration,
    /// Since when less than the step is asked for.
    calm_since: Option<Instant>,
    fell_at: Option<Instant>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { step: Step::None, hold: HOLD_MIN, calm_since: None, fell_at: None }
    }
}

impl Ladder {
    /// The step that is in force.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// Takes a measurement; the step from now on.
    pub fn measured(&mut self, asked: Asked, now: Instant) -> Step {
        let since_fall = self.fell_at.map(|at| now.saturating_duration_since(at));
        if asked.take > self.step {
            let again = since_fall.is_some_and(|since| since < RELAPSE);
            self.hold = if again { (self.hold * 2).min(HOLD_MAX) } else { HOLD_MIN };
            (self.step, self.calm_since) = (asked.take, None);
        } else if asked.keep >= self.step {
            self.calm_since = None;
        } else if now.saturating_duration_since(*self.calm_since.get_or_insert(now)) >= self.hold {
            self.step = Step::of_number(self.step.number().saturating_sub(1));
            (self.calm_since, self.fell_at) = (Some(now), Some(now));
        }
        self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Random;

    const TICK: Duration = Duration::from_secs(1);

    /// The steps of as many seconds of what `asks` asks for.
    fn steps(seconds: u32, mut asks: impl FnMut(u32) -> Asked) -> Vec<Step> {
        let (mut ladder, start) = (Ladder::default(), Instant::now());
        (0..seconds).map(|second| ladder.measured(asks(second), start + TICK * second)).collect()
    }

    #[test]
    fn goes_up_at_once_and_down_step_by_step() {
        let asks = |second| Asked::just(if second < 3 { Step::AllSlowed } else { Step::None });
        let steps: Vec<u8> = steps(30, asks).into_iter().map(Step::number).collect();
        assert_eq!(steps[..9], [4, 4, 4, 4, 4, 4, 4, 4, 3]);
        assert_eq!((steps[13], steps[18], steps[23], steps[29]), (2, 1, 0, 0));
    }

    #[test]
    fn margin_keeps_a_step() {
        let asks = |second| Asked {
            take: if second == 0 { Step::UpdatesSampled } else { Step::None },
            keep: Step::UpdatesSampled,
        };
        assert!(steps(600, asks).into_iter().all(|step| step == Step::UpdatesSampled));
    }

    #[test]
    fn load_that_comes_and_goes_does_not_make_it_swing() {
        for period in [2, 7, 12, 30, 61] {
            let asks = |second| Asked::just(if second % period == 0 { Step::BulkSlowed } else { Step::None });
            let steps = steps(3_600, asks);
            let rises = steps.windows(2).filter(|pair| pair[1] > pair[0]).count();
            assert!(rises <= 5, "a load every {period} s: {rises} times up in an hour");
        }
    }

    #[test]
    fn whatever_is_asked_it_is_obeyed_at_once_left_at_last_and_never_swings_often() {
        let first = Random::seed();
        for seed in (0..50).map(|round| first.wrapping_add(round)) {
            let mut random = Random::new(seed);
            let (mut ladder, start) = (Ladder::default(), Instant::now());
            let (mut falls, mut asked, mut quiet, mut now) = (Vec::new(), Asked::default(), 0, start);
            for _ in 0..5_000 {
                if random.below(8) == 0 {
                    let take = Step::of_number(u8::try_from(random.below(5)).unwrap());
                    let keep = Step::of_number(take.number() + u8::try_from(random.below(2)).unwrap());
                    asked = if random.below(3) == 0 { Asked::default() } else { Asked { take, keep } };
                }
                now += TICK;
                let before = ladder.step();
                let after = ladder.measured(asked, now);
                assert!(after >= asked.take, "seed {seed}: less than what is asked for");
                assert!(
                    after >= before || after.number() + 1 == before.number(),
                    "seed {seed}: {before:?} to {after:?}"
                );
                assert!(after <= before || after == asked.take, "seed {seed}: higher than asked for");
                if after < before {
                    assert!(asked.keep < before, "seed {seed}: left what was to be kept");
                    falls.push(now);
                }
                quiet = if asked.keep < after && after == before { quiet + 1 } else { 0 };
                assert!(quiet <= HOLD_MAX.as_secs() + 1, "seed {seed}: nothing asks for {after:?} any more");
            }
            assert!(falls.windows(2).all(|pair| pair[1] - pair[0] >= HOLD_MIN), "seed {seed}: down too fast");
        }
    }
}
