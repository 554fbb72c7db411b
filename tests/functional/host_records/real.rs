//! Promise: what the host source tells of this very host, of every table and every kind of difference, is a valid event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agent::source::host::Table;
use agent::source::host::known::Difference;
use agent::source::host::place::Place;
use agent::source::host::record::{States, difference};
use agent::source::host::row::{Fields, Row};
use agent::source::host::tables::{Reader, facts};
use shared::time::Timestamp;

use crate::network_records::Bench;

const AT: Timestamp = Timestamp::from_seconds(1_773_653_300);
/// Rows of a table that are looked at.
const ROWS_MAX: usize = 400;
/// All records that can be made of a row.
fn records_of(table: Table, row: &Row, records: &mut Vec<Fields>) {
    let came = [Difference::Added(row.clone()), Difference::Changed(row.clone(), 0)];
    // The past does not go, nor does the one row that says whether a reboot is required.
    let stays = matches!(table, Table::Logins | Table::Reboot);
    let gone = (!stays).then(|| Difference::Removed(Row::of_key(&row.known_by())));
    records.extend(came.into_iter().chain(gone).map(|what| difference(table, what, AT)));
}

#[test]
fn what_is_told_of_this_host_is_valid() {
    let Some(bench) = Bench::new() else { return };
    let mut reader = Reader::new(Place::new(Path::new("/")));
    let system = facts::system(reader.place());
    let (mut classes, mut without_place) = (BTreeMap::<(Table, u32), usize>::new(), BTreeSet::new());
    for table in Table::ALL {
        let mut records = Vec::new();
        let mut states = States::new(table, AT, system.clone());
        let (mut count, mut rows) = (0, Vec::new());
        let read = reader.read(table, &mut |row: Row| {
            count += 1;
            if count <= ROWS_MAX {
                rows.push(row.clone());
                states.row(row, &mut |fields| records.push(fields));
            }
        });
        if let Err(error) = read {
            println!("skipped: {error}");
        }
        states.finish(&mut |fields| records.push(fields));
        rows.iter().for_each(|row| records_of(table, row, &mut records));
        for said in &records {
            bench.event(said, |event| {
                *classes.entry((table, event.class.uid())).or_default() += 1;
                for (key, _) in &event.unmapped {
                    let is_plain = said.iter().any(|(name, _)| name.strip_prefix("unmapped.") == Some(key));
                    if !is_plain {
                        without_place.insert((table.name(), event.class.uid(), key.to_string()));
                    }
                }
            });
        }
    }
    println!("{classes:#?}");
    assert!(classes.keys().all(|(_, class)| *class != 0), "a record lacks what its class requires: {classes:?}");
    // Nothing is lost by it: what OCSF has no place for is in `unmapped`.
    println!("without a place of their own: {without_place:#?}");
}
