//! What the runtime makes of a network: its steps, with the nodes that each computes and the rules that joined them.

use cygnet::bench::named_type;
use cygnet::graph::Graph;
use cygnet::runtime::{self, Outline, PlanStep, Rule};
use serde::Serialize;

use super::row;
use crate::output::{self, count, plain, shape};

#[derive(Serialize)]
pub(super) struct Planned {
    arena_bytes: usize,
    lower_bound_bytes: usize,
    weight_bytes: u64,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    kernel: String,
    name: String,
    output: Vec<usize>,
    /// If it is not f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    input_type: Option<&'static str>,
    /// If it is not f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_type: Option<&'static str>,
    nodes: Vec<StepNode>,
    macs: u64,
    bytes_read: u64,
    bytes_written: u64,
    weight_bytes: u64,
}

#[derive(Serialize)]
struct StepNode {
    node: usize,
    op: &'static str,
    path: String,
    rule: Option<&'static str>,
}

pub(super) fn planned(graph: &Graph, outline: &Outline) -> Planned {
    let node = |node: &runtime::StepNode| {
        let (id, rule) = (node.id, node.rule.map(Rule::name));
        let node = graph.node(id);
        StepNode { node: id.0, op: node.op.name(), path: node.path.clone(), rule }
    };
    let step = |step: &PlanStep| Step {
        kernel: step.key.kernel.to_string(),
        name: step.name(graph).into(),
        output: step.shape.clone(),
        input_type: step.key.inputs.first().and_then(named_type),
        output_type: named_type(&step.key.output),
        nodes: step.nodes.iter().map(node).collect(),
        macs: step.macs,
        bytes_read: step.bytes_read,
        bytes_written: step.bytes_written,
        weight_bytes: step.weight_bytes,
    };
    Planned {
        arena_bytes: outline.arena_bytes(),
        lower_bound_bytes: outline.lower_bound_bytes(),
        weight_bytes: outline.weight_bytes(),
        steps: outline.steps().iter().map(step).collect(),
    }
}

pub(super) fn print_plan(plan: &Planned) -> anyhow::Result<()> {
    let lines = plan.steps.iter().map(|step| {
        let kernel = crate::commands::typed(step.kernel.clone(), step.input_type);
        let output = crate::commands::typed(shape(&step.output), step.output_type);
        [kernel, output, plain(&step.name), rules(&step.nodes)]
    });
    let headings = ["kernel", "output", "node", "rules"].map(String::from);
    let lines: Vec<[String; 4]> = std::iter::once(headings).chain(lines).collect();
    let widest = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let [kernel, output, name, rules] = [0, 1, 2, 3].map(widest);
    let wide = output::width().unwrap_or(usize::MAX);
    // Rules go on in the next line before a name is cut.
    let of_one =
        |[.., rules]: &[String; 4]| rules.split_inclusive(", ").map(|rule| rule.trim_end().len()).max();
    let least = lines.iter().filter_map(of_one).max().unwrap_or(0);
    let room = |rules: usize| wide.saturating_sub(kernel + output + rules + 6);
    let width = name.min(room(rules).max(room(least)).max(9));
    let start = kernel + output + width + 6;
    output::line("")?;
    for [kernel_name, shape, name, rules] in &lines {
        let name = output::end_of(name, width);
        let mut line = format!("{kernel_name:<kernel$}  {shape:>output$}  {name:<width$}  ");
        for (i, rule) in rules.split_inclusive(", ").enumerate() {
            if i > 0 && line.chars().count() + rule.trim_end().chars().count() > wide {
                output::line(line.trim_end())?;
                line = " ".repeat(start);
            }
            line.push_str(rule);
        }
        output::line(line.trim_end())?;
    }
    output::line("")?;
    row("steps", &plan.steps.len().to_string())?;
    let [arena, bound] = [plan.arena_bytes, plan.lower_bound_bytes].map(|bytes| count(bytes as u64));
    row("arena", &format!("{arena}B, of which {bound}B must be there at once"))?;
    row("weights", &format!("{}B", count(plan.weight_bytes)))?;
    Ok(())
}

/// The rules of a step, those that do the same with several things together: `fuse add activation`.
fn rules(nodes: &[StepNode]) -> String {
    let mut done: Vec<(&str, Vec<&str>)> = Vec::new();
    for (what, with) in nodes.iter().filter_map(|node| node.rule?.split_once(' ')) {
        match done.iter_mut().find(|(known, _)| *known == what) {
            Some((_, all)) if all.contains(&with) => {}
            Some((_, all)) => all.push(with),
            None => done.push((what, vec![with])),
        }
    }
    let texts = done.into_iter().map(|(what, all)| format!("{what} {}", all.join(" ")));
    texts.collect::<Vec<_>>().join(", ")
}
