//! Whether a model and pictures are those of a state's run.

use cygnet_image::Sample;
use cygnet_weights::ModelRecord;

use super::State;
use crate::data::TrainData;
use crate::files::RunFiles;
use crate::recipe::{Quantize, Recipe};

/// Most names that a message lists.
const LISTED: usize = 3;

impl State {
    /// Whether a model may be a result of this run: network, preparation, labels, what it was trained from and on, and
    /// the recipe but for its epochs are the run's.
    #[must_use]
    pub fn has_made(&self, model: &ModelRecord) -> bool {
        let (ours, recipe) = (self.record(), self.recipe());
        let graph = self.graph().map(|graph| graph.without_auxiliary().to_json());
        let trained = |record: &ModelRecord| {
            let training = record.training.clone();
            training.map(|training| (training.from, training.class_pictures))
        };
        let theirs = model.recipe.clone().and_then(|recipe| serde_json::from_value::<Recipe>(recipe).ok());
        let is_recipe = theirs
            .is_some_and(|theirs| recipe.differences(&Recipe { epochs: recipe.epochs, ..theirs }).is_empty());
        model.network == ours.network
            && graph.is_ok_and(|graph| graph == model.graph)
            && model.preprocess == ours.preprocess
            && model.labels == ours.labels
            && model.quantization.is_some() == (recipe.quantize == Quantize::Int8)
            && trained(model) == trained(ours)
            && is_recipe
    }

    /// Whether the model that is there is the one that the run replaces at the end of its first epoch, as it was asked to.
    #[must_use]
    pub fn replaces(&self, files: &RunFiles) -> bool {
        self.best().is_none()
            && self.progress.replaces.is_some_and(|print| Some(print) == files.print_of_model())
    }

    /// What differs, if the run knows other classes.
    #[must_use]
    pub fn other_classes(&self, now: &[String]) -> Option<String> {
        let before = &self.record().labels;
        let without = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|class| !those.contains(class)).cloned().collect()
        };
        let (gone, new) = (without(before, now), without(now, before));
        Some(match (&gone[..], &new[..]) {
            _ if before == now => return None,
            ([], []) => "its classes are in another order now".into(),
            ([before], [now]) => format!("class {before} is now {now}; give it its name from then"),
            (gone, []) => format!("without {}", listed(gone)),
            ([], new) => format!("{} came since", listed(new)),
            (gone, new) => format!("it learnt {} and none of {}", listed(gone), listed(new)),
        })
    }

    /// What differs, if the run learns from other pictures or chooses by others.
    pub(crate) fn other_pictures(&self, data: &TrainData, dataset: &str) -> Option<String> {
        if self.progress.fingerprint == data.fingerprint {
            return None;
        }
        let Some(before) = &self.record().training else { return Some(String::new()) };
        let of = |name: &str| if before.dataset == dataset { String::new() } else { format!(" of {name}") };
        let ([learnt, validated, _], pictures) = (before.pictures, data.pictures());
        let mut told =
            format!("{learnt} to learn from and {validated} for validation{} then, ", of(&before.dataset));
        told += &match pictures[..2] == before.pictures[..2] {
            true => format!("as many{} now, some of them others or elsewhere", of(dataset)),
            false => format!("{} and {}{} now", pictures[0], pictures[1], of(dataset)),
        };
        let now = Sample::counts(data.train.samples(), data.classes.len());
        let pairs = data.classes.iter().zip(before.class_pictures.iter().zip(&now));
        let changed = pairs.filter(|(_, (before, now))| before != now);
        let changed: Vec<String> =
            changed.map(|(class, (before, now))| format!("{class} had {before} and has {now}")).collect();
        if !changed.is_empty() {
            told += &format!(" ({})", listed(&changed));
        }
        if !data.unreadable.is_empty() {
            told += &format!("; {} cannot be read", data.unreadable.len());
        }
        Some(told)
    }

    /// That the run began with another number of pictures for the test, which change nothing that it learns.
    #[must_use]
    pub fn other_tests(&self, data: &TrainData) -> Option<String> {
        let before = self.record().training.as_ref()?.pictures[2];
        let [_, _, now] = data.pictures();
        (before != now)
            .then(|| format!("the run began with {before} pictures for the test, now there are {now}"))
    }
}

/// The first of some names, and how many there are besides.
fn listed(names: &[String]) -> String {
    let first = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
