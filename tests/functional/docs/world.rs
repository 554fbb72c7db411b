//! A machine of the test's own, in which the commands of the pages run as they stand: namespaces of mounts, network, processes
//! and name, with folders of the test over `/etc`, `/var`, `/srv` and `/run`. All that runs there goes with its value.
//!
//! `sudo` and `ssh` run what they are given; `systemctl` does with the shipped units what systemd does (`systemctl.sh`);
//! `journalctl` shows what a service printed.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use picket_tests::harness::{Place, Process, Programs, await_until, skip};

const ENTER: &str = include_str!("enter.sh");
const SYSTEMCTL: &str = include_str!("systemctl.sh");
/// How long a command, or what it waits for, may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// Lines that stand in the host's logs before anything runs.
const AUTH_LOG: &str = "\
Jan  5 10:00:02 web-1 sshd[99]: Failed password for root from 198.51.100.7 port 50000 ssh2
Jan  5 10:00:03 web-1 sshd[99]: Accepted publickey for bob from 192.0.2.5 port 50001 ssh2: RSA SHA256:abc
";
const ACCESS_LOG: &str =
    "192.0.2.10 - - [05/Jan/2026:10:00:00 +0000] \"GET /healthz HTTP/1.1\" 200 2 \"-\" \"kube-probe/1.30\"\n";

/// The machine.
pub struct World {
    place: Place,
    holder: Process,
}

/// A program that runs what it is given.
fn script(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Namespaces that make a machine; one that is not root becomes root in a namespace of users.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child"]);
    command
}

impl World {
    /// A new one; none, and a word about it, where namespaces are not permitted.
    pub fn make(name: &str) -> anyhow::Result<Option<Self>> {
        let permitted = unshare().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !permitted || Command::new("nsenter").arg("--version").output().is_err() {
            skip("no namespaces: commands of the pages are not run");
            return Ok(None);
        }
        let mut place = Place::new(&format!("docs-{name}"))?;
        place.keep_as_evidence(true);
        for folder in ["etc", "var/log/nginx", "var/lib", "var/tmp", "srv", "run", "bin", "home"] {
            std::fs::create_dir_all(place.at(folder))?;
        }
        std::fs::write(place.at("var/log/auth.log"), AUTH_LOG)?;
        std::fs::write(place.at("var/log/nginx/access.log"), ACCESS_LOG)?;
        fill(&place.at("bin"))?;
        let (script, log) = (place.at("enter.sh"), place.at("machine.log"));
        std::fs::write(&script, ENTER)?;
        let holder = Process::start(unshare().arg("sh").arg(&script).arg(place.path()), &log)?;
        let world = Self { place, holder };
        await_until("the machine", DEADLINE, || Ok(world.holder.last_lines().contains("ready").then_some(())))
            .with_context(|| world.holder.last_lines())?;
        Ok(Some(world))
    }

    /// What the packages lay there, with a brisk pace.
    pub fn install(&self) -> anyhow::Result<()> {
        let etc = self.place.at("etc/picket");
        std::fs::create_dir_all(&etc)?;
        for name in ["agent", "aggregator"] {
            std::fs::create_dir_all(self.place.at(&format!("var/lib/picket-{name}")))?;
        }
        for name in ["aggregator.yaml", "fleet.yaml"] {
            std::fs::copy(workspace().join("packaging/etc").join(name), etc.join(name))?;
        }
        self.hasten("/etc/picket/aggregator.yaml")
    }

    /// Lets the aggregator of a configuration commit twice a second.
    pub fn hasten(&self, config: &str) -> anyhow::Result<()> {
        let path = self.outside(config);
        let text = std::fs::read_to_string(&path)?;
        let text = text.replace("retain: 180d", "retain: 30d, block_interval: 500ms");
        Ok(std::fs::write(&path, text.replace("commit_interval: 60s", "commit_interval: 500ms"))?)
    }

    /// The path of a file of the machine, from outside.
    pub fn outside(&self, path: &str) -> PathBuf {
        match path.strip_prefix('/') {
            Some(path) => self.place.at(path),
            None => self.place.at("home").join(path),
        }
    }

    /// Writes a file of the machine, with its folder.
    pub fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.outside(path);
        std::fs::create_dir_all(path.parent().context("it has a folder")?)?;
        Ok(std::fs::write(&path, text)?)
    }

    fn command(&self, text: &str) -> Command {
        let holder = self.holder.id();
        let mut command = Command::new("nsenter");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--target", &holder.to_string(), "--mount", "--net", "--uts"]);
        command.arg(format!("--pid=/proc/{holder}/ns/pid_for_children"));
        command
            .args(["bash", "-c", "cd \"$0\" && set -eo pipefail && eval \"$1\""])
            .arg(self.place.at("home"))
            .arg(text);
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.place.at("bin").display());
        command.env_clear().env("PATH", path).env("LC_ALL", "C").env("HOME", self.place.at("home"));
        command.env("PICKET_UNITS", workspace().join("systemd"));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, text: &str) -> anyhow::Result<Output> {
        // What it leaves running keeps its output open: it goes to files.
        let (out, err) = (self.place.at("stdout"), self.place.at("stderr"));
        let mut command = self.command(text);
        command.stdin(Stdio::null()).stdout(std::fs::File::create(&out)?).stderr(std::fs::File::create(&err)?);
        let status = command.status().context("start nsenter")?;
        Ok(Output { status, stdout: std::fs::read(&out)?, stderr: std::fs::read(&err)? })
    }

    /// Runs a command that has to end well.
    pub fn must(&self, text: &str) -> anyhow::Result<()> {
        let output = self.run(text)?;
        ensure!(
            output.status.success(),
            "`{text}` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Starts a command that goes on.
    pub fn start(&self, text: &str) -> anyhow::Result<Process> {
        Ok(Process::start(&mut self.command(text), &self.place.at("services.log"))?)
    }

    /// Waits until a command ends well.
    pub fn await_well(&self, text: &str) -> anyhow::Result<()> {
        let well = || Ok(self.run(text).is_ok_and(|output| output.status.success()).then_some(()));
        let said = || {
            self.run(text).map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        await_until(text, DEADLINE, well).with_context(|| said().unwrap_or_default())
    }

    /// Nothing failed: the folder may go.
    pub fn done(mut self) {
        self.place.keep_as_evidence(false);
    }
}

/// Our programs, DuckDB's, and those that the pages call of the system's.
fn fill(bin: &Path) -> anyhow::Result<()> {
    let programs = Programs::of_this_build()?;
    symlink(std::path::absolute(&programs.agent)?, bin.join("picket-agent"))?;
    symlink(std::path::absolute(&programs.aggregator)?, bin.join("picket-aggregator"))?;
    if let Some(python) = duckdb() {
        let print = "import duckdb, sys; print(duckdb.sql(sys.argv[2]))";
        script(bin, "duckdb", &format!("#!/bin/sh\nexec '{}' -c '{print}' \"$@\"\n", python.display()))?;
    }
    script(bin, "sudo", "#!/bin/sh\nexec \"$@\"\n")?;
    script(bin, "ssh", "#!/bin/sh\nexec sh -c \"$2\"\n")?;
    script(bin, "journalctl", "#!/bin/sh\nexec tail -n 50 \"/var/log/journal.$2\"\n")?;
    script(bin, "systemctl", SYSTEMCTL)
}

/// The Python with DuckDB that `cargo xtask test` names; `duckdb -c` stands for it.
pub fn duckdb() -> Option<PathBuf> {
    std::env::var_os("PICKET_DUCKDB_PYTHON").map(PathBuf::from).filter(|python| python.is_file())
}
