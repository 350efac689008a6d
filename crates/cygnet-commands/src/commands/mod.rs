//! One function a command. Each says whether all went well.

mod bench;
mod classify;
mod convert;
mod eval;
mod kernels;
mod list;
mod show;
mod train;
mod verify;

pub(crate) use bench::bench;
pub(crate) use classify::classify;
pub(crate) use convert::{convert, pull};
pub(crate) use eval::eval;
pub(crate) use kernels::kernels;
pub(crate) use list::list;
pub(crate) use show::show;
pub(crate) use train::{TRAIN_HELP, Train, train};
pub(crate) use verify::verify;

use cygnet::image::DecodeLimits;
use cygnet::weights::Cache;
use cygnet::{Classifier, Model};

use crate::progress::Download;

/// The model that an argument names, ready to classify photos of up to so many pixels.
fn classifier(model: &str, max_pixels: usize) -> anyhow::Result<Classifier> {
    let model = Model::load(model, &Cache::from_env()?, &mut Download::default())?;
    Ok(Classifier::new(model)?.within(DecodeLimits { max_pixels }))
}
