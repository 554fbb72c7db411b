//! How people and programs on this machine look at a running aggregator and tell it things.
//!
//! `http`: metrics and health on loopback. `report`: how the aggregator is, in one value. `socket`: commands of the same program, over a unix socket, one request and one reply a connection.

pub mod http;
pub mod report;
pub mod socket;
