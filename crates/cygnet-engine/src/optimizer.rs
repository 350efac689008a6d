//! Optimisers: from gradients to steps. State is f32 like the parameters; order and arithmetic are fixed, so equal
//! gradients give equal bytes.

use serde::{Deserialize, Serialize};

/// Which rule turns gradients into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum (PyTorch's `SGD`).
    Sgd,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2017; PyTorch's `AdamW`).
    Adamw,
    /// RMSprop in TensorFlow's form, which MobileNetV3 and MnasNet used: epsilon inside the square root, the mean square
    /// starts at 1, and the rate is inside the momentum.
    Rmsprop,
}

/// An optimiser's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which rule.
    pub kind: OptimizerKind,
    /// Peak learning rate.
    pub rate: f64,
    /// Batch that `rate` is for: with another batch it is scaled in proportion (Goyal et al. 2017); 0: it is not.
    pub rate_batch: usize,
    /// Momentum of `sgd` and `rmsprop`.
    pub momentum: f64,
    /// Nesterov's form of the momentum of `sgd`.
    pub nesterov: bool,
    /// Weight decay: added to the gradient, for `adamw` decoupled.
    pub weight_decay: f64,
    /// Whether biases and batch norms decay too.
    pub decay_all: bool,
    /// Decay of the first moment of `adamw`.
    pub beta1: f64,
    /// Decay of the second moment of `adamw`.
    pub beta2: f64,
    /// Decay of the mean square of `rmsprop`.
    pub rho: f64,
    /// Epsilon of `adamw` and `rmsprop`.
    pub eps: f64,
    /// Largest norm of all gradients together, which are scaled down to it; 0: no limit.
    pub clip: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            kind: OptimizerKind::Sgd,
            rate: 0.05,
            rate_batch: 0,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 1e-4,
            decay_all: false,
            beta1: 0.9,
            beta2: 0.999,
            rho: 0.9,
            eps: 1e-8,
            clip: 0.0,
        }
    }
}

/// How one parameter is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Whether it is trained at all.
    pub trained: bool,
    /// Factor on the learning rate.
    pub rate: f64,
    /// Whether weight decay applies.
    pub decays: bool,
}

/// An optimiser with its state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    groups: Vec<Group>,
    /// Steps taken.
    pub steps: u64,
    /// For each parameter, steps that left it alone.
    pub skipped: Vec<u64>,
    /// Running averages: for each of [`Optimizer::slot_names`] one vector a parameter, empty if it is not trained.
    pub slots: Vec<Vec<Vec<f32>>>,
}

impl Optimizer {
    /// An optimiser before its first step, for parameters of these lengths.
    #[must_use]
    pub fn new(config: OptimizerConfig, groups: Vec<Group>, lengths: &[usize]) -> Optimizer {
        let start = |slot: &&str| {
            let value =
                if *slot == "mean_square" && config.kind == OptimizerKind::Rmsprop { 1.0 } else { 0.0 };
            let fill =
                |(group, &length): (&Group, &usize)| vec![value; if group.trained { length } else { 0 }];
            groups.iter().zip(lengths).map(fill).collect()
        };
        let slots = Optimizer::names(&config).iter().map(start).collect();
        let skipped = vec![0; groups.len()];
        Optimizer { config, groups, steps: 0, skipped, slots }
    }

