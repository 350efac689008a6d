//! A dense convolution and the depthwise one that alone reads it, row by row: what lies between them stays in the first
//! caches and needs no room in the arena.

use std::ops::Range;

use cygnet_cpu::{FAR, Level};

use crate::conv::Conv;
use crate::depthwise::Depthwise;
use crate::map::Map;

/// Both convolutions. For one panel of channels after the other, rows of the first are computed into a ring as the
/// second needs them.
#[derive(Clone, Debug)]
pub struct Pair {
    dense: Conv,
    depthwise: Depthwise,
    /// Numbers of the ring.
    ring: usize,
}

impl Pair {
    /// Joins two convolutions; where the map between them lies no longer matters.
    ///
    /// # Panics
    /// If the two are made for different instruction sets, the first's output has not the size of the second's input, the
    /// first joined its rows to one, or the rows between have no size.
    #[must_use]
    pub fn new(mut dense: Conv, mut depthwise: Depthwise) -> Pair {
        assert_eq!(dense.level(), depthwise.level());
        let (from, to) = (dense.writes(), depthwise.reads());
        assert_eq!([from.height, from.width, from.channels], [to.height, to.width, to.channels]);
        let window = depthwise.window();
        let rows = ((window.kernel[0] - 1) * window.dilation[0] + 1).min(to.height).max(1);
        let pixel = dense.panel_width();
        let halo = to.halo;
        let columns = halo[0].checked_add(to.width).and_then(|columns| columns.checked_add(halo[1]));
        // Columns take room also where no panel has channels.
        let row = columns.and_then(|columns| columns.checked_mul(pixel.max(1))).unwrap_or(usize::MAX);
        let ring = rows.checked_mul(row).filter(|&numbers| numbers <= FAR);
        let ring = ring.expect("the rows between two convolutions can be counted");
        let map = Map { offset: halo[0] * pixel, pixel, row, halo, ring: rows, ..to };
        dense.set_output(map);
        depthwise.set_input(map);
        Pair { dense, depthwise, ring }
    }

    pub(crate) fn level(&self) -> Level {
        self.dense.level()
    }

    pub(crate) fn macs(&self) -> u64 {
        self.dense.macs().saturating_add(self.depthwise.macs())
    }

    pub(crate) fn reads(&self) -> impl Iterator<Item = Map> {
        self.dense.reads()
    }

    pub(crate) fn writes(&self) -> Map {
        self.depthwise.writes()
    }

    /// Bytes of a thread's own memory that it works in.
    pub(crate) fn scratch(&self) -> usize {
        self.ring * size_of::<f32>()
    }

    /// The output rows of every panel.
    pub(crate) fn units(&self) -> usize {
        self.dense.panels() * self.writes().height
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        self.dense.weight_bytes() + self.depthwise.weight_bytes()
    }

    /// Computes some units. Units that follow each other share rows of the map between.
    ///
    /// # Safety
    /// As [`Conv::run`]; `scratch` must be the caller's alone and hold [`Pair::scratch`] bytes and a vector more.
    pub(crate) unsafe fn run(&self, arena: *mut f32, scratch: *mut f32, units: Range<usize>) {
        let (window, middle) = (self.depthwise.window(), self.depthwise.reads());
        for y in 0..middle.ring.min(middle.height) {
            // SAFETY: the ring is the caller's; no panel's channels reach into the halo.
            unsafe { middle.zero_halo(scratch, y, 0..middle.pixel) };
        }
        let rows = self.writes().height;
        let mut unit = units.start;
        while unit < units.end {
            let (panel, start) = (unit / rows, unit % rows);
            let end = rows.min(start + units.end - unit);
            unit += end - start;
            let channels = self.dense.panel_channels(panel);
            // A panel's channels begin at the ring's first.
            let ring = scratch.wrapping_sub(channels.start);
            let mut sweep = self.depthwise.sweep(ring, arena, channels);
            let mut made = (start * window.stride[0]).saturating_sub(window.pad[0]);
            for y in start..end {
                let needed = window.rows(y, middle.height);
                let reach = needed.end.wrapping_sub(1).wrapping_mul(window.dilation[0]);
                let last = window.top(y).wrapping_add(reach);
                // SAFETY: the ring holds the rows that a window spans, of a panel's channels; the rest is the caller's
                // promise.
                unsafe {
                    while !needed.is_empty() && made <= last {
                        self.dense.row(arena, ring, made, panel);
                        made += 1;
                    }
                    sweep.row(y);
                }
            }
        }
    }
}
