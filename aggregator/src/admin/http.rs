//! Loopback HTTP: `/metrics` for Prometheus, `/healthz`, `/readyz`.
//!
//! `/healthz` answers as long as the program answers; `/readyz` is 503, with the reasons, while the journal takes
//! nothing or a sink fails, and for an hour after the journal gave up segments early or was found behind its sinks. Label values are names of this configuration, classes and states: bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use shared::identity::AgentId;
use shared::remark::Remark;
use shared::stop::Stop;
use shared::time::Timestamp;
use tokio::net::TcpListener;

use crate::app::reload::SharedState;
use crate::ca::enrollment::Enrollment;
use crate::fleet::FleetFile;
use crate::ingest::{IngestHandle, Told};
use crate::journal::JournalHandle;
use crate::pipeline::counters::{SinkBooks, SinkCounters};
use crate::reduce::Stage;

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
    /// Which configuration is in force.
    pub config: SharedState,
    /// The fleet file, if there is one.
    pub fleet: Option<Arc<FleetFile>>,
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
        stop.reached(shared::stop::Stage::Draining).await;
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

/// What an agent said of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AgentState {
    /// The agent.
    pub agent: AgentId,
    /// Version of its program.
    pub version: String,
    /// What its host calls itself.
    pub hostname: String,
    /// What its host says of itself.
    pub labels: BTreeMap<String, String>,
    /// What the roster grants to it, as labels.
    pub granted: BTreeMap<String, String>,
    /// Name of what it is to do; none: the fleet does not steer it.
    pub desired: Option<String>,
    /// Name of what it does; empty: nothing by the fleet.
    pub running: String,
    /// It has a fleet file of its own.
    pub local_fleet: bool,
    /// How far its clock is ahead of this aggregator's, with what the message took on its way.
    pub clock_offset_ms: Option<i64>,
    /// Its last word on how it is.
    pub status: Option<serde_json::Value>,
    /// When that came.
    pub status_at: Option<Timestamp>,
}

impl AgentState {
    /// What it said that a person should know; an older version says nothing of that.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        let said = self.status.as_ref().and_then(|status| status.get("remarks"));
        said.and_then(|remarks| serde_json::from_value(remarks.clone()).ok()).unwrap_or_default()
    }
}

/// What one rule did at one sink.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RuleReport {
    /// The sink.
    pub sink: String,
    /// `drop`, `redact`, `merge`; `all`: the whole stage.
    pub stage: String,
    /// The rule's name.
    pub rule: String,
    /// Events that it took.
    #[serde(rename = "in")]
    pub came: u64,
    /// Events that went on by themselves, or as one that stands for others.
    pub out: u64,
    /// How many came for each that went on; none where none did.
    pub ratio: Option<f64>,
    /// Events that it dropped, took a secret from, or folded into another.
    pub changed: u64,
    /// Events that went on unmerged because a block holds no more kinds.
    pub overflowed: u64,
}

impl RuleReport {
    fn new(sink: &str, (stage, rule): (&str, &str), came: u64, gone: u64) -> Self {
        let out = came.saturating_sub(gone);
        let float = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let ratio = (out > 0).then(|| (float(came) / float(out) * 100.0).round() / 100.0);
        let (sink, stage, rule) = (sink.to_owned(), stage.to_owned(), rule.to_owned());
        Self { sink, stage, rule, came, out, ratio, changed: gone, overflowed: 0 }
    }
}

impl Surface {
    /// Why the program is not ready; empty when it is.
    pub(super) fn degraded(&self) -> Vec<String> {
        let journal = self.journal.status().borrow().clone();
        let mut reasons: Vec<String> = journal.error.into_iter().collect();
        reasons.extend(journal.notes);
        for sink in &self.sinks {
            reasons.extend(sink.books().last_error.map(|error| format!("sink {}: {error}", sink.name)));
        }
        reasons
    }

