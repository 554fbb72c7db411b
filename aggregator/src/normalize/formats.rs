//! The registry of line formats: a format is a file here beside and a line in [`FORMATS`].

use std::sync::LazyLock;

use super::{
    Context, asterisk, audit, cef, cisco, combined, coredns, cri, database, dhcp_audit, elb, fail2ban, falco, fluentd,
    fortigate, glog, hclog, journald, json_lines, lighttpd, logfmt, modsecurity, package, panos, plain, program, snort,
    squid, syslog, w3c, web_error, windows_xml, zeek,
};
use crate::event::Event;

/// A line format.
pub(super) struct LineFormat {
    /// Its name in configuration.
    pub(super) name: &'static str,
    /// The first look of `auto`, at a few bytes: false where the line cannot be in this format.
    pub(super) looks: fn(&str) -> bool,
    /// Reads a line and says whether it understood; what it set before it said no is taken back.
    pub(super) parse: for<'a> fn(&'a str, &Context<'a>, &mut Event<'a>) -> bool,
    /// Whether the message of a syslog line, or the line inside a container's wrapper, may be in this format too.
    pub(super) carried: bool,
    /// Whether its lines may begin as those of syslog: `auto` lets no other format look at a line that does.
    pub(super) headed: Headed,
}

/// Whether lines of a format may begin as those of syslog.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Headed {
    Never,
    /// Where they have one of the marks of [`is_marked`].
    Marked,
    Always,
}

