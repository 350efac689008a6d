//! Calls over bytes that nobody should make: each is refused, or computes what it is without touching anything else.

use cygnet_kernels::pool::Pool;
use cygnet_kernels::{
    ByteCall, ByteConv, ByteDepthwise, ByteGate, ByteLevel, ByteMax, ByteMean, ByteScale, ByteTable,
    ByteWeights, Element, Ending, Map, Mean, Part, Pixels, Quantise, Store, Table, Term, ToBytes, Window,
};
use proptest::prelude::*;

use super::memory::{Memory, byte, levels};
use crate::memory::team;
use crate::soundness::{ARENA, columns, made, map, number, window};

/// Maps, windows and the number of the call that is to be made of them.
#[derive(Clone, Debug)]
struct Hostile {
    kind: usize,
    input: Map,
    other: Map,
    output: Map,
    window: Window,
    end_pad: [usize; 2],
    /// Whether sizes are made to fit each other.
    fits: bool,
}

/// The zero point of all grids.
const ZERO: u8 = 9;

fn hostile() -> impl Strategy<Value = Hostile> {
    let maps = (map(0), map(0), map(1));
    (0..16usize, maps, window(), [number(), number()], prop::bool::weighted(0.8)).prop_map(
        |(kind, (input, other, output), window, end_pad, fits)| {
            let bytes = |map: Map| map.of(Element::U8);
            // A quarter of the floats there would be bytes of.
            let floats = |map: Map| Map { offset: map.offset / 4, ..map };
            let input = if kind == 13 { floats(input) } else { bytes(input) };
            let other = if kind == 8 { floats(other) } else { bytes(other) };
            let output = if matches!(kind, 11 | 14 | 15) { floats(output) } else { bytes(output) };
            Hostile { kind, input, other, output, window, end_pad, fits }
        },
    )
}

/// As many numbers as sizes say, if these are few: else none, which must not be taken for as many.
fn numbers<T>(sizes: &[usize], number: impl Fn(usize) -> T) -> Vec<T> {
    let count = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).filter(|&n| n < 1 << 20);
    (0..count.unwrap_or(0)).map(number).collect()
}

impl Hostile {
    /// The call; panics where its constructor refuses.
    fn call(&self, level: ByteLevel) -> ByteCall {
        let Hostile { kind, input, other, output, window, end_pad, .. } = self.clone();
        let channels = output.channels;
        let mut store = Store::new(cygnet_kernels::Level::Scalar);
        let store = &mut store;
        let scale = numbers(&[channels], |i| 0.01 + i as f32 / 1000.0);
        let bias = numbers(&[channels], |i| i as i32 - 7);
        let table: [u8; 256] = std::array::from_fn(|i| byte(i, 5));
        let to = ToBytes { scale: &scale, zero: ZERO, term: None, limits: None, table: None };
        let term = Some(Term { map: other, zero: 3, scale: &scale });
        let ending = match (kind, output.element) {
            (_, Element::F32) => Ending::Floats { scale: &scale },
            (1 | 4 | 5, _) => Ending::Bytes(ToBytes { term, ..to }),
            _ => Ending::Bytes(to),
        };
        let [kh, kw] = window.kernel;
        let pixels = [Pixels::All, Pixels::Adaptive, Pixels::Window { window, end_pad }];
        let mean = |store: &mut Store, pixels: Pixels| {
            let to = (output.element == Element::U8).then_some((ZERO, &scale[..]));
            let mean = Mean { count_pad: end_pad[0] % 2 == 0, zero: 7, scale: &scale, to };
            ByteCall::Mean(ByteMean::new(store, level, pixels, input, output, mean))
        };
        match kind {
            0..=2 | 14 => {
                let weight = numbers(&[channels, input.channels, kh, kw], |i| byte(i, 1) as i8);
                let data = ByteWeights { weight: &weight, bias: &bias, inputs: input.channels, zero: 5 };
                let parts = [Part { map: input, channels: (0..input.channels.min(1 << 20)).collect() }];
                ByteCall::Conv(ByteConv::new(store, level, window, &parts, data, output, ending))
            }
            3 | 4 => {
                let weight = numbers(&[channels, kh, kw], |i| byte(i, 1) as i8);
                let data = ByteWeights { weight: &weight, bias: &bias, inputs: 1, zero: 5 };
                ByteCall::Depthwise(ByteDepthwise::new(store, level, window, input, data, output, ending))
            }
            5 | 15 => ByteCall::Scale(ByteScale::new(store, level, input, 2, output, ending)),
            6 => {
                let table = Table { bytes: &table, zero: ZERO };
                ByteCall::Table(ByteTable::new(store, level, input, table, output))
            }
            7 => ByteCall::Table(ByteTable::copy(level, input, ZERO, output)),
            8 => ByteCall::Gate(ByteGate::new(store, level, [input, other], [1, ZERO], &scale, output)),
            9 => ByteCall::Max(ByteMax::new(level, pixels[2], input, ZERO, output)),
            10 => mean(store, pixels[2]),
            11 => mean(store, pixels[0]),
            12 => mean(store, pixels[1]),
            _ => ByteCall::Quantise(Quantise::new(store, level, vec![input], &scale, ZERO, output)),
        }
    }

