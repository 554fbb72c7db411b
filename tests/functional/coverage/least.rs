//! What is reached, by format and program: a row falls below it only where somebody decides so.
//!
//! To raise it, paste what `lines_of_known_formats_get_a_class_with_what_they_say` prints with `--nocapture`.

use super::table::Row;

/// Percent, rounded down, that a row reaches at least.
pub struct Least {
    /// The table's row.
    pub format: &'static str,
    /// Lines with a class of their own.
    pub class: u32,
    /// Lines with a class of their own and five attributes.
    pub filled: u32,
    /// Expected users, addresses, ports, outcomes and times.
    pub values: u32,
}

/// Percent of shuffled lines that `auto` reads as their format does.
pub const AUTO: f64 = 98.0;

impl Least {
    /// What of it a row does not reach.
    pub fn missed(&self, row: &Row) -> Vec<String> {
        [
            ("with a class", row.class.percent(), self.class),
            ("with five attributes", row.filled.percent(), self.filled),
            ("of the expected values", row.promised().percent(), self.values),
        ]
        .into_iter()
        .filter(|(_, reached, least)| *reached < f64::from(*least))
        .map(|(what, reached, least)| format!("{}: {reached:.1} % {what}, not {least} %", self.format))
        .collect()
    }
}

const fn least(format: &'static str, class: u32, filled: u32, values: u32) -> Least {
    Least { format, class, filled, values }
}

/// A row as it would stand in [`LEAST`].
pub fn line(name: &str, row: &Row) -> String {
    let [class, filled, values] =
        [row.class, row.filled, row.promised()].map(|share| share.percent().floor().to_string());
    format!("least({name:?}, {class}, {filled}, {values})")
}

/// By format, or program of syslog: class, five attributes, values.
#[rustfmt::skip]
pub const LEAST: &[Least] = &[
    least("apache_error", 100, 99, 100),
    least("asterisk", 100, 100, 100),
    least("audit", 99, 99, 100),
    least("aws_elb", 100, 100, 50),
    least("bind", 100, 100, 100),
    least("cef", 92, 69, 100),
    least("cisco_asa", 98, 95, 100),
    least("cisco_ios", 100, 100, 100),
    least("cloudtrail", 100, 100, 100),
    least("combined", 100, 100, 100),
    least("common", 100, 100, 100),
    least("docker_events", 100, 25, 100),
    least("docker_json", 0, 0, 100),
    least("dovecot", 100, 100, 100),
    least("envoy", 100, 100, 100),
    least("exim", 100, 100, 100),
    least("fail2ban", 100, 100, 100),
    least("fortigate", 100, 100, 100),
    least("gcp_audit", 100, 100, 100),
    least("glog", 0, 0, 33),
    least("haproxy", 100, 100, 100),
    least("http_json", 100, 100, 100),
    least("json", 5, 2, 3),
    least("kernel", 100, 100, 100),
    least("kubernetes_audit", 100, 100, 100),
    least("laurel", 100, 100, 100),
    least("leef", 100, 100, 100),
    least("lighttpd", 100, 100, 100),
    least("logfmt", 99, 99, 100),
    least("modsecurity", 100, 100, 100),
    least("mongodb", 100, 100, 100),
    least("mongodb_text", 100, 90, 100),
    least("mysql_error", 100, 100, 100),
    least("nginx_error", 100, 100, 100),
    least("nginx_proxy_manager", 100, 100, 100),
    least("ocsf", 100, 37, 100),
    least("openvpn", 100, 100, 100),
    least("panos", 100, 100, 100),
    least("postgresql", 100, 100, 100),
    least("redis", 0, 0, 100),
    least("snort_fast", 100, 100, 100),
    least("squid", 100, 100, 100),
    least("ssl_request", 100, 100, 100),
    least("suricata_eve", 100, 100, 100),
    least("syslog NetworkManager", 100, 100, 100),
    least("syslog RT_FLOW", 100, 100, 100),
    least("syslog asterisk", 100, 100, 100),
    least("syslog charon", 100, 100, 100),
    least("syslog cron", 99, 99, 100),
    least("syslog dnsmasq-dhcp", 100, 100, 100),
    least("syslog doas", 100, 100, 100),
    least("syslog dovecot", 100, 97, 100),
    least("syslog dropbear", 100, 100, 100),
    least("syslog exim", 100, 100, 100),
    least("syslog fail2ban", 100, 100, 100),
    least("syslog filterlog", 100, 100, 100),
    least("syslog haproxy", 100, 100, 100),
    least("syslog in.telnetd", 100, 100, 100),
    least("syslog kernel", 99, 99, 100),
    least("syslog login", 100, 100, 100),
    least("syslog named", 100, 100, 100),
    least("syslog nginx", 91, 91, 100),
    least("syslog openvpn", 100, 100, 100),
    least("syslog proftpd", 100, 100, 100),
    least("syslog pure-ftpd", 100, 100, 100),
    least("syslog pvedaemon", 100, 100, 100),
    least("syslog rsyslogd", 100, 97, 100),
    least("syslog sandboxd", 100, 100, 100),
    least("syslog screensharingd", 100, 100, 100),
    least("syslog sendmail", 100, 100, 100),
    least("syslog slapd", 90, 90, 100),
    least("syslog smbd", 100, 100, 100),
    least("syslog sshd", 99, 99, 100),
    least("syslog su", 100, 100, 100),
    least("syslog sudo", 100, 100, 100),
    least("syslog systemd", 100, 90, 100),
    least("syslog useradd", 100, 100, 100),
    least("syslog vsftpd", 100, 100, 100),
    least("syslog webmin", 100, 100, 100),
    least("syslog xinetd", 100, 100, 100),
    least("syslog xrdp-sesman", 100, 100, 50),
    least("teleport", 100, 100, 100),
    least("vsftpd", 100, 100, 100),
    least("w3c", 50, 50, 100),
    least("windows_json", 100, 100, 97),
    least("windows_xml", 100, 100, 100),
    least("zeek", 100, 100, 100),
    least("zeek_json", 100, 100, 100),
];
