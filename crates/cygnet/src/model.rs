//! A model: a graph with its weights and everything needed to use it on a photo.

use std::path::Path;
use std::sync::Arc;

use cygnet_graph::Graph;
use cygnet_image::Preprocess;
use cygnet_runtime::{Level, Outline, Plan, PlanOptions, RunError, integers};
use cygnet_weights::{Accuracy, Misfit, ModelFile, ModelRecord, Quantization, TrainingRecord, WeightSet};

use crate::{Error, halves};

/// A graph with its weights, how photos are prepared for it, and where it comes from.
#[derive(Clone, Debug)]
pub struct Model {
    /// Registry id of the network.
    pub id: String,
    /// The network.
    pub graph: Graph,
    /// Its parameters.
    pub weights: WeightSet,
    /// Which values and weights are integers, if the network computes with whole numbers. Weights are then stored as the record
    /// says: see [`Model::in_floating_point`].
    pub quantization: Option<Quantization>,
    /// How a photo becomes its input.
    pub preprocess: Preprocess,
    /// After whom that is and after whom it might be, in a sentence, where the checkpoint left it open and nobody said.
    pub guessed: Option<String>,
    /// The name of each class; empty if unknown.
    pub labels: Vec<String>,
    /// Licence of the weights.
    pub licence: Option<String>,
    /// Where the weights come from.
    pub source: Option<String>,
    /// What was measured with them.
    pub accuracy: Option<Accuracy>,
    /// How they were trained, if Cygnet trained them: a [`Recipe`](crate::train::Recipe) in JSON form.
    pub recipe: Option<serde_json::Value>,
    /// What they were trained from and on, if Cygnet trained them.
    pub training: Option<TrainingRecord>,
    /// What was cut of the network after it was trained: see [`compress`](crate::compress).
    pub compression: Option<serde_json::Value>,
    /// Program and version that wrote the file, if it is a model file.
    pub written_by: Option<String>,
}

impl Model {
    /// A model of a graph with its parameters: of a network of one's own, for example. Its id is the graph's name; labels
    /// and all that tells of its origin are empty.
    ///
    /// # Errors
    /// If the parameters do not fit the graph, or photos are prepared for another input than the graph's.
    pub fn new(graph: Graph, weights: WeightSet, preprocess: Preprocess) -> Result<Model, Error> {
        let weights = weights.part(&graph).map_err(misfit(&graph))?;
        let wrong = |reason: String| Error::Record { path: graph.name().into(), reason };
        preprocess.makes(graph.input_shape()).map_err(wrong)?;
        Ok(Model {
            id: graph.name().into(),
            graph,
            weights,
            quantization: None,
            preprocess,
            guessed: None,
            labels: Vec::new(),
            licence: None,
            source: None,
            accuracy: None,
            recipe: None,
            training: None,
            compression: None,
            written_by: None,
        })
    }

