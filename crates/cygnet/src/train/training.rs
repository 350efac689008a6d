//! A run as it is asked for.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cygnet_graph::{BuildError, Graph, Limits};
use cygnet_hub::{Cache, Progress as Download};
use cygnet_image::{DecodeLimits, Splits};
use cygnet_runtime::{Level, cpu};
use cygnet_train::{
    Callback, Quantize, Recipe, State, TrainData, TrainOptions, Trained, Trainee, Trainer, Watch,
};
use cygnet_zoo::Gene;

use super::left_over::left_over;
use super::prepared::{Prepared, RunOutcome};
use super::start::{Start, fitting_recipe_of, is_network, own_trainee, teacher, trainee_within};
use super::subject::{Subject, USUAL};
use crate::Error;

/// Begins to ask for a run on the labelled pictures in `data`: a folder of folders, a table, an archive or IDX files
/// ([`Splits::open`] says which).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # for (class, level) in [("dark", 40u8), ("light", 200)] {
/// #     std::fs::create_dir(folder.path().join(class))?;
/// #     for i in 0..10u8 {
/// #         let image = cygnet::image::Image::from_rgb(16, 16, vec![level + i; 16 * 16 * 3])?;
/// #         std::fs::write(folder.path().join(class).join(format!("{i}.png")), image.to_png()?)?;
/// #     }
/// # }
/// # let photos = folder.path();
/// use cygnet::train::{Start, train};
///
/// // `photos` has a folder of pictures for each class, here "dark" and "light".
/// let outcome = train(photos).network("mobilenet_v2_0.1").from(Start::Scratch).image(16).batch(8).epochs(2).run()?;
/// let model = outcome.into_model();
/// assert_eq!(model.labels, ["dark", "light"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn train(data: impl Into<PathBuf>) -> Training {
    Training {
        data: data.into(),
        subject: Subject::Zoo(None),
        start: None,
        recipe: None,
        settings: Vec::new(),
        part: None,
        quantize: Quantize::None,
        image: None,
        out: Out::Nowhere,
        resume: false,
        overwrite: false,
        tensorboard: false,
        time: None,
        memory_bytes: None,
        photo_bytes: None,
        threads: None,
        save_every: None,
        cache: None,
        limits: DecodeLimits::default(),
        graph_limits: Limits::default(),
        command: None,
        origin: None,
        without_test: false,
        watch: Watch::default(),
    }
}

/// A run as it is asked for. What is not said is chosen: MobileNetV2 with its published weights, the recipe that fits, all
/// threads, nothing written.
#[derive(Clone, Debug)]
#[must_use = "a run begins with `run`"]
pub struct Training {
    pub(super) data: PathBuf,
    pub(super) subject: Subject,
    pub(super) start: Option<Start>,
    pub(super) recipe: Option<String>,
    pub(super) settings: Vec<String>,
    part: Option<Trained>,
    quantize: Quantize,
    image: Option<usize>,
    pub(super) out: Out,
    pub(super) resume: bool,
    pub(super) overwrite: bool,
    tensorboard: bool,
    time: Option<Duration>,
    memory_bytes: Option<u64>,
    photo_bytes: Option<u64>,
    threads: Option<NonZeroUsize>,
    save_every: Option<Duration>,
    cache: Option<Cache>,
    limits: DecodeLimits,
    graph_limits: Limits,
    command: Option<String>,
    origin: Option<String>,
    without_test: bool,
    watch: Watch,
}

/// Where a run writes.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Nowhere,
    /// The model's file, with the others beside it.
    Named(PathBuf),
    /// The next free name in a folder.
    NextFree(PathBuf),
}

