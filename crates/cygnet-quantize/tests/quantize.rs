//! Networks quantised by made-up images: what is on grids, that the result is what its record says, and that little is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod made_up;

use cygnet_graph::{Conv, Graph, Pool};
use cygnet_quantize::{
    Method, QuantizeError, QuantizeOptions, QuantizedNetwork, check_kept, compare, folded, quantize,
    quantize_plainly, simulate,
};
use cygnet_runtime::{PlanOptions, QuantizedReference, Reference};
use cygnet_weights::{Dtype, WeightSet};

use made_up::{numbers, weights};

fn images(graph: &Graph, count: usize) -> Vec<Vec<f32>> {
    (0..count).map(|i| numbers(graph.input_shape().iter().product(), 1000 + i)).collect()
}

fn quantized(graph: &Graph, count: usize) -> QuantizedNetwork {
    let options = QuantizeOptions { drop: 100.0, ..QuantizeOptions::default() };
    quantize(graph, &weights(graph), &images(graph, count), &[], options, &mut |_| {}).unwrap()
}

/// The nodes of a graph that are on grids of their own, and layers of integers.
fn places(graph: &Graph) -> String {
    let QuantizedNetwork { graph, weights, quantization, .. } = quantized(graph, 4);
    let mut text = Vec::new();
    for (id, node) in graph.iter() {
        let is_layer = weights.get(&format!("{}.weight", node.path)).is_some_and(|w| w.dtype() == Dtype::I8);
        let layer = if is_layer { "#" } else { "" };
        let grid = if quantization.values.contains_key(&id) { "*" } else { "" };
        text.push(format!("{}{layer}{grid}", node.op.name()));
    }
    text.join(" ")
}

#[test]
fn values_between_layers_are_on_grids_and_gates_are_not() {
    let residual = Graph::build("residual", [3, 8, 8], |net, image| {
        let x = net.at("a.bn").batch_norm(net.at("a").conv(image, Conv::new(4, 3))).relu6();
        let y = net.at("b").conv(x, Conv::new(4, 1));
        net.at("fc").linear((net.at("b.bn").batch_norm(y) + x).relu().global_avg_pool().dropout(0.2), 3)
    });
    let wanted = "input* conv# relu6* conv# add relu* global_avg_pool* dropout linear#";
    assert_eq!(places(&residual.unwrap()), wanted);
    let gated = Graph::build("gated", [3, 8, 8], |net, image| {
        let x = net.at("a").conv(image, Conv::new(8, 1)).hard_swish();
        let squeezed = net.at("down").conv(x.global_avg_pool(), Conv::new(2, 1)).relu();
        let gate = net.at("up").conv(squeezed, Conv::new(8, 1)).hard_sigmoid();
        net.at("fc").linear((x * gate).pool(Pool::max(2, 2)).global_avg_pool(), 3).softmax()
    });
    let wanted = "input* conv#* hard_swish* global_avg_pool conv relu conv hard_sigmoid mul* max_pool global_avg_pool* linear# softmax";
    assert_eq!(places(&gated.unwrap()), wanted);
    let joined = Graph::build("joined", [4, 8, 8], |net, image| {
        let [left, right] = image.halves();
        let a = net.at("a").conv(left, Conv::new(4, 1));
        let b = net.at("b").conv(right, Conv::new(4, 3)).relu();
        let joined = a.concat(&[b]).channel_shuffle(2);
        net.at("c").conv(joined.relu(), Conv::new(2, 1)).global_avg_pool()
    });
    let wanted = "input* slice slice conv#* conv# relu* concat channel_shuffle relu* conv#* global_avg_pool";
    assert_eq!(places(&joined.unwrap()), wanted);
}

