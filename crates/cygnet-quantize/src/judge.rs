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

/// The share of images that are lost, less two standard errors: of those that were right and are wrong over those that were wrong
/// and are right, or without labels of those with another guess.
pub(crate) fn lost_beyond_chance(before: &[Vec<f32>], after: &[Vec<f32>], labels: &[usize]) -> f64 {
    let count = before.len().max(1) as f64;
    let guesses = before.iter().zip(after).map(|(before, after)| (guess(before), guess(after)));
    if labels.is_empty() {
        let other = guesses.filter(|(before, after)| before != after).count() as f64 / count;
        return other - 2.0 * (other * (1.0 - other) / count).sqrt();
    }
    let (mut lost, mut won) = (0.0, 0.0);
    for ((before, after), label) in guesses.zip(labels) {
        lost += f64::from(u8::from(before == *label && after != *label));
        won += f64::from(u8::from(before != *label && after == *label));
    }
    (lost - won - 2.0 * f64::sqrt(lost + won)) / count
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
        assert!(lost_beyond_chance(&answers(0), &answers(3), &[]) < 0.0);
        assert!(lost_beyond_chance(&answers(0), &answers(20), &[]) > 0.1);
        assert!(lost_beyond_chance(&answers(0), &answers(3), &[1; 100]) < 0.0);
        assert!(lost_beyond_chance(&answers(0), &answers(20), &[1; 100]) > 0.1);
        assert!(lost_beyond_chance(&answers(20), &answers(0), &[1; 100]) < 0.0);
    }
}
