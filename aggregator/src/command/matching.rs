//! `picket-aggregator match`: which events rules take.
//!
//! Rules are files, or folders with files that end in `.yml` or `.yaml`. What is wrong with a file that is named ends the
//! command; of a folder the other rules stay, and each that is refused is said in one line.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use shared::exit::{Exit, Reason};
use shared::yaml::file::read;

use crate::cli::{Label, MatchArgs};
use crate::matcher::command::{MatchError, Summary, filter};
use crate::matcher::{LogSource, Matcher, Placeholders, Rule, rules};

/// Files that one folder may hold, in all folders below it.
const FILES_MAX: usize = 100_000;

/// Copies the events of the files, or of `input`, that a rule takes.
///
/// # Errors
/// Exit code 64 for a log source that is none, 78 for rules that do not read, 74 for a file that cannot be read, and the
/// writer's.
pub fn run(arguments: &MatchArgs, mut input: impl BufRead, mut out: impl Write) -> Result<(), Exit> {
    let source = source(&arguments.logsource)?;
    let mut known = Placeholders::new();
    for Label { key, value } in &arguments.placeholders {
        known.entry(key.clone()).or_default().push(value.clone());
    }
    let mut rules = Vec::new();
    for path in &arguments.rules {
        rules.extend(load(path, &known)?);
    }
    let predicates = rules.iter().map(|rule| rule.predicate.clone()).collect();
    let matcher = Matcher::new(predicates).map_err(|error| Exit::new(Reason::Config, error))?;
    for rule in matcher.unfilterable().iter().filter_map(|number| rules.get(*number)) {
        tracing::info!(id = %rule.id, title = %rule.title, "rule without a text to find its events by: each event is held against it");
    }
    let stdin = [PathBuf::from("-")];
    let files = if arguments.files.is_empty() { &stdin[..] } else { &arguments.files };
    let mut summary = Summary::default();
    for path in files {
        let done = if path == Path::new("-") {
            filter(&matcher, source.as_ref(), &mut input, &mut out, &mut summary)
        } else {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            filter(&matcher, source.as_ref(), BufReader::new(file), &mut out, &mut summary)
        };
        done.map_err(|error| match error {
            MatchError::Read(error) => unreadable(path, &error),
            MatchError::Write(error) => Exit::from(error),
        })?;
    }
    if summary.unread > 0 {
        tracing::warn!(lines = summary.unread, "lines that are no JSON object were left out");
    }
    tracing::info!(events = summary.events, matched = summary.matched, rules = rules.len(), "matched");
    for (rule, hits) in rules.iter().zip(&summary.hits).filter(|(_, hits)| **hits > 0) {
        tracing::info!(hits, id = %rule.id, title = %rule.title, "rule");
    }
    Ok(())
}

/// The rules of a file, or of all files below a folder.
fn load(path: &Path, known: &Placeholders) -> Result<Vec<Rule>, Exit> {
    if !path.is_dir() {
        let read: Result<Vec<Rule>, _> = file(path, known)?.into_iter().collect();
        let found = read.map_err(|problems| Exit::new(Reason::Config, problems))?;
        if found.is_empty() {
            return Err(Exit::new(Reason::Config, format_args!("{} holds no rule", path.display())));
        }
        return Ok(found);
    }
    let mut found = Vec::new();
    for path in below(path)? {
        for rule in file(&path, known)? {
            match rule {
                Ok(rule) => found.push(rule),
                Err(problems) => {
                    let first = problems.listed().first().map(ToString::to_string).unwrap_or_default();
                    tracing::warn!("rule refused: {first}");
                }
            }
        }
    }
    if found.is_empty() {
        return Err(Exit::new(Reason::Config, format_args!("{} holds no rule that reads", path.display())));
    }
    Ok(found)
}

fn file(path: &Path, known: &Placeholders) -> Result<Vec<Result<Rule, shared::yaml::Problems>>, Exit> {
    let bytes =
        read(path, "name a rule or a folder of rules with --rule").map_err(|error| Exit::new(Reason::Io, error))?;
    Ok(rules(&path.display().to_string(), &bytes, known))
}

