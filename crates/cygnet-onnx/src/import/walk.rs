//! Goes through the operators of a file in order; rules turn each into nodes of the draft.

use std::collections::{BTreeMap, HashMap, HashSet};

use cygnet_graph::{Graph, NodeId, Op, Output};
use cygnet_weights::{Grid, Quantization, Tensor, WeightSet};

use super::arrange::{Choice, ImportedOutput};
use super::call::{Call, Entry};
use super::draft::{Bytes, Draft, DraftNode, LayerScales};
use super::grids;
use super::imported::{Imported, Options};
use super::inputs;
use super::stored::Stored;
use crate::array::Array;
use crate::external::External;
use crate::memory::Room;
use crate::schema::{GraphProto, NodeProto};
use crate::{ImportError, Reason, Refusal, rewrite, rules};

/// Of which operators a graph is made, and how it is to be read.
pub(crate) struct Dialect {
    /// Version of the operator set.
    pub(crate) opset: i64,
    /// Where further numbers may lie.
    pub(crate) external: External,
    /// Whether channels of the image come first for certain: of a file of the format itself they may come last.
    pub(crate) channels_first: bool,
    /// Bytes of the files that are mapped meanwhile.
    pub(crate) mapped: usize,
}

impl Dialect {
    /// The set of operators that files of other formats are told in.
    const TOLD: i64 = 17;

    /// That in which files of another format are told, which are so long.
    pub(crate) fn told(mapped: usize) -> Dialect {
        let external = External { folder: None };
        Dialect { opset: Dialect::TOLD, external, channels_first: true, mapped }
    }
}

/// Most numbers that constants may take which the file computes.
const ROOM: usize = 1 << 26;

/// The network of the graph that `read` reads, perhaps twice: where bytes have no form here, real numbers take their place.
///
/// # Errors
/// All operators that no graph can hold, with the names of their nodes.
pub(crate) fn walk(
    read: impl Fn() -> Result<GraphProto, ImportError>,
    dialect: &Dialect,
    options: &Options,
) -> Result<Imported, ImportError> {
    let obstacle = match walk_once(read()?, dialect, options)? {
        Walked::Whole(imported) => return Ok(*imported),
        Walked::Obstacle(obstacle) => obstacle,
    };
    let options = Options { real_numbers: true, ..options.clone() };
    match walk_once(read()?, dialect, &options)? {
        Walked::Whole(mut real) => {
            real.notes.push(format!("its bytes have no form here: {obstacle}"));
            Ok(*real)
        }
        Walked::Obstacle(obstacle) => Err(ImportError::Unfit(obstacle)),
    }
}

/// What comes of a graph.
enum Walked {
    Whole(Box<Imported>),
    /// Why its bytes have no record.
    Obstacle(String),
}

