//! The fleet file in force: watched, taken or refused as a whole, and what each agent gets of it.
//!
//! In: the file, looked at every second and on SIGHUP; of an agent, its name and labels (claimed) and the roster's group
//! (granted). Out: signed documents for sessions ([`crate::ingest::Steering`]), [`FleetState`] for `status` and metrics.
//!
//! Invariants: what is in force was read whole without a problem; a file that has one changes nothing. At a start with a
//! refused file nothing is in force: agents go on with what they have. A file that changed is read when it has rested for
//! `REST`, since the first half of a file that is still being written may be a fleet file too; SIGHUP has it read at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::fleet::document::{Document, Signed, TooLong};
use shared::fleet::{Fleet, HostFacts};
use shared::identity::AgentId;
use shared::protocol::AgentHello;
use shared::time::{Clock, Timestamp};
use shared::yaml::LoadError;
use tokio::sync::watch;

use crate::ca::enrollment::Enrollment;
use crate::ca::signature::{SignError, Signer};
use crate::ingest::{Desired, Steering};
use crate::prompt::{Look, Prompt, look};

/// A file that was as it is for this long is not being written any more.
const REST: Duration = Duration::from_millis(250);

/// Which file is in force, and whether a newer one was refused.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct FleetState {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of what is in force; empty where nothing is.
    pub hash: String,
    /// When it took force.
    pub since: Option<Timestamp>,
    /// Why what the file says now is not in force: every problem with its line.
    pub refused: Option<String>,
    /// What it asks for and this version does not have.
    pub warnings: Vec<String>,
}

