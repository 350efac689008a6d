use cygnet_kernels::reference::int8;
use cygnet_kernels::{
    ByteCall, ByteGate, ByteLevel, ByteScale, ByteTable, Element, Ending, Map, Quantise, Store, Table, Term,
    ToBytes,
};
use proptest::prelude::*;

use super::memory::{Memory, byte, levels};
use crate::memory::{Gaps, team, values};

/// What is computed of maps of `shape`: elements count as in `[channels, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Sum { limits: bool },
    Grid,
    Floats,
    Table,
    Copy,
    Gate,
    Quantise { planes: bool, more: usize },
}

const KINDS: [Kind; 10] = [
    Kind::Sum { limits: false },
    Kind::Sum { limits: true },
    Kind::Grid,
    Kind::Floats,
    Kind::Table,
    Kind::Copy,
    Kind::Gate,
    Kind::Quantise { planes: false, more: 0 },
    Kind::Quantise { planes: true, more: 0 },
    Kind::Quantise { planes: true, more: 1 },
];

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    shape: [usize; 3],
    zeros: [u8; 3],
    gaps: [Gaps; 2],
    seed: u64,
}

/// Floats that round, tie, saturate and are none.
const FLOATS: [f32; 12] =
    [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 1e9, -1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 3e38];

impl Case {
    fn check(&self, threads: usize) {
        let Case { kind, shape, zeros, gaps: [input_gaps, output_gaps], seed } = self.clone();
        let [channels, height, width] = shape;
        let plane = height * width;
        let count = channels * plane;
        let x: Vec<u8> = (0..count).map(|i| byte(i, seed)).collect();
        let y: Vec<u8> = (0..count).map(|i| byte(i, seed + 1)).collect();
        let [scale, other] = [2, 3].map(|seed| values(channels, seed));
        let table: [u8; 256] = std::array::from_fn(|i| byte(i, seed + 4));
        let low: Vec<u8> = (0..channels).map(|c| byte(c, seed + 5) / 4).collect();
        let high: Vec<u8> = (0..channels).map(|c| 100 + byte(c, seed + 6) / 2).collect();
        let floats: Vec<f32> = values(count, seed)
            .into_iter()
            .enumerate()
            .map(|(i, x)| *FLOATS.get(i % 40).unwrap_or(&(x * 200.0)))
            .collect();
        let gates = scale.iter().enumerate();
        let gates: Vec<f32> = gates.map(|(c, x)| *FLOATS.get((c + channels) % 20).unwrap_or(x)).collect();
        let inverse: Vec<f32> = scale.iter().map(|x| x + 1.5).collect();

        let mut memory = Memory::default();
        let mut inputs = Vec::new();
        if let Kind::Quantise { planes: is_planes, .. } = kind {
            let (maps, of_map) = if is_planes { (channels, 1) } else { (1, channels) };
            for map in 0..maps {
                let gaps = if is_planes { Gaps::default() } else { input_gaps };
                let value = |i: usize| floats[map * plane + i];
                inputs.push(memory.floats([of_map, height, width], gaps, value));
            }
        } else {
            inputs.push(memory.input(shape, [0, 0], input_gaps, zeros[0], |i| x[i]));
        }
        let term = memory.input(shape, [0, 0], output_gaps, zeros[1], |i| y[i]);
        let gate = memory.floats([channels, 1, 1], Gaps::default(), |c| gates[c]);
        let element = if kind == Kind::Floats { Element::F32 } else { Element::U8 };
        let more = if let Kind::Quantise { more, .. } = kind { more } else { 0 };
        let output = memory.map(element, [channels + more, height, width], [0, 0], output_gaps);

        let to = ToBytes { scale: &other, zero: zeros[2], term: None, limits: None, table: None };
        let call = |level: ByteLevel| -> ByteCall {
            let mut store = Store::new(cygnet_kernels::Level::Scalar);
            let store = &mut store;
            let scaled = |store: &mut Store, ending: Ending<'_>| {
                ByteCall::Scale(ByteScale::new(store, level, inputs[0], zeros[0], output, ending))
            };
            match kind {
                Kind::Sum { limits } => {
                    let term = Some(Term { map: term, zero: zeros[1], scale: &scale });
                    let limits = limits.then_some([&low[..], &high[..]]);
                    scaled(store, Ending::Bytes(ToBytes { term, limits, ..to }))
                }
                Kind::Grid => scaled(store, Ending::Bytes(to)),
                Kind::Floats => scaled(store, Ending::Floats { scale: &scale }),
                Kind::Table => {
                    let table = Table { bytes: &table, zero: zeros[2] };
                    ByteCall::Table(ByteTable::new(store, level, inputs[0], table, output))
                }
                Kind::Copy => ByteCall::Table(ByteTable::copy(level, inputs[0], zeros[2], output)),
                Kind::Gate => {
                    let zeros = [zeros[0], zeros[2]];
                    ByteCall::Gate(ByteGate::new(store, level, [inputs[0], gate], zeros, &other, output))
                }
                Kind::Quantise { .. } => {
                    let inputs: Vec<Map> = inputs.clone();
                    ByteCall::Quantise(Quantise::new(store, level, inputs, &inverse, zeros[2], output))
                }
            }
        };
        let want = |i: usize| -> u32 {
            let c = i / plane;
            if c >= channels {
                return zeros[2].into();
            }
            let of_x = |scale: f32| int8::term(x[i], zeros[0], scale);
            match kind {
                Kind::Sum { limits } => {
                    let t = of_x(other[c]) + int8::term(y[i], zeros[1], scale[c]);
                    let sum = int8::to_byte(t, zeros[2]);
                    if limits { sum.max(low[c]).min(high[c]).into() } else { sum.into() }
                }
                Kind::Grid => int8::to_byte(of_x(other[c]), zeros[2]).into(),
                Kind::Floats => int8::dequantise(x[i], scale[c], zeros[0]).to_bits(),
                Kind::Table => table[usize::from(x[i])].into(),
                Kind::Copy => x[i].into(),
                Kind::Gate => int8::to_byte(of_x(gates[c] * other[c]), zeros[2]).into(),
                Kind::Quantise { .. } => int8::quantise(floats[i], inverse[c], zeros[2]).into(),
            }
        };
        let want: Vec<u32> = (0..(channels + more) * plane).map(want).collect();
        let fill = if kind == Kind::Floats { 0 } else { zeros[2] };
        for level in levels() {
            let got = memory.run(&mut team(threads), vec![call(level)], &output, fill);
            assert_eq!(got, want, "{level:?}: {self:?}");
        }
    }
}

#[test]
fn elements_of_all_channels() {
    for kind in KINDS {
        for channels in [0, 1, 3, 4, 8, 15, 16, 17, 31, 33, 63, 64, 65, 130] {
            for gap in [0, 1] {
                let gaps = Gaps { before: gap, after: gap, row: gap, halo: [gap, gap], ring: None };
                let case = Case {
                    kind,
                    shape: [channels, 3, 5],
                    zeros: [3, 255, 128],
                    gaps: [gaps; 2],
                    seed: channels as u64,
                };
                case.check(1 + channels % 3);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_elements(
        kind in 0..KINDS.len(),
        shape in [0usize..70, 1usize..5, 1usize..90],
        zeros: [u8; 3],
        gaps in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        seed in 0u64..100,
    ) {
        let [before, after, row, halo] = gaps;
        let gaps = [Gaps { before, row, ..Gaps::default() }, Gaps { after, halo: [halo, 1], ..Gaps::default() }];
        Case { kind: KINDS[kind], shape, zeros, gaps, seed }.check(1);
    }
}
