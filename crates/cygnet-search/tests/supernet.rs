//! Paths of a supernet against networks of their own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;

use cygnet_engine::{Engine, EngineOptions, Group, Optimizer, OptimizerConfig, OptimizerKind, Resources};
use cygnet_graph::{Graph, Param, Role};
use cygnet_image::Rng;
use cygnet_search::Space;
use cygnet_search::supernet::{Store, Supernet};
use cygnet_zoo::{Gene, Spec};

const BATCH: usize = 3;
const CLASSES: usize = 4;
const RATE: f64 = 0.05;

/// Every kind of block, of several widths, kernels and depths.
const SPACE: &str = r#"
image = [16]
stem = ["{4,8}s1"]
head = ["{12,16}h"]

[[stage]]
channels = [8, 12]
stride = 2
depth = [1, 2]
choose = "kind"
blocks = ["m{3,5}e{1d,2,4}{,q}", "f{3,5}e{1,2}{,i}", "r{3,5}", "s{3,5}", "g{3,5}e{2,3}{,q}", "n{3,5}e{2,4}", "m3e1g2d"]

[[stage]]
channels = [16]
depth = [2]
blocks = ["m3e{2,3}h", "x", "r3"]
"#;

fn space() -> Space {
    Space::read("small", SPACE).unwrap()
}

fn graph(gene: &Gene) -> Graph {
    gene.build(&Spec { classes: CLASSES, ..gene.spec() }).unwrap()
}

/// Numbers that follow from a parameter's name: small ones, and variances above 0.
fn initial(param: &Param) -> Vec<f32> {
    let name: Vec<u64> = param.name.bytes().map(u64::from).collect();
    let mut rng = Rng::keyed(&name);
    let [low, high] = match param.role {
        Role::NormVar | Role::NormWeight => [0.5, 1.5],
        Role::Weight | Role::Bias | Role::NormBias | Role::NormMean => [-0.4, 0.4],
    };
    (0..param.shape.iter().product()).map(|_| rng.between(low, high) as f32).collect()
}

fn options() -> EngineOptions {
    EngineOptions::new(BATCH)
}

fn resources() -> Resources {
    Resources::new(NonZeroUsize::new(2).unwrap()).unwrap()
}

fn batch(side: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut rng = Rng::keyed(&[seed, 0xba7c]);
    let images = (0..BATCH * 3 * side * side).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let targets =
        (0..BATCH).flat_map(|i| (0..CLASSES).map(move |c| if i % CLASSES == c { 1.0 } else { 0.0 }));
    (images, targets.collect())
}

fn supernet(store: Store, config: &OptimizerConfig) -> Supernet {
    Supernet::new(store, config.clone(), options(), &resources())
}

fn store() -> Store {
    Store::of_space(&space(), CLASSES, initial).unwrap()
}

/// A network alone: its losses, and its weights after the steps.
fn alone(
    graph: &Graph,
    mut params: Vec<Vec<f32>>,
    config: &OptimizerConfig,
    steps: u64,
) -> (Vec<u64>, Vec<Vec<f32>>) {
    let mut engine = Engine::new(graph, options()).unwrap();
    let decays = |role| role == Role::Weight || config.decay_all;
    let group =
        |param: &Param| Group { trained: param.role.is_learnt(), rate: 1.0, decays: decays(param.role) };
    let groups = graph.params().iter().map(group).collect();
    let lengths: Vec<usize> = params.iter().map(Vec::len).collect();
    let mut optimizer = Optimizer::new(config.clone(), groups, &lengths);
    let mut losses = Vec::new();
    for seed in 0..steps {
        let mut gradients: Vec<Vec<f32>> = lengths.iter().map(|&length| vec![0.0; length]).collect();
        let (images, targets) = batch(graph.input_shape()[1], seed);
        let step = engine.step(&mut params, &images, &targets, seed, &mut gradients, 1.0).unwrap();
        losses.push(step.loss.to_bits());
        optimizer.step(&mut params, &mut gradients, RATE);
    }
    (losses, params)
}

fn bits(lists: &[Vec<f32>]) -> Vec<u32> {
    lists.iter().flatten().map(|x| x.to_bits()).collect()
}

