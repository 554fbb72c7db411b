//! The harness: an [`Aggregator`] and [`Agent`]s as processes in a [`Place`], lines written as hostile writers do, the
//! lake read back by the `parquet` crate and by DuckDB, and the books checked.
//!
//! Nothing here sleeps for a time: conditions are awaited with a deadline ([`await_until`]).

mod books;
mod data;
mod duckdb;
mod lake;
mod namespace;
mod pair;
mod place;
mod seed;
pub mod sigma;
mod writer;

pub use books::assert_books;
pub use data::{corpus, lines_of, numbered};
pub use duckdb::DuckDb;
pub use lake::{Row, by_file, events, parquet_files, rows, rows_of};
pub use namespace::Namespace;
pub use pair::{Pair, fleet};
pub use place::{Place, copy_folder};
pub use seed::Seeded;
pub use writer::LogFile;

pub use xtask::corpus::{Corpus, Random};
pub use xtask::loopback::{Agent, Aggregator, Pace, Process, Programs, Usage, await_until};
pub use xtask::scrape::{Metrics, Sample, http_get};

/// Says why a test does nothing here; `cargo xtask test` counts it as skipped.
pub fn skip(reason: &str) {
    println!("skipped: {reason}");
}
