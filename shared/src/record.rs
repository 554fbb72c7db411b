//! What a host saw: [`Value`], the fields of a typed record, and [`LossReason`], the only way in which a
//! record may end without being delivered.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A field of a typed record (packets, host state, health, loss). Keys are OCSF attribute paths.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, said on purpose.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed number.
    I64(i64),
    /// An unsigned number.
    U64(u64),
    /// A floating-point number.
    F64(f64),
    /// Text.
    String(String),
    /// Bytes that are not text.
    Bytes(Vec<u8>),
    /// An address.
    Ip(IpAddr),
    /// A moment.
    Time(Timestamp),
    /// Several values.
    List(Vec<Value>),
    /// Named values, in the order in which they were seen.
    Map(Vec<(String, Value)>),
}

/// Why records were lost. Nothing else may discard a record. Each reason has a counter, a line in `gaps`
/// and a loss frame or a loss record; the numbers stand on disk and on the wire and are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LossReason {
    /// The lane was at its level and gave up its oldest segment (`on_full: drop_oldest`).
    DropOldest = 1,
    /// The lane had nothing left to drop: a new record was refused before it got a number.
    SpoolFull = 2,
    /// Bytes of the log did not read back as they were written.
    Damage = 3,
    /// The aggregator refused the frame twice; it stands in the agent's quarantine.
    Rejected = 4,
    /// The program ended without a clean stop while a source that cannot be rewound was running.
    Crash = 5,
    /// A file was cut or replaced in place before its last bytes were read; how many lines is unknown.
    Truncated = 6,
    /// A file could not be read (permission, I/O error) while it held unread bytes.
    Unreadable = 7,
    /// A journaled frame whose body does not open: kept as evidence, no events.
    FrameUnreadable = 8,
    /// Journal bytes did not read back as they were written.
    JournalDamage = 9,
    /// The journal gave up a segment before a sink of best effort had it.
    Expired = 10,
    /// Packets that the kernel had no room for in the ring of a capture: what they carried is in no record. Counted in
    /// packets.
    CaptureDrop = 11,
    /// Packets that an interface or its driver dropped before the capture could see them. Counted in packets.
    InterfaceDrop = 12,
    /// The table of flows was full and forgot some before their end. Counted in flows.
    FlowEvicted = 13,
    /// Events of the kernel (processes, files) that the queue had no room for. Counted in events.
    EventOverrun = 14,
    /// The kernel's queue of file events was full and it dropped some: what is there now is looked at, what came and went
    /// meanwhile is not known. Counted in changes of files, of which nobody knows how many there were.
    WatchOverflow = 15,
}

impl LossReason {
    /// Every reason, in order of its number.
    pub const ALL: [Self; 15] = [
        Self::DropOldest,
        Self::SpoolFull,
        Self::Damage,
        Self::Rejected,
        Self::Crash,
        Self::Truncated,
        Self::Unreadable,
        Self::FrameUnreadable,
        Self::JournalDamage,
        Self::Expired,
        Self::CaptureDrop,
        Self::InterfaceDrop,
        Self::FlowEvicted,
        Self::EventOverrun,
        Self::WatchOverflow,
    ];

    /// The reason with this number on disk and on the wire.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    /// The reason with this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The word in metrics, records and `gaps`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DropOldest => "drop_oldest",
            Self::SpoolFull => "spool_full",
            Self::Damage => "damage",
            Self::Rejected => "rejected",
            Self::Crash => "crash",
            Self::Truncated => "truncated",
            Self::Unreadable => "unreadable",
            Self::FrameUnreadable => "frame_unreadable",
            Self::JournalDamage => "journal_damage",
            Self::Expired => "expired",
            Self::CaptureDrop => "capture_drop",
            Self::InterfaceDrop => "interface_drop",
            Self::FlowEvicted => "flow_evicted",
            Self::EventOverrun => "event_overrun",
            Self::WatchOverflow => "watch_overflow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_numbers() {
        for (i, reason) in LossReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i + 1);
            assert_eq!(LossReason::from_u8(reason as u8), Some(reason));
        }
        assert_eq!(LossReason::from_u8(0), None);
    }
}
