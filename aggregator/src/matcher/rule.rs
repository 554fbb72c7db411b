//! [`Rule`]: a Sigma detection rule, and the rules of a file.
//!
//! In: the bytes of a file with one or more documents. Out: rules, or for each that is none every problem with
//! file, line and column. A document without `detection` is a bare `where`, so that one can be tried alone.

use std::sync::Arc;

use shared::yaml::tree::documents;
use shared::yaml::{Kind, Node, Problem, Problems};

use super::modifier::Placeholders;
use super::predicate::{Predicate, Wrong};
use super::sources::LogSource;

/// How bad a hit is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Level {
    /// `informational`, and where a rule does not say.
    #[default]
    Informational,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `critical`
    Critical,
}

impl Level {
    /// Reads a level's name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "informational" | "info" => Self::Informational,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "critical" => Self::Critical,
            _ => return None,
        })
    }

    /// OCSF `severity_id`.
    #[must_use]
    pub const fn severity_id(self) -> u8 {
        match self {
            Self::Informational => 1,
            Self::Low => 2,
            Self::Medium => 3,
            Self::High => 4,
            Self::Critical => 5,
        }
    }
}

/// A detection rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `id`; empty where it has none.
    pub id: String,
    /// `title`; of a bare `where` its file.
    pub title: String,
    /// `name`, by which correlations may mean it.
    pub name: Option<String>,
    /// `level`
    pub level: Level,
    /// `tags`: techniques, tactics, and others.
    pub tags: Vec<String>,
    /// Log source and detection.
    pub predicate: Predicate,
}

/// The rules of a file, document by document.
#[must_use]
pub fn rules(file: &str, bytes: &[u8], known: &Placeholders) -> Vec<Result<Rule, Problems>> {
    let file: Arc<str> = Arc::from(file);
    match documents(&file, bytes) {
        Ok(nodes) => nodes.iter().map(|node| Rule::parse(&file, node, known)).collect(),
        Err(problems) => vec![Err(problems)],
    }
}

impl Rule {
    /// Reads one document.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &Arc<str>, node: &Node, known: &Placeholders) -> Result<Self, Problems> {
        let mut wrong = Vec::new();
        let rule = Self::read(file, node, known, &mut wrong);
        let problem = |Wrong { place, message }| Problem { file: Arc::clone(file), place, message };
        match (Problems::sorted(wrong.into_iter().map(problem).collect(), 0), rule) {
            (None, Some(rule)) => Ok(rule),
            (Some(problems), _) => Err(problems),
            (None, None) => Err(problem(said(node, "not a rule")).into()),
        }
    }

    fn read(file: &Arc<str>, node: &Node, known: &Placeholders, wrong: &mut Vec<Wrong>) -> Option<Self> {
        for kind in ["correlation", "filter"] {
            if node.at(kind).is_some_and(|inner| matches!(inner.kind, Kind::Map(_))) && node.at("detection").is_none() {
                wrong.push(said(node, &format!("this is a {kind}, not a detection rule")));
                return None;
            }
        }
        let Some(detection) = node.at("detection") else {
            let predicate = Predicate::parse(node).map_err(|found| wrong.extend(found)).ok()?;
            return Some(Self::bare(file, predicate));
        };
        let text = |key: &str| node.at(key).and_then(Node::scalar);
        let Some(title) = text("title").filter(|title| !title.is_empty()) else {
            wrong.push(said(node, "a rule needs a title"));
            return None;
        };
        let level = match text("level") {
            None => Level::default(),
            Some(name) => Level::parse(name).unwrap_or_else(|| {
                let place = node.at("level").unwrap_or(node);
                wrong.push(said(place, "a level is informational, low, medium, high or critical"));
                Level::default()
            }),
        };
        let source = match node.at("logsource") {
            Some(node) => LogSource::parse(node).map_err(|found| wrong.push(found)).ok(),
            None => {
                wrong.push(said(node, "a rule needs a logsource"));
                None
            }
        };
        let predicate = Predicate::detection(detection, known).map_err(|found| wrong.extend(found)).ok();
        let tags = match node.at("tags").map(|tags| &tags.kind) {
            Some(Kind::List(tags)) => tags.iter().filter_map(Node::scalar).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Some(Self {
            id: text("id").unwrap_or_default().to_owned(),
            title: title.to_owned(),
            name: text("name").map(str::to_owned),
            level,
            tags,
            predicate: Predicate { source: source?, ..predicate? },
        })
    }

    fn bare(file: &Arc<str>, predicate: Predicate) -> Self {
        let title = file.to_string();
        Self { id: String::new(), title, name: None, level: Level::default(), tags: Vec::new(), predicate }
    }
}

fn said(node: &Node, message: &str) -> Wrong {
    Wrong { place: node.place, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "title: Reader of shadow\nid: 4a1b\nlevel: high\ntags: [attack.t1003]\n\
        logsource: { category: process_creation, product: linux }\n\
        detection:\n  selection:\n    CommandLine|contains: /etc/shadow\n  condition: selection\n";

    fn read(text: &str) -> Result<Rule, Problems> {
        rules("r.yml", text.as_bytes(), &Placeholders::new()).remove(0)
    }

    #[test]
    fn a_rule_is_read_with_its_log_source_and_level() {
        let rule = read(RULE).unwrap();
        assert_eq!((rule.title.as_str(), rule.id.as_str(), rule.level), ("Reader of shadow", "4a1b", Level::High));
        assert_eq!(rule.predicate.source.category.as_deref(), Some("process_creation"));
        assert_eq!(rule.tags, ["attack.t1003"]);
    }

    #[test]
    fn a_file_holds_several_rules_and_a_bare_where_is_one() {
        let text = format!("{RULE}---\nclass_uid: 4002\n---\ncorrelation: {{ type: event_count }}\n");
        let read = rules("r.yml", text.as_bytes(), &Placeholders::new());
        assert!(read[0].is_ok());
        assert_eq!(read[1].as_ref().unwrap().title, "r.yml");
        assert!(read[2].as_ref().unwrap_err().to_string().contains("is a correlation"));
    }

    #[test]
    fn every_problem_is_named_with_its_line_and_column() {
        let text = RULE.replace("contains", "contain").replace("condition: selection", "condition: selektion");
        assert_eq!(
            read(&text).unwrap_err().to_string(),
            "r.yml:8:5: CommandLine|contain: 'contain' is no modifier; did you mean 'contains'?\n\
             r.yml:9:14: no selection is called 'selektion'; did you mean 'selection'?"
        );
        for (from, to, expected) in [
            ("title: Reader of shadow\n", "", "r.yml:1:1: a rule needs a title"),
            ("level: high", "level: huge", "r.yml:3:8: a level is"),
            ("product: linux", "product: [a]", "r.yml:5:51: product: a word is expected"),
            ("    CommandLine|contains: /etc/shadow", "    {}", "r.yml:8:5: an empty map"),
            ("/etc/shadow", "[]", "CommandLine|contains: an empty list of values"),
        ] {
            let said = read(&RULE.replace(from, to)).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn an_unresolved_placeholder_is_refused_and_a_known_one_is_filled_in() {
        let text = RULE.replace("contains: /etc/shadow", "expand: '%secrets%'");
        assert!(read(&text).unwrap_err().to_string().contains("%secrets% has no value"));
        let known = Placeholders::from([("secrets".to_owned(), vec!["/etc/shadow".to_owned()])]);
        assert!(rules("r.yml", text.as_bytes(), &known).remove(0).is_ok());
    }
}
