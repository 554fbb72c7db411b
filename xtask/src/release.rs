//! Release builds: what is measured, and what is packed.
//!
//! Each is laid out by a profile: which branches are taken and which functions called on the way of a record. In:
//! `packaging/llvm-22.profdata`, counters by function, nothing of what was read. Out: `-Cprofile-use`. It changes what stands
//! beside what and what is inlined, not what a program does; a function that has changed since is built as without it, and a
//! compiler with an older LLVM builds everything so.
//!
//! `cargo xtask profile` makes it anew, by programs that count: the lines that everything is measured on (of another seed than
//! published figures), the logs of the corpus folder where it is there, both programs end to end, packets.
//! Why it is kept, and what it gives: docs/decisions/0003-profile.md.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use xtask::loopback::build_folder;
use xtask::{Failure, Naming, Result};

use crate::install::{libpcap, llvm_profdata, static_libpcap};
use crate::{cargo, options, root, show};

/// The compiler's LLVM that counted: one of the same or a later version reads it.
const LLVM: u32 = 22;
const PROFILE: &str = "packaging/llvm-22.profdata";

/// Both programs. Built beside anything else their dependencies would have more features, and none of the names that were counted.
pub const BOTH: [&str; 4] = ["-p", "picket-agent", "-p", "picket-aggregator"];
/// What measures.
pub const BENCH: [&str; 4] = ["-p", "picket-tests", "--bin", "picket-bench"];

/// What every record passes, and nothing that would count for more: what is hot is so by its share of all counts. The seed is
/// none of a published figure's.
const RUNS: [&[&str]; 3] = [
    &["normalize", "--lake", "--mib", "48", "--runs", "1", "--seed", "1009"],
    &["end-to-end", "--mib", "48", "--runs", "1", "--seed", "1009"],
    &["packets", "--mib", "16", "--runs", "1"],
];

/// A release build of what the arguments name, to be run.
///
/// # Errors
/// The target folder cannot be written to.
pub fn release(arguments: &[&str]) -> Result<Command> {
    let mut build = unprofiled(arguments);
    if llvm_of_rustc()? < LLVM {
        println!("built without {PROFILE}: this compiler's LLVM is older");
    } else {
        add_flag(&mut build, &format!("-Cprofile-use={}", kept()?.display()));
    }
    Ok(build)
}

fn unprofiled(arguments: &[&str]) -> Command {
    let mut build = cargo(&["build", "--release", "--locked"]);
    build.args(arguments);
    if let Some(folder) = static_libpcap() {
        build.env("LIBPCAP_LIBDIR", folder);
    }
    build
}

/// The profile under a name that says what is in it: cargo builds anew where flags change, not where a file does. In the target
/// folder, so that checkouts that share one share what was built.
fn kept() -> Result<PathBuf> {
    let profile = std::fs::read(root().join(PROFILE)).naming(PROFILE)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&profile);
    let folder = build_folder()?.with_file_name("profile");
    let path = folder.join(format!("{:016x}.profdata", hasher.finish()));
    if !path.exists() {
        std::fs::create_dir_all(&folder).naming(folder.display())?;
        let new = folder.join(format!("new.{}", std::process::id()));
        std::fs::write(&new, profile).naming(new.display())?;
        std::fs::rename(&new, &path).naming(path.display())?;
    }
    Ok(path)
}

/// Adds a flag to those that cargo gives to rustc.
fn add_flag(build: &mut Command, flag: &str) {
    for (variable, between) in [("CARGO_ENCODED_RUSTFLAGS", "\x1f"), ("RUSTFLAGS", " ")] {
        if let Ok(others) = std::env::var(variable)
            && !others.is_empty()
        {
            build.env(variable, format!("{others}{between}{flag}"));
            return;
        }
    }
    build.env("CARGO_ENCODED_RUSTFLAGS", flag);
}

/// Whether a program was laid out by the profile: names of functions change with the compiler, the version of the workspace and of
/// anything that is linked in, and then nothing fits, in silence.
///
/// # Errors
/// The program or the profile cannot be read.
pub fn fits(program: &Path) -> Result<bool> {
    let profile = root().join(PROFILE);
    let counted = hashes(&std::fs::read(&profile).naming(profile.display())?);
    let built = hashes(&std::fs::read(program).naming(program.display())?);
    // Of functions that ran a part is inlined, and of those in the program most never ran: a tenth is plenty.
    Ok(built.intersection(&counted).count() * 10 >= built.len())
}

