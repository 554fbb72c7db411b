use std::convert::Infallible;

use shared::identity::{AgentId, ChainId, Epoch, Lane};

use super::*;

#[derive(Default)]
struct Bench {
    joiner: Joiner<u8>,
    out: Vec<(u64, String)>,
    record: u64,
}

impl Bench {
    fn offer(&mut self, source: u8, line: &str) -> bool {
        self.record += 1;
        let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
        let id = EventId { chain, record: self.record, part: 0 };
        let at = Timestamp(self.record.try_into().unwrap());
        let line = Line { raw: line.as_bytes(), read_at: at, received_at: at, full_size: None };
        let out = &mut self.out;
        self.joiner.offer(&Part { id, line, redacted: false }, &source, &mut |group| keep(group, out)).unwrap()
    }

    fn flush(&mut self) {
        let out = &mut self.out;
        self.joiner.flush(&mut |group| keep(group, out)).unwrap();
    }
}

fn keep(group: &Group<u8>, out: &mut Vec<(u64, String)>) -> Result<(), Infallible> {
    out.push((group.id.record, String::from_utf8(group.bytes.clone()).unwrap()));
    Ok(())
}

fn line(kind: &str, serial: u64) -> String {
    format!("type={kind} msg=audit(1.000:{serial}): x=1")
}

#[test]
fn interleaved_records_go_to_their_event_which_ends_with_its_last_record() {
    let mut bench = Bench::default();
    for (kind, serial) in [("SYSCALL", 7), ("SYSCALL", 8), ("EXECVE", 7), ("CWD", 8), ("PROCTITLE", 8), ("EOE", 7)] {
        assert!(bench.offer(0, &line(kind, serial)));
    }
    let eight = [line("SYSCALL", 8), line("CWD", 8), line("PROCTITLE", 8)].join("\n");
    let seven = [line("SYSCALL", 7), line("EXECVE", 7), line("EOE", 7)].join("\n");
    assert_eq!(bench.out, [(2, eight), (1, seven)]);
    assert_eq!((bench.joiner.waiting(), bench.joiner.early()), (0, 0));
}

#[test]
fn an_end_behind_the_title_belongs_to_the_event() {
    let mut bench = Bench::default();
    for kind in ["SYSCALL", "PROCTITLE", "EOE"] {
        assert!(bench.offer(0, &line(kind, 7)));
    }
    bench.offer(0, &line("SYSCALL", 8));
    bench.offer(0, &line("PROCTITLE", 8));
    assert_eq!(bench.out.len(), 1);
    bench.offer(0, &line("SYSCALL", 9));
    assert_eq!((bench.out.len(), bench.joiner.waiting()), (2, 1));
}

#[test]
fn an_entry_goes_out_with_its_last_line_or_before_the_first_of_something_else() {
    let mut bench = Bench::default();
    let slow = ["# Time: x", "# User@Host: a[a] @ b", "# Query_time: 1", "SELECT", "1;"];
    for text in ["--6b253045-A--", "x", slow[0]] {
        assert!(bench.offer(0, text));
    }
    for text in slow {
        assert!(bench.offer(1, text), "each source has its own");
    }
    assert!(bench.offer(0, "--6b253045-Z--") && bench.out.is_empty());
    assert!(bench.offer(0, ""));
    assert_eq!(bench.out, [(1, "--6b253045-A--\nx\n# Time: x\n--6b253045-Z--\n".to_owned())]);
    assert!(bench.offer(1, slow[0]));
    assert_eq!(bench.out[1], (4, slow.join("\n")));
    assert!(!bench.offer(1, "plain"), "the entry that it does not belong to goes out, and it is read alone");
    assert_eq!((bench.out.len(), bench.joiner.waiting(), bench.joiner.early()), (3, 0, 0));
}

#[test]
fn entries_are_bounded() {
    let mut bench = Bench::default();
    for source in 0..=u8::try_from(ENTRIES_MAX).unwrap() {
        bench.offer(source, "--6b253045-A--");
    }
    assert_eq!((bench.out.len(), bench.joiner.waiting(), bench.joiner.early()), (1, ENTRIES_MAX, 1));
    for _ in 1..ENTRY_LINES_MAX {
        assert!(bench.offer(1, "x"));
    }
    assert!(!bench.offer(1, "x"), "what is over is read alone");
    assert_eq!((bench.out[1].0, bench.joiner.early()), (2, 2));
    let long = "x".repeat(GROUP_BYTES_MAX / 2);
    assert!(bench.offer(2, &long) && !bench.offer(2, &long));
    bench.flush();
    assert_eq!((bench.out.len(), bench.joiner.bytes), (ENTRIES_MAX + 1, 0));
}

#[test]
fn what_stands_alone_and_what_is_no_record_is_not_taken() {
    let mut bench = Bench::default();
    for text in ["", "text", &line("USER_LOGIN", 1), &line("SERVICE_START", 1), &line("EOE", 1), "audit(1.000:1): x"] {
        assert!(!bench.offer(0, text), "{text}");
    }
    assert!(!bench.offer(0, &format!("{}{}", line("SYSCALL", 1), "x".repeat(GROUP_BYTES_MAX))));
    assert_eq!(bench.joiner.waiting(), 0);
}

