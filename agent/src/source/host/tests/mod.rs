//! Tests of all of it: hostile bytes, trees made for a test, the host's own tools, short processes, what it costs.

mod agreement;
mod cost;
mod hostile;
mod limits;
mod packages;
mod short;
mod tree;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use shared::identity::Lane;
use shared::record::Value;
use shared::time::Clock;

use super::row::Fields;
use super::{Around, HostConfig, HostSource, Table};
use crate::handover::{Chunk, Loss, Outlet, Records, SourceIndex, Stopped, Untaken};

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Vec<(Lane, Fields)>);

impl Outlet for Kept {
    fn lines(&mut self, _: Chunk) -> Result<(), Stopped> {
        Ok(())
    }
    fn records(&mut self, records: Records, _: Duration) -> Result<(), Untaken> {
        self.0.extend(records.records().iter().map(|fields| (records.lane, fields.clone())));
        Ok(())
    }
    fn loss(&mut self, _: Loss) -> Result<(), Stopped> {
        Ok(())
    }
}

fn value<'a>(fields: &'a Fields, path: &str) -> Option<&'a Value> {
    fields.iter().find(|(key, _)| key == path).map(|(_, value)| value)
}

fn word<'a>(fields: &'a Fields, path: &str) -> &'a str {
    match value(fields, path) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

fn number(fields: &Fields, path: &str) -> Option<u64> {
    match value(fields, path) {
        Some(Value::U64(number)) => Some(*number),
        _ => None,
    }
}

fn source(root: PathBuf, tables: &[Table], clock: &Clock) -> HostSource {
    let config = HostConfig {
        root,
        interval: Duration::from_secs(60),
        full_inventory: Duration::from_secs(86_400),
        tables: tables.to_vec(),
        metrics: true,
        lane: Lane::Bulk,
    };
    let (wake, health) = (Arc::default(), Arc::default());
    HostSource::new(config, Around { index: SourceIndex(0), clock: clock.clone(), wake, health })
}

/// Runs a tool of the system; whether it is there and did what it was asked for.
fn ran(tool: &mut Command) -> bool {
    let name = tool.get_program().to_string_lossy().into_owned();
    match tool.env("LC_ALL", "C").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            println!("skipped: {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
            false
        }
        Err(error) => {
            println!("skipped: {name}: {error}");
            false
        }
    }
}
