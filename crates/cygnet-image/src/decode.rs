//! Files to RGB pixels: JPEG, PNG, WebP, BMP and the first frame of a GIF.
//!
//! The format is taken from the content, never from the name. Pixels are those of Pillow's
//! `Image.open(f).convert("RGB")` turned upright by the EXIF orientation: palettes expanded, grey repeated, alpha
//! dropped, CMYK converted without a colour profile. Two differences are meant: 16-bit grey keeps its high byte as
//! 16-bit colour does, where Pillow clips it to white; and JPEG, whose standard leaves rounding and the smoothing
//! of chroma to the decoder, may be a few levels off, more along the edges of subsampled pictures.
//!
//! Refuses pictures beyond [`DecodeLimits`] before taking memory for them, and files that end early.

#![expect(clippy::wildcard_enum_match_arm, reason = "the enums matched here belong to other crates and grow")]

use std::fs::{self, File};
use std::io::{Cursor, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::{ImageError, Result};

/// A decoded photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// Red, green, blue; row after row from the top left; `width * height * 3` bytes.
    pub pixels: Vec<u8>,
}

/// What may be decoded, checked against the header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeLimits {
    /// Width times height; files of more than eight bytes a pixel of this are refused too.
    pub max_pixels: usize,
}

impl Default for DecodeLimits {
    /// 100 megapixels.
    fn default() -> Self {
        DecodeLimits { max_pixels: 100_000_000 }
    }
}

impl DecodeLimits {
    pub(crate) fn max_bytes(self) -> usize {
        self.max_pixels.saturating_mul(8).saturating_add(1 << 20)
    }

    pub(crate) fn too_long(self) -> ImageError {
        ImageError::FileTooLong { max_bytes: self.max_bytes(), max_pixels: self.max_pixels }
    }

    fn check(self, width: usize, height: usize) -> Result<()> {
        match width.checked_mul(height) {
            Some(pixels) if pixels <= self.max_pixels => Ok(()),
            _ => Err(ImageError::TooLarge { width, height, max_pixels: self.max_pixels }),
        }
    }
}

impl Image {
    /// Wraps RGB pixels.
    ///
    /// # Errors
    /// [`ImageError::PixelCount`] unless there are `width * height * 3 > 0` bytes.
    pub fn from_rgb(width: usize, height: usize, pixels: Vec<u8>) -> Result<Image> {
        let bytes = width.checked_mul(height).and_then(|count| count.checked_mul(3));
        if bytes != Some(pixels.len()) || pixels.is_empty() {
            return Err(ImageError::PixelCount { width, height, bytes: pixels.len() });
        }
        Ok(Image { width, height, pixels })
    }

    /// Reads and decodes a file within the default limits.
    ///
    /// # Errors
    /// [`ImageError::Read`], or [`ImageError::File`] with the reason of [`Image::decode`].
    pub fn open(path: impl AsRef<Path>) -> Result<Image> {
        Image::open_within(path, DecodeLimits::default())
    }

