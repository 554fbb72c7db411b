//! Whether a packet source could capture now: its filter, its interface, what the program may do.

use std::path::Path;

use shared::check::{Checks, Outcome};
use shared::fleet::PacketSource;

use crate::source::packet::capture::{ANY, CaptureError, check_filter, missing};

const NAME: &str = "sources";

/// Looks at the source `name` of the fleet file at `path`.
pub(super) fn packets(path: &Path, name: &str, source: &PacketSource, checks: &mut Checks) {
    let place = source.filter_place;
    let filter = source.filter.as_deref().map_or(Ok(()), |filter| check_filter(&source.interface, filter));
    if let Err(error) = &filter {
        let at = format!("{}:{}:{}", path.display(), place.line, place.column);
        checks.push(NAME, Outcome::Fail, format!("{at}: {name}: {error}; {}", error.advice()));
    }
    let interface = source.interface.as_str();
    let is_there = interface == ANY || Path::new("/sys/class/net").join(interface).exists();
    if !is_there {
        let error = CaptureError::NoInterface(interface.to_owned());
        checks.push(NAME, Outcome::Warn, format!("{name}: {error}; {}", error.advice()));
    }
    for missing in missing() {
        let (capability, cost) = (missing.capability, missing.cost);
        let detail = format!("{name}: this user has no {capability}: {cost}; run this as the agent's user to be sure");
        checks.push(NAME, Outcome::Warn, detail);
    }
    if filter.is_ok() && is_there {
        let filter = source.filter.as_deref().map(|filter| format!(", {filter}")).unwrap_or_default();
        checks.push(NAME, Outcome::Ok, format!("{name}: packets of {interface}{filter}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scratch::Scratch;
    use super::super::checks;
    use super::*;

    fn found(name: &str, source: &str) -> Vec<(Outcome, String)> {
        let scratch = Scratch::new(name);
        scratch.file("fleet.yaml", &format!("version: 1\ndefaults:\n  sources:\n    net: {source}\n"));
        let options = scratch.agent("version: 1\naggregators: [127.0.0.1]\nfleet: fleet.yaml\nstate_dir: s\n", "table");
        let found = checks(options.config_path());
        let of_sources = found.all().iter().filter(|check| check.name == NAME && !check.detail.contains("this user"));
        of_sources.map(|check| (check.outcome, check.detail.clone())).collect()
    }

    #[test]
    fn filter_that_is_none_fails_with_its_line() {
        let found = found("validate-filter", "{ type: packet, filter: 'host and' }");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, Outcome::Fail);
        assert!(found[0].1.contains("fleet.yaml:4:34: net: the filter cannot be used: "), "{found:?}");
    }

    #[test]
    fn interface_that_is_not_there_is_doubtful_and_one_that_is_fine() {
        let absent = found("validate-absent", "{ type: packet, interface: not-here0 }");
        assert_eq!(absent.len(), 1, "{absent:?}");
        assert!(
            absent[0].0 == Outcome::Warn && absent[0].1.contains("there is no interface 'not-here0'"),
            "{absent:?}"
        );
        let fine = found("validate-any", "{ type: packet, filter: port 53 }");
        assert_eq!(fine, [(Outcome::Ok, "net: packets of any, port 53".to_owned())]);
    }
}
