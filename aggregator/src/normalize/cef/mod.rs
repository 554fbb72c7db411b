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

const LOGONS: [&str; 14] = [
    "login",
    "logon",
    "log in",
    "log on",
    "log off",
    "logged in",
    "logged on",
    "authentic",
    "auth-",
    "sign in",
    "signed in",
    "signin",
    "logoff",
    "logout",
];
/// What `act` says of a logon.
const ACTED: [&str; 4] = ["login", "logon", "logout", "logoff"];
const FINDINGS: [&str; 22] = [
    "suspected",
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
    if ends { Class::NetworkActivity } else { Class::ApplicationLifecycle }
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
        _ => event.activity_id = 6,
    }
    if event.class != Class::Authentication {
        let from = event.value(Attribute::SrcEndpointIp).is_some();
        let to = event.value(Attribute::DstEndpointIp).is_some();
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
    let act = fields.peek("act").or_else(|| fields.peek("action")).unwrap_or_default().to_ascii_lowercase();
    let control = match word(&act).0 {
        "" if event.class == Class::NetworkActivity => {
            let name = header.name.as_deref().unwrap_or_default().to_ascii_lowercase();
            let stopped = ["discarded", "refused", "denied", "dropped", "blocked"];
            stopped.iter().any(|word| name.ends_with(word)).then_some(Control::Blocked)
        }
        "" => None,
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
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn what_no_act_says_the_name_says() {
        for (name, extension, type_uid) in [
            ("Connection_Refused", "src=192.0.2.7 dst=198.51.100.9", 400_105),
            ("Metadata_login", "src=192.0.2.7 suser=bob", 300_201),
            ("Metadata_logout", "src=192.0.2.7 suser=bob", 300_202),
        ] {
            let event = normalized(&format!("CEF:0|V|P|1.0|7|{name}|0|{extension}"));
            assert_eq!(
                (&event["type_uid"], &event["src_endpoint"]["ip"]),
                (&type_uid.into(), &"192.0.2.7".into()),
                "{name}"
            );
        }
        let addresses =
            "c6a2=2001:db8::7 c6a2Label=Source IPv6 Address c6a3=2001:db8::9 c6a3Label=Destination IPv6 Address";
        let event = normalized(&format!("CEF:0|V|P|1.0|7|flow|0|{addresses}"));
        assert_eq!(
            (&event["src_endpoint"]["ip"], &event["dst_endpoint"]["ip"]),
            (&"2001:db8::7".into(), &"2001:db8::9".into())
        );
    }

    #[test]
    fn header_and_extension_are_unescaped_and_labels_are_keys() {
        let event = normalized(
            r"Mar 16 10:00:00 fw CEF:0|Ven\|dor|Prod\\uct|1.0|100|a name|3|src=192.0.2.7 spt=1232 dst=198.51.100.9 dpt=443 proto=TCP act=blocked rt=1773651600250 cs1Label=Virus Name cs1=a \= b c cs2Label=Rule cs2=r 1 msg=it is\nso  in=5",
        );
        assert_eq!(event["class_uid"], 4001);
        assert_eq!(event["time"], 1_773_651_600_250_i64);
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 1232}));
        assert_eq!(event["message"], "it is\nso");
        assert_eq!(event["unmapped"]["Virus_Name"], "a = b c");
        assert_eq!(event["unmapped"]["vendor"], "Ven|dor");
        assert_eq!(event["metadata"]["log_provider"], r"Prod\uct");
        assert_eq!((event["action_id"].as_u64(), event["status_id"].as_u64()), (Some(2), Some(2)));
        assert_eq!(event["traffic"]["bytes_in"], 5);
        assert_eq!(event["firewall_rule"]["name"], "r 1");
    }

    #[test]
    fn what_is_said_decides_the_class() {
        let line = |name: &str, rest: &str| normalized(&format!("CEF:0|V|P|1|id|{name}|8|{rest}"));
        let event = line("User login failed", "duser=ann src=192.0.2.7 outcome=failure reason=bad password");
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)));
        assert_eq!(event["status_detail"], "bad password");
        let event = line("Malware found", "src=192.0.2.7 fname=x.exe filePath=/tmp/x.exe suser=ann");
        assert_eq!(event["class_uid"], 2004);
        assert_eq!(event["evidences"][0]["file"]["name"], "x.exe");
        assert_eq!(line("Started", "cnt=1")["class_uid"], 2004);
        assert_eq!(normalized("CEF:0|V|P|1|id|Started|1|suser=ann")["type_uid"], 600_299);
        let event = line("User Signed In", "suser=ann src=192.0.2.7");
        assert_eq!((&event["type_uid"], &event["service"]["name"]), (&300_201.into(), &"P".into()));
        assert_eq!(line("Insight", "act=Logout duser=ann src=192.0.2.7")["class_uid"], 3002);
    }

    #[test]
    fn times_name_their_zone_and_vendors_their_own_keys() {
        for line in [
            "CEF:0|V|P|1|id|n|1|src=192.0.2.7 rt=Mar 16 2026 10:00:00 GMT+01:00",
            "CEF:0|V|P|1|id|n|1|src=192.0.2.7 rt=16 March 2026 10:00:00",
            "<134>Mar 16 10:00:00 fw CEF:0|V|P|1|id|n|1|src=192.0.2.7",
            "<134>1 2026-03-16T09:00:00Z fw app - - - CEF:0|V|P|1|id|n|1|src=192.0.2.7",
            "Mar 16 10:00:00 fw LEEF:1.0|V|P|1|id|src=192.0.2.7",
        ] {
            assert_eq!(normalized(line)["time"], 1_773_651_600_000_i64, "{line}");
        }
        let event =
            normalized("<134>Mar 16 10:00:00 fw CEF:0|V|P|1|7|Logon|7|suser=ann src=192.0.2.7 reason=Invalid PIN");
        assert_eq!((&event["status_id"], &event["unmapped"]["hostname"]), (&2.into(), &"fw".into()));
        let event = normalized(
            "CEF:0|V|P|1|id|n|1|c6a2=2001:db8::7 c6a2Label=Source IPv6 Address spt=5 suser=N/A duser=\"ann\" method=GET url=http://a.example/",
        );
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["ip"]), (&400_203.into(), &"2001:db8::7".into()));
        assert_eq!((&event["actor"]["user"]["name"], &event["src_endpoint"]["port"]), (&"ann".into(), &5.into()));
        let event = normalized(
            "CEF:0|V|P|1|id|n|1|src=192.0.2.7 shost=pc dst=198.51.100.9 dhost=a.example request=https://a.example/b",
        );
        assert_eq!((&event["class_uid"], &event["dst_endpoint"]["hostname"]), (&4002.into(), &"a.example".into()));
        assert_eq!(event["src_endpoint"]["hostname"], "pc");
        let event = normalized(
            "CEF:0|Incapsula|SIEM|1|1|Normal|0|src=192.0.2.7 cpt=5 sip=198.51.100.9 spt=443 request=\"a.example/x\" requestMethod=GET act=REQ_BLOCKED_ACL",
        );
        assert_eq!(
            (event["src_endpoint"]["port"].as_i64(), event["dst_endpoint"]["port"].as_i64()),
            (Some(5), Some(443))
        );
        assert_eq!(event["http_request"]["url"]["url_string"], "a.example/x");
        assert_eq!(event["action_id"], 2);
        let event = normalized("LEEF:1.0|V|P|1|1|src=192.0.2.7\tusrName=ann\tcat=failed logon");
        assert_eq!((event["class_uid"].as_i64(), event["status_id"].as_i64()), (Some(3002), Some(2)));
    }

    #[test]
    fn leef_names_its_delimiter() {
        for line in [
            "LEEF:1.0|V|P|1|login|src=192.0.2.7\tusrName=ann\tdevTime=Mar 16 2026 10:00:00\tcat=Authentication",
            "LEEF:2.0|V|P|1|login|^|src=192.0.2.7^usrName=ann^devTime=Mar 16 2026 10:00:00^cat=Authentication",
            "LEEF:2.0|V|P|1|login|x5E|src=192.0.2.7^usrName=ann^devTime=Mar 16 2026 10:00:00^cat=Authentication",
        ] {
            let event = normalized(line);
            assert_eq!(event["class_uid"], 3002, "{line}");
            assert_eq!(event["user"]["name"], "ann");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
            assert_eq!(event["time"], 1_773_651_600_000_i64);
        }
    }
}
