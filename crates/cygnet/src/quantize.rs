//! Models of fewer bits: quantised on photos after training, and held against what they were made of.

use std::path::Path;
use std::time::Duration;

use cygnet_graph::{Graph, Role};
use cygnet_image::{DecodeLimits, Image, Rng, Splits, collect_images, without_name};
use cygnet_quantize::{
    Agreement, Loss, QuantizeOptions, QuantizedNetwork, Sensitivity, check_images, compare,
};
use cygnet_runtime::{Level, PlanOptions, RunError, Session};
use cygnet_weights::{Dtype, Tensor};
use serde::Serialize;

use crate::bench::{quantile, sample};
use crate::counted::counted;
use crate::evaluate::class_numbers;
use crate::halves::{halved, halved_in_part};
use crate::{Classifier, Error, Model};

/// What numbers a model is to compute with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Bytes: an eighth of a float's bits for two thirds of its places.
    #[default]
    Int8,
    /// Weights in bf16, the upper half of a float, and inputs too in layers that read theirs once.
    Bf16,
}

/// How a model is quantised.
#[derive(Clone, Copy, Debug)]
pub struct Quantizing {
    /// What for.
    pub precision: Precision,
    /// Most photos that are looked at.
    pub images: usize,
    /// Points of top-1 accuracy, or of agreement where photos have no labels, that may be lost on the photos, beyond
    /// chance: see [`QuantizeOptions::drop`].
    pub drop: f64,
    /// Threads; they change no result.
    pub threads: usize,
    /// Most bytes for values of the photos: see [`QuantizeOptions::memory_bytes`].
    pub memory_bytes: Option<u64>,
    /// What may be decoded.
    pub limits: DecodeLimits,
}

impl Default for Quantizing {
    /// int8, 100 photos, half a point, one thread.
    fn default() -> Quantizing {
        let (precision, limits) = (Precision::default(), DecodeLimits::default());
        Quantizing { precision, images: 100, drop: 0.5, threads: 1, memory_bytes: None, limits }
    }
}

/// What became of a model.
#[derive(Clone, Debug, Serialize)]
pub struct QuantizeReport {
    /// What it computes with now.
    pub precision: Precision,
    /// Photos that were looked at.
    pub images: usize,
    /// Percent of photos with the same first guess as before.
    pub agreement: f64,
    /// Mean divergence of the probabilities from those before (Kullback-Leibler), in nats.
    pub kl: f64,
    /// Percent of photos whose first guess was right, if photos have labels.
    pub top1_before: Option<f64>,
    /// Percent of photos whose first guess is right.
    pub top1: Option<f64>,
    /// Points of top-1 accuracy that are lost on these photos, or of agreement where they have no labels; below 0 if
    /// more came right.
    pub lost: f64,
    /// Points that are lost on other photos at most, 95 times of 100: the fewer photos, the less is known.
    pub lost_at_most: f64,
    /// Median time of a photo on one thread before, in milliseconds.
    pub ms_before: f64,
    /// Median time of a photo on one thread, in milliseconds.
    pub ms: f64,
    /// Bytes of the weights before.
    pub bytes_before: usize,
    /// Bytes of the weights, with what their integers stand for.
    pub bytes: usize,
    /// Layers by what they compute with.
    pub layers: LayerCounts,
    /// What the rounding of each layer alone does to the logits, as a share of their variance, in the order of the network.
    pub sensitivity: Vec<LayerNoise>,
}

/// Numbers of layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerCounts {
    /// That compute with bytes.
    pub int8: usize,
    /// Whose weights are bf16.
    pub bf16: usize,
    /// That compute as before.
    pub f32: usize,
}

/// What the rounding of one layer does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNoise {
    /// Its path.
    pub layer: String,
    /// The share.
    pub noise: f64,
}

/// A model of fewer bits.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The model.
    pub model: Model,
    /// What became of it.
    pub report: QuantizeReport,
    /// What its user should know, a sentence each.
    pub notes: Vec<String>,
}

