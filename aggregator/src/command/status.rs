//! `status`: whether the aggregator is well, and if not, what to do; then agents, journal, sinks and files in force.
//!
//! Asks the running aggregator, and reads what lies beside it: roster, certificate, room on its disks.

mod remarks;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use shared::exit::Exit;
use shared::identity::AgentId;
use shared::printable::Printable;
use shared::remark::{self, Remark};
use shared::table::{Output, Table};
use shared::time::Timestamp;

use super::agents::config_word;
use super::{answer, bytes_text, configuration, roster};
use crate::admin::http::AgentState;
use crate::admin::report::StatusReport;
use crate::admin::socket::{OpenSession, Request};
use crate::ca::Server;
use crate::cli::Options;
use crate::config::Config;
use crate::journal::offline::span_text;

/// All that the verdict comes from.
#[derive(Default, Serialize)]
struct Findings {
    /// What the aggregator says of itself.
    #[serde(flatten)]
    report: StatusReport,
    /// Enrolled agents without a session, by what their hosts call themselves.
    away: Vec<String>,
    /// Agents whose certificate has ended, or has not been renewed in time.
    overdue: Vec<String>,
    /// How many agents are in the roster and not revoked.
    enrolled: usize,
    /// What connected agents said of themselves.
    #[serde(skip)]
    said: Vec<AgentState>,
    /// When the server's certificate ends.
    certificate_end: Option<Timestamp>,
    /// The file systems that it writes to.
    disks: Vec<Disk>,
    /// `journal.max_bytes`.
    journal_bytes_max: u64,
    /// When this was asked.
    at: Timestamp,
}

/// A file system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Disk {
    /// A folder on it that the aggregator writes to.
    path: PathBuf,
    /// Bytes that are left.
    free: u64,
    /// Whether the journal lies there.
    is_of_journal: bool,
}

/// Asks and prints.
///
/// # Errors
/// Exit code 69 when no aggregator answers, 74 for files, 78 for a wrong configuration; the writer's.
pub fn run(options: &Options, now: Timestamp, mut out: impl Write) -> Result<(), Exit> {
    let config = configuration(options)?;
    let findings = Findings::of(&config, now)?;
    let remarks = findings.remarks();
    if options.output == Output::Table {
        return Ok(print(&findings, &remarks, &config, &mut out)?);
    }
    let mut value = json!({ "well": !remarks.iter().any(|remark| remark.is_urgent), "remarks": remarks });
    if let (Value::Object(whole), Ok(Value::Object(more))) = (&mut value, serde_json::to_value(&findings)) {
        whole.extend(more);
    }
    writeln!(out, "{}", shared::table::json(&value))?;
    Ok(out.flush()?)
}

impl Findings {
    fn of(config: &Config, now: Timestamp) -> Result<Self, Exit> {
        let report = answer(config, &Request::Status)?;
        let said: Vec<AgentState> = answer(config, &Request::Agents)?;
        let sessions: Vec<OpenSession> = answer(config, &Request::Sessions)?;
        let connected: BTreeSet<AgentId> = sessions.into_iter().map(|session| session.agent).collect();
        let book = roster(config)?;
        let (mut away, mut overdue, mut enrolled) = (Vec::new(), Vec::new(), 0);
        for entry in book.agents().filter(|entry| entry.revoked.is_none()) {
            enrolled += 1;
            let name = if entry.hostname.is_empty() {
                entry.agent.to_string()
            } else {
                Printable(&entry.hostname).to_string()
            };
            if entry.given.is_some_and(|given| remarks::is_overdue(given.not_after, now)) {
                overdue.push(name.clone());
            }
            if !connected.contains(&entry.agent) {
                away.push(name);
            }
        }
        Ok(Self {
            report,
            away,
            overdue,
            enrolled,
            said: said.into_iter().filter(|state| connected.contains(&state.agent)).collect(),
            certificate_end: Server::load(&config.state_dir).ok().map(|server| server.certificate.not_after),
            disks: disks(config),
            journal_bytes_max: config.journal.max_bytes,
            at: now,
        })
    }

