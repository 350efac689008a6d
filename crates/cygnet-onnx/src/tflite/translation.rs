//! A file's tensors and operators as a graph of ONNX grows.

use std::cell::Cell;
use std::collections::HashMap;

use super::operators;
use super::reader::{self, Model, Operator, OperatorCode, Options, Subgraph, Tables, Tensor};
use crate::export::ExportOptions;
use crate::export::writer::{Setting, Writer};
use crate::schema::GraphProto;
use crate::schema::tensor_proto::DataType;
use crate::{ImportError, Reason, Refusal};

/// Most tensors and operators of a file.
const MOST: usize = 1 << 18;
/// Dimensions of a tensor at most.
const MOST_DIMENSIONS: usize = 8;
/// Inputs or outputs of an operator at most, and letters of a name.
const MOST_INPUTS: usize = 4096;
const MOST_LETTERS: usize = 4096;
/// How many times as many bytes as the file has may be read of it: several tensors may share their numbers.
const READINGS: usize = 4;
/// What may be read of small files.
const LEAST_ROOM: usize = 1 << 20;

/// A tensor's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F16,
    I32,
    U8,
    I64,
    Bool,
    I16,
    I8,
}

impl Kind {
    fn of(code: i8) -> Option<Kind> {
        Some(match code {
            0 => Kind::F32,
            1 => Kind::F16,
            2 => Kind::I32,
            3 => Kind::U8,
            4 => Kind::I64,
            6 => Kind::Bool,
            7 => Kind::I16,
            9 => Kind::I8,
            _ => return None,
        })
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::F32 => DataType::Float,
            Kind::F16 => DataType::Float16,
            Kind::I32 => DataType::Int32,
            Kind::U8 => DataType::Uint8,
            Kind::I64 => DataType::Int64,
            Kind::Bool => DataType::Bool,
            Kind::I16 => DataType::Int16,
            Kind::I8 => DataType::Int8,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Kind::U8 | Kind::Bool | Kind::I8 => 1,
            Kind::F16 | Kind::I16 => 2,
            Kind::F32 | Kind::I32 => 4,
            Kind::I64 => 8,
        }
    }
}

/// What integers of a tensor stand for.
#[derive(Clone, Debug)]
struct Scales {
    scales: Vec<f32>,
    zeros: Vec<i64>,
    dimension: usize,
}

/// A tensor of the file.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    pub(super) name: &'a str,
    pub(super) shape: Vec<usize>,
    kind: Kind,
    scales: Option<Scales>,
    /// Its numbers, if it is a constant.
    data: Option<&'a [u8]>,
}

/// An operator with its tensors.
pub(super) struct Call<'a, 't> {
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) output: usize,
    /// Where there are several.
    pub(super) outputs: Vec<usize>,
    pub(super) options: Option<Options<'a>>,
    pub(super) to: &'t mut Translation<'a>,
}

pub(super) struct Translation<'a> {
    values: Vec<Value<'a>>,
    /// What the real numbers of tensors are called that were made.
    made: HashMap<usize, String>,
    writer: Writer,
    /// Bytes that may still be read.
    room: Cell<usize>,
}

/// The graph of a file.
pub(super) fn translate(bytes: &[u8]) -> Result<GraphProto, ImportError> {
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
    let name = graph.name()?.filter(|name| !name.is_empty()).or(model.description()?).unwrap_or("tflite");
    let options = ExportOptions { batch: Some(1), ..ExportOptions::default() };
    let mut to = Translation {
        values,
        made: HashMap::new(),
        writer: Writer::new(name, &options),
        room: Cell::new(room),
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

/// The tensors of a graph.
fn values<'a>(
    model: &Model<'a>,
    graph: &Subgraph<'a>,
    room: &mut usize,
) -> Result<Vec<Value<'a>>, ImportError> {
    let Some(tensors) = graph.tensors()? else { return Ok(Vec::new()) };
    let operators = graph.operators()?.map_or(0, |operators| operators.len());
    if tensors.len().max(operators) > MOST {
        return Err(ImportError::Limit { what: "tensors and operators", limit: MOST });
    }
    let buffers = model.buffers()?;
    (0..tensors.len()).map(|index| value(&tensors.get(index)?, buffers.as_ref(), room)).collect()
}

