//! Promise: every line of every set of the corpora becomes a valid event that holds all of it; of the formats that are known
//! by name most lines get a class of their own with what they say in its attributes, and `auto` reads them as well as
//! somebody who names the format.
//!
//! The sets say what they expect of a line in their own words (`sets`, one file a project: a small table of their fields and
//! ours). What is measured is printed, held against `least`, and written into docs/normalization.md with
//! `PICKET_WRITE_DOCS=1`. Values where a set expects what we mean to say otherwise are listed with the reason in `known`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing on the spot"
)]

mod case;
mod clock;
mod judge;
mod known;
mod least;
mod own;
mod page;
mod registry;
mod sets;
mod table;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aggregator::normalize::{Format, Understood};
use picket_tests::harness::{Random, corpus};

use self::case::Case;
use self::judge::Judge;
use self::known::KNOWN;
use self::least::LEAST;
use self::registry::Registry;
use self::table::Table;

/// What all sets came to; made once for all tests here.
struct Measured {
    by_format: Table,
    by_file: Table,
    /// Events that are not valid, or lost something.
    problems: Vec<String>,
    /// Values that are not as expected, and how often each entry of [`KNOWN`] explains one.
    wrong: Vec<String>,
    explained: Vec<usize>,
}

/// Every case of the corpora.
fn cases() -> Option<Vec<Case>> {
    let logs = corpus("logs")?;
    Some(sets::cases(&logs, ""))
}

fn measured() -> Option<&'static Measured> {
    static MEASURED: OnceLock<Option<Measured>> = OnceLock::new();
    MEASURED.get_or_init(measure).as_ref()
}

fn measure() -> Option<Measured> {
    let (judge, registry) = (Judge::new(&corpus("")?), Registry::read(&registry::folder()));
    let mut measured = Measured {
        by_format: Table::default(),
        by_file: Table::default(),
        problems: Vec::new(),
        wrong: Vec::new(),
        explained: vec![0; KNOWN.len()],
    };
    for mut case in cases()? {
        let seen = judge.see(&case, Format::AUTO);
        let place = format!("{}:{}: {}", case.file, case.number, String::from_utf8_lossy(&case.line));
        measured.problems.extend(seen.problems.iter().map(|problem| format!("{place}\n  {problem}")));
        let expected = std::mem::take(&mut case.expected);
        for expected in expected {
            if let Some(found) = seen.wrong(&case, &expected) {
                if let Some(known) = KNOWN.iter().position(|known| known.explains(&case, &expected)) {
                    measured.explained[known] += 1;
                    continue;
                }
                let value = format!("{:?} {} = {:?}, found {found}", expected.what, expected.key, expected.value);
                measured.wrong.push(format!("{place}\n  {value}"));
            }
            case.expected.push(expected);
        }
        measured.by_format.count(&seen.row(&case, &registry), &case, &seen);
        measured.by_file.count(&case.file, &case, &seen);
    }
    Some(measured)
}

