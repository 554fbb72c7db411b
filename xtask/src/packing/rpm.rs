//! An .rpm, by `rpmbuild` from a spec that only packs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tree::{Staged, folder as make_folder, listing, place};
use super::{Build, Program, run};
use crate::{Naming, Result};

pub(super) fn make(build: &Build, program: &Program, staged: &Staged) -> Result<PathBuf> {
    let (name, folder) = (program.name, build.out.join(program.name).join("rpm"));
    let completions = [
        ("bash", format!("usr/share/bash-completion/completions/{name}")),
        ("zsh", format!("usr/share/zsh/site-functions/_{name}")),
        ("fish", format!("usr/share/fish/vendor_completions.d/{name}.fish")),
    ];
    staged.copy_for(&folder, completions)?;
    let etc = build.root.join("packaging/etc").join(format!("{}.default", program.short));
    place(&fs::read(&etc).naming(etc.display())?, &folder.join("etc/sysconfig").join(name), 0o644)?;
    let date = run(Command::new("date").args(["-u", "+%a %b %d %Y"]).env("LC_ALL", "C"))?;
    let summary: String =
        program.summary.chars().enumerate().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c }).collect();
    let (tree, document) = (folder.display().to_string(), format!("/usr/share/doc/{name}"));
    let words = [
        ("LEVEL", if build.quick { "1" } else { "19" }),
        ("TITLE", summary.as_str()),
        ("TREE", &tree),
        ("FILES", &files(program, &folder)?),
        ("DESCRIPTION", program.description),
        ("RPM_DATE", date.trim()),
        ("DOC", &document),
    ];
    let spec = build.out.join(name).join(format!("{name}.spec"));
    place(program.fill(build, "rpm/package.spec", &words)?.as_bytes(), &spec, 0o644)?;
    let top = build.out.join(name).join("rpmbuild");
    make_folder(&top)?;
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.arg("-bb").arg("--define").arg(format!("_topdir {}", top.display()));
    run(rpmbuild.arg("--target").arg(std::env::consts::ARCH).arg(&spec))?;
    let file = format!("{name}-{}-1.{arch}.rpm", build.version, arch = std::env::consts::ARCH);
    let (made, path) = (top.join("RPMS").join(std::env::consts::ARCH).join(&file), build.out.join(&file));
    fs::rename(&made, &path).naming(made.display())?;
    Ok(path)
}

/// The section `%files`: every file with its kind; of folders only those that are ours.
fn files(program: &Program, folder: &Path) -> Result<String> {
    let mut section = String::from("%defattr(-,root,root,-)\n");
    for (path, is_folder) in listing(folder)? {
        let ours = path == Path::new("etc/picket")
            || path.components().any(|part| part.as_os_str() == program.name) && !path.starts_with("usr/bin");
        let kind = match (is_folder, path.starts_with("etc")) {
            (true, _) if ours => "%dir ",
            (true, _) => continue,
            (false, true) => "%config(noreplace) ",
            (false, false) if path.starts_with("usr/share/doc") || path.starts_with("usr/share/man") => "%doc ",
            (false, false) => "",
        };
        let _ = writeln!(section, "{kind}/{}", path.display());
    }
    Ok(section)
}
