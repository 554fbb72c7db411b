//! A .deb: deb(5), deb-control(5), by `dpkg-deb`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::tree::{Staged, gzip, listing, place};
use super::{Build, Program, run};
use crate::{Naming, Result};

/// Debian's word for this architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub(super) fn make(build: &Build, program: &Program, staged: &Staged) -> Result<PathBuf> {
    let (name, folder) = (program.name, build.out.join(program.name).join("deb"));
    let completions = [
        ("bash", format!("usr/share/bash-completion/completions/{name}")),
        ("zsh", format!("usr/share/zsh/vendor-completions/_{name}")),
        ("fish", format!("usr/share/fish/vendor_completions.d/{name}.fish")),
    ];
    staged.copy_for(&folder, completions)?;
    let etc = build.root.join("packaging/etc").join(format!("{}.default", program.short));
    place(&fs::read(&etc).naming(etc.display())?, &folder.join("etc/default").join(name), 0o644)?;
    let documents = folder.join("usr/share/doc").join(name);
    // Debian's own form of it, for tools; the text for people is changelog.gz.
    let version = format!("{}-1", build.version);
    let date = run(Command::new("date").args(["-R", "-u"]))?;
    let entry = format!(
        "{name} ({version}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- The Picket authors <picket@example.com>  {date}"
    );
    place(&gzip(entry.as_bytes())?, &documents.join("changelog.Debian.gz"), 0o644)?;
    let overrides = program.fill(build, "deb/lintian-overrides", &[])?;
    place(overrides.as_bytes(), &folder.join("usr/share/lintian/overrides").join(name), 0o644)?;

    let files: Vec<PathBuf> =
        listing(&folder)?.into_iter().filter(|(_, is_folder)| !is_folder).map(|(at, _)| at).collect();
    let mut bytes = 0;
    for file in &files {
        bytes += super::size(&folder.join(file))?;
    }
    let conffiles = files.iter().filter(|file| file.starts_with("etc"));
    let conffiles: String = conffiles.map(|file| format!("/{}\n", file.display())).collect();
    let control = folder.join("DEBIAN");
    let description: Vec<String> = program.description.lines().map(|line| format!(" {line}")).collect();
    let words = [
        ("ARCHITECTURE", architecture()),
        ("KIB", &bytes.div_ceil(1024).to_string()),
        ("DESCRIPTION", &description.join("\n")),
    ];
    place(program.fill(build, "deb/control", &words)?.as_bytes(), &control.join("control"), 0o644)?;
    place(conffiles.as_bytes(), &control.join("conffiles"), 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        let text = program.fill(build, &format!("deb/{script}"), &[])?;
        place(text.as_bytes(), &control.join(script), 0o755)?;
    }
    let sums = {
        let mut sums = Command::new("md5sum");
        sums.current_dir(&folder).args(files.iter().filter(|file| !file.starts_with("etc")));
        run(&mut sums)?
    };
    place(sums.as_bytes(), &control.join("md5sums"), 0o644)?;
    let path = build.out.join(format!("{name}_{version}_{}.deb", architecture()));
    let level = if build.quick { "-z0" } else { "-z9" };
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-Zxz", level, "--build"]).arg(&folder).arg(&path))?;
    Ok(path)
}
