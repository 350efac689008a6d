//! Random search, evolution and halving: what is evaluated, and resumption.

use std::collections::HashSet;
use std::convert::Infallible;

use cygnet_search::Space;
use cygnet_search::controller::{
    Controller, Evolution, EvolutionSettings, Halving, Ppo, PpoSettings, Problem, Proposal, Random,
    Reinforce, ReinforceSettings, Trial, best, resume, search,
};

use super::{Surface, problem, run};

#[test]
fn random_search_and_evolution_evaluate_what_is_feasible_once() {
    for name in ["fbnet", "cpu", "mnasnet"] {
        let space = Space::named(name).unwrap().for_image(32);
        // Any function of choices is a cost.
        let cost = |choices: &[usize]| choices.iter().sum::<usize>() as f64;
        let middle =
            space.decisions().iter().map(|decision| decision.options.len() as f64 - 1.0).sum::<f64>() * 0.4;
        let problem = Problem { space: &space, cost: &cost, limit: middle };
        let settings = EvolutionSettings { population: 20, evaluations: 150, ..Default::default() };
        let mut evolution = Evolution::new(problem, settings, 3);
        let mut random = Random::new(problem, 150, 3);
        let controllers: [&mut dyn Controller; 2] = [&mut evolution, &mut random];
        for controller in controllers {
            let score = |proposal: &Proposal| Ok::<f64, Infallible>(-cost(&proposal.choices));
            let trials = search(controller, score, |_| Ok(())).unwrap();
            let seen: HashSet<_> = trials.iter().map(|trial| &trial.proposal.choices).collect();
            assert_eq!((trials.len(), seen.len()), (150, 150), "{name}");
            for trial in &trials {
                assert!(problem.is_feasible(&trial.proposal.choices), "{name}");
                assert_eq!(
                    space.choices(&space.gene(&trial.proposal.choices)),
                    Some(trial.proposal.choices.clone())
                );
            }
        }
        assert_eq!(evolution.population().count(), 20);
    }
}

#[test]
fn the_oldest_dies_and_the_young_are_better_than_the_first() {
    let surface = Surface::new(4);
    let cost = |choices: &[usize]| surface.latency(choices);
    let problem = problem(&surface, &cost, surface.median());
    let settings = EvolutionSettings { population: 16, evaluations: 200, ..Default::default() };
    let mut evolution = Evolution::new(problem, settings, 1);
    let trials = run(&surface, &mut evolution);
    let last: Vec<_> =
        trials[200 - 16..].iter().map(|trial| (trial.proposal.choices.as_slice(), trial.score)).collect();
    assert_eq!(evolution.population().collect::<Vec<_>>(), last);
    let mean = |trials: &[Trial]| trials.iter().map(|trial| trial.score).sum::<f64>() / trials.len() as f64;
    assert!(mean(&trials[184..]) > mean(&trials[..16]) + 0.02);
}

#[test]
fn a_search_that_leaves_nothing_to_try_ends() {
    let surface = Surface::new(1);
    let cost = |choices: &[usize]| surface.latency(choices);
    let mut all: Vec<f64> = surface.space.all().map(|choices| surface.latency(&choices)).collect();
    all.sort_by(f64::total_cmp);
    for (limit, there) in [(0.0, 0), (all[1], 2)] {
        let problem = problem(&surface, &cost, limit);
        let settings = EvolutionSettings { evaluations: 50, ..Default::default() };
        assert!(run(&surface, &mut Evolution::new(problem, settings, 1)).len() <= there);
        let trials = run(&surface, &mut Random::new(problem, 50, 1));
        assert!(trials.len() <= there && best(&problem, &trials).is_none_or(|_| there > 0));
    }
}

#[test]
fn halving_evaluates_all_a_little_and_the_better_ones_more() {
    let candidates: Vec<Vec<usize>> = (0..9).map(|i| vec![i]).collect();
    let mut halving = Halving::new([candidates.clone(), candidates].concat(), [0, 2], 3);
    // At the first rung the last are the best, later the first.
    let score = |proposal: &Proposal| {
        let place = proposal.choices[0] as f64;
        Ok::<f64, Infallible>(if proposal.rung == 0 { place } else { -place })
    };
    let trials = search(&mut halving, score, |_| Ok(())).unwrap();
    let order: Vec<_> = trials.iter().map(|trial| (trial.proposal.rung, trial.proposal.choices[0])).collect();
    let first: Vec<_> = (0..9).map(|i| (0, i)).collect();
    assert_eq!(order[..9], first);
    assert_eq!(order[9..], [(1, 8), (1, 7), (1, 6), (2, 6)]);
    assert_eq!((halving.alive(), trials.len()), ([vec![6]].as_slice(), Halving::evaluations(9, 3, 3)));
    // Of equals the earlier ones stay, and what is no number goes first.
    let mut equal = Halving::new((0..4).map(|i| vec![i]).collect(), [0, 1], 2);
    for score in [f64::NAN, 0.5, 0.5, 0.5, 0.1, 0.2] {
        assert!(equal.propose().is_some());
        equal.learn(score);
    }
    assert!(equal.propose().is_none());
    assert_eq!(equal.alive(), [vec![2], vec![1]]);
    assert!(Halving::new(Vec::new(), [0, 3], 2).propose().is_none());
}

#[test]
fn a_search_that_is_told_its_log_again_goes_on_as_if_it_had_never_stopped() {
    let surface = Surface::new(8);
    let cost = |choices: &[usize]| surface.latency(choices);
    let problem = problem(&surface, &cost, surface.median());
    let evolution = EvolutionSettings { population: 8, evaluations: 60, ..Default::default() };
    let (ppo, reinforce) = (
        PpoSettings { evaluations: 60, batch: 8, ..Default::default() },
        ReinforceSettings { evaluations: 60, ..Default::default() },
    );
    let candidates: Vec<_> = surface.space.all().step_by(400).collect();
    let make = |which: usize, seed: u64| -> Box<dyn Controller + '_> {
        match which {
            0 => Box::new(Random::new(problem, 60, seed)),
            1 => Box::new(Evolution::new(problem, evolution.clone(), seed)),
            2 => Box::new(Ppo::new(problem, ppo.clone(), seed)),
            3 => Box::new(Reinforce::new(problem, reinforce.clone(), seed)),
            _ => Box::new(Halving::new(candidates.clone(), [0, 3], 2)),
        }
    };
    for which in 0..5 {
        let whole = run(&surface, make(which, 5).as_mut());
        for cut in [0, 1, 7, 8, 23, whole.len()] {
            let mut controller = make(which, 5);
            resume(controller.as_mut(), &whole[..cut]).unwrap();
            // Asking changes nothing.
            assert_eq!(controller.propose(), controller.propose());
            assert_eq!(run(&surface, controller.as_mut()), whole[cut..], "controller {which}, cut {cut}");
        }
        if which < 4 {
            let error = resume(make(which, 6).as_mut(), &whole).unwrap_err();
            assert!(
                error.trial < 30 && error.to_string().contains("give the space, method and seed"),
                "{error}"
            );
        }
    }
}
