//! MITRE ATT&CK as findings name it: techniques and tactics of a rule, as `finding_info.attacks[]`.
//!
//! In: keys that hold lists or single words, or tags. Out: an element for each technique; a tactic alone where a tag names
//! nothing else. Source: MITRE ATT&CK, Enterprise tactics.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::json;
use crate::event::Event;
use crate::schema::Attribute;

/// Most techniques and tactics of a rule.
const ATTACKS_MAX: usize = 8;
/// Most tags that are read.
const TAGS_MAX: usize = 32;

/// A tactic as tags write it, its name and its id.
const TACTICS: [(&str, &str, &str); 14] = [
    ("reconnaissance", "Reconnaissance", "TA0043"),
    ("resource_development", "Resource Development", "TA0042"),
    ("initial_access", "Initial Access", "TA0001"),
    ("execution", "Execution", "TA0002"),
    ("persistence", "Persistence", "TA0003"),
    ("privilege_escalation", "Privilege Escalation", "TA0004"),
    ("defense_evasion", "Defense Evasion", "TA0005"),
    ("credential_access", "Credential Access", "TA0006"),
    ("discovery", "Discovery", "TA0007"),
    ("lateral_movement", "Lateral Movement", "TA0008"),
    ("collection", "Collection", "TA0009"),
    ("exfiltration", "Exfiltration", "TA0010"),
    ("command_and_control", "Command and Control", "TA0011"),
    ("impact", "Impact", "TA0040"),
];

/// Where a record names its attacks.
pub(super) struct Keys {
    /// `T1190`
    pub(super) technique: &'static str,
    /// `Exploit Public-Facing Application`, `TA0001`, `Initial Access`: what else it says of each.
    pub(super) beside: &'static [(Attribute, &'static str)],
}

/// The words of a list, or the one that stands alone.
fn listed<'a>(fields: &Fields<'a>, key: &str) -> Vec<Cow<'a, str>> {
    match fields.leaf(key) {
        Some(Leaf::Json(list)) => json::elements(list).take(ATTACKS_MAX).filter_map(Leaf::into_text).collect(),
        Some(leaf) => {
            leaf.as_text().filter(|text| !text.is_empty()).map(|text| text.to_owned().into()).into_iter().collect()
        }
        None => Vec::new(),
    }
}

/// `T1190` and `T1059.004`, also in small letters.
fn technique(text: &str) -> Option<String> {
    let digits = text.strip_prefix(['T', 't'])?;
    let (number, sub) = digits.split_once('.').unwrap_or((digits, "000"));
    let whole = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    (whole(number, 4) && whole(sub, 3)).then(|| format!("T{digits}"))
}

/// Takes what stands at the keys. An element needs a technique or a tactic: none is begun by a name that has no id.
pub(super) fn push<'a>(fields: &mut Fields<'a>, keys: &Keys, event: &mut Event<'a>) {
    let techniques: Option<Vec<String>> =
        listed(fields, keys.technique).into_iter().map(|text| technique(&text)).collect();
    let Some(techniques) = techniques.filter(|techniques| !techniques.is_empty()) else { return };
    let count = techniques.len();
    fields.take(keys.technique);
    for (index, uid) in (0..).zip(techniques) {
        event.push_at(Attribute::FindingAttacksTechniqueUid, index, uid);
    }
    for (attribute, key) in keys.beside {
        let found = listed(fields, key);
        // Lists of other lengths do not belong to each other.
        if found.len() != count {
            continue;
        }
        fields.take(key);
        for (index, text) in (0..).zip(found) {
            event.push_at(*attribute, index, text);
        }
    }
}

/// What tags of a rule name: `T1059.004`, `mitre_execution`. They stay where they are; a tactic belongs to every technique
/// where it is the only one.
pub(super) fn push_tags(fields: &Fields<'_>, key: &str, event: &mut Event<'_>) {
    let Some(Leaf::Json(list)) = fields.leaf(key) else { return };
    let tags: Vec<Cow<'_, str>> = json::elements(list).take(TAGS_MAX).filter_map(Leaf::into_text).collect();
    let techniques: Vec<String> = tags.iter().filter_map(|tag| technique(tag)).take(ATTACKS_MAX).collect();
    let tactics = tags.iter().filter_map(|tag| {
        let named = tag.strip_prefix("mitre_")?;
        TACTICS.iter().find(|(tag, ..)| *tag == named)
    });
    let tactics: Vec<_> = tactics.take(ATTACKS_MAX).collect();
    let mut push = |index, (_, name, uid): (&str, &'static str, &'static str)| {
        event.push_at(Attribute::FindingAttacksTacticUid, index, uid);
        event.push_at(Attribute::FindingAttacksTacticName, index, name);
    };
    match (techniques.len(), tactics.as_slice()) {
        (0, tactics) => (0..).zip(tactics).for_each(|(index, tactic)| push(index, **tactic)),
        (_, [tactic]) => (0..).zip(&techniques).for_each(|(index, _)| push(index, **tactic)),
        _ => {}
    }
    for (index, uid) in (0..).zip(techniques) {
        event.push_at(Attribute::FindingAttacksTechniqueUid, index, uid);
    }
}
