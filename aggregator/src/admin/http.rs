//! Loopback HTTP: `/metrics` for Prometheus, `/healthz`, `/readyz`.
//!
//! `/healthz` answers as long as the program answers; `/readyz` is 503, with the reasons, while the journal takes
//! nothing or a sink fails, and for an hour after the journal gave up segments early or was found behind its sinks. Label values are names of this configuration, classes and states: bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use shared::stop::{Stage, Stop};
use tokio::net::TcpListener;

use crate::ca::enrollment::Enrollment;
use crate::ingest::IngestHandle;
use crate::journal::JournalHandle;
use crate::pipeline::counters::{SinkBooks, SinkCounters};

/// What is shown.
#[derive(Clone)]
pub struct Surface {
    /// The journal.
    pub journal: JournalHandle,
    /// The mouth.
    pub ingest: IngestHandle,
    /// Every sink's books.
    pub sinks: Vec<Arc<SinkCounters>>,
    /// The roster.
    pub enrollment: Arc<Enrollment>,
}

/// Binds the address.
///
/// # Errors
/// As the system says.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until the program stops.
pub async fn serve(listener: TcpListener, surface: Surface, stop: Stop) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(surface);
    let ended = async move {
        stop.reached(Stage::Draining).await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(ended).await {
        tracing::error!(%error, "the HTTP listener ended");
    }
}

async fn metrics(State(surface): State<Surface>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], surface.metrics())
}

async fn ready(State(surface): State<Surface>) -> impl IntoResponse {
    let reasons = surface.degraded();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}

/// Prometheus text: a head for each family, its samples behind it.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP picket_aggregator_{name} {help}\n# TYPE picket_aggregator_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let _ = write!(self.0, "picket_aggregator_{name}");
        for (i, (key, label)) in labels.iter().enumerate() {
            let escaped = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{key}=\"{escaped}\"", if i == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A family of one sample without labels.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.single(name, "counter", help, value);
    }

    /// A family with a sample per value of one label.
    fn by(&mut self, name: &str, (kind, help): (&str, &str), label: &str, samples: &[(&str, u64)]) {
        self.head(name, kind, help);
        samples.iter().for_each(|(value, count)| self.sample(name, &[(label, value)], *count));
    }
}

impl Surface {
    /// Why the program is not ready; empty when it is.
    fn degraded(&self) -> Vec<String> {
        let journal = self.journal.status().borrow().clone();
        let mut reasons: Vec<String> = journal.error.into_iter().collect();
        reasons.extend(journal.notes);
        for sink in &self.sinks {
            reasons.extend(sink.books().last_error.map(|error| format!("sink {}: {error}", sink.name)));
        }
        reasons
    }

