//! Recipes: every setting of a run as data. The files in `recipes/` say only what differs from the defaults here.

mod compose;

use std::fmt;
use std::str::FromStr;

use cygnet_engine::{OptimizerConfig, Schedule};
use cygnet_graph::Graph;
use cygnet_image::{Augment, ImageError, Mix, Preprocess};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use compose::Difference;

use crate::TrainError;

/// The recipes that Cygnet brings, by name.
const BUILT_IN: [(&str, &str); 11] = [
    ("finetune", include_str!("../recipes/finetune.toml")),
    ("head", include_str!("../recipes/head.toml")),
    ("int8", include_str!("../recipes/int8.toml")),
    ("scratch", include_str!("../recipes/scratch.toml")),
    ("scratch-small", include_str!("../recipes/scratch-small.toml")),
    ("mobilenet_v2", include_str!("../recipes/mobilenet_v2.toml")),
    ("mobilenet_v3", include_str!("../recipes/mobilenet_v3.toml")),
    ("shufflenet", include_str!("../recipes/shufflenet.toml")),
    ("squeezenet", include_str!("../recipes/squeezenet.toml")),
    ("mnasnet", include_str!("../recipes/mnasnet.toml")),
    ("ghostnet", include_str!("../recipes/ghostnet.toml")),
];

/// Every setting with its default and what it is, in the order and words in which recipes are printed.
const SETTINGS: &str = include_str!("../recipes/settings.toml");

/// Which part of the network learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trained {
    /// Everything.
    All,
    /// The classifier and so many of the last stages.
    Last(usize),
    /// The classifier alone, on features that the body computes once.
    Head,
}

impl Trained {
    /// Whether `graph` has that part.
    ///
    /// # Errors
    /// If it has fewer stages; says how many.
    pub fn check(self, graph: &Graph) -> Result<(), TrainError> {
        let stages = graph.features().len();
        match self {
            Trained::Last(count) if count > stages => Err(TrainError::Recipe {
                place: format!("train={self}"),
                reason: format!(
                    "{} has {stages} stages; give last-0 to last-{stages}, or all for the whole network",
                    graph.name()
                ),
            }),
            Trained::All | Trained::Last(_) | Trained::Head => Ok(()),
        }
    }
}

impl fmt::Display for Trained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trained::All => f.write_str("all"),
            Trained::Last(stages) => write!(f, "last-{stages}"),
            Trained::Head => f.write_str("head"),
        }
    }
}

impl FromStr for Trained {
    type Err = String;

    fn from_str(text: &str) -> Result<Trained, String> {
        match text {
            "all" => Ok(Trained::All),
            "head" => Ok(Trained::Head),
            _ => text
                .strip_prefix("last-")
                .and_then(|stages| stages.parse().ok())
                .map(Trained::Last)
                .ok_or_else(|| format!("{text} is neither all, head nor last-N with a number of stages")),
        }
    }
}

impl TryFrom<String> for Trained {
    type Error = String;

    fn try_from(text: String) -> Result<Trained, String> {
        text.parse()
    }
}

impl From<Trained> for String {
    fn from(trained: Trained) -> String {
        trained.to_string()
    }
}

/// What is done about classes with unequal numbers of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// Nothing.
    None,
    /// Rare classes weigh more in the loss.
    Weights,
    /// Every class is drawn equally often.
    Sampling,
}

/// What numbers the network that is trained will compute with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantize {
    /// Those that it learns with, in floating point.
    #[default]
    None,
    /// Whole numbers, with whose rounding it learns.
    Int8,
}

/// Knowledge distillation (Hinton et al. 2015). The student learns the cross-entropy to a mixture of the labels and
/// the teacher's softened answers on the same changed pictures; its own logits are not divided by the temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distill {
    /// A network of the zoo with published weights or a model file, for the same classes; empty: none.
    pub teacher: String,
    /// Share of the teacher's answers in the targets.
    pub share: f64,
    /// Divides the teacher's logits before softmax.
    pub temperature: f64,
}

impl fmt::Display for Quantize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantize::None => "none",
            Quantize::Int8 => "int8",
        })
    }
}

