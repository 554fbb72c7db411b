//! Reads one open file: opens nothing that could block, hands over what one read gave in one piece.
//!
//! In: a file and its [`Position`]. Out: [`Lines`], at most 256 KiB and one line at a time. One `pread` into a buffer that
//! is kept, one search for newlines, one copy.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::splitter::{FarLine, Split};
use super::tracker::Position;
use super::walk::Facts;
use crate::fingerprint::PREFIX_BYTES_MAX;
use crate::handover::{CHUNK_BYTES_MAX, Lines, Stopped, flag};

/// Opens a file to be read. Never waits for a writer of a FIFO or for a device; what is not a regular file is refused
/// before it is opened.
///
/// # Errors
/// Those of `stat` and `open`; [`ErrorKind::InvalidInput`] when it is not a regular file.
pub fn open(path: &Path) -> io::Result<(File, Facts)> {
    let not_a_file = || io::Error::new(ErrorKind::InvalidInput, "not a regular file");
    if !Facts::of(path)?.is_file {
        return Err(not_a_file());
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let facts = Facts::from(&file.metadata()?);
    if facts.is_file { Ok((file, facts)) } else { Err(not_a_file()) }
}

/// The first bytes of a file, at most [`PREFIX_BYTES_MAX`].
///
/// # Errors
/// Those of `pread`.
pub fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; PREFIX_BYTES_MAX];
    let length = read_full(file, &mut head, 0)?;
    head.truncate(length);
    Ok(head)
}

/// Where to begin in a file of which only new lines are wanted: behind its last newline, or at its end when there is
/// none nearby.
///
/// # Errors
/// Those of `pread`.
pub fn end(file: &File, size: u64) -> io::Result<u64> {
    const NEARBY: u64 = 64 * 1024;
    let from = size.saturating_sub(NEARBY);
    let mut tail = vec![0; usize::try_from(size - from).unwrap_or(0)];
    let length = read_full(file, &mut tail, from)?;
    tail.truncate(length);
    Ok(memchr::memrchr(b'\n', &tail).map_or(if from == 0 { 0 } else { size }, |at| from + at as u64 + 1))
}

/// Whether a line ends right before `offset`.
#[must_use]
pub fn line_ends_at(file: &File, offset: u64) -> bool {
    let mut byte = [0];
    offset == 0 || file.read_exact_at(&mut byte, offset - 1).is_ok() && byte == *b"\n"
}

/// Why [`Reader::turn`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TurnEnd {
    /// At the end of the file.
    End,
    /// There is more; others first.
    More,
    /// The file shrank underneath: judge it again.
    Shrank,
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub enum TurnFailure {
    /// A read failed; what was read before it is handed over.
    #[error("read failed: {0}")]
    Read(#[from] io::Error),
    /// The outlet takes no more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The buffer of a source and its bound for lines.
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    line_bytes_max: usize,
}

impl Reader {
    /// Keeps `line_bytes_max` bytes of a line.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self { buffer: Vec::new(), line_bytes_max }
    }

    /// Gives the buffers back until the next turn.
    pub fn rest(&mut self) {
        self.buffer = Vec::new();
        Lines::forget_spares();
    }

    /// Reads at most about `budget` bytes from where the file stands and hands over every line that has ended.
    ///
    /// # Errors
    /// [`TurnFailure`]; `position` then stands where the last hand-over left it.
    pub fn turn(
        &mut self,
        file: &File,
        position: &mut Position,
        budget: u64,
        mut hand_over: impl FnMut(&Position, Lines) -> Result<(), Stopped>,
    ) -> Result<TurnEnd, TurnFailure> {
        let mut budget = budget;
        self.buffer.resize(CHUNK_BYTES_MAX, 0);
        loop {
            let at = position.splitter.wanted();
            let length = read_once(file, &mut self.buffer, at)?;
            let bytes = self.buffer.get(..length).unwrap_or_default();
            if length == 0 && at < position.splitter.scanned() {
                return Ok(TurnEnd::Shrank);
            }
            loop {
                let mut lines = Lines::with_capacity(length);
                let split = position.splitter.split(at, bytes, self.line_bytes_max, &mut lines);
                position.prefix.extend(at, bytes, position.splitter.start());
                if let Split::Far(far) = split
                    && !push_far(file, position, far, self.line_bytes_max, &mut lines)?
                {
                    position.splitter.rescan();
                    hand_over_if_any(position, lines, &mut hand_over)?;
                    return Ok(TurnEnd::Shrank);
                }
                hand_over_if_any(position, lines, &mut hand_over)?;
                if split == Split::Done {
                    break;
                }
            }
            if length < self.buffer.len() {
                return Ok(TurnEnd::End);
            }
            budget = budget.saturating_sub(length as u64);
            if budget == 0 {
                return Ok(TurnEnd::More);
            }
        }
    }

    /// The unfinished line at the end of a file that will not grow again.
    ///
    /// # Errors
    /// Those of `pread`.
    pub fn finish(&self, file: &File, position: &mut Position) -> io::Result<Lines> {
        let mut lines = Lines::default();
        if let Some(far) = position.splitter.unfinished() {
            push_far(file, position, far, self.line_bytes_max, &mut lines)?;
        }
        Ok(lines)
    }
}

fn hand_over_if_any(
    position: &Position,
    lines: Lines,
    hand_over: &mut impl FnMut(&Position, Lines) -> Result<(), Stopped>,
) -> Result<(), Stopped> {
    if lines.marks.is_empty() {
        lines.leave();
        return Ok(());
    }
    hand_over(position, lines)
}

