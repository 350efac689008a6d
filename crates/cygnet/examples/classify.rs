//! Names what is in a photo: `cargo run --release --example classify -- docs/photos/cat.jpg`.

#![allow(clippy::print_stdout, reason = "an example prints")]

use cygnet::{Classifier, Model};

fn main() -> Result<(), cygnet::Error> {
    let photo = std::env::args().nth(1).unwrap_or_else(|| "docs/photos/cat.jpg".into());
    let classifier = Classifier::new(Model::load("mobilenet_v2")?)?;
    for guess in classifier.classify_file(photo, 5)?.top {
        println!("{:5.1} %  {}", 100.0 * guess.probability, guess.label);
    }
    Ok(())
}
