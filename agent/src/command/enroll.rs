//! `enroll`: makes this host an agent. A token in, an identity in `state_dir` and, where there is none, an agent.yaml out.
//!
//! A host is enrolled once: its certificate is renewed by `run`. An identity that is there is never replaced, and none is made
//! beside frames that another identity sealed and nobody acked: a new one could not send them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use shared::durable::{DurableError, STATE_FOLDER, Writer};
use shared::enroll::Token;
use shared::exit::{Exit, Reason};
use shared::time::Clock;
use shared::tls::ClientTls;
use shared::yaml::LoadError;

use crate::cli::{EnrollArgs, Options};
use crate::config::{self, Config, Endpoint};
use crate::enroll::first_config::write_first_config;
use crate::enroll::token::{TokenOptions, TokenOptionsError, read_token};
use crate::enroll::{EnrollError, Enrolling, Identity, IdentityStore, StoreError};
use crate::spool::offline::{self, OfflineError};
use crate::uplink;

/// Where the token may stand when no option names it.
pub const TOKEN_VARIABLE: &str = "PICKET_TOKEN";

/// Sends a request to an aggregator and gives its reply, or why there is none.
pub type Ask<'a> = &'a dyn Fn(&Endpoint, &ClientTls, &[u8]) -> Result<Vec<u8>, String>;

/// Enrolls over the network.
///
/// # Errors
/// Those of [`enroll`]; exit code 64 without a token or with text that is none, 74 for one that cannot be read.
pub fn run(options: &Options, arguments: &EnrollArgs, out: impl Write) -> Result<(), Exit> {
    let variable = std::env::var(TOKEN_VARIABLE).ok();
    let (token, file) = (arguments.token.as_deref(), arguments.token_file.as_deref());
    if token.is_some() {
        tracing::warn!(
            "every user of this host can see --token in the list of processes; --token-file or {TOKEN_VARIABLE} hide it"
        );
    }
    let given = TokenOptions { token, file, environment: variable.as_deref() };
    let token = read_token(given, &mut io::stdin().lock()).map_err(|error| {
        let reason = if matches!(error, TokenOptionsError::Unreadable { .. }) { Reason::Io } else { Reason::Usage };
        Exit::new(reason, error)
    })?;
    enroll(options, arguments, token, &over_quic, out)
}

fn over_quic(aggregator: &Endpoint, tls: &ClientTls, request: &[u8]) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(uplink::enroll(aggregator, tls, request)).map_err(|error| error.to_string())
}

/// Enrolls with `token`, through `ask`, and prints what came of it.
///
/// # Errors
/// Exit code 73 when the host has an identity or unacked frames already, or a file cannot be made; 69 when the aggregator does
/// not answer or refuses; 65 when its reply or what lies here cannot be used; 64 for a `--state-dir` that agent.yaml
/// contradicts; 78 for a wrong agent.yaml.
pub fn enroll(
    options: &Options,
    arguments: &EnrollArgs,
    token: Token,
    ask: Ask<'_>,
    mut out: impl Write,
) -> Result<(), Exit> {
    let path = options.config_path();
    let config = existing_config(path)?;
    let state_dir = state_dir(config.as_ref(), arguments.state_dir.as_deref())?;
    let writer = state_folder(&state_dir).map_err(|error| Exit::new(Reason::CannotCreate, error))?;
    let store = IdentityStore::new(&state_dir, writer);
    refuse_second_identity(&store, &state_dir)?;
    refuse_beside_unacked_frames(&state_dir)?;
    let hostname = config.as_ref().map_or_else(config::system_hostname, |config| config.hostname.clone());
    let identity = obtain(&store, token, &hostname, &arguments.aggregator, ask)?;
    writeln!(out, "enrolled as agent {}, certificate until {}", identity.agent(), identity.certificate().not_after)?;
    match &config {
        None => {
            let named = (state_dir != Path::new(config::DEFAULT_STATE_DIR)).then_some(&*state_dir);
            write_first_config(path, &arguments.aggregator, named, &writer).map_err(|error| {
                let aggregator = &arguments.aggregator;
                let advice = format!("write it by hand: `version: 1` and `aggregators: [\"{aggregator}\"]`");
                Exit::new(Reason::CannotCreate, format_args!("the host is enrolled, but {error}; {advice}"))
            })?;
            writeln!(out, "written: {}", path.display())?;
        }
        Some(config) if !config.aggregators.contains(&arguments.aggregator) => {
            let aggregator = &arguments.aggregator;
            writeln!(out, "{} does not name {aggregator}: add it to `aggregators`", path.display())?;
        }
        Some(_) => {}
    }
    writeln!(out, "next: systemctl start picket-agent, or: picket-agent run -c {}", path.display())?;
    Ok(out.flush()?)
}

