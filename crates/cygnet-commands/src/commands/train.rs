use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use cygnet::image::{DecodeLimits, Splits};
use cygnet::runtime::Level;
use cygnet::train::{
    self, Callback, Ended, EpochReport, JsonLog, Metrics, Outcome, Recipe, RunFiles, RunInfo, Start, State,
    StepReport, TensorBoard, TrainData, TrainError, TrainOptions, Trained, Trainer, Watch,
};
use cygnet::weights::safetensors::write_whole;
use cygnet::weights::{Cache, ModelFile};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{pixels, threads};
use crate::output::{self, FAINT, GOOD, STRONG, styled};
use crate::progress::Download;

pub(crate) const TRAIN_HELP: &str = "\
DATA is a folder with one folder of photos a class, or with such folders in train/ and val/ or test/
(also training_set/, val2017/, eval/, seg_test/ and the like); a .zip of such folders, or a .tar, plain
or compressed (.gz, .xz, .bz2, .zst); a .csv or .tsv of paths and labels, with headings (path, label,
perhaps split) or without; or IDX files (MNIST).
Without pictures for validation a share of each class is set aside.

Recipes: finetune, head, scratch, scratch-small, and published ones for reference: mobilenet_v2,
mobilenet_v3, shufflenet, squeezenet, mnasnet, ghostnet. Without --recipe the one that fits is taken.

GoogLeNet and Inception v3 learn with their auxiliary heads, which the model then lacks, where these
start from random weights or from the same checkpoint; --set auxiliary=0 leaves them out.

Beside the model: NAME.last.safetensors (the last model), NAME.state.safetensors (for --resume),
NAME.log.jsonl (metrics), NAME.html (report). Ctrl-C finishes the step and saves; --resume goes on,
also with more --time after a run whose time was up.

Examples:
  cygnet train photos/
  cygnet train photos/ --train head --out birds.safetensors
  cygnet train photos/ --network ghostnet_100 --time 30m
  cygnet train cifar10.tar.xz --network shufflenet_v2_x1_0 --from scratch --epochs 20
  cygnet train photos/ --recipe finetune --set optimizer.rate=0.003 --set mix.mixup=0.2
  cygnet train --recipe finetune --print-recipe > mine.toml
  cygnet train --print-recipe model.safetensors";

#[derive(Args)]
pub(crate) struct Train {
    /// The labelled photos; with --print-recipe perhaps a model file
    #[arg(value_name = "DATA", required_unless_present = "print_recipe")]
    data: Option<PathBuf>,
    /// Network of the zoo, perhaps with .TAG of its weights [default: mobilenet_v2]
    #[arg(long, value_name = "ID[.TAG]")]
    network: Option<String>,
    /// Weights to start from
    #[arg(long, value_name = "pretrained|scratch|FILE", default_value = "pretrained")]
    from: Start,
    /// Name of a recipe, or a TOML file
    #[arg(long, value_name = "R")]
    recipe: Option<String>,
    /// Change a setting of the recipe, such as optimizer.rate=0.01
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Which part of the network learns
    #[arg(long, value_name = "all|last-N|head")]
    train: Option<Trained>,
    /// Passes over the photos
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Photos a step
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Height and width of the network's image
    #[arg(long, value_name = "S")]
    image: Option<usize>,
    /// Names all random numbers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// End after this time: 90s, 10m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Most memory of the training step, such as 2GB; batches are split to keep to it
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
    /// Most memory for decoded photos [default: a quarter of this machine's]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    cache: Option<u64>,
    /// Most pixels of a photo that is decoded, such as 500M; larger ones are left out
    #[arg(long, value_name = "N", default_value = "256M", value_parser = pixels)]
    max_pixels: usize,
    /// Threads; their number does not change the result
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    threads: NonZeroUsize,
    /// The model file to write
    #[arg(long, value_name = "FILE", default_value = "model.safetensors")]
    out: PathBuf,
    /// Go on with the run that wrote FILE
    #[arg(long)]
    resume: bool,
    /// Replace the files of an earlier run
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Seconds between two saved states, at most
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    save_every: f64,
    /// Also write TensorBoard's event files, to NAME.events/
    #[arg(long)]
    tensorboard: bool,
    /// Print the recipe as TOML, with what each setting does, and do nothing else
    #[arg(long)]
    print_recipe: bool,
    /// Print one JSON object an epoch, and one at the end
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|seconds| (0.0..=1e6).contains(seconds)).ok_or("give seconds from 0 up")
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "give a time such as 90s, 10m or 1h30m";
    let mut seconds = 0.0;
    let mut number = String::new();
    for c in text.chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86_400.0,
            _ => return Err(WRONG),
        };
        seconds += number.parse::<f64>().map_err(|_| WRONG)? * unit;
        number.clear();
    }
    if !number.is_empty() {
        seconds += number.parse::<f64>().map_err(|_| WRONG)?;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or(WRONG)
}

