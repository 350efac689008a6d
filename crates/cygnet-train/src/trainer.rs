//! The loop: batches, steps, evaluation, checkpoints.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cygnet_graph::{Graph, NodeId, Role};
use cygnet_image::{
    Batch, BatchRecipe, Batches, ChannelOrder, Finish, ImageError, Preprocess, Rng, epoch_order,
};
use cygnet_runtime::{Level, Plan, Session, softmax};
use cygnet_weights::{Accuracy, MODEL_FORMAT, ModelRecord, Weights};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::checkpoint::{AVERAGE, Progress, RunFiles, State, Sums, WEIGHTS, write_model};
use crate::data::TrainData;
use crate::engine::{Engine, EngineOptions};
use crate::evaluate::{Examples, judge, outputs};
use crate::metrics::{Metrics, Verdict};
use crate::optimizer::{Group, Optimizer, average};
use crate::recipe::{Balance, Recipe, Trained};

/// What is trained: a network with weights to start from.
#[derive(Clone, Debug)]
pub struct Trainee {
    /// Registry id of the network.
    pub id: String,
    /// The network, with as many outputs as there are classes.
    pub graph: Graph,
    /// Its weights, in the order of [`Graph::params`].
    pub weights: Weights,
    /// How a photo becomes its input.
    pub preprocess: Preprocess,
    /// Licence of the weights it starts from.
    pub licence: Option<String>,
    /// Where the weights it starts from come from.
    pub source: Option<String>,
}

/// A network whose answers the trained one learns from.
#[derive(Clone, Debug)]
pub struct Teacher {
    /// The network, for images of the trained one's size.
    pub graph: Graph,
    /// Its weights.
    pub weights: Weights,
    /// How a photo becomes its input; only channels and values matter.
    pub preprocess: Preprocess,
}

/// How a run is carried out. Nothing here but `time` and `memory_bytes` changes the weights that come out.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Threads of a step, of evaluation, and of the preparation of batches.
    pub threads: NonZeroUsize,
    /// Instruction set.
    pub level: Level,
    /// Where the best model goes, with the run's other files beside it; without it nothing is written.
    pub out: Option<PathBuf>,
    /// Ends the run, and the learning rate's curve, after so much time.
    pub time: Option<Duration>,
    /// Most memory of the training plan: batches are split and their gradients accumulated to keep to it. Batch norm
    /// then sees the parts.
    pub memory_bytes: Option<u64>,
    /// Memory of the machine: a training plan that needs more is refused.
    pub machine_bytes: u64,
    /// Most memory for prepared validation pictures and features.
    pub keep_bytes: u64,
    /// How often the state is written, at least, in the course of an epoch.
    pub save_every: Duration,
    /// Name of the data set, for the record of the measured accuracy.
    pub dataset: String,
    /// Is told how the network is applied to pictures between the steps.
    pub watch: Watch,
}

/// Called from any thread with what is done, the pictures done and all there are.
#[derive(Clone)]
pub struct Watch(pub Arc<dyn Fn(&'static str, usize, usize) + Send + Sync>);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl TrainOptions {
    /// On `threads` threads, writing nothing.
    #[must_use]
    pub fn new(threads: NonZeroUsize) -> TrainOptions {
        TrainOptions {
            threads,
            level: Level::best(),
            out: None,
            time: None,
            memory_bytes: None,
            machine_bytes: u64::MAX,
            keep_bytes: 1 << 30,
            save_every: Duration::from_secs(30),
            dataset: String::new(),
            watch: Watch(Arc::new(|_, _, _| ())),
        }
    }
}

/// What is known before the first step.
#[derive(Clone, Debug, Serialize)]
pub struct RunInfo {
    /// Registry id of the network.
    pub network: String,
    /// Name of the recipe.
    pub recipe: String,
    /// Pictures to learn from and to choose by.
    pub images: [usize; 2],
    /// Number of classes.
    pub classes: usize,
    /// Parameters that are trained.
    pub trained_params: usize,
    /// Epochs at most, and steps of each.
    pub epochs: u64,
    /// Steps an epoch.
    pub steps: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Parts into which a batch is split.
    pub parts: usize,
    /// Memory of the training plan.
    pub memory_bytes: u64,
    /// Epochs done before, if the run is resumed.
    pub resumed_at: u64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepReport {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Epochs at most.
    pub epochs: u64,
    /// The step in the epoch, counted from 1, and steps an epoch.
    pub step: usize,
    /// Steps an epoch.
    pub steps: usize,
    /// Mean loss of the epoch so far, against the mixed and smoothed targets.
    pub loss: f64,
    /// Percent of right guesses of the epoch so far, on the changed pictures.
    pub accuracy: f64,
    /// Learning rate.
    pub rate: f64,
    /// Pictures learnt from in a second of the epoch so far.
    pub images_per_s: f64,
    /// Share of the whole run that is done, 0 to 1.
    pub done: f64,
    /// Seconds of training so far, those before a resumption included.
    pub seconds: f64,
}

/// What an epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Mean loss while training, against the mixed and smoothed targets.
    pub loss: f64,
    /// Percent of right guesses while training, on the changed pictures.
    pub accuracy: f64,
    /// Learning rate of the last step.
    pub rate: f64,
    /// Mean cross-entropy on the validation pictures.
    pub validation_loss: Option<f64>,
    /// Percent of right guesses on the validation pictures.
    pub validation_top1: Option<f64>,
    /// Percent of the validation pictures whose class is among the first five guesses.
    pub validation_top5: Option<f64>,
    /// Whether no epoch before was as good.
    pub best: bool,
    /// Seconds that its steps took.
    #[serde(default)]
    pub seconds: f64,
    /// Pictures learnt from in a second.
    #[serde(default)]
    pub images_per_s: f64,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All epochs are done.
    Finished,
    /// No better accuracy for as many epochs as the recipe waits.
    Early,
    /// The time is up.
    Time,
    /// A callback asked for it; the run can be resumed.
    Interrupted,
}

/// Is told how a run goes, and may end it.
pub trait Callback {
    /// Before the first step.
    fn begin(&mut self, info: &RunInfo) {
        _ = info;
    }

    /// After a step. `Break` ends the run after saving its state.
    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        _ = report;
        ControlFlow::Continue(())
    }

    /// After the evaluation of an epoch.
    ///
    /// # Errors
    /// Ends the run.
    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        _ = report;
        Ok(())
    }
}

