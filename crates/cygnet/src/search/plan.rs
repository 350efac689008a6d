//! What a search will do, and what networks cost.

use std::fmt::{self, Display, Formatter};

use cygnet_image::Rng;
use cygnet_search::Space;
use cygnet_search::controller::Halving;
use cygnet_zoo::{Gene, Spec};
use serde::Serialize;

use super::scoring::{Scoring, epochs_of};
use super::{Search, SearchError};

/// The most that a network may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Multiply-accumulates for an image.
    Macs(f64),
    /// Learnt numbers.
    Params(f64),
}

impl Limit {
    /// The number.
    #[must_use]
    pub fn most(&self) -> f64 {
        match *self {
            Limit::Macs(most) | Limit::Params(most) => most,
        }
    }

    /// A limit of this kind with another number.
    #[must_use]
    pub fn with(self, most: f64) -> Limit {
        match self {
            Limit::Macs(_) => Limit::Macs(most),
            Limit::Params(_) => Limit::Params(most),
        }
    }

    /// What a network for so many classes costs; infinite if it cannot be.
    #[must_use]
    pub fn cost_of(&self, gene: &Gene, classes: usize) -> f64 {
        let Ok(graph) = gene.build(&Spec { classes, ..gene.spec() }) else { return f64::INFINITY };
        match self {
            Limit::Macs(_) => graph.cost().macs as f64,
            Limit::Params(_) => graph.cost().params as f64,
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Macs(most) => write!(f, "{:.3} M MACs", most / 1e6),
            Limit::Params(most) => write!(f, "{:.3} M params", most / 1e6),
        }
    }
}

/// A part of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Networks that are trained.
    pub networks: usize,
    /// Epochs of each.
    pub epochs: u32,
    /// About how long it takes.
    pub minutes: f64,
}

/// What a search will do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Its parts, the last of which is the training of what was found.
    pub stages: Vec<Stage>,
    /// What the cheapest of some networks costs, and half of them at most, in the limit's unit.
    pub costs: [f64; 2],
}

/// Networks by whose costs a space is known.
const LOOKED_AT: u64 = 300;

/// A network in so many goes on to the first rung, and rungs after the first networks.
const FINALISTS: usize = 6;
const RUNGS: u32 = 2;

/// Multiply-accumulates of the forward pass that a core trains in a second, about.
const MACS_A_SECOND: f64 = 6.7e9;

impl Plan {
    pub(super) fn new(search: &Search, space: &Space, scoring: &Scoring) -> Result<Plan, SearchError> {
        let genes = (0..LOOKED_AT).map(|draw| {
            let choices = space.sample(&mut Rng::keyed(&[search.seed, 0x9149, draw]));
            space.gene(&choices)
        });
        let genes: Vec<Gene> = genes.collect();
        let classes = scoring.classes();
        let sorted = |mut costs: Vec<f64>| {
            costs.sort_by(f64::total_cmp);
            costs
        };
        let costs = sorted(genes.iter().map(|gene| search.limit.cost_of(gene, classes)).collect());
        let within = |gene: &&Gene| search.limit.cost_of(gene, classes) <= search.limit.most();
        let macs = |gene: &Gene| Limit::Macs(0.0).cost_of(gene, classes);
        let macs = sorted(genes.iter().filter(within).map(macs).collect());
        let usual = macs.get(macs.len() / 2).copied().unwrap_or_else(|| macs_of(search.limit));
        let stage = |networks: usize, epochs: u32| {
            let macs = usual * scoring.photos() as f64 * networks as f64 * f64::from(epochs);
            Stage { networks, epochs, minutes: macs / MACS_A_SECOND / search.threads.get() as f64 / 60.0 }
        };
        let mut stages = vec![stage(search.networks, search.first_epochs)];
        let mut left = finalists(search.networks);
        for rung in 1..=RUNGS {
            stages.push(stage(left, epochs_of(search.first_epochs, rung)));
            left = left.div_ceil(2);
        }
        stages.push(stage(1, search.epochs.unwrap_or(scoring.epochs())));
        let plan = Plan { stages, costs: [costs[0], costs[costs.len() / 2]] };
        if plan.costs[0] > 4.0 * search.limit.most() {
            return Err(plan.unreachable(search, space));
        }
        Ok(plan)
    }

    /// That no network costs as little as asked for.
    pub(super) fn unreachable(&self, search: &Search, space: &Space) -> SearchError {
        let [least, median] = self.costs.map(|cost| search.limit.with(cost));
        let (limit, space) = (search.limit, space.name().to_owned());
        SearchError::Unreachable { limit, space, tried: LOOKED_AT as usize, least, median }
    }

    /// Networks that go on after the first stage.
    pub(super) fn finalists(&self) -> usize {
        finalists(self.stages[0].networks)
    }

    /// The last rung before the training of what was found.
    pub(super) fn last_rung(&self) -> u32 {
        RUNGS
    }

    /// Networks that are trained before the last training.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.stages[0].networks + Halving::evaluations(self.finalists(), RUNGS, 2)
    }
}

fn finalists(networks: usize) -> usize {
    networks.div_ceil(FINALISTS).max(networks.min(2))
}

/// Multiply-accumulates of a network at the limit, where it says them.
fn macs_of(limit: Limit) -> f64 {
    match limit {
        Limit::Macs(most) => most,
        Limit::Params(most) => 20.0 * most,
    }
}
