//! `cargo xtask bench`: builds the programs and `picket-bench` (tests/performance) in release and runs it.

use std::process::Command;

use xtask::Result;
use xtask::loopback::build_folder;

use crate::install::{libpcap, tcpreplay};
use crate::{cargo, root, show};

/// Benches that run neither program.
const ALONE: [&str; 3] = ["layout", "log", "matcher"];

/// Builds and runs; the arguments are those of `picket-bench`.
pub fn run(arguments: &[&str]) -> Result<()> {
    libpcap()?;
    if arguments.contains(&"--live") {
        tcpreplay()?;
    }
    let mut build = cargo(&["build", "--release", "--locked", "-p", "picket-tests", "--bin", "picket-bench"]);
    if !ALONE.iter().any(|alone| arguments.first() == Some(alone)) {
        build.args([
            "-p",
            "picket-agent",
            "-p",
            "picket-aggregator",
            "--bin",
            "picket-agent",
            "--bin",
            "picket-aggregator",
        ]);
    }
    show(&mut build)?;
    let programs = build_folder()?.with_file_name("release");
    let mut bench = Command::new(programs.join("picket-bench"));
    show(bench.args(arguments).env("PICKET_BIN_DIR", programs).current_dir(root()))
}
