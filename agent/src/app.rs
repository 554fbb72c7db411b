//! `picket-agent run`: builds the stages, joins them, and takes them down in the order of the path.
//!
//! One current-thread runtime for uplink, commands and signals; one thread per source, one for the spool. Stop enters
//! at the mouth: sources end, the spool seals and commits what is held, the uplink gets a moment to deliver it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::batch::{HostContext, Origin};
use shared::durable::Writer;
use shared::exit::{Exit, Reason};
use shared::fleet::document::{Document, Signed};
use shared::fleet::{AgentConfig, From, OnFull as FleetOnFull, SourceKind, Unavailable};
use shared::identity::Lane;
use shared::record::LossReason;
use shared::stop::{Stage, Stop};
use shared::supervisor::Supervisor;
use shared::time::Clock;
use shared::yaml::{LoadError, Place};
use tokio::sync::watch;

use crate::admin;
use crate::config::{self, Config};
use crate::enroll::IdentityStore;
use crate::handover::{Checkpoints, Loss, LossUnit, Outlet, SourceIndex};
use crate::limits::Governor;
use crate::own_traffic::OwnTraffic;
use crate::source::file::{FileConfig, StartAt};
use crate::source::host::{HostConfig, Table};
use crate::source::integrity::IntegrityConfig;
use crate::source::packet::capture::PacketConfig;
use crate::source::{Kind, SourceConfig, Sources};
use crate::spool::{OnFull, Spool, SpoolConfig, SpoolPort};
use crate::steering::{ConfigStatus, Kept, Refused};
use crate::uplink::{UplinkConfig, UplinkStatus};

mod governing;
mod identity;
mod port;
mod reload;
mod steer;
mod teller;

use identity::AgentIdentity;
use steer::{SharedSources, Steersman};
use teller::Teller;

/// A spool that cannot be opened (a full disk, no permission) is tried again this often.
const SPOOL_RETRY: Duration = Duration::from_secs(5);
/// Sources that do not end by then are left behind, and named.
const SOURCES_PATIENCE: Duration = Duration::from_secs(5);
/// The aggregator is told this often how the agent is.
const TELL_INTERVAL: Duration = Duration::from_secs(10);
/// At a stop the uplink may deliver for this long what was sealed last.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

