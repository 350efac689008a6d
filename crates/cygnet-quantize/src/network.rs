//! Networks computed node by node at the speed of plans, each value rounded to its grid or not: what quantisation is measured on.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use cygnet_graph::{Activation, Graph, Node, NodeId, Op, Role};
use cygnet_runtime::integers::{inverse, to_byte};
use cygnet_runtime::{Plan, PlanOptions, Reference, RunError, Session};
use cygnet_weights::{Grid, WeightSet};

use crate::QuantizeError;

/// A network whose layers are plans of their own, so that each may be changed.
pub(crate) struct Network {
    pub(crate) graph: Graph,
    /// Plans of layers, by node.
    plans: Vec<Option<Arc<Plan>>>,
    /// For everything else.
    rest: Reference<f32>,
    options: PlanOptions,
}

/// Sessions of a thread, by node.
pub(crate) struct Worker {
    sessions: Vec<Option<Session>>,
}

/// A value of one image.
#[derive(Clone)]
pub(crate) enum Stored {
    Real(Vec<f32>),
    Bytes(Vec<u8>),
}

impl Network {
    /// A network in floating point.
    pub(crate) fn new(
        graph: &Graph,
        weights: &WeightSet,
        options: PlanOptions,
    ) -> Result<Network, QuantizeError> {
        let misfit = |misfit| QuantizeError::Weights { graph: graph.name().into(), misfit };
        let rest = Reference::new(graph.clone(), &weights.select(graph).map_err(misfit)?)?;
        let plans = vec![None; graph.nodes().len()];
        let mut network = Network { graph: graph.clone(), plans, rest, options };
        for (id, node) in graph.iter().filter(|(_, node)| node.op.facts().is_weighted) {
            let [weight, bias] = [Role::Weight, Role::Bias].map(|role| numbers_of(graph, weights, id, role));
            debug_assert_eq!(bias.len(), node.shape[0]);
            network.set_layer(id, &weight, &bias)?;
        }
        Ok(network)
    }

