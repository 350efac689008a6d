//! Training of paths through a store of weights.

use cygnet_engine::{Engine, EngineError, EngineOptions, Group, Optimizer, OptimizerConfig, Resources};
use cygnet_graph::{BuildError, Graph, Role};
use thiserror::Error;

use super::store::{Slice, Slices, Store, gather, scatter};

/// Weights of a space in training: a store, and what the optimiser remembers of each number.
#[derive(Debug)]
pub struct Supernet {
    store: Store,
    optimizer: Optimizer,
    config: OptimizerConfig,
    gradients: Vec<Vec<f32>>,
    /// Runs of each entry that have gradients since the last update.
    touched: Vec<Vec<(usize, usize)>>,
    options: EngineOptions,
    resources: Resources,
}

/// A network of the space, ready to be trained and evaluated with the store's weights.
#[derive(Debug)]
pub struct Path {
    graph: Graph,
    slices: Slices,
    engine: Engine,
}

/// Why a path cannot be trained.
#[derive(Debug, Error)]
pub enum SupernetError {
    /// The network has layers that the store has not, or larger ones.
    #[error("{network}: is no network of the supernet's space; make the supernet of a space that has it")]
    NotOfSpace {
        /// The network's name.
        network: String,
    },
    /// The network cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A step cannot be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Path {
    /// Its network.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}

fn group(role: Role, config: &OptimizerConfig) -> Group {
    let decays = role == Role::Weight || config.decay_all;
    Group { trained: role.is_learnt(), rate: 1.0, decays }
}

impl Supernet {
    /// A store before its first step. Paths are trained as `options` say, with shared `resources`.
    #[must_use]
    pub fn new(
        store: Store,
        config: OptimizerConfig,
        options: EngineOptions,
        resources: &Resources,
    ) -> Supernet {
        let groups = store.entries().iter().map(|entry| group(entry.role, &config)).collect();
        let lengths: Vec<usize> = store.entries().iter().map(|entry| entry.values.len()).collect();
        Supernet {
            optimizer: Optimizer::new(config.clone(), groups, &lengths),
            config,
            gradients: lengths.iter().map(|&length| vec![0.0; length]).collect(),
            touched: vec![Vec::new(); lengths.len()],
            options,
            resources: resources.clone(),
            store,
        }
    }

    /// The weights.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the optimiser remembers: for each of its running averages and each parameter of the store its numbers.
    #[must_use]
    pub fn averages(&self) -> &[Vec<Vec<f32>>] {
        &self.optimizer.slots
    }

    /// A network of the space as a path.
    ///
    /// # Errors
    /// If it is none of the space's, or cannot be trained.
    pub fn path(&self, graph: Graph) -> Result<Path, SupernetError> {
        let not_of_space = || SupernetError::NotOfSpace { network: graph.name().into() };
        let slices = self.store.slices(&graph).ok_or_else(not_of_space)?;
        let engine = Engine::sharing(&graph, self.options.clone(), &self.resources)?;
        Ok(Path { graph, slices, engine })
    }

    /// A path's weights, in the order of its [`Graph::params`].
    #[must_use]
    pub fn weights(&self, path: &Path) -> Vec<Vec<f32>> {
        self.store.gather(&path.slices)
    }

    /// A forward and backward pass of a path; the mean loss. `scale` times its gradient is added to what the next
    /// [`Supernet::update`] uses, and the path's running statistics move. Arguments are those of [`Engine::step`].
    ///
    /// # Errors
    /// As [`Engine::step`].
    pub fn learn(
        &mut self,
        path: &mut Path,
        images: &[f32],
        targets: &[f32],
        seed: u64,
        scale: f32,
    ) -> Result<f64, SupernetError> {
        let mut params = self.store.gather(&path.slices);
        let mut gradients: Vec<Vec<f32>> =
            path.slices.of.iter().map(|slice| gather(&self.gradients[slice.entry], &slice.runs)).collect();
        let loss = path.engine.step(&mut params, images, targets, seed, &mut gradients, scale)?.loss;
        for (slice, (param, gradient)) in path.slices.of.iter().zip(params.iter().zip(&gradients)) {
            let Slice { entry, runs } = slice;
            if self.store.entries()[*entry].role.is_learnt() {
                scatter(&mut self.gradients[*entry], runs, gradient);
                self.touched[*entry].extend_from_slice(runs);
            } else {
                scatter(self.store.values_mut(*entry), runs, param);
            }
        }
        Ok(loss)
    }

