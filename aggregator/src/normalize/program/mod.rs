//! What programs say in syslog: one file for each program or family, one line in [`parse`].
//!
//! In: the message and its header. Out: the class and fields of what it means; a message that no parser
//! knows stays a base event with its program, process and time.

mod account;
mod ansible;
mod charon;
mod checkpoint;
mod cron;
mod daemon;
mod dbus;
mod dhcp;
mod dns;
mod doas;
mod dovecot;
mod dropbear;
mod exim;
mod filterlog;
mod finding;
mod ftp;
mod haproxy;
mod junos;
mod kerberos;
mod kernel;
mod ldap;
mod log_service;
mod login;
mod logind;
mod logon;
mod mail_filter;
mod opensmtpd;
mod openvpn;
mod pam;
mod podman;
mod polkit;
mod postfix;
mod remote;
mod routeros;
mod run;
mod samba;
mod sendmail;
mod sshd;
mod su;
mod sudo;
mod systemd;
mod vsftpd;

use std::borrow::Cow;
use std::sync::LazyLock;

use super::database::mysql;
use super::outcome::LOW;
use super::remark::remark;
use super::syslog::Header;
use super::text::{base_name, cut, number};
use super::{asterisk, attempt, carried, cisco, combined, fail2ban, falco, logon_words, package, snort, squid};
pub(super) use account::is_userlog;
pub(super) use dhcp::kea::{looks as kea_looks, parse_line as kea_line};
pub(super) use dns::bind::{looks as bind_looks, parse_line as bind_line};
pub(super) use dns::unbound::{looks as unbound_looks, parse_line as unbound_line};
pub(super) use dovecot::{looks as dovecot_looks, parse_line as dovecot_line};
pub(super) use exim::{looks as exim_looks, parse_line as exim_line};
pub(super) use haproxy::{looks as haproxy_looks, parse_line as haproxy_line};
pub(super) use openvpn::{looks as openvpn_looks, parse_line as openvpn_line};
pub(super) use routeros::parse as routeros_packet;
pub(super) use vsftpd::{looks as vsftpd_looks, parse_line as vsftpd_line};

use crate::event::Event;
use crate::schema::Attribute;

pub(super) use kernel::{behind_uptime, is_timed, iso_timed, looks as looks_kernel, parse_line as parse_kernel};

type Parser = for<'a> fn(&'a str, &Header<'a>, &mut Event<'a>) -> bool;

