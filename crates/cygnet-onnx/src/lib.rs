//! ONNX, TFLite and ncnn files as graphs with weights, and graphs as ONNX files.
//!
//! [`import`] makes a [`Graph`](cygnet_graph::Graph) and its weights of a file by named rules ([`operators`]), one or more an operator of
//! the format; what no operator of the graph can hold is refused, all of it at once. No arithmetic but that of constants
//! is done here, nothing is run, and no number of a file is believed before memory is taken for it.
//!
//! Read in this order: `import/view.rs` (how a tensor of the file lies in a value of the graph), `import/draft.rs`,
//! `rules/`, then `rewrite.rs` for what is joined when all is known.

mod array;
mod error;
mod export;
mod external;
mod formats;
mod import;
mod memory;
mod ncnn;
mod rewrite;
mod rules;
mod scan;
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, dead_code, reason = "generated")]
mod schema;
#[cfg(test)]
mod tests;
mod tflite;

pub use array::{LoneTensor, read_tensor};
pub(crate) use error::Reason;
pub use error::{ImportError, Refusal};
pub use export::{ExportError, ExportOptions, Preparation, export};
pub use formats::{Format, import, open};
pub use import::arrange::{ImportedInput, ImportedOutput};
pub use import::imported::{Imported, Options};
pub use import::is_onnx;
pub use ncnn::{PRODUCER as NCNN, import_ncnn, is_ncnn, operators as ncnn_operators};
pub use rules::operators;
pub use tflite::{PRODUCER as TFLITE, is_tflite, operators as tflite_operators};
