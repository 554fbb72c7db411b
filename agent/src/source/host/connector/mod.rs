//! Processes as they begin and end, by the kernel's proc connector: netlink, only in the network and process
//! namespaces that the kernel began with, and before Linux 6.6 only with `CAP_NET_ADMIN`.
//!
//! Invariant: what the socket had no room for is counted, by the numbers that are missing.

pub mod message;
mod starts;

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with, sockopt,
};

use self::message::{Event, Gaps, PROC, What, events, request};
pub use self::starts::{Starts, Told, WAIT_NS};

/// Room for events in the kernel: about ten thousand.
const BUFFER_BYTES: usize = 8 << 20;
/// Datagrams that are read at once.
const DATAGRAMS_MAX: usize = 4096;
const DATAGRAM_BYTES_MAX: usize = 1024;
/// The kernel answers before the request returns.
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);

/// Why there are no events.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectorError {
    /// A capability is missing, which kernels before 6.6 ask for.
    #[error("the proc connector is not permitted: give the agent CAP_NET_ADMIN; processes are polled")]
    NotPermitted,
    /// The kernel has none, or this is a namespace of its own.
    #[error("the proc connector does not answer here (a namespace, or a kernel without it); processes are polled")]
    Silent,
    /// Anything else.
    #[error("the proc connector failed: {0}; processes are polled")]
    Failed(Errno),
}

impl From<Errno> for ConnectorError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::CONNREFUSED => Self::Silent,
            other => Self::Failed(other),
        }
    }
}

/// The connector, open.
#[derive(Debug)]
pub struct Connector {
    socket: OwnedFd,
    gaps: Gaps,
    piece: Vec<u8>,
    overruns: u64,
}

impl Connector {
    /// Asks the kernel to tell.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub fn open() -> Result<Self, ConnectorError> {
        Self::with_room(BUFFER_BYTES)
    }

    /// The same with room for so many bytes of events.
    pub(super) fn with_room(bytes: usize) -> Result<Self, ConnectorError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::CONNECTOR))?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        bind(&socket, &SocketAddrNetlink::new(0, PROC))?;
        sendto(&socket, &request(true), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut connector = Self { socket, gaps: Gaps::default(), piece: vec![0; DATAGRAM_BYTES_MAX], overruns: 0 };
        let deadline = std::time::Instant::now() + ANSWER_PATIENCE;
        let mut answer = None;
        while answer.is_none() && std::time::Instant::now() < deadline {
            connector.wait(ANSWER_PATIENCE)?;
            connector.read(&mut |event| {
                if let What::Answer(error) = event.what {
                    answer = Some(error);
                }
            })?;
        }
        // What came before the answer was sent for others who listen, and may have holes.
        connector.gaps = Gaps::default();
        match answer {
            Some(0) => Ok(connector),
            Some(_) => Err(ConnectorError::NotPermitted),
            None => Err(ConnectorError::Silent),
        }
    }

    /// Waits for events for at most `patience`; whether there are any.
    ///
    /// # Errors
    /// [`ConnectorError::Failed`].
    pub fn wait(&self, patience: Duration) -> Result<bool, ConnectorError> {
        let patience = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&patience)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes what is there, a bounded number; how many events were lost before them.
    ///
    /// # Errors
    /// [`ConnectorError::Failed`].
    pub fn read(&mut self, each: &mut dyn FnMut(Event)) -> Result<u64, ConnectorError> {
        let mut lost = 0;
        for _ in 0..DATAGRAMS_MAX {
            let Self { socket, gaps, piece, overruns } = self;
            match recv(&*socket, piece.as_mut_slice(), RecvFlags::empty()) {
                Ok((len, _)) => events(piece.get(..len).unwrap_or_default(), &mut |event| {
                    lost += gaps.see(&event);
                    each(event);
                }),
                // What did not fit is counted by the numbers of what comes next.
                Err(Errno::NOBUFS) => *overruns += 1,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lost)
    }

    /// How often the socket had no room.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // The kernel forgets who listened with the socket only since 6.5.
        let _ = sendto(&self.socket, &request(false), SendFlags::empty(), &SocketAddrNetlink::new(0, 0));
    }
}
