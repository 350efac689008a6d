//! Calls that nobody should make, of maps and windows that wrap, overlap, leave the arena or are empty: each is refused
//! by its constructor or by [`Program::new`], or computes what it is without touching anything else.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use cygnet_kernels::pool::Pool;
use cygnet_kernels::{
    Activation, Bf16Linear, Binary, Call, Conv, ConvWeights, Depthwise, Element, Level, Map, Pair, Part,
    Plain, PlainCall, Pooling, Program, Store, Window, Winograd,
};
use proptest::prelude::*;

use crate::memory::{Memory, levels, team, values};

/// Numbers of the arenas here: whole lines, so that what follows is no longer theirs.
pub(crate) const ARENA: usize = 2048;

const ARENA_BYTES: usize = ARENA * size_of::<f32>();

const RELU: Activation = Activation::RELU;

thread_local! {
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// What a constructor makes, or nothing if it refuses.
pub(crate) fn made<T>(make: impl FnOnce() -> T) -> Option<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_EXPECTED.get() {
                loud(info);
            }
        }));
    });
    IS_EXPECTED.set(true);
    let made = catch_unwind(AssertUnwindSafe(make)).ok();
    IS_EXPECTED.set(false);
    made
}

fn plain(op: Plain, inputs: &[Map], output: Map) -> Call {
    Call::Plain(Box::new(PlainCall::new(Level::Scalar, op, inputs.to_vec(), output)))
}

/// A 1×1 convolution of one channel.
fn point(level: Level, window: Window, input: Map, output: Map) -> Conv {
    let weight = vec![1.0; output.channels * input.channels];
    let [scale, bias] = [1.0, 0.0].map(|x| vec![x; output.channels]);
    let data = ConvWeights { weight: &weight, scale: &scale, bias: &bias, inputs: input.channels };
    let parts = [Part { map: input, channels: (0..input.channels).collect() }];
    Conv::new(&mut Store::new(level), window, &parts, data, output, None, RELU)
}

fn program(calls: Vec<Call>) -> Result<Program, String> {
    Program::new(Level::Scalar, Vec::new(), calls, ARENA_BYTES)
}

/// The reason for which a copy from `input` to `output` is refused.
fn refused(input: Map, output: Map) -> String {
    program(vec![plain(Plain::Upsample, &[input], output)]).unwrap_err()
}

#[test]
fn maps_beyond_the_arena_are_refused_also_where_they_are_empty() {
    let input = Map::dense(0, [4, 2, 2]);
    for output in [
        Map::dense(ARENA - 15, [4, 2, 2]),
        Map { ring: 1, ..Map::dense(ARENA + 1, [4, 0, 2]) },
        Map { width: 0, row: ARENA, ..Map::dense(16, [4, 2, 2]) },
        Map { row: usize::MAX, ..Map::dense(16, [4, 2, 2]) },
        Map { halo: [9, 0], ..Map::dense(16, [4, 1, 2]) },
        Map { halo: [usize::MAX, usize::MAX], ..Map::dense(16, [4, 1, 2]) },
        Map { offset: usize::MAX, ..Map::dense(16, [4, 1, 2]) },
    ] {
        assert!(refused(input, output).contains("leaves the arena"), "{output:?}");
    }
    assert!(refused(input, Map { ring: 0, ..Map::dense(16, [4, 1, 2]) }).contains("none of its rows"));
    assert!(refused(Map { pixel: 0, row: 0, width: usize::MAX / 64, ..input }, input).contains("larger"));
    let mean = || plain(Plain::GlobalMean, &[input], Map { height: 0, ring: 1, ..Map::dense(16, [4, 1, 1]) });
    assert!(made(mean).is_none());
}

#[test]
fn outputs_whose_elements_share_a_place_are_refused() {
    let input = Map::dense(0, [4, 3, 3]);
    let output = Map::dense(100, [4, 3, 3]);
    for output in [
        Map { row: 11, ..output },
        Map { row: 0, ..output },
        Map { pixel: 3, ..output },
        Map { pixel: 0, ..output },
        Map { ring: 1, ..output },
        Map { halo: [1, 0], ..output },
        Map { row: 15, halo: [1, 1], ..output },
    ] {
        assert!(refused(input, output).contains("share a place"), "{output:?}");
    }
    let whole = Map { row: 20, halo: [1, 1], ..output };
    assert!(program(vec![plain(Plain::Upsample, &[input], whole)]).is_ok());
    assert!(refused(input, Map { offset: 35, ..output }).contains("while it writes"));
}

