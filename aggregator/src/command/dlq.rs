//! `dlq`: events that a sink's store refused, listed, offered again, or thrown away.
//!
//! Works on the files, whether the aggregator runs or not: a running one offers them again as soon as
//! nothing else is under way to that sink.

use std::io::Write;

use shared::exit::{Exit, Reason};
use shared::table::Table;

use super::moment_or_null;
use crate::cli::{DlqCommand, Options};
use crate::config::{Config, SinkConfig};
use crate::sink::Target;
use crate::sink::letters::Letters;

/// Does it.
///
/// # Errors
/// Exit code 65 for a sink that is not one or keeps no letters, 74 for the disk's.
pub fn run(options: &Options, command: &DlqCommand, out: impl Write) -> Result<(), Exit> {
    let config = &super::configuration(options)?;
    let io = |error: shared::durable::DurableError| Exit::new(Reason::Io, error.to_string());
    match command {
        DlqCommand::List => {
            let columns = ["sink", "letters", "bytes", "oldest", "replaying", "damaged", "last_reason"];
            let mut table = Table::new(out, options.output, &columns);
            for (sink, letters) in config.sinks.iter().filter_map(|sink| Some((sink, letters_of(sink)?))) {
                let pile = letters.pile().map_err(io)?;
                table.row([
                    sink.name.as_str().into(),
                    pile.letters.into(),
                    pile.bytes.into(),
                    moment_or_null(pile.oldest),
                    pile.replaying.into(),
                    pile.damaged.into(),
                    pile.last_reason.into(),
                ])?;
            }
            Ok(table.finish()?)
        }
        DlqCommand::Replay(arguments) => {
            let count = named(config, &arguments.sink)?.replay().map_err(io)?;
            let mut table = Table::new(out, options.output, &["sink", "replaying"]);
            table.row([arguments.sink.as_str().into(), count.into()])?;
            Ok(table.finish()?)
        }
        DlqCommand::Purge(arguments) => {
            let count = named(config, &arguments.sink)?.purge().map_err(io)?;
            let mut table = Table::new(out, options.output, &["sink", "purged"]);
            table.row([arguments.sink.as_str().into(), count.into()])?;
            Ok(table.finish()?)
        }
    }
}

fn letters_of(sink: &SinkConfig) -> Option<&Letters> {
    match &sink.target {
        Target::Http(settings) => Some(&settings.letters),
        Target::Parquet { .. } | Target::Ndjson(_) => None,
    }
}

fn named<'c>(config: &'c Config, name: &str) -> Result<&'c Letters, Exit> {
    let with: Vec<(&str, &Letters)> =
        config.sinks.iter().filter_map(|sink| Some((sink.name.as_str(), letters_of(sink)?))).collect();
    with.iter().find(|(known, _)| *known == name).map(|(_, letters)| *letters).ok_or_else(|| {
        let known: Vec<&str> = with.iter().map(|(name, _)| *name).collect();
        let known = if known.is_empty() { "no sink of aggregator.yaml does".to_owned() } else { known.join(", ") };
        Exit::new(Reason::Data, format_args!("no sink '{name}' keeps dead letters (those that do: {known})"))
    })
}
