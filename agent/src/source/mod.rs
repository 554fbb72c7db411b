//! Where records enter: every source runs on a thread of its own and hands over through an [`Outlet`].
//!
//! In: the table of configured sources. Out: chunks and losses, [`Health`] for `status`.
//!
//! Invariants:
//! - What a source hands over carries the checkpoint that covers it; a source that starts again goes on there.
//! - A source that fails is started again, after 1 s and then ever later up to 60 s; it stops nobody else.
//! - A stop reaches every source at once; one that hangs in the kernel is left behind and named.
//!
//! A source is added with a folder here, a variant of [`Kind`] and a line in `Plan::of` and `Plan::build`.

pub mod file;
pub mod health;
pub mod host;
pub mod integrity;
mod paced;
pub mod packet;
mod running;
#[cfg(test)]
pub(crate) mod scratch;
pub mod wake;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::identity::Lane;
use shared::time::{Clock, Timestamp};
use tracing::{error, info};

use self::file::glob::{BadPattern, Patterns};
use self::file::{FileConfig, FileSource, Surroundings, Timing};
use self::health::Health;
use self::host::{HostConfig, HostSource};
use self::integrity::{IntegrityConfig, IntegritySource};
use self::packet::capture::{Around, Baton, Live, PacketConfig, PacketSource};
use self::packet::process::Attribution;
pub use self::running::{Change, Sources, Stopping};
use self::wake::Wake;
use crate::handover::Outlet;
use crate::own_traffic::OwnTraffic;

/// Something that hands over what it sees until it is stopped.
pub trait Source: Send {
    /// Runs until the source was asked to end or the outlet takes no more.
    fn run(&mut self, outlet: &mut dyn Outlet);
}

/// One row of the table of sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceConfig {
    /// Unique in the table.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// Every kind of source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Follows files.
    File(FileConfig),
    /// Looks at the host.
    Host(HostConfig),
    /// Captures packets.
    Packet(PacketConfig),
    /// Looks whether files are what they were.
    Integrity(IntegrityConfig),
}

impl SourceConfig {
    /// The `type` of the fleet file.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::File(_) => "file",
            Kind::Host(_) => "host",
            Kind::Packet(_) => "packet",
            Kind::Integrity(_) => "integrity",
        }
    }

    /// Name of the line format; of typed records: their own.
    #[must_use]
    pub fn format(&self) -> &str {
        match &self.kind {
            Kind::File(config) => &config.format,
            Kind::Host(_) | Kind::Packet(_) | Kind::Integrity(_) => "typed",
        }
    }

    /// Where its records go.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match &self.kind {
            Kind::File(config) => config.lane,
            Kind::Host(config) => config.lane,
            Kind::Packet(config) => config.lane,
            Kind::Integrity(config) => config.lane,
        }
    }
}

/// Why the sources cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A pattern that cannot be used.
    #[error("source '{source_name}': {problem}")]
    Pattern {
        /// Whose pattern.
        source_name: String,
        /// What is wrong with it.
        #[source]
        problem: BadPattern,
    },
    /// The system gives no thread.
    #[error("source '{source_name}' gets no thread: {problem}; raise the limit of tasks")]
    Thread {
        /// Whose thread.
        source_name: String,
        /// What the system said.
        #[source]
        problem: io::Error,
    },
    /// The table has more rows than an index counts.
    #[error("more than 65535 sources")]
    TooMany,
}

/// When this process began, on `clock`: what is written while the program opens its spool belongs to this run.
/// proc_pid_stat(5): field 22 counts hundredths of a second since boot.
fn run_began(clock: &Clock) -> Timestamp {
    let began = std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| {
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_ascii_whitespace().nth(19)?.parse().ok().map(|ticks: u64| Duration::from_millis(10 * ticks))
    });
    let uptime = Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)).ok();
    let age = uptime.zip(began).and_then(|(uptime, began)| uptime.checked_sub(began)).unwrap_or_default();
    Timestamp(clock.now().0.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(0)))
}

/// Whether a source can be built; nothing is opened.
///
/// # Errors
/// Why it cannot.
pub fn check(config: &SourceConfig) -> Result<(), StartError> {
    Plan::of(config, &OwnTraffic::default()).map(|_| ())
}

/// A row of the table with everything in it checked; cheap to build from, again and again.
enum Plan {
    File(FileConfig, Arc<Patterns>),
    Host(HostConfig),
    Packet(PacketConfig, OwnTraffic),
    Integrity(IntegrityConfig),
}

