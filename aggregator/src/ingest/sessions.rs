//! Who is connected: one session per agent id, and the credit that all share.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shared::identity::AgentId;
use shared::protocol::{Budget, GoAwayReason, SessionId};
use shared::time::Timestamp;
use tokio::sync::{Notify, watch};

use super::Notice;

/// Two replacements within this time are worth a notice.
const REPLACED_TWICE: Duration = Duration::from_secs(60);

/// An open session, for status and the API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionView {
    /// Whose.
    pub agent: AgentId,
    /// From where.
    pub peer: SocketAddr,
    /// Since when.
    pub since: Timestamp,
}

/// What is known of an agent's configuration and state.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Told {
    /// Name of what it is to do; none: nothing was asked of it.
    pub desired: Option<String>,
    /// Name of what it does; empty: no configuration of the fleet.
    pub running: String,
    /// It has a fleet file of its own.
    pub local_fleet: bool,
    /// Version of its program.
    pub version: String,
    /// What its host calls itself.
    pub hostname: String,
    /// What its host says of itself.
    pub labels: BTreeMap<String, String>,
    /// Its last word on how it is, and when it came.
    pub status: Option<(serde_json::Value, Timestamp)>,
}

impl Told {
    /// Whether it does something else than it is to do.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.desired.as_ref().is_some_and(|desired| *desired != self.running)
    }
}

struct Seat {
    session: SessionId,
    peer: SocketAddr,
    since: Timestamp,
    close: watch::Sender<Option<GoAwayReason>>,
}

/// One agent that was here since the start. Bounded by the roster: only certified agents get this far.
#[derive(Default)]
struct Known {
    seat: Option<Seat>,
    /// Held by the session that talks to the journal.
    gate: Arc<tokio::sync::Mutex<()>>,
    /// Last address, and the last other one.
    peers: [Option<SocketAddr>; 2],
    replaced: Option<Instant>,
    told: Told,
}

#[derive(Default)]
struct Table {
    next: u64,
    agents: HashMap<AgentId, Known>,
    /// Sessions by id, to be woken when they were granted credit.
    wakers: HashMap<SessionId, Arc<Notify>>,
}

/// A seat taken by a new session.
pub(super) struct Entered {
    pub(super) session: SessionId,
    /// To be held while the session talks to the journal.
    pub(super) gate: Arc<tokio::sync::Mutex<()>>,
    /// Says when and why the session must end.
    pub(super) closing: watch::Receiver<Option<GoAwayReason>>,
    /// Wakes the session when it was granted credit.
    pub(super) granted: Arc<Notify>,
    pub(super) notice: Option<Notice>,
}

/// All sessions of this aggregator.
pub(super) struct Sessions {
    table: Mutex<Table>,
    budget: Mutex<Budget>,
}

impl Sessions {
    pub(super) fn new(credit_bytes: u64) -> Self {
        Self { table: Mutex::default(), budget: Mutex::new(Budget::new(credit_bytes)) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the agent's seat. A session that sits there is told to end.
    pub(super) fn enter(&self, agent: AgentId, peer: SocketAddr, since: Timestamp, now: Instant) -> Entered {
        let mut table = self.table();
        table.next += 1;
        let (session, granted) = (SessionId(table.next), Arc::<Notify>::default());
        table.wakers.insert(session, Arc::clone(&granted));
        let known = table.agents.entry(agent).or_default();
        let mut notice = None;
        if let Some(older) = known.seat.take() {
            older.close.send_replace(Some(GoAwayReason::Replaced));
            if known.replaced.is_some_and(|at| now.saturating_duration_since(at) < REPLACED_TWICE) {
                notice = Some(Notice::TwoHosts { agent, peers: [older.peer, peer] });
            }
            known.replaced = Some(now);
        }
        let [last, _] = known.peers;
        if last.is_none_or(|last| last.ip() != peer.ip()) {
            known.peers = [Some(peer), last];
        }
        let (close, closing) = watch::channel(None);
        known.seat = Some(Seat { session, peer, since, close });
        Entered { session, gate: Arc::clone(&known.gate), closing, granted, notice }
    }

    /// Leaves the seat, if it is still this session's.
    pub(super) fn leave(&self, agent: AgentId, session: SessionId) {
        let mut table = self.table();
        table.wakers.remove(&session);
        if let Some(known) = table.agents.get_mut(&agent)
            && known.seat.as_ref().is_some_and(|seat| seat.session == session)
        {
            known.seat = None;
        }
    }

    /// Notes what an agent told, or is told.
    pub(super) fn note(&self, agent: AgentId, note: impl FnOnce(&mut Told)) {
        if let Some(known) = self.table().agents.get_mut(&agent) {
            note(&mut known.told);
        }
    }

    pub(super) fn all_told(&self) -> Vec<(AgentId, Told)> {
        self.table().agents.iter().map(|(&agent, known)| (agent, known.told.clone())).collect()
    }

    /// Ends the open session of an agent.
    pub(super) fn close(&self, agent: AgentId, reason: GoAwayReason) {
        if let Some(seat) = self.table().agents.get(&agent).and_then(|known| known.seat.as_ref()) {
            seat.close.send_replace(Some(reason));
        }
    }

    /// The last other host that was seen with this identity.
    pub(super) fn other_peer(&self, agent: AgentId, peer: SocketAddr) -> Option<SocketAddr> {
        let table = self.table();
        let peers = table.agents.get(&agent).map_or([None, None], |known| known.peers);
        peers.into_iter().flatten().find(|other| other.ip() != peer.ip())
    }

    pub(super) fn view(&self) -> Vec<SessionView> {
        let table = self.table();
        let seats = table.agents.iter().filter_map(|(&agent, known)| Some((agent, known.seat.as_ref()?)));
        seats.map(|(agent, seat)| SessionView { agent, peer: seat.peer, since: seat.since }).collect()
    }

    /// Does something with the budget, and wakes the sessions that were granted credit by it.
    pub(super) fn with_budget<T>(&self, act: impl FnOnce(&mut Budget) -> T) -> T {
        let (result, granted) = {
            let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
            let result = act(&mut budget);
            (result, budget.drain_granted())
        };
        if !granted.is_empty() {
            let table = self.table();
            granted.iter().filter_map(|session| table.wakers.get(session)).for_each(|waker| waker.notify_one());
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_session_closes_the_older_and_twice_in_a_minute_is_told() {
        let sessions = Sessions::new(0);
        let (agent, now) = (AgentId([1; 16]), Instant::now());
        let peer = |n: u8| SocketAddr::from(([10, 0, 0, n], 1));
        let first = sessions.enter(agent, peer(1), Timestamp(0), now);
        let second = sessions.enter(agent, peer(2), Timestamp(0), now);
        assert_eq!(*first.closing.borrow(), Some(GoAwayReason::Replaced));
        assert_eq!((second.notice, *second.closing.borrow()), (None, None));
        let third = sessions.enter(agent, peer(1), Timestamp(0), now + Duration::from_secs(30));
        assert_eq!(third.notice, Some(Notice::TwoHosts { agent, peers: [peer(2), peer(1)] }));
        let later = sessions.enter(agent, peer(1), Timestamp(0), now + Duration::from_secs(120));
        assert_eq!(later.notice, None);
        // The older session's end does not free the newer one's seat.
        sessions.leave(agent, third.session);
        assert_eq!(sessions.view().len(), 1);
        sessions.leave(agent, later.session);
        assert_eq!(sessions.view().len(), 0);
        assert_eq!(sessions.other_peer(agent, peer(1)), Some(peer(2)));
    }
}