impl Callback for () {}

/// What came out of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Why it ended.
    pub ended: Ended,
    /// Every epoch.
    pub history: Vec<EpochReport>,
    /// The best epoch, counted from 1; without validation pictures the last.
    pub best: u64,
    /// The network with its best weights; of an interrupted run the last.
    pub model: Trainee,
    /// The best weights' answers for the validation pictures, in their order.
    pub verdicts: Vec<Verdict>,
    /// Those for the test pictures.
    pub test_verdicts: Vec<Verdict>,
    /// What the model file says.
    pub record: ModelRecord,
}

/// A run: a network, pictures, a recipe.
///
/// ```
/// use cygnet_graph::{Conv, Graph};
/// use cygnet_image::Splits;
/// use cygnet_train::{Callback, EpochReport, Recipe, TrainData, TrainError, TrainOptions, Trainee, Trainer};
/// # let folder = tempfile::tempdir()?;
/// # for (class, level) in [("dark", 40u8), ("light", 200)] {
/// #     std::fs::create_dir(folder.path().join(class))?;
/// #     for i in 0..10u8 {
/// #         image::GrayImage::from_pixel(8, 8, image::Luma([level + i])).save(folder.path().join(format!("{class}/{i}.png")))?;
/// #     }
/// # }
/// # let photos = folder.path();
///
/// // `photos` has a folder of pictures for each class, here "dark" and "light".
/// let set = ["epochs=4", "batch=8", "augment.flip=0.5", "optimizer.rate=0.1"].map(String::from);
/// let recipe = Recipe::compose("scratch-small", &set)?;
/// let threads = std::num::NonZeroUsize::MIN;
/// let data = TrainData::new(Splits::open(photos)?, &recipe, 8, 1 << 20, threads, |_, _| ())?;
///
/// let graph = Graph::build("tiny", [3, 8, 8], |net, image| {
///     let x = net.at("bn").batch_norm(net.at("conv").conv(image, Conv::new(4, 3))).relu();
///     net.at("fc").linear(x.global_avg_pool(), data.classes.len())
/// })?;
/// let trainee = Trainee::from_scratch("tiny", graph, 0);
///
/// struct Print;
/// impl Callback for Print {
///     fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
///         println!("epoch {}: loss {:.3}", report.epoch, report.loss);
///         Ok(())
///     }
/// }
/// let outcome = Trainer::new(trainee, data, recipe, TrainOptions::new(threads))?.run(&mut Print)?;
/// assert_eq!(outcome.history.len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Trainer {
    trainee: Trainee,
    data: TrainData,
    recipe: Recipe,
    options: TrainOptions,
    teacher: Option<Teacher>,
    resumed: Option<State>,
}

impl Trainee {
    /// A network with random weights, whose images are prepared with ImageNet's mean and deviation.
    #[must_use]
    pub fn from_scratch(id: impl Into<String>, graph: Graph, seed: u64) -> Trainee {
        let [_, height, width] = graph.input_shape();
        let mut preprocess = Preprocess::torchvision(height, height);
        preprocess.size = [height, width];
        Trainee {
            id: id.into(),
            weights: crate::initial_weights(&graph, seed),
            graph,
            preprocess,
            licence: None,
            source: None,
        }
    }
}

