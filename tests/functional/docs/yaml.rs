//! The YAML blocks of the pages: which file each is of, by its keys, and what `validate` says of it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use picket_tests::harness::{Aggregator, Pace, Place, Programs};
use serde_json::Value;

use super::page::{Step, pages, steps};
use super::root;

/// The file that a block is of, or a part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Fleet,
    /// What stands below `defaults` or a group.
    Layer,
    Agent,
    Aggregator,
    Parsers,
    /// Predicates, each below a `where` of its own.
    Wheres,
    /// A rule of Sigma.
    Rule,
}

fn kind(text: &str) -> Kind {
    let keys: Vec<&str> = text.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key).collect();
    let has = |any: &[&str]| keys.iter().any(|key| any.contains(key));
    if has(&["where"]) {
        Kind::Wheres
    } else if has(&["detection"]) {
        Kind::Rule
    } else if has(&["patterns"]) || text.contains("parsers:\n  - name:") {
        Kind::Parsers
    } else if has(&["defaults", "groups"]) {
        Kind::Fleet
    } else if has(&["sources", "spool", "limits"]) {
        Kind::Layer
    } else if has(&["aggregators", "labels", "hostname"]) {
        Kind::Agent
    } else {
        Kind::Aggregator
    }
}

/// What `validate` finds wrong or doubtful, of the checks named.
fn findings(program: &Path, arguments: &[&str], checks: &[&str]) -> anyhow::Result<Vec<String>> {
    let output = Command::new(program).arg("validate").args(arguments).args(["--output", "json"]).output()?;
    let rows: Vec<Value> =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let ours: Vec<&Value> = rows.iter().filter(|row| checks.iter().any(|check| row["check"] == *check)).collect();
    ensure!(!ours.is_empty(), "none of {checks:?} was looked at: {rows:?}");
    let wrong = ours.into_iter().filter(|row| row["outcome"] != "ok");
    Ok(wrong.map(|row| row["detail"].as_str().unwrap_or_default().to_owned()).collect())
}

/// What is wrong with a block.
fn problems(text: &str, place: &Place, programs: &Programs) -> anyhow::Result<Vec<String>> {
    let write = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = place.at("aggregator").join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let aggregator = |text: &str, check: &str| -> anyhow::Result<Vec<String>> {
        let mut whole = text.to_owned();
        for (key, line) in [
            ("version", "version: 1\n"),
            ("state_dir", "state_dir: state\n"),
            ("sinks", "sinks: { lake: { type: parquet }, siem: { type: ndjson, path: siem.ndjson } }\n"),
        ] {
            if !text.lines().any(|line| line.starts_with(&format!("{key}:"))) {
                whole.insert_str(0, line);
            }
        }
        let mut wrong = findings(&programs.aggregator, &["-c", &write("shown.yaml", &whole)?], &[check])?;
        // Of sinks that only stand in for those of the reader.
        wrong.retain(|wrong| text.contains("sinks:") || !wrong.contains("no route leads to sink"));
        Ok(wrong)
    };
    match kind(text) {
        Kind::Fleet => findings(&programs.aggregator, &["--fleet", &write("f.yaml", text)?], &["fleet"]),
        Kind::Layer => {
            let layer: String = text.lines().map(|line| format!("  {line}\n")).collect();
            let file = write("f.yaml", &format!("version: 1\ndefaults:\n{layer}"))?;
            findings(&programs.aggregator, &["--fleet", &file], &["fleet"])
        }
        Kind::Agent => {
            let version = if text.contains("version:") { "" } else { "version: 1\n" };
            findings(&programs.agent, &["-c", &write("agent.yaml", &format!("{version}{text}"))?], &["config"])
        }
        Kind::Aggregator => aggregator(text, "config"),
        Kind::Parsers => {
            write("shown-parsers.yaml", text)?;
            aggregator("parsers: [shown-parsers.yaml]\n", "parsers")
        }
        Kind::Wheres | Kind::Rule => {
            // In a file of its own a predicate stands without the key.
            let predicates = text.split("where:").skip(1);
            let rules: Vec<&str> = if kind(text) == Kind::Rule { vec![text] } else { predicates.collect() };
            let mut wrong = Vec::new();
            for rule in rules {
                let rule = write("rule.yml", rule)?;
                let output =
                    Command::new(&programs.aggregator).args(["match", "--rule", &rule, "/dev/null"]).output()?;
                if !output.status.success() {
                    wrong.push(String::from_utf8_lossy(&output.stderr).into_owned());
                }
            }
            Ok(wrong)
        }
    }
}

#[test]
fn every_block_of_yaml_is_one_that_validate_takes() -> anyhow::Result<()> {
    let (place, programs) = (Place::new("docs-yaml")?, Programs::of_this_build()?);
    drop(Aggregator::init(&programs, &place.at("aggregator"), Pace::BRISK)?);
    let mut count = 0;
    for (page, text) in pages(&root())? {
        for step in steps(&text)? {
            let Step::Yaml(block) = step else { continue };
            let wrong = problems(&block.text, &place, &programs).with_context(|| format!("{page}:{}", block.line))?;
            ensure!(wrong.is_empty(), "{page}:{}: {}\n{}", block.line, wrong.join("\n"), block.text);
            count += 1;
        }
    }
    ensure!(count > 25, "only {count} blocks were found");
    Ok(())
}

#[test]
fn a_block_is_told_by_its_keys() {
    let kinds = [
        ("version: 1\ngroups: []\n", Kind::Fleet),
        ("sources: {}\n", Kind::Layer),
        ("version: 1\naggregators: []\n", Kind::Agent),
        ("routes: []\n", Kind::Aggregator),
        ("version: 1\nparsers: [parsers.d]\n", Kind::Aggregator),
        ("parsers:\n  - name: shop\n", Kind::Parsers),
        ("where: {}\nwhere: {}\n", Kind::Wheres),
        ("title: x\ndetection: {}\n", Kind::Rule),
    ];
    kinds.into_iter().for_each(|(text, expected)| assert_eq!(kind(text), expected, "{text}"));
}
