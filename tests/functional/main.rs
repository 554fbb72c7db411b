//! What users are promised, shown by both real programs as processes on loopback.

mod backlog;
mod bad_input;
mod capture;
mod coverage;
mod docs;
mod evidence;
mod exactly_once;
mod fleet;
mod host_records;
mod limits;
mod matching;
mod network_records;
mod normalize;
mod packets;
mod reduce;
mod replay;
mod status;
mod supervised;
mod units;
