//! Steps of training programs, under every instruction set that this CPU has (`CYGNET_ISA` caps them).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod derivatives;
mod hostile;
