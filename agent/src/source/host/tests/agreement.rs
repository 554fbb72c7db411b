//! What the host's own tools say of the same host: the same sets.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shared::time::{Clock, ManualClock};

use super::super::place::Place;
use super::super::row::Row;
use super::super::tables::{Reader, keys};
use super::{Kept, Table, source};
use crate::source::scratch::Folder;

/// What a tool prints, or none where it is not installed.
fn printed(tool: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(tool).args(arguments).env("LC_ALL", "C").output();
    match output {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => {
            println!("skipped: {tool} ended with {}", output.status);
            None
        }
        Err(_) => {
            println!("skipped: no {tool}");
            None
        }
    }
}

fn rows(table: Table) -> Vec<Row> {
    let mut rows = Vec::new();
    Reader::new(Place::new(Path::new("/"))).read(table, &mut |row| rows.push(row)).unwrap();
    rows
}

fn set(rows: &[Row], key: impl Fn(&Row) -> String) -> BTreeSet<String> {
    rows.iter().map(key).collect()
}

fn number(row: &Row, path: &str) -> String {
    match row.value(path) {
        Some(shared::record::Value::U64(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// Rows that both of two readings have were there in between, too, and so are in what the tool says; what the tool says is
/// in one of the readings, but for those that came and went between: `passing` of them.
fn same(
    table: Table,
    tool: &str,
    arguments: &[&str],
    key: impl Fn(&Row) -> String,
    parse: impl Fn(&str) -> BTreeSet<String>,
    passing: usize,
) {
    let before = set(&rows(table), &key);
    let Some(text) = printed(tool, arguments) else { return };
    let after = set(&rows(table), &key);
    let told = parse(&text);
    if told.is_empty() && before.is_empty() && after.is_empty() {
        println!("skipped: {tool} lists nothing here");
        return;
    }
    let missing: Vec<_> = before.intersection(&after).filter(|row| !told.contains(*row)).collect();
    assert!(missing.is_empty(), "{tool} does not know of {missing:?}");
    let unseen: Vec<_> = told.iter().filter(|row| !before.contains(*row) && !after.contains(*row)).collect();
    println!("{tool}: {} rows agree, {} only there: {unseen:?}", told.len() - unseen.len(), unseen.len());
    assert!(unseen.len() <= passing, "{tool} knows {unseen:?}");
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn processes_are_those_of_ps() {
    // `ps` sees itself; others may begin and end meanwhile.
    same(Table::Processes, "ps", &["-eo", "pid="], |row| number(row, ".pid"), lines, 40);
}

#[test]
fn sockets_that_listen_are_those_of_ss_and_have_their_process() {
    let tcp = ["127.0.0.1:0", "0.0.0.0:0"].map(|at| std::net::TcpListener::bind(at).unwrap());
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(tcp[0].local_addr().unwrap()).unwrap();
    let own: Vec<Row> = rows(Table::Sockets)
        .into_iter()
        .filter(|row| number(row, "actor.process.pid") == std::process::id().to_string())
        .collect();
    for port in [&tcp[0], &tcp[1]]
        .map(|tcp| tcp.local_addr().unwrap().port())
        .into_iter()
        .chain([udp.local_addr().unwrap().port(), client.local_addr().unwrap().port()])
    {
        assert!(own.iter().any(|row| number(row, "src_endpoint.port") == port.to_string()), "{port}: {own:?}");
    }
    let key = |row: &Row| {
        let is_listening = number(row, "dst_endpoint.port").is_empty();
        if is_listening {
            format!("{}:{}", row.word(".protocol_name"), number(row, "src_endpoint.port"))
        } else {
            "other".to_owned()
        }
    };
    let parse = |text: &str| -> BTreeSet<String> {
        let sockets = text.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            Some(format!("{}:{}", words.first()?, words.get(4)?.rsplit(':').next()?))
        });
        sockets.chain(["other".to_owned()]).collect()
    };
    same(Table::Sockets, "ss", &["-Hltun"], key, parse, 40);
}

#[test]
fn a_socket_that_listens_is_told_when_it_opens_and_when_it_closes_with_its_process() {
    let clock = ManualClock::new(Clock::System.now());
    let (mut source, mut kept) =
        (source("/".into(), &[Table::Sockets], &Clock::Manual(clock.clone())), Kept::default());
    source.turn(&mut kept);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = u64::from(socket.local_addr().unwrap().port());
    let mut told = || {
        clock.advance(Duration::from_secs(60));
        kept.0.clear();
        (0..3).for_each(|_| source.turn(&mut kept));
        let own = kept.0.iter().filter(|(_, fields)| super::number(fields, "src_endpoint.port") == Some(port));
        let seen = own.map(|(_, fields)| {
            let number = |path: &str| super::number(fields, path);
            (number("class_uid"), number("activity_id"), number("actor.process.pid"))
        });
        seen.collect::<Vec<_>>()
    };
    let this = Some(u64::from(std::process::id()));
    // OCSF: 7 listen, 2 close.
    assert_eq!(told(), [(Some(4001), Some(7), this)]);
    assert_eq!(told(), []);
    drop(socket);
    assert_eq!(told(), [(Some(4001), Some(2), None)]);
}

#[test]
fn packages_are_those_of_dpkg_query() {
    let key =
        |row: &Row| format!("{} {} {}", row.word(".name"), row.word(".version"), row.word("unmapped.architecture"));
    let format = "${db:Status-Status} ${Package} ${Version} ${Architecture}\\n";
    let parse =
        |text: &str| text.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect();
    same(Table::Packages, "dpkg-query", &["-W", "-f", format], key, parse, 0);
}

#[test]
fn users_and_groups_are_those_of_getent() {
    let first_of = |index: usize| {
        move |text: &str| -> BTreeSet<String> {
            let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
            fields.filter_map(|fields| Some(format!("{}={}", fields.first()?, fields.get(index)?))).collect()
        }
    };
    let key = |row: &Row| format!("{}={}", row.word(".name"), row.word(".uid"));
    same(Table::Users, "getent", &["passwd"], key, first_of(2), 0);
    same(Table::Groups, "getent", &["group"], key, first_of(2), 0);
}

#[test]
fn modules_are_those_of_lsmod() {
    let parse = |text: &str| {
        text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next()).map(str::to_owned).collect()
    };
    same(Table::Modules, "lsmod", &[], |row| row.word(".name").to_owned(), parse, 0);
}

#[test]
fn modules_are_those_that_sysfs_says_were_loaded() {
    // What is built in has a folder, too, but no state.
    let folders = std::fs::read_dir("/sys/module").into_iter().flatten().filter_map(Result::ok);
    let loaded = folders.filter(|folder| folder.path().join("initstate").exists());
    let loaded: BTreeSet<String> = loaded.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    println!("{} modules", loaded.len());
    assert_eq!(set(&rows(Table::Modules), |row| row.word(".name").to_owned()), loaded);
}

#[test]
fn mounts_are_those_of_findmnt() {
    same(
        Table::Mounts,
        "findmnt",
        &["-rn", "-N", "1", "-o", "TARGET"],
        |row| row.word(".path").replace(' ', "\\x20"),
        lines,
        10,
    );
}

#[test]
fn logins_are_those_of_last() {
    use super::super::tables::logins::{Layout, Log, Terminals, made, rows};
    let folder = Folder::new();
    let layout = Layout::native();
    let mut bytes = made(layout, 2, "reboot", "~", "6.1.0", 1_700_000_000);
    bytes.extend(made(layout, 7, "bob", "pts/0", "example.net", 1_700_000_100));
    bytes.extend(made(layout, 7, "eve", "pts/1", "", 1_700_000_200));
    bytes.extend(made(layout, 8, "", "pts/0", "", 1_700_000_300));
    let path = folder.path("wtmp");
    std::fs::write(&path, &bytes).unwrap();
    let Some(text) = printed("last", &["-w", "-f", path.to_str().unwrap()]) else { return };
    let mut told = BTreeSet::new();
    rows(&bytes, layout, Log::Wtmp, &mut Terminals::default(), &mut |row| {
        if row.level == 2 {
            assert_eq!(row.word("user.name"), "bob", "as `last` tells whose session ended");
        }
        if row.level == 1 {
            told.insert(format!("{} {}", row.word("user.name"), row.word("session.terminal")));
        }
    });
    let of_last = text
        .lines()
        .filter(|line| line.contains("pts/"))
        .map(|line| line.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" "));
    assert_eq!(told, of_last.collect());
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let folder = Folder::new();
    let path = folder.path("key");
    let path = path.to_str().unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let _ = std::fs::remove_file(path);
        if printed("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", "bob@x", "-f", path]).is_none() {
            return;
        }
        let public = std::fs::read(format!("{path}.pub")).unwrap();
        let mut told = Vec::new();
        assert_eq!(
            keys::keys("bob", "/k", &public, &mut |row| told.push(row.word("unmapped.fingerprint").to_owned())),
            0
        );
        let text = printed("ssh-keygen", &["-l", "-f", path]).unwrap();
        assert_eq!(text.split_ascii_whitespace().nth(1), told.first().map(String::as_str), "{kind}");
    }
}
