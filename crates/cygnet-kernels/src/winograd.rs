//! Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2016, section 4.3): 36 products an input channel in place of
//! 144 for a tile of 4×4 outputs.
//!
//! With the points 0, ±1, ±2 and ∞ a row of four outputs of a filter `g` over six inputs `d` is `Aᵀ((G g) ∘ (Bᵀ d))`: `G g`
//! are the values of `g` as a polynomial at the points (each over the product of its distances to the others), `Bᵀ d` takes
//! from `d` what vanishes at the other points, and `Aᵀ` evaluates the products as the outputs' coefficients. Twice, for
//! columns and rows, that is `Aᵀ((G g Gᵀ) ∘ (Bᵀ d B)) A`: six by six products. `G g Gᵀ` is packed with the weights; the
//! products of one place of all tiles are a matrix product over input channels, so 36 of these are what a block of tiles
//! takes.
//!
//! The sums are rounded otherwise than the definition's: with inputs and weights of one magnitude the error is about ten
//! times that of the direct sum, so strict plans do without.

#![allow(clippy::out_of_bounds_indexing, reason = "what is written out is cut off by constant conditions")]

use std::ops::Range;

use cygnet_cpu::{Activation, Isa, Kernel, Level, Store, Weights, opaque, product, tuning};

use crate::conv::{Conv, ConvWeights, Part};
use crate::map::{Element, Map, Side, assert_elements, macs};
use crate::unroll;
use crate::window::Window;

/// Outputs of a tile, along an axis.
const OUT: usize = 4;
/// Inputs of a tile, along an axis.
const IN: usize = 6;
/// Products of a tile.
const PRODUCTS: usize = IN * IN;

/// Numbers between the places of a tile, so that they do not fall into the same lines of the first cache.
const GAP: usize = tuning::LINE / size_of::<f32>();

/// Units that let a few threads share a small map.
const UNITS: usize = 8;

/// A dense 3×3 convolution of stride 1 with bias, a term to add, and an activation.
#[derive(Clone, Debug)]
pub struct Winograd {
    level: Level,
    input: Map,
    output: Map,
    residual: Option<Map>,
    bias: Weights,
    activation: Activation,
    pad: [usize; 2],
    /// Tiles of the output: rows and columns.
    tiles: [usize; 2],
    /// Tiles of a block.
    block: usize,
    /// From a place of the transformed tiles to the next, of inputs and of sums.
    places: [usize; 2],
    blocks: usize,
    /// Groups of panels of output channels.
    groups: usize,
    /// The matrix product of each place of a transformed tile, from and to a thread's own memory.
    products: Vec<Conv>,
}

impl Winograd {
    /// Whether it takes less time than the direct form, for `outputs` output and `inputs` input channels and an output of
    /// `size` pixels, by what products, transforms and the larger weights cost.
    #[must_use]
    pub fn pays(window: &Window, inputs: usize, outputs: usize, size: [usize; 2]) -> bool {
        if (window.kernel, window.stride, window.dilation) != ([3, 3], [1, 1], [1, 1]) {
            return false;
        }
        let tiles = (size[0].div_ceil(OUT) * size[1].div_ceil(OUT)) as f64;
        let (inputs, outputs) = (inputs as f64, outputs as f64);
        let direct = (9 * size[0] * size[1]) as f64 * inputs * outputs;
        let products = PRODUCTS as f64 * tiles * inputs * outputs;
        let transforms = tiles * (inputs * 330.0 + outputs * 330.0);
        let weights = PRODUCTS as f64 * inputs * outputs * 8.0;
        1.15 * products + transforms + weights < 0.9 * direct
    }

