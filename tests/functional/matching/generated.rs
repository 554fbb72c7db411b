//! Rules and events of a seed, held against the slow evaluator: all rules together in one matcher, each alone in the other.

use std::sync::Arc;

use aggregator::matcher::{Json, LogSource, Matcher, Placeholders, Rule, Scratch};
use picket_tests::harness::{Random, Seeded};
use serde_json::{Map, Value, json};
use shared::yaml::{Node, tree};

use super::naive;

/// What texts of rules and events are made of, so that they meet often.
const PIECES: [&str; 22] = [
    "ab", "aB", "a", "b", "c", "\\", "*", "?", "\\*", "\\?", "Ä", "ä", " -x", " /X", "—x", "1", "10", "x\ny", "é", "%",
    "ab*", "*b",
];
const FIELDS: [&str; 6] = ["a", "b", "c.d", "e f", "l", "n"];
const CHAINS: [&str; 28] = [
    "",
    "",
    "",
    "|contains",
    "|contains",
    "|startswith",
    "|endswith",
    "|contains|all",
    "|all",
    "|cased",
    "|contains|cased",
    "|neq",
    "|contains|neq",
    "|re",
    "|re|i",
    "|cidr",
    "|lt",
    "|lte",
    "|gt",
    "|gte",
    "|exists",
    "|fieldref",
    "|fieldref|contains",
    "|fieldref|startswith",
    "|fieldref|endswith|cased",
    "|windash|contains",
    "|base64offset|contains",
    "|fieldref|neq",
];
const CONDITIONS: [&str; 14] = [
    "one",
    "one and two",
    "one or two",
    "one and not two",
    "not one",
    "1 of them",
    "all of them",
    "1 of t*",
    "not 1 of t*",
    "one or two and not three",
    "(one or two) and not three",
    "one AND NOT (two OR _four)",
    "all of o* or 1 of _*",
    "not not two",
];
const SOURCES: [[&str; 3]; 5] = [
    ["", "", ""],
    ["process_creation", "linux", ""],
    ["", "linux", ""],
    ["", "linux", "auditd"],
    ["webserver", "", ""],
];

fn one<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[usize::try_from(random.below(of.len() as u64)).unwrap()]
}

fn text(random: &mut Random, most: u64) -> String {
    (0..random.below(most + 1)).map(|_| one(random, &PIECES)).collect()
}

fn keyword(random: &mut Random) -> String {
    one(random, &PIECES).to_owned() + &text(random, 1)
}

fn value(random: &mut Random, chain: &str) -> Value {
    match chain {
        chain if chain.starts_with("|re") => {
            let parts = ["a", "b", ".", "a+", "b*", "A?", ".*", "^", "$", "x"];
            let mut text: String = (0..=random.below(4)).map(|_| one(random, &parts)).collect();
            // Anchors stand at the ends only.
            let (start, end) = (text.starts_with('^'), text.ends_with('$'));
            text.retain(|c| c != '^' && c != '$');
            json!(format!("{}{text}{}", if start { "^" } else { "" }, if end { "$" } else { "" }))
        }
        "|cidr" => json!(one(random, &["192.0.2.0/24", "198.51.100.128/25", "0.0.0.0/0", "192.0.2.7/32"])),
        "|lt" | "|lte" | "|gt" | "|gte" => json!(random.below(12)),
        "|exists" => json!(random.below(2) == 0),
        chain if chain.starts_with("|fieldref") => json!(one(random, &FIELDS)),
        "|base64offset|contains" => json!(one(random, &["ab", "abc", "abcd", "xyz-1"])),
        _ => match random.below(10) {
            0 => json!(random.below(12)),
            1 => json!(random.below(2) == 0),
            2 if matches!(chain, "" | "|neq") => Value::Null,
            _ => json!(text(random, 3)),
        },
    }
}

fn item(random: &mut Random) -> (String, Value) {
    let chain = one(random, &CHAINS);
    let value = match random.below(3) {
        0 => Value::Array((0..=random.below(3)).map(|_| value(random, chain)).collect()),
        _ => value(random, chain),
    };
    (format!("{}{chain}", one(random, &FIELDS)), value)
}

