//! What the journal keeps for a sink, and a sink that is ahead of it.

use shared::batch::HostContext;
use shared::identity::AgentId;

use super::*;
use crate::ca::signature::Signer;
use crate::directory::Directory;
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

fn lake(maker: &Maker) -> Target {
    Target::Parquet { path: maker.dir.join("lake") }
}

fn sink(maker: &Maker, journal: &JournalHandle, required: bool, stop: &Stop) -> (SinkThread, Arc<SinkCounters>) {
    let setup = SinkSetup {
        name: "lake".to_owned(),
        target: lake(maker),
        commit_interval: Duration::from_millis(1),
        required,
        directory: Directory::default(),
    };
    start(setup, journal, &configurations(maker, ROUTED), stop)
}

const ROUTED: &str = "version: 1\nsinks: { lake: { type: parquet } }\nroutes: [{ to: lake }]\n";

/// The history of a state folder, in which `text` stands as the first configuration.
fn configurations(maker: &Maker, text: &str) -> Arc<Configurations> {
    let folder = &maker.dir;
    let read = |bytes: &[u8]| {
        let loaded = crate::config::parse(std::path::Path::new("a.yaml"), bytes);
        loaded.map(|loaded| loaded.config.downstream).map_err(|problems| problems.to_string())
    };
    let writer = shared::durable::Writer::for_owner_of(folder).unwrap();
    let history = Configurations::open(folder, writer, Box::new(read)).unwrap();
    if history.newest().is_none() {
        history.change(0, "first", text.as_bytes(), Arc::new(read(text.as_bytes()).unwrap())).unwrap();
    }
    Arc::new(history)
}

fn start(
    setup: SinkSetup,
    journal: &JournalHandle,
    configurations: &Arc<Configurations>,
    stop: &Stop,
) -> (SinkThread, Arc<SinkCounters>) {
    let counters = Arc::new(SinkCounters::new(&setup.name));
    let (told, known) = (Arc::clone(&counters), Arc::clone(configurations));
    let thread = SinkThread::start(setup, journal.clone(), known, told, stop.clone(), Clock::System).unwrap();
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
    let mut lake = AnySink::open(&lake(&maker)).unwrap();
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

/// Every event of a file of JSON lines, without the time at which it was made.
fn events(path: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let event = |line: &str| {
        let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["metadata"].as_object_mut().unwrap().remove("processed_time");
        event
    };
    text.lines().map(event).collect()
}

const REDUCED: &str = "version: 1\nsinks: { out: { type: ndjson, path: x } }\nroutes: [{ to: out }]\nreduce:\n\
    - drop: { name: noise, where: { message|contains: noise } }\n\
    - redact: { name: cards, detector: payment_card }\n\
    - merge: { name: repeats, by: [message] }\n";

/// A journal of lines that repeat in blocks of any length; half-way the configuration changes to one that drops less.
fn varied(maker: &mut Maker, seed: u64, configurations: &Arc<Configurations>) -> (JournalThread, u64) {
    let journal = journal(maker);
    let handle = journal.handle();
    let (mut state, mut lines) = (seed, 0);
    let (tell, durable) = std::sync::mpsc::sync_channel(1_024);
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for number in 0..240 {
        let text = match random(5) {
            0 => "noise".to_owned(),
            1 => "pan 4111 1111 1111 1111".to_owned(),
            kind => format!("line of kind {kind}"),
        };
        lines += 1;
        let entries = vec![maker.entry(text.as_bytes())];
        let received = Received { at: maker.now(), peer: "192.0.2.7:5000".parse().unwrap(), serial: vec![7; 16] };
        let tell = tell.clone();
        assert!(handle.append(JournalRequest { entries, received, done: Box::new(move || tell.send(()).unwrap()) }));
        if number % 3 == 0 || random(4) == 0 {
            durable.recv_timeout(DEADLINE).unwrap();
        }
        if number == 120 {
            let text = REDUCED.replace("contains: noise", "contains: 'kind 2'");
            let (known, (tell, told)) = (Arc::clone(configurations), std::sync::mpsc::sync_channel(1));
            assert!(handle.reconfigure(
                "second".to_owned(),
                Box::new(move |after| {
                    let read = crate::config::parse(std::path::Path::new("a.yaml"), text.as_bytes()).unwrap();
                    known.change(after, "second", text.as_bytes(), Arc::new(read.config.downstream)).unwrap();
                    tell.send(after).unwrap();
                })
            ));
            assert!(told.recv().unwrap() > 0);
        }
    }
    drop(tell);
    while durable.recv_timeout(DEADLINE).is_ok() {}
    (journal, lines)
}

#[test]
fn what_a_sink_gets_is_the_same_however_often_it_dies_and_its_books_balance() {
    for seed in [1, 2, 3] {
        let mut maker = Maker::new(&format!("outflow-{seed}"));
        let known = configurations(&maker, REDUCED);
        let (journal, lines) = varied(&mut maker, seed, &known);
        let handle = journal.handle();
        journal.stop();
        let setup = |name: &str, commit_interval| SinkSetup {
            name: "out".to_owned(),
            target: Target::Ndjson(crate::sink::ndjson::Settings {
                path: Some(maker.dir.join(name)),
                cursor: maker.dir.join("cursors").join(name),
            }),
            commit_interval,
            required: true,
            directory: Directory::default(),
        };
        let stop = Stop::new();
        stop.raise(Stage::Draining);
        let (thread, counters) = start(setup("whole", Duration::from_secs(60)), &handle, &known, &stop);
        thread.join();
        let whole = events(&maker.dir.join("whole"));
        let books = counters.books();
        assert_eq!(books.made, lines, "seed {seed}");
        assert_eq!(books.made, books.dropped + books.delivered + books.not_for_this_sink, "seed {seed}: {books:?}");
        assert_eq!(whole.len() as u64, books.written, "seed {seed}");
        let weight = |event: &serde_json::Value| event["count"].as_u64().unwrap_or(1);
        assert_eq!(whole.iter().map(weight).sum::<u64>(), books.delivered, "seed {seed}");
        let text = std::fs::read_to_string(maker.dir.join("whole")).unwrap();
        assert!(!text.contains("4111 1111") && text.contains("[redacted:payment_card]"), "seed {seed}");
        assert!(
            text.contains("\"message\":\"noise\"") && text.contains("line of kind 2"),
            "seed {seed}: each half its own rules"
        );

        // Dies after each of some commits or in the middle of a block, and reads its configurations anew each time.
        let mut fed = 0;
        while fed < lines {
            let stop = Stop::new();
            let known = configurations(&maker, REDUCED);
            let (thread, counters) = start(setup("killed", Duration::from_millis(1)), &handle, &known, &stop);
            fed += 1 + seed * 7;
            let deadline = Instant::now() + DEADLINE;
            while counters.books().reached < fed.min(lines) {
                assert!(Instant::now() < deadline, "seed {seed}: {:?}", counters.books());
                std::thread::yield_now();
            }
            stop.raise(Stage::Now);
            thread.join();
        }
        let stop = Stop::new();
        stop.raise(Stage::Draining);
        let (thread, _) =
            start(setup("killed", Duration::from_millis(1)), &handle, &configurations(&maker, REDUCED), &stop);
        thread.join();
        assert_eq!(events(&maker.dir.join("killed")), whole, "seed {seed}");
    }
}
