//! What can be known to be wrong around a good configuration: a check is a function in [`CHECKS`]; it looks at one
//! thing, changes nothing, and says what to do.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use shared::check::{Checks, Outcome, private_folder};
use shared::durable::Writer;
use shared::time::Timestamp;
use shared::yaml::rule;

use crate::admin::socket::{Request, ask};
use crate::ca::roster::Roster;
use crate::ca::token::Tokens;
use crate::ca::{Authority, CaError, Server};
use crate::command::bytes_text;
use crate::config::{Config, ParsersConfig};
use crate::journal::offline::{JournalFiles, OfflineError, Rate, span_text};
use crate::sink::Target;

type LookAt = fn(&Config, Timestamp, &mut Checks);

/// What is looked at once the configuration reads, in this order.
pub(super) const CHECKS: [LookAt; 11] =
    [parsers, state_dir, owner, authority, server, tokens, roster, journal, sinks, socket, addresses];

/// Longest path of a unix socket: `sun_path` with its zero byte, unix(7).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Users' parsers read, and their own lines come to what they say.
fn parsers(config: &Config, _: Timestamp, checks: &mut Checks) {
    if config.parsers == ParsersConfig::default() {
        return;
    }
    match config.parsers.load() {
        Ok(parsers) => {
            let (problems, lines) = parsers.trials();
            let fine = format!("{} parsers, {lines} lines of their tests as they should be", parsers.names().count());
            checks.push_all("parsers", Outcome::Fail, &problems, &fine);
        }
        Err(problems) => checks.push_all("parsers", Outcome::Fail, &problems, ""),
    }
}

fn state_dir(config: &Config, _: Timestamp, checks: &mut Checks) {
    private_folder(checks, "state_dir", &config.state_dir);
}

/// Everything at the top of the state folder belongs to its owner: what a command that root ran left behind
/// otherwise keeps the aggregator from starting.
fn owner(config: &Config, _: Timestamp, checks: &mut Checks) {
    let dir = &config.state_dir;
    let (Ok(meta), Ok(entries)) = (dir.metadata(), dir.read_dir()) else { return };
    let below = ["ca", "tokens"].map(|folder| dir.join(folder)).into_iter().filter_map(|folder| folder.read_dir().ok());
    let strange: Vec<String> = entries
        .chain(below.flatten())
        .filter_map(Result::ok)
        .filter(|entry| entry.metadata().is_ok_and(|file| file.uid() != meta.uid()))
        .map(|entry| entry.path().display().to_string())
        .collect();
    let uid = meta.uid();
    if let Some(first) = strange.first() {
        let detail = format!(
            "{first} and {} others do not belong to uid {uid}, as the folder does; run: chown -R {uid} {}",
            strange.len() - 1,
            dir.display()
        );
        checks.push("owner", Outcome::Fail, detail);
    } else {
        checks.push("owner", Outcome::Ok, format!("uid {uid}"));
    }
}

fn authority(config: &Config, _: Timestamp, checks: &mut Checks) {
    match Authority::load(&config.state_dir) {
        Ok(authority) => {
            checks.push("authority", Outcome::Ok, format!("key {}", authority.key_hash()));
            private_file(checks, "authority", &config.state_dir.join("ca/ca.key"));
        }
        Err(error) => checks.push("authority", Outcome::Fail, advised(&error)),
    }
}

fn advised(error: &CaError) -> String {
    let missing = matches!(error, CaError::File(file) if file.source.kind() == io::ErrorKind::NotFound);
    let advice = if missing { "; make one with `picket-aggregator init --dir DIR`" } else { "" };
    format!("{error}{advice}")
}

fn private_file(checks: &mut Checks, name: &'static str, path: &Path) {
    let Ok(meta) = path.metadata() else { return };
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let shown = path.display();
        let detail = format!("{shown} can be read by others (mode {mode:04o}); run: chmod 0600 {shown}");
        checks.push(name, Outcome::Warn, detail);
    }
}

