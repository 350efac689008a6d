//! The record of a network that computes with whole numbers: which values are bytes, and what the bytes of values and
//! weights stand for. The graph stays as it is; no arithmetic.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use cygnet_graph::{Graph, IdMap, NodeId, Op, Param, PoolKind, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{Dtype, Tensor, Tensors, WeightSet};

/// Scales that a record may have. No product or quotient that is made of them in arithmetic leaves the range of `f32`.
pub const SCALES: RangeInclusive<f32> = 1.0 / (1u64 << 40) as f32..=(1u64 << 40) as f32;

/// What the bytes of a value stand for: byte `q` of channel `c` for `(q - zero) * scale(c)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The byte that stands for 0.
    pub zero: u8,
    /// One for all channels, or one for each.
    pub scales: Vec<f32>,
}

impl Grid {
    /// The grid of a value whose channels share a scale.
    #[must_use]
    pub fn of_one(zero: u8, scale: f32) -> Grid {
        Grid { zero, scales: vec![scale] }
    }

    /// The distance between neighbours in a channel.
    #[must_use]
    pub fn scale(&self, channel: usize) -> f32 {
        if let [scale] = self.scales[..] { scale } else { self.scales[channel] }
    }

    /// The only scale, if it is that of all channels.
    #[must_use]
    pub fn shared_scale(&self) -> Option<f32> {
        let (first, rest) = self.scales.split_first()?;
        rest.iter().all(|scale| scale == first).then_some(*first)
    }
}

/// What the integers of a layer's weights stand for: integer `q` in output `o` and input channel `c` for
/// `(q - zero(o)) * scale(o) / s(c)`, where `s(c)` is the scale of the layer's input if that is on a grid, else 1.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGrid {
    /// One for each output.
    pub scales: Vec<f32>,
    /// The integer that stands for 0: none (it is 0), one for all outputs, or one for each. Only unsigned weights have some.
    pub zeros: Vec<u8>,
}

impl WeightGrid {
    /// The integer that stands for 0 in an output.
    #[must_use]
    pub fn zero(&self, output: usize) -> u8 {
        match self.zeros[..] {
            [] => 0,
            [zero] => zero,
            _ => self.zeros[output],
        }
    }
}

/// Which values and weights of a network are integers, and what these stand for.
///
/// A layer whose weights are integers and whose input is on a grid computes with whole numbers; every other one computes with
/// what its integers stand for. Views ([`Facts::is_view`](cygnet_graph::Facts::is_view)) and maximum pooling have no grid
/// here: theirs is that of what they read, see [`Quantization::grids`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantization {
    /// Grids by the node whose value they are for.
    pub values: BTreeMap<NodeId, Grid>,
    /// Grids of weights by the name of the parameter, for example `features.0.0.weight`.
    pub weights: BTreeMap<String, WeightGrid>,
}

/// Why a record of quantisation is not one of a network and its weights.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum BadQuantization {
    /// It is not of the form of a record.
    #[error("damaged record of quantisation: {0}")]
    Form(String),
    /// A value is that of no node.
    #[error("a grid for node {node}, but the graph has {nodes}")]
    NoNode {
        /// The node.
        node: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// Two grids for one value.
    #[error("{place}: two grids for one value")]
    Twice {
        /// Where the value is.
        place: String,
    },
    /// A grid for a value that has that of what it is made of.
    #[error("{place}: its grid is that of what it reads; the record must not have one")]
    Follows {
        /// Where the value is.
        place: String,
    },
    /// A zero point that is no byte.
    #[error("{place}: zero point {zero}, which is not from 0 to 255")]
    ZeroPoint {
        /// Where the value is.
        place: String,
        /// What the record says.
        zero: i64,
    },
    /// A wrong number of scales or zero points.
    #[error("{place}: {given} {what} for {wanted} channels")]
    Count {
        /// Where the value or which parameter it is.
        place: String,
        /// Scales or zero points.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many there are channels.
        wanted: usize,
    },
    /// A scale by which nothing can be computed.
    #[error("{place}: scale {scale} of channel {channel}, which is not from {:e} to {:e}", SCALES.start(), SCALES.end())]
    Scale {
        /// Where the value or which parameter it is.
        place: String,
        /// The channel.
        channel: usize,
        /// What the record says.
        scale: f32,
    },
    /// Integers without a scale, or a scale without integers.
    #[error("{name}: {reason}")]
    Weights {
        /// The parameter.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Sums that could leave 32 bits.
    #[error("{name}: its sums could leave 32 bits; keep this layer in floating point")]
    Wide {
        /// The parameter.
        name: String,
    },
}

/// A record as a model file's metadata have it; scales are tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    values: Vec<ValueForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueForm {
    node: usize,
    #[serde(rename = "type")]
    element: Element,
    zero: i64,
    scales: usize,
}

