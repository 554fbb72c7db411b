//! `journal stat|verify|heads|export|replay`: the evidence, read beside the aggregator or without it.

mod export;
mod parcel;

use std::io::Write;

use serde_json::{Value, json};
use shared::exit::Exit;
use shared::table::Output;
use shared::time::Timestamp;

use super::{card, configuration, evidence, moment_or_null, offline_exit, open_journal};
use crate::cli::{JournalCommand, Options};
use crate::config::{Config, SinkConfig};

/// Does it.
///
/// # Errors
/// Exit codes: 65 when something is damaged or the record that was asked for is not there, 74 for files, 78 for a
/// journal that is not there or a wrong configuration.
pub fn run(options: &Options, command: &JournalCommand, now: Timestamp, out: impl Write) -> Result<(), Exit> {
    let config = configuration(options)?;
    match command {
        JournalCommand::Stat => stat(&config, options.output, out),
        JournalCommand::Verify(arguments) => evidence::check(&config, arguments, options.output, out),
        JournalCommand::Heads => evidence::heads(&config, options.output, now, out),
        JournalCommand::Export(arguments) => export::run(&config, options, arguments, now, out),
        JournalCommand::Replay(arguments) => super::replay::run(&config, options, arguments, now, out),
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
    match sink.target.peek() {
        Ok(cursor) => {
            let behind = next_position.saturating_sub(1).saturating_sub(cursor);
            json!({ "name": sink.name, "cursor": cursor, "behind": behind })
        }
        Err(error) => json!({ "name": sink.name, "error": error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
