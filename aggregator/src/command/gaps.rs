//! `gaps`: what was received of every agent, and what was lost, is missing or has fallen silent.
//!
//! First one answer per agent: a line each where a person reads, else rows of kind `answer` whose `missing` is `true`,
//! `false` or `"unknown"` and whose `detail` is the sentence. Then one row per range. `kind` is one of `before`,
//! `held`, `after`, `lost`, `elsewhere`, `unknown`, `hole`, `loss`, `unseen` (see [`crate::journal::offline::SpanKind`]),
//! `silence` (since when nothing came on a lane, or ever), `damage` (log offsets of the journal that do not read back).

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::Value;
use shared::exit::{Exit, Reason};
use shared::identity::{AgentId, ChainId, Lane};
use shared::printable::Printable;
use shared::record::LossReason;
use shared::table::{Output, Table};
use shared::time::Timestamp;

use super::{configuration, moment, moment_or_null, named, offline_exit, open_journal, roster};
use crate::ca::roster::Book;
use crate::cli::{GapsArgs, Options};
use crate::journal::offline::{
    Answer, ChainSpans, Circumstances, Gaps, Missing, Span, SpanKind, Window, answer, never_heard, span_text,
};

const COLUMNS: [&str; 14] = [
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
    "missing",
];

/// Prints the answers and every range. Gaps are what was asked for: they are no failure.
///
/// # Errors
/// Exit codes: 64 for a window that ends before it begins and when there are too many ranges to show, 65 for an agent
/// that is not one, 74 for files, 78 for a journal that is not there or a wrong configuration.
pub fn run(options: &Options, arguments: &GapsArgs, now: Timestamp, mut out: impl Write) -> Result<(), Exit> {
    let config = configuration(options)?;
    let agent = named(&config, arguments.agent.as_deref())?;
    let book = roster(&config)?;
    let window = Window {
        since: arguments.since.map(|since| since.moment(now)),
        until: arguments.until.map(|until| until.moment(now)),
    };
    if let (Some(since), Some(until)) = (window.since, window.until)
        && since >= until
    {
        let message = format!("the window ends ({until}) before it begins ({since}): give --since the earlier time");
        return Err(Exit::new(Reason::Usage, message));
    }
    let gaps = open_journal(&config)?.gaps(agent, window).map_err(|error| offline_exit(&error))?;
    let found = Found { gaps: &gaps, book: &book, only: agent, window, now };
    let answers = found.answers();
    if options.output == Output::Table {
        for (agent, answer) in &answers {
            let name = book.agent(*agent).map_or("", |entry| entry.hostname.as_str());
            let name = if name.is_empty() { agent.to_string() } else { format!("{} ({agent})", Printable(name)) };
            writeln!(out, "{name}: {}", answer.sentence)?;
        }
        writeln!(out)?;
    }
    Ok(found.print(&answers, options.output, out)?)
}

/// What was found, and what is known beside it.
struct Found<'a> {
    gaps: &'a Gaps,
    book: &'a Book,
    only: Option<AgentId>,
    window: Window,
    now: Timestamp,
}

