//! Cross-entropy of softmax.

use cygnet_cpu::Level;

use crate::area::Touches;
use crate::chunk::Rows;
use crate::value::{View, same};
use crate::work::{Limits, Work, Workspace};

/// Cross-entropy of the softmax of logits against target probabilities times a weight, its share of each image, and the
/// gradient times the run's scale.
#[derive(Clone, Debug)]
pub struct Loss {
    /// `[images, 1, 1, classes]`.
    pub logits: View,
    /// Where the gradient goes; none without a backward pass.
    pub to: Option<View>,
    /// Factor of the loss.
    pub weight: f32,
    /// How many losses of each image come before this one.
    pub number: usize,
}

impl Work for Loss {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let logits = &self.logits;
        logits.is_sound()
            && logits.pixels() == 1
            && self.to.is_none_or(|to| to.is_sound() && same(&to, logits))
            && limits.targets == logits.images * logits.channels
            && self.number < limits.losses / logits.images
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::default().reads([self.logits.into()]).writes(self.to.map(Into::into))
    }

    fn tasks(&self) -> usize {
        self.logits.images
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let classes = self.logits.channels;
        // SAFETY: `fits` checked the sizes.
        unsafe {
            let logits = std::slice::from_raw_parts(Rows::of(memory.arena, &self.logits, task).at, classes);
            let targets = std::slice::from_raw_parts(memory.targets.add(task * classes), classes);
            // NaN must not vanish in the maximum: the sum keeps it.
            let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let exp = |x: f32| f64::from(x - largest).exp();
            let sum: f64 = logits.iter().map(|&x| exp(x)).sum();
            let log_sum = sum.ln();
            let (weight, images) = (f64::from(self.weight), self.logits.images as f64);
            let terms = logits.iter().zip(targets).filter(|(_, t)| **t != 0.0);
            let loss: f64 = terms.map(|(&x, &t)| f64::from(t) * (log_sum - f64::from(x - largest))).sum();
            *memory.losses.add(self.number * self.logits.images + task) = loss * weight / images;
            let Some(to) = self.to else { return };
            let to = Rows::of(memory.arena, &to, task).at;
            let whole: f64 = targets.iter().map(|&t| f64::from(t)).sum();
            let scale = f64::from(memory.scale) * weight / images;
            for (c, (&x, &t)) in logits.iter().zip(targets).enumerate() {
                *to.add(c) = ((exp(x) / sum * whole - f64::from(t)) * scale) as f32;
            }
        }
    }
}
