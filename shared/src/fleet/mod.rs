//! `fleet.yaml`: one file for the whole fleet in, the configuration of one host out.
//!
//! [`Fleet::parse`] takes a file only if the defaults alone and the defaults with each single group are
//! right. [`Fleet::resolve`] is pure: host facts in, [`AgentConfig`] out, with the line each value came from.
//!
//! Merging: defaults, then every matching group in file order; maps merge by key, lists replace, `null`
//! deletes a key, another `type` replaces the source whole. A source type or key that this version does not
//! have is a warning and that source is not run; everything else about the file still counts.
//!
//! A source type is added in `source.rs`: a variant, its reader, one line in the table of types.

pub mod document;
mod merge;
pub mod schema;
mod selector;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use selector::HostFacts;
pub use source::{
    FileSource, From, HOST_TABLES, HostSource, IntegritySource, PacketSource, Protocol, Source, SourceKind, Unavailable,
};

use crate::identity::Lane;
use crate::limits::SPOOL_BYTES_MIN;
use crate::yaml::{Entry, Fields, Kind, Loaded, Node, Place, Problem, Problems, Read, Report, rule, tree};
use selector::Selector;

/// The largest spool.
pub const SPOOL_BYTES_MAX: u64 = 16 << 40;

/// Why a source is not run that a group changes and none gives: harmless, and told all the same.
pub const UNTYPED: &str = "no group that holds for this host gives it a type";

/// The keys of a layer: of `defaults` and of each group.
const SECTIONS: [&str; 3] = ["spool", "limits", "sources"];

/// A checked fleet file.
#[derive(Clone, Debug)]
pub struct Fleet {
    file: Arc<str>,
    defaults: Node,
    groups: Vec<Group>,
    /// Source name → a type that some layer gives it: what a layer without one most likely refines.
    types: BTreeMap<String, String>,
    warnings: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    trusted: bool,
    selector: Selector,
    body: Node,
}

/// What one host does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentConfig {
    /// The groups that matched, in file order.
    pub groups: Vec<String>,
    /// How much is kept on disk and what happens when it is full.
    pub spool: SpoolConfig,
    /// What the agent may use of the host.
    pub limits: Limits,
    /// What is read, in order of name; only what is enabled.
    pub sources: Vec<Source>,
    /// What is asked for and cannot be run by this version, in order of name.
    pub unavailable: Vec<Unavailable>,
}

/// How much is kept on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpoolConfig {
    /// Bytes on disk, hard, all lanes with index and quarantine; [`SPOOL_BYTES_MIN`] to [`SPOOL_BYTES_MAX`];
    /// default 1 GiB.
    pub max_bytes: u64,
    /// What each lane does at its level, by [`Lane::index`]; default: bulk drops, the others block.
    pub on_full: [OnFull; Lane::ALL.len()],
}

/// What a lane does when it stands at its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFull {
    /// Stop the sources of the lane until there is room.
    Block,
    /// Give up the lane's oldest segment.
    DropOldest,
}

/// What the agent may use of the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Resident memory, bytes; 32 MiB to 64 GiB; default 64 MiB.
    pub memory_bytes: u64,
    /// Processor time, percent of one core; 1 to 102,400; none: not limited.
    pub cpu_percent: Option<u64>,
    /// Bytes per second to the aggregator; 1 KiB/s to 100 GiB/s; none: not limited.
    pub bandwidth_bytes_per_second: Option<u64>,
}

impl Default for AgentConfig {
    /// Nothing is read.
    fn default() -> Self {
        let spool = SpoolConfig { max_bytes: 1 << 30, on_full: [OnFull::Block, OnFull::Block, OnFull::DropOldest] };
        let limits = Limits { memory_bytes: 64 << 20, cpu_percent: None, bandwidth_bytes_per_second: None };
        Self { groups: Vec::new(), spool, limits, sources: Vec::new(), unavailable: Vec::new() }
    }
}

