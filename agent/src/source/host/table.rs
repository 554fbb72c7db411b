//! The tables of host state: what each is called, how often it is looked at, which OCSF class its rows and their
//! differences are (OCSF 1.8.0), and what it needs.

use super::row::Row;

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Operating system, hardware, interfaces: one row.
    Facts,
    /// Processes.
    Processes,
    /// TCP and UDP sockets.
    Sockets,
    /// Local users.
    Users,
    /// Local groups.
    Groups,
    /// Who is logged in.
    Sessions,
    /// Logins, logouts, boots and failed logins of the past.
    Logins,
    /// Installed packages.
    Packages,
    /// systemd's units, but for timers.
    Units,
    /// systemd's timers.
    Timers,
    /// Jobs of cron.
    Cron,
    /// Modules of the kernel.
    Modules,
    /// Mounted file systems.
    Mounts,
    /// Settings of the kernel that guard the host.
    Sysctls,
    /// Programs that run as their owner or group.
    Privileged,
    /// Keys that may log in.
    AuthorizedKeys,
    /// Whether the host waits for a reboot.
    Reboot,
}

/// How often a table is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cadence {
    /// At every interval.
    Often,
    /// At every tenth interval.
    Seldom,
    /// All the time, a little: a round takes a while, the next begins with the next full inventory.
    Slow,
}

/// An OCSF class and activity; the name of the activity where OCSF has no number for it (99).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// `class_uid`.
    pub class: u64,
    /// `activity_id`.
    pub activity: u64,
    /// `activity_name`, of 99.
    pub name: Option<&'static str>,
}

const fn kind(class: u64, activity: u64) -> Kind {
    Kind { class, activity, name: None }
}

const fn named(class: u64, name: &'static str) -> Kind {
    Kind { class, activity: 99, name: Some(name) }
}

/// `evidence_info`, a query of the host.
const EVIDENCE: Kind = kind(5040, 1);
/// State of a TCP socket that listens (Linux's, and OCSF's `tcp_state_id`).
pub const LISTEN: u16 = 10;
/// Bit of a user's level: locked; of a unit's: enabled.
pub const SWITCH: u16 = 1;

