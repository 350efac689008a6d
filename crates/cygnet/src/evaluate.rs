//! Accuracy on a folder of labelled photos.

use std::collections::HashMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use cygnet_image::ClassFolder;
use cygnet_zoo::imagenet;
use serde::Serialize;

use crate::parallel::in_order;
use crate::{Classifier, Error};

/// What an evaluation found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Photos classified.
    pub images: usize,
    /// Percent whose first guess is right.
    pub top1: f64,
    /// Percent whose first five guesses hold the right one.
    pub top5: f64,
    /// Photos that could not be read, and why; by class, then by path.
    #[serde(skip)]
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Classifies every photo of a folder of class folders on up to `threads` threads, whose number does not change the
/// result. Class folders are named by label (any of its synonyms, `_` for a space), WordNet id, or index. `seen` is
/// called after each photo with the number done and the number there are.
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
    let ClassFolder { classes, samples } = ClassFolder::open(folder)?;
    let names = class_names(classifier);
    let class = |name: &String| {
        let index = name.parse().ok().filter(|&index: &usize| index < classifier.model().graph.classes());
        names
            .get(&normal(name))
            .copied()
            .or(index)
            .ok_or_else(|| Error::UnknownClass { path: folder.into(), folder: name.clone() })
    };
    let classes: Vec<usize> = classes.iter().map(class).collect::<Result<_, _>>()?;

    let mut result = Evaluation::default();
    let mut hits = [0usize; 2];
    let mut done = 0;
    let work = |(path, _): &(PathBuf, usize)| classifier.classify_file(path, 5);
    let Ok(()) = in_order(&samples, threads, work, |(path, class), answer| {
        match answer {
            Ok(answer) => {
                let place = answer.top.iter().position(|guess| guess.index == classes[*class]);
                result.images += 1;
                hits[0] += usize::from(place == Some(0));
                hits[1] += usize::from(place.is_some());
            }
            Err(error) => result.unreadable.push((path.clone(), error.without_file().to_string())),
        }
        done += 1;
        seen(done, samples.len());
        Ok::<(), Infallible>(())
    });
    let percent =
        |hits: usize| if result.images == 0 { 0.0 } else { 100.0 * hits as f64 / result.images as f64 };
    [result.top1, result.top5] = hits.map(percent);
    Ok(result)
}

fn normal(name: &str) -> String {
    name.trim().replace(['_', '-'], " ").to_lowercase()
}

/// Classes by every name that means just one of them; whole labels come before synonyms.
fn class_names(classifier: &Classifier) -> HashMap<String, usize> {
    let labels = &classifier.model().labels;
    let mut names = unique(labels.iter().enumerate().map(|(class, label)| (normal(label), class)));
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
