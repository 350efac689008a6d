//! Steps of training programs, under every instruction set that this CPU has (`CYGNET_ISA` caps them): values against
//! their definitions, gradients against finite differences of these, both in f64.
//!
//! What holds for all of them, and [`bench`] checks after every run: steps change the views that they write, and not one
//! bit elsewhere; any number of threads leaves the same bits. [`hostile`] asks the same of steps that nobody should make.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod convolutions;
mod derivatives;
mod functions;
mod hostile;
mod norms;
mod pairs;
mod rounding;
