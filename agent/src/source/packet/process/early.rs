//! Whose short flows are: asked for at their first packet, on a thread of its own, ahead of the capture.
//!
//! The capture's ring hands packets over many at a time, by when the socket of a question to a name server is gone. Here
//! the ends of first packets come in one by one as they are sent; [`Early`] keeps the answers until the flow is opened in
//! the table, a ring later.
//!
//! Bounds: [`KEPT_MAX`] answers for [`KEPT_FOR`]; [`Asker`] takes [`CREDIT_SHARE`] of a core in the long run and
//! [`CREDIT_MAX`] at once, and reads as many links of `/proc` as `holders` lets it.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shared::time::Timestamp;

use super::Process;
use super::holders::Holders;
use super::people::People;
use super::sockets::{Ends, Sockets};
use crate::source::packet::flow::key::{Path, TCP, UDP};

/// Answers that are kept; each takes about 200 bytes.
const KEPT_MAX: usize = 2048;
/// How long: longer than the capture's ring takes, shorter than a port is used again.
const KEPT_FOR: Duration = Duration::from_secs(2);
/// One part in this many of the time may be spent on questions.
const CREDIT_SHARE: u32 = 20;
/// Most that may be spent at once.
const CREDIT_MAX: Duration = Duration::from_millis(100);

/// Answers to questions that were asked ahead.
#[derive(Default)]
pub struct Early {
    answers: Mutex<HashMap<Ends, Answer>>,
}

/// Whose a socket is, and when that was asked. No process: it had gone already.
#[derive(Clone, Debug)]
struct Answer {
    at: Timestamp,
    process: Option<Process>,
    uid: u32,
}

impl Early {
    fn lock(&self) -> MutexGuard<'_, HashMap<Ends, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, ends: Ends, answer: Answer) {
        let mut answers = self.lock();
        if answers.len() >= KEPT_MAX {
            answers.retain(|_, known| answer.at.since(known.at) < KEPT_FOR);
        }
        if answers.len() < KEPT_MAX {
            answers.insert(ends, answer);
        }
    }

    fn take(&self, ends: &Ends, now: Timestamp, fits: impl Fn(&Answer) -> bool) -> Option<Answer> {
        let mut answers = self.lock();
        let fits = answers.get(ends).is_some_and(fits);
        let answer = if fits { answers.remove(ends) } else { None };
        answer.filter(|answer| now.since(answer.at) < KEPT_FOR)
    }

    /// The process and user of the socket with these ends, if they were found lately; told once.
    pub(super) fn named(&self, ends: &Ends, now: Timestamp) -> Option<(Process, u32)> {
        let answer = self.take(ends, now, |answer| answer.process.is_some())?;
        Some((answer.process?, answer.uid))
    }

    /// Its user, if only that was found, and `fits`; told once.
    pub(super) fn user(&self, ends: &Ends, now: Timestamp, fits: impl Fn(u32) -> bool) -> Option<u32> {
        self.take(ends, now, |answer| answer.process.is_none() && fits(answer.uid)).map(|answer| answer.uid)
    }
}

/// Asks the kernel and `/proc`.
pub struct Asker {
    sockets: Sockets,
    holders: Holders,
    people: People,
    early: Arc<Early>,
    credit: Duration,
    credited_at: Option<Instant>,
}

impl Asker {
    /// One for this host.
    #[must_use]
    pub fn new(early: Arc<Early>) -> Self {
        Self::at(FilePath::new("/proc"), FilePath::new("/etc/passwd"), early)
    }

    pub(super) fn at(proc: &FilePath, passwd: &FilePath, early: Arc<Early>) -> Self {
        Self {
            sockets: Sockets::open(proc, true),
            holders: Holders::new(proc),
            people: People::new(proc, passwd),
            early,
            credit: CREDIT_MAX,
            credited_at: None,
        }
    }

    /// Whether it is worth the while: listings take longer than short sockets live.
    #[must_use]
    pub fn is_able(&self) -> bool {
        self.sockets.by_netlink()
    }

