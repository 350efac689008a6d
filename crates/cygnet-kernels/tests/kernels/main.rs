//! Every kernel against the f64 reference, under every instruction set that this CPU has (`CYGNET_ISA` caps them).
//!
//! What holds for all of them, and [`memory`] checks after every call: a call changes its output map's own elements and
//! that map's halo, which is zero afterwards, and not one bit elsewhere; it reads nothing but its input maps and their
//! halos. [`soundness`] asks the same of calls that nobody should make: refused, or within their own.
//!
//! Sizes of 0: a map without pixels or channels is computed as what it is, nothing. A convolution without input
//! channels is its bias (and term, and activation). Pooling, the global mean and enlarging refuse an input without
//! pixels, because there is no answer.
//!
//! NaN and infinities: a NaN of the input makes NaN of every output whose window sees it, and of no other; no
//! activation hides it. Padding is skipped or multiplies finite weights by zero, so an infinity of the input makes
//! infinities (NaN only where two of opposite signs meet or a weight is zero) of the outputs that see it, never of
//! others. Weights must be finite. Maximum pooling answers NaN where a window holds one. Activations of infinities are
//! their limits, but for hard-swish, which is NaN at -inf, as its formula is, and for sigmoid and swish, which stay below
//! -88 what they are there. Winograd's form keeps that promise for NaN, but a NaN may reach all outputs of the 4×4 tiles
//! that see it, and of an infinity these may become anything.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activation;
mod bf16;
mod case;
mod conv;
mod depthwise;
mod int8;
mod memory;
mod pair;
mod plain;
mod soundness;
mod winograd;
