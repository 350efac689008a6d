//! A graph differentiated into a static plan of forward and backward steps.

use std::num::NonZeroUsize;

use cygnet_cpu::Level;
use cygnet_cpu::pool::{MAX_THREADS, Pool};
use cygnet_gradient::{Arena, Params, Program, Run};
use cygnet_graph::{Graph, Param};

use crate::EngineError;
use crate::plan::{Mode, plan};

/// How a graph is trained.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Images of one micro-batch.
    pub batch: usize,
    /// Threads that share a step; results do not depend on their number.
    pub threads: NonZeroUsize,
    /// Instruction set.
    pub level: Level,
    /// Whether batch norm uses its running statistics and leaves them alone; scale and shift learn all the same.
    pub frozen_batch_norm: bool,
    /// Weight of a batch's statistics in the running ones (PyTorch's convention).
    pub batch_norm_momentum: f32,
    /// For each parameter of the graph, whether its gradient is wanted; the backward pass ends below the first.
    /// Empty means every parameter that learns.
    pub trainable: Vec<bool>,
    /// Probability of dropping the last residual branch of an image; falls linearly to none at the first.
    pub stochastic_depth: f32,
    /// Whether dropout acts.
    pub dropout: bool,
    /// Factor of the weights of the graph's auxiliary outputs; at 0 they and what only they need are left alone.
    pub auxiliary: f32,
}

impl EngineOptions {
    /// `batch` images on one thread with the best instruction set; everything learns.
    #[must_use]
    pub fn new(batch: usize) -> EngineOptions {
        EngineOptions {
            batch,
            threads: NonZeroUsize::MIN,
            level: Level::best(),
            frozen_batch_norm: false,
            batch_norm_momentum: 0.1,
            trainable: Vec::new(),
            stochastic_depth: 0.0,
            dropout: true,
            auxiliary: 1.0,
        }
    }
}

/// What a step computed.
#[derive(Clone, Copy, Debug)]
pub struct StepOutcome<'a> {
    /// Mean cross-entropy against the targets, with auxiliary outputs' times their weights.
    pub loss: f64,
    /// `[batch, classes]`, before softmax.
    pub logits: &'a [f32],
}

/// A graph made ready for training: a plan, its memory and its threads.
///
/// ```
/// use cygnet_graph::{Conv, Graph};
/// use cygnet_engine::{Engine, EngineOptions};
///
/// let graph = Graph::build("tiny", [1, 4, 4], |net, image| {
///     let x = net.at("conv").conv(image, Conv::new(8, 3)).relu().global_avg_pool();
///     net.at("classifier").linear(x, 2)
/// })?;
/// let mut params: Vec<Vec<f32>> =
///     graph.params().iter().map(|p| vec![0.1; p.shape.iter().product()]).collect();
/// let mut gradients: Vec<Vec<f32>> = params.iter().map(|p| vec![0.0; p.len()]).collect();
/// let mut engine = Engine::new(&graph, EngineOptions::new(2))?;
/// let outcome = engine.step(&mut params, &[0.5; 32], &[1.0, 0.0, 0.0, 1.0], 7, &mut gradients, 1.0)?;
/// assert!((outcome.loss - 2f64.ln()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    params: Vec<Param>,
    shape: [usize; 3],
    classes: usize,
    train: Program,
    train_logits: [usize; 2],
    evaluate: Program,
    evaluate_logits: [usize; 2],
    arena: Arena,
    pool: Pool,
    logits: Vec<f32>,
}

/// Largest number of bytes of a plan.
const MEMORY_LIMIT: u64 = 1 << 40;

/// Programs for training and for evaluation, with the places of their logits.
struct Programs {
    train: (Program, [usize; 2]),
    evaluate: (Program, [usize; 2]),
    classes: usize,
}

