//! The loop: batches, steps, evaluation, checkpoints.

use std::path::Path;
use std::time::{Duration, Instant};

use cygnet_engine::{Engine, EngineError, EngineOptions, Group, Optimizer, average};
use cygnet_graph::Graph;
use cygnet_image::{Batch, Rng, epoch_order};
use cygnet_weights::{Accuracy, ModelRecord, WeightSet, Weights};

use crate::budget::Budget;
use crate::callback::{Callback, Ended, EpochReport, RunInfo, StepReport};
use crate::checkpoint::{AVERAGE, Progress, State, Sums, WEIGHTS, write_model};
use crate::evaluate::{Examples, judge};
use crate::files::RunFiles;
use crate::int8::Int8;
use crate::memory::{divide, is_there};
use crate::metrics::{Metrics, Verdict};
use crate::numbers::Numbers;
use crate::recipe::Balance;
use crate::task::Task;
use crate::trainer::{Outcome, RoundingLoss, Trainee, Trainer};
use crate::{TrainError, checkpoint};

/// A run under way.
pub(crate) struct Run<'t> {
    trainer: &'t Trainer,
    task: &'t Task,
    progress: Progress,
    files: Option<RunFiles>,
    record: ModelRecord,
    engine: Engine,
    optimizer: Optimizer,
    /// Those of the graph, then scales if it learns with rounding.
    params: Weights,
    /// Running average of `params`; empty if there is none.
    averages: Weights,
    /// The network as its file has it, without auxiliary heads, and of that the part that learns.
    network: Graph,
    part: Graph,
    /// The best weights of this process, of that part, and their answers for the validation pictures.
    best: Option<(Numbers, Vec<Verdict>)>,
    gradients: Weights,
    batch: usize,
    parts: usize,
    memory_bytes: u64,
    budget: Budget,
    /// When this process last wrote the state.
    saved: Instant,
}

impl Trainer {
    /// Trains.
    ///
    /// # Errors
    /// If memory or time does not suffice, the loss diverges, a picture vanishes or a file cannot be written. The state
    /// written last remains.
    pub fn run(mut self, callback: &mut dyn Callback) -> Result<Outcome, TrainError> {
        self.check_time()?;
        let resumed = self.resumed.take();
        let files = self.options.out.as_ref().map(RunFiles::of);
        let state_path = files.as_ref().map(RunFiles::state).unwrap_or_default();
        self.int8 = self.rounding(resumed.as_ref(), &state_path)?;
        let record = self.record();
        let progress = match &resumed {
            Some(state) => state.progress.clone(),
            None => {
                let zeros = self.int8.as_ref().map(Int8::zeros).unwrap_or_default();
                let progress = Progress::new(self.recipe.clone(), record.clone(), self.data.fingerprint);
                Progress { zeros, replaces: files.as_ref().and_then(RunFiles::print_of_model), ..progress }
            }
        };
        if let Some(state) = &resumed {
            self.trainee.weights = state.weights(&state_path, &self.trainee.graph)?;
        }
        let task = Task::new(&self)?;
        let record = ModelRecord { graph: self.trainee.graph.without_auxiliary().to_json(), ..record };
        let mut run = Run::new(&self, &task, progress, files, record)?;
        match &resumed {
            Some(state) => run.restore(state, &state_path)?,
            None if run.trainer.int8.is_some() => run.judge_unrounded()?,
            None => {}
        }
        let ended = run.train(callback)?;
        run.outcome(ended)
    }
}

