//! Both ends of the wire: the real uplink and the real ingest, with a spool and a journal in memory.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent::config::Endpoint;
use agent::limits::Governor;
use agent::own_traffic::OwnTraffic;
use agent::uplink::{Identity, Spool, UplinkConfig, UplinkStatus};
use aggregator::ca::Authority;
use aggregator::ca::enrollment::Enrollment;
use aggregator::ca::lock::StateLock;
use aggregator::ca::roster::Roster;
use aggregator::ca::token::Tokens;
use aggregator::fleet::FleetFile;
use aggregator::ingest::{Arrival, Ingest, IngestConfig, IngestHandle, Journal, JournalClosed, Notice, Steering};
use picket_tests::harness::Place;
use shared::durable::Writer;
use shared::enroll::{Der, RenewRequest, Reply, TrustBundle};
use shared::frame::{
    COLUMN_TYPE_BYTES, Frame, FrameKind, GenesisNotice, GenesisReason, Opener, Place as FramePlace, Sealer,
};
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::protocol::{After, ChainState, ChainSummary, Chains, JournalEntry, PerLane, RejectReason};
use shared::stop::{Stage, Stop};
use shared::time::{Clock, Timestamp};
use shared::tls::{
    Authorities, ClientTls, Credentials, ProvenTime, RENEW_GRACE, Revocations, ServerCertificate, ServerSettings,
    server_config, session_client,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `holds`, looking again whenever a few milliseconds have passed.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    let mut look = tokio::time::interval(Duration::from_millis(5));
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        look.tick().await;
    }
}

/// A certificate request with a new key.
pub fn request() -> Der {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["web-1".to_owned()]).unwrap();
    Der(params.serialize_request(&key).unwrap().der().to_vec())
}

struct Chain {
    epoch: Epoch,
    frames: BTreeMap<u64, Frame>,
    acked: u64,
    acked_hash: FrameHash,
    acked_record: u64,
    next: u64,
    next_record: u64,
    head: FrameHash,
}

/// A spool in memory: one chain per lane, nothing is ever dropped.
#[derive(Clone)]
pub struct MemorySpool(Arc<SpoolInner>);

struct SpoolInner {
    agent: AgentId,
    lanes: Mutex<PerLane<Chain>>,
    sealer: Mutex<Sealer>,
    committed: watch::Sender<u64>,
}

impl MemorySpool {
    pub fn new(agent: AgentId) -> Self {
        let mut sealer = Sealer::new().unwrap();
        let lanes = PerLane::new(|lane| {
            let epoch = Epoch(7 + lane.index() as u64);
            let notice = GenesisNotice { reason: GenesisReason::NewSpool, previous: None };
            let genesis = sealer.genesis(ChainId { agent, lane, epoch }, Timestamp(0), &notice).unwrap();
            let head = genesis.hash();
            let (frames, zero) = (BTreeMap::from([(1, genesis)]), FrameHash::ZERO);
            Chain { epoch, frames, acked: 0, acked_hash: zero, acked_record: 1, next: 2, next_record: 1, head }
        });
        let (committed, _) = watch::channel(0);
        Self(Arc::new(SpoolInner { agent, lanes: Mutex::new(lanes), sealer: Mutex::new(sealer), committed }))
    }

    pub fn line(&self, lane: Lane, line: &str) {
        let mut lanes = self.0.lanes.lock().unwrap();
        let chain = lanes.of_mut(lane);
        let place = FramePlace {
            chain: ChainId { agent: self.0.agent, lane, epoch: chain.epoch },
            sequence: chain.next,
            first_record: chain.next_record,
            prev: chain.head,
            sealed_at: Timestamp(0),
        };
        let columns = [(9, COLUMN_TYPE_BYTES, line.as_bytes())];
        let frame = self.0.sealer.lock().unwrap().data(&place, 1, &columns).unwrap();
        chain.head = frame.hash();
        chain.next += 1;
        chain.next_record += 1;
        chain.frames.insert(place.sequence, frame);
        drop(lanes);
        self.0.committed.send_modify(|commits| *commits += 1);
    }

