//! A full disk under the spool, under the journal, under the lake: nothing is lost, nobody is silent about it, and all goes
//! on by itself when there is room again.
//!
//! The disk is a tmpfs that the test mounts; where that cannot be done the test says so and has not looked.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use picket_tests::harness::{Aggregator, Place, Seeded, await_until, http_get, skip};
use xtask::Failure;

use crate::authors::Author;
use crate::world::{DEADLINE, Side, World};

/// A small filesystem of its own. It goes with its value.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts `mib` MiB at `path`, which is made. `None`, and a word about it, where that is not allowed.
    fn mount(path: &Path, mib: u32) -> anyhow::Result<Option<Self>> {
        std::fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        let size = format!("size={mib}m,mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "picket-test"]).arg(path).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Some(Self { path: path.to_owned() })),
            Ok(output) => {
                skip(&format!("no tmpfs can be mounted: {}", String::from_utf8_lossy(&output.stderr).trim()));
                Ok(None)
            }
            Err(error) => {
                skip(&format!("no tmpfs can be mounted: {error}"));
                Ok(None)
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Takes all the room that is left.
    fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let mut piece = &[1_u8; 64 << 10][..];
        // To the last byte: each refusal halves the piece.
        while !piece.is_empty() {
            match ballast.write(piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => piece = &piece[..piece.len() / 2],
                Err(error) => bail!("fill {}: {error}", self.path.display()),
            }
        }
        Ok(())
    }

    /// Gives the room back.
    fn free(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.ballast()).with_context(|| format!("free {}", self.path.display()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still have a file open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("{} stays mounted", self.path.display());
        }
    }
}

impl World {
    /// A world with a disk of `mib` MiB under one of its folders, and a spool of small segments; none where there can be no
    /// such disk.
    fn on_disk(
        name: &str,
        seed: u64,
        mib: u32,
        folder: impl FnOnce(&Place, &Aggregator) -> PathBuf,
    ) -> anyhow::Result<Option<Self>> {
        let place = Place::new(name)?;
        if Disk::mount(&place.at("probe"), 1)?.is_none() {
            return Ok(None);
        }
        let mount = |place: &Place, aggregator: &Aggregator| Disk::mount(&folder(place, aggregator), mib);
        let world = Self::start_in(place, seed, "  spool: { max_bytes: 32MiB }\n", mount)?;
        Ok(world.disk.is_some().then_some(world))
    }

    #[track_caller]
    fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("it was mounted")
    }

    /// Writes `mib` MiB of lines that hardly compress, by each author.
    fn write_much(&mut self, mib: u64) -> anyhow::Result<()> {
        let Self { authors, random, .. } = self;
        authors.iter_mut().try_for_each(|author: &mut Author| author.write_long(mib * 128, 8 << 10, random))
    }

    /// Waits until `/readyz` says no, and gives its words.
    fn await_degraded(&self) -> anyhow::Result<String> {
        let http = self.aggregator.http();
        let words = await_until("/readyz to say no", DEADLINE, || {
            let (status, words) = http_get(http, "/readyz").map_err(|error| Failure::of("get /readyz", error))?;
            Ok((status == 503).then_some(words))
        });
        words.with_context(|| self.logs())
    }

    fn await_ready(&self) -> anyhow::Result<()> {
        let http = self.aggregator.http();
        let ready = await_until("/readyz to say yes", DEADLINE, || {
            Ok(http_get(http, "/readyz").is_ok_and(|(status, _)| status == 200).then_some(()))
        });
        ready.with_context(|| self.logs())
    }

    /// Waits until the agent says in its status that the disk refuses and that a lane waits.
    fn await_blocked(&self) -> anyhow::Result<()> {
        let blocked = await_until("a lane that waits for the disk", DEADLINE, || {
            let waits = self.agent.metrics()?.count("picket_agent_spool_blocked", &[]) > 0;
            let status = self.agent.command(&["status"])?;
            Ok((waits && status.contains("No space left on device")).then_some(()))
        });
        blocked.with_context(|| self.logs())
    }
}

#[test]
fn full_disk_under_the_spool_makes_sources_wait() -> anyhow::Result<()> {
    let seeded = Seeded::new(701);
    // Segments of 1 MiB: one a lane, and some more.
    let Some(mut world) = World::on_disk("full-spool", seeded.seed(), 8, |place, _| place.at("agent/state"))? else {
        return Ok(());
    };
    (0..5).try_for_each(|_| world.write())?;
    world.settle()?;

    world.disk().fill()?;
    world.write_much(2)?;
    world.await_blocked()?;
    world.disk().free()?;
    world.settle()?;

    // Nor does it help or harm to die and to start without room, and without the sled folder.
    world.disk().fill()?;
    world.write_much(2)?;
    world.await_blocked()?;
    world.down(Side::Agent, true)?;
    world.delete_index()?;
    world.disk().fill()?;
    let log = world.agent.log();
    let told = |log: &Path| std::fs::read_to_string(log).unwrap_or_default().matches("No space left on device").count();
    let before = told(&log);
    world.up(Side::Agent)?;
    world.write()?;
    await_until("a word of the full disk after the start", DEADLINE, || Ok((told(&log) > before).then_some(())))?;
    world.disk().free()?;
    world.settle()?;
    world.finish()
}

#[test]
fn full_disk_under_the_journal_makes_agents_keep_what_they_see() -> anyhow::Result<()> {
    let seeded = Seeded::new(702);
    // Room for two segments of 16 MiB.
    let journal = |_: &Place, aggregator: &Aggregator| aggregator.state().join("journal");
    let Some(mut world) = World::on_disk("full-journal", seeded.seed(), 40, journal)? else { return Ok(()) };
    (0..5).try_for_each(|_| world.write())?;
    world.settle()?;

    world.disk().fill()?;
    world.write_much(12)?;
    let words = world.await_degraded()?;
    assert!(words.contains("journal") && words.contains("No space left on device"), "{words}");
    assert_eq!(world.aggregator.metrics()?.count("picket_aggregator_journal_degraded", &[]), 1);
    let unacked =
        |world: &World| anyhow::Ok(world.agent.metrics()?.count("picket_agent_books_records", &[("entry", "spooled")]));
    await_until("the agent to keep what is not acked", DEADLINE, || {
        Ok((unacked(&world).map_err(|error| Failure::new(error.to_string()))? > 0).then_some(()))
    })?;
    // It dies, and starts without room.
    world.down(Side::Aggregator, true)?;
    world.up(Side::Aggregator)?;
    world.await_degraded()?;
    world.disk().free()?;
    world.settle()?;
    world.await_ready()?;
    world.finish()
}

#[test]
fn full_disk_under_the_lake_makes_its_sink_wait() -> anyhow::Result<()> {
    let seeded = Seeded::new(703);
    let lake = |_: &Place, aggregator: &Aggregator| aggregator.lake();
    let Some(mut world) = World::on_disk("full-lake", seeded.seed(), 16, lake)? else { return Ok(()) };
    (0..5).try_for_each(|_| world.write())?;
    world.settle()?;

    world.disk().fill()?;
    world.write_much(1)?;
    let words = world.await_degraded()?;
    assert!(words.contains("sink lake") && words.contains("No space left on device"), "{words}");
    world.down(Side::Aggregator, true)?;
    world.up(Side::Aggregator)?;
    world.await_degraded()?;
    world.disk().free()?;
    world.settle()?;
    world.await_ready()?;
    world.finish()
}