#[test]
fn halves_that_change_places_many_times_are_no_more_values() {
    let graph = Graph::build("crossed", [4, 6, 6], |net, image| {
        let mut x = net.at("a").conv(image, Conv::new(8, 3)).relu();
        for _ in 0..64 {
            let [left, right] = x.halves();
            x = right.concat(&[left]);
        }
        net.at("fc").linear(net.at("b").conv(x, Conv::new(4, 1)).relu().global_avg_pool(), 3)
    })
    .unwrap();
    let quantized = quantized(&graph, 4);
    assert_eq!((quantized.quantization.weights.len(), quantized.distributions.len()), (3, 3));
    for layer in &quantized.distributions {
        assert!((layer.inputs.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}", layer.path);
    }
}

#[test]
fn batch_norms_are_folded_with_the_numbers_that_they_stood_for() {
    let graph = Graph::build("net", [3, 8, 8], |net, image| {
        let x = net.at("a.bn").batch_norm(net.at("a").conv(image, Conv::new(4, 3).bias()));
        let x = net.at("b.bn").batch_norm(net.at("b").depthwise(x.relu(), Conv::new(0, 3)));
        let y = net.at("c.bn").batch_norm(x.relu() + x);
        net.at("fc").linear(y.global_avg_pool(), 3)
    })
    .unwrap();
    let (new, new_weights) = folded(&graph, &weights(&graph)).unwrap();
    let names: Vec<String> = new.params().into_iter().map(|param| param.name).collect();
    let norm = ["c.bn.weight", "c.bn.bias", "c.bn.running_mean", "c.bn.running_var"];
    let layers = ["a.weight", "a.bias", "b.weight", "b.bias"];
    assert_eq!(names, [&layers[..], &norm, &["fc.weight", "fc.bias"]].concat());
    let run = |graph: &Graph, weights: &WeightSet| {
        let reference = Reference::<f32>::new(graph.clone(), &weights.select(graph).unwrap()).unwrap();
        reference.run(&images(graph, 1)[0]).unwrap()
    };
    for (x, wanted) in run(&new, &new_weights).iter().zip(run(&graph, &weights(&graph))) {
        assert!((x - wanted).abs() < 1e-5 * wanted.abs().max(1.0), "{x} is not {wanted}");
    }
}

#[test]
fn a_feature_between_a_layer_and_its_batch_norm_does_not_keep_them_apart() {
    let graph = Graph::build("net", [3, 8, 8], |net, image| {
        let stem = net.at("stem");
        let x = stem.feature(stem.conv(image, Conv::new(4, 3).stride(2)));
        let x = net.at("bn").batch_norm(x).relu();
        let next = net.at("next");
        let x = next.feature(next.conv(x, Conv::new(4, 3).stride(2).bias()).relu());
        net.at("fc").linear(x.global_avg_pool(), 3)
    })
    .unwrap();
    assert_eq!(graph.features().len(), 2);
    let (new, _) = folded(&graph, &weights(&graph)).unwrap();
    assert!(new.params().iter().all(|param| !param.name.starts_with("bn")));
    assert_eq!(new.features().iter().map(|feature| &*feature.name).collect::<Vec<_>>(), ["next"]);
    assert_eq!(new.nodes().len(), graph.nodes().len() - 1);
}

#[test]
fn every_kind_of_network_quantises_and_its_integers_are_what_was_simulated() {
    for name in ["mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1"] {
        let network = cygnet_zoo::find(name).unwrap_or_else(|| panic!("{name}"));
        let graph = network.build().unwrap().with_classes(10).unwrap().resized(32, 32).unwrap();
        let quantized = quantized(&graph, 2);
        let record = &quantized.quantization;
        record.check(&quantized.graph, &quantized.weights).unwrap();
        let layers = quantized.graph.nodes().iter().filter(|node| node.op.facts().is_weighted).count();
        assert!(2 * record.weights.len() > layers, "{name}: {} of {layers}", record.weights.len());
        let reference = QuantizedReference::new(quantized.graph.clone(), &quantized.weights, record).unwrap();
        let integers = reference.run(&images(&graph, 1)[0]).unwrap();
        let simulated = simulate(&quantized, &images(&graph, 1), QuantizeOptions::default()).unwrap();
        assert_eq!(simulated[0], quantized.outputs[1][0], "{name}: as when it was made");
        // A sum in another order may round to a neighbour, which random weights carry on.
        let square = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>();
        let other = square(&mut simulated[0].iter().zip(&integers).map(|(x, wanted)| x - wanted));
        assert!(other < 0.05 * square(&mut integers.iter().copied()), "{name}: {simulated:?} {integers:?}");
    }
}

#[test]
fn threads_change_nothing_and_every_method_works() {
    let graph = Graph::build("net", [3, 16, 16], |net, image| {
        let x = net.at("a").conv(image, Conv::new(16, 3).stride(2)).relu();
        let y = net.at("b").depthwise(x, Conv::new(0, 3)).relu6();
        net.at("fc").linear((net.at("c").conv(y, Conv::new(16, 1)) + x).global_avg_pool(), 10)
    })
    .unwrap();
    let run = |threads: usize, method: Option<Method>| {
        let options = QuantizeOptions { threads, method, drop: 100.0, ..QuantizeOptions::default() };
        quantize(&graph, &weights(&graph), &images(&graph, 5), &[], options, &mut |_| {}).unwrap()
    };
    let (one, three) = (run(1, None), run(3, None));
    assert_eq!((one.weights, one.quantization), (three.weights, three.quantization));
    for method in Method::ALL {
        run(2, Some(method));
    }
}

#[test]
fn layers_go_back_to_floating_point_until_no_more_is_lost_than_may_be() {
    let graph = Graph::build("net", [3, 8, 8], |net, image| {
        let mut x = image;
        for i in 0..4 {
            x = net.at(i).conv(x, Conv::new(8, 3)).relu();
        }
        net.at("fc").linear(x.global_avg_pool(), 100)
    })
    .unwrap();
    let count = |drop: f64| {
        let options = QuantizeOptions { drop, ..QuantizeOptions::default() };
        let images = images(&graph, 60);
        let quantized = quantize(&graph, &weights(&graph), &images, &[], options, &mut |_| {}).unwrap();
        quantized.quantization.check(&quantized.graph, &quantized.weights).unwrap();
        let [before, after] = &quantized.outputs;
        (quantized.quantization.weights.len(), compare(before, after).agreement)
    };
    let all = count(100.0);
    let some = count(-100.0);
    assert_eq!((all.0, some.0), (5, 0));
    assert_eq!(some.1, 1.0, "nothing is rounded");
}

#[test]
fn a_run_without_images_is_an_error() {
    let graph = cygnet_zoo::find("squeezenet1_1").unwrap().build().unwrap();
    let weights = weights(&graph);
    let error = quantize(&graph, &weights, &[], &[], QuantizeOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, QuantizeError::NoImages { .. }), "{error}");
}

