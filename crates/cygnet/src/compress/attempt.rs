//! One attempt: channels are cut for a goal, what is left learns, and is measured.

use std::path::Path;
use std::time::{Duration, Instant};

use cygnet_graph::{Channels, Graph};
use cygnet_prune::{Budget, by_cost, importance};
use cygnet_runtime::cpu;
use cygnet_train::{self as train, Callback, Recipe, State, Teacher, TrainOptions, Trainee, Trainer};
use cygnet_weights::Origin;

use super::figures::{Clock, file_bytes, plan_of};
use super::pictures::Pictures;
use super::predict::{Rates, level};
use super::work::Work;
use super::{Compressing, Figures, Goal, Method, Tried, fits};
use crate::model::misfit;
use crate::train::name_of;
use crate::{Error, Model, Quantizing};

/// What attempts are made of.
pub(super) struct Attempt<'a> {
    pub(super) model: &'a Model,
    pub(super) how: &'a Compressing,
    pub(super) recipe: &'a Recipe,
    pub(super) pictures: &'a Pictures,
    pub(super) clock: &'a Clock,
    pub(super) before: &'a Figures,
    pub(super) data: &'a Path,
    pub(super) began: Instant,
}

/// How an attempt ended.
pub(super) enum Ended {
    Done(Tried),
    Interrupted,
}

/// How often a choice is made again for a time that was missed.
const CORRECTIONS: usize = 4;

/// Less than its share of a goal is aimed at, as measurements differ.
const MARGIN: f64 = 0.98;

/// Time for what comes after a training.
const AFTER: Duration = Duration::from_secs(6);

