//! Accuracy on a folder of labelled photos.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use cygnet_image::{Dataset, DecodeLimits, Sample, Splits, without_name};
use cygnet_train::{ClassMetrics, Metrics, Verdict};
use cygnet_zoo::imagenet;
use serde::{Serialize, Serializer};

use crate::parallel::in_order;
use crate::train::name_of;
use crate::{Classifier, Error, Model};

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
    pub labels: Vec<String>,
    /// Photos by right class (rows) and guess (columns); in JSON null for models with more than 100 classes, of which
    /// `classes` and `confused` tell the same.
    #[serde(serialize_with = "small")]
    pub confusion: Vec<Vec<u32>>,
    /// Precision and recall of each class.
    pub classes: Vec<ClassMetrics>,
    /// All kinds of mistakes, the most frequent first.
    pub confused: Vec<Confused>,
    /// Photos that could not be read, and why; by class, then by path.
    #[serde(skip)]
    pub unreadable: Vec<(PathBuf, String)>,
    /// What the user should know of how the data set and its classes were understood.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Evaluation {
    /// Whether guessing would hardly have been worse, as far as so many photos tell: not of fewer than twenty.
    #[must_use]
    pub fn is_like_guessing(&self) -> bool {
        let (images, chance) = (self.images as f64, 1.0 / self.labels.len().max(1) as f64);
        let right = images * self.top1 / 100.0;
        images >= 20.0 && chance < 1.0 && right <= images * chance + (images * chance * (1.0 - chance)).sqrt()
    }
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

/// Writes the matrix of few classes.
fn small<S: Serializer>(confusion: &Vec<Vec<u32>>, to: S) -> Result<S::Ok, S::Error> {
    (confusion.len() <= MATRIX).then_some(confusion).serialize(to)
}

