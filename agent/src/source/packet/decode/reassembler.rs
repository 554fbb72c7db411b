//! Fragments that wait for the rest of their datagram.
//!
//! The first to come wins where fragments overlap: what was seen is never rewritten. A Linux receiver drops such a
//! datagram whole (RFC 5722, and for IPv4 since 4.20), others keep one or the other, so that no choice is right for all
//! receivers; where the bytes differed the packet is flagged `FRAGMENT_OVERLAP`. Of a fragment that was cut by the
//! capture the length counts, and the datagram is known up to it.
//!
//! Invariants: after [`Reassembler::surplus`] gave none, [`Reassembler::held_bytes`] is at most the limit and so is the
//! number of datagrams; between two calls one fragment more may be held. A datagram's pieces do not overlap and are in
//! order; there are at most [`PIECES_MAX`].

use std::time::Duration;

use shared::time::Timestamp;

use super::super::{Flaws, Ip, Outer, Packet, Transport};
use super::walk::{Fragment, narrow};

/// Bounds of what fragments may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReassemblyLimits {
    /// Most bytes held, what describes them included.
    pub bytes_max: usize,
    /// Most datagrams held.
    pub datagrams_max: usize,
    /// How long a datagram waits for its rest, by the time of packets, from its first fragment on. RFC 8200 says 60 s,
    /// Linux takes 30 s.
    pub timeout: Duration,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self { bytes_max: 1 << 20, datagrams_max: 64, timeout: Duration::from_secs(30) }
    }
}

/// What became of fragments so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FragmentCounts {
    /// Fragments that came.
    pub fragments: u64,
    /// Of these, those that could not be of any datagram: empty, too long, at odds with its end, too many.
    pub refused: u64,
    /// Datagrams that were completed.
    pub completed: u64,
    /// Datagrams given up because their time was over, or the capture.
    pub expired: u64,
    /// Datagrams given up for want of place.
    pub evicted: u64,
    /// Datagrams whose fragments overlapped and differed.
    pub overlapped: u64,
}

/// Most pieces of a datagram: 64 KiB in the fragments of the smallest link that IPv4 allows are 1,365.
pub const PIECES_MAX: usize = 1536;
/// Longest datagram, header included.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Steps in which a datagram's memory grows.
const GROWTH_BYTES: usize = 4096;

/// Datagrams of which fragments came, the oldest first.
pub struct Reassembler {
    limits: ReassemblyLimits,
    datagrams: Vec<Datagram>,
    held_bytes: usize,
    counts: FragmentCounts,
}

/// A datagram, whole or not.
pub struct Datagram {
    /// Its first fragment's headers (until that came, another's), and what all its frames add up to.
    packet: Packet<'static>,
    protocol: u8,
    identification: u32,
    since: Timestamp,
    /// Length of its payload, once the last fragment came.
    end: Option<usize>,
    covered: usize,
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
}

/// A datagram that is no longer held.
pub struct Opened {
    /// Its headers.
    pub packet: Packet<'static>,
    /// What its payload is.
    pub protocol: u8,
    /// Its payload from its beginning on, as far as it is known without a hole.
    pub payload: Vec<u8>,
    /// Length of its payload as far as that is known.
    pub length: usize,
}

/// A part of a datagram's payload.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    /// Where its bytes are held, and how many of them were captured.
    place: usize,
    known: usize,
}

/// What became of a fragment.
pub enum Verdict {
    /// It waits.
    Held,
    /// It is of no datagram, for this reason.
    Refused(Flaws),
    /// It was the missing one.
    Complete(Box<Datagram>),
}

