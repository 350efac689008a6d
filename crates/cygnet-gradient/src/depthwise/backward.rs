//! The gradients of a depthwise convolution.

use cygnet_cpu::Level;
use cygnet_cpu::pool::share;

use super::correlate::Correlate;
use super::pad::{How, Pad, pad_source};
use super::scatter::{Phase, Scatter, phases};
use super::weight::WeightGradient;
use super::{CHANNELS, channel_parts, framed, geometry_fits, image_blocks, margins, padded, parts};
use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, Rows};
use crate::geometry::Geometry;
use crate::pack::spacing;
use crate::value::{Gradient, Norm, Sink, Source, View, size};
use crate::work::{Limits, Work, Workspace};

/// The gradients of a depthwise convolution.
#[derive(Clone, Debug)]
pub struct DepthwiseBackward {
    /// What it read.
    pub source: Source,
    /// The gradient of its output.
    pub gradient: Gradient,
    /// Window; as many groups as channels.
    pub geometry: Geometry,
    /// The packed weight, [`crate::PackForm::Depthwise`].
    pub packed: usize,
    /// Whether the weight's gradient is wanted.
    pub weight: bool,
    /// Whether the bias' gradient is wanted.
    pub bias: bool,
    /// Where each block of images leaves its sums: of the weight as `[blocks, taps, spacing]`, then of the bias as
    /// `[blocks, spacing]`.
    pub partials: usize,
    /// Where the input's gradient goes.
    pub sink: Sink,
}

impl DepthwiseBackward {
    /// Blocks of images, whose sums are added in order.
    #[must_use]
    pub fn segments(images: usize) -> usize {
        image_blocks(images)
    }

    /// Channels of a row of partial sums.
    #[must_use]
    pub fn spacing(channels: usize) -> usize {
        spacing(channels)
    }

    fn sizes(&self) -> [usize; 2] {
        let out = self.gradient.view();
        [padded(&self.geometry, &out), framed(&self.geometry, &self.source.view, &out)]
            .map(|[rows, columns]| size(&[rows, columns, CHANNELS]))
    }
}

impl Work for DepthwiseBackward {
    fn fits(&self, _: &Limits<'_>) -> bool {
        self.source.is_sound()
            && self.gradient.is_sound()
            && geometry_fits(&self.geometry, &self.source.view, &self.gradient.view())
            && self.sink.fits(&self.source)
    }

    fn touches(&self, _: Level) -> Touches {
        let out = self.gradient.view();
        let (blocks, taps, spacing) = (image_blocks(out.images), self.geometry.taps(), spacing(out.channels));
        let packed = (self.sink != Sink::None).then(|| Area::flat(self.packed, size(&[taps, spacing])));
        let partials = Area::flat(self.partials, size(&[blocks, taps + 1, spacing]));
        Touches::default()
            .reads(self.source.areas().chain(self.gradient.areas()).chain(packed))
            .writes(self.sink.areas(&self.source, blocks).chain([partials]))
    }

    fn tasks(&self) -> usize {
        let out = self.gradient.view();
        image_blocks(out.images) * channel_parts(out.images, out.channels)
    }

    fn macs(&self) -> u64 {
        let out = self.gradient.view();
        let passes =
            [self.weight, self.sink != Sink::None].into_iter().filter(|is_wanted| *is_wanted).count();
        size(&[passes, out.rows(), out.channels, self.geometry.taps()]) as u64
    }

    fn scratch(&self) -> usize {
        let [padded, framed] = self.sizes();
        padded.saturating_add(framed)
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let out = self.gradient.view();
        let blocks = image_blocks(out.images);
        let (block, part) = (task % blocks, task / blocks);
        let images = share(out.images, blocks, block);
        let groups = share(out.channels.div_ceil(CHANNELS), self.tasks() / blocks, part);
        let phases = phases(&self.geometry, &self.source.view, &out);
        for image in images.clone() {
            for group in groups.clone() {
                let place = Place { block, image, is_first: image == images.start, c: group * CHANNELS };
                // SAFETY: the caller's promise.
                unsafe { self.image(memory, &place, &phases) }
            }
        }
    }
}

/// A part of a task: some channels of an image.
struct Place {
    block: usize,
    image: usize,
    is_first: bool,
    c: usize,
}

