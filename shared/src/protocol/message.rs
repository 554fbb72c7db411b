//! Messages of the control stream: bytes in, [`Message`] out, and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::hello::{AgentHello, AggregatorHello, GoAway};
use crate::enroll::{RenewRequest, Reply, TrustBundle};
use crate::identity::{Epoch, FrameHash, Lane};
use crate::limits::MESSAGE_BYTES_MAX;

/// Bytes of `type u16, length u32` in front of every body.
pub const MESSAGE_HEAD_LEN: usize = 6;
/// Set in types that a reader may skip when it does not know them.
const OPTIONAL: u16 = 0x8000;

/// Everything up to `through` of this chain is in the journal, synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Epoch of the chain.
    pub epoch: Epoch,
    /// Lane of the chain.
    pub lane: Lane,
    /// The last sequence.
    pub through: u64,
}

/// Why a frame was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum RejectReason {
    /// A reason of a later version.
    Other = 0,
    /// The header does not read.
    Header = 1,
    /// A length or number is out of bounds.
    Bounds = 2,
    /// A checksum does not match.
    Checksum = 3,
    /// Its record numbers do not follow on.
    Sequence = 4,
    /// Its `prev` is not the hash of the frame before it.
    Prev = 5,
    /// A loss frame whose notice does not open: the chain's head behind it is unknown.
    Notice = 6,
}

impl RejectReason {
    const ALL: [Self; 7] =
        [Self::Other, Self::Header, Self::Bounds, Self::Checksum, Self::Sequence, Self::Prev, Self::Notice];

    fn from_u8(number: u8) -> Self {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number).unwrap_or(Self::Other)
    }

    /// The word in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Header => "header",
            Self::Bounds => "bounds",
            Self::Checksum => "checksum",
            Self::Sequence => "sequence",
            Self::Prev => "prev",
            Self::Notice => "notice",
        }
    }
}

/// The frame at `sequence` was refused; everything behind it on this lane is skipped until the agent
/// writes the resend marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Epoch of the chain.
    pub epoch: Epoch,
    /// Lane of the chain.
    pub lane: Lane,
    /// The sequence that was expected in its place.
    pub sequence: u64,
    /// Why.
    pub reason: RejectReason,
}

/// Where this chain goes on: the aggregator has it up to `through`, and `head` is the hash there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// Epoch of the chain.
    pub epoch: Epoch,
    /// Lane of the chain.
    pub lane: Lane,
    /// The last sequence; 0 for none.
    pub through: u64,
    /// Hash of that frame; zero for none.
    pub head: FrameHash,
}

/// Frame bytes that the agent may have sent in this session, all in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit {
    /// The total.
    pub limit: u64,
}

/// The agent needs another limit: more for a frame that does not fit, less when it has nothing to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    /// The limit that the agent knew when it wrote this. Giving back counts only where it is still the
    /// aggregator's, so that a Credit under way is never undercut.
    pub known: u64,
    /// The limit that it needs.
    pub limit: u64,
}

/// One message of the control stream.
#[derive(Clone, PartialEq, Debug)]
pub enum Message {
    /// First from the agent.
    AgentHello(Box<AgentHello>),
    /// First from the aggregator.
    AggregatorHello(AggregatorHello),
    /// One for each chain of the agent's Hello, in its order.
    Resume(Resume),
    /// Cumulative.
    Ack(Ack),
    /// Resend or give up.
    Reject(Reject),
    /// More to send.
    Credit(Credit),
    /// Please.
    Want(Want),
    /// Configuration of the agent, by the fleet.
    Config(Value),
    /// State of the agent: applied configuration, health.
    Status(Value),
    /// New certificate wanted.
    Renew(RenewRequest),
    /// New certificate, or none.
    Renewed(Reply),
    /// Authorities to trust.
    TrustBundle(TrustBundle),
    /// Last message.
    GoAway(GoAway),
}

/// Why bytes are not a message. Each ends the session.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MessageError {
    /// Longer than a message may be.
    #[error("message of type {kind} is {length} bytes long, more than {MESSAGE_BYTES_MAX}")]
    TooLong {
        /// Its type.
        kind: u16,
        /// Its claimed length.
        length: usize,
    },
    /// A type that must be understood and is not.
    #[error("message type {0} is not known; a newer program is at the other end")]
    Unknown(u16),
    /// The body does not decode.
    #[error("body of message type {kind} does not decode: {what}")]
    Body {
        /// Its type.
        kind: u16,
        /// What was wrong.
        what: String,
    },
}

/// Cuts fields off the front of a fixed body.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn chain(&mut self) -> Option<(Epoch, Lane)> {
        Some((Epoch(self.u64()?), Lane::from_u8(self.u8()?)?))
    }
}