#[test]
fn planes_of_an_image_that_wrap_or_overlap_are_refused() {
    let new = |image: Vec<Map>| Program::new(Level::Scalar, image, Vec::new(), ARENA_BYTES).map(|_| ());
    let plane = Map::dense(0, [1, 8, 8]);
    assert!(new(vec![plane, Map { offset: 64, ..plane }]).is_ok());
    assert!(new(vec![plane, Map { offset: 63, ..plane }]).unwrap_err().contains("shares numbers"));
    for wrong in [
        Map { height: 1 << (usize::BITS - 12), width: 1 << 12, row: 0, ring: 1, ..plane },
        Map { height: usize::MAX >> 4, width: 0, row: 0, ..plane },
        Map { row: 7, ..plane },
        Map { pixel: 2, row: 16, ..plane },
        Map { channels: 2, ..plane },
        plane.of(Element::U8),
    ] {
        assert!(new(vec![wrong]).is_err(), "{wrong:?}");
    }
}

#[test]
fn maps_of_other_elements_are_refused() {
    let floats = [Map::dense(0, [1, 3, 3]), Map::dense(16, [1, 3, 3])];
    for [input, output] in [0, 1].map(|byte| {
        let mut maps = floats;
        maps[byte].element = Element::U8;
        maps
    }) {
        assert!(made(|| plain(Plain::Upsample, &[input], output)).is_none());
        assert!(made(|| point(Level::Scalar, Window::POINT, input, output)).is_none());
        let depthwise = |store: &mut Store, window: Window| {
            Depthwise::new(store, window, input, &[1.0], &[0.0], output, RELU)
        };
        assert!(made(|| depthwise(&mut Store::new(Level::Scalar), Window::POINT)).is_none());
    }
}

#[test]
fn windows_that_wrap_are_refused() {
    let (input, output) = (Map::dense(0, [1, 1, 1]), Map::dense(1, [1, 1, 9]));
    let is_made = |window: Window| made(|| point(Level::Scalar, window, input, output)).is_some();
    let point = Window::POINT;
    for far in [0, 2, 1 << (usize::BITS - 4), 1 << (usize::BITS - 3), usize::MAX] {
        assert!(!is_made(Window { stride: [1, far], ..point }), "{far}");
    }
    for window in [
        Window { stride: [usize::MAX, 1], ..point },
        Window { stride: [0, 1], ..point },
        Window { dilation: [0, 1], ..point },
        Window { pad: [usize::MAX, 0], ..point },
        Window { pad: [0, usize::MAX], ..point },
        Window { kernel: [1 << (usize::BITS - 1), 2], ..point },
    ] {
        assert!(!is_made(window), "{window:?}");
        let pool = Plain::Pool { pooling: Pooling::Max, window, end_pad: [0, 0] };
        assert!(made(|| plain(pool, &[Map::dense(0, [1, 9, 9])], Map::dense(99, [1, 9, 9]))).is_none());
    }
}

#[test]
fn a_pair_of_two_instruction_sets_is_refused() {
    for level in levels().filter(|&level| level != Level::Scalar) {
        for [first, second] in [[level, Level::Scalar], [Level::Scalar, level]] {
            let middle = Map { row: 21, ..Map::dense(0, [4, 5, 5]) };
            let depthwise = || {
                let (weight, bias) = (values(4, 1), values(4, 2));
                let output = Map::dense(200, [4, 5, 5]);
                Depthwise::new(&mut Store::new(second), Window::POINT, middle, &weight, &bias, output, RELU)
            };
            let dense = || point(first, Window::POINT, Map::dense(0, [3, 5, 5]), middle);
            assert!(made(|| Pair::new(dense(), depthwise())).is_none(), "{first:?} and {second:?}");
        }
    }
}

pub(crate) fn number() -> impl Strategy<Value = usize> {
    cygnet_testing::arithmetic::number(ARENA)
}

/// A map of the arena's `place`-th part, some of whose numbers may be any.
pub(crate) fn map(place: usize) -> impl Strategy<Value = Map> {
    let wrong = prop::collection::vec((0..9usize, number()), 0..2);
    let ends = any::<bool>();
    ([0..6usize, 0..8], 0..20usize, 0..4usize, 0..4usize, [0..3usize, 0..3], wrong, ends).prop_map(
        move |([height, width], channels, gap, more, halo, wrong, ends)| {
            let pixel = channels + gap;
            let row = (halo[0] + width + halo[1]) * pixel + more;
            let offset = place * ARENA / 2 + halo[0] * pixel;
            let mut map = Map {
                element: Element::F32,
                offset,
                height,
                width,
                channels,
                pixel,
                row,
                halo,
                ring: height,
            };
            if ends && let Some(extent) = map.extent().filter(|extent| extent.end <= ARENA) {
                map.offset += ARENA - extent.end;
            }
            for (field, value) in wrong {
                let field = match field {
                    0 => &mut map.offset,
                    1 => &mut map.height,
                    2 => &mut map.width,
                    3 => &mut map.channels,
                    4 => &mut map.pixel,
                    5 => &mut map.row,
                    6 => &mut map.halo[0],
                    7 => &mut map.halo[1],
                    _ => &mut map.ring,
                };
                *field = value;
            }
            map
        },
    )
}

