//! What the modules of PAM say in words of their own: refusals, locks, expired accounts, one-time codes (3002, 3001).
//!
//! Source: `pam_access.c`, `pam_faillock.c`, `pam_tally2.c`, `pam_listfile.c`, `pam_limits.c`, `pam_wheel.c`,
//! `pam_succeed_if.c`, `pam_securetty.c`, `pam_time.c`, `pam_unix_acct.c`, `unix_chkpwd.c` of Linux-PAM; `pam_sss.c`;
//! `pam_winbind.c`; `pam_systemd.c`; pam_google_authenticator; pam_duo.

use super::super::super::endpoint::push_source;
use super::super::super::outcome::{LOW, failure, success};
use super::super::super::syslog::Header;
use super::super::super::text::{between, cut, last_cut, unquoted, word};
use super::{Call, logon, switches};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads what no other form fits.
pub(super) fn parse<'a>(call: &Call<'a>, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    locked(call, event)
        || between_users(call, header, event)
        || of_user(call, header, event)
        || bare(call, header, event)
}

/// pam_faillock's `Consecutive login failures for user bob account temporarily locked`.
fn locked<'a>(call: &Call<'a>, event: &mut Event<'a>) -> bool {
    let locked = cut(call.message, "login failures for user ").map(|(_, rest)| word(rest));
    let Some((user, _)) = locked.filter(|(_, rest)| rest.contains("locked")) else { return false };
    event.class = Class::AccountChange;
    event.activity_id = 9;
    event.severity_id = event.severity_id.max(LOW);
    event.push(Attribute::UserName, unquoted(user));
    success(event);
    event.push(Attribute::StatusDetail, call.message);
    true
}

/// pam_wheel's `Access denied to 'bob' for 'root'`, before 1.1.2 `Access denied for 'bob' to 'root'`.
fn between_users<'a>(call: &Call<'a>, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let words = call.message.strip_prefix("Access ").and_then(|rest| cut(rest, " '"));
    let Some((verdict, rest)) = words.and_then(|(head, rest)| Some((head.split_once(' ')?.0, rest))) else {
        return false;
    };
    let Some((caller, rest)) = cut(rest, "'") else { return false };
    let Some((user, _)) = between(rest, " '", "'") else { return false };
    logon(call, user, header, event);
    if switches(call.service) {
        event.push(Attribute::ActorUserName, caller);
    } else {
        event.unmap("ruser", caller);
    }
    match verdict {
        "granted" => success(event),
        _ => failure(event, "access denied"),
    }
    true
}

/// How a message goes on behind the user, or what must stand in it, and whether somebody was let in.
struct Form {
    /// What stands before the user.
    before: &'static str,
    /// What the message must hold behind it; may be empty.
    holds: &'static str,
    accepted: bool,
}

const fn no(before: &'static str, holds: &'static str) -> Form {
    Form { before, holds, accepted: false }
}

const fn yes(before: &'static str, holds: &'static str) -> Form {
    Form { before, holds, accepted: true }
}

/// The first that fits names the user behind `before`.
static FORMS: [Form; 53] = [
    no("(user ", ") krb5_"),
    no("Authentication failed for user ", ""),
    no("Error opening the tally file for ", ""),
    no("user ", "has never logged in"),
    no("Tally overflowed for user ", ""),
    no("error retrieving information about user ", ""),
    no("error retrieving user name", ""),
    no("User ", "not allowed"),
    no("Authentication failure; user=", ""),
    no("access denied for user ", ""),
    no("Access denied for user ", ""),
    no("user ", " tally "),
    no("user ", " deny "),
    no("user ", "has time limit"),
    no("user ", "denied access"),
    yes("user ", "granted access"),
    yes("user ", " authenticated as "),
    yes("user ", "has blank password"),
    no("user ", "inactive for"),
    no("user ", "does not exist"),
    no("user ", "not found"),
    no("user ", "is blocked"),
    no("user unknown ", ""),
    no("account ", "has expired"),
    no("account ", "password changed in future"),
    no("account: ", "denied"),
    no("expired password for user ", ""),
    no("Refused user ", " for service "),
    no("bad username ", ""),
    no("Too many logins (max ", ") for "),
    no("password check failed for user ", ""),
    no("could not obtain user info ", ""),
    no("could not identify user (from getpwnam(", ""),
    no("auth could not identify password for ", ""),
    no("auth could not identify password for", ""),
    no("Invalid verification code for ", ""),
    yes("Accepted google_authenticator for ", ""),
    no("Failed to read ", "for user"),
    no("Failed to read ", " for \""),
    no("One-time password not authorized to login as user ", ""),
    no("internal module error (retval = ", ", user = "),
    no("Failed to compute location of secret file for user ", ""),
    yes("Successful Duo login for ", ""),
    no("Failed Duo login for ", ""),
    no("Aborted Duo login for ", ""),
    yes("Failsafe Duo login for ", ""),
    yes("Allowed Duo login for ", ""),
    yes("Skipped Duo login for ", ""),
    no("authentication fails for ", ""),
    no("authentication failed for ", ""),
    yes("authentication succeeds for ", ""),
    no("error trying to bind as user ", ""),
    no("Blocking access from ", ", user "),
];

