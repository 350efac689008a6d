//! Makes a model of an ONNX file: its graph, that of the zoo's network that it equals, and how photos are prepared for it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use cygnet_files::write_whole;
use cygnet_graph::{Graph, Op};
use cygnet_image::{ChannelOrder, Interpolation, Preprocess};
use cygnet_onnx::{ExportOptions, ImportError, Imported, Options, Preparation};
use cygnet_weights::{Head, Naming, Tensors, WeightSet, fit};
use cygnet_zoo::{Network, imagenet};

use crate::convert::{Conversion, Converted, new_classifier};
use crate::model::check_prepared;
use crate::named::{network, preprocess};
use crate::twin::{Twin, twin};
use crate::{Error, Model};

/// Keys of a file's metadata under which this program writes what a model is besides its graph.
const NETWORK: &str = "cygnet.network";
const PREPROCESS: &str = "cygnet.preprocess";
const LABELS: &str = "cygnet.labels";
const LICENCE: &str = "cygnet.licence";
const SOURCE: &str = "cygnet.source";

/// How a model is written as an ONNX file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnnxSettings {
    /// Version of the operator set, 13 to 22.
    pub opset: u32,
    /// Images of a batch; none: any number.
    pub batch: Option<usize>,
    /// Whether pixels go in, whole numbers in rows of columns of red, green and blue, which the file prepares as the model's
    /// record says. Resizing is left to who calls it.
    pub preprocess: bool,
    /// Whether a network that gives logits ends in a softmax.
    pub softmax: bool,
    /// Whether numbers are of half precision, but for those that go in and come out.
    pub half: bool,
}

impl Default for OnnxSettings {
    fn default() -> OnnxSettings {
        OnnxSettings { opset: 17, batch: None, preprocess: false, softmax: false, half: false }
    }
}

impl Model {
    /// The bytes of an ONNX file of standard operators, with labels, preprocessing and origin in its metadata. Dropout and
    /// what only training reads are left out. A network of whole numbers keeps its integers: its values go through pairs of
    /// `QuantizeLinear` and `DequantizeLinear`.
    ///
    /// # Errors
    /// What this form cannot say, with its layer.
    pub fn to_onnx(&self, settings: &OnnxSettings) -> Result<Vec<u8>, Error> {
        let wrong = |reason: &str| Error::Record { path: self.id.clone().into(), reason: reason.into() };
        if settings.preprocess && self.preprocess.channels == ChannelOrder::Grey {
            return Err(wrong(
                "reads grey pictures, which the file cannot make of pixels in colour; leave out --preprocess",
            ));
        }
        let Preprocess { scale, mean, std, channels, .. } = self.preprocess.clone();
        let preparation = Preparation { scale, mean, std, is_reversed: channels == ChannelOrder::Bgr };
        let json = |value: serde_json::Result<String>| value.expect("plain data");
        let own = [
            (NETWORK, Some(self.id.clone())),
            (PREPROCESS, Some(json(serde_json::to_string(&self.preprocess)))),
            (LABELS, Some(json(serde_json::to_string(&self.labels))).filter(|_| !self.labels.is_empty())),
            (LICENCE, self.licence.clone()),
            (SOURCE, self.source.clone()),
        ];
        let options = ExportOptions {
            opset: settings.opset.into(),
            batch: settings.batch,
            preparation: settings.preprocess.then_some(preparation),
            softmax: settings.softmax,
            half: settings.half,
            quantization: self.quantization.clone(),
            metadata: own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect(),
        };
        cygnet_onnx::export(&self.graph.without_auxiliary(), &self.weights, &options)
            .map_err(|error| wrong(&error.to_string()))
    }

    /// Writes the ONNX file that [`Model::to_onnx`] makes, atomically.
    ///
    /// # Errors
    /// As [`Model::to_onnx`]; if it cannot be written, and an existing file is then untouched.
    pub fn write_onnx(&self, path: impl AsRef<Path>, settings: &OnnxSettings) -> Result<(), Error> {
        let (path, bytes) = (path.as_ref(), self.to_onnx(settings)?);
        write_whole(path, |file| file.write_all(&bytes))
            .map_err(|error| Error::Record { path: path.into(), reason: format!("cannot write: {error}") })
    }
}

/// Programs whose files come of Caffe, which prepared photos its own way.
const CAFFE: [&str; 2] = ["onnx-caffe2", "caffe"];

/// Pixels around the middle of a photo that a network looks at, where nothing is said: 224 of 256.
const USUAL_CROP: f64 = 0.875;

/// Whether `path` is a file that begins as an ONNX file does.
pub(crate) fn is_onnx(path: &Path) -> bool {
    let mut head = Vec::new();
    let mut read = || File::open(path).and_then(|file| file.take(16).read_to_end(&mut head));
    // What is no file may never have anything to read.
    path.is_file() && read().is_ok() && cygnet_onnx::is_onnx(&head)
}