/// The files of rules below a folder, in order; links are not followed.
fn below(folder: &Path) -> Result<Vec<PathBuf>, Exit> {
    let (mut folders, mut files) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if kind.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
                files.push(path);
            }
        }
        if folders.len() + files.len() > FILES_MAX {
            let message = format_args!("{} holds more than {FILES_MAX} files", folder.display());
            return Err(Exit::new(Reason::Usage, message));
        }
    }
    files.sort();
    Ok(files)
}

/// What events that are not OCSF are of.
fn source(words: &[Label]) -> Result<Option<LogSource>, Exit> {
    let mut source = LogSource::default();
    for Label { key, value } in words {
        let word = match key.as_str() {
            "category" => &mut source.category,
            "product" => &mut source.product,
            "service" => &mut source.service,
            _ => {
                let message = format_args!("--logsource {key}={value}: the keys are category, product and service");
                return Err(Exit::new(Reason::Usage, message));
            }
        };
        *word = Some(value.to_lowercase());
    }
    Ok((!words.is_empty()).then_some(source))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Exit {
    Exit::new(Reason::Io, format_args!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::scratch::Scratch;

    const RULE: &str = "title: t\nlogsource: { product: linux, service: auditd }\n\
        detection:\n  s:\n    type: EXECVE\n    a0|endswith: sh\n  condition: s\n";
    const EVENTS: &[u8] = b"{\"type\": \"EXECVE\", \"a0\": \"/bin/SH\"}\nno event\n{\"type\": \"PATH\"}";

    fn arguments(rules: &[&Path]) -> MatchArgs {
        let rules = rules.iter().map(|path| path.to_path_buf()).collect();
        MatchArgs { rules, logsource: Vec::new(), placeholders: Vec::new(), files: Vec::new() }
    }

    fn matched(arguments: &MatchArgs, events: &[u8]) -> Result<String, Exit> {
        let mut out = Vec::new();
        run(arguments, events, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn events_that_a_rule_takes_come_out_byte_for_byte() {
        let scratch = Scratch::new("match");
        scratch.file("r.yml", RULE);
        let arguments = arguments(&[&scratch.dir.join("r.yml")]);
        assert_eq!(matched(&arguments, EVENTS).unwrap(), "{\"type\": \"EXECVE\", \"a0\": \"/bin/SH\"}\n");
        let label = |key: &str, value: &str| Label { key: key.to_owned(), value: value.to_owned() };
        let of = |logsource| MatchArgs { logsource, ..arguments };
        let web = of(vec![label("category", "webserver")]);
        assert_eq!(matched(&web, EVENTS).unwrap(), "", "it is of another log");
        let wrong = MatchArgs { logsource: vec![label("kind", "web")], ..web };
        assert_eq!(matched(&wrong, EVENTS).unwrap_err().reason, Reason::Usage);
    }

    #[test]
    fn a_folder_keeps_what_reads_and_a_named_file_must_read() {
        let scratch = Scratch::new("match-folder");
        scratch.file("a.yml", RULE);
        scratch.file("b.yml", "title: t\nlogsource: {}\ndetection: { s: { A|contain: x }, condition: s }\n");
        scratch.file("note.txt", "not a rule");
        assert_eq!(matched(&arguments(&[&scratch.dir]), EVENTS).unwrap().lines().count(), 1);
        let exit = matched(&arguments(&[&scratch.dir.join("b.yml")]), EVENTS).unwrap_err();
        assert_eq!(exit.reason, Reason::Config);
        assert!(exit.to_string().contains("b.yml:3:19: A|contain: "), "{exit}");
        let exit = matched(&arguments(&[&scratch.dir.join("c.yml")]), EVENTS).unwrap_err();
        assert_eq!(exit.reason, Reason::Io);
    }

    #[test]
    fn a_where_alone_is_a_rule() {
        let scratch = Scratch::new("match-where");
        scratch.file("w.yml", "class_uid: 4002\nhttp_request.user_agent|startswith: kube-probe\n");
        let arguments = arguments(&[&scratch.dir.join("w.yml")]);
        let event = "{\"class_uid\":4002,\"http_request\":{\"user_agent\":\"kube-probe/1.30\"}}\n";
        assert_eq!(matched(&arguments, event.as_bytes()).unwrap(), event);
        assert_eq!(matched(&arguments, event.replace("4002", "4001").as_bytes()).unwrap(), "");
    }
}
