//! Weights in the order in which products read them.

use cygnet_cpu::{FAR, Level};

use crate::area::{Area, Touches};
use crate::gemm;
use crate::geometry::Geometry;
use crate::value::size;
use crate::work::{Limits, Work, Workspace};

/// Which product a weight is packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackForm {
    /// Output channels are columns.
    Forward,
    /// Window positions × input channels are columns.
    Backward,
    /// Depthwise: `[window positions, channels]`, channels padded to `spacing`.
    Depthwise,
}

/// Packs the weight `[out, inner, kernel height, kernel width]` of a convolution.
#[derive(Clone, Debug)]
pub struct Pack {
    /// The parameter.
    pub weight: usize,
    /// Output channels.
    pub out: usize,
    /// Input channels of a group.
    pub inner: usize,
    /// Window and groups.
    pub geometry: Geometry,
    /// Which form.
    pub form: PackForm,
    /// Where it goes.
    pub to: usize,
    /// Instruction set whose vectors it is for.
    pub level: Level,
}

/// Columns of a packed panel.
#[must_use]
pub fn panel_width(level: Level) -> usize {
    gemm::panel_width(level)
}

/// Channels of one row of a packed depthwise weight.
pub(crate) fn spacing(channels: usize) -> usize {
    channels.next_multiple_of(16)
}

impl Pack {
    /// Numbers of the packed weight.
    #[must_use]
    pub fn len(&self) -> usize {
        let width = panel_width(self.level);
        let (out, inner) = (self.out / self.geometry.groups, self.inner * self.geometry.taps());
        match self.form {
            PackForm::Forward => size(&[self.geometry.groups, out.next_multiple_of(width), inner]),
            PackForm::Backward => size(&[self.geometry.groups, inner.next_multiple_of(width), out]),
            PackForm::Depthwise => size(&[self.geometry.taps(), spacing(self.out)]),
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn panels(&self) -> usize {
        let width = panel_width(self.level);
        match self.form {
            PackForm::Forward => (self.out / self.geometry.groups).div_ceil(width),
            PackForm::Backward => (self.inner * self.geometry.taps()).div_ceil(width),
            PackForm::Depthwise => 1,
        }
    }
}

impl Work for Pack {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let [kh, kw] = self.geometry.kernel;
        self.geometry.groups > 0
            && self.out.min(self.inner) > 0
            && self.out.is_multiple_of(self.geometry.groups)
            && limits.param(self.weight, size(&[self.out, self.inner, kh, kw]))
            && self.out.max(self.inner).max(kh).max(kw) <= FAR >> 1
            && size(&[self.inner, kh, kw]) <= FAR >> 1
            && (self.form != PackForm::Depthwise || self.inner == 1)
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::default().writes([Area::flat(self.to, self.len())])
    }

    fn outside(&self) -> usize {
        size(&[self.out, self.inner, self.geometry.taps()])
    }

    fn tasks(&self) -> usize {
        self.geometry.groups.min(if self.form == PackForm::Depthwise { 1 } else { usize::MAX })
            * self.panels()
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        const BLOCK: usize = 16;
        let (width, taps) = (panel_width(self.level), self.geometry.taps());
        let (out, inner) = (self.out / self.geometry.groups, self.inner * taps);
        // SAFETY: `fits` checked the lengths of the weight and of the packed form.
        unsafe {
            let weight = std::slice::from_raw_parts(memory.params[self.weight], self.out * inner);
            if self.form == PackForm::Depthwise {
                let to = std::slice::from_raw_parts_mut(memory.arena.add(self.to), self.len());
                for t in 0..taps {
                    for c in 0..self.out {
                        to[t * spacing(self.out) + c] = weight[c * taps + t];
                    }
                }
                return;
            }
            let (group, panel) = (task / self.panels(), task % self.panels());
            let weight = &weight[group * out * inner..][..out * inner];
            let rows = if self.form == PackForm::Forward { inner } else { out };
            let at = self.to + (group * self.panels() + panel) * rows * width;
            let to = std::slice::from_raw_parts_mut(memory.arena.add(at), rows * width);
            let first = panel * width;
            let channels = self.inner;
            match self.form {
                PackForm::Forward => {
                    let columns = (out - first).min(width);
                    // Row `k` is window position `k / channels`, channel `k % channels`.
                    for tap in 0..taps {
                        for start in (0..channels).step_by(BLOCK) {
                            let end = (start + BLOCK).min(channels);
                            for j in 0..columns {
                                let from = weight.as_ptr().add((first + j) * inner + tap);
                                let to = to.as_mut_ptr().add(tap * channels * width + j);
                                for c in start..end {
                                    *to.add(c * width) = *from.add(c * taps);
                                }
                            }
                        }
                    }
                    if columns < width {
                        to.chunks_exact_mut(width).for_each(|row| row[columns..].fill(0.0));
                    }
                }
                PackForm::Backward => {
                    let columns = (inner - first).min(width);
                    for (n, row) in to.chunks_exact_mut(width).enumerate() {
                        let from = &weight[n * inner..][..inner];
                        row[columns..].fill(0.0);
                        if taps == 1 {
                            row[..columns].copy_from_slice(&from[first..first + columns]);
                            continue;
                        }
                        let (mut tap, mut c) = (first / channels, first % channels);
                        for to in &mut row[..columns] {
                            *to = from[c * taps + tap];
                            c += 1;
                            if c == channels {
                                (tap, c) = (tap + 1, 0);
                            }
                        }
                    }
                }
                PackForm::Depthwise => {}
            }
        }
    }
}
