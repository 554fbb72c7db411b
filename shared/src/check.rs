//! What `validate` finds: named checks, each fine, doubtful or failed.
//!
//! In: findings from any room. Out: rows, and whether the program may start. Every problem is listed, not
//! the first one only.

use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::exit::{Exit, Reason};
use crate::table::{Output, Table};

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and a person should know.
    Warn,
    /// The program cannot do its work like this.
    Fail,
}

impl Outcome {
    /// `ok`, `warn`, `fail`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What was looked at: `config`, `fleet`, `state_dir`, …
    pub name: &'static str,
    /// How it stands.
    pub outcome: Outcome,
    /// What was found and, where a person can act, what to do.
    pub detail: String,
}

/// The findings of one `validate`, in the order in which they were made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Adds a finding.
    pub fn push(&mut self, name: &'static str, outcome: Outcome, detail: impl Into<String>) {
        self.0.push(Check { name, outcome, detail: detail.into() });
    }

    /// Adds one failed finding per problem, or one good one that says `fine` when there is none.
    pub fn push_all<T: ToString>(&mut self, name: &'static str, outcome: Outcome, problems: &[T], fine: &str) {
        for problem in problems {
            self.push(name, outcome, problem.to_string());
        }
        if problems.is_empty() {
            self.push(name, Outcome::Ok, fine);
        }
    }

    /// All findings.
    #[must_use]
    pub fn all(&self) -> &[Check] {
        &self.0
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.0.iter().all(|check| check.outcome != Outcome::Fail)
    }

    /// Prints the findings (columns `check`, `outcome`, `detail`).
    ///
    /// # Errors
    /// The writer's, and exit code 78 when a check failed.
    pub fn conclude(&self, writer: impl Write, output: Output) -> Result<(), Exit> {
        self.print(writer, output)?;
        if self.passed() { Ok(()) } else { Err(Exit::silent(Reason::Config)) }
    }

    fn print(&self, writer: impl Write, output: Output) -> io::Result<()> {
        let mut table = Table::new(writer, output, &["check", "outcome", "detail"]);
        for check in &self.0 {
            table.row([check.name.into(), check.outcome.name().into(), check.detail.as_str().into()])?;
        }
        table.finish()
    }
}

/// Looks at a folder that holds what others must not read: it is a folder and closed to other users.
/// A missing one is doubtful only: it is made at the first start.
pub fn private_folder(checks: &mut Checks, name: &'static str, path: &Path) {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            checks.push(name, Outcome::Fail, format!("{shown} is not a folder; move it away or set another path"));
        }
        Ok(found) => {
            let mode = found.permissions().mode() & 0o7777;
            if mode & 0o007 == 0 {
                checks.push(name, Outcome::Ok, format!("{shown} (mode {mode:04o}, owner uid {})", found.uid()));
            } else {
                let detail = format!("{shown} is open to every user (mode {mode:04o}); run: chmod 0750 {shown}");
                checks.push(name, Outcome::Warn, detail);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            checks.push(name, Outcome::Warn, format!("{shown} does not exist yet; it is made at the first start"));
        }
        Err(error) => checks.push(name, Outcome::Fail, format!("{shown} cannot be looked at: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("picket-check-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn one_failure_is_enough_to_exit_78_and_all_are_printed() {
        let mut checks = Checks::default();
        checks.push_all("config", Outcome::Fail, &["first", "second"], "fine");
        checks.push_all::<String>("fleet", Outcome::Fail, &[], "fine");
        let mut out = Vec::new();
        let exit = checks.conclude(&mut out, Output::Table).unwrap_err();
        assert_eq!((exit.reason, exit.message), (Reason::Config, None));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("first") && text.contains("second") && text.contains("fleet"), "{text}");
    }

    #[test]
    fn a_warning_alone_passes() {
        let mut checks = Checks::default();
        checks.push("http", Outcome::Warn, "open to the network");
        assert!(checks.conclude(Vec::new(), Output::Json).is_ok());
    }

    #[test]
    fn a_folder_open_to_all_is_doubtful_and_a_file_is_a_failure() {
        let path = folder("open");
        let outcome_at = |path: &Path| {
            let mut checks = Checks::default();
            private_folder(&mut checks, "state_dir", path);
            checks.all()[0].outcome
        };
        for (mode, expected) in [(0o755, Outcome::Warn), (0o750, Outcome::Ok)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(outcome_at(&path), expected, "{mode:o}");
        }
        let file = path.join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(outcome_at(&file), Outcome::Fail);
        assert_eq!(outcome_at(&path.join("missing")), Outcome::Warn);
        assert_eq!(outcome_at(&file.join("below")), Outcome::Fail);
        std::fs::remove_dir_all(path).unwrap();
    }
}
