//! The sets: each file reads one project's way to say what it expects of a line.

mod audit;
mod crowdsec;
mod elastic;
mod fail2ban;
mod syslog;
mod vrl;
mod wazuh;

use std::path::{Path, PathBuf};

use super::case::Case;

/// How the lines of a set are read: its folder, and what one of its files holds.
type Reader = fn(&Path, &str) -> Vec<Case>;

/// The sets that expect something. Of the others' files each line is a case of which nothing is expected.
const READERS: [(&str, Reader); 7] = [
    ("elastic-package-tests", elastic::cases),
    ("crowdsec-hub-tests", crowdsec::cases),
    ("fail2ban", fail2ban::cases),
    ("wazuh-ruleset-tests", wazuh::cases),
    ("audit", audit::cases),
    ("syslog-rfc", syslog::cases),
    ("vrl-examples", vrl::cases),
];

/// Files that hold no log lines: licences, descriptions, patterns, tables of templates, packed or binary state.
fn holds_lines(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let other = ["LICENSE", "COPYING", "README", "go-syslog-LICENSE", "rsyslog-COPYING"];
    let extensions = ["csv", "yml", "yaml", "assert", "golden", "ref", "gz", "bz2", "xz"];
    !other.iter().any(|other| name.starts_with(other))
        && !extensions.iter().any(|extension| name.ends_with(&format!(".{extension}")))
        && !file.contains("/patterns/")
        && !file.contains("/utmp/")
        && !file.contains("/ivanti_vc0/")
}

/// Every case below a folder of the logs, in name order of its files.
pub fn cases(logs: &Path, below: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for path in files(&logs.join(below)) {
        let Ok(file) = path.strip_prefix(logs) else { continue };
        let file = file.display().to_string();
        let set = file.split('/').next().unwrap_or_default();
        let reader = READERS.iter().find(|(name, _)| *name == set);
        if holds_lines(&file) || reader.is_some_and(|(name, _)| *name == "audit") {
            cases.extend(reader.map_or_else(|| plain(&path, &file), |(_, read)| read(&path, &file)));
        }
    }
    cases
}

/// Every line of a file that is not empty.
fn plain(path: &Path, file: &str) -> Vec<Case> {
    let bytes = read(path);
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| Case::plain(file, number, line)).collect()
}

/// The bytes of a file.
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

/// Every file below a path, in name order.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_path_buf()];
    }
    let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("listing {}: {error}", path.display()));
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.iter().flat_map(|path| files(path)).collect()
}
