//! The roster's file: cut anywhere, damaged anywhere, written by chance.

use std::io::Write as _;

use super::*;
use crate::ca::tests::{NOW, folder};

fn agent(n: u64) -> AgentId {
    AgentId::v7(n, [3; 10])
}

fn given(n: u8) -> Given {
    Given { serial: Serial([n; 16]), key: KeyHash([n; 32]), not_after: NOW }
}

fn enrolled(n: u64) -> Change {
    Change::Enrolled {
        agent: agent(n),
        at: NOW,
        hostname: format!("web-{n}"),
        facts: Facts::of_group("web"),
        token: TokenId([1; 8]),
        given: given(1),
    }
}

fn open(dir: &Path) -> Roster {
    let writer = Writer::for_owner_of(dir).unwrap();
    let lock = StateLock::take(dir, &writer).unwrap();
    Roster::open(dir, writer, Revocations::default(), &lock).unwrap()
}

#[test]
fn roster_cut_at_any_byte_opens_with_every_whole_line_and_goes_on() {
    let dir = folder("roster-cut");
    let mut roster = open(&dir);
    let mut states = vec![(0, Book::default())];
    let changes = [
        enrolled(1),
        enrolled(2),
        Change::Renewed { agent: agent(1), at: NOW, given: given(2) },
        Change::Revoked { agent: agent(2), at: NOW, reason: "stolen \"laptop\"\n".to_owned() },
    ];
    for change in changes {
        roster.record(change).unwrap();
        states.push((roster.length, roster.book().clone()));
    }
    let path = path(&dir);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let (end, book) = states.iter().rev().find(|(end, _)| *end <= length as u64).unwrap();
        assert_eq!(Roster::view(&dir).unwrap().0, *book, "viewing {length}");
        let mut opened = open(&dir);
        assert_eq!(opened.book(), book, "opening {length}");
        let torn = Found { torn_bytes: length as u64 - end, ..Found::default() };
        assert_eq!(opened.found(), torn);
        opened.record(enrolled(9)).unwrap();
        assert!(open(&dir).book().agent(agent(9)).is_some(), "going on after {length}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn damaged_line_takes_no_other_with_it_and_is_reported() {
    let dir = folder("roster-damage");
    let mut roster = open(&dir);
    for n in 1..=3 {
        roster.record(enrolled(n)).unwrap();
    }
    let path = path(&dir);
    let whole = std::fs::read(&path).unwrap();
    let second = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
    let third = second + whole[second..].iter().position(|&b| b == b'\n').unwrap() + 1;
    for at in second..third - 1 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x01;
        std::fs::write(&path, &damaged).unwrap();
        let opened = open(&dir);
        assert!(opened.book().agent(agent(1)).is_some() && opened.book().agent(agent(3)).is_some(), "byte {at}");
        assert_eq!(
            opened.found().damaged_lines + opened.found().ignored_lines,
            1 + u64::from(damaged[at] == b'\n'),
            "byte {at}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "what is damaged stays as evidence");
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn overlong_and_hostile_lines_are_bounded() {
    let dir = folder("roster-hostile");
    let mut roster = open(&dir);
    roster.record(enrolled(1)).unwrap();
    let path = path(&dir);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(vec![b'x'; LINE_BYTES_MAX * 3]);
    bytes.push(b'\n');
    bytes.extend(vec![b'y'; LINE_BYTES_MAX - 1]);
    bytes.push(b'\n');
    bytes.extend([0xff, 0x00, b'\n']);
    bytes.extend(line(&Change::Renewed { agent: agent(2), at: NOW, given: given(1) }).unwrap());
    let json = r#"{"kind":"blessed","agent":"x"}"#;
    bytes.extend(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).bytes());
    bytes.extend(vec![0; LINE_BYTES_MAX * 2]);
    std::fs::write(&path, &bytes).unwrap();
    let opened = open(&dir);
    assert_eq!(opened.book().agents().count(), 2);
    let torn_bytes = LINE_BYTES_MAX as u64 * 2;
    assert_eq!(opened.found(), Found { torn_bytes, damaged_lines: 3, ignored_lines: 1 });
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn agent_is_found_by_id_or_by_the_only_hostname() {
    let dir = folder("roster-find");
    let mut roster = open(&dir);
    roster.record(enrolled(1)).unwrap();
    roster.record(enrolled(2)).unwrap();
    let mut twin = enrolled(3);
    if let Change::Enrolled { hostname, .. } = &mut twin {
        *hostname = "web-1".to_owned();
    }
    roster.record(twin).unwrap();
    let book = roster.book();
    assert_eq!(book.find("web-2").unwrap(), agent(2));
    assert_eq!(book.find(&agent(1).to_string()).unwrap(), agent(1));
    assert!(book.find("web-1").unwrap_err().to_string().contains("several agents"));
    assert!(book.find("db-1").unwrap_err().to_string().contains("agents list"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn command_revokes_when_no_daemon_runs_and_says_so_when_one_does() {
    let dir = folder("roster-command");
    open(&dir).record(enrolled(1)).unwrap();
    let stranger = agent(77);
    for (who, expected) in [
        ("web-1".to_owned(), (agent(1), Revocation::Revoked)),
        (agent(1).to_string(), (agent(1), Revocation::Before)),
        (stranger.to_string(), (stranger, Revocation::Stranger)),
    ] {
        assert_eq!(revoke_without_daemon(&dir, &who, "lost", NOW).unwrap(), expected);
    }
    let writer = Writer::for_owner_of(&dir).unwrap();
    let revocations = Revocations::default();
    let daemon = StateLock::take(&dir, &writer).unwrap();
    Roster::open(&dir, writer, revocations.clone(), &daemon).unwrap();
    assert!(revocations.contains(agent(1)) && revocations.contains(stranger));
    let error = revoke_without_daemon(&dir, "web-1", "", NOW).unwrap_err();
    assert!(matches!(&error, RosterError::Lock(LockError::Held { .. })), "{error}");
    std::fs::remove_dir_all(dir).unwrap();
}

/// xorshift64*, so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

#[test]
fn whatever_happens_the_file_and_the_memory_agree() {
    for seed in 1..=20u64 {
        let dir = folder(&format!("roster-seed-{seed}"));
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut roster = open(&dir);
        for step in 0..60 {
            let who = agent(dice.below(8));
            let at = NOW.plus(std::time::Duration::from_secs(dice.below(400_000)));
            let change = match dice.below(4) {
                0 => Change::Revoked { agent: who, at, reason: "r".repeat(dice.below(400) as usize) },
                1 => Change::Renewed { agent: who, at, given: given(dice.below(256) as u8) },
                _ => enrolled(dice.below(8)),
            };
            roster.record(change).unwrap();
            if dice.below(5) == 0 {
                // A crash in the middle of the next line: some bytes of it, no newline.
                let expected = roster.book().clone();
                let torn = line(&enrolled(7)).unwrap();
                let torn = &torn[..dice.below(torn.len() as u64) as usize];
                std::fs::OpenOptions::new().append(true).open(path(&dir)).unwrap().write_all(torn).unwrap();
                roster = open(&dir);
                assert_eq!(*roster.book(), expected, "seed {seed}, step {step}");
            }
            assert_eq!(Roster::view(&dir).unwrap().0, *roster.book(), "seed {seed}, step {step}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