impl Table {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 17] = [
        Self::Facts,
        Self::Processes,
        Self::Sockets,
        Self::Users,
        Self::Groups,
        Self::Sessions,
        Self::Logins,
        Self::Packages,
        Self::Units,
        Self::Timers,
        Self::Cron,
        Self::Modules,
        Self::Mounts,
        Self::Sysctls,
        Self::Privileged,
        Self::AuthorizedKeys,
        Self::Reboot,
    ];

    /// Its word in fleet files, on the command line and in `unmapped.table`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Processes => "processes",
            Self::Sockets => "sockets",
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Sessions => "sessions",
            Self::Logins => "logins",
            Self::Packages => "packages",
            Self::Units => "units",
            Self::Timers => "timers",
            Self::Cron => "cron",
            Self::Modules => "modules",
            Self::Mounts => "mounts",
            Self::Sysctls => "sysctls",
            Self::Privileged => "privileged_files",
            Self::AuthorizedKeys => "authorized_keys",
            Self::Reboot => "reboot_required",
        }
    }

    /// The table with this word.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// How often it is looked at.
    #[must_use]
    pub fn cadence(self) -> Cadence {
        match self {
            Self::Processes | Self::Sockets | Self::Users | Self::Groups | Self::Sessions | Self::Logins => {
                Cadence::Often
            }
            Self::Modules | Self::Mounts | Self::Packages => Cadence::Often,
            Self::Privileged => Cadence::Slow,
            _ => Cadence::Seldom,
        }
    }

    /// It is a list of what happened: rows are events by themselves, and none that goes is told.
    #[must_use]
    pub fn is_history(self) -> bool {
        self == Self::Logins
    }

    /// Class of a row in a full inventory.
    #[must_use]
    pub fn state(self) -> Kind {
        match self {
            Self::Facts => kind(5001, 2),
            Self::Users => kind(5003, 2),
            Self::Packages => kind(5020, 2),
            Self::Sysctls => kind(5019, 2),
            Self::Reboot => kind(5004, 2),
            Self::Logins => kind(3002, 1),
            _ => EVIDENCE,
        }
    }

    /// `query_evidence.query_type_id` with its word, of class 5040.
    #[must_use]
    pub fn query(self) -> Option<(u64, &'static str)> {
        Some(match self {
            Self::Processes => (10, "Process"),
            Self::Sockets => (7, "Network Connection"),
            Self::Groups => (99, "Group"),
            Self::Sessions => (12, "Session"),
            Self::Units => (11, "Service"),
            Self::Timers | Self::Cron => (5, "Job"),
            Self::Modules => (6, "Module"),
            Self::Mounts => (3, "Folder"),
            Self::Privileged => (2, "File"),
            Self::AuthorizedKeys => (13, "User"),
            _ => return None,
        })
    }

    /// What stands before a path that begins with a dot: in a full inventory, and in a difference.
    #[must_use]
    pub fn subject(self) -> [&'static str; 2] {
        match self {
            Self::Processes => ["query_evidence.process", "process"],
            Self::Sockets => ["query_evidence.connection_info", "connection_info"],
            Self::Users => ["user", "user"],
            Self::Groups => ["query_evidence.group", "group"],
            Self::Sessions => ["query_evidence.session", "session"],
            Self::Packages => ["package", "app"],
            Self::Units => ["query_evidence.service", "app"],
            Self::Timers | Self::Cron => ["query_evidence.job", "job"],
            Self::Modules => ["query_evidence.module.file", "driver.file"],
            Self::Mounts => ["query_evidence.folder", "file"],
            Self::Privileged => ["query_evidence.file", "file"],
            Self::AuthorizedKeys => ["query_evidence.user", "user"],
            Self::Facts | Self::Sysctls | Self::Reboot | Self::Logins => ["device", "device"],
        }
    }

    /// Class of a row that came.
    #[must_use]
    pub fn added(self, row: &Row) -> Kind {
        match self {
            Self::Processes => kind(1007, 1),
            Self::Sockets => kind(4001, if row.level == LISTEN { 7 } else { 1 }),
            Self::Users => kind(3001, 1),
            Self::Groups => kind(3006, 6),
            // The level of a login is its activity; boots and shutdowns are those of a program, the system.
            Self::Logins => kind(if row.level < 3 { 3002 } else { 6002 }, row.level.into()),
            Self::Sessions => kind(3002, 1),
            Self::Packages | Self::Units => kind(6002, 1),
            Self::Timers | Self::Cron => kind(1006, 1),
            Self::Modules => kind(1002, 1),
            Self::Mounts => kind(1001, 12),
            Self::Privileged => kind(1001, 1),
            Self::AuthorizedKeys => named(3001, "Key Added"),
            Self::Facts | Self::Sysctls | Self::Reboot => kind(self.state().class, 1),
        }
    }

    /// Class of a row that became another, with the level that it had before.
    #[must_use]
    pub fn changed(self, row: &Row, before: u16) -> Kind {
        let switched = (row.level ^ before) & SWITCH != 0;
        let is_on = row.level & SWITCH != 0;
        match self {
            // Another program in the same process.
            Self::Processes => kind(1007, 1),
            Self::Sockets => self.added(row),
            Self::Users => match (switched, is_on) {
                (true, true) => kind(3001, 9),
                (true, false) => kind(3001, 12),
                // The rest of the level stands for the day of the last change.
                (false, _) if row.level != before => kind(3001, 3),
                (false, _) => named(3001, "Modify"),
            },
            // The level is the number of members.
            Self::Groups if row.level > before => kind(3006, 3),
            Self::Groups if row.level < before => kind(3006, 4),
            Self::Groups => named(3006, "Modify"),
            Self::Units => match (switched, is_on) {
                (true, true) => kind(6002, 6),
                (true, false) => kind(6002, 7),
                (false, _) => kind(6002, 8),
            },
            Self::Packages => kind(6002, 8),
            Self::Timers | Self::Cron => kind(1006, 2),
            Self::Mounts => named(1001, "Remount"),
            Self::Privileged => kind(1001, 6),
            Self::AuthorizedKeys => named(3001, "Key Changed"),
            Self::Modules => named(1002, "Changed"),
            Self::Sessions => named(3002, "Changed"),
            Self::Logins => self.added(row),
            Self::Facts | Self::Sysctls | Self::Reboot => kind(self.state().class, 1),
        }
    }

    /// Class of a row that went.
    #[must_use]
    pub fn removed(self) -> Kind {
        match self {
            Self::Processes => kind(1007, 2),
            Self::Sockets => kind(4001, 2),
            Self::Users => kind(3001, 6),
            Self::Groups => kind(3006, 5),
            Self::Sessions | Self::Logins => kind(3002, 2),
            Self::Packages | Self::Units => kind(6002, 2),
            Self::Timers | Self::Cron => kind(1006, 3),
            Self::Modules => kind(1002, 2),
            Self::Mounts => kind(1001, 13),
            Self::Privileged => kind(1001, 4),
            Self::AuthorizedKeys => named(3001, "Key Removed"),
            Self::Facts | Self::Sysctls | Self::Reboot => kind(self.state().class, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_found_by_its_word() {
        for table in Table::ALL {
            assert_eq!(Table::of_name(table.name()), Some(table));
            assert_eq!(table.query().is_some(), table.state().class == 5040, "{table:?}");
        }
        assert_eq!(Table::of_name("suid"), None);
    }

    #[test]
    fn levels_say_what_became_of_a_row() {
        let row = |level| {
            let mut row = Row::default();
            row.level = level;
            row
        };
        assert_eq!(Table::Users.changed(&row(1), 0), kind(3001, 9));
        assert_eq!(Table::Users.changed(&row(0), 1), kind(3001, 12));
        assert_eq!(Table::Users.changed(&row(4), 2), kind(3001, 3));
        assert_eq!(Table::Users.changed(&row(2), 2), named(3001, "Modify"));
        assert_eq!(Table::Groups.changed(&row(2), 1).activity, 3);
        assert_eq!(Table::Sockets.added(&row(LISTEN)), kind(4001, 7));
        assert_eq!((Table::Logins.added(&row(2)), Table::Logins.added(&row(4))), (kind(3002, 2), kind(6002, 4)));
    }
}
