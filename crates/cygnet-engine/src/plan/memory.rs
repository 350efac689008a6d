//! Buffers: when they are needed, and where in the arena they lie.

use std::ops::RangeInclusive;

use cygnet_cpu::tuning;

/// Offsets are multiples of a cache line's numbers.
const ALIGNMENT: usize = tuning::LINE / size_of::<f32>();

/// A buffer's number.
pub(super) type Buffer = usize;

struct Place {
    len: usize,
    /// First and last step that touches it.
    steps: Option<(usize, usize)>,
    offset: usize,
}

/// All buffers of a plan. Lowering runs twice and asks for the same buffers in the same order: first to learn when
/// each is needed, then, after [`Memory::place`], with their offsets.
#[derive(Default)]
pub(super) struct Memory {
    places: Vec<Place>,
    next: usize,
}

impl Memory {
    /// A buffer of `len` numbers.
    pub(super) fn buffer(&mut self, len: usize) -> Buffer {
        if self.next == self.places.len() {
            self.places.push(Place { len: len.next_multiple_of(ALIGNMENT), steps: None, offset: 0 });
        }
        self.next += 1;
        self.next - 1
    }

    /// Notes that a step uses a buffer; where it lies.
    pub(super) fn touch(&mut self, buffer: Buffer, step: usize) -> usize {
        let place = &mut self.places[buffer];
        let (first, last) = place.steps.unwrap_or((step, step));
        place.steps = Some((first.min(step), last.max(step)));
        place.offset
    }

    /// Gives every buffer its offset, the largest first, each at the lowest place that is free while it is needed.
    /// Returns the arena's length; none if it would be absurd.
    pub(super) fn place(&mut self) -> Option<usize> {
        self.next = 0;
        let mut order: Vec<usize> =
            (0..self.places.len()).filter(|&i| self.places[i].steps.is_some()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(self.places[i].len), self.places[i].steps));
        let total = self.places.iter().try_fold(0usize, |sum, place| sum.checked_add(place.len))?;
        if total > isize::MAX as usize / 8 {
            return None;
        }
        let mut placed: Vec<usize> = Vec::new();
        let mut end = 0;
        for i in order {
            let span = |i: usize| -> RangeInclusive<usize> {
                let (first, last) = self.places[i].steps.unwrap_or_default();
                first..=last
            };
            let own = span(i);
            let mut taken: Vec<(usize, usize)> = placed
                .iter()
                .filter(|&&other| {
                    let other = span(other);
                    other.start() <= own.end() && own.start() <= other.end()
                })
                .map(|&other| (self.places[other].offset, self.places[other].len))
                .collect();
            taken.sort_unstable();
            let mut offset = 0;
            for (start, len) in taken {
                if offset + self.places[i].len <= start {
                    break;
                }
                offset = offset.max(start + len);
            }
            self.places[i].offset = offset;
            end = end.max(offset + self.places[i].len);
            placed.push(i);
        }
        Some(end)
    }
}
