//! Files by the endings of their names.

use std::path::Path;

use crate::Error;

/// Of files with weights that are read.
const READ: [&str; 11] =
    ["safetensors", "pth", "pt", "pkl", "bin", "ckpt", "tar", "net", "onnx", "tflite", "param"];

/// How TensorFlow's models become files that are read; what follows says which kind it is.
const BY_TF2ONNX: &str =
    "convert it: pip install tf2onnx, then python -m tf2onnx.convert --output MODEL.onnx";

/// What is left where no converter is known.
const GIVE_CHECKPOINT: &str = "give the checkpoint that it was made of, a .pth, .safetensors or .onnx file";

/// Of files of other programs, what these hold, and how they become files that are read.
const FOREIGN: [(&str, &str, &str, &str); 9] = [
    (
        "pt2",
        "a program of torch.export",
        "save its module's state_dict() with torch.save, as a .pth file",
        "",
    ),
    ("h5", "a Keras model", BY_TF2ONNX, " --keras "),
    ("hdf5", "a Keras model", BY_TF2ONNX, " --keras "),
    ("keras", "a Keras model", BY_TF2ONNX, " --keras "),
    ("pb", "a TensorFlow graph", BY_TF2ONNX, " --saved-model "),
    ("mlmodel", "a Core ML model", GIVE_CHECKPOINT, ""),
    ("mlpackage", "a Core ML model", GIVE_CHECKPOINT, ""),
    ("caffemodel", "a Caffe model", GIVE_CHECKPOINT, ""),
    ("engine", "a TensorRT engine", GIVE_CHECKPOINT, ""),
];

/// Whether a name can only be that of a file with weights, of whatever program: names of networks do not end so.
#[must_use]
pub fn names_weights(name: &Path) -> bool {
    ending(name).is_some_and(|ending| READ.contains(&&*ending)) || foreign(name).is_some()
}

/// Why the file at `path`, which cannot be read, cannot be: another program's name ends so.
pub(crate) fn unread(path: &Path) -> Option<Error> {
    let (_, what, how, kind) = foreign(path).filter(|_| path.exists())?;
    let file = match (*kind, path.parent()) {
        ("", _) => String::new(),
        // A saved model is the folder around its graph.
        (" --saved-model ", Some(folder)) if folder != Path::new("") => folder.display().to_string(),
        (" --saved-model ", _) => ".".into(),
        _ => path.display().to_string(),
    };
    let reason = format!("is {what}, which cygnet does not read; {how}{kind}{file}");
    Some(Error::Record { path: path.into(), reason })
}

fn foreign(name: &Path) -> Option<&'static (&'static str, &'static str, &'static str, &'static str)> {
    let ending = ending(name)?;
    FOREIGN.iter().find(|(of, ..)| *of == ending)
}

fn ending(name: &Path) -> Option<String> {
    name.extension()?.to_str().map(str::to_lowercase)
}
