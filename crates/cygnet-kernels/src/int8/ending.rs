//! What the sums of a layer become: bytes on a grid, or floats.

use std::ops::Range;

use cygnet_cpu::{ByteKernel, ByteLevel, Bytes, Store, Weights};

use crate::map::{Element, Map};
use crate::unroll;

/// What a layer's sums become. Lists have one entry an output channel.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// `f32(sum) * scale`, in a map of f32s.
    Floats {
        /// Factors.
        scale: &'a [f32],
    },
    /// Bytes on a grid.
    Bytes(ToBytes<'a>),
}

/// How a layer's sums become bytes: `t = f32(sum) * scale`, then `t + f32(r - r's zero) * r's scale` with a term `r`, each
/// operation rounded by itself; `t` rounded to whole numbers, ties to even, plus `zero`, saturated, within the limits; its
/// place in the table.
#[derive(Clone, Copy, Debug)]
pub struct ToBytes<'a> {
    /// Factors, finite ones.
    pub scale: &'a [f32],
    /// The zero point of the grid.
    pub zero: u8,
    /// What is added.
    pub term: Option<Term<'a>>,
    /// The least and the largest byte.
    pub limits: Option<[&'a [u8]; 2]>,
    /// A function of the byte.
    pub table: Option<Table<'a>>,
}

/// A map of bytes, as large as the output, that is added to a layer's output.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// The map.
    pub map: Map,
    /// The zero point of its grid.
    pub zero: u8,
    /// Its scale by that of the sum, finite.
    pub scale: &'a [f32],
}

/// A function of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// Its value for each byte.
    pub bytes: &'a [u8; 256],
    /// The zero point of the grid that it leads to.
    pub zero: u8,
}

impl Ending<'_> {
    /// # Panics
    /// If lists have not one entry for each of `channels`, or a factor is not finite.
    pub(super) fn assert(&self, channels: usize) {
        let factors = |list: &[f32]| {
            assert_eq!(list.len(), channels);
            assert!(list.iter().all(|factor| factor.is_finite()), "factors are finite");
        };
        match self {
            Ending::Floats { scale } => factors(scale),
            Ending::Bytes(to) => {
                factors(to.scale);
                to.term.iter().for_each(|term| factors(term.scale));
                assert!(to.limits.iter().flatten().all(|list| list.len() == channels));
            }
        }
    }

    /// The map that is added.
    pub(super) fn term(&self) -> Option<&Map> {
        match self {
            Ending::Floats { .. } => None,
            Ending::Bytes(to) => to.term.as_ref().map(|term| &term.map),
        }
    }

    /// The same with the term elsewhere.
    pub(super) fn with_term(mut self, put: impl FnOnce(Map) -> Map) -> Self {
        if let Ending::Bytes(ToBytes { term: Some(term), .. }) = &mut self {
            term.map = put(term.map);
        }
        self
    }

    /// Whether scaling, rounding and saturating is all, if sums are as large as this.
    pub(super) fn is_plain(&self, sums: &[i64]) -> bool {
        let Ending::Bytes(to) = self else { return false };
        to.term.is_none() && to.table.is_none() && to.limits().is_none() && !to.is_wide(sums)
    }
}

impl<'a> ToBytes<'a> {
    /// The limits, unless all bytes are within.
    fn limits(&self) -> Option<[&'a [u8]; 2]> {
        self.limits
            .filter(|[low, high]| low.iter().any(|&low| low > 0) || high.iter().any(|&high| high < 255))
    }

    /// Whether rounded numbers may leave i32.
    fn is_wide(&self, sums: &[i64]) -> bool {
        let largest = |(c, &sum): (usize, &i64)| {
            let term = self.term.map_or(0.0, |term| 255.0 * f64::from(term.scale[c].abs()));
            sum as f64 * f64::from(self.scale[c].abs()) + term
        };
        sums.iter().enumerate().map(largest).any(|largest| largest > f64::from(1 << 30))
    }
}

/// An [`Ending`] packed for kernels: lists in the order in which a kernel asks for them.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    level: ByteLevel,
    is_float: bool,
    /// [`Ending::is_plain`].
    pub(super) is_plain: bool,
    /// [`ToBytes::is_wide`].
    is_wide: bool,
    /// Zero point in both halves of a word.
    zero: u32,
    scale: Weights<f32>,
    term: Option<(Map, i32, Weights<f32>)>,
    /// The least bytes, then the largest.
    limits: Option<Weights<u8>>,
    table: Option<Weights<u8>>,
    /// What stands for 0 in the output.
    fill: u8,
}

