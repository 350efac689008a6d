//! Files of this user: written whole or not at all, never through a link that somebody else laid.
//!
//! Knows nothing of what is in a file, but [`Size`] says how many bytes of it, or of memory, are told to people.

pub mod owned;
mod same;
mod size;
mod whole;

pub use same::is_same_file;
pub use size::Size;
pub use whole::{write_new, write_own, write_whole};
