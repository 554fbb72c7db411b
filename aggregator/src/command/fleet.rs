//! `fleet status|diff`: which fleet file is in force and who runs it; what another file would change, before it is in force.
//!
//! Both ask the running aggregator. `diff` resolves the file in force and the other one for each agent that said Hello since
//! the aggregator started, with the name and labels that it claims and the group that the roster grants.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value};
use shared::exit::{Exit, Reason};
use shared::fleet::document::{Document, hash};
use shared::fleet::{Fleet, HostFacts};
use shared::table::Table;

use super::agents::config_word;
use super::{answer, card, configuration};
use crate::admin::http::AgentState;
use crate::admin::report::StatusReport;
use crate::admin::socket::Request;
use crate::cli::{FleetCommand, Options};
use crate::config::{self, Config};

/// Does it.
///
/// # Errors
/// 69 when no aggregator answers, 78 for a file with problems, 64 where there is no file, and the writer's.
pub fn run(options: &Options, command: &FleetCommand, out: impl Write) -> Result<(), Exit> {
    let config = configuration(options)?;
    match command {
        FleetCommand::Status => status(&config, options, out),
        FleetCommand::Diff(arguments) => diff(&config, &arguments.fleet, options, out),
    }
}

fn status(config: &Config, options: &Options, out: impl Write) -> Result<(), Exit> {
    let report: StatusReport = answer(config, &Request::Status)?;
    let fleet = report.fleet.unwrap_or_default();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for state in answer::<Vec<AgentState>>(config, &Request::Agents)? {
        *counts.entry(config_word(Some(&state)).unwrap_or("none")).or_default() += 1;
    }
    let counts: Map<String, Value> = counts.into_iter().map(|(word, count)| (word.to_owned(), count.into())).collect();
    let columns = ["path", "hash", "since", "refused", "warnings", "agents"];
    let values = [
        fleet.path.display().to_string().into(),
        fleet.hash.into(),
        super::moment_or_null(fleet.since),
        fleet.refused.into(),
        fleet.warnings.into(),
        Value::Object(counts),
    ];
    Ok(card::print(out, options.output, &columns, values)?)
}

fn diff(config: &Config, other: &Path, options: &Options, out: impl Write) -> Result<(), Exit> {
    let none = || Exit::new(Reason::Usage, "aggregator.yaml names no fleet file: there is nothing to compare with");
    let now = config::load_fleet(config.fleet.as_deref().ok_or_else(none)?)?;
    let next = config::load_fleet(other)?;
    let mut table = Table::new(out, options.output, &["agent", "hostname", "change", "what"]);
    for state in answer::<Vec<AgentState>>(config, &Request::Agents)?.iter().filter(|state| !state.local_fleet) {
        let document = |fleet: &Fleet| {
            let (hostname, claimed, granted) = (&state.hostname, &state.labels, &state.granted);
            let facts = HostFacts { hostname: hostname.clone(), claimed: claimed.clone(), granted: granted.clone() };
            fleet.document(state.agent, &facts)
        };
        let (now, next) = (document(&now), document(&next));
        if hash(&now.text()) == hash(&next.text()) {
            continue;
        }
        for (change, what) in changes(&now, &next) {
            table.row([
                state.agent.to_string().into(),
                state.hostname.as_str().into(),
                change.into(),
                what.as_str().into(),
            ])?;
        }
    }
    Ok(table.finish()?)
}

/// What differs: groups, sections, sources.
fn changes(now: &Document, next: &Document) -> Vec<(&'static str, String)> {
    let mut changes = Vec::new();
    if now.groups != next.groups {
        changes.push(("changed", format!("groups [{}]", next.groups.join(", "))));
    }
    for section in ["spool", "limits"] {
        if now.layer.get(section) != next.layer.get(section) {
            changes.push(("changed", section.to_owned()));
        }
    }
    let sources = |document: &Document| document.layer.get("sources").and_then(Value::as_object).cloned();
    let (before, after) = (sources(now).unwrap_or_default(), sources(next).unwrap_or_default());
    for (name, source) in &after {
        match before.get(name) {
            None => changes.push(("added", format!("source {name}"))),
            Some(old) if old != source => changes.push(("changed", format!("source {name}"))),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    changes.extend(gone.map(|name| ("removed", format!("source {name}"))));
    changes
}

#[cfg(test)]
mod tests {
    use shared::identity::AgentId;

    use super::*;

    #[test]
    fn added_changed_and_removed_sources_are_named() {
        let document = |text: &str| {
            let text = format!("version: 1\ndefaults: {{ sources: {{ {text} }} }}\n");
            Fleet::parse("f", text.as_bytes()).unwrap().document(AgentId([1; 16]), &HostFacts::default())
        };
        let now = document("a: { type: host }, b: { type: host }, c: { type: host }");
        let next = document("a: { type: host }, b: { type: host, interval: 30s }, d: { type: host }");
        let expected = [("changed", "source b"), ("added", "source d"), ("removed", "source c")];
        assert_eq!(changes(&now, &next), expected.map(|(change, what)| (change, what.to_owned())));
        assert_eq!(changes(&now, &now), []);
    }

    #[test]
    fn examples_of_the_cookbook_are_valid() {
        let text = include_str!("../../../docs/fleet.md");
        let blocks: Vec<&str> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(blocks.len() >= 5, "{}", blocks.len());
        for block in blocks {
            let fleet = Fleet::parse("docs/fleet.md", block.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{block}"));
            assert_eq!(fleet.warnings(), [], "{block}");
        }
    }
}
