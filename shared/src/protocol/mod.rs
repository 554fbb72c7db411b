//! The wire, on one page.
//!
//! QUIC with mutual TLS, ALPN `picket/1`. The agent opens one bidirectional **control stream** and one
//! unidirectional stream per **lane** that it uses; UDP and TCP (later) share one port number. ALPN
//! `picket-enroll/1` (the server alone is authenticated) carries one request and one reply and has a handler
//! of its own.
//!
//! ```text
//! control stream   { type u16, length u32 ≤ 256 KiB, body }*
//!                  an unknown type with the top bit set is skipped; without it the session ends
//! lane stream      lane u8, { length u32, frame }*      length 0: the resend marker
//! CONNECTION_CLOSE code = the GoAway's reason, text = the GoAway's JSON
//!
//! type  message           from        body (little-endian)
//!    1  AgentHello        agent       JSON
//!    2  AggregatorHello   aggregator  JSON
//!    3  Resume            aggregator  epoch u64, lane u8, through u64, head [32]
//!    4  Ack               aggregator  epoch u64, lane u8, through u64
//!    5  Reject            aggregator  epoch u64, lane u8, sequence u64, reason u8
//!    6  Credit            aggregator  limit u64
//!    7  Want              agent       known u64, limit u64
//!    8  Config            aggregator  JSON, fleet::document::Signed over the challenge in the AgentHello
//!    9  Status            agent       JSON
//!   10  Renew             agent       JSON, enroll::RenewRequest
//!   11  Renewed           aggregator  JSON, enroll::Reply
//!   12  TrustBundle       aggregator  JSON, enroll::TrustBundle
//!   13  GoAway            both        JSON {reason, retry_after, detail}
//! ```
//!
//! **Opening.** The agent names its chains. For each the aggregator answers where it stands (`Resume`); what
//! the agent has no more and this journal never got is journaled as absent, and the prefix moves past it. The
//! agent holds each Resume against its own chain: an aggregator that knows more of the current epoch, or
//! another hash at `through`, shows a **fork**, and the agent opens a new epoch and comes again. Chains are
//! fixed for a session: a frame of any other ends it, and the next Hello names it.
//!
//! **Frames** follow on in sequence and `prev`. At or below the prefix they are duplicates: dropped and acked.
//! Loss frames are exempt: their part past the prefix counts. A gap ends the session. What does not read, or
//! does not fit in its place, gets a `Reject`; all else on that lane is skipped until the agent, having read
//! it, writes the resend marker. The second Reject in one place puts the frame into the agent's quarantine, and
//! a loss frame takes its place.
//!
//! **Turns.** The most urgent lane with a frame goes first; a lane that has had eight times the bytes of what waits in
//! less urgent ones lets one frame of them go. Lane streams share the link packet by packet, so that a frame that was
//! let go waits for no more than its own length of another lane.
//!
//! **Acks** are cumulative and come only after the journal synced.
//!
//! **Credit** is one number, the frame bytes that a session may send in its life. It starts at 32 KiB and
//! moves so that 32 KiB beyond what is committed are always allowed; more comes from one budget for all
//! sessions ([`Budget`]), whole and in turn, on a `Want`. An idle agent gives back what it does not need:
//! its Want names the limit that it knew, and counts only if no Credit was under way.
//!
//! The machines of both ends are [`AgentSession`] and [`IngestSession`]: no sockets, no clocks, no threads.

mod agent;
mod agent_output;
mod chain;
mod credit;
mod hello;
mod ingest;
mod ingest_output;
mod lane;
mod message;
#[cfg(test)]
mod tests;
mod turns;

pub use agent::{AgentSession, WELCOME_TIMEOUT};
pub use agent_output::{After, AgentEnd, AgentOutput};
pub use chain::{Absent, ChainState, Chains, Placing, place};
pub use credit::{Budget, SessionId};
pub use hello::{
    AgentHello, AggregatorHello, ChainSummary, Delivery, GoAway, GoAwayReason, VersionRange, frame_versions,
};
pub use ingest::{HELLO_TIMEOUT, IngestSession, STALL_TIMEOUT};
pub use ingest_output::{IngestCounts, IngestEnd, IngestEvent, IngestOutput, IngestProfile, JournalEntry};
pub use lane::{LaneError, LaneItem, LaneReader, PerLane, RESEND_MARKER};
pub use message::{
    Ack, Credit, MESSAGE_HEAD_LEN, Message, MessageError, MessageReader, Reject, RejectReason, Resume, Want,
};
pub use turns::{Claim, Turns};
