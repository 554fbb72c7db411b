//! Name servers: what was asked, what was answered, what was refused (4003).

pub(super) mod bind;
pub(super) mod dnsmasq;
pub(super) mod powerdns;
pub(super) mod unbound;

use super::super::outcome::{failure, success};
use super::super::remark::life;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `activity_id`: query, response.
const QUERY: u8 = 1;
const RESPONSE: u8 = 2;

/// `query.opcode_id`: RFC 1996 §3 and RFC 2136 §1.3.
const NOTIFY: i64 = 4;
const UPDATE: i64 = 5;

/// RFC 1035 §4.1.1 and RFC 2136 §2.2, as servers write them.
const RCODES: [(&str, i64, &str); 12] = [
    ("NOERROR", 0, "NoError"),
    ("FORMERR", 1, "FormError"),
    ("SERVFAIL", 2, "ServError"),
    ("NXDOMAIN", 3, "NXDomain"),
    ("NOTIMP", 4, "NotImp"),
    ("NOTIMPL", 4, "NotImp"),
    ("REFUSED", 5, "Refused"),
    ("YXDOMAIN", 6, "YXDomain"),
    ("YXRRSET", 7, "YXRRSet"),
    ("NXRRSET", 8, "NXRRSet"),
    ("NOTAUTH", 9, "NotAuth"),
    ("NOTZONE", 10, "NotZone"),
];

/// What was asked, where the line names it. The root is kept as a dot; another name loses the dot at its end.
fn question<'a>(event: &mut Event<'a>, activity: u8, name: &'a str, kind: &'a str, class: &'a str) {
    event.class = Class::DnsActivity;
    event.activity_id = activity;
    let bare = name.strip_suffix('.').filter(|bare| !bare.is_empty()).unwrap_or(name);
    if bare.is_empty() {
        return;
    }
    event.push(Attribute::QueryHostname, bare);
    if !kind.is_empty() {
        event.push(Attribute::QueryType, kind);
    }
    if !class.is_empty() {
        event.push(Attribute::QueryClass, class);
    }
    event.push(Attribute::QueryOpcodeId, 0);
}

/// Sets the response code by its name, if it is one, and the outcome that follows from it.
fn push_rcode<'a>(event: &mut Event<'a>, name: &'a str) -> bool {
    let Some(&(_, id, caption)) = RCODES.iter().find(|(code, ..)| code.eq_ignore_ascii_case(name)) else {
        return false;
    };
    event.push(Attribute::RcodeId, id);
    event.push(Attribute::Rcode, caption);
    if id == 0 {
        success(event)
    } else {
        failure(event, caption)
    }
    true
}

/// Starts and stops of a server.
fn lifecycle<'a>(event: &mut Event<'a>, name: &'static str, activity: u8, version: Option<&'a str>) -> bool {
    if let Some(version) = version {
        event.push(Attribute::AppVersion, version);
    }
    life(name, activity, event)
}