    /// Everything in one JSON value, for the command `status` and other programs.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        let journal = self.journal.status().borrow().clone();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.degraded(),
            "journal": journal,
            "sessions": self.ingest.sessions().len(),
        })
    }

    fn metrics(&self) -> String {
        let mut out = Exposition::default();
        self.ingest_metrics(&mut out);
        self.journal_metrics(&mut out);
        self.sink_metrics(&mut out);
        out.0
    }

    fn ingest_metrics(&self, out: &mut Exposition) {
        let counters = self.ingest.counters();
        for (name, help, counter) in [
            ("ingest_frames_total", "Frames given to the journal.", &counters.frames),
            ("ingest_bytes_total", "Bytes of these frames.", &counters.bytes),
            ("ingest_duplicate_frames_total", "Frames that had come before.", &counters.duplicate_frames),
            ("ingest_rejected_frames_total", "Frames refused.", &counters.rejected_frames),
            ("ingest_sessions_total", "Sessions opened.", &counters.sessions),
            ("ingest_refused_connections_total", "Connections refused.", &counters.refused_connections),
            ("ingest_enrollments_total", "Requests for enrollment answered.", &counters.enrollments),
        ] {
            out.counter(name, help, counter.load(Ordering::Relaxed));
        }
        let connected: BTreeSet<_> = self.ingest.sessions().into_iter().map(|session| session.agent).collect();
        let roster = self.enrollment.roster();
        let (mut away, mut revoked) = (0, 0);
        for entry in roster.book().agents() {
            if entry.revoked.is_some() {
                revoked += 1;
            } else if !connected.contains(&entry.agent) {
                away += 1;
            }
        }
        let samples = [("connected", connected.len() as u64), ("away", away), ("revoked", revoked)];
        out.by("agents", ("gauge", "Agents by state."), "state", &samples);
    }

    fn journal_metrics(&self, out: &mut Exposition) {
        let journal = self.journal.status().borrow().clone();
        out.single("journal_bytes", "gauge", "Bytes of the journal on disk.", journal.bytes);
        out.counter("journal_records_total", "Records journaled since the journal was made.", journal.records);
        out.single("journal_position", "gauge", "Position of the last frame.", journal.position.saturating_sub(1));
        let sacrificed = journal.sacrificed_segments;
        out.counter("journal_sacrificed_segments_total", "Segments that went younger than retain.", sacrificed);
        let went_back = u64::from(journal.went_back);
        let help = "1 when the journal stood behind its sinks at the start: deleted, or replaced by an older copy.";
        out.single("journal_went_back", "gauge", help, went_back);
        let degraded = u64::from(journal.error.is_some());
        out.single("journal_degraded", "gauge", "1 while the journal takes nothing.", degraded);
        out.counter("ingest_raw_bytes_total", "Bytes of journaled frames before compression.", journal.raw_bytes);
        out.counter("ingest_frame_bytes_total", "Bytes of journaled frames, headers included.", journal.frame_bytes);
        let (mut numbered, mut journaled, mut lost, mut absent) = (0, 0, 0, 0);
        for (_, books) in self.journal.chains().all() {
            numbered += books.state.next_record.saturating_sub(1);
            journaled += books.journaled;
            lost += books.lost;
            absent += books.absent;
        }
        let samples = [("numbered", numbered), ("journaled", journaled), ("lost", lost), ("absent", absent)];
        let help = "Records of all chains: numbered = journaled + lost + absent.";
        out.by("books_chain_records", ("gauge", help), "entry", &samples);
    }

    fn sink_metrics(&self, out: &mut Exposition) {
        // The sinks first: none has read more than the journal has then.
        let sinks: Vec<(&str, SinkBooks)> = self.sinks.iter().map(|sink| (sink.name.as_str(), sink.books())).collect();
        let journal = self.journal.status().borrow().clone();
        let mut by_class = BTreeMap::new();
        for (class, count) in sinks.iter().flat_map(|(_, books)| books.by_class()) {
            *by_class.entry(class).or_insert(0) += count;
        }
        let by_class: Vec<(&str, u64)> = by_class.into_iter().collect();
        out.by("events_total", ("counter", "Events made, by class."), "class", &by_class);
        let help = "Journaled records by what became of them for each sink since it was opened (earlier: until then): \
                    journaled is the sum of the others.";
        out.head("books_records", "gauge", help);
        for (sink, books) in &sinks {
            for (entry, count) in books.records(journal.records) {
                out.sample("books_records", &[("sink", sink), ("entry", entry)], count);
            }
        }
        let help = "Events by what became of them: made = delivered + rejected + undone (made again) + pending.";
        out.head("books_sink_events", "gauge", help);
        for (sink, books) in &sinks {
            for (entry, count) in books.events() {
                out.sample("books_sink_events", &[("sink", sink), ("entry", entry)], count);
            }
        }
        let lag = |books: &SinkBooks| journal.position.saturating_sub(1).saturating_sub(books.cursor);
        let each = |count: &dyn Fn(&SinkBooks) -> u64| -> Vec<(&str, u64)> {
            sinks.iter().map(|(sink, books)| (*sink, count(books))).collect()
        };
        let counter = |help| ("counter", help);
        out.by("sink_delivered_events_total", counter("Events committed."), "sink", &each(&|books| books.delivered));
        out.by("sink_rejected_events_total", counter("Events that the sink refused for good."), "sink", &each(&|_| 0));
        out.by("sink_lag_frames", ("gauge", "Journal positions behind the newest."), "sink", &each(&lag));
        out.by("sink_errors_total", counter("Failures; the sink was opened again."), "sink", &each(&|b| b.errors));
        out.by("sink_commits_total", counter("Commits."), "sink", &each(&|books| books.commits));
        out.by("sink_unrouted_events_total", counter("Events that no route took."), "sink", &each(&|b| b.unrouted));
    }
}
