//! `cargo xtask fuzz`: libFuzzer on the targets of `tests/fuzz`, each for a while, beginning with their seeds.
//!
//! What it learns is kept in `fuzz/` of the target folder and is where the next run begins; what it finds is left there
//! too, and the run goes on with the next target. It needs cargo-fuzz and a C++ compiler. No sanitizer: the workspace
//! forbids `unsafe`, panics and promises are what is looked for, so that a stable compiler does.

use std::path::{Path, PathBuf};

use xtask::loopback::build_folder;
use xtask::{Failure, Naming, Result};

use crate::install::{libpcap, succeeds};
use crate::{cargo, number, options, root, show};

const SECONDS: u64 = 60;

/// Runs one target, or every one.
pub fn run(arguments: &[&str]) -> Result<()> {
    let (target, rest) = match arguments {
        [name, rest @ ..] if !name.starts_with("--") => (Some(*name), rest),
        rest => (None, rest),
    };
    libpcap()?;
    let [seconds] = options(rest, ["--seconds"])?;
    let seconds = seconds.map_or(Ok(SECONDS), number)?;
    if !succeeds("cargo", &["fuzz", "--version"]) {
        return Err(Failure::new("cargo-fuzz is not there: run `cargo install cargo-fuzz --locked` first"));
    }
    let all = targets()?;
    let chosen: Vec<&String> = all.iter().filter(|name| target.is_none_or(|wanted| *name == wanted)).collect();
    if chosen.is_empty() {
        return Err(Failure::new(format!("no such target; there are: {}", all.join(", "))));
    }
    // What is fuzzed is what is shipped: the versions of the workspace, to which cargo adds the fuzzer's own.
    let lock = root().join("tests/fuzz/Cargo.lock");
    std::fs::copy(root().join("Cargo.lock"), &lock).naming(lock.display())?;
    let folder = build_folder()?.with_file_name("fuzz");
    let seeds = folder.join("seeds").display().to_string();
    show(&mut cargo(&["run", "--locked", "-p", "picket-tests", "--bin", "picket-fuzz", "--", "seeds", &seeds]))?;
    let mut found = Vec::new();
    for name in chosen {
        if let Err(failure) = fuzz(&folder, name, seconds) {
            println!("{failure}");
            found.push(name.as_str());
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let artifacts = folder.join("artifacts");
    Err(Failure::new(format!(
        "{} found something: see {}, and run it again with `cargo run -p picket-tests --bin picket-fuzz -- run TARGET FILE`",
        found.join(", "),
        artifacts.display()
    )))
}

/// Names of the targets: their files.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("tests/fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).naming(folder.display())? {
        let path = entry.naming(folder.display())?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn fuzz(folder: &Path, name: &str, seconds: u64) -> Result<()> {
    println!("\n== {name}");
    let made = |kind: &str| -> Result<PathBuf> {
        let path = folder.join(kind).join(name);
        std::fs::create_dir_all(&path).naming(path.display())?;
        Ok(path)
    };
    let (corpus, seeds, artifacts) = (made("corpus")?, made("seeds")?, made("artifacts")?);
    let words = folder.join("seeds").join(format!("{name}.dict"));
    let mut command = cargo(&["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none", "--target-dir"]);
    command.arg(folder.join("build")).arg(name).arg(corpus).arg(seeds).arg("--").args([
        format!("-max_total_time={seconds}"),
        "-max_len=65536".to_owned(),
        "-timeout=20".to_owned(),
        "-rss_limit_mb=1024".to_owned(),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ]);
    if words.metadata().is_ok_and(|file| file.len() > 0) {
        command.arg(format!("-dict={}", words.display()));
    }
    // Coverage is an option of the compiler that is not stable.
    show(command.env("RUSTC_BOOTSTRAP", "1"))
}
