//! What a model costs on this machine, beside the one that it was made of.

use std::sync::Arc;
use std::time::Duration;

use cygnet_latency::{Run, measure};
use cygnet_runtime::{Level, Plan, RunError};
use serde::{Deserialize, Serialize};

use crate::bench::random_image;
use crate::{Error, Model};

/// What a model is and takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Percent of pictures whose first guess is right.
    pub top1: f64,
    /// Milliseconds for an image on one thread.
    pub ms: f64,
    /// Milliseconds for an image on as many threads as pay.
    pub ms_all: f64,
    /// Learnt numbers.
    pub params: u64,
    /// Multiply-accumulates for an image.
    pub macs: u64,
    /// Bytes of the model file.
    pub bytes: u64,
    /// Bytes of memory for values and packed weights while it runs.
    pub peak_bytes: u64,
}

/// Time for each plan of a comparison that a choice depends on.
const QUICK: Duration = Duration::from_millis(200);

/// The same of one that is told.
const THOROUGH: Duration = Duration::from_millis(800);

/// A model that others are measured beside.
pub(super) struct Clock {
    plan: Arc<Plan>,
    image: Vec<f32>,
}

impl Clock {
    pub(super) fn of(model: &Model) -> Result<Clock, Error> {
        Ok(Clock { plan: model.plan()?, image: random_image(&model.graph) })
    }

    /// The time of a plan as a share of that of the model.
    pub(super) fn share(&self, plan: Arc<Plan>, threads: Option<usize>) -> Result<f64, Error> {
        let ms = self.times(plan, threads, QUICK)?;
        Ok(ms[1] / ms[0])
    }

    /// The milliseconds of the model and of a plan, run in turns.
    fn times(
        &self,
        plan: Arc<Plan>,
        threads: Option<usize>,
        duration: Duration,
    ) -> Result<[f64; 2], RunError> {
        let run = Run { threads, images: &self.image, duration };
        let times = measure(&[Arc::clone(&self.plan), plan], run)?;
        Ok([times.ms[0], times.ms[1]])
    }

    /// The figures of a model.
    pub(super) fn figures(&self, model: &Model, top1: f64) -> Result<Figures, Error> {
        let [_, figures] = self.measured(model, top1)?;
        Ok(figures)
    }

    /// Of the model whose figures are `known` those of now, and those of one that is measured beside it.
    pub(super) fn beside(
        &self,
        known: &Figures,
        model: &Model,
        top1: f64,
    ) -> Result<(Figures, Figures), Error> {
        let [ours, figures] = self.measured(model, top1)?;
        Ok((Figures { ms: ours.ms, ms_all: ours.ms_all, ..known.clone() }, figures))
    }

    fn measured(&self, model: &Model, top1: f64) -> Result<[Figures; 2], Error> {
        let plan = model.plan()?;
        let one = self.times(Arc::clone(&plan), Some(1), THOROUGH)?;
        let all = self.times(Arc::clone(&plan), None, THOROUGH)?;
        let cost = model.graph.cost();
        let program = plan.program();
        let figures = Figures {
            top1,
            ms: one[1],
            ms_all: all[1],
            params: cost.params,
            macs: cost.macs,
            bytes: file_bytes(model)?,
            peak_bytes: (program.arena_bytes() + program.weight_bytes()) as u64,
        };
        Ok([Figures { ms: one[0], ms_all: all[0], ..figures.clone() }, figures])
    }
}

/// Bytes of a model's file.
pub(super) fn file_bytes(model: &Model) -> Result<u64, Error> {
    let numbers = crate::quantize::bytes(model) as u64;
    let graph = model.graph.to_json().to_string().len();
    let labels: usize = model.labels.iter().map(|label| label.len() + 3).sum();
    // The header names each tensor with its shape and place.
    let names: usize = model.weights.iter().map(|(name, _)| name.len() + HEADER_ENTRY).sum();
    Ok(numbers + (graph + labels + names + RECORD) as u64)
}

/// Bytes of a tensor's entry in a file's header beside its name, and of a model's record beside graph and labels, at most.
const HEADER_ENTRY: usize = 80;
const RECORD: usize = 6 << 10;

/// The plan of a graph of any weights.
pub(super) fn plan_of(model: &Model) -> Result<Arc<Plan>, Error> {
    model.plan_with(Level::chosen().map_err(RunError::Plan)?.into())
}
