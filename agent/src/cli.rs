//! The command line of `picket-agent`: arguments in, one function of [`crate::command`] called, an exit code
//! out.
//!
//! Options stand before or after the command. Exit codes are those of `sysexits.h` ([`Reason`]); what the
//! parser refuses is 64.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use shared::exit::{Exit, Reason};
use shared::identity::Lane;
use shared::logging::{self, BadLogging, Format};
use shared::table::Output;
use tracing::level_filters::LevelFilter;

use crate::app;
use crate::command;
use crate::config::{self, Endpoint};

/// The program's name in messages.
pub const PROGRAM: &str = "picket-agent";
/// What `--version` says after the name.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("PICKET_COMMIT"), ")");
/// The light daemon that sees, keeps and streams.
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
    /// The configuration file [default: /etc/picket/agent.yaml]
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
    #[arg(long, global = true, value_name = "FORM", default_value = "table")]
    pub output: OutputForm,
}

/// The words of `--output`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OutputForm {
    /// Aligned columns for people
    Table,
    /// One array of objects
    Json,
    /// One object a line
    Ndjson,
    /// Metrics in Prometheus text form (status only)
    Prometheus,
}

/// What `picket-agent` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read, keep and stream until a signal
    Run,
    /// Make this host an agent: get its certificate with a token, write agent.yaml where there is none
    Enroll(EnrollArgs),
    /// Check configuration, fleet file, certificate, spool, files: every problem, not the first
    Validate,
    /// How the running agent is: whether it is well, and if not, what to do
    Status,
    /// Look into the spool, offline and read-only
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// What the file source would read of these files, once, as NDJSON
    Read(ReadArgs),
    /// The network records of capture files (pcap, pcapng), as NDJSON
    Pcap(PcapArgs),
    /// The state of this host, once, as NDJSON
    Host(HostArgs),
    /// The effective configuration, and how it differs from the defaults
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a shell's completion script
    Completion(CompletionArgs),
}

/// What `picket-agent config` can do.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every value in force and where it came from
    Show,
    /// The values that somebody set to something else than their defaults, and who did
    Diff,
}

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Arguments of `enroll`; their debug form does not show the token.
#[derive(Args)]
pub struct EnrollArgs {
    /// The aggregator that issued the token
    #[arg(long, value_name = "HOST:PORT")]
    pub aggregator: Endpoint,
    /// The file that holds the token; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// The token itself; every user of this host can see it in the process list, a file is better
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Where keys and spool will lie, for a host without agent.yaml [default: /var/lib/picket-agent]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

impl fmt::Debug for EnrollArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "(not shown)");
        let mut args = f.debug_struct("EnrollArgs");
        args.field("aggregator", &self.aggregator).field("token_file", &self.token_file).field("token", &token);
        args.field("state_dir", &self.state_dir).finish()
    }
}

/// What `picket-agent spool` can do; offline and read-only.
#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// Bytes, frames, books and acks by lane, as the files have them: `status` knows the acks of the last seconds
    Stat,
    /// One row per frame
    Ls(LaneArgs),
    /// The records of the frames, as NDJSON
    Dump(LaneArgs),
    /// Read everything and check checksums and chains
    Verify(SpoolVerifyArgs),
}

/// Which lanes a command looks at.
#[derive(Debug, Args)]
pub struct LaneArgs {
    /// Only this lane (high, normal, bulk)
    #[arg(long)]
    pub lane: Option<Lane>,
}

/// Arguments of `spool verify`.
#[derive(Debug, Default, Args)]
pub struct SpoolVerifyArgs {
    /// Make the index anew from the segments first; not while the agent runs
    #[arg(long)]
    pub repair: bool,
}

/// Arguments of `read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The files, read once from their beginning
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Arguments of `host`.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Only this table; more than once for several
    #[arg(long = "table", value_name = "NAME")]
    pub tables: Vec<String>,
    /// Leave the hashes of programs away
    #[arg(long)]
    pub no_hash: bool,
}

