//! Lightweight vision networks in Rust: every family in one zoo, equal to its references, on any photo.
//!
//! ```no_run
//! use cygnet::{Classifier, Model};
//!
//! let classifier = Classifier::new(Model::load("mobilenet_v2")?)?;
//! for guess in classifier.classify_file("photo.jpg", 5)?.top {
//!     println!("{:5.1} %  {}", 100.0 * guess.probability, guess.label);
//! }
//! # Ok::<(), cygnet::Error>(())
//! ```
//!
//! [`Classifier`] takes photos, and also gives what the network sees in them ([`Classifier::embed`],
//! [`Classifier::features`]). Whoever has tensors plans a model once ([`Model::plan`]) and gives each thread a
//! [`Session`](runtime::Session), which writes into buffers of its caller, works on one image with several threads or on
//! a batch with an image a thread, and returns features of every stage.
//!
//! ```
//! use cygnet::graph::{Conv, Graph};
//! use cygnet::image::{Interpolation, Preprocess};
//! use cygnet::weights::WeightSet;
//! use cygnet::{Model, bench::random_weights, runtime::Session};
//!
//! let graph = Graph::build("tiny", [3, 32, 32], |net, image| {
//!     let x = net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu();
//!     net.at("fc").linear(x.global_avg_pool(), 10)
//! })?;
//! let weights = WeightSet::of(&graph, random_weights(&graph))?;
//! let model = Model::new(graph, weights, Preprocess::imagenet(32, 0.875, Interpolation::Bilinear))?;
//! let mut session = Session::automatic(model.plan()?)?;
//! let (images, mut logits) = (vec![0.5; 4 * 3 * 32 * 32], vec![0.0; 4 * 10]);
//! session.run_batch(&images, &mut logits)?;
//!
//! let mut larger = Session::automatic(model.with_image_size(48, 64)?.plan()?)?;
//! larger.run(&vec![0.5; 3 * 48 * 64], &mut logits[..10])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Training is as short ([`mod@train`]):
//!
//! ```no_run
//! use cygnet::{Classifier, train::train};
//!
//! let run = train("pets/").network("mobilenet_v2").epochs(2).out("pets.safetensors").run()?;
//! let classifier = Classifier::new(run.into_model())?;
//! # Ok::<(), cygnet::Error>(())
//! ```
//!
//! A network is described once, as a graph ([`graph`], [`zoo`]); everything else reads that graph: [`runtime`] runs
//! it, [`weights`] fits tensors to it, [`image`] prepares photos for it, [`verify`] holds it against its reference, [`mod@bench`] times it.
//!
//! Features, all on by default: `fetch` downloads published weights (HTTP, TLS), `train` trains and evaluates (sets of
//! labelled photos, recipes), `jxl` and `tiff` read photos of these formats. Who only classifies does without:
//! `default-features = false`, with what is needed of them.

pub mod bench;
mod calendar;
mod classify;
#[cfg(feature = "train")]
mod compress;
mod convert;
mod counted;
mod endings;
mod error;
#[cfg(feature = "train")]
mod evaluate;
mod finite;
mod halves;
pub mod latency;
mod layer_types;
mod load;
mod model;
mod named;
mod nearest;
mod onnx;
mod optimised;
mod parallel;
mod photo;
#[cfg(feature = "train")]
mod quantize;
#[cfg(feature = "train")]
pub mod search;
mod sessions;
mod told;
#[cfg(feature = "train")]
pub mod train;
pub mod verify;

#[doc(hidden)]
pub use calendar::date;
pub use classify::{Answer, Classifier, FeatureMap, Guess, Timings};
#[cfg(feature = "train")]
pub use compress::{Compressed, Compressing, Figures, Goal, Layer, Method, Ranked, Tried, compress};
pub use convert::{Conversion, Converted, Preparing};
pub use endings::names_weights;
pub use error::Error;
#[cfg(feature = "train")]
pub use evaluate::{Confused, Evaluation, evaluate};
pub use layer_types::LayerCounts;
pub use load::{local, pull};
pub use model::Model;
pub use named::{network, preprocess};
pub use nearest::family;
pub use onnx::OnnxSettings;
pub use photo::Photo;
#[cfg(feature = "train")]
pub use quantize::{
    Distribution, LayerNoise, Precision, QuantizeReport, Quantized, Quantizing, quantize, spread,
};
pub use told::{in_own_words, told};
pub use {
    cygnet_graph as graph, cygnet_hub as hub, cygnet_image as image, cygnet_runtime as runtime,
    cygnet_weights as weights, cygnet_zoo as zoo,
};