impl Reassembler {
    /// One that holds nothing.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self { limits, datagrams: Vec::new(), held_bytes: 0, counts: FragmentCounts::default() }
    }

    /// What became of fragments so far.
    pub fn counts(&self) -> FragmentCounts {
        self.counts
    }

    /// Memory that is held.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The next datagram whose time was over at `now`.
    #[inline]
    pub fn overdue(&mut self, now: Timestamp) -> Option<Datagram> {
        let oldest = self.datagrams.first()?;
        if now.since(oldest.since) < self.limits.timeout {
            return None;
        }
        self.counts.expired += 1;
        self.take(0)
    }

    /// The next datagram for which there is no place.
    pub fn surplus(&mut self) -> Option<Datagram> {
        if self.held_bytes <= self.limits.bytes_max && self.datagrams.len() <= self.limits.datagrams_max {
            return None;
        }
        self.counts.evicted += 1;
        self.take(0)
    }

    /// The next datagram of those left when the capture is over.
    pub fn remaining(&mut self) -> Option<Datagram> {
        let oldest = self.take(0)?;
        self.counts.expired += 1;
        Some(oldest)
    }

    /// Takes a fragment in.
    pub fn insert(&mut self, packet: &Packet<'_>, fragment: &Fragment<'_>) -> Verdict {
        self.counts.fragments += 1;
        if let Some(flaws) = senseless(packet, fragment) {
            self.counts.refused += 1;
            return Verdict::Refused(flaws);
        }
        let found = self.datagrams.iter().position(|datagram| datagram.owns(packet, fragment));
        let index = found.unwrap_or(self.datagrams.len());
        if found.is_none() {
            let datagram = Datagram::new(packet, fragment);
            self.held_bytes += datagram.held_bytes();
            self.datagrams.push(datagram);
        }
        let Some(datagram) = self.datagrams.get_mut(index) else { return Verdict::Held };
        let before = (datagram.held_bytes(), datagram.packet.flaws);
        if let Err(flaws) = datagram.add(packet, fragment) {
            self.counts.refused += 1;
            return Verdict::Refused(flaws);
        }
        if datagram.packet.flaws.has(Flaws::FRAGMENT_OVERLAP) && !before.1.has(Flaws::FRAGMENT_OVERLAP) {
            self.counts.overlapped += 1;
        }
        self.held_bytes = self.held_bytes + datagram.held_bytes() - before.0;
        if datagram.end != Some(datagram.covered) {
            return Verdict::Held;
        }
        self.counts.completed += 1;
        self.take(index).map_or(Verdict::Held, |datagram| Verdict::Complete(Box::new(datagram)))
    }

    fn take(&mut self, index: usize) -> Option<Datagram> {
        if index >= self.datagrams.len() {
            return None;
        }
        let datagram = self.datagrams.remove(index);
        self.held_bytes -= datagram.held_bytes();
        Some(datagram)
    }
}

/// What is wrong with a fragment whatever its datagram.
fn senseless(packet: &Packet<'_>, fragment: &Fragment<'_>) -> Option<Flaws> {
    let end = fragment.offset + fragment.payload_len;
    let wrong = packet.flaws.has(Flaws::BAD_LENGTH)
        || fragment.payload_len == 0
        || (fragment.more && !fragment.payload_len.is_multiple_of(8))
        || end + fragment.header_len > DATAGRAM_BYTES_MAX;
    wrong.then_some(Flaws::BAD_LENGTH)
}