/// Classifies every photo of a data set on up to `threads` threads, whose number does not change the result. `folder`
/// is a folder of class folders or anything else that [`Splits::open`] opens, of which the test pictures are taken, or
/// else those for validation, or else all. Classes are named by label (any of its synonyms, `_` for a space), WordNet
/// id, or index; a number is an index only where no label is a number. `seen` is called after each photo with the number done and the number there are.
///
/// # Errors
/// If the folder cannot be read or has a class that the model does not know or that several of its labels name. Unreadable photos are no error but are
/// listed in the result.
pub fn evaluate(
    classifier: &Classifier,
    folder: &Path,
    threads: NonZeroUsize,
    mut seen: impl FnMut(usize, usize),
) -> Result<Evaluation, Error> {
    let Taken { photos: Dataset { classes, samples }, is_divided, mut notes } =
        photos(folder, classifier.limits())?;
    let counts = Sample::counts(&samples, classes.len());
    let known = Classes::of(classifier);
    let mut numbers = vec![0; classes.len()];
    let mut folders: BTreeMap<usize, &str> = BTreeMap::new();
    for (class, name) in classes.iter().enumerate().filter(|&(class, _)| counts[class] > 0) {
        let number = known.number(name).map_err(|reason| Error::UnknownClass {
            path: folder.into(),
            folder: name.clone(),
            reason,
        })?;
        numbers[class] = number;
        if let Some(other) = folders.insert(number, name) {
            let label = classifier.model().label(number);
            notes.push(format!("{other} and {name} are both taken for class {number}, {label}"));
        }
    }

    notes.extend(known.by_number(&folders));
    let model = classifier.model();
    let learnt = learnt_from(model, folder, samples.len()).filter(|_| !is_divided);
    notes.extend(learnt.map(|learnt| format!("{learnt}, that flatters the accuracy{}", apart(model))));

    let mut unreadable = Vec::new();
    let mut verdicts = Vec::new();
    let mut done = 0;
    let all = classifier.model().graph.classes();
    let work = |sample: &Sample| match sample.path() {
        Some(path) => classifier.classify_file(path, all),
        None => classifier.classify_image(&sample.decode(classifier.limits())?, all),
    };
    let Ok(()) = in_order(&samples, classifier.at_once(threads), work, |sample, answer| {
        match answer {
            Ok(answer) => {
                let class = numbers[sample.class];
                let rank = answer.top.iter().position(|guess| guess.index == class).unwrap_or(all);
                verdicts.push(Verdict {
                    class,
                    guess: answer.top[0].index,
                    confidence: answer.top[0].probability,
                    class_probability: answer.top.get(rank).map_or(0.0, |guess| guess.probability),
                    rank,
                });
            }
            Err(error) => {
                let told = error.to_string();
                unreadable.push((sample.name.clone().into(), without_name(&told, &sample.name).to_owned()));
            }
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
        confused: metrics.confused(usize::MAX).into_iter().map(confused).collect(),
        confusion: metrics.confusion,
        classes: metrics.classes,
        unreadable,
        notes,
    })
}

/// That the model may have learnt from so many photos of `folder`, as far as that can be known.
pub(crate) fn learnt_from(model: &Model, folder: &Path, photos: usize) -> Option<String> {
    let training = model.training.as_ref()?;
    let [learnt, ..] = training.pictures;
    (training.dataset == name_of(folder) && photos >= learnt).then(|| {
        format!(
            "the model learnt from {learnt} pictures of a data set called {}: if they are among these",
            training.dataset
        )
    })
}

/// What is known of how well the model knows pictures that it did not learn from.
fn apart(model: &Model) -> String {
    let chosen = model.training.as_ref().map_or(0, |training| training.pictures[1]);
    match &model.accuracy {
        Some(accuracy) if chosen > 0 => {
            format!("; of the {chosen} that it did not learn from it knew {:.2} %", accuracy.top1)
        }
        _ => String::new(),
    }
}

/// What is evaluated on.
struct Taken {
    photos: Dataset,
    /// Whether they are a part of the data set.
    is_divided: bool,
    /// What is to be told of them.
    notes: Vec<String>,
}

fn photos(path: &Path, limits: DecodeLimits) -> Result<Taken, Error> {
    let Splits { train, validation, test, mut notes, .. } = Splits::open_any(path, limits)?;
    let is_divided = validation.is_some() || test.is_some();
    let (name, photos) = match (test, validation) {
        (Some(test), _) => ("test", test),
        (None, Some(validation)) => ("validation", validation),
        (None, None) => ("", train),
    };
    if is_divided {
        notes.push(match photos.samples.len() {
            1 => format!("the only {name} picture of the data set is taken"),
            count => format!("the {count} {name} pictures of the data set are taken"),
        });
    }
    Ok(Taken { photos, is_divided, notes })
}

/// The most labels that an error shows.
const MOST_LABELS: usize = 10;

fn normal(name: &str) -> String {
    name.trim().replace(['_', '-'], " ").to_lowercase()
}

/// The number of each class that a data set names, or the first name that a model does not know and why.
pub(crate) fn class_numbers(classifier: &Classifier, names: &[String]) -> Result<Vec<usize>, String> {
    let known = Classes::of(classifier);
    names.iter().map(|name| known.number(name).map_err(|reason| format!("{name}: {reason}"))).collect()
}

/// A model's classes by name.
struct Classes<'a> {
    classifier: &'a Classifier,
    /// The classes that each name means. Labels as they are come before those in lower case, and these before synonyms.
    names: [HashMap<String, Vec<usize>>; 3],
    /// Numbers are labels here, never indices.
    has_numbers: bool,
}

