//! `aggregator.yaml` in, a plain [`Config`] out.
//!
//! Relative paths are relative to the file. All problems are reported together, each with its line. Keys of
//! later versions (`reduce`, `where`, other sinks) are refused by name and not passed over: an event that
//! was to be dropped or redacted must not reach a store because the version is too old.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shared::fleet::Fleet;
use shared::yaml::{Fields, LoadError, Loaded, Origin, Problems, Read, Report, file, rule, tree};

/// Where packages put the file.
pub const DEFAULT_PATH: &str = "/etc/picket/aggregator.yaml";
/// Where packages keep the aggregator's state.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/picket-aggregator";
/// Where packages keep the aggregator's socket.
pub const DEFAULT_SOCKET: &str = "/run/picket-aggregator/admin.sock";
/// Where agents connect.
pub const DEFAULT_LISTEN: &str = "0.0.0.0:7443";
/// Where `/metrics`, `/healthz` and `/readyz` are served.
pub const DEFAULT_HTTP: &str = "127.0.0.1:7480";

/// The smallest journal: one segment of 128 MiB to write and one in reserve.
pub const JOURNAL_BYTES_MIN: u64 = 256 << 20;
/// The largest journal.
pub const JOURNAL_BYTES_MAX: u64 = 1 << 50;

/// The sink types.
const SINK_TYPES: [(&str, ()); 1] = [("parquet", ())];
/// What one file may have of each.
const SINKS_MAX: usize = 64;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// What an aggregator is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where agents connect, UDP and TCP; default [`DEFAULT_LISTEN`].
    pub listen: SocketAddr,
    /// Where keys, roster, journal and cursors lie; default [`DEFAULT_STATE_DIR`].
    pub state_dir: PathBuf,
    /// The unix socket for commands; default [`DEFAULT_SOCKET`] with the default `state_dir`, else `admin.sock`
    /// in `state_dir`.
    pub socket: PathBuf,
    /// Where metrics and health are served; default [`DEFAULT_HTTP`].
    pub http: SocketAddr,
    /// The fleet file.
    pub fleet: Option<PathBuf>,
    /// How the journal is kept.
    pub journal: JournalConfig,
    /// Where events go, in order of the file.
    pub sinks: Vec<SinkConfig>,
    /// Which events go where, in order of the file.
    pub routes: Vec<RouteConfig>,
}

/// How the journal is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalConfig {
    /// Bytes on disk, hard; [`JOURNAL_BYTES_MIN`] to [`JOURNAL_BYTES_MAX`]; default 20 GiB.
    pub max_bytes: u64,
    /// How long a segment stays after it was received; 1 s to 3,650 d; default 180 d.
    pub retain: Duration,
    /// How often the journal is cut into blocks; 100 ms to 1 h; default 5 s.
    pub block_interval: Duration,
}

/// One place where events go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkConfig {
    /// Its name in routes, metrics and its cursor's file.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
    /// Whether the journal waits for it; default required.
    pub delivery: Delivery,
}

/// What the journal owes a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// A segment stays until the sink has it; at `max_bytes` agents wait for that.
    Required,
    /// Segments go without it: a sink that is too far behind loses what they held.
    BestEffort,
}

/// The words of `delivery`.
const DELIVERIES: [(&str, Delivery); 2] = [("required", Delivery::Required), ("best_effort", Delivery::BestEffort)];

/// What a sink is, by type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SinkKind {
    /// The Parquet lake.
    Parquet(ParquetConfig),
}

/// A sink of type `parquet`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParquetConfig {
    /// The folder of the lake; default `lake` in `state_dir`.
    pub path: PathBuf,
    /// How often files are finished and committed, at the next cut of the journal; 100 ms to 24 h; default 60 s.
    pub commit_interval: Duration,
}

/// One route; it takes every event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteConfig {
    /// The name of a sink of this file.
    pub to: String,
}

