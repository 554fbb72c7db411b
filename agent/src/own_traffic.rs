//! What this program itself sends and gets over the network: the uplink says it, captures leave it out.
//!
//! Invariant: ends are declared before their first packet is sent. Bound: the last [`ENDS_MAX`] are known; a conversation
//! that is over goes on to be known for a while, for what comes late.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Conversations that are known.
pub const ENDS_MAX: usize = 8;

/// IANA protocol number of UDP.
pub const UDP: u8 = 17;

/// A conversation of this program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnEnds {
    /// IANA protocol number.
    pub protocol: u8,
    /// The port on this host, whichever of its addresses is used.
    pub local_port: u16,
    /// The other end.
    pub remote: SocketAddr,
}

/// All of them; clones are the same.
#[derive(Clone, Default, Debug)]
pub struct OwnTraffic(Arc<Known>);

#[derive(Default, Debug)]
struct Known {
    ends: Mutex<VecDeque<OwnEnds>>,
    generation: AtomicU64,
}

impl OwnTraffic {
    /// A conversation begins.
    pub fn declare(&self, ends: OwnEnds) {
        let mut known = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|other| *other != ends);
        if known.len() >= ENDS_MAX {
            known.pop_front();
        }
        known.push_back(ends);
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever a conversation begins.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The conversations, the oldest first.
    #[must_use]
    pub fn ends(&self) -> Vec<OwnEnds> {
        self.0.ends.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_conversations_are_known_each_once() {
        let own = OwnTraffic::default();
        let ends = |port| OwnEnds { protocol: UDP, local_port: port, remote: ([192, 0, 2, 1], 7443).into() };
        (1..=20).for_each(|port| own.declare(ends(port)));
        own.declare(ends(19));
        let ports: Vec<u16> = own.ends().iter().map(|ends| ends.local_port).collect();
        assert_eq!(ports, [13, 14, 15, 16, 17, 18, 20, 19]);
        assert_eq!(own.generation(), 21);
    }
}
