//! The one table of networks: what can be built, what others call it, how photos are prepared for it, and where its
//! published weights are. The command line, the docs, the tests and the README read it.

/// A checkpoint of timm's: tag, file of its first release with the start of the hash, accuracy; or model, tag,
/// accuracy for those that are on its hub only, without a published hash.
macro_rules! timm_checkpoint {
    ($tag:literal, $stem:literal - $hash:literal, $accuracy:expr) => {
        Checkpoint::new(
            $tag,
            concat!($stem, "-", $hash, ".pth"),
            &[concat!(
                "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/",
                $stem,
                "-",
                $hash,
                ".pth"
            )],
            $hash,
            "Apache-2.0",
            $accuracy,
        )
        .source("timm")
    };
    ($model:literal, $tag:literal, $accuracy:expr) => {
        Checkpoint::new(
            $tag,
            concat!($model, ".", $tag, ".safetensors"),
            &[concat!("https://huggingface.co/timm/", $model, ".", $tag, "/resolve/main/model.safetensors")],
            "",
            "Apache-2.0",
            $accuracy,
        )
        .source("timm")
    };
}

mod checkpoint;
mod fbnet;
mod ghostnet;
mod inception;
mod inception_keys;
mod mnasnet;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod mobilenext;
mod network;
mod preset;
mod proxylessnas;
mod resnet;
mod row;
mod sepreresnet;
mod seresnet;
mod seresnet_caffe;
mod seresnext;
mod shufflenet_v1;
mod shufflenet_v2;
mod spnasnet;
mod squeezenet;
mod xception;

pub use checkpoint::{Checkpoint, Package};
pub use network::{Network, Registry, Taken, find, networks};
use preset::rgb;
pub use preset::{Interpolation, Preset, Resize};
pub use row::{Family, Name, Row, Variant};

/// Every row of Cygnet's, by family.
const ROWS: &[&[Row]] = &[
    inception::ROWS,
    xception::ROWS,
    squeezenet::ROWS,
    mobilenet_v1::ROWS,
    mobilenet_v2::ROWS,
    mobilenet_v3::ROWS,
    mobilenext::ROWS,
    shufflenet_v1::ROWS,
    shufflenet_v2::ROWS,
    seresnet::ROWS,
    seresnet_caffe::ROWS,
    seresnext::ROWS,
    sepreresnet::ROWS,
    resnet::ROWS,
    mnasnet::ROWS,
    spnasnet::ROWS,
    proxylessnas::ROWS,
    ghostnet::ROWS,
    fbnet::ROWS,
];
