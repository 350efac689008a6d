//! Every method finds one of the best networks.

use cygnet_search::controller::gumbel::{Pair, expected, pair};
use cygnet_search::controller::knapsack::{Offer, select};
use cygnet_search::controller::{
    Adam, AdamSettings, Controller, Evolution, EvolutionSettings, LatencyLoss, Policy, Ppo, PpoSettings,
    Problem, Random, Reinforce, ReinforceSettings, best,
};

use super::{OPTIONS, PLACES, Surface, problem, run};

const EVALUATIONS: usize = 500;

/// How many of 100 surfaces' networks that a method finds are among the best hundredth, and how far they are from the
/// best on average.
fn found(method: impl Fn(&Surface, Problem<'_>, u64) -> Option<Vec<usize>>) -> (usize, f64) {
    let (mut hits, mut regret) = (0, 0.0);
    for seed in 0..100 {
        let surface = Surface::new(seed);
        let limit = surface.median();
        let all = surface.feasible(limit);
        let cost = |choices: &[usize]| surface.latency(choices);
        let Some(choices) = method(&surface, problem(&surface, &cost, limit), seed) else { continue };
        assert!(surface.latency(&choices) <= limit, "{choices:?} is too slow");
        let quality = surface.quality(&choices);
        hits += usize::from(quality >= all[all.len() / 100]);
        regret += (all[0] - quality) / 100.0;
    }
    (hits, regret)
}

fn of(surface: &Surface, problem: Problem<'_>, controller: &mut dyn Controller) -> Option<Vec<usize>> {
    let trials = run(surface, controller);
    assert!(trials.len() <= EVALUATIONS);
    best(&problem, &trials).map(|trial| trial.proposal.choices.clone())
}

#[test]
fn evolution_and_policies_find_one_of_the_best_hundredth_in_95_of_100() {
    let (random, random_regret) =
        found(|surface, problem, seed| of(surface, problem, &mut Random::new(problem, EVALUATIONS, seed)));
    println!("random search: {random} of 100, regret {random_regret:.5}");
    let evolution = found(|surface, problem, seed| {
        let settings = EvolutionSettings { evaluations: EVALUATIONS, ..Default::default() };
        of(surface, problem, &mut Evolution::new(problem, settings, seed))
    });
    let ppo = found(|surface, problem, seed| {
        let settings = PpoSettings { evaluations: EVALUATIONS, ..Default::default() };
        of(surface, problem, &mut Ppo::new(problem, settings, seed))
    });
    let reinforce = found(|surface, problem, seed| {
        let settings = ReinforceSettings { evaluations: EVALUATIONS, ..Default::default() };
        of(surface, problem, &mut Reinforce::new(problem, settings, seed))
    });
    for (name, (hits, regret)) in [("evolution", evolution), ("ppo", ppo), ("reinforce", reinforce)] {
        println!("{name}: {hits} of 100, regret {regret:.5}");
        assert!(hits >= 95, "{name} finds one of the best in {hits} of 100");
        assert!(regret < random_regret, "{name} is as far from the best as random search: {regret}");
    }
}

#[test]
fn few_evaluations_of_evolution_are_worth_more_than_as_many_random_ones() {
    let few = 100;
    let (_, random) =
        found(|surface, problem, seed| of(surface, problem, &mut Random::new(problem, few, seed)));
    let (_, evolution) = found(|surface, problem, seed| {
        let settings = EvolutionSettings { population: 20, evaluations: few, ..Default::default() };
        of(surface, problem, &mut Evolution::new(problem, settings, seed))
    });
    println!("regret after {few}: random {random:.5}, evolution {evolution:.5}");
    assert!(evolution <= random * 2.0 / 3.0, "{evolution} of {random}");
}

/// ProxylessNAS' two sampled paths on the surface's own gradient, TF-NAS' latency loss, and selections by knapsack.
fn two_paths(surface: &Surface, problem: Problem<'_>, seed: u64) -> Option<Vec<usize>> {
    const DERIVED: usize = 10;
    let mut policy = Policy::new(&surface.space);
    let settings = AdamSettings { rate: 0.05, beta1: 0.0, beta2: 0.99, weight_decay: 0.0 };
    let mut adam = Adam::new(settings, &policy.logits);
    for step in 0..(EVALUATIONS - DERIVED) as u64 {
        let drawn: Vec<Pair> = (0..PLACES)
            .map(|place| pair(&policy.logits[place], [seed, step, place as u64]).unwrap())
            .collect();
        let all: Vec<Vec<f64>> = (0..PLACES).map(|place| policy.probabilities(place)).collect();
        let ms = expected(&all, &surface.latency);
        let (_, [_, by_ms]) = LatencyLoss::TF_NAS.of(0.0, ms, problem.limit).unwrap();
        let mut gradient = policy.zeros();
        for (place, two) in drawn.iter().enumerate() {
            let by_weight = two.options.map(|option| {
                let with = |other: Option<&Pair>, pair: &dyn Fn(usize) -> f64| {
                    other.map_or(0.0, |other| {
                        other.options.iter().zip(other.weights).map(|(&option, m)| m * pair(option)).sum()
                    })
                };
                let before = with(place.checked_sub(1).map(|at| &drawn[at]), &|other| {
                    surface.pairs[place - 1][other][option]
                });
                let after = with(drawn.get(place + 1), &|other| surface.pairs[place][option][other]);
                let noise = surface.noise
                    * cygnet_image::Rng::keyed(&[seed, step, place as u64, option as u64, 9]).normal();
                by_ms * surface.latency[place][option]
                    - (surface.quality[place][option] + before + after + noise)
            });
            let by_logits = two.backward(by_weight);
            two.options.iter().zip(by_logits).for_each(|(&option, g)| gradient[place][option] = g);
        }
        let before: Vec<[f64; 2]> = drawn
            .iter()
            .enumerate()
            .map(|(place, two)| two.options.map(|option| policy.logits[place][option]))
            .collect();
        adam.descend(&mut policy.logits, &gradient);
        for (place, two) in drawn.iter().enumerate() {
            two.keep_others(&mut policy.logits[place], before[place]);
        }
    }
    let microseconds = |ms: f64| (1e3 * ms).ceil() as u64;
    let offer = |place: usize, option: usize| Offer {
        value: policy.probabilities(place)[option].ln(),
        cost: microseconds(surface.latency[place][option]),
    };
    let sets: Vec<Vec<Offer>> =
        (0..PLACES).map(|place| (0..OPTIONS).map(|option| offer(place, option)).collect()).collect();
    let derived = select(&sets, (1e3 * problem.limit) as u64, DERIVED);
    let seen = |choices: &[usize]| surface.seen(choices);
    derived.into_iter().map(|selection| selection.options).max_by(|a, b| seen(a).total_cmp(&seen(b)))
}

#[test]
fn gradients_of_two_paths_with_exact_selection_find_one_of_the_best_hundredth_in_95_of_100() {
    let (hits, regret) = found(two_paths);
    println!("two paths: {hits} of 100, regret {regret:.5}");
    assert!(hits >= 95, "{hits} of 100");
}

#[test]
fn a_selection_is_the_best_there_is() {
    for seed in 0..20 {
        let surface = Surface::new(seed);
        let cost = |place: usize, option: usize| (1e3 * surface.latency[place][option]) as u64;
        let offer = |place: usize, option: usize| Offer {
            value: surface.quality[place][option],
            cost: cost(place, option),
        };
        let sets: Vec<Vec<Offer>> =
            (0..PLACES).map(|place| (0..OPTIONS).map(|option| offer(place, option)).collect()).collect();
        let value =
            |choices: &[usize]| -> f64 { (0..PLACES).map(|place| sets[place][choices[place]].value).sum() };
        let total =
            |choices: &[usize]| -> u64 { (0..PLACES).map(|place| sets[place][choices[place]].cost).sum() };
        for budget in [0, 900, 2000, 3300, 9000] {
            let mut all: Vec<f64> = surface
                .space
                .all()
                .filter(|choices| total(choices) <= budget)
                .map(|choices| value(&choices))
                .collect();
            all.sort_by(|a, b| b.total_cmp(a));
            let best = select(&sets, budget, 7);
            assert_eq!(best.len(), all.len().min(7), "budget {budget}");
            for (selection, wanted) in best.iter().zip(all) {
                assert!((selection.value - wanted).abs() < 1e-12 && selection.cost <= budget);
                assert_eq!(selection.cost, total(&selection.options));
                assert!((value(&selection.options) - wanted).abs() < 1e-12);
            }
        }
    }
    assert!(select(&[Vec::new()], 5, 1).is_empty());
    assert_eq!(select(&[], 5, 3).len(), 1);
    let huge = vec![vec![Offer { value: 1.0, cost: u64::MAX }; 2]; 3];
    assert!(select(&huge, u64::MAX - 1, 1).is_empty());
}
