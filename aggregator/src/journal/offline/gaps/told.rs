//! What records say of losses: fields in, ranges and spans out.

use shared::identity::{AgentId, ChainId};
use shared::protocol::ChainState;
use shared::record::Value;
use shared::time::Timestamp;

use super::super::super::absent_of;
use super::{Span, SpanKind};
use crate::event::loss;

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

/// What an agent says of what was lost before it got a number, or could get one.
pub(super) fn loss_of(fields: &[(&str, Value)], read_at: Timestamp) -> Option<Span> {
    if text(fields, "picket.record")? != "loss" {
        return None;
    }
    let time = |name: &str| match fields.iter().find(|(key, _)| *key == name) {
        Some((_, Value::Time(at))) => *at,
        _ => read_at,
    };
    let said = |name: &str| text(fields, name).unwrap_or_default().to_owned();
    let (unit, count) = (loss::unit(text(fields, "unit")), number(fields, "count"));
    let (kind, records) = match unit {
        loss::RECORDS => (SpanKind::Loss { reason: said("reason"), path: said("path") }, count),
        _ => (SpanKind::Unseen { reason: said("reason"), unit, count, path: said("path") }, None),
    };
    Some(Span { kind, sequences: None, first_record: None, records, from: Some(time("from")), to: time("to") })
}
