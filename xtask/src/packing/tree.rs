//! The tree of a package: what is installed, where, with which rights.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Build, Program, run};
use crate::{Naming, Result};

/// A tree on disk, without what only one format has.
pub(super) struct Staged {
    /// What both have; below it `usr`, `etc`.
    pub common: PathBuf,
    /// Completions by the name of their shell.
    completions: PathBuf,
}

/// Rights of a file.
const PLAIN: u32 = 0o644;
/// Rights of a program and of a folder.
const OPEN: u32 = 0o755;

impl Staged {
    pub(super) fn make(build: &Build, program: &Program, pages: &Path) -> Result<Self> {
        let (name, short, root) = (program.name, program.short, &build.root);
        let common = build.out.join(name).join("common");
        if common.exists() {
            fs::remove_dir_all(&common).naming(common.display())?;
        }
        let binary = common.join("usr/bin").join(name);
        place(&fs::read(build.programs.join(name)).naming(build.programs.join(name).display())?, &binary, OPEN)?;
        run(Command::new("strip").arg("--strip-all").arg(&binary))?;

        let units = root.join("systemd");
        copy(&units.join(format!("{name}.service")), &common.join(format!("usr/lib/systemd/system/{name}.service")))?;
        copy(&units.join(format!("{name}.sysusers")), &common.join(format!("usr/lib/sysusers.d/{name}.conf")))?;
        copy(&units.join(format!("{name}.tmpfiles")), &common.join(format!("usr/lib/tmpfiles.d/{name}.conf")))?;
        if short == "agent" {
            let drop_in = "process-events.conf";
            copy(&units.join(drop_in), &common.join("usr/share").join(name).join(drop_in))?;
        }
        let etc = root.join("packaging/etc");
        for config in program.configs {
            copy(&etc.join(config), &common.join("etc/picket").join(config))?;
        }
        folder(&common.join("etc/picket"))?;
        let own = pages.join(name);
        for page in fs::read_dir(own.join("man")).naming("read the man pages")? {
            let page = page.naming("read the man pages")?.path();
            let bytes = fs::read(&page).naming(page.display())?;
            let file = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
            place(&gzip(&bytes)?, &common.join("usr/share/man/man1").join(file + ".gz"), PLAIN)?;
        }
        let documents = common.join("usr/share/doc").join(name);
        for example in program.examples {
            copy(&etc.join(example), &documents.join("examples").join(example))?;
        }
        let license = fs::read_to_string(root.join("LICENSE-MIT")).naming("LICENSE-MIT")?;
        let license: Vec<String> = license
            .lines()
            .map(|line| if line.trim().is_empty() { " .".to_owned() } else { format!(" {line}") })
            .collect();
        let copyright = program.fill(build, "copyright", &[("MIT", &license.join("\n"))])?;
        place(copyright.as_bytes(), &documents.join("copyright"), PLAIN)?;
        place(build.third_party.as_bytes(), &documents.join("THIRD-PARTY"), PLAIN)?;
        let changes = fs::read(root.join("CHANGELOG.md")).naming("CHANGELOG.md")?;
        place(&gzip(&changes)?, &documents.join("changelog.gz"), PLAIN)?;
        // Pages for users; those for developers have names in capitals.
        for page in fs::read_dir(root.join("docs")).naming("read docs")? {
            let path = page.naming("read docs")?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if file.ends_with(".md") && file.starts_with(|c: char| c.is_ascii_lowercase()) {
                copy(&path, &documents.join(file))?;
            }
        }
        Ok(Self { common, completions: own.join("completions") })
    }

    /// A copy for one format; `completions` is where each shell's goes, with the file's name.
    pub(super) fn copy_for(&self, to: &Path, completions: [(&str, String); 3]) -> Result<()> {
        if to.exists() {
            fs::remove_dir_all(to).naming(to.display())?;
        }
        folder(to)?;
        run(Command::new("cp").arg("-a").arg(self.common.join(".")).arg(to))?;
        for (ending, path) in completions {
            let found = fs::read_dir(&self.completions).naming(self.completions.display())?.flatten();
            for file in found.filter(|file| file.path().extension().is_some_and(|extension| extension == ending)) {
                copy(&file.path(), &to.join(&path))?;
            }
        }
        Ok(())
    }
}

/// Every file and folder below `folder`, relative to it, sorted.
pub(super) fn listing(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).naming(at.display())? {
            let path = entry.naming(at.display())?.path();
            let is_folder = path.is_dir();
            found.push((path.strip_prefix(folder).unwrap_or(&path).to_path_buf(), is_folder));
            if is_folder {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).naming(path.display())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    place(&fs::read(from).naming(from.display())?, to, PLAIN)
}

/// Writes a file with its rights; folders on the way are open.
pub(super) fn place(bytes: &[u8], to: &Path, rights: u32) -> Result<()> {
    folder(to.parent().unwrap_or(to))?;
    fs::write(to, bytes).naming(to.display())?;
    fs::set_permissions(to, fs::Permissions::from_mode(rights)).naming(to.display())
}

/// gzip(1) without name and time, so that the same bytes give the same bytes.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    let mut child = Command::new("gzip")
        .args(["-9", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .naming("gzip")?;
    let mut input = child.stdin.take();
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(move || input.take().map_or(Ok(()), |mut input| input.write_all(bytes)));
        let output = child.wait_with_output();
        (writer.join().unwrap_or(Ok(())), output)
    });
    written.0.naming("write to gzip")?;
    Ok(written.1.naming("read from gzip")?.stdout)
}
