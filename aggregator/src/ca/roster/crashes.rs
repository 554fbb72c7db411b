//! The roster under a crash at every call: who was enrolled, renewed or revoked with an answer stays so; a change that
//! was not answered is there whole or not at all; what opening finds is as good as answered.

use shared::log::ModelFs;
use shared::log::model::crashes::{Dice, Ran, crash_at_every_call};

use super::*;
use crate::ca::tests::NOW;

const DIR: &str = "/state";

/// What is known over all lives of the roster.
#[derive(Default)]
struct Known {
    /// Every change that was answered, applied.
    book: Book,
    /// Changes that were begun since and not answered.
    begun: Vec<Change>,
    power_losses: u64,
}

fn agent(n: u64) -> AgentId {
    AgentId::v7(n, [3; 10])
}

fn change(dice: &mut Dice) -> Change {
    let (agent, at) = (agent(dice.below(6)), NOW.plus(std::time::Duration::from_secs(dice.below(400_000))));
    let n = u8::try_from(dice.below(256)).unwrap();
    let given = Given { serial: Serial([n; 16]), key: KeyHash([n; 32]), not_after: at };
    let text = |dice: &mut Dice, longest| "x".repeat(usize::try_from(dice.below(longest)).unwrap());
    match dice.below(4) {
        0 => Change::Revoked { agent, at, reason: text(dice, 200) },
        1 => Change::Renewed { agent, at, given },
        _ => {
            let (hostname, token) = (text(dice, 200), TokenId([n; 8]));
            Change::Enrolled { agent, at, hostname, facts: Facts::of_group(&text(dice, 600)), token, given }
        }
    }
}

/// Opens the roster and holds it against what is known.
fn open(fs: &ModelFs, known: &mut Known) -> Result<Roster, RosterError> {
    let revocations = Revocations::default();
    let roster = Roster::open_on(Path::new(DIR), &Writer::on(fs.clone()), revocations.clone())?;
    let with = |change: &Change| {
        let mut book = known.book.clone();
        book.apply(change.clone());
        book
    };
    let is_known = *roster.book() == known.book || known.begun.iter().any(|change| *roster.book() == with(change));
    assert!(is_known, "{:?}\nis neither {:?}\nnor that with one of {:?}", roster.book(), known.book, known.begun);
    let damaged = roster.found().damaged_lines;
    assert!(damaged <= known.power_losses, "{damaged} lines that nobody answered for, or that are altered");
    for entry in roster.book().agents() {
        assert_eq!(revocations.contains(entry.agent), entry.revoked.is_some());
    }
    let bytes = fs.read(&path(Path::new(DIR))).expect("it is up");
    assert!(bytes.last().is_none_or(|byte| *byte == b'\n') && bytes.len() as u64 == roster.length, "the tail is cut");
    (known.book, known.begun) = (roster.book().clone(), Vec::new());
    Ok(roster)
}

fn record(roster: &mut Roster, known: &mut Known, change: Change) -> Result<(), RosterError> {
    known.begun.push(change.clone());
    roster.record(change)?;
    known.book.apply(known.begun.pop().unwrap());
    // What was refused before it stood in its place.
    known.begun.clear();
    assert_eq!(*roster.book(), known.book);
    Ok(())
}

/// Random steps until the power goes. A roster that is not trusted any more is opened again.
fn live(fs: &ModelFs, mut roster: Roster, known: &mut Known, dice: &mut Dice, steps: u32) {
    for _ in 0..steps {
        let result = match dice.below(16) {
            0 => {
                fs.fail_sync_at(1 + dice.below(2));
                Ok(())
            }
            1 => {
                let more = dice.below(3_000);
                fs.room((dice.below(2) == 0).then(|| fs.taken() + more));
                Ok(())
            }
            2 => open(fs, known).map(|opened| roster = opened),
            _ => record(&mut roster, known, change(dice)),
        };
        if result.is_ok() || roster.trusted {
            continue;
        }
        let refused = roster.record(change(dice));
        assert!(fs.is_down() || matches!(refused, Err(RosterError::Untrusted { .. })), "{refused:?}");
        fs.room(None);
        match (0..2).find_map(|_| open(fs, known).ok()) {
            Some(opened) => roster = opened,
            None => {
                assert!(fs.is_down(), "a roster opens again");
                return;
            }
        }
    }
}

fn crash(fs: &ModelFs, known: &mut Known, dice: &mut Dice) {
    fs.room(None);
    if dice.below(3) == 0 {
        fs.kill();
    } else {
        fs.power_loss();
        known.power_losses += 1;
    }
}

fn run(seed: u64, at: u64) -> Ran {
    let (mut dice, mut known) = (Dice::new(seed), Known::default());
    let fs = ModelFs::new(seed ^ at);
    fs.short_reads(seed.is_multiple_of(3));
    fs.short_writes(seed.is_multiple_of(2));
    fs.create_dir(Path::new(DIR)).unwrap();
    let begun = fs.calls();
    fs.power_off_at(at);
    if let Ok(roster) = open(&fs, &mut known) {
        live(&fs, roster, &mut known, &mut dice, 40);
    }
    let ran = Ran::of(&fs, begun);
    for steps in [15, 8] {
        crash(&fs, &mut known, &mut dice);
        // Opening may meet the next crash.
        fs.power_off_at(1 + dice.below(20));
        match open(&fs, &mut known) {
            Ok(roster) => live(&fs, roster, &mut known, &mut dice, steps),
            Err(error) => assert!(fs.is_down(), "a roster opens after any crash: {error}"),
        }
    }
    crash(&fs, &mut known, &mut dice);
    open(&fs, &mut known).expect("a roster opens after any crash");
    fs.power_loss();
    open(&fs, &mut known).expect("a roster opens after any crash");
    ran
}

#[test]
fn roster_keeps_what_it_answered_through_a_crash_at_every_call() {
    crash_at_every_call("roster", 10, run);
}

#[test]
fn revocation_whose_sync_failed_is_durable_before_anybody_hears_of_it_again() {
    for seed in 1..=20 {
        let fs = ModelFs::new(seed);
        fs.create_dir(Path::new(DIR)).unwrap();
        let again = || Roster::open_on(Path::new(DIR), &Writer::on(fs.clone()), Revocations::default()).unwrap();
        let mut roster = again();
        fs.fail_sync_at(1);
        assert!(roster.revoke(agent(1), "stolen", NOW).is_err());
        // The line is in the page cache, and will never be written by itself.
        assert_eq!(again().revoke(agent(1), "stolen", NOW).unwrap(), Revocation::Before);
        fs.power_loss();
        assert!(again().book().agent(agent(1)).is_some_and(|entry| entry.revoked.is_some()), "seed {seed}");
    }
}
