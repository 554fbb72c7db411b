//! A journaled frame becomes events: opened, its records normalized one by one, its losses said. Lines that are one event
//! ([`join`](crate::normalize::join)) may stand in several frames of one block, and wait for the rest of theirs until the
//! cut at most.
//!
//! The device and the ids of every event come from the frame's header, whose agent id the session's certificate
//! proved; host name and time zone are what the host says of itself.

use std::sync::Arc;

use shared::batch::{BatchView, Body, Context, FLAG_REDACTED, FLAG_TRUNCATED, RecordView};
use shared::frame::{Frame, FrameKind, Opener};
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::record::{LossReason, Value};
use shared::time::Timestamp;

use crate::directory::{Directory, Facts};
use crate::event::{Event, Field, loss};
use crate::journal::Wrap;
use crate::normalize::custom::Parsers;
use crate::normalize::join::{Group, Joiner, Part};
use crate::normalize::record::{self, Loss};
use crate::normalize::{self, Format, Line, Origin};

/// What became of the records of a frame, counted one by one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Passed {
    /// Became events or part of one, wait to, or are for the aggregator itself.
    pub normalized: u64,
    /// Do not open, alone or with their frame; an event says so.
    pub unreadable: u64,
}

/// Why a frame, or a record, is no event.
enum Unopened<E> {
    /// The body does not open: its bytes stay in the journal as evidence.
    Body(String),
    /// Whoever takes the events refused one.
    Refused(E),
}

/// The sources of a frame, and what all events of each have in common.
struct Sources {
    chain: ChainId,
    origins: Vec<Origin>,
    shared: Vec<Vec<Field<'static>>>,
    /// [`Event::run`] of the first.
    first_run: u64,
}

/// Which source of which frame.
#[derive(Clone)]
struct SourceOf {
    sources: Arc<Sources>,
    at: usize,
}

impl SourceOf {
    /// What tells a source from the agent's others.
    fn names(&self) -> Option<(&str, &str, Option<&str>, Option<&str>)> {
        let origin = self.sources.origins.get(self.at)?;
        let container = origin.container.as_ref().map(|container| container.uid.as_str());
        Some((&origin.source_name, &origin.source_type, origin.log_name.as_deref(), container))
    }

    fn parts(&self) -> Option<(&Origin, &[Field<'static>], u64)> {
        let fields = self.sources.shared.get(self.at)?;
        Some((self.sources.origins.get(self.at)?, fields, self.sources.first_run + self.at as u64))
    }
}

impl PartialEq for SourceOf {
    /// The same source of the same agent, in whichever frames.
    fn eq(&self, other: &Self) -> bool {
        // Names are only looked at where frames differ.
        (Arc::ptr_eq(&self.sources, &other.sources) && self.at == other.at)
            || (self.sources.chain == other.sources.chain && self.names() == other.names())
    }
}

/// Opens frames and normalizes their records; keeps its buffers from frame to frame.
#[derive(Default)]
pub struct Interpreter {
    opener: Opener,
    /// Lines that wait for the rest of their events, until the cut at most.
    joiner: Joiner<SourceOf>,
    /// The parsers that users wrote.
    parsers: Arc<Parsers>,
    /// [`Event::run`] that was given last.
    runs: u64,
    /// What is known of the agents.
    directory: Directory,
}

fn origin_of(
    agent: AgentId,
    context: &Context<'_>,
    origin: &shared::batch::Origin,
    (parsers, known): (&Parsers, &Facts),
) -> Origin {
    let host = &context.host;
    Origin {
        agent,
        agent_version: host.agent_version.clone(),
        hostname: host.hostname.clone(),
        boot_id: (!host.boot_id.is_empty()).then(|| host.boot_id.clone()),
        utc_offset_minutes: host.utc_offset_minutes,
        source_name: origin.source.clone(),
        source_type: origin.kind.clone(),
        // A format that this version does not know, or a parser that is gone: lines are recognized one by one.
        format: parsers.format(&origin.format).unwrap_or(Format::AUTO),
        log_name: (!origin.log_name.is_empty()).then(|| origin.log_name.clone()),
        container: origin.container.clone().map(|uid| normalize::Container { uid, name: None }),
        group: known.group.clone(),
        labels: known.labels().collect(),
        tenant: known.tenant.clone(),
        zone: known.zone.clone(),
    }
}

impl Interpreter {
    /// One that knows these hosts.
    #[must_use]
    pub fn new(directory: Directory) -> Self {
        Self { directory, ..Self::default() }
    }

