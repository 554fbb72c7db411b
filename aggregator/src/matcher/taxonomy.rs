//! Names of fields: the Sigma taxonomy as OCSF paths.
//!
//! In: a name as it stands in a rule, and the rule's log source. Out: where in an OCSF event its values are, by
//! [`ROWS`]; a name that stands in no row is an OCSF path, or a key of `unmapped`. Events that are not OCSF are asked
//! for the name itself.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::LazyLock;

use super::sources::LogSource;
use crate::schema::Attribute;

/// How a value of an event is read before it is compared; none: as it stands.
pub type Reading = for<'v> fn(Scalar<'v>) -> Option<Scalar<'v>>;

/// One value of an event, before it is text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scalar<'v> {
    /// Null.
    Null,
    /// An object or list that is there.
    Structure,
    /// Text.
    Text(&'v str),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A number of a JSON text.
    Number(&'v serde_json::Number),
    /// A truth value.
    Bool(bool),
}

/// One place in an OCSF event.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The path, without `[]`.
    pub path: &'static str,
    /// How it is read.
    pub reading: Option<Reading>,
}

/// The log sources for which a name stands for these places: a category and a service, either of them empty for any.
struct Row {
    category: &'static str,
    service: &'static str,
    names: &'static [(&'static str, &'static [Place])],
}

/// A value as it stands.
const fn at(path: &'static str) -> Place {
    Place { path, reading: None }
}

/// A value that has to be read first.
const fn read(path: &'static str, reading: Reading) -> Place {
    Place { path, reading: Some(reading) }
}

