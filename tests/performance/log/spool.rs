//! The agent's spool around the log: its checkpoints, marks, sled index and thread, in a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use agent::fingerprint::{FileId, Fingerprint};
use agent::handover::{Checkpoint, Chunk, Lines, Outlet, SourceIndex};
use agent::spool::{After, OnFull, Spool, SpoolConfig, SpoolOutlet, SpoolPort};
use anyhow::{Context, bail};
use shared::batch::{HostContext, Origin};
use shared::identity::{AgentId, Lane};
use shared::time::{Clock, Timestamp};

use super::backlog::{Measured, memory, written_bytes};
use crate::end_to_end::as_f64;
use crate::layout::Values;
use crate::yardstick::cpu_seconds;

/// The lane that everything goes through.
const LANE: Lane = Lane::Normal;
/// Files that the lines come from in turn, each with its checkpoint.
const FILES: u64 = 16;
/// An ack comes for so many frames at once.
const ACK_FRAMES: u64 = 16;
const AGGREGATOR: AgentId = AgentId([8; 16]);

fn start(folder: &Path) -> anyhow::Result<Spool> {
    let config = SpoolConfig {
        dir: folder.join("log"),
        max_bytes: 8 << 30,
        on_full: [OnFull::Block; 3],
        agent: AgentId([7; 16]),
        machine_id: "bench".to_owned(),
        host: HostContext::default(),
        utc_offset_minutes: || 0,
        sources: vec![Origin { source: "bench".to_owned(), kind: "file".to_owned(), ..Origin::default() }],
    };
    Spool::start(config, Clock::System).context("start the spool")
}

fn chunk(number: u64, line: &[u8]) -> Chunk {
    let mut lines = Lines::default();
    let size = u64::try_from(line.len()).unwrap_or(u64::MAX);
    let offset = number / FILES * size;
    lines.push(line, offset, size, 0);
    let file = FileId { device: 1, inode: number % FILES };
    let fingerprint = Fingerprint { file, prefix_len: 1_024, prefix_hash: file.inode, ended: false };
    let checkpoint = Some(Checkpoint { fingerprint, offset: offset + size });
    let log_name = Arc::from(format!("/var/log/bench-{}.log", file.inode));
    Chunk { source: SourceIndex(0), lane: LANE, read_at: Timestamp::from_seconds(1), log_name, lines, checkpoint }
}

fn hand_over(outlet: &mut SpoolOutlet, chunk: Chunk) -> anyhow::Result<()> {
    outlet.lines(chunk).context("the spool has stopped")
}

/// The next frame behind `after`, which moves past it; its bytes.
async fn next(port: &SpoolPort, after: &mut After) -> anyhow::Result<Option<u64>> {
    let Some(frame) = port.next_frame(LANE, *after).await.context("read the spool")? else { return Ok(None) };
    *after = Some((frame.header().chain.epoch, frame.header().next_sequence() - 1));
    Ok(Some(u64::try_from(frame.bytes().len())?))
}

fn ack(port: &SpoolPort, after: After) {
    if let Some((epoch, through)) = after {
        port.acked(LANE, epoch, through, AGGREGATOR);
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().build().context("start a runtime")?.block_on(work)
}

/// `count` frames that each hold a line of about `size` bytes, with its checkpoint; sent and acked as they come.
pub fn make(folder: &Path, size: u64, count: u64) -> anyhow::Result<Measured> {
    let before = written_bytes()?;
    let spool = start(folder)?;
    let (mut outlet, port) = (spool.outlet(), spool.port());
    let mut values = Values::new(size)?;
    let frame_bytes = block_on(async {
        let (mut after, mut bytes) = (None, 0);
        for number in 0..count {
            hand_over(&mut outlet, chunk(number, values.next()))?;
            port.flush().await;
            while let Some(more) = next(&port, &mut after).await? {
                bytes += more;
            }
            if (number + 1).is_multiple_of(ACK_FRAMES) {
                ack(&port, after);
            }
        }
        Ok(bytes)
    })?;
    spool.stop();
    Ok(vec![("written", as_f64(written_bytes()? - before)), ("frame_bytes", as_f64(frame_bytes))])
}

/// A backlog of `bytes`, as a host fills it whose aggregator is away.
pub fn fill(folder: &Path, bytes: u64) -> anyhow::Result<Measured> {
    // A line is a frame: what is read for the next one shares nothing with it that zstd could find.
    const LINE_BYTES: u64 = 256 << 10;
    let spool = start(folder)?;
    let mut outlet = spool.outlet();
    let mut values = Values::new(LINE_BYTES)?;
    (0..bytes / LINE_BYTES).try_for_each(|number| hand_over(&mut outlet, chunk(number, values.next())))?;
    block_on(async {
        spool.port().flush().await;
        Ok(())
    })?;
    spool.stop();
    Ok(Vec::new())
}

/// Starts after the index was lost, until it answers.
pub fn open(folder: &Path) -> anyhow::Result<Measured> {
    std::fs::remove_dir_all(folder.join("log/index")).context("lose the index")?;
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let spool = start(folder)?;
    block_on(async { spool.port().status().await.context("the spool has ended") })?;
    let figures = vec![("seconds", begun.elapsed().as_secs_f64()), ("cpu", cpu_seconds() - cpu)];
    spool.stop();
    Ok(figures)
}

/// Reads the backlog to its end as an uplink does, then 90 % of it is acked.
pub fn drain(folder: &Path) -> anyhow::Result<Measured> {
    let spool = start(folder)?;
    let port = spool.port();
    let mut figures = block_on(async {
        let summaries = port.summaries().await;
        let Some(chain) = summaries.iter().find(|chain| chain.lane == LANE) else { bail!("the spool has no chain") };
        let opened = memory()?.0;
        let mut after = None;
        while next(&port, &mut after).await?.is_some() {}
        let resident = memory()?.0;

        let (held, before) = (port.status().await.context("the spool has ended")?.bytes, written_bytes()?);
        let frames = (chain.next - chain.oldest) / 10 * 9;
        let acks = (ACK_FRAMES..=frames).step_by(usize::try_from(ACK_FRAMES)?);
        acks.for_each(|through| ack(&port, Some((chain.epoch, chain.oldest + through))));
        let left = port.status().await.context("the spool has ended")?.bytes;
        let (written, freed) = (written_bytes()? - before, held.saturating_sub(left));
        Ok(vec![
            ("resident_opened", opened),
            ("resident", resident),
            ("written", as_f64(written)),
            ("freed_share", as_f64(freed) / as_f64(held)),
        ])
    })?;
    spool.stop();
    figures.push(("high_water", memory()?.1));
    Ok(figures)
}
