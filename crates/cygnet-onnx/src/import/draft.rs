//! The graph as it grows: operators of the graph with their parameters, before names are settled and rules join them.

use std::collections::HashSet;
use std::sync::Arc;

use cygnet_graph::{Op, Pool, shape};
use cygnet_weights::Grid;

use super::view::{Axis, Part, View, axes};
use crate::Reason;

/// A node of the draft.
#[derive(Clone, Debug)]
pub(crate) struct DraftNode {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<usize>,
    pub(crate) shape: Vec<usize>,
    /// Wanted as its path; settled when the graph is made.
    pub(crate) name: String,
    /// Numbers of its parameters, in the order of the operator's.
    pub(crate) params: Vec<Vec<f32>>,
    /// Scales that the file has for the weights and the bias.
    pub(crate) scales: LayerScales,
    /// To what its value is rounded, or that of what it is made of.
    pub(crate) grid: Option<Grid>,
}

/// What is kept of bytes while a draft grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bytes {
    /// Names of the file that several operators read.
    pub(crate) shared: HashSet<String>,
    /// Why there will be no record.
    pub(crate) obstacle: Option<String>,
}

/// Scales that came with a layer: of its weights, and of its bias.
pub(crate) type LayerScales = [Option<Arc<Vec<f32>>>; 2];

/// Nodes in order; the first is the image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) nodes: Vec<DraftNode>,
    /// What is known of bytes, if values are to be rounded.
    pub(crate) bytes: Option<Bytes>,
}

/// Most nodes of a draft.
const MAX_NODES: usize = 1 << 16;
/// Most channels of a value.
const MAX_CHANNELS: usize = 1 << 22;
/// Nodes among which the same one is looked for.
const RECENT: usize = 64;
/// Most runs of channels that are cut out one by one.
const MAX_RUNS: usize = 64;

impl Draft {
    /// A draft that is an image only.
    pub(crate) fn of(image: [usize; 3]) -> Draft {
        let (inputs, params) = (Vec::new(), Vec::new());
        let (name, scales) = (String::new(), LayerScales::default());
        let shape = image.to_vec();
        let input = DraftNode { op: Op::Input, inputs, shape, name, params, scales, grid: None };
        Draft { nodes: vec![input], bytes: None }
    }

    pub(crate) fn shape(&self, node: usize) -> &[usize] {
        &self.nodes[node].shape
    }

    /// Adds a node without parameters.
    pub(crate) fn emit(&mut self, op: Op, inputs: &[usize]) -> Result<usize, Reason> {
        self.emit_with(op, inputs, "", Vec::new())
    }

