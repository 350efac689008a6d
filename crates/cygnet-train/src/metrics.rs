//! How good answers are: accuracy, loss, confusion, calibration.

use cygnet_weights::top5_tells;
use serde::{Deserialize, Serialize};

/// The answer for one picture held against its class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The right class.
    pub class: usize,
    /// The likeliest class.
    pub guess: usize,
    /// Probability of the guess.
    pub confidence: f32,
    /// Probability of the right class.
    pub class_probability: f32,
    /// How many classes were thought likelier than the right one.
    pub rank: usize,
}

impl Verdict {
    /// Judges probabilities. Ties go to the lower class.
    ///
    /// # Panics
    /// If there is no probability for `class`.
    #[must_use]
    pub fn of(probabilities: &[f32], class: usize) -> Verdict {
        let mut guess = 0;
        for (index, probability) in probabilities.iter().enumerate() {
            if *probability > probabilities[guess] {
                guess = index;
            }
        }
        let right = probabilities[class];
        let likelier = |(index, p): (usize, &f32)| *p > right || (*p == right && index < class);
        let rank = probabilities.iter().enumerate().filter(|&at| likelier(at)).count();
        Verdict { class, guess, confidence: probabilities[guess], class_probability: right, rank }
    }
}

/// One class's share of the result, in percent; none where there is nothing to divide by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Pictures of the class.
    pub images: usize,
    /// Of those guessed to be it, how many are.
    pub precision: Option<f64>,
    /// Of its pictures, how many were guessed.
    pub recall: Option<f64>,
}

/// What many verdicts say together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Pictures.
    pub images: usize,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Percent whose guess is right.
    pub top1: f64,
    /// Percent whose class is among the likeliest five.
    pub top5: f64,
    /// Expected calibration error over fifteen bins of equal width (Guo et al. 2017), in percent: how far confidence
    /// lies from accuracy.
    pub calibration_error: f64,
    /// For each class its precision and recall.
    pub classes: Vec<ClassMetrics>,
    /// Pictures by right class (rows) and guess (columns).
    pub confusion: Vec<Vec<u32>>,
}

/// Bins of the calibration error.
const BINS: usize = 15;

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

impl Metrics {
    /// "top-1 81.23 %, top-5 99.10 %", or without top-5 where it tells nothing.
    #[must_use]
    pub fn accuracy(&self) -> String {
        if top5_tells(self.classes.len()) {
            format!("top-1 {:.2} %, top-5 {:.2} %", self.top1, self.top5)
        } else {
            format!("top-1 {:.2} %", self.top1)
        }
    }

    /// Sums verdicts up.
    #[must_use]
    pub fn of(verdicts: &[Verdict], classes: usize) -> Metrics {
        let count = verdicts.len() as f64;
        let mut confusion = vec![vec![0u32; classes]; classes];
        let mut bins = [(0.0, 0.0); BINS];
        let (mut loss, mut top1, mut top5) = (0.0, 0.0, 0.0);
        for verdict in verdicts {
            let right = f64::from(u8::from(verdict.guess == verdict.class));
            confusion[verdict.class][verdict.guess] += 1;
            loss -= f64::from(verdict.class_probability.max(f32::MIN_POSITIVE)).ln();
            top1 += right;
            top5 += f64::from(u8::from(verdict.rank < 5));
            let bin = (f64::from(verdict.confidence) * BINS as f64).ceil() as usize;
            let bin = &mut bins[bin.clamp(1, BINS) - 1];
            bin.0 += f64::from(verdict.confidence);
            bin.1 += right;
        }
        let class = |class: usize| {
            let hits = f64::from(confusion[class][class]);
            let own: u32 = confusion[class].iter().sum();
            let guessed: u32 = confusion.iter().map(|row| row[class]).sum();
            ClassMetrics {
                images: own as usize,
                precision: (guessed > 0).then(|| percent(hits, f64::from(guessed))),
                recall: (own > 0).then(|| percent(hits, f64::from(own))),
            }
        };
        Metrics {
            images: verdicts.len(),
            loss: if count > 0.0 { loss / count } else { 0.0 },
            top1: percent(top1, count),
            top5: percent(top5, count),
            calibration_error: percent(bins.iter().map(|(sure, right)| (sure - right).abs()).sum(), count),
            classes: (0..classes).map(class).collect(),
            confusion,
        }
    }

    /// The most frequent mistakes as right class, guess and count; the most frequent first, at most `most`.
    #[must_use]
    pub fn confused(&self, most: usize) -> Vec<(usize, usize, u32)> {
        let row = |(class, row): (usize, &Vec<u32>)| {
            let cells = row.iter().enumerate().map(move |(guess, &count)| (class, guess, count));
            cells.filter(|&(class, guess, count)| class != guess && count > 0).collect::<Vec<_>>()
        };
        let mut pairs: Vec<_> = self.confusion.iter().enumerate().flat_map(row).collect();
        pairs.sort_by_key(|&(class, guess, count)| (std::cmp::Reverse(count), class, guess));
        pairs.truncate(most);
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_rank_the_right_class() {
        let verdict = Verdict::of(&[0.1, 0.5, 0.3, 0.1], 3);
        assert_eq!((verdict.guess, verdict.rank, verdict.confidence), (1, 3, 0.5));
        assert_eq!(Verdict::of(&[0.25; 4], 0).rank, 0);
        assert_eq!(Verdict::of(&[0.25; 4], 2).rank, 2);
    }

    #[test]
    fn figures_are_those_of_a_small_example_by_hand() {
        let of = |probabilities: [f32; 2], class| Verdict::of(&probabilities, class);
        let verdicts = [of([0.9, 0.1], 0), of([0.8, 0.2], 1), of([0.3, 0.7], 1), of([0.1, 0.9], 1)];
        let metrics = Metrics::of(&verdicts, 2);
        assert_eq!(metrics.confusion, [[1, 0], [1, 2]]);
        assert_eq!((metrics.top1, metrics.top5), (75.0, 100.0));
        assert_eq!((metrics.classes[0].precision, metrics.classes[0].recall), (Some(50.0), Some(100.0)));
        assert!(metrics.classes[1].recall.is_some_and(|recall| (recall - 200.0 / 3.0).abs() < 1e-9));
        let of_three = Metrics::of(&verdicts, 3);
        assert_eq!((of_three.classes[2].precision, of_three.classes[2].recall), (None, None));
        let loss = -(0.9f64.ln() + 0.2f64.ln() + 0.7f64.ln() + 0.9f64.ln()) / 4.0;
        assert!((metrics.loss - loss).abs() < 1e-6);
        // Bins: both at 0.9 with two right, 0.8 with none, 0.7 with one.
        let error = (0.2 + 0.8 + 0.3) / 4.0 * 100.0;
        assert!((metrics.calibration_error - error).abs() < 1e-4, "{}", metrics.calibration_error);
        assert_eq!(metrics.confused(5), [(1, 0, 1)]);
    }
}
