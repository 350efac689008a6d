//! The pass in which a network becomes one of whole numbers: layer by layer, each rounded and its bias corrected on what the
//! layers before it, already rounded, give it.

use std::borrow::Cow;

use cygnet_graph::{Activation, Graph, Node, NodeId, Op, Role, shape};
use cygnet_kernels::reference::Float;
use cygnet_runtime::RunError;
use cygnet_weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet};

use crate::QuantizeError;
use crate::balance::Readers;
use crate::network::{Network, Stored, Worker, each, numbers_of, plane};
use crate::places::{Group, Places};
use crate::range::{Halves, Method, Samples, grid};
use crate::rounding::{Covariance, Rounded, round};
use crate::survey::Survey;

/// Numbers of a matrix of windows, unless these are too few for a covariance.
const WINDOW_NUMBERS: usize = 1 << 22;

/// Most windows that a covariance is of.
const WINDOWS: usize = 1 << 13;

/// Most inputs of a covariance.
const BLOCK: usize = 1024;

/// Most steps of a bias before it is corrected.
const BIAS_STEPS: f32 = (1 << 28) as f32;

/// A network of whole numbers.
pub(crate) struct Quantized {
    /// It, in floating point that is rounded where it is.
    pub(crate) network: Network,
    pub(crate) grids: Vec<Option<Grid>>,
    pub(crate) weights: WeightSet,
    pub(crate) record: Quantization,
}

/// The grids of all values that have one.
pub(crate) fn grids(
    graph: &Graph,
    weights: &WeightSet,
    places: &Places,
    survey: &Survey,
    method: Option<Method>,
    threads: usize,
) -> Result<Quantization, QuantizeError> {
    let found = |group: &Group, limits: [f32; 2]| {
        let limited = |half: &Samples| half.clone().limited(limits);
        let all: Vec<Halves> = group
            .values
            .iter()
            .flat_map(|id| &survey.samples[id.0])
            .map(|[even, odd]| [limited(even), limited(odd)])
            .collect();
        let readers: Vec<Readers> =
            group.values.iter().map(|value| Readers::of(graph, weights, places, *value)).collect();
        let importance: Vec<f64> = readers.iter().flat_map(|readers| readers.importance.clone()).collect();
        let mut grid = grid(&all, &importance, limits, group.one_scale, method);
        if let ([readers], false) = (&readers[..], group.one_scale) {
            readers.balance(&all, &mut grid);
        }
        grid
    };
    record_of(graph, places, threads, found)
}

/// The grids of all values that have one, as far as they were seen to reach.
pub(crate) fn ranges(
    graph: &Graph,
    places: &Places,
    survey: &Survey,
    threads: usize,
) -> Result<Quantization, QuantizeError> {
    let found = |group: &Group, limits: [f32; 2]| {
        let seen = group.values.iter().flat_map(|id| &survey.samples[id.0]);
        let ends = |[even, odd]: &Halves| {
            [even, odd].map(|half| Samples { sorted: Vec::new(), ends: half.ends }.limited(limits))
        };
        let all: Vec<Halves> = seen.map(ends).collect();
        grid(&all, &[], limits, group.one_scale, Some(Method::MinMax))
    };
    record_of(graph, places, threads, found)
}

/// The record of values, with the grid that is found for each group of them within its limits.
fn record_of(
    graph: &Graph,
    places: &Places,
    threads: usize,
    found: impl Fn(&Group, [f32; 2]) -> Grid + Sync,
) -> Result<Quantization, QuantizeError> {
    let readers = graph.readers();
    let mut items: Vec<&Group> = places.groups.iter().collect();
    let grids = each(
        threads,
        &mut items,
        || (),
        |(), _, group| Ok::<Grid, QuantizeError>(found(group, limits(graph, &readers, group.values[0]))),
    )?;
    let mut record = Quantization::default();
    for (group, Grid { zero, scales }) in places.groups.iter().zip(grids) {
        let mut first = 0;
        for value in &group.values {
            let channels = graph.node(*value).shape[0];
            let own = if group.one_scale { scales.clone() } else { scales[first..first + channels].to_vec() };
            first += channels;
            record.values.insert(*value, Grid { zero, scales: own });
        }
    }
    Ok(record)
}

/// The least scale of an output: a filter of next to no weights would make its bias more steps than an integer has.
pub(crate) fn least_scale(bias: f32) -> f32 {
    bias.abs() / BIAS_STEPS
}

