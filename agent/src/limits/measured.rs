//! What this process uses, by what the kernel says of it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Use at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Measured {
    /// Processor time of all threads since the start.
    pub cpu: Duration,
    /// Resident memory, bytes; 0: unknown.
    pub resident_bytes: u64,
}

/// `VmRSS` of proc_pid_status(5), bytes.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1_024)
}

impl Measured {
    /// Of this process, now.
    #[must_use]
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { cpu: cpu(), resident_bytes: resident_bytes(&status).unwrap_or(0) }
    }
}

/// Processor time of all threads since the start.
#[must_use]
pub fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_and_what_is_odd_is_unknown() {
        assert_eq!(resident_bytes("Name:\tagent\nVmRSS:\t   15420 kB\nRssAnon:\t 1 kB\n"), Some(15_420 << 10));
        for odd in ["", "VmRSS:", "VmRSS:\tmany kB", "VmRSS:\t18446744073709551615 kB"] {
            assert_eq!(resident_bytes(odd), None, "{odd}");
        }
    }

    #[test]
    fn process_uses_something_and_ever_more_time() {
        let before = Measured::now();
        assert!((100_000..64 << 30).contains(&before.resident_bytes), "{before:?}");
        let mut sum = 0_u64;
        while cpu() == before.cpu {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(Measured::now().cpu > before.cpu);
    }
}
