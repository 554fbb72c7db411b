//! Packages that dpkg and rpm themselves put into a tree made for the test: told as they come, become others and go.

use std::path::Path;
use std::process::Command;

use super::ran;
use super::tree::{Bench, write};
use crate::source::health::Trouble;

/// OCSF: 1 install, 2 remove, 8 update.
fn told(activity: u64) -> Vec<(u64, u64, String)> {
    vec![(6002, activity, "packages".to_owned())]
}

/// A package for dpkg; whether it could be made.
fn deb(root: &Path, version: u32) -> bool {
    let control = root.join("made/DEBIAN/control");
    std::fs::create_dir_all(control.parent().unwrap()).unwrap();
    let maintainer = "x <x@example.com>";
    let text =
        format!("Package: made\nVersion: {version}\nArchitecture: all\nMaintainer: {maintainer}\nDescription: made\n");
    std::fs::write(control, text).unwrap();
    ran(Command::new("dpkg-deb").args(["--build", "--root-owner-group", "made", "made.deb"]).current_dir(root))
}

fn dpkg(root: &Path, words: &[&str]) -> bool {
    const ELSEWHERE: [&str; 4] = ["--root=.", "--force-not-root", "--force-bad-path", "--log=/dev/null"];
    ran(Command::new("dpkg").args(ELSEWHERE).args(words).current_dir(root))
}

#[test]
fn packages_of_dpkg_are_told_as_they_come_change_and_go() {
    let mut bench = Bench::new();
    let root = bench.folder.as_ref().to_owned();
    for folder in ["updates", "info"] {
        std::fs::create_dir_all(root.join("var/lib/dpkg").join(folder)).unwrap();
    }
    write(&bench.folder, "var/lib/dpkg/status", "");
    bench.after(0);
    for (version, activity) in [(1, 1), (2, 8)] {
        if !deb(&root, version) || !dpkg(&root, &["-i", "made.deb"]) {
            return;
        }
        assert_eq!(bench.differences(60), told(activity), "version {version}");
        assert_eq!(bench.differences(60), []);
    }
    assert!(dpkg(&root, &["--purge", "made"]));
    assert_eq!(bench.differences(60), told(2));
}

/// A package for rpm; whether it could be made.
fn built(root: &Path, version: u32) -> bool {
    let head = format!("Name: made\nVersion: {version}\nRelease: 1\nSummary: made\nLicense: MIT\nBuildArch: noarch\n");
    std::fs::write(root.join("made.spec"), head + "%description\nmade\n%files\n").unwrap();
    let define = |name: &str| format!("{name} {}", root.display());
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bb", "--define", &define("_topdir"), "--define", &define("_rpmdir"), "made.spec"]);
    ran(rpmbuild.current_dir(root))
}

fn rpm(root: &Path, words: &[&str]) -> bool {
    let mut rpm = Command::new("rpm");
    rpm.arg("--dbpath").arg(root.join("var/lib/rpm")).args(["--justdb", "--nodeps", "--noscripts"]);
    ran(rpm.args(words).current_dir(root))
}

#[test]
fn packages_of_rpm_are_told_as_they_come_change_and_go_and_a_corrupt_database_takes_none_away() {
    let mut bench = Bench::new();
    let root = bench.folder.as_ref().to_owned();
    bench.after(0);
    for (version, activity) in [(1, 1), (2, 8)] {
        let package = format!("noarch/made-{version}-1.noarch.rpm");
        if !built(&root, version) || !rpm(&root, &["-U", &package]) {
            return;
        }
        assert_eq!(bench.differences(60), told(activity), "version {version}");
        assert_eq!(bench.differences(60), [], "asking changes nothing that is looked at");
    }
    let database = root.join("var/lib/rpm/rpmdb.sqlite");
    let whole = std::fs::read(&database).unwrap();
    std::fs::write(&database, b"no database".repeat(1000)).unwrap();
    assert_eq!(bench.differences(60), [], "what cannot be read is not gone");
    assert_eq!(bench.source.bells().1.snapshot().count(Trouble::Unreadable), 1);
    std::fs::write(&database, whole).unwrap();
    assert_eq!(bench.differences(60), []);
    assert!(rpm(&root, &["-e", "made"]));
    assert_eq!(bench.differences(60), told(2));
}
