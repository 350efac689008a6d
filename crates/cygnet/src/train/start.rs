//! What a run starts from: network, weights, recipe, teacher.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use cygnet_graph::{Graph, Limits, Op};
use cygnet_hub::{Cache, Progress as Download, sha256_of};
use cygnet_image::{Crop, Preprocess, Resize, Splits};
use cygnet_train::{Quantize, Recipe, State, Teacher, Trained, Trainee, initial_weights};
use cygnet_weights::{Origin, Tensor, WeightSet};

use crate::convert::{Conversion, Heads};
use crate::finite::check_finite;
use crate::model::misfit;
use crate::{Error, Model, local, network, preprocess, pull};

/// Weights to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The network's published weights.
    Pretrained,
    /// Random ones.
    Scratch,
    /// A model file or a checkpoint of the network, or the address of one.
    File(PathBuf),
}

impl FromStr for Start {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Start, Self::Err> {
        Ok(match text {
            "pretrained" => Start::Pretrained,
            "scratch" => Start::Scratch,
            file => Start::File(file.into()),
        })
    }
}

/// Refuses a file that is not there, which may be a misspelt word.
fn check_start(path: &Path) -> Result<(), Error> {
    /// How alike a word must be to be proposed, from 0 to 1.
    const ALIKE: f64 = 0.6;
    if path.exists() {
        return Ok(());
    }
    let typed = path.to_string_lossy();
    let mut words = ["pretrained", "scratch"].into_iter();
    let meant = words.find(|word| strsim::normalized_damerau_levenshtein(&typed, word) >= ALIKE);
    let proposal = meant.map_or_else(String::new, |word| format!(" (did you mean {word}?)"));
    let reason =
        format!("no such file or folder{proposal}; --from takes pretrained, scratch or a checkpoint");
    Err(Error::Record { path: path.into(), reason })
}

/// Sides up to this are those of small pictures, such as CIFAR's.
const SMALL: usize = 64;

/// A recipe of Cygnet's and what is changed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitting {
    /// The recipe's name.
    pub recipe: &'static str,
    /// Settings for [`Recipe::compose`].
    pub settings: Vec<String>,
}

/// Without batch norm the layers' gradients differ too much for one rate of SGD; steps must not depend on their size.
const WITHOUT_BATCH_NORM: [&str; 4] =
    ["optimizer.kind=adamw", "optimizer.rate=0.001", "optimizer.rate_batch=0", "optimizer.weight_decay=0.01"];

/// The recipe that fits when none is named: `finetune` for weights that were trained before, else by the size of the
/// first picture that can be read, or by the size `image` that the caller sets, and by the kind of network.
#[must_use]
pub fn fitting_recipe(name: &str, start: &Start, splits: Option<&Splits>, image: Option<usize>) -> Fitting {
    let graph = network(name).ok().and_then(|network| network.build().ok());
    fitting_recipe_of(graph.as_ref(), start, splits, image)
}

/// As [`fitting_recipe`], for a graph.
pub(crate) fn fitting_recipe_of(
    graph: Option<&Graph>,
    start: &Start,
    splits: Option<&Splits>,
    image: Option<usize>,
) -> Fitting {
    if *start != Start::Scratch {
        return Fitting { recipe: "finetune", settings: Vec::new() };
    }
    let decoded =
        |splits: &Splits| splits.train.samples.iter().find_map(|sample| sample.decode(splits.limits).ok());
    let side = image.or_else(|| splits.and_then(decoded).map(|image| image.width.max(image.height)));
    let small = side.filter(|&side| side <= SMALL);
    let mut settings = Vec::new();
    if let (None, Some(side)) = (image, small) {
        settings.push(format!("image={}", if side <= 48 { 32 } else { 64 }));
    }
    let is_normed = |graph: &Graph| graph.nodes().iter().any(|node| matches!(node.op, Op::BatchNorm(_)));
    if graph.is_some_and(|graph| !is_normed(graph)) {
        settings.extend(WITHOUT_BATCH_NORM.map(str::to_owned));
    }
    Fitting { recipe: if small.is_some() { "scratch-small" } else { "scratch" }, settings }
}

/// A network for the classes `labels` and the recipe's image size, with weights to start from. The classifier is new
/// unless the weights are for the very same classes. Auxiliary heads are there if the recipe wants them and the network
/// starts from random weights or from a checkpoint that has theirs.
///
/// # Errors
/// If there is no such network, its weights cannot be had or do not fit, or it cannot have this image size.
pub fn trainee(
    name: &str,
    start: &Start,
    labels: &[String],
    recipe: &Recipe,
    cache: &Cache,
    progress: &mut dyn Download,
) -> Result<Trainee, Error> {
    trainee_within(name, start, labels, recipe, &Limits::default(), cache, progress)
}

