//! What the name of a network, and the names of a checkpoint's tensors, mean for how photos are prepared.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet::Model;
use cygnet::bench::random_weights;
use cygnet::image::{Interpolation, Resize};
use cygnet::weights::{Tensor, Tensors, safetensors};
use cygnet::zoo::find;

#[test]
fn a_checkpoint_is_prepared_for_as_its_source_does() {
    let folder = tempfile::tempdir().unwrap();
    let network = find("mobilenet_v2_0.35").unwrap();
    let graph = network.build().unwrap();
    let timm = find("timm/mobilenetv2_035").unwrap().keys.unwrap();
    let written = |file: &str, key: &dyn Fn(&str) -> String| {
        let mut tensors = Tensors::new();
        for (param, values) in graph.params().into_iter().zip(&random_weights(&graph)) {
            tensors.insert(key(&param.name), Tensor::from_f32(param.shape, values).unwrap());
        }
        let path = folder.path().join(file);
        safetensors::write(&path, &tensors, &safetensors::Metadata::new()).unwrap();
        path
    };
    let [theirs, ours] = [
        written("timm.safetensors", &|name| timm.key(name)),
        written("own.safetensors", &|name| name.into()),
    ];
    let bicubic = (Interpolation::Bicubic, Resize::CropPct { pct: 0.875 });
    let bilinear = (Interpolation::Bilinear, Resize::ShorterSide { side: 256 });
    let cases = [
        (&theirs, None, &bicubic),
        (&theirs, Some("mobilenet_v2_0.35"), &bicubic),
        (&theirs, Some("mobilenetv2_035"), &bicubic),
        (&ours, Some("timm/mobilenetv2_035"), &bicubic),
        (&ours, Some("mobilenet_v2_0.35"), &bilinear),
    ];
    for (path, name, (interpolation, resize)) in cases {
        let prepared = Model::convert(path, name, None).unwrap().preprocess;
        assert_eq!(
            (&prepared.interpolation, &prepared.resize),
            (interpolation, resize),
            "{path:?} as {name:?}"
        );
    }
}
