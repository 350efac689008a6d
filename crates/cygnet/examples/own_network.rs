//! Describes a network that is no part of the zoo, trains it, saves it, and opens it again: the file holds the graph.
//!
//! ```text
//! cargo run --release -p cygnet --example own_network -- photos/ mine.safetensors
//! ```

use std::error::Error;

use cygnet::Model;
use cygnet::graph::{BuildError, Conv, Graph};
use cygnet::train::{PrintEpochs, train};

/// Four depthwise-separable stages, each half as high and wide as the one before.
fn separable(classes: usize) -> Result<Graph, BuildError> {
    Graph::build("separable", [3, 64, 64], |net, image| {
        let stem = net.at("stem");
        let mut x = stem.at("bn").batch_norm(stem.at("conv").conv(image, Conv::new(16, 3).stride(2))).relu();
        for (stage, channels) in [32, 64, 128, 256].into_iter().enumerate() {
            let (net, inputs) = (net.at("stages").at(stage), x.channels());
            let depthwise = net.at("depthwise").depthwise(x, Conv::new(inputs, 3).stride(2));
            let pointwise = Conv::new(channels, 1);
            x = net.at("bn1").batch_norm(depthwise).relu();
            x = net.at("bn2").batch_norm(net.at("pointwise").conv(x, pointwise)).relu();
            net.feature(x);
        }
        net.at("classifier").linear(x.global_avg_pool(), classes)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(photos), Some(file)) = (args.next(), args.next()) else {
        return Err("give a folder of labelled photos and the model file to write".into());
    };
    train(photos).graph("separable", separable).epochs(20).out(&file).run_with(&mut PrintEpochs)?;
    let model = Model::open(&file)?;
    eprintln!("{}: {} params, classes {}", model.id, model.graph.cost().params, model.labels.join(", "));
    Ok(())
}
