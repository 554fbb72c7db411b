//! Promise: to open and normalize a frame of mixed lines takes at most one heap allocation an event.
//!
//! Counted by `allocation-counter`, an allocator that counts on its own thread; events borrow from the frame's buffer, and
//! the interpreter keeps its buffers from frame to frame. The kinds of lines that cost most are printed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use aggregator::event::Event;
use aggregator::journal::{Received, Wrap};
use aggregator::normalize::{self, Origin as Read};
use aggregator::pipeline::interpret::Interpreter;
use allocation_counter::measure;
use picket_tests::harness::{Corpus, corpus, lines_of};
use shared::batch::{Batch, HostContext, Line, Origin};
use shared::frame::{Frame, Place, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, EventId, FrameHash, Lane};
use shared::time::Timestamp;

/// 2026-03-16T09:30:00Z.
const NOW: Timestamp = Timestamp::from_seconds(1_773_653_400);
const CHAIN: ChainId = ChainId { agent: AgentId([1; 16]), lane: Lane::Normal, epoch: Epoch(1) };
/// Lines of one frame, of the size that agents seal.
const FRAME_BYTES: usize = 256 << 10;
const FRAMES: u64 = 40;
/// Heap allocations an event, amortized.
const ALLOCATIONS_MAX: f64 = 1.0;

/// Lines as an agent sends them.
fn frame(sealer: &mut Sealer, lines: &[Vec<u8>], sequence: u64) -> Frame {
    let mut batch = Batch::default();
    let origin = Origin {
        source: "logs".to_owned(),
        kind: "file".to_owned(),
        log_name: "/var/log/a.log".to_owned(),
        ..Origin::default()
    };
    let origin = batch.origin(&Arc::new(origin));
    for bytes in lines {
        let full_size = bytes.len() as u64;
        batch.push_line(origin, NOW, Line { bytes, offset: 0, full_size, flags: 0 });
    }
    let place = Place { chain: CHAIN, sequence, first_record: 1, prev: FrameHash::ZERO, sealed_at: NOW };
    let sealed = batch.with_columns(&HostContext::default(), |records, columns| sealer.data(&place, records, columns));
    sealed.expect("it is as large as an agent's")
}

/// What a line costs by itself, by the first words of its kind.
fn dear_lines(lines: &[Vec<u8>]) -> Vec<(u64, usize, String)> {
    let origin = Read::default();
    let fields = origin.fields();
    let mut kinds: BTreeMap<String, (u64, usize, String)> = BTreeMap::new();
    let mut event = Event::new(EventId { chain: CHAIN, record: 1, part: 0 }, NOW, NOW);
    event.fields.reserve(100);
    event.unmapped.reserve(100);
    event.shared = &fields;
    for raw in lines {
        let input = normalize::Line { raw, read_at: NOW, received_at: NOW, full_size: None };
        let cost = measure(|| _ = normalize::line(&input, &origin, NOW, &mut event)).count_total;
        let text = String::from_utf8_lossy(raw);
        let program = event.text(aggregator::schema::Attribute::MetadataLogProvider).unwrap_or_default();
        let kind = kinds.entry(format!("{} {program}", event.class.name())).or_default();
        *kind = (kind.0 + cost, kind.1 + 1, text.into_owned());
    }
    let mut kinds: Vec<_> =
        kinds.into_iter().map(|(kind, (cost, lines, sample))| (cost, lines, format!("{kind}: {sample}"))).collect();
    kinds.sort_by_key(|(cost, ..)| u64::MAX - *cost);
    kinds
}

#[test]
fn frames_of_mixed_lines_cost_at_most_one_allocation_an_event() {
    let mut corpus = Corpus::new(1);
    let mut sealer = Sealer::new().expect("zstd has memory");
    let mut lines = Vec::new();
    // The first frame of a chain is its genesis.
    let frames: Vec<Frame> = (2..2 + FRAMES)
        .map(|sequence| {
            let mut bytes = Vec::new();
            corpus.fill(&mut bytes, FRAME_BYTES);
            lines = lines_of(&bytes);
            frame(&mut sealer, &lines, sequence)
        })
        .collect();
    let wrap = Wrap { position: 1, records_before: 0, received: Received::own(NOW), is_cut: false };
    let mut interpreter = Interpreter::default();
    let mut events = 0_u64;
    let counted = measure(|| {
        for frame in &frames {
            let Ok(passed) = interpreter.frame(&wrap, frame, NOW, &mut |event| {
                std::hint::black_box(event);
                Ok::<_, Infallible>(())
            });
            events += passed.normalized;
        }
    });
    let each = counted.count_total as f64 / events as f64;
    println!(
        "open and normalize: {each:.3} allocations an event, {} bytes each, of {events} events",
        counted.bytes_total / events
    );
    told(&dear_lines(&lines));
    assert!(events > 50_000, "{events}");
    assert!(each <= ALLOCATIONS_MAX, "{each:.3} allocations an event");
}

/// Logs of real programs: what a line costs without the frame around it.
#[test]
fn real_lines_cost_at_most_one_allocation_each() {
    let mut lines = Vec::new();
    for system in ["Linux", "OpenSSH", "Apache", "Mac", "Thunderbird", "OpenStack", "Hadoop", "Zookeeper"] {
        let Some(file) = corpus(&format!("logs/loghub/{system}/{system}_2k.log")) else { return };
        lines.extend(lines_of(&std::fs::read(file).expect("a set can be read")));
    }
    let dear = dear_lines(&lines);
    told(&dear);
    let each = dear.iter().map(|(cost, ..)| *cost).sum::<u64>() as f64 / lines.len() as f64;
    println!("normalize: {each:.3} allocations a line, of {} lines", lines.len());
    assert!(each <= ALLOCATIONS_MAX, "{each:.3} allocations a line");
}

/// What costs most.
fn told(dear: &[(u64, usize, String)]) {
    for (cost, lines, kind) in dear.iter().filter(|(cost, ..)| *cost > 0).take(12) {
        println!(
            "  {:.2} a line of {lines}: {}",
            *cost as f64 / *lines as f64,
            kind.chars().take(160).collect::<String>()
        );
    }
}
