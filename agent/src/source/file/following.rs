//! Reading what is followed: turns, files that were cut, files that went.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use shared::record::LossReason;

use super::reader::{self, TurnEnd, TurnFailure};
use super::tracker::{Position, Verdict, judge};
use super::walk::{Facts, siblings};
use super::{FileSource, OPEN_FILES_MAX, TURN_BYTES_MAX};
use crate::fingerprint::FileId;
use crate::handover::{Checkpoint, Chunk, Lines, Loss, LossUnit, Outlet, Stopped};
use crate::source::health::Trouble;

impl FileSource {
    /// Reads on in one file, after making sure that it is still the one that was read.
    pub(super) fn turn(&mut self, id: FileId, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        self.tracker.update(id, |tracked| tracked.is_queued = false);
        let Some(file) = self.opened(id) else { return Ok(()) };
        let Some((facts, mut position)) = self.checked(id, &file, outlet)? else { return Ok(()) };
        let Some(log_name) = self.tracker.file(id).map(|tracked| Arc::clone(&tracked.log_name)) else { return Ok(()) };
        let before = position.splitter;
        let Self { reader, around, config, .. } = self;
        let end = reader.turn(&file, &mut position, TURN_BYTES_MAX, |position, lines| {
            let read_at = around.clock.now();
            around.health.handed_over(lines.marks.len() as u64, lines.bytes.len() as u64, read_at);
            let checkpoint = Some(checkpoint(id, position, false));
            let (log_name, lines) = (Arc::clone(&log_name), lines.redacted(&config.redact));
            outlet.lines(Chunk { source: around.index, lane: config.lane, read_at, log_name, lines, checkpoint })
        });
        let (now, read_at) = (self.around.clock.instant(), self.around.clock.now());
        self.tracker.update(id, |tracked| {
            if position.splitter != before {
                tracked.grew = now;
            }
            tracked.position = position;
            tracked.read_at = read_at;
            (tracked.size, tracked.modified) = (facts.size, facts.modified);
            tracked.is_unreadable &= end.is_err();
        });
        match end {
            Ok(TurnEnd::End) => {}
            Ok(TurnEnd::More) => self.enqueue(id),
            Ok(TurnEnd::Shrank) => {
                self.look_again(id);
                self.schedule.is_wanted = true;
            }
            Err(TurnFailure::Stopped(stopped)) => return Err(stopped),
            Err(TurnFailure::Read(error)) => self.cannot_read(id, Trouble::ReadFailed, &error),
        }
        Ok(())
    }

    /// Says once that a file cannot be read; the next walk tries again.
    fn cannot_read(&mut self, id: FileId, trouble: Trouble, error: &io::Error) {
        self.look_again(id);
        let said =
            self.tracker.update(id, |file| (file.path.clone(), std::mem::replace(&mut file.is_unreadable, true)));
        if let Some((path, false)) = said {
            self.trouble(trouble, &path, &format!("cannot be read: {error}"), true);
        }
    }

    /// Lets the next walk see a change.
    fn look_again(&mut self, id: FileId) {
        self.tracker.update(id, |tracked| tracked.modified = i64::MIN);
    }

