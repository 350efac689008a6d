//! SE-ResNet, SE-ResNeXt and SENet: residual networks whose blocks weigh their channels (Hu et al. 2017,
//! arXiv 1709.01507), and the plain ResNets they are measured against.
//!
//! Names are torchvision's ResNet's, which timm's networks follow. Three forms are published under the same names:
//! see `Form`.
#![allow(missing_docs, reason = "the constants are the networks' names")]

use cygnet_graph::{Conv, Pool, Scope, Value};

use crate::blocks::{RELU_SIGMOID, conv_bn, conv_bn_at, make_divisible, squeeze_excite};
use crate::{Built, Spec};

/// A network of this family.
#[derive(Clone, Copy, Debug)]
pub struct ResNet {
    branch: Branch,
    blocks: [usize; 4],
    stem: Stem,
    halving: Halving,
    form: Form,
    gated: bool,
}

/// What the residual branch of a block computes from a stage's base width, 64 to 512.
#[derive(Clone, Copy, Debug)]
enum Branch {
    /// Two 3×3.
    Basic,
    /// 1×1, 3×3 in so many groups of so many channels (at base width 64), 1×1 to four times the base width.
    Bottleneck(usize, usize),
    /// A bottleneck of so many groups of 4 whose first 1×1 is half as wide, beside shortcuts of 3×3.
    SeNet(usize),
}

/// The convolutions before the first pooling.
#[derive(Clone, Copy, Debug)]
enum Stem {
    /// One 7×7.
    Wide,
    /// Three 3×3 with these outputs.
    Deep([usize; 3]),
}

/// How a block halves height and width.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Halving {
    /// A convolution with stride 2 in branch and shortcut.
    Strided,
    /// A mean pool before the shortcut's convolution (ResNet-D, He et al. 2018).
    PooledShortcut,
    /// Mean pools everywhere, in the stem too (timm's `aa`); the shortcut's rounds down as the branch's does, where
    /// timm's rounds up and does not fit.
    Pooled,
}

/// Whose reading of the paper it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// timm's and torchvision's: bottlenecks stride in the 3×3; the gate is at least 8 wide inside.
    Timm,
    /// The authors' Caffe files, as in timm's `legacy_*`: bottlenecks without groups stride in the first 1×1, the
    /// first pooling rounds up instead of padding, basic branches end in a ReLU.
    Caffe,
    /// pytorchcv's: bottlenecks without groups stride in the first 1×1.
    Pytorchcv,
}

const BOTTLENECK: Branch = Branch::Bottleneck(1, 64);
const X32X4: Branch = Branch::Bottleneck(32, 4);
const X32X8: Branch = Branch::Bottleneck(32, 8);
const X64X4: Branch = Branch::Bottleneck(64, 4);