fn value<'a>(
    tensor: &Tensor<'a>,
    buffers: Option<&Tables<'a>>,
    room: &mut usize,
) -> Result<Value<'a>, ImportError> {
    let name = tensor.name()?.unwrap_or_default();
    if name.len() > MOST_LETTERS {
        return Err(ImportError::Limit { what: "letters in a name", limit: MOST_LETTERS });
    }
    let wrong = |reason: String| ImportError::Unfit(format!("the tensor {name}: {reason}"));
    let code = tensor.kind()?.unwrap_or(0);
    let kind = Kind::of(code).ok_or_else(|| wrong(format!("its type, number {code}, is not read")))?;
    if tensor.sparsity()?.is_some() {
        return Err(wrong("it is sparse, which is not read".into()));
    }
    let shape = tensor.shape()?;
    if let Some(shape) = shape.filter(|shape| shape.len() > MOST_DIMENSIONS) {
        return Err(wrong(format!("it has {} dimensions", shape.len())));
    }
    let shape = shape.map(|shape| shape.iter().collect::<Vec<i32>>()).unwrap_or_default();
    let size = |&n: &i32| usize::try_from(n).map_err(|_| wrong(format!("a shape of {shape:?}")));
    let shape: Vec<usize> = shape.iter().map(size).collect::<Result<_, _>>()?;
    let scales = match tensor.quantization()? {
        Some(record) => {
            let count = record.scale()?.map_or(0, |list| list.len());
            let zeros = record.zero_point()?.map_or(0, |list| list.len());
            let rest = room.checked_sub(count.saturating_mul(4).saturating_add(zeros.saturating_mul(8)));
            *room = rest.ok_or_else(|| wrong(TOO_OFTEN.into()))?;
            let scales: Vec<f32> = record.scale()?.map(|list| list.iter().collect()).unwrap_or_default();
            let zeros: Vec<i64> = record.zero_point()?.map(|list| list.iter().collect()).unwrap_or_default();
            let dimension = usize::try_from(record.dimension()?.unwrap_or(0)).unwrap_or(usize::MAX);
            (!scales.is_empty()).then_some(Scales { scales, zeros, dimension })
        }
        None => None,
    };
    let buffer = tensor.buffer()?.unwrap_or(0) as usize;
    let mut data = None;
    if let (1.., Some(buffers)) = (buffer, buffers) {
        let buffer: reader::Buffer<'_> = buffers.get(buffer)?;
        if buffer.offset()?.is_some_and(|offset| offset > 1) {
            return Err(wrong(
                "its numbers lie behind the file's tables, as those of files over 2 GB do".into(),
            ));
        }
        data = buffer.data()?.filter(|data| !data.is_empty());
    }
    if let Some(data) = data {
        let count = shape.iter().try_fold(kind.bytes(), |all, &n| all.checked_mul(n));
        if count != Some(data.len()) {
            return Err(wrong(format!("{} bytes for a shape of {shape:?}", data.len())));
        }
    }
    Ok(Value { name, shape, kind, scales, data })
}

/// What is said where the same numbers are read again and again.
const TOO_OFTEN: &str = "the file's numbers are read more often than any network does";

impl<'a> Translation<'a> {
    /// Counts bytes that are read.
    fn take(&self, bytes: usize) -> Result<(), Reason> {
        let rest = self.room.get().checked_sub(bytes).ok_or_else(|| Reason::new(TOO_OFTEN))?;
        self.room.set(rest);
        Ok(())
    }

    /// The tensor of a number in the file.
    fn at(&self, index: i32) -> Result<usize, ImportError> {
        let found = usize::try_from(index).ok().filter(|&index| index < self.values.len());
        found.ok_or_else(|| ImportError::Damaged(format!("there is no tensor {index}")))
    }

