mod plan;

use std::path::Path;

use cygnet::graph::{Cost, Graph};
use cygnet::image::{Preprocess, Resize};
use cygnet::latency::{Work, work_of, work_of_model};
use cygnet::runtime::{Plan, PlanOptions};
use cygnet::weights::{Accuracy, TrainingRecord};
use cygnet::zoo::registry::Row;
use cygnet::zoo::{Family, Spec};
use cygnet::{Conversion, Converted, LayerCounts};
use serde::Serialize;

use super::bench::ms;
use super::latency::predicted_ms;
use crate::args::{Show, wrong_usage};
use crate::output::{self, Column, STRONG, count, plain, shape, styled, wrapped};
use plan::{Planned, planned, print_plan};

#[derive(Serialize)]
struct Line {
    id: String,
    /// The name of another source by which it was asked for, whose preprocessing and weights are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    called: Option<String>,
    family: Option<String>,
    flavour: Option<&'static str>,
    params: u64,
    macs: u64,
    activations: u64,
    bytes_read: u64,
    bytes_written: u64,
    peak_activation_bytes: u64,
    /// What the latency table of this machine says of an image on one thread, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_ms: Option<f64>,
    classes: usize,
    input: [usize; 3],
    preprocess: Preprocess,
    features: Vec<Feature>,
    aliases: Vec<String>,
    checkpoints: Vec<String>,
    /// What only a model file tells.
    #[serde(flatten)]
    card: Option<Card>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Planned>,
}

/// Where a model comes from and what it can.
#[derive(Serialize)]
struct Card {
    /// What its layers compute with, if that is not floats alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<&'static str>,
    /// Layers by what they compute with, if that is not the same for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<LayerCounts>,
    /// What is to be known of it, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<Accuracy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<TrainingRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written_by: Option<String>,
}

impl Card {
    fn of(Converted { model, notes }: Converted) -> Card {
        Card {
            precision: model.precision(),
            layers: model.quantization.as_ref().map(|_| model.layer_counts()),
            notes,
            source: model.source,
            licence: model.licence,
            labels: model.labels,
            accuracy: model.accuracy,
            recipe: model.recipe,
            training: model.training,
            written_by: model.written_by,
        }
    }

    /// Its lines for people.
    fn print(&self) -> std::io::Result<()> {
        let mixture = self.layers.and_then(|layers| layers.mixture());
        list("precision", mixture.or_else(|| self.precision.map(str::to_owned)).as_slice())?;
        if let Some(accuracy) = &self.accuracy {
            let Accuracy { dataset, top1, top5 } = accuracy;
            let top5 = if cygnet::weights::top5_tells(self.labels.len()) {
                format!(", top-5 {top5:.2} %")
            } else {
                String::new()
            };
            list("accuracy", &[format!("top-1 {top1:.2} %{top5}"), format!("on {dataset}")])?;
        }
        let mut labels = self.labels[..self.labels.len().min(LABELS)].to_vec();
        if self.labels.len() > LABELS {
            labels.push(format!("and {} more, which --json tells", self.labels.len() - LABELS));
        }
        list("labels", &labels)?;
        if let Some(TrainingRecord { from, dataset, pictures: [learnt, chosen, tested], .. }) = &self.training
        {
            list("trained from", &[from.to_string()])?;
            let pictures =
                format!("{}, {chosen} for validation, {tested} for the test", output::pictures(*learnt));
            list("trained on", &[dataset.clone(), pictures])?;
        }
        list("recipe", &self.recipe.as_ref().map_or_else(Vec::new, settings))?;
        for (name, value) in
            [("source", &self.source), ("licence", &self.licence), ("written by", &self.written_by)]
        {
            list(name, value.as_slice())?;
        }
        Ok(())
    }
}

/// The most labels that people are shown.
const LABELS: usize = 20;

/// What people are told of a recipe; `cygnet train --print-recipe FILE` tells all.
fn settings(recipe: &serde_json::Value) -> Vec<String> {
    const TOLD: [(&str, &str); 8] = [
        ("/name", ""),
        ("/epochs", "epochs "),
        ("/batch", "batch "),
        ("/image", "image "),
        ("/optimizer/kind", ""),
        ("/optimizer/rate", "rate "),
        ("/train", "learns: "),
        ("/seed", "seed "),
    ];
    let told = |(place, name): (&str, &str)| match recipe.pointer(place)? {
        // The network's own.
        serde_json::Value::Number(side) if place == "/image" && side.as_u64() == Some(0) => None,
        serde_json::Value::String(text) => Some(format!("{name}{text}")),
        other => Some(format!("{name}{other}")),
    };
    TOLD.into_iter().filter_map(told).collect()
}

#[derive(Serialize)]
struct Feature {
    name: String,
    stride: usize,
    channels: usize,
}

#[derive(Serialize)]
struct Layer {
    path: String,
    op: String,
    inputs: Vec<usize>,
    output: Vec<usize>,
    #[serde(flatten)]
    cost: Cost,
}

