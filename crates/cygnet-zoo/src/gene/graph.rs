//! The graph of a gene, of the blocks that the families have.
//!
//! Layers are named as timm names those of searched networks: `blocks.STAGE.PLACE`; those of blocks that are no
//! inverted residuals are below the name of their kind, so that what stands at one place under one name is one layer.

use cygnet_graph::{Activation, BuildError, Conv, Graph, Limits, Pool, Problem, Scope, Value};

use super::{Block, Gene, GeneError, Inner, Kind, Nonlinearity, Squeeze};
use crate::blocks::{conv_bn_at, make_divisible, residual, squeeze_excite};
use crate::ghostnet::ghost_bottleneck;
use crate::inverted_residual::{Gate, InvertedResidual, Names, inverted_residual};
use crate::mobilenext::{Sandglass, sandglass};
use crate::shufflenet_v2::{Unit, unit};
use crate::{Built, Spec};

impl Gene {
    /// What it reads by default: three channels of its own size, 1000 classes. Its text is the graph's name.
    #[must_use]
    pub fn spec(&self) -> Spec {
        Spec { image: [3, self.image, self.image], ..Spec::new(self.to_string()) }
    }

    /// Builds its network for the images and classes of `spec`, whose width it does not heed.
    ///
    /// # Errors
    /// The first thing that does not fit, or is over the [`Limits`] of graphs of unknown origin, with its place.
    pub fn build(&self, spec: &Spec) -> Built {
        let graph = spec.build(|net, image| self.network(net, image, spec.classes))?;
        graph.check(&Limits::default())?;
        Ok(graph)
    }

    /// The gene of a graph that was built of one.
    #[must_use]
    pub fn of(graph: &Graph) -> Option<Gene> {
        let gene: Gene = graph.name().parse().ok()?;
        let spec = Spec { image: graph.input_shape(), classes: graph.classes(), ..gene.spec() };
        let rebuilt = gene.build(&Spec { name: graph.name().into(), ..spec }).ok()?;
        (rebuilt == *graph).then_some(gene)
    }

    fn network<'g>(&self, net: &Scope<'g>, image: Value<'g>, classes: usize) -> Value<'g> {
        let Gene { stem, stages, head, .. } = self;
        let conv = Conv { bias: stem.bias, ..Conv::new(stem.channels, stem.kernel).stride(stem.stride) };
        let x = conv_bn_at(net, ["conv_stem", "bn1"], image, conv).activation(stem.activation.into());
        let mut x = net.at("conv_stem").feature(x);
        if stem.pools {
            x = net.at("pool").feature(x.pool(Pool::max(3, 2).pad(1)));
        }
        for (number, stage) in stages.iter().enumerate() {
            for (place, block) in stage.blocks.iter().enumerate() {
                let Some(block) = block else { continue };
                let scope = net.at("blocks").at(number).at(place);
                let stride = if place == 0 { stage.stride } else { 1 };
                x = scope.feature(block.apply(&scope, x, stage.channels, stride));
            }
        }
        if head.channels > 0 {
            let conv = Conv { bias: head.bias, ..Conv::new(head.channels, 1) };
            x = conv_bn_at(net, ["conv_head", "bn2"], x, conv).activation(head.activation.into());
        }
        x = x.global_avg_pool();
        if head.hidden > 0 {
            x = net.at("hidden").linear(x, head.hidden).activation(head.activation.into());
        }
        net.at("classifier").linear(x, classes)
    }
}

