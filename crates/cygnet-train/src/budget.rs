//! How a run keeps to its time.

use std::time::{Duration, Instant};

use cygnet_engine::{Engine, EngineError, EngineOptions};
use cygnet_runtime::peak_gflops;

use crate::TrainError;
use crate::data::PATIENCE;
use crate::evaluate::pace;
use crate::numbers::Numbers;
use crate::recipe::{Quantize, Trained};
use crate::task::Task;
use crate::trainer::{RANGED, Trainer};

/// How many times what a picture's answer takes it takes to find ranges by it.
const LOOKED: usize = 4;

/// Seconds of a probe of the machine.
const PROBE: f64 = 0.01;

/// What a run's time is spent on, as far as it is known.
pub(crate) struct Budget {
    time: Option<Duration>,
    began: Instant,
    /// Seconds of work after the run.
    after: f64,
    /// Pictures for validation and test.
    pictures: [usize; 2],
    /// Seconds that a picture for validation and one for the test take.
    look: [f64; 2],
    /// Seconds of the last step.
    step: f64,
    /// Seconds before the first step, and the share of the run's epochs that lay behind it.
    first: Option<[f64; 2]>,
    /// Seconds of evaluation since then.
    judging: f64,
}

impl Trainer {
    /// Refuses work that takes more than the run's time: features, else one step, and evaluation.
    ///
    /// # Errors
    /// [`TrainError::TooShort`].
    pub(crate) fn check_time(&self) -> Result<(), TrainError> {
        let Some(time) = self.options.time else { return Ok(()) };
        let [train, validation, test] = self.data.pictures();
        let learnt = match self.recipe.train {
            Trained::All => 3 * self.recipe.batch.min(train),
            Trained::Last(_) => self.recipe.batch.min(train),
            Trained::Head if self.recipe.augment.flip > 0.0 => 2 * train,
            Trained::Head => train,
        };
        let looked = if self.recipe.quantize == Quantize::Int8 { LOOKED * RANGED.min(train) } else { 0 };
        let learnt = learnt + looked;
        let macs = self.trainee.graph.cost().macs as f64;
        let peak = peak_gflops(self.options.level, PROBE) * 1e9 * self.options.threads.get() as f64;
        let seconds = |pictures: usize| Duration::from_secs_f64(2.0 * macs * pictures as f64 / peak);
        let (learning, judging) = (seconds(learnt), seconds(validation + test));
        if learning + judging <= time.max(PATIENCE) {
            return Ok(());
        }
        Err(TrainError::TooShort { time, learning, judging })
    }
}

impl Trainer {
    /// Refuses a limit of memory that is far from what a step on a single picture takes.
    ///
    /// # Errors
    /// [`EngineError::MemoryLimit`].
    pub(crate) fn check_memory(&self) -> Result<(), TrainError> {
        let graph = &self.trainee.graph;
        let options = EngineOptions { threads: self.options.threads, ..EngineOptions::new(1) };
        let (Some(limit), Ok(bytes)) = (self.options.memory_bytes, Engine::memory_bytes(graph, &options))
        else {
            return Ok(());
        };
        // With rounding a step takes other memory, which is known later.
        if bytes / 2 > limit {
            let graph = graph.name().into();
            return Err(EngineError::MemoryLimit { graph, batch: 1, bytes, limit }.into());
        }
        Ok(())
    }
}

impl Budget {
    /// Begins to watch the time. Where there is a limit some pictures are looked at to learn how long that takes.
    pub(crate) fn new(trainer: &Trainer, task: &Task) -> Result<Budget, TrainError> {
        let Trainer { options, trainee, .. } = trainer;
        let examples = [&task.validation, &task.test];
        let look = match examples.into_iter().find(|examples| examples.len() > 0) {
            Some(examples) if options.time.is_some() => {
                let part = task.graph.without_auxiliary();
                pace(&part, &Numbers::from(&trainee.weights), options.level, options.threads, examples)?
            }
            _ => 0.0,
        };
        Ok(Budget {
            time: options.time,
            began: options.began,
            after: options.after.as_secs_f64(),
            pictures: examples.map(|examples| examples.len()),
            look: [look; 2],
            step: 0.0,
            first: None,
            judging: 0.0,
        })
    }

