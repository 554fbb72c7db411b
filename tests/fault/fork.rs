//! Two hosts with one identity: a clone of a running agent, and a copy that is put back. The fork is found, told, and
//! costs no line; it may double some.

use std::collections::BTreeMap;

use agent::spool::offline;
use aggregator::journal::Wrap;
use anyhow::Context;
use picket_tests::harness::{Agent, Programs, Seeded, await_until, copy_folder};
use shared::batch::{BatchView, Body};
use shared::frame::{Frame, FrameKind, GenesisReason, Opener};
use shared::identity::{Epoch, Lane};
use shared::log::{Kind, RealFs, Record};
use shared::record::Value;
use xtask::Failure;

use crate::authors::Author;
use crate::world::{DEADLINE, Side, World, fleet};

/// Copies that are put back, one after the other.
const RESTORES: usize = 8;

/// Where some of them crash at once.
const POINTS: [&str; 3] = ["spool.write", "spool.sync", "spool.committed"];

/// What the journal says of forks.
#[derive(Default)]
struct Told {
    /// Lanes and the epochs that were left, from the genesis frames of agents.
    geneses: Vec<(Lane, Option<Epoch>)>,
    /// The aggregator's own records, by kind of notice.
    notices: BTreeMap<String, Vec<BTreeMap<String, String>>>,
}

impl Told {
    /// Reads the journal, whether the aggregator runs or not.
    fn by(world: &World) -> anyhow::Result<Self> {
        let (mut told, mut opener) = (Self::default(), Opener::default());
        let dir = world.aggregator.state().join("journal");
        shared::log::verify(&RealFs, &dir, &mut |record| told.take(record, &mut opener))?;
        Ok(told)
    }

    fn take(&mut self, record: &Record<'_>, opener: &mut Opener) {
        if record.kind != Kind::Frame {
            return;
        }
        let (wrap, bytes) = Wrap::split(record.payload).unwrap();
        let frame = Frame::parse(bytes.to_vec()).unwrap();
        let header = frame.header();
        if header.kind == FrameKind::Genesis {
            let notice = frame.genesis_notice(opener).unwrap();
            if notice.reason == GenesisReason::Fork {
                self.geneses.push((header.chain.lane, notice.previous.map(|previous| previous.epoch)));
            }
        }
        // The aggregator's own frames come without a certificate.
        if header.kind == FrameKind::Data && wrap.received.serial.is_empty() {
            let columns = frame.open(opener).unwrap();
            for record in BatchView::parse(&columns, header.records).unwrap().iter() {
                if let Body::Typed(fields) = record.unwrap().body {
                    self.own(&fields);
                }
            }
        }
    }

    fn own(&mut self, fields: &[(&str, Value)]) {
        let text = |(key, value): &(&str, Value)| match value {
            Value::String(text) => Some(((*key).to_owned(), text.clone())),
            _ => None,
        };
        let fields: BTreeMap<String, String> = fields.iter().filter_map(text).collect();
        if let Some(kind) = fields.get("notice").cloned() {
            self.notices.entry(kind).or_default().push(fields);
        }
    }

    fn notices(&self, kind: &str) -> &[BTreeMap<String, String>] {
        self.notices.get(kind).map_or(&[], Vec::as_slice)
    }

    /// Every fork of an agent has a notice that names its lane, the epoch that was left, and who did it.
    #[track_caller]
    fn assert_forks_were_told(&self) {
        for (lane, left) in &self.geneses {
            let left = left.map(|epoch| epoch.to_string());
            let names = |notice: &&BTreeMap<String, String>| {
                notice.get("lane").map(String::as_str) == Some(lane.name())
                    && notice.get("previous_epoch") == left.as_ref()
            };
            let notice = self.notices("forked").iter().find(names);
            assert!(
                notice.is_some_and(|notice| notice.contains_key("peer")),
                "no notice of the fork of {left:?} on {lane}"
            );
        }
    }
}

