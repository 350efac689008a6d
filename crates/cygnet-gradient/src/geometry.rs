//! How a window slides over images, and what it reaches.

use cygnet_cpu::FAR;

use crate::value::View;

/// A convolution's window and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Rows above and columns to the left of the image.
    pub pad: [usize; 2],
    /// Distances between the window's elements.
    pub dilation: [usize; 2],
    /// Channel groups.
    pub groups: usize,
}

impl Geometry {
    /// A 1×1 window.
    pub const POINT: Geometry =
        Geometry { kernel: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1], groups: 1 };

    /// Elements of the window.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether output pixels are input pixels.
    #[must_use]
    pub fn is_point(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.pad == [0, 0]
    }

    /// Whether its settings are from 1 to below `most`, and the places numbers that its windows reach from the pixels of one
    /// view on those of another.
    pub(crate) fn spans(&self, input: &View, output: &View, most: usize) -> bool {
        let axis = |i: usize| [self.kernel[i], self.stride[i], self.dilation[i], self.pad[i]];
        self.kernel.into_iter().chain(self.stride).chain(self.dilation).all(|n| (1..most).contains(&n))
            && input.images == output.images
            && reaches(axis(0), input.height, output.height)
            && reaches(axis(1), input.width, output.width)
    }
}

/// Whether the places are numbers that windows of an axis reach, `kernel`, `stride`, `dilation` and `pad` of it, from an
/// output of `to` places on an input of `from`.
pub(crate) fn reaches([kernel, stride, dilation, pad]: [usize; 4], from: usize, to: usize) -> bool {
    let last = || to.checked_mul(stride)?.checked_add(kernel.checked_mul(dilation)?);
    let end = || last()?.checked_add(from)?.checked_add(pad);
    kernel > 0 && end().is_some_and(|end| end <= FAR)
}
