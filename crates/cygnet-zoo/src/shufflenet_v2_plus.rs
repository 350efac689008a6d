//! ShuffleNetV2+: units chosen by a search, hard-swish and squeeze-and-excitation, published with the code of
//! ShuffleNet v2.
//!
//! Names are the authors'.

use cygnet_graph::{Conv, Scope, Value};

use crate::blocks::conv_bn;
use crate::shufflenet_v2::{depthwise, even_odd, pointwise};
use crate::{Built, Spec};

/// Which unit stands at a place.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// A unit of ShuffleNet v2 with a depthwise kernel of this side.
    Shuffle(usize),
    /// Three separable convolutions.
    Xception,
}

use Unit::{Shuffle, Xception};

const STAGES: [&[Unit]; 4] = [
    // the published architecture; each stage halves the image
    &[Shuffle(3), Shuffle(3), Xception, Shuffle(5)],
    &[Shuffle(5), Shuffle(5), Shuffle(3), Shuffle(3)],
    &[Shuffle(7), Shuffle(3), Shuffle(7), Shuffle(5), Shuffle(5), Shuffle(3), Shuffle(7), Shuffle(3)],
    &[Shuffle(7), Shuffle(5), Xception, Shuffle(7)],
];

/// Channels of the four stages.
#[derive(Clone, Copy, Debug)]
pub struct Size([usize; 4]);

#[allow(missing_docs, reason = "the authors' names of the sizes")]
impl Size {
    pub const SMALL: Size = Size([36, 104, 208, 416]);
    pub const MEDIUM: Size = Size([48, 128, 256, 512]);
    pub const LARGE: Size = Size([68, 168, 336, 672]);
}

/// ShuffleNetV2+.
pub fn shufflenet_v2_plus(spec: &Spec, size: Size) -> Built {
    spec.build(|net, image| {
        let stem = net.at("first_conv");
        let mut x = stem.feature(conv_bn(&stem, image, Conv::new(16, 3).stride(2)).hard_swish());
        let mut blocks = net.at("features").numbered();
        for (stage, (units, out)) in STAGES.into_iter().zip(size.0).enumerate() {
            for (place, &unit) in units.iter().enumerate() {
                let block = blocks.next();
                let stride = if place == 0 { 2 } else { 1 };
                x = block.feature(shuffle_unit(&block, x, unit, out, stride, stage));
            }
        }
        x = conv_bn(&net.at("conv_last"), x, Conv::new(1280, 1)).hard_swish().global_avg_pool();
        x = squeeze_excite(&net.at("LastSE"), x);
        x = net.at("fc.0").linear_without_bias(x, 1280).hard_swish();
        net.at("classifier.0").linear_without_bias(x.dropout(0.2), spec.classes)
    })
}

fn shuffle_unit<'g>(
    block: &Scope<'g>,
    x: Value<'g>,
    unit: Unit,
    out: usize,
    stride: usize,
    stage: usize,
) -> Value<'g> {
    let activation = if stage == 0 { Value::relu } else { Value::hard_swish };
    let kernel = if let Shuffle(kernel) = unit { kernel } else { 3 };
    let [kept, x] = if stride == 1 {
        even_odd(x)
    } else {
        let mut layers = block.at("branch_proj").numbered();
        let y = depthwise(&mut layers, x, kernel, stride);
        [activation(pointwise(&mut layers, y, x.channels())), x]
    };
    let (middle, branch) = (out / 2, out.saturating_sub(kept.channels()));
    let mut layers = block.at("branch_main").numbered();
    let mut separable = |x, out, stride| {
        let y = depthwise(&mut layers, x, kernel, stride);
        let y = activation(pointwise(&mut layers, y, out));
        layers.skip(1);
        y
    };
    let y = match unit {
        Xception => {
            let y = separable(x, middle, stride);
            let y = separable(y, middle, stride);
            separable(y, branch, stride)
        }
        Shuffle(_) => {
            let y = activation(pointwise(&mut layers, x, middle));
            layers.skip(1);
            let y = depthwise(&mut layers, y, kernel, stride);
            let y = activation(pointwise(&mut layers, y, branch));
            layers.skip(1);
            y
        }
    };
    let y = if stage < 2 { y } else { squeeze_excite(&layers.next(), y) };
    kept.concat(&[y])
}

/// Squeeze-and-excitation with batch norm inside.
fn squeeze_excite<'g>(scope: &Scope<'g>, x: Value<'g>) -> Value<'g> {
    let layers = scope.at("SE_opr");
    let inner = layers.at(1).conv(x.global_avg_pool(), Conv::new(x.channels() / 4, 1));
    let inner = layers.at(2).batch_norm(inner).relu();
    x * layers.at(4).conv(inner, Conv::new(x.channels(), 1)).hard_sigmoid()
}
