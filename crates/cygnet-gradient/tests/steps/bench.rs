//! An arena with canaries for steps, and finite differences to hold gradients against.

use cygnet_cpu::Level;
use cygnet_gradient::{Arena, Import, Norm, Params, Program, Run, Step, View};
use cygnet_testing::arithmetic::{levels, team, to_f64, values};

/// Images, rows, columns and channels.
pub(crate) type Size = [usize; 4];

/// Numbers between views.
const GUARD: usize = 19;

/// An arena before some steps, and the parameters. What was given no value are canaries: NaNs that all differ.
#[derive(Clone, Default)]
pub(crate) struct Bench {
    numbers: Vec<f32>,
    /// What any step may write.
    rooms: Vec<std::ops::Range<usize>>,
    params: Vec<Vec<f32>>,
    targets: Vec<f32>,
    losses: usize,
}

/// What steps left behind.
pub(crate) struct After {
    arena: Vec<f32>,
    /// What was added to the gradients.
    pub(crate) gradients: Vec<Vec<f64>>,
    pub(crate) params: Vec<Vec<f64>>,
    pub(crate) loss: f64,
}

impl Bench {
    fn grow(&mut self, len: usize) -> usize {
        let from = self.numbers.len();
        self.numbers.extend((from..from + len).map(|i| f32::from_bits(0x7fc0_0000 | i as u32)));
        from
    }

    /// A view full of canaries, whose pixels have some more behind them.
    pub(crate) fn view(&mut self, [images, height, width, channels]: Size, gap: usize) -> View {
        self.grow(GUARD);
        let stride = channels + gap;
        let offset = self.grow(images * height * width * stride);
        View { offset, images, height, width, channels, stride }
    }

    /// A view of these values, pixel by pixel.
    pub(crate) fn given(&mut self, size: Size, gap: usize, values: &[f32]) -> View {
        let view = self.view(size, gap);
        for (row, values) in values.chunks_exact(view.channels).enumerate() {
            self.numbers[view.offset + row * view.stride..][..view.channels].copy_from_slice(values);
        }
        view
    }

    /// A view of numbers from -1 to 1, and these.
    pub(crate) fn random(&mut self, size: Size, gap: usize, seed: u64) -> (View, Vec<f64>) {
        let values = values(size.iter().product(), seed);
        (self.given(size, gap, &values), to_f64(&values))
    }

    /// Numbers for steps to write, which begin at a vector.
    pub(crate) fn room(&mut self, len: usize) -> usize {
        self.grow(GUARD);
        self.grow(self.numbers.len().next_multiple_of(16) - self.numbers.len());
        let start = self.grow(len);
        self.rooms.push(start..start + len);
        start
    }

    /// A norm's vectors: these, one number a channel each.
    pub(crate) fn norm(&mut self, vectors: &[Vec<f64>]) -> Norm {
        let channels = vectors[0].len();
        let spacing = channels.next_multiple_of(16);
        let offset = self.room(Norm::VECTORS * spacing);
        for (i, vector) in vectors.iter().enumerate() {
            let place = &mut self.numbers[offset + i * spacing..][..channels];
            place.iter_mut().zip(vector).for_each(|(to, &x)| *to = x as f32);
        }
        Norm { offset, spacing }
    }

    /// A parameter of numbers from -1 to 1; its number, and these.
    pub(crate) fn param(&mut self, len: usize, seed: u64) -> (usize, Vec<f64>) {
        let values = values(len, seed);
        let exact = to_f64(&values);
        self.params.push(values);
        (self.params.len() - 1, exact)
    }

    /// Changes a parameter's numbers.
    pub(crate) fn change(&mut self, param: usize, change: impl Fn(f32) -> f32) -> Vec<f64> {
        self.params[param].iter_mut().for_each(|x| *x = change(*x));
        to_f64(&self.params[param])
    }

    /// Targets of a loss.
    pub(crate) fn targets(&mut self, targets: Vec<f32>, losses: usize) {
        (self.targets, self.losses) = (targets, losses);
    }

    fn go(&self, level: Level, steps: &[Step], threads: usize) -> (After, Vec<u64>) {
        let len = self.numbers.len();
        let all = View { offset: 0, images: 1, height: 1, width: len, channels: 1, stride: 1 };
        let steps = [Step::Import(Import { to: all })].into_iter().chain(steps.iter().cloned()).collect();
        let lens = self.params.iter().map(Vec::len).collect();
        let sizes = [len, self.targets.len(), self.losses];
        let program = Program::new(level, steps, len, lens, sizes).unwrap();
        let mut arena = Arena::new(&[&program], threads);
        let mut params = self.params.clone();
        let start: Vec<Vec<f32>> =
            params.iter().enumerate().map(|(i, param)| values(param.len(), 90 + i as u64)).collect();
        let mut gradients = start.clone();
        let run = Run {
            params: Params::Change(&mut params),
            gradients: &mut gradients,
            images: &self.numbers,
            targets: &self.targets,
            seed: 3,
            scale: 1.0,
        };
        program.run(&mut team(threads), &mut arena, run);
        let arena_after = arena.read(0..len).to_vec();
        let lists = gradients.iter().chain(&params).chain([&arena_after]);
        let mut bits: Vec<u64> = lists.flatten().map(|x| u64::from(x.to_bits())).collect();
        bits.push(arena.loss().to_bits());
        let added = |(after, before): (&Vec<f32>, &Vec<f32>)| {
            after.iter().zip(before).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
        };
        let after = After {
            arena: arena_after,
            gradients: gradients.iter().zip(&start).map(added).collect(),
            params: params.iter().map(|list| to_f64(list)).collect(),
            loss: arena.loss(),
        };
        (after, bits)
    }

