//! One convolution of bytes, dense or depthwise: what it computes and how its maps lie.

use cygnet_kernels::pool::Pool;
use cygnet_kernels::reference::{ConvShape, int8};
use cygnet_kernels::{
    ByteCall, ByteConv, ByteDepthwise, ByteLevel, ByteWeights, Element, Ending, Map, Part, Store, Table,
    Term, ToBytes,
};

use super::memory::{Memory, byte, levels};
use crate::case::Case;
use crate::memory::{team, values};

/// What the sums become.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    pub(crate) is_float: bool,
    pub(crate) term: bool,
    pub(crate) limits: bool,
    pub(crate) table: bool,
    /// What scales are multiplied by.
    pub(crate) gain: f32,
    pub(crate) zero: u8,
}

pub(crate) const PLAIN: End =
    End { is_float: false, term: false, limits: false, table: false, gain: 1.0, zero: 0 };

pub(crate) const ENDS: [End; 8] = [
    PLAIN,
    End { zero: 131, ..PLAIN },
    End { is_float: true, ..PLAIN },
    End { term: true, zero: 7, ..PLAIN },
    End { limits: true, zero: 3, ..PLAIN },
    End { table: true, zero: 40, ..PLAIN },
    End { term: true, limits: true, table: true, zero: 255, ..PLAIN },
    End { gain: 1e12, zero: 9, ..PLAIN },
];

/// A [`Case`] of bytes; its term and activation are [`End`]'s.
#[derive(Clone, Debug)]
pub(crate) struct ByteCase {
    pub(crate) case: Case,
    pub(crate) zero: u8,
    pub(crate) end: End,
}

/// The lists of an ending.
struct Lists {
    scale: Vec<f32>,
    term_scale: Vec<f32>,
    limits: [Vec<u8>; 2],
    table: [u8; 256],
}

const TERM_ZERO: u8 = 77;
const TABLE_ZERO: u8 = 201;

impl ByteCase {
    pub(crate) fn new(case: Case, zero: u8, end: End) -> ByteCase {
        ByteCase { case, zero, end }
    }

    fn x(&self) -> Vec<u8> {
        self.case.x().into_iter().map(|x| ((x + 1.0) * 127.5).round() as u8).collect()
    }

    fn weight(&self) -> Vec<i8> {
        self.case.weight().into_iter().map(|weight| (weight * 127.0).round() as i8).collect()
    }

    fn bias(&self) -> Vec<i32> {
        self.case.bias().into_iter().map(|bias| (bias * 3000.0) as i32).collect()
    }

    fn term(&self) -> Vec<u8> {
        let [height, width] = self.case.output();
        (0..self.case.out * height * width).map(|i| byte(i, self.case.seed + 3)).collect()
    }

    fn lists(&self) -> Lists {
        let out = self.case.out;
        let inputs = if self.case.depthwise { 1 } else { self.case.inputs() / self.case.groups };
        let depth = (inputs * self.case.window.kernel.iter().product::<usize>()).max(1);
        // Most results are bytes that do not saturate.
        let usual = 1.0 / (70.0 * (depth as f32).sqrt());
        let some = values(out, self.case.seed + 5);
        let scale = some.iter().map(|x| (x + 1.5) * usual * self.end.gain).collect();
        let term_scale = some.iter().map(|x| 0.5 - x).collect();
        let low: Vec<u8> = (0..out).map(|o| byte(o, self.case.seed + 6) / 4).collect();
        let high = low.iter().enumerate().map(|(o, low)| low + byte(o, self.case.seed + 7) / 2).collect();
        let table = std::array::from_fn(|i| byte(i, self.case.seed + 8));
        Lists { scale, term_scale, limits: [low, high], table }
    }

    /// The byte that stands for 0 in the output, that of its halo.
    fn fill(&self) -> u8 {
        match (self.end.is_float, self.end.table) {
            (true, _) => 0,
            (_, true) => TABLE_ZERO,
            _ => self.end.zero,
        }
    }

    /// The arena before the calls, the input's parts, the term and the output.
    fn memory(&self) -> (Memory, Vec<Part>, Option<Map>, Map) {
        let case = &self.case;
        let mut memory = Memory::default();
        let [[height, width], [out_height, out_width]] = [case.size, case.output()];
        let plane = height * width;
        let (x, term) = (self.x(), self.term());
        let shape = [case.out, out_height, out_width];
        let element = if self.end.is_float { Element::F32 } else { Element::U8 };
        let gaps = case.output_gaps.whole();
        let early = (case.seed & 1 == 0).then(|| memory.map(element, shape, [0, 0], gaps));
        let parts = case.deal().into_iter().map(|channels| {
            let value = |i: usize| x[channels[i / plane] * plane + i % plane];
            let shape = [channels.len(), height, width];
            let mut map = memory.input(shape, case.halo(), case.input_gaps, self.zero, value);
            // Sometimes the gap after the channels is read with them.
            if case.input_gaps.after > 0 && case.seed & 4 == 0 && case.groups == 1 && !case.depthwise {
                map.channels += case.input_gaps.after;
            }
            Part { map, channels }
        });
        let parts = parts.collect();
        let term = self.end.term.then(|| memory.input(shape, [0, 0], gaps, TERM_ZERO, |i| term[i]));
        let output = early.unwrap_or_else(|| memory.map(element, shape, [0, 0], gaps));
        if case.seed & 2 == 0 {
            memory.guard();
        }
        (memory, parts, term, output)
    }

