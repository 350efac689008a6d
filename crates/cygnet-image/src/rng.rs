//! Random numbers whose whole state is one `u64`, so that it can be stored, and streams that are named by numbers
//! instead of being drawn from each other, so that no sample depends on which thread prepared the one before.

/// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rng {
    /// All there is to it.
    pub state: u64,
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Rng {
        Rng { state: seed }
    }

    /// The stream with a name, such as `[seed, epoch, sample]`.
    #[must_use]
    pub fn keyed(keys: &[u64]) -> Rng {
        Rng {
            state: keys
                .iter()
                .fold(STEP, |state, &key| mix(state.wrapping_add(STEP) ^ mix(key.wrapping_add(STEP)))),
        }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// From 0 to below 1, with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// From `low` to below `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A whole number below `count`; 0 if that is 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next_u64()) * count as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Of the standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Of the gamma distribution with scale 1 (Marsaglia and Tsang 2000).
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.uniform()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Of the beta distribution with both parameters `alpha`.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let (a, b) = (self.gamma(alpha), self.gamma(alpha));
        if a + b > 0.0 { a / (a + b) } else { 0.5 }
    }

    /// Shuffles `items` (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([rng.next_u64(), rng.next_u64(), rng.next_u64()], expected);
    }

    #[test]
    fn streams_of_near_names_differ() {
        let mut firsts: Vec<u64> = (0..10)
            .flat_map(|a| (0..10).flat_map(move |b| (0..10).map(move |c| [a, b, c])))
            .map(|keys| Rng::keyed(&keys).next_u64())
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 1000);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = Rng::new(7);
        let count = 100_000;
        let mut moments = |draw: fn(&mut Rng) -> f64| {
            let values: Vec<f64> = (0..count).map(|_| draw(&mut rng)).collect();
            let mean = values.iter().sum::<f64>() / f64::from(count);
            (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(count))
        };
        let near = |(mean, variance): (f64, f64), expected: (f64, f64)| {
            assert!(
                (mean - expected.0).abs() < 0.01 && (variance - expected.1).abs() < 0.01,
                "{mean} {variance}"
            );
        };
        near(moments(Rng::uniform), (0.5, 1.0 / 12.0));
        near(moments(Rng::normal), (0.0, 1.0));
        for (draw, alpha) in [((|rng| rng.beta(0.2)) as fn(&mut Rng) -> f64, 0.2), (|rng| rng.beta(2.0), 2.0)]
        {
            near(moments(draw), (0.5, 1.0 / (4.0 * (2.0 * alpha + 1.0))));
        }
        near(moments(|rng| rng.below(3) as f64), (1.0, 2.0 / 3.0));
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        Rng::new(3).shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
