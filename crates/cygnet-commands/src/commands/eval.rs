use std::time::Instant;

use anyhow::Context;
use cygnet::weights::top5_tells;
use cygnet::{Error, Evaluation};
use serde::Serialize;

use crate::args::Eval;
use crate::output::{self, Column, Hinted, STRONG, plain, start_of, styled};
use crate::progress;

pub(crate) fn eval(args: &Eval) -> anyhow::Result<bool> {
    std::fs::metadata(&args.folder).with_context(|| args.folder.display().to_string())?;
    let classifier = super::classifier(&args.model, args.graph_limits)?.within(args.data_limits.limits());
    super::note_threads(&classifier, args.threads);
    let bar = progress::things(0, "evaluating", "images");
    let start = Instant::now();
    let result = cygnet::evaluate(&classifier, &args.folder, args.threads, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let elapsed = start.elapsed();
    let name = super::name_of(&args.model, &classifier.model().id);
    let result = result.map_err(|error| other_classes(error, &name, args))?;
    for note in &result.notes {
        output::note(note);
    }
    for (path, problem) in &result.unreadable {
        output::error(&format!("{}: {problem}", path.display()));
    }
    if args.json {
        output::json(&Line { model: &name, result: &result })?;
    } else if args.csv {
        csv(&result)?;
    } else {
        let top = |name: &str, percent: f64| format!("{} {percent:.2} %", styled(STRONG, name));
        let images = if result.images == 1 { "1 image".into() } else { format!("{} images", result.images) };
        let mut figures = vec![images, top("top-1", result.top1)];
        if top5_tells(result.labels.len()) {
            figures.push(top("top-5", result.top5));
        }
        figures.push(top("calibration error", result.calibration_error));
        output::line(&figures.join("  "))?;
        confusion(&result)?;
    }
    if result.is_like_guessing() {
        output::hint(&format!(
            "that is no better than guessing: perhaps photos are prepared otherwise than for its training, as `cygnet show \
             {name}` tells, or the labels are in another order; `cygnet convert` makes a model with other ones by --network \
             ID.TAG and --labels FILE"
        ));
    }
    output::rate(result.images, elapsed);
    Ok(result.unreadable.is_empty())
}

/// What to do about folders that are no classes of the model, or the error as it is.
fn other_classes(error: Error, model: &str, args: &Eval) -> anyhow::Error {
    let Error::UnknownClass { .. } = error else { return error.into() };
    let hint = format!(
        "perhaps these are photos for another model than {model}; `cygnet train {}` makes one of the classes in the folder",
        args.folder.display()
    );
    Hinted { problem: error.to_string(), hint }.into()
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    #[serde(flatten)]
    result: &'a Evaluation,
}

/// A line a class, then one for all.
fn csv(result: &Evaluation) -> std::io::Result<()> {
    output::csv(["class", "images", "precision", "recall", "top1", "top5", "loss", "calibration_error"])?;
    for (label, class) in result.labels.iter().zip(&result.classes) {
        let [precision, recall] = [class.precision, class.recall]
            .map(|share| share.map_or_else(String::new, |share| share.to_string()));
        output::csv([label, &class.images.to_string(), &precision, &recall, "", "", "", ""])?;
    }
    let images = result.images.to_string();
    let [top1, top5, loss, calibration] =
        [result.top1, result.top5, result.loss, result.calibration_error].map(|figure| figure.to_string());
    output::csv(["", &images, "", "", &top1, &top5, &loss, &calibration])
}

/// The most classes whose matrix is shown.
const MATRIX: usize = 12;

/// The most kinds of mistakes that are listed.
const PAIRS: usize = 10;

/// Columns of the name of a row of the matrix.
const ROW: usize = 16;

/// The confusion matrix of few classes; of many the most frequent mistakes.
fn confusion(result: &Evaluation) -> std::io::Result<()> {
    let seen = |class: &usize| {
        result.confusion[*class].iter().any(|&count| count > 0)
            || result.confusion.iter().any(|row| row[*class] > 0)
    };
    let classes: Vec<usize> = (0..result.confusion.len()).filter(seen).collect();
    let label = |class: usize| plain(&result.labels[class]);
    let most = classes.iter().flat_map(|class| &result.confusion[*class]).max().copied().unwrap_or(0);
    let digits = most.to_string().len();
    let room = output::columns().saturating_sub(ROW) / classes.len().max(1);
    if !classes.is_empty() && classes.len() <= MATRIX && room >= digits.max(3) + 2 {
        let columns: Vec<String> =
            classes.iter().map(|class| start_of(&label(*class), (room - 2).min(6))).collect();
        let mut headings = vec![Column::text("right \\ guess")];
        headings.extend(columns.iter().map(|column| Column::number(column)));
        let cell = |count: u32| if count == 0 { "·".to_owned() } else { count.to_string() };
        let row = |class: &usize| {
            let cells = classes.iter().map(|guess| cell(result.confusion[*class][*guess]));
            [start_of(&label(*class), ROW)].into_iter().chain(cells).collect()
        };
        return output::table(&headings, classes.iter().map(row).collect());
    }
    if result.confused.is_empty() {
        return Ok(());
    }
    let row = |pair: &cygnet::Confused| vec![plain(&pair.class), plain(&pair.guess), pair.count.to_string()];
    let headings = [Column::text("right"), Column::text("guess"), Column::number("photos")];
    let confused = &result.confused[..result.confused.len().min(PAIRS)];
    output::table(&headings, confused.iter().map(row).collect())?;
    let shown: u32 = confused.iter().map(|pair| pair.count).sum();
    let right = |(class, row): (usize, &Vec<u32>)| row.get(class).copied().unwrap_or(0);
    let all: u32 = result.confusion.iter().flatten().sum();
    let wrong = all - result.confusion.iter().enumerate().map(right).sum::<u32>();
    match wrong - shown {
        0 => Ok(()),
        more => output::line(&format!("and {more} more that are wrong")),
    }
}
