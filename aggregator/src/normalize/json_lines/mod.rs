//! JSON lines: one object a line, as programs write them for machines.
//!
//! In: `{"time":…,"level":…,"msg":…, …}`, also behind `@cee:` (the mark of lumberjack and rsyslog). Out: the event of the
//! first of [`KINDS`] that a few keys show it to be; of any other object the keys that many programs share are its time,
//! level, message and correlation id. Everything else stands in `unmapped` with dotted keys.

mod access;
mod attacks;
mod aws;
mod bare;
mod cloud;
mod collected;
mod container;
mod ecs;
mod eve;
mod falco;
mod flow;
mod kubernetes;
mod modsecurity;
mod mongodb;
mod mysql;
mod ocsf;
mod osquery;
mod postgresql;
mod relayed;
mod snort;
mod sudo;
mod sysmon;
mod tetragon;
mod tracee;
mod trail;
mod trails;
mod vault;
mod wazuh;
mod windows;

pub(super) use access::{looks as is_request, parse as push_request};
pub(super) use bare::parse as push_bare;
pub(super) use container::{inner, part};
pub(super) use eve::{push_ftp_code, push_ftp_command, push_rcode};
pub(super) use falco::{
    Process as FalcoProcess, ends as falco_ends, push_ends as push_falco_ends, push_process as push_falco_process,
    severity as falco_severity,
};
pub(super) use windows::parse as push_windows;

use super::fields::Fields;
use super::text::base_name;
use super::{Context, json, zeek};
use crate::event::Event;
use crate::schema::Attribute;

/// The file that a finding is about, also one of Windows.
fn push_evidence_file<'a>(fields: &mut Fields<'a>, key: &str, event: &mut Event<'a>) {
    let named = |path: &str| if path.starts_with('/') { base_name(path) } else { windows::base_name(path) }.to_owned();
    let Some(name) = fields.peek(key).map(named) else { return };
    if !name.is_empty() && fields.push(event, Attribute::EvidencesFilePath, key) {
        event.push(Attribute::EvidencesFileName, name);
        event.push(Attribute::EvidencesFileTypeId, 0);
    }
}

/// What an object can be.
struct Kind {
    /// `metadata.log_format`.
    name: &'static str,
    /// Whether these keys are its.
    looks: fn(&Fields<'_>) -> bool,
    /// Takes what it knows; what it leaves goes to `unmapped`.
    parse: for<'a> fn(&mut Fields<'a>, &Context<'a>, &mut Event<'a>),
}

/// The first that the keys look like has the object.
static KINDS: [Kind; 35] = [
    Kind { name: "suricata_eve", looks: eve::looks, parse: eve::parse },
    Kind { name: "zeek_json", looks: zeek::looks_json, parse: zeek::parse_json },
    Kind { name: "docker_json", looks: container::looks, parse: container::parse },
    Kind { name: "docker_events", looks: container::looks_event, parse: container::parse_event },
    Kind { name: "ocsf", looks: ocsf::looks, parse: ocsf::parse },
    Kind { name: "windows_json", looks: windows::looks, parse: windows::parse },
    Kind { name: "kubernetes_audit", looks: kubernetes::looks, parse: kubernetes::parse },
    Kind { name: "kubernetes_event", looks: kubernetes::looks_event, parse: kubernetes::parse_event },
    Kind { name: "syslog_json", looks: relayed::looks, parse: relayed::parse },
    Kind { name: "ecs", looks: collected::looks, parse: collected::parse },
    Kind { name: "ecs", looks: ecs::looks, parse: ecs::parse },
    Kind { name: "falco", looks: falco::looks, parse: falco::parse },
    Kind { name: "snort_json", looks: snort::looks, parse: snort::parse },
    Kind { name: "wazuh", looks: wazuh::looks, parse: wazuh::parse },
    Kind { name: "osquery", looks: osquery::looks, parse: osquery::parse },
    Kind { name: "modsecurity_json", looks: modsecurity::looks, parse: modsecurity::parse },
    Kind { name: "cloudtrail", looks: cloud::looks_cloudtrail, parse: cloud::parse_cloudtrail },
    Kind { name: "gcp_audit", looks: cloud::looks_gcp, parse: cloud::parse_gcp },
    Kind { name: "teleport", looks: cloud::looks_teleport, parse: cloud::parse_teleport },
    Kind { name: "guardduty", looks: aws::looks_guardduty, parse: aws::parse_guardduty },
    Kind { name: "security_hub", looks: aws::looks_finding, parse: aws::parse_finding },
    Kind { name: "aws_waf", looks: aws::looks_waf, parse: aws::parse_waf },
    Kind { name: "vpc_flow", looks: aws::looks_flow, parse: aws::parse_flow },
    Kind { name: "route53", looks: aws::looks_query, parse: aws::parse_query },
    Kind { name: "tetragon", looks: tetragon::looks, parse: tetragon::parse },
    Kind { name: "tracee", looks: tracee::looks, parse: tracee::parse },
    Kind { name: "mongodb", looks: mongodb::looks, parse: mongodb::parse },
    Kind { name: "mysql_json", looks: mysql::looks, parse: mysql::parse },
    Kind { name: "mysql_audit", looks: mysql::looks_audit, parse: mysql::parse_audit },
    Kind { name: "vault_audit", looks: vault::looks, parse: vault::parse },
    Kind { name: "postgresql_json", looks: postgresql::looks, parse: postgresql::parse },
    Kind { name: "sudo_json", looks: sudo::looks, parse: sudo::parse },
    Kind { name: "audit_trail", looks: trail::looks, parse: trail::parse },
    Kind { name: "http_json", looks: access::looks, parse: access::parse },
    Kind { name: "json", looks: |_| true, parse: bare::parse_any },
];

/// Whether a line can be an object.
pub(super) fn looks(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{') || text.starts_with("@cee:")
}

/// Reads a line; false where it is not one whole object.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let text = text.trim_start();
    if text.contains('\n') && container::parse_parts(text, context, event) {
        return true;
    }
    // Logs that are one long array end each object with a comma.
    let object = text.strip_prefix("@cee:").unwrap_or(text).trim_end_matches(',');
    let Some(mut fields) = json::read(object) else { return false };
    if let Some(kind) = KINDS.iter().find(|kind| (kind.looks)(&fields)) {
        event.push(Attribute::MetadataLogFormat, kind.name);
        (kind.parse)(&mut fields, context, event);
    }
    fields.finish(event);
    true
}
