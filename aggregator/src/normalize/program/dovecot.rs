//! Dovecot: logons to mail boxes (3002), clients that came without one (4001), mail that was stored (4009), the service (6002, 6008).
//!
//! `imap-login: Login: user=<u>, method=PLAIN, rip=A, lip=B, mpid=1, TLS, session=<s>`,
//! `imap-login: Disconnected (auth failed, 2 attempts in 5 secs): user=<u>, …`, `auth: passwd-file(u,A,<s>): unknown user`,
//! `imap(u)<pid><s>: Logged out in=1 out=2`, `lmtp(u)<pid><s>: msgid=<m>: saved mail to INBOX`. A user that is not named is
//! an empty name. Source: Dovecot 2.3 and 2.4, src/login-common/client-common.c, src/auth/auth-request.c, src/lib-lda/mail-deliver.c.

use super::super::endpoint::{push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{between, cut, head, level, number, word};
use super::super::{
    Context, attempt,
    remark::{life, remark},
    timestamp,
};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message that came with `dovecot:`, or with the name of one of its services, or with a level, before it.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    match header.program {
        "dovecot" | "Info" | "Warn" | "Warning" | "Error" | "Fatal" | "Panic" | "Debug" => {
            let message = message.strip_prefix("dovecot: ").unwrap_or(message);
            if let Some(severity) = level(header.program) {
                event.severity_id = event.severity_id.max(severity);
            }
            attempt(|message, (), event| service(message, event), message, &(), event)
                || (header.program == "dovecot" && own(message, event))
        }
        program => said(program, header.module.unwrap_or_default(), message, event),
    }
}

/// What is about no client and no mail.
fn own<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let levels = [("Panic: ", 6), ("Fatal: ", 4), ("Error: ", 3), ("Warning: ", 2)];
    let weight = levels.iter().find(|(mark, _)| cut(head(message, 96), mark).is_some());
    event.severity_id = event.severity_id.max(weight.map_or(1, |(_, weight)| *weight));
    remark("dovecot", message, event)
}

/// Reads a line of Dovecot's own log whose time syslog does not know: `2013-08-11 03:56:40 auth-worker(default): Info: …`,
/// `@4000000069b7c2d8077a9e94 imap-login: Info: …`, and of version 1 `dovecot: Mar 16 10:00:00 Info: imap-login: …`.
pub(crate) fn parse_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let text = text.strip_prefix(FIRST).unwrap_or(text);
    let Some((stamp, rest)) = timestamp::tai64n(text)
        .or_else(|| timestamp::iso(text, context.reference))
        .or_else(|| timestamp::bsd(text, context.reference))
    else {
        return false;
    };
    let rest = rest.trim_start();
    if !service(rest.strip_prefix("dovecot: ").unwrap_or(rest), event) {
        return false;
    }
    stamp.apply(event);
    event.push(Attribute::MetadataLogProvider, "dovecot");
    event.push(Attribute::MetadataLogFormat, "dovecot");
    event.push(Attribute::Message, rest);
    true
}

/// What lines of version 1 begin with, before their time.
const FIRST: &str = "dovecot: ";

/// Whether a line may be one that [`parse_line`] reads.
pub(crate) fn looks(text: &str) -> bool {
    if text.starts_with(FIRST) {
        return true;
    }
    let dated = text.starts_with('@') || text.as_bytes().get(4) == Some(&b'-');
    dated
        && ["-login: ", "auth", "imap(", "pop3(", "lmtp(", "master: "]
            .iter()
            .any(|mark| cut(head(text, 64), mark).is_some())
}

/// `service(detail)<pid><session>: text`, after a level in either place.
fn service<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let message = leveled(message, event);
    if let Some(version) = message.strip_prefix("Dovecot v") {
        return lifecycle(version, event);
    }
    let end = message.find([':', '(', '<', ' ']).unwrap_or(message.len());
    let Some((name, mut rest)) = message.split_at_checked(end) else { return false };
    let mut detail = "";
    if let Some((inner, after)) = rest.strip_prefix('(').and_then(|rest| cut(rest, ")")) {
        detail = inner;
        rest = after;
    }
    let Some(at) = rest.find(": ") else { return error(message, event) };
    let (ids, text) = (rest.get(..at).unwrap_or_default(), rest.get(at + 2..).unwrap_or_default());
    if ids.contains(' ') {
        return error(message, event);
    }
    if let Some(session) = ids
        .rsplit_once('<')
        .map(|(_, session)| session.trim_end_matches('>'))
        .filter(|session| number(session).is_none() && !session.is_empty())
    {
        event.unmap("session", session);
    }
    said(name, detail, text, event) || error(text, event)
}

