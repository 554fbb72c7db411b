//! An aggregator's identity on disk, agents that enroll with it, and handshakes in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::enroll::{Enrolling, Identity, IdentityStore};
use aggregator::ca::enrollment::Enrollment;
use aggregator::ca::lock::StateLock;
use aggregator::ca::roster::Roster;
use aggregator::ca::token::{TokenSpec, Tokens};
use aggregator::ca::{Authority, Server};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use shared::durable::Writer;
use shared::enroll::Token;
use shared::time::{Clock, ManualClock, Timestamp};
use shared::tls::{
    Admission, AgentRefused, Alert, Authorities, BUILD_TIME, ClientTls, Credentials, ProvenTime, RENEW_GRACE,
    Revocations, ServerCertificate, ServerSettings, Side, admit, certificates_in_pem, key_in_pem, server_config,
};

pub const DAY: Duration = Duration::from_secs(86_400);
pub const NAME: &str = "agg.example.net";

/// An aggregator without sockets. Its clock starts a day after the programs were built.
pub struct World {
    pub dir: PathBuf,
    pub clock: ManualClock,
    pub writer: Writer,
    pub enrollment: Enrollment,
    pub tokens: Tokens,
    pub revocations: Revocations,
    pub server: Server,
    pub certificate: Arc<ServerCertificate>,
    pub config: Arc<ServerConfig>,
}

impl World {
    pub fn new(name: &str) -> Self {
        Self::at(name, BUILD_TIME.plus(DAY))
    }

    /// One whose clock stands at `now` when its certificates are made.
    pub fn at(name: &str, now: Timestamp) -> Self {
        let dir = std::env::temp_dir().join(format!("picket-security-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let state = dir.join("state");
        std::fs::create_dir_all(&state).unwrap();
        let writer = Writer::for_owner_of(&state).unwrap();
        let clock = ManualClock::new(now);
        let authority = Authority::generate(now).unwrap();
        authority.store_new(&state, &writer).unwrap();
        let names = [NAME.parse().unwrap(), "::1".parse().unwrap()];
        let server = Server::create(&authority, &names, &state, &writer, now).unwrap();
        let tokens = Tokens::open(&state, authority.key_hash(), writer).unwrap();
        let revocations = Revocations::default();
        let lock = StateLock::take(&state, &writer).unwrap();
        let roster = Roster::open(&state, writer, revocations.clone(), &lock).unwrap();
        let certificate = Arc::new(ServerCertificate::new(&server.credentials).unwrap());
        let config = server_config(ServerSettings {
            authorities: authority.trusted().unwrap(),
            certificate: Arc::clone(&certificate),
            revocations: revocations.clone(),
            renew_grace: RENEW_GRACE,
            clock: Clock::Manual(clock.clone()),
        });
        let enrollment = Enrollment::new(authority, tokens.clone(), roster);
        Self { dir, clock, writer, enrollment, tokens, revocations, server, certificate, config: config.unwrap() }
    }

    pub fn now(&self) -> Timestamp {
        Clock::Manual(self.clock.clone()).now()
    }

    pub fn token(&self, uses: u32) -> Token {
        self.tokens
            .create(&TokenSpec { facts: aggregator::directory::Facts::default(), ttl: DAY, uses }, self.now())
            .unwrap()
    }

    /// Where agent `name` keeps its identity.
    pub fn store(&self, name: &str) -> IdentityStore {
        let state = self.dir.join(name);
        std::fs::create_dir_all(&state).unwrap();
        IdentityStore::new(&state, Writer::for_owner_of(&state).unwrap())
    }

    /// Enrolls agent `name`, with a handshake and both messages as bytes.
    pub fn enroll(&self, name: &str) -> Identity {
        let store = self.store(name);
        let enrolling = Enrolling::start(&store, self.token(1), name, Instant::now()).unwrap();
        let end = connect(&self.config, &enrolling.tls().unwrap().config, NAME);
        assert_eq!(self.admit(&end), Ok(Admission::Enrollment));
        let request = shared::enroll::encode(enrolling.request()).unwrap();
        let (reply, error) = self.enrollment.enroll(&shared::enroll::decode(&request).unwrap(), self.now());
        assert!(error.is_none(), "{error:?}");
        let reply = shared::enroll::decode(&shared::enroll::encode(&reply).unwrap()).unwrap();
        enrolling.finish(&store, reply, Instant::now()).unwrap()
    }

    /// What ingest decides about a finished handshake.
    pub fn admit(&self, end: &Handshake) -> Result<Admission, AgentRefused> {
        assert!(end.agent.is_none() && end.aggregator.is_none(), "{:?} {:?}", end.agent, end.aggregator);
        let (alpn, chain) = (end.server.alpn_protocol(), end.server.peer_certificates());
        admit(alpn, chain, &self.revocations, RENEW_GRACE, self.now())
    }

    pub fn authorities(&self) -> Authorities {
        self.enrollment.authority().trusted().unwrap()
    }

    /// Key and certificate of agent `name`, as they stand in its file.
    pub fn credentials(&self, name: &str) -> Credentials {
        credentials(&self.dir.join(name).join("identity/identity.pem"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn credentials(pem: &Path) -> Credentials {
    let pem = std::fs::read(pem).unwrap();
    Credentials { chain: certificates_in_pem(&pem).unwrap(), key: key_in_pem(&pem).unwrap() }
}

pub fn proven() -> ProvenTime {
    ProvenTime::new(Timestamp::default(), Instant::now())
}

/// The settings of `tls`, changed.
pub fn changed(tls: &ClientTls, change: impl FnOnce(&mut ClientConfig)) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&tls.config);
    change(&mut config);
    Arc::new(config)
}

/// Both ends after a handshake, and with which error each ended it.
pub struct Handshake {
    pub client: ClientConnection,
    pub server: ServerConnection,
    pub agent: Option<rustls::Error>,
    pub aggregator: Option<rustls::Error>,
}

impl Handshake {
    /// What the agent is told when the aggregator ended it.
    pub fn alert_to_agent(&self) -> String {
        let error = self.agent.as_ref().expect("the agent was refused");
        Alert::from_rustls(Side::Agent, error).unwrap_or_else(|| panic!("no alert: {error}")).to_string()
    }

    /// What the aggregator is told when the agent ended it.
    pub fn alert_to_aggregator(&self) -> String {
        let error = self.aggregator.as_ref().expect("the aggregator was refused");
        Alert::from_rustls(Side::Aggregator, error).unwrap_or_else(|| panic!("no alert: {error}")).to_string()
    }
}

/// Passes bytes between both ends until neither has any left.
pub fn connect(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>, dialed: &str) -> Handshake {
    let name = ServerName::try_from(dialed.to_owned()).unwrap();
    let mut client = Connection::Client(ClientConnection::new(Arc::clone(client), name).unwrap());
    let mut server = Connection::Server(ServerConnection::new(Arc::clone(server)).unwrap());
    let (mut agent, mut aggregator) = (None, None);
    loop {
        let moved = pass(&mut client, &mut server, &mut aggregator) + pass(&mut server, &mut client, &mut agent);
        if moved == 0 {
            break;
        }
    }
    match (client, server) {
        (Connection::Client(client), Connection::Server(server)) => Handshake { client, server, agent, aggregator },
        _ => unreachable!("made above"),
    }
}

fn pass(from: &mut Connection, to: &mut Connection, error: &mut Option<rustls::Error>) -> usize {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() && error.is_none() {
        to.read_tls(&mut rest).unwrap();
        *error = to.process_new_packets().err();
    }
    bytes.len()
}
