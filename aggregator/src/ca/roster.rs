//! The roster: every agent, its certificates, and who is revoked.
//!
//! In: changes. Out: `state_dir/roster.log`, and the same in memory. One change is one line, appended and fsynced
//! before anybody is told:
//!
//! ```text
//! 5f2d83c1 {"kind":"revoked","agent":"01890a5d-…","at":1795000000000000000,"reason":"laptop stolen"}\n
//! crc32c of the JSON, in hexadecimal; the JSON; a newline
//! ```
//!
//! Invariants:
//! - What was answered with `Ok` is there after a crash. What has no newline at the end was never answered: it is
//!   cut. The last line may have been read from memory only (the sync failed, or never came): opening writes it
//!   again and syncs before anybody is told of it.
//! - A damaged line in between takes nothing else with it: it stays in the file, is counted, and a person is told,
//!   since it may have been a revocation. A line of a kind that this version does not know stays too.
//! - Only the holder of [`StateLock`] changes the file; anybody may read it.
//!
//! Limits: [`AGENTS_MAX`] agents, lines of [`LINE_BYTES_MAX`].

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, PRIVATE, Writer};
use shared::enroll::{HOSTNAME_BYTES_MAX, TokenId};
use shared::identity::AgentId;
use shared::log::{File, FileReader, Fs, RealFs};
use shared::time::Timestamp;
use shared::tls::{KeyHash, Revocations, Serial};

use super::lock::{LockError, StateLock};
use crate::directory::Facts;

/// Most agents of one roster: some 30 MB in memory.
pub const AGENTS_MAX: usize = 100_000;
/// Longest line; one of ours has at most some 5,000 bytes.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// Longest reason of a revocation that is kept, in characters.
const REASON_CHARS_MAX: usize = 200;

/// What could not be done with the roster.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The file.
    #[error(transparent)]
    File(#[from] DurableError),
    /// The daemon or another command changes it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A sync failed earlier: what is on disk is not known.
    #[error("{path} failed to sync earlier and is not written any more: check the disk and restart the aggregator", path = path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
    },
    /// Too many agents.
    #[error("the roster has {AGENTS_MAX} agents and takes no more: this authority has reached its bound")]
    Full,
    /// No agent, or several, where one is meant.
    #[error("{0}")]
    NotOne(String),
}

/// A certificate that was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Its serial.
    pub serial: Serial,
    /// The name of its key.
    pub key: KeyHash,
    /// Its end.
    pub not_after: Timestamp,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// An agent came in with a token.
    Enrolled {
        /// Which.
        agent: AgentId,
        /// When.
        at: Timestamp,
        /// What its host calls itself.
        hostname: String,
        /// What its token says of it.
        #[serde(flatten)]
        facts: Facts,
        /// The token.
        token: TokenId,
        /// Its first certificate.
        #[serde(flatten)]
        given: Given,
    },
    /// An agent got another certificate.
    Renewed {
        /// Which.
        agent: AgentId,
        /// When.
        at: Timestamp,
        /// Its certificate.
        #[serde(flatten)]
        given: Given,
    },
    /// An agent is no longer let in.
    Revoked {
        /// Which.
        agent: AgentId,
        /// When.
        at: Timestamp,
        /// Why, in the words of whoever did it.
        #[serde(default)]
        reason: String,
    },
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// An agent, as the roster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its id.
    pub agent: AgentId,
    /// What its host calls itself: claimed, and empty for an agent that enrolled with another aggregator.
    pub hostname: String,
    /// What its token says of it.
    #[serde(flatten)]
    pub facts: Facts,
    /// The token with which it came in.
    pub token: Option<TokenId>,
    /// When it came in, or was first heard of here.
    pub since: Timestamp,
    /// Its newest certificate.
    pub given: Option<Given>,
    /// When it got that.
    pub given_at: Option<Timestamp>,
    /// When it was revoked, and why.
    pub revoked: Option<Revoked>,
    /// The day (since 1970) of its newest certificate, and how many it got on that day.
    #[serde(skip)]
    given_on_day: (i64, u32),
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Entry {
    /// How many certificates it got on the day of `now`.
    #[must_use]
    pub fn given_today(&self, now: Timestamp) -> u32 {
        let (day, count) = self.given_on_day;
        if day == now.day() { count } else { 0 }
    }
}

