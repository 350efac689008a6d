//! What whole numbers mean: how numbers become bytes, and the constants of layers that compute with bytes. The reference
//! computes with these, and plans pack them.

use cygnet_graph::{Activation, Graph, Param, Role};
use cygnet_weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet};

use crate::reference::activate;

/// The byte nearest to `t` steps from `zero`, ties to even; NaN is 0 steps.
#[must_use]
pub fn to_byte(t: f32, zero: u8) -> u8 {
    let steps = t.round_ties_even() as i32;
    steps.saturating_add(zero.into()).clamp(0, 255) as u8
}

/// The factor by which a number is divided by a scale.
#[must_use]
pub fn inverse(scale: f32) -> f32 {
    (1.0 / f64::from(scale)) as f32
}

/// The byte for a number in a channel.
#[must_use]
pub fn quantize(grid: &Grid, channel: usize, x: f32) -> u8 {
    to_byte(x * inverse(grid.scale(channel)), grid.zero)
}

/// The number that a byte of a channel stands for.
#[must_use]
pub fn dequantize(grid: &Grid, channel: usize, q: u8) -> f32 {
    steps(grid, q) as f32 * grid.scale(channel)
}

/// How far a byte is from zero.
pub(crate) fn steps(grid: &Grid, q: u8) -> i32 {
    i32::from(q) - i32::from(grid.zero)
}

/// `left / right`, the factor from one scale to another.
#[must_use]
pub fn ratio(left: f32, right: f32) -> f32 {
    (f64::from(left) / f64::from(right)) as f32
}

/// The factor of a sum of `count` bytes of one scale that makes it their mean on another, or a real one without.
#[must_use]
pub fn mean_factor(scale: f32, count: usize, output: Option<f32>) -> f32 {
    (f64::from(scale) / (count as f64 * output.map_or(1.0, f64::from))) as f32
}

/// A bias in steps of the sums of its output, whose weights have `scale`.
#[must_use]
pub fn integer_bias(bias: f32, scale: f32) -> i32 {
    (f64::from(bias) / f64::from(scale)).round_ties_even() as i32
}

/// The bytes between which a clamp keeps a channel.
#[must_use]
pub fn clamp_bytes(function: Activation, grid: &Grid, channel: usize) -> [u8; 2] {
    match function {
        Activation::Clamp { low, high } => [low, high].map(|limit| quantize(grid, channel, limit)),
        Activation::HardSigmoid { .. } | Activation::Sigmoid | Activation::Swish | Activation::HardSwish => {
            [0, 255]
        }
    }
}

/// The byte of a function for every byte of its argument, from one grid with a scale for all channels to another such.
#[must_use]
pub fn table(function: Activation, input: &Grid, output: &Grid) -> [u8; 256] {
    let mut values: Vec<f64> = (0..=255).map(|q| f64::from(dequantize(input, 0, q))).collect();
    activate(&mut values, function);
    std::array::from_fn(|q| quantize(output, 0, values[q] as f32))
}

/// The weights of a quantised network in floating point: what their integers stand for, and all others as they are.
///
/// The record must be one of the graph and the weights: see [`Quantization::check`].
#[must_use]
pub fn real_weights(graph: &Graph, weights: &WeightSet, quantization: &Quantization) -> WeightSet {
    let grids = quantization.grids(graph);
    let mut real = weights.clone();
    for param in graph.params().into_iter().filter(|param| param.role == Role::Weight) {
        let (Some(grid), Some(tensor)) = (quantization.weights.get(&param.name), weights.get(&param.name))
        else {
            continue;
        };
        let input = grids[graph.node(param.node).inputs[0].0].as_ref();
        let numbers = real_weight(graph, &param, tensor, grid, input);
        let numbers = Tensor::from_numbers(tensor.shape(), numbers).expect("as many as there were");
        real.insert(param.name, numbers);
    }
    real
}

/// What the integers of one weight stand for, whose layer reads a value on the grid `input` if it is on one.
pub(crate) fn real_weight(
    graph: &Graph,
    param: &Param,
    tensor: &Tensor,
    grid: &WeightGrid,
    input: Option<&Grid>,
) -> Vec<f32> {
    let terms = tensor.element_count() / param.shape[0].max(1);
    let number = |(index, &integer): (usize, &i32)| {
        let output = index / terms;
        let scale = input.map_or(1.0, |input| input.scale(graph.input_channel(param, index)));
        let steps = integer - i32::from(grid.zero(output));
        (f64::from(steps) * f64::from(grid.scales[output]) / f64::from(scale)) as f32
    };
    integers(tensor).iter().enumerate().map(number).collect()
}

/// A tensor's integers.
pub(crate) fn integers(tensor: &Tensor) -> Vec<i32> {
    let signed = tensor.dtype() == Dtype::I8;
    let widen = |&byte: &u8| if signed { i32::from(byte.cast_signed()) } else { i32::from(byte) };
    tensor.bytes().iter().map(widen).collect()
}
