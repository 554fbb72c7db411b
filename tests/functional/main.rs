//! What users are promised, shown by both real programs as processes on loopback.

mod backlog;
mod bad_input;
mod capture;
mod evidence;
mod exactly_once;
mod host_records;
mod network_records;
mod normalize;
mod packets;
mod replay;
