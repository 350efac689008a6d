use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Instant;

use cygnet::image::collect_images;
use cygnet::{Answer, Classifier};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::Classify;
use crate::output::{self, FAINT, STRONG, styled};
use crate::progress;

pub(crate) fn classify(args: &Classify) -> anyhow::Result<bool> {
    let classifier = super::classifier(&args.model, args.max_pixels)?;
    let start = Instant::now();
    let mut report = Report::new(args, &classifier);
    let mut photos = Vec::new();
    for path in &args.paths {
        if path.as_os_str() == "-" {
            report.files(&mut photos)?;
            let answer = classifier.classify_from(io::stdin().lock(), args.top.into());
            report.answer("-", answer.map_err(|problem| format!("standard input: {problem}")))?;
            continue;
        }
        match collect_images([path]) {
            Ok(found) => photos.extend(found),
            Err(problem) => {
                report.files(&mut photos)?;
                report.complain(&problem.to_string());
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

/// Prints answers as they come.
struct Report<'a> {
    args: &'a Classify,
    classifier: &'a Classifier,
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

impl<'a> Report<'a> {
    fn new(args: &'a Classify, classifier: &'a Classifier) -> Self {
        let answers_show = io::stdout().is_terminal();
        let bar =
            if answers_show { ProgressBar::hidden() } else { progress::things(0, "classifying", "images") };
        Report { args, classifier, bar, images: 0, good: true }
    }

    /// Classifies the photos and forgets them.
    fn files(&mut self, photos: &mut Vec<PathBuf>) -> io::Result<()> {
        let Classify { top, threads, .. } = *self.args;
        self.bar.inc_length(photos.len() as u64);
        self.classifier.classify_files(photos, top.into(), threads, |photo, answer| {
            self.answer(&photo.to_string_lossy(), answer.map_err(|problem| problem.to_string()))?;
            self.bar.inc(1);
            Ok::<_, io::Error>(())
        })?;
        photos.clear();
        Ok(())
    }

    /// Prints what a photo shows; a photo that cannot be read is reported and does not end the rest.
    fn answer(&mut self, path: &str, answer: Result<Answer, String>) -> io::Result<()> {
        match answer {
            Ok(answer) => {
                self.images += 1;
                if self.args.json {
                    output::json(&Line { path, model: &self.classifier.model().id, answer: &answer })
                } else {
                    print(path, &answer)
                }
            }
            Err(problem) => {
                self.complain(&problem);
                Ok(())
            }
        }
    }

    fn complain(&mut self, problem: &str) {
        self.good = false;
        self.bar.suspend(|| anstream::eprintln!("{} {problem}", styled(output::BAD, "error:")));
    }
}

fn print(path: &str, answer: &Answer) -> io::Result<()> {
    let ms = &answer.ms;
    let times = format!("decode {:.1} ms, prepare {:.1} ms, infer {:.1} ms", ms.decode, ms.prepare, ms.infer);
    output::line(&format!("{}  {}", styled(STRONG, &output::plain(path)), styled(FAINT, &times)))?;
    for guess in &answer.top {
        let percent = 100.0 * guess.probability;
        let label: String = output::plain(&guess.label).chars().take(60).collect();
        output::line(&format!("  {percent:5.1} %  {}  {label}", output::bar(guess.probability, 24)))?;
    }
    Ok(())
}
