//! What no run writes into its state: the entries of a damaged file.

use std::ops::RangeInclusive;

use cygnet_graph::{Graph, Limits, Op, Role};
use cygnet_image::{ImageError, Preprocess};
use cygnet_weights::{Dtype, MODEL_FORMAT, ModelRecord, SCALES, Tensors};

use super::{AVERAGE, Progress, SCALES_OF, State, WEIGHTS};
use crate::callback::{Ended, EpochReport};

/// More seconds than any run takes.
const MOST_SECONDS: f64 = 1e9;

/// What a mean of losses, a rate or a speed is at most: they come of floats.
const LARGEST: f64 = f32::MAX as f64;

/// Numbers that are none below 0.
const POSITIVE: RangeInclusive<f64> = 0.0..=LARGEST;

fn within(entry: &str, value: f64, range: RangeInclusive<f64>) -> Result<(), String> {
    /// From here on, and up to its inverse, digits are not written out.
    const MANY: f64 = 1e9;
    if range.contains(&value) {
        return Ok(());
    }
    let told = |number: f64| match number.abs() {
        size if size > MANY || (size > 0.0 && size < 1.0 / MANY) => format!("{number:.1e}"),
        _ => number.to_string(),
    };
    let (low, high) = range.into_inner();
    let wanted = match low {
        _ if value < low => format!("at least {}", told(low)),
        _ => format!("from {} to {}", told(low), told(high)),
    };
    Err(format!("{entry} is {}, not {wanted}", told(value)))
}

impl State {
    /// Names the first entry that no run writes, and what is wrong with it.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), String> {
        let graph = self.progress.check(limits)?;
        check_tensors(&self.tensors, &graph)
    }
}

impl Progress {
    /// The graph, if nothing contradicts itself.
    fn check(&self, limits: &Limits) -> Result<Graph, String> {
        let Progress { recipe, epoch, step, steps, seconds, sums, history, best, ended, .. } = self;
        recipe.check().map_err(|reason| format!("recipe.{reason}"))?;
        let graph = check_record(&self.record, limits)?;
        let epochs = u64::from(recipe.epochs);
        if *epoch > epochs || (*epoch == epochs && *step > 0) {
            return Err(format!(
                "epoch is {epoch} and step {step}, more than the {epochs} epochs of its recipe"
            ));
        }
        if history.len() as u64 != *epoch {
            return Err(format!("history has {} epochs, epoch is {epoch}", history.len()));
        }
        history.iter().enumerate().try_for_each(|(index, report)| check_report(index, report))?;
        let told = history.iter().rposition(|report| report.best).map(|index| index as u64 + 1);
        let name = |epoch: Option<u64>| epoch.map_or_else(|| "none".into(), |epoch| epoch.to_string());
        if *best != told || best.is_none() != history.is_empty() {
            return Err(format!("best is {}, by history it is {}", name(*best), name(told)));
        }
        if *step as u64 > *steps {
            return Err(format!("steps is {steps}, less than the {step} of one epoch"));
        }
        within("seconds", *seconds, 0.0..=MOST_SECONDS)?;
        within("sums.loss", sums.loss, 0.0..=LARGEST * sums.images.max(1) as f64)?;
        within("sums.seconds", sums.seconds, 0.0..=MOST_SECONDS)?;
        if sums.right > sums.images {
            return Err(format!("sums.right is {}, of {} images", sums.right, sums.images));
        }
        match ended {
            Some(Ended::Finished) if *epoch < epochs => {
                Err(format!("ended is finished, after {epoch} of {epochs} epochs"))
            }
            Some(Ended::Interrupted) => Err("ended is interrupted, and such a run has not ended".into()),
            Some(_) if *step > 0 => Err(format!("ended is told in the midst of an epoch, after step {step}")),
            Some(Ended::Finished | Ended::Early | Ended::Time) | None => Ok(graph),
        }
    }

    /// Whether it is of a run with so many pictures a step, and steps an epoch: names the first entry that is not.
    pub(crate) fn check_steps(&self, batch: usize, of_epoch: usize) -> Result<(), String> {
        let Progress { step, steps, sums, history, .. } = self;
        if *step > of_epoch {
            return Err(format!("step is {step}, but an epoch has {of_epoch} steps"));
        }
        let before: u64 = history.iter().map(|report| (report.share * of_epoch as f64).round() as u64).sum();
        let told = before + *step as u64;
        if *steps != told {
            return Err(format!("steps is {steps}, but its epochs have {told}"));
        }
        let images = *step as u64 * batch as u64;
        if sums.images != images {
            return Err(format!("sums.images is {}, but its steps have {images}", sums.images));
        }
        Ok(())
    }
}