/// Without `Info: `, `Error: `; what is an error is weighed.
fn leveled<'a>(text: &'a str, event: &mut Event<'a>) -> &'a str {
    let Some((word, rest)) = cut(text, ": ") else { return text };
    let known = matches!(word, "Info" | "Warn" | "Warning" | "Error" | "Fatal" | "Panic" | "Debug");
    let Some(severity) = level(word).or((word == "Panic").then_some(6)).filter(|_| known) else { return text };
    event.severity_id = event.severity_id.max(severity);
    rest
}

/// What is not understood and an error is an error of the application.
fn error<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if event.severity_id < 3 {
        return false;
    }
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    failure(event, text);
    true
}

fn said<'a>(name: &'a str, detail: &'a str, text: &'a str, event: &mut Event<'a>) -> bool {
    let text = leveled(text, event);
    match name {
        "auth" | "auth-worker" | "dovecot-auth" => auth(text, event),
        "master" => lifecycle(text.strip_prefix("Dovecot v").unwrap_or(text), event),
        "lmtp" | "lda" | "deliver" | "lib-lda" => delivery(name, detail, text, event),
        _ => match name.strip_suffix("-login") {
            Some(protocol) => attempt(|text, protocol, event| login(protocol, text, event), text, &protocol, event),
            None => {
                // Version 1 wrote its protocols in capitals.
                let protocol = match name {
                    "IMAP" => "imap",
                    "POP3" => "pop3",
                    "imap" | "pop3" | "managesieve" | "submission" | "imap-hibernate" => name,
                    _ => return false,
                };
                session(protocol, detail, text, event)
            }
        },
    }
}

/// `2.3.16 (7e2e900c1a) starting up for imap`, `Warning: Killed with signal 15 (by pid=1 uid=0 code=kill)`.
fn lifecycle<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let activity = if cut(text, "starting up").is_some() {
        event.push(Attribute::AppVersion, word(text).0);
        3
    } else if cut(text, "illed with signal").is_some() {
        4
    } else if cut(text, "SIGHUP").is_some() {
        5
    } else {
        return false;
    };
    life("dovecot", activity, event)
}

fn logon<'a>(user: &'a str, service: &'a str, activity: u8, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = activity;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, service);
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, 3);
}

/// What stands behind `name=` in the list at a line's end.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = cut(text, name)?;
    match rest.strip_prefix('<') {
        Some(inner) => cut(inner, ">").map(|(value, _)| value),
        None => rest.split([',', ' ']).next(),
    }
}

/// `Login: user=<u>, …`, `Disconnected: Inactivity (auth failed, 1 attempts in 2 secs): user=<u>, …`, `Aborted login (no auth attempts): rip=…`.
fn login<'a>(protocol: &'a str, text: &'a str, event: &mut Event<'a>) -> bool {
    let fields = ["user=<", "method=", "rip="].iter().filter_map(|mark| text.find(mark)).min();
    let Some((reason, fields)) = fields.and_then(|at| text.split_at_checked(at)) else { return false };
    let reason = reason.trim_end_matches([':', ' ']);
    let user = value(fields, "user=");
    // Dovecot 2.4 says `Logged in`.
    let logged_in = reason.starts_with("Logged in")
        || reason.contains(": started proxying to ")
        || (reason.starts_with("Login") && !reason.starts_with("Login aborted"));
    let attempted = logged_in
        || user.is_some_and(|user| !user.is_empty())
        || cut(reason, "auth failed").is_some()
        || cut(reason, "authentication attempts").is_some();
    if attempted {
        logon(user.unwrap_or_default(), protocol, 1, event);
        if let Some(session) = value(fields, "session=") {
            event.push(Attribute::SessionUid, session);
        }
        if let Some(method) = value(fields, "method=") {
            event.push(Attribute::AuthProtocolId, 99);
            event.push(Attribute::AuthProtocol, method);
        }
        let attempts =
            between(reason, "auth failed, ", " attempts").or_else(|| between(reason, "(", " authentication attempts"));
        if let Some(attempts) = attempts.and_then(|(count, _)| number(count)).filter(|count| *count > 0) {
            event.push(Attribute::Count, attempts);
        }
    } else {
        event.class = Class::NetworkActivity;
        event.activity_id = 2;
        event.push(Attribute::AppProtocolName, protocol);
        if let Some(session) = value(fields, "session=") {
            event.push(Attribute::ConnectionUid, session);
            event.push(Attribute::ConnectionDirectionId, 1);
        }
    }
    // A name may hold what looks like an address: the server's own stands behind it.
    let ends = fields.rfind("rip=").and_then(|at| fields.get(at..)).unwrap_or(fields);
    let port = |name| value(ends, name).and_then(super::super::text::port);
    let known = value(ends, "rip=").is_some_and(|rip| push_source(event, rip, port("rport=")));
    if let Some(local) = value(ends, "lip=") {
        push_destination(event, local, port("lport="));
    }
    event.unmap("tls", cut(fields, ", TLS").is_some());
    if logged_in {
        success(event)
    } else {
        failure(event, reason)
    }
    known || attempted
}