impl Config {
    /// Where the journal lies.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.state_dir.join("journal")
    }
}

/// Reads `aggregator.yaml` at `path`.
///
/// # Errors
/// The file cannot be read, or every problem in it.
pub fn load(path: &Path) -> Result<Loaded<Config>, LoadError> {
    let bytes = file::read(path, "name another with --config, or make one: picket-aggregator init --dir DIR")?;
    Ok(parse(path, &bytes)?)
}

/// Reads the fleet file at `path`.
///
/// # Errors
/// The file cannot be read, or every problem in it.
pub fn load_fleet(path: &Path) -> Result<Fleet, LoadError> {
    let bytes = file::read(path, "make it, or leave `fleet` out of aggregator.yaml")?;
    Ok(Fleet::parse(&path.display().to_string(), &bytes)?)
}

/// Reads `aggregator.yaml`; `path` names it in problems and roots relative paths.
///
/// # Errors
/// Every problem of the file.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Loaded<Config>, Problems> {
    let name: Arc<str> = path.display().to_string().into();
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let root = tree::parse(&name, bytes)?;
    Report::new(&name).read(&root, |fields| config(fields, folder))
}

fn config(fields: &mut Fields<'_>, folder: &Path) -> Read<Config> {
    let version = fields.required("version", rule::number(1..=1));
    let address = || rule::parsed::<SocketAddr>("an address and a port, such as 0.0.0.0:7443 or [::]:7443");
    let listen = fields.or("listen", DEFAULT_LISTEN, address());
    let state_dir = fields.or("state_dir", DEFAULT_STATE_DIR, rule::path(folder));
    let socket = fields.optional("socket", rule::path(folder));
    let http = fields.or("http", DEFAULT_HTTP, address());
    if http.is_ok_and(|http| !http.ip().is_loopback()) {
        let message = "http is open to the network and asks nobody for a password; 127.0.0.1 is safer";
        fields.warn(fields.place(), message.to_owned());
    }
    let fleet = fields.optional("fleet", rule::path(folder));
    let journal = fields.map("journal", journal);
    refuse(fields, "reduce");
    let lake = state_dir.as_ref().map(|dir| dir.join("lake")).unwrap_or_default();
    let sinks = fields.named("sinks", |name, fields| sink(name, fields, folder, &lake));
    if sinks.as_ref().is_ok_and(|all| all.len() > SINKS_MAX) {
        fields.problem_at("sinks", format_args!("at most {SINKS_MAX} sinks are kept"));
    }
    let sink_names: Vec<&str> = sinks.iter().flatten().map(|sink| sink.name.as_str()).collect();
    let routes = routes(fields, sinks.is_ok().then_some(sink_names.as_slice()));
    let (state_dir, socket) = (state_dir?, socket?);
    let socket = socket.unwrap_or_else(|| {
        let packaged = state_dir == Path::new(DEFAULT_STATE_DIR);
        let socket = if packaged { PathBuf::from(DEFAULT_SOCKET) } else { state_dir.join("admin.sock") };
        fields.defaulted("socket", socket.display(), Origin::Default);
        socket
    });
    version?;
    let (listen, http, fleet, journal) = (listen?, http?, fleet?, journal?);
    Ok(Config { listen, state_dir, socket, http, fleet, journal, sinks: sinks?, routes: routes? })
}

fn journal(fields: &mut Fields<'_>) -> Read<JournalConfig> {
    let max_bytes = fields.or("max_bytes", "20GiB", rule::size(JOURNAL_BYTES_MIN..=JOURNAL_BYTES_MAX));
    let retain = fields.or("retain", "180d", rule::duration(SECOND..=3_650 * DAY));
    let block_interval = fields.or("block_interval", "5s", rule::duration(Duration::from_millis(100)..=3_600 * SECOND));
    Ok(JournalConfig { max_bytes: max_bytes?, retain: retain?, block_interval: block_interval? })
}

