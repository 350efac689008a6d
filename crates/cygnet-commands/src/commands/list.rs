use std::cmp::Ordering;
use std::io;

use anyhow::bail;
use cygnet::zoo::{Family, networks};
use serde::Serialize;

use crate::args::List;
use crate::output::{self, Column, count};

#[derive(Serialize)]
struct Line {
    id: String,
    family: String,
    flavour: &'static str,
    params: u64,
    macs: u64,
    activations: u64,
    input: [usize; 3],
    aliases: Vec<String>,
    checkpoints: Vec<Weights>,
}

#[derive(Serialize)]
struct Weights {
    tag: &'static str,
    top1: Option<f32>,
    top5: Option<f32>,
    licence: &'static str,
    recipe: Option<&'static str>,
    file: &'static str,
    bytes: Option<u64>,
    sha256: Option<&'static str>,
    urls: &'static [&'static str],
}

pub(crate) fn list(args: &List) -> anyhow::Result<bool> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = args.family.as_deref().map(plain);
    let mut lines = Vec::new();
    for network in networks() {
        let family = format!("{:?}", network.row.family);
        if wanted.as_ref().is_some_and(|wanted| *wanted != plain(&family)) {
            continue;
        }
        let graph = network.build()?;
        let cost = graph.cost();
        let aliases = network.names().iter().map(|name| format!("{}/{}", name.source, name.name));
        let checkpoints = network.checkpoints().iter().map(|checkpoint| Weights {
            tag: checkpoint.tag,
            top1: Some(checkpoint.accuracy[0]).filter(|top| top.is_finite()),
            top5: Some(checkpoint.accuracy[1]).filter(|top| top.is_finite()),
            licence: checkpoint.licence,
            recipe: Some(checkpoint.recipe).filter(|recipe| !recipe.is_empty()),
            file: checkpoint.file,
            bytes: Some(checkpoint.size).filter(|&bytes| bytes > 0),
            sha256: Some(checkpoint.sha256).filter(|hash| !hash.is_empty()),
            urls: checkpoint.urls,
        });
        lines.push(Line {
            family,
            flavour: network.row.flavour,
            params: cost.params,
            macs: cost.macs,
            activations: cost.activations,
            input: graph.input_shape(),
            aliases: aliases.collect(),
            checkpoints: checkpoints.collect(),
            id: network.id,
        });
    }
    if lines.is_empty() {
        let known: Vec<String> =
            Family::ALL.iter().map(|family| format!("{family:?}").to_lowercase()).collect();
        bail!(
            "no family is called {}; there are {}",
            args.family.as_deref().unwrap_or_default(),
            known.join(", ")
        );
    }
    if args.json {
        return lines.iter().try_for_each(output::json).map(|()| true).map_err(Into::into);
    }
    if args.csv {
        return csv(&lines).map(|()| true).map_err(Into::into);
    }
    let rows = lines.into_iter().map(|line| {
        let best = line.checkpoints.iter().filter_map(|weights| weights.top1).reduce(f32::max);
        vec![
            line.id,
            line.family,
            line.flavour.into(),
            count(line.params),
            count(line.macs),
            line.input[1].to_string(),
            best.map_or_else(String::new, |top1| format!("{top1:.1}")),
        ]
    });
    let columns = [
        Column::word("id"),
        Column::text("family").spare(),
        Column::text("flavour"),
        Column::number("params"),
        Column::number("MACs"),
        Column::number("side"),
        Column::number("top-1"),
    ];
    output::table(&columns, rows.collect())?;
    Ok(true)
}

fn csv(lines: &[Line]) -> io::Result<()> {
    output::csv([
        "id",
        "family",
        "flavour",
        "params",
        "macs",
        "activations",
        "side",
        "weights",
        "top1",
        "top5",
    ])?;
    lines.iter().try_for_each(|line| {
        let best =
            line.checkpoints.iter().max_by(|a, b| a.top1.partial_cmp(&b.top1).unwrap_or(Ordering::Equal));
        let figure = |of: fn(&Weights) -> Option<f32>| {
            best.and_then(of).map_or_else(String::new, |top| top.to_string())
        };
        let numbers = [line.params, line.macs, line.activations].map(|number| number.to_string());
        let texts = [line.id.clone(), line.family.clone(), line.flavour.into()];
        let rest = [
            line.input[1].to_string(),
            best.map_or_else(String::new, |weights| weights.tag.into()),
            figure(|weights| weights.top1),
            figure(|weights| weights.top5),
        ];
        output::csv(texts.into_iter().chain(numbers).chain(rest))
    })
}
