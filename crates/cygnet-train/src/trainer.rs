//! What a run is made of: a network, pictures, a recipe, and how it is carried out.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cygnet_graph::Graph;
use cygnet_image::{ChannelOrder, Preprocess, Sample};
use cygnet_runtime::Level;
use cygnet_weights::{ModelRecord, Origin, Quantization, TrainingRecord, WeightSet};
use serde::Serialize;

use crate::TrainError;
use crate::callback::{Ended, EpochReport, Watch};
use crate::checkpoint::{BEGIN_AGAIN, State};
use crate::data::TrainData;
use crate::files::RunFiles;
use crate::int8::Int8;
use crate::metrics::Verdict;
use crate::recipe::{Quantize, Recipe, Trained};

/// Pictures by which the first ranges of a run that learns with rounding are found.
pub(crate) const RANGED: usize = 100;

/// What is trained: a network with weights to start from.
#[derive(Clone, Debug)]
pub struct Trainee {
    /// Registry id of the network.
    pub id: String,
    /// The network, with as many outputs as there are classes.
    pub graph: Graph,
    /// Its weights.
    pub weights: WeightSet,
    /// How a photo becomes its input.
    pub preprocess: Preprocess,
    /// Licence of the weights it starts from.
    pub licence: Option<String>,
    /// Where the weights it starts from come from.
    pub source: Option<String>,
    /// What its weights are those of.
    pub origin: Origin,
    /// What was cut of the network before, as its model file says.
    pub compression: Option<serde_json::Value>,
    /// What was changed of the network for this run and is not evident, for people.
    pub notes: Vec<String>,
}

/// A network whose answers the trained one learns from.
#[derive(Clone, Debug)]
pub struct Teacher {
    /// The network, for images of the trained one's size.
    pub graph: Graph,
    /// Its weights.
    pub weights: WeightSet,
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
    /// Ends the run so long after `began`, evaluation and `after` included as far as they can be foreseen, and the learning
    /// rate's curve with it, unless all epochs fit.
    pub time: Option<Duration>,
    /// When the time began to count.
    pub began: Instant,
    /// How much of the time is for what the caller does after the run.
    pub after: Duration,
    /// Most memory of the training plan: batches are split and their gradients accumulated to keep to it. Batch norm
    /// then sees the parts.
    pub memory_bytes: Option<u64>,
    /// Memory of the machine: a training plan that needs more is refused.
    pub machine_bytes: u64,
    /// Most memory for prepared validation pictures and features.
    pub keep_bytes: u64,
    /// How often the state is written, at least, in the course of an epoch.
    pub save_every: Duration,
    /// Name of the data set, for the model's record.
    pub dataset: String,
    /// Is told how the network is applied to pictures between the steps.
    pub watch: Watch,
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
            began: Instant::now(),
            after: Duration::ZERO,
            memory_bytes: None,
            machine_bytes: u64::MAX,
            keep_bytes: 1 << 30,
            save_every: Duration::from_secs(30),
            dataset: String::new(),
            watch: Watch::default(),
        }
    }
}

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
    /// The best weights' answers for the validation pictures, in their order; none after an interruption.
    pub verdicts: Vec<Verdict>,
    /// Those for the test pictures.
    pub test_verdicts: Vec<Verdict>,
    /// What whole numbers stand for, if it computes with such.
    pub quantization: Option<Quantization>,
    /// What rounding does to the answers for the validation pictures, if it computes with whole numbers and there are some.
    pub rounding: Option<RoundingLoss>,
    /// What the model file says.
    pub record: ModelRecord,
}

/// A network that learnt with rounding, against what it was before, on the same pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RoundingLoss {
    /// Percent of pictures whose first guess was right before.
    pub top1_before: f64,
    /// Points of that which are lost; below 0 if more came right.
    pub lost: f64,
    /// Percent of pictures with the same first guess as before.
    pub agreement: f64,
}