impl Programs {
    fn new(graph: &Graph, options: &EngineOptions) -> Result<Programs, EngineError> {
        let params = graph.params();
        let setting = |what, value: String, wanted| Err(EngineError::Setting { what, value, wanted });
        if options.batch == 0 {
            return setting("the batch", "0".into(), "at least 1");
        }
        if options.threads.get() > MAX_THREADS {
            return setting("the number of threads", options.threads.to_string(), "at most 1024");
        }
        if !(0.0..1.0).contains(&options.stochastic_depth) {
            return setting("stochastic depth", options.stochastic_depth.to_string(), "in [0, 1)");
        }
        if !(0.0..=1.0).contains(&options.batch_norm_momentum) {
            return setting("batch norm's momentum", options.batch_norm_momentum.to_string(), "in [0, 1]");
        }
        if !(options.auxiliary.is_finite() && options.auxiliary >= 0.0) {
            return setting("the factor of auxiliary outputs", options.auxiliary.to_string(), "0 or more");
        }
        if !options.trainable.is_empty() && options.trainable.len() != params.len() {
            let value = format!("{} long", options.trainable.len());
            return setting(
                "the list of trained parameters",
                value,
                "empty or as long as that of parameters",
            );
        }
        let trainable: Vec<bool> = params
            .iter()
            .enumerate()
            .map(|(i, param)| param.role.is_learnt() && options.trainable.get(i).copied().unwrap_or(true))
            .collect();
        let sizes: Vec<usize> = params.iter().map(|param| param.shape.iter().product()).collect();
        let largest =
            graph.nodes().iter().map(|node| node.shape.iter().product::<usize>()).max().unwrap_or(1);
        let bytes = (largest as u64).saturating_mul(options.batch as u64).saturating_mul(4);
        if bytes > MEMORY_LIMIT {
            return Err(EngineError::Memory { graph: graph.name().into(), batch: options.batch, bytes });
        }
        let images = graph.input_shape().iter().product::<usize>() * options.batch;
        let make = |mode| {
            let plan = plan(graph, options, mode, &trainable)?;
            let (targets, losses) = match mode {
                Mode::Train => (plan.classes * options.batch, plan.losses * options.batch),
                Mode::Evaluate => (0, 0),
            };
            let program =
                Program::new(options.level, plan.steps, plan.arena, sizes.clone(), [images, targets, losses])
                    .map_err(EngineError::Program)?;
            Ok::<_, EngineError>(((program, plan.logits), plan.classes))
        };
        let (train, classes) = make(Mode::Train)?;
        let (evaluate, _) = make(Mode::Evaluate)?;
        Ok(Programs { train, evaluate, classes })
    }

    fn bytes(&self, threads: usize) -> u64 {
        self.train.0.bytes(threads).max(self.evaluate.0.bytes(threads))
    }
}

impl Engine {
    /// Plans the steps and takes the memory.
    ///
    /// # Errors
    /// If a setting makes no sense, memory does not suffice or threads cannot be started.
    pub fn new(graph: &Graph, options: EngineOptions) -> Result<Engine, EngineError> {
        let programs = Programs::new(graph, &options)?;
        let threads = options.threads.get();
        let bytes = programs.bytes(threads);
        if bytes > MEMORY_LIMIT {
            return Err(EngineError::Memory { graph: graph.name().into(), batch: options.batch, bytes });
        }
        let Programs { train: (train, train_logits), evaluate: (evaluate, evaluate_logits), classes } =
            programs;
        let arena = Arena::new(&[&train, &evaluate], threads);
        let pool = Pool::new(threads).map_err(|source| EngineError::Threads { threads, source })?;
        Ok(Engine {
            params: graph.params(),
            shape: graph.input_shape(),
            classes,
            train,
            train_logits,
            evaluate,
            evaluate_logits,
            arena,
            pool,
            logits: vec![0.0; options.batch * classes],
            options,
        })
    }

