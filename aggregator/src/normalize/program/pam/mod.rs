//! PAM modules, whichever program they speak through: `pam_unix(sshd:auth): …`, `sshd(pam_unix)[7]: …`,
//! `(pam_unix) …`, and sshd's own `PAM 2 more authentication failures; …`.
//!
//! A failure that names no user (`check pass; user unknown`) has an empty `user.name`: nobody is invented.
//!
//! Source of the messages: `pam_unix_auth.c`, `pam_unix_sess.c`, `support.c` and the other modules of Linux-PAM; `pam_sss.c`
//! of SSSD.

mod modules;

use std::borrow::Cow;

use super::super::endpoint::push_source;
use super::super::outcome::{LOW, failure, success};
use super::super::remark::{report, spoken};
use super::super::syslog::Header;
use super::super::text::{base_name, cut, cut_at, last_cut, number, unquoted, word};
use super::{sshd, weighed};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// A message and the service that it is about, where it is said.
#[derive(Clone, Copy)]
struct Call<'a> {
    service: &'a str,
    message: &'a str,
    /// The module, where the message begins with it: `krb5` of `pam_krb5`.
    module: &'a str,
}

/// Modules that log without the service: `pam_krb5[7]: …`, `pam_ldap: …`.
const BARE_MODULES: [&str; 6] = ["krb5", "ldap", "radius_auth", "winbind", "duo", "tacplus"];

/// Reads a message of a PAM module; false for everything else.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(call) = call(message, header) else { return false };
    let message = call.message;
    if let Some(fields) = message.strip_prefix("authentication failure; ") {
        return failed(&call, fields, "authentication failure", header, event);
    }
    if let Some(fields) = message.strip_prefix("authentication success; ") {
        return attempted(&call, fields, header, event) && {
            success(event);
            true
        };
    }
    if let Some(rest) = message.strip_prefix("PAM ") {
        return repeated_failures(&call, rest, header, event) || modules::faulty(&call, rest, event);
    }
    if message.starts_with(|c: char| c.is_ascii_digit()) {
        // pam_unix, once the service lets go: `2 more authentication failures; logname=…`.
        return repeated_failures(&call, message, header, event);
    }
    if let Some(reason) = message.strip_prefix("check pass; ") {
        logon(&call, "", header, event);
        failure(event, reason);
        return true;
    }
    if let Some(rest) = message.strip_prefix("session ") {
        return session(&call, rest, header, event);
    }
    if let Some(user) = message.strip_prefix("password changed for ") {
        return password_changed(&call, user, event);
    }
    if let Some(rest) = message.strip_prefix("received for user ") {
        let Some((user, reason)) = cut(rest, ": ") else { return false };
        logon(&call, user, header, event);
        failure(event, reason);
        return true;
    }
    if let Some(user) = message.strip_prefix("Password change failed for user ") {
        return password_kept(&call, user, event);
    }
    modules::parse(&call, header, event) || of_itself(&call, event)
}

/// What a module says of itself, and no form fits: an error by its first word, else a report.
fn of_itself<'a>(call: &Call<'a>, event: &mut Event<'a>) -> bool {
    if call.module.is_empty() || call.message.is_empty() {
        return false;
    }
    let name = Cow::Owned(format!("pam_{}", call.module));
    if weighed(call.message, event) {
        spoken(Some(name), Some(Cow::Borrowed(call.message)), event);
        return true;
    }
    report(name, event)
}

/// pam_sss's `Password change failed for user bob: 20 (Authentication token manipulation error)`.
fn password_kept<'a>(call: &Call<'a>, rest: &'a str, event: &mut Event<'a>) -> bool {
    let (user, reason) = cut(rest, ": ").unwrap_or((rest, ""));
    event.class = Class::AccountChange;
    event.activity_id = if call.service == "passwd" { 3 } else { 4 };
    event.push(Attribute::UserName, user);
    failure(event, reason);
    true
}

/// Reads what a module says in sshd's name alone, as Duo's does.
pub(super) fn parse_of_sshd<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    modules::parse(&Call { service: "sshd", message, module: "" }, header, event)
}

