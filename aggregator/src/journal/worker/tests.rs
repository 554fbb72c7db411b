//! What becomes of a full journal, step by step.

use std::sync::atomic::{AtomicU64, Ordering};

use shared::batch::HostContext;
use shared::identity::AgentId;

use super::*;
use crate::ca::signature::Signer;
use crate::journal::fold::own_records;
use crate::journal::offline::testing::Maker;
use crate::journal::{JournalReader, Journaled};

const DEADLINE: Duration = Duration::from_secs(60);
/// Four segments.
const MAX_BYTES: u64 = 16 << 20;

struct Bench {
    maker: Maker,
    thread: JournalThread,
    handle: JournalHandle,
    acked: Arc<AtomicU64>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let maker = Maker::new(name);
        let config = JournalConfig {
            dir: maker.dir.join("full"),
            max_bytes: MAX_BYTES,
            retain: Duration::from_secs(86_400),
            block_interval: Duration::from_millis(1),
            aggregator: AgentId([9; 16]),
            host: HostContext::default(),
            signer: Signer::of_tests(),
            floor: 0,
        };
        let thread = JournalThread::start(config, "config".to_owned(), Clock::System).unwrap();
        let handle = thread.handle();
        Self { maker, thread, handle, acked: Arc::default() }
    }

    /// Hands frames of 250 KiB over, one after the other.
    fn send(&mut self, frames: u64) {
        for _ in 0..frames {
            let mut noise = vec![0; 250 << 10];
            shared::identity::fill_random(&mut noise);
            let entries = vec![self.maker.entry(&noise)];
            let received =
                Received { at: Clock::System.now(), peer: "192.0.2.7:5000".parse().unwrap(), serial: vec![7; 16] };
            let acked = Arc::clone(&self.acked);
            let done = Box::new(move || {
                acked.fetch_add(1, Ordering::SeqCst);
            });
            assert!(self.handle.append(JournalRequest { entries, received, done }));
        }
    }

    /// Waits for a status.
    #[track_caller]
    fn until(&self, holds: impl Fn(&JournalStatus) -> bool) -> JournalStatus {
        let mut status = self.handle.status();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let found = runtime.block_on(async { tokio::time::timeout(DEADLINE, status.wait_for(|s| holds(s))).await });
        match found {
            Ok(found) => found.unwrap().clone(),
            Err(_) => panic!("{:?}", self.handle.status().borrow()),
        }
    }

    /// Waits until something holds, looking again whenever the status changes, and now and then.
    #[track_caller]
    fn await_that(&self, holds: impl Fn(&Self) -> bool) {
        let (mut status, deadline) = (self.handle.status(), Instant::now() + DEADLINE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        while !holds(self) {
            assert!(Instant::now() < deadline, "{:?}", self.handle.status().borrow());
            let look_again = Duration::from_millis(50);
            let _ = runtime.block_on(async { tokio::time::timeout(look_again, status.changed()).await });
        }
    }

    /// Hands a record of the aggregator's own over.
    fn say(&self, name: &str) -> String {
        let text = |key: &str, value: &str| (key.to_owned(), Value::String(value.to_owned()));
        self.handle.say(vec![text("picket.record", "notice"), text("notice", name)]);
        name.to_owned()
    }

    fn acked(&self) -> u64 {
        self.acked.load(Ordering::SeqCst)
    }

    /// Names of the notices that are committed.
    fn notices(&self) -> Vec<String> {
        let mut reader = JournalReader::after(self.handle.dir(), 0).unwrap();
        let limit = self.handle.status().borrow().offset;
        let (mut found, mut opener) = (Vec::new(), shared::frame::Opener::default());
        while let Some(journaled) = reader.next(limit).unwrap() {
            let Journaled::Frame(wrap, frame) = journaled else { continue };
            own_records(&wrap, &frame, &mut opener, &mut |fields| {
                let named = fields.iter().filter(|(key, _)| *key == "notice");
                found.extend(named.map(|(_, value)| match value {
                    Value::String(name) => name.clone(),
                    other => panic!("{other:?}"),
                }));
            });
        }
        found
    }
}

#[test]
fn full_journal_gives_up_what_its_sinks_have_then_takes_nothing_and_goes_on_by_itself() {
    let mut bench = Bench::new("worker-full");
    bench.handle.passed("lake", 0);
    bench.send(80);
    // No sink has anything: what does not fit is not acked, and the aggregator itself can still say so.
    bench.until(|status| status.error.is_some());
    let first = bench.say("first");
    bench.await_that(|bench| bench.notices().contains(&first));
    let second = bench.say("second");
    bench.await_that(|bench| bench.notices().contains(&second));
    // Whoever waited for an earlier commit has been told by now.
    let stuck = bench.acked();
    assert!((30..70).contains(&stuck), "{stuck}");
    let third = bench.say("third");
    bench.await_that(|bench| bench.notices().contains(&third));
    let status = bench.until(|status| status.error.is_some());
    assert!(status.bytes <= MAX_BYTES && status.sacrificed_segments == 0 && status.notes.is_empty(), "{status:?}");
    assert!(bench.notices().contains(&"journal_full".to_owned()), "{:?}", bench.notices());
    assert_eq!(bench.acked(), stuck, "a frame of an agent went into the reserve");
    // The sink has it all: the oldest segments go, younger than `retain`, counted and said.
    bench.handle.passed("lake", u64::MAX);
    let status = bench.until(|status| status.error.is_none() && status.sacrificed_segments >= 1);
    assert!(status.notes.iter().any(|note| note.contains("younger than journal.retain")), "{status:?}");
    bench.send(1);
    bench.await_that(|bench| bench.acked() == 81);
    bench.say("fourth");
    bench.await_that(|bench| bench.notices().contains(&"journal_sacrificed".to_owned()));
    assert!(bench.handle.status().borrow().bytes <= MAX_BYTES);
    bench.thread.stop();
}

#[test]
fn one_required_sink_that_is_behind_holds_the_journal_whoever_is_ahead() {
    let mut bench = Bench::new("worker-two");
    bench.handle.passed("ahead", u64::MAX);
    bench.handle.passed("behind", 0);
    bench.send(80);
    let status = bench.until(|status| status.error.is_some());
    assert_eq!(status.sacrificed_segments, 0);
    bench.handle.passed("behind", u64::MAX);
    bench.await_that(|bench| bench.acked() == 80);
    bench.thread.stop();
}
