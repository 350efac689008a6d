//! An arena with canaries, values to put into it, and how far a result may be from its reference.

use cygnet_kernels::pool::Pool;
use cygnet_kernels::{Activation, Call, Level, Map, Program};

/// The instruction sets to test.
pub(crate) fn levels() -> impl Iterator<Item = Level> {
    let cap = Level::chosen().unwrap();
    Level::ALL.iter().copied().filter(move |level| level.is_supported() && *level <= cap)
}

/// Channels around the widths of all vectors: 0, 1, lanes - 1, lanes, lanes + 1 and 2 lanes + 3 of 4, 8 and 16 lanes.
pub(crate) const CHANNELS: [usize; 14] = [0, 1, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 19, 35];

/// How far an f32 result may be from its f64 reference, for a sum of `terms` products whose magnitudes sum up to
/// `magnitude`. In any order, with products rounded or not, each of the sum's roundings is at most half an epsilon of
/// that magnitude; bias, term and activation add less than 8, and no activation is steeper than 1.5. The 1 is for
/// activations whose constants are larger than the sum.
pub(crate) fn tolerance(terms: usize, magnitude: f64) -> f64 {
    1.5 * (terms + 8) as f64 * f64::from(f32::EPSILON) / 2.0 * (magnitude + 1.0)
}

/// A result that is NaN, infinite or within `tolerance` where the reference is.
pub(crate) fn agrees(got: f32, want: f64, tolerance: f64) -> bool {
    let got = f64::from(got);
    if want.is_nan() {
        got.is_nan()
    } else if want.is_infinite() {
        got == want
    } else {
        (got - want).abs() <= tolerance
    }
}

