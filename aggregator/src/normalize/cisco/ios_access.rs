//! IOS: logons, SSH, 802.1X, commands, changes of configuration, logging that starts and stops.
//!
//! Source: Cisco IOS System Message Guide, facilities SEC_LOGIN, SYS, PARSER, SSH, AUTHMGR, DOT1X, MAB, AAA.

use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::text::{between, cut, number, port, unquoted, word};
use super::{Mnemonic, after, asa, ios};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message about somebody who came, went or changed something.
pub(super) fn parse<'a>(message: &'a str, mnemonic: &Mnemonic<'a>, event: &mut Event<'a>) -> bool {
    match (mnemonic.facility, mnemonic.name) {
        ("SEC_LOGIN", _) => login(message, event),
        ("SYS", "CONFIG_I" | "CONFIG" | "CONFIG_R") => configured(message, event),
        ("VSHD", "VSHD_SYSLOG_CONFIG_I") => configured(message, event),
        ("AUTHPRIV" | "DAEMON", "SYSTEM_MSG") => refused(message, event),
        ("AAA", "AAA_ACCOUNTING_MESSAGE") => accounted(message, event),
        ("SYS", "PRIV_AUTH_PASS" | "PRIV_AUTH_FAIL") => privilege(message, mnemonic.name == "PRIV_AUTH_PASS", event),
        ("SYS", "LOGOUT" | "LOGOUT_C6K") => logout(message, event),
        ("SYS", "TTY_EXPIRE_TIMER") => expired(message, event),
        ("SYS", "LOGGINGHOST_STARTSTOP") => logging(message, event),
        ("SYS", "RESTART" | "RELOAD" | "BOOTTIME") => restarted(message, mnemonic.name, event),
        ("PARSER" | "HA_EM" | "AAA", _) if message.contains("ommand:") => command(message, event),
        ("SSH", _) => ssh(message, event),
        ("AUTHMGR" | "DOT1X" | "MAB" | "SESSION_MGR" | "AUTHMGR_SPI", _) => {
            port_access(message, mnemonic.facility, event)
        }
        _ => false,
    }
}

fn logon<'a>(event: &mut Event<'a>, user: &'a str, service: &'a str, activity: u8) {
    event.class = Class::Authentication;
    event.activity_id = activity;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, service);
}

/// `Login failed [user: u] [Source: A] [localport: 22] [Reason: r] at …`.
fn login<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let field = |open| between(message, open, "]").map(|(value, _)| value.trim());
    let Some(user) = field("[user:") else { return false };
    let local = field("[localport:").and_then(port);
    logon(
        event,
        user,
        match local {
            Some(22) => "ssh",
            Some(23) => "telnet",
            Some(80) => "http",
            Some(443) => "https",
            _ => "login",
        },
        1,
    );
    if let Some(source) = field("[Source:") {
        push_source(event, source, None);
    }
    event.push(Attribute::LogonTypeId, 10);
    event.push(Attribute::IsRemote, true);
    if let Some(local) = local {
        event.unmap("dst_port", local);
    }
    if message.contains("uccess") {
        success(event)
    } else {
        failure(event, field("[Reason:").unwrap_or_default())
    }
    true
}

/// NX-OS: `pam_aaa:Authentication failed for user u from A - sshd[9]`, `error: PAM: Authentication failure for u from A - dcos_sshd[9]`,
/// `Login failed for user u - sshd[9]`.
fn refused<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let failed = cut(message, "uthentication fail").or_else(|| cut(message, "ogin failed"));
    let Some((_, tail)) = failed else { return false };
    let (user, rest) = match cut(tail, " for ") {
        Some((_, rest)) => {
            let rest = rest.strip_prefix("illegal ").unwrap_or(rest);
            word(rest.strip_prefix("user ").unwrap_or(rest))
        }
        // `pam_aaa:Authentication failed from A - sshd[9]`: of nobody that it knows.
        None => match cut(tail, " from ") {
            Some(_) => ("", word(tail).1),
            None => return false,
        },
    };
    let service = rest.rsplit_once(" - ").map(|(_, service)| service).or_else(|| rest.strip_prefix("- "));
    let service = service.map_or("login", |service| service.split('[').next().unwrap_or(service));
    logon(event, user, service, 1);
    if let Some(source) = rest.strip_prefix("from ") {
        push_source(event, word(source).0, None);
    }
    event.push(Attribute::IsRemote, true);
    failure(event, "authentication failure");
    true
}