#[test]
fn filters_without_weights_keep_their_bias() {
    let graph = Graph::build("net", [3, 8, 8], |net, image| {
        let x = net.at("a").conv(image, Conv::new(3, 3).bias()).relu();
        net.at("fc").linear(x.global_avg_pool(), 2)
    })
    .unwrap();
    let mut weights = weights(&graph);
    let mut filters = weights.get("a.weight").unwrap().to_f32().into_owned();
    filters[..27].fill(0.0);
    filters[27..54].iter_mut().for_each(|w| *w *= 1e-20);
    weights.insert("a.weight", cygnet_weights::Tensor::from_f32([3, 3, 3, 3], &filters).unwrap());
    weights.insert("a.bias", cygnet_weights::Tensor::from_f32([3], &[1.0, 2.0, 0.5]).unwrap());
    let images = images(&graph, 4);
    let options = QuantizeOptions { drop: 100.0, ..QuantizeOptions::default() };
    let quantized = quantize(&graph, &weights, &images, &[], options, &mut |_| {}).unwrap();
    let record = &quantized.quantization;
    let reference = QuantizedReference::new(quantized.graph.clone(), &quantized.weights, record).unwrap();
    for (x, wanted) in reference.run(&images[0]).unwrap().iter().zip(&quantized.outputs[0][0]) {
        assert!((x - wanted).abs() < 0.02 * wanted.abs().max(1.0), "{x} is not {wanted}");
    }
}

#[test]
fn a_network_quantised_at_once_has_the_same_places_and_nearly_the_same_answers() {
    let graph = Graph::build("net", [3, 12, 12], |net, image| {
        let x = net.at("a.bn").batch_norm(net.at("a").conv(image, Conv::new(8, 3).stride(2))).relu6();
        let y = net.at("b").conv(x, Conv::new(8, 3).groups(8)).relu();
        let z = net.at("c").conv(y, Conv::new(8, 1).groups(2)) + x;
        net.at("fc").linear(z.global_avg_pool(), 5)
    })
    .unwrap();
    let (weights, images) = (weights(&graph), images(&graph, 4));
    let options = PlanOptions::default();
    let made = quantize_plainly(&graph, &weights, &images, options, 1).unwrap();
    let careful = quantized(&graph, 4);
    let keys = |network: &QuantizedNetwork| {
        let record = &network.quantization;
        (
            record.values.keys().copied().collect::<Vec<_>>(),
            record.weights.keys().cloned().collect::<Vec<_>>(),
        )
    };
    assert_eq!(keys(&made), keys(&careful));
    let on_two = quantize_plainly(&graph, &weights, &images, options, 2).unwrap();
    assert_eq!((&made.weights, &made.quantization), (&on_two.weights, &on_two.quantization));
    let reference = QuantizedReference::new(made.graph, &made.weights, &made.quantization).unwrap();
    for (image, wanted) in images.iter().zip(&made.outputs[0]) {
        let answer = reference.run(image).unwrap();
        let largest = wanted.iter().fold(0.1, |largest: f32, x| largest.max(x.abs()));
        assert!(
            answer.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.1 * largest),
            "{answer:?} {wanted:?}"
        );
    }
    let none = quantize_plainly(&graph, &weights, &[], options, 1);
    assert!(matches!(none, Err(QuantizeError::NoImages { .. })));
}

#[test]
fn what_is_seen_of_many_values_counts() {
    let deep = |layers: usize| {
        Graph::build("deep", [4, 16, 16], |net, image| {
            let mut x = image;
            for layer in 0..layers {
                x = net.at("conv").at(layer).conv(x, Conv::new(4, 1));
            }
            net.at("fc").linear(x.global_avg_pool(), 2)
        })
        .unwrap()
    };
    assert!(check_kept(&deep(100), 100, 1, Some(4 << 30)).is_ok());
    let refused = check_kept(&deep(10_000), 100, 1, Some(4 << 30)).unwrap_err().to_string();
    assert!(refused.starts_with("deep: what is kept of 100 images takes "), "{refused}");
    let wide = Graph::build("wide", [4, 2, 2], |net, image| {
        let x = net.at("wide").conv(image, Conv::new(1 << 20, 1));
        let x = net.at("depthwise").conv(x, Conv::new(1 << 20, 1).groups(1 << 20));
        net.at("fc").linear(x.global_avg_pool(), 2)
    });
    assert!(check_kept(&wide.unwrap(), 100, 1, Some(4 << 30)).is_err());
}
