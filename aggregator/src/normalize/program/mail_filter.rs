//! What filters beside a mail server say of a message (4009, scan): policyd-spf, Postgrey, OpenDKIM, OpenDMARC, amavis.
//!
//! `prepend Received-SPF: Softfail (mailfrom) identity=mailfrom; client-ip=A; helo=h; envelope-from=a@b; receiver=c@d`,
//! `action=greylist, reason=new, client_name=h, client_address=A, sender=a@b, recipient=c@d`, `QUEUE-ID: h [A] not internal`,
//! `(9-1) Blocked SPAM {DiscardedInbound}, [A]:p [B] <a@b> -> <c@d>, Queue-ID: Q, Message-ID: <m>, …, size: 9, …`. Source:
//! spf-engine 3, policyd_spf.py; Postgrey 1.37; OpenDKIM 2.11, opendkim.c; OpenDMARC 1.4, opendmarc.c; amavisd-new 2.12.

use super::super::attempt;
use super::super::endpoint::{self, push_source};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::remark::{life, remark};
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, number, port, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// A message that is looked at: its sender may not be known.
fn scanned<'a>(from: &'a str, event: &mut Event<'a>) {
    event.class = Class::EmailActivity;
    event.activity_id = 3;
    event.push(Attribute::EmailDirectionId, 1);
    event.push(Attribute::EmailFrom, from);
}

/// What stands behind one of these names up to a comma or semicolon.
fn value<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    let found = names.iter().find_map(|name| cut(text, name))?.1;
    found.split([',', ';']).next().map(str::trim).filter(|value| !value.is_empty())
}

/// Reads a message of any of them.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let program = base_name(header.program);
    let read = |message, program: &&str, event: &mut Event<'a>| match *program {
        "policyd-spf" => spf(message, event),
        "postgrey" => greylisted(message, event),
        "opendkim" | "opendmarc" => signed(message, event),
        _ => filtered(message, event),
    };
    attempt(read, message, &program, event) || started(program, message, event) || remark(program, message, event)
}

/// `OpenDKIM Filter v2.11.0 starting (args: -x)`, `OpenDMARC Filter v1.4.2 terminating with status 0`.
fn started<'a>(program: &'a str, message: &'a str, event: &mut Event<'a>) -> bool {
    match cut(message, " Filter v").map(|(_, rest)| word(rest)) {
        Some((version, rest)) if rest.starts_with("starting") || rest.starts_with("terminating") => {
            event.push(Attribute::AppVersion, version);
            life(program, if rest.starts_with("starting") { 3 } else { 4 }, event)
        }
        _ => false,
    }
}

fn spf<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(address) = value(message, &["client-ip=", ";ip="]).and_then(endpoint::ip) else { return false };
    let said = cut(message, "Received-SPF: ").map_or(message, |(_, rest)| rest);
    let verdict = word(said).0.trim_end_matches(';');
    scanned(value(message, &["envelope-from=", ";id="]).unwrap_or_default().trim_matches(['<', '>', '"']), event);
    if let Some(to) = value(message, &["receiver=", ";r="]).filter(|to| *to != "<UNKNOWN>") {
        event.push(Attribute::EmailTo, to);
    }
    if let Some(helo) = value(message, &["helo="]) {
        event.unmap("smtp_hello", helo);
    }
    let refused = number(verdict).is_some_and(|code| code >= 400);
    if refused || matches!(verdict, "Fail" | "Softfail" | "Permerror" | "Temperror") {
        failure(event, said.split(" (").next().unwrap_or(said));
    } else {
        success(event);
    }
    push_source(event, address, None)
}

fn greylisted<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (Some(action), Some(address)) = (value(message, &["action="]), value(message, &["client_address="])) else {
        return false;
    };
    scanned(value(message, &["sender="]).unwrap_or_default(), event);
    for (attribute, name) in [(Attribute::EmailTo, "recipient="), (Attribute::SrcEndpointHostname, "client_name=")] {
        if let Some(value) = value(message, &[name]).filter(|value| *value != "unknown") {
            event.push(attribute, value);
        }
    }
    event.unmap("action", action);
    if matches!(action, "greylist" | "reject") {
        failure(event, value(message, &["reason="]).unwrap_or_default());
    } else {
        success(event);
    }
    endpoint::ip(address.split('/').next().unwrap_or(address)).is_some_and(|ip| push_source(event, ip, None))
}

