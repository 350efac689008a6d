//! Steps in order, with their memory and threads.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cygnet_cpu::{
    FAR, Level, SCRATCH,
    pool::{Pool, share},
    tuning,
};

use crate::step::Step;
use crate::work::{Limits, Workspace};

/// The pointers of a [`Workspace`], for all threads.
struct Shared<'a>(Workspace<'a>);

// SAFETY: tasks of a step write different places, and a barrier separates steps; see `Work::run`.
unsafe impl Sync for Shared<'_> {}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "is read through a pointer")] [f32; LINE]);

const LINE: usize = tuning::LINE / size_of::<f32>();

/// Numbers after the arena and after each thread's scratch that loads of whole vectors may read.
const SLACK: usize = 64;

/// Memory that programs work in, one at a time, and that keeps the results of the last run.
#[derive(Default)]
pub struct Arena {
    memory: Vec<Line>,
    losses: Vec<f64>,
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arena").field("bytes", &self.bytes()).finish()
    }
}

impl Arena {
    /// Memory for any of some programs, with scratch memory for each of `threads`.
    #[must_use]
    pub fn new(programs: &[&Program], threads: usize) -> Arena {
        let mut arena = Arena::default();
        programs.iter().for_each(|program| arena.hold(program, threads));
        arena
    }

    /// Makes room for one more program, with scratch memory for each of `threads`. Results are lost where it grows.
    pub fn hold(&mut self, program: &Program, threads: usize) {
        let lines = program.lines(threads);
        if self.memory.len() < lines {
            // What there was is given back before more is taken.
            self.memory = Vec::new();
            self.memory = vec![Line([0.0; LINE]); lines];
        }
    }

    /// The sum of all losses of all images of the last run.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.losses.iter().sum()
    }

    /// Some of its numbers.
    ///
    /// # Panics
    /// If the range leaves the arena.
    #[must_use]
    pub fn read(&self, range: std::ops::Range<usize>) -> &[f32] {
        assert!(range.start <= range.end && range.end <= self.memory.len() * LINE);
        // SAFETY: lines are f32s without gaps, and the range lies within them.
        unsafe {
            std::slice::from_raw_parts(
                self.memory.as_ptr().cast::<f32>().add(range.start),
                range.end - range.start,
            )
        }
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.memory.len() * size_of::<Line>()
    }
}

/// A checked list of steps.
pub struct Program {
    level: Level,
    steps: Vec<Step>,
    params: Vec<usize>,
    images: usize,
    targets: usize,
    arena: usize,
    scratch: usize,
    losses: usize,
    /// For each parameter, whether a step adds to its gradient.
    wanted: Vec<bool>,
    /// Whether a step changes parameters.
    changes: bool,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("steps", &self.steps.len()).field("arena", &self.arena).finish()
    }
}

/// The parameters of a run.
#[derive(Debug)]
pub enum Params<'a> {
    /// Batch norm may move the running statistics.
    Change(&'a mut [Vec<f32>]),
    /// Nothing may change.
    Keep(&'a [Vec<f32>]),
}

/// What a [`Program`] is run on.
#[derive(Debug)]
pub struct Run<'a> {
    /// The parameters.
    pub params: Params<'a>,
    /// Their gradients, added to; ignored by a program without backward steps.
    pub gradients: &'a mut [Vec<f32>],
    /// `[images, channels, height, width]`.
    pub images: &'a [f32],
    /// `[images, classes]`.
    pub targets: &'a [f32],
    /// Of the masks.
    pub seed: u64,
    /// Factor of the gradients.
    pub scale: f32,
}

impl Program {
    /// Checks the steps, which share an arena of `arena` numbers. `params` are the parameters' lengths, `losses` how many
    /// losses of single images are kept.
    ///
    /// All that is `unsafe` in a step relies on what is checked here:
    /// - the parts of a step fit each other, and no size, stride or product of them wraps;
    /// - all that a step touches lies in the arena, in parameters and gradients of the right length, or in scratch memory;
    /// - no two elements of what is written share a place, and nothing is written that another task of the step touches: what
    ///   a step reads is apart from what it writes, unless it reads an element just before it writes the same.
    ///
    /// # Errors
    /// Which step does not fit and why, or that the CPU lacks the instruction set.
    pub fn new(
        level: Level,
        steps: Vec<Step>,
        arena: usize,
        params: Vec<usize>,
        [images, targets, losses]: [usize; 3],
    ) -> Result<Program, String> {
        if !level.is_supported() {
            return Err(format!("this CPU has no {}", level.name()));
        }
        if arena > FAR {
            return Err(format!("an arena of {arena} numbers is too large"));
        }
        let limits = Limits { level, params: &params, images, targets, losses };
        for (i, step) in steps.iter().enumerate() {
            if !step.work().fits(&limits) {
                return Err(format!("step {i} has parts that do not fit: {step:?}"));
            }
            let touches = step.work().touches(level);
            touches.check(arena).map_err(|problem| format!("step {i} {problem}: {step:?}"))?;
        }
        let most = Program::scratch(&steps);
        if most > SCRATCH {
            return Err(format!("scratch memory of {most} numbers is too large"));
        }
        let scratch = (most + SLACK).next_multiple_of(LINE);
        let changes = steps.iter().any(|step| matches!(step, Step::BatchNorm(_)));
        let mut wanted = vec![false; params.len()];
        for step in &steps {
            step.work().gradients().into_iter().for_each(|param| wanted[param] = true);
        }
        Ok(Program {
            level,
            steps,
            arena: (arena + SLACK).next_multiple_of(LINE),
            scratch,
            losses,
            params,
            images,
            targets,
            wanted,
            changes,
        })
    }

