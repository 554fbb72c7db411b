//! What one host gets, on its way from the aggregator to the agent: a document, its name, and a signature beside it.
//!
//! ```text
//! message Config   {"document": "<text>", "challenge": u64, "signature": "<base64 of DER>", "key": "<base64 of SubjectPublicKeyInfo>"}
//! signed           "picket config" · 0 · challenge u64, little-endian · document
//! document         {"agent":"0190…","groups":["web"],"layer":{"sources":{…},"spool":{…},…},"version":1}
//! ```
//!
//! The layer is what a fleet file says of this host: the defaults with every group that holds, merged; its values are
//! text, as they stand in the file, and are read by the tables that read the file. So an agent of another version
//! reads what it knows; a source that it cannot read is one that it does not run, and stops no other.
//!
//! The document is the same for the same layer, whatever the order of the file: its SHA-256 is its name. It carries
//! the agent's id, so that what was signed for one host is of no use for another.
//!
//! **No document is played again.** An agent draws 64 random bits for every session, its challenge, says them in its Hello and takes
//! only what was signed over them. So somebody who kept signed bytes and speaks for an aggregator (with a stolen server key, say,
//! but not the authority's) cannot take a host back to what it did before, nor to something that was meant for it and never came;
//! that is refused as [`NotTaken::Replayed`], and counted. What was thought of and left: a number or a time under the signature,
//! which the agent remembers and below which it takes nothing. It needs a number that several aggregators with one fleet file draw
//! in common, or clocks: one that ran a year ahead, once, would lock the fleet out for a year. A challenge needs neither clock nor
//! memory: each aggregator that has the authority's key steers every agent, in any order; a restored or cloned agent is as safe as
//! any; an operator who writes the old file again is obeyed, since it is signed anew. What is on the agent's disk was checked when
//! it came.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AgentConfig, Fleet, HostFacts, Strictness, UNTYPED, Unavailable, merge};
use crate::enroll::Der;
use crate::identity::AgentId;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::signature::Signature;
use crate::tls::{KeyHash, sha256};
use crate::yaml::{Entry, Kind, Loaded, Node, Origin, Place, Report};

/// Every signed message begins with what it is for.
const SIGNED_KIND: &[u8] = b"picket config\0";
/// Longest document: in JSON, quoted once more, it fits a message.
pub const DOCUMENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 2 - 1024;
/// How deep lists and maps may nest.
const DEPTH_MAX: usize = 32;

/// What one host gets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Document {
    /// Whose it is.
    pub agent: AgentId,
    /// The groups that hold for it, in file order.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Sections of a fleet layer.
    pub layer: Value,
    /// 1.
    pub version: u32,
}

/// A document with the signature of the authority.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signed {
    /// The text of a [`Document`], byte for byte as it was signed.
    pub document: String,
    /// Of the session for which it was signed.
    #[serde(default)]
    pub challenge: u64,
    /// The signature.
    pub signature: Der,
    /// The key that checks it.
    pub key: Der,
}

/// Why a document is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTaken {
    /// Nobody whom this agent trusts signed it.
    #[error("the configuration is not signed by an authority that this agent trusts")]
    Signature,
    /// It was signed for another session.
    #[error(
        "the configuration was signed for another session: an old one is played again; the aggregator of this session may not be trusted"
    )]
    Replayed,
    /// It is for another host.
    #[error("the configuration is for agent {0}")]
    Foreign(AgentId),
    /// It does not read.
    #[error("the configuration does not read: {0}")]
    Content(String),
}

impl Document {
    /// The text that is signed; the same for the same content.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What an agent of this version makes of it. Of the sources, those that it cannot read are named as unavailable.
    ///
    /// # Errors
    /// What is wrong with the rest, in words.
    pub fn read(&self) -> Result<AgentConfig, String> {
        Ok(self.load()?.config)
    }

    /// As [`read`](Self::read), with every value that is in force.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn load(&self) -> Result<Loaded<AgentConfig>, String> {
        let section = |key: &str| self.layer.get(key).cloned().unwrap_or(Value::Null);
        let rest = Value::Object(["spool", "limits"].map(|key| (key.to_owned(), section(key))).into_iter().collect());
        let mut loaded = read_layer(&rest, self.groups.clone())?;
        let Value::Object(sources) = section("sources") else { return Ok(loaded) };
        for (name, source) in sources {
            let unavailable = |reason| Unavailable { name: name.clone(), place: Place::START, reason };
            if source.get("type").is_none() {
                loaded.config.unavailable.push(unavailable(UNTYPED.to_owned()));
                continue;
            }
            let alone = Value::Object(Map::from_iter([(name.clone(), source)]));
            match read_layer(&Value::Object(Map::from_iter([("sources".to_owned(), alone)])), Vec::new()) {
                Ok(Loaded { config, settings, .. }) => {
                    loaded.config.sources.extend(config.sources);
                    loaded.config.unavailable.extend(config.unavailable);
                    let of_source = settings.into_iter().filter(|setting| setting.path.starts_with("sources."));
                    loaded.settings.extend(of_source);
                }
                Err(reason) => loaded.config.unavailable.push(unavailable(reason)),
            }
        }
        Ok(loaded)
    }
}

