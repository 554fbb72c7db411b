//! `picket-aggregator run`: builds the stages, joins them, and takes them down in the order of the path.
//!
//! Stop enters at the mouth: ingest ends and acks what the journal has; the journal commits, cuts its last block and
//! ends; each sink reads to the end and commits. A second signal exits now: everything here is built for that.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shared::batch::HostContext;
use shared::durable::Writer;
use shared::exit::{Exit, Reason};
use shared::identity::{AgentId, ChainId};
use shared::protocol::{ChainState, Chains};
use shared::stop::{Stage, Stop};
use shared::supervisor::Supervisor;
use shared::time::Clock;
use shared::tls::{RENEW_GRACE, Revocations, ServerCertificate, ServerSettings, server_config};

use crate::admin::http::{self, Surface};
use crate::admin::report::StatusReport;
use crate::admin::socket::{self, OpenSession, Reply, Request, Revoked};
use crate::ca::enrollment::Enrollment;
use crate::ca::lock::{LockError, StateLock};
use crate::ca::roster::Roster;
use crate::ca::signature::Signer;
use crate::ca::token::Tokens;
use crate::ca::{Authority, Server};
use crate::config::{Config, Delivery, SinkConfig, Texts};
use crate::directory::Directory;
use crate::fleet::FleetFile;
use crate::ingest::{Arrival, Ingest, IngestConfig, IngestHandle, Journal, JournalClosed};
use crate::journal::{JournalConfig, JournalHandle, JournalRequest, JournalThread, Received};
use crate::pipeline::counters::SinkCounters;
use crate::pipeline::replay::{Replay, ReplayError, Replays};
use crate::pipeline::{Configurations, SinkSetup, SinkThread};
use reload::Reloader;

mod notices;
pub mod reload;
mod watch;

/// The server's certificate is looked at this often.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(3_600);

fn exit(reason: Reason) -> impl Fn(String) -> Exit {
    move |message| Exit::new(reason, message)
}

/// The journal as ingest sees it.
#[derive(Clone)]
struct Mouth(JournalHandle);

impl Chains for Mouth {
    fn state(&self, chain: ChainId) -> Option<ChainState> {
        self.0.chains().state(chain)
    }
}

impl Journal for Mouth {
    async fn append(&self, arrival: Arrival) -> Result<(), JournalClosed> {
        let Arrival { entry, received_at, peer, serial, receipt } = arrival;
        let received = Received { at: received_at, peer, serial: serial.0.to_vec() };
        let request = JournalRequest { entries: vec![entry], received, done: Box::new(move || receipt.committed()) };
        if self.0.append(request) { Ok(()) } else { Err(JournalClosed) }
    }
}

/// Everything that was read from the state folder.
struct State {
    server: Server,
    certificate: Arc<ServerCertificate>,
    enrollment: Arc<Enrollment>,
    revocations: Revocations,
    writer: Writer,
    /// Held for as long as the program runs.
    _lock: StateLock,
}

fn open_state(dir: &Path) -> Result<State, Exit> {
    let hint = |error: String| {
        Exit::new(Reason::CannotCreate, format!("{error}; make a state folder with `picket-aggregator init`"))
    };
    let writer = Writer::for_owner_of(dir).map_err(|error| hint(error.to_string()))?;
    let lock = StateLock::take(dir, &writer).map_err(|error| match error {
        LockError::Held { .. } => Exit::new(Reason::CannotCreate, error.to_string()),
        LockError::File(error) => hint(error.to_string()),
    })?;
    let authority = Authority::load(dir).map_err(|error| hint(error.to_string()))?;
    let server = Server::load(dir).map_err(|error| hint(error.to_string()))?;
    let revocations = Revocations::default();
    let io = exit(Reason::Io);
    let roster = Roster::open(dir, writer, revocations.clone(), &lock).map_err(|error| io(error.to_string()))?;
    let found = roster.found();
    if found.damaged_lines > 0 {
        tracing::error!(
            ?found,
            "lines of the roster do not read; one of them may have been a revocation: check `agents list`"
        );
    }
    let tokens = Tokens::open(dir, authority.key_hash(), writer).map_err(|error| io(error.to_string()))?;
    let certificate =
        ServerCertificate::new(&server.credentials).map_err(|error| exit(Reason::Config)(error.to_string()))?;
    let enrollment = Arc::new(Enrollment::new(authority, tokens, roster));
    Ok(State { server, certificate: Arc::new(certificate), enrollment, revocations, writer, _lock: lock })
}

