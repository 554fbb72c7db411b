//! JSON lines in a file or on standard output: one OCSF event a line.
//!
//! Events come in; lines go out. In a file each event stands once: what was written behind the last commit is cut off when
//! the file is opened again, and written anew. A program that follows the file may see such lines twice. On standard output an
//! event may come twice after a crash, with the same `metadata.uid`.
//!
//! Invariants: the cursor names the file (its inode) and how many of its bytes are committed; it is replaced after the bytes
//! were synced, and before anything is written to another file. A file that somebody moved away (logrotate) is finished where
//! it is and a new one begun at the next commit; one that was truncated goes on at its end. Memory: one buffer of `BUFFER_BYTES` and the longest line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use shared::fault;

use super::cursor::{self, Cursor};
use super::{Committed, Sink, SinkError};
use crate::event::{Event, json};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// Mode of a file of events.
const MODE: u32 = 0o640;

/// Where lines go, and where the cursor is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The file; none is standard output.
    pub path: Option<PathBuf>,
    /// The cursor's file.
    pub cursor: PathBuf,
}

impl Settings {
    pub(super) fn of_replay(&self, id: &str) -> Self {
        let beside = |path: &Path| {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".replay-{id}"));
            path.with_file_name(name)
        };
        Self { path: self.path.as_deref().map(beside), cursor: beside(&self.cursor) }
    }

    pub(super) fn place(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(|| PathBuf::from("/dev/stdout"))
    }

    pub(super) fn peek(&self) -> Result<u64, SinkError> {
        Ok(cursor::read(&self.cursor)?.cut)
    }
}

/// An open file of lines, or standard output.
pub struct Lines {
    settings: Settings,
    file: Option<File>,
    cursor: Cursor,
    buffer: String,
    pushed: u64,
}

impl Lines {
    /// Opens the file and cuts off what was not committed.
    ///
    /// # Errors
    /// The disk's, or the cursor's.
    pub fn open(settings: &Settings) -> Result<Self, SinkError> {
        let cursor = cursor::read(&settings.cursor)?;
        let mut lines = Self {
            settings: settings.clone(),
            file: None,
            cursor,
            buffer: String::with_capacity(BUFFER_BYTES),
            pushed: 0,
        };
        if let Some(path) = &settings.path {
            let file = open(path)?;
            let metadata = file.metadata().map_err(|source| failed("look at", path, source))?;
            if metadata.ino() == cursor.inode && metadata.len() > cursor.bytes {
                file.set_len(cursor.bytes).map_err(|source| failed("cut what was not committed off", path, source))?;
            }
            lines.begin(file, path.clone())?;
        }
        Ok(lines)
    }

    /// Goes on at the end of a file; the cursor knows it before anything is written to it.
    fn begin(&mut self, file: File, path: PathBuf) -> Result<(), SinkError> {
        let metadata = file.metadata().map_err(|source| failed("look at", &path, source))?;
        let cursor = Cursor { cut: self.cursor.cut, bytes: metadata.len(), inode: metadata.ino() };
        if cursor != self.cursor {
            cursor::write(&self.settings.cursor, &cursor)?;
            self.cursor = cursor;
        }
        self.file = Some(file);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let written = match &mut self.file {
            Some(file) => file.write_all(self.buffer.as_bytes()),
            None => {
                let mut out = io::stdout().lock();
                out.write_all(self.buffer.as_bytes()).and_then(|()| out.flush())
            }
        };
        written.map_err(|source| failed("write to", &self.settings.place(), source))?;
        self.buffer.clear();
        fault::point("ndjson.written");
        Ok(())
    }

    /// A file that was moved away is left; the next one is begun.
    fn follow(&mut self) -> Result<(), SinkError> {
        let (Some(path), Some(file)) = (self.settings.path.clone(), &self.file) else { return Ok(()) };
        let path = &path;
        let here = file.metadata().map_err(|source| failed("look at", path, source))?;
        let same = std::fs::metadata(path).is_ok_and(|there| (there.ino(), there.dev()) == (here.ino(), here.dev()));
        if same { Ok(()) } else { self.begin(open(path)?, path.clone()) }
    }
}