/// A gene of every kind of block, narrow and wide, and some others.
fn genes() -> Vec<Gene> {
    let space = space();
    let mut genes: Vec<Gene> = [
        "gene:16-4s1-8s2_m3e1d-16_m3e2h_x-12h",
        "gene:16-8s1-12s2_m5e4q_m3e2-16_m3e3h_r3-16h",
        "gene:16-4s1-8s2_f3e1-16_2m3e2h-12h",
        "gene:16-8s1-12s2_f5e2i_f3e1-16_m3e2h_x-16h",
        "gene:16-4s1-8s2_r3_r5-16_r3_x-12h",
        "gene:16-4s1-8s2_s3_s5-16_m3e3h_x-16h",
        "gene:16-8s1-12s2_g3e2q_g5e3-16_r3_m3e2h-12h",
        "gene:16-4s1-8s2_g5e3-16_r3_m3e2h-12h",
        "gene:16-8s1-8s2_n3e2_n5e4-16_m3e2h_x-12h",
        "gene:16-4s1-8s2_2m3e1g2d-16_r3_x-12h",
    ]
    .map(|text| text.parse().unwrap())
    .into();
    genes.extend((0..6).map(|draw| space.gene(&space.sample(&mut Rng::keyed(&[draw])))));
    assert!(genes.iter().all(|gene| space.choices(gene).is_some()));
    genes
}

#[test]
fn a_path_learns_to_the_bit_what_its_network_learns_alone_and_leaves_all_else_as_it_was() {
    for (number, gene) in genes().iter().enumerate() {
        let kind = [OptimizerKind::Sgd, OptimizerKind::Adamw, OptimizerKind::Rmsprop][number % 3];
        let config =
            OptimizerConfig { kind, clip: if number % 2 == 0 { 0.0 } else { 0.5 }, ..Default::default() };
        let graph = graph(gene);
        let mut supernet = supernet(store(), &config);
        let before = supernet.store().clone();
        let averages = supernet.averages().to_vec();
        let mut path = supernet.path(graph.clone()).unwrap();
        let (losses, params) = alone(&graph, supernet.weights(&path), &config, 3);
        for (seed, wanted) in losses.into_iter().enumerate() {
            let (images, targets) = batch(16, seed as u64);
            let loss = supernet.learn(&mut path, &images, &targets, seed as u64, 1.0).unwrap();
            assert_eq!(loss.to_bits(), wanted, "{gene}, step {seed}");
            supernet.update(RATE);
        }
        assert_eq!(bits(&supernet.weights(&path)), bits(&params), "{gene}");

        // Marked numbers are those of the path; all others are what they were.
        let slices = supernet.store().slices(&graph).unwrap();
        let mut marks =
            Store::of_space(&space(), CLASSES, |param| vec![0.0; param.shape.iter().product()]).unwrap();
        let ones: Vec<Vec<f32>> = params.iter().map(|param| vec![1.0; param.len()]).collect();
        marks.scatter(&slices, &ones);
        let mut touched = 0;
        let changed = supernet.store().params().zip(before.params()).zip(marks.params());
        for (index, (((name, _, now), (_, _, then)), (_, _, marks))) in changed.enumerate() {
            let of_path = |at: usize| marks[at] == 1.0;
            let same = |now: &[f32], then: &[f32]| {
                (0..now.len()).all(|at| of_path(at) || now[at].to_bits() == then[at].to_bits())
            };
            assert!(same(now, then), "{gene}: {name}");
            for (now, then) in supernet.averages().iter().zip(&averages) {
                assert!(
                    now[index].is_empty() || same(&now[index], &then[index]),
                    "{gene}: averages of {name}"
                );
            }
            touched += marks.iter().filter(|mark| **mark == 1.0).count();
        }
        assert_eq!(touched, params.iter().map(Vec::len).sum::<usize>(), "{gene}: a number is there twice");
        assert!(touched < supernet.store().numbers());
    }
}

