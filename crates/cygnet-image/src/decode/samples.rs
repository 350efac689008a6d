//! Samples of decoders to red, green and blue.

/// How a pixel's samples lie.
#[derive(Clone, Copy)]
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

    /// The colours of all pixels.
    pub(super) fn into_rgb(self, samples: Vec<u8>) -> Vec<u8> {
        if self.is_rgb() {
            return samples;
        }
        let mut rgb = vec![0; samples.len() / self.pixel_bytes() * 3];
        self.write_rgb(&samples, &mut rgb);
        rgb
    }
}
