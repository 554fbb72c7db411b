//! `validate`: everything that can be known to be wrong before the agent runs.
//!
//! A check is a function in `CHECKS`; it looks at one thing, changes nothing, and says what to do. A file whose `fleet` is wrong
//! is said once, by the check of that name; those that need it are then left out.

mod hosts;
mod integrity;
mod packets;
mod sources;

use std::io::Write;
use std::net::ToSocketAddrs;
use std::path::Path;

use shared::check::{Checks, Outcome, private_folder};
use shared::durable::Writer;
use shared::exit::Exit;
use shared::time::{Clock, Timestamp};
use shared::tls::RENEW_GRACE;

use crate::cli::Options;
use crate::config::{self, Config};
use crate::enroll::IdentityStore;
use crate::spool::offline::{self, OfflineError};

/// What is looked at once the configuration reads.
const CHECKS: [fn(&Config, &mut Checks); 7] =
    [fleet, sources::sources, state_dir, identity, spool, socket, aggregators];

/// Longest path of a unix socket, bytes (unix(7): 108 with the zero at its end).
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// With less than this left, a certificate of 90 days should have been renewed ten days ago.
const RENEWAL_OVERDUE_SECONDS: i64 = 20 * 86_400;

/// Prints every finding.
///
/// # Errors
/// Exit code 78 when a check failed, and the writer's.
pub fn run(options: &Options, out: impl Write) -> Result<(), Exit> {
    let output = options.rows()?;
    checks(options.config_path()).conclude(out, output)
}

/// Every finding about the agent whose configuration lies at `path`.
#[must_use]
pub fn checks(path: &Path) -> Checks {
    let mut checks = Checks::default();
    match config::load(path) {
        Ok(loaded) => {
            checks.push_all("config", Outcome::Warn, &loaded.warnings, &path.display().to_string());
            for check in CHECKS {
                check(&loaded.config, &mut checks);
            }
        }
        Err(error) => checks.push_all("config", Outcome::Fail, &error.sentences(), ""),
    }
    checks
}

fn fleet(config: &Config, checks: &mut Checks) {
    let Some(path) = &config.fleet else {
        let detail = "no local fleet file: the aggregator says what is read";
        return checks.push("fleet", Outcome::Ok, detail);
    };
    match config::load_fleet(path, config) {
        Ok(loaded) => {
            let sources = loaded.config.sources.len();
            let fine = format!("{}: {sources} sources for {}", path.display(), config.hostname);
            checks.push_all("fleet", Outcome::Warn, &loaded.warnings, &fine);
        }
        Err(error) => checks.push_all("fleet", Outcome::Fail, &error.sentences(), ""),
    }
}

fn state_dir(config: &Config, checks: &mut Checks) {
    use rustix::fs::Access;
    let path = &config.state_dir;
    private_folder(checks, "state_dir", path);
    if path.is_dir() && rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let detail = format!("{} cannot be written by this user; run this as the user of the agent", path.display());
        checks.push("state_dir", Outcome::Fail, detail);
    }
}

fn identity(config: &Config, checks: &mut Checks) {
    let not_enrolled = "this host is not enrolled: get a token with `picket-aggregator token create` and run \
                        `picket-agent enroll`";
    if !config.state_dir.is_dir() {
        return checks.push("identity", Outcome::Fail, not_enrolled);
    }
    let writer = match Writer::for_owner_of(&config.state_dir) {
        Ok(writer) => writer,
        Err(error) => return checks.push("identity", Outcome::Fail, error.to_string()),
    };
    match IdentityStore::new(&config.state_dir, writer).load() {
        Ok(Some(identity)) => {
            let (outcome, detail) = certificate(identity.certificate().not_after, Clock::System.now());
            checks.push("identity", outcome, format!("agent {}, {detail}", identity.agent()));
        }
        Ok(None) => checks.push("identity", Outcome::Fail, not_enrolled),
        Err(error) => checks.push("identity", Outcome::Fail, error.to_string()),
    }
}

