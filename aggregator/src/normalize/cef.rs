//! CEF and LEEF: one event of a security product in a line.
//!
//! In: `CEF:0|Vendor|Product|Version|Class|Name|Severity|key=value …` and `LEEF:2.0|Vendor|Product|Version|EventID|^|key=value^…`,
//! where syslog or nothing stands before it. Out: a logon (3002) where it names a user and says so, a finding (2004) where it
//! weighs as one, a request (4002) where it has an URL and two ends, network activity (4001) where it has an end, else a base
//! event. Source: ArcSight "Implementing Common Event Format", revision 26; IBM "LEEF overview".

use std::borrow::Cow;

use super::fields::{Fields, Leaf};
use super::outcome::{self, Control};
use super::text::{cut, head, word};
use super::{Context, http_fields, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Where the header may begin: behind a time and a host at most.
const LEAD_MAX: usize = 128;

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

/// What stands before the extension.
struct Header<'a> {
    vendor: Cow<'a, str>,
    product: Cow<'a, str>,
    version: Cow<'a, str>,
    code: Cow<'a, str>,
    /// CEF only.
    name: Option<Cow<'a, str>>,
    severity: Option<Cow<'a, str>>,
    extension: &'a str,
    delimiter: char,
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
    label(&mut fields);
    event.push(Attribute::MetadataLogFormat, if dialect == Dialect::Cef { "cef" } else { "leef" });
    apply(header, &mut fields, context, event);
    fields.finish(event);
    true
}

/// A part of the header up to the next `|` that no backslash stands before.
fn part(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'|', b'\\', text.as_bytes().get(at..)?)?;
        if text.as_bytes().get(at) == Some(&b'|') {
            return Some((unescaped(text.get(..at)?), text.get(at + 1..)?));
        }
        at += 2;
    }
}

fn cef_header(text: &str) -> Option<Header<'_>> {
    let (_, rest) = part(text)?;
    let (vendor, rest) = part(rest)?;
    let (product, rest) = part(rest)?;
    let (version, rest) = part(rest)?;
    let (code, rest) = part(rest)?;
    let (name, rest) = part(rest)?;
    // The last `|` is missing where there is no extension.
    let (severity, extension) = part(rest).unwrap_or((Cow::Borrowed(rest), ""));
    Some(Header {
        vendor,
        product,
        version,
        code,
        name: Some(name),
        severity: Some(severity),
        extension,
        delimiter: ' ',
    })
}

fn leef_header(text: &str) -> Option<Header<'_>> {
    let (format, rest) = part(text)?;
    let (vendor, rest) = part(rest)?;
    let (product, rest) = part(rest)?;
    let (version, rest) = part(rest)?;
    let (code, rest) = part(rest)?;
    let mut header =
        Header { vendor, product, version, code, name: None, severity: None, extension: rest, delimiter: '\t' };
    if format.starts_with('2')
        && let Some((delimiter, extension)) = rest.split_once('|').filter(|(text, _)| text.len() <= 6)
    {
        header.delimiter = delimiter_of(delimiter);
        header.extension = extension;
    }
    Some(header)
}

/// `^`, `x5E` or `0x5E`; nothing is a tabulator.
fn delimiter_of(text: &str) -> char {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix('x')).filter(|hex| !hex.is_empty());
    let coded = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
    coded.or_else(|| text.chars().next()).unwrap_or('\t')
}

/// `key=value key=value`: a value goes on until the next key, a word of letters, digits and a few marks before `=`.
fn cef_extension<'a>(text: &'a str, fields: &mut Fields<'a>) {
    let mut rest = text.trim_start();
    while let Some(equals) = rest.find('=') {
        let key = rest.get(..equals).unwrap_or_default().trim();
        let value = rest.get(equals + 1..).unwrap_or_default();
        let end = value_end(value);
        let (value, after) = value.split_at_checked(end).unwrap_or((value, ""));
        if is_key(key) {
            fields.add(None, key, Leaf::Text(unescaped(value.trim_end())));
        }
        rest = after.trim_start();
    }
}

/// Where the space stands behind which the next key begins.
fn value_end(value: &str) -> usize {
    let bytes = value.as_bytes();
    let (mut at, mut space) = (0, None);
    while let Some(step) = memchr::memchr3(b'\\', b' ', b'=', bytes.get(at..).unwrap_or_default()) {
        at += step;
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b' ') => {
                space = Some(at);
                at += 1;
            }
            _ => {
                if let Some(space) = space.filter(|space| value.get(space + 1..at).is_some_and(is_key)) {
                    return space;
                }
                at += 1;
            }
        }
    }
    value.len()
}