/// What a revocation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// An agent of this roster is out.
    Revoked,
    /// An id is out that this roster does not know: of an agent that enrolled with another aggregator of this
    /// authority, or mistyped.
    Stranger,
    /// Nothing: it was out before.
    Before,
}

/// What reading the file found beside agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Bytes without a newline at the end: a change that was never answered.
    pub torn_bytes: u64,
    /// Lines that do not hold what they were written with: a person must look, one may have been a revocation.
    pub damaged_lines: u64,
    /// Lines of kinds that this version does not know, or over [`AGENTS_MAX`].
    pub ignored_lines: u64,
}

/// The whole lines of a file.
#[derive(Default)]
struct Whole {
    /// Bytes that they take.
    length: u64,
    /// The last of them; of one that is too long to be ours, its end.
    last: Vec<u8>,
}

/// The agents in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    agents: BTreeMap<AgentId, Entry>,
}

impl Book {
    /// The agent with this id.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&Entry> {
        self.agents.get(&id)
    }

    /// Every agent, in order of id, which is the order in which they came.
    pub fn agents(&self) -> impl Iterator<Item = &Entry> {
        self.agents.values()
    }

    /// The one agent that a person means: by id, or by hostname when only one claims it.
    ///
    /// # Errors
    /// [`RosterError::NotOne`], which says what to do.
    pub fn find(&self, text: &str) -> Result<AgentId, RosterError> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let mut named = self.agents.values().filter(|entry| entry.hostname == text && entry.revoked.is_none());
        match (named.next(), named.next()) {
            (Some(entry), None) => Ok(entry.agent),
            (Some(_), Some(_)) => Err(RosterError::NotOne(format!(
                "several agents call themselves '{text}': give the id, see `picket-aggregator agents list`"
            ))),
            _ => {
                Err(RosterError::NotOne(format!("no agent calls itself '{text}': see `picket-aggregator agents list`")))
            }
        }
    }

    /// Takes a change in. `false`: it is of no kind that we know, or the book is full.
    fn apply(&mut self, change: Change) -> bool {
        let (agent, at) = match &change {
            Change::Enrolled { agent, at, .. }
            | Change::Renewed { agent, at, .. }
            | Change::Revoked { agent, at, .. } => (*agent, *at),
            Change::Unknown => return false,
        };
        if self.is_full_for(agent) {
            return false;
        }
        let entry = self.agents.entry(agent).or_insert_with(|| Entry {
            agent,
            hostname: String::new(),
            facts: Facts::default(),
            token: None,
            since: at,
            given: None,
            given_at: None,
            revoked: None,
            given_on_day: (at.day(), 0),
        });
        let given = match change {
            Change::Enrolled { hostname, facts, token, given, .. } => {
                (entry.hostname, entry.facts, entry.token) = (hostname, facts, Some(token));
                Some(given)
            }
            Change::Renewed { given, .. } => Some(given),
            Change::Revoked { reason, .. } => {
                entry.revoked.get_or_insert(Revoked { at, reason });
                None
            }
            Change::Unknown => None,
        };
        if let Some(given) = given {
            entry.given_on_day = (at.day(), entry.given_today(at).saturating_add(1));
            (entry.given, entry.given_at) = (Some(given), Some(at));
        }
        true
    }

    fn is_full_for(&self, agent: AgentId) -> bool {
        self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(&agent)
    }

    /// Reads a roster to the end: the agents, what is in it beside them, and how many bytes its whole lines take.
    ///
    /// # Errors
    /// The source does not read.
    pub fn of(source: impl Read) -> std::io::Result<(Self, Found, u64)> {
        let (mut book, mut found) = (Self::default(), Found::default());
        let whole = book.read(source, &mut found)?;
        Ok((book, found, whole.length))
    }

    /// Reads lines to the end.
    fn read(&mut self, source: impl Read, found: &mut Found) -> std::io::Result<Whole> {
        let mut source = BufReader::new(source);
        let (mut whole, mut line) = (Whole::default(), Vec::new());
        loop {
            line.clear();
            let limit = LINE_BYTES_MAX as u64;
            let mut length = (&mut source).take(limit).read_until(b'\n', &mut line)? as u64;
            let overlong = length == limit && line.last() != Some(&b'\n');
            let mut ended = line.last() == Some(&b'\n');
            while !ended && overlong {
                // Too long to be ours: skipped to its newline, in pieces.
                line.clear();
                let more = (&mut source).take(limit).read_until(b'\n', &mut line)? as u64;
                length += more;
                ended = line.last() == Some(&b'\n');
                if more == 0 {
                    break;
                }
            }
            if !ended {
                found.torn_bytes = length;
                return Ok(whole);
            }
            whole.length += length;
            match parse(&line).filter(|_| !overlong) {
                None => found.damaged_lines += 1,
                Some(change) => found.ignored_lines += u64::from(!self.apply(change)),
            }
            std::mem::swap(&mut whole.last, &mut line);
        }
    }
}

