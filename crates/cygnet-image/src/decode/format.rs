//! Formats, told by a file's first bytes, and their decoders.

#[cfg(feature = "jxl")]
use super::jxl;
use super::limits::DecodeLimits;
use super::picture::Image;
#[cfg(feature = "tiff")]
use super::tiff;
use super::turn::Orientation;
use super::{bmp, gif, jpeg, png, webp};
use crate::error::{ImageError, Result};

/// A format that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    #[cfg(feature = "tiff")]
    Tiff,
    #[cfg(feature = "jxl")]
    Jxl,
}

/// Of either byte order, as the usual and as the big variant.
const TIFF: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];

/// The bare stream of pixels, and the container.
const JXL: [&[u8]; 2] = [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"];

impl Format {
    /// # Errors
    /// [`ImageError::Empty`]; [`ImageError::Unsupported`] for a known format that is not decoded, which says how to convert it;
    /// [`ImageError::UnknownFormat`].
    pub(super) fn of(data: &[u8]) -> Result<Format> {
        const SIGNATURES: [(&[u8], Format); 5] = [
            (b"\xff\xd8\xff", Format::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Format::Png),
            (b"GIF87a", Format::Gif),
            (b"GIF89a", Format::Gif),
            (b"BM", Format::Bmp),
        ];
        if data.is_empty() {
            return Err(ImageError::Empty);
        }
        if let Some((_, format)) = SIGNATURES.iter().find(|(signature, _)| data.starts_with(signature)) {
            return Ok(*format);
        }
        if data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP") {
            return Ok(Format::WebP);
        }
        if TIFF.iter().any(|signature| data.starts_with(signature)) {
            #[cfg(feature = "tiff")]
            return Ok(Format::Tiff);
            #[cfg(not(feature = "tiff"))]
            return Err(ImageError::NotDecoded {
                format: "TIFF",
                what: "not decoded here; convert it, for instance by `tiff2png photo.tif`",
            });
        }
        if JXL.iter().any(|signature| data.starts_with(signature)) {
            #[cfg(feature = "jxl")]
            return Ok(Format::Jxl);
            #[cfg(not(feature = "jxl"))]
            return Err(ImageError::NotDecoded {
                format: "JPEG XL",
                what: "not decoded here; convert it, for instance by `djxl photo.jxl photo.png`",
            });
        }
        Err(match data.get(4..12).and_then(|kind| kind.split_first_chunk::<4>()) {
            Some((b"ftyp", brand)) => other(brand),
            _ => ImageError::UnknownFormat,
        })
    }

    /// The picture of a file of this format, and how it is turned to be seen.
    pub(super) fn decode(self, data: &[u8], limits: DecodeLimits) -> Result<(Image, Orientation)> {
        match self {
            Format::Jpeg => jpeg::decode(data, limits),
            Format::Png => png::decode(data, limits),
            Format::WebP => webp::decode(data, limits),
            Format::Gif => Ok((gif::decode(data, limits)?, Orientation::Upright)),
            Format::Bmp => Ok((bmp::decode(data, limits)?, Orientation::Upright)),
            #[cfg(feature = "tiff")]
            Format::Tiff => tiff::decode(data, limits),
            #[cfg(feature = "jxl")]
            Format::Jxl => Ok((jxl::decode(data, limits)?, Orientation::Upright)),
        }
    }

    /// Width and height, if they stand in the beginning of a file. WebP, GIF and JPEG XL never take so many bytes a pixel that
    /// anyone asks.
    pub(super) fn size(self, beginning: &[u8]) -> Option<(usize, usize)> {
        match self {
            Format::Jpeg => jpeg::size(beginning),
            Format::Png => png::size(beginning),
            Format::Bmp => bmp::size(beginning),
            #[cfg(feature = "tiff")]
            Format::Tiff => tiff::size(beginning),
            Format::WebP | Format::Gif => None,
            #[cfg(feature = "jxl")]
            Format::Jxl => None,
        }
    }
}

/// Pictures in the container of MPEG-4.
fn other(brand: &[u8]) -> ImageError {
    let (format, what) = match brand {
        b"avif" | b"avis" => {
            ("AVIF", "not decoded; convert it, for instance by `avifdec photo.avif photo.png`")
        }
        b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1" => (
            "HEIC",
            "not decoded; convert it, for instance by `heif-convert photo.heic photo.jpg` or, on a Mac, `sips -s format \
             jpeg photo.heic --out photo.jpg` (iPhones: Settings, Camera, Formats, Most Compatible)",
        ),
        _ => return ImageError::UnknownFormat,
    };
    ImageError::NotDecoded { format, what }
}
