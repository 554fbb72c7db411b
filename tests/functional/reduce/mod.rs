//! What aggregator.yaml says is done with events, done by the real programs: drop, redact, merge, keep, routes, networks,
//! three kinds of sinks, dead letters, and changes while the aggregator runs.

mod crashes;
mod facts;
mod letters;
mod reload;

mod rules;
mod server;
mod source;
mod world;

use std::time::Duration;

/// Everything that is awaited comes within seconds; a machine that is busy with other things gets its time.
const DEADLINE: Duration = Duration::from_secs(90);
