//! Networks that compute with whole numbers: which nodes are computed together, and every rule of the arithmetic against loops
//! over integers that are written out here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Activation, Conv, Graph, NodeId, Op, Pool, Role, Scope, Value};
use cygnet_runtime::integers::{clamp_bytes, integer_bias, mean_factor, quantize, ratio, table, to_byte};
use cygnet_runtime::{QuantizedReference, Reference, chains};
use cygnet_weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet};

fn random(count: usize, seed: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |i| (i * 7919 + seed * 104_729 + 13) % 2003)
}

fn build(network: impl for<'g> FnOnce(&Scope<'g>, Value<'g>) -> Value<'g>) -> Graph {
    Graph::build("net", [4, 6, 7], network).unwrap()
}

/// A scale for each channel, around `scale`.
fn each(scale: f32, channels: usize) -> Vec<f32> {
    (0..channels).map(|c| scale * (1.0 + c as f32 / 7.0)).collect()
}

/// Integer weights for every layer, and grids for the values named.
fn made(graph: &Graph, values: &[(usize, Grid)]) -> (WeightSet, Quantization) {
    let (mut weights, mut quantization) = (WeightSet::default(), Quantization::default());
    for (seed, param) in graph.params().into_iter().enumerate() {
        let count = param.shape.iter().product();
        let tensor = if param.role == Role::Weight {
            let terms = count / param.shape[0];
            let grid = WeightGrid { scales: each(0.5 / (terms * 127) as f32, param.shape[0]), zeros: vec![] };
            quantization.weights.insert(param.name.clone(), grid);
            let bytes = random(count, seed).map(|x| ((x % 255) as i32 - 127) as u8).collect();
            Tensor::new(param.shape, Dtype::I8, bytes).unwrap()
        } else {
            let numbers = random(count, seed).map(|x| x as f32 / 1001.5 - 1.0).collect();
            Tensor::from_numbers(param.shape, numbers).unwrap()
        };
        weights.insert(param.name, tensor);
    }
    quantization.values = values.iter().map(|(node, grid)| (NodeId(*node), grid.clone())).collect();
    (weights, quantization)
}

fn image() -> Vec<f32> {
    random(4 * 6 * 7, 99).map(|x| x as f32 / 501.0 - 2.0).collect()
}

/// All values that are computed, and the output.
fn run(graph: &Graph, made: &(WeightSet, Quantization)) -> Vec<Option<(Vec<f32>, Vec<u8>)>> {
    let network = QuantizedReference::new(graph.clone(), &made.0, &made.1).unwrap();
    let mut values = vec![None; graph.nodes().len()];
    let output = network.run_with(&image(), |id, numbers, bytes| {
        values[id.0] = Some((numbers.to_vec(), bytes.to_vec()));
    });
    assert_eq!(output.unwrap(), values[graph.output().0].as_ref().unwrap().0);
    values
}

/// Sums of a convolution over integers, as loops.
fn sums(
    graph: &Graph,
    id: usize,
    x: &[u8],
    zero: u8,
    (weights, quantization): &(WeightSet, Quantization),
) -> Vec<i32> {
    let node = graph.node(NodeId(id));
    let Op::Conv(conv) = &node.op else { panic!("no convolution") };
    let [_, height, width] = [0, 1, 2].map(|i| graph.node(node.inputs[0]).shape[i]);
    let (inputs, [outputs, rows, columns]) =
        (graph.node(node.inputs[0]).shape[0] / conv.groups, [0, 1, 2].map(|i| node.shape[i]));
    let weight = weights.get(&format!("{}.weight", node.path)).unwrap().bytes();
    let scales = &quantization.weights[&format!("{}.weight", node.path)].scales;
    let bias = weights.get(&format!("{}.bias", node.path)).map(|bias| bias.to_f32().into_owned());
    let pad = [0, 1].map(|axis| (conv.kernel[axis] - 1) / 2);
    let mut sums = Vec::new();
    for o in 0..outputs {
        for (y, x0) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            let mut sum = bias.as_ref().map_or(0, |bias| integer_bias(bias[o], scales[o]));
            for i in 0..inputs {
                let c = o / (outputs / conv.groups) * inputs + i;
                for (ky, kx) in (0..conv.kernel[0]).flat_map(|y| (0..conv.kernel[1]).map(move |x| (y, x))) {
                    let (row, column) = (y * conv.stride[0] + ky, x0 * conv.stride[1] + kx);
                    if (pad[0]..pad[0] + height).contains(&row) && (pad[1]..pad[1] + width).contains(&column)
                    {
                        let q = x[(c * height + row - pad[0]) * width + column - pad[1]];
                        let w = weight[((o * inputs + i) * conv.kernel[0] + ky) * conv.kernel[1] + kx] as i8;
                        sum += (i32::from(q) - i32::from(zero)) * i32::from(w);
                    }
                }
            }
            sums.push(sum);
        }
    }
    sums
}

