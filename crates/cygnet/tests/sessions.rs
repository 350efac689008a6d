//! Sessions: the same results on any number of threads, over batches and from many threads; errors for every misuse.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cygnet::bench::random_weights;
use cygnet::graph::{Conv, Graph};
use cygnet::image::{Interpolation, Preprocess, Resize};
use cygnet::runtime::{Level, Plan, PlanOptions, Reference, RunError, Session};
use cygnet::verify::{synthetic, synthetic_param};
use cygnet::weights::{Accuracy, WeightSet};
use cygnet::{Error, Model};
use cygnet_zoo::networks;

fn tiny() -> Graph {
    Graph::build("tiny", [3, 16, 12], |net, image| {
        let x = net.feature(net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu6());
        let x = net.feature(net.at("dw").depthwise(x, Conv::new(0, 3).stride(2)).hard_swish());
        net.at("fc").linear(x.global_avg_pool(), 5)
    })
    .unwrap()
}

fn plan(graph: &Graph) -> Arc<Plan> {
    Arc::new(Plan::new(graph.clone(), &random_weights(graph), Level::chosen().unwrap()).unwrap())
}

fn images(graph: &Graph, count: usize) -> Vec<f32> {
    synthetic("images", count * graph.input_shape().iter().product::<usize>(), |v| v)
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Outputs of single images on one thread.
fn alone(plan: &Arc<Plan>, images: &[f32]) -> Vec<f32> {
    let mut session = Session::new(Arc::clone(plan));
    let size: usize = plan.graph().input_shape().iter().product();
    images
        .chunks_exact(size)
        .flat_map(|image| {
            let mut output = vec![0.0; session.outputs()];
            session.run(image, &mut output).unwrap();
            output
        })
        .collect()
}

fn check_threads(graph: &Graph, threads: &[usize]) {
    let plan = plan(graph);
    let images = images(graph, 5);
    let size = images.len() / 5;
    let want = alone(&plan, &images);
    let outputs = want.len() / 5;
    assert!(want.iter().all(|x| x.is_finite()), "{}", graph.name());
    assert_ne!(
        want[..outputs],
        want[outputs..2 * outputs],
        "{}: the output depends on the image",
        graph.name()
    );
    let sessions = threads.iter().map(|&threads| Session::with_threads(Arc::clone(&plan), threads).unwrap());
    for mut session in sessions.chain([Session::automatic(Arc::clone(&plan)).unwrap()]) {
        let told = format!("{} on {} threads", graph.name(), session.threads());
        let mut output = vec![f32::NAN; outputs];
        session.run(&images[..size], &mut output).unwrap();
        assert_eq!(bits(&output), bits(&want[..outputs]), "{told}");
        for count in [5, 1, 2] {
            let mut output = vec![f32::NAN; count * outputs];
            session.run_batch(&images[..count * size], &mut output).unwrap();
            assert_eq!(bits(&output), bits(&want[..count * outputs]), "{told}, {count} images");
        }
    }
}

/// The network with the fewest parameters of each family, for a small image.
fn smallest() -> Vec<Graph> {
    let mut smallest = BTreeMap::new();
    for network in networks() {
        let graph = network.build().unwrap();
        let least = smallest.entry(network.row.family).or_insert_with(|| graph.clone());
        if graph.cost().params < least.cost().params {
            *least = graph;
        }
    }
    assert_eq!(smallest.len(), cygnet_zoo::registry::Family::ALL.len());
    let small = |graph: &Graph| [64, 96, 128].iter().find_map(|&side| graph.resized(side, side).ok());
    smallest.values().map(|graph| small(graph).unwrap()).collect()
}

#[test]
fn the_smallest_network_of_each_family_is_the_same_on_any_number_of_threads() {
    smallest().iter().for_each(|graph| check_threads(graph, &[2, 3]));
    check_threads(&tiny(), &[1, 2, 3, 8]);
}

#[test]
fn large_networks_are_the_same_on_any_number_of_threads() {
    for id in ["inception_v3", "mobilenet_v2", "seresnet50"] {
        let graph = cygnet::network(id).unwrap().build().unwrap();
        check_threads(&graph.resized(96, 80).unwrap(), &[2]);
    }
}

#[test]
fn many_threads_share_one_plan() {
    let graph = tiny();
    let plan = plan(&graph);
    let images = images(&graph, 4);
    let want = alone(&plan, &images);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(alone(&plan, &images), want)));
        }
    });
    assert_eq!(Arc::strong_count(&plan), 1, "sessions let go of the plan");
}

