//! What a photo comes as.

use std::path::{Path, PathBuf};

use cygnet_hub::{Cache, is_url, shown_url};
use cygnet_image::{DecodeLimits, Image};

use crate::Error;

/// Largest number of bytes of an image at an address.
const URL_LIMIT: u64 = 256 << 20;

/// A photo in one of the forms that it comes in.
#[derive(Clone, Debug)]
pub enum Photo {
    /// An image file, or the `https` address of one.
    File(PathBuf),
    /// The bytes of an image file.
    Bytes(Vec<u8>),
    /// Pixels.
    Image(Image),
}

impl Photo {
    /// Its pixels. Errors name the file.
    ///
    /// # Errors
    /// If it cannot be read, is no readable image, or is beyond the limits.
    pub fn open(&self, limits: DecodeLimits) -> Result<Image, Error> {
        match self {
            Photo::File(path) => match path.to_str().filter(|path| is_url(path)) {
                Some(url) => {
                    let bytes = fetched(url, &Cache::from_env()?)?;
                    let decoded = Image::decode(&bytes, limits).map_err(Error::from);
                    decoded.map_err(|error| error.in_file(Path::new(&shown_url(url))))
                }
                None => Ok(Image::open_within(path, limits)?),
            },
            Photo::Bytes(bytes) => Ok(Image::decode(bytes, limits)?),
            Photo::Image(image) => Ok(image.clone()),
        }
    }
}

/// The bytes of the image at an address; they are not kept.
pub(crate) fn fetched(url: &str, cache: &Cache) -> Result<Vec<u8>, Error> {
    Ok(cache.read_url(url, URL_LIMIT)?)
}
