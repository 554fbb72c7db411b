//! Dead letters: events that a store will not have, kept until somebody decides.
//!
//! One file a sink, `dlq/<sink>.ndjson`: a line is `{"at": ms, "reason": "…", "event": {…}}`, appended and synced before the
//! commit that counts it as rejected. `picket-aggregator dlq replay` moves the file to `<sink>.replay`; the sink offers what
//! lies there to its store again as soon as nothing else is under way, appends what is refused again, and removes it.
//!
//! Bounds: [`BYTES_MAX`] a sink; at that, and on a full disk, the sink fails and waits, so that nothing is lost in silence. A
//! crash between the append and the commit can leave a letter twice, with the same `metadata.uid`. A line that was torn by a
//! crash or a full disk ends where the next append begins: it spoils no other, and its letter is appended again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared::durable::{DurableError, PRIVATE, STATE_FOLDER, Writer};
use shared::time::Timestamp;

/// Most bytes of one sink's letters.
pub const BYTES_MAX: u64 = 256 << 20;
/// Longest line that is read back.
const LINE_BYTES_MAX: usize = 16 << 20;

/// The letters of one sink.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letters {
    folder: PathBuf,
    sink: String,
}

/// A line of the file.
#[derive(Deserialize)]
struct Letter<'l> {
    at: i64,
    #[serde(borrow)]
    reason: Cow<'l, str>,
    #[serde(borrow)]
    event: &'l serde_json::value::RawValue,
}

/// What lies there.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pile {
    /// Letters.
    pub letters: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was refused.
    pub oldest: Option<Timestamp>,
    /// Why the newest was refused.
    pub last_reason: Option<String>,
    /// Letters that wait to be offered again.
    pub replaying: u64,
    /// Lines that do not read; they stay.
    pub damaged: u64,
}

impl Letters {
    /// The letters of `sink` in the folder `dlq` of a state folder.
    #[must_use]
    pub fn of(state_dir: &Path, sink: &str) -> Self {
        Self { folder: state_dir.join("dlq"), sink: sink.to_owned() }
    }

