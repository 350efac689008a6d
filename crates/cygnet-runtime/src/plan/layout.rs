//! Buffers: which channels lie in them, when they are needed, and where in the arena they are.

use std::collections::HashMap;
use std::ops::Range;

use cygnet_graph::NodeId;
use cygnet_kernels::Map;

use super::outline::PlanBuffer;

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
    /// The same for each channel.
    slots: Vec<Option<Range<usize>>>,
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

/// From more buffers on, offsets are found in one pass.
const MANY: usize = 2048;

/// Most numbers of all buffers together, needed at one time or not.
const MOST_NUMBERS: u64 = 1 << 40;

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

    fn touch(&mut self, slot: usize, step: usize) {
        for steps in [&mut self.steps, &mut self.slots[slot]] {
            let steps = steps.get_or_insert(step..step + 1);
            *steps = steps.start.min(step)..steps.end.max(step + 1);
        }
    }

    fn life(&self) -> Range<usize> {
        self.steps.clone().unwrap_or_default()
    }

    /// Numbers of one channel.
    fn plane(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    fn row(&self) -> usize {
        let pixels = self.halo[0].saturating_add(self.shape[2]).saturating_add(self.halo[1]);
        pixels.saturating_mul(self.pixel())
    }

    fn len(&self) -> usize {
        let len = self.shape[1].saturating_mul(self.row());
        len.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX)
    }
}