/// `connection_info.direction_id`: 1 inbound, 2 outbound.
fn initiated(value: Scalar<'_>) -> Option<Scalar<'_>> {
    match number(value)? {
        1 => Some(Scalar::Bool(false)),
        2 => Some(Scalar::Bool(true)),
        _ => None,
    }
}

/// `action_id`: 1 allowed, 2 denied.
fn blocked(value: Scalar<'_>) -> Option<Scalar<'_>> {
    match number(value)? {
        1 => Some(Scalar::Bool(false)),
        2 => Some(Scalar::Bool(true)),
        _ => None,
    }
}

/// `action_id` in the words of firewalls.
fn action(value: Scalar<'_>) -> Option<Scalar<'_>> {
    match number(value)? {
        1 => Some(Scalar::Text("allow")),
        2 => Some(Scalar::Text("denied")),
        _ => None,
    }
}

/// What stands behind the last dot of a path's last segment.
fn extension(value: Scalar<'_>) -> Option<Scalar<'_>> {
    let Scalar::Text(path) = value else { return None };
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    Some(Scalar::Text(extension))
}

fn number(value: Scalar<'_>) -> Option<i64> {
    match value {
        Scalar::Int(number) => Some(number),
        Scalar::Number(number) => number.as_i64(),
        _ => None,
    }
}

const ACTOR_PATH: Place = at("actor.process.file.path");
const HTTP_URL: &[Place] = &[at("http_request.url.url_string")];
const HTTP_PATH: &[Place] = &[at("http_request.url.path")];
const HTTP_QUERY: &[Place] = &[at("http_request.url.query_string")];
const HTTP_HOST: &[Place] = &[at("http_request.url.hostname")];
const HTTP_METHOD: &[Place] = &[at("http_request.http_method")];
const HTTP_STATUS: &[Place] = &[at("http_response.code")];
const HTTP_AGENT: &[Place] = &[at("http_request.user_agent")];
const HTTP_REFERRER: &[Place] = &[at("http_request.referrer")];
const SRC_IP: &[Place] = &[at("src_endpoint.ip")];
const SRC_PORT: &[Place] = &[at("src_endpoint.port")];
const DST_IP: &[Place] = &[at("dst_endpoint.ip")];
const DST_PORT: &[Place] = &[at("dst_endpoint.port")];
const DST_HOST: &[Place] = &[at("dst_endpoint.hostname")];
const DNS_NAME: &[Place] = &[at("query.hostname")];
const DNS_TYPE: &[Place] = &[at("query.type")];
const DNS_DATA: &[Place] = &[at("answers.rdata")];

/// W3C names of web servers and proxies. SigmaHQ's rules expect the path in `cs-uri-query`.
const WEB: &[(&str, &[Place])] = &[
    ("c-ip", SRC_IP),
    ("c-uri", HTTP_URL),
    ("c-uri-extension", &[read("http_request.url.path", extension)]),
    ("c-uri-query", HTTP_QUERY),
    ("c-uri-stem", HTTP_PATH),
    ("c-useragent", HTTP_AGENT),
    ("cs-bytes", &[at("http_request.body_length")]),
    ("cs-content-type", &[at("http_response.content_type")]),
    ("cs-host", HTTP_HOST),
    ("cs-method", HTTP_METHOD),
    ("cs-referer", HTTP_REFERRER),
    ("cs-referrer", HTTP_REFERRER),
    ("cs-uri", HTTP_URL),
    ("cs-uri-query", HTTP_URL),
    ("cs-uri-stem", HTTP_PATH),
    ("cs-user-agent", HTTP_AGENT),
    ("cs-username", &[at("actor.user.name")]),
    ("cs-version", &[at("http_request.version")]),
    ("dst_ip", DST_IP),
    ("dst_port", DST_PORT),
    ("r-dns", HTTP_HOST),
    ("sc-bytes", &[at("http_response.body_length")]),
    ("sc-status", HTTP_STATUS),
    ("src_ip", SRC_IP),
];

/// Sysmon's names of what happens to a file.
const FILE_NAMES: &[(&str, &[Place])] = &[
    ("Image", &[ACTOR_PATH]),
    ("ProcessId", &[at("actor.process.pid")]),
    ("SourceFilename", &[at("file.path")]),
    ("TargetFilename", &[at("file.path"), at("file_result.path")]),
    ("User", &[at("actor.user.name")]),
];

/// Zeek's names of the two ends.
const ZEEK_ENDS: &[(&str, &[Place])] = &[
    ("id.orig_h", SRC_IP),
    ("id.orig_p", SRC_PORT),
    ("id.resp_h", DST_IP),
    ("id.resp_p", DST_PORT),
    ("proto", &[at("connection_info.protocol_name")]),
];

/// ECS names (category `network`).
const ECS: &[(&str, &[Place])] = &[
    ("destination.domain", DST_HOST),
    ("destination.ip", DST_IP),
    ("destination.port", DST_PORT),
    ("dns.answers.data", DNS_DATA),
    ("dns.question.name", DNS_NAME),
    ("dns.question.type", DNS_TYPE),
    ("dns.response_code", &[at("rcode")]),
    ("network.community_id", &[at("connection_info.community_uid")]),
    ("network.protocol", &[at("app_protocol_name")]),
    ("network.transport", &[at("connection_info.protocol_name")]),
    ("source.ip", SRC_IP),
    ("source.port", SRC_PORT),
];

/// The table.
static ROWS: &[Row] = &[
    Row {
        category: "process_creation",
        service: "",
        names: &[
            ("CommandLine", &[at("process.cmd_line")]),
            ("CurrentDirectory", &[at("process.working_directory")]),
            ("Hashes", &[at("process.file.hashes.value")]),
            ("Image", &[at("process.file.path")]),
            ("LogonId", &[at("process.session.uid"), at("process.auid"), at("unmapped.ses")]),
            ("ParentCommandLine", &[at("process.parent_process.cmd_line")]),
            ("ParentImage", &[at("process.parent_process.file.path")]),
            ("ParentProcessId", &[at("process.parent_process.pid")]),
            ("ProcessId", &[at("process.pid")]),
            ("User", &[at("process.user.name"), at("process.user.uid")]),
        ],
    },
    Row {
        category: "network_connection",
        service: "",
        names: &[
            ("DestinationHostname", DST_HOST),
            ("DestinationIp", DST_IP),
            ("DestinationPort", DST_PORT),
            ("Image", &[ACTOR_PATH]),
            ("Initiated", &[read("connection_info.direction_id", initiated)]),
            ("ProcessId", &[at("actor.process.pid")]),
            ("Protocol", &[at("connection_info.protocol_name")]),
            ("SourceHostname", &[at("src_endpoint.hostname")]),
            ("SourceIp", SRC_IP),
            ("SourcePort", SRC_PORT),
            ("User", &[at("actor.user.name")]),
        ],
    },
    Row { category: "file_event", service: "", names: FILE_NAMES },
    Row { category: "file_access", service: "", names: FILE_NAMES },
    Row { category: "file_delete", service: "", names: FILE_NAMES },
    Row { category: "file_rename", service: "", names: FILE_NAMES },
    Row { category: "file_change", service: "", names: FILE_NAMES },
    Row { category: "driver_load", service: "", names: &[("ImageLoaded", &[at("driver.file.path")])] },
    Row { category: "webserver", service: "", names: WEB },
    Row { category: "proxy", service: "", names: WEB },
    Row {
        category: "dns",
        service: "",
        names: &[
            ("QueryName", DNS_NAME),
            ("answer", DNS_DATA),
            ("answers", DNS_DATA),
            ("query", DNS_NAME),
            ("record_type", DNS_TYPE),
            ("src_ip", SRC_IP),
        ],
    },
    Row { category: "network", service: "", names: ECS },
    Row {
        category: "firewall",
        service: "",
        names: &[
            ("action", &[at("unmapped.action"), read("action_id", action)]),
            ("blocked", &[read("action_id", blocked)]),
            ("dst_ip", DST_IP),
            ("dst_port", DST_PORT),
            ("src_ip", SRC_IP),
            ("src_port", SRC_PORT),
            ("username", &[at("actor.user.name")]),
        ],
    },
    Row {
        category: "antivirus",
        service: "",
        names: &[
            ("Filename", &[at("evidences.file.path"), at("evidences.file.name")]),
            ("Signature", &[at("finding_info.analytic.name"), at("finding_info.title")]),
        ],
    },
    Row {
        category: "",
        service: "auditd",
        names: &[
            ("SYSCALL", &[at("unmapped.SYSCALL"), at("unmapped.syscall"), at("kernel.system_call")]),
            ("comm", &[at("unmapped.comm"), at("process.name"), at("actor.process.name")]),
            ("cwd", &[at("unmapped.cwd"), at("process.working_directory")]),
            ("exe", &[at("unmapped.exe"), at("process.file.path"), ACTOR_PATH]),
            ("name", &[at("unmapped.name"), at("file.path")]),
            ("pid", &[at("unmapped.pid"), at("process.pid"), at("actor.process.pid")]),
            ("type", &[at("metadata.event_code"), at("unmapped.type")]),
            ("uid", &[at("unmapped.uid"), at("process.user.uid"), at("actor.user.uid"), at("user.uid")]),
            ("unit", &[at("unmapped.unit"), at("service.name")]),
        ],
    },
    Row {
        category: "",
        service: "sudo",
        names: &[("USER", &[at("unmapped.USER"), at("process.user.name"), at("user.name")])],
    },
    Row {
        category: "",
        service: "dns",
        names: &[
            ("answers", DNS_DATA),
            ("qtype_name", DNS_TYPE),
            ("query", DNS_NAME),
            ("rcode", &[at("rcode_id")]),
            ("rcode_name", &[at("rcode")]),
        ],
    },
    Row {
        category: "",
        service: "http",
        names: &[
            ("c-uri", HTTP_URL),
            ("c-useragent", HTTP_AGENT),
            ("host", HTTP_HOST),
            ("method", HTTP_METHOD),
            ("referrer", HTTP_REFERRER),
            ("resp_mime_types", &[at("http_response.content_type")]),
            ("status_code", HTTP_STATUS),
            ("uri", HTTP_URL),
            ("user_agent", HTTP_AGENT),
        ],
    },
    Row {
        category: "",
        service: "x509",
        names: &[
            ("certificate.issuer", &[at("tls.certificate.issuer")]),
            ("certificate.serial", &[at("tls.certificate.serial_number")]),
            ("certificate.subject", &[at("tls.certificate.subject")]),
        ],
    },
    Row { category: "", service: "ssl", names: &[("server_name", &[at("tls.sni")]), ("cipher", &[at("tls.cipher")])] },
    Row { category: "", service: "dns", names: ZEEK_ENDS },
    Row { category: "", service: "http", names: ZEEK_ENDS },
    Row { category: "", service: "conn", names: ZEEK_ENDS },
    Row { category: "", service: "netflow", names: &[("destination.port", DST_PORT), ("source.port", SRC_PORT)] },
    // What every source has.
    Row {
        category: "",
        service: "",
        names: &[
            ("Computer", &[at("device.hostname")]),
            ("ComputerName", &[at("device.hostname")]),
            ("EventID", &[at("metadata.event_code")]),
            ("Hostname", &[at("device.hostname")]),
        ],
    },
];

/// What stands in the event itself and is no attribute of the table.
pub const HEADS: [&str; 8] =
    ["class_uid", "class_name", "category_uid", "activity_id", "type_uid", "severity_id", "time", "metadata.uid"];

/// Every OCSF path by which a field can be named, lists without `[]`.
static PATHS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let attributes = Attribute::ALL.iter().map(|attribute| attribute.path().replace("[]", ""));
    attributes.chain(HEADS.map(str::to_owned)).collect()
});

/// Every OCSF path by which a field can be named.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PATHS.iter().map(String::as_str)
}

/// Whether the name is an OCSF path, or the beginning of some, with or without `[]`.
fn is_path(name: &str) -> bool {
    let below = format!("{name}.");
    let next = PATHS.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded)).next();
    PATHS.contains(name) || next.is_some_and(|path| path.starts_with(&below))
}

