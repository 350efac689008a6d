//! The model of an ONNX, TFLite or ncnn file: its graph, that of the zoo's network that it equals, and how photos are prepared for it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cygnet_graph::NodeId;
use cygnet_image::{ChannelOrder, Interpolation, Preprocess};
use cygnet_onnx::{Format, Imported};
use cygnet_runtime::halved_where_exact;
use cygnet_weights::{Head, Naming, Tensors, fit};
use cygnet_zoo::{Network, imagenet};

use super::naming::new_classifier;
use super::request::{Converted, Request};
use super::twin::{Twin, twin, twin_among};
use crate::named::preprocess;
use crate::onnx::{GUESSED, LABELS, LICENCE, NETWORK, PREPROCESS, SOURCE};
use crate::{Error, Model};

/// Programs whose files come of Caffe, which prepared photos its own way.
const CAFFE: [&str; 2] = ["onnx-caffe2", "caffe"];

/// Channels of photos.
const PHOTOS: [usize; 2] = [1, 3];

/// Pixels around the middle of a photo that a network looks at, where nothing is said: 224 of 256.
const USUAL_CROP: f64 = 0.875;

/// The format of the file at `path`, if it brings its graph.
pub(super) fn format(path: &Path) -> Option<Format> {
    let mut head = Vec::new();
    let mut read = || File::open(path).and_then(|file| file.take(16).read_to_end(&mut head));
    // What is no file may never have anything to read.
    let is_read = path.is_file() && read().is_ok();
    if is_read { Format::of(&head) } else { None }
}

/// The model of what such a file holds. A network that is named says how photos are prepared.
pub(super) fn model(path: &Path, imported: Imported, request: &Request<'_>) -> Result<Converted, Error> {
    let [channels, height, width] = imported.graph.input_shape();
    if !PHOTOS.contains(&channels) {
        let reason = format!(
            "reads {channels}x{height}x{width}, which no photo becomes: photos have 1 or 3 channels; give the file of a whole \
             network, not that of a part of one"
        );
        return Err(Error::Record { path: path.into(), reason });
    }
    let mut notes = imported.notes.clone();
    for output in imported.outputs.iter().filter(|output| !output.is_as_stored()) {
        notes.push(format!("the output {} is in the order of channels, rows and columns here", output.name));
    }
    for output in imported.outputs.iter().filter(|output| output.is_class()) {
        notes.push(format!(
            "the output {} is the class in the file; here it is the number of each class",
            output.name
        ));
    }
    let found = if imported.quantization.is_none() { equal(path, &imported, request)? } else { None };
    if let Some(named) = request.named.as_ref().filter(|_| found.is_none()) {
        notes.push(format!(
            "photos are prepared as for {}; whether it is that network its layers do not tell",
            named.called()
        ));
    }
    let (id, graph, weights) = match &found {
        Some(Twin { network, graph, weights }) => {
            notes.push(format!("it is the network {} of the zoo, whose names its weights have", network.id));
            (network.id.clone(), graph.clone(), weights.clone())
        }
        None => (imported.graph.name().to_owned(), imported.graph.clone(), imported.weights.clone()),
    };
    let written = written(path, &imported)?;
    let told = |key: &str| imported.metadata.get(key).cloned();
    let (preprocess, guessed) = match &written {
        Some(preprocess) if request.named.is_none() => (preprocess.clone(), told(GUESSED)),
        _ => prepared(&imported, found.as_ref().map(|twin| &twin.network), request.named.as_ref()),
    };
    notes.extend(guessed.clone());
    let stored = graph.classes();
    let own = told(LABELS).and_then(|labels| serde_json::from_str::<Vec<String>>(&labels).ok());
    let is_told = own.as_ref().is_some_and(|labels| labels.len() == stored);
    let labels = own.filter(|_| is_told).unwrap_or_else(|| imagenet::labels(stored));
    if !labels.is_empty() && found.is_none() && !is_told {
        notes.push(format!(
            "its {stored} classes are taken for those of ImageNet: `cygnet convert` names them with --labels"
        ));
    }
    let mut model = Model { id, labels, guessed, ..Model::new(graph, weights, preprocess)? };
    model.quantization = imported.quantization;
    if model.quantization.is_some() {
        model.weights = halved_where_exact(&model.graph, model.weights);
    }
    if let Some(network) = told(NETWORK) {
        model.id = network;
    }
    model.licence = told(LICENCE);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    model.source = told(SOURCE).or(name);
    if let Some(classes) = request.classes.filter(|classes| *classes != stored) {
        model = with_classes(model.in_floating_point(), path, classes)?;
        notes.extend(new_classifier(stored, classes));
    }
    Ok(Converted { model, notes })
}

/// The network of the zoo that the file's equals, if one does: the one that was named, where that does.
///
/// # Errors
/// If another was named.
fn equal(path: &Path, imported: &Imported, request: &Request<'_>) -> Result<Option<Twin>, Error> {
    let Imported { graph, weights, .. } = imported;
    let named = request.named.as_ref();
    if let Some(found) = named.and_then(|named| twin_among(graph, weights, std::iter::once(named.clone()))) {
        return Ok(Some(found));
    }
    let found = twin(graph, weights, request.registry);
    if let (Some(Twin { network, .. }), Some(named)) = (&found, named) {
        let (id, other) = (&network.id, named.called());
        let reason = format!("is the network {id}, not {other}; leave out --network, or give --network {id}");
        return Err(Error::Record { path: path.into(), reason });
    }
    Ok(found)
}

