//! What SIGHUP (`systemctl reload picket-agent`) does: agent.yaml is read again.
//!
//! In: the signal and the file. Out: the [`Config`] whose `aggregators`, `labels` and local fleet file hold from now on, or
//! nothing where the file has a problem: what is in force stays, with the problems in the log. A session begins anew where it says
//! something else; sources change as by the fleet. What other keys say is opened at a start: `state_dir`, `socket`, `hostname`
//! and whether there is a fleet file of the host's own, and which, take force at a restart, and the log says so.

use std::path::Path;

use shared::stop::{Stage, Stop};
use shared::supervisor::Supervisor;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::identity::AgentIdentity;
use crate::config::{self, Config};
use crate::spool::SpoolPort;
use crate::uplink::{self, UplinkConfig, UplinkStatus};

/// Hears SIGHUP from when it is made: without it the signal would end the program.
pub(super) fn hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reads the file at `path` again whenever `hangup` says so, until it is dropped.
pub(super) async fn run(path: &Path, mut hangup: Signal, say: &watch::Sender<Config>, supervisor: &Supervisor) {
    while hangup.recv().await.is_some() {
        supervisor.reloading();
        let verdict = match config::load(path) {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                let waits = keys_for_a_restart(&say.borrow(), &loaded.config);
                let now = reloaded(&say.borrow(), loaded.config);
                say.send_replace(now);
                let verdict = verdict(&waits);
                tracing::info!(path = %path.display(), "{verdict}");
                verdict
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "agent.yaml is refused; what is in force stays");
                format!("agent.yaml is refused, what is in force stays: {error}")
            }
        };
        supervisor.ready(&verdict);
    }
}

/// Holds sessions until `stop`, by what agent.yaml says: anew when it says something else of them.
pub(super) async fn hold_sessions(
    mut config: UplinkConfig,
    port: &SpoolPort,
    mut identity: AgentIdentity,
    status: &UplinkStatus,
    stop: &Stop,
    mut reloaded: watch::Receiver<Config>,
) {
    while !stop.requested() {
        let until = Stop::new();
        let differs = |now: &Config| now.aggregators != config.aggregators || now.labels != config.labels;
        let ending = async {
            tokio::select! {
                _ = stop.reached(Stage::Draining) => {}
                Ok(_) = reloaded.wait_for(differs) => {}
            }
            until.raise(Stage::Draining);
        };
        tokio::join!(uplink::run(config.clone(), port.clone(), &mut identity, status, until.clone()), ending);
        let now = reloaded.borrow();
        (config.aggregators, config.labels) = (now.aggregators.clone(), now.labels.clone());
    }
}

fn verdict(waits: &[&str]) -> String {
    match waits {
        [] => "agent.yaml was read again".to_owned(),
        keys => format!(
            "agent.yaml was read again; {} takes force at a restart, which loses no line: systemctl restart picket-agent",
            keys.join(", ")
        ),
    }
}

/// The keys that differ and are looked at only at a start.
fn keys_for_a_restart(running: &Config, new: &Config) -> Vec<&'static str> {
    let keys = [
        ("state_dir", running.state_dir != new.state_dir),
        ("socket", running.socket != new.socket),
        ("hostname", running.hostname != new.hostname),
        ("fleet", running.fleet != new.fleet),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// What holds from now on.
fn reloaded(running: &Config, new: Config) -> Config {
    Config { aggregators: new.aggregators, labels: new.labels, ..running.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        config::parse(Path::new("/etc/picket/agent.yaml"), text.as_bytes(), "web-1").unwrap().config
    }

    #[test]
    fn aggregators_and_labels_hold_at_once_and_the_rest_is_named() {
        let running = config("version: 1\naggregators: [a.example.com]\n");
        let text = "version: 1\naggregators: [b.example.com]\nlabels: { role: web }\n";
        let new = config(text);
        assert_eq!(keys_for_a_restart(&running, &new), [""; 0]);
        assert_eq!(reloaded(&running, new.clone()), new);
        let other = config(&format!("{text}state_dir: /srv/picket\nhostname: db-1\nfleet: fleet.yaml\n"));
        assert_eq!(keys_for_a_restart(&running, &other), ["state_dir", "socket", "hostname", "fleet"]);
        assert_eq!(reloaded(&running, other), new, "what waits for a restart is as it was");
        assert!(verdict(&["hostname"]).contains("hostname takes force at a restart"));
    }
}
