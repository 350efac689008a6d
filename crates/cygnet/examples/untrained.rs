//! Writes model files without training, for checks of what is exported: of every family the network of fewest
//! multiply-accumulates, for images of two sizes, in floating point and, if it is small, in whole numbers.
//!
//! ```text
//! cargo run --example untrained FOLDER [FAMILY...]
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use cygnet::bench::random_weights;
use cygnet::weights::WeightSet;
use cygnet::zoo::{Network, networks};
use cygnet::{Model, Quantizing, quantize};

/// Generated images by which ranges are found.
const IMAGES: usize = 2;
/// Multiply-accumulates of the largest network that is quantised, which takes long.
const MOST_MACS: u64 = 300_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let wanted: Vec<String> = arguments.collect();
    let mut smallest: BTreeMap<String, (u64, Network)> = BTreeMap::new();
    for network in networks() {
        let family = format!("{:?}", network.row.family).to_lowercase();
        let macs = network.build()?.cost().macs;
        if smallest.get(&family).is_none_or(|(least, _)| macs < *least) {
            smallest.insert(family, (macs, network));
        }
    }
    let asked = |family: &str| wanted.is_empty() || wanted.iter().any(|name| name == family);
    for (_, (macs, network)) in smallest.into_iter().filter(|(family, _)| asked(family)) {
        let graph = network.build()?;
        let weights = WeightSet::of(&graph, random_weights(&graph))?;
        let [_, height, width] = graph.input_shape();
        let preprocess = cygnet::preprocess(&network.preset(), graph.input_shape());
        let model = Model { id: network.id.clone(), ..Model::new(graph, weights, preprocess)? };
        let mut models = vec![(model.clone(), "f32")];
        if macs <= MOST_MACS {
            let how = Quantizing { images: IMAGES, ..Quantizing::default() };
            models.push((quantize(&model, None, &how, &mut |_| {})?.model, "int8"));
        }
        for (model, kind) in &models {
            let id = &network.id;
            model.write(folder.join(format!("{id}-{height}-{kind}.safetensors")))?;
            match model.with_image_size(height + 32, width + 32) {
                Ok(larger) => {
                    larger.write(folder.join(format!("{id}-{}-{kind}.safetensors", height + 32)))?
                }
                Err(error) => eprintln!("{id}: no second size: {error}"),
            }
        }
    }
    Ok(())
}