/// The types that a value may have in memory, beside that of all others.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Element {
    U8,
}

/// The tensor of all grids' scales, in the order of the record.
const SCALES_NAME: &str = "quantization.scales";

fn scale_name(weight: &str) -> String {
    format!("{weight}_scale")
}

fn zero_name(weight: &str) -> String {
    format!("{weight}_zero")
}

impl Quantization {
    /// Whether the grid of an operator's value is that of what it reads: of views and of maximum pooling.
    #[must_use]
    pub fn follows(op: &Op) -> bool {
        op.facts().is_view || matches!(op, Op::Pool(pool) if pool.kind == PoolKind::Max)
    }

    /// The grid of every node's value, in the order of the graph: that of the record, or for views and maximum pooling that of
    /// what they read. Values that are concatenated need the same zero point to stay on a grid.
    ///
    /// The record must be one of the graph: see [`Quantization::check`].
    #[must_use]
    pub fn grids(&self, graph: &Graph) -> Vec<Option<Grid>> {
        let mut grids: Vec<Option<Grid>> = Vec::with_capacity(graph.nodes().len());
        for (id, node) in graph.iter() {
            let read = |input: usize| grids[node.inputs[input].0].clone();
            let channels = |input: usize| graph.node(node.inputs[input]).shape[0];
            let grid = if !Quantization::follows(&node.op) {
                self.values.get(&id).cloned()
            } else {
                match &node.op {
                    Op::Concat => {
                        let joined: Option<Vec<Grid>> = (0..node.inputs.len()).map(read).collect();
                        joined.and_then(|joined| concatenated(&joined, channels))
                    }
                    Op::Slice { start, len } => read(0).map(|grid| slice(grid, *start, *len)),
                    Op::ChannelShuffle { groups } => read(0).map(|grid| shuffled(grid, *groups)),
                    _ => read(0),
                }
            };
            grids.push(grid);
        }
        grids
    }

    /// The record for `graph`, which was made of the record's own: grids of the values that are still there, in their `places`,
    /// and of the weights of layers that are. Whoever edits a graph with a record beside it goes through here.
    #[must_use]
    pub fn moved(&self, graph: &Graph, places: &IdMap) -> Quantization {
        let mut values = BTreeMap::new();
        for (&id, grid) in &self.values {
            if let Some(place) = places.get(id) {
                values.entry(place).or_insert_with(|| grid.clone());
            }
        }
        let params = graph.params();
        let weights = params.into_iter().filter_map(|param| self.weights.get_key_value(&param.name));
        let weights = weights.map(|(name, grid)| (name.clone(), grid.clone())).collect();
        Quantization { values, weights }
    }

