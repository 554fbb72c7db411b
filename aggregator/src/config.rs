//! `aggregator.yaml` in, a plain [`Config`] out.
//!
//! Relative paths are relative to the file. All problems are reported together, each with its line. Keys of
//! later versions are refused by name and not passed over: an event that was to be dropped or redacted must not reach a
//! store because the version is too old.

mod downstream;
#[cfg(test)]
mod examples;

mod parsers;
mod texts;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shared::fleet::Fleet;
use shared::printable::Excerpt;
use shared::yaml::{Fields, Kind, LoadError, Loaded, Origin, Problems, Read, Report, file, rule, tree};

pub use downstream::Downstream;

use crate::sink::http::SecretRef;
use crate::sink::letters::Letters;
use crate::sink::{Target, http, ndjson};

pub use parsers::ParsersConfig;
pub use texts::Texts;

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
const SINK_TYPES: [(&str, SinkType); 3] =
    [("parquet", SinkType::Parquet), ("ndjson", SinkType::Ndjson), ("http", SinkType::Http)];

#[derive(Clone, Copy)]
enum SinkType {
    Parquet,
    Ndjson,
    Http,
}

/// What one file may have of each.
const SINKS_MAX: usize = 64;
/// The longest value of a header, in characters.
const HEADER_CHARS_MAX: usize = 8_192;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// What an aggregator is told.
#[derive(Clone, Debug)]
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
    /// What is done with events on their way there.
    pub downstream: Downstream,
    /// Parsers that users wrote; they take force at the next start.
    pub parsers: ParsersConfig,
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
    /// What it is made of.
    pub target: Target,
    /// How often it commits, at the next cut of the journal; 100 ms to 24 h; default 60 s, of `http` 5 s.
    pub commit_interval: Duration,
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
    Ok(parse(path, &read(path)?)?)
}

/// The bytes of `aggregator.yaml` at `path`.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    file::read(path, "name another with --config, or make one: picket-aggregator init --dir DIR")
}

/// Reads the fleet file at `path`.
///
/// # Errors
/// The file cannot be read, or every problem in it.
pub fn load_fleet(path: &Path) -> Result<Fleet, LoadError> {
    parse_fleet(path, &read_fleet(path)?.0)
}

/// The bytes of the fleet file, and their SHA-256 in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn read_fleet(path: &Path) -> Result<(Vec<u8>, String), LoadError> {
    let bytes = file::read(path, "make it, or leave `fleet` out of aggregator.yaml")?;
    let hash = shared::tls::sha256(&bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok((bytes, hash))
}

/// Reads the fleet file; `path` names it in problems.
///
/// # Errors
/// Every problem of the file.
pub fn parse_fleet(path: &Path, bytes: &[u8]) -> Result<Fleet, LoadError> {
    Ok(Fleet::parse(&path.display().to_string(), bytes)?)
}

/// Reads `aggregator.yaml`; `path` names it in problems and roots relative paths.
///
/// # Errors
/// Every problem of the file.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Loaded<Config>, Problems> {
    let name: Arc<str> = path.display().to_string().into();
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let root = tree::parse(&name, bytes)?;
    Report::new(&name).read(&root, |fields| config(fields, &name, folder))
}

fn config(fields: &mut Fields<'_>, name: &Arc<str>, folder: &Path) -> Read<Config> {
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
    let parsers = parsers::read(fields, name, folder);
    let state = state_dir.as_ref().cloned().unwrap_or_default();
    let sinks = fields.named("sinks", |name, fields| sink(name, fields, folder, &state));
    if sinks.as_ref().is_ok_and(|all| all.len() > SINKS_MAX) {
        fields.problem_at("sinks", format_args!("at most {SINKS_MAX} sinks are kept"));
    }
    for (number, sink) in sinks.iter().flatten().enumerate() {
        let Some(file) = sink.target.file() else { continue };
        let before = sinks.iter().flatten().take(number).find(|before| before.target.file() == Some(file));
        if let Some(before) = before {
            let why = format_args!("'{}' and '{}' both write {}", before.name, sink.name, file.display());
            fields.problem_at("sinks", why);
        }
    }
    let sink_names: Vec<&str> = sinks.iter().flatten().map(|sink| sink.name.as_str()).collect();
    let downstream = downstream::downstream(fields, sinks.is_ok().then_some(sink_names.as_slice()));
    let (state_dir, socket) = (state_dir?, socket?);
    let socket = socket.unwrap_or_else(|| {
        let packaged = state_dir == Path::new(DEFAULT_STATE_DIR);
        let socket = if packaged { PathBuf::from(DEFAULT_SOCKET) } else { state_dir.join("admin.sock") };
        fields.defaulted("socket", socket.display(), Origin::Default);
        socket
    });
    version?;
    let (listen, http, fleet, journal) = (listen?, http?, fleet?, journal?);
    let (downstream, parsers) = (downstream?, parsers?);
    Ok(Config { listen, state_dir, socket, http, fleet, journal, sinks: sinks?, downstream, parsers })
}

