//! Policies: their gradients against all paths of a small space, and where rewards lead.

use cygnet_image::Rng;
use cygnet_search::Space;
use cygnet_search::controller::{
    Adam, AdamSettings, Policy, Reinforce, ReinforceSettings, Reward, gradient, surrogate_gradient,
};

use super::{Surface, problem, run, space};

/// A policy that prefers some options.
fn policy(space: &Space) -> Policy {
    let mut policy = Policy::new(space);
    let mut rng = Rng::keyed(&[11]);
    policy.logits.iter_mut().flatten().for_each(|logit| *logit = rng.between(-1.0, 1.0));
    policy
}

fn reward(choices: &[usize]) -> f64 {
    choices.iter().enumerate().map(|(place, &option)| ((place + 1) * (option + 2)) as f64 % 4.0).sum::<f64>()
        + 5.0
}

/// The gradient of the mean reward by the logits, by finite differences of the mean over all paths.
fn exact(space: &Space, policy: &Policy) -> Vec<Vec<f64>> {
    let mean = |policy: &Policy| -> f64 {
        space.all().map(|choices| policy.log_probability(space, &choices).exp() * reward(&choices)).sum()
    };
    let mut gradient = policy.zeros();
    for decision in 0..policy.logits.len() {
        for option in 0..policy.logits[decision].len() {
            let mut moved = [policy.clone(), policy.clone()];
            moved[0].logits[decision][option] += 1e-5;
            moved[1].logits[decision][option] -= 1e-5;
            gradient[decision][option] = (mean(&moved[0]) - mean(&moved[1])) / 2e-5;
        }
    }
    gradient
}

/// A space in which some decisions matter only with some options of others.
fn hierarchical() -> Space {
    let text = "image = [16]\nstem = [\"8\"]\nhead = [\"8\"]\n[[stage]]\nchannels = [8]\ndepth = [1, 2]\nchoose = \"kind\"\n\
                blocks = [\"m3e{1,2,3}\", \"f3e{1,2}\"]\n";
    Space::read("hierarchical", text).unwrap()
}

#[test]
fn probabilities_of_all_choices_sum_to_one_and_samples_have_them() {
    for space in [space(3, 3), hierarchical()] {
        let policy = policy(&space);
        let all: Vec<_> = space.all().collect();
        let probabilities: Vec<f64> =
            all.iter().map(|choices| policy.log_probability(&space, choices).exp()).collect();
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mut counts = vec![0usize; all.len()];
        let draws = 20_000;
        for draw in 0..draws {
            let choices = policy.sample(&space, &mut Rng::keyed(&[draw]));
            counts[all.iter().position(|other| *other == choices).unwrap()] += 1;
        }
        let chi2: f64 = counts
            .iter()
            .zip(&probabilities)
            .map(|(&count, p)| {
                let wanted = p * draws as f64;
                (count as f64 - wanted).powi(2) / wanted
            })
            .sum();
        // Beyond the mean of χ² by four deviations.
        let freedom = (all.len() - 1) as f64;
        assert!(chi2 < freedom + 4.0 * (2.0 * freedom).sqrt(), "{chi2} of {freedom}");
        let likeliest = policy.likeliest(&space);
        let of = |choices: &[usize]| policy.log_probability(&space, choices);
        assert!(space.decisions().iter().all(|decision| decision.options.len() > 1) && of(&likeliest) < 0.0);
    }
}

#[test]
fn the_mean_gradient_of_samples_is_the_exact_one_and_a_baseline_changes_its_spread_alone() {
    const DRAWS: u64 = 100_000;
    for space in [space(3, 3), hierarchical()] {
        let policy = policy(&space);
        let wanted: Vec<f64> = exact(&space, &policy).concat();
        let mut spreads = Vec::new();
        for baseline in [0.0, 12.0] {
            let (mut sum, mut squares) = (vec![0.0; wanted.len()], vec![0.0; wanted.len()]);
            for draw in 0..DRAWS {
                let choices = policy.sample(&space, &mut Rng::keyed(&[draw, 5]));
                let advantage = reward(&choices) - baseline;
                let one: Vec<f64> = gradient(&policy, &space, &[(choices, advantage)]).concat();
                for (at, g) in one.into_iter().enumerate() {
                    sum[at] += g;
                    squares[at] += g * g;
                }
            }
            let n = DRAWS as f64;
            let mut spread = 0.0;
            for at in 0..wanted.len() {
                let mean = sum[at] / n;
                let variance = squares[at] / n - mean * mean;
                // Some of many may be a little beyond 3.
                assert!(
                    (mean - wanted[at]).abs() < 3.6 * (variance / n).sqrt() + 1e-9,
                    "{mean} {}",
                    wanted[at]
                );
                spread += variance;
            }
            spreads.push(spread);
        }
        assert!(spreads[1] < 0.5 * spreads[0], "{spreads:?}");
    }
}

