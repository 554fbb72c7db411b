//! What users are promised, shown by both real programs as processes on loopback.

mod backlog;
mod bad_input;
mod capture;
mod coverage;
mod documented;
mod evidence;
mod exactly_once;
mod fleet;
mod host_records;
mod matching;
mod network_records;
mod normalize;
mod packets;
mod reduce;
mod replay;
mod supervised;
mod units;