pub(crate) fn show(args: &Show) -> anyhow::Result<bool> {
    let line = describe(args)?;
    if args.json {
        output::json(&line)?;
    } else if args.csv {
        csv(line.layers.as_deref().unwrap_or_default())?;
    } else {
        print(&line)?;
    }
    Ok(true)
}

/// A line a layer.
fn csv(layers: &[Layer]) -> std::io::Result<()> {
    output::csv([
        "layer",
        "operator",
        "output",
        "params",
        "macs",
        "activations",
        "bytes_read",
        "bytes_written",
    ])?;
    layers.iter().try_for_each(|layer| {
        let Cost { params, macs, activations, bytes_read, bytes_written } = layer.cost;
        let numbers = [params, macs, activations, bytes_read, bytes_written].map(|n| n.to_string());
        let texts = [layer.path.clone(), layer.op.clone(), shape(&layer.output)];
        output::csv(texts.into_iter().chain(numbers))
    })
}

fn describe(args: &Show) -> anyhow::Result<Line> {
    let Some(network) = cygnet::zoo::find(&args.network).filter(|_| !names_a_file(&args.network)) else {
        if !Path::new(&args.network).exists() {
            return Err(super::unknown(&args.network));
        }
        return describe_file(args).map_err(super::of_model(&args.network));
    };
    let side = args.image.unwrap_or(network.side());
    let channels = args.in_channels.unwrap_or(3);
    if ![1, 3].contains(&channels) {
        return Err(wrong_usage(format!("photos have 1 channel (grey) or 3, not {channels}")));
    }
    let classes = args.classes.unwrap_or(network.row.classes);
    let spec = Spec { image: [channels, side, side], classes, ..network.spec() };
    let graph = (network.row.build)(&spec)?;
    super::note_small(&args.network, &graph);
    let native = cygnet::preprocess(&network.preset(), [channels, network.side(), network.side()]);
    let preprocess = if side == network.side() { native } else { native.resized(side, side)? };
    let mut line = line(network.id.clone(), &graph, preprocess, args);
    line.predicted_ms = by_table(|options| work_of(&graph, options).ok());
    if args.plan {
        line.plan = Some(planned(&graph, &Plan::outline_of(&graph, PlanOptions::default())?));
    }
    line.family = family(network.row);
    line.flavour = Some(network.row.flavour);
    line.called = network.name.map(|_| network.called());
    line.aliases = network.names().iter().map(|name| format!("{}/{}", name.source, name.name)).collect();
    line.checkpoints = network.choices().map(|checkpoint| checkpoint.tag.into()).collect();
    Ok(line)
}

/// The family of a network, if it is of one.
fn family(row: &Row) -> Option<String> {
    (row.family != Family::Other).then(|| format!("{:?}", row.family))
}

/// The time of some work on one thread, by this machine's table.
fn by_table(work: impl FnOnce(PlanOptions) -> Option<Work>) -> Option<f64> {
    let options = super::level().ok()?.into();
    predicted_ms(options, 1, || work(options))
}

/// Whether this can only be a file: names of networks have no extension of one.
fn names_a_file(text: &str) -> bool {
    Path::new(text).is_file() && Path::new(text).extension().is_some()
}

fn describe_file(args: &Show) -> anyhow::Result<Line> {
    if args.in_channels.is_some() {
        let problem =
            format!("{}: the weights of a file fix its channels; leave out --in-channels", args.network);
        return Err(wrong_usage(problem));
    }
    let limits = args.graph_limits.limits();
    let conversion = Conversion { classes: args.classes, limits, ..Conversion::default() };
    let Converted { mut model, notes } = conversion.run(&args.network)?;
    if let Some(side) = args.image {
        model = model.with_image_size(side, side)?;
    }
    super::note_small(&args.network, &model.graph);
    let row = cygnet::zoo::find(&model.id).map(|network| network.row);
    let mut line = line(model.id.clone(), &model.graph, model.preprocess.clone(), args);
    line.predicted_ms = by_table(|options| work_of_model(&model, options).ok());
    if args.plan {
        line.plan = Some(planned(&model.graph, &model.outline(PlanOptions::default())?));
    }
    line.card = Some(Card::of(Converted { model, notes }));
    line.family = row.and_then(family);
    line.flavour = row.map(|row| row.flavour);
    Ok(line)
}

