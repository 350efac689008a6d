//! Bytes in the standard's words: values on grids go through a pair of operators that round them, integers of weights and
//! biases stand before one that says what they mean.

use cygnet_graph::{Graph, NodeId, Op, Param, Role};
use cygnet_weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet};

use super::writer::{Setting, Writer};
use crate::schema::tensor_proto::DataType;

/// The grids of a network of whole numbers.
pub(super) struct Grids<'g> {
    graph: &'g Graph,
    weights: &'g WeightSet,
    record: &'g Quantization,
    values: Vec<Option<Grid>>,
}

impl<'g> Grids<'g> {
    /// The record must be one of the graph and the weights.
    pub(super) fn of(graph: &'g Graph, weights: &'g WeightSet, record: &'g Quantization) -> Grids<'g> {
        Grids { graph, weights, record, values: record.grids(graph) }
    }

    /// The value of a node rounded to its own grid, if it has one.
    pub(super) fn value(&self, writer: &mut Writer, id: NodeId, value: String) -> String {
        let Some(grid) = self.record.values.get(&id) else { return value };
        let name = writer.fresh("grid");
        let (scales, zeros, shape) = match grid.shared_scale() {
            Some(scale) => (vec![scale], vec![grid.zero], vec![]),
            None => (grid.scales.clone(), vec![grid.zero; grid.scales.len()], vec![grid.scales.len()]),
        };
        let settings = || if shape.is_empty() { vec![] } else { vec![("axis", Setting::Int(1))] };
        let scale = writer.floats(&format!("{name}.scale"), &shape, &scales);
        let zero = writer.tensor(&format!("{name}.zero"), &shape, DataType::Uint8, zeros);
        let bytes = writer.node("QuantizeLinear", &[&value, &scale, &zero], "", settings());
        writer.node("DequantizeLinear", &[&bytes, &scale, &zero], "", settings())
    }

    /// A parameter that is stored in integers, or that is added to sums of them; none if it is in real numbers.
    pub(super) fn param(&self, writer: &mut Writer, param: &Param) -> Option<String> {
        let weight = self.graph.node_param(param.node, Role::Weight)?;
        let (grid, integers) = (self.record.weights.get(&weight.name)?, self.weights.get(&weight.name)?);
        let input = self.values[self.graph.node(param.node).inputs[0].0].as_ref();
        match param.role {
            Role::Weight => Some(self.weight(writer, param, grid, integers, input)),
            Role::Bias if input.is_some() && integers.dtype() == Dtype::I8 => {
                let steps = self.weights.get(&param.name)?.to_f32();
                let step = |(&bias, &scale): (&f32, &f32)| {
                    ((f64::from(bias) / f64::from(scale)).round_ties_even() as i32).to_le_bytes()
                };
                let steps: Vec<u8> = steps.iter().zip(&grid.scales).flat_map(step).collect();
                let steps = writer.tensor(&param.name, &param.shape, DataType::Int32, steps);
                let scales = writer.floats(&format!("{}_scale", param.name), &param.shape, &grid.scales);
                Some(writer.node("DequantizeLinear", &[&steps, &scales], "", vec![("axis", Setting::Int(0))]))
            }
            _ => None,
        }
    }

    fn weight(
        &self,
        writer: &mut Writer,
        param: &Param,
        grid: &WeightGrid,
        integers: &Tensor,
        input: Option<&Grid>,
    ) -> String {
        let outputs = param.shape[0];
        let (kind, zeros): (_, Vec<u8>) = match integers.dtype() {
            Dtype::U8 => (DataType::Uint8, (0..outputs).map(|output| grid.zero(output)).collect()),
            _ => (DataType::Int8, vec![0; outputs]),
        };
        let divisors = input.map_or_else(|| Divisors::of_one(1.0), |input| self.divisors(param, input));
        let scales: Vec<f32> = match &divisors {
            Divisors::Outputs(by) => {
                grid.scales.iter().enumerate().map(|(o, &scale)| quotient(scale, by[o % by.len()])).collect()
            }
            Divisors::Inputs { .. } => grid.scales.clone(),
        };
        let name = &param.name;
        let bytes = writer.tensor(name, &param.shape, kind, integers.bytes().to_vec());
        let scales = writer.floats(&format!("{name}_scale"), &[outputs], &scales);
        let zeros = writer.tensor(&format!("{name}_zero"), &[outputs], kind, zeros);
        let settings = vec![("axis", Setting::Int(0))];
        let weight = writer.node("DequantizeLinear", &[&bytes, &scales, &zeros], "", settings);
        match divisors {
            Divisors::Outputs(_) => weight,
            Divisors::Inputs { shape, by } => {
                let by = writer.floats(&format!("{name}_divisor"), &shape, &by);
                writer.node("Div", &[&weight, &by], "", vec![])
            }
        }
    }

    /// What weights are divided by, because the bytes of their input have scales of their own.
    fn divisors(&self, param: &Param, input: &Grid) -> Divisors {
        if let Some(scale) = input.shared_scale() {
            return Divisors::of_one(scale);
        }
        let shape = &self.graph.node(self.graph.node(param.node).inputs[0]).shape;
        let Op::Conv(conv) = &self.graph.node(param.node).op else {
            let plane = shape[1..].iter().product::<usize>();
            let by = (0..param.shape[1]).map(|term| input.scale(term / plane)).collect();
            return Divisors::Inputs { shape: vec![1, param.shape[1]], by };
        };
        let [group_in, group_out] = [shape[0] / conv.groups, conv.out / conv.groups];
        let rows = if conv.groups == 1 { 1 } else { conv.out };
        let first = |output: usize| output / group_out * group_in;
        let by = (0..rows).flat_map(|o| (0..group_in).map(move |i| first(o) + i));
        let by: Vec<f32> = by.map(|channel| input.scale(channel)).collect();
        if group_in == 1 && by.len() == conv.out {
            Divisors::Outputs(by)
        } else {
            Divisors::Inputs { shape: vec![rows, group_in, 1, 1], by }
        }
    }
}

/// What the real weights of integers are divided by.
enum Divisors {
    /// One for all outputs, or one for each.
    Outputs(Vec<f32>),
    /// A tensor that is broadcast to that of the weights.
    Inputs { shape: Vec<usize>, by: Vec<f32> },
}

impl Divisors {
    fn of_one(divisor: f32) -> Divisors {
        Divisors::Outputs(vec![divisor])
    }
}

/// `scale / divisor`, of the floats next to it the one that gives `scale` again when it is multiplied, if one does.
fn quotient(scale: f32, divisor: f32) -> f32 {
    let quotient = (f64::from(scale) / f64::from(divisor)) as f32;
    let near = [quotient, quotient.next_up(), quotient.next_down()];
    near.into_iter().find(|near| near * divisor == scale).unwrap_or(quotient)
}
