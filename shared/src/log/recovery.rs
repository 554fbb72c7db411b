//! Opening a log after anything: which bytes count, which are damage, which are a torn tail.
//!
//! Bad bytes below the largest `committed_through` that any record carries were durable once: they are damage,
//! skipped, set aside in `quarantine/`, and reported. Bad bytes above it never were: a torn tail, which is cut
//! (with every record in it, since none of them was committed). Continuity is proven when the newest segment's
//! state reads and every byte from there to the torn tail parses; without proof the owner begins a new epoch.
//! Any state of the disk opens.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::quarantine::Quarantine;
use super::segment::{Found, Scanner};
use super::{File, Fs, Kind, Log, Options, Record, SEGMENT_HEADER_LEN, Segment, SegmentHeader, segment_first};
use crate::time::Clock;

/// Files are copied and overwritten in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;

/// Bytes of the log that did not read back as they were written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damage {
    /// First log offset.
    pub from: u64,
    /// Log offset behind it.
    pub to: u64,
}

/// What opening found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// There was no log: a new one was made.
    pub created: bool,
    /// Nothing can be missing between the newest state and the end.
    pub continuity: bool,
    /// Damage behind the state that was used. Older segments are checked when they are read.
    pub damage: Vec<Damage>,
    /// The torn tail that was cut.
    pub cut: Option<Damage>,
    /// Files that are no segments of this log, set aside.
    pub foreign: Vec<String>,
    /// By their names and sizes the files set aside may have held log offsets below this one.
    pub lost_through: u64,
}

/// An open log and what opening it found.
pub struct Opened {
    /// The log, ready for appends. Without continuity the owner rolls before it appends.
    pub log: Log,
    /// What was found.
    pub report: Report,
}

struct Candidate {
    name: String,
    header: SegmentHeader,
    size: u64,
}

