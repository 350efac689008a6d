//! What a model is quantised by: photos, or images that are generated.

use std::path::Path;

use cygnet_graph::Graph;
use cygnet_image::{Image, ImageError, Rng, Splits, collect_images, without_name};

use super::{Quantizing, check_room};
use crate::evaluate::{class_numbers, learnt_from};
use crate::{Classifier, Error, Model};

/// What stands in a note between the name of a photo and why it is left out.
pub(super) const LEFT_OUT: &str = ": left out: ";

/// Images as the network wants them, with their classes if these are known.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) images: Vec<Vec<f32>>,
    pub(super) labels: Vec<usize>,
}

/// Photos of a folder, or of anything that training reads; `notes` hears of those that are left out.
///
/// # Errors
/// If there are none, none can be read, or they take too much memory.
pub(super) fn look(
    model: &Model,
    photos: &Path,
    how: &Quantizing,
    notes: &mut Vec<String>,
) -> Result<Looked, Error> {
    let check = |photos: usize| check_room(model, how, photos.min(how.images));
    let mut reading = Reading { model, notes, looked: Looked::default(), unread: None };
    match Splits::open_any(photos, how.limits) {
        Ok(Splits { train, validation, test, .. }) => {
            let parts = [Some(train), validation, test].into_iter().flatten();
            let part = parts.into_iter().find(|part| !part.samples.is_empty()).unwrap_or_default();
            check(part.samples.len())?;
            let learnt = learnt_from(model, photos, part.samples.len());
            reading
                .notes
                .extend(learnt.map(|learnt| format!("{learnt}, less is lost on them than on others")));
            let numbers = class_numbers(&Classifier::new(model.clone())?, &part.classes);
            if let Err(unknown) = &numbers {
                reading.notes.push(format!("labels are not used: {unknown}"));
            }
            for sample in spread(&part.samples, how.images) {
                let label = numbers.as_ref().ok().map(|numbers| numbers[sample.class]);
                reading.add(&sample.name, label, sample.decode(how.limits))?;
            }
        }
        Err(error) => {
            let Ok(paths) = collect_images([photos]) else { return Err(error.into()) };
            check(paths.len())?;
            for path in spread(&paths, how.images) {
                reading.add(&path.display().to_string(), None, Image::open_within(path, how.limits))?;
            }
        }
    }
    match reading.unread {
        Some(error) if reading.looked.images.is_empty() => Err(error.into()),
        _ => Ok(reading.looked),
    }
}

/// Photos as they are read.
struct Reading<'r> {
    model: &'r Model,
    notes: &'r mut Vec<String>,
    looked: Looked,
    /// Why the first of those that cannot be read is left out.
    unread: Option<ImageError>,
}

impl Reading<'_> {
    /// Adds a photo with its class, if that is known; one that cannot be read is left out and noted.
    ///
    /// # Errors
    /// If it cannot be prepared for the network.
    fn add(
        &mut self,
        name: &str,
        label: Option<usize>,
        photo: Result<Image, ImageError>,
    ) -> Result<(), Error> {
        match photo {
            Ok(image) => {
                self.looked.images.push(self.model.preprocess.apply(&image)?);
                self.looked.labels.extend(label);
            }
            Err(error) => {
                self.notes.push(format!("{name}{LEFT_OUT}{}", without_name(&error.to_string(), name)));
                self.unread.get_or_insert(error);
            }
        }
        Ok(())
    }
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
