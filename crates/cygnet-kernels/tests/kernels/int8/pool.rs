use cygnet_kernels::reference::{adaptive_window, int8};
use cygnet_kernels::{ByteCall, ByteLevel, ByteMax, ByteMean, Element, Mean, Pixels, Store, Window};
use proptest::prelude::*;

use super::memory::{Memory, byte, levels};
use crate::memory::{Gaps, team, values};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Max,
    Mean { count_pad: bool, is_float: bool },
}

const KINDS: [Kind; 4] = [
    Kind::Max,
    Kind::Mean { count_pad: false, is_float: false },
    Kind::Mean { count_pad: true, is_float: false },
    Kind::Mean { count_pad: false, is_float: true },
];

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    pixels: Pixels,
    shape: [usize; 3],
    output: [usize; 2],
    zeros: [u8; 2],
    gaps: [Gaps; 2],
}

impl Case {
    /// Input rows (axis 0) or columns of an output row or column, and how many places with the padding.
    fn extent(&self, axis: usize, o: usize) -> (Vec<usize>, usize) {
        let size = self.shape[axis + 1];
        match self.pixels {
            Pixels::All => ((0..size).collect(), size),
            Pixels::Adaptive => {
                let window: Vec<usize> = adaptive_window(o, self.output[axis], size).collect();
                (window.clone(), window.len())
            }
            Pixels::Window { window, end_pad } => {
                let places = (0..window.kernel[axis]).map(|k| o * window.stride[axis] + k);
                let places: Vec<usize> =
                    places.filter(|place| *place < size + window.pad[axis] + end_pad[axis]).collect();
                let seen = places.iter().filter_map(|place| place.checked_sub(window.pad[axis]));
                (seen.filter(|&i| i < size).collect(), places.len())
            }
        }
    }

    fn check(&self, threads: usize) {
        let Case { kind, pixels, shape, output, zeros, gaps } = self.clone();
        let [channels, height, width] = shape;
        let x: Vec<u8> = (0..channels * height * width).map(|i| byte(i, 7)).collect();
        let [scale, to] =
            [1, 2].map(|seed| values(channels, seed).into_iter().map(|x| x + 1.5).collect::<Vec<f32>>());
        let is_float = matches!(kind, Kind::Mean { is_float: true, .. });
        let mut memory = Memory::default();
        let input = memory.input(shape, [0, 0], gaps[0], zeros[0], |i| x[i]);
        let element = if is_float { Element::F32 } else { Element::U8 };
        let out = memory.map(element, [channels, output[0], output[1]], [0, 0], gaps[1]);
        let call = |level: ByteLevel| match kind {
            Kind::Max => ByteCall::Max(ByteMax::new(level, pixels, input, zeros[1], out)),
            Kind::Mean { count_pad, is_float } => {
                let to = (!is_float).then_some((zeros[1], &to[..]));
                let mean = Mean { count_pad, zero: zeros[0], scale: &scale, to };
                let mut store = Store::new(cygnet_kernels::Level::Scalar);
                ByteCall::Mean(ByteMean::new(&mut store, level, pixels, input, out, mean))
            }
        };
        let mut want = Vec::new();
        for c in 0..channels {
            for y in 0..output[0] {
                for o in 0..output[1] {
                    let ((rows, all_rows), (columns, all_columns)) = (self.extent(0, y), self.extent(1, o));
                    let seen = || rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
                    let bytes = || seen().map(|(row, column)| x[(c * height + row) * width + column]);
                    want.push(match kind {
                        Kind::Max => bytes().max().unwrap_or(0).into(),
                        Kind::Mean { count_pad, is_float } => {
                            let n = if count_pad { all_rows * all_columns } else { seen().count() };
                            let sum: i32 = bytes().map(|byte| i32::from(byte) - i32::from(zeros[0])).sum();
                            let to = if is_float { 1.0 } else { f64::from(to[c]) };
                            let t = sum as f32 * (f64::from(scale[c]) / (n.max(1) as f64 * to)) as f32;
                            if is_float { t.to_bits() } else { int8::to_byte(t, zeros[1]).into() }
                        }
                    });
                }
            }
        }
        let fill = if is_float { 0 } else { zeros[1] };
        for level in levels() {
            let got = memory.run(&mut team(threads), vec![call(level)], &out, fill);
            assert_eq!(got, want, "{level:?}: {self:?}");
        }
    }
}

#[test]
fn means_of_all_pixels() {
    for kind in KINDS {
        for channels in [0, 1, 3, 16, 31, 32, 64, 65, 200] {
            for (gap, size) in [(0, [7, 7]), (1, [1, 1]), (2, [3, 6])] {
                let gaps = Gaps { before: gap, after: gap, row: gap, halo: [gap, gap], ring: None };
                let case = Case {
                    kind,
                    pixels: Pixels::All,
                    shape: [channels, size[0], size[1]],
                    output: [1, 1],
                    zeros: [9, 77],
                    gaps: [gaps; 2],
                };
                case.check(1 + channels % 4);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_pool(
        kind in 0..KINDS.len(),
        is_adaptive: bool,
        shape in [0usize..70, 1usize..12, 1usize..12],
        kernel in [1usize..6, 1usize..6],
        stride in [1usize..4, 1usize..4],
        pad in [0usize..3, 0usize..3],
        end_pad in [0usize..3, 0usize..3],
        output in [1usize..9, 1usize..9],
        zeros: [u8; 2],
        gaps in [0usize..3, 0usize..3, 0usize..3],
    ) {
        let window = Window { kernel, stride, dilation: [1, 1], pad };
        let pixels = if is_adaptive { Pixels::Adaptive } else { Pixels::Window { window, end_pad } };
        let [before, after, halo] = gaps;
        let gaps = [Gaps { before, ..Gaps::default() }, Gaps { after, halo: [halo, 1], ..Gaps::default() }];
        Case { kind: KINDS[kind], pixels, shape, output, zeros, gaps }.check(1);
    }
}
