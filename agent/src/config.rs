//! `agent.yaml` in, a plain [`Config`] out; with it what a local fleet file gives this host.
//!
//! Relative paths are relative to the file that they stand in. All problems of a file are reported together,
//! each with its line. Bounds: 16 aggregators, 64 labels of 256 characters.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use shared::fleet::{AgentConfig, Fleet, HostFacts};
use shared::printable::Excerpt;
use shared::yaml::{Fields, LoadError, Loaded, Origin, Problems, Read, Report, file, rule, tree};

/// Where packages put the file.
pub const DEFAULT_PATH: &str = "/etc/picket/agent.yaml";
/// Where packages keep the agent's state.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/picket-agent";
/// Where packages keep the agent's socket.
pub const DEFAULT_SOCKET: &str = "/run/picket-agent/agent.sock";
/// The spool, below the state folder.
pub const SPOOL_FOLDER: &str = "spool";
/// The port of an aggregator, UDP and TCP.
pub const DEFAULT_PORT: u16 = 7443;

const AGGREGATORS_MAX: usize = 16;
const LABELS_MAX: usize = 64;
const LABEL_CHARS_MAX: usize = 256;
/// RFC 1035 §2.3.4.
const HOSTNAME_CHARS_MAX: usize = 253;

/// What one agent is told on its own host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The aggregators that may take its frames, at most 16; none: the spool fills and nothing is sent.
    pub aggregators: Vec<Endpoint>,
    /// Where keys, certificate and spool lie; default [`DEFAULT_STATE_DIR`].
    pub state_dir: PathBuf,
    /// The unix socket for `status`; default [`DEFAULT_SOCKET`] with the default `state_dir`, else `agent.sock`
    /// in `state_dir`.
    pub socket: PathBuf,
    /// What the host says of itself; at most 64.
    pub labels: BTreeMap<String, String>,
    /// A local fleet file instead of the aggregator's.
    pub fleet: Option<PathBuf>,
    /// The host's name; default: the system's.
    pub hostname: String,
}

impl Config {
    /// Where the spool lies.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.state_dir.join(SPOOL_FOLDER)
    }
}

/// A host (name, IPv4 or IPv6 address) and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// The name or address, without brackets.
    pub host: String,
    /// The port; [`DEFAULT_PORT`] when none is written.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

/// A text is not an endpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not HOST:PORT; write agg1.example.net:7443, 192.0.2.1:7443 or [2001:db8::1]:7443", Excerpt(.0))]
pub struct BadEndpoint(String);

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint(text.to_owned());
        let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, port))) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port.strip_prefix(':')),
            Some(_) => return Err(bad()),
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        if !(1..=HOSTNAME_CHARS_MAX).contains(&host.len()) || !host.bytes().all(named) {
            return Err(bad());
        }
        let port = match port {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().map_err(|_| bad())?,
            Some(_) => return Err(bad()),
            None if text.ends_with(']') || !text.contains(']') => DEFAULT_PORT,
            None => return Err(bad()),
        };
        if port == 0 { Err(bad()) } else { Ok(Self { host: host.to_owned(), port }) }
    }
}

/// Reads `agent.yaml` at `path`.
///
/// # Errors
/// The file cannot be read, or every problem in it.
pub fn load(path: &Path) -> Result<Loaded<Config>, LoadError> {
    let bytes = file::read(path, "name another with --config")?;
    Ok(parse(path, &bytes, &system_hostname())?)
}

/// Reads `agent.yaml`: `path` names it in problems and roots relative paths, `system_hostname` is the
/// default of `hostname`.
///
/// # Errors
/// Every problem of the file.
pub fn parse(path: &Path, bytes: &[u8], system_hostname: &str) -> Result<Loaded<Config>, Problems> {
    let name: Arc<str> = path.display().to_string().into();
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let root = tree::parse(&name, bytes)?;
    Report::new(&name).read(&root, |fields| config(fields, folder, system_hostname))
}

fn config(fields: &mut Fields<'_>, folder: &Path, system_hostname: &str) -> Read<Config> {
    let version = fields.required("version", rule::number(1..=1));
    let endpoint = |text: &str| text.parse::<Endpoint>().map_err(|error| error.to_string());
    let aggregators = fields.list("aggregators", endpoint).map(Option::unwrap_or_default);
    if aggregators.as_ref().is_ok_and(Vec::is_empty) {
        let message = "no aggregators are named: nothing is sent; run picket-agent enroll --aggregator HOST:PORT";
        fields.warn(fields.place(), message.to_owned());
    }
    if aggregators.as_ref().is_ok_and(|all| all.len() > AGGREGATORS_MAX) {
        fields.problem_at("aggregators", format_args!("at most {AGGREGATORS_MAX} aggregators are tried"));
    }
    let state_dir = fields.or("state_dir", DEFAULT_STATE_DIR, rule::path(folder));
    let socket = fields.optional("socket", rule::path(folder));
    let labels = fields.values("labels", rule::text(LABEL_CHARS_MAX));
    if labels.as_ref().is_ok_and(|labels| labels.len() > LABELS_MAX) {
        fields.problem_at("labels", format_args!("at most {LABELS_MAX} labels are kept"));
    }
    let fleet = fields.optional("fleet", rule::path(folder));
    let hostname = fields.optional("hostname", rule::text(HOSTNAME_CHARS_MAX));
    let (state_dir, socket, hostname) = (state_dir?, socket?, hostname?);
    let socket = socket.unwrap_or_else(|| {
        let packaged = state_dir == Path::new(DEFAULT_STATE_DIR);
        let socket = if packaged { PathBuf::from(DEFAULT_SOCKET) } else { state_dir.join("agent.sock") };
        fields.defaulted("socket", socket.display(), Origin::Default);
        socket
    });
    let hostname = hostname.unwrap_or_else(|| {
        fields.defaulted("hostname", system_hostname, Origin::System);
        system_hostname.to_owned()
    });
    version?;
    Ok(Config { aggregators: aggregators?, state_dir, socket, labels: labels?, fleet: fleet?, hostname })
}

