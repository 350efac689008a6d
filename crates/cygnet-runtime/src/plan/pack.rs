//! From calls on values to calls of kernels: maps are where the layout says, and weights are packed into a store.

use cygnet_kernels::{
    self as kernels, Bf16Linear, Conv, ConvWeights, Depthwise, Map, Pair, Part, Plain, PlainCall, Store,
    Winograd,
};

mod bytes;

use super::fold::Params;
use super::layout::Layout;
use super::places::{Place, picked, pieces};
use super::rules::Layer;
use super::steps::{Call, Work};

/// Makes a kernel's call.
pub(super) fn pack(
    call: &Call<'_>,
    layout: &Layout,
    params: &Params<'_>,
    store: &mut Store,
) -> kernels::Call {
    let output = layout.map(&call.output);
    let input = &call.inputs[0];
    let term = || call.inputs.get(1).map(|value| layout.map(value));
    match &call.work {
        Work::Dense { layer, window, outputs, of } => {
            let weight = layer.weight(params);
            let each = weight.len() / of;
            let weight = &weight[outputs.start * each..outputs.end * each];
            let [scale, bias] = layer.factors(params, &outputs.clone().collect::<Vec<_>>());
            let data = ConvWeights { weight, scale: &scale, bias: &bias, inputs: input.len() };
            let (parts, activation) = (parts(layout, input), activation(layer));
            let conv = Conv::new(store, *window, &parts, data, output, term(), activation);
            kernels::Call::Conv(Box::new(conv))
        }
        Work::Winograd { layer, window } => {
            let [scale, bias] = layer.factors(params, &all(output.channels));
            let weight = layer.weight(params);
            let data = ConvWeights { weight, scale: &scale, bias: &bias, inputs: input.len() };
            let (parts, activation) = (parts(layout, input), activation(layer));
            let conv = Winograd::new(store, *window, &parts[0], data, output, term(), activation);
            kernels::Call::Winograd(Box::new(conv))
        }
        Work::Bf16Linear { layer } => {
            let [scale, bias] = layer.factors(params, &all(output.channels));
            let weight = layer.weight(params);
            let data = ConvWeights { weight, scale: &scale, bias: &bias, inputs: input.len() };
            let (parts, activation) = (parts(layout, input), activation(layer));
            let linear = Bf16Linear::new(store, &parts, data, output, activation);
            kernels::Call::Bf16Linear(Box::new(linear))
        }
        Work::Depthwise { layer, window, channels, of } => {
            let (weight, bias) = layer.scaled(params, *of, channels);
            let input = layout.map(input);
            let conv = Depthwise::new(store, *window, input, &weight, &bias, output, activation(layer));
            kernels::Call::Depthwise(Box::new(conv))
        }
        Work::Pair { layers, windows: [first, second], between: ([channels, height, width], columns) } => {
            let [dense, depthwise] = &**layers;
            // The map between lies nowhere yet; its rows do not follow each other.
            let middle = Map {
                offset: columns[0] * channels,
                row: (columns[0] + width + columns[1]) * channels + 1,
                halo: *columns,
                ..Map::dense(0, [*channels, *height, *width])
            };
            let all = all(*channels);
            let [scale, bias] = dense.factors(params, &all);
            let weight = dense.weight(params);
            let data = ConvWeights { weight, scale: &scale, bias: &bias, inputs: input.len() };
            let parts = parts(layout, input);
            let first = Conv::new(store, *first, &parts, data, middle, None, activation(dense));
            let (weight, bias) = depthwise.scaled(params, *channels, &all);
            let activation = activation(depthwise);
            let second = Depthwise::new(store, *second, middle, &weight, &bias, output, activation);
            kernels::Call::Pair(Box::new(Pair::new(first, second)))
        }
        Work::Affine { affine, channels } => {
            let [scale, shift] = affine.factors(params, channels);
            let plain = Plain::Affine { scale, shift, activation: kernels::Activation::None };
            plain_call(call, layout, store, plain)
        }
        Work::Plain(plain) => plain_call(call, layout, store, plain.clone()),
        Work::Bytes(quantized, work) => {
            kernels::Call::Bytes(Box::new(bytes::pack(quantized, work, call, layout, store)))
        }
    }
}

fn plain_call(call: &Call<'_>, layout: &Layout, store: &Store, plain: Plain) -> kernels::Call {
    let inputs = call.inputs.iter().map(|value| layout.map(value)).collect();
    let output = layout.map(&call.output);
    kernels::Call::Plain(Box::new(PlainCall::new(store.level(), plain, inputs, output)))
}

fn activation(layer: &Layer<'_>) -> kernels::Activation {
    layer.activation.map_or(kernels::Activation::None, crate::kernel_activation)
}

fn all(channels: usize) -> Vec<usize> {
    (0..channels).collect()
}

/// A convolution's input: the pieces of a value, of bytes in whole words where they are the last of a pixel.
fn parts(layout: &Layout, value: &[Place]) -> Vec<Part> {
    let part = |channels: Vec<usize>| Part { map: layout.rounded(&picked(value, &channels)), channels };
    pieces(value).into_iter().map(part).collect()
}
