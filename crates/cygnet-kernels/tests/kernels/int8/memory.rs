//! An arena of bytes with canaries.

use cygnet_kernels::pool::Pool;
use cygnet_kernels::{ByteCall, ByteLevel, Call, Element, Level, Map, Program};

use crate::memory::{Gaps, halos, places};

/// The instruction sets to test.
pub(crate) fn levels() -> Vec<ByteLevel> {
    ByteLevel::allowed().expect("CYGNET_ISA names an instruction set")
}

/// Bytes without order.
pub(crate) fn byte(i: usize, seed: u64) -> u8 {
    let mut z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z >> 56) as u8
}

/// An arena before a call. What no map has filled are canaries: bytes without order.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    bytes: Vec<u8>,
}

/// Bytes between maps.
const GUARD: usize = 67;

impl Memory {
    /// Room for a map `[channels, height, width]`, filled with canaries.
    pub(crate) fn map(&mut self, element: Element, shape: [usize; 3], halo: [usize; 2], gaps: Gaps) -> Map {
        self.guard();
        let [channels, height, width] = shape;
        let halo = [halo[0] + gaps.halo[0], halo[1] + gaps.halo[1]];
        let pixel = gaps.before + channels + gaps.after;
        let row = (halo[0] + width + halo[1]) * pixel + gaps.row;
        let offset = self.bytes.len().div_ceil(element.bytes()) + halo[0] * pixel + gaps.before;
        let ring = gaps.rows(height);
        let map = Map { element, offset, height, width, channels, pixel, row, halo, ring };
        // An empty map has a place too.
        let [height, width, channels] = [height, width, channels].map(|size| size.max(1));
        let end = Map { height, width, channels, ..map }.extent().unwrap().end.max(offset) + gaps.after;
        self.grow(end * element.bytes());
        map
    }

    /// Canaries after what there is.
    pub(crate) fn guard(&mut self) {
        self.grow(self.bytes.len() + GUARD);
    }

    /// Canaries up to so many bytes.
    pub(crate) fn grow(&mut self, len: usize) {
        let from = self.bytes.len();
        self.bytes.extend((from..len).map(|i| byte(i, 99)));
    }

    /// A map of bytes with these values, in channel-major order, and `zero` in its halo. Of rows that share a place the last
    /// stays.
    pub(crate) fn input(
        &mut self,
        shape: [usize; 3],
        halo: [usize; 2],
        gaps: Gaps,
        zero: u8,
        value: impl Fn(usize) -> u8,
    ) -> Map {
        let map = self.map(Element::U8, shape, halo, gaps);
        for (start, columns) in halos(&map) {
            columns.for_each(|column| self.bytes[start + column..][..map.channels].fill(zero));
        }
        for (i, place) in places(&map).into_iter().enumerate() {
            if let Some(place) = place {
                self.bytes[place] = value(i);
            }
        }
        map
    }

    /// A map of f32s with these values, in channel-major order.
    pub(crate) fn floats(&mut self, shape: [usize; 3], gaps: Gaps, value: impl Fn(usize) -> f32) -> Map {
        let map = self.map(Element::F32, shape, [0, 0], gaps);
        for (i, place) in places(&map).into_iter().enumerate() {
            if let Some(place) = place {
                self.bytes[4 * place..][..4].copy_from_slice(&value(i).to_ne_bytes());
            }
        }
        map
    }

    /// Runs calls that write `output`, whose halo is `zero` then, and checks everything else; the output's bytes, or the bits of
    /// its f32s, in channel-major order.
    pub(crate) fn run(&self, pool: &mut Pool, calls: Vec<ByteCall>, output: &Map, zero: u8) -> Vec<u32> {
        self.check(pool, &self.program(calls).unwrap(), output, zero)
    }

    /// A program that runs calls on these bytes: its image is the whole arena.
    pub(crate) fn program(&self, calls: Vec<ByteCall>) -> Result<Program, String> {
        let calls = calls.into_iter().map(|call| Call::Bytes(Box::new(call))).collect();
        let len = self.bytes.len().next_multiple_of(4);
        Program::new(Level::Scalar, vec![Map::dense(0, [1, 1, len / 4])], calls, len)
    }

    /// Runs a program of these bytes, as [`Memory::run`] says.
    pub(crate) fn check(&self, pool: &mut Pool, program: &Program, output: &Map, zero: u8) -> Vec<u32> {
        let mut before = self.bytes.clone();
        before.resize(before.len().next_multiple_of(4), 0);
        let mut arena = program.arena();
        let image: Vec<f32> =
            before.chunks_exact(4).map(|four| f32::from_ne_bytes(four.try_into().unwrap())).collect();
        program.run_on(pool, &mut arena, &image);
        let mut after = vec![0; before.len()];
        arena.read_bytes(&Map::dense(0, [1, 1, before.len()]).of(Element::U8), &mut after);

        let size = output.element.bytes();
        let mut own = vec![false; before.len()];
        for (start, columns) in halos(output) {
            for place in columns.flat_map(|column| start + column..start + column + output.channels) {
                for place in place * size..(place + 1) * size {
                    own[place] = true;
                    let is_zero = after[place] == zero || output.width == 0;
                    assert!(is_zero, "the halo of {output:?} is {}: {program:?}", after[place]);
                }
            }
        }
        let places: Vec<usize> = places(output).into_iter().map(|place| place.unwrap() * size).collect();
        places.iter().for_each(|&place| own[place..place + size].fill(true));
        for place in (0..before.len()).filter(|&place| !own[place]) {
            let (before, after) = (before[place], after[place]);
            assert_eq!(before, after, "byte {place} is not of {output:?} but was changed: {program:?}");
        }
        let number = |&place: &usize| match output.element {
            Element::U8 => after[place].into(),
            Element::F32 => u32::from_ne_bytes(after[place..place + 4].try_into().unwrap()),
        };
        places.iter().map(number).collect()
    }
}
