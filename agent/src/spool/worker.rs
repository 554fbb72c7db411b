//! The spool's thread: takes what came in, seals what is due, commits, answers the uplink.
//!
//! One turn is one group commit per lane that has something. There is no timer for commits: what arrives while
//! a sync runs shares the next one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::batch::{Batch, Origin};
use shared::fault;
use shared::frame::Sealer;
use shared::identity::{AgentId, Epoch, Lane};
use shared::log::Quota;
use shared::protocol::{ChainSummary, Delivery};
use shared::pulse;
use shared::time::Clock;
use tokio::sync::watch;

use super::checkpoints::Table;
use super::fill::{Filling, Parked, RELEASE_AFTER};
use super::inbox::{Inbox, Item, Taken};
use super::lane::{EPOCHS_MAX, SpoolLane};
use super::port::{LaneStatus, Request, SpoolStatus};
use super::{OnFull, SpoolConfig, level_percent};

/// Marks that only carry acks ride along with a commit at most this often.
const MARK_INTERVAL: Duration = Duration::from_secs(5);
/// A lane that waits for room looks again this often, besides at every ack.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// This part of `max_bytes` may go to frames that the aggregator refused and what is damaged.
const REFUSED_SHARE: u64 = 16;
/// The books go out this often.
const HEALTH_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Worker {
    pub(super) config: SpoolConfig,
    pub(super) lanes: Vec<Filling>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) table: Arc<Table>,
    pub(super) sealer: Sealer,
    pub(super) say_committed: watch::Sender<u64>,
    pub(super) clock: Clock,
    pub(super) generation: u64,
    pub(super) origins: BTreeMap<(u16, Arc<str>), Arc<Origin>>,
    pub(super) retry: Option<Instant>,
    pub(super) health_at: Instant,
    pub(super) error: Option<String>,
    /// Something came in since the books went out.
    news: bool,
    /// Frames of whose commit the uplink was told.
    told: u64,
    /// Bytes in quarantine, of all lanes.
    quarantined: u64,
    /// What the logs may take together.
    quota: Quota,
}

impl Worker {
    pub(super) fn new(
        config: SpoolConfig,
        lanes: Vec<SpoolLane>,
        (inbox, table): (Arc<Inbox>, Arc<Table>),
        sealer: Sealer,
        say_committed: watch::Sender<u64>,
        clock: Clock,
    ) -> Self {
        let now = clock.instant();
        let lanes = lanes.into_iter().zip(config.on_full).map(|(lane, on_full)| {
            let books = &lane.state.books;
            Filling {
                observed_before: books.sealed + books.excluded + books.refused.values().sum::<u64>(),
                lane,
                batch: Batch::default(),
                rows: BTreeMap::new(),
                opened: None,
                due: None,
                last_record: None,
                parked: None,
                waiting: VecDeque::new(),
                said: 0,
                telling: 0,
                on_full,
                ack_due: false,
                last_mark: now,
                released: true,
            }
        });
        let generation = table.generation();
        let shelves = Lane::ALL.into_iter().map(|lane| super::lane_dir(&config, lane)).chain([config.dir.clone()]);
        let quarantined = shelves.map(|dir| folder_bytes(&dir.join("quarantine"))).sum();
        let (quota, mut lanes) = (Quota::new(config.max_bytes), lanes.collect::<Vec<Filling>>());
        lanes.iter_mut().for_each(|filling| filling.lane.log.stand_under(quota.clone()));
        Self {
            news: true,
            told: 0,
            quarantined,
            quota,
            lanes,
            config,
            inbox,
            table,
            sealer,
            say_committed,
            clock,
            generation,
            origins: BTreeMap::new(),
            retry: None,
            health_at: now + HEALTH_INTERVAL,
            error: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let taken = self.inbox.take(Some(self.deadline()));
            pulse::beat();
            fault::point("spool.turn");
            let stopping = taken.stopping;
            self.turn(taken);
            if stopping {
                break;
            }
        }
        self.finish();
    }