#[test]
fn sources_nodes_times_and_serials_keep_events_apart() {
    let mut bench = Bench::default();
    bench.offer(0, &line("SYSCALL", 7));
    bench.offer(1, &line("CWD", 7));
    bench.offer(0, &format!("node=a {}", line("CWD", 7)));
    bench.offer(0, &format!("node=b {}", line("CWD", 7)));
    bench.offer(0, "type=CWD msg=audit(1.001:7): x=1");
    assert_eq!(bench.joiner.waiting(), 5);
    bench.offer(0, &format!("node=b {}", line("EOE", 7)));
    assert_eq!(bench.out.len(), 1);
    bench.flush();
    let order: Vec<_> = bench.out.iter().map(|(record, _)| *record).collect();
    assert_eq!(order, [4, 1, 2, 3, 5]);
    assert_eq!(bench.joiner.waiting(), 0);
}

#[test]
fn a_title_that_comes_first_waits_for_the_rest() {
    let mut bench = Bench::default();
    bench.offer(0, &line("PROCTITLE", 7));
    bench.offer(0, &line("SYSCALL", 7));
    bench.offer(0, &line("EOE", 7));
    assert_eq!(bench.out.len(), 1);
}

#[test]
fn headers_of_syslog_do_not_matter() {
    let mut bench = Bench::default();
    let header = "Mar 16 10:00:00 h audispd: node=h ";
    assert!(bench.offer(0, &format!("{header}{}", line("SYSCALL", 7))));
    assert!(bench.offer(0, &format!("{header}{}", line("EOE", 7))));
    assert_eq!(bench.out.len(), 1);
    assert!(bench.offer(0, "[ 1.0] audit: type=1300 audit(1.000:9): x=1"));
    assert!(bench.offer(0, "[ 1.0] audit: type=1320 audit(1.000:9): x=1"));
    assert_eq!(bench.out.len(), 2);
}

#[test]
fn parts_of_a_containers_line_end_with_the_part_that_ends_it() {
    let mut bench = Bench::default();
    let cri = |stream: &str, tag: &str, text: &str| format!("2026-03-16T09:00:00.5Z {stream} {tag} {text}");
    let lines = [cri("stdout", "P", "a"), cri("stderr", "P", "x"), cri("stdout", "P", "b"), cri("stdout", "F", "c")];
    assert!(!bench.offer(0, &cri("stdout", "F", "alone")));
    for line in &lines {
        assert!(bench.offer(0, line), "{line}");
    }
    assert_eq!(bench.out, [(2, [&*lines[0], &*lines[2], &*lines[3]].join("\n"))]);
    assert!(!bench.offer(1, &cri("stderr", "F", "of another")));
    let docker = |text: &str| format!(r#"{{"log":"{text}","stream":"stderr","time":"2026-03-16T09:00:00.5Z"}}"#);
    let long = "x".repeat(16 << 10);
    for whole in [r"whole\n", r"a\\n", &format!(r"{long}\n"), "without an end"] {
        assert!(!bench.offer(2, &docker(whole)), "{whole}");
    }
    assert!(bench.offer(2, &docker(&format!(r"{long}\\n"))), "a backslash and a letter are no line end");
    assert!(bench.offer(2, &docker(r"b\n")));
    assert_eq!(bench.out.len(), 2);
    bench.flush();
    assert_eq!((bench.out.len(), bench.joiner.split()), (3, 0));
    assert!(!bench.offer(0, &cri("stderr", "F", "y")));
    assert_eq!(bench.joiner.split(), 1);
}

#[test]
fn an_event_that_goes_on_behind_a_flush_is_counted() {
    let mut bench = Bench::default();
    for serial in [7, 8, 9] {
        bench.offer(0, &line("SYSCALL", serial));
    }
    bench.offer(0, &line("PROCTITLE", 9));
    bench.flush();
    bench.offer(1, &line("CWD", 7));
    assert_eq!(bench.joiner.split(), 0);
    bench.offer(0, &line("CWD", 7));
    bench.offer(0, &line("PATH", 7));
    bench.offer(0, &line("EOE", 8));
    bench.offer(0, &line("EOE", 9));
    assert_eq!(bench.joiner.split(), 2);
}

#[test]
fn bounds_hold_and_the_oldest_goes_first() {
    let mut bench = Bench::default();
    for serial in 0..=GROUPS_MAX as u64 {
        bench.offer(0, &line("SYSCALL", serial));
    }
    assert_eq!((bench.out.len(), bench.out[0].0, bench.joiner.waiting()), (1, 1, GROUPS_MAX));
    assert_eq!(bench.joiner.early(), 1);
    let mut bench = Bench::default();
    for _ in 0..=LINES_MAX {
        bench.offer(0, &line("PATH", 7));
    }
    assert_eq!((bench.out.len(), bench.joiner.waiting(), bench.joiner.early()), (1, 1, 1));
    let mut bench = Bench::default();
    let most = format!("{}{}", line("EXECVE", 7), "x".repeat(GROUP_BYTES_MAX - 100));
    for serial in 0..80 {
        bench.offer(0, &most.replace(":7)", &format!(":{serial})")));
    }
    assert!((60..=65).contains(&bench.joiner.waiting()), "{}", bench.joiner.waiting());
    let mut bench = Bench::default();
    let long = format!("{}{}", line("EXECVE", 7), "x".repeat(GROUP_BYTES_MAX / 2));
    bench.offer(0, &long);
    bench.offer(0, &long);
    assert_eq!((bench.out.len(), bench.joiner.waiting()), (1, 1));
    bench.joiner.forget();
    assert_eq!(bench.joiner.waiting(), 0);
}
