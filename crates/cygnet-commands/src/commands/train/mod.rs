//! `cygnet train`.

mod screen;
mod stop;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use cygnet::hub::{is_url, shown_url};
use cygnet::train::{Ended, Metrics, Outcome, Quantize, Recipe, RunFiles, RunOutcome, Training, shell_word};
use cygnet::weights::ModelFile;

pub(super) use self::screen::Screen;
pub(super) use self::stop::{Stop, exit};
use crate::args::{Train, TrainPrecision, wrong_usage};
use crate::output::{self, GOOD, STRONG, plain, styled, wrapped};
use crate::progress::Download;

/// The command line of this process, as it can be typed again, but for passwords in addresses.
pub(super) fn command_line() -> String {
    let shown = |word: &str| match word.find("http") {
        Some(at) if is_url(&word[at..]) => format!("{}{}", &word[..at], shown_url(&word[at..])),
        _ => word.to_owned(),
    };
    let words = std::env::args_os().skip(1).map(|word| shell_word(&shown(&word.to_string_lossy())));
    std::iter::once("cygnet".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

impl Train {
    /// What is asked for.
    fn training(&self) -> Training {
        let mut training = cygnet::train::train(self.data.clone().unwrap_or_default())
            .resume(self.resume)
            .overwrite(self.overwrite)
            .tensorboard(self.tensorboard)
            .threads(self.threads)
            .save_every(Duration::from_secs_f64(self.save_every))
            .command(command_line())
            .from(self.from.clone());
        fn with<T>(
            training: Training,
            value: Option<T>,
            change: impl Fn(Training, T) -> Training,
        ) -> Training {
            match value {
                Some(value) => change(training, value),
                None => training,
            }
        }
        training = with(training, self.network.as_ref(), Training::network);
        training = with(training, self.recipe.as_ref(), Training::recipe);
        training = self.set.iter().fold(training, Training::set);
        training = with(training, self.epochs, Training::epochs);
        training = with(training, self.batch.map(|batch| batch as usize), Training::batch);
        training = with(training, self.image, Training::image);
        training = with(training, self.seed, Training::seed);
        training = with(training, self.train, Training::part);
        let quantize = |training: Training, TrainPrecision::Int8| training.quantize(Quantize::Int8);
        training = with(training, self.quantize, quantize);
        training = with(training, self.time, Training::time);
        training = training.limits(self.data_limits.limits()).graph_limits(self.graph_limits.limits());
        training = with(training, self.memory, Training::memory_bytes);
        with(training, self.cache, Training::photo_bytes)
    }

    /// What is asked for, and where it is written.
    fn written(&self) -> Training {
        let (training, here) = (self.training(), Path::new(""));
        match &self.out {
            Some(out) => training.out(out),
            None if self.resume => match RunFiles::newest(here) {
                Some(files) => training.out(files.model),
                None => training.out("model.safetensors"),
            },
            None if self.overwrite => training.out("model.safetensors"),
            None => training.out_in(here),
        }
    }
}

pub(crate) fn train(args: &Train) -> anyhow::Result<bool> {
    if args.print_recipe {
        return print_recipe(args);
    }
    let stop = stop::Stop::listen().context("cannot listen for Ctrl-C")?;
    let mut screen = Screen::new(args.json, stop.clone());
    let prepared = args
        .written()
        .watch(screen.watch())
        .prepare(&mut Download::default())
        .inspect_err(|_| screen.clear())?;
    screen.bar().suspend(|| {
        prepared.warnings().iter().for_each(|warning| output::warning(warning));
        prepared.notes().iter().for_each(|note| output::note(note));
    });
    stop.finish_steps(screen.bar());
    let run = prepared.run(&mut screen);
    stop.at_once();
    screen.clear();
    let run = run?;
    let Some(files) = &run.files else { bail!("the run has no files") };
    if run.outcome.ended == Ended::Interrupted {
        let out = shell_word(&files.model.display().to_string());
        let data =
            args.data.as_deref().map(|data| shell_word(&data.display().to_string())).unwrap_or_default();
        output::talk(&plain(&format!(
            "stopped and saved; go on with: cygnet train {data} --resume --out {out}"
        )));
        if args.json {
            summary(&run, files, None)?;
        }
        stop::exit();
    }
    if args.json {
        let metrics = Metrics::of(&run.outcome.verdicts, run.outcome.record.labels.len());
        summary(&run, files, Some(&metrics))?;
    } else {
        tell(&run, files)?;
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
        Some(path) if !path.exists() && Recipe::named(&path.to_string_lossy()).is_ok() => {
            return Err(wrong_usage(format!(
                "{0}: no such data; the recipe of that name is printed by --recipe {0} --print-recipe",
                path.display()
            )));
        }
        _ => args.training().recipe_that_fits()?,
    };
    output::line(recipe.to_toml().trim_end())?;
    Ok(true)
}

fn summary(run: &RunOutcome, files: &RunFiles, metrics: Option<&Metrics>) -> std::io::Result<()> {
    let Outcome { ended, best, test_verdicts, quantization, rounding, record, .. } = &run.outcome;
    let labels = &record.labels;
    let test = Metrics::of(test_verdicts, labels.len());
    output::json(&serde_json::json!({
        "event": "end",
        "ended": ended,
        "best_epoch": best,
        "model": files.model,
        "precision": if quantization.is_some() { "int8" } else { "f32" },
        "rounding": rounding,
        "report": metrics.map(|_| files.report()),
        "validation": metrics.filter(|metrics| metrics.images > 0),
        "test": (test.images > 0).then_some(test),
        "labels": labels,
    }))
}

/// Columns before a fact.
const FACT: usize = 24;

fn tell(run: &RunOutcome, files: &RunFiles) -> std::io::Result<()> {
    let epochs: f64 = run.outcome.history.iter().map(|epoch| epoch.share).sum();
    if epochs < 1.0 && run.outcome.ended == Ended::Time {
        let share = 100.0 * epochs;
        output::warning(&format!(
            "the time was up after {share:.0} % of an epoch, so the network has hardly learnt: --resume with more --time goes on"
        ));
    }
    let ended = match run.outcome.ended {
        Ended::Finished => "all epochs are done",
        Ended::Early => "no better accuracy for a while",
        Ended::Time => "the time is up",
        Ended::Interrupted => "interrupted",
    };
    output::line(&format!("{} {ended}; best epoch {}", styled(GOOD, "done:"), run.outcome.best))?;
    let facts = if output::is_quiet() { &[][..] } else { &run.facts };
    for (name, value) in facts {
        let words: Vec<String> = value.split(' ').map(plain).collect();
        let room = output::width().map_or(usize::MAX, |columns| columns - FACT);
        for (i, line) in wrapped(&words, 1, room).iter().enumerate() {
            let name = format!("{:<20}", if i == 0 { name } else { "" });
            output::line(&format!("  {}  {line}", styled(STRONG, &name)))?;
        }
    }
    output::line(&plain(&format!("{}  report {}", files.model.display(), files.report().display())))?;
    if output::is_quiet() {
        return Ok(());
    }
    let model = shell_word(&files.model.display().to_string());
    output::line(&plain(&format!("use it: cygnet classify --model {model} photo.jpg")))
}
