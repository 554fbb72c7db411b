//! A changed fleet file reaches every connected agent, signed for it alone, and nobody whom it does not concern.

use std::time::{Duration, Instant};

use shared::fleet::document::{NotTaken, Signed};
use shared::identity::AgentId;
use shared::tls::key_hash;

use crate::ends::{FixedIdentity, Home, MemorySpool, Up, eventually};

const AGENTS: u8 = 200;
/// The bound is for a release build on a machine that has nothing else to do.
const BOUND: Duration = Duration::from_secs(if cfg!(debug_assertions) { 6 } else { 3 });

fn fleet(interval: &str) -> String {
    format!(
        "version: 1\ngroups:\n  - {{ name: all, match: {{ hostname: web-* }}, sources: {{ host: {{ type: host, interval: {interval} }} }} }}\n  \
         - {{ name: none, match: {{ hostname: db-* }}, sources: {{ host: {{ type: host, interval: {interval} }} }} }}\n"
    )
}

fn got(agents: &[(FixedIdentity, Up)], count: usize) -> bool {
    agents.iter().all(|(identity, _)| identity.configured.lock().unwrap().len() >= count)
}

/// What came last, and the challenge of its session.
fn last(identity: &FixedIdentity) -> (Signed, u64) {
    let (value, challenge) = identity.configured.lock().unwrap().last().unwrap().clone();
    (serde_json::from_value(value).unwrap(), challenge)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_file_reaches_two_hundred_agents() {
    let mut home = Home::new("wire-fleet");
    let path = home.steer(&fleet("60s"));
    let mouth = home.open();
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        let agent = AgentId([number + 1; 16]);
        let identity = home.agent(agent);
        let up = Up::start(vec![mouth.endpoint()], MemorySpool::new(agent), identity.clone());
        agents.push((identity, up));
    }
    eventually("all have the first", || got(&agents, 1)).await;
    let begun = Instant::now();
    std::fs::write(&path, fleet("30s")).unwrap();
    eventually("all have the second", || got(&agents, 2)).await;
    let took = begun.elapsed();
    println!("a change reached {AGENTS} sessions in {took:?}");
    assert!(took <= BOUND, "{took:?}");
    // A comment changes nobody's configuration.
    std::fs::write(&path, format!("# changed\n{}", fleet("30s"))).unwrap();
    std::fs::write(&path, fleet("90s")).unwrap();
    eventually("all have the third", || got(&agents, 3)).await;
    let trusted = [key_hash(home.enrollment.authority().certificate()).unwrap()];
    for (number, (identity, _)) in (0..AGENTS).zip(&agents) {
        let all = identity.configured.lock().unwrap().clone();
        assert_eq!(all.len(), 3);
        let (signed, challenge) = last(identity);
        let document = signed.open(AgentId([number + 1; 16]), challenge, &trusted).unwrap();
        assert_eq!(document.groups, ["all"]);
        assert!(signed.open(AgentId([number + 2; 16]), challenge, &trusted).is_err(), "it is for one agent");
        assert!(signed.open(AgentId([number + 1; 16]), challenge, &[]).is_err(), "an authority has to be trusted");
    }
    let stopping: Vec<_> = agents.into_iter().map(|(_, up)| tokio::spawn(up.stop())).collect();
    for stopped in stopping {
        stopped.await.unwrap();
    }
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_signed_for_one_session_is_refused_in_the_next_and_another_aggregator_signs_anew() {
    let mut home = Home::new("wire-replay");
    let path = home.steer(&fleet("60s"));
    // Two aggregators with one authority and one fleet file.
    let (first, second) = (home.open(), home.open());
    let agent = AgentId([1; 16]);
    let identity = home.agent(agent);
    let trusted = [key_hash(home.enrollment.authority().certificate()).unwrap()];
    let count = || identity.configured.lock().unwrap().len();
    let mut olds: Vec<Signed> = Vec::new();
    for (number, mouth) in [&first, &second, &first].into_iter().enumerate() {
        let up = Up::start(vec![mouth.endpoint()], MemorySpool::new(agent), identity.clone());
        eventually("a configuration", || count() == 2 * number + 1).await;
        let (signed, challenge) = last(&identity);
        assert_eq!(signed.open(agent, challenge, &trusted).map(|document| document.groups), Ok(vec!["all".to_owned()]));
        // The operator changes the file, and in the next round writes the old one again: it is newer for being said later.
        std::fs::write(&path, fleet(if number % 2 == 0 { "30s" } else { "60s" })).unwrap();
        eventually("the change", || count() == 2 * number + 2).await;
        let (next, again) = last(&identity);
        assert!(again == challenge && next.hash() != signed.hash());
        assert!(next.open(agent, challenge, &trusted).is_ok());
        for old in &olds {
            assert_eq!(old.open(agent, challenge, &trusted), Err(NotTaken::Replayed));
        }
        olds.extend([signed, next]);
        up.stop().await;
    }
    assert_eq!((olds[0].hash(), olds[1].hash()), (olds[3].hash(), olds[2].hash()), "the same under the same names");
    first.stop().await;
    second.stop().await;
}
