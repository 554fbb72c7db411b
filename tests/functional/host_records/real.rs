//! Promise: what the host source tells of this very host, of every table and every kind of difference, is a valid event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agent::source::host::Table;
use agent::source::host::known::Difference;
use agent::source::host::place::Place;
use agent::source::host::record::{States, difference};
use agent::source::host::row::{Fields, Row};
use agent::source::host::tables::{Reader, facts};
use shared::time::Timestamp;

use crate::network_records::Bench;
use picket_tests::harness::Place as TestPlace;

const AT: Timestamp = Timestamp::from_seconds(1_773_653_300);
/// Rows of a table that are looked at.
const ROWS_MAX: usize = 400;

/// What may stand in `unmapped` although the agent calls it by no such name: table, key, why.
const EXPECTED: &[(&str, &str, &str)] = &[];

/// All records that can be made of a row.
fn records_of(table: Table, row: &Row, records: &mut Vec<Fields>) {
    let came = [Difference::Added(row.clone()), Difference::Changed(row.clone(), 0)];
    // The past does not go, nor does the one row that says whether a reboot is required.
    let stays = matches!(table, Table::Logins | Table::Reboot);
    let gone = (!stays).then(|| Difference::Removed(Row::of_key(&row.known_by())));
    records.extend(came.into_iter().chain(gone).map(|what| difference(table, what, AT)));
}

/// Holds what is told of a tree; the classes of each table, with how many events there were.
#[track_caller]
fn hold(root: &Path) -> BTreeMap<(Table, u32), usize> {
    let Some(mut bench) = Bench::new() else { return BTreeMap::new() };
    let mut reader = Reader::new(Place::new(root));
    // As the frames of the host's agent say it.
    bench.origin.hostname = reader.place().text("proc/sys/kernel/hostname", 256);
    bench.origin.boot_id = Some(reader.place().text("proc/sys/kernel/random/boot_id", 64)).filter(|id| !id.is_empty());
    let system = facts::system(reader.place());
    let (mut classes, mut without_place) = (BTreeMap::<(Table, u32), usize>::new(), BTreeSet::new());
    for table in Table::ALL {
        let mut records = Vec::new();
        let mut states = States::new(table, AT, system.clone());
        let (mut count, mut rows) = (0, Vec::new());
        let read = reader.read(table, &mut |row: Row| {
            count += 1;
            if count <= ROWS_MAX {
                rows.push(row.clone());
                states.row(row, &mut |fields| records.push(fields));
            }
        });
        if let Err(error) = read {
            println!("skipped: {error}");
        }
        states.finish(&mut |fields| records.push(fields));
        rows.iter().for_each(|row| records_of(table, row, &mut records));
        for said in &records {
            bench.event(said, |event| {
                *classes.entry((table, event.class.uid())).or_default() += 1;
                for (key, _) in &event.unmapped {
                    let is_plain = said.iter().any(|(name, _)| name.strip_prefix("unmapped.") == Some(key));
                    if !is_plain {
                        without_place.insert((table.name(), event.class.uid(), key.to_string()));
                    }
                }
            });
        }
    }
    println!("{classes:#?}");
    assert!(classes.keys().all(|(_, class)| *class != 0), "a record lacks what its class requires: {classes:?}");
    let is_expected = |table: &str, key: &str| EXPECTED.iter().any(|(of, name, _)| (*of, *name) == (table, key));
    without_place.retain(|(table, _, key)| !is_expected(table, key));
    assert!(
        without_place.is_empty(),
        "OCSF has a place for these, or the agent should call them unmapped: {without_place:#?}"
    );
    classes
}

#[test]
fn what_is_told_of_this_host_is_valid_and_what_ocsf_has_a_place_for_is_there() {
    hold(Path::new("/"));
}

