//! What `status` is told: everything that the running agent knows of itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use shared::fleet::Unavailable;
use shared::remark::{self, Remark};
use shared::time::{Clock, Timestamp};
use tokio::sync::watch;

use super::identity::About;
use crate::admin::{SourceStatus, StatusReport, UnavailableSource};
use crate::config::Config;
use crate::limits::Governor;
use crate::source::{SourceConfig, Sources};
use crate::spool::SpoolPort;
use crate::steering::ConfigStatus;
use crate::uplink::UplinkStatus;

/// Sources that the aggregator is told of.
const SOURCES_TOLD_MAX: usize = 100;
/// Characters of each text that it is told.
const TEXT_CHARS_MAX: usize = 300;

/// Asks every stage how it is.
pub(super) struct Teller {
    pub(super) port: SpoolPort,
    pub(super) uplink: Arc<UplinkStatus>,
    pub(super) sources: Arc<Mutex<Option<Sources>>>,
    pub(super) about: About,
    pub(super) config: Config,
    pub(super) in_force: watch::Receiver<ConfigStatus>,
    pub(super) clock: Clock,
    pub(super) governor: Governor,
    pub(super) began: Instant,
}

impl Teller {
    pub(super) async fn status(&self) -> StatusReport {
        let spool = self.port.status().await;
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            agent: self.about.agent,
            hostname: self.config.hostname.clone(),
            at: self.clock.now(),
            uptime_seconds: self.clock.instant().saturating_duration_since(self.began).as_secs(),
            uplink: serde_json::to_value(self.uplink.snapshot()).unwrap_or_default(),
            sources: self.source_status(),
            unavailable: self.in_force.borrow().unavailable.iter().map(unavailable).collect(),
            config: self.in_force.borrow().clone(),
            configurations_refused: self.about.configurations_refused.load(Ordering::Relaxed),
            spool,
            limits: self.governor.report(),
            certificate_end: Some(Timestamp(self.about.certificate_end.load(Ordering::Relaxed))),
        }
    }

    /// What the aggregator is told: the same without what only this host needs, and bounded.
    pub(super) async fn word(&self) -> Value {
        let report = self.status().await;
        let sources = report.sources.iter().take(SOURCES_TOLD_MAX).map(|source| {
            let SourceStatus { name, kind, lane, health } = source;
            json!({
                "name": name, "type": kind, "lane": lane, "lines": health.lines, "lag_bytes": health.lag_bytes,
                "last_event": health.last_event, "restarts": health.restarts,
                "last_error": health.last_error.as_deref().map(|error| error.chars().take(TEXT_CHARS_MAX).collect::<String>()),
            })
        });
        let sources: Vec<Value> = sources.collect();
        let remarks = report.remarks_in_session().into_iter().take(remark::SHOWN_MAX).map(|remark| {
            let cut = |text: String| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
            Remark { what: cut(remark.what), advice: cut(remark.advice), ..remark }
        });
        let remarks: Vec<Remark> = remarks.collect();
        json!({
            "version": report.version,
            "hostname": report.hostname,
            "at": report.at,
            "uptime_seconds": report.uptime_seconds,
            "config": report.config,
            "sources": sources,
            "unavailable": report.unavailable.iter().take(SOURCES_TOLD_MAX).collect::<Vec<_>>(),
            "spool": report.spool,
            "limits": report.limits,
            "certificate_end": report.certificate_end,
            "remarks": remarks,
        })
    }

    fn source_status(&self) -> Vec<SourceStatus> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sources) = sources.as_ref() else { return Vec::new() };
        let row = |(source, health): (&SourceConfig, _)| SourceStatus {
            name: source.name.clone(),
            kind: source.type_name().to_owned(),
            lane: source.lane(),
            health,
        };
        sources.health().map(row).collect()
    }
}

fn unavailable(source: &Unavailable) -> UnavailableSource {
    UnavailableSource { name: source.name.clone(), reason: source.reason.clone() }
}
