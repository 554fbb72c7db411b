//! The configurations on disk: `state_dir/fleet.json`, replaced whole at every change.
//!
//! ```text
//! {"good": {"document": "…", "signature": "…", "key": "…"}, "trying": {"signed": {…}, "starts": 1}, "refused": {"hash": "…", "reason": "…"}}
//! ```
//!
//! The document was checked when it came and is read as it is: who may write this file may write the agent's key too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, PRIVATE, Writer, read_bounded};
use shared::fleet::document::Signed;

use super::Refused;

/// What runs for this long is good.
pub const TRIAL: Duration = Duration::from_secs(60);
/// Starts under a configuration on trial that may end before it is over.
const STARTS_MAX: u32 = 2;
const FILE: &str = "fleet.json";
/// Two documents with their quotes, and something.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be kept, so it is not applied: {0}")]
pub struct KeptError(#[from] DurableError);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Trying {
    signed: Signed,
    /// How often the program began to run it.
    starts: u32,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Content {
    good: Option<Signed>,
    trying: Option<Trying>,
    refused: Option<Refused>,
}

impl Content {
    fn read(path: &Path) -> Result<Self, String> {
        match read_bounded(path, FILE_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What a start with this `state_dir` would run, for who only looks: what is tried, else what worked last.
///
/// # Errors
/// The file is there and does not read.
pub fn current(state_dir: &Path) -> Result<Option<Signed>, String> {
    let Content { good, trying, .. } = Content::read(&state_dir.join(FILE))?;
    Ok(trying.map(|trying| trying.signed).or(good))
}

/// What is known to work, and what is tried.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    writer: Writer,
    content: Content,
}

impl Kept {
    /// What was kept in `state_dir`; a file that does not read is as none.
    #[must_use]
    pub fn load(state_dir: &Path, writer: Writer) -> Self {
        let path = state_dir.join(FILE);
        let content = Content::read(&path).unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), error, "the kept configuration does not read; the aggregator's next one holds");
            Content::default()
        });
        Self { path, writer, content }
    }

    fn store(&mut self, content: Content) -> Result<(), KeptError> {
        let bytes = serde_json::to_vec(&content).unwrap_or_default();
        self.writer.replace(&self.path, &bytes, PRIVATE, "fleet.store")?;
        self.content = content;
        Ok(())
    }

    /// What a start runs, counted before it does; none: nothing has come yet.
    ///
    /// # Errors
    /// [`KeptError`]: what is on trial cannot be counted, so it is not run in this run of the program, unless it comes again
    /// and can be. The last-known-good one is there to be run.
    pub fn begin(&mut self) -> Result<Option<Signed>, KeptError> {
        let Some(Trying { signed, starts }) = self.content.trying.clone() else { return Ok(self.content.good.clone()) };
        let hash = signed.hash();
        if starts < STARTS_MAX {
            let trying = Some(Trying { signed: signed.clone(), starts: starts + 1 });
            if let Err(error) = self.store(Content { trying, ..self.content.clone() }) {
                self.content.trying = None;
                return Err(error);
            }
            return Ok(Some(signed));
        }
        tracing::error!(
            hash,
            "this configuration ended the agent {starts} times within a minute: back to the last one that worked"
        );
        let reason = format!("it ended the agent {starts} times within {} s", TRIAL.as_secs());
        self.give_up(Refused { hash, reason });
        Ok(self.content.good.clone())
    }

    /// What is tried is not run any more. Where the disk does not take that, the next start finds out again.
    pub fn give_up(&mut self, refused: Refused) {
        let content = Content { trying: None, refused: Some(refused), good: self.content.good.clone() };
        if let Err(error) = self.store(content.clone()) {
            tracing::warn!(%error, "that a configuration was given up is not kept");
            self.content = content;
        }
    }

    /// What worked last.
    #[must_use]
    pub fn good(&self) -> Option<&Signed> {
        self.content.good.as_ref()
    }

    /// Whether it is another configuration than what is tried or works, and was not refused.
    #[must_use]
    pub fn is_news(&self, hash: &str) -> bool {
        let refused = self.content.refused.as_ref().is_some_and(|refused| refused.hash == hash);
        let trying = self.content.trying.as_ref().map(|trying| &trying.signed);
        !refused && trying.or(self.content.good.as_ref()).is_none_or(|signed| signed.hash() != hash)
    }

    /// A new one is about to be applied.
    ///
    /// # Errors
    /// [`KeptError`]: it must not be.
    pub fn begin_trial(&mut self, signed: Signed) -> Result<(), KeptError> {
        let trying = Some(Trying { signed, starts: 1 });
        self.store(Content { trying, good: self.content.good.clone(), refused: None })
    }

    /// What is tried has run for [`TRIAL`].
    ///
    /// # Errors
    /// [`KeptError`]; it stays on trial.
    pub fn proven(&mut self) -> Result<(), KeptError> {
        let Some(Trying { signed, .. }) = self.content.trying.clone() else { return Ok(()) };
        self.store(Content { good: Some(signed), trying: None, refused: None })
    }

    /// The program was asked to end: that is no fault of what it runs.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn ended_well(&mut self) -> Result<(), KeptError> {
        let Some(Trying { signed, .. }) = self.content.trying.clone() else { return Ok(()) };
        self.store(Content { trying: Some(Trying { signed, starts: 0 }), ..self.content.clone() })
    }

    /// Whether something is on trial.
    #[must_use]
    pub fn on_trial(&self) -> bool {
        self.content.trying.is_some()
    }

    /// What is not run, and why.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.content.refused.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use shared::enroll::Der;

    use super::*;

    fn signed(document: &str) -> Signed {
        Signed { document: document.to_owned(), challenge: 0, signature: Der(vec![]), key: Der(vec![]) }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("picket-kept-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn load(folder: &Path) -> Kept {
        Kept::load(folder, Writer::for_owner_of(folder).unwrap())
    }

    #[test]
    fn what_ended_the_program_twice_is_given_up_and_the_last_good_one_holds() {
        let folder = folder("twice");
        let mut kept = load(&folder);
        assert_eq!(kept.begin().unwrap(), None);
        kept.begin_trial(signed("one")).unwrap();
        kept.proven().unwrap();
        kept.begin_trial(signed("two")).unwrap();
        assert_eq!(current(&folder).unwrap(), Some(signed("two")), "as the next start");
        // Killed within the minute, twice.
        let mut kept = load(&folder);
        assert_eq!(kept.begin().unwrap(), Some(signed("two")));
        let mut kept = load(&folder);
        assert_eq!(kept.begin().unwrap(), Some(signed("one")));
        assert!(!kept.is_news(&signed("two").hash()) && kept.is_news(&signed("three").hash()));
        assert_eq!(kept.refused().map(|refused| &refused.hash), Some(&signed("two").hash()));
        let mut kept = load(&folder);
        assert_eq!(kept.begin().unwrap(), Some(signed("one")), "for ever");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn clean_ends_are_not_counted() {
        let folder = folder("clean");
        let mut kept = load(&folder);
        kept.begin_trial(signed("one")).unwrap();
        for _ in 0..5 {
            kept.ended_well().unwrap();
            kept = load(&folder);
            assert_eq!(kept.begin().unwrap(), Some(signed("one")));
        }
        kept.proven().unwrap();
        assert!(!kept.on_trial() && !kept.is_news(&signed("one").hash()));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_counted_is_not_run_and_never_taken_for_proven() {
        let folder = folder("full");
        let mut kept = load(&folder);
        kept.begin_trial(signed("one")).unwrap();
        kept.proven().unwrap();
        kept.begin_trial(signed("two")).unwrap();
        let mut kept = load(&folder);
        // As a full disk would: nothing can be written any more.
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(kept.begin().is_err());
        assert_eq!((kept.good(), kept.on_trial()), (Some(&signed("one")), false));
        kept.proven().unwrap();
        assert_eq!(kept.good(), Some(&signed("one")), "it was never run");
        assert!(kept.is_news(&signed("two").hash()), "it is tried when it comes again");
        assert!(kept.begin_trial(signed("two")).is_err());
        assert!(kept.is_news(&signed("two").hash()) && !kept.on_trial());
        kept.give_up(Refused { hash: signed("two").hash(), reason: "it does not read".to_owned() });
        assert!(!kept.is_news(&signed("two").hash()), "for this run of the program");
    }

    #[test]
    fn next_one_during_a_trial_takes_its_place_and_the_last_good_one_stays() {
        let folder = folder("next");
        let mut kept = load(&folder);
        kept.begin_trial(signed("one")).unwrap();
        kept.proven().unwrap();
        kept.begin_trial(signed("two")).unwrap();
        // The operator goes back at once: that is news, since the trial was of another.
        assert!(kept.is_news(&signed("one").hash()));
        kept.begin_trial(signed("three")).unwrap();
        let mut kept = load(&folder);
        assert_eq!(kept.begin().unwrap(), Some(signed("three")));
        assert_eq!(load(&folder).begin().unwrap(), Some(signed("one")), "each has a trial of its own");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_of_any_bytes_is_survived() {
        let folder = folder("bytes");
        for bytes in [&b""[..], b"{", b"[]", b"{\"good\":1}", b"\xff\xff"] {
            std::fs::write(folder.join("fleet.json"), bytes).unwrap();
            assert_eq!(load(&folder).begin().unwrap(), None);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
