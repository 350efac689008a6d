//! Dense convolution as an implicit matrix product: tiles of pixels × vectors of output channels stay in registers
//! while the taps of the window and the input channels stream by. Linear layers and 1×1 convolutions are the same.

mod tile;

use std::ops::Range;

use cygnet_cpu::{Activation, Level, Store, Weights, product, tuning};

use crate::map::{Element, Map, assert_elements, macs};
use crate::window::{Window, check_reach};
use tile::Strip;

/// A part of a convolution's input: a map and, for each of its channels, the weight's input channel that reads it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where the channels lie.
    pub map: Map,
    /// The weight's input channel of each.
    pub channels: Vec<usize>,
}

/// Input channels that follow each other in memory, for one or several columns of the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    map: Map,
    /// From the window's first row on the input to the tap's.
    row: usize,
    /// From the start of an input row to the tap of output column 0; may lie in the halo.
    shift: isize,
    /// From an output column to the next.
    pub(crate) step: usize,
    /// Numbers that follow each other.
    pub(crate) len: usize,
    /// Its first row in the packed weights.
    pub(crate) first: usize,
}

/// Output channels of one column of tiles.
#[derive(Clone, Copy, Debug)]
struct Panel {
    /// First output channel.
    start: usize,
    /// Output channels; the last vector may be partly used.
    channels: usize,
    /// Whole vectors.
    vectors: usize,
    /// Whether a half vector follows them.
    half: bool,
    /// Offset of its packed weights.
    weights: usize,
}

impl Panel {
    /// Channels of its packed weights.
    fn width(&self, level: Level) -> usize {
        self.vectors * level.lanes() + if self.half { level.least_lanes() } else { 0 }
    }
}

/// A dense convolution with everything that follows it: bias, a term to add, an activation.
#[derive(Clone, Debug)]
pub struct Conv {
    level: Level,
    window: Window,
    height: usize,
    /// Inputs of an output.
    depth: usize,
    taps: Vec<Tap>,
    /// Index of the first tap of each row of the window.
    rows: Vec<usize>,
    panels: Vec<Panel>,
    weights: Weights,
    bias: Weights,
    output: Map,
    residual: Option<Map>,
    activation: Activation,
    /// Tiles of a row.
    tiles: usize,
    /// Pixels of a tile, but for the first `larger` ones of a row, which have one more.
    pixels: usize,
    larger: usize,
    /// Tiles that are computed together, a strip; the last of a row may have fewer.
    together: usize,
    /// Strips of a row.
    strips: usize,
    rows_first: bool,
}

/// What a convolution computes with.
#[derive(Clone, Copy, Debug)]
pub struct ConvWeights<'a> {
    /// `[out, inputs, kernel rows, kernel columns]`.
    pub weight: &'a [f32],
    /// What the weights of each output channel are multiplied by.
    pub scale: &'a [f32],
    /// One number an output channel.
    pub bias: &'a [f32],
    /// Input channels of the weight.
    pub inputs: usize,
}

