//! The only step of reading a configuration that touches the disk.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::problem::Problems;
use super::tree::BYTES_MAX;
use crate::exit::{Exit, Reason};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; {advice}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The file is wrong.
    #[error(transparent)]
    Wrong(#[from] Problems),
}

impl LoadError {
    /// One sentence per problem.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        self.to_string().lines().map(str::to_owned).collect()
    }
}

impl From<LoadError> for Exit {
    fn from(error: LoadError) -> Self {
        Self::new(Reason::Config, error)
    }
}

/// The bytes of a configuration file, at most one more than [`BYTES_MAX`]: the parser then says what is
/// wrong with it.
///
/// # Errors
/// [`LoadError::Unreadable`] with this `advice`.
pub fn read(path: &Path, advice: &'static str) -> Result<Vec<u8>, LoadError> {
    let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| LoadError::Unreadable { path: path.to_path_buf(), source, advice })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_a_configuration_failure_that_says_what_to_do() {
        let error = read(Path::new("/nonexistent/agent.yaml"), "name another with --config").unwrap_err();
        let exit = Exit::from(error);
        assert_eq!(exit.reason, Reason::Config);
        let sentence = exit.to_string();
        assert!(sentence.starts_with("cannot read /nonexistent/agent.yaml: "), "{sentence}");
        assert!(sentence.ends_with("; name another with --config"), "{sentence}");
    }

    #[test]
    fn an_endless_file_is_read_to_its_bound_only() {
        assert_eq!(read(Path::new("/dev/zero"), "").unwrap().len(), BYTES_MAX + 1);
    }
}