fn bytes(text: &str) -> Result<u64, &'static str> {
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match lower[digits.len()..].trim_end_matches('b').trim_end_matches('i') {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err("give a size such as 500MB or 2GB"),
    };
    let number: Option<f64> = digits.trim().parse().ok().filter(|&number: &f64| number >= 0.0);
    number.map(|number| (number * unit) as u64).ok_or("give a size such as 500MB or 2GB")
}

/// The machine's memory, where the system tells it.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    total?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether `name`, perhaps with a tag, stands for the network `id`.
fn is_network(name: &str, id: &str) -> bool {
    let untagged = name.match_indices('.').map(|(at, _)| &name[..at]);
    untagged.chain([name]).any(|name| cygnet::network(name).is_ok_and(|network| network.id == id))
}

impl Train {
    /// What the command line changes of a recipe.
    fn settings(&self) -> Vec<String> {
        let mut settings = self.set.clone();
        let mut add = |name: &str, value: Option<String>| {
            settings.extend(value.map(|value| format!("{name}={value}")));
        };
        add("epochs", self.epochs.map(|n| n.to_string()));
        add("batch", self.batch.map(|n| n.to_string()));
        add("image", self.image.map(|n| n.to_string()));
        add("seed", self.seed.map(|n| n.to_string()));
        add("train", self.train.map(|part| part.to_string()));
        settings
    }

    fn network(&self) -> &str {
        self.network.as_deref().unwrap_or("mobilenet_v2")
    }

    /// The recipe that is asked for or fits, with all changes.
    fn compose(&self, network: &str, splits: Option<&Splits>) -> Result<Recipe, TrainError> {
        let (name, mut settings) = match (&self.recipe, self.train) {
            (Some(name), _) => (name.as_str(), Vec::new()),
            (None, Some(Trained::Head)) => ("head", Vec::new()),
            (None, _) => {
                let fitting = train::fitting_recipe(network, &self.from, splits, self.image);
                (fitting.recipe, fitting.settings)
            }
        };
        settings.extend(self.settings());
        Recipe::compose(name, &settings)
    }
}