/// Programs and the parser of their own messages.
static PROGRAMS: &[(&[&str], Parser)] = &[
    (&["sshd", "sshd-session", "sshd-auth"], sshd::parse),
    (&["sftp-server", "internal-sftp"], sshd::parse_sftp),
    (&["dropbear"], dropbear::parse),
    (&["sudo", "sudoedit"], sudo::parse),
    (&["doas"], doas::parse),
    (&["pkexec", "polkitd", "polkit-agent-helper-1"], polkit::parse),
    (&["su", "runuser"], su::parse),
    (&["cron", "CRON", "crond", "CROND", "crontab", "anacron", "atd", "fcron", "fcrontab", "dcron", "at"], cron::parse),
    (&["run-parts"], cron::parse_parts),
    (
        &[
            "useradd",
            "adduser",
            "userdel",
            "usermod",
            "groupadd",
            "groupdel",
            "groupmod",
            "passwd",
            "gpasswd",
            "chpasswd",
            "chgpasswd",
            "chage",
            "chfn",
            "chsh",
            "newusers",
            "newgrp",
            "sg",
            "groupmems",
            "addgroup",
            "deluser",
            "delgroup",
        ],
        account::parse,
    ),
    (&["pw"], account::parse_userlog),
    (&["systemd-sysusers"], account::parse_sysusers),
    (&["accounts-daemon"], account::parse_accounts_daemon),
    (&["systemd-logind", "elogind", "elogind-daemon"], logind::parse),
    (&["login", "loginwindow", "gdm", "gdm-binary", "lightdm"], login::parse),
    (&["systemd"], systemd::parse),
    (&["init", "shutdown", "telinit"], systemd::parse_init),
    (
        &[
            "rsyslogd",
            "syslogd",
            "syslog-ng",
            "klogd",
            "systemd-journald",
            "systemd-journal",
            "journal",
            "logrotate",
            "newsyslog",
        ],
        log_service::parse,
    ),
    (&["dbus-daemon", "dbus", "dbus-broker", "dbus-broker-launch"], dbus::parse),
    (&["systemd-coredump"], systemd::parse_coredump),
    (&["xinetd"], remote::parse_xinetd),
    (
        &[
            "in.telnetd",
            "telnetd",
            "in.rshd",
            "rshd",
            "in.rlogind",
            "rlogind",
            "klogind",
            "kshd",
            "in.ftpd",
            "ftpd",
            "in.rexecd",
            "rexecd",
            "in.tftpd",
            "in.fingerd",
            "in.talkd",
            "inetd",
            "tcpd",
            "portmap",
            "rpcbind",
        ],
        remote::parse,
    ),
    (&["screensharingd"], remote::parse_screen_sharing),
    (&["pvedaemon", "pveproxy", "proxmox-backup-proxy", "proxmox-backup-api"], remote::parse_proxmox),
    (
        &[
            "fail2ban",
            "fail2ban-server",
            "fail2ban.actions",
            "fail2ban.filter",
            "fail2ban.jail",
            "fail2ban.server",
            "fail2ban.observer",
        ],
        fail2ban::parse_message,
    ),
    (&["falco"], falco::parse_message),
    (&["snort", "suricata", "barnyard2"], snort::parse_message),
    (&["yum", "dnf", "yum-cron", "dnf-automatic", "packagekitd"], package::rpm::parse_message),
    (&["kernel", "vmunix"], kernel::parse),
    (&["sandboxd"], kernel::parse_sandboxd),
    (&["audispd", "audisp-syslog", "auditd", "audit", "auditbeat"], kernel::audited),
    (&["pacman"], package::pacman::parse_message),
    (&["pkg", "pkg-static"], package::pkg::parse_message),
    (&["PackageKit"], package::kit::parse_message),
    (&["RPM"], package::kit::parse_plugin),
    (&["nginx", "apache", "apache2"], combined::parse_message),
    (&["httpd"], logon::parse_grid),
    (&["php-fpm", "php"], logon::parse_web_interface),
    (
        &[
            "dovecot",
            "imap-login",
            "pop3-login",
            "managesieve-login",
            "submission-login",
            "auth",
            "auth-worker",
            "dovecot-auth",
            "Info",
            "Warn",
            "Warning",
            "Error",
            "Fatal",
            "Panic",
        ],
        dovecot::parse,
    ),
    (&["exim", "exim4"], exim::parse),
    (&["sendmail", "sm-mta", "sm-acceptingconnections", "sm-msp-queue"], sendmail::parse),
    (&["vsftpd"], vsftpd::parse),
    (&["proftpd"], ftp::proftpd),
    (&["pure-ftpd"], ftp::pureftpd),
    (&["smtpd"], opensmtpd::parse),
    (&["openvpn"], openvpn::parse),
    (&["vpnserver"], openvpn::parse_served),
    (&["charon", "charon-systemd", "charon-nm", "ipsec"], charon::parse),
    (&["filterlog"], filterlog::parse),
    (&["squid", "squid-1"], squid::parse_message),
    (&["RT_FLOW", "RT_IDP", "RT_UTM", "RT_IDS", "RT_AAMW", "RT_SECINTEL"], junos::parse),
    (&["kmd", "iked", "mgd", "dot1xd", "mib2d", "snmpd"], junos::parse_daemon),
    (&["CheckPoint"], checkpoint::parse),
    (&["pdns", "pdns_server", "pdns_recursor", "pdns-recursor"], dns::powerdns::parse),
    (&["haproxy"], haproxy::parse),
    (&["named", "infoblox-responses"], dns::bind::parse),
    (&["dnsmasq"], dns::dnsmasq::parse),
    (&["unbound"], dns::unbound::parse),
    (&["dnsmasq-tftp"], dns::dnsmasq::parse_tftp),
    (
        &[
            "dnsmasq-dhcp",
            "dnsmasq-script",
            "dhcpd",
            "dhcpd3",
            "dhcpdv6",
            "dhclient",
            "dhcpcd",
            "udhcpd",
            "udhcpc",
            "dhcp6c",
            "systemd-networkd",
        ],
        dhcp::parse,
    ),
    (&["mysql-server_auditing"], mysql::parse_audited),
    (&["krb5kdc", "kadmind"], kerberos::parse),
    (&["slapd"], ldap::parse),
    (&["podman"], podman::parse),
    (&["smbd", "smb", "winbindd", "nmbd", "samba"], samba::parse),
    (&["smbd_audit"], samba::parse_audit),
    (&["asterisk"], asterisk::parse_message),
    (&["radiusd", "freeradius"], logon::parse_radius),
    (&["xrdp-sesman"], logon::parse_xrdp),
    (&["webmin", "usermin"], logon::parse_webmin),
    (&["saslauthd"], logon::parse_sasl),
    (&["uhttpd"], logon::parse_luci),
    (&["nslcd"], logon::parse_nslcd),
    (&["krb5_child", "ldap_child"], logon::parse_child),
    (&["rpc.mountd", "mountd"], remote::parse_mountd),
    (&["clamd", "clamonacc", "freshclam"], finding::parse_clamav),
    (&["rkhunter", "aide"], finding::parse_checker),
    (&["setroubleshoot"], finding::parse_setroubleshoot),
    (&["ossec", "wazuh"], finding::parse_ossec),
    (&["sshguard"], finding::parse_sshguard),
    (&["denyhosts"], finding::parse_denyhosts),
    (
        &[
            "NetworkManager",
            "chronyd",
            "ntpd",
            "ntpdate",
            "systemd-timesyncd",
            "systemd-modules-load",
            "systemd-oomd",
            "systemd-resolved",
            "systemd-udevd",
            "systemd-fsck",
            "systemd-tmpfiles",
            "systemd-sysctl",
            "systemd-hostnamed",
            "systemd-timedated",
            "systemd-machined",
            "systemd-homed",
            "systemd-cryptsetup",
            "systemd-shutdown",
            "systemd-sleep",
            "unattended-upgrade",
            "wpa_supplicant",
            "hostapd",
            "libvirtd",
            "virtqemud",
            "smartd",
            "mdadm",
            "snapd",
            "cupsd",
            "firewalld",
            "agetty",
            "sssd",
            "sssd_be",
            "automount",
            "keepalived",
            "Keepalived_vrrp",
            "puppet-agent",
            "cloud-init",
            "com.apple.xpc.launchd",
            "com.apple.launchd",
            "vmtoolsd",
            "qemu-ga",
            "cockpit-ws",
            "cockpit-tls",
            "nscd",
            "rtkit-daemon",
            "udisksd",
            "bluetoothd",
            "avahi-daemon",
            "multipathd",
            "iscsid",
            "irqbalance",
            "ModemManager",
            "gssproxy",
            "oddjobd",
            "tuned",
            "upowerd",
            "fwupd",
            "rpc.statd",
            "nm-dispatcher",
            "augenrules",
            "conmon",
        ],
        daemon::parse,
    ),
    (&["kea-dhcp4", "kea-dhcp6", "kea"], dhcp::kea::parse),
    (&["policyd-spf", "postgrey", "opendkim", "opendmarc", "amavis", "amavisd", "amavisd-new"], mail_filter::parse),
];

