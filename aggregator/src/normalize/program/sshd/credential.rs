//! Keys and certificates that OpenSSH's server looked at, and why it would not have them (3002).
//!
//! In: a message that names no peer, and often no user: the attempt that it belongs to has the same process. Out: a failed
//! logon, or an attempt that goes on (activity 6, Preauth); a user that is not named is empty.

use super::super::super::endpoint::ip;
use super::super::super::outcome::failure;
use super::super::super::syslog::Header;
use super::super::super::text::{between, cut, word};
use super::{logon, refused};
use crate::event::Event;
use crate::schema::Attribute;

/// Reads a message about a key, a certificate or the files that name them.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    refused_file(message, header, event)
        || wrong_place(message, header, event)
        || certificate(message, header, event)
        || authorized(message, header, event)
        || unsuitable(message, header, event)
}

/// The key behind `ssh2: `: `TYPE FINGERPRINT`, and of a certificate ` ID NAME (serial N) CA TYPE FINGERPRINT`.
pub(super) fn key<'a>(text: &'a str, event: &mut Event<'a>) {
    let (kind, rest) = word(text);
    // Before version 8 a certificate's own fingerprint was not told.
    let (fingerprint, rest) = if rest.starts_with("ID ") { ("", rest) } else { word(rest) };
    if fingerprint.is_empty() && rest.is_empty() {
        return;
    }
    event.unmap("key_type", kind);
    if !fingerprint.is_empty() {
        event.unmap("key_fingerprint", fingerprint.trim_end_matches(','));
    }
    let Some((id, rest)) = rest.strip_prefix("ID ").and_then(|rest| cut(rest, " (serial ")) else { return };
    event.unmap("certificate_id", id);
    let Some((serial, rest)) = cut(rest, ") ") else { return };
    event.unmap("certificate_serial", serial);
    if let Some(authority) = rest.strip_prefix("CA ") {
        event.unmap("certificate_authority", authority);
    }
}

/// `Authentication refused: bad ownership or modes for file /home/bob/.ssh/authorized_keys`,
/// `Authentication refused for bob: bad ownership …`, `Rhosts authentication refused for bob: …`.
fn refused_file<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.strip_prefix("Rhosts a").or_else(|| message.strip_prefix('A')).unwrap_or_default();
    let Some(rest) = message.strip_prefix("uthentication refused") else { return false };
    let Some((user, reason)) = cut(rest, ": ") else { return false };
    refused(user.strip_prefix(" for ").unwrap_or_default(), None, reason, header, event)
}

/// `Authentication tried for bob with correct key but not from a permitted host (host=a.example, ip=192.0.2.1).`,
/// `… with valid certificate but not from a permitted source address (192.0.2.1).`
fn wrong_place<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((user, reason)) = message.strip_prefix("Authentication tried for ").and_then(|rest| cut(rest, " with "))
    else {
        return false;
    };
    let host = between(reason, "ip=", ")").or_else(|| between(reason, "address (", ")")).map(|(host, _)| host);
    let peer = host.and_then(|host| ip(host.split(',').next()?)).map(|host| (host, None));
    refused(user, peer, reason.trim_end_matches('.'), header, event)
}

/// `Accepted key ED25519 SHA256:… found at FILE:LINE`, `Accepted certificate ID "bob" (serial 5) signed by RSA CA SHA256:… via /etc/ssh/ca.pub`, `Refusing certificate ID …`,
/// `Certificate invalid: expired`.
fn certificate<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some(reason) = message.strip_prefix("Certificate ") {
        return refused("", None, reason, header, event);
    }
    if let Some((kind, rest)) = message.strip_prefix("Accepted key ").and_then(|rest| cut(rest, " ")) {
        let (fingerprint, file) = word(rest);
        logon("", None, header, event);
        event.activity_id = 6;
        event.unmap("key_type", kind);
        event.unmap("key_fingerprint", fingerprint);
        event.unmap("file", file.strip_prefix("found at ").unwrap_or(file));
        return true;
    }
    let (accepted, rest) = match (message.strip_prefix("Accepted "), message.strip_prefix("Refusing ")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return false,
    };
    let Some((id, rest)) = rest.strip_prefix("certificate ID \"").and_then(|rest| cut(rest, "\"")) else {
        return false;
    };
    logon("", None, header, event);
    event.unmap("certificate_id", id);
    if let Some((serial, _)) = cut(rest, "serial").and_then(|(_, rest)| cut(rest.trim_start_matches([' ', '=']), " ")) {
        event.unmap("certificate_serial", serial.trim_end_matches(')'));
    }
    if let Some((_, authority)) = cut(rest, "signed by ") {
        event.unmap("certificate_authority", cut(authority, " via ").map_or(authority, |(authority, _)| authority));
    }
    if accepted {
        event.activity_id = 6;
    } else {
        failure(event, "certificate refused");
    }
    true
}

