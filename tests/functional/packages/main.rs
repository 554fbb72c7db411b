//! The packages in a Debian of their own: installed, enrolled, run as their units say, upgraded while lines flow, removed,
//! purged; the .rpm by `rpm --root`. Skipped, and said so, where debootstrap cannot run.

#[cfg(test)]
mod root;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use picket_tests::harness::{LogFile, Place, Row, await_until, rows, skip};
use root::{Root, words};
use xtask::loopback::{build_folder, pause};
use xtask::packing::{Build, Facts, pack};

const DEADLINE: Duration = Duration::from_secs(120);
const AGENT: &str = "picket-agent";
const AGGREGATOR: &str = "picket-aggregator";
/// Only root may read it: the agent reads it by CAP_DAC_READ_SEARCH.
const LOG: &str = "/var/log/app.log";
const FLEET: &str = "\
version: 1
defaults:
  sources:
    app:  { type: file, include: [/var/log/app.log], lane: high }
    host: { type: host, interval: 10s }
    net:  { type: packet, interface: lo, protocols: [flow, http] }
";

/// Where the programs are that are packed: as they are shipped, where they were built so.
fn programs() -> anyhow::Result<PathBuf> {
    let named =
        ["PICKET_RELEASE_BIN_DIR", "PICKET_BIN_DIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let folders = named.chain([build_folder()?]).find(|folder| folder.join(AGENT).is_file());
    folders.context("picket-agent is not built")
}

/// The programs of this build as packages of a version; none, and a word about it, where they cannot be made.
fn packages(place: &Place, version: &str) -> anyhow::Result<Option<Vec<Facts>>> {
    let programs = programs()?;
    for tool in ["dpkg-deb", "rpmbuild", "objdump", "strip"] {
        if Command::new(tool).arg("--version").output().is_err() {
            skip(&format!("no {tool}"));
            return Ok(None);
        }
    }
    if words(Command::new("objdump").arg("-p").arg(programs.join(AGENT)))?.contains("libpcap.so") {
        skip("the agent's libpcap is not linked statically, as cargo xtask package and test do");
        return Ok(None);
    }
    let pages = std::env::var_os("PICKET_BIN_DIR").map_or_else(build_folder, |folder| Ok(PathBuf::from(folder)))?;
    let pages = pages.join("picket-pages");
    if !pages.is_file() {
        skip("no picket-pages: cargo build -p picket-packaging");
        return Ok(None);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let build = Build {
        root: root.canonicalize()?,
        programs,
        pages,
        out: place.at(&format!("packages-{version}")),
        version: version.to_owned(),
        third_party: String::new(),
        quick: true,
    };
    Ok(Some(pack(&build)?))
}

fn debs(packages: &[Facts]) -> Vec<&Path> {
    packages.iter().map(|facts| facts.deb.path.as_path()).collect()
}

/// Waits for rows of the lake that `enough` is content with.
fn await_rows(root: &Root, what: &str, enough: impl Fn(&[Row]) -> bool) -> anyhow::Result<Vec<Row>> {
    let lake = root.at("var/lib/picket-aggregator/lake");
    let mut classes = std::collections::BTreeMap::new();
    let found = await_until(what, DEADLINE, || {
        let Ok(rows) = rows(&lake) else { return Ok(None) };
        classes = rows.iter().fold(std::collections::BTreeMap::new(), |mut count, row| {
            *count.entry(row.class.clone()).or_insert(0) += 1;
            count
        });
        Ok(enough(&rows).then_some(rows))
    });
    found.with_context(|| format!("the lake holds {classes:?}"))
}

fn lines(rows: &[Row]) -> Vec<String> {
    let ours = rows.iter().filter(|row| row.log_name == LOG);
    let mut lines: Vec<String> = ours.map(|row| String::from_utf8_lossy(&row.raw_data).into_owned()).collect();
    lines.sort();
    lines
}

/// Both installed, the host enrolled, and nothing started.
fn install(root: &Root, packages: &[Facts]) -> anyhow::Result<()> {
    let said = root.dpkg(&["-i"], &debs(packages))?;
    ensure!(said.contains("this host is not enrolled") && said.contains("picket-agent enroll --aggregator"), "{said}");
    ensure!(said.contains("picket-aggregator init --name"), "{said}");
    for name in [AGENT, AGGREGATOR] {
        let owner = root.run(&["stat", "-c", "%U %a", &format!("/var/lib/{name}")])?;
        ensure!(owner.trim() == format!("{name} 750"), "{owner}");
        ensure!(root.run(&[name, "--version"])?.starts_with(name), "it runs");
        ensure!(root.at(&format!("usr/share/man/man1/{name}.1.gz")).is_file(), "it has a page");
    }
    let yaml = root.at("etc/picket/aggregator.yaml");
    let text = std::fs::read_to_string(&yaml)?;
    let text = text.replace("retain: 180d", "retain: 30d, block_interval: 500ms");
    std::fs::write(&yaml, text.replace("commit_interval: 60s", "commit_interval: 500ms"))?;
    std::fs::write(root.at("etc/picket/fleet.yaml"), FLEET)?;
    std::fs::write(root.at(LOG), "")?;
    root.run(&["chmod", "600", LOG])?;
    root.run(&[AGGREGATOR, "init", "--name", "127.0.0.1"])?;
    root.run(&[AGGREGATOR, "validate"])?;
    Ok(())
}

fn enroll(root: &Root) -> anyhow::Result<()> {
    let token = root.run(&[AGGREGATOR, "token", "create", "--group", "default"])?;
    std::fs::write(root.at("root/token"), token)?;
    root.run(&[AGENT, "enroll", "--aggregator", "127.0.0.1:7443", "--token-file", "/root/token"])?;
    let yaml = root.at("etc/picket/agent.yaml");
    let text = std::fs::read_to_string(&yaml)? + "fleet: /etc/picket/fleet.yaml\n";
    Ok(std::fs::write(&yaml, text)?)
}

/// Asks the aggregator over HTTP: a connection that is not the agent's own.
fn make_traffic(root: &Root) -> anyhow::Result<()> {
    let script = "exec 3<>/dev/tcp/127.0.0.1/7480 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
    root.run(&["bash", "-c", script]).map(drop)
}

#[test]
fn packages_are_installed_enrolled_run_upgraded_while_lines_flow_removed_and_purged() -> anyhow::Result<()> {
    let mut place = Place::new("packages-deb")?;
    let Some(root) = Root::make(&place, "root")? else { return Ok(()) };
    let Some(old) = packages(&place, "0.1.0")? else { return Ok(()) };
    let new = packages(&place, "0.1.1")?.context("they were made before")?;
    place.keep_as_evidence(true);
    install(&root, &old)?;
    let (aggregator_log, agent_log) = (place.at("aggregator.log"), place.at("agent.log"));
    let mut aggregator = root.start(AGGREGATOR, &aggregator_log)?;
    await_until("the aggregator", DEADLINE, || Ok(make_traffic(&root).ok()))?;
    enroll(&root)?;
    let mut agent = root.start(AGENT, &agent_log)?;
    root.run(&[AGENT, "validate"])?;
    LogFile::open(&root.at(LOG))?.write_lines(&[b"before 000000".to_vec()])?;
    await_until("the agent", DEADLINE, || Ok(root.run(&[AGENT, "status"]).ok()))?;
    await_rows(&root, "a line, a flow and a fact of the host", |rows| {
        // A flow ends some time after its connection.
        let _ = make_traffic(&root);
        let has = |class: &str| rows.iter().any(|row| row.class.contains(class));
        !lines(rows).is_empty() && has("network_activity") && (has("inventory") || has("process") || has("query"))
    })?;

    // What systemd does at an upgrade: the new programs are there, then each is stopped and started.
    let (written, ends) = (AtomicUsize::new(0), AtomicBool::new(false));
    let upgraded = std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> anyhow::Result<()> {
            let mut log = LogFile::open(&root.at(LOG))?;
            while !ends.load(Ordering::Relaxed) {
                let number = written.fetch_add(1, Ordering::Relaxed);
                log.write_lines(&[format!("during {number:06}").into_bytes()])?;
                pause(Duration::from_millis(2));
            }
            Ok(())
        });
        let upgraded = (|| {
            let said = root.dpkg(&["-i"], &debs(&new))?;
            ensure!(!said.contains("not enrolled"), "{said}");
            Root::stop(&mut aggregator)?;
            aggregator = root.start(AGGREGATOR, &aggregator_log)?;
            Root::stop(&mut agent)?;
            agent = root.start(AGENT, &agent_log)?;
            Ok(await_until("the new agent", DEADLINE, || Ok(root.run(&[AGENT, "status"]).ok()))?)
        })();
        ends.store(true, Ordering::Relaxed);
        writer.join().expect("it does not panic").and(upgraded)
    });
    upgraded?;
    let count = written.into_inner();
    let arrived = await_rows(&root, "every line", |rows| lines(rows).len() > count)?;
    let expected = std::iter::once("before 000000".to_owned()).chain((0..count).map(|n| format!("during {n:06}")));
    ensure!(
        lines(&arrived) == expected.collect::<Vec<_>>(),
        "each line once: {} of {}",
        lines(&arrived).len(),
        count + 1
    );
    println!("{count} lines during the upgrade, each once");
    let version = root.run(&["dpkg-query", "-W", "-f", "${Version}", AGENT])?;
    ensure!(version.starts_with("0.1.1"), "{version}");
    ensure!(std::fs::read_to_string(root.at("etc/picket/fleet.yaml"))? == FLEET, "a changed file stays");

    Root::stop(&mut agent)?;
    Root::stop(&mut aggregator)?;
    root.run(&["dpkg", "-r", AGENT, AGGREGATOR])?;
    for left in ["var/lib/picket-agent/identity", "var/lib/picket-aggregator/ca", "etc/picket/fleet.yaml"] {
        ensure!(root.at(left).exists(), "{left} went with a removal");
    }
    ensure!(!root.at("usr/bin/picket-agent").exists(), "the program is gone");
    root.run(&["dpkg", "-P", AGENT, AGGREGATOR])?;
    let left = root.run(&["find", "/", "-xdev", "-name", "*picket*", "-not", "-path", "/proc/*"])?;
    ensure!(left.trim().is_empty(), "a purge leaves {left}");
    let users = std::fs::read_to_string(root.at("etc/passwd"))? + &std::fs::read_to_string(root.at("etc/group"))?;
    ensure!(!users.contains("picket"), "a purge leaves users: {users}");
    place.keep_as_evidence(false);
    Ok(())
}

