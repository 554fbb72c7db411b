//! Nothing is lost and nothing doubled, whatever the link, the hosts and the aggregators do.

use super::pair::World;
use crate::enroll::{Der, Refused, RefusedCode, RenewRequest, Reply};
use crate::frame::GenesisReason;
use crate::identity::{AgentId, Epoch, Lane};
use crate::protocol::*;

/// What the dice may do besides delivering.
#[derive(Clone, Copy)]
struct Weather {
    cuts: bool,
    crashes: bool,
    drops: bool,
    failover: bool,
    epochs: bool,
}

const CALM: Weather = Weather { cuts: false, crashes: false, drops: false, failover: false, epochs: false };

fn lane(world: &mut World) -> Lane {
    Lane::from_u8(u8::try_from(world.rng.below(3)).unwrap()).unwrap()
}

fn storm(world: &mut World, host: usize, steps: u32, weather: Weather) {
    let mut home = 0;
    for _ in 0..steps {
        if world.links[host].as_ref().is_none_or(|link| link.agent_end.is_some()) {
            world.connect(host, home);
        }
        world.pump(host);
        match world.rng.below(24) {
            0 | 1 => {
                let (lane, records) = (lane(world), 1 + world.rng.below(4));
                let padding = if world.rng.one_in(8) { 40_000 } else { 50 };
                world.seal(host, lane, records, padding);
            }
            2 if weather.cuts && world.rng.one_in(4) => world.cut(host),
            3 if weather.crashes && world.rng.one_in(8) => world.crash(home),
            4 if weather.drops && world.rng.one_in(3) => {
                let (lane, count) = (lane(world), 1 + world.rng.below(3));
                let dropped = world.spools[host].drop_oldest(lane, count);
                world.dropped.extend(dropped);
            }
            5 if weather.failover && world.rng.one_in(8) => {
                world.cut(host);
                home = usize::try_from(world.rng.below(world.journals.len() as u64)).unwrap();
            }
            6 if weather.epochs && world.rng.one_in(10) => {
                let (lane, epoch) = (lane(world), Epoch(world.rng.next()));
                world.spools[host].open_epoch(lane, epoch, GenesisReason::Continuity, &mut world.sealer);
                if let Some(link) = &mut world.links[host] {
                    link.agent.handle_available(lane);
                }
            }
            7 | 8 => {
                world.commit(home);
                world.wake();
            }
            _ => {
                let (what, most) = (world.rng.below(8), 1 + usize::try_from(world.rng.below(3_000)).unwrap());
                world.deliver(host, what, most);
            }
        }
    }
}

/// Every record is in one of the journals or was given up aloud; in each journal once at most.
fn assert_kept(world: &World, once: bool) {
    for id in 0..world.produced {
        let times = |journal: &super::model::ModelJournal| journal.journaled.get(&id).copied().unwrap_or(0);
        let total: u32 = world.journals.iter().map(times).sum();
        assert!(total > 0 || world.dropped.contains(&id), "record {id} is lost");
        assert!(!once || world.journals.iter().all(|journal| times(journal) <= 1), "record {id} is doubled");
    }
    for journal in &world.journals {
        journal.assert_books();
    }
}

fn seeds(claim: &str, count: u64, mut run: impl FnMut(u64)) {
    for seed in 0..count {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
        assert!(result.is_ok(), "{claim}: failed with seed {seed}");
    }
}

#[test]
fn every_record_is_journaled_once_over_cuts_and_crashes() {
    let mut duplicates = 0;
    seeds("cuts and crashes", 1_000, |seed| {
        let mut world = World::new(seed, 1, 1);
        storm(&mut world, 0, 150, Weather { cuts: true, crashes: true, epochs: true, ..CALM });
        world.settle(0, 0);
        assert!(world.spools[0].is_acked() && world.spools[0].forks == 0);
        assert_kept(&world, true);
        assert!(world.dropped.is_empty() && world.journals[0].absent.is_empty());
        assert_eq!(world.rejects, 0);
        duplicates += world.duplicates;
    });
    // A Resume stands for every ack that was lost, so that nothing is sent twice.
    assert_eq!(duplicates, 0);
}

#[test]
fn what_is_dropped_is_a_loss_frame_and_the_books_balance() {
    seeds("drops", 300, |seed| {
        let mut world = World::new(seed, 1, 1);
        storm(&mut world, 0, 250, Weather { cuts: true, crashes: true, drops: true, epochs: true, ..CALM });
        world.settle(0, 0);
        assert!(world.spools[0].is_acked() && world.spools[0].forks == 0);
        assert_kept(&world, true);
        assert!(world.journals[0].absent.is_empty());
        let (journaled, lost) =
            world.journals[0].books.values().fold((0, 0), |(j, l), (journaled, lost, _)| (j + journaled, l + lost));
        assert_eq!(journaled + lost, world.produced);
    });
}

