//! Every lightweight vision network, described once as a function that returns a graph.
//!
//! One file a family, each reading like its paper's table; [`blocks`] holds what several families share; one
//! [`registry`] table names everything that can be built and where its published weights are. Depends on
//! `cygnet-graph` only: no weights, no files, no network access.

pub mod blocks;
pub mod bn_inception;
pub mod fbnet;
pub mod gene;
pub mod ghost_resnet;
pub mod ghostnet;
pub mod imagenet;
mod inception;
pub mod inception_resnet;
pub mod inception_v1;
pub mod inception_v3;
pub mod inception_v4;
pub mod inverted_residual;
pub mod keymap;
pub mod mnasnet;
pub mod mobilenet_v1;
pub mod mobilenet_v2;
pub mod mobilenet_v2_flavours;
pub mod mobilenet_v3;
pub mod mobilenet_v3_flavours;
pub mod mobilenext;
pub mod proxylessnas;
pub mod registry;
pub mod sepreresnet;
pub mod seresnet;
pub mod seresnet_ts;
pub mod shufflenet_v1;
pub mod shufflenet_v2;
pub mod shufflenet_v2_large;
pub mod shufflenet_v2_plus;
mod spec;
pub mod spnasnet;
pub mod squeezenet;
pub mod xception;
pub mod xception_aligned;

pub use gene::Gene;
pub use keymap::KeyMap;
pub use registry::{Checkpoint, Family, Network, Registry, Row, find, networks};
pub use spec::{Built, Spec};