fn walk_once(mut graph: GraphProto, dialect: &Dialect, options: &Options) -> Result<Walked, ImportError> {
    if !graph.sparse_initializer.is_empty() {
        return Err(ImportError::Unfit("the file has sparse weights, which are not read".into()));
    }
    let mut stored = Stored::of(std::mem::take(&mut graph.initializer), options)?;
    let mut readers = readers(&graph);
    stored.check(&readers, Room::of(&options.limits, dialect.mapped))?;
    let known = stored.names();
    let (input, image, mut notes) = inputs::image(&graph, &known, dialect.channels_first, options)?;
    let mut made: HashSet<&str> = known.iter().map(String::as_str).collect();
    let mut values: HashMap<&str, Entry> = HashMap::new();
    let name = graph.input.iter().find(|value| value.name() == input.name).map_or("", |value| value.name());
    values.insert(name, input.view.clone().into());
    made.insert(name);
    let mut draft = Draft::of(image);
    if !options.real_numbers {
        let shared = readers.iter().filter(|(_, count)| **count > 1).map(|(name, _)| (*name).to_owned());
        draft.bytes = Some(Bytes { shared: shared.collect(), obstacle: None });
    }
    let mut refusals = Vec::new();
    let mut room = ROOM;
    let mut is_quantised = false;
    for node in &graph.node {
        is_quantised |= rules::quantises(node.op_type());
        for name in &node.input {
            if let Some(tensor) = stored.take(name) {
                let entry =
                    Array::of(&tensor, &dialect.external).map(Entry::Constant).unwrap_or_else(|reason| {
                        refusals.push(Refusal::new(name, "initializer", reason));
                        Entry::Refused
                    });
                values.insert(name, entry);
            }
        }
        let settings = [dialect.opset as usize, input.batch];
        let outputs = match apply(
            node,
            &mut values,
            &mut readers,
            settings,
            &mut draft,
            &dialect.external,
            &mut room,
        ) {
            Ok(outputs) => outputs,
            Err(reason) => {
                refusals.extend(reason.map(|reason| Refusal::new(name_of(node), node.op_type(), reason)));
                vec![Entry::Refused; node.output.len()]
            }
        };
        for (name, entry) in node.output.iter().zip(outputs).filter(|(name, _)| !name.is_empty()) {
            if !made.insert(name) {
                let reason = Reason::new(format!("{name} is made a second time"));
                refusals.push(Refusal::new(name_of(node), node.op_type(), reason));
            }
            values.insert(name, entry);
        }
    }
    let mut ends = Vec::new();
    for output in &graph.output {
        let refuse = |reason: &str| Refusal::new(output.name(), "output", Reason::new(reason));
        match values.get(output.name()) {
            Some(Entry::Tracked(tracked)) if tracked.pads == [0; 4] => {
                ends.push((output.name(), tracked.view.clone(), None));
            }
            Some(Entry::Tracked(tracked)) => match rules::padded(&mut draft, tracked) {
                Ok(view) => ends.push((output.name(), view, None)),
                Err(reason) => refusals.push(Refusal::new(output.name(), "output", reason)),
            },
            Some(Entry::Chosen(view, choice)) => ends.push((output.name(), view.clone(), Some(*choice))),
            Some(Entry::Constant(_)) => refusals.push(refuse("is a constant")),
            Some(Entry::Nothing(what)) => refusals.push(refuse(what)),
            Some(Entry::Refused) => {}
            None if known.contains(output.name()) => refusals.push(refuse("is a constant")),
            None => refusals.push(refuse("no operator makes it")),
        }
    }
    drop(values);
    if ends.is_empty() && refusals.is_empty() {
        return Err(ImportError::Unfit("the graph returns nothing".into()));
    }
    if !refusals.is_empty() {
        return Err(ImportError::Refused(refusals));
    }
    for (_, view, _) in &mut ends {
        // What cannot be packed is put in order when it is returned.
        let nodes = draft.nodes.len();
        match draft.packed(view) {
            Ok(packed) => *view = packed,
            Err(_) => draft.nodes.truncate(nodes),
        }
    }
    let roots: Vec<usize> = ends.iter().map(|(_, view, _)| view.base).collect();
    let places = rewrite::rewrite(&mut draft, &roots);
    ends.iter_mut().for_each(|(_, view, _)| view.base = places[view.base]);
    let mut outputs: Vec<Output> = Vec::new();
    let mut arranged = Vec::new();
    for (name, view, choice) in ends {
        if !view.batch_leads() {
            let reason = Reason::new("mixes the images of a batch");
            return Err(ImportError::Refused(vec![Refusal::new(name, "output", reason)]));
        }
        let node = NodeId(view.base);
        let output = outputs.iter().position(|output| output.node == node).unwrap_or(outputs.len());
        if output == outputs.len() {
            outputs.push(Output { name: name.into(), node });
        }
        let value = draft.shape(view.base).iter().product();
        let shape = choice.map_or_else(|| view.shape(), |choice: Choice| choice.shape(&view.shape()));
        arranged.push(ImportedOutput { name: name.into(), shape, output, view, choice, value });
    }
    let title = Some(graph.name()).filter(|name| !name.is_empty()).unwrap_or("onnx");
    let obstacle = draft.bytes.as_mut().and_then(|bytes| bytes.obstacle.take());
    let Built { graph: network, mut weights, values, scales } = built(draft, title, image, outputs, options)?;
    let mut quantization = None;
    if !options.real_numbers && is_quantised {
        let record = obstacle.map_or_else(|| grids::record(&network, &mut weights, values, &scales), Err);
        match record {
            Ok(record) => quantization = Some(record),
            Err(obstacle) => return Ok(Walked::Obstacle(obstacle)),
        }
    }
    if is_quantised {
        notes.push(match &quantization {
            Some(_) => format!("the file is quantised; {}", grids::told(&network, &weights)),
            None => "the file is quantised; the network computes with the numbers that it stands for".into(),
        });
    }
    let (producer, metadata) = (String::new(), BTreeMap::new());
    Ok(Walked::Whole(Box::new(Imported {
        graph: network,
        weights,
        quantization,
        input,
        outputs: arranged,
        is_quantised,
        producer,
        metadata,
        notes,
    })))
}

/// A node's name, or that of its first output.
fn name_of(node: &NodeProto) -> &str {
    let output = node.output.first().map_or("", String::as_str);
    if node.name().is_empty() { output } else { node.name() }
}

