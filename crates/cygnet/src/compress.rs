//! Smaller and faster models: channels are cut, what is left learns from the whole network, and what comes out is kept where
//! this machine says that it pays.

mod attempt;
mod figures;
mod page;
mod pictures;
mod predict;
mod work;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cygnet_image::DecodeLimits;
use cygnet_prune::Criterion;
use cygnet_train::{Callback, Recipe, Watch};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use figures::Figures;
pub use page::Layer;

use crate::{Error, Model};
use attempt::{Attempt, Ended};
use figures::Clock;
use pictures::Pictures;
use work::Work;

/// What a compressed model has to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Milliseconds for an image on one thread.
    Latency(f64),
    /// Bytes of the model file.
    Size(u64),
    /// Multiply-accumulates for an image.
    Macs(u64),
}

/// How a model is made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Channels are cut, and what is left learns on.
    Prune,
    /// It is quantised to bytes at the end: see [`quantize`](crate::quantize()).
    Int8,
}

/// By what channels are ranked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ranked {
    /// By how much the loss on pictures would change without them, to first order.
    #[default]
    Taylor,
    /// By the sum of absolute weights.
    L1,
    /// By the norm of weights.
    L2,
    /// By the scales of batch norms.
    Gamma,
}

impl Ranked {
    fn criterion(self) -> Option<Criterion> {
        match self {
            Ranked::Taylor => None,
            Ranked::L1 => Some(Criterion::L1),
            Ranked::L2 => Some(Criterion::L2),
            Ranked::Gamma => Some(Criterion::Gamma),
        }
    }
}

/// How a model is compressed.
#[derive(Clone, Debug)]
pub struct Compressing {
    /// What it has to keep to; none: to be as fast as can be within `drop`.
    pub goal: Option<Goal>,
    /// Points of top-1 accuracy that may be lost; none with a goal: as many as it takes.
    pub drop: Option<f64>,
    /// How it is made smaller.
    pub methods: Vec<Method>,
    /// By what channels are ranked.
    pub ranked: Ranked,
    /// Settings of the recipe by which a smaller network learns, such as `epochs=4`: see [`Recipe::compose`].
    pub settings: Vec<String>,
    /// Whose answers it learns from, if not the whole network's.
    pub teacher: Option<Model>,
    /// When it has to be done.
    pub time: Option<Duration>,
    /// Threads; in training they change no result.
    pub threads: NonZeroUsize,
    /// What may be decoded.
    pub limits: DecodeLimits,
    /// The folder for what is not finished, from which an interrupted compression goes on.
    pub work: PathBuf,
    /// Whether to go on with what is there.
    pub resume: bool,
    /// Is told how pictures are looked at.
    pub watch: Watch,
}

impl Compressing {
    /// Pruning by first order for a goal or a loss, on one thread, in the folder `work`.
    #[must_use]
    pub fn new(work: impl Into<PathBuf>) -> Compressing {
        Compressing {
            goal: None,
            drop: None,
            methods: vec![Method::Prune],
            ranked: Ranked::default(),
            settings: Vec::new(),
            teacher: None,
            time: None,
            threads: NonZeroUsize::MIN,
            limits: DecodeLimits::default(),
            work: work.into(),
            resume: false,
            watch: Watch::default(),
        }
    }

    /// Removes the folder of what is not finished, if it is one.
    ///
    /// # Errors
    /// If a file of it stays.
    pub fn discard(&self) -> Result<(), Error> {
        Work::clear(&self.work)
    }
}

/// A smaller network that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// What it was to be, in words.
    pub aim: String,
    /// What came of it.
    #[serde(flatten)]
    pub figures: Figures,
    /// Points of top-1 accuracy that are lost; below 0 if more came right.
    pub lost: f64,
    /// Whether it keeps to goal and loss, and is no slower than what it was made of, unless size is the goal.
    pub fits: bool,
}