impl Trainer {
    /// Checks that the parts belong together.
    ///
    /// # Errors
    /// If the numbers of classes differ or there are too few pictures.
    pub fn new(
        trainee: Trainee,
        data: TrainData,
        recipe: Recipe,
        options: TrainOptions,
    ) -> Result<Trainer, TrainError> {
        let setting = |what, value: String, wanted| Err(TrainError::Setting { what, value, wanted });
        if trainee.graph.classes() != data.classes.len() {
            let value = trainee.graph.classes().to_string();
            return setting("the network's number of classes", value, "that of the pictures");
        }
        let [channels, height, width] = trainee.graph.input_shape();
        if (trainee.preprocess.channels.count(), trainee.preprocess.size) != (channels, [height, width]) {
            return setting(
                "preprocess.size",
                format!("{:?}", trainee.preprocess.size),
                "the network's input",
            );
        }
        if data.train.samples().len() < 2 {
            let what = format!("{} pictures to learn from", data.train.samples().len());
            return Err(TrainError::TooFew { what });
        }
        Ok(Trainer { trainee, data, recipe, options, teacher: None, resumed: None })
    }

    /// Lets the network learn from another one, as the recipe's `distill` says.
    ///
    /// # Errors
    /// If the two do not have the same classes and image size.
    pub fn with_teacher(mut self, teacher: Teacher) -> Result<Trainer, TrainError> {
        let setting = |what, value: String, wanted| Err(TrainError::Setting { what, value, wanted });
        if teacher.graph.classes() != self.data.classes.len() {
            let value = teacher.graph.classes().to_string();
            return setting("the teacher's number of classes", value, "that of the pictures");
        }
        if teacher.graph.input_shape() != self.trainee.graph.input_shape() {
            let value = format!("{:?}", teacher.graph.input_shape());
            return setting("the teacher's image", value, "as large as the trained network's");
        }
        self.teacher = Some(teacher);
        Ok(self)
    }

    /// Goes on from a run's state.
    ///
    /// # Errors
    /// If it is the state of another network, recipe or data set.
    pub fn resume(mut self, state: State) -> Result<Trainer, TrainError> {
        let path = self.options.out.as_ref().map(|out| RunFiles::of(out).state()).unwrap_or_default();
        let refuse = |reason: &str| Err(TrainError::Run { path: path.clone(), reason: reason.into() });
        if state.progress.recipe != self.recipe {
            return refuse("is of a run with another recipe; leave out the options that change it");
        }
        if state.progress.fingerprint != self.data.fingerprint {
            return refuse("is of a run on other pictures: some were added, removed or changed since");
        }
        if state.progress.record.labels != self.data.classes {
            return refuse("is of a run on other classes; give them their names from then");
        }
        if state.progress.record.graph != self.trainee.graph.to_json() {
            return refuse("is of a run of another network");
        }
        self.resumed = Some(state);
        Ok(self)
    }

