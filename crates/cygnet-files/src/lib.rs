//! Files of this user: written whole or not at all, never through a link that somebody else laid.
//!
//! Knows nothing of what is in a file.

pub mod owned;
mod whole;

pub use whole::{write_new, write_whole};
