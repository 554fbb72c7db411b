//! Credit and turns: bounds hold, nobody starves, urgent frames go first.

use std::time::{Duration, Instant};

use super::decoders::hello;
use super::model::Rng;
use super::pair::World;
use crate::identity::{AgentId, Epoch, FrameHash, Lane};
use crate::limits::{CREDIT_BUDGET_BYTES_MIN, FRAME_BYTES_MAX};
use crate::protocol::*;
use crate::time::Timestamp;

#[test]
fn hundred_sessions_share_the_smallest_budget_and_none_starves() {
    for seed in 0..3 {
        let mut world = World::new(seed, 100, 1);
        for host in 0..100 {
            for _ in 0..3 {
                let lane = Lane::from_u8(u8::try_from(world.rng.below(3)).unwrap()).unwrap();
                let padding = usize::try_from(100 + world.rng.below(250_000)).unwrap();
                world.seal(host, lane, 1, padding);
            }
            world.connect(host, 0);
        }
        let mut waited = false;
        let mut rounds = 0;
        while !(0..100).all(|host| world.spools[host].is_acked()) {
            rounds += 1;
            assert!(rounds < 5_000, "seed {seed}: sessions starve");
            for _ in 0..100 {
                let host = usize::try_from(world.rng.below(100)).unwrap();
                for what in 0..8 {
                    world.pump(host);
                    world.deliver(host, what, 200_000);
                }
                world.pump(host);
                let held: usize = world.journals[0].queue.iter().map(size).sum();
                let bound = CREDIT_BUDGET_BYTES_MIN + 100 * crate::limits::CREDIT_BASE_BYTES;
                assert!(held as u64 <= bound, "seed {seed}: {held} bytes wait for the journal");
                waited |= world.budgets[0].waiting() > 0;
            }
            for _ in 0..20 {
                world.commit(0);
            }
            world.wake();
        }
        assert!(waited, "seed {seed}: credit was never short");
        // Idle sessions gave back what they did not need.
        for _ in 0..3 {
            for host in 0..100 {
                (0..8).for_each(|what| {
                    world.pump(host);
                    world.deliver(host, what, usize::MAX);
                });
            }
        }
        assert_eq!(world.budgets[0].in_use(), 0, "seed {seed}");
    }
}

fn size(entry: &JournalEntry) -> usize {
    match entry {
        JournalEntry::Frame { frame, .. } => frame.bytes().len(),
        JournalEntry::Absent(_) => 0,
    }
}

#[test]
fn waiting_high_frame_goes_before_the_next_of_another_lane() {
    let mut world = World::new(1, 1, 1);
    world.settle(0, 0);
    world.written.clear();
    for _ in 0..4 {
        world.seal(0, Lane::Bulk, 1, 30_000);
    }
    let step = |world: &mut World| {
        for what in [0, 2, 3, 4, 5, 7] {
            world.pump(0);
            world.deliver(0, what, usize::MAX);
        }
        world.pump(0);
    };
    // Nothing comes back: credit covers the first bulk frame alone, the next one waits for it.
    (0..10).for_each(|_| step(&mut world));
    assert_eq!(world.written, [Lane::Bulk]);
    world.seal(0, Lane::High, 1, 100_000);
    (0..10).for_each(|_| step(&mut world));
    assert_eq!(world.written, [Lane::Bulk]);
    world.settle(0, 0);
    assert_eq!(world.written, [Lane::Bulk, Lane::High, Lane::Bulk, Lane::Bulk, Lane::Bulk]);
}

/// Lets everything under way arrive, a little at a time, until so many frames were written.
fn step_until_written(world: &mut World, frames: usize) {
    for round in 0..100_000_u64 {
        if world.written.len() >= frames {
            return;
        }
        world.pump(0);
        world.deliver(0, round % 8, 60_000);
        if round % 40 == 0 {
            world.commit(0);
            world.wake();
        }
    }
    panic!("{} of {frames} frames were written", world.written.len());
}

#[test]
fn backlogs_share_the_link_by_urgency_and_a_high_frame_passes_them_all() {
    // With frames beyond the base window credit is short all the time; small ones never wait for it.
    for padding in [1_000, 60_000] {
        let mut world = World::new(1, 1, 1);
        world.settle(0, 0);
        world.cut(0);
        for _ in 0..200 {
            world.seal(0, Lane::Bulk, 1, padding);
            world.seal(0, Lane::Normal, 1, padding);
        }
        // The link is back.
        world.connect(0, 0);
        world.written.clear();
        for _ in 0..10 {
            let before = world.written.len();
            world.seal(0, Lane::High, 1, 2_000);
            step_until_written(&mut world, before + 12);
            let high = world.written.iter().skip(before).position(|lane| *lane == Lane::High);
            // What was in the transport's hands, and what went while the spool answered.
            assert!(high.is_some_and(|at| at <= 3), "frames of {padding}: {:?}", &world.written[before..]);
        }
        let count = |lane| world.written.iter().filter(|written| **written == lane).count();
        let (normal, bulk) = (count(Lane::Normal), count(Lane::Bulk));
        assert!(bulk * 12 >= normal && bulk * 4 <= normal, "frames of {padding}: {normal} of normal, {bulk} of bulk");
        world.settle(0, 0);
        assert!(world.spools[0].is_acked());
    }
}

