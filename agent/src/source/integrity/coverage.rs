//! Which paths a source looks at: roots without wildcards, and globs of what is left out below them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::source::file::glob::{BadPattern, Patterns};

use super::entry::{is_within, order};

/// What is looked at. A folder that is left out is left out with all that is below it.
#[derive(Debug)]
pub struct Coverage {
    roots: Vec<PathBuf>,
    exclude: Patterns,
}

/// Bytes as a path.
pub(super) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl Coverage {
    /// Compiles both lists; roots within others are left away.
    ///
    /// # Errors
    /// The first pattern of `exclude` that is none.
    pub fn new(paths: &[String], exclude: &[String]) -> Result<Self, BadPattern> {
        let mut roots: Vec<PathBuf> = Vec::new();
        let mut sorted: Vec<&[u8]> = paths.iter().map(|path| path.trim_end_matches('/').as_bytes()).collect();
        sorted.sort_by(|a, b| order(a, b));
        for root in sorted {
            if !roots.last().is_some_and(|last| is_within(root, last.as_os_str().as_bytes())) {
                roots.push(as_path(root).to_owned());
            }
        }
        Ok(Self { roots, exclude: Patterns::new(&[], exclude)? })
    }

    /// Where walks begin, in their order.
    #[must_use]
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Whether this path itself is left out.
    #[must_use]
    pub fn is_excluded(&self, path: &[u8]) -> bool {
        self.exclude.is_excluded(as_path(path))
    }

    /// Whether this path is looked at: below a root, and nothing on the way is left out.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        let Some(root) = self.roots.iter().find(|root| is_within(path, root.as_os_str().as_bytes())) else {
            return false;
        };
        let on_the_way = as_path(path).ancestors().take_while(|folder| folder.starts_with(root));
        on_the_way.into_iter().all(|folder| !self.exclude.is_excluded(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_an_excluded_folder_is_left_out() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let coverage =
            Coverage::new(&texts(&["/etc/ssh", "/etc/", "/usr"]), &texts(&["/etc/*.d", "/usr/**/x"])).unwrap();
        assert_eq!(coverage.roots(), [Path::new("/etc"), Path::new("/usr")]);
        for (path, covered) in
            [("/etc", true), ("/etc/a", true), ("/etc/cron.d/a", false), ("/etcetera", false), ("/usr/a/x", false)]
        {
            assert_eq!(coverage.covers(path.as_bytes()), covered, "{path}");
        }
    }
}
