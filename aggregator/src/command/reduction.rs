//! `reduction`: what the running aggregator's rules did, by sink and rule.

use std::io::Write;

use serde_json::Value;
use shared::exit::{Exit, Reason};
use shared::table::Table;

use super::ask_exit;
use crate::admin::http::RuleReport;
use crate::admin::socket::{AskError, Request, ask};
use crate::cli::Options;

const COLUMNS: [&str; 8] = ["sink", "stage", "rule", "in", "out", "ratio", "changed", "overflowed"];

/// Shows it.
///
/// # Errors
/// Exit code 69 when no aggregator runs.
pub fn run(options: &Options, out: impl Write) -> Result<(), Exit> {
    let config = &super::configuration(options)?;
    let reply = ask(&config.socket, &Request::Reduction).map_err(|error| ask_exit(&error))?;
    let Some(reply) = reply else {
        let message = "no aggregator runs here, and it counts what its rules do: start `picket-aggregator run`";
        return Err(Exit::new(Reason::Unavailable, format_args!("{message} (socket {})", config.socket.display())));
    };
    let rows: Vec<RuleReport> =
        serde_json::from_value(reply).map_err(|_| ask_exit(&AskError::Garbled { path: config.socket.clone() }))?;
    let mut table = Table::new(out, options.output, &COLUMNS);
    for row in rows {
        let ratio = row.ratio.map_or(Value::Null, Value::from);
        table.row([
            row.sink.into(),
            row.stage.into(),
            row.rule.into(),
            row.came.into(),
            row.out.into(),
            ratio,
            row.changed.into(),
            row.overflowed.into(),
        ])?;
    }
    Ok(table.finish()?)
}
