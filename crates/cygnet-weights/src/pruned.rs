//! Weights under a mask: `torch.nn.utils.prune` stores `weight` as `weight_orig` and `weight_mask`.

use std::collections::HashMap;

use crate::{Tensor, Tensors};

const WEIGHT: &str = "_orig";
const MASK: &str = "_mask";

/// The tensors, with the product of weight and mask where there are both.
pub(crate) fn multiplied(tensors: Tensors) -> Tensors {
    let mask_of = |(name, tensor): (&String, &Tensor)| {
        let product = name.strip_suffix(WEIGHT)?;
        let mask = tensors.get(&format!("{product}{MASK}"))?;
        let fits = !tensors.contains_key(product) && mask.shape() == tensor.shape();
        fits.then(|| (product.to_owned(), mask.clone()))
    };
    let masks: HashMap<String, Tensor> = tensors.iter().filter_map(mask_of).collect();
    if masks.is_empty() {
        return tensors;
    }
    let kept =
        |(name, tensor): (String, Tensor)| {
            if name.strip_suffix(MASK).is_some_and(|product| masks.contains_key(product)) {
                return None;
            }
            let masked = name.strip_suffix(WEIGHT).and_then(|product| masks.get_key_value(product));
            Some(masked.map_or((name.clone(), tensor.clone()), |(product, mask)| {
                (product.clone(), tensor.times(mask))
            }))
        };
    tensors.into_iter().filter_map(kept).collect()
}
