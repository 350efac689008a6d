//! The model of a Cygnet model file, which keeps its own record.

use std::path::Path;

use cygnet_graph::{BuildError, Graph, Limits};
use cygnet_image::Preprocess;
use cygnet_runtime::integers;
use cygnet_weights::{Checkpoint, Head, ModelRecord, Naming, Quantization, Tensors, WeightSet, fit};
use cygnet_zoo::Network;

use super::naming::new_classifier;
use super::request::{Converted, Request};
use crate::counted::counted;
use crate::named::preprocess;
use crate::{Error, Model, halves};

/// The model that a file holds, perhaps with a new classifier, which is told.
pub(super) fn model(
    path: &Path,
    checkpoint: &Checkpoint,
    request: &Request<'_>,
    limits: &Limits,
) -> Result<Converted, Error> {
    let classes = request.classes;
    let wrong = |reason: String| Error::Record { path: path.into(), reason };
    let record =
        ModelRecord::from_metadata(&checkpoint.metadata).map_err(|error| wrong(error.to_string()))?;
    let unfit = |error: BuildError| Error::from(error).in_file(path);
    let graph = Graph::from_json_within(&record.graph, limits).map_err(unfit)?;
    let preprocess: Preprocess = serde_json::from_value(record.preprocess)
        .map_err(|error| wrong(format!("damaged preprocessing record: {error}")))?;
    preprocess.check().map_err(|error| Error::from(error).in_file(path))?;
    preprocess.makes(graph.input_shape()).map_err(wrong)?;
    let ([outputs, 1, 1] | [outputs]) = graph.node(graph.output()).shape[..] else {
        return Err(wrong(format!(
            "its output is {:?}, not one number a class",
            graph.node(graph.output()).shape
        )));
    };
    if !record.labels.is_empty() && record.labels.len() != outputs {
        let labels = counted(record.labels.len(), "label");
        return Err(wrong(format!("{labels} for {}", counted(outputs, "class"))));
    }
    let renewed = classes.is_some_and(|wanted| wanted != graph.classes());
    let mut tensors = checkpoint.tensors.clone();
    let mut quantization = None;
    if let Some(record) = &record.quantization {
        let record =
            Quantization::take(record, &mut tensors, &graph).map_err(|bad| wrong(bad.to_string()))?;
        let weights = fitted(path, &graph, &tensors, Head::Keep)?;
        record.check(&graph, &weights).map_err(|bad| wrong(bad.to_string()))?;
        if renewed {
            tensors = integers::real_weights(&graph, &weights, &record).into();
        } else {
            quantization = Some(record);
        }
    }
    let (graph, head) = match classes.filter(|_| renewed) {
        Some(classes) => {
            let renewed = graph.with_classes(classes).map_err(unfit)?;
            renewed.check(limits).map_err(unfit)?;
            (renewed, Head::Renew { seed: 0 })
        }
        None => (graph, Head::Keep),
    };
    let weights = halves::kept(&graph, &tensors, fitted(path, &graph, &tensors, head)?);
    let mut model = Model {
        id: record.network,
        graph,
        weights,
        quantization,
        preprocess,
        guessed: record.guessed,
        labels: if renewed { Vec::new() } else { record.labels },
        licence: record.licence,
        source: record.source,
        accuracy: record.accuracy.filter(|_| !renewed),
        recipe: record.recipe,
        training: record.training,
        compression: record.compression,
        written_by: Some(record.written_by),
    };
    if let Some(named) = &request.named {
        prepare_as(&mut model, named, request).map_err(wrong)?;
    }
    let notes = model.guessed.clone().into_iter().chain(new_classifier(outputs, model.graph.classes()));
    Ok(Converted { notes: notes.collect(), model })
}

/// Prepares photos as for a network that was named, by a source or tag of it or where the file was not sure, or says
/// why the file's record holds. What Cygnet trained was trained with its own record.
fn prepare_as(model: &mut Model, named: &Network, request: &Request<'_>) -> Result<(), String> {
    let is_of_zoo = request.registry.find(&model.id).is_some();
    if named.id != model.id && (is_of_zoo || model.guessed.is_none()) {
        return Err(format!("is a model of {}, not of {}; leave out --network", model.id, named.id));
    }
    let is_told = named.name.is_some() || named.checkpoint.is_some() || model.guessed.is_some();
    if is_told && model.training.is_none() {
        let (usual, side) = (named.usual_side(), named.side());
        if side != usual && model.graph.input_shape()[1..] == [usual, usual] {
            model.graph = model.graph.resized(side, side).map_err(|error| error.to_string())?;
        }
        model.preprocess = preprocess(&named.preset(), model.graph.input_shape());
        model.guessed = None;
    }
    Ok(())
}

/// The weights of a model file's graph.
fn fitted(path: &Path, graph: &Graph, tensors: &Tensors, head: Head) -> Result<WeightSet, Error> {
    fit(graph, tensors, &Naming::own(), head)
        .map_err(|source| Error::Mismatch { path: path.into(), source: Box::new(source) })
}