    /// The same with sizes that fit each other as the call wants it.
    fn fitted(mut self) -> Hostile {
        let size = |from: Map, to: Map| Map { height: from.height, width: from.width, ..to };
        if self.kind == 0 {
            self.window = Window::POINT;
        }
        if matches!(self.kind, 0..=4 | 14) {
            self.output.width = self.output.width.min(columns(&mut self.window, &self.input));
        }
        if !matches!(self.kind, 0..=2 | 14) {
            self.output.channels = self.input.channels.min(self.output.pixel);
            self.input.channels = self.output.channels;
        }
        match self.kind {
            5..=8 | 13 | 15 => self.output = size(self.input, self.output),
            11 => self.output = Map { height: 1, width: 1, ring: 1, ..self.output },
            _ => {}
        }
        match self.kind {
            1 | 4 | 5 => self.other = Map { channels: self.output.channels, ..size(self.output, self.other) },
            8 => self.other = Map { height: 1, width: 1, channels: self.output.channels, ..self.other },
            _ => {}
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
        let Ok(program) = memory.program(vec![call]) else { continue };
        // Windows may span as much as memory allows: accepted, and no matter of places.
        if program.arena_bytes() > 64 << 20 {
            continue;
        }
        let zero = if hostile.output.element == Element::U8 { ZERO } else { 0 };
        let alone = memory.check(&mut team(1), &program, &hostile.output, zero);
        let together = memory.check(pool, &program, &hostile.output, zero);
        assert_eq!(alone, together, "{level:?}: {hostile:?}");
        was_run = true;
    }
    was_run
}

#[test]
fn maps_of_other_elements_are_refused() {
    let [input, output] = [Map::dense(0, [4, 3, 3]), Map::dense(64, [4, 3, 3])];
    for kind in 0..16 {
        let hostile = Hostile {
            kind,
            input,
            other: input.of(Element::U8),
            output,
            window: Window::POINT,
            end_pad: [0, 0],
            fits: true,
        };
        let elements = if kind == 13 { [Element::U8, Element::U8] } else { [Element::F32, Element::U8] };
        let [input, output] = [input.of(elements[0]), output.of(elements[1])];
        assert!(made(|| Hostile { input, output, ..hostile }.call(ByteLevel::Scalar)).is_none(), "{kind}");
    }
}

#[test]
fn distances_between_the_taps_of_a_single_one_do_not_count() {
    let channels = |channels| [Map::dense(0, [channels, 2, 2]), Map::dense(1024, [channels, 2, 2])];
    for (far, [input, output]) in
        [2, 1 << (usize::BITS - 3), usize::MAX].into_iter().flat_map(|far| [0, 3].map(|c| (far, channels(c))))
    {
        let [input, output] = [input.of(Element::U8), output.of(Element::U8)];
        let window = Window { dilation: [far, far], ..Window::POINT };
        for kind in [1, 3] {
            let hostile = Hostile { kind, input, other: input, output, window, end_pad: [0, 0], fits: false };
            assert!(run(&hostile, &mut team(3)) || far > 2, "{kind} {far}");
        }
    }
}

#[test]
fn halos_of_nothing_are_no_longer_than_others() {
    let map = Map::dense(0, [0, 2, 2]);
    let [input, other, output] =
        [map, map, Map { halo: [1 << (usize::BITS - 8); 2], ..map }].map(|map| map.of(Element::U8));
    for kind in 0..16 {
        let hostile =
            Hostile { kind, input, other, output, window: Window::POINT, end_pad: [0, 0], fits: false };
        assert!(!run(&hostile, &mut team(3)), "{kind}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_call_is_refused_or_stays_within_its_maps(hostile in hostile()) {
        let hostile = if hostile.fits { hostile.fitted() } else { hostile };
        run(&hostile, &mut team(3));
    }
}
