//! A folder of configuration files for the tests of the commands.

use std::path::PathBuf;

use clap::Parser;

use crate::cli::{Cli, Options, PROGRAM};

/// A folder that is gone when the test ends.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("picket-agent-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes agent.yaml; the options that name it, with `--output form`.
    pub(crate) fn agent(&self, yaml: &str, form: &str) -> Options {
        self.file("agent.yaml", yaml);
        let path = self.path("agent.yaml");
        Cli::parse_from([PROGRAM, "validate", "--output", form, "-c", path.to_str().unwrap()]).options
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
