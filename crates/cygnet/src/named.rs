//! Networks of the zoo by name, and how photos are prepared for them.

use std::path::Path;

use cygnet_image::{ChannelOrder, Interpolation, Preprocess, Resize};
use cygnet_zoo::registry::{self, Preset};
use cygnet_zoo::{Gene, Network, Registry};

use crate::Error;
use crate::nearest::networks_like;

/// Resolves the name of a network, or says which names are near.
///
/// # Errors
/// [`Error::UnknownNetwork`].
pub fn network(name: &str) -> Result<Network, Error> {
    network_in(&Registry::default(), name)
}

/// As [`network`], among those of a registry.
pub(crate) fn network_in(registry: &Registry, name: &str) -> Result<Network, Error> {
    registry.find(name).ok_or_else(|| {
        if let (true, Err(source)) = (name.starts_with(Gene::PREFIX), name.parse::<Gene>()) {
            return Error::Gene { text: name.into(), source };
        }
        let tagged =
            name.match_indices('.').find_map(|(at, _)| Some((registry.find(&name[..at])?, &name[at + 1..])));
        if let Some((network, tag)) = tagged {
            let tags = network.choices().map(|checkpoint| checkpoint.tag).collect();
            return Error::UnknownTag { id: network.called(), tag: tag.into(), tags };
        }
        let file = format!("{name}.safetensors");
        let near = if Path::new(&file).is_file() { vec![file] } else { networks_like(name) };
        Error::UnknownNetwork { name: name.into(), near }
    })
}

/// The preprocessing record of a network's preset at an image size: grey, with the mean of the statistics, for one
/// channel, else of three channels.
#[must_use]
pub fn preprocess(preset: &Preset, [channels, height, width]: [usize; 3]) -> Preprocess {
    let mean = |[a, b, c]: [f32; 3]| (a + b + c) / 3.0;
    let statistic = |values: [f32; 3]| if channels == 1 { vec![mean(values)] } else { values.to_vec() };
    Preprocess {
        size: [height, width],
        resize: match preset.resize {
            registry::Resize::ShorterSide(side) => Resize::ShorterSide { side },
            registry::Resize::CropPct(pct) => Resize::CropPct { pct: exact(pct) },
            registry::Resize::CropFraction(fraction) => Resize::CropFraction { fraction: exact(fraction) },
        },
        interpolation: match preset.interpolation {
            registry::Interpolation::Bilinear => Interpolation::Bilinear,
            registry::Interpolation::Bicubic => Interpolation::Bicubic,
        },
        channels: match (channels, preset.bgr) {
            (1, _) => ChannelOrder::Grey,
            (_, true) => ChannelOrder::Bgr,
            (_, false) => ChannelOrder::Rgb,
        },
        scale: preset.scale,
        mean: statistic(preset.mean),
        std: statistic(preset.std),
    }
}

/// The decimal that was written for a constant: 0.875, not its nearest f32.
pub(crate) fn exact(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}