fn selection(random: &mut Random) -> Value {
    let map = |random: &mut Random| Value::Object((0..=random.below(2)).map(|_| item(random)).collect());
    match random.below(6) {
        0 => Value::Array((0..=random.below(2)).map(|_| json!(keyword(random))).collect()),
        1 => json!({"|all": [keyword(random), keyword(random)]}),
        2 => Value::Array((0..=random.below(2)).map(|_| map(random)).collect()),
        _ => map(random),
    }
}

fn rule(random: &mut Random) -> Value {
    let [category, product, service] = one(random, &SOURCES);
    let mut source = Map::new();
    for (key, word) in [("category", category), ("product", product), ("service", service)] {
        if !word.is_empty() {
            source.insert(key.to_owned(), json!(word));
        }
    }
    let condition = match random.below(8) {
        0 => json!([one(random, &CONDITIONS), one(random, &CONDITIONS)]),
        _ => json!(one(random, &CONDITIONS)),
    };
    json!({"title": "t", "logsource": source, "detection": {
        "one": selection(random), "two": selection(random), "three": selection(random), "_four": selection(random),
        "condition": condition,
    }})
}

fn scalar(random: &mut Random) -> Value {
    match random.below(12) {
        0 => Value::Null,
        1 => json!(random.below(12)),
        2 => json!(random.below(2) == 0),
        3 => json!(one(random, &["192.0.2.7", "::ffff:192.0.2.9", "198.51.100.200", "192.0.2"])),
        4 => json!(one(random, &["YWJj", "xxYWJjZA", "FiY2", "eHl6LTE"])),
        _ => json!(text(random, 4)),
    }
}

fn event(random: &mut Random) -> Map<String, Value> {
    let mut event = Map::new();
    for key in ["a", "b", "ef", "e f", "l", "c.d"] {
        if random.below(3) > 0 {
            event.insert(key.to_owned(), scalar(random));
        }
    }
    if random.below(2) == 0 {
        event.insert("l".to_owned(), Value::Array((0..random.below(3)).map(|_| scalar(random)).collect()));
    }
    if random.below(2) == 0 {
        event.insert("c".to_owned(), json!({"d": scalar(random), "x": [scalar(random)]}));
    }
    event
}

fn node(rule: &Value) -> Node {
    tree::parse(&Arc::from("generated"), rule.to_string().as_bytes()).unwrap()
}

#[test]
fn any_rule_takes_what_a_slow_reading_of_the_specification_takes() {
    let mut seeded = Seeded::new(7);
    println!("seed {}", seeded.seed());
    let random = &mut seeded.random;
    let (mut scratch, mut hits) = (Scratch::default(), Vec::new());
    let (mut asked, mut taken, mut refused) = (0, 0, 0);
    for _ in 0..60 {
        let (mut nodes, mut rules) = (Vec::new(), Vec::new());
        while rules.len() < 40 {
            let node = node(&rule(random));
            match Rule::parse(&Arc::from("generated"), &node, &Placeholders::new()) {
                Ok(rule) => {
                    rules.push(rule);
                    nodes.push(node);
                }
                Err(_) => refused += 1,
            }
        }
        let matcher = Matcher::new(rules.iter().map(|rule| rule.predicate.clone()).collect()).unwrap();
        for _ in 0..40 {
            let event = event(random);
            let [category, product, service] = one(random, &SOURCES);
            let source = LogSource::new(category, product, service);
            matcher.matches(&Json::new(&event, Some(&source)), &mut scratch, &mut hits);
            for (number, (rule, node)) in rules.iter().zip(&nodes).enumerate() {
                let about = rule
                    .predicate
                    .source
                    .words()
                    .iter()
                    .zip(source.words())
                    .all(|(need, has)| need.is_empty() || *need == has);
                let expected = about && naive::takes(node.at("detection").unwrap(), &event);
                let message = || format!("{:?}\n{}\nof {source:?}", node.at("detection"), Value::Object(event.clone()));
                assert_eq!(hits.contains(&number), expected, "{}", message());
                asked += 1;
                taken += usize::from(expected);
            }
            assert!(hits.is_sorted());
        }
    }
    println!("{asked} questions, {taken} taken; {refused} rules refused");
    assert!(taken * 50 > asked && refused < 60 * 40, "the rules ask for something that occurs");
}
