//! A graph differentiated into a static plan of forward and backward steps.

mod timed;

use std::num::NonZeroUsize;
use std::time::Duration;

use cygnet_cpu::Level;
use cygnet_gradient::{Params, Program, Run};
use cygnet_graph::Graph;

use crate::plan::{Mode, Origin, check_outputs, plan};
use crate::resources::{Held, Resources, check_threads};
use crate::{EngineError, Grids};

pub use timed::EngineStep;

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
    /// For each parameter of the graph, then for each list of scales, whether its gradient is wanted; the backward pass
    /// ends below the first parameter. Empty means every one that learns.
    pub trainable: Vec<bool>,
    /// Probability of dropping the last residual branch of an image; falls linearly to none at the first.
    pub stochastic_depth: f32,
    /// Whether dropout acts.
    pub dropout: bool,
    /// Factor of the weights of the graph's auxiliary outputs; at 0 they and what only they need are left alone.
    pub auxiliary: f32,
    /// Values that are rounded.
    pub grids: Grids,
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
            grids: Grids::default(),
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

/// A graph made ready for training: its plans, which are made when first needed, and the memory and threads to run them.
///
/// ```
/// use cygnet_engine::{Engine, EngineOptions};
/// use cygnet_graph::{Conv, Graph};
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
    graph: Graph,
    options: EngineOptions,
    lists: Vec<List>,
    classes: usize,
    train: Option<Passes>,
    evaluate: Option<Passes>,
    resources: Resources,
    logits: Vec<f32>,
}

/// A list of numbers that is a parameter, of the graph or of grids.
#[derive(Debug)]
struct List {
    name: String,
    len: usize,
    is_learnt: bool,
}

fn lists(graph: &Graph, grids: &Grids) -> Vec<List> {
    let of_graph = graph.params().into_iter().map(|param| {
        let is_learnt = param.role.is_learnt();
        List { len: param.shape.iter().product(), name: param.name, is_learnt }
    });
    let scales =
        |(i, &len): (usize, &usize)| List { name: format!("list {i} of scales"), len, is_learnt: true };
    of_graph.chain(grids.scales.iter().enumerate().map(scales)).collect()
}

/// The steps of one mode, and where they leave the logits: offset, and distance of images.
#[derive(Debug)]
struct Passes {
    program: Program,
    /// What each of its steps is there for.
    origins: Vec<Origin>,
    logits: [usize; 2],
}

impl Passes {
    fn new(
        graph: &Graph,
        options: &EngineOptions,
        lists: &[List],
        mode: Mode,
    ) -> Result<Passes, EngineError> {
        let is_trained = |i: usize| options.trainable.get(i).copied().unwrap_or(true);
        let trainable: Vec<bool> =
            lists.iter().enumerate().map(|(i, list)| list.is_learnt && is_trained(i)).collect();
        let sizes = lists.iter().map(|list| list.len).collect();
        let images = graph.input_shape().iter().product::<usize>() * options.batch;
        let plan = plan(graph, options, mode, &trainable)?;
        let (targets, losses) = match mode {
            Mode::Train => (plan.classes * options.batch, plan.losses * options.batch),
            Mode::Evaluate => (0, 0),
        };
        let program = Program::new(options.level, plan.steps, plan.arena, sizes, [images, targets, losses])
            .map_err(EngineError::Program)?;
        Ok(Passes { program, origins: plan.origins, logits: plan.logits })
    }

    /// Them, made on the first call; within the limit of memory.
    fn of<'a>(
        made: &'a mut Option<Passes>,
        graph: &Graph,
        options: &EngineOptions,
        lists: &[List],
        mode: Mode,
        threads: usize,
    ) -> Result<&'a Passes, EngineError> {
        let passes = match made.take() {
            Some(passes) => passes,
            None => {
                let passes = Passes::new(graph, options, lists, mode)?;
                let bytes = passes.program.bytes(threads);
                if bytes > MEMORY_LIMIT {
                    let graph = graph.name().into();
                    return Err(EngineError::Memory { graph, batch: options.batch, bytes });
                }
                passes
            }
        };
        Ok(made.insert(passes))
    }
}

/// Largest number of bytes of a plan.
const MEMORY_LIMIT: u64 = 1 << 40;