impl Fleet {
    /// Reads and checks a whole file: its own shape, the defaults alone and the defaults with each group.
    /// `file` is what problems and origins call it.
    ///
    /// # Errors
    /// Every problem, each with its line.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Problems> {
        let file = Arc::from(file);
        let root = tree::parse(&file, bytes)?;
        let mut groups = Vec::new();
        let shape = Report::new(&file).read(&root, |fields| {
            let version = fields.required("version", rule::number(1..=1));
            fields.raw("defaults");
            read_groups(fields, &mut groups)?;
            version
        });
        let mut found: Vec<Problem> = shape.err().map(|problems| problems.listed().to_vec()).unwrap_or_default();
        let defaults = root.at("defaults").cloned().unwrap_or_else(|| Node::empty_map(Place::START));
        let types = declared_types(std::iter::once(&defaults).chain(groups.iter().map(|group| &group.body)));
        let mut fleet = Self { file, defaults, groups, types, warnings: Vec::new() };
        let mut warnings: Vec<Problem> = Vec::new();
        let alone = std::iter::once(("defaults".to_owned(), None));
        let with_each = fleet.groups.iter().enumerate().map(|(i, group)| (format!("groups[{i}]"), Some(group)));
        for (path, group) in alone.chain(with_each) {
            let (problems, new_warnings) = match fleet.read_layers(group.as_slice(), Strictness::Layer, &path) {
                Ok(loaded) => (Vec::new(), loaded.warnings),
                Err(problems) => (problems.listed().to_vec(), Vec::new()),
            };
            // What is wrong with the defaults was said of them, and is not said again of every group.
            let said: BTreeSet<Place> = found.iter().map(|problem| problem.place).collect();
            found.extend(problems.into_iter().filter(|problem| !said.contains(&problem.place)));
            warnings.extend(new_warnings);
        }
        if let Some(problems) = Problems::sorted(found, 0) {
            return Err(problems);
        }
        if let Some(sorted) = Problems::sorted(warnings, 0) {
            fleet.warnings = sorted.listed().to_vec();
        }
        Ok(fleet)
    }

    /// What the defaults or a group ask for and this version does not have, in order of place.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What a host with these facts does.
    ///
    /// # Errors
    /// Problems that only the combination of groups has, such as an `include` that one of them deleted.
    pub fn resolve(&self, host: &HostFacts) -> Result<Loaded<AgentConfig>, Problems> {
        self.read_layers(&self.matching(host), Strictness::Host, "")
    }

    fn matching(&self, host: &HostFacts) -> Vec<&Group> {
        self.groups.iter().filter(|group| group.selector.matches(host, group.trusted)).collect()
    }

    /// Reads the defaults with some groups over them; `path` is what their keys stand under in problems.
    fn read_layers(
        &self,
        groups: &[&Group],
        strictness: Strictness,
        path: &str,
    ) -> Result<Loaded<AgentConfig>, Problems> {
        let layers = std::iter::once(&self.defaults).chain(groups.iter().map(|group| &group.body));
        let merged = merge::layers(layers);
        let names = groups.iter().map(|group| group.name.clone()).collect();
        Report::below(&self.file, path).read(&merged, |fields| self.agent_config(fields, names, strictness))
    }

    fn agent_config(&self, fields: &mut Fields<'_>, groups: Vec<String>, strictness: Strictness) -> Read<AgentConfig> {
        let spool = fields.map("spool", spool);
        let limits = fields.map("limits", limits);
        let (mut sources, mut unavailable) = (Vec::new(), Vec::new());
        let all = fields.named("sources", |name, source| {
            let declared = self.types.get(name).map(String::as_str);
            match source::read(name, source, declared, strictness)? {
                source::Outcome::Run(source) => sources.push(source),
                source::Outcome::Unavailable(source) => unavailable.push(source),
                source::Outcome::Off => {}
            }
            Ok(())
        });
        for source in &unavailable {
            fields.warn(source.place, format!("source '{}' is not run: {}", source.name, source.reason));
        }
        all?;
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        unavailable.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(AgentConfig { groups, spool: spool?, limits: limits?, sources, unavailable })
    }
}

/// Whether a layer is looked at on its own, in which a source may lack what another layer gives it, or a
/// whole host, in which it may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Strictness {
    Layer,
    Host,
}

/// Reads `groups` into `all`. A group with a problem is kept too (and matches nothing), so that its layer is
/// still looked at; the problem is in the report.
fn read_groups(fields: &mut Fields<'_>, all: &mut Vec<Group>) -> Read<()> {
    let mut names = BTreeSet::new();
    fields.maps("groups", |group| {
        let name = group.required("name", rule::name);
        if let Ok(name) = &name
            && !names.insert(name.clone())
        {
            group.problem_at("name", format_args!("'{name}' is the name of an earlier group too"));
        }
        let trusted = group.or("trusted", "false", rule::truth);
        let selector = Selector::read(group);
        let mut sections = Vec::new();
        for key in SECTIONS {
            if let Some(value) = group.raw(key).cloned() {
                sections.push(Entry { key: key.to_owned(), place: value.place, value });
            }
        }
        all.push(Group {
            name: name.unwrap_or_default(),
            trusted: trusted.unwrap_or_default(),
            selector: selector.unwrap_or_default(),
            body: Node { place: group.place(), kind: Kind::Map(sections) },
        });
        Ok(())
    })?;
    Ok(())
}

fn declared_types<'n>(layers: impl Iterator<Item = &'n Node>) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for layer in layers {
        let Some(Node { kind: Kind::Map(sources), .. }) = layer.at("sources") else { continue };
        for source in sources {
            if let Some(declared) = source.value.at("type").and_then(Node::scalar) {
                types.entry(source.key.clone()).or_insert_with(|| declared.to_owned());
            }
        }
    }
    types
}

fn spool(fields: &mut Fields<'_>) -> Read<SpoolConfig> {
    let max_bytes = fields.or("max_bytes", "1GiB", rule::size(SPOOL_BYTES_MIN..=SPOOL_BYTES_MAX));
    let on_full = fields.map("lanes", |lanes| {
        let mut lane = |name, default: &str| {
            let words = [("block", OnFull::Block), ("drop_oldest", OnFull::DropOldest)];
            lanes.map(name, |fields| fields.or("on_full", default, rule::word(&words)))
        };
        let (high, normal, bulk) = (lane("high", "block"), lane("normal", "block"), lane("bulk", "drop_oldest"));
        Ok([high?, normal?, bulk?])
    });
    Ok(SpoolConfig { max_bytes: max_bytes?, on_full: on_full? })
}

fn limits(fields: &mut Fields<'_>) -> Read<Limits> {
    let memory = fields.or("memory", "64MiB", rule::size(32 << 20..=64 << 30));
    let cpu = fields.optional("cpu_percent", rule::number(1..=102_400));
    let bandwidth = fields.optional("bandwidth", rule::rate(1 << 10..=100 << 30));
    Ok(Limits { memory_bytes: memory?, cpu_percent: cpu?, bandwidth_bytes_per_second: bandwidth? })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
