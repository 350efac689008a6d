//! A file's operators, one after the other, as a graph of ONNX grows.

use std::cell::Cell;
use std::collections::HashMap;

use cygnet_graph::Limits;
use prost::bytes::Bytes;

use super::call::{Call, Translation};
use super::operators;
use super::reader::{self, Operator, OperatorCode, Subgraph, Tables};
use super::tensors::{Kind, Value, values};
use crate::export::ExportOptions;
use crate::export::writer::{Setting, Writer};
use crate::memory::Room;
use crate::schema::GraphProto;
use crate::schema::tensor_proto::DataType;
use crate::{ImportError, Reason, Refusal};

/// Inputs or outputs of an operator at most.
const MOST_INPUTS: usize = 4096;
/// How many times as many bytes as the file has may be read of it: several tensors may share their numbers.
const READINGS: usize = 4;
/// What may be read of small files.
const LEAST_ROOM: usize = 1 << 20;

/// The graph of a file.
pub(super) fn translate(bytes: &Bytes, name: &str, limits: &Limits) -> Result<GraphProto, ImportError> {
    let model = reader::model(bytes)?;
    let unfit = |reason: &str| ImportError::Unfit(reason.into());
    let subgraphs = model.subgraphs()?.filter(|graphs| graphs.len() > 0);
    let subgraphs = subgraphs.ok_or_else(|| unfit("the file has no graph"))?;
    if subgraphs.len() > 1 {
        return Err(unfit("the file has several graphs, of loops or branches; networks are of one"));
    }
    let graph: Subgraph<'_> = subgraphs.get(0)?;
    let mut room = bytes.len().saturating_mul(READINGS).max(LEAST_ROOM);
    let values = values(&model, &graph, &mut room)?;
    let [inputs, outputs] = [graph.inputs()?, graph.outputs()?].map(|list| {
        let few = list.filter(|list| list.len() <= MOST_INPUTS);
        few.map(|list| list.iter().collect::<Vec<i32>>()).unwrap_or_default()
    });
    let options = ExportOptions { batch: Some(1), ..ExportOptions::default() };
    let mut to = Translation {
        values,
        made: HashMap::new(),
        writer: Writer::new(name, &options),
        file: bytes.clone(),
        room: Cell::new(room),
        weights: Room::of(limits, bytes.len()),
    };
    let [input] = inputs[..] else {
        return Err(ImportError::Unfit(format!(
            "the graph has {} inputs; networks read one image",
            inputs.len()
        )));
    };
    to.input(to.at(input)?)?;
    let mut refusals = Vec::new();
    let nodes = graph.operators()?;
    let codes = model.operator_codes()?;
    for index in 0..nodes.map_or(0, |nodes| nodes.len()) {
        let (Some(nodes), Some(codes)) = (&nodes, &codes) else { break };
        to.operator(&nodes.get(index)?, codes, &mut refusals)?;
    }
    if !refusals.is_empty() {
        return Err(ImportError::Refused(refusals));
    }
    for output in outputs {
        to.output(to.at(output)?)?;
    }
    Ok(to.writer.graph())
}

impl<'a> Translation<'a> {
    /// Declares the image, whose channels come first in the graph.
    fn input(&mut self, index: usize) -> Result<(), ImportError> {
        let Value { name, shape, kind, .. } = self.values[index].clone();
        let further = match shape[..] {
            [_, rows, columns, channels] => vec![channels, rows, columns],
            _ => shape.get(1..).unwrap_or_default().to_vec(),
        };
        self.writer.input(name, &further, DataType::Float);
        let mut made = match kind {
            Kind::F32 | Kind::F16 => name.to_owned(),
            Kind::U8 | Kind::I8 => self
                .rounded(index, name)
                .map_err(|reason| ImportError::Refused(vec![Refusal::new(name, "input", reason)]))?,
            other => {
                let reason = format!("the input {name} is of type {other:?}; images are numbers");
                return Err(ImportError::Unfit(reason));
            }
        };
        if further.len() == 3 {
            let to_last = vec![("perm", Setting::Ints(vec![0, 2, 3, 1]))];
            made = self.writer.node("Transpose", &[&made], "", to_last);
        }
        self.made.insert(index, made);
        Ok(())
    }

    fn output(&mut self, index: usize) -> Result<(), ImportError> {
        let Value { name, shape, .. } = self.values[index].clone();
        let Some(made) = self.made.get(&index).cloned() else {
            return Err(ImportError::Unfit(format!("nothing makes the output {name}")));
        };
        let further = shape.get(1..).unwrap_or_default().to_vec();
        self.writer.alias(&made, name);
        self.writer.output(name, &further, DataType::Float);
        Ok(())
    }

    /// Adds an operator, or what is said against it.
    fn operator(
        &mut self,
        node: &Operator<'a>,
        codes: &Tables<'a>,
        refusals: &mut Vec<Refusal>,
    ) -> Result<(), ImportError> {
        let code: OperatorCode<'_> = codes.get(node.code()?.unwrap_or(0) as usize)?;
        // Newer files have the number of an operator below 127 in both places.
        let number = i32::from(code.old_code()?.unwrap_or(0)).max(code.code()?.unwrap_or(0));
        let list = |list: Option<planus::Vector<'a, i32>>| match list {
            Some(list) if list.len() > MOST_INPUTS => {
                Err(ImportError::Limit { what: "inputs or outputs of an operator", limit: MOST_INPUTS })
            }
            list => Ok(list.map(|list| list.iter().collect::<Vec<i32>>()).unwrap_or_default()),
        };
        let (inputs, outputs) = (list(node.inputs()?)?, list(node.outputs()?)?);
        let outputs: Vec<usize> =
            outputs.into_iter().map(|index| self.at(index)).collect::<Result<_, _>>()?;
        let Some(&output) = outputs.first() else { return Ok(()) };
        let inputs: Vec<Option<usize>> = inputs
            .into_iter()
            .map(|index| if index == -1 { Ok(None) } else { self.at(index).map(Some) })
            .collect::<Result<_, _>>()?;
        let name = self.values[output].name;
        let found = operators::find(number);
        let told = match (found, code.custom_code()?) {
            (Some((name, _)), _) => (*name).to_owned(),
            (None, Some(custom)) => custom.to_owned(),
            (None, None) => format!("operator {number}"),
        };
        let reads = inputs.iter().flatten().copied();
        let unread: Vec<usize> = reads
            .filter(|index| self.values[*index].data.is_none() && !self.made.contains_key(index))
            .collect();
        if let Some(index) = unread.first() {
            // What is made of a refused value needs no reason of its own.
            if refusals.is_empty() {
                let reason = format!("it reads {}, which nothing before it makes", self.values[*index].name);
                refusals.push(Refusal::new(name, &told, Reason::new(reason)));
            }
            return Ok(());
        }
        let Some((_, rule)) = found else {
            refusals.push(Refusal::new(name, &told, Reason::new("no rule knows this operator")));
            return Ok(());
        };
        let mut call = Call { inputs, output, outputs, options: node.options()?, to: self };
        if let Err(reason) = rule(&mut call) {
            refusals.push(Refusal::new(name, &told, reason));
        }
        Ok(())
    }
}
