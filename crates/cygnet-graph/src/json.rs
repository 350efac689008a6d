//! The JSON form: what a model file carries. Shapes are not stored but inferred again on reading, so a file cannot
//! claim what is not so.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::graph::Ends;
use crate::{Auxiliary, BuildError, Feature, Graph, Limits, NodeId, Op, Output, Problem};

#[derive(Serialize, Deserialize)]
struct GraphForm {
    name: String,
    input: [usize; 3],
    nodes: Vec<NodeForm>,
    output: NodeId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<Output>,
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
            output: self.output(),
            outputs: if self.has_named_outputs() { self.ends.outputs.clone() } else { Vec::new() },
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
        let outputs = match self.outputs.first() {
            None => vec![Output::unnamed(self.output)],
            Some(first) if first.node == self.output => self.outputs,
            Some(first) => {
                let problem = format!("the first output is node {}, not {}", first.node.0, self.output.0);
                let (graph, place) = (self.name, "the output".into());
                return Err(BuildError { graph, place, problem: Problem::Json(problem) });
            }
        };
        let ends = Ends { outputs, features: self.features, auxiliary: self.auxiliary };
        Graph::checked_within(self.name, self.input, parts, ends, Some(limits))
    }
}

impl Graph {
    fn has_named_outputs(&self) -> bool {
        self.ends.outputs.len() > 1 || self.ends.outputs[0].name != Output::NAME
    }

    /// Version of the JSON form: the lowest whose readers see all of the graph. Graphs with named outputs or activations
    /// without a name need 2, all others 1.
    #[must_use]
    pub fn format(&self) -> u32 {
        let is_new = |op: &Op| matches!(op, Op::Activation { function } if !function.is_named());
        if self.has_named_outputs() || self.nodes.iter().any(|node| is_new(&node.op)) { 2 } else { 1 }
    }

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