    /// Transforms and packs the weights into a store. `residual` has the output's size and is added before the activation.
    ///
    /// # Panics
    /// If lengths contradict each other, or the window is none of 3×3 with stride and dilation 1.
    #[must_use]
    pub fn new(
        store: &mut Store,
        window: Window,
        part: &Part,
        data: ConvWeights<'_>,
        output: Map,
        residual: Option<Map>,
        activation: Activation,
    ) -> Winograd {
        assert!(activation.is_cheap(), "costly activations are steps of their own");
        assert_eq!((window.kernel, window.stride, window.dilation), ([3, 3], [1, 1], [1, 1]));
        let input = part.map;
        assert_elements(Element::F32, [&input, &output].into_iter().chain(&residual));
        let (level, inputs, outputs) = (store.level(), input.channels, output.channels);
        assert_eq!([part.channels.len(), data.bias.len(), data.scale.len()], [inputs, outputs, outputs]);
        assert_eq!(Some(data.weight.len()), product(&[outputs, data.inputs, 9]));
        if let Some(map) = residual {
            let size = |map: Map| [map.height, map.width, map.channels];
            assert_eq!(size(map), size(output));
        }
        let tiles = [output.height.div_ceil(OUT), output.width.div_ceil(OUT)];
        let all = product(&tiles).expect("the tiles of the output can be counted");
        let pixels = [inputs, outputs].map(|channels| channels.next_multiple_of(level.lanes()));
        let each = PRODUCTS * (pixels[0] + pixels[1]) * size_of::<f32>();
        // Every block reads all weights, which may come from farther away than what it works in.
        let weight_bytes = product(&[PRODUCTS, inputs, outputs, size_of::<f32>()]).unwrap_or(usize::MAX);
        let room = if weight_bytes > tuning::BLOCK { 2 * tuning::BLOCK } else { tuning::BLOCK };
        let blocks = all.div_ceil((room / each).clamp(4, 32)).max(1);
        let block = all.div_ceil(blocks);
        let weights = transform(&data, &part.channels, outputs);
        let zeros = vec![0.0; outputs];
        let places = pixels.map(|pixel| block * pixel + GAP);
        let products: Vec<Conv> = (0..PRODUCTS)
            .map(|place| {
                let map = |start: usize, pixel: usize, channels: usize| Map {
                    pixel,
                    row: block * pixel,
                    ..Map::dense(start, [channels, 1, block])
                };
                let from = map(place * places[0], pixels[0], inputs);
                let to = map(PRODUCTS * places[0] + place * places[1], pixels[1], outputs);
                let weight = &weights[place * outputs * inputs..][..outputs * inputs];
                let data = ConvWeights { weight, scale: data.scale, bias: &zeros, inputs };
                let parts = [Part { map: from, channels: (0..inputs).collect() }];
                Conv::new(store, Window::POINT, &parts, data, to, None, Activation::None)
            })
            .collect();
        let groups = UNITS.div_ceil(blocks).min(products[0].panels());
        let bias = store.padded(data.bias);
        let pad = window.pad;
        Winograd {
            level,
            input,
            output,
            residual,
            bias,
            activation,
            pad,
            tiles,
            block,
            places,
            blocks,
            groups,
            products,
        }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Those of the convolution that it computes, not its products.
    pub(crate) fn macs(&self) -> u64 {
        macs(&[9, self.output.height, self.output.width, self.output.channels, self.input.channels])
    }

    pub(crate) fn reads(&self) -> impl Iterator<Item = Map> {
        [self.input].into_iter().chain(self.residual)
    }

    pub(crate) fn writes(&self) -> Map {
        self.output
    }

    /// Bytes of a thread's own memory that it works in.
    pub(crate) fn scratch(&self) -> usize {
        let last = self.products[PRODUCTS - 1].writes().offset;
        (last + self.block * self.products[0].writes().pixel) * size_of::<f32>()
    }

    /// Groups of panels of every block.
    pub(crate) fn units(&self) -> usize {
        self.blocks * self.groups
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        let products: usize = self.products.iter().map(Conv::weight_bytes).sum();
        products + self.bias.len() * size_of::<f32>()
    }

    /// Computes some units.
    ///
    /// # Safety
    /// As [`Conv::run`]; `scratch` must be the caller's alone and hold [`Winograd::scratch`] bytes and a vector more.
    pub(crate) unsafe fn run(&self, arena: *mut f32, scratch: *mut f32, units: Range<usize>) {
        let all = self.tiles[0] * self.tiles[1];
        let panels = self.products[0].panels();
        for unit in units.clone() {
            let (block, group) = (unit / self.groups, unit % self.groups);
            let tiles = block * self.block..((block + 1) * self.block).min(all);
            let panels = panels * group / self.groups..panels * (group + 1) / self.groups;
            if panels.is_empty() || tiles.is_empty() {
                continue;
            }
            // SAFETY: tiles lie on the output, transformed ones in the thread's own memory; the rest is the caller's promise.
            unsafe {
                if unit == units.start || group == 0 {
                    self.level.run(Inputs { op: self, arena, scratch, tiles: tiles.clone() });
                }
                for product in &self.products {
                    for panel in panels.clone() {
                        product.row(scratch, scratch, 0, panel);
                    }
                }
                let start = self.products[0].panel_channels(panels.start).start;
                let end = self.products[0].panel_channels(panels.end - 1).end;
                self.level.run(Outputs { op: self, arena, scratch, tiles, channels: start..end });
            }
        }
    }
}

/// `G g Gᵀ` of every pair of channels: for each place of a tile, `[outputs, inputs]`.
fn transform(data: &ConvWeights<'_>, channels: &[usize], outputs: usize) -> Vec<f32> {
    const G: [[f64; 3]; IN] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    let inputs = channels.len();
    let mut weights = vec![0.0; PRODUCTS * outputs * inputs];
    for o in 0..outputs {
        for (i, &c) in channels.iter().enumerate() {
            let g = &data.weight[(o * data.inputs + c) * 9..][..9];
            let g: [f64; 9] = std::array::from_fn(|at| f64::from(g[at]));
            let rows: [[f64; 3]; IN] = std::array::from_fn(|y| {
                std::array::from_fn(|x| (0..3).map(|k| G[y][k] * g[k * 3 + x]).sum::<f64>())
            });
            for (place, weight) in
                weights.iter_mut().skip(o * inputs + i).step_by(outputs * inputs).enumerate()
            {
                let (y, x) = (place / IN, place % IN);
                *weight = (0..3).map(|k| rows[y][k] * G[x][k]).sum::<f64>() as f32;
            }
        }
    }
    weights
}

/// `Bᵀ d` of one column or row.
#[inline(always)]
unsafe fn input_1d<I: Isa>(d: [I::V; IN]) -> [I::V; IN] {
    // SAFETY: the caller runs with the set's instructions.
    unsafe {
        let [two, four] = [I::splat(2.0), I::splat(4.0)];
        let [minus_two, minus_four, minus_five] = [I::splat(-2.0), I::splat(-4.0), I::splat(-5.0)];
        let even = I::fma(d[2], minus_four, d[4]);
        let odd = I::fma(d[1], minus_four, d[3]);
        let (far, near) = (I::sub(d[4], d[2]), I::sub(d[3], d[1]));
        [
            I::fma(d[0], four, I::fma(d[2], minus_five, d[4])),
            I::add(even, odd),
            I::sub(even, odd),
            I::fma(near, two, far),
            I::fma(near, minus_two, far),
            I::fma(d[1], four, I::fma(d[3], minus_five, d[5])),
        ]
    }
}

/// `Aᵀ m` of one column or row.
#[inline(always)]
unsafe fn output_1d<I: Isa>(m: [I::V; IN]) -> [I::V; OUT] {
    // SAFETY: the caller runs with the set's instructions.
    unsafe {
        let (near, far) = (I::add(m[1], m[2]), I::add(m[3], m[4]));
        let (near_odd, far_odd) = (I::sub(m[1], m[2]), I::sub(m[3], m[4]));
        [
            I::add(I::add(m[0], near), far),
            I::fma(far_odd, I::splat(2.0), near_odd),
            I::fma(far, I::splat(4.0), near),
            I::add(I::fma(far_odd, I::splat(8.0), near_odd), m[5]),
        ]
    }
}

/// Transforms the inputs of some tiles.
struct Inputs<'a> {
    op: &'a Winograd,
    arena: *const f32,
    scratch: *mut f32,
    tiles: Range<usize>,
}