    fn names(config: &OptimizerConfig) -> &'static [&'static str] {
        match config.kind {
            OptimizerKind::Sgd if config.momentum == 0.0 => &[],
            OptimizerKind::Sgd => &["momentum"],
            OptimizerKind::Adamw => &["mean", "mean_square"],
            OptimizerKind::Rmsprop => &["mean_square", "momentum"],
        }
    }

    /// The names of the running averages, in the order of `slots`.
    #[must_use]
    pub fn slot_names(&self) -> &'static [&'static str] {
        Optimizer::names(&self.config)
    }

    /// One step with learning rate `rate`. Gradients may be scaled and are otherwise left alone.
    pub fn step(&mut self, params: &mut [Vec<f32>], gradients: &mut [Vec<f32>], rate: f64) {
        clip(gradients, self.config.clip);
        self.descend(params, gradients, rate, |_| true);
    }

    /// As [`Optimizer::step`], for the parameters that are `touched` alone: of the others neither value, running averages
    /// nor age change, nor do their gradients count, as of parameters without gradient in PyTorch. A supernet's step touches
    /// the parameters of one path.
    pub fn step_some(
        &mut self,
        params: &mut [Vec<f32>],
        gradients: &mut [Vec<f32>],
        rate: f64,
        touched: &[bool],
    ) {
        let is_touched = |index: usize| touched.get(index).copied().unwrap_or(false);
        clip_some(gradients, self.config.clip, is_touched);
        self.descend(params, gradients, rate, is_touched);
    }

    fn descend(
        &mut self,
        params: &mut [Vec<f32>],
        gradients: &[Vec<f32>],
        rate: f64,
        is_touched: impl Fn(usize) -> bool,
    ) {
        self.steps += 1;
        let OptimizerConfig { kind, momentum, nesterov, beta1, beta2, rho, eps, .. } = self.config;
        let [momentum, rho, eps] = [momentum, rho, eps].map(|x| x as f32);
        for (index, (group, (param, gradient))) in
            self.groups.iter().zip(params.iter_mut().zip(gradients.iter())).enumerate()
        {
            if !is_touched(index) {
                self.skipped[index] += 1;
                continue;
            }
            if !group.trained {
                continue;
            }
            let rate = rate * group.rate;
            let decay = if group.decays { self.config.weight_decay } else { 0.0 };
            let (step, decay32) = (rate as f32, decay as f32);
            match (kind, &mut self.slots[..]) {
                (OptimizerKind::Sgd, [velocities]) => {
                    for ((w, &g), v) in param.iter_mut().zip(gradient).zip(&mut velocities[index]) {
                        let g = g + decay32 * *w;
                        *v = momentum * *v + g;
                        *w -= step * if nesterov { g + momentum * *v } else { *v };
                    }
                }
                (OptimizerKind::Sgd, _) => {
                    for (w, &g) in param.iter_mut().zip(gradient) {
                        *w -= step * (g + decay32 * *w);
                    }
                }
                (OptimizerKind::Adamw, [means, squares]) => {
                    let time = (self.steps - self.skipped[index]).min(1 << 30) as i32;
                    let (first, second) = (1.0 - beta1.powi(time), 1.0 - beta2.powi(time));
                    let (step, root) = ((rate / first) as f32, second.sqrt() as f32);
                    let kept = (1.0 - rate * decay) as f32;
                    let (b1, b2) = (beta1 as f32, beta2 as f32);
                    let (c1, c2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
                    let averages = means[index].iter_mut().zip(&mut squares[index]);
                    for ((w, &g), (m, s)) in param.iter_mut().zip(gradient).zip(averages) {
                        *m = b1 * *m + c1 * g;
                        *s = b2 * *s + c2 * g * g;
                        *w = *w * kept - step * *m / (s.sqrt() / root + eps);
                    }
                }
                (OptimizerKind::Rmsprop, [squares, velocities]) => {
                    let share = 1.0 - rho;
                    let averages = squares[index].iter_mut().zip(&mut velocities[index]);
                    for ((w, &g), (s, v)) in param.iter_mut().zip(gradient).zip(averages) {
                        let g = g + decay32 * *w;
                        *s = rho * *s + share * g * g;
                        *v = momentum * *v + step * g / (*s + eps).sqrt();
                        *w -= *v;
                    }
                }
                (OptimizerKind::Adamw | OptimizerKind::Rmsprop, _) => unreachable!("both have two averages"),
            }
        }
    }
}

/// Scales all gradients so that their norm together is at most `limit`, as PyTorch's `clip_grad_norm_`; 0: no limit.
/// Returns the norm before.
pub fn clip(gradients: &mut [Vec<f32>], limit: f64) -> f64 {
    clip_some(gradients, limit, |_| true)
}

/// As [`clip`], of some parameters' gradients.
fn clip_some(gradients: &mut [Vec<f32>], limit: f64, is_touched: impl Fn(usize) -> bool) -> f64 {
    if limit == 0.0 {
        return 0.0;
    }
    let mut touched: Vec<_> = gradients
        .iter_mut()
        .enumerate()
        .filter_map(|(index, gradient)| is_touched(index).then_some(gradient))
        .collect();
    let norm =
        touched.iter().flat_map(|g| g.iter()).map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    let factor = limit / (norm + 1e-6);
    if factor < 1.0 {
        touched.iter_mut().flat_map(|gradient| gradient.iter_mut()).for_each(|g| *g *= factor as f32);
    }
    norm
}