impl Signed {
    /// The name of a document: SHA-256 of its text, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(&self.document)
    }

    /// A document with its signature by `sign`, which gets the message to be signed, for the session of `challenge`.
    ///
    /// # Errors
    /// The signer's, and a document that no message carries.
    pub fn new<E: From<TooLong>>(
        document: &Document,
        challenge: u64,
        sign: impl FnOnce(&[u8]) -> Result<Signature, E>,
    ) -> Result<Self, E> {
        let document = document.text();
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(TooLong(document.len()).into());
        }
        let Signature { der, key } = sign(&message(challenge, &document))?;
        Ok(Self { document, challenge, signature: Der(der), key: Der(key) })
    }

    /// The document, if an authority with one of these keys signed it for `agent` in the session of `challenge`.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn open(&self, agent: AgentId, challenge: u64, trusted: &[KeyHash]) -> Result<Document, NotTaken> {
        let signature = Signature { der: self.signature.0.clone(), key: self.key.0.clone() };
        if !trusted.contains(&signature.key_hash()) || !signature.holds(&message(self.challenge, &self.document)) {
            return Err(NotTaken::Signature);
        }
        if self.challenge != challenge {
            return Err(NotTaken::Replayed);
        }
        let document: Document =
            serde_json::from_str(&self.document).map_err(|error| NotTaken::Content(error.to_string()))?;
        match document {
            document if document.agent != agent => Err(NotTaken::Foreign(document.agent)),
            document if document.version != 1 => {
                Err(NotTaken::Content(format!("it has version {}; upgrade this agent", document.version)))
            }
            document => Ok(document),
        }
    }
}

/// A document that no message carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the host's configuration has {0} bytes; at most {DOCUMENT_BYTES_MAX} are sent")]
pub struct TooLong(pub usize);

/// The name of a document.
#[must_use]
pub fn hash(document: &str) -> String {
    use std::fmt::Write as _;
    sha256(document.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn message(challenge: u64, document: &str) -> Vec<u8> {
    [SIGNED_KIND, &challenge.to_le_bytes(), document.as_bytes()].concat()
}

impl Fleet {
    /// What this host gets; sources that are switched off are left out.
    #[must_use]
    pub fn document(&self, agent: AgentId, host: &HostFacts) -> Document {
        let matching = self.matching(host);
        let layers = std::iter::once(&self.defaults).chain(matching.iter().map(|group| &group.body));
        let mut layer = value_of(merge::layers(layers));
        if let Some(Value::Object(sources)) = layer.get_mut("sources") {
            let off = |source: &Value| source.get("enabled").and_then(Value::as_str) == Some("false");
            sources.retain(|_, source| !off(source));
        }
        Document { agent, groups: matching.iter().map(|group| group.name.clone()).collect(), layer, version: 1 }
    }
}

fn read_layer(layer: &Value, groups: Vec<String>) -> Result<Loaded<AgentConfig>, String> {
    let file: Arc<str> = Arc::from("fleet");
    let types = BTreeMap::new();
    let nothing = Node::empty_map(Place::START);
    let fleet = Fleet { file: Arc::clone(&file), defaults: nothing, groups: Vec::new(), types, warnings: Vec::new() };
    let node = node_of(layer, 0).ok_or("it is nested too deep")?;
    let read = Report::new(&file).read(&node, |fields| fleet.agent_config(fields, groups, Strictness::Host));
    match read {
        Ok(mut loaded) => {
            let stated = loaded.settings.iter_mut().filter(|setting| matches!(setting.origin, Origin::File(..)));
            stated.for_each(|setting| setting.origin = Origin::Aggregator);
            Ok(loaded)
        }
        Err(problems) => {
            let messages: Vec<&str> = problems.listed().iter().map(|problem| problem.message.as_str()).collect();
            Err(messages.join("; "))
        }
    }
}

fn value_of(node: Node) -> Value {
    match node.kind {
        Kind::Null => Value::Null,
        Kind::Scalar(text) => Value::String(text),
        Kind::List(items) => Value::Array(items.into_iter().map(value_of).collect()),
        Kind::Map(entries) => {
            Value::Object(entries.into_iter().map(|entry| (entry.key, value_of(entry.value))).collect())
        }
    }
}

fn node_of(value: &Value, depth: usize) -> Option<Node> {
    if depth > DEPTH_MAX {
        return None;
    }
    let place = Place::START;
    let kind = match value {
        Value::Null => Kind::Null,
        Value::String(text) => Kind::Scalar(text.clone()),
        Value::Bool(_) | Value::Number(_) => Kind::Scalar(value.to_string()),
        Value::Array(items) => Kind::List(items.iter().map(|item| node_of(item, depth + 1)).collect::<Option<_>>()?),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| {
                Some(Entry { key: key.clone(), place, value: node_of(value, depth + 1)? })
            };
            Kind::Map(entries.iter().map(entry).collect::<Option<_>>()?)
        }
    };
    Some(Node { place, kind })
}