/// Calls `take` with each place at which an OCSF event may have the field.
pub fn places(name: &str, source: &LogSource, mut take: impl FnMut(&str, Option<Reading>)) {
    let plain = name.replace("[]", "");
    let [category, _, service] = source.words();
    let any = source == &LogSource::default();
    if any && is_path(&plain) {
        return take(&plain, None);
    }
    let said = |row: &&Row| {
        any || (row.category.is_empty() || row.category == category)
            && (row.service.is_empty() || row.service == service)
    };
    let mut found: Vec<&'static str> = Vec::new();
    for (_, places) in ROWS.iter().filter(said).flat_map(|row| row.names).filter(|(known, _)| *known == name) {
        for place in *places {
            if !found.contains(&place.path) {
                found.push(place.path);
                take(place.path, place.reading);
            }
        }
    }
    if found.is_empty() {
        if is_path(&plain) || plain.starts_with("unmapped.") {
            take(&plain, None);
        } else {
            take(&format!("unmapped.{name}"), None);
        }
    }
}

/// Whether a name is a path, a key of `unmapped` that says so, or a name of the taxonomy for the log source.
#[must_use]
pub fn is_known(name: &str, source: &LogSource) -> bool {
    let mut known = false;
    places(name, source, |path, _| known |= name.starts_with("unmapped.") || !path.starts_with("unmapped."));
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, source: &LogSource) -> Vec<String> {
        let mut out = Vec::new();
        places(name, source, |path, _| out.push(path.to_owned()));
        out
    }

    #[test]
    fn one_name_means_another_place_in_another_log() {
        assert_eq!(found("Image", &LogSource::new("process_creation", "linux", "")), ["process.file.path"]);
        assert_eq!(found("Image", &LogSource::new("file_event", "linux", "")), ["actor.process.file.path"]);
        assert_eq!(found("a0", &LogSource::new("", "linux", "auditd")), ["unmapped.a0"]);
        assert_eq!(found("query", &LogSource::new("", "zeek", "dns")), ["query.hostname"]);
    }

    #[test]
    fn a_where_takes_paths_first_and_then_names_of_every_log() {
        let all = LogSource::default();
        assert_eq!(found("user.name", &all), ["user.name"]);
        assert_eq!(found("answers[].rdata", &all), ["answers.rdata"]);
        assert_eq!(found("src_endpoint", &all), ["src_endpoint"]);
        assert_eq!(found("Image", &all), ["process.file.path", "actor.process.file.path"]);
        assert_eq!(found("unmapped.key", &all), ["unmapped.key"]);
        assert_eq!(found("custom", &all), ["unmapped.custom"]);
        assert!(is_known("class_uid", &all) && is_known("unmapped.x", &all) && !is_known("user.nmae", &all));
    }

    #[test]
    fn values_are_read_as_rules_expect_them() {
        assert_eq!(initiated(Scalar::Int(2)), Some(Scalar::Bool(true)));
        assert_eq!(initiated(Scalar::Int(0)), None);
        assert_eq!(extension(Scalar::Text("/a.b/c.exe")), Some(Scalar::Text("exe")));
        assert_eq!(extension(Scalar::Text("/a.b/c")), None);
    }
}