/// Limits beyond which a value does not go, or makes no difference to the one function that reads it.
fn limits(graph: &Graph, readers: &[Vec<NodeId>], id: NodeId) -> [f32; 2] {
    if let Op::Activation { function: Activation::Clamp { low, high } } = &graph.node(id).op {
        return [*low, *high];
    }
    let all = [f32::NEG_INFINITY, f32::INFINITY];
    let [reader] = readers[id.0][..] else { return all };
    let Op::Activation { function } = &graph.node(reader).op else { return all };
    match *function {
        Activation::HardSwish => [-3.0, f32::INFINITY],
        Activation::HardSigmoid { scale, shift, high, .. } if scale > 0.0 => {
            [-shift / scale, (high - shift) / scale]
        }
        Activation::HardSigmoid { .. }
        | Activation::Clamp { .. }
        | Activation::Sigmoid
        | Activation::Swish => all,
    }
}

/// The values of an image, by node, from when they are computed until nobody reads them any more.
type Passing = Vec<Option<Stored>>;

/// The pass over a network, for all images at once.
struct Pass<'a> {
    graph: &'a Graph,
    places: &'a Places,
    survey: &'a Survey,
    threads: usize,
    quantized: Quantized,
    passing: Vec<Passing>,
}

impl Quantized {
    /// Quantises a folded network; the answers for all images come with it.
    pub(crate) fn new(
        network: Network,
        weights: &WeightSet,
        places: &Places,
        survey: &Survey,
        record: Quantization,
        images: &[Vec<f32>],
        threads: usize,
    ) -> Result<(Quantized, Vec<Vec<f32>>), QuantizeError> {
        let graph = network.graph.clone();
        let grids = record.grids(&graph);
        let quantized = Quantized { network, grids, weights: weights.clone(), record };
        let passing = images.iter().map(|_| vec![None; graph.nodes().len()]).collect();
        let mut pass = Pass { graph: &graph, places, survey, threads, quantized, passing };
        let last_uses = pass.last_uses();
        for (id, node) in graph.iter() {
            if places.is_layer[id.0] {
                pass.round_layer(id, node)?;
            }
            if places.is_inside[id.0] {
                continue;
            }
            let values = pass.values(id, images)?;
            for (passing, value) in pass.passing.iter_mut().zip(values) {
                passing[id.0] = Some(value);
                let read = passing.iter_mut().zip(&last_uses).filter(|(_, last)| **last == id.0);
                read.for_each(|(value, _)| *value = None);
            }
        }
        let (output, quantized) = (graph.output(), pass.quantized);
        let grid = quantized.grids[output.0].as_ref();
        let numbers = |passing: Passing| {
            let value =
                passing[output.0].as_ref().map(|value| value.numbers(grid, plane(graph.node(output))));
            value.map(Cow::into_owned).unwrap_or_default()
        };
        let outputs = pass.passing.into_iter().map(numbers).collect();
        Ok((quantized, outputs))
    }

    /// The value of a node before it is rounded.
    fn value(
        &self,
        worker: &mut Worker,
        id: NodeId,
        passing: &[Option<Stored>],
    ) -> Result<Vec<f32>, RunError> {
        let graph = &self.network.graph;
        let mut inputs: Vec<Cow<'_, [f32]>> = Vec::new();
        for &input in &graph.node(id).inputs {
            inputs.push(match &passing[input.0] {
                Some(value) => value.numbers(self.grids[input.0].as_ref(), plane(graph.node(input))),
                // It is inside a chain.
                None => self.value(worker, input, passing)?.into(),
            });
        }
        let inputs: Vec<&[f32]> = inputs.iter().map(AsRef::as_ref).collect();
        self.network.value(worker, id, &inputs)
    }
}

