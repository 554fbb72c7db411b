//! `reduction`: what the running aggregator's rules did, by sink and rule.

use std::io::Write;

use serde_json::Value;
use shared::exit::Exit;
use shared::table::Table;

use super::answer;
use crate::admin::http::RuleReport;
use crate::admin::socket::Request;
use crate::cli::Options;

const COLUMNS: [&str; 8] = ["sink", "stage", "rule", "in", "out", "ratio", "changed", "overflowed"];

/// Shows it.
///
/// # Errors
/// Exit code 69 when no aggregator runs.
pub fn run(options: &Options, out: impl Write) -> Result<(), Exit> {
    let config = &super::configuration(options)?;
    let rows: Vec<RuleReport> = answer(config, &Request::Reduction)?;
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