    /// Everything that came in, what is due, one commit per lane, then the answers.
    fn turn(&mut self, taken: Taken) {
        let now = self.clock.instant();
        self.quota.set_max(self.config.max_bytes.saturating_sub(self.bytes_beside()));
        let taken_any = !taken.items.is_empty();
        for item in taken.items {
            match item {
                Item::Lines(chunk) => self.take_lines(chunk, now),
                Item::Records(records) => self.take_records(records, now),
                Item::Loss(loss) => self.take_loss(&loss, now),
            }
        }
        for (filling, count) in self.lanes.iter_mut().zip(taken.refused).filter(|(_, count)| *count > 0) {
            filling.lane.refuse(count);
        }
        let flush = taken.stopping
            || taken.requests.iter().any(|request| matches!(request, Request::Flush(_) | Request::Reconfigure(..)));
        let settle = taken.requests.iter().any(|request| matches!(request, Request::Settle { .. }));
        self.news |= taken_any;
        if now >= self.health_at || (flush && self.news) {
            self.health_at = now + HEALTH_INTERVAL;
            self.news = false;
            // Summer time begins while the agent runs.
            self.config.host.utc_offset_minutes = (self.config.utc_offset_minutes)();
            self.take_refused(now);
            self.take_health(now);
        }
        for lane in 0..self.lanes.len() {
            self.take_waiting(lane, now);
            self.seal_due(lane, flush || settle, now);
        }
        self.commit(now);
        for request in taken.requests {
            self.answer(request);
        }
        self.retry_parked(now);
        self.tell();
    }

    fn finish(&mut self) {
        for filling in &mut self.lanes {
            let (_, queued) = self.inbox.counts(filling.lane.lane);
            filling.lane.state.clean = filling.held() + queued == 0;
            if let Err(error) = filling.lane.say() {
                tracing::error!(lane = %filling.lane.lane, %error, "the last commit failed; the sources will read again");
            }
        }
        self.inbox.close();
        self.table.close();
    }

    fn deadline(&self) -> Instant {
        // Behind a frame that waits for room nothing is due but the next try.
        let free = || self.lanes.iter().filter(|filling| filling.parked.is_none());
        if free().any(|filling| !filling.waiting.is_empty()) {
            return self.clock.instant();
        }
        let dues = free().filter_map(|filling| filling.due);
        let releases = self.lanes.iter().filter(|f| !f.released).filter_map(|f| Some(f.last_record? + RELEASE_AFTER));
        dues.chain(releases).chain(self.retry).chain([self.health_at]).min().unwrap_or(self.health_at)
    }

    /// Bytes beside the logs: the index and what lies in quarantine.
    fn bytes_beside(&self) -> u64 {
        self.table.with_index(|index| index.bytes()).unwrap_or(0) + self.quarantined
    }

    fn total_bytes(&self) -> u64 {
        self.lanes.iter().map(|filling| filling.lane.log.bytes()).sum::<u64>() + self.bytes_beside()
    }

    /// Whether a lane may make another segment. Two are kept for what has to go on at any level: a file that fails
    /// is followed by another, an epoch that forked is sealed again.
    pub(super) fn may_grow(&self, lane: usize, by: u64) -> bool {
        let Some(filling) = self.lanes.get(lane) else { return false };
        let max = self.config.max_bytes;
        let spare = filling.lane.growth(0);
        let level = (max / 100 * level_percent(filling.lane.lane)).min(max.saturating_sub(2 * spare));
        // A lane whose only segment was acked to its end must not stand still for it: it goes with the next ack.
        let spent = if filling.lane.is_spent() { filling.lane.log.bytes() } else { 0 };
        let total = self.total_bytes();
        total.saturating_sub(spent) + by <= level && total + by <= max.saturating_sub(spare)
    }

