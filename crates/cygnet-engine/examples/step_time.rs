//! Times training steps: `step_time NETWORK SIDE BATCH THREADS SECONDS` prints images/s and peak memory as JSON.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and fails by panicking")]

use std::num::NonZeroUsize;
use std::time::Instant;

use cygnet_engine::{Engine, EngineOptions};
use cygnet_graph::Role;
use cygnet_zoo::Spec;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, side, batch, threads, seconds] = args.as_slice() else {
        panic!("usage: step_time NETWORK SIDE BATCH THREADS SECONDS")
    };
    let number = |text: &String| text.parse::<usize>().unwrap();
    let (side, batch) = (number(side), number(batch));
    let network = cygnet_zoo::find(name).unwrap();
    let graph =
        (network.row.build)(&Spec { image: [3, side, side], classes: 1000, ..network.spec() }).unwrap();
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut params: Vec<Vec<f32>> = Vec::new();
    for param in graph.params() {
        let len = param.shape.iter().product();
        let fan_in: usize = param.shape.iter().skip(1).product();
        params.push(match param.role {
            Role::Weight => (0..len).map(|_| random() * (3.0 / fan_in as f32).sqrt()).collect(),
            Role::NormWeight | Role::NormVar => vec![1.0; len],
            Role::Bias | Role::NormBias | Role::NormMean => vec![0.0; len],
        });
    }
    let mut gradients: Vec<Vec<f32>> = params.iter().map(|param| vec![0.0; param.len()]).collect();
    let images: Vec<f32> = (0..batch * 3 * side * side).map(|_| random()).collect();
    let mut targets = vec![0.0; batch * 1000];
    (0..batch).for_each(|image| targets[image * 1000 + image % 1000] = 1.0);
    let mut options = EngineOptions::new(batch);
    options.threads = NonZeroUsize::new(number(threads)).unwrap();
    let mut engine = Engine::new(&graph, options).unwrap();
    let mut momenta = gradients.clone();
    let mut step = |engine: &mut Engine| {
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        engine.step(&mut params, &images, &targets, 1, &mut gradients, 1.0).unwrap();
        for ((param, gradient), momentum) in params.iter_mut().zip(&gradients).zip(&mut momenta) {
            for ((p, g), m) in param.iter_mut().zip(gradient).zip(momentum) {
                *m = 0.9 * *m + g;
                *p -= 1e-5 * *m;
            }
        }
    };
    step(&mut engine);
    let (start, limit) = (Instant::now(), number(seconds) as f64);
    let mut fastest = f64::INFINITY;
    let mut times = Vec::new();
    while start.elapsed().as_secs_f64() < limit {
        let start = Instant::now();
        step(&mut engine);
        let time = start.elapsed().as_secs_f64();
        fastest = fastest.min(time);
        times.push(time);
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: f64 = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
    println!(
        "{{\"images_per_s\": {:.1}, \"fastest_ms\": {:.3}, \"peak_mb\": {:.1}}}",
        batch as f64 / median,
        fastest * 1e3,
        peak / 1024.0
    );
}