    fn record(&self) -> ModelRecord {
        ModelRecord {
            format: MODEL_FORMAT,
            network: self.trainee.id.clone(),
            graph: self.trainee.graph.to_json(),
            preprocess: serde_json::to_value(&self.trainee.preprocess).unwrap_or_default(),
            labels: self.data.classes.clone(),
            licence: self.trainee.licence.clone(),
            source: self.trainee.source.clone(),
            accuracy: None,
            recipe: serde_json::to_value(&self.recipe).ok(),
            written_by: concat!("cygnet ", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// Trains.
    ///
    /// # Errors
    /// If memory does not suffice, the loss diverges, a picture vanishes or a file cannot be written. The state written
    /// last remains.
    pub fn run(mut self, callback: &mut dyn Callback) -> Result<Outcome, TrainError> {
        let record = self.record();
        let resumed = self.resumed.take();
        let files = self.options.out.as_ref().map(RunFiles::of);
        let state_path = files.as_ref().map(RunFiles::state).unwrap_or_default();
        let progress = match &resumed {
            Some(state) => state.progress.clone(),
            None => Progress::new(self.recipe.clone(), record.clone(), self.data.fingerprint),
        };
        if let Some(state) = &resumed {
            self.trainee.weights = state.take(&state_path, WEIGHTS, &self.trainee.graph, |_| true)?;
        }
        let task = Task::new(&self)?;
        let mut run = Run::new(&self, &task, progress, files, record)?;
        if let Some(state) = &resumed {
            run.restore(state, &state_path)?;
        }
        let ended = run.train(callback)?;
        run.outcome(ended)
    }
}

/// What steps are made on: the whole network and photos, or its classifier and features.
struct Task {
    graph: Graph,
    /// Where the graph's parameters are among the whole network's.
    offset: usize,
    source: Source,
    validation: Examples,
    test: Examples,
    groups: Vec<Group>,
    frozen_batch_norm: bool,
}

enum Source {
    Photos(Arc<BatchRecipe>),
    /// Features of every picture in `views` forms, one after the other.
    Features {
        values: Vec<f32>,
        length: usize,
        views: usize,
        recipe: Arc<BatchRecipe>,
    },
}

impl Task {
    fn new(trainer: &Trainer) -> Result<Task, TrainError> {
        let Trainer { trainee, data, recipe, options, teacher, .. } = trainer;
        let mut whole = trainee.graph.clone();
        if recipe.dropout >= 0.0 {
            whole = whole.with_dropout(recipe.dropout as f32)?;
        }
        let finish = teacher.as_ref().map(|teacher| distil(teacher, trainer)).transpose()?;
        let batches = BatchRecipe {
            photos: Arc::clone(&data.train),
            classes: data.classes.len(),
            preprocess: trainee.preprocess.clone(),
            augment: recipe.augment.clone(),
            mix: recipe.mix.clone(),
            finish,
            seed: recipe.seed,
        };
        let photos = |photos| Examples::photos(photos, trainee.preprocess.clone(), options.keep_bytes);
        let (validation, test) = (photos(Arc::clone(&data.validation)), photos(Arc::clone(&data.test)));
        if recipe.train != Trained::Head {
            return Ok(Task {
                groups: groups(&whole, recipe),
                graph: whole,
                offset: 0,
                source: Source::Photos(Arc::new(batches)),
                validation,
                test,
                frozen_batch_norm: recipe.frozen_batch_norm || recipe.train != Trained::All,
            });
        }
        if teacher.is_some() {
            let value = "set".into();
            return Err(TrainError::Setting {
                what: "distill.teacher",
                value,
                wanted: "empty for train=head",
            });
        }
        let (body, head) = whole.body_and_head()?;
        let body_params = body.params().len();
        let length: usize = head.input_shape().iter().product();
        let features = |examples: &Examples, flip: bool| -> Result<Vec<f32>, TrainError> {
            let bytes = (examples.len() * length * 4) as u64;
            if bytes > options.keep_bytes.saturating_mul(4).max(1 << 28) {
                let value = format!("head, whose features would take {} MB", bytes >> 20);
                return Err(TrainError::Setting {
                    what: "train",
                    value,
                    wanted: "last-1 or all for so many pictures",
                });
            }
            let weights = &trainee.weights[..body_params];
            let [_, _, width] = trainee.graph.input_shape();
            let input = |index: usize, image: &mut [f32]| {
                examples.input(index, image)?;
                if flip {
                    image.chunks_exact_mut(width).for_each(<[f32]>::reverse);
                }
                Ok(())
            };
            let (level, threads, count) = (options.level, options.threads, examples.len());
            let seen = |done| options.watch.0("computing features", done, count);
            let all = outputs(&body, weights, level, threads, count, input, |_, out| out.to_vec(), seen)?;
            Ok(all.concat())
        };
        let inputs = |examples: Examples| -> Result<Examples, TrainError> {
            let classes = (0..examples.len()).map(|index| examples.class(index)).collect();
            Ok(Examples::Inputs { values: features(&examples, false)?, length, classes })
        };
        let train = photos(Arc::clone(&data.train));
        let mut values = features(&train, false)?;
        let views = if recipe.augment.flip > 0.0 { 2 } else { 1 };
        if views == 2 {
            values.extend(features(&train, true)?);
        }
        Ok(Task {
            groups: groups(&head, &Recipe { train: Trained::All, ..recipe.clone() }),
            graph: head,
            offset: body_params,
            source: Source::Features { values, length, views, recipe: Arc::new(batches) },
            validation: inputs(validation)?,
            test: inputs(test)?,
            frozen_batch_norm: true,
        })
    }

    fn batches(
        &self,
        order: Vec<usize>,
        epoch: u64,
        size: usize,
        first: usize,
        threads: NonZeroUsize,
    ) -> Box<dyn Iterator<Item = Result<Batch, ImageError>> + '_> {
        match &self.source {
            Source::Photos(recipe) => {
                Box::new(Batches::new(Arc::clone(recipe), epoch, order, size, first, threads))
            }
            Source::Features { values, length, views, recipe } => {
                let count = recipe.photos.samples().len();
                let batch = move |number: usize| {
                    let pictures = &order[number * size..][..size];
                    let mut rng = Rng::keyed(&[recipe.seed, epoch, number as u64]);
                    let labels: Vec<usize> =
                        pictures.iter().map(|&picture| recipe.photos.samples()[picture].class).collect();
                    let mut images = Vec::with_capacity(size * length);
                    for picture in pictures {
                        let row = rng.below(*views) * count + picture;
                        images.extend_from_slice(&values[row * length..][..*length]);
                    }
                    let mut targets = vec![0.0; size * recipe.classes];
                    let mut mix = recipe.mix.clone();
                    // Windows of features mean nothing.
                    mix.cutmix = 0.0;
                    mix.apply(&mut images, [1, *length], &labels, &mut targets, &mut rng);
                    Ok(Batch { images, targets, labels })
                };
                Box::new((first..count / size).map(batch))
            }
        }
    }
}

/// How each parameter is trained.
fn groups(graph: &Graph, recipe: &Recipe) -> Vec<Group> {
    let params = graph.params();
    let head = params.last().map_or(NodeId(0), |param| param.node);
    let stages: Vec<NodeId> = graph.features().iter().map(|feature| feature.node).collect();
    let first = match recipe.train {
        Trained::All => NodeId(0),
        Trained::Head => head,
        Trained::Last(count) => match stages.len().checked_sub(count + 1) {
            Some(stage) => NodeId(stages[stage].0 + 1),
            None => NodeId(0),
        },
    };
    let group = |param: &cygnet_graph::Param| {
        let stages_away = stages.iter().filter(|stage| **stage >= param.node).count();
        let stages_away = if param.node >= head { 0 } else { stages_away.max(1) };
        let head_rate = if param.node >= head { recipe.head_rate } else { 1.0 };
        Group {
            trained: param.role.is_learnt() && param.node >= first,
            rate: head_rate * recipe.layer_decay.powi(stages_away as i32),
            decays: param.role == Role::Weight || recipe.optimizer.decay_all,
        }
    };
    params.iter().map(group).collect()
}

/// Mixes a teacher's answers into the targets of a batch.
fn distil(teacher: &Teacher, trainer: &Trainer) -> Result<Box<Finish>, TrainError> {
    let plan = Arc::new(Plan::new(teacher.graph.clone(), &teacher.weights, trainer.options.level)?);
    let idle: Mutex<Vec<Session>> = Mutex::default();
    let [share, temperature] =
        [trainer.recipe.distill.share as f32, trainer.recipe.distill.temperature as f32];
    let classes = trainer.data.classes.len();
    let (ours, theirs) = (trainer.trainee.preprocess.clone(), teacher.preprocess.clone());
    let area: usize = teacher.graph.input_shape()[1..].iter().product();
    let is_grey = |preprocess: &Preprocess| preprocess.channels == ChannelOrder::Grey;
    if is_grey(&ours) != is_grey(&theirs) {
        let value = "for pictures in other colours".into();
        return Err(TrainError::Setting { what: "the teacher", value, wanted: "for the same colours" });
    }
    let turned = ours.channels != theirs.channels;
    let pixels = move |image: &[f32], input: &mut [f32]| {
        let channels = theirs.channels.count();
        for (channel, plane) in input.chunks_exact_mut(area).enumerate() {
            let from = if turned { channels - 1 - channel } else { channel };
            for (to, &value) in plane.iter_mut().zip(&image[from * area..]) {
                let level = (value * ours.std[from] + ours.mean[from]) / ours.scale;
                *to = (level * theirs.scale - theirs.mean[channel]) / theirs.std[channel];
            }
        }
    };
    Ok(Box::new(move |batch: &mut Batch| {
        let lock = || idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = lock().pop();
        let mut session = spare.unwrap_or_else(|| Session::new(Arc::clone(&plan)));
        let mut answer = vec![0.0; classes];
        let length = batch.images.len() / batch.labels.len();
        let mut input = vec![0.0; length];
        for (image, targets) in batch.images.chunks_exact(length).zip(batch.targets.chunks_exact_mut(classes))
        {
            pixels(image, &mut input);
            session.run(&input, &mut answer).expect("the teacher's sizes were checked");
            answer.iter_mut().for_each(|logit| *logit /= temperature);
            softmax(&mut answer, classes);
            for (target, &answer) in targets.iter_mut().zip(&answer) {
                *target += share * (answer - *target);
            }
        }
        lock().push(session);
    }))
}

/// A run under way.
struct Run<'t> {
    trainer: &'t Trainer,
    task: &'t Task,
    progress: Progress,
    files: Option<RunFiles>,
    record: ModelRecord,
    engine: Engine,
    optimizer: Optimizer,
    params: Weights,
    /// Running average of `params`; empty if there is none.
    averages: Weights,
    /// The best weights of this process.
    best: Option<Weights>,
    gradients: Weights,
    batch: usize,
    parts: usize,
    memory_bytes: u64,
    /// When this process began, and last wrote the state.
    began: Instant,
    saved: Instant,
}

impl<'t> Run<'t> {
    fn new(
        trainer: &'t Trainer,
        task: &'t Task,
        progress: Progress,
        files: Option<RunFiles>,
        record: ModelRecord,
    ) -> Result<Run<'t>, TrainError> {
        let Trainer { data, recipe, options, trainee, .. } = trainer;
        let batch = recipe.batch.min(data.train.samples().len());
        let engine = |parts: usize| EngineOptions {
            threads: options.threads,
            level: options.level,
            frozen_batch_norm: task.frozen_batch_norm,
            batch_norm_momentum: recipe.batch_norm_momentum as f32,
            trainable: task.groups.iter().map(|group| group.trained).collect(),
            stochastic_depth: recipe.stochastic_depth as f32,
            ..EngineOptions::new(batch / parts)
        };
        let limit = options.memory_bytes.unwrap_or(u64::MAX);
        let parts = (1..=batch)
            .filter(|parts| batch.is_multiple_of(*parts))
            .find(|&parts| Engine::memory_bytes(&task.graph, &engine(parts)) <= limit)
            .unwrap_or(batch);
        let memory_bytes = Engine::memory_bytes(&task.graph, &engine(parts));
        if memory_bytes > limit.min(options.machine_bytes) {
            let graph = task.graph.name().into();
            return Err(TrainError::Memory { graph, batch: batch / parts, bytes: memory_bytes });
        }
        let params: Weights = trainee.weights[task.offset..].to_vec();
        let lengths: Vec<usize> = params.iter().map(Vec::len).collect();
        let gradients = params
            .iter()
            .zip(&task.groups)
            .map(|(param, group)| vec![0.0; if group.trained { param.len() } else { 0 }])
            .collect();
        Ok(Run {
            engine: Engine::new(&task.graph, engine(parts))?,
            optimizer: Optimizer::new(recipe.optimizer.clone(), task.groups.clone(), &lengths),
            averages: if recipe.ema > 0.0 { params.clone() } else { Weights::new() },
            best: None,
            params,
            gradients,
            batch,
            parts,
            memory_bytes,
            began: Instant::now(),
            saved: Instant::now(),
            trainer,
            task,
            progress,
            files,
            record,
        })
    }

