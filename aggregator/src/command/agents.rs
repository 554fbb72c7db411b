//! `agents list|show|revoke`: who is in the roster, whose frames stand in the journal, who is connected.
//!
//! List and show read files, and ask the aggregator for its sessions when one runs. A revocation goes through the
//! aggregator when one runs, so that the open session ends; else it is written to the roster directly.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde_json::{Map, Value, json};
use shared::exit::{Exit, Reason};
use shared::identity::{AgentId, ChainId};
use shared::table::{Output, Table};
use shared::time::Timestamp;

use super::{ask_exit, card, configuration, moment, moment_or_null, offline_exit, roster, roster_exit};
use crate::admin::http::AgentState;
use crate::admin::socket::{AskError, OpenSession, Request, Revoked, ask};
use crate::ca::roster::{Book, Entry, Revocation, revoke_without_daemon};
use crate::cli::{AgentsCommand, Options};
use crate::config::Config;
use crate::journal::ChainBooks;
use crate::journal::offline::{JournalFiles, OfflineError};

/// Does it.
///
/// # Errors
/// Exit codes: 65 for an agent that is not one, 69 when the aggregator does not answer, 74 for files, 78 for a wrong
/// configuration.
pub fn run(options: &Options, command: &AgentsCommand, now: Timestamp, out: impl Write) -> Result<(), Exit> {
    let config = configuration(options)?;
    match command {
        AgentsCommand::List => list(&Known::look(&config)?, now, options.output, out),
        AgentsCommand::Show { agent } => show(&Known::look(&config)?, agent, now, options.output, out),
        AgentsCommand::Revoke { agent, reason } => {
            let Revoked { agent, outcome } = revoke(&config, agent, reason, now)?;
            let word = match outcome {
                Revocation::Revoked => "revoked",
                Revocation::Stranger => "stranger",
                Revocation::Before => "before",
            };
            let mut table = Table::new(out, options.output, &["agent", "outcome"]);
            table.row([agent.to_string().into(), word.into()])?;
            table.finish()?;
            if outcome == Revocation::Stranger {
                tracing::warn!(
                    "agent {agent} is revoked and is not in this roster: it enrolled with another aggregator of this \
                     authority, or the id is mistyped; see `picket-aggregator agents list`"
                );
            }
            Ok(())
        }
    }
}

fn revoke(config: &Config, agent: &str, reason: &str, now: Timestamp) -> Result<Revoked, Exit> {
    let request = Request::Revoke { agent: agent.to_owned(), reason: reason.to_owned() };
    match ask(&config.socket, &request).map_err(|error| ask_exit(&error))? {
        Some(reply) => {
            serde_json::from_value(reply).map_err(|_| ask_exit(&AskError::Garbled { path: config.socket.clone() }))
        }
        None => {
            let made = revoke_without_daemon(&config.state_dir, agent, reason, now);
            let (agent, outcome) = made.map_err(|error| roster_exit(&error))?;
            Ok(Revoked { agent, outcome })
        }
    }
}

/// All that can be known of agents here.
struct Known {
    book: Book,
    /// The books of every chain of agents; the aggregator's own is left out.
    chains: BTreeMap<AgentId, Vec<(ChainId, ChainBooks)>>,
    /// Open sessions; none: no aggregator runs, or it does not say.
    sessions: Option<BTreeMap<AgentId, OpenSession>>,
    /// What they said of themselves to the running aggregator.
    said: BTreeMap<AgentId, AgentState>,
}

impl Known {
    fn look(config: &Config) -> Result<Self, Exit> {
        let mut chains: BTreeMap<AgentId, Vec<(ChainId, ChainBooks)>> = BTreeMap::new();
        match JournalFiles::open(&config.journal_dir()).and_then(|files| files.totals()) {
            Ok(totals) => {
                for (chain, books) in totals.chains {
                    if Some(chain.agent) != totals.own {
                        chains.entry(chain.agent).or_default().push((chain, books));
                    }
                }
            }
            // It has not run yet.
            Err(OfflineError::Missing { .. }) => {}
            Err(error) => return Err(offline_exit(&error)),
        }
        Ok(Self { book: roster(config)?, chains, sessions: sessions(config), said: said(config) })
    }

    fn ids(&self) -> BTreeSet<AgentId> {
        let open = self.sessions.iter().flatten().map(|(agent, _)| *agent);
        let in_roster = self.book.agents().map(|entry| entry.agent);
        in_roster.chain(self.chains.keys().copied()).chain(open).collect()
    }