//                                         branch      blocks of 64, 128, 256, 512      — table 1 of the paper
pub const SERESNET10: ResNet = seresnet(Branch::Basic, [1, 1, 1, 1]);
pub const SERESNET12: ResNet = seresnet(Branch::Basic, [2, 1, 1, 1]);
pub const SERESNET14: ResNet = seresnet(Branch::Basic, [2, 2, 1, 1]);
pub const SERESNET16: ResNet = seresnet(Branch::Basic, [2, 2, 2, 1]);
pub const SERESNET18: ResNet = seresnet(Branch::Basic, [2, 2, 2, 2]);
pub const SERESNET26: ResNet = seresnet(Branch::Basic, [3, 3, 3, 3]);
pub const SERESNET34: ResNet = seresnet(Branch::Basic, [3, 4, 6, 3]);
pub const SERESNETBC26B: ResNet = seresnet(BOTTLENECK, [2, 2, 2, 2]);
pub const SERESNETBC38B: ResNet = seresnet(BOTTLENECK, [3, 3, 3, 3]);
pub const SERESNET50: ResNet = seresnet(BOTTLENECK, [3, 4, 6, 3]);
pub const SERESNET50T: ResNet = SERESNET50.tiered();
pub const SERESNETAA50D: ResNet = SERESNET50.deep().pooled();
pub const SERESNET101: ResNet = seresnet(BOTTLENECK, [3, 4, 23, 3]);
pub const SERESNET152: ResNet = seresnet(BOTTLENECK, [3, 8, 36, 3]);
pub const SERESNET152D: ResNet = SERESNET152.deep();
pub const SERESNET200: ResNet = seresnet(BOTTLENECK, [3, 24, 36, 3]);
pub const SERESNET200D: ResNet = SERESNET200.deep();
pub const SERESNET269D: ResNet = seresnet(BOTTLENECK, [3, 30, 48, 8]).deep();
pub const SERESNEXT26_32X4D: ResNet = seresnet(X32X4, [2, 2, 2, 2]);
pub const SERESNEXT26D_32X4D: ResNet = SERESNEXT26_32X4D.deep();
pub const SERESNEXT26T_32X4D: ResNet = SERESNEXT26_32X4D.tiered();
pub const SERESNEXT50_32X4D: ResNet = seresnet(X32X4, [3, 4, 6, 3]);
pub const SERESNEXT101_32X4D: ResNet = seresnet(X32X4, [3, 4, 23, 3]);
pub const SERESNEXT101_32X8D: ResNet = seresnet(X32X8, [3, 4, 23, 3]);
pub const SERESNEXT101D_32X8D: ResNet = SERESNEXT101_32X8D.deep();
pub const SERESNEXTAA101D_32X8D: ResNet = SERESNEXT101D_32X8D.pooled();
pub const SERESNEXTAA201D_32X8D: ResNet = seresnet(X32X8, [3, 24, 36, 4]).stem([64, 64, 128]).pooled();
pub const SERESNEXT101_64X4D: ResNet = seresnet(X64X4, [3, 4, 23, 3]);
pub const SENET16: ResNet = senet(32, [1, 1, 1, 1]);
pub const SENET28: ResNet = senet(32, [2, 2, 2, 2]);
pub const SENET40: ResNet = senet(32, [3, 3, 3, 3]);
pub const SENET52: ResNet = senet(32, [3, 4, 6, 3]);
pub const SENET103: ResNet = senet(32, [3, 4, 23, 3]);
pub const SENET154: ResNet = senet(64, [3, 8, 36, 3]);

const fn seresnet(branch: Branch, blocks: [usize; 4]) -> ResNet {
    ResNet { branch, blocks, stem: Stem::Wide, halving: Halving::Strided, form: Form::Timm, gated: true }
}

const fn senet(groups: usize, blocks: [usize; 4]) -> ResNet {
    seresnet(Branch::SeNet(groups), blocks).stem([64, 64, 128])
}

impl ResNet {
    /// The authors' form, which timm calls legacy.
    #[must_use]
    pub const fn caffe(self) -> ResNet {
        ResNet { form: Form::Caffe, ..self }
    }

    /// pytorchcv's form.
    #[must_use]
    pub const fn pytorchcv(self) -> ResNet {
        ResNet { form: Form::Pytorchcv, ..self }
    }

    /// Without squeeze-and-excitation.
    #[must_use]
    pub const fn plain(self) -> ResNet {
        ResNet { gated: false, ..self }
    }

    const fn stem(self, outputs: [usize; 3]) -> ResNet {
        ResNet { stem: Stem::Deep(outputs), ..self }
    }

    const fn deep(self) -> ResNet {
        ResNet { halving: Halving::PooledShortcut, ..self.stem([32, 32, 64]) }
    }

    const fn tiered(self) -> ResNet {
        self.deep().stem([24, 32, 64])
    }

    const fn pooled(self) -> ResNet {
        ResNet { halving: Halving::Pooled, ..self }
    }

    /// Builds it.
    ///
    /// # Errors
    /// If the image is too small.
    pub fn build(&self, spec: &Spec) -> Built {
        spec.build(|net, image| {
            let x = net.at("act1").feature(self.stem_convs(net, image));
            let mut x = x.pool(match (self.form, self.halving) {
                (Form::Caffe, _) => Pool::max(3, 2).ceil(),
                (_, Halving::Pooled) => Pool::avg(2, 2),
                _ => Pool::max(3, 2).pad(1),
            });
            for (stage, &blocks) in self.blocks.iter().enumerate() {
                for number in 0..blocks {
                    let stride = if number == 0 && stage > 0 { 2 } else { 1 };
                    let block = net.at(format!("layer{}.{number}", stage + 1));
                    x = block.feature(self.block(&block, x, 64 << stage, stride));
                }
            }
            x = x.global_avg_pool();
            if self.form == Form::Caffe || matches!(self.branch, Branch::SeNet(_)) {
                x = x.dropout(0.2);
            }
            net.at("fc").linear(x, spec.classes)
        })
    }

