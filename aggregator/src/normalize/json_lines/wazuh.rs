//! Wazuh: an alert of its manager (2004).
//!
//! In: `rule` with `id`, `level` and `description`, `agent`, and what its decoders found in `data`; the line that the rule
//! matched in `full_log`. Out: a finding with the rule, the ends and the user. Source: Wazuh, "Alerts" and "Rules
//! classification": levels are 0 to 15.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::{Context, json};
use super::{attacks, push_evidence_file};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most groups of a rule that are kept.
const GROUPS_MAX: usize = 16;

/// MITRE ATT&CK as its rules name it.
const ATTACKS: attacks::Keys = attacks::Keys {
    technique: "rule.mitre.id",
    beside: &[
        (Attribute::FindingAttacksTechniqueName, "rule.mitre.technique"),
        (Attribute::FindingAttacksTacticName, "rule.mitre.tactic"),
    ],
};

/// Whether it is an alert.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("rule.level") && fields.has("rule.id") && (fields.has("agent.id") || fields.has("manager.name"))
}

/// Takes the rule and what it saw.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.push(Attribute::MetadataLogProvider, "wazuh");
    let _ = ["timestamp", "@timestamp"].into_iter().any(|key| fields.push_time(event, key, context.reference));
    event.severity_id = match fields.number("rule.level") {
        Some(15..) => 5,
        Some(12..=14) => 4,
        Some(7..=11) => 3,
        Some(4..=6) => 2,
        _ => 1,
    };
    let rule = fields.text("rule.id").unwrap_or_default();
    let at = fields.text("id").unwrap_or_else(|| Cow::Owned(event.time.0.to_string()));
    event.push(Attribute::FindingUid, format!("{rule}:{at}"));
    event.push(Attribute::MetadataEventCode, rule.clone());
    event.push(Attribute::FindingAnalyticUid, rule);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    let title = fields.text("rule.description").unwrap_or(Cow::Borrowed("alert"));
    event.push(Attribute::FindingTitle, title.clone());
    event.push(Attribute::FindingAnalyticName, title.clone());
    let groups = match fields.leaf("rule.groups") {
        Some(Leaf::Json(list)) => json::elements(list).take(GROUPS_MAX).filter_map(Leaf::into_text).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    for (index, group) in (0..).zip(groups) {
        event.push_at(Attribute::FindingTypes, index, group);
    }
    attacks::push(fields, &ATTACKS, event);
    event.push(Attribute::Message, fields.text("full_log").unwrap_or(title));
    fields.push_evidence_ends(
        event,
        [(&["data.srcip", "data.src_ip"], "data.srcport"), (&["data.dstip", "data.dest_ip"], "data.dstport")],
    );
    push_evidence_file(fields, "syscheck.path", event);
    fields.push(event, Attribute::EvidencesUrlString, "data.url");
    let users = ["data.dstuser", "data.srcuser", "data.user", "data.win.eventdata.targetUserName", "data.audit.auid"];
    let _ = users.into_iter().any(|key| fields.push(event, Attribute::EvidencesUserName, key));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn an_alert_names_rule_ends_and_user() {
        let event = normalized(
            r#"{"timestamp":"2026-03-16T10:00:00.000+0000","rule":{"level":10,"description":"sshd: brute force","id":"5712","groups":["sshd","syslog"],"mitre":{"id":["T1110"],"tactic":["Credential Access"],"technique":["Brute Force"]}},"agent":{"id":"001"},"id":"1.2","full_log":"line","data":{"srcip":"192.0.2.1","srcport":"5","srcuser":"bob"}}"#,
        );
        assert_eq!((event["type_uid"].as_i64(), event["severity_id"].as_i64()), (Some(200_401), Some(3)));
        assert_eq!(event["finding_info"]["types"], json!(["sshd", "syslog"]));
        assert_eq!(event["finding_info"]["uid"], "5712:1.2");
        let attack =
            json!({"technique": {"uid": "T1110", "name": "Brute Force"}, "tactic": {"name": "Credential Access"}});
        assert_eq!(event["finding_info"]["attacks"], json!([attack]));
        assert_eq!(event["evidences"][0]["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5}));
        assert_eq!(event["evidences"][0]["user"]["name"], "bob");
        let event = normalized(
            r#"{"timestamp":"2026-03-16T10:00:00.000+0000","rule":{"level":7,"description":"changed","id":"550"},"agent":{"id":"001"},"syscheck":{"path":"/etc/hosts","event":"modified"}}"#,
        );
        let file = json!({"name": "hosts", "path": "/etc/hosts", "type_id": 0});
        assert_eq!(event["evidences"][0]["file"], file);
    }

    #[test]
    fn the_line_that_a_rule_matched_is_the_message() {
        let event = normalized(
            r#"{"timestamp":"2026-03-16T10:00:00.000+0000","rule":{"level":3,"id":"1"},"agent":{"id":"001"},"full_log":"line"}"#,
        );
        assert_eq!((event["message"].as_str(), event["time"].as_i64()), (Some("line"), Some(1_773_655_200_000)));
    }
}