/// As [`trainee`]; the network of a file may ask for as much as `limits` say.
pub(super) fn trainee_within(
    name: &str,
    start: &Start,
    labels: &[String],
    recipe: &Recipe,
    limits: &Limits,
    cache: &Cache,
    progress: &mut dyn Download,
) -> Result<Trainee, Error> {
    crate::optimised::advise_training();
    let classes = labels.len();
    let becomes_int8 = recipe.quantize == Quantize::Int8;
    let wants_heads = recipe.auxiliary > 0.0 && recipe.train == Trained::All && !becomes_int8;
    let heads = if wants_heads { Heads::KeepIfThere } else { Heads::Drop };
    let (mut origin, mut notes) = (Origin::default(), Vec::new());
    let mut model = match start {
        Start::Pretrained => {
            let no_start = |error: Error| Error::NoStart { reason: error.to_string() };
            let network = network(name)?;
            let (path, checkpoint) = pull(&network, cache, progress).map_err(no_start)?;
            (origin.tag, origin.sha256) = (Some(checkpoint.tag.into()), sha256_of(&path).ok());
            let model = Model::published(network, &path, checkpoint, None, heads).map_err(no_start)?;
            origin.network = Some(model.id.clone());
            model
        }
        Start::File(path) => {
            let path = &local(path, cache, progress)?;
            check_start(path)?;
            let convert = |network: Option<&str>| {
                let network = network.map(str::to_owned);
                let conversion = Conversion { network, limits: *limits, ..Conversion::default() };
                Ok(conversion.run_with(path, heads)?.model)
            };
            let model = convert(None).or_else(|error| match error {
                Error::Ambiguous { .. } | Error::Unrecognised { .. } => convert(Some(name)),
                other => Err(other),
            })?;
            check_finite(path, &model.weights)?;
            origin.network = Some(model.id.clone());
            origin.file = path.file_name().map(|name| name.to_string_lossy().into_owned());
            origin.sha256 = sha256_of(path).ok();
            if model.quantization.is_some() {
                let becomes = match recipe.quantize {
                    Quantize::Int8 => "learning goes on from the rounded weights, with new ranges",
                    Quantize::None => {
                        "learning goes on from the rounded weights, and the model will be in floating point; \
                         `cygnet quantize` makes it int8 again"
                    }
                };
                notes.push(format!(
                    "{} is int8: {becomes}; the model that was quantised is the better start",
                    path.display()
                ));
            }
            model.in_floating_point()
        }
        Start::Scratch => {
            check_trained(recipe)?;
            let network = network(name)?;
            let side = network.side();
            let graph = if wants_heads { network.build_with_heads()? } else { network.build()? };
            let graph = graph.resized(side, side)?;
            let weights = WeightSet::of(&graph, initial_weights(&graph, recipe.seed));
            let weights = weights.map_err(misfit(&graph))?;
            let preprocess = preprocess(&network.preset(), graph.input_shape());
            Model { id: network.id, ..Model::new(graph, weights, preprocess)? }
        }
    };
    if model.labels != labels && becomes_int8 {
        let reason = format!(
            "{} knows other classes than the pictures; train it on them in floating point first, then with --quantize int8 \
             --from the file that comes out",
            model.id
        );
        return Err(Error::NoStart { reason });
    }
    if model.labels != labels {
        let graph = model.graph.with_classes(classes)?;
        let params = graph.params();
        let classifiers = graph.classifiers();
        let fresh = initial_weights(&graph, recipe.seed);
        for (param, fresh) in params.into_iter().zip(fresh) {
            if classifiers.contains(&param.node) {
                model.weights.insert(param.name, Tensor::from_numbers(param.shape, fresh)?);
            }
        }
        model.graph = graph;
    }
    let weights = model.weights.part(&model.graph).map_err(misfit(&model.graph))?;
    let trainee = Trainee {
        preprocess: model.preprocess,
        id: model.id,
        graph: model.graph.without_softmax()?,
        weights,
        licence: model.licence,
        source: model.source,
        origin,
        compression: model.compression,
        notes,
    };
    fitted(trainee, recipe)
}

/// Refuses to round what has learnt nothing yet.
fn check_trained(recipe: &Recipe) -> Result<(), Error> {
    match recipe.quantize {
        Quantize::None => Ok(()),
        Quantize::Int8 => {
            let reason = "random weights are not trained with rounding; train without --quantize first, then with it \
                          --from the file that comes out";
            Err(Error::NoStart { reason: reason.into() })
        }
    }
}

/// A network of one's own with random weights and the recipe's image size.
///
/// # Errors
/// If it is for another number of classes than `labels`, or cannot have this image size.
pub fn own_trainee(id: &str, graph: &Graph, labels: &[String], recipe: &Recipe) -> Result<Trainee, Error> {
    check_trained(recipe)?;
    let mut trainee = Trainee::from_scratch(id, graph.without_softmax()?, recipe.seed);
    if trainee.graph.classes() != labels.len() {
        let classes = trainee.graph.classes();
        let reason = format!("the graph is for {classes} classes, the pictures are of {}", labels.len());
        return Err(Error::Record { path: id.into(), reason });
    }
    if recipe.auxiliary <= 0.0 || recipe.train != Trained::All {
        trainee = trainee.without_auxiliary();
    }
    fitted(trainee, recipe)
}

