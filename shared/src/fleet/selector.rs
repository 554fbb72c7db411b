//! Which hosts a group is for.
//!
//! All keys of `match` must hold; a list of maps is OR; a list of globs is OR; globs are anchored and ignore
//! case. Labels that the roster grants (group, zone, tenant) hide claimed ones of the same name; a trusted
//! group does not hear claimed labels at all.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};

use crate::yaml::{Fields, Read};

/// The longest glob.
const GLOB_CHARS_MAX: usize = 256;

/// What is known of a host when its configuration is resolved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostFacts {
    /// Its name.
    pub hostname: String,
    /// What it says of itself (`labels` of agent.yaml).
    pub claimed: BTreeMap<String, String>,
    /// What its token and the roster say of it.
    pub granted: BTreeMap<String, String>,
}

/// A compiled `match`; the default one holds for no host.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector(Vec<Clause>);

/// One map of `match`: all of it must hold.
#[derive(Clone, Debug)]
struct Clause {
    hostname: Option<Globs>,
    labels: BTreeMap<String, GlobMatcher>,
}

type Globs = Vec<GlobMatcher>;

impl Selector {
    /// Reads `match` of a group; a group without one, or with an empty one, is an error: it would be a second
    /// `defaults`.
    pub(super) fn read(group: &mut Fields<'_>) -> Read<Self> {
        let clauses = group.maps("match", |clause| {
            let hostname = clause.list("hostname", glob);
            let labels = clause.values("labels", glob);
            let (hostname, labels) = (hostname?, labels?);
            if hostname.is_none() && labels.is_empty() {
                let message = "an empty match holds for every host; put it under defaults".to_owned();
                return Err(clause.problem(clause.place(), message));
            }
            Ok(Clause { hostname, labels })
        });
        match clauses? {
            Some(clauses) if !clauses.is_empty() => Ok(Self(clauses)),
            Some(_) => Err(group.problem_at("match", "the list is empty")),
            None => Err(group.missing("match")),
        }
    }

    /// Whether the group is for this host.
    pub(super) fn matches(&self, host: &HostFacts, trusted: bool) -> bool {
        self.0.iter().any(|clause| clause.matches(host, trusted))
    }
}

impl Clause {
    fn matches(&self, host: &HostFacts, trusted: bool) -> bool {
        let name = self.hostname.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.is_match(&host.hostname)));
        name && self.labels.iter().all(|(key, glob)| {
            let claimed = host.claimed.get(key).filter(|_| !trusted);
            host.granted.get(key).or(claimed).is_some_and(|value| glob.is_match(value))
        })
    }
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    if text.is_empty() || text.chars().count() > GLOB_CHARS_MAX {
        return Err(format!("a glob has 1 to {GLOB_CHARS_MAX} characters"));
    }
    let glob = GlobBuilder::new(text).case_insensitive(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.to_string())
}
