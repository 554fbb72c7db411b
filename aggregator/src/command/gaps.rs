//! `gaps`: what was received of every agent, and what was lost, is missing or has fallen silent.
//!
//! One row per range. `kind` is one of `before`, `held`, `lost`, `absent`, `hole`, `loss` (see
//! [`crate::journal::offline::SpanKind`]), `silence` (since when nothing came on a lane, or ever), `damage` (log
//! offsets of the journal that do not read back).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;
use shared::exit::Exit;
use shared::identity::{AgentId, ChainId, Lane};
use shared::record::LossReason;
use shared::table::{Output, Table};
use shared::time::Timestamp;

use super::{configuration, moment, named, offline_exit, open_journal, roster};
use crate::ca::roster::Book;
use crate::cli::{GapsArgs, Options};
use crate::journal::offline::{Gaps, Span, SpanKind};

const COLUMNS: [&str; 13] = [
    "agent",
    "hostname",
    "lane",
    "epoch",
    "kind",
    "reason",
    "sequence",
    "through",
    "first_record",
    "records",
    "from",
    "to",
    "detail",
];

/// Prints every range. Gaps are what was asked for: they are no failure.
///
/// # Errors
/// Exit codes: 64 when there are too many ranges to show, 65 for an agent that is not one, 74 for files, 78 for a
/// journal that is not there or a wrong configuration.
pub fn run(options: &Options, arguments: &GapsArgs, now: Timestamp, out: impl Write) -> Result<(), Exit> {
    let config = configuration(options)?;
    let agent = named(&config, arguments.agent.as_deref())?;
    let book = roster(&config)?;
    let since = arguments.since.map(|since| since.moment(now));
    let gaps = open_journal(&config)?.gaps(agent, since).map_err(|error| offline_exit(&error))?;
    Ok(print(&gaps, &book, agent, now, options.output, out)?)
}

fn print(
    gaps: &Gaps,
    book: &Book,
    only: Option<AgentId>,
    now: Timestamp,
    output: Output,
    out: impl Write,
) -> io::Result<()> {
    let mut rows = Rows { table: Table::new(out, output, &COLUMNS), book };
    let mut last: BTreeMap<(AgentId, Lane), Timestamp> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for chain in &gaps.chains {
        for span in &chain.spans {
            rows.span(chain.chain, chain.own, span)?;
        }
        if !chain.own {
            seen.insert(chain.chain.agent);
            let lane = last.entry((chain.chain.agent, chain.chain.lane)).or_default();
            *lane = (*lane).max(chain.last_received);
        }
    }
    for ((agent, lane), at) in last {
        rows.silence(agent, Some(lane), at, now, None)?;
    }
    let wanted = |agent: AgentId| only.is_none_or(|only| only == agent);
    for entry in book.agents().filter(|entry| wanted(entry.agent) && entry.revoked.is_none()) {
        if !seen.contains(&entry.agent) {
            rows.silence(entry.agent, None, entry.since, now, Some("nothing in this journal"))?;
        }
    }
    for (from, to) in &gaps.damage {
        let detail = format!("log offsets {from} to {to} do not read back: run `picket-aggregator journal verify`");
        rows.whole("damage", &detail)?;
    }
    if gaps.unreadable > 0 {
        rows.whole("damage", &format!("{} frames do not open: their bytes stay as evidence", gaps.unreadable))?;
    }
    rows.table.finish()
}

struct Rows<'a, W> {
    table: Table<W>,
    book: &'a Book,
}

impl<W: Write> Rows<'_, W> {
    fn hostname(&self, agent: AgentId, own: bool) -> Value {
        match self.book.agent(agent) {
            Some(entry) if !entry.hostname.is_empty() => entry.hostname.as_str().into(),
            _ if own => "(aggregator)".into(),
            _ => Value::Null,
        }
    }

    fn span(&mut self, chain: ChainId, own: bool, span: &Span) -> io::Result<()> {
        let (kind, reason, detail) = words(&span.kind);
        let (first, last) = span.sequences.unzip();
        self.table.row([
            chain.agent.to_string().into(),
            self.hostname(chain.agent, own),
            chain.lane.name().into(),
            chain.epoch.to_string().into(),
            kind.into(),
            reason,
            first.into(),
            last.into(),
            span.first_record.into(),
            span.records.into(),
            moment(span.from),
            moment(span.to),
            detail,
        ])
    }

    fn silence(
        &mut self,
        agent: AgentId,
        lane: Option<Lane>,
        from: Timestamp,
        now: Timestamp,
        reason: Option<&str>,
    ) -> io::Result<()> {
        let null = Value::Null;
        self.table.row([
            agent.to_string().into(),
            self.hostname(agent, false),
            lane.map_or(Value::Null, |lane| lane.name().into()),
            null.clone(),
            "silence".into(),
            reason.into(),
            null.clone(),
            null.clone(),
            null.clone(),
            null,
            moment(from),
            moment(now),
            span_text(now.since(from)).into(),
        ])
    }

    /// A row about the journal as a whole.
    fn whole(&mut self, kind: &str, detail: &str) -> io::Result<()> {
        let mut row = COLUMNS.map(|_| Value::Null);
        for (column, cell) in COLUMNS.iter().zip(&mut row) {
            match *column {
                "kind" => *cell = kind.into(),
                "reason" => *cell = LossReason::JournalDamage.name().into(),
                "detail" => *cell = detail.into(),
                _ => {}
            }
        }
        self.table.row(row)
    }
}

/// Kind, reason and detail of a span.
fn words(kind: &SpanKind) -> (&'static str, Value, Value) {
    match kind {
        SpanKind::Before(books) => {
            let detail = format!("{} journaled, {} lost, {} absent", books.journaled, books.lost, books.absent);
            ("before", Value::Null, detail.into())
        }
        SpanKind::Held => ("held", Value::Null, Value::Null),
        SpanKind::Lost { reason } => ("lost", (*reason).into(), Value::Null),
        SpanKind::Absent { elsewhere: Some(id) } => {
            ("absent", "elsewhere".into(), format!("aggregator {id} has it").into())
        }
        SpanKind::Absent { elsewhere: None } => ("absent", "unknown".into(), Value::Null),
        SpanKind::Hole => ("hole", LossReason::JournalDamage.name().into(), Value::Null),
        SpanKind::Loss { reason, path } => ("loss", reason.as_str().into(), path.as_str().into()),
    }
}

/// A time span in its two largest units.
fn span_text(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests;