#[test]
fn buffers_of_the_wrong_size_are_named_and_left_alone() {
    let graph = tiny();
    let mut session = Session::with_threads(plan(&graph), 2).unwrap();
    let image = images(&graph, 1);
    let shape = [3, 16, 12];
    for given in [0, 575, 577, 1152] {
        let (numbers, mut output) = (vec![0.0; given], [7.0; 5]);
        let error = session.run(&numbers, &mut output).unwrap_err();
        assert_eq!(error, RunError::ImageSize { shape, wanted: 576, given });
        assert_eq!(output, [7.0; 5]);
    }
    for given in [0, 4, 6] {
        let mut output = vec![7.0; given];
        let error = session.run(&image, &mut output).unwrap_err();
        assert_eq!(error, RunError::OutputSize { wanted: 5, given });
        let error = session.run_batch(&image.repeat(2), &mut output).unwrap_err();
        assert_eq!(error, RunError::OutputSize { wanted: 10, given });
        assert_eq!(output, vec![7.0; given]);
    }
    let error = session.run_batch(&[0.0; 577], &mut [0.0; 5]).unwrap_err();
    assert_eq!(error, RunError::BatchSize { shape, wanted: 576, given: 577 });
    assert_eq!(error.to_string(), "the images need a multiple of [3, 16, 12] = 576 numbers, 577 were given");
    session.run_batch(&[], &mut []).unwrap();
    session.run(&image, &mut [0.0; 5]).unwrap();
}

#[test]
fn more_threads_than_any_machine_has_are_refused() {
    let error = Session::with_threads(plan(&tiny()), 1_000_000).unwrap_err();
    assert!(matches!(error, RunError::Threads { wanted: 1_000_000, .. }), "{error}");
    assert!(error.to_string().starts_with("cannot start 1000000 threads: "), "{error}");
    assert_eq!(Session::with_threads(plan(&tiny()), 0).unwrap().threads(), 1);
}

#[test]
fn small_networks_get_one_thread_and_large_ones_several() {
    let tiny = plan(&tiny());
    let large = plan(&cygnet::network("seresnet50").unwrap().build().unwrap());
    for available in [0, 1, 2, 4, 64, 1024] {
        assert_eq!(tiny.threads(available), 1);
        assert!((1..=available.max(1)).contains(&large.threads(available)));
    }
    assert_eq!(large.threads(2), 2);
    assert!(large.threads(8) > 2);
}

#[test]
fn a_model_takes_another_image_size_with_the_same_weights() {
    let graph = tiny();
    let model = Model {
        recipe: None,
        training: None,
        compression: None,
        quantization: None,
        guessed: None,
        written_by: None,
        id: "tiny".into(),
        weights: WeightSet::of(&graph, random_weights(&graph)).unwrap(),
        graph,
        preprocess: Preprocess { size: [16, 12], ..Preprocess::torchvision(16, 18) },
        labels: Vec::new(),
        licence: None,
        source: None,
        accuracy: Some(Accuracy { dataset: "photos".into(), top1: 50.0, top5: 90.0 }),
    };
    let larger = model.with_image_size(40, 24).unwrap();
    assert_eq!((larger.graph.input_shape(), larger.preprocess.size), ([3, 40, 24], [40, 24]));
    assert_eq!(larger.preprocess.resize, Resize::ShorterSide { side: 36 });
    assert_eq!((&larger.accuracy, &larger.weights), (&None, &model.weights));
    assert_eq!(model.with_image_size(16, 12).unwrap().accuracy, model.accuracy);

    let mut session = Session::new(larger.plan().unwrap());
    let mut output = vec![0.0; 5];
    session.run(&images(&larger.graph, 1), &mut output).unwrap();
    let expected = alone(&plan(&larger.graph), &images(&larger.graph, 1));
    assert_eq!(output, expected);

    assert!(matches!(model.with_image_size(0, 12), Err(Error::Image(_))));
    assert!(matches!(model.with_image_size(1 << 20, 12), Err(Error::Image(_))));
    let inception = cygnet::network("inception_v3").unwrap().build().unwrap();
    let model = Model {
        weights: WeightSet::default(),
        graph: inception,
        preprocess: Preprocess::imagenet(299, 0.875, Interpolation::Bilinear),
        ..model
    };
    assert!(matches!(model.with_image_size(20, 20), Err(Error::Build(_))), "the windows do not fit");
}

