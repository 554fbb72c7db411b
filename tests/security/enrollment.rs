//! From a token to a certificate and from one certificate to the next, with crashes and lost replies on the agent's
//! side.

use std::cell::Cell;
use std::time::Instant;

use agent::enroll::{EnrollError, Enrolling, Identity, IdentityStore, Renewing};
use aggregator::ca::roster::Roster;
use shared::durable::Writer;
use shared::enroll::{Der, RefusedCode, Reply, TrustBundle};
use shared::time::Timestamp;
use shared::tls::{Admission, Peer, Standing};

use crate::world::{DAY, NAME, World, connect, proven};

fn peer(world: &World, identity: &Identity) -> Peer {
    let end = connect(&world.config, &identity.tls(proven()).unwrap().config, NAME);
    match world.admit(&end) {
        Ok(Admission::Session(peer)) => peer,
        other => panic!("{other:?}"),
    }
}

fn renewal(world: &World, identity: &Identity) -> (Renewing, Reply) {
    let renewing = Renewing::start().unwrap();
    let (reply, error) = world.enrollment.renew(&peer(world, identity), renewing.request(), world.now());
    assert!(error.is_none(), "{error:?}");
    (renewing, reply)
}

#[test]
fn identity_survives_its_file_and_is_in_the_roster() {
    let world = World::new("survives");
    let identity = world.enroll("web-1");
    let loaded = world.store("web-1").load().unwrap().unwrap();
    assert_eq!((loaded.agent(), loaded.certificate()), (identity.agent(), identity.certificate()));
    let (book, _) = Roster::view(&world.dir.join("state")).unwrap();
    let entry = book.agent(identity.agent()).unwrap();
    assert_eq!((entry.hostname.as_str(), entry.given.unwrap().serial), ("web-1", identity.certificate().serial));
    assert!(world.store("web-2").load().unwrap().is_none());
    let left: Vec<_> =
        std::fs::read_dir(world.dir.join("web-1/identity")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("enroll-")), "{left:?}");
    assert!(world.store("web-1").proven() >= Timestamp::from_seconds(world.now().as_seconds()));
}

#[test]
fn lost_reply_is_asked_for_again_with_the_same_key_and_one_token_is_enough() {
    let world = World::new("lost-reply");
    let (store, token) = (world.store("web-1"), world.token(1));
    let first = Enrolling::start(&store, token.clone(), "web-1", Instant::now()).unwrap();
    let (lost, _) = world.enrollment.enroll(first.request(), world.now());
    let Reply::Issued(lost) = lost else { panic!("{lost:?}") };
    drop(first);
    let second = Enrolling::start(&store, token.clone(), "web-1", Instant::now()).unwrap();
    let (reply, _) = world.enrollment.enroll(second.request(), world.now());
    assert_eq!(second.finish(&store, reply, Instant::now()).unwrap().agent(), lost.agent);

    let thief = world.store("web-2");
    let third = Enrolling::start(&thief, token, "web-2", Instant::now()).unwrap();
    let (reply, _) = world.enrollment.enroll(third.request(), world.now());
    let error = third.finish(&thief, reply, Instant::now()).unwrap_err();
    assert!(matches!(error, EnrollError::Refused { code: RefusedCode::Token, .. }));
    assert!(error.to_string().starts_with("the aggregator refused: token "), "{error}");
    assert!(error.to_string().contains("is used up (1 of 1): make another"), "{error}");
    assert!(thief.load().unwrap().is_none());
}

#[test]
fn renewal_keeps_the_id_and_changes_the_key() {
    let world = World::new("renewal");
    let store = world.store("web-1");
    let mut identity = world.enroll("web-1");
    assert!(!identity.renewal_due(world.now().plus(DAY * 59)));
    for _ in 0..3 {
        world.clock.advance(DAY * 61);
        assert!(identity.renewal_due(world.now()));
        let (renewing, reply) = renewal(&world, &identity);
        let renewed = renewing.finish(&store, &identity, reply).unwrap();
        assert_eq!(renewed.agent(), identity.agent());
        assert_ne!(renewed.certificate().key, identity.certificate().key);
        assert!(!renewed.renewal_due(world.now()));
        identity = store.load().unwrap().unwrap();
        assert_eq!(identity.certificate(), renewed.certificate());
        assert_eq!(peer(&world, &identity).standing, Standing::Full);
    }
    let (book, _) = Roster::view(&world.dir.join("state")).unwrap();
    assert_eq!(book.agent(identity.agent()).unwrap().given.unwrap().serial, identity.certificate().serial);
}

#[test]
fn agent_that_was_off_for_a_year_renews_by_itself() {
    let world = World::new("year-off");
    let store = world.store("web-1");
    let identity = world.enroll("web-1");
    world.clock.advance(DAY * 400);
    assert_eq!(peer(&world, &identity).standing, Standing::RenewOnly);
    let (renewing, reply) = renewal(&world, &identity);
    let renewed = renewing.finish(&store, &identity, reply).unwrap();
    assert_eq!((renewed.agent(), peer(&world, &renewed).standing), (identity.agent(), Standing::Full));
}

thread_local! { static STEPS_LEFT: Cell<u32> = const { Cell::new(0) }; }

fn crash_when_counted_down(_: &'static str) {
    let left = STEPS_LEFT.get();
    STEPS_LEFT.set(left.saturating_sub(1));
    assert_ne!(left, 1, "crash");
}

