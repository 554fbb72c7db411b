//! CEF and LEEF: one event of a security product in a line.
//!
//! In: `CEF:0|Vendor|Product|Version|Class|Name|Severity|key=value …` and `LEEF:2.0|Vendor|Product|Version|EventID|^|key=value^…`,
//! where syslog or nothing stands before it. Out: a logon (3002) where it names a user and says so, a finding (2004) where it
//! weighs as one, a request (4002) where it has an URL and two ends, network activity (4001) where it has an end, else what the
//! product says of itself (6002). Source: ArcSight "Implementing Common Event Format", revision 26; IBM "LEEF overview".

mod keys;
mod syntax;

use std::borrow::Cow;

use super::endpoint::Address;
use super::fields::Fields;
use super::outcome::{self, Control};
use super::text::{cut, head, number, word};
use super::{Context, http_fields, syslog, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};
use syntax::{Header, cef_extension, cef_header, leef_extension, leef_header};

/// Where the header may begin: behind a time and a host at most.
const LEAD_MAX: usize = 128;
/// The longer of the marks, with the space that may follow it.
const MARK_MAX: usize = "LEEF: ".len();

/// Whether the mark stands near the beginning, or a header without it.
pub(super) fn looks(text: &str) -> bool {
    begins(text).is_some()
}

/// The dialect and what follows its mark.
fn begins(text: &str) -> Option<(Dialect, &str)> {
    let near = head(text, LEAD_MAX);
    // Both marks end in the same three bytes: most lines are done with one look.
    let ends = |at: usize| near.get(..at + 2).is_some_and(|before| before.ends_with("EF:"));
    let marked = memchr::memchr_iter(b'F', near.as_bytes()).any(ends);
    for (mark, dialect) in [("CEF:", Dialect::Cef), ("LEEF:", Dialect::Leef)].into_iter().filter(|_| marked) {
        if let Some((before, _)) = cut(near, mark).filter(|(before, _)| before.is_empty() || before.ends_with(' ')) {
            let rest = text.get(before.len() + mark.len()..)?.trim_start_matches(' ');
            let version = rest.split('|').next().unwrap_or_default();
            return matches!(version, "0" | "1" | "1.0" | "2.0" | "2").then_some((dialect, rest));
        }
    }
    // A collector that took the mark for a syslog tag leaves the header without it.
    let bare = text.starts_with("0|") && text.bytes().filter(|b| *b == b'|').count() >= 7;
    bare.then_some((Dialect::Cef, text))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Cef,
    Leef,
}

/// Reads a line; false where its header is not whole.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((dialect, rest)) = begins(text) else { return false };
    let header = match dialect {
        Dialect::Cef => cef_header(rest),
        Dialect::Leef => leef_header(rest),
    };
    let Some(header) = header else { return false };
    let mut fields = Fields::new();
    match dialect {
        Dialect::Cef => cef_extension(header.extension, &mut fields),
        Dialect::Leef => leef_extension(header.extension, header.delimiter, &mut fields),
    }
    keys::label(&mut fields);
    event.push(Attribute::MetadataLogFormat, if dialect == Dialect::Cef { "cef" } else { "leef" });
    let stamp =
        text.len().checked_sub(rest.len()).and_then(|at| text.get(..at)).filter(|before| before.len() > MARK_MAX);
    let stamp = stamp.and_then(|before| syslog::lead(before, context, event));
    if !TIMES.iter().any(|key| fields.push_time(event, key, context.reference))
        && let Some(stamp) = stamp
    {
        stamp.apply(event);
    }
    apply(header, &mut fields, event);
    fields.finish(event);
    true
}

/// Of the names of CEF and of LEEF for the same thing.
const SOURCES: &[(&str, &str)] = &[
    ("src", "spt"),
    ("src", "srcPort"),
    ("c6a2", "spt"),
    ("shost", "spt"),
    ("sourceAddress", "sourcePort"),
    ("c6a1", "spt"),
    ("identSrc", ""),
];
const DESTINATIONS: &[(&str, &str)] =
    &[("dst", "dpt"), ("dst", "dstPort"), ("c6a3", "dpt"), ("dhost", "dpt"), ("destinationAddress", "destinationPort")];
const TIMES: [&str; 9] =
    ["rt", "devTime", "end", "start", "deviceReceiptTime", "eventTime", "FTNTFGTeventtime", "art", "UNIFIutcTime"];

