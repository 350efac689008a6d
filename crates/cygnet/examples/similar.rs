//! Finds the photos of a folder that look most like another: `cargo run --release --example similar -- PHOTO FOLDER`.

#![allow(clippy::print_stdout, reason = "an example prints")]

use cygnet::image::collect_images;
use cygnet::{Classifier, Error, Model};

/// The cosine of the angle between two vectors.
fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(photo), Some(folder)) = (args.next(), args.next()) else {
        eprintln!("give a photo and a folder");
        std::process::exit(2);
    };
    let classifier = Classifier::new(Model::load("mobilenet_v2")?)?;
    let wanted = classifier.embed(photo)?;
    let mut found = Vec::new();
    for path in collect_images([folder])? {
        match classifier.embed(&path) {
            Ok(embedding) => found.push((likeness(&wanted, &embedding), path)),
            Err(error) => eprintln!("{error}"),
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (likeness, path) in found.iter().take(10) {
        println!("{likeness:.3}  {}", path.display());
    }
    Ok(())
}
