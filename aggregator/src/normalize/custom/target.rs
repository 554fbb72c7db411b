//! Where a value of a user's parser goes, and what OCSF 1.8.0 requires beside it.
//!
//! Invariant: an event whose paths [`lacking`] finds nothing to say about is valid as far as required parts go.

use shared::printable::Excerpt;
use shared::yaml::nearest;

use crate::schema::{Attribute, Class};

/// Where a value goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// An attribute of the class.
    Attribute(Attribute),
    /// `time`.
    Time,
    /// `severity_id`.
    Severity,
    /// A key of `unmapped`.
    Unmapped(String),
}

/// Paths that other hands fill: the source's and the normalizer's.
const TAKEN: [&str; 22] = [
    "device.",
    "raw_data",
    "observables[]",
    "timezone_offset",
    "metadata.version",
    "metadata.product.",
    "metadata.profiles[]",
    "metadata.log_name",
    "metadata.log_source",
    "metadata.log_format",
    "metadata.source",
    "metadata.tenant_uid",
    "metadata.sequence",
    "metadata.original_time",
    "metadata.logged_time",
    "metadata.processed_time",
    "metadata.is_truncated",
    "metadata.untruncated_size",
    "query_evidence.",
    "sbom.",
    // deprecated in OCSF 1.8.0
    "finding_info.product_uid",
    "smtp_hello",
];

impl Target {
    /// Reads a path as a target of events of a class.
    pub(super) fn parse(path: &str, class: Class) -> Result<Self, String> {
        if let Some(key) = path.strip_prefix("unmapped.").filter(|key| !key.is_empty()) {
            return Ok(Self::Unmapped(key.to_owned()));
        }
        match path {
            "time" => return Ok(Self::Time),
            "severity_id" => return Ok(Self::Severity),
            _ => {}
        }
        if TAKEN.iter().any(|taken| path.starts_with(taken)) || of_host(path) {
            return Err(format!(
                "'{}' is not for parsers to fill: Picket does, or OCSF 1.8.0 deprecates it",
                Excerpt(path)
            ));
        }
        match Attribute::from_path(path) {
            Some(attribute) if class.carries(attribute) => Ok(Self::Attribute(attribute)),
            _ => {
                let known = class.attributes().iter().map(|attribute| attribute.path());
                let free = known.filter(|path| !TAKEN.iter().any(|taken| path.starts_with(taken)) && !of_host(path));
                let advice = nearest(path, free.chain(["time", "severity_id"])).map_or_else(
                    || format!("keep it as 'unmapped.{}'", Excerpt(path)),
                    |meant| format!("did you mean '{meant}'?"),
                );
                Err(format!("class {} has no attribute '{}' here; {advice}", class.name(), Excerpt(path)))
            }
        }
    }

    /// The path as users write it.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Attribute(attribute) => attribute.path().to_owned(),
            Self::Time => "time".to_owned(),
            Self::Severity => "severity_id".to_owned(),
            Self::Unmapped(key) => format!("unmapped.{key}"),
        }
    }
}

/// Whether a path belongs to a profile of hosts: containers, and the users that Linux's audit system knows.
fn of_host(path: &str) -> bool {
    path.contains("container.") || [".auid", ".euid", ".egid"].iter().any(|end| path.ends_with(end))
}

/// Whether the attribute belongs to the profile `security_control`, which its event then declares.
pub(super) fn of_control(attribute: Attribute) -> bool {
    let prefixes = ["action_id", "disposition_id", "is_alert", "firewall_rule.", "policy.", "risk_score"];
    prefixes.iter().any(|prefix| attribute.path().starts_with(prefix))
}