    /// Reads and decodes a file.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open_within(path: impl AsRef<Path>, limits: DecodeLimits) -> Result<Image> {
        let path = path.as_ref();
        let file = |reason| ImageError::File { path: path.to_owned(), reason: Box::new(reason) };
        Image::decode(&read_within(path, limits)?, limits).map_err(file)
    }

    /// Decodes the bytes of a file.
    ///
    /// # Errors
    /// [`ImageError::UnknownFormat`], [`ImageError::Unsupported`], [`ImageError::TooLarge`],
    /// [`ImageError::Truncated`] or [`ImageError::Corrupt`].
    pub fn decode(data: &[u8], limits: DecodeLimits) -> Result<Image> {
        let (image, orientation) = match image::guess_format(data).map_err(|_| ImageError::UnknownFormat)? {
            ImageFormat::Jpeg => decode_jpeg(data, limits)?,
            ImageFormat::Gif => (decode_gif(data, limits)?, None),
            ImageFormat::Png => decode_generic(data, ImageFormat::Png, "PNG", limits)?,
            ImageFormat::WebP => decode_generic(data, ImageFormat::WebP, "WebP", limits)?,
            ImageFormat::Bmp => decode_generic(data, ImageFormat::Bmp, "BMP", limits)?,
            other => {
                let what = format!("{other:?}");
                return Err(ImageError::Unsupported { format: "image", what });
            }
        };
        Ok(match orientation {
            None | Some(Orientation::NoTransforms) => image,
            Some(orientation) => image.turned(orientation),
        })
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it cannot be encoded.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        let (width, height) = (self.width as u32, self.height as u32);
        image::ImageEncoder::write_image(
            encoder,
            &self.pixels,
            width,
            height,
            image::ExtendedColorType::Rgb8,
        )
        .map_err(|error| ImageError::Corrupt { format: "PNG", reason: error.to_string() })?;
        Ok(bytes)
    }

    fn turned(&self, orientation: Orientation) -> Image {
        let (right, bottom) = (self.width - 1, self.height - 1);
        let swaps = matches!(
            orientation,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        );
        let (width, height) = if swaps { (self.height, self.width) } else { (self.width, self.height) };
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for y in 0..height {
            for x in 0..width {
                let (x, y) = match orientation {
                    Orientation::NoTransforms => (x, y),
                    Orientation::FlipHorizontal => (right - x, y),
                    Orientation::Rotate180 => (right - x, bottom - y),
                    Orientation::FlipVertical => (x, bottom - y),
                    Orientation::Rotate90FlipH => (y, x),
                    Orientation::Rotate90 => (y, bottom - x),
                    Orientation::Rotate270FlipH => (right - y, bottom - x),
                    Orientation::Rotate270 => (right - y, x),
                };
                pixels.extend_from_slice(&self.pixels[(y * self.width + x) * 3..][..3]);
            }
        }
        Image { width, height, pixels }
    }
}

/// The bytes of a file that is no longer than a picture within the limits.
pub(crate) fn read_within(path: &Path, limits: DecodeLimits) -> Result<Vec<u8>> {
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    // Before it is opened: a pipe would wait for its writer.
    if !fs::metadata(path).map_err(read)?.is_file() {
        return Err(read(std::io::Error::other("is not a file")));
    }
    let max_bytes = limits.max_bytes();
    let mut data = Vec::new();
    let input = File::open(path).map_err(read)?;
    input.take((max_bytes as u64).saturating_add(1)).read_to_end(&mut data).map_err(read)?;
    if data.len() > max_bytes {
        return Err(ImageError::File { path: path.to_owned(), reason: Box::new(limits.too_long()) });
    }
    Ok(data)
}

/// Adds what the library does not promise: no panic on a broken file, no picture of a file without its end marker.
fn decode_jpeg(data: &[u8], limits: DecodeLimits) -> Result<(Image, Option<Orientation>)> {
    let format = "JPEG";
    let mut input = Cursor::new(data);
    let decoded = catch_unwind(AssertUnwindSafe(|| read_jpeg(&mut input, limits)));
    let rest = data.get((input.position() as usize).saturating_sub(2)..).unwrap_or_default();
    let ended = rest.windows(2).any(|marker| marker == b"\xFF\xD9");
    match decoded {
        Ok(Ok(_) | Err(ImageError::Corrupt { .. })) if !ended => Err(ImageError::Truncated { format }),
        Ok(decoded) => decoded,
        Err(_) => Err(ImageError::Corrupt { format, reason: "its parts do not fit together".to_owned() }),
    }
}

fn read_jpeg(input: &mut Cursor<&[u8]>, limits: DecodeLimits) -> Result<(Image, Option<Orientation>)> {
    let format = "JPEG";
    let refuse = |error| match error {
        DecodeErrors::IoErrors(_) | DecodeErrors::ExhaustedData => ImageError::Truncated { format },
        error => ImageError::Corrupt { format, reason: error.to_string().trim_matches('"').to_owned() },
    };
    let longest = usize::from(u16::MAX);
    let options = DecoderOptions::default().set_max_width(longest).set_max_height(longest);
    let mut decoder = JpegDecoder::new_with_options(input, options);
    decoder.decode_headers().map_err(refuse)?;
    let info = decoder.info().unwrap_or_default();
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    limits.check(width, height)?;
    if ![1, 3, 4].contains(&info.components) {
        return Err(ImageError::Unsupported { format, what: format!("{} channels", info.components) });
    }
    let pixels = decoder.decode().map_err(refuse)?;
    let orientation = info.exif_data.as_deref().and_then(Orientation::from_exif_chunk);
    Ok((Image::from_rgb(width, height, pixels)?, orientation))
}

