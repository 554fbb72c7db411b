//! Brings together what came as lines of their own and is one event: the records of an audit event, those of several events in
//! between, the parts into which container runtimes cut a long line, and entries (`multiline.rs`) whose lines follow one another.
//!
//! In: lines one by one, each with where it comes from. Out: [`Group`]s: the lines of one event joined by line ends, to be
//! read as one. An audit event is whole at its EOE; behind its PROCTITLE, with which most logs end it, when the next record of
//! another event comes; a container's line is whole with the part that ends it; an entry with the line that ends it, or before
//! the first that does not belong to it. When somebody calls [`flush`](Joiner::flush) everything goes out: records that only
//! seemed to lack company are read alone. A record of a type that programs send by themselves is a whole event and is not taken,
//! nor is a container's line that came in one part.
//!
//! Pure, and the same lines in the same order always give the same groups. Bounds: [`GROUPS_MAX`] groups wait at a time, each
//! of at most [`LINES_MAX`] lines and [`GROUP_BYTES_MAX`] bytes, and [`ENTRIES_MAX`] entries, at most one of a source, of at most
//! [`ENTRY_LINES_MAX`] lines; together [`WAITING_BYTES_MAX`]. What is over goes out before its time, the oldest first, and is
//! counted.
//!
//! The pipeline flushes at every cut, so that an event whose lines lie on both sides of a cut is two events with the same
//! `metadata.correlation_uid` (audit) or a first one with `unmapped.partial` (containers); the lines of an entry behind a cut
//! are read alone. They are counted as [`split`](Joiner::split). To join them the event would have to be committed with the
//! block of its first line, before any event of the next block is pushed, and the next block's lines would have to be told from
//! its own at every later start: a sink would read each block twice, ahead for what waits and again for itself, read the block
//! in front of its cursor at a start, keep the journal one block longer for that, and wait at the end of all traffic for a
//! block that does not come. A cursor at which nothing waits does not come either where thousands of hosts write.

use std::collections::VecDeque;

use shared::identity::EventId;
use shared::time::Timestamp;

use super::audit::mark as audit_record;
use super::multiline::{Entry, Next};
use super::{Line, Origin, Understood, cri, journald, json_lines};
use crate::event::Event;
use crate::schema::Attribute;

/// Most events that wait for the rest of their lines.
pub const GROUPS_MAX: usize = 256;
/// Most lines of one event.
pub const LINES_MAX: usize = 64;
/// Most entries that wait: every line of a source is looked for among them.
pub const ENTRIES_MAX: usize = 32;
/// Most lines of one entry.
pub const ENTRY_LINES_MAX: usize = 1024;
/// Most bytes of the lines of one event.
pub const GROUP_BYTES_MAX: usize = 256 << 10;
/// Most bytes that wait.
pub const WAITING_BYTES_MAX: usize = 16 << 20;
/// Buffers of groups that are gone, kept for those to come.
const SPARE_MAX: usize = 8;

/// A line that may be one of several of an event.
#[derive(Clone, Copy, Debug)]
pub struct Part<'l> {
    /// The event's, if it is read alone.
    pub id: EventId,
    /// The line.
    pub line: Line<'l>,
    /// The agent has removed a secret from it.
    pub redacted: bool,
}

/// Lines of one event, all from one source.
#[derive(Debug)]
pub struct Group<S> {
    /// Where they come from.
    pub source: S,
    /// The id of the first.
    pub id: EventId,
    /// The agent has removed a secret from one of them.
    pub redacted: bool,
    stamp: Option<(Timestamp, u64)>,
    /// Where the first line names its node or stream.
    name: (usize, usize),
    bytes: Vec<u8>,
    lines: usize,
    /// Its PROCTITLE has come: only an EOE may follow.
    is_titled: bool,
    /// What its lines are told by where they do not say it themselves.
    entry: Option<Entry>,
    read_at: Timestamp,
    received_at: Timestamp,
    /// How many bytes the lines had when they were whole, and whether one was cut.
    full: (u64, bool),
}

impl<S> Group<S> {
    /// How many lines there are.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Reads the group into `event`, as [`line`](crate::normalize::line) does a line: the caller has set `event.id` and
    /// `event.shared`. `raw_data` has all lines, `raw_data_size` the sum of theirs.
    pub fn read<'a>(&'a self, origin: &'a Origin, now: Timestamp, event: &mut Event<'a>) -> Understood {
        let (full_size, is_cut) = self.full;
        let line = Line {
            raw: &self.bytes,
            read_at: self.read_at,
            received_at: self.received_at,
            full_size: is_cut.then_some(full_size),
        };
        let understood = crate::normalize::line(&line, origin, now, event);
        let ends = self.lines.saturating_sub(1);
        let size = i64::try_from(self.bytes.len().saturating_sub(ends)).unwrap_or(i64::MAX);
        event.set(Attribute::RawDataSize, size);
        understood
    }

    /// When the journal took its first line, and when that was read.
    #[must_use]
    pub fn at(&self) -> (Timestamp, Timestamp) {
        (self.read_at, self.received_at)
    }

    fn is_of(&self, mark: &Mark<'_>) -> bool {
        self.stamp == mark.stamp && self.name() == mark.name.as_bytes()
    }

    fn name(&self) -> &[u8] {
        let (from, to) = self.name;
        self.bytes.get(from..to).unwrap_or_default()
    }

    fn has_room_for(&self, raw: &[u8]) -> bool {
        let most = if self.entry.is_some() { ENTRY_LINES_MAX } else { LINES_MAX };
        self.lines < most && self.bytes.len() + 1 + raw.len() <= GROUP_BYTES_MAX
    }

    fn add(&mut self, part: &Part<'_>) {
        let line = &part.line;
        self.redacted |= part.redacted;
        if self.lines > 0 {
            self.bytes.push(b'\n');
        }
        self.bytes.extend_from_slice(line.raw);
        self.lines += 1;
        self.full.0 += line.full_size.unwrap_or(line.raw.len() as u64);
        self.full.1 |= line.full_size.is_some();
    }
}

