//! The source: a full inventory at start and daily, differences between, processes as they start and end, how busy the host
//! is.
//!
//! One table is read at a time, and between two of them the connector is emptied: its socket never waits for an inventory.
//! Processes are events of the connector where it answers, and are polled then only with a full inventory and after an
//! overrun, so that what was not heard is told yet.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::identity::Lane;
use shared::pulse;
use shared::record::{LossReason, Value};
use shared::time::{Clock, Timestamp};

use super::capabilities;
use super::connector::{Connector, ConnectorError, Starts, Told};
use super::known::{Difference, Known};
use super::metrics::{self, Sample};
use super::outbox::Outbox;
use super::place::Place;
use super::record::{self, States};
use super::row::{Fields, Row};
use super::table::{Cadence, Table};
use super::tables::{Reader, Round, facts, processes};
use crate::handover::{Loss, LossUnit, Outlet, SourceIndex};
use crate::limits::{Deferred, METRICS_KEPT};
use crate::source::Source;
use crate::source::health::{Health, Trouble};
use crate::source::integrity::pace;
use crate::source::wake::Wake;

/// Tables of [`Cadence::Seldom`] are read at every so many intervals.
const SELDOM: u32 = 10;
/// Bytes of programs that are hashed with a full inventory, and in an interval between.
const HASHED_FULL: u64 = 512 << 20;
const HASHED: u64 = 64 << 20;
/// The walk for set-id files looks at so many entries in a step, makes a step so often at most, and takes this share of a
/// core, 0.1 %: folders that are not in memory cost several times more than others.
const WALK_ENTRIES: u64 = 1000;
const WALK_EVERY: Duration = Duration::from_secs(2);
const WALK_SHARE: u32 = 1000;
/// A stop is noticed by then.
const PATIENCE: Duration = Duration::from_millis(250);
/// Logins of wtmpdb(8) and lastlog2(8).
const UNREAD: [&str; 2] = ["var/lib/wtmpdb/wtmp.db", "var/lib/lastlog/lastlog2.db"];
/// Losses gather for this long.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What is looked at, and how often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostConfig {
    /// The folder that stands for `/`.
    pub root: PathBuf,
    /// Between two looks.
    pub interval: Duration,
    /// Between two full inventories.
    pub full_inventory: Duration,
    /// What is looked at.
    pub tables: Vec<Table>,
    /// Whether the host's load is told at every interval.
    pub metrics: bool,
    /// Where inventory and load go; starts and ends of processes go to lane high.
    pub lane: Lane,
}

/// What a host source has around it.
#[derive(Clone)]
pub struct Around {
    /// Its place in the table of sources.
    pub index: SourceIndex,
    /// Its clock.
    pub clock: Clock,
    /// Its bell.
    pub wake: Arc<Wake>,
    /// Where it says how it is.
    pub health: Arc<Health>,
}

/// Whether all rows of a table are told, or only what is different.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Full,
    Difference,
}

/// Events of the connector that were lost, until they are said.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Lost {
    events: u64,
    since: Option<Timestamp>,
    said_at: Option<Instant>,
}

/// When what is due.
struct Due {
    turn: Instant,
    full: Instant,
    walk: Instant,
    turns: u32,
}

/// A host source.
pub struct HostSource {
    config: HostConfig,
    around: Around,
    reader: Reader,
    known: BTreeMap<Table, Known>,
    /// Tables that were told whole once.
    begun: Vec<Table>,
    queue: VecDeque<(Table, Mode)>,
    walk_mode: Mode,
    due: Due,
    high: Outbox,
    bulk: Outbox,
    pub(super) connector: Option<Connector>,
    starts: Starts,
    lost: Lost,
    /// Processes are to be polled: some starts were not heard.
    reconcile: bool,
    sample: Option<Sample>,
    said: Vec<Table>,
    /// Bytes of programs that are hashed: with a full inventory, in an interval between.
    hashed: [u64; 2],
}

