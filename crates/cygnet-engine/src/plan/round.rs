//! Values on grids.

use cygnet_gradient::{Reduce, Round, RoundBackward, Step, WeightLayout};

use super::{Lowering, Tensor, Value};
use crate::ValueGrid;

impl Lowering<'_> {
    /// Rounds what a node has just computed; readers see the result.
    pub(super) fn round(&mut self, i: usize) {
        let Some(grid) = self.options.grids.of(i) else { return };
        let x = self.real(i);
        let to = self.place_of(i);
        self.computed[i] = Some(x);
        self.values[i] = Some(Value::Real(to));
        let step = self.rounding(x, to, grid);
        self.steps.push(Step::Round(step));
    }

    /// Makes the gradient of a rounded value, which its readers gave, that of what was rounded.
    pub(super) fn round_backward(&mut self, i: usize) {
        let (Some(grid), Some(x), Some(g)) = (self.options.grids.of(i), self.computed[i], self.gradients[i])
        else {
            return;
        };
        let scales = self.options.grids.scales[grid.scales];
        let [channels, height, width] = x.shape;
        let numbers = height * width * if scales == 1 { channels } else { 1 };
        let step = self.rounding(x, g, grid);
        let segments = Round::row_blocks(&step.x);
        let sums = self.memory.buffer(segments * channels);
        let backward = RoundBackward {
            g: self.view(g),
            sums: self.place(sums),
            factor: (1.0 / (numbers as f64 * 255.0).sqrt()) as f32,
        };
        self.steps.push(Step::Round(Round { backward: Some(backward), ..step }));
        if let Some(param) = self.wanted(step.scales) {
            let partials = self.place(sums);
            let layout = if step.shared { WeightLayout::Total } else { WeightLayout::Same };
            let reduce = Reduce { partials, segments, len: channels, param, size: scales, layout };
            self.steps.push(Step::Reduce(reduce));
        }
    }

    /// What a node computed, before it was rounded.
    pub(super) fn computed(&self, i: usize) -> Tensor {
        self.computed[i].unwrap_or_else(|| self.real(i))
    }

    fn rounding(&mut self, x: Tensor, to: Tensor, grid: ValueGrid) -> Round {
        let scales = self.first_param[self.graph.nodes().len()] + grid.scales;
        let shared = self.options.grids.scales[grid.scales] == 1;
        Round { x: self.view(x), to: self.view(to), zero: grid.zero, scales, shared, backward: None }
    }
}
