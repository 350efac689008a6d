//! Two models over the same photos: whether they answer alike, where they first part, and why.

mod layers;
mod preparation;
mod reasons;

use std::path::Path;

use cygnet_image::{DecodeLimits, Image};
use half::{bf16, f16};
use serde::Serialize;

use crate::sessions::Sessions;
use crate::{Error, Model};
pub use layers::{Layers, Parting};

/// What a logit's difference may be, of the spread of the photo's logits, between models in floating point.
const FLOAT: f64 = 1e-4;
/// The same where weights are of 16 bits.
const HALF: f64 = 2e-2;
/// What the mean difference may be where one of the two computes with whole numbers.
const WHOLE: f64 = 0.05;
/// How many times as much as logits the values of layers may differ.
const OF_LAYERS: f64 = 5.0;

/// A model that others are held against.
#[derive(Debug)]
pub struct Against {
    model: Model,
    other: Model,
    sessions: [Sessions; 2],
    tolerance: Tolerance,
    limits: DecodeLimits,
}

/// How much answers may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tolerance {
    /// No logit by more than this.
    Largest(f64),
    /// Not by more than this on average.
    Mean(f64),
}

/// What both models make of a photo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhotoOutcome {
    /// The photo.
    pub photo: String,
    /// Whether the logits differ by no more than they may.
    pub pass: bool,
    /// The largest difference of what the photo becomes for each network, of the spread of that; none where both are of other
    /// sizes.
    pub input_diff: Option<f64>,
    /// The largest difference of a logit, of the spread of the logits.
    pub max_rel_diff: f64,
    /// The likeliest class of each.
    pub top1: [String; 2],
}

/// Where and why two models part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What is compared of the networks' layers, given the same input; none if that cannot be given to both, or their values
    /// would take too much memory.
    pub layers: Option<Layers>,
    /// What differs and how much that explains, in words; the likeliest first. Empty if nothing was found.
    pub causes: Vec<String>,
}

impl Against {
    /// Holds `other` against `model`.
    ///
    /// # Errors
    /// If the networks have other numbers of classes, or one cannot be run.
    pub fn new(model: Model, other: Model) -> Result<Against, Error> {
        let [model, other] = [logits_of(model)?, logits_of(other)?];
        let classes = [&model, &other].map(|model| model.graph.classes());
        if classes[0] != classes[1] {
            let reason = format!("has {} classes, {} has {}", classes[1], model.id, classes[0]);
            return Err(Error::Record { path: (&other.id).into(), reason });
        }
        // Values that are rounded to bytes move by a step, whatever layers compute with.
        let precision =
            |model: &Model| if model.quantization.is_some() { Some("int8") } else { model.precision() };
        let tolerance = match [precision(&model), precision(&other)] {
            [a, b] if a == b && a.is_some() => Tolerance::Largest(FLOAT),
            [a, b] if [a, b].contains(&Some("int8")) => Tolerance::Mean(WHOLE),
            [None, None] if !is_half(&model) && !is_half(&other) => Tolerance::Largest(FLOAT),
            _ => Tolerance::Largest(HALF),
        };
        let sessions = [Sessions::new(model.plan()?), Sessions::new(other.plan()?)];
        Ok(Against { model, other, sessions, tolerance, limits: DecodeLimits::default() })
    }

    /// The same with other limits on what is decoded than the default ones.
    #[must_use]
    pub fn within(self, limits: DecodeLimits) -> Against {
        Against { limits, ..self }
    }