#[test]
fn every_line_of_every_set_becomes_a_valid_event_that_holds_all_of_it() {
    let Some(measured) = measured() else { return };
    println!("{}\n{}", measured.by_format, measured.by_file);
    let problems = &measured.problems;
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn lines_of_known_formats_get_a_class_with_what_they_say() {
    let Some(measured) = measured() else { return };
    let mut below = Vec::new();
    for (name, row) in &measured.by_format.0 {
        if !name.starts_with("raw") && !name.starts_with("plain") && !name.ends_with(')') {
            println!("    {},", least::line(name, row));
        }
    }
    for least in LEAST {
        match measured.by_format.0.get(least.format) {
            None => below.push(format!("{}: no lines", least.format)),
            Some(row) => below.extend(least.missed(row)),
        }
    }
    assert!(below.is_empty(), "below least.rs:\n{}", below.join("\n"));
}

#[test]
fn what_sets_expect_otherwise_is_known_with_its_reason() {
    let Some(measured) = measured() else { return };
    if std::env::var_os("PICKET_VERBOSE").is_some() {
        println!("{}", measured.wrong.join("\n"));
    }
    for (known, times) in KNOWN.iter().zip(&measured.explained) {
        assert!(!known.reason.is_empty(), "{} {}: no reason", known.file, known.value);
        assert!(*times > 0, "{} {}: nothing of it is wrong any more; take it out of known.rs", known.file, known.value);
    }
}

#[test]
fn rows_below_the_aim_are_known_with_their_reason() {
    let Some(measured) = measured() else { return };
    let named = |name: &str| !name.starts_with("raw") && !name.starts_with("plain") && !name.ends_with(')');
    let short = |row: &table::Row| row.class.percent() < known::AIM || row.promised().percent() < known::AIM;
    let reason = |name: &str| known::SHORT.iter().any(|(row, _)| *row == name);
    let rows = measured.by_format.0.iter().filter(|(name, row)| named(name) && short(row));
    let silent: Vec<_> = rows.map(|(name, _)| name).filter(|name| !reason(name)).collect();
    assert!(silent.is_empty(), "below {} % without a reason in known.rs: {silent:?}", known::AIM);
}

/// The format that somebody would name for a file: the one that gives most of its first lines a class, if it is half of them.
fn named(judge: &Judge, cases: &[&Case]) -> Format {
    const FIRST: usize = 20;
    let formats = Format::names().filter(|name| !matches!(*name, "auto" | "raw" | "plain"));
    let classed = |case: &&&Case, format: &Format| judge.see(case, format.clone()).understood == Understood::Class;
    let score = |format: &Format| cases.iter().take(FIRST).filter(|case| classed(case, format)).count();
    let mut best = (0, Format::AUTO);
    for format in formats.map(|name| name.parse::<Format>().unwrap()) {
        let score = score(&format);
        if score > best.0 && score * 2 >= cases.len().min(FIRST) {
            best = (score, format);
        }
    }
    best.1
}

#[test]
fn auto_reads_shuffled_lines_as_well_as_somebody_who_names_their_format() {
    let (Some(folder), Some(cases)) = (corpus(""), cases()) else { return };
    let judge = Judge::new(&folder);
    let mut files: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        files.entry(&case.file).or_default().push(case);
    }
    let mut lines: Vec<(&Case, Format)> = Vec::new();
    for cases in files.values() {
        let format = named(&judge, cases);
        if format.name() != "auto" {
            // Sets of thousands of lines of one kind show nothing that their first do not.
            lines.extend(cases.iter().take(200).map(|case| (*case, format.clone())));
        }
    }
    let seed = std::env::var("PICKET_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("PICKET_SEED={seed}");
    let mut random = Random::new(seed);
    for at in (1..lines.len()).rev() {
        lines.swap(at, random.below(at as u64 + 1) as usize);
    }
    let mut worse: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut same = 0;
    for (case, format) in &lines {
        let (auto, named) = (judge.see(case, Format::AUTO), judge.see(case, format.clone()));
        // What a named format does not understand, auto may.
        if auto.event == named.event || named.understood == Understood::Nothing {
            same += 1;
            continue;
        }
        let read = auto.event["metadata"]["log_format"].as_str().unwrap_or("raw");
        let kind = format!("{} read as {read}", format.name());
        let entry = worse.entry(kind).or_default();
        *entry = (entry.0 + 1, format!("{}:{}", case.file, case.number));
    }
    let share = 100.0 * f64::from(same) / lines.len() as f64;
    println!("{} lines, {share:.2} % read by auto as by their format; the others: {worse:#?}", lines.len());
    assert!(share >= least::AUTO, "{share} %: {worse:#?}");
}

/// What does not depend on the corpora is compared where they are not; with `PICKET_WRITE_DOCS=1` the page is written.
#[test]
fn the_page_of_formats_names_every_parser_in_its_own_words() {
    let registry = Registry::read(&registry::folder());
    let page = std::fs::read_to_string(page::path()).unwrap();
    let parts = page::parts(&page).unwrap();
    if std::env::var_os("PICKET_WRITE_DOCS").is_some()
        && let Some(measured) = measured()
    {
        let middle = page::middle(&registry, &measured.by_format);
        std::fs::write(page::path(), page::joined(parts, &middle)).unwrap();
        return;
    }
    let parsers = registry.formats.iter().chain(&registry.programs);
    let rows = parsers.map(|parser| (page::beginning(&parser.names[0], parser), &parser.names[0]));
    let missing: Vec<_> = rows.filter(|(row, _)| !parts.1.contains(row.as_str())).map(|(_, name)| name).collect();
    let all = Format::names().all(|name| ["auto", "raw"].contains(&name) || page.contains(&format!("| `{name}`")));
    assert!(missing.is_empty() && all, "not as in docs/normalization.md: {missing:?}; PICKET_WRITE_DOCS=1 writes it");
}