/// Quantises a model by `photos`: anything that training reads, or a folder or pattern of pictures without labels; none: by
/// generated images, which are a poor stand-in. `tell` hears what is done.
///
/// # Errors
/// If the model computes with whole numbers already, or photos cannot be read.
pub fn quantize(
    model: &Model,
    photos: Option<&Path>,
    how: &Quantizing,
    tell: &mut dyn FnMut(&str),
) -> Result<Quantized, Error> {
    if model.quantization.is_some() {
        let reason = "computes with whole numbers already; quantise the model that it was made of".into();
        return Err(Error::Record { path: model.id.clone().into(), reason });
    }
    let mut notes = Vec::new();
    let Looked { images, labels } = match photos {
        Some(photos) => look(model, photos, how, &mut notes)?,
        None => {
            notes.push(match how.precision {
                Precision::Int8 => {
                    "ranges are those of generated images, and nobody knows what is lost; give photos for a model that is \
                     to be used"
                        .into()
                }
                Precision::Bf16 => {
                    "what is lost was seen on generated images alone; give photos to know it".into()
                }
            });
            check_images(&model.graph, how.images, how.memory_bytes)?;
            Looked { images: generated(&model.graph, how.images), labels: Vec::new() }
        }
    };
    let mut quantized = Model { accuracy: None, ..model.clone() };
    let mut sensitivity: Vec<Sensitivity> = Vec::new();
    match how.precision {
        Precision::Int8 => {
            let plan = PlanOptions::strict(Level::chosen().map_err(RunError::Plan)?);
            // What is lost on generated images says nothing.
            let drop = if photos.is_some() { how.drop } else { f64::INFINITY };
            let Quantizing { threads, memory_bytes, .. } = *how;
            let options = QuantizeOptions { plan, threads, method: None, drop, memory_bytes };
            let made =
                cygnet_quantize::quantize(&model.graph, &model.weights, &images, &labels, options, tell)?;
            let QuantizedNetwork { graph, weights, quantization, .. } = made;
            sensitivity = made.sensitivity;
            let weights = halved_in_part(&graph, weights);
            quantized = Model { graph, weights, quantization: Some(quantization), ..quantized };
        }
        Precision::Bf16 => quantized.weights = halved(&model.graph, &model.weights),
    }
    tell("holding it against what it was made of");
    let [(before, ms_before), (after, ms)] = [answers(model, &images)?, answers(&quantized, &images)?];
    let Agreement { agreement, kl } = compare(&before, &after);
    let top1 = |answers: &[Vec<f32>]| {
        let right =
            answers.iter().zip(&labels).filter(|(answer, label)| cygnet_quantize::guess(answer) == **label);
        let count = right.count();
        (!labels.is_empty()).then(|| percent(count as f64 / labels.len() as f64))
    };
    let layers = layers(&quantized);
    let loss = Loss::of(&before, &after, &labels);
    if how.precision == Precision::Int8 && photos.is_some() && layers.int8 > 0 {
        notes.extend(undecided(loss, how.drop, images.len(), labels.is_empty()));
    }
    if how.precision == Precision::Int8 && layers.int8 == 0 {
        notes.push(
            "no layer computes with bytes: each loses more than it may; allow more, or give more photos"
                .into(),
        );
    }
    let report = QuantizeReport {
        precision: how.precision,
        images: images.len(),
        agreement: percent(agreement),
        kl,
        top1_before: top1(&before),
        top1: top1(&after),
        lost: percent(loss.lost),
        lost_at_most: percent(loss.at_most),
        ms_before,
        ms,
        bytes_before: bytes(model),
        bytes: bytes(&quantized),
        layers,
        sensitivity: sensitivity
            .into_iter()
            .map(|Sensitivity { path, noise, .. }| LayerNoise { layer: path, noise })
            .collect(),
    };
    Ok(Quantized { model: quantized, report, notes })
}