    /// Checks that it is one of a graph and of the weights that go with it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn check(&self, graph: &Graph, weights: &WeightSet) -> Result<(), BadQuantization> {
        for (&NodeId(node), grid) in &self.values {
            let nodes = graph.nodes().len();
            if node >= nodes {
                return Err(BadQuantization::NoNode { node, nodes });
            }
            let place = place(graph, NodeId(node));
            if Quantization::follows(&graph.node(NodeId(node)).op) {
                return Err(BadQuantization::Follows { place });
            }
            check_scales(&place, &grid.scales, graph.node(NodeId(node)).shape[0], true)?;
        }
        let grids = self.grids(graph);
        let mut known = 0;
        for param in graph.params().into_iter().filter(|param| param.role == Role::Weight) {
            let bad = |reason: String| BadQuantization::Weights { name: param.name.clone(), reason };
            let Some(tensor) = weights.get(&param.name) else {
                return Err(bad("there are no such weights".into()));
            };
            let is_integer = matches!(tensor.dtype(), Dtype::I8 | Dtype::U8);
            let Some(grid) = self.weights.get(&param.name) else {
                if is_integer {
                    return Err(bad(format!("weights of type {} without scales", tensor.dtype())));
                }
                continue;
            };
            known += 1;
            if !is_integer {
                return Err(bad(format!("scales for weights of type {}", tensor.dtype())));
            }
            check_scales(&param.name, &grid.scales, param.shape[0], false)?;
            check_zeros(&param, grid, tensor)?;
            if tensor.dtype() == Dtype::I8 {
                if tensor.bytes().contains(&i8::MIN.to_le_bytes()[0]) {
                    return Err(bad("a weight is -128; they go from -127 to 127".into()));
                }
                if grids[graph.node(param.node).inputs[0].0].is_some() {
                    self.check_sums(graph, weights, &param, grid)?;
                }
            }
        }
        if known < self.weights.len() {
            let is_weight = |name: &str| {
                graph.params().iter().any(|param| param.name == name && param.role == Role::Weight)
            };
            let name = self.weights.keys().find(|name| !is_weight(name)).cloned().unwrap_or_default();
            return Err(BadQuantization::Weights { name, reason: "no layer has such weights".into() });
        }
        Ok(())
    }

    /// Whether no sum of a layer can leave 32 bits, whatever its input.
    fn check_sums(
        &self,
        graph: &Graph,
        weights: &WeightSet,
        param: &Param,
        grid: &WeightGrid,
    ) -> Result<(), BadQuantization> {
        let terms: usize = param.shape[1..].iter().product();
        let largest = terms as f64 * 255.0 * 127.0;
        let bias = weights.of_role(graph, param.node, Role::Bias).map(Tensor::to_f32);
        let bias = bias.as_deref().unwrap_or_default();
        let is_small = |(output, &scale): (usize, &f32)| {
            let bias = f64::from(bias.get(output).copied().unwrap_or_default());
            largest + (bias / f64::from(scale)).abs() < f64::from(i32::MAX)
        };
        if grid.scales.iter().enumerate().all(is_small) {
            Ok(())
        } else {
            Err(BadQuantization::Wide { name: param.name.clone() })
        }
    }

    /// Its form in a model file: a JSON value for the metadata, and tensors of scales and zero points to lie beside the
    /// weights.
    #[must_use]
    pub fn to_file(&self) -> (Value, Tensors) {
        let value = |(&NodeId(node), grid): (&NodeId, &Grid)| ValueForm {
            node,
            element: Element::U8,
            zero: grid.zero.into(),
            scales: grid.scales.len(),
        };
        let form = Form { values: self.values.iter().map(value).collect() };
        let mut tensors = Tensors::new();
        let scales = self.values.values().flat_map(|grid| grid.scales.iter().copied()).collect();
        tensors.insert(SCALES_NAME.into(), narrowest(scales));
        for (name, WeightGrid { scales, zeros }) in &self.weights {
            tensors.insert(scale_name(name), narrowest(scales.clone()));
            if !zeros.is_empty() {
                let zeros = Tensor::new([zeros.len()], Dtype::U8, zeros.clone()).expect("of this size");
                tensors.insert(zero_name(name), zeros);
            }
        }
        (serde_json::to_value(form).expect("plain data"), tensors)
    }

    /// Reads what [`Quantization::to_file`] made, and takes its tensors out of those of the file. Nothing is checked but its
    /// form: see [`Quantization::check`].
    ///
    /// # Errors
    /// What is not of its form, or missing.
    pub fn take(
        record: &Value,
        tensors: &mut Tensors,
        graph: &Graph,
    ) -> Result<Quantization, BadQuantization> {
        let form = Form::deserialize(record).map_err(|error| BadQuantization::Form(error.to_string()))?;
        let scales = tensors.shift_remove(SCALES_NAME);
        let scales = scales.as_ref().map(Tensor::to_f32).unwrap_or_default();
        let mut left = &*scales;
        let mut values = BTreeMap::new();
        for ValueForm { node, element: Element::U8, zero, scales } in form.values {
            let nodes = graph.nodes().len();
            if node >= nodes {
                return Err(BadQuantization::NoNode { node, nodes });
            }
            let place = || place(graph, NodeId(node));
            let Ok(zero) = u8::try_from(zero) else {
                return Err(BadQuantization::ZeroPoint { place: place(), zero });
            };
            let Some((own, rest)) = left.split_at_checked(scales) else {
                let wanted = graph.node(NodeId(node)).shape[0];
                return Err(BadQuantization::Count {
                    place: place(),
                    what: "scales",
                    given: left.len(),
                    wanted,
                });
            };
            left = rest;
            if values.insert(NodeId(node), Grid { zero, scales: own.to_vec() }).is_some() {
                return Err(BadQuantization::Twice { place: place() });
            }
        }
        if !left.is_empty() {
            return Err(BadQuantization::Form(format!("{} scales belong to no value", left.len())));
        }
        let mut weights = BTreeMap::new();
        for param in graph.params().into_iter().filter(|param| param.role == Role::Weight) {
            let Some(scales) = tensors.shift_remove(&scale_name(&param.name)) else { continue };
            let zeros = tensors.shift_remove(&zero_name(&param.name));
            if let Some(zeros) = zeros.as_ref().filter(|zeros| zeros.dtype() != Dtype::U8) {
                let reason = format!("zero points of type {}, not U8", zeros.dtype());
                return Err(BadQuantization::Weights { name: param.name, reason });
            }
            let zeros = zeros.map(|zeros| zeros.bytes().to_vec()).unwrap_or_default();
            weights.insert(param.name, WeightGrid { scales: scales.to_f32().into_owned(), zeros });
        }
        Ok(Quantization { values, weights })
    }
}

