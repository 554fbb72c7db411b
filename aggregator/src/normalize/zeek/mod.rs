//! Zeek: a line of a log for each thing that the sensor saw, as tab-separated columns or as JSON.
//!
//! In: a line, or the fields of an object. Out: the class of the log it belongs to ([`logs`]). The header of a file of
//! columns (`#fields`, `#path`, `#close` …) is a base event. Which log a line is from says `_path`, else its columns
//! ([`layout`]) or keys. Source: Zeek's scripts, `base/protocols/*/main.zeek`, `policy/`; writers Ascii and JSON.

mod layout;
mod logs;
mod protocols;

use std::borrow::Cow;

use super::fields::{Fields, Leaf};
use super::text::{cut, head, near};
use super::{Context, endpoint};
use crate::event::Event;
use crate::schema::Attribute;

/// Most columns that a line of a log has.
const COLUMNS_MAX: usize = 64;

/// Whether a line can be one of a log of columns.
pub(super) fn looks(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'#') => HEADERS.iter().any(|header| text.strip_prefix('#').is_some_and(|rest| rest.starts_with(header))),
        Some(b'0'..=b'9' | b'X' | b'-') => {
            let time = near(b'\t', head(text, TIME_LEN_MAX).as_bytes()).and_then(|at| text.get(..at));
            time.is_some_and(|time| time == "-" || layout::is_time(time))
        }
        _ => false,
    }
}

/// Longest first column of a record: a time.
const TIME_LEN_MAX: usize = 32;

/// What the lines of a header begin with, behind `#`.
const HEADERS: [&str; 9] = [
    "separator ",
    "set_separator\t",
    "empty_field\t",
    "unset_field\t",
    "path\t",
    "open\t",
    "close\t",
    "fields\t",
    "types\t",
];

/// Reads a line of columns or of a header.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if let Some(header) = text.strip_prefix('#') {
        return self::header(header, text, event);
    }
    let columns: Vec<&str> = text.split('\t').take(COLUMNS_MAX + 1).collect();
    if columns.len() > COLUMNS_MAX {
        return false;
    }
    let Some(layout) = layout::of(&columns) else { return false };
    let mut fields = Fields::new();
    for (at, column) in columns.into_iter().enumerate() {
        let leaf = match column {
            "-" | "(empty)" => continue,
            "T" => Leaf::Bool(true),
            "F" => Leaf::Bool(false),
            _ => Leaf::Text(decoded(column)),
        };
        match layout.known(at) {
            Some(name) => fields.add(None, name, leaf),
            None => fields.add(None, layout.name(at, column), leaf),
        }
    }
    event.push(Attribute::MetadataLogFormat, "zeek");
    logs::parse(layout.path, &mut fields, context, event);
    fields.finish(event);
    true
}

fn header<'a>(header: &'a str, text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((name, value)) = header.split_once(['\t', ' ']) else { return false };
    event.push(Attribute::MetadataLogFormat, "zeek");
    event.push(Attribute::MetadataLogProvider, "zeek");
    event.push(Attribute::Message, text);
    event.unmap(name, value);
    true
}