#[test]
fn broken_frames_are_resent_and_then_quarantined_in_their_place() {
    let (mut rejects, mut quarantined) = (0, 0);
    seeds("broken", 200, |seed| {
        let mut world = World::new(seed, 1, 1);
        world.broken_one_in = 12;
        storm(&mut world, 0, 250, Weather { cuts: true, epochs: true, ..CALM });
        if let Some(frame) = world.spools[0].lanes.of(Lane::High).last().unwrap().frames.values().next_back() {
            let hash = frame.hash();
            world.spools[0].cursed.insert(hash);
        }
        world.settle(0, 0);
        assert!(world.spools[0].is_acked() && world.spools[0].forks == 0);
        assert_kept(&world, true);
        world.cut(0);
        rejects += world.rejects;
        quarantined += world.quarantined;
    });
    assert!(rejects > 200 && quarantined > 10, "{rejects} rejects, {quarantined} in quarantine");
}

#[test]
fn one_broken_transfer_is_resent_and_nothing_is_given_up() {
    let mut world = World::new(1, 1, 1);
    world.settle(0, 0);
    world.broken_one_in = 1;
    world.seal(0, Lane::Normal, 2, 10);
    while world.written.iter().filter(|&&lane| lane == Lane::Normal).count() < 2 {
        world.pump(0);
        assert!((0..8).any(|what| world.deliver(0, what, usize::MAX)));
    }
    world.broken_one_in = 0;
    world.settle(0, 0);
    assert_kept(&world, true);
    assert_eq!(world.quarantined, 0);
    let rejected = |event: &IngestEvent| matches!(event, IngestEvent::Rejected { sequence: 2, .. });
    assert_eq!(world.events.iter().filter(|event| rejected(event)).count(), 1);
}

#[test]
fn failover_is_told_as_absent_and_is_no_fork() {
    let mut absent = 0;
    seeds("failover", 300, |seed| {
        let mut world = World::new(seed, 1, 2);
        storm(&mut world, 0, 300, Weather { cuts: true, drops: seed % 2 == 0, failover: true, ..CALM });
        let last = usize::try_from(seed % 2).unwrap();
        world.settle(0, last);
        while world.commit(1 - last) {}
        assert!(world.spools[0].is_acked());
        assert_eq!(world.spools[0].forks, 0, "failover looks like a fork");
        assert_kept(&world, true);
        for (i, journal) in world.journals.iter().enumerate() {
            for range in &journal.absent {
                assert_eq!(range.elsewhere, Some(world.journals[1 - i].id));
                absent += 1;
            }
        }
    });
    assert!(absent > 100, "{absent} ranges");
}

#[test]
fn what_no_mark_explains_is_absent_and_unknown() {
    let mut world = World::new(3, 1, 2);
    world.seal(0, Lane::High, 3, 10);
    world.settle(0, 0);
    for lane in Lane::ALL {
        world.spools[0].lanes.of_mut(lane)[0].delivered.clear();
    }
    world.seal(0, Lane::High, 2, 10);
    world.settle(0, 1);
    assert_eq!(world.spools[0].forks, 0);
    let high = world.journals[1].absent.iter().find(|range| range.chain.lane == Lane::High).unwrap();
    assert_eq!((high.elsewhere, high.after.through, high.after.next_record), (None, 2, 4));
    assert_eq!(world.journals[1].journaled.len(), 2);
    world.journals[1].assert_books();
}

#[test]
fn cloned_host_forks_and_neither_host_loses() {
    let mut forks = 0;
    seeds("clone", 300, |seed| {
        let mut world = World::new(seed, 2, 1);
        storm(&mut world, 0, 120, Weather { cuts: true, ..CALM });
        // Host 1 becomes a copy of host 0; both write on, in turns.
        world.spools[1] = world.spools[0].clone();
        world.cut(1);
        for turn in 0..4 {
            storm(&mut world, turn % 2, 80, Weather { cuts: true, ..CALM });
        }
        for host in [0, 1, 0, 1] {
            world.settle(host, 0);
            assert!(world.spools[host].is_acked());
        }
        assert_kept(&world, false);
        forks += world.spools[0].forks + world.spools[1].forks;
        let told = world.events.iter().filter(|event| matches!(event, IngestEvent::Forked { .. })).count();
        let ordered = world.spools[0].forks + world.spools[1].forks;
        assert!(told > 0 || ordered == 0, "{ordered} forks ordered, none told");
    });
    assert!(forks > 150, "{forks} forks");
}

