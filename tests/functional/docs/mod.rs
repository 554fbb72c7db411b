//! The pages tell the truth: every command in them runs, on a machine of its own, in the order of its page, and prints what the
//! page shows; every YAML block is one that `validate` takes.
//!
//! A block of language `text` is a session: lines behind `$ ` are typed, the others are printed, and the first word of each has to
//! begin a line of what was printed, in their order; `…` stands for anything, and a word with a digit for any other such. A YAML block whose first line is `# file.yaml` is written there. What is not run
//! here stands in [`known::KNOWN`] with the reason; a command that nobody knows fails the test.

mod known;
mod page;
mod world;
mod yaml;

use std::path::{Path, PathBuf};

use aggregator::cli::Cli as AggregatorCli;
use anyhow::{Context, ensure};
use clap::Parser as _;
use picket_tests::harness::{Process, skip};

use known::{How, KNOWN, how};
use page::{Command, Step, calls, pages, steps};
use world::World;

/// What is there before the first command of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// The programs.
    Programs,
    /// What packages install.
    Packages,
    /// Both services, this host enrolled, some of its lines in the lake.
    Running,
}

/// Pages whose commands run here. All others have only commands that are run elsewhere.
const FOLLOWED: [(&str, Begin); 12] = [
    ("README.md", Begin::Programs),
    ("docs/install.md", Begin::Packages),
    ("docs/enroll.md", Begin::Running),
    ("docs/configure.md", Begin::Running),
    ("docs/fleet.md", Begin::Running),
    ("docs/search.md", Begin::Running),
    ("docs/operate.md", Begin::Running),
    ("docs/decisions/0002-seals.md", Begin::Running),
    ("docs/troubleshoot.md", Begin::Running),
    ("docs/extend.md", Begin::Running),
    ("docs/matching.md", Begin::Running),
    ("docs/reducing.md", Begin::Running),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What makes a machine that runs.
fn set_up(world: &World, begin: Begin) -> anyhow::Result<()> {
    if begin == Begin::Programs {
        return Ok(());
    }
    world.install()?;
    if begin == Begin::Packages {
        return Ok(());
    }
    for command in [
        "picket-aggregator init --name agg1.example.net",
        "systemctl start picket-aggregator",
        "picket-aggregator token create --group web > first-token",
        "picket-agent enroll --aggregator agg1.example.net:7443 --token-file first-token",
        "systemctl start picket-agent",
    ] {
        world.must(command)?;
    }
    world.await_well("ls -d /var/lib/picket-aggregator/lake/class=authentication/*/*.parquet")
}

/// Whether a printed line begins as the page shows.
fn is_of_the_shape(printed: &str, shown: &str) -> bool {
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let (printed, shown) = (first(printed), first(shown));
    let has_digit = |word: &str| word.contains(|c: char| c.is_ascii_digit());
    match shown.split_once('…') {
        Some((begin, _)) => printed.starts_with(begin),
        None => printed == shown || has_digit(&printed) && has_digit(&shown),
    }
}

/// Runs a command of a page, and holds what the page shows against what it prints.
fn carry_out(world: &World, command: &Command, services: &mut Vec<Process>) -> anyhow::Result<()> {
    let (_, how) = how(&command.text).context("nobody knows this command: tests/functional/docs/known.rs")?;
    match how {
        How::Elsewhere { .. } => return Ok(()),
        How::GoesOn(ready) => {
            services.push(world.start(&command.text)?);
            return world.await_well(ready);
        }
        How::After(condition) => world.await_well(condition)?,
        How::Ends | How::Makes(_) => {}
    }
    let output = world.run(&command.text)?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // A page that shows how something fails ends its session with the exit code.
    let expected = command.shown.iter().find_map(|line| line.strip_prefix("exit code ")?.parse().ok()).unwrap_or(0);
    ensure!(output.status.code() == Some(expected), "it ended with {}, not {expected}: {said}", output.status);
    let mut printed = said.lines();
    for shown in command.shown.iter().filter(|line| !line.trim().is_empty() && !line.starts_with("exit code ")) {
        let is_there = shown.starts_with('…') || printed.any(|line| is_of_the_shape(line, shown));
        ensure!(is_there, "the page shows `{shown}`, and it prints:\n{said}");
    }
    if let How::Makes(config) = how {
        world.hasten(config)?;
    }
    Ok(())
}

/// Does what a page says, in its order.
fn follow(page: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root().join(page)).with_context(|| page.to_owned())?;
    let steps = steps(&text)?;
    let asks_duckdb = |step: &Step| matches!(step, Step::Run(command) if command.text.starts_with("duckdb"));
    if steps.iter().any(asks_duckdb) && world::duckdb().is_none() {
        skip("no duckdb");
        return Ok(());
    }
    let name = page.trim_end_matches(".md").replace('/', "-");
    let Some(world) = World::make(&name)? else { return Ok(()) };
    let begin = FOLLOWED.iter().find(|(known, _)| *known == page).map(|(_, begin)| *begin);
    set_up(&world, begin.context("it stands in FOLLOWED")?)?;
    let mut services = Vec::new();
    for step in &steps {
        match step {
            Step::Run(command) => carry_out(&world, command, &mut services)
                .with_context(|| format!("{page}:{}: `{}`", command.line, command.text))?,
            Step::Yaml(block) => {
                if let Some(path) = block.path() {
                    world.write(path, &block.text)?;
                }
            }
        }
    }
    drop(services);
    world.done();
    Ok(())
}