/// Reads the local fleet file at `path` and resolves it for the host of `config`. Nothing is granted to a
/// host by a file of its own: all of its labels are claimed.
///
/// # Errors
/// The file cannot be read, or every problem in it.
pub fn load_fleet(path: &Path, config: &Config) -> Result<Loaded<AgentConfig>, LoadError> {
    let bytes = file::read(path, "make it, or leave `fleet` out of agent.yaml")?;
    let fleet = Fleet::parse(&path.display().to_string(), &bytes)?;
    let host =
        HostFacts { hostname: config.hostname.clone(), claimed: config.labels.clone(), granted: BTreeMap::new() };
    Ok(fleet.resolve(&host)?)
}

/// The system's name for this host, as `uname -n` gives it.
#[must_use]
pub fn system_hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Loaded<Config>, String> {
        parse(Path::new("/etc/picket/agent.yaml"), text.as_bytes(), "web-1").map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_file_with_only_a_version_is_all_defaults() {
        let loaded = parsed("version: 1\n").unwrap();
        let config = loaded.config;
        assert_eq!(config.state_dir, Path::new(DEFAULT_STATE_DIR));
        assert_eq!(config.socket, Path::new(DEFAULT_SOCKET));
        assert_eq!((config.hostname.as_str(), config.fleet, config.labels.len()), ("web-1", None, 0));
        assert!(loaded.warnings[0].message.contains("no aggregators"), "{:?}", loaded.warnings);
    }

    #[test]
    fn every_key_is_read_and_relative_paths_are_relative_to_the_file() {
        let text = "version: 1\naggregators: [agg1.example.net, '[2001:db8::1]:17443']\nstate_dir: state\n\
                    labels: { role: web, rack: '7' }\nfleet: fleet.yaml\nhostname: db-1\n";
        let loaded = parsed(text).unwrap();
        let config = &loaded.config;
        let shown: Vec<String> = config.aggregators.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["agg1.example.net:7443", "[2001:db8::1]:17443"]);
        assert_eq!(config.state_dir, Path::new("/etc/picket/state"));
        assert_eq!(config.socket, Path::new("/etc/picket/state/agent.sock"), "not the packaged place");
        assert_eq!(config.fleet.as_deref(), Some(Path::new("/etc/picket/fleet.yaml")));
        assert_eq!((config.hostname.as_str(), config.labels["rack"].as_str()), ("db-1", "7"));
        let origin = |path: &str| loaded.settings.iter().find(|s| s.path == path).unwrap().origin.to_string();
        assert_eq!(origin("labels.role"), "/etc/picket/agent.yaml:4:17");
        assert_eq!(origin("socket"), "default");
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn five_mistakes_are_five_problems() {
        let text =
            "version: 3\naggregator: [a]\naggregators: ['a:b:c', 'http://x']\nlabels: { '': x }\nhostname: [x]\n";
        assert_eq!(
            parsed(text).unwrap_err(),
            "/etc/picket/agent.yaml:1:10: version: '3' is out of range; 1 to 1 is allowed\n\
             /etc/picket/agent.yaml:2:1: unknown key 'aggregator'; did you mean 'aggregators'?\n\
             /etc/picket/agent.yaml:3:15: aggregators: 'a:b:c' is not HOST:PORT; write agg1.example.net:7443, \
             192.0.2.1:7443 or [2001:db8::1]:7443\n\
             /etc/picket/agent.yaml:3:24: aggregators: 'http://x' is not HOST:PORT; write agg1.example.net:7443, \
             192.0.2.1:7443 or [2001:db8::1]:7443\n\
             /etc/picket/agent.yaml:4:11: key of labels: '' is not a name (1 to 64 letters, digits, '_', '-', '.', \
             not first a dot)\n\
             /etc/picket/agent.yaml:5:11: hostname: a single value is expected, found a list"
        );
    }

    #[test]
    fn endpoints_are_names_or_addresses_with_a_port() {
        for (text, host, port) in [
            ("a", "a", DEFAULT_PORT),
            ("a:1", "a", 1),
            ("192.0.2.1:65535", "192.0.2.1", 65_535),
            ("[::1]:7", "::1", 7),
            ("[::1]", "::1", DEFAULT_PORT),
            ("::1", "::1", DEFAULT_PORT),
        ] {
            assert_eq!(text.parse(), Ok(Endpoint { host: host.into(), port }), "{text}");
        }
        for text in
            ["", ":1", "a:", "a:0", "a:65536", "a:+1", "a b:1", "[::1", "[::1]7", "[a]:1", "[]:1", "a:1:2", "é:1"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_of_an_endpoint_reads_back() {
        for text in ["a:1", "192.0.2.1:7443", "[2001:db8::1]:7443"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn any_one_byte_changed_is_read_or_refused_with_a_line() {
        let text = b"version: 1\naggregators: [a:1, '[::1]:2']\nlabels: { role: web }\nhostname: h\nfleet: f.yaml\n";
        for at in 0..text.len() {
            for byte in *b"\0\t\n '\"#&*-:?[]{}|>%!\xff" {
                let mut edited = text.to_vec();
                edited[at] = byte;
                if let Err(problems) = parse(Path::new("a.yaml"), &edited, "h") {
                    let all = problems.listed();
                    assert!(
                        !all.is_empty() && all.iter().all(|problem| problem.place.line >= 1),
                        "{at} {byte}: {problems}"
                    );
                }
            }
        }
    }
}
