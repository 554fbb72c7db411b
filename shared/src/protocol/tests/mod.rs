//! What the wire promises.

mod decoders;
mod model;
mod pair;
mod promises;
mod turns;
