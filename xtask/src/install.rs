//! Installs what a build or a test needs and this machine has not; says nothing where nothing is to do.
//!
//! Natively the headers of libpcap are needed beyond what cargo itself needs (a C linker); [`libpcap`] is asked before
//! anything is built. Clients and servers of the network are what captures are tested with. DuckDB, an independent reader of the lake, lives in
//! a Python venv in `target/venv`; where it cannot be had, the tests that use it say `skipped: no duckdb`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use xtask::{Failure, Naming, Result};

use crate::{root, show};

const DUCKDB: &str = "duckdb==1.4.1";

/// The headers and the linker's name of libpcap, installed if need be.
///
/// # Errors
/// They are not there, and cannot be installed.
pub fn libpcap() -> Result<()> {
    let linked = |folder: &Path| folder.join("libpcap.so").exists() || folder.join("libpcap.a").exists();
    let folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    // Debian keeps libraries of each architecture apart: /usr/lib/x86_64-linux-gnu.
    let below = |folder: &PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_there = || folders.iter().flat_map(|folder| below(folder).chain([folder.clone()])).any(|at| linked(&at));
    if std::env::var_os("LIBPCAP_LIBDIR").is_some() || is_there() {
        return Ok(());
    }
    install_packages("the headers of libpcap", &["libpcap-dev"], &["libpcap-devel"])?;
    if is_there() { Ok(()) } else { Err(Failure::new("libpcap was installed and is not found; set LIBPCAP_LIBDIR")) }
}

/// Stands for the part of libpcap that captures messages of D-Bus: it finds none.
const NO_DBUS: &str = "\
int dbus_findalldevs(void *devices, char *error) { return 0; }
void *dbus_create(const char *device, char *error, int *is_ours) { *is_ours = 0; return 0; }
";

/// A folder with a static libpcap that does not need D-Bus, for programs that are measured or shipped: Debian's shared one
/// brings libdbus, libsystemd and five libraries more, a MiB of memory, for captures that Picket does not make. It is the
/// system's own archive without that part. None where there is no archive, or no compiler and `ar`.
pub fn static_libpcap() -> Option<PathBuf> {
    let folder = root().join("target/libpcap");
    let [ours, source, object] = ["libpcap.a", "no_dbus.c", "no_dbus.o"].map(|name| folder.join(name));
    if std::env::var_os("LIBPCAP_LIBDIR").is_some() {
        return None;
    }
    if ours.is_file() {
        return Some(folder);
    }
    let archive = format!("/usr/lib/{}-linux-gnu/libpcap.a", std::env::consts::ARCH);
    std::fs::create_dir_all(&folder).ok()?;
    std::fs::write(&source, NO_DBUS).ok()?;
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-fPIC", "-c", "-o"]).arg(&object).arg(&source);
    let new = folder.join("new.a");
    std::fs::copy(archive, &new).ok()?;
    let (mut without, mut with) = (Command::new("ar"), Command::new("ar"));
    without.arg("d").arg(&new).arg("pcap-dbus.o");
    with.arg("rs").arg(&new).arg(&object);
    for step in [&mut cc, &mut without, &mut with] {
        step.stdout(Stdio::null()).stderr(Stdio::null()).status().ok().filter(std::process::ExitStatus::success)?;
    }
    std::fs::rename(&new, &ours).ok()?;
    Some(folder)
}

/// Programs whose traffic is captured in tests, with their packages for apt and dnf.
const NETWORK: [(&str, &str, &str); 7] = [
    ("ip", "iproute2", "iproute"),
    ("dig", "bind9-dnsutils", "bind-utils"),
    ("curl", "curl", "curl"),
    ("openssl", "openssl", "openssl"),
    ("ssh", "openssh-client", "openssh-clients"),
    ("dnsmasq", "dnsmasq-base", "dnsmasq"),
    ("sshd", "openssh-server", "openssh-server"),
];

