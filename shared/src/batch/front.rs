//! The context of a batch, read alone: for who asks where records come from and not what they say.
//!
//! A frame comes in, what its agent said of the host and the origins goes out. The lines are not decompressed where a block
//! of zstd ends before them.

use super::{CONTEXT, Context, json};
use crate::frame::{Frame, Opener};

/// The context of a data frame; `None` where its body does not begin with one.
#[must_use]
pub fn context_of(frame: &Frame, opener: &mut Opener) -> Option<Context<'static>> {
    let (id, _, bytes) = frame.open_first(opener).ok()?;
    if id == CONTEXT { json("context", bytes).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Batch, BatchView, HostContext, Line, Origin};
    use super::*;
    use crate::frame::{Place, Sealer};
    use crate::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
    use crate::time::Timestamp;

    /// A frame of `lines` lines, each another one.
    fn frame(lines: usize, source: &str) -> Frame {
        let mut batch = Batch::default();
        let origin = batch.origin(&Arc::new(Origin { source: source.into(), ..Origin::default() }));
        for number in 0..lines {
            let text = format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let line = Line { bytes: text.as_bytes(), offset: 0, full_size: text.len() as u64, flags: 0 };
            batch.push_line(origin, Timestamp(1), line);
        }
        let chain = ChainId { agent: AgentId([1; 16]), lane: Lane::Normal, epoch: Epoch(7) };
        let place = Place { chain, sequence: 2, first_record: 1, prev: FrameHash::ZERO, sealed_at: Timestamp(1) };
        let mut sealer = Sealer::new().unwrap();
        batch.with_columns(&HostContext::default(), |records, columns| sealer.data(&place, records, columns).unwrap())
    }

    #[test]
    fn context_is_that_of_the_opened_batch_whatever_the_size() {
        let mut opener = Opener::default();
        for (lines, source) in [(1, "auth"), (12_000, "web"), (2, &"s".repeat(9_000)), (3_000, "auth")] {
            let frame = frame(lines, source);
            let alone = context_of(&frame, &mut opener).unwrap();
            let columns = frame.open(&mut opener).unwrap();
            let view = BatchView::parse(&columns, frame.header().records).unwrap();
            let names = |context: &Context<'_>| -> Vec<String> {
                context.origins.iter().map(|origin| origin.source.as_str().to_owned()).collect()
            };
            assert_eq!(names(&alone), names(view.context()));
            assert_eq!(names(&alone), [source]);
        }
    }
}
