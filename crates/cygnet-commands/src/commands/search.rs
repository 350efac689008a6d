//! `cygnet search`.

use std::time::Instant;

use cygnet::search::{Event, Found, Limit, Plan, Search, Space};
use cygnet::train::Metrics;
use serde_json::json;

use crate::args;
use crate::output::{self, GOOD, STRONG, plain, styled};
use crate::progress;

pub(crate) fn search(args: &args::Search) -> anyhow::Result<bool> {
    let began = Instant::now();
    let limit = match (args.macs, args.params) {
        (Some(macs), _) => Limit::Macs(macs as f64),
        (None, params) => Limit::Params(params.unwrap_or_default() as f64),
    };
    let search = Search {
        data: args.data.clone(),
        space: Space::named(&args.space)?,
        image: args.image,
        limit,
        method: args.method,
        networks: args.work as usize,
        first_epochs: args.first_epochs,
        recipe: args.recipe.clone(),
        epochs: args.epochs,
        seed: args.seed,
        threads: args.threads,
        out: args.out.clone(),
        resume: args.resume,
        overwrite: args.overwrite,
        command: Some(super::train::command_line()),
    };
    let bar = progress::things(0, "searching", "networks");
    let mut failed = None;
    let mut best = 0.0;
    let mut tell = |event: Event<'_>| {
        let told = match event {
            Event::Planned(plan) => {
                bar.set_length(plan.trials() as u64);
                bar.suspend(|| planned(plan, args.json))
            }
            Event::Tried { number, gene, rung, cost, score, known } => {
                bar.set_position(number[0] as u64);
                if score > best && !known {
                    best = score;
                    let text = format!("{:.2} % after {} of {}: {gene}", 100.0 * score, number[0], number[1]);
                    bar.suspend(|| output::talk(&plain(&text)));
                }
                let line = json!({
                    "event": "trial", "number": number[0], "gene": gene, "rung": rung, "cost": cost, "score": score,
                    "known": known,
                });
                if args.json { bar.suspend(|| output::json(&line)) } else { Ok(()) }
            }
            Event::Chosen(gene) => {
                bar.suspend(|| output::talk(&plain(&format!("training what was found: {gene}"))));
                bar.set_message("training");
                Ok(())
            }
        };
        failed = failed.take().or(told.err());
    };
    let found = search.run(&mut tell, &mut ());
    bar.finish_and_clear();
    let found = found?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let outcome = &found.run.outcome;
    let top1 = Metrics::of(&outcome.verdicts, outcome.record.labels.len()).top1;
    if args.json {
        output::json(&json!({
            "event": "end", "file": args.out, "gene": found.gene, "limit": limit, "cost": found.cost, "top1": top1,
            "seconds": began.elapsed().as_secs_f64(), "candidates": found.candidates,
        }))?;
    } else {
        result(&found, limit, top1, args)?;
    }
    Ok(true)
}

/// What will be done, before it is begun.
fn planned(plan: &Plan, json: bool) -> std::io::Result<()> {
    let parts = plan.stages.iter().enumerate().map(|(number, stage)| {
        let what = if number + 1 == plan.stages.len() { "the best in full" } else { "networks" };
        let minutes = if stage.minutes < 1.0 {
            "under a minute".into()
        } else {
            format!("about {:.0} min", stage.minutes)
        };
        format!("{} {what} for {} epochs, {minutes}", stage.networks, stage.epochs)
    });
    output::talk(&format!("plan: {}", parts.collect::<Vec<_>>().join("; ")));
    if json { output::json(&json!({ "event": "plan", "stages": plan.stages })) } else { Ok(()) }
}

fn result(found: &Found, limit: Limit, top1: f64, args: &args::Search) -> std::io::Result<()> {
    output::line(&format!("{} {}", styled(GOOD, "found:"), styled(STRONG, &plain(&found.gene.to_string()))))?;
    let cost = limit.with(found.cost);
    output::line(&format!(
        "  {cost} of at most {limit}; top-1 {top1:.2} % on validation photos; {} tried",
        found.candidates
    ))?;
    output::line(&plain(&format!(
        "{}  log {}",
        args.out.display(),
        args.out.with_extension("search").join("log.jsonl").display()
    )))
}
