//! Makes a model of a checkpoint: finds its network, the place of the weights in it, and the names of its classes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cygnet_graph::{BuildError, Graph, Limits};
use cygnet_hub::{sha256, sha256_of};
use cygnet_image::Preprocess;
use cygnet_runtime::integers;
use cygnet_weights::{
    Accuracy, Checkpoint, Head, Located, Mismatch, ModelRecord, Naming, Quantization, RUN_KEY, Tensor,
    Tensors, WeightSet, fit, is_model_file, locate, read_class_names,
};
use cygnet_zoo::{KeyMap, Network, imagenet, registry};

use crate::endings::unread;
use crate::model::check_prepared;
use crate::named::{exact, network, preprocess};
use crate::naming::{graph_for, namings};
use crate::onnx::is_onnx;
use crate::recognise::recognise;
use crate::{Error, Model};

/// What weights were measured on when the zoo's table says nothing else.
const IMAGENET: &str = "ImageNet-1k validation";

/// What becomes of the auxiliary heads in a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Heads {
    /// They are left out.
    #[default]
    Drop,
    /// They stay if the checkpoint has all their tensors.
    #[cfg_attr(not(feature = "train"), allow(dead_code, reason = "only training wants them"))]
    KeepIfThere,
}

/// How a checkpoint of any readable format becomes a model.
///
/// ```no_run
/// use cygnet::Conversion;
///
/// let conversion = Conversion { weights_key: Some("model_ema".into()), ..Conversion::default() };
/// let converted = conversion.run("checkpoint.pth")?;
/// converted.notes.iter().for_each(|note| eprintln!("{note}"));
/// converted.model.write("model.safetensors")?;
/// # Ok::<(), cygnet::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// The network, perhaps with the tag of published weights whose preprocessing then applies; without it the network
    /// is recognised, as a published file by its hash or else by its tensors.
    pub network: Option<String>,
    /// Number of classes, if not the checkpoint's: the classifier is then initialised again.
    pub classes: Option<usize>,
    /// Where in the checkpoint the weights are: see [`cygnet_weights::open_key`].
    pub weights_key: Option<String>,
    /// A file with the names of the classes, if not those in the checkpoint: see
    /// [`cygnet_weights::read_class_names`].
    pub labels: Option<PathBuf>,
    /// Tensors that are left out, by name, or by a start of their names that ends in a dot.
    pub ignored: Vec<String>,
    /// What the graph in a Cygnet model file may ask for.
    pub limits: Limits,
}

/// A model made of a checkpoint.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The model.
    pub model: Model,
    /// What was decided that the checkpoint leaves open, a sentence each.
    pub notes: Vec<String>,
}

impl Conversion {
    /// Makes a model of the checkpoint at `path`. A Cygnet model file keeps its own record.
    ///
    /// # Errors
    /// If the file cannot be read, fits no network or several, or not the one that was named, or if there are not as
    /// many names as classes.
    pub fn run(&self, path: impl AsRef<Path>) -> Result<Converted, Error> {
        self.run_with(path.as_ref(), Heads::Drop)
    }

    /// As [`Conversion::run`], of the bytes of a checkpoint's file, which `name` is called in errors and as the model's
    /// source.
    ///
    /// # Errors
    /// If they are damaged, fit no network or several, or not the one that was named, or if there are not as many names as
    /// classes.
    pub fn run_bytes(&self, name: &str, bytes: Vec<u8>) -> Result<Converted, Error> {
        let path = Path::new(name);
        if cygnet_onnx::is_onnx(&bytes) {
            return self.labelled(self.convert_onnx(path, |options| cygnet_onnx::import(bytes, options))?);
        }
        let bytes = Arc::new(bytes);
        let parse = || {
            let parsed = cygnet_weights::parse_key(Arc::clone(&bytes), self.weights_key.as_deref());
            parsed.map_err(|error| Error::from(error).in_file(path))
        };
        self.run_of(path, parse, || Some(sha256(&bytes)), Heads::Drop)
    }