    /// Appends the parked frame of a lane, as its policy allows; blocks the lane while it cannot.
    pub(super) fn store_parked(&mut self, lane: usize) {
        loop {
            let Some(filling) = self.lanes.get(lane) else { return };
            let Some(Parked { frame, rows, told }) = filling.parked.as_ref() else { return };
            let need = filling.lane.need(frame.bytes().len(), rows.len(), *told);
            let grows = !filling.lane.fits(need);
            if grows && !self.may_grow(lane, self.lanes.get(lane).map_or(0, |f| f.lane.growth(need))) {
                if !self.give_way(lane) {
                    return;
                }
                continue;
            }
            let Some(filling) = self.lanes.get_mut(lane) else { return };
            let Some(parked) = filling.parked.take() else { return };
            match filling.lane.append(&parked.frame, &parked.rows, parked.told) {
                Ok(()) => {
                    self.error = None;
                    self.unblock(lane);
                    return;
                }
                Err(error) => {
                    if self.error.is_none() {
                        tracing::error!(%error, "the spool's disk refuses; sources wait until it takes records again");
                    }
                    self.error = Some(error.to_string());
                    if let Some(filling) = self.lanes.get_mut(lane) {
                        filling.parked = Some(parked);
                    }
                    if !self.give_way(lane) {
                        return;
                    }
                }
            }
        }
    }

    fn unblock(&mut self, lane: usize) {
        if self.inbox_blocked(lane, false) {
            tracing::info!(lane = %Lane::ALL.get(lane).map_or("", |l| l.name()), "the lane has room again");
        }
    }

    fn inbox_blocked(&mut self, lane: usize, blocked: bool) -> bool {
        let Some(lane) = Lane::ALL.get(lane) else { return false };
        self.inbox.block(*lane, blocked)
    }

    /// A lane without room: drops its oldest segment and says true, or gives its records up, or waits.
    fn give_way(&mut self, lane: usize) -> bool {
        let Some(filling) = self.lanes.get_mut(lane) else { return false };
        if filling.on_full == OnFull::DropOldest {
            match filling.lane.drop_oldest() {
                Ok(true) => return true,
                Ok(false) => {
                    let Some(Parked { frame, rows, .. }) = filling.parked.take() else { return false };
                    let count = u64::from(frame.header().records);
                    filling.lane.refuse_behind(count, rows);
                    tracing::error!(
                        records = count,
                        "the spool is full and the lane has nothing left to drop; records are lost"
                    );
                    self.append_refused(lane);
                    self.unblock(lane);
                    return false;
                }
                Err(error) => self.error = Some(error.to_string()),
            }
        }
        if !self.inbox_blocked(lane, true) {
            tracing::warn!(lane = %Lane::ALL.get(lane).map_or("", |l| l.name()), "the lane stands at its level; its sources wait");
        }
        self.retry = Some(self.clock.instant() + RETRY_INTERVAL);
        false
    }

    /// Counts what was given up, as soon as there is room for the count.
    fn append_refused(&mut self, lane: usize) {
        let Some(filling) = self.lanes.get(lane).filter(|filling| filling.lane.refusing() > 0) else { return };
        let need = filling.lane.need(0, 0, 0);
        let may = filling.lane.fits(need) || self.may_grow(lane, filling.lane.growth(need));
        if let Some(filling) = self.lanes.get_mut(lane).filter(|_| may)
            && let Err(error) = filling.lane.append_refused()
        {
            tracing::debug!(%error, "what was given up waits to be counted");
        }
    }

    fn retry_parked(&mut self, now: Instant) {
        if self.retry.is_some_and(|retry| retry <= now) {
            self.retry = None;
        } else if self.retry.is_some() {
            return;
        }
        for lane in 0..self.lanes.len() {
            if self.lanes.get(lane).is_some_and(|filling| filling.parked.is_some()) {
                self.store_parked(lane);
                self.commit(now);
            }
        }
    }