fn call<'a>(message: &'a str, header: &Header<'a>) -> Option<Call<'a>> {
    let service = base_name(header.program);
    if let Some(module) = header.module.and_then(|module| module.strip_prefix("pam_")) {
        return Some(Call { service: listener(service), message, module });
    }
    if let Some((module, message)) = message.strip_prefix("(pam_").and_then(|rest| cut(rest, ") ")) {
        return Some(Call { service, message, module });
    }
    if message.starts_with("PAM ") {
        return Some(Call { service: listener(service), message, module: "" });
    }
    // Duo's own program says what its module says.
    if service == "login_duo" {
        return Some(Call { service, message, module: "duo" });
    }
    // pam_unix's helper, which checks passwords for those that may not read them.
    if service == "unix_chkpwd" {
        return Some(Call { service: "", message, module: "" });
    }
    // Modules of the last century logged under their own name: `PAM_unix[7]: (login) session opened …`.
    if service.starts_with("PAM_") || service.starts_with("PAM-") {
        let (service, message) = message.strip_prefix('(').and_then(|rest| cut(rest, ") ")).unwrap_or(("", message));
        return Some(Call { service, message, module: "" });
    }
    // winbind's module, where no service is told to syslog: `pam_winbind[7]: user 'bob' granted access`.
    if let Some(module) = service.strip_prefix("pam_") {
        return Some(Call { service: "", message, module });
    }
    if let Some(message) = message.strip_prefix("gkr-pam: ") {
        return Some(Call { service, message, module: "gnome_keyring" });
    }
    let (head, message) = cut(message.strip_prefix("pam_")?, ": ")?;
    match cut_at(b'(', head) {
        Some((module, call)) => {
            let call = call.strip_suffix(')')?;
            let service = cut_at(b':', call).map_or(call, |(service, _)| service);
            Some(Call { service, message, module })
        }
        None => {
            let module = cut_at(b'[', head).map_or(head, |(module, _)| module);
            BARE_MODULES.contains(&module).then_some(Call { service: listener(service), message, module })
        }
    }
}

/// The service that a program of OpenSSH's serves: since 9.8 its sessions have a program of their own.
fn listener(program: &str) -> &str {
    if program.starts_with("sshd-") { "sshd" } else { program }
}

/// Whether the service changes who somebody is, rather than letting somebody in.
fn switches(service: &str) -> bool {
    matches!(service, "su" | "su-l" | "sudo" | "sudo-i" | "runuser" | "runuser-l" | "doas" | "polkit-1")
}

/// Class, activity, user and service of a logon or an account switch.
fn logon<'a>(call: &Call<'a>, user: &'a str, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.push(Attribute::UserName, user);
    if switches(call.service) {
        event.activity_id = 7;
        event.push(Attribute::AccountSwitchTypeId, 1);
    } else {
        event.activity_id = 1;
    }
    if call.service == "sshd" {
        sshd::remote(None, header, event);
    } else {
        event.push(Attribute::ServiceName, if call.service.is_empty() { "pam" } else { call.service });
    }
}

fn failed<'a>(
    call: &Call<'a>,
    fields: &'a str,
    reason: &'static str,
    header: &Header<'a>,
    event: &mut Event<'a>,
) -> bool {
    if !attempted(call, fields, header, event) {
        return false;
    }
    failure(event, reason);
    true
}

/// `logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root`, and what the first modules wrote for it: `bob(uid=500) ->
/// root for su service`.
fn attempted<'a>(call: &Call<'a>, fields: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some((caller, rest)) = cut(fields, " -> ") {
        let Some((user, service)) = cut(rest, " for ") else { return false };
        let call = Call { service: service.strip_suffix(" service").unwrap_or(service), ..*call };
        logon(&call, user, header, event);
        by(caller, event);
        return true;
    }
    let (mut logname, mut uid, mut tty, mut ruser, mut rhost, mut user) = ("", "", "", "", "", "");
    // `user=` stands last, after two spaces; a name may hold spaces, the other values do not.
    let (fields, last) = cut(fields, " user=").unwrap_or((fields, ""));
    if !last.is_empty() {
        user = last.trim_end();
    }
    let mut rest = fields;
    while !rest.is_empty() {
        let (field, after) = word(rest);
        rest = after;
        let Some((key, value)) = cut_at(b'=', field) else { continue };
        match key {
            "logname" => logname = value,
            "uid" => uid = value,
            "tty" => tty = value,
            "ruser" => ruser = value,
            "rhost" => rhost = value,
            _ => {}
        }
    }
    // pam_krb5 writes as `logname` who is being let in, and no `user`.
    if user.is_empty() && call.module == "krb5" {
        (user, logname) = (logname, "");
    }
    // Services that know no accounts of the host's (ftp, mail) name who tried as `ruser` alone.
    let tried = user.is_empty() && !switches(call.service);
    logon(call, if tried { ruser } else { user }, header, event);
    push_source(event, rhost, None);
    if !tty.is_empty() {
        event.push(Attribute::SessionTerminal, tty);
    }
    let caller = if ruser.is_empty() { logname } else { ruser };
    if switches(call.service) {
        if !caller.is_empty() {
            event.push(Attribute::ActorUserName, caller);
        }
        if !uid.is_empty() {
            event.push(Attribute::ActorUserUid, uid);
        }
    } else if !caller.is_empty() && (!tried || ruser.is_empty()) {
        event.unmap("ruser", caller);
    }
    true
}

