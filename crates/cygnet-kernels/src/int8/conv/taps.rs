//! What a window sees, as runs of inputs in groups of four.

use crate::conv::Part;
use crate::map::Map;
use crate::window::{Window, check_reach};

/// Groups of four inputs that follow each other in memory, for one or several columns of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) map: Map,
    /// From the window's first row on the input to the tap's.
    row: usize,
    /// From the start of an input row to the tap of output column 0; may lie in the halo.
    shift: isize,
    /// From an output column to the next.
    pub(super) step: usize,
    /// Groups.
    pub(super) groups: usize,
    /// Inputs of the only group, if they are fewer than four; or else 4.
    pub(super) inputs: usize,
    /// Its first group in the packed weights.
    pub(super) first: usize,
}

/// Four inputs and, for each, its channel, row and column in the weight; nothing for padding and where another group has it
/// already.
pub(super) type Group = [Option<[usize; 3]>; 4];

pub(super) struct Taps {
    pub(super) taps: Vec<Tap>,
    /// Index of the first tap of each row of the window, and their number.
    pub(super) rows: Vec<usize>,
    pub(super) order: Vec<Group>,
}

/// Inputs that follow each other.
struct Run {
    map: Map,
    shift: isize,
    inputs: Vec<Option<[usize; 3]>>,
}

impl Taps {
    /// # Panics
    /// If maps differ in height, have fewer channels than they should, or four more, or are narrower than the window reaches.
    pub(super) fn new(window: &Window, parts: &[Part], output: &Map) -> Taps {
        let [kh, kw] = window.kernel;
        let mut all = Taps { taps: Vec::new(), rows: Vec::new(), order: Vec::new() };
        for ky in 0..kh {
            all.rows.push(all.taps.len());
            for Part { map, channels } in parts {
                check_reach(window, map, output);
                let padding = map.channels.checked_sub(channels.len());
                assert!(padding.is_some_and(|padding| padding < 4) && map.height == parts[0].map.height);
                let mut runs: Vec<Run> = Vec::new();
                for kx in 0..kw {
                    let column = (kx * window.dilation[1]) as isize - window.pad[1] as isize;
                    let input = |i: usize| channels.get(i).map(|&c| [c, ky, kx]);
                    let inputs = (0..map.channels).map(input);
                    let joins = window.dilation[1] == 1 && map.pixel == map.channels;
                    match runs.last_mut() {
                        Some(last) if joins => last.inputs.extend(inputs),
                        _ => {
                            let shift = column * map.pixel as isize;
                            runs.push(Run { map: *map, shift, inputs: inputs.collect() });
                        }
                    }
                }
                runs.iter().for_each(|run| all.add(run, window, ky));
            }
        }
        all.rows.push(all.taps.len());
        all
    }

    /// Adds a run: its groups, and one more that ends with the run, of which the others have the first inputs.
    fn add(&mut self, run: &Run, window: &Window, ky: usize) {
        let (groups, rest) = (run.inputs.len() / 4, run.inputs.len() % 4);
        let tap = Tap {
            map: run.map,
            row: ky * window.dilation[0],
            shift: run.shift,
            step: window.stride[1] * run.map.pixel,
            groups,
            inputs: 4,
            first: self.order.len(),
        };
        if groups > 0 {
            self.taps.push(tap);
            let whole = run.inputs.chunks_exact(4);
            self.order.extend(whole.map(|four| [four[0], four[1], four[2], four[3]]));
        }
        if rest > 0 {
            let inputs = if groups > 0 { 4 } else { rest };
            let start = run.inputs.len() - inputs;
            let shift = run.shift + start as isize;
            self.taps.push(Tap { shift, groups: 1, inputs, first: self.order.len(), ..tap });
            let input =
                |i: usize| run.inputs.get(start + i).copied().flatten().filter(|_| start + i >= groups * 4);
            self.order.push(std::array::from_fn(input));
        }
    }
}

impl Tap {
    /// Where the tap begins for an output column, if the window's first row lies on row `top` of the input.
    #[inline(always)]
    pub(super) fn start(&self, top: usize, x: usize) -> isize {
        (self.map.row_start(top.wrapping_add(self.row)) + x * self.step) as isize + self.shift
    }
}
