//! The tables: each a parser that takes bytes and gives rows, and the files that it is given here.
//!
//! Invariants: what vanishes, may not be read or makes no sense is a flaw of its row or a missing row, never an end of the
//! others; a table that could not be read whole says so, and then nothing of it counts as gone.

pub mod accounts;
pub mod addresses;
pub mod cron;
pub mod facts;
pub mod kernel;
pub mod keys;
pub mod logins;
pub mod packages;
pub mod privileged;
pub mod processes;
pub mod programs;
pub mod sockets;
pub mod units;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use shared::record::Value;

use self::logins::{Layout, Log, Terminals};
use self::privileged::Walk;
use self::processes::{Boot, Seen};
use self::programs::Programs;
use self::sockets::Owners;
use super::child;
use super::place::Place;
use super::row::Row;
use super::table::Table;

/// Longest files that are read.
const ACCOUNTS_BYTES_MAX: u64 = 16 << 20;
const PACKAGES_BYTES_MAX: u64 = 64 << 20;
const LISTING_BYTES_MAX: u64 = 4 << 20;
const KEYS_BYTES_MAX: u64 = 1 << 20;
/// Logins of the past that are told at first, of each file.
const LOGINS_AT_FIRST: u64 = 256;
/// Bytes of logins that are read in a round, of each file.
const LOGINS_BYTES_MAX: u64 = 4 << 20;
/// Users whose keys are looked at.
const HOMES_MAX: usize = 8192;
/// Numbers of processes that are told.
const PROCESSES_MAX: usize = 65_536;

/// Why a table could not be read.
#[derive(Debug, thiserror::Error)]
#[error("table '{table}' cannot be read: {what}: {problem}", table = .table.name())]
pub struct Unread {
    /// Which.
    pub table: Table,
    /// The file or program.
    pub what: String,
    /// What the system said.
    #[source]
    pub problem: io::Error,
}

/// How a round of a table went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Round {
    /// Every row was told.
    Whole,
    /// Some rows may be missing.
    Partial,
    /// Nothing changed since the last: no row was told.
    Same,
}

/// Files by which a table is known to be as it was: device, inode, size, change.
type Version = Vec<(u64, u64, u64, i64, i64)>;

/// Reads tables of a tree.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    boot: Boot,
    /// Programs' hashes, where they are wanted.
    pub programs: Programs,
    owners: Owners,
    names: HashMap<u32, String>,
    homes: Vec<(String, String)>,
    versions: HashMap<Table, Version>,
    /// How far files of logins were read: inode, offset.
    read_to: HashMap<&'static str, (u64, u64)>,
    /// Who logged in at which terminal, by wtmp.
    terminals: Terminals,
    walk: Option<Walk>,
}

impl Reader {
    /// One of this tree, that has read nothing.
    #[must_use]
    pub fn new(place: Place) -> Self {
        let boot = Boot::of(
            &place.text("proc/sys/kernel/random/boot_id", 64),
            &String::from_utf8_lossy(&place.read("proc/stat", LISTING_BYTES_MAX).unwrap_or_default()),
        );
        let mut reader = Self {
            place,
            boot,
            programs: Programs::default(),
            owners: Owners::default(),
            names: HashMap::new(),
            homes: Vec::new(),
            versions: HashMap::new(),
            read_to: HashMap::new(),
            terminals: Terminals::default(),
            walk: None,
        };
        reader.refresh_names();
        reader
    }

    /// The tree.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The boot.
    #[must_use]
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// The row of a process, with its program's hash as far as that is known or may be read.
    pub fn process(&mut self, seen: &Seen) -> Option<Row> {
        let mut row = processes::row(seen, &self.boot, &self.names)?;
        if seen.exe.is_some() {
            match self.programs.hash(&self.place.at(&format!("proc/{}/exe", seen.pid))) {
                Ok(hash) => {
                    let sha256 =
                        [("algorithm_id".to_owned(), Value::U64(3)), ("value".to_owned(), Value::String(hash))];
                    row.volatile(".file.hashes", Value::List(vec![Value::Map(sha256.to_vec())]));
                }
                Err(why) => row.volatile("unmapped.hash_unknown", Value::String(why.name().to_owned())),
            }
        }
        Some(row)
    }

