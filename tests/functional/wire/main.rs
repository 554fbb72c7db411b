//! Uplink and ingest over real QUIC on loopback: frames go up, acks come back, whatever happens to the link.

#[cfg(test)]
mod ends;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod lanes;
#[cfg(test)]
mod slow;

use std::time::{Duration, Instant};

use agent::uplink::enroll;
use aggregator::ca::token::TokenSpec;
use aggregator::ingest::Notice;
use ends::{Home, MemorySpool, Up, eventually, request};
use shared::enroll::{EnrollRequest, RefusedCode, RenewRequest, Reply};
use shared::identity::{AgentId, Lane};
use shared::time::{Clock, Timestamp};
use shared::tls::{ProvenTime, enroll_client};

const AGENT: AgentId = AgentId([1; 16]);

fn lines(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("line {n} {}", "x".repeat(n * 37 % 5_000))).collect()
}

fn write(spool: &MemorySpool, lines: &[String]) {
    for (line, lane) in lines.iter().zip(Lane::ALL.into_iter().cycle()) {
        spool.line(lane, line);
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_go_up_and_acks_come_back() {
    let home = Home::new("wire-flow");
    let mouth = home.open();
    let (spool, identity) = (MemorySpool::new(AGENT), home.agent(AGENT));
    let up = Up::start(vec![mouth.endpoint()], spool.clone(), identity.clone());
    write(&spool, &lines(0, 300));
    eventually("everything is acked", || spool.is_acked()).await;
    assert_eq!(sorted(home.journal.lines()), sorted(lines(0, 300)));
    write(&spool, &lines(300, 310));
    eventually("what came later is acked", || spool.is_acked()).await;

    let snapshot = up.status.snapshot();
    assert!(snapshot.connected && snapshot.last_error.is_none(), "{snapshot:?}");
    assert_eq!(snapshot.aggregator_id, Some(AgentId([0xa0; 16])));
    assert_eq!(snapshot.acked_frames.iter().sum::<u64>(), 313);
    assert!(snapshot.ack_latency_p50.is_some_and(|seconds| seconds < 5.0), "{snapshot:?}");
    let counters = mouth.handle.counters();
    assert_eq!(counters.frames.load(std::sync::atomic::Ordering::Relaxed), 313);
    assert_eq!(counters.duplicate_frames.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert_eq!(mouth.handle.sessions().len(), 1);
    assert!(identity.trusted.load(std::sync::atomic::Ordering::SeqCst), "the trust bundle came");
    up.stop().await;
    eventually("the session is over", || mouth.handle.sessions().is_empty()).await;
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connection_is_resumed_where_the_journal_stands() {
    let home = Home::new("wire-cut");
    let mouth = home.open();
    let (port, endpoint) = (mouth.address.port(), mouth.endpoint());
    let spool = MemorySpool::new(AGENT);
    let up = Up::start(vec![endpoint], spool.clone(), home.agent(AGENT));
    write(&spool, &lines(0, 50));
    eventually("everything is acked", || spool.is_acked()).await;
    // What is under way now is lost with the aggregator; nothing of it was acked.
    home.journal.hold();
    write(&spool, &lines(50, 100));
    eventually("frames wait for the journal", || home.journal.held() > 0).await;
    home.journal.lose();
    mouth.stop().await;
    home.journal.reopen();
    assert!(!spool.is_acked());
    write(&spool, &lines(100, 150));
    let mut mouth = None;
    let reopened = || {
        mouth = home.open_at(port).ok();
        mouth.is_some()
    };
    eventually("the port is free again", reopened).await;
    let mouth = mouth.unwrap();
    eventually("everything is acked by the next aggregator", || spool.is_acked()).await;
    assert_eq!(sorted(home.journal.lines()), sorted(lines(0, 150)));
    up.stop().await;
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acked_before_the_journal_synced() {
    let home = Home::new("wire-sync");
    let mouth = home.open();
    let spool = MemorySpool::new(AGENT);
    home.journal.hold();
    let up = Up::start(vec![mouth.endpoint()], spool.clone(), home.agent(AGENT));
    let large: Vec<String> = lines(0, 60).iter().map(|line| line.repeat(3)).collect();
    write(&spool, &large);
    eventually("frames wait for the journal", || home.journal.held() > 3).await;
    assert_eq!(up.status.snapshot().acked_frames, [0; 3]);
    home.journal.sync();
    eventually("everything is acked", || spool.is_acked()).await;
    assert_eq!(sorted(home.journal.lines()), sorted(large));
    up.stop().await;
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_agent_is_sent_away_and_told_what_to_do() {
    let home = Home::new("wire-revoked");
    let mouth = home.open();
    let spool = MemorySpool::new(AGENT);
    let up = Up::start(vec![mouth.endpoint()], spool.clone(), home.agent(AGENT));
    eventually("the genesis frames are acked", || spool.is_acked()).await;
    home.revocations.insert(AGENT);
    mouth.handle.revoked(AGENT);
    eventually("the session is over", || mouth.handle.sessions().is_empty()).await;
    let told = || up.status.snapshot().last_error.is_some_and(|error| error.contains("enroll the host again"));
    eventually("the agent knows why", told).await;
    up.stop().await;
    // A new process of the same host is refused as well, before any frame.
    let up = Up::start(vec![mouth.endpoint()], spool.clone(), home.agent(AGENT));
    eventually("the handshake is refused", || up.status.snapshot().last_error.is_some_and(|e| e.contains("revoked")))
        .await;
    assert!(home.notices.lock().unwrap().iter().any(|notice| matches!(notice, Notice::Refused { .. })));
    up.stop().await;
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_of_another_authority_is_refused_by_both_ends() {
    let (home, other) = (Home::new("wire-home"), Home::new("wire-other"));
    let mouth = home.open();
    let spool = MemorySpool::new(AGENT);
    let up = Up::start(vec![mouth.endpoint()], spool.clone(), other.agent(AGENT));
    let told = || up.status.snapshot().last_error.is_some_and(|error| error.contains("not issued by the authority"));
    eventually("the agent does not trust the aggregator", told).await;
    assert_eq!(home.journal.lines().len(), 0);
    up.stop().await;
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_session_of_an_agent_closes_the_older() {
    let home = Home::new("wire-twice");
    let mouth = home.open();
    let spool = MemorySpool::new(AGENT);
    let first = Up::start(vec![mouth.endpoint()], spool.clone(), home.agent(AGENT));
    eventually("the first is connected", || first.status.snapshot().connected).await;
    // The same identity and the same spool, once more: both go on in turns, and nothing is doubled.
    let second = Up::start(vec![mouth.endpoint()], spool.clone(), home.agent(AGENT));
    let twice = || home.notices.lock().unwrap().iter().any(|notice| matches!(notice, Notice::TwoHosts { .. }));
    eventually("the aggregator tells of two hosts", twice).await;
    assert!(mouth.handle.sessions().len() <= 1);
    first.stop().await;
    second.stop().await;
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_is_renewed_while_frames_flow() {
    let home = Home::new("wire-renew");
    let mouth = home.open();
    let (spool, identity) = (MemorySpool::new(AGENT), home.agent(AGENT));
    *identity.renewal.lock().unwrap() = Some(RenewRequest { csr: request() });
    let up = Up::start(vec![mouth.endpoint()], spool.clone(), identity.clone());
    write(&spool, &lines(0, 30));
    eventually("the new certificate came", || identity.reply.lock().unwrap().is_some()).await;
    eventually("everything is acked", || spool.is_acked()).await;
    let reply = identity.reply.lock().unwrap().take();
    assert!(matches!(&reply, Some(Reply::Issued(issued)) if issued.agent == AGENT), "{reply:?}");
    assert_eq!(up.status.snapshot().sessions, 1);
    up.stop().await;
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_is_enrolled_by_a_token_and_by_nothing_else() {
    let home = Home::new("wire-enroll");
    let mouth = home.open();
    let spec = TokenSpec { facts: aggregator::directory::Facts::default(), ttl: Duration::from_secs(60), uses: 1 };
    let token = home.tokens.create(&spec, Clock::System.now()).unwrap();
    let proven = ProvenTime::new(Timestamp(0), Instant::now());
    let tls = enroll_client(token.authority, proven).unwrap();
    let csr = request();
    let ask = async |token: String| {
        let request = EnrollRequest { token, csr: csr.clone(), hostname: "web-1".to_owned() };
        let request = shared::enroll::encode(&request).unwrap();
        let reply = enroll(&mouth.endpoint(), &tls, &request).await.unwrap();
        shared::enroll::decode::<Reply>(&reply).unwrap()
    };
    assert!(matches!(ask(token.reveal()).await, Reply::Issued(_)));
    // A lost reply is repeated harmlessly.
    assert!(matches!(ask(token.reveal()).await, Reply::Issued(_)));
    let invented = shared::enroll::Token::new(token.authority, token.id, [7; 16]);
    let Reply::Refused(refused) = ask(invented.reveal()).await else { panic!("an invented token enrolls") };
    assert_eq!(refused.code, RefusedCode::Token);
    // Without a certificate there is no session: the enrollment's handler has no way to the journal.
    assert_eq!(mouth.handle.sessions().len(), 0);
    mouth.stop().await;
}