fn is_key(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']' | b',');
    !text.is_empty() && text.bytes().all(plain)
}

fn leef_extension<'a>(text: &'a str, delimiter: char, fields: &mut Fields<'a>) {
    for pair in text.split(delimiter) {
        if let Some((key, value)) = pair.split_once('=').map(|(key, value)| (key.trim(), value))
            && is_key(key)
        {
            fields.add(None, key, Leaf::Text(Cow::Borrowed(value)));
        }
    }
}

/// `\|`, `\=`, `\\`, `\n`, `\r`.
fn unescaped(text: &str) -> Cow<'_, str> {
    let Some((before, mut rest)) = text.split_once('\\') else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(before);
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some(c @ ('|' | '=' | '\\')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
        match chars.as_str().split_once('\\') {
            Some((before, after)) => {
                out.push_str(before);
                rest = after;
            }
            None => {
                out.push_str(chars.as_str());
                return Cow::Owned(out);
            }
        }
    }
}

/// `cs1=x cs1Label=Rule`: the value stands under its label.
fn label(fields: &mut Fields<'_>) {
    const KINDS: [(&str, u8); 7] =
        [("cs", 6), ("cn", 3), ("cfp", 4), ("c6a", 4), ("deviceCustomDate", 2), ("flexString", 2), ("flexNumber", 2)];
    for (kind, most) in KINDS {
        for number in 1..=most {
            let key = format!("{kind}{number}");
            let Some(Leaf::Text(label)) = fields.leaf(&format!("{key}Label")) else { continue };
            let label: String = label.split_whitespace().collect::<Vec<_>>().join("_");
            if label.is_empty() || fields.has(&label) {
                continue;
            }
            fields.take(&format!("{key}Label"));
            if let Some(value) = fields.take(&key) {
                fields.add(None, label, value);
            }
        }
    }
}

/// Of the names of CEF and of LEEF for the same thing.
const SOURCES: [(&str, &str); 6] = [
    ("src", "spt"),
    ("src", "srcPort"),
    ("c6a2", "spt"),
    ("shost", "spt"),
    ("sourceAddress", "sourcePort"),
    ("c6a1", "spt"),
];
const DESTINATIONS: [(&str, &str); 6] = [
    ("dst", "dpt"),
    ("dst", "dstPort"),
    ("c6a3", "dpt"),
    ("dhost", "dpt"),
    ("destinationAddress", "destinationPort"),
    ("identSrc", ""),
];
const TIMES: [&str; 8] = ["rt", "devTime", "end", "start", "deviceReceiptTime", "eventTime", "art", "UNIFIutcTime"];

fn apply<'a>(header: Header<'a>, fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let weight = severity(header.severity.as_deref().or_else(|| fields.peek("sev")));
    let _ = TIMES.iter().any(|key| fields.push_time(event, key, context.reference));
    event.class = class(&header, fields, weight);
    event.severity_id = weight;
    let uid = fields.text("externalId");
    match event.class {
        Class::DetectionFinding => finding(&header, uid.as_deref(), fields, event),
        Class::BaseEvent => {}
        _ => activity(fields, event),
    }
    if let Some(uid) = uid {
        event.push(Attribute::MetadataCorrelationUid, uid);
    }
    outcome_of(fields, event);
    let message = ["msg", "message"].into_iter().find_map(|key| fields.text(key));
    event.push(Attribute::Message, message.or(header.name.clone()).unwrap_or_else(|| header.code.clone()));
    event.push(Attribute::MetadataLogProvider, header.product);
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

const LOGONS: [&str; 10] =
    ["login", "logon", "log in", "logged in", "logged on", "authentic", "sign in", "signin", "logoff", "logout"];
const FINDINGS: [&str; 14] = [
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
        let end = |key: &str| fields.peek(key).is_some_and(|text| super::endpoint::Address::parse(text).is_some());
        keys.iter().any(|(key, _)| end(key))
    };
    let ends = any(&SOURCES) || any(&DESTINATIONS);
    let user = ["duser", "suser", "usrName", "UNIFIadmin"].into_iter().any(|key| fields.peek(key).is_some());
    if user && named(header, fields, &LOGONS) {
        return Class::Authentication;
    }
    let found = fields.has("UNIFIipsSignature") || named(header, fields, &FINDINGS);
    if found || (weight >= 4 && !ends) {
        return Class::DetectionFinding;
    }
    let request = fields.peek("request").is_some_and(|url| url.contains('/'));
    if ends && request && fields.has("requestMethod") {
        return Class::HttpActivity;
    }
    if ends { Class::NetworkActivity } else { Class::BaseEvent }
}