/// Why an agent gets nothing.
#[derive(Debug, thiserror::Error)]
enum NothingSent {
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    Sign(#[from] SignError),
}

#[derive(Default)]
struct Inner {
    state: FleetState,
    fleet: Option<Arc<Fleet>>,
    /// How the file looked when it was read, and when it was looked at last.
    seen: Look,
    looked: Look,
    /// What was read last, good or not.
    read: String,
}

/// What the roster grants to an agent: group, zone and tenant of its token, as labels.
#[must_use]
pub fn granted(enrollment: &Enrollment, agent: AgentId) -> BTreeMap<String, String> {
    let facts = enrollment.roster().book().agent(agent).map(|entry| entry.facts.clone()).unwrap_or_default();
    let labels = [("group", facts.group), ("zone", facts.zone), ("tenant", facts.tenant)];
    labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The watched file.
pub struct FleetFile {
    path: PathBuf,
    signer: Signer,
    enrollment: Arc<Enrollment>,
    clock: Clock,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl FleetFile {
    /// Reads the file; one that is refused is said and waited for.
    #[must_use]
    pub fn open(path: &Path, signer: Signer, enrollment: Arc<Enrollment>, clock: Clock) -> Arc<Self> {
        let state = FleetState { path: path.to_owned(), ..FleetState::default() };
        let inner = Mutex::new(Inner { state, ..Inner::default() });
        let this = Self { path: path.to_owned(), signer, enrollment, clock, inner, changed: watch::Sender::new(0) };
        this.look(true);
        Arc::new(this)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> FleetState {
        self.inner().state.clone()
    }

    /// Looks until it is dropped.
    pub async fn run(&self) {
        let mut prompt = Prompt::new();
        loop {
            let asked = prompt.next().await;
            let mut changes = self.look(asked);
            while changes {
                tokio::time::sleep(REST).await;
                changes = self.look(false);
            }
        }
    }

    /// Reads the file where it shows a change and rests, or when `asked`; whether it has to be looked at again soon.
    fn look(&self, asked: bool) -> bool {
        let now = look(&self.path);
        {
            let mut inner = self.inner();
            let rests = std::mem::replace(&mut inner.looked, now) == now;
            if !asked && (inner.seen == now || !rests) {
                return inner.seen != now;
            }
            inner.seen = now;
        }
        self.reload();
        false
    }

    /// What the file holds: whoever opened a pipe here would wait for good.
    fn read(&self) -> Result<(Vec<u8>, String), LoadError> {
        let is_file = std::fs::metadata(&self.path).map_or(true, |metadata| metadata.is_file());
        if !is_file {
            let (path, source) = (self.path.clone(), std::io::Error::other("it is no regular file"));
            return Err(LoadError::Unreadable { path, source, advice: "put the fleet file in its place" });
        }
        crate::config::read_fleet(&self.path)
    }

    fn reload(&self) {
        let read = self.read();
        let hash = read.as_ref().map(|(_, hash)| hash.clone()).unwrap_or_default();
        if !hash.is_empty() && self.inner().read == hash {
            return;
        }
        let path = self.path.display();
        let refused = match read.and_then(|(bytes, _)| crate::config::parse_fleet(&self.path, &bytes)) {
            Ok(fleet) => {
                let warnings: Vec<String> = fleet.warnings().iter().map(ToString::to_string).collect();
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                tracing::info!(%path, hash, "the fleet file is in force");
                let mut inner = self.inner();
                let since = Some(self.clock.now());
                inner.read.clone_from(&hash);
                inner.state = FleetState { path: self.path.clone(), hash, since, refused: None, warnings };
                inner.fleet = Some(Arc::new(fleet));
                drop(inner);
                return self.changed.send_modify(|count| *count += 1);
            }
            Err(error) => error.to_string(),
        };
        tracing::error!(%path, reason = refused, "the fleet file is refused as a whole; agents keep what they have");
        let mut inner = self.inner();
        inner.read = hash;
        inner.state.refused = Some(refused);
    }

    /// What this host gets; none where no file is in force.
    #[must_use]
    pub fn document(&self, agent: AgentId, hostname: &str, claimed: &BTreeMap<String, String>) -> Option<Document> {
        let fleet = self.inner().fleet.clone()?;
        let granted = granted(&self.enrollment, agent);
        let facts = HostFacts { hostname: hostname.to_owned(), claimed: claimed.clone(), granted };
        Some(fleet.document(agent, &facts))
    }

    fn desired(&self, agent: AgentId, hello: &AgentHello) -> Option<Desired> {
        let document = self.document(agent, &hello.hostname, &hello.labels)?;
        match Signed::new::<NothingSent>(&document, hello.challenge, |message| Ok(self.signer.sign(message)?)) {
            Ok(signed) => Some(Desired { hash: signed.hash(), message: serde_json::to_value(&signed).ok()? }),
            Err(error) => {
                tracing::error!(%agent, hostname = hello.hostname, %error, "this host gets no configuration");
                None
            }
        }
    }

    /// For sessions.
    #[must_use]
    pub fn steering(self: &Arc<Self>) -> Steering {
        let (this, changed) = (Arc::clone(self), self.changed.subscribe());
        Steering { desired: Arc::new(move |agent, hello| this.desired(agent, hello)), changed }
    }
}

#[cfg(test)]
mod tests {
    use shared::durable::Writer;
    use shared::tls::Revocations;

    use super::*;
    use crate::ca::Authority;
    use crate::ca::lock::StateLock;
    use crate::ca::roster::Roster;
    use crate::ca::token::Tokens;

    /// A watched file in a folder of its own.
    struct Watched {
        folder: PathBuf,
        file: Arc<FleetFile>,
    }

    impl Watched {
        fn new(name: &str, text: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("picket-fleet-file-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            let writer = Writer::for_owner_of(&folder).unwrap();
            let authority = Authority::generate(Clock::System.now()).unwrap();
            let tokens = Tokens::open(&folder, authority.key_hash(), writer).unwrap();
            let lock = StateLock::take(&folder, &writer).unwrap();
            let roster = Roster::open(&folder, writer, Revocations::default(), &lock).unwrap();
            let signer = authority.signer().unwrap();
            let enrollment = Arc::new(Enrollment::new(authority, tokens, roster));
            let path = folder.join("fleet.yaml");
            std::fs::write(&path, text).unwrap();
            Self { file: FleetFile::open(&path, signer, enrollment, Clock::System), folder }
        }

        fn write(&self, text: &str) {
            std::fs::write(self.folder.join("fleet.yaml"), text).unwrap();
        }

        /// Looks until the file rests.
        fn settle(&self) {
            while self.file.look(false) {}
        }

        fn sources(&self) -> Vec<String> {
            let document = self.file.document(AgentId([1; 16]), "web-1", &BTreeMap::new()).unwrap();
            document.layer["sources"].as_object().map(|sources| sources.keys().cloned().collect()).unwrap_or_default()
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    const ONE: &str = "version: 1\ndefaults:\n  sources:\n    a: { type: file, include: [/a] }\n";
    const MORE: &str = "    b: { type: file, include: [/b] }\n";

    #[test]
    fn file_that_is_still_being_written_is_left_until_it_rests() {
        let watched = Watched::new("half", &format!("{ONE}{MORE}"));
        assert_eq!(watched.sources(), ["a", "b"]);
        // The first half is a fleet file too.
        watched.write(ONE);
        assert!(watched.file.look(false), "it is looked at again soon");
        watched.write(&format!("{ONE}{MORE}    c: {{ type: file, include: [/c] }}\n"));
        assert!(watched.file.look(false));
        assert_eq!(watched.sources(), ["a", "b"]);
        assert!(!watched.file.look(false) && !watched.file.look(false));
        assert_eq!(watched.sources(), ["a", "b", "c"]);
        watched.write(ONE);
        assert!(!watched.file.look(true), "who asks is served at once");
        assert_eq!(watched.sources(), ["a"]);
    }

    #[test]
    fn file_that_goes_or_becomes_something_else_changes_nothing_and_is_read_when_it_is_one_again() {
        let watched = Watched::new("odd", ONE);
        let (path, other) = (watched.folder.join("fleet.yaml"), watched.folder.join("other"));
        let refused = || watched.file.state().refused.unwrap_or_default();
        std::fs::remove_file(&path).unwrap();
        watched.settle();
        assert!(refused().contains("cannot read"), "{}", refused());
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        watched.settle();
        assert!(refused().contains("no regular file"), "{}", refused());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        watched.settle();
        assert!(refused().contains("no regular file"), "{}", refused());
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        watched.settle();
        assert!(refused().contains("no regular file"), "{}", refused());
        assert_eq!(watched.sources(), ["a"]);
        // A link to a fleet file is one, and what it leads to is watched.
        std::fs::write(&other, format!("{ONE}{MORE}")).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        watched.settle();
        assert_eq!((watched.sources().len(), refused().as_str()), (2, ""));
        std::fs::write(&other, ONE).unwrap();
        watched.settle();
        assert_eq!(watched.sources(), ["a"]);
    }

    #[test]
    fn older_file_of_the_same_size_that_keeps_its_times_is_seen() {
        let watched = Watched::new("times", ONE);
        let path = watched.folder.join("fleet.yaml");
        let times = std::fs::metadata(&path).unwrap().modified().unwrap();
        watched.write(&ONE.replace("a:", "z:"));
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
        watched.settle();
        assert_eq!(watched.sources(), ["z"]);
    }
}
