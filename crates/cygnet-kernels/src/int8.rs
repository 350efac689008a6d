//! Layers over maps of bytes: unsigned inputs, signed weights, sums in i32, and what these become.
//!
//! A byte stands for `(byte - zero) * scale` of its value's grid. The halo of a map of bytes holds its zero point. Every
//! result is the same to the bit on every instruction set, whatever the tile and on any number of threads:
//! [`mod@crate::reference::int8`] says what it is.

mod call;
mod conv;
mod depthwise;
mod element;
mod ending;
mod pool;
mod quantise;
mod work;

pub use call::ByteCall;
pub use conv::{ByteConv, ByteWeights};
pub use depthwise::ByteDepthwise;
pub use element::{ByteGate, ByteScale, ByteTable};
pub use ending::{Ending, Table, Term, ToBytes};
pub use pool::{ByteMax, ByteMean, Mean, Pixels};
pub use quantise::Quantise;