/// Numbers from -1 to 1.
pub(crate) fn values(count: usize, seed: u64) -> Vec<f32> {
    let number = |i: usize| {
        let mut z = (seed << 32 | i as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(number).collect()
}

pub(crate) fn to_f64(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// An activation's definition.
pub(crate) fn activate(activation: Activation, x: f64) -> f64 {
    let limit = |x: f64, low: f64, high: f64| if x.is_nan() { x } else { x.max(low).min(high) };
    match activation {
        Activation::None => x,
        Activation::Clamp { low, high } => limit(x, f64::from(low), f64::from(high)),
        Activation::HardSigmoid { scale, shift, high, factor } => {
            let [scale, shift, high, factor] = [scale, shift, high, factor].map(f64::from);
            limit(x * scale + shift, 0.0, high) * factor
        }
        Activation::HardSwish => x * limit(x + 3.0, 0.0, 6.0) / 6.0,
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Swish if x == f64::NEG_INFINITY => 0.0,
        Activation::Swish => x / (1.0 + (-x).exp()),
    }
}

/// Every activation that can follow a convolution.
pub(crate) const CHEAP: [Activation; 6] = [
    Activation::None,
    Activation::RELU,
    Activation::Clamp { low: 0.0, high: 6.0 },
    Activation::HardSigmoid { scale: 1.0, shift: 3.0, high: 6.0, factor: 1.0 / 6.0 },
    Activation::HardSigmoid { scale: 0.2, shift: 0.5, high: 1.0, factor: 1.0 },
    Activation::HardSwish,
];

/// Numbers that belong to others, around a map's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gaps {
    /// In every pixel, before the channels.
    pub(crate) before: usize,
    /// In every pixel, after the channels.
    pub(crate) after: usize,
    /// At the end of every row.
    pub(crate) row: usize,
    /// Columns of zeros on both sides, beyond those that are needed.
    pub(crate) halo: [usize; 2],
    /// Rows that are kept, a power of two; all of them by default.
    pub(crate) ring: Option<usize>,
}

impl Gaps {
    /// The same around a map that keeps all its rows, as one that is written does.
    pub(crate) fn whole(self) -> Gaps {
        Gaps { ring: None, ..self }
    }

    /// Rows that are kept of a map: all, or a power of two.
    pub(crate) fn rows(&self, height: usize) -> usize {
        match self.ring {
            Some(ring) if ring < height => 1 << ring.max(1).ilog2(),
            _ => height.max(1),
        }
    }
}

/// An arena before a call. What no map has filled are canaries: NaNs that all differ.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    numbers: Vec<f32>,
}

/// Numbers between maps.
const GUARD: usize = 19;

impl Memory {
    /// Room for a map `[channels, height, width]`, filled with canaries.
    pub(crate) fn map(&mut self, [channels, height, width]: [usize; 3], halo: [usize; 2], gaps: Gaps) -> Map {
        self.guard();
        let halo = [halo[0] + gaps.halo[0], halo[1] + gaps.halo[1]];
        let pixel = gaps.before + channels + gaps.after;
        let row = (halo[0] + width + halo[1]) * pixel + gaps.row;
        let offset = self.numbers.len() + halo[0] * pixel + gaps.before;
        let ring = gaps.rows(height);
        let map = Map { offset, height, width, channels, pixel, row, halo, ring };
        // An empty map has a place too.
        let [height, width, channels] = [height, width, channels].map(|size| size.max(1));
        self.grow(offset);
        self.grow(Map { height, width, channels, ..map }.extent().unwrap().end);
        map
    }

    /// Canaries after what there is.
    pub(crate) fn guard(&mut self) {
        self.grow(self.numbers.len() + GUARD);
    }

    /// Canaries up to so many numbers.
    pub(crate) fn grow(&mut self, len: usize) {
        let from = self.numbers.len();
        self.numbers.extend((from..len).map(|i| f32::from_bits(0x7fc0_0000 | i as u32)));
    }

    /// A map with these values, in channel-major order, and zeros in its halo. Of rows that share a place the last stays.
    pub(crate) fn input(
        &mut self,
        shape: [usize; 3],
        halo: [usize; 2],
        gaps: Gaps,
        value: impl Fn(usize) -> f32,
    ) -> Map {
        let map = self.map(shape, halo, gaps);
        for (start, columns) in halos(&map) {
            columns.for_each(|column| self.numbers[start + column..][..map.channels].fill(0.0));
        }
        for (i, place) in places(&map).into_iter().enumerate() {
            if let Some(place) = place {
                self.numbers[place] = value(i);
            }
        }
        map
    }

    /// Runs calls that write `output` and checks everything else; the output in channel-major order, nothing for rows
    /// that are no longer kept.
    pub(crate) fn run(&self, level: Level, calls: Vec<Call>, output: &Map) -> Vec<Option<f32>> {
        self.run_on(&mut Pool::new(1).unwrap(), level, calls, output)
    }

    /// As [`Memory::run`], on a team of threads.
    pub(crate) fn run_on(
        &self,
        pool: &mut Pool,
        level: Level,
        calls: Vec<Call>,
        output: &Map,
    ) -> Vec<Option<f32>> {
        self.check(pool, &self.program(level, calls).unwrap(), output)
    }

    /// A program that runs calls on these numbers: its image is the whole arena.
    pub(crate) fn program(&self, level: Level, calls: Vec<Call>) -> Result<Program, String> {
        let len = self.numbers.len();
        Program::new(level, vec![Map::dense(0, [1, 1, len])], calls, len)
    }

    /// Runs a program of these numbers, as [`Memory::run`] says.
    pub(crate) fn check(&self, pool: &mut Pool, program: &Program, output: &Map) -> Vec<Option<f32>> {
        let len = self.numbers.len();
        let whole = Map::dense(0, [1, 1, len]);
        let mut arena = program.arena();
        program.run_on(pool, &mut arena, &self.numbers);
        let mut after = vec![0.0; len];
        arena.read(&whole, &mut after);

        let mut own = vec![false; len];
        for (start, columns) in halos(output) {
            for place in columns.flat_map(|column| start + column..start + column + output.channels) {
                own[place] = true;
                let is_zero = after[place].to_bits() == 0 || output.width == 0;
                assert!(is_zero, "the halo of {output:?} is {}: {program:?}", after[place]);
            }
        }
        let places = places(output);
        places.iter().flatten().for_each(|&place| own[place] = true);
        for place in (0..len).filter(|&place| !own[place]) {
            let (before, after) = (self.numbers[place].to_bits(), after[place].to_bits());
            assert_eq!(before, after, "number {place} is not of {output:?} but was changed: {program:?}");
        }
        places.into_iter().map(|place| place.map(|place| after[place])).collect()
    }
}

/// Where each element of a map is, in channel-major order; nothing for rows whose place another row took.
fn places(map: &Map) -> Vec<Option<usize>> {
    let mut places = Vec::with_capacity(map.channels * map.height * map.width);
    for c in 0..map.channels {
        for y in 0..map.height {
            let kept = y.saturating_add(map.ring) >= map.height;
            let place = |x| map.offset + y % map.ring * map.row + x * map.pixel + c;
            places.extend((0..map.width).map(|x| kept.then(|| place(x))));
        }
    }
    places
}

/// For each row that is kept, where it begins with its halo and at which distances from there a halo's pixels are.
fn halos(map: &Map) -> impl Iterator<Item = (usize, Box<dyn Iterator<Item = usize>>)> + use<> {
    let map = *map;
    let rows = if map.channels > 0 { map.height.min(map.ring) } else { 0 };
    (0..rows).map(move |y| {
        let columns = (0..map.halo[0]).chain(map.halo[0] + map.width..map.halo[0] + map.width + map.halo[1]);
        let distances: Box<dyn Iterator<Item = usize>> = Box::new(columns.map(move |x| x * map.pixel));
        (map.offset + y * map.row - map.halo[0] * map.pixel, distances)
    })
}
