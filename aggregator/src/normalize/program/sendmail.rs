//! Sendmail: mail on its way (4009), refusals, logons that failed (3002), clients that misbehaved (4001).
//!
//! `ID: from=<a>, size=1, nrcpts=1, msgid=<m>, relay=h [A]`, `ID: to=<b>, delay=00:00:01, relay=h. [A], dsn=2.0.0, stat=Sent (…)`,
//! `ID: ruleset=check_rcpt, arg1=<b>, relay=h [A], reject=550 5.7.1 …`, `ID: AUTH failure (LOGIN): …, user=u, relay=h [A]`.
//! Source: Sendmail 8.18, sendmail/{envelope,deliver,srvrsmtp}.c.

use super::super::attempt;
use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{cut, number, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// The value of `name=`, up to the next comma.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = cut(text, name)?;
    let end = rest.find(", ").unwrap_or(rest.len());
    rest.get(..end).map(|value| value.trim_matches(['<', '>']))
}

/// The address of `host [A]`, the last relay that a line names: what stands before it may be a user's.
fn relay(text: &str) -> Option<&str> {
    let at = text.rfind("relay=").map_or(0, |at| at + "relay=".len());
    let (_, rest) = cut(text.get(at..)?, "[")?;
    let inner = rest.split(']').next()?;
    endpoint::ip(inner.strip_prefix("IPv6:").unwrap_or(inner))
}

/// Reads a message.
pub(crate) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (id, rest) = match cut(message, ": ") {
        Some((id, rest)) if (8..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()) => (id, rest),
        _ => ("", message.strip_prefix("NOQUEUE: ").unwrap_or(message)),
    };
    let understood = attempt(read, rest, &(), event) || remark("sendmail", rest, event);
    if understood && !id.is_empty() {
        if event.class == Class::EmailActivity {
            event.push(Attribute::EmailMessageTraceUid, id);
        } else {
            event.unmap("queue_id", id);
        }
    }
    understood
}

/// What is about a message or a client.
fn read<'a>(text: &'a str, (): &(), event: &mut Event<'a>) -> bool {
    starttls(text, event)
        || auth(text, event)
        || refused(text, event)
        || from(text, event)
        || to(text, event)
        || client(text, event)
        || unknown_name(text, event)
}

fn email<'a>(event: &mut Event<'a>, activity: u8, direction: i64, from: &'a str) {
    event.class = Class::EmailActivity;
    event.activity_id = activity;
    event.push(Attribute::EmailDirectionId, direction);
    event.push(Attribute::EmailFrom, from);
}

/// `STARTTLS=server, relay=host [A], version=TLSv1.3, verify=NO, cipher=C, bits=256/256`, `STARTTLS=client, …`.
fn starttls<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some(rest) = text.strip_prefix("STARTTLS=") else { return false };
    let (Some(version), Some(address)) = (value(text, "version="), relay(text)) else { return false };
    event.class = Class::NetworkActivity;
    event.activity_id = 1;
    event.push(Attribute::AppProtocolName, "smtp");
    event.push(Attribute::TlsVersion, version);
    if let Some(cipher) = value(text, "cipher=") {
        event.push(Attribute::TlsCipher, cipher);
    }
    if let Some(verified) = value(text, "verify=") {
        event.unmap("verify", verified);
    }
    success(event);
    match rest.starts_with("client") {
        true => push_destination(event, address, None),
        false => push_source(event, address, None),
    }
}

fn auth<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (failed, granted) = (text.strip_prefix("AUTH failure ("), text.starts_with("AUTH=server, "));
    if failed.is_none() && !granted {
        return false;
    }
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, value(text, "user=").or_else(|| value(text, "authid=")).unwrap_or_default());
    event.push(Attribute::ServiceName, "sendmail");
    event.push(Attribute::IsRemote, true);
    let method = failed.and_then(|rest| rest.split(')').next()).or_else(|| value(text, "mech="));
    if let Some(method) = method {
        event.push(Attribute::AuthProtocolId, 99);
        event.push(Attribute::AuthProtocol, method);
    }
    match failed.and_then(|rest| cut(rest, ": ")) {
        Some((_, reason)) => failure(event, reason.split(", user=").next().unwrap_or(reason)),
        None => success(event),
    }
    relay(text).is_some_and(|address| push_source(event, address, None))
}

fn refused<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (Some(ruleset), Some((_, reject))) = (value(text, "ruleset="), cut(text, "reject=")) else { return false };
    let target = value(text, "arg1=").unwrap_or_default();
    match ruleset {
        "check_rcpt" => {
            email(event, 2, 1, "");
            event.push(Attribute::EmailTo, target);
        }
        "check_mail" => email(event, 2, 1, target),
        _ => {
            event.class = Class::NetworkActivity;
            event.activity_id = 5;
            event.push(Attribute::AppProtocolName, "smtp");
        }
    }
    let (code, reason) = word(reject);
    event.push(Attribute::StatusCode, code);
    event.unmap("ruleset", ruleset);
    controlled(event, Control::Rejected);
    failure(event, reason);
    let address = relay(text.split("reject=").next().unwrap_or(text));
    address.is_some_and(|address| push_source(event, address, None)) || event.class == Class::EmailActivity
}

