//! JPEG XL: the first frame, upright.

use jxl::api::{Event, JxlDecoder, JxlDecoderOptions, JxlOutputBuffer, JxlPixelFormat};

use super::limits::DecodeLimits;
use super::picture::Image;
use crate::error::{ImageError, Result};

const FORMAT: &str = "JPEG XL";

/// Samples a pixel: the colours, black of CMYK, alpha, and two more channels.
const MOST_CHANNELS: usize = 7;

/// Bytes a sample of the decoder's own buffers.
const SAMPLE_BYTES: usize = 4;

pub(super) fn decode(mut data: &[u8], limits: DecodeLimits) -> Result<Image> {
    let mut options = JxlDecoderOptions::default();
    options.sample_limit = Some(limits.max_pixels.saturating_mul(MOST_CHANNELS));
    let mut decoder = JxlDecoder::new(options);
    let mut image: Option<Image> = None;
    loop {
        let event = match &mut image {
            None => decoder.process(&mut data, None, None),
            Some(image) => {
                let rows = JxlOutputBuffer::new(&mut image.pixels, image.height, image.width * 3);
                decoder.process(&mut data, Some(&mut [rows]), None)
            }
        };
        match event.map_err(|error| refuse(&error))? {
            Event::NeedMoreInput { .. } => return Err(ImageError::Truncated { format: FORMAT }),
            Event::BasicInfo => {
                let info = decoder.basic_info().ok_or(ImageError::Truncated { format: FORMAT })?;
                let (width, height) = info.size;
                limits.check(width, height)?;
                let extra = info.extra_channels.len();
                limits.ensure_memory(width * height * (3 + 3 * SAMPLE_BYTES))?;
                decoder.set_pixel_format(JxlPixelFormat::rgb8(extra)).map_err(|error| refuse(&error))?;
                image = Some(Image::from_rgb(width, height, vec![0; width * height * 3])?);
            }
            Event::FrameHeader => {}
            Event::FrameComplete { .. } | Event::Complete => {
                return image.ok_or(ImageError::Truncated { format: FORMAT });
            }
        }
    }
}

fn refuse(error: &jxl::error::Error) -> ImageError {
    ImageError::Corrupt { format: FORMAT, reason: error.to_string() }
}
