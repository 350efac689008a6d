//! Searches on one's own photos: what `cygnet search` does.
//!
//! A [`Search`] says what is asked for. Its controller proposes networks of a space, each of which is trained for a
//! few epochs from random weights; the better ones are trained for longer, and the best is trained as `cygnet train`
//! does. Whatever was tried is in a log, from which a search that was stopped goes on.

mod log;
mod plan;
mod scoring;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cygnet_graph::{BuildError, Limits};
use cygnet_image::ImageError;
use cygnet_search::Choices;
use cygnet_search::controller::{
    Controller, Evolution, EvolutionSettings, Halving, OtherSearch, Problem, Random, Trial, best,
};
pub use cygnet_search::{Space, SpaceError};
use cygnet_train::{Callback, RunFiles, State, TrainError};
use cygnet_zoo::Gene;
use serde::Serialize;
use thiserror::Error;

use self::log::{Header, Log};
pub use self::plan::{Limit, Plan, Stage};
use self::scoring::Scoring;
use crate::Error;
use crate::train::{RunOutcome, Start, train};

/// Who chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Regularised evolution.
    Evolution,
    /// Random networks: the yardstick.
    Random,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Method, String> {
        match text {
            "evolution" => Ok(Method::Evolution),
            "random" => Ok(Method::Random),
            _ => Err(format!("no method is called {text}; there are evolution and random")),
        }
    }
}

/// A search as it is asked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// The labelled photos; validation is split from those to learn from, and a test folder is left alone.
    pub data: PathBuf,
    /// What networks are chosen from.
    pub space: Space,
    /// Height and width of images; none: as the photos are, if these are small, else 96.
    pub image: Option<usize>,
    /// What a network may cost.
    pub limit: Limit,
    /// Who chooses.
    pub method: Method,
    /// Networks that are tried at first.
    pub networks: usize,
    /// Epochs for which each of them is trained; those that are left, for twice as long each time.
    pub first_epochs: u32,
    /// The recipe, if not the one that fits.
    pub recipe: Option<String>,
    /// Epochs of the last training, if not those of the recipe.
    pub epochs: Option<u32>,
    /// Names all random numbers.
    pub seed: u64,
    /// Threads, which change no result.
    pub threads: NonZeroUsize,
    /// The model file to write; the search's own files are beside it, in `NAME.search`.
    pub out: PathBuf,
    /// Whether to go on with the search that wrote these files.
    pub resume: bool,
    /// Whether to replace the files of an earlier search.
    pub overwrite: bool,
    /// The command line that asked for it, for the report.
    pub command: Option<String>,
}

