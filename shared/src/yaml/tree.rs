//! Bytes → a tree of nodes that know their place. The only file that names the YAML parser.
//!
//! One document per file, unless several are asked for; map keys are scalars and unique; no anchors, aliases or tags.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::problem::{Problem, Problems};
use crate::printable::Excerpt;

/// The largest file: a fleet of thousands of groups stays well below.
pub const BYTES_MAX: usize = 1 << 20;
/// How deep lists and maps may nest; the deepest key that Picket knows is at 7.
pub const DEPTH_MAX: usize = 32;
/// How many keys and values a file may have.
pub const NODES_MAX: usize = 100_000;

/// A place in a file, both numbers from 1; the column counts characters. Shows as `line:column`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl From<&Marker> for Place {
    fn from(marker: &Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col() + 1 }
    }
}

/// A value and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// Text; whether it is a number, a size or a word is for its reader to say.
    Scalar(String),
    /// Values in order.
    List(Vec<Node>),
    /// Named values in order of the file; no name occurs twice.
    Map(Vec<Entry>),
}

/// One `key: value` of a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// An empty map, as if it stood at `place`.
    #[must_use]
    pub fn empty_map(place: Place) -> Self {
        Self { place, kind: Kind::Map(Vec::new()) }
    }

    /// The value of a key, if this is a map that has it.
    #[must_use]
    pub fn at(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// What this is, for messages: `nothing`, `a list`, `a map`, or the quoted text.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Scalar(text) => format!("'{}'", Excerpt(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }
}

/// Reads one document. An empty file is [`Kind::Null`] at its first character. `file` is named in problems.
///
/// # Errors
/// All duplicate keys and refused constructs, and the first place at which the text is not YAML.
pub fn parse(file: &Arc<str>, bytes: &[u8]) -> Result<Node, Problems> {
    let mut documents = read(file, bytes, false)?;
    Ok(documents.pop().unwrap_or(Node { place: Place::START, kind: Kind::Null }))
}

/// Reads every document of a file; those that are empty are left out.
///
/// # Errors
/// As [`parse`].
pub fn documents(file: &Arc<str>, bytes: &[u8]) -> Result<Vec<Node>, Problems> {
    let mut documents = read(file, bytes, true)?;
    documents.retain(|document| document.kind != Kind::Null);
    Ok(documents)
}

fn read(file: &Arc<str>, bytes: &[u8], several: bool) -> Result<Vec<Node>, Problems> {
    let problem = |place, message| Problem { file: Arc::clone(file), place, message };
    if bytes.len() > BYTES_MAX {
        let message = format!("the file has {} bytes; at most {BYTES_MAX} are read", bytes.len());
        return Err(problem(Place::START, message).into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        problem(
            place_after(&String::from_utf8_lossy(valid)),
            "this byte is not UTF-8; save the file as UTF-8".to_owned(),
        )
    })?;
    let mut builder = Builder { several, ..Builder::default() };
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => builder.take(event, Place::from(&span.start)),
            Err(error) => Err((Place::from(error.marker()), format!("not valid YAML: {}", Excerpt(error.info())))),
        };
        if let Err(last) = step {
            builder.problems.push(last);
            break;
        }
    }
    let problems = builder.problems.into_iter().map(|(place, message)| problem(place, message)).collect();
    match Problems::sorted(problems, 0) {
        Some(problems) => Err(problems),
        None => Ok(builder.roots),
    }
}

fn place_after(text: &str) -> Place {
    let line_start = text.rfind('\n').map_or(0, |at| at + 1);
    let column = text.get(line_start..).unwrap_or_default().chars().count() + 1;
    Place { line: text.bytes().filter(|&b| b == b'\n').count() + 1, column }
}

/// A list or map that is not closed yet.
struct Open {
    place: Place,
    /// The key that waits for its value, in a map.
    key: Option<(String, Place)>,
    /// Key → the line on which it stands; `None` in a list.
    seen: Option<HashMap<String, usize>>,
    items: Vec<Node>,
    entries: Vec<Entry>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    roots: Vec<Node>,
    several: bool,
    nodes: usize,
    problems: Vec<(Place, String)>,
}