impl Conv {
    /// Packs the weights into a store. `residual` has the output's size and is added before the activation.
    ///
    /// # Panics
    /// If a map is not of f32s, lengths contradict each other, or an input's halo is narrower than the window reaches.
    #[must_use]
    pub fn new(
        store: &mut Store,
        window: Window,
        parts: &[Part],
        data: ConvWeights<'_>,
        output: Map,
        residual: Option<Map>,
        activation: Activation,
    ) -> Conv {
        assert!(activation.is_cheap(), "costly activations are steps of their own");
        let maps = parts.iter().map(|part| &part.map).chain([&output]).chain(&residual);
        assert_elements(Element::F32, maps);
        let [kh, kw] = window.kernel;
        assert_eq!(Some(data.weight.len()), product(&[output.channels, data.inputs, kh, kw]));
        match parts {
            [] => window.assert(&Map::dense(0, [0, 0, 0]), &output),
            _ => parts.iter().for_each(|part| check_reach(&window, &part.map, &output)),
        }
        assert_eq!([data.bias.len(), data.scale.len()], [output.channels; 2]);
        let level = store.level();
        let flat = |map: &Map| map.is_flat() && map.halo == [0, 0];
        // Rows of padding below count as others above and at the sides do.
        let is_point = window.kernel == [1, 1]
            && window.stride == [1, 1]
            && window.pad == [0, 0]
            && parts.iter().all(|part| [part.map.height, part.map.width] == [output.height, output.width]);
        let joined = is_point
            && parts.iter().map(|part| &part.map).chain([&output]).chain(residual.as_ref()).all(flat);
        let join = |map: Map| if joined { map.flat() } else { map };
        let output = join(output);
        let residual = residual.map(join);
        if let Some(map) = residual {
            let size = |map: Map| [map.height, map.width, map.channels];
            assert_eq!(size(map), size(output));
        }
        let mut rows = Vec::new();
        let mut taps: Vec<Tap> = Vec::new();
        let mut order = Vec::new();
        for ky in 0..kh {
            rows.push(taps.len());
            for part in parts {
                let map = join(part.map);
                check_reach(&window, &map, &output);
                assert_eq!(part.channels.len(), map.channels);
                assert_eq!(part.map.height, parts[0].map.height);
                for kx in 0..kw {
                    let column = (kx * window.dilation[1]) as isize - window.pad[1] as isize;
                    let shift = column * map.pixel as isize;
                    let first = order.len();
                    order.extend(part.channels.iter().map(|&c| [c, ky, kx]));
                    let joins = kx > 0 && window.dilation[1] == 1 && map.pixel == map.channels;
                    match taps.last_mut() {
                        Some(last) if joins => last.len += map.channels,
                        _ => taps.push(Tap {
                            map,
                            row: ky * window.dilation[0],
                            shift,
                            step: window.stride[1] * map.pixel,
                            len: map.channels,
                            first,
                        }),
                    }
                }
            }
        }
        rows.push(taps.len());
        let height = parts.first().map_or(0, |part| join(part.map).height);
        let width = output.width;
        let vectors = choose_vectors(level, width, output.channels, order.len());
        let largest = level.tile()[vectors - 1];
        let (panels, weights) = pack(store, vectors, &order, &data, kh * kw);
        let bias = store.padded(data.bias);
        let tiles = width.div_ceil(largest);
        let tile_bytes = order.len() * largest * size_of::<f32>();
        let together =
            tiles.div_ceil(tiles.div_ceil((tuning::STRIP / tile_bytes.max(1)).clamp(1, 8)).max(1)).max(1);
        let rows_first = weights.len() * size_of::<f32>() <= tuning::RESIDENT;
        Conv {
            level,
            window,
            height,
            depth: order.len(),
            taps,
            rows,
            panels,
            weights,
            bias,
            output,
            residual,
            activation,
            tiles,
            pixels: width / tiles.max(1),
            larger: width % tiles.max(1),
            together,
            strips: tiles.div_ceil(together),
            rows_first,
        }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn macs(&self) -> u64 {
        macs(&[self.output.height, self.output.width, self.output.channels, self.depth])
    }

    /// Maps it reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Map> {
        self.taps.iter().map(|tap| tap.map).chain(self.residual)
    }

    /// The map it writes.
    pub(crate) fn writes(&self) -> Map {
        self.output
    }

    /// Puts the output elsewhere; a map as high and wide.
    pub(crate) fn set_output(&mut self, map: Map) {
        assert_eq!([self.output.height, self.output.width], [map.height, map.width]);
        self.output = map;
    }

    /// From a pixel of the first input to the next.
    pub(crate) fn input_pixel(&self) -> usize {
        self.taps[0].step / self.window.stride[1]
    }

    pub(crate) fn panels(&self) -> usize {
        self.panels.len()
    }

    /// Output channels of a panel.
    pub(crate) fn panel_channels(&self, panel: usize) -> Range<usize> {
        let Panel { start, channels, .. } = self.panels[panel];
        start..start + channels
    }

    /// The most channels of a panel, in whole vectors.
    pub(crate) fn panel_width(&self) -> usize {
        let most = self.panels.iter().map(|panel| panel.channels).max().unwrap_or(0);
        most.next_multiple_of(self.level.lanes())
    }

    /// Parts that can be computed independently: for each row, its strips, for each of those all panels; or panels
    /// outermost, if the weights are many.
    pub(crate) fn units(&self) -> usize {
        self.output.height * self.strips * self.panels.len()
    }

