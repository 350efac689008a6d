//! Depthwise convolutions: image by image, sixteen channels at a time, from a padded copy that stays in cache.

mod backward;
mod correlate;
mod pad;
mod scatter;
mod weight;

use std::ops::Range;

use cygnet_cpu::pool::share;
use cygnet_cpu::{FAR, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, Rows};
use crate::geometry::Geometry;
use crate::pack::spacing;
use crate::value::{Source, View, size};
use crate::work::{Limits, Work, Workspace};
use correlate::Correlate;
use pad::pad_source;

pub use backward::DepthwiseBackward;

/// Channels of a task.
const CHANNELS: usize = 16;

/// Blocks of images, each a partial result of sums over the batch.
#[must_use]
fn image_blocks(images: usize) -> usize {
    images.clamp(1, 8)
}

/// A depthwise convolution, forward.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// What it reads.
    pub source: Source,
    /// What it writes.
    pub output: View,
    /// Window; as many groups as channels.
    pub geometry: Geometry,
    /// The packed weight, [`crate::PackForm::Depthwise`].
    pub packed: usize,
    /// Parameter of the bias.
    pub bias: Option<usize>,
    /// Limits of the result.
    pub clamp: Option<[f32; 2]>,
    /// Where each block of images leaves its moments, `[blocks, 2, spacing]`, and the spacing.
    pub moments: Option<[usize; 2]>,
}

impl Depthwise {
    /// Blocks of images, each a partial result of the moments.
    #[must_use]
    pub fn image_blocks(output: &View) -> usize {
        image_blocks(output.images)
    }
}

/// Rows and columns of the padded image that the windows see.
fn padded(geometry: &Geometry, output: &View) -> [usize; 2] {
    let size = [output.height, output.width];
    [0, 1].map(|i| (size[i] - 1) * geometry.stride[i] + (geometry.kernel[i] - 1) * geometry.dilation[i] + 1)
}

/// Zero rows above and below, and columns to the left and right, of the gradient as the flipped windows see it.
fn margins(geometry: &Geometry, input: &View, output: &View) -> [[usize; 2]; 2] {
    let (from, to) = ([input.height, input.width], [output.height, output.width]);
    [0, 1].map(|i| {
        let reach = (geometry.kernel[i] - 1) * geometry.dilation[i];
        let before = reach.saturating_sub(geometry.pad[i]).div_ceil(geometry.stride[i]);
        let last = (from[i] - 1 + geometry.pad[i]) / geometry.stride[i];
        [before, last.saturating_sub(to[i] - 1)]
    })
}

/// Rows and columns of the gradient with its margins.
fn framed(geometry: &Geometry, input: &View, output: &View) -> [usize; 2] {
    let margins = margins(geometry, input, output);
    [output.height + margins[0][0] + margins[0][1], output.width + margins[1][0] + margins[1][1]]
}

/// Parts that the channels of an image block are cut into, in blocks of [`CHANNELS`].
fn channel_parts(images: usize, channels: usize) -> usize {
    let blocks = image_blocks(images);
    if blocks >= 8 { 1 } else { channels.div_ceil(CHANNELS).min(16usize.div_ceil(blocks)) }
}

/// Whether a depthwise convolution can be between two sound views.
fn geometry_fits(geometry: &Geometry, input: &View, output: &View) -> bool {
    geometry.spans(input, output, 1 << 16)
        && geometry.groups == input.channels
        && input.channels == output.channels
        && input.channels <= FAR >> 8
}

impl Work for Depthwise {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let channels = self.output.channels;
        self.source.is_sound()
            && self.output.is_sound()
            && geometry_fits(&self.geometry, &self.source.view, &self.output)
            && self.bias.is_none_or(|bias| limits.param(bias, channels))
            && self.moments.is_none_or(|[_, spacing]| spacing >= channels)
    }

    fn touches(&self, _: Level) -> Touches {
        let (channels, blocks) = (self.output.channels, image_blocks(self.output.images));
        let packed = Area::flat(self.packed, size(&[self.geometry.taps(), spacing(channels)]));
        let moments = self.moments.map(|[at, spacing]| Area::pairs(at, blocks, channels, spacing));
        Touches::default()
            .reads(self.source.areas().chain([packed]))
            .writes([self.output.into()].into_iter().chain(moments))
    }

    fn tasks(&self) -> usize {
        image_blocks(self.output.images) * channel_parts(self.output.images, self.output.channels)
    }

    fn macs(&self) -> u64 {
        size(&[self.output.rows(), self.output.channels, self.geometry.taps()]) as u64
    }

    fn scratch(&self) -> usize {
        let [rows, columns] = padded(&self.geometry, &self.output);
        size(&[rows, columns, CHANNELS])
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let blocks = image_blocks(self.output.images);
        let (block, part) = (task % blocks, task / blocks);
        let images = share(self.output.images, blocks, block);
        let all = self.output.channels;
        let groups = share(all.div_ceil(CHANNELS), self.tasks() / blocks, part);
        let [_, columns] = padded(&self.geometry, &self.output);
        let pixels = self.output.pixels();
        // SAFETY: `fits` checked the views and the weight; scratch has room for a padded image.
        unsafe {
            for image in images.clone() {
                let out = Rows::of(memory.arena, &self.output, image * pixels);
                for c in groups.clone().map(|group| group * CHANNELS) {
                    let channels = (all - c).min(CHANNELS);
                    for part in parts(memory, channels) {
                        let (c, lanes) = (c + part.start, part.len());
                        memory.level.run(pad_source(
                            memory,
                            &self.source,
                            &self.geometry,
                            &self.output,
                            image,
                            c,
                            lanes,
                        ));
                        memory.level.run(Correlate {
                            from: memory.scratch,
                            columns,
                            kernel: self.geometry.kernel,
                            stride: self.geometry.stride,
                            dilation: self.geometry.dilation,
                            weight: memory.arena.add(self.packed + c),
                            weight_step: spacing(all) as isize,
                            bias: self.bias.map_or(std::ptr::null(), |bias| memory.params[bias].add(c)),
                            clamp: self.clamp,
                            to: Rows { at: out.at.add(c), ..out },
                            size: [self.output.height, self.output.width],
                            lanes,
                            accumulate: false,
                        });
                    }
                    if let Some([at, spacing]) = self.moments {
                        let moments = chunk::MomentsRows {
                            rows: pixels,
                            from: Rows { at: out.at.add(c), ..out },
                            to: memory.arena.add(at + block * 2 * spacing + c),
                            spacing,
                            before: (image - images.start) * pixels,
                        };
                        Blocks::go(channels, moments, memory.level);
                    }
                }
            }
        }
    }
}

/// A task's channels cut into vectors.
fn parts(memory: &Workspace<'_>, channels: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let lanes = memory.level.lanes();
    (0..channels).step_by(lanes).map(move |start| start..(start + lanes).min(channels))
}
