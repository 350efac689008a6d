//! Linear layers in bf16: what takes their time is to read weights, of which there are half as many bytes. Sums are f32.

use std::ops::Range;

use cygnet_cpu::{Activation, Isa, Kernel, Level, Store, Weights, prefetch, product, tuning};

use crate::conv::{ConvWeights, Part, panel_sizes};
use crate::map::{Element, Map, assert_elements, macs};
use crate::reference::bf16::{halved, whole};
use crate::unroll;

/// A layer that reads its whole input once, to the bit as [`reference::bf16::linear`](crate::reference::bf16::linear) where
/// numbers are normal: an input is pixel after pixel, in each the weight's channels in order.
#[derive(Clone, Debug)]
pub struct Bf16Linear {
    level: Level,
    parts: Vec<Part>,
    /// Channels of a pixel.
    channels: usize,
    /// Inputs of an output.
    depth: usize,
    panels: Vec<Panel>,
    /// For each pair of a panel's inputs, the two weights of each of its outputs.
    weights: Weights<u16>,
    bias: Weights,
    output: Map,
    activation: Activation,
}

/// Vectors of outputs that are summed together.
#[derive(Clone, Copy, Debug)]
struct Panel {
    /// First output.
    start: usize,
    vectors: usize,
    /// Offset of its packed weights.
    weights: usize,
}

/// Most vectors of a panel.
const VECTORS: usize = 7;

/// Outputs that are packed together.
const BLOCK: usize = 16;

impl Bf16Linear {
    /// Packs the weights, `[out, inputs, height, width]`, into a store, rounded after they are multiplied.
    ///
    /// # Panics
    /// If a map is not of f32s, the output has not one pixel, or lengths contradict each other.
    #[must_use]
    pub fn new(
        store: &mut Store,
        parts: &[Part],
        data: ConvWeights<'_>,
        output: Map,
        activation: Activation,
    ) -> Bf16Linear {
        assert!(activation.is_cheap(), "costly activations are steps of their own");
        assert_elements(Element::F32, parts.iter().map(|part| &part.map).chain([&output]));
        assert_eq!([output.height, output.width], [1, 1]);
        let size = |map: &Map| [map.height, map.width];
        let [height, width] = parts.first().map_or([0, 0], |part| size(&part.map));
        for part in parts {
            assert_eq!((size(&part.map), part.channels.len()), ([height, width], part.map.channels));
            assert!(part.channels.iter().all(|&channel| channel < data.inputs));
        }
        let depth = product(&[data.inputs, height, width]).expect("inputs can be counted");
        assert_eq!(Some(data.weight.len()), product(&[output.channels, depth]));
        assert_eq!([data.bias.len(), data.scale.len()], [output.channels; 2]);
        let lanes = store.level().lanes();
        let (mut panels, mut start, mut offset) = (Vec::new(), 0, 0usize);
        for vectors in panel_sizes(output.channels.div_ceil(lanes), VECTORS, 1) {
            panels.push(Panel { start, vectors, weights: offset });
            start += vectors * lanes;
            let more = product(&[vectors, lanes, depth.div_ceil(2), 2]);
            offset = more.and_then(|more| offset.checked_add(more)).expect("weights can be addressed");
        }
        let pixels = height * width;
        let fill = |weights: &mut [u16]| {
            for panel in &panels {
                let packed = &mut weights[panel.weights..];
                let outputs = panel.start..output.channels.min(panel.start + panel.vectors * lanes);
                for block in outputs.clone().step_by(BLOCK) {
                    for i in 0..depth {
                        let place = i % data.inputs * pixels + i / data.inputs;
                        for o in block..outputs.end.min(block + BLOCK) {
                            let row = i / 2 * panel.vectors * lanes + o - panel.start;
                            packed[2 * row + i % 2] = halved(data.weight[o * depth + place] * data.scale[o]);
                        }
                    }
                }
            }
        };
        let (weights, bias) = (store.keep(offset, fill), store.padded(data.bias));
        let (level, parts, channels) = (store.level(), parts.to_vec(), data.inputs);
        Bf16Linear { level, parts, channels, depth, panels, weights, bias, output, activation }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn macs(&self) -> u64 {
        macs(&[self.output.channels, self.depth])
    }

    pub(crate) fn reads(&self) -> impl Iterator<Item = Map> {
        self.parts.iter().map(|part| part.map)
    }

    pub(crate) fn writes(&self) -> Map {
        self.output
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        self.weights.len() * size_of::<u16>() + self.bias.len() * size_of::<f32>()
    }

    /// Bytes of a thread's own memory that it works in.
    pub(crate) fn scratch(&self) -> usize {
        self.depth.next_multiple_of(2).saturating_mul(size_of::<f32>())
    }

    /// Panels.
    pub(crate) fn units(&self) -> usize {
        self.panels.len()
    }

    /// Computes some units.
    ///
    /// # Safety
    /// As [`crate::conv::Conv::run`]; `scratch` must be the caller's alone and hold [`Bf16Linear::scratch`] bytes.
    pub(crate) unsafe fn run(&self, arena: *mut f32, scratch: *mut f32, units: Range<usize>) {
        if units.is_empty() {
            return;
        }
        // SAFETY: the caller's promise; a panel's outputs lie in the output map.
        unsafe {
            self.level.run(Round { of: self, arena, to: scratch });
            for panel in &self.panels[units] {
                let end = self.output.channels.min(panel.start + panel.vectors * self.level.lanes());
                self.output.zero_halo(arena, 0, panel.start..end);
                let (of, x, out) = (self, scratch.cast_const(), arena.add(self.output.offset));
                macro_rules! sizes {
                    ($($vectors:literal)*) => {
                        match panel.vectors {
                            $($vectors => self.level.run(Sums::<$vectors> { of, panel, x, out }),)*
                            _ => unreachable!("panels are cut to the sizes that exist"),
                        }
                    };
                }
                sizes!(1 2 3 4 5 6 7);
            }
        }
    }
}

/// The input in order, rounded to bf16 and widened again.
struct Round<'a> {
    of: &'a Bf16Linear,
    arena: *const f32,
    to: *mut f32,
}

