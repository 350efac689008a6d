//! Things timed in turns, in rounds: what disturbs a machine for a while hits all alike, and rounds that it hit are dropped.

use std::time::Duration;

use crate::measure::{Machine, rank};

/// How things are timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protocol {
    /// Rounds that count, at least.
    pub rounds: usize,
    /// Rounds at most, those that do not count too.
    pub most_rounds: usize,
    /// Time of each thing in a round, without a quarter more to warm up.
    pub slice: Duration,
    /// Runs of each thing in a round at least, and at most.
    pub runs: [usize; 2],
    /// How far apart the machine's speed before and after a round may be from what it usually is, as a share.
    pub steady: f64,
    /// How far apart rounds may be when no further ones are needed, as a share.
    pub spread: f64,
}

impl Default for Protocol {
    fn default() -> Protocol {
        Protocol {
            rounds: 5,
            most_rounds: 12,
            slice: Duration::from_millis(20),
            runs: [6, 40],
            steady: 0.03,
            spread: 0.02,
        }
    }
}

/// What things took.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounds {
    /// Of each thing the times of its parts: over rounds the median of what the fastest fifth of a round's runs took.
    pub times: Vec<Vec<f64>>,
    /// Of each thing how far apart rounds were, as a share: the quartiles of all its parts together.
    pub spreads: Vec<f64>,
    /// The machine's speed: the median before and after rounds.
    pub speed: f64,
    /// Rounds that count.
    pub kept: usize,
    /// Whether fewer rounds than wanted found the machine steady, so that others count too.
    pub is_disturbed: bool,
}

/// What a round found.
struct Round {
    speeds: [f64; 2],
    times: Vec<Vec<f64>>,
}

/// The fastest of so many runs of a round count, whose middle is the 10 % quantile.
const FASTEST: usize = 5;

impl Rounds {
    /// How far apart rounds were, as a share: the median over all things.
    #[must_use]
    pub fn spread(&self) -> f64 {
        if self.spreads.is_empty() { 0.0 } else { rank(&mut self.spreads.clone(), 2) }
    }
}

/// Times `count` things in rounds. `run` runs the thing of a number once and says what each of its parts took, in any unit, always
/// of as many. Rounds end when enough of them count and are near each other, at the most there may be, or, once one is complete, when
/// `go_on` says no.
///
/// # Errors
/// The first of `run`.
pub fn in_rounds<E>(
    machine: &mut dyn Machine,
    count: usize,
    protocol: Protocol,
    go_on: &mut dyn FnMut() -> bool,
    run: &mut dyn FnMut(usize) -> Result<Vec<f64>, E>,
) -> Result<Rounds, E> {
    let mut rounds: Vec<Round> = Vec::new();
    loop {
        let before = machine.speed();
        let mut times = Vec::with_capacity(count);
        for thing in 0..count {
            if !rounds.is_empty() && !go_on() {
                return Ok(summary(&rounds, protocol));
            }
            times.push(slice(machine, protocol, &mut || run(thing))?);
        }
        rounds.push(Round { speeds: [before, machine.speed()], times });
        let done = summary(&rounds, protocol);
        let is_done = !done.is_disturbed && done.spread() < protocol.spread;
        if is_done || rounds.len() >= protocol.most_rounds {
            return Ok(done);
        }
    }
}

/// Runs of one thing in one round.
fn slice<E>(
    machine: &mut dyn Machine,
    Protocol { slice, runs: [least, most], .. }: Protocol,
    run: &mut dyn FnMut() -> Result<Vec<f64>, E>,
) -> Result<Vec<f64>, E> {
    let start = machine.now();
    run()?;
    while machine.now() - start < slice / 4 {
        run()?;
    }
    let mut all: Vec<Vec<f64>> = Vec::new();
    let start = machine.now();
    while all.len() < least.max(1) || (all.len() < most && machine.now() - start < slice) {
        all.push(run()?);
    }
    Ok(fastest(all))
}

/// What the parts of the fastest runs took: their means, so that parts add up to their whole.
fn fastest(mut runs: Vec<Vec<f64>>) -> Vec<f64> {
    runs.sort_by(|a, b| a.iter().sum::<f64>().total_cmp(&b.iter().sum()));
    runs.truncate(runs.len().div_ceil(FASTEST));
    let parts = runs.first().map_or(0, Vec::len);
    (0..parts).map(|part| runs.iter().map(|run| run[part]).sum::<f64>() / runs.len() as f64).collect()
}

/// What rounds tell: of those that found the machine steady, or, of too few of them, of those that found it steadiest.
fn summary(rounds: &[Round], protocol: Protocol) -> Rounds {
    let mut speeds: Vec<f64> = rounds.iter().flat_map(|round| round.speeds).collect();
    let speed = rank(&mut speeds, 2);
    let unsteady =
        |round: &Round| round.speeds.map(|now| (now / speed - 1.0).abs()).into_iter().fold(0.0, f64::max);
    let mut sorted: Vec<(f64, &Round)> = rounds.iter().map(|round| (unsteady(round), round)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let steady = sorted.iter().filter(|(unsteady, _)| *unsteady <= protocol.steady).count();
    sorted.truncate(steady.max(protocol.rounds));
    let kept: Vec<&Round> = sorted.into_iter().map(|(_, round)| round).collect();
    let things = kept.first().map_or(&[][..], |round| &round.times[..]);
    let mut times = Vec::with_capacity(things.len());
    let mut spreads = Vec::with_capacity(things.len());
    for (thing, parts) in things.iter().enumerate() {
        let part = |part: usize| kept.iter().map(|round| round.times[thing][part]).collect::<Vec<f64>>();
        times.push((0..parts.len()).map(|index| rank(&mut part(index), 2)).collect());
        let mut wholes: Vec<f64> = kept.iter().map(|round| round.times[thing].iter().sum()).collect();
        wholes.sort_by(f64::total_cmp);
        let [low, middle, high] = [1, 2, 3].map(|quarter| wholes[(wholes.len() - 1) * quarter / 4]);
        spreads.push((high - low) / middle.max(f64::MIN_POSITIVE));
    }
    Rounds { times, spreads, speed, kept: kept.len(), is_disturbed: steady < protocol.rounds }
}