    /// Gives a layer other parameters.
    pub(crate) fn set_layer(
        &mut self,
        id: NodeId,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<(), QuantizeError> {
        let node = self.graph.node(id);
        let shape = layer_input(&self.graph, node);
        let layer = Graph::build("layer", shape, |net, x| {
            let net = net.at("layer");
            if let Op::Conv(conv) = &node.op {
                net.conv(x, conv.clone())
            } else {
                net.linear(x, node.shape[0])
            }
        })?;
        self.plans[id.0] = Some(Arc::new(Plan::new(layer, &[weight, bias], self.options)?));
        Ok(())
    }

    /// The value of a node but the image, from those of its inputs.
    pub(crate) fn value(
        &self,
        worker: &mut Worker,
        id: NodeId,
        inputs: &[&[f32]],
    ) -> Result<Vec<f32>, RunError> {
        let Some(plan) = &self.plans[id.0] else {
            return Ok(simple(&self.graph, id, inputs).unwrap_or_else(|| self.rest.value(id, inputs)));
        };
        let session = &mut worker.sessions[id.0];
        if session.as_ref().is_none_or(|session| !std::ptr::eq(session.plan(), &**plan)) {
            *session = Some(Session::new(Arc::clone(plan)));
        }
        let Some(session) = session else { return Ok(Vec::new()) };
        let mut output = vec![0.0; session.outputs()];
        session.run(inputs[0], &mut output)?;
        Ok(output)
    }

    /// The output for an image, every value that has a grid being rounded to it; `watch` sees each.
    pub(crate) fn run(
        &self,
        worker: &mut Worker,
        image: &[f32],
        grids: &[Option<Grid>],
        mut watch: impl FnMut(NodeId, &[f32]),
    ) -> Result<Vec<f32>, RunError> {
        let last_uses = self.graph.last_uses();
        let mut values: Vec<Option<Vec<f32>>> = vec![None; self.graph.nodes().len()];
        for (id, node) in self.graph.iter() {
            let mut value = if node.op == Op::Input {
                image.to_vec()
            } else {
                let inputs: Vec<&[f32]> =
                    node.inputs.iter().map(|input| values[input.0].as_deref().unwrap_or_default()).collect();
                self.value(worker, id, &inputs)?
            };
            if let Some(grid) = &grids[id.0] {
                round(&mut value, grid, plane(node));
            }
            watch(id, &value);
            values[id.0] = Some(value);
            for (value, _) in values.iter_mut().zip(&last_uses).filter(|(_, last)| **last == id.0) {
                *value = None;
            }
        }
        Ok(values[self.graph.output().0].take().unwrap_or_default())
    }

    pub(crate) fn worker(&self) -> Worker {
        let mut sessions = Vec::new();
        sessions.resize_with(self.plans.len(), || None);
        Worker { sessions }
    }
}

/// What the reference computes too, for operators that are simple and frequent.
fn simple(graph: &Graph, id: NodeId, inputs: &[&[f32]]) -> Option<Vec<f32>> {
    let node = graph.node(id);
    if let Op::Activation { function: Activation::Clamp { low, high } } = &node.op {
        return Some(inputs[0].iter().map(|x| x.max(*low).min(*high)).collect());
    }
    let is_plain_sum = node.op == Op::Add && inputs[0].len() == inputs[1].len();
    is_plain_sum.then(|| inputs[0].iter().zip(inputs[1]).map(|(left, right)| left + right).collect())
}

/// The numbers of the parameter that plays a role in a node; none if it has no such.
pub(crate) fn numbers_of(graph: &Graph, weights: &WeightSet, id: NodeId, role: Role) -> Vec<f32> {
    weights.of_role(graph, id, role).map(|tensor| tensor.to_f32().into_owned()).unwrap_or_default()
}

/// Numbers of a channel of a node's value.
pub(crate) fn plane(node: &Node) -> usize {
    node.shape[1..].iter().product()
}

/// The input of a layer as an image; a vector is one of a pixel.
fn layer_input(graph: &Graph, node: &Node) -> [usize; 3] {
    let shape = &graph.node(node.inputs[0]).shape;
    [shape[0], shape.get(1).copied().unwrap_or(1), shape.get(2).copied().unwrap_or(1)]
}

/// Rounds a value to a grid.
pub(crate) fn round(value: &mut [f32], grid: &Grid, plane: usize) {
    for (channel, values) in value.chunks_mut(plane).enumerate() {
        let (inverse, scale, zero) = (inverse(grid.scale(channel)), grid.scale(channel), grid.zero);
        values.iter_mut().for_each(|x| *x = number(to_byte(*x * inverse, zero), zero, scale));
    }
}

/// What a byte stands for: [`dequantize`](cygnet_runtime::integers::dequantize) for a loop over a channel.
fn number(byte: u8, zero: u8, scale: f32) -> f32 {
    f32::from(i16::from(byte) - i16::from(zero)) * scale
}

impl Stored {
    /// The numbers as bytes on a grid, or as they are.
    pub(crate) fn new(numbers: Vec<f32>, grid: Option<&Grid>, plane: usize) -> Stored {
        let Some(grid) = grid else { return Stored::Real(numbers) };
        let mut bytes = Vec::with_capacity(numbers.len());
        for (channel, values) in numbers.chunks(plane).enumerate() {
            let (inverse, zero) = (inverse(grid.scale(channel)), grid.zero);
            bytes.extend(values.iter().map(|&x| to_byte(x * inverse, zero)));
        }
        Stored::Bytes(bytes)
    }

    /// The numbers.
    pub(crate) fn numbers(&self, grid: Option<&Grid>, plane: usize) -> Cow<'_, [f32]> {
        match (self, grid) {
            (Stored::Real(numbers), _) => Cow::Borrowed(numbers),
            (Stored::Bytes(bytes), Some(grid)) => {
                let mut numbers = Vec::with_capacity(bytes.len());
                for (channel, bytes) in bytes.chunks(plane).enumerate() {
                    let (scale, zero) = (grid.scale(channel), grid.zero);
                    numbers.extend(bytes.iter().map(|&q| number(q, zero, scale)));
                }
                Cow::Owned(numbers)
            }
            (Stored::Bytes(_), None) => Cow::Borrowed(&[]),
        }
    }
}

/// Does something with every item on `threads` threads, each with something of its own; results are in the items' order.
///
/// # Errors
/// That of the first item that has one.
pub(crate) fn each<I: Send, W, T: Send, E: Send>(
    threads: usize,
    items: &mut [I],
    own: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, usize, &mut I) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let count = items.len();
    let items: Vec<Mutex<&mut I>> = items.iter_mut().map(Mutex::new).collect();
    let results: Vec<Mutex<Option<Result<T, E>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let run = || {
        let mut own = own();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(item), Some(result)) = (items.get(index), results.get(index)) else { return };
            let mut item = item.lock().unwrap_or_else(PoisonError::into_inner);
            let done = work(&mut own, index, &mut item);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            // What a thread that cannot be started would do, the others do.
            _ = thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
    results
        .into_iter()
        .filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}