/// Checks settings and the graph's outputs; the number of classes.
fn check_settings(graph: &Graph, options: &EngineOptions, lists: &[List]) -> Result<usize, EngineError> {
    let setting = |what, value: String, wanted| Err(EngineError::Setting { what, value, wanted });
    if options.batch == 0 {
        return setting("the batch", "0".into(), "at least 1");
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
    if !options.trainable.is_empty() && options.trainable.len() != lists.len() {
        let value = format!("{} long", options.trainable.len());
        return setting("the list of trained parameters", value, "empty or as long as that of parameters");
    }
    let largest = graph.nodes().iter().map(|node| node.shape.iter().product::<usize>()).max().unwrap_or(1);
    let bytes = (largest as u64).saturating_mul(options.batch as u64).saturating_mul(4);
    if bytes > MEMORY_LIMIT {
        return Err(EngineError::Memory { graph: graph.name().into(), batch: options.batch, bytes });
    }
    options.grids.check(graph)?;
    check_outputs(graph, options)?;
    Ok(graph.node(graph.output()).shape[0])
}

impl Engine {
    /// A graph with threads and memory of its own.
    ///
    /// # Errors
    /// If a setting makes no sense, the outputs are no vectors of classes, or threads cannot be started.
    pub fn new(graph: &Graph, options: EngineOptions) -> Result<Engine, EngineError> {
        // Settings first: they cost nothing.
        check_settings(graph, &options, &lists(graph, &options.grids))?;
        let resources = Resources::new(options.threads)?;
        Engine::sharing(graph, options, &resources)
    }

    /// A graph that shares threads and memory with other engines; `options.threads` says nothing here.
    ///
    /// # Errors
    /// If a setting makes no sense or the outputs are no vectors of classes.
    pub fn sharing(
        graph: &Graph,
        options: EngineOptions,
        resources: &Resources,
    ) -> Result<Engine, EngineError> {
        let lists = lists(graph, &options.grids);
        let classes = check_settings(graph, &options, &lists)?;
        Ok(Engine {
            graph: graph.clone(),
            lists,
            classes,
            train: None,
            evaluate: None,
            resources: resources.clone(),
            logits: vec![0.0; options.batch * classes],
            options,
        })
    }

    /// Bytes that an engine takes which is used for training and for evaluation.
    ///
    /// # Errors
    /// If a setting makes no sense, the outputs are no vectors of classes or a batch norm has a single value to learn from.
    pub fn memory_bytes(graph: &Graph, options: &EngineOptions) -> Result<u64, EngineError> {
        let lists = lists(graph, &options.grids);
        check_settings(graph, options, &lists)?;
        check_threads(options.threads)?;
        let bytes = |mode| {
            let passes = Passes::new(graph, options, &lists, mode)?;
            Ok::<_, EngineError>(passes.program.bytes(options.threads.get()))
        };
        Ok(bytes(Mode::Train)?.max(bytes(Mode::Evaluate)?))
    }

    /// Its threads and memory.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// One forward and backward pass over a micro-batch.
    ///
    /// `params` and `gradients` hold one vector for each of [`Graph::params`], in its order, then one for each list of
    /// [`Grids::scales`]; those of parameters that are not trained may be empty in `gradients`. `images` is `[batch, channels, height, width]`, `targets` the
    /// probabilities `[batch, classes]`. `scale` times the gradient of the mean loss is added to `gradients`; running
    /// statistics in `params` move. Masks of dropout and stochastic depth follow from `seed`.
    ///
    /// # Errors
    /// If a tensor has the wrong number of elements; on the first call also if a batch norm has a single value to learn
    /// from or memory does not suffice.
    pub fn step(
        &mut self,
        params: &mut [Vec<f32>],
        images: &[f32],
        targets: &[f32],
        seed: u64,
        gradients: &mut [Vec<f32>],
        scale: f32,
    ) -> Result<StepOutcome<'_>, EngineError> {
        self.check_step(params, images, targets, gradients)?;
        let run = Run { params: Params::Change(params), gradients, images, targets, seed, scale };
        let loss = self.run(Mode::Train, run, None)?;
        Ok(StepOutcome { loss, logits: &self.logits })
    }

    /// Runs the steps of a mode and keeps the logits; the loss. What each step took is added to `times`, if there are such.
    fn run(&mut self, mode: Mode, run: Run<'_>, times: Option<&mut [Duration]>) -> Result<f64, EngineError> {
        let Engine { graph, options, lists, classes, train, evaluate, resources, logits } = self;
        let made = match mode {
            Mode::Train => train,
            Mode::Evaluate => evaluate,
        };
        let mut held = resources.hold();
        let Held { pool, arena } = &mut *held;
        let passes = Passes::of(made, graph, options, lists, mode, pool.threads())?;
        arena.hold(&passes.program, pool.threads());
        match times {
            Some(times) => passes.program.run_timed(pool, arena, run, times),
            None => passes.program.run(pool, arena, run),
        }
        let [offset, stride] = passes.logits;
        for (i, row) in logits.chunks_exact_mut(*classes).enumerate() {
            let start = offset + i * stride;
            row.copy_from_slice(arena.read(start..start + *classes));
        }
        Ok(arena.loss())
    }

    fn check_step(
        &self,
        params: &[Vec<f32>],
        images: &[f32],
        targets: &[f32],
        gradients: &[Vec<f32>],
    ) -> Result<(), EngineError> {
        self.check_params(params)?;
        self.check_images(images)?;
        check("the targets", self.options.batch * self.classes, targets.len())?;
        check("the list of gradients", self.lists.len(), gradients.len())?;
        for (i, (list, gradient)) in self.lists.iter().zip(gradients).enumerate() {
            let is_trained = self.options.trainable.get(i).copied().unwrap_or(true);
            if list.is_learnt && (is_trained || !gradient.is_empty()) {
                check(|| format!("the gradient of {}", list.name), list.len, gradient.len())?;
            }
        }
        Ok(())
    }

    fn check_params(&self, params: &[Vec<f32>]) -> Result<(), EngineError> {
        check("the list of parameters", self.lists.len(), params.len())?;
        for (list, values) in self.lists.iter().zip(params) {
            check(|| list.name.clone(), list.len, values.len())?;
        }
        Ok(())
    }

    fn check_images(&self, images: &[f32]) -> Result<(), EngineError> {
        let image = self.graph.input_shape().iter().product::<usize>();
        check("the batch of images", self.options.batch * image, images.len())
    }

    /// The logits `[batch, classes]` in evaluation mode: running statistics, no dropout.
    ///
    /// # Errors
    /// If a tensor has the wrong number of elements; on the first call also if memory does not suffice.
    pub fn forward(&mut self, params: &[Vec<f32>], images: &[f32]) -> Result<&[f32], EngineError> {
        self.check_params(params)?;
        self.check_images(images)?;
        let params = Params::Keep(params);
        self.run(
            Mode::Evaluate,
            Run { params, gradients: &mut [], images, targets: &[], seed: 0, scale: 0.0 },
            None,
        )?;
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
