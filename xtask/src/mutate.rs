//! `cargo xtask mutate`: breaks one promise of durability at a time in a copy of the workspace, and asks whether a test
//! notices.
//!
//! Each mutation is a piece of text in one file and what stands there instead: a sync left out, an order turned round.
//! The suites that crash at every call must fail with it; one that they pass is a promise that nothing holds.

use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::loopback::build_folder;
use xtask::{Failure, Naming, Result};

use crate::install::libpcap;
use crate::{cargo, options, root};

/// A promise, broken.
struct Mutation {
    /// What is done wrong.
    fault: &'static str,
    /// Where, from the workspace's folder.
    file: &'static str,
    /// What stands there, once in the file.
    from: &'static str,
    /// What stands there instead.
    to: &'static str,
    /// Whose library tests must notice.
    package: Package,
    /// Names of the tests that are run contain this.
    tests: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Package {
    Shared,
    Agent,
    Aggregator,
}

impl Package {
    fn name(self) -> &'static str {
        match self {
            Self::Shared => "picket-shared",
            Self::Agent => "picket-agent",
            Self::Aggregator => "picket-aggregator",
        }
    }
}

/// One line each: fault, file, what stands there, what stands there instead, who must notice.
const ALL: &[Mutation] = &[
    // No fsync before the ack.
    Mutation {
        fault: "a commit without fdatasync",
        file: "shared/src/log/mod.rs",
        from: "if let Err(error) = self.active.sync() {",
        to: "if let Err(error) = Ok::<(), io::Error>(()) {",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "what was found above the proven part is not synced",
        file: "shared/src/log/recovery.rs",
        from: "    active.sync()?;\n    fs.sync_dir(dir)?;",
        to: "    fs.sync_dir(dir)?;",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "what was found above the proven part is not written anew",
        file: "shared/src/log/recovery.rs",
        from: "rewrite(active.as_ref(), place(tail.proven.max(newest_first).min(tail.end)), place(tail.end))?;",
        to: "",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "a new segment without fdatasync",
        file: "shared/src/log/mod.rs",
        from: ".and_then(|()| active.write_all_at(&self.buffer, SEGMENT_HEADER_LEN))\n            .and_then(|()| active.sync());",
        to: ".and_then(|()| active.write_all_at(&self.buffer, SEGMENT_HEADER_LEN));",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "a line of the lake's commits without fdatasync",
        file: "aggregator/src/sink/parquet/commits.rs",
        from: "        self.file.sync()?;\n",
        to: "",
        package: Package::Aggregator,
        tests: "parquet::crashes",
    },
    Mutation {
        fault: "a file of the lake without fdatasync",
        file: "aggregator/src/sink/parquet/writer.rs",
        from: "file.file.sync().map_err(|source| SinkError::Io { action: \"fsync\", path, source })?;",
        to: "drop(path);",
        package: Package::Aggregator,
        tests: "parquet::crashes",
    },
    Mutation {
        fault: "a change of the roster without fdatasync",
        file: "aggregator/src/ca/roster.rs",
        from: "if let Err(e) = self.file.sync() {",
        to: "if let Err(e) = Ok::<(), std::io::Error>(()) {",
        package: Package::Aggregator,
        tests: "roster::crashes",
    },
    Mutation {
        fault: "a small file that is renamed without fdatasync",
        file: "shared/src/durable.rs",
        from: "file.sync().map_err(failed(\"sync\"))?;",
        to: "",
        package: Package::Shared,
        tests: "durable",
    },
    // No fsync of the folder.
    Mutation {
        fault: "a new segment whose name is not durable",
        file: "shared/src/log/mod.rs",
        from: "self.fs.rename(&path, &file).and_then(|()| self.fs.sync_dir(&self.dir))",
        to: "self.fs.rename(&path, &file)",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "a folder that is made and whose name is not durable",
        file: "shared/src/log/fs.rs",
        from: "                    _ => self.sync_dir(above),",
        to: "                    _ => Ok(()),",
        package: Package::Shared,
        tests: "crash",
    },
    Mutation {
        fault: "trimmed segments whose unlinking is not durable",
        file: "shared/src/log/mod.rs",
        from: "        if freed > 0 {\n            self.fs.sync_dir(&self.dir)?;\n        }\n",
        to: "",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "files of the lake whose names are not durable before their line",
        file: "aggregator/src/sink/parquet/mod.rs",
        from: "        (self.fault)(\"lake.sync\");\n        let folders: BTreeSet<PathBuf> = self.finished.iter().map(|file| self.root.join(&file.name.folder)).collect();\n        for folder in &folders {\n            self.fs.sync_dir(folder).map_err(|source| io_error(\"fsync\", folder, source))?;\n        }\n",
        to: "        (self.fault)(\"lake.sync\");\n        let folders: BTreeSet<PathBuf> = self.finished.iter().map(|file| self.root.join(&file.name.folder)).collect();\n",
        package: Package::Aggregator,
        tests: "parquet::crashes",
    },
    Mutation {
        fault: "files of the lake whose last names are not durable behind their line",
        file: "aggregator/src/sink/parquet/mod.rs",
        from: "            recovery::rename(self.fs.as_ref(), &self.root, &file.name, to)?;\n        }\n        for folder in &folders {\n            self.fs.sync_dir(folder).map_err(|source| io_error(\"fsync\", folder, source))?;\n        }\n",
        to: "            recovery::rename(self.fs.as_ref(), &self.root, &file.name, to)?;\n        }\n",
        package: Package::Aggregator,
        tests: "parquet::crashes",
    },
    Mutation {
        fault: "a log of commits whose new name is not durable",
        file: "aggregator/src/sink/parquet/commits.rs",
        from: "    fs.sync_dir(folder)?;\n",
        to: "",
        package: Package::Aggregator,
        tests: "parquet::crashes",
    },
    Mutation {
        fault: "a small file whose new name is not durable",
        file: "shared/src/durable.rs",
        from: "self.fs.sync_dir(folder).map_err(|e| DurableError::new(\"sync the folder\", folder, e))",
        to: "Ok(drop(folder))",
        package: Package::Shared,
        tests: "durable",
    },
    Mutation {
        fault: "a roster whose name is not durable",
        file: "shared/src/durable.rs",
        from: "        self.sync_folder_of(path)?;\n        Ok(file)",
        to: "        Ok(file)",
        package: Package::Aggregator,
        tests: "roster::crashes",
    },
    // No cut of the tail.
    Mutation {
        fault: "a torn tail that is not overwritten with zeros",
        file: "shared/src/log/recovery.rs",
        from: "zero_out(active.as_ref(), place(tail.end), newest.size).is_err()",
        to: "false",
        package: Package::Shared,
        tests: "log::",
    },
    Mutation {
        fault: "a torn tail that is read past",
        file: "shared/src/log/recovery.rs",
        from: "Found::Gap { from, to, zero } if is_newest && from >= proven => {",
        to: "Found::Gap { from, to, zero } if is_newest && from >= proven && to == u64::MAX => {",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "a torn end of the roster that stays",
        file: "aggregator/src/ca/roster.rs",
        from: "if found.torn_bytes > 0 {",
        to: "if found.torn_bytes == usize::MAX as u64 {",
        package: Package::Aggregator,
        tests: "roster::",
    },
    Mutation {
        fault: "a torn commit that stays in the lake's log",
        file: "aggregator/src/sink/parquet/commits.rs",
        from: "let content = if good.len() as u64 > size_max { last_line } else { &good };",
        to: "let content = if good.len() as u64 > size_max { last_line } else { &bytes };",
        package: Package::Aggregator,
        tests: "parquet::",
    },
    // A checkpoint before its frames.
    Mutation {
        fault: "checkpoints that are durable without the frame before them",
        file: "agent/src/spool/lane.rs",
        from: "        unit.extend(encoded.iter().map(|row| (Kind::Checkpoint, row.as_slice())));\n",
        to: "        for row in &encoded {\n            self.log.append(Kind::Checkpoint, &[row]).map_err(io::Error::other)?;\n        }\n        self.staged.extend(rows.iter().copied().map(Staged::Row));\n        let rows: Vec<Row> = Vec::new();\n",
        package: Package::Agent,
        tests: "crash",
    },
    Mutation {
        fault: "what was refused is counted without the checkpoints behind it",
        file: "agent/src/spool/refusal.rs",
        from: "        self.refusing.rows.extend(rows.into_iter().map(|row| (row.checkpoint.file(), row)));\n",
        to: "        self.state.refuse(std::mem::take(&mut self.refusing.count));\n        self.unmarked = true;\n        self.settle();\n        rows.into_iter().for_each(|row| drop(self.append_row(row)));\n",
        package: Package::Agent,
        tests: "crash",
    },
    Mutation {
        fault: "a frame and its checkpoints that count one by one",
        file: "shared/src/log/mod.rs",
        from: "self.take(*kind, i + 1 < records.len(), &[payload]);",
        to: "self.take(*kind, i > records.len(), &[payload]);",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "a cursor of the lake before its files",
        file: "aggregator/src/sink/parquet/mod.rs",
        from: "        // What no writer took since the last commit.\n        self.spare.clear();\n",
        to: "        self.log.append(&Commit { from: self.cursor, to, files: Vec::new() }).ok();\n        self.spare.clear();\n",
        package: Package::Aggregator,
        tests: "parquet::crashes",
    },
    // A segment unlinked before its mark is durable.
    Mutation {
        fault: "a segment of the spool that is unlinked before its mark",
        file: "agent/src/spool/retention.rs",
        from: "        self.say()?;\n        let freed = self.log.trim(through);\n",
        to: "        let freed = self.log.trim(through);\n        self.say()?;\n",
        package: Package::Agent,
        tests: "crash",
    },
    Mutation {
        fault: "a segment of the journal that is unlinked before its retirement",
        file: "aggregator/src/journal/sealing.rs",
        from: "        self.retire(next, reason)?;\n        self.unlink(next.first)?;\n",
        to: "        self.unlink(next.first)?;\n        self.retire(next, reason)?;\n",
        package: Package::Aggregator,
        tests: "journal::",
    },
    Mutation {
        fault: "a mark that is not committed before its segment is unlinked",
        file: "agent/src/spool/retention.rs",
        from: "        self.say()?;\n        let freed = self.log.trim(through);\n",
        to: "        self.mark();\n        let freed = self.log.trim(through);\n",
        package: Package::Agent,
        tests: "crash",
    },
    // A retry of fdatasync on a file that failed.
    Mutation {
        fault: "a failed fdatasync that is tried again",
        file: "shared/src/log/mod.rs",
        from: "if let Err(error) = self.active.sync() {",
        to: "if let Err(error) = self.active.sync().or_else(|_| self.active.sync()) {",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "a failed file that is written to again",
        file: "shared/src/log/mod.rs",
        from: "        self.distrusted = true;\n    }\n",
        to: "    }\n",
        package: Package::Shared,
        tests: "log::crashes",
    },
    Mutation {
        fault: "a roster that is trusted after a failed fdatasync",
        file: "aggregator/src/ca/roster.rs",
        from: "            self.trusted = false;\n            return Err(failed(\"sync\"",
        to: "            return Err(failed(\"sync\"",
        package: Package::Aggregator,
        tests: "roster::",
    },
];

