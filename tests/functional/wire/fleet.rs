//! A changed fleet file reaches every connected agent, signed for it alone, and nobody whom it does not concern.

use std::time::{Duration, Instant};

use shared::fleet::document::Signed;
use shared::identity::AgentId;
use shared::tls::key_hash;

use crate::ends::{FixedIdentity, Home, MemorySpool, Up, eventually};

const AGENTS: u8 = 200;
/// The bound is for a release build on a machine that has nothing else to do.
const BOUND: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 3 });

fn fleet(interval: &str) -> String {
    format!(
        "version: 1\ngroups:\n  - {{ name: all, match: {{ hostname: web-* }}, sources: {{ host: {{ type: host, interval: {interval} }} }} }}\n  \
         - {{ name: none, match: {{ hostname: db-* }}, sources: {{ host: {{ type: host, interval: {interval} }} }} }}\n"
    )
}

fn got(agents: &[(FixedIdentity, Up)], count: usize) -> bool {
    agents.iter().all(|(identity, _)| identity.configured.lock().unwrap().len() >= count)
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
        let signed: Signed = serde_json::from_value(all.last().unwrap().clone()).unwrap();
        let document = signed.open(AgentId([number + 1; 16]), &trusted).unwrap();
        assert_eq!(document.groups, ["all"]);
        assert!(signed.open(AgentId([number + 2; 16]), &trusted).is_err(), "it is for one agent");
        assert!(signed.open(AgentId([number + 1; 16]), &[]).is_err(), "an authority has to be trusted");
    }
    let stopping: Vec<_> = agents.into_iter().map(|(_, up)| tokio::spawn(up.stop())).collect();
    for stopped in stopping {
        stopped.await.unwrap();
    }
    mouth.stop().await;
}