    /// Bytes that [`Engine::new`] would take.
    ///
    /// # Errors
    /// If a setting makes no sense.
    pub fn memory_bytes(graph: &Graph, options: &EngineOptions) -> Result<u64, EngineError> {
        Ok(Programs::new(graph, options)?.bytes(options.threads.get()))
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// One forward and backward pass over a micro-batch.
    ///
    /// `params` and `gradients` hold one vector for each of [`Graph::params`], in its order; those of parameters that
    /// are not trained may be empty in `gradients`. `images` is `[batch, channels, height, width]`, `targets` the
    /// probabilities `[batch, classes]`. `scale` times the gradient of the mean loss is added to `gradients`; running
    /// statistics in `params` move. Masks of dropout and stochastic depth follow from `seed`.
    ///
    /// # Errors
    /// If a tensor has the wrong number of elements.
    pub fn step(
        &mut self,
        params: &mut [Vec<f32>],
        images: &[f32],
        targets: &[f32],
        seed: u64,
        gradients: &mut [Vec<f32>],
        scale: f32,
    ) -> Result<StepOutcome<'_>, EngineError> {
        let run = self.checked(params, images, targets, seed, gradients, scale)?;
        self.train.run(&mut self.pool, &mut self.arena, run);
        self.export(self.train_logits);
        Ok(StepOutcome { loss: self.arena.loss(), logits: &self.logits })
    }

    /// As [`Engine::step`] on the calling thread; the steps in order, each with its seconds.
    ///
    /// # Errors
    /// As [`Engine::step`].
    pub fn profile(
        &mut self,
        params: &mut [Vec<f32>],
        images: &[f32],
        targets: &[f32],
        gradients: &mut [Vec<f32>],
    ) -> Result<Vec<(String, f64)>, EngineError> {
        let run = self.checked(params, images, targets, 0, gradients, 1.0)?;
        Ok(self.train.profile(&mut self.arena, run))
    }

    fn checked<'a>(
        &self,
        params: &'a mut [Vec<f32>],
        images: &'a [f32],
        targets: &'a [f32],
        seed: u64,
        gradients: &'a mut [Vec<f32>],
        scale: f32,
    ) -> Result<Run<'a>, EngineError> {
        self.check_params(params)?;
        self.check_images(images)?;
        check("the targets", self.options.batch * self.classes, targets.len())?;
        check("the list of gradients", self.params.len(), gradients.len())?;
        for (i, (param, gradient)) in self.params.iter().zip(&*gradients).enumerate() {
            let is_trained = self.options.trainable.get(i).copied().unwrap_or(true);
            if param.role.is_learnt() && (is_trained || !gradient.is_empty()) {
                let name = || format!("the gradient of {}", param.name);
                check(name, param.shape.iter().product(), gradient.len())?;
            }
        }
        Ok(Run { params: Params::Change(params), gradients, images, targets, seed, scale })
    }

    fn check_params(&self, params: &[Vec<f32>]) -> Result<(), EngineError> {
        check("the list of parameters", self.params.len(), params.len())?;
        for (param, values) in self.params.iter().zip(params) {
            check(|| param.name.clone(), param.shape.iter().product(), values.len())?;
        }
        Ok(())
    }

    fn check_images(&self, images: &[f32]) -> Result<(), EngineError> {
        check("the batch of images", self.options.batch * self.shape.iter().product::<usize>(), images.len())
    }

    fn export(&mut self, [offset, stride]: [usize; 2]) {
        for (i, row) in self.logits.chunks_exact_mut(self.classes).enumerate() {
            let start = offset + i * stride;
            row.copy_from_slice(self.arena.read(start..start + self.classes));
        }
    }

    /// The logits `[batch, classes]` in evaluation mode: running statistics, no dropout.
    ///
    /// # Errors
    /// If a tensor has the wrong number of elements.
    pub fn forward(&mut self, params: &[Vec<f32>], images: &[f32]) -> Result<&[f32], EngineError> {
        self.check_params(params)?;
        self.check_images(images)?;
        let run = Run {
            params: Params::Keep(params),
            gradients: &mut [],
            images,
            targets: &[],
            seed: 0,
            scale: 0.0,
        };
        self.evaluate.run(&mut self.pool, &mut self.arena, run);
        self.export(self.evaluate_logits);
        Ok(&self.logits)
    }
}

/// What a tensor is called in a message.
trait Name {
    fn name(self) -> String;
}

impl Name for &str {
    fn name(self) -> String {
        self.into()
    }
}

impl<F: FnOnce() -> String> Name for F {
    fn name(self) -> String {
        self()
    }
}

fn check(name: impl Name, wanted: usize, given: usize) -> Result<(), EngineError> {
    if wanted == given { Ok(()) } else { Err(EngineError::Size { name: name.name(), wanted, given }) }
}