impl Conversion {
    /// The model of an ONNX file, which `read` reads. A network that is named says how photos are prepared.
    pub(crate) fn convert_onnx(
        &self,
        path: &Path,
        read: impl FnOnce(&Options) -> Result<Imported, ImportError>,
    ) -> Result<Converted, Error> {
        let named = self.network.as_deref().map(network).transpose()?;
        if self.weights_key.is_some() || !self.ignored.is_empty() {
            let reason = "is an ONNX file, all of whose weights are read by name; leave out --weights-key and --ignore";
            return Err(Error::Record { path: path.into(), reason: reason.into() });
        }
        let failed = |source: ImportError| Error::Onnx { path: path.into(), source: Box::new(source) };
        let options = Options { limits: self.limits, ..Options::default() };
        let imported = read(&options).map_err(failed)?;
        let mut notes = imported.notes.clone();
        for output in imported.outputs.iter().filter(|output| !output.is_as_stored()) {
            notes.push(format!(
                "the output {} is in the order of channels, rows and columns here",
                output.name
            ));
        }
        for output in imported.outputs.iter().filter(|output| output.is_class()) {
            notes.push(format!(
                "the output {} is the class in the file; here it is the number of each class",
                output.name
            ));
        }
        let is_real = imported.quantization.is_none();
        let found = if is_real { twin(&imported.graph, &imported.weights) } else { None };
        let (id, graph, weights) = match &found {
            Some(Twin { network, graph, weights }) => {
                notes.push(format!(
                    "it is the network {} of the zoo, whose names its weights have",
                    network.id
                ));
                (network.id.clone(), graph.clone(), weights.clone())
            }
            None => (imported.graph.name().to_owned(), imported.graph.clone(), imported.weights.clone()),
        };
        let written = self.written(path, &imported)?;
        let (preprocess, how) = match &written {
            Some(preprocess) if named.is_none() => (preprocess.clone(), None),
            _ => prepared(&imported, found.as_ref().map(|twin| &twin.network), named.as_ref()),
        };
        notes.extend(how);
        let stored = graph.classes();
        let told = |key: &str| imported.metadata.get(key).cloned();
        let own = told(LABELS).and_then(|labels| serde_json::from_str::<Vec<String>>(&labels).ok());
        let is_told = own.as_ref().is_some_and(|labels| labels.len() == stored);
        let labels = own.filter(|_| is_told).unwrap_or_else(|| imagenet::labels(stored));
        if !labels.is_empty() && found.is_none() && !is_told {
            notes.push(format!("its {stored} classes are taken for those of ImageNet: --labels chooses"));
        }
        let mut model = Model { id, labels, ..Model::new(graph, weights, preprocess)? };
        model.quantization = imported.quantization;
        if let Some(network) = told(NETWORK) {
            model.id = network;
        }
        model.licence = told(LICENCE);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        model.source = told(SOURCE).or(name);
        if let Some(classes) = self.classes.filter(|classes| *classes != stored) {
            model = with_classes(model.in_floating_point(), path, classes)?;
            notes.extend(new_classifier(stored, classes));
        }
        Ok(Converted { model, notes })
    }
}

impl Conversion {
    /// How photos are prepared, where this program wrote the file and pixels do not go in as they are.
    fn written(&self, path: &Path, imported: &Imported) -> Result<Option<Preprocess>, Error> {
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
        check_prepared(&record, &imported.graph).map_err(wrong)?;
        Ok(Some(record))
    }
}

/// The model with another number of classes, whose classifier is initialised again.
fn with_classes(model: Model, path: &Path, classes: usize) -> Result<Model, Error> {
    let graph = model.graph.with_classes(classes)?;
    let weights = fit(&graph, &Tensors::from(model.weights), &Naming::own(), Head::Renew { seed: 0 })
        .map_err(|source| Error::Mismatch { path: path.into(), source: Box::new(source) })?;
    Ok(Model { graph, weights, labels: Vec::new(), ..model })
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
            None => Some(format!("photos are prepared as for {}: --network chooses", network.id)),
        };
        return (preprocess(&network.preset(), shape), how);
    }
    let side = height.min(width);
    let usual = Preprocess {
        size: [height, width],
        ..Preprocess::torchvision(side, (side as f64 / USUAL_CROP).round() as usize)
    };
    let (chosen, how) = if imported.input.is_bytes {
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
        "the file does not say how photos are prepared; they are {how}: --network chooses that of another"
    );
    (chosen, Some(note))
}

/// Whether a node changes nothing that is computed in use, but for weights that may be merged with others.
pub(crate) fn is_transparent(graph: &Graph, node: &cygnet_graph::Node) -> bool {
    match &node.op {
        Op::Dropout { .. } => true,
        Op::BatchNorm(_) => matches!(graph.node(node.inputs[0]).op, Op::Conv(_)),
        _ => false,
    }
}

/// The weights of a graph under other names.
pub(crate) fn renamed(weights: &WeightSet, names: &[(String, String)]) -> Tensors {
    let tensor = |(from, to): &(String, String)| Some((to.clone(), weights.get(from)?.clone()));
    names.iter().filter_map(tensor).collect()
}