impl Layout {
    /// A new buffer `[channels, height, width]`.
    pub(super) fn buffer(&mut self, shape: [usize; 3]) -> Value {
        let buffer = self.buffers.len();
        let slots = vec![None; shape[0]];
        self.buffers.push(Buffer { shape, halo: [0, 0], steps: None, slots, offset: 0 });
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
            buffer.touch(place.slot, step);
            buffer.halo = [0, 1].map(|side| buffer.halo[side].max(pad[side]));
        }
    }

    /// Notes a write at a step.
    pub(super) fn write(&mut self, value: &[Place], step: usize) {
        for place in value {
            self.buffers[place.buffer].touch(place.slot, step);
        }
    }

    /// Keeps a value until after the last step.
    pub(super) fn keep(&mut self, value: &[Place], steps: usize) {
        self.read(value, steps, [0, 0]);
    }

    /// Bytes of a value.
    pub(super) fn bytes(&self, value: &[Place]) -> u64 {
        value.iter().map(|place| (self.buffers[place.buffer].plane() * size_of::<f32>()) as u64).sum()
    }

    /// The most numbers over all steps that are written and still to be read; `calls` are those of each step.
    pub(super) fn lower_bound(&self, calls: impl Iterator<Item = Range<usize>>) -> usize {
        let step_of: Vec<usize> =
            calls.enumerate().flat_map(|(step, calls)| calls.map(move |_| step)).collect();
        let last = step_of.last().map_or(0, |last| last + 1);
        let step = |call: usize| step_of.get(call).copied().unwrap_or(last);
        let slots = self.buffers.iter().flat_map(|buffer| {
            let life = |life: &Range<usize>| (step(life.start)..step(life.end - 1) + 1, buffer.plane());
            buffer.slots.iter().flatten().map(life).collect::<Vec<_>>()
        });
        live(slots).into_iter().max().unwrap_or(0)
    }

    /// Gives every buffer its offset: one after the other at the lowest place that is free while it is needed. Of
    /// several orders the one that needs the shortest arena counts; many buffers are taken by their first write. Returns
    /// the arena's length, none if no memory could hold all buffers.
    pub(super) fn place(&mut self) -> Option<usize> {
        let buffers = &self.buffers;
        let all = buffers.iter().try_fold(0usize, |all, buffer| all.checked_add(buffer.len()));
        if all.is_none_or(|all| all as u64 > MOST_NUMBERS) {
            return None;
        }
        if buffers.len() > MANY {
            let offsets = self.offsets_by_birth();
            let ends = buffers.iter().zip(&offsets).map(|(buffer, offset)| offset + buffer.len());
            let arena = ends.max();
            self.buffers.iter_mut().zip(offsets).for_each(|(buffer, offset)| buffer.offset = offset);
            return arena;
        }
        let live = live(buffers.iter().map(|buffer| (buffer.life(), buffer.len())));
        let least = live.iter().copied().max().unwrap_or(0);
        let crowd = |b: usize| live[buffers[b].life()].iter().copied().max().unwrap_or(0);
        let (life, len) = (|b: usize| buffers[b].life(), |b: usize| buffers[b].len());
        let keys: [&dyn Fn(usize) -> [usize; 3]; 5] = [
            &|b| [!len(b), life(b).start, 0],
            &|b| [!crowd(b), !len(b), life(b).start],
            &|b| [!(len(b) * life(b).len()), life(b).start, 0],
            &|b| [!life(b).len(), !len(b), life(b).start],
            &|b| [life(b).start, !len(b), 0],
        ];
        let (mut shortest, mut best) = (usize::MAX, Vec::new());
        for key in keys {
            let mut order: Vec<usize> = (0..buffers.len()).collect();
            order.sort_by_cached_key(|&b| key(b));
            let offsets = self.offsets(&order);
            let ends = buffers.iter().zip(&offsets).map(|(buffer, offset)| offset + buffer.len());
            let arena = ends.max().unwrap_or(0);
            if arena < shortest {
                (shortest, best) = (arena, offsets);
            }
            if shortest <= least {
                break;
            }
        }
        self.buffers.iter_mut().zip(best).for_each(|(buffer, offset)| buffer.offset = offset);
        Some(shortest)
    }

    /// As [`Layout::offsets`] in order of the first write, where only buffers that are needed then can be in the way.
    fn offsets_by_birth(&self) -> Vec<usize> {
        let mut offsets = vec![0; self.buffers.len()];
        let mut order: Vec<usize> = (0..self.buffers.len()).collect();
        order.sort_by_key(|&b| self.buffers[b].life().start);
        // Places of those that are needed now, and until when, by offset.
        let mut alive: Vec<(Range<usize>, usize)> = Vec::new();
        for b in order {
            let (life, len) = (self.buffers[b].life(), self.buffers[b].len());
            alive.retain(|(_, end)| *end > life.start);
            let (mut offset, mut before) = (0, alive.len());
            for (i, (taken, _)) in alive.iter().enumerate() {
                if offset + len <= taken.start {
                    before = i;
                    break;
                }
                offset = offset.max(taken.end);
            }
            offsets[b] = offset;
            alive.insert(before, (offset..offset + len, life.end));
        }
        offsets
    }

    fn offsets(&self, order: &[usize]) -> Vec<usize> {
        let mut offsets = vec![0; self.buffers.len()];
        for (i, &b) in order.iter().enumerate() {
            let buffer = &self.buffers[b];
            let mut taken: Vec<Range<usize>> = order[..i]
                .iter()
                .filter(|&&other| meet(&self.buffers[other].life(), &buffer.life()))
                .map(|&other| offsets[other]..offsets[other] + self.buffers[other].len())
                .collect();
            taken.sort_by_key(|range| range.start);
            let mut offset = 0;
            for range in taken {
                if offset + buffer.len() <= range.start {
                    break;
                }
                offset = offset.max(range.end);
            }
            offsets[b] = offset;
        }
        offsets
    }

    /// Where buffers lie and when, in bytes.
    pub(super) fn planned(&self) -> Vec<PlanBuffer> {
        let bytes = |buffer: &Buffer| {
            buffer.offset * size_of::<f32>()..(buffer.offset + buffer.len()) * size_of::<f32>()
        };
        self.buffers.iter().map(|buffer| PlanBuffer { bytes: bytes(buffer), calls: buffer.life() }).collect()
    }

    /// Whether no two buffers that are needed at one time overlap; of many buffers the first ones.
    pub(super) fn is_free_of_overlaps(&self) -> bool {
        let mut buffers = self.planned();
        buffers.truncate(MANY);
        let clash = |a: &PlanBuffer, b: &PlanBuffer| meet(&a.calls, &b.calls) && meet(&a.bytes, &b.bytes);
        buffers.iter().enumerate().all(|(i, a)| !buffers[i + 1..].iter().any(|b| clash(a, b)))
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

fn meet(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// The sum of the sizes that are alive at each step.
fn live(lives: impl Iterator<Item = (Range<usize>, usize)>) -> Vec<usize> {
    let mut changes: Vec<[usize; 2]> = Vec::new();
    for (life, size) in lives {
        changes.resize(changes.len().max(life.end + 1), [0, 0]);
        changes[life.start][0] += size;
        changes[life.end][1] += size;
    }
    let mut sum = 0;
    let sums = changes.into_iter().map(|[born, dead]| {
        sum = sum + born - dead;
        sum
    });
    sums.collect()
}
