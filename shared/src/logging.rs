//! What the programs say about themselves: one line per event on stderr, as text or JSON.
//!
//! In: `-v`/`-q`, `PICKET_LOG`, `--log-format`. Out: a `tracing` subscriber for the whole process. Colors
//! are never written, so `NO_COLOR` holds by construction; control characters in fields are escaped by the
//! formatter. Messages carry names, counts and causes, never the payload of a record and never a secret.

use std::io;
use std::str::FromStr;

use tracing_subscriber::filter::LevelFilter;

/// The environment variable that names a level: `off`, `error`, `warn`, `info`, `debug`, `trace`.
pub const LEVEL_VARIABLE: &str = "PICKET_LOG";

/// The levels, quietest first: `-v` and `-q` step along them.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// The form of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// For people and for journald.
    #[default]
    Text,
    /// One object a line.
    Json,
}

impl Format {
    /// The words of `--log-format`, in the order of the variants.
    pub const NAMES: [&'static str; 2] = ["text", "json"];
}

/// What was wrong with a logging setting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogging {
    /// `PICKET_LOG` is not one of the levels.
    #[error("{LEVEL_VARIABLE}='{}' is not a level (off, error, warn, info, debug, trace)", crate::printable::Excerpt(.0))]
    Level(String),
    /// The word after `--log-format` is none of [`Format::NAMES`].
    #[error("'{}' is not a log format (text, json)", crate::printable::Excerpt(.0))]
    Format(String),
    /// A subscriber is installed already.
    #[error("logging was set up twice in one process")]
    Twice,
}

impl FromStr for Format {
    type Err = BadLogging;

    fn from_str(text: &str) -> Result<Self, BadLogging> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(BadLogging::Format(other.to_owned())),
        }
    }
}

/// The level in force: that of `PICKET_LOG` (`variable`) or else `default`, moved one step up per `-v` and
/// one down per `-q`; never below `error` by `-q` alone.
///
/// # Errors
/// [`BadLogging::Level`] when the variable holds no level.
pub fn level(default: LevelFilter, variable: Option<&str>, verbose: u8, quiet: u8) -> Result<LevelFilter, BadLogging> {
    let start = match variable.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => LEVELS
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case(text))
            .ok_or_else(|| BadLogging::Level(text.to_owned()))?,
        None => LEVELS.iter().position(|(_, level)| *level == default).unwrap_or(0),
    };
    let lowest = start.min(1);
    let step = (start + usize::from(verbose)).saturating_sub(usize::from(quiet)).clamp(lowest, LEVELS.len() - 1);
    Ok(LEVELS.get(step).map_or(default, |(_, level)| *level))
}

/// Sets up logging for the process, on stderr. A stderr that is gone is ignored.
///
/// # Errors
/// [`BadLogging::Twice`] when the process has a subscriber.
pub fn start(level: LevelFilter, format: Format) -> Result<(), BadLogging> {
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).log_internal_errors(false);
    let installed = match format {
        Format::Text => tracing::subscriber::set_global_default(builder.with_target(false).finish()),
        Format::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
    };
    installed.map_err(|_| BadLogging::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_v_is_a_step_up_and_each_q_a_step_down() {
        let at = |verbose, quiet| level(LevelFilter::INFO, None, verbose, quiet).unwrap();
        assert_eq!(at(0, 0), LevelFilter::INFO);
        assert_eq!(at(1, 0), LevelFilter::DEBUG);
        assert_eq!(at(9, 0), LevelFilter::TRACE);
        assert_eq!(at(0, 1), LevelFilter::WARN);
        assert_eq!(at(0, 9), LevelFilter::ERROR);
        assert_eq!(at(1, 1), LevelFilter::INFO);
    }

    #[test]
    fn the_variable_sets_where_the_steps_begin() {
        assert_eq!(level(LevelFilter::INFO, Some("OFF"), 0, 0), Ok(LevelFilter::OFF));
        assert_eq!(level(LevelFilter::INFO, Some("warn"), 1, 0), Ok(LevelFilter::INFO));
        assert_eq!(level(LevelFilter::INFO, Some(" "), 0, 0), Ok(LevelFilter::INFO));
        assert_eq!(level(LevelFilter::INFO, Some("loud"), 0, 0), Err(BadLogging::Level("loud".into())));
    }

    #[test]
    fn formats_are_known_by_name() {
        for (name, format) in Format::NAMES.into_iter().zip([Format::Text, Format::Json]) {
            assert_eq!(name.parse(), Ok(format));
        }
        assert!("xml".parse::<Format>().is_err());
    }
}
