//! The reference of networks that compute with whole numbers: one node after the other, to the bit what every faster executor
//! must give.

use cygnet_graph::{Graph, Node, NodeId, Op, PoolKind, Role};
use cygnet_kernels::reference as kernels;
use cygnet_weights::{Grid, Quantization, WeightSet};

use super::{Reference, RunError, conv_shape, map, pool_shape};
use crate::chains::{Chain, chains};
use crate::halves::bf16_layers;
use crate::integers::{
    clamp_bytes, dequantize, integer_bias, integers, mean_factor, quantize, ratio, real_weights, steps,
    table, to_byte,
};
use crate::plan::has_mean;

/// A graph with integer weights and the record of what is quantised, ready to run on one image at a time.
///
/// Sums of products are exact; each is scaled, rounded and saturated once, at the end of its [`Chain`]. What is not on a grid is
/// computed as [`Reference<f32>`] does, of what bytes stand for, but for layers that [read their input once](crate::reads_once)
/// and whose weights are bf16: they compute [in it](cygnet_kernels::reference::bf16).
///
/// ```
/// use cygnet_graph::{Graph, NodeId};
/// use cygnet_runtime::QuantizedReference;
/// use cygnet_weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet};
///
/// let graph = Graph::build("tiny", [1, 1, 2], |net, image| net.at("fc").linear(image.global_avg_pool(), 1))?;
/// let mut quantization = Quantization::default();
/// quantization.values.insert(NodeId(0), Grid::of_one(128, 0.5));
/// quantization.values.insert(NodeId(1), Grid::of_one(128, 0.25));
/// quantization.weights.insert("fc.weight".into(), WeightGrid { scales: vec![0.125], zeros: vec![] });
/// let mut weights = WeightSet::default();
/// weights.insert("fc.weight", Tensor::new([1, 1], Dtype::I8, vec![2])?);
/// weights.insert("fc.bias", Tensor::from_f32([1], &[1.0])?);
/// let network = QuantizedReference::new(graph, &weights, &quantization)?;
/// // 1 and 2 are 2 and 4 steps of 0.5; their mean is 6 of 0.25; 6 * 2 + 8 steps of 0.125 are 2.5.
/// assert_eq!(network.run(&[1.0, 2.0])?, [2.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct QuantizedReference {
    /// The same network in floating point, for what is not on grids.
    real: Reference<f32>,
    grids: Vec<Option<Grid>>,
    /// For each node, the chain that ends with it.
    ends: Vec<Option<Chain>>,
    /// Whether a node's value is only a part of a chain's.
    is_inside: Vec<bool>,
    layers: Vec<Option<Layer>>,
    /// For each node, its weights and biases if it is a layer in bf16.
    halves: Vec<Option<[Vec<f32>; 2]>>,
}

/// A layer of whole numbers. Integers are stored as `f64`, whose sums are exact.
#[derive(Debug)]
struct Layer {
    weights: Vec<f64>,
    /// One for each output.
    bias: Vec<f64>,
    /// One for each output.
    scales: Vec<f32>,
}

/// A node's value.
#[derive(Clone, Debug)]
struct Value {
    /// The numbers, which are those that the bytes stand for.
    numbers: Vec<f32>,
    /// There are some on a grid.
    bytes: Vec<u8>,
}

impl QuantizedReference {
    /// Takes a copy of the weights.
    ///
    /// # Errors
    /// If weights or record do not fit the graph, or take too much memory: see [`Reference::new`].
    pub fn new(
        graph: Graph,
        weights: &WeightSet,
        quantization: &Quantization,
    ) -> Result<QuantizedReference, RunError> {
        quantization.check(&graph, weights).map_err(|bad| RunError::Plan(bad.to_string()))?;
        let (grids, mut layers) = (quantization.grids(&graph), Vec::new());
        let (mut ends, mut is_inside) = (vec![None; graph.nodes().len()], vec![false; graph.nodes().len()]);
        layers.resize_with(graph.nodes().len(), || None);
        for chain in chains(&graph, &grids, weights) {
            if graph.node(chain.head).op.facts().is_weighted {
                layers[chain.head.0] = Layer::new(&graph, chain.head, weights, quantization);
            }
            chain.nodes().filter(|&id| id != chain.end).for_each(|id| is_inside[id.0] = true);
            let end = chain.end.0;
            ends[end] = Some(chain);
        }
        let real = real_weights(&graph, weights, quantization);
        let numbers = real.select(&graph).map_err(|misfit| RunError::Plan(misfit.to_string()))?;
        let is_bf16 = bf16_layers(&graph, weights);
        let half =
            |(id, _): (NodeId, &Node)| is_bf16[id.0].then(|| half_layer(&graph, id, weights)).flatten();
        let halves = graph.iter().map(half).collect();
        let real = Reference::new(graph, &numbers)?;
        Ok(QuantizedReference { real, grids, ends, is_inside, layers, halves })
    }

