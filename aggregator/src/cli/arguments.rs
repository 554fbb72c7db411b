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
    /// The folder to make; it must be empty or absent. Without it authority and certificate are made for the configuration that
    /// is there (--config)
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
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
    /// Where these hosts stand in the network, for their events (device.zone) and rules
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
    /// Whose these hosts are, for their events (metadata.tenant_uid)
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// What else is known of these hosts, for their events (metadata.labels); may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<Label>,
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
    /// From when on: 2h (ago), 02:00 (today, UTC), 2026-03-16 or 2026-03-16T09:30:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<When>,
    /// Until when, in the same forms; a window that is over is answered for whole, whenever its frames came
    #[arg(long, value_name = "TIME")]
    pub until: Option<When>,
}

/// What `picket-aggregator fleet` can do; it asks the running aggregator.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Which fleet file is in force, whether a newer one was refused and why, and how many agents run what it says
    Status,
    /// What another fleet file would change for which agents
    Diff(FleetDiffArgs),
}

/// Arguments of `fleet diff`.
#[derive(Debug, Args)]
pub struct FleetDiffArgs {
    /// The other file
    #[arg(long, value_name = "FILE")]
    pub fleet: PathBuf,
}

/// What `picket-aggregator dlq` can do, whether the aggregator runs or not.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// How many events each sink's store refused, since when, and why the last one
    List,
    /// Offer them to the store again, as soon as nothing else is under way to it
    Replay(DlqSinkArgs),
    /// Throw them away
    Purge(DlqSinkArgs),
}

/// Arguments of `dlq replay` and `dlq purge`.
#[derive(Debug, Args)]
pub struct DlqSinkArgs {
    /// The sink, by its name in aggregator.yaml
    #[arg(value_name = "SINK")]
    pub sink: String,
}

/// What `picket-aggregator journal` can do; all but `replay` and `verify --repair` read, whether the aggregator runs or not.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Segments, bytes, positions, cursors
    Stat,
    /// Check every record, chain and seal
    Verify(VerifyArgs),
    /// The seals and the journal's end, to be kept elsewhere for `verify --against`
    Heads,
    /// Raw lines, or frames, out
    Export(ExportArgs),
    /// History through the pipeline again, by the running aggregator, into a store of its own beside a sink's;
    /// without --to: what was replayed
    Replay(ReplayArgs),
}

/// Arguments of `journal replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The sink beside whose store the replay's is made: a lake gets a folder `replay=<id>`
    #[arg(long, value_name = "SINK", conflicts_with = "cancel")]
    pub to: Option<String>,
    /// Only this agent, by id or host name
    #[arg(long, value_name = "AGENT", requires = "to")]
    pub agent: Option<String>,
    /// Only what was received since: 2h (ago), 02:00 (today, UTC), 2026-03-16 or 2026-03-16T09:30:00Z
    #[arg(long, value_name = "TIME", requires = "to")]
    pub since: Option<When>,
    /// Only what was received before
    #[arg(long, value_name = "TIME", requires = "to")]
    pub until: Option<When>,
    /// Do not wait for its end
    #[arg(long, requires = "to")]
    pub detach: bool,
    /// End a running replay; what it has committed stays
    #[arg(long, value_name = "ID")]
    pub cancel: Option<String>,
}

/// Arguments of `journal verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Hold the journal against what `journal heads --output json` (or ndjson) printed earlier; several printouts may
    /// stand in the file. Says of each seal, end and head: intact, altered, removed, cut, elsewhere or retired
    #[arg(long, value_name = "HEADS")]
    pub against: Option<PathBuf>,
    /// Mend first what a start mends, and seal what has no seal; not while the aggregator runs
    #[arg(long)]
    pub repair: bool,
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
    /// Only what was received since: 2h (ago), 02:00 (today, UTC), 2026-03-16 or 2026-03-16T09:30:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<When>,
    /// Only what was received before, in the same forms
    #[arg(long, value_name = "TIME")]
    pub until: Option<When>,
    /// The frames as they were journaled, instead of their lines
    #[arg(long)]
    pub frames: bool,
    /// Into files in this folder, which must be empty or absent, with a manifest: what was asked for, SHA-256 of every
    /// file, ranges and heads of the chains
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Arguments of `normalize`.
#[derive(Debug, Args)]
pub struct NormalizeArgs {
    /// The line format, or a parser of yours; without it each line is looked at
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub format: String,
    /// A file or folder of your own parsers, beside those that the configuration names (with --config)
    #[arg(long, value_name = "PATH")]
    pub parsers: Vec<PathBuf>,
    /// Files of raw lines; none, or `-`: standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Arguments of `match`.
#[derive(Debug, Args)]
pub struct MatchArgs {
    /// A rule (Sigma, or a bare `where`), or a folder of rules; may be repeated
    #[arg(long = "rule", value_name = "FILE", required = true)]
    pub rules: Vec<PathBuf>,
    /// What events are of that are not OCSF: category, product, service; without it they are held against every rule
    #[arg(long, value_name = "KEY=VALUE")]
    pub logsource: Vec<Label>,
    /// A value of a placeholder (`%name%` under `expand`); may be repeated
    #[arg(long = "placeholder", value_name = "NAME=VALUE")]
    pub placeholders: Vec<Label>,
    /// Files of events, one JSON object a line; none, or `-`: standard input
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
pub enum When {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
    /// So many seconds after the last midnight, UTC.
    Today(i64),
}

impl When {
    /// The moment, if it is `now` now.
    #[must_use]
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => Timestamp(now.0.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX))),
            Self::At(then) => then,
            Self::Today(seconds) => Timestamp::from_seconds(now.day() * 86_400 + seconds),
        }
    }
}

