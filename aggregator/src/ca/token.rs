//! Tokens: one file each, and every use of them.
//!
//! In: the state folder, a token's text, the hash of a request's key, `now`. Out: the agent id that this use stands
//! for.
//!
//! A change takes the folder's lock (`tokens/.lock`, let go by the kernel when a process dies), writes the whole
//! file under another name, syncs it and renames it over the old one. So the daemon and any number of commands work
//! side by side, and a crash leaves the token as it was or with the use taken.
//!
//! Invariants: a token has at most `uses_max` uses; a key has at most one use of a token, and with it always the same
//! agent id, so a request whose reply was lost is repeated harmlessly; the secret is not on disk, only its SHA-256.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, PRIVATE, STATE_FOLDER, Writer, read_bounded};
use shared::enroll::{Token, TokenId};
use shared::identity::AgentId;
use shared::time::Timestamp;
use shared::tls::{KeyHash, random};

use crate::directory::{FACT_BYTES_MAX, Facts, TAGS_MAX};

/// Most tokens in one folder; those that ended 30 days ago are removed when another is made.
pub const TOKENS_MAX: usize = 10_000;
/// Most uses of one token: its file is written anew for each, and has some 160 bytes of each.
pub const USES_MAX: u32 = 10_000;
/// Longest life of a token.
pub const TTL_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Longest name of a group, in bytes.
pub const GROUP_BYTES_MAX: usize = 128;
/// How long after its use a request can be repeated although the token has expired since.
const REPEATED_FOR: Duration = Duration::from_secs(3_600);
const KEPT_AFTER_END: Duration = Duration::from_secs(30 * 86_400);
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a token is made for.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// What it says of the hosts that enroll with it.
    pub facts: Facts,
    /// How long it can be used.
    pub ttl: Duration,
    /// How many agents can enroll with it.
    pub uses: u32,
}

/// Why a token could not be made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A life of nothing or more than a year.
    #[error("a token lives 1s to 366d, not {0:?}: see --ttl")]
    Ttl(Duration),
    /// No uses, or too many.
    #[error("a token has 1 to {USES_MAX} uses, not {0}: see --uses")]
    Uses(u32),
    /// A group without a name that can be shown.
    #[error("a group has a name of 1 to {GROUP_BYTES_MAX} bytes without control characters: see --group")]
    Group,
    /// A zone, tenant or tag that cannot be shown, or too many of them.
    #[error(
        "a zone and a tenant have 1 to {FACT_BYTES_MAX} bytes without control characters, tags together as many, and there are at \
         most {TAGS_MAX} tags: see --zone, --tenant, --tag"
    )]
    Facts,
    /// Too many.
    #[error("there are {TOKENS_MAX} tokens already: revoke some with `picket-aggregator token revoke`")]
    TooMany,
    /// No such token.
    #[error("there is no token {0}: see `picket-aggregator token list`")]
    Unknown(TokenId),
    /// A file that does not hold a token.
    #[error("{path} cannot be read as a token ({why}): remove it, and make another token", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] DurableError),
    /// The system gives no random bytes.
    #[error("cannot make a token: {0}")]
    Random(#[from] std::io::Error),
}

/// Why a token does not let an agent in.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Made for another authority.
    #[error(
        "the token is for the authority with key {theirs}, this aggregator's has {ours}: use a token that was made on \
         this aggregator"
    )]
    OtherAuthority {
        /// In the token.
        theirs: KeyHash,
        /// Here.
        ours: KeyHash,
    },
    /// No such token, or another secret: invented, mistyped, or removed long after its end.
    #[error("the token is not known here: make one with `picket-aggregator token create` on this aggregator")]
    Unknown,
    /// Its time is over.
    #[error("token {id} expired at {at}: make another with `picket-aggregator token create`")]
    Expired {
        /// Which.
        id: TokenId,
        /// When.
        at: Timestamp,
    },
    /// It was used as often as it could be.
    #[error(
        "token {id} is used up ({uses} of {uses}): make another with `picket-aggregator token create`, with --uses for \
         more than one host"
    )]
    UsedUp {
        /// Which.
        id: TokenId,
        /// How many uses it had.
        uses: u32,
    },
    /// Somebody took it back.
    #[error("token {id} was revoked: make another with `picket-aggregator token create`")]
    Revoked {
        /// Which.
        id: TokenId,
    },
    /// The folder is in a bad way: not the agent's fault.
    #[error(transparent)]
    Store(#[from] TokenError),
}