/// What an operator makes; no reason if what it reads was refused already.
fn apply<'g>(
    node: &'g NodeProto,
    values: &mut HashMap<&'g str, Entry>,
    readers: &mut HashMap<&'g str, usize>,
    settings: [usize; 2],
    draft: &mut Draft,
    external: &External,
    room: &mut usize,
) -> Result<Vec<Entry>, Option<Reason>> {
    let mut inputs = Vec::new();
    let mut is_refused = false;
    for name in &node.input {
        let name = name.as_str();
        // What nothing reads after this operator is no longer held for it: weights are moved to their layers.
        let left = readers.get_mut(name).map_or(0, |left| {
            *left = left.saturating_sub(1);
            *left
        });
        let entry = if left == 0 { values.remove(name) } else { values.get(name).cloned() };
        let entry = match entry {
            _ if name.is_empty() => None,
            Some(Entry::Refused) => {
                is_refused = true;
                None
            }
            Some(Entry::Nothing(what)) => {
                return Err(Some(Reason::new(format!("it reads {name}, which {what}"))));
            }
            Some(entry) => Some((name, entry)),
            None => {
                let reason = format!(
                    "it reads {name}, which nothing before it makes; the graph has a circle or is cut"
                );
                return Err(Some(Reason::new(reason)));
            }
        };
        inputs.push(entry);
    }
    let rule = rules::find(node.domain(), node.op_type()).map_err(Some)?;
    if is_refused {
        return Err(None);
    }
    let mut call = Call::new(node, inputs, settings, draft, external, room);
    let outputs = rule(&mut call).map_err(Some)?;
    if let Some(name) = call.unknown_attribute() {
        return Err(Some(Reason::new(format!("the attribute {name} is not known here"))));
    }
    for entry in &outputs {
        if let Entry::Constant(array) = entry
            && array.is_own()
        {
            call.take(array.count()).map_err(Some)?;
        }
    }
    Ok(outputs)
}

/// A graph of a draft, with what a record of quantisation is made of.
struct Built {
    graph: Graph,
    weights: WeightSet,
    values: BTreeMap<NodeId, Grid>,
    scales: BTreeMap<NodeId, LayerScales>,
}

/// The graph of a draft, and its weights.
fn built(
    draft: Draft,
    title: &str,
    image: [usize; 3],
    outputs: Vec<Output>,
    options: &Options,
) -> Result<Built, ImportError> {
    let mut paths = HashMap::new();
    let mut nodes = Vec::new();
    let mut params = Vec::new();
    let (mut values, mut scales) = (BTreeMap::new(), BTreeMap::new());
    for (id, node) in draft.nodes.into_iter().enumerate() {
        let DraftNode { op, inputs, name, params: numbers, scales: own, grid, .. } = node;
        if op == Op::Input || !Quantization::follows(&op) {
            values.extend(grid.map(|grid| (NodeId(id), grid)));
        }
        if op == Op::Input {
            continue;
        }
        scales.insert(NodeId(id), own);
        let path = if op.facts().has_params { settled(&name, &mut paths) } else { String::new() };
        nodes.push((op, inputs.into_iter().map(NodeId).collect(), path));
        params.extend(numbers);
    }
    let graph = Graph::of_parts(title, image, nodes, outputs, &options.limits)?;
    let mut weights = WeightSet::default();
    for (param, numbers) in graph.params().into_iter().zip(params) {
        let (name, count) = (param.name.clone(), numbers.len());
        let tensor = Tensor::from_numbers(param.shape.clone(), numbers).map_err(|_| {
            let reason = Reason::new(format!("{count} numbers are given, {:?} are needed", param.shape));
            ImportError::Refused(vec![Refusal::new(&name, "weights", reason)])
        })?;
        weights.insert(param.name, tensor);
    }
    Ok(Built { graph, weights, values, scales })
}

/// How often each name is read, or returned.
fn readers(graph: &GraphProto) -> HashMap<&str, usize> {
    let mut readers = HashMap::new();
    let returned = graph.output.iter().map(|output| output.name());
    for name in graph.node.iter().flat_map(|node| &node.input).map(String::as_str).chain(returned) {
        *readers.entry(name).or_default() += 1;
    }
    readers
}

/// A path that no other layer has: of letters, digits, dots and underscores, as those of the zoo.
fn settled(name: &str, paths: &mut HashMap<String, usize>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let parts = name.split(|c: char| !is_plain(c) && c != '_').filter(|part| !part.is_empty());
    let plain = parts.collect::<Vec<_>>().join(".");
    let plain = if plain.is_empty() { "layer".into() } else { plain };
    let mut path = plain.clone();
    while paths.contains_key(&path) {
        let number = paths.entry(plain.clone()).or_insert(1);
        *number += 1;
        path = format!("{plain}_{number}");
    }
    paths.insert(path.clone(), 1);
    path
}