/// What happened between two ends, or a logon.
fn activity<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let _ = SOURCES.iter().any(|(host, port)| fields.push_source(event, host, port));
    let _ = DESTINATIONS.iter().any(|(host, port)| fields.push_destination(event, host, port));
    for port in ["spt", "srcPort"] {
        if event.value(Attribute::SrcEndpointIp).is_some() && event.value(Attribute::SrcEndpointPort).is_none() {
            fields.push(event, Attribute::SrcEndpointPort, port);
        }
    }
    for port in ["dpt", "dstPort"] {
        if event.value(Attribute::DstEndpointIp).is_some() && event.value(Attribute::DstEndpointPort).is_none() {
            fields.push(event, Attribute::DstEndpointPort, port);
        }
    }
    let protocol = fields.peek("proto").map(str::to_owned);
    if transport::push(event, protocol.as_deref()) {
        fields.take("proto");
    }
    fields.push_all(
        event,
        &[
            (Attribute::TrafficBytesIn, "in"),
            (Attribute::TrafficBytesOut, "out"),
            (Attribute::AppProtocolName, "app"),
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
        Class::Authentication => logon(fields, event),
        Class::HttpActivity => {
            if let Some(method) = fields.text("requestMethod") {
                http_fields::push_method(event, method);
            }
            if let Some(url) = fields.text("request") {
                http_fields::push_target(event, url, None);
            }
        }
        _ => event.activity_id = 6,
    }
    if event.class != Class::Authentication {
        let users = ["suser", "usrName", "duser"];
        let _ = users.into_iter().any(|key| fields.push(event, Attribute::ActorUserName, key));
    }
}

fn logon<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    let users = ["duser", "usrName", "suser", "UNIFIadmin"];
    let _ = users.into_iter().any(|key| fields.push(event, Attribute::UserName, key));
    if fields.peek("suser").is_some() {
        fields.push(event, Attribute::ActorUserName, "suser");
    }
    fields.push_all(event, &[(Attribute::UserDomain, "dntdom"), (Attribute::UserUid, "duid")]);
    if event.value(Attribute::DstEndpointIp).is_none() && event.value(Attribute::DstEndpointHostname).is_none() {
        let services = ["dproc", "app", "UNIFIaccessMethod", "deviceProcessName"];
        if !services.into_iter().any(|key| fields.push(event, Attribute::ServiceName, key)) {
            event.push(Attribute::ServiceName, "unknown");
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
    fields.push(event, Attribute::EvidencesUrlString, "request");
}

/// `outcome`, `act` and `reason`.
fn outcome_of<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let act = fields.peek("act").or_else(|| fields.peek("action")).unwrap_or_default().to_ascii_lowercase();
    let control = match word(&act).0 {
        "" => None,
        act if act.starts_with("block") || act.starts_with("den") || act == "prevent" || act == "prevented" => {
            Some(Control::Blocked)
        }
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
    }
    let said = fields.peek("outcome").unwrap_or_default().to_ascii_lowercase();
    let blocked = matches!(control, Some(Control::Blocked | Control::Dropped | Control::Rejected | Control::Reset));
    if said.contains("succ") || said == "allowed" || said == "ok" {
        fields.take("outcome");
        outcome::success(event);
    } else if said.contains("fail") || said == "denied" || (blocked && event.class != Class::DetectionFinding) {
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
    fn header_and_extension_are_unescaped_and_labels_are_keys() {
        let event = normalized(
            r"Mar 16 10:00:00 fw CEF:0|Ven\|dor|Prod\\uct|1.0|100|a name|3|src=192.0.2.7 spt=1232 dst=198.51.100.9 dpt=443 proto=TCP act=blocked rt=1773651600250 cs1Label=Rule Name cs1=a \= b c msg=it is\nso  in=5",
        );
        assert_eq!(event["class_uid"], 4001);
        assert_eq!(event["time"], 1_773_651_600_250_i64);
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 1232}));
        assert_eq!(event["message"], "it is\nso");
        assert_eq!(event["unmapped"]["Rule_Name"], "a = b c");
        assert_eq!(event["unmapped"]["vendor"], "Ven|dor");
        assert_eq!(event["metadata"]["log_provider"], r"Prod\uct");
        assert_eq!((event["action_id"].as_u64(), event["status_id"].as_u64()), (Some(2), Some(2)));
        assert_eq!(event["traffic"]["bytes_in"], 5);
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
        assert_eq!(normalized("CEF:0|V|P|1|id|Started|1|")["class_uid"], 0);
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
