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
pub mod token;
pub mod validate;

use serde_json::Value;
use shared::exit::{Exit, Reason};
use shared::identity::AgentId;
use shared::time::Timestamp;

use crate::admin::socket::AskError;
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
