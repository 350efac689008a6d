//! Small files, made here: what rules make of them, and that no file does harm.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bytes;
mod hostile;
mod ncnn;
mod pieces;
mod shapes;
mod tflite;

use prost::Message;

use crate::schema::attribute_proto::AttributeType;
use crate::schema::tensor_proto::DataType;
use crate::schema::tensor_shape_proto::{Dimension, dimension};
use crate::schema::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};
use crate::{Imported, Options, import};

/// A file of one float input `x`, whose output is `y`.
struct File {
    model: ModelProto,
}

impl File {
    /// With an input of that shape; 0 is a dimension that is left open.
    fn of(shape: &[i64]) -> File {
        let graph = GraphProto {
            name: Some("small".into()),
            input: vec![value("x", shape)],
            output: vec![value("y", &[])],
            ..GraphProto::default()
        };
        File {
            model: ModelProto {
                ir_version: Some(8),
                opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
                graph: Some(graph),
                ..ModelProto::default()
            },
        }
    }

    fn opset(mut self, version: i64) -> File {
        self.model.opset_import[0].version = Some(version);
        self
    }

    fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.as_mut().unwrap()
    }

    /// A node in the form `y = Conv(x, w)`, with integer lists as attributes: `a = Softmax(x) axis=1`.
    fn node(mut self, text: &str) -> File {
        let (outputs, call) = text.split_once(" = ").unwrap();
        let (call, settings) = call.split_once(')').unwrap();
        let (operator, inputs) = call.split_once('(').unwrap();
        let list = |names: &str| names.split(", ").map(str::to_owned).collect::<Vec<_>>();
        let attribute = |setting: &str| {
            let (name, value) = setting.split_once('=').unwrap();
            let mut attribute = AttributeProto { name: Some(name.into()), ..AttributeProto::default() };
            if let Ok(n) = value.parse() {
                attribute.i = Some(n);
                attribute.set_type(AttributeType::Int);
            } else if let Ok(x) = value.parse() {
                attribute.f = Some(x);
                attribute.set_type(AttributeType::Float);
            } else if let Some(ints) = value.strip_prefix('[') {
                let ints = ints.trim_end_matches(']').split(',').map(|n| n.parse().unwrap());
                attribute.ints = ints.collect();
                attribute.set_type(AttributeType::Ints);
            } else {
                attribute.s = Some(value.to_owned().into());
                attribute.set_type(AttributeType::String);
            }
            attribute
        };
        self.graph().node.push(NodeProto {
            input: if inputs.is_empty() { Vec::new() } else { list(inputs) },
            output: list(outputs),
            op_type: Some(operator.into()),
            attribute: settings.split_whitespace().map(attribute).collect(),
            ..NodeProto::default()
        });
        self
    }

    /// Weights, whose numbers are 0.5, 1, 1.5 and so on.
    fn weight(self, name: &str, shape: &[i64]) -> File {
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|n: i64| 0.5 * (n + 1) as f32).collect();
        self.floats(name, shape, &numbers)
    }

    fn floats(mut self, name: &str, shape: &[i64], numbers: &[f32]) -> File {
        self.graph().initializer.push(TensorProto {
            dims: shape.to_vec(),
            data_type: Some(DataType::Float as i32),
            name: Some(name.into()),
            float_data: numbers.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    fn ints(mut self, name: &str, numbers: &[i64]) -> File {
        self.graph().initializer.push(TensorProto {
            dims: vec![numbers.len() as i64],
            data_type: Some(DataType::Int64 as i32),
            name: Some(name.into()),
            int64_data: numbers.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    fn import(&self) -> Imported {
        import(self.bytes(), &Options::default()).unwrap()
    }

    /// The operators of the graph it becomes, after the image.
    fn operators(&self) -> String {
        let imported = self.import();
        let names: Vec<&str> = imported.graph.nodes()[1..].iter().map(|node| node.op.name()).collect();
        names.join(" ")
    }

    fn refusal(&self) -> String {
        import(self.bytes(), &Options::default()).unwrap_err().to_string()
    }
}

fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = |&n: &i64| {
        let value =
            if n == 0 { dimension::Value::DimParam("n".into()) } else { dimension::Value::DimValue(n) };
        Dimension { value: Some(value), ..Dimension::default() }
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(DataType::Float as i32), shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.into()), r#type: Some(kind), ..ValueInfoProto::default() }
}
