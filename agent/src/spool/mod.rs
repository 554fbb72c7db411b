//! The spool: records become batches, batches become frames, frames stand in the lanes' logs until they are acked.
//!
//! In: chunks of lines and losses from sources ([`SpoolOutlet`]). Out: frames for the uplink ([`SpoolPort`]).
//! One thread owns all of it; everybody else sends it requests.
//!
//! Invariants:
//! - `acked ≤ committed ≤ appended`, always; nothing is given to the uplink before it is committed.
//! - A checkpoint is in the log behind every frame that it covers, in the same write or a later one.
//! - `observed = excluded + held + spooled + acked + Σ lost`, per lane.
//! - Logs, index and quarantine together stay within `max_bytes`: before a segment is made the total of all lanes
//!   is held against the lane's level (bulk 60 %, normal 85 %, high 100 %). A lane at its level waits, or drops
//!   its own oldest segment; it never drops another's.
//! - A batch is sealed at 256 KiB, or at its age: high 250 ms (20 ms for the first line after a second of
//!   silence), normal 500 ms, bulk 5 s.
//!
//! Bounds: per lane one batch (≤ 1 MiB), one queue (512 KiB and a chunk), 512 KiB of recent frames, one reader.

mod checkpoints;
mod fill;
mod inbox;
mod lane;
pub mod offline;
mod port;
mod read;
mod refusal;
mod repair;
mod retention;
mod state;
mod worker;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use shared::batch::{HostContext, Origin};
use shared::frame::Sealer;
use shared::identity::{AgentId, Lane};
use shared::log::{Fs, Index, Options, RealFs};
use shared::time::{Clock, Timestamp};
use tokio::sync::watch;

pub use checkpoints::Table;
pub use inbox::{Inbox, QUEUE_BYTES_MAX, SpoolOutlet};
pub use port::{After, LaneStatus, Reconfigure, SpoolPort, SpoolStatus};
pub use repair::{Rebuilt, rebuild_index};

use lane::{LaneConfig, SpoolLane};
use worker::Worker;

/// What a lane does at its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFull {
    /// Its sources wait.
    Block,
    /// It drops its own oldest segment.
    DropOldest,
}

/// How the spool is set up.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes that logs, index and quarantine may take together (≥ 32 MiB).
    pub max_bytes: u64,
    /// By lane.
    pub on_full: [OnFull; 3],
    /// Whose frames.
    pub agent: AgentId,
    /// `/etc/machine-id`, or empty.
    pub machine_id: String,
    /// What every frame says of its host.
    pub host: HostContext,
    /// Asked now and then: minutes east of UTC of local time.
    pub utc_offset_minutes: fn() -> i32,
    /// Sources by their index: what a frame says of the origin of a chunk, but for its log name.
    pub sources: Vec<Origin>,
}

/// How long a batch may wait.
pub(crate) fn seal_age(lane: Lane) -> Duration {
    match lane {
        Lane::High => Duration::from_millis(250),
        Lane::Normal => Duration::from_millis(500),
        Lane::Bulk => Duration::from_secs(5),
    }
}

/// Share of `max_bytes`, percent, that all lanes together may take before this one stops growing.
pub(crate) fn level_percent(lane: Lane) -> u64 {
    match lane {
        Lane::High => 100,
        Lane::Normal => 85,
        Lane::Bulk => 60,
    }
}

fn lane_dir(config: &SpoolConfig, lane: Lane) -> PathBuf {
    config.dir.join(lane.name())
}

fn options(max_bytes: u64) -> Options {
    Options {
        segment_bytes: (max_bytes / 64).clamp(1 << 20, 16 << 20),
        quarantine_bytes_max: max_bytes / 64,
        points: ["spool.write", "spool.sync", "spool.committed"],
    }
}

/// A running spool.
pub struct Spool {
    inbox: Arc<Inbox>,
    table: Arc<Table>,
    port: SpoolPort,
    ended_badly: Option<Timestamp>,
    thread: JoinHandle<()>,
}

/// When anything was last written to the segments of any lane.
fn last_written(config: &SpoolConfig) -> Option<Timestamp> {
    let folders = Lane::ALL.into_iter().filter_map(|lane| std::fs::read_dir(lane_dir(config, lane)).ok());
    let modified = folders.flatten().flatten().filter_map(|file| file.metadata().ok()?.modified().ok()).max()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)))
}

impl Spool {
    /// Opens the logs, whatever the disk's state, and starts the thread.
    ///
    /// # Errors
    /// The folder cannot be made or written (no permission, no room): try again later.
    pub fn start(config: SpoolConfig, clock: Clock) -> io::Result<Self> {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        fs.create_dir(&config.dir)?;
        let (index, trusted) = Index::open(&config.dir.join("index"))?;
        if !trusted {
            tracing::debug!("the index is made again from the logs");
        }
        let table = Arc::new(Table::new(index));
        let last_written = last_written(&config);
        let mut sealer = Sealer::new()?;
        let open = |lane: Lane, sealer: &mut Sealer| {
            let lane_config = LaneConfig {
                lane,
                agent: config.agent,
                machine_id: config.machine_id.clone(),
                options: options(config.max_bytes),
            };
            let dir = lane_dir(&config, lane);
            SpoolLane::open(Arc::clone(&fs), &dir, lane_config, Arc::clone(&table), clock.clone(), sealer)
        };
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let (lane, report) = open(lane, &mut sealer)?;
            if !report.damage.is_empty() || !report.foreign.is_empty() {
                tracing::error!(lane = %lane.lane, damage = ?report.damage, foreign = ?report.foreign, "the spool was damaged; what is lost is reported");
            }
            lanes.push(lane);
        }
        let ended_badly = last_written.filter(|_| lanes.iter().any(|lane| lane.ended_badly));
        let inbox = Arc::new(Inbox::default());
        let (say_committed, committed) = watch::channel(0);
        let port = SpoolPort { inbox: Arc::clone(&inbox), committed };
        let shared = (Arc::clone(&inbox), Arc::clone(&table));
        let worker = Worker::new(config, lanes, shared, sealer, say_committed, clock);
        let thread = std::thread::Builder::new().name("spool".to_owned()).spawn(move || {
            let _watched = shared::pulse::enter("spool");
            worker.run();
        })?;
        Ok(Self { inbox, table, port, ended_badly, thread })
    }

    /// A mouth for one source.
    #[must_use]
    pub fn outlet(&self) -> SpoolOutlet {
        SpoolOutlet { inbox: Arc::clone(&self.inbox), table: Arc::clone(&self.table) }
    }

    /// The run before ended without a clean stop: when it wrote last. What sources had in hand that cannot be rewound is
    /// lost.
    #[must_use]
    pub fn ended_badly(&self) -> Option<Timestamp> {
        self.ended_badly
    }

    /// How far files have been read.
    #[must_use]
    pub fn checkpoints(&self) -> Arc<Table> {
        Arc::clone(&self.table)
    }

    /// The spool for the uplink and for `status`.
    #[must_use]
    pub fn port(&self) -> SpoolPort {
        self.port.clone()
    }

    /// Takes nothing more from sources that can be rewound; from the others while there is room.
    pub fn shut(&self) {
        self.inbox.shut();
    }

    /// Seals and commits what is held, marks a clean stop, and ends.
    pub fn stop(self) {
        self.inbox.stop();
        if self.thread.join().is_err() {
            tracing::error!("the spool's thread ended badly; the next start recovers from the log");
        }
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod lane_tests;
#[cfg(test)]
mod tests;
