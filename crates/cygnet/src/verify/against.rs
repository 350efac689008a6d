//! Two models over the same photos: whether they answer alike, where they first part, and why.

mod classes;
mod layers;
mod numbers;
mod preparation;
mod reasons;
mod rounding;
mod weights;

use std::path::Path;
use std::sync::Arc;

use cygnet_image::{DecodeLimits, Image};
use cygnet_quantize::guess;
use cygnet_runtime::Plan;
use half::{bf16, f16};
use serde::Serialize;

use crate::finite::not_finite;
use crate::sessions::Sessions;
use crate::{Error, Model};
use classes::Shared;
pub use layers::{Layers, Parting};
use numbers::{largest, mean};
use rounding::Unrounded;

/// What a logit's difference may be, of the spread of the photo's logits, between models in floating point.
const FLOAT: f64 = 1e-4;
/// The same where weights are of 16 bits.
const HALF: f64 = 2e-2;
/// What the mean difference may be where one of the two computes with whole numbers.
const WHOLE: f64 = 0.05;
/// How many times as much as logits the values of layers may differ.
const OF_LAYERS: f64 = 5.0;
/// The share of a difference from which on its cause is told.
const TOLD: f64 = 0.005;
/// Most bytes of the arenas of both networks that are kept between photos: what one network may take.
const KEPT: u64 = 4 << 30;

/// A model that others are held against.
#[derive(Debug)]
pub struct Against {
    models: [Model; 2],
    names: [String; 2],
    sessions: [Sessions; 2],
    shared: Shared,
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
    /// The mean difference of the logits, of their spread.
    pub mean_rel_diff: f64,
    /// The likeliest class of each.
    pub top1: [String; 2],
    /// Whether that is the same class.
    pub same_top1: bool,
}

/// Where and why two models part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// What is compared of the networks' layers, given the same input; none if that cannot be given to both, or their values
    /// would take too much memory.
    pub layers: Option<Layers>,
    /// What differs and how much that explains over the photos, in words; the likeliest first. Empty if nothing was found.
    pub causes: Vec<String>,
}

/// Differences of answers over some photos, and what is left of them when something of the other model is as in the first.
#[derive(Default)]
struct Apart {
    whole: f64,
    /// With each difference of preparation mended alone.
    prepared: Vec<f64>,
    /// Given the same input.
    same_input: f64,
}

impl Against {
    /// Holds a model against another, each with the name that messages call it by, for example its file's.
    ///
    /// # Errors
    /// If the networks are of other classes, but for one for the background, or one cannot be run.
    pub fn new(model: (&str, Model), other: (&str, Model)) -> Result<Against, Error> {
        let names = [model.0, other.0];
        let in_file = |error: Error, side: usize| error.in_file(Path::new(names[side]));
        let logits = |model: Model, side: usize| model.with_logits().map_err(|error| in_file(error, side));
        let models = [logits(model.1, 0)?, logits(other.1, 1)?];
        let shared = Shared::of([&models[0], &models[1]], names)?;
        let tolerance = Tolerance::between([&models[0], &models[1]]);
        let plan = |side: usize| models[side].plan().map_err(|error| in_file(error, side));
        let plans = [plan(0)?, plan(1)?];
        let arenas: u64 = plans.iter().map(|plan| plan.outline().arena_bytes() as u64).sum();
        let sessions: fn(Arc<Plan>) -> Sessions =
            if arenas > KEPT { Sessions::passing } else { Sessions::new };
        let sessions = plans.map(sessions);
        let names = names.map(str::to_owned);
        Ok(Against { models, names, sessions, shared, tolerance, limits: DecodeLimits::default() })
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

    /// What the user should know of how the models are compared, a sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let background = self.shared.first.iter().zip(&self.names).find(|(first, _)| **first > 0);
        let note = |name: &String| {
            format!("{name}: its first class, for the background, is left out; the other has none")
        };
        background.map(|(_, name)| note(name)).into_iter().collect()
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
        let [ours, theirs] = [self.answer(0, &inputs[0])?, self.answer(1, &inputs[1])?];
        let (mean_rel_diff, max_rel_diff) = (mean(&ours, &theirs), largest(&ours, &theirs));
        let guesses = [guess(&ours), guess(&theirs)];
        let label = |side: usize| self.models[side].label(guesses[side] + self.shared.first[side]);
        Ok(PhotoOutcome {
            photo: name.into(),
            pass: self.tolerance.allows(&ours, &theirs),
            input_diff: (inputs[0].len() == inputs[1].len()).then(|| largest(&inputs[0], &inputs[1])),
            max_rel_diff,
            mean_rel_diff,
            top1: [label(0), label(1)],
            same_top1: guesses[0] == guesses[1],
        })
    }

