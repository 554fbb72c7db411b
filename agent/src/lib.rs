//! The agent: sees, keeps and streams.
//!
//! `source ▶ spool ▶ uplink`; stages import `shared`, the nouns that a source hands over ([`handover`],
//! [`fingerprint`]) and what holds them back ([`limits`]), never one another.

pub mod admin;
pub mod app;
pub mod cli;
pub mod command;
pub mod config;
pub mod enroll;
pub mod fingerprint;
pub mod handover;
pub mod limits;
pub mod own_traffic;
pub mod source;
pub mod spool;
pub mod steering;
pub mod uplink;