#[test]
fn readme_is_true() -> anyhow::Result<()> {
    follow("README.md")
}

#[test]
fn page_of_installing_is_true() -> anyhow::Result<()> {
    follow("docs/install.md")
}

#[test]
fn page_of_enrolling_is_true() -> anyhow::Result<()> {
    follow("docs/enroll.md")
}

#[test]
fn pages_of_configuring_are_true() -> anyhow::Result<()> {
    follow("docs/configure.md")?;
    follow("docs/fleet.md")
}

#[test]
fn page_of_searching_is_true() -> anyhow::Result<()> {
    follow("docs/search.md")
}

#[test]
fn page_of_operating_is_true() -> anyhow::Result<()> {
    follow("docs/operate.md")?;
    follow("docs/decisions/0002-seals.md")
}

#[test]
fn page_of_troubles_is_true() -> anyhow::Result<()> {
    follow("docs/troubleshoot.md")
}

#[test]
fn pages_of_extending_are_true() -> anyhow::Result<()> {
    follow("docs/extend.md")?;
    follow("docs/matching.md")?;
    follow("docs/reducing.md")
}

#[test]
fn every_command_of_every_page_is_known_and_run_somewhere() -> anyhow::Result<()> {
    let (mut count, mut used) = (0, vec![false; KNOWN.len() + 1]);
    for (page, text) in pages(&root())? {
        let is_followed = FOLLOWED.iter().any(|(known, _)| *known == page);
        for step in steps(&text).with_context(|| page.clone())? {
            let Step::Run(command) = step else { continue };
            let place = format!("{page}:{}: `{}`", command.line, command.text);
            let (at, how) = how(&command.text).with_context(|| format!("{place}: nobody knows this command"))?;
            let elsewhere = matches!(how, How::Elsewhere { .. });
            ensure!(elsewhere || is_followed, "{place}: no test follows this page");
            used[at] = true;
            count += 1;
        }
    }
    for ((begin, how), used) in KNOWN.iter().zip(&used) {
        ensure!(*used, "`{begin}` ({how:?}) stands in no page any more");
    }
    for (begin, how) in &KNOWN {
        if let How::Elsewhere { by, .. } = how {
            ensure!(root().join(by).exists(), "`{begin}`: {by} is not there");
        }
    }
    ensure!(count > 80, "only {count} commands were found");
    Ok(())
}

#[test]
fn every_call_between_backticks_parses() -> anyhow::Result<()> {
    let mut count = 0;
    for (page, text) in pages(&root())? {
        for call in calls(&text) {
            // `token create …` and `status|show` stand for several.
            if call.contains(['…', '|', '[']) {
                continue;
            }
            let words = call.split_whitespace();
            let refused = match call.starts_with("picket-agent ") {
                true => agent::cli::Cli::try_parse_from(words).err(),
                false => AggregatorCli::try_parse_from(words).err(),
            };
            // A family of commands, e.g. `picket-aggregator journal`, asks for the next word.
            let refused = refused.filter(|error| {
                use clap::error::ErrorKind::{
                    DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand,
                };
                let unfinished = [DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand];
                error.use_stderr() && !unfinished.contains(&error.kind())
            });
            let refused = refused.map(|error| error.to_string());
            ensure!(refused.is_none(), "{page}: `{call}`: {}", refused.unwrap_or_default());
            count += 1;
        }
    }
    ensure!(count > 30, "only {count} calls were found");
    Ok(())
}