/// Parts of which an object needs one of each group, by the last word of the object's path.
type Needs = (&'static [&'static str], &'static [&'static [&'static str]]);

const ENDS: &[&str] = &["ip", "hostname", "domain", "name", "uid", "svc_name", "interface_name", "interface_uid"];

const OBJECTS: [Needs; 27] = [
    (&["user", "owner", "group", "groups", "service", "app", "firewall_rule", "resources"], &[&["name", "uid"]]),
    (&["process", "parent_process"], &[&["pid", "uid"]]),
    (&["file", "folder", "file_result", "kernel"], &[&["name"], &["type_id"]]),
    (&["src_endpoint", "dst_endpoint", "proxy_endpoint"], &[ENDS]),
    (&["relay", "tunnel_interface", "network_interfaces"], &[&["ip", "mac", "name", "hostname", "uid"]]),
    (&["connection_info"], &[&["direction_id"]]),
    (&["url"], &[&["url_string", "path"]]),
    (&["http_response"], &[&["code"]]),
    (&["ja3_hash", "ja3s_hash", "fingerprint", "fingerprints", "hashes"], &[&["algorithm_id"], &["value"]]),
    (&["client_hassh", "server_hassh"], &[&["fingerprint"]]),
    (&["certificate"], &[&["issuer"], &["serial_number"]]),
    (&["tls"], &[&["version"]]),
    (&["sans"], &[&["name"], &["type"]]),
    (&["tls_extension_list"], &[&["type_id"]]),
    (&["ja4_fingerprint_list"], &[&["type_id"], &["value"]]),
    (&["query"], &[&["hostname"]]),
    (&["answers"], &[&["rdata"]]),
    (&["auth_factors"], &[&["factor_type_id"]]),
    (&["job", "peripheral_device"], &[&["name"]]),
    (&["driver"], &[&["file"]]),
    (&["finding_info"], &[&["uid"]]),
    (&["analytic", "database", "databucket"], &[&["type_id"], &["name", "uid"]]),
    (&["policy"], &[&["name", "uid", "type"]]),
    (&["query_info"], &[&["query_string"], &["name", "uid"]]),
    (&["email"], &[&["from", "to"]]),
    (&["api"], &[&["operation"]]),
    (&["request"], &[&["uid"]]),
];

/// Objects of a finding's evidence, of which it needs one.
const EVIDENCE: &[&str] = &[
    "actor",
    "connection_info",
    "data",
    "database",
    "databucket",
    "dst_endpoint",
    "email",
    "file",
    "process",
    "query",
    "src_endpoint",
    "url",
    "user",
    "job",
];

/// What a class needs, one of each group.
const fn class_needs(class: Class) -> &'static [&'static [&'static str]] {
    const END: &[&str] = &["src_endpoint", "dst_endpoint"];
    match class {
        Class::FileActivity => &[&["file"], &["actor"]],
        Class::KernelExtensionActivity => &[&["driver"], &["actor"]],
        Class::KernelActivity => &[&["kernel"], &["actor"]],
        Class::ProcessActivity => &[&["process"], &["actor"]],
        Class::PeripheralActivity => &[&["peripheral_device"], &["actor"]],
        Class::ScheduledJobActivity => &[&["job"]],
        Class::EventLogActivity => &[&["log_name", "log_provider", "log_file", "log_type_id"]],
        Class::DetectionFinding => &[&["finding_info"]],
        Class::AccountChange => &[&["user"]],
        Class::Authentication => &[&["user"], &["service", "dst_endpoint"]],
        Class::GroupManagement => &[&["group"]],
        Class::NetworkActivity
        | Class::DnsActivity
        | Class::DhcpActivity
        | Class::RdpActivity
        | Class::SmbActivity
        | Class::SshActivity
        | Class::FtpActivity => &[END],
        Class::NtpActivity => &[END, &["version"]],
        Class::HttpActivity => &[&["http_request", "http_response"]],
        Class::EmailActivity => &[&["email"], &["direction_id"]],
        Class::TunnelActivity => {
            &[&["src_endpoint", "connection_info", "session", "traffic", "tunnel_interface", "tunnel_type_id"]]
        }
        Class::ApplicationLifecycle => &[&["app"]],
        Class::ApiActivity => &[&["api"], &["actor"], &["src_endpoint"]],
        Class::DatastoreActivity => &[&["actor"], &["src_endpoint"], &["database", "databucket", "table"]],
        _ => &[],
    }
}

/// What is missing beside some attributes: the object's path, empty for the class, and the parts of which it needs one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lack {
    /// The object that lacks something, with its dot; empty where it is the class.
    pub(super) object: String,
    /// One of these.
    pub(super) any_of: &'static [&'static str],
}

