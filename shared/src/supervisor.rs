//! What a service tells systemd: `sd_notify(3)`, by hand.
//!
//! In: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of the environment. Out: one datagram per change: ready, reloading,
//! stopping, a line of status, the watchdog's food. Without the socket nothing is said and everything works.
//!
//! The watchdog is fed by progress ([`crate::pulse`]): a program with a thread that is stuck says which and starves. A program
//! that is idle, whose spool is full or whose other end is away is well: starting it again would help nobody.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::pulse;

/// A start that still goes on asks for this much more time.
const STARTING: Duration = Duration::from_secs(30);
/// How often a program looks at its threads where no watchdog asks.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// Who started this program, and wants to hear how it is.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    ready: AtomicBool,
}

impl Supervisor {
    /// As the environment says.
    #[must_use]
    pub fn of_this_process() -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0).map(Duration::from_micros);
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let socket = address(&name).and_then(|address| Ok((UnixDatagram::unbound()?, address)));
            socket
                .inspect_err(|error| tracing::warn!(?name, %error, "the service manager cannot be told anything"))
                .ok()
        });
        Self { socket, watchdog, ready: AtomicBool::new(false) }
    }

    /// A thread at work that has not come round for this long is stuck: half of what the watchdog allows. None where no
    /// watchdog asks.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// How often [`Supervisor::look`] is to be called.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.watchdog.map_or(LOOK_INTERVAL, |watchdog| watchdog / 4)
    }

    /// Whether the program said that it does its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The program does its work from now on.
    pub fn ready(&self, status: &str) {
        self.ready.store(true, Ordering::Relaxed);
        self.say(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// The start goes on; it is no failure yet.
    pub fn starting(&self, status: &str) {
        self.say(&format!("EXTEND_TIMEOUT_USEC={}\nSTATUS={}", STARTING.as_micros(), line(status)));
    }

    /// One line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.say(&format!("STATUS={}", line(status)));
    }

    /// The configuration is being read again; [`Supervisor::ready`] ends it.
    pub fn reloading(&self) {
        let now = Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic)).unwrap_or_default();
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// The program is on its way out.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=stopping: what was taken is being committed");
    }

    /// Feeds the watchdog if every thread came round, else says which did not. True when all is well.
    pub fn look(&self) -> bool {
        let Some(patience) = self.patience() else { return true };
        let stuck = pulse::stuck(patience);
        if stuck.is_empty() {
            self.say("WATCHDOG=1");
            return true;
        }
        for stuck in &stuck {
            tracing::error!(thread = stuck.thread, silent = ?stuck.silent, "a thread is stuck; the watchdog is not fed");
        }
        let names: Vec<&str> = stuck.iter().map(|stuck| stuck.thread.as_str()).collect();
        self.status(&format!("stuck: {}", names.join(", ")));
        false
    }

    fn say(&self, message: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

/// `/path`, or `@name` in the abstract namespace.
fn address(name: &OsStr) -> std::io::Result<SocketAddr> {
    match name.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

/// What a status is: one line.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn what_is_said_arrives_at_a_path_and_at_an_abstract_name() {
        let path = std::env::temp_dir().join(format!("picket-notify-{}", std::process::id()));
        let name = format!("@picket-notify-{}", std::process::id());
        for name in [path.as_os_str(), OsStr::new(&name)] {
            let there = UnixDatagram::bind_addr(&address(name).unwrap()).unwrap();
            let supervisor = Supervisor {
                socket: Some((UnixDatagram::unbound().unwrap(), address(name).unwrap())),
                watchdog: Some(Duration::from_secs(60)),
                ..Supervisor::default()
            };
            assert!(!supervisor.is_ready());
            supervisor.ready("two\nlines");
            assert_eq!(heard(&there), "READY=1\nSTATUS=two lines");
            assert!(supervisor.look());
            assert_eq!(heard(&there), "WATCHDOG=1");
            supervisor.reloading();
            assert!(heard(&there).starts_with("RELOADING=1\nMONOTONIC_USEC="));
            supervisor.stopping();
            assert!(heard(&there).starts_with("STOPPING=1\n"));
            assert_eq!(
                (supervisor.patience(), supervisor.interval()),
                (Some(Duration::from_secs(30)), Duration::from_secs(15))
            );
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn nobody_who_listens_is_no_failure() {
        let nobody = Supervisor::default();
        nobody.ready("");
        assert!(nobody.look());
        let gone = Supervisor {
            socket: Some((UnixDatagram::unbound().unwrap(), address(OsStr::new("/nowhere/at/all")).unwrap())),
            ..Supervisor::default()
        };
        gone.ready("");
    }
}
