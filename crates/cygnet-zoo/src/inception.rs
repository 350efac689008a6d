//! What the Inception networks share: modules, in which several chains of convolutions read one value.

use cygnet_graph::{Conv, Pool, Scope, Value};

use crate::blocks::conv_bn_at;

/// A convolution and what follows it.
pub(crate) type Unit = for<'g> fn(&Scope<'g>, Value<'g>, Conv) -> Value<'g>;

/// Convolution, batch norm, ReLU, at `conv` and `bn`.
pub(crate) fn conv_bn_relu<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    conv_bn_at(scope, ["conv", "bn"], x, conv).relu()
}

/// As [`conv_bn_relu`], without the batch norm's scale.
pub(crate) fn conv_bn_relu_without_scale<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    scope.at("bn").batch_norm_without_scale(scope.at("conv").conv(x, conv)).relu()
}

/// How a network's modules are made.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// Its convolutions.
    pub(crate) unit: Unit,
    /// Whether the zeros around the map count in a pooled mean.
    pub(crate) mean_counts_padding: bool,
}

/// A module under construction: its place, the value its branches read, its style.
#[derive(Clone)]
pub(crate) struct Module<'g> {
    pub(crate) at: Scope<'g>,
    pub(crate) x: Value<'g>,
    pub(crate) style: Style,
}

impl<'g> Module<'g> {
    /// The same place and style, reading `x`.
    pub(crate) fn on(&self, x: Value<'g>) -> Module<'g> {
        Module { x, ..self.clone() }
    }

    /// The same value and style, below `name`.
    pub(crate) fn below(&self, name: &str) -> Module<'g> {
        Module { at: self.at.at(name), ..self.clone() }
    }

    /// The same, reading means over 3 × 3 windows.
    pub(crate) fn mean(&self) -> Module<'g> {
        let mean = Pool::avg(3, 1).pad(1);
        self.on(self.x.pool(if self.style.mean_counts_padding { mean } else { mean.exclude_pad() }))
    }

    /// The same, reading maxima over 3 × 3 windows.
    pub(crate) fn max(&self) -> Module<'g> {
        self.on(self.x.pool(Pool::max(3, 1).pad(1)))
    }

    /// Convolutions one after the other, each at its name.
    pub(crate) fn chain(&self, units: &[(&str, Conv)]) -> Value<'g> {
        units.iter().fold(self.x, |x, (name, conv)| (self.style.unit)(&self.at.at(name), x, conv.clone()))
    }
}

/// The channels of all branches, one after the other.
pub(crate) fn concat<'g>(branches: &[Value<'g>]) -> Value<'g> {
    branches[0].concat(&branches[1..])
}

/// Takes an RGB image normalised by ImageNet's mean and deviation to the range from -1 to 1 (torchvision's
/// `transform_input`). Other numbers of channels have no such mean and pass unchanged.
pub(crate) fn transform_input(image: Value<'_>) -> Value<'_> {
    let to_half = |mean: f64, std: f64| ((std / 0.5) as f32, ((mean - 0.5) / 0.5) as f32);
    let (scale, shift): (Vec<f32>, Vec<f32>) =
        [to_half(0.485, 0.229), to_half(0.456, 0.224), to_half(0.406, 0.225)].into_iter().unzip();
    if image.channels() == 3 { image.scale(scale, shift) } else { image }
}
