//! Brings the records of one audit event together: they come as lines of their own, those of several events in between.
//!
//! In: lines one by one, each with where it comes from. Out: [`Group`]s: the lines of one event joined by line ends, to be
//! read as one. A group is whole at its EOE; behind its PROCTITLE, with which most logs end it, when the next record of another
//! event comes; or when somebody calls [`flush`](Joiner::flush): then records that only seemed to lack company are read alone. A record of a type that
//! programs send by themselves is a whole event and is not taken.
//!
//! Pure, and the same lines in the same order always give the same groups. Bounds: [`GROUPS_MAX`] groups wait at a time, each
//! of at most [`LINES_MAX`] lines and [`GROUP_BYTES_MAX`] bytes; what is over goes out before its time, the oldest first,
//! and is counted.

use std::collections::VecDeque;

use shared::identity::EventId;
use shared::time::Timestamp;

use super::{kinds, record};
use crate::event::Event;
use crate::normalize::{Line, Origin, Understood};
use crate::schema::Attribute;

/// Most audit events that wait for the rest of their records.
pub const GROUPS_MAX: usize = 256;
/// Most records of one audit event.
pub const LINES_MAX: usize = record::RECORDS_MAX;
/// Most bytes of the records of one audit event.
pub const GROUP_BYTES_MAX: usize = 64 << 10;
/// The head of a record stands in so many bytes of its line, or the line is read on its own.
const HEAD_BYTES_MAX: usize = 512;
/// Buffers of groups that are gone, kept for those to come.
const SPARE_MAX: usize = 8;

/// A line that may be a record of an audit event.
#[derive(Clone, Copy, Debug)]
pub struct Part<'l> {
    /// The event's, if it is read alone.
    pub id: EventId,
    /// The line.
    pub line: Line<'l>,
}

/// Lines of one audit event, all from one source.
#[derive(Debug)]
pub struct Group<S> {
    /// Where they come from.
    pub source: S,
    /// The id of the first.
    pub id: EventId,
    stamp: (Timestamp, u64),
    /// Where the first line names its node.
    node: (usize, usize),
    bytes: Vec<u8>,
    lines: usize,
    /// Its PROCTITLE has come: only an EOE may follow.
    is_titled: bool,
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
        let (from, to) = self.node;
        self.stamp == mark.stamp && self.bytes.get(from..to).unwrap_or_default() == mark.node.as_bytes()
    }

    fn has_room_for(&self, raw: &[u8]) -> bool {
        self.lines < LINES_MAX && self.bytes.len() + 1 + raw.len() <= GROUP_BYTES_MAX
    }

    fn add(&mut self, line: &Line<'_>) {
        if self.lines > 0 {
            self.bytes.push(b'\n');
        }
        self.bytes.extend_from_slice(line.raw);
        self.lines += 1;
        self.full.0 += line.full_size.unwrap_or(line.raw.len() as u64);
        self.full.1 |= line.full_size.is_some();
    }
}

/// What of a line says which audit event it belongs to.
struct Mark<'l> {
    kind: &'l str,
    node: &'l str,
    node_at: usize,
    stamp: (Timestamp, u64),
}

/// The mark of a line that is a record of an event of several records.
fn mark(raw: &[u8]) -> Option<Mark<'_>> {
    let beginning = raw.get(..raw.len().min(HEAD_BYTES_MAX))?;
    memchr::memmem::find(beginning, b"audit(")?;
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(beginning.get(..error.valid_up_to())?).ok()?,
    };
    let head = record::head(text, 0)?;
    let kind = kinds::name(head.kind).unwrap_or(head.kind);
    if kind.is_empty() || kinds::stands_alone(kind) {
        return None;
    }
    let node = head.node.unwrap_or_default();
    Some(Mark { kind, node, node_at: head.start + "node=".len(), stamp: (head.stamp.time, head.stamp.serial) })
}

/// Keeps records until their audit event is whole.
#[derive(Debug)]
pub struct Joiner<S> {
    groups: VecDeque<Group<S>>,
    spare: Vec<Vec<u8>>,
    early: u64,
}

impl<S> Default for Joiner<S> {
    fn default() -> Self {
        Self { groups: VecDeque::new(), spare: Vec::new(), early: 0 }
    }
}

