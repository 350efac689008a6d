//! Calls over bytes: factors from grid to grid, and weights of whole numbers.

use cygnet_kernels::{
    ByteCall, ByteConv, ByteDepthwise, ByteGate, ByteMax, ByteMean, ByteScale, ByteTable, ByteWeights,
    Ending, Map, Mean, Pooling, Quantise, Store, Table, Term, ToBytes,
};
use cygnet_weights::Grid;

use super::{all, parts};
use crate::Chain;
use crate::integers::{clamp_bytes, inverse, ratio};
use crate::plan::layout::Layout;
use crate::plan::pools::pixels;
use crate::plan::quantized::{Integers, Quantized};
use crate::plan::steps::{ByteChain, ByteWork, Call};

/// Makes a call over bytes.
pub(super) fn pack(
    of: &Quantized<'_>,
    work: &ByteWork<'_>,
    call: &Call<'_>,
    layout: &Layout,
    store: &mut Store,
) -> ByteCall {
    let level = of.level();
    let output = layout.map(&call.output);
    let input = || layout.map(&call.inputs[0]);
    let term = call.inputs.get(1).map(|value| layout.map(value));
    match work {
        ByteWork::Dense { chain, window, outputs, of: all } => {
            let channels: Vec<usize> = outputs.clone().collect();
            let layer = of.integers(chain.chain.head, *all, &channels);
            let ending = Lists::of_layer(of, chain, &layer.scale, &channels);
            let (inputs, parts) = (call.inputs[0].len(), parts(layout, &call.inputs[0]));
            let data = weights(of, chain.chain, &layer, inputs);
            let ending = ending.ending(term);
            ByteCall::Conv(ByteConv::new(store, level, *window, &parts, data, output, ending))
        }
        ByteWork::Depthwise { chain, window, channels, of: all } => {
            let layer = of.integers(chain.chain.head, *all, channels);
            let ending = Lists::of_layer(of, chain, &layer.scale, channels);
            let data = weights(of, chain.chain, &layer, 1);
            let (input, ending) = (input(), ending.ending(term));
            ByteCall::Depthwise(ByteDepthwise::new(store, level, *window, input, data, output, ending))
        }
        ByteWork::Add { chain } => {
            let [left, right] = [0, 1].map(|input| of.grid_of(of.input(chain.head, input)));
            let channels = all(output.channels);
            let scales: Vec<f32> = channels.iter().map(|&c| left.scale(c)).collect();
            let ending = Lists::new(of, chain, &scales, Some(right), &channels);
            let ending = ending.ending(term);
            ByteCall::Scale(ByteScale::new(store, level, input(), left.zero, output, ending))
        }
        ByteWork::Table { id } => {
            let bytes = of.table(*id);
            let table = Table { bytes: &bytes, zero: of.grid_of(*id).zero };
            ByteCall::Table(ByteTable::new(store, level, input(), table, output))
        }
        ByteWork::Copy { id } => {
            ByteCall::Table(ByteTable::copy(level, input(), of.grid_of(*id).zero, output))
        }
        ByteWork::Gate { id, scaled } => {
            let [from, to] = [*scaled, *id].map(|id| of.grid_of(id));
            let scale: Vec<f32> = (0..output.channels).map(|c| ratio(from.scale(c), to.scale(c))).collect();
            let maps = [input(), layout.map(&call.inputs[1])];
            ByteCall::Gate(ByteGate::new(store, level, maps, [from.zero, to.zero], &scale, output))
        }
        ByteWork::Pool { id, channels, pool } => {
            let from = of.grid_of(of.input(*id, 0));
            let (pixels, pooling) = pixels(pool);
            let Pooling::Mean { count_pad } = pooling else {
                return ByteCall::Max(ByteMax::new(level, pixels, input(), from.zero, output));
            };
            let scale = scales(from, channels);
            let to = of.grid(*id).map(|to| (to.zero, scales(to, channels)));
            let to = to.as_ref().map(|(zero, scale)| (*zero, &scale[..]));
            let mean = Mean { count_pad, zero: from.zero, scale: &scale, to };
            ByteCall::Mean(ByteMean::new(store, level, pixels, input(), output, mean))
        }
        ByteWork::Quantize { id, channels } => {
            let grid = of.grid_of(*id);
            let inverse: Vec<f32> = channels.iter().map(|&c| inverse(grid.scale(c))).collect();
            let inputs: Vec<Map> = call.inputs.iter().map(|value| layout.map(value)).collect();
            let output = layout.rounded(&call.output);
            ByteCall::Quantise(Quantise::new(store, level, inputs, &inverse, grid.zero, output))
        }
        ByteWork::Dequantize { id, channels } => {
            let grid = of.grid_of(*id);
            let ending = Ending::Floats { scale: &scales(grid, channels) };
            ByteCall::Scale(ByteScale::new(store, level, input(), grid.zero, output, ending))
        }
    }
}

