//! `journal heads` and `journal verify`: what to write down of the journal elsewhere, and whether it is as it was.

use std::io::Write;
use std::path::Path;

use serde_json::Value;
use shared::durable::Writer;
use shared::exit::{Exit, Reason};
use shared::owner::may_write_in;
use shared::table::{Output, Table};
use shared::time::{Clock, Timestamp};

use super::{offline_exit, open_journal};
use crate::app;
use crate::ca::lock::{LockError, StateLock};
use crate::ca::{Authority, Server};
use crate::cli::VerifyArgs;
use crate::config::Config;
use crate::journal::offline::{AnchorRow, Anchors, AnchorsError, Finding, Severity, Trust, Verdict, repair, verify};

/// Prints the anchors. A table has what a person compares; the other forms have all that checks a seal.
pub(super) fn heads(config: &Config, output: Output, now: Timestamp, out: impl Write) -> Result<(), Exit> {
    let anchors = open_journal(config)?.anchors(now).map_err(|error| offline_exit(&error))?;
    if output == Output::Table {
        return table_of(&anchors.rows(), out);
    }
    let names = [
        "anchor",
        "number",
        "first",
        "end",
        "first_position",
        "last_position",
        "since",
        "until",
        "taken_at",
        "agent",
        "lane",
        "epoch",
        "through",
        "hash",
        "previous",
        "sha256",
        "log",
        "signed",
        "signature",
        "key",
    ];
    let mut table = Table::new(out, output, &names);
    for row in anchors.rows() {
        let row = serde_json::to_value(row).map_err(|error| Exit::new(Reason::Internal, error))?;
        table.row(names.map(|name| row.get(name).cloned().unwrap_or_default()))?;
    }
    Ok(table.finish()?)
}

fn table_of(rows: &[AnchorRow], out: impl Write) -> Result<(), Exit> {
    let names = ["anchor", "what", "last_position", "since", "until", "hash", "signature"];
    let mut table = Table::new(out, Output::Table, &names);
    for row in rows {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let what = match row.anchor.as_str() {
            "journal" => text(&row.log),
            "seal" => row.number.map_or_else(String::new, |number| number.to_string()),
            "end" => format!("log offset {}", row.end.unwrap_or_default()),
            _ => {
                let through = row.through.unwrap_or_default();
                format!("{} {} {} through {through}", text(&row.agent), text(&row.lane), text(&row.epoch))
            }
        };
        table.row([
            row.anchor.as_str().into(),
            what.into(),
            row.last_position.into(),
            row.since.clone().into(),
            row.until.clone().into(),
            row.hash.clone().or_else(|| row.sha256.clone()).into(),
            row.signature.clone().into(),
        ])?;
    }
    Ok(table.finish()?)
}

/// Checks everything, after mending what is to be mended.
pub(super) fn check(config: &Config, arguments: &VerifyArgs, output: Output, out: impl Write) -> Result<(), Exit> {
    let against = arguments.against.as_deref().map(anchors).transpose()?;
    // The lock is kept: nobody writes while the journal is read.
    let mended = arguments.repair.then(|| mend(config)).transpose()?;
    let keys = match Authority::key_hash_in(&config.state_dir) {
        Ok(key) => vec![key],
        Err(error) => {
            tracing::warn!(%error, "without the authority's certificate every key that a seal names is believed");
            Vec::new()
        }
    };
    let verdict = verify(&config.journal_dir(), &Trust { keys, against }).map_err(|error| offline_exit(&error))?;
    print_verdict(&verdict, mended.map(|(_lock, done)| done), output, out)?;
    if verdict.is_whole() { Ok(()) } else { Err(Exit::silent(Reason::Data)) }
}

fn anchors(path: &Path) -> Result<Anchors, Exit> {
    Anchors::read(path).map_err(|error| {
        let reason = if matches!(error, AnchorsError::File(_)) { Reason::Io } else { Reason::Data };
        Exit::new(reason, format_args!("{}: {error}", path.display()))
    })
}