    /// Those in the folder `dlq` of a state folder, by the name of their sink: also of sinks that are no longer configured.
    ///
    /// # Errors
    /// The disk's.
    pub fn all(state_dir: &Path) -> Result<BTreeMap<String, Self>, DurableError> {
        let folder = state_dir.join("dlq");
        let failed = |error| DurableError::new("list", &folder, error);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries.map_err(failed)?,
        };
        let mut all = BTreeMap::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let sink =
                name.to_str().and_then(|name| name.strip_suffix(".ndjson").or_else(|| name.strip_suffix(".replay")));
            if let Some(sink) = sink {
                all.insert(sink.to_owned(), Self::of(state_dir, sink));
            }
        }
        Ok(all)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.ndjson", self.sink))
    }

    fn replay_path(&self) -> PathBuf {
        self.folder.join(format!("{}.replay", self.sink))
    }

    /// Appends letters: the JSON of an event each, and why it was refused. They are durable after `Ok`.
    ///
    /// # Errors
    /// The disk's; the bound.
    pub(super) fn append(&self, now: Timestamp, letters: &[(String, String)]) -> Result<(), DurableError> {
        if letters.is_empty() {
            return Ok(());
        }
        if !self.folder.exists() {
            let above = self.folder.parent().unwrap_or_else(|| Path::new("."));
            Writer::for_owner_of(above)?.folder(&self.folder, STATE_FOLDER)?;
        }
        let path = self.path();
        let failed = |doing| {
            let path = path.clone();
            move |error| DurableError::new(doing, &path, error)
        };
        let mut file = Writer::for_owner_of(&self.folder)?.open_append(&path, PRIVATE)?;
        let mut text = String::new();
        for (event, reason) in letters {
            let reason = serde_json::Value::from(reason.as_str());
            text.push_str(&format!("{{\"at\":{},\"reason\":{reason},\"event\":{event}}}\n", now.as_ms()));
        }
        let standing = file.metadata().map_err(failed("look at"))?.len();
        if is_torn(&file, standing).map_err(failed("read"))? {
            text.insert(0, '\n');
        }
        if standing + text.len() as u64 > BYTES_MAX {
            let why = format!(
                "it has {standing} bytes of at most {BYTES_MAX}; `picket-aggregator dlq list`, then replay or purge"
            );
            return Err(failed("add to")(io::Error::new(ErrorKind::StorageFull, why)));
        }
        file.write_all(text.as_bytes()).map_err(failed("write"))?;
        file.sync_data().map_err(failed("sync"))
    }

    /// What lies there. Reads all of it.
    ///
    /// # Errors
    /// The disk's.
    pub fn pile(&self) -> Result<Pile, DurableError> {
        let mut pile = Pile::default();
        each(&self.path(), &mut |line| {
            pile.bytes += line.len() as u64 + 1;
            match serde_json::from_str::<Letter<'_>>(line) {
                Ok(letter) => {
                    pile.letters += 1;
                    let at = Timestamp::from_ms(letter.at);
                    pile.oldest = Some(pile.oldest.map_or(at, |oldest| oldest.min(at)));
                    pile.last_reason = Some(letter.reason.into_owned());
                }
                Err(_) => pile.damaged += 1,
            }
        })?;
        each(&self.replay_path(), &mut |_| pile.replaying += 1)?;
        Ok(pile)
    }

    /// Marks what lies there to be offered again. Gives how many letters that are.
    ///
    /// # Errors
    /// The disk's; an earlier replay that has not ended.
    pub fn replay(&self) -> Result<u64, DurableError> {
        let (from, to) = (self.path(), self.replay_path());
        if to.exists() {
            let why = io::Error::new(ErrorKind::AlreadyExists, "letters wait to be offered again already");
            return Err(DurableError::new("replay", &from, why));
        }
        let mut count = 0;
        each(&from, &mut |_| count += 1)?;
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(DurableError::new("move", &from, error)),
            Ok(()) => Ok(count),
        }
    }

    /// Removes what lies there for good. Gives how many letters that were. What waits to be offered again stays: its sink may
    /// be reading it, and would remove what a later replay put in its place.
    ///
    /// # Errors
    /// The disk's.
    pub fn purge(&self) -> Result<u64, DurableError> {
        self.remove(&self.path())
    }

    /// Removes all letters of a sink that is configured no longer, also those that waited to be offered again.
    ///
    /// # Errors
    /// The disk's.
    pub fn purge_gone(&self) -> Result<u64, DurableError> {
        Ok(self.remove(&self.path())? + self.remove(&self.replay_path())?)
    }

    fn remove(&self, path: &Path) -> Result<u64, DurableError> {
        let mut count = 0;
        each(path, &mut |_| count += 1)?;
        if self.folder.exists() {
            Writer::for_owner_of(&self.folder)?.remove(path)?;
        }
        Ok(count)
    }

    /// The letters that are to be offered again; none where nobody asked for it.
    pub(super) fn offering(&self) -> Result<Option<Offering>, DurableError> {
        let lines = Lines::of(&self.replay_path())?;
        Ok(lines.map(|lines| Offering { lines, taken: 0, refused: 0, damaged: 0 }))
    }

    /// What was to be offered again has been.
    pub(super) fn offered(&self, offering: &Offering) -> Result<(), DurableError> {
        Writer::for_owner_of(&self.folder)?.remove(&self.replay_path())?;
        let Offering { taken, refused, damaged, .. } = *offering;
        tracing::info!(sink = self.sink, taken, refused, "dead letters were offered again");
        if damaged > 0 {
            tracing::error!(
                sink = self.sink,
                lines = damaged,
                "dead letters that do not read were passed over; they were damaged on disk"
            );
        }
        Ok(())
    }
}

/// Letters that are being offered again.
pub(super) struct Offering {
    lines: Lines,
    /// How many the store has taken now.
    pub(super) taken: u64,
    /// How many it refused again.
    pub(super) refused: u64,
    /// Lines that do not read.
    damaged: u64,
}

impl Offering {
    /// The next event; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<String>, DurableError> {
        while let Some(line) = self.lines.next()? {
            match serde_json::from_str::<Letter<'_>>(&line) {
                Ok(letter) => return Ok(Some(letter.event.get().to_owned())),
                Err(_) => self.damaged += u64::from(!line.is_empty()),
            }
        }
        Ok(None)
    }
}