/// Real clients and servers, for the tests of captures. Where systemd runs, OpenSSH's server is left out: its package
/// starts it for all the world.
///
/// # Errors
/// They cannot be installed; the tests then say `skipped: no dig`.
pub fn network_programs() -> Result<()> {
    let serves = |name: &str| name == "sshd" && Path::new("/run/systemd/system").exists();
    let lacking: Vec<_> = NETWORK.iter().filter(|(name, ..)| !is_program(name) && !serves(name)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let apt: Vec<&str> = lacking.iter().map(|(_, apt, _)| *apt).collect();
    let dnf: Vec<&str> = lacking.iter().map(|(.., dnf)| *dnf).collect();
    install_packages("clients and servers for captures", &apt, &dnf)
}

/// Tools that say of a host what the agent says of it, with their packages for apt and dnf.
const HOST: [(&str, &str, &str); 7] = [
    ("ps", "procps", "procps-ng"),
    ("ss", "iproute2", "iproute"),
    ("lsmod", "kmod", "kmod"),
    ("findmnt", "util-linux", "util-linux"),
    ("getent", "libc-bin", "glibc-common"),
    ("useradd", "passwd", "shadow-utils"),
    ("ssh-keygen", "openssh-client", "openssh"),
];

/// The system's own tools, for the tests that compare.
///
/// # Errors
/// They cannot be installed; the tests then say `skipped: no lsmod`.
pub fn host_programs() -> Result<()> {
    let lacking: Vec<_> = HOST.iter().filter(|(name, ..)| !is_program(name)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let apt: Vec<&str> = lacking.iter().map(|(_, apt, _)| *apt).collect();
    let dnf: Vec<&str> = lacking.iter().map(|(.., dnf)| *dnf).collect();
    install_packages("tools that a host is compared by", &apt, &dnf)
}

/// What packages are made and looked at with.
const PACKAGING: [(&str, &str, &str); 7] = [
    ("dpkg-deb", "dpkg", "dpkg"),
    ("rpmbuild", "rpm", "rpm-build"),
    ("objdump", "binutils", "binutils"),
    ("gzip", "gzip", "gzip"),
    ("lintian", "lintian", ""),
    ("rpmlint", "rpmlint", "rpmlint"),
    ("debootstrap", "debootstrap", "debootstrap"),
];

/// Tools that make packages. What only checks them, and cannot be installed, is left out.
///
/// # Errors
/// One that makes packages cannot be installed.
pub fn packaging_programs() -> Result<()> {
    let checks = |name: &str| matches!(name, "lintian" | "rpmlint" | "debootstrap");
    let lacking = |checking: bool| {
        let of_kind = PACKAGING.iter().filter(move |(name, ..)| checks(name) == checking && !is_program(name));
        let (apt, dnf): (Vec<&str>, Vec<&str>) = of_kind.map(|(_, apt, dnf)| (*apt, *dnf)).unzip();
        (apt, dnf.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>())
    };
    let (apt, dnf) = lacking(false);
    if !apt.is_empty() {
        install_packages("tools that make packages", &apt, &dnf)?;
    }
    let (apt, dnf) = lacking(true);
    if !apt.is_empty()
        && let Err(failure) = install_packages("checkers of packages", &apt, &dnf)
    {
        println!("not checked by all tools: {failure}");
    }
    Ok(())
}

/// What puts counters of a compiler with this LLVM together: the compiler's own, or the distribution's.
///
/// # Errors
/// It cannot be installed.
pub fn llvm_profdata(llvm: u32) -> Result<PathBuf> {
    let packed = PathBuf::from(format!("/usr/lib/llvm-{llvm}/bin/llvm-profdata"));
    let own =
        Command::new("rustc").args(["--print", "target-libdir"]).output().naming("rustc --print target-libdir")?;
    let own = Path::new(String::from_utf8_lossy(&own.stdout).trim_end()).with_file_name("bin/llvm-profdata");
    let found = || [&own, &packed].into_iter().find(|tool| tool.is_file()).cloned();
    if found().is_none() {
        let package = format!("llvm-{llvm}");
        install_packages("llvm-profdata", &[&package], &["llvm"])?;
    }
    found().ok_or_else(|| Failure::new("llvm-profdata is not found: run `rustup component add llvm-tools`"))
}

/// What sends a capture, for `bench packets --live`.
///
/// # Errors
/// It cannot be installed.
pub fn tcpreplay() -> Result<()> {
    if is_program("tcpreplay") {
        return Ok(());
    }
    install_packages("tcpreplay", &["tcpreplay"], &["tcpreplay"])
}

fn is_program(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let root = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(root).any(|folder| folder.join(name).is_file())
}

/// A Python that can `import duckdb`, made if need be; the reason where there is none.
pub fn duckdb_python() -> Result<PathBuf> {
    let venv = root().join("target/venv");
    let python = venv.join("bin/python");
    if imports_duckdb(&python) {
        return Ok(python);
    }
    if !succeeds("python3", &["-c", "import venv, ensurepip"]) {
        install_packages("python3 with venv", &["python3-venv"], &["python3", "python3-pip"])?;
    }
    println!("installing {DUCKDB} into {}", venv.display());
    show(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"];
    show(Command::new(&python).args(pip).args(["--only-binary", ":all:", DUCKDB]))?;
    if imports_duckdb(&python) {
        Ok(python)
    } else {
        Err(Failure::new(format!("{} cannot import duckdb after its installation", python.display())))
    }
}

fn imports_duckdb(python: &Path) -> bool {
    python.is_file() && succeeds(&python.to_string_lossy(), &["-c", "import duckdb"])
}

/// Installs packages with the system's own tool, by sudo where that is needed.
fn install_packages(what: &str, apt: &[&str], dnf: &[&str]) -> Result<()> {
    let (tool, packages) = if succeeds("apt-get", &["--version"]) {
        ("apt-get", apt)
    } else if succeeds("dnf", &["--version"]) {
        ("dnf", dnf)
    } else {
        return Err(Failure::new(format!("{what} is missing, and neither apt-get nor dnf is there to install it")));
    };
    println!("installing {what}: {}", packages.join(" "));
    let installed = if tool == "apt-get" {
        // A list that cannot be had anew may still do.
        let _ = show(as_root(tool).args(["update", "-q"]));
        show(as_root("env").args(["DEBIAN_FRONTEND=noninteractive", tool, "install", "-q", "-y"]).args(packages))
    } else {
        show(as_root(tool).args(["install", "-q", "-y"]).args(packages))
    };
    let by_hand = format!("{what} could not be installed; run as root: {tool} install {}", packages.join(" "));
    installed.map_err(|failure| Failure::of(by_hand, failure))
}

/// `program`, through sudo unless this is root already.
fn as_root(program: &str) -> Command {
    let uid = Command::new("id").arg("-u").output();
    if uid.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg(program);
    sudo
}

/// Whether a program is there and ends with 0; what it prints is not shown.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
