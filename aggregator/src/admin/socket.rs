//! The admin socket: a command asks the running aggregator.
//!
//! In: a request. Out: a reply. One connection, one line of JSON each way, then the end of the stream:
//!
//! ```text
//! {"request":"revoke","agent":"web-1","reason":"stolen"}      ─▶
//!                                      ◀─  {"ok":{"agent":"01890a5d-…","outcome":"revoked"}}
//!                                      ◀─  {"error":"no agent calls itself 'web-1'","code":65}
//! ```
//!
//! Invariants: who may open the socket (mode 0660) may ask everything; a reply is only sent for a request that was
//! read whole. Limits: [`REQUEST_BYTES_MAX`], [`REPLY_BYTES_MAX`], [`CONNECTIONS_MAX`] at a time, [`TIMEOUT`] until
//! the reply is made and as long again to take it.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::durable::{DurableError, STATE_FOLDER, Writer};
use shared::exit::Reason;
use shared::identity::AgentId;
use shared::stop::{Stage, Stop};
use shared::time::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::ca::roster::Revocation;
use crate::pipeline::replay::Plan;

/// Longest request.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Longest reply that is read: 50,000 sessions are some 8 MiB.
pub const REPLY_BYTES_MAX: u64 = 64 << 20;
/// Connections that are answered at a time; others wait.
pub const CONNECTIONS_MAX: u32 = 16;
/// A request is read and its reply made within this.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The command waits a little longer, so that it hears why.
const ASK_TIMEOUT: Duration = Duration::from_secs(7);
/// A listener that takes no connection (no file descriptors left) is tried again after this.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Its owner and group, nobody else.
const MODE: u32 = 0o660;

/// What a command can ask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Lets an agent in no more and ends its session. Answered with [`Revoked`].
    Revoke {
        /// Its id or its host's name.
        agent: String,
        /// Why, in the words of whoever asks.
        #[serde(default)]
        reason: String,
    },
    /// Which sessions are open. Answered with a list of [`OpenSession`].
    Sessions,
    /// What agents said of themselves. Answered with a list of [`AgentState`](crate::admin::http::AgentState).
    Agents,
    /// Sends history through the pipeline again. Answered with a [`Replay`](crate::pipeline::replay::Replay).
    Replay(Plan),
    /// Every replay that is known. Answered with a list of them.
    Replays,
    /// Ends a replay. Answered with it.
    CancelReplay {
        /// Its id.
        id: String,
    },
    /// What the rules of `reduce` did. Answered with a list of [`RuleReport`](crate::admin::http::RuleReport).
    Reduction,
    /// How the aggregator is. Answered with a [`StatusReport`](crate::admin::report::StatusReport).
    Status,
}

impl Request {
    /// Reads the one line of a connection, with its newline or without.
    ///
    /// # Errors
    /// What is wrong with it, for the person who asked.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        if line.len() > REQUEST_BYTES_MAX {
            return Err(format!("the request is longer than {REQUEST_BYTES_MAX} bytes"));
        }
        serde_json::from_slice(line).map_err(|error| format!("this aggregator does not know the request: {error}"))
    }
}

/// A revocation that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// The agent.
    pub agent: AgentId,
    /// What it changed.
    pub outcome: Revocation,
}

/// A session with an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenSession {
    /// The agent.
    pub agent: AgentId,
    /// From where.
    pub peer: SocketAddr,
    /// Since when.
    pub since: Timestamp,
}

/// What the aggregator answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// It is done, or this is how it is.
    Ok(Value),
    /// It is not done.
    Error {
        /// Why, for the person who asked.
        message: String,
        /// How the command ends.
        reason: Reason,
    },
}

impl Reply {
    /// What was asked for.
    pub fn ok(value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => Self::Ok(value),
            Err(error) => Self::error(Reason::Internal, format_args!("the reply cannot be written: {error}")),
        }
    }

    /// Why it is not done.
    pub fn error(reason: Reason, message: impl std::fmt::Display) -> Self {
        Self::Error { message: message.to_string(), reason }
    }

    fn line(&self) -> String {
        let value = match self {
            Self::Ok(value) => json!({ "ok": value }),
            Self::Error { message, reason } => json!({ "error": message, "code": *reason as u8 }),
        };
        format!("{value}\n")
    }

    fn read(line: &[u8]) -> Option<Self> {
        let mut value: Value = serde_json::from_slice(line).ok()?;
        if let Some(ok) = value.get_mut("ok") {
            return Some(Self::Ok(ok.take()));
        }
        let message = value.get("error")?.as_str()?.to_owned();
        let code = value.get("code").and_then(Value::as_u64);
        Some(Self::Error { message, reason: code.and_then(reason_of).unwrap_or(Reason::Internal) })
    }
}

fn reason_of(code: u64) -> Option<Reason> {
    use Reason::{CannotCreate, Config, Data, Internal, Io, Unavailable, Usage};
    let all = [Usage, Data, Unavailable, Internal, CannotCreate, Io, Config];
    all.into_iter().find(|reason| u64::from(*reason as u8) == code)
}

