//! `picket-bench`, run by `cargo xtask bench`: figures beside yardsticks, as a table and as JSON.
//!
//! In: the release programs (`PICKET_BIN_DIR`, or beside this one) and a seed. Out: medians of interleaved runs on stdout, and
//! the same as JSON in `target/bench/`. A run on a machine that does other work says little: the yardsticks are measured in the
//! same minutes for that reason.

mod end_to_end;
mod host;
mod layout;
mod log;
mod matcher;
mod normalize;
mod packets;
mod report;
mod rsyslog;
mod yardstick;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

const USAGE: &str = "picket-bench [end-to-end | yardsticks | normalize [--lake] [--from FOLDER]] [--mib N] [--runs N] [--seed S] | layout | \
     log [--commits] [--mib N] [--runs N] | packets [--mib N] [--runs N] | packets --live [--mib N] [--seconds S] | \
     host [--apart] [--seconds S] [--files N] | matcher [--runs N] [--seed S]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["layout"] => layout::run(),
        [layout::CHILD, name, folder] => layout::measure(name, Path::new(folder)),
        ["log", "--commits", rest @ ..] => log::Plan::parse(rest).and_then(|plan| log::commits_alone(&plan)),
        ["log", rest @ ..] => log::Plan::parse(rest).and_then(|plan| log::run(&plan)),
        [log::CHILD, name, folder, numbers @ ..] => log::work(name, Path::new(folder), numbers),
        ["matcher", rest @ ..] => matcher::Plan::parse(rest).and_then(|plan| matcher::run(&plan)),
        ["packets", "--live", rest @ ..] => packets::live::Plan::parse(rest).and_then(|plan| packets::live::run(&plan)),
        ["packets", rest @ ..] => packets::Plan::parse(rest).and_then(|plan| packets::run(&plan)),
        ["host", "--apart", rest @ ..] => host::apart(rest),
        ["host", rest @ ..] => host::Plan::parse(rest).and_then(|plan| host::run(&plan)),
        [packets::CHILD, name] => packets::fill(name),
        ["normalize", "--lake", rest @ ..] => end_to_end::Plan::parse(rest).and_then(|plan| normalize::lake(&plan)),
        ["normalize", rest @ ..] => end_to_end::Plan::parse(rest).and_then(|plan| normalize::run(&plan)),
        ["yardsticks", rest @ ..] => end_to_end::Plan::parse(rest).and_then(|plan| end_to_end::yardsticks(&plan)),
        ["end-to-end", rest @ ..] | rest => end_to_end::Plan::parse(rest).and_then(|plan| end_to_end::run(&plan)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("picket-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The value of `--name` as a number.
fn option(arguments: &[&str], name: &str, default: u64) -> anyhow::Result<u64> {
    let Some(at) = arguments.iter().position(|word| *word == name) else { return Ok(default) };
    let value = arguments.get(at + 1).with_context(|| format!("{name} needs a value"))?;
    value.parse().with_context(|| format!("{name} {value} is not a whole number"))
}

/// Refuses what no option of ours is.
fn known(arguments: &[&str], names: &[&str]) -> anyhow::Result<()> {
    for pair in arguments.chunks(2) {
        if !pair.first().is_some_and(|name| names.contains(name)) {
            bail!("{} is not known: {USAGE}", pair.join(" "));
        }
    }
    Ok(())
}

/// Where benches write, emptied.
fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new("target/bench").join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    path.canonicalize().with_context(|| format!("find {}", path.display()))
}
