//! What looking costs, in CPU time of the thread; printed. Figures of a debug build say little:
//! `cargo test --release -p picket-agent --lib source::host::tests::cost -- --nocapture`.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use shared::time::{Clock, ManualClock};

use super::super::Table;
use super::{Kept, source};

fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// A process that is there until it is dropped.
struct Asleep(std::process::Child);

impl Asleep {
    fn new() -> Self {
        Self(std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap())
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// KiB of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

fn processes() -> usize {
    super::super::tables::processes::pids("/proc".as_ref()).unwrap_or_default().len()
}

#[test]
fn looking_costs_what_the_issue_allows() {
    // 300 processes and 1,000 sockets beside what is there.
    let _asleep: Vec<Asleep> = (0..300).map(|_| Asleep::new()).collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connected: Vec<_> = (0..500)
        .map(|_| {
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (client, listener.accept().unwrap())
        })
        .collect();
    let memory = resident();
    let clock = ManualClock::new(Clock::System.now());
    let tables: Vec<Table> = Table::ALL.into_iter().filter(|table| *table != Table::Privileged).collect();
    let mut source = source("/".into(), &tables, &Clock::Manual(clock.clone()));
    source.without_hashing();
    let mut kept = Kept::default();
    let round = |source: &mut super::HostSource, kept: &mut Kept| {
        let before = cpu();
        for _ in 0..tables.len() + 1 {
            source.turn(kept);
        }
        cpu() - before
    };
    let full = round(&mut source, &mut kept);
    let records = kept.0.len();
    let mut rounds = Duration::ZERO;
    // Ten looks: each table at least once.
    for _ in 0..10 {
        clock.advance(Duration::from_secs(60));
        rounds += round(&mut source, &mut kept);
    }
    let percent = rounds.as_secs_f64() / 600.0 * 100.0;
    let memory = resident().saturating_sub(memory);
    println!(
        "{} processes, {} sockets, {records} records: a full inventory {full:?} CPU without hashing; at 60 s {:?} a look, {percent:.3} % of a core; \
         {memory} KiB more resident, the kept records among them",
        processes(),
        2 * connected.len(),
        rounds / 10,
    );
    let slow = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(full < Duration::from_secs(slow), "{full:?}");
}
