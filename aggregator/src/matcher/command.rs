//! `picket-aggregator match`: events in (NDJSON), those that a rule takes out.
//!
//! In: lines, each a JSON object. Out: the lines of those that at least one rule takes, byte for byte, and counts. A line
//! that is no object is counted and left out.

use std::io::{self, BufRead, Write};

use serde_json::{Map, Value};

use super::{Json, LogSource, Matcher, Scratch};

/// What stopped the command.
#[derive(Debug, thiserror::Error)]
pub enum MatchError {
    /// The events could not be read.
    #[error("cannot read events: {0}")]
    Read(#[source] io::Error),
    /// The events could not be written; a closed pipe ends here too.
    #[error("cannot write events: {0}")]
    Write(#[source] io::Error),
}

/// What there was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Lines that are events.
    pub events: u64,
    /// Lines that are not; empty ones are not counted.
    pub unread: u64,
    /// Events that were written.
    pub matched: u64,
    /// Hits by rule.
    pub hits: Vec<u64>,
}

/// Copies the events of `input` that a rule takes; events that are not OCSF are of `source`.
///
/// # Errors
/// When reading or writing fails; events written before stay written.
pub fn filter(
    matcher: &Matcher,
    source: Option<&LogSource>,
    mut input: impl BufRead,
    mut output: impl Write,
    summary: &mut Summary,
) -> Result<(), MatchError> {
    let (mut line, mut scratch, mut hits) = (Vec::new(), Scratch::default(), Vec::new());
    summary.hits.resize(matcher.len(), 0);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).map_err(MatchError::Read)? == 0 {
            return output.flush().map_err(MatchError::Write);
        }
        let Ok(object) = serde_json::from_slice::<Map<String, Value>>(&line) else {
            summary.unread += u64::from(!line.trim_ascii().is_empty());
            continue;
        };
        summary.events += 1;
        matcher.matches(&Json::new(&object, source), &mut scratch, &mut hits);
        if hits.is_empty() {
            continue;
        }
        for number in &hits {
            if let Some(count) = summary.hits.get_mut(*number) {
                *count += 1;
            }
        }
        summary.matched += 1;
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        output.write_all(&line).map_err(MatchError::Write)?;
    }
}
