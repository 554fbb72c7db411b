//! What the tests stand on: both programs as processes, what they wrote read back by other means, seeded input, real logs,
//! and a validator for OCSF events.

pub mod fuzz;
pub mod harness;
pub mod ocsf;

use std::path::PathBuf;

/// The folder of public test data: `PICKET_CORPUS`, by default `../shared/data` beside the workspace. None,
/// and a line on stdout, where it is absent: tests that need it then pass without having looked.
#[must_use]
pub fn corpus() -> Option<PathBuf> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let folder = std::env::var_os("PICKET_CORPUS").map_or_else(default, PathBuf::from);
    if folder.join("logs").is_dir() {
        return Some(folder);
    }
    harness::skip("no corpus");
    None
}