    pub fn is_acked(&self) -> bool {
        let lanes = self.0.lanes.lock().unwrap();
        Lane::ALL.into_iter().all(|lane| lanes.of(lane).acked + 1 == lanes.of(lane).next)
    }
}

impl Spool for MemorySpool {
    async fn summaries(&self) -> Vec<ChainSummary> {
        let lanes = self.0.lanes.lock().unwrap();
        let summary = |lane: Lane| {
            let chain = lanes.of(lane);
            ChainSummary {
                epoch: chain.epoch,
                lane,
                oldest: chain.acked + 1,
                prev_of_oldest: chain.acked_hash,
                oldest_record: chain.acked_record,
                next: chain.next,
                next_record: chain.next_record,
                head: chain.head,
                delivered: Vec::new(),
            }
        };
        Lane::ALL.map(summary).to_vec()
    }

    async fn next_frame(&self, lane: Lane, after: After) -> io::Result<Option<Frame>> {
        let lanes = self.0.lanes.lock().unwrap();
        let from = after.map_or(0, |(_, sequence)| sequence) + 1;
        Ok(lanes.of(lane).frames.range(from..).next().map(|(_, frame)| frame.clone()))
    }

    async fn hash_of(&self, lane: Lane, _: Epoch, sequence: u64) -> Option<FrameHash> {
        self.0.lanes.lock().unwrap().of(lane).frames.get(&sequence).map(Frame::hash)
    }

    fn acked(&self, lane: Lane, _: Epoch, through: u64, _: AgentId) {
        let mut lanes = self.0.lanes.lock().unwrap();
        let chain = lanes.of_mut(lane);
        let last = &chain.frames[&through];
        (chain.acked, chain.acked_hash, chain.acked_record) = (through, last.hash(), last.header().next_record());
        chain.frames = chain.frames.split_off(&(through + 1));
    }

    async fn reject(&self, lane: Lane, _: Epoch, sequence: u64, reason: RejectReason) {
        panic!("sequence {sequence} of lane {lane} was rejected: {reason:?}");
    }

    async fn fork(&self, lane: Lane, _: Epoch) {
        panic!("lane {lane} looks like a fork");
    }

    fn committed(&self) -> watch::Receiver<u64> {
        self.0.committed.subscribe()
    }
}

/// An identity that is given and stays.
#[derive(Clone)]
pub struct FixedIdentity {
    credentials: Credentials,
    authorities: Authorities,
    proven: ProvenTime,
    pub trusted: Arc<AtomicBool>,
    /// What to ask for, once.
    pub renewal: Arc<Mutex<Option<RenewRequest>>>,
    /// What came back.
    pub reply: Arc<Mutex<Option<Reply>>>,
    /// What the fleet said, and the challenge of the session.
    pub configured: Arc<Mutex<Vec<(serde_json::Value, u64)>>>,
}

impl Identity for FixedIdentity {
    fn tls(&self) -> Result<ClientTls, String> {
        let tls = session_client(&self.credentials, self.authorities.clone(), self.proven.clone());
        tls.map_err(|error| error.to_string())
    }

    fn renewal(&mut self, _: bool) -> Option<RenewRequest> {
        self.renewal.lock().unwrap().take()
    }

    fn renewed(&mut self, reply: Reply) -> Result<(), String> {
        *self.reply.lock().unwrap() = Some(reply);
        Ok(())
    }