impl Kernel for Round<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Round { of, arena, to } = self;
        // SAFETY: the maps lie in the arena, and `to` holds the inputs, among which a pixel's channels are.
        unsafe {
            to.write_bytes(0, of.depth.next_multiple_of(2));
            for part in &of.parts {
                let (map, channels) = (&part.map, &part.channels[..]);
                let run = run_of(channels);
                for pixel in 0..map.height * map.width {
                    let (y, x) = (pixel / map.width, pixel % map.width);
                    let from = arena.add(map.row_start(y) + x * map.pixel);
                    let to = to.add(pixel * of.channels);
                    if let Some(first) = run {
                        for i in 0..channels.len() {
                            *to.add(first + i) = whole(halved(*from.add(i)));
                        }
                    } else {
                        for (i, &channel) in channels.iter().enumerate() {
                            *to.add(channel) = whole(halved(*from.add(i)));
                        }
                    }
                }
            }
        }
    }
}

/// The first of some channels, if each follows the one before it.
fn run_of(channels: &[usize]) -> Option<usize> {
    let follow = channels.windows(2).all(|two| two[1] == two[0] + 1);
    channels.first().copied().filter(|_| follow)
}

/// The outputs of a panel of `VECTORS` vectors.
struct Sums<'a, const VECTORS: usize> {
    of: &'a Bf16Linear,
    panel: &'a Panel,
    /// The inputs.
    x: *const f32,
    /// The first output.
    out: *mut f32,
}

impl<const VECTORS: usize> Kernel for Sums<'_, VECTORS> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Sums { of, panel, mut x, out } = self;
        // SAFETY: weights and bias are padded to whole vectors and pairs, and so are the inputs to pairs; the outputs lie in the
        // output map.
        unsafe {
            let mut weights = of.weights.as_ptr().add(panel.weights);
            let bias = of.bias.as_ptr().add(panel.start);
            let mut sums = [I::splat(0.0); VECTORS];
            unroll!(V < VECTORS, at most 7, {
                sums[V] = I::load(bias.add(V * I::LANES));
            });
            for _ in 0..of.depth.div_ceil(2) {
                let (first, second) = (I::splat(*x), I::splat(*x.add(1)));
                unroll!(V < VECTORS, at most 7, {
                    let pairs = weights.add(2 * V * I::LANES);
                    prefetch::<1>(pairs.wrapping_byte_add(tuning::AHEAD).cast());
                    let [even, odd] = I::load_bf16(pairs);
                    sums[V] = I::fma(first, even, I::fma(second, odd, sums[V]));
                });
                x = x.add(2);
                weights = weights.add(2 * VECTORS * I::LANES);
            }
            of.activation.cheap::<I, VECTORS>(&mut sums);
            let outputs = of.output.channels - panel.start;
            unroll!(V < VECTORS, at most 7, {
                let lanes = if outputs < (V + 1) * I::LANES { outputs - V * I::LANES } else { I::LANES };
                I::store_first(out.add(panel.start + V * I::LANES), sums[V], lanes);
            });
        }
    }
}