    /// Bytes of packed weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<f32>()
    }

    /// Computes some units.
    ///
    /// # Safety
    /// `arena` must hold the extents of all maps, nobody else may write what is read or touch what is written, and the
    /// CPU must have the level.
    pub(crate) unsafe fn run(&self, arena: *mut f32, units: Range<usize>) {
        if units.is_empty() {
            return;
        }
        let (panels, strips, height) = (self.panels.len(), self.strips, self.output.height);
        let (place, mut panel) = if self.rows_first {
            (units.start / panels, units.start % panels)
        } else {
            (units.start % (strips * height), units.start / (strips * height))
        };
        let (mut y, mut strip) = (place / strips, place % strips);
        let next = |i: &mut usize, count: usize| {
            *i = if *i + 1 == count { 0 } else { *i + 1 };
            *i == 0
        };
        for _ in units {
            let Panel { start, channels, .. } = self.panels[panel];
            // SAFETY: as the caller promises; the unit lies within the output.
            unsafe {
                if strip == 0 && self.output.halo != [0, 0] {
                    self.output.zero_halo(arena, y, start..start + channels);
                }
                self.strip(arena, arena, y, strip, &self.panels[panel]);
            }
            if self.rows_first {
                _ = next(&mut panel, panels) && next(&mut strip, strips) && next(&mut y, height);
            } else {
                _ = next(&mut strip, strips) && next(&mut y, height) && next(&mut panel, panels);
            }
        }
    }

    /// Computes a panel of an output row into other memory, whose halo is left alone.
    ///
    /// # Safety
    /// As [`Conv::run`].
    pub(crate) unsafe fn row(&self, arena: *mut f32, output: *mut f32, y: usize, panel: usize) {
        for strip in 0..self.strips {
            // SAFETY: the caller's promise.
            unsafe { self.strip(arena, output, y, strip, &self.panels[panel]) };
        }
    }

    /// # Safety
    /// As [`Conv::run`]; `y` and `strip` must be within the output.
    #[inline(always)]
    unsafe fn strip(&self, arena: *mut f32, output: *mut f32, y: usize, strip: usize, panel: &Panel) {
        let (size, more) = (self.pixels, self.larger);
        let tiles = strip * self.together..self.tiles.min((strip + 1) * self.together);
        let larger = tiles.start.min(more)..tiles.end.min(more);
        let x = tiles.start * size + larger.start;
        // SAFETY: rows of the window lie on the image and columns within it and its halo, as `check_reach` made sure; the
        // output row and the panel's channels lie in the output map.
        unsafe {
            let (ahead, ahead_step) = self.ahead(panel, y, &tiles);
            let first =
                Strip { conv: self, panel, arena, output, y, x, tiles: larger.len(), ahead, ahead_step };
            if first.tiles > 0 {
                first.run(size + 1);
            }
            let done = first.tiles * self.depth * ahead_step;
            let then = Strip {
                x: x + larger.len() * (size + 1),
                tiles: tiles.len() - larger.len(),
                ahead: ahead.wrapping_add(done),
                ..first
            };
            if then.tiles > 0 {
                then.run(size);
            }
        }
    }

    /// What some tiles of a row fetch of the weights that follow a panel's, so that they are near when the panel is done:
    /// where it begins, and how far each input goes. A panel of one tile fetches nothing: its own weights are as urgent.
    fn ahead(&self, panel: &Panel, y: usize, tiles: &Range<usize>) -> (*const f32, usize) {
        let width = panel.width(self.level);
        let before = y * self.tiles + tiles.start;
        // With rows outermost the first tiles meet all panels, the others find them in the cache.
        let all = if self.rows_first { tiles.len() } else { self.tiles * self.output.height };
        let step = width.div_ceil(all.max(1));
        let start = self.weights.as_ptr().wrapping_add(panel.weights);
        if all > 1 && before < all && before * step < width {
            (start.wrapping_add(self.depth * (width + before * step)), step)
        } else {
            (start, 0)
        }
    }
}

impl Tap {
    /// Where the tap begins for an output column, if the window's first row lies on row `top` of the input.
    #[inline(always)]
    pub(crate) fn start(&self, top: usize, x: usize) -> isize {
        (self.map.row_start(top.wrapping_add(self.row)) + x * self.step) as isize + self.shift
    }
}