/// Does what is asked; it may block.
pub type Handler = Arc<dyn Fn(Request) -> Reply + Send + Sync>;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("another aggregator answers at {path}: stop it, or give this one another `socket` in aggregator.yaml", path = path.display())]
    Answered {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{path} is there and is no socket: move it away, or give another `socket` in aggregator.yaml", path = path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error(transparent)]
    File(#[from] DurableError),
}

/// Makes the socket; a stale one of a dead aggregator is replaced. Its name appears when its mode is right; what
/// root makes gets the owner of `state_dir`.
///
/// # Errors
/// [`BindError`].
pub fn bind(path: &Path, state_dir: &Path) -> Result<UnixListener, BindError> {
    let failed = |doing| move |e| BindError::File(DurableError::new(doing, path, e));
    if let Ok(meta) = path.symlink_metadata() {
        if !meta.file_type().is_socket() {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        match UnixStream::connect(path) {
            Ok(_) => return Err(BindError::Answered { path: path.to_owned() }),
            Err(e) if nobody(&e) => {}
            Err(e) => return Err(failed("find out who answers at")(e)),
        }
    }
    if let Some(folder) = path.parent() {
        Writer::for_owner_of(state_dir)?.folder(folder, STATE_FOLDER)?;
    }
    let temporary = path.with_extension("new");
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("clear the way for")(e)),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary).map_err(failed("make the socket"))?;
    let mode = std::fs::Permissions::from_mode(MODE);
    std::fs::set_permissions(&temporary, mode).map_err(failed("set the mode of"))?;
    if rustix::process::geteuid().is_root() {
        let owner = std::fs::metadata(state_dir).map_err(failed("set the owner of"))?;
        std::os::unix::fs::lchown(&temporary, Some(owner.uid()), Some(owner.gid()))
            .map_err(failed("set the owner of"))?;
    }
    std::fs::rename(&temporary, path).map_err(failed("put in place"))?;
    listener.set_nonblocking(true).map_err(failed("listen at"))?;
    Ok(listener)
}

/// Answers requests until `stop` drains; those that are under way then are finished.
///
/// # Errors
/// The listener cannot be used by this runtime.
pub async fn serve(listener: UnixListener, handler: Handler, stop: Stop) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let mut stopped = stop.reached(Stage::Draining);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, place))
        };
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, place)) => drop(tokio::spawn(answer(stream, Arc::clone(&handler), Arc::new(place)))),
            Err(error) => {
                tracing::warn!(%error, "the admin socket takes no connection; it is tried again");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
    drop(listener);
    let _ = places.acquire_many(CONNECTIONS_MAX).await;
    Ok(())
}

async fn answer(mut stream: tokio::net::UnixStream, handler: Handler, place: Arc<OwnedSemaphorePermit>) {
    let deadline = Instant::now() + TIMEOUT;
    let reply = match tokio::time::timeout_at(deadline, read(&mut stream)).await {
        Ok(Ok(request)) => {
            // The place is kept by whoever is busy longest.
            let kept = Arc::clone(&place);
            let work = tokio::task::spawn_blocking(move || {
                let reply = handler(request);
                drop(kept);
                reply
            });
            match tokio::time::timeout_at(deadline, work).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(error)) => Reply::error(Reason::Internal, format_args!("the request failed: {error}")),
                Err(_) => Reply::error(
                    Reason::Unavailable,
                    format_args!("it takes longer than {TIMEOUT:?} and goes on: look again later"),
                ),
            }
        }
        Ok(Err(why)) => Reply::error(Reason::Usage, why),
        Err(_) => Reply::error(Reason::Usage, format_args!("no whole request came within {TIMEOUT:?}")),
    };
    let sent = async {
        stream.write_all(reply.line().as_bytes()).await?;
        stream.shutdown().await
    };
    match tokio::time::timeout(TIMEOUT, sent).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a command did not wait for its reply"),
        Err(_) => tracing::debug!("a command does not take its reply"),
    }
    drop(place);
}

/// The one request of a connection, or what is wrong with it.
async fn read(stream: &mut tokio::net::UnixStream) -> Result<Request, String> {
    let mut line = Vec::new();
    let limit = REQUEST_BYTES_MAX as u64 + 1;
    let mut source = tokio::io::BufReader::new(stream).take(limit);
    source.read_until(b'\n', &mut line).await.map_err(|error| format!("the request cannot be read: {error}"))?;
    Request::parse(&line)
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The socket is there and cannot be used.
    #[error("cannot ask the aggregator at {path}: {source}{hint}", path = path.display(), hint = hint(source))]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever answers is no aggregator, or of another version.
    #[error("what answers at {path} is no reply: is it an aggregator of this version?", path = path.display())]
    Garbled {
        /// The socket.
        path: PathBuf,
    },
    /// The aggregator says no.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// How the command ends.
        reason: Reason,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run the command as root or as the aggregator's user",
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "; it did not answer within seven seconds, see its log",
        _ => "",
    }
}

impl AskError {
    /// How the command ends.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io { .. } | Self::Garbled { .. } => Reason::Unavailable,
            Self::Refused { reason, .. } => *reason,
        }
    }
}

fn nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Asks the aggregator behind the socket at `path`, and blocks until it answers; `None`: none runs.
///
/// # Errors
/// [`AskError`].
pub fn ask(path: &Path, request: &Request) -> Result<Option<Value>, AskError> {
    let failed = |source| AskError::Io { path: path.to_owned(), source };
    let mut stream = match UnixStream::connect(path) {
        Err(error) if nobody(&error) => return Ok(None),
        other => other.map_err(failed)?,
    };
    let line = serde_json::to_string(request).map_err(|error| failed(error.into()))?;
    let mut reply = Vec::new();
    stream
        .set_read_timeout(Some(ASK_TIMEOUT))
        .and_then(|()| stream.set_write_timeout(Some(ASK_TIMEOUT)))
        .and_then(|()| stream.write_all(format!("{line}\n").as_bytes()))
        .and_then(|()| stream.take(REPLY_BYTES_MAX).read_to_end(&mut reply))
        .map_err(failed)?;
    match Reply::read(&reply).ok_or_else(|| AskError::Garbled { path: path.to_owned() })? {
        Reply::Ok(value) => Ok(Some(value)),
        Reply::Error { message, reason } => Err(AskError::Refused { message, reason }),
    }
}

#[cfg(test)]
mod tests;