pub(crate) fn train(args: &Train) -> anyhow::Result<bool> {
    if args.print_recipe {
        return print_recipe(args);
    }
    let data_path = args.data.as_deref().unwrap_or(Path::new(""));
    let files = RunFiles::of(&args.out);
    if args.out.extension().is_none_or(|extension| extension != "safetensors") {
        bail!("{}: a model file's name ends in .safetensors", args.out.display());
    }
    let state = if args.resume { Some(State::read(&files.state())?) } else { None };
    if !args.resume
        && !args.overwrite
        && let Some(there) = [&files.model, &files.state()].into_iter().find(|path| path.exists())
    {
        bail!(
            "{}: is there already; give --resume to go on with its run, --overwrite to replace it, or another --out",
            there.display()
        );
    }
    if let Some(folder) = args.out.parent().filter(|folder| *folder != Path::new("") && !folder.is_dir()) {
        bail!("{}: no such folder", folder.display());
    }
    let cache = Cache::from_env()?;
    let splits = Splits::open(data_path)?.within(DecodeLimits { max_pixels: args.max_pixels });
    for note in &splits.notes {
        anstream::eprintln!("{} {}", styled(STRONG, "note:"), output::plain(note));
    }
    let labels = splits.train.classes.clone();
    let (recipe, trainee) = match &state {
        Some(state) => {
            let recipe = state.recipe().clone();
            let network = &state.record().network;
            if let Some(name) = &args.network
                && !is_network(name, network)
            {
                bail!("{}: its run trains {network}, not {name}", files.state().display());
            }
            if args.recipe.is_some() || !args.settings().is_empty() {
                let asked = args.compose(network, Some(&splits))?;
                if asked != recipe {
                    bail!(
                        "{}: its run has another recipe than these options make; leave them out to go on with it, or begin another run --from its model",
                        files.state().display()
                    );
                }
            }
            (recipe, train::trainee_of(state, &files.state())?)
        }
        None => {
            let recipe = args.compose(args.network(), Some(&splits))?;
            let mut download = Download::default();
            let trainee =
                train::trainee(args.network(), &args.from, &labels, &recipe, &cache, &mut download)?;
            if let (Some(name), Start::File(file)) = (&args.network, &args.from)
                && !is_network(name, &trainee.id)
            {
                bail!("{}: is a {}, not {name}; leave out --network", file.display(), trainee.id);
            }
            (recipe, trainee)
        }
    };
    let teacher = train::teacher(&trainee, &labels, &recipe, &cache, &mut Download::default())?;

    let machine = memory();
    let keep = args.cache.unwrap_or(machine.map_or(1 << 30, |bytes| bytes / 4));
    let bar = crate::progress::things(0, "looking at photos", "photos");
    let side = trainee.preprocess.size[0];
    let data = TrainData::new(splits, &recipe, side, keep, args.threads, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let data = data?;
    warn(&data);
    if let Some(reason) = &trainee.without_heads {
        anstream::eprintln!("auxiliary heads are left out: {reason}");
    }

    let name = data_path
        .file_name()
        .map_or_else(|| data_path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let stop = Arc::new(AtomicBool::new(false));
    let mut screen = Screen::new(args.json, Arc::clone(&stop));
    let options = TrainOptions {
        level: Level::chosen().map_err(anyhow::Error::msg)?,
        out: Some(args.out.clone()),
        time: args.time,
        memory_bytes: args.memory,
        machine_bytes: machine.unwrap_or(u64::MAX),
        keep_bytes: keep,
        save_every: Duration::from_secs_f64(args.save_every),
        dataset: format!("validation pictures of {name}"),
        watch: Watch(Arc::new({
            let bar = screen.bar.clone();
            move |what, done, total| {
                bar.set_prefix(what);
                bar.set_length(total as u64);
                bar.set_position(done as u64);
                bar.set_message(format!("{done}/{total} pictures"));
            }
        })),
        ..TrainOptions::new(args.threads)
    };
    let validation = Arc::clone(&data.validation);
    let counts = [&data.train, &data.validation, &data.test].map(|photos| photos.samples().len());
    let mut trainer = Trainer::new(trainee, data, recipe, options)?;
    if let Some(teacher) = teacher {
        trainer = trainer.with_teacher(teacher)?;
    }
    if let Some(state) = state {
        trainer = trainer.resume(state)?;
    }

    let (asked, bar) = (Arc::clone(&stop), screen.bar.clone());
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        bar.suspend(|| anstream::eprintln!("finishing the step; Ctrl-C again ends at once"));
    })
    .context("cannot watch for Ctrl-C")?;
    let mut log = JsonLog::new(&files.log(), args.resume, 10)?;
    let mut board = if args.tensorboard { Some(TensorBoard::new(&files.events())?) } else { None };
    let mut watchers = Watchers(vec![&mut screen, &mut log]);
    watchers.0.extend(board.as_mut().map(|board| board as &mut dyn Callback));
    let outcome = trainer.run(&mut watchers);
    screen.bar.finish_and_clear();
    let outcome = outcome?;

    if outcome.ended == Ended::Interrupted {
        anstream::eprintln!("stopped and saved; go on with --resume");
        if args.json {
            summary(&outcome, &files, None)?;
        }
        return Ok(true);
    }
    let title = format!("{} on {name}", outcome.model.id);
    let facts = train::facts(&outcome, &counts)?;
    let html = train::report(&title, &facts, &outcome, &validation);
    write_whole(&files.report(), html.len() as u64, |file| file.write_all(html.as_bytes()))?;
    if args.json {
        let metrics = Metrics::of(&outcome.verdicts, labels.len());
        summary(&outcome, &files, Some(&metrics))?;
    } else {
        tell(&outcome, &files, &facts)?;
    }
    Ok(true)
}