pub(super) fn open(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: Options,
    clock: Clock,
    visit: &mut dyn FnMut(&Record<'_>),
    fresh: &dyn Fn() -> Vec<u8>,
) -> io::Result<Opened> {
    fs.create_dir(dir)?;
    let mut report = Report::default();
    let shelf = Quarantine { fs: fs.as_ref(), dir, bytes_max: options.quarantine_bytes_max };
    let candidates = candidates(fs.as_ref(), dir, &shelf, &mut report)?;
    let Some(newest) = candidates.last() else {
        return create(fs, dir, options, clock, fresh, report);
    };
    let (log_id, newest_first) = (newest.header.log_id, newest.header.first);
    let start = replay_start(fs.as_ref(), dir, &candidates);
    let mut tail = Tail { end: newest_first, proven: 0, state: false, damage: Vec::new(), cut: None };
    for (i, candidate) in candidates.iter().enumerate().skip(start) {
        let end = candidates.get(i + 1).map_or(u64::MAX, |next| next.header.first);
        let scan = || Scanner::new(fs.open_read(&dir.join(&candidate.name))?, &candidate.header, 0, end);
        tail = replay(scan, end, visit)?;
        report.damage.append(&mut tail.damage);
    }
    report.cut = tail.cut;
    // A segment behind the newest that reads as one may have been ours: then what it held is missing.
    let newest_is_ours = report.lost_through <= tail.end;
    report.continuity = tail.state && newest_is_ours && report.damage.is_empty() && start + 1 == candidates.len();
    for damage in &report.damage {
        if let Some(candidate) = candidates.iter().rfind(|candidate| candidate.header.first <= damage.from) {
            shelf.set_aside_range(&candidate.name, candidate.header.first, *damage);
        }
    }
    let active = fs.open(&dir.join(&newest.name))?;
    let place = |offset: u64| SEGMENT_HEADER_LEN + (offset - newest_first);
    // Zeros where the tail was: bytes of a record that never became durable must not meet later ones. (Written,
    // not cut off: the room that was set aside must not go to somebody else while the disk is full.)
    let distrusted = tail.cut.is_some_and(|_| zero_out(active.as_ref(), place(tail.end), newest.size).is_err());
    // What was found above the proven part may never have been synced, or have failed to: a program that was
    // killed leaves it in the page cache only. It is written anew and synced before anybody hears of it.
    rewrite(active.as_ref(), place(tail.proven.max(newest_first).min(tail.end)), place(tail.end))?;
    active.sync()?;
    fs.sync_dir(dir)?;
    let segments = candidates.iter().enumerate().map(|(i, candidate)| {
        let bytes = candidates.get(i + 1).map_or(candidate.size, |next| shorten(fs.as_ref(), dir, candidate, next));
        Segment { first: candidate.header.first, bytes }
    });
    let log = Log {
        dir: dir.to_path_buf(),
        clock,
        options,
        id: log_id,
        segments: segments.collect(),
        active,
        committed: tail.end,
        buffer: Vec::new(),
        pending: Vec::new(),
        written: 0,
        distrusted,
        digest: None,
        digest_ahead: None,
        kept_free: 0,
        quota: None,
        counted: 0,
        fs: Arc::clone(&fs),
    };
    Ok(Opened { log, report })
}

fn create(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: Options,
    clock: Clock,
    fresh: &dyn Fn() -> Vec<u8>,
    report: Report,
) -> io::Result<Opened> {
    let mut id = [0u8; 16];
    crate::identity::fill_random(&mut id);
    // A file that is never written to stands for the active one until the first segment is there.
    let active = fs.create(&dir.join("next.tmp"), 0)?;
    let mut log = Log {
        fs,
        dir: dir.to_path_buf(),
        clock,
        options,
        id,
        segments: std::collections::VecDeque::new(),
        active,
        committed: 0,
        buffer: Vec::new(),
        pending: Vec::new(),
        written: 0,
        distrusted: false,
        digest: None,
        digest_ahead: None,
        kept_free: 0,
        quota: None,
        counted: 0,
    };
    let state = fresh();
    super::encode_record(&mut log.buffer, &log.id, 0, 0, (Kind::State, false), &[&state]);
    log.make_segment(log.segment_size(state.len(), 0))?;
    log.committed = log.end();
    log.buffer.clear();
    // Files that were set aside may have been all that there was of this log.
    let continuity = report.foreign.is_empty();
    Ok(Opened { log, report: Report { created: true, continuity, ..report } })
}

/// The segments of this log, oldest first. Files that are none are set aside; a half-made next one is removed.
fn candidates(fs: &dyn Fs, dir: &Path, shelf: &Quarantine<'_>, report: &mut Report) -> io::Result<Vec<Candidate>> {
    let (mut found, mut headless) = (Vec::new(), Vec::new());
    for name in fs.list(dir)? {
        let path = dir.join(&name);
        if name == "next.tmp" {
            let _ = fs.remove(&path);
        }
        let Some(first) = segment_first(&name) else { continue };
        let file = fs.open_read(&path)?;
        let (size, header) = (file.size()?, SegmentHeader::read(file.as_ref()).unwrap_or(None));
        match header.filter(|header| header.first == first) {
            Some(header) => found.push(Candidate { name, header, size }),
            None => headless.push((name, first, size)),
        }
    }
    found.sort_by_key(|candidate| candidate.header.first);
    let ours = most_common(found.iter().map(|candidate| candidate.header.log_id));
    let mut foreign = Vec::new();
    if let Some(log_id) = ours {
        found.retain(|candidate| {
            if candidate.header.log_id != log_id {
                foreign.push((candidate.name.clone(), candidate.header.first, candidate.size));
            }
            candidate.header.log_id == log_id
        });
        headless.retain(|(name, first, size)| {
            let header = SegmentHeader { log_id, first: *first, created_at: crate::time::Timestamp(0) };
            let is_ours = restore_header(fs, &dir.join(name), &header).unwrap_or(false);
            if is_ours {
                tracing::warn!(file = name, log = %dir.display(), "a segment had lost its header; it was written anew");
                found.push(Candidate { name: name.clone(), header, size: *size });
            }
            !is_ours
        });
        found.sort_by_key(|candidate| candidate.header.first);
    }
    for (name, first, size) in headless.into_iter().chain(foreign) {
        shelf.set_aside(&name);
        report.lost_through = report.lost_through.max(first.saturating_add(size));
        report.foreign.push(name);
    }
    Ok(found)
}

/// The id that most segments have; of equals the one of the newest.
fn most_common(ids: impl Iterator<Item = [u8; 16]>) -> Option<[u8; 16]> {
    let mut counts: BTreeMap<[u8; 16], (usize, usize)> = BTreeMap::new();
    for (age, id) in ids.enumerate() {
        let known = counts.entry(id).or_default();
        *known = (known.0 + 1, age);
    }
    counts.into_iter().max_by_key(|(_, rank)| *rank).map(|(id, _)| id)
}

/// Puts `header` in front of a file in which a record shows that it belongs there; whether one does.
fn restore_header(fs: &dyn Fs, path: &Path, header: &SegmentHeader) -> io::Result<bool> {
    let mut scanner = Scanner::new(fs.open_read(path)?, header, 0, u64::MAX)?;
    let is_ours =
        std::iter::from_fn(|| scanner.find_next().map(|found| matches!(found, Found::Record(_)))).any(|is| is);
    if is_ours {
        let file = fs.open(path)?;
        file.write_all_at(&header.encode(), 0)?;
        file.sync()?;
    }
    Ok(is_ours)
}

/// The last segment whose state reads, or the oldest.
fn replay_start(fs: &dyn Fs, dir: &Path, candidates: &[Candidate]) -> usize {
    let reads = |candidate: &Candidate| {
        let file = fs.open_read(&dir.join(&candidate.name)).ok()?;
        let mut scanner = Scanner::new(file, &candidate.header, 0, u64::MAX).ok()?;
        match scanner.find_next() {
            Some(Found::Record(record)) if record.kind == Kind::State => Some(()),
            _ => None,
        }
    };
    candidates.iter().rposition(|candidate| reads(candidate).is_some()).unwrap_or(0)
}

/// Gives back what a finished segment set aside and did not use: it may have been given back before, and a power loss
/// have undone that. Returns its size.
fn shorten(fs: &dyn Fs, dir: &Path, segment: &Candidate, next: &Candidate) -> u64 {
    let used = SEGMENT_HEADER_LEN + (next.header.first - segment.header.first);
    let is_longer = segment.size > used;
    let cut = || fs.open(&dir.join(&segment.name)).and_then(|file| file.cut(used, 0));
    if is_longer && cut().is_ok() { used } else { segment.size }
}

/// Writes `[from, to)` of a file over itself.
fn rewrite(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    each_piece(file, from, to, |piece, at| file.write_all_at(piece, at))
}

/// Writes zeros over whatever in `[from, to)` of a file is none.
fn zero_out(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    each_piece(file, from, to, |piece, at| {
        if piece.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        piece.fill(0);
        file.write_all_at(piece, at)
    })
}

/// Reads `[from, to)` of a file, or what of it there is, in pieces.
pub(super) fn each_piece(
    file: &dyn File,
    from: u64,
    to: u64,
    mut take: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX).min(PIECE_BYTES)];
    let mut at = from;
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let Some(piece) = buffer.get_mut(..want) else { break };
        let got = file.read_at(piece, at)?;
        let Some(piece) = piece.get_mut(..got).filter(|piece| !piece.is_empty()) else { break };
        take(piece, at)?;
        at += got as u64;
    }
    Ok(())
}