/// The roster on disk, and the same in memory.
pub struct Roster {
    book: Book,
    found: Found,
    path: PathBuf,
    file: Box<dyn File>,
    length: u64,
    trusted: bool,
    fault: fn(&'static str),
    revocations: Revocations,
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roster").field("path", &self.path).field("length", &self.length).finish_non_exhaustive()
    }
}

impl Roster {
    /// Opens `state_dir/roster.log`, made when missing; a torn tail is cut. `revocations` gets every revoked agent,
    /// now and later. The lock proves that nobody else changes the file.
    ///
    /// # Errors
    /// [`RosterError::File`].
    pub fn open(
        state_dir: &Path,
        writer: Writer,
        revocations: Revocations,
        _lock: &StateLock,
    ) -> Result<Self, RosterError> {
        Self::open_on(state_dir, &writer, revocations)
    }

    fn open_on<F: Fs>(state_dir: &Path, writer: &Writer<F>, revocations: Revocations) -> Result<Self, RosterError> {
        let path = path(state_dir);
        let file = writer.open_log(&path, PRIVATE)?;
        let failed = |doing| {
            let path = &path;
            move |e| DurableError::new(doing, path, e)
        };
        let (mut book, mut found) = (Book::default(), Found::default());
        let Whole { length, last } = book.read(FileReader::new(file.as_ref()), &mut found).map_err(failed("read"))?;
        if found.torn_bytes > 0 {
            file.cut(length, 0).map_err(failed("cut"))?;
        }
        file.write_all_at(&last, length - last.len() as u64).map_err(failed("write"))?;
        file.sync().map_err(failed("sync"))?;
        for entry in book.agents().filter(|entry| entry.revoked.is_some()) {
            revocations.insert(entry.agent);
        }
        Ok(Self { book, found, path, file, length, trusted: true, fault: writer.fault(), revocations })
    }

