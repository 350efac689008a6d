//! Files that others wrote, read from the folder named by `CYGNET_SHARED`.

use std::path::{Path, PathBuf};

use cygnet_weights::{Dtype, Format, open};

fn shared(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("CYGNET_SHARED") else {
        println!("skipped: CYGNET_SHARED is not set");
        return None;
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Some(workspace.join(folder).join("data/weights").join(name))
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