/// How the journal is set up; its seals are signed with `signer`.
pub(crate) fn journal_config(config: &Config, aggregator: AgentId, signer: Signer) -> JournalConfig {
    JournalConfig {
        dir: config.journal_dir(),
        max_bytes: config.journal.max_bytes,
        retain: config.journal.retain,
        block_interval: config.journal.block_interval,
        aggregator,
        host: host_context(),
        signer: Arc::new(signer),
        floor: furthest_cursor(config),
    }
}

fn host_context() -> HostContext {
    let uname = rustix::system::uname();
    HostContext {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: uname.nodename().to_string_lossy().into_owned(),
        kernel_release: uname.release().to_string_lossy().into_owned(),
        ..HostContext::default()
    }
}

fn sink_setups(config: &Config, directory: &Directory) -> Vec<SinkSetup> {
    let setup = |sink: &SinkConfig| SinkSetup {
        name: sink.name.clone(),
        target: sink.target.clone(),
        commit_interval: sink.commit_interval,
        required: sink.delivery == Delivery::Required,
        directory: directory.clone(),
    };
    config.sinks.iter().map(setup).collect()
}

/// The furthest cursor of the sinks. One that cannot be read now is held against the journal when its sink opens.
fn furthest_cursor(config: &Config) -> u64 {
    config.sinks.iter().filter_map(|sink| sink.target.peek().ok()).max().unwrap_or(0)
}

fn start_sinks(
    setups: Vec<SinkSetup>,
    journal: &JournalHandle,
    configurations: &Arc<Configurations>,
    stop: &Stop,
    clock: &Clock,
) -> std::io::Result<(Vec<SinkThread>, Vec<Arc<SinkCounters>>)> {
    let (mut threads, mut counters) = (Vec::new(), Vec::new());
    for setup in setups {
        let books = Arc::new(SinkCounters::new(&setup.name));
        let (configurations, told) = (Arc::clone(configurations), Arc::clone(&books));
        threads.push(SinkThread::start(setup, journal.clone(), configurations, told, stop.clone(), clock.clone())?);
        counters.push(books);
    }
    Ok((threads, counters))
}

/// What was in force when, kept in the state folder.
fn configurations(config: &Config, path: &Path, writer: Writer) -> Result<Configurations, Exit> {
    let path = path.to_owned();
    let read = move |bytes: &[u8]| Texts::downstream(&path, bytes);
    Configurations::open(&config.state_dir, writer, Box::new(read)).map_err(|error| exit(Reason::Io)(error.to_string()))
}

/// What the hosts of the roster call themselves, those of revoked agents left out.
fn watched_names(enrollment: &Arc<Enrollment>) -> watch::Names {
    let enrollment = Arc::clone(enrollment);
    Box::new(move |agent| match enrollment.roster().book().agent(agent) {
        Some(entry) if entry.revoked.is_some() => None,
        Some(entry) => Some(entry.hostname.clone()),
        None => Some(String::new()),
    })
}

/// Runs until a signal. `file` is where the configuration was read, and its bytes.
///
/// # Errors
/// What keeps the program from starting, with its exit code.
pub fn run(config: &Config, file: (&Path, &[u8])) -> Result<(), Exit> {
    let clock = Clock::System;
    let (texts, downstream) =
        Texts::of(config, file.0, file.1).map_err(|problems| exit(Reason::Config)(problems.join("\n")))?;
    let state = open_state(&config.state_dir)?;
    let stop = Stop::new();
    let sinks_stop = Stop::new();
    let io = |error: std::io::Error| Exit::new(Reason::Io, error.to_string());
    let signer = state.enrollment.authority().signer().map_err(|error| exit(Reason::Config)(error.to_string()))?;
    let journal_config = journal_config(config, state.server.id, signer);
    let configurations = Arc::new(configurations(config, file.0, state.writer)?);
    let newest = configurations.newest().unwrap_or_default();
    let journal = JournalThread::start(journal_config, newest, clock.clone()).map_err(io)?;
    let handle = journal.handle();
    let config_state = reload::begin((&texts, downstream), &configurations, &handle, &clock)
        .map_err(|error| exit(Reason::Io)(error.to_string()))?;
    let setups = sink_setups(config, state.enrollment.directory());
    let (sinks, counters) = start_sinks(setups.clone(), &handle, &configurations, &sinks_stop, &clock).map_err(io)?;
    if !config.sinks.iter().any(|sink| sink.delivery == Delivery::Required) {
        // Nobody waits for anything: segments go by their age.
        handle.passed("nobody", u64::MAX);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().min(4)))
        .enable_all()
        .thread_name("ingest")
        .build()
        .map_err(io)?;
    let replays = config.state_dir.join("replays");
    let known = (setups, Arc::clone(&configurations));
    let replays = Replays::open(&replays, state.writer, handle.clone(), known, stop.clone(), clock.clone())
        .map_err(|error| Exit::new(Reason::Io, error.to_string()))?;
    let reloader = Reloader {
        path: file.0.to_owned(),
        sinks: config.sinks.clone(),
        parsers: config.parsers.clone(),
        configurations,
        journal: handle.clone(),
        state: config_state,
        clock: clock.clone(),
        supervisor: Arc::new(Supervisor::of_this_process()),
    };
    let names = watched_names(&state.enrollment);
    let watch = watch::WatchThread::start(handle.clone(), names, stop.clone(), clock.clone()).map_err(io)?;
    let running = Running { journal: handle.clone(), counters, replays: replays.clone(), reloader };
    let served = runtime.block_on(serve(config, &state, running, &stop, &clock));
    runtime.shutdown_timeout(Duration::from_secs(1));
    replays.join();
    // Also where nobody could be served at all.
    stop.raise(Stage::Draining);
    watch.join();
    drop(replays);
    drop(handle);
    // Only now may the sinks take the end of the journal for the end of everything.
    journal.stop();
    sinks_stop.raise(Stage::Draining);
    if stop.stage() == Stage::Now {
        sinks_stop.raise(Stage::Now);
    }
    sinks.into_iter().for_each(SinkThread::join);
    served
}