    fn session(&self, agent: AgentId) -> Option<&OpenSession> {
        self.sessions.as_ref()?.get(&agent)
    }

    fn last_frame(&self, agent: AgentId) -> Option<Timestamp> {
        self.chains.get(&agent)?.iter().map(|(_, books)| books.last_received).max()
    }
}

/// The open sessions; an aggregator that does not answer does not keep a command from showing the rest.
fn sessions(config: &Config) -> Option<BTreeMap<AgentId, OpenSession>> {
    let open: Result<Option<Vec<OpenSession>>, String> = ask(&config.socket, &Request::Sessions)
        .map_err(|error| error.to_string())
        .and_then(|reply| reply.map(serde_json::from_value).transpose().map_err(|error| error.to_string()));
    match open {
        Ok(open) => open.map(|open| open.into_iter().map(|session| (session.agent, session)).collect()),
        Err(error) => {
            tracing::warn!(error, "the aggregator does not say which agents are connected");
            None
        }
    }
}

/// What agents said of themselves; an aggregator of another version may not say.
fn said(config: &Config) -> BTreeMap<AgentId, AgentState> {
    let reply = ask(&config.socket, &Request::Agents).ok().flatten();
    let states: Option<Vec<AgentState>> = reply.and_then(|reply| serde_json::from_value(reply).ok());
    states.into_iter().flatten().map(|state| (state.agent, state)).collect()
}

/// How an agent stands to what the fleet file gives it: `local` (it has a file of its own), `refused` (it went back to what
/// worked), `behind` (another is on its way), `trial` (for less than a minute), `current`; none: nothing is asked of it.
pub(super) fn config_word(state: Option<&AgentState>) -> Option<&'static str> {
    let state = state?;
    let refused = state.status.as_ref().and_then(|status| status.pointer("/config/refused/hash")?.as_str());
    match &state.desired {
        _ if state.local_fleet => Some("local"),
        None => None,
        Some(desired) if refused == Some(desired) => Some("refused"),
        Some(desired) if *desired != state.running => Some("behind"),
        Some(_) => Some("current"),
    }
}

/// `revoked`, `expired` (it can only renew), `enrolled`, or `unknown` to this roster.
fn state(entry: Option<&Entry>, now: Timestamp) -> &'static str {
    match entry {
        None => "unknown",
        Some(Entry { revoked: Some(_), .. }) => "revoked",
        Some(Entry { given: Some(given), .. }) if given.not_after <= now => "expired",
        Some(_) => "enrolled",
    }
}

fn hostname(entry: Option<&Entry>) -> Value {
    entry.map(|entry| entry.hostname.as_str()).filter(|name| !name.is_empty()).into()
}

fn list(known: &Known, now: Timestamp, output: Output, out: impl Write) -> Result<(), Exit> {
    let columns = [
        "agent",
        "hostname",
        "group",
        "state",
        "enrolled",
        "certificate_ends",
        "last_frame",
        "connected",
        "peer",
        "version",
        "config",
        "running",
    ];
    let mut table = Table::new(out, output, &columns);
    for agent in known.ids() {
        let (entry, session, said) = (known.book.agent(agent), known.session(agent), known.said.get(&agent));
        table.row([
            agent.to_string().into(),
            hostname(entry),
            entry.and_then(|entry| entry.facts.group.as_deref()).into(),
            state(entry, now).into(),
            moment_or_null(entry.map(|entry| entry.since)),
            moment_or_null(entry.and_then(|entry| entry.given).map(|given| given.not_after)),
            moment_or_null(known.last_frame(agent)),
            known.sessions.as_ref().map(|_| session.is_some()).into(),
            session.map(|session| session.peer.to_string()).into(),
            said.map(|said| said.version.as_str()).into(),
            config_word(said).into(),
            said.map(|said| said.running.as_str()).filter(|running| !running.is_empty()).into(),
        ])?;
    }
    Ok(table.finish()?)
}