    /// Names of users are those of now.
    fn refresh_names(&mut self) {
        let passwd = self.place.read("etc/passwd", ACCOUNTS_BYTES_MAX).unwrap_or_default();
        (self.names, self.homes) = accounts::people(&passwd);
    }

    /// Every table will be told whole the next time, also one whose files did not change.
    pub fn forget_versions(&mut self) {
        self.versions.clear();
    }

    /// Tells the rows of a table.
    ///
    /// # Errors
    /// [`Unread`]: its rows are not known.
    pub fn read(&mut self, table: Table, each: &mut dyn FnMut(Row)) -> Result<Round, Unread> {
        let unread = |what: &str| {
            let what = what.to_owned();
            move |problem| Unread { table, what, problem }
        };
        match table {
            Table::Facts => each(facts::row(&self.place, self.boot.at)),
            Table::Reboot => each(facts::reboot(&self.place)),
            Table::Processes => return self.processes(each).map_err(unread("/proc")),
            Table::Sockets => {
                let Self { place, owners, names, .. } = self;
                sockets::sockets(place, owners, names, each).map_err(unread("/proc/net"))?;
            }
            Table::Users | Table::Groups => {
                return self.accounts(table, each).map_err(unread("/etc/passwd, /etc/group"));
            }
            Table::Sessions => self.sessions(each),
            Table::Logins => self.logins(each),
            Table::Packages => return self.packages(each),
            Table::Units => {
                let units = units::found(&self.place);
                units.values().filter(|unit| !unit.name.ends_with(".timer")).map(units::row).for_each(each);
            }
            Table::Timers => {
                let units = units::found(&self.place);
                let timers = units.values().filter(|unit| unit.name.ends_with(".timer"));
                timers.map(|timer| units::timer(timer, units.get(&units::service_of(timer)))).for_each(each);
            }
            Table::Cron => self.cron(each),
            Table::Modules => match self.place.read("proc/modules", LISTING_BYTES_MAX) {
                Ok(text) => kernel::modules(&text, each),
                // A kernel without modules.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unread("/proc/modules")(error)),
            },
            Table::Mounts => {
                self.mounts().map_err(unread("/proc/1/mountinfo"))?.iter().map(kernel::Mount::row).for_each(each)
            }
            Table::Sysctls => {
                for name in kernel::SYSCTLS {
                    let path = format!("proc/sys/{}", name.replace('.', "/"));
                    self.place.read(&path, 4096).into_iter().for_each(|value| each(kernel::sysctl(name, &value)));
                }
            }
            Table::Privileged => {
                self.begin_walk();
                while self.step_walk(u64::from(u32::MAX), each).is_none() {}
            }
            Table::AuthorizedKeys => return Ok(self.keys(each)),
        }
        Ok(Round::Whole)
    }

    fn processes(&mut self, each: &mut dyn FnMut(Row)) -> io::Result<Round> {
        let proc = self.place.at("proc");
        let pids = processes::pids(&proc)?;
        let round = if pids.len() > PROCESSES_MAX { Round::Partial } else { Round::Whole };
        for pid in pids.into_iter().take(PROCESSES_MAX) {
            self.process(&processes::read(&proc, pid)).into_iter().for_each(&mut *each);
        }
        Ok(round)
    }

    /// Whether files are as they were the last time that this was asked for this table.
    fn is_same(&mut self, table: Table, paths: &[&str]) -> bool {
        let version = |path: &&str| {
            let found = std::fs::metadata(self.place.at(path)).ok();
            found.map_or((0, 0, 0, 0, 0), |found| {
                (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec())
            })
        };
        let now: Version = paths.iter().map(version).collect();
        self.versions.insert(table, now.clone()) == Some(now)
    }

