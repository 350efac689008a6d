use std::time::Duration;

use cygnet::bench::{Timing, bench as time, random_weights};
use cygnet::runtime::Level;
use cygnet::weights::Cache;
use cygnet::{Model, network};

use crate::args::{Bench, BenchWeights};
use crate::output;
use crate::progress::{self, Download};

pub(crate) fn bench(args: &Bench) -> anyhow::Result<bool> {
    let chosen = Level::chosen().map_err(anyhow::Error::msg)?;
    let level = args.isa.map_or(chosen, |cap| cap.min(chosen));
    let bar = progress::things(args.models.len() as u64, "timing", "networks");
    let mut timings = Vec::new();
    for id in &args.models {
        let network = network(id)?;
        let (graph, weights) = match args.weights {
            BenchWeights::Random => {
                let side = network.side();
                let graph = network.build()?.resized(side, side)?;
                let weights = random_weights(&graph);
                (graph, weights)
            }
            BenchWeights::Default => {
                let model = Model::pretrained(id, None, &Cache::from_env()?, &mut Download::default())?;
                (model.graph, model.weights)
            }
        };
        let graph = match args.image {
            Some(side) => graph.resized(side.into(), side.into())?,
            None => graph,
        };
        let duration = Duration::from_secs_f64(args.seconds);
        let timing = time(&network.id, &graph, &weights, level, args.batch.into(), duration)?;
        bar.inc(1);
        if args.json {
            bar.suspend(|| output::json(&timing))?;
        }
        timings.push(timing);
    }
    bar.finish_and_clear();
    if !args.json {
        print(&timings)?;
    }
    Ok(true)
}

fn print(timings: &[Timing]) -> std::io::Result<()> {
    let headings =
        ["network", "isa", "median ms", "min ms", "p95 ms", "images/s", "GMAC/s", "% peak", "arena MB"];
    let row = |t: &Timing| {
        vec![
            t.model.clone(),
            t.isa.into(),
            format!("{:.3}", t.median_ms),
            format!("{:.3}", t.min_ms),
            format!("{:.3}", t.p95_ms),
            format!("{:.1}", t.images_per_s),
            format!("{:.1}", t.gmacs_per_s),
            format!("{:.1}", t.percent_of_peak),
            format!("{:.1}", t.arena_bytes as f64 / 1e6),
        ]
    };
    output::table(&headings, &[2, 3, 4, 5, 6, 7, 8], timings.iter().map(row).collect())
}
