//! Training steps: forward and backward passes of whole batches, channels last.
//!
//! A [`Program`] is a checked list of [`Step`]s over one arena. Each step is cut into tasks in a way that depends on sizes
//! only, and every sum has one order, so results do not depend on the number of threads. Feature maps lie as [`View`]s
//! `[images, height, width, channels]`. A batch-normalised and activated value need not be in memory: a [`Source`]
//! computes it as it is read, and a [`Gradient`] does the same for the gradient of a normalised value.

#![allow(
    clippy::needless_range_loop,
    reason = "a closure would be compiled without the set's instructions, and iterators over arrays are closures"
)]

mod area;
mod binary;
mod chunk;
mod conv;
mod depthwise;
mod elementwise;
mod gather;
mod gemm;
mod geometry;
mod import;
mod loss;
mod norm;
mod pack;
mod pooling;
mod program;
mod reduce;
mod round;
mod step;
mod transform;
mod value;
mod work;

pub use binary::Binary;
pub use conv::{Conv, ConvBackward};
pub use depthwise::{Depthwise, DepthwiseBackward};
pub use elementwise::{Elementwise, Mask};
pub use gather::Gather;
pub use geometry::Geometry;
pub use import::Import;
pub use loss::Loss;
pub use norm::{Apply, BatchNorm, Freeze, InputGradient, Moments, Normalise, NormaliseBackward};
pub use pack::{Pack, PackForm, panel_width};
pub use pooling::{Pooling, PoolingKind, Window};
pub use program::{Arena, Params, Program, Run};
pub use reduce::{Reduce, WeightLayout};
pub use round::{Round, RoundBackward};
pub use step::Step;
pub use transform::{Transform, TransformKind};
pub use value::{Gradient, Norm, Sink, Source, View};

/// Whether steps are compiled with optimisation. Without it they compute the same numbers, many times slower.
pub const OPTIMISED: bool = !cfg!(unoptimised);
