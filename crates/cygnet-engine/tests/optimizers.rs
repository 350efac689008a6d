//! Optimisers and learning rates are those of PyTorch and timm, stored by `make_optimizer_reference.py`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_engine::{Group, Optimizer, OptimizerConfig, Schedule};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    start: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    optimizers: Vec<Steps>,
    schedules: Vec<Rates>,
}

#[derive(Deserialize)]
struct Steps {
    config: OptimizerConfig,
    rates: Vec<f64>,
    params: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Rates {
    schedule: Schedule,
    factors: Vec<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("optimizer_reference.json")).unwrap()
}

#[test]
fn parameters_after_each_step_are_those_of_pytorch_and_timm() {
    let Reference { start, gradients, optimizers, .. } = reference();
    assert_eq!(optimizers.len(), 10);
    for Steps { config, rates, params } in optimizers {
        let group = Group { trained: true, rate: 1.0, decays: true };
        let mut optimizer = Optimizer::new(config.clone(), vec![group], &[start.len()]);
        let mut ours = vec![start.clone()];
        assert_eq!(params.len(), gradients.len());
        for (step, ((gradient, rate), wanted)) in gradients.iter().zip(rates).zip(params).enumerate() {
            optimizer.step(&mut ours, &mut [gradient.clone()], rate);
            for (&found, wanted) in ours[0].iter().zip(wanted) {
                let difference = (f64::from(found) - wanted).abs();
                assert!(difference < 2e-6, "{config:?}, step {step}: {found}, not {wanted}");
            }
        }
    }
}

#[test]
fn learning_rates_are_those_of_pytorch_and_timm() {
    let schedules = reference().schedules;
    assert_eq!(schedules.len(), 10);
    for Rates { schedule, factors } in schedules {
        // What one-cycle ends at is reached in PyTorch's last step, not after it.
        let is_cycle = schedule.kind == cygnet_engine::ScheduleKind::OneCycle;
        let epochs = factors.len() - usize::from(is_cycle);
        for (epoch, wanted) in factors.into_iter().enumerate() {
            let found = schedule.factor(epoch as f64, epochs as f64);
            assert!((found - wanted).abs() < 1e-9, "{schedule:?}, epoch {epoch}: {found}, not {wanted}");
        }
    }
}