/// `passdb(user,address,<session>): reason`, behind `conn unix:auth-worker (pid=1,uid=2): auth-worker<3>: ` or nothing.
fn auth<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let text = match text.strip_prefix("conn ").and_then(|rest| cut(rest, "): auth-worker<")) {
        Some((_, rest)) => cut(rest, ": ").map_or(rest, |(_, rest)| rest),
        None => text,
    };
    let text = leveled(text, event);
    let Some((passdb, rest)) = cut(text, "(").filter(|(passdb, _)| !passdb.contains([' ', ':'])) else { return false };
    let Some((inner, reason)) = cut(rest, "): ") else { return false };
    let mut parts = inner.splitn(3, ',');
    let (Some(user), Some(address)) = (parts.next(), parts.next()) else { return false };
    let reason = leveled(reason, event);
    logon(user, "dovecot", if passdb == "userdb" { 6 } else { 1 }, event);
    event.unmap("passdb", passdb);
    push_source(event, address, None);
    if let Some(session) =
        parts.next().map(|session| session.trim_matches(['<', '>', ','])).filter(|session| !session.is_empty())
    {
        event.push(Attribute::SessionUid, session);
    }
    failure(event, reason);
    true
}

/// `imap(u)<pid><s>: Logged out in=1 out=2`, `imap(u): Connection closed (…) in=1 out=2`.
fn session<'a>(protocol: &'a str, user: &'a str, text: &'a str, event: &mut Event<'a>) -> bool {
    let ended = ["Logged out", "Disconnected", "Connection closed", "Server shutting down"]
        .iter()
        .any(|mark| text.starts_with(mark));
    let user = user.split(',').next().unwrap_or(user);
    if !ended || user.is_empty() {
        return false;
    }
    logon(user, protocol, 2, event);
    for (key, mark) in [
        ("bytes_in", " in="),
        ("bytes_out", " out="),
        ("bytes_in", "bytes="),
        ("deleted", "deleted="),
        ("expunged", "expunged="),
    ] {
        if let Some(count) = value(text, mark).and_then(|text| text.split('/').next()).and_then(number) {
            event.unmap(key, count);
        }
    }
    success(event);
    event.push(Attribute::StatusDetail, text);
    true
}

