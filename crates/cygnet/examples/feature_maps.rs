//! Writes what each stage of a network sees in a photo as a grey picture, the mean over channels:
//! `cargo run --release --example feature_maps -- docs/photos/cat.jpg`.

#![allow(clippy::print_stdout, reason = "an example prints")]

use cygnet::image::Image;
use cygnet::{Classifier, Model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let photo = std::env::args().nth(1).unwrap_or_else(|| "docs/photos/cat.jpg".into());
    let classifier = Classifier::new(Model::load("mobilenet_v2")?)?;
    for map in classifier.features(photo)? {
        let [channels, height, width] = map.shape;
        let mean =
            |pixel: usize| (0..channels).map(|c| map.values[c * height * width + pixel].abs()).sum::<f32>();
        let means: Vec<f32> = (0..height * width).map(mean).collect();
        let largest = means.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let grey = means.iter().flat_map(|mean| [(255.0 * mean / largest) as u8; 3]).collect();
        let file = format!("stride-{}.png", map.stride);
        std::fs::write(&file, Image::from_rgb(width, height, grey)?.to_png()?)?;
        println!("{file}: {} ({channels} channels of {height} x {width})", map.name);
    }
    Ok(())
}
