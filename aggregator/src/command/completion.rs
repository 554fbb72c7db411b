//! `completion SHELL`: the script that a shell sources to complete this program's command line.

use std::io::Write;

use clap::CommandFactory;
use shared::exit::Exit;

use crate::cli::{Cli, CompletionArgs, PROGRAM};

/// Prints the script.
///
/// # Errors
/// The writer's.
pub fn run(arguments: &CompletionArgs, mut out: impl Write) -> Result<(), Exit> {
    // Made in memory first: the generator panics on a writer that fails.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), PROGRAM, &mut script);
    Ok(out.write_all(&script).and_then(|()| out.flush())?)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        for shell in clap_complete::Shell::value_variants() {
            let mut out = Vec::new();
            run(&CompletionArgs { shell: *shell }, &mut out).unwrap();
            let script = String::from_utf8(out).unwrap();
            assert!(script.contains("validate") && script.contains(PROGRAM), "{shell}");
        }
    }
}