struct Tail {
    end: u64,
    /// Everything below was durable before this start.
    proven: u64,
    state: bool,
    damage: Vec<Damage>,
    cut: Option<Damage>,
}

/// Records of a unit of which the last was not met yet: held back, since it counts as a whole. Bounded by what is
/// appended as one.
#[derive(Default)]
struct Unit(Vec<(u64, Kind, u64, Vec<u8>)>);

impl Unit {
    fn take(&mut self, record: &Record<'_>, visit: &mut dyn FnMut(&Record<'_>)) {
        if record.continues {
            self.0.push((record.offset, record.kind, record.committed_through, record.payload.to_vec()));
            return;
        }
        self.release(visit);
        visit(record);
    }

    /// Shows what is held back.
    fn release(&mut self, visit: &mut dyn FnMut(&Record<'_>)) {
        for (offset, kind, committed_through, payload) in self.0.drain(..) {
            visit(&Record { offset, kind, committed_through, continues: true, payload: &payload });
        }
    }

    /// Forgets what is held back; where it began.
    fn drop_open(&mut self) -> Option<u64> {
        let first = self.0.first().map(|(offset, ..)| *offset);
        self.0.clear();
        first
    }
}

/// Visits the records of one segment, which ends where the next one begins: at `end`. In the newest one (`end` is
/// `u64::MAX`) the first bad bytes above everything that is known to be committed end it.
fn replay(scan: impl Fn() -> io::Result<Scanner>, end: u64, visit: &mut dyn FnMut(&Record<'_>)) -> io::Result<Tail> {
    let is_newest = end == u64::MAX;
    // How far was this segment certainly durable? Later records say so of the bytes before them. Of those that
    // cannot be read nobody knows.
    let mut proven = 0;
    let mut scanner = scan()?;
    let first = scanner.at();
    while let Some(found) = scanner.find_next() {
        if let Found::Record(record) = found {
            proven = proven.max(record.committed_through);
        }
    }
    let scanned_to = scanner.at();
    proven = proven.max(scanner.unreadable_to());
    let mut tail = Tail { end: first, proven, state: false, damage: Vec::new(), cut: None };
    let mut unit = Unit::default();
    let mut scanner = scan()?;
    while let Some(found) = scanner.find_next() {
        match found {
            Found::Record(record) => {
                tail.state |= record.kind == Kind::State && record.offset == first;
                tail.end = record.end();
                unit.take(&record, visit);
            }
            Found::Gap { from, to, zero } if is_newest && from >= proven => {
                // Zeros alone are the room that was set aside; anything else was torn. So was a unit without end.
                let from = unit.drop_open().unwrap_or(from);
                tail.cut = (!zero || to < scanned_to || from < tail.end).then_some(Damage { from, to: scanned_to });
                tail.end = from;
                break;
            }
            // Damage up to the end of the newest segment ends where nothing is known of what follows.
            Found::Gap { from, to, zero } if is_newest && to == scanned_to => {
                unit.release(visit);
                let to = to.min(proven.max(from + 8));
                tail.damage.push(Damage { from, to });
                tail.cut = (!zero && to < scanned_to).then_some(Damage { from: to, to: scanned_to });
                tail.end = to;
            }
            Found::Gap { from, to, .. } => {
                // Damage inside what was committed: every record that is left counts.
                unit.release(visit);
                tail.damage.push(Damage { from, to });
                tail.end = to;
            }
        }
    }
    if !is_newest {
        unit.release(visit);
    }
    if let Some(from) = unit.drop_open() {
        tail.cut = Some(Damage { from, to: scanned_to });
        tail.end = from;
    }
    if !is_newest && tail.end < end {
        // The file became shorter.
        match tail.damage.last_mut().filter(|damage| damage.to == tail.end) {
            Some(damage) => damage.to = end,
            None => tail.damage.push(Damage { from: tail.end, to: end }),
        }
    }
    Ok(tail)
}

/// What an offline check of one log found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Segments read.
    pub segments: u64,
    /// Records whose checksum held.
    pub records: u64,
    /// Bytes of frames among them.
    pub frame_bytes: u64,
    /// Damage in finished segments, and below what is known to be committed in the newest.
    pub damage: Vec<Damage>,
    /// Segments whose state does not read, by first log offset.
    pub stateless: Vec<u64>,
    /// A tail that the next start will cut.
    pub torn: Option<Damage>,
    /// Files with a segment's name that are none.
    pub foreign: Vec<String>,
}

