//! `dlq`: events that a sink's store refused, listed, offered again, or thrown away.
//!
//! Works on the files, whether the aggregator runs or not: a running one offers them again as soon as
//! nothing else is under way to that sink.

use std::collections::BTreeMap;
use std::io::Write;

use shared::durable::DurableError;
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
    let io = |error: DurableError| Exit::new(Reason::Io, error.to_string());
    match command {
        DlqCommand::List => {
            let columns = ["sink", "letters", "bytes", "oldest", "replaying", "damaged", "last_reason"];
            let mut table = Table::new(out, options.output, &columns);
            for (sink, letters) in kept(config).map_err(io)? {
                let pile = letters.pile().map_err(io)?;
                table.row([
                    sink.into(),
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
            let sink = &arguments.sink;
            let letters = named(kept(config).map_err(io)?, sink)?;
            if !is_configured(config, sink) {
                let why = format!("aggregator.yaml has no http sink '{sink}' to offer them to; purge throws them away");
                return Err(Exit::new(Reason::Data, why));
            }
            let count = letters.replay().map_err(io)?;
            let mut table = Table::new(out, options.output, &["sink", "replaying"]);
            table.row([arguments.sink.as_str().into(), count.into()])?;
            Ok(table.finish()?)
        }
        DlqCommand::Purge(arguments) => {
            let sink = &arguments.sink;
            let letters = named(kept(config).map_err(io)?, sink)?;
            let purged = if is_configured(config, sink) { letters.purge() } else { letters.purge_gone() };
            let (count, left) = (purged.map_err(io)?, letters.pile().map_err(io)?);
            let mut table = Table::new(out, options.output, &["sink", "purged", "replaying"]);
            table.row([sink.as_str().into(), count.into(), left.replaying.into()])?;
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

fn is_configured(config: &Config, name: &str) -> bool {
    config.sinks.iter().any(|sink| sink.name == name && letters_of(sink).is_some())
}

/// The letters of every sink that keeps some, and those that a sink left behind which is configured no longer.
fn kept(config: &Config) -> Result<BTreeMap<String, Letters>, DurableError> {
    let mut kept = Letters::all(&config.state_dir)?;
    let configured = config.sinks.iter().filter_map(|sink| Some((sink.name.clone(), letters_of(sink)?.clone())));
    kept.extend(configured);
    Ok(kept)
}

fn named(mut kept: BTreeMap<String, Letters>, name: &str) -> Result<Letters, Exit> {
    kept.remove(name).ok_or_else(|| {
        let known: Vec<String> = kept.into_keys().collect();
        let known = if known.is_empty() { "no sink of aggregator.yaml does".to_owned() } else { known.join(", ") };
        Exit::new(Reason::Data, format_args!("no sink '{name}' keeps dead letters (those that do: {known})"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;

    #[test]
    fn letters_of_a_sink_that_is_gone_are_listed_and_thrown_away_and_offered_to_nobody() {
        let scratch = Scratch::initialized("dlq-gone");
        let folder = scratch.state().join("dlq");
        std::fs::create_dir_all(&folder).unwrap();
        let letter = "{\"at\":5,\"reason\":\"no\",\"event\":{}}\n";
        std::fs::write(folder.join("siem.ndjson"), letter.repeat(2)).unwrap();
        std::fs::write(folder.join("old.replay"), letter).unwrap();
        let rows = scratch.rows("dlq list");
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[0]["sink"], &rows[0]["replaying"]), (&"old".into(), &1.into()));
        assert_eq!((&rows[1]["sink"], &rows[1]["letters"]), (&"siem".into(), &2.into()));
        let refused = scratch.text("dlq replay siem").unwrap_err().to_string();
        assert!(refused.contains("no http sink 'siem' to offer them to"), "{refused}");
        assert!(scratch.text("dlq purge ../siem").is_err());
        assert_eq!(scratch.rows("dlq purge old")[0]["purged"], 1);
        assert_eq!(scratch.rows("dlq purge siem")[0]["purged"], 2);
        assert_eq!(scratch.rows("dlq list").len(), 0);
    }
}