/// Runs every mutation, or those whose fault has `--fault TEXT` in it.
pub fn run(arguments: &[&str]) -> Result<()> {
    let [wanted] = options(arguments, ["--fault"])?;
    let chosen: Vec<&Mutation> = ALL.iter().filter(|m| wanted.is_none_or(|text| m.fault.contains(text))).collect();
    if chosen.is_empty() {
        return Err(Failure::new("no fault has that in its name"));
    }
    // Without it nothing compiles.
    libpcap()?;
    let folder = build_folder()?.with_file_name("mutations");
    let tree = folder.join("tree");
    copy(&tree)?;
    let mut survived = Vec::new();
    for package in [Package::Shared, Package::Agent, Package::Aggregator] {
        for mutation in chosen.iter().filter(|mutation| mutation.package == package) {
            match noticed(mutation, &tree, &folder.join("build"))? {
                Some(test) => println!("{}: noticed by {test}", mutation.fault),
                None => {
                    println!("{}: NOT NOTICED", mutation.fault);
                    survived.push(mutation.fault);
                }
            }
        }
    }
    if survived.is_empty() {
        println!("{} mutations, each noticed", chosen.len());
        return Ok(());
    }
    Err(Failure::new(format!("no test notices: {}", survived.join("; "))))
}

/// The files that git knows, as they are now; those that did not change are left alone, so that cargo builds little.
fn copy(tree: &Path) -> Result<()> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().naming("git ls-files")?;
    for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
        let from = root().join(name);
        let Ok(bytes) = std::fs::read(&from) else { continue };
        put(&tree.join(name), &bytes)?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    std::fs::create_dir_all(&folder).naming(folder.display())?;
    std::fs::write(path, bytes).naming(path.display())
}