/// A record of utmp(5) as glibc writes it on this machine.
fn login(kind: u16, user: &str, line: &str, host: &str) -> Vec<u8> {
    let wide = cfg!(any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64"));
    let mut bytes = vec![0; if wide { 400 } else { 384 }];
    let mut put = |at: usize, value: &[u8]| {
        bytes.get_mut(at..at + value.len()).expect("within the record").copy_from_slice(value)
    };
    put(0, &kind.to_ne_bytes());
    put(4, &77_u32.to_ne_bytes());
    put(8, line.as_bytes());
    put(44, user.as_bytes());
    put(76, host.as_bytes());
    put(if wide { 344 } else { 340 }, &1_773_600_000_u32.to_ne_bytes());
    put(if wide { 360 } else { 348 }, &[192, 0, 2, 1]);
    bytes
}

/// What a test's machine seldom has: sessions, logouts, failed logins, containers, connections, modules, keys.
#[test]
fn what_is_told_of_a_host_with_sessions_and_containers_is_valid_and_has_its_place() {
    let place = TestPlace::new("host-records").unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = place.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let stat = "42 (app) S 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 250 0 0\n";
    write("proc/42/stat", stat.as_bytes());
    write("proc/42/status", b"Name:\tapp\nUid:\t1000\t1000\t1000\t1000\n");
    write("proc/42/cmdline", b"app\0--serve\0");
    write("proc/42/cgroup", format!("0::/system.slice/docker-{}.scope\n", "ab".repeat(32)).as_bytes());
    let socket = |number, remote, state, inode| {
        format!(" {number}: 0100007F:0016 {remote} {state} 00000000:00000000 00:00000000 00000000 1000 0 {inode} 1\n")
    };
    let sockets = [socket(0, "00000000:0000", "0A", 11), socket(1, "0200007F:9999", "01", 12)].concat();
    write("proc/net/tcp", format!("  sl  local_address rem_address st\n{sockets}").as_bytes());
    write("proc/net/udp", b"  sl  local_address rem_address st\n");
    write("proc/modules", b"xfs 1000 2 - Live 0x0 (OE)\n");
    write("proc/1/mountinfo", b"36 35 98:0 / /srv rw,nosuid - ext4 /dev/vda1 rw\n");
    write("proc/sys/kernel/hostname", b"web-1\n");
    write("etc/machine-id", b"0123456789abcdef0123456789abcdef\n");
    write("etc/os-release", b"NAME=Arch\nBUILD_ID=rolling\n");
    write("etc/passwd", b"eve:x:1000:1000:Eve E.,,:/home/eve:/bin/sh\n");
    write("etc/group", b"eve:x:1000:\nwheel:x:10:eve\n");
    write("home/eve/.ssh/authorized_keys", b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA eve@example.com\n");
    write("run/systemd/sessions/3", b"UID=1000\nUSER=eve\nREMOTE=1\nREMOTE_HOST=192.0.2.1\nTTY=pts/0\nSERVICE=sshd\n");
    write("run/utmp", &login(7, "eve", "pts/1", "client.example.com"));
    let past = [(2, "reboot", "~"), (7, "eve", "pts/0"), (8, "", "pts/0"), (8, "", "pts/9"), (1, "shutdown", "~")];
    let past: Vec<u8> = past.iter().flat_map(|(kind, user, line)| login(*kind, user, line, "6.1.0")).collect();
    write("var/log/wtmp", &past);
    write("var/log/btmp", &[login(6, "eve", "ssh:notty", ""), login(6, "", "ssh:notty", "")].concat());
    let classes = hold(place.path());
    if classes.is_empty() {
        return;
    }
    for (table, class) in [
        (Table::Processes, 5040),
        (Table::Sockets, 4001),
        (Table::Sessions, 5040),
        (Table::Sessions, 3002),
        (Table::Logins, 3002),
        (Table::Logins, 6002),
        (Table::Modules, 1002),
        (Table::AuthorizedKeys, 5040),
        (Table::Reboot, 5004),
    ] {
        assert!(classes.contains_key(&(table, class)), "{table:?} {class}: {classes:?}");
    }
}
