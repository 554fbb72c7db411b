//! Entries of several lines whose lines do not say which entry they belong to: they stand one behind the other in a file, and
//! only the first of them, sometimes the last, can be told by itself.
//!
//! In: the lines of one source in order. Out: whether a line [begins](Entry::begins) an entry, and what the one behind it
//! [does](Entry::next). Which ones: a record of ModSecurity's serial audit log, from section A to Z and the empty line behind
//! it; an entry of MySQL's slow query log, comments and statement; a message of PostgreSQL that goes on behind a tab, and a row
//! of its `csvlog` with a line end inside a quoted field; a line of sudo's own log that is folded behind four blanks; a transaction of
//! apt's `history.log`. Source: ModSecurity 2 Reference Manual, "Audit Log Format"; MySQL 8.4 `sql/log.cc`, `write_slow`;
//! PostgreSQL 17 `elog.c`, `append_with_tabs`, and "Using CSV-Format Log Output"; sudo 1.9 `eventlog.c`, `loglinelen` in
//! sudoers(5); `apt-pkg/deb/dpkgpm.cc`, `WriteHistoryTag`.

use memchr::memmem;

use super::modsecurity::boundary;

/// An entry that has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// A record of ModSecurity: where its id stands in the first line. `is_closed`: section Z has come.
    Record { id: (usize, usize), is_closed: bool },
    /// An entry of the slow log.
    Slow(Slow),
    /// A message of PostgreSQL.
    Message,
    /// A row of PostgreSQL's `csvlog` whose last field is open.
    Row,
    /// A line of sudo's own log.
    Folded,
    /// A transaction of apt.
    Transaction,
}

/// How far an entry of the slow log has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slow {
    /// Its time.
    Time,
    /// Who asked.
    User,
    /// How long it took.
    Measures,
    /// The statement.
    Statement,
}

/// What a line does to an entry that has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// It belongs to it, and others may.
    More(Entry),
    /// It is the last of it.
    Last,
    /// It does not belong to it.
    Other,
}

const SLOW_TIME: &[u8] = b"# Time: ";
const SLOW_USER: &[u8] = b"# User@Host: ";

impl Entry {
    /// The entry that a line begins. Cheap for those that begin none: every line is asked.
    pub(super) fn begins(raw: &[u8]) -> Option<Self> {
        match raw.first()? {
            b'-' => {
                let (id, section) = boundary(std::str::from_utf8(raw).ok()?)?;
                let start = raw.len() - raw.strip_prefix(b"---").or_else(|| raw.strip_prefix(b"--"))?.len();
                (section == "A").then_some(Self::Record { id: (start, start + id.len()), is_closed: false })
            }
            b'#' if raw.starts_with(SLOW_TIME) => Some(Self::Slow(Slow::Time)),
            b'#' if raw.starts_with(SLOW_USER) => Some(Self::Slow(Slow::User)),
            b'2' | b'<' if is_message(raw) => Some(Self::Message),
            b'2' if is_row(raw) && is_open(raw) => Some(Self::Row),
            b'S' if raw.starts_with(b"Start-Date: ") => Some(Self::Transaction),
            b'A'..=b'Z' if is_sudo(raw) => Some(Self::Folded),
            _ => None,
        }
    }

    /// What `raw` does to the entry that began with the line `first`.
    pub(super) fn next(self, first: &[u8], raw: &[u8]) -> Next {
        match self {
            Self::Record { is_closed: true, .. } if raw.is_empty() => Next::Last,
            Self::Record { is_closed: true, .. } => Next::Other,
            Self::Record { id: (from, to), .. } => {
                let mark = std::str::from_utf8(raw).ok().filter(|text| text.starts_with("--")).and_then(boundary);
                match mark {
                    Some((id, "Z")) if first.get(from..to) == Some(id.as_bytes()) => {
                        Next::More(Self::Record { id: (from, to), is_closed: true })
                    }
                    Some((_, "A")) => Next::Other,
                    _ => Next::More(self),
                }
            }
            Self::Slow(so_far) => so_far.next(raw),
            Self::Message if raw.first() == Some(&b'\t') => Next::More(self),
            Self::Message => Next::Other,
            Self::Row if is_open(raw) => Next::Last,
            Self::Row => Next::More(self),
            Self::Folded if raw.starts_with(b"    ") => Next::More(self),
            Self::Transaction if raw.starts_with(b"End-Date: ") => Next::Last,
            Self::Transaction if TAGS.iter().any(|tag| raw.starts_with(tag)) => Next::More(self),
            Self::Folded | Self::Transaction => Next::Other,
        }
    }

