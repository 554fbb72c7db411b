//! One module per command. Each takes the options, its arguments and a writer for what it prints, and ends
//! with a [`shared::exit::Exit`] that carries its exit code.

pub mod agents;
mod card;
pub mod completion;
pub mod dlq;
mod evidence;
pub mod fleet;
pub mod gaps;
pub mod init;
pub mod journal;
pub mod matching;
pub mod normalize;
pub mod reduction;
mod replay;
pub mod run;
#[cfg(test)]
pub(crate) mod scratch;
pub mod status;
pub mod token;
pub mod validate;

use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::exit::{Exit, Reason};
use shared::identity::AgentId;
use shared::time::Timestamp;

use crate::admin::socket::{AskError, Request, ask};
use crate::ca::roster::{Book, Roster, RosterError};
use crate::cli::Options;
use crate::config::{self, Config};
use crate::journal::offline::{JournalFiles, OfflineError};

/// The configuration, for a command that cannot do without.
fn configuration(options: &Options) -> Result<Config, Exit> {
    Ok(config::load(options.config_path())?.config)
}

/// The roster; what is wrong with its file is said, and hides nothing else.
fn roster(config: &Config) -> Result<Book, Exit> {
    let (book, found) = Roster::view(&config.state_dir).map_err(|error| roster_exit(&error))?;
    if found.damaged_lines > 0 {
        tracing::warn!(
            lines = found.damaged_lines,
            "lines of the roster do not read; one may have been a revocation: run `picket-aggregator validate`"
        );
    }
    Ok(book)
}

fn roster_exit(error: &RosterError) -> Exit {
    use crate::ca::lock::LockError;
    let reason = match error {
        RosterError::NotOne(_) => Reason::Data,
        RosterError::Lock(LockError::Held { .. }) => Reason::Unavailable,
        RosterError::Lock(LockError::File(_)) | RosterError::File(_) | RosterError::Untrusted { .. } => Reason::Io,
        RosterError::Full => Reason::CannotCreate,
    };
    Exit::new(reason, error)
}

/// The agent that a person names, by id or host name.
fn named(config: &Config, who: Option<&str>) -> Result<Option<AgentId>, Exit> {
    let Some(who) = who else { return Ok(None) };
    roster(config)?.find(who).map(Some).map_err(|error| roster_exit(&error))
}

fn ask_exit(error: &AskError) -> Exit {
    Exit::new(error.reason(), error)
}

/// What the running aggregator answers; 69 where none runs.
fn answer<T: DeserializeOwned>(config: &Config, request: &Request) -> Result<T, Exit> {
    let socket = &config.socket;
    let absent = || {
        let message = "start one with `systemctl start picket-aggregator` or `picket-aggregator run`; \
                       `picket-aggregator validate` says what would keep it from starting";
        Exit::new(Reason::Unavailable, format_args!("no aggregator answers at {}: {message}", socket.display()))
    };
    let reply = ask(socket, request).map_err(|error| ask_exit(&error))?.ok_or_else(absent)?;
    serde_json::from_value(reply).map_err(|_| ask_exit(&AskError::Garbled { path: socket.clone() }))
}

fn open_journal(config: &Config) -> Result<JournalFiles, Exit> {
    JournalFiles::open(&config.journal_dir()).map_err(|error| offline_exit(&error))
}

fn offline_exit(error: &OfflineError) -> Exit {
    let reason = match error {
        OfflineError::Missing { .. } => Reason::Config,
        OfflineError::Io { .. } => Reason::Io,
        OfflineError::TooMany { .. } => Reason::Usage,
    };
    Exit::new(reason, error)
}

/// A moment as it is printed: RFC 3339, UTC.
fn moment(at: Timestamp) -> Value {
    Value::from(at.to_string())
}

/// A moment, or null.
fn moment_or_null(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, moment)
}

/// A size for people: its largest unit, one decimal.
fn bytes_text(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes} bytes");
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_their_largest_unit() {
        let told = [0, 1_023, 1 << 10, (5 << 30) + (1 << 29), u64::MAX].map(bytes_text);
        assert_eq!(told, ["0 bytes", "1023 bytes", "1.0KiB", "5.5GiB", "16777215.9TiB"]);
    }
}
