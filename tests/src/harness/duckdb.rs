//! DuckDB as an independent reader of the lake, through the Python that `cargo xtask test` names.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use super::skip;

/// Prints the rows of a query as JSON lists, one a line; bytes as hex.
const SCRIPT: &str = "\
import duckdb, json, sys
plain = lambda v: v.hex() if isinstance(v, bytes) else v
for row in duckdb.sql(sys.argv[1]).fetchall():
    print(json.dumps([plain(v) for v in row], default=str))
";

/// A Python with DuckDB.
#[derive(Debug)]
pub struct DuckDb {
    python: PathBuf,
}

impl DuckDb {
    /// The one that `PICKET_DUCKDB_PYTHON` names; `None`, and a word about it, where there is none.
    #[must_use]
    pub fn find() -> Option<Self> {
        let python = std::env::var_os("PICKET_DUCKDB_PYTHON").map(PathBuf::from).filter(|python| python.is_file());
        if python.is_none() {
            skip("no duckdb");
        }
        python.map(|python| Self { python })
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// DuckDB's, with its words.
    pub fn query(&self, sql: &str) -> anyhow::Result<Vec<Vec<Value>>> {
        let output = Command::new(&self.python).args(["-c", SCRIPT, sql]).output().context("start python")?;
        if !output.status.success() {
            bail!("duckdb on `{sql}`: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout).context("duckdb's answer")?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("duckdb's row {line}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_answers_with_its_rows() {
        let Some(duckdb) = DuckDb::find() else { return };
        let rows = duckdb.query("select 1 + 1, 'a' || 'b', null, 'x'::blob").unwrap();
        assert_eq!(rows, [[Value::from(2), Value::from("ab"), Value::Null, Value::from("78")]]);
        assert!(duckdb.query("select from nowhere").is_err());
    }
}