    /// What agents said of themselves since the program started.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentState> {
        let state = |(agent, told): (AgentId, Told)| {
            let (status, status_at) = told.status.unzip();
            let said_at = status.as_ref().and_then(|status| status.get("at")?.as_i64());
            let offset = said_at.zip(status_at).map(|(said, at)| said.saturating_sub(at.0) / 1_000_000);
            AgentState {
                agent,
                version: told.version,
                hostname: told.hostname,
                labels: told.labels,
                granted: crate::fleet::granted(&self.enrollment, agent),
                desired: told.desired,
                running: told.running,
                local_fleet: told.local_fleet,
                clock_offset_ms: offset,
                status,
                status_at,
            }
        };
        self.ingest.told().into_iter().map(state).collect()
    }

    /// What each rule of `reduce` did since the program started, by sink.
    #[must_use]
    pub fn reduction(&self) -> Vec<RuleReport> {
        let mut rows = Vec::new();
        for sink in &self.sinks {
            let books = sink.books();
            let (came, went) = books.reduced;
            let whole = RuleReport::new(&sink.name, ("all", "all"), came, came.saturating_sub(went));
            rows.push(whole);
            rows.extend(books.rules.iter().map(|((stage, rule), count)| {
                let gone = if *stage == Stage::Redact { 0 } else { count.reduced };
                RuleReport {
                    changed: count.reduced,
                    overflowed: count.overflowed,
                    ..RuleReport::new(&sink.name, (stage.name(), rule), count.taken, gone)
                }
            }));
        }
        rows
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
        // Each sink sees every event: the one that has seen most says how many there were.
        let mut by_class: BTreeMap<&str, u64> = BTreeMap::new();
        for (class, count) in sinks.iter().flat_map(|(_, books)| books.by_class()) {
            let most = by_class.entry(class).or_insert(0);
            *most = count.max(*most);
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
        let help = "Events by what became of them, a merged one as many as it stands for: made = not_for_this_sink + dropped + \
                    delivered + rejected + undone (made again) + pending.";
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
        out.by(
            "sink_rejected_events_total",
            counter("Events that the sink refused for good."),
            "sink",
            &each(&|books| books.rejected),
        );
        out.by(
            "sink_written_events_total",
            counter("Rows, lines or documents committed."),
            "sink",
            &each(&|books| books.written),
        );
        out.by("sink_lag_frames", ("gauge", "Journal positions behind the newest."), "sink", &each(&lag));
        out.by("sink_errors_total", counter("Failures; the sink was opened again."), "sink", &each(&|b| b.errors));
        out.by("sink_commits_total", counter("Commits."), "sink", &each(&|books| books.commits));
        out.head(
            "reduced_events_total",
            "counter",
            "Events that a rule dropped, took a secret from, or folded into another.",
        );
        for (sink, books) in &sinks {
            for ((stage, rule), count) in &books.rules {
                let labels = [("stage", stage.name()), ("rule", rule.as_str()), ("sink", *sink)];
                out.sample("reduced_events_total", &labels, count.reduced);
            }
        }
        let help = "1 where what aggregator.yaml says now was refused, and what was in force before stays.";
        let refused = self.config.lock().unwrap_or_else(PoisonError::into_inner).refused.is_some();
        out.single("config_refused", "gauge", help, u64::from(refused));
        if let Some(fleet) = self.fleet.as_ref().map(|fleet| fleet.state()) {
            let help = "1 where what the fleet file says now was refused, and agents keep what they have.";
            out.single("fleet_refused", "gauge", help, u64::from(fleet.refused.is_some()));
            let behind = self.ingest.told().iter().filter(|(_, told)| told.is_behind()).count();
            let help = "Agents that do not run the configuration that the fleet file gives them.";
            out.single("fleet_agents_behind", "gauge", help, u64::try_from(behind).unwrap_or(u64::MAX));
        }
        let help = counter("Events of several lines that are two: too much waited, or a block ended in between.");
        out.by("sink_divided_events_total", help, "sink", &each(&|b| b.divided.0 + b.divided.1));
        out.by("sink_unrouted_events_total", counter("Events that no route took."), "sink", &each(&|b| b.unrouted));
    }
}