impl<S: Clone + PartialEq> Joiner<S> {
    /// Takes a line if it is a record of an audit event of several; shows `emit` the groups that are whole with it, or must
    /// make room. False: the line is to be read on its own.
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
        if raw.len() > GROUP_BYTES_MAX {
            return Ok(false);
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
        let at = match standing {
            Some(at) => at,
            None if mark.kind == "EOE" => return Ok(false),
            None => {
                if self.groups.len() >= GROUPS_MAX {
                    self.early += 1;
                    self.send(0, emit)?;
                }
                let group = self.begin(part, source, &mark);
                self.groups.push_back(group);
                self.groups.len() - 1
            }
        };
        let Some(group) = self.groups.get_mut(at) else { return Ok(false) };
        group.add(&part.line);
        group.is_titled |= mark.kind == "PROCTITLE" && group.lines > 1;
        if mark.kind == "EOE" {
            self.send(at, emit)?;
        }
        Ok(true)
    }

    /// Shows `emit` every group that still waits, oldest first: nothing more comes.
    ///
    /// # Errors
    /// What `emit` refuses with.
    pub fn flush<E>(&mut self, emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>) -> Result<(), E> {
        while !self.groups.is_empty() {
            self.send(0, emit)?;
        }
        Ok(())
    }

    /// Drops what waits: its lines will come again.
    pub fn forget(&mut self) {
        self.groups.clear();
    }

