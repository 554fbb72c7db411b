//! Rules and events of any bytes: a rule is one or says in one line what is wrong with it; a matcher answers in order, each
//! number once, and the same when it is asked again.

use aggregator::matcher::{Json, Matcher, Placeholders, Rule, Scratch, rules};
use serde_json::{Map, Value};

/// What rules are made of.
pub const RULE_WORDS: &[&[u8]] = &[
    b"detection: ",
    b"condition: ",
    b"logsource: {}",
    b"1 of them",
    b"all of s*",
    b" and not ",
    b" or ",
    b"(",
    b")",
    b"|contains",
    b"|all",
    b"|re",
    b"|i",
    b"|cidr",
    b"|windash",
    b"|base64offset",
    b"|wide",
    b"|utf16",
    b"|expand",
    b"|fieldref",
    b"|exists",
    b"|gte",
    b"|hour",
    b"|neq",
    b"|cased",
    b"%a%",
    b"null",
    b"*",
    b"?",
    b"\\",
    b"---\n",
    b"- ",
    b": ",
    b"\n  ",
    b"[",
    b"]",
    b"(?i)a+",
    b"192.0.2.0/24",
    b"\xc3\x84",
];

const RULES: [&str; 4] = [
    "title: a\nlogsource: { category: process_creation }\ndetection:\n  s:\n    CommandLine|contains|all: [' -a ', 'b*c']\n    \
     User: null\n  f:\n    - x|re: '^a+(b|c)$'\n    - y|cidr: 192.0.2.0/24\n  condition: s and not 1 of f*\n",
    "title: b\nlogsource: {}\ndetection:\n  keywords: ['evil', 'b?d']\n  all:\n    '|all': [a, b]\n  condition: [keywords, all of a*]\n",
    "a|base64offset|contains: abc\nb|windash|endswith: ' -x'\nc|gte: 5\nd|exists: false\ne|fieldref|startswith: a\nf|hour: 3\n",
    "- class_uid: 4002\n- user.name|wide|base64: [x, y]\n",
];

const EVENTS: [&str; 3] = [
    r#"{"CommandLine":"x -a bxc","y":"::ffff:192.0.2.1","a":["evil",{"b":null}],"c":5.5,"f":"2026-03-16T03:00:00Z"}"#,
    r#"{"class_uid":4002,"activity_id":1,"metadata":{"log_provider":"sshd"},"user":{"name":"eAA="},"unmapped":{"a":"YWJj"}}"#,
    r#"{"a.b":"\\","message":"BAD Ä ſ K","e":""}"#,
];

/// A file of rules.
pub fn rule(bytes: &[u8]) {
    let mut read = Vec::new();
    for rule in rules("rule.yml", bytes, &Placeholders::new()) {
        match rule {
            Ok(rule) => read.push(rule),
            Err(problems) => {
                assert!(!problems.listed().is_empty(), "what is refused has a reason");
                assert!(problems.listed().iter().all(|problem| !problem.to_string().contains('\n')), "{problems}");
            }
        }
    }
    EVENTS.iter().for_each(|event| asked(&read, event.as_bytes()));
}

/// An event.
pub fn event(bytes: &[u8]) {
    let read: Vec<Rule> =
        RULES.iter().flat_map(|text| rules("rule.yml", text.as_bytes(), &Placeholders::new())).flatten().collect();
    assert_eq!(read.len(), RULES.len(), "the rules read");
    asked(&read, bytes);
}

fn asked(rules: &[Rule], event: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Map<String, Value>>(event) else { return };
    let matcher = Matcher::new(rules.iter().map(|rule| rule.predicate.clone()).collect()).expect("they are few");
    let (mut scratch, mut hits, mut again) = (Scratch::default(), Vec::new(), Vec::new());
    matcher.matches(&Json::new(&event, None), &mut scratch, &mut hits);
    matcher.matches(&Json::new(&event, None), &mut scratch, &mut again);
    assert_eq!(hits, again);
    assert!(hits.is_sorted_by(|a, b| a < b) && hits.iter().all(|number| *number < rules.len()), "{hits:?}");
}

/// Files of rules.
#[must_use]
pub fn rule_seeds() -> Vec<Vec<u8>> {
    RULES.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Events.
#[must_use]
pub fn event_seeds() -> Vec<Vec<u8>> {
    EVENTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}