    /// Whether nothing need follow: the entry may have been whole.
    pub(super) fn may_be_whole(self) -> bool {
        matches!(
            self,
            Self::Message | Self::Folded | Self::Slow(Slow::Statement) | Self::Record { is_closed: true, .. }
        )
    }
}

impl Slow {
    /// Who and how long come before the statement: a comment that only looks like a time takes no other lines with it.
    fn next(self, raw: &[u8]) -> Next {
        let more = |slow| Next::More(Entry::Slow(slow));
        if raw.starts_with(SLOW_TIME) || (raw.starts_with(SLOW_USER) && self != Self::Time) {
            return Next::Other;
        }
        match self {
            Self::Time if raw.starts_with(SLOW_USER) => more(Self::User),
            Self::Time => Next::Other,
            Self::User | Self::Measures if raw.starts_with(b"# Query_time: ") => more(Self::Measures),
            Self::User | Self::Measures if raw.starts_with(b"# ") => more(self),
            Self::User => Next::Other,
            Self::Measures | Self::Statement if raw.ends_with(b"started with:") => Next::Other,
            Self::Measures | Self::Statement => more(Self::Statement),
        }
    }
}

/// What apt says of a transaction between its start and its end.
const TAGS: [&[u8]; 10] = [
    b"Commandline: ",
    b"Requested-By: ",
    b"Comment: ",
    b"Install: ",
    b"Reinstall: ",
    b"Upgrade: ",
    b"Downgrade: ",
    b"Remove: ",
    b"Purge: ",
    b"Error: ",
];

/// `Mar 16 10:00:00 : bob : TTY=…`, with `log_year` `Mar 16 10:00:00 2026 : bob : …`.
fn is_sudo(raw: &[u8]) -> bool {
    let behind = [15, 20].into_iter().find_map(|at| raw.get(at..)?.strip_prefix(b" : "));
    behind.is_some_and(|rest| raw.get(9) == Some(&b':') && memmem::find(rest, b" : ").is_some())
}

/// What stands in front of `:  ` in the messages of PostgreSQL.
const LEVELS: [&[u8]; 13] = [
    b"LOG",
    b"ERROR",
    b"FATAL",
    b"PANIC",
    b"WARNING",
    b"NOTICE",
    b"INFO",
    b"DETAIL",
    b"HINT",
    b"STATEMENT",
    b"CONTEXT",
    b"QUERY",
    b"LOCATION",
];

/// Whether a line that begins with a time is a message of PostgreSQL: its level has two blanks behind it.
fn is_message(raw: &[u8]) -> bool {
    let time = raw.strip_prefix(b"< ").unwrap_or(raw);
    has_date(time)
        && memmem::find(raw, b":  ").and_then(|at| raw.get(..at)).is_some_and(|before| {
            LEVELS.iter().any(|level| {
                let rest = before.strip_suffix(*level);
                rest.is_some_and(|rest| rest.last().is_some_and(|byte| !byte.is_ascii_alphanumeric()))
            })
        })
}

/// `2026-03-16 10:00:00`.
fn has_date(raw: &[u8]) -> bool {
    raw.get(4) == Some(&b'-') && raw.get(10) == Some(&b' ') && raw.get(13) == Some(&b':') && raw.get(16) == Some(&b':')
}

/// Whether a line begins as a row of `csvlog`: `2026-03-16 10:00:00.123 UTC,`, and then who and where, quoted or empty.
fn is_row(raw: &[u8]) -> bool {
    let zone = raw.get(23..).filter(|_| has_date(raw) && raw.get(19) == Some(&b'.'));
    let behind =
        zone.and_then(|zone| zone.iter().take(12).position(|byte| *byte == b',').and_then(|at| zone.get(at + 1..)));
    behind.is_some_and(|rest| rest.starts_with(b"\"") || rest.starts_with(b",,"))
}