fn sink(name: &str, fields: &mut Fields<'_>, folder: &Path, lake: &Path) -> Read<SinkConfig> {
    if let Err(reported) = fields.required("type", rule::word(&SINK_TYPES)) {
        fields.allow_any_key();
        return Err(reported);
    }
    let delivery = fields.or("delivery", "required", rule::word(&DELIVERIES));
    let path = fields.optional("path", rule::path(folder));
    let commit_interval = fields.or("commit_interval", "60s", rule::duration(Duration::from_millis(100)..=DAY));
    let path = path?.unwrap_or_else(|| {
        fields.defaulted("path", lake.display(), Origin::Default);
        lake.to_path_buf()
    });
    let kind = SinkKind::Parquet(ParquetConfig { path, commit_interval: commit_interval? });
    Ok(SinkConfig { name: name.to_owned(), kind, delivery: delivery? })
}

/// Reads the routes; `sinks` are the valid targets, absent when they could not be read themselves.
fn routes(fields: &mut Fields<'_>, sinks: Option<&[&str]>) -> Read<Vec<RouteConfig>> {
    let routes = fields.maps("routes", |route| {
        let to = route.required("to", rule::name);
        refuse(route, "where");
        let to = to?;
        if let Some(sinks) = sinks
            && !sinks.contains(&to.as_str())
        {
            let why = if sinks.is_empty() {
                format!("there is no sink '{to}'; name one under sinks")
            } else {
                format!("sink {}", rule::unknown_word(&to, sinks.iter().copied()))
            };
            return Err(route.problem_at("to", why));
        }
        Ok(RouteConfig { to })
    })?;
    let routes = routes.unwrap_or_default();
    for sink in sinks.unwrap_or_default() {
        if !routes.iter().any(|route| route.to == *sink) {
            fields.warn(fields.place(), format!("no route leads to sink '{sink}': it gets nothing"));
        }
    }
    if sinks.is_some_and(<[&str]>::is_empty) {
        fields.warn(fields.place(), "there are no sinks: events are journaled and go nowhere".to_owned());
    }
    Ok(routes)
}