    /// From now on lines are read with these parsers of users too.
    pub fn read_with(&mut self, parsers: Arc<Parsers>) {
        self.parsers = parsers;
    }

    /// Shows `emit` every event of the frame, in the order of its records; one of several lines stands where its last line does.
    /// Behind a cut nothing waits. Gives what became of the records; of a notice there are none. What does not open is an
    /// event too: part 1 of the frame's first record.
    ///
    /// # Errors
    /// What `emit` refuses with.
    pub fn frame<E>(
        &mut self,
        wrap: &Wrap,
        frame: &Frame,
        now: Timestamp,
        emit: &mut dyn FnMut(&mut Event<'_>) -> Result<(), E>,
    ) -> Result<Passed, E> {
        let header = frame.header();
        let interpreted = match header.kind {
            FrameKind::Genesis => Ok(Passed::default()),
            FrameKind::Loss => self.loss(wrap, frame, now, emit),
            FrameKind::Data => self.data(wrap, frame, now, emit),
        };
        let (passed, lost, error) = match interpreted {
            Err(Unopened::Refused(error)) => return Err(error),
            Ok(passed) => (passed, passed.unreadable, "records of it do not open".to_owned()),
            // The records of a loss frame are lost anyway.
            Err(Unopened::Body(error)) => {
                let records = u64::from(header.records);
                let unreadable = if header.kind == FrameKind::Data { records } else { 0 };
                (Passed { normalized: 0, unreadable }, records, error)
            }
        };
        if lost > 0 {
            let (position, agent) = (wrap.position, header.chain.agent);
            tracing::error!(position, %agent, records = lost, error, "a journaled frame does not open; its bytes stay as evidence");
            let id = EventId { chain: header.chain, record: header.first_record, part: 1 };
            let loss = Loss {
                reason: LossReason::FrameUnreadable.name(),
                unit: loss::RECORDS,
                count: Some(lost),
                first_record: Some(header.first_record),
                lane: header.chain.lane,
                first_at: header.sealed_at,
                last_at: header.sealed_at,
            };
            say(id, &loss, wrap.received.at, now, emit)?;
        }
        if wrap.is_cut {
            self.cut(now, emit)?;
        }
        Ok(passed)
    }

    /// A block ends: shows `emit` the events that still wait for lines. For who passes over the frames of cuts.
    ///
    /// # Errors
    /// What `emit` refuses with.
    pub fn cut<E>(&mut self, now: Timestamp, emit: &mut dyn FnMut(&mut Event<'_>) -> Result<(), E>) -> Result<(), E> {
        self.joiner.flush(&mut |group| joined(group, now, emit))
    }

    /// Events of several lines that went out before they were whole, to keep the bounds, and those that a cut divided.
    #[must_use]
    pub fn divided(&self) -> (u64, u64) {
        (self.joiner.early(), self.joiner.split())
    }

    /// Drops what waits: whoever takes the events begins again behind a cut, and reads its records again.
    pub fn restart(&mut self) {
        self.joiner.forget();
    }

    /// Shows `emit` that bytes of the journal do not read back, or went before the sink had them: log offsets
    /// `[from, to)`, in front of the frame that `behind` leads, with them so many `records`. It is the journal's own loss,
    /// of no agent's chain: its id has epoch 0 and the log offset for a record number.
    ///
    /// # Errors
    /// What `emit` refuses with.
    pub fn missing<E>(
        aggregator: AgentId,
        (reason, (from, to)): (LossReason, (u64, u64)),
        records: u64,
        behind: &Wrap,
        now: Timestamp,
        emit: &mut dyn FnMut(&mut Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        tracing::error!(
            from,
            to,
            records,
            reason = reason.name(),
            "bytes of the journal do not read back, or are gone"
        );
        let chain = ChainId { agent: aggregator, lane: Lane::High, epoch: Epoch(0) };
        let at = behind.received.at;
        let loss = Loss {
            reason: reason.name(),
            unit: loss::RECORDS,
            count: Some(records),
            first_record: None,
            lane: chain.lane,
            first_at: at,
            last_at: at,
        };
        say(EventId { chain, record: from, part: 0 }, &loss, at, now, emit)
    }

    fn data<E>(
        &mut self,
        wrap: &Wrap,
        frame: &Frame,
        now: Timestamp,
        emit: &mut dyn FnMut(&mut Event<'_>) -> Result<(), E>,
    ) -> Result<Passed, Unopened<E>> {
        let header = frame.header();
        let columns = frame.open(&mut self.opener).map_err(|error| Unopened::Body(error.to_string()))?;
        let unreadable = |error: shared::batch::BatchError| Unopened::Body(error.to_string());
        let view = BatchView::parse(&columns, header.records).map_err(unreadable)?;
        let context = view.context();
        let named = context.origins.iter().map(Arc::as_ref);
        let nameless = shared::batch::Origin::default();
        let agent = header.chain.agent;
        let facts = self.directory.of(agent).unwrap_or_default();
        let known = (self.parsers.as_ref(), facts.as_ref());
        let origins: Vec<Origin> =
            named.chain([&nameless]).map(|origin| origin_of(agent, context, origin, known)).collect();
        let shared: Vec<Vec<Field<'static>>> = origins.iter().map(Origin::fields).collect();
        let first_run = self.runs + 1;
        self.runs += shared.len() as u64;
        let sources = Arc::new(Sources { chain: header.chain, origins, shared, first_run });
        // One for each source of the frame, not for each line.
        let ways: Vec<SourceOf> =
            (0..sources.origins.len()).map(|at| SourceOf { sources: Arc::clone(&sources), at }).collect();
        let id = |record| EventId { chain: header.chain, record, part: 0 };
        let received_at = wrap.received.at;
        let mut event = Event::new(id(header.first_record), received_at, received_at);
        let mut passed = Passed::default();
        for (number, record) in (header.first_record..).zip(view.iter()) {
            let known = record.ok().and_then(|record| {
                let source = ways.get(record.origin)?;
                Some((record, source, source.parts()?))
            });
            let Some((RecordView { read_at, body, text, .. }, source, (origin, fields, run))) = known else {
                passed.unreadable += 1;
                continue;
            };
            match body {
                Body::Line(line) => {
                    let full_size = (line.flags & FLAG_TRUNCATED != 0).then_some(line.full_size);
                    let redacted = line.flags & FLAG_REDACTED != 0;
                    let line = Line { raw: line.bytes, read_at, received_at, full_size };
                    let part = Part { id: id(number), line, redacted };
                    let join = &mut |group: &Group<SourceOf>| joined(group, now, emit);
                    let joins = origin.format.joins();
                    if !joins || !self.joiner.offer(&part, source, join).map_err(Unopened::Refused)? {
                        (event.id, event.shared, event.run) = (id(number), fields, run);
                        let text = text.or_else(|| std::str::from_utf8(line.raw).ok());
                        normalize::line_known(&line, text, origin, now, &mut event);
                        if redacted {
                            say_redacted(&mut event);
                        }
                        emit(&mut event).map_err(Unopened::Refused)?;
                    }
                }
                Body::Typed(fields_of_record) => {
                    let said = Said { fields: fields_of_record, read_at, received_at };
                    said.emit(id(number), origin, (fields, run), now, emit).map_err(Unopened::Refused)?;
                }
            }
            passed.normalized += 1;
        }
        Ok(passed)
    }

    fn loss<E>(
        &mut self,
        wrap: &Wrap,
        frame: &Frame,
        now: Timestamp,
        emit: &mut dyn FnMut(&mut Event<'_>) -> Result<(), E>,
    ) -> Result<Passed, Unopened<E>> {
        let header = frame.header();
        let notice = frame.loss_notice(&mut self.opener).map_err(|error| Unopened::Body(error.to_string()))?;
        // Lost records keep their numbers; part 1 of the first one is the news that they are lost.
        let id = EventId { chain: header.chain, record: header.first_record, part: 1 };
        let loss = Loss {
            reason: notice.reason.name(),
            unit: loss::RECORDS,
            count: Some(u64::from(header.records)),
            first_record: Some(header.first_record),
            lane: header.chain.lane,
            first_at: notice.first_time,
            last_at: notice.last_time,
        };
        say(id, &loss, wrap.received.at, now, emit).map_err(Unopened::Refused)?;
        Ok(Passed::default())
    }
}

/// Shows `emit` an event whose lines came one by one.
fn joined<E>(
    group: &Group<SourceOf>,
    now: Timestamp,
    emit: &mut dyn FnMut(&mut Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let Some((origin, shared, run)) = group.source.parts() else { return Ok(()) };
    let (read_at, received_at) = group.at();
    let mut event = Event::new(group.id, read_at, received_at);
    (event.shared, event.run) = (shared, run);
    group.read(origin, now, &mut event);
    if group.redacted {
        say_redacted(&mut event);
    }
    emit(&mut event)
}

/// Something was hidden at the source: not even the journal has it.
fn say_redacted(event: &mut Event<'_>) {
    event.unmap("picket.redacted", "raw_data");
}

/// Shows `emit` a loss.
fn say<E>(
    id: EventId,
    loss: &Loss,
    received_at: Timestamp,
    now: Timestamp,
    emit: &mut dyn FnMut(&mut Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let origin = Origin { agent: id.chain.agent, source_type: "loss".to_owned(), ..Origin::default() };
    let fields = origin.fields();
    let mut event = Event::new(id, loss.last_at, received_at);
    event.shared = &fields;
    record::loss(loss, received_at, &origin, now, &mut event);
    emit(&mut event)
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
        &self,
        id: EventId,
        origin: &Origin,
        (shared, run): (&[Field<'static>], u64),
        now: Timestamp,
        emit: &mut dyn FnMut(&mut Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let kind = self.text("picket.record").unwrap_or_default();
        if kind == "cut" {
            return Ok(());
        }
        let mut event = Event::new(id, self.read_at, self.received_at);
        (event.shared, event.run) = (shared, run);
        if kind == "loss" {
            let count = match self.field("count") {
                Some(Value::U64(count)) => Some(*count),
                _ => None,
            };
            let loss = Loss {
                // A reason of a later version is kept in its own word.
                reason: self.text("reason").unwrap_or(LossReason::Damage.name()),
                unit: loss::unit(self.text("unit")),
                count,
                first_record: None,
                lane: id.chain.lane,
                first_at: self.time("from"),
                last_at: self.time("to"),
            };
            record::loss(&loss, self.received_at, origin, now, &mut event);
            record::besides(&self.fields, &mut event);
            return emit(&mut event);
        }
        record::record(&self.fields, self.read_at, self.received_at, origin, now, &mut event);
        emit(&mut event)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use shared::batch::{Batch, HostContext};
    use shared::frame::{Place, Sealer};
    use shared::identity::FrameHash;

    use super::*;
    use crate::journal::Received;

    /// Column of the names of typed fields (see `shared::batch`).
    const KEYS: u16 = 9;

    #[test]
    fn record_that_does_not_decode_is_counted_alone_and_those_around_it_become_events() {
        let mut batch = Batch::default();
        let origin = batch.origin(&Arc::new(shared::batch::Origin::default()));
        let line = |bytes| shared::batch::Line { bytes, offset: 0, full_size: 3, flags: 0 };
        batch.push_line(origin, Timestamp(1), line(b"one"));
        assert!(batch.push_typed(origin, Timestamp(1), &[("key".to_owned(), Value::U64(5))]));
        batch.push_line(origin, Timestamp(1), line(b"two"));
        let chain = ChainId { agent: AgentId([1; 16]), lane: Lane::Normal, epoch: Epoch(7) };
        let place = Place { chain, sequence: 2, first_record: 1, prev: FrameHash::ZERO, sealed_at: Timestamp(1) };
        let mut sealer = Sealer::new().unwrap();
        let frame = batch.with_columns(&HostContext::default(), |records, columns| {
            let without_keys: Vec<_> = columns.iter().copied().filter(|(id, ..)| *id != KEYS).collect();
            sealer.data(&place, records, &without_keys).unwrap()
        });
        let wrap = Wrap { position: 1, records_before: 0, received: Received::own(Timestamp(2)), is_cut: false };
        let mut events = 0;
        let passed = Interpreter::default().frame(&wrap, &frame, Timestamp(3), &mut |_| {
            events += 1;
            Ok::<_, Infallible>(())
        });
        assert_eq!(passed.unwrap(), Passed { normalized: 2, unreadable: 1 });
        assert_eq!(events, 3, "two lines, and that a record does not open");
    }

    /// A frame of one source's lines, whose first record has this number.
    fn frame_of(first_record: u64, source: &str, lines: &[String]) -> Frame {
        let mut batch = Batch::default();
        let origin = shared::batch::Origin { source: source.to_owned(), ..shared::batch::Origin::default() };
        let origin = batch.origin(&Arc::new(origin));
        for line in lines {
            let line = shared::batch::Line { bytes: line.as_bytes(), offset: 0, full_size: 0, flags: 0 };
            batch.push_line(origin, Timestamp(1), line);
        }
        let chain = ChainId { agent: AgentId([1; 16]), lane: Lane::Normal, epoch: Epoch(7) };
        let place = Place { chain, sequence: 2, first_record, prev: FrameHash::ZERO, sealed_at: Timestamp(1) };
        let mut sealer = Sealer::new().unwrap();
        batch.with_columns(&HostContext::default(), |records, columns| sealer.data(&place, records, columns).unwrap())
    }

    #[test]
    fn audit_events_are_joined_over_frames_and_end_at_the_cut() {
        let line = |kind: &str, serial: u64| format!("type={kind} msg=audit(1.000:{serial}): pid=9");
        let frames = [
            frame_of(1, "a", &[line("SYSCALL", 7), line("SYSCALL", 8), "text".to_owned()]),
            frame_of(1, "b", &[line("CWD", 7)]),
            frame_of(4, "a", &[line("PATH", 7), line("EOE", 7), line("CWD", 8)]),
        ];
        let (mut interpreter, mut events, mut passed) = (Interpreter::default(), Vec::new(), 0);
        let mut emit = |event: &mut Event<'_>| {
            let raw = event.text(crate::schema::Attribute::RawData).unwrap_or_default().to_owned();
            events.push((event.id.record, raw));
            Ok::<_, Infallible>(())
        };
        for (position, frame) in (1..).zip(&frames) {
            let wrap = Wrap { position, records_before: 0, received: Received::own(Timestamp(2)), is_cut: false };
            passed += interpreter.frame(&wrap, frame, Timestamp(3), &mut emit).unwrap().normalized;
        }
        assert_eq!(passed, 7, "every record is counted once, when it is read");
        interpreter.cut(Timestamp(3), &mut emit).unwrap();
        interpreter.cut(Timestamp(3), &mut emit).unwrap();
        let seven = [line("SYSCALL", 7), line("PATH", 7), line("EOE", 7)].join("\n");
        let eight = [line("SYSCALL", 8), line("CWD", 8)].join("\n");
        let expected = [(3, "text".to_owned()), (1, seven), (2, eight), (1, line("CWD", 7))];
        assert_eq!(events, expected);
    }

    #[test]
    fn what_waits_is_dropped_where_reading_begins_again() {
        let frame = frame_of(1, "a", &["type=SYSCALL msg=audit(1.000:7): pid=9".to_owned()]);
        let wrap = Wrap { position: 1, records_before: 0, received: Received::own(Timestamp(2)), is_cut: false };
        let (mut interpreter, mut events) = (Interpreter::default(), 0);
        let mut emit = |_: &mut Event<'_>| {
            events += 1;
            Ok::<_, Infallible>(())
        };
        for is_cut in [false, true] {
            interpreter.restart();
            let wrap = Wrap { is_cut, ..wrap.clone() };
            interpreter.frame(&wrap, &frame, Timestamp(3), &mut emit).unwrap();
        }
        assert_eq!(events, 1);
    }

    #[test]
    fn typed_records_become_events_of_their_class_and_losses_keep_their_unit() {
        let text = |text: &str| Value::String(text.to_owned());
        let answer = Value::Map(vec![("rdata".to_owned(), text("192.0.2.7"))]);
        let told = [
            ("picket.record", text("network")),
            ("class_uid", Value::U64(4003)),
            ("activity_id", Value::U64(6)),
            ("src_endpoint.ip", Value::Ip([192, 0, 2, 1].into())),
            ("answers", Value::List(vec![answer])),
        ];
        let lost = [
            ("picket.record", text("loss")),
            ("reason", text("of a later version")),
            ("unit", text("packets")),
            ("count", Value::U64(7)),
            ("path", text("eth0")),
        ];
        let mut batch = Batch::default();
        let origin = batch.origin(&Arc::new(shared::batch::Origin::default()));
        for fields in [&told, &lost] {
            let fields: Vec<_> = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            assert!(batch.push_typed(origin, Timestamp(1), &fields));
        }
        let chain = ChainId { agent: AgentId([1; 16]), lane: Lane::Bulk, epoch: Epoch(7) };
        let place = Place { chain, sequence: 2, first_record: 1, prev: FrameHash::ZERO, sealed_at: Timestamp(1) };
        let mut sealer = Sealer::new().unwrap();
        let frame = batch
            .with_columns(&HostContext::default(), |records, columns| sealer.data(&place, records, columns).unwrap());
        let wrap = Wrap { position: 1, records_before: 0, received: Received::own(Timestamp(2)), is_cut: false };
        let mut events = Vec::new();
        let passed = Interpreter::default().frame(&wrap, &frame, Timestamp(3), &mut |event| {
            let mut json = String::new();
            crate::event::json::write(event, &mut json);
            events.push(serde_json::from_str::<serde_json::Value>(&json).unwrap());
            Ok::<_, Infallible>(())
        });
        assert_eq!(passed.unwrap(), Passed { normalized: 2, unreadable: 0 });
        assert_eq!((&events[0]["type_uid"], &events[0]["answers"][0]["rdata"]), (&400_306.into(), &"192.0.2.7".into()));
        assert_eq!((&events[1]["class_uid"], &events[1]["count"]), (&1008.into(), &7.into()));
        assert_eq!(events[1]["message"], "7 packets lost: of a later version");
        let unmapped = serde_json::json!({"packets": 7, "lane": "bulk", "unit": "packets", "path": "eth0"});
        assert_eq!(events[1]["unmapped"], unmapped);
    }
}
