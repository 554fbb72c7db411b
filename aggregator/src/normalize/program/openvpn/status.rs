//! OpenVPN's status file, and what its management interface says: clients and routes (4014, as they are now), and reports.
//!
//! In: `CLIENT_LIST,NAME,A:p,…` and `ROUTING_TABLE,VIRTUAL,NAME,A:p,…` of versions 2 and 3, the rows of version 1, the lines
//! around them, `>STATE:…`. Source: `multi_print_status` of multi.c, doc/management-notes.txt.

use super::super::super::endpoint::{self, push_source};
use super::super::super::outcome::success;
use super::super::super::remark::remark;
use super::peer;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What the lines of a status file that name a client begin with (`--status-version 2` and `3`).
const STATUS: [&str; 4] = ["CLIENT_LIST,", "CLIENT_LIST\t", "ROUTING_TABLE,", "ROUTING_TABLE\t"];

/// What the other lines of a status file and those of the management interface begin with.
const REPORTS: [&str; 23] = [
    "TITLE,OpenVPN",
    "TITLE\tOpenVPN",
    "HEADER,CLIENT_LIST,",
    "HEADER,ROUTING_TABLE,",
    "HEADER\tCLIENT_LIST\t",
    "HEADER\tROUTING_TABLE\t",
    "GLOBAL_STATS,",
    "GLOBAL_STATS\t",
    "OpenVPN CLIENT LIST",
    "OpenVPN STATISTICS",
    "ROUTING TABLE",
    "GLOBAL STATS",
    "Common Name,Real Address,",
    "Virtual Address,Common Name,",
    "Max bcast/mcast queue length,",
    ">INFO:OpenVPN",
    ">STATE:",
    ">CLIENT:",
    ">LOG:",
    ">PASSWORD:",
    ">HOLD:",
    ">BYTECOUNT",
    ">FATAL:",
];

/// A client and a route of a status file of version 1: `NAME,A:p,RECEIVED,SENT,SINCE`, `VIRTUAL,NAME,A:p,LAST`.
fn first_version(text: &str) -> Option<(&str, &str, &str)> {
    let mut columns = text.split(',');
    let (first, second, third, fourth) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    let counted = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let address = |text: &str| peer(text).is_some_and(|peer| peer.port.is_some() && peer.name.is_none());
    match (columns.next(), columns.next()) {
        (Some(_), None) if counted(third) && counted(fourth) && address(second) => Some((first, second, "")),
        (None, None) if endpoint::ip(first).is_some() && address(third) => Some((second, third, first)),
        _ => None,
    }
}

/// Whether a line is one of a status file or of the management interface.
pub(super) fn looks(text: &str) -> bool {
    let bytes = text.as_bytes();
    let named = || STATUS.iter().chain(&REPORTS).any(|kind| text.starts_with(kind));
    // An address stands at the beginning of a row, or behind its first comma.
    let row = || {
        let comma = memchr::memchr(b',', bytes.get(..NAME_LEN_MAX).unwrap_or(bytes));
        let behind = comma.and_then(|at| bytes.get(at + 1));
        behind.is_some_and(|byte| {
            let routed = || comma.and_then(|at| endpoint::ip(text.get(..at)?)).is_some();
            byte.is_ascii_digit() || *byte == b'[' || (bytes.first().is_some_and(u8::is_ascii_hexdigit) && routed())
        }) && text.len() < STATUS_LEN_MAX
            && first_version(text).is_some()
    };
    (matches!(bytes.first(), Some(b'>' | b'C' | b'G' | b'H' | b'M' | b'O' | b'R' | b'T' | b'V')) && named()) || row()
}

/// The longest name of a client in a status file that is looked for.
const NAME_LEN_MAX: usize = 64;

/// The longest line of a status file of version 1.
const STATUS_LEN_MAX: usize = 256;

/// `CLIENT_LIST,NAME,A:p,VIRTUAL,VIRTUAL6,RECEIVED,SENT,SINCE,…` and `ROUTING_TABLE,VIRTUAL,NAME,A:p,…` of a status file.
pub(super) fn parse<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    event.push(Attribute::MetadataLogFormat, "openvpn");
    event.push(Attribute::MetadataLogProvider, "openvpn");
    event.push(Attribute::Message, text);
    if REPORTS.iter().any(|kind| text.starts_with(kind)) {
        return remark("openvpn", text, event);
    }
    let mut columns = text.split([',', '\t']);
    let mut kind = columns.next();
    let (Some(first), Some(second), Some(third)) = (columns.next(), columns.next(), columns.next()) else {
        return false;
    };
    let (name, address, assigned) = match first_version(text) {
        Some(found) => {
            kind = None;
            found
        }
        None if kind == Some("CLIENT_LIST") => (first, second, third),
        None => (second, third, first),
    };
    let Some(client) = peer(address) else { return false };
    event.class = Class::TunnelActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, "Status");
    event.push(Attribute::TunnelTypeId, 0);
    event.push(Attribute::EmailProtocolName, "OpenVPN");
    push_source(event, client.address, client.port);
    if !matches!(name, "" | "UNDEF") {
        event.push(Attribute::UserName, name);
    }
    if let Some(assigned) = endpoint::ip(assigned) {
        event.push(Attribute::TunnelInterfaceIp, assigned);
    }
    if kind == Some("CLIENT_LIST") {
        for (key, value) in ["", "bytes_received", "bytes_sent", "connected_since"].into_iter().zip(columns) {
            if !key.is_empty() && !value.is_empty() {
                event.unmap(key, value);
            }
        }
    }
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn status_files_and_the_management_interface_are_read() {
        for line in ["bob,192.0.2.7:50000,12345,67890,Mon Mar 16 10:00:00 2026", "198.51.100.6,bob,192.0.2.7:50000,now"]
        {
            let event = normalized(line);
            assert_eq!((&event["type_uid"], &event["user"]["name"]), (&json!(401_499), &json!("bob")), "{line}");
            assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 50_000}), "{line}");
        }
        for line in
            ["HEADER,ROUTING_TABLE,Virtual Address", "OpenVPN CLIENT LIST", ">STATE:1773651600,CONNECTED,SUCCESS"]
        {
            assert_eq!(normalized(line)["type_uid"], 600_299, "{line}");
        }
        assert_eq!(normalized("a,b,1,2,c")["class_uid"], 0);
    }
}