fn of_user<'a>(call: &Call<'a>, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = call.message;
    let found = FORMS.iter().find_map(|form| {
        let rest = message.strip_prefix(form.before)?;
        rest.contains(form.holds).then_some((form, rest))
    });
    let Some((form, rest)) = found else { return false };
    let user = match form.before {
        "Too many logins (max " | "Blocking access from " => cut(rest, form.holds).map_or("", |(_, user)| user),
        "Failed to read " if form.holds == "for user" => cut(rest, "for user ").map_or("", |(_, user)| user),
        "Failed to read " => last_cut(rest, " for ").map_or("", |(_, user)| user),
        "internal module error (retval = " => cut(rest, form.holds).map_or("", |(_, user)| user),
        _ => rest,
    };
    logon(call, name(user), header, event);
    match form.before {
        "Blocking access from " => {
            push_source(event, word(rest).0, None);
        }
        _ => {
            // pam_access: from `192.0.2.1' · Duo: from 192.0.2.1
            if let Some((_, host)) = cut(rest, " from ") {
                push_source(event, unquoted(word(host).0).trim_end_matches([',', ':']), None);
            }
        }
    }
    if form.accepted {
        success(event);
        if form.holds == "has blank password" {
            event.push(Attribute::StatusDetail, "blank password");
        }
        // Why Duo asked for nothing: `from 192.0.2.1: Allowed unknown user`.
        if let Some((_, reason)) = last_cut(rest, ": ").filter(|_| form.before.ends_with(" Duo login for ")) {
            event.push(Attribute::StatusDetail, reason);
        }
    } else {
        failure(event, message);
    }
    true
}

/// The user at the start of a text: in quotes or brackets of any kind, or a word.
fn name(text: &str) -> &str {
    let closing = match text.chars().next() {
        Some('[') => "]",
        Some('(') => ")",
        Some('"') => "\"",
        Some('\'' | '`') => "'",
        _ => return word(text).0.trim_end_matches([':', ',', ')']),
    };
    text.get(1..).and_then(|rest| cut(rest, closing)).map_or(text, |(name, _)| name)
}

/// Verdicts that name no user, and those of pam_succeed_if, which name one at the end.
fn bare<'a>(call: &Call<'a>, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const STARTS: [&str; 27] = [
        "pam_get_uid; no such user",
        "User account has expired",
        "request failed: ",
        "authentication failed",
        "auth failed",
        "Did not receive verification code from user",
        "pam_get_authtok_verify returned error",
        "RADIUS server ",
        "bad password: ",
        "BAD PASSWORD: ",
        "user unknown",
        "set_loginuid failed",
        "cannot determine username",
        "conversation failed",
        "User unknown",
        "access denied",
        "unknown user",
        "Too many system logins",
        "Failed to create session: ",
        "Request to sssd failed",
        "request wbcLogonUser failed",
        "unix_passwd: ",
        "authentication failure",
        "new password not acceptable",
        "invalid ",
        "Unable to authenticate user",
        "Too many concurrent login attempts",
    ];
    let message = call.message;
    if let Some((requirement, user)) = message.strip_prefix("requirement ").and_then(|rest| cut(rest, " by user ")) {
        logon(call, unquoted(user), header, event);
        if requirement.ends_with("not met") {
            failure(event, message);
        } else {
            success(event);
        }
        return true;
    }
    if !STARTS.iter().any(|start| message.starts_with(start)) {
        return false;
    }
    logon(call, "", header, event);
    failure(event, message);
    if let Some((terminal, _)) = between(message, "tty '", "'") {
        event.push(Attribute::SessionTerminal, terminal);
    }
    true
}