/// Arguments of `pcap`.
#[derive(Debug, Args)]
pub struct PcapArgs {
    /// The capture files, each on its own
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

impl Options {
    /// The configuration file.
    #[must_use]
    pub fn config_path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(config::DEFAULT_PATH))
    }

    /// The form of rows.
    ///
    /// # Errors
    /// Exit code 64 for `prometheus`, which only `status` has.
    pub fn rows(&self) -> Result<Output, Exit> {
        match self.output {
            OutputForm::Table => Ok(Output::Table),
            OutputForm::Json => Ok(Output::Json),
            OutputForm::Ndjson => Ok(Output::Ndjson),
            OutputForm::Prometheus => {
                Err(Exit::new(Reason::Usage, "--output prometheus is for status; here: table, json, ndjson"))
            }
        }
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
    match &cli.command {
        Command::Run => app::run(options.config_path()),
        Command::Enroll(arguments) => command::enroll::run(options, arguments, stdout()),
        Command::Validate => command::validate::run(options, stdout()),
        Command::Status => command::status::run(options, stdout()),
        Command::Spool(command) => command::spool::run(options, command, stdout()),
        Command::Read(arguments) => command::read::run(options, arguments, stdout()),
        Command::Host(arguments) => command::host::run(options, arguments, stdout()),
        Command::Pcap(arguments) => command::pcap::run(options, arguments, stdout()),
        Command::Config(ConfigCommand::Show) => command::config::show(options, stdout()),
        Command::Config(ConfigCommand::Diff) => command::config::diff(options, stdout()),
        Command::Completion(arguments) => command::completion::run(arguments, stdout()),
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
            "-c /x.yaml -vv -q --log-format json --output ndjson config show",
            "config show -c /x.yaml -vv -q --log-format json --output ndjson",
            "-c /x.yaml config -vv -q show --log-format json --output ndjson",
        ] {
            let options = parse(line).unwrap().options;
            assert_eq!(options.config_path(), Path::new("/x.yaml"), "{line}");
            assert_eq!((options.verbose, options.quiet, options.log_format), (2, 1, Format::Json), "{line}");
            assert_eq!(options.rows().unwrap(), Output::Ndjson, "{line}");
        }
        let options = parse("validate").unwrap().options;
        assert_eq!(options.config_path(), Path::new(config::DEFAULT_PATH));
    }

    #[test]
    fn a_wrong_command_line_is_64_and_help_is_not_a_failure() {
        let code =
            |line: &str| format!("{:?}", main(format!("{PROGRAM} {line}").split_whitespace().map(OsString::from)));
        for line in ["", "nonsense", "validate --nonsense", "--output xml validate", "completion"] {
            assert_eq!(code(line), format!("{:?}", ExitCode::from(64)), "{line}");
        }
        for line in ["--help", "--version", "help config", "config show --help", "config diff --help"] {
            assert_eq!(code(line), format!("{:?}", ExitCode::SUCCESS), "{line}");
        }
    }

    #[test]
    fn prometheus_is_for_status_only() {
        let options = parse("validate --output prometheus").unwrap().options;
        assert_eq!(options.rows().unwrap_err().reason, Reason::Usage);
    }

    #[test]
    fn the_version_names_the_commit() {
        let text = parse("--version").unwrap_err().to_string();
        assert_eq!(text, format!("{PROGRAM} {VERSION}\n"));
        assert!(VERSION.ends_with(')') && !VERSION.contains("()"), "{VERSION}");
    }

    #[test]
    fn the_arguments_of_the_interface_parse() {
        for (line, right) in [
            ("enroll --aggregator agg1:7443 --token-file -", true),
            ("enroll --aggregator [::1]:7443 --token picket1.x", true),
            ("enroll --aggregator agg1", true),
            ("enroll", false),
            ("enroll --aggregator http://agg1", false),
            ("enroll --aggregator agg1 --token picket1.x --token-file f", false),
            ("spool ls --lane high", true),
            ("spool dump --lane top", false),
            ("spool verify", true),
            ("status --output prometheus", true),
            ("enroll --aggregator agg1 --state-dir /x", true),
            ("read a b", true),
            ("read", false),
        ] {
            let parsed = parse(line);
            assert_eq!(parsed.is_ok(), right, "{line}: {parsed:?}");
            assert!(!right || !format!("{parsed:?}").contains("picket1"), "a secret is never shown");
        }
    }
}
