//! Linear maps of an image's numbers that no operator is made for, held as a layer over all of them: of small images, at
//! the end of a network.

use cygnet_graph::Op;

use crate::Reason;
use crate::import::call::{Call, Entry};
use crate::import::view::{Axis, View, axes, product};

/// Most weights of such a layer.
const MAX_WEIGHTS: usize = 1 << 20;

/// A number of the output: what is added to it, and the input's numbers with their factors.
pub(super) type Sum = (f32, Vec<(usize, f32)>);

/// A layer that makes a map of `out` channels, rows and columns, each number of which is a sum.
pub(super) fn dense(
    call: &mut Call,
    base: usize,
    out: [usize; 3],
    spatial: &[Axis],
    sum: impl Fn([usize; 3]) -> Sum,
) -> Result<Vec<Entry>, Reason> {
    let [inputs, outputs] = [product(call.draft.shape(base)), product(&out)];
    if inputs.saturating_mul(outputs) > MAX_WEIGHTS {
        let shape = call.draft.shape(base);
        return Err(Reason::new(format!("it is held for small images only, not for {shape:?} to {out:?}")));
    }
    let (mut weight, mut bias) = (vec![0.0; inputs * outputs], vec![0.0; outputs]);
    for (at, (row, bias)) in weight.chunks_exact_mut(inputs).zip(&mut bias).enumerate() {
        let area = out[1] * out[2];
        let (term, factors) = sum([at / area, at % area / out[2], at % out[2]]);
        *bias = term;
        factors.into_iter().for_each(|(place, factor)| row[place] += factor);
    }
    let has_bias = bias.iter().any(|&term| term != 0.0);
    let params = std::iter::once(weight).chain(has_bias.then_some(bias)).collect();
    let name = call.node.op_type().to_lowercase();
    let base = call.draft.emit_with(Op::Linear { out: outputs, bias: has_bias }, &[base], &name, params)?;
    let atom = |axis: &Axis| match axis {
        Axis::Row => (Axis::Row, out[1], out[2]),
        _ => (Axis::Column, out[2], 1),
    };
    let channels = vec![(Axis::Channel, out[0], out[1] * out[2])];
    let dims = [vec![(Axis::Batch, call.batch, 0)], channels].into_iter();
    Ok(vec![View::of_atoms(base, dims.chain(spatial.iter().map(|axis| vec![atom(axis)]))).into()])
}

/// For each place along an axis of the output, the places of the input that it is made of, with factors.
pub(super) type Mixed = Vec<Vec<(usize, f32)>>;

/// A layer that mixes rows with rows and columns with columns, alike in every channel.
pub(super) fn separable(
    call: &mut Call,
    base: usize,
    spatial: &[Axis],
    mixed: [&Mixed; 2],
    outside: f32,
) -> Result<Vec<Entry>, Reason> {
    let [channels, rows, columns] = axes(call.draft.shape(base));
    let out = [channels, mixed[0].len(), mixed[1].len()];
    dense(call, base, out, spatial, |[channel, row, column]| {
        let place = |row: usize, column: usize| (channel * rows + row) * columns + column;
        let factors: Vec<_> = mixed[0][row]
            .iter()
            .flat_map(|&(row, a)| {
                mixed[1][column].iter().map(move |&(column, b)| (place(row, column), a * b))
            })
            .collect();
        (if factors.is_empty() { outside } else { 0.0 }, factors)
    })
}

/// The transposed convolution: each number of the input adds to the outputs that its window reaches.
pub(crate) fn conv_transpose(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.tracked(0)?;
    let (base, spatial) = call.map(0)?;
    let weight = call.known(1)?.clone();
    let bias = call.constant(2)?.map(|bias| bias.to_floats());
    let [channels, input @ ..] = axes(call.draft.shape(base));
    let [inputs, per_group, height, width] = weight.shape[..] else {
        return Err(Reason::new("only transposed convolutions of two dimensions are held"));
    };
    let groups = usize::try_from(call.int("group", 1)).unwrap_or(0);
    let pair = |name: &str, default: usize| match call.sizes(name)?.as_deref() {
        None | Some([]) => Ok([default; 2]),
        Some(&[rows, columns]) => Ok([rows, columns]),
        Some(_) => Err(Reason::new(format!("{name} has not two numbers"))),
    };
    let (stride, dilation, extra) = (pair("strides", 1)?, pair("dilations", 1)?, pair("output_padding", 0)?);
    let kernel = pair("kernel_shape", 0)?;
    let pads = call.sizes("pads")?.unwrap_or_else(|| vec![0; 4]);
    let auto = call.text("auto_pad", "NOTSET");
    let given = call.sizes("output_shape")?;
    let out_channels = per_group.saturating_mul(groups);
    let sane = |n: &usize| (1..1 << 16).contains(n);
    let fits = inputs == channels
        && groups > 0
        && channels.is_multiple_of(groups)
        && pads.len() == 4
        && bias.as_ref().is_none_or(|bias| bias.len() == out_channels)
        && [[0; 2], [height, width]].contains(&kernel)
        && stride.iter().chain(&dilation).chain(&[height, width]).all(sane)
        && extra.iter().chain(&pads).chain(given.iter().flatten()).all(|n| *n < 1 << 16);
    if !fits {
        return Err(Reason::new(format!("its settings do not fit a weight of {:?}", weight.shape)));
    }
    let (mut out, mut before) = ([0; 2], [0; 2]);
    for axis in 0..2 {
        let reach =
            stride[axis] * (input[axis] - 1) + extra[axis] + ([height, width][axis] - 1) * dilation[axis] + 1;
        let wanted = match (&given, auto.as_str()) {
            (Some(given), _) if given.len() >= 2 => Some(given[given.len() - 2 + axis]),
            (_, "SAME_UPPER" | "SAME_LOWER") => Some(input[axis] * stride[axis]),
            _ => None,
        };
        let total = wanted.map_or(pads[axis] + pads[axis + 2], |wanted| reach.saturating_sub(wanted));
        before[axis] = match wanted {
            None => pads[axis],
            Some(_) if auto == "SAME_UPPER" => total / 2,
            Some(_) => total - total / 2,
        };
        out[axis] = wanted.unwrap_or(reach.saturating_sub(total));
        if out[axis] == 0 {
            return Err(Reason::new("nothing is left between its paddings"));
        }
    }
    let numbers = weight.to_floats();
    let [rows, columns] = input;
    let from = |at: usize, axis: usize, tap: usize| {
        let place = (at + before[axis]).checked_sub(tap * dilation[axis])?;
        let index = place / stride[axis];
        (place.is_multiple_of(stride[axis]) && index < input[axis]).then_some(index)
    };
    dense(call, base, [out_channels, out[0], out[1]], &spatial, |[channel, row, column]| {
        let (group, within) = (channel / per_group, channel % per_group);
        let mut factors = Vec::new();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let (Some(from_row), Some(from_column)) = (from(row, 0, y), from(column, 1, x)) else { continue };
            for input in group * (channels / groups)..(group + 1) * (channels / groups) {
                let factor = numbers[((input * per_group + within) * height + y) * width + x];
                factors.push(((input * rows + from_row) * columns + from_column, factor));
            }
        }
        (bias.as_ref().map_or(0.0, |bias| bias[channel]), factors)
    })
}