impl RoundingLoss {
    /// Of answers and the guesses before, in the same order; none if these are not of the same pictures.
    pub(crate) fn of(before: &[u32], verdicts: &[Verdict]) -> Option<RoundingLoss> {
        if before.is_empty() || before.len() != verdicts.len() {
            return None;
        }
        let percent = |is_so: &dyn Fn(usize, &Verdict) -> bool| {
            let so = before.iter().zip(verdicts).filter(|(guess, verdict)| is_so(**guess as usize, verdict));
            100.0 * so.count() as f64 / before.len() as f64
        };
        let top1_before = percent(&|guess, verdict| guess == verdict.class);
        let top1 = percent(&|_, verdict| verdict.guess == verdict.class);
        let agreement = percent(&|guess, verdict| guess == verdict.guess);
        Some(RoundingLoss { top1_before, lost: top1_before - top1, agreement })
    }
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
    pub(crate) trainee: Trainee,
    pub(crate) data: TrainData,
    pub(crate) recipe: Recipe,
    pub(crate) options: TrainOptions,
    pub(crate) teacher: Option<Teacher>,
    pub(crate) resumed: Option<State>,
    /// The rounding that it learns with, once it is known.
    pub(crate) int8: Option<Int8>,
}

impl Trainee {
    /// A network with random weights, whose images are prepared with ImageNet's mean and deviation.
    #[must_use]
    pub fn from_scratch(id: impl Into<String>, graph: Graph, seed: u64) -> Trainee {
        let [channels, height, width] = graph.input_shape();
        let mut preprocess = Preprocess::torchvision(height, height);
        preprocess.size = [height, width];
        if channels == 1 {
            preprocess.channels = ChannelOrder::Grey;
            for statistic in [&mut preprocess.mean, &mut preprocess.std] {
                *statistic = vec![statistic.iter().sum::<f32>() / 3.0];
            }
        }
        let weights = WeightSet::of(&graph, crate::initial_weights(&graph, seed));
        Trainee {
            id: id.into(),
            weights: weights.expect("there is a list for each parameter"),
            graph,
            preprocess,
            licence: None,
            source: None,
            origin: Origin::default(),
            compression: None,
            notes: Vec::new(),
        }
    }

    /// The same without auxiliary heads.
    #[must_use]
    pub fn without_auxiliary(self) -> Trainee {
        Trainee { graph: self.graph.without_auxiliary(), ..self }
    }
}

