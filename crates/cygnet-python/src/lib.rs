//! Cygnet in Python: parses arguments, calls, converts results. What it shows to users is documented where they see it, in
//! `python/cygnet`.

mod answers;
mod errors;
mod model;
mod photos;
mod training;

use cygnet::zoo::networks;
use pyo3::prelude::*;
use serde::Serialize;

/// A network of the zoo, as it is listed.
#[derive(Serialize)]
struct Listed {
    id: String,
    family: String,
    flavour: &'static str,
    params: u64,
    macs: u64,
    input: [usize; 3],
    weights: Vec<&'static str>,
    top1: Option<f32>,
}

#[pymodule]
mod _cygnet {
    use super::*;

    #[pymodule_export]
    use super::answers::{Answer, Answers, Guess};
    #[pymodule_export]
    use super::errors::CygnetError;
    #[pymodule_export]
    use super::model::{Model, from_arrays, from_bytes, load};
    #[pymodule_export]
    use super::training::train;

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Every network of the zoo.
    #[pyfunction]
    fn networks_of_zoo(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let listed = py.detach(|| -> Result<Vec<Listed>, cygnet::Error> { listed() });
        errors::plain(py, &listed.map_err(errors::told)?)
    }
}

fn listed() -> Result<Vec<Listed>, cygnet::Error> {
    let listed = |network: cygnet::zoo::Network| {
        let graph = network.build()?;
        let cost = graph.cost();
        let top1 = network.default_checkpoint().map(|weights| weights.accuracy[0]);
        Ok(Listed {
            family: format!("{:?}", network.row.family),
            flavour: network.row.flavour,
            params: cost.params,
            macs: cost.macs,
            input: graph.input_shape(),
            weights: network.checkpoints().iter().map(|weights| weights.tag).collect(),
            top1: top1.filter(|top1| top1.is_finite()),
            id: network.id,
        })
    };
    networks().map(listed).collect()
}