fn apply<'a>(header: Header<'a>, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if header.vendor == "Incapsula" {
        keys::renamed(fields);
    }
    keys::settled(fields);
    let weight = severity(header.severity.as_deref().or_else(|| fields.peek("sev")));
    event.class = class(&header, fields, weight);
    event.severity_id = weight;
    let uid = fields.text("externalId");
    event.push(Attribute::MetadataLogProvider, header.product.clone());
    match event.class {
        Class::DetectionFinding => finding(&header, uid.as_deref(), fields, event),
        Class::FileActivity => file(&header, fields, event),
        Class::ApplicationLifecycle => {
            event.activity_id = 99;
            event.push(Attribute::ActivityName, "Report");
            event.push(Attribute::AppName, header.product.clone());
            let _ =
                ["suser", "duser", "usrName"].into_iter().any(|key| fields.push(event, Attribute::ActorUserName, key));
        }
        _ => activity(&header, fields, event),
    }
    if let Some(uid) = uid {
        event.push(Attribute::MetadataCorrelationUid, uid);
    }
    outcome_of(&header, fields, event);
    let message = ["msg", "message"].into_iter().find_map(|key| fields.text(key));
    event.push(Attribute::Message, message.or(header.name.clone()).unwrap_or_else(|| header.code.clone()));
    event.push(Attribute::MetadataEventCode, header.code);
    event.unmap("vendor", header.vendor);
    if !header.version.is_empty() {
        event.unmap("product_version", header.version);
    }
    if let Some(name) = header.name.filter(|_| event.class != Class::DetectionFinding) {
        event.unmap("name", name);
    }
}

/// 0 to 3 low, 4 to 6 medium, 7 and 8 high, 9 and 10 very high, or these words.
fn severity(text: Option<&str>) -> u8 {
    let text = text.unwrap_or_default();
    match (text.trim().parse::<u8>(), text.to_ascii_lowercase().as_str()) {
        (Ok(0..=1), _) => 1,
        (Ok(2..=3), _) | (_, "low") => 2,
        (Ok(4..=6), _) | (_, "medium") => 3,
        (Ok(7..=8), _) | (_, "high") => 4,
        (Ok(9..=10), _) | (_, "very-high" | "very high" | "critical") => 5,
        _ => 1,
    }
}

/// Whether one of the words stands in what the event is called.
fn named(header: &Header<'_>, fields: &Fields<'_>, words: &[&str]) -> bool {
    let cat = fields.peek("cat").unwrap_or_default();
    let act = fields.peek("categoryBehavior").unwrap_or_default();
    [header.name.as_deref().unwrap_or_default(), &header.code, cat, act].into_iter().any(|text| {
        let text = text.to_ascii_lowercase();
        words.iter().any(|word| text.contains(word))
    })
}

const LOGONS: [&str; 15] = [
    "login",
    "logon",
    "log in",
    "log on",
    "log off",
    "logged in",
    "logged on",
    "authentic",
    "auth-",
    "auth_",
    "sign in",
    "signed in",
    "signin",
    "logoff",
    "logout",
];
/// What `act` says of a logon.
const ACTED: [&str; 4] = ["login", "logon", "logout", "logoff"];
const FINDINGS: [&str; 23] = [
    "suspected",
    "appfw",
    "callback",
    "worm",
    "quarantine",
    "command and control",
    "ransom",
    "botnet",
    "integrity",
    "threat",
    "malware",
    "virus",
    "attack",
    "intrusion",
    "exploit",
    "alert",
    "detect",
    "trojan",
    "phish",
    "suspicious",
    "violation",
    "infected",
    "ips",
];

/// The activity of a file that integrity monitoring saw change.
fn changed(header: &Header<'_>, fields: &Fields<'_>) -> Option<u8> {
    if !fields.has("filePath") || !named(header, fields, &["integrity"]) {
        return None;
    }
    match fields.peek("act").unwrap_or_default().to_ascii_lowercase().as_str() {
        "created" => Some(1),
        "updated" => Some(3),
        "deleted" => Some(4),
        "renamed" => Some(5),
        _ => None,
    }
}

/// Whether it is about a connection that ended: `Connection_Closed`.
fn closed(header: &Header<'_>) -> bool {
    header.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("connection_closed"))
}

/// A file that changed, and who or what changed it.
fn file<'a>(header: &Header<'a>, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = changed(header, fields).unwrap_or(0);
    if let Some(path) = fields.text("filePath") {
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        event.push(Attribute::FileName, name);
        event.push(Attribute::FilePath, path);
        event.push(Attribute::FileTypeId, 1);
    }
    event.push(Attribute::ActorAppName, header.product.clone());
    fields.push(event, Attribute::ActorUserName, "suser");
    outcome::success(event);
}

