//! Which files the file sources would read now, and whether they can; what others lack is in [`packets`] and [`integrity`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::check::{Checks, Outcome};
use shared::fleet::SourceKind;

use super::{hosts, integrity, packets};
use crate::config::{self, Config};
use crate::source::file::glob::{Patterns, Precedence};
use crate::source::file::reader;
use crate::source::file::walk::{Walk, walk};

/// Files of a source that cannot be read and are named; the rest is only counted.
const UNREADABLE_NAMED_MAX: usize = 20;

const NAME: &str = "sources";

/// Looks at every path that a source of the fleet file means.
pub(super) fn sources(config: &Config, checks: &mut Checks) {
    let Some(Ok(fleet)) = config.fleet.as_deref().map(|path| config::load_fleet(path, config)) else { return };
    let mut all = Vec::new();
    for source in &fleet.config.sources {
        let SourceKind::File(file) = &source.kind else { continue };
        match Patterns::new(&file.include, &file.exclude) {
            Ok(patterns) => all.push((source.name.clone(), Arc::new(patterns))),
            Err(error) => checks.push(NAME, Outcome::Fail, format!("{}: {error}", source.name)),
        }
    }
    let precedence = Precedence::new(all);
    for source in &fleet.config.sources {
        let file = match &source.kind {
            SourceKind::File(file) => file,
            SourceKind::Host(host) => {
                hosts::hosts(&source.name, host, checks);
                continue;
            }
            SourceKind::Packet(packet) => {
                let path = config.fleet.as_deref().unwrap_or(Path::new(""));
                packets::packets(path, &source.name, packet, checks);
                continue;
            }
            SourceKind::Integrity(source_config) => {
                integrity::integrity(&source.name, source_config, checks);
                continue;
            }
        };
        let mut look =
            Look { name: &source.name, precedence: &precedence, readable: BTreeSet::new(), unreadable: Vec::new() };
        for include in &file.include {
            // One that is wrong has been said.
            if let Ok(patterns) = Patterns::new(std::slice::from_ref(include), &file.exclude) {
                look.at(include, walk(&patterns), checks);
            }
        }
        look.conclude(checks);
    }
    let reads_files = fleet.config.sources.iter().any(|source| matches!(source.kind, SourceKind::File(_)));
    if rustix::process::geteuid().is_root() && reads_files {
        let detail = "looked at as root, who may read everything; run this as the user of the agent to be sure";
        checks.push(NAME, Outcome::Warn, detail);
    }
}

/// What is known of one source.
struct Look<'a> {
    name: &'a str,
    precedence: &'a Precedence,
    readable: BTreeSet<PathBuf>,
    unreadable: Vec<String>,
}

impl Look<'_> {
    /// Takes what a glob names.
    fn at(&mut self, glob: &str, walk: Walk, checks: &mut Checks) {
        let name = self.name;
        if walk.found.is_empty() && walk.failed.is_empty() {
            let detail = format!("{name}: {glob} names nothing now; what appears is read");
            checks.push(NAME, Outcome::Warn, detail);
        }
        if walk.is_cut {
            let detail = format!("{name}: {glob} names more files or folders than are followed; narrow it");
            checks.push(NAME, Outcome::Warn, detail);
        }
        self.unreadable.extend(walk.failed.iter().map(|(path, error)| problem(path, error)));
        for found in walk.found {
            if self.precedence.shadows(name, &found.path).is_some() {
                continue;
            }
            if found.facts.is_file {
                match reader::open(&found.path) {
                    Ok(_) => drop(self.readable.insert(found.path)),
                    Err(error) => self.unreadable.push(problem(&found.path, &error)),
                }
            } else if found.is_literal {
                let detail = format!("{name}: {} is no regular file and is not read", found.path.display());
                checks.push(NAME, Outcome::Warn, detail);
            }
        }
    }

    fn conclude(mut self, checks: &mut Checks) {
        let name = self.name;
        self.unreadable.sort();
        self.unreadable.dedup();
        for problem in self.unreadable.iter().take(UNREADABLE_NAMED_MAX) {
            checks.push(
                NAME,
                Outcome::Fail,
                format!("{name}: {problem}; let the agent's user or a group of it read it"),
            );
        }
        if let more @ 1.. = self.unreadable.len().saturating_sub(UNREADABLE_NAMED_MAX) {
            checks.push(NAME, Outcome::Fail, format!("{name}: and {more} more that cannot be read"));
        }
        if !self.readable.is_empty() {
            checks.push(NAME, Outcome::Ok, format!("{name}: {} files can be read", self.readable.len()));
        }
    }
}

