//! Seeded random numbers: xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators",
//! 2019), seeded by splitmix64 as its authors advise. The same seed gives the same numbers on every machine.

/// A seeded generator; not for secrets.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut z = seed;
        Self { state: [(); 4].map(|()| splitmix64(&mut z)) }
    }

    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let [mut a, mut b, mut c, mut d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let t = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= t;
        d = d.rotate_left(45);
        self.state = [a, b, c, d];
        result
    }

    /// A number below `bound`, 0 where that is 0. The bias of the multiplication is at most bound / 2^64.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// A number in `low..high`.
    #[inline]
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low))
    }

    /// True once in `n` times on average.
    #[inline]
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// An index below `len`, small ones more often: the frequencies of users and peers are never flat.
    #[inline]
    pub fn skewed(&mut self, len: u64) -> u64 {
        let (a, b, c) = (self.below(len), self.below(len), self.below(len));
        a.min(b).min(c)
    }
}

fn splitmix64(z: &mut u64) -> u64 {
    *z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut x = *z;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_its_numbers_and_another_names_others() {
        let first: Vec<u64> = (0..8).scan(Random::new(7), |r, _| Some(r.bits())).collect();
        let again: Vec<u64> = (0..8).scan(Random::new(7), |r, _| Some(r.bits())).collect();
        let other: Vec<u64> = (0..8).scan(Random::new(8), |r, _| Some(r.bits())).collect();
        assert_eq!(first, again);
        assert_ne!(first, other);
    }

    #[test]
    fn splitmix_gives_the_published_numbers() {
        // https://prng.di.unimi.it/splitmix64.c, seed 1234567
        let mut z = 1_234_567;
        assert_eq!(splitmix64(&mut z), 6_457_827_717_110_365_317);
        assert_eq!(splitmix64(&mut z), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            assert!(random.below(10) < 10);
            assert!((5..9).contains(&random.between(5, 9)));
            assert!(random.skewed(4) < 4);
        }
        assert_eq!(random.below(0), 0);
    }
}
