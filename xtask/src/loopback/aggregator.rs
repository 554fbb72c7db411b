//! An aggregator of its own in a folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::process::run;
use super::{Process, Programs, Usage, await_until, free_port, replace_key};
use crate::scrape::{Metrics, http_get};
use crate::{Failure, Naming, Result};

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How often an aggregator cuts its journal and commits its lake.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// `journal.block_interval`.
    pub block: Duration,
    /// `sinks.lake.commit_interval`.
    pub commit: Duration,
}

impl Pace {
    /// What a person or a test waits for: a block each half second, committed at once.
    pub const BRISK: Self = Self { block: Duration::from_millis(500), commit: Duration::from_millis(500) };
    /// What a package installs.
    pub const DEFAULT: Self = Self { block: Duration::from_secs(5), commit: Duration::from_secs(60) };
}

/// An aggregator that `picket-aggregator init` made in a folder, running or not.
#[derive(Debug)]
pub struct Aggregator {
    program: PathBuf,
    folder: PathBuf,
    listen: SocketAddr,
    http: SocketAddr,
    env: Vec<(String, String)>,
    process: Option<Process>,
}

impl Aggregator {
    /// Makes its CA, certificate and configuration in `folder`, on ports of its own.
    ///
    /// # Errors
    /// `init` failed, or its configuration cannot be read.
    pub fn init(programs: &Programs, folder: &Path, pace: Pace) -> Result<Self> {
        let (listen, http) = (free_port()?, free_port()?);
        std::fs::create_dir_all(folder).naming(folder.display())?;
        let mut init = Command::new(&programs.aggregator);
        init.arg("init").arg("--dir").arg(folder).args(["--name", "127.0.0.1", "--name", "localhost"]);
        run(init.args(["--listen", &listen.to_string(), "--http", &http.to_string()]))?;
        let this = Self {
            program: programs.aggregator.clone(),
            folder: folder.to_path_buf(),
            listen,
            http,
            env: Vec::new(),
            process: None,
        };
        let (block, commit) = (pace.block.as_millis(), pace.commit.as_millis());
        this.configure("journal", &format!("journal: {{ max_bytes: 4GiB, retain: 30d, block_interval: {block}ms }}"))?;
        this.configure(
            "sinks",
            &format!("sinks: {{ lake: {{ type: parquet, path: lake, commit_interval: {commit}ms }} }}"),
        )?;
        this.configure("routes", "routes: [{ to: lake }]")?;
        Ok(this)
    }

    /// Replaces a top-level key of its configuration by `line`; takes effect at the next start.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn configure(&self, key: &str, line: &str) -> Result<()> {
        let path = self.config();
        let yaml = std::fs::read_to_string(&path).naming(path.display())?;
        std::fs::write(&path, replace_key(&yaml, key, line)).naming(path.display())
    }

    /// Sets a variable of its environment from the next start on; an empty value removes it.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.env.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Starts it and waits until it answers on `/healthz`.
    ///
    /// # Errors
    /// It ended or did not answer; its last lines are in the message.
    pub fn start(&mut self) -> Result<()> {
        let mut run = Command::new(&self.program);
        run.arg("run").arg("-c").arg(self.config()).envs(self.env.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(&mut run, &self.log())?;
        let http = self.http;
        let answered = await_until("picket-aggregator to answer", START_DEADLINE, || match process.ended()? {
            Some(status) => Ok(Some(Err(status))),
            None => Ok(matches!(http_get(http, "/healthz"), Ok((200, _))).then_some(Ok(()))),
        });
        let said = process.last_lines();
        self.process = Some(process);
        match answered {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(Failure::new(format!("picket-aggregator ended at its start with {status}: {said}"))),
            Err(failure) => Err(Failure::of(failure, said)),
        }
    }

    /// Its process id.
    ///
    /// # Errors
    /// It does not run.
    pub fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().ok_or_else(not_running)?.id())
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

    /// CPU and memory so far.
    ///
    /// # Errors
    /// It does not run.
    pub fn usage(&self) -> Result<Usage> {
        self.process.as_ref().ok_or_else(not_running)?.usage()
    }

    /// Runs one of its commands, e.g. `["gaps", "--output", "json"]`; what it printed.
    ///
    /// # Errors
    /// The command ends with anything but 0; its stderr is in the message.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new(&self.program).args(arguments).arg("-c").arg(self.config()))
    }

    /// Replaces its fleet file, as an editor does: whole, under its name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_fleet(&self, fleet: &str) -> Result<()> {
        let (path, new) = (self.folder.join("fleet.yaml"), self.folder.join("fleet.yaml.new"));
        std::fs::write(&new, fleet).naming(new.display())?;
        std::fs::rename(&new, &path).naming(path.display())
    }

    /// A token for one more agent of `group`.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn token(&self, group: &str) -> Result<String> {
        let token = self.command(&["token", "create", "--group", group, "--ttl", "1h", "--uses", "1"])?;
        Ok(token.trim().to_owned())
    }

    /// What it says on `/metrics`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metrics(&self) -> Result<Metrics> {
        let (status, text) = http_get(self.http, "/metrics").naming("get /metrics")?;
        if status == 200 { Ok(Metrics::parse(&text)) } else { Err(Failure::new(format!("/metrics answers {status}"))) }
    }

    /// Where agents reach it.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where its HTTP pages are.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("aggregator.yaml")
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its state: authority, roster, journal.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its Parquet lake.
    #[must_use]
    pub fn lake(&self) -> PathBuf {
        self.folder.join("lake")
    }

    /// What it printed.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("aggregator.log")
    }
}

fn not_running() -> Failure {
    Failure::new("picket-aggregator is not running")
}
