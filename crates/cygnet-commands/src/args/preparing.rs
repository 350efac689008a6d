//! How photos are prepared for a network whose checkpoint does not say it.

use clap::{Args, ValueEnum};
use cygnet::Preparing;
use cygnet::image::{ChannelOrder, Interpolation, Resize};

use super::values::side;

/// How photos are prepared.
#[derive(Args)]
pub(crate) struct PreparingArgs {
    /// Height and width of the image: 224, or 192x256
    #[arg(long, value_name = "N|HxW", value_parser = image)]
    image: Option<[usize; 2]>,
    /// How photos come to that size: the shorter side to N pixels, or so that the middle is the share pct, of which the
    /// middle is cut out; the middle of that share of both sides, squashed; squashed; or not at all
    #[arg(long, value_name = "shorter=N|pct=X|central=X|squash|none", value_parser = resize)]
    resize: Option<Resize>,
    /// The filter of the resize
    #[arg(long, value_enum)]
    interpolation: Option<Filter>,
    /// The channels that the network reads
    #[arg(long, value_enum)]
    channels: Option<Channels>,
    /// Factor on pixels from 0 to 255, before the mean is taken away: 1, 1/255
    #[arg(long, value_name = "X", value_parser = factor)]
    scale: Option<f32>,
    /// What is taken away of each channel, in the order of the channels, or one number for all: 0.485,0.456,0.406
    #[arg(long, value_name = "X,...", value_delimiter = ',', allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,
    /// What each channel is then divided by, or one number for all: 0.229,0.224,0.225
    #[arg(long, value_name = "X,...", value_delimiter = ',', allow_hyphen_values = true)]
    std: Option<Vec<f32>>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Filter {
    Nearest,
    Bilinear,
    Bicubic,
}

#[derive(Clone, Copy, ValueEnum)]
enum Channels {
    Rgb,
    Bgr,
    Grey,
}

impl PreparingArgs {
    pub(crate) fn preparing(&self) -> Preparing {
        let interpolation = self.interpolation.map(|filter| match filter {
            Filter::Nearest => Interpolation::Nearest,
            Filter::Bilinear => Interpolation::Bilinear,
            Filter::Bicubic => Interpolation::Bicubic,
        });
        let channels = self.channels.map(|channels| match channels {
            Channels::Rgb => ChannelOrder::Rgb,
            Channels::Bgr => ChannelOrder::Bgr,
            Channels::Grey => ChannelOrder::Grey,
        });
        let (mean, std) = (self.mean.clone(), self.std.clone());
        Preparing {
            size: self.image,
            resize: self.resize,
            interpolation,
            channels,
            scale: self.scale,
            mean,
            std,
        }
    }
}

/// A side of a square, or height and width.
fn image(text: &str) -> Result<[usize; 2], String> {
    match text.split_once('x') {
        Some((height, width)) => Ok([side(height)?, side(width)?]),
        None => side(text).map(|side| [side; 2]),
    }
}

fn resize(text: &str) -> Result<Resize, String> {
    const WRONG: &str = "give shorter=256, pct=0.875, central=0.875, squash or none";
    let share = |text: &str| {
        let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
        share.ok_or("give a share above 0 and at most 1")
    };
    Ok(match text.split_once('=') {
        None if text == "squash" => Resize::Squash,
        None if text == "none" => Resize::None,
        Some(("shorter", pixels)) => Resize::ShorterSide { side: side(pixels)? },
        Some(("pct", pct)) => Resize::CropPct { pct: share(pct)? },
        Some(("central", fraction)) => Resize::CropFraction { fraction: share(fraction)? },
        _ => return Err(WRONG.into()),
    })
}

/// A number, or a quotient of two.
fn factor(text: &str) -> Result<f32, &'static str> {
    let number = |text: &str| text.parse::<f64>().ok();
    let quotient = match text.split_once('/') {
        Some((above, below)) => number(above).zip(number(below)).map(|(above, below)| above / below),
        None => number(text),
    };
    let quotient = quotient.map(|quotient| quotient as f32).filter(|quotient| quotient.is_finite());
    quotient.ok_or("give a number such as 1 or 1/255")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn sizes_rules_and_factors_are_read() {
        assert_eq!((image("224"), image("192x256")), (Ok([224, 224]), Ok([192, 256])));
        assert!(["", "x", "0", "224x", "224x0", "-1", "1e3"].into_iter().all(|text| image(text).is_err()));
        assert_eq!(resize("shorter=256"), Ok(Resize::ShorterSide { side: 256 }));
        assert_eq!(resize("pct=0.875"), Ok(Resize::CropPct { pct: 0.875 }));
        assert_eq!(resize("central=1"), Ok(Resize::CropFraction { fraction: 1.0 }));
        assert_eq!((resize("squash"), resize("none")), (Ok(Resize::Squash), Ok(Resize::None)));
        let wrong = ["256", "shorter", "shorter=0", "pct=0", "pct=1.5", "central=nan", "squash=1", ""];
        assert!(wrong.into_iter().all(|text| resize(text).is_err()));
        assert_eq!((factor("1"), factor("1/255")), (Ok(1.0), Ok(1.0 / 255.0)));
        assert!(["", "1/0", "x", "1/", "inf"].into_iter().all(|text| factor(text).is_err()));
    }
}