impl Packed {
    /// `order` says which channel is at each place of the lists, which have room for a vector of bytes more; `sums` how large
    /// a channel's sum may be.
    ///
    /// # Panics
    /// If lists have not one entry a channel, a factor is not finite, or maps are of other elements or sizes.
    pub(super) fn new(
        store: &mut Store,
        level: ByteLevel,
        ending: &Ending<'_>,
        output: &Map,
        order: &[Option<usize>],
        sums: &[i64],
    ) -> Packed {
        ending.assert(output.channels);
        let len = order.len() + 4 * level.lanes();
        let mut floats = |list: &[f32]| {
            store.keep(len, |slot: &mut [f32]| {
                slot.iter_mut().zip(order).for_each(|(slot, c)| *slot = c.map_or(0.0, |c| list[c]));
            })
        };
        let to = match ending {
            Ending::Floats { scale } => {
                assert_eq!(output.element, Element::F32);
                let scale = floats(scale);
                return Packed {
                    level,
                    is_float: true,
                    is_plain: false,
                    is_wide: false,
                    zero: 0,
                    scale,
                    term: None,
                    limits: None,
                    table: None,
                    fill: 0,
                };
            }
            Ending::Bytes(to) => to,
        };
        assert_eq!(output.element, Element::U8);
        let scale = floats(to.scale);
        let term = to.term.map(|term| {
            let size = |map: &Map| [map.height, map.width, map.channels];
            assert_eq!((term.map.element, size(&term.map)), (Element::U8, size(output)));
            (term.map, -i32::from(term.zero), floats(term.scale))
        });
        let is_wide = to.is_wide(sums);
        let limits = to.limits();
        let limits = limits.map(|limits| {
            store.keep(2 * len, |slot: &mut [u8]| {
                for (slot, list) in slot.chunks_exact_mut(len).zip(limits) {
                    slot.iter_mut().zip(order).for_each(|(slot, c)| *slot = c.map_or(0, |c| list[c]));
                }
            })
        });
        let table =
            to.table.map(|table| store.keep(256, |slot: &mut [u8]| slot.copy_from_slice(table.bytes)));
        Packed {
            level,
            is_float: false,
            is_plain: ending.is_plain(sums),
            is_wide,
            zero: u32::from(to.zero) * 0x1_0001,
            scale,
            term,
            limits,
            table,
            fill: to.table.map_or(to.zero, |table| table.zero),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let term = self.term.as_ref().map_or(0, |(_, _, scale)| scale.len());
        let bytes = [&self.limits, &self.table].map(|list| list.as_ref().map_or(0, |list| list.len()));
        (self.scale.len() + term) * size_of::<f32>() + bytes[0] + bytes[1]
    }

    pub(super) fn term(&self) -> Option<&Map> {
        self.term.as_ref().map(|(map, ..)| map)
    }

    /// Writes what stands for 0 beside the channels of a row of the output.
    ///
    /// # Safety
    /// As [`Map::fill_halo`]; the arena must begin where any element may.
    pub(super) unsafe fn fill_halo(&self, output: &Map, arena: *mut u8, y: usize, channels: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe {
            match output.element {
                Element::F32 => output.zero_halo(arena.cast(), y, channels),
                Element::U8 => output.fill_halo(arena, y, channels, self.fill),
            }
        }
    }

    /// The zero point as [`Bytes::pack`] takes it.
    ///
    /// # Safety
    /// As [`Bytes`].
    #[inline(always)]
    pub(super) unsafe fn zero<I: Bytes>(&self) -> Option<I::V> {
        // SAFETY: the caller's promise.
        if self.zero == 0 { None } else { Some(unsafe { I::splat(self.zero) }) }
    }

    /// Factors of the channel at each place.
    pub(super) fn scale(&self) -> *const f32 {
        self.scale.as_ptr()
    }

    /// The sums of [plain](Packed::is_plain) endings as bytes, as [`Bytes::pack`] places them.
    ///
    /// # Safety
    /// As [`Bytes`]; the lists must have `N` vectors from `at` on.
    #[inline(always)]
    pub(super) unsafe fn plain<I: Bytes, const N: usize>(&self, sums: [I::V; N], at: usize) -> I::V {
        // SAFETY: the caller's promise.
        unsafe { plain::<I, N>(sums, self.scale.as_ptr().add(at).cast(), self.zero::<I>()) }
    }

    /// Writes what the sums of the first `channels` channels of `N` vectors become.
    ///
    /// # Safety
    /// As [`Bytes`]; the lists must have `N` vectors from `at` on, `out` be where the first channel goes and `term` where it is
    /// in the term, if there is one; the channels must be there, at least one.
    #[inline(always)]
    pub(super) unsafe fn finish<I: Bytes, const N: usize>(
        &self,
        sums: [I::V; N],
        at: usize,
        out: *mut u8,
        term: *const u8,
        channels: usize,
    ) {
        let lanes = I::LANES;
        // SAFETY: the caller's promise; the first bytes only are read and written.
        unsafe {
            let scale = self.scale.as_ptr().add(at).cast::<u8>();
            let mut words = sums;
            unroll!(V < N, at most 4, {
                words[V] = I::mul_float(I::to_float(sums[V]), I::load(scale.add(V * 4 * lanes)));
            });
            if self.is_float {
                unroll!(V < N, at most 4, {
                    if V * lanes < channels {
                        I::store_first(out.add(V * 4 * lanes), words[V], 4 * (channels - V * lanes).min(lanes));
                    }
                });
                return;
            }
            if let Some((_, zero, scale)) = &self.term {
                let scale = scale.as_ptr().add(at).cast::<u8>();
                let mut first = [0u8; 64];
                let mut from = term;
                if channels < N * lanes {
                    I::store(first.as_mut_ptr(), I::load_first(term, channels));
                    from = first.as_ptr();
                }
                unroll!(V < N, at most 4, {
                    let t = I::to_float(I::add(I::widen(from.add(V * lanes)), I::splat(*zero as u32)));
                    words[V] = I::add_float(words[V], I::mul_float(t, I::load(scale.add(V * 4 * lanes))));
                });
            }
            unroll!(V < N, at most 4, {
                words[V] = I::to_int(if self.is_wide { I::limit_float(words[V]) } else { words[V] });
            });
            let mut bytes = I::pack(words, self.zero::<I>());
            if N == 4 {
                bytes = I::in_line(bytes);
            }
            if let Some(limits) = &self.limits {
                let low = limits.as_ptr().add(at);
                bytes = I::max_bytes(bytes, I::load(low));
                bytes = I::min_bytes(bytes, I::load(low.add(limits.len() / 2)));
            }
            if let Some(table) = &self.table {
                bytes = I::table(bytes, table.as_ptr());
            }
            I::store_first(out, bytes, channels);
        }
    }

    /// Runs [`Packed::finish`] on the sums of some pixels.
    ///
    /// # Safety
    /// As [`Finish`].
    #[inline(always)]
    pub(super) unsafe fn finish_all<const N: usize>(&self, finish: Finish<'_, N>) {
        // SAFETY: the caller's promise.
        unsafe { self.level.run(finish) };
    }
}

/// The sums of some pixels that become what [`Packed::finish`] says. All must be there, as it says.
pub(super) struct Finish<'a, const N: usize> {
    pub(super) ending: &'a Packed,
    /// `N` vectors a pixel.
    pub(super) sums: *const u8,
    pub(super) pixels: usize,
    pub(super) at: usize,
    pub(super) out: *mut u8,
    /// Bytes from a pixel to the next.
    pub(super) out_step: usize,
    pub(super) term: *const u8,
    pub(super) term_step: usize,
    pub(super) channels: usize,
}