impl HostSource {
    /// A source that has looked at nothing yet.
    #[must_use]
    pub fn new(config: HostConfig, around: Around) -> Self {
        let now = around.clock.instant();
        let outbox = |lane| Outbox::new(around.index, lane, "host", &around.clock);
        Self {
            reader: Reader::new(Place::new(&config.root)),
            known: BTreeMap::new(),
            begun: Vec::new(),
            queue: VecDeque::new(),
            walk_mode: Mode::Full,
            due: Due { turn: now + config.interval, full: now, walk: now, turns: 0 },
            high: outbox(Lane::High),
            bulk: outbox(config.lane),
            connector: None,
            starts: Starts::default(),
            lost: Lost::default(),
            reconcile: false,
            sample: None,
            said: Vec::new(),
            hashed: [HASHED_FULL, HASHED],
            config,
            around,
        }
    }

    /// Programs have no hash from now on.
    #[cfg(test)]
    pub(super) fn without_hashing(&mut self) {
        self.hashed = [0, 0];
    }

    /// By which it is stopped and says how it is.
    #[cfg(test)]
    pub(super) fn bells(&self) -> (Arc<Wake>, Arc<Health>) {
        (Arc::clone(&self.around.wake), Arc::clone(&self.around.health))
    }

    fn has(&self, table: Table) -> bool {
        self.config.tables.contains(&table)
    }

    /// Asks the kernel to tell of processes.
    pub(super) fn open_connector(&mut self) {
        let opened = (self.has(Table::Processes) && self.reader.place().is_host()).then(Connector::open).transpose();
        match &opened {
            Ok(_) => {}
            Err(error @ ConnectorError::Failed(_)) => tracing::warn!(%error, "no events of processes"),
            Err(error) => tracing::info!(%error, "no events of processes"),
        }
        self.around.health.lacks(capabilities::missing(opened.as_ref().err()));
        self.connector = opened.ok().flatten();
    }

    /// Says which of the host's lists of logins are in a form that is not read.
    fn say_unread(&self) {
        for path in UNREAD.into_iter().filter(|path| self.reader.place().at(path).exists()) {
            tracing::info!(path, "logins are kept in a database of SQLite, which is not read");
            self.around
                .health
                .trouble(Trouble::Unreadable, format!("/{path}: a database of SQLite, which is not read"));
        }
    }

    /// Puts into the queue what is due. What the limits leave no room for is looked at with a later turn.
    fn plan(&mut self, now: Instant, outlet: &dyn Outlet) {
        if !self.queue.is_empty() {
            return;
        }
        let is_due = now >= self.due.full.min(self.due.turn);
        if is_due && outlet.defers(Deferred::Inventory) {
            outlet.deferred(Deferred::Inventory, 1);
            self.due.turns = self.due.turns.wrapping_add(1);
            self.due.turn = now + self.config.interval;
            self.due.full = self.due.full.max(self.due.turn);
        } else if now >= self.due.full {
            self.due.full = now + self.config.full_inventory;
            self.due.turn = now + self.config.interval;
            self.reader.forget_versions();
            self.reader.programs.allow(self.hashed[0]);
            let at_once = self.config.tables.iter().filter(|table| table.cadence() != Cadence::Slow);
            self.queue.extend(at_once.map(|table| (*table, Mode::Full)));
            if self.has(Table::Privileged) && !self.reader.walks() {
                self.begin_walk(Mode::Full);
            }
        } else if now >= self.due.turn {
            self.due.turn = now + self.config.interval;
            self.due.turns = self.due.turns.wrapping_add(1);
            self.reader.programs.allow(self.hashed[1]);
            let (seldom, heard) = (self.due.turns.is_multiple_of(SELDOM), self.connector.is_some() && !self.reconcile);
            let is_due = |table: &&Table| match table.cadence() {
                Cadence::Often => !(heard && **table == Table::Processes),
                Cadence::Seldom => seldom,
                Cadence::Slow => false,
            };
            self.reconcile = false;
            self.queue.extend(self.config.tables.iter().filter(is_due).map(|table| (*table, Mode::Difference)));
        } else {
            return;
        }
        if !self.config.metrics {
            return;
        }
        if outlet.defers(Deferred::HostMetrics) && !self.due.turns.is_multiple_of(METRICS_KEPT) {
            outlet.deferred(Deferred::HostMetrics, 1);
        } else {
            self.tell_metrics();
        }
    }

