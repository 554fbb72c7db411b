//! The time that the longest lines take: no parser looks at a line again for each of its parts.
//!
//! Lines of the longest kind that an agent sends are made of the beginnings of every format and of what their grammars
//! stumble over, repeated. Each must be read in [`LIMIT`]; a parser that is quadratic takes a hundred times that.

use std::time::{Duration, Instant};

use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};

use super::testing::{READ_AT, origin};
use super::{Format, Line, Origin, line};
use crate::event::Event;

/// The agent's largest `max_line_bytes`.
const LINE_BYTES: usize = 512 << 10;

/// The longest that one line may take, with and without optimization.
const LIMIT: Duration = if cfg!(debug_assertions) { Duration::from_secs(3) } else { Duration::from_millis(50) };

/// Beginnings that lead into the parsers.
const BEGINNINGS: [&str; 30] = [
    "",
    "<13>1 2026-03-16T10:00:00Z h app 7 id [a@1 b=\"",
    "Mar 16 10:00:00 h sshd[7]: Invalid user ",
    "Mar 16 10:00:00 h sudo: bob : TTY=pts/1 ; ",
    "Mar 16 10:00:00 h kernel: [1.0] IN=eth0 OUT= ",
    "Mar 16 10:00:00 h app: pam_unix(sshd:auth): authentication failure; ",
    "Mar 16 10:00:00 h postfix/smtpd[7]: NOQUEUE: reject: RCPT from a[192.0.2.1]: ",
    "Mar 16 10:00:00 h dovecot: imap-login: Login: user=<bob>, ",
    "Mar 16 10:00:00 h haproxy[7]: 192.0.2.1:5 [16/Mar/2026:10:00:00.123] a b/c 1/1/1/1/1 200 5 - - ---- 1/1/1/1/0 0/0 ",
    "Mar 16 10:00:00 h named[7]: client @0x1 192.0.2.1#5 (a.example): query: ",
    "Mar 16 10:00:00 h dhcpd[7]: DHCPREQUEST for 192.0.2.1 from ",
    "type=SYSCALL msg=audit(1773653400.123:4): ",
    "type=USER_LOGIN msg=audit(1773653400.123:4): pid=1 msg='",
    "{\"a\":",
    "{\"log\":\"",
    "{\"MESSAGE\":\"x\",\"_TRANSPORT\":\"audit\",\"_AUDIT_ID\":\"7\",\"a\":\"",
    "1773655200.123456\tCHhAvVGS1DHFjwGM9\t192.0.2.5\t52311\t",
    "2026-03-16T10:00:00Z stdout F ",
    "192.0.2.7 - - [16/Mar/2026:10:00:00 +0100] \"GET /",
    "2026-03-16 10:00:00 192.0.2.9 GET /a - 80 - 198.51.100.7 ",
    "[Mon Mar 16 10:00:00.123456 2026] [core:error] [pid 7] [client 192.0.2.7:5] ",
    "2026/03/16 10:00:00 [error] 7#7: *5 open() failed, client: ",
    "CEF:0|V|P|1.0|100|x|5|",
    "LEEF:2.0|V|P|1.0|41|^|",
    "%ASA-4-106023: Deny tcp src outside:",
    "date=2026-03-16 time=10:00:00 devid=\"F\" type=\"traffic\" ",
    "2026-03-16 10:00:00.123 CET [7] bob@db LOG:  ",
    "2026-03-16T10:00:00.123456Z 8 [Note] ",
    "1773653400.123    456 192.0.2.7 TCP_MISS/200 1234 GET http://a/",
    "ModSecurity: Access denied [file \"",
];

/// What is repeated behind them.
const PARTS: [&str; 13] =
    [" ", "a=b ", "\"", "\\\"", "[", "](", ": ", ",\"a\":", " from ", "audit(", "] [client ", "\\x41|", "{\"a\":["];

fn taken(origin: &Origin, raw: &[u8]) -> Duration {
    let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
    let mut event = Event::new(EventId { chain, record: 7, part: 0 }, READ_AT, READ_AT);
    let begun = Instant::now();
    line(&Line { raw, read_at: READ_AT, received_at: READ_AT, full_size: None }, origin, READ_AT, &mut event);
    begun.elapsed()
}

/// Others may have the processor for a while: the best of a few.
fn assert_quick(origin: &Origin, beginning: &str, part: &str) {
    let mut raw = beginning.as_bytes().to_vec();
    while raw.len() + part.len() <= LINE_BYTES {
        raw.extend_from_slice(part.as_bytes());
    }
    let best = (0..5).map(|_| taken(origin, &raw)).find(|taken| *taken <= LIMIT);
    assert!(
        best.is_some(),
        "{}: {beginning:?} and {part:?} repeated takes longer than {LIMIT:?}",
        origin.format.name()
    );
}

#[test]
fn the_longest_lines_take_no_longer_than_their_length_asks() {
    // Without optimization every fourth pair has to do.
    let step = if cfg!(debug_assertions) { 4 } else { 1 };
    for (at, beginning) in BEGINNINGS.into_iter().enumerate() {
        for part in PARTS.into_iter().skip(at % step).step_by(step) {
            assert_quick(&origin(), beginning, part);
        }
    }
}

#[test]
fn formats_that_are_named_read_the_longest_lines_too() {
    for name in Format::names() {
        let origin = Origin { format: name.parse().unwrap(), ..origin() };
        for part in ["a=b ", "[\"", ": "] {
            assert_quick(&origin, "", part);
        }
    }
}
