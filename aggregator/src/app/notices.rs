//! What ingest notices about connections and agents, as records of the aggregator's own in the journal.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::record::Value;
use shared::time::Clock;

use crate::ingest::{Notice, Notify};
use crate::journal::{JournalHandle, OwnRecord};

/// A stranger can make notices at will: so many per minute are journaled, the others counted in the next one. Those that
/// take a certificate are counted apart, so that no stranger keeps them from being told.
const PER_MINUTE: u32 = 60;

struct Window {
    began: Instant,
    told: u32,
    suppressed: u64,
}

/// A callback that journals notices, boundedly.
pub(super) fn teller(journal: JournalHandle, clock: Clock) -> Notify {
    let window = || Mutex::new(Window { began: clock.instant(), told: 0, suppressed: 0 });
    let (of_strangers, of_agents) = (window(), window());
    Arc::new(move |notice| {
        let now = clock.instant();
        let window = if matches!(notice, Notice::Refused { .. }) { &of_strangers } else { &of_agents };
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

#[cfg(test)]
mod tests {
    use shared::identity::{AgentId, ChainId, Epoch, Lane};
    use shared::protocol::RejectReason;

    use super::*;
    use crate::event::Event;
    use crate::journal::offline::testing::Maker;
    use crate::journal::{JournalReader, Journaled};
    use crate::pipeline::interpret::Interpreter;

    #[test]
    fn every_notice_becomes_an_event_that_names_who_and_what() {
        let agent = AgentId([7; 16]);
        let chain = ChainId { agent, lane: Lane::High, epoch: Epoch(5) };
        let peer = "192.0.2.7:5000".parse().unwrap();
        let notices = [
            Notice::TwoHosts { agent, peers: [peer, "192.0.2.8:5000".parse().unwrap()] },
            Notice::Forked { chain, previous: None, peer, other: None },
            Notice::Rejected { chain, sequence: 9, reason: RejectReason::Prev, peer },
            Notice::ForeignAgent { certified: agent, claimed: AgentId([8; 16]), peer },
        ];
        let mut maker = Maker::new("notices");
        for notice in &notices {
            let record = record(notice);
            maker.typed(&record.iter().map(|(key, value)| (key.as_str(), value.clone())).collect::<Vec<_>>());
        }
        let mut reader = JournalReader::after(&maker.dir.join("journal"), 0).unwrap();
        let (mut interpreter, mut seen) = (Interpreter::default(), Vec::new());
        while let Some(Journaled::Frame(wrap, frame)) = reader.next(u64::MAX).unwrap() {
            let Ok(_) = interpreter.frame(&wrap, &frame, maker.now(), &mut |event: &mut Event<'_>| {
                let mut text = String::new();
                crate::event::json::write(event, &mut text);
                seen.push(serde_json::from_str::<serde_json::Value>(&text).unwrap());
                Ok::<_, std::convert::Infallible>(())
            });
        }
        let told: Vec<_> = seen.iter().map(|event| event["unmapped"]["notice"].as_str().unwrap()).collect();
        assert_eq!(told, ["two_hosts_one_identity", "forked", "frame_rejected", "foreign_agent"]);
        for event in &seen {
            assert_eq!(event["unmapped"]["agent"], agent.to_string(), "{event}");
            assert!(event["severity_id"].as_i64() >= Some(3) && event["message"].is_string(), "{event}");
        }
    }
}
