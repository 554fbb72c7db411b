//! From the journal to the sinks: one thread per sink reads the journal, normalizes, pushes, commits at cuts.
//!
//! In: the journal, up to what is committed. Out: events in a sink, and its cursor. Here is the only place that
//! knows both ends: stages import the nouns, never one another.
//!
//! Each sink reads, normalizes and reduces for itself, also where several stand at the same block under the same
//! configuration. An event borrows from the frame that it is read from and is overwritten by the next one: to be shared it
//! would have to be copied field by field into a block that all hold until the slowest has pushed it (64 MiB of frames are
//! several times that as events), and sinks with different routes would still merge apart. So a further sink costs the CPU of
//! the first and at most 32 MiB of waiting events, and none can delay, fail or fill the memory of another.
//!
//! Invariants:
//! - A cursor stands at a cut, and only ever rises.
//! - Events are reduced and routed under the configuration that was in force when their frame was journaled ([`history`]).
//! - A sink that fails is opened again and gets everything behind its cursor again, later and later up to 30 s;
//!   it delays nobody else.
//! - The books add up ([`counters`]); an event that no route takes is counted as unrouted.

pub mod counters;
pub mod history;
pub mod interpret;
mod outflow;
pub mod replay;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shared::backoff::Backoff;
use shared::frame::{Frame, FrameKind};
use shared::pulse;
use shared::record::LossReason;
use shared::stop::{Stage, Stop};
use shared::time::Clock;
use tokio::sync::watch::Receiver;

use crate::config::Downstream;
use crate::directory::Directory;
use crate::event::Event;
use crate::journal::{JournalHandle, JournalReader, JournalStatus, Journaled, Wrap};
use crate::sink::{AnySink, Sink, SinkError, Target};
use counters::{SinkCounters, Tally};
use history::History;
use interpret::Interpreter;
use outflow::Outflow;

/// What was in force when, for events behind the journal.
pub type Configurations = History<Downstream>;

/// How one sink is fed.
#[derive(Clone, Debug)]
pub struct SinkSetup {
    /// Its name in aggregator.yaml.
    pub name: String,
    /// What it is made of.
    pub target: Target,
    /// How often it commits, at the next cut.
    pub commit_interval: Duration,
    /// The journal keeps what it does not have yet.
    pub required: bool,
    /// What is known of the hosts that events come from.
    pub directory: Directory,
}

/// A sink's thread.
pub struct SinkThread {
    thread: JoinHandle<()>,
}

impl SinkThread {
    /// Starts feeding a sink. Once `stop` drains it ends when it has committed the last cut.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        setup: SinkSetup,
        journal: JournalHandle,
        configurations: Arc<Configurations>,
        counters: Arc<SinkCounters>,
        stop: Stop,
        clock: Clock,
    ) -> std::io::Result<Self> {
        // Until it is open its cursor is unknown: nothing may go.
        if setup.required {
            journal.passed(&setup.name, 0);
        }
        let name = format!("sink-{}", setup.name);
        let interpreter = Interpreter::new(setup.directory.clone());
        let mut feeder = Feeder { setup, journal, configurations, counters, stop, clock, interpreter, drained: false };
        let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
            let _watched = pulse::enter(&name);
            feeder.run();
        })?;
        Ok(Self { thread })
    }

    /// Waits for the end.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a sink's thread ended badly; the next start goes on from its cursor");
        }
    }
}

struct Feeder {
    setup: SinkSetup,
    journal: JournalHandle,
    configurations: Arc<Configurations>,
    counters: Arc<SinkCounters>,
    stop: Stop,
    clock: Clock,
    interpreter: Interpreter,
    drained: bool,
}

/// Where a sink stands between two commits.
struct Block {
    /// Something was pushed since the last commit.
    pushed: bool,
    /// The last cut, if everything that was pushed lies before it.
    cut: Option<u64>,
    /// Log offsets that do not read back, in front of the next frame, and why.
    missing: Option<(LossReason, (u64, u64))>,
    committed_at: Instant,
}