fn scales(grid: &Grid, channels: &[usize]) -> Vec<f32> {
    channels.iter().map(|&c| grid.scale(c)).collect()
}

fn weights<'a>(of: &Quantized<'_>, chain: &Chain, layer: &'a Integers, inputs: usize) -> ByteWeights<'a> {
    let zero = of.grid_of(of.input(chain.head, 0)).zero;
    ByteWeights { weight: &layer.weight, bias: &layer.bias, inputs, zero }
}

/// What the sums of a chain's first node become, with an entry for each of some channels.
struct Lists {
    /// Factors to the grid of the chain's end, or to real numbers.
    scale: Vec<f32>,
    end: Option<End>,
}

/// What there is to know of a chain's end that is on a grid.
struct End {
    zero: u8,
    /// The zero point of what is added, and factors.
    term: Option<(u8, Vec<f32>)>,
    limits: Option<[Vec<u8>; 2]>,
    /// A function of bytes, and the zero point of its grid.
    table: Option<([u8; 256], u8)>,
}

impl Lists {
    fn of_layer(of: &Quantized<'_>, layer: &ByteChain<'_>, scales: &[f32], channels: &[usize]) -> Lists {
        let term = layer.chain.sum.map(|sum| of.grid_of(sum.other));
        let mut lists = Lists::new(of, layer.chain, scales, term, channels);
        if let Some(end) = &mut lists.end {
            end.table = layer.table.map(|id| (of.table(id), of.grid_of(id).zero));
        }
        lists
    }

    /// Those of a chain whose sums count steps of some `scales`, to which a value on the grid `term` is added.
    fn new(
        of: &Quantized<'_>,
        chain: &Chain,
        scales: &[f32],
        term: Option<&Grid>,
        channels: &[usize],
    ) -> Lists {
        let Some(grid) = of.grid(chain.end) else { return Lists { scale: scales.to_vec(), end: None } };
        let factors = |term: &Grid| channels.iter().map(|&c| ratio(term.scale(c), grid.scale(c))).collect();
        let function = chain.clamp.and_then(|id| of.function(id));
        let limits = function.map(|function| {
            let bytes = |limit: usize| channels.iter().map(move |&c| clamp_bytes(function, grid, c)[limit]);
            [0, 1].map(|limit| bytes(limit).collect())
        });
        let end =
            End { zero: grid.zero, term: term.map(|term| (term.zero, factors(term))), limits, table: None };
        let scale = channels.iter().zip(scales).map(|(&c, &scale)| ratio(scale, grid.scale(c))).collect();
        Lists { scale, end: Some(end) }
    }

    /// As kernels take it; `map` is where what is added lies.
    fn ending(&self, map: Option<Map>) -> Ending<'_> {
        let Lists { scale, end } = self;
        let Some(End { zero, term, limits, table }) = end else { return Ending::Floats { scale } };
        let term = map.zip(term.as_ref()).map(|(map, (zero, scale))| Term { map, zero: *zero, scale });
        let limits = limits.as_ref().map(|[low, high]| [&low[..], &high[..]]);
        let table = table.as_ref().map(|(bytes, zero)| Table { bytes, zero: *zero });
        Ending::Bytes(ToBytes { scale, zero: *zero, term, limits, table })
    }
}