/// What became of a model.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// What came out; nothing if nothing pays, or it was interrupted.
    pub model: Option<Model>,
    /// Whether it keeps to what was asked for. That nothing pays is no failure where only a loss was given.
    pub met: bool,
    /// Whether a callback ended it; it can be resumed.
    pub interrupted: bool,
    /// What it was made of.
    pub before: Figures,
    /// What it is; of nothing, what it was made of.
    pub after: Figures,
    /// What each layer with weights lost.
    pub layers: Vec<Layer>,
    /// All that was tried, in order.
    pub tried: Vec<Tried>,
    /// What its user should know, a sentence each.
    pub notes: Vec<String>,
}

/// Beyond this share of its goal a measured time is too long.
const LATE: f64 = 1.03;

/// What is to be as fast as can be takes no more than this share of the time before, or it does not pay.
const WORTH: f64 = 0.97;

/// Shares of the model's time that are tried in turn while no more than may be is lost, and the one after a first failure.
const SHARES: [f64; 3] = [0.7, 0.5, 0.35];
const CAREFUL: f64 = 0.85;

/// Compresses a model on labelled pictures of its classes, anything that training reads. What it is judged by are the test
/// pictures, or where there are none those for validation. `callback` hears of training, `tell` of all else.
///
/// # Errors
/// If the model computes with whole numbers, pictures are of other classes or cannot be read, the folder holds something else,
/// or nothing of the network can be cut.
pub fn compress(
    model: &Model,
    data: &Path,
    how: &Compressing,
    callback: &mut dyn Callback,
    tell: &mut dyn FnMut(&str),
) -> Result<Compressed, Error> {
    let began = Instant::now();
    if model.quantization.is_some() {
        let reason = "computes with whole numbers; compress the model that it was made of".into();
        return Err(Error::Record { path: model.id.clone().into(), reason });
    }
    let model = &Model { graph: model.graph.without_auxiliary(), ..model.clone().in_floating_point() };
    let recipe = recipe(model, how)?;
    let mut work = Work::begin(model, data, how, &recipe)?;
    let result = run(model, data, how, &recipe, &mut work, began, callback, tell);
    if result.is_ok() || work.has_begun() {
        return result;
    }
    // Nothing goes on from here.
    work.remove();
    result
}

#[expect(clippy::too_many_arguments, reason = "each is one thing, and they are passed on")]
fn run(
    model: &Model,
    data: &Path,
    how: &Compressing,
    recipe: &Recipe,
    work: &mut Work,
    began: Instant,
    callback: &mut dyn Callback,
    tell: &mut dyn FnMut(&str),
) -> Result<Compressed, Error> {
    let pictures = Pictures::open(model, data, how, recipe)?;
    tell("measuring the model as it is");
    let clock = Clock::of(model)?;
    let before = clock.figures(model, pictures.top1(model, how.threads)?)?;
    let (pictures, clock) = (&pictures, &clock);
    let mut compressed = Compressed {
        model: None,
        met: false,
        interrupted: false,
        after: before.clone(),
        before,
        layers: Vec::new(),
        tried: Vec::new(),
        notes: Vec::new(),
    };
    let before = &compressed.before;
    if let Some(goal) = how.goal.filter(|goal| goal.is_met(before)) {
        compressed.notes.push(format!("it takes {} as it is; nothing is cut", goal.of(before)));
        return Ok(Compressed { model: Some(model.clone()), met: true, ..compressed });
    }
    let attempts = Attempt { model, how, recipe, pictures, clock, before, data, began };
    while let Some(aim) = next(how, before, work.tried()) {
        match attempts.make(aim, work, callback, tell)? {
            Ended::Done(tried) => work.push(tried)?,
            Ended::Interrupted => {
                let tried = work.tried().to_vec();
                return Ok(Compressed { interrupted: true, tried, ..compressed });
            }
        }
        if how.time.is_some_and(|time| began.elapsed() + work.spent() >= time) {
            break;
        }
    }
    compressed.tried = work.tried().to_vec();
    let Some(number) = best(&compressed.tried, how) else {
        compressed.notes.push("nothing pays: all that was tried is slower or loses more than it may".into());
        return Ok(Compressed { met: how.goal.is_none(), ..compressed });
    };
    let mut best = work.done(number)?;
    tell("measuring it beside what it was made of");
    let tried = &compressed.tried[number];
    let (before, after) = clock.beside(before, &best, tried.figures.top1)?;
    compressed.met = fits(how, &before, &after);
    if !compressed.met
        && let Some(goal) = how.goal
    {
        compressed.notes.push(format!("the goal is not met: it takes {}", goal.of(&after)));
    }
    best.compression = Some(record(model, how, tried, &before, &after));
    compressed.layers = Layer::of(&model.graph, &best.graph);
    (compressed.before, compressed.after, compressed.model) = (before, after, Some(best));
    Ok(compressed)
}