#[test]
fn features_are_the_reference_executors_and_change_no_output() {
    let largest = |a: f32, x: &f32| a.max(x.abs());
    for graph in smallest() {
        // A gain at which rounding does not grow from layer to layer.
        let weights: Vec<_> =
            graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.0)).collect();
        let image = images(&graph, 1);
        let reference = Reference::<f32>::new(graph.clone(), &weights).unwrap();
        let mut values = HashMap::new();
        reference.run_with(&image, |id, value| _ = values.insert(id, value.to_vec())).unwrap();

        let options = PlanOptions { features: true, ..Level::chosen().unwrap().into() };
        let plan = Arc::new(Plan::new(graph.clone(), &weights, options).unwrap());
        let mut session = Session::with_threads(Arc::clone(&plan), 2).unwrap();
        let (mut output, mut features) = (vec![0.0; session.outputs()], vec![f32::NAN; session.features()]);
        session.run_with_features(&image, &mut output, &mut features).unwrap();
        assert_eq!(plan.features().len(), graph.features().len(), "{}", graph.name());
        for (feature, found) in graph.features().iter().zip(plan.features()) {
            let want = &values[&feature.node];
            assert_eq!((&found.name, found.stride), (&feature.name, graph.stride(feature.node)));
            assert_eq!(found.shape.to_vec(), graph.node(feature.node).shape, "{}", graph.name());
            let (got, scale) = (&features[found.range.clone()], want.iter().fold(0.0, largest));
            assert_eq!(got.len(), want.len(), "{}", graph.name());
            let off =
                got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, |a, b| largest(a, &b));
            let is_close = off <= scale * 1e-4 && got.iter().all(|x| x.is_finite());
            assert!(is_close, "{}: {} is off by {off} of {scale}", graph.name(), feature.name);
        }
        let plain = Plan::new(graph.clone(), &weights, Level::chosen().unwrap()).unwrap();
        let off = alone(&Arc::new(plain), &image)
            .iter()
            .zip(&output)
            .map(|(a, b)| a - b)
            .fold(0.0, |a, b| largest(a, &b));
        assert!(
            off <= 1e-4 * output.iter().fold(0.0, largest),
            "{}: the output is off by {off}",
            graph.name()
        );
    }
}

#[test]
fn features_want_a_plan_and_a_buffer_for_them() {
    let graph = tiny();
    let image = images(&graph, 1);
    let mut session = Session::new(plan(&graph));
    let error = session.run_with_features(&image, &mut [0.0; 5], &mut [0.0; 9]).unwrap_err();
    assert_eq!(error, RunError::FeatureSize { wanted: 0, given: 9 });
    session.run_with_features(&image, &mut [0.0; 5], &mut []).unwrap();

    let options = PlanOptions { features: true, ..PlanOptions::default() };
    let mut session =
        Session::new(Plan::new(graph.clone(), &random_weights(&graph), options).unwrap().into());
    let wanted = 8 * 8 * 6 + 8 * 4 * 3;
    assert_eq!(session.features(), wanted);
    let mut output = [7.0; 5];
    let error = session.run_with_features(&image, &mut output, &mut vec![0.0; wanted - 1]).unwrap_err();
    assert_eq!((error, output), (RunError::FeatureSize { wanted, given: wanted - 1 }, [7.0; 5]));
    let mut features = vec![7.0; wanted];
    assert!(session.run_with_features(&image[1..], &mut output, &mut features).is_err());
    assert_eq!(features, vec![7.0; wanted]);
}

#[test]
fn all_outputs_are_the_reference_executors_whatever_their_nodes() {
    let largest = |a: f32, x: &f32| a.max(x.abs());
    for graph in smallest() {
        let mut form = graph.to_json();
        let count = graph.nodes().len();
        let others = (0..count).step_by(count.div_ceil(60)).filter(|&id| id != graph.output().0);
        let mut outputs = vec![serde_json::json!({"name": "classes", "node": graph.output()})];
        outputs.extend(others.map(|id| serde_json::json!({"name": format!("node {id}"), "node": id})));
        form["outputs"] = outputs.into();
        let graph = Graph::from_json(&form).unwrap();
        assert_eq!((graph.format(), Graph::from_json(&graph.to_json()).unwrap()), (2, graph.clone()));

        let weights: Vec<_> =
            graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.0)).collect();
        let image = images(&graph, 1);
        let wanted = Reference::<f32>::new(graph.clone(), &weights).unwrap().run_outputs(&image).unwrap();
        let plan = Arc::new(Plan::new(graph.clone(), &weights, Level::chosen().unwrap()).unwrap());
        let mut session = Session::new(Arc::clone(&plan));
        let mut all = vec![f32::NAN; session.all_outputs()];
        session.run_outputs(&image, &mut all).unwrap();
        assert_eq!((plan.outputs().len(), wanted.len()), (graph.outputs().len(), graph.outputs().len()));
        for ((output, found), wanted) in graph.outputs().iter().zip(plan.outputs()).zip(&wanted) {
            assert_eq!((&found.name, &found.shape), (&output.name, &graph.node(output.node).shape));
            let got = &all[found.range.clone()];
            assert_eq!(got.len(), wanted.len(), "{}: {}", graph.name(), output.name);
            let off =
                got.iter().zip(wanted).fold(0.0, |off: f32, (got, wanted)| off.max((got - wanted).abs()));
            let is_close =
                off <= 1e-4 * wanted.iter().fold(1e-30, largest) && got.iter().all(|x| x.is_finite());
            assert!(is_close, "{}: {} is off by {off}", graph.name(), output.name);
        }
        let mut first = vec![f32::NAN; session.outputs()];
        session.run(&image, &mut first).unwrap();
        assert_eq!(first, all[plan.outputs()[0].range.clone()]);
        let (wanted, given) = (all.len(), all.len() - 1);
        let error = session.run_outputs(&image, &mut all[1..]).unwrap_err();
        assert_eq!(error, RunError::OutputsSize { wanted, given });
    }
}