#[test]
fn every_network_of_the_space_has_its_weights_in_the_store_and_the_largest_has_all() {
    let (space, store) = (space(), store());
    for (number, choices) in space.all().enumerate().step_by(7) {
        let graph = graph(&space.gene(&choices));
        let slices = store.slices(&graph).unwrap_or_else(|| panic!("{} does not fit", graph.name()));
        let lengths: Vec<usize> = store.gather(&slices).iter().map(Vec::len).collect();
        let wanted: Vec<usize> = graph.params().iter().map(|param| param.shape.iter().product()).collect();
        assert_eq!(lengths, wanted, "{number}");
    }
    for gene in genes() {
        let graph = graph(&gene);
        let own = Store::of_graphs(std::slice::from_ref(&graph), initial);
        let numbers: usize = graph.params().iter().map(|param| param.shape.iter().product::<usize>()).sum();
        assert_eq!(own.numbers(), numbers);
        let params: Vec<Vec<f32>> = graph.params().iter().map(initial).collect();
        assert_eq!(own.gather(&own.slices(&graph).unwrap()), params, "{gene}");
    }
    let other: Gene = "gene:16-4s1-8s2_m7e2-16_m3e2h_x-12h".parse().unwrap();
    let supernet = supernet(store, &OptimizerConfig::default());
    let error = supernet.path(graph(&other)).unwrap_err().to_string();
    assert!(
        error.starts_with("gene:16-4s1-8s2_m7e2") && error.contains("no network of the supernet's"),
        "{error}"
    );
}

/// Two genes that differ in their first block, the second within the first.
const WITHIN: [[&str; 2]; 9] = [
    ["gene:16-8s1-8_m5e4-12h", "gene:16-8s1-8_m3e4-12h"],
    ["gene:16-8s1-8_m3e4-12h", "gene:16-8s1-8_m3e2-12h"],
    ["gene:16-8s1-8_f5e4-12h", "gene:16-8s1-8_f3e2-12h"],
    ["gene:16-8s1-8_r5-12h", "gene:16-8s1-8_r3-12h"],
    ["gene:16-8s1-8_s5-12h", "gene:16-8s1-8_s3-12h"],
    ["gene:16-8s1-8_g3e4-12h", "gene:16-8s1-8_g3e2-12h"],
    ["gene:16-8s1-8s2_g5e3-12h", "gene:16-8s1-8s2_g3e2-12h"],
    ["gene:16-8s1-8_n5e2-12h", "gene:16-8s1-8_n3e4-12h"],
    ["gene:16-8s1-8_m3e4-16h", "gene:16-8s1-8_m3e2-12h"],
];

#[test]
fn a_network_computes_what_a_larger_one_computes_whose_other_weights_are_zero() {
    for [large, small] in WITHIN {
        let [large, small] = [large, small].map(|text| graph(&text.parse().unwrap()));
        let mut store = Store::of_graphs(&[large.clone(), small.clone()], initial);
        let slices = store.slices(&small).unwrap();
        let small_params = store.gather(&slices);
        // Only the small network's weights are left; norms and biases of the other channels stay.
        let all = store.slices(&large).unwrap();
        let mut params = store.gather(&all);
        let roles: Vec<Role> = large.params().iter().map(|param| param.role).collect();
        for (param, role) in params.iter_mut().zip(&roles) {
            if *role == Role::Weight {
                param.fill(0.0);
            }
        }
        store.scatter(&all, &params);
        store.scatter(&slices, &small_params);
        let params = store.gather(&all);
        let (images, _) = batch(16, 1);
        let mut logits = [(&large, params), (&small, small_params)].map(|(graph, params)| {
            Engine::new(graph, options()).unwrap().forward(&params, &images).unwrap().to_vec()
        });
        let [large_logits, small_logits] = &mut logits;
        assert!(small_logits.iter().any(|x| x.abs() > 0.01), "{}", small.name());
        for (a, b) in large_logits.iter().zip(small_logits) {
            assert!((a - *b).abs() < 1e-4, "{} and {}: {a} and {b}", large.name(), small.name());
        }
    }
}