/// The network for the recipe's image size and part.
fn fitted(mut trainee: Trainee, recipe: &Recipe) -> Result<Trainee, Error> {
    recipe.train.check(&trainee.graph)?;
    let native = trainee.preprocess.size[0];
    let side = if recipe.image == 0 { native } else { recipe.image };
    trainee.preprocess = prepared(trainee.preprocess, native, side, recipe);
    let graph = match sized(&trainee.graph, side, recipe) {
        Err(error) if !trainee.graph.auxiliary().is_empty() => {
            // Heads have windows of their own, which need larger images than the rest.
            trainee = trainee.without_auxiliary();
            trainee.notes.push(format!("auxiliary heads are left out: {error}"));
            sized(&trainee.graph, side, recipe)?
        }
        sized => sized?,
    };
    let steps = |graph: &Graph| graph.features().last().map(|last| graph.stride(last.node));
    if let (Some(before), Some(now)) = (steps(&trainee.graph), steps(&graph))
        && now < before
    {
        trainee.notes.push(format!(
            "early strides become 1 (smallest_map={}): pictures shrink {now} times, not {before}",
            recipe.smallest_map
        ));
    }
    trainee.graph = graph;
    Ok(trainee)
}

fn sized(graph: &Graph, side: usize, recipe: &Recipe) -> Result<Graph, Error> {
    let [_, height, width] = graph.input_shape();
    if [height, width] == [side, side] {
        return Ok(graph.clone());
    }
    Ok(graph.for_small_images(side, recipe.smallest_map)?)
}

/// The preprocessing for another image size: what is cut off keeps its share, and for padded crops nothing is.
fn prepared(mut preprocess: Preprocess, native: usize, side: usize, recipe: &Recipe) -> Preprocess {
    preprocess.size = [side, side];
    let whole = recipe.augment.crop == Crop::Padded;
    preprocess.resize = match preprocess.resize {
        _ if whole => Resize::ShorterSide { side },
        Resize::ShorterSide { side: longer } => {
            Resize::ShorterSide { side: (longer as f64 * side as f64 / native as f64).round() as usize }
        }
        other @ (Resize::CropFraction { .. } | Resize::CropPct { .. } | Resize::Squash | Resize::None) => {
            other
        }
    };
    preprocess
}

/// A run's network as it was when its state was written.
///
/// # Errors
/// If the state is damaged.
pub fn trainee_of(state: &State, path: &Path) -> Result<Trainee, Error> {
    crate::optimised::advise_training();
    let record = state.record();
    let wrong = |reason: String| Error::Record { path: path.into(), reason };
    let graph = state.graph().map_err(|error| Error::from(error).in_file(path))?;
    Ok(Trainee {
        id: record.network.clone(),
        weights: state.weights(path, &graph)?,
        graph,
        preprocess: serde_json::from_value(record.preprocess.clone())
            .map_err(|error| wrong(error.to_string()))?,
        licence: record.licence.clone(),
        source: record.source.clone(),
        origin: record.training.as_ref().map(|training| training.from.clone()).unwrap_or_default(),
        compression: record.compression.clone(),
        notes: Vec::new(),
    })
}

/// The network that the recipe's `distill.teacher` names, for images of the trained one's size. It may ask for as much as
/// `limits` say.
///
/// # Errors
/// If it cannot be had, or is for other classes.
pub fn teacher(
    trainee: &Trainee,
    labels: &[String],
    recipe: &Recipe,
    limits: &Limits,
    cache: &Cache,
    progress: &mut dyn Download,
) -> Result<Option<Teacher>, Error> {
    let name = &recipe.distill.teacher;
    if name.is_empty() {
        return Ok(None);
    }
    let model = Model::load_within(name, limits, cache, progress)?.in_floating_point();
    check_finite(Path::new(name), &model.weights)?;
    if model.labels != labels {
        let reason = "is for other classes than the pictures'; a teacher must know the same".into();
        return Err(Error::Record { path: name.into(), reason });
    }
    let [_, height, width] = trainee.graph.input_shape();
    let graph = model.graph.without_softmax()?.resized(height, width)?;
    graph.check(limits)?;
    Ok(Some(Teacher { graph, weights: model.weights, preprocess: model.preprocess }))
}

/// Whether `name`, perhaps with a tag, stands for the network `id`.
pub(super) fn is_network(name: &str, id: &str) -> bool {
    let untagged = name.match_indices('.').map(|(at, _)| &name[..at]);
    name == id
        || untagged.chain([name]).any(|name| crate::network(name).is_ok_and(|network| network.id == id))
}
