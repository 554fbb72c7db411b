//! What a server says of itself and of nobody else: from a warning on an error of the application (6008), else a report on
//! its life (6002, activity `Report`).
//!
//! In: a message that is known to be the server's and that no parser has a better class for. Out: the event's class, with
//! the server's name. Invariant: what was pushed before is kept, so a parser asks here last.

use std::borrow::Cow;

use super::outcome::{LOW, failure, success};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Weighs a message by the event's severity; always true.
pub(super) fn remark<'a>(name: &'a str, text: &'a str, event: &mut Event<'a>) -> bool {
    if event.severity_id < LOW {
        return report(name, event);
    }
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.push(Attribute::ActorAppName, name);
    failure(event, text);
    true
}

/// What a program says whose log is for anybody to read: a warning or an error, or, where the program or its part is named, a
/// report; else it stays a base event.
pub(super) fn spoken<'a>(name: Option<Cow<'a, str>>, reason: Option<Cow<'a, str>>, event: &mut Event<'a>) {
    if event.severity_id >= LOW {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        if let Some(name) = name {
            event.push(Attribute::ActorAppName, name);
        }
        failure(event, reason.unwrap_or_default());
    } else {
        if let Some(name) = name {
            report(name, event);
        }
        if let Some(reason) = reason {
            event.unmap("error", reason);
        }
    }
}

/// A report on the server's life; always true.
pub(super) fn report<'a>(name: impl Into<Cow<'a, str>>, event: &mut Event<'a>) -> bool {
    event.class = Class::ApplicationLifecycle;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, "Report");
    event.push(Attribute::AppName, name.into());
    success(event);
    true
}

/// A server that starts (3), stops (4), starts anew (5) or lets a part of itself run (6); always true.
pub(super) fn life<'a>(name: impl Into<Cow<'a, str>>, activity: u8, event: &mut Event<'a>) -> bool {
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    let word = match activity {
        3 => "Start",
        4 => "Stop",
        5 => "Restart",
        _ => "Enable",
    };
    event.push(Attribute::ActivityName, word);
    event.push(Attribute::AppName, name.into());
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn what_servers_say_of_themselves_has_a_class_by_its_weight() {
        for (line, kind, name) in [
            ("Mar 16 10:00:00 ns named[9]: zone example.com/IN: loaded serial 7", 600_299, "named"),
            ("16-Mar-2026 10:00:00.123 dnssec: warning: managed-keys-zone: Unable to fetch DNSKEY", 600_801, "named"),
            ("[1773653400] unbound[9:0] notice: init module 0: validator", 600_299, "unbound"),
            ("Mar 16 10:00:00 gw dnsmasq[9]: using nameserver 198.51.100.53#53", 600_299, "dnsmasq"),
            ("Mar 16 10:00:00 gw dnsmasq-dhcp[9]: 77 vendor class: MSFT 5.0", 600_299, "dnsmasq-dhcp"),
            ("Mar 16 10:00:00 gw dhcpd[9]: Wrote 12 leases to leases file.", 600_299, "dhcpd"),
            (
                "2026-03-16 10:00:00.123 INFO  [kea-dhcp4.commands/9.1] COMMAND_RECEIVED Received command",
                600_299,
                "kea",
            ),
            ("Mar 16 10:00:00 mx postfix/scache[9]: statistics: domain lookup hits=0 miss=1", 600_299, "postfix"),
            (
                "Mar 16 10:00:00 mx postfix/smtpd[9]: warning: database /etc/a.db is older than source",
                600_801,
                "postfix",
            ),
            ("Mar 16 10:00:00 mx dovecot: auth: Warning: auth client 0 disconnected", 600_801, "dovecot"),
            ("Mar 16 10:00:00 lb haproxy[9]: [NOTICE]   (9) : New worker (10) forked", 600_299, "haproxy"),
            ("[ALERT] 074/100000 (9) : Starting frontend web: cannot bind socket", 600_801, "haproxy"),
            ("2026/03/16 10:00:00 kid1| Logfile: closing log stdio:/var/log/squid/access.log", 600_299, "squid"),
            ("2026-03-16 10:00:00,123 fail2ban.filter [9]: INFO      maxRetry: 5", 600_299, "fail2ban"),
            ("2026-03-16 10:00:00,123 fail2ban [9]: ERROR   NOK: ('x',)", 600_801, "fail2ban"),
            ("2026-03-16T10:00:00+0000 DDEBUG timer: config: 3 ms", 600_299, "dnf"),
            ("2026-03-16 10:00:00 TUN/TAP device tun0 opened", 600_299, "openvpn"),
            (
                "2026-03-16T09:00:00.1Z 1 [System] [MY-013576] [InnoDB] InnoDB initialization has started.",
                600_299,
                "mysqld",
            ),
            ("2026-03-16 10:00:00.123 UTC [9] LOG:  checkpoint starting: time", 600_299, "postgresql"),
            (
                "Mar 16 10:00:00 ftp proftpd[9]: 127.0.0.1 (h.example.net[192.0.2.7]) - Preparing to chroot",
                600_299,
                "proftpd",
            ),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], kind, "{line}");
            let said = if kind == 600_299 { &event["app"]["name"] } else { &event["actor"]["app_name"] };
            assert_eq!(said, name, "{line}");
        }
    }
}
