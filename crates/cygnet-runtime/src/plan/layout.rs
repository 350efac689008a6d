//! Where in the arena buffers lie.

use std::ops::Range;

use cygnet_kernels::{Element, Map, tuning};

use super::outline::PlanBuffer;
use super::places::{Buffer, Buffers, Place, runs};

/// Buffers with their places in the arena.
pub(super) struct Layout {
    buffers: Buffers,
    /// Of each buffer, in bytes.
    offsets: Vec<usize>,
    /// Bytes of the arena.
    pub(super) arena: usize,
}

/// Pixels are multiples of so many bytes, of which a dot product takes the inputs at once.
const WORD: usize = 4;

/// From more buffers on, offsets are found in one pass.
const MANY: usize = 2048;

/// Most bytes of all buffers together, needed at one time or not.
const MOST_BYTES: u64 = 1 << 42;

impl Buffer {
    /// Bytes from a column to the next.
    fn pixel(&self) -> usize {
        let channels = self.shape[0].saturating_mul(self.element.bytes());
        let channels = channels.checked_next_multiple_of(WORD).unwrap_or(usize::MAX);
        let is_alone = self.shape[1] * self.shape[2] == 1;
        let is_spread = channels.is_multiple_of(tuning::CACHE_STRIDE) && !is_alone;
        if is_spread { channels.saturating_add(tuning::LINE) } else { channels }
    }

    /// Bytes from a row to the next.
    fn row(&self) -> usize {
        let pixels = self.halo[0].saturating_add(self.shape[2]).saturating_add(self.halo[1]);
        pixels.saturating_mul(self.pixel())
    }

    /// Its bytes.
    fn len(&self) -> usize {
        let len = self.shape[1].saturating_mul(self.row());
        len.checked_next_multiple_of(tuning::LINE).unwrap_or(usize::MAX)
    }
}

impl Layout {
    /// Gives every buffer its offset: one after the other at the lowest place that is free while it is needed. Of
    /// several orders the one that needs the shortest arena counts; many buffers are taken by their first write. None if
    /// no memory could hold all buffers.
    pub(super) fn of(buffers: Buffers) -> Option<Layout> {
        let all = buffers.all();
        let sum = all.iter().try_fold(0usize, |sum, buffer| sum.checked_add(buffer.len()));
        if sum.is_none_or(|sum| sum as u64 > MOST_BYTES) {
            return None;
        }
        let (offsets, arena) = if all.len() > MANY {
            let offsets = offsets_by_birth(all);
            let arena = end(all, &offsets);
            (offsets, arena)
        } else {
            shortest(all)
        };
        Some(Layout { buffers, offsets, arena })
    }

    /// The most bytes over all steps that are written and still to be read; `calls` are those of each step.
    pub(super) fn lower_bound(&self, calls: impl Iterator<Item = Range<usize>>) -> usize {
        let step_of: Vec<usize> =
            calls.enumerate().flat_map(|(step, calls)| calls.map(move |_| step)).collect();
        let last = step_of.last().map_or(0, |last| last + 1);
        let step = |call: usize| step_of.get(call).copied().unwrap_or(last);
        let slots = self.buffers.all().iter().flat_map(|buffer| {
            let life = |life: &Range<usize>| (step(life.start)..step(life.end - 1) + 1, buffer.plane());
            buffer.slots.iter().flatten().map(life).collect::<Vec<_>>()
        });
        live(slots).into_iter().max().unwrap_or(0)
    }

    /// Where buffers lie and when, in bytes.
    pub(super) fn planned(&self) -> Vec<PlanBuffer> {
        let planned = |(buffer, &offset): (&Buffer, &usize)| PlanBuffer {
            bytes: offset..offset + buffer.len(),
            calls: buffer.life(),
        };
        self.buffers.all().iter().zip(&self.offsets).map(planned).collect()
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
        let Place { buffer: at, slot } = value[0];
        let buffer = &self.buffers.all()[at];
        let [_, height, width] = buffer.shape;
        let element = buffer.element;
        let [start, pixel, row] =
            [self.offsets[at], buffer.pixel(), buffer.row()].map(|bytes| bytes / element.bytes());
        Map {
            element,
            offset: start + buffer.halo[0] * pixel + slot,
            height,
            width,
            channels: value.len(),
            pixel,
            row,
            halo: buffer.halo,
            ring: height,
        }
    }

    /// As [`Layout::map`], with what rounds a pixel up to whole words if the value is its end: nobody's, and of no account.
    pub(super) fn rounded(&self, value: &[Place]) -> Map {
        let (mut map, buffer) = (self.map(value), &self.buffers.all()[value[0].buffer]);
        let is_end = value[0].slot + value.len() == buffer.shape[0];
        if is_end && buffer.element == Element::U8 {
            map.channels += buffer.shape[0].next_multiple_of(WORD) - buffer.shape[0];
        }
        map
    }
}

/// The arena's bytes.
fn end(buffers: &[Buffer], offsets: &[usize]) -> usize {
    buffers.iter().zip(offsets).map(|(buffer, offset)| offset + buffer.len()).max().unwrap_or(0)
}

/// Offsets in the best of several orders, and the arena's bytes.
fn shortest(buffers: &[Buffer]) -> (Vec<usize>, usize) {
    let live = live(buffers.iter().map(|buffer| (buffer.life(), buffer.len())));
    let least = live.iter().copied().max().unwrap_or(0);
    let crowd = |b: usize| live[buffers[b].life()].iter().copied().max().unwrap_or(0);
    let (life, len) = (|b: usize| buffers[b].life(), |b: usize| buffers[b].len());
    let keys: [&dyn Fn(usize) -> [usize; 3]; 5] = [
        &|b| [!len(b), life(b).start, 0],
        &|b| [!crowd(b), !len(b), life(b).start],
        &|b| [!len(b).saturating_mul(life(b).len()), life(b).start, 0],
        &|b| [!life(b).len(), !len(b), life(b).start],
        &|b| [life(b).start, !len(b), 0],
    ];
    let (mut best, mut arena) = (Vec::new(), usize::MAX);
    for key in keys {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_cached_key(|&b| key(b));
        let offsets = offsets(buffers, &order);
        let end = end(buffers, &offsets);
        if end < arena {
            (best, arena) = (offsets, end);
        }
        if arena <= least {
            break;
        }
    }
    (best, arena)
}

/// The lowest free offset of each buffer, taken in an order.
fn offsets(buffers: &[Buffer], order: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0; buffers.len()];
    for (i, &b) in order.iter().enumerate() {
        let buffer = &buffers[b];
        let mut taken: Vec<Range<usize>> = order[..i]
            .iter()
            .filter(|&&other| meet(&buffers[other].life(), &buffer.life()))
            .map(|&other| offsets[other]..offsets[other] + buffers[other].len())
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

/// As [`offsets`] in order of the first write, where only buffers that are needed then can be in the way.
fn offsets_by_birth(buffers: &[Buffer]) -> Vec<usize> {
    let mut offsets = vec![0; buffers.len()];
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&b| buffers[b].life().start);
    // Places of those that are needed now, and until when, by offset.
    let mut alive: Vec<(Range<usize>, usize)> = Vec::new();
    for b in order {
        let (life, len) = (buffers[b].life(), buffers[b].len());
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

fn meet(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// The sum of the sizes that are alive at each call.
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
