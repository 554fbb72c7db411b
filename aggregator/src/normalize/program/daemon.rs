//! Daemons of the host that have no parser of their own: NetworkManager, chronyd, ntpd, the smaller ones of systemd, libvirtd,
//! smartd and the like. What they say is a report on their life (6002), or a fault (6008) where their words say so; a lease is
//! DHCP (4004), a module a kernel extension (1002), a killed group of processes kernel activity (1003), a failed DNSSEC check
//! DNS (4003), a link that comes or goes kernel activity too.
//!
//! Source: `nm-audit-manager.c`, `nm-dhcp-manager.c` of NetworkManager; `reference.c`, `sources.c` of chrony; `ntp_loopfilter.c`
//! of ntp; `timesyncd-manager.c`, `modules-load.c`, `oomd-util.c`, `resolved-dns-transaction.c`, `networkd-link.c` of systemd.

use super::super::endpoint::{ip, push_destination};
use super::super::outcome::{LOW, failure, success};
use super::super::remark::{life, remark, report};
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, level, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message of any of them.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim();
    let program = base_name(header.program);
    let specific = match program {
        "NetworkManager" => return manager(message, header, event),
        "chronyd" | "ntpd" | "systemd-timesyncd" | "ntpdate" => clock(program, message, event),
        "systemd-networkd" => link(message, event),
        "systemd-modules-load" => module(message, event),
        "systemd-oomd" => killed(message, event),
        "systemd-resolved" => unproven(message, header, event),
        _ => false,
    };
    specific || spoken(program, message, event)
}

/// A start, an end, a fault or a report.
fn spoken<'a>(program: &'a str, message: &'a str, event: &mut Event<'a>) -> bool {
    const FAULTS: [&str; 16] = [
        "rror:",
        "error ",
        "rror reading",
        "ailed",
        "ailure",
        "annot ",
        "an't ",
        "ould not ",
        "ouldn't ",
        "enied",
        "imed out",
        "FAILED",
        "ERROR: ",
        "Fail event",
        "Degraded",
        "abnormal code",
    ];
    // `chronyd version 4.3 starting`, `ntpd 4.2.8p15@1.3728-o … (1): Starting`
    if message.starts_with("Starting up")
        || message.ends_with(" starting")
        || message.contains(" starting (")
        || message.ends_with(": Starting")
    {
        return life(program, 3, event);
    }
    if message.ends_with(" exiting") || message.starts_with("exiting on signal") || message.starts_with("Shutting down")
    {
        return life(program, 4, event);
    }
    if FAULTS.iter().any(|mark| message.contains(mark)) {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        event.push(Attribute::ActorAppName, program);
        failure(event, message);
        return true;
    }
    remark(program, message, event)
}

/// `<info>  [1773651600.1234] device (eth0): …`: a level and the daemon's own clock, then its message.
fn manager<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let mut text = message;
    if let Some((stated, rest)) = text.strip_prefix('<').and_then(|rest| cut(rest, ">")) {
        if let Some(severity) = level(stated) {
            event.push(Attribute::MetadataLogLevel, stated);
            event.severity_id = severity;
        }
        text = rest.trim_start();
    }
    if let Some((_, rest)) = text.strip_prefix('[').and_then(|rest| cut(rest, "]")) {
        text = rest.trim_start();
    }
    if let Some(fields) = text.strip_prefix("audit: ") {
        return audited(fields, event);
    }
    if let Some((interface, rest)) =
        cut(text, " (").and_then(|(kind, rest)| kind.starts_with("dhcp").then_some(rest)?.split_once(')'))
        && let Some((_, address)) = cut(rest, "address=")
        && let Some(address) = ip(word(address).0.trim_end_matches(','))
    {
        event.class = Class::DhcpActivity;
        event.activity_id = 5;
        event.push(Attribute::SrcEndpointIp, address);
        event.push(Attribute::SrcEndpointHostname, header.this_host());
        event.push(Attribute::SrcEndpointInterfaceName, interface);
        success(event);
        return true;
    }
    spoken("NetworkManager", text, event)
}

