//! `token create|list|revoke`: leave for hosts to enroll. The aggregator may run or not: a token is a file, and the
//! folder has a lock of its own.

use std::io::{self, Write};

use shared::durable::Writer;
use shared::enroll::TokenId;
use shared::exit::{Exit, Reason};
use shared::table::Table;
use shared::time::Timestamp;

use super::{configuration, moment};
use crate::ca::token::{TokenError, TokenSpec, TokenState, Tokens};
use crate::ca::{Authority, CaError};
use crate::cli::{Options, TokenCommand, TokenCreateArgs};
use crate::directory::Facts;

/// Does it.
///
/// # Errors
/// Exit codes: 65 for a token that is not there or does not read, 73 when there are too many, 74 for files, 78 for
/// a missing authority or a wrong configuration.
pub fn run(options: &Options, command: &TokenCommand, now: Timestamp, out: impl Write) -> Result<(), Exit> {
    let config = configuration(options)?;
    let authority = Authority::load(&config.state_dir).map_err(|error| authority_exit(&error))?;
    let writer = Writer::for_owner_of(&config.state_dir).map_err(|error| Exit::new(Reason::Io, error))?;
    let tokens = Tokens::open(&config.state_dir, authority.key_hash(), writer).map_err(|error| exit(&error))?;
    match command {
        TokenCommand::Create(arguments) => create(&tokens, arguments, now, out),
        TokenCommand::List => list(&tokens, options, now, out),
        TokenCommand::Revoke { id } => revoke(&tokens, id, now),
    }
}

/// Prints the token alone, so that a script can take it as it is.
fn create(tokens: &Tokens, arguments: &TokenCreateArgs, now: Timestamp, mut out: impl Write) -> Result<(), Exit> {
    let TokenCreateArgs { group, zone, tenant, tags, ttl, uses } = arguments;
    let facts = Facts {
        group: Some(group.clone()),
        zone: zone.clone(),
        tenant: tenant.clone(),
        tags: tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
    };
    let spec = TokenSpec { facts, ttl: *ttl, uses: *uses };
    let token = tokens.create(&spec, now).map_err(|error| exit(&error))?;
    let printed = writeln!(out, "{}", token.reveal()).and_then(|()| out.flush());
    if printed.is_err() {
        // Nobody has it, and nobody ever will.
        tokens.revoke(token.id, now).map_err(|error| exit(&error))?;
    }
    Ok(printed?)
}

fn list(tokens: &Tokens, options: &Options, now: Timestamp, out: impl Write) -> Result<(), Exit> {
    let (found, damaged) = tokens.list(now).map_err(|error| exit(&error))?;
    let columns = ["id", "group", "zone", "tenant", "tags", "state", "used", "uses", "created", "expires"];
    let mut table = Table::new(out, options.output, &columns);
    for token in found {
        let state = match token.state {
            TokenState::Open => "open",
            TokenState::UsedUp => "used_up",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
        };
        table.row([
            token.id.to_string().into(),
            token.facts.group.as_deref().into(),
            token.facts.zone.as_deref().into(),
            token.facts.tenant.as_deref().into(),
            token.facts.labels().collect::<Vec<_>>().join(", ").into(),
            state.into(),
            token.used.into(),
            token.uses_max.into(),
            moment(token.created),
            moment(token.expires),
        ])?;
    }
    table.finish()?;
    if damaged.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    Err(Exit::new(Reason::Data, all.join("\n")))
}

fn revoke(tokens: &Tokens, id: &str, now: Timestamp) -> Result<(), Exit> {
    let id: TokenId = id.parse().map_err(|error| {
        Exit::new(Reason::Usage, format_args!("{error}: `picket-aggregator token list` shows the ids"))
    })?;
    tokens.revoke(id, now).map_err(|error| exit(&error))
}

fn exit(error: &TokenError) -> Exit {
    let reason = match error {
        TokenError::Ttl(_) | TokenError::Uses(_) | TokenError::Group | TokenError::Facts => Reason::Usage,
        TokenError::Unknown(_) | TokenError::Damaged { .. } => Reason::Data,
        TokenError::TooMany => Reason::CannotCreate,
        TokenError::File(_) => Reason::Io,
        TokenError::Random(_) => Reason::Internal,
    };
    Exit::new(reason, error)
}

fn authority_exit(error: &CaError) -> Exit {
    let missing = matches!(error, CaError::File(file) if file.source.kind() == io::ErrorKind::NotFound);
    let advice = if missing { "; make an authority with `picket-aggregator init --dir DIR`" } else { "" };
    Exit::new(Reason::Config, format_args!("{error}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::scratch::Scratch;

    #[test]
    fn a_token_stands_alone_on_stdout_and_is_listed_without_its_secret() {
        let scratch = Scratch::initialized("token");
        let facts = "--group web --zone dmz --tenant acme --tag role=shop --tag site=ber";
        let text = scratch.text(&format!("token create {facts} --ttl 1h --uses 3")).unwrap();
        let token: shared::enroll::Token = text.strip_suffix('\n').unwrap().parse().unwrap();
        let rows = scratch.rows("token list");
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0]["id"].as_str(), rows[0]["group"].as_str()), (Some(&*token.id.to_string()), Some("web")));
        assert_eq!((rows[0]["zone"].as_str(), rows[0]["tenant"].as_str()), (Some("dmz"), Some("acme")));
        assert_eq!(rows[0]["tags"], "role=shop, site=ber");
        assert_eq!((rows[0]["state"].as_str(), rows[0]["uses"].as_u64()), (Some("open"), Some(3)));
        assert!(!scratch.text("token list").unwrap().contains(&text[60..90]));
        assert_eq!(scratch.text(&format!("token revoke {}", token.id)).unwrap(), "");
        assert_eq!(scratch.rows("token list")[0]["state"], "revoked");
    }

    #[test]
    fn tokens_are_made_while_an_aggregator_holds_the_state() {
        let scratch = Scratch::initialized("token-lock");
        let state = scratch.state();
        let writer = Writer::for_owner_of(&state).unwrap();
        let _lock = crate::ca::lock::StateLock::take(&state, &writer).unwrap();
        assert!(scratch.text("token create").unwrap().starts_with("picket1."));
    }

    #[test]
    fn what_is_not_there_is_named_with_its_exit_code() {
        let scratch = Scratch::initialized("token-bad");
        let reason = |line: &str| scratch.text(line).unwrap_err().reason;
        assert_eq!(reason("token revoke web-1"), Reason::Usage);
        assert_eq!(reason("token revoke 0011223344556677"), Reason::Data);
        std::fs::write(scratch.state().join("tokens/0011223344556677.json"), "{").unwrap();
        assert_eq!(reason("token list"), Reason::Data);
        std::fs::remove_dir_all(scratch.state().join("ca")).unwrap();
        let exit = scratch.text("token create").unwrap_err();
        assert_eq!(exit.reason, Reason::Config);
        assert!(exit.to_string().contains("init --dir"), "{exit}");
    }

    #[test]
    fn a_token_that_nobody_could_read_is_revoked() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let scratch = Scratch::initialized("token-pipe");
        let cli = scratch.parse("token create");
        let crate::cli::Command::Token(command) = &cli.command else { panic!("parsed as something else") };
        assert_eq!(run(&cli.options, command, scratch.now, Closed).unwrap_err().reason, Reason::Io);
        assert_eq!(scratch.rows("token list")[0]["state"], "revoked");
    }
}