#[test]
fn several_paths_of_one_update_add_their_gradients() {
    // The same path twice with half of its gradient each is that path once.
    let gene: Gene = "gene:16-8s1-12s2_g3e2q_g5e3-16_r3_m3e2h-12h".parse().unwrap();
    let other: Gene = "gene:16-4s1-8s2_r3_r5-16_r3_x-12h".parse().unwrap();
    let config = OptimizerConfig::default();
    let (images, targets) = batch(16, 5);
    let run = |scales: &[f32], with_other: bool| {
        let mut supernet = supernet(store(), &config);
        let mut path = supernet.path(graph(&gene)).unwrap();
        let mut beside = supernet.path(graph(&other)).unwrap();
        for &scale in scales {
            supernet.learn(&mut path, &images, &targets, 1, scale).unwrap();
        }
        if with_other {
            supernet.learn(&mut beside, &images, &targets, 1, 1.0).unwrap();
        }
        supernet.update(RATE);
        let learnt = |weights: Vec<Vec<f32>>, graph: &Graph| -> Vec<f32> {
            let params = graph.params();
            let of = params.iter().zip(weights).filter(|(param, _)| param.role.is_learnt());
            of.flat_map(|(_, list)| list).collect()
        };
        [&path, &beside].map(|path| learnt(supernet.weights(path), path.graph()))
    };
    let [once, untouched] = run(&[1.0], false);
    let [twice, _] = run(&[0.5, 0.5], false);
    assert_eq!(once, twice);
    let [together, moved] = run(&[1.0], true);
    assert!(together != once && moved != untouched);
}

#[test]
fn statistics_are_those_of_the_images_after_recalibration_whatever_other_paths_left() {
    let [gene, other] = ["gene:16-8s1-12s2_m5e4q_m3e2-16_m3e3h_r3-16h", "gene:16-4s1-8s2_m3e2-16_2m3e2h-12h"];
    let mut supernet = supernet(store(), &OptimizerConfig::default());
    let mut path = supernet.path(graph(&gene.parse().unwrap())).unwrap();
    let batches: Vec<Vec<f32>> = (10..14).map(|seed| batch(16, seed).0).collect();
    supernet.recalibrate(&path, batches.iter().map(Vec::as_slice)).unwrap();
    let first = supernet.weights(&path);
    let logits = supernet.evaluate(&mut path, &batches[0]).unwrap().to_vec();
    let learnt: Vec<bool> = path.graph().params().iter().map(|param| param.role.is_learnt()).collect();

    let mut beside = supernet.path(graph(&other.parse().unwrap())).unwrap();
    let (images, targets) = batch(16, 3);
    supernet.learn(&mut beside, &images, &targets, 0, 1.0).unwrap();
    let spoilt = supernet.weights(&path);
    assert_ne!(spoilt, first);
    assert!(spoilt.iter().zip(&first).zip(&learnt).all(|((now, then), learnt)| !learnt || now == then));
    assert_ne!(supernet.evaluate(&mut path, &batches[0]).unwrap(), logits);
    supernet.recalibrate(&path, batches.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(supernet.weights(&path), first);
    assert_eq!(supernet.evaluate(&mut path, &batches[0]).unwrap(), logits);

    // One batch with the momentum of 1 leaves its own statistics.
    let one = EngineOptions { batch_norm_momentum: 1.0, ..options() };
    let mut engine = Engine::new(path.graph(), one).unwrap();
    let mut params = first.clone();
    let mut gradients: Vec<Vec<f32>> = params.iter().map(|param| vec![0.0; param.len()]).collect();
    let targets = vec![0.25; BATCH * CLASSES];
    engine.step(&mut params, &batches[2], &targets, 0, &mut gradients, 1.0).unwrap();
    supernet.recalibrate(&path, [batches[2].as_slice()]).unwrap();
    assert_eq!(supernet.weights(&path), params);
}

#[test]
fn paths_need_the_memory_of_the_largest_not_of_all() {
    let resources = resources();
    let mut supernet = Supernet::new(store(), OptimizerConfig::default(), options(), &resources);
    let genes = genes();
    let mut most = 0;
    for gene in &genes {
        let graph = graph(gene);
        let (images, targets) = batch(16, 0);
        let two = EngineOptions { threads: NonZeroUsize::new(2).unwrap(), ..options() };
        most = most.max(Engine::memory_bytes(&graph, &two).unwrap());
        let mut path = supernet.path(graph).unwrap();
        supernet.learn(&mut path, &images, &targets, 0, 1.0).unwrap();
        supernet.update(RATE);
    }
    assert!(resources.bytes() as u64 <= most, "{} of {most}", resources.bytes());
}
