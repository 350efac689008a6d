//! GIF: the first frame.

use std::io::ErrorKind;

use super::limits::DecodeLimits;
use super::picture::Image;
use crate::error::{ImageError, Result};

/// The first frame on its screen, which grows to hold the frame and is filled with the transparent colour, else
/// with colour 0.
pub(super) fn decode(data: &[u8], limits: DecodeLimits) -> Result<Image> {
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
    limits.ensure_memory(decoder.buffer_size().saturating_add(width * height * 3))?;
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
