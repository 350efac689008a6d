//! How long training steps take.

use std::num::NonZeroUsize;
use std::time::Duration;

use cygnet::bench::{TrainBenchOptions, TrainTiming, bench_training};
use cygnet::runtime::cpu;

use super::{layers, ms, note_disturbed, plan_options, subject};
use crate::args::Bench;
use crate::commands::of_model;
use crate::output::{self, Column, count, plain, shape};
use crate::progress;

/// Images of a step, unless it is said how many.
const BATCH: u16 = 32;

pub(super) fn training(args: &Bench) -> anyhow::Result<bool> {
    let options = TrainBenchOptions {
        level: plan_options(args)?.level,
        threads: args.threads.0.or(NonZeroUsize::new(cpu::available_threads())).unwrap_or(NonZeroUsize::MIN),
        batch: args.batch.unwrap_or(BATCH).into(),
        duration: Duration::from_secs_f64(args.seconds),
    };
    let bar = progress::things(args.models.len() as u64, "timing", "networks");
    let mut timings = Vec::new();
    if args.csv {
        let fields: &[&str] = if args.layers { &layers::FIELDS } else { &FIELDS };
        output::csv(fields)?;
    }
    for name in &args.models {
        let (id, subject) = subject(args, name).map_err(of_model(name))?;
        let timed = bench_training(&id, &subject.graph, options);
        let (timing, steps) = timed.map_err(of_model(name))?;
        if timing.disturbed {
            bar.suspend(|| note_disturbed(&id, Some([timing.min_ms, timing.p95_ms])));
        }
        bar.suspend(|| match (args.layers, args.json, args.csv) {
            (true, ..) => layers::tell(args, &id, &steps),
            (_, true, _) => output::json(&timing),
            (.., true) => output::csv(fields(&timing)),
            _ => Ok(()),
        })?;
        timings.push(timing);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !(args.layers || args.json || args.csv) {
        print(&timings)?;
    }
    Ok(true)
}

const FIELDS: [&str; 17] = [
    "model",
    "version",
    "threads",
    "batch",
    "image",
    "isa",
    "runs",
    "step_ms",
    "min_ms",
    "p95_ms",
    "disturbed",
    "forward_ms",
    "backward_ms",
    "optimizer_ms",
    "images_per_s",
    "percent_of_peak",
    "peak_bytes",
];

fn fields(t: &TrainTiming) -> [String; 17] {
    [
        t.model.clone(),
        t.version.into(),
        t.threads.to_string(),
        t.batch.to_string(),
        shape(&t.image),
        t.isa.into(),
        t.runs.to_string(),
        t.step_ms.to_string(),
        t.min_ms.to_string(),
        t.p95_ms.to_string(),
        t.disturbed.to_string(),
        t.forward_ms.to_string(),
        t.backward_ms.to_string(),
        t.optimizer_ms.to_string(),
        t.images_per_s.to_string(),
        t.percent_of_peak.to_string(),
        t.peak_bytes.to_string(),
    ]
}

fn print(timings: &[TrainTiming]) -> std::io::Result<()> {
    let Some(first) = timings.first() else { return Ok(()) };
    let columns = [
        Column::path("network"),
        Column::number("image"),
        Column::number("step ms"),
        Column::number("forward"),
        Column::number("backward"),
        Column::number("SGD"),
        Column::number("images/s"),
        Column::number("% peak").spare(),
        Column::number("memory").spare(),
    ];
    let row = |t: &TrainTiming| {
        vec![
            plain(&t.model),
            shape(&t.image),
            ms(t.step_ms),
            ms(t.forward_ms),
            ms(t.backward_ms),
            ms(t.optimizer_ms),
            format!("{:.1}", t.images_per_s),
            format!("{:.1}", t.percent_of_peak),
            format!("{}B", count(t.peak_bytes)),
        ]
    };
    output::table(&columns, timings.iter().map(row).collect())?;
    let peak = timings.iter().map(|timing| timing.peak_gflops).fold(0.0, f64::max);
    let threads = if first.threads == 1 { "one thread".into() } else { format!("{} threads", first.threads) };
    output::line(&format!(
        "\nmedian ms of a step with {} images, {threads}; {}, whose peak is {peak:.0} GFLOP/s a thread",
        first.batch, first.isa
    ))
}
