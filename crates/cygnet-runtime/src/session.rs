//! A plan with memory and threads to run on.

use std::sync::{Arc, Mutex, PoisonError};

use cygnet_kernels::pool::{MAX_THREADS, Pool};
use cygnet_kernels::{Arena, Map, cpu};

use crate::{Plan, RunError};

/// Runs a [`Plan`] into buffers of the caller. Sessions share the plan and its packed weights, so a program may have
/// one on each of its threads. The results do not depend on the number of threads, not in one bit. Runs after the first
/// of their kind allocate nothing; threads that wait for the next run sleep.
///
/// ```
/// use std::sync::Arc;
/// use cygnet_graph::{Conv, Graph};
/// use cygnet_runtime::{Level, Plan, Session};
///
/// let graph = Graph::build("tiny", [3, 32, 32], |net, image| {
///     let x = net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu();
///     net.at("fc").linear(x.global_avg_pool(), 10)
/// })?;
/// let weights: Vec<Vec<f32>> =
///     graph.params().iter().map(|param| vec![0.1; param.shape.iter().product()]).collect();
/// let plan = Arc::new(Plan::new(graph, &weights, Level::best())?);
///
/// let mut session = Session::new(Arc::clone(&plan));
/// let (image, mut logits) = (vec![0.5; 3 * 32 * 32], vec![0.0; 10]);
/// session.run(&image, &mut logits)?;
///
/// // The same plan on another thread, on as many threads as pay.
/// let worker = std::thread::spawn(move || {
///     let mut session = Session::automatic(plan)?;
///     let mut again = vec![0.0; 10];
///     session.run(&image, &mut again)?;
///     Ok::<_, cygnet_runtime::RunError>(again)
/// });
/// assert_eq!(worker.join().expect("runs do not panic")?, logits);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session {
    plan: Arc<Plan>,
    /// Memory for each image that is worked on at once; there is one at least.
    arenas: Vec<Arena>,
    /// Who works on one image.
    team: Pool,
    /// Who works on a batch, made at the first, if they are more.
    crew: Option<Pool>,
    /// Threads for a batch.
    most: usize,
}