fn class(header: &Header<'_>, fields: &Fields<'_>, weight: u8) -> Class {
    let any = |keys: &[(&str, &str)]| {
        let end = |key: &str| fields.peek(key).is_some_and(|text| Address::parse(text).is_some());
        keys.iter().any(|(key, _)| end(key))
    };
    let ends = any(SOURCES) || any(DESTINATIONS);
    let user = ["duser", "suser", "usrName", "UNIFIadmin"].into_iter().any(|key| fields.peek(key).is_some());
    let acted = || fields.peek("act").is_some_and(|act| ACTED.iter().any(|word| act.eq_ignore_ascii_case(word)));
    if user && (named(header, fields, &LOGONS) || acted()) {
        return Class::Authentication;
    }
    if changed(header, fields).is_some() {
        return Class::FileActivity;
    }
    let found = fields.has("UNIFIipsSignature") || named(header, fields, &FINDINGS);
    let file = !ends && (fields.has("filePath") || fields.has("fileHash"));
    if found || file || (weight >= 4 && !ends) {
        return Class::DetectionFinding;
    }
    let request = fields.peek("request").is_some_and(|url| url.contains('/'));
    let whole = fields.peek("request").is_some_and(|url| url.contains("://"));
    if ends && request && (fields.has("requestMethod") || whole) {
        return Class::HttpActivity;
    }
    // Between no ends and with nothing found it is what the product says of itself.
    if ends || (closed(header) && fields.has("deviceOutboundInterface")) {
        Class::NetworkActivity
    } else {
        Class::ApplicationLifecycle
    }
}

/// Both ends, with their names and ports.
fn ends<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let _ = SOURCES.iter().any(|(host, port)| fields.push_source(event, host, port));
    let _ = DESTINATIONS.iter().any(|(host, port)| fields.push_destination(event, host, port));
    for (ip, name, key) in [
        (Attribute::SrcEndpointIp, Attribute::SrcEndpointHostname, "shost"),
        (Attribute::DstEndpointIp, Attribute::DstEndpointHostname, "dhost"),
    ] {
        let is_name = fields.peek(key).is_some_and(|text| matches!(Address::parse(text), Some(Address::Name(_))));
        if is_name && event.value(ip).is_some() {
            fields.push(event, name, key);
        }
    }
    for port in ["spt", "srcPort"] {
        let portless = event.value(Attribute::SrcEndpointPort).is_none() && fields.is_port(port);
        if portless && event.value(Attribute::SrcEndpointIp).is_some() {
            fields.push(event, Attribute::SrcEndpointPort, port);
        }
    }
    for port in ["dpt", "dstPort"] {
        let portless = event.value(Attribute::DstEndpointPort).is_none() && fields.is_port(port);
        if portless && event.value(Attribute::DstEndpointIp).is_some() {
            fields.push(event, Attribute::DstEndpointPort, port);
        }
    }
}

/// What happened between two ends, or a logon.
fn activity<'a>(header: &Header<'a>, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    ends(fields, event);
    let protocol = fields.peek("proto").map(str::to_owned);
    if transport::push(event, protocol.as_deref()) {
        fields.take("proto");
    }
    fields.push_all(
        event,
        &[
            (Attribute::TrafficBytesIn, "in"),
            (Attribute::TrafficBytesOut, "out"),
            (Attribute::TrafficBytesIn, "dstBytes"),
            (Attribute::TrafficBytesOut, "srcBytes"),
            (Attribute::AppProtocolName, "app"),
            (Attribute::AppProtocolName, "Application"),
            (Attribute::HttpRequestUserAgent, "requestClientApplication"),
            (Attribute::HttpRequestReferrer, "requestContext"),
        ],
    );
    if event.value(Attribute::SrcEndpointMac).is_none() && event.value(Attribute::SrcEndpointIp).is_some() {
        fields.push_all(event, &[(Attribute::SrcEndpointMac, "smac"), (Attribute::SrcEndpointMac, "srcMAC")]);
    }
    if event.value(Attribute::DstEndpointIp).is_some() {
        fields.push_all(event, &[(Attribute::DstEndpointMac, "dmac"), (Attribute::DstEndpointMac, "dstMAC")]);
    }
    match event.class {
        Class::Authentication => logon(header, fields, event),
        Class::HttpActivity => {
            if let Some(method) = fields.text("requestMethod") {
                http_fields::push_method(event, method);
            }
            if let Some(url) = request(fields) {
                http_fields::push_target(event, url, None);
            }
            let codes = ["response_code", "HTTP_Status_Code", "HTTP_Response_Code", "status_code", "outcome"];
            let code = codes
                .into_iter()
                .find(|key| fields.peek(key).is_some_and(|text| text.len() == 3 && number(text).is_some()));
            if let Some(code) = code.and_then(|key| fields.number(key)) {
                http_fields::push_status(event, code);
            }
        }
        _ if closed(header) => {
            event.activity_id = 2;
            outcome::success(event);
        }
        _ => event.activity_id = 6,
    }
    if event.class != Class::Authentication {
        let from = event.value(Attribute::SrcEndpointIp).is_some();
        let to = event.value(Attribute::DstEndpointIp).is_some() || closed(header);
        for (known, attribute, key) in [
            (from, Attribute::SrcEndpointInterfaceName, "deviceInboundInterface"),
            (from, Attribute::SrcEndpointZone, "Source_Zone"),
            (to, Attribute::DstEndpointInterfaceName, "deviceOutboundInterface"),
            (to, Attribute::DstEndpointZone, "Destination_Zone"),
        ] {
            if known {
                fields.push(event, attribute, key);
            }
        }
        let users = ["suser", "usrName", "duser"];
        let _ = users.into_iter().any(|key| fields.push(event, Attribute::ActorUserName, key));
    }
}

