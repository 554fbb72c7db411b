//! Dead letters: events that a store will not have, kept until somebody decides.
//!
//! One file a sink, `dlq/<sink>.ndjson`: a line is `{"at": ms, "reason": "…", "event": {…}}`, appended and synced before the
//! commit that counts it as rejected. `picket-aggregator dlq replay` moves the file to `<sink>.replay`; the sink offers what
//! lies there to its store again at its next commit, appends what is refused again, and removes it.
//!
//! Bounds: [`BYTES_MAX`] a sink; at that the sink fails and waits, so that nothing is lost in silence. A crash between the
//! append and the commit can leave a letter twice, with the same `metadata.uid`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write as _};
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
    reason: std::borrow::Cow<'l, str>,
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

    /// Removes what lies there for good. Gives how many letters that were.
    ///
    /// # Errors
    /// The disk's.
    pub fn purge(&self) -> Result<u64, DurableError> {
        let path = self.path();
        let mut count = 0;
        each(&path, &mut |_| count += 1)?;
        if self.folder.exists() {
            Writer::for_owner_of(&self.folder)?.remove(&path)?;
        }
        Ok(count)
    }

    /// The events that are to be offered again; empty where nobody asked for it.
    pub(super) fn to_offer(&self) -> Result<Vec<String>, DurableError> {
        let mut events = Vec::new();
        let mut damaged = Vec::new();
        each(&self.replay_path(), &mut |line| match serde_json::from_str::<Letter<'_>>(line) {
            Ok(letter) => events.push(letter.event.get().to_owned()),
            Err(_) => damaged.push(line.to_owned()),
        })?;
        if !damaged.is_empty() {
            let lines = damaged.len();
            tracing::error!(
                sink = self.sink,
                lines,
                "dead letters that do not read are passed over; they were damaged on disk"
            );
        }
        Ok(events)
    }

    /// What was to be offered again has been.
    pub(super) fn offered(&self) -> Result<(), DurableError> {
        if !self.folder.exists() {
            return Ok(());
        }
        Writer::for_owner_of(&self.folder)?.remove(&self.replay_path())
    }
}

/// Every line of a file; none where it is missing.
fn each(path: &Path, show: &mut dyn FnMut(&str)) -> Result<(), DurableError> {
    let failed = |error| DurableError::new("read", path, error);
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = io::Read::take(&mut reader, LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 {
            return Ok(());
        }
        show(String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).as_ref());
    }
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
        assert!(letters.replay().is_err() || letters.pile().unwrap().replaying == 2);
        assert_eq!(letters.to_offer().unwrap(), [r#"{"a":1}"#, r#"{"b":2}"#]);
        letters.offered().unwrap();
        assert_eq!(letters.pile().unwrap(), Pile::default());
        letters.append(Timestamp::from_ms(6), &refused).unwrap();
        assert_eq!(letters.purge().unwrap(), 2);
    }
}
