//! What the test knows of commands that do not simply run and end with 0: how they end, what has to hold before, and which of
//! them are run elsewhere, and why.

/// What is different about a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It runs and ends with 0.
    Ends,
    /// It goes on until it is stopped; a command that ends well once it is ready.
    GoesOn(&'static str),
    /// What this command waits for has to end well first.
    After(&'static str),
    /// The configuration that it makes commits twice a second from here on, so that nobody waits for minutes.
    Makes(&'static str),
    /// It is not run here.
    Elsewhere {
        /// Why.
        why: &'static str,
        /// What runs it, or shows the same: a path of the workspace.
        by: &'static str,
    },
}

/// Programs that the pages may call; every other one fails the test.
pub const PROGRAMS: [&str; 10] =
    ["picket-agent", "picket-aggregator", "duckdb", "systemctl", "journalctl", "curl", "cp", "tar", "rm", "sed"];

const LAKE: &str = "ls -d /var/lib/picket-aggregator/lake/class=authentication/*/*.parquet";
/// A host's first inventory comes after its first lines.
const INVENTORY: &str = "ls -d /var/lib/picket-aggregator/lake/class=evidence_info/*/*.parquet";
const BUILDS: &str = "it builds the workspace, for minutes to hours";

/// By the begin of a command, the longest that fits.
pub const KNOWN: [(&str, How); 24] = [
    ("picket-aggregator init --dir /srv/picket", How::Makes("/srv/picket/aggregator.yaml")),
    ("picket-aggregator run -c /srv/picket", How::GoesOn("picket-aggregator status -c /srv/picket/aggregator.yaml")),
    ("sudo picket-agent run", How::GoesOn("picket-agent status | grep -q '; 0 frames' && exit 1; picket-agent status")),
    (
        "duckdb -c \"select time, device.hostname, \\\"user\\\".name, src_endpoint.ip, raw_data",
        How::After("ls -d /srv/picket/lake/class=authentication/*/*.parquet"),
    ),
    ("duckdb -c \"select query_evidence", How::After(INVENTORY)),
    ("duckdb -c \"select unmapped->>'$.table'", How::After(INVENTORY)),
    ("duckdb", How::After(LAKE)),
    ("picket-agent status | head", How::After("picket-agent status | grep -q '! no session'")),
    ("picket-aggregator status | head", How::After("picket-aggregator status | grep -q '! the fleet file is refused'")),
    ("picket-aggregator fleet status", How::After("! picket-aggregator status | grep -q refused,")),
    ("printf", How::Ends),
    ("cargo xtask demo", How::Elsewhere { why: "it runs until it is ended", by: "xtask/src/demo.rs" }),
    ("cargo xtask test", How::Elsewhere { why: "it is what runs this test", by: ".ci/run" }),
    ("cargo xtask package", How::Elsewhere { why: BUILDS, by: "tests/functional/packages/main.rs" }),
    ("cargo xtask bench", How::Elsewhere { why: BUILDS, by: "tests/performance/main.rs" }),
    ("cargo xtask fuzz", How::Elsewhere { why: BUILDS, by: "tests/fuzz/seeded.rs" }),
    ("cargo xtask mutate", How::Elsewhere { why: BUILDS, by: "xtask/src/mutate.rs" }),
    ("cargo install", How::Elsewhere { why: "it installs a tool for developers", by: "xtask/src/fuzz.rs" }),
    ("cargo run", How::Elsewhere { why: BUILDS, by: "tests/fuzz/main.rs" }),
    ("cargo test", How::Elsewhere { why: BUILDS, by: ".ci/run" }),
    ("export CARGO_", How::Elsewhere { why: "it sets up a build", by: ".ci/run" }),
    ("tshark", How::Elsewhere { why: "what a figure was measured with", by: "tests/performance/packets/mod.rs" }),
    ("tcpreplay", How::Elsewhere { why: "what a figure was measured with", by: "tests/performance/packets/live.rs" }),
    ("apt", How::Elsewhere { why: "it needs a Debian of its own", by: "tests/functional/packages/main.rs" }),
];

/// A command without the variables that it is given and without `sudo`.
fn bare(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let assigns =
            word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        match rest.strip_prefix("sudo ").or_else(|| rest.strip_prefix(word).filter(|_| assigns)) {
            Some(after) => rest = after.trim_start(),
            None => return rest,
        }
    }
}

/// What is known of a command; none: nothing, it must not stand in a page.
pub fn how(text: &str) -> Option<(usize, How)> {
    let fits = |(_, (begin, _)): &(usize, &(&str, How))| text.starts_with(begin) || bare(text).starts_with(begin);
    let longest = KNOWN.iter().enumerate().filter(fits).max_by_key(|(_, (begin, _))| begin.len());
    if let Some((at, (_, how))) = longest {
        return Some((at, *how));
    }
    let program = bare(text).split_whitespace().next()?;
    PROGRAMS.contains(&program).then_some((KNOWN.len(), How::Ends))
}

#[test]
fn a_command_that_nobody_knows_is_none() {
    assert_eq!(how("make install"), None);
    assert_eq!(how("picket-agent status"), Some((KNOWN.len(), How::Ends)));
    assert!(matches!(how("PICKET_SEEDS=1 cargo test -p x"), Some((_, How::Elsewhere { .. }))));
    assert!(matches!(how("sudo picket-agent run -c x"), Some((_, How::GoesOn(_)))));
    assert!(matches!(how("duckdb -c 'select 1'"), Some((_, How::After(LAKE)))));
}
