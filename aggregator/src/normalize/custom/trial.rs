//! A parser's `tests:`: lines, and what the events of them hold.

use std::sync::Arc;

use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::printable::Excerpt;
use shared::time::Timestamp;
use shared::yaml::{Place, Problem};

use super::Parser;
use crate::event::{Event, json};
use crate::normalize::{Format, Line, Origin, Understood, line};

/// A line and what is expected of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Trial {
    pub(super) place: Place,
    pub(super) line: String,
    /// Whether a pattern is in it.
    pub(super) matches: bool,
    /// Paths of the event and what stands there.
    pub(super) expect: Vec<(String, String, Place)>,
}

/// When the lines are read: 2026-03-16T09:30:00Z, of which times without a year are before.
const READ_AT: Timestamp = Timestamp::from_seconds(1_773_653_400);

/// What the lines of a parser do not come to.
pub(super) fn problems(parser: &Arc<Parser>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |place, message: String| {
        let message = format!("parser {}: {message}", parser.name);
        problems.push(Problem { file: Arc::clone(&parser.file), place, message });
    };
    for trial in &parser.trials {
        let (understood, event) = event(parser, &trial.line);
        let matches = understood != Understood::Nothing;
        if matches != trial.matches {
            let found = if matches { "a pattern matches it" } else { "no pattern matches it" };
            say(trial.place, format!("{found}: {}", Excerpt(&trial.line)));
            continue;
        }
        for (path, expected, place) in &trial.expect {
            let found = value(&event, path);
            // A whole second may be written without its fraction.
            let whole = found.as_deref().and_then(|found| found.strip_suffix(".000Z")).filter(|_| path == "time");
            if whole.is_some_and(|whole| expected.strip_suffix('Z') == Some(whole)) {
                continue;
            }
            if found.as_deref() != Some(expected.as_str()) {
                let found = found.unwrap_or_else(|| "nothing".to_owned());
                say(*place, format!("{} is {}, not {}", Excerpt(path), Excerpt(&found), Excerpt(expected)));
            }
        }
    }
    problems
}

fn event(parser: &Arc<Parser>, text: &str) -> (Understood, serde_json::Value) {
    let origin = Origin { format: Format::custom(Arc::clone(parser)), ..Origin::default() };
    let fields = origin.fields();
    let chain = ChainId { agent: AgentId::default(), lane: Lane::Normal, epoch: Epoch(0) };
    let mut event = Event::new(EventId { chain, record: 1, part: 0 }, READ_AT, READ_AT);
    event.shared = &fields;
    let input = Line { raw: text.as_bytes(), read_at: READ_AT, received_at: READ_AT, full_size: None };
    let understood = line(&input, &origin, READ_AT, &mut event);
    let mut out = String::new();
    json::write(&event, &mut out);
    (understood, serde_json::from_str(&out).unwrap_or_default())
}

/// What stands under a key whose dots nest, or, where they do not, stay.
fn within<'v>(object: &'v serde_json::Value, key: &str) -> Option<&'v serde_json::Value> {
    let below = |(head, rest): (&str, &str)| within(object.get(head)?, rest);
    object.get(key).or_else(|| key.split_once('.').and_then(below))
}

/// What stands at a path, as text; of a list its first element, of `time` RFC 3339 too.
fn value(event: &serde_json::Value, path: &str) -> Option<String> {
    let mut found = event;
    if let Some(key) = path.strip_prefix("unmapped.") {
        found = within(event.get("unmapped")?, key)?;
    } else {
        for name in path.split('.') {
            found = found.get(name.trim_end_matches("[]"))?;
            found = if name.ends_with("[]") { found.get(0)? } else { found };
        }
    }
    match (path, found.as_i64()) {
        ("time", Some(ms)) => Some(Timestamp::from_ms(ms).to_string()),
        _ => Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned)),
    }
}
