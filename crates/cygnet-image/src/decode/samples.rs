//! Samples of decoders to red, green and blue.

/// How a pixel's samples lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Samples {
    /// One to four: the colours, then perhaps alpha.
    pub(super) channels: usize,
    /// One colour rather than three.
    pub(super) is_grey: bool,
    /// 16 bits a sample rather than 8.
    pub(super) is_wide: bool,
    /// Which byte of a wide sample is the high one.
    pub(super) high_byte: usize,
}

/// Bytes of a pixel's colours.
const RGB: usize = 3;

/// Pixels that are turned into colours together.
const TOGETHER: usize = 1024;

impl Samples {
    pub(super) fn pixel_bytes(self) -> usize {
        self.channels * if self.is_wide { 2 } else { 1 }
    }

    /// Whether they are red, green and blue as they stand.
    pub(super) fn is_rgb(self) -> bool {
        self.channels == 3 && !self.is_wide && !self.is_grey
    }

    /// Writes the colours of the pixels `from`.
    pub(super) fn write_rgb(self, from: &[u8], rgb: &mut [u8]) {
        let step = if self.is_wide { 2 } else { 1 };
        let first = if self.is_wide { self.high_byte } else { 0 };
        let places = if self.is_grey { [first; 3] } else { [first, first + step, first + 2 * step] };
        for (pixel, rgb) in from.chunks_exact(self.pixel_bytes()).zip(rgb.as_chunks_mut().0) {
            *rgb = places.map(|place| pixel[place]);
        }
    }

    /// Bytes of so many pixels while they become colours.
    pub(super) fn memory(self, pixels: usize) -> usize {
        let own = self.pixel_bytes();
        pixels * if own < RGB { own + RGB } else { own }
    }

    /// The colours of all pixels, in their place where there is room.
    pub(super) fn into_rgb(self, mut samples: Vec<u8>) -> Vec<u8> {
        if self.is_rgb() {
            return samples;
        }
        let own = self.pixel_bytes();
        let pixels = samples.len() / own;
        if own < RGB {
            let mut rgb = vec![0; pixels * RGB];
            self.write_rgb(&samples, &mut rgb);
            return rgb;
        }
        let mut row = vec![0; own * TOGETHER];
        for first in (0..pixels).step_by(TOGETHER) {
            let count = TOGETHER.min(pixels - first);
            let row = &mut row[..own * count];
            row.copy_from_slice(&samples[own * first..][..own * count]);
            self.write_rgb(row, &mut samples[RGB * first..][..RGB * count]);
        }
        samples.truncate(pixels * RGB);
        samples.shrink_to_fit();
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_in_place_are_those_of_the_samples() {
        for (channels, is_grey, is_wide) in [
            (1, true, false),
            (2, true, false),
            (4, false, false),
            (1, true, true),
            (2, true, true),
            (3, false, true),
            (4, false, true),
        ] {
            for high_byte in 0..=usize::from(is_wide) {
                let samples = Samples { channels, is_grey, is_wide, high_byte };
                let own = samples.pixel_bytes();
                let bytes: Vec<u8> = (0..own * (2 * TOGETHER + 7)).map(|i| (i * 31 % 251) as u8).collect();
                let mut expected = vec![0; bytes.len() / own * RGB];
                samples.write_rgb(&bytes, &mut expected);
                assert_eq!(samples.into_rgb(bytes), expected, "{samples:?}");
            }
        }
    }
}
