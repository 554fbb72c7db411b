//! The books: what came in equals what went on, what was left out and what was lost, for each program.
//!
//! The programs show their books as gauges, one family for each equation of ARCHITECTURE's chapter 5, with the entry
//! as a label: `picket_agent_books_records{lane,entry}`, `picket_aggregator_books_records{sink,entry}`,
//! `picket_aggregator_books_chain_records{entry}` and `picket_aggregator_books_sink_events{sink,entry}`. An entry that is absent is zero.

use std::collections::BTreeMap;

use xtask::scrape::Metrics;

/// An equation: the entries on the left add up to those on the right, for each value of `per`.
struct Equation {
    family: &'static str,
    per: Option<&'static str>,
    left: &'static [&'static str],
    right: &'static [&'static str],
}

const EQUATIONS: &[Equation] = &[
    Equation {
        family: "picket_agent_books_records",
        per: Some("lane"),
        left: &["observed"],
        right: &["excluded", "held", "spooled", "acked", "lost"],
    },
    Equation {
        family: "picket_aggregator_books_records",
        per: Some("sink"),
        left: &["journaled"],
        right: &["earlier", "normalized", "unreadable", "journal_damage", "expired", "pending"],
    },
    Equation {
        family: "picket_aggregator_books_chain_records",
        per: None,
        left: &["numbered"],
        right: &["journaled", "lost", "absent"],
    },
    Equation {
        family: "picket_aggregator_books_sink_events",
        per: Some("sink"),
        left: &["made"],
        right: &[
            "not_for_this_sink",
            "dropped",
            "throttled",
            "delivered",
            "rejected",
            "best_effort_lost",
            "undone",
            "pending",
        ],
    },
];

/// Holds the books of one page of metrics, of one program or of both together.
///
/// # Panics
/// An equation does not add up, an entry is in no equation, or the page shows no books at all.
#[track_caller]
pub fn assert_books(metrics: &Metrics) {
    let mut kept = 0;
    for equation in EQUATIONS {
        let mut books: BTreeMap<&str, (Vec<String>, f64, f64)> = BTreeMap::new();
        for sample in metrics.of(equation.family) {
            let entry = sample.label("entry").unwrap_or_default();
            let of = equation.per.and_then(|label| sample.label(label)).unwrap_or_default();
            let (entries, left, right) = books.entry(of).or_default();
            entries.push(format!("{entry} {}", sample.value));
            if equation.left.contains(&entry) {
                *left += sample.value;
            } else {
                assert!(equation.right.contains(&entry), "{}: no such entry as {entry:?}", equation.family);
                *right += sample.value;
            }
        }
        for (of, (entries, left, right)) in books {
            kept += 1;
            let (family, entries) = (equation.family, entries.join(", "));
            assert!(
                (left - right).abs() < 0.5,
                "{family}{{{of}}} does not add up: {left} came, {right} are accounted for ({entries})"
            );
        }
    }
    assert!(kept > 0, "the page shows no books");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(acked: u32) -> Metrics {
        Metrics::parse(&format!(
            "picket_agent_books_records{{lane=\"high\",entry=\"observed\"}} 10\n\
             picket_agent_books_records{{lane=\"high\",entry=\"acked\"}} {acked}\n\
             picket_agent_books_records{{lane=\"high\",entry=\"lost\",reason=\"crash\"}} 1\n\
             picket_agent_books_records{{lane=\"bulk\",entry=\"observed\"}} 0\n"
        ))
    }

    #[test]
    fn books_that_add_up_hold() {
        assert_books(&page(9));
    }

    #[test]
    #[should_panic(expected = "does not add up: 10 came, 9 are accounted for")]
    fn a_record_that_vanished_is_noticed() {
        assert_books(&page(8));
    }

    /// Books of a sink that has half of ten records; `entry` shows `count` more than there were.
    fn sink_page(entry: &str, count: u32) -> Metrics {
        let books = [
            ("picket_aggregator_books_records", "journaled", 10),
            ("picket_aggregator_books_records", "earlier", 1),
            ("picket_aggregator_books_records", "normalized", 3),
            ("picket_aggregator_books_records", "unreadable", 1),
            ("picket_aggregator_books_records", "pending", 5),
            ("picket_aggregator_books_sink_events", "made", 6),
            ("picket_aggregator_books_sink_events", "delivered", 3),
            ("picket_aggregator_books_sink_events", "undone", 2),
            ("picket_aggregator_books_sink_events", "pending", 1),
            ("picket_aggregator_books_chain_records", "numbered", 4),
            ("picket_aggregator_books_chain_records", "journaled", 4),
        ];
        let line = |(family, name, value): (&str, &str, u32)| {
            let more = if name == entry { count } else { 0 };
            format!("{family}{{sink=\"lake\",entry=\"{name}\"}} {}\n", value + more)
        };
        Metrics::parse(&books.map(line).concat())
    }

    #[test]
    fn one_more_or_less_in_any_entry_of_a_sink_is_noticed() {
        assert_books(&sink_page("", 0));
        for entry in ["earlier", "normalized", "unreadable", "pending", "made", "delivered", "undone", "numbered"] {
            let page = sink_page(entry, 1);
            assert!(std::panic::catch_unwind(|| assert_books(&page)).is_err(), "one more {entry} passes");
        }
    }

    #[test]
    #[should_panic(expected = "the page shows no books")]
    fn a_page_without_books_does_not_pass_for_one_that_adds_up() {
        assert_books(&Metrics::default());
    }
}