/// What the photos leave open of whether no more is lost than may be.
fn undecided(loss: Loss, drop: f64, photos: usize, unlabelled: bool) -> Option<String> {
    let [lost, chance, at_most] = [loss.lost, loss.chance, loss.at_most].map(percent);
    let of = if unlabelled { "agreement" } else { "top-1" };
    let photos = counted(photos, "photo");
    if at_most <= drop {
        return None;
    }
    Some(if lost - chance > drop {
        format!(
            "{lost:.1} points of {of} are lost on {photos}, more than the {drop} that may be, with the most \
             sensitive layers in floating point: try --precision bf16, or photos that are more like those it will see"
        )
    } else if lost > drop {
        format!(
            "{lost:.1} points of {of} are lost on {photos}, more than the {drop} that may be, but so few tell it \
             to within {chance:.1} only; more photos decide it"
        )
    } else {
        format!(
            "{of} is judged on {photos}, which cannot tell a loss of {drop} points: on others up to \
             {at_most:.1} may be lost; more photos tell more"
        )
    })
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

/// Images as the network wants them, with their classes if these are known.
struct Looked {
    images: Vec<Vec<f32>>,
    labels: Vec<usize>,
}

fn look(model: &Model, photos: &Path, how: &Quantizing, notes: &mut Vec<String>) -> Result<Looked, Error> {
    let check = |photos: usize| check_images(&model.graph, photos.min(how.images), how.memory_bytes);
    let splits = Splits::open_any(photos, how.limits);
    let (samples, names) = match splits {
        Ok(Splits { train, validation, test, .. }) => {
            let parts = [Some(train), validation, test].into_iter().flatten();
            let part = parts.into_iter().find(|part| !part.samples.is_empty()).unwrap_or_default();
            (part.samples, part.classes)
        }
        Err(error) => {
            let Ok(paths) = collect_images([photos]) else { return Err(error.into()) };
            check(paths.len())?;
            let (mut images, mut unread) = (Vec::new(), None);
            for path in spread(&paths, how.images) {
                match Image::open_within(path, how.limits) {
                    Ok(image) => images.push(model.preprocess.apply(&image)?),
                    Err(error) => {
                        let (name, told) = (path.display().to_string(), error.to_string());
                        notes.push(format!("{name}: left out: {}", without_name(&told, &name)));
                        unread.get_or_insert(error);
                    }
                }
            }
            if let Some(error) = unread.filter(|_| images.is_empty()) {
                return Err(error.into());
            }
            return Ok(Looked { images, labels: Vec::new() });
        }
    };
    check(samples.len())?;
    let numbers = class_numbers(&Classifier::new(model.clone())?, &names);
    if let Err(unknown) = &numbers {
        notes.push(format!("labels are not used: {unknown}"));
    }
    let mut looked = Looked { images: Vec::new(), labels: Vec::new() };
    for sample in spread(&samples, how.images) {
        match sample.decode(how.limits) {
            Ok(image) => {
                looked.images.push(model.preprocess.apply(&image)?);
                looked.labels.extend(numbers.as_ref().ok().map(|numbers| numbers[sample.class]));
            }
            Err(error) => notes.push(format!("{}: left out: {error}", sample.name)),
        }
    }
    Ok(looked)
}

/// Up to `count` of a list, from all over it.
pub fn spread<T>(list: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(list.len());
    (0..count).map(move |i| &list[i * list.len() / count])
}

/// Images with areas of light and colour, and noise.
pub(crate) fn generated(graph: &Graph, count: usize) -> Vec<Vec<f32>> {
    let [channels, height, width] = graph.input_shape();
    let image = |index: usize| {
        let mut rng = Rng::keyed(&[index as u64]);
        let mut image = Vec::with_capacity(channels * height * width);
        for _ in 0..channels {
            let (level, noise) = (rng.normal(), 0.2 * rng.uniform());
            let waves: Vec<[f64; 3]> = (0..4)
                .map(|_| [rng.between(0.0, 20.0), rng.between(0.0, 20.0), rng.between(0.0, 6.3)])
                .collect();
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let [y, x] = [y as f64 / height as f64, x as f64 / width as f64];
                let wave: f64 = waves.iter().map(|[a, b, shift]| (a * y + b * x + shift).sin()).sum();
                let value = level + 0.4 * wave + noise * rng.normal();
                image.push(value.clamp(-2.0, 2.0) as f32);
            }
        }
        image
    };
    (0..count.max(1)).map(image).collect()
}

/// How long timing goes on.
const TIMED: Duration = Duration::from_millis(300);

/// The answers for some images, and the median time of one in milliseconds.
fn answers(model: &Model, images: &[Vec<f32>]) -> Result<(Vec<Vec<f32>>, f64), Error> {
    let mut session = Session::new(model.plan()?);
    let mut output = vec![0.0; session.outputs()];
    let mut answers = Vec::with_capacity(images.len());
    for image in images {
        session.run(image, &mut output)?;
        answers.push(output.clone());
    }
    let mut next = images.iter().cycle();
    let times = sample(TIMED, || next.next().map_or(Ok(()), |image| session.run(image, &mut output)))?;
    Ok((answers, quantile(&times, 0.5)))
}

/// Bytes of a model's numbers, with what its integers stand for.
pub(crate) fn bytes(model: &Model) -> usize {
    let scales = model.quantization.as_ref().map(|record| record.to_file().1);
    let scales: usize = scales.iter().flatten().map(|(_, tensor)| tensor.bytes().len()).sum();
    scales + model.weights.iter().map(|(_, tensor)| tensor.bytes().len()).sum::<usize>()
}

/// Layers by what they compute with.
pub(crate) fn layers(model: &Model) -> LayerCounts {
    let mut counts = LayerCounts::default();
    for (id, _) in model.graph.iter().filter(|(_, node)| node.op.facts().is_weighted) {
        let weight = model.weights.of_role(&model.graph, id, Role::Weight);
        *match weight.map(Tensor::dtype) {
            Some(Dtype::I8) => &mut counts.int8,
            Some(Dtype::BF16) => &mut counts.bf16,
            _ => &mut counts.f32,
        } += 1;
    }
    counts
}
