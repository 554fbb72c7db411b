//! A Debian of its own in a folder: made with debootstrap, entered with chroot, in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use picket_tests::harness::{Namespace, Place, Process, skip};
use xtask::loopback::build_folder;

/// What a small Debian lacks for our packages: the parts of systemd that make users and folders.
const INCLUDED: &str = "--include=systemd-standalone-sysusers,systemd-standalone-tmpfiles";
/// Mounts /proc for what runs inside; both go with it.
const ENTER: &str = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";

/// The root folder, and its network.
pub struct Root {
    folder: PathBuf,
    namespace: Namespace,
}

/// The folder as debootstrap made it, kept beside the build for the next run. One test makes it, the others wait for it.
fn archive() -> anyhow::Result<Option<PathBuf>> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = build_folder()?.join("debootstrap");
    let archive = kept.join("bookworm.tar");
    if archive.is_file() {
        return Ok(Some(archive));
    }
    std::fs::create_dir_all(&kept)?;
    let (made, log) = (kept.join("bookworm"), kept.join("log"));
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", INCLUDED, "bookworm"]).arg(&made);
    debootstrap.stdin(Stdio::null()).stdout(std::fs::File::create(&log)?).stderr(Stdio::null());
    let outcome = debootstrap.status();
    let why = match outcome {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("debootstrap ended with {status}: {}", log.display())),
        Err(error) => Some(format!("no debootstrap: {error}")),
    };
    let packed = match why {
        None => {
            let new = kept.join("new.tar");
            words(Command::new("tar").arg("-C").arg(&made).arg("-cf").arg(&new).arg("."))?;
            std::fs::rename(&new, &archive)?;
            Some(archive)
        }
        Some(why) => {
            skip(&why);
            None
        }
    };
    let _ = std::fs::remove_dir_all(&made);
    Ok(packed)
}

/// Runs a command to its end; what it printed.
pub fn words(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(text) } else { bail!("{command:?} ended with {}: {text}", output.status) }
}

impl Root {
    /// A new one; none, and a word about it, where it cannot be made.
    pub fn make(place: &Place, name: &str) -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            skip("not root: no root folder can be entered");
            return Ok(None);
        }
        let Some(namespace) = Namespace::make() else { return Ok(None) };
        let Some(archive) = archive()? else { return Ok(None) };
        let folder = place.at(name);
        std::fs::create_dir_all(&folder)?;
        words(Command::new("tar").arg("-C").arg(&folder).arg("-xf").arg(&archive))?;
        let root = Self { folder, namespace };
        if let Err(error) = root.run(&["true"]) {
            skip(&format!("a root folder cannot be entered: {error:#}"));
            return Ok(None);
        }
        Ok(Some(root))
    }

    /// The path of something in it, from outside.
    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER]).arg(&self.folder).args(words);
        let path = "/usr/sbin:/usr/bin:/sbin:/bin";
        command.env_clear().env("PATH", path).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a program of it to its end; what it printed.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.namespace.run(|| words(&mut self.command(arguments)))
    }

    /// Runs a program of this machine that takes `--root`, with a /proc for what it starts inside.
    pub fn by_outside(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("unshare");
        let script = "mount -t proc proc \"$0/proc\" && exec \"$1\" --root \"$0\" \"${@:2}\"";
        words(command.args(["--mount", "bash", "-c", script]).arg(&self.folder).arg(program).args(arguments))
    }

    /// How a program of it ends.
    pub fn exit_code(&self, arguments: &[&str]) -> anyhow::Result<Option<i32>> {
        Ok(self.namespace.run(|| self.command(arguments).output())?.status.code())
    }

    /// Installs a package that lies outside.
    pub fn dpkg(&self, arguments: &[&str], packages: &[&Path]) -> anyhow::Result<String> {
        let mut inside = Vec::new();
        for package in packages {
            let name = package.file_name().context("a package has a name")?.to_string_lossy().into_owned();
            std::fs::copy(package, self.at("tmp").join(&name))?;
            inside.push(format!("/tmp/{name}"));
        }
        let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
        let said = self.run(&[&["dpkg"], arguments, &inside].concat())?;
        inside.iter().try_for_each(|path| std::fs::remove_file(self.at(path)))?;
        Ok(said)
    }

    /// Starts a service as its unit says: its user, its capabilities, its environment. What it prints goes to `log`.
    pub fn start(&self, name: &str, log: &Path) -> anyhow::Result<Process> {
        let unit = std::fs::read_to_string(self.at(&format!("usr/lib/systemd/system/{name}.service")))?;
        let value = |key: &str| {
            unit.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).with_context(|| format!("no {key}="))
        };
        let capabilities = value("AmbientCapabilities")?.to_lowercase();
        let capabilities = capabilities.split_whitespace().map(|name| format!(",+{}", name.trim_start_matches("cap_")));
        let capabilities = format!("-all{}", capabilities.collect::<String>());
        let (user, group) = (value("User")?, value("Group")?);
        let mut options = vec![format!("--reuid={user}"), format!("--regid={group}"), "--init-groups".to_owned()];
        options.extend(["inh-caps", "ambient-caps", "bounding-set"].map(|set| format!("--{set}={capabilities}")));
        options.push("--no-new-privs".to_owned());
        let mut run = vec!["setpriv"];
        run.extend(options.iter().map(String::as_str));
        run.extend(value("ExecStart")?.split_whitespace());
        let mut command = self.command(&run);
        if let Ok(environment) = value("Environment") {
            command.envs(environment.split_whitespace().filter_map(|pair| pair.split_once('=')));
        }
        // As RuntimeDirectory= does.
        self.run(&["install", "-d", "-m", "750", "-o", user, "-g", group, &format!("/run/{name}")])?;
        self.namespace.run(|| Ok(Process::start(&mut command, log)?))
    }

    /// Stops it as `systemctl stop` does.
    pub fn stop(process: &mut Process) -> anyhow::Result<()> {
        Ok(process.stop(Duration::from_secs(60))?)
    }
}
