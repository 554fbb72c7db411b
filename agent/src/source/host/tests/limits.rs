//! What the limits leave no room for is looked at later, and counted; the host's load is told seldom.

use std::time::Duration;

use shared::fleet::AgentConfig;
use shared::time::{Clock, ManualClock, Timestamp};

use super::super::Table;
use super::{Fields, Kept, source, value};
use crate::handover::{Chunk, Loss, Outlet, Records, Stopped, Untaken};
use crate::limits::{Governor, Measured, Step};
use crate::source::scratch::Folder;

/// Keeps what it is given, within limits.
struct Limited {
    kept: Kept,
    governor: Governor,
}

impl Outlet for Limited {
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        self.kept.lines(chunk)
    }
    fn records(&mut self, records: Records, patience: Duration) -> Result<(), Untaken> {
        self.kept.records(records, patience)
    }
    fn loss(&mut self, loss: Loss) -> Result<(), Stopped> {
        self.kept.loss(loss)
    }
    fn governor(&self) -> Option<&Governor> {
        Some(&self.governor)
    }
}

#[test]
fn inventory_waits_for_room_and_is_made_then() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("etc")).unwrap();
    std::fs::write(folder.path("etc/group"), "users:x:100:\n").unwrap();
    let manual = ManualClock::new(Timestamp::from_seconds(1_773_653_400));
    let clock = Clock::Manual(manual.clone());
    let mut outlet = Limited { kept: Kept::default(), governor: Governor::new(clock.clone()) };
    let limit = AgentConfig::default().limits.memory_bytes;
    outlet.governor.tick(Measured { resident_bytes: limit, ..Measured::default() });
    assert_eq!(outlet.governor.step(), Step::AllSlowed);

    let mut source = source(folder.path(""), &[Table::Groups], &clock);
    let mut turns = |outlet: &mut Limited, count: u32| {
        for _ in 0..count {
            source.turn(outlet);
            source.turn(outlet);
            manual.advance(Duration::from_secs(60));
        }
    };
    turns(&mut outlet, 8);
    let is_load = |fields: &Fields| value(fields, "unmapped.network_sent_bytes_per_second").is_some();
    let load = outlet.kept.0.iter().filter(|(_, fields)| is_load(fields)).count();
    assert_eq!((outlet.kept.0.len(), load), (1, 1), "nothing but the load: {:?}", outlet.kept.0);
    let deferred = outlet.governor.report().deferred;
    assert_eq!((deferred["inventories"], deferred["host_metrics"]), (8, 6), "{deferred:?}");

    // Down the ladder, a step a look once the first hold is over.
    for _ in 0..10 {
        manual.advance(Duration::from_secs(60));
        outlet.governor.tick(Measured::default());
    }
    assert_eq!(outlet.governor.step(), Step::None);
    turns(&mut outlet, 1);
    assert!(outlet.kept.0.len() > load, "the inventory is made");
    assert_eq!(outlet.governor.report().deferred, deferred);
}
