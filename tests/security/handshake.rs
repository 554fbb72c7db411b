//! Who gets through a handshake, who does not, and what each end is told.

use std::sync::Arc;
use std::time::Duration;

use rustls::HandshakeKind;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use shared::durable::Writer;
use shared::time::{Timestamp, days_from_civil};
use shared::tls::{
    Admission, AgentRefused, AggregatorRefused, BUILD_TIME, ClientTls, Credentials, ServerCertificate, ServerSettings,
    Standing, TlsError, enroll_client, server_config, session_client,
};

use crate::world::{DAY, NAME, World, changed, connect, credentials, proven};

fn session(world: &World, name: &str) -> ClientTls {
    world.enroll(name).tls(proven()).unwrap()
}

#[test]
fn enrolled_agent_is_let_in_as_itself_by_name_and_by_address() {
    let world = World::new("let-in");
    let identity = world.enroll("web-1");
    for dialed in [NAME, "AGG.example.NET", "::1"] {
        let end = connect(&world.config, &identity.tls(proven()).unwrap().config, dialed);
        let Ok(Admission::Session(peer)) = world.admit(&end) else { panic!("{dialed}") };
        assert_eq!((peer.agent, peer.standing), (identity.agent(), Standing::Full));
        assert_eq!(peer.serial, identity.certificate().serial);
        assert_eq!(end.server.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn second_session_shows_its_certificate_again() {
    let world = World::new("again");
    let tls = session(&world, "web-1");
    for _ in 0..2 {
        let end = connect(&world.config, &tls.config, NAME);
        assert_eq!(end.client.handshake_kind(), Some(HandshakeKind::Full), "a resumed session would skip revocation");
        assert_eq!(end.client.tls13_tickets_received(), 0);
    }
}

#[test]
fn without_a_certificate_only_enrollment_is_open() {
    let world = World::new("anonymous");
    let tls = enroll_client(world.enrollment.authority().key_hash(), proven()).unwrap();
    let anonymous = changed(&tls, |config| config.alpn_protocols = vec![b"picket/1".to_vec()]);
    let refused = world.admit(&connect(&world.config, &anonymous, NAME)).unwrap_err();
    assert_eq!(refused, AgentRefused::NoCertificate);
    assert!(refused.to_string().contains("run `picket-agent enroll` with a token"));

    let no_protocol = changed(&tls, |config| config.alpn_protocols.clear());
    let refused = world.admit(&connect(&world.config, &no_protocol, NAME)).unwrap_err();
    assert_eq!(refused, AgentRefused::Protocol);

    let web = changed(&tls, |config| config.alpn_protocols = vec![b"h2".to_vec()]);
    let told = connect(&world.config, &web, NAME).alert_to_agent();
    assert!(told.contains("none of our protocols"), "{told}");

    let with_certificate = changed(&session(&world, "web-1"), |c| c.alpn_protocols = vec![b"picket-enroll/1".to_vec()]);
    assert_eq!(world.admit(&connect(&world.config, &with_certificate, NAME)), Ok(Admission::Enrollment));
}

#[test]
fn agent_of_another_authority_is_refused_by_the_aggregator() {
    let (world, other) = (World::new("ours"), World::new("theirs"));
    other.enroll("web-1");
    let tls = session_client(&other.credentials("web-1"), world.authorities(), proven()).unwrap();
    let end = connect(&world.config, &tls.config, NAME);
    assert!(end.aggregator.as_ref().unwrap().to_string().contains("UnknownIssuer"), "{:?}", end.aggregator);
    let told = end.alert_to_agent();
    assert!(told.contains("enrolled with another authority") && told.contains("enroll again"), "{told}");
}

#[test]
fn aggregator_of_another_authority_is_refused_by_the_agent() {
    let (world, other) = (World::new("ours-2"), World::new("theirs-2"));
    let tls = session(&world, "web-1");
    let end = connect(&other.config, &tls.config, NAME);
    assert_eq!(tls.take_refusal(), Some(AggregatorRefused::Authority));
    assert_eq!(tls.take_refusal(), None);
    assert!(end.alert_to_aggregator().contains("another authority"));

    let token = other.token(1);
    let tls = enroll_client(token.authority, proven()).unwrap();
    assert!(connect(&world.config, &tls.config, NAME).agent.is_some());
    let refused = tls.take_refusal().unwrap();
    assert_eq!(refused, AggregatorRefused::TokenAuthority { expected: token.authority });
    assert!(refused.to_string().contains(&token.authority.to_string()));
}

#[test]
fn ended_certificate_can_renew_within_its_grace_and_nothing_after() {
    let world = World::new("ended");
    let identity = world.enroll("web-1");
    let tls = identity.tls(proven()).unwrap();
    let standing = || match world.admit(&connect(&world.config, &tls.config, NAME)) {
        Ok(Admission::Session(peer)) => peer.standing,
        other => panic!("{other:?}"),
    };
    world.clock.advance(DAY * 89);
    assert_eq!(standing(), Standing::Full);
    world.clock.advance(DAY * 2);
    assert_eq!(standing(), Standing::RenewOnly);
    world.clock.advance(DAY * 363);
    assert_eq!(standing(), Standing::RenewOnly);
    let last = connect(&world.config, &tls.config, NAME);
    world.clock.advance(DAY * 2);

    let end = connect(&world.config, &tls.config, NAME);
    let told = end.alert_to_agent();
    assert!(told.contains("longer ago than the aggregator's renew_grace: enroll again"), "{told}");
    let refused = world.admit(&last).unwrap_err();
    let not_after = identity.certificate().not_after;
    assert_eq!(refused, AgentRefused::Expired { agent: identity.agent(), not_after, grace_days: 365 });
    let text = refused.to_string();
    assert!(text.contains(&identity.agent().to_string()) && text.contains("enroll the host again"), "{text}");
}

#[test]
fn revoked_agent_is_refused_at_the_door_and_in_its_open_session() {
    let world = World::new("revoked");
    let (identity, neighbor) = (world.enroll("web-1"), session(&world, "web-2"));
    let tls = identity.tls(proven()).unwrap();
    let open = connect(&world.config, &tls.config, NAME);
    assert!(world.admit(&open).is_ok());
    world.enrollment.roster().revoke(identity.agent(), "stolen", world.now()).unwrap();
    assert_eq!(world.admit(&open), Err(AgentRefused::Revoked { agent: identity.agent() }));
    let told = connect(&world.config, &tls.config, NAME).alert_to_agent();
    assert!(told.contains("has revoked this agent"), "{told}");
    assert!(world.admit(&connect(&world.config, &neighbor.config, NAME)).is_ok());
}

#[test]
fn certificates_do_not_pass_for_the_other_program() {
    let world = World::new("purpose");
    let agent = session(&world, "web-1");
    let own = credentials(&world.dir.join("state/ca/server.pem"));
    let tls = session_client(&own, world.authorities(), proven()).unwrap();
    let told = connect(&world.config, &tls.config, NAME).alert_to_agent();
    assert!(told.contains("not an agent's"), "{told}");

    let settings = ServerSettings {
        authorities: world.authorities(),
        certificate: Arc::new(ServerCertificate::new(&world.credentials("web-1")).unwrap()),
        revocations: world.revocations.clone(),
        renew_grace: DAY,
        clock: shared::time::Clock::Manual(world.clock.clone()),
    };
    let impostor = server_config(settings).unwrap();
    let end = connect(&impostor, &agent.config, NAME);
    assert!(matches!(agent.take_refusal(), Some(AggregatorRefused::NotAnAggregator(_))));
    assert!(end.alert_to_aggregator().contains("not an aggregator's"));
}

#[test]
fn certificate_without_its_key_is_worth_nothing() {
    let world = World::new("keyless");
    world.enroll("web-1");
    world.enroll("web-2");
    let (own, stolen) = (world.credentials("web-1"), world.credentials("web-2"));
    let mixed = Credentials { chain: stolen.chain, key: own.key };
    assert!(matches!(session_client(&mixed, world.authorities(), proven()), Err(TlsError::Key(_))));
}

#[test]
fn dialing_by_a_name_that_is_not_in_the_certificate_names_both() {
    let world = World::new("name");
    let tls = session(&world, "web-1");
    for dialed in ["other.example.net", "192.0.2.7", "example.net", "x.agg.example.net"] {
        let end = connect(&world.config, &tls.config, dialed);
        let refused = tls.take_refusal().unwrap().to_string();
        let expected = format!("the aggregator's certificate is for agg.example.net, ::1, not for {dialed}: dial one");
        assert!(refused.starts_with(&expected), "{refused}");
        assert!(end.alert_to_aggregator().contains("dialed a name that is not in"));
    }
}

#[test]
fn aggregators_certificate_is_judged_by_proven_time() {
    let world = World::new("server-ended");
    let identity = world.enroll("web-1");
    let proven = proven();
    let tls = identity.tls(proven.clone()).unwrap();
    assert!(connect(&world.config, &tls.config, NAME).agent.is_none());
    let end = world.server.certificate.not_after;
    let at = std::time::Instant::now();
    assert_eq!(proven.prove(end.plus(DAY * 4_000), at), Some(end), "believed up to the end of its own certificate");
    assert!(connect(&world.config, &tls.config, NAME).agent.is_none());

    // Another aggregator of the same authority proves that it is later; the first sleeps on its old certificate.
    let other_dir = world.dir.join("other");
    std::fs::create_dir_all(other_dir.join("ca")).unwrap();
    let writer = Writer::for_owner_of(&other_dir).unwrap();
    let names = [NAME.parse().unwrap()];
    let authority = world.enrollment.authority();
    let newer = world.server.reissue(authority, &names, &other_dir, &writer, end).unwrap();
    world.certificate.replace(&newer.credentials).unwrap();
    assert!(connect(&world.config, &tls.config, NAME).agent.is_none());
    assert!(proven.prove(end.plus(DAY), at).is_some());
    world.certificate.replace(&world.server.credentials).unwrap();
    let handshake = connect(&world.config, &tls.config, NAME);
    assert!(handshake.alert_to_aggregator().contains("has ended"));
    let refused = tls.take_refusal().unwrap();
    assert_eq!(refused, AggregatorRefused::Expired { not_after: end, proven: end.plus(DAY) });
    assert!(refused.to_string().contains("remove `identity/proven`"), "{refused}");
}

#[test]
fn aggregators_certificate_that_ended_before_the_program_was_built_is_refused() {
    let ended = Timestamp::from_seconds(BUILD_TIME.as_seconds() - 400 * 86_400);
    let world = World::at("before-build", ended);
    let tls = enroll_client(world.enrollment.authority().key_hash(), proven()).unwrap();
    assert!(connect(&world.config, &tls.config, NAME).agent.is_some());
    assert!(matches!(tls.take_refusal(), Some(AggregatorRefused::Expired { proven: BUILD_TIME, .. })));
}

#[derive(Debug)]
struct StoppedClock(Timestamp);

impl TimeProvider for StoppedClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(self.0.as_seconds()).unwrap())))
    }
}

