//! Timing networks of a space until a table knows their steps.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_latency::{
    Clocked, Device, Fit, Growing, Measured, Predictor, Protocol, Role, StepTable, Work, clocked,
};
use cygnet_runtime::{Plan, PlanOptions};

use super::{Draw, LatencyError, Space, work_of};
use crate::bench::{Subject, random_image};

/// What is built.
#[derive(Clone, Copy)]
pub struct Building<'s> {
    /// Where networks come from.
    pub space: &'s dyn Space,
    /// Height and width of their images.
    pub image: usize,
    /// Threads that work on an image.
    pub threads: usize,
    /// How networks are planned.
    pub plan: PlanOptions,
    /// Whether a table that is there is begun anew.
    pub anew: bool,
    /// How networks are timed.
    pub protocol: Protocol,
    /// When no more networks are timed if there are enough, and when none is in any case: but for a few that are always.
    pub time: [Duration; 2],
    /// Networks that are enough, and networks at most.
    pub networks: [usize; 2],
}

impl Building<'_> {
    /// The usual: within three minutes on a machine that has nothing else to do, and within five on any.
    #[must_use]
    pub fn new(space: &dyn Space, image: usize, threads: usize, plan: PlanOptions) -> Building<'_> {
        Building {
            space,
            image,
            threads,
            plan,
            anew: false,
            protocol: Protocol::default(),
            time: [150, 300].map(Duration::from_secs),
            networks: [36, 240],
        }
    }
}

/// How far a table is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Networks that were timed.
    pub networks: usize,
    /// Different steps among them.
    pub steps: usize,
    /// The share of the work that is done.
    pub share: f64,
}

/// A table that was built.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The table.
    pub table: StepTable,
    /// What was fitted for the space and images.
    pub fit: Fit,
    /// Networks that were timed now; none if the table was there.
    pub timed: usize,
    /// Whether the time was over before there were enough networks, or the machine had other work while half of them were timed.
    pub is_short: bool,
}

/// Networks that are timed in turns.
const GROUP: usize = 12;

/// Draws among which the one is taken whose steps that are not known take the largest share.
const CANDIDATES: usize = 6;

/// Draws without a network after which there is none.
const MOST_DRAWS: u64 = 1000;

/// Of six networks in a row four are timed for their steps, one to fit the correction, one to check it.
const ROLES: [Role; 6] = [Role::Steps, Role::Steps, Role::Steps, Role::Fit, Role::Steps, Role::Check];

/// Builds the table of this device in a file, or goes on with one that is there. What was timed is in the file at once; whoever
/// ends this process loses some seconds.
///
/// # Errors
/// If the file cannot be written or is of another device, or nothing could be timed.
pub fn build(
    path: &Path,
    building: &Building<'_>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Built, LatencyError> {
    let Building { space, image, threads, plan, .. } = *building;
    let device = Device::this(plan, threads);
    let open = if building.anew { Growing::begin } else { Growing::open };
    let (mut file, mut table) = open(path, &device)?;
    let shape = |network: &&Measured| network.space == space.name() && network.image[1..] == [image, image];
    let is_of_images = |fit: &&Fit| fit.space == space.name() && fit.image[1..] == [image, image];
    if let Some(fit) = table.fits().iter().rev().find(is_of_images).cloned() {
        return Ok(Built { table, fit, timed: 0, is_short: false });
    }
    let start = Instant::now();
    let before = table.networks().iter().filter(shape).count();
    let mut number = table.networks().iter().filter(shape).map(|network| network.draw + 1).max().unwrap_or(0);
    let [usual, last] = building.time;
    let [enough, most] = building.networks;
    loop {
        let known = table.networks().iter().filter(shape).count();
        let by_time = start.elapsed().as_secs_f64() / usual.as_secs_f64().max(f64::MIN_POSITIVE);
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let is_over = start.elapsed() >= last && known > before;
        let done = by_time.min(share(known, enough)).max(share(known, most)).max(f64::from(is_over));
        let predictor = Predictor::new(&table);
        let steps = predictor.as_ref().map_or(0, Predictor::keys);
        watch(Progress { networks: known, steps, share: done.min(1.0) });
        if done >= 1.0 {
            break;
        }
        let group = group(building, known, &mut number, predictor.as_ref())?;
        for (drawn, clocked) in timed(&group, building, &mut || start.elapsed() < last)? {
            let Drawn { number, role, name, work, .. } = drawn;
            let network = Measured::new(space.name(), *number, name, *role, work, &clocked);
            file.network(&network)?;
            table.insert(network);
        }
    }
    let channels = table.networks().iter().find(shape).map_or(3, |network| network.image[0]);
    let fit = table.fit(space.name(), [channels, image, image]);
    let fit = fit.ok_or(LatencyError::NoNetworks { space: space.name().into(), image })?;
    file.fit(&fit)?;
    table.insert_fit(fit.clone());
    let all: Vec<&Measured> = table.networks().iter().filter(shape).collect();
    let disturbed = all.iter().filter(|network| network.disturbed).count();
    let is_short = all.len() < enough || 2 * disturbed > all.len();
    let timed = all.len() - before;
    Ok(Built { table, fit, timed, is_short })
}

/// A network to be timed.
pub(super) struct Drawn {
    pub(super) number: u64,
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) work: Work,
    draw: Draw,
}

/// The next networks to be timed.
fn group(
    building: &Building<'_>,
    known: usize,
    number: &mut u64,
    predictor: Option<&Predictor>,
) -> Result<Vec<Drawn>, LatencyError> {
    let mut group: Vec<Drawn> = Vec::new();
    for place in known..known + GROUP {
        let role = ROLES[place % ROLES.len()];
        let candidates = if role == Role::Steps { CANDIDATES } else { 1 };
        let mut drawn: Vec<Drawn> = Vec::new();
        for _ in 0..candidates {
            drawn.push(next(building.space, building.image, building.plan, role, number)?);
        }
        let unknown = |drawn: &Drawn| predictor.map_or(0.0, |predictor| predictor.unknown_share(&drawn.work));
        // The first of those that have the most.
        let best = drawn.into_iter().rev().max_by(|a, b| unknown(a).total_cmp(&unknown(b)));
        group.extend(best);
    }
    Ok(group)
}

/// The network of the next number that has one.
pub(super) fn next(
    space: &dyn Space,
    image: usize,
    plan: PlanOptions,
    role: Role,
    number: &mut u64,
) -> Result<Drawn, LatencyError> {
    for _ in 0..MOST_DRAWS {
        let this = *number;
        *number = number.saturating_add(1);
        if let Some(draw) = space.draw(this, image)
            && let Ok(work) = work_of(&draw.graph, plan)
        {
            return Ok(Drawn { number: this, role, name: draw.name.clone(), work, draw });
        }
    }
    Err(LatencyError::NoNetworks { space: space.name().into(), image })
}

/// Networks with what they took; none if `go_on` ended that early.
pub(super) fn timed<'d>(
    group: &'d [Drawn],
    building: &Building<'_>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<(&'d Drawn, Clocked)>, LatencyError> {
    let mut plans: Vec<(Arc<Plan>, Vec<f32>)> = Vec::with_capacity(group.len());
    for drawn in group {
        let plan = Subject::random(drawn.draw.graph.clone())?.plan(building.plan)?;
        plans.push((plan, random_image(&drawn.draw.graph)));
    }
    let times = clocked(&plans, building.threads, building.protocol, go_on)?;
    Ok(group.iter().zip(times).collect())
}