    /// What logits may differ by, in words.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self.tolerance {
            Tolerance::Largest(share) => format!("no logit by more than {share:e} of their spread"),
            Tolerance::Mean(share) => format!("logits by no more than {share} of their spread on average"),
        }
    }

    /// What both make of a photo.
    ///
    /// # Errors
    /// If the file is no readable picture.
    pub fn photo(&self, path: impl AsRef<Path>) -> Result<PhotoOutcome, Error> {
        let path = path.as_ref();
        let image = Image::open_within(path, self.limits)?;
        self.image(&path.to_string_lossy(), &image)
    }

    /// What both make of a decoded photo, which is called `name`.
    ///
    /// # Errors
    /// If it cannot be brought to a network's size.
    pub fn image(&self, name: &str, image: &Image) -> Result<PhotoOutcome, Error> {
        let inputs = self.inputs(image)?;
        let [ours, theirs] = [self.sessions[0].run(&inputs[0])?, self.sessions[1].run(&inputs[1])?];
        let (max_rel_diff, pass) = self.tolerance.judge(&ours, &theirs);
        let top1 = |model: &Model, logits: &[f32]| model.label(largest(logits));
        Ok(PhotoOutcome {
            photo: name.into(),
            pass,
            input_diff: (inputs[0].len() == inputs[1].len()).then(|| relative(&inputs[0], &inputs[1])),
            max_rel_diff,
            top1: [top1(&self.model, &ours), top1(&self.other, &theirs)],
        })
    }

    /// Where and why the two part over a photo.
    ///
    /// # Errors
    /// If the file is no readable picture.
    pub fn explain(&self, path: impl AsRef<Path>) -> Result<Explanation, Error> {
        self.explain_image(&Image::open_within(path.as_ref(), self.limits)?)
    }

    /// As [`Against::explain`], of a decoded photo.
    ///
    /// # Errors
    /// If it cannot be brought to a network's size.
    pub fn explain_image(&self, image: &Image) -> Result<Explanation, Error> {
        let inputs = self.inputs(image)?;
        let ours = self.sessions[0].run(&inputs[0])?;
        let of_other = |input: &[f32]| self.sessions[1].run(input);
        let differences = preparation::differences(&self.model, &self.other);
        if self.model.graph.input_shape() != self.other.graph.input_shape() {
            let sizes = preparation::sizes(&self.model, &self.other);
            let causes =
                [sizes].into_iter().chain(differences.into_iter().map(|found| found.words)).collect();
            return Ok(Explanation { layers: None, causes });
        }
        let mut causes = Vec::new();
        let apart = |theirs: &[f32]| distance(&ours, theirs);
        let whole = apart(&of_other(&inputs[1])?);
        if inputs[0] != inputs[1] {
            for difference in differences {
                let alike = of_other(&difference.mended.apply(image)?)?;
                causes.push((apart(&alike), difference.words));
            }
            causes.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let share = |left: f64| if whole > 0.0 { (1.0 - left / whole).max(0.0) } else { 0.0 };
        let words = |(left, words): (f64, String)| {
            format!("photos are prepared differently: {words} (explains {:.0} %)", 100.0 * share(left))
        };
        let mut causes: Vec<String> = causes.into_iter().map(words).collect();
        let is_prepared = causes.is_empty();
        let same_input = of_other(&inputs[0])?;
        let agrees = self.tolerance.judge(&ours, &same_input).1;
        let layers = layers::compare(&self.model, &self.other, &inputs[0], self.tolerance.of_layers())?;
        if !agrees {
            let found = reasons::reasons(self, &inputs[0], &ours, layers.as_ref())?;
            let place = if is_prepared || share(apart(&same_input)) < 0.5 { 0 } else { causes.len() };
            causes.splice(place..place, found);
        }
        Ok(Explanation { layers: layers.map(|layers| layers.layers), causes })
    }

    /// What a photo becomes for each.
    fn inputs(&self, image: &Image) -> Result<[Vec<f32>; 2], Error> {
        Ok([self.model.preprocess.apply(image)?, self.other.preprocess.apply(image)?])
    }
}

impl Tolerance {
    /// What the values of layers may differ by.
    fn of_layers(self) -> Tolerance {
        match self {
            Tolerance::Largest(share) => Tolerance::Largest(OF_LAYERS * share),
            Tolerance::Mean(share) => Tolerance::Mean(share),
        }
    }

    /// The largest difference, of the spread of `ours`, and whether it is allowed.
    fn judge(self, ours: &[f32], theirs: &[f32]) -> (f64, bool) {
        let largest = relative(ours, theirs);
        let pass = match self {
            Tolerance::Largest(share) => largest <= share,
            Tolerance::Mean(share) => {
                distance(ours, theirs) <= share * spread(ours).max(f64::from(f32::MIN_POSITIVE))
            }
        };
        (largest, pass)
    }
}

/// A model whose answers are logits.
fn logits_of(model: Model) -> Result<Model, Error> {
    if !model.graph.gives_probabilities() {
        return Ok(model);
    }
    let graph = model.graph.without_softmax()?;
    Ok(Model { graph, ..model })
}

/// Whether weights are of 16 bits, or were before they were stored in 32.
fn is_half(model: &Model) -> bool {
    let mut weights = model.weights.iter().filter(|(name, _)| name.ends_with(".weight")).peekable();
    let is_short = |x: &f32| f16::from_f32(*x).to_f32() == *x || bf16::from_f32(*x).to_f32() == *x;
    weights.peek().is_some()
        && weights.all(|(_, tensor)| tensor.dtype().size_bytes() <= 2 || tensor.to_f32().iter().all(is_short))
}

/// The place of the largest number.
fn largest(logits: &[f32]) -> usize {
    let order = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1).then(b.0.cmp(&a.0));
    logits.iter().enumerate().max_by(order).map_or(0, |(class, _)| class)
}

/// The largest number less the smallest.
fn spread(numbers: &[f32]) -> f64 {
    let largest = numbers.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let smallest = numbers.iter().fold(f32::INFINITY, |a, &b| a.min(b));
    if largest >= smallest { f64::from(largest) - f64::from(smallest) } else { 0.0 }
}

/// The largest difference, of the spread of `ours`, or where that is none of their size.
fn relative(ours: &[f32], theirs: &[f32]) -> f64 {
    let difference = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    let not_less = |a: f64, b: f64| if b.is_nan() { f64::INFINITY } else { a.max(b) };
    let worst = ours.iter().zip(theirs).map(difference).fold(0.0, not_less);
    let size = ours.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let of = [spread(ours), size.into()].into_iter().find(|&of| of > 0.0);
    if worst == 0.0 { 0.0 } else { worst / of.unwrap_or(f64::MIN_POSITIVE) }
}

/// The mean difference.
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    let sum: f64 = ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).sum();
    if sum.is_nan() { f64::INFINITY } else { sum / ours.len().max(1) as f64 }
}
