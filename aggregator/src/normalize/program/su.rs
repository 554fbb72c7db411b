//! su: somebody became somebody else, or tried to (3002, account switch).
//!
//! Source: `su-common.c` of util-linux, `su.c` of shadow, of BusyBox, of FreeBSD and of Solaris; AIX and IRIX as documented.

use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{cut, unquoted, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Who became whom, where, and whether it went well.
struct Switch<'a> {
    caller: &'a str,
    target: &'a str,
    terminal: &'a str,
    went_well: bool,
}

/// Reads a message of su.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    // RFC 5424 §6.5 prints the mark of UTF-8 before its example as the letters BOM, and so do tests made of it.
    let message = message.strip_prefix("BOM").unwrap_or(message).trim_end();
    let Some(switch) = switch(message) else { return false };
    event.class = Class::Authentication;
    event.activity_id = 7;
    event.push(Attribute::AccountSwitchTypeId, 1);
    event.push(Attribute::ServiceName, "su");
    event.push(Attribute::UserName, switch.target);
    if !switch.caller.is_empty() {
        event.push(Attribute::ActorUserName, switch.caller);
    }
    if !matches!(switch.terminal, "" | "none" | "???") {
        event.push(Attribute::SessionTerminal, switch.terminal);
    }
    if switch.went_well {
        success(event)
    } else {
        failure(event, "authentication failure")
    }
    true
}

fn switch(message: &str) -> Option<Switch<'_>> {
    let on = |text| cut(text, " on ").unwrap_or((text, ""));
    // util-linux: [FAILED SU ](to root) bob on pts/0
    let (rest, went_well) = match message.strip_prefix("FAILED SU ") {
        Some(rest) => (rest, false),
        None => (message, true),
    };
    if let Some((target, rest)) = rest.strip_prefix("(to ").and_then(|rest| cut(rest, ") ")) {
        let (caller, terminal) = on(rest);
        return Some(Switch { caller, target, terminal, went_well });
    }
    // shadow: Successful su for root by bob · FAILED su for root by bob
    for (start, went_well) in [("Successful su for ", true), ("FAILED su for ", false)] {
        if let Some((target, caller)) = message.strip_prefix(start).and_then(|rest| cut(rest, " by ")) {
            return Some(Switch { caller, target, terminal: "", went_well });
        }
    }
    // shadow, of what /etc/suauth forbids: DENIED su from 'bob' to 'root' (reason)
    if let Some((caller, rest)) = message.strip_prefix("DENIED su from ").and_then(|rest| cut(rest, " to ")) {
        let (caller, target) = (unquoted(caller), unquoted(word(rest).0));
        return Some(Switch { caller, target, terminal: "", went_well: false });
    }
    // shadow: + /dev/pts/0 bob:root · - /dev/pts/0 bob:root
    for (start, went_well) in [("+ ", true), ("- ", false)] {
        if let Some(rest) = message.strip_prefix(start) {
            let (terminal, who) = word(rest);
            let (caller, target) = who.split_once([':', '-'])?;
            return Some(Switch { caller, target, terminal, went_well });
        }
    }
    // AIX: [BAD SU ]from bob to root at /dev/pts/0 · IRIX: failed: ttyq4 changing from bob to root
    let (rest, went_well) = match message.strip_prefix("BAD SU ").or_else(|| message.strip_prefix("failed: ")) {
        Some(rest) => (rest, false),
        None => (message.strip_prefix("succeeded: ").unwrap_or(message), true),
    };
    let (terminal, rest) = cut(rest, " changing ").unwrap_or(("", rest));
    if let Some((caller, rest)) = rest.strip_prefix("from ").and_then(|rest| cut(rest, " to ")) {
        let (target, terminal) = cut(rest, " at ").unwrap_or((rest, terminal));
        return Some(Switch { caller, target, terminal, went_well });
    }
    // shadow: No passwd entry for user 'bob' · Authentication failed for bob
    for start in ["No passwd entry for user ", "Authentication failed for ", "pam_authenticate: ", "pam_acct_mgmt: "] {
        if let Some(target) = message.strip_prefix(start) {
            let target = if start.starts_with("pam_") { "" } else { unquoted(target) };
            return Some(Switch { caller: "", target, terminal: "", went_well: false });
        }
    }
    // BSD: BAD SU bob to root on /dev/ttyp0 · bob to root on /dev/ttyp0
    let (rest, went_well) = message.strip_prefix("BAD SU ").map_or((message, true), |rest| (rest, false));
    if let Some((caller, rest)) = cut(rest, " to ").filter(|(caller, _)| !caller.contains(' ')) {
        let (target, terminal) = cut(rest, " on ")?;
        return Some(Switch { caller, target, terminal, went_well });
    }
    // RFC 3164: 'su root' failed for bob on /dev/pts/8
    let (target, rest) = message.strip_prefix("'su ").and_then(|rest| cut(rest, "' "))?;
    let (verdict, who) = cut(rest, " for ")?;
    let (caller, terminal) = on(who);
    Some(Switch { caller, target: unquoted(target), terminal, went_well: verdict == "succeeded" })
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn every_dialect_says_who_became_whom() {
        for (message, status, terminal) in [
            ("(to root) bob on pts/0", 1, Some("pts/0")),
            ("(to root) bob on none", 1, None),
            ("FAILED SU (to root) bob on pts/0", 2, Some("pts/0")),
            ("Successful su for root by bob", 1, None),
            ("FAILED su for root by bob", 2, None),
            ("DENIED su from 'bob' to 'root' (not allowed)", 2, None),
            ("BOM'su root' failed for bob on /dev/pts/8", 2, Some("/dev/pts/8")),
            ("+ /dev/pts/0 bob:root", 1, Some("/dev/pts/0")),
            ("- pts/0 bob-root", 2, Some("pts/0")),
            ("BAD SU bob to root on /dev/ttyp0", 2, Some("/dev/ttyp0")),
            ("'su root' failed for bob on /dev/pts/8", 2, Some("/dev/pts/8")),
            ("'su root' succeeded for bob on /dev/pts/8", 1, Some("/dev/pts/8")),
            ("from bob to root at /dev/pts/0", 1, Some("/dev/pts/0")),
            ("BAD SU from bob to root at /dev/pts/0", 2, Some("/dev/pts/0")),
            ("failed: ttyq4 changing from bob to root", 2, Some("ttyq4")),
            ("bob to root on /dev/ttys000", 1, Some("/dev/ttys000")),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h su[9]: {message}"));
            assert_eq!(event["type_uid"], 300_207, "{message}");
            assert_eq!(event["status_id"], status, "{message}");
            assert_eq!(event["user"]["name"], "root", "{message}");
            assert_eq!(event["actor"]["user"]["name"], "bob", "{message}");
            assert_eq!(event["session"]["terminal"].as_str(), terminal, "{message}");
            assert_eq!(event["account_switch_type_id"], 1);
        }
        assert_eq!(normalized("Mar 16 10:00:00 h su[9]: something to do on time")["metadata"]["log_provider"], "su");
    }
}
