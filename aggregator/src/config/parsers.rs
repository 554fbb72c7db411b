//! `parsers`: which parsers of users there are, and where they stand.
//!
//! An entry is a file, a folder of files (`*.yaml`, `*.yml`, in order of their names), or a parser itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::yaml::{Fields, LoadError, Place, Problem, Read, file, rule};

use crate::normalize::custom::{self, Parser, Parsers};

/// What `parsers` names.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ParsersConfig {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Parsers that stand in the file itself.
    pub inline: Vec<Arc<Parser>>,
}

/// Files and their bytes.
pub(super) type Files = Vec<(PathBuf, Vec<u8>)>;

/// An entry.
enum Named {
    Path(PathBuf),
    Inline(Arc<Parser>),
}

/// Reads the key; `name` is the file that it stands in, `folder` roots relative paths.
pub(super) fn read(fields: &mut Fields<'_>, name: &Arc<str>, folder: &Path) -> Read<ParsersConfig> {
    let path = |text: &str| rule::path(folder)(text).map(Named::Path);
    let inline = |fields: &mut Fields<'_>| custom::parser(name, &Default::default(), fields).map(Named::Inline);
    let mut all = ParsersConfig::default();
    for named in fields.maps_or("parsers", path, inline)?.unwrap_or_default() {
        match named {
            Named::Path(path) => all.paths.push(path),
            Named::Inline(parser) => all.inline.push(parser),
        }
    }
    Ok(all)
}

impl ParsersConfig {
    /// The files that parsers stand in.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.paths.iter().flat_map(|path| files(path))
    }

    /// Reads the files and compiles every parser.
    ///
    /// # Errors
    /// Every problem, a sentence each.
    pub fn load(&self) -> Result<Parsers, Vec<String>> {
        self.read().map(|(parsers, _)| parsers)
    }

    /// As [`load`](Self::load), with the bytes of the files.
    pub(super) fn read(&self) -> Result<(Parsers, Files), Vec<String>> {
        let (mut files, mut unread) = (Files::new(), Vec::new());
        for path in self.files() {
            match file::read(&path, "make it, or take it out of `parsers`") {
                Ok(bytes) => files.push((path, bytes)),
                Err(error) => unread.extend(error.sentences()),
            }
        }
        match self.compile(&files) {
            Ok(parsers) if unread.is_empty() => Ok((parsers, files)),
            Ok(_) => Err(unread),
            Err(problems) => Err([problems, unread].concat()),
        }
    }

    /// Compiles every parser, those of files as these bytes say.
    ///
    /// # Errors
    /// Every problem, a sentence each.
    pub(super) fn compile(&self, files: &[(PathBuf, Vec<u8>)]) -> Result<Parsers, Vec<String>> {
        let (mut parsers, mut problems) = (Parsers::default(), Vec::new());
        let mut add = |read: Vec<Arc<Parser>>, problems: &mut Vec<String>| {
            for parser in parsers.add(read) {
                let message = format!("a second parser is named '{}'; names are unique", parser.name());
                problems.push(Problem { file: parser.file(), place: Place::START, message }.to_string());
            }
        };
        add(self.inline.clone(), &mut problems);
        for (path, bytes) in files {
            match custom::file(path, bytes).map_err(LoadError::from) {
                Ok(read) => add(read, &mut problems),
                Err(error) => problems.extend(error.sentences()),
            }
        }
        if problems.is_empty() { Ok(parsers) } else { Err(problems) }
    }
}

/// The file itself, or the files of parsers in a folder.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = path.read_dir() else { return vec![path.to_path_buf()] };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::scratch::Scratch;

    const ONE: &str = "parsers:\n  - { name: one, class: base_event, regex: '^one (?<n>\\d+)', tests: [{ line: one 1, expect: { unmapped.n: 1 } }] }\n";

    fn loaded(scratch: &Scratch, text: &str) -> Result<Parsers, Vec<String>> {
        let path = scratch.dir.join("aggregator.yaml");
        let config =
            crate::config::parse(&path, text.as_bytes()).map_err(|problems| vec![problems.to_string()])?.config;
        config.parsers.load()
    }

    #[test]
    fn files_folders_and_entries_are_read_and_names_are_unique() {
        let scratch = Scratch::new("parsers");
        scratch.file("p.yaml", ONE);
        std::fs::create_dir(scratch.dir.join("d")).unwrap();
        scratch.file("d/b.yml", &ONE.replace("one", "two"));
        scratch.file("d/readme.txt", "no parsers");
        let inline = "{ name: three, class: base_event, grok: '^%{INT:n}$' }";
        let all = loaded(&scratch, &format!("version: 1\nparsers: [p.yaml, d, {inline}]\n")).unwrap();
        assert_eq!(all.names().collect::<Vec<_>>(), ["one", "three", "two"]);
        assert_eq!(all.trials(), (Vec::new(), 2));
        let problems = loaded(&scratch, "version: 1\nparsers: [p.yaml, p.yaml, gone.yaml]\n").unwrap_err();
        assert!(problems[0].ends_with("p.yaml:1:1: a second parser is named 'one'; names are unique"), "{problems:?}");
        assert!(problems[1].starts_with("cannot read ") && problems[1].contains("gone.yaml"), "{problems:?}");
    }

    #[test]
    fn an_entrys_mistake_has_its_line_in_the_file_that_it_stands_in() {
        let scratch = Scratch::new("parsers-inline");
        let problems =
            loaded(&scratch, "version: 1\nparsers:\n  - { name: x, class: base_event, grok: '%{IPP}' }\n").unwrap_err();
        assert!(
            problems[0].contains("aggregator.yaml:3:41: parsers[0].grok: pattern 'IPP' is not known"),
            "{problems:?}"
        );
    }
}