impl Kernel for Inputs<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.op.input.channels >= I::LANES {
                self.transform::<I, true>();
            } else {
                self.transform::<I, false>();
            }
        }
    }
}

impl Inputs<'_> {
    /// Transforms the tiles, of `WHOLE` vectors of channels or of fewer channels than a vector has.
    ///
    /// # Safety
    /// As [`Winograd::run`].
    #[inline(always)]
    unsafe fn transform<I: Isa, const WHOLE: bool>(self) {
        let Inputs { op, arena, scratch, tiles } = self;
        let input = &op.input;
        let pixel = op.products[0].input_pixel();
        // A tile takes more vectors than there are registers: they go through memory between columns and rows.
        // SAFETY: the caller runs with the set's instructions.
        let mut between = unsafe { [I::splat(0.0); PRODUCTS] };
        let between = opaque(between.as_mut_ptr()).cast_mut();
        for (index, tile) in tiles.enumerate() {
            let top = (tile / op.tiles[1] * OUT).wrapping_sub(op.pad[0]);
            let left = (tile % op.tiles[1] * OUT).wrapping_sub(op.pad[1]);
            let on_row: [bool; IN] = std::array::from_fn(|i| top.wrapping_add(i) < input.height);
            let on_column: [bool; IN] = std::array::from_fn(|j| left.wrapping_add(j) < input.width);
            let rows: [*const f32; IN] = std::array::from_fn(|i| {
                let start = if on_row[i] { input.row_start(top.wrapping_add(i)) } else { input.offset };
                arena.wrapping_add(start).wrapping_offset((left as isize).wrapping_mul(input.pixel as isize))
            });
            // SAFETY: only channels of pixels of the image are read, as the last whole vector ends with them; the transformed
            // tile has whole vectors in the thread's memory.
            unsafe {
                let out = scratch.add(index * pixel);
                for c in (0..input.channels).step_by(I::LANES) {
                    let c = if WHOLE { c.min(input.channels - I::LANES) } else { c };
                    for (j, is_on) in on_column.into_iter().enumerate() {
                        let mut d = [I::splat(0.0); IN];
                        if is_on {
                            unroll!(K < IN, at most 7, {
                                if on_row[K] {
                                    let from = rows[K].wrapping_add(j * input.pixel + c);
                                    d[K] = if WHOLE {
                                        I::load(from)
                                    } else {
                                        I::load_first(from, input.channels)
                                    };
                                }
                            });
                        }
                        let d = input_1d::<I>(d);
                        unroll!(K < IN, at most 7, {
                            *between.add(K * IN + j) = d[K];
                        });
                    }
                    let mut to = out.add(c);
                    for k in 0..IN {
                        let mut d = [I::splat(0.0); IN];
                        unroll!(J < IN, at most 7, {
                            d[J] = *between.add(k * IN + J);
                        });
                        let d = input_1d::<I>(d);
                        unroll!(J < IN, at most 7, {
                            I::store(to, d[J]);
                            to = to.wrapping_add(op.places[0]);
                        });
                    }
                }
            }
        }
    }
}

