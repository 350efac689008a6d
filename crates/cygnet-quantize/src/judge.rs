//! How near the answers of two networks are.

/// How near the answers of a network are to those of another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Share of images with the same first guess, 0 to 1.
    pub agreement: f64,
    /// Mean divergence of the probabilities from those wanted (Kullback-Leibler), in nats.
    pub kl: f64,
}

/// Compares answers with those wanted. Answers are logits, or, if all that are wanted are such, probabilities.
#[must_use]
pub fn compare(wanted: &[Vec<f32>], given: &[Vec<f32>]) -> Agreement {
    let are_probabilities = wanted
        .iter()
        .all(|answer| answer.iter().all(|&p| p >= 0.0) && (answer.iter().sum::<f32>() - 1.0).abs() < 1e-3);
    let logarithms = |answer: &[f32]| -> Vec<f64> {
        if are_probabilities {
            return answer.iter().map(|&p| f64::from(p).max(1e-12).ln()).collect();
        }
        let largest = answer.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = answer.iter().map(|&x| f64::from(x - largest).exp()).sum();
        answer.iter().map(|&x| f64::from(x - largest) - sum.ln()).collect()
    };
    let (mut same, mut kl) = (0, 0.0);
    for (wanted, given) in wanted.iter().zip(given) {
        same += usize::from(guess(wanted) == guess(given));
        let (p, q) = (logarithms(wanted), logarithms(given));
        kl += p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
    }
    let count = wanted.len().max(1) as f64;
    Agreement { agreement: same as f64 / count, kl: kl / count }
}

/// The class with the largest number, the first of several.
#[must_use]
pub fn guess(answer: &[f32]) -> usize {
    let larger = |best: (usize, f32), (i, &x): (usize, &f32)| if x > best.1 { (i, x) } else { best };
    answer.iter().enumerate().fold((0, f32::NEG_INFINITY), larger).0
}

/// What is lost on some images, in shares of them: of those that were right and are wrong over those that were wrong
/// and are right, or without labels of those with another guess.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// What is lost on these images; below 0 if more came right.
    pub lost: f64,
    /// How far that may be from what is lost on others by chance: two standard errors.
    pub chance: f64,
    /// What is lost on others at most, 95 times of 100.
    pub at_most: f64,
}

impl Loss {
    /// Holds answers against those before; `labels` has the class of each, or none.
    #[must_use]
    pub fn of(before: &[Vec<f32>], after: &[Vec<f32>], labels: &[usize]) -> Loss {
        let count = before.len().max(1) as f64;
        let guesses = before.iter().zip(after).map(|(before, after)| (guess(before), guess(after)));
        let [lost, chance] = if labels.is_empty() {
            let other = guesses.filter(|(before, after)| before != after).count() as f64 / count;
            [other, 2.0 * (other * (1.0 - other) / count).sqrt()]
        } else {
            let (mut lost, mut won) = (0.0, 0.0);
            for ((before, after), label) in guesses.zip(labels) {
                lost += f64::from(u8::from(before == *label && after != *label));
                won += f64::from(u8::from(before != *label && after == *label));
            }
            [(lost - won) / count, 2.0 * f64::sqrt(lost + won) / count]
        };
        // Of what was never seen in n tries the share is below 3 in n, 95 times of 100.
        Loss { lost, chance, at_most: (lost + chance).max(3.0 / count).min(1.0) }
    }

    /// Whether it is more than `share`, and not by chance.
    #[must_use]
    pub fn exceeds(self, share: f64) -> bool {
        self.lost - self.chance > share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_as_logits_or_as_probabilities() {
        let logits = [vec![0.0, 1.0], vec![2.0, 0.0]];
        assert_eq!(compare(&logits, &logits), Agreement { agreement: 1.0, kl: 0.0 });
        let other = compare(&logits, &[vec![1.0, 0.0], vec![2.0, 0.0]]);
        let kl = (2.0 * (1.0 / (1.0 + (-1.0f64).exp())) - 1.0) / 2.0;
        assert!(other.agreement == 0.5 && (other.kl - kl).abs() < 1e-6, "{other:?}");
        let halves = compare(&[vec![0.5, 0.5]], &[vec![0.25, 0.75]]);
        assert!((halves.kl - 0.5 * (4.0f64 / 3.0).ln()).abs() < 1e-6, "{halves:?}");
    }

    #[test]
    fn what_chance_explains_is_not_lost() {
        let answers = |wrong: usize| -> Vec<Vec<f32>> {
            (0..100).map(|i| if i < wrong { vec![1.0, 0.0] } else { vec![0.0, 1.0] }).collect()
        };
        let exceeds = |before, after, labels: &[usize], share| {
            Loss::of(&answers(before), &answers(after), labels).exceeds(share)
        };
        assert!(!exceeds(0, 3, &[], 0.0));
        assert!(exceeds(0, 20, &[], 0.1));
        assert!(!exceeds(0, 3, &[1; 100], 0.0));
        assert!(exceeds(0, 20, &[1; 100], 0.1));
        assert!(!exceeds(20, 0, &[1; 100], 0.0));
    }

    #[test]
    fn what_a_few_images_do_not_show_may_be_lost_on_others() {
        let answers = |wrong: usize| -> Vec<Vec<f32>> {
            (0..100).map(|i| if i < wrong { vec![1.0, 0.0] } else { vec![0.0, 1.0] }).collect()
        };
        for labels in [&[][..], &[1; 100]] {
            let none = Loss::of(&answers(4), &answers(4), labels);
            assert_eq!(none, Loss { lost: 0.0, chance: 0.0, at_most: 0.03 });
        }
        let some = Loss::of(&answers(0), &answers(4), &[1; 100]);
        assert_eq!((some.lost, some.chance), (0.04, 0.04));
        assert!((some.at_most - 0.08).abs() < 1e-12);
    }
}
