//! Accuracy on a folder of labelled photos.

use std::collections::HashMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use cygnet_image::{ClassFolder, Dataset, DecodeLimits, ImageError, Sample, Splits};
use cygnet_train::{ClassMetrics, Metrics, Verdict};
use cygnet_zoo::imagenet;
use serde::Serialize;

use crate::parallel::in_order;
use crate::{Classifier, Error};

/// The most classes of a model whose whole confusion matrix is written as JSON.
const MATRIX: usize = 100;

/// What an evaluation found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Photos classified.
    pub images: usize,
    /// Percent whose first guess is right.
    pub top1: f64,
    /// Percent whose first five guesses hold the right one.
    pub top5: f64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Expected calibration error over fifteen bins (Guo et al. 2017), in percent.
    pub calibration_error: f64,
    /// The names of the model's classes.
    #[serde(skip_serializing_if = "is_large")]
    pub labels: Vec<String>,
    /// Photos by right class (rows) and guess (columns); as JSON only of models with up to 100 classes.
    #[serde(skip_serializing_if = "is_large")]
    pub confusion: Vec<Vec<u32>>,
    /// Precision and recall of each class; as JSON only of models with up to 100 classes.
    #[serde(skip_serializing_if = "is_large")]
    pub classes: Vec<ClassMetrics>,
    /// The most frequent mistakes, the most frequent first.
    pub confused: Vec<Confused>,
    /// Photos that could not be read, and why; by class, then by path.
    #[serde(skip)]
    pub unreadable: Vec<(PathBuf, String)>,
}

/// A kind of mistake.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confused {
    /// Label of the right class.
    pub class: String,
    /// Label of the guess.
    pub guess: String,
    /// How often.
    pub count: u32,
}

fn is_large<T>(of_classes: &[T]) -> bool {
    of_classes.len() > MATRIX
}

/// Classifies every photo of a data set on up to `threads` threads, whose number does not change the result. `folder`
/// is a folder of class folders or anything else that [`Splits::open`] opens, of which the test pictures are taken, or
/// else those for validation, or else all. Classes are named by label (any of its synonyms, `_` for a space), WordNet
/// id, or index. `seen` is called after each photo with the number done and the number there are.
///
/// # Errors
/// If the folder cannot be read or has a class that the model does not know. Unreadable photos are no error but are
/// listed in the result.
pub fn evaluate(
    classifier: &Classifier,
    folder: &Path,
    threads: NonZeroUsize,
    mut seen: impl FnMut(usize, usize),
) -> Result<Evaluation, Error> {
    let Dataset { classes, samples } = photos(folder)?;
    let names = class_names(classifier);
    let class = |name: &String| {
        let index = name.parse().ok().filter(|&index: &usize| index < classifier.model().graph.classes());
        names
            .get(name)
            .or(names.get(&normal(name)))
            .copied()
            .or(index)
            .ok_or_else(|| Error::UnknownClass { path: folder.into(), folder: name.clone() })
    };
    let classes: Vec<usize> = classes.iter().map(class).collect::<Result<_, _>>()?;

    let mut unreadable = Vec::new();
    let mut verdicts = Vec::new();
    let mut done = 0;
    let all = classifier.model().graph.classes();
    let work = |sample: &Sample| match sample.path() {
        Some(path) => classifier.classify_file(path, all),
        None => classifier.classify_image(&sample.decode(DecodeLimits::default())?, all),
    };
    let Ok(()) = in_order(&samples, threads, work, |sample, answer| {
        match answer {
            Ok(answer) => {
                let class = classes[sample.class];
                let rank = answer.top.iter().position(|guess| guess.index == class).unwrap_or(all);
                verdicts.push(Verdict {
                    class,
                    guess: answer.top[0].index,
                    confidence: answer.top[0].probability,
                    class_probability: answer.top.get(rank).map_or(0.0, |guess| guess.probability),
                    rank,
                });
            }
            Err(error) => unreadable.push((sample.name.clone().into(), error.without_file().to_string())),
        }
        done += 1;
        seen(done, samples.len());
        Ok::<(), Infallible>(())
    });
    let metrics = Metrics::of(&verdicts, all);
    let label = |class| classifier.model().label(class);
    let confused = |(class, guess, count)| Confused { class: label(class), guess: label(guess), count };
    Ok(Evaluation {
        images: metrics.images,
        top1: metrics.top1,
        top5: metrics.top5,
        loss: metrics.loss,
        calibration_error: metrics.calibration_error,
        labels: (0..all).map(label).collect(),
        confused: metrics.confused(10).into_iter().map(confused).collect(),
        confusion: metrics.confusion,
        classes: metrics.classes,
        unreadable,
    })
}

/// The photos to evaluate on.
fn photos(path: &Path) -> Result<Dataset, Error> {
    let is_train = |name: &String| ["train", "training"].contains(&name.to_lowercase().as_str());
    if path.is_dir() {
        match ClassFolder::open(path) {
            Ok(folder) if folder.classes.iter().any(is_train) => {}
            Ok(ClassFolder { classes, samples }) => {
                let samples = samples.into_iter().map(|(path, class)| Sample::file(path, class)).collect();
                return Ok(Dataset { classes, samples });
            }
            // A folder of IDX files has none inside.
            Err(ImageError::NoClasses { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let Splits { train, validation, test } = Splits::open(path)?;
    Ok(test.or(validation).unwrap_or(train))
}

fn normal(name: &str) -> String {
    name.trim().replace(['_', '-'], " ").to_lowercase()
}

/// Classes by every name that means just one of them; labels as they are come before those in lower case, and these
/// before synonyms.
fn class_names(classifier: &Classifier) -> HashMap<String, usize> {
    let labels = &classifier.model().labels;
    let mut names = unique(labels.iter().enumerate().map(|(class, label)| (label.clone(), class)));
    for (name, class) in unique(labels.iter().enumerate().map(|(class, label)| (normal(label), class))) {
        names.entry(name).or_insert(class);
    }
    if *labels == imagenet::labels(1000) {
        let classes = || imagenet::classes().enumerate();
        let lemmas = classes()
            .flat_map(|(class, (_, lemmas))| lemmas.split(", ").map(move |name| (normal(name), class)));
        for (synonym, class) in unique(lemmas) {
            names.entry(synonym).or_insert(class);
        }
        names.extend(classes().map(|(class, (id, _))| (id.to_owned(), class)));
    }
    names
}

/// The names that stand for one class only.
fn unique(names: impl Iterator<Item = (String, usize)>) -> HashMap<String, usize> {
    let mut classes: HashMap<String, Vec<usize>> = HashMap::new();
    for (name, class) in names {
        classes.entry(name).or_default().push(class);
    }
    let single = |(name, classes): (String, Vec<usize>)| match classes[..] {
        [class] => Some((name, class)),
        _ => None,
    };
    classes.into_iter().filter_map(single).collect()
}
