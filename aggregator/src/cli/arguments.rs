//! The arguments of the commands, command by command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use shared::identity::EventId;
use shared::printable::Excerpt;
use shared::time::{Timestamp, civil_from_days, days_from_civil};
use shared::yaml::rule;

use crate::ca::token::USES_MAX;

const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to make; it must be empty or absent
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// A name or address under which agents reach this aggregator, for its certificate; may be repeated
    /// [default: the system's host name]
    #[arg(long = "name", value_name = "DNS_OR_IP")]
    pub names: Vec<String>,
    /// Where agents connect [default: 0.0.0.0:7443]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where metrics and health are served [default: 127.0.0.1:7480]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
}

/// Arguments of `validate`.
#[derive(Debug, Default, Args)]
pub struct ValidateArgs {
    /// Check this fleet file; alone, unless --config is given too
    #[arg(long, value_name = "FILE")]
    pub fleet: Option<PathBuf>,
    /// Show what a host of this name would get, with the line that each value came from
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// A label that the host claims; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", requires = "host")]
    pub labels: Vec<Label>,
    /// A label that its token or the roster grants (group, zone, tenant); may be repeated
    #[arg(long = "granted", value_name = "KEY=VALUE", requires = "host")]
    pub granted: Vec<Label>,
}

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// What `picket-aggregator token` can do.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; it alone is printed on stdout
    Create(TokenCreateArgs),
    /// List tokens, never their secrets
    List,
    /// Make a token useless
    Revoke {
        /// Its id, as `token list` shows it
        id: String,
    },
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub struct TokenCreateArgs {
    /// The group of the hosts that enroll with it
    #[arg(long, value_name = "GROUP", default_value = "default", value_parser = group)]
    pub group: String,
    /// How long it can be used: 1m to 365d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = ttl)]
    pub ttl: Duration,
    /// How many hosts may enroll with it: 1 to 10000
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(USES_MAX)))]
    pub uses: u32,
}

/// What `picket-aggregator agents` can do; an agent is named by its id or its host's name.
#[derive(Debug, Subcommand)]
pub enum AgentsCommand {
    /// One row per agent
    List,
    /// All that is known of one
    Show {
        /// The agent
        agent: String,
    },
    /// Refuse its certificate from now on; an open session ends
    Revoke {
        /// The agent
        agent: String,
        /// Why, for whoever asks later
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

/// Arguments of `gaps`.
#[derive(Debug, Args)]
pub struct GapsArgs {
    /// Only this agent, by id or host name
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Only what was received since: 2h (ago), 2026-03-16 or 2026-03-16T09:30:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
}

/// What `picket-aggregator journal` can do; it reads, whether the aggregator runs or not.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Segments, bytes, positions, cursors
    Stat,
    /// Check every record, chain and seal
    Verify,
    /// Raw lines, or frames, out
    Export(ExportArgs),
}

/// Arguments of `journal export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Only the record of this event (`metadata.uid`)
    #[arg(long, value_name = "EVENT")]
    pub uid: Option<EventId>,
    /// Only this agent, by id or host name
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Only what was received since: 2h (ago), 2026-03-16 or 2026-03-16T09:30:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// The frames as they were journaled, instead of their lines
    #[arg(long)]
    pub frames: bool,
}

/// Arguments of `normalize`.
#[derive(Debug, Args)]
pub struct NormalizeArgs {
    /// The line format; without it each line is looked at
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub format: String,
    /// Files of raw lines; none, or `-`: standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// A label on the command line: `key=value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// An argument cannot be read; what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadArgument(String);

impl FromStr for Label {
    type Err = BadArgument;

    fn from_str(text: &str) -> Result<Self, BadArgument> {
        let (key, value) =
            text.split_once('=').ok_or_else(|| BadArgument(format!("'{}' is not key=value", Excerpt(text))))?;
        Ok(Self { key: rule::name(key).map_err(BadArgument)?, value: value.to_owned() })
    }
}

/// A moment on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl Since {
    /// The moment, if it is `now` now.
    #[must_use]
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => Timestamp(now.0.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX))),
            Self::At(then) => then,
        }
    }
}

