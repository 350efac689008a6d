//! Sizes and places that do not wrap.

use std::ops::Range;

/// The largest stride and number of elements, of which a kernel may take small multiples.
pub const FAR: usize = isize::MAX as usize >> 5;

/// The product of some sizes, unless it wraps.
#[inline]
#[must_use]
pub fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}

/// The part of `size` rows or columns that output `o` of `outputs` is the mean of, where windows cover a map.
#[inline]
#[must_use]
pub fn adaptive_window(o: usize, outputs: usize, size: usize) -> Range<usize> {
    o * size / outputs..((o + 1) * size).div_ceil(outputs)
}