impl Classes<'_> {
    fn of(classifier: &Classifier) -> Classes<'_> {
        let labels = &classifier.model().labels;
        let mut names: [HashMap<String, Vec<usize>>; 3] = Default::default();
        let [exact, lower, synonyms] = &mut names;
        for (class, label) in labels.iter().enumerate() {
            exact.entry(label.clone()).or_default().push(class);
            lower.entry(normal(label)).or_default().push(class);
        }
        if *labels == imagenet::labels(1000) {
            for (class, (id, lemmas)) in imagenet::classes().enumerate() {
                exact.entry(id.to_owned()).or_default().push(class);
                for name in lemmas.split(", ") {
                    synonyms.entry(normal(name)).or_default().push(class);
                }
            }
        }
        let is_number = |label: &String| {
            label.contains(|c: char| c.is_ascii_digit()) && label.trim().parse::<f64>().is_ok()
        };
        let has_numbers = labels.iter().any(is_number);
        Classes { classifier, names, has_numbers }
    }

    /// The classes of a name.
    fn called(&self, name: &str) -> Option<&[usize]> {
        let lower = normal(name);
        let found = self.names.iter().zip([name, &lower, &lower]).find_map(|(names, name)| names.get(name));
        found.map(Vec::as_slice)
    }

    /// Which labels the folders mean that are taken for numbers of classes, if some are.
    fn by_number(&self, folders: &BTreeMap<usize, &str>) -> Option<String> {
        /// The most that are told.
        const MOST: usize = 3;
        let model = self.classifier.model();
        let numbers: Vec<usize> = folders
            .iter()
            .filter(|(_, name)| !model.labels.is_empty() && self.called(name).is_none())
            .map(|(&class, _)| class)
            .collect();
        let told: Vec<String> =
            numbers.iter().take(MOST).map(|&class| format!("{class} is {}", model.label(class))).collect();
        let more = if numbers.len() > MOST { ", and so on" } else { "" };
        let told = told.join(", ");
        (!numbers.is_empty()).then(|| {
            format!("folders that are no labels are taken for the model's numbers of classes: {told}{more}")
        })
    }

    /// The class that a name stands for, or why it stands for none.
    fn number(&self, name: &str) -> Result<usize, String> {
        let model = self.classifier.model();
        match self.called(name) {
            Some([class]) => return Ok(*class),
            Some(classes) => {
                let numbers: Vec<String> = classes.iter().map(|&class| self.unambiguous(class)).collect();
                return Err(format!(
                    "is the name of {} classes of this model; call it {}",
                    classes.len(),
                    numbers.join(" or ")
                ));
            }
            None => {}
        }
        let classes = model.graph.classes();
        match name.parse::<usize>() {
            Ok(_) if self.has_numbers => {
                Err(format!("is no label of this model, whose labels are numbers: {}", self.some(name)))
            }
            Ok(index) if index < classes => Ok(index),
            Ok(_) if model.labels.is_empty() => {
                Err(format!("is no class of this model, which has {classes}, 0 to {}", classes - 1))
            }
            Ok(_) => Err(format!("is no class of this model, which has {classes}: {}", self.some(name))),
            Err(_) => Err(format!(
                "is no class of this model, by label, WordNet id or index; it has {}",
                if model.labels.is_empty() { format!("0 to {}", classes - 1) } else { self.some(name) }
            )),
        }
    }

    /// Labels to show to who typed another: all of few, else those that are most alike.
    fn some(&self, name: &str) -> String {
        let mut labels: Vec<&str> = self.classifier.model().labels.iter().map(String::as_str).collect();
        let all = labels.len();
        if all > MOST_LABELS {
            let unlikeness = |label: &&str| {
                let likeness = strsim::normalized_levenshtein(&normal(name), &normal(label));
                std::cmp::Reverse((likeness * 1e6) as u64)
            };
            labels.sort_by_cached_key(unlikeness);
            labels.truncate(MOST_LABELS);
        }
        let more = if all > MOST_LABELS { ", …" } else { "" };
        format!("{}{more}", labels.join(", "))
    }

    /// A name that only this class has.
    fn unambiguous(&self, class: usize) -> String {
        let id = imagenet::classes().nth(class).map(|(id, _)| id);
        let id = id.filter(|id| self.names[0].get(*id).is_some_and(|classes| *classes == [class]));
        id.map_or_else(|| class.to_string(), str::to_owned)
    }
}
