//! Data sets as they are opened.

use std::io::Write;
use std::path::Path;

use cygnet_image::{Dataset, DecodeLimits, Image, Splits};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The pictures with their classes.
pub(crate) fn decoded(dataset: &Dataset) -> Vec<(usize, Image)> {
    dataset
        .samples
        .iter()
        .map(|sample| (sample.class, sample.decode(DecodeLimits::default()).unwrap()))
        .collect()
}

/// Why a set is not opened.
pub(crate) fn refusal(path: &Path) -> String {
    Splits::open(path).unwrap_err().to_string()
}
