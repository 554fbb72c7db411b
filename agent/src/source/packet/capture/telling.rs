//! What was understood on its way to the spool: what is wanted is kept, what the host knows is added, what finds no room
//! is counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::fleet::Protocol;
use shared::identity::Lane;
use shared::record::Value;
use shared::time::{Clock, Timestamp};

use super::super::dissect::{NetworkClass, Told};
use super::super::meter;
use super::{PacketConfig, ROOM_PATIENCE};
use crate::handover::{Outlet, Records, SourceIndex, Untaken};

/// Records on their way.
pub(super) struct Telling {
    wanted: Vec<Protocol>,
    source: SourceIndex,
    lane: Lane,
    log_name: Arc<str>,
    clock: Clock,
    records: Records,
    /// Until when a full lane is waited for, however often; none: each time for [`ROOM_PATIENCE`].
    deadline: Option<Instant>,
    /// The lane had no room the last time.
    was_full: bool,
    stopped: bool,
    handed_over: (u64, u64, Option<Timestamp>),
    lost: u64,
}

/// What a record is, for `protocols`. A flow has traffic, ARP its operation; of this class only TLS and QUIC are left.
fn protocol(told: &Told) -> Protocol {
    let has = |name: &str| told.fields.iter().any(|(key, _)| key == name);
    let is_arp = || {
        let named =
            |(key, value): &(String, Value)| key == "app_protocol_name" && *value == Value::String("arp".into());
        told.fields.iter().any(named) && !has("start_time")
    };
    match told.class {
        NetworkClass::DnsActivity => Protocol::Dns,
        NetworkClass::HttpActivity => Protocol::Http,
        NetworkClass::DhcpActivity => Protocol::Dhcp,
        NetworkClass::SshActivity => Protocol::Ssh,
        NetworkClass::NetworkActivity if is_arp() => Protocol::Arp,
        NetworkClass::NetworkActivity if !has("traffic.packets") => Protocol::Tls,
        _ => Protocol::Flow,
    }
}

impl Telling {
    pub(super) fn new(config: &PacketConfig, source: SourceIndex, clock: &Clock) -> Self {
        let (lane, log_name) = (config.lane, Arc::<str>::from(config.interface.as_str()));
        Self {
            wanted: config.protocols.clone(),
            source,
            lane,
            records: Records::new(source, lane, clock.now(), Arc::clone(&log_name)),
            log_name,
            clock: clock.clone(),
            deadline: None,
            was_full: false,
            stopped: false,
            handed_over: (0, 0, None),
            lost: 0,
        }
    }

    /// Takes what was understood.
    pub(super) fn take(&mut self, told: Told, outlet: &mut dyn Outlet) {
        if !self.wanted.contains(&protocol(&told)) {
            return;
        }
        let mut fields = meter::fields(told);
        self.add_what_the_host_knows(&mut fields);
        self.push(fields, outlet);
    }

    /// The one place in which a record gets what only the host can say of it, before it is handed over: on which
    /// interface it was seen. The process of a flow it has from the meter.
    fn add_what_the_host_knows(&mut self, fields: &mut Vec<(String, Value)>) {
        if &*self.log_name != super::ANY {
            fields.push(("unmapped.interface".to_owned(), Value::String(self.log_name.to_string())));
        }
    }

    /// Takes a record as it is.
    pub(super) fn push(&mut self, fields: Vec<(String, Value)>, outlet: &mut dyn Outlet) {
        if self.records.is_empty() {
            self.records.read_at = self.clock.now();
        }
        self.records.push(fields);
        if self.records.is_full() {
            self.hand_over(outlet);
        }
    }

    /// Hands over what there is; whether it was taken.
    pub(super) fn hand_over(&mut self, outlet: &mut dyn Outlet) -> bool {
        if self.records.is_empty() {
            return true;
        }
        let now = self.clock.now();
        let next = Records::new(self.source, self.lane, now, Arc::clone(&self.log_name));
        let records = std::mem::replace(&mut self.records, next);
        let (count, bytes) = (records.len() as u64, records.bytes() as u64);
        let patience = match self.deadline {
            Some(deadline) => deadline.saturating_duration_since(self.clock.instant()),
            None if self.was_full => Duration::ZERO,
            None => ROOM_PATIENCE,
        };
        let taken = outlet.records(records, patience);
        match taken {
            Ok(()) => {
                let (records, all_bytes, _) = self.handed_over;
                self.handed_over = (records + count, all_bytes + bytes, Some(now));
            }
            Err(Untaken::Full) => {
                if !self.was_full {
                    tracing::warn!(records = count, "the lane is full: records are lost, and counted");
                }
                self.lost += count;
            }
            Err(Untaken::Stopped(_)) => {
                self.lost += count;
                self.stopped = true;
            }
        }
        self.was_full = taken.is_err();
        taken.is_ok()
    }

    /// From now on a full lane is waited for `patience` in all.
    pub(super) fn wait_for(&mut self, patience: Duration) {
        self.deadline = (patience > ROOM_PATIENCE).then(|| self.clock.instant() + patience);
    }

    /// Records and bytes that were taken, and when the last was.
    pub(super) fn handed_over(&self) -> (u64, u64, Option<Timestamp>) {
        self.handed_over
    }

    /// Records that found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// The outlet takes no more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }
}
