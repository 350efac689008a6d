//! Channels that change places: concatenations, slices and shuffles that are no views.

use cygnet_cpu::{Isa, Kernel, Level};

use crate::area::{Area, Touches};
use crate::chunk::{ROWS, Rows};
use crate::value::View;
use crate::work::{Limits, Work, Workspace};

/// Puts channels of some views together, in any order; or takes the gradient apart again.
#[derive(Clone, Debug)]
pub struct Gather {
    /// The parts; none where a part's gradient is not wanted.
    pub parts: Vec<Option<View>>,
    /// For each channel of the whole, the part and the channel it comes from.
    pub sources: Vec<[usize; 2]>,
    /// The whole.
    pub whole: View,
    /// For gradients, whether each part is added to; every channel of a part that is not must occur once in `sources`.
    /// None to put together.
    pub backward: Option<Vec<bool>>,
}

/// Channels `start`, `start + 1`, … of a part are channels `at`, `at + step`, … of the whole.
#[derive(Clone, Copy)]
struct Stretch {
    part: usize,
    start: usize,
    at: usize,
    step: usize,
    len: usize,
}

impl Gather {
    fn stretches(&self) -> Vec<Stretch> {
        let mut taken = vec![false; self.sources.len()];
        let mut stretches = Vec::new();
        for at in 0..self.sources.len() {
            if taken[at] {
                continue;
            }
            let [part, start] = self.sources[at];
            let next = (at + 1..self.sources.len())
                .find(|&next| !taken[next] && self.sources[next] == [part, start + 1]);
            let step = next.map_or(1, |next| next - at);
            let len = (0..)
                .take_while(|&i| {
                    let place = at + i * step;
                    place < taken.len() && !taken[place] && self.sources[place] == [part, start + i]
                })
                .count();
            for i in 0..len {
                taken[at + i * step] = true;
            }
            stretches.push(Stretch { part, start, at, step, len });
        }
        stretches
    }
}

struct GatherRows<'a> {
    of: &'a Gather,
    stretches: &'a [Stretch],
    arena: *mut f32,
    first: usize,
    rows: usize,
}

impl Kernel for GatherRows<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let GatherRows { of, stretches, arena, first, rows } = self;
        // Two parts that alternate, as after a shuffle of two groups.
        if let ([a, b], Some([Some(left), Some(right)])) = (stretches, of.parts.first_chunk::<2>()) {
            let alternate = a.step == 2 && b.step == 2 && a.len == b.len && a.at == 0 && b.at == 1;
            if alternate && a.part == 0 && b.part == 1 && of.parts.len() == 2 {
                // SAFETY: `fits` checked the views and the sources.
                unsafe {
                    let [left, right, whole] =
                        [left, right, &of.whole].map(|view| Rows::of(arena, view, first));
                    for row in 0..rows {
                        let (l, r) = (left.get(row, a.start), right.get(row, b.start));
                        let whole = whole.get(row, 0);
                        match &of.backward {
                            None => {
                                for i in 0..a.len {
                                    *whole.add(2 * i) = *l.add(i);
                                    *whole.add(2 * i + 1) = *r.add(i);
                                }
                            }
                            Some(accumulate) => {
                                let [keep_l, keep_r] =
                                    [0, 1].map(|i| if accumulate[i] { 1.0f32 } else { 0.0 });
                                if keep_l + keep_r == 0.0 {
                                    for i in 0..a.len {
                                        *l.add(i) = *whole.add(2 * i);
                                        *r.add(i) = *whole.add(2 * i + 1);
                                    }
                                    continue;
                                }
                                for i in 0..a.len {
                                    let old = [
                                        if accumulate[0] { *l.add(i) } else { 0.0 },
                                        if accumulate[1] { *r.add(i) } else { 0.0 },
                                    ];
                                    *l.add(i) = *whole.add(2 * i) + old[0];
                                    *r.add(i) = *whole.add(2 * i + 1) + old[1];
                                }
                            }
                        }
                    }
                }
                return;
            }
        }
        for stretch in stretches {
            let Some(part) = &of.parts[stretch.part] else { continue };
            // SAFETY: `fits` checked the views and the sources.
            unsafe {
                let (part, whole) = (Rows::of(arena, part, first), Rows::of(arena, &of.whole, first));
                for row in 0..rows {
                    let (part, whole) = (part.get(row, stretch.start), whole.get(row, stretch.at));
                    match &of.backward {
                        None if stretch.step == 1 => whole.copy_from_nonoverlapping(part, stretch.len),
                        None => {
                            for i in 0..stretch.len {
                                *whole.add(i * stretch.step) = *part.add(i);
                            }
                        }
                        Some(accumulate) if accumulate[stretch.part] => {
                            for i in 0..stretch.len {
                                *part.add(i) += *whole.add(i * stretch.step);
                            }
                        }
                        Some(_) => {
                            for i in 0..stretch.len {
                                *part.add(i) = *whole.add(i * stretch.step);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Work for Gather {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let part_fits = |part: &View| {
            part.is_sound()
                && (part.images, part.height, part.width)
                    == (self.whole.images, self.whole.height, self.whole.width)
        };
        self.whole.is_sound()
            && self.sources.len() == self.whole.channels
            && self.parts.iter().flatten().all(part_fits)
            && self.backward.as_ref().is_none_or(|flags| flags.len() == self.parts.len())
            && self.sources.iter().all(|&[part, channel]| {
                self.parts
                    .get(part)
                    .is_some_and(|part| part.as_ref().is_none_or(|part| channel < part.channels))
            })
    }

    fn touches(&self, _: Level) -> Touches {
        let mut parts: Vec<Area> = Vec::new();
        for part in self.parts.iter().flatten().map(|&part| Area::from(part)) {
            // A task that takes apart writes the rows of a part that is there twice one after the other.
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        let whole = Area::from(self.whole);
        match self.backward {
            None => Touches::default().reads(parts).writes([whole]),
            Some(_) => Touches::default().reads([whole]).writes(parts),
        }
    }

    fn tasks(&self) -> usize {
        self.whole.rows().div_ceil(ROWS)
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let first = task * ROWS;
        let rows = (self.whole.rows() - first).min(ROWS);
        let stretches = self.stretches();
        // SAFETY: the caller's promise.
        unsafe {
            memory.level.run(GatherRows {
                of: self,
                stretches: &stretches,
                arena: memory.arena,
                first,
                rows,
            });
        }
    }
}