#[test]
fn rpms_install_run_and_leave_state_behind() -> anyhow::Result<()> {
    let mut place = Place::new("packages-rpm")?;
    if Command::new("rpm").arg("--version").output().is_err() {
        skip("no rpm");
        return Ok(());
    }
    let Some(root) = Root::make(&place, "root")? else { return Ok(()) };
    let Some(made) = packages(&place, "0.1.0")? else { return Ok(()) };
    place.keep_as_evidence(true);
    // Its database knows nothing of what dpkg installed there.
    let rpm = |arguments: &[&str]| root.by_outside("rpm", &[&["--nodeps"], arguments].concat());
    for facts in &made {
        let said = rpm(&["-i", &facts.rpm.path.display().to_string()])?;
        ensure!(said.contains("is installed and not started"), "{said}");
        ensure!(root.run(&[facts.name, "--version"])?.starts_with(facts.name), "it runs");
        ensure!(root.run(&["stat", "-c", "%U", &format!("/var/lib/{}", facts.name)])?.trim() == facts.name, "its user");
        // 78: the configuration is not whole before it is enrolled, or has its authority.
        let code = root.exit_code(&[facts.name, "validate"])?;
        ensure!(matches!(code, Some(0 | 65 | 73 | 78)), "validate ended with {code:?}");
    }
    root.run(&[AGGREGATOR, "init", "--name", "127.0.0.1"])?;
    root.run(&[AGGREGATOR, "validate"])?;
    let asked = words(Command::new("rpm").args(["-qp", "--requires"]).arg(&made[0].rpm.path))?;
    ensure!(asked.contains("libc.so.6(GLIBC_"), "what it needs of glibc is said: {asked}");
    rpm(&["-e", AGENT, AGGREGATOR])?;
    ensure!(root.at("var/lib/picket-aggregator/ca").exists(), "state stays");
    ensure!(!root.at("usr/bin/picket-aggregator").exists(), "the program is gone");
    place.keep_as_evidence(false);
    Ok(())
}
