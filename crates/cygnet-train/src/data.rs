//! The pictures of a run: divided, looked at once, those that cannot be read left out.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_image::{Crop, Dataset, Photos, Sample, Splits, contradictions, duplicates, without_name};

use crate::TrainError;
use crate::recipe::Recipe;

/// Work that takes longer than the run's time, and longer than this, is refused before it begins.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// The most pictures that are taken for validation where none are given.
const MOST_VALIDATION: f64 = 5000.0;

/// Pictures to learn from and to choose by.
#[derive(Clone, Debug)]
pub struct TrainData {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// Pictures to learn from.
    pub train: Arc<Photos>,
    /// Pictures to choose by; may be none.
    pub validation: Arc<Photos>,
    /// Pictures for the final figure; may be none.
    pub test: Arc<Photos>,
    /// Weight of each class, inverse to its pictures.
    pub class_weights: Vec<f32>,
    /// Names pictures and classes by content, so that a resumed run is sure to see the same ones.
    pub fingerprint: u64,
    /// Pictures that cannot be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// Validation or test pictures that are also trained on: those pictures' names, and the trained ones'.
    pub duplicates: Vec<(String, String)>,
    /// Pictures of one part that have the same bytes but different classes: pairs of their names.
    pub contradictions: Vec<(String, String)>,
}

impl TrainData {
    /// Divides the pictures if need be and decodes each once, keeping up to `keep_bytes` of pixels; photos that are
    /// cropped at random are kept at no more than twice the `side` of the network's image. `seen` is called with the
    /// number of pictures looked at and of all there are.
    ///
    /// # Errors
    /// If too few can be read.
    pub fn new(
        splits: Splits,
        recipe: &Recipe,
        side: usize,
        keep_bytes: u64,
        threads: NonZeroUsize,
        seen: impl Fn(usize, usize) + Sync,
    ) -> Result<TrainData, TrainError> {
        TrainData::new_until(splits, recipe, side, keep_bytes, threads, None, seen)
    }

    /// As [`TrainData::new`] for a run that has a time, which began and is so long: what takes longer is given up.
    ///
    /// # Errors
    /// As [`TrainData::new`], and [`TrainError::TooShortToLook`].
    pub fn new_until(
        splits: Splits,
        recipe: &Recipe,
        side: usize,
        keep_bytes: u64,
        threads: NonZeroUsize,
        time: Option<(Instant, Duration)>,
        seen: impl Fn(usize, usize) + Sync,
    ) -> Result<TrainData, TrainError> {
        let until = time.map(|(began, time)| began + time.max(PATIENCE));
        let Splits { train, validation, test, limits, .. } = splits;
        let (train, validation) = match validation {
            Some(validation) => (train, validation),
            None => {
                let most = MOST_VALIDATION / train.samples.len().max(1) as f64;
                if recipe.validation > 0.0 {
                    train.split(recipe.validation.min(most), recipe.seed)
                } else {
                    let classes = train.classes.clone();
                    (train, Dataset { classes, samples: Vec::new() })
                }
            }
        };
        let test = test.unwrap_or_default();
        let shorter = (recipe.augment.crop == Crop::Resized).then_some(2 * side);
        let total = train.samples.len() + validation.samples.len() + test.samples.len();
        let classes = train.classes.clone();

        let mut unreadable = Vec::new();
        let mut before = 0;
        let mut look = |samples, shorter, keep| -> Result<_, TrainError> {
            let photos = Photos::new(samples, shorter, keep).within(limits);
            let count = photos.samples().len();
            let surveyed = photos.survey_until(until, threads, |done| seen(before + done, total));
            let Some(mut survey) = surveyed else {
                let time = time.map(|(_, time)| time).unwrap_or_default();
                return Err(TrainError::TooShortToLook { time, pictures: total });
            };
            before += count;
            let broken: Vec<usize> = survey.unreadable.iter().map(|(index, _)| *index).collect();
            unreadable.extend(survey.unreadable.drain(..).map(|(index, error)| {
                let name = photos.samples()[index].name.clone();
                let reason = without_name(&error.to_string(), &name).to_owned();
                (photos.samples()[index].class, (name, reason))
            }));
            let mut index = 0;
            survey.hashes.retain(|_| {
                index += 1;
                broken.binary_search(&(index - 1)).is_err()
            });
            Ok((photos.without(&broken), survey))
        };
        let (train, train_survey) = look(train.samples, shorter, keep_bytes)?;
        let (validation, validation_survey) = look(validation.samples, None, 0)?;
        let (test, test_survey) = look(test.samples, None, 0)?;

        let whole = Dataset { classes, samples: train.samples().to_vec() };
        let counts = whole.counts();
        if let Some(class) = counts.iter().position(|&count| count == 0) {
            let mut what = format!("no picture of class {} is left to learn from", whole.classes[class]);
            if let Some((_, (name, reason))) = unreadable.iter().find(|(of, _)| *of == class) {
                what += &format!(" ({name}: {reason})");
            }
            return Err(TrainError::TooFew { what });
        }
        let mut pairs = Vec::new();
        for (photos, survey) in [(&validation, &validation_survey), (&test, &test_survey)] {
            for (ours, theirs) in duplicates((&train, &train_survey), (photos, survey))? {
                pairs.push((photos.samples()[theirs].name.clone(), train.samples()[ours].name.clone()));
            }
        }
        let mut of_two_classes = Vec::new();
        for (photos, survey) in
            [(&train, &train_survey), (&validation, &validation_survey), (&test, &test_survey)]
        {
            let name = |index: usize| photos.samples()[index].name.clone();
            of_two_classes
                .extend(contradictions(photos, survey)?.into_iter().map(|(a, b)| (name(a), name(b))));
        }
        let mut fingerprint = 0u64;
        for (photos, survey) in [(&train, &train_survey), (&validation, &validation_survey)] {
            for (sample, hash) in photos.samples().iter().zip(&survey.hashes) {
                let next = hash.unwrap_or(0) ^ sample.class as u64;
                fingerprint = (fingerprint.rotate_left(5) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        Ok(TrainData {
            class_weights: whole.balanced_weights(),
            classes: whole.classes,
            train: Arc::new(train),
            validation: Arc::new(validation),
            test: Arc::new(test),
            fingerprint,
            unreadable: unreadable.into_iter().map(|(_, told)| told).collect(),
            duplicates: pairs,
            contradictions: of_two_classes,
        })
    }

    /// How many pictures there are to learn from, to choose by and for the test.
    #[must_use]
    pub fn pictures(&self) -> [usize; 3] {
        [&self.train, &self.validation, &self.test].map(|photos| photos.samples().len())
    }

    /// The names of the classes that no picture for validation is of, in order.
    #[must_use]
    pub fn without_validation(&self) -> Vec<&str> {
        let counts = Sample::counts(self.validation.samples(), self.classes.len());
        let unseen = self.classes.iter().zip(counts).filter(|(_, count)| *count == 0);
        unseen.map(|(name, _)| name.as_str()).collect()
    }
}
