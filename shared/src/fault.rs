//! Named points at which a test kills the program, as `kill -9` and a power cut would.
//!
//! `PICKET_FAULT=journal.synced:3` ends the process with SIGKILL at the third passing of that point;
//! `PICKET_FAULT=journal.synced:3:hang` holds the thread there for ever. Only builds with debug assertions read the variable; in
//! a release build [`point`] is nothing.

/// A moment at which a crash is interesting. Names are `<stage>.<what has just happened>`.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Charge {
        name: String,
        passes_left: AtomicU64,
        /// The thread hangs instead of the process ending.
        hangs: bool,
    }

    static CHARGE: OnceLock<Option<Charge>> = OnceLock::new();

    fn charge() -> Option<Charge> {
        let spec = std::env::var("PICKET_FAULT").ok()?;
        let (name, count) = spec.split_once(':')?;
        let (count, hangs) = count.strip_suffix(":hang").map_or((count, false), |count| (count, true));
        Some(Charge { name: name.to_owned(), passes_left: AtomicU64::new(count.parse().ok()?), hangs })
    }

    pub(super) fn pass(name: &'static str) {
        let Some(charge) = CHARGE.get_or_init(charge) else { return };
        if charge.name == name && charge.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            if charge.hangs {
                loop {
                    std::thread::park();
                }
            }
            // Nothing is flushed, no destructor runs: what the kernel has not been told is lost.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}
