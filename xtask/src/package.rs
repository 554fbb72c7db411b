//! `cargo xtask package`: both programs, built as they are shipped, as .deb and .rpm, with what is promised of them checked.

use std::path::{Path, PathBuf};

use xtask::packing::{Build, Facts, GLIBC_MAX, PROGRAMS, newest_symbols, pack};
use xtask::{Failure, Naming, Result};

use crate::install::{packaging_programs, succeeds};
use crate::release::{BOTH, fits, release};
use crate::{cargo, options, root, show};

/// Builds, packs and checks. `--programs DIR` packs programs that were built there, e.g. for a look at a package: their sizes and
/// symbols are printed only.
pub fn run(arguments: &[&str]) -> Result<()> {
    let [out, programs, version] = options(arguments, ["--out", "--programs", "--version"])?;
    packaging_programs()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let target = root().join(target);
    let shipped = programs.is_none();
    if shipped {
        show(&mut release(&BOTH)?)?;
    }
    show(&mut cargo(&["build", "--locked", "-p", "picket-packaging"]))?;
    let build = Build {
        root: root(),
        programs: programs.map_or_else(|| target.join("release"), PathBuf::from),
        pages: target.join("debug/picket-pages"),
        out: out.map_or_else(|| target.join("package"), PathBuf::from),
        version: version.unwrap_or(env!("CARGO_PKG_VERSION")).to_owned(),
        third_party: third_party()?,
        quick: false,
    };
    let made = pack(&build)?;
    let mut broken = Vec::new();
    for program in &PROGRAMS {
        if !fits(&build.programs.join(program.name))? {
            broken.push(format!("{} does not fit its profile: make that anew by cargo xtask profile", program.name));
        }
    }
    for facts in &made {
        broken.extend(report(facts, &build.out)?);
    }
    broken.extend(lint(&made));
    match broken.as_slice() {
        [] => Ok(()),
        broken if shipped => Err(Failure::new(broken.join("; "))),
        broken => {
            println!("not as it is shipped: {}", broken.join("; "));
            Ok(())
        }
    }
}

/// Prints what was made; what of it breaks a promise.
fn report(facts: &Facts, out: &Path) -> Result<Vec<String>> {
    let mib = |bytes: u64| format!("{}.{:02} MiB", bytes >> 20, ((bytes & ((1 << 20) - 1)) * 100) >> 20);
    let glibc = facts.glibc.map_or_else(|| "none".to_owned(), |(major, minor)| format!("GLIBC_{major}.{minor}"));
    println!("{}: program {}, stripped; newest symbol {glibc}", facts.name, mib(facts.program_bytes));
    let mut broken = Vec::new();
    let bytes_max = PROGRAMS.iter().find(|known| known.name == facts.name).map_or(0, |known| known.package_bytes_max);
    for package in [&facts.deb, &facts.rpm] {
        println!("  {}  {}", mib(package.bytes), package.path.display());
        if package.bytes > bytes_max {
            broken.push(format!("{} is larger than {}", package.path.display(), mib(bytes_max)));
        }
    }
    if facts.glibc.is_some_and(|version| version > GLIBC_MAX) {
        let program = out.join(facts.name).join("common/usr/bin").join(facts.name);
        broken.push(format!("{} asks for a newer glibc: {}", facts.name, newest_symbols(&program)?));
    }
    Ok(broken)
}

/// What is linked in, a line each.
fn third_party() -> Result<String> {
    let mut tree = cargo(&["tree", "--locked", "--prefix", "none", "--edges", "normal", "--format", "{p} {l}"]);
    tree.args(["-p", "picket-agent", "-p", "picket-aggregator"]);
    let output = tree.output().naming("cargo tree")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = root().display().to_string();
    let mut lines: Vec<&str> =
        text.lines().filter(|line| !line.contains(&own)).map(|line| line.trim_end_matches(" (*)")).collect();
    lines.sort_unstable();
    lines.dedup();
    Ok(format!("{}\nlibpcap BSD-3-Clause (picket-agent)\n", lines.join("\n")))
}

/// What the distributions' own checkers say, where they are there; those that are not content. What they say and is as it should
/// be stands, with its reason, in `packaging/deb/lintian-overrides` and `packaging/rpm/rpmlint.toml`.
fn lint(made: &[Facts]) -> Vec<String> {
    let filters = root().join("packaging/rpm/rpmlint.toml").display().to_string();
    let lintian: &[&str] = &["--allow-root", "--fail-on", "error,warning"];
    let mut broken = Vec::new();
    for (tool, arguments) in [("lintian", lintian), ("rpmlint", &["-c", &filters])] {
        if !succeeds(tool, &["--version"]) {
            println!("{tool}: skipped, not installed");
            continue;
        }
        for facts in made {
            let package = if tool == "lintian" { &facts.deb } else { &facts.rpm };
            println!("{tool} {}", package.path.display());
            if show(std::process::Command::new(tool).args(arguments).arg(&package.path)).is_err() {
                broken.push(format!("{tool} is not content with {}", package.path.display()));
            }
        }
    }
    broken
}
