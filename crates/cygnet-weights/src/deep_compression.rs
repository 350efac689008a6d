//! The file that accompanies "Deep Compression" (Han, Mao and Dally, 2016): SqueezeNet 1.0 pruned to a third of
//! its weights, each a code into its layer's table of 256 values.
//!
//! The file has no names or shapes, only the layers of that one network in order: the counts of stored entries,
//! then for each layer its table, biases, codes, and the gaps between entries in half bytes, low half first. A
//! gap over 15 is bridged by entries with code 0, whose value is 0. Tensors get torchvision's names.

use crate::{Tensor, Tensors, WeightsError};

const CODES: usize = 256;
/// Module, squeezed width, and the width of either expansion.
const FIRES: [(usize, usize, usize); 8] = [
    (3, 16, 64),
    (4, 16, 64),
    (5, 32, 128),
    (7, 32, 128),
    (8, 48, 192),
    (9, 48, 192),
    (10, 64, 256),
    (12, 64, 256),
];
const LAYERS: usize = 2 + 3 * FIRES.len();

/// Name and weight shape of every layer, in the file's order.
fn layers() -> Vec<(String, [usize; 4])> {
    let mut layers = vec![("features.0".to_owned(), [96, 3, 7, 7])];
    let mut channels = 96;
    for (index, squeezed, expanded) in FIRES {
        let name = |part| format!("features.{index}.{part}");
        layers.push((name("squeeze"), [squeezed, channels, 1, 1]));
        layers.push((name("expand1x1"), [expanded, squeezed, 1, 1]));
        layers.push((name("expand3x3"), [expanded, squeezed, 3, 3]));
        channels = 2 * expanded;
    }
    layers.push(("classifier.1".to_owned(), [1000, channels, 1, 1]));
    layers
}

/// Entries of each layer; none unless they account for every byte of the file.
fn entry_counts(file: &[u8]) -> Option<Vec<usize>> {
    let (counts, _) = file.get(..4 * LAYERS)?.as_chunks();
    let counts: Vec<_> = counts.iter().map(|&count| u32::from_le_bytes(count) as usize).collect();
    let bytes = layers().iter().zip(&counts).try_fold(4 * LAYERS, |total, ((_, shape), &count)| {
        total.checked_add(4 * CODES + 4 * shape[0])?.checked_add(count)?.checked_add(count.div_ceil(2))
    });
    (bytes == Some(file.len())).then_some(counts)
}

/// Whether these are the bytes of such a file.
pub(crate) fn recognises(file: &[u8]) -> bool {
    entry_counts(file).is_some()
}

/// Reads the bytes of such a file.
pub(crate) fn parse(file: &[u8]) -> Result<Tensors, WeightsError> {
    const CUT_OFF: WeightsError = WeightsError::Compressed { reason: "its length is not that of its layers" };
    let counts = entry_counts(file).ok_or(CUT_OFF)?;
    let mut rest = &file[4 * LAYERS..];
    let mut take = |length| rest.split_off(..length).ok_or(CUT_OFF);
    let mut tensors = Tensors::new();
    for ((name, shape), count) in layers().into_iter().zip(counts) {
        let (table, _) = take(4 * CODES)?.as_chunks();
        let bias = take(4 * shape[0])?.to_vec();
        let (codes, gaps) = (take(count)?, take(count.div_ceil(2))?);
        let mut weight = vec![[0; 4]; shape.iter().product()];
        let mut position = 0;
        for (index, &code) in codes.iter().enumerate() {
            position += usize::from(gaps[index / 2] >> (4 * (index % 2)) & 15);
            let place = weight.get_mut(position);
            *place.ok_or(WeightsError::Compressed { reason: "an entry lies outside its layer" })? =
                table[usize::from(code)];
            position += 1;
        }
        tensors.insert(
            format!("{name}.weight"),
            Tensor::new(shape, crate::Dtype::F32, weight.into_flattened())?,
        );
        tensors.insert(format!("{name}.bias"), Tensor::new([shape[0]], crate::Dtype::F32, bias)?);
    }
    Ok(tensors)
}
