//! `picket-aggregator init`: a folder from which an aggregator runs as it is.
//!
//! In: the folder, names, addresses. Out: authority, server certificate, `aggregator.yaml`, `fleet.yaml`:
//!
//! ```text
//! DIR/aggregator.yaml   paths in it are relative to it        DIR/state   0750: ca/, tokens/, roster.log, the journal
//! DIR/fleet.yaml        what agents collect                   DIR/lake    Parquet
//! ```
//!
//! Invariants: nothing that is there is overwritten; `aggregator.yaml` comes last, so where it stands the rest is
//! complete and on disk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use shared::durable::{DurableError, PUBLIC, STATE_FOLDER, Writer};
use shared::exit::Reason;
use shared::time::Timestamp;
use shared::tls::{DialName, KeyHash, NotAName};

use super::token::{TokenError, Tokens};
use super::{Authority, CaError, Server};
use crate::config::Config;

/// What `init` is asked for.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// Where to.
    pub dir: PathBuf,
    /// DNS names and addresses under which agents dial it; none for the hostname, localhost, 127.0.0.1 and ::1.
    pub names: Vec<String>,
    /// Where it listens for agents, UDP and TCP; `0.0.0.0:7443` when not said.
    pub listen: Option<String>,
    /// Where it answers HTTP; `127.0.0.1:7480` when not said.
    pub http: Option<String>,
}

/// What `init` made.
#[derive(Clone, Debug)]
pub struct Initialized {
    /// For `run -c`.
    pub config: PathBuf,
    /// The names in the server certificate.
    pub names: Vec<DialName>,
    /// The authority's key, which stands in every token.
    pub authority: KeyHash,
}

/// Why nothing was made, or not all.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Something is there (exit 73).
    #[error("{path} is there already: init overwrites nothing, choose another --dir or remove what an earlier init left", path = path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A name that is none (exit 64).
    #[error("--name: {0}")]
    Name(#[from] NotAName),
    /// An address that is none (exit 64).
    #[error("{option} '{text}' is not an address with a port, such as {example}")]
    Address {
        /// Which option.
        option: &'static str,
        /// What was said.
        text: String,
        /// What could have been said.
        example: &'static str,
    },
    /// A file or folder (exit 73).
    #[error(transparent)]
    File(#[from] DurableError),
    /// The tokens' folder (exit 73).
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The authority (exit 73).
    #[error(transparent)]
    Ca(#[from] CaError),
}

impl InitError {
    /// How the command ends: what was said wrongly, or what cannot be made.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Name(_) | Self::Address { .. } | Self::Ca(CaError::Names(_)) => Reason::Usage,
            _ => Reason::CannotCreate,
        }
    }
}

/// Makes everything that an aggregator needs to run. `hostname` is the system's; one that is no DNS name is left out.
///
/// # Errors
/// [`InitError`]. What was made before a failure stays, and a second `init` names it.
pub fn init(options: &InitOptions, hostname: &str, now: Timestamp) -> Result<Initialized, InitError> {
    let listen = address("--listen", options.listen.as_deref(), "0.0.0.0:7443")?;
    let http = address("--http", options.http.as_deref(), "127.0.0.1:7480")?;
    let names = names(&options.names, hostname, listen)?;
    let dir = &options.dir;
    let (config, fleet, state) = (dir.join("aggregator.yaml"), dir.join("fleet.yaml"), dir.join("state"));
    for path in [&config, &fleet, &state.join("ca"), &state.join("tokens"), &state.join("roster.log")] {
        if path.symlink_metadata().is_ok() {
            return Err(InitError::Exists { path: path.clone() });
        }
    }

    if !dir.is_dir() {
        Writer::for_owner_of(existing_ancestor(dir))?.folder(dir, STATE_FOLDER)?;
    }
    let writer = Writer::for_owner_of(dir)?;
    writer.folder(&state, STATE_FOLDER)?;
    writer.folder(&dir.join("lake"), STATE_FOLDER)?;
    let authority = state_of(&state, &names, writer, now)?;
    create(&writer, &fleet, FLEET)?;
    create(&writer, &config, &aggregator_yaml(listen, http))?;
    Ok(Initialized { config, names, authority })
}

/// Makes authority, certificate and folders of the configuration that is there, e.g. a package's. `said` are the names under
/// which agents dial it; none for those that [`init`] takes.
///
/// # Errors
/// [`InitError`]; [`InitError::Exists`] where an authority is there already.
pub fn init_state(path: &Path, config: &Config, said: &[String], now: Timestamp) -> Result<Initialized, InitError> {
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let names = names(said, &hostname, config.listen)?;
    let state = &config.state_dir;
    for path in [state.join("ca"), state.join("tokens"), state.join("roster.log")] {
        if path.symlink_metadata().is_ok() {
            return Err(InitError::Exists { path });
        }
    }
    if !state.is_dir() {
        Writer::for_owner_of(existing_ancestor(state))?.folder(state, STATE_FOLDER)?;
    }
    let authority = state_of(state, &names, Writer::for_owner_of(state)?, now)?;
    Ok(Initialized { config: path.to_owned(), names, authority })
}

/// Authority, server certificate and the folder of tokens.
fn state_of(state: &Path, names: &[DialName], writer: Writer, now: Timestamp) -> Result<KeyHash, InitError> {
    let authority = Authority::generate(now)?;
    authority.store_new(state, &writer)?;
    Server::create(&authority, names, state, &writer, now)?;
    Tokens::open(state, authority.key_hash(), writer)?;
    Ok(authority.key_hash())
}

