//! `cargo xtask bench`: builds the programs and `picket-bench` (tests/performance) in release and runs it.

use std::process::Command;

use xtask::Result;
use xtask::loopback::build_folder;

use crate::install::{libpcap, tcpreplay};
use crate::{cargo, root, show};

/// Builds and runs; the arguments are those of `picket-bench`.
pub fn run(arguments: &[&str]) -> Result<()> {
    libpcap()?;
    if arguments.contains(&"--live") {
        tcpreplay()?;
    }
    let packages = ["-p", "picket-agent", "-p", "picket-aggregator", "-p", "picket-tests"];
    let bins = ["--bin", "picket-agent", "--bin", "picket-aggregator", "--bin", "picket-bench"];
    show(cargo(&["build", "--release", "--locked"]).args(packages).args(bins))?;
    let programs = build_folder()?.with_file_name("release");
    let mut bench = Command::new(programs.join("picket-bench"));
    show(bench.args(arguments).env("PICKET_BIN_DIR", programs).current_dir(root()))
}
