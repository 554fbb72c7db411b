//! Which of the capabilities that a capture needs this program has (capabilities(7)).

use super::super::super::health::Missing;

/// Bits of `CapEff` in /proc/self/status, their names, and what is not seen without them.
/// Any of the bits will do.
const NEEDED: [(u64, &str, &str); 3] = [
    (1 << 13, "CAP_NET_RAW", "no packet can be captured"),
    (1 << 19, "CAP_SYS_PTRACE", "flows of other users' programs have no process"),
    (1 << 2 | 1 << 1, "CAP_DAC_READ_SEARCH", "flows of other users' programs have no process"),
];

/// Those that this program does not have; none where that cannot be known.
#[must_use]
pub fn missing() -> Vec<Missing> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).map(missing_of).unwrap_or_default()
}

/// Whether this program is known to have none of the capabilities with these bits.
#[must_use]
pub fn lacks(bits: u64) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).is_some_and(|effective| effective & bits == 0)
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing_of(effective: u64) -> Vec<Missing> {
    let lacks = NEEDED.into_iter().filter(|(bits, ..)| effective & bits == 0);
    lacks.map(|(_, name, cost)| Missing { capability: name.to_owned(), cost: cost.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_it_costs() {
        let names = |status: &str| -> Vec<String> {
            missing_of(effective(status).unwrap()).into_iter().map(|missing| missing.capability).collect()
        };
        assert_eq!(names("Name:\tx\nCapEff:\t000001ffffffffff\n"), [""; 0]);
        assert_eq!(names("CapEff:\t0000000000002002\n"), ["CAP_SYS_PTRACE"]);
        assert_eq!(names("CapEff:\t0000000000082000\n"), ["CAP_DAC_READ_SEARCH"]);
        assert_eq!(names("CapEff:\t0000000000000000\n").len(), 3);
        assert_eq!(effective("CapEff: what\n"), None);
    }
}
