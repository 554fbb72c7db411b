//! HTTP of which the flow's server is the one who asks: the same dissector with its sides changed.
//!
//! Its records keep the flow's ends, and say so: `unmapped.asked_by` is `dst_endpoint`.

use shared::record::Value;
use shared::time::Timestamp;

use super::super::{Dissector, Side, Tell, Told, Want};
use super::Http;

/// A dissector for such a flow.
#[must_use]
pub fn turned() -> Box<dyn Dissector> {
    Box::<Turned>::default()
}

#[derive(Default)]
struct Turned(Http);

fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

fn said(mut told: Told) -> Told {
    told.fields.push(("unmapped.asked_by".to_owned(), Value::String("dst_endpoint".to_owned())));
    told
}

impl Dissector for Turned {
    fn protocol(&self) -> &'static str {
        self.0.protocol()
    }

    fn data(&mut self, side: Side, at: Timestamp, bytes: &[u8], tell: Tell<'_>) -> Want {
        self.0.data(other(side), at, bytes, &mut |told| tell(said(told)))
    }

    fn gap(&mut self, side: Side, bytes: u64, tell: Tell<'_>) -> Want {
        self.0.gap(other(side), bytes, &mut |told| tell(said(told)))
    }

    fn end(&mut self, at: Timestamp, tell: Tell<'_>) {
        self.0.end(at, &mut |told| tell(said(told)));
    }

    fn held_bytes(&self) -> usize {
        self.0.held_bytes()
    }
}