fn refuse(fields: &mut Fields<'_>, key: &'static str) {
    if let Some(place) = fields.later(key) {
        fields.problem(place, format!("key '{key}' is not available in this version; leave it out"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Loaded<Config>, String> {
        let path = Path::new("/etc/picket/aggregator.yaml");
        parse(path, text.as_bytes()).map_err(|problems| problems.to_string().replace("/etc/picket/", ""))
    }

    const FULL: &str = "version: 1\nlisten: 0.0.0.0:7443\nstate_dir: /var/lib/picket-aggregator\n\
        http: 127.0.0.1:7480\nfleet: fleet.yaml\n\
        journal: { max_bytes: 1GiB, retain: 30d, block_interval: 500ms }\n\
        routes:\n  - { to: lake }\nsinks:\n  lake: { type: parquet, path: lake, commit_interval: 10s, delivery: best_effort }\n";

    #[test]
    fn a_file_with_only_a_version_is_all_defaults() {
        let loaded = parsed("version: 1\n").unwrap();
        let config = loaded.config;
        assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
        assert_eq!(config.http.to_string(), DEFAULT_HTTP);
        assert_eq!(config.socket, Path::new(DEFAULT_SOCKET));
        let journal = &config.journal;
        assert_eq!((journal.max_bytes, journal.retain, journal.block_interval), (20 << 30, 180 * DAY, 5 * SECOND));
        assert_eq!((config.fleet, config.sinks.len(), config.routes.len()), (None, 0, 0));
        assert!(loaded.warnings[0].message.starts_with("there are no sinks"));
    }

    #[test]
    fn every_key_is_read_and_relative_paths_are_relative_to_the_file() {
        let loaded = parsed(FULL).unwrap();
        let config = loaded.config;
        assert_eq!(config.fleet.as_deref(), Some(Path::new("/etc/picket/fleet.yaml")));
        assert_eq!(config.journal.block_interval, Duration::from_millis(500));
        let SinkKind::Parquet(lake) = &config.sinks[0].kind;
        assert_eq!((config.sinks[0].name.as_str(), lake.path.as_path()), ("lake", Path::new("/etc/picket/lake")));
        assert_eq!(config.sinks[0].delivery, Delivery::BestEffort);
        assert_eq!(config.routes, [RouteConfig { to: "lake".into() }]);
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn a_lake_without_a_path_and_a_socket_without_a_place_lie_in_the_state_folder() {
        let config =
            parsed("version: 1\nstate_dir: s\nroutes: [{ to: a }]\nsinks: { a: { type: parquet } }\n").unwrap().config;
        let SinkKind::Parquet(lake) = &config.sinks[0].kind;
        assert_eq!(
            (lake.path.as_path(), config.sinks[0].delivery),
            (Path::new("/etc/picket/s/lake"), Delivery::Required)
        );
        assert_eq!(config.socket, Path::new("/etc/picket/s/admin.sock"));
    }

    #[test]
    fn what_a_later_version_does_is_refused_by_name() {
        let text = "version: 1\nreduce: [{ drop: {} }]\nroutes: [{ to: a, where: { x: 1 } }]\nsinks:\n  \
                    a: { type: parquet }\n  siem: { type: elasticsearch, endpoints: [x] }\n";
        assert_eq!(
            parsed(text).unwrap_err(),
            "aggregator.yaml:2:1: key 'reduce' is not available in this version; leave it out\n\
             aggregator.yaml:3:19: key 'where' is not available in this version; leave it out\n\
             aggregator.yaml:6:17: sinks.siem.type: 'elasticsearch' is not known; valid: parquet"
        );
    }

    #[test]
    fn five_mistakes_are_five_problems() {
        let text = "version: 1\nlisten: 7443\njournal: { retain: 180, max_byte: 1GiB }\nroutes: [{ to: lak }]\n\
                    sinks: { lake: { type: parquet } }\nhttpd: x\n";
        assert_eq!(
            parsed(text).unwrap_err(),
            "aggregator.yaml:2:9: listen: '7443' is not an address and a port, such as 0.0.0.0:7443 or [::]:7443\n\
             aggregator.yaml:3:20: journal.retain: '180' has no unit; write one of ms, s, m, h, d after the number\n\
             aggregator.yaml:3:25: unknown key 'max_byte' in journal; did you mean 'max_bytes'?\n\
             aggregator.yaml:4:16: routes[0].to: sink 'lak' is not known; did you mean 'lake'?\n\
             aggregator.yaml:6:1: unknown key 'httpd'; did you mean 'http'?"
        );
    }

    #[test]
    fn what_is_right_and_doubtful_is_a_warning() {
        let text = "version: 1\nhttp: 0.0.0.0:7480\nsinks: { lake: { type: parquet } }\n";
        let warnings: Vec<String> = parsed(text).unwrap().warnings.into_iter().map(|warning| warning.message).collect();
        assert!(warnings[0].contains("http is open to the network"), "{warnings:?}");
        assert!(warnings[1].contains("no route leads to sink 'lake'"), "{warnings:?}");
    }

    #[test]
    fn any_one_byte_changed_or_the_end_cut_off_is_read_or_refused_with_a_line() {
        let check = |text: &[u8]| {
            if let Err(problems) = parse(Path::new("a.yaml"), text) {
                assert!(problems.listed().iter().all(|problem| problem.place.line >= 1), "{text:?}: {problems}");
            }
        };
        for at in 0..FULL.len() {
            check(&FULL.as_bytes()[..at]);
            for byte in *b"\0\t\n '\"#&*-:?[]{}|>%!\xff" {
                let mut edited = FULL.as_bytes().to_vec();
                edited[at] = byte;
                check(&edited);
            }
        }
    }
}
