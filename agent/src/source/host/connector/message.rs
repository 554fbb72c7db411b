//! Messages of the kernel's proc connector (`linux/cn_proc.h`, `linux/connector.h`). Pure; numbers are in the host's order.
//!
//! ```text
//! nlmsghdr 16 · cn_msg 20 (idx, val, seq, ack, len, flags) · proc_event (what, cpu, timestamp, its data)
//! ```
//!
//! The kernel numbers the events of each processor: a number that is missing is an event that this socket had no room for.

use std::collections::BTreeMap;

const NLMSG_LEN: usize = 16;
const CN_LEN: usize = 20;
/// `CN_IDX_PROC`, and the group that hears it.
pub const PROC: u32 = 1;
const NLMSG_DONE: u16 = 3;
/// Of what no processor tells: -1.
const NO_CPU: u32 = u32::MAX;
/// Processors whose numbers are followed.
const CPUS_MAX: usize = 8192;
/// A step back or ahead further than this is no gap but another beginning.
const GAP_MAX: u32 = 1 << 24;

/// What happened to a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Who listens now was heard; an error number, 0 for none.
    Answer(u32),
    /// A process began.
    Fork {
        /// Whose child it is.
        parent: u32,
        /// Its number.
        pid: u32,
    },
    /// A process runs another program.
    Exec {
        /// Its number.
        pid: u32,
    },
    /// A process ended.
    Exit {
        /// Its number.
        pid: u32,
        /// As wait(2) tells it: exit code times 256, or the signal.
        status: u32,
        /// Whose child it was; 0 where the kernel (before 4.18) does not say.
        parent: u32,
    },
    /// Anything else: threads, users, names.
    Other,
}

/// An event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Number of the processor's events.
    pub sequence: u32,
    /// The processor.
    pub cpu: u32,
    /// Nanoseconds since boot, without time asleep.
    pub at: u64,
    /// What.
    pub what: What,
}

/// A request to hear events, or no more.
#[must_use]
pub fn request(listen: bool) -> Vec<u8> {
    let operation: u32 = if listen { 1 } else { 2 };
    let mut bytes = 40_u32.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&NLMSG_DONE.to_ne_bytes());
    bytes.extend_from_slice(&[0; 10]);
    for word in [PROC, PROC, 0, 0] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(&4_u16.to_ne_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&operation.to_ne_bytes());
    bytes
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

/// Reads a datagram.
pub fn events(mut bytes: &[u8], each: &mut dyn FnMut(Event)) {
    while let Some(len) = word(bytes, 0) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some(message) = bytes.get(NLMSG_LEN..len) else { return };
        event(message).into_iter().for_each(&mut *each);
        bytes = bytes.get(len.next_multiple_of(4).max(NLMSG_LEN)..).unwrap_or_default();
    }
}

fn event(message: &[u8]) -> Option<Event> {
    if (word(message, 0)?, word(message, 4)?) != (PROC, PROC) {
        return None;
    }
    let sequence = word(message, 8)?;
    let body = message.get(CN_LEN..)?;
    let at = body.get(8..)?.first_chunk().map(|time| u64::from_ne_bytes(*time))?;
    let data = |at: usize| word(body, 16 + 4 * at);
    let what = match word(body, 0)? {
        0 => What::Answer(data(0)?),
        // Parent's thread and process, child's thread and process: of a thread the two differ.
        1 if data(2)? == data(3)? => What::Fork { parent: data(1)?, pid: data(3)? },
        // Whichever thread calls it, what is left is the process.
        2 => What::Exec { pid: data(1)? },
        0x8000_0000 if data(0)? == data(1)? => {
            What::Exit { pid: data(1)?, status: data(2)?, parent: data(5).unwrap_or(0) }
        }
        _ => What::Other,
    };
    Some(Event { sequence, cpu: word(body, 4)?, at, what })
}

/// Counts what is missing.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    next: BTreeMap<u32, u32>,
}

