use std::time::Instant;

use cygnet::Evaluation;
use cygnet::train::top5_tells;

use crate::args::Eval;
use crate::output::{self, STRONG, styled};
use crate::progress;

pub(crate) fn eval(args: &Eval) -> anyhow::Result<bool> {
    let classifier = super::classifier(&args.model, args.max_pixels)?;
    let bar = progress::things(0, "evaluating", "images");
    let start = Instant::now();
    let result = cygnet::evaluate(&classifier, &args.folder, args.threads, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let elapsed = start.elapsed();
    let result = result?;
    for note in &result.notes {
        anstream::eprintln!("{} {}", styled(STRONG, "note:"), output::plain(note));
    }
    for (path, problem) in &result.unreadable {
        anstream::eprintln!(
            "{} {}: {problem}",
            styled(output::BAD, "error:"),
            output::plain(&path.to_string_lossy())
        );
    }
    if args.json {
        output::json(&result)?;
    } else {
        let top = |name: &str, percent: f64| format!("{} {percent:.2} %", styled(STRONG, name));
        let mut figures = vec![format!("{} images", result.images), top("top-1", result.top1)];
        if top5_tells(result.labels.len()) {
            figures.push(top("top-5", result.top5));
        }
        figures.push(top("calibration error", result.calibration_error));
        output::line(&figures.join("  "))?;
        confusion(&result)?;
    }
    output::rate(result.images, elapsed);
    Ok(result.unreadable.is_empty())
}

/// The most classes whose matrix fits the width.
const MATRIX: usize = 12;

/// The confusion matrix of few classes; of many the most frequent mistakes.
fn confusion(result: &Evaluation) -> std::io::Result<()> {
    let seen = |class: &usize| {
        result.confusion[*class].iter().any(|&count| count > 0)
            || result.confusion.iter().any(|row| row[*class] > 0)
    };
    let classes: Vec<usize> = (0..result.confusion.len()).filter(seen).collect();
    if !classes.is_empty() && classes.len() <= MATRIX {
        let begin = |class: usize, length| {
            output::plain(&result.labels[class].chars().take(length).collect::<String>())
        };
        let mut headings = vec!["right \\ guess".to_owned()];
        headings.extend(classes.iter().map(|class| begin(*class, 6)));
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        let cell = |count: u32| if count == 0 { "·".to_owned() } else { count.to_string() };
        let row = |class: &usize| {
            let cells = classes.iter().map(|guess| cell(result.confusion[*class][*guess]));
            [begin(*class, 16)].into_iter().chain(cells).collect()
        };
        let right: Vec<usize> = (1..=classes.len()).collect();
        return output::table(&headings, &right, classes.iter().map(row).collect());
    }
    if result.confused.is_empty() {
        return Ok(());
    }
    let row = |pair: &cygnet::Confused| {
        vec![output::plain(&pair.class), output::plain(&pair.guess), pair.count.to_string()]
    };
    output::table(&["right", "guess", "photos"], &[2], result.confused.iter().map(row).collect())
}
