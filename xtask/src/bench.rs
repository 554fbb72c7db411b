//! `cargo xtask bench`: builds the programs and `picket-bench` (tests/performance) in release and runs it.

use std::process::Command;

use xtask::Result;
use xtask::loopback::build_folder;

use crate::install::{libpcap, tcpreplay};
use crate::release::{BENCH, BOTH, fits, release};
use crate::{root, show};

/// Benches that run neither program.
const ALONE: [&str; 4] = ["layout", "log", "matcher", "normalize"];

/// Builds and runs; the arguments are those of `picket-bench`.
pub fn run(arguments: &[&str]) -> Result<()> {
    libpcap()?;
    if arguments.contains(&"--live") {
        tcpreplay()?;
    }
    show(&mut release(&BENCH)?)?;
    if !ALONE.iter().any(|alone| arguments.first() == Some(alone)) {
        show(&mut release(&BOTH)?)?;
    }
    let programs = build_folder()?.with_file_name("release");
    let bench = programs.join("picket-bench");
    if !fits(&bench)? {
        println!(
            "measured without a profile: the one that is kept is of another build; cargo xtask profile makes it anew"
        );
    }
    let mut bench = Command::new(bench);
    show(bench.args(arguments).env("PICKET_BIN_DIR", programs).current_dir(root()))
}
