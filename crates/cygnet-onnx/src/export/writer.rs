//! Nodes, initialisers and values of a file as it grows.

use std::collections::HashSet;

use half::f16;
use prost::bytes::Bytes;

use super::options::ExportOptions;
use crate::schema::attribute_proto::AttributeType;
use crate::schema::tensor_proto::DataType;
use crate::schema::tensor_shape_proto::{Dimension, dimension};
use crate::schema::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// What the dimension of the batch is called where it may be any number.
const BATCH: &str = "batch";

/// A setting of a node.
pub(crate) enum Setting<'s> {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'s str),
}

/// A file as it grows.
pub(crate) struct Writer {
    graph: GraphProto,
    half: bool,
    batch: Option<usize>,
    made: usize,
    /// Names of initialisers.
    taken: HashSet<String>,
}

impl Writer {
    pub(crate) fn new(name: &str, options: &ExportOptions) -> Writer {
        let graph = GraphProto { name: Some(name.into()), ..GraphProto::default() };
        Writer { graph, half: options.half, batch: options.batch, made: 0, taken: HashSet::new() }
    }

    /// The type of the network's numbers.
    pub(crate) fn float(&self) -> DataType {
        if self.half { DataType::Float16 } else { DataType::Float }
    }

    /// A name that nothing has yet.
    pub(crate) fn fresh(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}_{}", self.made)
    }

    /// Adds a node of one output and returns its name.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        name: &str,
        settings: Vec<(&str, Setting)>,
    ) -> String {
        let output = self.fresh(&operator.to_lowercase());
        let name = if name.is_empty() { output.clone() } else { name.to_owned() };
        let attribute = |(name, setting): (&str, Setting)| {
            let mut attribute = AttributeProto { name: Some(name.into()), ..AttributeProto::default() };
            let kind = match setting {
                Setting::Int(n) => {
                    attribute.i = Some(n);
                    AttributeType::Int
                }
                Setting::Ints(list) => {
                    attribute.ints = list;
                    AttributeType::Ints
                }
                Setting::Float(x) => {
                    attribute.f = Some(x);
                    AttributeType::Float
                }
                Setting::Text(text) => {
                    attribute.s = Some(Bytes::copy_from_slice(text.as_bytes()));
                    AttributeType::String
                }
            };
            attribute.set_type(kind);
            attribute
        };
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.clone()],
            name: Some(name),
            op_type: Some(operator.into()),
            attribute: settings.into_iter().map(attribute).collect(),
            ..NodeProto::default()
        });
        output
    }

    /// Gives a value another name, too.
    pub(crate) fn alias(&mut self, value: &str, name: &str) {
        self.node("Identity", &[value], "", vec![]);
        self.rename_last(name);
    }

    /// Gives the value of the last node that name, if one made it and nothing else reads it.
    pub(crate) fn rename(&mut self, value: &str, name: &str) {
        let made = self.graph.node.iter_mut().rev().find(|node| node.output[0] == value);
        let Some(node) = made else {
            // The image itself is the output.
            self.node("Identity", &[value], "", vec![]);
            return self.rename_last(name);
        };
        node.output[0] = name.to_owned();
        for input in
            self.graph.node.iter_mut().flat_map(|node| &mut node.input).filter(|input| *input == value)
        {
            *input = name.to_owned();
        }
    }

    fn rename_last(&mut self, name: &str) {
        if let Some(node) = self.graph.node.last_mut() {
            node.output[0] = name.to_owned();
        }
    }

    /// Numbers of the network, in its precision.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize], numbers: &[f32]) -> String {
        let bytes: Vec<u8> = if self.half {
            numbers.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
        } else {
            numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
        };
        self.tensor(name, shape, self.float(), bytes)
    }

    /// Numbers of single precision, whatever the network's.
    pub(crate) fn singles(&mut self, name: &str, numbers: &[f32]) -> String {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, &[numbers.len()], DataType::Float, bytes)
    }

    /// A single number of single precision.
    pub(crate) fn number(&mut self, name: &str, number: f32) -> String {
        self.tensor(name, &[], DataType::Float, number.to_le_bytes().to_vec())
    }

    /// Whether an initialiser has this name.
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(name)
    }

    /// The graph without a file around it.
    pub(crate) fn graph(self) -> GraphProto {
        self.graph
    }

    /// A list of whole numbers.
    pub(crate) fn ints(&mut self, name: &str, numbers: &[i64]) -> String {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.tensor(name, &[numbers.len()], DataType::Int64, bytes)
    }

    /// A list of whole numbers, under a name that nothing has yet.
    pub(crate) fn fresh_list(&mut self, numbers: &[i64]) -> String {
        let name = self.fresh("list");
        self.ints(&name, numbers)
    }

    /// A single number of single precision, under a name that nothing has yet.
    pub(crate) fn fresh_number(&mut self, number: f32) -> String {
        let name = self.fresh("number");
        self.number(&name, number)
    }

    /// Adds a node that bounds a value.
    pub(crate) fn clip(&mut self, value: &str, bounds: [f32; 2]) -> String {
        let [low, high] = bounds.map(|bound| self.fresh_number(bound));
        self.node("Clip", &[value, &low, &high], "", vec![])
    }

    /// Numbers of any type, as the bytes that they are.
    pub(crate) fn tensor(
        &mut self,
        name: &str,
        shape: &[usize],
        kind: DataType,
        bytes: impl Into<Bytes>,
    ) -> String {
        let dims = shape.iter().map(|&n| n as i64).collect();
        self.taken.insert(name.into());
        self.graph.initializer.push(TensorProto {
            dims,
            data_type: Some(kind as i32),
            name: Some(name.into()),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        });
        name.into()
    }

    /// Declares the input, whose further dimensions are `shape`.
    pub(crate) fn input(&mut self, name: &str, shape: &[usize], kind: DataType) {
        let value = self.value(name, shape, kind);
        self.graph.input.push(value);
    }

    /// Declares an image `[channels, height, width]`, of which sizes may be open.
    pub(crate) fn open_input(&mut self, name: &str, shape: [Option<usize>; 3]) {
        let value = self.open(name, &shape);
        self.graph.input.push(value);
    }

    /// Declares an output of so many dimensions, whose sizes follow.
    pub(crate) fn open_output(&mut self, name: &str, rank: usize) {
        let value = self.open(name, &vec![None; rank.saturating_sub(1)]);
        self.graph.output.push(value);
    }

    fn open(&self, name: &str, further: &[Option<usize>]) -> ValueInfoProto {
        let sizes = further.iter().enumerate().map(|(place, size)| match size {
            Some(size) => dimension::Value::DimValue(*size as i64),
            None => dimension::Value::DimParam(format!("size_{place}")),
        });
        self.value_of(name, sizes.collect(), DataType::Float)
    }

    /// Declares an output, whose further dimensions are `shape`.
    pub(crate) fn output(&mut self, name: &str, shape: &[usize], kind: DataType) {
        let value = self.value(name, shape, kind);
        self.graph.output.push(value);
    }

    fn value(&self, name: &str, shape: &[usize], kind: DataType) -> ValueInfoProto {
        let sizes = shape.iter().map(|&n| dimension::Value::DimValue(n as i64));
        self.value_of(name, sizes.collect(), kind)
    }

    fn value_of(&self, name: &str, sizes: Vec<dimension::Value>, kind: DataType) -> ValueInfoProto {
        let dim = |value| Dimension { value: Some(value), ..Dimension::default() };
        let batch = match self.batch {
            Some(batch) => dimension::Value::DimValue(batch as i64),
            None => dimension::Value::DimParam(BATCH.into()),
        };
        let shape = TensorShapeProto { dim: std::iter::once(batch).chain(sizes).map(dim).collect() };
        let tensor = type_proto::Tensor { elem_type: Some(kind as i32), shape: Some(shape) };
        let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
        ValueInfoProto { name: Some(name.into()), r#type: Some(kind), ..ValueInfoProto::default() }
    }

    /// The whole file.
    pub(crate) fn model(self, options: &ExportOptions, ir: i64) -> ModelProto {
        let entry = |(key, value): &(String, String)| StringStringEntryProto {
            key: Some(key.clone()),
            value: Some(value.clone()),
        };
        ModelProto {
            ir_version: Some(ir),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(options.opset),
            }],
            producer_name: Some("cygnet".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(self.graph),
            metadata_props: options.metadata.iter().map(entry).collect(),
            ..ModelProto::default()
        }
    }
}