    fn restore(&mut self, state: &State, path: &std::path::Path) -> Result<(), TrainError> {
        let (task, graph) = (self.task, &self.task.graph);
        for (name, slot) in self.optimizer.slot_names().iter().zip(&mut self.optimizer.slots) {
            *slot = state.take(path, name, graph, |index| task.groups[index].trained)?;
        }
        self.optimizer.steps = self.progress.steps;
        if !self.averages.is_empty() {
            self.averages = state.take(path, AVERAGE, graph, |_| true)?;
        }
        Ok(())
    }

    /// The weights that are evaluated and stored.
    fn current(&self) -> &Weights {
        if self.averages.is_empty() { &self.params } else { &self.averages }
    }

    /// The whole network's weights, given those of the part that is trained.
    fn whole(&self, part: &Weights) -> Weights {
        [&self.trainer.trainee.weights[..self.task.offset], part].concat()
    }

    fn seconds(&self) -> f64 {
        self.progress.seconds + self.began.elapsed().as_secs_f64()
    }

    /// The share of the time that is used up.
    fn time_share(&self) -> f64 {
        self.trainer.options.time.map_or(0.0, |time| self.seconds() / time.as_secs_f64().max(1e-9))
    }

    fn train(&mut self, callback: &mut dyn Callback) -> Result<Ended, TrainError> {
        let Trainer { data, recipe, options, .. } = self.trainer;
        let labels: Vec<usize> = data.train.samples().iter().map(|sample| sample.class).collect();
        let classes = data.classes.len();
        let (epochs, steps) = (u64::from(recipe.epochs), labels.len() / self.batch);
        let trained = |(param, group): (&Vec<f32>, &Group)| if group.trained { param.len() } else { 0 };
        callback.begin(&RunInfo {
            network: self.trainer.trainee.id.clone(),
            recipe: recipe.name.clone(),
            images: [labels.len(), data.validation.samples().len()],
            classes,
            trained_params: self.params.iter().zip(&self.task.groups).map(trained).sum(),
            epochs,
            steps,
            batch: self.batch,
            parts: self.parts,
            memory_bytes: self.memory_bytes,
            resumed_at: self.progress.epoch,
        });
        match self.progress.ended {
            // There is more time now.
            Some(Ended::Time) if self.time_share() < 1.0 => self.progress.ended = None,
            Some(ended) => return Ok(ended),
            None => {}
        }
        let scale = match recipe.optimizer.rate_batch {
            0 => 1.0,
            batch => self.batch as f64 / batch as f64,
        };
        while self.progress.epoch < epochs {
            let epoch = self.progress.epoch;
            let balanced = recipe.balance == Balance::Sampling;
            let order = epoch_order(&labels, classes, balanced, recipe.seed, epoch);
            let first = self.progress.step;
            let mut batches = self.task.batches(order, epoch, self.batch, first, options.threads);
            let mut rate = 0.0;
            let mut is_time_up = false;
            let mut clock = Instant::now();
            for step in first..steps {
                let Some(batch) = batches.next() else { break };
                let by_steps = (epoch as f64 + step as f64 / steps as f64) / epochs as f64;
                let done = by_steps.max(self.time_share()).min(1.0);
                let at = done * epochs as f64;
                rate = recipe.optimizer.rate * scale * recipe.schedule.factor(at, epochs as f64);
                self.step(batch?, rate)?;
                self.progress.step = step + 1;
                self.progress.sums.seconds += clock.elapsed().as_secs_f64();
                clock = Instant::now();
                let Sums { loss, right, images, seconds } = self.progress.sums;
                let by_steps = (epoch as f64 + (step + 1) as f64 / steps as f64) / epochs as f64;
                let report = StepReport {
                    epoch: epoch + 1,
                    epochs,
                    step: step + 1,
                    steps,
                    loss: loss / images as f64,
                    accuracy: 100.0 * right as f64 / images as f64,
                    rate,
                    images_per_s: images as f64 / seconds.max(1e-9),
                    done: by_steps.max(self.time_share()).min(1.0),
                    seconds: self.seconds(),
                };
                if callback.step(&report).is_break() {
                    self.save()?;
                    return Ok(Ended::Interrupted);
                }
                is_time_up = self.time_share() >= 1.0;
                if is_time_up {
                    break;
                }
                if self.saved.elapsed() >= options.save_every && step + 1 < steps {
                    self.save()?;
                }
            }
            drop(batches);
            let ended = self.end_epoch(callback, rate)?;
            let is_last = self.progress.epoch == epochs;
            let ended = ended.or(is_time_up.then_some(Ended::Time)).or(is_last.then_some(Ended::Finished));
            self.progress.ended = ended;
            if ended.is_some() || self.saved.elapsed() >= options.save_every.min(Duration::from_secs(1)) {
                self.save()?;
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
        Ok(Ended::Finished)
    }

    fn step(&mut self, mut batch: Batch, rate: f64) -> Result<(), TrainError> {
        let Trainer { data, recipe, .. } = self.trainer;
        let classes = data.classes.len();
        if recipe.balance == Balance::Weights {
            for (row, &label) in batch.targets.chunks_exact_mut(classes).zip(&batch.labels) {
                row.iter_mut().for_each(|target| *target *= data.class_weights[label]);
            }
        }
        self.gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        let part = self.batch / self.parts;
        let length = batch.images.len() / self.batch;
        let (images, targets) =
            (batch.images.chunks_exact(part * length), batch.targets.chunks_exact(part * classes));
        for (number, (images, targets)) in images.zip(targets).enumerate() {
            let seed = Rng::keyed(&[recipe.seed, self.progress.steps, number as u64]).state;
            let scale = 1.0 / self.parts as f32;
            let outcome =
                self.engine.step(&mut self.params, images, targets, seed, &mut self.gradients, scale)?;
            if !outcome.loss.is_finite() {
                return Err(TrainError::Diverged { epoch: self.progress.epoch + 1 });
            }
            let sums = &mut self.progress.sums;
            sums.loss += outcome.loss * part as f64;
            sums.images += part as u64;
            let guesses = outcome.logits.chunks_exact(classes).zip(&batch.labels[number * part..]);
            sums.right += guesses
                .filter(|(logits, label)| Verdict::of(logits, **label).guess == **label)
                .count() as u64;
        }
        self.optimizer.step(&mut self.params, &mut self.gradients, rate);
        self.progress.steps += 1;
        if !self.averages.is_empty() {
            average(&mut self.averages, &self.params, recipe.ema, self.progress.steps);
        }
        Ok(())
    }

    fn judge(&self, part: &Weights, examples: &Examples) -> Result<Vec<Verdict>, TrainError> {
        let options = &self.trainer.options;
        let seen = |done| options.watch.0("evaluating", done, examples.len());
        judge(&self.task.graph, part, options.level, options.threads, examples, seen)
    }

    /// Evaluates, tells, keeps the best; says whether the run ends early.
    fn end_epoch(&mut self, callback: &mut dyn Callback, rate: f64) -> Result<Option<Ended>, TrainError> {
        let Trainer { data, recipe, .. } = self.trainer;
        let sums = std::mem::take(&mut self.progress.sums);
        self.progress.epoch += 1;
        self.progress.step = 0;
        let verdicts = self.judge(self.current(), &self.task.validation)?;
        let metrics = (!verdicts.is_empty()).then(|| Metrics::of(&verdicts, data.classes.len()));
        // Of equally accurate epochs the one with the lower loss is better.
        let key = |report: &EpochReport| Some((report.validation_top1?, -report.validation_loss?));
        let mut report = EpochReport {
            epoch: self.progress.epoch,
            loss: sums.loss / (sums.images.max(1)) as f64,
            accuracy: 100.0 * sums.right as f64 / (sums.images.max(1)) as f64,
            rate,
            validation_loss: metrics.as_ref().map(|metrics| metrics.loss),
            validation_top1: metrics.as_ref().map(|metrics| metrics.top1),
            validation_top5: metrics.as_ref().map(|metrics| metrics.top5),
            best: true,
            seconds: sums.seconds,
            images_per_s: sums.images as f64 / sums.seconds.max(1e-9),
        };
        let before =
            self.progress.best.and_then(|best| self.progress.history.get(best as usize - 1)).and_then(key);
        report.best = before.is_none_or(|before| key(&report).is_none_or(|now| now > before));
        if report.best {
            self.progress.best = Some(report.epoch);
            self.best = Some(self.current().clone());
            if let Some(files) = &self.files {
                let record = self.measured(metrics.as_ref());
                write_model(&files.model, record, &self.trainer.trainee.graph, &self.whole(self.current()))?;
            }
        }
        self.progress.history.push(report.clone());
        callback.epoch(&report)?;
        let waited = self.progress.best.map_or(0, |best| self.progress.epoch - best);
        Ok((recipe.early_stop > 0 && waited >= u64::from(recipe.early_stop)).then_some(Ended::Early))
    }

    fn measured(&self, metrics: Option<&Metrics>) -> ModelRecord {
        let accuracy = metrics.map(|metrics| Accuracy {
            dataset: self.trainer.options.dataset.clone(),
            top1: metrics.top1,
            top5: metrics.top5,
        });
        ModelRecord { accuracy, ..self.record.clone() }
    }

    fn save(&mut self) -> Result<(), TrainError> {
        if let Some(files) = &self.files {
            let graph = &self.trainer.trainee.graph;
            let mut progress = self.progress.clone();
            progress.seconds = self.seconds();
            let mut state = State::new(progress);
            state.insert(WEIGHTS, graph, &self.whole(&self.params))?;
            for (name, slot) in self.optimizer.slot_names().iter().zip(&self.optimizer.slots) {
                state.insert(name, &self.task.graph, slot)?;
            }
            if !self.averages.is_empty() {
                state.insert(AVERAGE, &self.task.graph, &self.averages)?;
            }
            state.write(&files.state())?;
            write_model(&files.last(), self.record.clone(), graph, &self.whole(self.current()))?;
        }
        self.saved = Instant::now();
        Ok(())
    }

    fn outcome(mut self, ended: Ended) -> Result<Outcome, TrainError> {
        let Trainer { trainee, data, .. } = self.trainer;
        let best = self.progress.best.unwrap_or(self.progress.epoch);
        let mut part = self.best.take();
        if part.is_none()
            && ended != Ended::Interrupted
            && let Some(files) = &self.files
        {
            // The best weights of a run that was resumed after its best epoch are in its model file.
            let file = cygnet_weights::ModelFile::read(&files.model)?;
            let lost = |name: &str| TrainError::Run {
                path: files.model.clone(),
                reason: format!("has no {name} any more; it is not the file that this run wrote"),
            };
            let params = trainee.graph.params().into_iter().skip(self.task.offset);
            let values = params.map(|param| {
                let tensor = file.tensors.get(&param.name).filter(|tensor| tensor.shape() == param.shape);
                Ok(tensor.ok_or_else(|| lost(&param.name))?.to_f32().into_owned())
            });
            part = Some(values.collect::<Result<_, TrainError>>()?);
        }
        let part = part.unwrap_or_else(|| self.current().clone());
        let verdicts = self.judge(&part, &self.task.validation)?;
        let test_verdicts = self.judge(&part, &self.task.test)?;
        let metrics = (!verdicts.is_empty()).then(|| Metrics::of(&verdicts, data.classes.len()));
        let record = self.measured(metrics.as_ref());
        let model = Trainee { weights: self.whole(&part), ..trainee.clone() };
        Ok(Outcome { ended, history: self.progress.history, best, model, verdicts, test_verdicts, record })
    }
}
