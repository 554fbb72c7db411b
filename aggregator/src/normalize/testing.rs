//! For the tests of this room: a line through the whole stage, as JSON.

use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use super::{Line, Origin, line};
use crate::event::{Event, json};

/// When test lines are read: 2026-03-16T09:30:00Z.
pub(super) const READ_AT: Timestamp = Timestamp::from_seconds(1_773_653_400);

/// A host one hour east of UTC.
pub(super) fn origin() -> Origin {
    Origin { hostname: "web-1".to_owned(), utc_offset_minutes: 60, ..Origin::default() }
}

/// The event of a line that `origin` sent.
pub(super) fn normalized_from(origin: &Origin, raw: &[u8], full_size: Option<u64>) -> serde_json::Value {
    let fields = origin.fields();
    let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
    let mut event = Event::new(EventId { chain, record: 7, part: 0 }, READ_AT, READ_AT);
    event.shared = &fields;
    line(&Line { raw, read_at: READ_AT, received_at: READ_AT, full_size }, origin, READ_AT, &mut event);
    let mut out = String::new();
    json::write(&event, &mut out);
    serde_json::from_str(&out).unwrap()
}

/// The event of a line that `auto` recognizes.
pub(super) fn normalized(text: &str) -> serde_json::Value {
    normalized_from(&origin(), text.as_bytes(), None)
}
