//! `journal replay`: the running aggregator is asked for history again; the command waits for the end, or does not.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;
use shared::exit::{Exit, Reason};
use shared::stop::{Stage, Stop};
use shared::table::{Output, Table};
use shared::time::Timestamp;

use super::{answer, card, moment, moment_or_null, named};
use crate::admin::socket::Request;
use crate::cli::{Options, ReplayArgs};
use crate::config::Config;
use crate::pipeline::replay::{Plan, Replay, State};

/// The aggregator is asked again how far it is after this.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

const COLUMNS: [&str; 15] = [
    "id",
    "state",
    "sink",
    "store",
    "agent",
    "since",
    "until",
    "position",
    "through",
    "events",
    "unreadable",
    "expired",
    "started_at",
    "ended_at",
    "error",
];

/// Does it.
///
/// # Errors
/// Exit codes: 65 for an agent or a sink that is not one, a journal without frames, a replay that was cancelled; 69
/// when no aggregator runs, it is busy with another replay, or it stops.
pub(super) fn run(
    config: &Config,
    options: &Options,
    arguments: &ReplayArgs,
    now: Timestamp,
    out: impl Write,
) -> Result<(), Exit> {
    if let Some(id) = &arguments.cancel {
        let replay: Replay = answer(config, &Request::CancelReplay { id: id.clone() })?;
        return Ok(one(&watch(config, replay, options.output)?, options.output, out)?);
    }
    let Some(sink) = &arguments.to else { return list(config, options.output, out) };
    let plan = Plan {
        sink: sink.clone(),
        agent: named(config, arguments.agent.as_deref())?,
        since: arguments.since.map(|since| since.moment(now)),
        until: arguments.until.map(|until| until.moment(now)),
    };
    let begun: Replay = answer(config, &Request::Replay(plan))?;
    let ended = if arguments.detach { begun } else { watch(config, begun, options.output)? };
    one(&ended, options.output, out)?;
    match ended.state {
        State::Cancelled => Err(Exit::new(Reason::Data, format_args!("replay {} was cancelled", ended.id))),
        State::Running | State::Finished => Ok(()),
    }
}

/// Waits until a replay is over; says on a terminal how far it is.
fn watch(config: &Config, begun: Replay, output: Output) -> Result<Replay, Exit> {
    use std::io::IsTerminal as _;
    let shown = output == Output::Table && io::stderr().is_terminal();
    let (mut replay, mut trouble) = (begun, None);
    while replay.state == State::Running {
        if replay.error.is_some() && replay.error != trouble {
            tracing::warn!(error = replay.error, "the replay does not get on; the aggregator tries again");
            trouble.clone_from(&replay.error);
        }
        if shown {
            let Replay { tally, through, .. } = &replay;
            eprint!("\r{} of {through} positions, {} events ", tally.position.min(*through), tally.events);
        }
        let _ = Stop::new().wait_timeout(Stage::Now, LOOK_INTERVAL);
        let known: Vec<Replay> = answer(config, &Request::Replays).map_err(|exit| {
            let goes_on = "the replay goes on when the aggregator runs again: see `journal replay`";
            Exit::new(Reason::Unavailable, format_args!("{exit}; {goes_on}"))
        })?;
        let gone = || Exit::new(Reason::Data, format_args!("replay {} is not known any more", replay.id));
        replay = known.into_iter().find(|known| known.id == replay.id).ok_or_else(gone)?;
    }
    if shown {
        eprint!("\r\x1b[K");
    }
    Ok(replay)
}

fn values(replay: &Replay) -> [Value; COLUMNS.len()] {
    let Replay { id, plan, store, through, state, tally, error, started_at, ended_at } = replay;
    [
        id.as_str().into(),
        state.name().into(),
        plan.sink.as_str().into(),
        store.display().to_string().into(),
        plan.agent.map_or(Value::Null, |agent| agent.to_string().into()),
        moment_or_null(plan.since),
        moment_or_null(plan.until),
        tally.position.into(),
        (*through).into(),
        tally.events.into(),
        tally.unreadable.into(),
        tally.expired.into(),
        moment(*started_at),
        moment_or_null(*ended_at),
        error.as_deref().into(),
    ]
}

fn one(replay: &Replay, output: Output, out: impl Write) -> io::Result<()> {
    card::print(out, output, &COLUMNS, values(replay))
}

fn list(config: &Config, output: Output, out: impl Write) -> Result<(), Exit> {
    let replays: Vec<Replay> = answer(config, &Request::Replays)?;
    let mut table = Table::new(out, output, &COLUMNS);
    for replay in &replays {
        table.row(values(replay))?;
    }
    Ok(table.finish()?)
}
