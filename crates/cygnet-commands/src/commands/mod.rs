//! One function a command. Each says whether all went well.

#[cfg(feature = "train")]
mod against;
mod bench;
mod classify;
mod completions;
#[cfg(feature = "train")]
mod compress;
mod convert;
#[cfg(feature = "train")]
mod eval;
mod kernels;
mod latency;
mod list;
mod manual;
mod out;
#[cfg(feature = "train")]
mod quantize;
#[cfg(feature = "train")]
mod search;
mod show;
#[cfg(feature = "train")]
mod train;
mod verify;

pub(crate) use bench::bench;
pub(crate) use classify::classify;
pub(crate) use completions::completions;
#[cfg(feature = "train")]
pub(crate) use compress::compress;
pub(crate) use convert::{convert, pull};
#[cfg(feature = "train")]
pub(crate) use eval::eval;
pub(crate) use kernels::kernels;
pub(crate) use latency::latency;
pub(crate) use list::list;
pub(crate) use manual::man;
#[cfg(feature = "train")]
pub(crate) use quantize::quantize;
#[cfg(feature = "train")]
pub(crate) use search::search;
pub(crate) use show::show;
#[cfg(feature = "train")]
pub(crate) use train::train;
pub(crate) use verify::verify;

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::anyhow;
use cygnet::graph::Graph;
use cygnet::hub::{Cache, is_url, shown_url};
use cygnet::runtime::Level;
use cygnet::{Classifier, Conversion, Converted, Model};

use crate::args::GraphLimits;
use crate::output;
use crate::progress::Download;

/// The model that an argument names, ready to classify. What was decided on the way is told.
fn classifier(name: &str, limits: GraphLimits) -> anyhow::Result<Classifier> {
    let Converted { model, notes } = converted(name, limits)?;
    notes.iter().for_each(|note| output::note(note));
    let shape = model.graph.outputs().first().map(|output| &model.graph.node(output.node).shape);
    if let Some([channels, height, width]) = shape.map(Vec::as_slice)
        && height * width > 1
    {
        anyhow::bail!(
            "{}: gives a map of {channels}x{height}x{width} numbers, not a number a class: it is no classifier",
            name_of(name, &model.id)
        );
    }
    note_nameless(&model);
    Classifier::new(model).map_err(of_model(name))
}

/// The model that an argument names.
fn load(model: &str, limits: GraphLimits) -> anyhow::Result<Model> {
    Ok(converted(model, limits)?.model)
}

fn converted(model: &str, limits: GraphLimits) -> anyhow::Result<Converted> {
    let (cache, mut progress) = (Cache::from_env()?, Download::default());
    let conversion = Conversion { limits: limits.limits(), ..Conversion::default() };
    Ok(conversion.load(model, &cache, &mut progress)?)
}

/// What results call the model that an argument names: a network by its id, perhaps with the tag that was asked for, and
/// a file as it was typed, but for passwords in addresses.
fn name_of(model: &str, id: &str) -> String {
    match cygnet::zoo::find(model) {
        Some(network) if network.id == id => match network.checkpoint {
            Some(checkpoint) => format!("{id}.{}", checkpoint.tag),
            None => id.to_owned(),
        },
        _ if is_url(model) => shown_url(model),
        _ => model.to_owned(),
    }
}

/// An error of the model that an argument names, which is told by what was typed where that is a file.
fn of_model<E: Into<anyhow::Error>>(name: &str) -> impl Fn(E) -> anyhow::Error {
    let shown = if is_url(name) { shown_url(name) } else { name.to_owned() };
    let is_file = cygnet::zoo::find(name).is_none();
    move |error| {
        let error = error.into();
        let is_named = !is_file || output::chain(error.as_ref()).contains(&shown);
        if is_named { error } else { error.context(shown.clone()) }
    }
}

/// Tells when fewer threads work at once than were asked for.
fn note_threads(classifier: &Classifier, wanted: NonZeroUsize) {
    let threads = classifier.at_once(wanted);
    if threads < wanted {
        let photos = output::pictures(threads.get());
        output::note(&format!("the network takes much memory: {photos} at a time, not {wanted}"));
    }
}

/// Tells how classes without names get them.
fn note_nameless(model: &Model) {
    if model.labels.is_empty() {
        let (what, names) = match model.graph.classes() {
            1 => ("only class has no name, only a number".to_owned(), "it a name"),
            classes => (format!("{classes} classes have no names, only numbers"), "them names"),
        };
        output::note(&format!("its {what}; `cygnet convert` gives {names} with --labels FILE"));
    }
}

/// What people are told of the model that an argument names: a network with its weights and whose they are, or a file and
/// its network.
fn described(model: &str, id: &str) -> String {
    let network = cygnet::zoo::find(model).filter(|network| network.id == id);
    match network.as_ref().and_then(|network| Some((network, network.default_checkpoint()?))) {
        Some((network, weights)) => format!("{id}.{} ({})", weights.tag, network.source_of(weights)),
        None => format!("{}, {id}", name_of(model, id)),
    }
}

/// Tells when images have fewer pixels than a network's windows step over: training takes other steps then.
fn note_small(name: &str, graph: &Graph) {
    let ([_, height, width], stride) = (graph.input_shape(), graph.total_stride());
    if height.min(width) < stride {
        output::talk(&format!(
            "{name}: of {height}x{width} pixels its last layers see one place, for each of theirs is {stride} pixels \
             wide; `cygnet train` would give its first layers smaller steps, this command does not"
        ));
    }
}

/// A kernel or shape, and what it reads or is stored as, if that is not f32.
fn typed(text: String, of: Option<&str>) -> String {
    match of {
        Some(of) => format!("{text} {of}"),
        None => text,
    }
}

/// The instruction set to use, as `CYGNET_ISA` allows.
fn level() -> anyhow::Result<Level> {
    Level::chosen().map_err(anyhow::Error::msg)
}

/// Why an argument is neither a network nor a file.
fn unknown(model: &str) -> anyhow::Error {
    if cygnet::names_weights(Path::new(model)) {
        return anyhow!("{model}: no such file or folder");
    }
    match cygnet::network(model) {
        Ok(_) => anyhow!("{model}: neither a network nor a file"),
        Err(error) => error.into(),
    }
}