impl Default for Distill {
    fn default() -> Self {
        Distill { teacher: String::new(), share: 0.5, temperature: 2.0 }
    }
}

/// Every setting of a run that decides the weights, beside the network, its start and the pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Passes over the training pictures.
    pub epochs: u32,
    /// Pictures a step.
    pub batch: usize,
    /// Height and width of the pictures; 0: the network's own.
    pub image: usize,
    /// Names all random streams.
    pub seed: u64,
    /// Which part learns.
    pub train: Trained,
    /// Rows that the last feature map has at least: where pictures are smaller than the network was designed for, its
    /// first strides become 1 until it has them; 0: strides stay. Fewer rows cost less time and some accuracy.
    pub smallest_map: usize,
    /// Whether batch norm keeps its running statistics, and uses them.
    pub frozen_batch_norm: bool,
    /// Weight of a batch's statistics in the running ones (PyTorch's convention).
    pub batch_norm_momentum: f64,
    /// Rate of every dropout; below 0: the network's own.
    pub dropout: f64,
    /// Probability of dropping the last residual branch, falling to none at the first (Huang et al. 2016).
    pub stochastic_depth: f64,
    /// Factor on the losses of auxiliary heads, where the network has some and learns as a whole; 0: no heads.
    pub auxiliary: f64,
    /// Decay of the running average of weights, which is then evaluated and stored; 0: none.
    pub ema: f64,
    /// Factor on the classifier's learning rate.
    pub head_rate: f64,
    /// Factor on the learning rate for each stage away from the classifier.
    pub layer_decay: f64,
    /// Ends the run after so many epochs without a better one: a higher accuracy, or the same with a lower loss; 0: never.
    pub early_stop: u32,
    /// Share of the pictures that is taken for validation where none are given, at most 5000.
    pub validation: f64,
    /// What numbers the network will compute with. For whole numbers a trained one learns on, as a whole and without
    /// auxiliary heads; its batch norms are folded.
    pub quantize: Quantize,
    /// What is done about unequal classes.
    pub balance: Balance,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// Changes of single pictures.
    pub augment: Augment,
    /// Changes of whole batches.
    pub mix: Mix,
    /// A teacher.
    pub distill: Distill,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            name: String::new(),
            about: String::new(),
            epochs: 30,
            batch: 64,
            image: 0,
            seed: 0,
            train: Trained::All,
            smallest_map: 3,
            frozen_batch_norm: false,
            batch_norm_momentum: 0.1,
            dropout: -1.0,
            stochastic_depth: 0.0,
            auxiliary: 1.0,
            ema: 0.0,
            head_rate: 1.0,
            layer_decay: 1.0,
            early_stop: 0,
            validation: 0.2,
            quantize: Quantize::None,
            balance: Balance::None,
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            augment: Augment::default(),
            mix: Mix::default(),
            distill: Distill::default(),
        }
    }
}

impl Recipe {
    /// The names of the recipes that Cygnet brings, with what they are for.
    pub fn built_in() -> impl Iterator<Item = (&'static str, String)> {
        BUILT_IN
            .iter()
            .map(|(name, _)| (*name, Recipe::named(name).map_or_else(|_| String::new(), |r| r.about)))
    }