/// `QUEUE-ID: DKIM-Signature field added (s=s, d=d)`, `QUEUE-ID: example.org fail`, `QUEUE-ID: bad signature data`.
fn signed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((id, rest)) = cut(message, ": ")
        .filter(|(id, _)| (8..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    else {
        return false;
    };
    scanned("", event);
    event.push(Attribute::EmailMessageTraceUid, id);
    if let Some(domain) = value(rest, &["d="]) {
        event.unmap("domain", domain.split([' ', ')']).next().unwrap_or(domain));
    }
    if ["bad signature", "error", " fail", "not authenticated"].iter().any(|mark| cut(rest, mark).is_some()) {
        failure(event, rest);
    } else {
        success(event);
        event.push(Attribute::StatusDetail, rest);
    }
    if let Some((address, host)) = between(rest, "[", "]").and_then(|(ip, _)| Some((endpoint::ip(ip)?, word(rest).0))) {
        push_source(event, address, None);
        if !host.starts_with('[') {
            event.push(Attribute::SrcEndpointHostname, host);
        }
    }
    true
}

/// amavis: `(9-1) Passed CLEAN {RelayedInbound}, [A]:p [B] <a> -> <b>,<c>, …`.
fn filtered<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = message.strip_prefix('(').and_then(|rest| cut(rest, ") ")) else { return false };
    let blocked = rest.starts_with("Blocked ");
    let Some((mail, tail)) = cut(rest, "> -> <").filter(|_| blocked || rest.starts_with("Passed ")) else {
        return false;
    };
    let Some(at) = mail.rfind('<') else { return false };
    let Some((verdict, peer)) = mail.split_at_checked(at).map(|(head, _)| head.split_once(", ").unwrap_or((head, "")))
    else {
        return false;
    };
    scanned(mail.get(at + 1..).unwrap_or_default(), event);
    event.push(Attribute::EmailTo, tail.split('>').next().unwrap_or_default());
    for (attribute, name) in
        [(Attribute::EmailMessageTraceUid, "Queue-ID: "), (Attribute::EmailMessageUid, "Message-ID: ")]
    {
        if let Some(value) = value(tail, &[name]) {
            event.push(attribute, value.trim_matches(['<', '>']));
        }
    }
    if let Some(size) = value(tail, &["size: "]).and_then(number) {
        event.push(Attribute::EmailSize, size);
    }
    if let Some((address, rest)) = between(peer, "[", "]") {
        push_source(event, address, rest.strip_prefix(':').map(|rest| word(rest).0).and_then(port));
    }
    controlled(event, if blocked { Control::Blocked } else { Control::Allowed });
    if blocked {
        failure(event, verdict);
    } else {
        success(event);
        event.push(Attribute::StatusDetail, verdict);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn filters_name_the_client_and_both_addresses() {
        let ends = "client-ip=192.0.2.7; helo=h; envelope-from=a@example.org; receiver=b@example.net";
        for (line, status) in [
            (format!("policyd-spf[9]: prepend Received-SPF: Pass (mailfrom) identity=mailfrom; {ends}"), 1),
            (format!("postfix/policyd-spf[9]: Softfail; identity=mailfrom; {ends}"), 2),
            (
                "policyd-spf[9]: 550 5.7.23 Message rejected due to: SPF fail;identity=m;id=a@example.org;ip=192.0.2.7;r=b@example.net".to_owned(),
                2,
            ),
            (
                "postgrey[9]: action=greylist, reason=new, client_name=unknown, client_address=192.0.2.7/32, sender=a@example.org, recipient=b@example.net".to_owned(),
                2,
            ),
            (
                "amavis[9]: (9-1) Blocked SPAM {DiscardedInbound}, [192.0.2.7] [192.0.2.8] <a@example.org> -> <b@example.net>, Queue-ID: A1, size: 12, 5 ms".to_owned(),
                2,
            ),
            (
                "amavis[9]: (9-1) Passed CLEAN {RelayedInbound}, [192.0.2.7]:50 [192.0.2.8] <a@example.org> -> <b@example.net>,<c@example.net>, size: 12".to_owned(),
                1,
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 mx {line}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_903), &json!(status)), "{line}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7", "{line}");
            assert_eq!((&event["email"]["from"], &event["email"]["to"][0]), (&json!("a@example.org"), &json!("b@example.net")));
        }
    }

    #[test]
    fn milters_name_the_message() {
        for (line, kind) in [
            ("opendkim[9]: A1B2C3D4E5: DKIM-Signature field added (s=default, d=example.org)", 400_903),
            ("opendkim[9]: A1B2C3D4E5: mail.example.org [192.0.2.7] not internal", 400_903),
            ("opendmarc[9]: A1B2C3D4E5: example.org fail", 400_903),
            ("opendkim[9]: OpenDKIM Filter v2.11.0 starting (args: -x)", 600_203),
            ("amavis[9]: starting. /usr/sbin/amavisd-new at mx", 600_299),
        ] {
            assert_eq!(normalized(&format!("Mar 16 10:00:00 mx {line}"))["type_uid"], kind, "{line}");
        }
    }
}
