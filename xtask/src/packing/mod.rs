//! Both programs as .deb and .rpm: what is built already goes in, with units, pages, completions, examples; packages come out.
//!
//! In: a [`Build`], the templates of `packaging/`, the units of `systemd/`. Out: four files, and [`Facts`] about what is in them.
//! `dpkg-deb` and `rpmbuild` make the containers: the formats are theirs, and xtask has no dependencies.
//!
//! Invariants: a package is made from one tree, the same for both formats but for the names of a few folders; nothing in it
//! depends on the machine but the programs; files belong to root, users are made at installation (sysusers.d).

mod deb;
mod rpm;
mod symbols;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use symbols::{GLIBC_MAX, highest_glibc, newest_symbols};

use crate::{Failure, Naming, Result};

/// A program that is packed.
#[derive(Debug)]
pub struct Program {
    /// Its name, its package's, its unit's and its user's.
    pub name: &'static str,
    /// The short name of its configuration.
    short: &'static str,
    summary: &'static str,
    description: &'static str,
    /// Below its state: there once it can be started.
    proof: &'static str,
    /// What is said after an installation that cannot be started yet.
    hint: &'static str,
    /// Configuration that is installed, and stays as it is at an upgrade.
    configs: &'static [&'static str],
    /// Configuration that only commands write.
    own_config: &'static str,
    /// Examples in the documentation.
    examples: &'static [&'static str],
    /// A package may not be larger.
    pub package_bytes_max: u64,
}

/// Both.
pub const PROGRAMS: [Program; 2] = [
    Program {
        name: "picket-agent",
        short: "agent",
        summary: "light agent that sees, keeps and streams what a host logs",
        description: "It reads log files, packets and the state of its host, keeps what it\n\
                      saw on disk and streams it to a picket-aggregator over QUIC with mutual\n\
                      TLS. Nothing is lost silently.",
        proof: "identity",
        hint: "picket-agent is installed and not started: this host is not enrolled. Get a token on the aggregator\n\
               (picket-aggregator token create), copy it here, then:\n\
               \u{20}  picket-agent enroll --aggregator HOST:7443 --token-file FILE && systemctl start picket-agent",
        configs: &[],
        own_config: "/etc/picket/agent.yaml",
        examples: &["agent.yaml", "fleet.yaml"],
        package_bytes_max: 6 << 20,
    },
    Program {
        name: "picket-aggregator",
        short: "aggregator",
        summary: "receives, journals, normalizes and forwards what Picket agents see",
        description: "It journals what agents send before it acknowledges, makes OCSF events\n\
                      of it, reduces them and puts them where analysts look: a Parquet lake,\n\
                      or stores over HTTP.",
        proof: "ca",
        hint: "picket-aggregator is installed and not started: it has no authority yet. Name it as agents will reach it:\n\
               \u{20}  picket-aggregator init --name HOST && systemctl start picket-aggregator",
        configs: &["aggregator.yaml", "fleet.yaml"],
        own_config: "",
        examples: &["aggregator.yaml", "fleet.yaml"],
        package_bytes_max: 25 << 20,
    },
];

/// What is packed.
#[derive(Clone, Debug)]
pub struct Build {
    /// The workspace.
    pub root: PathBuf,
    /// Where both programs are.
    pub programs: PathBuf,
    /// `picket-pages`, of any build.
    pub pages: PathBuf,
    /// Where packages go, and the trees that they are made from.
    pub out: PathBuf,
    /// `1.2.3`.
    pub version: String,
    /// What is linked in, a line each, for the folder of documentation.
    pub third_party: String,
    /// Packed in little time instead of little space, for a look.
    pub quick: bool,
}

/// A package that was made.
#[derive(Clone, Debug)]
pub struct Package {
    /// Where.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// The packages of a program, and what is worth knowing about it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The program's name.
    pub name: &'static str,
    /// For dpkg.
    pub deb: Package,
    /// For rpm.
    pub rpm: Package,
    /// Its size, stripped.
    pub program_bytes: u64,
    /// The newest version of glibc that it asks for.
    pub glibc: Option<(u32, u32)>,
}

/// Packs both programs.
///
/// # Errors
/// A program, a template or a tool is missing or fails.
pub fn pack(build: &Build) -> Result<Vec<Facts>> {
    let pages = build.out.join("pages");
    std::fs::create_dir_all(&pages).naming(pages.display())?;
    run(Command::new(&build.pages).arg(&pages))?;
    PROGRAMS.iter().map(|program| pack_one(build, program, &pages)).collect()
}

fn pack_one(build: &Build, program: &'static Program, pages: &Path) -> Result<Facts> {
    let staged = tree::Staged::make(build, program, pages)?;
    let (deb, rpm) = (deb::make(build, program, &staged)?, rpm::make(build, program, &staged)?);
    let binary = staged.common.join("usr/bin").join(program.name);
    Ok(Facts {
        name: program.name,
        deb: package(deb)?,
        rpm: package(rpm)?,
        program_bytes: size(&binary)?,
        glibc: highest_glibc(&binary)?,
    })
}

fn package(path: PathBuf) -> Result<Package> {
    Ok(Package { bytes: size(&path)?, path })
}

fn size(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).naming(path.display())?.len())
}

impl Program {
    fn state(&self) -> String {
        format!("/var/lib/{}", self.name)
    }

    /// A template with this program's words in it.
    fn fill(&self, build: &Build, template: &str, more: &[(&str, &str)]) -> Result<String> {
        let path = build.root.join("packaging").join(template);
        let mut text = std::fs::read_to_string(&path).naming(path.display())?;
        let state = self.state();
        let own = [
            ("PROGRAM", self.name),
            ("VERSION", &build.version),
            ("SUMMARY", self.summary),
            ("STATE", &state),
            ("PROOF", self.proof),
            ("HINT", self.hint),
            ("OWN_CONFIG", self.own_config),
        ];
        for (key, value) in own.iter().chain(more) {
            text = text.replace(&format!("@{key}@"), value);
        }
        Ok(text)
    }
}

/// Runs a tool to its end; what it printed.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().naming(&name)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(Failure::new(format!("{name} ended with {}: {} {}", output.status, out.trim(), err.trim())))
}