/// What a certificate that ends at `end` is good for at `now`.
fn certificate(end: Timestamp, now: Timestamp) -> (Outcome, String) {
    let left = end.as_seconds().saturating_sub(now.as_seconds());
    if now > end.plus(RENEW_GRACE) {
        (Outcome::Fail, format!("certificate ended {end}, too long ago to be renewed: enroll again with a new token"))
    } else if left <= 0 {
        (Outcome::Warn, format!("certificate ended {end}: the next session can only renew it"))
    } else if left < RENEWAL_OVERDUE_SECONDS {
        let detail = "it is renewed while the agent runs and reaches an aggregator";
        (Outcome::Warn, format!("certificate ends {end} and is due for renewal: {detail}"))
    } else {
        (Outcome::Ok, format!("certificate ends {end}"))
    }
}

fn spool(config: &Config, checks: &mut Checks) {
    let path = config.spool_dir();
    let lanes = match offline::glance(&path) {
        Ok(lanes) => lanes,
        Err(OfflineError::Missing(_)) => {
            let detail = format!("{} does not exist yet; it is made at the first start", path.display());
            return checks.push("spool", Outcome::Ok, detail);
        }
        Err(error) => return checks.push("spool", Outcome::Fail, error.to_string()),
    };
    let segments: u64 = lanes.iter().map(|lane| lane.segments).sum();
    for lane in lanes.iter().filter(|lane| lane.states < lane.segments) {
        let (broken, of) = (lane.segments - lane.states, lane.segments);
        let detail =
            format!("lane {}: {broken} of {of} segments are damaged; see `picket-agent spool verify`", lane.lane);
        checks.push("spool", Outcome::Warn, detail);
    }
    if lanes.iter().all(|lane| lane.states >= lane.segments) {
        checks.push("spool", Outcome::Ok, format!("{}: {segments} segments begin well", path.display()));
    }
}

fn socket(config: &Config, checks: &mut Checks) {
    let (path, len) = (&config.socket, config.socket.as_os_str().len());
    let shown = path.display();
    if len > SOCKET_PATH_BYTES_MAX {
        let detail =
            format!("{shown} has {len} bytes, a socket's path at most {SOCKET_PATH_BYTES_MAX}; set a shorter `socket`");
        checks.push("socket", Outcome::Fail, detail);
    } else {
        checks.push("socket", Outcome::Ok, shown.to_string());
    }
}