    /// How many connected agents stand how to what the fleet file gives them.
    fn by_config(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for word in self.said.iter().filter_map(|state| config_word(Some(state))) {
            *counts.entry(word).or_insert(0) += 1;
        }
        counts
    }
}

/// Each file system once, that of the journal first.
fn disks(config: &Config) -> Vec<Disk> {
    let sinks = config.sinks.iter().map(|sink| sink.target.place()).filter(|path| path.is_absolute());
    let (mut found, mut devices) = (Vec::new(), BTreeSet::new());
    for (at, path) in std::iter::once(config.journal_dir()).chain(sinks).enumerate() {
        let Some(folder) = path.ancestors().find(|path| path.is_dir()) else { continue };
        let (Ok(space), Ok(meta)) = (rustix::fs::statvfs(folder), folder.metadata()) else { continue };
        if devices.insert(meta.dev()) {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            found.push(Disk { path: folder.to_path_buf(), free, is_of_journal: at == 0 });
        }
    }
    found
}

/// One screen for a person.
fn print(findings: &Findings, remarks: &[Remark], config: &Config, out: &mut impl Write) -> io::Result<()> {
    remark::print(remarks, out)?;
    writeln!(out)?;
    let (report, at) = (&findings.report, findings.at);
    let mut fact = |name: &str, value: &str| writeln!(out, "{name:<13}{}", Printable(value));
    fact("version", &report.version)?;
    fact("listens", &format!("{} (agents), {} (metrics)", config.listen, config.http))?;
    let end = findings.certificate_end.map_or("none".to_owned(), |end| match end.since(at) {
        left if left.is_zero() => format!("ended {end}"),
        left => format!("ends {end} (in {})", span_text(left)),
    });
    fact("certificate", &end)?;
    let (connected, away) = (findings.enrolled.saturating_sub(findings.away.len()), findings.away.len());
    let by_config: Vec<String> = findings.by_config().iter().map(|(word, count)| format!("{count} {word}")).collect();
    let by_config =
        if by_config.is_empty() { String::new() } else { format!("; configuration: {}", by_config.join(", ")) };
    fact("agents", &format!("{} enrolled, {connected} connected, {away} away{by_config}", findings.enrolled))?;
    let journal = &report.journal;
    let (bytes, most) = (bytes_text(journal.bytes), bytes_text(findings.journal_bytes_max));
    fact("journal", &format!("{bytes} of {most}, {} records", journal.records))?;
    let free = |disk: &Disk| format!("{} free at {}", bytes_text(disk.free), disk.path.display());
    fact("disks", &findings.disks.iter().map(free).collect::<Vec<_>>().join(", "))?;
    if let Some(fleet) = &report.fleet {
        fact("fleet", &in_force(&fleet.path, &fleet.hash, fleet.since))?;
    }
    fact("config", &in_force(Path::new("aggregator.yaml"), &report.config.hash, report.config.since))?;
    writeln!(out)?;
    let columns = ["sink", "lag frames", "delivered", "refused", "unrouted", "failures"];
    let mut table = Table::new(out, Output::Table, &columns);
    for sink in &report.sinks {
        table.row([
            sink.name.as_str().into(),
            sink.lag_frames.into(),
            sink.delivered.into(),
            sink.rejected.into(),
            sink.unrouted.into(),
            sink.errors.into(),
        ])?;
    }
    table.finish()
}

fn in_force(path: &Path, hash: &str, since: Option<Timestamp>) -> String {
    let since = since.map_or_else(String::new, |since| format!(" since {since}"));
    match hash.get(..12) {
        Some(short) => format!("{} {short} in force{since}", path.display()),
        None => format!("{}: nothing in force", path.display()),
    }
}

#[cfg(test)]
mod tests;
