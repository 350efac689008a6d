//! How good a network is: its accuracy after some epochs from random weights.

use std::cell::OnceCell;
use std::num::NonZeroUsize;

use cygnet_hub::Cache;
use cygnet_image::Splits;
use cygnet_runtime::{Level, cpu};
use cygnet_train::{Metrics, Recipe, TrainData, TrainOptions, Trainer};
use cygnet_zoo::Gene;

use super::{Search, SearchError};
use crate::Error;
use crate::train::{Start, fitting_recipe, name_of, trainee};

/// Height and width of images where photos are not small and nothing else is asked for.
const IMAGE: usize = 96;

/// The photos, looked at once, and the recipe that all networks are trained by.
pub(super) struct Scoring {
    data: TrainData,
    recipe: Recipe,
    image: usize,
    dataset: String,
    cache: OnceCell<Cache>,
}

impl Scoring {
    pub(super) fn new(search: &Search) -> Result<Scoring, SearchError> {
        let splits = Splits::open(&search.data)?;
        let splits = Splits { test: None, ..splits };
        let fitting = fitting_recipe("mobilenet_v2", &Start::Scratch, Some(&splits), search.image);
        let small = fitting.settings.iter().find_map(|setting| setting.strip_prefix("image=")?.parse().ok());
        let image = search.image.or(small).unwrap_or(IMAGE);
        let name = search.recipe.as_deref().unwrap_or(fitting.recipe);
        let recipe = Recipe::compose(name, &["image=0".into(), format!("seed={}", search.seed)])?;
        let keep = cpu::memory_bytes().map_or(1 << 30, |bytes| bytes / 4);
        let data = TrainData::new(splits, &recipe, image, keep, search.threads, |_, _| ())?;
        if data.pictures()[1] == 0 {
            let reason = "has too few photos to keep some for validation; a search needs them".into();
            return Err(SearchError::File { path: search.data.clone(), reason });
        }
        Ok(Scoring { data, recipe, image, dataset: name_of(&search.data), cache: OnceCell::new() })
    }

    pub(super) fn image(&self) -> usize {
        self.image
    }

    pub(super) fn classes(&self) -> usize {
        self.data.classes.len()
    }

    /// Photos to learn from.
    pub(super) fn photos(&self) -> usize {
        self.data.pictures()[0]
    }

    /// Every setting of the recipe.
    pub(super) fn recipe(&self) -> serde_json::Value {
        serde_json::to_value(&self.recipe).unwrap_or_default()
    }

    /// Epochs of the whole recipe.
    pub(super) fn epochs(&self) -> u32 {
        self.recipe.epochs
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.data.fingerprint
    }

    /// The accuracy on the validation photos, of 1, after the epochs of a rung: a function of gene, rung and seed
    /// alone.
    pub(super) fn score(&self, gene: &Gene, rung: u32, search: &Search) -> Result<f64, SearchError> {
        let epochs = epochs_of(search.first_epochs, rung);
        let recipe = self.recipe.with(&[format!("epochs={epochs}")])?;
        let cache = match self.cache.get() {
            Some(cache) => cache,
            None => {
                let cache = Cache::from_env().map_err(Error::from)?;
                self.cache.get_or_init(|| cache)
            }
        };
        let labels = &self.data.classes;
        let trainee = trainee(&gene.to_string(), &Start::Scratch, labels, &recipe, cache, &mut ())?;
        let level = Level::chosen().map_err(|error| Error::NoStart { reason: error.to_string() })?;
        let options = TrainOptions { level, dataset: self.dataset.clone(), ..options(search.threads) };
        let outcome = Trainer::new(trainee, self.data.clone(), recipe, options)?.run(&mut ())?;
        Ok(Metrics::of(&outcome.verdicts, labels.len()).top1 / 100.0)
    }
}

fn options(threads: NonZeroUsize) -> TrainOptions {
    TrainOptions { machine_bytes: cpu::memory_bytes().unwrap_or(u64::MAX), ..TrainOptions::new(threads) }
}

/// Epochs at a rung: twice as many as at the one before.
pub(super) fn epochs_of(first: u32, rung: u32) -> u32 {
    first.saturating_mul(1u32.checked_shl(rung).unwrap_or(u32::MAX))
}
