//! What the journal keeps for a sink, and a sink that is ahead of it.

use shared::batch::HostContext;
use shared::identity::AgentId;

use super::*;
use crate::ca::signature::Signer;
use crate::journal::offline::testing::Maker;
use crate::journal::{JournalConfig, JournalRequest, JournalThread, Received};

const DEADLINE: Duration = Duration::from_secs(60);
const MAX_BYTES: u64 = 16 << 20;

fn journal(maker: &Maker) -> JournalThread {
    let config = JournalConfig {
        dir: maker.dir.join("fed"),
        max_bytes: MAX_BYTES,
        retain: Duration::from_secs(86_400),
        block_interval: Duration::from_millis(1),
        aggregator: AgentId([9; 16]),
        host: HostContext::default(),
        signer: Signer::of_tests(),
        floor: 0,
    };
    JournalThread::start(config, "config".to_owned(), Clock::System).unwrap()
}

fn sink(maker: &Maker, journal: &JournalHandle, required: bool, stop: &Stop) -> (SinkThread, Arc<SinkCounters>) {
    let setup = SinkSetup {
        name: "lake".to_owned(),
        type_name: "parquet".to_owned(),
        path: maker.dir.join("lake"),
        commit_interval: Duration::from_millis(1),
        routed: true,
        required,
    };
    let counters = Arc::new(SinkCounters::new("lake"));
    let thread = SinkThread::start(setup, journal.clone(), Arc::clone(&counters), stop.clone(), Clock::System).unwrap();
    (thread, counters)
}

fn send(maker: &mut Maker, journal: &JournalHandle, frames: u32) {
    for _ in 0..frames {
        let mut noise = vec![0; 250 << 10];
        shared::identity::fill_random(&mut noise);
        let entries = vec![maker.entry(&noise)];
        let received =
            Received { at: Clock::System.now(), peer: "192.0.2.7:5000".parse().unwrap(), serial: vec![7; 16] };
        assert!(journal.append(JournalRequest { entries, received, done: Box::new(|| ()) }));
    }
}

#[track_caller]
fn until(journal: &JournalHandle, holds: impl Fn(&JournalStatus) -> bool) {
    let mut status = journal.status();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let found = runtime.block_on(async { tokio::time::timeout(DEADLINE, status.wait_for(|s| holds(s))).await.is_ok() });
    assert!(found, "{:?}", journal.status().borrow());
}

#[test]
fn a_required_sink_that_is_down_holds_the_journal_and_a_best_effort_one_does_not() {
    for required in [true, false] {
        let mut maker = Maker::new(if required { "feed-required" } else { "feed-best-effort" });
        // A file where the lake's folder should be: it cannot be opened.
        std::fs::write(maker.dir.join("lake"), "a file").unwrap();
        let (journal, stop) = (journal(&maker), Stop::new());
        let handle = journal.handle();
        let (thread, _) = sink(&maker, &handle, required, &stop);
        if !required {
            handle.passed("nobody", u64::MAX);
        }
        send(&mut maker, &handle, 80);
        if required {
            until(&handle, |status| status.error.is_some());
            assert_eq!(handle.status().borrow().sacrificed_segments, 0);
        } else {
            until(&handle, |status| status.records >= 80 && status.sacrificed_segments > 0);
        }
        stop.raise(Stage::Now);
        thread.join();
        journal.stop();
    }
}

#[test]
fn a_sink_that_is_ahead_of_the_journal_fails_and_says_what_to_do_instead_of_passing_frames_over() {
    let mut maker = Maker::new("feed-ahead");
    let mut lake = AnySink::open("parquet", &maker.dir.join("lake")).unwrap();
    lake.commit(50).unwrap();
    drop(lake);
    let (journal, stop) = (journal(&maker), Stop::new());
    let handle = journal.handle();
    let (thread, counters) = sink(&maker, &handle, true, &stop);
    let deadline = Instant::now() + DEADLINE;
    while counters.books().last_error.is_none() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let error = counters.books().last_error.unwrap();
    assert!(
        error.contains("cursor 50 is ahead of the journal") && error.contains("start the aggregator again"),
        "{error}"
    );
    send(&mut maker, &handle, 2);
    until(&handle, |status| status.records >= 2);
    assert_eq!((counters.books().reached, counters.books().cursor), (0, 0));
    stop.raise(Stage::Now);
    thread.join();
    journal.stop();
}