/// Whether the last line has no end.
fn is_torn(file: &File, size: u64) -> io::Result<bool> {
    let Some(last) = size.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

/// The lines of a file.
struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    line: Vec<u8>,
}

impl Lines {
    /// None where there is no such file.
    fn of(path: &Path) -> Result<Option<Self>, DurableError> {
        match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DurableError::new("read", path, error)),
            Ok(file) => Ok(Some(Self { reader: BufReader::new(file), path: path.to_owned(), line: Vec::new() })),
        }
    }

    /// The next line without its end; none behind the last.
    fn next(&mut self) -> Result<Option<Cow<'_, str>>, DurableError> {
        self.line.clear();
        let read = io::Read::take(&mut self.reader, LINE_BYTES_MAX as u64).read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| DurableError::new("read", &self.path, error))?;
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok((read > 0).then(|| String::from_utf8_lossy(line)))
    }
}

/// Every line of a file that is not empty; none where it is missing.
fn each(path: &Path, show: &mut dyn FnMut(&str)) -> Result<(), DurableError> {
    let Some(mut lines) = Lines::of(path)? else { return Ok(()) };
    while let Some(line) = lines.next()? {
        if !line.is_empty() {
            show(&line);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parquet::testing::Folder;
    use super::*;

    #[test]
    fn letters_are_kept_listed_offered_again_and_purged() {
        let folder = Folder::new();
        let letters = Letters::of(&folder.0, "siem");
        assert_eq!(letters.pile().unwrap(), Pile::default());
        assert_eq!((letters.replay().unwrap(), letters.purge().unwrap()), (0, 0));
        let refused = [(r#"{"a":1}"#.to_owned(), "no \"a\"".to_owned()), (r#"{"b":2}"#.to_owned(), "no b".to_owned())];
        letters.append(Timestamp::from_ms(5), &refused).unwrap();
        let pile = letters.pile().unwrap();
        assert_eq!(
            (pile.letters, pile.oldest, pile.last_reason.as_deref()),
            (2, Some(Timestamp::from_ms(5)), Some("no b"))
        );
        assert_eq!(letters.replay().unwrap(), 2);
        assert!(letters.replay().is_err(), "one replay at a time");
        assert_eq!(letters.pile().unwrap().replaying, 2);
        let mut offering = letters.offering().unwrap().unwrap();
        let offered: Vec<String> = std::iter::from_fn(|| offering.next().unwrap()).collect();
        assert_eq!(offered, [r#"{"a":1}"#, r#"{"b":2}"#]);
        letters.offered(&offering).unwrap();
        assert!(letters.offering().unwrap().is_none());
        assert_eq!(letters.pile().unwrap(), Pile::default());
        letters.append(Timestamp::from_ms(6), &refused).unwrap();
        letters.replay().unwrap();
        letters.append(Timestamp::from_ms(7), &refused).unwrap();
        assert_eq!(letters.purge().unwrap(), 2);
        assert_eq!(letters.pile().unwrap(), Pile { replaying: 2, ..Pile::default() });
        letters.append(Timestamp::from_ms(8), &refused).unwrap();
        assert_eq!(letters.purge_gone().unwrap(), 4);
        assert_eq!(letters.pile().unwrap(), Pile::default());
    }

    #[test]
    fn line_that_was_torn_spoils_no_other() {
        let folder = Folder::new();
        let letters = Letters::of(&folder.0, "siem");
        let one = |text: &str| [(text.to_owned(), "no".to_owned())];
        letters.append(Timestamp::from_ms(5), &one("1")).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(letters.path()).unwrap();
        file.write_all(b"{\"at\":6,\"reason\":\"the disk is fu").unwrap();
        letters.append(Timestamp::from_ms(7), &one("2")).unwrap();
        let pile = letters.pile().unwrap();
        assert_eq!((pile.letters, pile.damaged), (2, 1));
        letters.replay().unwrap();
        let mut offering = letters.offering().unwrap().unwrap();
        let offered: Vec<String> = std::iter::from_fn(|| offering.next().unwrap()).collect();
        assert_eq!((offered, offering.damaged), (vec!["1".to_owned(), "2".to_owned()], 1));
    }
}
