//! Files by the endings of their names.

use std::path::Path;

use crate::Error;

/// Of files with weights that are read.
const READ: [&str; 8] = ["safetensors", "pth", "pt", "pkl", "bin", "ckpt", "tar", "onnx"];

/// Of files of other programs, and what these hold.
const FOREIGN: [(&str, &str); 10] = [
    ("tflite", "a TensorFlow Lite model"),
    ("pt2", "a program of torch.export"),
    ("h5", "a Keras model"),
    ("hdf5", "a Keras model"),
    ("keras", "a Keras model"),
    ("pb", "a TensorFlow graph"),
    ("mlmodel", "a Core ML model"),
    ("mlpackage", "a Core ML model"),
    ("caffemodel", "a Caffe model"),
    ("engine", "a TensorRT engine"),
];

/// Whether a name can only be that of a file with weights, of whatever program: names of networks do not end so.
#[must_use]
pub fn names_weights(name: &Path) -> bool {
    ending(name).is_some_and(|ending| READ.contains(&&*ending)) || foreign(name).is_some()
}

/// Why the file at `path`, which cannot be read, cannot be: another program's name ends so.
pub(crate) fn unread(path: &Path) -> Option<Error> {
    let what = foreign(path).filter(|_| path.exists())?;
    let reason = format!(
        "is {what}, which cygnet does not read; give the checkpoint that it was made of, a .pth or .safetensors file"
    );
    Some(Error::Record { path: path.into(), reason })
}

fn foreign(name: &Path) -> Option<&'static str> {
    let ending = ending(name)?;
    FOREIGN.iter().find(|(of, _)| *of == ending).map(|(_, what)| *what)
}

fn ending(name: &Path) -> Option<String> {
    name.extension()?.to_str().map(str::to_lowercase)
}
