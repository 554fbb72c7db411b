//! Which capabilities this program has not (capabilities(7)), and what is not seen without them.

use super::connector::ConnectorError;
use crate::source::health::Missing;

/// Bits of `CapEff` in /proc/self/status, of which any will do, their name, and what is not seen without them.
const NEEDED: [(u64, &str, &str); 2] = [
    (1 << 19, "CAP_SYS_PTRACE", "other users' processes have no program, folder and sockets"),
    (
        1 << 2 | 1 << 1,
        "CAP_DAC_READ_SEARCH",
        "passwords' age, other users' keys and crontabs, failed logins and set-id files in closed folders are not seen",
    ),
];

/// Those that this program does not have, as far as that can be known; `connector`: why the kernel tells of no processes.
/// It is asked instead of the capability's bit: kernels from 6.6 on tell everybody.
#[must_use]
pub fn missing(connector: Option<&ConnectorError>) -> Vec<Missing> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mut missing = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).map(without).unwrap_or_default();
    missing.extend(connector.map(|error| Missing {
        capability:
            if *error == ConnectorError::NotPermitted { "CAP_NET_ADMIN" } else { "the proc connector" }.to_owned(),
        cost: "processes are polled, and those that last less than an interval are not seen".to_owned(),
    }));
    missing
}

fn without(effective: u64) -> Vec<Missing> {
    let lacks = NEEDED.into_iter().filter(|(bits, ..)| effective & bits == 0);
    lacks.map(|(_, name, cost)| Missing { capability: name.to_owned(), cost: cost.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_cost() {
        assert_eq!(without(u64::MAX), []);
        assert_eq!(without(1 << 2).first().map(|lacks| lacks.capability.as_str()), Some("CAP_SYS_PTRACE"));
        assert_eq!(without(0).len(), 2);
        let last = |error| missing(Some(&error)).pop().map(|lacks| lacks.capability);
        assert_eq!(last(ConnectorError::NotPermitted).as_deref(), Some("CAP_NET_ADMIN"));
        assert_eq!(last(ConnectorError::Silent).as_deref(), Some("the proc connector"));
    }
}
