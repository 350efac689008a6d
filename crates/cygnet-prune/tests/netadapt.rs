//! NetAdapt where accuracy and cost are known: accuracy a sum of concave functions of widths, cost linear in them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;

use cygnet_prune::netadapt::{Choice, Proposal, Proposals, Settings, Taken, netadapt};

/// Widths of blocks, of which the second and the third share one.
type Widths = [usize; 3];

const STEP: usize = 8;
const COSTS: [f64; 3] = [1.0, 2.0, 0.5];
const WORTH: [f64; 3] = [3.0, 3.0, 1.0];

fn cost(widths: &Widths) -> f64 {
    10.0 + widths.iter().zip(COSTS).map(|(&width, cost)| width as f64 * cost).sum::<f64>()
}

fn accuracy(widths: &Widths) -> f64 {
    widths.iter().zip(WORTH).map(|(&width, worth)| worth * (width as f64).sqrt()).sum()
}

#[derive(Default)]
struct Toy {
    asked: Vec<(usize, f64)>,
}

impl Proposals for Toy {
    type Network = Widths;
    type Error = Infallible;

    fn blocks(&self, widths: &Widths) -> usize {
        widths.len()
    }

    fn propose(
        &mut self,
        widths: &Widths,
        block: usize,
        most: f64,
    ) -> Result<Option<Proposal<Widths>>, Infallible> {
        self.asked.push((block, most));
        let mut network = *widths;
        while cost(&network) > most && network[block] > STEP {
            network[block] -= STEP;
        }
        let cost = cost(&network);
        Ok((cost <= most).then_some(Proposal { block, network, cost }))
    }

    fn adapt(&mut self, _: usize, proposal: &mut Proposal<Widths>) -> Result<f64, Infallible> {
        Ok(accuracy(&proposal.network))
    }
}

/// The widths after each step, by hand: the best of what each block alone can do.
fn by_hand(settings: &Settings, start: Widths) -> Vec<Widths> {
    let (mut widths, mut seen) = (start, Vec::new());
    let first = cost(&start);
    for step in 0..settings.steps {
        let most = (cost(&widths) - 0.025 * first * 0.96f64.powi(step as i32)).max(settings.budget);
        let smaller = (0..3).filter_map(|block| {
            let fits = |width: &usize| {
                let mut network = widths;
                network[block] = *width;
                cost(&network) <= most
            };
            let width = (1..=widths[block] / STEP).rev().map(|n| n * STEP).find(fits)?;
            let mut network = widths;
            network[block] = width;
            Some(network)
        });
        let best = smaller.reduce(|a, b| if accuracy(&b) > accuracy(&a) { b } else { a });
        let Some(best) = best.filter(|_| cost(&widths) > settings.budget) else { break };
        widths = best;
        seen.push(widths);
    }
    seen
}

#[test]
fn the_sequence_is_that_of_greedy_steps_by_hand() {
    let start = [256, 256, 256];
    let settings = Settings { steps: 100, ..Settings::published(300.0) };
    let (mut toy, mut seen, mut costs) = (Toy::default(), Vec::new(), vec![cost(&start)]);
    let begin = [cost(&start), accuracy(&start)];
    let last = netadapt(&settings, start, begin, &mut toy, &mut |widths, taken: Taken| {
        assert_eq!((taken.cost, taken.accuracy), (cost(widths), accuracy(widths)));
        costs.push(taken.cost);
        seen.push(*widths);
        true
    })
    .unwrap();
    assert_eq!(seen, by_hand(&settings, start));
    assert_eq!(seen.last(), Some(&last));
    assert!(costs.windows(2).all(|pair| pair[1] < pair[0]), "{costs:?}");
    assert!(cost(&last) <= settings.budget);
}

#[test]
fn steps_become_smaller_as_published_and_stay_equal_in_mobilenet_v3() {
    let published = Settings::published(0.0);
    assert!((published.saving(200.0, 0) - 5.0).abs() < 1e-9);
    assert!((published.saving(200.0, 2) - 5.0 * 0.96 * 0.96).abs() < 1e-9);
    let v3 = Settings::mobilenet_v3(0.0);
    assert_eq!((v3.saving(200.0, 0), v3.saving(200.0, 300)), (2.0, 2.0));
}

#[test]
fn choices_differ_where_accuracy_and_savings_do() {
    let first = |choice| {
        let settings = Settings { choice, steps: 1, ..Settings::published(0.0) };
        let start = [64, 64, 64];
        let mut block = None;
        netadapt(&settings, start, [cost(&start), accuracy(&start)], &mut Toy::default(), &mut |_, taken| {
            block = Some(taken.block);
            true
        })
        .unwrap();
        block.unwrap()
    };
    // 6 of 234 have to go: a step of the first saves 8, of the second 16, two of the third 8.
    assert_eq!(first(Choice::Accuracy), 2);
    assert_eq!(first(Choice::Ratio), 1);
    assert_eq!(first(Choice::Change), 1);
}

#[test]
fn it_ends_where_no_block_can_shrink_or_when_it_is_told_to() {
    let start = [8, 8, 8];
    let mut count = 0;
    let stays = netadapt(&Settings::published(1.0), start, [38.0, 1.0], &mut Toy::default(), &mut |_, _| {
        count += 1;
        true
    });
    assert_eq!((stays.unwrap(), count), (start, 0));
    let start = [256, 256, 256];
    let mut toy = Toy::default();
    netadapt(&Settings::published(1.0), start, [cost(&start), 1.0], &mut toy, &mut |_, _| false).unwrap();
    assert_eq!(toy.asked.len(), 3);
}
