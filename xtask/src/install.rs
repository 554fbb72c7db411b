//! Installs what a build or a test needs and this machine has not; says nothing where nothing is to do.
//!
//! Natively nothing is needed beyond what cargo itself needs (a C linker). DuckDB, an independent reader of the lake, lives in
//! a Python venv in `target/venv`; where it cannot be had, the tests that use it say `skipped: no duckdb`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use xtask::{Failure, Result};

use crate::{root, show};

const DUCKDB: &str = "duckdb==1.4.1";

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
    if tool == "apt-get" {
        show(as_root(tool).args(["update", "-q"]))?;
    }
    show(as_root(tool).args(["install", "-q", "-y"]).args(packages))
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
