//! The units as systemd's own tools see them: what they leave open, and whether every key is known.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use picket_tests::harness::{Place, skip};

/// What `systemd-analyze security` may say of each unit at most: exposure, in tenths.
const EXPOSURE_MAX: [(&str, u32); 2] = [("picket-agent", 30), ("picket-aggregator", 15)];

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

/// What `systemd-analyze` says; none, and a word about it, where it is not there or too old.
fn analyze(arguments: &[&str], units: &[&Path]) -> anyhow::Result<Option<(bool, String)>> {
    match Command::new("systemd-analyze").args(arguments).args(units).env("LC_ALL", "C").output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            if text.contains("unrecognized option") {
                skip("systemd-analyze is older than 250");
                return Ok(None);
            }
            Ok(Some((output.status.success(), text)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip("no systemd-analyze");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// `2.8` of `→ Overall exposure level for x.service: 2.8 OK`, in tenths.
fn exposure(said: &str) -> Option<u32> {
    let (_, rest) = said.split_once("Overall exposure level for ")?;
    let (whole, tenths) = rest.split_once(": ")?.1.split_whitespace().next()?.split_once('.')?;
    Some(whole.parse::<u32>().ok()? * 10 + tenths.parse::<u32>().ok()?)
}

#[test]
fn units_leave_no_more_open_than_is_promised() -> anyhow::Result<()> {
    for (name, most) in EXPOSURE_MAX {
        let unit = units().join(format!("{name}.service"));
        let Some((_, said)) = analyze(&["security", "--offline=true", "--no-pager"], &[&unit])? else { return Ok(()) };
        let exposure = exposure(&said).with_context(|| format!("no exposure in: {said}"))?;
        println!("{name}.service: exposure {}.{}", exposure / 10, exposure % 10);
        ensure!(exposure <= most, "{name}.service is exposed at {exposure}/10, more than {most}/10: {said}");
    }
    Ok(())
}

/// Every key is known, also with the drop-in; what is missing here (programs, pages) is no matter.
#[test]
fn every_key_of_the_units_is_one_that_systemd_knows() -> anyhow::Result<()> {
    let place = Place::new("units")?;
    for (name, _) in EXPOSURE_MAX {
        let text = std::fs::read_to_string(units().join(format!("{name}.service")))?;
        let text = text.replace(&format!("/usr/bin/{name}"), "/bin/true").replace("man:", "https://example.com/");
        std::fs::write(place.at(&format!("{name}.service")), text)?;
    }
    std::fs::create_dir_all(place.at("picket-agent.service.d"))?;
    std::fs::copy(units().join("process-events.conf"), place.at("picket-agent.service.d/process-events.conf"))?;
    let paths = EXPOSURE_MAX.map(|(name, _)| place.at(&format!("{name}.service")));
    let paths = paths.each_ref().map(PathBuf::as_path);
    let Some((_, said)) = analyze(&["verify", "--recursive-errors=no"], &paths)? else { return Ok(()) };
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("picket-")).collect();
    ensure!(ours.is_empty(), "{}", ours.join("\n"));
    Ok(())
}

/// `Environment=` and the bench measure the same program.
#[test]
fn the_agent_runs_with_the_allocator_that_its_memory_is_measured_with() -> anyhow::Result<()> {
    let unit = std::fs::read_to_string(units().join("picket-agent.service"))?;
    for (name, value) in xtask::loopback::MALLOC {
        ensure!(unit.contains(&format!("{name}={value}")), "{name}={value} is not in the unit");
    }
    Ok(())
}

/// A number and its unit behind a key, e.g. `96M`, in bytes; of a percentage its number.
fn wall(unit: &str, key: &str) -> anyhow::Result<u64> {
    let value = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).with_context(|| key.to_owned())?;
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match value.trim_start_matches(digits) {
        "G" => 30,
        "M" => 20,
        _ => 0,
    };
    Ok(digits.parse::<u64>()? << shift)
}

/// What the agent holds by itself is reached before the wall: else the kernel ends what could have given way.
#[test]
fn walls_of_the_agent_stand_behind_the_limits_that_it_holds_itself() -> anyhow::Result<()> {
    let unit = std::fs::read_to_string(units().join("picket-agent.service"))?;
    let limits = shared::fleet::AgentConfig::default().limits;
    let (high, max) = (wall(&unit, "MemoryHigh")?, wall(&unit, "MemoryMax")?);
    ensure!(limits.memory_bytes * 5 / 4 < high && high < max, "{} {high} {max}", limits.memory_bytes);
    let quota = wall(&unit, "CPUQuota")?;
    ensure!(limits.cpu_percent.is_none_or(|percent| percent < quota), "{:?} {quota}", limits.cpu_percent);
    // A thread that is stuck is found within half of it; a spool or journal that is slow is not stuck.
    ensure!(wall(&unit, "WatchdogSec").is_ok_and(|seconds| seconds >= 30));
    Ok(())
}
