//! One function a command. Each says whether all went well.

mod bench;
mod classify;
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
pub(crate) use convert::{convert, pull};
#[cfg(feature = "train")]
pub(crate) use eval::eval;
pub(crate) use kernels::kernels;
pub(crate) use list::list;
pub(crate) use manual::{completions, man};
pub(crate) use show::show;
#[cfg(feature = "train")]
pub(crate) use train::{Train, train};
pub(crate) use verify::verify;

use std::path::Path;

use anyhow::anyhow;
use cygnet::runtime::Level;
use cygnet::weights::Cache;
use cygnet::{Classifier, Model};

use crate::output::Hinted;
use crate::progress::Download;

/// The model that an argument names, ready to classify.
fn classifier(model: &str) -> anyhow::Result<Classifier> {
    level()?;
    Ok(Classifier::new(Model::load_with(model, &Cache::from_env()?, &mut Download::default())?)?)
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

/// The instruction set to use, as `CYGNET_ISA` allows.
fn level() -> anyhow::Result<Level> {
    Level::chosen().map_err(|problem| {
        let hint = format!("leave CYGNET_ISA unset for the best that this CPU has, {}", Level::best().name());
        Hinted { problem: format!("CYGNET_ISA: {problem}"), hint }.into()
    })
}

/// Why an argument is neither a network nor a file.
fn unknown(model: &str) -> anyhow::Error {
    let has_extension = Path::new(model)
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| FILES.contains(&extension.to_lowercase().as_str()));
    if has_extension {
        return anyhow!("{model}: no such file");
    }
    match cygnet::network(model) {
        Ok(_) => anyhow!("{model}: neither a network nor a file"),
        Err(error) => error.into(),
    }
}

/// Extensions of files with weights.
const FILES: [&str; 6] = ["safetensors", "pth", "pt", "pkl", "bin", "ckpt"];
