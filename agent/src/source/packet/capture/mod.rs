//! Live capture: packets of an interface in, records and losses out, on a thread of its own.
//!
//! ```text
//! kernel's ring ─▶ live ─▶ Meter ─▶ telling ─▶ Outlet
//!                           ▲          ▲
//!     own, addresses, process       tally ─▶ losses
//!                        ▲
//! first packets ─▶ ahead ┘
//! ```
//!
//! Choices:
//! - **Nothing waits for the spool.** Records that find no room are dropped and counted as `spool_full` in the books of
//!   their lane. If the thread waited instead, the kernel's ring would overflow: that loses packets of all flows, also of
//!   those that go on, whose streams, byte counts and states would be wrong from then on, and nobody could say which
//!   records are missing. The thread waits for [`ROOM_PATIENCE`] at most, and not again until the lane has taken something.
//! - **The agent's own traffic** is known by protocol, local port and the aggregator's address and port, from before its
//!   first packet ([`crate::own_traffic`]). The filter in the kernel keeps it out of the ring, so that sending costs no
//!   capture; the [`Meter`] leaves out the same, for the packets between a new session and its filter. By the flow's
//!   process it would be found late and only where /proc may be read; by address alone other programs could hide behind it.
//! - **`snap_length` is 16 KiB.** Segments come merged (GRO) up to 64 KiB, the head of each is what dissectors need: a TLS
//!   record with a chain of certificates has at most 16 KiB, servers take heads of HTTP of 8 to 16 KiB. The ring packs
//!   packets by their captured length, so that small ones cost nothing more, and of bulk traffic three quarters are not
//!   even copied. 2 KiB would cut every certificate.
//! - **`any` is read as Linux cooked v1**, where libpcap puts back the VLAN tags that the kernel took off; in v2 it cannot,
//!   and they would be lost for the sake of an interface number. A packet that passes several interfaces of the host
//!   (a bridge and its port, a VLAN and its parent) is seen on each: name the interface where that matters.
//!
//! Invariants: what the kernel or the interface dropped, and flows that were forgotten, are loss records within a minute;
//! a capture that cannot be opened or ends is tried again and stops nobody else; at a stop open flows are told. A capture
//! outlives its source where the next one would open the same ([`Baton`]).
//!
//! Bounds beside the table of flows: the ring ([`PacketConfig::buffer_bytes`]), [`HELD_BYTES_MAX`] of conversations, one
//! hand-over of records.

mod addresses;
mod ahead;
mod baton;
mod capabilities;
mod live;
mod own;
mod tally;
mod telling;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::backoff::Backoff;
use shared::fleet::Protocol;
use shared::identity::Lane;
use shared::time::{Clock, Timestamp};

use self::ahead::Ahead;
pub use self::baton::{Baton, Left};
pub use self::capabilities::{lacks, missing};
pub use self::live::{Live, check_filter};
pub use self::own::is_own;
use self::tally::Tally;
use self::telling::Telling;
use super::decode::LinkType;
use super::flow::Settings;
use super::meter::Meter;
use super::process::Attribution;
use crate::handover::{Outlet, SourceIndex};
use crate::limits::{Deferred, Governor, Step};
use crate::own_traffic::{OwnEnds, OwnTraffic};
use crate::source::Source;
use crate::source::health::{CaptureSnapshot, Health, Missing, Trouble};
use crate::source::wake::Wake;