    /// As [`Conversion::run`], perhaps with auxiliary heads.
    pub(crate) fn run_with(&self, path: &Path, heads: Heads) -> Result<Converted, Error> {
        if is_onnx(path) {
            return self.labelled(self.convert_onnx(path, |options| cygnet_onnx::open(path, options))?);
        }
        let open = || {
            let opened = match &self.weights_key {
                Some(key) => cygnet_weights::open_key(path, key),
                None => cygnet_weights::open(path),
            };
            opened.map_err(|error| unread(path).unwrap_or_else(|| error.into()))
        };
        self.run_of(path, open, || sha256_of(path).ok(), heads)
    }

    /// Makes a model of the checkpoint that is read of `path`, whose hash is asked for where it may tell the network.
    fn run_of(
        &self,
        path: &Path,
        read: impl FnOnce() -> Result<Checkpoint, Error>,
        hash: impl FnOnce() -> Option<String>,
        heads: Heads,
    ) -> Result<Converted, Error> {
        let named = self.network.as_deref().map(network).transpose()?;
        let mut checkpoint = read()?;
        self.leave_out(path, &mut checkpoint)?;
        let converted = if is_model_file(&checkpoint.metadata) {
            let model = from_file(path, &checkpoint, self.classes, &self.limits)?;
            if let Some(named) = named.filter(|named| named.id != model.id) {
                let reason = format!("is a model of {}, not of {}; leave out --network", model.id, named.id);
                return Err(Error::Record { path: path.into(), reason });
            }
            Converted { model, notes: Vec::new() }
        } else if checkpoint.metadata.contains_key(RUN_KEY) {
            let reason =
                "is the state of a training run, for --resume; its models lie beside it, NAME.safetensors";
            return Err(Error::Record { path: path.into(), reason: reason.into() });
        } else {
            self.convert_bare(path, &checkpoint, hash().as_deref(), named, heads)?
        };
        self.labelled(converted)
    }

    /// The model with the names of classes that were asked for.
    fn labelled(&self, mut converted: Converted) -> Result<Converted, Error> {
        if let Some(labels) = &self.labels {
            let names = read_class_names(labels)?;
            let classes = converted.model.graph.classes();
            if names.len() != classes {
                let reason = format!("{} names for {classes} classes", names.len());
                return Err(Error::Record { path: labels.clone(), reason });
            }
            converted.model.labels = names;
        }
        Ok(converted)
    }

    /// Takes the ignored tensors out of a checkpoint.
    fn leave_out(&self, path: &Path, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        for ignored in &self.ignored {
            let before = checkpoint.tensors.len();
            let is_ignored =
                |name: &str| name == ignored || (ignored.ends_with('.') && name.starts_with(ignored));
            checkpoint.tensors.retain(|name, _| !is_ignored(name));
            if checkpoint.tensors.len() == before {
                let reason = format!("has no tensor {ignored} to ignore; a start of names ends in a dot");
                return Err(Error::Record { path: path.into(), reason });
            }
        }
        Ok(())
    }

    fn convert_bare(
        &self,
        path: &Path,
        checkpoint: &Checkpoint,
        hash: Option<&str>,
        named: Option<Network>,
        heads: Heads,
    ) -> Result<Converted, Error> {
        let published = hash
            .and_then(published_as)
            .filter(|published| named.as_ref().is_none_or(|named| named.id == published.id));
        let proven = published.as_ref().and_then(|published| published.checkpoint);
        let mut told_by_name = None;
        let network = match named {
            Some(named) => Network { checkpoint: named.checkpoint.or(proven), ..named },
            None => {
                let (network, others) = published
                    .map_or_else(|| recognise(path, checkpoint), |network| Ok((network, Vec::new())))?;
                if !others.is_empty() {
                    told_by_name = Some(format!(
                        "the names of its tensors are those of {}; their shapes would also be those of {}, for which photos may be \
                         prepared otherwise: `cygnet convert` takes it for that one with --network",
                        network.id,
                        others.join(" or ")
                    ));
                }
                network
            }
        };
        let mut converted = from_checkpoint(path, checkpoint, &network, proven, self.classes, heads)?;
        converted.notes.extend(told_by_name);
        converted.notes.extend(not_finite(&converted.model.weights));
        let taken = checkpoint.taken_key.as_deref().unwrap_or_default();
        if !checkpoint.other_keys.is_empty() {
            let others = checkpoint.other_keys.join(", ");
            converted.notes.insert(
                0,
                format!(
                    "the weights are those under {taken}; there are also {others}: --weights-key chooses"
                ),
            );
        }
        if self.labels.is_none()
            && let Some(names) = &checkpoint.class_names
        {
            let classes = converted.model.graph.classes();
            if names.len() == classes {
                converted.model.labels.clone_from(names);
                converted.notes.push(format!("the labels are the {classes} class names of the checkpoint"));
            } else {
                let count = names.len();
                converted.notes.push(format!(
                    "the checkpoint has {count} class names for {classes} classes; they are left out"
                ));
            }
        }
        Ok(converted)
    }
}