fn server(config: &Config, now: Timestamp, checks: &mut Checks) {
    let server = match Server::load(&config.state_dir) {
        Ok(server) => server,
        Err(error) => return checks.push("certificate", Outcome::Fail, advised(&error)),
    };
    let trusted = Authority::load(&config.state_dir).and_then(|authority| authority.trusted());
    let certificate = &server.certificate;
    let names: Vec<String> = certificate.names.iter().map(ToString::to_string).collect();
    let shown = format!("{}, through {}", names.join(", "), certificate.not_after);
    if let (Ok(trusted), Some(leaf)) = (trusted, server.credentials.chain.first())
        && let Err(error) = trusted.aggregator(leaf)
    {
        let detail = format!("no agent trusts it ({error}): it is not of the authority in ca.crt");
        checks.push("certificate", Outcome::Fail, detail);
    } else if server.due(now) {
        let detail = format!("{shown}: it is due, the aggregator makes it anew when it starts");
        checks.push("certificate", Outcome::Warn, detail);
    } else {
        checks.push("certificate", Outcome::Ok, shown);
    }
    private_file(checks, "certificate", &config.state_dir.join("ca/server.pem"));
}

fn tokens(config: &Config, now: Timestamp, checks: &mut Checks) {
    // Opening the tokens makes their folder: only one that is there is looked at.
    if !config.state_dir.join("tokens").is_dir() {
        return;
    }
    let Ok(authority) = Authority::load(&config.state_dir) else { return };
    let listed = Writer::for_owner_of(&config.state_dir)
        .map_err(|error| error.to_string())
        .and_then(|writer| {
            Tokens::open(&config.state_dir, authority.key_hash(), writer).map_err(|error| error.to_string())
        })
        .and_then(|tokens| tokens.list(now).map_err(|error| error.to_string()));
    match listed {
        Ok((tokens, damaged)) => {
            checks.push_all("tokens", Outcome::Warn, &damaged, &format!("{} tokens", tokens.len()));
        }
        Err(error) => checks.push("tokens", Outcome::Fail, error),
    }
}

fn roster(config: &Config, _: Timestamp, checks: &mut Checks) {
    match Roster::view(&config.state_dir) {
        Ok((book, found)) => {
            let agents = book.agents().count();
            if found.damaged_lines > 0 {
                let detail = format!(
                    "{} lines of {} do not read, and one may have been a revocation: compare it with a backup, and \
                     revoke again whom you revoked",
                    found.damaged_lines,
                    config.state_dir.join("roster.log").display()
                );
                checks.push("roster", Outcome::Fail, detail);
            } else {
                checks.push("roster", Outcome::Ok, format!("{agents} agents"));
            }
        }
        Err(error) => checks.push("roster", Outcome::Fail, error.to_string()),
    }
}

fn journal(config: &Config, _: Timestamp, checks: &mut Checks) {
    let dir = config.journal_dir();
    let used = match JournalFiles::open(&dir).and_then(|files| files.stat()) {
        Ok(stat) => {
            let detail = format!("{} segments, {} bytes, {} records", stat.segments, stat.bytes, stat.records);
            checks.push("journal", Outcome::Ok, detail);
            if let Some(rate) = stat.rate() {
                retention(config, rate, checks);
            }
            stat.bytes
        }
        Err(OfflineError::Missing { .. }) => {
            let detail = format!("{} does not exist yet; it is made at the first start", dir.display());
            checks.push("journal", Outcome::Ok, detail);
            0
        }
        Err(error) => return checks.push("journal", Outcome::Fail, error.to_string()),
    };
    let Some(filesystem) = dir.ancestors().find(|path| path.is_dir()) else { return };
    if let Ok(space) = rustix::fs::statvfs(filesystem) {
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let max_bytes = config.journal.max_bytes;
        if used.saturating_add(free) < max_bytes {
            let detail = format!(
                "journal.max_bytes is {max_bytes}, and {} has {free} bytes left beside the {used} that the journal \
                 takes: lower it, or make room",
                filesystem.display()
            );
            checks.push("journal", Outcome::Warn, detail);
        }
    }
}

/// Whether what comes in during `journal.retain` fits `journal.max_bytes`, at the rate of what the journal holds. What
/// does not fit goes early, or stops the agents.
fn retention(config: &Config, rate: Rate, checks: &mut Checks) {
    let (max_bytes, retain) = (config.journal.max_bytes, config.journal.retain);
    let needed = rate.bytes_in(retain);
    if needed <= max_bytes {
        return;
    }
    let detail = format!(
        "{} a day came in (over {}): journal.retain of {} would take {}, and journal.max_bytes is {}; it is full after {}, \
         and older segments go early: raise max_bytes, or lower retain to that",
        bytes_text(rate.bytes_in(Duration::from_secs(86_400))),
        span_text(rate.over),
        rule::show_duration(retain),
        bytes_text(needed),
        bytes_text(max_bytes),
        span_text(rate.time_to(max_bytes)),
    );
    checks.push("journal", Outcome::Warn, detail);
}

