//! Whose turn it is to write: the most urgent lane that has a frame, and, so that a backlog does not silence what is less
//! urgent, one frame of another lane now and then.
//!
//! A lane whose frame the transport is still taking, or whose next one the spool is looking up, keeps the less urgent ones
//! back: else they would have a turn between any two of its frames. Both take a moment, and the transport holds more
//! than a moment's bytes.
//!
//! Invariant: while less urgent lanes have frames, a lane writes [`SHARE`] bytes for each of theirs, give or take a
//! frame. So an urgent lane has 8 of 9 bytes when it wants them, and one that writes little never waits for another.

use super::lane::PerLane;
use crate::identity::Lane;

/// Bytes that a lane writes for each byte of the less urgent ones, while all have frames.
const SHARE: u64 = 8;

/// What a lane wants.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Nothing to write.
    #[default]
    None,
    /// Between two frames: the transport is taking one, or the spool is asked for what follows on one.
    Between,
    /// A frame of so many bytes waits.
    Waits(u64),
}

/// Whose turn it is.
#[derive(Default, Debug)]
pub struct Turns {
    /// Bytes that a lane wrote while less urgent ones had frames, less [`SHARE`] times what these wrote.
    ahead: PerLane<u64>,
}

impl Turns {
    /// The lane that writes next.
    #[must_use]
    pub fn next(&self, claims: &PerLane<Claim>) -> Option<Lane> {
        let mut turn: Option<(Lane, u64)> = None;
        for lane in Lane::ALL.into_iter().rev() {
            let claim = *claims.of(lane);
            let yields = turn.is_some_and(|(_, length)| *self.ahead.of(lane) >= length.saturating_mul(SHARE));
            turn = match claim {
                Claim::Waits(length) if !yields => Some((lane, length)),
                Claim::Between if !yields => None,
                Claim::None | Claim::Between | Claim::Waits(_) => turn,
            };
        }
        turn.map(|(lane, _)| lane)
    }

    /// `lane` writes a frame of `length` bytes; `claims` are those of before.
    pub fn wrote(&mut self, lane: Lane, length: u64, claims: &PerLane<Claim>) {
        let others = || Lane::ALL.into_iter().filter(|other| *other != lane);
        if others().any(|other| other.index() > lane.index() && *claims.of(other) != Claim::None) {
            let ahead = self.ahead.of_mut(lane);
            *ahead = ahead.saturating_add(length);
        }
        for urgent in others().filter(|other| other.index() < lane.index()) {
            let ahead = self.ahead.of_mut(urgent);
            *ahead = ahead.saturating_sub(length.saturating_mul(SHARE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes by lane after `count` turns of lanes that always have a frame of these lengths; none: one that never has.
    fn written(lengths: [Option<u64>; 3], count: u32) -> [u64; 3] {
        let (mut turns, mut written) = (Turns::default(), [0; 3]);
        let claims = PerLane::new(|lane| lengths[lane.index()].map_or(Claim::None, Claim::Waits));
        for _ in 0..count {
            let lane = turns.next(&claims).unwrap();
            let length = lengths[lane.index()].unwrap();
            turns.wrote(lane, length, &claims);
            written[lane.index()] += length;
        }
        written
    }

    #[test]
    fn backlogs_share_eight_to_one_whatever_their_frames_are() {
        for (normal, bulk) in [(1_000, 1_000), (40_000, 200_000), (200_000, 500)] {
            let [_, normal, bulk] = written([None, Some(normal), Some(bulk)], 100_000);
            let percent = bulk * 100 / (normal + bulk);
            assert!((10..=12).contains(&percent), "bulk has {percent} %");
        }
        let [high, normal, bulk] = written([Some(10_000); 3], 90_000);
        assert_eq!((high * 10 / (high + normal + bulk), normal * 10 / (normal + bulk)), (8, 8));
        assert!(bulk > 0);
    }

    #[test]
    fn lane_that_writes_little_never_waits() {
        let mut turns = Turns::default();
        for number in 0..10_000 {
            let high = if number % 20 == 0 { Claim::Waits(50_000) } else { Claim::None };
            let claims = PerLane::new(|lane| if lane == Lane::High { high } else { Claim::Waits(30_000) });
            let lane = turns.next(&claims).unwrap();
            assert_eq!(lane == Lane::High, high != Claim::None, "turn {number}");
            turns.wrote(lane, if lane == Lane::High { 50_000 } else { 30_000 }, &claims);
        }
    }

    #[test]
    fn lane_between_two_frames_keeps_back_the_less_urgent_but_not_the_more_urgent() {
        let turns = Turns::default();
        let next = |[high, normal, bulk]: [Claim; 3]| {
            turns.next(&PerLane::new(|lane| [high, normal, bulk][lane.index()])).map(Lane::name)
        };
        let (none, between, waits) = (Claim::None, Claim::Between, Claim::Waits(100));
        assert_eq!(next([none, between, waits]), None);
        assert_eq!(next([waits, between, waits]), Some("high"));
        assert_eq!(next([between, waits, waits]), None);
        assert_eq!(next([none, waits, between]), Some("normal"));
        assert_eq!(next([none, none, waits]), Some("bulk"));
        assert_eq!(next([none; 3]), None);
    }
}
