//! An arena with canaries.

use cygnet_kernels::pool::Pool;
use cygnet_kernels::{Call, Element, Level, Map, Program};

pub(crate) use cygnet_testing::arithmetic::{
    CHANNELS, CHEAP, activate, agrees, levels, team, to_f64, tolerance, values,
};

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
        let map = Map { element: Element::F32, offset, height, width, channels, pixel, row, halo, ring };
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
        self.run_on(&mut team(1), level, calls, output)
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
        Program::new(level, vec![Map::dense(0, [1, 1, len])], calls, len * size_of::<f32>())
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
pub(crate) fn places(map: &Map) -> Vec<Option<usize>> {
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
pub(crate) fn halos(map: &Map) -> impl Iterator<Item = (usize, Box<dyn Iterator<Item = usize>>)> + use<> {
    let map = *map;
    let rows = if map.channels > 0 { map.height.min(map.ring) } else { 0 };
    (0..rows).map(move |y| {
        let columns = (0..map.halo[0]).chain(map.halo[0] + map.width..map.halo[0] + map.width + map.halo[1]);
        let distances: Box<dyn Iterator<Item = usize>> = Box::new(columns.map(move |x| x * map.pixel));
        (map.offset + y * map.row - map.halo[0] * map.pixel, distances)
    })
}