impl Block {
    /// Applies it to `x`, for `out` channels.
    pub(crate) fn apply<'g>(&self, scope: &Scope<'g>, x: Value<'g>, out: usize, stride: usize) -> Value<'g> {
        let inside = self.inside(x.channels());
        let activation = self.activation.into();
        match self.kind {
            Kind::Inverted => {
                let block = InvertedResidual {
                    kernel: self.kernel,
                    stride,
                    gate: self.gate(x.channels(), inside),
                    activation,
                    always_expands: self.dense,
                    shortcut: self.shortcut,
                    groups: self.groups,
                    bias: self.bias,
                    ..InvertedResidual::new(inside, out)
                };
                inverted_residual(scope, Names::TIMM, x, block)
            }
            Kind::Fused => self.fused(&scope.at("fused"), x, [inside, out], stride),
            Kind::Residual => {
                residual(&scope.at("residual"), x, Conv::new(out, self.kernel).stride(stride), activation)
            }
            Kind::Shuffle => {
                let changes = stride > 1 || x.channels() != out;
                let block = Unit { out, kernel: self.kernel, stride, changes, activation };
                unit(&scope.at("shuffle"), x, block, crate::shufflenet_v2::Flavour::Torchvision)
            }
            Kind::Ghost => {
                let conv = Conv::new(out, self.kernel).stride(stride);
                ghost_bottleneck(&scope.at("ghost"), x, conv, inside, self.squeeze.is_some())
            }
            Kind::Sandglass => {
                let shortcut = stride == 1 && x.channels() == out;
                let (kernel, first, last) = (self.kernel, true, true);
                let block = Sandglass { kernel, inside, out, stride, first, last, shortcut };
                sandglass(&scope.at("sandglass"), x, block)
            }
        }
    }

    /// Its width inside for an input of so many channels.
    fn inside(&self, channels: usize) -> usize {
        match (self.inner, self.kind) {
            (Inner::Channels(channels), _) => channels,
            (Inner::Times(times), Kind::Sandglass) => (channels / times).max(1),
            (Inner::Times(times), _) => channels.saturating_mul(times),
        }
    }

    /// Its squeeze-and-excitation, of the sources that its variants name.
    fn gate(&self, input: usize, inside: usize) -> Option<Gate> {
        self.squeeze.map(|squeeze| match squeeze {
            Squeeze::Input => {
                Gate { squeezed: (input / 4).max(1), functions: [Activation::RELU, Activation::Sigmoid] }
            }
            Squeeze::Inner => Gate {
                squeezed: make_divisible(inside as f64 / 4.0, 8),
                functions: [Activation::RELU, Activation::HARD_SIGMOID],
            },
        })
    }

    /// k×k to `inside` channels, squeeze-and-excitation, 1×1 to `out`; k×k to `out` alone where nothing widens.
    fn fused<'g>(
        &self,
        scope: &Scope<'g>,
        x: Value<'g>,
        [inside, out]: [usize; 2],
        stride: usize,
    ) -> Value<'g> {
        let widens = inside != x.channels();
        let (names, channels) = if widens { (["conv_exp", "bn1"], inside) } else { (["conv", "bn"], out) };
        let conv = Conv::new(channels, self.kernel).stride(stride);
        let mut y = conv_bn_at(scope, names, x, conv).activation(self.activation.into());
        if let Some(Gate { squeezed, functions }) = self.gate(x.channels(), channels) {
            y = squeeze_excite(&scope.at("se"), ["conv_reduce", "conv_expand"], y, squeezed, functions);
        }
        if widens {
            y = conv_bn_at(scope, ["conv_pwl", "bn2"], y, Conv::new(out, 1));
        }
        if self.shortcut && stride == 1 && x.channels() == out { x + y } else { y }
    }
}

impl From<Nonlinearity> for Activation {
    fn from(function: Nonlinearity) -> Activation {
        match function {
            Nonlinearity::Relu => Activation::RELU,
            Nonlinearity::Relu6 => Activation::RELU6,
            Nonlinearity::HardSwish => Activation::HardSwish,
        }
    }
}

/// The network whose gene is the graph's name.
pub(crate) fn named_by_gene(spec: &Spec) -> Built {
    let gene: Gene = spec.name.parse().map_err(|GeneError { place, reason }| BuildError {
        graph: spec.name.chars().take(40).collect(),
        place,
        problem: Problem::Setting { op: "gene", what: "the text", value: reason },
    })?;
    gene.build(spec)
}