/// The registry. `auto` lets those that the line looks like try in this order; the first that understands the line has it.
/// What is unmistakable stands first, what takes almost anything last.
pub(super) static FORMATS: &[LineFormat] = &[
    LineFormat { name: "audit", looks: audit::looks, parse: audit::parse, carried: true, headed: Headed::Never },
    LineFormat {
        name: "laurel",
        looks: audit::looks_laurel,
        parse: audit::parse_laurel,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "journald",
        looks: journald::looks,
        parse: journald::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "json",
        looks: json_lines::looks,
        parse: json_lines::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "windows_xml",
        looks: windows_xml::looks,
        parse: windows_xml::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat { name: "zeek", looks: zeek::looks, parse: zeek::parse, carried: true, headed: Headed::Never },
    LineFormat { name: "cri", looks: cri::looks, parse: cri::parse, carried: false, headed: Headed::Never },
    LineFormat { name: "fluentd", looks: fluentd::looks, parse: fluentd::parse, carried: false, headed: Headed::Never },
    LineFormat { name: "coredns", looks: coredns::looks, parse: coredns::parse, carried: true, headed: Headed::Never },
    LineFormat {
        name: "combined",
        looks: combined::looks,
        parse: combined::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat { name: "panos", looks: panos::looks, parse: panos::parse, carried: true, headed: Headed::Never },
    LineFormat { name: "elb", looks: elb::looks, parse: elb::parse, carried: true, headed: Headed::Never },
    LineFormat { name: "w3c", looks: w3c::looks, parse: w3c::parse, carried: true, headed: Headed::Never },
    LineFormat { name: "glog", looks: glog::looks, parse: glog::parse, carried: true, headed: Headed::Never },
    LineFormat {
        name: "asterisk",
        looks: asterisk::looks,
        parse: asterisk::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat { name: "hclog", looks: hclog::looks, parse: hclog::parse, carried: true, headed: Headed::Never },
    LineFormat { name: "falco", looks: falco::looks, parse: falco::parse, carried: true, headed: Headed::Never },
    LineFormat { name: "snort", looks: snort::looks, parse: snort::parse, carried: false, headed: Headed::Never },
    LineFormat {
        name: "windows_dhcp",
        looks: dhcp_audit::looks,
        parse: dhcp_audit::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "redis",
        looks: database::redis::looks,
        parse: database::redis::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "mongodb",
        looks: database::mongodb::looks,
        parse: database::mongodb::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "lighttpd",
        looks: lighttpd::looks,
        parse: lighttpd::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat { name: "cef", looks: cef::looks, parse: cef::parse, carried: true, headed: Headed::Marked },
    LineFormat {
        name: "modsecurity",
        looks: modsecurity::looks,
        parse: modsecurity::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "postgresql",
        looks: database::postgresql::looks,
        parse: database::postgresql::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "fail2ban",
        looks: fail2ban::looks,
        parse: fail2ban::parse,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "dpkg",
        looks: package::dpkg::looks,
        parse: package::dpkg::parse,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "apt",
        looks: package::apt::looks,
        parse: package::apt::parse,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "yum",
        looks: package::rpm::looks_yum,
        parse: package::rpm::parse_yum,
        carried: false,
        headed: Headed::Always,
    },
    LineFormat {
        name: "dnf",
        looks: package::rpm::looks_dnf,
        parse: package::rpm::parse_dnf,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "pacman",
        looks: package::pacman::looks,
        parse: package::pacman::parse,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "zypper",
        looks: package::zypper::looks,
        parse: package::zypper::parse,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat { name: "cisco", looks: cisco::looks, parse: cisco::parse, carried: true, headed: Headed::Marked },
    LineFormat {
        name: "bind",
        looks: program::bind_looks,
        parse: program::bind_line,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "unbound",
        looks: program::unbound_looks,
        parse: program::unbound_line,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "kea",
        looks: program::kea_looks,
        parse: program::kea_line,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "fortigate",
        looks: fortigate::looks,
        parse: fortigate::parse,
        carried: true,
        headed: Headed::Marked,
    },
    LineFormat { name: "squid", looks: squid::looks, parse: squid::parse, carried: true, headed: Headed::Never },
    LineFormat {
        name: "haproxy",
        looks: program::haproxy_looks,
        parse: program::haproxy_line,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "vsftpd",
        looks: program::vsftpd_looks,
        parse: program::vsftpd_line,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "openvpn",
        looks: program::openvpn_looks,
        parse: program::openvpn_line,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "mysql",
        looks: database::mysql::looks,
        parse: database::mysql::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat { name: "logfmt", looks: logfmt::looks, parse: logfmt::parse, carried: true, headed: Headed::Never },
    LineFormat { name: "syslog", looks: any, parse: syslog::parse, carried: false, headed: Headed::Always },
    LineFormat {
        name: "exim",
        looks: program::exim_looks,
        parse: program::exim_line,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "dovecot",
        looks: program::dovecot_looks,
        parse: program::dovecot_line,
        carried: false,
        headed: Headed::Never,
    },
    LineFormat {
        name: "kernel",
        looks: program::looks_kernel,
        parse: program::parse_kernel,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat {
        name: "web_error",
        looks: web_error::looks,
        parse: web_error::parse,
        carried: true,
        headed: Headed::Never,
    },
    LineFormat { name: "plain", looks: any, parse: plain::parse, carried: false, headed: Headed::Always },
];

/// Those whose lines may begin as those of syslog.
static HEADED: LazyLock<Vec<&'static LineFormat>> =
    LazyLock::new(|| FORMATS.iter().filter(|format| format.headed != Headed::Never).collect());

/// Those of them whose lines need no mark.
static UNMARKED: LazyLock<Vec<&'static LineFormat>> =
    LazyLock::new(|| FORMATS.iter().filter(|format| format.headed == Headed::Always).collect());

/// Those that may stand inside another line.
static CARRIED: LazyLock<Vec<&'static LineFormat>> = LazyLock::new(|| FORMATS.iter().filter(|f| f.carried).collect());

/// How far into a line the marks of [`is_marked`] may stand.
pub(super) const MARK_LEN_MAX: usize = 160;

/// Whether a line has, near its beginning, what lines of [`Headed::Marked`] formats have there: the `%` of Cisco's mnemonics,
/// `CEF:` or `LEEF:`, the `date=` or `devname=` of FortiGate. One look for all of them: few lines of most hosts have any.
fn is_marked(text: &str) -> bool {
    const STEP: usize = 32;
    let bytes = text.as_bytes();
    // None stands in the time that a line begins with.
    let from = if bytes.first() == Some(&b'<') { 0 } else { "Mar 16 10:00:00".len().min(bytes.len()) };
    let near = bytes.get(from..MARK_LEN_MAX.min(bytes.len())).unwrap_or_default();
    // Without a branch, so that many bytes are looked at at once.
    let any = |first: &[u8], second: &[u8]| {
        first
            .iter()
            .zip(second)
            .fold(false, |is, (a, b)| is | (*a == b'%') | ((*a == b'E') & (*b == b'F')) | ((*a == b'e') & (*b == b'=')))
    };
    let pairs = |at: usize| -> Option<(&[u8; STEP], &[u8; STEP])> {
        Some((near.get(at..)?.first_chunk()?, near.get(at + 1..)?.first_chunk()?))
    };
    let Some(last) = near.len().checked_sub(STEP + 1) else {
        return any(near, near.get(1..).unwrap_or_default());
    };
    // The last step overlaps the one before it: no byte is left to be looked at alone.
    (0..last).step_by(STEP).chain([last]).filter_map(pairs).fold(false, |is, (first, second)| is | any(first, second))
}

/// The formats that a line may be in by its first bytes; most lines of most hosts begin as those of syslog.
pub(super) fn candidates(text: &str) -> impl Iterator<Item = &'static LineFormat> + use<> {
    let (headed, any): (&[&LineFormat], &[LineFormat]) = match syslog::headed(text) {
        true if is_marked(text) => (HEADED.as_slice(), &[]),
        true => (UNMARKED.as_slice(), &[]),
        false => (&[], FORMATS),
    };
    headed.iter().copied().chain(any)
}

/// The formats that a text inside another line may be in.
pub(super) fn inner(_: &str) -> impl Iterator<Item = &'static LineFormat> + use<> {
    CARRIED.iter().copied()
}

/// The formats that a line of a container may be in by its first bytes. What takes almost anything is left out: syslog where
/// the line does not begin as its lines do.
pub(super) fn contained(text: &str) -> impl Iterator<Item = &'static LineFormat> + use<> {
    let headed = syslog::headed(text);
    candidates(text).filter(move |format| match format.name {
        "syslog" => headed,
        name => !matches!(name, "cri" | "plain"),
    })
}

/// No first look: the parser's own first bytes decide.
fn any(_: &str) -> bool {
    true
}