/// libpam's own `PAM unable to dlopen(pam_x.so): …`, `PAM adding faulty module: pam_x.so`: a stack that is not as it is meant.
pub(super) fn faulty<'a>(call: &Call<'a>, rest: &'a str, event: &mut Event<'a>) -> bool {
    if !["unable to dlopen", "adding faulty module: ", "unable to resolve "].iter().any(|start| rest.starts_with(start))
    {
        return false;
    }
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.push(Attribute::ActorAppName, call.service);
    failure(event, call.message);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::super::testing::normalized;

    #[test]
    fn duo_says_whom_it_let_in_and_why() {
        for (message, status, detail) in [
            ("sshd[9]: Skipped Duo login for 'bob' from 192.0.2.1: Allowed unknown user", 1, "Allowed unknown user"),
            (
                "login_duo[9]: Aborted Duo login for 'bob' from 192.0.2.1: no answer",
                2,
                "Aborted Duo login for 'bob' from 192.0.2.1: no answer",
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &status.into()), "{message}");
            assert_eq!((&event["user"]["name"], &event["status_detail"]), (&"bob".into(), &detail.into()), "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
        }
    }

    #[test]
    fn refusals_name_the_user_and_the_reason() {
        for (message, user, status) in [
            ("pam_access(sshd:account): access denied for user `bob' from `192.0.2.1'", "bob", 2),
            ("pam_tally2(sshd:auth): user bob (1000) tally 9, deny 8", "bob", 2),
            ("pam_sss(sshd:account): Access denied for user bob: 6 (Permission denied)", "bob", 2),
            ("pam_unix(sshd:account): account bob has expired (account expired)", "bob", 2),
            ("pam_unix(sshd:account): expired password for user bob (password aged)", "bob", 2),
            ("pam_unix(sshd:auth): bad username [bob]", "bob", 2),
            ("pam_unix(x:auth): auth could not identify password for [bob]", "bob", 2),
            ("pam_unix(x:auth): conversation failed", "", 2),
            ("pam_krb5(x:auth): (user bob) krb5_get_init_creds_password: Preauthentication failed", "bob", 2),
            ("pam_sss(x:account): User account has expired", "", 2),
            ("pam_winbind(x:auth): request failed: No such user, PAM error was x (10)", "", 2),
            ("pam_unix(x:auth): user [bob] has blank password; authenticated without it", "bob", 1),
            ("pam_listfile(vsftpd:auth): Refused user bob for service vsftpd", "bob", 2),
            ("pam_limits(sshd:session): Too many logins (max 2) for bob", "bob", 2),
            ("pam_succeed_if(gdm:auth): requirement \"uid >= 1000\" not met by user \"bob\"", "bob", 2),
            ("pam_succeed_if(gdm:auth): requirement \"uid >= 1000\" was met by user \"bob\"", "bob", 1),
            ("pam_securetty(login:auth): access denied: tty 'tty9' is not secure !", "", 2),
            ("pam_winbind(sshd:auth): user 'bob' granted access", "bob", 1),
            ("pam_wheel(sshd:auth): Access denied for 'eve' to 'bob'", "bob", 2),
            ("pam_tally(sshd:auth): Tally overflowed for user bob", "bob", 2),
            ("pam_tally2(sshd:auth): user unknown", "", 2),
            ("pam_lastlog(login:account): user bob has never logged in/locked", "bob", 2),
            ("pam_succeed_if(sshd:auth): error retrieving information about user bob", "bob", 2),
            ("pam_ldap(sshd:auth): Authentication failure; user=bob", "bob", 2),
            ("pam_systemd(sshd:session): Failed to create session: Connection timed out", "", 2),
            ("pam_oath(sshd:auth): One-time password not authorized to login as user 'bob'", "bob", 2),
            ("pam_winbind(x:auth): internal module error (retval = PAM_AUTHINFO_UNAVAIL(9), user = 'bob')", "bob", 2),
            ("pam_google_authenticator(sshd:auth): Failed to read \"/home/bob/.ga\" for \"bob\"", "bob", 2),
            ("pam_duo(sshd:auth): Failsafe Duo login for 'bob' from 192.0.2.1: Couldn't connect", "bob", 1),
            (
                "pam_sss(sshd:auth): authentication success; logname= uid=0 euid=0 tty=ssh ruser= rhost=a user=bob",
                "bob",
                1,
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h x[9]: {message}"));
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["status_id"], status, "{message}");
        }
        for message in [
            "PAM-tacplus[9]: auth failed: 2",
            "sshd[9]: pam_tacplus: auth failed: 2",
            "sshd(pam_google_authenticator)[9]: Did not receive verification code from user",
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &2.into()), "{message}");
            assert!(event.get("src_endpoint").is_none(), "{message}");
        }
        let event =
            normalized("Mar 16 10:00:00 h x[9]: pam_access(sshd:account): access denied for user `b' from `192.0.2.1'");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1");
        let event = normalized("Mar 16 10:00:00 h su[9]: pam_wheel(su:auth): Access denied to 'eve' for 'root'");
        assert_eq!(event["type_uid"], 300_207);
        assert_eq!(event["actor"]["user"]["name"], "eve");
    }
}
