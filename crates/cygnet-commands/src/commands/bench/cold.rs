//! From the start of a process to its first logits: the command starts itself again and again, and counts until the
//! new process has written a line, which it does as soon as it has logits. The end of the process does not count.

use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use cygnet::bench::{BenchOptions, Subject, is_disturbed, quantile, sample, session};
use serde::{Deserialize, Serialize};

use crate::args::{Bench, BenchWeights, wrong_usage};
use crate::commands::load;
use crate::output::{self, Column};

/// What the new process says.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct First {
    /// From before its start, which only the old process knows.
    #[serde(skip)]
    cold_ms: f64,
    /// Of that the time in which it did none of the following: its own start, and telling.
    #[serde(skip)]
    start_ms: f64,
    load_ms: f64,
    plan_ms: f64,
    run_ms: f64,
    peak_rss_bytes: u64,
}

#[derive(Serialize)]
pub(super) struct Cold {
    model: String,
    threads: Option<usize>,
    isa: &'static str,
    strict: bool,
    runs: usize,
    median_ms: f64,
    min_ms: f64,
    p95_ms: f64,
    disturbed: bool,
    /// Medians of the parts: the start of the process, reading the file, packing its weights, the first run.
    start_ms: f64,
    load_ms: f64,
    plan_ms: f64,
    run_ms: f64,
    /// The most memory of all runs; 0 where the system does not say.
    peak_rss_bytes: u64,
}

pub(super) const FIELDS: [&str; 14] = [
    "model",
    "threads",
    "isa",
    "strict",
    "runs",
    "median_ms",
    "min_ms",
    "p95_ms",
    "start_ms",
    "load_ms",
    "plan_ms",
    "run_ms",
    "peak_rss_bytes",
    "disturbed",
];

impl Cold {
    /// Tells that the machine had other work, if so.
    pub(super) fn note_disturbed(&self) {
        if self.disturbed {
            super::note_disturbed(&self.model, Some([self.min_ms, self.p95_ms]));
        }
    }

    /// Its values, in the order of [`FIELDS`].
    pub(super) fn fields(&self) -> [String; 14] {
        [
            self.model.clone(),
            self.threads.map_or_else(String::new, |threads| threads.to_string()),
            self.isa.into(),
            self.strict.to_string(),
            self.runs.to_string(),
            self.median_ms.to_string(),
            self.min_ms.to_string(),
            self.p95_ms.to_string(),
            self.start_ms.to_string(),
            self.load_ms.to_string(),
            self.plan_ms.to_string(),
            self.run_ms.to_string(),
            self.peak_rss_bytes.to_string(),
            self.disturbed.to_string(),
        ]
    }
}