/// Mends; says what was done.
fn mend(config: &Config) -> Result<(StateLock, String), Exit> {
    let state = &config.state_dir;
    let cannot = |error: &dyn std::fmt::Display| Exit::new(Reason::CannotCreate, error);
    // A journal that is not there is not made.
    open_journal(config)?;
    may_write_in(state).map_err(|error| cannot(&error))?;
    let writer = Writer::for_owner_of(state).map_err(|error| cannot(&error))?;
    let lock = StateLock::take(state, &writer).map_err(|error| match error {
        LockError::Held { .. } => {
            Exit::new(Reason::Unavailable, format_args!("{error}; stop the aggregator before --repair"))
        }
        LockError::File(error) => cannot(&error),
    })?;
    let server = Server::load(state).map_err(|error| cannot(&error))?;
    let signer = Authority::load(state).and_then(|authority| authority.signer()).map_err(|error| cannot(&error))?;
    let journal = app::journal_config(config, server.id, signer);
    let done = repair(journal, Clock::System).map_err(|error| Exit::new(Reason::Io, error))?;
    let said = format!(
        "opened as a start does, which mends a torn tail; {} segments were sealed, {} without a seal do not read; there is \
         no index to rebuild: the journal finds positions by its segments' states",
        done.sealed, done.unreadable
    );
    Ok((lock, said))
}

/// Every finding, and for each kind of check that found nothing what was looked at.
fn print_verdict(verdict: &Verdict, mended: Option<String>, output: Output, out: impl Write) -> Result<(), Exit> {
    let columns = ["check", "outcome", "verdict", "anchor", "since", "position", "agent", "lane", "epoch", "detail"];
    let mut table = Table::new(out, output, &columns);
    let row = |outcome: &str, finding: &Finding| {
        let chain = finding.chain;
        [
            finding.check.into(),
            outcome.into(),
            finding.fate.map_or(Value::Null, |fate| fate.name().into()),
            finding.anchor.clone().into(),
            finding.since.clone().into(),
            finding.position.into(),
            chain.map_or(Value::Null, |chain| chain.agent.to_string().into()),
            chain.map_or(Value::Null, |chain| chain.lane.name().into()),
            chain.map_or(Value::Null, |chain| chain.epoch.to_string().into()),
            finding.detail.as_str().into(),
        ]
    };
    if let Some(done) = mended {
        table.row(row("ok", &Finding::about("repair", done)))?;
    }
    let mut looked_at = vec![
        ("log", format!("{} records", verdict.records)),
        ("segments", format!("{} segments", verdict.segments)),
        ("frames", format!("{} frames, {} bytes", verdict.frames, verdict.frame_bytes)),
        ("positions", format!("through {}", verdict.last_position)),
        ("chains", format!("{} chains", verdict.chains)),
        ("seals", format!("{} seals", verdict.seals)),
    ];
    let anchors =
        verdict.anchors.map(|(named, chains)| format!("{named} seals and ends, the heads of {chains} chains"));
    looked_at.extend(anchors.map(|detail| ("anchors", detail)));
    for (check, detail) in looked_at {
        let mut fine = true;
        for finding in verdict.findings.iter().filter(|finding| finding.check == check) {
            fine &= finding.severity == Severity::Fine;
            let outcome = match finding.severity {
                Severity::Fine => "ok",
                Severity::Warn => "warn",
                Severity::Fail => "fail",
            };
            table.row(row(outcome, finding))?;
        }
        if fine {
            table.row(row("ok", &Finding::about(check, detail)))?;
        }
    }
    if verdict.omitted > 0 {
        table.row(row("fail", &Finding::about("all", format!("{} further findings", verdict.omitted))))?;
    }
    Ok(table.finish()?)
}

#[cfg(test)]
mod tests;
