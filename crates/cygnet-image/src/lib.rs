//! Photos to tensors: decode, resize, crop, normalise, augment; sets of labelled photos and batches of them.
//!
//! ```
//! use cygnet_image::{Image, Interpolation, Preprocess};
//!
//! let photo = Image::from_rgb(320, 240, vec![128; 320 * 240 * 3])?;
//! let tensor = Preprocess::imagenet(224, 0.875, Interpolation::Bilinear).apply(&photo)?;
//! assert_eq!(tensor.len(), 3 * 224 * 224);
//! # Ok::<(), cygnet_image::ImageError>(())
//! ```
//!
//! The reference is Pillow: decoded and resized pixels are its pixels, those of a JPEG to within rounding and chroma
//! smoothing, so that a network sees here what it saw in Python. Knows no network and no labels but the names of folders.

mod augment;
mod colour;
mod dataset;
mod decode;
mod error;
mod loader;
mod parallel;
mod photos;
mod preprocess;
mod randaugment;
mod resize;
mod rng;
mod warp;

pub use augment::{Augment, Crop};
pub use dataset::{Dataset, Sample, Splits, collect_images};
pub use decode::{DecodeLimits, Image};
pub use error::{ImageError, Result};
pub use loader::{Batch, Batches, Finish, Mix, Recipe as BatchRecipe, epoch_order};
pub use parallel::map_indexed;
pub use photos::{Photos, Survey, contradictions, duplicates};
pub use preprocess::{ChannelOrder, Preprocess, Resize};
pub use resize::Interpolation;
pub use rng::Rng;
