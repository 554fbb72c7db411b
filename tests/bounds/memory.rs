//! The agent's resident memory, of the release build: at most 40 MiB while it reads at full speed, at most 15 MiB when
//! the last input is a minute ago.

use std::path::PathBuf;
use std::time::Duration;

use picket_tests::harness::{Agent, Aggregator, Corpus, Pace, Place, Programs, assert_books, await_until, fleet, skip};

const MIB: u64 = 1 << 20;
const INPUT_BYTES: usize = 128 << 20;
const PEAK_BYTES_MAX: u64 = 40 * MIB;
const IDLE_BYTES_MAX: u64 = 15 * MIB;
const QUIET: Duration = Duration::from_secs(60);

#[test]
fn agent_stays_small_at_full_speed_and_smaller_a_minute_later() -> anyhow::Result<()> {
    let Some(release) = std::env::var_os("PICKET_RELEASE_BIN_DIR").map(PathBuf::from).filter(|dir| dir.is_dir()) else {
        skip("no release build (PICKET_RELEASE_BIN_DIR)");
        return Ok(());
    };
    let programs = Programs::within(&release)?;
    let place = Place::new("memory")?;
    let logs = place.at("logs");
    std::fs::create_dir_all(&logs)?;
    let mut aggregator = Aggregator::init(&programs, &place.at("aggregator"), Pace::BRISK)?;
    aggregator.start()?;
    let mut agent = Agent::enroll(&programs, &place.at("agent"), &aggregator, "host-1", &fleet(&logs, ""))?;
    agent.start()?;
    let mut bytes = Vec::new();
    Corpus::new(1).fill(&mut bytes, INPUT_BYTES);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    std::fs::write(logs.join("full-speed.log"), &bytes)?;
    let delivered = await_until("the whole file in the lake", Duration::from_secs(300), || {
        let metrics = agent.metrics()?.and(aggregator.metrics()?);
        let delivered = metrics.count("picket_aggregator_sink_delivered_events_total", &[("sink", "lake")]);
        Ok((delivered >= lines).then_some(metrics))
    })?;
    assert_books(&delivered);
    // The bound holds a minute after the last input; it is met when memory is seen to be given back by then.
    let mut usage = agent.usage()?;
    let idle = await_until("at most 15 MiB resident", QUIET, || {
        usage = agent.usage()?;
        Ok((usage.resident_bytes <= IDLE_BYTES_MAX).then_some(usage))
    });
    let (kib, peak) = (usage.resident_bytes / 1024, usage.resident_bytes_peak / 1024);
    println!("agent: peak {peak} KiB while reading {} MiB, {kib} KiB afterwards", INPUT_BYTES >> 20);
    assert!(usage.resident_bytes_peak <= PEAK_BYTES_MAX, "peak {peak} KiB");
    assert!(idle.is_ok(), "{kib} KiB a minute after the last input");
    agent.stop()?;
    aggregator.stop()?;
    Ok(())
}