fn show(known: &Known, who: &str, now: Timestamp, output: Output, out: impl Write) -> Result<(), Exit> {
    let agent = known.book.find(who).map_err(|error| roster_exit(&error))?;
    if !known.ids().contains(&agent) {
        let message = format!("nothing is known here of agent {agent}: see `picket-aggregator agents list`");
        return Err(Exit::new(Reason::Data, message));
    }
    let (entry, session) = (known.book.agent(agent), known.session(agent));
    let (given, facts) = (entry.and_then(|entry| entry.given), entry.map(|entry| &entry.facts));
    let revoked = entry.and_then(|entry| entry.revoked.as_ref());
    let columns = [
        "agent",
        "hostname",
        "group",
        "zone",
        "tenant",
        "tags",
        "state",
        "enrolled",
        "token",
        "certificate_serial",
        "certificate_given",
        "certificate_ends",
        "revoked",
        "revoked_reason",
        "connected",
        "peer",
        "connected_since",
        "last_frame",
        "chains",
        "version",
        "config",
        "desired",
        "running",
        "clock_offset_ms",
        "gives_way",
        "remarks",
        "sources",
        "unavailable",
        "spool",
        "limits",
        "said_at",
    ];
    let said = known.said.get(&agent);
    let values = [
        agent.to_string().into(),
        hostname(entry),
        facts.and_then(|facts| facts.group.as_deref()).into(),
        facts.and_then(|facts| facts.zone.as_deref()).into(),
        facts.and_then(|facts| facts.tenant.as_deref()).into(),
        facts.map(|facts| facts.labels().collect::<Vec<_>>().join(", ")).into(),
        state(entry, now).into(),
        moment_or_null(entry.map(|entry| entry.since)),
        entry.and_then(|entry| entry.token).map(|token| token.to_string()).into(),
        given.map(|given| given.serial.to_string()).into(),
        moment_or_null(entry.and_then(|entry| entry.given_at)),
        moment_or_null(given.map(|given| given.not_after)),
        moment_or_null(revoked.map(|revoked| revoked.at)),
        revoked.map(|revoked| revoked.reason.as_str()).into(),
        known.sessions.as_ref().map(|_| session.is_some()).into(),
        session.map(|session| session.peer.to_string()).into(),
        moment_or_null(session.map(|session| session.since)),
        moment_or_null(known.last_frame(agent)),
        known.chains.get(&agent).into_iter().flatten().map(chain_row).collect::<Vec<_>>().into(),
        said.map(|said| said.version.as_str()).into(),
        config_word(said).into(),
        said.and_then(|said| said.desired.as_deref()).into(),
        said.map(|said| said.running.as_str()).into(),
        said.and_then(|said| said.clock_offset_ms).into(),
        said.and_then(|said| gives_way(said.status.as_ref()?)).into(),
        told(said, "/remarks"),
        told(said, "/sources"),
        told(said, "/unavailable"),
        lanes(said),
        told(said, "/limits"),
        moment_or_null(said.and_then(|said| said.status_at)),
    ];
    Ok(card::print(out, output, &columns, values)?)
}

/// Part of an agent's last word on how it is.
fn told(said: Option<&AgentState>, pointer: &str) -> Value {
    said.and_then(|said| said.status.as_ref()?.pointer(pointer)).cloned().unwrap_or_default()
}

/// Its spool, lane by lane, with what was lost and why.
fn lanes(said: Option<&AgentState>) -> Value {
    let Value::Object(lanes) = told(said, "/spool/lanes") else { return Value::Null };
    let row = |(name, lane): (String, Value)| {
        let Value::Object(lane) = lane else { return Value::Null };
        std::iter::once(("lane".to_owned(), Value::from(name))).chain(lane).collect::<Map<_, _>>().into()
    };
    lanes.into_iter().map(row).collect::<Vec<_>>().into()
}

/// How far the agent gives way to keep within its limits, and for want of what; none: it does not.
fn gives_way(status: &Value) -> Option<String> {
    let limits = status.get("limits")?;
    let step = |of: &Value| Some(of.get("step")?.as_str()?.to_owned()).filter(|step| step != "none");
    let short = limits.get("resources").and_then(Value::as_object).into_iter().flatten();
    let short: Vec<&str> = short.filter(|(_, of)| step(of).is_some()).map(|(name, _)| name.as_str()).collect();
    Some(format!("{} for want of {}", step(limits)?, short.join(", ")))
}

fn chain_row((chain, books): &(ChainId, ChainBooks)) -> Value {
    json!({
        "lane": chain.lane.name(),
        "epoch": chain.epoch.to_string(),
        "through": books.state.through,
        "journaled": books.journaled,
        "lost": books.lost,
        "absent": books.absent,
        "last_received": moment(books.last_received),
    })
}

#[cfg(test)]
mod tests;
