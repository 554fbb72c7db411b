//! Ten thousand processes that last a millisecond or less: with the connector all are seen or counted as lost, by polling
//! they are not.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use shared::time::Clock;

use super::super::Table;
use super::super::connector::Connector;
use super::{Kept, number, source, word};

const COUNT: usize = 10_000;

#[test]
fn short_processes_are_all_seen_or_counted_as_lost_and_polling_fails_that() {
    if let Err(error) = Connector::open() {
        println!("skipped: {error}");
        return;
    }
    let mut heard = source("/".into(), &[Table::Processes], &Clock::System);
    let mut polled = source("/".into(), &[Table::Processes], &Clock::System);
    heard.open_connector();
    assert!(heard.connector.is_some());
    let (mut kept, mut by_polling, done) = (Kept::default(), Kept::default(), AtomicBool::new(false));
    heard.turn(&mut kept);
    polled.turn(&mut by_polling);
    let launched = std::thread::scope(|scope| {
        let launcher = scope.spawn(|| {
            let mut pids = Vec::new();
            for _ in 0..COUNT {
                let mut command = Command::new("/bin/true");
                let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
                pids.push(u64::from(child.id()));
                child.wait().unwrap();
            }
            done.store(true, Ordering::SeqCst);
            pids
        });
        while !done.load(Ordering::SeqCst) {
            heard.connector.as_ref().unwrap().wait(std::time::Duration::from_millis(50)).unwrap();
            heard.turn(&mut kept);
        }
        launcher.join().unwrap()
    });
    // What is still in the socket, and what it says of before.
    Command::new("/bin/true").status().unwrap();
    for _ in 0..20 {
        heard.turn(&mut kept);
    }
    polled.turn(&mut by_polling);
    let seen = |kept: &Kept, activity: u64| -> Vec<u64> {
        let of_class = kept.0.iter().filter(|(_, fields)| number(fields, "class_uid") == Some(1007));
        let events = of_class.filter(|(_, fields)| number(fields, "activity_id") == Some(activity));
        events.filter_map(|(_, fields)| number(fields, "process.pid")).collect()
    };
    let lost: u64 = kept.0.iter().filter_map(|(_, fields)| number(fields, "count")).sum();
    let (starts, ends): (HashSet<u64>, HashSet<u64>) =
        (seen(&kept, 1).into_iter().collect(), seen(&kept, 2).into_iter().collect());
    // A number may be given twice among so many.
    let missed = launched.iter().filter(|pid| !starts.contains(pid) || !ends.contains(pid)).count();
    let vanished = kept.0.iter().filter(|(_, fields)| format!("{fields:?}").contains("vanished")).count();
    println!(
        "{COUNT} launched, {missed} not seen whole, {lost} events counted as lost, {vanished} gone before they were read"
    );
    assert!(missed as u64 <= lost, "{missed} processes were not seen and {lost} events were counted as lost");
    assert!(kept.0.iter().any(|(_, fields)| word(fields, "unmapped.seen_by") == "proc_connector"));
    let polled: HashSet<u64> = seen(&by_polling, 1).into_iter().collect();
    assert!(launched.iter().filter(|pid| polled.contains(pid)).count() < COUNT / 10, "polling cannot see them");
}

#[test]
fn another_that_listens_costs_no_event() {
    use super::super::connector::message::What;
    let mut connector = match Connector::open() {
        Ok(connector) => connector,
        Err(error) => return println!("skipped: {error}"),
    };
    let (mut lost, mut ends) = (0, 0);
    for _ in 0..50 {
        // The kernel numbers its answers to others, too: one to each who begins, and one to each who ends.
        drop(Connector::open());
        Command::new("/bin/true").stdin(Stdio::null()).status().unwrap();
        lost += connector.read(&mut |event| ends += u64::from(matches!(event.what, What::Exit { .. }))).unwrap();
    }
    assert!(ends > 40, "{ends}");
    assert_eq!(lost, 0);
}

#[test]
fn events_that_the_socket_had_no_room_for_are_counted_to_the_last() {
    use super::super::connector::message::What;
    const LAUNCHED: u64 = 500;
    let mut connector = match Connector::with_room(8 << 10) {
        Ok(connector) => connector,
        Err(error) => return println!("skipped: {error}"),
    };
    let run = || Command::new("/bin/true").stdin(Stdio::null()).status().unwrap();
    // The numbers of every processor begin somewhere: they are learned first.
    let (mut heard, mut before) = (0_u64, 0);
    let read = |connector: &mut Connector, heard: &mut u64| {
        connector.read(&mut |event| *heard += u64::from(matches!(event.what, What::Exec { .. }))).unwrap()
    };
    for _ in 0..100 {
        run();
        read(&mut connector, &mut before);
    }
    for _ in 0..LAUNCHED {
        run();
    }
    let mut lost = read(&mut connector, &mut heard);
    for _ in 0..100 {
        run();
        lost += read(&mut connector, &mut heard);
    }
    println!("{LAUNCHED} launched unheard: {heard} programs heard, {lost} events counted as lost");
    assert!(connector.overruns() > 0 && lost > 0);
    // Each has a fork, a program and an end.
    assert!(heard + lost >= LAUNCHED + 100, "{heard} programs and {lost} losses");
}
