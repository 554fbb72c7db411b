//! `journal stat|verify|export`: the evidence, read beside the aggregator or without it.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use shared::exit::{Exit, Reason};
use shared::table::{Output, Table};
use shared::time::Timestamp;

use super::{card, configuration, moment, moment_or_null, named, offline_exit, open_journal};
use crate::cli::{ExportArgs, JournalCommand, Options};
use crate::config::{Config, SinkConfig, SinkKind};
use crate::journal::offline::{
    ExportError, Exported, ExportedLine, Finding, JournalFiles, Selection, Severity, Verdict, verify,
};
use crate::sink::AnySink;

/// Does it.
///
/// # Errors
/// Exit codes: 65 when something is damaged or the record that was asked for is not there, 74 for files, 78 for a
/// journal that is not there or a wrong configuration.
pub fn run(options: &Options, command: &JournalCommand, now: Timestamp, out: impl Write) -> Result<(), Exit> {
    let config = configuration(options)?;
    match command {
        JournalCommand::Stat => stat(&config, options.output, out),
        JournalCommand::Verify => {
            let verdict = verify(&config.journal_dir()).map_err(|error| offline_exit(&error))?;
            print_verdict(&verdict, options.output, out)?;
            if verdict.is_whole() { Ok(()) } else { Err(Exit::silent(Reason::Data)) }
        }
        JournalCommand::Export(arguments) => export(&config, options, arguments, now, out),
    }
}

fn stat(config: &Config, output: Output, out: impl Write) -> Result<(), Exit> {
    let stat = open_journal(config)?.stat().map_err(|error| offline_exit(&error))?;
    let sinks: Vec<Value> = config.sinks.iter().map(|sink| cursor(sink, stat.next_position)).collect();
    let columns = [
        "segments",
        "bytes",
        "oldest_position",
        "next_position",
        "records",
        "chains",
        "oldest_received",
        "newest_received",
        "sinks",
    ];
    let values = [
        stat.segments.into(),
        stat.bytes.into(),
        stat.oldest_position.into(),
        stat.next_position.into(),
        stat.records.into(),
        stat.chains.into(),
        moment_or_null(stat.oldest_received),
        moment_or_null(stat.newest_received),
        sinks.into(),
    ];
    Ok(card::print(out, output, &columns, values)?)
}

/// Where a sink's cursor stands, and how many frames it has before it.
fn cursor(sink: &SinkConfig, next_position: u64) -> Value {
    let SinkKind::Parquet(lake) = &sink.kind;
    match AnySink::peek("parquet", &lake.path) {
        Ok(cursor) => {
            let behind = next_position.saturating_sub(1).saturating_sub(cursor);
            json!({ "name": sink.name, "cursor": cursor, "behind": behind })
        }
        Err(error) => json!({ "name": sink.name, "error": error.to_string() }),
    }
}

/// Every finding, and for each kind of check that found nothing what was looked at.
fn print_verdict(verdict: &Verdict, output: Output, out: impl Write) -> io::Result<()> {
    let columns = ["check", "outcome", "position", "agent", "lane", "epoch", "detail"];
    let mut table = Table::new(out, output, &columns);
    let looked_at = [
        ("log", format!("{} records", verdict.records)),
        ("segments", format!("{} segments", verdict.segments)),
        ("frames", format!("{} frames, {} bytes", verdict.frames, verdict.frame_bytes)),
        ("positions", format!("through {}", verdict.last_position)),
        ("chains", format!("{} chains", verdict.chains)),
    ];
    for (check, detail) in looked_at {
        let mut fine = true;
        for Finding { severity, position, chain, detail, .. } in
            verdict.findings.iter().filter(|finding| finding.check == check)
        {
            fine = false;
            let outcome = match severity {
                Severity::Warn => "warn",
                Severity::Fail => "fail",
            };
            table.row([
                check.into(),
                outcome.into(),
                (*position).into(),
                chain.map_or(Value::Null, |chain| chain.agent.to_string().into()),
                chain.map_or(Value::Null, |chain| chain.lane.name().into()),
                chain.map_or(Value::Null, |chain| chain.epoch.to_string().into()),
                detail.as_str().into(),
            ])?;
        }
        if fine {
            let null = Value::Null;
            table.row([check.into(), "ok".into(), null.clone(), null.clone(), null.clone(), null, detail.into()])?;
        }
    }
    if verdict.omitted > 0 {
        let (null, detail) = (Value::Null, format!("{} further findings", verdict.omitted));
        table.row(["all".into(), "fail".into(), null.clone(), null.clone(), null.clone(), null, detail.into()])?;
    }
    table.finish()
}

