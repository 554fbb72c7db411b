//! The link comes back after an hour, and it is slow: what is urgent and what is live does not wait behind the backlog of
//! bulk, and bulk is not forgotten either.

use shared::identity::{AgentId, Lane};

use crate::ends::{Home, MemorySpool, Up, eventually};
use crate::slow::SlowLink;

const AGENT: AgentId = AgentId([1; 16]);
/// Two Mbit/s.
const BYTES_PER_SECOND: u32 = 256 << 10;
/// What of bulk may arrive between a line's commit in the spool and its arrival: what is on its way already, in the relay
/// and as frames that began. (A transport that serves one stream until it is empty makes it 320 KiB and more.)
const PASSED_BYTES_MAX: usize = 256 << 10;
/// Bytes of a line of a backlog.
const LINE_BYTES: usize = 30_000;

/// `count` lines that zstd does not shrink by much.
fn backlog(spool: &MemorySpool, lane: Lane, count: u64) {
    for number in 0..count {
        let mut seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let text = (0..LINE_BYTES).map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            char::from(b' ' + (seed >> 20) as u8 % 95)
        });
        spool.line(lane, &format!("{lane} {number} {}", text.collect::<String>()));
    }
}

fn bytes_of(lines: &[String], lane: Lane) -> usize {
    lines.iter().filter(|line| line.starts_with(lane.name())).map(String::len).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_lines_pass_the_backlog_of_bulk_on_a_slow_link() {
    let home = Home::new("wire-lanes-live");
    let mouth = home.open();
    let link = SlowLink::to(mouth.address, BYTES_PER_SECOND).await;
    let spool = MemorySpool::new(AGENT);
    backlog(&spool, Lane::Bulk, 80);
    let up = Up::start(vec![link.endpoint()], spool.clone(), home.agent(AGENT));
    for live in 0..4 {
        let lines = || home.journal.lines();
        eventually("bulk flows", || bytes_of(&lines(), Lane::Bulk) > 300_000 * (live + 1)).await;
        let before = bytes_of(&lines(), Lane::Bulk);
        let (high, normal) = (format!("live high {live}"), format!("live normal {live}"));
        spool.line(Lane::Normal, &normal);
        spool.line(Lane::High, &high);
        eventually("both live lines arrive", || lines().contains(&high) && lines().contains(&normal)).await;
        let lines = lines();
        let at = lines.iter().position(|line| *line == high).max(lines.iter().position(|line| *line == normal));
        let passed = bytes_of(&lines[..at.unwrap()], Lane::Bulk) - before;
        println!("{passed} bytes of bulk went before the live lines");
        assert!(passed <= PASSED_BYTES_MAX, "{passed} bytes of bulk went before the live lines");
        assert!(!spool.is_acked(), "bulk was still under way");
    }
    eventually("bulk is through", || spool.is_acked()).await;
    up.stop().await;
    link.cut().await;
    mouth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backlog_of_normal_goes_first_and_bulk_keeps_its_share() {
    const COUNT: u64 = 80;
    let home = Home::new("wire-lanes-share");
    let mouth = home.open();
    let link = SlowLink::to(mouth.address, 2 * BYTES_PER_SECOND).await;
    let spool = MemorySpool::new(AGENT);
    backlog(&spool, Lane::Bulk, COUNT);
    backlog(&spool, Lane::Normal, COUNT);
    let up = Up::start(vec![link.endpoint()], spool.clone(), home.agent(AGENT));
    let all = usize::try_from(COUNT).unwrap() * LINE_BYTES;
    eventually("half of normal arrives", || bytes_of(&home.journal.lines(), Lane::Normal) > all / 2).await;
    let lines = home.journal.lines();
    let percent = bytes_of(&lines, Lane::Bulk) * 100 / bytes_of(&lines, Lane::Normal);
    println!("for each byte of normal bulk had {percent} % of one");
    assert!((6..=25).contains(&percent), "bulk had {percent} % of the bytes of normal");
    spool.line(Lane::High, "live high");
    eventually("the high line arrives", || home.journal.lines().iter().any(|line| line == "live high")).await;
    assert!(bytes_of(&home.journal.lines(), Lane::Normal) < all * 3 / 4, "high did not wait for normal");
    eventually("normal is through", || bytes_of(&home.journal.lines(), Lane::Normal) > all).await;
    assert!(!spool.is_acked(), "bulk comes after normal");
    eventually("bulk is through", || spool.is_acked()).await;
    up.stop().await;
    link.cut().await;
    mouth.stop().await;
}
