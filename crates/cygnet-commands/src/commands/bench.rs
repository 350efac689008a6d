mod cold;
mod layers;
#[cfg(feature = "train")]
mod training;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cygnet::bench::{BenchOptions, Choice, Subject, Table, Timing, bench as time, bench_steps, fastest};
use cygnet::graph::Graph;
use cygnet::hub::{Cache, is_url};
use cygnet::latency::Work;
use cygnet::runtime::{Plan, PlanOptions};

use super::latency::predicted_ms;
use crate::args::{Bench, BenchPrecision, BenchWeights};
use crate::output::{self, Column, count, plain};
use crate::progress;

pub(crate) fn bench(args: &Bench) -> anyhow::Result<bool> {
    if args.first_logits {
        return cold::first_logits(args);
    }
    #[cfg(feature = "train")]
    if args.train {
        return training::training(args);
    }
    let options = BenchOptions {
        plan: plan_options(args)?,
        threads: args.threads.0.map(NonZeroUsize::get),
        batch: args.batch.unwrap_or(1).into(),
        duration: Duration::from_secs_f64(args.seconds),
    };
    let bar = progress::things(args.models.len() as u64, "timing", "networks");
    let (mut timings, mut colds) = (Vec::new(), Vec::new());
    if args.csv {
        let fields: &[&str] = match (args.layers, args.cold) {
            (true, _) => &layers::FIELDS,
            (_, true) => &cold::FIELDS,
            _ => &TIMING_FIELDS,
        };
        output::csv(fields)?;
    }
    let lines = args.json || args.csv;
    for name in &args.models {
        if args.cold {
            let cold = cold::cold(args, name, options)?;
            bar.suspend(|| cold.note_disturbed());
            if lines {
                bar.suspend(|| if args.json { output::json(&cold) } else { output::csv(cold.fields()) })?;
            }
            colds.push(cold);
        } else {
            let (id, subject) = subject(args, name).map_err(super::of_model(name))?;
            let plan =
                bar.suspend(|| planned(args, name, subject, options)).map_err(super::of_model(name))?;
            if args.layers {
                let steps = bench_steps(&id, &plan, options)?;
                if steps.first().is_some_and(|step| step.disturbed) {
                    bar.suspend(|| note_disturbed(&id, None));
                }
                bar.suspend(|| layers::tell(args, &id, &steps))?;
            } else {
                let mut timing = time(&id, &plan, options)?;
                if timing.batch == 1 {
                    let work = || Some(Work::of(plan.outline(), plan.graph().input_shape()));
                    timing.predicted_ms = bar.suspend(|| predicted_ms(plan.options(), timing.threads, work));
                }
                if timing.disturbed {
                    bar.suspend(|| note_disturbed(&id, Some([timing.min_ms, timing.p95_ms])));
                }
                if lines {
                    bar.suspend(|| {
                        if args.json { output::json(&timing) } else { output::csv(timing_fields(&timing)) }
                    })?;
                }
                timings.push(timing);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !lines {
        print(&timings)?;
        cold::print(&colds)?;
    }
    Ok(true)
}

fn plan_options(args: &Bench) -> anyhow::Result<PlanOptions> {
    let chosen = PlanOptions { strict: args.strict, ..super::level()?.into() };
    let Some(cap) = args.isa else { return Ok(chosen) };
    let (level, bytes) = cap.chosen().map_err(anyhow::Error::msg)?;
    Ok(PlanOptions { level, bytes, ..chosen })
}

/// What a name stands for, and what results call it.
fn subject(args: &Bench, name: &str) -> anyhow::Result<(String, Subject)> {
    let is_published = args.weights == Some(BenchWeights::Default);
    let (id, subject) = match cygnet::zoo::find(name) {
        Some(network) if !is_published => {
            (network.id.clone(), Subject::random(resized(args, network.build()?)?)?)
        }
        None if !is_url(name) && !std::path::Path::new(name).is_file() => return Err(super::unknown(name)),
        _ => {
            let model = super::load(name, args.graph_limits)?;
            let id = model.id.clone();
            let subject = Subject::from(model);
            (id, Subject { graph: resized(args, subject.graph)?, ..subject })
        }
    };
    super::note_small(name, &subject.graph);
    Ok((super::name_of(name, &id), subject))
}

/// The plan of the network in the numbers that were asked for, or its own.
fn planned(args: &Bench, name: &str, subject: Subject, options: BenchOptions) -> anyhow::Result<Arc<Plan>> {
    let subject = match args.precision {
        None => subject,
        Some(BenchPrecision::Fp32) => subject.in_floating_point(),
        Some(BenchPrecision::Int8) => in_whole_numbers(name, subject)?,
        Some(BenchPrecision::Auto) => return fastest_of_all(name, subject, options),
        Some(BenchPrecision::Bf16) => subject.in_bf16(),
    };
    if let Some(mixture) = subject.quantization.as_ref().and_then(|_| subject.layer_counts().mixture()) {
        output::note(&format!("{name}: {mixture}"));
    }
    Ok(subject.plan(options.plan)?)
}

/// The plan in f32, bf16 or whole numbers, whichever is the fastest on this machine.
fn fastest_of_all(name: &str, subject: Subject, options: BenchOptions) -> anyhow::Result<Arc<Plan>> {
    let whole = in_whole_numbers(name, subject.clone())?;
    let subjects = [subject.clone().in_floating_point(), subject.in_bf16(), whole];
    let plans = subjects.map(|subject| subject.plan(options.plan));
    let plans = plans.into_iter().collect::<Result<Vec<_>, _>>()?;
    let path = Table::path_in(Cache::from_env()?.folder());
    let warn = |what: String| output::warning(&format!("{}: {what}", path.display()));
    let mut table = Table::read(&path).unwrap_or_else(|error| {
        warn(format!("{error}; what is the fastest is measured again"));
        Table::default()
    });
    if table.damaged() > 0 {
        warn(format!("{} damaged lines are ignored", table.damaged()));
    }
    let Choice { index, disturbed } = fastest(&plans, &mut table, options)?;
    if let Some(noise) = disturbed {
        output::note(&format!("{name}: {}", compared_in_noise(noise, index)));
    }
    if let Err(error) = table.write(&path) {
        warn(format!("{error}; what was measured is not kept"));
    }
    Ok(Arc::clone(&plans[index]))
}

/// What is to be known of a comparison of f32 with others while the machine had other things to do.
fn compared_in_noise(noise: f64, index: usize) -> String {
    let taken = match index {
        0 => "fp32 is taken, as no other is faster by more",
        _ => "what is taken is faster than fp32 by more",
    };
    let percent = 100.0 * noise;
    format!(
        "times moved by {percent:.0} % while precisions were compared, so the machine had other work: {taken}, \
             and the next run measures again"
    )
}

#[cfg(feature = "train")]
fn in_whole_numbers(name: &str, subject: Subject) -> anyhow::Result<Subject> {
    if subject.quantization.is_none() {
        output::note(&format!("{name}: quantised by generated images, which tells its speed alone"));
    }
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    subject.in_whole_numbers(threads).map_err(|error| anyhow::anyhow!("{name}: {error}"))
}

/// Without what quantises, only what is quantised already computes with whole numbers.
#[cfg(not(feature = "train"))]
fn in_whole_numbers(name: &str, subject: Subject) -> anyhow::Result<Subject> {
    if subject.quantization.is_none() {
        anyhow::bail!(
            "{name}: this cygnet was built without training and cannot quantise; give a file of int8"
        );
    }
    Ok(subject)
}

fn resized(args: &Bench, graph: Graph) -> anyhow::Result<Graph> {
    Ok(match args.image {
        Some(side) => graph.resized(side, side)?,
        None => graph,
    })
}

/// Three digits of a time.
pub(super) fn ms(ms: f64) -> String {
    let decimals = if ms < 10.0 { 3 } else { 1 + usize::from(ms < 100.0) };
    format!("{ms:.decimals$}")
}

/// Tells that the machine had other work while `name` was timed, perhaps with the shortest and the longest usual time.
fn note_disturbed(name: &str, range: Option<[f64; 2]>) {
    let range = range.map_or_else(String::new, |range| {
        let [least, most] = range.map(ms);
        format!(", {least} to {most} ms a run")
    });
    output::note(&format!("{name}: the machine was busy{range}; measure again when nothing else runs"));
}

const TIMING_FIELDS: [&str; 18] = [
    "model",
    "version",
    "precision",
    "threads",
    "batch",
    "isa",
    "strict",
    "runs",
    "median_ms",
    "min_ms",
    "p95_ms",
    "images_per_s",
    "gmacs_per_s",
    "percent_of_peak",
    "arena_bytes",
    "weight_bytes",
    "disturbed",
    "predicted_ms",
];

fn timing_fields(t: &Timing) -> [String; 18] {
    [
        t.model.clone(),
        t.version.into(),
        t.precision.into(),
        t.threads.to_string(),
        t.batch.to_string(),
        t.isa.into(),
        t.strict.to_string(),
        t.runs.to_string(),
        t.median_ms.to_string(),
        t.min_ms.to_string(),
        t.p95_ms.to_string(),
        t.images_per_s.to_string(),
        t.gmacs_per_s.to_string(),
        t.percent_of_peak.to_string(),
        t.arena_bytes.to_string(),
        t.weight_bytes.to_string(),
        t.disturbed.to_string(),
        t.predicted_ms.map_or_else(String::new, |ms| ms.to_string()),
    ]
}

fn print(timings: &[Timing]) -> std::io::Result<()> {
    let Some(first) = timings.first() else { return Ok(()) };
    let has_table = timings.iter().any(|timing| timing.predicted_ms.is_some());
    let predicted = has_table.then(|| Column::number("predicted ms").spare());
    let columns =
        [Column::path("network"), Column::word("type"), Column::number("threads"), Column::number("ms")];
    let columns = columns.into_iter().chain(predicted).chain([
        Column::number("min ms").spare(),
        Column::number("p95 ms").spare(),
        Column::number("images/s"),
        Column::number("GMAC/s").spare(),
        Column::number("% peak").spare(),
        Column::number("arena").spare(),
        Column::number("weights").spare(),
    ]);
    let row = |t: &Timing| {
        let mut row = vec![plain(&t.model), t.precision.into(), t.threads.to_string(), ms(t.median_ms)];
        row.extend(has_table.then(|| t.predicted_ms.map_or_else(String::new, ms)));
        row.extend([
            ms(t.min_ms),
            ms(t.p95_ms),
            format!("{:.1}", t.images_per_s),
            format!("{:.1}", t.gmacs_per_s),
            format!("{:.1}", t.percent_of_peak),
            format!("{}B", count(t.arena_bytes as u64)),
            format!("{}B", count(t.weight_bytes as u64)),
        ]);
        row
    };
    output::table(&columns.collect::<Vec<_>>(), timings.iter().map(row).collect())?;
    let images =
        if first.batch == 1 { "one image a run".into() } else { format!("{} images a run", first.batch) };
    let peak = timings.iter().map(|timing| timing.peak_gflops).fold(0.0, f64::max);
    let runs = timings.iter().map(|timing| timing.runs);
    let what = if runs.max() == Some(1) { "ms of a single run" } else { "median ms" };
    let text = format!("\n{what}, {images}; {}, whose peak is {peak:.0} GFLOP/s a thread", first.isa);
    output::line(&text)
}
