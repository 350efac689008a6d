//! Photos to labelled guesses, embeddings and feature maps.

use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use cygnet_hub::{Cache, is_url, shown_url};
use cygnet_image::{DecodeLimits, Image};
use cygnet_runtime::{Level, Plan, PlanOptions, RunError, cpu};
use serde::Serialize;

use crate::parallel::in_order;
use crate::photo::fetched;
use crate::sessions::Sessions;
use crate::{Error, Model, Photo};

/// A model ready to classify photos. It can be shared between threads.
#[derive(Debug)]
pub struct Classifier {
    model: Model,
    whole: Sessions,
    /// The network up to its classifier, planned when first asked for.
    body: OnceLock<Sessions>,
    /// The network with its features kept, planned when first asked for.
    stages: OnceLock<Sessions>,
    limits: DecodeLimits,
}

/// A stage's feature map of a photo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureMap {
    /// The stage's path in the tree of parameters.
    pub name: String,
    /// How many times smaller than the image it is.
    pub stride: usize,
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
    /// Its numbers, row-major.
    pub values: Vec<f32>,
}

/// A class with its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// Number of the class.
    pub index: usize,
    /// Its label, or its number if labels are unknown.
    pub label: String,
    /// Softmax of the logits, 0 to 1.
    pub probability: f32,
}

/// Where the time went, in milliseconds; NaN, in JSON null, where there is no [clock](cpu::now).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timings {
    /// From the file's bytes to pixels.
    pub decode: f64,
    /// From pixels to the network's input.
    pub prepare: f64,
    /// From input to probabilities.
    pub infer: f64,
}

/// The answer for one photo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The likeliest classes, the best first.
    pub top: Vec<Guess>,
    /// Where the time went.
    pub ms: Timings,
}

impl Classifier {
    /// Makes a model ready.
    ///
    /// # Errors
    /// If its weights do not fit its graph, or `CYGNET_ISA` names no instruction set.
    pub fn new(model: Model) -> Result<Classifier, Error> {
        Ok(Classifier {
            whole: Sessions::new(model.plan()?),
            body: OnceLock::new(),
            stages: OnceLock::new(),
            limits: DecodeLimits::default(),
            model,
        })
    }

    /// The same with other limits on what is decoded than the default ones.
    #[must_use]
    pub fn within(self, limits: DecodeLimits) -> Classifier {
        Classifier { limits, ..self }
    }

