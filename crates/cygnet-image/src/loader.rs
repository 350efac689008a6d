//! Batches of training pictures, prepared by threads ahead of the one who takes them.
//!
//! What is in a batch depends on the settings, the seed, the epoch and the batch's number alone: every sample draws
//! from a stream named by seed, epoch and place, every batch from one named by its number. The threads decide only when.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::decode::ensure_memory;
use crate::error::Result;
use crate::photos::Photos;
use crate::preprocess::Preprocess;
use crate::rng::Rng;

/// How pictures of a batch are mixed and their labels softened, as timm's `Mixup` in batch mode: each batch mixes with
/// itself in reverse order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Mixup (Zhang et al. 2017): parameter of the beta distribution; 0 switches it off.
    pub mixup: f64,
    /// CutMix (Yun et al. 2019): parameter of the beta distribution; 0 switches it off. With both, each batch draws one.
    pub cutmix: f64,
    /// Share of the labels that is spread evenly over all classes (Szegedy et al. 2015, section 7).
    pub label_smoothing: f64,
}

impl Mix {
    /// Writes each sample's class probabilities and mixes `images`, `[batch, channels, height, width]`, in place.
    pub fn apply(
        &self,
        images: &mut [f32],
        [height, width]: [usize; 2],
        labels: &[usize],
        targets: &mut [f32],
        rng: &mut Rng,
    ) {
        let batch = labels.len();
        let classes = targets.len() / batch;
        let mut share = 1.0;
        let cut = self.cutmix > 0.0 && (self.mixup == 0.0 || rng.chance(0.5));
        if cut {
            share = 1.0 - rng.beta(self.cutmix);
            let side = share.sqrt();
            let window = |length: usize, centre: usize| {
                let half = (length as f64 * side) as usize / 2;
                centre.saturating_sub(half)..(centre + half).min(length)
            };
            let rows = window(height, rng.below(height));
            let columns = window(width, rng.below(width));
            share = 1.0 - (rows.len() * columns.len()) as f64 / (height * width) as f64;
            each_pair(images, batch, |a, b| {
                for (a, b) in a.chunks_exact_mut(height * width).zip(b.chunks_exact_mut(height * width)) {
                    for y in rows.clone() {
                        let row = y * width + columns.start..y * width + columns.end;
                        a[row.clone()].swap_with_slice(&mut b[row]);
                    }
                }
            });
        } else if self.mixup > 0.0 {
            share = rng.beta(self.mixup);
            let (own, other) = (share as f32, 1.0 - share as f32);
            each_pair(images, batch, |a, b| {
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (own * *a + other * *b, own * *b + other * *a);
                }
            });
        }
        let low = self.label_smoothing / classes as f64;
        let high = 1.0 - self.label_smoothing;
        targets.fill(low as f32);
        for (index, row) in targets.chunks_exact_mut(classes).enumerate() {
            row[labels[index]] += (high * share) as f32;
            row[labels[batch - 1 - index]] += (high * (1.0 - share)) as f32;
        }
    }
}

/// Calls `mix` with the first and last picture, the second and second last, and so on.
fn each_pair(images: &mut [f32], batch: usize, mix: impl Fn(&mut [f32], &mut [f32])) {
    let length = images.len() / batch;
    for index in 0..batch / 2 {
        let (front, back) = images.split_at_mut((batch - 1 - index) * length);
        mix(&mut front[index * length..][..length], &mut back[..length]);
    }
}

/// Pictures ready for a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[batch, channels, height, width]`.
    pub images: Vec<f32>,
    /// Probability of each class, `[batch, classes]`.
    pub targets: Vec<f32>,
    /// Class of each picture before any mixing.
    pub labels: Vec<usize>,
}

/// Changes a batch after all else, for instance to mix a teacher's answers into its targets. Called on the threads that
/// prepare batches.
pub type Finish = dyn Fn(&mut Batch) + Send + Sync;

/// Everything that decides what is in a batch.
pub struct Recipe {
    /// The pictures.
    pub photos: Arc<Photos>,
    /// The number of classes.
    pub classes: usize,
    /// How pictures become tensors.
    pub preprocess: Preprocess,
    /// Changes of single pictures.
    pub augment: Augment,
    /// Changes of whole batches.
    pub mix: Mix,
    /// The last change.
    pub finish: Option<Box<Finish>>,
    /// Names all random streams.
    pub seed: u64,
}

