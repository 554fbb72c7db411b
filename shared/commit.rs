//! Build script of both programs: which commit they are built from, for `--version`.
//!
//! `PICKET_COMMIT` of the environment wins (packages built from a tarball set it), then git if the source lies
//! in a repository and git is there, then the word `unknown`. Nothing here can fail a build.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=PICKET_COMMIT");
    println!("cargo::rerun-if-changed=../shared/commit.rs");
    // HEAD changes with a checkout, its log with each commit.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let given = std::env::var("PICKET_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo::rustc-env=PICKET_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// The first line that git prints, if it ends well and prints something.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let line = String::from_utf8(output.stdout).ok()?.lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}
