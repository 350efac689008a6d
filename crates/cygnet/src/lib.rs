//! Lightweight vision networks in Rust: every family in one zoo, equal to its references, on any photo.
//!
//! ```no_run
//! use cygnet::{Classifier, Model, weights::Cache};
//!
//! let model = Model::pretrained("mobilenet_v2", None, &Cache::from_env()?, &mut ())?;
//! let classifier = Classifier::new(model)?;
//! for guess in classifier.classify(&std::fs::read("photo.jpg")?, 5)?.top {
//!     println!("{:5.1} %  {}", 100.0 * guess.probability, guess.label);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A network is described once, as a graph ([`graph`], [`zoo`]); everything else reads that graph: [`runtime`] runs
//! it, [`weights`] fits tensors to it, [`image`] prepares photos for it, [`verify`] holds it against its reference, [`mod@bench`] times it.

pub mod bench;
mod classify;
mod error;
mod evaluate;
mod model;
mod parallel;
pub mod verify;

pub use classify::{Answer, Classifier, Guess, Timings};
pub use error::Error;
pub use evaluate::{Evaluation, evaluate};
pub use model::{Model, network, preprocess, pull};
pub use {
    cygnet_graph as graph, cygnet_image as image, cygnet_runtime as runtime, cygnet_train as train,
    cygnet_weights as weights, cygnet_zoo as zoo,
};