impl Goal {
    /// Whether figures are within it.
    #[must_use]
    pub fn is_met(&self, figures: &Figures) -> bool {
        match *self {
            Goal::Latency(ms) => figures.ms <= LATE * ms,
            Goal::Size(bytes) => figures.bytes <= bytes,
            Goal::Macs(macs) => figures.macs <= macs,
        }
    }

    /// What it is about, of figures, in words.
    fn of(&self, figures: &Figures) -> String {
        match self {
            Goal::Latency(_) => format!("{:.3} ms", figures.ms),
            Goal::Size(_) => format!("{} bytes", figures.bytes),
            Goal::Macs(_) => format!("{} multiply-accumulates", figures.macs),
        }
    }

    fn name(&self) -> String {
        match self {
            Goal::Latency(ms) => format!("{ms:.3} ms"),
            Goal::Size(bytes) => format!("{bytes} bytes"),
            Goal::Macs(macs) => format!("{macs} multiply-accumulates"),
        }
    }
}

/// Whether figures keep to what was asked for.
fn fits(how: &Compressing, before: &Figures, after: &Figures) -> bool {
    let most = match how.goal {
        None => WORTH * before.ms,
        Some(Goal::Size(_)) => f64::INFINITY,
        Some(Goal::Latency(_) | Goal::Macs(_)) => before.ms,
    };
    let is_slower = after.ms > most;
    let within = how.goal.is_none_or(|goal| goal.is_met(after));
    within && !is_slower && how.drop.is_none_or(|drop| before.top1 - after.top1 <= drop)
}

/// What is tried next.
fn next(how: &Compressing, before: &Figures, tried: &[Tried]) -> Option<Goal> {
    if let Some(goal) = how.goal {
        return tried.is_empty().then_some(goal);
    }
    if !how.methods.contains(&Method::Prune) {
        return tried.is_empty().then_some(Goal::Latency(before.ms));
    }
    let share = match tried {
        [failed] if !failed.fits => CAREFUL,
        all if all.iter().all(|tried| tried.fits) => *SHARES.get(all.len())?,
        _ => return None,
    };
    Some(Goal::Latency(share * before.ms))
}

/// The number of what is kept: the fastest that keeps to everything, or with a goal the best of what does not.
fn best(tried: &[Tried], how: &Compressing) -> Option<usize> {
    let all = || tried.iter().enumerate();
    let fastest = all().filter(|(_, tried)| tried.fits);
    let fastest = fastest.min_by(|a, b| a.1.figures.ms.total_cmp(&b.1.figures.ms));
    let nearest = all().filter(|_| how.goal.is_some());
    let nearest = nearest.max_by(|a, b| a.1.figures.top1.total_cmp(&b.1.figures.top1));
    fastest.or(nearest).map(|(number, _)| number)
}

/// The recipe by which smaller networks learn: that for trained networks, but batch norms and all layers learn at one rate, and
/// pictures are changed as when the model was trained.
fn recipe(model: &Model, how: &Compressing) -> Result<Recipe, Error> {
    let own = ["frozen_batch_norm=false", "head_rate=1", "optimizer.rate=0.01", "early_stop=0"];
    let learnt = ["mix.label_smoothing=0", "distill.share=0.7"];
    let mut settings: Vec<String> = own.into_iter().chain(learnt).map(str::to_owned).collect();
    settings.extend_from_slice(&how.settings);
    let mut recipe = Recipe::compose("finetune", &settings)?;
    let asks = how.settings.iter().any(|setting| setting.trim_start().starts_with("augment"));
    let trained = model.recipe.clone().and_then(|recipe| serde_json::from_value::<Recipe>(recipe).ok());
    if let Some(trained) = trained.filter(|_| !asks) {
        recipe.augment = trained.augment;
    }
    Ok(recipe)
}

