//! A journaled frame becomes events: opened, its records normalized one by one, its losses said.
//!
//! The device and the ids of every event come from the frame's header, whose agent id the session's certificate
//! proved; host name and time zone are what the host says of itself.

use std::sync::Arc;

use shared::batch::{BatchView, Body, Context, FLAG_TRUNCATED, RecordView};
use shared::frame::{Frame, FrameKind, Opener};
use shared::identity::{AgentId, EventId};
use shared::record::{LossReason, Value};
use shared::time::Timestamp;

use crate::event::{Event, Field};
use crate::journal::Wrap;
use crate::normalize::{self, Format, Line, Origin};

/// Why a frame gave no (or not all) events.
#[derive(Debug, thiserror::Error)]
pub enum InterpretError<E> {
    /// The body does not open: its bytes stay in the journal as evidence.
    #[error("{0}")]
    Unreadable(String),
    /// Whoever takes the events refused one.
    #[error(transparent)]
    Refused(E),
}

/// Opens frames and normalizes their records; keeps its buffers from frame to frame.
#[derive(Default)]
pub struct Interpreter {
    opener: Opener,
    /// [`Event::run`] that was given last.
    runs: u64,
}

fn origin_of(agent: AgentId, context: &Context<'_>, origin: &shared::batch::Origin) -> Origin {
    let host = &context.host;
    Origin {
        agent,
        agent_version: host.agent_version.clone(),
        hostname: host.hostname.clone(),
        boot_id: (!host.boot_id.is_empty()).then(|| host.boot_id.clone()),
        utc_offset_minutes: host.utc_offset_minutes,
        source_name: origin.source.clone(),
        source_type: origin.kind.clone(),
        // A format of a later version's frame that this one does not know is recognized line by line.
        format: origin.format.parse().unwrap_or(Format::AUTO),
        log_name: (!origin.log_name.is_empty()).then(|| origin.log_name.clone()),
        container: origin.container.clone().map(|uid| normalize::Container { uid, name: None }),
        tenant: None,
        zone: None,
    }
}

impl Interpreter {
    /// Shows `emit` every event of the frame, in the order of its records. Returns how many there were.
    ///
    /// # Errors
    /// [`InterpretError`]; an unreadable frame has shown none.
    pub fn frame<E>(
        &mut self,
        wrap: &Wrap,
        frame: &Frame,
        now: Timestamp,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<u64, InterpretError<E>> {
        match frame.header().kind {
            FrameKind::Genesis => Ok(0),
            FrameKind::Loss => self.loss(wrap, frame, now, emit),
            FrameKind::Data => self.data(wrap, frame, now, emit),
        }
    }

    fn data<E>(
        &mut self,
        wrap: &Wrap,
        frame: &Frame,
        now: Timestamp,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<u64, InterpretError<E>> {
        let header = frame.header();
        let columns = frame.open(&mut self.opener).map_err(|error| InterpretError::Unreadable(error.to_string()))?;
        let unreadable = |error: shared::batch::BatchError| InterpretError::Unreadable(error.to_string());
        let view = BatchView::parse(&columns, header.records).map_err(unreadable)?;
        let context = view.context();
        let named = context.origins.iter().map(Arc::as_ref);
        let nameless = shared::batch::Origin::default();
        let origins: Vec<Origin> =
            named.chain([&nameless]).map(|origin| origin_of(header.chain.agent, context, origin)).collect();
        let shared: Vec<Vec<Field<'static>>> = origins.iter().map(Origin::fields).collect();
        let first_run = self.runs + 1;
        self.runs += shared.len() as u64;
        let id = |record| EventId { chain: header.chain, record, part: 0 };
        let received_at = wrap.received.at;
        let mut event = Event::new(id(header.first_record), received_at, received_at);
        for (number, record) in (header.first_record..).zip(view.iter()) {
            let RecordView { origin, read_at, body } = record.map_err(unreadable)?;
            let run = first_run + origin as u64;
            let Some((origin, fields)) = origins.get(origin).zip(shared.get(origin)) else { continue };
            match body {
                Body::Line(line) => {
                    (event.id, event.shared, event.run) = (id(number), fields, run);
                    let full_size = (line.flags & FLAG_TRUNCATED != 0).then_some(line.full_size);
                    let line = Line { raw: line.bytes, read_at, received_at, full_size };
                    normalize::line(&line, origin, now, &mut event);
                    emit(&event).map_err(InterpretError::Refused)?;
                }
                Body::Typed(fields_of_record) => {
                    let said = Said { fields: fields_of_record, read_at, received_at };
                    said.emit(id(number), origin, fields, now, emit).map_err(InterpretError::Refused)?;
                }
            }
        }
        Ok(u64::from(header.records))
    }

    fn loss<E>(
        &mut self,
        wrap: &Wrap,
        frame: &Frame,
        now: Timestamp,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<u64, InterpretError<E>> {
        let header = frame.header();
        let notice =
            frame.loss_notice(&mut self.opener).map_err(|error| InterpretError::Unreadable(error.to_string()))?;
        let origin = Origin { agent: header.chain.agent, source_type: "loss".to_owned(), ..Origin::default() };
        let fields = origin.fields();
        // Lost records keep their numbers; part 1 of the first one is the news that they are lost.
        let id = EventId { chain: header.chain, record: header.first_record, part: 1 };
        let mut event = Event::new(id, notice.last_time, wrap.received.at);
        event.shared = &fields;
        let loss = normalize::record::Loss {
            reason: notice.reason,
            records: Some(u64::from(header.records)),
            first_record: Some(header.first_record),
            lane: header.chain.lane,
            first_at: notice.first_time,
            last_at: notice.last_time,
        };
        normalize::record::loss(&loss, wrap.received.at, &origin, now, &mut event);
        emit(&event).map_err(InterpretError::Refused)?;
        Ok(0)
    }
}

/// A typed record: something that an agent or this aggregator says of itself.
struct Said<'a> {
    fields: Vec<(&'a str, Value)>,
    read_at: Timestamp,
    received_at: Timestamp,
}

impl Said<'_> {
    fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.field(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    fn time(&self, name: &str) -> Timestamp {
        match self.field(name) {
            Some(Value::Time(at)) => *at,
            _ => self.read_at,
        }
    }

    fn emit<E>(
        self,
        id: EventId,
        origin: &Origin,
        shared: &[Field<'static>],
        now: Timestamp,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let kind = self.text("picket.record").unwrap_or_default().to_owned();
        if kind == "cut" {
            return Ok(());
        }
        if kind == "loss" {
            let reason = self.text("reason").and_then(LossReason::from_name).unwrap_or(LossReason::Damage);
            let records = match self.field("count") {
                Some(Value::U64(count)) => Some(*count),
                _ => None,
            };
            let (first_at, last_at) = (self.time("from"), self.time("to"));
            let loss =
                normalize::record::Loss { reason, records, first_record: None, lane: id.chain.lane, first_at, last_at };
            let mut event = Event::new(id, self.read_at, self.received_at);
            event.shared = shared;
            normalize::record::loss(&loss, self.received_at, origin, now, &mut event);
            return emit(&event);
        }
        let (read_at, received_at) = (self.read_at, self.received_at);
        let fields: Vec<(String, Value)> =
            self.fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut event = Event::new(id, read_at, received_at);
        event.shared = shared;
        normalize::record::record(&fields, read_at, received_at, origin, now, &mut event);
        emit(&event)
    }
}
