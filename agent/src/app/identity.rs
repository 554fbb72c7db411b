//! The agent's identity as the uplink uses it: settings for sessions, renewals, proofs of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use shared::durable::Writer;
use shared::enroll::{RenewRequest, Reply, TrustBundle};
use shared::fleet::document::{Document, Signed};
use shared::identity::AgentId;
use shared::time::Timestamp;
use shared::tls::{ClientTls, ProvenTime};
use tokio::sync::watch;

use crate::enroll::{Identity, IdentityStore, Renewing};
use crate::uplink;

/// A proof of time is written down this often.
const PROVEN_INTERVAL: Duration = Duration::from_secs(3_600);
/// A renewal without an answer is tried again after this long.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(300);

/// What `status` says of the identity.
#[derive(Clone)]
pub(super) struct About {
    pub(super) agent: AgentId,
    /// Nanoseconds since the epoch.
    pub(super) certificate_end: Arc<AtomicI64>,
    /// Configurations that were not taken: signed by somebody else, for another session or another host, or not to be read.
    pub(super) configurations_refused: Arc<AtomicU64>,
}

/// Key, certificate and what is under way about them.
pub(super) struct AgentIdentity {
    identity: Identity,
    about: About,
    writer: Writer,
    store: IdentityStore,
    proven: ProvenTime,
    renewing: Option<(Renewing, Instant)>,
    stored_at: Option<Instant>,
    configured: watch::Sender<Option<(Signed, Document)>>,
}

impl AgentIdentity {
    pub(super) fn new(identity: Identity, store: IdentityStore, writer: Writer, now: Instant) -> Self {
        let proven = ProvenTime::new(store.proven(), now);
        let end = Arc::new(AtomicI64::new(identity.certificate().not_after.0));
        let about = About { agent: identity.agent(), certificate_end: end, configurations_refused: Arc::default() };
        Self {
            identity,
            about,
            writer,
            store,
            proven,
            renewing: None,
            stored_at: None,
            configured: watch::Sender::new(None),
        }
    }

    pub(super) fn agent(&self) -> AgentId {
        self.identity.agent()
    }

    /// The id and, kept up to date, the end of the certificate.
    pub(super) fn about(&self) -> About {
        self.about.clone()
    }

    /// What the fleet says that this agent is to do, as it comes.
    pub(super) fn configurations(&self) -> watch::Receiver<Option<(Signed, Document)>> {
        self.configured.subscribe()
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }
}

impl uplink::Identity for AgentIdentity {
    fn tls(&self) -> Result<ClientTls, String> {
        self.identity.tls(self.proven.clone()).map_err(|error| error.to_string())
    }

    fn renewal(&mut self, forced: bool) -> Option<RenewRequest> {
        let now = Instant::now();
        let under_way = self.renewing.as_ref().is_some_and(|(_, since)| now < *since + RENEWAL_PATIENCE);
        let due = !under_way && self.identity.renewal_due(self.proven.now(now));
        if !forced && !due {
            return None;
        }
        match Renewing::start() {
            Ok(renewing) => {
                let request = renewing.request().clone();
                self.renewing = Some((renewing, now));
                Some(request)
            }
            Err(error) => {
                tracing::error!(%error, "the certificate cannot be renewed; it is tried again");
                None
            }
        }
    }

    fn renewed(&mut self, reply: Reply) -> Result<(), String> {
        let Some((renewing, _)) = self.renewing.take() else { return Err("nobody asked for it".to_owned()) };
        shared::fault::point("renew.reply");
        let renewed = renewing.finish(&self.store, &self.identity, reply).map_err(|error| error.to_string())?;
        tracing::info!(until = %renewed.certificate().not_after, "the certificate was renewed");
        self.about.certificate_end.store(renewed.certificate().not_after.0, Ordering::Relaxed);
        self.identity = renewed;
        Ok(())
    }

    fn trust(&mut self, bundle: TrustBundle) -> Result<(), String> {
        self.proven(bundle.time);
        match self.identity.trust(&bundle, &self.store) {
            Ok(Some(changed)) => {
                tracing::info!("the trusted authorities changed");
                self.identity = changed;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn configured(&mut self, config: Value, challenge: u64) -> Result<(), String> {
        let opened = serde_json::from_value(config).map_err(|error| error.to_string()).and_then(|signed: Signed| {
            let document = signed.open(self.agent(), challenge, &self.identity.authority_keys());
            document.map(|document| (signed, document)).map_err(|error| error.to_string())
        });
        let (signed, document) = opened.inspect_err(|_| {
            self.about.configurations_refused.fetch_add(1, Ordering::Relaxed);
        })?;
        self.configured.send_replace(Some((signed, document)));
        Ok(())
    }

    fn proven(&mut self, time: Timestamp) {
        let now = Instant::now();
        let Some(latest) = self.proven.prove(time, now) else { return };
        if self.stored_at.is_some_and(|at| now < at + PROVEN_INTERVAL) {
            return;
        }
        match self.store.store_proven(latest) {
            Ok(()) => self.stored_at = Some(now),
            Err(error) => tracing::warn!(%error, "the proven time could not be stored"),
        }
    }
}