fn sinks(config: &Config, _: Timestamp, checks: &mut Checks) {
    for sink in &config.sinks {
        let (name, place) = (&sink.name, sink.target.place());
        if let Target::Parquet { path } = &sink.target
            && path.exists()
            && !path.is_dir()
        {
            let detail = format!("{name}: {} is not a folder; move it away or set another", path.display());
            checks.push("sinks", Outcome::Fail, detail);
            continue;
        }
        match sink.target.peek() {
            Ok(0) => checks.push("sinks", Outcome::Ok, format!("{name}: {}, empty", place.display())),
            Ok(cursor) => {
                let detail = format!("{name}: {}, through position {cursor}", place.display());
                checks.push("sinks", Outcome::Ok, detail);
            }
            Err(error) => checks.push("sinks", Outcome::Fail, format!("{name}: {error}")),
        }
    }
}

fn socket(config: &Config, _: Timestamp, checks: &mut Checks) {
    let path = &config.socket;
    let shown = path.display();
    let length = path.as_os_str().as_bytes().len();
    if length > SOCKET_PATH_BYTES_MAX {
        let detail =
            format!("{shown} has {length} bytes, and a socket's path at most {SOCKET_PATH_BYTES_MAX}: set `socket`");
        return checks.push("socket", Outcome::Fail, detail);
    }
    match path.symlink_metadata() {
        Ok(meta) if !meta.file_type().is_socket() => {
            let detail = format!("{shown} is there and is no socket: move it away, or set another `socket`");
            checks.push("socket", Outcome::Fail, detail);
        }
        _ => checks.push("socket", Outcome::Ok, shown.to_string()),
    }
}

/// Both addresses can be bound, or the aggregator that has them is the one of this configuration.
fn addresses(config: &Config, _: Timestamp, checks: &mut Checks) {
    if matches!(ask(&config.socket, &Request::Status), Ok(Some(_))) {
        checks.push("listen", Outcome::Ok, format!("{}, by the aggregator that runs", config.listen));
        checks.push("http", Outcome::Ok, format!("{}, by the aggregator that runs", config.http));
        return;
    }
    let udp = |address: SocketAddr| UdpSocket::bind(address).map(drop);
    let tcp = |address: SocketAddr| TcpListener::bind(address).map(drop);
    bound(checks, "listen", "UDP", config.listen, udp(config.listen));
    bound(checks, "listen", "TCP", config.listen, tcp(config.listen));
    bound(checks, "http", "TCP", config.http, tcp(config.http));
}