    /// Learns which processes are there already, so that new ones stand out.
    pub fn begin(&mut self) {
        self.holders.know();
    }

    /// What may be spent now, after `spent` since the last time; none: pause.
    pub fn account(&mut self, spent: Duration, instant: Instant) -> Duration {
        let before = *self.credited_at.get_or_insert(instant);
        let earned = instant.saturating_duration_since(before) / CREDIT_SHARE;
        self.credited_at = Some(instant);
        self.credit = (self.credit + earned).min(CREDIT_MAX).saturating_sub(spent);
        self.credit
    }

    /// A packet that begins a flow was sent by this host.
    pub fn first(&mut self, path: &Path, now: Timestamp) {
        if !matches!(path.protocol, TCP | UDP) {
            return;
        }
        let ends = Ends { protocol: path.protocol, local: path.source, remote: path.destination };
        let Some(socket) = self.sockets.find(&[ends]).into_iter().flatten().next() else { return };
        let mut process = self.process(socket.inode);
        if process.is_none() {
            self.holders.refill(now);
            self.holders.look(&[socket.inode]);
            process = self.process(socket.inode);
        }
        self.early.put(ends, Answer { at: now, process, uid: socket.uid });
    }

    fn process(&mut self, inode: u64) -> Option<Process> {
        self.holders.holder(inode).and_then(|pid| self.people.process(pid))
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::source::packet::flow::key::End;

    fn path(local: std::net::SocketAddr, remote: (&str, u16)) -> Path {
        let end = |ip, port| End { ip, port };
        Path {
            source: end(local.ip(), local.port()),
            destination: end(remote.0.parse().unwrap(), remote.1),
            protocol: UDP,
            one_way: false,
        }
    }

    #[test]
    fn socket_that_is_gone_since_its_first_packet_is_still_somebodys_once_and_for_a_while() {
        let early = Arc::new(Early::default());
        let mut asker = Asker::new(early.clone());
        if !asker.is_able() {
            return println!("skipped: no sock_diag");
        }
        asker.begin();
        let ends = |path: Path| Ends { protocol: UDP, local: path.source, remote: path.destination };
        let paths = [Timestamp(0), Timestamp(1)].map(|now| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let path = path(socket.local_addr().unwrap(), ("127.0.0.1", 9));
            asker.first(&path, now);
            path
        });
        let (process, uid) = early.named(&ends(paths[0]), Timestamp(5)).unwrap();
        assert_eq!((process.pid, uid), (std::process::id(), rustix::process::getuid().as_raw()));
        assert_eq!(early.named(&ends(paths[0]), Timestamp(5)), None, "once");
        assert_eq!(early.named(&ends(paths[1]), Timestamp(1).plus(KEPT_FOR)), None, "too late");
    }

    #[test]
    fn answers_and_time_are_bounded() {
        let early = Arc::new(Early::default());
        let mut asker = Asker::at(FilePath::new("/nowhere"), FilePath::new("/nowhere"), early.clone());
        let answer = Answer { at: Timestamp(0), process: None, uid: 7 };
        for port in 0..u16::MAX {
            let path = path(std::net::SocketAddr::from(([127, 0, 0, 1], port)), ("127.0.0.1", 9));
            early.put(Ends { protocol: UDP, local: path.source, remote: path.destination }, answer.clone());
        }
        assert_eq!(early.lock().len(), KEPT_MAX);
        let begin = Instant::now();
        assert_eq!(asker.account(Duration::ZERO, begin), CREDIT_MAX);
        assert_eq!(asker.account(CREDIT_MAX * 2, begin), Duration::ZERO);
        assert_eq!(asker.account(Duration::ZERO, begin + CREDIT_MAX), CREDIT_MAX / CREDIT_SHARE);
        assert_eq!(asker.account(Duration::ZERO, begin + CREDIT_MAX * CREDIT_SHARE * 2), CREDIT_MAX);
    }
}