    /// Where and why the two part over photos. What causes explain is judged on all of them; layers are compared on the first.
    /// `seen` is called after each with the number done and the number there are.
    ///
    /// # Errors
    /// If a file is no readable picture.
    pub fn explain<P: AsRef<Path>>(
        &self,
        photos: &[P],
        mut seen: impl FnMut(usize, usize),
    ) -> Result<Explanation, Error> {
        let open = |photo: &P| Ok(Image::open_within(photo.as_ref(), self.limits)?);
        let count = photos.len();
        self.explained(photos.iter().map(open), |done| seen(done, count))
    }

    /// As [`Against::explain`], of decoded photos.
    ///
    /// # Errors
    /// If one cannot be brought to a network's size.
    pub fn explain_images(&self, images: &[Image]) -> Result<Explanation, Error> {
        self.explained(images.iter().map(Ok), |_| {})
    }

    fn explained<I: std::borrow::Borrow<Image>>(
        &self,
        images: impl Iterator<Item = Result<I, Error>>,
        mut seen: impl FnMut(usize),
    ) -> Result<Explanation, Error> {
        let [model, other] = &self.models;
        let broken = |side: usize| {
            let tensors = not_finite(&self.models[side].weights)?;
            Some(format!("{} has NaN or infinite numbers in {tensors}", self.names[side]))
        };
        let broken: Vec<String> = [0, 1].into_iter().filter_map(broken).collect();
        if !broken.is_empty() {
            return Ok(Explanation { layers: None, causes: broken });
        }
        let differences = preparation::differences(model, other);
        if model.graph.input_shape() != other.graph.input_shape() {
            let sizes = preparation::sizes(model, other);
            let causes =
                [sizes].into_iter().chain(differences.into_iter().map(|found| found.words)).collect();
            return Ok(Explanation { layers: None, causes });
        }
        let mut apart = Apart { prepared: vec![0.0; differences.len()], ..Apart::default() };
        let mut unrounded = Unrounded::of(self)?;
        let (mut first, mut agrees) = (None, true);
        for (index, image) in images.enumerate() {
            let image = image?;
            let inputs = self.inputs(image.borrow())?;
            let [ours, theirs] = [self.answer(0, &inputs[0])?, self.answer(1, &inputs[1])?];
            apart.whole += mean(&ours, &theirs);
            let mut same_input = theirs;
            if inputs[0] != inputs[1] {
                for (left, difference) in apart.prepared.iter_mut().zip(&differences) {
                    *left += mean(&ours, &self.answer(1, &difference.mended.apply(image.borrow())?)?);
                }
                same_input = self.answer(1, &inputs[0])?;
            }
            apart.same_input += mean(&ours, &same_input);
            agrees = agrees && self.tolerance.allows(&ours, &same_input);
            if let Some(unrounded) = &mut unrounded {
                unrounded.see(&inputs[0], [&ours, &same_input])?;
            }
            let [input, _] = inputs;
            first.get_or_insert((input, ours, same_input));
            seen(index + 1);
        }
        let Some((input, ours, theirs)) = first else { return Ok(Explanation::default()) };
        let mut causes = apart.of_preparation(&differences);
        self.sessions.iter().for_each(Sessions::rest);
        let of_layers = self.tolerance.of_layers();
        let compared = layers::compare([model, other], self.shared, &input, of_layers)?;
        if !agrees {
            let answers = [&ours[..], &theirs[..]];
            let found = reasons::reasons(self, &input, answers, compared.as_ref(), unrounded.as_ref())?;
            let is_prepared = share(apart.same_input, apart.whole) >= 0.5;
            let place = if is_prepared { causes.len() } else { 0 };
            causes.splice(place..place, found);
        }
        Ok(Explanation { layers: compared.map(|compared| compared.layers), causes })
    }