/// Whether a quote is left open; where one was open already, whether the line closes it.
fn is_open(raw: &[u8]) -> bool {
    memchr::memchr_iter(b'"', raw).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many lines behind the first belong to its entry, and whether the last of them ends it.
    fn taken(lines: &[&str]) -> Option<(usize, bool)> {
        let [first, rest @ ..] = lines else { return None };
        let mut entry = Entry::begins(first.as_bytes())?;
        for (at, line) in rest.iter().enumerate() {
            match entry.next(first.as_bytes(), line.as_bytes()) {
                Next::More(next) => entry = next,
                Next::Last => return Some((at + 1, true)),
                Next::Other => return Some((at, false)),
            }
        }
        Some((rest.len(), false))
    }

    #[test]
    fn a_record_of_modsecurity_goes_from_a_to_the_empty_line_behind_z() {
        let other = "--00000000-Z--";
        assert_eq!(taken(&["--6b253045-A--", "x", "", other, "--6b253045-Z--", "", "y"]), Some((5, true)));
        assert_eq!(taken(&["---Xc3ZlvbR---A--", "x", "---Xc3ZlvbR---Z--", "y"]), Some((2, false)));
        assert_eq!(taken(&["--6b253045-A--", "x", "--6b253046-A--"]), Some((1, false)), "the rest of it is missing");
        assert_eq!(taken(&["--6b253045-B--"]), None);
        assert_eq!(taken(&["--help-A--"]), None);
    }

    #[test]
    fn an_entry_of_the_slow_log_goes_to_the_next() {
        let entry = [
            "# Time: 2026-03-16T09:00:00.123456Z",
            "# User@Host: app[app] @ web [192.0.2.7]  Id:    42",
            "# Thread_id: 42  Schema: shop",
            "# Query_time: 3.5  Lock_time: 0.1 Rows_sent: 1  Rows_examined: 9",
            "SET timestamp=1773651600;",
            "SELECT *",
            "# a comment of the statement",
            "FROM t;",
        ];
        for next in [entry[0], entry[1], "/usr/sbin/mysqld, Version: 8.4.0 (x). started with:"] {
            let lines: Vec<&str> = entry.into_iter().chain([next]).collect();
            assert_eq!(taken(&lines), Some((7, false)), "{next}");
            assert_eq!(taken(&lines[1..]), Some((6, false)), "{next}");
        }
        assert_eq!(taken(&["# Time: to go", "# rest", "x"]), Some((0, false)), "a comment of something else");
        assert_eq!(taken(&[entry[0], entry[1], "x"]), Some((1, false)));
    }

    #[test]
    fn a_message_of_postgresql_goes_on_behind_tabs() {
        for first in [
            "2026-03-16 10:00:00.123 UTC [123] app@shop LOG:  statement: SELECT *",
            "< 2026-03-16 10:00:00.123 CET >ERROR:  syntax error",
            "2026-03-16 10:00:00 CET:192.0.2.7(5):app@shop:[7]:STATEMENT:  SELECT",
        ] {
            assert_eq!(taken(&[first, "\tFROM t", "\t", "\tWHERE x", first]), Some((3, false)), "{first}");
        }
        for other in [
            "2026-03-16 10:00:00 CATALOG:  x",
            "2026-03-16 10:00:00 INFO: x",
            "<13>2026",
            "2026-03-16T10:00:00 LOG:  x",
        ] {
            assert_eq!(taken(&[other]), None, "{other}");
        }
    }

    #[test]
    fn a_line_of_sudos_log_goes_on_behind_four_blanks() {
        for first in [
            "Mar 16 10:00:00 : bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ;",
            "Mar 16 10:00:00 2026 : bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ;",
        ] {
            assert_eq!(taken(&[first, "    TSID=1 ; COMMAND=/bin/ls a", "    b", first]), Some((2, false)), "{first}");
        }
        assert_eq!(taken(&["Mar 16 10:00:00 web sshd[1]: x : y"]), None);
    }

    #[test]
    fn a_transaction_of_apt_ends_with_its_end() {
        let lines = ["Start-Date: x", "Commandline: apt install a", "Install: a:amd64 (1)", "End-Date: x", ""];
        assert_eq!(taken(&lines), Some((3, true)));
        assert_eq!(taken(&["Start-Date: x", "something else"]), Some((0, false)));
    }

    #[test]
    fn a_row_of_csvlog_ends_where_its_quotes_do() {
        let first = r#"2026-03-16 10:00:00.123 UTC,"app","shop",7,"192.0.2.7:5",x,1,"SELECT",,,,LOG,00000,"statement: SELECT ""a"","#;
        assert_eq!(taken(&[first, "FROM t", r#"WHERE x",,,,"#, "x"]), Some((2, true)));
        assert_eq!(taken(&[&format!(r#"{first} b",,"#)]), None, "it is whole");
    }
}
