//! What Python calls a photo.

use std::path::PathBuf;

use cygnet::Photo;
use cygnet::image::Image;
use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PyString, PyTuple};

/// One photo, or several.
pub(crate) enum Photos {
    One(Photo),
    Many(Vec<Photo>),
}

impl Photos {
    /// Of a photo, or a list or tuple of photos.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Photos> {
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return Ok(Photos::Many(object.try_iter()?.map(|photo| one(&photo?)).collect::<PyResult<_>>()?));
        }
        Ok(Photos::One(one(object)?))
    }
}

/// A path, an address, bytes, a picture of Pillow's, an array of pixels, or what is read as a file is.
pub(crate) fn one(object: &Bound<'_, PyAny>) -> PyResult<Photo> {
    if object.is_instance_of::<PyString>() || object.hasattr("__fspath__")? {
        return Ok(Photo::File(object.extract::<PathBuf>()?));
    }
    if let Ok(bytes) = object.extract::<PyBackedBytes>() {
        return Ok(Photo::Bytes(bytes.to_vec()));
    }
    if object.is_instance_of::<PyMemoryView>() {
        let bytes = object.call_method0("tobytes")?;
        return Ok(Photo::Bytes(bytes.cast::<PyBytes>()?.as_bytes().to_vec()));
    }
    if object.hasattr("mode")? && object.hasattr("tobytes")? && object.hasattr("convert")? {
        return of_pillow(object).map(Photo::Image);
    }
    if object.hasattr("dtype")? && object.hasattr("shape")? {
        return of_array(object).map(Photo::Image);
    }
    if object.hasattr("read")? {
        let read = object.call_method0("read")?;
        return match read.extract::<PyBackedBytes>() {
            Ok(bytes) => Ok(Photo::Bytes(bytes.to_vec())),
            Err(_) => Err(PyTypeError::new_err("the file gives text; open it with mode \"rb\"")),
        };
    }
    Err(PyTypeError::new_err(format!(
        "a photo is a path, an address, the bytes of an image file, an open file, a picture of Pillow's, or a uint8 array \
         of [height, width, 3] pixels; not {}",
        object.get_type().name()?
    )))
}

/// A picture of Pillow's, as it is: whoever opened it turns it upright.
fn of_pillow(picture: &Bound<'_, PyAny>) -> PyResult<Image> {
    let mode: String = picture.getattr("mode")?.extract()?;
    if mode.starts_with('I') || mode.starts_with('F') {
        return Err(PyValueError::new_err(format!(
            "a picture of mode {mode} has no 8-bit colours; bring its range to 0..255 and convert it to RGB, or give the \
             file itself"
        )));
    }
    let rgb = if mode == "RGB" { picture.clone() } else { picture.call_method1("convert", ("RGB",))? };
    let (width, height): (usize, usize) = rgb.getattr("size")?.extract()?;
    let bytes = rgb.call_method0("tobytes")?;
    image(width, height, bytes.cast::<PyBytes>()?.as_bytes().to_vec())
}

/// An array of pixels: `[height, width, 3]` RGB, or grey without or with one channel.
fn of_array(object: &Bound<'_, PyAny>) -> PyResult<Image> {
    let shape = object.cast::<PyUntypedArray>().map(|array| array.shape().to_vec());
    let (Ok(array), Ok(shape)) = (object.cast::<PyArrayDyn<u8>>(), shape) else {
        return Err(PyTypeError::new_err(format!(
            "pixels are a numpy array of uint8, not {}; of values from 0 to 1: (255 * x).round().astype(\"uint8\")",
            object.getattr("dtype")?
        )));
    };
    let array = array.readonly();
    // In the order of rows, whatever the strides.
    let pixels: Vec<u8> = match array.as_slice() {
        Ok(pixels) if array.is_c_contiguous() => pixels.to_vec(),
        _ => array.as_array().iter().copied().collect(),
    };
    match shape[..] {
        [height, width, 3] => image(width, height, pixels),
        [height, width] | [height, width, 1] => {
            image(width, height, pixels.iter().flat_map(|&grey| [grey; 3]).collect())
        }
        [_, _, 4] => Err(PyValueError::new_err("the array has an alpha channel; leave it out: x[..., :3]")),
        [3, _, _] => Err(PyValueError::new_err(format!(
            "pixels lie as [height, width, 3], not {shape:?}; turn them: x.transpose(1, 2, 0)"
        ))),
        _ => Err(PyValueError::new_err(format!("pixels lie as [height, width, 3], not {shape:?}"))),
    }
}

fn image(width: usize, height: usize, pixels: Vec<u8>) -> PyResult<Image> {
    Image::from_rgb(width, height, pixels).map_err(|error| PyValueError::new_err(cygnet::told(&error)))
}