    fn tell_metrics(&mut self) {
        let now = metrics::sample(self.reader.place(), self.around.clock.now());
        self.sample = Some(now);
    }

    fn begin_walk(&mut self, mode: Mode) {
        self.walk_mode = mode;
        self.reader.begin_walk();
        self.known.entry(Table::Privileged).or_default().begin();
    }

    /// Reads a table and tells it.
    fn table(&mut self, table: Table, mode: Mode, outlet: &mut dyn Outlet) {
        let now = self.around.clock.now();
        let mut rows = Rows::of(self, table, mode, now);
        rows.known.begin();
        let Self { reader, high, bulk, .. } = self;
        let mut tell = |fields| tell(table, fields, [&mut *high, &mut *bulk], outlet);
        let round = reader.read(table, &mut |row| rows.take(row, &mut tell));
        rows.end(matches!(round, Ok(Round::Whole)), &mut tell);
        let Rows { known, began, .. } = rows;
        began.into_iter().for_each(|(pid, ticks)| self.starts.began(pid, ticks));
        self.known.insert(table, known);
        match round {
            Ok(_) => {
                if !self.begun.contains(&table) {
                    self.begun.push(table);
                }
                self.said.retain(|said| *said != table);
            }
            Err(error) if !self.said.contains(&table) => {
                tracing::warn!(%error, "a table of the host is not told");
                self.around.health.trouble(Trouble::Unreadable, error.to_string());
                self.said.push(table);
            }
            Err(_) => {}
        }
    }

    /// Goes on with the walk, if it is time.
    fn walk(&mut self, now: Instant, outlet: &mut dyn Outlet) {
        if !self.reader.walks() || now < self.due.walk {
            return;
        }
        if outlet.defers(Deferred::Inventory) {
            self.due.walk = now + WALK_EVERY;
            return;
        }
        let (at, used) = (self.around.clock.now(), pace::used());
        let mut rows = Rows::of(self, Table::Privileged, self.walk_mode, at);
        let Self { reader, high, bulk, .. } = self;
        let mut tell = |fields| tell(Table::Privileged, fields, [&mut *high, &mut *bulk], outlet);
        let round = reader.step_walk(WALK_ENTRIES, &mut |row| rows.take(row, &mut tell));
        if let Some(round) = round {
            rows.end(round == Round::Whole, &mut tell);
            self.begun.push(Table::Privileged);
            self.begun.dedup();
        }
        self.known.insert(Table::Privileged, rows.known);
        self.due.walk = now + (pace::used().saturating_sub(used) * WALK_SHARE).max(WALK_EVERY);
    }

