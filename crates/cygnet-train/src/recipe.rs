//! Recipes: every setting of a run as data. The files in `recipes/` say only what differs from the defaults here.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use cygnet_image::{Augment, Mix};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::TrainError;
use crate::optimizer::OptimizerConfig;
use crate::schedule::Schedule;

/// The recipes that Cygnet brings, by name.
const BUILT_IN: [(&str, &str); 10] = [
    ("finetune", include_str!("../recipes/finetune.toml")),
    ("head", include_str!("../recipes/head.toml")),
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
    /// Ends the run after so many epochs without a better accuracy; 0: never.
    pub early_stop: u32,
    /// Share of the pictures that is taken for validation where none are given, at most 5000.
    pub validation: f64,
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

    /// The recipe `base`, a built-in name or a TOML file, with `settings` such as `optimizer.rate=0.1` on top, the last
    /// of a name winning. A file's `base = "NAME"` names the built-in recipe that it changes.
    ///
    /// # Errors
    /// Names the file or setting and what is wrong.
    pub fn compose(base: &str, settings: &[String]) -> Result<Recipe, TrainError> {
        let mut table = load(base)?;
        for setting in settings {
            apply(&mut table, setting)?;
        }
        let wrong = |reason: String| TrainError::Recipe { place: base.into(), reason };
        let recipe: Recipe = Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| wrong(error.to_string().trim_end().replace('\n', "; ")))?;
        recipe.check().map_err(wrong)?;
        Ok(recipe)
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
        self.augment.check().map_err(|error| error.to_string())?;
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
        range("image", self.image as f64, 0.0, 4096.0)?;
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

fn parse(place: &str, text: &str) -> Result<Table, TrainError> {
    text.parse().map_err(|error: toml::de::Error| TrainError::Recipe {
        place: place.into(),
        reason: error.to_string().trim_end().replace('\n', "; "),
    })
}

fn load(base: &str) -> Result<Table, TrainError> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == base) {
        let mut table = parse(name, text)?;
        table.insert("name".into(), Value::String((*name).into()));
        return Ok(table);
    }
    let path = Path::new(base);
    if path.extension().is_none_or(|extension| extension != "toml") {
        let names = BUILT_IN.map(|(name, _)| name).join(", ");
        let reason = format!("no recipe of that name; there are {names}, or give a .toml file");
        return Err(TrainError::Recipe { place: base.into(), reason });
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| TrainError::Recipe { place: base.into(), reason: error.to_string() })?;
    let changes = parse(base, &text)?;
    let mut table = match changes.get("base") {
        None => Table::new(),
        Some(Value::String(name)) if BUILT_IN.iter().any(|(known, _)| known == name) => load(name)?,
        Some(_) => {
            let reason = "base names no recipe that Cygnet brings".into();
            return Err(TrainError::Recipe { place: base.into(), reason });
        }
    };
    merge(&mut table, changes);
    table.remove("base");
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    table.insert("name".into(), Value::String(stem));
    Ok(table)
}

fn merge(table: &mut Table, changes: Table) {
    for (key, value) in changes {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => merge(inner, changes),
            (_, value) => _ = table.insert(key, value),
        }
    }
}

fn apply(table: &mut Table, setting: &str) -> Result<(), TrainError> {
    let wrong = |reason: &str| TrainError::Recipe { place: setting.into(), reason: reason.into() };
    let (path, text) = setting.split_once('=').ok_or_else(|| wrong("expected NAME=VALUE"))?;
    let text = text.trim();
    // What is neither a TOML value nor a number such as .5 is taken as text, so that names need no quotes.
    let value = format!("x = {text}").parse::<Table>().ok().and_then(|mut parsed| parsed.remove("x"));
    let value = value.or_else(|| text.parse().ok().map(Value::Float));
    let mut value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    let mut keys = path.trim().split('.').rev();
    let last = keys.next().filter(|key| !key.is_empty()).ok_or_else(|| wrong("expected NAME=VALUE"))?;
    // A whole number is a fine value for a setting that may have a fraction; serde takes care of that.
    value = Value::Table(Table::from_iter([(last.to_owned(), value)]));
    for key in keys {
        value = Value::Table(Table::from_iter([(key.to_owned(), value)]));
    }
    if let Value::Table(changes) = value {
        merge(table, changes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::OptimizerKind;

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

    #[test]
    fn settings_come_over_files_and_files_over_what_they_name_as_base() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "base = \"squeezenet\"\nepochs = 3\n[optimizer]\nrate = 0.5\n").unwrap();
        let set = ["optimizer.rate=1", "train=last-2", "augment.crop_scale=[0.5, 1]", "epochs = 4", "ema=.5"]
            .map(String::from);
        let recipe = Recipe::compose(path.to_str().unwrap(), &set).unwrap();
        assert_eq!((recipe.name.as_str(), recipe.epochs, recipe.batch), ("mine", 4, 512));
        assert_eq!((recipe.optimizer.rate, recipe.optimizer.weight_decay, recipe.ema), (1.0, 2e-4, 0.5));
        assert_eq!((recipe.train, recipe.augment.crop_scale), (Trained::Last(2), [0.5, 1.0]));
        let recipe = Recipe::compose("finetune", &["optimizer.kind=adamw".into()]).unwrap();
        assert_eq!(recipe.optimizer.kind, OptimizerKind::Adamw);
    }

    #[test]
    fn wrong_settings_are_named() {
        let refusal =
            |base: &str, setting: &str| Recipe::compose(base, &[setting.into()]).unwrap_err().to_string();
        assert!(refusal("fintune", "epochs=1").contains("there are finetune, head"));
        assert!(refusal("finetune", "optimizer.ratte=1").contains("ratte"));
        assert!(refusal("finetune", "optimizer.rate=fast").contains("fast"));
        assert!(refusal("finetune", "epochs").contains("NAME=VALUE"));
        assert!(refusal("finetune", "epochs=0").contains("epochs is 0"));
        assert!(refusal("finetune", "train=most").contains("most is neither"));
        assert!(refusal("nowhere.toml", "epochs=1").contains("nowhere.toml"));
    }
}
