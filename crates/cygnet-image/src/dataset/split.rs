//! Dividing and weighing classes.

use super::{Dataset, Sample};
use crate::rng::Rng;

impl Sample {
    /// Pictures of each of so many classes.
    #[must_use]
    pub fn counts(samples: &[Sample], classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for sample in samples {
            counts[sample.class] += 1;
        }
        counts
    }
}

impl Dataset {
    /// Pictures of each class.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        Sample::counts(&self.samples, self.classes.len())
    }

    /// Takes about `fraction` of every class away for validation: at least one picture of a class that has two, at
    /// least one stays. Which ones, `seed` decides.
    #[must_use]
    pub fn split(self, fraction: f64, seed: u64) -> (Dataset, Dataset) {
        let mut taken = vec![false; self.samples.len()];
        for class in 0..self.classes.len() {
            let mut members: Vec<usize> =
                (0..taken.len()).filter(|&index| self.samples[index].class == class).collect();
            let count = (members.len() as f64 * fraction).round() as usize;
            let count = count.max(usize::from(fraction > 0.0)).min(members.len().saturating_sub(1));
            Rng::keyed(&[seed, class as u64]).shuffle(&mut members);
            members[..count].iter().for_each(|&index| taken[index] = true);
        }
        let classes = self.classes;
        let [mut train, mut validation] =
            [(); 2].map(|()| Dataset { classes: classes.clone(), samples: vec![] });
        for (sample, taken) in self.samples.into_iter().zip(taken) {
            if taken { &mut validation } else { &mut train }.samples.push(sample);
        }
        (train, validation)
    }

    /// A weight for each class, inverse to its pictures and 1 on the average over pictures: `n / (classes × count)`,
    /// scikit-learn's "balanced".
    #[must_use]
    pub fn balanced_weights(&self) -> Vec<f32> {
        let total = self.samples.len() as f64;
        let weight = |&count: &usize| (total / (self.classes.len() as f64 * count.max(1) as f64)) as f32;
        self.counts().iter().map(weight).collect()
    }
}
