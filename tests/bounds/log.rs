//! What the log writes, keeps in memory and lets go, in processes of their own: the small sisters of `cargo xtask bench log`.
//! Times are left to the bench; bytes are the same on every machine and in every build.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use picket_tests::harness::Place;
use serde_json::Value;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What one of the bench's processes measured.
struct Figures(Value);

impl Figures {
    fn of(&self, name: &str) -> f64 {
        self.0.get(name).and_then(Value::as_f64).expect("the bench says it")
    }
}

fn measure(work: &str, folder: &Path, numbers: &[u64]) -> anyhow::Result<Figures> {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_picket-bench"));
    bench.args(["log-child", work]).arg(folder).args(numbers.iter().map(u64::to_string));
    let output = bench.output().context("start picket-bench")?;
    ensure!(output.status.success(), "{work}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Figures(serde_json::from_slice(&output.stdout).with_context(|| format!("read what {work} said"))?))
}

#[test]
fn bytes_passed_to_write_are_little_more_than_the_frames() -> anyhow::Result<()> {
    let place = Place::new("bounds-log-written")?;
    // Log and index; the spool with its checkpoints, marks and acks; the journal with its wraps, cuts and seals. A line of
    // so many bytes makes a frame of about 1 or 128 KiB.
    let works: [(&str, [u64; 2], f64); 6] = [
        ("make", [KIB, 16 * MIB], 1.3),
        ("make", [128 * KIB, 64 * MIB], 1.05),
        ("spool-make", [KIB - 600, 1_000], 1.3),
        ("spool-make", [128 * KIB, 200], 1.05),
        ("journal-make", [KIB - 300, 16 * MIB], 1.3),
        ("journal-make", [128 * KIB, 64 * MIB], 1.05),
    ];
    for (number, (work, numbers, bound)) in works.into_iter().enumerate() {
        let made = measure(work, &place.at(&number.to_string()), &numbers)?;
        let ratio = made.of("written") / made.of("frame_bytes");
        println!("{work} {}: {ratio:.3} bytes written for a byte of frames", numbers[0]);
        assert!(ratio <= bound, "{work} {}: {ratio:.3}, the bound is {bound}", numbers[0]);
    }
    Ok(())
}

#[test]
fn memory_does_not_grow_with_the_backlog_and_trimming_rewrites_nothing() -> anyhow::Result<()> {
    const GROWTH_BYTES_MAX: f64 = 2.0 * 1_048_576.0;
    let place = Place::new("bounds-log-backlog")?;
    for frame in [512, 128 * KIB] {
        let folder = |mib: u64| place.at(&format!("{frame}-{mib}"));
        let [small, large] = [MIB, 128 * MIB].map(|bytes| {
            measure("make", &folder(bytes), &[frame, bytes])?;
            measure("stream", &folder(bytes), &[])
        });
        let (small, large) = (small?, large?);
        let growth = large.of("high_water") - small.of("high_water");
        println!("frames of {frame}: {growth} bytes more for 128 MiB than for 1 MiB");
        assert!(growth <= GROWTH_BYTES_MAX, "frames of {frame}: {growth} bytes more for 128 MiB than for 1 MiB");

        let trimmed = measure("trim", &folder(128 * MIB), &[])?;
        let (written, share) = (trimmed.of("written"), trimmed.of("freed_share"));
        println!("frames of {frame}: {written} bytes written to let {:.0} % go", share * 100.0);
        assert!(share >= 0.7, "{share} of the log went");
        assert!(written <= 65_536.0, "{written} bytes were written to let {share} of 128 MiB go");
    }
    Ok(())
}
