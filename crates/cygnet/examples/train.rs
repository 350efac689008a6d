//! Trains a network of the zoo on a folder of photos and names what is in one of them.
//!
//! ```text
//! cargo run --release -p cygnet --example train -- pets/ pets/cat/1.jpg
//! ```

use std::error::Error;

use cygnet::Classifier;
use cygnet::train::{PrintEpochs, train};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(photos), Some(photo)) = (args.next(), args.next()) else {
        return Err("give a folder of labelled photos and a photo".into());
    };
    let run = train(photos).network("mobilenet_v2").epochs(5).run_with(&mut PrintEpochs)?;
    let classifier = Classifier::new(run.into_model())?;
    for guess in classifier.classify(&std::fs::read(photo)?, 3)?.top {
        eprintln!("{:5.1} %  {}", 100.0 * guess.probability, guess.label);
    }
    Ok(())
}
