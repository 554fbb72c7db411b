//! [`Directory`]: what the deployment itself knows of its hosts, for the events that come from them.
//!
//! In: agents as they enroll, with what their tokens say ([`Facts`]). Out: group, zone, tenant and tags of an agent. The host has no say in
//! it: what it claims of itself stands elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use shared::identity::AgentId;

/// Most tags of a token.
pub const TAGS_MAX: usize = 16;
/// Most bytes of a token's tags, and of its zone and tenant each.
pub const FACT_BYTES_MAX: usize = 1_024;

/// What a token says of the hosts that enroll with it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// The group of the agents that enroll with it; a trusted one, since the host does not choose it.
    #[serde(default)]
    pub group: Option<String>,
    /// Where they stand in the network: `device.zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whose they are: `metadata.tenant_uid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What else is known of them: `metadata.labels`, as `key=value`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Facts {
    /// Of a group, and nothing else.
    #[must_use]
    pub fn of_group(group: &str) -> Self {
        Self { group: Some(group.to_owned()), ..Self::default() }
    }

    /// The tags as they are shown.
    pub fn labels(&self) -> impl Iterator<Item = String> {
        self.tags.iter().map(|(key, value)| format!("{key}={value}"))
    }

    /// Whether every text can be shown and is within its bound.
    #[must_use]
    pub fn is_within_bounds(&self) -> bool {
        let shown = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        let texts = [&self.zone, &self.tenant];
        let size: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        texts.into_iter().flatten().all(|text| shown(text) && text.len() <= FACT_BYTES_MAX)
            && self.tags.iter().all(|(key, value)| shown(key) && shown(value))
            && self.tags.len() <= TAGS_MAX
            && size <= FACT_BYTES_MAX
    }
}

/// The hosts of a deployment; cheap to clone.
#[derive(Clone, Default, Debug)]
pub struct Directory(Arc<RwLock<HashMap<AgentId, Arc<Facts>>>>);

impl Directory {
    /// This is known of an agent from now on.
    pub fn enter(&self, agent: AgentId, facts: &Facts) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(agent, Arc::new(facts.clone()));
    }

    /// What is known of an agent.
    #[must_use]
    pub fn of(&self, agent: AgentId) -> Option<Arc<Facts>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&agent).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_cannot_be_shown_or_are_too_many_are_out_of_bounds() {
        let of = |zone: &str, tags: usize| Facts {
            zone: Some(zone.to_owned()),
            tags: (0..tags).map(|n| (format!("k{n}"), "v".to_owned())).collect(),
            ..Facts::default()
        };
        assert!(of("dmz", TAGS_MAX).is_within_bounds());
        for wrong in [of("", 0), of("a\nb", 0), of(&"x".repeat(FACT_BYTES_MAX + 1), 0), of("dmz", TAGS_MAX + 1)] {
            assert!(!wrong.is_within_bounds(), "{wrong:?}");
        }
    }

    #[test]
    fn lines_of_earlier_versions_read_and_those_without_facts_are_written_as_before() {
        let old = r#"{"group":"web"}"#;
        let facts: Facts = serde_json::from_str(old).unwrap();
        assert_eq!(facts, Facts::of_group("web"));
        assert_eq!(serde_json::to_string(&facts).unwrap(), old);
        let directory = Directory::default();
        directory.enter(AgentId([1; 16]), &facts);
        assert_eq!(directory.of(AgentId([1; 16])).as_deref(), Some(&facts));
        assert_eq!(directory.of(AgentId([2; 16])), None);
    }
}