fn journal(fields: &mut Fields<'_>) -> Read<JournalConfig> {
    let max_bytes = fields.or("max_bytes", "20GiB", rule::size(JOURNAL_BYTES_MIN..=JOURNAL_BYTES_MAX));
    let retain = fields.or("retain", "180d", rule::duration(SECOND..=3_650 * DAY));
    let block_interval = fields.or("block_interval", "5s", rule::duration(Duration::from_millis(100)..=3_600 * SECOND));
    Ok(JournalConfig { max_bytes: max_bytes?, retain: retain?, block_interval: block_interval? })
}

fn sink(name: &str, fields: &mut Fields<'_>, folder: &Path, state_dir: &Path) -> Read<SinkConfig> {
    let sink_type = match fields.required("type", rule::word(&SINK_TYPES)) {
        Ok(sink_type) => sink_type,
        Err(reported) => {
            fields.allow_any_key();
            return Err(reported);
        }
    };
    let delivery = fields.or("delivery", "required", rule::word(&DELIVERIES));
    let pace = if matches!(sink_type, SinkType::Http) { "5s" } else { "60s" };
    let commit_interval = fields.or("commit_interval", pace, rule::duration(Duration::from_millis(100)..=DAY));
    let cursor = state_dir.join("cursors").join(name);
    let target = match sink_type {
        SinkType::Parquet => fields.optional("path", rule::path(folder)).map(|path| {
            let path = path.unwrap_or_else(|| {
                let lake = state_dir.join("lake");
                fields.defaulted("path", lake.display(), Origin::Default);
                lake
            });
            Target::Parquet { path }
        }),
        SinkType::Ndjson => {
            let path = fields.required("path", |text| match text {
                "-" => Ok(None),
                text => rule::path(folder)(text).map(Some),
            });
            path.map(|path| Target::Ndjson(ndjson::Settings { path, cursor }))
        }
        SinkType::Http => {
            let letters = Letters::of(state_dir, name);
            http(fields, folder, cursor, letters).map(|settings| Target::Http(Box::new(settings)))
        }
    };
    Ok(SinkConfig { name: name.to_owned(), target: target?, commit_interval: commit_interval?, delivery: delivery? })
}

/// Reads what a sink of type `http` has besides.
fn http(fields: &mut Fields<'_>, folder: &Path, cursor: PathBuf, letters: Letters) -> Read<http::Settings> {
    let endpoint = fields.required("endpoint", endpoint);
    let headers = fields.values("headers", rule::text(HEADER_CHARS_MAX));
    let token = secret(fields, "token", folder);
    let user = fields.optional("user", rule::text(HEADER_CHARS_MAX));
    let password = secret(fields, "password", folder);
    let ca = fields.optional("ca", rule::path(folder));
    let timeout = fields.or("timeout", "30s", rule::duration(SECOND..=600 * SECOND));
    let batch_bytes = fields.or("batch_bytes", "1MiB", rule::size(4 << 10..=64 << 20));
    let (endpoint, token, user, password) = (endpoint?, token?, user?, password?);
    let auth = match (token, user, password) {
        (None, None, None) => None,
        (Some(token), None, None) => Some(http::Auth::Bearer(token)),
        (None, Some(user), Some(password)) => Some(http::Auth::Basic(user, password)),
        _ => {
            let why = "who sends is said by `token`, or by `user` and `password`".to_owned();
            return Err(fields.problem(fields.place(), why));
        }
    };
    if auth.is_some() && endpoint.starts_with("http://") {
        let message = "the secret of this sink goes over http, where anybody between can read it; https keeps it";
        fields.warn(fields.place_of("endpoint"), message.to_owned());
    }
    Ok(http::Settings {
        endpoint,
        headers: headers?.into_iter().collect(),
        auth,
        ca: ca?,
        timeout: timeout?,
        batch_bytes: usize::try_from(batch_bytes?).unwrap_or(usize::MAX),
        cursor,
        letters,
    })
}

fn endpoint(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.contains('@') {
        return Err(
            "a secret never stands in this file: leave it out of the URL, and set `user` and `password`".to_owned()
        );
    }
    if host.is_empty() || text.contains(char::is_whitespace) {
        return Err(format!("'{}' is not a URL, such as https://siem.example.net/ingest", Excerpt(text)));
    }
    Ok(text.to_owned())
}

