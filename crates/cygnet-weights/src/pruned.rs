//! Weights under a mask: `torch.nn.utils.prune` stores `weight` as `weight_orig` and `weight_mask`.

use crate::{Tensor, Tensors};

const PARTS: [&str; 2] = ["_orig", "_mask"];

/// The tensors, with the product of weight and mask where there are both.
pub(crate) fn multiplied(tensors: Tensors) -> Tensors {
    let sibling = |name: &str, [own, other]: [&str; 2]| {
        let stem = name.strip_suffix(own)?;
        let other = tensors.get(&format!("{stem}{other}"))?;
        let product = format!("{stem}");
        (!tensors.contains_key(&product) && other.shape() == tensors[name].shape())
            .then_some((product, other))
    };
    let [own, other] = PARTS;
    if !tensors.keys().any(|name| sibling(name, [own, other]).is_some()) {
        return tensors;
    }
    let product = |(name, tensor): (&String, &Tensor)| {
        if let Some((name, mask)) = sibling(name, [own, other]) {
            let values: Vec<f32> =
                tensor.to_f32().iter().zip(&*mask.to_f32()).map(|(value, mask)| value * mask).collect();
            return Some((
                name,
                Tensor::from_f32(tensor.shape(), &values).unwrap_or_else(|_| tensor.clone()),
            ));
        }
        sibling(name, [other, own]).is_none().then(|| (name.clone(), tensor.clone()))
    };
    tensors.iter().filter_map(product).collect()
}
