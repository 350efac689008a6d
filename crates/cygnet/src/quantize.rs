//! Models of fewer bits: quantised on photos after training, and held against what they were made of.

mod halving;
mod page;
mod photos;
mod rows;

use std::path::Path;
use std::time::Duration;

use cygnet_graph::Graph;
use cygnet_image::DecodeLimits;
use cygnet_quantize::{
    Agreement, Loss, QuantizeError, QuantizeOptions, QuantizedNetwork, Sensitivity, check_images, check_kept,
    compare,
};
use cygnet_runtime::{Level, PlanOptions, RunError, Session, halved_once_read};
use serde::Serialize;

pub use cygnet_quantize::Distribution;

use crate::bench::{quantile, sample};
use crate::counted::counted;
use crate::finite::check_finite;
use crate::layer_types::{LayerCounts, counts, types};
use crate::{Error, Model};
use halving::halved_within;
use photos::{Looked, look};

pub(crate) use photos::generated;
pub use photos::spread;

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
    /// more came right; none without photos, as generated images do not tell it.
    pub lost: Option<f64>,
    /// Points that are lost on other photos at most, 95 times of 100: the fewer photos, the less is known.
    pub lost_at_most: Option<f64>,
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

/// What the rounding of one layer does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNoise {
    /// Its path.
    pub layer: String,
    /// The share.
    pub noise: f64,
    /// What it computes with: `int8`, `bf16` or `f32`.
    pub precision: &'static str,
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
    /// Where numbers of the most sensitive layers lie on their grids, the most sensitive first.
    pub distributions: Vec<Distribution>,
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
    check_finite(Path::new(&model.id), &model.weights)?;
    let mut notes = Vec::new();
    let Looked { images, labels } = match photos {
        Some(photos) => look(model, photos, how, &mut notes)?,
        None => {
            notes.push(
                "without photos, the figures are those of generated images and tell nothing of what is lost on \
                 others; give --data for a model that is to be used"
                    .into(),
            );
            check_room(model, how, how.images)?;
            Looked { images: generated(&model.graph, how.images), labels: Vec::new() }
        }
    };
    let (before, ms_before) = timed_answers(model, &images)?;
    check_answers(&model.graph, &before)?;
    // What is lost on generated images says nothing.
    let drop = if photos.is_some() { how.drop } else { f64::INFINITY };
    let mut quantized = Model { accuracy: None, ..model.clone() };
    let sensitivity: Vec<Sensitivity>;
    let mut distributions = Vec::new();
    match how.precision {
        Precision::Int8 => {
            let plan = PlanOptions::strict(Level::chosen().map_err(RunError::Plan)?);
            let Quantizing { threads, memory_bytes, .. } = *how;
            let options = QuantizeOptions { plan, threads, method: None, drop, memory_bytes };
            let made =
                cygnet_quantize::quantize(&model.graph, &model.weights, &images, &labels, options, tell)?;
            let QuantizedNetwork { graph, weights, quantization, .. } = made;
            (sensitivity, distributions) = (made.sensitivity, made.distributions);
            let weights = halved_once_read(&graph, weights);
            quantized = Model { graph, weights, quantization: Some(quantization), ..quantized };
        }
        Precision::Bf16 => {
            (quantized.weights, sensitivity) = halved_within(drop, model, &images, &labels, &before, tell)?;
        }
    }
    tell("holding it against what it was made of");
    let (after, ms) = timed_answers(&quantized, &images)?;
    let Agreement { agreement, kl } = compare(&before, &after);
    let top1 = |answers: &[Vec<f32>]| {
        let right =
            answers.iter().zip(&labels).filter(|(answer, label)| cygnet_quantize::guess(answer) == **label);
        let count = right.count();
        (!labels.is_empty()).then(|| percent(count as f64 / labels.len() as f64))
    };
    let types = types(&quantized.graph, &quantized.weights, quantized.quantization.as_ref());
    let layers = counts(&types);
    let loss = photos.map(|_| Loss::of(&before, &after, &labels));
    notes.extend(loss.and_then(|loss| {
        let is_left = how.precision == Precision::Int8 && layers.int8 == 0;
        if is_left { None } else { undecided(loss, how, images.len(), labels.is_empty()) }
    }));
    if how.precision == Precision::Int8 && layers.int8 == 0 {
        notes.push(
            "no layer computes with bytes: each loses more than it may; allow more, or give more photos"
                .into(),
        );
    }
    if how.precision == Precision::Bf16 && layers.f32 > 0 {
        notes.push(format!(
            "{} in f32, as more would be lost than may be; so do all compute in it, and bf16 saves bytes alone",
            counted_stay(layers.f32)
        ));
    }
    let report = QuantizeReport {
        precision: how.precision,
        images: images.len(),
        agreement: percent(agreement),
        kl,
        top1_before: top1(&before),
        top1: top1(&after),
        lost: loss.map(|loss| percent(loss.lost)),
        lost_at_most: loss.map(|loss| percent(loss.at_most)),
        ms_before,
        ms,
        bytes_before: bytes(model),
        bytes: bytes(&quantized),
        layers,
        sensitivity: sensitivity
            .into_iter()
            .map(|Sensitivity { node, path, noise }| {
                let precision = types.get(&node).copied().unwrap_or("f32");
                LayerNoise { layer: path, noise, precision }
            })
            .collect(),
    };
    Ok(Quantized { model: quantized, report, notes, distributions })
}