fn open(path: &Path) -> Result<File, SinkError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| failed("create", folder, source))?;
    }
    let opened = OpenOptions::new().append(true).create(true).mode(MODE).open(path);
    opened.map_err(|source| failed("open", path, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> SinkError {
    SinkError::Io { action, path: path.to_owned(), source }
}

impl Sink for Lines {
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        json::write(event, &mut self.buffer);
        self.buffer.push('\n');
        self.pushed += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn commit(&mut self, to: u64) -> Result<Committed, SinkError> {
        if to < self.cursor.cut || (to == self.cursor.cut && self.pushed > 0) {
            let (path, cursor) = (self.settings.place(), self.cursor.cut);
            return Err(SinkError::Backwards { path, cursor, to });
        }
        self.flush()?;
        let mut cursor = Cursor { cut: to, ..Cursor::default() };
        if let (Some(file), Some(path)) = (&self.file, &self.settings.path) {
            file.sync_data().map_err(|source| failed("sync", path, source))?;
            fault::point("ndjson.synced");
            let metadata = file.metadata().map_err(|source| failed("look at", path, source))?;
            (cursor.bytes, cursor.inode) = (metadata.len(), metadata.ino());
        }
        cursor::write(&self.settings.cursor, &cursor)?;
        self.cursor = cursor;
        self.follow()?;
        Ok(Committed::all(std::mem::take(&mut self.pushed)))
    }

    fn cursor(&self) -> u64 {
        self.cursor.cut
    }
}

#[cfg(test)]
mod tests {
    use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
    use shared::time::Timestamp;

    use super::super::parquet::testing::Folder;
    use super::*;

    fn event(record: u64) -> Event<'static> {
        let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
        Event::new(EventId { chain, record, part: 0 }, Timestamp::from_ms(5), Timestamp(0))
    }

    fn settings(folder: &Folder) -> Settings {
        Settings { path: Some(folder.0.join("out/events.ndjson")), cursor: folder.0.join("cursors/out") }
    }

    fn lines(path: &Path) -> usize {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().for_each(|line| assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}"));
        text.lines().count()
    }

    #[test]
    fn what_was_not_committed_is_cut_off_and_written_anew() {
        let folder = Folder::new();
        let settings = settings(&folder);
        let path = settings.path.clone().unwrap();
        let mut sink = Lines::open(&settings).unwrap();
        (1..=3).for_each(|record| sink.push(&event(record)).unwrap());
        assert_eq!(sink.commit(7).unwrap(), Committed::all(3));
        (4..=5).for_each(|record| sink.push(&event(record)).unwrap());
        sink.flush().unwrap();
        assert_eq!(lines(&path), 5);
        drop(sink);
        let mut sink = Lines::open(&settings).unwrap();
        assert_eq!((sink.cursor(), lines(&path)), (7, 3));
        (4..=5).for_each(|record| sink.push(&event(record)).unwrap());
        assert_eq!(sink.commit(9).unwrap(), Committed::all(2));
        assert_eq!((settings.peek().unwrap(), lines(&path)), (9, 5));
        assert!(matches!(sink.commit(8), Err(SinkError::Backwards { .. })));
    }

    #[test]
    fn file_that_was_moved_away_is_finished_and_another_begun() {
        let folder = Folder::new();
        let settings = settings(&folder);
        let path = settings.path.clone().unwrap();
        let mut sink = Lines::open(&settings).unwrap();
        sink.push(&event(1)).unwrap();
        sink.commit(1).unwrap();
        let moved = path.with_extension("1");
        std::fs::rename(&path, &moved).unwrap();
        sink.push(&event(2)).unwrap();
        sink.commit(2).unwrap();
        sink.push(&event(3)).unwrap();
        sink.commit(3).unwrap();
        assert_eq!((lines(&moved), lines(&path)), (2, 1));
        drop(sink);
        std::fs::write(&path, b"").unwrap();
        let mut sink = Lines::open(&settings).unwrap();
        sink.push(&event(4)).unwrap();
        sink.commit(4).unwrap();
        assert_eq!(lines(&path), 1, "a file that was truncated goes on at its end");
    }

    #[test]
    fn what_was_not_committed_to_a_file_that_was_begun_after_a_rotation_is_cut_off_too() {
        let folder = Folder::new();
        let settings = settings(&folder);
        let path = settings.path.clone().unwrap();
        let mut sink = Lines::open(&settings).unwrap();
        sink.push(&event(1)).unwrap();
        std::fs::rename(&path, path.with_extension("1")).unwrap_or_default();
        sink.commit(1).unwrap();
        sink.push(&event(2)).unwrap();
        sink.flush().unwrap();
        assert_eq!(lines(&path), 1);
        drop(sink);
        drop(Lines::open(&settings).unwrap());
        assert_eq!(lines(&path), 0, "the cursor knows the file that was begun");
        // The same where it was moved away while nobody had it open.
        std::fs::rename(&path, path.with_extension("2")).unwrap();
        let mut sink = Lines::open(&settings).unwrap();
        sink.push(&event(2)).unwrap();
        sink.flush().unwrap();
        drop(sink);
        drop(Lines::open(&settings).unwrap());
        assert_eq!((settings.peek().unwrap(), lines(&path)), (1, 0));
    }
}