    /// The graph it runs.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        self.real.graph()
    }

    /// The network's output for one image `[channels, height, width]`: what its bytes stand for, if it is on a grid.
    ///
    /// # Errors
    /// If the image has the wrong number of elements.
    pub fn run(&self, image: &[f32]) -> Result<Vec<f32>, RunError> {
        self.run_with(image, |_, _, _| {})
    }

    /// The values of all outputs for one image, in the graph's order.
    ///
    /// # Errors
    /// If the image has the wrong number of elements.
    pub fn run_outputs(&self, image: &[f32]) -> Result<Vec<Vec<f32>>, RunError> {
        let mut values = vec![Vec::new(); self.graph().outputs().len()];
        self.run_with(image, |id, numbers, _| {
            let outputs = self.graph().outputs().iter().zip(&mut values);
            outputs.filter(|(output, _)| output.node == id).for_each(|(_, value)| *value = numbers.to_vec());
        })?;
        Ok(values)
    }

    /// As [`QuantizedReference::run`]; `watch` sees every node's value as it is computed, the image's first: its numbers, and
    /// its bytes if it is on a grid. Values within a chain are not computed.
    ///
    /// # Errors
    /// If the image has the wrong number of elements.
    pub fn run_with(
        &self,
        image: &[f32],
        mut watch: impl FnMut(NodeId, &[f32], &[u8]),
    ) -> Result<Vec<f32>, RunError> {
        let graph = self.graph();
        let shape = graph.input_shape();
        let wanted = shape.iter().product();
        if image.len() != wanted {
            return Err(RunError::ImageSize { shape, wanted, given: image.len() });
        }
        // A chain reads at its end what its head does.
        let mut last_uses = graph.last_uses();
        for chain in self.ends.iter().flatten() {
            for input in &graph.node(chain.head).inputs {
                last_uses[input.0] = last_uses[input.0].max(chain.end.0);
            }
        }
        let mut values: Vec<Option<Value>> = vec![None; graph.nodes().len()];
        for (id, node) in graph.iter().filter(|(id, _)| !self.is_inside[id.0]) {
            let value = match (&node.op, &self.ends[id.0]) {
                (Op::Input, _) => self.on_grid(id, image.to_vec()),
                (_, Some(chain)) => self.chain(chain, &values),
                _ => self.other(id, node, &values),
            };
            watch(id, &value.numbers, &value.bytes);
            values[id.0] = Some(value);
            for (value, _) in values.iter_mut().zip(&last_uses).filter(|(_, last)| **last == id.0) {
                *value = None;
            }
        }
        Ok(values[graph.output().0].take().expect("outputs are kept to the end").numbers)
    }

    /// Numbers as the value of a node, rounded to its grid if it has one.
    fn on_grid(&self, id: NodeId, numbers: Vec<f32>) -> Value {
        let Some(grid) = &self.grids[id.0] else { return Value { numbers, bytes: Vec::new() } };
        let plane = self.plane(id);
        let bytes = numbers.iter().enumerate().map(|(i, &x)| quantize(grid, i / plane, x)).collect();
        self.of_bytes(id, bytes)
    }

    /// Bytes as the value of a node on a grid.
    fn of_bytes(&self, id: NodeId, bytes: Vec<u8>) -> Value {
        let (grid, plane) = (self.grid(id), self.plane(id));
        let numbers = bytes.iter().enumerate().map(|(i, &q)| dequantize(grid, i / plane, q)).collect();
        Value { numbers, bytes }
    }

    fn grid(&self, id: NodeId) -> &Grid {
        self.grids[id.0].as_ref().expect("the value is on a grid")
    }

    /// Numbers of a channel.
    fn plane(&self, id: NodeId) -> usize {
        self.graph().node(id).shape[1..].iter().product()
    }

    /// The distance of each number from zero, in steps.
    fn steps(&self, id: NodeId, values: &[Option<Value>]) -> Vec<i32> {
        let grid = self.grid(id);
        bytes(values, id).iter().map(|&q| steps(grid, q)).collect()
    }

    fn chain(&self, chain: &Chain, values: &[Option<Value>]) -> Value {
        let graph = self.graph();
        let head = graph.node(chain.head);
        let plane = self.plane(chain.end);
        let (sums, scales) = match &self.layers[chain.head.0] {
            Some(layer) => (self.sums(layer, head, values), Some(&layer.scales)),
            None => (self.steps(head.inputs[0], values).into_iter().map(f64::from).collect(), None),
        };
        let Some(grid) = &self.grids[chain.end.0] else {
            let scales = scales.expect("only layers alone have real values");
            let numbers = sums.iter().enumerate().map(|(i, &sum)| sum as f32 * scales[i / plane]);
            return Value { numbers: numbers.collect(), bytes: Vec::new() };
        };
        let other = chain.sum.map(|sum| sum.other).or_else(|| scales.is_none().then(|| head.inputs[1]));
        let added = other.map(|other| (self.steps(other, values), self.grid(other)));
        let clamp = chain.clamp.map(|clamp| &graph.node(clamp).op);
        let byte = |(i, &sum): (usize, &f64)| {
            let channel = i / plane;
            let scale = match scales {
                Some(scales) => scales[channel],
                None => self.grid(head.inputs[0]).scale(channel),
            };
            let mut t = sum as f32 * ratio(scale, grid.scale(channel));
            if let Some((steps, other)) = &added {
                t += steps[i] as f32 * ratio(other.scale(channel), grid.scale(channel));
            }
            let q = to_byte(t, grid.zero);
            match clamp {
                Some(Op::Activation { function }) => {
                    let [low, high] = clamp_bytes(*function, grid, channel);
                    q.max(low).min(high)
                }
                _ => q,
            }
        };
        self.of_bytes(chain.end, sums.iter().enumerate().map(byte).collect())
    }

    /// The sums of products of a layer, with its bias: whole numbers.
    fn sums(&self, layer: &Layer, node: &Node, values: &[Option<Value>]) -> Vec<f64> {
        let x: Vec<f64> = self.steps(node.inputs[0], values).into_iter().map(f64::from).collect();
        let Op::Conv(conv) = &node.op else {
            return kernels::linear(&x, &layer.weights, &layer.bias, layer.bias.len());
        };
        let input = map(&self.graph().node(node.inputs[0]).shape);
        kernels::conv(&conv_shape(conv, input, map(&node.shape)), &x, &layer.weights, &layer.bias)
    }

    /// The value of a node that no chain ends with.
    fn other(&self, id: NodeId, node: &Node, values: &[Option<Value>]) -> Value {
        let read = node.inputs[0];
        let on_bytes = match (&node.op, &self.grids[read.0], &self.grids[id.0]) {
            (Op::Activation { function }, Some(from), Some(to)) if is_shared(from) && is_shared(to) => {
                let table = table(*function, from, to);
                let mapped = bytes(values, read).iter().map(|&q| table[usize::from(q)]).collect();
                Some(self.of_bytes(id, mapped))
            }
            (Op::Mul, _, Some(_)) => {
                let orders = [[read, node.inputs[1]], [node.inputs[1], read]];
                orders.into_iter().find_map(|order| self.gated(id, order, values))
            }
            (op, Some(_), Some(_)) if Quantization::follows(op) => {
                let widened = |&input: &NodeId| bytes(values, input).iter().map(|&q| q.into()).collect();
                let inputs: Vec<Vec<f32>> = node.inputs.iter().map(widened).collect();
                let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
                let moved = self.real.value(id, &inputs).into_iter().map(|q| q as u8).collect();
                Some(self.of_bytes(id, moved))
            }
            (_, Some(_), _) => self.mean(id, node, values),
            _ => None,
        };
        on_bytes.unwrap_or_else(|| {
            let inputs: Vec<&[f32]> =
                node.inputs.iter().map(|&input| &*value(values, input).numbers).collect();
            let numbers = match &self.halves[id.0] {
                Some([weight, bias]) => {
                    let channels = self.graph().node(read).shape[0];
                    kernels::bf16::linear(&channels_last(inputs[0], channels), weight, bias)
                }
                None => self.real.value(id, &inputs),
            };
            self.on_grid(id, numbers)
        })
    }

    /// The product of a value on a grid by a real gate of one number a channel.
    fn gated(&self, id: NodeId, [scaled, gate]: [NodeId; 2], values: &[Option<Value>]) -> Option<Value> {
        let graph = self.graph();
        let channels = graph.node(scaled).shape[0];
        if self.grids[scaled.0].is_none()
            || self.grids[gate.0].is_some()
            || self.plane(gate) != 1
            || graph.node(gate).shape[0] != channels
            || graph.node(scaled).shape != graph.node(id).shape
        {
            return None;
        }
        let (from, to, plane) = (self.grid(scaled), self.grid(id), self.plane(id));
        let gate = &value(values, gate).numbers;
        let byte = |(i, step): (usize, i32)| {
            let channel = i / plane;
            let factor = gate[channel] * ratio(from.scale(channel), to.scale(channel));
            to_byte(step as f32 * factor, to.zero)
        };
        Some(self.of_bytes(id, self.steps(scaled, values).into_iter().enumerate().map(byte).collect()))
    }

    /// The means of a value on a grid, if the node takes means.
    fn mean(&self, id: NodeId, node: &Node, values: &[Option<Value>]) -> Option<Value> {
        let read = node.inputs[0];
        let [input, output] = [read, id].map(|id| map(&self.graph().node(id).shape));
        if !has_mean(&node.op, input, output) {
            return None;
        }
        let x = || self.steps(read, values).into_iter().map(f64::from).collect::<Vec<_>>();
        let [sums, counts] = if let Op::Pool(pool) = &node.op
            && pool.kind == PoolKind::Avg
        {
            kernels::window_sums(&pool_shape(pool, input, output), &x(), pool.count_include_pad)
        } else if matches!(node.op, Op::GlobalAvgPool | Op::AdaptiveAvgPool { .. }) {
            kernels::adaptive_sums(&x(), input, [output[1], output[2]])
        } else {
            return None;
        };
        let (from, to, plane) = (self.grid(read), self.grids[id.0].as_ref(), self.plane(id));
        let scaled = |(i, (&sum, &count)): (usize, (&f64, &f64))| {
            let channel = i / plane;
            let output = to.map(|to| to.scale(channel));
            sum as f32 * mean_factor(from.scale(channel), count as usize, output)
        };
        let scaled: Vec<f32> = sums.iter().zip(&counts).enumerate().map(scaled).collect();
        Some(match to {
            Some(to) => self.of_bytes(id, scaled.into_iter().map(|t| to_byte(t, to.zero)).collect()),
            None => Value { numbers: scaled, bytes: Vec::new() },
        })
    }
}