#[test]
fn frames_beyond_the_credit_end_the_session() {
    let mut world = World::new(1, 1, 1);
    world.settle(0, 0);
    let link = world.links[0].as_mut().unwrap();
    let announced = 40_000_u32.to_le_bytes();
    link.ingest.handle_lane_bytes(Lane::Bulk, &announced, world.now);
    world.pump(0);
    let end = world.links[0].as_ref().unwrap().ingest_end.clone();
    assert!(matches!(end, Some(IngestEnd::Violation(text)) if text.contains("credit")));
}

#[test]
fn session_that_sits_on_credit_while_others_wait_is_ended() {
    let mut world = World::new(1, 2, 1);
    (0..2).for_each(|host| world.settle(host, 0));
    let budget = &mut world.budgets[0];
    let agent = |limit| Message::Want(Want { known: crate::limits::CREDIT_BASE_BYTES, limit });
    let link = world.links[0].as_mut().unwrap();
    let wall = Timestamp(0);
    link.ingest.handle_message(agent(FRAME_BYTES_MAX), &world.journals[0], wall, world.now);
    link.ingest.balance(budget);
    let later = world.now + STALL_TIMEOUT + Duration::from_secs(1);
    link.ingest.handle_timeout(later);
    assert!(std::iter::from_fn(|| link.ingest.poll()).all(|o| !matches!(o, IngestOutput::End(_))), "nobody waits");
    for n in 0..6 {
        budget.wish(SessionId(n), FRAME_BYTES_MAX);
    }
    assert!(budget.waiting() > 0);
    link.ingest.balance(budget);
    link.ingest.handle_timeout(later + STALL_TIMEOUT);
    let end = std::iter::from_fn(|| link.ingest.poll()).last();
    assert!(matches!(end, Some(IngestOutput::End(IngestEnd::GoneAway(GoAwayReason::Stalled)))));
}

#[test]
fn budget_never_exceeds_its_total_and_serves_every_wish() {
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let total = CREDIT_BUDGET_BYTES_MIN + rng.below(CREDIT_BUDGET_BYTES_MIN);
        let mut budget = Budget::new(total);
        // What each session still wants; a grant is used up after a while, in pieces.
        let mut wants = [None; 12];
        for step in 0..2_000 {
            let at = usize::try_from(rng.below(12)).unwrap();
            let session = SessionId(at as u64);
            match wants[at] {
                None if step < 1_500 => {
                    let wish = (budget.reserved(session) + rng.below(FRAME_BYTES_MAX)).min(FRAME_BYTES_MAX);
                    wants[at] = Some(wish);
                    budget.wish(session, wish);
                }
                Some(wish) if budget.reserved(session) >= wish => {
                    // Sometimes it wants more before it has used what it got.
                    wants[at] = None;
                    if step >= 1_500 || !rng.one_in(3) {
                        budget.settle(session, 0);
                    }
                }
                _ => {}
            }
            assert!(budget.in_use() <= total, "seed {seed} step {step}");
        }
        for _ in 0..200 {
            for (at, want) in wants.iter_mut().enumerate() {
                let session = SessionId(at as u64);
                if want.is_none_or(|wish| budget.reserved(session) >= wish) {
                    *want = None;
                    budget.settle(session, 0);
                }
            }
        }
        assert!(wants.iter().all(Option::is_none), "seed {seed}: a wish is never served");
        assert_eq!((budget.in_use(), budget.waiting()), (0, 0), "seed {seed}");
    }
}

#[test]
fn nothing_follows_the_end_when_an_answer_of_the_spool_comes_late() {
    for forked in [false, true] {
        let mut session = AgentSession::new(hello(), Instant::now());
        session.handle_message(Message::AggregatorHello(AggregatorHello {
            aggregator: AgentId([2; 16]),
            protocol: VersionRange::OURS,
            frame_versions: frame_versions(),
            capabilities: Vec::new(),
            wall_time: Timestamp(7),
            renew_only: false,
        }));
        let (epoch, lane, head) = (Epoch(0x0102_0304_0506_0708), Lane::Normal, FrameHash([3; 32]));
        session.handle_message(Message::Resume(Resume { epoch, lane, through: 5, head }));
        session.close();
        let said: Vec<AgentOutput> = std::iter::from_fn(|| session.poll()).collect();
        assert!(said.iter().any(|output| matches!(output, AgentOutput::HashOf { sequence: 5, .. })), "{said:?}");
        assert!(matches!(said.last(), Some(AgentOutput::End(AgentEnd::Closed))), "{said:?}");
        session.handle_hash(lane, epoch, Some(if forked { FrameHash([4; 32]) } else { head }));
        session.handle_frame(lane, None);
        assert!(session.poll().is_none());
    }
}
