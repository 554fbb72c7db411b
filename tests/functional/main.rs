//! What users are promised, shown by both real programs as processes on loopback.

mod bad_input;
mod exactly_once;
mod normalize;