/// [`PROGRAMS`] by [`place`]: it is asked for each message.
static PARSERS: LazyLock<Vec<Vec<(&'static str, Parser)>>> = LazyLock::new(|| {
    let mut places = vec![Vec::new(); PLACES];
    for (names, parse) in PROGRAMS {
        for name in *names {
            places.get_mut(place(name)).into_iter().for_each(|place| place.push((*name, *parse)));
        }
    }
    places
});

/// How many places names are spread over: some more than there are names.
const PLACES: usize = 512;

/// Where a name stands: by its length and its ends, which tell most names apart. The names are ours: nobody can crowd a place.
fn place(program: &str) -> usize {
    let byte = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or(0));
    let (first, last) = (byte(program.as_bytes().first()), byte(program.as_bytes().last()));
    (program.len() * 15 + first * 17 + last * 43) % PLACES
}

/// The parser of a program's own messages.
fn parser(program: &str) -> Option<Parser> {
    let found = PARSERS.get(place(program))?.iter().find(|(name, _)| *name == program)?;
    Some(found.1)
}

/// The program that a message is by: the one of its header, else the one that the message itself begins with (`syslogd 1.4.1:
/// restart.`).
fn named<'a>(message: &'a str, header: &Header<'a>) -> &'a str {
    match header.program {
        "" if ["syslogd ", "klogd ", "-- MARK --"].iter().any(|start| message.starts_with(start)) => "syslogd",
        "" if message.trim_start_matches([':', ' ']).starts_with("AAA user ") => NAMELESS_ASA,
        _ if message.starts_with("last message repeated ") => "syslogd",
        program => program,
    }
}

/// Who sends the messages of an ASA whose mnemonic a relay has cut off: no program has such a name.
const NAMELESS_ASA: &str = "%ASA";

/// Whether a program sends lines of its other logs too: a web server those of its error log, time and all, Suricata its events.
fn speaks_lines(program: &str) -> bool {
    matches!(base_name(program), "nginx" | "httpd" | "apache" | "apache2" | "suricata")
}