/// `op="connection-update" uuid="…" name="Wired" args="ipv4.dns" pid=7 uid=1000 result="fail" reason="Not authorized"`.
fn audited<'a>(fields: &'a str, event: &mut Event<'a>) -> bool {
    let value = |key: &str| {
        let (_, rest) = cut(fields, key)?;
        Some(match rest.strip_prefix('"') {
            Some(quoted) => cut(quoted, "\"").map_or(quoted, |(value, _)| value),
            None => word(rest).0,
        })
    };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, value("op=").unwrap_or("audit"));
    event.push(Attribute::AppName, "NetworkManager");
    if let Some(uid) = value(" uid=") {
        event.push(Attribute::ActorUserUid, uid);
    }
    for (key, mark) in [("connection", " name="), ("uuid", " uuid="), ("arguments", " args="), ("pid", " pid=")] {
        if let Some(value) = value(mark) {
            event.unmap(key, value);
        }
    }
    match value("result=") {
        Some("success") => success(event),
        _ => failure(event, value("reason=").unwrap_or_default()),
    }
    true
}

/// A clock that is set, and the server it is set by: `System clock was stepped by 1.2 seconds`, `Selected source 192.0.2.1 (name)`,
/// `time reset +0.5 s`, `synchronized to 192.0.2.1, stratum 2`, `Contacted time server 192.0.2.1:123 (name).`
fn clock<'a>(program: &'a str, message: &'a str, event: &mut Event<'a>) -> bool {
    const STEPS: [&str; 6] = [
        "clock was stepped by ",
        "clock wrong by ",
        "time reset ",
        "step time server ",
        "Initial clock synchronization to ",
        "clock_step ",
    ];
    const SERVERS: [&str; 7] = [
        "Selected source ",
        "synchronized to ",
        "Contacted time server ",
        "Synchronized to time server ",
        "Timed out waiting for reply from ",
        "Received KoD RATE from ",
        "Soliciting pool server ",
    ];
    if let Some((_, by)) = STEPS.iter().find_map(|mark| cut(message, mark)) {
        event.class = Class::ApplicationLifecycle;
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Clock Set");
        event.push(Attribute::AppName, program);
        event.push(Attribute::StatusDetail, message);
        event.unmap("by", by);
        event.severity_id = event.severity_id.max(LOW);
        event.push(Attribute::Status, "Success");
        event.push(Attribute::StatusId, 1);
        return true;
    }
    let Some(rest) = SERVERS.iter().find_map(|start| message.strip_prefix(start)) else { return false };
    let server = word(rest).0.trim_end_matches([',', '.']);
    let server = ip(server).unwrap_or_else(|| server.rsplit_once(':').map_or(server, |(host, _)| host));
    event.unmap("server", server);
    if message.starts_with("Timed out") {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        event.push(Attribute::ActorAppName, program);
        failure(event, message);
        return true;
    }
    report(program, event)
}

/// networkd: `eth0: Gained carrier`, `eth0: Lost carrier`, `eth0: Link UP`, `eth0: Link DOWN`.
fn link<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((interface, what)) = cut(message, ": ") else { return false };
    let state = match what {
        "Gained carrier" | "Link UP" => "Link Up",
        "Lost carrier" | "Link DOWN" => "Link Down",
        _ => return false,
    };
    event.class = Class::KernelActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, state);
    event.push(Attribute::KernelName, "network link");
    event.push(Attribute::KernelTypeId, 0);
    event.push(Attribute::ActorAppName, "systemd-networkd");
    event.unmap("interface", interface);
    true
}

