//! Predictions for networks that no table has seen, against their times.

use std::time::Duration;

use cygnet_latency::{Errors, Predictor, Protocol, Role};
use cygnet_runtime::PlanOptions;
use serde::Serialize;

use super::build::{next, timed};
use super::{Building, LatencyError, Space};

/// How far predictions are from times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// Errors, as shares of times.
    #[serde(flatten)]
    pub errors: Errors,
    /// The median of predictions over times, less one: whether they are too long or too short.
    pub bias: f64,
    /// Height and width of images.
    pub image: usize,
    /// How far apart rounds were, as a share: the median over networks.
    pub noise: f64,
    /// Whether the machine had other work while half of them were timed.
    pub disturbed: bool,
    /// Steps that no table knew, over all networks.
    pub missing_keys: usize,
    /// The networks, each with both times.
    #[serde(skip)]
    pub rows: Vec<Row>,
}

/// A network that was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What it is called.
    pub network: String,
    /// What was predicted.
    pub predicted_ms: f64,
    /// What it took.
    pub measured_ms: f64,
    /// Steps that were not in the table.
    pub missing_keys: usize,
}

/// Networks that are timed in turns.
const GROUP: usize = 10;

/// The first number of networks that are checked: what is built never comes as far.
const FIRST: u64 = 1 << 32;

/// Times networks of a space that were never drawn before, and compares predictions. `watch` gets the count of those that were.
///
/// # Errors
/// If a network does not run.
pub fn check(
    predictor: &Predictor,
    (space, image): (&dyn Space, usize),
    plan: PlanOptions,
    networks: usize,
    watch: &mut dyn FnMut(usize),
) -> Result<Checked, LatencyError> {
    let building = Building::new(space, image, predictor.device().threads, plan);
    let protocol = Protocol { slice: Duration::from_millis(30), ..building.protocol };
    let building = Building { protocol, ..building };
    let (mut number, mut rows, mut spreads, mut disturbed) = (FIRST, Vec::new(), Vec::new(), 0);
    while rows.len() < networks {
        let count = GROUP.min(networks - rows.len());
        let group = (0..count).map(|_| next(space, image, plan, Role::Check, &mut number));
        let group = group.collect::<Result<Vec<_>, _>>()?;
        for (drawn, clocked) in timed(&group, &building, &mut || true)? {
            let prediction = predictor.predict(&drawn.work);
            spreads.push(clocked.spread);
            disturbed += usize::from(clocked.is_disturbed);
            rows.push(Row {
                network: drawn.name.clone(),
                predicted_ms: prediction.ms,
                measured_ms: clocked.ms,
                missing_keys: prediction.missing_keys,
            });
        }
        watch(rows.len());
    }
    let off: Vec<f64> = rows.iter().map(|row| row.predicted_ms / row.measured_ms - 1.0).collect();
    Ok(Checked {
        errors: Errors::of(off.iter().map(|off| off.abs()).collect()),
        bias: median(off),
        image,
        noise: median(spreads),
        disturbed: 2 * disturbed > rows.len(),
        missing_keys: rows.iter().map(|row| row.missing_keys).sum(),
        rows,
    })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
