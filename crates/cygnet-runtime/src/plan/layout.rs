//! Buffers: which channels lie in them, when they are needed, and where in the arena they are.

use std::collections::HashMap;
use std::ops::Range;

use cygnet_graph::NodeId;
use cygnet_kernels::Map;

/// Where a channel lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) buffer: usize,
    pub(super) slot: usize,
}

/// A value: the place of each channel.
pub(super) type Value = Vec<Place>;

#[derive(Clone, Debug)]
struct Buffer {
    shape: [usize; 3],
    halo: [usize; 2],
    /// From its first write to its last read; nothing yet, for a buffer that no step has touched.
    steps: Option<Range<usize>>,
    offset: usize,
}

/// All buffers of a plan.
#[derive(Default)]
pub(super) struct Layout {
    buffers: Vec<Buffer>,
    shared: HashMap<NodeId, usize>,
}

/// Offsets are multiples of a cache line.
const ALIGNMENT: usize = 16;

/// Rows of pixels this many numbers apart would share few sets of the first cache.
const CACHE_STRIDE: usize = 256;

/// Ranges of channels that lie in consecutive slots of one buffer.
pub(super) fn runs(value: &[Place]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (c, place) in value.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if value[c - 1].buffer == place.buffer && value[c - 1].slot + 1 == place.slot => {
                run.end = c + 1;
            }
            _ => runs.push(c..c + 1),
        }
    }
    runs
}

/// The channels of a value in order of place, cut where slots do not follow each other.
pub(super) fn pieces(value: &[Place]) -> Vec<Vec<usize>> {
    let mut channels: Vec<usize> = (0..value.len()).collect();
    channels.sort_by_key(|&c| value[c]);
    let places: Value = channels.iter().map(|&c| value[c]).collect();
    runs(&places).into_iter().map(|run| channels[run].to_vec()).collect()
}

impl Buffer {
    fn pixel(&self) -> usize {
        let channels = self.shape[0];
        let is_alone = self.shape[1] * self.shape[2] == 1;
        if channels.is_multiple_of(CACHE_STRIDE) && !is_alone { channels + ALIGNMENT } else { channels }
    }

    fn touch(&mut self, step: usize) {
        let steps = self.steps.get_or_insert(step..step + 1);
        *steps = steps.start.min(step)..steps.end.max(step + 1);
    }

    fn first_step(&self) -> usize {
        self.steps.as_ref().map_or(0, |steps| steps.start)
    }

    fn row(&self) -> usize {
        (self.halo[0] + self.shape[2] + self.halo[1]) * self.pixel()
    }

    fn len(&self) -> usize {
        (self.shape[1] * self.row()).next_multiple_of(ALIGNMENT)
    }
}

impl Layout {
    /// A new buffer `[channels, height, width]`.
    pub(super) fn buffer(&mut self, shape: [usize; 3]) -> Value {
        let buffer = self.buffers.len();
        self.buffers.push(Buffer { shape, halo: [0, 0], steps: None, offset: 0 });
        (0..shape[0]).map(|slot| Place { buffer, slot }).collect()
    }

    /// The buffer of a concatenation, made at the first call.
    pub(super) fn shared(&mut self, concat: NodeId, shape: [usize; 3]) -> usize {
        match self.shared.get(&concat) {
            Some(buffer) => *buffer,
            None => {
                let buffer = self.buffer(shape)[0].buffer;
                self.shared.insert(concat, buffer);
                buffer
            }
        }
    }

    /// Notes a read at a step by windows that reach `pad` columns over the edges.
    pub(super) fn read(&mut self, value: &[Place], step: usize, pad: [usize; 2]) {
        for place in value {
            let buffer = &mut self.buffers[place.buffer];
            buffer.touch(step);
            buffer.halo = [0, 1].map(|side| buffer.halo[side].max(pad[side]));
        }
    }

    /// Notes a write at a step.
    pub(super) fn write(&mut self, value: &[Place], step: usize) {
        for place in value {
            self.buffers[place.buffer].touch(step);
        }
    }

    /// Keeps a value until after the last step.
    pub(super) fn keep(&mut self, value: &[Place], steps: usize) {
        self.read(value, steps, [0, 0]);
    }

    /// Gives every buffer its offset, the largest first, each at the lowest place that is free while it is needed.
    /// Returns the arena's length.
    pub(super) fn place(&mut self) -> usize {
        let mut order: Vec<usize> = (0..self.buffers.len()).collect();
        order.sort_by_key(|&b| (std::cmp::Reverse(self.buffers[b].len()), self.buffers[b].first_step()));
        let mut placed: Vec<usize> = Vec::new();
        for b in order {
            let buffer = &self.buffers[b];
            let mut taken: Vec<Range<usize>> = placed
                .iter()
                .map(|&other| &self.buffers[other])
                .filter(|other| meet(&other.steps, &buffer.steps))
                .map(|other| other.offset..other.offset + other.len())
                .collect();
            taken.sort_by_key(|range| range.start);
            let mut offset = 0;
            for range in taken {
                if offset + buffer.len() <= range.start {
                    break;
                }
                offset = offset.max(range.end);
            }
            self.buffers[b].offset = offset;
            placed.push(b);
        }
        self.buffers.iter().map(|buffer| buffer.offset + buffer.len()).max().unwrap_or(0)
    }

    /// The map of places in consecutive slots.
    pub(super) fn map(&self, value: &[Place]) -> Map {
        debug_assert_eq!(runs(value).len(), 1);
        let Place { buffer, slot } = value[0];
        let buffer = &self.buffers[buffer];
        let [_, height, width] = buffer.shape;
        let pixel = buffer.pixel();
        Map {
            offset: buffer.offset + buffer.halo[0] * pixel + slot,
            height,
            width,
            channels: value.len(),
            pixel,
            row: buffer.row(),
            halo: buffer.halo,
            ring: height,
        }
    }
}

fn meet(a: &Option<Range<usize>>, b: &Option<Range<usize>>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.start < b.end && b.start < a.end)
}
