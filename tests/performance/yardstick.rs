//! The yardstick: libzstd at level 1 on blocks of 256 KiB, the least that any shipper that compresses must spend.

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

/// The size of a sealed frame.
const BLOCK_BYTES: usize = 256 << 10;

/// What one pass took.
pub struct Pass {
    /// User + system time of this process.
    pub cpu_seconds: f64,
    /// What remained.
    pub packed_bytes: u64,
}

/// Compresses `bytes` once, block by block, as an agent would seal them.
pub fn zstd_blocks(bytes: &[u8]) -> anyhow::Result<Pass> {
    let mut compressor = zstd::bulk::Compressor::new(1).context("make a compressor")?;
    let mut room = vec![0; zstd::zstd_safe::compress_bound(BLOCK_BYTES)];
    let start = cpu_seconds();
    let mut packed_bytes = 0;
    for block in bytes.chunks(BLOCK_BYTES) {
        let packed = compressor.compress_to_buffer(block, &mut room).context("compress a block")?;
        packed_bytes += u64::try_from(packed)?;
    }
    Ok(Pass { cpu_seconds: cpu_seconds() - start, packed_bytes })
}

/// What `getrusage(RUSAGE_SELF)` adds up, finer: the CPU time of the whole process.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds and nanoseconds of one run fit 53 bits")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}
