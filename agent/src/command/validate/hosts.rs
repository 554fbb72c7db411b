//! What a host source would see now, and what the program may not.

use shared::check::{Checks, Outcome};
use shared::fleet::HostSource;

use crate::source::host::Table;
use crate::source::host::capabilities::missing;
use crate::source::host::connector::Connector;

const NAME: &str = "sources";

/// Looks at the source `name`.
pub(super) fn hosts(name: &str, source: &HostSource, checks: &mut Checks) {
    let processes = source.tables.contains(&Table::Processes.name());
    let connector = processes.then(Connector::open).transpose();
    for missing in missing(connector.as_ref().err()) {
        let (capability, cost) = (missing.capability, missing.cost);
        let detail = format!("{name}: this user has not {capability}: {cost}; run this as the agent's user to be sure");
        checks.push(NAME, Outcome::Warn, detail);
    }
    checks.push(NAME, Outcome::Ok, format!("{name}: {} tables of the host", source.tables.len()));
}