/// Where a value is, for messages.
fn place(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    if node.path.is_empty() { format!("node {} ({})", id.0, node.op.name()) } else { node.path.clone() }
}

fn concatenated(grids: &[Grid], channels: impl Fn(usize) -> usize) -> Option<Grid> {
    let zero = grids.first()?.zero;
    if grids.iter().any(|grid| grid.zero != zero) {
        return None;
    }
    let each = |(input, grid): (usize, &Grid)| {
        (0..channels(input)).map(|channel| grid.scale(channel)).collect::<Vec<_>>()
    };
    let joined = Grid { zero, scales: grids.iter().enumerate().flat_map(each).collect() };
    Some(joined.shared_scale().map_or(joined, |scale| Grid::of_one(zero, scale)))
}

fn slice(grid: Grid, start: usize, len: usize) -> Grid {
    if grid.scales.len() == 1 {
        return grid;
    }
    Grid { zero: grid.zero, scales: grid.scales[start..start + len].to_vec() }
}

fn shuffled(grid: Grid, groups: usize) -> Grid {
    if grid.scales.len() == 1 {
        return grid;
    }
    let columns = grid.scales.len() / groups;
    let order = (0..columns).flat_map(|column| (0..groups).map(move |row| row * columns + column));
    Grid { zero: grid.zero, scales: order.map(|channel| grid.scales[channel]).collect() }
}

fn check_scales(place: &str, scales: &[f32], wanted: usize, may_share: bool) -> Result<(), BadQuantization> {
    if scales.len() != wanted && !(may_share && scales.len() == 1) {
        let (place, given) = (place.into(), scales.len());
        return Err(BadQuantization::Count { place, what: "scales", given, wanted });
    }
    match scales.iter().position(|scale| !SCALES.contains(scale)) {
        Some(channel) => Err(BadQuantization::Scale { place: place.into(), channel, scale: scales[channel] }),
        None => Ok(()),
    }
}

fn check_zeros(param: &Param, grid: &WeightGrid, tensor: &Tensor) -> Result<(), BadQuantization> {
    let (name, given, wanted) = (param.name.clone(), grid.zeros.len(), param.shape[0]);
    if tensor.dtype() == Dtype::I8 && given > 0 {
        let reason = "zero points for signed weights, whose zero is 0".into();
        return Err(BadQuantization::Weights { name, reason });
    }
    if tensor.dtype() == Dtype::U8 && given != 1 && given != wanted {
        return Err(BadQuantization::Count { place: name, what: "zero points", given, wanted });
    }
    Ok(())
}

/// A tensor of scales, of half the size where that loses nothing.
fn narrowest(scales: Vec<f32>) -> Tensor {
    let whole = Tensor::from_numbers([scales.len()], scales).expect("of this size");
    let half = whole.as_bf16();
    if half.to_f32() == whole.to_f32() { half } else { whole }
}
