//! The sources of a fleet file: one reader per type.

use crate::identity::Lane;
use crate::limits::{LINE_BYTES_DEFAULT, LINE_BYTES_MAX};
use crate::yaml::{Fields, Place, Read, rule};

use super::Strictness;

/// The shortest `max_line_bytes`: below it nothing is left of a line but its header.
const LINE_BYTES_MIN: u64 = 256;
/// The longest path pattern, in characters: Linux's `PATH_MAX`.
const PATTERN_CHARS_MAX: usize = 4_096;

/// Keys of a file source that a later version has.
const FILE_KEYS_LATER: [&str; 6] = ["multiline", "encoding", "ignore_older", "drop", "rate_limit", "redact"];

/// The source types, and whether this version runs them.
const TYPES: [(&str, Type); 6] = [
    ("file", Type::File),
    ("host", Type::Later),
    ("packet", Type::Later),
    ("journald", Type::Later),
    ("syslog", Type::Later),
    ("integrity", Type::Later),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    File,
    Later,
}

/// Something that is read on a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Its name in the fleet file, in metrics and in events.
    pub name: String,
    /// Where it stands in the fleet file.
    pub place: Place,
    /// What it reads.
    pub kind: SourceKind,
}

/// What a source reads, by type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// Lines of files.
    File(FileSource),
}

/// A source of type `file`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSource {
    /// Globs of absolute paths; `*` does not cross a `/`, `**` does. At least one.
    pub include: Vec<String>,
    /// Globs of absolute paths that are not read although included.
    pub exclude: Vec<String>,
    /// Where a file never seen before is begun; default: its beginning.
    pub from: From,
    /// Name of the line format, `auto` to let the aggregator find out (default).
    pub format: String,
    /// The lane; default normal.
    pub lane: Lane,
    /// Longer lines are cut and flagged, bytes; 256 to [`LINE_BYTES_MAX`]; default 256 KiB.
    pub max_line_bytes: usize,
}

/// Where reading a new file begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// At its first byte.
    Beginning,
    /// At its last one: only what is appended from now on.
    End,
}

/// A source that this version cannot run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unavailable {
    /// Its name in the fleet file.
    pub name: String,
    /// Where it, or the key that is in the way, stands in the fleet file.
    pub place: Place,
    /// Why it is not run: `type packet is not available in this version`.
    pub reason: String,
}

/// What a source of the file comes to on a host.
pub(super) enum Outcome {
    Run(Source),
    Unavailable(Unavailable),
    /// Switched off, or an override of something that the host does not have.
    Off,
}

/// Reads one source. `declared` is the type that some layer of the file gives this name.
pub(super) fn read(
    name: &str,
    fields: &mut Fields<'_>,
    declared: Option<&str>,
    strictness: Strictness,
) -> Read<Outcome> {
    let enabled = fields.or("enabled", "true", rule::truth);
    let own = fields.optional("type", rule::word(&TYPES.map(|(name, kind)| (name, (name, kind)))));
    let place = fields.place();
    let unavailable = |place, reason| Outcome::Unavailable(Unavailable { name: name.to_owned(), place, reason });
    let Ok(own) = own else {
        fields.allow_any_key();
        return own.map(|_| Outcome::Off);
    };
    let inherited = || TYPES.into_iter().find(|(type_name, _)| declared == Some(*type_name));
    let Some((type_name, kind)) = own.or_else(inherited) else {
        fields.allow_any_key();
        return match enabled? {
            false => Ok(Outcome::Off),
            true if declared.is_some() => Ok(Outcome::Off),
            true => Err(fields.missing("type")),
        };
    };
    match kind {
        Type::Later => {
            fields.allow_any_key();
            let reason = format!("type {type_name} is not available in this version");
            Ok(if enabled? { unavailable(place, reason) } else { Outcome::Off })
        }
        Type::File => {
            let later = FILE_KEYS_LATER.map(|key| (key, fields.later(key)));
            let whole = own.is_some() && enabled == Ok(true);
            let file = file(fields, whole)?;
            if !enabled? {
                return Ok(Outcome::Off);
            }
            if own.is_none() {
                let reason = "no group that holds for this host gives it a type".to_owned();
                return Ok(if strictness == Strictness::Host { unavailable(place, reason) } else { Outcome::Off });
            }
            if let Some((key, place)) = later.into_iter().find_map(|(key, place)| Some((key, place?))) {
                return Ok(unavailable(place, format!("key '{key}' is not available in this version")));
            }
            Ok(Outcome::Run(Source { name: name.to_owned(), place, kind: SourceKind::File(file) }))
        }
    }
}

/// Reads the keys of a file source; `whole`: it is to be run, so what is required must be there.
fn file(fields: &mut Fields<'_>, whole: bool) -> Read<FileSource> {
    let include = fields.list("include", pattern);
    let exclude = fields.list("exclude", pattern);
    let from = fields.or("from", "beginning", rule::word(&[("beginning", From::Beginning), ("end", From::End)]));
    let format = fields.or("format", "auto", rule::name);
    let lane = fields.or("lane", "normal", rule::word(&Lane::ALL.map(|lane| (lane.name(), lane))));
    let default = rule::show_size(LINE_BYTES_DEFAULT as u64);
    let max_line_bytes = fields.or("max_line_bytes", &default, rule::size(LINE_BYTES_MIN..=LINE_BYTES_MAX as u64));
    let include = include?.unwrap_or_default();
    if whole && include.is_empty() {
        return Err(fields.missing("include"));
    }
    Ok(FileSource {
        include,
        exclude: exclude?.unwrap_or_default(),
        from: from?,
        format: format?,
        lane: lane?,
        max_line_bytes: usize::try_from(max_line_bytes?).unwrap_or(LINE_BYTES_MAX),
    })
}

/// A glob of absolute paths.
fn pattern(text: &str) -> Result<String, String> {
    let text = rule::text(PATTERN_CHARS_MAX)(text)?;
    if !text.starts_with('/') {
        return Err(format!("'{text}' is not an absolute path; begin it with '/'"));
    }
    match globset::GlobBuilder::new(&text).literal_separator(true).build() {
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}