    fn trust(&mut self, bundle: TrustBundle) -> Result<(), String> {
        assert_eq!(bundle.authorities.len(), 1);
        self.trusted.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn configured(&mut self, config: serde_json::Value, challenge: u64) -> Result<(), String> {
        self.configured.lock().unwrap().push((config, challenge));
        Ok(())
    }

    fn proven(&mut self, time: Timestamp) {
        assert!(time > Timestamp(0));
    }
}

#[derive(Default)]
struct JournalInner {
    states: HashMap<ChainId, ChainState>,
    lines: Vec<String>,
    held: Vec<Arrival>,
    holds: bool,
    dead: bool,
}

/// A journal in memory that syncs at once, or not before it is told to.
#[derive(Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<JournalInner>>);

impl JournalInner {
    fn commit(&mut self, arrival: Arrival) {
        let (chain, after) = (arrival.entry.chain(), arrival.entry.after());
        let JournalEntry::Frame { frame, before, .. } = &arrival.entry else { panic!("nothing is absent here") };
        assert_eq!(self.states.get(&chain).copied().unwrap_or(ChainState::EMPTY), *before, "entries follow on");
        if frame.header().kind == FrameKind::Data {
            let mut opener = Opener::default();
            let columns = frame.open(&mut opener).unwrap();
            self.lines.push(String::from_utf8(columns[0].2.to_vec()).unwrap());
        }
        self.states.insert(chain, after);
        arrival.receipt.committed();
    }
}

impl MemoryJournal {
    /// From now on arrivals are queued and not synced.
    pub fn hold(&self) {
        self.0.lock().unwrap().holds = true;
    }

    pub fn held(&self) -> usize {
        self.0.lock().unwrap().held.len()
    }

    /// Syncs what is queued, and everything from now on.
    pub fn sync(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.holds = false;
        for arrival in std::mem::take(&mut inner.held) {
            inner.commit(arrival);
        }
    }

    /// What is queued is gone, as in a crash; nothing more is taken before [`MemoryJournal::reopen`].
    pub fn lose(&self) {
        let mut inner = self.0.lock().unwrap();
        (inner.holds, inner.dead) = (false, true);
        inner.held.clear();
    }