fn problem(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::super::scratch::Scratch;
    use super::*;

    /// Findings of `sources` for a fleet file with these sources, but for what is said to root.
    fn found(scratch: &Scratch, sources: &str) -> Vec<(Outcome, String)> {
        scratch.file("fleet.yaml", &format!("version: 1\ndefaults: {{ sources: {{ {sources} }} }}\n"));
        let options = scratch.agent("version: 1\naggregators: [127.0.0.1]\nfleet: fleet.yaml\nstate_dir: s\n", "table");
        let config = config::load(options.config_path()).unwrap().config;
        let mut checks = Checks::default();
        super::sources(&config, &mut checks);
        let folder = format!("{}/", scratch.path("").display());
        let all = checks.all().iter().filter(|check| !check.detail.contains("as root"));
        all.map(|check| (check.outcome, check.detail.replace(folder.trim_end_matches('/'), "").replace("//", "/")))
            .collect()
    }

    fn file(scratch: &Scratch, globs: &str) -> String {
        let globs: Vec<String> = globs.split(' ').map(|glob| format!("'{}'", scratch.path(glob).display())).collect();
        format!("{{ type: file, include: [{}] }}", globs.join(", "))
    }

    #[test]
    fn glob_that_names_nothing_is_doubtful_and_files_are_counted_once() {
        let scratch = Scratch::new("validate-globs");
        scratch.file("a.log", "x\n");
        scratch.file("b.log", "x\n");
        let sources = format!("web: {}", file(&scratch, "*.log a.log none/*.txt"));
        let found = found(&scratch, &sources);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].0 == Outcome::Warn && found[0].1.contains("none/*.txt names nothing now"), "{found:?}");
        assert_eq!(found[1], (Outcome::Ok, "web: 2 files can be read".to_owned()));
    }

    #[test]
    fn folder_where_a_file_was_named_is_doubtful() {
        let scratch = Scratch::new("validate-folder");
        std::fs::create_dir(scratch.path("dir.log")).unwrap();
        let found = found(&scratch, &format!("web: {}", file(&scratch, "dir.log")));
        assert_eq!(found.len(), 1);
        assert!(found[0].0 == Outcome::Warn && found[0].1.contains("no regular file"), "{found:?}");
    }

    #[test]
    fn file_of_another_source_is_not_counted_twice() {
        let scratch = Scratch::new("validate-shadow");
        scratch.file("a.log", "x\n");
        let (all, one) = (file(&scratch, "*.log"), file(&scratch, "a.log"));
        let found = found(&scratch, &format!("a: {all}, b: {one}"));
        assert_eq!(found, [(Outcome::Ok, "a: 1 files can be read".to_owned())]);
    }

    #[test]
    fn file_that_may_not_be_read_is_a_failure() {
        if rustix::process::geteuid().is_root() {
            println!("skipped: root may read everything");
            return;
        }
        let scratch = Scratch::new("validate-unreadable");
        scratch.file("a.log", "x\n");
        std::fs::set_permissions(scratch.path("a.log"), std::fs::Permissions::from_mode(0o000)).unwrap();
        let found = found(&scratch, &format!("web: {}", file(&scratch, "*.log")));
        assert!(found[0].0 == Outcome::Fail && found[0].1.contains("cannot be read"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_read_is_named_up_to_a_bound() {
        let precedence = Precedence::default();
        let unreadable = (0..25).map(|i| format!("/x/{i:02} cannot be read: denied")).collect();
        let look = Look { name: "web", precedence: &precedence, readable: BTreeSet::new(), unreadable };
        let mut checks = Checks::default();
        look.conclude(&mut checks);
        assert_eq!(checks.all().len(), UNREADABLE_NAMED_MAX + 1);
        assert!(checks.all()[UNREADABLE_NAMED_MAX].detail.ends_with("and 5 more that cannot be read"));
        assert!(!checks.passed());
    }
}
