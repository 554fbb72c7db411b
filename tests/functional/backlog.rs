//! The aggregator comes back after an hour: what is urgent and what is live does not wait behind the backlog of bulk.

use std::path::Path;
use std::time::Duration;

use aggregator::journal::{JournalReader, Journaled};
use picket_tests::harness::{LogFile, Pair, Place, Random, await_until};
use shared::batch::{BatchView, Body};
use shared::frame::{FrameKind, Opener};
use shared::identity::Lane;
use shared::time::Timestamp;

const DEADLINE: Duration = Duration::from_secs(120);
const BULK_LINES: u64 = 16 << 10;
const NORMAL_LINES: u64 = 512;
const LINE_BYTES: usize = 8 << 10;
/// From the sealing of a frame to its receipt, beside a backlog, by debug builds on a busy machine.
const LATENCY_MAX: Duration = Duration::from_secs(2);
/// Bytes of bulk that are received in that time: what the transport holds, what the turn of a frame allows, what the
/// journal takes in one group.
const PASSED_BYTES_MAX: u64 = 4 << 20;

/// A frame in the journal.
struct Arrived {
    lane: Lane,
    sealed: Timestamp,
    received: Timestamp,
    bytes: u64,
    /// A live line is in it.
    live: bool,
}

/// Data frames in the order of the journal.
fn arrivals(journal: &Path) -> anyhow::Result<Vec<Arrived>> {
    let (mut reader, mut opener, mut found) = (JournalReader::after(journal, 0)?, Opener::default(), Vec::new());
    while let Some(entry) = reader.next(u64::MAX)? {
        let Journaled::Frame(wrap, frame) = entry else { break };
        let header = frame.header();
        if header.kind != FrameKind::Data {
            continue;
        }
        let columns = frame.open(&mut opener)?;
        let view = BatchView::parse(&columns, header.records)?;
        let mut live = false;
        for record in view.iter() {
            live |= matches!(record?.body, Body::Line(line) if line.bytes.starts_with(b"live "));
        }
        let (lane, sealed, received) = (header.chain.lane, header.sealed_at, wrap.received.at);
        found.push(Arrived { lane, sealed, received, bytes: u64::try_from(frame.bytes().len())?, live });
    }
    Ok(found)
}

fn backlog(path: &Path, lines: u64, random: &mut Random) -> anyhow::Result<()> {
    let mut log = LogFile::open(path)?;
    for _ in 0..lines / 64 {
        // Printable, and nothing for zstd to find.
        let bytes = |bits: u64| bits.to_le_bytes().map(|byte| b'!' + byte % 94);
        let line = |_| (0..LINE_BYTES / 8).flat_map(|_| bytes(random.bits())).collect();
        log.write_lines(&(0..64).map(line).collect::<Vec<_>>())?;
    }
    Ok(())
}

#[test]
fn live_lines_do_not_wait_for_the_backlog_of_bulk() -> anyhow::Result<()> {
    let place = Place::new("backlog")?;
    let logs = place.at("logs");
    let source = |lane: &str| {
        format!("    {lane}: {{ type: file, include: [\"{}/{lane}*.log\"], lane: {lane} }}\n", logs.display())
    };
    let sources: String = ["high", "normal", "bulk"].map(source).concat();
    let mut pair = Pair::start_with(place, &format!("version: 1\ndefaults:\n  sources:\n{sources}"))?;
    let mut live = [LogFile::open(&logs.join("high-live.log"))?, LogFile::open(&logs.join("normal-live.log"))?];
    live.iter_mut().try_for_each(|log| log.write(b"the first line\n"))?;
    pair.await_lines(2, DEADLINE)?;
    pair.aggregator.stop()?;

    let mut random = Random::new(7);
    backlog(&logs.join("bulk.log"), BULK_LINES, &mut random)?;
    backlog(&logs.join("normal.log"), NORMAL_LINES, &mut random)?;
    let spooled = |lane: &str, lines: u64| -> xtask::Result<bool> {
        let entry = [("lane", lane), ("entry", "spooled")];
        Ok(pair.agent.metrics()?.count("picket_agent_books_records", &entry) >= lines)
    };
    await_until("the backlog in the spool", DEADLINE, || {
        Ok((spooled("bulk", BULK_LINES)? && spooled("normal", NORMAL_LINES)?).then_some(()))
    })?;

    pair.aggregator.start()?;
    await_until("bulk to be through", DEADLINE, || {
        for (log, lane) in live.iter_mut().zip(["high", "normal"]) {
            let line = format!("live {lane} {}", shared::time::Clock::System.now().0).into_bytes();
            log.write_lines(&[line]).map_err(|error| xtask::Failure::new(format!("{error:#}")))?;
        }
        let entry = [("lane", "bulk"), ("entry", "spooled")];
        Ok((pair.agent.metrics()?.count("picket_agent_books_records", &entry) == 0).then_some(()))
    })?;
    pair.await_quiet(DEADLINE)?;

    let arrivals = arrivals(&pair.aggregator.state().join("journal"))?;
    let is_bulk = |frame: &&Arrived| frame.lane == Lane::Bulk;
    let first = arrivals.iter().find(is_bulk).map(|frame| frame.received).expect("bulk arrived");
    let last = arrivals.iter().rev().find(is_bulk).map(|frame| frame.received).expect("bulk arrived");
    println!("bulk took {:?}", last.since(first));
    for lane in [Lane::High, Lane::Normal] {
        let beside =
            |frame: &&Arrived| frame.live && frame.lane == lane && frame.sealed > first && frame.received < last;
        let frames: Vec<&Arrived> = arrivals.iter().filter(beside).collect();
        assert!(!frames.is_empty(), "no live frame of {lane} came while bulk was under way");
        for frame in frames {
            let passed =
                arrivals.iter().filter(is_bulk).filter(|bulk| (frame.sealed..frame.received).contains(&bulk.received));
            let passed: u64 = passed.map(|bulk| bulk.bytes).sum();
            let took = frame.received.since(frame.sealed);
            println!("{lane}: {took:?} and {passed} bytes of bulk from the seal to the journal");
            assert!(took <= LATENCY_MAX, "a live line of {lane} took {took:?}");
            assert!(passed <= PASSED_BYTES_MAX, "{passed} bytes of bulk went before a live line of {lane}");
        }
    }
    pair.finish(DEADLINE)
}
