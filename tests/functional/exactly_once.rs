//! A line that is written is found in the lake exactly once, byte for byte and in its file's order.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use picket_tests::harness::{DuckDb, LogFile, Pair, Row, Seeded, by_file, corpus, lines_of, numbered};

const DEADLINE: Duration = Duration::from_secs(60);
const PATHS: [(&str, &str); 3] = [
    ("OpenSSH", "logs/loghub/OpenSSH/OpenSSH_2k.log"),
    ("Linux", "logs/loghub/Linux/Linux_2k.log"),
    ("Apache", "logs/loghub/Apache/Apache_2k.log"),
];

/// A set of real lines, numbered, and where its file is rotated.
struct Set {
    name: &'static str,
    lines: Vec<Vec<u8>>,
    /// The line that is half written when its file is renamed: the last of the old file.
    split: usize,
}

/// `None` where the corpora are not there.
fn sets(seeded: &mut Seeded) -> anyhow::Result<Option<Vec<Set>>> {
    let mut sets = Vec::new();
    for (name, path) in PATHS {
        let Some(path) = corpus(path) else { return Ok(None) };
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let lines = numbered(&lines_of(&bytes), 0);
        let split = lines.len() / 2 + usize::try_from(seeded.random.below(100))?;
        sets.push(Set { name, lines, split });
    }
    Ok(Some(sets))
}

#[test]
fn real_logs_written_in_pieces_across_rotations_are_in_the_lake_exactly_once() -> anyhow::Result<()> {
    let mut seeded = Seeded::new(1);
    let Some(sets) = sets(&mut seeded)? else { return Ok(()) };
    let pair = Pair::start("exactly-once")?;
    for set in &sets {
        let mut log = LogFile::open(&pair.logs().join(format!("{}.log", set.name)))?;
        log.write_across_a_rotation(&set.lines, set.split, &mut seeded.random)?;
    }
    let expected: usize = sets.iter().map(|set| set.lines.len()).sum();
    let rows = pair.await_lines(expected, DEADLINE)?;

    let ids: BTreeSet<&str> = rows.iter().map(|row| row.uid.as_str()).collect();
    assert_eq!(ids.len(), rows.len(), "two events share an id");
    let files = by_file(&rows);
    for set in &sets {
        let path = pair.logs().join(format!("{}.log", set.name)).display().to_string();
        // The old file's rest and the new file's begin may be read in either order; each file's own order stands.
        let (old, new): (Vec<_>, Vec<_>) =
            files.get(&path).into_iter().flatten().cloned().partition(|line| serial(line) <= Some(set.split));
        let (before, after) = set.lines.split_at(set.split + 1);
        assert_same(&format!("{} before its rotation", set.name), &old, before);
        assert_same(&format!("{} after its rotation", set.name), &new, after);
    }
    compare_with_duckdb(&pair, &rows)?;
    pair.finish(DEADLINE)
}

/// DuckDB, which knows nothing of us, finds the same lines.
fn compare_with_duckdb(pair: &Pair, rows: &[Row]) -> anyhow::Result<()> {
    let Some(duckdb) = DuckDb::find() else { return Ok(()) };
    let (lake, logs) = (pair.aggregator.lake(), pair.logs());
    let files = format!("read_parquet('{}/**/*.parquet', union_by_name = true)", lake.display());
    let query = format!("select raw_data from {files} where starts_with(metadata.log_name, '{}')", logs.display());
    let text =
        |row: &Vec<serde_json::Value>| row.first().and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let mut found: Vec<String> = duckdb.query(&query)?.iter().map(text).collect();
    let mut expected: Vec<String> =
        rows.iter().map(|row| String::from_utf8_lossy(&row.raw_data).into_owned()).collect();
    found.sort();
    expected.sort();
    assert!(found == expected, "DuckDB reads {} lines, the row API {}", found.len(), expected.len());
    Ok(())
}

/// The number that [`numbered`] gave a line.
fn serial(line: &[u8]) -> Option<usize> {
    let digits = line.rsplit(|byte| *byte == b'#').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Names the first line that differs: thousands in an assertion help nobody.
#[track_caller]
fn assert_same(name: &str, found: &[Vec<u8>], written: &[Vec<u8>]) {
    let text =
        |line: Option<&Vec<u8>>| line.map_or("nothing".to_owned(), |line| String::from_utf8_lossy(line).into_owned());
    for at in 0..found.len().max(written.len()) {
        let (found, written) = (found.get(at), written.get(at));
        assert!(found == written, "{name}, line {at}: found `{}`, written was `{}`", text(found), text(written));
    }
}
