//! The aggregator's journal around the log: 64 agents hand frames over to its thread, each with what a session may have in
//! flight, and go on when they are durable.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aggregator::ca::signature::Signer;
use aggregator::journal::{Journal, JournalConfig, JournalHandle, JournalRequest, JournalThread, Received};
use anyhow::{Context, bail};
use shared::batch::{Batch, HostContext, Line, Origin};
use shared::frame::{Frame, Place, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::limits::CREDIT_BASE_BYTES;
use shared::protocol::{ChainState, JournalEntry};
use shared::time::{Clock, Timestamp};

use super::backlog::{Measured, written_bytes};
use super::commits::APPENDERS;
use crate::end_to_end::as_f64;
use crate::layout::Values;
use crate::yardstick::cpu_seconds;

/// Bytes of a certificate's serial, as the authority draws them.
const SERIAL_BYTES: usize = 16;

fn config(folder: &Path) -> anyhow::Result<JournalConfig> {
    let key = rcgen::KeyPair::generate().context("make a key")?.serialize_der();
    Ok(JournalConfig {
        dir: folder.join("log"),
        max_bytes: 20 << 30,
        retain: Duration::from_secs(86_400),
        block_interval: Duration::from_secs(5),
        aggregator: AgentId([8; 16]),
        host: HostContext::default(),
        signer: Arc::new(Signer::from_pkcs8(&key).context("use a key")?),
        floor: 0,
    })
}

/// A frame of one agent with one line, so long that it has about `size` bytes.
fn frame(agent: u8, values: &mut Values) -> anyhow::Result<Frame> {
    let chain = ChainId { agent: AgentId([agent; 16]), lane: Lane::Normal, epoch: Epoch(1) };
    let place = Place { chain, sequence: 2, first_record: 1, prev: FrameHash([7; 32]), sealed_at: Timestamp(0) };
    let (mut batch, line) = (Batch::default(), values.next());
    let origin = batch.origin(&Arc::new(Origin::default()));
    let full_size = u64::try_from(line.len())?;
    batch.push_line(origin, Timestamp(0), Line { bytes: line, offset: 0, full_size, flags: 0 });
    let mut sealer = Sealer::new()?;
    batch
        .with_columns(&HostContext::default(), |records, columns| sealer.data(&place, records, columns))
        .context("seal")
}

/// What of an agent is not durable.
#[derive(Default)]
struct Window {
    bytes: Mutex<u64>,
    less: Condvar,
}

impl Window {
    fn add(&self, length: u64) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *bytes > 0 && *bytes + length > CREDIT_BASE_BYTES {
            bytes = self.less.wait(bytes).unwrap_or_else(PoisonError::into_inner);
        }
        *bytes += length;
    }

    fn take(&self, length: u64) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let was_full = *bytes + length > CREDIT_BASE_BYTES;
        *bytes -= length;
        if *bytes == 0 || was_full {
            self.less.notify_all();
        }
    }

    fn await_empty(&self) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *bytes > 0 {
            bytes = self.less.wait(bytes).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Hands the same frame over again and again, each time as the next of its chain.
fn bring(journal: &JournalHandle, frame: &Frame, from: u64, count: u64) -> anyhow::Result<()> {
    let (window, length) = (Arc::new(Window::default()), u64::try_from(frame.bytes().len())?);
    let state = |through| ChainState { through, head: FrameHash::ZERO, next_record: through + 1 };
    for through in from + 1..=from + count {
        window.add(length);
        let done = Arc::clone(&window);
        let peer = "192.0.2.7:40000".parse()?;
        let taken = journal.append(JournalRequest {
            entries: vec![JournalEntry::Frame {
                frame: frame.clone(),
                before: state(through - 1),
                after: state(through),
            }],
            received: Received { at: Clock::System.now(), peer, serial: vec![7; SERIAL_BYTES] },
            done: Box::new(move || done.take(length)),
        });
        if !taken {
            bail!("the journal has ended");
        }
    }
    window.await_empty();
    Ok(())
}

/// A journal that runs, and 64 agents that have sent some frames.
pub struct Agents {
    journal: Option<JournalThread>,
    frames: Vec<Frame>,
    sent: u64,
}

impl Agents {
    /// Starts the journal; lines are `size` bytes long.
    pub fn new(folder: &Path, size: u64) -> anyhow::Result<Self> {
        let journal =
            JournalThread::start(config(folder)?, "bench".to_owned(), Clock::System).context("start the journal")?;
        journal.handle().passed("bench", 0);
        let mut values = Values::new(size)?;
        let frames =
            (0..APPENDERS).map(|agent| frame(u8::try_from(agent)?, &mut values)).collect::<anyhow::Result<_>>()?;
        Ok(Self { journal: Some(journal), frames, sent: 0 })
    }

    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        self.frames.first().map_or(0, |frame| frame.bytes().len())
    }

    /// Every agent sends so many frames, and has them all acked.
    pub fn send(&mut self, count: u64) -> anyhow::Result<()> {
        let Some(journal) = &self.journal else { bail!("the journal has ended") };
        let (handle, from) = (&journal.handle(), self.sent);
        self.sent += count;
        std::thread::scope(|threads| {
            let bring = |frame| threads.spawn(move || bring(handle, frame, from, count));
            let running: Vec<_> = self.frames.iter().map(bring).collect();
            running.into_iter().try_for_each(|agent| agent.join().unwrap_or_else(|_| bail!("an agent panicked")))
        })
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.journal.take().into_iter().for_each(JournalThread::stop);
    }
}

/// `bytes` of frames of about `size` bytes, from 64 agents.
pub fn make(folder: &Path, size: u64, bytes: u64) -> anyhow::Result<Measured> {
    let before = written_bytes()?;
    let mut agents = Agents::new(folder, size)?;
    let each = bytes / (u64::try_from(agents.frame_bytes() * APPENDERS)?);
    agents.send(each)?;
    let frame_bytes = each * u64::try_from(agents.frame_bytes() * APPENDERS)?;
    drop(agents);
    Ok(vec![("written", as_f64(written_bytes()? - before)), ("frame_bytes", as_f64(frame_bytes))])
}

/// Opens the journal.
pub fn open(folder: &Path) -> anyhow::Result<Measured> {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let journal = Journal::open(config(folder)?, Clock::System).context("open the journal")?;
    let figures = vec![("seconds", start.elapsed().as_secs_f64()), ("cpu", cpu_seconds() - cpu)];
    drop(journal);
    Ok(figures)
}
