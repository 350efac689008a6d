//! Limits on what a file may ask for, which options raise.

use clap::Args;
use cygnet::graph::Limits;
use cygnet::image::DecodeLimits;

use super::values::quantity;

/// Limits on pictures.
#[derive(Args, Clone, Copy)]
pub(crate) struct PictureLimits {
    /// Most pixels of a picture, such as 500M; larger ones are refused [default: 256M]
    #[arg(long, value_name = "N", value_parser = quantity, help_heading = "Limits")]
    pub(crate) max_pixels: Option<u64>,
}

impl PictureLimits {
    /// What pictures may ask for.
    pub(crate) fn limits(self) -> DecodeLimits {
        self.max_pixels.map_or_else(DecodeLimits::default, |pixels| DecodeLimits {
            max_pixels: usize::try_from(pixels).unwrap_or(usize::MAX),
        })
    }
}

/// Limits on the network in a model file.
#[derive(Args, Clone, Copy)]
pub(crate) struct GraphLimits {
    /// Most multiply-accumulates of a model file's network, such as 2T; larger ones are refused
    #[arg(long, value_name = "N", value_parser = quantity, help_heading = "Limits")]
    pub(crate) max_macs: Option<u64>,
}

impl GraphLimits {
    /// What the network in a model file may ask for.
    pub(crate) fn limits(self) -> Limits {
        let usual = Limits::default();
        Limits { macs: self.max_macs.unwrap_or(usual.macs), ..usual }
    }
}
