//! Training networks of the zoo, model files and networks of one's own: what `cygnet train` does.
//!
//! [`train()`] is the short way; what is asked for is said on the [`Training`] that it returns:
//!
//! ```no_run
//! use cygnet::train::{PrintEpochs, train};
//!
//! let run = train("pets/").network("mobilenet_v2").epochs(2).out("pets.safetensors").run_with(&mut PrintEpochs)?;
//! println!("best epoch {}", run.outcome.best);
//! let classifier = cygnet::Classifier::new(run.into_model())?;
//! # Ok::<(), cygnet::Error>(())
//! ```
//!
//! Whoever puts a run together by hand takes [`trainee`], [`TrainData`] and [`Trainer`], which is the loop itself.

mod facts;
mod files;
mod left_over;
mod prepared;
mod start;
mod subject;
mod training;

pub use cygnet_train::*;
pub use facts::facts;
pub use prepared::{Prepared, RunOutcome};
pub use start::{Fitting, Start, fitting_recipe, own_trainee, teacher, trainee, trainee_of};
pub(crate) use training::name_of;
pub use training::{Training, train};
