//! The agent's unix socket, both ends of it: what a running agent says of itself.
//!
//! In, one JSON line: `{"request":"status"}`. Out, one JSON line and the end of the stream: `{"ok": …}` or `{"error": "…"}`.
//!
//! Invariants:
//! - Nobody waits for long: a conversation is over after [`PATIENCE`], on either side.
//! - The socket is for its owner and group (0660). Nothing can be changed through it.
//! - A socket file that nobody answers at is replaced; one that an agent answers at, or another file, never is.
//!
//! Bounds: eight conversations at a time, further ones wait in the kernel's queue; requests of [`REQUEST_BYTES_MAX`], replies of
//! [`REPLY_BYTES_MAX`].

mod report;

use std::future::Future;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, STATE_FOLDER, Writer};
use shared::printable::Excerpt;
use shared::stop::{Stage, Stop};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

pub(crate) use report::span;
pub use report::{SourceStatus, StatusReport, UnavailableSource, UplinkView};

/// Largest request, bytes, newline not counted.
pub const REQUEST_BYTES_MAX: usize = 4 << 10;
/// Largest reply that is read, bytes. A report names at most 100 shadowed paths a source.
pub const REPLY_BYTES_MAX: u64 = 16 << 20;
/// How long a conversation may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Share of it that the agent may think; what is left is for saying that it did not come to an end.
const THINKING: (u32, u32) = (3, 5);
/// After the system refused a connection (no more descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Owner and group.
const SOCKET_MODE: u32 = 0o660;

#[derive(Serialize, Deserialize)]
struct Request {
    request: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Ok(Box<StatusReport>),
    Error(String),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its folder cannot be made.
    #[error(transparent)]
    Folder(#[from] DurableError),
    /// Another agent has it.
    #[error("an agent answers at {path} already: stop it, or set another `socket` in agent.yaml", path = .0.display())]
    Taken(PathBuf),
    /// A file that is no socket stands there.
    #[error("{path} is there and is no socket: move it away, or set another `socket` in agent.yaml", path = .0.display())]
    NotASocket(PathBuf),
    /// The system says no; a path of more than 107 bytes is no socket's (unix(7)).
    #[error("cannot listen at {path}: {source}; `socket` in agent.yaml names another place", path = path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A socket that listens; its file goes when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: StdListener,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
}

fn place(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|file| (file.dev(), file.ino()))
}