    /// What a photo becomes for each.
    fn inputs(&self, image: &Image) -> Result<[Vec<f32>; 2], Error> {
        Ok([self.models[0].preprocess.apply(image)?, self.models[1].preprocess.apply(image)?])
    }

    /// The logits of one of the two, of the classes that both have.
    fn answer(&self, side: usize, input: &[f32]) -> Result<Vec<f32>, Error> {
        let logits = self.sessions[side].run(input)?;
        Ok(self.shared.cut(side, &logits).to_vec())
    }
}

impl Apart {
    /// What ways of preparing photos explain, the most first.
    fn of_preparation(&self, differences: &[preparation::Difference]) -> Vec<String> {
        let words = |words: &str, share: f64| {
            format!("photos are prepared differently: {words} (explains {:.0} %)", 100.0 * share)
        };
        let shares = self.prepared.iter().map(|left| share(*left, self.whole));
        let mut told: Vec<(f64, &str)> =
            shares.zip(differences.iter().map(|difference| &difference.words[..])).collect();
        told.retain(|(share, _)| *share >= TOLD);
        told.sort_by(|a, b| b.0.total_cmp(&a.0));
        let together = share(self.same_input, self.whole);
        if told.is_empty() && together >= TOLD {
            let all: Vec<&str> = differences.iter().map(|difference| &difference.words[..]).collect();
            return vec![words(&all.join(", and "), together)];
        }
        told.into_iter().map(|(share, difference)| words(difference, share)).collect()
    }
}

/// The share of a difference that is gone where so much is left.
fn share(left: f64, whole: f64) -> f64 {
    let share = 1.0 - left / whole;
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
}

impl Tolerance {
    /// How much the answers of two models may differ: by what they compute with.
    fn between([model, other]: [&Model; 2]) -> Tolerance {
        // Values that are rounded to bytes move by a step, whatever layers compute with.
        let precision =
            |model: &Model| if model.quantization.is_some() { Some("int8") } else { model.precision() };
        match [precision(model), precision(other)] {
            [a, b] if a == b && a.is_some() => Tolerance::Largest(FLOAT),
            [a, b] if [a, b].contains(&Some("int8")) => Tolerance::Mean(WHOLE),
            [None, None] if !is_half(model) && !is_half(other) => Tolerance::Largest(FLOAT),
            _ => Tolerance::Largest(HALF),
        }
    }

    /// What the values of layers may differ by.
    fn of_layers(self) -> Tolerance {
        match self {
            Tolerance::Largest(share) => Tolerance::Largest(OF_LAYERS * share),
            Tolerance::Mean(share) => Tolerance::Mean(share),
        }
    }

    /// Whether numbers may differ so.
    fn allows(self, ours: &[f32], theirs: &[f32]) -> bool {
        match self {
            Tolerance::Largest(share) => largest(ours, theirs) <= share,
            Tolerance::Mean(share) => mean(ours, theirs) <= share,
        }
    }
}

/// Whether weights are of 16 bits, or were before they were stored in 32.
fn is_half(model: &Model) -> bool {
    let mut weights = model.weights.iter().filter(|(name, _)| name.ends_with(".weight")).peekable();
    let is_short = |x: &f32| f16::from_f32(*x).to_f32() == *x || bf16::from_f32(*x).to_f32() == *x;
    weights.peek().is_some()
        && weights.all(|(_, tensor)| tensor.dtype().size_bytes() <= 2 || tensor.to_f32().iter().all(is_short))
}
