//! Engines that share threads and memory compute what each computes alone, and take memory when they first need it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;

use cygnet_engine::{Engine, EngineOptions, Resources};
use cygnet_graph::Graph;
use cygnet_zoo::Spec;

const BATCH: usize = 3;

fn network(name: &str, side: usize, classes: usize) -> Graph {
    let network = cygnet_zoo::find(name).unwrap();
    // GoogLeNet has losses of auxiliary heads too.
    let spec = Spec { image: [3, side, side], classes, auxiliary: name == "googlenet", ..network.spec() };
    (network.row.build)(&spec).unwrap()
}

/// Numbers from -1 to 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// What one engine learns from.
struct Learner {
    graph: Graph,
    params: Vec<Vec<f32>>,
    images: Vec<f32>,
    targets: Vec<f32>,
}

impl Learner {
    fn new(graph: Graph) -> Learner {
        let value = |i: usize, len: usize| numbers(len, i as u64).iter().map(|x| 0.3 + x / 8.0).collect();
        let lengths = graph.params().iter().map(|p| p.shape.iter().product()).collect::<Vec<_>>();
        let params = lengths.into_iter().enumerate().map(|(i, len)| value(i, len)).collect();
        let images = numbers(BATCH * graph.input_shape().iter().product::<usize>(), 7);
        let targets = vec![1.0 / graph.classes() as f32; BATCH * graph.classes()];
        Learner { graph, params, images, targets }
    }

    /// A step and an evaluation, as bits.
    fn learn(&mut self, engine: &mut Engine, seed: u64) -> Vec<u64> {
        let Learner { params, images, targets, .. } = self;
        let mut gradients: Vec<Vec<f32>> = params.iter().map(|param| vec![0.0; param.len()]).collect();
        let step = engine.step(params, images, targets, seed, &mut gradients, 1.0).unwrap();
        let mut bits = vec![step.loss.to_bits()];
        let of = |list: &[f32]| list.iter().map(|x| u64::from(x.to_bits())).collect::<Vec<_>>();
        bits.extend(of(step.logits));
        gradients.iter().for_each(|gradient| bits.extend(of(gradient)));
        bits.extend(of(engine.forward(params, images).unwrap()));
        bits
    }
}

fn options() -> EngineOptions {
    EngineOptions { threads: NonZeroUsize::new(2).unwrap(), ..EngineOptions::new(BATCH) }
}

#[test]
fn engines_that_share_compute_what_each_computes_alone() {
    let learners = || {
        let small = network("mobilenet_v2", 32, 5);
        let [wide, heads] = [network("squeezenet1_1", 64, 7), network("googlenet", 64, 4)];
        [small, wide, heads].map(Learner::new)
    };
    let mut alone = learners();
    let mut apart = alone.each_ref().map(|learner| Engine::new(&learner.graph, options()).unwrap());
    let wanted: Vec<_> = (0..3)
        .flat_map(|seed| (0..3).map(move |i| (seed, i)))
        .map(|(seed, i)| alone[i].learn(&mut apart[i], seed))
        .collect();

    let resources = Resources::new(options().threads).unwrap();
    let mut together = learners();
    let mut engines =
        together.each_ref().map(|learner| Engine::sharing(&learner.graph, options(), &resources).unwrap());
    assert_eq!(resources.bytes(), 0, "memory was taken before a step needed it");
    // What an engine leaves behind is none of the others' business.
    let mut spoilt = Learner::new(network("mobilenet_v2", 96, 5));
    spoilt.images.fill(f32::NAN);
    let mut spoiler = Engine::sharing(&spoilt.graph, options(), &resources).unwrap();
    for (number, wanted) in wanted.iter().enumerate() {
        spoilt.learn(&mut spoiler, 1);
        let (seed, i) = (number as u64 / 3, number % 3);
        assert_eq!(&together[i].learn(&mut engines[i], seed), wanted, "engine {i}, seed {seed}");
    }
    let needs = |graph: &Graph| Engine::memory_bytes(graph, &options()).unwrap();
    let most = together.iter().chain([&spoilt]).map(|learner| needs(&learner.graph)).max().unwrap();
    assert_eq!(resources.bytes() as u64, most);
}

#[test]
fn plans_are_made_when_they_are_needed() {
    // A batch norm over a single value can be evaluated, not learnt from.
    let graph = network("mobilenet_v2", 32, 5);
    let mut learner = Learner::new(graph);
    learner.images.truncate(learner.images.len() / BATCH);
    learner.targets.truncate(5);
    let mut engine = Engine::new(&learner.graph, EngineOptions::new(1)).unwrap();
    assert!(engine.forward(&learner.params, &learner.images).unwrap().iter().all(|x| x.is_finite()));
    let Learner { params, images, targets, .. } = &mut learner;
    let mut gradients: Vec<Vec<f32>> = params.iter().map(|param| vec![0.0; param.len()]).collect();
    let refused = engine.step(params, images, targets, 0, &mut gradients, 1.0).unwrap_err().to_string();
    assert!(refused.contains("batch norm sees a single value"), "{refused}");
    assert!(Engine::memory_bytes(&learner.graph, &EngineOptions::new(1)).is_err());
}

#[test]
fn an_engine_can_move_to_another_thread_and_wait_for_others() {
    let resources = Resources::new(NonZeroUsize::MIN).unwrap();
    let learn = |engine: Option<&Resources>| {
        let mut learner = Learner::new(network("squeezenet1_1", 64, 3));
        let options = EngineOptions::new(BATCH);
        let mut engine = match engine {
            Some(resources) => Engine::sharing(&learner.graph, options, resources),
            None => Engine::new(&learner.graph, options),
        }
        .unwrap();
        learner.learn(&mut engine, 1)
    };
    let wanted = learn(None);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| learn(Some(&resources)))).collect();
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), wanted));
    });
}