#[test]
fn wrong_clock_of_the_host_locks_nobody_out() {
    let world = World::new("wrong-clock");
    let tls = session(&world, "web-1");
    for year in [1970, 2000, 2040, 2200] {
        let clock = StoppedClock(Timestamp::from_seconds(days_from_civil(year, 1, 1) * 86_400));
        let config = changed(&tls, |config| config.time_provider = Arc::new(clock));
        assert!(world.admit(&connect(&world.config, &config, NAME)).is_ok(), "{year}");
    }
}

#[test]
fn clock_of_the_aggregator_that_is_behind_locks_nobody_out() {
    let world = World::new("behind");
    let identity = world.enroll("web-1");
    let year_2000 = Timestamp::from_seconds(946_684_800);
    let behind = World::at("behind-2", year_2000);
    // The same authority and certificate, seen by a clock that stands before both were made.
    let settings = ServerSettings {
        authorities: world.authorities(),
        certificate: Arc::clone(&world.certificate),
        revocations: world.revocations.clone(),
        renew_grace: DAY,
        clock: shared::time::Clock::Manual(shared::time::ManualClock::new(year_2000)),
    };
    let config = server_config(settings).unwrap();
    let end = connect(&config, &identity.tls(proven()).unwrap().config, NAME);
    assert!(behind.admit(&end).is_ok());
}

#[test]
fn reissued_certificate_is_shown_to_the_next_session() {
    let world = World::new("reissue");
    let tls = session(&world, "web-1");
    let shown = || {
        let end = connect(&world.config, &tls.config, NAME);
        end.client.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown();
    let state = world.dir.join("state");
    world.clock.advance(DAY * 244);
    assert!(world.server.due(world.now()));
    let names = &world.server.certificate.names;
    let authority = world.enrollment.authority();
    let newer = world.server.reissue(authority, names, &state, &world.writer, world.now()).unwrap();
    assert_eq!(shown(), before);
    world.certificate.replace(&newer.credentials).unwrap();
    assert_eq!(shown(), newer.credentials.chain[0]);
    assert_eq!(credentials(&state.join("ca/server.pem")), newer.credentials);
}