impl Pass<'_> {
    /// The values of a node for all images.
    fn values(&self, id: NodeId, images: &[Vec<f32>]) -> Result<Vec<Stored>, RunError> {
        let (node, grid) = (self.graph.node(id), self.quantized.grids[id.0].as_ref());
        let mut items: Vec<usize> = (0..images.len()).collect();
        let own = || self.quantized.network.worker();
        each(self.threads, &mut items, own, |worker, index, _| {
            let numbers = if node.op == Op::Input {
                images[index].clone()
            } else {
                self.quantized.value(worker, id, &self.passing[index])?
            };
            Ok(Stored::new(numbers, grid, plane(node)))
        })
    }

    /// For each node, the last one that reads it, itself or through what is inside.
    fn last_uses(&self) -> Vec<usize> {
        let count = self.graph.nodes().len();
        let mut last = vec![0; count];
        let mut ends: Vec<usize> = (0..count).collect();
        for (id, node) in self.graph.iter().collect::<Vec<_>>().into_iter().rev() {
            if self.places.is_inside[id.0] {
                ends[id.0] = last[id.0];
            }
            node.inputs.iter().for_each(|input| last[input.0] = last[input.0].max(ends[id.0]));
        }
        self.graph.outputs().iter().for_each(|output| last[output.node.0] = count);
        last
    }

    fn round_layer(&mut self, id: NodeId, node: &Node) -> Result<(), QuantizeError> {
        let input = node.inputs[0];
        let input_node = self.graph.node(input);
        let Some(grid) = self.quantized.grids[input.0].clone() else { return Ok(()) };
        let [real, bias] =
            [Role::Weight, Role::Bias].map(|role| numbers_of(self.graph, &self.quantized.weights, id, role));
        let outputs = node.shape[0];
        let terms = real.len() / outputs;
        let (groups, taps) = if let Op::Conv(conv) = &node.op {
            (conv.groups, conv.kernel[0] * conv.kernel[1])
        } else {
            (1, plane(input_node))
        };
        let group_in = input_node.shape[0] / groups;
        let scale = |index: usize| -> f64 {
            let group = index / terms / (outputs / groups);
            grid.scale(group * group_in + index % terms / taps).into()
        };
        let steps: Vec<f64> = real.iter().enumerate().map(|(i, &w)| f64::from(w) * scale(i)).collect();
        let least: Vec<f32> = bias.iter().map(|&bias| least_scale(bias)).collect();
        let covariances = self.covariances(node, groups, taps, &grid);
        let per_group = outputs / groups;
        let mut items: Vec<usize> =
            if groups == 1 { rows(outputs, self.threads) } else { (0..groups).collect() };
        let per_item = if groups == 1 { outputs.div_ceil(items.len()) } else { per_group };
        let rounded = each(
            self.threads,
            &mut items,
            || (),
            |(), index, _| {
                let first = index * per_item;
                let count = per_item.min(outputs - first);
                let group = if groups == 1 { 0 } else { index };
                Ok::<Rounded, QuantizeError>(round(
                    &steps[first * terms..][..count * terms],
                    &covariances[group],
                    &least[first..first + count],
                ))
            },
        )?;
        let integers: Vec<i8> = rounded.iter().flat_map(|rounded| &rounded.integers).copied().collect();
        let scales: Vec<f32> = rounded.into_iter().flat_map(|rounded| rounded.scales).collect();
        let back = |(i, &q): (usize, &i8)| (f64::from(q) * f64::from(scales[i / terms]) / scale(i)) as f32;
        let simulated: Vec<f32> = integers.iter().enumerate().map(back).collect();
        self.quantized.network.set_layer(id, &simulated, &bias)?;
        let bias = self.corrected(id, node, bias)?;
        self.quantized.network.set_layer(id, &simulated, &bias)?;
        let params = self.graph.node_params(id);
        for param in params {
            let tensor = if param.role == Role::Weight {
                let grid = WeightGrid { scales: scales.clone(), zeros: Vec::new() };
                self.quantized.record.weights.insert(param.name.clone(), grid);
                let bytes = integers.iter().map(|q| q.cast_unsigned()).collect();
                Tensor::new(param.shape, Dtype::I8, bytes).expect("of this size")
            } else {
                Tensor::from_numbers(param.shape, bias.clone()).expect("of this size")
            };
            self.quantized.weights.insert(param.name, tensor);
        }
        Ok(())
    }

    /// A bias by which the mean of every channel is what it was in floating point.
    fn corrected(&self, id: NodeId, node: &Node, bias: Vec<f32>) -> Result<Vec<f32>, QuantizeError> {
        let plane = plane(node);
        let mut items: Vec<usize> = (0..self.passing.len()).collect();
        let sums = each(
            self.threads,
            &mut items,
            || self.quantized.network.worker(),
            |worker, index, _| {
                let value = self.quantized.value(worker, id, &self.passing[index])?;
                let mean = |channel: &[f32]| f64::from(channel.iter().sum::<f32>()) / plane as f64;
                Ok::<_, RunError>(value.chunks_exact(plane).map(mean).collect::<Vec<f64>>())
            },
        )?;
        let wanted = &self.survey.means[id.0];
        let mean = |c: usize| sums.iter().map(|sums| sums[c]).sum::<f64>() / sums.len() as f64;
        Ok(bias.iter().enumerate().map(|(c, &bias)| (f64::from(bias) + wanted[c] - mean(c)) as f32).collect())
    }

    /// The covariances of a layer's inputs, in steps: for each group, one a block of its inputs.
    fn covariances(&self, node: &Node, groups: usize, taps: usize, grid: &Grid) -> Vec<Vec<Covariance>> {
        let input = node.inputs[0];
        let channels = self.graph.node(input).shape[0];
        let columns = channels * taps;
        let images = self.passing.len().max(1);
        let least = 2 * (columns / groups).clamp(256, BLOCK);
        let windows = (WINDOW_NUMBERS / columns).clamp(least, WINDOWS);
        let is_conv = matches!(node.op, Op::Conv(_));
        let places = if is_conv { plane(node) } else { 1 };
        let per_image = windows.div_ceil(images).min(places);
        // Column by column, all windows of an input.
        let count = per_image * self.passing.len();
        let mut matrix = vec![0.0f32; columns * count];
        for (index, passing) in self.passing.iter().enumerate() {
            let Some(Stored::Bytes(bytes)) = &passing[input.0] else { continue };
            for i in 0..per_image {
                let offset = index.wrapping_mul(0x9e37_79b1) % places;
                let place = (i * places / per_image + offset) % places;
                let window = index * per_image + i;
                self.window(node, place, |column, byte| {
                    let steps = byte.map_or(0.0, |at| f32::from(bytes[at]) - f32::from(grid.zero));
                    matrix[column * count + window] = steps;
                });
            }
        }
        for column in matrix.chunks_exact_mut(count.max(1)) {
            let mean = column.iter().sum::<f32>() / count as f32;
            column.iter_mut().for_each(|x| *x -= mean);
        }
        let group_columns = columns / groups;
        let channels_in_block = (BLOCK / taps).max(1);
        let block = (channels_in_block * taps).min(group_columns);
        let starts =
            |group: usize| (0..group_columns).step_by(block).map(move |first| group * group_columns + first);
        let covariance = |group: usize, first: usize| {
            let size = block.min((group + 1) * group_columns - first);
            covariance(&matrix[first * count..][..size * count], size, count)
        };
        let mut items: Vec<usize> = (0..groups).collect();
        let each = each(
            self.threads,
            &mut items,
            || (),
            |(), group, _| {
                Ok::<_, QuantizeError>(
                    starts(group).map(|first| covariance(group, first)).collect::<Vec<_>>(),
                )
            },
        );
        each.unwrap_or_default()
    }

    /// Tells for each input of a window which number of the layer's input it is, or that it is padding.
    fn window(&self, node: &Node, place: usize, mut tell: impl FnMut(usize, Option<usize>)) {
        let input = &self.graph.node(node.inputs[0]).shape;
        let Op::Conv(conv) = &node.op else {
            (0..input.iter().product()).for_each(|i| tell(i, Some(i)));
            return;
        };
        let (channels, height, width) = (input[0], input[1], input[2]);
        let pads =
            shape::pad_amounts(conv.set_padding(), [height, width], conv.kernel, conv.stride, conv.dilation);
        let columns = node.shape[2];
        let corner = [place / columns * conv.stride[0], place % columns * conv.stride[1]];
        let mut column = 0;
        for channel in 0..channels {
            for ky in 0..conv.kernel[0] {
                for kx in 0..conv.kernel[1] {
                    let y =
                        (corner[0] + ky * conv.dilation[0]).checked_sub(pads[0][0]).filter(|&y| y < height);
                    let x =
                        (corner[1] + kx * conv.dilation[1]).checked_sub(pads[1][0]).filter(|&x| x < width);
                    tell(column, y.zip(x).map(|(y, x)| (channel * height + y) * width + x));
                    column += 1;
                }
            }
        }
    }
}

/// Outputs in as many parts as pay.
fn rows(outputs: usize, threads: usize) -> Vec<usize> {
    let part = outputs.div_ceil(threads.max(1));
    (0..outputs.div_ceil(part)).collect()
}

fn covariance(columns: &[f32], size: usize, count: usize) -> Covariance {
    let mut turned = vec![0.0f32; columns.len()];
    for (i, column) in columns.chunks_exact(count).enumerate() {
        column.iter().enumerate().for_each(|(window, &x)| turned[window * size + i] = x);
    }
    let mut products = vec![0.0f32; size * size];
    f32::gemm([size, count, size], columns, &turned, &mut products, size);
    let values = products.iter().map(|&x| f64::from(x) / count as f64).collect();
    Covariance { size, values, seen: count }
}
