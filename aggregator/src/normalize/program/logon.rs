//! Services that say in one sentence who came in or was turned away (3002): FreeRADIUS, xrdp, Webmin, LuCI,
//! saslauthd, nslcd, the children of sssd, the web interfaces of pfSense, OPNsense and Infoblox NIOS.
//!
//! Source: `main/auth.c` of FreeRADIUS 2 and 3; `sesman.c`, `auth.c` of xrdp; `miniserv.pl` of Webmin; `saslauthd-main.c` of
//! Cyrus SASL; `log.c`, `bind.c` of nss-pam-ldapd; `auth.inc` of pfSense and OPNsense; Infoblox, "NIOS Administrator Guide", audit log.

use std::borrow::Cow;

use super::super::endpoint::{Address, ip, push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, head, level, number, port, word};
use super::super::{combined, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Authentication (3002).
const LOGON: u8 = 1;
const LOGOFF: u8 = 2;
/// `logon_type_id`.
const NETWORK: i64 = 3;
const REMOTE_INTERACTIVE: i64 = 10;

/// A service, what it does with the one who comes, and from where.
fn entry<'a>(activity: u8, service: &'a str, user: &'a str, from: &'a str, kind: i64, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = activity;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, service);
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, kind);
    // `192.0.2.1:5`, `::ffff:192.0.2.1:5`, or without a port.
    let split = from.rsplit_once(':').filter(|(host, _)| ip(from).is_none() && ip(host).is_some());
    match split {
        Some((host, number)) => push_source(event, host, port(number)),
        None => push_source(event, from, None),
    };
}

/// Reads a message of FreeRADIUS: `(0) Login OK: [bob] (from client ap1 port 0 cli 00-11-22-33-44-55)`, `Login incorrect (pap:
/// reason): [bob/<via Auth-Type = eap>] (from client ap1 port 0)`.
pub(super) fn parse_radius<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    let text = text.strip_prefix('(').and_then(|rest| cut(rest, ") ")).map_or(text, |(_, rest)| rest).trim_start();
    let text = ["Auth: ", "Info: ", "Error: "].into_iter().find_map(|start| text.strip_prefix(start)).unwrap_or(text);
    let text = text.strip_prefix('(').and_then(|rest| cut(rest, ") ")).map_or(text, |(_, rest)| rest).trim_start();
    let verdict =
        ["Login OK", "Login incorrect", "Invalid user", "Multiple logins"].into_iter().find(|v| text.starts_with(v));
    let Some((verdict, (head, rest))) = verdict.zip(cut(text, ": [")) else {
        return remark(base_name(header.program), message, event);
    };
    let Some((who, rest)) = cut(rest, "] (from client ").or_else(|| cut(rest, "]")) else { return false };
    // With `auth_badpass` the password follows the name: it is kept out.
    let user = who.split_once('/').map_or(who, |(user, _)| user);
    entry(LOGON, "radius", user, "", NETWORK, event);
    push_destination(event, header.this_host(), None);
    let client = word(rest).0.trim_end_matches(')');
    if !client.is_empty() {
        event.unmap("client", client);
    }
    if let Some((_, station)) = cut(rest, " cli ") {
        let station = word(station).0.trim_end_matches(')');
        if Address::parse(station).is_some_and(|address| matches!(address, Address::Ip(_))) {
            push_source(event, station, None);
        } else {
            event.unmap("calling_station", station);
        }
    }
    match verdict {
        "Login OK" => success(event),
        _ => failure(event, between(head, "(", ")").map_or(verdict, |(reason, _)| reason)),
    }
    true
}

/// Reads a message of xrdp-sesman: `[INFO ] AUTHFAIL: user=bob ip=::ffff:192.0.2.1 time=…`, `[INFO ] ++ created session (access
/// granted): username bob, ip 192.0.2.1:5 - socket: 12`, `[INFO ] Access permitted for user: bob`.
pub(super) fn parse_xrdp<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let mut text = message.trim_end();
    if let Some((stated, rest)) = text.strip_prefix('[').and_then(|rest| cut(rest, "]")) {
        if let Some(severity) = level(stated.trim()) {
            event.push(Attribute::MetadataLogLevel, stated.trim());
            event.severity_id = severity;
        }
        text = rest.trim_start();
    }
    let named = |mark: &str| cut(text, mark).map(|(_, rest)| word(rest).0.trim_end_matches(','));
    let from = named(" ip ").or_else(|| named(" ip=")).unwrap_or_default();
    if let Some(user) = text.strip_prefix("AUTHFAIL: user=") {
        entry(LOGON, "xrdp", word(user).0, from, REMOTE_INTERACTIVE, event);
        failure(event, "authentication failure");
    } else if let Some(user) = text.strip_prefix("Username or password error for user: ") {
        entry(LOGON, "xrdp", word(user).0, from, REMOTE_INTERACTIVE, event);
        failure(event, "username or password error");
    } else if let Some(user) = text.strip_prefix("Access permitted for user: ") {
        entry(LOGON, "xrdp", word(user).0, from, REMOTE_INTERACTIVE, event);
        success(event);
    } else if let Some((user, ended)) = named("username ").map(|user| (user, text.contains("terminated session"))) {
        entry(if ended { LOGOFF } else { LOGON }, "xrdp", user, from, REMOTE_INTERACTIVE, event);
        success(event);
    } else {
        return remark(base_name(header.program), message, event);
    }
    push_destination(event, header.this_host(), None);
    true
}

