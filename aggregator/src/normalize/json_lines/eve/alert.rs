//! Alerts: a rule that matched is a finding (2004), what it matched its evidence.
//!
//! Severity: Suricata's 1 is high, 2 medium, 3 low, 4 informational.

use super::super::super::fields::{Fields, Leaf};
use super::super::super::record::is_mac;
use super::super::super::{fingerprints, http_fields, json};
use super::super::attacks;
use super::protocol::TOLD;
use crate::event::Event;
use crate::schema::Attribute;

/// `analytic.type_id` 1: a rule.
const RULE: i64 = 1;

/// MITRE ATT&CK as rules of the Emerging Threats name it in their metadata.
const ATTACKS: attacks::Keys = attacks::Keys {
    technique: "alert.metadata.mitre_technique_id",
    beside: &[
        (Attribute::FindingAttacksTechniqueName, "alert.metadata.mitre_technique_name"),
        (Attribute::FindingAttacksTacticUid, "alert.metadata.mitre_tactic_id"),
        (Attribute::FindingAttacksTacticName, "alert.metadata.mitre_tactic_name"),
    ],
};

/// The same as other rules do: `"mitre_attack": ["t1190"]`.
const ATTACK: attacks::Keys = attacks::Keys { technique: "alert.metadata.mitre_attack", beside: &[] };

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
    for (end, mac, key) in [
        (from, Attribute::EvidencesSrcEndpointMac, "ether.src_mac"),
        (to, Attribute::EvidencesDstEndpointMac, "ether.dest_mac"),
    ] {
        if end && fields.peek(key).is_some_and(is_mac) {
            fields.push(event, mac, key);
        }
    }
    if from {
        fields.push(event, Attribute::EvidencesSrcEndpointInterfaceName, "in_iface");
    }
    from || to
}

/// The handshake that the rule saw.
fn tls<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if !fingerprints::push_version(fields, (Attribute::EvidencesTlsVersion, "tls.version"), &TOLD, event) {
        return;
    }
    fields.push(event, Attribute::EvidencesTlsSni, "tls.sni");
    fingerprints::push_evidence_ja3(fields, ["tls.ja3.hash", "tls.ja3s.hash"], event);
    if fields.peek("tls.issuerdn").is_some() && fields.peek("tls.serial").is_some() {
        fields.push_all(
            event,
            &[
                (Attribute::EvidencesTlsCertificateIssuer, "tls.issuerdn"),
                (Attribute::EvidencesTlsCertificateSerialNumber, "tls.serial"),
                (Attribute::EvidencesTlsCertificateSubject, "tls.subject"),
            ],
        );
    }
}

/// The rule, what it weighs and what was done.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    let generator = fields.peek("alert.gid").unwrap_or("1").to_owned();
    let rule = fields.peek("alert.signature_id").unwrap_or("0").to_owned();
    let flow = event.text(Attribute::MetadataCorrelationUid).unwrap_or_default();
    // A rule matches once in each transaction of a flow.
    let uid = match fields.peek("tx_id") {
        Some(transaction) => format!("{generator}:{rule}:{flow}:{transaction}"),
        None => format!("{generator}:{rule}:{flow}"),
    };
    event.push(Attribute::FindingUid, uid);
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
            (Attribute::EvidencesQueryHostname, "dns.rrname"),
            (Attribute::EvidencesQueryHostname, "dns.query.rrname"),
        ],
    );
    // An answer needs its code.
    if fields.push(event, Attribute::EvidencesHttpCode, "http.status") {
        fields.push_all(
            event,
            &[
                (Attribute::EvidencesHttpContentType, "http.http_content_type"),
                (Attribute::EvidencesHttpBodyLength, "http.length"),
            ],
        );
    }
    tls(fields, event);
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
    let named = if fields.has(ATTACK.technique) { ATTACK } else { ATTACKS };
    attacks::push(fields, &named, event);
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
fn query<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if event.value(Attribute::EvidencesQueryHostname).is_some() {
        fields.push_new(
            event,
            &[(Attribute::EvidencesQueryType, "dns.rrtype"), (Attribute::EvidencesQueryType, "dns.query.rrtype")],
        );
        return;
    }
    let list = [fields.leaf("dns.queries"), fields.leaf("dns.query")].into_iter().find_map(|leaf| match leaf {
        Some(Leaf::Json(list)) => Some(*list),
        _ => None,
    });
    let Some(Leaf::Json(first)) = list.and_then(|list| json::elements(list).next()) else { return };
    let Some(mut query) = json::read(first) else { return };
    if query.push(event, Attribute::EvidencesQueryHostname, "rrname") {
        query.push(event, Attribute::EvidencesQueryType, "rrtype");
    }
}
