//! The examples of docs/reducing.md are right, and take the lines that they say they take.

use std::path::Path;

use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use super::Downstream;
use crate::event::Event;
use crate::matcher::Scratch;
use crate::normalize::{self, Line, Origin};

const DOCUMENT: &str = include_str!("../../../docs/reducing.md");
/// What stands in front of an example that names no sinks.
const BEFORE: &str = "version: 1\n";
const SINKS: &str = "sinks: { lake: { type: parquet }, siem: { type: ndjson, path: siem.ndjson } }\n";

fn examples() -> Vec<&'static str> {
    let blocks = DOCUMENT.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

fn read(example: &str) -> Downstream {
    let sinks = if example.contains("sinks:") { "" } else { SINKS };
    let text = format!("{BEFORE}{sinks}{example}");
    match super::parse(Path::new("example.yaml"), text.as_bytes()) {
        Ok(loaded) => {
            let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            let wrong = warnings.iter().find(|warning| warning.contains("is no OCSF path"));
            assert_eq!(wrong, None, "{example}");
            loaded.config.downstream
        }
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// Whether a rule or a route with a predicate takes the line; a redaction, whether it finds something.
fn takes(downstream: &Downstream, text: &str) -> bool {
    let chain = ChainId { agent: AgentId([1; 16]), lane: Lane::High, epoch: Epoch(1) };
    let at = Timestamp::from_ms(1_767_607_200_000);
    let origin = Origin::default();
    let mut event = Event::new(EventId { chain, record: 1, part: 0 }, at, at);
    let line = Line { raw: text.as_bytes(), read_at: at, received_at: at, full_size: None };
    normalize::line(&line, &origin, at, &mut event);
    let (mut scratch, mut hits) = (Scratch::default(), Vec::new());
    downstream.matcher.matches(&event, &mut scratch, &mut hits);
    let mut reducer = crate::reduce::Reducer::new(downstream.rules.clone());
    let _ = reducer.event(&mut event, |predicate| hits.contains(&predicate), &mut |_, _| Ok::<_, ()>(()));
    !hits.is_empty() || reducer.take_counts().rules.iter().any(|count| count.reduced > 0)
}

#[test]
fn every_example_reads_and_takes_the_lines_that_it_says() {
    let examples = examples();
    assert!(examples.len() >= 13, "{}", examples.len());
    let (mut taken, mut left) = (0, 0);
    for example in examples {
        let downstream = read(example);
        for line in example.lines() {
            if let Some(text) = line.strip_prefix("# takes: ") {
                assert!(takes(&downstream, text), "{example}\ndoes not take\n{text}");
                taken += 1;
            }
            if let Some(text) = line.strip_prefix("# leaves: ") {
                assert!(!takes(&downstream, text), "{example}\ntakes\n{text}");
                left += 1;
            }
        }
    }
    assert!(taken >= 15 && left >= 10, "{taken} {left}");
}