    /// What may be decoded.
    #[must_use]
    pub fn limits(&self) -> DecodeLimits {
        self.limits
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How many of `threads` classify photos at once: fewer where all would take too much memory ([`Plan::at_once`]).
    #[must_use]
    pub fn at_once(&self, threads: NonZeroUsize) -> NonZeroUsize {
        NonZeroUsize::new(self.whole.plan().at_once(threads.get())).unwrap_or(threads)
    }

    /// The network's output for an input tensor `[channels, height, width]`.
    ///
    /// # Errors
    /// If the tensor has the wrong size.
    pub fn logits(&self, input: &[f32]) -> Result<Vec<f32>, Error> {
        Ok(self.whole.run(input)?)
    }

    /// What the network makes of a photo before its classifier: one vector, the same length for every photo. Photos that
    /// look alike to the network have vectors that point in like directions (cosine similarity).
    ///
    /// # Errors
    /// If the file is no readable image, or the network has no classifier.
    pub fn embed(&self, path: impl AsRef<Path>) -> Result<Vec<f32>, Error> {
        self.embed_image(&Image::open_within(path, self.limits)?)
    }

    /// As [`Classifier::embed`], of a decoded photo.
    ///
    /// # Errors
    /// If it cannot be brought to the network's size, or the network has no classifier.
    pub fn embed_image(&self, image: &Image) -> Result<Vec<f32>, Error> {
        let body = planned(&self.body, || self.model.body()?.plan())?;
        let output = body.run(&self.model.preprocess.apply(image)?)?;
        Ok(match body.output_shape()[..] {
            // A classifier that looks at every pixel averages afterwards; for one vector that is done before.
            [channels, height, width] if height * width > 1 => {
                let mean =
                    |map: &[f32]| (map.iter().map(|&x| f64::from(x)).sum::<f64>() / map.len() as f64) as f32;
                debug_assert_eq!(output.len(), channels * height * width);
                output.chunks_exact(height * width).map(mean).collect()
            }
            _ => output,
        })
    }

    /// The feature maps of a photo: one for each stride at which the network looks at it, the finest first.
    ///
    /// # Errors
    /// If the file is no readable image.
    pub fn features(&self, path: impl AsRef<Path>) -> Result<Vec<FeatureMap>, Error> {
        self.features_image(&Image::open_within(path, self.limits)?)
    }

    /// As [`Classifier::features`], of a decoded photo.
    ///
    /// # Errors
    /// If it cannot be brought to the network's size.
    pub fn features_image(&self, image: &Image) -> Result<Vec<FeatureMap>, Error> {
        let stages = planned(&self.stages, || {
            let level = Level::chosen().map_err(RunError::Plan)?;
            self.model.plan_with(PlanOptions { features: true, ..level.into() })
        })?;
        let values = stages.run_features(&self.model.preprocess.apply(image)?)?;
        let map = |feature: &cygnet_runtime::PlanFeature| FeatureMap {
            name: feature.name.clone(),
            stride: feature.stride,
            shape: feature.shape,
            values: values[feature.range.clone()].to_vec(),
        };
        Ok(stages.plan().features().iter().map(map).collect())
    }

    /// Classifies image files on up to `threads` threads ([`Classifier::at_once`]), each a whole photo at a time. `each` is called on the
    /// calling thread with every answer, or why there is none, in the order of `paths`.
    ///
    /// # Errors
    /// The first of `each`; no photo is begun after it.
    pub fn classify_files<P: AsRef<Path> + Sync, E>(
        &self,
        paths: &[P],
        top: usize,
        threads: NonZeroUsize,
        each: impl FnMut(&P, Result<Answer, Error>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each(paths, threads, |path| self.classify_file(path, top), each)
    }

    /// Does `work` with each of `photos` on up to `threads` threads ([`Classifier::at_once`]). `each` is called on the calling
    /// thread with every result, in the order of `photos`.
    ///
    /// # Errors
    /// The first of `each`; no photo is begun after it.
    pub fn for_each<P: Sync, T: Send, E>(
        &self,
        photos: &[P],
        threads: NonZeroUsize,
        work: impl Fn(&P) -> T + Sync,
        each: impl FnMut(&P, T) -> Result<(), E>,
    ) -> Result<(), E> {
        in_order(photos, self.at_once(threads), work, each)
    }

    /// Classifies a photo in whatever form it comes.
    ///
    /// # Errors
    /// If it cannot be read, or is no readable image.
    pub fn classify_photo(&self, photo: &Photo, top: usize) -> Result<Answer, Error> {
        match photo {
            Photo::Image(image) => self.classify_image(image, top),
            Photo::Bytes(bytes) => self.classify(bytes, top),
            Photo::File(path) => match path.to_str().filter(|path| is_url(path)) {
                Some(url) => self.classify_url(url, top, &Cache::from_env()?),
                None => self.classify_file(path, top),
            },
        }
    }

    /// The network's outputs for a batch of input tensors, one after the other, on up to `threads` threads, which change no
    /// number.
    ///
    /// # Errors
    /// If they are not whole images of the network's size.
    pub fn logits_of_batch(&self, inputs: &[f32], threads: NonZeroUsize) -> Result<Vec<f32>, Error> {
        let image: usize = self.model.graph.input_shape().iter().product();
        let images: Vec<&[f32]> = inputs.chunks(image).collect();
        let mut outputs = Vec::new();
        self.for_each(
            &images,
            threads,
            |input| self.logits(input),
            |_, logits| {
                outputs.extend(logits?);
                Ok::<(), Error>(())
            },
        )?;
        Ok(outputs)
    }

    /// Classifies an image file.
    ///
    /// # Errors
    /// If it cannot be read, or is no readable image.
    pub fn classify_file(&self, path: impl AsRef<Path>, top: usize) -> Result<Answer, Error> {
        let path = path.as_ref();
        let bytes = self.limits.read_file(path)?;
        self.classify(&bytes, top).map_err(|error| error.in_file(path))
    }

    /// Classifies the photo at an `https` address; it is not kept.
    ///
    /// # Errors
    /// If the address does not deliver at most 256 MB in two minutes, or they are no readable image.
    pub fn classify_url(&self, url: &str, top: usize, cache: &Cache) -> Result<Answer, Error> {
        let bytes = fetched(url, cache)?;
        self.classify(&bytes, top).map_err(|error| error.in_file(Path::new(&shown_url(url))))
    }

    /// Classifies what a reader yields, an image file's bytes.
    ///
    /// # Errors
    /// If it cannot be read, does not begin as an image, is longer than any image within the limits, or is no readable one.
    pub fn classify_from(&self, reader: impl Read, top: usize) -> Result<Answer, Error> {
        let bytes = self.limits.read(reader).map_err(Error::Input)??;
        self.classify(&bytes, top)
    }

    /// Classifies the bytes of an image file.
    ///
    /// # Errors
    /// If they are no readable image.
    pub fn classify(&self, bytes: &[u8], top: usize) -> Result<Answer, Error> {
        let mut clock = Clock(cpu::now());
        let image = Image::decode(bytes, self.limits)?;
        let decode = clock.lap();
        let Answer { top, ms } = self.classify_image(&image, top)?;
        Ok(Answer { top, ms: Timings { decode, ..ms } })
    }

    /// Classifies a decoded photo.
    ///
    /// # Errors
    /// If it cannot be brought to the network's size, or the network's output is not finite.
    pub fn classify_image(&self, image: &Image, top: usize) -> Result<Answer, Error> {
        let mut clock = Clock(cpu::now());
        let input = self.model.preprocess.apply(image)?;
        let prepare = clock.lap();
        let mut scores = self.logits(&input)?;
        if scores.iter().any(|score| !score.is_finite()) {
            return Err(Error::NotFinite { id: self.model.id.clone() });
        }
        if !self.model.graph.gives_probabilities() {
            let classes = scores.len();
            cygnet_runtime::softmax(&mut scores, classes);
        }
        let infer = clock.lap();
        let guess = |index| Guess { index, label: self.model.label(index), probability: scores[index] };
        let top = best(&scores, top).into_iter().map(guess).collect();
        Ok(Answer { top, ms: Timings { decode: 0.0, prepare, infer } })
    }
}

/// The sessions that `cell` holds, of a plan that is made when they are first asked for.
fn planned(
    cell: &OnceLock<Sessions>,
    plan: impl FnOnce() -> Result<Arc<Plan>, Error>,
) -> Result<&Sessions, Error> {
    if let Some(sessions) = cell.get() {
        return Ok(sessions);
    }
    let sessions = Sessions::new(plan()?);
    Ok(cell.get_or_init(|| sessions))
}

/// When the last lap ended, where that can be known.
struct Clock(Option<Instant>);

impl Clock {
    /// Milliseconds since the last lap, to the microsecond.
    fn lap(&mut self) -> f64 {
        let last = std::mem::replace(&mut self.0, cpu::now());
        let took = self.0.zip(last).map(|(now, last)| now.duration_since(last));
        took.map_or(f64::NAN, |took| took.as_micros() as f64 / 1000.0)
    }
}

/// Indices of the `count` largest scores, the largest first; ties go to the lower index.
fn best(scores: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    order
}
