//! Answers of the fast runtime for examples with known classes.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use cygnet_graph::Graph;
use cygnet_image::{Image, Photos, Preprocess, map_indexed};
use cygnet_runtime::{Level, Plan, Session, softmax};

use crate::TrainError;
use crate::metrics::Verdict;
use crate::numbers::Numbers;

/// Examples that are looked at again and again.
#[derive(Debug)]
pub(crate) enum Examples {
    /// Photos, prepared as for use; the prepared pixels are kept if there is room for all.
    Photos { photos: Arc<Photos>, preprocess: Preprocess, kept: Option<Vec<OnceLock<Image>>> },
    /// Inputs one after the other, and their classes.
    Inputs { values: Vec<f32>, length: usize, classes: Vec<usize> },
}

impl Examples {
    pub(crate) fn photos(photos: Arc<Photos>, preprocess: Preprocess, keep_bytes: u64) -> Examples {
        let count = photos.samples().len();
        let bytes = (count * preprocess.size[0] * preprocess.size[1] * 3) as u64;
        let kept = (bytes <= keep_bytes).then(|| (0..count).map(|_| OnceLock::new()).collect());
        Examples::Photos { photos, preprocess, kept }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Examples::Photos { photos, .. } => photos.samples().len(),
            Examples::Inputs { classes, .. } => classes.len(),
        }
    }

    pub(crate) fn class(&self, index: usize) -> usize {
        match self {
            Examples::Photos { photos, .. } => photos.samples()[index].class,
            Examples::Inputs { classes, .. } => classes[index],
        }
    }

    /// Writes one example's input.
    pub(crate) fn input(&self, index: usize, input: &mut [f32]) -> Result<(), TrainError> {
        match self {
            Examples::Inputs { values, length, .. } => {
                input.copy_from_slice(&values[index * length..][..*length]);
            }
            Examples::Photos { photos, preprocess, kept } => {
                let slot = kept.as_ref().map(|kept| &kept[index]);
                if let Some(image) = slot.and_then(OnceLock::get) {
                    preprocess.normalize_into(image, input)?;
                } else {
                    let image = preprocess.fit(&*photos.get(index)?)?;
                    preprocess.normalize_into(&image, input)?;
                    if let Some(slot) = slot {
                        _ = slot.set(image);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The network's output for every example, computed on `threads` threads. `seen` is called with the number done.
#[expect(clippy::too_many_arguments, reason = "each is one thing, and they are passed on")]
pub(crate) fn outputs<T: Send>(
    graph: &Graph,
    numbers: &Numbers,
    level: Level,
    threads: NonZeroUsize,
    count: usize,
    input: impl Fn(usize, &mut [f32]) -> Result<(), TrainError> + Sync,
    output: impl Fn(usize, &mut [f32]) -> T + Sync,
    seen: impl Fn(usize) + Sync,
) -> Result<Vec<T>, TrainError> {
    let Numbers { weights, quantization } = numbers;
    let plan = Arc::new(match quantization {
        Some(quantization) => Plan::quantized(graph.clone(), weights, quantization, level)?,
        None => Plan::new(graph.clone(), &weights.select(graph)?, level)?,
    });
    let length = graph.input_shape().iter().product();
    let state = || {
        let session = Session::new(Arc::clone(&plan));
        let outputs = session.outputs();
        (session, vec![0.0f32; length], vec![0.0f32; outputs])
    };
    let work = |(session, image, result): &mut (Session, Vec<f32>, Vec<f32>), index| {
        input(index, image)?;
        session.run(image, result)?;
        Ok(output(index, result))
    };
    map_indexed(count, threads, state, work, seen).into_iter().collect()
}

/// Seconds that an example takes, by some from all over, without the first of each thread.
pub(crate) fn pace(
    graph: &Graph,
    numbers: &Numbers,
    level: Level,
    threads: NonZeroUsize,
    examples: &Examples,
) -> Result<f64, TrainError> {
    let (all, threads_count) = (examples.len(), threads.get());
    let count = (all / 20).clamp(2 * threads_count, 32 * threads_count).min(all);
    let input = |index: usize, input: &mut [f32]| examples.input(index * all / count, input);
    let (start, ends) = (Instant::now(), Mutex::new(Vec::new()));
    let seen = |_| ends.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    outputs(graph, numbers, level, threads, count, input, |_, _| (), seen)?;
    let ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
    let [first, last] = [ends.first(), ends.last()].map(|end| *end.unwrap_or(&start));
    let timed = count.saturating_sub(threads_count).max(1);
    Ok(if count > threads_count { last - first } else { start.elapsed() }.as_secs_f64() / timed as f64)
}

/// A verdict for every example.
pub(crate) fn judge(
    graph: &Graph,
    numbers: &Numbers,
    level: Level,
    threads: NonZeroUsize,
    examples: &Examples,
    seen: impl Fn(usize) + Sync,
) -> Result<Vec<Verdict>, TrainError> {
    let is_softmax = graph.gives_probabilities();
    let verdict = |index: usize, scores: &mut [f32]| {
        if !is_softmax {
            let classes = scores.len();
            softmax(scores, classes);
        }
        Verdict::of(scores, examples.class(index))
    };
    let input = |index: usize, input: &mut [f32]| examples.input(index, input);
    outputs(graph, numbers, level, threads, examples.len(), input, verdict, seen)
}
