//! An enrolled agent of its own in a folder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::process::run;
use super::{Aggregator, Process, Programs, Usage};
use crate::scrape::Metrics;
use crate::{Failure, Naming, Result};

const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// As its unit sets them: glibc raises both by itself when a large buffer is freed (mallopt(3)), and then keeps a MiB and
/// more that an idle agent does not need.
pub const MALLOC: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

/// An agent that `picket-agent enroll` gave a certificate, running or not.
#[derive(Debug)]
pub struct Agent {
    program: PathBuf,
    folder: PathBuf,
    env: Vec<(String, String)>,
    process: Option<Process>,
}

impl Agent {
    /// Writes `agent.yaml` and `fleet.yaml` into `folder` and enrolls at a running `aggregator`.
    ///
    /// # Errors
    /// No token, or the enrollment failed.
    pub fn enroll(
        programs: &Programs,
        folder: &Path,
        aggregator: &Aggregator,
        hostname: &str,
        fleet: &str,
    ) -> Result<Self> {
        Self::enroll_with(programs, folder, aggregator, &aggregator.token("default")?, (hostname, fleet))
    }

    /// As [`enroll`](Self::enroll), with a token of the caller's.
    ///
    /// # Errors
    /// The enrollment failed.
    pub fn enroll_with(
        programs: &Programs,
        folder: &Path,
        aggregator: &Aggregator,
        secret: &str,
        (hostname, fleet): (&str, &str),
    ) -> Result<Self> {
        std::fs::create_dir_all(folder).naming(folder.display())?;
        std::fs::write(folder.join("fleet.yaml"), fleet).naming(folder.display())?;
        Self::enroll_as(programs, folder, aggregator, secret, (hostname, "fleet: fleet.yaml\n"))
    }

    /// As [`enroll`](Self::enroll), without a fleet file: the aggregator says what is read. `keys` are more lines of
    /// `agent.yaml`.
    ///
    /// # Errors
    /// As [`enroll`](Self::enroll).
    pub fn enroll_steered(
        programs: &Programs,
        folder: &Path,
        aggregator: &Aggregator,
        hostname: &str,
        keys: &str,
    ) -> Result<Self> {
        Self::enroll_as(programs, folder, aggregator, &aggregator.token("default")?, (hostname, keys))
    }

    fn enroll_as(
        programs: &Programs,
        folder: &Path,
        aggregator: &Aggregator,
        secret: &str,
        (hostname, keys): (&str, &str),
    ) -> Result<Self> {
        std::fs::create_dir_all(folder).naming(folder.display())?;
        let this =
            Self { program: programs.agent.clone(), folder: folder.to_path_buf(), env: Vec::new(), process: None };
        let address = aggregator.listen();
        let yaml = format!("version: 1\naggregators: [\"{address}\"]\nstate_dir: state\n{keys}hostname: {hostname}\n");
        std::fs::write(this.config(), yaml).naming(this.config().display())?;
        let token = folder.join("token");
        std::fs::write(&token, secret).naming(token.display())?;
        let mut enroll = Command::new(&this.program);
        enroll.arg("enroll").args(["--aggregator", &address.to_string()]).arg("--token-file").arg(&token);
        run(enroll.arg("-c").arg(this.config()))?;
        Ok(this)
    }

    /// The agent whose configuration and state lie in `folder`, e.g. a copy of another's.
    #[must_use]
    pub fn adopt(programs: &Programs, folder: &Path) -> Self {
        Self { program: programs.agent.clone(), folder: folder.to_path_buf(), env: Vec::new(), process: None }
    }

    /// Replaces its local fleet file; takes effect at the next start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_fleet(&self, fleet: &str) -> Result<()> {
        let path = self.folder.join("fleet.yaml");
        std::fs::write(&path, fleet).naming(path.display())
    }

    /// Sets a variable of its environment from the next start on; an empty value removes it.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.env.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Starts it; what it then does is seen by [`metrics`](Self::metrics) and at the aggregator.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self) -> Result<()> {
        self.start_by(&[])
    }

    /// Starts it by another program that becomes it, e.g. `["setpriv", "--reuid", "998"]`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_by(&mut self, before: &[&str]) -> Result<()> {
        let mut words = before.iter().map(OsStr::new).chain([self.program.as_os_str()]);
        let mut run = Command::new(words.next().unwrap_or(self.program.as_os_str()));
        run.envs(MALLOC);
        run.args(words).arg("run").arg("-c").arg(self.config());
        run.envs(self.env.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(&mut run, &self.log())?);
        Ok(())
    }

    /// Stops it by SIGTERM and waits for its clean end.
    ///
    /// # Errors
    /// It does not run, does not end, or ends with anything but 0.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().ok_or_else(not_running)?.stop(STOP_DEADLINE)
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().ok_or_else(not_running)?.kill()
    }

    /// Waits until it ends by itself, e.g. at a fault that was asked for.
    ///
    /// # Errors
    /// It does not run, or still does at `deadline`.
    pub fn await_end(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let status = self.process.as_mut().ok_or_else(not_running)?.await_end(deadline)?;
        self.process = None;
        Ok(status)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It was not started.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.as_mut().ok_or_else(not_running)?.ended()
    }

    /// Its process id.
    ///
    /// # Errors
    /// It does not run.
    pub fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().ok_or_else(not_running)?.id())
    }

    /// CPU and memory so far.
    ///
    /// # Errors
    /// It does not run.
    pub fn usage(&self) -> Result<Usage> {
        self.process.as_ref().ok_or_else(not_running)?.usage()
    }

    /// Runs one of its commands, e.g. `["spool", "stat"]`; what it printed.
    ///
    /// # Errors
    /// The command ends with anything but 0; its stderr is in the message.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new(&self.program).args(arguments).arg("-c").arg(self.config()))
    }

    /// Its metrics, through its unix socket.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::parse(&self.command(&["status", "--output", "prometheus"])?))
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("agent.yaml")
    }

    /// Its folder; `state` in it is its `state_dir`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its state: key, certificate, spool.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// What it printed.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("agent.log")
    }
}

fn not_running() -> Failure {
    Failure::new("picket-agent is not running")
}
