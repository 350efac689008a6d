//! Gumbel mixtures, pairs, and latencies of mixtures.

use cygnet_search::controller::gumbel::{Temperature, backward, expected, mix, noise, pair};
use cygnet_search::controller::{LatencyLoss, Policy};

use super::{Surface, space};

const LOGITS: [f64; 4] = [0.3, -0.5, 1.2, 0.0];

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / sum).collect()
}

#[test]
fn the_largest_weight_falls_on_options_by_their_probabilities() {
    const DRAWS: u64 = 100_000;
    let mut counts = [0usize; 4];
    for step in 0..DRAWS {
        let weights = &mix(&[LOGITS.to_vec()], 1.0, [7, step])[0];
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let largest = (1..4).fold(0, |best, at| if weights[at] > weights[best] { at } else { best });
        counts[largest] += 1;
    }
    let chi2: f64 = softmax(&LOGITS)
        .iter()
        .zip(counts)
        .map(|(p, count)| {
            let wanted = p * DRAWS as f64;
            (count as f64 - wanted).powi(2) / wanted
        })
        .sum();
    // χ² of 3 degrees of freedom is above this once in a thousand.
    assert!(chi2 < 16.27, "{chi2} {counts:?}");
}

#[test]
fn temperature_goes_from_uniform_to_one_option_and_falls_as_published() {
    let hot = &mix(&[LOGITS.to_vec()], 1e6, [1, 2])[0];
    assert!(hot.iter().all(|m| (m - 0.25).abs() < 1e-4));
    let cold = &mix(&[LOGITS.to_vec()], 1e-6, [1, 2])[0];
    let most = cold.iter().copied().fold(0.0, f64::max);
    assert!((most - 1.0).abs() < 1e-12 && (cold.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let temperature = Temperature::default();
    assert_eq!(temperature.at(0), 5.0);
    assert!((temperature.at(10) - 5.0 * (-0.45f64).exp()).abs() < 1e-12 && temperature.at(u32::MAX) == 0.0);
}

#[test]
fn draws_depend_on_their_key_alone() {
    let logits = vec![vec![0.0; 3]; 4];
    let first = mix(&logits, 2.0, [5, 9]);
    assert_eq!(first, mix(&logits, 2.0, [5, 9]));
    for other in [mix(&logits, 2.0, [5, 10]), mix(&logits, 2.0, [6, 9])] {
        assert!(first.iter().zip(&other).all(|(a, b)| a != b));
    }
    assert!(first.windows(2).all(|two| two[0] != two[1]));
    assert_eq!(mix(&logits[..2], 2.0, [5, 9]), first[..2]);
    let mean = (0..50_000).map(|step| noise([1, step], 0, 0)).sum::<f64>() / 50_000.0;
    // Euler's constant.
    assert!((mean - 0.577).abs() < 0.02, "{mean}");
}

#[test]
fn gradients_of_mixtures_and_their_latency_are_those_of_differences() {
    let logits = vec![LOGITS.to_vec(), vec![0.1, 0.7]];
    let table = vec![vec![0.3, 0.9, 0.2, 0.5], vec![1.5, 0.4]];
    let (temperature, key) = (1.7, [3, 4]);
    let by_logits = backward(&mix(&logits, temperature, key), temperature, &table);
    for decision in 0..2 {
        for option in 0..logits[decision].len() {
            let latency = |by: f64| {
                let mut moved = logits.clone();
                moved[decision][option] += by;
                expected(&mix(&moved, temperature, key), &table)
            };
            let wanted = (latency(1e-4) - latency(-1e-4)) / 2e-4;
            let given = by_logits[decision][option];
            assert!((given - wanted).abs() < 1e-6 * wanted.abs().max(0.01), "{given} {wanted}");
        }
    }
}

#[test]
fn the_latency_of_probabilities_is_the_mean_over_all_paths() {
    let space = space(3, 3);
    let mut policy = Policy::new(&space);
    policy.logits = vec![vec![0.2, -0.3, 0.9], vec![1.0, 0.0, -1.0], vec![0.5, 0.5, 0.1]];
    let table = vec![vec![0.3, 0.9, 0.2], vec![1.5, 0.4, 0.1], vec![0.7, 0.6, 2.0]];
    let all: Vec<Vec<f64>> = (0..3).map(|decision| policy.probabilities(decision)).collect();
    let mean: f64 = space
        .all()
        .map(|choices| {
            let ms: f64 = choices.iter().zip(&table).map(|(&option, list)| list[option]).sum();
            policy.log_probability(&space, &choices).exp() * ms
        })
        .sum();
    assert!((expected(&all, &table) - mean).abs() < 1e-12);
}

#[test]
fn losses_with_latency_have_the_derivatives_of_differences_and_refuse_what_has_no_logarithm() {
    let at = |loss: LatencyLoss, ce: f64, ms: f64| loss.of(ce, ms, 0.2).unwrap().0;
    for loss in [LatencyLoss::FBNET, LatencyLoss::TF_NAS] {
        for ms in [0.15, 0.31, 4.0] {
            let (_, [by_ce, by_ms]) = loss.of(1.4, ms, 0.2).unwrap();
            let wanted = [
                (at(loss, 1.4 + 1e-6, ms) - at(loss, 1.4 - 1e-6, ms)) / 2e-6,
                (at(loss, 1.4, ms + 1e-6) - at(loss, 1.4, ms - 1e-6)) / 2e-6,
            ];
            assert!((by_ce - wanted[0]).abs() < 1e-6 && (by_ms - wanted[1]).abs() < 1e-6, "{loss:?} {ms}");
        }
    }
    for ms in [0.001, 0.0, -1.0, f64::NAN] {
        let error = LatencyLoss::FBNET.of(1.0, ms, 0.2).unwrap_err().to_string();
        assert!(error.contains("use the ratio"), "{error}");
        assert!(LatencyLoss::TF_NAS.of(1.0, ms, 0.2).is_ok());
    }
}

#[test]
fn the_ratio_orders_networks_alike_in_any_unit() {
    let surface = Surface::new(3);
    let target = surface.median();
    let best = |unit: f64| {
        let loss = |choices: &Vec<usize>| {
            let ms = unit * surface.latency(choices);
            LatencyLoss::Ratio { lambda: 0.5 }
                .of(1.0 - surface.quality(choices), ms, unit * target)
                .unwrap()
                .0
        };
        surface.space.all().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap()
    };
    // A power of two leaves every bit of a ratio.
    assert_eq!(best(1.0), best(1024.0));
}

#[test]
fn pairs_are_drawn_without_putting_back_and_leave_others_their_probabilities() {
    const DRAWS: u64 = 50_000;
    let p = softmax(&LOGITS);
    let mut counts = [[0usize; 4]; 4];
    for step in 0..DRAWS {
        let [first, second] = pair(&LOGITS, [1, step, 0]).unwrap().options;
        counts[first][second] += 1;
    }
    let mut chi2 = 0.0;
    for first in 0..4 {
        assert_eq!(counts[first][first], 0);
        for second in (0..4).filter(|&second| second != first) {
            let wanted = p[first] * p[second] / (1.0 - p[first]) * DRAWS as f64;
            chi2 += (counts[first][second] as f64 - wanted).powi(2) / wanted;
        }
    }
    // χ² of 11 degrees of freedom is above this once in a thousand.
    assert!(chi2 < 31.3, "{chi2}");
    assert_eq!(pair(&[1.0], [0; 3]), None);

    let two = pair(&LOGITS, [1, 2, 3]).unwrap();
    let weights = softmax(&two.options.map(|option| LOGITS[option]));
    assert!((two.weights[0] - weights[0]).abs() < 1e-12 && (two.weights[1] - weights[1]).abs() < 1e-12);
    let loss = |logits: [f64; 2]| {
        let m = softmax(&logits);
        3.0 * m[0] - 2.0 * m[1]
    };
    let at = two.options.map(|option| LOGITS[option]);
    let given = two.backward([3.0, -2.0]);
    for index in 0..2 {
        let moved = |by: f64| {
            let mut logits = at;
            logits[index] += by;
            loss(logits)
        };
        assert!((given[index] - (moved(1e-5) - moved(-1e-5)) / 2e-5).abs() < 1e-8);
    }
    let mut logits = LOGITS.to_vec();
    two.options.iter().zip([0.9, -0.4]).for_each(|(&option, by)| logits[option] += by);
    two.keep_others(&mut logits, at);
    for (option, (now, then)) in softmax(&logits).iter().zip(&p).enumerate() {
        assert!(two.options.contains(&option) || (now - then).abs() < 1e-12);
    }
    assert!(logits.iter().zip(LOGITS).filter(|(now, then)| *now != then).count() == 2);
}