pub(crate) fn window() -> impl Strategy<Value = Window> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    let wrong = prop::collection::vec((0..4usize, 0..2usize, number()), 0..2);
    (pair(1..6), pair(1..4), pair(1..3), pair(0..3), wrong).prop_map(
        |(kernel, stride, dilation, pad, wrong)| {
            let mut window = Window { kernel, stride, dilation, pad };
            for (field, axis, value) in wrong {
                let field = match field {
                    0 => &mut window.kernel,
                    1 => &mut window.stride,
                    2 => &mut window.dilation,
                    _ => &mut window.pad,
                };
                field[axis] = value;
            }
            window
        },
    )
}

/// Maps, windows and the number of the call that is to be made of them.
#[derive(Clone, Debug)]
struct Hostile {
    kind: usize,
    input: Map,
    other: Map,
    output: Map,
    windows: [Window; 2],
    end_pad: [usize; 2],
    /// Whether sizes are made to fit each other.
    fits: bool,
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let maps = (map(0), map(0), map(1));
    (0..17usize, maps, [window(), window()], [number(), number()], prop::bool::weighted(0.8)).prop_map(
        |(kind, (input, other, output), windows, end_pad, fits)| Hostile {
            kind,
            input,
            other,
            output,
            windows,
            end_pad,
            fits,
        },
    )
}

/// As many numbers as sizes say, if these are few: else none, which must not be taken for as many.
fn numbers(sizes: &[usize]) -> Vec<f32> {
    let count = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).filter(|&n| n < 1 << 20);
    values(count.unwrap_or(0), 7)
}

/// Makes a window stay within a map's halo on the left, and counts the columns for which it does so on the right.
pub(crate) fn columns(window: &mut Window, input: &Map) -> usize {
    let pad = &mut window.pad[1];
    *pad = (*pad).min(input.halo[0]);
    let end = input.width.saturating_add(*pad).saturating_add(input.halo[1]);
    let taps = window.kernel[1].saturating_sub(1).saturating_mul(window.dilation[1]).saturating_add(1);
    end.checked_sub(taps).map_or(0, |room| room / window.stride[1].max(1) + 1)
}

impl Hostile {
    fn conv(&self, level: Level, output: Map) -> Conv {
        let [window, _] = self.windows;
        let ([kh, kw], out) = (window.kernel, output.channels);
        let weight = numbers(&[out, self.input.channels, kh, kw]);
        let [scale, bias] = [numbers(&[out]), numbers(&[out])];
        let data = ConvWeights { weight: &weight, scale: &scale, bias: &bias, inputs: self.input.channels };
        let parts = [Part { map: self.input, channels: (0..self.input.channels.min(1 << 20)).collect() }];
        let residual = (self.kind == 1).then_some(self.other);
        Conv::new(&mut Store::new(level), window, &parts, data, output, residual, RELU)
    }

    fn depthwise(&self, level: Level, input: Map) -> Depthwise {
        let [kh, kw] = self.windows[1].kernel;
        let weight = numbers(&[self.output.channels, kh, kw]);
        let bias = numbers(&[self.output.channels]);
        Depthwise::new(
            &mut Store::new(level),
            self.windows[1],
            input,
            &weight,
            &bias,
            self.output,
            Activation::HardSwish,
        )
    }

