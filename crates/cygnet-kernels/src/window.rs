//! How a window slides over a map, and what it may reach.

use std::ops::Range;

use cygnet_cpu::{FAR, product};

use crate::map::Map;

/// How a window slides. Pairs are rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Size.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Distance of taps.
    pub dilation: [usize; 2],
    /// Rows above and columns to the left.
    pub pad: [usize; 2],
}

/// Taps of a window at most.
const TAPS: usize = 1 << 22;

impl Window {
    /// One pixel.
    pub const POINT: Window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };

    /// Checks that there is a window, and that neither a row nor a column that an output's window reaches wraps, nor what a
    /// kernel makes of them.
    ///
    /// # Panics
    /// If that is not so.
    pub(crate) fn assert(&self, input: &Map, output: &Map) {
        let sizes = [[input.height, output.height], [input.width, output.width]];
        if product(&self.kernel).is_none_or(|taps| taps > TAPS) {
            panic!("a window has at most {TAPS} taps: {self:?}");
        }
        for (axis, [from, to]) in sizes.into_iter().enumerate() {
            let [kernel, stride] = [self.kernel[axis], self.stride[axis]];
            let [dilation, pad] = [self.dilation[axis], self.pad[axis]];
            if kernel.min(stride).min(dilation) == 0 {
                panic!("a window's size, step and distance of taps are at least 1: {self:?}");
            }
            let taps = (kernel - 1).checked_mul(dilation);
            let last = to.saturating_sub(1).checked_mul(stride);
            let end = || from.checked_add(pad)?.checked_add(last?)?.checked_add(taps?)?.checked_add(kernel);
            let pixel = if axis == 0 { 1 } else { input.pixel.max(1) };
            let far = end().and_then(|end| end.checked_mul(pixel));
            if far.is_none_or(|far| far > FAR) || stride.checked_mul(pixel).is_none_or(|step| step > FAR) {
                panic!("the window reaches farther than places can be counted: {self:?}");
            }
        }
    }

    /// The same window, with a distance of 1 between the taps of an axis that has a single one.
    pub(crate) fn settled(mut self) -> Window {
        for axis in 0..2 {
            if self.kernel[axis] == 1 {
                self.dilation[axis] = 1;
            }
        }
        self
    }

    /// The image's row where the window of output row `y` begins, wrapping below 0.
    #[inline(always)]
    pub(crate) fn top(&self, y: usize) -> usize {
        (y * self.stride[0]).wrapping_sub(self.pad[0])
    }

    /// The rows `ky` of the window at output row `y` that lie on an image of `height` rows.
    pub(crate) fn rows(&self, y: usize, height: usize) -> Range<usize> {
        let ([kernel, _], [stride, _], [dilation, _], [pad, _]) =
            (self.kernel, self.stride, self.dilation, self.pad);
        let start = y * stride;
        let (above, below) = (pad.saturating_sub(start), (height + pad).saturating_sub(start));
        if dilation == 1 {
            let first = above.min(kernel);
            return first..below.clamp(first, kernel);
        }
        let first = above.div_ceil(dilation).min(kernel);
        first..below.div_ceil(dilation).clamp(first, kernel)
    }
}

/// Checks that the window stays within rows and halo at every output column.
pub(crate) fn check_reach(window: &Window, input: &Map, output: &Map) {
    window.assert(input, output);
    let reach = (output.width.max(1) - 1) * window.stride[1] + (window.kernel[1] - 1) * window.dilation[1];
    assert!(window.pad[1] <= input.halo[0], "the window starts before the halo");
    assert!(reach < input.width + window.pad[1] + input.halo[1], "the window ends after the halo");
}
