//! What ingest notices about connections and agents, as records of the aggregator's own in the journal.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::record::Value;
use shared::time::Clock;

use crate::ingest::{Notice, Notify};
use crate::journal::{JournalHandle, OwnRecord};

/// A stranger can make notices at will: so many per minute are journaled, the others counted in the next one.
const PER_MINUTE: u32 = 60;

struct Window {
    began: Instant,
    told: u32,
    suppressed: u64,
}

/// A callback that journals notices, boundedly.
pub(super) fn teller(journal: JournalHandle, clock: Clock) -> Notify {
    let window = Mutex::new(Window { began: clock.instant(), told: 0, suppressed: 0 });
    Arc::new(move |notice| {
        let now = clock.instant();
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.began) >= Duration::from_secs(60) {
            (window.began, window.told) = (now, 0);
        }
        if window.told >= PER_MINUTE {
            window.suppressed += 1;
            return;
        }
        window.told += 1;
        let mut record = record(&notice);
        if window.suppressed > 0 {
            record.push(("notices_suppressed".to_owned(), Value::U64(std::mem::take(&mut window.suppressed))));
        }
        drop(window);
        journal.say(record);
    })
}

fn record(notice: &Notice) -> OwnRecord {
    let (kind, severity, fields): (&str, i64, Vec<(&str, String)>) = match notice {
        Notice::Refused { peer, reason } => {
            ("connection_refused", 2, vec![("peer", peer.to_string()), ("reason", reason.clone())])
        }
        Notice::TwoHosts { agent, peers: [older, newer] } => {
            let peers = vec![("agent", agent.to_string()), ("peer", newer.to_string()), ("other", older.to_string())];
            ("two_hosts_one_identity", 4, peers)
        }
        Notice::Forked { chain, previous, peer, other } => {
            let mut fields = vec![
                ("agent", chain.agent.to_string()),
                ("lane", chain.lane.to_string()),
                ("epoch", chain.epoch.to_string()),
                ("peer", peer.to_string()),
            ];
            fields.extend(previous.as_ref().map(|previous| ("previous_epoch", previous.epoch.to_string())));
            fields.extend(other.map(|other| ("other", other.to_string())));
            ("forked", 4, fields)
        }
        Notice::Rejected { chain, sequence, reason, peer } => (
            "frame_rejected",
            4,
            vec![
                ("agent", chain.agent.to_string()),
                ("lane", chain.lane.to_string()),
                ("epoch", chain.epoch.to_string()),
                ("sequence", sequence.to_string()),
                ("reason", reason.name().to_owned()),
                ("peer", peer.to_string()),
            ],
        ),
        Notice::ForeignAgent { certified, claimed, peer } => (
            "foreign_agent",
            5,
            vec![("agent", certified.to_string()), ("claimed", claimed.to_string()), ("peer", peer.to_string())],
        ),
    };
    let mut record = vec![
        ("picket.record".to_owned(), Value::String("notice".to_owned())),
        ("notice".to_owned(), Value::String(kind.to_owned())),
        ("severity_id".to_owned(), Value::I64(severity)),
        ("message".to_owned(), Value::String(kind.replace('_', " "))),
    ];
    record.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value))));
    record
}