    /// Whether a constant has this name.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.writer.is_taken(name)
    }

    /// A name that nothing has yet.
    pub(super) fn fresh(&mut self, what: &str) -> String {
        self.writer.fresh(what)
    }

    pub(super) fn value(&self, index: usize) -> &Value<'a> {
        &self.values[index]
    }

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

    /// The name of the real numbers of a tensor.
    pub(super) fn real(&mut self, index: usize) -> Result<String, Reason> {
        if let Some(made) = self.made.get(&index) {
            return Ok(made.clone());
        }
        let order: Vec<usize> = (0..self.values[index].shape.len()).collect();
        let name = format!("constant_{index}");
        let made = self.constant(index, &name, &order)?;
        self.made.insert(index, made.clone());
        Ok(made)
    }

    /// The real numbers of a constant with its dimensions in another order, under a name of its own.
    pub(super) fn constant(&mut self, index: usize, name: &str, order: &[usize]) -> Result<String, Reason> {
        let value = self.values[index].clone();
        let Some(data) = value.data else {
            return Err(Reason::new(format!("it reads {}, which is no constant", value.name)));
        };
        if order.len() != value.shape.len() {
            let (shape, wanted) = (&value.shape, order.len());
            return Err(Reason::new(format!(
                "{} has the shape {shape:?}, not {wanted} dimensions",
                value.name
            )));
        }
        self.take(data.len())?;
        let shape: Vec<usize> = order.iter().map(|&from| value.shape[from]).collect();
        let bytes = reordered(data, &value.shape, order, value.kind.bytes());
        let Some(scales) = value.scales.as_ref().filter(|_| value.kind != Kind::F32) else {
            return Ok(self.writer.tensor(name, &shape, value.kind.data_type(), bytes));
        };
        let stored = self.writer.tensor(name, &shape, value.kind.data_type(), bytes);
        let axis = order.iter().position(|&from| from == scales.dimension).unwrap_or(0);
        self.pair(scales, value.kind, &stored, axis, "DequantizeLinear")
    }

    /// A list of whole numbers that a constant is.
    pub(super) fn ints(&self, index: usize) -> Result<Vec<i64>, Reason> {
        let Value { name, data, kind, .. } = &self.values[index];
        let data = data.ok_or_else(|| Reason::new(format!("{name} is computed; it has to be a constant")))?;
        self.take(data.len())?;
        match kind {
            Kind::I32 => Ok(data
                .chunks_exact(4)
                .map(|bytes| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into())
                .collect()),
            Kind::I64 => Ok(data
                .chunks_exact(8)
                .filter_map(|bytes| bytes.try_into().ok().map(i64::from_le_bytes))
                .collect()),
            _ => Err(Reason::new(format!("{name} is no list of whole numbers"))),
        }
    }

    /// A node that takes numbers to integers or back.
    fn pair(
        &mut self,
        Scales { scales, zeros, .. }: &Scales,
        kind: Kind,
        input: &str,
        axis: usize,
        operator: &str,
    ) -> Result<String, Reason> {
        let scale_name = self.writer.fresh("scale");
        let by = match scales[..] {
            [one] => self.writer.number(&scale_name, one),
            _ => self.writer.singles(&scale_name, scales),
        };
        let zeros = if zeros.is_empty() { vec![0; scales.len()] } else { zeros.clone() };
        if zeros.len() != scales.len() {
            return Err(Reason::new(format!("{} scales and {} zeros", scales.len(), zeros.len())));
        }
        let mut bytes = Vec::new();
        for zero in zeros {
            let wrong = |_| Reason::new(format!("a zero of {zero} is outside of its type"));
            match kind {
                Kind::U8 => bytes.push(u8::try_from(zero).map_err(wrong)?),
                Kind::I8 => bytes.push(i8::try_from(zero).map_err(wrong)?.cast_unsigned()),
                Kind::I32 => bytes.extend(i32::try_from(zero).map_err(wrong)?.to_le_bytes()),
                other => {
                    return Err(Reason::new(format!("quantised numbers of type {other:?} are not read")));
                }
            }
        }
        let zero_name = self.writer.fresh("zero");
        let shape: &[usize] = if scales.len() == 1 { &[] } else { &[scales.len()] };
        let zero = self.writer.tensor(&zero_name, shape, kind.data_type(), bytes);
        let axis = vec![("axis", Setting::Int(axis as i64))];
        Ok(self.writer.node(operator, &[input, &by, &zero], "", axis))
    }

    /// Real numbers as the integers that a tensor holds, and what these stand for.
    fn rounded(&mut self, index: usize, name: &str) -> Result<String, Reason> {
        let value = self.values[index].clone();
        let Some(scales) = value.scales.as_ref().filter(|scales| scales.scales.len() == 1) else {
            return Err(Reason::new(format!("{} holds integers without one scale for all", value.name)));
        };
        let stored = self.pair(scales, value.kind, name, 1, "QuantizeLinear")?;
        self.pair(scales, value.kind, &stored, 1, "DequantizeLinear")
    }
}