#[test]
fn restored_older_copy_forks_and_loses_nothing_new() {
    let mut forks = 0;
    seeds("restore", 200, |seed| {
        let mut world = World::new(seed, 1, 2);
        storm(&mut world, 0, 100, Weather { cuts: true, failover: seed % 3 == 0, ..CALM });
        let copy = world.spools[0].clone();
        storm(&mut world, 0, 150, Weather { cuts: true, failover: seed % 3 == 0, ..CALM });
        world.settle(0, 0);
        world.cut(0);
        world.spools[0] = copy;
        storm(&mut world, 0, 100, Weather { cuts: true, failover: seed % 3 == 0, ..CALM });
        world.settle(0, 0);
        assert!(world.spools[0].is_acked());
        while world.commit(1) {}
        assert_kept(&world, false);
        forks += world.spools[0].forks;
    });
    assert!(forks > 200, "{forks} forks");
}

/// One host's first frames of the high lane, fed straight into a session.
fn fed(world: &mut World, frames: &[crate::frame::Frame]) -> Vec<IngestOutput> {
    let profile = IngestProfile {
        session: SessionId(1),
        aggregator: AgentId([0xa0; 16]),
        agent: AgentId([1; 16]),
        renew_only: false,
    };
    let mut ingest = IngestSession::new(profile, world.now);
    let hello = Message::AgentHello(Box::new(world.spools[0].hello()));
    let (budget, wall) = (&mut world.budgets[0], crate::time::Timestamp(0));
    ingest.handle_message(hello, &world.journals[0], wall, world.now);
    ingest.balance(budget);
    let mut out = Vec::new();
    for frame in frames {
        let length = u32::try_from(frame.bytes().len()).unwrap().to_le_bytes();
        ingest.handle_lane_bytes(frame.header().chain.lane, &length, world.now);
        ingest.handle_lane_bytes(frame.header().chain.lane, frame.bytes(), world.now);
        ingest.balance(budget);
        while let Some(output) = ingest.poll() {
            if let IngestOutput::Journal(entry) = &output {
                let (chain, through) = (entry.chain(), entry.after().through);
                ingest.handle_committed(chain, through);
                ingest.balance(budget);
            }
            out.push(output);
        }
    }
    ingest.lost();
    ingest.balance(budget);
    out
}

#[test]
fn duplicate_is_dropped_and_acked() {
    let mut world = World::new(21, 1, 1);
    world.seal(0, Lane::High, 2, 10);
    let frames: Vec<_> = world.spools[0].lanes.of(Lane::High)[0].frames.values().cloned().collect();
    let out = fed(&mut world, &[frames[0].clone(), frames[1].clone(), frames[0].clone(), frames[1].clone()]);
    assert_eq!(out.iter().filter(|o| matches!(o, IngestOutput::Journal(_))).count(), 2);
    let acks: Vec<u64> = out
        .iter()
        .filter_map(|o| match o {
            IngestOutput::Message(Message::Ack(ack)) => Some(ack.through),
            _ => None,
        })
        .collect();
    assert_eq!(acks, [1, 2, 2, 2]);
}

#[test]
fn gap_in_the_sequence_ends_the_session() {
    let mut world = World::new(22, 1, 1);
    world.seal(0, Lane::High, 2, 10);
    let frames: Vec<_> = world.spools[0].lanes.of(Lane::High)[0].frames.values().cloned().collect();
    let out = fed(&mut world, &frames[1..]);
    assert!(matches!(out.last(), Some(IngestOutput::End(IngestEnd::Violation(_)))));
}

#[test]
fn loss_frame_counts_only_what_lies_past_the_prefix() {
    let mut world = World::new(23, 1, 1);
    for records in [2, 3, 4, 5] {
        world.seal(0, Lane::High, records, 10);
    }
    let frames: Vec<_> = world.spools[0].lanes.of(Lane::High)[0].frames.values().cloned().collect();
    // Frames 2, 3 and 4 (2, 3 and 4 records) are given up after frame 2 had arrived.
    let mut holed = world.spools[0].clone();
    for sequence in [2, 3, 4] {
        holed.lanes.of_mut(Lane::High)[0].frames.remove(&sequence);
    }
    let epoch = frames[0].header().chain.epoch;
    let loss = holed.next_frame(Lane::High, Some((epoch, 1)), &mut world.sealer).unwrap();
    assert_eq!((loss.header().sequence, loss.header().span, loss.header().records), (2, 3, 9));
    let (last, prefix) = (frames[4].clone(), [frames[0].clone(), frames[1].clone()]);
    let out = fed(&mut world, &[&prefix[..], &[loss.clone(), last, loss]].concat());
    let journaled: Vec<(u64, u64, u64)> = out
        .iter()
        .filter_map(|o| match o {
            IngestOutput::Journal(JournalEntry::Frame { before, after, .. }) => {
                Some((before.through, after.through, after.next_record - before.next_record))
            }
            _ => None,
        })
        .collect();
    // (from, through, records): the loss is clipped to sequences 3 and 4, and ignored when it comes again.
    assert_eq!(journaled, [(0, 1, 0), (1, 2, 2), (2, 4, 7), (4, 5, 5)]);
    assert!(!out.iter().any(|o| matches!(o, IngestOutput::End(_) | IngestOutput::Event(_))));
}