/// `Authorized to bob, krb5 principal bob@EXAMPLE.COM (krb5_kuserok)`, `Root login accepted for forced command.`
fn authorized<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const KERBEROS: i64 = 2;
    let user = match message.strip_prefix("Authorized to ").and_then(|rest| cut(rest, ", krb5 principal ")) {
        Some((user, principal)) => {
            event.push(Attribute::AuthProtocolId, KERBEROS);
            event.push(Attribute::AuthProtocol, "Kerberos");
            event.unmap("principal", word(principal).0);
            user
        }
        None if message.starts_with("Root login accepted for forced command") => "root",
        None => return false,
    };
    logon(user, None, header, event);
    event.activity_id = 6;
    true
}

/// A key that its algorithm, a list of revoked keys or its own file makes unsuitable.
fn unsuitable<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const STARTS: [&str; 8] = [
        "userauth_pubkey: ",
        "userauth_hostbased: ",
        "userauth_hostbased mismatch",
        "Authentication key ",
        "Public key ",
        "key_cert_check_authority: ",
        "auth_rhosts",
        "Rhosts authentication refused",
    ];
    const REASONS: [&str; 8] =
        ["not in ", "revoked", "blacklisted", "mismatch", "unsupported", "cannot decode", "refused", "invalid"];
    let said = STARTS.iter().any(|start| message.starts_with(start));
    if !said || !REASONS.iter().any(|reason| message.contains(reason)) {
        return false;
    }
    refused("", None, message, header, event);
    if let Some(fingerprint) = message.split([' ', ',']).find(|word| word.starts_with("SHA256:")) {
        event.unmap("key_fingerprint", fingerprint);
    }
    event.push(Attribute::AuthProtocolId, 99);
    event.push(Attribute::AuthProtocol, if message.contains("hostbased") { "hostbased" } else { "publickey" });
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::super::testing::normalized;

    fn sshd(message: &str) -> serde_json::Value {
        normalized(&format!("Mar 16 10:00:00 web-1 sshd[9]: {message}"))
    }

    #[test]
    fn refused_keys_are_failed_logons() {
        for (message, user, peer) in [
            ("Authentication refused: bad ownership or modes for file /home/bob/.ssh/authorized_keys", "", None),
            (
                "Authentication tried for bob with correct key but not from a permitted host (host=a.example, ip=192.0.2.1).",
                "bob",
                Some("192.0.2.1"),
            ),
            ("error: Certificate invalid: expired", "", None),
            ("error: Refusing certificate ID \"x\" serial=5 signed by ED25519 CA SHA256:abc via /k", "", None),
            ("userauth_pubkey: key type ssh-dss not in PubkeyAcceptedAlgorithms [preauth]", "", None),
            ("error: Authentication key RSA SHA256:abc revoked by file /etc/ssh/revoked", "", None),
        ] {
            let event = sshd(message);
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!(event["status_id"], 2, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["src_endpoint"]["ip"].as_str(), peer, "{message}");
        }
    }

    #[test]
    fn a_certificate_names_its_id_and_its_authority() {
        let event = sshd(
            "Accepted publickey for bob from 192.0.2.1 port 5 ssh2: RSA-CERT SHA256:abc ID bob@example (serial 5) CA RSA SHA256:def",
        );
        assert_eq!(event["status_id"], 1);
        assert_eq!(
            event["unmapped"],
            serde_json::json!({"key_type": "RSA-CERT", "key_fingerprint": "SHA256:abc", "certificate_id": "bob@example",
                "certificate_serial": "5", "certificate_authority": "RSA SHA256:def"})
        );
        let event = sshd("Accepted certificate ID \"bob\" (serial 5) signed by RSA CA SHA256:def via /etc/ssh/ca.pub");
        assert_eq!(event["type_uid"], 300_206);
        assert_eq!(event["unmapped"]["certificate_serial"], "5");
        assert_eq!(event["unmapped"]["certificate_authority"], "RSA CA SHA256:def");
    }
}