impl<'t> Run<'t> {
    fn new(
        trainer: &'t Trainer,
        task: &'t Task,
        progress: Progress,
        files: Option<RunFiles>,
        record: ModelRecord,
    ) -> Result<Run<'t>, TrainError> {
        let Trainer { recipe, options, trainee, int8, .. } = trainer;
        let groups: Vec<Group> =
            task.groups.iter().copied().chain(int8.iter().flat_map(Int8::groups)).collect();
        let batch = trainer.batch();
        let engine = |parts: usize| EngineOptions {
            threads: options.threads,
            level: options.level,
            frozen_batch_norm: task.frozen_batch_norm,
            batch_norm_momentum: recipe.batch_norm_momentum as f32,
            trainable: groups.iter().map(|group| group.trained).collect(),
            stochastic_depth: recipe.stochastic_depth as f32,
            auxiliary: recipe.auxiliary as f32,
            grids: int8.as_ref().map(|int8| int8.grids(&task.graph)).unwrap_or_default(),
            ..EngineOptions::new(batch / parts)
        };
        let (parts, memory_bytes) = divide(&task.graph, batch, options.memory_bytes, engine)?;
        if memory_bytes > options.machine_bytes || !is_there(memory_bytes) {
            let graph = task.graph.name().into();
            return Err(EngineError::Memory { graph, batch: batch / parts, bytes: memory_bytes }.into());
        }
        let mut params = trainee.weights.to_lists(&task.graph)?;
        params.extend(int8.iter().flat_map(|int8| int8.start.clone()));
        let lengths: Vec<usize> = params.iter().map(Vec::len).collect();
        let gradients = params
            .iter()
            .zip(&groups)
            .map(|(param, group)| vec![0.0; if group.trained { param.len() } else { 0 }])
            .collect();
        Ok(Run {
            engine: Engine::new(&task.graph, engine(parts))?,
            optimizer: Optimizer::new(recipe.optimizer.clone(), groups, &lengths),
            averages: if recipe.ema > 0.0 { params.clone() } else { Weights::new() },
            network: trainee.graph.without_auxiliary(),
            part: task.graph.without_auxiliary(),
            best: None,
            params,
            gradients,
            batch,
            parts,
            memory_bytes,
            budget: Budget::new(trainer, task)?,
            saved: Instant::now(),
            trainer,
            task,
            progress,
            files,
            record,
        })
    }

    pub(crate) fn restore(&mut self, state: &State, path: &Path) -> Result<(), TrainError> {
        let lists = self.lists();
        let is_trained: Vec<bool> = self.gradients.iter().map(|gradient| !gradient.is_empty()).collect();
        for (name, slot) in self.optimizer.slot_names().iter().zip(&mut self.optimizer.slots) {
            *slot = state.take(path, name, &lists, |index| is_trained[index])?;
        }
        self.optimizer.steps = self.progress.steps;
        if !self.averages.is_empty() {
            self.averages = state.take(path, AVERAGE, &lists, |_| true)?;
        }
        if self.trainer.int8.is_some() {
            self.params = state.take(path, WEIGHTS, &lists, |_| true)?;
        }
        Ok(())
    }

    /// The lists of numbers that are trained, as the state has them.
    fn lists(&self) -> Vec<(String, Vec<usize>)> {
        checkpoint::lists(&self.task.graph, self.trainer.int8.as_ref().map_or(&[], Int8::lens))
    }

    /// What is evaluated and stored.
    fn current(&self) -> Result<Numbers, TrainError> {
        let params = if self.averages.is_empty() { &self.params } else { &self.averages };
        if let Some(int8) = &self.trainer.int8 {
            return int8.integers(&self.part, params);
        }
        let weights = WeightSet::of(&self.task.graph, params.clone())?.part(&self.part)?;
        Ok(Numbers { weights, quantization: None })
    }

    /// The whole network's numbers, given those of the part that is trained.
    fn whole(&self, part: &Numbers) -> Numbers {
        let mut weights = self.trainer.trainee.weights.clone();
        part.weights.iter().for_each(|(name, tensor)| weights.insert(name, tensor.clone()));
        Numbers { weights, quantization: part.quantization.clone() }
    }

    fn seconds(&self) -> f64 {
        self.progress.seconds + self.budget.seconds()
    }

    /// The share of the time for steps that is used up.
    fn time_share(&self) -> f64 {
        self.budget.share(self.seconds())
    }

    /// Steps of an epoch.
    fn steps(&self) -> usize {
        self.trainer.steps()
    }

    /// The share of the run that lies behind after `step` of this epoch's `steps`, or of its time if that is more and does
    /// not suffice for all epochs.
    fn done(&self, step: usize, steps: usize) -> f64 {
        let by_steps = self.done_by_steps(step, steps);
        let evaluations = f64::from(self.trainer.recipe.epochs) - self.progress.epoch as f64 - 1.0;
        if self.budget.suffices(self.seconds(), by_steps, evaluations) {
            return by_steps.min(1.0);
        }
        by_steps.max(self.time_share()).min(1.0)
    }

    fn done_by_steps(&self, step: usize, steps: usize) -> f64 {
        let epochs = f64::from(self.trainer.recipe.epochs);
        (self.progress.epoch as f64 + step as f64 / steps as f64) / epochs
    }

    pub(crate) fn train(&mut self, callback: &mut dyn Callback) -> Result<Ended, TrainError> {
        let Trainer { data, recipe, options, .. } = self.trainer;
        let labels: Vec<usize> = data.train.samples().iter().map(|sample| sample.class).collect();
        let classes = data.classes.len();
        let (epochs, steps) = (u64::from(recipe.epochs), self.steps());
        callback.begin(&RunInfo {
            network: self.trainer.trainee.id.clone(),
            recipe: recipe.name.clone(),
            images: [labels.len(), data.validation.samples().len()],
            classes,
            auxiliary: self.task.graph.auxiliary().len(),
            trained_params: self.gradients.iter().map(Vec::len).sum(),
            epochs,
            steps,
            batch: self.batch,
            parts: self.parts,
            memory_bytes: self.memory_bytes,
            resumed_at: self.progress.epoch,
            resumed_step: self.progress.step,
        });
        match self.progress.ended {
            // There is more time now.
            Some(Ended::Time) if self.time_share() < 1.0 => self.progress.ended = None,
            Some(ended) => return Ok(ended),
            None => {}
        }
        let scale = match recipe.optimizer.rate_batch {
            0 => 1.0,
            batch => self.batch as f64 / batch as f64,
        };
        let (began, done_before) = (Instant::now(), self.done_by_steps(self.progress.step, steps));
        self.budget.begin(self.seconds(), done_before);
        while self.progress.epoch < epochs {
            let epoch = self.progress.epoch;
            let balanced = recipe.balance == Balance::Sampling;
            let order = epoch_order(&labels, classes, balanced, recipe.seed, epoch);
            let first = self.progress.step;
            let mut batches = self.task.batches(order, epoch, self.batch, first, options.threads);
            let rate_at = |run: &Self, step| {
                let at = run.done(step, steps) * epochs as f64;
                recipe.optimizer.rate * scale * recipe.schedule.factor(at, epochs as f64)
            };
            // An epoch whose steps were all made before it went on ends at the rate of the last.
            let mut rate = if first == 0 { 0.0 } else { rate_at(self, first - 1) };
            let mut is_time_up = false;
            let mut clock = Instant::now();
            for step in first..steps {
                let Some(batch) = batches.next() else { break };
                rate = rate_at(self, step);
                self.step(batch?, rate)?;
                self.progress.step = step + 1;
                let taken = clock.elapsed().as_secs_f64();
                clock = Instant::now();
                self.progress.sums.seconds += taken;
                self.budget.stepped(taken);
                let done = self.done_by_steps(step + 1, steps);
                let left = began.elapsed().as_secs_f64() * (1.0 - done) / (done - done_before);
                let Sums { loss, right, images, seconds } = self.progress.sums;
                let report = StepReport {
                    epoch: epoch + 1,
                    epochs,
                    step: step + 1,
                    steps,
                    loss: loss / images as f64,
                    accuracy: 100.0 * right as f64 / images as f64,
                    rate,
                    images_per_s: images as f64 / seconds.max(1e-9),
                    done: self.done(step + 1, steps),
                    seconds: self.seconds(),
                    left: self.budget.left(self.seconds()).unwrap_or(left).min(left),
                };
                if callback.step(&report).is_break() {
                    self.save()?;
                    return Ok(Ended::Interrupted);
                }
                is_time_up = self.time_share() >= 1.0;
                if is_time_up {
                    break;
                }
                if self.saved.elapsed() >= options.save_every && step + 1 < steps {
                    self.save()?;
                }
            }
            drop(batches);
            let ended = self.end_epoch(callback, rate)?;
            let is_time_up = is_time_up || self.time_share() >= 1.0;
            let is_whole = self.progress.history.last().is_none_or(|epoch| epoch.share >= 1.0);
            let is_last = self.progress.epoch == epochs && is_whole;
            let ended = ended.or(is_last.then_some(Ended::Finished)).or(is_time_up.then_some(Ended::Time));
            self.progress.ended = ended;
            // The first model is not left without a state from which its run goes on.
            let is_first = self.files.as_ref().is_some_and(|files| !files.state().exists());
            let is_due = self.saved.elapsed() >= options.save_every.min(Duration::from_secs(1));
            if ended.is_some() || is_first || is_due {
                self.save()?;
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
        Ok(Ended::Finished)
    }

    fn step(&mut self, mut batch: Batch, rate: f64) -> Result<(), TrainError> {
        let Trainer { data, recipe, .. } = self.trainer;
        let classes = data.classes.len();
        if recipe.balance == Balance::Weights {
            for (row, &label) in batch.targets.chunks_exact_mut(classes).zip(&batch.labels) {
                row.iter_mut().for_each(|target| *target *= data.class_weights[label]);
            }
        }
        self.gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        let int8 = self.trainer.int8.as_ref();
        let mut rounded = int8.map(|int8| int8.rounded(&self.task.graph, &self.params)).transpose()?;
        let part = self.batch / self.parts;
        let length = batch.images.len() / self.batch;
        let (images, targets) =
            (batch.images.chunks_exact(part * length), batch.targets.chunks_exact(part * classes));
        for (number, (images, targets)) in images.zip(targets).enumerate() {
            let seed = Rng::keyed(&[recipe.seed, self.progress.steps, number as u64]).state;
            let scale = 1.0 / self.parts as f32;
            let params = rounded.as_mut().unwrap_or(&mut self.params);
            let outcome = self.engine.step(params, images, targets, seed, &mut self.gradients, scale)?;
            if !outcome.loss.is_finite() {
                return Err(TrainError::Diverged { epoch: self.progress.epoch + 1 });
            }
            let sums = &mut self.progress.sums;
            sums.loss += outcome.loss * part as f64;
            sums.images += part as u64;
            let guesses = outcome.logits.chunks_exact(classes).zip(&batch.labels[number * part..]);
            sums.right += guesses
                .filter(|(logits, label)| Verdict::of(logits, **label).guess == **label)
                .count() as u64;
        }
        match int8 {
            Some(int8) => int8.descend(&mut self.params, |params| {
                self.optimizer.step(params, &mut self.gradients, rate);
            }),
            None => self.optimizer.step(&mut self.params, &mut self.gradients, rate),
        }
        // Rounding makes a number of what is none, and the loss does not tell.
        if int8.is_some() && !self.params.iter().flatten().all(|x| x.is_finite()) {
            return Err(TrainError::Diverged { epoch: self.progress.epoch + 1 });
        }
        self.progress.steps += 1;
        if !self.averages.is_empty() {
            average(&mut self.averages, &self.params, recipe.ema, self.progress.steps);
        }
        Ok(())
    }

    fn judge(&self, part: &Numbers, examples: &Examples) -> Result<Vec<Verdict>, TrainError> {
        let options = &self.trainer.options;
        let seen = |done| options.watch.0("evaluating", done, examples.len());
        judge(&self.part, part, options.level, options.threads, examples, seen)
    }

    /// Takes note of what the network guesses before anything is rounded.
    fn judge_unrounded(&mut self) -> Result<(), TrainError> {
        let unrounded = Numbers::from(&self.trainer.trainee.weights);
        let verdicts = self.judge(&unrounded, &self.task.validation)?;
        self.progress.unrounded = verdicts.iter().map(|verdict| verdict.guess as u32).collect();
        Ok(())
    }

    /// Evaluates, tells, keeps the best; says whether the run ends early.
    fn end_epoch(&mut self, callback: &mut dyn Callback, rate: f64) -> Result<Option<Ended>, TrainError> {
        let Trainer { data, recipe, .. } = self.trainer;
        let clock = Instant::now();
        let sums = std::mem::take(&mut self.progress.sums);
        let share = self.progress.step as f64 / self.steps() as f64;
        self.progress.epoch += 1;
        self.progress.step = 0;
        let current = self.current()?;
        let verdicts = self.judge(&current, &self.task.validation)?;
        let metrics = (!verdicts.is_empty()).then(|| Metrics::of(&verdicts, data.classes.len()));
        // Of equally accurate epochs the one with the lower loss is better.
        let key = |report: &EpochReport| Some((report.validation_top1?, -report.validation_loss?));
        let mut report = EpochReport {
            epoch: self.progress.epoch,
            share,
            loss: sums.loss / (sums.images.max(1)) as f64,
            accuracy: 100.0 * sums.right as f64 / (sums.images.max(1)) as f64,
            rate,
            validation_loss: metrics.as_ref().map(|metrics| metrics.loss),
            validation_top1: metrics.as_ref().map(|metrics| metrics.top1),
            validation_top5: metrics.as_ref().map(|metrics| metrics.top5),
            best: true,
            seconds: sums.seconds,
            images_per_s: sums.images as f64 / sums.seconds.max(1e-9),
        };
        let before =
            self.progress.best.and_then(|best| self.progress.history.get(best as usize - 1)).and_then(key);
        report.best = before.is_none_or(|before| key(&report).is_none_or(|now| now > before));
        if report.best {
            self.progress.best = Some(report.epoch);
            if let Some(files) = &self.files {
                let record = self.measured(metrics.as_ref());
                write_model(&files.model, record, &self.network, &self.whole(&current))?;
            }
            self.best = Some((current, verdicts));
        }
        self.progress.history.push(report.clone());
        self.budget.judged(clock.elapsed().as_secs_f64());
        callback.epoch(&report)?;
        let waited = self.progress.best.map_or(0, |best| self.progress.epoch - best);
        Ok((recipe.early_stop > 0 && waited >= u64::from(recipe.early_stop)).then_some(Ended::Early))
    }

    fn measured(&self, metrics: Option<&Metrics>) -> ModelRecord {
        let accuracy = metrics.map(|metrics| Accuracy {
            dataset: format!("validation pictures of {}", self.trainer.options.dataset)
                .trim_end_matches(" of ")
                .into(),
            top1: metrics.top1,
            top5: metrics.top5,
        });
        ModelRecord { accuracy, ..self.record.clone() }
    }

    fn save(&mut self) -> Result<(), TrainError> {
        if let Some(files) = &self.files {
            let mut progress = self.progress.clone();
            progress.seconds = self.seconds();
            let mut state = State::new(progress);
            let lists = self.lists();
            if self.trainer.int8.is_some() {
                state.insert(WEIGHTS, &lists, &self.params)?;
            } else {
                let graph = &self.trainer.trainee.graph;
                let learnt = Numbers::from(&WeightSet::of(&self.task.graph, self.params.clone())?);
                let whole = self.whole(&learnt).weights.to_lists(graph)?;
                state.insert(WEIGHTS, &checkpoint::lists(graph, &[]), &whole)?;
            }
            for (name, slot) in self.optimizer.slot_names().iter().zip(&self.optimizer.slots) {
                state.insert(name, &lists, slot)?;
            }
            if !self.averages.is_empty() {
                state.insert(AVERAGE, &lists, &self.averages)?;
            }
            state.write(&files.state())?;
            write_model(&files.last(), self.record.clone(), &self.network, &self.whole(&self.current()?))?;
        }
        self.saved = Instant::now();
        Ok(())
    }

    pub(crate) fn outcome(mut self, ended: Ended) -> Result<Outcome, TrainError> {
        let Trainer { trainee, data, .. } = self.trainer;
        let best = self.progress.best.unwrap_or(self.progress.epoch);
        let (mut part, known) = self.best.take().filter(|_| ended != Ended::Interrupted).unzip();
        if part.is_none()
            && ended != Ended::Interrupted
            && let Some(files) = &self.files
        {
            // The best weights of a run that was resumed after its best epoch are in its model file.
            let file = cygnet_weights::ModelFile::read(&files.model)?;
            let lost = |reason| TrainError::Run {
                path: files.model.clone(),
                reason: format!("{reason}; it is not the file that this run wrote any more"),
            };
            part = Some(Numbers::of_file(file, &self.part).map_err(lost)?);
        }
        let part = part.map_or_else(|| self.current(), Ok)?;
        // Who interrupts a run does not wait for figures.
        let judged = |examples| match ended {
            Ended::Interrupted => Ok(Vec::new()),
            Ended::Finished | Ended::Early | Ended::Time => self.judge(&part, examples),
        };
        let verdicts = known.map_or_else(|| judged(&self.task.validation), Ok)?;
        let test_verdicts = judged(&self.task.test)?;
        let metrics = (!verdicts.is_empty()).then(|| Metrics::of(&verdicts, data.classes.len()));
        let record = self.measured(metrics.as_ref());
        let Numbers { weights, quantization } = self.whole(&part);
        let weights = weights.part(&self.network)?;
        let model = Trainee { graph: self.network, weights, ..trainee.clone() };
        let rounding = RoundingLoss::of(&self.progress.unrounded, &verdicts);
        let history = self.progress.history;
        Ok(Outcome { ended, history, best, model, verdicts, test_verdicts, quantization, rounding, record })
    }
}
