//! The JSON form: what a model file carries. Shapes are not stored but inferred again on reading, so a file cannot
//! claim what is not so.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::graph::Ends;
use crate::{Auxiliary, Feature, Graph, NodeId, Op, Problem};

#[derive(Serialize, Deserialize)]
struct GraphForm {
    name: String,
    input: [usize; 3],
    nodes: Vec<NodeForm>,
    output: NodeId,
    #[serde(default)]
    features: Vec<Feature>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    auxiliary: Vec<Auxiliary>,
}

#[derive(Serialize, Deserialize)]
struct NodeForm {
    #[serde(flatten)]
    op: Op,
    inputs: Vec<NodeId>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    path: String,
}

impl Serialize for Graph {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let node = |node: &crate::Node| NodeForm {
            op: node.op.clone(),
            inputs: node.inputs.clone(),
            path: node.path.clone(),
        };
        GraphForm {
            name: self.name.clone(),
            input: self.input_shape(),
            nodes: self.nodes[1..].iter().map(node).collect(),
            output: self.ends.output,
            features: self.ends.features.clone(),
            auxiliary: self.ends.auxiliary.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Graph {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Graph, D::Error> {
        let form = GraphForm::deserialize(deserializer)?;
        let parts = form.nodes.into_iter().map(|node| (node.op, node.inputs, node.path));
        let ends = Ends { output: form.output, features: form.features, auxiliary: form.auxiliary };
        Graph::checked(form.name, form.input, parts, ends).map_err(D::Error::custom)
    }
}

impl Graph {
    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a graph has string keys and finite numbers only")
    }

    /// Reads the JSON form and checks it as thoroughly as a graph that is built.
    ///
    /// # Errors
    /// What is not as it must be, with its place.
    pub fn from_json(json: &serde_json::Value) -> Result<Graph, crate::BuildError> {
        Graph::deserialize(json).map_err(|error| crate::BuildError {
            graph: json.get("name").and_then(|name| name.as_str()).unwrap_or("graph").into(),
            place: "in its JSON form".into(),
            problem: Problem::Json(error.to_string()),
        })
    }
}