/// Listens at `path`; makes its folder. `writer` is that of the state folder.
///
/// # Errors
/// [`BindError`].
pub fn bind(path: &Path, writer: &Writer) -> Result<Socket, BindError> {
    if let Some(folder) = path.parent() {
        writer.folder(folder, STATE_FOLDER)?;
    }
    let failed = |source| BindError::Listen { path: path.to_path_buf(), source };
    match path.symlink_metadata() {
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket(path.to_path_buf())),
        Ok(_) => match dial(path) {
            // Its backlog is full: somebody listens, and answers slowly.
            Ok(_) => return Err(BindError::Taken(path.to_path_buf())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(BindError::Taken(path.to_path_buf()));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = StdListener::bind(path).map_err(failed)?;
    let listening = || {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
        listener.set_nonblocking(true)?;
        place(path)
    };
    let file = listening().map_err(failed)?;
    Ok(Socket { listener, path: path.to_path_buf(), file })
}

impl Drop for Socket {
    fn drop(&mut self) {
        if place(&self.path).is_ok_and(|file| file == self.file) {
            // What stays is replaced by the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Answers with what `status` says, until `stop` drains. Runs on any runtime of tokio; `status` need not be [`Send`].
///
/// # Errors
/// The runtime does not take the socket.
pub async fn serve<F, S>(socket: Socket, status: F, stop: &Stop) -> io::Result<()>
where
    F: Fn() -> S,
    S: Future<Output = StatusReport>,
{
    serve_within(PATIENCE, socket, status, stop).await
}

async fn serve_within<F, S>(patience: Duration, socket: Socket, status: F, stop: &Stop) -> io::Result<()>
where
    F: Fn() -> S,
    S: Future<Output = StatusReport>,
{
    let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
    let one = || async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => converse(stream, &status, patience).await,
                Err(error) => {
                    tracing::warn!(%error, "the socket for commands takes no connections for a moment");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        _ = async { tokio::join!(one(), one(), one(), one(), one(), one(), one(), one()) } => {}
        _ = stop.reached(Stage::Draining) => {}
    }
    Ok(())
}

async fn converse<F, S>(mut stream: UnixStream, status: &F, patience: Duration)
where
    F: Fn() -> S,
    S: Future<Output = StatusReport>,
{
    let talk = async {
        let mut line = Vec::new();
        let bounded = (&mut stream).take(REQUEST_BYTES_MAX as u64 + 1);
        BufReader::with_capacity(512, bounded).read_until(b'\n', &mut line).await?;
        let (share, whole) = THINKING;
        let reply = match requested(&line) {
            Err(error) => Reply::Error(error),
            Ok(()) => match tokio::time::timeout(patience * share / whole, status()).await {
                Ok(report) => Reply::Ok(Box::new(report)),
                Err(_) => Reply::Error("the spool does not answer: its disk is very slow or hangs".to_owned()),
            },
        };
        let mut bytes = serde_json::to_vec(&reply)?;
        bytes.push(b'\n');
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    match tokio::time::timeout(patience, talk).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a command went away"),
        Err(_) => tracing::debug!("a command took too long to ask or to listen"),
    }
}

/// Whether a line asks for what we have.
///
/// # Errors
/// What is wrong with it, for the person who asked.
pub fn requested(line: &[u8]) -> Result<(), String> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.len() > REQUEST_BYTES_MAX {
        return Err(format!("the request has more than {REQUEST_BYTES_MAX} bytes"));
    }
    let Request { request } =
        serde_json::from_slice(line).map_err(|error| format!("the request is not one line of JSON: {error}"))?;
    match request.as_str() {
        "status" => Ok(()),
        other => Err(format!("no such request as '{}'; there is: status", Excerpt(other))),
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no agent answers at {path}: {source}; start one with `systemctl start picket-agent` or `picket-agent run`", path = path.display())]
    Absent {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not for this user.
    #[error("{path} is not for this user: run this as root or as a member of the agent's group", path = .0.display())]
    Forbidden(PathBuf),
    /// Somebody listens and says nothing in time.
    #[error("the agent at {path} does not answer: it is stopping, or it hangs; its log says more", path = .0.display())]
    Silent(PathBuf),
    /// It says no.
    #[error("the agent refuses: {0}")]
    Refused(String),
    /// What it says is not understood.
    #[error("what the agent says is not understood ({0}): is it of another version? restart it")]
    Unreadable(serde_json::Error),
}

/// Connects without ever waiting: a full queue of connections is [`io::ErrorKind::WouldBlock`].
fn dial(path: &Path) -> io::Result<StdStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// Asks the agent that listens at `path` how it is. Blocks for at most [`PATIENCE`] and a second.
///
/// # Errors
/// [`AskError`].
pub fn ask(path: &Path) -> Result<StatusReport, AskError> {
    ask_within(PATIENCE + Duration::from_secs(1), path)
}

fn ask_within(patience: Duration, path: &Path) -> Result<StatusReport, AskError> {
    let silent = |_| AskError::Silent(path.to_path_buf());
    let mut stream = dial(path).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => AskError::Forbidden(path.to_path_buf()),
        io::ErrorKind::WouldBlock => AskError::Silent(path.to_path_buf()),
        _ => AskError::Absent { path: path.to_path_buf(), source },
    })?;
    let deadline = Instant::now() + patience;
    let reply = exchange(&mut stream, deadline).map_err(silent)?;
    if reply.is_empty() {
        return Err(AskError::Silent(path.to_path_buf()));
    }
    match serde_json::from_slice(&reply) {
        Ok(Reply::Ok(report)) => Ok(*report),
        Ok(Reply::Error(error)) => Err(AskError::Refused(error)),
        Err(error) => Err(AskError::Unreadable(error)),
    }
}

/// Sends the request and reads to the end.
fn exchange(stream: &mut StdStream, deadline: Instant) -> io::Result<Vec<u8>> {
    stream.set_nonblocking(false)?;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(Some(left)) }
    };
    let mut request = serde_json::to_vec(&Request { request: "status".to_owned() })?;
    request.push(b'\n');
    stream.set_write_timeout(left()?)?;
    stream.write_all(&request)?;
    let (mut reply, mut piece) = (Vec::new(), [0; 16 << 10]);
    loop {
        stream.set_read_timeout(left()?)?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(reply),
            Ok(read) => reply.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if reply.len() as u64 > REPLY_BYTES_MAX {
            return Err(io::Error::other("the reply does not end"));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
