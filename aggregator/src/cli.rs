//! The command line of `picket-aggregator`: arguments in, one function of [`crate::command`] called, an exit
//! code out.
//!
//! Options stand before or after the command. Exit codes are those of `sysexits.h` ([`Reason`]); what the
//! parser refuses is 64.

mod arguments;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use shared::exit::{Exit, Reason};
use shared::logging::{self, BadLogging, Format};
use shared::table::Output;
use shared::time::{Clock, Timestamp};
use tracing::level_filters::LevelFilter;

pub use arguments::{
    AgentsCommand, CompletionArgs, DlqCommand, DlqSinkArgs, ExportArgs, FleetCommand, FleetDiffArgs, GapsArgs,
    InitArgs, JournalCommand, Label, MatchArgs, NormalizeArgs, ReplayArgs, TokenCommand, TokenCreateArgs, ValidateArgs,
    VerifyArgs, When,
};

use crate::command;
use crate::config;

/// The program's name in messages.
pub const PROGRAM: &str = "picket-aggregator";
/// What `--version` says after the name.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("PICKET_COMMIT"), ")");

/// Journals, normalizes, reduces and forwards what agents saw.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version = VERSION, about, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command, before or after it.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The configuration file [default: /etc/picket/aggregator.yaml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log more; twice for still more (PICKET_LOG=debug sets a level by name)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Log less; twice for still less
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,
    /// The form of log lines, on stderr
    #[arg(long, global = true, value_name = "FORM", default_value = "text",
          value_parser = PossibleValuesParser::new(Format::NAMES).try_map(|name| name.parse::<Format>()))]
    pub log_format: Format,
    /// The form of what a reading command prints
    #[arg(long, global = true, value_name = "FORM", default_value = "table",
          value_parser = PossibleValuesParser::new(Output::NAMES).try_map(|name| name.parse::<Output>()))]
    pub output: Output,
}

/// What `picket-aggregator` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive, journal and forward until a signal
    Run,
    /// How the running aggregator is: whether it is well, and if not, what to do
    Status,
    /// Make a folder from which an aggregator runs as it is: authority, certificate, configuration
    Init(InitArgs),
    /// Tokens with which hosts enroll
    #[command(subcommand)]
    Token(TokenCommand),
    /// The agents of this aggregator
    #[command(subcommand)]
    Agents(AgentsCommand),
    /// The fleet file: what is in force, what another would change
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// What was received, and what was lost, is missing or has fallen silent
    Gaps(GapsArgs),
    /// The evidence: how large it is, whether it is whole, what stands in it
    #[command(subcommand)]
    Journal(JournalCommand),
    /// What the running aggregator dropped, redacted and merged, by rule
    Reduction,
    /// Events that a sink's store refused: list, offer again, throw away
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Raw lines in, OCSF events out (NDJSON)
    Normalize(NormalizeArgs),
    /// Events in (NDJSON), those out that a Sigma rule takes
    Match(MatchArgs),
    /// Check configuration, fleet file, state folder: every problem, not the first
    Validate(ValidateArgs),
    /// Print a shell's completion script
    Completion(CompletionArgs),
}

impl Options {
    /// The configuration file.
    #[must_use]
    pub fn config_path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(config::DEFAULT_PATH))
    }

    fn start_logging(&self, default: LevelFilter) -> Result<(), BadLogging> {
        let variable = std::env::var(logging::LEVEL_VARIABLE).ok();
        let level = logging::level(default, variable.as_deref(), self.verbose, self.quiet)?;
        logging::start(level, self.log_format)
    }
}

/// The whole program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Exit::conclude(PROGRAM, run(&cli)),
        Err(refusal) => {
            // Help and version are asked for; a closed terminal is nobody's problem.
            let _ = refusal.print();
            if refusal.use_stderr() { ExitCode::from(Reason::Usage as u8) } else { ExitCode::SUCCESS }
        }
    }
}

/// Does what the command line says.
///
/// # Errors
/// The command's, with its exit code.
pub fn run(cli: &Cli) -> Result<(), Exit> {
    let options = &cli.options;
    let level = if matches!(cli.command, Command::Run) { LevelFilter::INFO } else { LevelFilter::WARN };
    options.start_logging(level).map_err(|error| Exit::new(Reason::Usage, error))?;
    dispatch(cli, Clock::System.now(), stdout())
}

/// Calls the command; `out` is what it prints to, `now` what it takes for the time.
pub(crate) fn dispatch(cli: &Cli, now: Timestamp, out: impl io::Write) -> Result<(), Exit> {
    let options = &cli.options;
    match &cli.command {
        Command::Run => {
            drop(out);
            command::run::run(options)
        }
        Command::Init(arguments) => {
            command::init::run(options.config_path(), arguments, &command::init::hostname(), now, io::stderr())
        }
        Command::Status => command::status::run(options, now, out),
        Command::Token(action) => command::token::run(options, action, now, out),
        Command::Agents(action) => command::agents::run(options, action, now, out),
        Command::Fleet(action) => command::fleet::run(options, action, out),
        Command::Gaps(arguments) => command::gaps::run(options, arguments, now, out),
        Command::Journal(action) => command::journal::run(options, action, now, out),
        Command::Reduction => command::reduction::run(options, out),
        Command::Dlq(action) => command::dlq::run(options, action, out),
        Command::Normalize(arguments) => {
            let configuration = options.config.as_deref();
            command::normalize::run(configuration, arguments, now, io::stdin().lock(), out)
        }
        Command::Match(arguments) => command::matching::run(arguments, io::stdin().lock(), out),
        Command::Validate(arguments) => command::validate::run(options, arguments, now, out),
        Command::Completion(arguments) => command::completion::run(arguments, out),
    }
}

/// Standard output for a command that prints: it must be flushed at the end.
fn stdout() -> impl io::Write {
    io::BufWriter::new(io::stdout().lock())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(PROGRAM).chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for line in [
            "-c /x.yaml -v --log-format json --output ndjson validate",
            "validate -c /x.yaml -v --log-format json --output ndjson",
        ] {
            let options = parse(line).unwrap().options;
            assert_eq!(options.config_path(), Path::new("/x.yaml"), "{line}");
            assert_eq!(
                (options.verbose, options.log_format, options.output),
                (1, Format::Json, Output::Ndjson),
                "{line}"
            );
        }
    }

    #[test]
    fn a_wrong_command_line_is_64_and_help_is_not_a_failure() {
        let code =
            |line: &str| format!("{:?}", main(format!("{PROGRAM} {line}").split_whitespace().map(OsString::from)));
        for line in ["", "nonsense", "validate --nonsense", "--output prometheus validate", "validate --label x"] {
            assert_eq!(code(line), format!("{:?}", ExitCode::from(64)), "{line}");
        }
        for line in ["--help", "--version", "validate --help"] {
            assert_eq!(code(line), format!("{:?}", ExitCode::SUCCESS), "{line}");
        }
    }

    #[test]
    fn the_version_names_the_commit() {
        assert_eq!(parse("--version").unwrap_err().to_string(), format!("{PROGRAM} {VERSION}\n"));
        assert!(VERSION.ends_with(')') && !VERSION.contains("()"), "{VERSION}");
    }
}
