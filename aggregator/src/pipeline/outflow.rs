//! [`Outflow`]: from the events of the journal to one sink.
//!
//! In: events in order, and the cuts between blocks. Out: what is left of them, pushed to the sink, and a tally of what became
//! of each. An event's networks are named; the deployment's predicates are asked once; then, in this order: dropped? does it go
//! here? redacted, merged, pushed.
//!
//! Invariants: nothing is held over a cut; the same events under the same configuration give the same pushes.

use std::sync::Arc;

use crate::config::Downstream;
use crate::event::Event;
use crate::matcher::Scratch;
use crate::reduce::{Counts, Reducer, Stage};
use crate::route::{self, Destination};
use crate::sink::SinkError;

use super::counters::Tally;

/// The way of events to one sink, under one configuration.
pub(super) struct Outflow {
    downstream: Arc<Downstream>,
    sink: String,
    reducer: Reducer,
    scratch: Scratch,
    hits: Vec<usize>,
}

impl Outflow {
    pub(super) fn new(downstream: Arc<Downstream>, sink: &str) -> Self {
        let reducer = Reducer::new(downstream.rules.clone());
        Self { downstream, sink: sink.to_owned(), reducer, scratch: Scratch::default(), hits: Vec::new() }
    }

    /// Whether this is the way under `downstream`.
    pub(super) fn is_under(&self, downstream: &Arc<Downstream>) -> bool {
        Arc::ptr_eq(&self.downstream, downstream)
    }

    /// Takes an event; `push` hands it to the sink.
    pub(super) fn event(
        &mut self,
        event: &mut Event<'_>,
        tally: &mut Tally,
        push: &mut dyn FnMut(&Event<'_>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let Self { downstream, reducer, scratch, hits, .. } = self;
        downstream.networks.name(event);
        if !downstream.matcher.is_empty() {
            downstream.matcher.matches(&*event, scratch, hits);
        }
        let holds = |predicate| hits.binary_search(&predicate).is_ok();
        if reducer.drops(holds) {
            tally.made(event.class);
            tally.dropped();
            return Ok(());
        }
        match route::destination(&downstream.routes, &self.sink, holds) {
            Destination::Nowhere => {
                tally.unrouted(event.class);
                return Ok(());
            }
            Destination::Elsewhere => {
                tally.made(event.class);
                tally.elsewhere();
                return Ok(());
            }
            Destination::Here => tally.made(event.class),
        }
        let mut pushed = None;
        let waits = reducer.event(event, holds, &mut |event| {
            let taken = push(event);
            pushed = Some(taken.is_ok());
            taken
        });
        match pushed {
            Some(taken) => tally.pushed(taken, 1),
            None => tally.waits(),
        }
        waits.map(|_| ())
    }

    /// The block ends: what waited leaves.
    pub(super) fn cut(
        &mut self,
        tally: &mut Tally,
        push: &mut dyn FnMut(&Event<'_>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        self.reducer.cut(&mut |event| {
            let taken = push(event);
            tally.leaves(event.weight);
            tally.pushed(taken.is_ok(), event.weight);
            taken
        })
    }

    /// What each rule did since the last call, in order of the rules.
    pub(super) fn take_counts(&mut self) -> (Vec<(Stage, String)>, Counts) {
        let names = self.reducer.report().map(|(stage, name, _)| (stage, name.to_owned())).collect();
        (names, self.reducer.take_counts())
    }
}