fn line(id: String, graph: &Graph, preprocess: Preprocess, args: &Show) -> Line {
    let cost = graph.cost();
    let feature = |feature: &cygnet::graph::Feature| Feature {
        name: feature.name.clone(),
        stride: graph.stride(feature.node),
        channels: graph.node(feature.node).shape[0],
    };
    let layer = |(id, node): (cygnet::graph::NodeId, &cygnet::graph::Node)| Layer {
        path: node.path.clone(),
        op: node.op.to_string(),
        inputs: node.inputs.iter().map(|input| input.0).collect(),
        output: node.shape.clone(),
        cost: graph.node_cost(id),
    };
    Line {
        id,
        called: None,
        family: None,
        flavour: None,
        params: cost.params,
        macs: cost.macs,
        activations: cost.activations,
        bytes_read: cost.bytes_read,
        bytes_written: cost.bytes_written,
        peak_activation_bytes: graph.peak_activation_bytes(),
        predicted_ms: None,
        classes: graph.classes(),
        input: graph.input_shape(),
        preprocess,
        features: graph.features().iter().map(feature).collect(),
        aliases: Vec::new(),
        checkpoints: Vec::new(),
        card: None,
        layers: (args.layers || args.csv).then(|| graph.iter().map(layer).collect()),
        plan: None,
    }
}

/// Columns before what stands behind a name.
const NAME: usize = 13;

fn row(name: &str, value: &str) -> std::io::Result<()> {
    output::line(format!("{name:<12} {}", plain(value)).trim_end())
}

/// Prints as many values in a line as fit.
fn list(name: &str, values: &[String]) -> std::io::Result<()> {
    let values: Vec<String> = values.iter().map(|value| plain(value)).collect();
    let lines = wrapped(&values, 2, output::columns() - NAME);
    lines.iter().enumerate().try_for_each(|(i, line)| row(if i == 0 { name } else { "" }, line))
}

/// What is done to a photo, in words.
fn preparation(preprocess: &Preprocess) -> Vec<String> {
    let [height, width] = preprocess.size;
    let numbers = |values: &[f32]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let resize = match preprocess.resize {
        Resize::ShorterSide { side } => format!("shorter side to {side}, centre {height}x{width}"),
        Resize::CropFraction { fraction } => format!("central {} % to {height}x{width}", 100.0 * fraction),
        Resize::CropPct { pct } => format!("shorter side to {height}/{pct}, centre {height}x{width}"),
        Resize::Squash => format!("squashed to {height}x{width}"),
        Resize::None => format!("must be {height}x{width}"),
    };
    let scale = if preprocess.scale == 1.0 / 255.0 { "1/255".into() } else { preprocess.scale.to_string() };
    vec![
        format!("{resize}, {}", format!("{:?}", preprocess.interpolation).to_lowercase()),
        format!("{} x {scale}", format!("{:?}", preprocess.channels).to_uppercase()),
        format!("mean {}", numbers(&preprocess.mean)),
        format!("std {}", numbers(&preprocess.std)),
    ]
}

fn print(line: &Line) -> anyhow::Result<()> {
    let flavour = line.flavour.map(|flavour| format!("{flavour} flavour"));
    let family = line.family.clone().into_iter();
    if let Some(called) = &line.called {
        let family = family.collect::<Vec<_>>().join(", ");
        output::line(&format!("{}  {family}", styled(STRONG, &plain(called))))?;
        list("network", &std::iter::once(line.id.clone()).chain(flavour).collect::<Vec<_>>())?;
    } else {
        let family = family.chain(flavour).collect::<Vec<_>>().join(", ");
        output::line(&format!("{}  {family}", styled(STRONG, &plain(&line.id))))?;
    }
    row("params", &count(line.params))?;
    row("MACs", &count(line.macs))?;
    row("activations", &count(line.activations))?;
    row("traffic", &format!("{}B read, {}B written", count(line.bytes_read), count(line.bytes_written)))?;
    let most = format!("{}B of activations, layer by layer;", count(line.peak_activation_bytes));
    list("peak memory", &[most, "what runs it needs is its arena: --plan, bench".into()])?;
    if let Some(predicted) = line.predicted_ms {
        row("latency", &format!("{} ms on one thread, by the latency table of this device", ms(predicted)))?;
    }
    row("input", &shape(&line.input))?;
    row("classes", &line.classes.to_string())?;
    list("preprocess", &preparation(&line.preprocess))?;
    let stage = |f: &Feature| format!("{} (1/{}, {} channels)", f.name, f.stride, f.channels);
    list("features", &line.features.iter().map(stage).collect::<Vec<_>>())?;
    list("aliases", &line.aliases)?;
    list("weights", &line.checkpoints)?;
    if let Some(card) = &line.card {
        card.print()?;
        card.notes.iter().for_each(|note| output::note(note));
    }
    if let Some(layers) = &line.layers {
        let rows = layers.iter().map(|layer| {
            let mut row = vec![plain(&layer.path), layer.op.clone(), shape(&layer.output)];
            row.extend(
                [layer.cost.params, layer.cost.macs].map(|n| if n == 0 { String::new() } else { count(n) }),
            );
            row
        });
        output::line("")?;
        let columns = [
            Column::name("layer"),
            Column::text("operator"),
            Column::number("output"),
            Column::number("params"),
            Column::number("MACs"),
        ];
        output::table(&columns, rows.collect())?;
    }
    line.plan.as_ref().map_or(Ok(()), print_plan)
}
