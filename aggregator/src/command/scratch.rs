//! A folder for the tests of the commands: what `init` makes, and command lines run against it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use shared::durable::Writer;
use shared::enroll::{Der, EnrollRequest, Reply};
use shared::exit::Exit;
use shared::identity::AgentId;
use shared::time::Timestamp;
use shared::tls::Revocations;

use crate::ca::Authority;
use crate::ca::enrollment::Enrollment;
use crate::ca::init::{InitOptions, init};
use crate::ca::lock::StateLock;
use crate::ca::roster::Roster;
use crate::ca::tests::{NOW, request};
use crate::ca::token::{TokenSpec, Tokens};
use crate::cli::{Cli, PROGRAM, dispatch};

/// A folder that is gone when the test ends.
pub(crate) struct Scratch {
    pub(crate) dir: PathBuf,
    pub(crate) now: Timestamp,
}

impl Scratch {
    /// An empty folder.
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("picket-aggregator-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir, now: NOW }
    }

    /// A folder that `init` made.
    pub(crate) fn initialized(name: &str) -> Self {
        let scratch = Self::new(name);
        std::fs::remove_dir(&scratch.dir).unwrap();
        init(&InitOptions { dir: scratch.dir.clone(), ..InitOptions::default() }, "agg-1", NOW).unwrap();
        scratch
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Lets an agent of this host name in, as an enrollment does.
    pub(crate) fn enroll(&self, hostname: &str) -> AgentId {
        let state = self.state();
        let writer = Writer::for_owner_of(&state).unwrap();
        let authority = Authority::load(&state).unwrap();
        let tokens = Tokens::open(&state, authority.key_hash(), writer).unwrap();
        let spec =
            TokenSpec { facts: crate::directory::Facts::of_group("web"), ttl: Duration::from_secs(3_600), uses: 1 };
        let token = tokens.create(&spec, self.now).unwrap();
        let lock = StateLock::take(&state, &writer).unwrap();
        let roster = Roster::open(&state, writer, Revocations::default(), &lock).unwrap();
        let request = EnrollRequest { token: token.reveal(), csr: Der(request().1), hostname: hostname.to_owned() };
        match Enrollment::new(authority, tokens, roster).enroll(&request, self.now) {
            (Reply::Issued(issued), None) => issued.agent,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), text).unwrap();
    }

    /// A command line, `DIR` standing for the folder, with `-c DIR/aggregator.yaml` unless it says otherwise.
    pub(crate) fn parse(&self, line: &str) -> Cli {
        let config = if line.contains("-c ") || line.contains("--fleet ") { "" } else { " -c DIR/aggregator.yaml" };
        let line = format!("{PROGRAM} {line}{config}").replace("DIR", self.dir.to_str().unwrap());
        Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// What a command line prints, and how it ends.
    pub(crate) fn output(&self, line: &str) -> (Vec<u8>, Result<(), Exit>) {
        let mut out = Vec::new();
        let result = dispatch(&self.parse(line), self.now, &mut out);
        (out, result)
    }

    /// What it prints, as text.
    pub(crate) fn text(&self, line: &str) -> Result<String, Exit> {
        let (out, result) = self.output(line);
        result.map(|()| String::from_utf8(out).unwrap())
    }

    /// What it prints with `--output json`, as rows; it may fail.
    pub(crate) fn rows(&self, line: &str) -> Vec<Value> {
        let (out, result) = self.output(&format!("{line} --output json"));
        serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{line}: {error}: {result:?}"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