    fn stem_convs<'g>(&self, net: &Scope<'g>, image: Value<'g>) -> Value<'g> {
        match self.stem {
            Stem::Wide => conv_bn_at(net, ["conv1", "bn1"], image, Conv::new(64, 7).stride(2)).relu(),
            Stem::Deep([first, second, third]) => {
                let x = conv_bn_at(net, ["conv1.0", "conv1.1"], image, Conv::new(first, 3).stride(2)).relu();
                let x = conv_bn_at(net, ["conv1.3", "conv1.4"], x, Conv::new(second, 3)).relu();
                conv_bn_at(net, ["conv1.6", "bn1"], x, Conv::new(third, 3)).relu()
            }
        }
    }

    fn block<'g>(&self, block: &Scope<'g>, x: Value<'g>, base: usize, stride: usize) -> Value<'g> {
        let mut y = match self.branch {
            Branch::Basic => {
                let y = conv_bn_at(block, ["conv1", "bn1"], x, Conv::new(base, 3).stride(stride)).relu();
                let y = conv_bn_at(block, ["conv2", "bn2"], y, Conv::new(base, 3));
                if self.form == Form::Caffe { y.relu() } else { y }
            }
            Branch::Bottleneck(groups, width) => {
                let width = base * width / 64 * groups;
                self.bottleneck(block, x, [width, width, base * 4], groups, stride)
            }
            Branch::SeNet(groups) => {
                let width = base / 16 * groups;
                self.bottleneck(block, x, [width / 2, width, base * 4], groups, stride)
            }
        };
        if self.gated {
            let multiple = if self.form == Form::Timm { 8 } else { 1 };
            let squeezed = make_divisible(y.channels() as f64 / 16.0, multiple);
            y = squeeze_excite(&block.at("se"), ["fc1", "fc2"], y, squeezed, RELU_SIGMOID);
        }
        let same = stride == 1 && x.channels() == y.channels();
        let shortcut = if same { x } else { self.shortcut(&block.at("downsample"), x, y.channels(), stride) };
        (y + shortcut).relu()
    }

    fn bottleneck<'g>(
        &self,
        block: &Scope<'g>,
        x: Value<'g>,
        widths: [usize; 3],
        groups: usize,
        stride: usize,
    ) -> Value<'g> {
        let [first, middle, pooled] = match (self.halving, self.form) {
            (Halving::Pooled, _) => [1, 1, stride],
            (_, Form::Caffe | Form::Pytorchcv) if groups == 1 => [stride, 1, 1],
            _ => [1, stride, 1],
        };
        let y = conv_bn_at(block, ["conv1", "bn1"], x, Conv::new(widths[0], 1).stride(first)).relu();
        let conv = Conv::new(widths[1], 3).stride(middle).groups(groups);
        let y = conv_bn_at(block, ["conv2", "bn2"], y, conv).relu();
        let y = if pooled > 1 { y.pool(Pool::avg(pooled, pooled)) } else { y };
        conv_bn_at(block, ["conv3", "bn3"], y, Conv::new(widths[2], 1))
    }

    fn shortcut<'g>(&self, at: &Scope<'g>, x: Value<'g>, out: usize, stride: usize) -> Value<'g> {
        let pool = Pool::avg(stride, stride);
        let pooled = match self.halving {
            Halving::Strided => {
                let kernel = if matches!(self.branch, Branch::SeNet(_)) { 2 * stride - 1 } else { 1 };
                return conv_bn(at, x, Conv::new(out, kernel).stride(stride));
            }
            _ if stride == 1 => x,
            Halving::PooledShortcut => x.pool(pool.ceil()),
            Halving::Pooled => x.pool(pool),
        };
        conv_bn_at(at, ["1", "2"], pooled, Conv::new(out, 1))
    }
}