#[test]
fn numbers_become_the_nearest_byte_with_ties_to_even() {
    let cases = [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (1e20, 200), (-1e20, -100)];
    for (t, steps) in cases {
        assert_eq!(i32::from(to_byte(t, 100)), 100 + steps.clamp(-100, 155), "{t}");
    }
    assert_eq!([to_byte(f32::NAN, 7), to_byte(f32::INFINITY, 7), to_byte(f32::NEG_INFINITY, 7)], [7, 255, 0]);
    let grid = Grid { zero: 10, scales: vec![0.5, 0.25] };
    assert_eq!([quantize(&grid, 0, 1.0), quantize(&grid, 1, 1.0)], [12, 14]);
    assert_eq!(clamp_bytes(Activation::RELU6, &grid, 0), [10, 22]);
    assert_eq!(clamp_bytes(Activation::RELU, &grid, 1), [10, 255]);
    assert_eq!(integer_bias(1e30, 1e-6), i32::MAX);
}

#[test]
fn a_layer_goes_with_the_sum_and_the_clamp_that_alone_read_it() {
    let graph = build(|net, x| {
        let a = net.at("a").conv(x, Conv::new(4, 1).bias());
        let sum = (a + x).relu6();
        let b = net.at("b").conv(sum, Conv::new(4, 1));
        let twice = b.relu() + b.relu6();
        let c = net.at("c").conv(twice, Conv::new(4, 1)).relu();
        net.at("d").conv((c + twice).relu(), Conv::new(2, 1))
    });
    let one = |node| (node, Grid::of_one(3, 0.1));
    let text = |values: &[usize]| {
        let (weights, quantization) = made(&graph, &values.iter().map(|&node| one(node)).collect::<Vec<_>>());
        let text = |chain: cygnet_runtime::Chain| {
            let others = chain.sum.iter().flat_map(|sum| [sum.node, sum.other]).chain(chain.clamp);
            let others: String = others.map(|id| format!(" {}", id.0)).collect();
            format!("{}{others} -> {}", chain.head.0, chain.end.0)
        };
        let chains = chains(&graph, &quantization.grids(&graph), &weights);
        chains.into_iter().map(text).collect::<Vec<_>>().join(", ")
    };
    // The image, its sum with `a`, `b` whose two readers are clamps, their sum, `c` with its clamp, the last sum with its own.
    assert_eq!(
        text(&[0, 3, 5, 6, 7, 9, 11]),
        "1 2 0 3 -> 3, 4 -> 4, 7 -> 7, 8 9 -> 9, 10 11 -> 11, 12 -> 12"
    );
    assert_eq!(text(&[0, 1, 3, 4, 7, 9, 10]), "1 -> 1, 2 3 -> 3, 4 -> 4, 8 9 -> 9, 10 -> 10");
    assert_eq!(text(&[0, 2, 3]), "1 2 0 -> 2, 4 -> 4", "a clamp of its own follows");
    assert_eq!(text(&[1, 3]), "4 -> 4", "a layer of real numbers is none");
    assert_eq!(text(&[]), "");
}

