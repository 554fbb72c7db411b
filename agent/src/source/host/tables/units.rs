//! systemd's units and timers, by their files and control groups.
//!
//! `systemctl` would need a child process and D-Bus for each look, and says nothing of a tree that is not running; files say
//! what would run after the next boot, and a service that runs has processes in its control group. Generated and transient
//! units are below `/run/systemd` as well. Pure but for [`found`].

use std::collections::{BTreeMap, BTreeSet};

use shared::record::Value;

use super::super::place::Place;
use super::super::row::Row;
use super::super::table::SWITCH;

/// Folders of unit files: the first that has a name counts (systemd.unit(5)).
const FOLDERS: [&str; 7] = [
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/transient",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
const KINDS: [&str; 6] = [".service", ".socket", ".timer", ".path", ".mount", ".target"];
/// Units that are told, and entries of a folder that are looked at.
const UNITS_MAX: usize = 8192;
const UNIT_BYTES_MAX: u64 = 64 << 10;
/// Bit of a unit's level: it runs.
const RUNS: u16 = 2;

/// A unit file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// A link to `/dev/null`, or empty: it cannot be started.
    pub masked: bool,
    /// Something starts it.
    pub enabled: bool,
    /// It has processes; none where that cannot be known.
    pub runs: Option<bool>,
    /// What it says.
    pub text: Vec<u8>,
    /// Files that change it.
    pub drop_ins: Vec<String>,
}

/// Values of a key in a section; an empty one forgets those before it.
fn values<'a>(text: &'a str, section: &str, key: &str) -> Vec<&'a str> {
    let (mut is_in, mut values) = (false, Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_in = name == section;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_in)
            && name.trim() == key
        {
            if value.trim().is_empty() {
                values.clear();
            } else {
                values.push(value.trim());
            }
        }
    }
    values
}

fn common(row: &mut Row, unit: &Unit) {
    row.text("unmapped.path", &unit.path);
    row.put("unmapped.enabled", Value::Bool(unit.enabled));
    if unit.masked {
        row.put("unmapped.masked", Value::Bool(true));
    }
    row.list("unmapped.drop_ins", &unit.drop_ins);
}

/// A unit that is no timer.
#[must_use]
pub fn row(unit: &Unit) -> Row {
    let text = String::from_utf8_lossy(&unit.text);
    let first = |section: &str, key: &str| values(&text, section, key).first().copied().unwrap_or_default().to_owned();
    let mut row = Row::default().key(".name", &unit.name);
    common(&mut row, unit);
    row.text("unmapped.description", first("Unit", "Description"));
    row.list("unmapped.exec_start", values(&text, "Service", "ExecStart"));
    row.list("unmapped.listen", values(&text, "Socket", "ListenStream"));
    row.text("unmapped.user", first("Service", "User"));
    if let Some(runs) = unit.runs {
        row.put("unmapped.runs", Value::Bool(runs));
    }
    row.level = if unit.enabled { SWITCH } else { 0 } | if unit.runs == Some(true) { RUNS } else { 0 };
    row
}

/// A timer, with what its service runs.
#[must_use]
pub fn timer(unit: &Unit, service: Option<&Unit>) -> Row {
    let text = String::from_utf8_lossy(&unit.text);
    let mut row = Row::default().key(".name", &unit.name);
    common(&mut row, unit);
    let schedule = ["OnCalendar", "OnBootSec", "OnStartupSec", "OnActiveSec", "OnUnitActiveSec", "OnUnitInactiveSec"];
    let times =
        schedule.iter().flat_map(|key| values(&text, "Timer", key).into_iter().map(move |at| format!("{key}={at}")));
    row.list("unmapped.schedule", times);
    if let Some(service) = service {
        let text = String::from_utf8_lossy(&service.text);
        row.text(".cmd_line", values(&text, "Service", "ExecStart").join("; "));
        row.text(".user.name", values(&text, "Service", "User").first().copied().unwrap_or("root"));
    }
    row.level = if unit.enabled { SWITCH } else { 0 };
    row
}