/// Moves the running average of weights: `average = decay × average + (1 − decay) × weights`. In the first steps the
/// decay is at most `(1 + step) / (10 + step)`, as TensorFlow's `ExponentialMovingAverage` with `num_updates`.
pub fn average(averages: &mut [Vec<f32>], weights: &[Vec<f32>], decay: f64, step: u64) {
    let decay = decay.min((1.0 + step as f64) / (10.0 + step as f64));
    let share = (1.0 - decay) as f32;
    for (average, weights) in averages.iter_mut().zip(weights) {
        for (a, &w) in average.iter_mut().zip(weights) {
            *a += share * (w - *a);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: usize = 5;
    const START: [f64; 3] = [0.5, -1.25, 2.0];

    /// Gradients that differ from step to step.
    fn gradient(step: usize, index: usize) -> f64 {
        ((step * 3 + index) as f64 * 0.7).sin() + 0.1 * index as f64
    }

    fn ours(config: OptimizerConfig, group: Group) -> Vec<f32> {
        let mut params = vec![START.map(|w| w as f32).to_vec()];
        let mut optimizer = Optimizer::new(config.clone(), vec![group], &[3]);
        for step in 0..STEPS {
            let mut gradients = vec![(0..3).map(|index| gradient(step, index) as f32).collect()];
            optimizer.step(&mut params, &mut gradients, config.rate);
        }
        params.remove(0)
    }

    fn plain(decays: bool) -> Group {
        Group { trained: true, rate: 1.0, decays }
    }

    #[test]
    fn groups_have_their_own_rates_and_exclusions() {
        let config = OptimizerConfig { rate: 0.1, weight_decay: 0.5, ..Default::default() };
        let frozen = Group { trained: false, rate: 1.0, decays: true };
        assert_eq!(ours(config.clone(), frozen), START.map(|w| w as f32));
        let undecayed = OptimizerConfig { weight_decay: 0.0, ..config.clone() };
        assert_eq!(ours(config.clone(), plain(false)), ours(undecayed.clone(), plain(true)));
        let double = OptimizerConfig { rate: 0.2, ..undecayed.clone() };
        let fast = Group { trained: true, rate: 2.0, decays: false };
        assert_eq!(ours(undecayed, fast), ours(double, plain(true)));
    }

    #[test]
    fn a_step_leaves_alone_what_it_does_not_touch() {
        for kind in [OptimizerKind::Sgd, OptimizerKind::Adamw, OptimizerKind::Rmsprop] {
            let config = OptimizerConfig { kind, rate: 0.05, clip: 0.5, ..Default::default() };
            let gradients = |step: usize| {
                let of = |index: usize| vec![gradient(step, index) as f32, gradient(step, index + 1) as f32];
                vec![of(0), of(5)]
            };
            // Both parameters in turn, each as if it were alone.
            let mut together = vec![vec![0.5f32, -1.25], vec![2.0, 0.25]];
            let mut alone = together.clone();
            let groups = vec![plain(true); 2];
            let mut optimizer = Optimizer::new(config.clone(), groups, &[2, 2]);
            let mut own: Vec<_> =
                (0..2).map(|_| Optimizer::new(config.clone(), vec![plain(true)], &[2])).collect();
            for step in 0..2 * STEPS {
                let which = step % 2;
                let mut all = gradients(step);
                all[1 - which].fill(f32::NAN);
                let before = together[1 - which].clone();
                optimizer.step_some(&mut together, &mut all, config.rate, &[which == 0, which == 1]);
                assert_eq!(together[1 - which], before);
                let mut one = vec![gradients(step).swap_remove(which)];
                own[which].step(&mut alone[which..=which], &mut one, config.rate);
                assert_eq!(together[which], alone[which], "{kind:?}, step {step}");
            }
            // One that is never touched may have no gradient at all.
            let mut all = vec![vec![0.5f32, 0.5], Vec::new()];
            optimizer.step_some(&mut together, &mut all, config.rate, &[true, false]);
            assert!(together.iter().flatten().all(|w| w.is_finite()));
        }
    }

    #[test]
    fn a_step_that_touches_everything_is_an_ordinary_step() {
        let config = OptimizerConfig { kind: OptimizerKind::Adamw, clip: 0.1, ..Default::default() };
        let [mut ours, mut some] = [0, 1].map(|_| vec![START.map(|w| w as f32).to_vec(); 2]);
        let groups = vec![plain(true), Group { trained: false, rate: 1.0, decays: true }];
        let mut optimizers = [0, 1].map(|_| Optimizer::new(config.clone(), groups.clone(), &[3, 3]));
        for step in 0..STEPS {
            let gradients = vec![(0..3).map(|index| gradient(step, index) as f32).collect::<Vec<_>>(); 2];
            optimizers[0].step(&mut ours, &mut gradients.clone(), 0.1);
            optimizers[1].step_some(&mut some, &mut gradients.clone(), 0.1, &[true, true]);
        }
        assert_eq!(ours, some);
    }

    #[test]
    fn clipping_scales_all_gradients_to_the_limit_together() {
        let mut gradients = vec![vec![3.0, 0.0], vec![4.0]];
        assert_eq!(clip(&mut gradients, 10.0), 5.0);
        assert_eq!(gradients, [vec![3.0, 0.0], vec![4.0]]);
        clip(&mut gradients, 1.0);
        for (given, expected) in gradients.iter().flatten().zip([0.6, 0.0, 0.8]) {
            assert!((given - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn an_average_of_constant_weights_is_the_weights() {
        let mut averages = vec![vec![0.0f32]];
        for step in 0..200 {
            average(&mut averages, &[vec![3.0]], 0.99, step);
        }
        assert!((averages[0][0] - 3.0).abs() < 0.05, "{averages:?}");
        average(&mut averages, &[vec![1003.0]], 0.99, 1_000_000);
        assert!((averages[0][0] - 13.0).abs() < 0.1, "{averages:?}");
    }
}
