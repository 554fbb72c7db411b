//! What a record of the log does to numbers and chains: the same when it is appended, read again at start, or read offline.

use shared::batch::{BatchView, Body};
use shared::frame::{Frame, FrameKind, Header, Opener};
use shared::identity::ChainId;
use shared::log::{Kind, Record};
use shared::protocol::{Absent, ChainState};
use shared::record::Value;
use shared::time::Timestamp;

use super::{ChainBooks, ChainTable, Numbers, OwnRecord, Wrap};

/// What a journaled frame adds to its chain. The same when it is appended and when it is read again at start.
pub(super) fn count(books: &mut ChainBooks, header: &Header, after: ChainState, received_at: Timestamp) {
    if after.through <= books.state.through {
        return;
    }
    let records = after.next_record.saturating_sub(books.state.next_record);
    match header.kind {
        FrameKind::Loss => books.lost = books.lost.saturating_add(records),
        FrameKind::Data | FrameKind::Genesis => books.journaled = books.journaled.saturating_add(records),
    }
    books.state = after;
    books.last_received = received_at;
}

pub(super) fn absent_record(absent: &Absent) -> OwnRecord {
    let text = |key: &str, value: String| (key.to_owned(), Value::String(value));
    let number = |key: &str, value: u64| (key.to_owned(), Value::U64(value));
    let mut record = vec![
        text("picket.record", "absent".to_owned()),
        text("agent", absent.chain.agent.to_string()),
        text("lane", absent.chain.lane.to_string()),
        text("epoch", absent.chain.epoch.to_string()),
        number("sequence", absent.before.through + 1),
        number("through", absent.after.through),
        number("first_record", absent.before.next_record),
        number("records", absent.after.next_record.saturating_sub(absent.before.next_record)),
        text("head", absent.after.head.to_string()),
    ];
    let place = absent.elsewhere.map_or("unknown".to_owned(), |aggregator| aggregator.to_string());
    record.push(text("elsewhere", place));
    record
}

/// The absent range that an own record tells of: the chain, the prefix behind it, and how many records.
pub(super) fn absent_of(fields: &[(&str, Value)]) -> Option<(ChainId, ChainState, u64)> {
    let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let text = |name: &str| match field(name)? {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    };
    let number = |name: &str| match field(name)? {
        Value::U64(number) => Some(*number),
        _ => None,
    };
    if text("picket.record")? != "absent" {
        return None;
    }
    let agent = text("agent")?.parse().ok()?;
    let chain = ChainId { agent, lane: text("lane")?.parse().ok()?, epoch: text("epoch")?.parse().ok()? };
    let records = number("records")?;
    let next_record = number("first_record")?.saturating_add(records);
    Some((chain, ChainState { through: number("through")?, head: text("head")?.parse().ok()?, next_record }, records))
}

/// Applies a record of the log to what is being folded at start.
pub(super) fn fold(numbers: &mut Numbers, chains: &ChainTable, record: &Record<'_>, opener: &mut Opener) {
    match record.kind {
        Kind::State => {
            if let Some((read, table)) = Numbers::decode(record.payload) {
                *numbers = read;
                chains.decode(table);
            }
        }
        Kind::Frame => fold_frame(numbers, chains, record.payload, opener),
        Kind::Mark | Kind::Checkpoint | Kind::Seal => {}
    }
}

fn fold_frame(numbers: &mut Numbers, chains: &ChainTable, payload: &[u8], opener: &mut Opener) {
    let Some((wrap, bytes)) = Wrap::split(payload) else { return };
    let Ok(frame) = Frame::parse(bytes.to_vec()) else { return };
    let header = frame.header();
    numbers.position = wrap.position + 1;
    numbers.received_at = wrap.received.at;
    if header.kind == FrameKind::Data {
        numbers.records = wrap.records_before + u64::from(header.records);
    }
    let Ok(head) = frame.head_after(opener) else { return };
    let mut books = chains.books(header.chain).unwrap_or(ChainBooks::EMPTY);
    let after = ChainState { through: header.next_sequence() - 1, head, next_record: header.next_record() };
    count(&mut books, header, after, wrap.received.at);
    chains.apply([(header.chain, books)]);
    own_records(&wrap, &frame, opener, &mut |fields| {
        let Some((chain, state, records)) = absent_of(fields) else { return };
        let mut books = chains.books(chain).unwrap_or(ChainBooks::EMPTY);
        if state.through <= books.state.through {
            return;
        }
        (books.state, books.last_received) = (state, wrap.received.at);
        books.absent = books.absent.saturating_add(records);
        chains.apply([(chain, books)]);
    });
}

/// Takes the fields of a typed record.
pub(super) type Fields<'a> = dyn FnMut(&[(&str, Value)]) + 'a;

/// Shows the records of one of the aggregator's own frames; of another frame, a cut or one that does not open none.
pub(super) fn own_records(wrap: &Wrap, frame: &Frame, opener: &mut Opener, visit: &mut Fields<'_>) {
    let header = frame.header();
    if !wrap.is_own() || header.kind != FrameKind::Data || wrap.is_cut {
        return;
    }
    let Ok(columns) = frame.open(opener) else { return };
    let Ok(view) = BatchView::parse(&columns, header.records) else { return };
    for record in view.iter().filter_map(Result::ok) {
        if let Body::Typed(fields) = record.body {
            visit(&fields);
        }
    }
}