impl Datagram {
    fn new(packet: &Packet<'_>, fragment: &Fragment<'_>) -> Self {
        let outer = packet.outer.map(|outer| Outer { ip: Ip { total_len: 0, payload_len: 0, ..outer.ip }, ..outer });
        Self {
            packet: Packet { wire_len: 0, frames: 0, transport: Transport::Other(&[]), outer, ..packet.clone() },
            protocol: fragment.protocol,
            identification: fragment.identification,
            since: packet.at,
            end: None,
            covered: 0,
            pieces: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Whether a fragment is of this datagram: RFC 791 and 8200, and in the same tunnels and VLANs.
    fn owns(&self, packet: &Packet<'_>, fragment: &Fragment<'_>) -> bool {
        self.identification == fragment.identification
            && self.packet.tunnels == packet.tunnels
            && self.packet.link.vlans == packet.link.vlans
            && self.packet.ip.zip(packet.ip).is_some_and(|(ours, its)| {
                ours.source == its.source
                    && ours.destination == its.destination
                    && (ours.source.is_ipv6() || ours.protocol == its.protocol)
            })
    }

    /// Adds a fragment; refused: what is wrong with it.
    fn add(&mut self, packet: &Packet<'_>, fragment: &Fragment<'_>) -> Result<(), Flaws> {
        let (start, end) = (fragment.offset, fragment.offset + fragment.payload_len);
        let reach = self.pieces.last().map_or(0, |last| last.end);
        let beyond = self.end.is_some_and(|known| end > known || (!fragment.more && end != known));
        if beyond || (!fragment.more && end < reach) {
            return Err(Flaws::BAD_LENGTH);
        }
        if self.pieces.len() >= PIECES_MAX {
            return Err(Flaws::TOO_DEEP);
        }
        let index = self.pieces.partition_point(|piece| piece.start < start);
        let before = index.checked_sub(1).and_then(|before| self.pieces.get(before));
        if before.is_none_or(|piece| piece.end <= start)
            && self.pieces.get(index).is_none_or(|piece| piece.start >= end)
        {
            let piece = self.hold(start, end, fragment);
            self.pieces.insert(index, piece);
        } else {
            if self.differs(fragment) {
                self.packet.flaws.set(Flaws::FRAGMENT_OVERLAP);
            }
            self.fill(start, end, fragment);
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if start == 0 {
            (self.packet.ip, self.protocol) = (packet.ip, fragment.protocol);
        }
        if let Some(ip) = &mut self.packet.ip {
            ip.payload_len = narrow(self.covered);
            ip.total_len = narrow(fragment.header_len + self.covered);
        }
        if let (Some(sum), Some(outer)) = (&mut self.packet.outer, &packet.outer) {
            sum.ip.total_len = sum.ip.total_len.saturating_add(outer.ip.total_len);
            sum.ip.payload_len = sum.ip.payload_len.saturating_add(outer.ip.payload_len);
        }
        self.packet.at = packet.at;
        self.packet.wire_len = self.packet.wire_len.saturating_add(packet.wire_len);
        self.packet.frames = self.packet.frames.saturating_add(packet.frames);
        self.packet.flaws.set(packet.flaws);
        Ok(())
    }

    /// Whether captured bytes of `fragment` are not those that stand in their place already.
    fn differs(&self, fragment: &Fragment<'_>) -> bool {
        let (start, end) = (fragment.offset, fragment.offset + fragment.payload.len());
        self.pieces.iter().filter(|piece| piece.start < end && start < piece.end).any(|piece| {
            let (from, to) = (start.max(piece.start), end.min(piece.start + piece.known));
            let ours = self.bytes.get(piece.place + (from - piece.start)..piece.place + to.saturating_sub(piece.start));
            let its = fragment.payload.get(from - start..to.saturating_sub(start));
            from < to && ours != its
        })
    }

    /// Takes what of `start..end` stands nowhere yet.
    fn fill(&mut self, start: usize, end: usize, fragment: &Fragment<'_>) {
        let taken = self.pieces.clone();
        let mut at = start;
        for piece in taken.iter().filter(|piece| piece.end > start && piece.start < end) {
            if at < piece.start {
                let filling = self.hold(at, piece.start, fragment);
                self.pieces.push(filling);
            }
            at = piece.end;
        }
        if at < end {
            let filling = self.hold(at, end, fragment);
            self.pieces.push(filling);
        }
        self.pieces.sort_unstable_by_key(|piece| piece.start);
    }

    /// Keeps `start..end` of the datagram's payload, which `fragment` covers.
    fn hold(&mut self, start: usize, end: usize, fragment: &Fragment<'_>) -> Piece {
        let part = fragment.payload.get(start - fragment.offset..).unwrap_or_default();
        let part = part.get(..end - start).unwrap_or(part);
        let place = self.bytes.len();
        if self.bytes.capacity() - place < part.len() {
            self.bytes.reserve_exact(part.len().next_multiple_of(GROWTH_BYTES));
        }
        self.bytes.extend_from_slice(part);
        self.covered += end - start;
        Piece { start, end, place, known: part.len() }
    }

    /// What there is of it. Bytes that came in order are not copied.
    pub fn open(self) -> Opened {
        let (mut reach, mut in_order) = (0, true);
        for piece in &self.pieces {
            if piece.start != reach {
                break;
            }
            in_order &= piece.place == piece.start;
            reach += piece.known;
        }
        let length = self.end.or(self.pieces.last().map(|last| last.end)).unwrap_or(0);
        let mut payload = self.bytes;
        if !in_order {
            let beginning = self.pieces.iter().take_while(|piece| piece.start < reach);
            payload = beginning.fold(Vec::with_capacity(reach), |mut gathered, piece| {
                gathered.extend_from_slice(payload.get(piece.place..piece.place + piece.known).unwrap_or_default());
                gathered
            });
        }
        payload.truncate(reach);
        Opened { packet: self.packet, protocol: self.protocol, payload, length }
    }

    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }
}
