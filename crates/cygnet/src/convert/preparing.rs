//! How photos are prepared, where it is said and not read of the checkpoint.

use cygnet_image::{ChannelOrder, ImageError, Interpolation, Preprocess, Resize};

use crate::{Error, Model};

/// What is said of the preparation of photos; what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preparing {
    /// Height and width of the image, which the network then reads too.
    pub size: Option<[usize; 2]>,
    /// From the photo's size to the image's.
    pub resize: Option<Resize>,
    /// The filter of the resize.
    pub interpolation: Option<Interpolation>,
    /// The channels that the network reads.
    pub channels: Option<ChannelOrder>,
    /// Factor on the pixel value 0..=255.
    pub scale: Option<f32>,
    /// Subtracted after scaling: one number for each channel, or one for all.
    pub mean: Option<Vec<f32>>,
    /// Divisor after the mean: one number for each channel, or one for all.
    pub std: Option<Vec<f32>>,
}

impl Preparing {
    /// Whether nothing is said.
    fn is_empty(&self) -> bool {
        *self == Preparing::default()
    }

    /// Whether nothing is left that would have to be guessed.
    fn is_whole(&self) -> bool {
        self.resize.is_some() && self.mean.is_some() && self.std.is_some()
    }

    /// The model whose photos are prepared so.
    ///
    /// # Errors
    /// If the network cannot read images of that size or those channels, or a number makes no sense.
    pub(super) fn apply(&self, mut model: Model) -> Result<Model, Error> {
        if self.is_empty() {
            return Ok(model);
        }
        if let Some([height, width]) = self.size {
            model.graph = model.graph.resized(height, width)?;
            model.preprocess = model.preprocess.resized(height, width)?;
        }
        let Preprocess { resize, interpolation, channels, scale, mean, std, .. } = &mut model.preprocess;
        let count = self.channels.unwrap_or(*channels).count();
        let each = |numbers: &Vec<f32>| match numbers[..] {
            [one] => vec![one; count],
            _ => numbers.clone(),
        };
        // A channel more or less than before: what it had for all stays.
        [&mut *mean, &mut *std].into_iter().filter(|list| list.len() != count).for_each(|list| {
            let all = list.iter().sum::<f32>() / list.len().max(1) as f32;
            *list = vec![all; count];
        });
        *mean = self.mean.as_ref().map_or_else(|| mean.clone(), each);
        *std = self.std.as_ref().map_or_else(|| std.clone(), each);
        *resize = self.resize.unwrap_or(*resize);
        *interpolation = self.interpolation.unwrap_or(*interpolation);
        *channels = self.channels.unwrap_or(*channels);
        *scale = self.scale.unwrap_or(*scale);
        model.preprocess.check()?;
        let wrong = |reason: String| ImageError::Record { field: "size", reason };
        model.preprocess.makes(model.graph.input_shape()).map_err(wrong)?;
        if self.is_whole() {
            model.guessed = None;
        }
        Ok(model)
    }
}
