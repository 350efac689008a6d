//! Limits on what a file may ask for, which options raise.

use clap::Args;
use cygnet::graph::Limits;
use cygnet::image::DecodeLimits;

use super::values::{bytes, quantity};

/// Limits on pictures, and on how many there may be.
#[derive(Args, Clone, Copy)]
pub(crate) struct PictureLimits {
    /// Most pixels of a picture, such as 500M; larger ones are refused [default: 256M]
    #[arg(long, value_name = "N", value_parser = quantity, help_heading = "Limits")]
    pub(crate) max_pixels: Option<u64>,
    /// Most memory to decode a picture, such as 3GB [default: 1536MB]
    #[arg(long, value_name = "SIZE", value_parser = bytes, help_heading = "Limits")]
    pub(crate) max_decode: Option<u64>,
    /// Most pictures of a folder, archive or table, such as 5M [default: 2M]
    #[arg(long, value_name = "N", value_parser = quantity, help_heading = "Limits")]
    pub(crate) max_pictures: Option<u64>,
}

/// Limits on data sets.
#[cfg(feature = "train")]
#[derive(Args, Clone, Copy)]
pub(crate) struct DataLimits {
    #[command(flatten)]
    pictures: PictureLimits,
    /// Most bytes of all pictures in a compressed archive, such as 20GB: they are kept in memory [default: 4GB]
    #[arg(long, value_name = "SIZE", value_parser = bytes, help_heading = "Limits")]
    max_unpacked: Option<u64>,
}

#[cfg(feature = "train")]
impl DataLimits {
    /// What pictures and archives may ask for.
    pub(crate) fn limits(self) -> DecodeLimits {
        let usual = self.pictures.limits();
        DecodeLimits { max_unpacked: self.max_unpacked.unwrap_or(usual.max_unpacked), ..usual }
    }
}

impl PictureLimits {
    /// What pictures may ask for.
    pub(crate) fn limits(self) -> DecodeLimits {
        let usual = DecodeLimits::default();
        let or = |given: Option<u64>, usual: usize| {
            given.map_or(usual, |given| usize::try_from(given).unwrap_or(usize::MAX))
        };
        DecodeLimits {
            max_pixels: or(self.max_pixels, usual.max_pixels),
            max_bytes: or(self.max_decode, usual.max_bytes),
            max_pictures: or(self.max_pictures, usual.max_pictures),
            ..usual
        }
    }
}

/// Limits on the networks in files.
#[derive(Args, Clone, Copy)]
pub(crate) struct GraphLimits {
    /// Most multiply-accumulates of a file's network, such as 2T; larger ones are refused [default: 1T]
    #[arg(long, value_name = "N", value_parser = quantity, help_heading = "Limits")]
    pub(crate) max_macs: Option<u64>,
}

impl GraphLimits {
    /// What the network in a file may ask for.
    pub(crate) fn limits(self) -> Limits {
        let usual = Limits::default();
        Limits { macs: self.max_macs.unwrap_or(usual.macs), ..usual }
    }
}