/// Whether the line was there as long as it was seen to be.
fn push_far(file: &File, position: &mut Position, far: FarLine, max: usize, lines: &mut Lines) -> io::Result<bool> {
    let size = far.end - far.start;
    let mut kept = vec![0; usize::try_from(size).unwrap_or(max).min(max)];
    if read_full(file, &mut kept, far.start)? < kept.len() {
        return Ok(false);
    }
    let cut = if (kept.len() as u64) < size { flag::TRUNCATED } else { 0 };
    lines.push(&kept, far.start, size, far.flags | cut);
    position.splitter.pass(far.next);
    position.prefix.extend(far.start, &kept, far.next);
    Ok(true)
}

fn read_once(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, at) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read_once(file, rest, at + filled as u64)? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::scratch::Folder;

    fn read_all(content: &[u8], max: usize) -> (Vec<Lines>, Position) {
        let folder = Folder::new();
        fs::write(folder.path("a"), content).unwrap();
        let (file, _) = open(&folder.path("a")).unwrap();
        let (mut position, mut chunks) = (Position::new(0, b""), Vec::new());
        let mut reader = Reader::new(max);
        let take = |_: &Position, lines| {
            chunks.push(lines);
            Ok(())
        };
        assert_eq!(reader.turn(&file, &mut position, u64::MAX, take).unwrap(), TurnEnd::End);
        chunks.push(reader.finish(&file, &mut position).unwrap());
        (chunks, position)
    }

    #[test]
    fn everything_is_read_in_bounded_pieces() {
        let content: Vec<u8> = (0..30_000).flat_map(|i| format!("line number {i}\n").into_bytes()).collect();
        let (chunks, position) = read_all(&content, 1000);
        let lines: Vec<u8> = chunks.iter().flat_map(Lines::iter).flat_map(|(_, line)| [line, b"\n"].concat()).collect();
        assert_eq!(lines, content);
        assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.bytes.len() <= CHUNK_BYTES_MAX));
        assert_eq!(position, Position::new(content.len() as u64, &content[..1024]));
    }

    #[test]
    fn ten_megabytes_in_a_line_are_cut_with_their_size_and_the_file_goes_on() {
        for (terminator, flags) in [(&b"\n"[..], 0), (b"\r\n", flag::CRLF)] {
            let content = [b"first\n", &vec![b'x'; 10_000_000][..], terminator, b"after\nhalf"].concat();
            let (chunks, _) = read_all(&content, 512 * 1024);
            assert!(chunks.iter().all(|chunk| chunk.bytes.len() <= CHUNK_BYTES_MAX + 512 * 1024));
            let lines: Vec<_> = chunks.iter().flat_map(Lines::iter).map(|(mark, line)| (*mark, line.len())).collect();
            assert_eq!(lines.iter().map(|(_, length)| *length).collect::<Vec<_>>(), [5, 512 * 1024, 5, 4]);
            assert_eq!((lines[1].0.full_size, lines[1].0.flags), (10_000_000, flag::TRUNCATED | flags));
            assert_eq!((lines[3].0.full_size, lines[3].0.flags), (4, flag::UNTERMINATED));
        }
    }

    #[test]
    fn line_longer_than_the_buffer_and_within_the_bound_is_whole() {
        let line: Vec<u8> = (0..400_000u32).map(|i| u8::try_from(i % 10).unwrap() + b'0').collect();
        let (chunks, position) = read_all(&[&line[..], b"\nafter\n"].concat(), 512 * 1024);
        let lines: Vec<_> = chunks.iter().flat_map(Lines::iter).collect();
        assert_eq!((lines[0].1, lines[0].0.flags, lines[1].1), (&line[..], 0, &b"after"[..]));
        assert_eq!(position.prefix, Prefix::new(&line[..1024], 400_007));
    }

    #[test]
    fn budget_ends_a_turn_and_the_next_goes_on() {
        let folder = Folder::new();
        fs::write(folder.path("a"), b"0123456789abcde\n".repeat(3 * 16 * 1024)).unwrap();
        let (file, _) = open(&folder.path("a")).unwrap();
        let (mut position, mut reader, mut turns) = (Position::new(0, b""), Reader::new(100), 0);
        while reader.turn(&file, &mut position, 1, |_, _| Ok(())).unwrap() == TurnEnd::More {
            turns += 1;
        }
        assert_eq!((turns, position.splitter.start()), (3, 3 * 256 * 1024));
    }

    #[test]
    fn fifos_folders_and_devices_are_refused_without_waiting() {
        let folder = Folder::new();
        let fifo = folder.path("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        for path in [fifo.as_path(), folder.as_ref(), Path::new("/dev/null")] {
            assert_eq!(open(path).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", path.display());
        }
        assert_eq!(open(&folder.path("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn end_is_behind_the_last_whole_line() {
        let folder = Folder::new();
        let far = [&vec![b'x'; 100_000][..], b"\n", &vec![b'y'; 70_000]].concat();
        for (content, expected) in [(&b""[..], 0), (b"half", 0), (b"one\n", 4), (b"one\nhalf", 4), (&far, 170_001)] {
            fs::write(folder.path("a"), content).unwrap();
            let (file, facts) = open(&folder.path("a")).unwrap();
            assert_eq!(end(&file, facts.size).unwrap(), expected);
        }
    }

    use crate::fingerprint::Prefix;
}
