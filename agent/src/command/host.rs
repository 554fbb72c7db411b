//! `host [--table NAME]`: the state of this host, once, as NDJSON with flat keys. No daemon is needed.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value as Json};
use shared::exit::{Exit, Reason};
use shared::table::Output;
use shared::time::Clock;

use super::plain;
use crate::cli::{HostArgs, Options};
use crate::source::host::place::Place;
use crate::source::host::record::States;
use crate::source::host::tables::{Reader, facts};
use crate::source::host::{Table, row};

/// Bytes of programs that are hashed.
const HASHED: u64 = 4 << 30;

/// Reads the tables and prints them.
///
/// # Errors
/// Exit code 64 for a table that there is not, or a form that it does not have; 74 where one could not be read (the others
/// are printed); the writer's.
pub fn run(options: &Options, arguments: &HostArgs, out: impl Write) -> Result<(), Exit> {
    print(options, arguments, Path::new("/"), out)
}

fn print(options: &Options, arguments: &HostArgs, root: &Path, mut out: impl Write) -> Result<(), Exit> {
    if options.rows()? == Output::Json {
        return Err(Exit::new(Reason::Usage, "host prints NDJSON: leave --output away"));
    }
    let mut tables = Vec::new();
    for name in &arguments.tables {
        let names = || Table::ALL.map(Table::name).join(", ");
        let unknown = || Exit::new(Reason::Usage, format!("there is no table '{name}'; there are {}", names()));
        tables.push(Table::of_name(name).ok_or_else(unknown)?);
    }
    if tables.is_empty() {
        tables = Table::ALL.to_vec();
    }
    let (clock, mut failed) = (Clock::System, String::new());
    let mut reader = Reader::new(Place::new(root));
    reader.programs.allow(if arguments.no_hash { 0 } else { HASHED });
    let system = facts::system(reader.place());
    for table in tables {
        let mut states = States::new(table, clock.now(), system.clone());
        let mut written = Ok(());
        let mut write = |fields: row::Fields| {
            if written.is_ok() {
                written = line(fields, &mut out);
            }
        };
        let round = reader.read(table, &mut |row| states.row(row, &mut write));
        states.finish(&mut write);
        written?;
        if let Err(error) = round {
            let _ = writeln!(failed, "{error}");
        }
    }
    out.flush()?;
    if failed.is_empty() { Ok(()) } else { Err(Exit::new(Reason::Io, failed.trim_end())) }
}

fn line(fields: row::Fields, out: &mut impl Write) -> std::io::Result<()> {
    let record: Map<String, Json> = fields.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
    serde_json::to_writer(&mut *out, &record)?;
    writeln!(out)
}