pub(super) fn cold(args: &Bench, name: &str, options: BenchOptions) -> anyhow::Result<Cold> {
    if args.weights == Some(BenchWeights::Random) {
        let problem = "--cold loads weights from a file; leave out --weights random";
        return Err(wrong_usage(problem.into()));
    }
    let id = load(name, args.graph_limits)?.id;
    let mut firsts: Vec<First> = Vec::new();
    let runs = sample(options.duration, || first(args, name).map(|first| firsts.push(first)))?.len();
    let firsts = firsts.split_off(firsts.len() - runs);
    let sorted = |of: fn(&First) -> f64| {
        let mut times: Vec<f64> = firsts.iter().map(of).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let median = |of: fn(&First) -> f64| quantile(&sorted(of), 0.5);
    let times = sorted(|first| first.cold_ms);
    Ok(Cold {
        model: crate::commands::name_of(name, &id),
        threads: options.threads,
        isa: options.plan.level.name(),
        strict: options.plan.strict,
        runs,
        median_ms: quantile(&times, 0.5),
        min_ms: times[0],
        p95_ms: quantile(&times, 0.95),
        disturbed: is_disturbed(times[0], quantile(&times, 0.95)),
        start_ms: median(|first| first.start_ms),
        load_ms: median(|first| first.load_ms),
        plan_ms: median(|first| first.plan_ms),
        run_ms: median(|first| first.run_ms),
        peak_rss_bytes: firsts.iter().map(|first| first.peak_rss_bytes).max().unwrap_or(0),
    })
}

/// Starts a process and waits for its first logits.
fn first(args: &Bench, name: &str) -> anyhow::Result<First> {
    let mut command = Command::new(std::env::current_exe().context("this program's own file")?);
    command.args(["bench", "--first-logits"]);
    if let Some(threads) = args.threads.0 {
        command.args(["--threads", &threads.to_string()]);
    }
    if let Some(side) = args.image {
        command.args(["--image", &side.to_string()]);
    }
    if let Some(cap) = args.isa {
        command.args(["--isa", cap.name()]);
    }
    if let Some(macs) = args.graph_limits.max_macs {
        command.args(["--max-macs", &macs.to_string()]);
    }
    if args.strict {
        command.arg("--strict");
    }
    command.args(["--", name]).stdin(Stdio::null()).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn()?;
    let mut line = String::new();
    let read = child.stdout.take().map_or(Ok(0), |out| BufReader::new(out).read_line(&mut line));
    let cold_ms = start.elapsed().as_secs_f64() * 1e3;
    let status = child.wait()?;
    read?;
    let first: First = serde_json::from_str(&line)
        .with_context(|| format!("{name}: the new process ended with {status}"))?;
    // All that the new process measured lies between two looks of this one at the clock.
    let start_ms = (cold_ms - first.load_ms - first.plan_ms - first.run_ms).max(0.0);
    Ok(First { cold_ms, start_ms, ..first })
}

/// What the new process does.
pub(super) fn first_logits(args: &Bench) -> anyhow::Result<bool> {
    let mut start = Instant::now();
    let mut lap = || {
        let now = Instant::now();
        let ms = (now - start).as_secs_f64() * 1e3;
        start = now;
        ms
    };
    let subject = Subject::from(load(&args.models[0], args.graph_limits)?);
    let subject = Subject { graph: super::resized(args, subject.graph)?, ..subject };
    let load_ms = lap();
    let image = vec![0.5; subject.graph.input_shape().iter().product()];
    let plan = subject.plan(super::plan_options(args)?)?;
    drop(subject);
    let mut session = session(plan, args.threads.0.map(NonZeroUsize::get))?;
    let plan_ms = lap();
    let mut logits = vec![0.0; session.outputs()];
    session.run(&image, &mut logits)?;
    let run_ms = lap();
    output::json(&First {
        cold_ms: 0.0,
        start_ms: 0.0,
        load_ms,
        plan_ms,
        run_ms,
        peak_rss_bytes: peak_rss_bytes(),
    })?;
    Ok(true)
}

/// The most memory that this process had, as Linux tells.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

pub(super) fn print(colds: &[Cold]) -> std::io::Result<()> {
    if colds.is_empty() {
        return Ok(());
    }
    let columns = [
        Column::path("network"),
        Column::word("isa").spare(),
        Column::number("cold ms"),
        Column::number("min ms").spare(),
        Column::number("p95 ms").spare(),
        Column::number("start"),
        Column::number("load"),
        Column::number("plan"),
        Column::number("first run"),
        Column::number("peak RSS MB"),
    ];
    let row = |cold: &Cold| {
        let parts = [
            cold.median_ms,
            cold.min_ms,
            cold.p95_ms,
            cold.start_ms,
            cold.load_ms,
            cold.plan_ms,
            cold.run_ms,
        ];
        let mut row = vec![output::plain(&cold.model), cold.isa.into()];
        row.extend(parts.map(|ms| format!("{ms:.1}")));
        row.push(format!("{:.1}", cold.peak_rss_bytes as f64 / 1e6));
        row
    };
    output::table(&columns, colds.iter().map(row).collect())
}