impl Trainer {
    /// Checks that the parts belong together.
    ///
    /// # Errors
    /// If the numbers of classes differ, weights are missing, or there are too few pictures.
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
            let what = match data.train.samples().len() {
                1 => "only 1 picture to learn from".into(),
                count => format!("{count} pictures to learn from"),
            };
            return Err(TrainError::TooFew { what });
        }
        recipe.train.check(&trainee.graph)?;
        // Heads in a part that does not learn have nothing to teach it.
        let is_whole = recipe.train == Trained::All && recipe.quantize == Quantize::None;
        let has_heads = recipe.auxiliary > 0.0 && is_whole;
        let trainee = if has_heads { trainee } else { trainee.without_auxiliary() };
        let trainee = Trainee { weights: trainee.weights.part(&trainee.graph)?, ..trainee };
        Ok(Trainer { trainee, data, recipe, options, teacher: None, resumed: None, int8: None })
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

    /// What is trained.
    #[must_use]
    pub fn trainee(&self) -> &Trainee {
        &self.trainee
    }

    /// The pictures.
    #[must_use]
    pub fn data(&self) -> &TrainData {
        &self.data
    }

    /// Goes on from a run's state. The recipe's epochs may be others than the state's (see [`State::with_epochs`]), and
    /// nothing else.
    ///
    /// # Errors
    /// If it is the state of another network, recipe or data set; says what differs.
    pub fn resume(mut self, state: State) -> Result<Trainer, TrainError> {
        let path = self.options.out.as_ref().map(|out| RunFiles::of(out).state()).unwrap_or_default();
        let refuse = |reason: &str| Err(TrainError::Run { path: path.clone(), reason: reason.into() });
        let state = state.with_epochs(self.recipe.epochs)?;
        let differences = state.progress.recipe.differences(&self.recipe);
        if !differences.is_empty() {
            let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
            return refuse(&format!("its run has another recipe: {}", differences.join(", ")));
        }
        if let Some(differs) = state.other_classes(&self.data.classes) {
            return refuse(&format!("is of a run on other classes: {differs}"));
        }
        if let Some(differs) = state.other_pictures(&self.data, &self.options.dataset) {
            return refuse(&format!(
                "is of a run on other pictures: {differs}; give those of then, or begin another run --from its model"
            ));
        }
        if state.progress.record.graph != self.trainee.graph.to_json() {
            return refuse("is of a run of another network");
        }
        if let Err(reason) = state.progress.check_steps(self.batch(), self.steps()) {
            return refuse(&format!("is damaged: {reason}; {BEGIN_AGAIN}"));
        }
        self.resumed = Some(state);
        Ok(self)
    }

    /// Pictures a step.
    pub(crate) fn batch(&self) -> usize {
        self.recipe.batch.min(self.data.train.samples().len())
    }

    /// Steps of an epoch.
    pub(crate) fn steps(&self) -> usize {
        self.data.train.samples().len() / self.batch()
    }

    /// How the numbers of a run are rounded that begins, or goes on from a state, if they are.
    ///
    /// # Errors
    /// If ranges cannot be found, or the state's are not those of the network.
    pub(crate) fn rounding(
        &mut self,
        resumed: Option<&State>,
        path: &Path,
    ) -> Result<Option<Int8>, TrainError> {
        match (self.recipe.quantize, resumed) {
            (Quantize::None, _) => Ok(None),
            (Quantize::Int8, None) => {
                // Finding ranges takes time, which a limit that no step keeps to would waste.
                self.check_memory()?;
                self.begin_int8().map(Some)
            }
            (Quantize::Int8, Some(state)) => {
                let threads = self.options.threads.get();
                let int8 = Int8::resumed(&self.trainee.graph, &state.progress.zeros, threads);
                let reason =
                    format!("is damaged: zeros are not those of the network's values; {BEGIN_AGAIN}");
                Ok(Some(int8.ok_or(TrainError::Run { path: path.into(), reason })?))
            }
        }
    }

    /// The trainee without batch norms, and how its numbers are rounded, with ranges by some of the pictures that it learns
    /// from.
    fn begin_int8(&mut self) -> Result<Int8, TrainError> {
        let Trainer { trainee, data, options, .. } = self;
        let samples = data.train.samples().len();
        let count = samples.min(RANGED);
        let mut images = Vec::with_capacity(count);
        for i in 0..count {
            let image = data.train.get(i * samples / count)?;
            images.push(trainee.preprocess.apply(&image)?);
            options.watch.0("finding ranges", i + 1, count);
        }
        let (level, threads) = (options.level, options.threads.get());
        let (graph, weights, int8) = Int8::begin(&trainee.graph, &trainee.weights, &images, level, threads)?;
        *trainee = Trainee { graph, weights, ..trainee.clone() };
        Ok(int8)
    }

    pub(crate) fn record(&self) -> ModelRecord {
        ModelRecord {
            format: self.trainee.graph.format(),
            network: self.trainee.id.clone(),
            graph: self.trainee.graph.to_json(),
            preprocess: serde_json::to_value(&self.trainee.preprocess).unwrap_or_default(),
            guessed: None,
            labels: self.data.classes.clone(),
            licence: self.trainee.licence.clone(),
            source: self.trainee.source.clone(),
            accuracy: None,
            recipe: serde_json::to_value(&self.recipe).ok(),
            training: Some(TrainingRecord {
                from: self.trainee.origin.clone(),
                dataset: self.options.dataset.clone(),
                pictures: self.data.pictures(),
                class_pictures: Sample::counts(self.data.train.samples(), self.data.classes.len()),
            }),
            compression: self.trainee.compression.clone(),
            quantization: None,
            written_by: concat!("cygnet ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}