#[test]
fn frame_with_another_agents_id_ends_the_session_and_names_both() {
    let mut world = World::new(5, 2, 1);
    world.settle(0, 0);
    let foreign = world.spools[1].lanes.of(Lane::High)[0].frames.values().next().unwrap().clone();
    let mut bytes = u32::try_from(foreign.bytes().len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(foreign.bytes());
    let link = world.links[0].as_mut().unwrap();
    link.ingest.handle_lane_bytes(Lane::High, &bytes, world.now);
    world.pump(0);
    let (certified, claimed) = (AgentId([1; 16]), AgentId([2; 16]));
    assert!(world.events.contains(&IngestEvent::ForeignAgent { certified, claimed }));
    let end = world.links[0].as_mut().unwrap().ingest_end.take().unwrap();
    let text = end.to_string();
    assert!(text.contains(&certified.to_string()) && text.contains(&claimed.to_string()), "{text}");
    assert!(world.deliver(0, 1, usize::MAX));
    world.pump(0);
    let end = world.links[0].as_mut().unwrap().agent_end.take();
    assert!(matches!(end, Some(AgentEnd::GoAway(away)) if away.reason == GoAwayReason::ForeignAgent));
}

#[test]
fn older_epoch_goes_first_and_unchanged() {
    let mut world = World::new(9, 1, 1);
    for epoch in 0..3 {
        world.seal(0, Lane::Normal, 2, 10);
        world.spools[0].open_epoch(Lane::Normal, Epoch(100 - epoch), GenesisReason::Continuity, &mut world.sealer);
    }
    let order: Vec<Epoch> = world.spools[0].lanes.of(Lane::Normal).iter().map(|e| e.epoch).collect();
    let mut arrived = Vec::new();
    world.connect(0, 0);
    while !world.spools[0].is_acked() {
        world.pump(0);
        for what in 0..8 {
            world.deliver(0, what, usize::MAX);
        }
        world.pump(0);
        let chains = world.journals[0].queue.iter().map(JournalEntry::chain);
        arrived.extend(chains.filter(|chain| chain.lane == Lane::Normal).map(|chain| chain.epoch));
        while world.commit(0) {}
    }
    arrived.dedup();
    assert_eq!(arrived, order);
}

#[test]
fn session_of_an_expired_certificate_can_only_renew() {
    let now = std::time::Instant::now();
    let world = World::new(11, 1, 1);
    let mut agent = AgentSession::new(world.spools[0].hello(), now);
    let profile = IngestProfile {
        session: SessionId(1),
        aggregator: AgentId([0xa0; 16]),
        agent: AgentId([1; 16]),
        renew_only: true,
    };
    let mut ingest = IngestSession::new(profile, now);
    let mut end = None;
    for _ in 0..20 {
        while let Some(output) = agent.poll() {
            match output {
                AgentOutput::Message(m) => {
                    let wall = crate::time::Timestamp(0);
                    ingest.handle_message(m, &world.journals[0], wall, now);
                }
                AgentOutput::Hello(hello) => {
                    assert!(hello.renew_only);
                    agent.renew(RenewRequest { csr: Der(vec![1]) });
                }
                AgentOutput::Renewed(Reply::Refused(refused)) => {
                    assert_eq!(refused.message, "x");
                    agent.renewed();
                }
                AgentOutput::End(why) => end = Some(why),
                other => panic!("{other:?}"),
            }
        }
        while let Some(output) = ingest.poll() {
            match output {
                IngestOutput::Message(message) => agent.handle_message(message),
                IngestOutput::Renew(_) => {
                    let message = "x".to_owned();
                    ingest.renewed(Reply::Refused(Refused { code: RefusedCode::Final, message }));
                }
                IngestOutput::Hello(_) | IngestOutput::End(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(end, Some(AgentEnd::Renewed));
    let frame = world.spools[0].lanes.of(Lane::High)[0].frames[&1].clone();
    let mut ingest = IngestSession::new(
        IngestProfile {
            session: SessionId(2),
            aggregator: AgentId::default(),
            agent: AgentId([1; 16]),
            renew_only: true,
        },
        now,
    );
    ingest.handle_lane_bytes(Lane::High, frame.bytes(), now);
    assert!(std::iter::from_fn(|| ingest.poll()).any(|o| matches!(o, IngestOutput::End(IngestEnd::Violation(_)))));
}