    /// Takes what the connector has.
    pub(super) fn hear(&mut self, outlet: &mut dyn Outlet) {
        let Some(mut connector) = self.connector.take() else { return };
        let mut told = Vec::new();
        let starts = &mut self.starts;
        let lost = connector.read(&mut |event| starts.event(&event, &mut |it| told.push(it)));
        let monotonic =
            Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic)).unwrap_or_default();
        let before = u64::try_from(monotonic.as_nanos()).unwrap_or(u64::MAX).saturating_sub(super::connector::WAIT_NS);
        starts.expire(before, &mut |it| told.push(it));
        for it in told {
            self.process(it, outlet);
        }
        match lost {
            Ok(lost) => {
                if lost > 0 {
                    self.lost.events += lost;
                    self.lost.since.get_or_insert(self.around.clock.now());
                    self.reconcile = true;
                }
                self.connector = Some(connector);
            }
            Err(error) => {
                tracing::warn!(%error, "no events of processes any more");
                self.reconcile = true;
            }
        }
    }

    fn process(&mut self, told: Told, outlet: &mut dyn Outlet) {
        let now = self.around.clock.now();
        let known = self.known.entry(Table::Processes).or_default();
        let (kind, change, row) = match told {
            Told::Start { pid, parent, exec } => {
                let proc = self.reader.place().at("proc");
                let seen = processes::read(&proc, pid);
                let row = self.reader.process(&seen);
                let mut row = match row {
                    Some(row) => {
                        if let Some(stat) = processes::stat(&seen.stat) {
                            self.starts.began(pid, stat.ticks);
                        }
                        // One that was polled meanwhile has been told.
                        if known.see(row.clone()).is_none() && !exec {
                            return;
                        }
                        row
                    }
                    None => vanished(pid, parent),
                };
                // OCSF: 2 fork, 3 exec.
                row.volatile("launch_type_id", Value::U64(if exec { 3 } else { 2 }));
                (Table::Processes.added(&row), "add", row)
            }
            Told::End { pid, ticks, status, parent } => {
                let mut row = Row::default().key_number(".pid", pid.into());
                if let Some(ticks) = ticks {
                    row = row.key(".uid", self.reader.boot().uid(pid, ticks));
                    known.forget(&row.known_by());
                }
                if parent != 0 {
                    row.volatile(".parent_process.pid", Value::U64(parent.into()));
                }
                row.volatile("exit_code", Value::U64((status >> 8 & 0xff).into()));
                if status & 0x7f != 0 {
                    row.volatile("unmapped.signal", Value::U64((status & 0x7f).into()));
                }
                row.volatile(".terminated_time", Value::Time(now));
                (Table::Processes.removed(), "remove", row)
            }
        };
        let mut fields = record::event(Table::Processes, kind, change, row, now);
        fields.push(("unmapped.seen_by".to_owned(), Value::String("proc_connector".to_owned())));
        self.high.push(fields, outlet);
    }

    /// Says what was lost, at most once a minute.
    fn say_lost(&mut self, all: bool, outlet: &mut dyn Outlet) {
        let (now, instant) = (self.around.clock.now(), self.around.clock.instant());
        let due = all || self.lost.said_at.is_none_or(|said| instant >= said + SAID_EVERY);
        if self.lost.events == 0 || !due {
            return;
        }
        let loss = Loss {
            source: self.around.index,
            lane: Lane::High,
            reason: LossReason::EventOverrun,
            path: Arc::from("proc_connector"),
            count: Some(self.lost.events),
            unit: LossUnit::Events,
            details: Vec::new(),
            from: self.lost.since.unwrap_or(now),
            to: now,
        };
        self.lost.said_at = Some(instant);
        // As a record: a loss would wait for room. What finds none is said with what comes next.
        self.high.push(loss.fields(), outlet);
        if self.high.hand_over(outlet) {
            (self.lost.events, self.lost.since) = (0, None);
        }
    }

    fn report(&self) {
        let (high, bulk) = (self.high.handed_over(), self.bulk.handed_over());
        if let Some(at) = high.2.max(bulk.2) {
            self.around.health.handed_over_in_all(high.0 + bulk.0, high.1 + bulk.1, at);
        }
        self.around.health.turned(self.around.clock.now(), 0, 0, 0);
    }

    /// How long nothing is to be done.
    fn pause(&self, now: Instant) -> Duration {
        if !self.queue.is_empty() {
            return Duration::ZERO;
        }
        let next = self.due.turn.min(self.due.full);
        let next = if self.reader.walks() { next.min(self.due.walk) } else { next };
        next.saturating_duration_since(now)
    }

    /// One round: what is due, at most one table of it.
    pub(super) fn turn(&mut self, outlet: &mut dyn Outlet) {
        let now = self.around.clock.instant();
        let before = self.sample.take();
        self.plan(now, outlet);
        match (before, self.sample.take()) {
            (Some(before), Some(now)) => {
                self.bulk.push(metrics::record(&before, now.clone()), outlet);
                self.sample = Some(now);
            }
            (before, now) => self.sample = now.or(before),
        }
        if let Some((table, mode)) = self.queue.pop_front() {
            self.table(table, mode, outlet);
        }
        self.walk(now, outlet);
        self.hear(outlet);
        self.say_lost(false, outlet);
        if self.queue.is_empty() {
            self.high.hand_over(outlet);
            self.bulk.hand_over(outlet);
        }
        self.report();
    }

    fn stops(&self) -> bool {
        self.around.wake.is_stopped() || self.high.is_stopped() || self.bulk.is_stopped()
    }
}