#[test]
fn an_update_of_ppo_begins_as_reinforce_and_stops_at_its_clip() {
    let space = hierarchical();
    let policy = policy(&space);
    let batch: Vec<_> = (0..20)
        .map(|draw| {
            let choices = policy.sample(&space, &mut Rng::keyed(&[draw]));
            let advantage = reward(&choices) - 9.0;
            (choices, advantage)
        })
        .collect();
    assert_eq!(surrogate_gradient(&policy, &policy, &space, &batch, 0.2), gradient(&policy, &space, &batch));
    // A network that has become twice as likely gains nothing more, and one half as likely loses nothing more.
    let mut moved = policy.clone();
    let (choices, _) = &batch[0];
    moved.logits[0][choices[0]] += 3.0;
    let ratio = (moved.log_probability(&space, choices) - policy.log_probability(&space, choices)).exp();
    assert!(ratio > 1.2);
    let one = |advantage: f64, [new, old]: [&Policy; 2]| {
        let all = surrogate_gradient(new, old, &space, &[(choices.clone(), advantage)], 0.2).concat();
        all.iter().map(|g: &f64| g.abs()).sum::<f64>()
    };
    assert_eq!(one(1.0, [&moved, &policy]), 0.0);
    assert!(one(-1.0, [&moved, &policy]) > 0.0);
    assert_eq!(one(-1.0, [&policy, &moved]), 0.0);
    assert!(one(1.0, [&policy, &moved]) > 0.0);
}

#[test]
fn the_gradient_of_the_entropy_is_that_of_differences() {
    let space = space(3, 4);
    let policy = policy(&space);
    let mut gradient = policy.zeros();
    policy.entropy(0.5, &mut gradient);
    for decision in 0..3 {
        for option in 0..4 {
            let entropy = |by: f64| {
                let mut moved = policy.clone();
                moved.logits[decision][option] += by;
                let mut zeros = moved.zeros();
                moved.entropy(0.0, &mut zeros)
            };
            let wanted = 0.5 * (entropy(1e-5) - entropy(-1e-5)) / 2e-5;
            assert!((gradient[decision][option] - wanted).abs() < 1e-8);
        }
    }
}

#[test]
fn adam_steps_as_its_paper_says() {
    let settings = AdamSettings { rate: 0.1, beta1: 0.5, beta2: 0.75, weight_decay: 0.0 };
    let mut logits = vec![vec![1.0]];
    let mut adam = Adam::new(settings, &logits);
    adam.descend(&mut logits, &[vec![2.0]]);
    assert!((logits[0][0] - 0.9).abs() < 1e-8, "the first step is the rate");
    adam.descend(&mut logits, &[vec![-1.0]]);
    // Moments 0.5·1 − 0.5 = 0 and 0.75·1 + 0.25 = 1.
    assert!((logits[0][0] - 0.9).abs() < 1e-8);
    adam.descend(&mut logits, &[vec![1.0]]);
    let (mean, square) = (0.5 / 0.875, 1.0 / (1.0 - 0.75f64.powi(3)));
    assert!((logits[0][0] - (0.9 - 0.1 * mean / f64::sqrt(square))).abs() < 1e-7);
}

#[test]
fn rewards_are_those_of_their_papers_in_any_unit() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    near(Reward::SOFT.of(0.7, 75.0, 75.0), 0.7);
    near(Reward::SOFT.of(0.7, 150.0, 75.0), 0.7 * 2f64.powf(-0.07));
    near(Reward::HARD.of(0.7, 30.0, 75.0), 0.7);
    near(Reward::HARD.of(0.7, 150.0, 75.0), 0.35);
    near(Reward::ABSOLUTE.of(0.7, 150.0, 75.0), 0.6);
    near(Reward::ABSOLUTE.of(0.7, 37.5, 75.0), 0.65);
    for reward in [Reward::SOFT, Reward::HARD, Reward::ABSOLUTE] {
        near(reward.of(0.6, 0.31, 0.2), reward.of(0.6, 310.0, 200.0));
    }
}

/// The latency that a policy has learnt to have, as a share of the target.
fn converged(surface: &Surface, reward: Reward, target: f64) -> f64 {
    let cost = |choices: &[usize]| surface.latency(choices);
    let adam = AdamSettings { rate: 0.05, beta1: 0.0, beta2: 0.95, weight_decay: 0.0 };
    let settings = ReinforceSettings { reward, evaluations: 12_000, batch: 8, adam, ..Default::default() };
    let mut controller = Reinforce::new(problem(surface, &cost, target), settings, 1);
    run(surface, &mut controller);
    let policy = controller.policy();
    let ms = (0..policy.logits.len()).flat_map(|place| {
        policy.probabilities(place).into_iter().zip(&surface.latency[place]).map(|(p, ms)| p * ms)
    });
    ms.sum::<f64>() / target
}

#[test]
fn the_absolute_reward_hits_its_target_over_the_whole_range_and_the_product_does_not() {
    // So many places that there are networks of every latency.
    let surface = Surface { noise: 0.0, ..Surface::of(16, 2) };
    let ends = |of: fn(f64, f64) -> f64, start: f64| -> f64 {
        surface.latency.iter().map(|list| list.iter().copied().fold(start, of)).sum()
    };
    let [least, most] = [ends(f64::min, f64::MAX), ends(f64::max, 0.0)];
    let targets = (1..=5).map(|step| least + (most - least) * f64::from(step) / 6.0);
    let mut products = Vec::new();
    for target in targets {
        let ratio = converged(&surface, Reward::Absolute { weight: 1.0 }, target);
        assert!((ratio - 1.0).abs() <= 0.02, "{ratio} of {target} ms");
        products.push(converged(&surface, Reward::SOFT, target));
    }
    println!("of the product's targets: {products:.3?}");
    assert!(products.iter().any(|ratio| (ratio - 1.0).abs() > 0.1), "{products:?}");
}