fn create(writer: &Writer, path: &Path, text: &str) -> Result<(), InitError> {
    writer
        .create(path, text.as_bytes(), PUBLIC)
        .map_err(|e| if e.already_exists() { InitError::Exists { path: path.to_owned() } } else { e.into() })
}

fn existing_ancestor(dir: &Path) -> &Path {
    dir.ancestors().skip(1).find(|above| above.is_dir()).unwrap_or(Path::new("."))
}

fn address(option: &'static str, text: Option<&str>, default: &'static str) -> Result<SocketAddr, InitError> {
    let text = text.unwrap_or(default);
    text.parse().map_err(|_| InitError::Address { option, text: text.to_owned(), example: default })
}

fn names(said: &[String], hostname: &str, listen: SocketAddr) -> Result<Vec<DialName>, NotAName> {
    let mut names: Vec<DialName> = if said.is_empty() {
        let usual = ["localhost", "127.0.0.1", "::1"].into_iter().map(str::parse);
        let own = hostname.parse().ok().into_iter().map(Ok);
        own.chain(usual).collect::<Result<_, _>>()?
    } else {
        said.iter().map(|name| name.parse()).collect::<Result<_, _>>()?
    };
    if said.is_empty() && !listen.ip().is_unspecified() {
        names.push(DialName::Ip(listen.ip()));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn aggregator_yaml(listen: SocketAddr, http: SocketAddr) -> String {
    format!(
        "# Relative paths are relative to this file.\n\
         version: 1\n\
         listen: \"{listen}\"\n\
         state_dir: state\n\
         http: \"{http}\"\n\
         fleet: fleet.yaml\n\
         journal: {{ max_bytes: 20GiB, retain: 180d }}\n\
         sinks:\n  \
           lake: {{ type: parquet, path: lake, commit_interval: 60s }}\n\
         routes:\n  \
           - {{ to: lake }}\n"
    )
}

const FLEET: &str = "\
# What every agent collects. One file for the whole fleet.
version: 1
defaults:
  sources:
    system-logs: { type: file, include: [/var/log/auth.log, /var/log/syslog, /var/log/secure, /var/log/messages], format: syslog, lane: high }
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::tests::{NOW, folder};

    fn options(dir: &Path) -> InitOptions {
        InitOptions { dir: dir.join("agg"), ..InitOptions::default() }
    }

    #[test]
    fn init_makes_what_an_aggregator_loads_and_overwrites_nothing() {
        let dir = folder("init");
        let options = options(&dir);
        let made = init(&options, "agg-1", NOW).unwrap();
        let text = |names: &[DialName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(text(&made.names), "agg-1 localhost 127.0.0.1 ::1");
        let state = options.dir.join("state");
        assert_eq!(Authority::load(&state).unwrap().key_hash(), made.authority);
        assert_eq!(Server::load(&state).unwrap().certificate.names, made.names);
        let loaded = crate::config::load(&made.config).unwrap();
        assert_eq!(loaded.warnings, []);
        let config = loaded.config;
        assert_eq!((config.state_dir, config.listen.to_string()), (state.clone(), "0.0.0.0:7443".to_owned()));
        crate::config::load_fleet(&config.fleet.unwrap()).unwrap();

        let error = init(&options, "agg-1", NOW).unwrap_err();
        assert!(matches!(&error, InitError::Exists { path } if *path == made.config), "{error}");
        assert_eq!(error.reason(), Reason::CannotCreate);
        std::fs::remove_file(&made.config).unwrap();
        assert_eq!(init(&options, "agg-1", NOW).unwrap_err().reason(), Reason::CannotCreate);
        assert_eq!(Authority::load(&state).unwrap().key_hash(), made.authority);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_configuration_that_is_there_gets_its_state_once_and_stays_as_it_is() {
        let dir = folder("init-state");
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("aggregator.yaml");
        let yaml = "version: 1\nlisten: \"[::]:9443\"\nstate_dir: var/state\nsinks: { lake: { type: parquet, path: var/lake } }\n";
        std::fs::write(&path, yaml).unwrap();
        let config = crate::config::load(&path).unwrap().config;
        let made = init_state(&path, &config, &["agg.example.net".to_owned()], NOW).unwrap();
        assert_eq!((made.names.len(), made.config.as_path()), (1, path.as_path()));
        assert_eq!(Authority::load(&dir.join("var/state")).unwrap().key_hash(), made.authority);
        let again = init_state(&path, &config, &[], NOW).unwrap_err();
        assert!(matches!(again, InitError::Exists { .. }), "{again}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), yaml);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn names_and_addresses_are_checked_before_anything_is_made() {
        let dir = folder("init-bad");
        let bad_name = InitOptions { names: vec!["*.example.net".to_owned()], ..options(&dir) };
        assert_eq!(init(&bad_name, "h", NOW).unwrap_err().reason(), Reason::Usage);
        let bad_listen = InitOptions { listen: Some("7443".to_owned()), ..options(&dir) };
        let error = init(&bad_listen, "h", NOW).unwrap_err().to_string();
        assert_eq!(error, "--listen '7443' is not an address with a port, such as 0.0.0.0:7443");
        assert!(!dir.join("agg").exists());
        let odd_host = InitOptions { listen: Some("10.0.0.5:1".to_owned()), ..options(&dir) };
        let made = init(&odd_host, "not a name", NOW).unwrap();
        assert!(made.names.contains(&"10.0.0.5".parse().unwrap()) && made.names.len() == 4);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
