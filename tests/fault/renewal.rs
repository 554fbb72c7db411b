//! `kill -9` while a certificate is renewed: the roster's line, the reply, the agent's file.
//!
//! A renewal is due when two thirds of the certificate's life are over, so before each round the agent gets one that its
//! authority signed two months ago.

use std::time::{Duration, Instant};

use agent::enroll::{Enrolling, Identity, IdentityStore};
use aggregator::ca::Authority;
use aggregator::ca::roster::Roster;
use anyhow::{Context, ensure};
use picket_tests::harness::{Seeded, await_until};
use shared::durable::Writer;
use shared::enroll::{Der, Issued, Reply, Token, TokenId};
use shared::time::{Clock, Timestamp};
use shared::tls::request_key;
use xtask::Failure;

use crate::rounds::{Fate, after};
use crate::world::{DEADLINE, Side, World};

/// An agent gets at most 24 certificates a day: one to enroll, one a round, one each time that all settles.
const ROUNDS: u64 = 20;
const SETTLE_EVERY: u64 = 10;
/// Of the 90 days of a certificate; a renewal is due after 60.
const AGE: Duration = Duration::from_secs(61 * 86_400);

impl World {
    fn store(&self) -> anyhow::Result<IdentityStore> {
        let state = self.agent.state();
        Ok(IdentityStore::new(&state, Writer::for_owner_of(&state)?))
    }

    fn identity(&self) -> anyhow::Result<Identity> {
        self.store()?.load()?.context("the agent has no identity")
    }

    /// Gives the agent, which is down, a certificate that is due; when that ends.
    fn age_certificate(&self) -> anyhow::Result<Timestamp> {
        let (store, agent) = (self.store()?, self.identity()?.agent());
        let authority = Authority::load(&self.aggregator.state())?;
        let token = Token::new(authority.key_hash(), TokenId([7; 8]), [7; 16]);
        let enrolling = Enrolling::start(&store, token, "host-1", Instant::now())?;
        let (key, now) = (request_key(&enrolling.request().csr.0)?, Clock::System.now());
        let leaf = authority.issue_agent(agent, &key, Timestamp(now.0 - i64::try_from(AGE.as_nanos())?))?;
        let authorities = vec![Der(authority.certificate().to_vec())];
        let issued = Issued { agent, certificate: Der(leaf.der), authorities, time: now };
        let identity = enrolling.finish(&store, Reply::Issued(issued), Instant::now())?;
        ensure!(identity.renewal_due(now), "the certificate is not due");
        Ok(identity.certificate().not_after)
    }

    /// Waits until a certificate is on disk that is not due.
    fn await_renewal(&self) -> anyhow::Result<()> {
        let now = Clock::System.now();
        let renewed = await_until("a renewed certificate", DEADLINE, || {
            let identity = self.identity().map_err(|error| Failure::new(format!("{error:#}")))?;
            Ok((!identity.renewal_due(now)).then_some(()))
        });
        renewed.with_context(|| self.logs())
    }
}

/// Rounds with a point that is passed `passes` times in a renewal. A crash at any of them leaves the old certificate; at the
/// last passing of `renew.store` the new one has its place.
#[track_caller]
fn survive(side: Side, point: &str, passes: u64, seed: u64) -> anyhow::Result<()> {
    let seeded = Seeded::new(seed);
    let mut world = World::start(point, seeded.seed())?;
    let (turn, agent) = (world.random.below(3), world.identity()?.agent());
    for round in 0..ROUNDS {
        let gently = world.random.one_in(2);
        world.down(Side::Agent, !gently)?;
        if side == Side::Aggregator {
            world.down(Side::Aggregator, !gently)?;
        }
        let aged = world.age_certificate()?;
        let passing = 1 + world.random.below(passes);
        println!("round {round}: {point} at passing {passing}");
        match side {
            Side::Agent => world.up(Side::Aggregator)?,
            Side::Aggregator => world.arm(side, point, passing)?,
        }
        (0..world.random.below(4)).try_for_each(|_| world.write())?;
        match side {
            Side::Agent => world.arm(side, point, passing)?,
            Side::Aggregator => world.up(Side::Agent)?,
        }
        world.write_until_death(&[side])?;
        let (identity, in_place) = (world.identity()?, point == "renew.store" && passing == passes);
        assert_eq!(identity.agent(), agent);
        assert_eq!(identity.certificate().not_after > aged, in_place, "the old certificate or the new one");
        after(&mut world, &Fate::of(round, turn))?;
        if round % SETTLE_EVERY == SETTLE_EVERY - 1 {
            // A request that an aggregator died over is made again after minutes, or by the next start.
            world.down(Side::Agent, gently)?;
            world.up(Side::Aggregator)?;
            world.up(Side::Agent)?;
            world.await_renewal()?;
            world.settle()?;
        }
    }
    let (book, _) = Roster::view(&world.aggregator.state())?;
    let known: Vec<_> =
        book.agents().map(|entry| (entry.agent, entry.given.as_ref().map(|given| given.serial))).collect();
    assert_eq!(known, [(agent, Some(world.identity()?.certificate().serial))], "one agent, by the certificate it has");
    world.finish()
}

#[test]
fn aggregator_dies_before_the_roster_has_a_renewal() -> anyhow::Result<()> {
    survive(Side::Aggregator, "roster.append", 1, 501)
}

#[test]
fn aggregator_dies_between_writing_and_syncing_the_roster() -> anyhow::Result<()> {
    survive(Side::Aggregator, "roster.written", 1, 502)
}

#[test]
fn aggregator_dies_before_it_answers_a_renewal() -> anyhow::Result<()> {
    survive(Side::Aggregator, "roster.synced", 1, 503)
}

#[test]
fn agent_dies_with_a_renewal_that_it_has_read() -> anyhow::Result<()> {
    survive(Side::Agent, "uplink.renewal_read", 1, 504)
}

#[test]
fn agent_dies_before_it_checks_a_renewal() -> anyhow::Result<()> {
    survive(Side::Agent, "renew.reply", 1, 505)
}

#[test]
fn agent_dies_at_each_step_of_storing_its_certificate() -> anyhow::Result<()> {
    survive(Side::Agent, "renew.store", 3, 506)
}
