//! Sums and products of two values, and their gradients.

use cygnet_cpu::{Isa, Kernel, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Rows};
use crate::value::{View, same};
use crate::work::{Limits, Work, Workspace};

/// Sum or product of two values, dimensions of 1 broadcast, and their gradients.
#[derive(Clone, Debug)]
pub enum Binary {
    /// The sum.
    Add {
        /// Left.
        a: View,
        /// Right.
        b: View,
        /// Result.
        to: View,
    },
    /// The product.
    Mul {
        /// Left.
        a: View,
        /// Right.
        b: View,
        /// Result.
        to: View,
    },
    /// The gradient of one side: that of the result times the other side, summed where this side was broadcast.
    Backward {
        /// Gradient of the result.
        g: View,
        /// The other side of a product; none for a sum.
        other: Option<View>,
        /// Gradient of this side.
        to: View,
        /// Whether it is added to what is there.
        accumulate: bool,
    },
}

fn broadcasts(part: &View, whole: &View) -> bool {
    let sizes = |v: &View| [v.height, v.width, v.channels];
    part.images == whole.images && sizes(part).iter().zip(sizes(whole)).all(|(&p, w)| p == w || p == 1)
}

fn pixel_of(part: &View, image: usize, y: usize, x: usize) -> usize {
    let clip = |i: usize, size: usize| if size == 1 { 0 } else { i };
    (image * part.height + clip(y, part.height)) * part.width + clip(x, part.width)
}

struct BinaryImage<'a> {
    of: &'a Binary,
    arena: *mut f32,
    image: usize,
}

impl Kernel for BinaryImage<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let whole = self.of.whole();
        let image = self.image;
        // SAFETY: `fits` checked the views, and that they broadcast.
        unsafe {
            let row =
                |view: &View, y: usize, x: usize| Rows::of(self.arena, view, pixel_of(view, image, y, x)).at;
            // A vector of a side, whose one channel may stand for all.
            let get = |view: &View, at: *mut f32, c: usize, lanes: usize| {
                if view.channels == whole.channels {
                    chunk::load::<I, 1>(at.add(c), lanes)[0]
                } else {
                    I::splat(*at)
                }
            };
            if let Binary::Backward { to, accumulate: false, .. } = self.of
                && !same(to, whole)
            {
                {
                    let first = Rows::of(self.arena, to, image * to.pixels());
                    (0..to.pixels()).for_each(|pixel| first.get(pixel, 0).write_bytes(0, to.channels));
                }
            }
            for y in 0..whole.height {
                for x in 0..whole.width {
                    match self.of {
                        Binary::Add { a, b, to } | Binary::Mul { a, b, to } => {
                            let [left, right, out] = [row(a, y, x), row(b, y, x), row(to, y, x)];
                            let add = matches!(self.of, Binary::Add { .. });
                            let mut c = 0;
                            while c < to.channels {
                                let lanes = (to.channels - c).min(I::LANES);
                                let (l, r) = (get(a, left, c, lanes), get(b, right, c, lanes));
                                let v = if add { I::add(l, r) } else { I::mul(l, r) };
                                chunk::store::<I, 1>(out.add(c), [v], lanes);
                                c += I::LANES;
                            }
                        }
                        Binary::Backward { g, other, to, accumulate } => {
                            let (from, out) = (row(g, y, x), row(to, y, x));
                            let factor = other.as_ref().map(|other| (other, row(other, y, x)));
                            if to.channels != whole.channels {
                                let mut sum = 0.0f64;
                                for c in 0..whole.channels {
                                    let factor = factor.map_or(1.0, |(other, at)| {
                                        *at.add(if other.channels == 1 { 0 } else { c })
                                    });
                                    sum += f64::from(*from.add(c)) * f64::from(factor);
                                }
                                *out += sum as f32;
                                continue;
                            }
                            let add = *accumulate || !same(to, whole);
                            let mut c = 0;
                            while c < to.channels {
                                let lanes = (to.channels - c).min(I::LANES);
                                let mut v = chunk::load::<I, 1>(from.add(c), lanes)[0];
                                if let Some((other, at)) = factor {
                                    v = I::mul(v, get(other, at, c, lanes));
                                }
                                if add {
                                    v = I::add(v, chunk::load::<I, 1>(out.add(c), lanes)[0]);
                                }
                                chunk::store::<I, 1>(out.add(c), [v], lanes);
                                c += I::LANES;
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Binary {
    fn whole(&self) -> &View {
        match self {
            Binary::Add { to, .. } | Binary::Mul { to, .. } => to,
            Binary::Backward { g, .. } => g,
        }
    }
}

impl Work for Binary {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let whole = self.whole();
        let fits = |view: &View| view.is_sound() && broadcasts(view, whole);
        fits(whole)
            && match self {
                Binary::Add { a, b, .. } | Binary::Mul { a, b, .. } => fits(a) && fits(b),
                Binary::Backward { other, to, .. } => fits(to) && other.as_ref().is_none_or(fits),
            }
    }

    fn touches(&self, _: Level) -> Touches {
        let (read, to) = match *self {
            Binary::Add { a, b, to } | Binary::Mul { a, b, to } => ([Some(a), Some(b)], to),
            Binary::Backward { g, other, to, .. } => ([Some(g), other], to),
        };
        // What is broadcast, or summed, is read after elements have been written.
        let (beside, apart): (Vec<View>, Vec<View>) =
            read.into_iter().flatten().partition(|view| same(view, &to));
        Touches::default()
            .reads(apart.into_iter().map(Area::from))
            .beside(beside.into_iter().map(Area::from))
            .writes([to.into()])
    }

    fn tasks(&self) -> usize {
        self.whole().images
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        // SAFETY: the caller's promise.
        unsafe { memory.level.run(BinaryImage { of: self, arena: memory.arena, image: task }) }
    }
}
