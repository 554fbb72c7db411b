//! Samba: logons that its `auth_audit` reports (3002), shares that were connected to and files touched there (4006).
//!
//! Source: `auth/auth_log.c`, `source3/smbd/smb2_service.c`, `vfs_full_audit.c` of Samba 3 to 4. The fields of `full_audit` are
//! those of its default prefix `%u|%I`, with what `%m` and `%S` add as its manual shows them.

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, port, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `file.type_id` 0: the log does not tell what it is.
const UNKNOWN_TYPE: i64 = 0;

/// Reads a message of smbd, winbindd, nmbd or samba.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim();
    authenticated(message, event)
        || checked(message, header, event)
        || share(message, header, event)
        || remark(base_name(header.program), message, event)
}

/// `ipv4:192.0.2.1:5`, `ipv6:2001:db8::1:5`, `192.0.2.1`, `NULL`.
fn end(text: &str) -> Option<(&str, Option<i64>)> {
    let Some(rest) = text.strip_prefix("ipv4:").or_else(|| text.strip_prefix("ipv6:")) else {
        return Some((ip(text)?, None));
    };
    let (host, number) = rest.rsplit_once(':')?;
    Some((ip(host)?, port(number)))
}

/// `Auth: [SMB2,(null)] user [EXAMPLE]\[bob] at [Mon, …] with [NTLMv2] status [NT_STATUS_OK] workstation [WS1] remote host
/// [ipv4:192.0.2.1:5] became [EXAMPLE]\[bob] [S-1-5-…]. local host [ipv4:198.51.100.1:445]`.
fn authenticated<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((service, rest)) = message.strip_prefix("Auth: [").and_then(|rest| cut(rest, "] user [")) else {
        return false;
    };
    let Some((domain, rest)) = cut(rest, "]\\[") else { return false };
    let Some((user, rest)) = cut(rest, "] at [") else { return false };
    let Some((protocol, rest)) = between(rest, "] with [", "] status [") else { return false };
    let Some((status, rest)) = cut(rest, "]") else { return false };
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    if !domain.is_empty() {
        event.push(Attribute::UserDomain, domain);
    }
    event.push(Attribute::ServiceName, service.split(',').next().unwrap_or(service));
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, 3);
    event.push(Attribute::AuthProtocolId, 99);
    event.push(Attribute::AuthProtocol, protocol);
    if let Some((host, port)) = between(rest, "remote host [", "]").and_then(|(text, _)| end(text)) {
        push_source(event, host, port);
    }
    if let Some((host, port)) = between(rest, "local host [", "]").and_then(|(text, _)| end(text)) {
        push_destination(event, host, port);
    }
    for (key, open) in [("workstation", "workstation ["), ("became", "became [")] {
        if let Some((value, _)) = between(rest, open, "]").filter(|(value, _)| !value.is_empty()) {
            event.unmap(key, value);
        }
    }
    event.push(Attribute::StatusCode, status);
    if status == "NT_STATUS_OK" {
        success(event);
    } else {
        failure(event, status);
    }
    true
}

/// `check_ntlm_password:  Authentication for user [bob] -> [bob] FAILED with error NT_STATUS_WRONG_PASSWORD, authoritative=1`,
/// `check_ntlm_password:  authentication for user [bob] -> [bob] -> [bob] succeeded`: at `log level = auth:2`.
fn checked<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, "uthentication for user [") else { return false };
    let Some((user, rest)) = cut(rest, "]") else { return false };
    let error = cut(rest, "FAILED with error ").map(|(_, rest)| word(rest).0.trim_end_matches(','));
    if error.is_none() && !rest.ends_with(" succeeded") {
        return false;
    }
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, base_name(header.program));
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, 3);
    match error {
        Some(error) => {
            event.push(Attribute::StatusCode, error);
            failure(event, error);
        }
        None => success(event),
    }
    true
}

/// `ws1 (ipv4:192.0.2.1:5) connect to service share initially as user bob (uid=1000, gid=1000) (pid 7)`, `ws1 (192.0.2.1) closed
/// connection to service share`.
fn share<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((name, rest)) = cut(message, " (") else { return false };
    let Some((from, rest)) = cut(rest, ") ") else { return false };
    let Some((host, port)) = end(from) else { return false };
    let (activity, rest) = if let Some((_, rest)) = cut(rest, "connect to service ") {
        (1, rest)
    } else if let Some(rest) = rest.strip_prefix("closed connection to service ") {
        (2, rest)
    } else {
        return false;
    };
    event.class = Class::SmbActivity;
    event.activity_id = activity;
    push_source(event, host, port);
    if ip(name).is_none() && !name.is_empty() && !name.contains(' ') {
        event.push(Attribute::SrcEndpointHostname, name);
    }
    push_destination(event, header.this_host(), None);
    event.push(Attribute::SmbShare, word(rest).0);
    if let Some((_, who)) = cut(rest, " as user ") {
        event.push(Attribute::ActorUserName, word(who).0);
        if let Some((uid, _)) = between(who, "(uid=", ",") {
            event.push(Attribute::ActorUserUid, uid);
        }
    }
    success(event);
    true
}

