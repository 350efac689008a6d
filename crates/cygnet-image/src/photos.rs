//! Decoded pictures by number, kept in memory as far as a budget allows.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::dataset::Sample;
use crate::decode::{DecodeLimits, Image};
use crate::error::{ImageError, Result};
use crate::parallel::map_indexed;
use crate::resize::Interpolation;
use crate::rng::Rng;

/// The pictures of a data set. What is kept never changes what is returned.
#[derive(Debug)]
pub struct Photos {
    samples: Vec<Sample>,
    shorter_side: Option<usize>,
    limits: DecodeLimits,
    kept: Vec<OnceLock<Arc<Image>>>,
    left: AtomicU64,
}

/// What a first look at every picture found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Numbers of the pictures that cannot be read, and why.
    pub unreadable: Vec<(usize, ImageError)>,
    /// A hash of each picture's bytes; unreadable ones have none.
    pub hashes: Vec<Option<u64>>,
}

impl Photos {
    /// Pictures to be decoded when asked for, at most `budget` bytes of which are kept. Those whose shorter side is
    /// over `shorter_side` pixels are reduced to it (bilinear, antialiased).
    #[must_use]
    pub fn new(samples: Vec<Sample>, shorter_side: Option<usize>, budget: u64) -> Photos {
        let kept = samples.iter().map(|_| OnceLock::new()).collect();
        let limits = DecodeLimits::default();
        Photos { samples, shorter_side, limits, kept, left: AtomicU64::new(budget) }
    }

    /// The same with other limits than the default ones.
    #[must_use]
    pub fn within(self, limits: DecodeLimits) -> Photos {
        Photos { limits, ..self }
    }

    /// The pictures' places and classes.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The picture with a number.
    ///
    /// # Errors
    /// As [`Sample::decode`].
    ///
    /// # Panics
    /// If there is no such number.
    pub fn get(&self, index: usize) -> Result<Arc<Image>> {
        if let Some(image) = self.kept[index].get() {
            return Ok(Arc::clone(image));
        }
        self.keep(index, self.samples[index].decode(self.limits)?)
    }

    /// Reduces a decoded picture and keeps it if there is room.
    fn keep(&self, index: usize, image: Image) -> Result<Arc<Image>> {
        let image = Arc::new(self.reduced(image)?);
        let bytes = image.pixels.len() as u64;
        let spend = |left: u64| left.checked_sub(bytes);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok() {
            _ = self.kept[index].set(Arc::clone(&image));
        }
        Ok(image)
    }

    fn reduced(&self, image: Image) -> Result<Image> {
        let short = image.width.min(image.height);
        match self.shorter_side {
            Some(side) if side < short => {
                let scaled =
                    |length: usize| ((length as f64 * side as f64 / short as f64).round() as usize).max(1);
                image.resized(scaled(image.width), scaled(image.height), Interpolation::Bilinear)
            }
            _ => Ok(image),
        }
    }

    /// Decodes every picture once, which fills the memory and finds those that cannot be read.
    pub fn survey(&self, threads: NonZeroUsize, seen: impl Fn(usize) + Sync) -> Survey {
        // Without an end of time all are looked at.
        self.survey_until(None, threads, seen).unwrap_or_default()
    }

    /// As [`Photos::survey`]; none if the time `until` came before every picture was decoded.
    pub fn survey_until(
        &self,
        until: Option<Instant>,
        threads: NonZeroUsize,
        seen: impl Fn(usize) + Sync,
    ) -> Option<Survey> {
        let is_late = AtomicBool::new(false);
        let look = |(): &mut (), index: usize| {
            if until.is_some_and(|until| Instant::now() >= until) {
                is_late.store(true, Ordering::Relaxed);
                return Ok(0);
            }
            let sample = &self.samples[index];
            let bytes = sample.bytes(self.limits)?;
            if self.kept[index].get().is_none() {
                self.keep(index, sample.picture(&bytes, self.limits)?)?;
            }
            let (words, rest) = bytes.as_chunks();
            let words = words.iter().map(|word| u64::from_le_bytes(*word));
            let rest = rest.iter().map(|byte| u64::from(*byte));
            let keys: Vec<u64> = [bytes.len() as u64].into_iter().chain(words).chain(rest).collect();
            Ok(Rng::keyed(&keys).state)
        };
        let mut survey = Survey::default();
        for (index, looked) in
            map_indexed(self.samples.len(), threads, || (), look, seen).into_iter().enumerate()
        {
            survey.hashes.push(looked.as_ref().ok().copied());
            survey.unreadable.extend(looked.err().map(|error| (index, error)));
        }
        (!is_late.into_inner()).then_some(survey)
    }

    /// The same without the pictures of these numbers, in ascending order.
    #[must_use]
    pub fn without(self, numbers: &[usize]) -> Photos {
        let stays = |index: usize| numbers.binary_search(&index).is_err();
        let Photos { samples, shorter_side, limits, kept, left } = self;
        let (samples, kept) = samples
            .into_iter()
            .zip(kept)
            .enumerate()
            .filter_map(|(index, picture)| stays(index).then_some(picture))
            .unzip();
        Photos { samples, shorter_side, limits, kept, left }
    }
}

/// Pairs of pictures, one of each set, that have the same bytes; the first set's number is the first with them.
///
/// # Errors
/// If a file that was read before cannot be read again.
pub fn duplicates(a: (&Photos, &Survey), b: (&Photos, &Survey)) -> Result<Vec<(usize, usize)>> {
    let mut first: HashMap<u64, usize> = HashMap::new();
    for (index, hash) in a.1.hashes.iter().enumerate() {
        if let Some(hash) = hash {
            first.entry(*hash).or_insert(index);
        }
    }
    let mut pairs = Vec::new();
    for (index, hash) in b.1.hashes.iter().enumerate() {
        let Some(&other) = hash.as_ref().and_then(|hash| first.get(hash)) else { continue };
        if a.0.samples[other].bytes(a.0.limits)? == b.0.samples[index].bytes(b.0.limits)? {
            pairs.push((other, index));
        }
    }
    Ok(pairs)
}

/// Pairs of pictures of one set that have the same bytes but different classes; the first of each pair is the first picture
/// with them.
///
/// # Errors
/// If a file that was read before cannot be read again.
pub fn contradictions(photos: &Photos, survey: &Survey) -> Result<Vec<(usize, usize)>> {
    let mut first: HashMap<u64, usize> = HashMap::new();
    let mut pairs = Vec::new();
    for (index, hash) in survey.hashes.iter().enumerate() {
        let Some(hash) = hash else { continue };
        let other = *first.entry(*hash).or_insert(index);
        let [a, b] = [other, index].map(|index| &photos.samples[index]);
        if a.class != b.class && a.bytes(photos.limits)? == b.bytes(photos.limits)? {
            pairs.push((other, index));
        }
    }
    Ok(pairs)
}
