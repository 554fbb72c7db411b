//! Randomness that a failure can be repeated with.

use xtask::corpus::Random;

/// A seeded generator that prints its seed when the test fails.
#[derive(Debug)]
pub struct Seeded {
    seed: u64,
    /// The generator.
    pub random: Random,
}

impl Seeded {
    /// The generator of `seed`, or of `PICKET_SEED` where that is set.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seed = std::env::var("PICKET_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        Self { seed, random: Random::new(seed) }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("repeat with PICKET_SEED={}", self.seed);
        }
    }
}