    /// Takes arrivals again, behind what was synced.
    pub fn reopen(&self) {
        self.0.lock().unwrap().dead = false;
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().lines.clone()
    }
}

impl Chains for MemoryJournal {
    fn state(&self, chain: ChainId) -> Option<ChainState> {
        self.0.lock().unwrap().states.get(&chain).copied()
    }
}

impl Journal for MemoryJournal {
    async fn append(&self, arrival: Arrival) -> Result<(), JournalClosed> {
        let mut inner = self.0.lock().unwrap();
        if inner.dead {
            return Err(JournalClosed);
        }
        if inner.holds {
            inner.held.push(arrival);
        } else {
            inner.commit(arrival);
        }
        Ok(())
    }
}

/// An authority on disk and what an aggregator makes of it.
pub struct Home {
    place: Place,
    pub enrollment: Arc<Enrollment>,
    pub tokens: Tokens,
    pub revocations: Revocations,
    server: Credentials,
    pub journal: MemoryJournal,
    pub notices: Arc<Mutex<Vec<Notice>>>,
    steering: Option<Steering>,
}

/// A running aggregator's mouth.
pub struct Mouth {
    pub handle: IngestHandle,
    pub address: SocketAddr,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Home {
    pub fn new(name: &str) -> Self {
        let place = Place::new(name).unwrap();
        let (dir, now) = (place.path().to_owned(), Clock::System.now());
        let writer = Writer::for_owner_of(&dir).unwrap();
        let authority = Authority::generate(now).unwrap();
        let server = authority.issue_server(AgentId([0xa0; 16]), &["127.0.0.1".parse().unwrap()], now).unwrap();
        let tokens = Tokens::open(&dir, authority.key_hash(), writer).unwrap();
        let lock = StateLock::take(&dir, &writer).unwrap();
        let revocations = Revocations::default();
        let roster = Roster::open(&dir, writer, revocations.clone(), &lock).unwrap();
        let enrollment = Arc::new(Enrollment::new(authority, tokens.clone(), roster));
        let (journal, notices) = (MemoryJournal::default(), Arc::default());
        Self { place, enrollment, tokens, revocations, server, journal, notices, steering: None }
    }

    /// The identity of a new agent.
    pub fn agent(&self, agent: AgentId) -> FixedIdentity {
        let now = Clock::System.now();
        let key = rcgen::KeyPair::generate().unwrap();
        let public_key = rcgen::PublicKeyData::subject_public_key_info(&key);
        let leaf = self.enrollment.authority().issue_agent(agent, &public_key, now).unwrap();
        let credentials = Credentials { chain: vec![leaf.der], key: key.serialize_der() };
        let authorities = self.enrollment.authority().trusted().unwrap();
        let proven = ProvenTime::new(Timestamp(0), Instant::now());
        FixedIdentity {
            credentials,
            authorities,
            proven,
            trusted: Arc::default(),
            renewal: Arc::default(),
            reply: Arc::default(),
            configured: Arc::default(),
        }
    }

    /// A fleet file, watched, that steers whoever connects to what is opened from now on.
    pub fn steer(&mut self, fleet: &str) -> PathBuf {
        let path = self.place.at("fleet.yaml");
        std::fs::write(&path, fleet).unwrap();
        let signer = self.enrollment.authority().signer().unwrap();
        let file = FleetFile::open(&path, signer, Arc::clone(&self.enrollment), Clock::System);
        self.steering = Some(file.steering());
        tokio::spawn(async move { file.run().await });
        path
    }

    /// Listens on any port until stopped.
    pub fn open(&self) -> Mouth {
        self.open_at(0).unwrap()
    }

    /// Listens on `port` until stopped, if it is free.
    pub fn open_at(&self, port: u16) -> io::Result<Mouth> {
        let settings = ServerSettings {
            authorities: self.enrollment.authority().trusted().unwrap(),
            certificate: Arc::new(ServerCertificate::new(&self.server).unwrap()),
            revocations: self.revocations.clone(),
            renew_grace: RENEW_GRACE,
            clock: Clock::System,
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        let mut config = IngestConfig::new(listen, AgentId([0xa0; 16]), server_config(settings).unwrap());
        config.steering.clone_from(&self.steering);
        let notices = Arc::clone(&self.notices);
        let notify = Arc::new(move |notice| notices.lock().unwrap().push(notice));
        let (journal, enrollment) = (self.journal.clone(), Arc::clone(&self.enrollment));
        let ingest = Ingest::bind(config, journal, enrollment, self.revocations.clone(), notify)?;
        let (handle, address, stop) = (ingest.handle(), ingest.local_addr().unwrap(), Stop::new());
        let task = tokio::spawn(ingest.run(stop.clone()));
        Ok(Mouth { handle, address, stop, task })
    }
}

impl Mouth {
    pub fn endpoint(&self) -> Endpoint {
        self.address.to_string().parse().unwrap()
    }

    /// A clean stop.
    pub async fn stop(self) {
        self.stop.raise(Stage::Draining);
        self.task.await.unwrap();
    }
}

/// A running uplink.
pub struct Up {
    pub status: Arc<UplinkStatus>,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Up {
    pub fn start(aggregators: Vec<Endpoint>, spool: MemorySpool, mut identity: FixedIdentity) -> Self {
        let (status, stop) = (Arc::new(UplinkStatus::new(Clock::System)), Stop::new());
        let config = UplinkConfig {
            aggregators,
            hostname: "web-1".to_owned(),
            boot_id: "boot".to_owned(),
            own: OwnTraffic::default(),
            labels: BTreeMap::new(),
            local_fleet: false,
            running: watch::channel(String::new()).1,
            told: watch::channel(serde_json::Value::Null).1,
            governor: Governor::new(Clock::System),
        };
        let (for_task, until) = (Arc::clone(&status), stop.clone());
        let task =
            tokio::spawn(async move { agent::uplink::run(config, spool, &mut identity, &for_task, until).await });
        Self { status, stop, task }
    }

    pub async fn stop(self) {
        self.stop.raise(Stage::Draining);
        self.task.await.unwrap();
    }
}