/// The agent.yaml that is there.
fn existing_config(path: &Path) -> Result<Option<Config>, Exit> {
    match config::load(path) {
        Ok(loaded) => Ok(Some(loaded.config)),
        Err(LoadError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn state_dir(config: Option<&Config>, asked: Option<&Path>) -> Result<PathBuf, Exit> {
    let asked = asked.map(std::path::absolute).transpose();
    let asked = asked.map_err(|error| Exit::new(Reason::Usage, format_args!("--state-dir: {error}")))?;
    match (config, asked) {
        (Some(Config { state_dir, .. }), Some(asked))
            if std::path::absolute(state_dir).ok().as_ref() != Some(&asked) =>
        {
            let state_dir = state_dir.display();
            Err(Exit::new(Reason::Usage, format_args!("agent.yaml has state_dir: {state_dir}; leave --state-dir away")))
        }
        (Some(Config { state_dir, .. }), _) => Ok(state_dir.clone()),
        (None, Some(asked)) => Ok(asked),
        (None, None) => Ok(PathBuf::from(config::DEFAULT_STATE_DIR)),
    }
}

/// Makes the state folder where it is missing; it then belongs to the owner of the folder that it stands in.
fn state_folder(state_dir: &Path) -> Result<Writer, DurableError> {
    let nearest = state_dir.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let writer = Writer::for_owner_of(nearest)?;
    writer.folder(state_dir, STATE_FOLDER)?;
    Ok(writer)
}

fn refuse_second_identity(store: &IdentityStore, state_dir: &Path) -> Result<(), Exit> {
    let identity = match store.load() {
        Ok(None) => return Ok(()),
        Ok(Some(identity)) => identity,
        Err(error @ StoreError::Content { .. }) => return Err(Exit::new(Reason::Data, error)),
        Err(error) => return Err(Exit::new(Reason::Io, error)),
    };
    let (agent, end) = (identity.agent(), identity.certificate().not_after);
    let message = format!(
        "this host is agent {agent} already; its certificate ends {end} and is renewed while `picket-agent run` runs.\n\
         To make it another agent: stop picket-agent, move {identity} and {spool} away, and enroll again. What is not acked \
         then (`picket-agent spool stat`) is lost, and files are read again from where their sources begin",
        identity = state_dir.join("identity").display(),
        spool = state_dir.join(config::SPOOL_FOLDER).display()
    );
    Err(Exit::new(Reason::CannotCreate, message))
}

fn refuse_beside_unacked_frames(state_dir: &Path) -> Result<(), Exit> {
    let spool = state_dir.join(config::SPOOL_FOLDER);
    let lanes = match offline::stat(&spool) {
        Err(OfflineError::Missing(_)) => return Ok(()),
        other => other?,
    };
    let (frames, records) =
        lanes.iter().fold((0, 0), |(frames, records), lane| (frames + lane.unacked_frames, records + lane.spooled));
    if frames == 0 {
        return Ok(());
    }
    let message = format!(
        "{spool} holds {frames} unacked frames ({records} records) of an identity that is gone: a new one cannot send them.\n\
         Put {identity} back, or move {spool} away and lose them; files are then read again from where their sources begin",
        spool = spool.display(),
        identity = state_dir.join("identity").display()
    );
    Err(Exit::new(Reason::CannotCreate, message))
}

fn obtain(
    store: &IdentityStore,
    token: Token,
    hostname: &str,
    aggregator: &Endpoint,
    ask: Ask<'_>,
) -> Result<Identity, Exit> {
    let clock = Clock::System;
    let enrolling = Enrolling::start(store, token, hostname, clock.instant()).map_err(failed)?;
    let tls = enrolling.tls().map_err(|error| failed(error.into()))?;
    let request = shared::enroll::encode(enrolling.request()).map_err(|error| Exit::new(Reason::Internal, error))?;
    let reply = ask(aggregator, &tls, &request).map_err(|error| {
        Exit::new(Reason::Unavailable, format_args!("{error}; trying again with the same token is safe"))
    })?;
    let reply = shared::enroll::decode(&reply).map_err(|error| Exit::new(Reason::Data, error))?;
    enrolling.finish(store, reply, clock.instant()).map_err(failed)
}

fn failed(error: EnrollError) -> Exit {
    let reason = match &error {
        EnrollError::Refused { .. } => Reason::Unavailable,
        EnrollError::Reply(_) => Reason::Data,
        EnrollError::Store(_) => Reason::CannotCreate,
        EnrollError::Key(_) | EnrollError::Tls(_) => Reason::Internal,
    };
    Exit::new(reason, error)
}

#[cfg(test)]
mod tests {
    use shared::enroll::{Refused, RefusedCode, Reply, TokenId};
    use shared::tls::KeyHash;

    use super::super::scratch::Scratch;
    use super::*;

    fn arguments() -> EnrollArgs {
        EnrollArgs { aggregator: "agg1".parse().unwrap(), token_file: None, token: None, state_dir: None }
    }

    fn token() -> Token {
        Token::new(KeyHash([1; 32]), TokenId([2; 8]), [3; 16])
    }

    fn never(_: &Endpoint, _: &ClientTls, _: &[u8]) -> Result<Vec<u8>, String> {
        panic!("nothing is asked")
    }

    #[test]
    fn aggregator_that_does_not_answer_or_refuses_is_69_and_leaves_no_identity() {
        let scratch = Scratch::new("enroll-refused");
        let options = scratch.agent("version: 1\naggregators: [agg1]\nstate_dir: s\n", "table");
        let silent = |endpoint: &Endpoint, _: &ClientTls, _: &[u8]| Err(format!("{endpoint}: no answer in time"));
        let exit = enroll(&options, &arguments(), token(), &silent, Vec::new()).unwrap_err();
        assert_eq!(exit.reason, Reason::Unavailable);
        assert_eq!(exit.message.unwrap(), "agg1:7443: no answer in time; trying again with the same token is safe");
        let refused = Reply::Refused(Refused { code: RefusedCode::Token, message: "the token is used up".into() });
        let refusing = move |_: &Endpoint, _: &ClientTls, _: &[u8]| Ok(shared::enroll::encode(&refused).unwrap());
        let exit = enroll(&options, &arguments(), token(), &refusing, Vec::new()).unwrap_err();
        assert_eq!(exit.reason, Reason::Unavailable);
        assert!(exit.message.unwrap().contains("the token is used up"));
        assert!(!scratch.path("s/identity/identity.pem").exists());
        let nonsense = |_: &Endpoint, _: &ClientTls, _: &[u8]| Ok(b"nonsense".to_vec());
        assert_eq!(enroll(&options, &arguments(), token(), &nonsense, Vec::new()).unwrap_err().reason, Reason::Data);
    }

    #[test]
    fn identity_that_does_not_read_is_not_written_over() {
        let scratch = Scratch::new("enroll-broken");
        let options = scratch.agent("version: 1\naggregators: [agg1]\nstate_dir: s\n", "table");
        std::fs::create_dir_all(scratch.path("s/identity")).unwrap();
        scratch.file("s/identity/identity.pem", "broken");
        let exit = enroll(&options, &arguments(), token(), &never, Vec::new()).unwrap_err();
        assert_eq!(exit.reason, Reason::Data);
        assert!(exit.message.unwrap().contains("remove it and enroll again"));
        assert_eq!(std::fs::read(scratch.path("s/identity/identity.pem")).unwrap(), b"broken");
    }

    #[test]
    fn state_dir_is_of_the_file_or_of_the_option_and_they_do_not_contradict() {
        let scratch = Scratch::new("enroll-dirs");
        let options = scratch.agent("version: 1\naggregators: [agg1]\nstate_dir: s\n", "table");
        let asked = |name: &str| EnrollArgs { state_dir: Some(scratch.path(name)), ..arguments() };
        let exit = enroll(&options, &asked("other"), token(), &never, Vec::new()).unwrap_err();
        assert_eq!(exit.reason, Reason::Usage);
        assert!(!scratch.path("other").exists());
        let silent = |_: &Endpoint, _: &ClientTls, _: &[u8]| Err("silent".to_owned());
        assert_eq!(
            enroll(&options, &asked("s"), token(), &silent, Vec::new()).unwrap_err().reason,
            Reason::Unavailable
        );
        scratch.file("agent.yaml", "version: 2\n");
        assert_eq!(enroll(&options, &arguments(), token(), &never, Vec::new()).unwrap_err().reason, Reason::Config);
    }

    #[test]
    fn state_folder_that_cannot_be_made_is_73() {
        let scratch = Scratch::new("enroll-nodir");
        scratch.file("file", "");
        let options = scratch.agent("version: 1\naggregators: [agg1]\nstate_dir: file/s\n", "table");
        let exit = enroll(&options, &arguments(), token(), &never, Vec::new()).unwrap_err();
        assert_eq!(exit.reason, Reason::CannotCreate, "{exit}");
    }
}