/// Whether a name is one program's alone: what it says of itself and no parser knows better is a report of its own.
fn is_unmistakable(program: &str) -> bool {
    matches!(
        program,
        "sshd"
            | "sshd-session"
            | "sshd-auth"
            | "sftp-server"
            | "internal-sftp"
            | "dropbear"
            | "sudo"
            | "su"
            | "runuser"
            | "cron"
            | "CRON"
            | "crond"
            | "CROND"
            | "crontab"
            | "anacron"
            | "atd"
            | "fcron"
            | "useradd"
            | "userdel"
            | "usermod"
            | "groupadd"
            | "groupdel"
            | "groupmod"
            | "passwd"
            | "gpasswd"
            | "chpasswd"
            | "chage"
            | "chfn"
            | "chsh"
            | "newusers"
            | "newgrp"
            | "groupmems"
            | "addgroup"
            | "delgroup"
            | "deluser"
            | "auditd"
            | "audispd"
            | "login"
    )
}

/// What is left of what a program says of itself: by its severity, or by its first word, an error (6008), else a report (6002).
fn of_itself<'a>(program: &'a str, message: &'a str, event: &mut Event<'a>) -> bool {
    if message.is_empty() || !is_unmistakable(program) {
        return false;
    }
    weighed(message, event);
    remark(program, message, event)
}

/// Gives a message whose first word says that something went wrong the severity of that; whether it has at least that.
fn weighed(message: &str, event: &mut Event<'_>) -> bool {
    const TROUBLE: [&str; 10] =
        ["error", "fatal", "failed", "failure", "cannot", "can't", "could", "couldn't", "unable", "warning"];
    let first = message.split([' ', ':', ',']).next().unwrap_or_default();
    if TROUBLE.iter().any(|word| first.eq_ignore_ascii_case(word)) {
        event.severity_id = event.severity_id.max(LOW);
    }
    event.severity_id >= LOW
}

/// The parser of a program by its name and path; Postfix names the instance and service before the program.
fn own(program: &str) -> Option<Parser> {
    if program.starts_with("postfix")
        && !program.ends_with("/policyd-spf")
        && (program == "postfix" || program.as_bytes().contains(&b'/'))
    {
        return Some(postfix::parse);
    }
    if program.starts_with("ovpn-") || program.starts_with("openvpn") {
        return Some(openvpn::parse);
    }
    if program.starts_with("rsyslogd-") {
        return Some(log_service::parse);
    }
    if program == NAMELESS_ASA {
        return Some(|message, _, event| cisco::nameless(message, event));
    }
    if program.starts_with("ansible-") {
        return Some(ansible::parse);
    }
    parser(program).or_else(|| parser(base_name(program)))
}

/// Whether the program is one that is known by its name.
pub(super) fn is_known(program: &str) -> bool {
    own(program).is_some()
}

/// Reads a message; returns whether its program's parser, the parser of PAM, or, of a program that has none, a format that
/// syslog carries understood it.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (message, repeated) = match repeated(message) {
        Some((message, times)) => (message, Some(times)),
        None => (message, None),
    };
    let understood = attempt(pam::parse, message, header, event)
        || (message.is_empty() && attempt(junos::parse_structured, message, header, event))
        || match own(named(message, header)) {
            Some(parse) => {
                attempt(parse, message, header, event)
                    || (speaks_lines(header.program) && carried(Cow::Borrowed(message), &header.context, event))
                    || of_itself(base_name(header.program), message, event)
            }
            None => {
                attempt(systemd::parse_script, message, header, event) || {
                    // The mark that says that JSON follows (Common Event Expression, as rsyslog and journald know it).
                    let text = message.strip_prefix("@cee:").map_or(message, |text| text.trim_start_matches(' '));
                    attempt(kernel::parse_packet, message, header, event)
                        || carried(Cow::Borrowed(text), &header.context, event)
                }
            }
        };
    let understood =
        understood || logon_words::parse(message, base_name(header.program), event) || routeros::parse(message, event);
    if let Some(times) = repeated.filter(|_| understood) {
        event.set(Attribute::Count, times);
    }
    understood
}

/// rsyslog's `message repeated 5 times: [ Failed password for root … ]`: five more of the kind.
pub(super) fn repeated(message: &str) -> Option<(&str, i64)> {
    let (times, rest) = cut(message.strip_prefix("message repeated ")?, " times: [")?;
    Some((rest.strip_suffix(']').unwrap_or(rest).trim(), number(times)?))
}