/// What keeps a sink from going on.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("cannot read the journal: {0}")]
    Journal(#[from] std::io::Error),
    /// Neither the configuration of that time nor the newest is known.
    #[error("no configuration of `reduce` and `routes` is known for what comes next")]
    Configuration,
    /// It would pass over everything up to its cursor.
    #[error(
        "its cursor {cursor} is ahead of the journal, whose next position is {position}: start the aggregator again while \
         the sink can be opened, and the journal goes on behind it"
    )]
    Ahead { cursor: u64, position: u64 },
}

impl Feeder {
    fn run(&mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        while !self.drained && self.stop.stage() != Stage::Now {
            let began = self.clock.instant();
            let Err(error) = self.feed() else { return };
            self.counters.failed(&error.to_string());
            tracing::error!(sink = self.setup.name, %error, "the sink failed; it is opened again and goes on from its cursor");
            if began.elapsed() > Duration::from_secs(60) {
                backoff.reset();
            }
            let mut random = [0; 8];
            shared::identity::fill_random(&mut random);
            let pause = backoff.next_delay(u64::from_le_bytes(random));
            let _ = self.stop.wait_timeout(Stage::Now, pause);
        }
    }

    /// Feeds the sink from its cursor until the program stops (`Ok`) or something fails.
    fn feed(&mut self) -> Result<(), FeedError> {
        let mut sink = AnySink::open(&self.setup.target)?;
        self.interpreter.restart();
        let mut status = self.journal.status();
        let (cursor, position) = (sink.cursor(), status.borrow().position);
        if cursor >= position {
            return Err(FeedError::Ahead { cursor, position });
        }
        let mut reader = JournalReader::after(self.journal.dir(), sink.cursor())?;
        self.passed(sink.cursor());
        let limit = status.borrow_and_update().offset;
        self.counters.opened(sink.cursor(), reader.skip(limit)?);
        let mut block = Block { pushed: false, cut: None, missing: None, committed_at: self.clock.instant() };
        let mut outflow = self.outflow(sink.cursor())?;
        // The cut behind which the next frame begins a block.
        let mut begins = Some(sink.cursor());
        loop {
            pulse::beat();
            if self.stop.stage() == Stage::Now {
                return Ok(());
            }
            // In this order: an end of the journal that is seen here came after its last commit.
            let ended = self.stop.requested() && status.has_changed().is_err();
            let limit = status.borrow_and_update().offset;
            match reader.next(limit)? {
                // How many records are gone says the frame behind it.
                Some(Journaled::Damage { from, to }) => {
                    let gone = JournalReader::is_gone(self.journal.dir(), to)?;
                    let reason = if gone { LossReason::Expired } else { LossReason::JournalDamage };
                    self.counters.missing(reason);
                    block.missing = Some((reason, (from, to)));
                }
                Some(Journaled::Frame(wrap, frame)) => {
                    // Only now: a change that takes force behind a cut is known before a frame behind it is journaled.
                    if let Some(cut) = begins.take() {
                        outflow = self.outflow_behind(cut, outflow)?;
                    }
                    block.pushed |= !wrap.is_cut || block.missing.is_some();
                    let missing = block.missing.take();
                    self.push((&mut sink, &mut outflow), missing, &wrap, &frame)?;
                    if wrap.is_cut {
                        self.cut(&mut sink, &mut outflow)?;
                        begins = Some(wrap.position);
                    }
                    block.cut = (wrap.is_cut && block.pushed).then_some(wrap.position);
                    self.commit_due(&mut sink, &mut block)?;
                }
                None if ended => {
                    self.drained = true;
                    return self.commit_due(&mut sink, &mut block);
                }
                None => {
                    self.commit_due(&mut sink, &mut block)?;
                    self.idle(&mut sink)?;
                    self.wait(&mut status, &block);
                }
            }
        }
    }

