//! Log sources: which events a rule is about (Sigma 2.1.0, "Log Source").
//!
//! In: a rule's `logsource`, and what an OCSF event says of itself ([`Traits`]). Out: the log sources that the
//! event is of, by [`SOURCES`]. An event is of several: an execution that auditd saw is `product: linux, service:
//! auditd` and `category: process_creation, product: linux`. A rule applies where every key that it has equals that of
//! one of them; a rule without keys applies to every event.

use shared::printable::Excerpt;
use shared::yaml::{Kind, Node, nearest};

use super::predicate::Wrong;

/// A rule's log source; words in small letters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LogSource {
    /// `category`: what kind of events.
    pub category: Option<String>,
    /// `product`: of what.
    pub product: Option<String>,
    /// `service`: of which of its logs.
    pub service: Option<String>,
}

impl LogSource {
    /// A log source of these words; empty ones are not said.
    #[must_use]
    pub fn new(category: &str, product: &str, service: &str) -> Self {
        let said = |word: &str| (!word.is_empty()).then(|| word.to_lowercase());
        Self { category: said(category), product: said(product), service: said(service) }
    }

    /// Reads `logsource`.
    ///
    /// # Errors
    /// It is no map of words, or has a key that is not known: a rule is not applied more widely than it says.
    pub fn parse(node: &Node) -> Result<Self, Wrong> {
        let wrong = |node: &Node, message: String| Wrong { place: node.place, message };
        let Kind::Map(entries) = &node.kind else {
            return Err(wrong(node, format!("a log source is a map, found {}", node.describe())));
        };
        let mut source = Self::default();
        for entry in entries {
            let key = match entry.key.as_str() {
                "category" => &mut source.category,
                "product" => &mut source.product,
                "service" => &mut source.service,
                "definition" => continue,
                key => {
                    let meant = nearest(key, ["category", "product", "service", "definition"]);
                    let meant = meant.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
                    let message = format!("'{}' is no key of a log source{meant}", Excerpt(key));
                    return Err(Wrong { place: entry.place, message });
                }
            };
            let word = entry.value.scalar().filter(|word| !word.is_empty());
            let word = word.ok_or_else(|| {
                wrong(&entry.value, format!("{}: a word is expected, found {}", entry.key, entry.value.describe()))
            })?;
            *key = Some(word.to_lowercase());
        }
        Ok(source)
    }

    /// Its words; what is not said is empty.
    #[must_use]
    pub fn words(&self) -> [&str; 3] {
        [&self.category, &self.product, &self.service].map(|word| word.as_deref().unwrap_or_default())
    }
}

/// What an OCSF event says of where it is from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits<'e> {
    /// `class_uid`
    pub class: i64,
    /// `activity_id`
    pub activity: i64,
    /// `metadata.log_provider`: the program, without its folder ([`program`]).
    pub provider: &'e str,
    /// `metadata.log_format`
    pub format: &'e str,
    /// `metadata.log_source`: the type of the agent's source.
    pub source: &'e str,
    /// `metadata.log_name`: path, unit or channel.
    pub log_name: &'e str,
    /// `metadata.product.vendor_name`
    pub vendor: &'e str,
    /// `device.os.type_id`
    pub os: i64,
}

const FILE: i64 = 1001;
const MODULE: i64 = 1002;
const PROCESS: i64 = 1007;
const FINDING: i64 = 2004;
const ACCOUNT: i64 = 3001;
const AUTHENTICATION: i64 = 3002;
const GROUP: i64 = 3006;
const NETWORK: i64 = 4001;
const HTTP: i64 = 4002;
const DNS: i64 = 4003;
const DATASTORE: i64 = 6005;
/// `os.type_id` of Linux.
const LINUX: i64 = 200;

/// The name of a program: `/usr/sbin/crond` is `crond`.
#[must_use]
pub fn program(provider: &str) -> &str {
    provider.rsplit('/').next().unwrap_or_default()
}

