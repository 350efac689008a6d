//! Describes a network that is no part of the zoo, trains it, saves it, and opens it again: the file holds the graph.
//!
//! ```text
//! cargo run --release -p cygnet --example own_network -- photos/ mine.safetensors separable_0.5
//! ```

use std::error::Error;

use cygnet::Model;
use cygnet::graph::Conv;
use cygnet::train::{PrintEpochs, train};
use cygnet::zoo::registry::{Family, Registry, Row, Variant};
use cygnet::zoo::{Built, Spec};

/// The networks of this program: `separable`, and `separable_WIDTH` at every width.
const NETWORKS: &[Row] =
    &[Row::new("separable", Family::Other, "own", separable, &[Variant::new(&[], &[])]).side(64).any_width()];

/// Four depthwise-separable stages, each half as high and wide as the one before.
fn separable(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let stem = net.at("stem");
        let mut x = stem
            .at("bn")
            .batch_norm(stem.at("conv").conv(image, Conv::new(spec.scaled(16), 3).stride(2)))
            .relu();
        for (stage, channels) in [32, 64, 128, 256].into_iter().enumerate() {
            let (net, inputs) = (net.at("stages").at(stage), x.channels());
            let depthwise = net.at("depthwise").depthwise(x, Conv::new(inputs, 3).stride(2));
            let pointwise = Conv::new(spec.scaled(channels), 1);
            x = net.at("bn1").batch_norm(depthwise).relu();
            x = net.at("bn2").batch_norm(net.at("pointwise").conv(x, pointwise)).relu();
            net.feature(x);
        }
        net.at("classifier").linear(x.global_avg_pool(), spec.classes)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(photos), Some(file)) = (args.next(), args.next()) else {
        return Err("give a folder of labelled photos and the model file to write".into());
    };
    let name = args.next().unwrap_or_else(|| "separable".into());
    let network = Registry::default().with(NETWORKS)?.find(&name).ok_or("there is no such network")?;
    train(photos).registered(&network).epochs(20).out(&file).run_with(&mut PrintEpochs)?;
    let model = Model::open(&file)?;
    eprintln!("{}: {} params, classes {}", model.id, model.graph.cost().params, model.labels.join(", "));
    Ok(())
}