/// A problem after which reading on makes no sense.
type Fatal = (Place, String);

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Fatal> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if !self.several && !self.roots.is_empty() => {
                Err((place, "a second document begins here; a file holds one".to_owned()))
            }
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(_) => Err((place, "aliases ('*name') are not read here; write the value out".to_owned())),
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_only(place, anchor, tag.is_some());
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let kind = if null { Kind::Null } else { Kind::Scalar(text.into_owned()) };
                self.value(Node { place, kind })
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_only(place, anchor, tag.is_some());
                self.open(place, None)
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_only(place, anchor, tag.is_some());
                self.open(place, Some(HashMap::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => {
                    let kind = if done.seen.is_some() { Kind::Map(done.entries) } else { Kind::List(done.items) };
                    self.value(Node { place: done.place, kind })
                }
                None => Ok(()),
            },
        }
    }

    fn plain_only(&mut self, place: Place, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.problems.push((place, "anchors ('&name') are not read here; write the value out".to_owned()));
        }
        if tagged {
            self.problems.push((place, "tags ('!name') are not read here; leave the tag out".to_owned()));
        }
    }

    fn open(&mut self, place: Place, seen: Option<HashMap<String, usize>>) -> Result<(), Fatal> {
        if self.open.len() >= DEPTH_MAX {
            return Err((place, format!("lists and maps nest more than {DEPTH_MAX} deep")));
        }
        self.key_is_scalar(place)?;
        self.open.push(Open { place, key: None, seen, items: Vec::new(), entries: Vec::new() });
        Ok(())
    }

    /// A list or map begins at `place`: it must not stand where a key is due.
    fn key_is_scalar(&self, place: Place) -> Result<(), Fatal> {
        match self.open.last() {
            Some(Open { seen: Some(_), key: None, .. }) => {
                Err((place, "a key is a word, not a list or map".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Puts a finished value where it belongs: into the open list, under its key, as a key, or at the root.
    fn value(&mut self, node: Node) -> Result<(), Fatal> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err((node.place, format!("the file has more than {NODES_MAX} keys and values")));
        }
        let Some(open) = self.open.last_mut() else {
            self.roots.push(node);
            return Ok(());
        };
        let Some(seen) = &mut open.seen else {
            open.items.push(node);
            return Ok(());
        };
        let Some((key, place)) = open.key.take() else {
            let key = match node.kind {
                Kind::Scalar(text) => text,
                _ => return Err((node.place, "a key is missing before ':'".to_owned())),
            };
            open.key = Some((key, node.place));
            return Ok(());
        };
        if let Some(first) = seen.get(&key) {
            let message = format!("key '{}' stands here a second time; the first is on line {first}", Excerpt(&key));
            self.problems.push((place, message));
        } else {
            seen.insert(key.clone(), place.line);
            open.entries.push(Entry { key, place, value: node });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, Problems> {
        parse(&Arc::from("f.yaml"), text.as_bytes())
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn nodes_know_their_line_and_column() {
        let root = read("version: 1\ndefaults:\n  sources:\n    a: { include: [ /x, \"~\" ] }\n    b:\n").unwrap();
        let sources = root.at("defaults").and_then(|node| node.at("sources")).unwrap();
        let Kind::Map(entries) = &sources.kind else { panic!("{sources:?}") };
        assert_eq!(entries[0].place, Place { line: 4, column: 5 });
        let Some(Node { kind: Kind::List(items), .. }) = entries[0].value.at("include") else { panic!("{entries:?}") };
        assert_eq!(items[0].place, Place { line: 4, column: 21 });
        assert_eq!(items[1].scalar(), Some("~"), "a quoted tilde is text");
        assert_eq!(entries[1].value.kind, Kind::Null);
    }

    #[test]
    fn an_empty_file_is_nothing_at_its_start() {
        for text in ["", "# only a comment\n", "---\n", "~"] {
            assert_eq!(read(text).unwrap().kind, Kind::Null, "{text:?}");
        }
    }

    #[test]
    fn several_documents_are_read_where_they_are_asked_for() {
        let nodes = documents(&Arc::from("f.yaml"), b"a: 1\n---\n---\nb: 2\n").unwrap();
        assert_eq!(nodes.len(), 2, "{nodes:?}");
        assert_eq!(nodes[1].at("b").map(|node| node.place), Some(Place { line: 4, column: 4 }));
        assert_eq!(documents(&Arc::from("f.yaml"), b"").unwrap(), []);
    }

    #[test]
    fn every_duplicate_key_is_named_with_the_line_of_the_first() {
        assert_eq!(
            refused("a: 1\nb: 2\na: 3\nc: { d: 1, d: 2 }\n"),
            "f.yaml:3:1: key 'a' stands here a second time; the first is on line 1\n\
             f.yaml:4:12: key 'd' stands here a second time; the first is on line 4"
        );
    }

    #[test]
    fn what_makes_small_files_grow_is_refused() {
        assert!(refused("a: &x [1]\nb: *x\n").starts_with("f.yaml:1:4: anchors"));
        assert!(refused("a: !!int 5\n").starts_with("f.yaml:1:4: tags"), "{}", refused("a: !!int 5\n"));
        assert!(refused("a: 1\n---\nb: 2\n").contains("a second document"));
        let deep = format!("{}{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
        assert!(refused(&deep).contains("nest more than 32 deep"));
        let wide = format!("[{}]", "1,".repeat(NODES_MAX));
        assert!(refused(&wide).contains("more than 100000"));
        assert!(refused(&" ".repeat(BYTES_MAX + 1)).contains("at most 1048576 are read"));
    }

    #[test]
    fn keys_are_words() {
        assert!(refused("? [a]\n: 1\n").contains("a key is a word"));
        assert!(refused("{ : 1 }\n").contains("a key is missing"));
    }

    #[test]
    fn text_that_is_not_yaml_or_not_utf8_has_a_line() {
        assert!(refused("a: 1\nb: [1,\nc: }\n").starts_with("f.yaml:3:"), "{}", refused("a: 1\nb: [1,\nc: }\n"));
        let problems = parse(&Arc::from("f.yaml"), b"a: 1\nb: \xff\n").unwrap_err();
        assert_eq!(problems.to_string(), "f.yaml:2:4: this byte is not UTF-8; save the file as UTF-8");
    }
}
