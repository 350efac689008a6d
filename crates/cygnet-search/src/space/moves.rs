//! Random genes, neighbours, offspring and distances.

use cygnet_image::Rng;

use super::{Choices, Space};

impl Space {
    /// Chooses each decision that matters among its options alike.
    #[must_use]
    pub fn sample(&self, rng: &mut Rng) -> Choices {
        self.choose(|decision, _| rng.below(self.decisions[decision].options.len()))
    }

    /// Chooses by `of`, which is asked for each decision that matters, in order, with the choices before it.
    #[must_use]
    pub fn choose(&self, mut of: impl FnMut(usize, &[usize]) -> usize) -> Choices {
        let mut choices = Choices::with_capacity(self.decisions.len());
        for index in 0..self.decisions.len() {
            let chosen = if self.matters(index, &choices) { of(index, &choices) } else { 0 };
            choices.push(chosen);
        }
        choices
    }

    /// A neighbour: each decision is changed with probability `rate`, and one at least, if there is one to change. What
    /// comes to matter is drawn.
    #[must_use]
    pub fn mutate(&self, parent: &[usize], rate: f64, rng: &mut Rng) -> Choices {
        let own: Vec<usize> = (0..parent.len()).filter(|&index| self.matters(index, parent)).collect();
        let Some(&surely) = own.get(rng.below(own.len())) else { return parent.to_vec() };
        self.choose(|index, _| {
            let options = self.decisions[index].options.len();
            if !self.matters(index, parent) {
                return rng.below(options);
            }
            let old = parent[index];
            if index != surely && !rng.chance(rate) {
                return old;
            }
            // Another than the old one.
            let other = rng.below(options - 1);
            if other < old { other } else { other + 1 }
        })
    }

    /// Offspring: each decision is as one of the parents has it, as the one to which it matters if it is one.
    #[must_use]
    pub fn cross(&self, mother: &[usize], father: &[usize], rng: &mut Rng) -> Choices {
        self.choose(|index, _| {
            let [of_mother, of_father] = [mother, father].map(|parent| self.matters(index, parent));
            let takes_mother = if of_mother && of_father { rng.chance(0.5) } else { of_mother };
            match (takes_mother, of_father) {
                (true, _) => mother[index],
                (false, true) => father[index],
                (false, false) => rng.below(self.decisions[index].options.len()),
            }
        })
    }

    /// In how many decisions that matter to one of them two genes differ.
    #[must_use]
    pub fn distance(&self, a: &[usize], b: &[usize]) -> usize {
        let differs = |&index: &usize| match [a, b].map(|choices| self.matters(index, choices)) {
            [true, true] => a[index] != b[index],
            [false, false] => false,
            _ => true,
        };
        (0..self.decisions.len()).filter(differs).count()
    }
}