/// A process that ended before it could be read.
fn vanished(pid: u32, parent: Option<u32>) -> Row {
    let mut row = Row::default().key_number(".pid", pid.into());
    if let Some(parent) = parent {
        row.volatile(".parent_process.pid", Value::U64(parent.into()));
    }
    row.flaw("vanished");
    row
}

/// Puts a record where it belongs; one at a time, so that no inventory is in memory whole.
fn tell(table: Table, mut fields: Fields, [high, bulk]: [&mut Outbox; 2], outlet: &mut dyn Outlet) {
    let is_event =
        table == Table::Processes && fields.iter().any(|field| field.0 == "class_uid" && field.1 == Value::U64(1007));
    if is_event {
        fields.push(("unmapped.seen_by".to_owned(), Value::String("polling".to_owned())));
        high.push(fields, outlet);
    } else {
        bulk.push(fields, outlet);
    }
}

/// Rows of a table on their way to records.
struct Rows {
    table: Table,
    at: Timestamp,
    known: Known,
    /// None where only differences are told.
    states: Option<States>,
    /// Differences are told; not the first time, when all is new.
    differs: bool,
    /// Processes and the ticks at which they began.
    began: Vec<(u32, u64)>,
}

impl Rows {
    fn of(source: &mut HostSource, table: Table, mode: Mode, at: Timestamp) -> Self {
        let first = !source.begun.contains(&table);
        // What happened is told as state at the start only.
        let full = if table.is_history() { first } else { mode == Mode::Full || first };
        let states = full.then(|| States::new(table, at, facts::system(source.reader.place())));
        let known = source.known.remove(&table).unwrap_or_default();
        Self { table, at, known, states, differs: !first, began: Vec::new() }
    }

    fn take(&mut self, row: Row, tell: &mut dyn FnMut(Fields)) {
        let Self { table, at, known, states, differs, began } = self;
        if *table == Table::Processes {
            began.extend(row.process());
        }
        if table.is_history() {
            match states {
                Some(states) => states.row(row, tell),
                None => tell(record::difference(*table, Difference::Added(row), *at)),
            }
            return;
        }
        pulse::beat();
        if let Some(states) = states {
            states.row(row.clone(), tell);
        }
        if let Some(difference) = known.see(row).filter(|_| *differs) {
            tell(record::difference(*table, difference, *at));
        }
    }

    fn end(&mut self, complete: bool, tell: &mut dyn FnMut(Fields)) {
        let Self { table, at, known, states, differs, .. } = self;
        if let Some(states) = states {
            states.finish(tell);
        }
        known.end(complete, &mut |difference| {
            if *differs {
                tell(record::difference(*table, difference, *at));
            }
        });
    }
}

impl Source for HostSource {
    fn run(&mut self, outlet: &mut dyn Outlet) {
        self.open_connector();
        let seen_by = if self.connector.is_some() { "proc_connector" } else { "polling" };
        tracing::info!(tables = self.config.tables.len(), processes = seen_by, "looking at the host");
        if self.has(Table::Logins) {
            self.say_unread();
        }
        while !self.stops() {
            self.turn(outlet);
            let pause = self.pause(self.around.clock.instant());
            if pause.is_zero() {
                continue;
            }
            match &self.connector {
                Some(connector) => {
                    if pulse::waiting(|| connector.wait(pause.min(PATIENCE))).is_err() {
                        (self.connector, self.reconcile) = (None, true);
                    }
                }
                None => self.around.wake.wait(pause, pause),
            }
        }
        self.hear(outlet);
        self.say_lost(true, outlet);
        self.high.hand_over(outlet);
        self.bulk.hand_over(outlet);
        self.report();
    }
}
