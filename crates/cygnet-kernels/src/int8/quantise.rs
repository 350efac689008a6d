//! Floats as bytes.

use std::ops::Range;

use cygnet_cpu::{ByteLevel, Bytes, Store, Weights};

use super::element::at;
use super::work::{ByUnit, ByteWork, run_each};
use crate::map::{Element, Map, assert_elements};
use crate::unroll;

/// Floats as bytes: `x * inverse` rounded, plus `zero`, saturated; `zero` where `x` is NaN.
#[derive(Clone, Debug)]
pub struct Quantise {
    level: ByteLevel,
    inputs: Vec<Map>,
    output: Map,
    inverse: Weights<f32>,
    zero: u8,
}

impl Quantise {
    /// The inputs' channels, one after another, are the output's. Channels of the output after these become `zero`. `inverse`
    /// has one number a channel, 1 by the scale of the grid.
    ///
    /// # Panics
    /// If maps are of other elements or sizes than they should be, or there is not one inverse a channel.
    #[must_use]
    pub fn new(
        store: &mut Store,
        level: ByteLevel,
        inputs: Vec<Map>,
        inverse: &[f32],
        zero: u8,
        output: Map,
    ) -> Quantise {
        assert_elements(Element::F32, &inputs);
        assert_elements(Element::U8, [&output]);
        assert!(inputs.iter().all(|map| [map.height, map.width] == [output.height, output.width]));
        let channels = inputs.iter().try_fold(0usize, |sum, map| sum.checked_add(map.channels));
        assert!(channels == Some(inverse.len()) && inverse.len() <= output.channels);
        let len = inverse.len() + 4 * level.lanes();
        let inverse = store.keep(len, |slot: &mut [f32]| slot[..inverse.len()].copy_from_slice(inverse));
        Quantise { level, inputs, output, inverse, zero }
    }
}

impl ByteWork for Quantise {
    fn level(&self) -> ByteLevel {
        self.level
    }

    fn reads(&self) -> Vec<Map> {
        self.inputs.clone()
    }

    fn writes(&self) -> Map {
        self.output
    }

    fn weight_bytes(&self) -> usize {
        self.inverse.len() * size_of::<f32>()
    }

    unsafe fn run(&self, arena: *mut u8, _scratch: *mut u8, units: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { run_each(self, arena, units) }
    }
}

impl Quantise {
    /// The bytes of `left` floats, four vectors at most, that are multiplied by what `inverse` yields for each vector.
    ///
    /// # Safety
    /// As [`Bytes`].
    #[inline(always)]
    unsafe fn bytes<I: Bytes>(&self, from: *const u8, inverse: [I::V; 4], left: usize) -> I::V {
        let bytes = 4 * I::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            let mut t = [I::splat(0); 4];
            unroll!(V < 4, at most 4, {
                if left >= (V + 1) * I::LANES {
                    t[V] = I::load(from.add(V * bytes));
                } else if left > V * I::LANES {
                    t[V] = I::load_first(from.add(V * bytes), 4 * (left - V * I::LANES));
                }
                t[V] = I::to_int(I::limit_float(I::mul_float(t[V], inverse[V])));
            });
            I::in_line(I::pack(t, Some(I::splat(u32::from(self.zero) * 0x1_0001))))
        }
    }
}

impl ByUnit for Quantise {
    unsafe fn fill_halo(&self, arena: *mut u8, y: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.output.fill_halo(arena, y, 0..self.output.channels, self.zero) }
    }

    #[inline(always)]
    unsafe fn unit<I: Bytes>(&self, arena: *mut u8, y: usize) {
        let (output, bytes) = (&self.output, 4 * I::LANES);
        let inverse = self.inverse.as_ptr().cast::<u8>();
        let is_plane = |map: &Map| [map.channels, map.pixel] == [1, 1];
        // SAFETY: the caller's promise: the row lies in all maps; blocks lie in the row or the channels.
        unsafe {
            if self.inputs.len() <= 4
                && self.inputs.iter().all(is_plane)
                && [output.channels, output.pixel] == [4, 4]
            {
                let zero = I::splat(u32::from(self.zero) * 0x0101_0101);
                let mut x = 0;
                while x < output.width {
                    let left = (output.width - x).min(bytes);
                    let mut planes = [zero; 4];
                    unroll!(C < 4, at most 4, {
                        if let Some(map) = self.inputs.get(C) {
                            let by = I::splat(inverse.add(C * 4).cast::<u32>().read_unaligned());
                            planes[C] = self.bytes::<I>(at(arena, map, y, x), [by; 4], left);
                        }
                    });
                    let mixed = I::interleave(planes);
                    unroll!(V < 4, at most 4, {
                        if left > V * I::LANES {
                            let out = at(arena, output, y, x + V * I::LANES);
                            I::store_first(out, mixed[V], 4 * (left - V * I::LANES).min(I::LANES));
                        }
                    });
                    x += bytes;
                }
                return;
            }
            let mut start = 0;
            for map in &self.inputs {
                for x in 0..output.width {
                    let (from, out) = (at(arena, map, y, x), at(arena, output, y, x).add(start));
                    let mut c = 0;
                    while c < map.channels {
                        let left = (map.channels - c).min(bytes);
                        let mut by = [I::splat(0); 4];
                        unroll!(V < 4, at most 4, {
                            by[V] = I::load(inverse.add((start + c + V * I::LANES) * 4));
                        });
                        I::store_first(out.add(c), self.bytes::<I>(from.add(4 * c), by, left), left);
                        c += bytes;
                    }
                }
                start += map.channels;
            }
            for x in 0..output.width {
                at(arena, output, y, x).add(start).write_bytes(self.zero, output.channels - start);
            }
        }
    }
}