fn print_recipe(args: &Train) -> anyhow::Result<bool> {
    let recipe = match &args.data {
        Some(path) if path.extension().is_some_and(|extension| extension == "safetensors") => {
            let record = ModelFile::read(path)?.record;
            let Some(recipe) = record.recipe else {
                bail!("{}: has no recipe; it was not trained by Cygnet", path.display());
            };
            serde_json::from_value(recipe)
                .with_context(|| format!("{}: its recipe is damaged", path.display()))?
        }
        Some(path) if args.recipe.is_none() => args.compose(args.network(), Some(&Splits::open(path)?))?,
        _ => args.compose(args.network(), None)?,
    };
    output::line(recipe.to_toml().trim_end())?;
    Ok(true)
}

fn warn(data: &TrainData) {
    const MOST: usize = 20;
    let warning = styled(output::BAD, "warning:");
    for (name, reason) in data.unreadable.iter().take(MOST) {
        anstream::eprintln!("{warning} {}: {reason}; left out", output::plain(name));
    }
    if data.unreadable.len() > MOST {
        anstream::eprintln!("{warning} {} more files cannot be read; left out", data.unreadable.len() - MOST);
    }
    if let Some((theirs, ours)) = data.duplicates.first() {
        anstream::eprintln!(
            "{warning} {} pictures for validation or test are also trained on, which flatters the accuracy: {} is {}{}",
            data.duplicates.len(),
            output::plain(theirs),
            output::plain(ours),
            if data.duplicates.len() > 1 { ", and so on" } else { "" }
        );
    }
    if let Some((one, other)) = data.contradictions.first() {
        anstream::eprintln!(
            "{warning} the same picture in two classes, {}, which cannot be learnt: {} is {}{}",
            if data.contradictions.len() == 1 {
                "once".into()
            } else {
                format!("{} times", data.contradictions.len())
            },
            output::plain(one),
            output::plain(other),
            if data.contradictions.len() > 1 { ", and so on" } else { "" }
        );
    }
    if data.validation.samples().is_empty() {
        anstream::eprintln!(
            "{warning} no pictures for validation; the last weights will be kept, not the best"
        );
        return;
    }
    let unseen = data.without_validation();
    if let Some(first) = unseen.first() {
        let more = match unseen.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} other classes"),
        };
        anstream::eprintln!(
            "{warning} no pictures of class {}{more} for validation; the accuracy does not tell of them",
            output::plain(first)
        );
    }
}

fn summary(outcome: &Outcome, files: &RunFiles, metrics: Option<&Metrics>) -> std::io::Result<()> {
    let labels = &outcome.record.labels;
    let test = Metrics::of(&outcome.test_verdicts, labels.len());
    output::json(&serde_json::json!({
        "event": "end",
        "ended": outcome.ended,
        "best_epoch": outcome.best,
        "model": files.model,
        "report": metrics.map(|_| files.report()),
        "validation": metrics.filter(|metrics| metrics.images > 0),
        "test": (test.images > 0).then_some(test),
        "labels": labels,
    }))
}