fn bound(checks: &mut Checks, name: &'static str, transport: &str, address: SocketAddr, result: io::Result<()>) {
    let Err(error) = result else { return checks.push(name, Outcome::Ok, format!("{address} {transport}")) };
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program has it; stop that, or set another port",
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege",
        _ => "set another address",
    };
    checks.push(name, Outcome::Fail, format!("{address} {transport} cannot be bound: {error}; {advice}"));
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::command::scratch::Scratch;
    use crate::journal::offline::testing::Maker;

    /// A folder that `init` made, on ports of its own.
    fn initialized(name: &str) -> Scratch {
        let scratch = Scratch::initialized(name);
        let path = scratch.dir.join("aggregator.yaml");
        let yaml = std::fs::read_to_string(&path).unwrap();
        let (listen, http) = (free_port(), free_port());
        let yaml = yaml.replace("0.0.0.0:7443", &listen).replace("127.0.0.1:7480", &http);
        std::fs::write(path, yaml.replace("20GiB", "256MiB")).unwrap();
        scratch
    }

    fn free_port() -> String {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
    }

    fn outcomes(scratch: &Scratch, check: &str) -> Vec<(String, String)> {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let rows = scratch.rows("validate").into_iter().filter(|row| row["check"] == check);
        rows.map(|row| (text(&row, "outcome"), text(&row, "detail"))).collect()
    }

    #[track_caller]
    fn assert_one(scratch: &Scratch, check: &str, outcome: &str, detail: &str) {
        let found = outcomes(scratch, check);
        assert!(found.iter().any(|(o, d)| o == outcome && d.contains(detail)), "{check}: {found:?}");
    }

    #[test]
    fn what_init_made_is_fine_in_every_respect() {
        let scratch = initialized("checks-fine");
        let rows = scratch.rows("validate");
        let bad: Vec<_> = rows.iter().filter(|row| row["outcome"] != "ok").collect();
        assert!(bad.is_empty(), "{bad:?}");
        for check in ["authority", "certificate", "tokens", "roster", "journal", "sinks", "socket", "listen", "http"] {
            assert!(rows.iter().any(|row| row["check"] == check), "{check}");
        }
        assert!(!scratch.state().join("journal").exists(), "validate changes nothing");
    }

    #[test]
    fn keys_that_others_read_damaged_rosters_and_tokens_are_told() {
        let scratch = initialized("checks-files");
        let state = scratch.state();
        std::fs::set_permissions(state.join("ca/ca.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(state.join("roster.log"), "00000000 {}\n").unwrap();
        std::fs::write(state.join("tokens/0011223344556677.json"), "{").unwrap();
        assert_one(&scratch, "authority", "warn", "chmod 0600");
        assert_one(&scratch, "roster", "fail", "may have been a revocation");
        assert_one(&scratch, "tokens", "warn", "0011223344556677");
    }

    #[test]
    fn a_missing_authority_and_a_certificate_of_another_are_failures() {
        let (scratch, other) = (initialized("checks-ca"), initialized("checks-ca-other"));
        std::fs::copy(other.state().join("ca/server.pem"), scratch.state().join("ca/server.pem")).unwrap();
        assert_one(&scratch, "certificate", "fail", "no agent trusts it");
        std::fs::remove_dir_all(scratch.state().join("ca")).unwrap();
        assert_one(&scratch, "authority", "fail", "init --dir");
        assert_one(&scratch, "certificate", "fail", "init --dir");
    }

    #[test]
    fn an_address_that_another_program_has_is_a_failure() {
        let scratch = initialized("checks-port");
        let http = crate::config::load(&scratch.dir.join("aggregator.yaml")).unwrap().config.http;
        let _taken = TcpListener::bind(http).unwrap();
        assert_one(&scratch, "http", "fail", "another program has it");
    }

    #[test]
    fn a_rate_that_does_not_fit_retain_is_a_warning_with_its_numbers_and_silent_before_it_is_known() {
        let scratch = initialized("checks-rate");
        let mut maker = Maker::at(scratch.state());
        let noise = |maker: &mut Maker| {
            let mut noise = vec![0; 250 << 10];
            shared::identity::fill_random(&mut noise);
            maker.raw_lines(&[(&noise, 0)]);
        };
        (0..40).for_each(|_| noise(&mut maker));
        let warned = |scratch: &Scratch| {
            outcomes(scratch, "journal").into_iter().filter(|(outcome, _)| outcome == "warn").collect::<Vec<_>>()
        };
        assert_eq!(warned(&scratch), [], "less than an hour says nothing");
        maker.pass(Duration::from_secs(2 * 3_600));
        noise(&mut maker);
        // 10 MiB in two hours are 120 MiB a day, and 21 GiB in 180 days.
        let [(_, detail)] = &warned(&scratch)[..] else { panic!("{:?}", warned(&scratch)) };
        for part in ["MiB a day came in (over 2h 0m)", "retain of 180d", "max_bytes is 256.0MiB", "full after 2d "] {
            assert!(detail.contains(part), "{part}: {detail}");
        }
        let path = scratch.dir.join("aggregator.yaml");
        let yaml = std::fs::read_to_string(&path).unwrap().replace("180d", "2d");
        assert!(yaml.contains("retain: 2d"), "{yaml}");
        std::fs::write(path, yaml).unwrap();
        assert_eq!(warned(&scratch), []);
    }

    #[test]
    fn things_in_the_way_of_lake_socket_and_space_are_told() {
        let scratch = initialized("checks-way");
        std::fs::remove_dir(scratch.dir.join("lake")).unwrap();
        scratch.file("lake", "a file");
        std::fs::write(scratch.state().join("admin.sock"), "a file").unwrap();
        let path = scratch.dir.join("aggregator.yaml");
        let yaml = std::fs::read_to_string(&path).unwrap().replace("256MiB", "1024TiB");
        std::fs::write(path, yaml).unwrap();
        assert_one(&scratch, "sinks", "fail", "is not a folder");
        assert_one(&scratch, "socket", "fail", "is no socket");
        assert_one(&scratch, "journal", "warn", "make room");
    }

    #[test]
    fn a_file_of_another_owner_in_the_state_folder_is_a_failure() {
        let scratch = initialized("checks-owner");
        if !rustix::process::geteuid().is_root() {
            println!("skipped: not root");
            return;
        }
        std::os::unix::fs::chown(scratch.state().join("ca/ca.crt"), Some(4_242), None).unwrap();
        assert_one(&scratch, "owner", "fail", "chown -R");
    }
}