impl Traits<'_> {
    /// Whether a program of one of these names said it, in any case.
    fn is_by(&self, programs: &[&str]) -> bool {
        programs.iter().any(|program| self.provider.eq_ignore_ascii_case(program))
    }

    fn is_packet(&self) -> bool {
        self.source == "packet"
    }

    fn is_audit(&self) -> bool {
        self.format.starts_with("audit")
            || self.is_by(&["auditd", "audisp-syslog", "audispd", "audit"])
            || self.log_name.ends_with("/audit.log")
    }

    /// A log of the system itself: not of a web server, not what the wire or a table of the host says.
    fn is_linux_log(&self) -> bool {
        self.os == LINUX && !matches!(self.source, "packet" | "host" | "integrity") && self.class != HTTP
    }

    fn is_login(&self) -> bool {
        matches!(self.class, ACCOUNT | AUTHENTICATION | GROUP)
            || self.is_by(&["sshd", "sshd-session", "su", "sudo", "login", "systemd-logind", "polkitd", "passwd"])
            || self.log_name.ends_with("/auth.log")
            || self.log_name.ends_with("/secure")
    }

    fn is_system_log(&self) -> bool {
        self.is_linux_log()
            && (self.format.contains("syslog") || self.format.starts_with("rfc") || !self.provider.is_empty())
    }

    /// What a sensor on the wire saw: ours, or another whose log we read.
    fn is_wire(&self) -> bool {
        self.is_packet() || self.is_by(&["zeek", "suricata"])
    }

    /// Whether a device of this maker said it.
    fn is_of(&self, maker: &str) -> bool {
        [self.vendor, self.format]
            .iter()
            .any(|said| said.get(..maker.len()).is_some_and(|start| start.eq_ignore_ascii_case(maker)))
    }
}

/// Category, product and service, and the events that are of it.
pub struct Row(pub [&'static str; 3], fn(&Traits<'_>) -> bool);