    /// Seconds since the run began in this process.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Takes note of how long a step took.
    pub(crate) fn stepped(&mut self, seconds: f64) {
        self.step = seconds;
    }

    /// Takes note that steps begin after `seconds`, with a share of the epochs done before.
    pub(crate) fn begin(&mut self, seconds: f64, done: f64) {
        self.first = Some([seconds, done]);
    }

    /// Takes note of how long the end of an epoch took.
    pub(crate) fn judged(&mut self, seconds: f64) {
        self.judging += seconds;
        if self.pictures[0] > 0 {
            self.look[0] = seconds / self.pictures[0] as f64;
            // Those for the test are yet to be read.
            self.look[1] = self.look[1].max(self.look[0]);
        }
    }

    /// The share that is used up, after `seconds`, of the time for steps: the rest is for one more evaluation, the test
    /// and what comes after the run. A step of which more than half would come too late is not begun.
    pub(crate) fn share(&self, seconds: f64) -> f64 {
        let Some(steps) = self.for_steps() else { return 0.0 };
        if seconds >= steps { 1.0 } else { seconds / steps }
    }

    /// Whether the time suffices for all epochs, if the steps go on as before: after `seconds` a share of the epochs is
    /// done, and so many evaluations come before the last.
    pub(crate) fn suffices(&self, seconds: f64, done: f64, evaluations: f64) -> bool {
        let Some(steps) = self.for_steps() else { return true };
        // Before the first step nothing is known but that it has begun in time.
        let Some([first, before]) = self.first.filter(|[_, before]| done > *before) else {
            return seconds < steps;
        };
        let pace = (seconds - first - self.judging) / (done - before);
        let evaluating = evaluations * self.look[0] * self.pictures[0] as f64;
        seconds + pace * (1.0 - done) + evaluating <= steps
    }

    /// The seconds at which the last step must be done.
    fn for_steps(&self) -> Option<f64> {
        let looking: f64 = self.look.iter().zip(self.pictures).map(|(look, count)| look * count as f64).sum();
        Some(self.time?.as_secs_f64() - looking - self.after - self.step / 2.0)
    }

    /// Seconds until the run must end, after `seconds`; none without a limit.
    pub(crate) fn left(&self, seconds: f64) -> Option<f64> {
        self.time.map(|time| (time.as_secs_f64() - seconds).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluation_the_test_and_the_next_step_are_left_time() {
        let mut budget = Budget {
            time: Some(Duration::from_secs(100)),
            began: Instant::now(),
            after: 4.0,
            pictures: [10, 20],
            look: [0.5; 2],
            step: 0.0,
            first: None,
            judging: 0.0,
        };
        assert_eq!(budget.share(40.5), 0.5);
        assert_eq!(budget.share(81.0), 1.0);
        budget.judged(20.0);
        assert_eq!(budget.look, [2.0, 2.0]);
        budget.judged(10.0);
        assert_eq!(budget.look, [1.0, 2.0]);
        budget.stepped(4.0);
        // 100 less 10 and 40 for pictures, 4 for what comes after and half a step.
        assert_eq!((budget.share(11.0), budget.share(44.0)), (0.25, 1.0));
        assert_eq!(budget.left(60.0), Some(40.0));
        budget = Budget { judging: 0.0, ..budget };
        assert!(budget.suffices(3.0, 0.0, 9.0));
        budget.begin(3.0, 0.0);
        // A tenth in 2 seconds, and nine evaluations of 10 seconds but the last; or in 4.5.
        assert!(budget.suffices(5.0, 0.1, 2.0) && !budget.suffices(7.5, 0.1, 2.0));
        budget.judged(10.0);
        assert!(budget.suffices(15.0, 0.1, 1.0));
        assert_eq!(Budget { time: None, ..budget }.share(1e9), 0.0);
    }
}
