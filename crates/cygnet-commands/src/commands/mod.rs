//! One function a command. Each says whether all went well.

mod bench;
mod classify;
mod completions;
mod convert;
#[cfg(feature = "train")]
mod eval;
mod kernels;
mod list;
mod manual;
mod show;
#[cfg(feature = "train")]
mod train;
mod verify;

pub(crate) use bench::bench;
pub(crate) use classify::classify;
pub(crate) use completions::completions;
pub(crate) use convert::{convert, pull};
#[cfg(feature = "train")]
pub(crate) use eval::eval;
pub(crate) use kernels::kernels;
pub(crate) use list::list;
pub(crate) use manual::man;
pub(crate) use show::show;
#[cfg(feature = "train")]
pub(crate) use train::{Train, train};
pub(crate) use verify::verify;

use std::path::Path;

use anyhow::anyhow;
use cygnet::graph::Graph;
use cygnet::hub::Cache;
use cygnet::runtime::Level;
use cygnet::{Classifier, Model};

use crate::args::GraphLimits;
use crate::output::{self, Hinted};
use crate::progress::Download;

/// The model that an argument names, ready to classify.
fn classifier(model: &str, limits: GraphLimits) -> anyhow::Result<Classifier> {
    level()?;
    Ok(Classifier::new(load(model, limits)?)?)
}

/// The model that an argument names.
fn load(model: &str, limits: GraphLimits) -> anyhow::Result<Model> {
    let (cache, mut progress) = (Cache::from_env()?, Download::default());
    Ok(Model::load_within(model, &limits.limits(), &cache, &mut progress)?)
}

/// What results call the model that an argument names: a network by its id, perhaps with the tag that was asked for, and
/// a file as it was typed.
fn name_of(model: &str, id: &str) -> String {
    match cygnet::zoo::find(model) {
        Some(network) if network.id == id => match network.checkpoint {
            Some(checkpoint) => format!("{id}.{}", checkpoint.tag),
            None => id.to_owned(),
        },
        _ => model.to_owned(),
    }
}

/// Tells when images have fewer pixels than a network's windows step over: training takes other steps then.
fn note_small(name: &str, graph: &Graph) {
    let ([_, height, width], stride) = (graph.input_shape(), graph.total_stride());
    if height.min(width) < stride {
        output::talk(&format!(
            "{name}: {height}x{width} pixels are less than one step of its last layers, {stride}; \
             `cygnet train` would turn its first steps of 2 into steps of 1, this command does not"
        ));
    }
}

/// The instruction set to use, as `CYGNET_ISA` allows.
fn level() -> anyhow::Result<Level> {
    Level::chosen().map_err(|problem| {
        let hint = format!("leave CYGNET_ISA unset for the best that this CPU has, {}", Level::best().name());
        Hinted { problem: format!("CYGNET_ISA: {problem}"), hint }.into()
    })
}

/// Why an argument is neither a network nor a file.
fn unknown(model: &str) -> anyhow::Error {
    if cygnet::names_weights(Path::new(model)) {
        return anyhow!("{model}: no such file");
    }
    match cygnet::network(model) {
        Ok(_) => anyhow!("{model}: neither a network nor a file"),
        Err(error) => error.into(),
    }
}
