//! What both ends of Picket must agree on.
//!
//! Nothing here opens a socket, and nothing reads a clock but through [`time`]. The agent and the
//! aggregator never import each other; what they share is a noun in this crate.

pub mod backoff;
pub mod batch;
pub mod check;
pub mod durable;
pub mod enroll;
pub mod exit;
pub mod fault;
pub mod fleet;
pub mod frame;
pub mod identity;
pub mod limits;
pub mod log;
pub mod logging;
pub mod owner;
pub mod printable;
pub mod protocol;
pub mod pulse;
pub mod record;
pub mod redact;
pub mod remark;
pub mod signature;
pub mod stop;
pub mod supervisor;
pub mod table;
pub mod time;
pub mod tls;
pub mod yaml;
