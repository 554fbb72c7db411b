//! The examples of docs/reducing.md and docs/matching.md are right, and take the lines that they say they take.

use std::path::Path;
use std::sync::LazyLock;

use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use super::Downstream;
use crate::event::Event;
use crate::matcher::{Matcher, Placeholders, Scratch, rules};
use crate::normalize::{self, Line, Origin};

const REDUCING: &str = include_str!("../../../docs/reducing.md");
const MATCHING: &str = include_str!("../../../docs/matching.md");
/// What stands in front of an example that names no sinks.
const BEFORE: &str = "version: 1\n";
const SINKS: &str = "sinks: { lake: { type: parquet }, siem: { type: ndjson, path: siem.ndjson } }\n";

fn examples(document: &'static str) -> Vec<&'static str> {
    let blocks = document.split("```yaml\n").skip(1);
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

static ORIGIN: LazyLock<Origin> = LazyLock::new(Origin::default);

/// The event of a line.
fn event_of(text: &str) -> Event<'_> {
    let chain = ChainId { agent: AgentId([1; 16]), lane: Lane::High, epoch: Epoch(1) };
    let at = Timestamp::from_ms(1_767_607_200_000);
    let mut event = Event::new(EventId { chain, record: 1, part: 0 }, at, at);
    let line = Line { raw: text.as_bytes(), read_at: at, received_at: at, full_size: None };
    normalize::line(&line, &ORIGIN, at, &mut event);
    event
}

fn hits(matcher: &Matcher, event: &Event<'_>) -> Vec<usize> {
    let mut hits = Vec::new();
    matcher.matches(event, &mut Scratch::default(), &mut hits);
    hits
}

/// Whether a rule or a route with a predicate takes the line; a redaction, whether it finds something.
fn takes(downstream: &Downstream, text: &str) -> bool {
    let mut event = event_of(text);
    let hits = hits(&downstream.matcher, &event);
    let mut reducer = crate::reduce::Reducer::new(downstream.rules.clone());
    let _ = reducer.event(&mut event, |predicate| hits.contains(&predicate), &mut |_| Ok::<_, ()>(()));
    !hits.is_empty() || reducer.take_counts().rules.iter().any(|count| count.reduced > 0)
}

/// Holds an example against its lines; gives how many it says that it takes, and leaves.
fn judge(example: &str, takes: impl Fn(&str) -> bool) -> [usize; 2] {
    let said = |mark: &'static str| example.lines().filter_map(move |line| line.strip_prefix(mark));
    said("# takes: ").for_each(|text| assert!(takes(text), "{example}\ndoes not take\n{text}"));
    said("# leaves: ").for_each(|text| assert!(!takes(text), "{example}\ntakes\n{text}"));
    [said("# takes: ").count(), said("# leaves: ").count()]
}

fn sum(counts: impl Iterator<Item = [usize; 2]>) -> [usize; 2] {
    counts.fold([0; 2], |[taken, left], [takes, leaves]| [taken + takes, left + leaves])
}

#[test]
fn every_example_of_reducing_reads_and_takes_the_lines_that_it_says() {
    let examples = examples(REDUCING);
    assert!(examples.len() >= 13, "{}", examples.len());
    let [taken, left] = sum(examples.into_iter().map(|example| {
        let downstream = read(example);
        judge(example, |text| takes(&downstream, text))
    }));
    assert!(taken >= 15 && left >= 10, "{taken} {left}");
    let noise = REDUCING.split("## Ten sources of noise").nth(1).unwrap();
    let sections: Vec<&str> = noise.split("\n### ").skip(1).collect();
    assert_eq!(sections.len(), 10);
    for section in sections {
        assert!(section.contains("# takes: ") && section.contains("# leaves: "), "{section}");
    }
}

#[test]
fn every_example_of_matching_reads_and_takes_the_lines_that_it_says() {
    let [taken, left] = sum(examples(MATCHING).into_iter().map(|example| {
        if example.contains("\ntitle: ") {
            let rule = rules("example.yml", example.as_bytes(), &Placeholders::new()).remove(0);
            let rule = rule.unwrap_or_else(|problems| panic!("{problems}\n{example}"));
            let matcher = Matcher::new(vec![rule.predicate]).unwrap();
            return judge(example, |text| !hits(&matcher, &event_of(text)).is_empty());
        }
        let indented: String = example.lines().map(|line| format!("  {line}\n")).collect();
        let downstream = read(&format!("routes:\n- to: lake\n{indented}"));
        judge(example, |text| takes(&downstream, text))
    }));
    assert!(taken >= 7 && left >= 7, "{taken} {left}");
}