    /// Commits every lane that has something.
    fn commit(&mut self, now: Instant) {
        let mut refused = false;
        (0..self.lanes.len()).for_each(|lane| self.append_refused(lane));
        for filling in &mut self.lanes {
            let lane = &mut filling.lane;
            if self.table.is_lost(lane.lane)
                && let Err(error) = lane.rows()
            {
                tracing::error!(lane = %lane.lane, %error, "checkpoints cannot be read back from the log; it is tried again");
            }
            let pending = lane.log.pending_bytes() > 0;
            if pending && filling.ack_due && now >= filling.last_mark + MARK_INTERVAL && lane.fits(64 << 10) {
                lane.mark();
                (filling.ack_due, filling.last_mark) = (false, now);
            }
            if let Err(error) = lane.commit() {
                tracing::error!(lane = %lane.lane, %error, "a commit failed; it is tried again");
                self.error = Some(error.to_string());
                self.retry = Some(now + RETRY_INTERVAL);
                refused = true;
            }
        }
        if !refused && self.lanes.iter().all(|filling| filling.parked.is_none()) {
            self.error = None;
        }
        self.tell();
    }

    /// Tells the uplink when something was committed, by whatever call.
    fn tell(&mut self) {
        let frames: u64 = self.lanes.iter().map(|filling| filling.lane.frames_committed()).sum();
        self.say_committed.send_if_modified(|count| {
            let more = frames > self.told;
            *count += frames - self.told;
            more
        });
        self.told = frames;
    }