/// Zeek's `\x09` for what would not fit a column.
fn decoded(text: &str) -> Cow<'_, str> {
    let Some((mut plain, mut rest)) = cut(text, "\\x") else { return Cow::Borrowed(text) };
    let mut bytes = Vec::with_capacity(text.len());
    loop {
        bytes.extend_from_slice(plain.as_bytes());
        match rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = rest.get(2..).unwrap_or_default();
            }
            None => bytes.extend_from_slice(b"\\x"),
        }
        match cut(rest, "\\x") {
            Some(next) => (plain, rest) = next,
            None => break,
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Keys that only one log has: its path. The first line that holds decides.
const MARKS: [(&str, &[&str]); 62] = [
    ("conn", &["conn_state"]),
    ("notice", &["note", "suppress_for"]),
    ("notice", &["note", "msg"]),
    ("intel", &["seen.indicator"]),
    ("dns", &["trans_id", "proto"]),
    ("dns", &["qtype_name"]),
    ("smtp", &["helo"]),
    ("smtp", &["mailfrom"]),
    ("sip", &["call_id"]),
    ("sip", &["request_from"]),
    ("http", &["trans_depth", "method"]),
    ("http", &["trans_depth", "request_body_len"]),
    ("smtp", &["trans_depth", "path"]),
    ("ssh", &["auth_attempts"]),
    ("ssh", &["auth_success"]),
    ("ssh", &["kex_alg"]),
    ("ssl", &["resumed", "established"]),
    ("ssl", &["cipher", "server_name"]),
    ("files", &["fuid", "seen_bytes"]),
    ("x509", &["certificate.serial"]),
    ("rdp", &["security_protocol"]),
    ("rdp", &["cookie", "result"]),
    ("smb_mapping", &["share_type"]),
    ("smb_files", &["action", "times.modified"]),
    ("smb_cmd", &["command", "tree"]),
    ("kerberos", &["request_type"]),
    ("ntlm", &["server_nb_computer_name"]),
    ("ntlm", &["domainname", "username"]),
    ("known_services", &["port_num", "port_proto"]),
    ("known_certs", &["port_num", "issuer_subject"]),
    ("software", &["host", "software_type"]),
    ("dhcp", &["msg_types"]),
    ("ntp", &["stratum", "ref_id"]),
    ("snmp", &["get_requests"]),
    ("socks", &["request_p"]),
    ("dce_rpc", &["endpoint", "operation"]),
    ("tunnel", &["tunnel_type"]),
    ("weird", &["name", "notice"]),
    ("dpd", &["analyzer", "failure_reason"]),
    ("analyzer", &["analyzer_kind"]),
    ("ftp", &["reply_code"]),
    ("ftp", &["data_channel.passive"]),
    ("mysql", &["cmd", "success"]),
    ("redis", &["cmd.name"]),
    ("ldap_search", &["base_object"]),
    ("ldap", &["message_id", "opcode"]),
    ("rfb", &["authentication_method"]),
    ("irc", &["nick"]),
    ("irc", &["command", "addl"]),
    ("syslog", &["facility", "severity"]),
    ("radius", &["username", "result"]),
    ("quic", &["client_initial_dcid"]),
    ("stats", &["peer", "pkts_proc"]),
    ("capture_loss", &["ts_delta", "percent_lost"]),
    ("reporter", &["level", "location"]),
    ("signatures", &["sig_id", "event_msg"]),
    ("modbus", &["func"]),
    ("dnp3", &["fc_request"]),
    ("pe", &["is_exe", "machine"]),
    ("ocsp", &["hashAlgorithm", "issuerKeyHash"]),
    ("packet_filter", &["filter", "init"]),
    ("traceroute", &["src", "dst", "proto"]),
];

/// Keys that show a record without ends to be Zeek's, beside its time.
const ALONE: [[&str; 2]; 13] = [
    ["port_num", "port_proto"],
    ["port_num", "issuer_subject"],
    ["is_exe", "machine"],
    ["hashAlgorithm", "issuerKeyHash"],
    ["sig_id", "event_msg"],
    ["filter", "init"],
    ["uids", "msg_types"],
    ["note", "suppress_for"],
    ["fuid", "seen_bytes"],
    ["software_type", "unparsed_version"],
    ["peer", "pkts_proc"],
    ["ts_delta", "percent_lost"],
    ["name", "notice"],
];

/// Logs of so few keys that nothing else may stand beside them: `ts` and these.
const BARE: [&[&str]; 2] = [&["host"], &["src", "dst", "proto"]];

fn is_bare(fields: &Fields<'_>, keys: &[&str]) -> bool {
    fields.count() == keys.len() + 1
        && keys.iter().all(|key| fields.has(key))
        && fields.peek("ts").is_some_and(|time| layout::is_time(time) || is_iso(time))
        && keys.iter().all(|key| *key == "proto" || fields.peek(key).is_some_and(|host| endpoint::ip(host).is_some()))
}

/// `2026-03-16T09:00:00.250000Z`, as Zeek's JSON has it on demand.
fn is_iso(time: &str) -> bool {
    time.len() == 27 && time.ends_with('Z') && time.as_bytes().get(10) == Some(&b'T')
}

/// Whether it is a record of Zeek.
pub(super) fn looks_json(fields: &Fields<'_>) -> bool {
    fields.has("id.orig_h") && fields.has("id.resp_h")
        || (fields.has("_path") && (fields.has("ts") || fields.has("_write_ts")))
        || (fields.has("ts")
            && (fields.has("certificate.serial")
                || ALONE.iter().any(|keys| keys.iter().all(|key| fields.has(key)))
                || BARE.iter().any(|keys| is_bare(fields, keys))))
        || fields.peek("level").is_some_and(|level| level.starts_with("Reporter::"))
}

/// Takes what the record says.
pub(super) fn parse_json<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let named = fields.peek("_path").or_else(|| fields.peek("bro_engine")).map(str::to_ascii_lowercase);
    let marked = || {
        let mark = MARKS.iter().find(|(_, keys)| keys.iter().all(|key| fields.has(key)));
        let bare = || if is_bare(fields, &["host"]) { "known_hosts" } else { "" };
        mark.map_or_else(bare, |(path, _)| *path).to_owned()
    };
    let path = named.unwrap_or_else(marked);
    fields.take("_path");
    logs::parse(&path, fields, context, event);
}

#[cfg(test)]
mod tests;