impl Session {
    /// A session that works on the calling thread alone.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Session {
        let team = Pool::new(1).expect("one thread is the caller's");
        Session { arenas: vec![plan.program().arena()], plan, team, crew: None, most: 1 }
    }

    /// A session that works on `threads` threads, of which the calling one is the first; 0 means 1.
    ///
    /// # Errors
    /// If the system refuses to start so many, or they are more than any machine has.
    pub fn with_threads(plan: Arc<Plan>, threads: usize) -> Result<Session, RunError> {
        Ok(Session { team: team(threads)?, most: threads.max(1), ..Session::new(plan) })
    }

    /// A session that works on one image with as many threads as pay ([`Plan::threads`]), and on batches with all that
    /// this process may use at once.
    ///
    /// # Errors
    /// If the system refuses to start a thread.
    pub fn automatic(plan: Arc<Plan>) -> Result<Session, RunError> {
        let most = cpu::available_threads().min(MAX_THREADS);
        Ok(Session { team: team(plan.threads(most))?, most, ..Session::new(plan) })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Threads that work on one image.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Numbers of the output, the first of several.
    #[must_use]
    pub fn outputs(&self) -> usize {
        let map = self.plan.output();
        map.channels * map.height * map.width
    }

    /// Numbers of all outputs together.
    #[must_use]
    pub fn all_outputs(&self) -> usize {
        self.plan.outputs().last().map_or(0, |last| last.range.end)
    }

    /// Numbers of all features.
    #[must_use]
    pub fn features(&self) -> usize {
        self.plan.features().last().map_or(0, |last| last.range.end)
    }

    /// Computes the network's output for an image `[channels, height, width]`.
    ///
    /// # Errors
    /// If the image or `output` has the wrong number of elements; `output` is then untouched.
    pub fn run(&mut self, image: &[f32], output: &mut [f32]) -> Result<(), RunError> {
        let shape = self.plan.graph().input_shape();
        let wanted = shape.iter().product();
        if image.len() != wanted {
            return Err(RunError::ImageSize { shape, wanted, given: image.len() });
        }
        if output.len() != self.outputs() {
            return Err(RunError::OutputSize { wanted: self.outputs(), given: output.len() });
        }
        self.plan.program().run_on(&mut self.team, &mut self.arenas[0], image);
        self.arenas[0].read(self.plan.output(), output);
        Ok(())
    }

    /// As [`Session::run`] for all outputs of the graph, one after the other; [`Plan::outputs`] says which numbers are
    /// whose.
    ///
    /// # Errors
    /// If the image or `outputs` has the wrong number of elements; `outputs` is then untouched.
    ///
    /// ```
    /// # use cygnet_graph::{Conv, Graph};
    /// # use cygnet_runtime::{Level, Plan, Session};
    /// let graph = Graph::build("finder", [3, 32, 32], |net, image| {
    ///     let x = net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu();
    ///     net.at("boxes").conv(x, Conv::new(4, 1)).output("boxes");
    ///     net.at("scores").conv(x, Conv::new(10, 1)).output("scores")
    /// })?;
    /// # let weights: Vec<Vec<f32>> =
    /// #     graph.params().iter().map(|param| vec![0.1; param.shape.iter().product()]).collect();
    /// # let image = vec![0.5; 3 * 32 * 32];
    /// let mut session = Session::new(Plan::new(graph, &weights, Level::best())?.into());
    /// let mut all = vec![0.0; session.all_outputs()];
    /// session.run_outputs(&image, &mut all)?;
    /// let boxes = session.plan().outputs().iter().find(|output| output.name == "boxes");
    /// # let boxes = boxes.expect("the graph has it");
    /// assert_eq!(boxes.shape, [4, 16, 16]);
    /// let left_edges = &all[boxes.range.clone()][..16 * 16];
    /// # assert!(left_edges.iter().all(|&x| x > 0.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_outputs(&mut self, image: &[f32], outputs: &mut [f32]) -> Result<(), RunError> {
        if outputs.len() != self.all_outputs() {
            return Err(RunError::OutputsSize { wanted: self.all_outputs(), given: outputs.len() });
        }
        let (first, others) = outputs.split_at_mut(self.outputs());
        self.run(image, first)?;
        self.read(others, Plan::other_maps);
        Ok(())
    }

    /// Reads what is left in memory of the last image.
    fn read(&self, numbers: &mut [f32], maps: impl Fn(&Plan) -> &[Map]) {
        let mut rest = numbers;
        for map in maps(&self.plan) {
            let (value, more) = rest.split_at_mut(map.channels * map.height * map.width);
            self.arenas[0].read(map, value);
            rest = more;
        }
    }

    /// As [`Session::run`], with the values of the graph's features too: one after the other, the finest first, each
    /// `[channels, height, width]`; [`Plan::features`] says which numbers are whose. The plan must have been made with
    /// [`PlanOptions::features`](crate::PlanOptions).
    ///
    /// # Errors
    /// If the image, `output` or `features` has the wrong number of elements; nothing is then written.
    ///
    /// ```
    /// # use cygnet_graph::{Conv, Graph};
    /// # use cygnet_runtime::{Plan, PlanOptions, Session};
    /// # let graph = Graph::build("tiny", [3, 8, 8], |net, image| {
    /// #     let x = net.feature(net.at("stem").conv(image, Conv::new(8, 3)).relu());
    /// #     let x = net.feature(net.at("body").conv(x, Conv::new(16, 3).stride(2)).relu());
    /// #     net.at("fc").linear(x.global_avg_pool(), 10)
    /// # })?;
    /// # let weights: Vec<Vec<f32>> =
    /// #     graph.params().iter().map(|param| vec![0.1; param.shape.iter().product()]).collect();
    /// # let (image, mut logits) = (vec![0.5; 3 * 8 * 8], vec![0.0; 10]);
    /// let options = PlanOptions { features: true, ..PlanOptions::default() };
    /// let mut session = Session::new(Plan::new(graph, &weights, options)?.into());
    /// let mut features = vec![0.0; session.features()];
    /// session.run_with_features(&image, &mut logits, &mut features)?;
    /// let coarsest = &session.plan().features()[1];
    /// assert_eq!((coarsest.stride, coarsest.shape), (2, [16, 4, 4]));
    /// let first_channel = &features[coarsest.range.clone()][..4 * 4];
    /// # assert!(first_channel.iter().all(|&x| x > 0.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_with_features(
        &mut self,
        image: &[f32],
        output: &mut [f32],
        features: &mut [f32],
    ) -> Result<(), RunError> {
        if features.len() != self.features() {
            return Err(RunError::FeatureSize { wanted: self.features(), given: features.len() });
        }
        self.run(image, output)?;
        self.read(features, Plan::feature_maps);
        Ok(())
    }

    /// Computes the outputs `[images, outputs]` for `images`, `[images, channels, height, width]`: each thread works on
    /// an image of its own, in memory of its own (on fewer threads where that would take too much, [`Plan::at_once`]); images that are
    /// left over when there are fewer than half as many as threads are worked on by all together, one after the other.
    ///
    /// # Errors
    /// If `images` is no whole number of images or `outputs` has no room for exactly their outputs, and at the first
    /// batch of an [automatic](Session::automatic) session if the system refuses to start a thread; `outputs` is then
    /// untouched.
    ///
    /// ```
    /// # use cygnet_graph::{Conv, Graph};
    /// # use cygnet_runtime::{Level, Plan, Session};
    /// # let graph = Graph::build("tiny", [3, 8, 8], |net, image| {
    /// #     net.at("fc").linear(net.at("stem").conv(image, Conv::new(8, 3)).relu().global_avg_pool(), 10)
    /// # })?;
    /// # let weights: Vec<Vec<f32>> =
    /// #     graph.params().iter().map(|param| vec![0.1; param.shape.iter().product()]).collect();
    /// # let plan = Plan::new(graph, &weights, Level::best())?.into();
    /// let mut session = Session::with_threads(plan, 2)?;
    /// let images = vec![0.5; 5 * 3 * 8 * 8];
    /// let mut logits = vec![0.0; 5 * session.outputs()];
    /// session.run_batch(&images, &mut logits)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_batch(&mut self, images: &[f32], outputs: &mut [f32]) -> Result<(), RunError> {
        let shape = self.plan.graph().input_shape();
        let (image, output) = (shape.iter().product::<usize>(), self.outputs());
        if !images.len().is_multiple_of(image) {
            return Err(RunError::BatchSize { shape, wanted: image, given: images.len() });
        }
        let count = images.len() / image;
        if Some(outputs.len()) != count.checked_mul(output) {
            return Err(RunError::OutputSize { wanted: count.saturating_mul(output), given: outputs.len() });
        }
        let left = if 2 * (count % self.most) > self.most { 0 } else { count % self.most };
        let spread = count - left;
        if spread > 0 && self.most > 1 {
            self.spread(images.chunks_exact(image).zip(outputs.chunks_exact_mut(output)).take(spread))?;
        }
        let first = if self.most > 1 { spread } else { 0 };
        let rest = images.chunks_exact(image).zip(outputs.chunks_exact_mut(output)).skip(first);
        rest.into_iter().try_for_each(|(image, output)| self.run(image, output))
    }

    /// Works on images with their outputs, each thread on one of its own at a time.
    fn spread<'a>(
        &mut self,
        work: impl Iterator<Item = (&'a [f32], &'a mut [f32])> + Send,
    ) -> Result<(), RunError> {
        if self.most > self.team.threads() && self.crew.is_none() {
            self.crew = Some(team(self.most)?);
        }
        let plan = &*self.plan;
        let wanted = plan.at_once(self.most);
        self.arenas.resize_with(self.arenas.len().max(wanted), || plan.program().arena());
        let (arenas, work) = (Mutex::new(self.arenas.iter_mut()), Mutex::new(work));
        self.crew.as_mut().unwrap_or(&mut self.team).run(|_| {
            let Some(arena) = next(&arenas) else { return };
            while let Some((image, output)) = next(&work) {
                plan.program().run(arena, image);
                arena.read(plan.output(), output);
            }
        });
        Ok(())
    }
}

/// The next of what threads share.
fn next<I: Iterator>(items: &Mutex<I>) -> Option<I::Item> {
    items.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// A pool of `threads` threads, of which the calling one is the first; 0 means 1.
///
/// # Errors
/// If the system refuses to start so many, or they are more than any machine has.
pub fn team(threads: usize) -> Result<Pool, RunError> {
    Pool::new(threads).map_err(|error| RunError::Threads { wanted: threads, reason: error.to_string() })
}