/// What a token's use stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The agent.
    pub agent: AgentId,
    /// What its token says of it.
    pub facts: Facts,
    /// Whether this key had claimed it before.
    pub repeated: bool,
}

/// What a token is good for at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It can be used.
    Open,
    /// It was used as often as it could be.
    UsedUp,
    /// Its time is over.
    Expired,
    /// Somebody took it back.
    Revoked,
}

/// A token as it is listed: never its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenSummary {
    /// Its name.
    pub id: TokenId,
    /// What it says of the hosts that enroll with it.
    #[serde(flatten)]
    pub facts: Facts,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// How many agents enrolled with it.
    pub used: usize,
    /// How many can.
    pub uses_max: u32,
    /// What it is good for.
    pub state: TokenState,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    id: TokenId,
    secret_sha256: KeyHash,
    #[serde(flatten)]
    facts: Facts,
    created: Timestamp,
    expires: Timestamp,
    uses_max: u32,
    revoked: Option<Timestamp>,
    uses: Vec<Use>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Use {
    key: KeyHash,
    agent: AgentId,
    at: Timestamp,
}

impl Stored {
    fn state(&self, now: Timestamp) -> TokenState {
        if self.revoked.is_some() {
            TokenState::Revoked
        } else if self.uses.len() as u64 >= u64::from(self.uses_max) {
            TokenState::UsedUp
        } else if now >= self.expires {
            TokenState::Expired
        } else {
            TokenState::Open
        }
    }

    fn summary(&self, now: Timestamp) -> TokenSummary {
        let &Self { id, created, expires, uses_max, .. } = self;
        let (facts, used, state) = (self.facts.clone(), self.uses.len(), self.state(now));
        TokenSummary { id, facts, created, expires, used, uses_max, state }
    }
}

/// The tokens of one authority.
#[derive(Clone, Debug)]
pub struct Tokens {
    folder: PathBuf,
    authority: KeyHash,
    writer: Writer,
}

impl Tokens {
    /// The tokens in `state_dir/tokens`, made when missing.
    ///
    /// # Errors
    /// [`TokenError::File`].
    pub fn open(state_dir: &Path, authority: KeyHash, writer: Writer) -> Result<Self, TokenError> {
        let folder = state_dir.join("tokens");
        writer.folder(&folder, STATE_FOLDER)?;
        Ok(Self { folder, authority, writer })
    }

