//! What a model is quantised by: photos, or images that are generated.

use std::path::Path;

use cygnet_graph::Graph;
use cygnet_image::{Image, Rng, Splits, collect_images, without_name};
use cygnet_quantize::check_images;

use super::Quantizing;
use crate::evaluate::class_numbers;
use crate::{Classifier, Error, Model};

/// Images as the network wants them, with their classes if these are known.
pub(super) struct Looked {
    pub(super) images: Vec<Vec<f32>>,
    pub(super) labels: Vec<usize>,
}

/// Photos of a folder, or of anything that training reads; `notes` hears of those that are left out.
///
/// # Errors
/// If there are none, or they take too much memory.
pub(super) fn look(
    model: &Model,
    photos: &Path,
    how: &Quantizing,
    notes: &mut Vec<String>,
) -> Result<Looked, Error> {
    let check = |photos: usize| check_images(&model.graph, photos.min(how.images), how.memory_bytes);
    let splits = Splits::open_any(photos, how.limits);
    let (samples, names) = match splits {
        Ok(Splits { train, validation, test, .. }) => {
            let parts = [Some(train), validation, test].into_iter().flatten();
            let part = parts.into_iter().find(|part| !part.samples.is_empty()).unwrap_or_default();
            (part.samples, part.classes)
        }
        Err(error) => {
            let Ok(paths) = collect_images([photos]) else { return Err(error.into()) };
            check(paths.len())?;
            let (mut images, mut unread) = (Vec::new(), None);
            for path in spread(&paths, how.images) {
                match Image::open_within(path, how.limits) {
                    Ok(image) => images.push(model.preprocess.apply(&image)?),
                    Err(error) => {
                        let (name, told) = (path.display().to_string(), error.to_string());
                        notes.push(format!("{name}: left out: {}", without_name(&told, &name)));
                        unread.get_or_insert(error);
                    }
                }
            }
            if let Some(error) = unread.filter(|_| images.is_empty()) {
                return Err(error.into());
            }
            return Ok(Looked { images, labels: Vec::new() });
        }
    };
    check(samples.len())?;
    let numbers = class_numbers(&Classifier::new(model.clone())?, &names);
    if let Err(unknown) = &numbers {
        notes.push(format!("labels are not used: {unknown}"));
    }
    let mut looked = Looked { images: Vec::new(), labels: Vec::new() };
    for sample in spread(&samples, how.images) {
        match sample.decode(how.limits) {
            Ok(image) => {
                looked.images.push(model.preprocess.apply(&image)?);
                looked.labels.extend(numbers.as_ref().ok().map(|numbers| numbers[sample.class]));
            }
            Err(error) => notes.push(format!("{}: left out: {error}", sample.name)),
        }
    }
    Ok(looked)
}

/// Up to `count` of a list, from all over it.
pub fn spread<T>(list: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(list.len());
    (0..count).map(move |i| &list[i * list.len() / count])
}

/// Images with areas of light and colour, and noise.
pub(crate) fn generated(graph: &Graph, count: usize) -> Vec<Vec<f32>> {
    let [channels, height, width] = graph.input_shape();
    let image = |index: usize| {
        let mut rng = Rng::keyed(&[index as u64]);
        let mut image = Vec::with_capacity(channels * height * width);
        for _ in 0..channels {
            let (level, noise) = (rng.normal(), 0.2 * rng.uniform());
            let waves: Vec<[f64; 3]> = (0..4)
                .map(|_| [rng.between(0.0, 20.0), rng.between(0.0, 20.0), rng.between(0.0, 6.3)])
                .collect();
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let [y, x] = [y as f64 / height as f64, x as f64 / width as f64];
                let wave: f64 = waves.iter().map(|[a, b, shift]| (a * y + b * x + shift).sin()).sum();
                let value = level + 0.4 * wave + noise * rng.normal();
                image.push(value.clamp(-2.0, 2.0) as f32);
            }
        }
        image
    };
    (0..count.max(1)).map(image).collect()
}
