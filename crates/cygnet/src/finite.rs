//! Weights that are no numbers, which training leaves that diverged.

use cygnet_weights::{Dtype, Tensor, WeightSet};

use crate::counted::counted;

/// The tensors with NaN or infinite numbers: the first by name, and how many others, if there are some.
pub(crate) fn not_finite(weights: &WeightSet) -> Option<String> {
    let may_be = |tensor: &Tensor| !matches!(tensor.dtype(), Dtype::I8 | Dtype::U8);
    let is_broken = |tensor: &Tensor| tensor.to_f32().iter().any(|number| !number.is_finite());
    let mut broken = weights.iter().filter(|(_, tensor)| may_be(tensor) && is_broken(tensor));
    let (first, _) = broken.next()?;
    Some(match broken.count() {
        0 => first.to_owned(),
        1 => format!("{first} and another tensor"),
        count => format!("{first} and {}", counted(count, "other tensor")),
    })
}

/// Refuses weights that are no numbers, of the model that messages call `name`.
///
/// # Errors
/// [`Error::Record`](crate::Error::Record) with the first such tensor.
#[cfg(feature = "train")]
pub(crate) fn check_finite(name: &std::path::Path, weights: &WeightSet) -> Result<(), crate::Error> {
    let Some(broken) = not_finite(weights) else { return Ok(()) };
    let reason = format!(
        "there are NaN or infinite numbers in {broken}: the training that made them diverged; take an earlier checkpoint"
    );
    Err(crate::Error::Record { path: name.into(), reason })
}