    /// Makes a token. Its text is a secret that is kept nowhere.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn create(&self, spec: &TokenSpec, now: Timestamp) -> Result<Token, TokenError> {
        let TokenSpec { facts, ttl, uses } = spec;
        if *ttl < Duration::from_secs(1) || *ttl > TTL_MAX {
            return Err(TokenError::Ttl(*ttl));
        }
        if !(1..=USES_MAX).contains(uses) {
            return Err(TokenError::Uses(*uses));
        }
        let named = |group: &String| {
            !group.is_empty() && group.len() <= GROUP_BYTES_MAX && !group.chars().any(char::is_control)
        };
        if !facts.group.as_ref().is_none_or(named) {
            return Err(TokenError::Group);
        }
        if !facts.is_within_bounds() {
            return Err(TokenError::Facts);
        }
        let _lock = self.lock()?;
        self.remove_long_ended(now)?;
        let token = Token::new(self.authority, TokenId(random()?), random()?);
        let stored = Stored {
            version: 1,
            id: token.id,
            secret_sha256: KeyHash(token.secret_sha256()),
            facts: facts.clone(),
            created: now,
            expires: now.plus(*ttl),
            uses_max: *uses,
            revoked: None,
            uses: Vec::new(),
        };
        self.store(&stored, "token.create")?;
        Ok(token)
    }

    /// Every token, the oldest first; those that cannot be read as errors, so that one bad file hides no other.
    ///
    /// # Errors
    /// [`TokenError::File`] when the folder cannot be read.
    pub fn list(&self, now: Timestamp) -> Result<(Vec<TokenSummary>, Vec<TokenError>), TokenError> {
        let (mut tokens, mut damaged) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match self.load(id) {
                Ok(Some(stored)) => tokens.push(stored.summary(now)),
                Ok(None) => {}
                Err(e) => damaged.push(e),
            }
        }
        tokens.sort_by_key(|token| (token.created, token.id));
        Ok((tokens, damaged))
    }

    /// Takes a token back: nobody enrolls with it any more. Agents that did are not touched.
    ///
    /// # Errors
    /// [`TokenError::Unknown`], [`TokenError::Damaged`], [`TokenError::File`].
    pub fn revoke(&self, id: TokenId, now: Timestamp) -> Result<(), TokenError> {
        let _lock = self.lock()?;
        let mut stored = self.load(id)?.ok_or(TokenError::Unknown(id))?;
        if stored.revoked.is_none() {
            stored.revoked = Some(now);
            self.store(&stored, "token.revoke")?;
        }
        Ok(())
    }

    /// Takes a use of a token for the request with this key; `proposed` is the id of the new agent when it is the
    /// first time that this key asks. After `Ok` the use is on disk.
    ///
    /// # Errors
    /// [`ClaimError`]; nothing is taken then, or (after an error of the disk) the use of this very key.
    pub fn claim(&self, token: &Token, key: KeyHash, proposed: AgentId, now: Timestamp) -> Result<Claim, ClaimError> {
        if token.authority != self.authority {
            return Err(ClaimError::OtherAuthority { theirs: token.authority, ours: self.authority });
        }
        let _lock = self.lock()?;
        let mut stored = self.load(token.id)?.ok_or(ClaimError::Unknown)?;
        let id = stored.id;
        if stored.secret_sha256.0 != token.secret_sha256() {
            return Err(ClaimError::Unknown);
        }
        if stored.revoked.is_some() {
            return Err(ClaimError::Revoked { id });
        }
        if let Some(earlier) = stored.uses.iter().find(|earlier| earlier.key == key)
            && now < stored.expires.max(earlier.at.plus(REPEATED_FOR))
        {
            return Ok(Claim { agent: earlier.agent, facts: stored.facts, repeated: true });
        }
        match stored.state(now) {
            TokenState::Open => {}
            TokenState::UsedUp => return Err(ClaimError::UsedUp { id, uses: stored.uses_max }),
            TokenState::Expired => return Err(ClaimError::Expired { id, at: stored.expires }),
            TokenState::Revoked => return Err(ClaimError::Revoked { id }),
        }
        stored.uses.push(Use { key, agent: proposed, at: now });
        self.store(&stored, "token.claim")?;
        Ok(Claim { agent: proposed, facts: stored.facts, repeated: false })
    }

    fn path(&self, id: TokenId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn lock(&self) -> Result<File, TokenError> {
        let path = self.folder.join(".lock");
        let file = self.writer.open_append(&path, PRIVATE)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| DurableError::new("lock", &path, e.into()))?;
        Ok(file)
    }

    fn load(&self, id: TokenId) -> Result<Option<Stored>, TokenError> {
        let path = self.path(id);
        let bytes = match read_bounded(&path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let damaged = |why| TokenError::Damaged { path: path.clone(), why };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if stored.version != 1 || stored.id != id {
            return Err(damaged(format!("it is version {} of token {}", stored.version, stored.id)));
        }
        Ok(Some(stored))
    }

    fn store(&self, stored: &Stored, point: &'static str) -> Result<(), TokenError> {
        let path = self.path(stored.id);
        let bytes = serde_json::to_vec(stored).map_err(|e| DurableError::new("write", &path, e.into()))?;
        Ok(self.writer.replace(&path, &bytes, PRIVATE, point)?)
    }

    fn ids(&self) -> Result<Vec<TokenId>, TokenError> {
        let failed = |e| DurableError::new("read the folder", &self.folder, e);
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            ids.extend(id.and_then(|id| id.parse::<TokenId>().ok()));
        }
        Ok(ids)
    }

    fn remove_long_ended(&self, now: Timestamp) -> Result<(), TokenError> {
        let ids = self.ids()?;
        let mut left = ids.len();
        for id in ids {
            if let Ok(Some(stored)) = self.load(id)
                && stored.state(now) != TokenState::Open
                && now > stored.expires.plus(KEPT_AFTER_END)
            {
                self.writer.remove(&self.path(id))?;
                left -= 1;
            }
        }
        if left >= TOKENS_MAX { Err(TokenError::TooMany) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