/// sshd's `PAM 5 more authentication failures; logname= …`: five more of the same.
fn repeated_failures<'a>(call: &Call<'a>, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (times, rest) = word(rest);
    let Some((times, (_, fields))) = number(times).zip(cut(rest, "; ")) else { return false };
    if !rest.starts_with("more authentication failure") {
        return false;
    }
    event.push(Attribute::Count, times);
    failed(call, fields, "authentication failure", header, event)
}

/// A name with its id: `root(uid=0)`, `root`, `(uid=0)`.
fn named(text: &str) -> (&str, Option<&str>) {
    match cut(text, "(uid=") {
        Some((name, uid)) => (name, Some(uid.trim_end_matches(')'))),
        None => (text, None),
    }
}

/// `opened for user root(uid=0) by bob(uid=1000)`, `closed for user root`.
fn session<'a>(call: &Call<'a>, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some(who) = rest.strip_prefix("closed for user ") {
        let (user, uid) = named(who.trim_end());
        logon(call, user, header, event);
        event.activity_id = 2;
        if let Some(uid) = uid {
            event.push(Attribute::UserUid, uid);
        }
        success(event);
        return true;
    }
    let Some(who) = rest.strip_prefix("opened for user ") else { return false };
    let (who, by) = last_cut(who, " by ").unwrap_or((who, ""));
    let (user, uid) = named(who.trim_end());
    logon(call, user, header, event);
    if let Some(uid) = uid {
        event.push(Attribute::UserUid, uid);
    }
    self::by(by.trim_end(), event);
    success(event);
    true
}

/// On whose behalf: `bob(uid=1000)`, `(uid=0)`.
fn by<'a>(text: &'a str, event: &mut Event<'a>) {
    let (caller, uid) = named(text);
    if !caller.is_empty() {
        event.push(Attribute::ActorUserName, caller);
    }
    if let Some(uid) = uid.filter(|uid| !uid.is_empty()) {
        event.push(Attribute::ActorUserUid, uid);
    }
}