/// Transforms the sums of some tiles and channels to outputs.
struct Outputs<'a> {
    op: &'a Winograd,
    arena: *mut f32,
    scratch: *const f32,
    tiles: Range<usize>,
    channels: Range<usize>,
}

impl Kernel for Outputs<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Outputs { op, arena, scratch, tiles, channels } = self;
        let output = &op.output;
        let sums = op.products[0].writes();
        // As with the inputs.
        // SAFETY: the caller runs with the set's instructions.
        let mut between = unsafe { [I::splat(0.0); OUT * IN] };
        let between = opaque(between.as_mut_ptr()).cast_mut();
        for (index, tile) in tiles.enumerate() {
            let (top, left) = (tile / op.tiles[1] * OUT, tile % op.tiles[1] * OUT);
            let [rows, columns] = [output.height - top, output.width - left].map(|rest| rest.min(OUT));
            // SAFETY: the tile's sums lie in the thread's memory; only pixels of the output are written, with its channels
            // alone; the term to add has its size; the bias is padded to whole vectors.
            unsafe {
                let from = scratch.add(sums.offset + index * sums.pixel);
                for c in channels.clone().step_by(I::LANES) {
                    let lanes = (channels.end - c).min(I::LANES);
                    let bias = I::load(op.bias.as_ptr().add(c));
                    for j in 0..IN {
                        let mut m = [bias; IN];
                        unroll!(K < IN, at most 7, {
                            m[K] = I::load(from.add((K * IN + j) * op.places[1] + c));
                        });
                        let m = output_1d::<I>(m);
                        unroll!(K < OUT, at most 4, {
                            *between.add(K * IN + j) = m[K];
                        });
                    }
                    for k in 0..rows {
                        let mut m = [bias; IN];
                        unroll!(J < IN, at most 7, {
                            m[J] = *between.add(k * IN + J);
                        });
                        let mut row = output_1d::<I>(m);
                        let start = output.row_start(top + k) + left * output.pixel + c;
                        unroll!(J < OUT, at most 4, {
                            row[J] = I::add(row[J], bias);
                        });
                        if let Some(map) = &op.residual {
                            let term = arena.add(map.row_start(top + k) + left * map.pixel + c);
                            unroll!(J < OUT, at most 4, {
                                if J < columns {
                                    row[J] = I::add(row[J], I::load_first(term.add(J * map.pixel), lanes));
                                }
                            });
                        }
                        op.activation.cheap::<I, OUT>(&mut row);
                        unroll!(J < OUT, at most 4, {
                            if J < columns {
                                I::store_first(arena.add(start + J * output.pixel), row[J], lanes);
                            }
                        });
                    }
                }
                // Tiles of a row may be different threads', so each clears its own side.
                let sides = [(Side::Left, left == 0), (Side::Right, left + columns == output.width)];
                for (side, _) in sides.into_iter().filter(|(_, is_there)| *is_there) {
                    for y in top..top + rows {
                        output.zero_side(arena, y, channels.clone(), side);
                    }
                }
            }
        }
    }
}
