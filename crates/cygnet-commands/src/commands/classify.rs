use std::io::{self, IsTerminal};
#[cfg(not(feature = "train"))]
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use cygnet::hub::{Cache, is_url, shown_url};
use cygnet::image::without_name;
#[cfg(feature = "train")]
use cygnet::image::{Collected, collect_readable};
use cygnet::{Answer, Classifier, Error};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::Classify;
use crate::output::{self, FAINT, STRONG, path_of, plain, start_of, styled};
use crate::progress;

pub(crate) fn classify(args: &Classify) -> anyhow::Result<bool> {
    let classifier = super::classifier(&args.model, args.graph_limits)?.within(args.picture_limits.limits());
    super::note_threads(&classifier, args.threads);
    let start = Instant::now();
    let mut report = Report::new(args, &classifier);
    let mut photos = Vec::new();
    if args.csv {
        output::csv(["path", "rank", "index", "label", "probability", "error"])?;
    }
    for path in &args.paths {
        if path.as_os_str() == "-" {
            report.files(&mut photos)?;
            let answer = classifier.classify_from(io::stdin().lock(), args.top.into());
            report.answer("-", &answer)?;
            continue;
        }
        if let Some(url) = path.to_str().filter(|path| is_url(path)) {
            report.files(&mut photos)?;
            let answer = classifier.classify_url(url, args.top.into(), &Cache::from_env()?);
            report.answer(&shown_url(url), &answer)?;
            continue;
        }
        match collect_readable(path, args.picture_limits.limits()) {
            Ok(Collected { images, unreadable }) => {
                photos.extend(images);
                if !unreadable.is_empty() {
                    report.files(&mut photos)?;
                }
                for problem in unreadable {
                    report.unreadable(&problem)?;
                }
            }
            Err(problem) => {
                report.files(&mut photos)?;
                report.failure(&path.to_string_lossy(), &problem)?;
            }
        }
    }
    report.files(&mut photos)?;
    report.bar.finish_and_clear();
    if report.images > 1 {
        output::rate(report.images, start.elapsed());
    }
    Ok(report.good)
}

/// Without the reader of folders and patterns a path names a file.
#[cfg(not(feature = "train"))]
struct Collected {
    images: Vec<PathBuf>,
    unreadable: Vec<Error>,
}

#[cfg(not(feature = "train"))]
fn collect_readable(path: &Path, _: cygnet::image::DecodeLimits) -> Result<Collected, Error> {
    Ok(Collected { images: vec![path.to_owned()], unreadable: Vec::new() })
}

/// Prints answers as they come.
struct Report<'a> {
    args: &'a Classify,
    classifier: &'a Classifier,
    /// What results call the model.
    model: String,
    bar: ProgressBar,
    images: usize,
    good: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    model: &'a str,
    #[serde(flatten)]
    answer: &'a Answer,
}

#[derive(Serialize)]
struct Failure<'a> {
    path: &'a str,
    error: &'a str,
}

impl<'a> Report<'a> {
    fn new(args: &'a Classify, classifier: &'a Classifier) -> Self {
        let answers_show = io::stdout().is_terminal();
        let bar =
            if answers_show { ProgressBar::hidden() } else { progress::things(0, "classifying", "images") };
        let model = super::name_of(&args.model, &classifier.model().id);
        Report { args, classifier, model, bar, images: 0, good: true }
    }

    /// Classifies the photos and forgets them.
    fn files(&mut self, photos: &mut Vec<PathBuf>) -> io::Result<()> {
        let Classify { top, threads, .. } = *self.args;
        self.bar.inc_length(photos.len() as u64);
        self.classifier.classify_files(photos, top.into(), threads, |photo, answer| {
            self.answer(&photo.to_string_lossy(), &answer)?;
            self.bar.inc(1);
            Ok::<_, io::Error>(())
        })?;
        photos.clear();
        Ok(())
    }

    /// Prints what a photo shows; a photo that cannot be read is reported and does not end the rest.
    fn answer(&mut self, path: &str, answer: &Result<Answer, Error>) -> io::Result<()> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(problem) => return self.failure(path, problem),
        };
        self.images += 1;
        if self.images == 1 && !self.args.json && !self.args.csv {
            self.bar.suspend(|| self.tell_model());
        }
        if self.args.json {
            return output::json(&Line { path, model: &self.model, answer });
        }
        if self.args.csv {
            return answer.top.iter().enumerate().try_for_each(|(i, guess)| {
                let [rank, index, probability] =
                    [(i + 1).to_string(), guess.index.to_string(), guess.probability.to_string()];
                output::csv([path, &rank, &index, &guess.label, &probability, ""])
            });
        }
        print(path, answer)
    }

    /// Tells who answers, before the first answer.
    fn tell_model(&self) {
        let model = self.classifier.model();
        let (name, classes) =
            (super::described(&self.args.model, &model.id), output::classes(model.graph.classes()));
        output::talk(&styled(FAINT, &plain(&format!("by {name}, {classes}"))));
    }

    /// Tells what is wrong with a folder below one that was named.
    fn unreadable(&mut self, problem: &(impl std::error::Error + 'static)) -> io::Result<()> {
        let told = output::chain(problem);
        match told.split_once(": ") {
            Some((path, _)) => self.failure(path, problem),
            None => self.failure(&told, problem),
        }
    }

    /// Tells what is wrong with a photo, for scripts also as a line.
    fn failure(&mut self, path: &str, problem: &(impl std::error::Error + 'static)) -> io::Result<()> {
        self.good = false;
        let text = output::chain(problem);
        let error = without_name(&text, path);
        let place = if path == "-" { "standard input" } else { path };
        let is_sentence = path == "-" && error.starts_with("is ");
        let told = if is_sentence { format!("{place} {error}") } else { format!("{place}: {error}") };
        self.bar.suspend(|| output::error(&told));
        if self.args.json {
            return output::json(&Failure { path, error });
        }
        if self.args.csv {
            return output::csv([path, "", "", "", "", error]);
        }
        Ok(())
    }
}

/// Columns before the label of a guess.
const BEFORE_LABEL: usize = 37;

fn print(path: &str, answer: &Answer) -> io::Result<()> {
    let ms = &answer.ms;
    let times = format!("decode {:.1} ms, prepare {:.1} ms, infer {:.1} ms", ms.decode, ms.prepare, ms.infer);
    let mut name = plain(path);
    let mut room = usize::MAX;
    if let Some(columns) = output::width() {
        name = path_of(&name, columns.saturating_sub(times.len() + 2));
        room = columns.saturating_sub(BEFORE_LABEL);
    }
    output::line(&format!("{}  {}", styled(STRONG, &name), styled(FAINT, &times)))?;
    for guess in &answer.top {
        let percent = 100.0 * guess.probability;
        let label = start_of(&plain(&guess.label), room);
        output::line(&format!("  {percent:5.1} %  {}  {label}", output::bar(guess.probability, 24)))?;
    }
    Ok(())
}
