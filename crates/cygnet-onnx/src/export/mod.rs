//! From a graph with weights to the bytes of a file, of standard operators alone.

mod grids;
mod lower;
mod options;
pub(crate) mod writer;

use cygnet_graph::Graph;
use cygnet_weights::WeightSet;
use prost::Message;

use self::grids::Grids;
use self::options::OPSETS;
use self::writer::Writer;

pub use self::options::{ExportError, ExportOptions, Preparation};

/// Version of the file's form, which readers of all those sets know.
const IR: i64 = 8;
/// Largest file that the form can be.
const MAX_BYTES: u64 = (1 << 31) - 1;

/// The bytes of an ONNX file of a graph: in use, dropout and what only training reads left out. Weights have their names in
/// the graph, nodes with weights their paths.
///
/// # Errors
/// What standard operators cannot say, with its place; weights that are not the graph's.
pub fn export(graph: &Graph, weights: &WeightSet, options: &ExportOptions) -> Result<Vec<u8>, ExportError> {
    if !OPSETS.contains(&options.opset) {
        return Err(ExportError::Opset { opset: options.opset });
    }
    if !graph.auxiliary().is_empty() {
        return Err(ExportError::Training);
    }
    let grids = match &options.quantization {
        Some(_) if options.half => return Err(ExportError::HalfIntegers),
        Some(record) => {
            record.check(graph, weights)?;
            Some(Grids::of(graph, weights, record))
        }
        None => None,
    };
    let numbers = weights.select(graph)?;
    let bytes = numbers.iter().map(|list| list.len() as u64 * if options.half { 2 } else { 4 }).sum::<u64>();
    if bytes > MAX_BYTES / 2 {
        return Err(ExportError::TooLarge);
    }
    let mut writer = Writer::new(graph.name(), options);
    lower::lower(&mut writer, graph, &numbers, grids.as_ref(), options)?;
    Ok(writer.model(options, IR).encode_to_vec())
}
