//! Photos to tensors: decode, resize, crop, normalise; folders of labelled photos.
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

mod dataset;
mod decode;
mod error;
mod preprocess;
mod resize;

pub use dataset::{ClassFolder, collect_images};
pub use decode::{DecodeLimits, Image};
pub use error::{ImageError, Result};
pub use preprocess::{ChannelOrder, Preprocess, Resize};
pub use resize::Interpolation;