impl<const N: usize> ByteKernel for Finish<'_, N> {
    #[inline(always)]
    unsafe fn run<I: Bytes>(self) {
        let Finish { ending, mut sums, pixels, at, mut out, out_step, mut term, term_step, channels } = self;
        for _ in 0..pixels {
            // SAFETY: the caller's promise.
            unsafe {
                let mut words = [I::splat(0); N];
                unroll!(V < N, at most 4, {
                    words[V] = I::load(sums.add(V * 4 * I::LANES));
                });
                ending.finish::<I, N>(words, at, out, term, channels);
            }
            sums = sums.wrapping_add(N * 4 * I::LANES);
            out = out.wrapping_add(out_step);
            term = term.wrapping_add(term_step);
        }
    }
}

/// Sums times factors, rounded, as bytes: [`Bytes::pack`] places them.
///
/// # Safety
/// As [`Bytes`].
#[inline(always)]
pub(super) unsafe fn plain<I: Bytes, const N: usize>(
    sums: [I::V; N],
    scale: *const u8,
    zero: Option<I::V>,
) -> I::V {
    // SAFETY: the caller's promise.
    unsafe {
        let mut words = sums;
        unroll!(V < N, at most 4, {
            let t = I::mul_float(I::to_float(sums[V]), I::load(scale.add(V * 4 * I::LANES)));
            words[V] = I::to_int(t);
        });
        I::pack(words, zero)
    }
}