    fn calls(&self, level: ByteLevel, parts: &[Part], term: Option<Map>, output: Map) -> Vec<ByteCall> {
        let (case, lists) = (&self.case, self.lists());
        let (weight, bias) = (self.weight(), self.bias());
        let mut store = Store::new(cygnet_kernels::Level::Scalar);
        let outs = case.out / case.groups;
        let ending = |group: usize| {
            let of = group * outs..(group + 1) * outs;
            let [low, high] = [0, 1].map(|i| &lists.limits[i][of.clone()]);
            if self.end.is_float {
                return Ending::Floats { scale: &lists.scale[of] };
            }
            let map = term.map(|map| map.slice(of.start, outs));
            Ending::Bytes(ToBytes {
                scale: &lists.scale[of.clone()],
                zero: self.end.zero,
                term: map.map(|map| Term { map, zero: TERM_ZERO, scale: &lists.term_scale[of] }),
                limits: self.end.limits.then_some([low, high]),
                table: self.end.table.then_some(Table { bytes: &lists.table, zero: TABLE_ZERO }),
            })
        };
        let ins = if case.depthwise { 1 } else { case.inputs() / case.groups };
        let zero = self.zero;
        if case.depthwise {
            let data = ByteWeights { weight: &weight, bias: &bias, inputs: 1, zero };
            let (window, input) = (case.window, parts[0].map);
            let call = ByteDepthwise::new(&mut store, level, window, input, data, output, ending(0));
            return vec![ByteCall::Depthwise(call)];
        }
        let group = |group: usize| {
            let part = |part: &Part| match case.groups {
                1 => part.clone(),
                _ => Part { map: part.map.slice(group * ins, ins), channels: (0..ins).collect() },
            };
            let parts: Vec<Part> = parts.iter().map(part).collect();
            let per_group = weight.len() / case.groups;
            let data = ByteWeights {
                weight: &weight[group * per_group..][..per_group],
                bias: &bias[group * outs..][..outs],
                inputs: ins,
                zero,
            };
            let output = output.slice(group * outs, outs);
            ByteCall::Conv(ByteConv::new(&mut store, level, case.window, &parts, data, output, ending(group)))
        };
        (0..case.groups).map(group).collect()
    }

    /// The definition.
    fn want(&self) -> Vec<u32> {
        let (case, lists) = (&self.case, self.lists());
        let [height, width] = case.output();
        let shape = ConvShape {
            input: [case.inputs(), case.size[0], case.size[1]],
            output: [case.out, height, width],
            kernel: case.window.kernel,
            stride: case.window.stride,
            dilation: case.window.dilation,
            pad: case.window.pad,
            groups: if case.depthwise { case.out } else { case.groups },
        };
        let plane = height * width;
        if plane * case.out == 0 {
            return Vec::new();
        }
        let sums = int8::conv(&shape, &self.x(), self.zero, &self.weight(), &self.bias());
        let term = self.term();
        let of_sum = |(i, sum): (usize, i32)| {
            let c = i / plane;
            let mut t = sum as f32 * lists.scale[c];
            if self.end.is_float {
                return t.to_bits();
            }
            if self.end.term {
                t += int8::term(term[i], TERM_ZERO, lists.term_scale[c]);
            }
            let mut byte = int8::to_byte(t, self.end.zero);
            if self.end.limits {
                byte = byte.max(lists.limits[0][c]).min(lists.limits[1][c]);
            }
            if self.end.table { lists.table[usize::from(byte)].into() } else { byte.into() }
        };
        sums.into_iter().enumerate().map(of_sum).collect()
    }

    /// Compares it with the definition under every instruction set.
    pub(crate) fn check(&self) {
        self.check_on(&mut team(1));
    }

    /// As [`ByteCase::check`], on several threads.
    pub(crate) fn check_threads(&self) {
        for threads in [2, 3, 7] {
            self.check_on(&mut team(threads));
        }
    }

    fn check_on(&self, pool: &mut Pool) {
        let want = self.want();
        let (memory, parts, term, output) = self.memory();
        for level in levels() {
            let got = memory.run(pool, self.calls(level, &parts, term, output), &output, self.fill());
            assert_eq!(got.len(), want.len());
            let wrong = got.iter().zip(&want).position(|(got, want)| got != want);
            if let Some(i) = wrong {
                let count = got.iter().zip(&want).filter(|(got, want)| got != want).count();
                panic!(
                    "{level:?}: element {i} is {}, not {}, and {count} are wrong, in {self:?}",
                    got[i], want[i]
                );
            }
        }
    }
}
