//! Promise: a rule takes exactly the events that the Sigma specification says it takes.
//!
//! Shown by the conformance cases, by events whose rules two other engines agree on, by SigmaHQ's own regression events, and
//! by rules and events of a seed, held against a slow evaluator that is written another way.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing on the spot"
)]

mod generated;
mod naive;
mod ocsf;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aggregator::matcher::{Json, LogSource, Matcher, Placeholders, Predicate, Rule, Scratch, rules};
use picket_tests::harness::sigma::{self, Golden, folder, golden};
use serde_json::{Map, Value};

/// What differs from what a corpus expects, and why: `(rule or case, why)`. Empty: nothing does.
const DIFFERENCES: &[(&str, &str)] = &[];

/// SigmaHQ's rules, and what was refused of them.
fn sigmahq() -> Option<&'static (Vec<Rule>, Vec<String>)> {
    static LOADED: LazyLock<Option<(Vec<Rule>, Vec<String>)>> = LazyLock::new(sigma::loaded);
    LOADED.as_ref()
}

fn explained(name: &str) -> bool {
    DIFFERENCES.iter().any(|(known, _)| *known == name)
}

fn matcher<'r>(rules: impl IntoIterator<Item = &'r Rule>) -> Matcher {
    Matcher::new(rules.into_iter().map(|rule| rule.predicate.clone()).collect()).unwrap()
}

fn hits(
    matcher: &Matcher,
    event: &Map<String, Value>,
    source: Option<&LogSource>,
    scratch: &mut Scratch,
) -> Vec<usize> {
    let mut hits = Vec::new();
    matcher.matches(&Json::new(event, source), scratch, &mut hits);
    hits
}

#[test]
fn every_conformance_case_is_as_the_specification_says() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("conformance/detection_edge_cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let rule = rules(name, case["rule"].as_str().unwrap().as_bytes(), &Placeholders::new()).remove(0);
        let rule = rule.unwrap_or_else(|problems| panic!("{name}: {problems}"));
        let event = case["event"].as_object().unwrap();
        let source = rule.predicate.source.clone();
        let took = !hits(&matcher([&rule]), event, Some(&source), &mut Scratch::default()).is_empty();
        if took != case["expected"].as_bool().unwrap() && !explained(name) {
            wrong.push(name);
        }
    }
    println!("{} conformance cases", cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_rule_loads_or_says_in_one_line_why_not() {
    let Some((loaded, refused)) = sigmahq() else { return };
    println!("{} rules load, {} are refused", loaded.len(), refused.len());
    refused.iter().for_each(|line| println!("{line}"));
    assert_eq!(loaded.len() + refused.len(), sigma::files().unwrap().len());
    assert!(refused.iter().all(|said| !said.contains('\n') && said.contains(".yml:")));
    assert!(refused.iter().all(|said| explained(said)), "{refused:#?}");
    let ids: BTreeSet<&str> = loaded.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids.len(), loaded.len(), "each has an id of its own");

    let matcher = matcher(loaded);
    println!("without a text to find their events by:");
    for number in matcher.unfilterable() {
        let rule = &loaded[*number];
        println!("{} {} ({})", rule.id, rule.title, rule.predicate.source.words().join("/"));
    }
}

#[test]
fn golden_events_fire_exactly_their_rules() {
    let Some((loaded, _)) = sigmahq() else { return };
    let known: BTreeSet<&str> = loaded.iter().map(|rule| rule.id.as_str()).collect();
    let matcher = matcher(loaded);
    let mut scratch = Scratch::default();
    for name in ["real", "rule_derived"] {
        let events = golden(name).unwrap();
        let (mut fired, mut distinct, mut wrong) = (0, BTreeSet::new(), Vec::new());
        for Golden { place, source, event, expected } in &events {
            let expected: BTreeSet<&str> =
                expected.iter().map(String::as_str).filter(|id| known.contains(id) && !explained(id)).collect();
            let found = hits(&matcher, event, Some(source), &mut scratch);
            let found: BTreeSet<&str> =
                found.iter().map(|number| loaded[*number].id.as_str()).filter(|id| !explained(id)).collect();
            fired += found.len();
            distinct.extend(found.iter().copied());
            if found != expected {
                wrong.push(format!("{place}: found {found:?}, expected {expected:?}"));
            }
        }
        println!("{name}: {} events, {fired} hits of {} rules, {} differ", events.len(), distinct.len(), wrong.len());
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn regression_events_of_sigmahq_fire_their_rule() {
    let Some((loaded, _)) = sigmahq() else { return };
    let rules: BTreeMap<&str, &Rule> = loaded.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    let (mut held, mut unknown, mut wrong) = (0, 0, Vec::new());
    for path in files_below(&folder().unwrap().join("regression_data")) {
        let id = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let events: Vec<Value> = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => serde_json::Deserializer::from_slice(&bytes).into_iter().map(Result::unwrap).collect(),
            Some("raw") => {
                String::from_utf8_lossy(&bytes).lines().map(|line| serde_json::json!({"message": line})).collect()
            }
            _ => continue,
        };
        let Some(rule) = rules.get(id.as_str()) else {
            unknown += 1;
            continue;
        };
        let matcher = matcher([*rule]);
        let fires = |event: &Value| {
            let source = Some(&rule.predicate.source);
            !hits(&matcher, &windows(event), source, &mut Scratch::default()).is_empty()
        };
        held += 1;
        if !events.iter().flat_map(each).any(fires) && !explained(&id) {
            wrong.push(path);
        }
    }
    println!("{held} regression events, {unknown} of rules that are not there");
    assert!(held > 0 && wrong.is_empty(), "{wrong:#?}");
}

/// The events of a document: one, or a list of them.
fn each(document: &Value) -> Vec<&Value> {
    document.as_array().map_or_else(|| vec![document], |events| events.iter().collect())
}

/// An event of Windows as rules name its fields: those of `EventData` and `UserData`, and of `System`.
fn windows(event: &Value) -> Map<String, Value> {
    let mut flat = Map::new();
    let Some(event) = event.get("Event") else { return event.as_object().unwrap().clone() };
    for part in ["System", "EventData", "UserData"] {
        for (key, value) in event.get(part).and_then(Value::as_object).into_iter().flatten() {
            match value {
                Value::Object(inner) if part == "UserData" => {
                    flat.extend(inner.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                Value::Object(inner) => {
                    let attributes = inner.get("#attributes").and_then(Value::as_object).into_iter().flatten();
                    flat.extend(attributes.map(|(name, value)| (format!("{key}_{name}"), value.clone())));
                    if let Some(text) = inner.get("#text") {
                        flat.insert(key.clone(), text.clone());
                    }
                }
                value => {
                    flat.insert(key.clone(), value.clone());
                }
            }
        }
    }
    flat
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// A `where`, as it stands in a configuration.
fn wanted(text: &str) -> Predicate {
    let node = shared::yaml::tree::parse(&std::sync::Arc::from("where"), text.as_bytes()).unwrap();
    Predicate::parse(&node).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"))
}