/// The name for all interfaces.
pub const ANY: &str = "any";
/// Bytes that all conversations of a live capture hold: with the default ring below 12 MiB beside the table of flows.
pub const HELD_BYTES_MAX: usize = 4 << 20;
/// A full lane is waited for this long.
pub const ROOM_PATIENCE: Duration = Duration::from_millis(50);
/// At a stop the records of open flows wait for room for this long in all.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// How long a read waits for packets: a stop is noticed by then.
const READ_PATIENCE: Duration = Duration::from_millis(250);
/// Flows are ended, drops counted and health told this often.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// The host's addresses are asked for this often.
const ADDRESSES_INTERVAL: Duration = Duration::from_secs(30);
/// Within a read, asking for owners is followed by this many times as long without.
const ASKED_SHARE: u32 = 10;
/// A clock that goes back further than this begins everything anew: nothing would end before it is where it was.
const CLOCK_STEP: Duration = Duration::from_secs(10);
/// Delays between attempts to open a capture.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// What is captured and told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketConfig {
    /// Name of the interface, or [`ANY`].
    pub interface: String,
    /// A filter in pcap-filter(7)'s language.
    pub filter: Option<String>,
    /// Bytes of a packet that are looked at.
    pub snap_length: usize,
    /// Size of the kernel's ring, bytes.
    pub buffer_bytes: usize,
    /// Whether packets for others are looked at; [`ANY`] never does.
    pub promiscuous: bool,
    /// What is told.
    pub protocols: Vec<Protocol>,
    /// Most flows.
    pub flows_max: usize,
    /// A flow that lasts is told again after this.
    pub update_interval: Duration,
    /// Where records go.
    pub lane: Lane,
}

impl PacketConfig {
    /// Whether a capture that was opened under this is what `other` would open.
    #[must_use]
    pub fn opens_as(&self, other: &Self) -> bool {
        let key = |config: &Self| (config.snap_length, config.buffer_bytes, config.promiscuous);
        self.interface == other.interface && self.filter == other.filter && key(self) == key(other)
    }
}

/// A packet as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When.
    pub at: Timestamp,
    /// Its first bytes.
    pub captured: &'a [u8],
    /// Its length on the wire.
    pub wire_len: u32,
}

/// Packets that were dropped since the capture was opened. Both counters come round to 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Drops {
    /// By the kernel: the ring was full.
    pub kernel: u32,
    /// By the interface or its driver.
    pub interface: u32,
}

/// Why a capture cannot be opened, or ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CaptureError {
    /// The program may not capture.
    #[error("capturing is not permitted: {0}")]
    NotPermitted(String),
    /// It is not there, or not any more.
    #[error("there is no interface '{0}'")]
    NoInterface(String),
    /// It is there and switched off.
    #[error("interface '{0}' is down")]
    Down(String),
    /// The filter is none.
    #[error("the filter cannot be used: {0}")]
    Filter(String),
    /// Anything else, in the library's words.
    #[error("{0}")]
    Failed(String),
}

impl CaptureError {
    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotPermitted(_) => {
                "give the agent CAP_NET_RAW: `AmbientCapabilities=CAP_NET_RAW` in its unit, or \
                 `setcap cap_net_raw+ep` on its binary; it is tried again by itself"
            }
            Self::NoInterface(_) => {
                "`ip link` names those that are there; set `interface` in the fleet file, or wait until it comes"
            }
            Self::Down(_) => "it is captured as soon as it is up",
            Self::Filter(_) => "see pcap-filter(7); `picket-agent validate` says where it stands",
            Self::Failed(_) => "it is tried again by itself",
        }
    }
}

/// A capture that is open.
pub trait Capture: Send {
    /// How its packets begin.
    fn link(&self) -> LinkType;

    /// Takes another filter, without the conversations of this program.
    ///
    /// # Errors
    /// [`CaptureError::Filter`].
    fn filter(&mut self, filter: Option<&str>, own: &[OwnEnds]) -> Result<(), CaptureError>;