impl FromStr for Since {
    type Err = BadArgument;

    fn from_str(text: &str) -> Result<Self, BadArgument> {
        if let Some(then) = moment(text) {
            return Ok(Self::At(then));
        }
        rule::duration(Duration::ZERO..=Duration::MAX)(text).map(Self::Ago).map_err(|_| {
            let expected = "a duration (2h), a day (2026-03-16) or a time (2026-03-16T09:30:00Z)";
            BadArgument(format!("'{}' is not {expected}", Excerpt(text)))
        })
    }
}

/// `YYYY-MM-DD`, or RFC 3339 in whole seconds and UTC: `YYYY-MM-DDThh:mm:ssZ`.
fn moment(text: &str) -> Option<Timestamp> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    let days = days_from_civil(year, month, day);
    let real = (1..=12).contains(&month) && civil_from_days(days) == (year, month, day);
    let in_day = hour < 24 && minute < 60 && second < 60;
    (real && in_day).then(|| Timestamp::from_seconds(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// Three numbers of these many digits.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (number, width) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

fn group(text: &str) -> Result<String, BadArgument> {
    rule::name(text).map_err(BadArgument)
}

fn ttl(text: &str) -> Result<Duration, BadArgument> {
    rule::duration(MINUTE..=YEAR)(text).map_err(BadArgument)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, PROGRAM};

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(PROGRAM).chain(line.split_whitespace()))
    }

    #[test]
    fn every_command_of_the_interface_parses() {
        for line in [
            "run",
            "init --dir d --name a --name 127.0.0.1 --listen 0.0.0.0:1 --http 127.0.0.1:2",
            "validate --fleet f --host h --label k=v --label a=b --granted zone=dmz",
            "token create --group web --ttl 1h --uses 3",
            "token list",
            "token revoke abc",
            "agents list",
            "agents show web-1",
            "agents revoke web-1 --reason stolen",
            "gaps --agent a --since 2h",
            "journal stat",
            "journal verify",
            "journal export --agent a --since 2026-03-16 --frames",
            "journal export --uid 01890a5d-ac96-774b-bcce-b302099a8057-00000000000000ff-high-12.3",
            "normalize --format syslog a b -",
            "normalize",
            "completion bash",
        ] {
            for output in ["", " --output json", " -c x.yaml --output ndjson -v"] {
                assert!(parse(&format!("{line}{output}")).is_ok(), "{line}: {:?}", parse(line));
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for line in [
            "init",
            "token",
            "agents",
            "journal",
            "agents show",
            "init --dir d --listen 7443",
            "token create --ttl 1s",
            "token create --ttl 24",
            "token create --uses 0",
            "token create --uses 10001",
            "token create --group a/b",
            "gaps --since yesterday",
            "journal export --uid x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn tokens_last_a_day_and_serve_one_host_by_default() {
        let Command::Token(TokenCommand::Create(arguments)) = parse("token create").unwrap().command else {
            panic!("parsed as something else")
        };
        assert_eq!((arguments.ttl, arguments.uses), (Duration::from_secs(86_400), 1));
    }

    #[test]
    fn moments_are_ages_days_or_utc_times() {
        let now = Timestamp::from_ms(1_773_653_400_000);
        let at = |text: &str| text.parse::<Since>().unwrap().moment(now).to_string();
        assert_eq!(at("30m"), "2026-03-16T09:00:00.000Z");
        assert_eq!(at("2026-03-16"), "2026-03-16T00:00:00.000Z");
        assert_eq!(at("2026-03-16T09:30:01Z"), "2026-03-16T09:30:01.000Z");
        for text in
            ["", "2026-02-29", "2026-13-01", "2026-1-1", "2026-03-16T24:00:00Z", "2026-03-16T09:30:01", "5", "-1h"]
        {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn labels_have_a_key_and_a_value() {
        assert_eq!("a=b=c".parse(), Ok(Label { key: "a".into(), value: "b=c".into() }));
        assert!("a".parse::<Label>().is_err() && "=b".parse::<Label>().is_err());
    }
}
