//! One running program: started with its output in a file, stopped by a signal, measured through `/proc`.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::await_until;
use crate::{Failure, Naming, Result};

/// A program that was started. Dropping it kills what still runs.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

/// What a process has used so far.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Usage {
    /// User + system time, ended threads included.
    pub cpu_seconds: f64,
    /// Resident memory now (`VmRSS`).
    pub resident_bytes: u64,
    /// Its largest since the start (`VmHWM`).
    pub resident_bytes_peak: u64,
}

impl Process {
    /// Starts `command` with its output appended to `log`.
    ///
    /// # Errors
    /// The log cannot be written or the program not started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let out = appending(log)?;
        let err = out.try_clone().naming(log.display())?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().naming(&name)?;
        Ok(Self { child, name, log: log.to_path_buf() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().naming(&self.name)
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// It still runs at `deadline`.
    pub fn await_end(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        await_until(&what, deadline, || self.ended())
    }

    /// Asks it to stop (SIGTERM), unless it has ended already, and waits.
    ///
    /// # Errors
    /// It still runs at `deadline`, or ended with anything but 0; its last lines are in the message.
    pub fn stop(&mut self, deadline: Duration) -> Result<()> {
        if self.ended()?.is_none() {
            signal(self.id(), "TERM")?;
        }
        let status = self.await_end(deadline)?;
        if status.success() {
            return Ok(());
        }
        let how = status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
        Err(Failure::new(format!("{} ended with {how}: {}", self.name, self.last_lines())))
    }

    /// Ends it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().naming(&self.name)?;
        self.child.wait().naming(&self.name)?;
        Ok(())
    }

    /// CPU and memory so far.
    ///
    /// # Errors
    /// It has ended, or there is no `/proc`.
    pub fn usage(&self) -> Result<Usage> {
        usage_of(self.id())
    }

    /// The end of its output, for a message.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let killed = self.child.kill().and_then(|()| self.child.wait());
            debug_assert!(killed.is_ok(), "a child that was not waited for can be killed");
        }
    }
}

/// Runs a command to its end; what it printed to stdout.
///
/// # Errors
/// It cannot be started or ends with anything but 0; what it printed to stderr is in the message.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    let words = words.join(" ");
    let output = command.stdin(Stdio::null()).output().naming(&words)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let (said, status) = (String::from_utf8_lossy(&output.stderr), output.status);
    Err(Failure::new(format!("`{words}` ended with {status}: {}", said.trim())))
}

/// Sends a signal by name; the shell has `kill` built in, so no package is needed.
fn signal(process: u32, name: &str) -> Result<()> {
    run(Command::new("sh").args(["-c", &format!("kill -{name} {process}")])).map(drop)
}

/// User + system time and memory of a process, from `/proc/PID/stat` (proc_pid_stat(5), fields 14 and 15, in ticks of
/// 1/100 s, which is what Linux shows on every architecture that we build for) and `/proc/PID/status`.
fn usage_of(process: u32) -> Result<Usage> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat_path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&stat_path).naming(&stat_path)?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    let status_path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&status_path).naming(&status_path)?;
    let kib = |key: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().find_map(|word| word.parse().ok())).unwrap_or(0)
    };
    Ok(Usage {
        cpu_seconds: ticks / TICKS_PER_SECOND,
        resident_bytes: kib("VmRSS:") * 1024,
        resident_bytes_peak: kib("VmHWM:") * 1024,
    })
}

fn appending(log: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(log).naming(log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        Process::start(Command::new("sh").args(["-c", script]), log).unwrap()
    }

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("picket-process-{}-{name}.log", std::process::id()))
    }

    #[test]
    fn a_program_that_stops_cleanly_is_no_failure_and_one_that_does_not_is_quoted() {
        let log = log("stop");
        let mut clean = shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", &log);
        await_until("its trap", Duration::from_secs(10), || Ok(clean.last_lines().contains("ready").then_some(())))
            .unwrap();
        clean.stop(Duration::from_secs(10)).unwrap();
        let mut crossed = shell("trap 'echo cross; exit 3' TERM; echo set; while :; do sleep 0.01; done", &log);
        await_until("its trap", Duration::from_secs(10), || Ok(crossed.last_lines().contains("set").then_some(())))
            .unwrap();
        let failure = crossed.stop(Duration::from_secs(10)).unwrap_err().to_string();
        assert!(failure.contains("exit status: 3") && failure.contains("cross"), "{failure}");
        std::fs::remove_file(&log).unwrap();
    }

    #[test]
    fn a_killed_program_is_gone_and_a_running_one_is_measured() {
        let log = log("kill");
        let mut busy = shell("while :; do :; done", &log);
        await_until("some use of the CPU", Duration::from_secs(20), || {
            Ok((busy.usage()?.cpu_seconds > 0.02).then_some(()))
        })
        .unwrap();
        let usage = busy.usage().unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.resident_bytes_peak >= usage.resident_bytes, "{usage:?}");
        busy.kill().unwrap();
        assert_eq!(busy.ended().unwrap().unwrap().signal(), Some(9));
        std::fs::remove_file(&log).unwrap();
    }
}