fn tell(outcome: &Outcome, files: &RunFiles, facts: &[(String, String)]) -> std::io::Result<()> {
    let ended = match outcome.ended {
        Ended::Finished => "all epochs are done",
        Ended::Early => "no better accuracy for a while",
        Ended::Time => "the time is up",
        Ended::Interrupted => "interrupted",
    };
    output::line(&format!("{} {ended}; best epoch {}", styled(GOOD, "done:"), outcome.best))?;
    for (name, value) in facts {
        output::line(&format!("  {}  {value}", styled(STRONG, &format!("{name:<20}"))))?;
    }
    output::line(&format!("{}  report {}", files.model.display(), files.report().display()))
}

/// Tells several.
struct Watchers<'a>(Vec<&'a mut dyn Callback>);

impl Callback for Watchers<'_> {
    fn begin(&mut self, info: &RunInfo) {
        self.0.iter_mut().for_each(|watcher| watcher.begin(info));
    }

    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        let flows: Vec<_> = self.0.iter_mut().map(|watcher| watcher.step(report)).collect();
        flows.into_iter().find(ControlFlow::is_break).unwrap_or(ControlFlow::Continue(()))
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        self.0.iter_mut().try_for_each(|watcher| watcher.epoch(report))
    }
}

/// The progress bar, a line an epoch, and the wish to stop.
struct Screen {
    bar: ProgressBar,
    json: bool,
    stop: Arc<AtomicBool>,
    epochs: u64,
}

impl Screen {
    fn new(json: bool, stop: Arc<AtomicBool>) -> Screen {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:20} {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Screen { bar, json, stop, epochs: 0 }
    }
}

/// Hours, minutes, seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

impl Callback for Screen {
    fn begin(&mut self, info: &RunInfo) {
        self.epochs = info.epochs;
        let [images, validation] = info.images;
        let mut text = format!(
            "{} by {}: {images} pictures of {} classes, {validation} for validation; {} params learn, {} pictures a step",
            info.network,
            info.recipe,
            info.classes,
            output::count(info.trained_params as u64),
            info.batch
        );
        match info.auxiliary {
            0 => {}
            1 => text += " with an auxiliary head",
            count => _ = write!(text, " with {count} auxiliary heads"),
        }
        if info.parts > 1 {
            _ = write!(text, " in {} parts", info.parts);
        }
        self.bar.suspend(|| anstream::eprintln!("{}", styled(FAINT, &text)));
    }

    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        self.bar.set_prefix(format!("epoch {}/{}", report.epoch, report.epochs));
        self.bar.set_length(report.steps as u64);
        self.bar.set_position(report.step as u64);
        let left = report.seconds * (1.0 - report.done) / report.done.max(1e-6);
        self.bar.set_message(format!(
            "step {}/{} {:.0} images/s  loss {:.3}  accuracy {:.1} %  {} left",
            report.step,
            report.steps,
            report.images_per_s,
            report.loss,
            report.accuracy,
            clock(left)
        ));
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        if self.json {
            #[derive(serde::Serialize)]
            struct Line<'a> {
                event: &'static str,
                #[serde(flatten)]
                report: &'a EpochReport,
            }
            let printed = self.bar.suspend(|| output::json(&Line { event: "epoch", report }));
            return printed.map_err(|source| TrainError::Write { path: "standard output".into(), source });
        }
        let mut text = format!(
            "epoch {:>3}/{}  loss {:.4}  accuracy {:5.2} %",
            report.epoch, self.epochs, report.loss, report.accuracy
        );
        if let (Some(loss), Some(top1)) = (report.validation_loss, report.validation_top1) {
            _ = write!(text, "  validation loss {loss:.4}  top-1 {top1:5.2} %");
        }
        _ = write!(text, "  {:.0} images/s", report.images_per_s);
        if report.best {
            _ = write!(text, "  {}", styled(GOOD, "best"));
        }
        self.bar.suspend(|| anstream::eprintln!("{text}"));
        Ok(())
    }
}