#[test]
fn chains_scale_and_round_once() {
    let graph = build(|net, x| {
        let a = net.at("a").conv(x, Conv::new(8, 3).stride(2).bias()).relu6();
        let b = net.at("b").conv(a, Conv::new(8, 3).groups(8)).relu();
        let c = net.at("c").conv(b, Conv::new(8, 1).groups(2).bias()) + a;
        net.at("d").conv(c.relu(), Conv::new(3, 1).bias())
    });
    let grids = [
        (0, Grid::of_one(120, 0.017)),
        (2, Grid { zero: 0, scales: each(0.004, 8) }),
        (4, Grid { zero: 0, scales: each(0.002, 8) }),
        (7, Grid { zero: 9, scales: each(0.005, 8) }),
    ];
    let made = made(&graph, &grids);
    let values = run(&graph, &made);
    let bytes = |id: usize| values[id].as_ref().unwrap().1.clone();
    assert!([1, 3, 5, 6].iter().all(|&inside| values[inside].is_none()));
    let grid = |id: usize| made.1.values[&NodeId(id)].clone();
    let wanted = |head: usize, end: usize, added: Option<usize>, high: f32| -> Vec<u8> {
        let node = graph.node(NodeId(head));
        let input = node.inputs[0].0;
        let plane: usize = node.shape[1..].iter().product();
        let scales = &made.1.weights[&format!("{}.weight", node.path)].scales;
        let sums = sums(&graph, head, &bytes(input), grid(input).zero, &made);
        let byte = |(i, sum): (usize, i32)| {
            let (c, to) = (i / plane, grid(end));
            let mut t = sum as f32 * ratio(scales[c], to.scale(c));
            if let Some(added) = added {
                let steps = i32::from(bytes(added)[i]) - i32::from(grid(added).zero);
                t += steps as f32 * ratio(grid(added).scale(c), to.scale(c));
            }
            to_byte(t, to.zero).max(to.zero).min(quantize(&to, c, high))
        };
        sums.into_iter().enumerate().map(byte).collect()
    };
    assert_eq!(bytes(0), image().iter().map(|&x| quantize(&grid(0), 0, x)).collect::<Vec<_>>());
    assert_eq!(bytes(2), wanted(1, 2, None, 6.0));
    assert_eq!(bytes(4), wanted(3, 4, None, f32::INFINITY));
    assert_eq!(bytes(7), wanted(5, 7, Some(2), f32::INFINITY));
    assert!([2, 4, 7].iter().all(|&id| bytes(id).iter().any(|&q| q > grid(id).zero + 9)), "no trivial case");
    let last = sums(&graph, 8, &bytes(7), 9, &made);
    let real: Vec<f32> =
        last.iter().enumerate().map(|(i, &x)| x as f32 * made.1.weights["d.weight"].scales[i / 12]).collect();
    assert_eq!(values[8].as_ref().unwrap().0, real);
}

#[test]
fn other_operators_work_on_bytes_by_their_rules() {
    let graph = build(|net, x| {
        let swish = x.activation(Activation::HardSwish);
        let gate = x.global_avg_pool().sigmoid();
        let gated = swish * gate;
        let pooled = gated.pool(Pool::max(2, 2)).pool(Pool::avg(3, 1).pad(1));
        net.at("fc").linear(pooled, 3)
    });
    let grids = [
        (0, Grid::of_one(128, 0.02)),
        (1, Grid::of_one(30, 0.01)),
        (4, Grid { zero: 20, scales: each(0.008, 4) }),
        (6, Grid { zero: 15, scales: each(0.006, 4) }),
    ];
    let made = made(&graph, &grids);
    let values = run(&graph, &made);
    let value = |id: usize| values[id].clone().unwrap();
    let [image, swish, gated, mean] = [0, 1, 2, 3].map(|i: usize| grids[i].1.clone());
    let table = table(Activation::HardSwish, &image, &swish);
    assert_eq!(value(1).1, value(0).1.iter().map(|&q| table[usize::from(q)]).collect::<Vec<_>>());
    let at = |x: f64| (x * (x + 3.0).clamp(0.0, 6.0) / 6.0) as f32;
    assert!((0..=255).all(|q: u8| {
        let x = (f32::from(q) - 128.0) * 0.02;
        table[usize::from(q)] == quantize(&swish, 0, at(x.into()))
    }));
    let means: Vec<f32> = value(0)
        .1
        .chunks(42)
        .map(|plane| {
            let sum: i32 = plane.iter().map(|&q| i32::from(q) - 128).sum();
            sum as f32 * mean_factor(0.02, 42, None)
        })
        .collect();
    assert_eq!(value(2), (means, vec![]));
    let gates = value(3).0;
    let product = |(i, &q): (usize, &u8)| {
        let factor = gates[i / 42] * ratio(0.01, gated.scale(i / 42));
        to_byte((i32::from(q) - 30) as f32 * factor, 20)
    };
    assert_eq!(value(4).1, value(1).1.iter().enumerate().map(product).collect::<Vec<_>>());
    let largest = |c: usize, y: usize, x: usize| {
        let at = |dy: usize, dx: usize| value(4).1[(c * 6 + 2 * y + dy) * 7 + 2 * x + dx];
        at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1))
    };
    let pooled: Vec<u8> = (0..36).map(|i| largest(i / 9, i / 3 % 3, i % 3)).collect();
    assert_eq!(value(5).1, pooled);
    let middle: Vec<u8> = (0..4)
        .map(|c| {
            let sum: i32 = pooled[c * 9..][..9].iter().map(|&q| i32::from(q) - 20).sum();
            to_byte(sum as f32 * mean_factor(gated.scale(c), 9, Some(mean.scale(c))), 15)
        })
        .collect();
    assert_eq!((0..4).map(|c| value(6).1[c * 9 + 4]).collect::<Vec<_>>(), middle);
    let corner: i32 = [0, 1, 3, 4].iter().map(|&i| i32::from(pooled[i]) - 20).sum();
    assert_eq!(
        value(6).1[0],
        to_byte(corner as f32 * mean_factor(gated.scale(0), 9, Some(mean.scale(0))), 15)
    );
}

