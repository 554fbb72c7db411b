//! Where a set expects what an event does not say, and why that is right; and rows that stay below the aim, with the reason.

use super::case::{Case, Expected, What};

/// Values of a file that are not as its set expects.
pub struct Known {
    /// The file, or the beginning of its path.
    pub file: &'static str,
    /// What they are about.
    pub what: What,
    /// A piece of what is expected; empty for any.
    pub value: &'static str,
    /// Why.
    pub reason: &'static str,
}

impl Known {
    /// Whether it is about this value.
    pub fn explains(&self, case: &Case, expected: &Expected) -> bool {
        case.file.starts_with(self.file) && self.what == expected.what && expected.value.contains(self.value)
    }
}

/// All of them; each must still explain something.
pub const KNOWN: &[Known] = &[
    Known {
        file: "fail2ban/sshd",
        what: What::Address,
        value: "127.0.0.1",
        reason: "the peer wrote it into the name of the user; the words of sshd itself name another",
    },
    Known {
        file: "fail2ban/sshd",
        what: What::Address,
        value: "115.249.163.77",
        reason: "it stands in another line of the same process, where the event of that line has it",
    },
    Known {
        file: "elastic-package-tests/cisco_asa/log/test-asa-fix.log",
        what: What::User,
        value: "dave",
        reason: "of the users at both ends the event has the one that began the connection",
    },
    Known {
        file: "elastic-package-tests/cisco_asa/log/test-sample.log",
        what: What::User,
        value: "user",
        reason: "the set takes the other end's user, or cuts the domain off the name",
    },
    Known {
        file: "elastic-package-tests/cisco_asa/log/test-asa-missing-groups.log",
        what: What::User,
        value: "foo.bar",
        reason: "the set cuts the domain off the name",
    },
    Known {
        file: "elastic-package-tests/cisco_asa/log/test-asa-missing-groups.log",
        what: What::Address,
        value: "67.43.156.12",
        reason: "the message names one address, the client's, which is the source",
    },
    Known {
        file: "elastic-package-tests/cisco_asa/log/test-dap-records.log",
        what: What::Outcome,
        value: "1",
        reason: "that access policies were chosen does not say how the session fared",
    },
    Known {
        file: "elastic-package-tests/cisco_asa/log/test-sample.log",
        what: What::Address,
        value: "bad.example.com",
        reason: "the address stands where the connection is named; the name is what a list knows it by",
    },
    Known {
        file: "elastic-package-tests/nginx/access/test-test-with-host.log",
        what: What::Address,
        value: "67.43.156.15",
        reason: "two lines in one, the second of them another host's",
    },
    Known {
        file: "crowdsec-hub-tests/sshd-logs",
        what: What::Outcome,
        value: "2",
        reason: "the peer left before it asked for a logon",
    },
    Known { file: "crowdsec-hub-tests/modsecurity-logs/", what: What::Port, value: "0", reason: "a port of 0 is none" },
    Known {
        file: "elastic-package-tests/system/security/",
        what: What::Time,
        value: "",
        reason: "the event says when it was shipped; the set takes the time of the record inside",
    },
    Known {
        file: "fail2ban/dovecot",
        what: What::Time,
        value: "2010-09-16T07:51:00",
        reason: "TAI64N counts ten seconds more than UTC, which the set leaves out",
    },
    Known {
        file: "fail2ban/zzz-generic-example",
        what: What::Address,
        value: "",
        reason: "words that no program prints",
    },
    Known {
        file: "crowdsec-hub-tests/gitlab-logs",
        what: What::User,
        value: "",
        reason: "GitLab's parameters of a request: what the form asked for, not who asked",
    },
    Known {
        file: "crowdsec-hub-tests/traefik_json",
        what: What::Address,
        value: "10.0.0.50",
        reason: "of the addresses the first is the client, the second a proxy",
    },
];

/// What every row of a named format aims at: percent of lines with a class, and of expected values.
pub const AIM: f64 = 95.0;

/// Rows below [`AIM`], and why.
pub const SHORT: &[(&str, &str)] = &[
    ("audit_trail", "what a service did itself: a record without an address is no call, its actor is kept"),
    ("aws_elb", "two lines of one example, where the set takes address and port for one value"),
    ("docker_json", "the lines inside are what a terminal printed: prompts and echoes"),
    ("glog", "what programs in Go and C++ say of themselves, in words of their own"),
    ("json", "programs that are no named format: their keys are kept, time, level and message read"),
    ("postgresql", "details and hints belong to the line before them"),
    ("redis", "one line"),
    ("syslog dovecot", "Ombi's own log writes [Warning] where syslog has the program's name"),
    ("syslog kmd", "one of two lines has a placeholder where its peer stood"),
    ("syslog nginx", "one line has host and program twice"),
    ("syslog slapd", "one line of eleven ends behind its connection and descriptor"),
    (
        "syslog xrdp-sesman",
        "the line has its time as seconds since 1970 too, which is exact; the set reads the header as UTC",
    ),
    ("w3c", "half of the lines are the comments that name the columns"),
];
