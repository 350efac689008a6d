//! Every kernel over bytes, under every instruction set for bytes that this CPU has (`CYGNET_ISA` caps them), against
//! [`cygnet_kernels::reference::int8`], to the bit.

mod case;
mod conv;
mod depthwise;
mod element;
mod memory;
mod pool;
mod soundness;
