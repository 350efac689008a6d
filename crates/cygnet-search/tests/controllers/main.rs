//! Controllers on surfaces whose best networks are known.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_range_loop, reason = "decisions and options are numbers")]

mod differentiable;
mod evolving;
mod learning;
mod surfaces;

use std::convert::Infallible;

use cygnet_image::Rng;
use cygnet_search::Space;
use cygnet_search::controller::{Controller, Problem, Proposal, Trial, search};

/// `places` places with `options` options each, and nothing else to choose.
fn space(places: usize, options: usize) -> Space {
    let blocks: Vec<String> = (1..=options).map(|e| format!("\"m3e{e}\"")).collect();
    let stage = format!("[[stage]]\nchannels = [8]\ndepth = [1]\nblocks = [{}]\n", blocks.join(", "));
    let text = format!("image = [16]\nstem = [\"8\"]\nhead = [\"8\"]\n{}", stage.repeat(places));
    let space = Space::read("surface", &text).unwrap();
    assert_eq!(space.decisions().len(), places);
    space
}

/// Quality and latency of networks: `Σ a + Σ pair terms` and `Σ b`, in which what is slower is better on average.
struct Surface {
    space: Space,
    quality: Vec<Vec<f64>>,
    /// Of neighbours, by their options.
    pairs: Vec<Vec<Vec<f64>>>,
    latency: Vec<Vec<f64>>,
    /// Deviation of what an evaluation sees.
    noise: f64,
    seed: u64,
}

const PLACES: usize = 6;
const OPTIONS: usize = 5;

impl Surface {
    fn new(seed: u64) -> Surface {
        Surface::of(PLACES, seed)
    }

    /// A surface with so many places.
    fn of(places: usize, seed: u64) -> Surface {
        let mut rng = Rng::keyed(&[seed, 0x5f]);
        let (mut quality, mut latency) = (Vec::new(), Vec::new());
        for _ in 0..places {
            let ms: Vec<f64> = (0..OPTIONS).map(|_| rng.between(0.1, 1.0)).collect();
            quality.push(ms.iter().map(|ms| 0.05 * ms + rng.between(0.0, 0.05)).collect());
            latency.push(ms);
        }
        let mut table =
            || (0..OPTIONS).map(|_| (0..OPTIONS).map(|_| rng.between(-0.01, 0.01)).collect()).collect();
        let pairs = (1..places).map(|_| table()).collect();
        Surface { space: space(places, OPTIONS), quality, pairs, latency, noise: 0.005, seed }
    }

    fn quality(&self, choices: &[usize]) -> f64 {
        let single: f64 = choices.iter().zip(&self.quality).map(|(&option, a)| a[option]).sum();
        let pairs = choices.windows(2).zip(&self.pairs).map(|(two, pair)| pair[two[0]][two[1]]);
        0.5 + single + pairs.sum::<f64>()
    }

    fn latency(&self, choices: &[usize]) -> f64 {
        choices.iter().zip(&self.latency).map(|(&option, b)| b[option]).sum()
    }

    /// What an evaluation says of a network.
    fn seen(&self, choices: &[usize]) -> f64 {
        let mut key = vec![self.seed, 0x0b5e];
        key.extend(choices.iter().map(|&option| option as u64));
        self.quality(choices) + self.noise * Rng::keyed(&key).normal()
    }

    /// The latency that half of the networks have at most.
    fn median(&self) -> f64 {
        let mut all: Vec<f64> = self.space.all().map(|choices| self.latency(&choices)).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    /// Qualities of all that are fast enough, the best first.
    fn feasible(&self, limit: f64) -> Vec<f64> {
        let all = self.space.all().filter(|choices| self.latency(choices) <= limit);
        let mut all: Vec<f64> = all.map(|choices| self.quality(&choices)).collect();
        all.sort_by(|a, b| b.total_cmp(a));
        all
    }
}

/// Runs a controller on a surface.
fn run(surface: &Surface, controller: &mut dyn Controller) -> Vec<Trial> {
    let evaluate = |proposal: &Proposal| Ok::<f64, Infallible>(surface.seen(&proposal.choices));
    search(controller, evaluate, |_| Ok(())).unwrap()
}

/// A problem on a surface.
fn problem<'a>(surface: &'a Surface, cost: &'a dyn Fn(&[usize]) -> f64, limit: f64) -> Problem<'a> {
    Problem { space: &surface.space, cost, limit }
}
