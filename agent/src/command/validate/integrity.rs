//! Whether an integrity source could look at all that it should: its paths, what the program may do, what the kernel watches.

use std::path::Path;

use shared::check::{Checks, Outcome};
use shared::fleet::IntegritySource;

use crate::source::integrity::missing;

const NAME: &str = "sources";

/// Where the kernel says how many watches a user may have (inotify(7)).
const WATCHES_MAX: &str = "/proc/sys/fs/inotify/max_user_watches";

/// Looks at the source `name`.
pub(super) fn integrity(name: &str, source: &IntegritySource, checks: &mut Checks) {
    let mut usable = 0;
    for path in &source.paths {
        let found = Path::new(path).symlink_metadata();
        let problem = match &found {
            Err(error) => format!("cannot be looked at now: {error}"),
            Ok(meta) if meta.is_symlink() => {
                "is a symbolic link: only the link itself is looked at; name what it leads to".to_owned()
            }
            Ok(meta) if meta.is_dir() && std::fs::read_dir(path).is_err() => "cannot be opened by this user".to_owned(),
            Ok(_) => {
                usable += 1;
                continue;
            }
        };
        checks.push(NAME, Outcome::Warn, format!("{name}: {path} {problem}"));
    }
    for missing in missing() {
        let (capability, cost) = (missing.capability, missing.cost);
        let detail = format!("{name}: this user has no {capability}: {cost}; run this as the agent's user to be sure");
        checks.push(NAME, Outcome::Warn, detail);
    }
    let watches = std::fs::read_to_string(WATCHES_MAX).ok().and_then(|text| text.trim().parse::<usize>().ok());
    if let Some(watches) = watches.filter(|watches| *watches < source.watch_max) {
        let detail = format!(
            "{name}: the kernel watches {watches} folders for a user, `watch_max` is {}: the others are only scanned; raise \
             fs.inotify.max_user_watches",
            source.watch_max
        );
        checks.push(NAME, Outcome::Warn, detail);
    }
    if usable > 0 {
        checks.push(NAME, Outcome::Ok, format!("{name}: {usable} paths can be looked at"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scratch::Scratch;
    use super::super::checks;
    use super::*;

    #[test]
    fn path_that_is_a_link_or_not_there_is_doubtful() {
        let scratch = Scratch::new("validate-integrity");
        std::fs::create_dir(scratch.path("tree")).unwrap();
        std::os::unix::fs::symlink("tree", scratch.path("link")).unwrap();
        let paths = ["tree", "link", "none"].map(|name| scratch.path(name).display().to_string()).join(", ");
        let source = format!("{{ type: integrity, paths: [{paths}], watch_max: 1 }}");
        scratch.file("fleet.yaml", &format!("version: 1\ndefaults:\n  sources:\n    fim: {source}\n"));
        let options = scratch.agent("version: 1\naggregators: [127.0.0.1]\nfleet: fleet.yaml\nstate_dir: s\n", "table");
        let found = checks(options.config_path());
        let of_sources =
            found.all().iter().filter(|check| check.name == NAME && !check.detail.contains("this user has"));
        let details: Vec<_> = of_sources.map(|check| (check.outcome, check.detail.as_str())).collect();
        assert_eq!(details.len(), 3, "{details:?}");
        assert!(details[0].0 == Outcome::Warn && details[0].1.contains("link is a symbolic link"), "{details:?}");
        assert!(details[1].0 == Outcome::Warn && details[1].1.contains("none cannot be looked at"), "{details:?}");
        assert_eq!(details[2], (Outcome::Ok, "fim: 1 paths can be looked at"));
    }
}