/// The name of the service that a timer starts.
#[must_use]
pub fn service_of(timer: &Unit) -> String {
    let text = String::from_utf8_lossy(&timer.text);
    let named = values(&text, "Timer", "Unit").first().map(|name| (*name).to_owned());
    named.unwrap_or_else(|| format!("{}.service", timer.name.trim_end_matches(".timer")))
}

/// Units of a tree, by name; at most 8,192.
#[must_use]
pub fn found(place: &Place) -> BTreeMap<String, Unit> {
    let mut units = BTreeMap::new();
    let (mut enabled, mut drop_ins) = (BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
    for folder in FOLDERS {
        for name in place.names(folder, UNITS_MAX) {
            let path = format!("{folder}/{name}");
            let wants = name.ends_with(".wants") || name.ends_with(".requires") || name.ends_with(".upholds");
            if wants {
                enabled.extend(place.names(&path, UNITS_MAX));
            } else if let Some(unit) = name.strip_suffix(".d") {
                let files = place.names(&path, 64).into_iter().map(|file| format!("/{path}/{file}"));
                drop_ins.entry(unit.to_owned()).or_default().extend(files);
            } else if KINDS.iter().any(|kind| name.ends_with(kind))
                && units.len() < UNITS_MAX
                && !units.contains_key(&name)
            {
                units.insert(name.clone(), unit(place, name, &path));
            }
        }
    }
    let groups: BTreeSet<String> = place.names("sys/fs/cgroup/system.slice", UNITS_MAX).into_iter().collect();
    for (name, unit) in &mut units {
        unit.enabled = enabled.contains(name);
        unit.drop_ins = drop_ins.remove(name).unwrap_or_default();
        unit.runs = (!groups.is_empty() && name.ends_with(".service")).then(|| groups.contains(name));
    }
    units
}

fn unit(place: &Place, name: String, path: &str) -> Unit {
    let link = std::fs::read_link(place.at(path)).ok();
    let masked = link.is_some_and(|to| to.as_os_str() == "/dev/null");
    let text = if masked { Vec::new() } else { place.read(path, UNIT_BYTES_MAX).unwrap_or_default() };
    Unit { name, path: format!("/{path}"), masked, text, ..Unit::default() }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::scratch::Folder;
    use super::*;

    #[test]
    fn units_of_a_tree_are_found_with_what_starts_and_masks_them() {
        let folder = Folder::new();
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(folder.path(path).parent().unwrap()).unwrap();
            std::fs::write(folder.path(path), text).unwrap();
        };
        write(
            "usr/lib/systemd/system/a.service",
            "[Unit]\nDescription=A\n[Service]\nExecStart=/bin/x\nExecStart=\nExecStart=/bin/a -b\nUser=www\n",
        );
        write("usr/lib/systemd/system/b.service", "[Service]\nExecStart=/bin/b\n");
        write("etc/systemd/system/multi-user.target.wants/a.service", "");
        write("etc/systemd/system/a.service.d/x.conf", "");
        write("usr/lib/systemd/system/a.timer", "[Timer]\nOnCalendar=daily\n");
        write("sys/fs/cgroup/system.slice/a.service/cgroup.procs", "");
        std::os::unix::fs::symlink("/dev/null", folder.path("etc/systemd/system/b.service")).unwrap();
        let units = found(&Place::new(folder.as_ref()));
        assert_eq!(units.keys().collect::<Vec<_>>(), ["a.service", "a.timer", "b.service"]);
        let a = row(&units["a.service"]);
        assert_eq!((a.word("unmapped.description"), a.word("unmapped.user"), a.level), ("A", "www", SWITCH | RUNS));
        assert_eq!(format!("{:?}", a.value("unmapped.exec_start")), "Some(List([String(\"/bin/a -b\")]))");
        assert!(units["b.service"].masked && !units["b.service"].enabled);
        let timer_row = timer(&units["a.timer"], units.get(&service_of(&units["a.timer"])));
        assert_eq!((timer_row.word(".cmd_line"), timer_row.word(".user.name")), ("/bin/a -b", "www"));
    }
}