#[test]
fn views_keep_the_grids_of_what_they_show() {
    let graph = build(|net, x| {
        let a = net.at("a").conv(x, Conv::new(4, 1)).relu();
        let b = net.at("b").conv(x, Conv::new(2, 1)).relu();
        let joined = a.concat(&[b]).channel_shuffle(2).slice(1, 4).dropout(0.5);
        net.at("d").conv(joined, Conv::new(3, 1))
    });
    let own = |zero| Grid { zero, scales: each(0.01, 4) };
    let two = |zero| Grid { zero, scales: vec![1.0, 2.0] };
    let grids = |a: Grid, b: Grid| made(&graph, &[(0, Grid::of_one(1, 0.1)), (2, a), (4, b)]).1.grids(&graph);
    let joined = grids(own(5), two(5));
    let scales = each(0.01, 4);
    // Shuffled, the channels 0 1 2 | 3 4 5 are 0 3 1 4 2 5.
    let wanted = Grid { zero: 5, scales: vec![scales[3], scales[1], 1.0, scales[2]] };
    assert_eq!(joined[7..9], [Some(wanted.clone()), Some(wanted)]);
    assert_eq!(grids(own(5), two(6))[5..9], [None, None, None, None], "other zeros");
    let shared = grids(Grid::of_one(5, 0.5), Grid::of_one(5, 0.5));
    assert_eq!(shared[8], Some(Grid::of_one(5, 0.5)));
    let made = made(&graph, &[(0, Grid::of_one(1, 0.1)), (2, own(5)), (4, two(5))]);
    let values = run(&graph, &made);
    let plane = |id: usize, c: usize| values[id].as_ref().unwrap().1[c * 42..][..42].to_vec();
    let shown = [plane(2, 3), plane(2, 1), plane(4, 0), plane(2, 2)].concat();
    assert_eq!(values[8].as_ref().unwrap().1, shown);
}

#[test]
fn fine_grids_give_what_floating_point_does() {
    let graph = build(|net, x| {
        let a = net.at("a").conv(x, Conv::new(8, 3).bias()).relu6();
        let b = net.at("b").conv(a, Conv::new(8, 3).groups(8).bias()).activation(Activation::HardSwish);
        net.at("fc").linear((a + b).global_avg_pool(), 5)
    });
    let grids = [
        (0, Grid::of_one(128, 2.0 / 127.0)),
        (2, Grid::of_one(0, 6.0 / 255.0)),
        (4, Grid::of_one(40, 6.0 / 255.0)),
        (5, Grid::of_one(40, 10.0 / 255.0)),
    ];
    let (weights, mut quantization) = made(&graph, &grids);
    quantization.weights.values_mut().flat_map(|grid| &mut grid.scales).for_each(|scale| *scale /= 10.0);
    let quantized = run(&graph, &(weights.clone(), quantization.clone()));
    let real = cygnet_runtime::integers::real_weights(&graph, &weights, &quantization);
    let reference = Reference::<f32>::new(graph.clone(), &real.select(&graph).unwrap()).unwrap();
    let wanted = reference.run(&image()).unwrap();
    let largest = wanted.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    for (x, wanted) in quantized[graph.output().0].as_ref().unwrap().0.iter().zip(&wanted) {
        assert!((x - wanted).abs() < 0.02 * largest, "{x} is not {wanted}");
    }
}

#[test]
fn unsigned_weights_are_computed_in_floating_point() {
    let graph = build(|net, x| net.at("a").conv(x, Conv::new(2, 1)));
    let (mut weights, mut quantization) = made(&graph, &[(0, Grid::of_one(128, 0.02))]);
    weights.insert("a.weight", Tensor::new([2, 4, 1, 1], Dtype::U8, (10..18).collect()).unwrap());
    quantization.weights.get_mut("a.weight").unwrap().zeros = vec![12];
    assert_eq!(chains(&graph, &quantization.grids(&graph), &weights), []);
    let values = run(&graph, &(weights, quantization.clone()));
    let scale = f64::from(quantization.weights["a.weight"].scales[1]) / f64::from(0.02f32);
    let image = &values[0].as_ref().unwrap().0;
    let wanted: f64 = (0..4).map(|c| f64::from(image[c * 42]) * (c as f64 + 2.0) * scale).sum();
    assert!((f64::from(values[1].as_ref().unwrap().0[42]) - wanted).abs() < 1e-5 * wanted.abs().max(1.0));
}
