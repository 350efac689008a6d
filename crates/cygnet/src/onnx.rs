//! Writes a model as an ONNX file.

use std::io::Write;
use std::path::Path;

use cygnet_files::{write_new, write_whole};
use cygnet_image::{ChannelOrder, Preprocess};
use cygnet_onnx::{ExportOptions, Preparation};

use crate::{Error, Model};

/// Keys of a file's metadata under which this program writes what a model is besides its graph.
pub(crate) const NETWORK: &str = "cygnet.network";
pub(crate) const PREPROCESS: &str = "cygnet.preprocess";
pub(crate) const GUESSED: &str = "cygnet.guessed";
pub(crate) const LABELS: &str = "cygnet.labels";
pub(crate) const LICENCE: &str = "cygnet.licence";
pub(crate) const SOURCE: &str = "cygnet.source";

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
            (GUESSED, self.guessed.clone()),
            (LABELS, Some(json(serde_json::to_string(&self.labels))).filter(|_| !self.labels.is_empty())),
            (LICENCE, self.licence.clone()),
            (SOURCE, self.source.clone()),
        ];
        let (graph, places) = self.graph.in_use();
        let quantization = self.quantization.as_ref().map(|record| record.moved(&graph, &places));
        let options = ExportOptions {
            opset: settings.opset.into(),
            batch: settings.batch,
            preparation: settings.preprocess.then_some(preparation),
            softmax: settings.softmax,
            half: settings.half,
            quantization,
            metadata: own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect(),
        };
        cygnet_onnx::export(&graph, &self.weights, &options).map_err(|error| wrong(&error.to_string()))
    }

    /// Writes the ONNX file that [`Model::to_onnx`] makes, atomically.
    ///
    /// # Errors
    /// As [`Model::to_onnx`]; if it cannot be written, and an existing file is then untouched.
    pub fn write_onnx(&self, path: impl AsRef<Path>, settings: &OnnxSettings) -> Result<(), Error> {
        let (path, bytes) = (path.as_ref(), self.to_onnx(settings)?);
        write_whole(path, |file| file.write_all(&bytes))
            .map_err(|source| Error::Write { path: path.into(), source })
    }

    /// As [`Model::write_onnx`], but never in the place of a file: of several that write one at once a single one does.
    ///
    /// # Errors
    /// As [`Model::to_onnx`]; if it cannot be written, and the source is of the kind [`std::io::ErrorKind::AlreadyExists`] if
    /// something has the name.
    pub fn write_new_onnx(&self, path: impl AsRef<Path>, settings: &OnnxSettings) -> Result<(), Error> {
        let (path, bytes) = (path.as_ref(), self.to_onnx(settings)?);
        write_new(path, |file| file.write_all(&bytes))
            .map_err(|source| Error::Write { path: path.into(), source })
    }
}
