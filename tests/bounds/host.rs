//! Promise: an agent that looks at its host and at files stays small, of the release build: at most 20 MiB with the host
//! source, at most 30 MiB with the integrity of many files.

use std::path::PathBuf;
use std::time::Duration;

use picket_tests::harness::{Agent, Aggregator, Pace, Place, Programs, await_until, skip};

const MIB: u64 = 1 << 20;
const HOST_BYTES_MAX: u64 = 20 * MIB;
const INTEGRITY_BYTES_MAX: u64 = 30 * MIB;
const FILES: u64 = 20_000;
const DEADLINE: Duration = Duration::from_secs(180);

#[test]
fn agent_that_looks_at_its_host_and_at_files_stays_small() -> anyhow::Result<()> {
    let Some(release) = std::env::var_os("PICKET_RELEASE_BIN_DIR").map(PathBuf::from).filter(|dir| dir.is_dir()) else {
        skip("no release build (PICKET_RELEASE_BIN_DIR)");
        return Ok(());
    };
    let programs = Programs::within(&release)?;
    let place = Place::new("host-memory")?;
    let tree = place.at("tree");
    for number in 0..FILES {
        let folder = tree.join((number / 100).to_string());
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(number.to_string()), number.to_string())?;
    }
    let mut aggregator = Aggregator::init(&programs, &place.at("aggregator"), Pace::BRISK)?;
    aggregator.start()?;
    let guard = format!("guard: {{ type: integrity, paths: [\"{}\"], cpu_percent: 100 }}", tree.display());
    let sources =
        [("host", "host: { type: host, interval: 5s }", HOST_BYTES_MAX), ("guard", &guard, INTEGRITY_BYTES_MAX)];
    for (name, source, bytes_max) in sources {
        let fleet = format!("version: 1\ndefaults:\n  sources:\n    {source}\n");
        let mut agent = Agent::enroll(&programs, &place.at(name), &aggregator, name, &fleet)?;
        agent.start()?;
        // Its first inventory, or its first look at everything, is told, and what it took for that is given back.
        await_until("a first look", DEADLINE, || {
            let metrics = agent.metrics()?;
            let looked = name != "guard" || metrics.count("picket_agent_integrity_scans_total", &[]) > 0;
            let acked = metrics.count("picket_agent_books_records", &[("entry", "acked")]);
            Ok((looked && acked > 0).then_some(()))
        })?;
        let mut usage = agent.usage()?;
        let small = await_until("little memory", DEADLINE, || {
            usage = agent.usage()?;
            Ok((usage.resident_bytes <= bytes_max).then_some(()))
        });
        println!(
            "{name}: {} KiB resident, {} KiB at most",
            usage.resident_bytes / 1024,
            usage.resident_bytes_peak / 1024
        );
        assert!(small.is_ok(), "{name}: {} KiB resident", usage.resident_bytes / 1024);
        agent.stop()?;
    }
    aggregator.stop()?;
    Ok(())
}