    /// The way of events behind the cut `position`.
    fn outflow(&mut self, position: u64) -> Result<Outflow, FeedError> {
        let downstream = self.configurations.at(position).ok_or(FeedError::Configuration)?;
        self.interpreter.read_with(Arc::clone(&downstream.parsers));
        Ok(Outflow::new(downstream, &self.setup.name))
    }

    /// The same way, or another one where a configuration takes force behind the cut `position`.
    fn outflow_behind(&mut self, position: u64, outflow: Outflow) -> Result<Outflow, FeedError> {
        let downstream = self.configurations.at(position).ok_or(FeedError::Configuration)?;
        if outflow.is_under(&downstream) { Ok(outflow) } else { self.outflow(position) }
    }

    /// The block ends: what waited leaves.
    fn cut(&self, sink: &mut AnySink, outflow: &mut Outflow) -> Result<(), FeedError> {
        let mut tally = Tally::default();
        let left = outflow.cut(&mut tally, &mut |event| sink.push(event));
        self.counters.left(&tally);
        self.counters.divided(self.interpreter.divided());
        self.counters.reduced(outflow.take_counts());
        Ok(left?)
    }

    /// The sink has everything up to `position`: the journal need not keep it for this sink.
    fn passed(&self, position: u64) {
        if self.setup.required {
            self.journal.passed(&self.setup.name, position);
        }
    }

    /// Commits at the last cut, when that is due and nothing was pushed behind it.
    fn commit_due(&self, sink: &mut AnySink, block: &mut Block) -> Result<(), FeedError> {
        let due = self.stop.requested() || self.clock.instant() >= block.committed_at + self.setup.commit_interval;
        let Some(cut) = block.cut.filter(|_| due) else { return Ok(()) };
        self.counters.committing(cut);
        let events = sink.commit(cut)?;
        self.passed(cut);
        self.counters.committed(cut, events);
        *block = Block { pushed: false, cut: None, missing: None, committed_at: self.clock.instant() };
        self.idle(sink)
    }

    /// Lets the sink do what is besides; a program that stops leaves it for the next start.
    fn idle(&self, sink: &mut AnySink) -> Result<(), FeedError> {
        while !self.stop.requested() && sink.idle()? {
            pulse::beat();
        }
        Ok(())
    }

    /// Normalizes a frame into the sink, and says what is missing in front of it.
    fn push(
        &mut self,
        (sink, outflow): (&mut AnySink, &mut Outflow),
        missing: Option<(LossReason, (u64, u64))>,
        wrap: &Wrap,
        frame: &Frame,
    ) -> Result<(), FeedError> {
        let (now, mut tally) = (self.clock.now(), Tally::default());
        let mut emit = |event: &mut Event<'_>| outflow.event(event, &mut tally, &mut |event| sink.push(event));
        let told = missing.map_or(Ok(()), |missing| {
            let lost = wrap.records_before.saturating_sub(self.counters.books().reached);
            Interpreter::missing(self.journal.aggregator(), missing, lost, wrap, now, &mut emit)
        });
        match told.and_then(|()| self.interpreter.frame(wrap, frame, now, &mut emit)) {
            Ok(passed) => {
                let header = frame.header();
                let records = if header.kind == FrameKind::Data { u64::from(header.records) } else { 0 };
                self.counters.read((wrap.records_before, records), passed, &tally);
                Ok(())
            }
            Err(error) => {
                self.counters.refused(&tally);
                Err(error.into())
            }
        }
    }

    /// Waits until more is journaled, a commit is due, or for a moment, in case the program stops.
    fn wait(&self, status: &mut Receiver<JournalStatus>, block: &Block) {
        let mut deadline = Instant::now() + Duration::from_millis(500);
        if block.cut.is_some() {
            deadline = deadline.min(block.committed_at + self.setup.commit_interval);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        if let Ok(runtime) = runtime {
            let change = async { tokio::time::timeout_at(deadline.into(), status.changed()).await };
            let _ = pulse::waiting(|| runtime.block_on(change));
        }
    }
}

#[cfg(test)]
mod tests;