/// Reads a message of Webmin or Usermin: `Successful login as root from 192.0.2.1`, `Invalid login as bob from …`, `Non-existent
/// login as eve from …`, `Logout by bob from …`, `Host 192.0.2.1 blocked after 5 failed logins for user bob`.
pub(super) fn parse_webmin<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    let service = base_name(header.program);
    let forms = [
        ("Successful login as ", "", LOGON),
        ("Invalid login as ", "invalid login", LOGON),
        ("Non-existent login as ", "invalid user", LOGON),
        ("Expired login as ", "password has expired", LOGON),
        ("Logout by ", "", LOGOFF),
        ("Timeout of session for ", "", LOGOFF),
    ];
    for (start, reason, activity) in forms {
        let Some(rest) = text.strip_prefix(start) else { continue };
        let (user, from) = rest.rsplit_once(" from ").unwrap_or((rest, ""));
        entry(activity, service, user, word(from).0, NETWORK, event);
        push_destination(event, header.this_host(), None);
        if reason.is_empty() {
            success(event);
        } else {
            failure(event, reason);
        }
        return true;
    }
    let blocked = cut(text, "Host ").and_then(|(_, rest)| cut(rest, " blocked after "));
    let Some((host, rest)) = blocked else { return remark(service, message, event) };
    let user = cut(rest, " for user ").map_or("", |(_, user)| word(user).0);
    entry(LOGON, service, user, host, NETWORK, event);
    push_destination(event, header.this_host(), None);
    if let Some(times) = number(word(rest).0) {
        event.push(Attribute::Count, times);
    }
    failure(event, "host blocked");
    true
}

/// Reads a message of OpenWrt's uhttpd: `[info] luci: accepted login on / for root from 192.0.2.1`, `… failed login …`.
pub(super) fn parse_luci<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    let found = cut(text, "luci: ").and_then(|(_, rest)| {
        let (verdict, rest) = cut(rest, " login on ")?;
        let (who, from) = cut(rest, " for ")?.1.rsplit_once(" from ")?;
        Some((verdict, who, from))
    });
    let Some((verdict, user, from)) = found else { return remark("uhttpd", text, event) };
    entry(LOGON, "luci", user, from, NETWORK, event);
    push_destination(event, header.this_host(), None);
    match verdict {
        "accepted" => success(event),
        _ => failure(event, "login failed"),
    }
    true
}

/// Reads a message of saslauthd: `do_auth         : auth failure: [user=bob] [service=imap] [realm=] [mech=pam] [reason=PAM auth
/// error]`.
pub(super) fn parse_sasl<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    let value = |mark: &str| between(text, mark, "]").map_or("", |(value, _)| value);
    let verdict = ["auth failure: [user=", "auth success: [user=", "auth success (cached): [user="]
        .into_iter()
        .find(|mark| text.contains(*mark));
    let Some(verdict) = verdict else { return remark(base_name(header.program), message, event) };
    let service = value("[service=");
    entry(LOGON, if service.is_empty() { "saslauthd" } else { service }, value("[user="), "", NETWORK, event);
    let realm = value("[realm=");
    if !realm.is_empty() {
        event.push(Attribute::UserDomain, realm);
    }
    event.push(Attribute::AuthProtocolId, 99);
    event.push(Attribute::AuthProtocol, value("[mech="));
    match verdict.starts_with("auth failure") {
        true => failure(event, value("[reason=")),
        false => success(event),
    }
    true
}

/// Reads a message of nslcd: `[8b4567] <authc="bob"> uid=bob,ou=people,dc=example: Invalid credentials`.
pub(super) fn parse_nslcd<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    let Some((user, rest)) = between(text, "<authc=\"", "\"> ") else {
        return remark(base_name(header.program), message, event);
    };
    let reason = rest.rsplit_once(": ").map_or(rest, |(_, reason)| reason);
    if !["Invalid credentials", "not found", "denied", "locked", "expired"].iter().any(|word| reason.contains(word)) {
        return remark(base_name(header.program), message, event);
    }
    entry(LOGON, "nslcd", user, "", NETWORK, event);
    failure(event, reason);
    true
}