/// What ends the name of a function and is no other's: `17h0123456789abcdefE`.
fn hashes(bytes: &[u8]) -> HashSet<u64> {
    let ends = bytes.windows(20).filter_map(|end| end.strip_prefix(b"17h")?.strip_suffix(b"E"));
    ends.filter_map(|hash| u64::from_str_radix(std::str::from_utf8(hash).ok()?, 16).ok()).collect()
}

/// `cargo xtask profile`: makes the profile anew.
pub fn profile(arguments: &[&str]) -> Result<()> {
    let [] = options(arguments, [])?;
    libpcap()?;
    let llvm = llvm_of_rustc()?;
    if llvm != LLVM {
        let sentence =
            format!("this compiler's LLVM is {llvm}: name it in xtask/src/release.rs, and the file after it");
        return Err(Failure::new(sentence));
    }
    let merge = llvm_profdata(LLVM)?;
    let folder = build_folder()?.with_file_name("profile");
    let (target, counts) = (folder.join("target"), folder.join("counts"));
    for what in [BENCH, BOTH] {
        let mut build = unprofiled(&what);
        add_flag(&mut build, &format!("-Cprofile-generate={}", counts.display()));
        show(build.env("CARGO_TARGET_DIR", &target))?;
    }
    if counts.exists() {
        // Build scripts and macros count too.
        std::fs::remove_dir_all(&counts).naming(counts.display())?;
    }
    let programs = target.join("release");
    let corpus = std::env::var_os("PICKET_CORPUS").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let (logs, files) = (corpus.join("logs").display().to_string(), logs_below(&corpus.join("logs")));
    let mut runs = RUNS.map(<[_]>::to_vec).to_vec();
    if files.is_empty() {
        println!("no logs below {logs}: only formats of the generated lines are counted");
    } else {
        runs.push(vec!["normalize", "--lake", "--from", &logs, "--runs", "1"]);
    }
    for arguments in runs {
        println!("\n== {}", arguments.join(" "));
        let mut bench = Command::new(programs.join("picket-bench"));
        bench.args(&arguments).env("PICKET_BIN_DIR", &programs).current_dir(root());
        if let Err(failure) = show(&mut bench) {
            // A program that counts is slow: a bound that it does not hold says nothing.
            println!("{failure}");
        }
    }
    for path in files {
        let mut aggregator = Command::new(programs.join("picket-aggregator"));
        let file = std::fs::File::open(&path).naming(path.display())?;
        show(aggregator.args(["normalize", "--quiet"]).stdin(file).stdout(Stdio::null()))?;
    }
    let mut raw = Vec::new();
    for entry in std::fs::read_dir(&counts).naming(counts.display())? {
        raw.push(entry.naming(counts.display())?.path());
    }
    // Sparse: what never ran is built as without a profile, not as what hardly ever runs.
    show(Command::new(merge).args(["merge", "-sparse", "-o"]).arg(root().join(PROFILE)).args(raw))
}

/// The `.log` files below a folder.
fn logs_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let below = |path: PathBuf| if path.is_dir() { logs_below(&path) } else { vec![path] };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect()
}

fn llvm_of_rustc() -> Result<u32> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").current_dir(root()).output().naming("rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next()?.parse().ok());
    version.ok_or_else(|| Failure::new("`rustc -vV` names no version of LLVM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_by_the_end_of_their_names() {
        let names = b"_ZN3lib4read17h0123456789abcdefE\0_ZN3lib5write17h0123456789abcdegE, 17h00000000000000ffE17h";
        assert_eq!(hashes(names), HashSet::from([0x0123_4567_89ab_cdef, 0xff]));
    }

    #[test]
    fn the_profile_holds_names_and_fits_no_program_but_those_it_is_of() {
        let profile = std::fs::read(root().join(PROFILE)).unwrap();
        assert!(hashes(&profile).len() > 1000, "both programs have thousands");
        assert!(!fits(&std::env::current_exe().unwrap()).unwrap());
    }
}