    /// Runs steps made for every instruction set, on one thread and on three, which must leave the same bits, and change
    /// nothing but rooms and the views that they write.
    pub(crate) fn each(
        &self,
        steps: impl Fn(Level) -> Vec<Step>,
        written: &[View],
        check: impl Fn(Level, &After),
    ) {
        let mut own = vec![false; self.numbers.len()];
        self.rooms.iter().for_each(|room| own[room.clone()].fill(true));
        for view in written {
            let start = |row: usize| view.offset + row * view.stride;
            (0..view.rows()).for_each(|row| own[start(row)..][..view.channels].fill(true));
        }
        for level in levels() {
            let steps = steps(level);
            let (after, bits) = self.go(level, &steps, 1);
            let (_, together) = self.go(level, &steps, 3);
            assert!(bits == together, "{level:?}: three threads compute something else: {steps:?}");
            for place in (0..own.len()).filter(|&place| !own[place]) {
                let is_same = self.numbers[place].to_bits() == after.arena[place].to_bits();
                assert!(is_same, "{level:?}: number {place} was changed by {steps:?}");
            }
            check(level, &after);
        }
    }
}

impl After {
    /// A view's values, pixel by pixel.
    pub(crate) fn view(&self, view: &View) -> Vec<f64> {
        let row = |row: usize| &self.arena[view.offset + row * view.stride..][..view.channels];
        (0..view.rows()).flat_map(row).map(|&x| f64::from(x)).collect()
    }

    /// Numbers from a place on.
    pub(crate) fn read(&self, place: usize, len: usize) -> Vec<f64> {
        to_f64(&self.arena[place..place + len])
    }

    /// For each channel, the sums over some blocks of `[blocks, 2, spacing]`.
    pub(crate) fn sums(&self, place: usize, blocks: usize, spacing: usize, channels: usize) -> [Vec<f64>; 2] {
        [0, 1].map(|which| {
            let part = |block: usize| self.read(place + (2 * block + which) * spacing, channels);
            let add = |sum: Vec<f64>, part: Vec<f64>| sum.iter().zip(part).map(|(a, b)| a + b).collect();
            (0..blocks).map(part).fold(vec![0.0; channels], add)
        })
    }
}

/// A run that reads images and nothing else.
pub(crate) fn of_images(images: &[f32]) -> Run<'_> {
    Run { params: Params::Keep(&[]), gradients: &mut [], images, targets: &[], seed: 0, scale: 1.0 }
}

/// Holds numbers against others, within a share of the largest.
pub(crate) fn compare(what: &str, got: &[f64], want: &[f64], share: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let allowed = share * (1.0 + want.iter().fold(0.0, |largest: f64, x| largest.max(x.abs())));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= allowed, "{what}: number {i} is {got}, not {want} within {allowed}");
    }
}

/// Some numbers of a list: all of a short one, else the first, the last and some between.
fn some(len: usize) -> Vec<usize> {
    let step = (len / 16).max(1) | 1;
    let mut some: Vec<usize> = (0..len).step_by(step).collect();
    some.extend(len.checked_sub(1));
    some
}

/// The derivative of a function by some of its arguments.
pub(crate) struct Slopes(Vec<(usize, f64)>);

impl Slopes {
    /// Finite differences at `x`.
    pub(crate) fn of(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Slopes {
        const STEP: f64 = 1e-6;
        let places = some(x.len());
        let mut x = x.to_vec();
        let slope = |i: usize| {
            let middle = x[i];
            let [above, below] = [STEP, -STEP].map(|step| {
                x[i] = middle + step;
                f(&x)
            });
            x[i] = middle;
            (i, (above - below) / (2.0 * STEP))
        };
        Slopes(places.into_iter().map(slope).collect())
    }

    /// Slopes that are known.
    pub(crate) fn exact(len: usize, slope: impl Fn(usize) -> f64) -> Slopes {
        Slopes(some(len).into_iter().map(|i| (i, slope(i))).collect())
    }

    /// Holds a gradient against them.
    pub(crate) fn check(&self, what: &str, got: &[f64], share: f64) {
        let largest = self.0.iter().fold(0.0, |largest: f64, (_, slope)| largest.max(slope.abs()));
        let allowed = share * (1.0 + largest);
        for &(i, want) in &self.0 {
            let distance = (got[i] - want).abs();
            assert!(distance <= allowed, "{what}: number {i} is {}, not {want} within {allowed}", got[i]);
        }
    }
}

/// The sum of products.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