fn decode_generic(
    data: &[u8],
    kind: ImageFormat,
    format: &'static str,
    limits: DecodeLimits,
) -> Result<(Image, Option<Orientation>)> {
    let refuse = |error: image::ImageError| match error {
        image::ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format }
        }
        image::ImageError::Unsupported(error) => ImageError::Unsupported { format, what: error.to_string() },
        error => ImageError::Corrupt { format, reason: error.to_string() },
    };
    let mut reader = ImageReader::with_format(Cursor::new(data), kind);
    let mut allocation = image::Limits::no_limits();
    allocation.max_alloc = Some((limits.max_pixels as u64).saturating_mul(16).saturating_add(1 << 24));
    reader.limits(allocation);
    let mut decoder = reader.into_decoder().map_err(refuse)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    limits.check(width, height)?;
    let orientation = decoder.orientation().ok();
    let color = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(refuse)?;
    let pixel_bytes = usize::from(color.bytes_per_pixel());
    let rgb: fn(&[u8]) -> [u8; 3] = match color {
        ColorType::L8 | ColorType::La8 => |p| [p[0]; 3],
        ColorType::Rgb8 | ColorType::Rgba8 => |p| [p[0], p[1], p[2]],
        ColorType::L16 | ColorType::La16 => |p| [high_byte(p, 0); 3],
        ColorType::Rgb16 | ColorType::Rgba16 => |p| [high_byte(p, 0), high_byte(p, 1), high_byte(p, 2)],
        _ => return Err(ImageError::Unsupported { format, what: format!("{color:?}") }),
    };
    let pixels = match color {
        ColorType::Rgb8 => samples,
        _ => samples.chunks_exact(pixel_bytes).flat_map(rgb).collect(),
    };
    Ok((Image::from_rgb(width, height, pixels)?, orientation))
}

fn high_byte(pixel: &[u8], channel: usize) -> u8 {
    (u16::from_ne_bytes([pixel[2 * channel], pixel[2 * channel + 1]]) >> 8) as u8
}

/// The first frame on its screen, which grows to hold the frame and is filled with the transparent colour, else
/// with colour 0.
fn decode_gif(data: &[u8], limits: DecodeLimits) -> Result<Image> {
    let refuse = |error: gif::DecodingError| match error {
        gif::DecodingError::UnexpectedEof => ImageError::Truncated { format: "GIF" },
        gif::DecodingError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: "GIF" }
        }
        _ => ImageError::Corrupt { format: "GIF", reason: error.to_string() },
    };
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    let mut decoder = options.read_info(data).map_err(refuse)?;
    let (screen_width, screen_height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    limits.check(screen_width, screen_height)?;
    let frame = decoder.next_frame_info().map_err(refuse)?;
    let frame = frame.ok_or(ImageError::Corrupt { format: "GIF", reason: "no picture inside".to_owned() })?;
    let [left, top, frame_width, frame_height] =
        [frame.left, frame.top, frame.width, frame.height].map(usize::from);
    let background = frame.transparent.unwrap_or(0);
    let (width, height) = (screen_width.max(left + frame_width), screen_height.max(top + frame_height));
    limits.check(width, height)?;
    let mut colors: [[u8; 3]; 256] = std::array::from_fn(|index| [index as u8; 3]);
    let palette = frame.palette.as_deref();
    let palette = palette.map(<[u8]>::to_owned).or(decoder.global_palette().map(<[u8]>::to_owned));
    for (color, entry) in colors.iter_mut().zip(palette.unwrap_or_default().chunks_exact(3)) {
        color.copy_from_slice(entry);
    }
    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(refuse)?;
    let mut pixels = colors[usize::from(background)].repeat(width * height);
    if frame_width > 0 {
        let rows = pixels.chunks_exact_mut(width * 3).skip(top);
        for (row, indices) in rows.zip(indices.chunks_exact(frame_width)) {
            for (pixel, &index) in row[left * 3..].chunks_exact_mut(3).zip(indices) {
                pixel.copy_from_slice(&colors[usize::from(index)]);
            }
        }
    }
    Image::from_rgb(width, height, pixels)
}
