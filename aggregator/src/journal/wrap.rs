//! A frame in the journal: its position and how it came, then the frame as it was sent.
//!
//! ```text
//! position u64 · records_before u64 · received_at i64 · peer ip [16] · peer port u16 · flags u8 · serial_len u8 ·
//! serial [0..=20] · frame
//! ```
//! All little-endian; an IPv4 peer stands in its IPv6-mapped form. `records_before` counts the records of all
//! frames journaled before this one, so that what is pending between two positions is a subtraction.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use shared::time::Timestamp;

/// Bytes before the serial.
const FIXED_LEN: usize = 44;
/// Longest certificate serial (RFC 5280 §4.1.2.2).
pub const SERIAL_BYTES_MAX: usize = 20;
/// Highest position, and most records: no journal comes near, and what is added to one does not wrap.
pub(super) const NUMBER_MAX: u64 = u64::MAX >> 1;
/// The frame is a cut: a block ends here.
const FLAG_CUT: u8 = 1;

/// How a frame came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// When, by this aggregator's clock.
    pub at: Timestamp,
    /// From where; the unspecified address for the aggregator's own frames.
    pub peer: SocketAddr,
    /// Serial of the certificate that the session was opened with; empty for own frames.
    pub serial: Vec<u8>,
}

impl Received {
    /// What the aggregator says itself.
    #[must_use]
    pub fn own(at: Timestamp) -> Self {
        Self { at, peer: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0), serial: Vec::new() }
    }
}

/// The head of a journaled frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrap {
    /// Place in the journal, from 1; those of damaged frames stay unused.
    pub position: u64,
    /// Records journaled before it.
    pub records_before: u64,
    /// How it came in.
    pub received: Received,
    /// A block ends with this frame.
    pub is_cut: bool,
}

impl Wrap {
    /// Only what the aggregator says itself comes without a certificate.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.received.serial.is_empty()
    }

    /// The bytes in front of the frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let ip = match self.received.peer.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let serial = self.received.serial.get(..SERIAL_BYTES_MAX).unwrap_or(&self.received.serial);
        let mut out = Vec::with_capacity(FIXED_LEN + serial.len());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.records_before.to_le_bytes());
        out.extend_from_slice(&self.received.at.0.to_le_bytes());
        out.extend_from_slice(&ip.octets());
        out.extend_from_slice(&self.received.peer.port().to_le_bytes());
        out.extend_from_slice(&[u8::from(self.is_cut) * FLAG_CUT, u8::try_from(serial.len()).unwrap_or(0)]);
        out.extend_from_slice(serial);
        out
    }

    /// Splits a journal record into its head and the frame's bytes; `None` when it is not one.
    #[must_use]
    pub fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (position, rest) = payload.split_first_chunk()?;
        let (records_before, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (ip, rest) = rest.split_first_chunk::<16>()?;
        let (port, rest) = rest.split_first_chunk()?;
        let ([flags, serial_len], rest) = rest.split_first_chunk()?;
        let (serial, frame) = rest.split_at_checked(usize::from(*serial_len))?;
        let received = Received {
            at: Timestamp(i64::from_le_bytes(*at)),
            peer: SocketAddr::new(Ipv6Addr::from(*ip).to_canonical(), u16::from_le_bytes(*port)),
            serial: serial.to_vec(),
        };
        let (position, records_before) = (u64::from_le_bytes(*position), u64::from_le_bytes(*records_before));
        if position.max(records_before) > NUMBER_MAX {
            return None;
        }
        Some((Self { position, records_before, received, is_cut: flags & FLAG_CUT != 0 }, frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_journal_reaches_are_none() {
        for (position, records_before) in [(NUMBER_MAX + 1, 0), (0, u64::MAX)] {
            let wrap = Wrap { position, records_before, received: Received::own(Timestamp(1)), is_cut: false };
            assert_eq!(Wrap::split(&wrap.encode()), None);
        }
    }

    #[test]
    fn head_survives_its_bytes() {
        for peer in ["192.0.2.7:7443", "[2001:db8::5]:1", "[::]:0"] {
            let received = Received { at: Timestamp(-5), peer: peer.parse().unwrap(), serial: vec![7; 20] };
            let wrap = Wrap { position: 9, records_before: NUMBER_MAX, received, is_cut: true };
            let bytes = [wrap.encode(), b"frame".to_vec()].concat();
            assert_eq!(Wrap::split(&bytes), Some((wrap, &b"frame"[..])));
            for len in 0..FIXED_LEN + 20 {
                assert_eq!(Wrap::split(&bytes[..len]), None);
            }
        }
    }
}