#[test]
fn crash_at_any_step_of_a_renewal_leaves_an_identity_that_is_let_in() {
    let world = World::new("renewal-crash");
    let original = world.enroll("web-1");
    let state = world.dir.join("web-1");
    let crashing = Writer::for_owner_of(&state).unwrap().with_fault(crash_when_counted_down);
    let crashing = IdentityStore::new(&state, crashing);
    for step in 1..=3u32 {
        world.clock.advance(DAY * 61);
        let identity = world.store("web-1").load().unwrap().unwrap();
        let (renewing, reply) = renewal(&world, &identity);
        STEPS_LEFT.set(step);
        let crash = std::panic::AssertUnwindSafe(|| renewing.finish(&crashing, &identity, reply));
        assert!(std::panic::catch_unwind(crash).is_err(), "step {step}");
        let left = world.store("web-1").load().unwrap().unwrap();
        assert_eq!(left.agent(), original.agent());
        assert_eq!(left.certificate() != identity.certificate(), step == 3, "step {step}");
        peer(&world, &left);
    }
}

#[test]
fn crash_at_any_step_of_an_enrollment_is_healed_by_running_it_again() {
    let world = World::new("enroll-crash");
    // Three steps of the enrolling key's file, three of the identity's, three of the proven time's.
    for step in 1..=9u32 {
        let name = format!("web-{step}");
        let (store, token) = (world.store(&name), world.token(1));
        let state = world.dir.join(&name);
        let crashing = Writer::for_owner_of(&state).unwrap().with_fault(crash_when_counted_down);
        let crashing = IdentityStore::new(&state, crashing);
        let run = |store: &IdentityStore| {
            let enrolling = Enrolling::start(store, token.clone(), &name, Instant::now()).unwrap();
            let (reply, _) = world.enrollment.enroll(enrolling.request(), world.now());
            enrolling.finish(store, reply, Instant::now()).unwrap()
        };
        STEPS_LEFT.set(step);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&crashing))).is_err(), "step {step}");
        STEPS_LEFT.set(0);
        let identity = run(&store);
        assert_eq!(peer(&world, &identity).agent, identity.agent());
    }
    let (book, _) = Roster::view(&world.dir.join("state")).unwrap();
    assert_eq!(book.agents().count(), 9, "one agent per host, whatever crashed");
}

#[test]
fn reply_that_is_not_for_this_agent_is_not_stored() {
    let world = World::new("mixed-up");
    let store = world.store("web-1");
    let (identity, neighbor) = (world.enroll("web-1"), world.enroll("web-2"));
    world.clock.advance(DAY * 61);
    let refused = |renewing: &Renewing, reply| renewing.finish(&store, &identity, reply).unwrap_err().to_string();

    let (renewing, reply) = renewal(&world, &neighbor);
    assert!(refused(&renewing, reply).contains(&format!("it is for agent {}", neighbor.agent())));
    let (_, reply) = renewal(&world, &identity);
    assert!(refused(&renewing, reply).contains("not for the key"));
    let renewing = Renewing::start().unwrap();
    let back_then = Timestamp::from_seconds(world.now().as_seconds() - 86_400 * 300);
    let (reply, _) = world.enrollment.renew(&peer(&world, &identity), renewing.request(), back_then);
    assert!(refused(&renewing, reply).contains("the aggregator's clock is wrong"));
    let other = World::new("mixed-up-other");
    let (reply, _) = other.enrollment.renew(&peer(&world, &identity), renewing.request(), world.now());
    assert!(refused(&renewing, reply).contains("not issued by a trusted authority"));

    let left = store.load().unwrap().unwrap();
    assert_eq!(left.certificate(), identity.certificate());
}

#[test]
fn damaged_identity_file_says_what_to_do() {
    let world = World::new("damaged");
    world.enroll("web-1");
    let path = world.dir.join("web-1/identity/identity.pem");
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len() - 40).step_by(7) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = world.store("web-1").load().unwrap_err().to_string();
        assert!(error.contains("identity.pem cannot be used") && error.contains("enroll again"), "{length}: {error}");
    }
}

#[test]
fn damaged_proof_of_time_is_no_proof() {
    let world = World::new("proof");
    let store = world.store("web-1");
    world.enroll("web-1");
    let path = world.dir.join("web-1/identity/proven");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(store.proven(), Timestamp::default(), "cut at {length}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.proven(), Timestamp::default());
}

#[test]
fn authorities_change_only_to_such_as_trust_this_agent() {
    let (world, other) = (World::new("bundle"), World::new("bundle-other"));
    let store = world.store("web-1");
    let identity = world.enroll("web-1");
    assert!(identity.trust(&world.enrollment.trust_bundle(world.now()), &store).unwrap().is_none());
    let foreign = other.enrollment.trust_bundle(world.now());
    assert!(matches!(identity.trust(&foreign, &store), Err(EnrollError::Reply(_))));
    let nobody = TrustBundle { authorities: vec![], time: world.now() };
    assert!(identity.trust(&nobody, &store).is_err());

    let both = [world.enrollment.authority(), other.enrollment.authority()];
    let both = both.iter().map(|authority| Der(authority.certificate().to_vec())).collect();
    identity.trust(&TrustBundle { authorities: both, time: world.now() }, &store).unwrap().unwrap();
    let loaded = store.load().unwrap().unwrap();
    let tls = loaded.tls(proven()).unwrap();
    for config in [&world.config, &other.config] {
        let end = connect(config, &tls.config, NAME);
        assert!(tls.take_refusal().is_none(), "{:?}", end.agent);
    }
}