/// So many layers that stay.
fn counted_stay(layers: usize) -> String {
    format!("{} {}", counted(layers, "layer"), if layers == 1 { "stays" } else { "stay" })
}

/// What the photos leave open of whether no more is lost than may be.
fn undecided(loss: Loss, how: &Quantizing, photos: usize, unlabelled: bool) -> Option<String> {
    let (drop, of) = (how.drop, if unlabelled { "agreement" } else { "top-1" });
    let [lost, chance, at_most] = [loss.lost, loss.chance, loss.at_most].map(percent);
    let advice = match how.precision {
        Precision::Int8 => "try --precision bf16, or photos that are more like those it will see",
        Precision::Bf16 => "give photos that are more like those it will see, or keep f32",
    };
    let photos = counted(photos, "photo");
    if at_most <= drop {
        return None;
    }
    Some(if lost - chance > drop {
        format!(
            "{lost:.1} points of {of} are lost on {photos}, {drop} are allowed, although the most sensitive layers \
             stay in floating point: {advice}"
        )
    } else if lost > drop {
        format!(
            "{lost:.1} points of {of} are lost on {photos}, {drop} are allowed; with so few that can be chance, which \
             is {chance:.1} points: give more photos"
        )
    } else {
        format!(
            "{lost:.1} points of {of} are lost on {photos}, {drop} are allowed; but so few leave open a loss of up to \
             {at_most:.1} on others: give more photos"
        )
    })
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

/// Whether there is room for so many images, and what is kept of them.
fn check_room(model: &Model, how: &Quantizing, images: usize) -> Result<(), QuantizeError> {
    let Quantizing { threads, memory_bytes, .. } = *how;
    match how.precision {
        Precision::Int8 => check_kept(&model.graph, images, threads, memory_bytes),
        Precision::Bf16 => check_images(&model.graph, images, memory_bytes),
    }
}

/// Refuses a network whose answers are no numbers already.
fn check_answers(graph: &Graph, answers: &[Vec<f32>]) -> Result<(), Error> {
    match answers.iter().position(|answer| answer.iter().any(|x| !x.is_finite())) {
        Some(image) => Err(QuantizeError::NotFinite { graph: graph.name().into(), image }.into()),
        None => Ok(()),
    }
}

/// How long timing goes on.
const TIMED: Duration = Duration::from_millis(300);

/// The answers for some images.
fn answers(session: &mut Session, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, Error> {
    let mut answers = vec![vec![0.0; session.outputs()]; images.len()];
    for (image, answer) in images.iter().zip(&mut answers) {
        session.run(image, answer)?;
    }
    Ok(answers)
}

/// The answers for some images, and the median time of one in milliseconds.
fn timed_answers(model: &Model, images: &[Vec<f32>]) -> Result<(Vec<Vec<f32>>, f64), Error> {
    let mut session = Session::new(model.plan()?);
    let answers = answers(&mut session, images)?;
    let mut output = vec![0.0; session.outputs()];
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
