//! Every arithmetic loop of Cygnet. Functions see slices and sizes, never nodes of a graph.
//!
//! [`mod@reference`] is the clearest possible form of each operator and the oracle for every faster one.

pub mod cpu;
pub mod pool;
pub mod probe;
pub mod reference;