    /// The file, opened again if it was closed.
    fn opened(&mut self, id: FileId) -> Option<Arc<File>> {
        let now = self.around.clock.instant();
        if let Some((file, used)) = self.open.get_mut(&id) {
            *used = now;
            return Some(Arc::clone(file));
        }
        let path = self.tracker.file(id)?.path.clone();
        match reader::open(&path) {
            Ok((file, facts)) if facts.id == id => {
                let file = Arc::new(file);
                self.keep_open(id, Arc::clone(&file));
                Some(file)
            }
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                self.cannot_read(id, Trouble::Unreadable, &error);
                None
            }
            // Another file stands there, or none: the next walk tells.
            _ => {
                self.schedule.is_wanted = true;
                None
            }
        }
    }

    /// What the file is now and where to go on; a file that was cut begins again.
    fn checked(
        &mut self,
        id: FileId,
        file: &File,
        outlet: &mut dyn Outlet,
    ) -> Result<Option<(Facts, Position)>, Stopped> {
        let Some(tracked) = self.tracker.file(id) else { return Ok(None) };
        let (mut position, path) = (tracked.position.clone(), tracked.path.clone());
        let looked = file.metadata().and_then(|metadata| {
            let begins_as_before = position.prefix.is_empty() || position.prefix.verify(&reader::head(file)?);
            Ok((Facts::from(&metadata), begins_as_before))
        });
        let (facts, begins_as_before) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                self.cannot_read(id, Trouble::ReadFailed, &error);
                return Ok(None);
            }
        };
        let verdict = judge(&position.splitter, facts.size, begins_as_before);
        if verdict == Verdict::Intact {
            return Ok(Some((facts, position)));
        }
        let (name, since) = (Arc::clone(&tracked.log_name), tracked.read_at);
        let what = match verdict {
            Verdict::TailCut => "its unfinished last line was cut off",
            Verdict::Replaced => "was replaced in place: reading from its beginning",
            Verdict::Truncated | Verdict::Intact => "was truncated: reading from its beginning",
        };
        self.trouble(Trouble::Truncated, &path, what, true);
        self.loss(outlet, LossReason::Truncated, &name, Some(since))?;
        if verdict == Verdict::TailCut {
            position.splitter.rescan();
        } else {
            let former = Some(checkpoint(id, &position, false));
            position = Position::new(0, &[]);
            self.tracker.update(id, |tracked| tracked.former = former);
        }
        self.tracker.update(id, |tracked| tracked.position = position.clone());
        self.checkpoint(id, false, outlet)?;
        Ok(Some((facts, position)))
    }

    /// A file that the walk did not see: it may only be hidden, or have lost its name.
    pub(super) fn missing(&mut self, id: FileId, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        let Some(tracked) = self.tracker.file(id) else { return Ok(()) };
        match Facts::of(&tracked.path) {
            Ok(facts) if facts.id == id => return Ok(()),
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            _ => {}
        }
        if !self.open.contains_key(&id) {
            let renamed = siblings(&tracked.path).into_iter().find(|(_, facts)| facts.id == id);
            let opened = renamed.and_then(|(path, _)| reader::open(&path).ok()).filter(|(_, facts)| facts.id == id);
            let Some((file, _)) = opened else { return self.forget_unread(id, outlet) };
            self.keep_open(id, Arc::new(file));
        }
        let now = self.around.clock.instant();
        self.tracker.update(id, |tracked| tracked.gone = Some(now));
        self.gone.insert(id);
        // Before its successor, and before anyone asks whether all of it was read.
        self.turn(id, outlet)?;
        // So that its unfinished line is found again under its new name after a restart.
        let is_unknown = self.tracker.file(id).is_some_and(|file| file.lag() > 0 && file.position.prefix.is_empty());
        if is_unknown { self.checkpoint(id, false, outlet) } else { Ok(()) }
    }

    /// Ends the files that lost their name and have been silent; tells when to look again at the latest.
    pub(super) fn settle(&mut self, outlet: &mut dyn Outlet) -> Result<Instant, Stopped> {
        for id in self.gone.clone() {
            let now = self.around.clock.instant();
            let Some(gone) = self.tracker.file(id).and_then(|tracked| tracked.gone) else {
                self.gone.remove(&id);
                continue;
            };
            self.turn(id, outlet)?;
            let silent_since = self.tracker.file(id).map_or(gone, |tracked| tracked.grew.max(gone));
            if now.saturating_duration_since(silent_since) >= self.timing.quiet {
                self.finish(id, outlet)?;
            }
        }
        let mut until = self.schedule.next;
        if !self.queue.is_empty() {
            until = self.around.clock.instant();
        } else if self.schedule.is_wanted {
            until = until.min(self.schedule.earliest);
        }
        if !self.gone.is_empty() {
            until = until.min(self.around.clock.instant() + self.timing.poll);
        }
        Ok(until)
    }

    /// The last of a file that lost its name: its unfinished line, and the checkpoint that frees its inode number.
    fn finish(&mut self, id: FileId, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        let Some(tracked) = self.tracker.file(id) else { return Ok(()) };
        let Some((file, _)) = self.open.get(&id).filter(|_| tracked.is_at_end()) else {
            return self.forget_unread(id, outlet);
        };
        let mut position = tracked.position.clone();
        let Ok(lines) = self.reader.finish(file, &mut position) else { return self.forget_unread(id, outlet) };
        self.tracker.update(id, |tracked| tracked.position = position);
        if lines.marks.is_empty() {
            return self.forget(id, outlet);
        }
        self.hand_over(id, lines, true, outlet)?;
        self.drop_file(id);
        Ok(())
    }

    /// Ends a file that cannot be read any more, and says what that costs.
    fn forget_unread(&mut self, id: FileId, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        let Some(tracked) = self.tracker.file(id) else { return Ok(()) };
        if tracked.lag() > 0 {
            let reason = if tracked.is_unreadable { LossReason::Unreadable } else { LossReason::Truncated };
            let (name, since, path) = (Arc::clone(&tracked.log_name), tracked.read_at, tracked.path.clone());
            self.trouble(Trouble::LostTail, &path, "went before all of it was read", true);
            self.loss(outlet, reason, &name, Some(since))?;
        }
        self.forget(id, outlet)
    }

    /// Lets go of a file that another source reads from now on, when what was read of it is on disk; else with a later walk.
    pub(super) fn hand_on(&mut self, id: FileId, outlet: &mut dyn Outlet) {
        if outlet.settle(self.config.lane) {
            self.drop_file(id);
        }
    }

    /// Ends a file of which nothing is left to be read.
    pub(super) fn forget(&mut self, id: FileId, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        self.checkpoint(id, true, outlet)?;
        self.drop_file(id);
        Ok(())
    }

    fn drop_file(&mut self, id: FileId) {
        self.tracker.remove(id);
        self.open.remove(&id);
        self.gone.remove(&id);
        self.around.shared.release(id);
    }

    /// Hands over a checkpoint without lines.
    pub(super) fn checkpoint(&self, id: FileId, ended: bool, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        self.hand_over(id, Lines::default(), ended, outlet)
    }

    fn hand_over(&self, id: FileId, lines: Lines, ended: bool, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        let Some(tracked) = self.tracker.file(id) else { return Ok(()) };
        let read_at = self.around.clock.now();
        if !lines.marks.is_empty() {
            self.around.health.handed_over(lines.marks.len() as u64, lines.bytes.len() as u64, read_at);
        }
        let (log_name, lane) = (Arc::clone(&tracked.log_name), self.config.lane);
        let checkpoint = Some(checkpoint(id, &tracked.position, ended));
        let lines = lines.redacted(&self.config.redact);
        outlet.lines(Chunk { source: self.around.index, lane, read_at, log_name, lines, checkpoint })
    }

    /// Says that lines are lost, since when the file was last known to be whole.
    pub(super) fn loss(
        &self,
        outlet: &mut dyn Outlet,
        reason: LossReason,
        name: &str,
        since: Option<shared::time::Timestamp>,
    ) -> Result<(), Stopped> {
        let to = self.around.clock.now();
        let (source, lane, from) = (self.around.index, self.config.lane, since.unwrap_or(to));
        outlet.loss(Loss {
            source,
            lane,
            reason,
            path: name.into(),
            count: None,
            unit: LossUnit::Records,
            details: Vec::new(),
            from,
            to,
        })
    }

    /// Keeps a file open, at the cost of the one that is needed least.
    pub(super) fn keep_open(&mut self, id: FileId, file: Arc<File>) {
        if self.open.len() >= OPEN_FILES_MAX {
            let cost = |other: &FileId| match self.tracker.file(*other) {
                None => 0,
                Some(tracked) if tracked.gone.is_some() => 3,
                Some(tracked) if tracked.lag() > 0 => 2,
                Some(_) => 1,
            };
            let least = self.open.iter().min_by_key(|(other, (_, used))| (cost(other), *used));
            if let Some(other) = least.map(|(other, _)| *other) {
                self.close(other);
            }
        }
        self.open.insert(id, (file, self.around.clock.instant()));
    }

    /// Closes what has long been silent and fully read.
    pub(super) fn close_idle(&mut self) {
        let now = self.around.clock.instant();
        let is_idle = |id: &FileId, used: Instant| {
            now.saturating_duration_since(used) >= self.timing.idle
                && self.tracker.file(*id).is_none_or(|tracked| tracked.gone.is_none() && tracked.lag() == 0)
        };
        let idle: Vec<_> = self.open.iter().filter(|(id, (_, used))| is_idle(id, *used)).map(|(id, _)| *id).collect();
        idle.into_iter().for_each(|id| self.close(id));
    }

    fn close(&mut self, id: FileId) {
        self.open.remove(&id);
        self.tracker.update(id, |tracked| tracked.position.prefix.park());
    }
}

pub(super) fn checkpoint(id: FileId, position: &Position, ended: bool) -> Checkpoint {
    Checkpoint { fingerprint: position.prefix.fingerprint(id, ended), offset: position.splitter.start() }
}