    /// Waits for packets for at most `patience` and gives those that are there, a bounded number; how many.
    ///
    /// # Errors
    /// The capture has ended.
    fn read(&mut self, patience: Duration, take: &mut dyn FnMut(Frame<'_>)) -> Result<usize, CaptureError>;

    /// What was dropped since it was opened.
    ///
    /// # Errors
    /// The library's.
    fn drops(&mut self) -> Result<Drops, CaptureError>;
}

/// Where captures come from: the host's interfaces ([`Live`]), or a test's.
pub trait Interface: Send + Sync {
    /// Opens a capture.
    ///
    /// # Errors
    /// [`CaptureError`].
    fn open(&self, config: &PacketConfig, own: &[OwnEnds]) -> Result<Box<dyn Capture>, CaptureError>;

    /// Opens a capture beside it of what begins flows of a host with the addresses `local` (`FIRST` of `ahead`), each packet
    /// as it is sent; none where there is no such thing.
    ///
    /// # Errors
    /// [`CaptureError`].
    fn open_first(&self, config: &PacketConfig, local: &[IpAddr]) -> Result<Option<Box<dyn Capture>>, CaptureError>;
}

/// What a packet source has around it.
#[derive(Clone)]
pub struct Around {
    /// Its place in the table of sources.
    pub index: SourceIndex,
    /// Its clock.
    pub clock: Clock,
    /// Its bell.
    pub wake: Arc<Wake>,
    /// Where it says how it is.
    pub health: Arc<Health>,
    /// What this program itself sends.
    pub own: OwnTraffic,
    /// Where the source before it may have left its capture, and where it leaves its own.
    pub baton: Arc<Baton>,
}

/// A packet source.
pub struct PacketSource {
    config: PacketConfig,
    interface: Arc<dyn Interface>,
    around: Around,
    meter: Meter,
    owners: Owners,
    /// What lacks for all of it to be seen.
    missing: Vec<Missing>,
    telling: Telling,
    tally: Tally,
    /// The latest time that flows know.
    latest: Timestamp,
    own_generation: u64,
    addresses_at: Option<Instant>,
    housekeeping_at: Instant,
}

impl PacketSource {
    /// A source that captures nothing yet; without `attribution` flows have no process.
    #[must_use]
    pub fn new(
        config: PacketConfig,
        interface: Arc<dyn Interface>,
        attribution: Option<Attribution>,
        around: Around,
    ) -> Self {
        Self {
            meter: meter(&config),
            missing: lacking(attribution.as_ref()),
            owners: Owners { attribution, not_before: around.clock.instant() },
            telling: Telling::new(&config, around.index, &around.clock),
            tally: Tally::new(&config, around.index),
            latest: Timestamp(i64::MIN),
            own_generation: 0,
            addresses_at: None,
            housekeeping_at: around.clock.instant(),
            config,
            interface,
            around,
        }
    }

    /// Opens a capture, without the conversations of this program, or goes on with that of the source before.
    fn open(&mut self) -> Result<Box<dyn Capture>, CaptureError> {
        self.own_generation = self.around.own.generation();
        let own = self.around.own.ends();
        self.meter.leave_out(own.clone());
        // Before the first frame: from then on flows are kept for it.
        self.owners.ask(&mut self.meter, &self.around.clock);
        if let Some(Left { capture, drops, own_generation, .. }) = self.around.baton.take(&self.config) {
            self.tally.opened(drops);
            self.own_generation = own_generation;
            tracing::info!(interface = self.config.interface, "capturing goes on");
            return Ok(capture);
        }
        self.tally.opened(Drops::default());
        let capture = self.interface.open(&self.config, &own)?;
        tracing::info!(interface = self.config.interface, "capturing");
        Ok(capture)
    }

    /// The capture is left to the next source if this one was asked to end, and closed if it failed.
    fn part_with(&self, capture: Box<dyn Capture>, failed: bool) {
        if !failed {
            let (drops, own_generation) = (self.tally.told_of(), self.own_generation);
            self.around.baton.leave(Left { capture, config: self.config.clone(), drops, own_generation });
        }
    }

    /// Reads until the source is asked to end.
    fn capture(&mut self, capture: &mut dyn Capture, outlet: &mut dyn Outlet) -> Result<(), CaptureError> {
        let link = capture.link();
        while !self.around.wake.is_stopped() && !self.telling.is_stopped() {
            if self.around.own.generation() != self.own_generation {
                self.leave_out(capture)?;
            }
            let Self { meter, telling, latest, owners, around, .. } = self;
            let read = capture.read(READ_PATIENCE, &mut |frame| {
                *latest = (*latest).max(frame.at);
                let flows = meter.flows();
                let tell = &mut |told| telling.take(told, outlet);
                meter.frame(link, frame.at, frame.captured, frame.wire_len, tell);
                if meter.flows() > flows {
                    // Before what is said in it is told.
                    owners.ask_soon(meter, &around.clock);
                }
            });
            self.owners.ask(&mut self.meter, &self.around.clock);
            self.tally.packets(u64::try_from(read.clone()?).unwrap_or(u64::MAX));
            if self.around.clock.instant() >= self.housekeeping_at {
                self.tally.drops(capture.drops()?);
                self.keep_house(outlet);
            }
        }
        // What was dropped last is still told.
        capture.drops().map(|drops| self.tally.drops(drops))
    }

    /// Asks whose flows are as they begin.
    fn ahead(&self) -> Option<Ahead> {
        let early = self.owners.attribution.as_ref()?.early();
        let started = Ahead::start(Arc::clone(&self.interface), self.config.clone(), early, self.around.clock.clone());
        started.inspect_err(|error| tracing::debug!(%error, "no thread for first packets")).ok()
    }

    /// A session of the uplink began: its packets are none of ours, first where they are decoded, then in the kernel.
    fn leave_out(&mut self, capture: &mut dyn Capture) -> Result<(), CaptureError> {
        self.own_generation = self.around.own.generation();
        let own = self.around.own.ends();
        self.meter.leave_out(own.clone());
        capture.filter(self.config.filter.as_deref(), &own)
    }

    /// Ends what was silent, hands over what waits, says what was lost and how it goes.
    fn keep_house(&mut self, outlet: &mut dyn Outlet) {
        let (now, instant) = (self.around.clock.now(), self.around.clock.instant());
        self.housekeeping_at = instant + HOUSEKEEPING;
        if self.addresses_at.is_none_or(|at| instant >= at) {
            self.addresses_at = Some(instant + ADDRESSES_INTERVAL);
            match addresses::local() {
                Ok(local) => self.meter.local(local),
                Err(error) => tracing::debug!(%error, "the addresses of this host cannot be read"),
            }
        }
        if self.latest.since(now) > CLOCK_STEP {
            tracing::warn!(source = %self.config.interface, "the clock went back: open flows are told, and begin anew");
            self.finish(ROOM_PATIENCE, outlet);
        }
        self.latest = self.latest.max(now);
        self.restrain(outlet);
        self.meter.expire(now, &mut |told| self.telling.take(told, outlet));
        self.tally.evicted(self.meter.take_evicted());
        self.telling.hand_over(outlet);
        self.tally.say(now, instant, &mut self.telling, outlet);
        self.report(None);
    }

    /// Keeps within what the limits leave.
    fn restrain(&mut self, outlet: &dyn Outlet) {
        let memory = outlet.governor().map_or(Step::None, Governor::memory_step);
        self.meter.restrain(room(self.config.flows_max, memory), outlet.defers(Deferred::FlowUpdate));
        outlet.deferred(Deferred::FlowUpdate, self.meter.take_untold_updates());
    }

    /// The capture is over: open flows are told, and what was lost since it was said last.
    fn finish(&mut self, patience: Duration, outlet: &mut dyn Outlet) {
        self.telling.wait_for(patience);
        self.meter.finish(&mut |told| self.telling.take(told, outlet));
        self.tally.evicted(self.meter.take_evicted());
        self.telling.hand_over(outlet);
        self.tally.say_all(self.around.clock.now(), &mut self.telling, outlet);
        self.telling.wait_for(ROOM_PATIENCE);
        let own = self.around.own.ends();
        self.meter = meter(&self.config);
        self.meter.leave_out(own);
        (self.latest, self.addresses_at) = (Timestamp(i64::MIN), None);
        self.owners.ask(&mut self.meter, &self.around.clock);
    }

    /// Says how it goes; `problem` while nothing is captured.
    fn report(&self, problem: Option<&CaptureError>) {
        let health = &self.around.health;
        let (records, bytes, last) = self.telling.handed_over();
        if let Some(at) = last {
            health.handed_over_in_all(records, bytes, at);
        }
        health.turned(self.around.clock.now(), 0, 0, 0);
        health.capture(CaptureSnapshot {
            interface: self.config.interface.clone(),
            open: problem.is_none(),
            problem: problem.map(ToString::to_string),
            advice: problem.map(CaptureError::advice).unwrap_or_default().to_owned(),
            flows: self.meter.flows() as u64,
            records_lost: self.telling.lost(),
            missing: self.missing.clone(),
            ..self.tally.snapshot()
        });
    }
}

/// What lacks for all of it to be seen.
fn lacking(attribution: Option<&Attribution>) -> Vec<Missing> {
    use super::process::Missing as Lacking;
    let lacks = attribution.map(Attribution::missing).unwrap_or_default();
    let slow = lacks.into_iter().filter(|what| *what == Lacking::SockDiag);
    let slow = slow.map(|what| Missing { capability: "sock_diag".to_owned(), cost: what.to_string() });
    missing().into_iter().chain(slow).collect()
}

/// Finds whose flows are.
struct Owners {
    attribution: Option<Attribution>,
    /// Between two reads; within one not before this, so that a flood of new flows costs a bounded share of the time.
    not_before: Instant,
}

impl Owners {
    /// Flows that began get their processes, as far as they are found by now.
    fn ask(&mut self, meter: &mut Meter, clock: &Clock) {
        let Some(attribution) = &mut self.attribution else { return };
        let begun = clock.instant();
        attribution.turn(meter, clock.now());
        let ended = clock.instant();
        self.not_before = ended + ASKED_SHARE * ended.saturating_duration_since(begun);
    }

    /// The same, unless it took too much of the time lately.
    fn ask_soon(&mut self, meter: &mut Meter, clock: &Clock) {
        if clock.instant() >= self.not_before {
            self.ask(meter, clock);
        } else if let Some(attribution) = &mut self.attribution {
            attribution.recognize(meter, clock.now());
        }
    }
}

/// Most flows and most bytes of conversations, by how scarce memory is.
fn room(flows_max: usize, memory: Step) -> (usize, usize) {
    match memory {
        Step::None | Step::BulkSlowed => (flows_max, HELD_BYTES_MAX),
        Step::UpdatesSampled | Step::InventoryPaused => (flows_max / 2, HELD_BYTES_MAX / 4),
        Step::AllSlowed => (flows_max / 4, HELD_BYTES_MAX / 16),
    }
}

fn meter(config: &PacketConfig) -> Meter {
    Meter::new(Settings {
        flows_max: config.flows_max,
        held_bytes_max: HELD_BYTES_MAX,
        update_interval: config.update_interval,
        local: addresses::local().unwrap_or_default(),
    })
}

impl Source for PacketSource {
    fn run(&mut self, outlet: &mut dyn Outlet) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut said = None;
        while !self.around.wake.is_stopped() {
            let ended = match self.open() {
                Ok(mut capture) => {
                    // As long as this capture.
                    let _ahead = self.ahead();
                    (said, self.housekeeping_at) = (None, self.around.clock.instant());
                    backoff.reset();
                    self.report(None);
                    let ended = self.capture(capture.as_mut(), outlet);
                    self.part_with(capture, ended.is_err());
                    let stops = self.around.wake.is_stopped();
                    self.finish(if stops { STOP_PATIENCE } else { ROOM_PATIENCE }, outlet);
                    ended
                }
                Err(error) => Err(error),
            };
            match ended {
                Err(error) if !self.around.wake.is_stopped() => {
                    if said.as_ref() != Some(&error) {
                        let advice = error.advice();
                        tracing::warn!(interface = self.config.interface, %error, advice, "nothing is captured");
                        self.around.health.trouble(Trouble::CaptureFailed, error.to_string());
                    }
                    self.report(Some(&error));
                    said = Some(error);
                    let pause = backoff.next_delay(self.around.clock.now().0.unsigned_abs());
                    self.around.wake.wait(pause, pause);
                }
                // The outlet takes no more, or the source was asked to end.
                _ => break,
            }
        }
        self.report(None);
    }
}

#[cfg(test)]
mod tests;