    /// A step with learning rate `rate` on the gradients since the last one. Of numbers that none of them is of neither
    /// value nor running averages change.
    pub fn update(&mut self, rate: f64) {
        let entries: Vec<usize> =
            (0..self.touched.len()).filter(|&entry| !self.touched[entry].is_empty()).collect();
        let runs: Vec<Vec<(usize, usize)>> =
            entries.iter().map(|&entry| joined(std::mem::take(&mut self.touched[entry]))).collect();
        let part = |lists: &[Vec<f32>]| -> Vec<Vec<f32>> {
            entries.iter().zip(&runs).map(|(&entry, runs)| gather(&lists[entry], runs)).collect()
        };
        let mut gradients = part(&self.gradients);
        let values = |(&entry, runs): (&usize, &Vec<_>)| gather(&self.store.entries()[entry].values, runs);
        let mut params: Vec<Vec<f32>> = entries.iter().zip(&runs).map(values).collect();
        let lengths: Vec<usize> = params.iter().map(Vec::len).collect();
        let groups = entries.iter().map(|&entry| group(self.store.entries()[entry].role, &self.config));
        let mut optimizer = Optimizer::new(self.config.clone(), groups.collect(), &lengths);
        optimizer.slots = self.optimizer.slots.iter().map(|slot| part(slot)).collect();
        optimizer.steps = self.optimizer.steps;
        optimizer.skipped = entries.iter().map(|&entry| self.optimizer.skipped[entry]).collect();
        optimizer.step(&mut params, &mut gradients, rate);
        let mut age = vec![1; self.touched.len()];
        for (index, (&entry, runs)) in entries.iter().zip(&runs).enumerate() {
            scatter(self.store.values_mut(entry), runs, &params[index]);
            for (whole, part) in self.optimizer.slots.iter_mut().zip(&optimizer.slots) {
                scatter(&mut whole[entry], runs, &part[index]);
            }
            runs.iter().for_each(|&(first, length)| self.gradients[entry][first..first + length].fill(0.0));
            age[entry] = 0;
        }
        self.optimizer.steps += 1;
        self.optimizer.skipped.iter_mut().zip(age).for_each(|(skipped, more)| *skipped += more);
    }

    /// The logits of a path in evaluation mode, `[batch, classes]`.
    ///
    /// # Errors
    /// As [`Engine::forward`].
    pub fn evaluate<'p>(&self, path: &'p mut Path, images: &[f32]) -> Result<&'p [f32], SupernetError> {
        Ok(path.engine.forward(&self.store.gather(&path.slices), images)?)
    }

    /// Gives a path the statistics of some batches of images, each batch counting alike: those that were left by
    /// other paths say nothing of its values.
    ///
    /// # Errors
    /// As [`Engine::step`].
    pub fn recalibrate<'i>(
        &mut self,
        path: &Path,
        batches: impl IntoIterator<Item = &'i [f32]>,
    ) -> Result<(), SupernetError> {
        let mut params = self.store.gather(&path.slices);
        let trainable = vec![false; params.len()];
        let alone =
            EngineOptions { trainable, batch_norm_momentum: 1.0, dropout: false, ..self.options.clone() };
        let mut engine = Engine::sharing(&path.graph, alone, &self.resources)?;
        let targets = vec![1.0 / path.graph.classes() as f32; self.options.batch * path.graph.classes()];
        let mut gradients = vec![Vec::new(); params.len()];
        let mut means: Vec<Vec<f32>> = Vec::new();
        for (number, images) in batches.into_iter().enumerate() {
            engine.step(&mut params, images, &targets, 0, &mut gradients, 0.0)?;
            if number == 0 {
                means.clone_from(&params);
            }
            for (mean, seen) in means.iter_mut().flatten().zip(params.iter().flatten()) {
                *mean += (seen - *mean) / (number + 1) as f32;
            }
        }
        let statistics = |slice: &&Slice| !self.store.entries()[slice.entry].role.is_learnt();
        let places: Vec<bool> = path.slices.of.iter().map(|slice| statistics(&slice)).collect();
        for ((slice, mean), is_statistic) in path.slices.of.iter().zip(&means).zip(places) {
            if is_statistic {
                scatter(self.store.values_mut(slice.entry), &slice.runs, mean);
            }
        }
        Ok(())
    }
}

/// Runs in order, those that touch or overlap as one.
fn joined(mut runs: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    runs.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::with_capacity(runs.len());
    for (first, length) in runs {
        match joined.last_mut() {
            Some((start, so_far)) if first <= *start + *so_far => {
                *so_far = (*so_far).max(first + length - *start);
            }
            _ => joined.push((first, length)),
        }
    }
    joined
}
