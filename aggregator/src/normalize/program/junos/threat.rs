//! Threats that an SRX saw (2004): intrusions, floods and scans that a screen found, viruses, spam, and what Juniper's clouds know.
//!
//! In: a message's name and its parameters. Out: the finding, its two ends as far as they are named, and what was done. Source:
//! Juniper, "System Log Explorer", `IDP_*`, `RT_SCREEN_*`, `AV_VIRUS_DETECTED_*`, `ANTISPAM_*`, `SECINTEL_*`, `SRX_AAMW_*`.

use super::super::super::outcome::{Control, controlled};
use super::super::super::text::base_name;
use super::super::super::transport;
use super::{end, value};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `severity_id`.
const MEDIUM: u8 = 3;
const HIGH: u8 = 4;

/// Whether a message of this name is a finding.
pub(super) fn is(code: &str) -> bool {
    ["IDP_", "RT_SCREEN_", "AV_VIRUS_DETECTED", "ANTISPAM_SPAM_DETECTED", "SECINTEL_", "AAMW_", "SRX_AAMW_"]
        .iter()
        .any(|start| code.starts_with(start))
}

/// Reads a finding; false where none of its parameters is Juniper's.
pub(super) fn parse(code: &str, event: &mut Event<'_>) -> bool {
    let titles = ["attack-name", "name", "malware-info", "sub-category", "ddos-application-name", "reason"];
    let Some(name) = titles.iter().find_map(|key| value(event, key)).or_else(|| {
        // Spam and what a cloud knows may have no name of its own.
        value(event, "source-address").or_else(|| value(event, "client-ip")).map(|_| code.to_owned().into())
    }) else {
        return false;
    };
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.push(Attribute::FindingUid, format!("{name}:{}", event.time.as_ms()));
    event.push(Attribute::FindingTitle, name.clone());
    event.push(Attribute::FindingAnalyticName, name);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    if !end(event, Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointPort, "source")
        && let Some(client) = value(event, "client-ip").filter(|text| super::ip(text).is_some())
    {
        event.push(Attribute::EvidencesSrcEndpointIp, client);
    }
    end(event, Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointPort, "destination");
    let protocol = value(event, "protocol-name").or_else(|| value(event, "protocol-id"));
    transport::push(event, protocol.as_deref());
    if let Some(user) = value(event, "username") {
        event.push(Attribute::EvidencesUserName, user);
    }
    if let Some(path) = value(event, "filename") {
        event.push(Attribute::EvidencesFileName, base_name(&path).to_owned());
        event.push(Attribute::EvidencesFilePath, path);
        event.push(Attribute::EvidencesFileTypeId, 1);
    }
    event.severity_id = match value(event, "threat-severity").as_deref() {
        Some("CRITICAL") => 5,
        Some("HIGH") => HIGH,
        Some("MEDIUM") => MEDIUM,
        Some("LOW") => 2,
        Some(_) => 1,
        None if code.starts_with("AV_") || code.contains("MALWARE") => HIGH,
        None if code.starts_with("IDP_") => 1,
        None => event.severity_id.max(2),
    };
    let action = value(event, "action").unwrap_or_default().to_ascii_uppercase();
    let control = match action.as_str() {
        text if text.starts_with("DROP") => Control::Dropped,
        text if text.starts_with("BLOCK") => Control::Blocked,
        text if text.starts_with("CLOSE") || text == "TRAFFIC_IPACTION_CLOSE" => Control::Reset,
        "PERMIT" => Control::Allowed,
        _ => Control::Alerted,
    };
    controlled(event, control);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn what_an_srx_found_is_a_finding_with_what_was_done() {
        let ends = r#"source-address="192.0.2.7" source-port="41222" destination-address="198.51.100.9" destination-port="443""#;
        for (code, rest, title, severity, disposition) in [
            (
                "IDP_ATTACK_LOG_EVENT",
                r#"protocol-name="TCP" attack-name="HTTP:X" threat-severity="HIGH" action="DROP""#,
                "HTTP:X",
                4,
                6,
            ),
            ("RT_SCREEN_TCP", r#"attack-name="TCP sweep!" action="drop""#, "TCP sweep!", 3, 6),
            ("RT_SCREEN_UDP", r#"attack-name="UDP flood!" action="alarm-without-drop""#, "UDP flood!", 3, 19),
            ("AV_VIRUS_DETECTED_MT", r#"filename="www.example.com/e.com" name="Test-File""#, "Test-File", 4, 19),
            ("SECINTEL_ACTION_LOG", r#"sub-category="Blacklist" action="BLOCK""#, "Blacklist", 3, 2),
        ] {
            let event = normalized(&format!(
                r#"<11>1 2026-03-16T09:00:00.5Z fw RT_IDS - {code} [junos@2636.1.1.1.2.35 {ends} {rest}]"#
            ));
            assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(200_401), &json!(severity)), "{code}");
            assert_eq!(event["finding_info"]["title"], title, "{code}");
            assert_eq!(event["disposition_id"], disposition, "{code}");
            assert_eq!(event["evidences"][0]["src_endpoint"], json!({"ip": "192.0.2.7", "port": 41222}), "{code}");
        }
        let event = normalized(
            r#"<14>1 2026-03-16T09:00:00.5Z fw RT_UTM - ANTISPAM_SPAM_DETECTED_MT [junos@2636.1.1.1.2.86 source-name="N/A" source-address="192.0.2.7" action="drop" reason="Match local blacklist" username="ann"]"#,
        );
        assert_eq!((&event["class_uid"], &event["disposition_id"]), (&json!(2004), &json!(6)));
        assert_eq!(event["evidences"][0]["user"]["name"], "ann");
    }
}