    /// Writes the model file, atomically.
    ///
    /// # Errors
    /// If it cannot be written; an existing file is then untouched.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Ok(self.file()?.write(path)?)
    }

    /// As [`Model::write`], but never in the place of a file: of several that write one at once a single one does.
    ///
    /// # Errors
    /// If it cannot be written; the innermost source is of the kind [`std::io::ErrorKind::AlreadyExists`] if something has
    /// the name.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Ok(self.file()?.write_new(path)?)
    }

    fn file(&self) -> Result<ModelFile, Error> {
        let record = ModelRecord {
            format: self.graph.format(),
            network: self.id.clone(),
            graph: self.graph.to_json(),
            preprocess: serde_json::to_value(&self.preprocess).expect("plain data"),
            guessed: self.guessed.clone(),
            labels: self.labels.clone(),
            licence: self.licence.clone(),
            source: self.source.clone(),
            accuracy: self.accuracy.clone(),
            recipe: self.recipe.clone(),
            training: self.training.clone(),
            compression: self.compression.clone(),
            quantization: None,
            written_by: concat!("cygnet ", env!("CARGO_PKG_VERSION")).into(),
        };
        let file = ModelFile::new(record, &self.graph, &self.weights, self.quantization.as_ref());
        file.map_err(misfit(&self.graph))
    }

    /// The same model for images of another size: the same weights, the same share of the photo. What was measured at
    /// the old size is left out.
    ///
    /// # Errors
    /// If the network cannot look at such images, or they are larger than any photo may be resized to.
    pub fn with_image_size(&self, height: usize, width: usize) -> Result<Model, Error> {
        let preprocess = self.preprocess.resized(height, width)?;
        let graph = self.graph.resized(height, width)?;
        let accuracy = self.accuracy.clone().filter(|_| self.preprocess.size == [height, width]);
        Ok(Model { graph, preprocess, accuracy, ..self.clone() })
    }

    /// The model with packed weights for the best instruction set, which `CYGNET_ISA` caps: load a model once, plan it
    /// once, and give every thread a [`Session`](cygnet_runtime::Session) of its own. A network of whole numbers is computed
    /// with them; [`Model::in_floating_point`] is not.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use cygnet::runtime::Session;
    /// use cygnet::Model;
    ///
    /// let model = Model::load("mobilenet_v2")?;
    /// let mut session = Session::automatic(model.plan()?)?;
    /// // Photos of another size take another plan, but no other file.
    /// let mut large = Session::automatic(model.with_image_size(320, 320)?.plan()?)?;
    /// let (image, mut logits) = (vec![0.0; 3 * 320 * 320], vec![0.0; 1000]);
    /// large.run(&image, &mut logits)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the weights do not fit the graph, or `CYGNET_ISA` names no instruction set.
    pub fn plan(&self) -> Result<Arc<Plan>, Error> {
        self.plan_with(Level::chosen().map_err(RunError::Plan)?.into())
    }

    /// As [`Model::plan`], with other settings, such as features.
    ///
    /// # Errors
    /// If the weights do not fit the graph, or this CPU lacks the instruction set.
    pub fn plan_with(&self, options: PlanOptions) -> Result<Arc<Plan>, Error> {
        crate::optimised::advise();
        plan_of(&self.graph, &self.weights, self.quantization.as_ref(), options)
    }

    /// What [`Model::plan_with`] would do, without packing weights.
    ///
    /// # Errors
    /// If its values would take too much memory, or it falls apart into too many kernel calls.
    pub fn outline(&self, options: PlanOptions) -> Result<Outline, Error> {
        Ok(match &self.quantization {
            Some(record) => Plan::quantized_outline_of(&self.graph, &self.weights, record, options)?,
            None => Plan::outline_of(&self.graph, halves::options(&self.graph, &self.weights, options))?,
        })
    }

    /// Its weights in floating point: what their integers stand for where the network computes with whole numbers, f32 where it
    /// computes in bf16.
    #[must_use]
    pub fn real_weights(&self) -> WeightSet {
        real_weights_of(&self.graph, &self.weights, self.quantization.as_ref())
    }

    /// What its layers compute with where that is less than 32 bits: `int8`, if any does, or `bf16`.
    #[must_use]
    pub fn precision(&self) -> Option<&'static str> {
        match &self.quantization {
            Some(_) => (self.layer_counts().int8 > 0).then_some("int8"),
            None => halves::is_bf16(&self.graph, &self.weights).then_some("bf16"),
        }
    }

    /// The same network in f32: with weights that are what integers stood for, and values that are not rounded.
    #[must_use]
    pub fn in_floating_point(self) -> Model {
        Model { weights: self.real_weights(), quantization: None, ..self }
    }

    /// The same model whose answers are logits.
    ///
    /// # Errors
    /// If an output is made of probabilities all the same.
    #[cfg(feature = "train")]
    pub(crate) fn with_logits(self) -> Result<Model, Error> {
        let (graph, places) = self.graph.logits()?;
        let quantization = self.quantization.map(|record| record.moved(&graph, &places));
        Ok(Model { graph, quantization, ..self })
    }

    /// The network up to its classifier, whose output is what the classifier reads, as a model.
    ///
    /// # Errors
    /// If the last layer with parameters is no convolution or linear layer.
    pub(crate) fn body(&self) -> Result<Model, Error> {
        let (body, _) = self.graph.body_and_head()?;
        let weights = self.real_weights().part(&body).map_err(misfit(&body))?;
        Ok(Model { graph: body, weights, quantization: None, labels: Vec::new(), ..self.clone() })
    }

    /// The label of a class, or its number if labels are unknown.
    #[must_use]
    pub fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

/// The plan of a network, of whole numbers where there is a record.
pub(crate) fn plan_of(
    graph: &Graph,
    weights: &WeightSet,
    quantization: Option<&Quantization>,
    options: PlanOptions,
) -> Result<Arc<Plan>, Error> {
    if let Some(quantization) = quantization {
        return Ok(Arc::new(Plan::quantized(graph.clone(), weights, quantization, options)?));
    }
    let numbers = weights.select(graph).map_err(misfit(graph))?;
    Ok(Arc::new(Plan::new(graph.clone(), &numbers, halves::options(graph, weights, options))?))
}

/// Weights in floating point.
pub(crate) fn real_weights_of(
    graph: &Graph,
    weights: &WeightSet,
    quantization: Option<&Quantization>,
) -> WeightSet {
    match quantization {
        Some(quantization) => integers::real_weights(graph, weights, quantization),
        None => halves::widened(graph, weights),
    }
}

/// Weights that are not those of a graph.
pub(crate) fn misfit(graph: &Graph) -> impl Fn(Misfit) -> Error {
    |misfit| Error::Record { path: graph.name().into(), reason: misfit.to_string() }
}