/// The number of vectors a panel that costs least, counting half cycles of a core that loads and multiplies two of the
/// smallest vectors a cycle, and what a tile costs beside its `depth` inputs.
///
/// A tile of `p` pixels and `v` vectors (of `halves` smallest ones each) makes `p v` multiply-adds for each input, for which
/// it loads `p` inputs, or as few as lie in a vector, and `v` vectors of weights; the sums wait for each other where they
/// are fewer than [`tuning::LATENCY`]. So an input takes the largest of the three, and a little for each load. Around its
/// inputs a tile takes steps that grow with its sums: they are begun, finished and stored. A row has tiles of two sizes, and
/// its panels are as [`panel_sizes`] cuts them.
fn choose_vectors(level: Level, width: usize, channels: usize, depth: usize) -> usize {
    let halves = level.lanes() / level.least_lanes();
    let total = channels.div_ceil(level.least_lanes());
    let cost = |vectors: usize| {
        let largest = level.tile()[vectors - 1];
        let tiles = width.div_ceil(largest).max(1);
        let row_cost = |pieces: usize| {
            let (size, more) = (width / tiles, width % tiles);
            let slots = pieces.div_ceil(halves);
            let one = |pixels: usize| {
                let arithmetic = pixels * pieces;
                let loads = pixels.div_ceil(level.inputs()) + slots * halves;
                let cycles = 16 * arithmetic.max(loads).max(tuning::LATENCY) + (pixels + slots) * halves;
                depth * cycles + 16 * (20 + 2 * pixels * slots) * halves
            };
            more * one(size + 1) + (tiles - more) * one(size)
        };
        panel_sizes(total, vectors * halves, halves).map(row_cost).sum::<usize>()
    };
    let most = 4.min(total.div_ceil(halves).max(1));
    (1..=most).rev().min_by_key(|&vectors| cost(vectors)).unwrap_or(1)
}

/// Cuts `total` pieces into as few panels of at most `most` as there can be, of about one size, all but the last of
/// multiples of `whole`.
pub(crate) fn panel_sizes(total: usize, most: usize, whole: usize) -> impl Iterator<Item = usize> {
    let panels = total.div_ceil(most);
    let mut rest = total;
    (0..panels).map(move |panel| {
        let size = rest.div_ceil(panels - panel).next_multiple_of(whole).min(rest);
        rest -= size;
        size
    })
}

/// Output channels that are packed together.
const BLOCK: usize = 8;

/// Packs `[out, in, kh, kw]` into panels of `vectors` vectors: for each place of `order`, the weights of the panel's
/// output channels, padded with zeros.
fn pack(
    store: &mut Store,
    vectors: usize,
    order: &[[usize; 3]],
    data: &ConvWeights<'_>,
    taps: usize,
) -> (Vec<Panel>, Weights) {
    let level = store.level();
    let (lanes, least) = (level.lanes(), level.least_lanes());
    let channels = data.bias.len();
    let mut panels = Vec::new();
    let (mut start, mut offset) = (0, 0);
    for pieces in panel_sizes(channels.div_ceil(least), vectors * lanes / least, lanes / least) {
        let width = pieces * least;
        let used = width.min(channels - start);
        let half = !width.is_multiple_of(lanes);
        panels.push(Panel { start, channels: used, vectors: width / lanes, half, weights: offset });
        start += used;
        offset += order.len() * width;
    }
    let kw = order.last().map_or(1, |last| last[2] + 1);
    let per_output = data.inputs * taps;
    let places: Vec<usize> = order.iter().map(|[c, ky, kx]| c * taps + ky * kw + kx).collect();
    assert!(places.iter().all(|&place| place < per_output));
    let fill = |weights: &mut [f32]| {
        let mut rest = weights;
        for panel in &panels {
            let width = panel.width(level);
            let (packed, more) = rest.split_at_mut(order.len() * width);
            rest = more;
            let outputs = panel.start..panel.start + panel.channels;
            let given = &data.weight[outputs.start * per_output..outputs.end * per_output];
            let scale = &data.scale[outputs];
            // Blocks of outputs whose weights are read in order.
            let (blocks, left) = (panel.channels / BLOCK, panel.channels % BLOCK);
            for block in 0..blocks {
                let of: [&[f32]; BLOCK] =
                    std::array::from_fn(|o| &given[(block * BLOCK + o) * per_output..][..per_output]);
                let scale = &scale[block * BLOCK..][..BLOCK];
                for (row, &place) in packed.chunks_exact_mut(width).zip(&places) {
                    let row = &mut row[block * BLOCK..][..BLOCK];
                    row.iter_mut()
                        .zip(&of)
                        .zip(scale)
                        .for_each(|((weight, of), by)| *weight = of[place] * by);
                }
            }
            for o in panel.channels - left..panel.channels {
                let of = &given[o * per_output..][..per_output];
                for (row, &place) in packed.chunks_exact_mut(width).zip(&places) {
                    row[o] = of[place] * scale[o];
                }
            }
        }
    };
    let weights = store.keep(offset, fill);
    (panels, weights)
}