/// What was done, for the model file.
fn record(
    model: &Model,
    how: &Compressing,
    tried: &Tried,
    before: &Figures,
    after: &Figures,
) -> serde_json::Value {
    json!({
        "network": model.id,
        "methods": how.methods,
        "ranked": how.ranked,
        "aim": tried.aim,
        "before": before,
        "after": after,
        "earlier": model.compression,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(top1: f64, ms: f64) -> Figures {
        Figures { top1, ms, macs: 100, bytes: 1000, ..Figures::default() }
    }

    fn tried(top1: f64, ms: f64, fits: bool) -> Tried {
        Tried { aim: String::new(), figures: figures(top1, ms), lost: 90.0 - top1, fits }
    }

    fn how(goal: Option<Goal>, drop: Option<f64>) -> Compressing {
        Compressing { goal, drop, ..Compressing::new("work") }
    }

    #[test]
    fn what_is_asked_for_is_held_against_what_was_measured() {
        let before = figures(90.0, 10.0);
        let fits = |goal, drop, after: Figures| fits(&how(goal, drop), &before, &after);
        let latency = Some(Goal::Latency(5.0));
        assert!(fits(latency, None, figures(10.0, 5.1)) && !fits(latency, None, figures(90.0, 5.2)));
        assert!(
            fits(latency, Some(1.0), figures(89.0, 5.0)) && !fits(latency, Some(1.0), figures(88.9, 5.0))
        );
        // Slower is kept for a size alone.
        assert!(fits(Some(Goal::Size(1000)), None, figures(90.0, 20.0)));
        assert!(!fits(Some(Goal::Size(999)), None, figures(90.0, 5.0)));
        assert!(!fits(Some(Goal::Macs(100)), None, figures(90.0, 10.1)));
        assert!(!fits(Some(Goal::Latency(20.0)), None, figures(90.0, 10.1)));
        // Without a goal it has to pay.
        assert!(fits(None, Some(0.5), figures(89.6, 9.0)) && !fits(None, Some(0.5), figures(90.0, 9.9)));
    }

    #[test]
    fn within_a_loss_ever_smaller_networks_are_tried_until_one_loses_too_much() {
        let (before, how) = (figures(90.0, 10.0), how(None, Some(1.0)));
        let next = |tried: &[Tried]| match next(&how, &before, tried) {
            Some(Goal::Latency(ms)) => Some((ms * 100.0).round() / 100.0),
            _ => None,
        };
        let good = |ms| tried(89.5, ms, true);
        let bad = |ms| tried(80.0, ms, false);
        assert_eq!(next(&[]), Some(7.0));
        assert_eq!(next(&[good(7.0)]), Some(5.0));
        assert_eq!(next(&[good(7.0), good(5.0)]), Some(3.5));
        assert_eq!(next(&[good(7.0), good(5.0), good(3.5)]), None);
        assert_eq!(next(&[good(7.0), bad(5.0)]), None);
        assert_eq!(next(&[bad(7.0)]), Some(8.5));
        assert_eq!(next(&[bad(7.0), good(8.5)]), None);
    }

    #[test]
    fn the_fastest_that_fits_is_kept_or_the_best_for_a_goal() {
        let all = [tried(89.0, 7.0, true), tried(88.0, 5.0, true), tried(70.0, 3.0, false)];
        assert_eq!(best(&all, &how(None, Some(2.0))), Some(1));
        let none = [tried(80.0, 7.0, false), tried(85.0, 8.0, false)];
        assert_eq!(best(&none, &how(None, Some(2.0))), None);
        assert_eq!(best(&none, &how(Some(Goal::Latency(1.0)), None)), Some(1));
        assert_eq!(best(&[], &how(Some(Goal::Latency(1.0)), None)), None);
    }
}