/// `msgid=<m>: saved mail to INBOX`, `sieve: msgid=<m>: stored mail into mailbox 'INBOX'`, `Connect from local|A`.
fn delivery<'a>(name: &'a str, detail: &'a str, text: &'a str, event: &mut Event<'a>) -> bool {
    let text = text.strip_prefix("sieve: ").unwrap_or(text);
    if let Some(peer) = text.strip_prefix("Connect from ").or_else(|| text.strip_prefix("Disconnect from ")) {
        event.class = Class::NetworkActivity;
        event.activity_id = if text.starts_with("Connect") { 1 } else { 2 };
        event.push(Attribute::AppProtocolName, name);
        success(event);
        return push_source(event, peer.split([':', ' ', ',']).next().unwrap_or(peer), None);
    }
    let Some((_, rest)) = cut(text, "msgid=") else { return false };
    let Some((message_id, action)) = cut(rest, ": ") else { return false };
    let user = detail.rsplit(',').next().unwrap_or(detail).trim();
    event.class = Class::EmailActivity;
    event.activity_id = 2;
    event.push(Attribute::EmailDirectionId, 1);
    event.push(Attribute::EmailTo, if number(user).is_some() { "" } else { user });
    event.push(Attribute::EmailMessageUid, message_id.trim_matches(['<', '>']));
    event.push(Attribute::EmailProtocolName, name);
    let box_name =
        cut(action, "mailbox '").or_else(|| cut(action, "mail to ")).map(|(_, rest)| rest.trim_end_matches('\''));
    if let Some(mailbox) = box_name {
        event.unmap("mailbox", mailbox);
    }
    if cut(action, "failed").is_some() || cut(action, "ejected").is_some() {
        failure(event, action);
    } else {
        success(event);
        event.push(Attribute::StatusDetail, action);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn logons_to_mail_boxes_are_read_in_every_framing() {
        for (line, user, status) in [
            (
                "Mar 16 10:00:00 mx dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=198.51.100.1, mpid=3, TLS, session=<s1>",
                "bob",
                1,
            ),
            (
                "Mar 16 10:00:00 mx dovecot: imap-login: Logged in: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=198.51.100.1, TLS",
                "bob",
                1,
            ),
            (
                "Mar 16 10:00:00 mx dovecot: imap-login: proxy(bob): started proxying to 198.51.100.9:143: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=198.51.100.1",
                "bob",
                1,
            ),
            (
                "Mar 16 10:00:00 mx dovecot[9]: pop3-login: Disconnected: Inactivity (auth failed, 2 attempts in 3 secs): user=<bob>, method=PLAIN, rip=192.0.2.1, lip=198.51.100.1",
                "bob",
                2,
            ),
            (
                "Mar 16 10:00:00 mx dovecot: imap-login: Login aborted: Connection closed (auth failed, 3 attempts in 16 secs) (auth_failed): user=<bob>, rip=192.0.2.1, lip=198.51.100.1",
                "bob",
                2,
            ),
            (
                "Mar 16 10:00:00 Info: imap-login: Login: user=<bob>, method=PLAIN, rip=::ffff:192.0.2.1, lip=198.51.100.1",
                "bob",
                1,
            ),
            (
                "Mar 16 10:00:00 pop3-login: Info: Aborted login (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, rip=192.0.2.1",
                "bob",
                2,
            ),
            (
                "Mar 16 10:00:00 mx dovecot: auth-worker(7): conn unix:auth-worker (pid=9,uid=97): auth-worker<5>: pam(bob,192.0.2.1,<s>): unknown user",
                "bob",
                2,
            ),
            ("Mar 16 10:00:00 auth: Info: ldap(bob,192.0.2.1,): invalid credentials", "bob", 2),
            ("dovecot: Mar 16 10:00:00 Info: pop3-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.1", "bob", 1),
            ("dovecot: Mar 16 10:00:00 Info: auth(default): pam(bob,192.0.2.1): unknown user", "bob", 2),
            (
                "2026-03-16 10:00:00 auth-worker(default): Info: pam(bob,192.0.2.1): pam_authenticate() failed: no",
                "bob",
                2,
            ),
            (
                "@4000000069b7c2d8077a9e94 imap-login: Info: Aborted login (auth failed, 1 attempts): method=PLAIN, rip=192.0.2.1",
                "",
                2,
            ),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 300_201, "{line}");
            assert_eq!((&event["user"]["name"], &event["status_id"]), (&json!(user), &json!(status)), "{line}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{line}");
        }
    }

    #[test]
    fn sessions_deliveries_and_the_service_are_read() {
        for (message, kind) in [
            (
                "imap-login: Disconnected (no auth attempts in 10 secs): user=<>, rip=192.0.2.1, lip=198.51.100.1, TLS",
                400_102,
            ),
            ("imap(bob)<12><s+1>: Logged out in=10 out=20 deleted=0", 300_202),
            ("imap(bob): Connection closed in=10 out=20", 300_202),
            ("lmtp(bob@example.com)<12><s>: msgid=<m@example.com>: saved mail to INBOX", 400_902),
            ("lmtp(bob)<12><s>: sieve: msgid=<m@example.com>: stored mail into mailbox 'Junk'", 400_902),
            ("master: Dovecot v2.3.16 (7e2e900c1a) starting up for imap, lmtp (core dumps disabled)", 600_203),
            ("master: Warning: Killed with signal 15 (by pid=1 uid=0 code=kill)", 600_204),
            ("Fatal: auth(default): Support not compiled in for passdb driver 'sql'", 600_801),
        ] {
            assert_eq!(normalized(&format!("Mar 16 10:00:00 mx dovecot: {message}"))["type_uid"], kind, "{message}");
        }
        let event = normalized("dovecot: Mar 16 10:00:00 Info: IMAP(bob): Disconnected: Logged out bytes=5/9");
        assert_eq!((&event["type_uid"], &event["service"]["name"]), (&json!(300_202), &json!("imap")));
        assert_eq!((&event["user"]["name"], &event["time"]), (&json!("bob"), &json!(1_773_651_600_000_i64)));
    }
}
