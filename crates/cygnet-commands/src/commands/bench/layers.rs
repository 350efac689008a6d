//! What each step of a network took.

use cygnet::bench::StepTiming;

use crate::args::Bench;
use crate::commands::typed;
use crate::output::{self, Column, count, plain, shape};

pub(super) const FIELDS: [&str; 19] = [
    "model",
    "threads",
    "step",
    "kernel",
    "node",
    "output",
    "ms",
    "percent",
    "macs",
    "bytes",
    "gflops",
    "percent_of_peak",
    "gbytes_per_s",
    "bound",
    "percent_of_bound",
    "input_type",
    "output_type",
    "disturbed",
    "pass",
];

fn fields(step: &StepTiming) -> [String; 19] {
    [
        step.model.clone(),
        step.threads.to_string(),
        step.step.to_string(),
        step.kernel.clone(),
        step.node.clone(),
        shape(&step.output),
        step.ms.to_string(),
        step.percent.to_string(),
        step.macs.to_string(),
        step.bytes.to_string(),
        step.gflops.to_string(),
        step.percent_of_peak.to_string(),
        step.gbytes_per_s.to_string(),
        step.bound.into(),
        step.percent_of_bound.to_string(),
        step.input_type.unwrap_or("f32").into(),
        step.output_type.unwrap_or("f32").into(),
        step.disturbed.to_string(),
        step.pass.unwrap_or_default().into(),
    ]
}

/// Prints the steps of a network.
pub(super) fn tell(args: &Bench, id: &str, steps: &[StepTiming]) -> std::io::Result<()> {
    match (args.json, args.csv) {
        (true, _) => steps.iter().try_for_each(output::json),
        (_, true) => steps.iter().try_for_each(|step| output::csv(fields(step))),
        _ => print(id, steps),
    }
}

/// Steps of the same kernel and size are one row.
fn print(id: &str, steps: &[StepTiming]) -> std::io::Result<()> {
    let mut groups: Vec<Vec<&StepTiming>> = Vec::new();
    for step in steps {
        let same = |group: &&mut Vec<&StepTiming>| {
            let first = group[0];
            let types = |step: &StepTiming| (step.input_type, step.output_type);
            (&first.kernel, &first.output, first.macs, first.bytes, first.pass, types(first))
                == (&step.kernel, &step.output, step.macs, step.bytes, step.pass, types(step))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(step),
            None => groups.push(vec![step]),
        }
    }
    let row = |group: &Vec<&StepTiming>| {
        let first = group[0];
        let sum = |of: fn(&StepTiming) -> f64| group.iter().map(|step| of(step)).sum::<f64>();
        let mean = |of: fn(&StepTiming) -> f64| {
            let weighed = group.iter().map(|step| of(step) * step.ms).sum::<f64>();
            format!("{:.1}", weighed / sum(|step| step.ms))
        };
        let times = if group.len() > 1 { format!("x{}", group.len()) } else { String::new() };
        vec![
            typed(first.kernel.clone(), first.input_type),
            typed(shape(&first.output), first.output_type),
            plain(&first.node),
            times,
            format!("{:.3}", sum(|step| step.ms)),
            format!("{:.1}", sum(|step| step.percent)),
            mean(|step| step.percent_of_bound),
            first.bound.into(),
            mean(|step| step.gflops),
            mean(|step| step.percent_of_peak),
        ]
    };
    let columns = [
        Column::text("kernel"),
        Column::number("output"),
        Column::name("node"),
        Column::word(""),
        Column::number("ms"),
        Column::number("% time"),
        Column::number("% bound").spare(),
        Column::word("bound").spare(),
        Column::number("GFLOP/s").spare(),
        Column::number("% peak").spare(),
    ];
    output::table(&columns, groups.iter().map(row).collect())?;
    let ms: f64 = steps.iter().map(|step| step.ms).sum();
    let macs: u64 = steps.iter().map(|step| step.macs).sum();
    let Some(first) = steps.first() else { return Ok(()) };
    output::line(&format!(
        "\n{}: {} steps, {ms:.3} ms, {}MAC, {}\na thread's peak: {}; {}",
        plain(id),
        steps.len(),
        count(macs),
        if first.threads == 1 { "one thread".into() } else { format!("{} threads", first.threads) },
        peaks(steps),
        copies(first)
    ))
}

/// What a thread could do with the numbers that steps multiply.
fn peaks(steps: &[StepTiming]) -> String {
    let peak = |of_bytes: bool| {
        let is_one = |step: &&StepTiming| (step.macs > 0 && step.input_type.is_some()) == of_bytes;
        steps.iter().find(is_one).map(|step| step.peak_gflops)
    };
    let floats = peak(false).map(|peak| format!("{peak:.0} GFLOP/s"));
    let bytes = peak(true).map(|peak| format!("{peak:.0} GOP/s of bytes"));
    floats.into_iter().chain(bytes).collect::<Vec<_>>().join(", ")
}

/// What a thread's copies reach where values lie.
fn copies(step: &StepTiming) -> String {
    let l2 = step.l2_gbytes_per_s.map(|rate| format!("its second-level cache: {rate:.0} GB/s"));
    let memory = step.memory_gbytes_per_s.map(|rate| format!("its copies in memory: {rate:.0} GB/s"));
    l2.into_iter().chain(memory).collect::<Vec<_>>().join("; ")
}
