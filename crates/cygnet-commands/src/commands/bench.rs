mod cold;

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context, bail};
use cygnet::bench::{BenchOptions, StepTiming, Timing, bench as time, bench_steps, random_weights};
use cygnet::graph::Graph;
use cygnet::runtime::{Level, PlanOptions};
use cygnet::weights::{Cache, FileWeights};
use cygnet::{Model, network};

use crate::args::{Bench, BenchWeights};
use crate::output::{self, count, end_of, shape};
use crate::progress::{self, Download};

pub(crate) fn bench(args: &Bench) -> anyhow::Result<bool> {
    if args.first_logits {
        return cold::first_logits(args);
    }
    let options = BenchOptions {
        plan: plan_options(args)?,
        threads: args.threads.0.map(NonZeroUsize::get),
        batch: args.batch.into(),
        duration: Duration::from_secs_f64(args.seconds),
    };
    let bar = progress::things(args.models.len() as u64, "timing", "networks");
    let (mut timings, mut colds) = (Vec::new(), Vec::new());
    for name in &args.models {
        if args.cold {
            let cold = cold::cold(args, name, options)?;
            if args.json {
                bar.suspend(|| output::json(&cold))?;
            }
            colds.push(cold);
        } else {
            let (id, graph, weights) = subject(args, name)?;
            if args.layers {
                let steps = bench_steps(&id, &graph, &weights, options)?;
                bar.suspend(|| {
                    if args.json { steps.iter().try_for_each(output::json) } else { print_steps(&id, &steps) }
                })?;
            } else {
                let timing = time(&id, &graph, &weights, options)?;
                if args.json {
                    bar.suspend(|| output::json(&timing))?;
                }
                timings.push(timing);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !args.json {
        print(&timings)?;
        cold::print(&colds)?;
    }
    Ok(true)
}

fn plan_options(args: &Bench) -> anyhow::Result<PlanOptions> {
    let chosen = Level::chosen().map_err(anyhow::Error::msg).context("CYGNET_ISA")?;
    Ok(PlanOptions {
        level: args.isa.map_or(chosen, |cap| cap.min(chosen)),
        strict: args.strict,
        features: false,
    })
}

/// What a name stands for: an id, a graph and weights.
fn subject(args: &Bench, name: &str) -> anyhow::Result<(String, Graph, FileWeights)> {
    let is_published = args.weights == Some(BenchWeights::Default);
    let (id, graph, weights) = match cygnet::zoo::find(name) {
        Some(network) if !is_published => (network.id.clone(), network.build()?, None),
        None if !std::path::Path::new(name).is_file() => {
            network(name)?;
            bail!("{name}: neither a network nor a file");
        }
        _ => {
            let model = Model::load_with(name, &Cache::from_env()?, &mut Download::default())?;
            (model.id, model.graph, Some(model.weights))
        }
    };
    let graph = resized(args, graph)?;
    let weights = weights.unwrap_or_else(|| random_weights(&graph));
    Ok((id, graph, weights))
}

fn resized(args: &Bench, graph: Graph) -> anyhow::Result<Graph> {
    Ok(match args.image {
        Some(side) => graph.resized(side.into(), side.into())?,
        None => graph,
    })
}

/// Three digits of a time.
fn ms(ms: f64) -> String {
    let decimals = if ms < 10.0 { 3 } else { 1 + usize::from(ms < 100.0) };
    format!("{ms:.decimals$}")
}

fn print(timings: &[Timing]) -> std::io::Result<()> {
    let Some(first) = timings.first() else { return Ok(()) };
    let headings =
        ["network", "threads", "ms", "min ms", "p95 ms", "images/s", "GMAC/s", "% peak", "arena", "weights"];
    let row = |t: &Timing| {
        vec![
            end_of(&t.model, 20),
            t.threads.to_string(),
            ms(t.median_ms),
            ms(t.min_ms),
            ms(t.p95_ms),
            format!("{:.1}", t.images_per_s),
            format!("{:.1}", t.gmacs_per_s),
            format!("{:.1}", t.percent_of_peak),
            format!("{}B", count(t.arena_bytes as u64)),
            format!("{}B", count(t.weight_bytes as u64)),
        ]
    };
    output::table(&headings, &[1, 2, 3, 4, 5, 6, 7, 8, 9], timings.iter().map(row).collect())?;
    let images =
        if first.batch == 1 { "one image a run".into() } else { format!("{} images a run", first.batch) };
    let peak = timings.iter().map(|timing| timing.peak_gflops).fold(0.0, f64::max);
    let text = format!("\nmedian ms, {images}; {}, whose peak is {peak:.0} GFLOP/s a thread", first.isa);
    output::line(&text)
}

/// Steps of the same kernel and size are one row.
fn print_steps(id: &str, steps: &[StepTiming]) -> std::io::Result<()> {
    let mut groups: Vec<Vec<&StepTiming>> = Vec::new();
    for step in steps {
        let same = |group: &&mut Vec<&StepTiming>| {
            let first = group[0];
            (&first.kernel, &first.output, first.macs, first.bytes)
                == (&step.kernel, &step.output, step.macs, step.bytes)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(step),
            None => groups.push(vec![step]),
        }
    }
    let widest =
        |of: fn(&StepTiming) -> String| steps.iter().map(|step| of(step).chars().count()).max().unwrap_or(0);
    let taken = 64 + widest(|step| step.kernel.clone()) + widest(|step| shape(&step.output));
    let room = output::COLUMNS.saturating_sub(taken).max(6);
    let row = |group: &Vec<&StepTiming>| {
        let first = group[0];
        let sum = |of: fn(&StepTiming) -> f64| group.iter().map(|step| of(step)).sum::<f64>();
        let mean = |of: fn(&StepTiming) -> f64| {
            let weighed = group.iter().map(|step| of(step) * step.ms).sum::<f64>();
            format!("{:.1}", weighed / sum(|step| step.ms))
        };
        let times = if group.len() > 1 { format!("x{}", group.len()) } else { String::new() };
        vec![
            first.kernel.clone(),
            shape(&first.output),
            end_of(&output::plain(&first.node), room),
            times,
            format!("{:.3}", sum(|step| step.ms)),
            format!("{:.1}", sum(|step| step.percent)),
            mean(|step| step.gflops),
            mean(|step| step.percent_of_peak),
            first.bound.into(),
            mean(|step| step.percent_of_bound),
        ]
    };
    let headings = ["kernel", "output", "node", "", "ms", "% time", "GFLOP/s", "% peak", "bound", "% bound"];
    output::table(&headings, &[1, 4, 5, 6, 7, 9], groups.iter().map(row).collect())?;
    let ms: f64 = steps.iter().map(|step| step.ms).sum();
    let macs: u64 = steps.iter().map(|step| step.macs).sum();
    let Some(first) = steps.first() else { return Ok(()) };
    output::line(&format!(
        "\n{id}: {} steps, {ms:.3} ms, {}MAC, {}\na thread's peak: {:.0} GFLOP/s; its second-level cache: {:.0} GB/s",
        steps.len(),
        count(macs),
        if first.threads == 1 { "one thread".into() } else { format!("{} threads", first.threads) },
        first.peak_gflops,
        first.l2_gbytes_per_s
    ))
}
