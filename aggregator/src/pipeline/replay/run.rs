//! One replay: reads, normalizes, pushes, commits at cuts, until its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shared::backoff::Backoff;
use shared::durable::DurableError;
use shared::frame::{Frame, FrameKind};
use shared::stop::Stage;

use super::{Inner, Replay, State, Tally};
use crate::event::Event;
use crate::journal::{JournalReader, Journaled, Wrap};
use crate::pipeline::counters::Tally as Counted;
use crate::pipeline::interpret::Interpreter;
use crate::pipeline::outflow::Outflow;
use crate::sink::{AnySink, Sink, SinkError};

/// The journal's end is looked at again after this.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What keeps a replay from going on.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("cannot read the journal: {0}")]
    Journal(#[from] std::io::Error),
    #[error(transparent)]
    State(#[from] DurableError),
    #[error("no configuration of `reduce` and `routes` is known")]
    Configuration,
}

pub(super) struct Run<'a> {
    pub(super) inner: &'a Inner,
    pub(super) replay: Replay,
    pub(super) cancelled: &'a AtomicBool,
}

/// What was read since the last commit.
struct Progress {
    tally: Tally,
    /// Something was pushed that is not committed.
    pushed: bool,
    committed_at: Instant,
}

impl Run<'_> {
    /// How it ended; none: the program did, and the next start goes on.
    pub(super) fn run(mut self) -> Option<State> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        loop {
            match self.attempt() {
                Ok(true) => return Some(State::Finished),
                Ok(false) => return self.word(),
                Err(error) => {
                    tracing::error!(replay = self.replay.id, %error, "a replay failed; it is tried again from its cursor");
                    self.inner.trouble(&self.replay.id, Some(error.to_string()));
                }
            }
            let mut random = [0; 8];
            shared::identity::fill_random(&mut random);
            let until = self.inner.clock.instant() + backoff.next_delay(u64::from_le_bytes(random));
            while self.inner.clock.instant() < until {
                if self.over() {
                    return self.word();
                }
                let _ = self.inner.stop.wait_timeout(Stage::Draining, LOOK_INTERVAL);
            }
        }
    }

    fn over(&self) -> bool {
        self.inner.stop.requested() || self.cancelled.load(Ordering::Relaxed)
    }

    fn word(&self) -> Option<State> {
        self.cancelled.load(Ordering::Relaxed).then_some(State::Cancelled)
    }

    /// From what was last counted to the end; false when somebody ended it before.
    fn attempt(&mut self) -> Result<bool, RunError> {
        let Some(setup) = self.inner.sink(&self.replay.plan.sink) else { return Ok(true) };
        let mut sink = AnySink::open(&setup.target.of_replay(&self.replay.id))?;
        let dir = self.inner.journal.dir();
        // What is behind the count is counted; what is at or before the store's own cursor is not pushed again.
        let mut after = self.replay.tally.position;
        if let Some(since) = self.replay.plan.since.filter(|_| after == 0) {
            after = JournalReader::position_before(dir, since)?;
        }
        let mut reader = JournalReader::after(dir, after)?;
        let mut progress =
            Progress { tally: self.replay.tally, pushed: false, committed_at: self.inner.clock.instant() };
        let (mut status, mut interpreter) = (self.inner.journal.status(), Interpreter::new(setup.directory.clone()));
        // History goes by the rules of today: that is what a replay is for.
        let Some(downstream) = self.inner.configurations.at(u64::MAX) else { return Err(RunError::Configuration) };
        interpreter.read_with(Arc::clone(&downstream.parsers));
        let mut outflow = Outflow::new(downstream, &setup.name);
        self.inner.trouble(&self.replay.id, None);
        loop {
            if self.over() {
                return Ok(false);
            }
            let limit = status.borrow_and_update().offset;
            match reader.next(limit)? {
                None => drop(self.inner.stop.wait_timeout(Stage::Draining, LOOK_INTERVAL)),
                // Its records are the jump in the numbers of the frame behind it; a live sink has told of it.
                Some(Journaled::Damage { .. }) => {}
                Some(Journaled::Frame(wrap, frame)) => {
                    progress.reach(&wrap, &frame);
                    if !wrap.is_cut {
                        self.push((&mut sink, &mut outflow), &mut interpreter, &wrap, &frame, &mut progress)?;
                        continue;
                    }
                    self.cut((&mut sink, &mut outflow), &mut interpreter, &wrap, &mut progress)?;
                    let last = wrap.position >= self.replay.through;
                    let due =
                        progress.pushed && self.inner.clock.instant() >= progress.committed_at + setup.commit_interval;
                    if last || due {
                        self.commit(&mut sink, &wrap, &mut progress)?;
                    }
                    if last {
                        return Ok(true);
                    }
                }
            }
        }
    }

    fn selects(&self, wrap: &Wrap, frame: &Frame) -> bool {
        let plan = &self.replay.plan;
        plan.agent.is_none_or(|agent| frame.header().chain.agent == agent)
            && plan.since.is_none_or(|since| wrap.received.at >= since)
            && plan.until.is_none_or(|until| wrap.received.at < until)
    }

    fn push(
        &self,
        (sink, outflow): (&mut AnySink, &mut Outflow),
        interpreter: &mut Interpreter,
        wrap: &Wrap,
        frame: &Frame,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        if !self.selects(wrap, frame) {
            return Ok(());
        }
        progress.tally.frames += 1;
        let fresh = wrap.position > sink.cursor();
        let passed = interpreter.frame(wrap, frame, self.inner.clock.now(), &mut |event: &mut Event<'_>| {
            outflow.event(event, &mut Counted::default(), &mut |event| progress.push(sink, fresh, event))
        })?;
        progress.tally.unreadable += passed.unreadable;
        Ok(())
    }

    /// A block ends: what waited for more of it is pushed.
    fn cut(
        &self,
        (sink, outflow): (&mut AnySink, &mut Outflow),
        interpreter: &mut Interpreter,
        wrap: &Wrap,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let (now, fresh) = (self.inner.clock.now(), wrap.position > sink.cursor());
        interpreter.cut(now, &mut |event| {
            outflow.event(event, &mut Counted::default(), &mut |event| progress.push(sink, fresh, event))
        })?;
        Ok(outflow.cut(&mut Counted::default(), &mut |event| progress.push(sink, fresh, event))?)
    }

    /// The store first, then the count: what is counted again after a crash is not pushed again.
    fn commit(&mut self, sink: &mut AnySink, cut: &Wrap, progress: &mut Progress) -> Result<(), RunError> {
        if progress.pushed {
            sink.commit(cut.position)?;
        }
        progress.tally.position = cut.position;
        (progress.pushed, progress.committed_at) = (false, self.inner.clock.instant());
        self.replay.tally = progress.tally;
        self.inner.counted(&self.replay)?;
        Ok(())
    }
}

impl Progress {
    /// An event for the store; one that it has already is only counted.
    fn push(&mut self, sink: &mut AnySink, fresh: bool, event: &Event<'_>) -> Result<(), SinkError> {
        self.tally.events += 1;
        self.pushed |= fresh;
        if fresh { sink.push(event) } else { Ok(()) }
    }

    /// Holds the number of records before a frame against what was read.
    fn reach(&mut self, wrap: &Wrap, frame: &Frame) {
        let expected = self.tally.next_record.unwrap_or(wrap.records_before);
        self.tally.expired += wrap.records_before.saturating_sub(expected);
        let header = frame.header();
        let records = if header.kind == FrameKind::Data { u64::from(header.records) } else { 0 };
        self.tally.next_record = Some(wrap.records_before + records);
    }
}