/// NX-OS: `start:A@pts/0:u:`, `update:A@pts/0:u:configure terminal (SUCCESS)`, `stop:A@pts/0:u:reason`.
fn accounted<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((kind, rest)) = message.split_once(':') else { return false };
    // An address of version 6 has colons too: the terminal ends it.
    let (place, rest) = match cut(rest, "@").and_then(|(address, rest)| Some((address, rest.split_once(':')?))) {
        Some((address, (terminal, rest))) => ((address, terminal), rest),
        None => match rest.split_once(':') {
            Some((terminal, rest)) => (("", terminal), rest),
            None => return false,
        },
    };
    let (address, terminal) = place;
    let Some((user, text)) = rest.split_once(':') else { return false };
    match kind {
        "update" => {
            let (command, outcome) = text.rsplit_once(" (").unwrap_or((text, ""));
            asa::executed(event, user, command);
            event.push(Attribute::ActorSessionTerminal, terminal);
            if let Some(address) = endpoint::ip(address) {
                event.unmap("src_ip", address);
            }
            if outcome.starts_with("FAIL") {
                failure(event, outcome.trim_end_matches(')'));
            } else {
                success(event);
            }
        }
        "start" | "stop" => {
            logon(event, user, "exec", if kind == "start" { 1 } else { 2 });
            event.push(Attribute::SessionTerminal, terminal);
            push_source(event, address, None);
            success(event);
        }
        _ => return false,
    }
    true
}

/// `… by u on vty0 (A)`: user, terminal, address.
fn who(message: &str) -> Option<(&str, Option<&str>, Option<&str>)> {
    let (user, rest) = cut(message, " by ").map(|(_, rest)| word(rest))?;
    let terminal = rest.strip_prefix("on ").map(|rest| word(rest).0);
    // NX-OS: `on A@pts/0`.
    if let Some((address, terminal)) = terminal.and_then(|terminal| terminal.split_once('@')) {
        return Some((user, Some(terminal), endpoint::ip(address)));
    }
    let address = between(rest, "(", ")").and_then(|(address, _)| endpoint::ip(address));
    // Without a logon the terminal stands in the user's place: `by vty2 (A)`, `by console`.
    if terminal.is_none() && is_line(user) {
        return Some(("", Some(user), address));
    }
    Some((user, terminal, address))
}

/// Whether a word is the name of a terminal line.
fn is_line(word: &str) -> bool {
    let number_of = |line| word.strip_prefix(line).is_some_and(|rest| number(rest).is_some());
    word == "console" || number_of("vty") || number_of("tty")
}

/// `Configured from console by u on vty0 (A)`.
pub(super) fn configured<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((user, terminal, address)) = who(message) else { return false };
    event.class = Class::DeviceConfigStateChange;
    event.activity_id = 1;
    if !user.is_empty() {
        event.push(Attribute::ActorUserName, user);
    }
    if let Some(terminal) = terminal {
        event.push(Attribute::ActorSessionTerminal, terminal);
    }
    if let Some(address) = address {
        event.unmap("src_ip", address);
    }
    if let Some(source) = after(message, "from ") {
        event.unmap("config_source", source);
    }
    success(event);
    true
}

/// `Privilege level set to 15 by u on vty0 (A)`, `Authentication to privilege level 15 failed by u on vty0 (A)`.
fn privilege<'a>(message: &'a str, passed: bool, event: &mut Event<'a>) -> bool {
    let Some((user, terminal, address)) = who(message) else { return false };
    logon(event, user, "enable", 7);
    if let Some(terminal) = terminal {
        event.push(Attribute::SessionTerminal, terminal);
    }
    if let Some(address) = address {
        push_source(event, address, None);
    }
    if let Some(level) = after(message, "set to ").or_else(|| after(message, "privilege level ")) {
        event.unmap("privilege", level);
    }
    if passed {
        success(event)
    } else {
        failure(event, "authentication failed")
    }
    true
}

/// `User u has exited tty session 2(A)`.
fn logout<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((user, rest)) = message.strip_prefix("User ").map(word) else { return false };
    logon(event, user, "exec", 2);
    if let Some((session, address)) = cut(rest, "session ").and_then(|(_, rest)| cut(rest, "(")) {
        event.push(Attribute::SessionTerminal, session.trim());
        push_source(event, address.trim_end_matches(')'), None);
    }
    success(event);
    true
}