/// The graph of a record whose parts belong together.
fn check_record(record: &ModelRecord, limits: &Limits) -> Result<Graph, String> {
    within("record.format", record.format.into(), 1.0..=MODEL_FORMAT.into())?;
    let graph = Graph::from_json_within(&record.graph, limits);
    let graph = graph.map_err(|error| format!("record.graph: {error}"))?;
    let preprocess: Preprocess = serde_json::from_value(record.preprocess.clone())
        .map_err(|error| format!("record.preprocess: {error}"))?;
    if let Err(error) = preprocess.check() {
        return Err(if let ImageError::Record { field, reason } = error {
            format!("record.preprocess.{field}: {reason}")
        } else {
            format!("record.preprocess: {error}")
        });
    }
    preprocess.makes(graph.input_shape()).map_err(|reason| format!("record.preprocess: {reason}"))?;
    if record.labels.len() != graph.classes() {
        let (labels, classes) = (record.labels.len(), graph.classes());
        return Err(format!("record.labels has {labels} names, the graph {classes} classes"));
    }
    Ok(graph)
}

fn check_report(index: usize, report: &EpochReport) -> Result<(), String> {
    let EpochReport { epoch, share, loss, accuracy, rate, seconds, images_per_s, .. } = report;
    let entry = |name: &str| format!("history[{index}].{name}");
    if *epoch != index as u64 + 1 {
        return Err(format!("{} is {epoch}, not {}", entry("epoch"), index + 1));
    }
    within(&entry("share"), *share, f64::MIN_POSITIVE..=1.0)?;
    within(&entry("loss"), *loss, POSITIVE)?;
    within(&entry("accuracy"), *accuracy, 0.0..=100.0)?;
    within(&entry("rate"), *rate, POSITIVE)?;
    for (name, percent) in
        [("validation_top1", report.validation_top1), ("validation_top5", report.validation_top5)]
    {
        percent.map_or(Ok(()), |percent| within(&entry(name), percent, 0.0..=100.0))?;
    }
    if let (Some(top1), Some(top5)) = (report.validation_top1, report.validation_top5) {
        within(&entry("validation_top1"), top1, 0.0..=top5)?;
    }
    let judged = [report.validation_loss, report.validation_top1, report.validation_top5];
    if judged.iter().any(Option::is_some) && judged.iter().any(Option::is_none) {
        return Err(format!("{} has a part of what validation tells", entry("validation")));
    }
    // A probability that is rounded up to more than 1 makes a little less than 0.
    let from_zero = -1e-3..=LARGEST;
    report.validation_loss.map_or(Ok(()), |loss| within(&entry("validation_loss"), loss, from_zero))?;
    within(&entry("seconds"), *seconds, 0.0..=MOST_SECONDS)?;
    within(&entry("images_per_s"), *images_per_s, POSITIVE)
}

/// Whether all numbers are such as training makes.
fn check_tensors(tensors: &Tensors, graph: &Graph) -> Result<(), String> {
    for (name, tensor) in tensors {
        if tensor.dtype() != Dtype::F32 {
            return Err(format!("{name} is {}, not F32", tensor.dtype()));
        }
        if let Some(number) = tensor.to_f32().iter().find(|number| !number.is_finite()) {
            return Err(format!("{name} has the number {number}, as after a run that diverged"));
        }
        let is_scale = [WEIGHTS, AVERAGE].iter().any(|group| {
            let name = name.strip_prefix(group).and_then(|name| name.strip_prefix('/'));
            name.is_some_and(|name| name.starts_with(SCALES_OF))
        });
        if let Some(number) = tensor.to_f32().iter().find(|number| is_scale && !SCALES.contains(number)) {
            return Err(format!("{name} has the number {number}, which is no scale"));
        }
        let is_square = name.starts_with("mean_square/");
        if let Some(number) = tensor.to_f32().iter().find(|number| is_square && **number < 0.0) {
            return Err(format!("{name} has the number {number}, which is no mean of squares"));
        }
    }
    for param in graph.params().iter().filter(|param| param.role == Role::NormVar) {
        let Op::BatchNorm(norm) = &graph.node(param.node).op else { continue };
        for name in [WEIGHTS, AVERAGE].map(|group| format!("{group}/{}", param.name)) {
            let numbers = tensors.get(&name).map(|tensor| tensor.to_f32()).unwrap_or_default();
            if let Some(number) = numbers.iter().find(|number| f64::from(**number) + norm.eps <= 0.0) {
                return Err(format!("{name} has the number {number}, which is no variance"));
            }
        }
    }
    Ok(())
}
