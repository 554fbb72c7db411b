//! `cargo xtask test`: everything that must hold before a change is handed in.
//!
//! Checks first (format, clippy, docs, cargo-deny where it is installed), then both programs are built and every test of
//! the workspace runs. All of it runs even after a failure; the last line counts checks and tests together:
//! `N passed, N failed, N skipped`. A test that prints a line `skipped: why` counts as skipped.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use xtask::loopback::build_folder;
use xtask::{Failure, Naming, Result};

use crate::install::{duckdb_python, host_programs, libpcap, network_programs, packaging_programs, succeeds};
use crate::release::{BOTH, fits, release};
use crate::{cargo, show};

/// What ended how.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs it all.
pub fn run() -> Result<()> {
    let mut counts = Counts::default();
    // Without it nothing compiles.
    libpcap()?;
    if let Err(failure) = network_programs() {
        println!("no clients for captures: {failure}");
    }
    if let Err(failure) = host_programs() {
        println!("no tools to compare a host by: {failure}");
    }
    if let Err(failure) = packaging_programs() {
        println!("no tools to make packages with: {failure}");
    }
    let python = duckdb_python();
    if let Err(failure) = &python {
        println!("no duckdb: {failure}");
    }
    counts.check("format", &mut cargo(&["fmt", "--all", "--check"]));
    let mut clippy = cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    counts.check("clippy", &mut clippy);
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    counts.check("docs", doc.env("RUSTDOCFLAGS", "-D warnings"));
    if succeeds("cargo", &["deny", "--version"]) {
        // Not `advisories`: their database comes over the network. `cargo deny check` by hand reads it.
        counts.check("cargo deny", &mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]));
    } else {
        println!("\n== cargo deny: skipped, not installed");
        counts.skipped += 1;
    }
    // The whole workspace, so that its dependencies have the features that the tests are built with: compiled once.
    counts.check("programs", &mut cargo(&["build", "--workspace", "--bins", "--locked"]));
    counts.check("programs, release", &mut release(&BOTH)?);
    let aggregator = build_folder()?.with_file_name("release/picket-aggregator");
    if !fits(&aggregator).unwrap_or(false) {
        println!("\n== profile: skipped, it is of another build; cargo xtask profile makes it anew");
        counts.skipped += 1;
    }

    let mut tests = cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"]);
    if let Ok(python) = python {
        tests.env("PICKET_DUCKDB_PYTHON", python);
    }
    let built = build_folder()?;
    tests.env("PICKET_BIN_DIR", &built);
    tests.env("PICKET_RELEASE_BIN_DIR", built.with_file_name("release"));
    counts.tests(&mut tests)?;

    let Counts { passed, failed, skipped } = counts;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { Ok(()) } else { Err(Failure::new(format!("{failed} failed"))) }
}

impl Counts {
    /// Runs a check; it counts as one.
    fn check(&mut self, name: &str, command: &mut Command) {
        println!("\n== {name}");
        let start = Instant::now();
        match show(command) {
            Ok(()) => self.passed += 1,
            Err(failure) => {
                self.failed += 1;
                println!("FAILED: {failure}");
            }
        }
        println!("== {name}: {:.0} s", start.elapsed().as_secs_f64());
    }

    /// Runs cargo test, shows what it says as it comes and counts.
    fn tests(&mut self, command: &mut Command) -> Result<()> {
        println!("\n== tests");
        let start = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().naming("cargo test")?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new("cargo test has no stdout"))?;
        let mut reading = Reading::default();
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.naming("read from cargo test")?;
            if let Some(shown) = reading.line(&String::from_utf8_lossy(&line)) {
                println!("{shown}");
            }
        }
        let status = child.wait().naming("cargo test")?;
        self.passed += reading.counts.passed;
        self.failed += reading.counts.failed;
        self.skipped += reading.counts.skipped;
        if !status.success() && reading.counts.failed == 0 {
            self.failed += 1;
            println!("FAILED: cargo test ended with {status} though no test failed: did it compile?");
        }
        println!("== tests: {:.0} s", start.elapsed().as_secs_f64());
        Ok(())
    }
}

/// The output of libtest with `--show-output`, read line by line. What passing tests printed is not shown, but for
/// the reason of a skipped one.
#[derive(Default)]
struct Reading {
    counts: Counts,
    within_successes: bool,
    test: String,
    test_skipped: bool,
    skipped_here: u64,
}

impl Reading {
    /// Takes a line; what of it is shown.
    fn line(&mut self, line: &str) -> Option<String> {
        match line {
            "successes:" => {
                self.within_successes = true;
                return None;
            }
            "failures:" => self.within_successes = false,
            _ => {}
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.within_successes = false;
            self.result(result);
            return Some(line.to_owned());
        }
        if !self.within_successes {
            return Some(line.to_owned());
        }
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            name.clone_into(&mut self.test);
            self.test_skipped = false;
            return None;
        }
        let reason = line.strip_prefix("skipped: ").filter(|_| !self.test_skipped)?;
        self.test_skipped = true;
        self.skipped_here += 1;
        Some(format!("skipped: {}: {reason}", self.test))
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; …` of one test program.
    fn result(&mut self, text: &str) {
        let after = |word: &str| -> u64 {
            let before = text.split(word).next().unwrap_or_default();
            before.split_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        self.counts.passed += after(" passed").saturating_sub(self.skipped_here);
        self.counts.failed += after(" failed");
        self.counts.skipped += after(" ignored") + self.skipped_here;
        self.skipped_here = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_tests_are_taken_from_the_passed_and_quiet_ones_are_not_shown() {
        let output = "running 3 tests\ntest a ... ok\n\nsuccesses:\n\n---- a stdout ----\nskipped: no corpus\nskipped: no corpus\n\n\
            ---- b stdout ----\nchatter\n\nsuccesses:\n    a\n    b\n\nfailures:\n\n---- c stdout ----\nskipped: is no skip here\n\n\
            test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.20s\n\
            running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s";
        let mut reading = Reading::default();
        let shown: Vec<String> = output.lines().filter_map(|line| reading.line(line)).collect();
        assert_eq!(reading.counts, Counts { passed: 2, failed: 1, skipped: 5 });
        assert!(shown.contains(&"skipped: a: no corpus".to_owned()));
        assert!(!shown.contains(&"chatter".to_owned()));
        assert!(shown.contains(&"---- c stdout ----".to_owned()));
    }
}