    /// How many groups wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.groups.len()
    }

    /// How many groups went out before they were whole, to keep the bounds.
    #[must_use]
    pub fn early(&self) -> u64 {
        self.early
    }

    fn begin(&mut self, part: &Part<'_>, source: &S, mark: &Mark<'_>) -> Group<S> {
        let bytes = self.spare.pop().unwrap_or_default();
        let node = if mark.node.is_empty() { (0, 0) } else { (mark.node_at, mark.node_at + mark.node.len()) };
        Group {
            source: source.clone(),
            id: part.id,
            stamp: mark.stamp,
            node,
            bytes,
            lines: 0,
            is_titled: false,
            read_at: part.line.read_at,
            received_at: part.line.received_at,
            full: (0, false),
        }
    }

    fn send<E>(&mut self, at: usize, emit: &mut dyn FnMut(&Group<S>) -> Result<(), E>) -> Result<(), E> {
        let Some(mut group) = self.groups.remove(at) else { return Ok(()) };
        emit(&group)?;
        if self.spare.len() < SPARE_MAX {
            group.bytes.clear();
            self.spare.push(group.bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use shared::identity::{AgentId, ChainId, Epoch, Lane};

    use super::*;

    #[derive(Default)]
    struct Bench {
        joiner: Joiner<u8>,
        out: Vec<(u64, String)>,
        record: u64,
    }

    impl Bench {
        fn offer(&mut self, source: u8, line: &str) -> bool {
            self.record += 1;
            let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
            let id = EventId { chain, record: self.record, part: 0 };
            let at = Timestamp(self.record.try_into().unwrap());
            let line = Line { raw: line.as_bytes(), read_at: at, received_at: at, full_size: None };
            let out = &mut self.out;
            self.joiner.offer(&Part { id, line }, &source, &mut |group| keep(group, out)).unwrap()
        }

        fn flush(&mut self) {
            let out = &mut self.out;
            self.joiner.flush(&mut |group| keep(group, out)).unwrap();
        }
    }

    fn keep(group: &Group<u8>, out: &mut Vec<(u64, String)>) -> Result<(), Infallible> {
        out.push((group.id.record, String::from_utf8(group.bytes.clone()).unwrap()));
        Ok(())
    }

    fn line(kind: &str, serial: u64) -> String {
        format!("type={kind} msg=audit(1.000:{serial}): x=1")
    }

    #[test]
    fn interleaved_records_go_to_their_event_which_ends_with_its_last_record() {
        let mut bench = Bench::default();
        for (kind, serial) in [("SYSCALL", 7), ("SYSCALL", 8), ("EXECVE", 7), ("CWD", 8), ("PROCTITLE", 8), ("EOE", 7)]
        {
            assert!(bench.offer(0, &line(kind, serial)));
        }
        let eight = [line("SYSCALL", 8), line("CWD", 8), line("PROCTITLE", 8)].join("\n");
        let seven = [line("SYSCALL", 7), line("EXECVE", 7), line("EOE", 7)].join("\n");
        assert_eq!(bench.out, [(2, eight), (1, seven)]);
        assert_eq!((bench.joiner.waiting(), bench.joiner.early()), (0, 0));
    }

    #[test]
    fn an_end_behind_the_title_belongs_to_the_event() {
        let mut bench = Bench::default();
        for kind in ["SYSCALL", "PROCTITLE", "EOE"] {
            assert!(bench.offer(0, &line(kind, 7)));
        }
        bench.offer(0, &line("SYSCALL", 8));
        bench.offer(0, &line("PROCTITLE", 8));
        assert_eq!(bench.out.len(), 1);
        bench.offer(0, &line("SYSCALL", 9));
        assert_eq!((bench.out.len(), bench.joiner.waiting()), (2, 1));
    }

    #[test]
    fn what_stands_alone_and_what_is_no_record_is_not_taken() {
        let mut bench = Bench::default();
        for text in
            ["", "text", &line("USER_LOGIN", 1), &line("SERVICE_START", 1), &line("EOE", 1), "audit(1.000:1): x"]
        {
            assert!(!bench.offer(0, text), "{text}");
        }
        assert!(!bench.offer(0, &format!("{}{}", line("SYSCALL", 1), "x".repeat(GROUP_BYTES_MAX))));
        assert_eq!(bench.joiner.waiting(), 0);
    }

    #[test]
    fn sources_nodes_times_and_serials_keep_events_apart() {
        let mut bench = Bench::default();
        bench.offer(0, &line("SYSCALL", 7));
        bench.offer(1, &line("CWD", 7));
        bench.offer(0, &format!("node=a {}", line("CWD", 7)));
        bench.offer(0, &format!("node=b {}", line("CWD", 7)));
        bench.offer(0, "type=CWD msg=audit(1.001:7): x=1");
        assert_eq!(bench.joiner.waiting(), 5);
        bench.offer(0, &format!("node=b {}", line("EOE", 7)));
        assert_eq!(bench.out.len(), 1);
        bench.flush();
        let order: Vec<_> = bench.out.iter().map(|(record, _)| *record).collect();
        assert_eq!(order, [4, 1, 2, 3, 5]);
        assert_eq!(bench.joiner.waiting(), 0);
    }

    #[test]
    fn a_title_that_comes_first_waits_for_the_rest() {
        let mut bench = Bench::default();
        bench.offer(0, &line("PROCTITLE", 7));
        bench.offer(0, &line("SYSCALL", 7));
        bench.offer(0, &line("EOE", 7));
        assert_eq!(bench.out.len(), 1);
    }

    #[test]
    fn headers_of_syslog_do_not_matter() {
        let mut bench = Bench::default();
        let header = "Mar 16 10:00:00 h audispd: node=h ";
        assert!(bench.offer(0, &format!("{header}{}", line("SYSCALL", 7))));
        assert!(bench.offer(0, &format!("{header}{}", line("EOE", 7))));
        assert_eq!(bench.out.len(), 1);
        assert!(bench.offer(0, "[ 1.0] audit: type=1300 audit(1.000:9): x=1"));
        assert!(bench.offer(0, "[ 1.0] audit: type=1320 audit(1.000:9): x=1"));
        assert_eq!(bench.out.len(), 2);
    }

    #[test]
    fn bounds_hold_and_the_oldest_goes_first() {
        let mut bench = Bench::default();
        for serial in 0..=GROUPS_MAX as u64 {
            bench.offer(0, &line("SYSCALL", serial));
        }
        assert_eq!((bench.out.len(), bench.out[0].0, bench.joiner.waiting()), (1, 1, GROUPS_MAX));
        assert_eq!(bench.joiner.early(), 1);
        let mut bench = Bench::default();
        for _ in 0..=LINES_MAX {
            bench.offer(0, &line("PATH", 7));
        }
        assert_eq!((bench.out.len(), bench.joiner.waiting(), bench.joiner.early()), (1, 1, 1));
        let mut bench = Bench::default();
        let long = format!("{}{}", line("EXECVE", 7), "x".repeat(GROUP_BYTES_MAX / 2));
        bench.offer(0, &long);
        bench.offer(0, &long);
        assert_eq!((bench.out.len(), bench.joiner.waiting()), (1, 1));
        bench.joiner.forget();
        assert_eq!(bench.joiner.waiting(), 0);
    }
}