/// What a search tells while it goes.
#[derive(Debug)]
pub enum Event<'e> {
    /// What it will do.
    Planned(&'e Plan),
    /// A network was trained for a while.
    Tried {
        /// Which one, counted from 1, of so many.
        number: [usize; 2],
        /// The network.
        gene: &'e Gene,
        /// How often it was chosen on.
        rung: u32,
        /// What it costs, in the limit's unit.
        cost: f64,
        /// Its accuracy on the validation photos, of 1.
        score: f64,
        /// Whether an earlier run of the search had tried it.
        known: bool,
    },
    /// The best one, which is now trained in full.
    Chosen(&'e Gene),
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The network.
    pub gene: Gene,
    /// What it costs, in the limit's unit.
    pub cost: f64,
    /// How its training went.
    pub run: RunOutcome,
    /// How many networks were tried.
    pub candidates: usize,
}

/// Why a search cannot be made.
#[derive(Debug, Error)]
pub enum SearchError {
    /// The space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// Training, or a file of it.
    #[error(transparent)]
    Cygnet(#[from] Error),
    /// The photos.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Training of a network.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A network that cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No network of the space costs so little.
    #[error(
        "{limit}: too little for space {space}: the cheapest of {tried} of its networks costs {least}, half of them \
         {median} at most"
    )]
    Unreachable {
        /// The limit.
        limit: Limit,
        /// The space's name.
        space: String,
        /// Networks that were looked at.
        tried: usize,
        /// What the cheapest of them costs.
        least: Limit,
        /// What half of them cost at most.
        median: Limit,
    },
    /// A file of the search.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A file of the search cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Search {
    /// Searches, trains what it found and writes the model; tells how it goes.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn run(
        &self,
        tell: &mut dyn FnMut(Event<'_>),
        training: &mut dyn Callback,
    ) -> Result<Found, SearchError> {
        let files = self.check_files()?;
        let scoring = Scoring::new(self)?;
        let space = self.space.for_image(scoring.image());
        let plan = Plan::new(self, &space, &scoring)?;
        tell(Event::Planned(&plan));
        let mut log = Log::open(&files, &self.header(&space, &scoring), self.resume)?;

        let cost = |choices: &[usize]| self.limit.cost_of(&space.gene(choices), scoring.classes());
        let problem = Problem { space: &space, cost: &cost, limit: self.limit.most() };
        let mut trials = Vec::new();
        let mut first: Box<dyn Controller + '_> = match self.method {
            Method::Random => Box::new(Random::new(problem, self.networks, self.seed)),
            Method::Evolution => {
                let population = (self.networks / 3).clamp(2, 32);
                let (tournament, evaluations) = (population.div_ceil(4), self.networks);
                let settings =
                    EvolutionSettings { population, tournament, evaluations, ..Default::default() };
                Box::new(Evolution::new(problem, settings, self.seed))
            }
        };
        let mut step =
            Step { search: self, space: &space, scoring: &scoring, log: &mut log, plan: &plan, tell };
        step.through(first.as_mut(), &mut trials)?;
        drop(first);
        let mut finalists = Halving::new(finalists(&trials, plan.finalists()), [1, plan.last_rung()], 2);
        step.through(&mut finalists, &mut trials)?;
        let chosen = best(&problem, &trials).ok_or_else(|| plan.unreachable(self, &space))?;
        let gene = space.gene(&chosen.proposal.choices);
        (step.tell)(Event::Chosen(&gene));
        let run = self.train(&gene, &space, training)?;
        Ok(Found { cost: cost(&chosen.proposal.choices), gene, run, candidates: trials.len() })
    }

    /// Trains the network that was found.
    fn train(
        &self,
        gene: &Gene,
        space: &Space,
        callback: &mut dyn Callback,
    ) -> Result<RunOutcome, SearchError> {
        // A state that lies there may be of an earlier search.
        let is_own = |state: State| {
            let record = state.record();
            record.network == gene.to_string() && record.source == Some(self.source(space))
        };
        let state = RunFiles::of(&self.out).state();
        let is_begun = self.resume && State::read_within(&state, &Limits::default()).is_ok_and(is_own);
        let mut training = train(&self.data)
            .network(gene.to_string())
            .from(Start::Scratch)
            .seed(self.seed)
            .threads(self.threads)
            .out(&self.out)
            .set("image=0")
            .source(self.source(space))
            .without_test()
            .resume(is_begun)
            .overwrite((self.overwrite || self.resume) && !is_begun);
        if let Some(recipe) = &self.recipe {
            training = training.recipe(recipe);
        }
        if let Some(epochs) = self.epochs {
            training = training.epochs(epochs);
        }
        if let Some(command) = &self.command {
            training = training.command(command);
        }
        Ok(training.run_with(callback)?)
    }

    /// What the model file says of where the network comes from.
    fn source(&self, space: &Space) -> String {
        let method = match self.method {
            Method::Evolution => "evolution",
            Method::Random => "random search",
        };
        format!(
            "found in space {} by {method} of {} networks, seed {}, {}",
            space.name(),
            self.networks,
            self.seed,
            self.limit
        )
    }

    fn header(&self, space: &Space, scoring: &Scoring) -> Header {
        let decisions = space.decisions().iter().map(|decision| decision.options.len()).collect();
        Header {
            version: env!("CARGO_PKG_VERSION").into(),
            space: space.name().into(),
            decisions,
            image: scoring.image(),
            limit: self.limit.to_string(),
            method: self.method,
            networks: self.networks,
            first_epochs: self.first_epochs,
            recipe: scoring.recipe(),
            seed: self.seed,
            pictures: scoring.fingerprint(),
        }
    }

    /// The folder of the search's own files, after a look at what is there.
    fn check_files(&self) -> Result<PathBuf, SearchError> {
        let folder = self.out.with_extension("search");
        let wrong =
            |path: &Path, reason: &str| Err(SearchError::File { path: path.into(), reason: reason.into() });
        if self.networks == 0 || self.first_epochs == 0 {
            return wrong(&self.out, "a search tries 1 network or more, for 1 epoch or more");
        }
        let log = Log::path_in(&folder);
        if self.resume && !log.exists() {
            return wrong(&log, "is not there, so no search can go on; leave out --resume");
        }
        let taken = [log, self.out.clone()].into_iter().find(|path| path.exists());
        if let Some(taken) = taken.filter(|_| !self.resume && !self.overwrite) {
            return wrong(&taken, "is there already; give --resume to go on, --overwrite, or another --out");
        }
        Ok(folder)
    }
}

/// The best of the first trials, the best first.
fn finalists(trials: &[Trial], count: usize) -> Vec<Choices> {
    let mut order: Vec<&Trial> = trials.iter().collect();
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    order.into_iter().take(count).map(|trial| trial.proposal.choices.clone()).collect()
}

/// What a controller's proposals go through.
struct Step<'s, 't> {
    search: &'s Search,
    space: &'s Space,
    scoring: &'s Scoring,
    log: &'s mut Log,
    plan: &'s Plan,
    tell: &'t mut dyn FnMut(Event<'_>),
}

impl Step<'_, '_> {
    /// Lets a controller go on from what the log has of it, to its end.
    fn through(
        &mut self,
        controller: &mut dyn Controller,
        trials: &mut Vec<Trial>,
    ) -> Result<(), SearchError> {
        while let Some(proposal) = controller.propose() {
            let gene = self.space.gene(&proposal.choices);
            let known = self.log.known(trials.len());
            let score = match known {
                Some(trial) if trial.proposal == proposal => trial.score,
                Some(_) => {
                    let reason = OtherSearch { trial: trials.len() }.to_string();
                    return Err(SearchError::File { path: self.log.path().into(), reason });
                }
                None => self.scoring.score(&gene, proposal.rung, self.search)?,
            };
            let known = known.is_some();
            let cost = self.search.limit.cost_of(&gene, self.scoring.classes());
            if !known {
                self.log.add(&proposal, &gene, cost, score)?;
            }
            let number = [trials.len() + 1, self.plan.trials()];
            (self.tell)(Event::Tried { number, gene: &gene, rung: proposal.rung, cost, score, known });
            controller.learn(score);
            trials.push(Trial { proposal, score });
        }
        Ok(())
    }
}