impl FromStr for When {
    type Err = BadArgument;

    fn from_str(text: &str) -> Result<Self, BadArgument> {
        if let Some(then) = moment(text) {
            return Ok(Self::At(then));
        }
        if let Some(seconds) = time_of_day(text) {
            return Ok(Self::Today(seconds));
        }
        rule::duration(Duration::ZERO..=Duration::MAX)(text).map(Self::Ago).map_err(|_| {
            let expected =
                "a duration (2h), a time of today (02:00), a day (2026-03-16) or a time (2026-03-16T09:30:00Z)";
            BadArgument(format!("'{}' is not {expected}", Excerpt(text)))
        })
    }
}

/// `YYYY-MM-DD`, or RFC 3339 in UTC: `YYYY-MM-DDThh:mm:ssZ`, without seconds as well.
fn moment(text: &str) -> Option<Timestamp> {
    let (date, seconds) = match text.split_once('T') {
        Some((date, time)) => (date, time_of_day(time.strip_suffix('Z')?)?),
        None => (text, 0),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    let days = days_from_civil(year, month, day);
    let real = (1..=12).contains(&month) && civil_from_days(days) == (year, month, day);
    real.then(|| Timestamp::from_seconds(days * 86_400 + seconds))
}

/// `hh:mm` or `hh:mm:ss` as seconds since midnight.
fn time_of_day(text: &str) -> Option<i64> {
    let [hour, minute, second] = numbers(text, ':', [2, 2, 2]).or_else(|| {
        let [hour, minute] = numbers(text, ':', [2, 2])?;
        Some([hour, minute, 0])
    })?;
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3_600 + minute * 60 + second)
}

/// Numbers of these many digits.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut found = [0; N];
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
            "status",
            "init --dir d --name a --name 127.0.0.1 --listen 0.0.0.0:1 --http 127.0.0.1:2",
            "validate --fleet f --host h --label k=v --label a=b --granted zone=dmz",
            "token create --group web --ttl 1h --uses 3",
            "token list",
            "token revoke abc",
            "agents list",
            "agents show web-1",
            "agents revoke web-1 --reason stolen",
            "gaps --agent a --since 2h",
            "gaps --agent a --since 02:00 --until 2026-03-16T03:00:00Z",
            "journal stat",
            "journal verify",
            "journal verify --against heads.json --repair",
            "journal heads",
            "journal export --agent a --since 2026-03-16 --frames",
            "journal export --agent a --since 02:00 --until 03:00 --frames --out d",
            "journal export --uid 01890a5d-ac96-774b-bcce-b302099a8057-00000000000000ff-high-12.3",
            "journal replay",
            "journal replay --to lake --agent a --since 2h --until 1h --detach",
            "journal replay --cancel 20260316T093000Z",
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
            "journal replay --since 2h",
            "journal replay --to lake --cancel x",
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
        let at = |text: &str| text.parse::<When>().unwrap().moment(now).to_string();
        assert_eq!(at("30m"), "2026-03-16T09:00:00.000Z");
        assert_eq!(at("2026-03-16"), "2026-03-16T00:00:00.000Z");
        assert_eq!(at("2026-03-16T09:30:01Z"), "2026-03-16T09:30:01.000Z");
        assert_eq!(at("2026-03-16T09:30Z"), "2026-03-16T09:30:00.000Z");
        assert_eq!(
            (at("02:00"), at("23:59:59")),
            ("2026-03-16T02:00:00.000Z".into(), "2026-03-16T23:59:59.000Z".into())
        );
        for text in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-03-16T24:00:00Z",
            "2026-03-16T09:30:01",
            "5",
            "-1h",
            "24:00",
            "2:00",
        ] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn labels_have_a_key_and_a_value() {
        assert_eq!("a=b=c".parse(), Ok(Label { key: "a".into(), value: "b=c".into() }));
        assert!("a".parse::<Label>().is_err() && "=b".parse::<Label>().is_err());
    }
}
