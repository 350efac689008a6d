//! Things are timed in rounds, and rounds that something disturbed do not count; no real time is looked at.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use cygnet_graph::{Conv, Graph};
use cygnet_latency::{Machine, Protocol, Rounds, clocked, in_rounds};
use cygnet_runtime::{Level, Plan};

/// A machine whose time and speed are set.
struct Made<'a> {
    now: &'a Cell<f64>,
    speeds: &'a dyn Fn(usize) -> f64,
    looks: usize,
}

impl Machine for Made<'_> {
    fn now(&mut self) -> Duration {
        Duration::from_secs_f64(self.now.get() / 1e3)
    }

    fn speed(&mut self) -> f64 {
        self.looks += 1;
        (self.speeds)((self.looks - 1) / 2)
    }
}

const PROTOCOL: Protocol = Protocol {
    rounds: 5,
    most_rounds: 12,
    slice: Duration::from_millis(20),
    runs: [6, 40],
    steady: 0.03,
    spread: 0.02,
};

/// Rounds of two things on a machine whose speed in a round is set; `ms` says what a run of one of them takes in a round.
fn made(speeds: &dyn Fn(usize) -> f64, ms: &dyn Fn(usize, usize, usize) -> f64, last: usize) -> Rounds {
    let now = Cell::new(0.0);
    let mut machine = Made { now: &now, speeds, looks: 0 };
    let (mut round, mut runs, mut before) = (0, 0, 1);
    let mut run = |thing: usize| {
        round += usize::from(thing < before);
        runs = if thing == before { runs + 1 } else { 0 };
        before = thing;
        let ms = ms(thing, round - 1, runs);
        now.set(now.get() + ms);
        Ok::<_, ()>(vec![0.25 * ms, 0.75 * ms])
    };
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        asked <= last
    };
    in_rounds(&mut machine, 2, PROTOCOL, &mut go_on, &mut run).unwrap()
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

#[test]
fn quiet_rounds_end_as_soon_as_there_are_enough() {
    // Now and then a run takes much longer.
    let ms = |thing: usize, _: usize, run: usize| [2.0, 0.5][thing] * if run % 4 == 3 { 9.0 } else { 1.0 };
    let rounds = made(&|_| 100.0, &ms, usize::MAX);
    assert_eq!((rounds.kept, rounds.is_disturbed), (5, false));
    assert!(near(rounds.spread(), 0.0) && near(rounds.speed, 100.0), "{rounds:?}");
    for (times, wanted) in rounds.times.iter().zip([[0.5, 1.5], [0.125, 0.375]]) {
        assert!(times.iter().zip(wanted).all(|(time, wanted)| near(*time, wanted)), "{rounds:?}");
    }
}

#[test]
fn rounds_that_find_the_machine_slower_do_not_count() {
    // Two rounds of seven are slow, as the probe sees.
    let slow = |round: usize| round == 1 || round == 3;
    let ms = |thing: usize, round: usize, _: usize| [2.0, 0.5][thing] * if slow(round) { 1.4 } else { 1.0 };
    let rounds = made(&|round| if slow(round) { 71.0 } else { 100.0 }, &ms, usize::MAX);
    assert_eq!((rounds.kept, rounds.is_disturbed), (5, false));
    assert!(near(rounds.times[0].iter().sum(), 2.0) && near(rounds.spread(), 0.0), "{rounds:?}");
    // Where all are disturbed the steadiest count, and that is told.
    let rounds = made(&|round| 100.0 - 7.0 * round as f64, &|_, _, _| 1.0, usize::MAX);
    assert!(rounds.is_disturbed && rounds.kept == 5, "{rounds:?}");
}

#[test]
fn rounds_go_on_while_they_are_far_from_each_other() {
    let ms = |thing: usize, round: usize, _: usize| {
        [2.0, 0.5][thing] * if round.is_multiple_of(2) { 1.0 } else { 1.2 }
    };
    let rounds = made(&|_| 100.0, &ms, usize::MAX);
    assert_eq!((rounds.kept, rounds.is_disturbed), (12, false));
    assert!(near(rounds.spread(), 0.2 / 1.2) || near(rounds.spread(), 0.2), "{rounds:?}");
}

#[test]
fn whoever_ends_it_gets_the_rounds_that_are_complete() {
    let ms = |thing: usize, _: usize, _: usize| [2.0, 0.5][thing];
    for (last, kept) in [(0, 1), (1, 1), (3, 2), (4, 3)] {
        let rounds = made(&|_| 100.0, &ms, last);
        assert!(rounds.kept == kept && rounds.is_disturbed, "{last} {rounds:?}");
    }
}

#[test]
fn networks_are_clocked_step_by_step() {
    let graph = Graph::build("net", [3, 16, 16], |net, image| {
        net.at("fc").linear(net.at("conv").conv(image, Conv::new(8, 3)).relu().global_avg_pool(), 2)
    });
    let graph = graph.unwrap();
    let weights: Vec<Vec<f32>> =
        graph.params().iter().map(|param| vec![0.1; param.shape.iter().product()]).collect();
    let plan = Arc::new(Plan::new(graph, &weights, Level::best()).unwrap());
    let networks = vec![(Arc::clone(&plan), vec![0.5; 3 * 16 * 16]); 2];
    let quick = Protocol { rounds: 1, most_rounds: 1, slice: Duration::ZERO, runs: [2, 2], ..PROTOCOL };
    for threads in [1, 2] {
        let clocked = clocked(&networks, threads, quick, &mut || true).unwrap();
        assert_eq!(clocked.len(), 2);
        for network in clocked {
            assert_eq!(network.steps.len(), plan.steps().len() + 1, "the image's way in and every step");
            assert!(network.ms > 0.0 && network.steps.iter().all(|ms| *ms > 0.0), "{network:?}");
        }
    }
    assert_eq!(clocked(&networks, 1, PROTOCOL, &mut || false).unwrap().len(), 2);
    assert!(clocked(&[(plan, vec![0.5; 3])], 1, quick, &mut || true).is_err());
}