    /// A recipe that Cygnet brings.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn named(name: &str) -> Result<Recipe, TrainError> {
        Recipe::compose(name, &[])
    }

    /// Its text form, with a comment at each setting.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let whole = Table::try_from(self).unwrap_or_default();
        let mut section = &whole;
        let mut text = String::new();
        for line in SETTINGS.lines() {
            if let Some(Value::Table(inner)) = whole.get(line.trim_matches(['[', ']'])) {
                section = inner;
            }
            let (setting, comment) = line.split_once(" # ").unwrap_or((line, ""));
            let key = setting.split_once(" = ").map(|(key, _)| key);
            let value = key.and_then(|key| Some(format!("{key} = {}", section.get(key)?)));
            let setting = value.as_deref().unwrap_or(setting);
            text +=
                &if comment.is_empty() { setting.to_owned() } else { format!("{setting:<26} # {comment}") };
            text.push('\n');
        }
        text
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if let Err(error) = self.augment.check() {
            return Err(if let ImageError::Record { field, reason } = error {
                format!("augment.{field}: {reason}")
            } else {
                error.to_string()
            });
        }
        if self.quantize == Quantize::Int8 && self.train != Trained::All {
            return Err(format!("train is {}, but must be all for quantize=int8", self.train));
        }
        let Recipe { optimizer, schedule, mix, distill, .. } = self;
        let range = |what: &str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("{what} is {value}, not from {low} to {high}"))
            }
        };
        range("epochs", f64::from(self.epochs), 1.0, 1e6)?;
        range("batch", self.batch as f64, 1.0, 1e6)?;
        range("image", self.image as f64, 0.0, Preprocess::MAX_SIDE as f64)?;
        range("batch_norm_momentum", self.batch_norm_momentum, 0.0, 1.0)?;
        range("smallest_map", self.smallest_map as f64, 0.0, 4096.0)?;
        range("dropout", self.dropout, -1.0, 0.99)?;
        range("stochastic_depth", self.stochastic_depth, 0.0, 0.99)?;
        range("auxiliary", self.auxiliary, 0.0, 100.0)?;
        range("ema", self.ema, 0.0, 0.999_999_999)?;
        range("head_rate", self.head_rate, 0.0, 1e6)?;
        range("layer_decay", self.layer_decay, 0.0, 1.0)?;
        range("validation", self.validation, 0.0, 0.9)?;
        range("optimizer.rate", optimizer.rate, 0.0, 1e6)?;
        range("optimizer.momentum", optimizer.momentum, 0.0, 0.999_999)?;
        range("optimizer.weight_decay", optimizer.weight_decay, 0.0, 1e3)?;
        range("optimizer.beta1", optimizer.beta1, 0.0, 0.999_999)?;
        range("optimizer.beta2", optimizer.beta2, 0.0, 0.999_999_9)?;
        range("optimizer.rho", optimizer.rho, 0.0, 0.999_999_9)?;
        range("optimizer.eps", optimizer.eps, 1e-30, 1e3)?;
        range("optimizer.clip", optimizer.clip, 0.0, 1e9)?;
        range("schedule.warmup", schedule.warmup, 0.0, 1e6)?;
        range("schedule.warmup_start", schedule.warmup_start, 0.0, 1.0)?;
        range("schedule.final", schedule.r#final, 0.0, 1.0)?;
        range("schedule.every", schedule.every, 1e-6, 1e6)?;
        range("schedule.gamma", schedule.gamma, 0.0, 1.0)?;
        range("schedule.power", schedule.power, 0.0, 100.0)?;
        range("schedule.peak_at", schedule.peak_at, 0.0, 1.0)?;
        range("mix.mixup", mix.mixup, 0.0, 1e3)?;
        range("mix.cutmix", mix.cutmix, 0.0, 1e3)?;
        range("mix.label_smoothing", mix.label_smoothing, 0.0, 1.0)?;
        range("distill.share", distill.share, 0.0, 1.0)?;
        range("distill.temperature", distill.temperature, 1e-3, 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_that_cygnet_brings_is_valid_and_survives_its_text_form() {
        for (name, about) in Recipe::built_in() {
            let recipe = Recipe::named(name).unwrap();
            assert_eq!(recipe.name, name);
            assert!(!about.is_empty());
            assert_eq!(toml::from_str::<Recipe>(&recipe.to_toml()).unwrap(), recipe);
            let json = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
        }
    }

    #[test]
    fn the_printed_form_has_every_setting_and_its_default() {
        assert_eq!(toml::from_str::<Recipe>(SETTINGS).unwrap(), Recipe::default());
        let [printed, whole] = [Recipe::default().to_toml(), toml::to_string(&Recipe::default()).unwrap()];
        assert_eq!(printed.parse::<Table>().unwrap(), whole.parse::<Table>().unwrap());
        let about = "Of two lines,\n# the second of which \"\"\" looks like more.".to_owned();
        let odd = Recipe { about, ..Recipe::named("finetune").unwrap() };
        assert_eq!(toml::from_str::<Recipe>(&odd.to_toml()).unwrap(), odd);
    }
}