impl Found<'_> {
    /// Agents of the roster that sent nothing, with the time of their enrollment.
    fn never_heard(&self) -> impl Iterator<Item = (AgentId, Timestamp)> {
        let wanted = |agent: AgentId| self.only.is_none_or(|only| only == agent);
        let heard = |agent: AgentId| self.gaps.chains.iter().any(|chain| chain.chain.agent == agent);
        let entries = self.book.agents().filter(move |entry| wanted(entry.agent) && entry.revoked.is_none());
        entries.filter(move |entry| !heard(entry.agent)).map(|entry| (entry.agent, entry.since))
    }

    /// The answer for every agent; the aggregator itself is no agent.
    fn answers(&self) -> Vec<(AgentId, Answer)> {
        let mut by_agent: BTreeMap<AgentId, Vec<&ChainSpans>> = BTreeMap::new();
        for chain in self.gaps.chains.iter().filter(|chain| !chain.own) {
            by_agent.entry(chain.chain.agent).or_default().push(chain);
        }
        let heard = by_agent.into_iter().map(|(agent, chains)| {
            let revoked = self.book.agent(agent).and_then(|entry| entry.revoked.as_ref()).map(|revoked| revoked.at);
            let around = Circumstances { now: self.now, begins: self.gaps.begins, revoked };
            (agent, answer(&chains, self.window, around))
        });
        heard.chain(self.never_heard().map(|(agent, since)| (agent, never_heard(since, self.window)))).collect()
    }

    fn print(&self, answers: &[(AgentId, Answer)], output: Output, out: impl Write) -> io::Result<()> {
        let mut rows = Rows { table: Table::new(out, output, &COLUMNS), book: self.book };
        if output != Output::Table {
            for (agent, answer) in answers {
                rows.answer(*agent, answer, self.window)?;
            }
        }
        let mut last: BTreeMap<(AgentId, Lane), Timestamp> = BTreeMap::new();
        for chain in &self.gaps.chains {
            for span in chain.spans.iter().filter(|span| self.window.shows(span, chain.clock)) {
                rows.span(chain.chain, chain.own, span)?;
            }
            if !chain.own {
                let lane = last.entry((chain.chain.agent, chain.chain.lane)).or_default();
                *lane = (*lane).max(chain.last_received);
            }
        }
        for ((agent, lane), at) in last {
            rows.silence(agent, Some(lane), at, self.now, None)?;
        }
        for (agent, since) in self.never_heard() {
            rows.silence(agent, None, since, self.now, Some("nothing in this journal"))?;
        }
        for (from, to) in &self.gaps.damage {
            let detail = format!("log offsets {from} to {to} do not read back: run `picket-aggregator journal verify`");
            rows.whole("damage", &detail)?;
        }
        if self.gaps.unreadable > 0 {
            let detail = format!("{} frames do not open: their bytes stay as evidence", self.gaps.unreadable);
            rows.whole("damage", &detail)?;
        }
        rows.table.finish()
    }
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

    fn answer(&mut self, agent: AgentId, answer: &Answer, window: Window) -> io::Result<()> {
        let null = Value::Null;
        self.table.row([
            agent.to_string().into(),
            self.hostname(agent, false),
            null.clone(),
            null.clone(),
            "answer".into(),
            null.clone(),
            null.clone(),
            null.clone(),
            null,
            answer.lost.into(),
            moment_or_null(window.since),
            moment_or_null(window.until),
            answer.sentence.as_str().into(),
            match answer.missing {
                Missing::No => false.into(),
                Missing::Yes => true.into(),
                Missing::Unknown => "unknown".into(),
            },
        ])
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
            moment_or_null(span.from),
            moment(span.to),
            detail,
            Value::Null,
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
            null.clone(),
            moment(from),
            moment(now),
            span_text(now.since(from)).into(),
            null,
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
        SpanKind::After => ("after", Value::Null, "sealed after the window".into()),
        SpanKind::Lost { reason } => ("lost", (*reason).into(), Value::Null),
        SpanKind::Absent { elsewhere: Some(id) } => {
            ("elsewhere", Value::Null, format!("aggregator {id} has it").into())
        }
        SpanKind::Absent { elsewhere: None } => ("unknown", "absent".into(), "nobody says where it is".into()),
        SpanKind::Ended => ("unknown", "epoch_end".into(), "its successor began, and not all of it came".into()),
        SpanKind::Hole => ("hole", LossReason::JournalDamage.name().into(), Value::Null),
        SpanKind::Loss { reason, path } => ("loss", reason.as_str().into(), path.as_str().into()),
        SpanKind::Unseen { reason, unit, count, path } => {
            let count = count.map_or("an unknown number of".to_owned(), |count| count.to_string());
            let place = if path.is_empty() { String::new() } else { format!(" on {path}") };
            ("unseen", reason.as_str().into(), format!("{count} {unit}{place}").into())
        }
    }
}

#[cfg(test)]
mod tests;