/// That some weights are no numbers, if so.
fn not_finite(weights: &WeightSet) -> Option<String> {
    let is_broken = |tensor: &Tensor| tensor.to_f32().iter().any(|number| !number.is_finite());
    let broken: Vec<&str> =
        weights.iter().filter(|(_, tensor)| is_broken(tensor)).map(|(name, _)| name).collect();
    let (first, others) = broken.split_first()?;
    let others = match others.len() {
        0 => String::new(),
        1 => " and another tensor".into(),
        count => format!(" and {count} other tensors"),
    };
    Some(format!(
        "there are NaN or infinite numbers in {first}{others}: the training that made them diverged"
    ))
}

fn from_file(
    path: &Path,
    checkpoint: &Checkpoint,
    classes: Option<usize>,
    limits: &Limits,
) -> Result<Model, Error> {
    let wrong = |reason: String| Error::Record { path: path.into(), reason };
    let record =
        ModelRecord::from_metadata(&checkpoint.metadata).map_err(|error| wrong(error.to_string()))?;
    let unfit = |error: BuildError| Error::from(error).in_file(path);
    let graph = Graph::from_json_within(&record.graph, limits).map_err(unfit)?;
    let preprocess: Preprocess = serde_json::from_value(record.preprocess)
        .map_err(|error| wrong(format!("damaged preprocessing record: {error}")))?;
    preprocess.check().map_err(|error| Error::from(error).in_file(path))?;
    check_prepared(&preprocess, &graph).map_err(wrong)?;
    let ([outputs, 1, 1] | [outputs]) = graph.node(graph.output()).shape[..] else {
        return Err(wrong(format!(
            "its output is {:?}, not one number a class",
            graph.node(graph.output()).shape
        )));
    };
    if !record.labels.is_empty() && record.labels.len() != outputs {
        return Err(wrong(format!("{} labels for {outputs} classes", record.labels.len())));
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
    let weights = fitted(path, &graph, &tensors, head)?;
    Ok(Model {
        id: record.network,
        graph,
        weights,
        quantization,
        preprocess,
        labels: if renewed { Vec::new() } else { record.labels },
        licence: record.licence,
        source: record.source,
        accuracy: record.accuracy.filter(|_| !renewed),
        recipe: record.recipe,
        training: record.training,
        written_by: Some(record.written_by),
    })
}

/// The weights of a model file's graph.
fn fitted(path: &Path, graph: &Graph, tensors: &Tensors, head: Head) -> Result<WeightSet, Error> {
    fit(graph, tensors, &Naming::own(), head)
        .map_err(|source| Error::Mismatch { path: path.into(), source: Box::new(source) })
}

/// The network that published the file of this very hash, and as which checkpoint.
fn published_as(found: &str) -> Option<Network> {
    let is_it = |checkpoint: &&registry::Checkpoint| {
        !checkpoint.sha256.is_empty() && found.starts_with(&checkpoint.sha256.to_lowercase())
    };
    cygnet_zoo::networks().find_map(|network| {
        let checkpoint = network.checkpoints().iter().find(is_it)?;
        Some(Network { checkpoint: Some(checkpoint), ..network })
    })
}

/// The model of a network whose tensors are in a bare checkpoint.
pub(crate) fn from_checkpoint(
    path: &Path,
    checkpoint: &Checkpoint,
    network: &Network,
    published: Option<&'static registry::Checkpoint>,
    classes: Option<usize>,
    heads: Heads,
) -> Result<Converted, Error> {
    let side = network.side();
    let head = if classes.is_some() { Head::Renew { seed: 0 } } else { Head::Keep };
    let tensors = &checkpoint.tensors;
    let plain = network.build()?;
    let whole = match heads {
        Heads::Drop => None,
        Heads::KeepIfThere => Some(network.build_with_heads()?),
    };
    let mut best: Option<Mismatch> = None;
    for (map, naming) in namings(network, &plain) {
        let built = whole.as_ref().filter(|whole| naming.covers(whole, tensors)).unwrap_or(&plain);
        let located = locate(built, tensors, naming);
        let graph = graph_for(built, tensors, &located.naming, classes)?;
        match fit(&graph, tensors, &located.naming, head) {
            Ok(weights) => {
                let graph = graph.resized(side, side)?;
                let mut notes = notes(checkpoint, &located);
                let stored = graph_for(built, tensors, &located.naming, None)?.classes();
                notes.extend(new_classifier(stored, graph.classes()));
                let network = &as_told(network, map);
                return Ok(Converted { model: describe(path, network, published, graph, weights), notes });
            }
            Err(mismatch) => {
                if best.as_ref().is_none_or(|best| mismatch.count() < best.count()) {
                    best = Some(mismatch);
                }
            }
        }
    }
    let source = best.expect("every network has a naming");
    Err(Error::Mismatch { path: path.into(), source: Box::new(source) })
}

/// That a checkpoint's classifier was not taken, if it was not.
pub(crate) fn new_classifier(stored: usize, classes: usize) -> Option<String> {
    (stored != classes).then(|| {
        format!(
            "the classifier for {classes} classes is random and must be trained; the checkpoint's, for {stored}, is left out"
        )
    })
}

/// The network as the source means it whose names the tensors have, unless weights or a source were named.
fn as_told(network: &Network, map: Option<&'static KeyMap>) -> Network {
    let Some(map) = map.filter(|_| network.name.is_none() && network.checkpoint.is_none()) else {
        return network.clone();
    };
    let named = network.of(map.source);
    let of_keys = network.checkpoints().iter().find(|published| published.keys == Some(map));
    Network { checkpoint: of_keys.filter(|_| named.name.is_none()), ..named }
}

/// What a user should know about where the weights were found.
fn notes(checkpoint: &Checkpoint, located: &Located) -> Vec<String> {
    let mut notes = located.notes();
    if !located.others.is_empty() {
        let taken = checkpoint.taken_key.iter().map(String::as_str);
        let whole = |other: &String| taken.clone().chain([other.as_str()]).collect::<Vec<_>>().join(".");
        let others = located.others.iter().map(whole).collect::<Vec<_>>().join(", ");
        notes.push(format!("{others} would fit as well: --weights-key chooses"));
    }
    notes
}

fn describe(
    path: &Path,
    network: &Network,
    published: Option<&'static registry::Checkpoint>,
    graph: Graph,
    weights: WeightSet,
) -> Model {
    let as_published = graph.classes() == network.spec().classes;
    let accuracy = published.filter(|published| as_published && published.accuracy[0].is_finite());
    Model {
        id: network.id.clone(),
        preprocess: preprocess(&network.preset(), graph.input_shape()),
        labels: if as_published { imagenet::labels(graph.classes()) } else { Vec::new() },
        licence: published.map(|published| published.licence.into()),
        source: Some(published.and_then(|published| published.urls.first()).map_or_else(
            || path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            |url| (*url).to_owned(),
        )),
        accuracy: accuracy.map(|published| Accuracy {
            dataset: IMAGENET.into(),
            top1: exact(published.accuracy[0]),
            top5: exact(published.accuracy[1]),
        }),
        recipe: None,
        training: None,
        quantization: None,
        written_by: None,
        graph,
        weights,
    }
}
