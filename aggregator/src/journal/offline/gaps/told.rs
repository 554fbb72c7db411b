//! What records say of losses: fields in, ranges and spans out.

use shared::identity::{AgentId, ChainId};
use shared::protocol::ChainState;
use shared::record::Value;
use shared::time::Timestamp;

use super::super::super::absent_of;
use super::{Span, SpanKind};

/// A range that this journal never gets, as an own record tells of it.
pub(super) struct AbsentRange {
    pub(super) chain: ChainId,
    pub(super) after: ChainState,
    pub(super) records: u64,
    pub(super) sequence: u64,
    pub(super) elsewhere: Option<AgentId>,
}

fn text<'a>(fields: &'a [(&str, Value)], name: &str) -> Option<&'a str> {
    match fields.iter().find(|(key, _)| *key == name) {
        Some((_, Value::String(text))) => Some(text),
        _ => None,
    }
}

fn number(fields: &[(&str, Value)], name: &str) -> Option<u64> {
    match fields.iter().find(|(key, _)| *key == name) {
        Some((_, Value::U64(number))) => Some(*number),
        _ => None,
    }
}

impl AbsentRange {
    /// The range that these fields tell of, if they do.
    pub(super) fn of(fields: &[(&str, Value)]) -> Option<Self> {
        let (chain, after, records) = absent_of(fields)?;
        let sequence = number(fields, "sequence").unwrap_or(after.through);
        let elsewhere = text(fields, "elsewhere").and_then(|id| id.parse().ok());
        Some(Self { chain, after, records, sequence, elsewhere })
    }
}

/// What an agent says of records that were lost before they got a number.
pub(super) fn loss_of(fields: &[(&str, Value)], read_at: Timestamp) -> Option<Span> {
    if text(fields, "picket.record")? != "loss" {
        return None;
    }
    let time = |name: &str| match fields.iter().find(|(key, _)| *key == name) {
        Some((_, Value::Time(at))) => *at,
        _ => read_at,
    };
    let said = |name: &str| text(fields, name).unwrap_or_default().to_owned();
    Some(Span {
        kind: SpanKind::Loss { reason: said("reason"), path: said("path") },
        sequences: None,
        first_record: None,
        records: number(fields, "count"),
        from: Some(time("from")),
        to: time("to"),
    })
}