impl Message {
    /// Number of the type on the wire.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self {
            Self::AgentHello(_) => 1,
            Self::AggregatorHello(_) => 2,
            Self::Resume(_) => 3,
            Self::Ack(_) => 4,
            Self::Reject(_) => 5,
            Self::Credit(_) => 6,
            Self::Want(_) => 7,
            Self::Config(_) => 8,
            Self::Status(_) => 9,
            Self::Renew(_) => 10,
            Self::Renewed(_) => 11,
            Self::TrustBundle(_) => 12,
            Self::GoAway(_) => 13,
        }
    }

    /// Head and body.
    ///
    /// # Errors
    /// [`MessageError::TooLong`] when the body is larger than [`MESSAGE_BYTES_MAX`].
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        let body = self.body()?;
        let kind = self.kind();
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MESSAGE_BYTES_MAX);
        let length = length.ok_or(MessageError::TooLong { kind, length: body.len() })?;
        let mut out = Vec::with_capacity(MESSAGE_HEAD_LEN + body.len());
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&body);
        Ok(out)
    }

    fn body(&self) -> Result<Vec<u8>, MessageError> {
        let fixed = |epoch: Epoch, lane: Lane, number: u64, rest: &[u8]| {
            let mut body = Vec::with_capacity(17 + rest.len());
            body.extend_from_slice(&epoch.0.to_le_bytes());
            body.push(lane as u8);
            body.extend_from_slice(&number.to_le_bytes());
            body.extend_from_slice(rest);
            Ok(body)
        };
        match self {
            Self::AgentHello(hello) => self.json(hello),
            Self::AggregatorHello(hello) => self.json(hello),
            Self::Resume(m) => fixed(m.epoch, m.lane, m.through, &m.head.0),
            Self::Ack(m) => fixed(m.epoch, m.lane, m.through, &[]),
            Self::Reject(m) => fixed(m.epoch, m.lane, m.sequence, &[m.reason as u8]),
            Self::Credit(m) => Ok(m.limit.to_le_bytes().to_vec()),
            Self::Want(m) => Ok([m.known.to_le_bytes(), m.limit.to_le_bytes()].concat()),
            Self::Config(value) | Self::Status(value) => self.json(value),
            Self::Renew(m) => self.json(m),
            Self::Renewed(m) => self.json(m),
            Self::TrustBundle(m) => self.json(m),
            Self::GoAway(m) => self.json(m),
        }
    }

    fn json<T: Serialize>(&self, body: &T) -> Result<Vec<u8>, MessageError> {
        serde_json::to_vec(body).map_err(|error| MessageError::Body { kind: self.kind(), what: error.to_string() })
    }

    /// The message of this type and body; none for an unknown type that may be skipped.
    ///
    /// # Errors
    /// [`MessageError::Unknown`] and [`MessageError::Body`].
    pub fn decode(kind: u16, body: &[u8]) -> Result<Option<Self>, MessageError> {
        fn json<T: DeserializeOwned>(kind: u16, body: &[u8]) -> Result<T, MessageError> {
            serde_json::from_slice(body).map_err(|error| MessageError::Body { kind, what: error.to_string() })
        }
        let message = match kind {
            1 => Self::AgentHello(json(kind, body)?),
            2 => Self::AggregatorHello(json(kind, body)?),
            3..=7 => {
                let what = || format!("{} bytes or its lane are wrong", body.len());
                Self::fixed(kind, body).ok_or_else(|| MessageError::Body { kind, what: what() })?
            }
            8 => Self::Config(json(kind, body)?),
            9 => Self::Status(json(kind, body)?),
            10 => Self::Renew(json(kind, body)?),
            11 => Self::Renewed(json(kind, body)?),
            12 => Self::TrustBundle(json(kind, body)?),
            13 => Self::GoAway(json(kind, body)?),
            _ if kind & OPTIONAL != 0 => return Ok(None),
            _ => return Err(MessageError::Unknown(kind)),
        };
        Ok(Some(message))
    }

    fn fixed(kind: u16, body: &[u8]) -> Option<Self> {
        let mut f = Fields(body);
        let message = match kind {
            6 => Self::Credit(Credit { limit: f.u64()? }),
            7 => Self::Want(Want { known: f.u64()?, limit: f.u64()? }),
            _ => {
                let (epoch, lane) = f.chain()?;
                let number = f.u64()?;
                match kind {
                    3 => Self::Resume(Resume { epoch, lane, through: number, head: FrameHash(f.take()?) }),
                    4 => Self::Ack(Ack { epoch, lane, through: number }),
                    _ => {
                        let reason = RejectReason::from_u8(f.u8()?);
                        Self::Reject(Reject { epoch, lane, sequence: number, reason })
                    }
                }
            }
        };
        f.0.is_empty().then_some(message)
    }
}

/// Cuts a stream of bytes into messages. Holds at most one message and what was pushed behind it.
#[derive(Default, Debug)]
pub struct MessageReader {
    buffer: Vec<u8>,
}

impl MessageReader {
    /// Takes what the stream gave.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one. Messages that may be skipped are.
    ///
    /// # Errors
    /// See [`MessageError`]; the stream cannot be read on after one.
    pub fn next_message(&mut self) -> Result<Option<Message>, MessageError> {
        loop {
            let mut f = Fields(&self.buffer);
            let (Some(kind), Some(length)) = (f.take().map(u16::from_le_bytes), f.take().map(u32::from_le_bytes))
            else {
                return Ok(None);
            };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > MESSAGE_BYTES_MAX {
                return Err(MessageError::TooLong { kind, length });
            }
            let Some(body) = f.0.get(..length) else { return Ok(None) };
            let message = Message::decode(kind, body)?;
            self.buffer.drain(..MESSAGE_HEAD_LEN + length);
            // A Hello or a configuration may be large and is rare: its room is given back.
            self.buffer.shrink_to(4 << 10);
            if message.is_some() {
                return Ok(message);
            }
        }
    }
}