impl DepthwiseBackward {
    /// # Safety
    /// As [`Work::run`].
    unsafe fn image(&self, memory: &Workspace<'_>, place: &Place, phases: &[Phase]) {
        let out = self.gradient.view();
        let &Place { block, image, is_first, c } = place;
        let channels = (out.channels - c).min(CHANNELS);
        let (spacing, taps) = (spacing(out.channels), self.geometry.taps());
        let (kernel, stride, dilation) = (self.geometry.kernel, self.geometry.stride, self.geometry.dilation);
        let blocks = image_blocks(out.images);
        let input = &self.source.view;
        let margins = margins(&self.geometry, input, &out);
        let [_, columns] = framed(&self.geometry, input, &out);
        let inside = margins[0][0] * columns + margins[1][0];
        // SAFETY: `fits` checked the views and the weight; scratch has room for the two copies.
        unsafe {
            let framed = memory.scratch.add(self.sizes()[0]);
            for part in parts(memory, channels) {
                let (c, lanes) = (c + part.start, part.len());
                let d = framed.add(inside * memory.level.lanes());
                memory.level.run(self.frame(memory, image, c, lanes, framed));
                if self.weight {
                    let pad = pad_source(memory, &self.source, &self.geometry, &out, image, c, lanes);
                    memory.level.run(pad);
                    memory.level.run(WeightGradient {
                        from: memory.scratch,
                        columns: padded(&self.geometry, &out)[1],
                        kernel,
                        stride,
                        dilation,
                        d,
                        d_columns: columns,
                        size: [out.height, out.width],
                        to: memory.arena.add(self.partials + block * taps * spacing + c),
                        to_step: spacing,
                        lanes,
                        first: is_first,
                    });
                }
                if self.bias {
                    let to = memory.arena.add(self.partials + (blocks * taps + block) * spacing + c);
                    for y in 0..out.height {
                        let at = d.add(y * columns * memory.level.lanes());
                        let from = Rows { at, stride: memory.level.lanes() };
                        let sum = chunk::SumRows { rows: out.width, from, to, first: is_first && y == 0 };
                        Blocks::go(lanes, sum, memory.level);
                    }
                }
                let (view, accumulate) = match self.sink {
                    Sink::None => continue,
                    Sink::Plain { view, accumulate } => (view, accumulate),
                    Sink::Norm { view, .. } => (view, false),
                };
                let to = Rows::of(memory.arena, &view, image * input.pixels());
                let to = Rows { at: to.at.add(c), ..to };
                let size = [input.height, input.width];
                if stride != [1, 1] {
                    for phase in phases {
                        memory.level.run(Scatter {
                            d: framed,
                            columns,
                            phase,
                            stride,
                            weight: memory.arena.add(self.packed + c),
                            weight_step: spacing,
                            to,
                            size,
                            lanes,
                            accumulate,
                        });
                    }
                    continue;
                }
                // With more padding than the window reaches, the first windows see nothing.
                let skip = [0, 1].map(|i| self.geometry.pad[i].saturating_sub((kernel[i] - 1) * dilation[i]));
                memory.level.run(Correlate {
                    from: framed.add((skip[0] * columns + skip[1]) * memory.level.lanes()),
                    columns,
                    kernel,
                    stride,
                    dilation,
                    weight: memory.arena.add(self.packed + (taps - 1) * spacing + c),
                    weight_step: -(spacing as isize),
                    bias: std::ptr::null(),
                    clamp: None,
                    to,
                    size,
                    lanes,
                    accumulate,
                });
            }
            if let (Sink::Norm { view, sums }, Some(norm)) = (self.sink, self.source.norm) {
                let at = |rows: Rows| Rows { at: rows.at.add(c), ..rows };
                let g = at(Rows::of(memory.arena, &view, image * input.pixels()));
                let unnorm = chunk::UnnormRows {
                    rows: input.pixels(),
                    g,
                    y: at(Rows::of(memory.arena, input, image * input.pixels())),
                    term: Rows { at: std::ptr::null_mut(), stride: 0 },
                    to: g,
                    activation: self.source.activation,
                    mean: memory.arena.add(norm.mean() + c),
                    scale: memory.arena.add(norm.scale() + c),
                    shift: memory.arena.add(norm.shift() + c),
                    sums: memory.arena.add(sums + block * 2 * norm.spacing + c),
                    spacing: norm.spacing,
                    first: is_first,
                };
                Blocks::go(channels, unnorm, memory.level);
            }
        }
    }

    /// The output's gradient as whole vectors, with its margins.
    ///
    /// # Safety
    /// As [`Work::run`].
    unsafe fn frame(
        &self,
        memory: &Workspace<'_>,
        image: usize,
        c: usize,
        lanes: usize,
        to: *mut f32,
    ) -> Pad {
        let out = self.gradient.view();
        // SAFETY: the caller's promise.
        unsafe {
            let rows = |view: &View| {
                let rows = Rows::of(memory.arena, view, image * out.pixels());
                Rows { at: rows.at.add(c), ..rows }
            };
            let vector = |norm: &Norm, i: usize| {
                memory.arena.add(norm.coefficients() + i * norm.spacing + c).cast_const()
            };
            let (from, other, how) = match &self.gradient {
                Gradient::Plain(g) => (rows(g), rows(g), How::Copy),
                Gradient::Norm { g, y, norm } => {
                    (rows(g), rows(y), How::Combine([0, 1, 2].map(|i| vector(norm, i))))
                }
                Gradient::Clamp { g, z, activation } => (rows(g), rows(z), How::Mask(*activation)),
            };
            let larger = framed(&self.geometry, &self.source.view, &out);
            let before = margins(&self.geometry, &self.source.view, &out).map(|margin| margin[0]);
            Pad { from, other, size: [out.height, out.width], to, larger, before, lanes, how }
        }
    }
}