    /// Numbers of scratch memory that a thread needs.
    fn scratch(steps: &[Step]) -> usize {
        steps.iter().map(|step| step.work().scratch()).max().unwrap_or(0)
    }

    /// Runs all steps.
    ///
    /// # Panics
    /// If parameters, gradients, images or targets have other lengths than the program was made for, or the arena was
    /// not made for it and as many threads.
    pub fn run(&self, pool: &mut Pool, arena: &mut Arena, run: Run<'_>) {
        self.go(pool, arena, run, |_| {});
    }

    /// As [`Program::run`]; adds to `times` what each of [`Program::steps`] took until all threads had done their part.
    ///
    /// # Panics
    /// As [`Program::run`], or if there are fewer times than steps.
    pub fn run_timed(&self, pool: &mut Pool, arena: &mut Arena, run: Run<'_>, times: &mut [Duration]) {
        let times = Mutex::new((Instant::now(), &mut times[..self.steps.len()]));
        self.go(pool, arena, run, |step| {
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            let end = Instant::now();
            let took = end - times.0;
            times.1[step] += took;
            times.0 = end;
        });
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The instruction set.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Lines of memory for so many threads.
    fn lines(&self, threads: usize) -> usize {
        self.arena.saturating_add(self.scratch.saturating_mul(threads)) / LINE
    }

    /// Bytes of memory for so many threads.
    #[must_use]
    pub fn bytes(&self, threads: usize) -> u64 {
        (self.lines(threads) as u64).saturating_mul(size_of::<Line>() as u64)
    }

    /// Runs all steps; the first thread calls `after` when all have done their part of a step.
    fn go(&self, pool: &mut Pool, arena: &mut Arena, run: Run<'_>, after: impl Fn(usize) + Sync) {
        assert!(arena.memory.len() >= self.lines(pool.threads()));
        arena.losses.clear();
        arena.losses.resize(self.losses, 0.0);
        assert_eq!((run.images.len(), run.targets.len()), (self.images, self.targets));
        let lengths: Vec<usize> = match &run.params {
            Params::Change(params) => params.iter().map(Vec::len).collect(),
            Params::Keep(params) => params.iter().map(Vec::len).collect(),
        };
        assert_eq!(lengths, self.params);
        // Only a batch norm's step writes through these pointers.
        let params: Vec<*mut f32> = match run.params {
            Params::Change(params) => params.iter_mut().map(|param| param.as_mut_ptr()).collect(),
            Params::Keep(params) => {
                assert!(!self.changes, "this program moves running statistics");
                params.iter().map(|param| param.as_ptr().cast_mut()).collect()
            }
        };
        for (i, _) in self.wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            let len = run.gradients.get(i).map_or(0, Vec::len);
            assert_eq!(len, self.params[i], "gradient {i}");
        }
        let gradients: Vec<*mut f32> =
            run.gradients.iter_mut().map(|gradient| gradient.as_mut_ptr()).collect();
        let memory: *mut f32 = arena.memory.as_mut_ptr().cast();
        let shared = Shared(Workspace {
            level: self.level,
            arena: memory,
            params: &params,
            gradients: &gradients,
            images: run.images.as_ptr(),
            targets: run.targets.as_ptr(),
            losses: arena.losses.as_mut_ptr(),
            seed: run.seed,
            scale: run.scale,
            scratch: std::ptr::null_mut(),
        });
        let (steps, start, scratch) = (&self.steps, self.arena, self.scratch);
        let part = |index: usize, count: usize, step: &Step| {
            let shared = &shared;
            // SAFETY: `new` left room for every thread's scratch after the arena.
            let scratch = unsafe { shared.0.arena.add(start + index * scratch) };
            let memory = Workspace { scratch, ..shared.0 };
            let step = step.work();
            for task in share(step.tasks(), count, index) {
                // SAFETY: `new` checked that the step fits; every task goes to one thread, and `run` has the memory.
                unsafe { step.run(&memory, task) }
            }
        };
        if pool.threads() == 1 {
            for (i, step) in steps.iter().enumerate() {
                part(0, 1, step);
                after(i);
            }
            return;
        }
        pool.run(|worker| {
            for (i, step) in steps.iter().enumerate() {
                part(worker.index(), worker.count(), step);
                worker.barrier();
                if worker.index() == 0 {
                    after(i);
                }
            }
        });
    }
}