#[test]
fn restored_copies_of_the_state_fork_and_lose_no_line() -> anyhow::Result<()> {
    let seeded = Seeded::new(601);
    let mut world = World::start("restored", seeded.seed())?;
    let (state, copy) = (world.agent.state(), world.place().at("copy"));
    (0..10).try_for_each(|_| world.write())?;
    world.settle()?;
    for restore in 0..RESTORES {
        let forks = Told::by(&world)?.geneses.len();
        (0..world.random.below(6)).try_for_each(|_| world.write())?;
        copy_folder(&state, &copy)?;
        // What comes now is in the journal and not in the copy, on every lane.
        (0..1 + world.random.below(6)).try_for_each(|_| world.write_all())?;
        world.await_lines()?;
        world.authors.iter_mut().for_each(Author::forgotten);
        let kill = world.random.one_in(2);
        world.down(Side::Agent, kill)?;
        std::fs::remove_dir_all(&state).with_context(|| format!("remove {}", state.display()))?;
        std::fs::rename(&copy, &state).with_context(|| format!("put {} in place", state.display()))?;
        (0..world.random.below(4)).try_for_each(|_| world.write())?;
        if world.random.one_in(2) {
            // A crash somewhere on the way into the new epoch.
            let (point, passing) = (POINTS[restore % POINTS.len()], 1 + world.random.below(4));
            println!("restore {restore}: {point} at passing {passing}");
            world.arm(Side::Agent, point, passing)?;
            world.write_until_death(&[Side::Agent])?;
        }
        world.up(Side::Agent)?;
        world.write_all()?;
        world.await_lines()?;
        world.authors.iter_mut().for_each(Author::delivered);
        let doubled = world.assert_nothing_lost();
        let told = Told::by(&world)?;
        println!("restore {restore}: {} forks, {doubled} lines came more than once so far", told.geneses.len() - forks);
        assert!(told.geneses.len() > forks, "the copy that was put back did not fork");
        told.assert_forks_were_told();
    }
    world.close()
}

#[test]
fn clone_of_a_running_agent_forks_and_neither_loses_a_line() -> anyhow::Result<()> {
    let seeded = Seeded::new(602);
    let mut world = World::start("clone", seeded.seed())?;
    (0..10).try_for_each(|_| world.write())?;
    world.settle()?;
    (0..3).try_for_each(|_| world.write_all())?;
    let (folder, logs) = (world.place().at("clone"), world.place().at("clone-logs"));
    copy_folder(world.agent.folder(), &folder)?;
    (0..3).try_for_each(|_| world.write_all())?;
    world.await_lines()?;

    std::fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
    for lane in [Lane::High, Lane::Normal] {
        world.authors.push(Author::new(&logs, &format!("clone-{lane}"), seeded.seed() + u64::from(lane as u8))?);
    }
    let mut clone = Agent::adopt(&Programs::of_this_build()?, &folder);
    clone.set_fleet(&fleet(&logs, ""))?;
    clone.start()?;
    // Both at once: each session closes the other's.
    await_until("the word of a fork and of two hosts", DEADLINE, || {
        let failed = |error: anyhow::Error| Failure::new(format!("{error:#}"));
        world.write().map_err(failed)?;
        let told = Told::by(&world).map_err(failed)?;
        let both = !told.geneses.is_empty() && !told.notices("two_hosts_one_identity").is_empty();
        Ok(both.then_some(()))
    })?;
    // Alone, one after the other, each delivers what is left.
    world.down(Side::Agent, true)?;
    let quiet = |metrics: &picket_tests::harness::Metrics| {
        ["held", "spooled"].iter().all(|entry| metrics.count("picket_agent_books_records", &[("entry", entry)]) == 0)
    };
    await_until("the clone to deliver", DEADLINE, || {
        Ok(clone.metrics().is_ok_and(|metrics| quiet(&metrics)).then_some(()))
    })?;
    clone.stop()?;
    world.up(Side::Agent)?;
    world.write_first(2)?;
    world.await_lines()?;
    let doubled = world.assert_nothing_lost();
    println!("{doubled} lines came more than once");
    Told::by(&world)?.assert_forks_were_told();
    let findings = offline::verify(&folder.join("state/spool"))?;
    assert!(findings.iter().all(|finding| finding.outcome != shared::check::Outcome::Fail), "{findings:?}");
    world.close()
}