impl Recipe {
    /// The batch with a number, of the pictures with these numbers.
    ///
    /// # Errors
    /// If a picture cannot be read, or the batch does not fit the memory.
    pub fn batch(&self, epoch: u64, number: usize, pictures: &[usize]) -> Result<Batch> {
        let length = self.preprocess.tensor_len();
        let numbers = pictures.len() * length;
        ensure_memory(numbers.saturating_mul(size_of::<f32>()))?;
        let mut images = vec![0.0; numbers];
        let [height, width] = self.preprocess.size;
        let shape = [self.preprocess.channels.count(), height, width];
        for (place, (&picture, tensor)) in pictures.iter().zip(images.chunks_exact_mut(length)).enumerate() {
            let mut rng = Rng::keyed(&[self.seed, epoch, number as u64, place as u64]);
            let image = self.augment.apply(&*self.photos.get(picture)?, &self.preprocess, &mut rng)?;
            self.preprocess.normalize_into(&image, tensor)?;
            self.augment.erase(tensor, shape, &mut rng);
        }
        let labels: Vec<usize> =
            pictures.iter().map(|&picture| self.photos.samples()[picture].class).collect();
        let mut targets = vec![0.0; pictures.len() * self.classes];
        let mut rng = Rng::keyed(&[self.seed, epoch, number as u64]);
        self.mix.apply(&mut images, self.preprocess.size, &labels, &mut targets, &mut rng);
        let mut batch = Batch { images, targets, labels };
        if let Some(finish) = &self.finish {
            finish(&mut batch);
        }
        Ok(batch)
    }
}

/// An epoch: the numbers of its pictures in order, `size` of them a batch.
struct Epoch {
    recipe: Arc<Recipe>,
    number: u64,
    order: Vec<usize>,
    size: usize,
}

impl Epoch {
    fn batch(&self, number: usize) -> Result<Batch> {
        self.recipe.batch(self.number, number, &self.order[number * self.size..][..self.size])
    }
}

/// The batches of an epoch in order. At most one finished batch and one in work a thread wait.
pub struct Batches {
    epoch: Arc<Epoch>,
    /// Batches handed out, and handed to the threads.
    taken: usize,
    begun: usize,
    tickets: Option<mpsc::Sender<usize>>,
    results: mpsc::Receiver<(usize, thread::Result<Result<Batch>>)>,
    early: BTreeMap<usize, thread::Result<Result<Batch>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Batches {
    /// Begins an epoch at batch `first`: `order` holds the numbers of the pictures, `size` of them a batch; a last
    /// incomplete batch is left out. Where the system refuses threads, fewer make the batches, or whoever takes them.
    #[must_use]
    pub fn new(
        recipe: Arc<Recipe>,
        epoch: u64,
        order: Vec<usize>,
        size: usize,
        first: usize,
        threads: NonZeroUsize,
    ) -> Batches {
        let epoch = Arc::new(Epoch { recipe, number: epoch, order, size });
        let (tickets, queue) = mpsc::channel::<usize>();
        let queue = Arc::new(Mutex::new(queue));
        let (sender, results) = mpsc::channel();
        let worker = || {
            let (epoch, queue, sender) = (Arc::clone(&epoch), Arc::clone(&queue), sender.clone());
            let work = move || {
                while let Some(number) = queue.lock().ok().and_then(|queue| queue.recv().ok()) {
                    // A panic is passed on where the batch is awaited.
                    let batch = catch_unwind(AssertUnwindSafe(|| epoch.batch(number)));
                    if sender.send((number, batch)).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().spawn(work).ok()
        };
        let threads: Vec<_> = (0..threads.get()).map_while(|_| worker()).collect();
        let mut batches = Batches {
            epoch,
            taken: first,
            begun: first,
            tickets: Some(tickets),
            results,
            early: BTreeMap::new(),
            threads,
        };
        for _ in 0..2 * batches.threads.len() {
            batches.begin();
        }
        batches
    }

    /// Batches of the whole epoch.
    #[must_use]
    pub fn total(&self) -> usize {
        self.epoch.order.len() / self.epoch.size
    }

    fn begin(&mut self) {
        if self.begun < self.total()
            && let Some(tickets) = &self.tickets
        {
            _ = tickets.send(self.begun);
            self.begun += 1;
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        if self.taken >= self.total() {
            return None;
        }
        if self.threads.is_empty() {
            self.taken += 1;
            return Some(self.epoch.batch(self.taken - 1));
        }
        let batch = loop {
            match self.early.remove(&self.taken) {
                Some(batch) => break batch,
                None => self.early.extend(self.results.recv()),
            }
        };
        self.taken += 1;
        self.begin();
        Some(batch.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.tickets = None;
        // Tickets that nobody has taken yet are taken here, so that the threads end after the batch they are at.
        let (_, nothing) = mpsc::channel();
        self.results = nothing;
        for thread in self.threads.drain(..) {
            _ = thread.join();
        }
    }
}

/// The order of an epoch's pictures, from their classes: shuffled; with `balanced`, every class is drawn equally often,
/// with repetition.
#[must_use]
pub fn epoch_order(labels: &[usize], classes: usize, balanced: bool, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = Rng::keyed(&[seed, epoch]);
    let mut order: Vec<usize> = (0..labels.len()).collect();
    if balanced {
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); classes];
        labels.iter().enumerate().for_each(|(index, &class)| members[class].push(index));
        members.retain(|members| !members.is_empty());
        // Each class goes round its shuffled members, so that none comes twice before another has come once.
        members.iter_mut().for_each(|members| rng.shuffle(members));
        order = (0..labels.len())
            .map(|place| {
                let members = &members[place % members.len()];
                (place, members)
            })
            .map(|(place, class)| class[(place / members.len()) % class.len()])
            .collect();
    }
    rng.shuffle(&mut order);
    order
}