/// `Inserted module 'x'`, `Failed to insert module 'x': …`, `Failed to find module 'x'`, `Module 'x' is built in`.
fn module<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((name, _)) = between(message, "module '", "'") else { return false };
    event.class = Class::KernelExtensionActivity;
    event.activity_id = 1;
    event.push(Attribute::DriverFileName, name);
    event.push(Attribute::DriverFileTypeId, 1);
    event.push(Attribute::ActorAppName, "systemd-modules-load");
    if message.starts_with("Inserted") {
        success(event);
    } else {
        failure(event, message);
    }
    true
}

/// `Killed /system.slice/x.service due to memory pressure for …`.
fn killed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((group, reason)) = message.strip_prefix("Killed ").and_then(|rest| cut(rest, " due to ")) else {
        return false;
    };
    event.class = Class::KernelActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, "OOM Kill");
    event.push(Attribute::KernelName, "systemd-oomd");
    event.push(Attribute::KernelTypeId, 0);
    event.push(Attribute::ActorAppName, "systemd-oomd");
    event.unmap("cgroup", group);
    failure(event, reason);
    // As the kernel's own killer.
    event.severity_id = event.severity_id.max(4);
    true
}

/// `DNSSEC validation failed for question example.com IN A: no-signature`.
fn unproven<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = message.strip_prefix("DNSSEC validation failed for question ") else { return false };
    let Some((question, reason)) = cut(rest, ": ") else { return false };
    let mut words = question.split(' ');
    let (Some(name), Some(class), Some(kind)) = (words.next(), words.next(), words.next()) else { return false };
    if !push_destination(event, header.this_host(), None) {
        return false;
    }
    event.class = Class::DnsActivity;
    event.activity_id = 2;
    event.push(Attribute::QueryHostname, name);
    event.push(Attribute::QueryClass, class);
    event.push(Attribute::QueryType, kind);
    failure(event, reason);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn daemons_speak_by_what_they_say() {
        for (message, kind, status) in [
            ("chronyd[9]: chronyd version 4.3 starting (+CMDMON)", 600_203, 1),
            ("chronyd[9]: chronyd exiting", 600_204, 1),
            ("chronyd[9]: System clock was stepped by 1.2 seconds", 600_299, 1),
            ("ntpd[9]: ntpd 4.2.8p15@1.3728-o (1): Starting", 600_203, 1),
            ("NetworkManager[9]: <info>  [1.5] dhcp4 (eth0): state changed new lease, address=192.0.2.1", 400_405, 1),
            ("NetworkManager[9]: <info>  [1.5] device (eth0): Activation: successful, device activated.", 600_299, 1),
            (
                "NetworkManager[9]: <info>  [1.5] audit: op=\"connection-activate\" name=\"a\" uid=0 result=\"success\"",
                600_299,
                1,
            ),
            ("NetworkManager[9]: <warn>  [1.5] dhcp4 (eth0): request timed out", 600_801, 2),
            ("systemd-modules-load[9]: Inserted module 'br_netfilter'", 100_201, 1),
            ("systemd-modules-load[9]: Failed to find module 'x'", 100_201, 2),
            ("systemd-oomd[9]: Killed /a.slice due to memory pressure for /a.slice being 60% > 50%", 100_399, 2),
            ("systemd-resolved[9]: DNSSEC validation failed for question example.com IN A: no-signature", 400_302, 2),
            ("systemd-timesyncd[9]: Contacted time server 192.0.2.1:123 (ntp.example.com).", 600_299, 1),
            ("systemd-tmpfiles[9]: Failed to create file /x: Permission denied", 600_801, 2),
            ("smartd[9]: Device: /dev/sda, opened", 600_299, 1),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&kind.into(), &status.into()), "{message}");
        }
        let event = normalized("Mar 16 10:00:00 h systemd-timesyncd[9]: Contacted time server 192.0.2.1:123 (x).");
        assert_eq!(event["unmapped"]["server"], "192.0.2.1");
        let event = normalized("Mar 16 10:00:00 h systemd-networkd[9]: eth0: Lost carrier");
        assert_eq!((&event["class_uid"], &event["activity_name"]), (&1003.into(), &"Link Down".into()));
    }
}