/// What runs beside the sessions.
struct Running {
    journal: JournalHandle,
    counters: Vec<Arc<SinkCounters>>,
    replays: Replays,
    reloader: Reloader,
}

async fn serve(config: &Config, state: &State, running: Running, stop: &Stop, clock: &Clock) -> Result<(), Exit> {
    let journal = &running.journal;
    let authorities =
        state.enrollment.authority().trusted().map_err(|error| exit(Reason::Config)(error.to_string()))?;
    let tls = server_config(ServerSettings {
        authorities,
        certificate: Arc::clone(&state.certificate),
        revocations: state.revocations.clone(),
        renew_grace: RENEW_GRACE,
        clock: clock.clone(),
    })
    .map_err(|error| exit(Reason::Config)(error.to_string()))?;
    let unavailable = |what: &str, at: &dyn std::fmt::Display, error: &dyn std::fmt::Display| {
        Exit::new(Reason::Unavailable, format!("cannot listen on {at} for {what}: {error}"))
    };
    let mut ingest_config = IngestConfig::new(config.listen, state.server.id, tls);
    ingest_config.reset_secret = reset_secret(&state.server);
    let fleet = fleet_file(config, state, clock)?;
    ingest_config.steering = fleet.as_ref().map(FleetFile::steering);
    let notify = notices::teller(journal.clone(), clock.clone());
    let (enrollment, revocations) = (Arc::clone(&state.enrollment), state.revocations.clone());
    let ingest = Ingest::bind(ingest_config, Mouth(journal.clone()), enrollment, revocations, notify)
        .map_err(|error| unavailable("agents", &config.listen, &error))?;
    let handle = ingest.handle();
    let listening: SocketAddr = ingest.local_addr().map_err(|error| unavailable("agents", &config.listen, &error))?;
    let surface = Surface {
        journal: journal.clone(),
        ingest: handle.clone(),
        sinks: running.counters.clone(),
        enrollment: Arc::clone(&state.enrollment),
        config: Arc::clone(&running.reloader.state),
        fleet: fleet.clone(),
    };
    let http_listener = http::bind(config.http).await.map_err(|error| unavailable("metrics", &config.http, &error))?;
    let admin_listener = socket::bind(&config.socket, &config.state_dir)
        .map_err(|error| unavailable("commands", &config.socket.display(), &error))?;
    let handler = admin_handler(state, handle, surface.clone(), running.replays.clone(), clock.clone());
    tracing::info!(agents = %listening, http = %config.http, socket = %config.socket.display(), id = %state.server.id, "ready");
    watch_signals(stop.clone()).map_err(|error| Exit::new(Reason::Internal, error.to_string()))?;
    let supervisor = Arc::clone(&running.reloader.supervisor);
    supervisor.ready(&format!("listening on {listening}"));
    tokio::spawn(keep_supervisor(Arc::clone(&supervisor), stop.clone()));
    tokio::spawn(http::serve(http_listener, surface, stop.clone()));
    let admin = socket::serve(admin_listener, handler, stop.clone());
    tokio::spawn(async move {
        if let Err(error) = admin.await {
            tracing::error!(%error, "commands are not answered any more");
        }
    });
    tokio::select! {
        () = ingest.run(stop.clone()) => {}
        () = keep_certificate(config, state, clock) => {}
        () = running.reloader.run() => {}
        () = watch_fleet(fleet) => {}
        _ = stop.reached(Stage::Now) => {}
    }
    supervisor.stopping();
    Ok(())
}