    /// Adds a node with parameters, in the order of the operator's, and the name that it should have.
    pub(crate) fn emit_with(
        &mut self,
        op: Op,
        inputs: &[usize],
        name: &str,
        params: Vec<Vec<f32>>,
    ) -> Result<usize, Reason> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|&input| self.shape(input)).collect();
        let shape = shape::infer(&op, &shapes).map_err(|problem| Reason::new(problem.to_string()))?;
        if self.nodes.len() >= MAX_NODES || shape[0] > MAX_CHANNELS {
            return Err(Reason::new("the graph grows larger than any network"));
        }
        // The same of the same, as where both halves of shuffled channels are taken, is computed once.
        let recent = self.nodes.iter().enumerate().rev().take(RECENT);
        let mut same = recent.filter(|(_, node)| params.is_empty() && node.inputs == inputs && node.op == op);
        if let Some((found, _)) = same.find(|(_, node)| node.params.is_empty()) {
            return Ok(found);
        }
        let (inputs, name, scales) = (inputs.to_vec(), name.into(), LayerScales::default());
        self.nodes.push(DraftNode { op, inputs, shape, name, params, scales, grid: None });
        Ok(self.nodes.len() - 1)
    }

    /// The same tensor in a value that holds nothing else, whose channels come in the order in which the tensor's
    /// dimensions name them.
    pub(crate) fn packed(&mut self, view: &View) -> Result<View, Reason> {
        let shape = self.shape(view.base).to_vec();
        let cannot = || Reason::new("its input is rearranged in a way that only moves numbers, not channels");
        let (dims, at) = view.parts(&shape).ok_or_else(cannot)?;
        let [channels, rows, columns] = axes(&shape);
        let of = |axis: Axis| dims.iter().flatten().filter(move |part| part.axis == axis);
        let mut base = view.base;
        let mut steps = [1, 1];
        for (i, (axis, extent)) in [(Axis::Row, rows), (Axis::Column, columns)].into_iter().enumerate() {
            let parts: Vec<&Part> = of(axis).collect();
            match parts[..] {
                [] if extent == 1 => {}
                [part] if at[i + 1] == 0 && part.size == extent.div_ceil(part.step) => steps[i] = part.step,
                _ => {
                    return Err(Reason::new(
                        "it reads a part of an image's rows or columns, or in another order",
                    ));
                }
            }
        }
        if steps != [1, 1] {
            base = self.emit(Op::Pool(Pool { stride: steps, ..Pool::max(1, 1) }), &[base])?;
        }
        let mut order = vec![at[0]];
        for part in of(Axis::Channel) {
            let steps = |channel: usize| (0..part.size).map(move |step| channel + step * part.step);
            order = order.into_iter().flat_map(steps).collect();
        }
        if order.iter().any(|&channel| channel >= channels) {
            return Err(cannot());
        }
        let base = self.selected(base, &order)?;
        Ok(View::of_parts(base, self.shape(base), &dims))
    }

    /// A value of these channels of another.
    pub(crate) fn selected(&mut self, base: usize, order: &[usize]) -> Result<usize, Reason> {
        let channels = axes(self.shape(base))[0];
        let slice = |draft: &mut Draft, base: usize, start: usize| {
            if (start, order.len()) == (0, channels) {
                return Ok(base);
            }
            draft.emit(Op::Slice { start, len: order.len() }, &[base])
        };
        if let Some(start) = start_in(order, 0..channels) {
            return slice(self, base, start);
        }
        for groups in (2..channels).filter(|groups| channels.is_multiple_of(*groups)) {
            let columns = channels / groups;
            let shuffled = (0..columns).flat_map(|column| (0..groups).map(move |row| row * columns + column));
            if let Some(start) = start_in(order, shuffled) {
                let shuffled = self.emit(Op::ChannelShuffle { groups }, &[base])?;
                return slice(self, shuffled, start);
            }
        }
        let runs: Vec<&[usize]> = order.chunk_by(|a, b| a + 1 == *b).collect();
        if runs.len() > MAX_RUNS {
            let reason =
                format!("it takes channels apart in {} pieces; at most {MAX_RUNS} are held", runs.len());
            return Err(Reason::new(reason));
        }
        let cut = |run: &[usize]| self.emit(Op::Slice { start: run[0], len: run.len() }, &[base]);
        let pieces = runs.into_iter().map(cut).collect::<Result<Vec<_>, _>>()?;
        self.emit(Op::Concat, &pieces)
    }

    /// For each node, how many others read it.
    pub(crate) fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).for_each(|&input| readers[input] += 1);
        readers
    }

    /// Makes a vector a map of one row and column, by convolutions in the place of the linear layers that made it.
    /// Whether that could be done.
    pub(crate) fn widen(&mut self, node: usize) -> bool {
        let mut made = vec![node];
        let mut next = 0;
        while let Some(&id) = made.get(next) {
            next += 1;
            for &input in &self.nodes[id].inputs {
                if self.shape(input).len() == 1 && !made.contains(&input) {
                    made.push(input);
                }
            }
            if made.len() > MAX_RUNS {
                return false;
            }
        }
        let is_pointwise = |&id: &usize| {
            let node = &self.nodes[id];
            !matches!(node.op, Op::Linear { .. }) || matches!(self.shape(node.inputs[0]), [_, 1, 1] | [_])
        };
        if !made.iter().all(is_pointwise) {
            return false;
        }
        made.sort_unstable();
        for id in made {
            if let Op::Linear { out, bias } = self.nodes[id].op {
                let conv = cygnet_graph::Conv { bias, ..cygnet_graph::Conv::new(out, 1).valid() };
                self.nodes[id].op = Op::Conv(conv);
            }
            self.nodes[id].shape.resize(3, 1);
        }
        true
    }
}

/// Where a list begins within another, if it is there in one piece.
fn start_in(order: &[usize], channels: impl Iterator<Item = usize> + Clone) -> Option<usize> {
    let start = channels.clone().position(|channel| channel == order[0])?;
    channels.skip(start).take(order.len()).eq(order.iter().copied()).then_some(start)
}

impl View {
    /// The whole value `base` of `shape`, its channels in the order in which the dimensions name them.
    pub(crate) fn of_parts(base: usize, shape: &[usize], dims: &[Vec<Part>]) -> View {
        let [_, rows, columns] = axes(shape);
        let channels = dims.iter().flatten().filter(|part| part.axis == Axis::Channel);
        let mut inner: usize = channels.map(|part| part.size).product();
        let mut whole = |part: &Part| match part.axis {
            Axis::Batch => (Axis::Batch, part.size, 0),
            Axis::Channel => {
                inner /= part.size;
                (Axis::Channel, part.size, inner * rows * columns)
            }
            Axis::Row => (Axis::Row, rows, columns),
            Axis::Column => (Axis::Column, columns, 1),
        };
        View::of_atoms(base, dims.iter().map(|parts| parts.iter().map(&mut whole).collect()))
    }
}