impl Call<'_, '_> {
    /// The tensor at an input.
    pub(super) fn given(&self, input: usize) -> Result<usize, Reason> {
        let given = self.inputs.get(input).copied().flatten();
        given.ok_or_else(|| Reason::new(format!("it lacks its input {input}")))
    }

    /// The shape of the tensor at an input.
    pub(super) fn shape(&self, input: usize) -> Result<&[usize], Reason> {
        Ok(&self.to.values[self.given(input)?].shape)
    }

    /// The name of the real numbers at an input.
    pub(super) fn real(&mut self, input: usize) -> Result<String, Reason> {
        let index = self.given(input)?;
        self.to.real(index)
    }

    /// The same of a feature map, channels first.
    pub(super) fn map(&mut self, input: usize) -> Result<String, Reason> {
        let rank = self.shape(input)?.len();
        if rank != 4 {
            return Err(Reason::new(format!("its input has {rank} dimensions; a batch of maps has 4")));
        }
        let name = self.real(input)?;
        Ok(self.node("Transpose", &[&name], vec![("perm", Setting::Ints(vec![0, 3, 1, 2]))]))
    }

    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], settings: Vec<(&str, Setting)>) -> String {
        self.layer(operator, "", inputs, settings)
    }

    /// As [`Call::node`], of a layer with a name.
    pub(super) fn layer(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        settings: Vec<(&str, Setting)>,
    ) -> String {
        self.to.writer.node(operator, inputs, name, settings)
    }

    /// A list of whole numbers as a tensor.
    pub(super) fn list(&mut self, numbers: &[i64]) -> String {
        let name = self.to.writer.fresh("list");
        self.to.writer.ints(&name, numbers)
    }

    /// A single number as a tensor.
    pub(super) fn number(&mut self, number: f32) -> String {
        let name = self.to.writer.fresh("number");
        self.to.writer.number(&name, number)
    }

    /// Settles what a tensor is: a value of real numbers, rounded where the tensor holds integers.
    pub(super) fn settle_as(&mut self, output: usize, made: String) -> Result<(), Reason> {
        let kind = self.to.values[output].kind;
        let made = match kind {
            Kind::U8 | Kind::I8 => self.to.rounded(output, &made)?,
            Kind::F32 | Kind::F16 | Kind::I32 | Kind::I64 => made,
            other => return Err(Reason::new(format!("its output is of type {other:?}"))),
        };
        self.to.made.insert(output, made);
        Ok(())
    }

    /// As [`Call::settle_as`] of the output.
    pub(super) fn settle(&mut self, made: String) -> Result<(), Reason> {
        self.settle_as(self.output, made)
    }

    /// As [`Call::settle`], of a feature map with its channels first.
    pub(super) fn settle_map(&mut self, made: &str) -> Result<(), Reason> {
        let made = self.node("Transpose", &[made], vec![("perm", Setting::Ints(vec![0, 2, 3, 1]))]);
        self.settle(made)
    }
}

/// Numbers with the dimensions in another order.
fn reordered(data: &[u8], shape: &[usize], order: &[usize], bytes: usize) -> Vec<u8> {
    let mut strides = vec![bytes; shape.len()];
    for dim in (1..shape.len()).rev() {
        strides[dim - 1] = strides[dim] * shape[dim];
    }
    let [sizes, steps]: [Vec<usize>; 2] =
        [shape, &strides[..]].map(|list| order.iter().map(|&dim| list[dim]).collect());
    let mut out = Vec::with_capacity(data.len());
    let mut place = vec![0usize; sizes.len()];
    for _ in 0..data.len() / bytes {
        let from: usize = place.iter().zip(&steps).map(|(i, step)| i * step).sum();
        out.extend_from_slice(&data[from..from + bytes]);
        for dim in (0..place.len()).rev() {
            place[dim] += 1;
            if place[dim] < sizes[dim] {
                break;
            }
            place[dim] = 0;
        }
    }
    out
}