/// Reads a message of `vfs_full_audit`: `bob|192.0.2.1|[machine|][share|]unlink|ok|path`, `…|open|fail (Permission denied)|r|path`.
pub(super) fn parse_audit<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let mut parts = message.trim_end().split('|');
    let (Some(user), Some(address)) = (parts.next(), parts.next()) else { return false };
    let Some(address) = ip(address) else { return false };
    let (mut before, mut found) = (["", "", ""], None);
    for (at, part) in parts.clone().enumerate().take(before.len() + 1) {
        if part == "ok" || part.starts_with("fail") {
            found = Some(at);
            break;
        }
        if let Some(slot) = before.get_mut(at) {
            *slot = part;
        }
    }
    let Some(at) = found else { return false };
    let Some(operation) = at.checked_sub(1).and_then(|at| before.get(at)) else { return false };
    let result = parts.nth(at).unwrap_or_default();
    let share = at.checked_sub(2).and_then(|at| before.get(at)).copied().unwrap_or_default();
    event.class = Class::SmbActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, *operation);
    event.push(Attribute::FtpCommand, *operation);
    event.push(Attribute::ActorUserName, user);
    push_source(event, address, None);
    push_destination(event, header.this_host(), None);
    if !share.is_empty() {
        event.push(Attribute::SmbShare, share);
    }
    let path = parts.next_back().unwrap_or_default();
    if !path.is_empty() {
        event.push(Attribute::FileName, base_name(path));
        event.push(Attribute::FilePath, path);
        event.push(Attribute::FileTypeId, UNKNOWN_TYPE);
    }
    match result {
        "ok" => success(event),
        _ => failure(event, between(result, "(", ")").map_or(result, |(reason, _)| reason)),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn a_logon_names_user_ends_and_verdict() {
        for (program, status, id) in [("smbd", "NT_STATUS_OK", 1), ("smb", "NT_STATUS_WRONG_PASSWORD", 2)] {
            let event = normalized(&format!(
                "Mar 16 10:00:00 fs {program}[9]:   Auth: [SMB2,(null)] user [EXAMPLE]\\[bob] at [Mon, 16 Mar 2026 10:00:00.1 UTC] with \
                 [NTLMv2] status [{status}] workstation [WS1] remote host [ipv4:192.0.2.1:5] mapped to [EXAMPLE]\\[bob]. local \
                 host [ipv4:198.51.100.1:445]"
            ));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &id.into()));
            assert_eq!(event["user"], serde_json::json!({"name": "bob", "domain": "EXAMPLE"}));
            assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1", "port": 5}));
            assert_eq!(event["dst_endpoint"], serde_json::json!({"ip": "198.51.100.1", "port": 445}));
        }
    }

    #[test]
    fn a_password_that_was_checked_is_a_logon() {
        for (message, status) in [
            ("Authentication for user [bob] -> [bob] FAILED with error NT_STATUS_WRONG_PASSWORD, authoritative=1", 2),
            ("authentication for user [bob] -> [bob] -> [bob] succeeded", 1),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 fs smbd[9]:   check_ntlm_password:  {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &status.into()), "{message}");
            assert_eq!(event["user"]["name"], "bob", "{message}");
        }
    }

    #[test]
    fn shares_and_files_are_smb_activity() {
        let connect =
            "ws1 (ipv4:192.0.2.1:5) connect to service docs initially as user bob (uid=1000, gid=1000) (pid 9)";
        let event = normalized(&format!("Mar 16 10:00:00 fs smbd[9]: {connect}"));
        assert_eq!((&event["type_uid"], &event["share"]), (&400_601.into(), &"docs".into()));
        assert_eq!(event["actor"]["user"], serde_json::json!({"name": "bob", "uid": "1000"}));
        for (message, status, share) in [
            ("bob|192.0.2.1|ws1|docs|unlinkat|ok|a/secret.txt", 1, Some("docs")),
            ("bob|192.0.2.1|openat|fail (Permission denied)|r|a/secret.txt", 2, None),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 fs smbd_audit: {message}"));
            assert_eq!((&event["class_uid"], &event["status_id"]), (&4006.into(), &status.into()), "{message}");
            assert_eq!(event["share"].as_str(), share, "{message}");
            assert_eq!(event["file"]["name"], "secret.txt", "{message}");
        }
        assert_eq!(normalized("Mar 16 10:00:00 fs smbd_audit: bob|192.0.2.1|x")["class_uid"], 0);
    }
}