/// `(exec timer expired, tty 2 (A)), user u`.
fn expired<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(user) = after(message, "), user ") else { return false };
    logon(event, user, "exec", 2);
    if let Some((terminal, rest)) = cut(message, "tty ").and_then(|(_, rest)| cut(rest, " (")) {
        event.push(Attribute::SessionTerminal, terminal);
        push_source(event, rest.split(')').next().unwrap_or(rest), None);
    }
    success(event);
    true
}

/// `Logging to host A port 514 started|stopped - CLI initiated`.
fn logging<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(host) = after(message, "host ") else { return false };
    event.class = Class::EventLogActivity;
    event.activity_id = if message.contains("stopped") { 7 } else { 6 };
    push_destination(event, host, after(message, "port ").and_then(port));
    event.push(Attribute::LogName, "syslog");
    success(event);
    true
}

/// `System restarted --`; `Reload requested by u on vty0 (A). Reload Reason: r.`.
fn restarted<'a>(message: &'a str, name: &str, event: &mut Event<'a>) -> bool {
    event.class = Class::ApplicationLifecycle;
    event.activity_id = if name == "RELOAD" { 5 } else { 3 };
    event.push(Attribute::AppName, "IOS");
    event.push(Attribute::AppVendorName, "Cisco");
    if let Some(user) = after(message, "requested by ") {
        event.push(Attribute::ActorUserName, user.trim_end_matches('.'));
    }
    if let Some(from) = between(message, " (", ")").and_then(|(from, _)| endpoint::ip(from)) {
        event.unmap("src_ip", from);
    }
    success(event);
    true
}

/// `User:u  logged command:show run`.
fn command<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((user, rest)) = cut(message, "ser:").map(|(_, rest)| word(rest.trim_start())) else { return false };
    let Some((_, command)) = cut(rest, "ommand:") else { return false };
    asa::executed(event, user, command.trim());
    success(event);
    true
}

/// `SSH2 Session request from A (tty = 0) using crypto cipher 'c', hmac 'h' Succeeded`, `User 'u' authentication for SSH2 Session from A …`,
/// `SSH2 Session from A (tty = 0) for user 'u' using … closed`.
fn ssh<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(source) = after(message, "from ") else { return false };
    let user = between(message, "ser '", "'").map(|(user, _)| user);
    let failed = cut(message, "ailed").is_some();
    if let Some(user) = user.filter(|_| message.starts_with("User ")) {
        logon(event, user, "ssh", 1);
        event.push(Attribute::LogonTypeId, 10);
    } else {
        event.class = Class::SshActivity;
        event.activity_id = if failed {
            4
        } else if message.trim_end().ends_with("closed") {
            2
        } else {
            1
        };
        if let Some(user) = user {
            event.push(Attribute::ActorUserName, user);
        }
        event.push(Attribute::AppProtocolName, "ssh");
    }
    let known = push_source(event, source, None);
    if let Some((cipher, _)) = between(message, "cipher '", "'") {
        event.unmap("cipher", cipher);
    }
    if let Some(tty) = between(message, "tty = ", ")").and_then(|(tty, _)| number(tty)) {
        event.unmap("tty", tty);
    }
    if failed {
        failure(event, "")
    } else {
        success(event)
    }
    known
}

/// `Authorization succeeded for client (0011.2233.4455) on Interface Gi1/0/1 AuditSessionID X [Username: u]`.
fn port_access<'a>(message: &'a str, facility: &'a str, event: &mut Event<'a>) -> bool {
    let Some((client, _)) = between(message, "client (", ")") else { return false };
    let user = after(message, "sername: ").or_else(|| after(message, "sername ")).map_or(client, unquoted);
    logon(event, user, facility, 1);
    if let Some(mac) = ios::colons(client) {
        event.unmap("src_mac", mac);
    }
    if let Some(interface) = after(message, "nterface ") {
        event.unmap("interface", interface);
    }
    if let Some(session) = after(message, "AuditSessionID ") {
        event.push(Attribute::SessionUid, session.trim_end_matches('.'));
    }
    if message.contains("ailed") || message.contains("FAIL") || message.contains("violation") {
        failure(event, message.split(" for client").next().unwrap_or_default());
    } else {
        success(event);
    }
    true
}