/// `password changed for bob`: by bob with `passwd`, by an administrator with anything else.
fn password_changed<'a>(call: &Call<'a>, user: &'a str, event: &mut Event<'a>) -> bool {
    event.class = Class::AccountChange;
    event.activity_id = if call.service == "passwd" { 3 } else { 4 };
    event.severity_id = event.severity_id.max(LOW);
    event.push(Attribute::UserName, unquoted(user.trim_end()));
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;

    fn normalized(message: &str) -> serde_json::Value {
        testing::normalized(&format!("Mar 16 10:00:00 h {message}"))
    }

    #[test]
    fn a_failure_names_user_peer_and_service_in_every_dialect() {
        const FIELDS: &str = "authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=a b";
        for (tag, service) in [
            ("sshd[9]: pam_unix(sshd:auth): ", "sshd"),
            ("sshd(pam_unix)[9]: ", "sshd"),
            ("pure-ftpd: (pam_unix) ", "pure-ftpd"),
            ("/usr/sbin/vsftpd[9]: pam_sss(vsftpd:auth): ", "vsftpd"),
        ] {
            let event = normalized(&format!("{tag}{FIELDS}"));
            assert_eq!(event["type_uid"], 300_201, "{tag}");
            assert_eq!(event["status_id"], 2, "{tag}");
            assert_eq!(event["user"]["name"], "a b", "{tag}");
            assert_eq!(event["service"]["name"], service, "{tag}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{tag}");
            assert_eq!(event["session"]["terminal"], "ssh", "{tag}");
        }
    }

    #[test]
    fn nobody_is_invented_where_no_user_is_named() {
        let event = normalized("sshd[9]: pam_unix(sshd:auth): check pass; user unknown");
        assert_eq!(event["user"]["name"], "");
        assert_eq!(event["status_detail"], "user unknown");
    }

    #[test]
    fn modules_that_name_no_service_are_read_as_the_programs() {
        let event = normalized("sshd-session[9]: pam_krb5[9]: authentication fails for 'bob' (bob@EXAMPLE.COM): x");
        assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &2.into()));
        assert_eq!((&event["user"]["name"], &event["service"]["name"]), (&"bob".into(), &"sshd".into()));
        let fields = "logname=bob uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1";
        let event = normalized(&format!("sshd[9]: pam_krb5(sshd:auth): authentication failure; {fields}"));
        assert_eq!(event["user"]["name"], "bob");
        assert!(event["unmapped"].get("ruser").is_none());
        let event = normalized("sshd[9]: pam_unix: something of no service");
        assert_eq!(event["class_uid"], 6002);
    }

    #[test]
    fn further_failures_are_counted() {
        let fields = "logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root";
        let event = normalized(&format!("sshd[9]: PAM 5 more authentication failures; {fields}"));
        assert_eq!(event["count"], 5);
        assert_eq!(event["user"]["name"], "root");
        let event = normalized(&format!("login[9]: pam_unix(login:auth): 1 more authentication failure; {fields}"));
        assert_eq!((&event["type_uid"], &event["count"]), (&300_201.into(), &1.into()));
    }

    #[test]
    fn sessions_open_and_close() {
        let event = normalized("cron[9]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)");
        assert_eq!(event["type_uid"], 300_201);
        assert_eq!(event["status_id"], 1);
        assert_eq!(event["user"], serde_json::json!({"name": "root", "uid": "0"}));
        assert_eq!(event["actor"]["user"], serde_json::json!({"uid": "0"}));
        assert_eq!(normalized("cron[9]: pam_unix(cron:session): session closed for user root")["type_uid"], 300_202);
    }

    #[test]
    fn su_and_sudo_switch_accounts() {
        let event = normalized("su[9]: pam_unix(su-l:session): session opened for user root(uid=0) by bob(uid=1000)");
        assert_eq!(event["type_uid"], 300_207);
        assert_eq!(event["account_switch_type_id"], 1);
        assert_eq!(event["actor"]["user"], serde_json::json!({"name": "bob", "uid": "1000"}));
        let fields = "logname=bob uid=1000 euid=0 tty=/dev/pts/1 ruser=bob rhost=  user=bob";
        let event = normalized(&format!("sudo: pam_unix(sudo:auth): authentication failure; {fields}"));
        assert_eq!(event["type_uid"], 300_207);
        assert_eq!(event["status_id"], 2);
        assert_eq!(event["actor"]["user"], serde_json::json!({"name": "bob", "uid": "1000"}));
        assert!(event.get("src_endpoint").is_none());
    }

    #[test]
    fn locks_and_refusals_of_other_modules_are_read() {
        let locked = "Consecutive login failures for user bob account temporarily locked";
        let event = normalized(&format!("sshd[9]: pam_faillock(sshd:auth): {locked}"));
        assert_eq!(event["type_uid"], 300_109);
        assert_eq!(event["user"]["name"], "bob");
        let event = normalized("sudo: pam_tally2(sudo:auth): user bob (1000) tally 9, deny 8");
        assert_eq!(event["type_uid"], 300_207);
        assert_eq!(event["status_id"], 2);
        let event = normalized("x[9]: pam_sss(x:auth): received for user bob: 7 (Authentication failure)");
        assert_eq!(event["status_detail"], "7 (Authentication failure)");
        let event = normalized("PAM_pwdb[9]: authentication failure; eve(uid=500) -> root for su service");
        assert_eq!(event["type_uid"], 300_207);
        assert_eq!(event["user"]["name"], "root");
        assert_eq!(event["actor"]["user"]["name"], "eve");
    }

    #[test]
    fn what_modules_say_of_themselves_is_a_report_or_an_error() {
        let event = normalized("x[9]: pam_env(x:session): deprecated reading of user environment enabled");
        assert_eq!((&event["type_uid"], &event["app"]["name"]), (&600_299.into(), &"pam_env".into()));
        let event = normalized("sshd[9]: pam_limits(sshd:session): Could not set limit for 'nofile'");
        assert_eq!((&event["type_uid"], &event["status_id"]), (&600_801.into(), &2.into()));
        let event = normalized("passwd[9]: pam_sss(passwd:chauthtok): Password change failed for user bob: 20 (x)");
        assert_eq!((&event["type_uid"], &event["user"]["name"]), (&300_103.into(), &"bob".into()));
        let event = normalized("gdm-password]: gkr-pam: unlocked login keyring");
        assert_eq!((&event["type_uid"], &event["app"]["name"]), (&600_299.into(), &"pam_gnome_keyring".into()));
        let event = normalized("pam_winbind[9]: user 'bob' granted access");
        assert_eq!((&event["type_uid"], &event["user"]["name"]), (&300_201.into(), &"bob".into()));
    }
}