impl Layer {
    fn new(graph: &Graph, id: NodeId, weights: &WeightSet, quantization: &Quantization) -> Option<Layer> {
        let weight = graph.node_param(id, Role::Weight)?;
        let scales = quantization.weights.get(&weight.name)?.scales.clone();
        let bias = weights.of_role(graph, id, Role::Bias);
        let bias = match bias {
            Some(bias) => bias.to_f32().into_owned(),
            None => vec![0.0; scales.len()],
        };
        let bias = bias.iter().zip(&scales).map(|(&bias, &scale)| integer_bias(bias, scale).into()).collect();
        let weights = integers(weights.get(&weight.name)?).into_iter().map(f64::from).collect();
        Some(Layer { weights, bias, scales })
    }
}

/// The weights of a layer in bf16, those of each output in the order in which it sums, and its biases.
fn half_layer(graph: &Graph, id: NodeId, weights: &WeightSet) -> Option<[Vec<f32>; 2]> {
    let node = graph.node(id);
    let [outputs, inputs] = [node.shape[0], graph.node(node.inputs[0]).shape.iter().product()];
    let weight = weights.of_role(graph, id, Role::Weight)?.to_f32();
    let channels = graph.node(node.inputs[0]).shape[0];
    let weight = weight.chunks_exact(inputs).flat_map(|row| channels_last(row, channels)).collect();
    let bias = weights.of_role(graph, id, Role::Bias).map(|bias| bias.to_f32().into_owned());
    Some([weight, bias.unwrap_or_else(|| vec![0.0; outputs])])
}

/// Numbers pixel after pixel.
fn channels_last(numbers: &[f32], channels: usize) -> Vec<f32> {
    let pixels = numbers.len() / channels.max(1);
    (0..numbers.len()).map(|i| numbers[i % channels * pixels + i / channels]).collect()
}

fn is_shared(grid: &Grid) -> bool {
    grid.scales.len() == 1
}

fn value(values: &[Option<Value>], id: NodeId) -> &Value {
    values[id.0].as_ref().expect("computed before")
}

fn bytes(values: &[Option<Value>], id: NodeId) -> &[u8] {
    &value(values, id).bytes
}