impl Gaps {
    /// Takes an event; how many before it, of its processor, did not come.
    pub fn see(&mut self, event: &Event) -> u64 {
        // An answer is heard by all who listen and numbered as any event, but for kernels before 4.8: there it has the
        // number of its question, and no processor.
        if event.cpu == NO_CPU || (self.next.len() >= CPUS_MAX && !self.next.contains_key(&event.cpu)) {
            return 0;
        }
        let expected = self.next.insert(event.cpu, event.sequence.wrapping_add(1));
        let missing = expected.map_or(0, |expected| event.sequence.wrapping_sub(expected));
        if missing > GAP_MAX { 0 } else { missing.into() }
    }
}

/// What a fuzz target calls.
pub fn fuzz(input: &[u8]) {
    let (mut gaps, mut count) = (Gaps::default(), 0);
    events(input, &mut |event| {
        gaps.see(&event);
        count += 1;
    });
    assert!(count <= input.len() / NLMSG_LEN, "every event has its bytes");
}

/// A datagram as the kernel sends it, for tests.
#[cfg(test)]
pub(super) fn made(sequence: u32, cpu: u32, what: u32, data: &[u32]) -> Vec<u8> {
    let mut body = Vec::new();
    [PROC, PROC, sequence, 0].iter().for_each(|word| body.extend_from_slice(&word.to_ne_bytes()));
    body.extend_from_slice(&[40, 0, 0, 0]);
    [what, cpu, 5, 0].iter().for_each(|word| body.extend_from_slice(&word.to_ne_bytes()));
    (0..6).for_each(|at| body.extend_from_slice(&data.get(at).copied().unwrap_or(0).to_ne_bytes()));
    let mut bytes = u32::try_from(NLMSG_LEN + body.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend_from_slice(&NLMSG_DONE.to_ne_bytes());
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Event> {
        let mut found = Vec::new();
        events(bytes, &mut |event| found.push(event));
        found
    }

    #[test]
    fn processes_are_told_from_threads() {
        let mut bytes = made(1, 0, 1, &[10, 10, 20, 20]);
        bytes.extend(made(2, 0, 1, &[10, 10, 21, 20]));
        bytes.extend(made(3, 0, 2, &[20, 20]));
        bytes.extend(made(4, 0, 0x8000_0000, &[20, 20, 0x100, 17, 10, 10]));
        let what: Vec<What> = all(&bytes).into_iter().map(|event| event.what).collect();
        let exit = What::Exit { pid: 20, status: 0x100, parent: 10 };
        assert_eq!(what, [What::Fork { parent: 10, pid: 20 }, What::Other, What::Exec { pid: 20 }, exit]);
    }

    #[test]
    fn missing_numbers_are_counted_by_processor() {
        let mut gaps = Gaps::default();
        let mut see = |sequence: u32, cpu: u32| gaps.see(&all(&made(sequence, cpu, 2, &[1, 1]))[0]);
        assert_eq!([see(7, 0), see(8, 0), see(u32::MAX, 1), see(11, 0), see(1, 1)], [0, 0, 0, 2, 1]);
        assert_eq!(see(0x8000_0000, 0), 0, "another beginning is no gap");
    }

    #[test]
    fn answers_to_others_have_a_number_too() {
        let mut gaps = Gaps::default();
        let mut see = |sequence, cpu, what| gaps.see(&all(&made(sequence, cpu, what, &[0, 1]))[0]);
        assert_eq!([see(7, 0, 2), see(8, 0, 0), see(9, 0, 2)], [0; 3], "with a number of its own");
        assert_eq!([see(1, NO_CPU, 0), see(10, 0, 2)], [0; 2], "and as old kernels send it");
    }

    #[test]
    fn torn_and_foreign_messages_are_nothing() {
        let whole = made(1, 0, 2, &[1, 1]);
        for len in 0..whole.len() {
            assert_eq!(all(&whole[..len]), [], "{len}");
        }
        let mut foreign = whole;
        foreign[16] = 9;
        assert_eq!(all(&foreign), []);
    }
}
