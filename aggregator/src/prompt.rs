//! [`Prompt`]: when files that people edit are to be looked at: every second, and on SIGHUP; and by what a change shows.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Interval;

/// Files are looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What shows that a file changed: which it is, its size, and when anything of it last changed, seconds and nanoseconds: an
/// older file that is put in its place with its own times is another. None where it is not there.
pub type Look = Option<(u64, u64, i64, i64)>;

/// Looks at a file.
#[must_use]
pub fn look(path: &Path) -> Look {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec()))
}

/// Says when to look. Where the system gives no signal handler, only the time does.
pub struct Prompt {
    hangup: Option<Signal>,
    ticks: Interval,
}

impl Prompt {
    /// The first time is at once.
    #[must_use]
    pub fn new() -> Self {
        Self { hangup: signal(SignalKind::hangup()).ok(), ticks: tokio::time::interval(LOOK_INTERVAL) }
    }

    /// Waits until it is time. Gives whether somebody asked for it, by SIGHUP.
    pub async fn next(&mut self) -> bool {
        let Some(hangup) = &mut self.hangup else {
            self.ticks.tick().await;
            return false;
        };
        tokio::select! {
            _ = self.ticks.tick() => false,
            _ = hangup.recv() => true,
        }
    }
}

impl Default for Prompt {
    fn default() -> Self {
        Self::new()
    }
}
