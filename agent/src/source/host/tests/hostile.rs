//! Bytes that nobody meant: nothing panics, rows are bounded.

use std::collections::HashMap;

use super::super::connector::message;
use super::super::row::{Row, TEXT_BYTES_MAX};
use super::super::tables::cron::Form;
use super::super::tables::logins::{Layout, Log, Terminals};
use super::super::tables::processes::{self, Boot, Seen};
use super::super::tables::units::Unit;
use super::super::tables::{accounts, addresses, cron, facts, kernel, keys, logins, packages, units};
use crate::source::scratch::Random;

/// Bytes that look like what is parsed, broken in a few places.
fn broken(random: &mut Random, from: &[u8]) -> Vec<u8> {
    let mut bytes = from.repeat(1 + random.below(3));
    for _ in 0..random.below(12) {
        let at = random.below(bytes.len().max(1));
        match random.below(4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, (0..random.below(5000)).map(|_| b'\xfe'))),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
        }
    }
    bytes
}

fn all(bytes: &[u8], each: &mut dyn FnMut(Row)) {
    accounts::users(bytes, Some(bytes), bytes, each);
    accounts::groups(bytes, each);
    let _ = accounts::people(bytes);
    for layout in [Layout::Narrow, Layout::Wide] {
        for log in [Log::Utmp, Log::Wtmp, Log::Btmp] {
            logins::rows(bytes, layout, log, &mut Terminals::default(), each);
        }
    }
    logins::session("1", bytes).into_iter().for_each(&mut *each);
    packages::dpkg(bytes, each);
    packages::apk(bytes, each);
    packages::rpm(bytes, each);
    for form in [Form::System, Form::Of("x"), Form::Anacron] {
        cron::jobs("/x", bytes, form, each);
    }
    kernel::modules(bytes, each);
    kernel::mountinfo(bytes).iter().map(kernel::Mount::row).for_each(&mut *each);
    each(kernel::sysctl("x", bytes));
    keys::keys("x", "/x", bytes, each);
    let unit = Unit { name: "x.timer".into(), text: bytes.to_vec(), ..Unit::default() };
    each(units::row(&unit));
    each(units::timer(&unit, Some(&unit)));
    let part = || bytes.to_vec();
    let (exe, cwd) = (Some(part()), Some(part()));
    let seen = Seen { pid: 1, stat: part(), status: part(), cmdline: part(), exe, cwd, cgroup: part() };
    processes::row(&seen, &Boot::default(), &HashMap::new()).into_iter().for_each(&mut *each);
    let _ = (facts::memory(&String::from_utf8_lossy(bytes), "MemTotal"), addresses::answer(bytes, &mut |_| {}));
    message::fuzz(bytes);
}

#[test]
fn broken_bytes_make_bounded_rows_and_no_panic() {
    let seed = Random::seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let samples: [&[u8]; 8] = [
        b"root:x:0:0:root:/root:/bin/sh\nbob:$6$x:20000:0:99999:7:::\n",
        b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n",
        b"17 * * * * root run\n@daily x y\n1 5 name command\n",
        b"36 35 98:0 /a /b\\040c rw,nosuid master:1 - ext3 /dev/root rw\next4 1 2 a, Live 0x0 (OE)\n",
        b"[Unit]\nDescription=x\n[Service]\nExecStart=/x\n[Timer]\nOnCalendar=daily\n",
        b"1 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20\nUid:\t0\t0\n",
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f a\n",
        &[7, 0, 0, 0, 1, 2, 3, 4, 76, 0, 0, 0, 20, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0].repeat(20)[..],
    ];
    for _ in 0..400 {
        let sample = samples[random.below(samples.len())];
        let bytes = broken(&mut random, sample);
        all(&bytes, &mut |row| {
            let key = row.known_by();
            assert_eq!(Row::of_key(&key).known_by(), key, "seed {seed}");
            for (path, value) in row.all() {
                if let shared::record::Value::String(text) = value {
                    // What was no UTF-8 is up to three bytes for one.
                    assert!(text.len() <= 3 * TEXT_BYTES_MAX, "seed {seed}: {path}");
                }
            }
        });
    }
}
