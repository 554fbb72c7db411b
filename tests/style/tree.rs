//! The source tree as the rules see it.

use std::path::{Path, PathBuf};

/// Folders that are not source.
const NOT_SOURCE: [&str; 4] = ["target", ".git", "artifacts", "node_modules"];

/// A file of the repository.
pub struct SourceFile {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl SourceFile {
    /// Its text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Its lines of code, numbered from 1: comments are left out.
    pub fn code(&self) -> Vec<(usize, String)> {
        let lines = self.text();
        let lines = lines.lines().enumerate().map(|(at, line)| (at + 1, line.trim().to_owned()));
        lines.filter(|(_, line)| !line.starts_with("//")).collect()
    }

    /// Whether it stands in `place`: a file without its ending, or a folder.
    pub fn stands_in(&self, place: &str) -> bool {
        self.path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate stands in the workspace").to_path_buf()
}

/// Every file of the repository.
pub fn source() -> Vec<SourceFile> {
    let root = root();
    let read = |path: &PathBuf| SourceFile {
        path: path.strip_prefix(&root).expect("it was found below").to_string_lossy().into_owned(),
        bytes: std::fs::read(path).expect("a file of the repository can be read"),
    };
    let files = files_below(&root);
    assert!(files.len() > 30, "{} has only {} files: is it the workspace?", root.display(), files.len());
    files.iter().map(read).collect()
}

/// Every Rust file of the repository.
pub fn rust() -> Vec<SourceFile> {
    source().into_iter().filter(SourceFile::is_rust).collect()
}

/// Every file below a folder, in order.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder that was found can be read") {
        let entry = entry.expect("its entries too");
        let (path, kind) = (entry.path(), entry.file_type().expect("and their types"));
        let name = entry.file_name();
        if kind.is_dir() && !NOT_SOURCE.iter().any(|skipped| name == *skipped) {
            found.extend(files_below(&path));
        } else if kind.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Fails with every breach, one a line.
#[track_caller]
pub fn assert_none(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}