impl Training {
    /// The network of the zoo, perhaps with `.tag` of its weights.
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.subject = Subject::Zoo(Some(name.into()));
        self
    }

    /// A network of one's own, from random weights: `build` describes it for a number of classes, and `id` is its name in
    /// the model file, which holds the graph and so needs no code to be used.
    ///
    /// ```
    /// use cygnet::graph::{Conv, Graph};
    ///
    /// let training = cygnet::train::train("photos/").graph("tiny", |classes| {
    ///     Graph::build("tiny", [3, 64, 64], |net, image| {
    ///         let x = net.at("bn").batch_norm(net.at("conv").conv(image, Conv::new(16, 3).stride(2))).relu();
    ///         net.at("fc").linear(x.global_avg_pool(), classes)
    ///     })
    /// });
    /// # _ = training;
    /// ```
    pub fn graph(
        mut self,
        id: impl Into<String>,
        build: impl Fn(usize) -> Result<Graph, BuildError> + Send + Sync + 'static,
    ) -> Self {
        self.subject = Subject::Own { id: id.into(), build: std::sync::Arc::new(build) };
        self
    }

    /// A network of a [`Registry`](cygnet_zoo::Registry) that has some of one's own, as described for a number of classes,
    /// from random weights.
    pub fn registered(self, network: &cygnet_zoo::Network) -> Self {
        let network = network.clone();
        self.graph(network.id.clone(), move |classes| {
            (network.row.build)(&cygnet_zoo::Spec { classes, ..network.spec() })
        })
    }

    /// The weights to start from.
    pub fn from(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// The name of a recipe or a TOML file. Without it the recipe that fits is taken.
    pub fn recipe(mut self, recipe: impl Into<String>) -> Self {
        self.recipe = Some(recipe.into());
        self
    }

    /// A setting of the recipe, such as `optimizer.rate=0.01`.
    pub fn set(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Passes over the pictures.
    pub fn epochs(self, epochs: u32) -> Self {
        self.set(format!("epochs={epochs}"))
    }

    /// Pictures a step.
    pub fn batch(self, batch: usize) -> Self {
        self.set(format!("batch={batch}"))
    }

    /// Height and width of the network's image.
    pub fn image(mut self, side: usize) -> Self {
        self.image = Some(side);
        self.set(format!("image={side}"))
    }

    /// Names all random numbers.
    pub fn seed(self, seed: u64) -> Self {
        self.set(format!("seed={seed}"))
    }

    /// Which part of the network learns.
    pub fn part(mut self, part: Trained) -> Self {
        self.part = Some(part);
        self.set(format!("train={part}"))
    }

    /// What numbers the network will compute with: for whole numbers it learns on with their rounding, from a trained one.
    pub fn quantize(mut self, quantize: Quantize) -> Self {
        self.quantize = quantize;
        self.set(format!("quantize={quantize}"))
    }

    /// The model file to write, with the run's other files beside it ([`RunFiles`](cygnet_train::RunFiles)). One that is
    /// there is refused.
    pub fn out(mut self, model: impl Into<PathBuf>) -> Self {
        self.out = Out::Named(model.into());
        self
    }

    /// The folder to write to: the model is `model.safetensors`, or the first of `model-2.safetensors` and so on that is
    /// free, which is this run's from when it is prepared.
    pub fn out_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out = Out::NextFree(folder.into());
        self
    }

    /// Whether to go on with the run that wrote the model file. Only its epochs and its time can be changed.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Whether to replace the files of an earlier run.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Whether to write TensorBoard's event files too.
    pub fn tensorboard(mut self, tensorboard: bool) -> Self {
        self.tensorboard = tensorboard;
        self
    }

    /// Ends the run after this time, and the learning rate's curve with it unless all epochs fit: finding and reading
    /// pictures, evaluation and writing count as far as they can be foreseen, fetching weights does not.
    pub fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// Most memory of a training step; batches are split to keep to it.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = Some(bytes);
        self
    }

    /// Which pictures are decoded, of which larger ones are left out with a warning, and how many bytes an archive may
    /// unpack to.
    pub fn limits(mut self, limits: DecodeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What the networks in files may ask for: of the one to start from, of a teacher, and of the run that goes on.
    pub fn graph_limits(mut self, limits: Limits) -> Self {
        self.graph_limits = limits;
        self
    }

    /// Most memory for decoded pictures. Without it a quarter of the machine's.
    pub fn photo_bytes(mut self, bytes: u64) -> Self {
        self.photo_bytes = Some(bytes);
        self
    }

    /// Threads; their number does not change the result.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Time between two saved states, at most.
    pub fn save_every(mut self, time: Duration) -> Self {
        self.save_every = Some(time);
        self
    }

    /// Where published weights are kept. Without it as the environment says.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The command line that asked for the run, for its report.
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// Where the network comes from, for the model file.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.origin = Some(source.into());
        self
    }

    /// Leaves test pictures alone: whoever compares runs to choose among them must not know their answers.
    pub fn without_test(mut self) -> Self {
        self.without_test = true;
        self
    }

    /// Is told how pictures are looked at, before the first step and between steps.
    pub fn watch(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    /// Trains.
    ///
    /// # Errors
    /// As [`Training::prepare`] and [`Trainer::run`].
    pub fn run(&self) -> Result<RunOutcome, Error> {
        self.run_with(&mut ())
    }

    /// Trains and tells `callback` how it goes, for instance [`PrintEpochs`](cygnet_train::PrintEpochs).
    ///
    /// # Errors
    /// As [`Training::prepare`] and [`Trainer::run`].
    pub fn run_with(&self, callback: &mut dyn Callback) -> Result<RunOutcome, Error> {
        self.prepare(&mut ())?.run(callback)
    }

    /// The recipe that this run has, all settings included.
    ///
    /// # Errors
    /// If there is no such recipe, setting or network, or the pictures cannot be found where the recipe depends on them.
    pub fn recipe_that_fits(&self) -> Result<Recipe, Error> {
        let splits = if self.recipe.is_none() && self.data != Path::new("") {
            Some(Splits::open_within(&self.data, self.limits)?)
        } else {
            None
        };
        // How many classes there are does not matter to a recipe.
        let classes = splits.as_ref().map_or(2, |splits| splits.train.classes.len());
        self.compose(splits.as_ref(), classes)
    }

    pub(super) fn compose(&self, splits: Option<&Splits>, classes: usize) -> Result<Recipe, Error> {
        let (graph, is_own) = match &self.subject {
            Subject::Zoo(name) => {
                let network = crate::network(name.as_deref().unwrap_or(USUAL))?;
                (network.build()?, network.gene.is_some())
            }
            Subject::Own { build, .. } => (build(classes)?, true),
        };
        let (name, mut settings) = match (&self.recipe, self.part) {
            (Some(name), _) => (name.as_str(), Vec::new()),
            (None, _) if self.quantize == Quantize::Int8 => ("int8", Vec::new()),
            (None, Some(Trained::Head)) => ("head", Vec::new()),
            (None, _) => {
                // A network of one's own keeps its size, and so does one of a gene, which was found for it.
                let own = is_own.then(|| graph.input_shape()[1]);
                let image = self.image.or(own);
                let mut fitting = fitting_recipe_of(Some(&graph), &self.start(), splits, image);
                fitting.settings.extend(own.map(|_| "image=0".into()));
                (fitting.recipe, fitting.settings)
            }
        };
        settings.extend_from_slice(&self.settings);
        Ok(Recipe::compose(name, &settings)?)
    }

    fn start(&self) -> Start {
        let usual = match &self.subject {
            Subject::Zoo(Some(name)) if name.starts_with(Gene::PREFIX) => Start::Scratch,
            Subject::Zoo(_) => Start::Pretrained,
            Subject::Own { .. } => Start::Scratch,
        };
        self.start.clone().unwrap_or(usual)
    }

    /// Finds network, weights and pictures and looks at each picture once. `download` is told of weights that are
    /// fetched.
    ///
    /// # Errors
    /// If files are in the way or missing, a setting makes no sense, weights cannot be had or pictures not be read.
    pub fn prepare(&self, download: &mut dyn Download) -> Result<Prepared, Error> {
        let files = self.files()?;
        let mut state = match &files {
            Some((files, _)) if self.resume => {
                let state = State::read_within(&files.state(), &self.graph_limits)?;
                Training::check_result(&state, files)?;
                Some(state)
            }
            _ => None,
        };
        let began = Instant::now();
        let cache = self.cache.clone().map_or_else(Cache::from_env, Ok)?;
        let mut splits = Splits::open_within(&self.data, self.limits)?;
        if self.without_test {
            splits.test = None;
        }
        let labels = splits.train.classes.clone();
        let mut notes = splits.notes.clone();
        let read = Instant::now();
        let (recipe, mut trainee) = match (&mut state, &files) {
            (Some(state), Some((files, _))) => self.go_on(state, &files.state(), &splits, &mut notes)?,
            _ => {
                let recipe = self.compose(Some(&splits), labels.len())?;
                let mut trainee = self.trainee(&labels, &recipe, &cache, download)?;
                trainee.source = self.origin.clone().or(trainee.source);
                (recipe, trainee)
            }
        };
        notes.append(&mut trainee.notes);
        let teacher = teacher(&trainee, &labels, &recipe, &self.graph_limits, &cache, download)?;
        // Weights may have to be fetched, which has a time of its own.
        let began = began + read.elapsed();

        let threads =
            self.threads.unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
        let machine = cpu::memory_bytes();
        let keep = self.photo_bytes.unwrap_or(machine.map_or(1 << 30, |bytes| bytes / 4));
        let seen = |done, total| self.watch.0("looking at photos", done, total);
        let side = trainee.preprocess.size[0];
        let time = self.time.map(|time| (began, time));
        let data = TrainData::new_until(splits, &recipe, side, keep, threads, time, seen)?;

        notes.extend(state.as_ref().and_then(|state| state.other_tests(&data)));
        notes.extend(left_over(data.train.samples().len(), recipe.batch));

        let options = TrainOptions {
            level: Level::chosen().map_err(|error| Error::NoStart { reason: error.to_string() })?,
            out: files.as_ref().map(|(files, _)| files.model.clone()),
            time: self.time,
            began,
            after: if files.is_some() { REPORT } else { Duration::ZERO },
            memory_bytes: self.memory_bytes,
            machine_bytes: machine.unwrap_or(u64::MAX),
            keep_bytes: keep,
            dataset: name_of(&self.data),
            watch: self.watch.clone(),
            ..TrainOptions::new(threads)
        };
        let options = TrainOptions { save_every: self.save_every.unwrap_or(options.save_every), ..options };
        let mut trainer = Trainer::new(trainee, data, recipe, options)?;
        if let Some(teacher) = teacher {
            trainer = trainer.with_teacher(teacher)?;
        }
        if let Some(state) = state {
            trainer = trainer.resume(state)?;
        }
        Ok(Prepared {
            trainer,
            data: self.data.clone(),
            files,
            resumes: self.resume,
            tensorboard: self.tensorboard,
            command: self.command.clone(),
            notes,
        })
    }

    fn trainee(
        &self,
        labels: &[String],
        recipe: &Recipe,
        cache: &Cache,
        download: &mut dyn Download,
    ) -> Result<Trainee, Error> {
        let name = match (&self.subject, self.start()) {
            (Subject::Own { id, build }, Start::Scratch) => {
                return own_trainee(id, &build(labels.len())?, labels, recipe);
            }
            (Subject::Own { id, .. }, Start::Pretrained) => {
                return Err(Error::NoStart { reason: format!("{id} has no published weights") });
            }
            (Subject::Own { id, .. }, Start::File(_)) => id,
            (Subject::Zoo(name), _) => name.as_deref().unwrap_or(USUAL),
        };
        let limits = &self.graph_limits;
        let trainee = trainee_within(name, &self.start(), labels, recipe, limits, cache, download)?;
        if let (Subject::Zoo(Some(name)), Start::File(file)) = (&self.subject, self.start())
            && !is_network(name, &trainee.id)
        {
            let reason = format!("is a {}, not {name}; leave out --network", trainee.id);
            return Err(Error::Record { path: file, reason });
        }
        Ok(trainee)
    }
}

/// How long it takes to time the network for the report and to write that.
const REPORT: Duration = Duration::from_millis(700);

/// What a data set is called: the last part of where it is.
pub(crate) fn name_of(data: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let whole = || std::fs::canonicalize(data).ok();
    name(data).or_else(|| name(&whole()?)).unwrap_or_else(|| data.display().to_string())
}