/// Reads every byte of the log in `dir` without changing anything; `visit` sees each record.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn verify(fs: &dyn Fs, dir: &Path, visit: &mut dyn FnMut(&Record<'_>)) -> io::Result<Verified> {
    let mut out = Verified::default();
    let mut files = Vec::new();
    for name in fs.list(dir)? {
        let Some(first) = segment_first(&name) else { continue };
        let header = SegmentHeader::read(fs.open_read(&dir.join(&name))?.as_ref())?;
        match header.filter(|header| header.first == first) {
            Some(header) => files.push((header, name)),
            None => out.foreign.push(name),
        }
    }
    files.sort_by_key(|(header, _)| header.first);
    for (i, (header, name)) in files.iter().enumerate() {
        let end = files.get(i + 1).map_or(u64::MAX, |(next, _)| next.first);
        let scan = || Scanner::new(fs.open_read(&dir.join(name))?, header, 0, end);
        let mut tail = replay(scan, end, &mut |record| {
            out.records += 1;
            out.frame_bytes += if record.kind == Kind::Frame { record.payload.len() as u64 } else { 0 };
            visit(record);
        })?;
        out.segments += 1;
        out.damage.append(&mut tail.damage);
        out.torn = tail.cut;
        if !tail.state {
            out.stateless.push(header.first);
        }
    }
    Ok(out)
}
