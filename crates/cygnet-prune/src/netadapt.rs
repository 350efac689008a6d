//! NetAdapt (Yang et al. 2018, algorithm 1): a network shrinks step by step; in each, every block proposes a smaller network,
//! and after a short training of each the best proposal is kept.
//!
//! The algorithm knows neither networks nor trainings: [`Proposals`] makes and judges them.

use std::error::Error;

/// How much each step saves, and which proposal is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What the network may cost at the end.
    pub budget: f64,
    /// What the first step saves, as a share of the cost at the beginning.
    pub first: f64,
    /// By what each step saves less than the one before.
    pub decay: f64,
    /// Which proposal is kept.
    pub choice: Choice,
    /// Most steps.
    pub steps: usize,
}

/// Which of the proposals of a step is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The most accurate (the paper's algorithm 1).
    Accuracy,
    /// The one that loses the least accuracy for what it saves: `(lost + 1e-6) / (saved + 1e-5)` (the authors' code).
    Ratio,
    /// The one with the largest change of accuracy over that of cost (MobileNetV3, section 4.2). A loss over a saving is a
    /// ratio as small as can be.
    Change,
}

impl Settings {
    /// The paper's: the first step saves 2.5 %, each further one 0.96 times as much, and the most accurate proposal is kept.
    #[must_use]
    pub const fn published(budget: f64) -> Settings {
        Settings { budget, first: 0.025, decay: 0.96, choice: Choice::Accuracy, steps: 30 }
    }

    /// MobileNetV3's: every step saves 1 %, and the proposal with the best ratio is kept.
    #[must_use]
    pub const fn mobilenet_v3(budget: f64) -> Settings {
        Settings { budget, first: 0.01, decay: 1.0, choice: Choice::Change, steps: 400 }
    }

    /// What a step, counted from 0, has to save of a network that cost `before` at the beginning.
    #[must_use]
    pub fn saving(&self, before: f64, step: usize) -> f64 {
        self.first * before * self.decay.powi(i32::try_from(step).unwrap_or(i32::MAX))
    }
}

/// A smaller network that a block proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal<N> {
    /// The block.
    pub block: usize,
    /// The network.
    pub network: N,
    /// What it costs.
    pub cost: f64,
}

/// Who makes proposals and judges them.
pub trait Proposals {
    /// A network with its weights.
    type Network;
    /// What can go wrong.
    type Error: Error;

    /// Blocks of a network: layers, or layers whose outputs are added and shrink together.
    fn blocks(&self, network: &Self::Network) -> usize;

    /// The network with as few channels fewer in a block as make it cost no more than `most`; nothing if the block cannot.
    ///
    /// # Errors
    /// What went wrong.
    fn propose(
        &mut self,
        network: &Self::Network,
        block: usize,
        most: f64,
    ) -> Result<Option<Proposal<Self::Network>>, Self::Error>;

    /// Trains a proposal for a short time and says how accurate it then is, on pictures that no training saw.
    ///
    /// # Errors
    /// What went wrong.
    fn adapt(&mut self, step: usize, proposal: &mut Proposal<Self::Network>) -> Result<f64, Self::Error>;
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// The block that shrank.
    pub block: usize,
    /// What the network cost then.
    pub cost: f64,
    /// How accurate it was.
    pub accuracy: f64,
    /// How many blocks proposed something.
    pub proposals: usize,
}

/// Shrinks a network of a cost and accuracy until it is within the budget, no block can shrink, or steps are used up. `seen` is told of
/// each step with the network, and may end it by `false`.
///
/// # Errors
/// What went wrong with a proposal.
pub fn netadapt<P: Proposals>(
    settings: &Settings,
    mut network: P::Network,
    [start, mut accuracy]: [f64; 2],
    proposals: &mut P,
    seen: &mut dyn FnMut(&P::Network, Taken) -> bool,
) -> Result<P::Network, P::Error> {
    let mut cost = start;
    for step in 0..settings.steps {
        if cost <= settings.budget {
            break;
        }
        let most = (cost - settings.saving(start, step)).max(settings.budget);
        let mut best: Option<(f64, f64, Proposal<P::Network>)> = None;
        let mut count = 0;
        for block in 0..proposals.blocks(&network) {
            let Some(mut proposal) = proposals.propose(&network, block, most)? else { continue };
            count += 1;
            let now = proposals.adapt(step, &mut proposal)?;
            let (lost, saved) = (accuracy - now, cost - proposal.cost);
            let merit = match settings.choice {
                Choice::Accuracy => now,
                Choice::Ratio => -(lost + 1e-6) / (saved + 1e-5),
                Choice::Change => -lost / saved,
            };
            if best.as_ref().is_none_or(|(other, ..)| merit > *other) {
                best = Some((merit, now, proposal));
            }
        }
        let Some((_, now, Proposal { block, network: smaller, cost: less })) = best else { break };
        (network, cost, accuracy) = (smaller, less, now);
        if !seen(&network, Taken { block, cost, accuracy, proposals: count }) {
            break;
        }
    }
    Ok(network)
}