    /// Reads the roster of `state_dir` without a lock and changes nothing: for commands that show it.
    ///
    /// # Errors
    /// [`RosterError::File`].
    pub fn view(state_dir: &Path) -> Result<(Book, Found), RosterError> {
        let path = path(state_dir);
        match RealFs.open_read(&path).and_then(|file| Book::of(FileReader::new(file.as_ref()))) {
            Ok((book, found, _)) => Ok((book, found)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok((Book::default(), Found::default())),
            Err(e) => Err(DurableError::new("read", &path, e).into()),
        }
    }

    /// The agents.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What opening found beside agents.
    #[must_use]
    pub fn found(&self) -> Found {
        self.found
    }

    /// Whether an agent of this id fits.
    ///
    /// # Errors
    /// [`RosterError::Full`], [`RosterError::Untrusted`].
    pub fn check_room(&self, agent: AgentId) -> Result<(), RosterError> {
        if !self.trusted {
            return Err(RosterError::Untrusted { path: self.path.clone() });
        }
        if self.book.is_full_for(agent) { Err(RosterError::Full) } else { Ok(()) }
    }

    /// Makes a change: on disk, then in memory, and a revocation in the shared set.
    ///
    /// # Errors
    /// [`RosterError`]; the change is then not made. After a failed sync no other is, until the roster is opened
    /// again.
    pub fn record(&mut self, change: Change) -> Result<(), RosterError> {
        let agent = match &change {
            Change::Enrolled { agent, .. } | Change::Renewed { agent, .. } | Change::Revoked { agent, .. } => *agent,
            Change::Unknown => return Ok(()),
        };
        self.check_room(agent)?;
        let change = bounded(change);
        let revoked = matches!(change, Change::Revoked { .. });
        let failed = |doing, path: &Path, e| RosterError::File(DurableError::new(doing, path, e));
        let line = line(&change).map_err(|e| failed("write", &self.path, e))?;
        (self.fault)("roster.append");
        if let Err(e) = self.file.write_all_at(&line, self.length) {
            self.trusted = self.file.cut(self.length, 0).is_ok();
            return Err(failed("write", &self.path, e));
        }
        (self.fault)("roster.written");
        if let Err(e) = self.file.sync() {
            self.trusted = false;
            return Err(failed("sync", &self.path, e));
        }
        (self.fault)("roster.synced");
        self.length += line.len() as u64;
        self.book.apply(change);
        if revoked {
            self.revocations.insert(agent);
        }
        Ok(())
    }

    /// Revokes an agent, known or not. In the daemon, its sessions are the caller's to end.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn revoke(&mut self, agent: AgentId, reason: &str, now: Timestamp) -> Result<Revocation, RosterError> {
        let outcome = match self.book.agent(agent) {
            Some(Entry { revoked: Some(_), .. }) => return Ok(Revocation::Before),
            Some(_) => Revocation::Revoked,
            None => Revocation::Stranger,
        };
        self.record(Change::Revoked { agent, at: now, reason: reason.to_owned() })?;
        Ok(outcome)
    }
}

/// Revokes an agent by id or hostname when no daemon runs: takes the lock for as long as it takes.
///
/// # Errors
/// [`RosterError::Lock`] when a daemon runs: ask it instead; [`RosterError`].
pub fn revoke_without_daemon(
    state_dir: &Path,
    who: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(AgentId, Revocation), RosterError> {
    let writer = Writer::for_owner_of(state_dir)?;
    let lock = StateLock::take(state_dir, &writer)?;
    let mut roster = Roster::open(state_dir, writer, Revocations::default(), &lock)?;
    let agent = roster.book().find(who)?;
    Ok((agent, roster.revoke(agent, reason, now)?))
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("roster.log")
}

fn bounded(mut change: Change) -> Change {
    match &mut change {
        Change::Enrolled { hostname, .. } => {
            while hostname.len() > HOSTNAME_BYTES_MAX {
                hostname.pop();
            }
        }
        Change::Revoked { reason, .. } => *reason = reason.chars().take(REASON_CHARS_MAX).collect(),
        Change::Renewed { .. } | Change::Unknown => {}
    }
    change
}

fn line(change: &Change) -> std::io::Result<Vec<u8>> {
    let json = serde_json::to_string(change)?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).into_bytes())
}

fn parse(line: &[u8]) -> Option<Change> {
    let (crc, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let crc = std::str::from_utf8(crc.strip_suffix(b" ")?).ok()?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    if crc32c::crc32c(json) != crc {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
