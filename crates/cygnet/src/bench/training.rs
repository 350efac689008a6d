//! How long a training step takes, as a whole and part by part.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use cygnet_graph::Graph;
use cygnet_runtime::{Level, RunError, cpu, peak_gflops};
use cygnet_train::{
    Engine, EngineError, EngineOptions, EngineStep, Group, Optimizer, OptimizerConfig, TrainError,
    initial_weights,
};
use serde::Serialize;

use super::rates::{PROBE, Rates, memory_gbytes_per_s};
use super::steps::{MOST_RUNS, StepTiming};
use super::times::{is_disturbed, quantile};
use crate::Error;
use crate::verify::synthetic;

/// How training is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainBenchOptions {
    /// The instruction set.
    pub level: Level,
    /// Threads.
    pub threads: NonZeroUsize,
    /// Images a step.
    pub batch: usize,
    /// Length of the measurement. A quarter of it comes before, to warm up.
    pub duration: Duration,
}

/// What a training step took: forward and backward pass over a batch, and a step of SGD with momentum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainTiming {
    /// The network.
    pub model: String,
    /// Version of Cygnet.
    pub version: &'static str,
    /// Threads that worked on it.
    pub threads: usize,
    /// Images a step.
    pub batch: usize,
    /// Channels, height and width of an image.
    pub image: [usize; 3],
    /// The instruction set.
    pub isa: &'static str,
    /// Steps that were timed.
    pub runs: usize,
    /// Median time of a step.
    pub step_ms: f64,
    /// Shortest time of a step.
    pub min_ms: f64,
    /// 95 % of steps took no longer.
    pub p95_ms: f64,
    /// Whether the machine had other work meanwhile, by [`is_disturbed`].
    pub disturbed: bool,
    /// Median time of the forward pass.
    pub forward_ms: f64,
    /// Median time of the loss and the backward pass.
    pub backward_ms: f64,
    /// Median time of the optimiser's step, with the clearing of gradients.
    pub optimizer_ms: f64,
    /// Images a second at the median.
    pub images_per_s: f64,
    /// Billions of multiply-accumulates a second of both passes at the median of a step.
    pub gmacs_per_s: f64,
    /// Share of the threads' own peak of multiply-adds at the median of a step.
    pub percent_of_peak: f64,
    /// The peak of one thread, two operations a multiply-add: the best burst just before and after.
    pub peak_gflops: f64,
    /// Memory for parameters, their gradients, the optimiser's averages, a batch, and its values and gradients.
    pub peak_bytes: u64,
}

/// What is trained, on a batch of noise.
struct Trained {
    engine: Engine,
    optimizer: Optimizer,
    params: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    images: Vec<f32>,
    targets: Vec<f32>,
}

/// What one step took: its parts, and the optimiser.
struct StepTimes {
    parts: Vec<Duration>,
    optimizer: Duration,
    all: Duration,
}

/// Learning rate of the steps that are timed, which should not change what they take.
const RATE: f64 = 1e-5;

impl Trained {
    fn new(graph: &Graph, options: TrainBenchOptions) -> Result<Trained, TrainError> {
        let TrainBenchOptions { level, threads, batch, .. } = options;
        let settings = EngineOptions { level, threads, ..EngineOptions::new(batch) };
        let bytes = Engine::memory_bytes(graph, &settings)?;
        if cpu::memory_bytes().is_some_and(|memory| bytes > memory) {
            return Err(EngineError::Memory { graph: graph.name().into(), batch, bytes }.into());
        }
        let (params, classes) = (initial_weights(graph, 0), graph.classes());
        let groups = graph.params().into_iter().map(|param| Group {
            trained: param.role.is_learnt(),
            rate: 1.0,
            decays: false,
        });
        let groups: Vec<Group> = groups.collect();
        let lengths: Vec<usize> = params.iter().map(Vec::len).collect();
        let gradient = |(group, &len): (&Group, &usize)| vec![0.0; if group.trained { len } else { 0 }];
        let mut targets = vec![0.0; batch * classes];
        (0..batch).for_each(|image| targets[image * classes + image % classes] = 1.0);
        Ok(Trained {
            engine: Engine::new(graph, settings)?,
            gradients: groups.iter().zip(&lengths).map(gradient).collect(),
            optimizer: Optimizer::new(OptimizerConfig::default(), groups, &lengths),
            images: synthetic("input", batch * graph.input_shape().iter().product::<usize>(), |v| v),
            params,
            targets,
        })
    }

    fn step(&mut self, parts: usize) -> Result<StepTimes, EngineError> {
        let Trained { engine, optimizer, params, gradients, images, targets } = self;
        let mut times = vec![Duration::ZERO; parts];
        let start = Instant::now();
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        let cleared = Instant::now();
        engine.step_timed(params, images, targets, 0, gradients, 1.0, &mut times)?;
        let passed = Instant::now();
        optimizer.step(params, gradients, RATE);
        let end = Instant::now();
        Ok(StepTimes { parts: times, optimizer: (cleared - start) + (end - passed), all: end - start })
    }

