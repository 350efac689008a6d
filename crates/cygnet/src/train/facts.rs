//! What a report says first.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cygnet_runtime::Level;
use cygnet_train::{Fact, Metrics, Outcome, RoundingLoss};
use cygnet_weights::TrainingRecord;

use crate::bench::{BenchOptions, Timing, bench};
use crate::calendar::date;
use crate::model::plan_of;
use crate::quantize::bytes;
use crate::{Error, Model};

/// What a report says first: the network, its size, its latency on this machine, its accuracy.
///
/// # Errors
/// If the network cannot be timed.
pub fn facts(outcome: &Outcome, pictures: &[usize; 3]) -> Result<Vec<Fact>, Error> {
    let Outcome { model, verdicts, test_verdicts, record, history, .. } = outcome;
    let level = Level::chosen().map_err(|error| Error::NoStart { reason: error.to_string() })?;
    let cost = model.graph.cost();
    let options =
        BenchOptions { plan: level.into(), threads: Some(1), batch: 1, duration: Duration::from_millis(400) };
    let made = Model::from(outcome.clone());
    let plan = plan_of(&made.graph, &made.weights, made.quantization.as_ref(), options.plan)?;
    let timing = bench(&model.id, &plan, options)?;
    let [_, height, width] = model.graph.input_shape();
    let [train, validation, test] = pictures;
    let mut facts = vec![
        ("network", model.id.clone()),
        ("image", format!("{height} x {width}")),
        ("classes", record.labels.len().to_string()),
        ("params", format!("{:.2} M", cost.params as f64 / 1e6)),
        ("MACs", format!("{:.1} M", cost.macs as f64 / 1e6)),
        ("model file", format!("{:.1} MB", bytes(&made) as f64 / 1e6)),
        ("latency", latency(&timing)),
        ("pictures", format!("{train} to learn from, {validation} for validation, {test} for the test")),
    ];
    if made.quantization.is_some() {
        let layers = made.layer_counts();
        facts.push(("precision", format!("int8, {} of {} layers", layers.int8, layers.all())));
    }
    if let Some(RoundingLoss { top1_before, lost, agreement }) = outcome.rounding {
        let held = format!("top-1 was {top1_before:.2} %, {lost:.2} points are lost; {agreement:.2} % agree");
        facts.push(("before rounding", held));
    }
    let classes = record.labels.len();
    for (name, verdicts) in [("validation accuracy", verdicts), ("test accuracy", test_verdicts)] {
        if !verdicts.is_empty() {
            facts.push((name, Metrics::of(verdicts, classes).accuracy()));
        }
    }
    let seconds: f64 = history.iter().map(|epoch| epoch.seconds).sum();
    let best = outcome.best;
    let epochs: f64 = history.iter().map(|epoch| epoch.share).sum();
    let epochs = if epochs == 1.0 { "1 epoch".into() } else { format!("{} epochs", hundredths(epochs)) };
    let places = usize::from(seconds < 10.0);
    facts.push(("training", format!("{epochs}, best {best}, {seconds:.places$} s of steps")));
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A number to two places, without zeros at the end.
fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The median with what it is to be held against: the machine's measured peak, and whether it was quiet.
fn latency(timing: &Timing) -> String {
    let Timing { median_ms, min_ms, p95_ms, disturbed, percent_of_peak, isa, .. } = timing;
    let figures =
        format!("{median_ms:.2} ms (median, one thread, {isa}, {percent_of_peak:.0} % of the thread's peak)");
    if *disturbed {
        format!("{figures}; the machine was busy: {min_ms:.2} to {p95_ms:.2} ms")
    } else {
        figures
    }
}

/// How and when a model was made, as far as it is known.
pub(super) fn made(command: Option<&str>, data: &Path, training: Option<&TrainingRecord>) -> Vec<Fact> {
    let mut made = vec![
        ("date".to_owned(), today()),
        ("version".to_owned(), concat!("cygnet ", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    made.extend(command.map(|command| ("command".to_owned(), command.to_owned())));
    let whole = std::fs::canonicalize(data).unwrap_or_else(|_| data.into());
    made.push(("data".to_owned(), whole.display().to_string()));
    if let Some(training) = training {
        made.push(("trained from".to_owned(), training.from.to_string()));
    }
    made
}

/// Now, in the world's time.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let [year, month, day] = date(seconds / 86_400);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600 % 24, seconds / 60 % 60)
}
