//! Both programs as real processes on this machine, for the demo, the bench and the tests.
//!
//! In: where the programs are and a folder. Out: an [`Aggregator`] and enrolled [`Agent`]s that can be started, stopped
//! and killed. Invariants: nothing outside the folder is written; a process that is still running when its handle is
//! dropped is killed; no port is fixed.

mod agent;
mod aggregator;
mod process;

pub use agent::{Agent, MALLOC};
pub use aggregator::{Aggregator, Pace};
pub use process::{Process, Usage};

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::{Failure, Naming, Result};

/// Where the two programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `picket-agent`.
    pub agent: PathBuf,
    /// `picket-aggregator`.
    pub aggregator: PathBuf,
}

impl Programs {
    /// The programs of a build, e.g. `target/debug`.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn within(folder: &Path) -> Result<Self> {
        let programs = Self { agent: folder.join("picket-agent"), aggregator: folder.join("picket-aggregator") };
        for program in [&programs.agent, &programs.aggregator] {
            if !program.is_file() {
                let path = program.display();
                return Err(Failure::new(format!(
                    "{path} is not there: run `cargo build -p picket-agent -p picket-aggregator` first"
                )));
            }
        }
        Ok(programs)
    }

    /// The programs of the build that the running program belongs to; `PICKET_BIN_DIR` overrides.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn of_this_build() -> Result<Self> {
        if let Some(folder) = std::env::var_os("PICKET_BIN_DIR") {
            return Self::within(Path::new(&folder));
        }
        Self::within(&build_folder()?)
    }
}

/// The folder that cargo built the running program into, e.g. `target/debug`; test programs lie in its `deps`.
///
/// # Errors
/// The running program has no path.
pub fn build_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().naming("find the running program")?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let above = if folder.ends_with("deps") { folder.parent() } else { None };
    Ok(above.unwrap_or(folder).to_path_buf())
}

/// A port of 127.0.0.1 that is free for UDP and TCP.
///
/// Below the ephemeral range of Linux (32768 on), so that no outgoing connection takes it while a program restarts, and
/// never the same twice in a process; where it starts depends on the process id, so that test programs do not meet.
///
/// # Errors
/// None is free.
pub fn free_port() -> Result<SocketAddr> {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id().wrapping_mul(331) % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(Failure::new("no port of 127.0.0.1 is free for UDP and TCP"))
}

/// Asks until `answer` gives something; `what` is being waited for.
///
/// # Errors
/// `deadline` passed; the last refusal is part of the message.
pub fn await_until<T>(what: &str, deadline: Duration, mut answer: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    const PAUSE: Duration = Duration::from_millis(20);
    let start = Instant::now();
    loop {
        let refusal = match answer() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => String::new(),
            Err(failure) => format!(": {failure}"),
        };
        if start.elapsed() > deadline {
            return Err(Failure::new(format!("waited {deadline:?} in vain for {what}{refusal}")));
        }
        pause(PAUSE);
    }
}

/// Lets time pass between two looks at another process.
#[expect(clippy::disallowed_methods, reason = "another process is polled: there is nothing of ours to wait on")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Replaces the top-level key of a YAML file that a program wrote, with everything below it.
fn replace_key(yaml: &str, key: &str, line: &str) -> String {
    let mut kept = String::with_capacity(yaml.len() + line.len());
    let mut inside = false;
    for old in yaml.lines() {
        let starts_key = old.starts_with(|c: char| c.is_ascii_alphabetic());
        if starts_key {
            inside = old.split(':').next() == Some(key);
        }
        if !inside {
            kept.push_str(old);
            kept.push('\n');
        }
    }
    kept.push_str(line);
    kept.push('\n');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_replaced_with_all_that_stands_below_it() {
        let yaml = "version: 1\nsinks:\n  lake:\n    type: parquet\n\n  # why\n  siem: {}\nhttp: 127.0.0.1:1\n";
        assert_eq!(replace_key(yaml, "sinks", "sinks: {}"), "version: 1\nhttp: 127.0.0.1:1\nsinks: {}\n");
        assert_eq!(replace_key("a: 1\n", "b", "b: 2"), "a: 1\nb: 2\n");
    }

    #[test]
    fn ports_are_free_and_differ() {
        let (first, second) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(first, second);
        assert!(UdpSocket::bind(first).is_ok() && TcpListener::bind(second).is_ok());
    }

    #[test]
    fn what_never_comes_is_named_with_its_last_refusal() {
        let refused =
            await_until("a sign", Duration::ZERO, || -> Result<Option<()>> { Err(Failure::new("no answer")) });
        assert_eq!(refused.unwrap_err().to_string(), "waited 0ns in vain for a sign: no answer");
    }
}
