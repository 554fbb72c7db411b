//! Dissectors: bytes of a flow come in, what they say comes out as fields of a record.
//!
//! Each is one file: a `recognize`, a struct that implements [`Dissector`], and its line in [`ALL`]. All are pure and
//! bounded: a dissector holds at most [`HELD_BYTES_MAX`] and tells [`Want::Enough`] as soon as nothing more is to be
//! learned. What is only named has a line in [`named`]. A flow's endpoints, Community ID and process are added to what it tells by the flow.

pub mod dhcp;
pub mod dns;
pub mod http;
pub mod named;
pub mod ntp;
pub mod quic;
pub mod smb;
pub mod ssh;
pub mod tls;

use shared::record::Value;
use shared::time::Timestamp;

/// Most bytes that a dissector may hold for a flow.
pub const HELD_BYTES_MAX: usize = 64 << 10;
/// Longest text that a record takes from the wire; longer ones are cut and flagged `text_cut`.
pub const TEXT_BYTES_MAX: usize = 2048;

/// Which end of a flow sent something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Who opened it.
    Client,
    /// Who was spoken to.
    Server,
}

/// Over what a dissector is fed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// In-order bytes of a TCP connection.
    Stream,
    /// One call a datagram.
    Datagram,
}

/// What a recognizer may look at.
#[derive(Clone, Copy, Debug)]
pub struct First<'a> {
    /// Over what.
    pub carrier: Carrier,
    /// Who sent the bytes.
    pub side: Side,
    /// The client's port; a hint, never a proof.
    pub client_port: u16,
    /// The server's port; a hint, never a proof.
    pub server_port: u16,
    /// All bytes of this side so far (a stream) or the first datagram.
    pub bytes: &'a [u8],
}

/// Whether bytes are of a protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recognized {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// More of them would tell.
    Perhaps,
}

/// What a dissector wants after what it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// What comes next.
    More,
    /// Nothing more: it has told everything it will (but for [`Dissector::end`]).
    Enough,
    /// It is another protocol after all.
    NotMine,
}

/// OCSF classes that a dissector's record becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetworkClass {
    /// 4001.
    NetworkActivity,
    /// 4002.
    HttpActivity,
    /// 4003.
    DnsActivity,
    /// 4004.
    DhcpActivity,
    /// 4007.
    SshActivity,
    /// 4013.
    NtpActivity,
}

impl NetworkClass {
    /// `class_uid`.
    #[must_use]
    pub fn uid(self) -> u64 {
        match self {
            Self::NetworkActivity => 4001,
            Self::HttpActivity => 4002,
            Self::DnsActivity => 4003,
            Self::DhcpActivity => 4004,
            Self::SshActivity => 4007,
            Self::NtpActivity => 4013,
        }
    }
}

/// Fields of a record: OCSF attribute paths (`query.hostname`) and their values; what has no path in OCSF has a short
/// name below `unmapped.`.
pub type Fields = Vec<(String, Value)>;

/// Something that a dissector understood.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// What it is.
    pub class: NetworkClass,
    /// `activity_id` of that class.
    pub activity: u8,
    /// When it happened: the packet that completed it.
    pub at: Timestamp,
    /// What it says.
    pub fields: Fields,
    /// What is wrong with it, e.g. `compression_loop`; they stand in `unmapped.flaws`.
    pub flaws: Vec<&'static str>,
}

/// Where a dissector tells what it understood.
pub type Tell<'a> = &'a mut dyn FnMut(Told);

/// One protocol on one flow.
pub trait Dissector: Send {
    /// The protocol, for `app_protocol_name`: `dns`, `tls`, `quic`, `http`, `ssh`, `dhcp`.
    fn protocol(&self) -> &'static str;

    /// Takes the next bytes of a side: in order and without holes of a stream, whole of a datagram.
    fn data(&mut self, side: Side, at: Timestamp, bytes: &[u8], tell: Tell<'_>) -> Want;

    /// Takes notice that so many bytes of a side's stream never came.
    fn gap(&mut self, side: Side, bytes: u64, tell: Tell<'_>) -> Want;

    /// Tells what is still open: the flow is over, or forgotten.
    fn end(&mut self, at: Timestamp, tell: Tell<'_>);

    /// Bytes that it holds beside itself.
    fn held_bytes(&self) -> usize;
}

/// A dissector in the registry.
pub struct Entry {
    /// Its protocol.
    pub protocol: &'static str,
    /// Looks at the first bytes of a side.
    pub recognize: fn(&First<'_>) -> Recognized,
    /// Makes one for a flow of this carrier.
    pub make: fn(Carrier) -> Box<dyn Dissector>,
}

/// Every dissector, in the order in which they are asked.
pub const ALL: &[Entry] = &[tls::ENTRY, ssh::ENTRY, http::ENTRY, dhcp::ENTRY, dns::ENTRY, ntp::ENTRY, quic::ENTRY];
