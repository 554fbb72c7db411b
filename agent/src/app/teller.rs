//! What `status` is told: everything that the running agent knows of itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use shared::fleet::Unavailable;
use shared::time::{Clock, Timestamp};

use super::identity::About;
use crate::admin::{SourceStatus, StatusReport, UnavailableSource};
use crate::config::Config;
use crate::source::{SourceConfig, Sources};
use crate::spool::SpoolPort;
use crate::uplink::UplinkStatus;

/// Asks every stage how it is.
pub(super) struct Teller {
    pub(super) port: SpoolPort,
    pub(super) uplink: Arc<UplinkStatus>,
    pub(super) sources: Arc<Mutex<Option<Sources>>>,
    pub(super) about: About,
    pub(super) config: Config,
    pub(super) table: Vec<SourceConfig>,
    pub(super) unavailable: Vec<Unavailable>,
    pub(super) clock: Clock,
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
            unavailable: self.unavailable.iter().map(unavailable).collect(),
            spool,
            certificate_end: Some(Timestamp(self.about.certificate_end.load(Ordering::Relaxed))),
        }
    }

    fn source_status(&self) -> Vec<SourceStatus> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sources) = sources.as_ref() else { return Vec::new() };
        let row = |(source, (name, health)): (&SourceConfig, (&str, _))| SourceStatus {
            name: name.to_owned(),
            kind: source.type_name().to_owned(),
            lane: source.lane(),
            health,
        };
        self.table.iter().zip(sources.health()).map(row).collect()
    }
}

fn unavailable(source: &Unavailable) -> UnavailableSource {
    UnavailableSource { name: source.name.clone(), reason: source.reason.clone() }
}
