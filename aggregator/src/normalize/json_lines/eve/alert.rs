//! Alerts: a rule that matched is a finding (2004), what it matched its evidence.
//!
//! Severity: Suricata's 1 is high, 2 medium, 3 low, 4 informational.

use std::borrow::Cow;

use super::super::super::fields::{Fields, Leaf};
use super::super::super::{http_fields, json};
use crate::event::Event;
use crate::schema::Attribute;

/// `analytic.type_id` 1: a rule.
const RULE: i64 = 1;
/// Most techniques and tactics of a rule.
const ATTACKS_MAX: usize = 8;

/// The two ends, as evidence.
pub(super) fn ends<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let from =
        fields.push_host(event, Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointHostname, "src_ip");
    if from && fields.is_port("src_port") {
        fields.push(event, Attribute::EvidencesSrcEndpointPort, "src_port");
    }
    let to =
        fields.push_host(event, Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointHostname, "dest_ip");
    if to && fields.is_port("dest_port") {
        fields.push(event, Attribute::EvidencesDstEndpointPort, "dest_port");
    }
    from || to
}

/// The rule, what it weighs and what was done.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    let generator = fields.peek("alert.gid").unwrap_or("1").to_owned();
    let rule = fields.peek("alert.signature_id").unwrap_or("0").to_owned();
    let flow = event.text(Attribute::MetadataCorrelationUid).unwrap_or_default();
    event.push(Attribute::FindingUid, format!("{generator}:{rule}:{flow}"));
    event.push(Attribute::FindingAnalyticTypeId, RULE);
    event.push(Attribute::IsAlert, true);
    event.severity_id = match fields.number("alert.severity") {
        Some(1) => 4,
        Some(2) => 3,
        Some(3) => 2,
        _ => 1,
    };
    let category = fields.peek("alert.category").map(str::to_owned);
    fields.push_all(
        event,
        &[
            (Attribute::FindingAnalyticUid, "alert.signature_id"),
            (Attribute::FindingAnalyticVersion, "alert.rev"),
            (Attribute::FindingAnalyticCategory, "alert.category"),
            (Attribute::EvidencesConnectionCommunityUid, "community_id"),
            (Attribute::EvidencesUrlHostname, "http.hostname"),
            (Attribute::EvidencesHttpUserAgent, "http.http_user_agent"),
            (Attribute::EvidencesHttpReferrer, "http.http_refer"),
            (Attribute::EvidencesHttpCode, "http.status"),
            (Attribute::EvidencesQueryHostname, "dns.rrname"),
            (Attribute::EvidencesQueryHostname, "dns.query.rrname"),
        ],
    );
    if let Some(method) = fields.peek("http.http_method").and_then(http_fields::method) {
        fields.take("http.http_method");
        event.push(Attribute::EvidencesHttpMethod, method);
    }
    url(fields, event);
    query(fields, event);
    if let Some(category) = category {
        event.push(Attribute::FindingTypes, category);
    }
    if let Some(title) = fields.text("alert.signature") {
        event.push(Attribute::FindingAnalyticName, title.clone());
        event.push(Attribute::FindingTitle, title);
    }
    attacks(fields, event);
    let blocked = match fields.text("alert.action").as_deref() {
        Some("blocked") => true,
        Some(_) => false,
        None => return,
    };
    event.profile("security_control");
    // Allowed and logged, or denied and blocked.
    event.push(Attribute::ActionId, if blocked { 2 } else { 1 });
    event.push(Attribute::DispositionId, if blocked { 2 } else { 17 });
}

/// An URL needs its string; the host alone stays where it was.
fn url<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if fields.push(event, Attribute::EvidencesUrlString, "http.url") {
        return;
    }
    let at = event.fields.iter().position(|field| field.attribute == Attribute::EvidencesUrlHostname);
    if let Some(host) = at.map(|at| event.fields.remove(at)) {
        event.unmap("http.hostname", host.value);
    }
}

/// The first name that was asked for, where it stands in a list.
fn query<'a>(fields: &Fields<'a>, event: &mut Event<'a>) {
    if event.value(Attribute::EvidencesQueryHostname).is_some() {
        return;
    }
    let list = [fields.leaf("dns.queries"), fields.leaf("dns.query")].into_iter().find_map(|leaf| match leaf {
        Some(Leaf::Json(list)) => Some(*list),
        _ => None,
    });
    let Some(Leaf::Json(first)) = list.and_then(|list| json::elements(list).next()) else { return };
    if let Some(name) = json::read(first).and_then(|mut query| query.text("rrname")) {
        event.push(Attribute::EvidencesQueryHostname, name);
    }
}

/// MITRE ATT&CK as rules name it in their metadata: `T1190`, `Exploit_Public_Facing_Application`, `TA0001`.
fn attacks<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let table = [
        ("alert.metadata.mitre_technique_id", Attribute::FindingAttacksTechniqueUid),
        ("alert.metadata.mitre_technique_name", Attribute::FindingAttacksTechniqueName),
        ("alert.metadata.mitre_tactic_id", Attribute::FindingAttacksTacticUid),
        ("alert.metadata.mitre_tactic_name", Attribute::FindingAttacksTacticName),
    ];
    // An element needs a technique or a tactic: none is begun by a name that has no uid.
    let listed = |fields: &Fields<'a>, key: &str| match fields.leaf(key) {
        Some(Leaf::Json(list)) => json::elements(list).take(ATTACKS_MAX).filter_map(Leaf::into_text).collect(),
        _ => Vec::<Cow<'a, str>>::new(),
    };
    let techniques = listed(fields, "alert.metadata.mitre_technique_id").len();
    if techniques == 0 {
        return;
    }
    for (key, attribute) in table {
        let found = listed(fields, key);
        // Lists of other lengths do not belong to each other.
        if found.len() != techniques {
            continue;
        }
        fields.take(key);
        for (index, text) in (0..).zip(found) {
            event.push_at(attribute, index, text);
        }
    }
}