    /// The call; panics where its constructor refuses.
    fn call(&self, level: Level) -> Call {
        let Hostile { input, other, output, windows, end_pad, .. } = self.clone();
        let channels = output.channels;
        let pooling = [Pooling::Max, Pooling::Mean { count_pad: true }][self.kind % 2];
        let op = match self.kind {
            0..=2 => return Call::Conv(Box::new(self.conv(level, output))),
            3 | 4 => return Call::Depthwise(Box::new(self.depthwise(level, input))),
            5 | 6 => {
                let middle = Map { channels, ..other };
                let pair = Pair::new(self.conv(level, middle), self.depthwise(level, middle));
                return Call::Pair(Box::new(pair));
            }
            7 => {
                let weight = numbers(&[channels, input.channels, 9]);
                let [scale, bias] = [numbers(&[channels]), numbers(&[channels])];
                let data =
                    ConvWeights { weight: &weight, scale: &scale, bias: &bias, inputs: input.channels };
                let part = Part { map: input, channels: (0..input.channels.min(1 << 20)).collect() };
                let window = Window { pad: windows[0].pad, kernel: [3, 3], ..Window::POINT };
                let mut store = Store::new(level);
                let call = Winograd::new(&mut store, window, &part, data, output, Some(other), RELU);
                return Call::Winograd(Box::new(call));
            }
            16 => {
                let weight = numbers(&[channels, input.channels, input.height, input.width]);
                let [scale, bias] = [numbers(&[channels]), numbers(&[channels])];
                let data =
                    ConvWeights { weight: &weight, scale: &scale, bias: &bias, inputs: input.channels };
                let part = Part { map: input, channels: (0..input.channels.min(1 << 20)).collect() };
                let call = Bf16Linear::new(&mut Store::new(level), &[part], data, output, RELU);
                return Call::Bf16Linear(Box::new(call));
            }
            8 | 9 => Plain::Pool { pooling, window: windows[0], end_pad },
            10 => Plain::GlobalMean,
            11 => Plain::AdaptiveMean,
            12 => Plain::Binary(Binary::Mul, RELU),
            13 => Plain::LocalResponseNorm { size: end_pad[0], constants: [0.1, 0.75, 1.0] },
            _ => Plain::Upsample,
        };
        let inputs = if self.kind == 12 { vec![input, other] } else { vec![input] };
        Call::Plain(Box::new(PlainCall::new(level, op, inputs, output)))
    }

    /// The same with sizes that fit each other as the call wants it.
    fn fitted(mut self) -> Hostile {
        let size = |from: Map, to: Map| Map { height: from.height, width: from.width, ..to };
        if self.kind == 0 {
            self.windows = [Window::POINT; 2];
        }
        let [first, second] = &mut self.windows;
        match self.kind {
            0..=2 => self.output.width = self.output.width.min(columns(first, &self.input)),
            3 | 4 => self.output.width = self.output.width.min(columns(second, &self.input)),
            5 | 6 => {
                self.other.width = self.other.width.min(columns(first, &self.input));
                self.output.width = self.output.width.min(columns(second, &self.other));
            }
            _ => {}
        }
        self.output.channels = match self.kind {
            0 | 1 | 2 | 5 | 6 | 7 | 16 => self.output.channels,
            _ => self.input.channels.min(self.output.pixel),
        };
        if !matches!(self.kind, 0 | 1 | 2 | 5 | 6 | 7 | 16) {
            self.input.channels = self.output.channels;
        }
        match self.kind {
            1 | 7 => self.other = Map { channels: self.output.channels, ..size(self.output, self.other) },
            10 | 16 => self.output = Map { height: 1, width: 1, ring: 1, ..self.output },
            12 | 13 | 15 => self.output = size(self.input, self.output),
            _ => {}
        }
        if self.kind == 12 {
            self.other = Map { height: 1, width: 1, channels: self.input.channels, ..self.other };
        }
        self
    }
}

/// Programs of more rows are not run.
const MOST_ROWS: usize = 1 << 16;

/// Runs what is not refused, on one thread and on several; whether it was run.
fn run(hostile: &Hostile, pool: &mut Pool) -> bool {
    let mut memory = Memory::default();
    memory.grow(ARENA);
    let mut was_run = false;
    for level in levels() {
        // Rows that share places may be any number: accepted, and a matter of time alone.
        if hostile.output.height > MOST_ROWS {
            continue;
        }
        let Some(call) = made(|| hostile.call(level)) else { continue };
        let output = call.writes();
        let Ok(program) = memory.program(level, vec![call]) else { continue };
        // Rows between two convolutions may be as long as memory allows: accepted, and no matter of places.
        if program.arena_bytes() > 64 << 20 {
            continue;
        }
        let alone = memory.check(&mut team(1), &program, &output);
        let together = memory.check(pool, &program, &output);
        let bits = |list: &[Option<f32>]| list.iter().map(|x| x.map(f32::to_bits)).collect::<Vec<_>>();
        assert_eq!(bits(&alone), bits(&together), "{level:?}: {hostile:?}");
        was_run = true;
    }
    was_run
}

#[test]
fn halos_of_nothing_are_no_longer_than_others() {
    let map = Map::dense(0, [0, 2, 2]);
    let far = Map { halo: [1 << (usize::BITS - 8); 2], ..map };
    for (kind, windows) in (0..17).map(|kind| (kind, [Window::POINT; 2])) {
        for [input, other, output] in [[map, far, map], [map, map, far]] {
            let hostile = Hostile { kind, input, other, output, windows, end_pad: [1, 1], fits: false };
            let is_run = run(&hostile, &mut team(3));
            assert!(!is_run || (output != far && !matches!(kind, 5 | 6)), "{hostile:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_call_is_refused_or_stays_within_its_maps(hostile in hostile()) {
        let hostile = if hostile.fits { hostile.fitted() } else { hostile };
        run(&hostile, &mut team(3));
    }
}