/// Reads a message of a child of sssd that asks the directory for somebody: `Preauthentication failed`, `Client 'bob@EXAMPLE.COM'
/// not found in Kerberos database`.
pub(super) fn parse_child<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const REFUSALS: [&str; 8] = [
        "Preauthentication failed",
        "Decrypt integrity check failed",
        "not found in Kerberos database",
        "credentials have been revoked",
        "Password has expired",
        "Password incorrect",
        "Pre-authentication failed",
        "Clients credentials",
    ];
    let text = message.trim_end();
    if !REFUSALS.iter().any(|refusal| text.contains(refusal)) {
        return remark(base_name(header.program), message, event);
    }
    let user = between(text, "'", "'").map_or("", |(user, _)| user);
    let (name, realm) = user.split_once('@').unwrap_or((user, ""));
    entry(LOGON, "sssd", name, "", NETWORK, event);
    if !realm.is_empty() {
        event.push(Attribute::UserDomain, realm);
    }
    event.push(Attribute::AuthProtocolId, 2);
    event.push(Attribute::AuthProtocol, "Kerberos");
    failure(event, text);
    true
}

/// Reads what the web interface of pfSense or OPNsense says through PHP: `/index.php: Successful login for user 'ann' from: 192.0.2.7
/// (Local Database)`, `/index.php: webConfigurator authentication error for user 'ann' from: 192.0.2.7`, `… Web GUI authentication
/// error for 'ann' from 192.0.2.7`, `… User logged out for user 'ann' from: …`; anything else PHP says is whoever's.
pub(super) fn parse_web_interface<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let text = message.trim_end();
    let said = cut(text, ": ").filter(|(page, _)| page.starts_with('/') && page.ends_with(".php"));
    let found = said.and_then(|(_, said)| {
        let (activity, reason) = if said.starts_with("Successful login for ") {
            (LOGON, "")
        } else if said.starts_with("User logged out ") || said.starts_with("Session timed out ") {
            (LOGOFF, "")
        } else {
            (LOGON, cut(said, " authentication error ").map(|_| "authentication error")?)
        };
        let (user, rest) = between(said, "'", "' from")?;
        Some((activity, reason, user, word(rest.trim_start_matches([':', ' '])).0))
    });
    let Some((activity, reason, user, from)) = found else {
        return super::super::carried(Cow::Borrowed(message), &header.context, event);
    };
    entry(activity, "webConfigurator", user, from, REMOTE_INTERACTIVE, event);
    push_destination(event, header.this_host(), None);
    if reason.is_empty() {
        success(event);
    } else {
        failure(event, reason);
    }
    true
}

