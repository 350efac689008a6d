//! The Cygnet model file: one `.safetensors` whose metadata carries the network's graph, its preprocessing,
//! labels and provenance. Graph and preprocessing pass through as JSON; their owners check them.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use cygnet_graph::Graph;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Misfit, Quantization, Tensors, WeightSet, WeightsError, json,
    safetensors::{self, Metadata},
};

/// Newest version of the record that this crate reads. What is written has that of its graph's form, the lowest that
/// tells all of it ([`Graph::format`](cygnet_graph::Graph::format)), or [`QUANTIZED_FORMAT`].
pub const MODEL_FORMAT: u32 = 3;

/// The version of records that have one of quantisation, which older readers would miss.
pub const QUANTIZED_FORMAT: u32 = 3;

/// The key of the metadata by which the state of a training run is known, which is no model.
pub const RUN_KEY: &str = "cygnet-run";

const KEY: &str = "cygnet";

/// A network with its weights, as stored in one file.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// What the network is and where it comes from.
    pub record: ModelRecord,
    /// Its weights under their graph names.
    pub tensors: Tensors,
}

/// Everything about a model that is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Version of this record, at most [`MODEL_FORMAT`].
    pub format: u32,
    /// Registry id, for instance `mobilenet_v2`.
    pub network: String,
    /// The graph in JSON form.
    pub graph: Value,
    /// Size, resize rule, crop, interpolation, mean, deviation, channel order, in JSON form.
    pub preprocess: Value,
    /// After whom photos are prepared and after whom they might be, in a sentence, where the checkpoint that the model
    /// was made of left that open and nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guessed: Option<String>,
    /// Name of each class; empty if unknown.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Licence of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Where the weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What was measured with these weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// How the weights were trained, in JSON form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Value>,
    /// What they were trained from and on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecord>,
    /// What was cut of the network after it was trained, in JSON form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Value>,
    /// Which values and weights are integers, as [`Quantization::to_file`](crate::Quantization::to_file) made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Value>,
    /// Program and version, for instance `cygnet 0.1.0`.
    pub written_by: String,
}

/// A measured accuracy, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// What it was measured on.
    pub dataset: String,
    /// Share of images whose first guess is right.
    pub top1: f64,
    /// Share of images whose first five guesses hold the right one.
    pub top5: f64,
}

/// Whether top-5 tells anything: among five classes or fewer it is always 100 %.
#[must_use]
pub fn top5_tells(classes: usize) -> bool {
    classes > 5
}

/// What weights were trained from and on. Nothing here tells of the machine or the time: the same run writes the same
/// bytes anywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// What the run started from.
    pub from: Origin,
    /// Name of the data set.
    pub dataset: String,
    /// Pictures learnt from, pictures by which the best epoch was chosen, and test pictures.
    pub pictures: [usize; 3],
    /// Pictures learnt from, of each class.
    pub class_pictures: Vec<usize>,
}

/// What a run started from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Registry id of the network whose weights these were; none: random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The tag of published weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// SHA-256 of that file, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(network) = &self.network else { return f.write_str("random weights") };
        f.write_str(network)?;
        if let Some(tag) = &self.tag {
            write!(f, ".{tag}")?;
        }
        if let Some(file) = &self.file {
            write!(f, " in {file}")?;
        }
        match &self.sha256 {
            Some(sha256) => write!(f, " (sha256 {})", sha256.get(..12).unwrap_or(sha256)),
            None => Ok(()),
        }
    }
}

impl ModelFile {
    /// A model of a graph with its weights, and the record of its whole numbers if there are such. `record` says all else, its
    /// format what its graph needs; its entry about quantisation is made here.
    ///
    /// # Errors
    /// If the weights lack some of the graph's.
    pub fn new(
        record: ModelRecord,
        graph: &Graph,
        weights: &WeightSet,
        quantization: Option<&Quantization>,
    ) -> Result<ModelFile, Misfit> {
        let mut tensors: Tensors = weights.part(graph)?.into();
        let Some(quantization) = quantization else {
            return Ok(ModelFile { record: ModelRecord { quantization: None, ..record }, tensors });
        };
        let (form, scales) = quantization.to_file();
        tensors.extend(scales);
        let format = record.format.max(QUANTIZED_FORMAT);
        Ok(ModelFile { record: ModelRecord { format, quantization: Some(form), ..record }, tensors })
    }

    /// Reads the model at `path`.
    ///
    /// # Errors
    /// Names the file and what is damaged; [`WeightsError::NotAModel`] for a bare checkpoint.
    pub fn read(path: impl AsRef<Path>) -> Result<ModelFile, WeightsError> {
        let path = path.as_ref();
        let (tensors, metadata) = safetensors::read(path)?;
        let record = ModelRecord::from_metadata(&metadata).map_err(|error| error.in_file(path))?;
        Ok(ModelFile { record, tensors })
    }

    /// Writes the model to `path`, atomically: an existing file is replaced when all is on disk, and
    /// untouched on an error.
    ///
    /// # Errors
    /// Names the file and its size, for instance when the disk is full.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        safetensors::write(&path, &self.tensors, &self.metadata(path.as_ref())?)
    }

    /// As [`ModelFile::write`], but a link of that name is replaced by the file.
    ///
    /// # Errors
    /// As [`ModelFile::write`].
    pub fn write_own(&self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        safetensors::write_own(&path, &self.tensors, &self.metadata(path.as_ref())?)
    }

    /// As [`ModelFile::write`], but never in the place of a file.
    ///
    /// # Errors
    /// As [`safetensors::write_new`].
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        safetensors::write_new(&path, &self.tensors, &self.metadata(path.as_ref())?)
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, WeightsError> {
        let record =
            serde_json::to_string(&self.record).map_err(|error| WeightsError::Record(error).in_file(path))?;
        Ok(Metadata::from([(KEY.into(), record), ("format".into(), "pt".into())]))
    }
}

impl ModelRecord {
    /// The record in the metadata of a safetensors file.
    ///
    /// # Errors
    /// [`WeightsError::NotAModel`] without one, else says what is wrong with it.
    pub fn from_metadata(metadata: &Metadata) -> Result<ModelRecord, WeightsError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let record = metadata.get(KEY).ok_or(WeightsError::NotAModel)?;
        let record = json::unique(record.as_bytes()).map_err(WeightsError::Record)?;
        let Version { format: found } = Version::deserialize(&record).map_err(WeightsError::Record)?;
        if !(1..=MODEL_FORMAT).contains(&found) {
            return Err(WeightsError::ModelFormat { found, known: MODEL_FORMAT });
        }
        serde_json::from_value(record).map_err(WeightsError::Record)
    }
}

/// Whether a safetensors file with this metadata is a Cygnet model.
pub fn is_model_file(metadata: &Metadata) -> bool {
    metadata.contains_key(KEY)
}