fn from<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if !text.starts_with("from=") {
        return false;
    }
    let from = value(text, "from=").unwrap_or_default();
    email(event, 2, 1, if from.is_empty() { "<>" } else { from });
    if let Some(size) = value(text, "size=").and_then(number) {
        event.push(Attribute::EmailSize, size);
    }
    if let Some(id) = value(text, "msgid=") {
        event.push(Attribute::EmailMessageUid, id);
    }
    if let Some(protocol) = value(text, "proto=") {
        event.push(Attribute::EmailProtocolName, protocol);
    }
    if let Some(address) = relay(text) {
        push_source(event, address, None);
    }
    success(event);
    true
}

fn to<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if !text.starts_with("to=") {
        return false;
    }
    let Some((head, status)) = cut(text, "stat=") else { return false };
    email(event, 1, 2, "");
    event.push(Attribute::EmailTo, value(head, "to=").unwrap_or_default());
    if let Some(address) = relay(head) {
        push_destination(event, address, None);
    }
    if let Some(dsn) = value(head, "dsn=") {
        event.push(Attribute::StatusCode, dsn);
    }
    if status.starts_with("Sent") {
        success(event);
        event.push(Attribute::StatusDetail, status);
    } else {
        failure(event, status);
    }
    true
}

/// `h [A]: possible SMTP attack: …`, `h [A]: VRFY root [rejected]`, `rejecting commands from h [A] due to …`, `h [A] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA`.
fn client<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if let Some(peer) = text.strip_prefix("connect from ") {
        event.class = Class::NetworkActivity;
        event.activity_id = 1;
        event.push(Attribute::AppProtocolName, "smtp");
        success(event);
        let address = cut(peer, "[").and_then(|(_, rest)| endpoint::ip(rest.split(']').next().unwrap_or(rest)));
        return push_source(event, address.unwrap_or(word(peer).0), None);
    }
    let (peer, deed) = if let Some(rest) = text.strip_prefix("rejecting commands from ") {
        cut(rest, " due to ").unwrap_or((rest, ""))
    } else if let Some(at) = text.find("]").filter(|_| {
        ["possible SMTP attack", "[rejected]", "did not issue", "lost input channel"]
            .iter()
            .any(|mark| text.contains(mark))
    }) {
        text.split_at_checked(at + 1).unwrap_or((text, ""))
    } else {
        return false;
    };
    event.class = Class::NetworkActivity;
    event.activity_id = 4;
    event.push(Attribute::AppProtocolName, "smtp");
    failure(event, deed.trim_start_matches([':', ' ']));
    let address = cut(peer, "[").and_then(|(_, rest)| endpoint::ip(rest.split(']').next().unwrap_or(rest)));
    address.is_some_and(|address| push_source(event, address, None))
}

/// `<bob@example.org>... No such user here` (4009); `unable to qualify my own domain name (h) -- using short name`, `My
/// unqualified host name (h) unknown; sleeping for retry` (6008).
fn unknown_name<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((to, reason)) = cut(text, ">... ").filter(|(to, _)| to.starts_with('<')) {
        email(event, 2, 1, "");
        event.push(Attribute::EmailTo, to.trim_start_matches('<'));
        failure(event, reason);
        return true;
    }
    let host = text
        .strip_prefix("unable to qualify my own domain name (")
        .or_else(|| text.strip_prefix("My unqualified host name ("));
    let Some((host, _)) = host.and_then(|rest| rest.split_once(')')) else { return false };
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.push(Attribute::ActorAppName, "sendmail");
    event.unmap("host", host);
    failure(event, text);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn mail_refusals_and_logons_are_read() {
        for (message, kind, at, value) in [
            (
                "s1GNXHYB005133: from=<a@example.com>, size=12, class=0, nrcpts=1, msgid=<m@example.com>, proto=ESMTP, daemon=MTA, relay=h.example [192.0.2.1]",
                400_902,
                "/src_endpoint/ip",
                json!("192.0.2.1"),
            ),
            (
                "s1GNXHYB005133: to=<b@example.org>, delay=00:00:01, mailer=esmtp, pri=1, relay=mx.example. [192.0.2.1], dsn=2.0.0, stat=Sent (ok)",
                400_901,
                "/dst_endpoint/ip",
                json!("192.0.2.1"),
            ),
            (
                "s1GNXHYB005133: ruleset=check_rcpt, arg1=<b@example.org>, relay=[192.0.2.1], reject=550 5.7.1 <b@example.org>... Relaying denied",
                400_902,
                "/email/to/0",
                json!("b@example.org"),
            ),
            (
                "s1GNXHYB005133: AUTH failure (LOGIN): authentication failure (-13) SASL(-13), user=bob, relay=h.example [192.0.2.1] (may be forged)",
                300_201,
                "/user/name",
                json!("bob"),
            ),
            ("NOQUEUE: connect from h.example [192.0.2.1]", 400_101, "/src_endpoint/ip", json!("192.0.2.1")),
            ("alias database /etc/mail/aliases rebuilt by root", 600_299, "/app/name", json!("sendmail")),
            (
                "STARTTLS=server, relay=h.example [192.0.2.1], version=TLSv1.3, verify=NO, cipher=C, bits=256/256",
                400_101,
                "/tls",
                json!({"version": "TLSv1.3", "cipher": "C"}),
            ),
            (
                "s1GNXHYB005133: h.example [192.0.2.1]: possible SMTP attack: command=AUTH, count=5",
                400_104,
                "/src_endpoint/ip",
                json!("192.0.2.1"),
            ),
            (
                "s1GNXHYB005133: rejecting commands from  [192.0.2.1] due to pre-greeting traffic after 0 seconds",
                400_104,
                "/src_endpoint/ip",
                json!("192.0.2.1"),
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h sm-mta[9]: {message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event.pointer(at), Some(&value), "{message}");
        }
    }
}