fn export(
    config: &Config,
    options: &Options,
    arguments: &ExportArgs,
    now: Timestamp,
    mut out: impl Write,
) -> Result<(), Exit> {
    if arguments.frames && options.output != Output::Table {
        return Err(Exit::new(Reason::Usage, "--frames gives bytes, not rows: leave --output out"));
    }
    let selection = Selection {
        uid: arguments.uid,
        agent: named(config, arguments.agent.as_deref())?,
        since: arguments.since.map(|since| since.moment(now)),
    };
    let files = open_journal(config)?;
    let exported = if arguments.frames {
        files.export_frames(&selection, &mut |frame| out.write_all(frame.bytes()))
    } else if options.output == Output::Table {
        files.export(&selection, &mut |line| {
            out.write_all(line.line.bytes)?;
            out.write_all(line.terminator())
        })
    } else {
        rows(&files, &selection, options.output, &mut out)
    };
    let exported = exported.map_err(|error| match error {
        ExportError::Journal(error) => offline_exit(&error),
        ExportError::Write(error) => Exit::from(error),
    })?;
    out.flush()?;
    if exported.truncated > 0 {
        tracing::warn!(lines = exported.truncated, "lines were longer than max_line_bytes: the agent had cut them");
    }
    conclude(arguments, &exported)
}

fn rows(
    files: &JournalFiles,
    selection: &Selection,
    output: Output,
    out: &mut impl Write,
) -> Result<Exported, ExportError> {
    let columns = ["uid", "agent", "log_name", "offset", "read_at", "full_size", "raw", "raw_base64"];
    let mut table = Table::new(out, output, &columns);
    let exported = files.export(selection, &mut |exported| {
        let ExportedLine { uid, log_name, read_at, line } = exported;
        let (raw, raw_base64) = match str::from_utf8(line.bytes) {
            Ok(text) => (text.into(), Value::Null),
            Err(_) => (Value::Null, BASE64.encode(line.bytes).into()),
        };
        table.row([
            uid.to_string().into(),
            uid.chain.agent.to_string().into(),
            (*log_name).into(),
            line.offset.into(),
            moment(*read_at),
            line.full_size.into(),
            raw,
            raw_base64,
        ])
    })?;
    table.finish()?;
    Ok(exported)
}

/// What was asked for and is not there, and what does not read back.
fn conclude(arguments: &ExportArgs, exported: &Exported) -> Result<(), Exit> {
    let found = if arguments.frames { exported.frames } else { exported.lines };
    if let Some(uid) = arguments.uid.filter(|_| found == 0) {
        let why = match exported.lost {
            Some(reason) => format!("the agent lost it ({})", reason.name()),
            None if exported.typed > 0 => "it is no line but a typed record: export its frame with --frames".to_owned(),
            None if exported.unreadable > 0 => "its frame does not open; export that with --frames".to_owned(),
            None => "it is not in the journal: never received, or older than what is kept; see `gaps`".to_owned(),
        };
        return Err(Exit::new(Reason::Data, format_args!("there is no line of {uid}: {why}")));
    }
    if exported.damaged + exported.unreadable > 0 {
        let message = format!(
            "{} ranges of the journal do not read back and {} frames do not open: run `picket-aggregator journal verify`",
            exported.damaged, exported.unreadable
        );
        return Err(Exit::new(Reason::Data, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
