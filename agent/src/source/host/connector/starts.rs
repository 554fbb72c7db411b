//! Which events are the start and the end of what: a process that runs a program is told with it, one that does not is told
//! as a copy of its parent when a moment passed or when it ended.
//!
//! Bounds: [`WAITING_MAX`] forks wait, [`RUNNING_MAX`] processes are remembered by number and begin; beyond that they are
//! told at once, or end without their uid.

use std::collections::{HashMap, VecDeque};

use super::message::{Event, What};

/// Forks that wait for their program.
pub const WAITING_MAX: usize = 4096;
/// Nanoseconds that a fork waits for it.
pub const WAIT_NS: u64 = 250_000_000;
/// Processes that are remembered.
pub const RUNNING_MAX: usize = 65_536;

/// What is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// A process started.
    Start {
        /// Its number.
        pid: u32,
        /// Whose child it is, where that was seen.
        parent: Option<u32>,
        /// It runs a program of its own, otherwise its parent's.
        exec: bool,
    },
    /// A process ended.
    End {
        /// Its number.
        pid: u32,
        /// When it began, clock ticks since boot, where that was seen.
        ticks: Option<u64>,
        /// As wait(2) tells it.
        status: u32,
        /// Whose child it was.
        parent: u32,
    },
}

/// Events that wait for others.
#[derive(Debug, Default)]
pub struct Starts {
    /// Parent by number of a fork without a program.
    waiting: HashMap<u32, u32>,
    order: VecDeque<(u64, u32)>,
    ticks: HashMap<u32, u64>,
}

impl Starts {
    /// Takes an event.
    pub fn event(&mut self, event: &Event, tell: &mut dyn FnMut(Told)) {
        match event.what {
            What::Fork { parent, pid } => {
                if self.order.len() >= WAITING_MAX {
                    self.expire(u64::MAX, tell);
                }
                self.waiting.insert(pid, parent);
                self.order.push_back((event.at, pid));
            }
            What::Exec { pid } => {
                let parent = self.waiting.remove(&pid);
                tell(Told::Start { pid, parent, exec: true });
            }
            What::Exit { pid, status, parent } => {
                if let Some(parent) = self.waiting.remove(&pid) {
                    tell(Told::Start { pid, parent: Some(parent), exec: false });
                }
                tell(Told::End { pid, ticks: self.ticks.remove(&pid), status, parent });
            }
            What::Answer(_) | What::Other => {}
        }
        self.expire(event.at.saturating_sub(WAIT_NS), tell);
    }

    /// Tells forks that began before `before`.
    pub fn expire(&mut self, before: u64, tell: &mut dyn FnMut(Told)) {
        while let Some((at, pid)) = self.order.front().copied()
            && at < before
        {
            self.order.pop_front();
            if let Some(parent) = self.waiting.remove(&pid) {
                tell(Told::Start { pid, parent: Some(parent), exec: false });
            }
        }
    }

    /// Whether forks wait.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A process began at this tick.
    pub fn began(&mut self, pid: u32, ticks: u64) {
        if self.ticks.len() < RUNNING_MAX || self.ticks.contains_key(&pid) {
            self.ticks.insert(pid, ticks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &[(u64, What)]) -> Vec<Told> {
        let (mut starts, mut told) = (Starts::default(), Vec::new());
        for (at, what) in events {
            starts.event(&Event { sequence: 0, cpu: 0, at: *at, what: *what }, &mut |it| told.push(it));
        }
        told
    }

    #[test]
    fn programs_are_told_once_and_forks_without_one_when_they_end_or_last() {
        let fork = |pid| What::Fork { parent: 1, pid };
        let end = |pid| Told::End { pid, ticks: None, status: 0, parent: 1 };
        let exit = |pid| What::Exit { pid, status: 0, parent: 1 };
        assert_eq!(
            told(&[(0, fork(7)), (1, What::Exec { pid: 7 }), (2, exit(7))]),
            [Told::Start { pid: 7, parent: Some(1), exec: true }, end(7)]
        );
        assert_eq!(told(&[(0, fork(8)), (1, exit(8))]), [Told::Start { pid: 8, parent: Some(1), exec: false }, end(8)]);
        let lasts = told(&[(0, fork(9)), (WAIT_NS + 1, What::Other)]);
        assert_eq!(lasts, [Told::Start { pid: 9, parent: Some(1), exec: false }]);
    }

    #[test]
    fn forks_that_wait_are_bounded() {
        let mut starts = Starts::default();
        let mut told = 0;
        for pid in 0..10_000 {
            let what = What::Fork { parent: 1, pid };
            starts.event(&Event { sequence: 0, cpu: 0, at: 5, what }, &mut |_| told += 1);
        }
        assert!(starts.waiting.len() <= WAITING_MAX && told + starts.waiting.len() == 10_000);
        assert!(starts.order.len() <= WAITING_MAX);
    }
}