impl Attempt<'_> {
    /// Makes the next of those in the folder, or goes on with it.
    pub(super) fn make(
        &self,
        goal: Goal,
        work: &Work,
        callback: &mut dyn Callback,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Ended, Error> {
        let number = work.tried().len();
        let mut model = self.model.clone();
        if self.how.methods.contains(&Method::Prune) {
            let path = work.cut(number);
            let cut = if path.exists() {
                Model::open(&path)?
            } else {
                let cut = self.cut(goal, tell)?;
                cut.write(&path)?;
                cut
            };
            if cut.graph.cost().params < model.graph.cost().params {
                tell("learning");
                match self.learnt(cut, work, number, callback)? {
                    Some(learnt) => model = learnt,
                    None => return Ok(Ended::Interrupted),
                }
            }
        }
        if self.how.methods.contains(&Method::Int8) {
            let limits = self.how.limits;
            let drop = self.how.drop.unwrap_or(100.0);
            let how = Quantizing { drop, threads: self.how.threads.get(), limits, ..Quantizing::default() };
            model = crate::quantize(&model, Some(self.data), &how, tell)?.model;
        }
        tell("measuring");
        let top1 = self.pictures.top1(&model, self.how.threads)?;
        work.keep(number, &model)?;
        let (before, figures) = self.clock.beside(self.before, &model, top1)?;
        let lost = before.top1 - top1;
        let fits = fits(self.how, &before, &figures);
        Ok(Ended::Done(Tried { aim: goal.name(), figures, lost, fits }))
    }

    /// The network without the channels that are missed least for what they cost.
    fn cut(&self, goal: Goal, tell: &mut dyn FnMut(&str)) -> Result<Model, Error> {
        tell("ranking channels");
        let (model, how) = (self.model, self.how);
        let graph = model.graph.without_softmax()?;
        let channels = Channels::of(&graph);
        let ranks = match how.ranked.criterion() {
            Some(criterion) => importance(&channels, &model.weights, criterion)?,
            None => self.pictures.importance(&channels, model, how.threads)?,
        };
        tell("choosing what is cut");
        let smaller = |cut: &[bool]| {
            let cut = channels.cut(cut)?;
            let weights = model.weights.cut(&cut.selections).map_err(misfit(&graph))?;
            Ok::<_, Error>(Model { graph: cut.graph, weights, accuracy: None, ..model.clone() })
        };
        let choose = |cost: &mut dyn FnMut(&Graph) -> f64, most: f64| {
            smaller(&by_cost(&channels, &ranks, Budget::of(most), cost)?)
        };
        match goal {
            Goal::Macs(macs) => choose(&mut |graph| graph.cost().macs as f64, macs as f64),
            Goal::Size(bytes) => {
                let rest = file_bytes(model)?.saturating_sub(size(&model.graph) as u64);
                choose(&mut size, bytes.saturating_sub(rest) as f64)
            }
            Goal::Latency(ms) => {
                let rates = Rates::of(&*plan_of(&Model { graph: graph.clone(), ..model.clone() })?)?;
                let whole = rates.ms(&graph);
                let wanted = MARGIN * ms / self.before.ms;
                let mut aimed = wanted;
                let mut best: Option<(f64, Model)> = None;
                for _ in 0..CORRECTIONS {
                    let cut = choose(&mut |graph| rates.ms(graph), aimed * whole)?;
                    let share = self.clock.share(plan_of(&cut)?, Some(1))?;
                    let is_better = best.as_ref().is_none_or(|(other, _)| {
                        let [ours, theirs] = [share, *other].map(|share| share <= wanted);
                        if ours == theirs { (share < *other) != ours } else { ours }
                    });
                    if is_better {
                        best = Some((share, cut));
                    }
                    if share <= wanted && share > wanted * 0.95 {
                        break;
                    }
                    aimed *= wanted / share;
                }
                let Some((_, cut)) = best else { return smaller(&vec![false; channels.len()]) };
                Ok(cut)
            }
        }
    }

    /// A smaller network after it learnt; nothing if that was interrupted.
    fn learnt(
        &self,
        cut: Model,
        work: &Work,
        number: usize,
        callback: &mut dyn Callback,
    ) -> Result<Option<Model>, Error> {
        let files = work.run(number);
        let state = files.state().exists().then(|| State::read(&files.state())).transpose()?;
        let began = Instant::now();
        let time = self.how.time.map(|time| {
            let left = time.saturating_sub(self.began.elapsed() + work.spent());
            // Where only a loss is given more attempts follow.
            let shares = if self.how.goal.is_some() { 1 } else { 3usize.saturating_sub(number).max(1) };
            (left / shares as u32).max(Duration::from_secs(1))
        });
        let options = TrainOptions {
            level: level()?,
            out: Some(files.model.clone()),
            time,
            began,
            after: AFTER.min(time.unwrap_or_default() / 4),
            machine_bytes: cpu::memory_bytes().unwrap_or(u64::MAX),
            dataset: name_of(self.data),
            watch: self.how.watch.clone(),
            ..TrainOptions::new(self.how.threads)
        };
        let origin = Origin { network: Some(self.model.id.clone()), ..Origin::default() };
        let trainee = Trainee {
            id: cut.id,
            graph: cut.graph,
            weights: cut.weights,
            preprocess: cut.preprocess,
            licence: cut.licence,
            source: cut.source,
            origin,
            compression: cut.compression,
            notes: Vec::new(),
        };
        let taught = self.how.teacher.as_ref().unwrap_or(self.model);
        let [_, height, width] = self.model.graph.input_shape();
        let teacher = Teacher {
            graph: taught.graph.without_softmax()?.resized(height, width)?,
            weights: taught.weights.clone(),
            preprocess: taught.preprocess.clone(),
        };
        let data = self.pictures.data.clone();
        let mut trainer = Trainer::new(trainee, data, self.recipe.clone(), options)?.with_teacher(teacher)?;
        if let Some(state) = state {
            trainer = trainer.resume(state)?;
        }
        let outcome = trainer.run(callback)?;
        Ok((outcome.ended != train::Ended::Interrupted).then(|| outcome.into()))
    }
}

/// Bytes of a graph and its numbers in a file.
fn size(graph: &Graph) -> f64 {
    let params = graph.params();
    let numbers: usize = params.iter().map(|param| param.shape.iter().product::<usize>()).sum();
    (4 * numbers + graph.to_json().to_string().len()) as f64
}
