//! `picket-agent enroll`: what it makes of a host, and what it never does to one.

use std::cell::RefCell;
use std::path::PathBuf;

use agent::cli::{EnrollArgs, Options, OutputForm};
use agent::command::enroll::{Ask, enroll};
use agent::config::{self, Endpoint};
use agent::enroll::IdentityStore;
use agent::spool::{OnFull, Spool, SpoolConfig};
use shared::batch::HostContext;
use shared::durable::Writer;
use shared::enroll::Token;
use shared::exit::{Exit, Reason};
use shared::logging::Format;
use shared::time::Clock;
use shared::tls::{Admission, ClientTls};

use crate::world::{NAME, World, connect};

/// A host beside the world's aggregator.
struct Host<'a> {
    world: &'a World,
    folder: PathBuf,
    options: Options,
}

impl<'a> Host<'a> {
    fn new(world: &'a World, name: &str) -> Self {
        let folder = world.dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let config = Some(folder.join("etc/agent.yaml"));
        let options = Options { config, verbose: 0, quiet: 0, log_format: Format::Text, output: OutputForm::Table };
        Self { world, folder, options }
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn arguments(&self) -> EnrollArgs {
        let aggregator = format!("{NAME}:7443").parse().unwrap();
        EnrollArgs { aggregator, token_file: None, token: None, state_dir: Some(self.state()) }
    }

    /// Runs the command; the aggregator answers after a handshake.
    fn enroll(&self, token: Token) -> Result<String, Exit> {
        self.enroll_through(token, &|_, tls, request| Ok(self.world_says(tls, request)))
    }

    fn enroll_through(&self, token: Token, ask: Ask<'_>) -> Result<String, Exit> {
        let mut out = Vec::new();
        enroll(&self.options, &self.arguments(), token, ask, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn world_says(&self, tls: &ClientTls, request: &[u8]) -> Vec<u8> {
        let end = connect(&self.world.config, &tls.config, NAME);
        assert_eq!(self.world.admit(&end), Ok(Admission::Enrollment));
        let (reply, _) = self.world.enrollment.enroll(&shared::enroll::decode(request).unwrap(), self.world.now());
        shared::enroll::encode(&reply).unwrap()
    }

    fn pem(&self) -> Vec<u8> {
        std::fs::read(self.state().join("identity/identity.pem")).unwrap()
    }
}

fn never(_: &Endpoint, _: &ClientTls, _: &[u8]) -> Result<Vec<u8>, String> {
    panic!("the aggregator is not asked")
}

#[test]
fn host_without_anything_gets_an_identity_and_a_configuration_that_names_both() {
    let world = World::new("command-first");
    let host = Host::new(&world, "web-1");
    let text = host.enroll(world.token(1)).unwrap();
    let store = IdentityStore::new(&host.state(), Writer::for_owner_of(&host.state()).unwrap());
    let identity = store.load().unwrap().unwrap();
    assert!(text.starts_with(&format!("enrolled as agent {}, certificate until ", identity.agent())), "{text}");
    assert!(text.ends_with(&format!("picket-agent run -c {}\n", host.options.config_path().display())), "{text}");
    let config = config::load(host.options.config_path()).unwrap().config;
    assert_eq!((config.aggregators, config.state_dir), (vec![host.arguments().aggregator], host.state()));
}

#[test]
fn second_enrollment_is_refused_before_anything_is_asked_and_changes_nothing() {
    let world = World::new("command-second");
    let host = Host::new(&world, "web-1");
    host.enroll(world.token(1)).unwrap();
    let before = host.pem();
    let exit = host.enroll_through(world.token(1), &never).unwrap_err();
    assert_eq!(exit.reason, Reason::CannotCreate);
    let message = exit.message.unwrap();
    assert!(message.contains("already") && message.contains("move"), "{message}");
    assert_eq!(host.pem(), before);
}

#[test]
fn lost_reply_is_asked_for_again_with_the_same_token() {
    let world = World::new("command-lost");
    let host = Host::new(&world, "web-1");
    let token = world.token(1);
    let lost = RefCell::new(Vec::new());
    let exit = host.enroll_through(token.clone(), &|_, tls, request| {
        lost.replace(host.world_says(tls, request));
        Err("the connection is gone".to_owned())
    });
    let exit = exit.unwrap_err();
    assert!(exit.reason == Reason::Unavailable && exit.message.unwrap().contains("is safe"));
    let text = host.enroll(token).unwrap();
    let lost: shared::enroll::Reply = shared::enroll::decode(&lost.borrow()).unwrap();
    let shared::enroll::Reply::Issued(lost) = lost else { panic!("{lost:?}") };
    assert!(text.contains(&lost.agent.to_string()), "{text}");
}

#[test]
fn used_token_is_refused_in_the_words_of_the_aggregator() {
    let world = World::new("command-used");
    let token = world.token(1);
    Host::new(&world, "web-1").enroll(token.clone()).unwrap();
    let host = Host::new(&world, "web-2");
    let exit = host.enroll(token).unwrap_err();
    assert_eq!(exit.reason, Reason::Unavailable);
    assert!(exit.message.unwrap().starts_with("the aggregator refused: "));
    assert!(!host.options.config_path().exists(), "no configuration of a host that is no agent");
}

#[test]
fn frames_of_a_lost_identity_are_not_left_to_one_that_cannot_send_them() {
    let world = World::new("command-frames");
    let host = Host::new(&world, "web-1");
    host.enroll(world.token(1)).unwrap();
    let store = IdentityStore::new(&host.state(), Writer::for_owner_of(&host.state()).unwrap());
    let config = SpoolConfig {
        dir: host.state().join("spool"),
        max_bytes: 32 << 20,
        on_full: [OnFull::Block; 3],
        agent: store.load().unwrap().unwrap().agent(),
        machine_id: String::new(),
        host: HostContext::default(),
        utc_offset_minutes: || 0,
        sources: Vec::new(),
    };
    Spool::start(config, Clock::System).unwrap().stop();
    std::fs::remove_dir_all(host.state().join("identity")).unwrap();
    let exit = host.enroll_through(world.token(1), &never).unwrap_err();
    assert_eq!(exit.reason, Reason::CannotCreate);
    let message = exit.message.unwrap();
    assert!(message.contains("unacked frames") && message.contains("identity back"), "{message}");
    assert!(!host.state().join("identity/identity.pem").exists());
    std::fs::rename(host.state().join("spool"), host.folder.join("spool-of-old")).unwrap();
    host.enroll(world.token(1)).unwrap();
}

#[test]
fn what_root_writes_belongs_to_the_owner_of_the_state_folder() {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let world = World::new("command-root");
    let host = Host::new(&world, "web-1");
    std::fs::create_dir_all(host.state()).unwrap();
    std::os::unix::fs::chown(host.state(), Some(4_242), Some(4_243)).unwrap();
    host.enroll(world.token(1)).unwrap();
    for path in [host.state().join("identity"), host.state().join("identity/identity.pem")] {
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (4_242, 4_243), "{}", path.display());
    }
}