/// The URL of a request, which some vendors quote.
fn request<'a>(fields: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    Some(match fields.text("request")? {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches('"')),
        Cow::Owned(text) => Cow::Owned(text.trim_matches('"').to_owned()),
    })
}

fn logon<'a>(header: &Header<'a>, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    const ENDS: [&str; 5] = ["logoff", "logout", "log off", "logged out", "signed out"];
    let act = fields.peek("act").unwrap_or_default();
    let ends = named(header, fields, &ENDS) || ENDS.iter().any(|word| act.eq_ignore_ascii_case(word));
    event.activity_id = if ends { 2 } else { 1 };
    let users = ["duser", "usrName", "suser", "UNIFIadmin"];
    let _ = users.into_iter().any(|key| fields.push(event, Attribute::UserName, key));
    if fields.peek("suser").is_some() {
        fields.push(event, Attribute::ActorUserName, "suser");
    }
    fields.push_all(event, &[(Attribute::UserDomain, "dntdom"), (Attribute::UserUid, "duid")]);
    if event.value(Attribute::DstEndpointIp).is_none() && event.value(Attribute::DstEndpointHostname).is_none() {
        let services = ["dproc", "app", "UNIFIaccessMethod", "deviceProcessName"];
        if !services.into_iter().any(|key| fields.push(event, Attribute::ServiceName, key)) {
            let product = event.text(Attribute::MetadataLogProvider).unwrap_or("unknown").to_owned();
            event.push(Attribute::ServiceName, product);
        }
    }
}

fn finding<'a>(header: &Header<'a>, uid: Option<&str>, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    let at = uid.map_or_else(|| event.time.as_ms().to_string(), str::to_owned);
    event.push(Attribute::FindingUid, format!("{}:{at}", header.code));
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    let rules = [("UNIFIipsSignature", "UNIFIipsSignatureId"), ("rule_name", "rule_uid")];
    let rule = rules.into_iter().find(|(name, _)| fields.has(name));
    let title = header.name.clone().unwrap_or_else(|| header.code.clone());
    match rule {
        Some((name, id)) => {
            fields.push(event, Attribute::FindingAnalyticName, name);
            fields.push(event, Attribute::FindingAnalyticUid, id);
        }
        None => {
            event.push(Attribute::FindingAnalyticName, title.clone());
            event.push(Attribute::FindingAnalyticUid, header.code.clone());
        }
    }
    event.push(Attribute::FindingTitle, title);
    fields.push(event, Attribute::FindingTypes, "cat");
    let (source, destination) = (
        (
            Attribute::EvidencesSrcEndpointIp,
            Attribute::EvidencesSrcEndpointHostname,
            Attribute::EvidencesSrcEndpointPort,
        ),
        (
            Attribute::EvidencesDstEndpointIp,
            Attribute::EvidencesDstEndpointHostname,
            Attribute::EvidencesDstEndpointPort,
        ),
    );
    for ((ip, name, number), hosts, ports) in
        [(source, SOURCES, ["spt", "srcPort"]), (destination, DESTINATIONS, ["dpt", "dstPort"])]
    {
        if hosts.iter().any(|(host, _)| fields.push_host(event, ip, name, host))
            && let Some(port) = ports.into_iter().find(|port| fields.is_port(port))
        {
            fields.push(event, number, port);
        }
    }
    let protocol = fields.peek("proto").map(str::to_owned);
    if transport::push(event, protocol.as_deref()) {
        fields.take("proto");
    }
    let users = ["suser", "usrName", "duser"];
    let _ = users.into_iter().any(|key| fields.push(event, Attribute::EvidencesUserName, key));
    if fields.push(event, Attribute::EvidencesFilePath, "filePath") | fields.has("fname") {
        let name = fields.text("fname").or_else(|| {
            let path = event.text(Attribute::EvidencesFilePath)?;
            Some(Cow::Owned(path.rsplit(['/', '\\']).next()?.to_owned()))
        });
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            event.push(Attribute::EvidencesFileName, name);
            event.push(Attribute::EvidencesFileTypeId, 1);
        } else {
            event.fields.retain(|field| field.attribute != Attribute::EvidencesFilePath);
        }
    }
    if let Some(url) = request(fields) {
        event.push(Attribute::EvidencesUrlString, url);
    }
}

