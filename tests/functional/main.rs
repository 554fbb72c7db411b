//! What users are promised, shown by both real programs as processes on loopback.

mod backlog;
mod bad_input;
mod evidence;
mod exactly_once;
mod normalize;
mod packets;
mod replay;