/// How photos are prepared, where this program wrote the file and pixels do not go in as they are.
fn written(path: &Path, imported: &Imported) -> Result<Option<Preprocess>, Error> {
    let Some(record) = imported.metadata.get(PREPROCESS) else { return Ok(None) };
    let wrong = |reason: String| Error::Record { path: path.into(), reason };
    let mut record: Preprocess = serde_json::from_str(record)
        .map_err(|error| wrong(format!("damaged preprocessing record: {error}")))?;
    if imported.input.is_bytes {
        let count = record.channels.count();
        record.scale = 1.0;
        (record.mean, record.std) = (vec![0.0; count], vec![1.0; count]);
        record.channels = ChannelOrder::Rgb;
    }
    record.check().map_err(|error| Error::from(error).in_file(path))?;
    record.makes(imported.graph.input_shape()).map_err(wrong)?;
    Ok(Some(record))
}

/// The model with another number of classes, whose classifier is initialised again.
fn with_classes(model: Model, path: &Path, classes: usize) -> Result<Model, Error> {
    let graph = model.graph.with_classes(classes)?;
    let weights = fit(&graph, &Tensors::from(model.weights), &Naming::own(), Head::Renew { seed: 0 })
        .map_err(|source| Error::Mismatch { path: path.into(), source: Box::new(source) })?;
    Ok(Model { graph, weights, labels: Vec::new(), ..model })
}

/// TensorFlow's way, with the numbers that the bytes of a quantised image stand for.
fn tensorflow(imported: &Imported) -> (Preprocess, &'static str) {
    let [_, height, width] = imported.graph.input_shape();
    let usual = Preprocess { size: [height, width], ..Preprocess::inception(height.min(width), USUAL_CROP) };
    let grid = imported.quantization.as_ref().and_then(|record| record.values.get(&NodeId(0)));
    let ends = grid.map(|grid| [0, 255].map(|byte| (byte - i32::from(grid.zero)) as f32 * grid.scale(0)));
    match ends {
        Some([low, high]) if low.abs() < 0.1 && (high - 1.0).abs() < 0.1 => {
            let plain = Preprocess { mean: vec![0.0; 3], std: vec![1.0; 3], ..usual };
            (plain, "as TensorFlow does, to numbers from 0 to 1")
        }
        Some([low, high]) if low.abs() < 1.0 && (high - 255.0).abs() < 2.0 => {
            let plain = Preprocess { scale: 1.0, mean: vec![0.0; 3], std: vec![1.0; 3], ..usual };
            (plain, "as TensorFlow does, as pixels from 0 to 255")
        }
        _ => (usual, "as TensorFlow does, to numbers from -1 to 1"),
    }
}

/// How photos are prepared for a network of a file, and what was decided about it.
fn prepared(
    imported: &Imported,
    twin: Option<&Network>,
    named: Option<&Network>,
) -> (Preprocess, Option<String>) {
    let shape = imported.graph.input_shape();
    let [channels, height, width] = shape;
    let is_caffe = CAFFE.iter().any(|name| imported.producer.starts_with(name));
    if let Some(network) = named.or(twin.filter(|_| !is_caffe)) {
        let how = match named {
            Some(_) => None,
            None => Some(format!(
                "photos are prepared as for {}: `cygnet convert` chooses with --network",
                network.id
            )),
        };
        return (preprocess(&network.preset(), shape), how);
    }
    let side = height.min(width);
    let usual = Preprocess {
        size: [height, width],
        ..Preprocess::torchvision(side, (side as f64 / USUAL_CROP).round() as usize)
    };
    let (chosen, how) = if imported.producer == cygnet_onnx::TFLITE {
        tensorflow(imported)
    } else if imported.input.is_bytes {
        let plain = Preprocess { scale: 1.0, mean: vec![0.0; 3], std: vec![1.0; 3], ..usual };
        (plain, "as pixels from 0 to 255")
    } else if is_caffe {
        let caffe = Preprocess::caffe(side, 256 * side / 224);
        (Preprocess { size: [height, width], ..caffe }, "as Caffe did: blue first, 0 to 255 less its means")
    } else {
        (usual, "as torchvision does for ImageNet")
    };
    let interpolation = Interpolation::Bilinear;
    let mean = |values: &[f32]| vec![values.iter().sum::<f32>() / values.len() as f32];
    let chosen = match channels {
        1 => Preprocess {
            channels: ChannelOrder::Grey,
            mean: mean(&chosen.mean),
            std: mean(&chosen.std),
            interpolation,
            ..chosen
        },
        _ => chosen,
    };
    let note = format!(
        "the file does not say how photos are prepared; they are {how}: `cygnet convert` takes those of a network \
         with --network"
    );
    (chosen, Some(note))
}