impl Plan {
    fn of(config: &SourceConfig, own: &OwnTraffic) -> Result<Self, StartError> {
        match &config.kind {
            Kind::File(file) => {
                let patterns = Patterns::new(&file.include, &file.exclude);
                let source_name = || config.name.clone();
                let patterns =
                    patterns.map_err(|problem| StartError::Pattern { source_name: source_name(), problem })?;
                Ok(Self::File(file.clone(), Arc::new(patterns)))
            }
            Kind::Host(host) => Ok(Self::Host(host.clone())),
            Kind::Packet(packet) => Ok(Self::Packet(packet.clone(), own.clone())),
            Kind::Integrity(integrity) => match Patterns::new(&[], &integrity.exclude) {
                Ok(_) => Ok(Self::Integrity(integrity.clone())),
                Err(problem) => Err(StartError::Pattern { source_name: config.name.clone(), problem }),
            },
        }
    }

    /// `baton`: where a capture lies that the source before it left open.
    fn build(&self, around: Surroundings, baton: &Arc<Baton>) -> Box<dyn Source> {
        match self {
            Self::File(config, patterns) => {
                Box::new(FileSource::new(config.clone(), Arc::clone(patterns), Timing::default(), around))
            }
            Self::Host(config) => {
                let Surroundings { index, clock, wake, health, .. } = around;
                Box::new(HostSource::new(config.clone(), host::Around { index, clock, wake, health }))
            }
            Self::Packet(config, own) => {
                let Surroundings { index, clock, wake, health, .. } = around;
                let around = Around { index, clock, wake, health, own: own.clone(), baton: Arc::clone(baton) };
                Box::new(PacketSource::new(config.clone(), Arc::new(Live), Some(Attribution::new()), around))
            }
            Self::Integrity(config) => Box::new(IntegritySource::new(config.clone(), around)),
        }
    }

    fn file_patterns(&self) -> Option<Arc<Patterns>> {
        match self {
            Self::File(_, patterns) => Some(Arc::clone(patterns)),
            Self::Host(_) | Self::Packet(..) | Self::Integrity(_) => None,
        }
    }
}