    fn accounts(&mut self, table: Table, each: &mut dyn FnMut(Row)) -> io::Result<Round> {
        if self.is_same(table, &["etc/passwd", "etc/shadow", "etc/group"]) {
            return Ok(Round::Same);
        }
        let told = self.accounts_now(table, each);
        if told.is_err() {
            // They are read again the next time, changed or not.
            self.versions.remove(&table);
        }
        told.map(|()| Round::Whole)
    }

    fn accounts_now(&mut self, table: Table, each: &mut dyn FnMut(Row)) -> io::Result<()> {
        let read = |path: &str| self.place.read(path, ACCOUNTS_BYTES_MAX);
        let group = match read("etc/group") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            group => group?,
        };
        if table == Table::Groups {
            accounts::groups(&group, each);
        } else {
            let (passwd, shadow) = (read("etc/passwd")?, read("etc/shadow").ok());
            accounts::users(&passwd, shadow.as_deref(), &group, each);
            self.refresh_names();
        }
        Ok(())
    }

    fn sessions(&self, each: &mut dyn FnMut(Row)) {
        const LOGIND: &str = "run/systemd/sessions";
        let utmp = self
            .place
            .read("run/utmp", LISTING_BYTES_MAX)
            .or_else(|_| self.place.read("var/run/utmp", LISTING_BYTES_MAX));
        logins::rows(&utmp.unwrap_or_default(), Layout::native(), Log::Utmp, &mut Terminals::default(), each);
        // A session has a FIFO beside its file.
        for uid in self.place.names(LOGIND, 4096).into_iter().filter(|name| !name.contains('.')) {
            let text = self.place.read(&format!("{LOGIND}/{uid}"), 64 << 10).unwrap_or_default();
            logins::session(&uid, &text).into_iter().for_each(&mut *each);
        }
    }

    /// What was appended since the last time; at first the last of what there is.
    fn logins(&mut self, each: &mut dyn FnMut(Row)) {
        let layout = Layout::native();
        let size_of = layout.record_len() as u64;
        for (path, log) in [("var/log/wtmp", Log::Wtmp), ("var/log/btmp", Log::Btmp)] {
            let Ok(file) = super::place::open(&self.place.at(path)) else { continue };
            let Ok(found) = file.metadata() else { continue };
            let whole = found.size() - found.size() % size_of;
            let from = match self.read_to.get(path) {
                Some((inode, offset)) if *inode == found.ino() && *offset <= whole => *offset,
                // Another file: the log was rotated.
                Some(_) => 0,
                None => whole.saturating_sub(LOGINS_AT_FIRST * size_of),
            };
            let mut bytes = Vec::new();
            let len = (whole - from).min(LOGINS_BYTES_MAX - LOGINS_BYTES_MAX % size_of);
            bytes.resize(usize::try_from(len).unwrap_or(0), 0);
            if std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, from).is_ok() {
                self.read_to.insert(path, (found.ino(), from + len));
                logins::rows(&bytes, layout, log, &mut self.terminals, each);
            }
        }
    }

    fn packages(&mut self, each: &mut dyn FnMut(Row)) -> Result<Round, Unread> {
        const DPKG: &str = "var/lib/dpkg/status";
        const APK: &str = "lib/apk/db/installed";
        const RPM: [&str; 4] = ["rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages.db", "Packages"];
        let folders = ["usr/lib/sysimage/rpm", "var/lib/rpm"];
        let rpm: Vec<String> = folders.iter().flat_map(|folder| RPM.map(|name| format!("{folder}/{name}"))).collect();
        let paths: Vec<&str> = rpm.iter().map(String::as_str).chain([DPKG, APK]).collect();
        if self.is_same(Table::Packages, &paths) {
            return Ok(Round::Same);
        }
        let mut round = Round::Whole;
        for (path, parse) in [(DPKG, packages::dpkg as fn(&[u8], &mut dyn FnMut(Row))), (APK, packages::apk)] {
            match self.place.read(path, PACKAGES_BYTES_MAX) {
                Ok(bytes) => parse(&bytes, each),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => round = Round::Partial,
            }
        }
        let holds_rpm = |folder: &&&str| RPM.iter().any(|name| self.place.at(&format!("{folder}/{name}")).exists());
        if let Some(folder) = folders.iter().find(holds_rpm) {
            let folder = self.place.at(folder);
            let arguments = [OsStr::new("--dbpath"), folder.as_os_str(), "-qa".as_ref(), "--qf".as_ref()];
            let asked = arguments.into_iter().chain([OsStr::new(packages::RPM_FORMAT)]);
            let printed = child::output(Path::new("/usr/bin/rpm"), asked);
            let printed = printed.map_err(|problem| {
                // It is asked again the next time.
                self.versions.remove(&Table::Packages);
                Unread { table: Table::Packages, what: "/usr/bin/rpm".to_owned(), problem }
            })?;
            packages::rpm(&printed, each);
        }
        Ok(round)
    }

    fn cron(&self, each: &mut dyn FnMut(Row)) {
        use cron::Form;
        let place = &self.place;
        let mut jobs = |path: String, form: Form<'_>| {
            if let Ok(bytes) = place.read(&path, LISTING_BYTES_MAX) {
                cron::jobs(&format!("/{path}"), &bytes, form, each);
            }
        };
        jobs("etc/crontab".to_owned(), Form::System);
        jobs("etc/anacrontab".to_owned(), Form::Anacron);
        for name in place.names("etc/cron.d", 1024) {
            jobs(format!("etc/cron.d/{name}"), Form::System);
        }
        // Debian's place, and Red Hat's, where Debian has folders.
        for folder in ["var/spool/cron/crontabs", "var/spool/cron"] {
            for name in place.names(folder, HOMES_MAX) {
                jobs(format!("{folder}/{name}"), Form::Of(&name));
            }
        }
        for period in ["hourly", "daily", "weekly", "monthly"] {
            for name in place.names(&format!("etc/cron.{period}"), 1024) {
                if !name.starts_with('.') {
                    each(cron::script(&format!("/etc/cron.{period}/{name}"), &format!("@{period}"), &name));
                }
            }
        }
    }

    /// Mounts of the host's first process: this one may live in a namespace of its own.
    fn mounts(&self) -> io::Result<Vec<kernel::Mount>> {
        let of = |pid: &str| self.place.read(&format!("proc/{pid}/mountinfo"), LISTING_BYTES_MAX);
        let bytes = of("1").or_else(|_| of("self"))?;
        Ok(kernel::mountinfo(&bytes))
    }

    fn keys(&self, each: &mut dyn FnMut(Row)) -> Round {
        let mut round = Round::Whole;
        for (user, home) in self.homes.iter().take(HOMES_MAX) {
            for name in ["authorized_keys", "authorized_keys2"] {
                let path = format!("{}/.ssh/{name}", home.trim_end_matches('/'));
                match self.place.read(&path, KEYS_BYTES_MAX) {
                    Ok(bytes) => {
                        if keys::keys(user, &path, &bytes, each) > 0 {
                            tracing::debug!(path, "lines that are no keys");
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => round = Round::Partial,
                    Err(_) => {}
                }
            }
        }
        round
    }

    /// A walk for files that run as their owner begins anew.
    pub fn begin_walk(&mut self) {
        self.walk = Some(Walk::new(&self.place, &self.mounts().unwrap_or_default()));
    }

    /// A walk is under way.
    #[must_use]
    pub fn walks(&self) -> bool {
        self.walk.is_some()
    }

    /// Looks at `most` entries; how the round went, when it is over.
    pub fn step_walk(&mut self, most: u64, each: &mut dyn FnMut(Row)) -> Option<Round> {
        let Some(walk) = &mut self.walk else { return Some(Round::Partial) };
        if !walk.step(most, each) {
            return None;
        }
        let whole = walk.is_complete();
        self.walk = None;
        Some(if whole { Round::Whole } else { Round::Partial })
    }
}