/// What of a line says which event it belongs to.
pub(super) struct Mark<'l> {
    pub(super) turn: Turn,
    /// The node, or the stream of a container, where it is named.
    pub(super) name: &'l str,
    /// Where the name stands.
    pub(super) name_at: usize,
    /// Time and serial number of an audit event.
    pub(super) stamp: Option<(Timestamp, u64)>,
}

/// Where in its event a line stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Others may follow.
    More,
    /// Most logs end the event with it.
    Title,
    /// The event ends with it; where nothing waits for it, it is a line like others.
    End,
}

/// The mark of a line that is one of several of an event.
fn mark(raw: &[u8]) -> Option<Mark<'_>> {
    cri::part(raw).or_else(|| json_lines::part(raw)).or_else(|| journald::part(raw)).or_else(|| audit_record(raw))
}

/// What a group that a cut ended would have waited for.
#[derive(Debug)]
struct Ended<S> {
    source: S,
    stamp: Option<(Timestamp, u64)>,
    name: Vec<u8>,
}

/// Keeps lines until their event is whole.
#[derive(Debug)]
pub struct Joiner<S> {
    groups: VecDeque<Group<S>>,
    /// Entries, at most one of a source.
    entries: VecDeque<Group<S>>,
    /// Bytes of all that waits.
    bytes: usize,
    spare: Vec<Vec<u8>>,
    /// Groups that the last flush ended and that were not whole.
    ended: Vec<Ended<S>>,
    early: u64,
    split: u64,
}

impl<S> Default for Joiner<S> {
    fn default() -> Self {
        Self {
            groups: VecDeque::new(),
            entries: VecDeque::new(),
            bytes: 0,
            spare: Vec::new(),
            ended: Vec::new(),
            early: 0,
            split: 0,
        }
    }
}

impl<S: Clone + PartialEq> Joiner<S> {
    /// Takes a line if it is one of several of an event; shows `emit` the groups that are whole with it, or must make room.
    /// False: the line is to be read on its own.
    ///
    /// # Errors
    /// What `emit` refuses with; then [`forget`](Self::forget) what waits and begin again.
    pub fn offer<E>(
        &mut self,
        part: &Part<'_>,
        source: &S,
        emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let raw = part.line.raw;
        if self.goes_on(part, source, emit)? {
            return Ok(true);
        }
        if raw.len() > GROUP_BYTES_MAX {
            return Ok(false);
        }
        if let Some(entry) = Entry::begins(raw) {
            self.begin_entry(entry, part, source, emit)?;
            return Ok(true);
        }
        let Some(mark) = mark(raw) else { return Ok(false) };
        let is_over = |group: &Group<S>| group.is_titled && !group.is_of(&mark) && group.source == *source;
        while let Some(over) = self.groups.iter().position(is_over) {
            self.send(over, emit)?;
        }
        let mut standing = self.groups.iter().rposition(|group| group.is_of(&mark) && group.source == *source);
        if let Some(full) = standing.filter(|at| self.groups.get(*at).is_some_and(|group| !group.has_room_for(raw))) {
            self.early += 1;
            self.send(full, emit)?;
            standing = None;
        }
        if standing.is_none() {
            self.resumed(&mark, source);
            if mark.turn == Turn::End {
                return Ok(false);
            }
        }
        while self.bytes + raw.len() > WAITING_BYTES_MAX && !self.entries.is_empty() {
            self.send_entry(0, true, emit)?;
        }
        while self.bytes + raw.len() > WAITING_BYTES_MAX || (standing.is_none() && self.groups.len() >= GROUPS_MAX) {
            self.early += 1;
            self.send(0, emit)?;
            standing = standing.and_then(|at| at.checked_sub(1));
        }
        let at = standing.unwrap_or_else(|| {
            let name = (mark.name_at, mark.name_at + mark.name.len());
            let group = Group { stamp: mark.stamp, name, ..self.begin(part, source) };
            self.groups.push_back(group);
            self.groups.len() - 1
        });
        let Some(group) = self.groups.get_mut(at) else { return Ok(false) };
        let before = group.bytes.len();
        group.add(part);
        self.bytes += group.bytes.len() - before;
        group.is_titled |= mark.turn == Turn::Title && group.lines > 1;
        if mark.turn == Turn::End {
            self.send(at, emit)?;
        }
        Ok(true)
    }