fn read_word(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// `PRETTY_NAME` of os-release(5).
fn os_name() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// Minutes east of UTC of the host's local time, now.
fn utc_offset_minutes() -> i32 {
    jiff::tz::TimeZone::system().to_offset(jiff::Timestamp::now()).seconds() / 60
}

fn host_context(config: &Config, config_hash: &str) -> HostContext {
    HostContext {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: config.hostname.clone(),
        boot_id: read_word("/proc/sys/kernel/random/boot_id"),
        utc_offset_minutes: utc_offset_minutes(),
        config_hash: config_hash.to_owned(),
        os_name: os_name(),
        kernel_release: read_word("/proc/sys/kernel/osrelease"),
    }
}

/// The table of sources, in the order of the fleet file's names.
fn sources(fleet: &AgentConfig, state_dir: &Path) -> Vec<SourceConfig> {
    let source = |source: &shared::fleet::Source| {
        let kind = match &source.kind {
            SourceKind::File(file) => Kind::File(FileConfig {
                include: file.include.clone(),
                exclude: file.exclude.clone(),
                from: match file.from {
                    From::Beginning => StartAt::Beginning,
                    From::End => StartAt::End,
                },
                line_bytes_max: file.max_line_bytes,
                redact: file.redact.clone(),
                format: file.format.clone(),
                lane: file.lane,
            }),
            SourceKind::Host(host) => Kind::Host(HostConfig {
                root: PathBuf::from("/"),
                interval: host.interval,
                full_inventory: host.full_inventory,
                tables: host.tables.iter().filter_map(|name| Table::of_name(name)).collect(),
                metrics: host.metrics,
                lane: host.lane,
            }),
            SourceKind::Packet(packet) => Kind::Packet(PacketConfig {
                interface: packet.interface.clone(),
                filter: packet.filter.clone(),
                snap_length: packet.snap_length,
                buffer_bytes: packet.buffer_bytes,
                promiscuous: packet.promiscuous,
                protocols: packet.protocols.clone(),
                flows_max: packet.flows_max,
                update_interval: packet.update_interval,
                lane: packet.lane,
            }),
            SourceKind::Integrity(integrity) => Kind::Integrity(IntegrityConfig {
                paths: integrity.paths.clone(),
                exclude: integrity.exclude.clone(),
                interval: integrity.interval,
                hash_bytes_max: integrity.hash_bytes_max,
                watch_max: integrity.watch_max,
                cpu_percent: integrity.cpu_percent,
                lane: integrity.lane,
                state_dir: state_dir.to_owned(),
            }),
        };
        SourceConfig { name: source.name.clone(), kind }
    };
    fleet.sources.iter().map(source).collect()
}

fn on_full(fleet: &AgentConfig) -> [OnFull; 3] {
    fleet.spool.on_full.map(|on_full| match on_full {
        FleetOnFull::Block => OnFull::Block,
        FleetOnFull::DropOldest => OnFull::DropOldest,
    })
}

/// What frames say of sources, by their number.
fn origins(sources: impl Iterator<Item = (SourceIndex, SourceConfig)>) -> Vec<Origin> {
    let mut origins = Vec::new();
    for (SourceIndex(index), source) in sources {
        let index = usize::from(index);
        if origins.len() <= index {
            origins.resize(index + 1, Origin::default());
        }
        if let Some(origin) = origins.get_mut(index) {
            let (kind, format) = (source.type_name().to_owned(), source.format().to_owned());
            *origin = Origin { source: source.name, kind, format, ..Origin::default() };
        }
    }
    origins
}

fn spool_config(
    config: &Config,
    fleet: &AgentConfig,
    identity: &AgentIdentity,
    table: &[SourceConfig],
    config_hash: &str,
) -> SpoolConfig {
    SpoolConfig {
        dir: config.state_dir.join("spool"),
        max_bytes: fleet.spool.max_bytes,
        on_full: on_full(fleet),
        agent: identity.agent(),
        machine_id: read_word("/etc/machine-id"),
        host: host_context(config, config_hash),
        utc_offset_minutes,
        sources: origins((0..).map(SourceIndex).zip(table.iter().cloned())),
    }
}

/// Opens the spool; a disk that refuses is waited for.
fn open_spool(config: &SpoolConfig, stop: &Stop) -> Option<Spool> {
    let mut said = false;
    while !stop.requested() {
        match Spool::start(config.clone(), Clock::System) {
            Ok(spool) => return Some(spool),
            Err(error) => {
                if !said {
                    tracing::error!(dir = %config.dir.display(), %error, "the spool cannot be opened; nothing is read until it can");
                    said = true;
                }
                let _ = stop.wait_timeout(Stage::Draining, SPOOL_RETRY);
            }
        }
    }
    None
}

/// The right to change what is in a state folder, until dropped.
pub(crate) fn lock(state_dir: &Path, writer: &Writer) -> Result<std::fs::File, Exit> {
    use rustix::fs::{FlockOperation, flock};
    let path = state_dir.join("lock");
    let refuse = |error: String| Exit::new(Reason::CannotCreate, error);
    let file = writer.open_append(&path, shared::durable::PRIVATE).map_err(|error| refuse(error.to_string()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| refuse(format!("{} is held: another agent runs on this state folder", path.display())))?;
    Ok(file)
}

/// What the fleet file of the host's own says of it, and the file's SHA-256.
fn local_fleet(path: &Path, config: &Config) -> Result<(AgentConfig, String), LoadError> {
    let loaded = config::load_fleet(path, config)?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let bytes = std::fs::read(path).unwrap_or_default();
    let hash = shared::tls::sha256(&bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok((loaded.config, hash))
}

/// Runs until a signal, by the agent.yaml at `path`.
///
/// # Errors
/// What keeps the program from starting, with its exit code.
pub fn run(path: &Path) -> Result<(), Exit> {
    let config = &config::load(path)?.config;
    let store_error = |error: &dyn std::fmt::Display| Exit::new(Reason::Config, error.to_string());
    let writer = Writer::for_owner_of(&config.state_dir).map_err(|error| {
        Exit::new(Reason::CannotCreate, format!("{error}; enroll this host first: picket-agent enroll"))
    })?;
    let _lock = lock(&config.state_dir, &writer)?;
    let store = IdentityStore::new(&config.state_dir, writer);
    let identity = store.load().map_err(|error| store_error(&error))?.ok_or_else(|| {
        let text = "this host is not enrolled: get a token with `picket-aggregator token create` and run `picket-agent enroll`";
        Exit::new(Reason::Config, text)
    })?;
    let mut kept = Kept::load(&config.state_dir, writer);
    let (fleet, config_hash) = match &config.fleet {
        Some(path) => local_fleet(path, config)?,
        None => steered(&mut kept),
    };
    for source in &fleet.unavailable {
        tracing::warn!(source = source.name, "this version cannot run this source; see `picket-agent validate`");
    }
    let stop = Stop::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|error| Exit::new(Reason::Internal, error.to_string()))?;
    let identity = AgentIdentity::new(identity, store, writer, Instant::now());
    runtime.block_on(async {
        watch_signals(stop.clone()).map_err(|error| Exit::new(Reason::Internal, error.to_string()))?;
        let hangup = reload::hangup().map_err(|error| Exit::new(Reason::Internal, error.to_string()))?;
        let reloads = Reloads { path, hangup };
        agent(config, reloads, (&fleet, &config_hash), kept, identity, &stop).await
    })
}

/// What the fleet said last, if it works; nothing is read where it has said nothing yet.
fn steered(kept: &mut Kept) -> (AgentConfig, String) {
    let begun = kept.begin().unwrap_or_else(|error| {
        tracing::error!(%error, "back to the last configuration that worked");
        kept.good().cloned()
    });
    if kept.on_trial() {
        shared::fault::point("fleet.trying");
    }
    let read = |signed: &Signed| {
        let document: Document = serde_json::from_str(&signed.document).map_err(|error| error.to_string())?;
        document.read()
    };
    let Some(signed) = begun else {
        tracing::info!("the fleet has not said yet what to read; it is asked for with the first session");
        return (AgentConfig::default(), String::new());
    };
    let reason = match read(&signed) {
        Ok(config) => return (config, signed.hash()),
        Err(reason) => reason,
    };
    // Another version of the program kept it.
    tracing::error!(hash = signed.hash(), reason, "the kept configuration cannot be run");
    if kept.on_trial() {
        kept.give_up(Refused { hash: signed.hash(), reason });
    }
    let good = kept.good().and_then(|good| Some((read(good).ok()?, good.hash())));
    good.unwrap_or_else(|| {
        tracing::error!("no kept configuration can be run; the aggregator's next one holds");
        (AgentConfig::default(), String::new())
    })
}

/// What the uplink is told; the name of the configuration that runs, and what the agent says of itself, as they change.
fn uplink_config(
    config: &Config,
    (running, told): (watch::Receiver<String>, watch::Receiver<serde_json::Value>),
    own: OwnTraffic,
    governor: Governor,
) -> UplinkConfig {
    UplinkConfig {
        labels: config.labels.clone(),
        local_fleet: config.fleet.is_some(),
        running,
        told,
        aggregators: config.aggregators.clone(),
        hostname: config.hostname.clone(),
        boot_id: read_word("/proc/sys/kernel/random/boot_id"),
        own,
        governor,
    }
}

/// How the program hears that agent.yaml is to be read again.
struct Reloads<'a> {
    path: &'a Path,
    hangup: tokio::signal::unix::Signal,
}

async fn agent(
    config: &Config,
    reloads: Reloads<'_>,
    (fleet, config_hash): (&AgentConfig, &str),
    kept: Kept,
    identity: AgentIdentity,
    stop: &Stop,
) -> Result<(), Exit> {
    let clock = &Clock::System;
    let supervisor = Arc::new(Supervisor::of_this_process());
    let status = Arc::new(UplinkStatus::new(clock.clone()));
    let keeper = tokio::spawn(keep_supervisor(Arc::clone(&supervisor), Arc::clone(&status), stop.clone()));
    let (table, mut unavailable) = runnable(config, fleet);
    let spool_config = spool_config(config, fleet, &identity, &table, config_hash);
    let opening = (spool_config, stop.clone());
    let opened = tokio::task::spawn_blocking(move || open_spool(&opening.0, &opening.1)).await;
    let Ok(Some(spool)) = opened else { return Ok(()) };
    let checkpoints: Arc<dyn Checkpoints> = spool.checkpoints();
    say_crash(&spool, &table, clock);
    let own = OwnTraffic::default();
    let governor = Governor::new(clock.clone());
    governor.limit(&fleet.limits);
    let (started, failed) = Sources::start(&table, &checkpoints, clock, &own, &governor, |_| spool.outlet())
        .map_err(|error| Exit::new(Reason::Config, error.to_string()))?;
    unavailable.extend(failed.into_iter().map(|(name, reason)| {
        tracing::error!(source = name, reason, "this source does not run");
        Unavailable { name, place: Place::START, reason }
    }));
    let started = Arc::new(Mutex::new(Some(started)));
    let port = spool.port();
    let in_force = watch::Sender::new(ConfigStatus {
        running: if config.fleet.is_some() { String::new() } else { config_hash.to_owned() },
        groups: fleet.groups.clone(),
        on_trial: kept.on_trial(),
        refused: kept.refused().cloned(),
        unavailable,
    });
    let (say_running, running) = watch::channel(in_force.borrow().running.clone());
    let (tell, told) = watch::channel(serde_json::Value::Null);
    let uplink_config = uplink_config(config, (running, told), own, governor.clone());
    let uplink_stop = Stop::new();
    let teller = Teller {
        port: port.clone(),
        uplink: Arc::clone(&status),
        sources: Arc::clone(&started),
        about: identity.about(),
        config: config.clone(),
        in_force: in_force.subscribe(),
        clock: clock.clone(),
        governor: governor.clone(),
        began: clock.instant(),
    };
    let socket = admin::bind(&config.socket, identity.writer())
        .map_err(|error| Exit::new(Reason::CannotCreate, error.to_string()))?;
    let coming = identity.configurations();
    let steersman = Steersman {
        state_dir: config.state_dir.clone(),
        spool: &spool,
        port: port.clone(),
        sources: Arc::clone(&started),
        in_force: &in_force,
        kept,
        stop: stop.clone(),
        governor: governor.clone(),
    };
    let reloaded = watch::Sender::new(config.clone());
    let steering = async {
        match &config.fleet {
            Some(path) => steersman.run_local(path, reloaded.subscribe()).await,
            None => steersman.run(coming).await,
        }
    };
    let telling = keep_telling(&teller, in_force.subscribe(), (&tell, &say_running), &uplink_stop);
    let uplink = async {
        reload::hold_sessions(uplink_config, &port, identity, &status, &uplink_stop, reloaded.subscribe()).await;
    };
    let reloading = async {
        tokio::select! {
            () = reload::run(reloads.path, reloads.hangup, &reloaded, &supervisor) => {}
            _ = stop.reached(Stage::Draining) => {}
        }
    };
    tracing::info!(host = config.hostname, sources = table.len(), "running");
    supervisor.ready(&format!("{} sources", table.len()));
    let draining = async {
        stop.reached(Stage::Draining).await;
        supervisor.stopping();
        end_sources(&spool, &started).await;
        drain(&port).await;
        uplink_stop.raise(Stage::Draining);
    };
    let admin = async {
        if let Err(error) = admin::serve(socket, || teller.status(), &uplink_stop).await {
            tracing::error!(%error, "`status` is not answered any more");
        }
    };
    let governing = governing::keep(&governor, &port, &uplink_stop);
    tokio::join!(uplink, draining, admin, steering, telling, reloading, governing);
    keeper.abort();
    let _ = tokio::task::spawn_blocking(move || spool.stop()).await;
    Ok(())
}

/// The sources to run, and those that cannot.
fn runnable(config: &Config, fleet: &AgentConfig) -> (Vec<SourceConfig>, Vec<Unavailable>) {
    let mut table = sources(fleet, &config.state_dir);
    let mut unavailable = fleet.unavailable.clone();
    if config.fleet.is_none() {
        // What another version took must not keep this one from running the rest.
        table.retain(|source| match crate::source::check(source) {
            Ok(()) => true,
            Err(error) => {
                let (name, reason) = (source.name.clone(), error.to_string());
                unavailable.push(Unavailable { name, place: Place::START, reason });
                false
            }
        });
    }
    (table, unavailable)
}

/// Tells the uplink what the aggregator should know, when it changes and every now and then.
async fn keep_telling(
    teller: &Teller,
    mut in_force: watch::Receiver<ConfigStatus>,
    (tell, say_running): (&watch::Sender<serde_json::Value>, &watch::Sender<String>),
    stop: &Stop,
) {
    loop {
        let running = in_force.borrow_and_update().running.clone();
        say_running.send_replace(running);
        tell.send_replace(teller.word().await);
        tokio::select! {
            _ = in_force.changed() => {}
            () = tokio::time::sleep(TELL_INTERVAL) => {}
            _ = stop.reached(Stage::Draining) => return,
        }
    }
}

/// Tells the service manager how it goes, on the runtime that everything else here runs on: one that hangs says nothing.
async fn keep_supervisor(supervisor: Arc<Supervisor>, uplink: Arc<UplinkStatus>, stop: Stop) {
    let mut ticks = tokio::time::interval(supervisor.interval());
    let mut told = None;
    loop {
        ticks.tick().await;
        if stop.requested() {
            return;
        }
        if !supervisor.is_ready() {
            supervisor.starting("opening the spool");
            continue;
        }
        let uplink = uplink.snapshot();
        let now = match uplink.aggregator.filter(|_| uplink.connected) {
            Some(aggregator) => format!("connected to {aggregator}"),
            None => "no aggregator; what is seen is kept in the spool".to_owned(),
        };
        if supervisor.look() && told.as_ref() != Some(&now) {
            supervisor.status(&now);
            told = Some(now);
        }
    }
}

/// After a run without a clean end each source that cannot be rewound has lost what it had in hand.
fn say_crash(spool: &Spool, table: &[SourceConfig], clock: &Clock) {
    let Some(from) = spool.ended_badly() else { return };
    for (number, source) in table.iter().enumerate() {
        let (lane, path) = match &source.kind {
            Kind::Packet(packet) => (packet.lane, packet.interface.as_str()),
            Kind::Host(_) => (Lane::High, "host"),
            // What they had in hand they look at again.
            Kind::File(_) | Kind::Integrity(_) => continue,
        };
        let loss = Loss {
            source: SourceIndex(u16::try_from(number).unwrap_or(u16::MAX)),
            lane,
            reason: LossReason::Crash,
            path: path.into(),
            count: None,
            unit: LossUnit::Records,
            details: Vec::new(),
            from,
            to: clock.now(),
        };
        // The spool has just begun: it takes it.
        let _ = spool.outlet().loss(loss);
    }
}

/// Ends every source; those that do not end are left behind, and named.
async fn end_sources(spool: &Spool, started: &SharedSources) {
    spool.shut();
    let sources = started.lock().unwrap_or_else(PoisonError::into_inner).take();
    let ending = tokio::task::spawn_blocking(move || sources.map(|sources| sources.stop(SOURCES_PATIENCE)));
    if let Ok(Some(left)) = ending.await {
        left.iter().for_each(|source| tracing::warn!(source, "the source did not end and is left behind"));
    }
}

/// Seals what is held and waits until an aggregator has it, for a moment.
async fn drain(port: &SpoolPort) {
    let deadline = tokio::time::Instant::now() + DRAIN_PATIENCE;
    let mut changes = port.committed();
    port.flush().await;
    while let Some(status) = port.status().await {
        if status.lanes.values().all(|lane| lane.unacked_frames == 0) {
            return;
        }
        let pause = (tokio::time::Instant::now() + Duration::from_millis(20)).min(deadline);
        let _ = tokio::time::timeout_at(pause, changes.changed()).await;
        if tokio::time::Instant::now() >= deadline {
            return;
        }
    }
}

/// The first signal drains, the second ends at once.
#[expect(clippy::disallowed_methods, reason = "a second signal asks to leave everything as it is on disk, now")]
fn watch_signals(stop: Stop) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            match stop.signal() {
                Stage::Now => std::process::exit(0),
                _ => tracing::info!("stopping: what was read is committed first; a second signal ends at once"),
            }
        }
    });
    Ok(())
}
