//! The JSON form: what a model file carries. Shapes are not stored but inferred again on reading, so a file cannot
//! claim what is not so.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::graph::Ends;
use crate::{Auxiliary, BuildError, Feature, Graph, Limits, NodeId, Op, Problem};

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
        form.graph(&Limits::default()).map_err(D::Error::custom)
    }
}

impl GraphForm {
    fn graph(self, limits: &Limits) -> Result<Graph, BuildError> {
        let parts = self.nodes.into_iter().map(|node| (node.op, node.inputs, node.path));
        let ends = Ends { output: self.output, features: self.features, auxiliary: self.auxiliary };
        Graph::checked_within(self.name, self.input, parts, ends, Some(limits))
    }
}

impl Graph {
    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a graph has string keys and finite numbers only")
    }

    /// Reads the JSON form and checks it as thoroughly as a graph that is built, and that it is within the usual
    /// [`Limits`].
    ///
    /// # Errors
    /// What is not as it must be, with its place.
    pub fn from_json(json: &serde_json::Value) -> Result<Graph, BuildError> {
        Graph::from_json_within(json, &Limits::default())
    }

    /// As [`Graph::from_json`] with other limits.
    ///
    /// # Errors
    /// What is not as it must be, with its place.
    pub fn from_json_within(json: &serde_json::Value, limits: &Limits) -> Result<Graph, BuildError> {
        let form = GraphForm::deserialize(json).map_err(|error| BuildError {
            graph: json.get("name").and_then(|name| name.as_str()).unwrap_or("graph").into(),
            place: "in its JSON form".into(),
            problem: Problem::Json(error.to_string()),
        })?;
        form.graph(limits)
    }
}
