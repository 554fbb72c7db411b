//! What a program prints, with a deadline and a bound.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest time that a program may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that it may print.
const OUTPUT_BYTES_MAX: usize = 32 << 20;

/// Runs a program without input and with an environment of its own, and takes what it prints.
///
/// # Errors
/// The system's; [`io::ErrorKind::TimedOut`] for one that did not end in 20 s, which is killed then;
/// [`io::ErrorKind::Other`] for one that failed or printed more than 32 MiB.
pub fn output(program: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let read = child.stdout.take().ok_or_else(|| io::Error::from(io::ErrorKind::Other)).and_then(read);
    if read.is_err() {
        // It may have ended meanwhile.
        let _ = child.kill();
    }
    let ended = child.wait()?;
    let bytes = read?;
    if ended.success() { Ok(bytes) } else { Err(io::Error::other(format!("it ended with {ended}"))) }
}

fn read(mut out: std::process::ChildStdout) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        shared::pulse::beat();
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = Timespec::try_from(left).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&out, PollFlags::IN)], Some(&patience))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let len = out.read(&mut piece)?;
        if len == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(piece.get(..len).unwrap_or_default());
        if bytes.len() > OUTPUT_BYTES_MAX {
            return Err(io::Error::other("it printed more than 32 MiB"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_print_or_fail() {
        assert_eq!(output(Path::new("/bin/sh"), ["-c", "printf x"]).unwrap(), b"x");
        assert!(output(Path::new("/bin/sh"), ["-c", "exit 3"]).unwrap_err().to_string().contains("3"));
        assert!(output(Path::new("/nowhere"), [""]).is_err());
    }
}