/// The fleet file, if aggregator.yaml names one.
fn fleet_file(config: &Config, state: &State, clock: &Clock) -> Result<Option<Arc<FleetFile>>, Exit> {
    let Some(path) = &config.fleet else { return Ok(None) };
    let enrollment = Arc::clone(&state.enrollment);
    let signer = enrollment.authority().signer().map_err(|error| exit(Reason::Config)(error.to_string()))?;
    Ok(Some(FleetFile::open(path, signer, enrollment, clock.clone())))
}

async fn watch_fleet(fleet: Option<Arc<FleetFile>>) {
    match fleet {
        Some(fleet) => fleet.run().await,
        None => std::future::pending().await,
    }
}

/// Feeds the watchdog from the runtime that sessions run on, until the program stops.
async fn keep_supervisor(supervisor: Arc<Supervisor>, stop: Stop) {
    let mut ticks = tokio::time::interval(supervisor.interval());
    while !stop.requested() {
        ticks.tick().await;
        supervisor.look();
    }
    supervisor.stopping();
}

/// A secret that the next run knows too, until the server's certificate is made anew.
fn reset_secret(server: &Server) -> [u8; 32] {
    shared::tls::sha256(&[b"picket quic reset".as_slice(), &server.credentials.key].concat())
}

/// Answers the commands that need the running program.
fn admin_handler(
    state: &State,
    ingest: IngestHandle,
    surface: Surface,
    replays: Replays,
    clock: Clock,
) -> socket::Handler {
    let enrollment = Arc::clone(&state.enrollment);
    Arc::new(move |request| match request {
        Request::Revoke { agent, reason } => match enrollment.revoke(&agent, &reason, clock.now()) {
            Ok((agent, outcome)) => {
                ingest.revoked(agent);
                Reply::ok(&Revoked { agent, outcome })
            }
            Err(error) => Reply::error(Reason::Data, error),
        },
        Request::Sessions => {
            let sessions = ingest.sessions().into_iter();
            let open =
                sessions.map(|session| OpenSession { agent: session.agent, peer: session.peer, since: session.since });
            Reply::ok(&open.collect::<Vec<_>>())
        }
        Request::Agents => Reply::ok(&surface.agents()),
        Request::Replay(plan) => reply(replays.start(plan)),
        Request::Replays => Reply::ok(&replays.list()),
        Request::CancelReplay { id } => reply(replays.cancel(&id)),
        Request::Reduction => Reply::ok(&surface.reduction()),
        Request::Status => Reply::ok(&StatusReport::of(&surface)),
    })
}

fn reply(replay: Result<Replay, ReplayError>) -> Reply {
    let error = match replay {
        Ok(replay) => return Reply::ok(&replay),
        Err(error) => error,
    };
    let reason = match &error {
        ReplayError::Busy { .. } | ReplayError::Stopping => Reason::Unavailable,
        ReplayError::NoSink { .. } | ReplayError::Empty | ReplayError::NotRunning { .. } => Reason::Data,
        ReplayError::File(_) => Reason::Io,
        ReplayError::Thread(_) => Reason::Internal,
    };
    Reply::error(reason, error)
}

/// Makes the server's certificate anew when two thirds of its life are over, while the program runs.
async fn keep_certificate(config: &Config, state: &State, clock: &Clock) {
    let mut server = state.server.clone();
    let mut ticks = tokio::time::interval(CERTIFICATE_CHECK);
    loop {
        ticks.tick().await;
        if !server.due(clock.now()) {
            continue;
        }
        let names = server.certificate.names.clone();
        let made = server.reissue(state.enrollment.authority(), &names, &config.state_dir, &state.writer, clock.now());
        match made {
            Ok(made) => match state.certificate.replace(&made.credentials) {
                Ok(()) => {
                    tracing::info!(until = %made.certificate.not_after, "the server's certificate was made anew");
                    server = made;
                }
                Err(error) => tracing::error!(%error, "the new server certificate cannot be used; the old one stays"),
            },
            Err(error) => {
                tracing::error!(%error, "the server's certificate cannot be made anew; it is tried again within the hour")
            }
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
                _ => tracing::info!("stopping: what was received is committed first; a second signal ends at once"),
            }
        }
    });
    Ok(())
}