/// The file with the mutation in it.
fn mutated(mutation: &Mutation, text: &str) -> Result<String> {
    if text.matches(mutation.from).count() != 1 {
        let (fault, file) = (mutation.fault, mutation.file);
        return Err(Failure::new(format!(
            "'{fault}': what it changes does not stand once in {file}; bring it up to date"
        )));
    }
    Ok(text.replacen(mutation.from, mutation.to, 1))
}

/// The first test that fails with the mutation; none: all of them pass.
fn noticed(mutation: &Mutation, tree: &Path, build: &Path) -> Result<Option<String>> {
    let path = tree.join(mutation.file);
    let original = std::fs::read_to_string(&path).naming(path.display())?;
    put(&path, mutated(mutation, &original)?.as_bytes())?;
    let test = |arguments: &[&str]| {
        let mut command = cargo(&["test", "-q", "--lib", "-p", mutation.package.name()]);
        command.args(arguments).current_dir(tree).env("CARGO_TARGET_DIR", build);
        command.env("PICKET_CORPUS", corpus()).output().naming("cargo test")
    };
    let built = test(&["--no-run"]);
    let ran = test(&["--", mutation.tests]);
    put(&path, original.as_bytes())?;
    let (built, ran) = (built?, ran?);
    if !built.status.success() {
        let fault = mutation.fault;
        return Err(Failure::new(format!("'{fault}' does not build: {}", String::from_utf8_lossy(&built.stderr))));
    }
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    let failed = out.lines().skip_while(|line| *line != "failures:").filter_map(|line| line.strip_prefix("---- "));
    let name = failed.filter_map(|line| line.split(' ').next()).next().map(str::to_owned);
    Ok(if ran.status.success() { None } else { Some(name.unwrap_or_else(|| "an abort".to_owned())) })
}

fn corpus() -> PathBuf {
    std::env::var_os("PICKET_CORPUS").map_or_else(|| root().join("../shared/data"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_still_finds_what_it_changes() {
        for mutation in ALL {
            let text = std::fs::read_to_string(root().join(mutation.file)).unwrap();
            assert_ne!(mutated(mutation, &text).unwrap(), text, "{}", mutation.fault);
        }
    }
}
