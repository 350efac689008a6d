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
//!
//! The feature `datasets`, on by default, has the sets, augmentation and batches; without it photos become tensors, and no
//! more.

#[cfg(feature = "datasets")]
mod augment;
#[cfg(feature = "datasets")]
mod colour;
#[cfg(feature = "datasets")]
mod dataset;
mod decode;
mod error;
#[cfg(feature = "datasets")]
mod loader;
#[cfg(feature = "datasets")]
mod parallel;
#[cfg(feature = "datasets")]
mod photos;
mod preprocess;
#[cfg(feature = "datasets")]
mod randaugment;
mod resize;
#[cfg(feature = "datasets")]
mod rng;
#[cfg(feature = "datasets")]
mod warp;

#[cfg(feature = "datasets")]
pub use augment::{Augment, Crop};
#[cfg(feature = "datasets")]
pub use dataset::{Collected, Dataset, Sample, Splits, collect_images, collect_readable};
pub use decode::{DecodeLimits, Image};
pub use error::{ImageError, Result, without_name};
#[cfg(feature = "datasets")]
pub use loader::{Batch, Batches, Finish, Mix, Recipe as BatchRecipe, epoch_order};
#[cfg(feature = "datasets")]
pub use parallel::map_indexed;
#[cfg(feature = "datasets")]
pub use photos::{Photos, Survey, contradictions, duplicates};
pub use preprocess::{ChannelOrder, Preprocess, Resize};
pub use resize::Interpolation;
#[cfg(feature = "datasets")]
pub use rng::Rng;
