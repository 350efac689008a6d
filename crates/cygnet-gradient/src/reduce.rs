//! Partial gradients of a weight, put together.

use cygnet_cpu::{FAR, Level};

use crate::area::{Area, Touches};
use crate::pack::spacing;
use crate::value::size;
use crate::work::{Limits, Work, Workspace};

/// How partial gradients of a weight lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLayout {
    /// As the parameter.
    Same,
    /// `[out, taps, inner]`, the parameter is `[out, inner, taps]`.
    Taps {
        /// Window positions.
        taps: usize,
        /// Input channels of a group.
        inner: usize,
    },
    /// `[taps, channels padded]`, the parameter is `[channels, taps]`.
    Depthwise {
        /// Window positions.
        taps: usize,
        /// Channels.
        channels: usize,
    },
    /// Any number of elements, whose sum is that of the one element of the parameter.
    Total,
}

/// Adds partial gradients, in order, to a parameter's.
#[derive(Clone, Debug)]
pub struct Reduce {
    /// The first segment's.
    pub partials: usize,
    /// Segments.
    pub segments: usize,
    /// Elements of a segment's.
    pub len: usize,
    /// The parameter.
    pub param: usize,
    /// Elements of the parameter.
    pub size: usize,
    /// How they lie.
    pub layout: WeightLayout,
}

/// Elements of a task.
const ELEMENTS: usize = 1 << 13;

impl Work for Reduce {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let lies_well = match self.layout {
            WeightLayout::Same => self.len == self.size,
            WeightLayout::Total => self.size == 1 && self.len <= FAR,
            WeightLayout::Taps { taps, inner } => {
                let each = size(&[taps, inner]);
                self.len == self.size && each > 0 && self.size.is_multiple_of(each)
            }
            WeightLayout::Depthwise { taps, channels } => {
                channels <= FAR
                    && self.size == size(&[taps, channels])
                    && self.len == size(&[taps, spacing(channels)])
            }
        };
        lies_well && self.segments > 0 && limits.param(self.param, self.size)
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::default().reads([Area::flat(self.partials, size(&[self.segments, self.len]))])
    }

    fn outside(&self) -> usize {
        self.size.saturating_mul(2)
    }

    fn tasks(&self) -> usize {
        match self.layout {
            WeightLayout::Total => 1,
            WeightLayout::Same | WeightLayout::Taps { .. } | WeightLayout::Depthwise { .. } => {
                self.len.div_ceil(ELEMENTS)
            }
        }
    }

    fn gradients(&self) -> Vec<usize> {
        vec![self.param]
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let elements = self.len.div_ceil(self.tasks().max(1)).max(ELEMENTS);
        let range = task * elements..((task + 1) * elements).min(self.len);
        // SAFETY: `fits` checked the partial sums and the parameter. Tasks write elements of their own, through the pointer.
        unsafe {
            let to = memory.gradients[self.param];
            let part = |segment: usize| {
                let at = self.partials + segment * self.len + range.start;
                std::slice::from_raw_parts(memory.arena.add(at), range.len())
            };
            let mut sums = [0.0f32; 64];
            for start in (0..range.len()).step_by(64) {
                let n = (range.len() - start).min(64);
                sums[..n].copy_from_slice(&part(0)[start..start + n]);
                for segment in 1..self.segments {
                    let from = &part(segment)[start..start + n];
                    sums[..n].iter_mut().zip(from).for_each(|(sum, x)| *sum += x);
                }
                self.add(&sums[..n], range.start + start, to);
            }
        }
    }
}

impl Reduce {
    /// Adds the sums of some elements, the first of which is `first`, to the parameter's gradient.
    ///
    /// # Safety
    /// The elements must be those of the task.
    unsafe fn add(&self, sums: &[f32], first: usize, to: *mut f32) {
        // SAFETY: the caller's promise; places are those of the elements in the parameter.
        unsafe {
            match self.layout {
                WeightLayout::Same => {
                    let to = std::slice::from_raw_parts_mut(to.add(first), sums.len());
                    to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
                }
                WeightLayout::Total => sums.iter().for_each(|sum| *to += sum),
                WeightLayout::Taps { taps, inner } => {
                    let (mut out, rest) = (first / (taps * inner), first % (taps * inner));
                    let (mut tap, mut c) = (rest / inner, rest % inner);
                    for sum in sums {
                        *to.add((out * inner + c) * taps + tap) += sum;
                        c += 1;
                        if c == inner {
                            (tap, c) = (tap + 1, 0);
                        }
                        if tap == taps {
                            (out, tap) = (out + 1, 0);
                        }
                    }
                }
                WeightLayout::Depthwise { taps, channels } => {
                    let spacing = spacing(channels);
                    let (mut tap, mut c) = (first / spacing, first % spacing);
                    for sum in sums {
                        if c < channels {
                            *to.add(c * taps + tap) += sum;
                        }
                        c += 1;
                        if c == spacing {
                            (tap, c) = (tap + 1, 0);
                        }
                    }
                }
            }
        }
    }
}
