//! `picket-pages DIR`: man pages and completions of both programs, from the definitions of their command lines.
//!
//! Out: `DIR/<program>/man/<program>[-<command>…].1`, `DIR/<program>/completions/<program>.{bash,zsh,fish}`. A page per command,
//! so that `man picket-agent-enroll` says what `picket-agent enroll --help` says.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// Where shells look for a completion under another name than ours, packages know.
const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")];

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).context("picket-pages DIR")?;
    write(Path::new(&folder), agent::cli::Cli::command())?;
    write(Path::new(&folder), aggregator::cli::Cli::command())
}

fn write(folder: &Path, mut command: Command) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let (man, completions) = (folder.join(&name).join("man"), folder.join(&name).join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    for (shell, ending) in SHELLS {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, &name, &mut script);
        fs::write(completions.join(format!("{name}.{ending}")), script)?;
    }
    command.build();
    page(&man, &name, &command)
}

/// The page of a command, and of all below it.
fn page(folder: &Path, name: &str, command: &Command) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).manual("Picket").render(&mut text)?;
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    let mut below = command.get_subcommands().filter(|below| below.get_name() != "help");
    below.try_for_each(|below| page(folder, &format!("{name}-{}", below.get_name()), below))
}