fn aggregators(config: &Config, checks: &mut Checks) {
    for endpoint in &config.aggregators {
        match (endpoint.host.as_str(), endpoint.port).to_socket_addrs() {
            Ok(addresses) => {
                let addresses: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
                checks.push("aggregators", Outcome::Ok, format!("{endpoint} is {}", addresses.join(", ")));
            }
            Err(error) => {
                let detail = format!("{endpoint} does not resolve ({error}); the agent keeps trying while it runs");
                checks.push("aggregators", Outcome::Warn, detail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::exit::Reason;
    use shared::identity::Lane;

    use super::super::scratch::Scratch;
    use super::*;

    fn outcomes(checks: &Checks) -> Vec<(&str, Outcome)> {
        checks.all().iter().map(|check| (check.name, check.outcome)).collect()
    }

    #[test]
    fn a_file_with_five_mistakes_reports_five_and_exits_78() {
        let scratch = Scratch::new("validate-five");
        let options =
            scratch.agent("version: 9\nlable: {}\nstate_dir: []\nhostname: {}\naggregators: [a:b]\n", "ndjson");
        let mut out = Vec::new();
        let exit = run(&options, &mut out).unwrap_err();
        assert_eq!((exit.reason, exit.message), (Reason::Config, None));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.lines().all(|line| line.contains("agent.yaml:") && line.contains("\"fail\"")), "{text}");
    }

    #[test]
    fn mistakes_of_the_fleet_file_are_listed_too() {
        let scratch = Scratch::new("validate-fleet");
        scratch.file("fleet.yaml", "version: 1\ndefalts: {}\ndefaults: { spool: { max_bytes: 1 } }\n");
        let options = scratch.agent("version: 1\naggregators: [127.0.0.1]\nfleet: fleet.yaml\nstate_dir: .\n", "table");
        let found = checks(options.config_path());
        let expected = [("config", Outcome::Ok), ("fleet", Outcome::Fail), ("fleet", Outcome::Fail)];
        assert!(outcomes(&found).starts_with(&expected), "{found:?}");
    }

    #[test]
    fn a_source_of_a_later_version_is_a_warning_and_every_check_says_something() {
        let scratch = Scratch::new("validate-later");
        scratch.file("fleet.yaml", "version: 1\ndefaults: { sources: { journal: { type: journald } } }\n");
        let options = scratch.agent("version: 1\naggregators: [127.0.0.1]\nfleet: fleet.yaml\nstate_dir: s\n", "table");
        let found = checks(options.config_path());
        let expected = [
            ("config", Outcome::Ok),
            ("fleet", Outcome::Warn),
            ("state_dir", Outcome::Warn),
            ("identity", Outcome::Fail),
            ("spool", Outcome::Ok),
            ("socket", Outcome::Ok),
            ("aggregators", Outcome::Ok),
        ];
        assert_eq!(outcomes(&found), expected);
        assert!(found.all()[1].detail.ends_with("type journald is not available in this version"), "{found:?}");
        assert!(
            found.all()[3].detail.contains("picket-agent enroll"),
            "a host without an identity cannot run: {found:?}"
        );
        assert!(found.all()[6].detail.ends_with("is 127.0.0.1"), "{found:?}");
    }

    #[test]
    fn certificate_is_judged_by_its_end() {
        let now = Timestamp::from_seconds(1_773_653_400);
        let day = |days: u64| Duration::from_secs(days * 86_400);
        let at = |end: Timestamp| certificate(end, now).0;
        assert_eq!(at(now.plus(day(21))), Outcome::Ok);
        assert_eq!(at(now.plus(day(19))), Outcome::Warn);
        assert_eq!(at(now), Outcome::Warn);
        assert_eq!(certificate(now, now.plus(day(365))).0, Outcome::Warn);
        assert_eq!(certificate(now, now.plus(day(366))).0, Outcome::Fail);
    }

    fn of(scratch: &Scratch, yaml: &str, name: &str) -> Vec<(Outcome, String)> {
        let options = scratch.agent(yaml, "table");
        let found = checks(options.config_path());
        let named = found.all().iter().filter(|check| check.name == name);
        named.map(|check| (check.outcome, check.detail.clone())).collect()
    }

    #[test]
    fn identity_that_does_not_read_is_a_failure() {
        let scratch = Scratch::new("validate-identity");
        std::fs::create_dir_all(scratch.path("s/identity")).unwrap();
        scratch.file("s/identity/identity.pem", "broken");
        let found = of(&scratch, "version: 1\naggregators: [127.0.0.1]\nstate_dir: s\n", "identity");
        assert!(found[0].0 == Outcome::Fail && found[0].1.contains("enroll again"), "{found:?}");
    }

    #[test]
    fn damaged_segment_is_doubtful_and_says_where_to_look() {
        let scratch = Scratch::new("validate-spool");
        let folder = scratch.path("s/spool").join(Lane::Normal.name());
        std::fs::create_dir_all(&folder).unwrap();
        let yaml = "version: 1\naggregators: [127.0.0.1]\nstate_dir: s\n";
        assert_eq!(of(&scratch, yaml, "spool")[0].0, Outcome::Ok);
        std::fs::write(folder.join("0000000000000000.seg"), [0; 4_096]).unwrap();
        let found = of(&scratch, yaml, "spool");
        assert_eq!(found.len(), 1);
        assert!(found[0].0 == Outcome::Warn && found[0].1.contains("lane normal: 1 of 1"), "{found:?}");
    }

    #[test]
    fn socket_that_cannot_be_bound_is_a_failure() {
        let scratch = Scratch::new("validate-socket");
        let yaml = format!("version: 1\naggregators: [127.0.0.1]\nstate_dir: s\nsocket: /{}\n", "x".repeat(107));
        assert_eq!(of(&scratch, &yaml, "socket")[0].0, Outcome::Fail);
    }

    #[test]
    fn every_aggregator_is_looked_up() {
        let scratch = Scratch::new("validate-names");
        let yaml = "version: 1\naggregators: ['127.0.0.1', '[::1]:1']\nstate_dir: s\n";
        let found = of(&scratch, yaml, "aggregators");
        let details: Vec<_> = found.iter().map(|(_, detail)| detail.as_str()).collect();
        assert_eq!(details, ["127.0.0.1:7443 is 127.0.0.1", "[::1]:1 is ::1"]);
    }
}