/// Reads the audit log of Infoblox NIOS, which its web server writes: `2026-03-16 09:00:00.123Z [ann]: Login_Denied - -
/// to=AdminConnector ip=192.0.2.7 …`, `… [ann]: Created Network 192.0.2.0/24 network_view=default: Set …`, `… [ann]: Called - …`.
pub(super) fn parse_grid<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let found = cut(head(message, 32), "Z [").and_then(|_| cut(message, " [")).and_then(|(when, rest)| {
        let (user, rest) = cut(rest, "]: ")?;
        Some((timestamp::iso(when, header.context.reference)?.0, user, rest))
    });
    let Some((stamp, user, rest)) = found else { return combined::parse_message(message, header, event) };
    let (action, rest) = word(rest);
    // Spaces are written in octal.
    let user: Cow<'a, str> =
        if user.contains("\\040") { user.replace("\\040", " ").into() } else { Cow::Borrowed(user) };
    let field = |key: &str| cut(rest, key).map(|(_, rest)| word(rest).0);
    if rest.starts_with("- - ") && (action.contains("Login") || action == "Logout") {
        event.class = Class::Authentication;
        event.activity_id = if action == "Logout" { LOGOFF } else { LOGON };
        event.push(Attribute::UserName, user);
        event.push(Attribute::ServiceName, "NIOS");
        if field(" ip=").is_some_and(|from| push_source(event, from, None)) {
            event.push(Attribute::IsRemote, true);
        }
        if action == "Login_Denied" {
            failure(event, field(" error=").map_or("denied".into(), |error| error.replace("\\040", " ")));
        } else {
            success(event);
        }
    } else if matches!(action, "Created" | "Modified" | "Deleted" | "Called") {
        event.class = Class::DeviceConfigStateChange;
        event.activity_id = 1;
        event.push(Attribute::ActorUserName, user);
        success(event);
    } else if rest.starts_with("- - ") {
        remark("NIOS", message, event);
        event.push(Attribute::ActorUserName, user);
    } else {
        return false;
    }
    event.push(Attribute::MetadataEventCode, action);
    event.time = stamp.time;
    event.set(Attribute::MetadataOriginalTime, stamp.text);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn who_came_in_and_who_was_turned_away_is_read() {
        for (message, user, status, peer) in [
            ("radiusd[9]: (0) Login OK: [bob] (from client ap1 port 0 cli 00-11-22-33-44-55)", "bob", 1, None),
            ("radiusd[9]: Login incorrect (pap: wrong): [bob/secret] (from client ap1 port 0)", "bob", 2, None),
            (
                "freeradius[9]: (1) Login incorrect: [bob] (from client v port 1 cli 192.0.2.1)",
                "bob",
                2,
                Some("192.0.2.1"),
            ),
            (
                "xrdp-sesman[9]: [INFO ] AUTHFAIL: user=bob ip=::ffff:192.0.2.1 time=1773651600",
                "bob",
                2,
                Some("192.0.2.1"),
            ),
            (
                "xrdp-sesman[9]: [INFO ] ++ created session (access granted): username bob, ip 192.0.2.1:5 - socket: 12",
                "bob",
                1,
                Some("192.0.2.1"),
            ),
            ("uhttpd[9]: [info] luci: failed login on / for root from 192.0.2.1", "root", 2, Some("192.0.2.1")),
            ("webmin[9]: Successful login as root from 192.0.2.1", "root", 1, Some("192.0.2.1")),
            ("webmin[9]: Invalid login as root from 192.0.2.1", "root", 2, Some("192.0.2.1")),
            (
                "saslauthd[9]: do_auth         : auth failure: [user=bob] [service=imap] [realm=] [mech=pam] [reason=PAM auth error]",
                "bob",
                2,
                None,
            ),
            ("[sssd[krb5_child[9]]]: Client 'bob@EXAMPLE.COM' not found in Kerberos database", "bob", 2, None),
            ("krb5_child[9]: Client 'bob@EXAMPLE.COM' not found in Kerberos database", "bob", 2, None),
            ("nslcd[9]: [8b4567] <authc=\"bob\"> uid=bob,dc=example: Invalid credentials", "bob", 2, None),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["status_id"], status, "{message}");
            assert_eq!(event["src_endpoint"]["ip"].as_str(), peer, "{message}");
            assert!(!event["unmapped"].to_string().contains("secret"), "{message}");
        }
    }

    #[test]
    fn web_interfaces_of_appliances_name_user_and_client() {
        for (message, user, kind, status) in [
            (
                "php-fpm[9]: /index.php: Successful login for user 'ann' from: 192.0.2.1 (Local Database)",
                "ann",
                300_201,
                1,
            ),
            (
                "php-fpm[9]: /index.php: webConfigurator authentication error for user 'ann' from: 192.0.2.1",
                "ann",
                300_201,
                2,
            ),
            ("php-fpm: /index.php: Web GUI authentication error for 'ann' from 192.0.2.1", "ann", 300_201, 2),
            ("php-fpm[9]: /index.php: User logged out for user 'ann' from: 192.0.2.1", "ann", 300_202, 1),
            ("httpd[]: 2026-03-16 09:00:00.123Z [ann]: Logout - - ip=192.0.2.1 group=admins", "ann", 300_202, 1),
            (
                "192.0.2.9 httpd: 2026-03-16 09:00:00.123Z [ann\\040lee]: Login_Denied - - to=AdminConnector ip=192.0.2.1 info=Local",
                "ann lee",
                300_201,
                2,
            ),
            (
                "httpd: 2026-03-16 09:00:00.123Z [ann]: Login_Allowed - - to=AdminConnector ip=192.0.2.1 auth=LOCAL",
                "ann",
                300_201,
                1,
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&kind.into(), &status.into()), "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
            assert_eq!(event["time"].as_i64().map(|ms| ms / 1000), Some(1_773_651_600), "{message}");
        }
        let event = normalized(
            "Mar 16 10:00:00 192.0.2.9 httpd: 2026-03-16 09:00:00.123Z [ann]: Modified Network 192.0.2.0/24 network_view=default: Changed a:[]->[b]",
        );
        assert_eq!((&event["class_uid"], &event["actor"]["user"]["name"]), (&5019.into(), &"ann".into()));
        assert_eq!(normalized("Mar 16 10:00:00 h php-fpm[9]: /x.php: slow")["class_uid"], 0);
    }

    #[test]
    fn what_they_say_of_themselves_is_a_report() {
        for message in
            ["radiusd[9]: Ready to process requests", "xrdp-sesman[9]: [INFO ] starting", "nslcd[9]: version 0.9"]
        {
            assert_eq!(normalized(&format!("Mar 16 10:00:00 h {message}"))["type_uid"], 600_299, "{message}");
        }
    }
}
