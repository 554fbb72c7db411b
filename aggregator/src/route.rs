//! Route: which events go to which sink.
//!
//! In: what the deployment's predicates say of an event. Out: whether this sink takes it, another does, or nobody. Routes
//! are tried in order of the file; an event goes to the sinks of all that take it, up to the first that is `final`.
//! Pure.

/// One route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The sink's name.
    pub to: String,
    /// Which events, by the number of a predicate; all where there is none.
    pub predicate: Option<usize>,
    /// An event that it takes is not offered to the routes behind it.
    pub is_final: bool,
}

/// Where an event goes, seen from one sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// To this sink.
    Here,
    /// To others only.
    Elsewhere,
    /// Nowhere: no route took it.
    Nowhere,
}

/// The routes, seen from the sink named `sink`, for an event that `holds` says the predicates of.
pub fn destination(routes: &[Route], sink: &str, holds: impl Fn(usize) -> bool) -> Destination {
    let mut destination = Destination::Nowhere;
    for route in routes.iter().filter(|route| route.predicate.is_none_or(&holds)) {
        if route.to == sink {
            return Destination::Here;
        }
        destination = Destination::Elsewhere;
        if route.is_final {
            break;
        }
    }
    destination
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_goes_to_all_that_take_it_up_to_the_first_final_one() {
        let route = |to: &str, predicate, is_final| Route { to: to.to_owned(), predicate, is_final };
        let routes = [route("a", Some(0), false), route("b", Some(1), true), route("c", Some(2), false)];
        for (holds, expected) in [
            (&[0, 1, 2][..], [Destination::Here, Destination::Here, Destination::Elsewhere]),
            (&[0, 2], [Destination::Here, Destination::Elsewhere, Destination::Here]),
            (&[2], [Destination::Elsewhere, Destination::Elsewhere, Destination::Here]),
            (&[], [Destination::Nowhere; 3]),
        ] {
            let found = ["a", "b", "c"].map(|sink| destination(&routes, sink, |predicate| holds.contains(&predicate)));
            assert_eq!(found, expected, "{holds:?}");
        }
        let all = [route("a", None, false)];
        assert_eq!(destination(&all, "a", |_| false), Destination::Here);
    }
}
