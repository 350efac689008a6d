//! Files that others wrote, read from the folder named by `CYGNET_SHARED`.

use std::path::PathBuf;

use cygnet_weights::{Checkpoint, Dtype, Format, Tensor, open, parse};

fn shared(name: &str) -> Option<PathBuf> {
    cygnet_testing::shared(&format!("data/weights/{name}"))
}

#[test]
fn a_legacy_checkpoint_of_torchvision_has_its_names_shapes_and_parameter_count() {
    let Some(path) = shared("mobilenet_v2-b0353104.pth") else { return };
    let checkpoint = open(path).unwrap();
    assert_eq!((checkpoint.format, checkpoint.taken_key), (Format::TorchLegacy, None));
    let tensors = checkpoint.tensors;
    assert_eq!(tensors.len(), 314);
    assert_eq!(tensors.keys().next().unwrap(), "features.0.0.weight");
    assert_eq!(tensors["features.0.0.weight"].shape(), [32, 3, 3, 3]);
    assert_eq!(tensors["classifier.1.weight"].shape(), [1000, 1280]);
    assert_eq!(tensors["features.0.1.num_batches_tracked"].dtype(), Dtype::I64);
    let learnt =
        tensors.iter().filter(|(name, _)| !name.contains("running_") && !name.contains("num_batches"));
    assert_eq!(learnt.map(|(_, tensor)| tensor.element_count()).sum::<usize>(), 3_504_872);
    assert!(tensors.values().all(|tensor| tensor.to_f32().iter().all(|value| value.is_finite())));
    let variance = &tensors["features.0.1.running_var"];
    assert!(variance.to_f32().iter().all(|&value| value >= 0.0));
}

#[test]
fn the_released_deep_compression_file_decodes_to_its_float_form_exactly() {
    let Some(compressed) = shared("compressed_SqueezeNet.net") else { return };
    let Some(decoded) = shared("squeezenet1_0_deepcompression.safetensors") else { return };
    let (compressed, decoded) = (open(compressed).unwrap(), open(decoded).unwrap());
    assert_eq!(compressed.format, Format::DeepCompression);
    assert_eq!(compressed.tensors.len(), 52);
    assert_eq!(compressed.tensors, decoded.tensors);
}

#[test]
fn a_damaged_deep_compression_file_is_an_error_and_no_panic() {
    let Some(path) = shared("compressed_SqueezeNet.net") else { return };
    let mut file = std::fs::read(path).unwrap();
    assert!(parse(file[..file.len() - 1].to_vec()).is_err());
    file.iter_mut().skip(104).for_each(|byte| *byte = 255);
    assert!(parse(file).unwrap_err().to_string().contains("outside its layer"));
}

#[test]
fn checkpoints_of_other_projects_load_in_both_formats() {
    let Some(path) = shared("weights_05g3.pkl") else { return };
    let shufflenet = open(path).unwrap();
    assert_eq!((shufflenet.format, shufflenet.tensors.len()), (Format::TorchLegacy, 247));
    assert_eq!(shufflenet.tensors["conv1.weight"].shape(), [24, 3, 3, 3]);
    let Some(path) = shared("backbone.pth") else { return };
    let backbone = open(path).unwrap();
    assert_eq!((backbone.format, backbone.tensors.len()), (Format::TorchZip, 330));
    assert_eq!(backbone.tensors["first_conv.0.weight"].shape(), [24, 3, 3, 3]);
    let count =
        |checkpoint: Checkpoint| checkpoint.tensors.values().map(Tensor::element_count).sum::<usize>();
    assert_eq!((count(shufflenet), count(backbone)), (254_938, 149_095));
}