    pub(super) fn filling(&mut self, lane: Lane) -> Option<&mut Filling> {
        self.lanes.get_mut(lane.index())
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Summaries(reply) => {
                let _ = reply.send(self.summaries());
            }
            Request::NextFrame { lane, after, reply } => {
                let (lanes, sealer) = (&mut self.lanes, &mut self.sealer);
                let found = lanes.get_mut(lane.index()).map_or(Ok(None), |f| f.lane.next_frame(after, sealer));
                let _ = reply.send(found);
            }
            Request::HashOf { lane, epoch, sequence, reply } => {
                let found = self.filling(lane).and_then(|f| f.lane.chain_at(epoch, sequence).ok().flatten());
                let _ = reply.send(found.map(|acked| acked.hash));
            }
            Request::Acked { lane, epoch, through, aggregator } => self.acked(lane, epoch, through, aggregator),
            Request::Reject { lane, epoch, sequence, reason, reply } => {
                self.reject(lane, epoch, sequence, &reason);
                let _ = reply.send(());
            }
            Request::Fork { lane, epoch, reply } => {
                let (lanes, sealer) = (&mut self.lanes, &mut self.sealer);
                let result = lanes.get_mut(lane.index()).map_or(Ok(()), |f| f.lane.fork(epoch, sealer));
                match result {
                    Ok(()) => {
                        tracing::warn!(%lane, %epoch, "this epoch is known elsewhere with other content: sealed again under a new one")
                    }
                    Err(error) => tracing::error!(%lane, %epoch, %error, "could not begin a new epoch"),
                }
                self.say_committed.send_modify(|count| *count += 1);
                let _ = reply.send(());
            }
            Request::Flush(reply) => {
                let _ = reply.send(());
            }
            Request::Settle { lane, pushed, reply } => {
                let held = self.filling(lane).map_or(u64::MAX, |filling| filling.held());
                let (in_all, queued) = self.inbox.counts(lane);
                let settled = self.error.is_none() && in_all.saturating_sub(queued).saturating_sub(held) >= pushed;
                let _ = reply.send(settled);
            }
            Request::Status(reply) => {
                let _ = reply.send(self.status());
            }
            Request::Say(kind, fields) => {
                let now = self.clock.instant();
                self.take_own(kind, &fields, now);
            }
            Request::Reconfigure(to, reply) => {
                (self.config.sources, self.config.max_bytes) = (to.sources, to.max_bytes);
                self.config.host.config_hash = to.config_hash;
                self.lanes.iter_mut().zip(to.on_full).for_each(|(filling, on_full)| filling.on_full = on_full);
                self.origins.clear();
                self.retry = self.retry.map(|_| self.clock.instant());
                let _ = reply.send(());
            }
        }
    }

    fn acked(&mut self, lane: Lane, epoch: Epoch, through: u64, aggregator: AgentId) {
        fault::point("spool.acked");
        let Some(filling) = self.filling(lane) else { return };
        let result = filling.lane.acked(epoch, through).and_then(|moved| {
            filling.lane.state.delivered(epoch, aggregator, through);
            filling.ack_due |= moved;
            filling.lane.trim()
        });
        match result {
            // Whoever waits for room may have it now.
            Ok(freed) if freed > 0 => self.retry = None,
            Ok(_) => {}
            Err(error) => tracing::warn!(%lane, %error, "an ack could not be taken; the next one says the same"),
        }
    }

    fn reject(&mut self, lane: Lane, epoch: Epoch, sequence: u64, reason: &str) {
        let shelf = self.config.dir.join("quarantine");
        let room = (self.config.max_bytes / REFUSED_SHARE).saturating_sub(self.quarantined);
        let Some(filling) = self.filling(lane) else { return };
        let mut kept = 0;
        let result = filling.lane.frame_at(epoch, sequence).and_then(|frame| {
            let Some(frame) = frame else { return Ok(()) };
            let len = frame.bytes().len() as u64;
            let path = shelf.join(format!("{lane}-{epoch}-{sequence}.frame"));
            let written = std::fs::create_dir_all(&shelf).and_then(|()| std::fs::write(&path, frame.bytes()));
            match written {
                Ok(()) if len <= room => kept = len,
                // A full shelf or disk must not hold up the lane for ever.
                other => {
                    tracing::error!(%lane, %epoch, sequence, error = ?other.err(), "no room in quarantine for a refused frame");
                    let _ = std::fs::remove_file(&path);
                }
            }
            filling.lane.reject(epoch, &frame)
        });
        self.quarantined += kept;
        match result {
            Ok(()) => {
                tracing::error!(%lane, %epoch, sequence, reason, "the aggregator refused a frame twice; it stands in quarantine and a loss frame takes its place")
            }
            Err(error) => tracing::error!(%lane, %epoch, sequence, %error, "a refused frame could not be set aside"),
        }
    }

    fn summaries(&mut self) -> Vec<ChainSummary> {
        let mut chains = Vec::new();
        for filling in &mut self.lanes {
            while filling.lane.epochs().len() > EPOCHS_MAX {
                let Some(oldest) = filling.lane.epochs().first().map(|state| state.epoch) else { break };
                if let Err(error) = filling.lane.fork(oldest, &mut self.sealer) {
                    tracing::error!(%error, "too many epochs, and the oldest cannot be sealed again");
                    break;
                }
            }
            let (lane, last) = (filling.lane.lane, filling.lane.epochs().len().saturating_sub(1));
            let epochs = filling.lane.epochs().iter().enumerate();
            chains.extend(epochs.filter(|(i, state)| *i == last || !state.is_acked()).map(|(_, state)| {
                let delivered = state.delivered.iter();
                ChainSummary {
                    epoch: state.epoch,
                    lane,
                    oldest: state.acked.through + 1,
                    prev_of_oldest: state.acked.hash,
                    oldest_record: state.acked.next_record,
                    next: state.next_sequence,
                    next_record: state.next_record,
                    head: state.head,
                    delivered: delivered.map(|d| Delivery { aggregator: d.aggregator, through: d.through }).collect(),
                }
            }));
        }
        chains
    }

    pub(super) fn status(&self) -> SpoolStatus {
        let mut lanes = BTreeMap::new();
        for filling in &self.lanes {
            let lane = &filling.lane;
            let (pushed, queued) = self.inbox.counts(lane.lane);
            let held = queued + filling.held();
            let mut status = LaneStatus::new(&lane.state.books, filling.observed_before + pushed + filling.said, held);
            status.bytes = lane.log.bytes();
            status.epoch = lane.state.current().map(|state| state.epoch.to_string()).unwrap_or_default();
            let unacked = lane.state.epochs.iter().map(|state| state.next_sequence - 1 - state.acked.through);
            status.unacked_frames = unacked.sum();
            status.blocked = filling.parked.is_some();
            lanes.insert(lane.lane.name().to_owned(), status);
        }
        SpoolStatus { bytes: self.total_bytes(), max_bytes: self.config.max_bytes, error: self.error.clone(), lanes }
    }
}

/// Bytes of the files in a folder, or none.
fn folder_bytes(dir: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod levels;
#[cfg(test)]
mod tests;