/// Runs what `make` makes until it ends by itself; one that panics is made again, after a pause that doubles.
fn keep_running(
    make: impl Fn() -> Box<dyn Source>,
    outlet: &mut dyn Outlet,
    wake: &Wake,
    health: &Health,
    first_pause: Duration,
) {
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);
    let mut pause = first_pause;
    while !wake.is_stopped() {
        let begun = Instant::now();
        // A panic leaves behind only the source, which is made anew, and whole chunks in the outlet.
        let run = catch_unwind(AssertUnwindSafe(|| make().run(outlet)));
        let Err(panic) = run else { break };
        if begun.elapsed() > LONGEST_PAUSE {
            pause = first_pause;
        }
        let problem = panic_message(panic.as_ref()).to_owned();
        error!(problem, again_in = ?pause, "source failed");
        health.restarted(problem);
        wake.wait(pause, pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    info!("source ended");
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic without message")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::file::StartAt;
    use super::file::bench::Table;
    use super::scratch::Folder;
    use super::*;
    use crate::handover::{Checkpoints, Chunk, Loss, Stopped};
    use crate::limits::Governor;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Tells every line; blocks where it is not listened to.
    struct Told(SyncSender<(u16, String)>);

    impl Outlet for Told {
        fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
            let mut lines = chunk.lines.iter().map(|(_, line)| String::from_utf8_lossy(line).into_owned());
            lines.try_for_each(|line| self.0.send((chunk.source.0, line))).map_err(|_| Stopped)
        }
        fn records(&mut self, _: crate::handover::Records, _: Duration) -> Result<(), crate::handover::Untaken> {
            Ok(())
        }
        fn loss(&mut self, _: Loss) -> Result<(), Stopped> {
            Ok(())
        }
    }

    fn file(name: &str, include: String) -> SourceConfig {
        let (exclude, format, lane, line_bytes_max) = (vec![], "auto".to_owned(), Lane::High, 1000);
        let config = FileConfig {
            include: vec![include],
            exclude,
            from: StartAt::Beginning,
            line_bytes_max,
            format,
            lane,
            redact: vec![],
        };
        SourceConfig { name: name.to_owned(), kind: Kind::File(config) }
    }

    fn start(table: &[SourceConfig], tell: &SyncSender<(u16, String)>) -> Result<Sources, StartError> {
        let checkpoints: Arc<dyn Checkpoints> = Arc::new(Table::default());
        let (governor, own) = (Governor::new(Clock::System), OwnTraffic::default());
        let started = Sources::start(table, &checkpoints, &Clock::System, &own, &governor, |_| Told(tell.clone()));
        started.map(|(sources, failed)| {
            assert_eq!(failed, []);
            sources
        })
    }

    #[test]
    fn every_source_of_the_table_runs_until_it_is_stopped() {
        let folder = Folder::new();
        fs::write(folder.path("a"), "one\n").unwrap();
        fs::write(folder.path("b"), "two\n").unwrap();
        let table = [file("b", folder.glob("b")), file("a", folder.glob("*"))];
        let (tell, told) = sync_channel(10);
        let sources = start(&table, &tell).unwrap();
        let mut lines = [told.recv_timeout(PATIENCE).unwrap(), told.recv_timeout(PATIENCE).unwrap()];
        lines.sort();
        assert_eq!(lines, [(1, "one".to_owned()), (1, "two".to_owned())]);
        assert_eq!(sources.health().map(|(config, _)| &*config.name).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(sources.stop(PATIENCE), [""; 0]);
    }

    #[test]
    fn source_that_hangs_is_left_behind_and_named() {
        let folder = Folder::new();
        fs::write(folder.path("a"), "one\ntwo\n").unwrap();
        let (tell, told) = sync_channel(0);
        let table = [file("hangs", folder.glob("a")), file("idle", folder.glob("none"))];
        let sources = start(&table, &tell).unwrap();
        // After the first line it waits for somebody to take the second.
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), (0, "one".to_owned()));
        assert_eq!(sources.stop(Duration::from_millis(500)), ["hangs"]);
        drop(told);
    }

    /// Goes from one table to another, as the app does; the sources that were left behind.
    fn change(sources: &mut Sources, table: &[SourceConfig], tell: &SyncSender<(u16, String)>) -> Vec<String> {
        let change = sources.plan(table);
        let stopping = sources.take(&change);
        let hanging = stopping.wait(Duration::from_millis(300));
        let numbers = sources.numbers(&change, &stopping, &hanging);
        assert_eq!(sources.begin(change, stopping, &numbers, |_| Told(tell.clone())), []);
        hanging
    }

    #[test]
    fn table_may_become_empty_and_a_source_that_hangs_keeps_its_number_and_its_name() {
        let folder = Folder::new();
        fs::write(folder.path("a"), "one\ntwo\n").unwrap();
        fs::write(folder.path("b"), "three\n").unwrap();
        let (tell, told) = sync_channel(0);
        let mut sources = start(&[file("hangs", folder.glob("a")), file("idle", folder.glob("none"))], &tell).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), (0, "one".to_owned()));
        assert_eq!(change(&mut sources, &[], &tell), ["hangs"]);
        assert_eq!(sources.health().count(), 0);
        let named = |sources: &Sources| {
            sources.numbered().map(|(index, config)| (index.0, config.name.clone())).collect::<Vec<_>>()
        };
        assert_eq!(named(&sources), [(0, "hangs".to_owned())], "what it still says is its own");
        // One of the same name is another source, with another number; it gets no file that the first still has.
        let table = [file("hangs", folder.glob("*")), file("next", folder.glob("b"))];
        assert_eq!(change(&mut sources, &table, &tell), [""; 0]);
        assert_eq!(named(&sources), [(1, "hangs".to_owned()), (2, "next".to_owned()), (0, "hangs".to_owned())]);
        // It has looked: else the first may have let go of its file by then.
        let (began, looked) = (Instant::now(), |sources: &Sources| sources.health().next().unwrap().1.shadowed_total);
        while looked(&sources) == 0 {
            assert!(began.elapsed() < PATIENCE, "{:?}", sources.health().next());
            std::thread::yield_now();
        }
        let mut lines = [told.recv_timeout(PATIENCE).unwrap(), told.recv_timeout(PATIENCE).unwrap()];
        lines.sort();
        assert_eq!(lines, [(0, "two".to_owned()), (1, "three".to_owned())]);
        assert_eq!(change(&mut sources, &[], &tell), [""; 0]);
        assert_eq!(sources.stop(PATIENCE), [""; 0]);
    }

    #[test]
    fn run_began_when_its_process_did() {
        let (now, began) = (Clock::System.now(), run_began(&Clock::System));
        assert!(began <= now && now.since(began) < Duration::from_secs(24 * 3600), "{began:?}");
    }

    #[test]
    fn unusable_pattern_names_its_source() {
        let (tell, _told) = sync_channel(0);
        let error = start(&[file("web", "relative".into())], &tell).err().unwrap();
        assert_eq!(error.to_string(), "source 'web': pattern 'relative' is not absolute: begin it with '/'");
    }

    #[test]
    fn source_that_panics_is_made_again_and_the_panic_is_kept() {
        struct Fails(usize);
        impl Source for Fails {
            fn run(&mut self, _: &mut dyn Outlet) {
                assert!(self.0 >= 2, "attempt {}", self.0);
            }
        }
        let (wake, health, made) = (Wake::default(), Health::default(), AtomicUsize::new(0));
        let make = || Box::new(Fails(made.fetch_add(1, Ordering::Relaxed))) as Box<dyn Source>;
        let (tell, _told) = sync_channel(0);
        keep_running(make, &mut Told(tell), &wake, &health, Duration::ZERO);
        assert_eq!((made.into_inner(), health.snapshot().restarts), (3, 2));
        assert_eq!(health.snapshot().last_error.as_deref(), Some("attempt 1"));
    }
}
