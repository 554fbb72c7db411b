//! `cargo xtask`: what a developer runs. One file per command.

mod bench;
mod demo;
mod fuzz;
mod install;
mod mutate;
mod package;
mod release;
mod test;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use xtask::corpus::Corpus;
use xtask::{Failure, Naming, Result};

const HELP: &str = "\
cargo xtask COMMAND

  demo [--seconds N]       both programs on this machine: its logs, packets and state, live, into a Parquet lake; Ctrl-C ends it
  test                     installs what is missing, then formats, lints, docs and all tests; what .ci/run calls
  bench [end-to-end] [--mib N] [--runs N] [--seed S]
                           one agent and one aggregator at full speed, beside zstd and rsyslog
  bench yardsticks [same]  zstd and rsyslog alone
  bench normalize [--lake] [--from FOLDER] [same]
                           zstd alone, and opening frames and normalizing their lines, in one process; and filling a lake;
                           of the .log files below a folder instead of generated lines
  bench layout             payload in sled or in segment files: disk, memory, throughput
  bench log [--commits] [--mib N] [--runs N]
                           the log beside write + fdatasync and cat: commits, bytes written, memory, opening
  bench packets [--mib N] [--runs N]
                           packets of a file beside tshark: decoding, tables of flows
  bench packets --live [--mib N] [--seconds S]
                           packets of an interface at 300 Mbit/s, and a flood; installs tcpreplay
  bench host [--seconds S] [--files N]
                           the state of this host at an interval of a minute, and the integrity of 100,000 files
  bench matcher [--runs N] [--seed S]
                           1,000 predicates beside 10; all of SigmaHQ's rules on the golden events
  corpus --seed S --mib N [--out FILE]
                           log lines of real shapes, the same for the same seed; to stdout unless told
  fuzz [TARGET] [--seconds N]
                           hostile bytes for every decoder, or for one, N seconds each; needs cargo-fuzz (docs/FUZZING.md)
  mutate [--fault TEXT]    breaks one promise of durability at a time in a copy, and asks whether a test notices
  package [--out DIR] [--programs DIR] [--version V]
                           both programs as .deb and .rpm in target/package, built as they are shipped; sizes, symbols, lints
  profile                  counts anew what release builds are laid out by (packaging/llvm-22.profdata); installs llvm-22
  --help                   this
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo", rest @ ..] => demo::run(rest),
        [demo::SCREEN, rest @ ..] => demo::screen(rest),
        ["test"] => test::run(),
        ["bench", rest @ ..] => bench::run(rest),
        ["corpus", rest @ ..] => corpus(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["package", rest @ ..] => package::run(rest),
        ["profile", rest @ ..] => release::profile(rest),
        ["mutate", rest @ ..] => mutate::run(rest),
        ["--help" | "-h" | "help"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// `corpus --seed S --mib N [--out FILE]`.
fn corpus(arguments: &[&str]) -> Result<()> {
    let [seed, mib, out] = options(arguments, ["--seed", "--mib", "--out"])?;
    let needs = || Failure::new("corpus needs --seed S and --mib N");
    let (seed, mib) = (number(seed.ok_or_else(needs)?)?, number(mib.ok_or_else(needs)?)?);
    let bytes = mib.saturating_mul(1 << 20);
    let mut corpus = Corpus::new(seed);
    let Some(out) = out else {
        let mut sink = BufWriter::new(io::stdout().lock());
        corpus.write(&mut sink, bytes).and_then(|_| sink.flush()).naming("write to stdout")?;
        return Ok(());
    };
    let mut sink = File::create(out).naming(out)?;
    let (bytes, lines) = corpus.write(&mut sink, bytes).naming(out)?;
    eprintln!("{out}: {bytes} bytes, {lines} lines of seed {seed}");
    Ok(())
}

/// The values of the options that a command knows, in the order of `known`.
fn options<'a, const N: usize>(arguments: &[&'a str], known: [&str; N]) -> Result<[Option<&'a str>; N]> {
    let mut values = [None; N];
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let place = known.iter().position(|name| name == option).and_then(|at| values.get_mut(at));
        let place = place.ok_or_else(|| Failure::new(format!("unknown option {option}: see cargo xtask --help")))?;
        *place = Some(*rest.next().ok_or_else(|| Failure::new(format!("{option} needs a value")))?);
    }
    Ok(values)
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Failure::new(format!("{text} is not a whole number")))
}

/// The workspace's folder.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// cargo, in the workspace.
fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(root());
    cargo
}

/// Runs a command to its end with its output shown.
fn show(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().naming(&name)?;
    if status.success() {
        return Ok(());
    }
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    Err(Failure::new(format!("`{name} {}` ended with {status}", words.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_in_any_order_and_an_unknown_one_is_named() {
        assert_eq!(
            options(&["--mib", "2", "--seed", "7"], ["--seed", "--mib", "--out"]).unwrap(),
            [Some("7"), Some("2"), None]
        );
        assert!(options(&["--sed", "7"], ["--seed"]).unwrap_err().to_string().contains("--sed"));
        assert!(options(&["--seed"], ["--seed"]).unwrap_err().to_string().contains("needs a value"));
    }
}