impl Lack {
    /// The end of a sentence.
    pub(super) fn sentence(&self, class: Class) -> String {
        let paths: Vec<String> = self.any_of.iter().map(|part| format!("{}{part}", self.object)).collect();
        let paths = if paths.len() == 1 { paths.concat() } else { format!("one of {}", paths.join(", ")) };
        match self.object.trim_end_matches('.') {
            "" => format!("class {} needs {paths}", class.name()),
            object => format!("{object} needs {paths}"),
        }
    }
}

/// The first thing that is missing, if anything is; objects first, those inside others before these.
pub(super) fn lacking(class: Class, paths: &[&str]) -> Option<Lack> {
    let mut objects: Vec<&str> =
        paths.iter().flat_map(|path| path.match_indices('.').filter_map(|(at, _)| path.get(..=at))).collect();
    objects.sort_unstable_by_key(|object| (usize::MAX - object.len(), *object));
    objects.dedup();
    let lack = objects.into_iter().find_map(|object| {
        let groups = groups_of(object);
        let missing = groups.iter().find(|any| !any.iter().any(|part| has(paths, object, part)));
        missing.map(|any_of| Lack { object: object.to_owned(), any_of })
    });
    lack.or_else(|| {
        let missing = class_needs(class).iter().find(|any| !any.iter().any(|part| has(paths, "", part)));
        missing.map(|any_of| Lack { object: String::new(), any_of })
    })
}

fn groups_of(object: &str) -> &'static [&'static [&'static str]] {
    let name = object.trim_end_matches('.').trim_end_matches("[]").rsplit('.').next().unwrap_or_default();
    match name {
        "evidences" => &[EVIDENCE],
        _ => OBJECTS.iter().find(|(names, _)| names.contains(&name)).map_or(&[], |(_, groups)| groups),
    }
}

/// Whether an object has a part, or something in it.
fn has(paths: &[&str], object: &str, part: &str) -> bool {
    paths.iter().any(|path| {
        let rest = path.strip_prefix(object).and_then(|rest| rest.strip_prefix(part));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// The number that says "other", and where the word for it stands.
pub(super) fn word_for(attribute: Attribute) -> Option<Attribute> {
    let path = attribute.path().strip_suffix("_id")?;
    Attribute::from_path(path).or_else(|| Attribute::from_path(&format!("{path}_name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_classs_own() {
        let parse = |path| Target::parse(path, Class::Authentication);
        assert_eq!(parse("user.name"), Ok(Target::Attribute(Attribute::UserName)));
        assert_eq!(parse("unmapped.a.b"), Ok(Target::Unmapped("a.b".to_owned())));
        assert_eq!(parse("time"), Ok(Target::Time));
        for (path, sentence) in [
            ("user.nme", "did you mean 'user.name'?"),
            ("http_request.referrer", "class authentication has no attribute"),
            ("colour", "keep it as 'unmapped.colour'"),
            ("device.hostname", "is not for parsers to fill"),
            ("raw_data_size", "is not for parsers to fill"),
        ] {
            assert!(parse(path).unwrap_err().contains(sentence), "{path}: {:?}", parse(path));
        }
    }

    #[test]
    fn what_a_class_or_an_object_needs_is_named() {
        let lack = |class, paths: &[&str]| lacking(class, paths).map(|lack| lack.sentence(class));
        for (class, paths, sentence) in [
            (Class::Authentication, &["user.name", "service.name"][..], None),
            (Class::Authentication, &["user.name"], Some("class authentication needs one of service, dst_endpoint")),
            (
                Class::Authentication,
                &["user.name", "src_endpoint.port", "service.name"],
                Some("src_endpoint needs one of src_endpoint.ip, "),
            ),
            (Class::FileActivity, &["file.name", "actor.user.name"], Some("file needs file.type_id")),
            (Class::HttpActivity, &["http_response.code"], None),
            (Class::DetectionFinding, &["finding_info.title"], Some("finding_info needs finding_info.uid")),
            (Class::BaseEvent, &["message"], None),
        ] {
            let found = lack(class, paths);
            match sentence {
                None => assert_eq!(found, None, "{paths:?}"),
                Some(sentence) => assert!(found.as_ref().is_some_and(|found| found.contains(sentence)), "{found:?}"),
            }
        }
    }
}