    /// Takes a line that goes on with the entry of its source; an entry that it does not belong to is whole.
    fn goes_on<E>(
        &mut self,
        part: &Part<'_>,
        source: &S,
        emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>,
    ) -> Result<bool, E> {
        // The last to begin is the one that most lines go on with.
        let Some(at) = self.entries.iter().rposition(|group| group.source == *source) else { return Ok(false) };
        let Some(group) = self.entries.get_mut(at) else { return Ok(false) };
        let Some(entry) = group.entry else { return Ok(false) };
        let raw = part.line.raw;
        let next = entry.next(&group.bytes, raw);
        if next == Next::Other {
            self.send_entry(at, false, emit)?;
            return Ok(false);
        }
        if !group.has_room_for(raw) || self.bytes + raw.len() > WAITING_BYTES_MAX {
            self.send_entry(at, true, emit)?;
            return Ok(false);
        }
        let before = group.bytes.len();
        group.add(part);
        self.bytes += group.bytes.len() - before;
        match next {
            Next::More(so_far) => group.entry = Some(so_far),
            Next::Last | Next::Other => self.send_entry(at, false, emit)?,
        }
        Ok(true)
    }

    /// Takes the first line of an entry.
    fn begin_entry<E>(
        &mut self,
        entry: Entry,
        part: &Part<'_>,
        source: &S,
        emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>,
    ) -> Result<(), E> {
        let more = part.line.raw.len();
        while self.entries.len() >= ENTRIES_MAX || (self.bytes + more > WAITING_BYTES_MAX && !self.entries.is_empty()) {
            self.send_entry(0, true, emit)?;
        }
        while self.bytes + more > WAITING_BYTES_MAX {
            self.early += 1;
            self.send(0, emit)?;
        }
        let mut group = Group { entry: Some(entry), ..self.begin(part, source) };
        group.add(part);
        self.bytes += group.bytes.len();
        self.entries.push_back(group);
        Ok(())
    }

    /// Shows `emit` an entry; `early`: to keep the bounds.
    fn send_entry<E>(
        &mut self,
        at: usize,
        early: bool,
        emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(group) = self.entries.remove(at) else { return Ok(()) };
        self.early += u64::from(early && !group.entry.is_some_and(Entry::may_be_whole));
        self.sent(group, emit)
    }

    /// Counts an event that goes on behind the flush that ended its group.
    fn resumed(&mut self, mark: &Mark<'_>, source: &S) {
        let is_of = |ended: &Ended<S>| {
            ended.stamp == mark.stamp && ended.name == mark.name.as_bytes() && ended.source == *source
        };
        if let Some(at) = self.ended.iter().position(is_of) {
            self.ended.swap_remove(at);
            self.split += 1;
        }
    }

    /// Shows `emit` every group that still waits, oldest first, entries last: nothing more comes.
    ///
    /// # Errors
    /// What `emit` refuses with.
    pub fn flush<E>(&mut self, emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>) -> Result<(), E> {
        let unfinished = self.groups.iter().filter(|group| !group.is_titled);
        self.ended = unfinished
            .map(|group| Ended { source: group.source.clone(), stamp: group.stamp, name: group.name().to_vec() })
            .collect();
        while !self.groups.is_empty() {
            self.send(0, emit)?;
        }
        while let Some(group) = self.entries.front() {
            self.split += u64::from(!group.entry.is_some_and(Entry::may_be_whole));
            self.send_entry(0, false, emit)?;
        }
        Ok(())
    }

    /// Drops what waits: its lines will come again.
    pub fn forget(&mut self) {
        self.groups.clear();
        self.entries.clear();
        self.ended.clear();
        self.bytes = 0;
    }

    /// How many groups wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.groups.len() + self.entries.len()
    }

    /// How many groups went out before they were whole, to keep the bounds.
    #[must_use]
    pub fn early(&self) -> u64 {
        self.early
    }

    /// How many events were ended by a flush and went on behind it, or must have.
    #[must_use]
    pub fn split(&self) -> u64 {
        self.split
    }

    fn begin(&mut self, part: &Part<'_>, source: &S) -> Group<S> {
        Group {
            source: source.clone(),
            id: part.id,
            redacted: false,
            stamp: None,
            name: (0, 0),
            bytes: self.spare.pop().unwrap_or_default(),
            lines: 0,
            is_titled: false,
            entry: None,
            read_at: part.line.read_at,
            received_at: part.line.received_at,
            full: (0, false),
        }
    }

    fn send<E>(&mut self, at: usize, emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>) -> Result<(), E> {
        let Some(group) = self.groups.remove(at) else { return Ok(()) };
        self.sent(group, emit)
    }

    fn sent<E>(&mut self, mut group: Group<S>, emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>) -> Result<(), E> {
        self.bytes -= group.bytes.len();
        emit(&group)?;
        if self.spare.len() < SPARE_MAX {
            group.bytes.clear();
            self.spare.push(group.bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