/// `outcome`, `act` and `reason`.
fn outcome_of<'a>(header: &Header<'a>, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if event.class == Class::FileActivity {
        // What `act` says happened to the file is the activity.
        return;
    }
    let act = fields.peek("act").or_else(|| fields.peek("action")).unwrap_or_default().to_ascii_lowercase();
    let control = match word(&act).0 {
        // Trend Micro's agents say so of what they would have done, where a rule only detects: `IDS:Reset`.
        act if act.starts_with("ids:") => Some(Control::Alerted),
        "" if event.class == Class::NetworkActivity => {
            let name = header.name.as_deref().unwrap_or_default().to_ascii_lowercase();
            let stopped = ["discarded", "refused", "denied", "dropped", "blocked"];
            stopped.iter().any(|word| name.ends_with(word)).then_some(Control::Blocked)
        }
        "" => None,
        "not" if act == "not blocked" => Some(Control::Allowed),
        act if act.starts_with("refus") => Some(Control::Blocked),
        act if act.starts_with("block") || act.starts_with("den") || act == "prevent" || act == "prevented" => {
            Some(Control::Blocked)
        }
        act if ["req_block", "quarantin", "delet", "clean", "remov"].iter().any(|start| act.starts_with(start)) => {
            Some(Control::Blocked)
        }
        act if act.starts_with("req_pass") => Some(Control::Allowed),
        act if act.starts_with("drop") => Some(Control::Dropped),
        act if act.starts_with("reject") => Some(Control::Rejected),
        act if act.starts_with("reset") => Some(Control::Reset),
        act if act.starts_with("allow") || act.starts_with("accept") || act.starts_with("permit") || act == "pass" => {
            Some(Control::Allowed)
        }
        act if act.starts_with("alert") || act.starts_with("detect") || act.starts_with("notif") => {
            Some(Control::Alerted)
        }
        _ => None,
    };
    if let Some(control) = control {
        outcome::controlled(event, control);
        let rules = ["Rule", "Rule_Name", "RuleName", "rule", "policy_name", "policy"];
        let _ = rules.into_iter().any(|key| fields.push(event, Attribute::FirewallRuleName, key));
    }
    let said =
        fields.peek("outcome").or_else(|| fields.peek("categoryOutcome")).unwrap_or_default().to_ascii_lowercase();
    let said = match said.as_str() {
        "" if event.class == Class::Authentication => {
            const BAD: [&str; 4] = ["fail", "denied", "invalid", "locked"];
            let reason = fields.peek("reason").unwrap_or_default().to_ascii_lowercase();
            let bad = named(header, fields, &BAD) || BAD.iter().any(|word| reason.contains(word));
            let good = named(header, fields, &["succe", "logged on", "logged in"]);
            (if bad {
                "fail"
            } else if good {
                "succ"
            } else {
                ""
            })
            .to_owned()
        }
        _ => said,
    };
    let open = event.value(Attribute::StatusId).is_none();
    let blocked = matches!(control, Some(Control::Blocked | Control::Dropped | Control::Rejected | Control::Reset));
    if open && (said.contains("succ") || said == "allowed" || said == "ok") {
        fields.take("outcome");
        outcome::success(event);
    } else if open && (said.contains("fail") || said == "denied" || (blocked && event.class != Class::DetectionFinding))
    {
        fields.take("outcome");
        outcome::failure(event, fields.text("reason").unwrap_or_default());
    }
    if event.class == Class::NetworkActivity && blocked {
        event.activity_id = 5;
    }
}

#[cfg(test)]
mod tests;
