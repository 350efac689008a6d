//! Rounding to grids of bytes, and the gradients that learning passes through it.

use cygnet_cpu::pool::share;
use cygnet_cpu::{FAR, Isa, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Block, Blocks, Rows};
use crate::value::{View, same, size};
use crate::work::{Limits, Work, Workspace};

/// The least and the largest byte.
const BYTES: [f32; 2] = [0.0, 255.0];

/// What makes the sum with a number of at most 2^22 a whole number: the distance of neighbours is 1 here.
const WHOLE: f32 = 12_582_912.0;

/// Rounds a value to the numbers that bytes stand for: `(q - zero) * scale` with
/// `q = clamp(round(x / scale) + zero, 0, 255)`, ties to even; NaN becomes 0. Or the gradients of that.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// The value.
    pub x: View,
    /// Its rounded form, or the gradient of the value.
    pub to: View,
    /// The byte that stands for 0.
    pub zero: u8,
    /// The parameter that has the scales.
    pub scales: usize,
    /// Whether one scale is that of all channels.
    pub shared: bool,
    /// For the gradients.
    pub backward: Option<RoundBackward>,
}

/// How the gradients of a rounded value become those of the value and of its scales (Esser et al. 2020, "LSQ"): rounding is
/// passed straight through, and what lies beyond the ends has no gradient. A scale's is that of the rounded value times how
/// far rounding moved it, in steps, and beyond the ends times the end.
#[derive(Clone, Copy, Debug)]
pub struct RoundBackward {
    /// Gradient of the rounded value.
    pub g: View,
    /// Where each task leaves the gradients of scales, `[tasks, channels]`.
    pub sums: usize,
    /// Factor of these.
    pub factor: f32,
}

impl Round {
    /// Tasks, each of which leaves sums.
    #[must_use]
    pub fn row_blocks(view: &View) -> usize {
        (view.rows() / 64).clamp(1, 64)
    }

    /// Steps from 0 to the ends.
    fn ends(&self) -> [f32; 2] {
        BYTES.map(|end| end - f32::from(self.zero))
    }
}

struct RoundRows {
    rows: usize,
    from: Rows,
    to: Rows,
    inverses: *const f32,
    scales: *const f32,
    ends: [f32; 2],
}

/// Numbers in steps, and these limited to the ends, 0 for NaN.
///
/// # Safety
/// As [`Isa`].
#[inline(always)]
unsafe fn limited<I: Isa>(x: I::V, inverse: I::V, [low, high]: [f32; 2]) -> [I::V; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let steps = I::mul(x, inverse);
        let limited = I::at_most(I::at_least(steps, I::splat(low)), I::splat(high));
        [steps, I::where_above(limited, I::splat(low - 1.0), limited)]
    }
}

/// The nearest whole numbers, ties to even.
///
/// # Safety
/// As [`Isa`].
#[inline(always)]
unsafe fn whole<I: Isa>(x: I::V) -> I::V {
    // SAFETY: the caller's promise.
    unsafe { I::sub(I::add(x, I::splat(WHOLE)), I::splat(WHOLE)) }
}

impl Block for RoundRows {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            let inverse = chunk::load::<I, V>(self.inverses.add(c), last);
            let scale = chunk::load::<I, V>(self.scales.add(c), last);
            for i in 0..self.rows {
                let mut x = chunk::load::<I, V>(self.from.get(i, c), last);
                for j in 0..V {
                    let [_, limited] = limited::<I>(x[j], inverse[j], self.ends);
                    x[j] = I::mul(whole::<I>(limited), scale[j]);
                }
                chunk::store::<I, V>(self.to.get(i, c), x, last);
            }
        }
    }
}

struct GradientRows {
    forward: RoundRows,
    g: Rows,
    sums: *mut f32,
    factor: f32,
}

impl Block for GradientRows {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        let RoundRows { rows, from, to, inverses, ends, .. } = self.forward;
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            let (low, high) = (I::splat(ends[0]), I::splat(ends[1]));
            let inverse = chunk::load::<I, V>(inverses.add(c), last);
            let mut sum = [I::splat(0.0); V];
            for i in 0..rows {
                let x = chunk::load::<I, V>(from.get(i, c), last);
                let mut g = chunk::load::<I, V>(self.g.get(i, c), last);
                for j in 0..V {
                    let [steps, limited] = limited::<I>(x[j], inverse[j], ends);
                    let moved = I::sub(whole::<I>(limited), limited);
                    let inside = I::where_above(high, steps, I::where_above(steps, low, limited));
                    let moved = I::where_above(high, steps, I::where_above(steps, low, moved));
                    let end = I::sub(limited, inside);
                    sum[j] = I::fma(g[j], I::add(moved, end), sum[j]);
                    g[j] = I::where_above(high, steps, I::where_above(steps, low, g[j]));
                }
                chunk::store::<I, V>(to.get(i, c), g, last);
            }
            let factor = I::splat(self.factor);
            for j in 0..V {
                sum[j] = I::mul(sum[j], factor);
            }
            chunk::store::<I, V>(self.sums.add(c), sum, last);
        }
    }
}

impl Work for Round {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let channels = self.x.channels;
        let fits = |view: &View| view.is_sound() && same(view, &self.x);
        let holds = |backward: RoundBackward| {
            fits(&backward.g) && size(&[Round::row_blocks(&self.x), channels]) <= FAR
        };
        fits(&self.x)
            && fits(&self.to)
            && channels <= FAR / 2
            && self.backward.is_none_or(holds)
            && limits.param(self.scales, if self.shared { 1 } else { channels })
    }

    fn touches(&self, _: Level) -> Touches {
        let touches = Touches::default();
        match self.backward {
            None => touches.beside([self.x.into()]).writes([self.to.into()]),
            Some(RoundBackward { g, sums, .. }) => {
                let sums = Area::flat(sums, size(&[self.tasks(), self.x.channels]));
                touches.beside([self.x.into(), g.into()]).writes([self.to.into(), sums])
            }
        }
    }

    fn tasks(&self) -> usize {
        Round::row_blocks(&self.x)
    }

    fn scratch(&self) -> usize {
        2 * self.x.channels
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let rows = share(self.x.rows(), self.tasks(), task);
        let channels = self.x.channels;
        // SAFETY: `fits` checked the views, the parameter and the sums; scratch holds two numbers a channel.
        unsafe {
            let given = memory.params[self.scales];
            let [inverses, scales] = [0, channels].map(|at| memory.scratch.add(at));
            for c in 0..channels {
                let scale = *given.add(if self.shared { 0 } else { c });
                *inverses.add(c) = (1.0 / f64::from(scale)) as f32;
                *scales.add(c) = scale;
            }
            let at = |view: &View| Rows::of(memory.arena, view, rows.start);
            let forward = RoundRows {
                rows: rows.len(),
                from: at(&self.x),
                to: at(&self.to),
                inverses,
                scales,
                ends: self.ends(),
            };
            match self.backward {
                None => Blocks::go(channels, forward, memory.level),
                Some(RoundBackward { g, sums, factor }) => {
                    let sums = memory.arena.add(sums + task * channels);
                    Blocks::go(channels, GradientRows { forward, g: at(&g), sums, factor }, memory.level);
                }
            }
        }
    }
}