    /// Bytes of all that it works on.
    fn bytes(&self) -> u64 {
        let lists = [&self.params, &self.gradients].into_iter().chain(&self.optimizer.slots).flatten();
        let numbers: usize = lists.chain([&self.images, &self.targets]).map(Vec::len).sum();
        4 * numbers as u64 + self.engine.resources().bytes() as u64
    }
}

/// Times training steps of a network in f32 from random weights, and each of their parts.
///
/// # Errors
/// If the network cannot be trained with such batches, there is not enough memory or no clock, or threads cannot be started.
pub fn bench_training(
    model: &str,
    graph: &Graph,
    options: TrainBenchOptions,
) -> Result<(TrainTiming, Vec<StepTiming>), Error> {
    cpu::now().ok_or(RunError::NoClock)?;
    let TrainBenchOptions { level, threads, batch, duration } = options;
    let graph = graph.without_softmax()?.without_auxiliary();
    let mut trained = Trained::new(&graph, options)?;
    let parts = trained.engine.steps().map_err(TrainError::from)?;
    let mut peak = peak_gflops(level, PROBE);
    let bandwidth = memory_gbytes_per_s(PROBE);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); parts.len()];
    let [mut all, mut optimizer, mut forward, mut backward] = [const { Vec::new() }; 4];
    let (start, ms) = (Instant::now(), |time: Duration| 1e3 * time.as_secs_f64());
    while all.len() < MOST_RUNS {
        let step = trained.step(parts.len()).map_err(TrainError::from)?;
        let is_warm = start.elapsed() >= duration / 4;
        if is_warm {
            let pass = |is_backward: bool| {
                let of_pass =
                    parts.iter().zip(&step.parts).filter(|(part, _)| part.is_backward == is_backward);
                ms(of_pass.map(|(_, time)| *time).sum())
            };
            forward.push(pass(false));
            backward.push(pass(true));
            all.push(ms(step.all));
            optimizer.push(ms(step.optimizer));
            times.iter_mut().zip(&step.parts).for_each(|(times, time)| times.push(ms(*time)));
        }
        if is_warm && start.elapsed() >= duration * 5 / 4 {
            break;
        }
    }
    peak = peak.max(peak_gflops(level, PROBE));
    let bandwidth = memory_gbytes_per_s(PROBE).max(bandwidth);
    let [forward_ms, backward_ms, optimizer_ms] = [forward, backward, optimizer].map(median);
    all.sort_by(f64::total_cmp);
    let [min_ms, step_ms, p95_ms] = [0.0, 0.5, 0.95].map(|share| quantile(&all, share));
    let macs: u64 = parts.iter().map(|part| part.macs).sum();
    let gmacs_per_s = macs as f64 / step_ms / 1e6;
    let timing = TrainTiming {
        model: model.into(),
        version: env!("CARGO_PKG_VERSION"),
        threads: threads.get(),
        batch,
        image: graph.input_shape(),
        isa: level.name(),
        runs: all.len(),
        step_ms,
        min_ms,
        p95_ms,
        disturbed: is_disturbed(min_ms, p95_ms),
        forward_ms,
        backward_ms,
        optimizer_ms,
        images_per_s: batch as f64 * 1e3 / step_ms,
        gmacs_per_s,
        percent_of_peak: 200.0 * gmacs_per_s / (peak * threads.get() as f64),
        peak_gflops: peak,
        peak_bytes: trained.bytes(),
    };
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let sum: f64 = medians.iter().sum();
    let of_part = |(i, (part, &ms)): (usize, (&EngineStep, &f64))| {
        let rates =
            Rates::of(part.macs, part.bytes, ms, [peak, bandwidth].map(|rate| rate * threads.get() as f64));
        let node = graph.node(part.node);
        StepTiming {
            model: model.into(),
            threads: threads.get(),
            step: i,
            kernel: part.kernel.clone(),
            disturbed: timing.disturbed,
            pass: Some(if part.is_backward { "backward" } else { "forward" }),
            node: if node.path.is_empty() { node.op.name().into() } else { node.path.clone() },
            output: node.shape.clone(),
            input_type: None,
            output_type: None,
            ms,
            percent: 100.0 * ms / sum,
            macs: part.macs,
            bytes: part.bytes,
            gflops: rates.gflops,
            percent_of_peak: rates.percent_of_peak,
            gbytes_per_s: rates.gbytes_per_s,
            bound: rates.bound,
            percent_of_bound: rates.percent_of_bound,
            peak_gflops: peak,
            l2_gbytes_per_s: None,
            memory_gbytes_per_s: Some(bandwidth),
        }
    };
    let steps = parts.iter().zip(&medians).enumerate().map(of_part).collect();
    Ok((timing, steps))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    quantile(&times, 0.5)
}