/// Reads a secret: `{ file: PATH }` or `{ env: NAME }`.
fn secret(fields: &mut Fields<'_>, key: &'static str, folder: &Path) -> Read<Option<SecretRef>> {
    const WAY: &str = "a secret never stands in this file: write { file: PATH } or { env: NAME }";
    match fields.raw(key).map(|node| &node.kind) {
        None => return Ok(None),
        Some(Kind::Map(_)) => {}
        Some(_) => return Err(fields.problem_at(key, WAY)),
    }
    fields.map(key, |secret| {
        let (file, env) = (secret.optional("file", rule::path(folder)), secret.optional("env", rule::text(256)));
        match (file?, env?) {
            (Some(file), None) => Ok(Some(SecretRef::File(file))),
            (None, Some(name)) => Ok(Some(SecretRef::Env(name))),
            _ => Err(secret.problem(secret.place(), WAY.to_owned())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Route;

    fn parsed(text: &str) -> Result<Loaded<Config>, String> {
        let path = Path::new("/etc/picket/aggregator.yaml");
        parse(path, text.as_bytes()).map_err(|problems| problems.to_string().replace("/etc/picket/", ""))
    }

    fn lake(path: &str) -> Target {
        Target::Parquet { path: PathBuf::from(path) }
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
        assert_eq!((config.fleet, config.sinks.len(), config.downstream.routes.len()), (None, 0, 0));
        assert!(loaded.warnings[0].message.starts_with("there are no sinks"));
    }

    #[test]
    fn every_key_is_read_and_relative_paths_are_relative_to_the_file() {
        let loaded = parsed(FULL).unwrap();
        let config = loaded.config;
        assert_eq!(config.fleet.as_deref(), Some(Path::new("/etc/picket/fleet.yaml")));
        assert_eq!(config.journal.block_interval, Duration::from_millis(500));
        assert_eq!((config.sinks[0].name.as_str(), &config.sinks[0].target), ("lake", &lake("/etc/picket/lake")));
        assert_eq!(config.sinks[0].delivery, Delivery::BestEffort);
        assert_eq!(config.downstream.routes, [Route { to: "lake".into(), predicate: None, is_final: false }]);
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn a_lake_without_a_path_and_a_socket_without_a_place_lie_in_the_state_folder() {
        let config =
            parsed("version: 1\nstate_dir: s\nroutes: [{ to: a }]\nsinks: { a: { type: parquet } }\n").unwrap().config;
        let sink = &config.sinks[0];
        assert_eq!((&sink.target, sink.delivery), (&lake("/etc/picket/s/lake"), Delivery::Required));
        assert_eq!(config.socket, Path::new("/etc/picket/s/admin.sock"));
    }

    #[test]
    fn sinks_of_lines_keep_cursor_and_letters_in_the_state_folder_and_secrets_elsewhere() {
        let text = "version: 1\nstate_dir: s\nroutes: [{ to: a }, { to: b }, { to: c }]\nsinks:\n  a: { type: ndjson, path: out/e }\n  \
                    b: { type: ndjson, path: \"-\" }\n  c: { type: http, endpoint: \"https://siem.example.net/x\", user: u, \
                    password: { file: pw }, headers: { x-a: b } }\n";
        let config = parsed(text).unwrap().config;
        let [a, b, c] = &config.sinks[..] else { panic!("{config:?}") };
        let cursor = |name: &str| Path::new("/etc/picket/s/cursors").join(name);
        let path = Some(PathBuf::from("/etc/picket/out/e"));
        assert_eq!(a.target, Target::Ndjson(ndjson::Settings { path, cursor: cursor("a") }));
        assert_eq!(b.target, Target::Ndjson(ndjson::Settings { path: None, cursor: cursor("b") }));
        let Target::Http(c) = &c.target else { panic!("{c:?}") };
        let password = SecretRef::File(PathBuf::from("/etc/picket/pw"));
        assert_eq!(c.auth, Some(http::Auth::Basic("u".to_owned(), password)));
        assert_eq!((&c.cursor, c.batch_bytes), (&cursor("c"), 1 << 20));
        assert_eq!(c.letters, Letters::of(Path::new("/etc/picket/s"), "c"));
    }

    #[test]
    fn secret_in_the_file_is_refused_and_not_repeated() {
        let text = "version: 1\nroutes: [{ to: a }]\nsinks:\n  a: { type: http, endpoint: \"https://u:hunter2@x/\", token: hunter2 }\n";
        let error = parsed(text).unwrap_err();
        assert!(!error.contains("hunter2") && error.lines().count() == 2, "{error}");
        assert!(error.contains("aggregator.yaml:4:"), "{error}");
    }

    #[test]
    fn two_sinks_of_one_place_are_refused_and_two_of_one_server_are_not() {
        let two = |first: &str, second: &str| {
            let text = format!(
                "version: 1\nroutes: [{{ to: a }}, {{ to: b }}]\nsinks:\n  a: {{ {first} }}\n  b: {{ {second} }}\n"
            );
            parsed(&text).err()
        };
        let lines = |path: &str| format!("type: ndjson, path: {path}");
        let refused = two("type: parquet", "type: parquet").unwrap();
        assert!(refused.contains("'a' and 'b' both write /var/lib/picket-aggregator/lake"), "{refused}");
        assert!(two(&lines("out/x"), &lines("./out/x")).is_some());
        assert_eq!(two(&lines("x"), &lines("y")), None);
        assert_eq!(two(&lines("'-'"), &lines("'-'")), None);
        let server = "type: http, endpoint: 'https://siem.example.net/x'";
        assert_eq!(two(server, server), None);
    }

    #[test]
    fn what_a_later_version_does_is_refused_by_name() {
        let text = "version: 1\nroutes: [{ to: a }]\nsinks:\n  \
                    a: { type: parquet }\n  siem: { type: elasticsearch, endpoints: [x] }\n";
        assert_eq!(
            parsed(text).unwrap_err(),
            "aggregator.yaml:5:17: sinks.siem.type: 'elasticsearch' is not known; valid: parquet, ndjson, http"
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