/// The table.
pub static SOURCES: &[Row] = &[
    Row(["process_creation", "linux", ""], |e| e.class == PROCESS && e.activity == 1),
    Row(["process_termination", "linux", ""], |e| e.class == PROCESS && e.activity == 2),
    Row(["process_access", "linux", ""], |e| e.class == PROCESS && e.activity == 3),
    Row(["file_event", "linux", ""], |e| e.class == FILE && matches!(e.activity, 1 | 3 | 5)),
    Row(["file_access", "linux", ""], |e| e.class == FILE && e.activity == 2),
    Row(["file_delete", "linux", ""], |e| e.class == FILE && e.activity == 4),
    Row(["file_rename", "linux", ""], |e| e.class == FILE && e.activity == 5),
    Row(["file_change", "linux", ""], |e| e.class == FILE && matches!(e.activity, 3 | 6 | 7)),
    Row(["driver_load", "linux", ""], |e| e.class == MODULE),
    Row(["network_connection", "linux", ""], |e| e.class == NETWORK && e.os == LINUX),
    Row(["", "linux", ""], |e| e.is_linux_log()),
    Row(["", "linux", "auditd"], |e| e.is_linux_log() && e.is_audit()),
    Row(["", "linux", "auth"], |e| e.is_linux_log() && e.is_login()),
    Row(["", "linux", "sshd"], |e| e.is_by(&["sshd", "sshd-session", "sshd-auth"])),
    Row(["", "linux", "sudo"], |e| e.is_by(&["sudo"])),
    Row(["", "linux", "cron"], |e| e.is_by(&["cron", "crond", "anacron", "crontab", "atd"])),
    Row(["", "linux", "clamav"], |e| e.is_by(&["clamd", "clamav", "freshclam", "clamscan", "clamdscan", "clamonacc"])),
    Row(["", "linux", "vsftpd"], |e| e.is_by(&["vsftpd"]) || e.log_name.ends_with("/vsftpd.log")),
    Row(["", "linux", "guacamole"], |e| e.is_by(&["guacd", "guacamole"])),
    Row(["", "linux", "modsecurity"], |e| e.format.starts_with("modsec")),
    Row(["", "linux", "syslog"], |e| e.is_system_log()),
    Row(["webserver", "", ""], |e| e.class == HTTP),
    Row(["proxy", "", ""], |e| {
        e.class == HTTP && (e.is_wire() || e.is_by(&["squid"]) || e.format.starts_with("squid"))
    }),
    Row(["", "apache", "apache"], |e| e.format.starts_with("apache") || e.is_by(&["apache2", "httpd", "apache"])),
    Row(["", "nginx", "nginx"], |e| e.format.starts_with("nginx") || e.is_by(&["nginx"])),
    Row(["dns", "", ""], |e| e.class == DNS),
    Row(["network", "", "dns"], |e| e.class == DNS),
    Row(["network", "", "connection"], |e| e.class == NETWORK),
    Row(["", "", "netflow"], |e| e.class == NETWORK && e.is_wire()),
    Row(["", "zeek", "dns"], |e| e.class == DNS && e.is_wire()),
    Row(["", "zeek", "http"], |e| e.class == HTTP && e.is_wire()),
    Row(["", "zeek", "conn"], |e| e.class == NETWORK && e.is_wire()),
    Row(["", "zeek", "x509"], |e| e.class == NETWORK && e.is_wire()),
    Row(["", "zeek", "ssl"], |e| e.class == NETWORK && e.is_wire()),
    Row(["firewall", "", ""], |e| e.class == NETWORK),
    Row(["", "cisco", "aaa"], |e| e.is_of("cisco")),
    Row(["", "fortigate", "event"], |e| e.is_of("forti")),
    Row(["", "juniper", "bgp"], |e| e.is_of("juniper")),
    Row(["", "huawei", "bgp"], |e| e.is_of("huawei")),
    Row(["antivirus", "", ""], |e| {
        e.class == FINDING && e.is_by(&["clamd", "clamav", "clamscan", "clamdscan", "clamonacc"])
    }),
    Row(["database", "", ""], |e| e.class == DATASTORE || e.is_by(&["mysqld", "mariadbd", "postgres", "postgresql"])),
];

/// The log sources that an event is of.
pub fn of<'t>(traits: &'t Traits<'t>) -> impl Iterator<Item = &'static [&'static str; 3]> + 't {
    SOURCES.iter().filter(move |row| (row.1)(traits)).map(|row| &row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(traits: &Traits<'_>) -> Vec<String> {
        of(traits).map(|words| words.join("/")).collect()
    }

    #[test]
    fn an_event_is_of_every_source_that_it_comes_from() {
        let audit =
            Traits { class: PROCESS, activity: 1, format: "auditd", source: "file", os: LINUX, ..Traits::default() };
        assert_eq!(sources(&audit), ["process_creation/linux/", "/linux/", "/linux/auditd"]);
        let sshd = Traits { class: AUTHENTICATION, provider: "sshd", format: "syslog", os: LINUX, ..Traits::default() };
        assert_eq!(sources(&sshd), ["/linux/", "/linux/auth", "/linux/sshd", "/linux/syslog"]);
        let web =
            Traits { class: HTTP, activity: 3, format: "combined", source: "file", os: LINUX, ..Traits::default() };
        assert_eq!(sources(&web), ["webserver//"]);
        let wire = Traits { class: DNS, source: "packet", os: LINUX, ..Traits::default() };
        assert_eq!(sources(&wire), ["dns//", "network//dns", "/zeek/dns"]);
    }

    #[test]
    fn the_end_of_a_process_creates_none_and_a_list_of_processes_is_no_log() {
        let ended = Traits { class: PROCESS, activity: 2, source: "host", os: LINUX, ..Traits::default() };
        assert_eq!(sources(&ended), ["process_termination/linux/"]);
    }
}
